"""RADN's figures: statistics of offsets against hand-made fields, and that each figure shows what it is given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.text import Text

from deblur.figures import radn


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def test_widening_is_the_spread_between_outer_columns():
    rng = np.random.default_rng(0)
    offsets = rng.normal(size=(18, 4, 5))
    wanted = (offsets[[5, 11, 17]] - offsets[[1, 7, 13]]).mean(0)  # dx of the third and of the first column
    np.testing.assert_allclose(radn.widening(offsets), wanted)
    dilated = np.zeros((18, 2, 2))
    for tap in range(9):  # every tap moved one pixel away from the middle column: dilation by 2
        dilated[2 * tap + 1] = tap % 3 - 1
    np.testing.assert_array_equal(radn.widening(dilated), 2)


def test_magnitude_is_the_mean_length():
    rng = np.random.default_rng(1)
    offsets = rng.normal(size=(18, 3, 4))
    wanted = np.mean([np.linalg.norm(offsets[2 * tap : 2 * tap + 2], axis=0) for tap in range(9)])
    assert radn.magnitude(offsets) == pytest.approx(wanted)


def test_figure1_keeps_printed_and_measured_apart():
    table = pd.DataFrame(
        {
            "method": ["a", "b", "c"],
            "psnr_db_printed": ["30.1", "31.2", "32.0"],
            "runtime_ms_printed": ["100", "30", ""],
            "psnr_db_measured": [28.0, np.nan, 28.5],
            "runtime_ms_measured": [5.0, np.nan, 7.0],
        }
    )
    printed, measured = radn.figure1(table, "64x64").axes
    np.testing.assert_allclose(printed.collections[0].get_offsets(), [[100, 30.1], [30, 31.2]])
    np.testing.assert_allclose(measured.collections[0].get_offsets(), [[5, 28], [7, 28.5]])
    assert [(text.get_text(), text.xy) for text in measured.texts] == [("a", (5, 28)), ("c", (7, 28.5))]


@pytest.mark.parametrize("slowest_ms", [74.0, 180.0, 1500.0, 2000.0, 30000.0])
def test_figure1_names_two_runtimes_however_close_they_lie(slowest_ms):
    table = pd.DataFrame(
        {"method": ["a", "b"], "psnr_db_measured": [28.0, 28.5], "runtime_ms_measured": [60.0, slowest_ms]}
    )
    figure = radn.figure1(table.assign(psnr_db_printed=30.0, runtime_ms_printed=30.0), "128x128")
    figure.canvas.draw()
    axis = figure.axes[1]
    low, high = axis.get_xlim()
    labels = [label for label in axis.get_xticklabels() if label.get_text() and low <= label.get_position()[0] <= high]
    assert len(labels) >= 2


def test_figure1_names_stand_apart():
    psnr = {"RADN1": 30.77, "RADN2": 31.17, "RADN3": 31.42, "RADN4": 31.58, "SRN": 30.1, "MSCNN": 29.23, "SVRNN": 29.19}
    psnr["Hyun"] = 23.8
    table = pd.DataFrame({"method": psnr.keys(), "psnr_db_printed": psnr.values(), "runtime_ms_printed": 30.0})
    figure = radn.figure1(table.assign(psnr_db_measured=28.0, runtime_ms_measured=30.0), "128x128")
    figure.canvas.draw()
    names = figure.axes[0].texts
    assert {name.get_text() for name in names} == set(psnr)
    boxes = [Text.get_window_extent(name) for name in names]  # without its line
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_figure3_shows_nine_taps_a_place():
    taps = np.random.default_rng(2).uniform(0, 20, (9, 2))
    figure = radn.figure3(({"x": "x", "y": "y"}, [("x", "y")]), np.zeros((20, 30, 3)), [(np.array([9.0, 8.0]), taps)])
    axis = figure.axes[1]
    rays, marks = axis.lines[:9], axis.lines[9:]
    np.testing.assert_allclose([ray.get_xydata() for ray in rays], [[(8, 9), tap[::-1]] for tap in taps])
    np.testing.assert_allclose(marks[0].get_xydata(), taps[:, ::-1])
    np.testing.assert_allclose(marks[1].get_xydata(), [[8, 9]])


def test_figure6_has_a_line_for_every_training():
    log = pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "val_psnr_db": [np.nan, 20.0]})
    axes = radn.figure6({"Final": log, "RADN1": log}, {"6/0": log}).axes
    assert [len(axis.lines) for axis in axes] == [2, 2, 1, 1]
    np.testing.assert_allclose(axes[1].lines[0].get_xydata(), [[2, 20]])


def test_figure8_shows_every_image_by_kind_and_module():
    statistics = pd.DataFrame({"path_px": [1.0, 2, 3], "kind": ["global", "local", "global"], "offset_px": [1.0, 2, 3]})
    statistics = statistics.assign(**{f"DDM {i}": [1.0, 2, 3] for i in (1, 2, 3)})
    left, right = radn.figure8(statistics, 0.5).axes
    assert {line.get_label(): len(line.get_xdata()) for line in left.lines} == {"global": 2, "local": 1}
    assert len(right.lines) == 3
    assert "+0.50" in left.get_title()
