"""Miniatures of the other official sets: whole, repeatable, split by scene, and each as peculiar as its original."""

import itertools
import json

import cv2
import numpy as np
import pytest

from deblur import cli, paths
from deblur.data import bench, bundled, mini, miniatures, official, scenes
from deblur.data.check import check
from deblur.evaluation import alignment

PIXELS = {
    "hide": "c514874171e7c273",
    "realblur_j": "aeef38830b7bbc97",
    "realblur_r": "8621203f971f40df",
    "koehler": "52c7dc3cc0d4c337",
}
"""First digits of the pinned content: nobody tunes the exam. (JPEG pixels depend on the decoder.)"""


def pairs(name, split="test"):
    return official.find_pairs(name, bundled.ensure(f"mini-{name}"), split)


@pytest.mark.parametrize("name", miniatures.COPIES)
def test_a_copy_is_whole_and_without_fault(name):
    root, copy = bundled.ensure(name), miniatures.COPIES[name]
    report = check(copy.benchmark, root)
    assert report.usable, str(report)
    assert report.form == "official"
    counts = {split: count for split, count in copy.counts.items() if split != "frames"}
    assert report.counts == {split: (count, count) for split, count in counts.items()}
    manifest = json.loads((root / "manifest.json").read_text())
    assert (manifest["copy"], manifest["benchmark"]) == (name, copy.benchmark)
    assert manifest["credits"]["clock_motion"]
    assert copy.benchmark not in PIXELS or manifest["pixels"].startswith(PIXELS[copy.benchmark])


@pytest.mark.parametrize("name", ["mini-rwbi", "mini-hide"])
def test_writing_again_gives_the_same_files(name, tmp_path):
    again = bundled.ensure(name, tmp_path / "again")
    first, second = (json.loads((root / "manifest.json").read_text()) for root in (bundled.ensure(name), again))
    assert first["pixels"] == second["pixels"]
    assert first["files"].keys() == second["files"].keys()


def test_a_damaged_copy_is_made_again(tmp_path):
    root = bundled.ensure("mini-rwbi", tmp_path / "copy")
    path = next(root.rglob("*.jpg"))
    before = path.read_bytes()
    for damage in (lambda: path.unlink(), lambda: path.write_bytes(b""), lambda: path.write_bytes(before[:-1])):
        damage()
        assert bundled.ensure("mini-rwbi", root) == root
        assert path.read_bytes() == before


def scene_of(image):
    """The scene that a sharp image is a part of, by correlation with every scene."""
    found = {}
    for name, source in scenes.SCENES.items():
        for frame in range(max(len(source.frames), 1)):
            picture = (scenes.load_scene(name, frame).image.permute(1, 2, 0).numpy() * 255).astype(np.float32)
            if picture.shape[0] >= image.shape[0] and picture.shape[1] >= image.shape[1]:
                match = cv2.matchTemplate(picture, image.astype(np.float32), cv2.TM_CCOEFF_NORMED).max()
                found[name] = max(match, found.get(name, -1))
    return max(found, key=found.get)


@pytest.mark.parametrize("name", ["hide", "realblur_j", "koehler", "dvd"])
def test_no_scene_is_in_two_splits(name):
    for split in official.BENCHMARKS[name].splits:
        if split in miniatures.COPIES[f"mini-{name}"].counts:
            one_each = {(pair.sequence, pair.name.partition("from")[2]): pair for pair in pairs(name, split)}.values()
            shown = {scene_of(official.read_image(pair.sharp)) for pair in one_each}
            expected = {"validation", "hide"} if name == "hide" else {split}
            assert {scenes.SCENES[scene].split for scene in shown} == expected


def test_hide_shows_nothing_that_gopro_trains_on_or_tests_with():
    """Frames of one film in two splits are apart, see test_mini."""
    assert len(miniatures.HIDE) >= 4
    for split in ("train", "test"):
        assert not {*miniatures.HIDE} & {*mini.GOPRO_SEQUENCES[split], *bench.SCENES[split]}


def test_hide_has_large_objects_close_by():
    share = {"test-close-ups": [], "test-long-shot": []}
    for pair in pairs("hide"):
        truth = official.read_truth(pair)
        assert str(truth["kind"]) == "local"
        share[pair.sequence].append((truth["label"] == 1).mean())
    assert np.mean(share["test-close-ups"]) > 3 * np.mean(share["test-long-shot"]) > 0


def test_realblur_needs_alignment():
    scores = [alignment.realblur_ecc(*official.read_pair(pair)) for pair in pairs("realblur_j")]
    assert all(score.aligned for score in scores)
    gained = np.mean([score.psnr_db - score.psnr_unaligned_db for score in scores])
    print(f"RealBlur-J input: ECC {gained:+.2f} dB")
    assert 1 < gained < 4


def test_realblur_r_is_the_dark_twin_of_j():
    for j, r in zip(pairs("realblur_j"), pairs("realblur_r")):
        assert j.name == r.name
        assert np.array_equal(official.read_truth(j)["poses"], official.read_truth(r)["poses"])
        bright, dark = official.read_image(j.sharp), official.read_image(r.sharp)
        assert dark.mean() < 0.5 * bright.mean()
        raw = np.rint(miniatures.LOW_LIGHT * 255 * (bright / 255) ** 2.2)
        assert np.abs(raw - dark).max() <= 1
    assert any(pair.sequence == "scene244_reflect" for pair in pairs("realblur_j"))


def test_koehler_blur_is_the_mean_of_its_frames():
    found = pairs("koehler")
    assert len({pair.sequence for pair in found}) == 4
    poses = {}
    for pair in found:
        assert len(pair.frames) == miniatures.KOEHLER_FRAMES < 199
        poses.setdefault(pair.name.rpartition("_")[2], []).append(official.read_truth(pair)["poses"])
    assert len(poses) == 12
    for same in poses.values():
        assert all(np.array_equal(same[0], other) for other in same)
    assert all(np.abs(of_one[0]).max(0).all() for of_one in poses.values())  # all six degrees of freedom move
    for pair in found[::7]:
        blurred, sharp = official.read_pair(pair)
        frames = np.stack([official.read_image(path) for path in pair.frames]).astype(float)
        assert np.abs(frames.mean(0) - blurred).max() <= 1
        assert np.array_equal(frames[miniatures.KOEHLER_FRAMES // 2], sharp)
        assert min(sharp.shape[:2]) >= 161


def test_dvd_videos():
    found = pairs("dvd")
    assert {pair.sequence for pair in found} == set(official.DVD_TEST)
    shapes = {pair.sequence: official.read_image(pair.sharp).shape for pair in found}
    assert set(shapes.values()) == {(144, 256, 3), (256, 144, 3)}
    video = [official.read_image(pair.sharp).astype(int) for pair in found if pair.sequence == "IMG_0021"]
    assert all(np.abs(a - b).mean() > 1 for a, b in itertools.pairwise(video))  # the camera pans
    assert all(pair.blurred.suffix == ".jpg" for pair in found)


def test_rwbi_holds_the_real_photographs():
    photographs = scenes.real_photographs()
    for pair in official.find_pairs("rwbi", bundled.ensure("mini-rwbi"), "test"):
        assert pair.sharp is None
        stored = official.read_image(pair.blurred)
        assert np.abs(stored.astype(int) - photographs[pair.blurred.stem]).mean() < 3


def test_one_command_writes_all(capsys):
    assert cli.main(["data", "bundled", "all"]) == 0
    roots = capsys.readouterr().out.split()
    assert roots == [str(paths.data_dir() / name) for name in ("mini-gopro", *miniatures.COPIES)]
    assert cli.main(["data", "bundled", "hidee"]) == 2
    assert "choose one of gopro, hide, realblur_j, realblur_r, koehler, dvd, rwbi" in capsys.readouterr().err
