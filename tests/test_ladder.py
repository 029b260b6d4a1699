"""The ladder: even shifts alone, directions spread, and the exam's photographs to score on."""

from collections import Counter

import numpy as np
import pytest
import torch
from test_study import photographs  # noqa: F401  # a fixture

from deblur import evaluation, recipes, runs
from deblur.data import bench, bundled, copies, debian, ladder, official, study

RUNGS = tuple(ladder.RUNGS)


def test_recipes_and_data_have_the_same_rungs():
    assert recipes.RUNGS == RUNGS
    assert {f"{rung}-gopro" for rung in RUNGS} == set(ladder.COPIES)


def ends(motion):
    """What the camera moved from start to end, (x, y) in px, by its poses alone."""
    return motion.poses[-1, :2] - motion.poses[0, :2]


@pytest.mark.parametrize("rung", RUNGS)
def test_a_rung_shifts_evenly_by_its_lengths_and_directions(rung):
    rng = np.random.default_rng(0)
    motions = [ladder.RUNGS[rung](rng, (k + 0.5) / 40) for k in range(40)]
    lengths = [np.hypot(*ends(motion)) for motion in motions]
    low, high = bench.PATH_PX if rung == "lengths" else (ladder.LENGTH_PX, ladder.LENGTH_PX)
    assert low - 1e-9 <= min(lengths) <= max(lengths) <= high + 1e-9
    assert rung != "lengths" or max(lengths) - min(lengths) > 5
    angles = [np.degrees(np.arctan2(*ends(motion)[::-1])) % 180 for motion in motions]
    if rung == "axes":
        assert Counter(np.round(angles).tolist()) == {0: 20, 90: 20}
    else:
        np.testing.assert_allclose(np.sort(angles), 4.5 * np.arange(40) + 2.25, atol=1e-6)
    for motion in motions:
        assert not motion.poses[:, 2:].any()
        assert np.ptp(np.diff(motion.poses[:, :2], axis=0), axis=0).max() < 1e-12
        assert np.hypot(*np.diff(motion.poses[:, :2], axis=0).T).max() < 1


@pytest.mark.parametrize("rung", RUNGS)
def test_training_crops_are_line_kernels_applied_to_their_scene(rung):
    source = ladder.Photographs(None, rung)
    shot = source.shot(np.random.default_rng(3), 64, 0.25)
    blurred, sharp = shot.expose()
    places = shot.trajectories()
    assert places.shape[1:] == (64, 64, 2)
    moved = (places[-1] - places[0]).reshape(-1, 2)
    assert float((moved - moved[0]).abs().max()) < 1e-3  # every pixel alike
    near = shot.near.double()
    rows, columns = (torch.arange(64) + bench.MARGIN for _ in range(2))
    centre = places[:, 0, 0] - places[:, 0, 0].mean(0)
    exposed = torch.zeros(3, 64, 64, dtype=torch.float64)
    for x, y in centre.double().tolist():  # bilinear by hand
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        for dy, wy in ((0, y0 + 1 - y), (1, y - y0)):
            for dx, wx in ((0, x0 + 1 - x), (1, x - x0)):
                exposed += wx * wy * near[:, rows + y0 + dy][:, :, columns + x0 + dx] / len(centre)
    assert float((exposed - blurred).abs().max()) < 1.01
    assert torch.equal(sharp, shot.near[:, bench.MARGIN : -bench.MARGIN, bench.MARGIN : -bench.MARGIN])


@pytest.mark.parametrize("rung", RUNGS)
def test_a_rung_shows_validation_scenes_and_the_exam(rung, photographs, monkeypatch):  # noqa: F811
    monkeypatch.setattr(ladder, "PAIRS", {"validation": 1, "test": 2})
    copy = ladder.COPIES[f"{rung}-gopro"]
    monkeypatch.setitem(bundled.COPIES, f"{rung}-gopro", copy._replace(counts={"validation": 4, "test": 4}))
    data = copies.open_data(scale=rung)
    assert (data.bundled, data.study) == (rung, False)
    assert Counter(map(evaluation.parts.scene, data.pairs("test"))) == {"a": 2, "b": 2}
    assert sorted(map(evaluation.parts.scene, data.validation())) == sorted(bench.SCENES["validation"])
    for pair in data.pairs("test"):
        blurred, sharp = official.read_pair(pair)
        assert blurred.shape == sharp.shape == (*study.SCALES["bench"].size, 3)
        assert official.read_kind(pair) == "straight"
    paths = [official.read_truth(pair)["path_px"].mean() for pair in data.pairs("test")]
    assert np.allclose(paths, ladder.LENGTH_PX, atol=0.01) or rung == "lengths"
    plan = runs.Plan(data, "attentive", scale=rung, budget="study")
    assert plan.recipe.data == rung
    assert plan.window == plan.recipe.crop == 64
    assert "photographs" in plan.content


def test_a_training_on_a_rung_may_not_see_the_exam(photographs):  # noqa: F811
    with pytest.raises(official.DataError, match="of the study exam"):
        _ = ladder.Photographs(debian.home("exam")).files


def test_windows_are_restored_each_by_itself():
    class Mean(torch.nn.Module):
        def forward(self, image):
            return (image.mean((2, 3), keepdim=True).expand_as(image),)

    image = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    restored = evaluation.windowed(Mean(), 6)(image)
    for y in (0, 6):
        for x in (0, 6, 12):
            window = image[y : y + 6, x : x + 6] / 255
            np.testing.assert_allclose(
                restored[y : y + 6, x : x + 6], np.broadcast_to(window.mean((0, 1)), (6, 6, 3)), rtol=1e-6
            )
    with pytest.raises(ValueError, match="12x18 has no whole windows of 8"):
        evaluation.windowed(Mean(), 8)(image)
