"""Figures of RAID-Net: what they compute is checked in numbers, what they draw by what stands on the axes."""

from itertools import pairwise

import numpy as np
import pandas as pd
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
    texts = [axis.get_xlabel() for axis in figure.axes]
    assert texts[:3] == ["blurred", "|LRR|", "cause" if known else ""]
    wanted = [f"head {i}: {mask.min():.2f} to {mask.max():.2f}" for i, mask in enumerate(masks, 1)]
    assert [text for text in texts if text.startswith("head ")] == wanted


def test_figure_3_shows_the_graph_as_it_is():
    difference, adjacency, nodes = RNG.random((6, 8)), RNG.random((8, 8)), RNG.random((48, 8))
    figure = raidnet.figure3_graph(difference, adjacency, nodes)
    drawn = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    for found, expected in zip(drawn, (difference, adjacency, nodes)):
        np.testing.assert_array_equal(found, expected)


def scores(offset, sampling=30.0):
    return pd.DataFrame(
        {
            "name": ["a", "b"],
            "psnr_db": [30.0 + offset, 32.0 + offset],
            "psnr_db_global": [30.0 + 2 * offset, 32.0],
            "psnr_db_local": [np.nan, 28.0 - offset],
            "psnr_db_sampling": [sampling + offset, np.nan],
        }
    )


def test_gains_by_region_are_means_over_images_that_have_it():
    found = raidnet.gains_by_region(scores(0), {"coarse": scores(0.5), "final": scores(1)[::-1]})
    assert list(found["image"]) == ["coarse", "final"]
    final = found.iloc[1]
    assert final[["gain_db_all", "gain_db_global", "gain_db_local", "gain_db_sampling"]].tolist() == [1, 1, -1, 1]
    added = raidnet.additions(found, {"stage 2": ("coarse", "final")}).iloc[0]
    assert added.tolist() == ["stage 2", 0.5, 0.5, -0.5, 0.5, "global"]
    axis = raidnet.gains(found).axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == pytest.approx([0.5, 0.5, -0.5, 0.5, 1, 1, -1, 1])


def test_gains_without_known_kinds():
    plain = [scores(offset)[["name", "psnr_db"]] for offset in (0, 1)]
    found = raidnet.gains_by_region(plain[0], {"final": plain[1], "coarse": plain[0]})
    assert found.columns.tolist() == ["image", "gain_db_all"]
    assert raidnet.additions(found, {"stage 2": ("coarse", "final")}).iloc[0].tolist() == ["stage 2", 1]
    assert [bar.get_height() for bar in raidnet.gains(found).axes[0].patches] == [1, 0]


def test_overlap_of_masks_with_regions():
    label = labels()
    local, flat = (label == 1).astype(float), np.ones_like(label, dtype=float)
    rows = pd.DataFrame(raidnet.overlap(np.stack([local, flat]), label)).set_index(["head", "kind"])
    share = local.mean()
    assert rows.loc[(1, "local"), "lift"] == pytest.approx(1 / share)
    assert rows.loc[(1, "local"), "iou"] == pytest.approx(1)
    assert rows.loc[(1, "sampling"), "lift"] == 0
    assert rows.loc[2, "lift"].tolist() == pytest.approx([1, 1, 1])
    assert len(rows) == 6
    assert raidnet.overlap(local[None], np.zeros_like(label)) == []  # one kind everywhere tells nothing


def test_the_control_pairs_masks_with_other_images():
    """Masks that know their image have a lift that their control lacks; a mask that only likes the border keeps it."""
    shifted = np.roll(labels(), 25, axis=0)
    both = [labels(), shifted]
    knowing = [np.stack([(label == 1) + 0.01, np.arange(64)[None].repeat(48, 0) < 5]) for label in both]
    table = raidnet.overlap_table(knowing, both).set_index("head")
    assert table.loc[1, "lift_local"] > 3
    assert table.loc[1, "lift_local_control"] < 1
    assert table.loc[2, "lift_sampling"] == pytest.approx(table.loc[2, "lift_sampling_control"])
    assert raidnet.overlap_table(knowing, [np.zeros((48, 64), np.uint8)] * 2).empty
