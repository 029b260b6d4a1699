"""The floor and the oracle: transfer functions by sums over paths, filters by images whose blur is known."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from deblur import evaluation, runs
from deblur.data import copies, official
from deblur.evaluation import classical, metrics
from deblur.evaluation.classical import Grid, Guess, Spectrum

FINE = Guess(3, 1e-5)
SMALL = Grid((2, 3), (3, 5), 4, (1e-3, 1e-1), tile=16)


@pytest.mark.parametrize("angle", [0, 0.4, np.pi / 2, 2.2])
@pytest.mark.parametrize("length_px", [0.3, 2, 7.5])
def test_a_line_damps_a_wave_as_the_mean_over_its_path_does(length_px, angle):
    shape, along = (24, 30), (np.arange(4000) + 0.5) / 4000 - 0.5
    transfer = classical.line(shape, length_px, angle)
    assert transfer.shape == (24, 16)
    for row, column in ((0, 0), (1, 0), (0, 3), (5, 7), (20, 11)):
        wave_y, wave_x = np.fft.fftfreq(24)[row], column / 30
        shifts = length_px * along * (wave_x * np.cos(angle) + wave_y * np.sin(angle))
        assert transfer[row, column] == pytest.approx(np.cos(2 * np.pi * shifts).mean(), abs=1e-5)


@pytest.mark.parametrize("length_px", [1, 4.5])
def test_the_mean_line_knows_no_direction(length_px):
    shape, directions = (32, 32), np.linspace(0, np.pi, 500, endpoint=False)
    transfer = classical.mean_line(shape, length_px)
    expected = np.mean([classical.line.__wrapped__(shape, length_px, angle) for angle in directions], axis=0)
    np.testing.assert_allclose(transfer, expected, atol=2e-3)
    np.testing.assert_allclose(transfer[:16, 0], transfer[0, :16], atol=2e-3)
    assert transfer[0, 0] == 1


@pytest.mark.parametrize("length_px", [0, -1, float("nan")])
def test_a_length_must_be_positive(length_px):
    with pytest.raises(ValueError, match="positive length"):
        classical.line((8, 8), length_px, 0.0)


def textured(height, width, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width, 3)), (1, 1, 0))
    return ((noise - noise.min()) / np.ptp(noise) * 255).round().astype(np.uint8)


def along_x(sharp, length):
    """The blur of an even path of an odd whole number of pixels."""
    return ndimage.uniform_filter1d(sharp.astype(float), length, axis=1, mode="mirror").round().astype(np.uint8)


def test_a_blur_by_the_known_line_is_undone():
    sharp = textured(48, 64)
    blurred = along_x(sharp, 3)
    spectrum = Spectrum.of(blurred)
    gains = {}
    for angle in (0, np.pi / 2):
        restored = spectrum.filtered(classical.line(spectrum.shape, 3, angle), 1e-3)
        assert restored.shape == sharp.shape
        assert restored.dtype == np.float32
        gains[angle] = metrics.psnr_db(metrics.to_uint8(restored), sharp) - metrics.psnr_db(blurred, sharp)
    assert gains[0] > 8
    assert gains[np.pi / 2] < 0


def test_noise_is_what_keeps_the_filter_from_what_blur_erased():
    spectrum = Spectrum.of(textured(40, 40))
    erased = classical.line(spectrum.shape, 10, 0.0)
    assert np.ptp(spectrum.filtered(erased, 1e-6)) > 3 * np.ptp(spectrum.filtered(erased, 1e-2))


@pytest.mark.parametrize("shape", [(40, 56), (17, 23), (5, 3), (1, 1)])
def test_any_size_and_always_the_same(shape):
    blurred, sharp = np.random.default_rng(1).integers(0, 256, (2, *shape, 3)).astype(np.uint8)
    before = blurred.copy()
    for restore in (
        lambda: classical.wiener_floor(blurred, FINE),
        lambda: classical.wiener_oracle(blurred, sharp, SMALL),
    ):
        restored = restore()
        assert restored.shape == blurred.shape
        assert restored.dtype == np.float32
        assert np.isfinite(restored).all()
        np.testing.assert_array_equal(restored, restore())
    np.testing.assert_array_equal(blurred, before)


def test_the_oracle_takes_in_each_tile_what_restores_it_best():
    """Against every kernel in every tile, the last ones narrower; and what is not blurred is left alone."""
    sharp = np.repeat(textured(40, 50)[..., :1], 3, 2)  # grey: kernels are chosen on the mean of the colours
    blurred = np.concatenate([along_x(sharp[:, :32], 5), sharp[:, 32:]], 1)
    restored = classical.wiener_oracle(blurred, sharp, SMALL)
    spectrum, tried = Spectrum.of(blurred), [blurred / 255]
    for length_px, turn, noise in itertools.product(SMALL.lengths_px, range(SMALL.directions), SMALL.noises):
        transfer = classical.line(spectrum.shape, length_px, np.pi * turn / SMALL.directions)
        tried.append(spectrum.filtered(transfer, noise))
    assert len(tried) == 17
    for y, x in itertools.product(range(0, 40, 16), range(0, 50, 16)):
        tile = (slice(y, y + 16), slice(x, x + 16))
        errors = [((image[tile].clip(0, 1) - sharp[tile] / 255) ** 2).sum() for image in tried]
        assert ((restored[tile].clip(0, 1) - sharp[tile] / 255) ** 2).sum() == pytest.approx(min(errors), rel=1e-3)
    np.testing.assert_array_equal(metrics.to_uint8(restored)[:, 48:], sharp[:, 48:])


def test_the_oracle_restores_colours_by_the_kernels_of_their_mean():
    sharp = (textured(32, 48)[..., :1] * [1, 0.7, 0.5]).round().astype(np.uint8)
    blurred = along_x(sharp, 3)
    gain = metrics.psnr_db(metrics.to_uint8(classical.wiener_oracle(blurred, sharp, SMALL)), sharp)
    assert gain - metrics.psnr_db(blurred, sharp) > 5


def test_the_guess_is_the_best_on_average():
    images = [official.read_pair(pair) for pair in copies.open_data().pairs("validation", 2)]

    def mean_psnr(guess):
        return np.mean([metrics.psnr_db(metrics.to_uint8(classical.wiener_floor(b, guess)), s) for b, s in images])

    guesses = [Guess(*one) for one in itertools.product(SMALL.guesses_px, classical.GUESSED_NOISES)]
    chosen = classical.best_guess(copies.open_data().pairs("validation", 2), SMALL)
    assert chosen == max(guesses, key=mean_psnr)


def test_floor_and_oracle_stand_beside_the_blurred_input(monkeypatch):
    data = copies.open_data()
    monkeypatch.setitem(classical.GRIDS, "mini", SMALL)
    runs.scores._guess.cache_clear()
    asked = []
    monkeypatch.setattr(
        copies.Data, "validation", lambda data, limit=None: asked.append(data) or data.pairs("validation", 3)
    )
    bounds = runs.bounds(data, 3)
    runs.scores._guess.cache_clear()
    assert list(bounds) == list(classical.BOUNDS)
    assert [where.label for where in asked] == ["mini gopro (blur)"]
    blurred = runs.blurred_scores(data, 3)
    floor, oracle = (evaluation.add_gain(table, blurred)["gain_db"] for table in bounds.values())
    assert (oracle > -0.05).all()
    table = runs.to_learn(data, 3).set_index("kind")
    assert table.index.tolist() == ["global", "local", "sampling", "all"]
    assert table.loc["all", ["pairs", "floor_gain_db", "oracle_gain_db"]].tolist() == [3, floor.mean(), oracle.mean()]
    assert table.loc["all", "psnr_db"] == pytest.approx(blurred["psnr_db"].mean())
    assert table.loc["local", "oracle_gain_db"] == pytest.approx(oracle[blurred["kind"] == "local"].mean())
    for pair, score in zip(data.pairs("test", 3), bounds[classical.ORACLE]["psnr_db"], strict=True):
        images = official.read_pair(pair)
        assert score == metrics.psnr_db(metrics.to_uint8(classical.wiener_oracle(*images, SMALL)), images[1])


def test_where_nothing_can_be_guessed_there_are_no_bounds(tmp_path):
    data = copies.Data("gopro", tmp_path, "blur", "somebody's")
    assert runs.bounds(data) == {}
    assert runs.floor(data) is None


def test_the_floor_gains_on_the_bundled_pairs():
    data = copies.open_data()
    pairs = data.pairs("validation")
    floor, blurred = (evaluation.evaluate(restore, pairs) for restore in (runs.floor(data), evaluation.identity))
    assert evaluation.summarise(floor, blurred)["gain_db"] > 1
