"""Speed of blur synthesis beside the straightforward way: every sub-frame by `scipy.ndimage.map_coordinates`.

Both take one camera motion and give the mean of the sub-frames: of a crop and a frame of the bundled benchmark, and of
a frame of 720x1280. `python -m benchmarks.synthesis` prints the rows.
"""

from __future__ import annotations

from statistics import median

import cv2
import numpy as np
import pandas as pd
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from skimage import data

from deblur.data import blur, synthesis
from deblur.evaluation.complexity import device_name, time_calls

# Frame, window of it (y, x, height, width), lengths of paths in pixels, rounds.
SIZES = [
    ((144, 256), (40, 90, 64, 64), (2.0, 5.0), 9),
    ((144, 256), (0, 0, 144, 256), (2.0, 5.0), 7),
    ((720, 1280), (0, 0, 720, 1280), (8.0, 20.0), 3),
]
MARGIN = 60


def straightforward(
    scene: np.ndarray, poses: np.ndarray, frame: tuple[int, int], window: tuple[int, int, int, int]
) -> np.ndarray:
    """Eq. 1 of RAID-Net, one sub-frame and channel after the other: scene (3,H,W) -> (3,h,w), both in [0,1]."""
    (height, width), (top, left, rows, columns) = frame, window
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    y, x = np.mgrid[top : top + rows, left : left + columns]
    rays = np.stack([(x - centre[0]) / width, (y - centre[1]) / width, np.ones(x.shape)], -1)
    total = np.zeros((3, rows, columns))
    for pose in poses:
        moved = rays @ Rotation.from_rotvec(pose[3:]).as_matrix().T + pose[:3] / [width, width, 1]
        seen = moved[..., :2] / moved[..., 2:] * width + centre + MARGIN
        for channel in range(3):
            total[channel] += map_coordinates(scene[channel], [seen[..., 1], seen[..., 0]], order=1, mode="nearest")
    return total / len(poses)


def ours(scene: torch.Tensor, motion: blur.Motion, frame: tuple[int, int], window: tuple[int, int, int, int]):
    """The same by this package, large windows in bands as `synthesis` exposes them; with the true motion besides."""
    top, left, rows, columns = window
    step = rows if rows * columns < 10**5 else synthesis.BAND_ROWS
    bands = [(y, left, min(step, top + rows - y), columns) for y in range(top, top + rows, step)]
    return torch.cat([blur.expose(scene, motion, (MARGIN, MARGIN), frame, band).frames.mean(0) for band in bands], 1)


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them.

    Raises:
        AssertionError: the two differ by more than 1e-9 somewhere.
    """
    return [_row(*size) for size in SIZES]


def _row(frame: tuple[int, int], window: tuple[int, int, int, int], length: tuple[float, float], rounds: int) -> dict:
    height, width = (side + 2 * MARGIN for side in frame)
    photograph = cv2.resize(data.astronaut() / 255, (width, height), interpolation=cv2.INTER_CUBIC)
    scene = np.ascontiguousarray(photograph.transpose(2, 0, 1))
    motion = blur.random_motion(np.random.default_rng(0), "global", frame, length)
    calls = {
        "ours": lambda: ours(torch.from_numpy(scene), motion, frame, window),
        "theirs": lambda: straightforward(scene, motion.poses, frame, window),
    }
    difference = np.abs(calls["ours"]().numpy() - calls["theirs"]()).max()
    assert difference < 1e-9, f"differs from scipy's by {difference:.2g}"
    times = time_calls(calls, rounds)
    ratios = [other / own for own, other in zip(times["ours"], times["theirs"], strict=True)]
    return {
        "name": f"exposure {window[2]}x{window[3]}, {len(motion.poses)} sub-frames",
        "ours_ms": median(times["ours"]),
        "other": "scipy.ndimage.map_coordinates",
        "other_ms": median(times["theirs"]),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
    }


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
