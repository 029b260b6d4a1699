"""Scores of the five papers' tables: small pure functions, argument order `(restored, sharp)`.

Images are (H,W,3) RGB uint8 arrays unless a docstring says otherwise; all scoring is float64. A score
without its protocol means little (conventions alone move SSIM by 0.02), so every protocol has a name, see
`PROTOCOLS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

PROTOCOLS: dict[str, str] = {
    "full_rgb8": "full frame, clamped, rounded to 8 bits, PSNR over all RGB values, mean over images",
    "ssim_gauss_rgb": "SSIM, 11x11 Gaussian (sigma 1.5), no sample covariance, mean over channels",
    "ssim_matlab_volume": "SSIM as MATLAB's ssim(): 11x11x11 Gaussian over H, W, channel, replicate border",
    "realblur_ecc": "gain and ECC homography onto the sharp image, then PSNR and SSIM over the valid pixels",
    "koehler_best_frame": "gain, integer shift, luma; best over the sharp frames, then mean over images",
    "dvd_aligned_30": "Koehler-aligned luma PSNR of 30 frames a video, mean over frames, then over videos",
    "dvd_plain_all": "full_rgb8 PSNR of every frame, mean over frames, then over videos",
}

_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_RADIUS = 5
_WINDOW = 2 * _RADIUS + 1
_GAUSS = cv2.getGaussianKernel(_WINDOW, 1.5, cv2.CV_64F)
_BAND_ROWS = 32  # SSIM goes through the image in bands that stay in the cache: twice as fast as whole frames

_LUMA = np.array([0.299, 0.587, 0.114])
_MS_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_MS_SMALLEST = 161  # halved four times, rounding up, leaves the 11 px of one window
_CDF97_TAIL = [0.2668641184428723, -0.07822326652898785, -0.01686411844287495, 0.02674875741080976]
_CDF97 = np.array([*_CDF97_TAIL[::-1], 0.6029490182363579, *_CDF97_TAIL])  # 9-tap analysis low-pass, sum 1


# ---------------------------------------------------------------------------------------------------- inputs


def _check_rgb(name: str, image: np.ndarray, dtype: type, remedy: str) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        found = f"shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"{name}: expected an RGB array (H,W,3), got {found}; transpose or convert it first")
    if not np.issubdtype(image.dtype, dtype):
        raise ValueError(f"{name}: expected {dtype.__name__} values, got {image.dtype}; {remedy} first")


def _check_rgb8(name: str, image: np.ndarray) -> None:
    _check_rgb(name, image, np.uint8, "clamp and round with to_uint8")


def _check_float(name: str, image: np.ndarray) -> None:
    _check_rgb(name, image, np.floating, "divide an 8-bit image by 255")
    if not np.isfinite(image).all():
        raise ValueError(f"{name}: contains NaN or infinity; find out where, a clamped score would hide it")


def _check_same_shape(restored: np.ndarray, sharp: np.ndarray, sharp_name: str = "sharp") -> None:
    if restored.shape != sharp.shape:
        raise ValueError(
            f"restored is {restored.shape}, {sharp_name} is {sharp.shape}; crop the padding or mend the pairs"
        )


def _check_size(image: np.ndarray, smallest: int) -> None:
    height, width = image.shape[:2]
    if min(height, width) < smallest:
        raise ValueError(
            f"restored: {height}x{width} px is too small for this score; use images of at least {smallest} px a side"
        )


def _check_pair(restored: np.ndarray, sharp: np.ndarray, smallest: int = 1) -> None:
    _check_rgb8("restored", restored)
    _check_rgb8("sharp", sharp)
    _check_same_shape(restored, sharp)
    _check_size(restored, smallest)


def _check_mask(mask: np.ndarray | None, image: np.ndarray) -> None:
    if mask is None:
        return
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != image.shape[:2]:
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"mask: expected bool {image.shape[:2]}, got {found}; threshold or crop it first")


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
    return np.rint(np.clip(image.astype(np.float64), 0.0, 1.0) * _PEAK).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------ PSNR


def _psnr(difference: np.ndarray, peak: float, mask: np.ndarray | None = None) -> float:
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
    _check_pair(restored, sharp)
    _check_mask(mask, restored)
    return _psnr(np.subtract(restored, sharp, dtype=np.float64), _PEAK, mask)


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
    _check_same_shape(restored, sharp)
    _check_mask(mask, restored)
    clamped = (np.clip(image.astype(np.float64), 0.0, 1.0) for image in (restored, sharp))
    return _psnr(np.subtract(*clamped), 1.0, mask)


# ------------------------------------------------------------------------------------------------------ SSIM


def _gauss_valid(image: np.ndarray, channel_mix: np.ndarray | None = None) -> np.ndarray:
    """Gaussian window where it fits, (H,W,...) -> (H-10,W-10,...), then a 3x3 matrix over the channels."""
    blurred = cv2.sepFilter2D(image, cv2.CV_64F, _GAUSS, _GAUSS)[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    return blurred if channel_mix is None else cv2.transform(blurred, channel_mix)


def _ssim_band(x: np.ndarray, y: np.ndarray, channel_mix: np.ndarray | None) -> np.ndarray:
    mean_x, mean_y = _gauss_valid(x, channel_mix), _gauss_valid(y, channel_mix)
    mean_product = mean_x * mean_y
    mean_squares = mean_x**2 + mean_y**2
    covariance = _gauss_valid(x * y, channel_mix) - mean_product
    variances = _gauss_valid(x**2 + y**2, channel_mix) - mean_squares  # only their sum is needed
    return (2 * mean_product + _C1) * (2 * covariance + _C2) / ((mean_squares + _C1) * (variances + _C2))


def _ssim_map(x: np.ndarray, y: np.ndarray, channel_mix: np.ndarray | None = None) -> np.ndarray:
    """SSIM at every position where the window fits: (H,W,3) in 0..255 -> (H-10,W-10,3)."""
    height, width = x.shape[0] - 2 * _RADIUS, x.shape[1] - 2 * _RADIUS
    ssim = np.empty((height, width, 3))
    for top in range(0, height, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS + 2 * _RADIUS)
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
    _check_pair(restored, sharp, smallest=_WINDOW)
    return float(_ssim_map(restored, sharp).mean())


def channel_mix() -> np.ndarray:
    """The channel axis of the 11x11x11 window, (3,3): row c weighs the channels as seen from channel c."""
    mix = np.zeros((3, 3))
    for channel in range(3):
        for offset in range(-_RADIUS, _RADIUS + 1):
            mix[channel, min(max(channel + offset, 0), 2)] += _GAUSS[offset + _RADIUS, 0]
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
    _check_pair(restored, sharp)
    border = (_RADIUS,) * 4
    padded = (cv2.copyMakeBorder(image, *border, cv2.BORDER_REPLICATE) for image in (restored, sharp))
    return float(_ssim_map(*padded, channel_mix()).mean())  # type: ignore[call-arg]  # two images


def _ssim_means(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Mean luminance, contrast and structure of two planes (H,W) in 0..255."""
    mean_x, mean_y = _gauss_valid(x), _gauss_valid(y)
    deviation_x = np.sqrt(np.maximum(_gauss_valid(x**2) - mean_x**2, 0.0))  # rounding can leave -1e-12
    deviation_y = np.sqrt(np.maximum(_gauss_valid(y**2) - mean_y**2, 0.0))
    covariance = _gauss_valid(x * y) - mean_x * mean_y
    deviations = deviation_x * deviation_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    contrast = (2 * deviations + _C2) / (deviation_x**2 + deviation_y**2 + _C2)
    structure = (covariance + _C2 / 2) / (deviations + _C2 / 2)
    return float(luminance.mean()), float(contrast.mean()), float(structure.mean())


def _halve(plane: np.ndarray) -> np.ndarray:
    low = cv2.sepFilter2D(plane, cv2.CV_64F, _CDF97, _CDF97, borderType=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(low[::2, ::2])


def _ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
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
    _check_pair(restored, sharp, smallest=_MS_SMALLEST)
    return _ms_ssim(restored @ _LUMA, sharp @ _LUMA)


# -------------------------------------------------------------------------------------------------- RealBlur


@dataclass(frozen=True, eq=False)
class EccAlignment:
    """A restored image brought onto its sharp one.

    Attributes:
        image: float64 (H,W,3), 0..255, neither clamped nor rounded; the unchanged input if not `aligned`.
        mask: bool (H,W), True where `image` comes from inside the restored frame.
        homography: float64 (3,3), sharp to restored pixel coordinates (x,y,1); identity if not `aligned`.
        aligned: False if no usable homography was found.
    """

    image: np.ndarray
    mask: np.ndarray
    homography: np.ndarray
    aligned: bool


@dataclass(frozen=True)
class EccScore:
    """`realblur_ecc` of one image: aligned scores, plain ones beside them, and whether alignment worked."""

    psnr_db: float
    ssim_gauss_rgb: float
    psnr_unaligned_db: float
    ssim_unaligned: float
    aligned: bool


def _gain(restored: np.ndarray, sharp: np.ndarray) -> float:
    """Least-squares factor that brings `restored` to the intensity of `sharp`; 1 for a black image."""
    energy = np.vdot(restored, restored)
    return float(np.vdot(sharp, restored) / energy) if energy else 1.0


def _ecc_homography(restored: np.ndarray, sharp: np.ndarray) -> np.ndarray | None:
    grey = [cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY) for image in (sharp, restored)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 0.0)
    start = np.eye(3, dtype=np.float32)
    try:
        _, homography = cv2.findTransformECC(*grey, start, cv2.MOTION_HOMOGRAPHY, criteria, None, 5)  # type: ignore[call-overload]  # two images
    except cv2.error:
        return None
    return homography.astype(np.float64) if np.isfinite(homography).all() else None


def align_ecc(restored: np.ndarray, sharp: np.ndarray) -> EccAlignment:
    """Match intensity and position of a restored image to its sharp one (protocol `realblur_ecc`).

    Gain sum(xz)/sum(zz); homography maximising the enhanced correlation coefficient (ECC) of the grey images
    (OpenCV, 100 iterations, eps 0, Gaussian 5); bicubic warp with reflected border; nearest-neighbour warp
    of the validity mask. Keep the OpenCV version beside the score. Source: protocol of Rim et al. (2020).

    Args:
        restored: uint8 (H,W,3), at least 11 px a side.
        sharp: uint8 (H,W,3).

    Returns:
        The alignment. Where OpenCV gives up, the homography is not finite or leaves no valid pixel to score,
        `aligned` is False and the image is the unchanged input.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images too small.
    """
    _check_pair(restored, sharp, smallest=_WINDOW)
    restored, sharp = restored.astype(np.float64), sharp.astype(np.float64)
    everywhere = np.ones(sharp.shape[:2], np.uint8)
    size = everywhere.shape[::-1]
    scaled = restored * _gain(restored, sharp)
    homography = _ecc_homography(scaled, sharp)
    if homography is not None:
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        mask = cv2.warpPerspective(everywhere, homography, size, flags=flags)
        if mask[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS].any():
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            image = cv2.warpPerspective(scaled, homography, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
            return EccAlignment(image, mask.astype(bool), homography, aligned=True)
    return EccAlignment(restored, everywhere.astype(bool), np.eye(3), aligned=False)


def realblur_ecc(restored: np.ndarray, sharp: np.ndarray) -> EccScore:
    """Score of the RealBlur benchmark: align by `align_ecc`, then PSNR and SSIM over the valid pixels.

    PSNR has peak 255, without rounding. The SSIM map, computed with everything outside the mask set to 0,
    loses 5 px at each border before its masked mean is taken. A failed alignment is scored as it stands.

    Args:
        restored: uint8 (H,W,3), at least 11 px a side.
        sharp: uint8 (H,W,3).

    Returns:
        Aligned and unaligned scores, the same where `aligned` is False: count such images, do not drop them.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images too small.
    """
    alignment = align_ecc(restored, sharp)
    psnr_unaligned, ssim_unaligned = psnr_db(restored, sharp), ssim_gauss_rgb(restored, sharp)
    if not alignment.aligned:
        return EccScore(psnr_unaligned, ssim_unaligned, psnr_unaligned, ssim_unaligned, aligned=False)
    mask = alignment.mask
    ssim = _ssim_map(alignment.image * mask[..., None], sharp * mask[..., None])
    return EccScore(
        psnr_db=_psnr(alignment.image - sharp, _PEAK, mask),
        ssim_gauss_rgb=float(ssim[mask[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]].mean()),
        psnr_unaligned_db=psnr_unaligned,
        ssim_unaligned=ssim_unaligned,
        aligned=True,
    )


# --------------------------------------------------------------------------------------------------- Koehler


@dataclass(frozen=True)
class KoehlerScore:
    """Best PSNR and best MS-SSIM over the frames, and the 0-based positions of those frames.

    `ms_ssim` is nan and `ms_ssim_frame` None for images below 161 px a side, where five levels do not fit.
    """

    psnr_db: float
    ms_ssim: float
    psnr_frame: int
    ms_ssim_frame: int | None


def _register_parts(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float64 image (H,W,3), its luma (H,W) and the spectrum of its channel mean."""
    image = image.astype(np.float64)
    return image, image @ _LUMA, scipy.fft.rfft2(image @ np.full(3, 1 / 3))


def _peak_shift(cross_spectrum: np.ndarray, shape: tuple[int, int]) -> list[int]:
    """Rows and columns by which the restored image must move to correlate best with the sharp one."""
    peak = np.unravel_index(np.argmax(scipy.fft.irfft2(cross_spectrum, s=shape)), shape)
    # As in the official registration code, the middle position of an odd length counts as negative.
    return [int(at) if at < length // 2 else int(at) - length for at, length in zip(peak, shape)]


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    """Where the shifted axis lands inside the frame, and where it comes from."""
    return slice(max(shift, 0), length + min(shift, 0)), slice(max(-shift, 0), length - max(shift, 0))


def _koehler_pair(restored_parts: tuple, sharp_parts: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Luma planes (H,W) to compare: restored (scaled, shifted), sharp; both 0 outside their overlap."""
    restored, luma_restored, spectrum_restored = restored_parts
    sharp, luma_sharp, spectrum_sharp = sharp_parts
    shift = _peak_shift(spectrum_sharp * spectrum_restored.conj(), luma_sharp.shape)
    (rows, from_rows), (columns, from_columns) = map(_overlap, luma_sharp.shape, shift)
    moved, kept = np.zeros_like(luma_sharp), np.zeros_like(luma_sharp)
    moved[rows, columns] = _gain(restored, sharp) * luma_restored[from_rows, from_columns]
    kept[rows, columns] = luma_sharp[rows, columns]
    return moved, kept


def koehler_best_frame(restored: np.ndarray, frames: Iterable[np.ndarray]) -> KoehlerScore:
    """Official score of the Koehler benchmark (2012) for one image.

    For each sharp frame x: gain sum(xz)/sum(zz); integer shift at the peak of the DFT cross-correlation of
    the channel means; the vacated border set to 0 in both images, where it counts as equal; luma
    0.299/0.587/0.114, neither clamped nor rounded; PSNR with peak 255 and MS-SSIM as `ms_ssim_metrix`. Best
    over frames, each score for itself. The gain is taken before the shift, so even a shifted copy of a frame
    does not score inf. In the official data, frame 30 of image 1, trajectory 3 is missing: leave it out.

    Args:
        restored: uint8 (H,W,3), at least 11 px a side.
        frames: the sharp frames along the trajectory, uint8 (H,W,3) each; read one at a time.

    Returns:
        The best scores and their frames.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images too small, no frames.
    """
    _check_rgb8("restored", restored)
    _check_size(restored, _WINDOW)
    has_levels = min(restored.shape[:2]) >= _MS_SMALLEST
    restored_parts = _register_parts(restored)
    scores = []
    for index, frame in enumerate(frames):
        _check_rgb8(f"frames[{index}]", frame)
        _check_same_shape(restored, frame, f"frames[{index}]")
        moved, kept = _koehler_pair(restored_parts, _register_parts(frame))
        scores.append((_psnr(moved - kept, _PEAK), _ms_ssim(moved, kept) if has_levels else math.nan))
    if not scores:
        raise ValueError("frames: empty; pass the sharp frames (an iterator can be used only once)")
    psnr, ms_ssim = np.array(scores).T
    return KoehlerScore(
        psnr_db=float(psnr.max()),
        ms_ssim=float(ms_ssim.max()),
        psnr_frame=int(psnr.argmax()),
        ms_ssim_frame=int(ms_ssim.argmax()) if has_levels else None,
    )


def koehler_single_frame(restored: np.ndarray, frame: np.ndarray) -> KoehlerScore:
    """`koehler_best_frame` with one sharp frame: quick, lower, and not comparable with printed numbers.

    Args:
        restored: uint8 (H,W,3), at least 11 px a side.
        frame: uint8 (H,W,3), one sharp frame.

    Returns:
        The scores; both frame positions are 0 (or None without MS-SSIM).

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images too small.
    """
    return koehler_best_frame(restored, [frame])


# ------------------------------------------------------------------------------------------------------- DVD


def dvd_frame_indices(n_frames: int = 100) -> list[int]:
    """1-based numbers of the frames that `dvd_aligned_30` scores in a video.

    Official rule for 100 frames: floor(linspace(2, 97, 30)). For other lengths these 30 positions are
    stretched so that frames 1 and 100 fall on 1 and `n_frames`, rounded down, and stripped of repetitions:
    short videos give fewer than 30.

    Args:
        n_frames: length of the video, at least 1.

    Returns:
        At most 30 rising numbers in 1..n_frames; subtract 1 to index a list.

    Raises:
        ValueError: `n_frames` below 1.
    """
    if n_frames < 1:
        raise ValueError(f"n_frames: expected at least 1, got {n_frames}; is the folder empty?")
    # Position k of 100 is 1 + (29 + 95k)/29; whole numbers keep floor() exact.
    return sorted({1 + (29 + 95 * k) * (n_frames - 1) // (29 * 99) for k in range(30)})


def dvd_aligned_psnr(restored: np.ndarray, sharp: np.ndarray) -> float:
    """PSNR of one video frame after Koehler's gain and integer shift, on luma (for `dvd_aligned_30`).

    Args:
        restored: uint8 (H,W,3), at least 11 px a side.
        sharp: uint8 (H,W,3), the same frame of the sharp video.

    Returns:
        PSNR in dB, peak 255; inf if nothing differs.

    Raises:
        ValueError: wrong layout or dtype, differing shapes, images too small.
    """
    _check_pair(restored, sharp, smallest=_WINDOW)
    moved, kept = _koehler_pair(_register_parts(restored), _register_parts(sharp))
    return _psnr(moved - kept, _PEAK)
