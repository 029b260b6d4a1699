"""The bundled benchmark: the exam is pinned, and a damaged cache never passes for a whole one."""

import hashlib
import json
import multiprocessing

import numpy as np
import pytest
import torch

from deblur import metrics
from deblur.data import blur, mini, official

PINNED_INPUT_PSNR_DB = 27.8872
PINNED_TEST_PIXELS = "b431f967d3108bbcb624f8331bcaf747"


def test_the_exam_is_pinned(mini_root):
    pairs = official.find_pairs("gopro", mini_root, "test", variant="blur")
    digest, scores = hashlib.sha256(), []
    for pair in pairs:
        blurred, sharp = official.read_pair(pair)
        digest.update(pair.name.encode() + blurred.tobytes() + sharp.tobytes())
        scores.append(metrics.psnr_db(blurred, sharp))
    assert 27 < np.mean(scores) < 30
    assert np.mean(scores) == pytest.approx(PINNED_INPUT_PSNR_DB, abs=1e-3)
    assert digest.hexdigest()[:32] == PINNED_TEST_PIXELS


@pytest.mark.parametrize(("split", "count"), [("train", 144), ("validation", 12), ("test", 32)])
def test_counts_and_kinds(mini_root, split, count):
    pairs = official.find_pairs("gopro", mini_root, split, variant="blur")
    kinds = [str(official.read_truth(pair)["kind"]) for pair in pairs]
    assert len(pairs) == count
    assert [kinds.count(kind) for kind in blur.KINDS] == [count // 2, count // 4, count // 4]
    assert official.read_image(pairs[0].sharp).shape == (144, 256, 3)


def test_splits_share_no_scene():
    used = {split: set(scenes) for split, scenes in mini.GOPRO_SEQUENCES.items()}
    for split, scenes in used.items():
        assert all(mini.SCENES[scene].split == split for scene in scenes)
    assert not used["train"] & (used["test"] | used["validation"])
    assert not used["test"] & used["validation"]
    # The three shots of one clip are different shots: no frame is used twice.
    frames = [(source.file, frame) for source in mini.SCENES.values() for frame in source.frames]
    assert len(frames) == len(set(frames))


def test_every_shot_keeps_its_steps_and_its_margin():
    for split in mini.GOPRO_SEQUENCES:
        for shot in mini.gopro_shots(split).values():
            scene = mini.load_scene(shot.scene, shot.frame)
            assert blur.longest_step(shot.motion, mini.FRAME_SIZE) < 1
            height, width = scene.image.shape[1:]
            x, y = shot.origin
            assert min(x, y) >= mini.MARGIN
            assert x + 256 + mini.MARGIN <= width
            assert y + 144 + mini.MARGIN <= height


def test_stored_truth_is_the_shots_truth(mini_root):
    pair = official.find_pairs("gopro", mini_root, "test", variant="blur_gamma")[5]
    shot = mini.gopro_shots("test")[pair.name]
    exposure, truth = shot.expose(), official.read_truth(pair)
    blurred, sharp = official.read_pair(pair)
    assert np.array_equal(blurred, exposure.blurred(linear=True).permute(1, 2, 0))
    assert np.array_equal(sharp, exposure.sharp.permute(1, 2, 0))
    assert np.array_equal(truth["label"], exposure.label)
    np.testing.assert_allclose(truth["displacement"], exposure.displacement, atol=1e-5)
    np.testing.assert_allclose(truth["path_px"], exposure.path_px, atol=1e-5)


def test_fresh_shots_are_of_the_split_and_differ():
    shots = [mini.fresh_shot(np.random.default_rng(seed)) for seed in range(20)]
    assert {mini.SCENES[shot.scene].split for shot in shots} == {"train"}
    assert len({shot.motion.poses.tobytes() for shot in shots}) == 20
    assert len({shot.motion.kind for shot in shots}) == 3


def test_depth_is_relative_and_complete():
    depth = mini.load_scene("motorcycle").depth
    assert torch.isfinite(depth).all()
    assert float(depth.median()) == pytest.approx(1, abs=0.05)
    assert depth.shape == mini.load_scene("motorcycle").image.shape[1:]


def test_manifest_credits_every_scene(mini_root):
    manifest = json.loads((mini_root / "manifest.json").read_text())
    assert manifest["credits"].keys() == mini.SCENES.keys()
    assert all(manifest["credits"].values())


def write_tiny(root):
    """A flavour of two files, quick to make."""
    (root / "sub").mkdir(parents=True)
    mini._write_png(root / "sub" / "a.png", torch.full((3, 4, 5), 7, dtype=torch.uint8))
    (root / "note.txt").write_text("whole")


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(mini.FLAVOURS, "tiny", (write_tiny, {"test": 1}))
    return mini.ensure("tiny", tmp_path / "tiny")


def delete(root):
    (root / "note.txt").unlink()


def change_a_byte(root):
    path = root / "sub" / "a.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def truncate_the_manifest(root):
    path = root / "manifest.json"
    path.write_text(path.read_text()[:40])


def lose_the_manifest(root):
    (root / "manifest.json").unlink()


def come_from_an_older_generator(root):
    path = root / "manifest.json"
    path.write_text(path.read_text().replace(json.loads(path.read_text())["generator"], "0" * 16))


@pytest.mark.parametrize(
    "damage", [delete, change_a_byte, truncate_the_manifest, lose_the_manifest, come_from_an_older_generator]
)
def test_damage_is_noticed_and_mended(tiny, damage):
    assert mini.is_intact(tiny)
    damage(tiny)
    assert not mini.is_intact(tiny)
    assert mini.ensure("tiny", tiny) == tiny
    assert mini.is_intact(tiny)
    assert (tiny / "note.txt").read_text() == "whole"


def test_a_whole_cache_is_left_alone(tiny):
    before = (tiny / "manifest.json").stat().st_mtime_ns
    mini.ensure("tiny", tiny)
    assert (tiny / "manifest.json").stat().st_mtime_ns == before


def test_an_interrupted_write_leaves_nothing_behind(monkeypatch, tmp_path):
    def interrupted(root):
        write_tiny(root)
        raise KeyboardInterrupt

    monkeypatch.setitem(mini.FLAVOURS, "tiny", (interrupted, {}))
    with pytest.raises(KeyboardInterrupt):
        mini.ensure("tiny", tmp_path / "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.lock"]


def _ensure(root):
    mini.FLAVOURS["tiny"] = (write_tiny, {"test": 1})
    return (mini.ensure("tiny", root) / "manifest.json").stat().st_ino


def test_two_processes_make_it_once(tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert len(set(pool.map(_ensure, [tmp_path / "tiny"] * 2))) == 1


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="unknown flavour 'x'; choose one of gopro"):
        mini.ensure("x")
    with pytest.raises(ValueError, match="unknown split 'x'; choose one of train"):
        mini.gopro_shots("x")


def test_a_missing_package_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"nothing\.png from the package 'skimage'"):
        mini._package_file("skimage", "nothing.png")


def test_pictures_for_the_figures():
    assert {image.ndim for image in mini.real_photographs().values()} == {3}
    blurred, sharp = mini.blurred_text()
    assert blurred.shape == sharp.shape == (144, 256, 3)
    assert metrics.psnr_db(blurred, sharp) < 40
