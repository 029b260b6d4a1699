"""Dead leaves: sizes of the promised law, outlines within their radius, pictures covered, sharp and made again."""

import numpy as np
import pytest
from PIL import Image

from deblur import cli
from deblur.data import bench, leaves


@pytest.fixture(scope="module")
def scenes():
    return [np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)]


def test_radii_follow_the_inverse_cube():
    """P(R > r) = (r^-2 - b^-2) / (a^-2 - b^-2) between the smallest a and the largest b."""
    found = leaves.radii(np.random.default_rng(0), 20000)
    low, high = leaves.RADII_PX
    assert low <= found.min()
    assert found.max() <= high
    for radius in (1.2 * low, 2 * low, 5 * low):
        expected = (radius**-2 - high**-2) / (low**-2 - high**-2)
        assert (found > radius).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 20000))


def test_outlines_stay_within_their_radius_and_reach_it_sometimes():
    rng = np.random.default_rng(1)
    reached = []
    for _ in range(300):
        radius = rng.uniform(1, 100)
        corners = leaves.outline(rng, radius)
        assert corners.shape[1] == 2
        assert len(corners) >= 3
        reached.append(np.hypot(*corners.T).max() / radius)
    assert max(reached) <= 1 + 1e-9
    assert min(reached) >= 0.5  # a polygon's corners
    assert np.median(reached) > 0.95


def test_a_leaf_covers_what_lies_in_it_and_nothing_beyond():
    """A square with whole corners: full inside, untouched outside, mixed on its edge."""
    white = [np.full((4, 4, 3), 255, np.uint8)]
    for seed in range(20):
        canvas = np.full((40, 60, 3), 100, np.uint8)
        leaves.drop(np.random.default_rng(seed), canvas, np.array([[10, 8], [30, 8], [30, 20], [10, 20]]), white)
        assert (canvas[9:20, 11:30] == 255).all()
        outside = np.ones((40, 60), bool)
        outside[7:22, 9:32] = False
        assert (canvas[outside] == 100).all()
        assert canvas.min() == 100


@pytest.mark.parametrize("shift", [(-500, 0), (0, 500), (61, 0), (0, -31)])
def test_a_leaf_beside_the_canvas_changes_nothing(scenes, shift):
    canvas = np.full((40, 60, 3), 7, np.uint8)
    corners = np.array([[0, 0], [10, 0], [10, 29], [0, 29.0]]) + shift
    leaves.drop(np.random.default_rng(0), canvas, corners, scenes)
    assert (canvas == 7).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 2), (70, 150)])
def test_insides_fit_and_keep_to_the_range_of_colours(scenes, size):
    for seed in range(40):
        found = leaves.inside(np.random.default_rng(seed), *size, scenes)
        assert found.shape == (*size, 3)
        assert found.min() >= 0
        assert found.max() <= 255


def test_a_picture_is_covered_sharp_and_the_same_for_the_same_seed():
    white = [np.full((4, 4, 3), 255, np.uint8)]
    for number in (7, 8):  # whose leaves leave gaps
        assert (leaves.picture(np.random.default_rng([0, number]), white) == 255).all()
    scenes = [bench.native_scene(name) for name in bench.SCENES["train"]]
    first, again, other = (leaves.picture(np.random.default_rng(seed), scenes, (360, 500)) for seed in (3, 3, 4))
    assert first.shape == (360, 500, 3)
    assert (first == again).all()
    assert (first != other).any()
    steps = np.abs(np.diff(first.astype(int), axis=1)).max(2)
    assert (steps > 60).mean() > 0.01  # edges within one pixel


def test_the_command_writes_what_training_takes_and_refuses_an_old_folder(tmp_path, capsys):
    out = tmp_path / "sharp"
    assert cli.main(["data", "leaves", "--out", str(out), "--count", "2", "--seed", "5"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["leaves-0000.png", "leaves-0001.png"]
    assert Image.open(out / "leaves-0001.png").size == leaves.SIZE[::-1]
    blurred, sharp = bench.Photographs(out).crop(np.random.default_rng(0), 64, 0.25)
    assert (blurred != sharp).any()
    assert cli.main(["data", "leaves", "--out", str(out)]) != 0
    assert "is already there" in capsys.readouterr().err
    with pytest.raises(ValueError, match="count must be 1 or more"):
        leaves.write_leaves(tmp_path / "none", 0)
