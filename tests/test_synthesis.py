"""A tree from somebody's own pictures: the pairs, the splits, and what is said when the pictures will not do."""

import json
import math
import os
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur import cli
from deblur.data import blur, copies, official, synthesis
from deblur.data.check import check

SMALL = {"size": (64, 96), "path_px": (2.0, 4.0)}
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Five photographs, one of them upright and one in a subfolder."""
    folder = tmp_path_factory.mktemp("album")
    pictures = {
        "astronaut.png": photographs.astronaut()[:300, :400],
        "cat.png": photographs.chelsea()[:280, 100:300],
        "coffee cup.jpg": photographs.coffee(),
        "rocket.jpg": photographs.rocket(),
        "more/wall.png": np.repeat(photographs.brick()[:200, :300, None], 3, 2),
    }
    (folder / "more").mkdir()
    for name, image in pictures.items():
        Image.fromarray(image).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def tree(album, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "tree"
    counts = synthesis.synthesize(album, out, frames=3, seed=5, **SMALL)
    return out, counts


@pytest.fixture
def clips(tmp_path):
    """Three clips of a picture that moves by 1 px a frame, of 30, 20 and 9 frames."""
    picture = photographs.astronaut()
    for name, length, first in (("a", 30, 98), ("b", 20, 0), ("c", 9, 1)):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for i in range(length):
            frame = picture[100:164, 50 + i : 146 + i]
            Image.fromarray(frame).save(tmp_path / "clips" / name / f"frame_{first + i}.png")
    return tmp_path / "clips"


def pairs_of(root, subset="blur"):
    return {split: official.find_pairs("gopro", root, split, subset=subset) for split in SPLITS}


def test_a_tree_from_photographs_is_read_and_checked(tree):
    out, counts = tree
    assert counts == {"train": 9, "validation": 3, "test": 3}
    found = pairs_of(out)
    assert {split: len(pairs) for split, pairs in found.items()} == counts
    report = check("gopro", out)
    assert report.usable, str(report)
    assert report.subset == "blur and blur_gamma"
    shapes = {official.read_image(pair.sharp).shape for pairs in found.values() for pair in pairs}
    assert shapes == {(64, 96, 3), (96, 64, 3)}  # the cat is upright


def test_no_photograph_is_in_two_splits_and_all_are_recorded(album, tree):
    manifest = json.loads((tree[0] / "manifest.json").read_text())
    made = manifest["pictures"]
    assert sorted(entry["from"] for entry in made.values()) == [
        "astronaut.png",
        "cat.png",
        "coffee cup.jpg",
        "more/wall.png",
        "rocket.jpg",
    ]
    for split, pairs in pairs_of(tree[0]).items():
        assert {made[pair.sequence]["split"] for pair in pairs} == {split}
    assert manifest["settings"] == {"video": False, "seed": 5, "frames": 3, "size": [64, 96], "path_px": [2.0, 4.0]}
    assert str(album) not in json.dumps(manifest)


def test_the_same_seed_gives_the_same_tree_and_another_one_another(album, tree, tmp_path):
    first = json.loads((tree[0] / "manifest.json").read_text())
    for seed, same in ((5, True), (6, False)):
        synthesis.synthesize(album, tmp_path / f"{seed}", frames=3, seed=seed, **SMALL)
        again = json.loads((tmp_path / f"{seed}" / "manifest.json").read_text())
        assert (again["pixels"] == first["pixels"]) == same


def test_the_pair_is_the_motion_that_lies_beside_it(tree):
    for pairs in pairs_of(tree[0]).values():
        for pair in pairs:
            truth = official.read_truth(pair)
            blurred, sharp = official.read_pair(pair)
            assert truth["label"].shape == sharp.shape[:2]
            assert 1 < truth["path_px"].mean() < 9
            assert not np.array_equal(blurred, sharp)


def test_a_changed_file_is_found(tree, album, tmp_path):
    synthesis.synthesize(album, tmp_path / "tree", frames=1, **SMALL)
    victim = next((tmp_path / "tree").glob("GOPRO_Large/train/*/sharp/000001.png"))
    image = official.read_image(victim)
    image[0, 0] ^= 1
    Image.fromarray(image).save(victim)
    report = check("gopro", tmp_path / "tree", subset="blur")
    assert not report.usable
    assert victim.relative_to(tmp_path / "tree").as_posix() in "\n".join(report.problems)


def test_own_pictures_are_not_taken_for_the_bundled_scenes(tree):
    assert not copies.open_data(tree[0]).bundled
    assert copies.open_data().bundled


def test_bands_give_the_whole_frame():
    scene = torch.rand(3, 260, 240, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    motion = blur.random_motion(np.random.default_rng(3), "local", (150, 130), (3, 6))
    exposure, blurred, linear = synthesis.expose_in_bands(scene, motion, (40, 50), (150, 130))
    whole = blur.expose(scene, motion, (40, 50), (150, 130))
    assert torch.equal(blurred, whole.blurred())
    assert torch.equal(linear, whole.blurred(linear=True))
    for name in ("sharp", "displacement", "path_px", "label"):
        torch.testing.assert_close(getattr(exposure, name), getattr(whole, name), rtol=0, atol=1e-12)


def test_the_margin_is_wide_enough_for_any_motion():
    size, path_px = (60, 110), (10.0, 10.0)
    points = torch.tensor([[[x, y] for x in (0.0, 54.5, 109.0)] for y in (0.0, 29.5, 59.0)], dtype=torch.float64)
    reach = []
    for seed in range(150):
        motion = blur.random_motion(np.random.default_rng(seed), "local", size, path_px)
        camera = (blur.camera_points(motion.poses, points, size, None) - points).abs().amax((1, 2, 3))
        reach.append(float((camera + torch.from_numpy(np.abs(motion.object_path)).amax(1)).max()))
    assert max(reach) < synthesis._margin(path_px) - 1


def test_video_frames_are_averaged(clips, tmp_path):
    counts = synthesis.synthesize(clips, tmp_path / "tree", video=True, frames=9, seed=1)
    assert sum(counts.values()) >= 4
    assert all(counts.values())
    report = check("gopro", tmp_path / "tree")
    assert not report.problems, str(report)
    made = json.loads((tmp_path / "tree/manifest.json").read_text())["pictures"]
    for subset in ("blur", "blur_gamma"):
        for pair in (pair for pairs in pairs_of(tmp_path / "tree", subset).values() for pair in pairs):
            blurred, sharp = official.read_pair(pair)
            files = sorted((clips / made[pair.sequence]["from"]).iterdir(), key=lambda p: int(p.stem[6:]))
            frames = [official.read_image(path).astype(float) for path in files]
            middle = next(i for i, frame in enumerate(frames) if np.array_equal(frame, sharp))
            errors = [
                window_error(frames[middle - n : middle + n + 1], blurred, subset) for n in (3, 4, 5, 6) if n <= middle
            ]
            assert min(errors) <= 0.5 + 1e-3  # rounded to nearest


def window_error(frames, blurred, subset):
    """Largest difference to the mean of a window, in grey levels."""
    gamma = 2.2 if subset == "blur_gamma" else 1.0
    mean = 255 * np.mean([(frame / 255) ** gamma for frame in frames], 0) ** (1 / gamma)
    return np.abs(mean - blurred).max()


def run(*arguments):
    return cli.main(["data", "synthesize", *map(str, arguments)])


def test_the_command(album, tmp_path, capsys):
    options = ["--photos", album, "--out", tmp_path / "tree", "--frames", 2, "--size", 64, 96, "--path-px", 2, 4]
    assert run(*options) == 0
    assert "train 6\nvalidation 2\ntest 2" in capsys.readouterr().out
    assert cli.main(["data", "check", "gopro", str(tmp_path / "tree"), "--split", "test", "--split", "train"]) == 0
    assert run(*options) == 2
    assert "is already there" in capsys.readouterr().err


def test_pictures_that_will_not_do_are_named(album, tmp_path, capsys):
    new = ["--out", tmp_path / "tree"]
    (tmp_path / "empty").mkdir()
    assert run("--photos", tmp_path / "empty", *new) == 1
    assert "empty: 0 photographs found (.bmp, .jpeg" in capsys.readouterr().err
    assert run("--photos", tmp_path / "nowhere", *new) == 2
    assert "no such folder" in capsys.readouterr().err
    assert run("--photos", album, *new) == 1  # frames of 720x1280
    error = capsys.readouterr().err
    assert "cat.png: too small, is 280x200 (height x width) but 1382x822 are needed" in error
    assert error.count("too small") == 5
    assert run("--photos", album, "--out", album / "tree") == 2
    assert "lies inside" in capsys.readouterr().err
    far = {"path_px": (1.0, math.inf)}
    for wrong in ({"frames": 0}, {"size": (8, 90)}, {"path_px": (4, 2)}, {"path_px": (math.nan, 2)}, far):
        with pytest.raises(official.DataError, match="asked for; give"):
            synthesis.synthesize(album, tmp_path / "tree", **wrong)
    assert not (tmp_path / "tree").exists()


def test_unreadable_and_doubled_pictures_are_named(album, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in album.glob("*.png"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "copy of cat.png").write_bytes((album / "cat.png").read_bytes())
    (folder / "cut.jpg").write_bytes((album / "rocket.jpg").read_bytes()[:5000])
    (folder / "void.png").write_bytes(b"")
    assert run("--photos", folder, "--out", tmp_path / "tree", "--size", 64, 96) == 1
    error = capsys.readouterr().err
    for message in ("cut.jpg: damaged", "void.png: zero bytes", "copy of cat.png: the same picture as"):
        assert message in error


def test_faults_of_clips_are_named(clips, tmp_path, capsys):
    (clips / "a/frame_110.png").unlink()
    (clips / "b/frame_7.png").rename(clips / "b/seven.png")
    for number in range(1, 4):
        (clips / f"c/frame_{number}.png").unlink()
    Image.new("RGB", (60, 60)).save(clips / "loose.png")
    assert run("--photos", clips, "--out", tmp_path / "tree", "--video") == 1
    error = capsys.readouterr().err
    for message in (
        "a: frames 110 are missing",
        "no number at the end of seven.png",
        "c: 6 frames, 7 are needed",
        "clips: holds images itself",
    ):
        assert message in error
    (clips / "a/frame_110.png").write_bytes((clips / "a/frame_109.png").read_bytes())
    Image.new("RGB", (60, 60)).save(clips / "a/frame_111.png")
    assert run("--photos", clips, "--out", tmp_path / "tree", "--video") == 1
    assert "frame_111.png: is 60x60, the clip's first frame 64x96" in capsys.readouterr().err


def test_frames_numbered_by_the_clock(clips, tmp_path, capsys):
    """What is missing between far numbers is told as ranges, and never counted through."""
    for number, name in ((101, "17"), (102, "1_700_000_000_000_000")):
        (clips / f"a/frame_{number}.png").rename(clips / f"a/frame_{name.replace('_', '')}.png")
    assert run("--photos", clips, "--out", tmp_path / "tree", "--video") == 1
    error = capsys.readouterr().err
    assert re.search(r"a: frames 18 to \d+, .* to 1699999999999999 are missing", error), error


@pytest.mark.parametrize("video", [[], ["--video"]])
def test_what_is_no_picture_is_named(album, clips, tmp_path, capsys, video):
    source = clips if video else shutil.copytree(album, tmp_path / "photos")
    folder = source / "a" if video else source
    os.mkfifo(folder / "pipe_1.png")
    (folder / "gone_2.jpg").symlink_to("nowhere")
    (folder / "loop_3.tif").symlink_to("loop_3.tif")
    (folder / "folder_4.png").mkdir()
    assert run("--photos", source, "--out", tmp_path / "tree", *video, "--size", 64, 96, "--path-px", 2, 4) == 1
    error = capsys.readouterr().err
    kinds = {"pipe_1.png": "a pipe", "gone_2.jpg": "a link that leads nowhere", "loop_3.tif": "a link in a circle"}
    for name, kind in (kinds | {"folder_4.png": "a folder"}).items():
        assert f"{folder / name}: is {kind}, not a picture; remove it" in error
