"""Maps over an image in numbers: what they go with, and whether they say anything at all.

A map is (h,w), its resolution that of the features it comes from; what it is compared with is brought to that.
"""

import cv2
import numpy as np

from deblur.evaluation import metrics

CONSTANT = 0.05
"""Share of its mean below which a map's range (1st to 99th percentile) is none."""


def is_constant(values: np.ndarray) -> bool:
    """Whether a map, or a list of numbers, hardly varies."""
    low, high = np.percentile(values, (1, 99))
    return bool(high - low <= CONSTANT * abs(values.mean()))


def edges(image: np.ndarray) -> np.ndarray:
    """Sobel magnitude of the luma, (H,W,3) uint8 -> (H,W) float64."""
    luma = image.astype(np.float64) @ metrics.LUMA
    return np.hypot(cv2.Sobel(luma, cv2.CV_64F, 1, 0), cv2.Sobel(luma, cv2.CV_64F, 0, 1))


def at_size(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Means over areas, (H,W) or (H,W,C) -> the size of a coarser map (h,w)."""
    return cv2.resize(values.astype(np.float64), shape[::-1], interpolation=cv2.INTER_AREA)


def enlarged(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map (h,w) at an image's size (H,W), bilinearly."""
    return cv2.resize(values.astype(np.float64), shape[::-1], interpolation=cv2.INTER_LINEAR)


def correlation(values: np.ndarray, other: np.ndarray, given: np.ndarray | None = None) -> float:
    """Pearson's correlation of a map with another (H,W) over the map's pixels; NaN where the map is constant.

    Args:
        given: (H,W), of which both are freed first: their partial correlation.
    """
    if is_constant(values):
        return float("nan")
    columns = [values.astype(np.float64), at_size(other, values.shape)]
    if given is not None:
        columns = [_freed(column, at_size(given, values.shape)) for column in columns]
    one, two = (column.ravel() - column.mean() for column in columns)
    scale = np.sqrt((one @ one) * (two @ two))
    return float(one @ two / scale) if scale > 0 else float("nan")


def _freed(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What a straight line in `given` leaves of values of the same size."""
    centred = given - given.mean()
    power = (centred**2).sum()
    slope = (centred * (values - values.mean())).sum() / power if power > 0 else 0.0
    return values - slope * centred
