"""The floor of the comparison: deconvolution with a guessed kernel, which learns nothing and knows no local motion."""

import numpy as np
from skimage.restoration import unsupervised_wiener

MARGIN = 16
"""Rows and columns of reflection around an image: a Fourier transform takes it for periodic."""


def mean_line(length_px: float) -> np.ndarray:
    """The blur of a straight path of unknown direction: the mean over all directions, sum 1, odd square size.

    Args:
        length_px: length of the path, positive; 1 and less is hardly any blur.

    Raises:
        ValueError: for a length that is not positive.
    """
    if not length_px > 0:
        raise ValueError(f"a path must have a positive length, not {length_px} px")
    angle = (np.arange(360) + 0.5) * np.pi / 360
    place = ((np.arange(1000) + 0.5) / 1000 - 0.5) * length_px
    radius = max(int(np.ceil((length_px - 1) / 2)), 0)
    edges = np.arange(2 * radius + 2) - radius - 0.5
    y, x = (np.outer(direction, place).ravel() for direction in (np.sin(angle), np.cos(angle)))
    kernel, *_ = np.histogram2d(y, x, [edges, edges])
    return kernel / kernel.sum()


def wiener_floor(blurred: np.ndarray, length_px: float = 2.0) -> np.ndarray:
    """Blurred (H,W,3) uint8 -> restored (H,W,3) float32 in [0,1] units, unclamped.

    Each colour is deconvolved by scikit-image's unsupervised Wiener filter (Orieux, Giovannelli, Rodet; 2010), which
    finds the strength of its regularisation itself; its random draws are seeded. The kernel is `mean_line(length_px)`
    everywhere: 2 px gained most on the bundled validation pairs, whose paths are longer, since a filter that follows
    no direction can only sharpen.
    """
    kernel = mean_line(length_px)
    margins = ((MARGIN, MARGIN), (MARGIN, MARGIN))
    restored = [
        unsupervised_wiener(np.pad(colour / 255, margins, mode="reflect"), kernel, clip=False, rng=0)[0]
        for colour in np.moveaxis(blurred, 2, 0)
    ]
    return np.stack(restored, 2)[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float32)
