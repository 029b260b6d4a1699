"""Signs that a restoration is another picture."""

import cv2
import numpy as np

from deblur.photos.restoration import colours

DRIFT_BLOCK = 32
"""Pixels: the side of the blocks whose mean brightness deblurring should leave alone."""


DRIFT = {"colour": 8.0, "blocks": 10.0, "change": 30.0}
"""What counts as drift, see `drift`, in levels of 255: more than what blurred images of the bundled benchmarks differ
by from their sharp ones, if light adds up as pixels do (1.0, 3.0, 18.7) or as in a camera (6.4, 7.6, 20.3)."""


def drift(image: np.ndarray, restored: np.ndarray) -> list[str]:
    """Signs that a restoration is another picture: deblurring moves light by pixels, and makes and tints none.

    The means of the colours, the means of blocks of 32 px (root mean square of their differences) and the mean absolute
    change of all pixels are compared with `DRIFT`.

    Args:
        image, restored: of the same shape and type, as `restore` takes and gives them.

    Returns:
        A sentence for each sign, empty where there is none.
    """
    image, restored = (np.ascontiguousarray(colours(picture)) for picture in (image, restored))
    before, after = _blocks(image), _blocks(restored)
    levels = 255 / np.iinfo(image.dtype).max
    differences = {
        "colour": np.abs(after.mean((0, 1)) - before.mean((0, 1))).max() * levels,
        "blocks": np.sqrt(np.square(after - before).mean()) * levels,
        "change": cv2.absdiff(image, restored).mean(dtype=np.float64) * levels,
    }
    words = {"colour": "the mean colour", "blocks": "the brightness of large areas", "change": "the mean pixel"}
    return [
        f"drifts from the input: {words[key]} differs by {value:.1f} of 255 levels (expected: below "
        f"{DRIFT[key]:.0f}); look at it before you use it"
        for key, value in differences.items()
        if value > DRIFT[key]
    ]


def _blocks(image: np.ndarray) -> np.ndarray:
    """Means of blocks of about `DRIFT_BLOCK` pixels a side, (h,w,channels) float32."""
    height, width = (max(1, round(side / DRIFT_BLOCK)) for side in image.shape[:2])
    small = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return small.reshape(height, width, -1)
