"""Scores after alignment: the official protocols of RealBlur, Koehler and DVD."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

from deblur.evaluation.metrics import (
    LUMA,
    MS_SMALLEST,
    PEAK,
    RADIUS,
    WINDOW,
    check_pair,
    check_rgb8,
    check_same_shape,
    check_size,
    ms_ssim_of,
    psnr_db,
    psnr_of,
    ssim_gauss_rgb,
    ssim_map,
)


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
    check_pair(restored, sharp, smallest=WINDOW)
    restored, sharp = restored.astype(np.float64), sharp.astype(np.float64)
    everywhere = np.ones(sharp.shape[:2], np.uint8)
    size = everywhere.shape[::-1]
    scaled = restored * _gain(restored, sharp)
    homography = _ecc_homography(scaled, sharp)
    if homography is not None:
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        mask = cv2.warpPerspective(everywhere, homography, size, flags=flags)
        if mask[RADIUS:-RADIUS, RADIUS:-RADIUS].any():
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
    ssim = ssim_map(alignment.image * mask[..., None], sharp * mask[..., None])
    return EccScore(
        psnr_db=psnr_of(alignment.image - sharp, PEAK, mask),
        ssim_gauss_rgb=float(ssim[mask[RADIUS:-RADIUS, RADIUS:-RADIUS]].mean()),
        psnr_unaligned_db=psnr_unaligned,
        ssim_unaligned=ssim_unaligned,
        aligned=True,
    )


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
    return image, image @ LUMA, scipy.fft.rfft2(image @ np.full(3, 1 / 3))


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
    check_rgb8("restored", restored)
    check_size(restored, WINDOW)
    has_levels = min(restored.shape[:2]) >= MS_SMALLEST
    restored_parts = _register_parts(restored)
    scores = []
    for index, frame in enumerate(frames):
        check_rgb8(f"frames[{index}]", frame)
        check_same_shape(restored, frame, f"frames[{index}]")
        moved, kept = _koehler_pair(restored_parts, _register_parts(frame))
        scores.append((psnr_of(moved - kept, PEAK), ms_ssim_of(moved, kept) if has_levels else math.nan))
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
    check_pair(restored, sharp, smallest=WINDOW)
    moved, kept = _koehler_pair(_register_parts(restored), _register_parts(sharp))
    return psnr_of(moved - kept, PEAK)
