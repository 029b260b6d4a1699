"""Packed splits: the crops of the tree, bit for bit, and nothing half-packed is ever used."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch

from deblur import cli, paths, runs
from deblur.data import copies, loading, official, packing


@pytest.fixture(scope="module")
def pairs(mini_root):
    return official.find_pairs("gopro", mini_root, "train", subset="blur")[::12]


@pytest.fixture
def packed(pairs, tmp_path):
    packing.pack(pairs, tmp_path / "packed")
    return packing.open_packed(tmp_path / "packed", pairs)


def test_batches_are_those_of_the_tree(pairs, packed):
    tree, ours = (loading.Batches(source, 40, 3, 5, edge=0.3) for source in (loading.Tree(pairs), packed))
    for step in range(6):
        for wanted, found in zip(tree[step], ours[step], strict=True):
            assert torch.equal(wanted, found)


def test_a_crop_does_not_keep_the_file_open(packed):
    blurred, sharp = packed.crop(np.random.default_rng(0), 16)
    assert not any(isinstance(image.base, np.memmap) for image in (blurred, sharp))
    with pytest.raises(ValueError, match="crop 500 is larger than the frame"):
        packed.crop(np.random.default_rng(0), 500)


def test_only_a_whole_packing_is_used(pairs, tmp_path, monkeypatch):
    folder = tmp_path / "packed"
    real = official.read_pair

    def read_some(pair):
        if pair == pairs[-1]:
            raise official.DataError(f"{pair.blurred}: damaged")
        return real(pair)

    monkeypatch.setattr(official, "read_pair", read_some)
    with pytest.raises(official.DataError, match="damaged"):
        packing.pack(pairs, folder, workers=1)
    assert packing.open_packed(folder, pairs) is None
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}
    assert kept
    assert all(not path.name.startswith(".") for path in kept)
    monkeypatch.setattr(official, "read_pair", real)
    packing.pack(pairs, folder)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())  # not packed again
    assert len(packing.open_packed(folder, pairs).files) == len(pairs)


def pack_slowly(pairs, folder):
    real = official.read_pair
    official.read_pair = lambda pair: time.sleep(0.05) or real(pair)
    packing.pack(pairs, folder, workers=1)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_and_packed_again(pairs, tmp_path, seed):
    folder = tmp_path / "packed"
    process = multiprocessing.get_context("fork").Process(target=pack_slowly, args=(pairs, folder))
    process.start()
    time.sleep(float(np.random.default_rng(seed).uniform(0.05, 0.05 * len(pairs))))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert packing.open_packed(folder, pairs) is None
    packing.pack(pairs, folder)
    assert not packing.damaged(folder)
    for pair, file in zip(pairs, packing.open_packed(folder, pairs).files, strict=True):
        np.testing.assert_array_equal(np.load(file), official.read_pair(pair))


def test_other_pairs_a_lost_file_and_a_changed_one(pairs, packed, tmp_path):
    folder = tmp_path / "packed"
    with pytest.raises(official.DataError, match=r"holds \d+ other pairs.*pack again"):
        packing.open_packed(folder, pairs[1:])
    changed = np.load(packed.files[0])
    changed[0, 0, 0, 0] ^= 1
    np.save(packed.files[0], changed)
    assert packing.damaged(folder) == [pairs[0].name]
    packed.files[1].unlink()
    with pytest.raises(official.DataError, match=r"missing, or not as it was written.*pack again"):
        packing.open_packed(folder, pairs)


def test_training_finds_what_the_command_packed(mini_root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path))
    assert cli.main(["data", "pack", "gopro", str(mini_root)]) == 0
    folder = capsys.readouterr().out.splitlines()[0]
    assert len(json.loads((tmp_path / folder / "manifest.json").read_text())["files"]) == 144
    plan = runs.Plan(copies.open_data(mini_root), "attentive", scale="smoke")

    def source():
        return plan.assembled(torch.device("cpu")).batches.source

    assert isinstance(source(), packing.Packed)
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path / "elsewhere"))
    assert isinstance(source(), loading.Tree)
    assert str(paths.data_dir()).endswith("elsewhere")
