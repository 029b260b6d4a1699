"""The figures of the comparison show every method they are given, where its numbers are."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.text import Text

from deblur.figures import networks as draw


@pytest.fixture
def table():
    rows = {"method": ["A", "B", "C"], "gain_db": [1.2, 0.5, -0.1], "gain_db_lowest": [1.0, 0.4, -0.2]}
    rows |= {"gain_db_highest": [1.3, 0.6, 0.0], "gain_db_global": [1.5, 0.7, 0.1], "cost": [10.0, 100.0, np.nan]}
    return pd.DataFrame(rows)


def test_accuracy_against_cost_puts_methods_at_their_numbers(table):
    figure = draw.accuracy_against_cost({"one": table, "two": table}, ["A"], "cost", "cost in s")
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    axis = figure.axes[0]
    assert {text.get_text() for text in axis.texts} == {"A", "B"}  # C has no cost
    points = {(x, y) for line in axis.lines for x, y in zip(line.get_xdata(), line.get_ydata())}
    assert {(10.0, 1.2), (10.0, 1.0), (10.0, 1.3), (100.0, 0.5)} <= points
    colours = {text.get_text(): text.get_color() for text in axis.texts}
    assert set(colours) == {"A", "B"}
    pyplot.close(figure)


def test_what_was_not_trained_here_is_a_line_with_its_name(table):
    (axis,) = draw.accuracy_against_cost({"one": table}, ["A"], "cost", "cost in s", {"others": 3.0}).axes
    (line,) = (line for line in axis.lines if list(line.get_ydata()) == [3.0, 3.0])
    assert list(line.get_xdata()) == [0, 1]  # of the axes: from edge to edge
    (text,) = (text for text in axis.texts if text.get_text() == "others")
    assert text.xy[1] == 3.0
    pyplot.close("all")


@pytest.mark.parametrize("lines", [{}, {"far above": 9.0, "far below": -4.0}])
def test_names_of_nineteen_networks_do_not_cover_each_other(lines):
    gains = np.random.default_rng(0).uniform(0.9, 1.1, 19)
    table = pd.DataFrame({"method": [f"network {i}" for i in range(19)], "gain_db": gains, "cost": gains * 100})
    table = table.assign(gain_db_lowest=gains - 0.1, gain_db_highest=gains + 0.1)
    figure = draw.accuracy_against_cost({"one": table}, [], "cost", "cost in s", lines)
    figure.canvas.draw()
    named = [text for text in figure.axes[0].texts if text.get_text().startswith("network")]
    boxes = [Text.get_window_extent(text) for text in named]  # of an annotation it would hold the line too
    boxes.sort(key=lambda box: box.y0)
    assert len(boxes) == 19
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))
    pyplot.close("all")


def test_gain_by_kind_lists_methods_from_top_to_bottom(table):
    axis = draw.gain_by_kind({"one": table}, ["A"]).axes[0]
    labels = sorted(((label.get_position()[1], label) for label in axis.get_yticklabels()), key=lambda pair: -pair[0])
    assert [label.get_text() for _, label in labels] == ["A", "B", "C"]
    assert [label.get_color() == draw.PAPERS for _, label in labels] == [True, False, False]
    marks = {line.get_label(): list(line.get_xdata()) for line in axis.lines}
    assert marks["global"] == [1.5, 0.7, 0.1]
    assert "local" not in marks
    pyplot.close("all")


def test_gain_by_length_names_papers_and_bounds_only():
    rows = [(m, x, 1.0) for m in ("A", "B", "floor", "oracle") for x in (1.0, 2.0)]
    table = pd.DataFrame(rows, columns=["method", "path_px", "gain_db"])
    axis = draw.gain_by_length(table, ["A"], ["floor", "oracle"]).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["A", "floor", "oracle"]
    assert len([line for line in axis.lines if len(line.get_xdata()) == 2 and list(line.get_xdata()) == [1, 2]]) == 4
    pyplot.close("all")


def test_gallery_crops_all_alike_where_blur_does_harm():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (100, 180, 3), dtype=np.uint8)
    blurred = sharp.copy()
    blurred[70:90, 120:160] = 0
    images = {"blurred": blurred, "A": sharp // 2, "sharp": sharp}
    figure = draw.gallery(images, {"blurred": 20.0, "A": 25.0}, columns=2, side=40)
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_xlabel() for axis in shown] == ["blurred 20.00 dB", "A 25.00 dB", "sharp"]
    first, second, third = (axis.images[0].get_array() for axis in shown)
    assert first.shape == (40, 80, 3)
    assert (first == 0).all(-1).sum() > 500  # the harmed part is in view
    assert (second == third // 2).all()
    pyplot.close(figure)


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_spread_in_order_and_no_further_than_needed(seed):
    values = pd.Series(np.sort(np.random.default_rng(seed).normal(size=12).round(1)))
    heights = draw.spread(values, 0.05)
    assert (np.diff(heights) >= 0.05 * (1 - 1e-9)).all()
    apart = pd.Series([0.0, 1.0, 2.0])
    assert draw.spread(apart, 0.05).tolist() == [0, 1, 2]
