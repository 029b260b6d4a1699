"""The study exam: photographs that no training saw, every kind of blur from each, and nothing to train on."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from deblur import cli, paths
from deblur.data import bench, bundled, copies, debian, mini, official, study, trees


def photograph(height, width, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Two photographs of the exam, one upright, where the exam looks for them; and one that is none of it."""
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path))
    folder, rows = debian.home("exam"), []
    folder.mkdir(parents=True)
    for number, (name, size) in enumerate({"b.png": (600, 800), "a.png": (772, 514), "c.png": (400, 500)}.items()):
        Image.fromarray(photograph(*size, number)).save(folder / name)
        split = "train" if name == "c.png" else "exam"
        sha256 = paths.file_sha256(folder / name)
        rows.append(debian.Photograph(name, split, "p", "1", name, "Nobody", "CC0-1.0", sha256))
    monkeypatch.setattr(debian, "listed", lambda: rows)
    monkeypatch.setattr(study, "PAIRS", 1)
    for scale, copy in list(study.COPIES.items()):
        counts = {"test": 2 * len(study.SCALES[scale.partition("-")[0]].kinds)}
        monkeypatch.setitem(bundled.COPIES, scale, copy._replace(counts=counts))
    return folder


@pytest.mark.parametrize("scale", study.SCALES)
def test_each_photograph_shows_every_kind_of_blur_alike(photographs, scale, capsys):
    assert cli.main(["data", "exam", "--scale", scale]) == 0
    data = copies.open_exam(scale)
    assert capsys.readouterr().out.strip() == str(data.root)
    assert data.label == f"{scale} exam (blur)"
    assert data.bundled == scale
    pairs, kinds = data.pairs("test"), study.SCALES[scale].kinds
    shown = Counter((pair.sequence, official.read_kind(pair)) for pair in pairs)
    assert shown == {(name, kind): study.PAIRS for name in ("EXAM01_b", "EXAM02_a") for kind in kinds}
    assert {official.read_kind(pair) for pair in data.pairs("test", len(kinds))} == set(kinds)
    truths = [official.read_truth(pair) for pair in pairs]
    short, long = {"mini": mini.PATH_PX, "bench": bench.PATH_PX}[scale]
    assert short / 2 < np.median([truth["path_px"].mean() for truth in truths]) < long * 1.5
    for pair in pairs:
        blurred, sharp = official.read_pair(pair)
        assert blurred.shape == sharp.shape == (*study.SCALES[scale].size, 3)
    assert json.loads((data.root / "manifest.json").read_text())["credits"] == dict.fromkeys(
        ("a.png", "b.png"), "Nobody, CC0-1.0"
    )
    assert data.validation() == []
    with pytest.raises(official.DataError):
        data.pairs("train")


def test_frames_show_the_photograph_where_it_has_most_detail(monkeypatch):
    setting = study.SCALES["bench"]
    picture = torch.zeros(3, 700, 1400).double()
    picture[:, :, 900:] = torch.from_numpy(np.random.default_rng(0).random((700, 500)))
    monkeypatch.setattr(bench, "CANDIDATES", 30)
    x, y = study.place(np.random.default_rng(1), picture, setting)
    assert x > 700
    assert setting.margin <= y <= 700 - setting.size[0] - setting.margin
    assert x <= 1400 - setting.size[1] - setting.margin


@pytest.mark.parametrize(
    ("size", "bench_size", "mini_size"),
    [((2160, 3840), (1080, 1920), (540, 960)), ((772, 514), (772, 514), (421, 280))],
)
def test_photographs_are_reduced_as_trainings_reduce_them(size, bench_size, mini_size):
    picture = photograph(*size, 3)
    assert tuple(study.scene(picture, "bench").shape) == (3, *bench_size)
    small = study.scene(picture, "mini")
    assert tuple(small.shape) == (3, *mini_size)
    assert small.mean() == pytest.approx(picture.mean() / 255, abs=0.01)


@pytest.mark.parametrize(
    ("damage", "message"), [("other", r"a\.png is another picture"), ("none", r"a\.png is missing")]
)
def test_other_photographs_are_refused(photographs, damage, message):
    (photographs / "a.png").unlink()
    if damage == "other":
        Image.new("RGB", (600, 600)).save(photographs / "a.png")
    with pytest.raises(official.DataError, match=message):
        bundled.ensure("mini-exam")


def test_without_photographs_they_are_fetched(photographs, monkeypatch):
    away = photographs.rename(photographs.with_name("away"))
    monkeypatch.setattr(debian, "fetch", lambda out, split: away.rename(out) if split == "exam" else None)
    assert [name for name, _ in study.photographs()] == ["b", "a"]


def test_the_exam_has_the_photographs_that_are_listed():
    assert len(debian.exam()) == study.PHOTOGRAPHS >= 15
    assert isinstance(study.COPIES["mini-exam"], trees.Copy)
    assert set(study.credited()) == set(debian.exam().values())
