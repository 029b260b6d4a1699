"""Figures: what they compute is checked in numbers, what they draw by looking at pixels."""

import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from PIL import Image

from deblur import figures, tables
from deblur.figures import attentive, networks

RNG = np.random.default_rng(7)


def photograph(height=60, width=80):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def maps(blocks=3):
    labels = [f"{side} {i}" for side in ("encoder", "decoder") for i in range(1, blocks + 1)]
    return {label: RNG.random((15, 20)) for label in labels}


def test_heat_is_even_to_the_eye_and_grey_where_all_is_equal():
    colours = figures.heat(np.arange(5.0)[None])[0]
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0.05).all()  # brighter with every step: also in print
    for value in (0.0, 0.5, 7.0):
        np.testing.assert_array_equal(figures.heat(np.full((3, 3), value)), 0.5)
    assert figures.heat(np.eye(3), (6, 9)).shape == (6, 9, 3)


def test_a_map_has_its_range_below_it_or_is_grey():
    own, given = figures.Map(np.array([[0.25, 0.75]])), figures.Map(np.full((2, 2), 3.0), 0.0, 12.0, "px")
    flat = figures.Map(np.array([[0.500, 0.501]]))
    axes = figures.panels([[own, given, flat]]).axes[:3]
    texts = [{text.get_text() for text in axis.texts} for axis in axes]
    assert texts == [{"0.25", "0.75"}, {"0 px", "12 px"}, {"constant, 0.5"}]
    assert [axis.images[0].get_clim() for axis in axes[:2]] == [(0.25, 0.75), (0, 12)]
    np.testing.assert_array_equal(axes[2].images[0].get_array(), 0.5)
    assert [len(axis.child_axes) for axis in axes] == [1, 1, 0]
    pyplot.close("all")


def luminance(colour):
    """As WCAG defines it, of a colour that matplotlib knows."""
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def test_the_ground_of_figures_is_legible_and_no_slab_of_light():
    paper, ink = luminance(figures.PAPER), luminance(figures.INK)
    assert (paper + 0.05) / (ink + 0.05) > 7
    for colour in (networks.PAPERS, networks.OTHERS):  # names are written in them
        assert (paper + 0.05) / (luminance(colour) + 0.05) > 4.5
    assert paper < 0.75


def test_save_and_show_write_one_png(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))
    pyplot.close("all")  # what other tests left
    shown = figures.show(figures.panels([[photograph()]]), "smoke", "attentive", "fig1", "one photograph")
    path = tables.folder("smoke", "attentive") / "figures" / "fig1.png"
    assert shown.data[:2] == b"\xff\xd8"  # a JPEG, for the notebook
    assert Image.open(path).format == "PNG"
    assert (
        Image.open(path).convert("RGB").getpixel((0, 0))
        == (0xD9, 0xD9, 0xD9)
        == tuple(round(255 * value) for value in to_rgb(figures.PAPER))
    )
    assert [p.name for p in path.parent.iterdir()] == ["fig1.png"]
    assert not pyplot.get_fignums()


def test_what_holds_no_image_is_shown_as_vectors(tmp_path, monkeypatch):
    """The same bytes each time, letters as outlines, on the ground of all figures, with its description."""
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))

    def shown():
        return figures.show(figures.diagram({"a": "a\n3x8x8"}, [], "t"), "smoke", "attentive", "fig2", "a <box>").data

    start, code = re.fullmatch(r'(<img alt=".+" src="data:image/svg\+xml,)([^"]+)">', shown()).groups()
    assert start.startswith('<img alt="a &lt;box&gt;"')
    drawing = unquote(code)
    ElementTree.fromstring(drawing)
    assert "<image" not in drawing
    assert "<text" not in drawing
    assert f"fill: {figures.PAPER}" in drawing
    assert shown() == shown()
    assert (tables.folder("smoke", "attentive") / "figures" / "fig2.png").is_file()  # as all figures are kept
    assert not pyplot.get_fignums()


def test_panels_show_the_images_they_are_given():
    image = photograph()
    figure = figures.panels([[image, None], [image, image]], ["a", "b"], ["x", "y"])
    drawn = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(drawn) == 3
    np.testing.assert_array_equal(drawn[0], image)
    assert figure.axes[1].get_title() == "b"
    assert figure.axes[2].get_ylabel() == "y"


def test_test_pairs_are_shown_with_their_motion_where_it_is_known():
    images = [(photograph(), photograph())] * 2
    figure = figures.benchmark(images, [np.eye(60, 80), None], ["one", "two"])
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 1, 0]
    other = figures.benchmark(images, [np.eye(60, 80), 8 * np.eye(60, 80)], ["one", "two"])
    assert [axis.images[0].get_clim() for axis in other.axes[4:6]] == [(0, 8), (0, 8)]  # one scale
    assert len(figures.benchmark(images, [None, None], ["one", "two"]).axes) == 4
    pyplot.close("all")


def test_curves_show_each_term_and_only_the_steps_that_were_watched():
    log = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "mse": 1.0, "val_psnr_db": [np.nan, 20.0, 21.0]})
    left, right = figures.curves(log, ["loss", "mse"]).axes
    assert [line.get_label() for line in left.lines] == ["loss", "mse"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), [3, 2.5, 2])
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[2, 20], [3, 21]])
    assert not figures.curves(log.drop(columns="val_psnr_db"), ["loss"]).axes[1].lines
    assert {line.get_marker() for line in left.lines} == {"None"}
    (one,) = figures.curves(log[-1:], ["loss"]).axes[0].lines  # a line through one point would not be seen
    assert one.get_marker() == "."
    pyplot.close("all")


def test_diagram_draws_every_node_and_edge():
    nodes = {name: f"{name}\n3x8x8" for name in "abcdefghi"}
    edges = [("a", "b"), ("a", "c"), ("c", "i")]
    axis = figures.diagram(nodes, edges, "title", columns=4).axes[0]
    texts = [text.get_text() for text in axis.texts]
    assert [text for text in texts if text] == list(nodes.values())
    assert sum(text == "" for text in texts) == len(edges)
    assert len(axis.patches) == len(nodes)


def test_a_traced_network_is_drawn_as_a_u():
    nodes = {"a": "a\n3x8x8", "b": "b\n6x4x4", "c": "c\n9x2x2", "d": "d\n6x4x4", "e": "e\n3x8x8"}
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("b", "d"), ("a", "e")]
    axis = figures.u_shape(nodes, edges, "title").axes[0]
    centres = [tuple(np.round(patch.get_bbox().get_points().mean(0), 6)) for patch in axis.patches]
    assert centres == [(0, 0), (1, -1), (2, -2), (3, -1), (4, 0)]  # five wide: the bottom, and two levels on both sides
    pyplot.close("all")


def test_arrows_end_at_their_boxes():
    nodes = {name: f"{name}\n3x8x8" for name in "abc"}
    axis = figures.diagram(nodes, [("a", "b"), ("a", "c")], "title").axes[0]
    axis.figure.canvas.draw()
    straight, arc = (text.arrow_patch for text in axis.texts if not text.get_text())
    ends = axis.transData.inverted().transform(straight._get_path_in_displaycoord()[0][0].vertices)
    assert ends[:, 0].min() > 0.4
    assert ends[:, 0].max() < 0.6  # between the boxes at 0 and 1, 0.82 wide
    above = axis.transData.inverted().transform(arc._get_path_in_displaycoord()[0][0].vertices)[:, 1]
    assert above.min() > 0.2  # over the box between
    pyplot.close("all")


@pytest.mark.parametrize(("count", "rows"), [(3, [3]), (4, [4]), (5, [3, 2]), (8, [4, 4]), (9, [3, 3, 3])])
def test_images_stand_at_most_four_abreast(count, rows):
    laid = figures.abreast([*range(count)])
    assert [sum(cell is not None for cell in row) for row in laid] == rows
    assert len({len(row) for row in laid}) == 1
    assert [cell for row in laid for cell in row if cell is not None] == [*range(count)]


@pytest.mark.parametrize(("blocks", "wanted"), [(9, [2, 5, 8]), (3, [1, 2, 3]), (6, [1, 3, 5])])
def test_middle_blocks_are_those_of_figure_8(blocks, wanted):
    chosen = attentive.middle_blocks(maps(blocks))
    assert chosen == {side: [f"{side} {i}" for i in wanted] for side in ("encoder", "decoder")}


def test_crops_are_cut_at_the_same_place_and_stay_inside():
    images = [photograph(), photograph()]
    for centre in ((0, 0), (59, 79), (30, 40)):
        joined = figures.with_crops(images, centre, side=20)
        y, x = (int(np.clip(c - 10, 0, s - 20)) for c, s in zip(centre, (60, 80)))
        for image, one in zip(images, joined):
            np.testing.assert_array_equal(one[:, :80], image)
            np.testing.assert_array_equal(one[::3, 84::3], image[y : y + 20, x : x + 20])


def test_sharpest_difference_finds_the_damage():
    sharp = np.zeros((60, 80, 3), np.uint8)
    blurred = sharp.copy()
    blurred[38:43, 18:23] = 255
    assert np.abs(np.subtract(figures.sharpest_difference(blurred, sharp), (40, 20))).max() <= 1


def test_attention_statistics_are_correlations():
    blurred, sharp = photograph(), photograph()
    path = RNG.random((60, 80))
    rows = attentive.attention_statistics(
        {"up": path, "down": 1 - path, "flat": np.full((6, 8), 0.5)}, blurred, sharp, path
    )
    by_block = {row["block"]: row for row in rows}
    assert by_block["up"]["r_path"] == pytest.approx(1)
    assert by_block["down"]["r_path"] == pytest.approx(-1)
    assert np.isnan(by_block["flat"]["r_edges"])
    assert by_block["up"]["min"] == path.min()


def test_edges_are_found_by_the_edge_correlation():
    blurred = np.zeros((60, 80, 3), np.uint8)
    blurred[:, 40:] = 200
    edge = np.zeros((60, 80))
    edge[:, 39:41] = 1
    row = attentive.attention_statistics({"edge": edge}, blurred, blurred, np.zeros((60, 80)))[0]
    assert row["r_edges"] > 0.99
    assert np.isnan(row["r_residual"])


def test_comparison_writes_each_methods_psnr():
    case = {"blurred": photograph(), "ours": photograph(), "sharp": photograph()}
    figure = figures.comparison([case], [{"blurred": 20.126, "ours": 21.0}])
    assert [axis.get_xlabel() for axis in figure.axes] == ["blurred: 20.13 dB", "ours: 21.00 dB", "sharp"]
    pyplot.close("all")
