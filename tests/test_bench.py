"""The benchmark of scale bench: splits that never meet, paths as long as promised, crops equal to exposures."""

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from deblur import cli, runs
from deblur.data import bench, blur, copies, loading, official, scenes


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three smooth pictures, one of them large enough to be reduced."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, (height, width) in {"a.png": (400, 520), "b/c.jpg": (2200, 2400)}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        picture = cv2.resize(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8), (width, height))
        Image.fromarray(picture).save(folder / name)
    return folder


def test_splits_are_those_of_the_bundled_scenes():
    for split, names in bench.SCENES.items():
        assert {scenes.SCENES[name].split for name in names} == {split}


def test_scenes_are_large_enough_for_camera_and_object():
    for scene in sum(bench.SCENES.values(), ()):
        height, width = bench.native_scene(scene).shape[:2]
        assert height >= bench.FRAME_SIZE[0] + 2 * bench.MARGIN
        assert width >= bench.FRAME_SIZE[1] + 2 * bench.MARGIN
    assert 2.5 * bench.TRAIN_PATH_PX[1] + 1 <= bench.MARGIN


def test_the_tree_has_full_size_blur_and_its_truth():
    data = copies.open_data(scale="bench")
    assert data.label == "bench gopro (blur)"
    for split, names in bench.SCENES.items():
        assert len(data.pairs(split)) == bench.FRAMES[split] * len(names)
    pairs = data.pairs("test")
    lengths = [float(official.read_truth(pair)["path_px"].mean()) for pair in pairs]
    assert bench.PATH_PX[0] * 0.5 < min(lengths)
    assert bench.PATH_PX[1] * 0.8 < max(lengths) < bench.PATH_PX[1] * 2  # an object's path adds to the camera's
    assert np.median(lengths) > 8
    assert copies.open_data().label == "mini gopro (blur)"


@pytest.mark.parametrize(("split", "each"), [("validation", 2), ("test", 3)])
def test_every_scene_shows_every_kind_of_blur_alike(split, each):
    pairs = copies.open_data(scale="bench").pairs(split)
    shown = Counter((pair.sequence, official.read_kind(pair)) for pair in pairs)
    assert {kind for _, kind in shown} == set(bench.KINDS)
    assert set(shown.values()) == {each}
    assert len(shown) == len(bench.KINDS) * len(bench.SCENES[split])


def test_validation_scenes_are_not_smooth():
    for name in bench.SCENES["validation"]:
        grey = bench.native_scene(name).astype(float).mean(2)
        tiles = np.abs(np.diff(grey))[: grey.shape[0] // 64 * 64, : (grey.shape[1] - 1) // 64 * 64]
        detail = tiles.reshape(tiles.shape[0] // 64, 64, -1, 64).mean((1, 3))
        assert (detail < 1.5).mean() < 0.15, name


@pytest.mark.parametrize("kind", sorted(set(bench.KIND_CYCLE)))
@pytest.mark.parametrize("seed", range(3))
def test_ways_are_those_of_the_camera_model(photos, kind, seed, monkeypatch):
    """Homographies in single precision against the pinhole camera in double precision, point by point."""
    rng = np.random.default_rng([3, seed])
    motion = bench.random_motion(rng, kind, bench.TRAIN_PATH_PX)
    monkeypatch.setattr(bench, "random_motion", lambda *_: motion)
    shot = bench.Photographs(photos).shot(rng, int(rng.integers(1, 134)), 0.25)
    y, x, height, width = shot.window
    rows, columns = np.mgrid[y : y + height, x : x + width].astype(float)
    expected, _ = blur.trajectories(motion, torch.from_numpy(np.stack([columns, rows], -1)), bench.FRAME_SIZE)
    found = shot.trajectories()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_a_crop_is_the_window_of_the_whole_exposure(photos, seed):
    """Against `blur.expose` in double precision with the same draws; single precision moves hardly a value."""
    source = bench.Photographs(photos)
    blurred, sharp = source.crop(np.random.default_rng(seed), 64, 0.25)
    rng = np.random.default_rng(seed)
    scene, origin, window = source.window(rng, 64, 0.25)
    motion = bench.random_motion(rng, str(rng.choice(bench.KIND_CYCLE)), bench.TRAIN_PATH_PX)
    exposure = blur.expose(scene / torch.tensor(255.0, dtype=torch.float64), motion, origin, bench.FRAME_SIZE, window)
    assert (sharp == exposure.sharp.permute(1, 2, 0).numpy()).all()
    difference = np.abs(blurred.astype(int) - exposure.blurred().permute(1, 2, 0).numpy())
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def drawn(seed, kind="local"):
    return bench.random_motion(np.random.default_rng(seed), kind, bench.TRAIN_PATH_PX)


def middle_path(motion):
    """(T, 2) where the frame's middle is seen, relative to the exposure's middle."""
    centre = torch.tensor([[[side - 1 for side in bench.FRAME_SIZE[::-1]]]], dtype=torch.float64) / 2
    return (blur.camera_points(motion.poses, centre, bench.FRAME_SIZE, None) - centre)[:, 0, 0].numpy()


@pytest.mark.parametrize("seed", range(8))
def test_a_straight_motion_is_even_and_moves_nothing_else(seed):
    motion = drawn(seed, "straight")
    steps = np.diff(middle_path(motion), axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-9)
    low, high = bench.TRAIN_PATH_PX
    assert low <= np.hypot(*steps.T).sum() <= high
    assert blur.longest_step(motion, bench.FRAME_SIZE) < 1
    assert motion.kind == "straight"
    assert not motion.poses[:, 2:].any()
    assert motion.blob is None
    assert not motion.cut
    as_it_is = bench.simplified(motion, bench.CURRICULUM["variety"][0])
    np.testing.assert_allclose(as_it_is.poses, motion.poses, atol=1e-9)


def test_straight_motion_has_every_direction_and_length():
    rng = np.random.default_rng(0)
    motions = [bench.random_motion(rng, "straight", bench.TRAIN_PATH_PX) for _ in range(1000)]
    shifts = np.array([np.subtract(*middle_path(motion)[[-1, 0]]) for motion in motions])
    lengths, turns = np.hypot(*shifts.T), np.arctan2(shifts[:, 1], shifts[:, 0]) / np.pi
    for values, low, high in ((lengths, *bench.TRAIN_PATH_PX), (turns, -1, 1)):
        spread = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        np.testing.assert_allclose(spread, np.linspace(low, high, 5), atol=0.08 * (high - low))


@pytest.mark.parametrize("seed", range(8))
def test_a_training_begins_with_even_shifts_along_the_nearer_axis(seed):
    motion = drawn(seed)
    first = bench.simplified(motion, bench.CURRICULUM["direction"][0])
    assert not first.poses[:, 2:].any()
    assert not first.object_path.any()
    path, own = middle_path(first), np.ptp(middle_path(motion)[[0, -1]], axis=0)
    along, across = np.argsort(-own)
    np.testing.assert_allclose(path[:, across], 0, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.diff(path[:, along])), bench.FIRST_PATH_PX / (len(path) - 1))


@pytest.mark.parametrize("seed", range(8))
def test_directions_spread_before_lengths(seed):
    motion = drawn(seed)
    path, own = (middle_path(m) for m in (bench.simplified(motion, bench.CURRICULUM["length"][0]), motion))
    drift, wanted = path[-1] - path[0], own[-1] - own[0]
    np.testing.assert_allclose(drift / bench.FIRST_PATH_PX, wanted / np.hypot(*wanted), atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_then_shifts_have_the_direction_and_the_length_of_the_motion(seed):
    motion = drawn(seed)
    shift = bench.simplified(motion, bench.CURRICULUM["variety"][0])
    assert not shift.poses[:, 2:].any()
    path, own = middle_path(shift), middle_path(motion)
    drift, wanted = path[-1] - path[0], own[-1] - own[0]
    assert np.hypot(*drift) == pytest.approx(np.hypot(*np.diff(own, axis=0).T).sum())
    np.testing.assert_allclose(drift / np.hypot(*drift), wanted / np.hypot(*wanted), atol=1e-9)
    assert blur.longest_step(shift, bench.FRAME_SIZE) < 1.01
    np.testing.assert_allclose(path[len(path) // 2], 0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_in_the_end_motion_is_as_it_is_and_comes_there_evenly(seed):
    motion, (start, end) = drawn(seed), bench.CURRICULUM["variety"]
    assert bench.simplified(motion, end) is motion
    shift, half = (bench.simplified(motion, progress) for progress in (start, (start + end) / 2))
    np.testing.assert_allclose(half.poses, (shift.poses + motion.poses) / 2)
    np.testing.assert_allclose(half.object_path, motion.object_path / 2)
    for name in ("blob", "cut"):
        assert getattr(half, name) == getattr(motion, name)


SHARES = [
    (0.0, 0, 0, 0),
    (0.05, 0, 0, 0),
    (0.0575, 0.25, 0, 0),
    (0.065, 0.5, 0, 0),
    (0.08, 1, 0, 0),
    (0.1, 1, 0, 0),
    (0.112, 1, 0.2, 0),
    (0.13, 1, 0.5, 0),
    (0.16, 1, 1, 0),
    (0.2, 1, 1, 0),
    (0.2375, 1, 1, 0.25),
    (0.275, 1, 1, 0.5),
    (0.3425, 1, 1, 0.95),
    (0.35, 1, 1, 1),
    (1.0, 1, 1, 1),
]
"""Of the training; of directions, of lengths and of all else that has come in by then."""


@pytest.mark.parametrize(("progress", "direction", "length", "variety"), SHARES)
@pytest.mark.parametrize("seed", range(4))
def test_each_part_of_the_curriculum_has_its_time(seed, progress, direction, length, variety):
    motion = drawn(seed)
    found = bench.simplified(motion, progress)
    own = middle_path(motion)
    x, y = own[-1] - own[0]
    angle = np.degrees(np.arctan2(y, x))
    nearest = 90 * np.rint(angle / 90)
    angle = np.radians(nearest + direction * (angle - nearest))
    pixels = 6 + length * (np.hypot(*np.diff(own, axis=0).T).sum() - 6)
    path = np.linspace(-pixels / 2, pixels / 2, len(own))[:, None] * [np.cos(angle), np.sin(angle)]
    even = np.hstack([path, np.zeros((len(own), 4))])
    np.testing.assert_allclose(found.poses, even + variety * (motion.poses - even), atol=1e-9)
    np.testing.assert_allclose(found.object_path, variety * motion.object_path, atol=1e-9)


@pytest.mark.parametrize("step", [0, 20, 45, 70, 99])
def test_a_batch_is_as_far_in_the_curriculum_as_the_training(step, photos, monkeypatch):
    """Of 100 steps."""
    told, true = [], bench.simplified
    monkeypatch.setattr(bench, "simplified", lambda motion, progress: told.append(progress) or true(motion, progress))
    bench.Batches(bench.Photographs(photos), 40, 2, 5, steps=100).drawn(step)
    assert told == [step / 100] * 2


def test_crops_grow_and_batches_shrink_where_the_recipe_says(photos):
    batches = bench.Batches(bench.Photographs(photos), 24, 8, 5, steps=100, growth={0.6: 2})
    sizes = {step: batches.exposed(batches.drawn(step))[0].shape for step in (0, 59, 60, 99)}
    assert sizes == {0: (8, 3, 24, 24), 59: (8, 3, 24, 24), 60: (2, 3, 48, 48), 99: (2, 3, 48, 48)}
    endless = replace(batches, steps=0)  # without a curriculum the training is at its end from the first step on
    assert len(endless.drawn(0)) == 2
    halves = [replace(batches, rank=rank, world=2).drawn(99) for rank in (0, 1)]
    for (shot, draws), (whole, expected) in zip(halves[0] + halves[1], batches.drawn(99), strict=True):
        assert torch.equal(shot.near, whole.near)
        assert draws == expected
    with pytest.raises(ValueError, match=r"batch 6 .* choose a multiple of 4"):
        replace(batches, batch=6)


def test_batches_go_through_the_curriculum(photos):
    """At the first step of many only axes, at the last all motion; a training without one has all of it at once."""
    how = (bench.Photographs(photos), 40, 6, 5, 0.25)
    early, late = (bench.Batches(*how, steps=100).drawn(step) for step in (0, 99))
    for shot, _ in early:
        x, y = (shot.matrices[-1] - shot.matrices[0])[:2, 2].abs().tolist()
        assert min(x, y) < 1e-3
        assert max(x, y) == pytest.approx(bench.FIRST_PATH_PX, abs=1e-3)
    for (shot, _), (expected, _) in zip(late, bench.Batches(*how).drawn(99), strict=True):
        torch.testing.assert_close(shot.matrices, expected.matrices)


def test_trainings_of_one_process_share_what_is_decoded_until_it_changes(tmp_path, mini_root, monkeypatch):
    decoded, read = [], bench.read_image
    monkeypatch.setattr(bench, "read_image", lambda path: decoded.append(path.name) or read(path))
    data = copies.open_data(mini_root)

    def scenes(seed):
        plan = runs.Plan(data, "attentive", scale="bench", seed=seed, photos=str(tmp_path))
        return plan.assembled(torch.device("cpu")).batches.source.scenes

    cv2.imwrite(str(tmp_path / "a.png"), np.full((400, 500, 3), 9, np.uint8))
    assert scenes(0) is scenes(1)
    assert decoded == ["a.png"]
    cv2.imwrite(str(tmp_path / "b.png"), np.full((400, 500, 3), 9, np.uint8))
    assert len(scenes(0)) == len(bench.SCENES["train"]) + 2
    assert decoded == ["a.png", "a.png", "b.png"]


def test_a_planned_training_has_its_curriculum_over_all_its_steps():
    plan = runs.Plan(copies.open_data(scale="bench"), "attentive", scale="bench")
    assert plan.assembled(torch.device("cpu")).batches.steps == plan.recipe.steps


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("rank", [0, 1])
def test_batches_exposed_on_the_device_are_those_of_every_other_source(photos, rank, workers):
    """Same draws, same pixels, same flips, whoever exposes them, also for the second of two processes."""
    how = (bench.Photographs(photos), 40, 6, 5, 0.25, ("flip_ud", "flip_lr", "rot90"), rank, 2)
    plain, exposed = loading.Batches(*how), bench.Batches(*how)
    for step, found in enumerate(exposed.loader(7, 10, workers), 7):
        for image, expected in zip(found, plain[step], strict=True):
            assert image.shape == (3, 3, 40, 40)
            torch.testing.assert_close(image, expected, atol=0, rtol=0)
    assert step == 9


def test_windows_with_detail_are_preferred(photos):
    """A scene that is half sky and half leaves: of four windows one nearly always sees leaves."""
    leaves = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 400, 520), dtype=np.uint8))
    leaves[:, :, :260] = 128
    source = bench.Photographs()
    source.__dict__["scenes"] = [leaves]
    seen = []
    for seed in range(60):
        scene, (left, top), (y, x, height, width) = source.window(np.random.default_rng(seed), 64, 0.0)
        seen.append(bool(scene[:, top + y : top + y + height, left + x : left + x + width].float().std() > 1))
    assert sum(seen) >= 57


def test_crops_stay_inside_the_scene_for_many_draws(photos):
    source = bench.Photographs(photos)
    for seed in range(60):
        blurred, sharp = source.crop(np.random.default_rng([9, seed]), 32, 0.5)
        assert blurred.shape == sharp.shape == (32, 32, 3)


def test_photographs_are_found_reduced_and_named(photos):
    source = bench.Photographs(photos)
    assert list(source.files) == ["a.png", "b/c.jpg"]
    shapes = [tuple(scene.shape[1:]) for scene in source.scenes[len(bench.SCENES["train"]) :]]
    assert shapes == [(400, 520), (550, 600)]  # the second is halved until it has at most 1080 rows
    assert set(source.manifest) == {"a.png", "b/c.jpg"}
    other = dict(source.manifest) | {"a.png": "0" * 64}
    assert bench.fingerprint(other) != source.fingerprint == bench.fingerprint(source.manifest)
    assert bench.Photographs().manifest == {}


def test_unusable_photographs_are_named(tmp_path):
    with pytest.raises(official.DataError, match="no photographs found"):
        _ = bench.Photographs(tmp_path).scenes
    Image.new("RGB", (470, 300)).save(tmp_path / "low.png")
    with pytest.raises(official.DataError, match=r"low\.png: smaller than 358x486"):
        _ = bench.Photographs(tmp_path).scenes
    (tmp_path / "low.png").write_bytes(b"")
    with pytest.raises(official.DataError, match=r"low\.png"):
        _ = bench.Photographs(tmp_path).scenes


def test_trainings_take_the_photographs_of_the_folder_if_there_is_one(photos, tmp_path, mini_root, monkeypatch):
    data = copies.open_data(mini_root)
    monkeypatch.setenv("DEBLUR_PHOTOS", str(tmp_path / "none"))
    bundled = runs.Plan(data, "attentive", scale="bench")
    assert bundled.photographs == bench.Photographs()
    with pytest.raises(official.DataError, match="no photographs found"):
        _ = runs.Plan(data, "attentive", scale="bench", photos=str(tmp_path / "none")).key
    monkeypatch.setenv("DEBLUR_PHOTOS", str(photos))
    found = runs.Plan(data, "attentive", scale="bench")
    assert found.photographs.folder == photos
    assert found.key == runs.Plan(data, "attentive", scale="bench", photos=str(photos)).key != bundled.key


@pytest.mark.parametrize("what", ["leaves", "photographs"])
def test_what_there_is_to_train_on_lies_where_trainings_look(what, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_PHOTOS", str(tmp_path))
    monkeypatch.setattr("deblur.data.debian.fetch", lambda out, split, progress: out.mkdir())
    assert cli.main(["data", what, *(["--count", "1"] if what == "leaves" else [])]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / what)]
    assert (tmp_path / what).is_dir()
