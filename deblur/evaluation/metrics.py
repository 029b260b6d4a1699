"""PSNR and SSIM: small pure functions, argument order `(restored, sharp)`.

Images are (H,W,3) RGB uint8 arrays unless a docstring says otherwise; all scoring is float64. A score without its
protocol means little (conventions alone move SSIM by 0.02), so every protocol has a name, see
`deblur.evaluation.protocols`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

SCORES: dict[str, str] = {
    "ssim_gauss_rgb": "SSIM, 11x11 Gaussian (sigma 1.5), no sample covariance, mean over channels",
    "ssim_matlab_volume": "SSIM as MATLAB's ssim(): 11x11x11 Gaussian over H, W, channel, replicate border",
}
"""Name of an SSIM in a column -> what it means."""


PEAK = 255.0


C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


RADIUS = 5


WINDOW = 2 * RADIUS + 1


SIGMA = 1.5
GAUSS = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_64F)


_BAND_ROWS = 32  # SSIM goes through the image in bands that stay in the cache: twice as fast as whole frames


LUMA = np.array([0.299, 0.587, 0.114])


_MS_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


MS_SMALLEST = 161  # halved four times, rounding up, leaves the 11 px of one window


_CDF97_TAIL = [0.2668641184428723, -0.07822326652898785, -0.01686411844287495, 0.02674875741080976]


_CDF97 = np.array([*_CDF97_TAIL[::-1], 0.6029490182363579, *_CDF97_TAIL])  # 9-tap analysis low-pass, sum 1


def _check_rgb(name: str, image: np.ndarray, dtype: type, remedy: str) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"{name}: expected an RGB array (H,W,3), got {got}; transpose or convert it first")
    if not np.issubdtype(image.dtype, dtype):
        raise ValueError(f"{name}: expected {dtype.__name__} values, got {image.dtype}; {remedy} first")


def check_rgb8(name: str, image: np.ndarray) -> None:
    _check_rgb(name, image, np.uint8, "clamp and round with to_uint8")


def _check_float(name: str, image: np.ndarray) -> None:
    _check_rgb(name, image, np.floating, "divide an 8-bit image by 255")
    if not np.isfinite(image).all():
        raise ValueError(f"{name}: contains NaN or infinity; find out where, a clamped score would hide it")


def check_same_shape(restored: np.ndarray, sharp: np.ndarray, sharp_name: str = "sharp") -> None:
    if restored.shape != sharp.shape:
        raise ValueError(
            f"restored is {restored.shape}, {sharp_name} is {sharp.shape}; crop the padding or mend the pairs"
        )


def check_size(image: np.ndarray, smallest: int) -> None:
    height, width = image.shape[:2]
    if min(height, width) < smallest:
        raise ValueError(
            f"restored: {height}x{width} px is too small for this score; use images of at least {smallest} px a side"
        )


def check_pair(restored: np.ndarray, sharp: np.ndarray, smallest: int = 1) -> None:
    check_rgb8("restored", restored)
    check_rgb8("sharp", sharp)
    check_same_shape(restored, sharp)
    check_size(restored, smallest)


def _check_mask(mask: np.ndarray | None, image: np.ndarray) -> None:
    if mask is None:
        return
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != image.shape[:2]:
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"mask: expected bool {image.shape[:2]}, got {got}; threshold or crop it first")


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Clamp a float image to [0,1] and round it to the nearest of 256 values.

    Args:
        image: float (H,W,3), nominally in [0,1].

    Returns:
        uint8 (H,W,3).

    Raises:
        ValueError: wrong layout or dtype, NaN or infinity.
    """
    _check_float("image", image)
    return np.rint(np.clip(image.astype(np.float64), 0.0, 1.0) * PEAK).astype(np.uint8)


def psnr_of(difference: np.ndarray, peak: float, mask: np.ndarray | None = None) -> float:
    if mask is not None:
        difference = difference[mask]
    if not difference.size:
        return math.nan
    mse = float(np.mean(np.square(difference)))
    return 10.0 * math.log10(peak**2 / mse) if mse else math.inf


def psnr_db(restored: np.ndarray, sharp: np.ndarray, mask: np.ndarray | None = None) -> float:
    """8-bit PSNR over all pixels and channels: the `full_rgb8` protocol for one image.

    Args:
        restored: uint8 (H,W,3).
        sharp: uint8 (H,W,3).
        mask: bool (H,W), True where pixels count; all of them by default.

    Returns:
        PSNR in dB, peak 255; inf for identical images, nan for an empty mask.

    Raises:
        ValueError: wrong layout or dtype, differing shapes.
    """
    check_pair(restored, sharp)
    _check_mask(mask, restored)
    return psnr_of(np.subtract(restored, sharp, dtype=np.float64), PEAK, mask)


def psnr_float_db(restored: np.ndarray, sharp: np.ndarray, mask: np.ndarray | None = None) -> float:
    """PSNR of float images, clamped to [0,1] but not rounded: printed beside the 8-bit one.

    Args:
        restored: float (H,W,3), nominally in [0,1].
        sharp: float (H,W,3), nominally in [0,1].
        mask: bool (H,W), True where pixels count; all of them by default.

    Returns:
        PSNR in dB, peak 1; inf for identical images, nan for an empty mask.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, NaN or infinity.
    """
    _check_float("restored", restored)
    _check_float("sharp", sharp)
    check_same_shape(restored, sharp)
    _check_mask(mask, restored)
    clamped = (np.clip(image.astype(np.float64), 0.0, 1.0) for image in (restored, sharp))
    return psnr_of(np.subtract(*clamped), 1.0, mask)


def _gauss_valid(image: np.ndarray, channel_mix: np.ndarray | None = None) -> np.ndarray:
    """Gaussian window where it fits, (H,W,...) -> (H-10,W-10,...), then a 3x3 matrix over the channels."""
    blurred = cv2.sepFilter2D(image, cv2.CV_64F, GAUSS, GAUSS)[RADIUS:-RADIUS, RADIUS:-RADIUS]
    return blurred if channel_mix is None else cv2.transform(blurred, channel_mix)


def _ssim_band(x: np.ndarray, y: np.ndarray, channel_mix: np.ndarray | None) -> np.ndarray:
    mean_x, mean_y = _gauss_valid(x, channel_mix), _gauss_valid(y, channel_mix)
    mean_product = mean_x * mean_y
    mean_squares = mean_x**2 + mean_y**2
    covariance = _gauss_valid(x * y, channel_mix) - mean_product
    variances = _gauss_valid(x**2 + y**2, channel_mix) - mean_squares  # only their sum is needed
    return (2 * mean_product + C1) * (2 * covariance + C2) / ((mean_squares + C1) * (variances + C2))


def ssim_map(x: np.ndarray, y: np.ndarray, channel_mix: np.ndarray | None = None) -> np.ndarray:
    """SSIM at every position where the window fits: (H,W,3) in 0..255 -> (H-10,W-10,3)."""
    height, width = x.shape[0] - 2 * RADIUS, x.shape[1] - 2 * RADIUS
    ssim = np.empty((height, width, 3))
    for top in range(0, height, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS + 2 * RADIUS)
        ssim[top : top + _BAND_ROWS] = _ssim_band(x[rows].astype(np.float64), y[rows].astype(np.float64), channel_mix)
    return ssim


def ssim_gauss_rgb(restored: np.ndarray, sharp: np.ndarray) -> float:
    """SSIM per channel with the window of Wang et al. (2004), averaged over positions and channels.

    11x11 Gaussian with sigma 1.5, K = 0.01 and 0.03, L = 255, population covariance, only positions where the
    window fits: scikit-image's `structural_similarity` with Gaussian weights and no sample covariance.

    Args:
        restored: uint8 (H,W,3), at least 11 px a side.
        sharp: uint8 (H,W,3).

    Returns:
        SSIM, at most 1.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images smaller than the window.
    """
    check_pair(restored, sharp, smallest=WINDOW)
    return float(ssim_map(restored, sharp).mean())


def channel_mix() -> np.ndarray:
    """The channel axis of the 11x11x11 window, (3,3): row c weighs the channels as seen from channel c."""
    mix = np.zeros((3, 3))
    for channel in range(3):
        for offset in range(-RADIUS, RADIUS + 1):
            mix[channel, min(max(channel + offset, 0), 2)] += GAUSS[offset + RADIUS, 0]
    return mix


def ssim_matlab_volume(restored: np.ndarray, sharp: np.ndarray) -> float:
    """What MATLAB's `ssim` returns for an HxWx3 uint8 array, which it takes for a volume.

    11x11x11 Gaussian with sigma 1.5 over height, width and channel, replicate border, K = 0.01 and 0.03, L =
    255, mean of the whole map. Along the three channels the window with its replicated border is a 3x3
    matrix, so the volume costs no more than a picture. Source: MATLAB's documented behaviour; SRN and others
    print this SSIM.

    Args:
        restored: uint8 (H,W,3).
        sharp: uint8 (H,W,3).

    Returns:
        SSIM, at most 1.

    Raises:
        ValueError: wrong layout or dtype, differing shapes.
    """
    check_pair(restored, sharp)
    border = (RADIUS,) * 4
    padded = (cv2.copyMakeBorder(image, *border, cv2.BORDER_REPLICATE) for image in (restored, sharp))
    return float(ssim_map(*padded, channel_mix()).mean())  # type: ignore[call-arg]  # two images


def _ssim_means(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Mean luminance, contrast and structure of two planes (H,W) in 0..255."""
    mean_x, mean_y = _gauss_valid(x), _gauss_valid(y)
    deviation_x = np.sqrt(np.maximum(_gauss_valid(x**2) - mean_x**2, 0.0))  # rounding can leave -1e-12
    deviation_y = np.sqrt(np.maximum(_gauss_valid(y**2) - mean_y**2, 0.0))
    covariance = _gauss_valid(x * y) - mean_x * mean_y
    deviations = deviation_x * deviation_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    contrast = (2 * deviations + C2) / (deviation_x**2 + deviation_y**2 + C2)
    structure = (covariance + C2 / 2) / (deviations + C2 / 2)
    return float(luminance.mean()), float(contrast.mean()), float(structure.mean())


def _halve(plane: np.ndarray) -> np.ndarray:
    low = cv2.sepFilter2D(plane, cv2.CV_64F, _CDF97, _CDF97, borderType=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(low[::2, ::2])


def ms_ssim_of(x: np.ndarray, y: np.ndarray) -> float:
    means = [_ssim_means(x, y)]
    for _ in _MS_WEIGHTS[1:]:
        x, y = _halve(x), _halve(y)
        means.append(_ssim_means(x, y))
    luminance, contrast, structure = np.array(means).T
    # A negative mean structure has no real power; the official Koehler score takes the modulus, so do we.
    return float(luminance[-1] ** _MS_WEIGHTS[-1] * np.prod(np.abs(contrast * structure) ** _MS_WEIGHTS))


def ms_ssim_metrix(restored: np.ndarray, sharp: np.ndarray) -> float:
    """Multi-scale SSIM as MeTriX MuX's "MSSIM" computes it: the one of the official Koehler score.

    Luma 0.299/0.587/0.114, unrounded; five levels, 11x11 Gaussian (sigma 1.5) where it fits; between levels
    the 9/7 biorthogonal low-pass with a symmetric border, then every second pixel. Product over levels of
    mean contrast and mean structure to the powers 0.0448, 0.2856, 0.3001, 0.2363, 0.1333, times the mean
    luminance of level 5 to the power 0.1333. Common MS-SSIM packages differ: 2x2 means, and one map of
    contrast x structure.

    Args:
        restored: uint8 (H,W,3), at least 161 px a side.
        sharp: uint8 (H,W,3).

    Returns:
        MS-SSIM, at most 1.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images too small for five levels.
    """
    check_pair(restored, sharp, smallest=MS_SMALLEST)
    return ms_ssim_of(restored @ LUMA, sharp @ LUMA)
