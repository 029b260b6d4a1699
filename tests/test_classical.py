"""The learning-free floor: its kernel by closed forms, its filter by images whose blur is known."""

import numpy as np
import pytest
from scipy import ndimage

from deblur import evaluation
from deblur.evaluation import metrics
from deblur.evaluation.classical import mean_line, wiener_floor


@pytest.mark.parametrize("length_px", [0.3, 1, 2, 3.0, 4.7, 9])
def test_kernel_is_a_blur_without_direction(length_px):
    kernel = mean_line(length_px)
    assert kernel.sum() == pytest.approx(1, rel=1e-12)
    assert (kernel >= 0).all()
    assert kernel.shape[0] == kernel.shape[1] == 2 * max(int(np.ceil((length_px - 1) / 2)), 0) + 1
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(turned, kernel, atol=1e-3)
    assert kernel.max() == kernel[kernel.shape[0] // 2, kernel.shape[0] // 2]


@pytest.mark.parametrize("length_px", [5, 11.0, 21])
def test_kernel_has_the_variance_of_its_path(length_px):
    """A line of length L has variance L^2/12 along itself, half of it in each axis; pixels add 1/12."""
    kernel = mean_line(length_px)
    place = np.arange(len(kernel)) - len(kernel) // 2
    assert (kernel.sum(0) * place**2).sum() == pytest.approx(length_px**2 / 24 + 1 / 12, rel=0.05)


@pytest.mark.parametrize("length_px", [0, -1, float("nan")])
def test_a_length_must_be_positive(length_px):
    with pytest.raises(ValueError, match="positive length"):
        mean_line(length_px)


def textured(height, width, seed=0):
    noise = np.random.default_rng(seed).random((height, width, 3))
    return (255 * ndimage.gaussian_filter(noise, (1, 1, 0))[:, :]).round()


def test_a_blur_by_the_guessed_kernel_is_undone():
    sharp = textured(48, 64)
    sharp = (sharp - sharp.min()) / (sharp.max() - sharp.min()) * 255
    blurred = np.stack([ndimage.correlate(sharp[..., c], mean_line(3), mode="reflect") for c in range(3)], 2)
    blurred = blurred.round().astype(np.uint8)
    restored = metrics.to_uint8(wiener_floor(blurred))
    sharp = sharp.round().astype(np.uint8)
    assert metrics.psnr_db(restored, sharp) > metrics.psnr_db(blurred, sharp) + 3


@pytest.mark.parametrize("shape", [(40, 56), (17, 23), (5, 3), (1, 1)])
def test_any_size_and_always_the_same(shape):
    blurred = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    before = blurred.copy()
    restored = wiener_floor(blurred)
    assert restored.shape == blurred.shape
    assert restored.dtype == np.float32
    assert np.isfinite(restored).all()
    np.testing.assert_array_equal(restored, wiener_floor(blurred))
    np.testing.assert_array_equal(blurred, before)


def test_it_gains_on_the_bundled_pairs(mini_root):
    from deblur.data import official

    pairs = official.find_pairs("gopro", mini_root, "validation", subset="blur")[::3]
    floor, blurred = (evaluation.evaluate(restore, pairs) for restore in (wiener_floor, evaluation.identity))
    assert evaluation.summarise(floor, blurred)["gain_db"] > 0.5
