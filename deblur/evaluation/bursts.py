"""Several frames made into one without learning: weighted Fourier accumulation (WFA; Delbracio and Sapiro 2015).

A hand that shakes takes other frequencies from each frame, and a blur never adds to a frequency: of every frequency the
frame that has most of it is the least blurred there. Frames are registered by optical flow where forward and backward
flow agree, then averaged block by block in Fourier's domain with weights |V|^p, and sharpened at last.

Readings (M. Delbracio, G. Sapiro: "Burst deblurring: removing camera shake through Fourier burst accumulation", CVPR
2015; "Hand-held video deblurring via efficient Fourier aggregation", IEEE TCI 1, 2015)
    p = 11; one weight for all colours, of their mean magnitude                    stated
    Weights smoothed by a Gaussian of the block's side over 50                     stated
    TV-L1 flow; what is inconsistent there and back is taken from the reference    stated; size, smoothness chosen
    A shift of the whole frame before the flow; frames unlike the reference        ours: the copy pans far
    Blocks that overlap by half, joined by a window; unsharp masking               stated; sizes chosen
"""

from collections.abc import Sequence
from itertools import product

import cv2
import numpy as np
from scipy import fft, ndimage
from skimage.registration import optical_flow_tvl1, phase_cross_correlation

POWER = 11
BLOCK = 64
"""Side in pixels; blocks begin at every half of it."""
LARGEST_KERNEL = 50
"""The block's side over the deviation of the Gaussian that smooths weights."""
REDUCED = 3
"""Flow is sought in images so much smaller."""
ATTACHMENT = 1.5
"""Of the flow: the smaller, the smoother."""
AGREE_PX = 1.0
"""Distance at which forward and backward flow no longer agree."""
LIKE, LIKE_PX = 0.05, 4.0
"""Difference in [0,1] units, under a Gaussian of this deviation, at which a registered frame is another scene."""
SOFT_PX = 2.0
"""Deviation of the Gaussian that softens the border of what is inconsistent."""
NOTHING = 1e-12
"""Magnitude that every frequency has: black frames weigh alike."""
SHARPEN, SHARPEN_PX = 0.5, 1.0
"""Strength of the unsharp mask, and the deviation of its Gaussian."""
FRAMES = 7
"""Of a video, the restored one in the middle."""


def wfa(frames: Sequence[np.ndarray], reference: int | None = None) -> np.ndarray:
    """Frames (H,W,3) uint8 -> the reference (by default the middle one) restored, (H,W,3) float32 in [0,1] units.

    Raises:
        ValueError: for no frame, or frames of different sizes.
    """
    if len({frame.shape for frame in frames}) != 1:
        raise ValueError("give at least one frame, all of one size")
    stack = np.stack(frames).astype(np.float32) / 255
    reference = len(stack) // 2 if reference is None else reference
    registered = [image if i == reference else register(stack[reference], image) for i, image in enumerate(stack)]
    return sharpened(accumulated(np.stack(registered)))


def register(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """An image (H,W,3) float32 moved onto the reference; where it cannot be trusted, the reference itself."""
    first, second = reference.mean(2), image.mean(2)
    places = np.indices(first.shape, np.float32)
    forward = flow(first, second)
    target = places + forward
    moved = _sampled(image, target)
    returned = np.stack([_sampled(part, target) for part in flow(second, first)])
    astray = np.hypot(*(forward + returned)) > AGREE_PX
    outside = ((target < 0) | (target > np.reshape(first.shape, (2, 1, 1)) - 1)).any(0)
    unlike = np.abs(ndimage.gaussian_filter(moved.mean(2) - first, LIKE_PX)) > LIKE
    trusted = (~(astray | outside | unlike)).astype(np.float32)
    trust = ndimage.gaussian_filter(trusted, SOFT_PX)[..., None]
    return trust * moved + (1 - trust) * reference


def flow(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Where each pixel of the reference (H,W) lies in the other image: (2,H,W) float32 in pixels along y and x.

    TV-L1 looks about for a few pixels only: first the whole image is shifted. It is sought at a third of the size,
    where blur is short: at full size it would give each frame the other's blur.
    """
    height, width = reference.shape
    shift = -phase_cross_correlation(reference, moving)[0].astype(np.float32)[:, None, None]
    shifted = _sampled(moving, np.indices(reference.shape, np.float32) + shift)
    size = (max(round(width / REDUCED), 8), max(round(height / REDUCED), 8))
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (reference, shifted)]
    coarse = optical_flow_tvl1(*small, attachment=ATTACHMENT).astype(np.float32)
    scales = (height / size[1], width / size[0])
    return shift + np.stack([cv2.resize(part, (width, height)) * scale for part, scale in zip(coarse, scales)])


def _sampled(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """An image at other places (2,H,W), y and x; beyond its border its edge goes on."""
    return cv2.remap(image, places[1], places[0], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def accumulated(frames: np.ndarray, power: float = POWER) -> np.ndarray:
    """Registered frames (N,H,W,3) float32 -> (H,W,3): of each frequency in each block, the mean by |V|^power."""
    half = BLOCK // 2
    _, height, width, _ = frames.shape
    around = [(half, half + -side % half) for side in (height, width)]
    padded = np.pad(frames, [(0, 0), *around, (0, 0)], mode="symmetric")
    profile = np.sin(np.pi * (np.arange(BLOCK) + 0.5) / BLOCK).astype(np.float32) ** 2  # halves add up to 1
    window = (profile[:, None] * profile)[..., None]
    result: np.ndarray = np.zeros(padded.shape[1:], np.float32)
    rows, columns = range(half, result.shape[0], half), range(half, result.shape[1], half)
    for y, x in product(rows, columns):
        place = np.s_[y - half : y + half, x - half : x + half]
        result[place] += window * accumulated_block(padded[:, *place], power)
    return result[half : half + height, half : half + width]


def accumulated_block(block: np.ndarray, power: float) -> np.ndarray:
    """One block (N,b,b,3) of all frames -> (b,b,3)."""
    spectra = fft.fft2(block, axes=(1, 2))
    deviation = BLOCK / LARGEST_KERNEL
    smooth = ndimage.gaussian_filter(np.abs(spectra).mean(3), (0, deviation, deviation), mode="wrap") + NOTHING
    weights = (smooth / smooth.max(0)) ** power
    weights /= weights.sum(0)
    return fft.ifft2((weights[..., None] * spectra).sum(0), axes=(0, 1)).real


def sharpened(image: np.ndarray) -> np.ndarray:
    """An unsharp mask over (H,W,3)."""
    return image + SHARPEN * (image - ndimage.gaussian_filter(image, (SHARPEN_PX, SHARPEN_PX, 0)))
