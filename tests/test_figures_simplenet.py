"""SimpleNet's figures: what they compute against sets, loops and the paper's printed spectra."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from deblur.figures import simplenet as draw

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


# ------------------------------------------------------------------------------------------------- spectra


@pytest.mark.parametrize("seed", range(5))
def test_spectrum_is_the_set_of_all_paths(seed):
    rng = np.random.default_rng(seed)
    layers = [(set(rng.integers(0, 9, rng.integers(1, 4)).tolist()), int(rng.integers(1, 3))) for _ in range(4)]
    found = set()
    for path in product(*(added for added, _ in layers)):
        size, jump = 1, 1
        for more, (_, stride) in zip(path, layers):
            size += jump * more
            jump *= stride
        found.add(size)
    assert draw.spectrum(layers) == sorted(found)


@pytest.mark.parametrize(
    ("piled", "vanilla", "branches", "count", "largest"),
    [
        (1, 7, range(3, 8, 2), 4, 9),
        (2, 13, range(5, 14, 2), 8, 17),
        (3, 19, range(7, 20, 2), 12, 25),
        (6, 37, range(13, 38, 2), 24, 49),
    ],
)
def test_piled_blocks(piled, vanilla, branches, count, largest):
    """2n+1 sizes against one."""
    assert draw.spectrum([(draw.RESIDUAL, 1)] * piled) == [vanilla]
    assert draw.spectrum([(draw.PVB["branches only"], 1)] * piled) == list(branches)
    assert len(branches) == 2 * piled + 1
    found = draw.spectrum([(draw.PVB["with fusion and identity"], 1)] * piled)
    assert (len(found), found[0], found[-1]) == (count, 1, largest)


def test_the_whole_encoder():
    fused, identity = {4, 6, 8}, {0}
    found = draw.spectrum(draw.encoder(fused))
    assert (len(found), found[0], found[-1]) == (15, 79, 107)
    assert draw.spectrum(draw.encoder(draw.RESIDUAL)) == [93]
    assert len(draw.spectrum(draw.encoder(fused | identity, draw.RESIDUAL | identity))) == 49
    assert len(draw.spectrum(draw.encoder(draw.RESIDUAL | identity, draw.RESIDUAL | identity))) == 15


def test_figures_3_and_5_show_the_spectra():
    figure = draw.figure3(most=2)
    drawn = [[line.get_xdata().tolist() for line in axis.lines] for axis in figure.axes]
    assert drawn[0] == [[7], [13]]
    assert drawn[1] == [[1, 7], [1, 7, 13]]
    assert drawn[2] == [[3, 5, 7], [5, 7, 9, 11, 13]]
    nodes = {name: name for name in ("dilated_0", "dilated_1", "dilated_2", "deformable", "cat", "fuse")}
    texts = [text.get_text() for text in draw.figure5((nodes, [])).axes[0].texts]
    assert texts == ["dilated_0\nRF:3", "dilated_1\nRF:5", "dilated_2\nRF:7", "deformable\nRF:adaptive", "cat", "fuse"]


# ----------------------------------------------------------------------------------- offsets and weights


def test_amplitude_is_the_mean_length_over_taps():
    offsets = RNG.normal(size=(18, 4, 5))
    expected = np.zeros((4, 5))
    for tap in range(9):
        expected += (offsets[2 * tap] ** 2 + offsets[2 * tap + 1] ** 2) ** 0.5 / 9
    np.testing.assert_allclose(draw.amplitude(offsets), expected)


def test_two_channels_are_lively_and_unlike():
    base, other = RNG.normal(size=(2, 6, 7))
    weights = np.stack(
        [np.zeros((6, 7)), 3 * base, 2 * base, 1.5 * other, 0.1 * other, 0.2 * base, 0.1 * base, 0 * base]
    )
    assert draw.two_channels(weights) == (1, 3)
    assert draw.two_channels(weights[[2, 3]]) == (0, 1)
    first, second = draw.two_channels(np.ones((4, 3, 3)))  # nothing to choose from
    assert first != second


def test_clipped_cuts_a_hundredth_at_each_end():
    values = np.arange(1001.0)
    np.testing.assert_allclose([draw.clipped(values).min(), draw.clipped(values).max()], [10, 990])


# ------------------------------------------------------------------------------------------------ drawing


def test_figure1_draws_printed_and_measured_points_apart():
    table = pd.DataFrame(
        {
            "method": ["Tao et al. (SRN)", "Ours"],
            "runtime_ms_printed": ["358", "376"],
            "psnr_db_printed": ["30.26", "31.52"],
            "size_mb_printed": ["33.6", "25.1"],
            "runtime_ms_measured": [None, 900.0],
            "psnr_db_measured": [28.0, 28.5],
            "size_mb_measured": [32.2, 25.06],
        }
    )
    left, right = draw.figure1(table, "CPU").axes
    assert [text.get_text() for text in left.texts] == ["SRN, 33.6 MB", "Ours, 25.1 MB"]
    assert [text.get_text() for text in right.texts] == ["Ours, 25.1 MB"]
    assert [text.xy for text in right.texts] == [(900.0, 28.5)]
    discs = left.collections[0]
    assert np.asarray(discs.get_offsets()).tolist() == [[358, 30.26], [376, 31.52]]
    assert discs.get_sizes()[0] / discs.get_sizes()[1] == pytest.approx(33.6 / 25.1)
    untimed = table.drop(columns="runtime_ms_measured").assign(gmacs_256=[7.0, 9.0])
    right = draw.figure1(untimed, "").axes[1]
    assert np.asarray(right.collections[0].get_offsets()).tolist() == [[7, 28], [9, 28.5]]
    assert right.get_xlabel().endswith("multiply-accumulates for 256x256 (not timed: loaded)")


def test_figure7_has_five_columns_and_leaves_unknown_ways_empty():
    image = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    figure = draw.figure7(
        [image] * 2, [RNG.random((24, 32)), None], RNG.random((2, 24, 32)), [RNG.random((5, 6, 8))] * 2
    )
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 1, 1, 0, 1, 1, 1]
    assert figure.axes[1].get_title() == "path"


def test_influence_maps_are_drawn_on_a_logarithmic_scale_around_the_centre():
    values = np.full((40, 60), 1e-9)
    values[20, 30], values[20, 31] = 1, 1e-3
    (axis,) = draw.figure3_influence({"ours": values}, reach=5).axes
    shown = np.asarray(axis.images[0].get_array())
    assert shown.shape == (11, 11)
    assert axis.images[0].get_clim() == (-6, 0)
    np.testing.assert_allclose(shown[5, [0, 6, 5]], np.log10([1.001e-6, 1.001e-3, 1.0]), atol=1e-4)
    (axis,) = draw.figure3_influence({"ours": values}).axes
    assert axis.images[0].get_array().shape == (40, 60)
