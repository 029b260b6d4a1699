"""Speed of the SSIM forms on one 720x1280 RGB pair, one thread, beside what else computes the same number.

`python -m benchmarks.metrics` prints the table. Every row first checks that both sides agree to 1e-6.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
from scipy import ndimage
from skimage import data
from skimage.metrics import structural_similarity

from deblur.evaluation import metrics

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_LINE = cv2.getGaussianKernel(11, 1.5, cv2.CV_64F)[:, 0]


def pair() -> tuple[np.ndarray, np.ndarray]:
    sharp = cv2.resize(data.astronaut(), (1280, 720), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 4, sharp.shape)
    restored = cv2.GaussianBlur(sharp, (0, 0), 2.0) + noise
    return np.clip(restored, 0, 255).astype(np.uint8), sharp


def scikit_image(restored: np.ndarray, sharp: np.ndarray) -> float:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return structural_similarity(restored, sharp, channel_axis=2, data_range=255, **options)


def _ssim_volume(restored: np.ndarray, sharp: np.ndarray, blur: Callable[[np.ndarray], np.ndarray]) -> float:
    x, y = restored.astype(np.float64), sharp.astype(np.float64)
    mean_x, mean_y = blur(x), blur(y)
    variances = blur(x**2 + y**2) - mean_x**2 - mean_y**2  # four convolutions, as few as ours
    covariance = blur(x * y) - mean_x * mean_y
    ssim = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float((ssim / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))).mean())


def _volume_direct(restored: np.ndarray, sharp: np.ndarray) -> float:
    cube = _LINE[:, None, None] * _LINE[:, None] * _LINE
    return _ssim_volume(restored, sharp, lambda image: ndimage.convolve(image, cube, mode="nearest"))


def _volume_separable(restored: np.ndarray, sharp: np.ndarray) -> float:
    def blur(image: np.ndarray) -> np.ndarray:
        for axis in range(3):
            image = ndimage.correlate1d(image, _LINE, axis=axis, mode="nearest")
        return image

    return _ssim_volume(restored, sharp, blur)


def _milliseconds(score: Callable, given: tuple) -> float:
    start = time.perf_counter()
    score(*given)
    return 1000 * (time.perf_counter() - start)


# Name, ours, label of the other, the other, rounds. On one thread torch's conv3d in float64 took about five
# times as long as scipy.ndimage.convolve, so the latter stands for the straightforward 3-D convolution.
_CASES = [
    ("ssim_gauss_rgb", metrics.ssim_gauss_rgb, "scikit-image", scikit_image, 9),
    ("ssim_matlab_volume", metrics.ssim_matlab_volume, "scipy.ndimage.convolve 11x11x11", _volume_direct, 3),
    ("ssim_matlab_volume", metrics.ssim_matlab_volume, "scipy.ndimage 3 x 1-D", _volume_separable, 9),
]


def run() -> list[dict]:
    """Time each case, both sides in turn within every round.

    Returns:
        Rows with name, ours_ms, other, other_ms (medians over rounds), ratio (median of other/ours)
        and spread (smallest and largest of these ratios).

    Raises:
        AssertionError: the two sides differ by more than 1e-6.
    """
    images = pair()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [time_case(images, *case) for case in _CASES]
    finally:
        cv2.setNumThreads(threads)


def time_case(given: tuple, name: str, ours: Callable, other: str, theirs: Callable, rounds: int) -> dict:
    """One row: both sides must give the same number for the arguments `given`, and are timed in turn."""
    difference = abs(ours(*given) - theirs(*given))
    assert difference < 1e-6, f"{name} differs from {other} by {difference:.2g}"
    times = [(_milliseconds(ours, given), _milliseconds(theirs, given)) for _ in range(rounds)]
    ratios = [other_ms / ours_ms for ours_ms, other_ms in times]
    return {
        "name": name,
        "ours_ms": median(ours_ms for ours_ms, _ in times),
        "other": other,
        "other_ms": median(other_ms for _, other_ms in times),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
    }


def main() -> None:
    print(f"{'name':<20}{'ours_ms':>9}  {'other':<33}{'other_ms':>9}{'ratio':>8}  spread")
    for row in run():
        low, high = row["spread"]
        print(
            f"{row['name']:<20}{row['ours_ms']:>9.1f}  {row['other']:<33}{row['other_ms']:>9.1f}"
            f"{row['ratio']:>8.1f}  {low:.1f} to {high:.1f}"
        )


if __name__ == "__main__":
    main()
