"""Figures of RAID-Net: what they compute is checked in numbers, what they draw by what stands on the axes."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib import pyplot

from deblur.data import blur
from deblur.figures import raidnet

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def photograph(height=48, width=64):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def labels(height=48, width=64):
    """Sampling blur along the left border, a local square inside, global elsewhere."""
    label = np.zeros((height, width), np.uint8)
    label[10:31, 30:51] = 1
    label[:, :5] = 2
    return label


def test_kinds_are_those_of_the_label_maps():
    assert raidnet.KINDS == blur.KINDS


def test_the_worst_pixel_of_each_region():
    sharp, label = photograph() // 2, labels()
    blurred = sharp.copy()
    places = {"global": (40, 12), "local": (20, 40), "sampling": (24, 0)}
    for y, x in places.values():
        blurred[y - 3 : y + 4, max(x - 3, 0) : x + 4] += 100
    assert raidnet.worst(sharp, blurred, label) == places
    assert set(raidnet.worst(sharp, blurred, np.zeros_like(label))) == {"global"}


def test_label_maps_in_colours():
    shown = raidnet.coloured(np.array([[0, 1], [2, 0]]))
    assert shown.shape == (2, 2, 3)
    assert len({tuple(colour) for colour in shown.reshape(-1, 3)}) == 3


def test_figure_1_shows_one_region_of_each_kind():
    sharp, blurred, label = photograph(), photograph(), labels()
    trajectories = RNG.normal(size=(7, 48, 64, 2))
    axes = {axis.get_title(): axis for axis in raidnet.figure1(sharp, blurred, label, trajectories, side=16).axes}
    crops = [f"{kind}, {title}" for kind in raidnet.KINDS for title in ("sharp", "blurred")]
    space, *rest = axes
    assert rest == ["sharp", "blurred", "cause of the blur", *crops]
    lines = axes[space].lines
    assert len(lines) == 6  # each trajectory and its shadow
    y, x = raidnet.worst(sharp, blurred, label)["local"]
    top, left = (int(np.clip(c - 8, 0, side - 16)) for c, side in zip((y, x), (48, 64)))
    window = (slice(top, top + 16), slice(left, left + 16))
    np.testing.assert_allclose(lines[2].get_data_3d()[0], trajectories[:, y, x, 0] - x)
    np.testing.assert_array_equal(axes["local, blurred"].images[0].get_array(), blurred[window])
    np.testing.assert_array_equal(axes["local, sharp"].images[0].get_array(), sharp[window])


def test_figure_2_splits_the_stages_at_the_coarse_image():
    names = ["blurred", "stages_0_enc1", "stages_0_dec1", "stages_1_enc1", "lrr", "add", "stages_1_dec1"]
    edges = [*pairwise(names), ("stages_1_enc1", "add")]
    graph = ({name: f"{name}\n3x8x8" for name in names}, edges)
    coarse, refine, block = raidnet.figure2(graph, graph)
    texts = [[text.get_text().split("\n")[0] for text in figure.axes[0].texts] for figure in (coarse, refine, block)]
    assert [[text for text in part if text] for part in texts] == [names[:3], names[2:], names]
    assert [part.count("") for part in texts] == [2, 5, 7]  # arrows


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("heads", [8, 6])
def test_figure_3_shows_every_mask_with_its_range(known, heads):
    masks = RNG.random((heads, 12, 16))
    figure = raidnet.figure3_masks(photograph(), labels() if known else None, masks, RNG.random((12, 16)))
    titles = {axis.get_title(): [text.get_text() for text in axis.texts] for axis in figure.axes if axis.get_title()}
    heads_wanted = [f"head {i}" for i in range(1, heads + 1)]
    assert list(titles) == ["blurred", *(["cause"] if known else []), "|LRR|", *heads_wanted]
    assert [titles[head] for head in heads_wanted] == [[f"{m.min():.2g}", f"{m.max():.2g}"] for m in masks]


def test_figure_3_shows_the_graph_as_it_is():
    difference, adjacency, nodes = RNG.random((6, 8)), RNG.random((8, 8)), RNG.random((48, 8))
    figure = raidnet.figure3_graph(difference, adjacency, nodes)
    drawn = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    for found, expected in zip(drawn, (difference, adjacency, nodes)):
        np.testing.assert_array_equal(found, expected)
