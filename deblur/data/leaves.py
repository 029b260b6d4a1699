"""Sharp pictures that nobody took: leaves of all sizes that fall over each other.

This dead leaves model shares with photographs what deblurring lives on, edges that occlude and sizes without a scale
(Lee, Mumford, Huang; 2001), and networks that were trained on it restore photographs (Achddou, Gousseau, Ladjal; 2021).
There is no end to it, it is as sharp as pixels allow, and belongs to nobody. Colours, and some leaves' insides, come
from the bundled training scenes.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from joblib import cpu_count
from PIL import Image

from deblur import writing
from deblur.errors import UsageError

SIZE = (720, 1080)
RADII_PX = (4.0, 400.0)
"""Smallest and largest leaf; their density falls with the third power of the radius, so that no size is special."""
LEAVES = (800, 3000)
INSIDES = ("plain", "shaded", "striped", "grained", "scene")
SUBPIXELS = 4
"""Bits behind the point in the corners that OpenCV fills between."""


def picture(rng: np.random.Generator, scenes: Sequence[np.ndarray], size: tuple[int, int] = SIZE) -> np.ndarray:
    """One picture (height, width, 3) uint8.

    Args:
        scenes: pictures (H,W,3) uint8 that lend their colours and textures.
    """
    canvas = np.rint(inside(rng, *size, scenes)).astype(np.uint8)
    covering = [RADII_PX[1]] * 30  # first, and beyond the law: large shapes behind everything
    for radius in (*covering, *radii(rng, int(rng.integers(*LEAVES)))):
        drop(rng, canvas, outline(rng, radius) + rng.uniform(size=2) * size[::-1], scenes)
    return canvas


def radii(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count,) radii in pixels, of a density proportional to r^-3 within `RADII_PX`."""
    low, high = (radius**-2.0 for radius in RADII_PX)
    return (low + rng.uniform(size=count) * (high - low)) ** -0.5


def outline(rng: np.random.Generator, radius: float) -> np.ndarray:
    """(n, 2) corners of an ellipse, a bar, a polygon or a wavy leaf within `radius` of the origin, turned at random."""
    turn = rng.uniform(0, 2 * np.pi)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    distance, aspect = np.ones(48), 1.0
    match rng.choice(["ellipse", "bar", "polygon", "wave"]):
        case "ellipse":
            aspect = rng.uniform(0.3, 1)
        case "bar":
            angles, distance, aspect = np.pi / 4 * np.array([1, 3, 5, 7]), np.ones(4), rng.uniform(0.05, 1)
        case "polygon":
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
            distance = rng.uniform(0.5, 1, len(angles))
        case "wave":
            distance = 0.7 + 0.3 * np.sin(rng.integers(2, 6) * angles)
    x, y = radius * distance * np.cos(angles), radius * distance * aspect * np.sin(angles)
    return np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], 1)


def drop(rng: np.random.Generator, canvas: np.ndarray, corners: np.ndarray, scenes: Sequence[np.ndarray]) -> None:
    """Paint a leaf with these corners (n, 2), as (x, y), over the canvas; its edge is smoothed over a pixel."""
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, canvas.shape[1::-1])
    if (low >= high).any():
        return
    (left, top), (right, bottom) = low, high
    mask = np.zeros((bottom - top, right - left), np.uint8)
    fixed = np.rint((corners - low) * 2**SUBPIXELS).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SUBPIXELS)
    region, share = canvas[top:bottom, left:right], mask[..., None] / 255
    filling = inside(rng, bottom - top, right - left, scenes)
    region[:] = np.rint(region + share * (filling - region)).astype(np.uint8)


def inside(rng: np.random.Generator, height: int, width: int, scenes: Sequence[np.ndarray]) -> np.ndarray:
    """What a leaf shows, (height, width, 3) float64 in [0,255]: one of `INSIDES`."""
    scene = scenes[int(rng.integers(len(scenes)))]
    first, second = (scene[rng.integers(scene.shape[0]), rng.integers(scene.shape[1])].astype(float) for _ in range(2))
    kind, angle = rng.choice(INSIDES), rng.uniform(0, 2 * np.pi)
    if kind == "scene":  # repeated where the leaf is larger
        rows, columns = (rng.integers(side) + np.arange(n) for side, n in zip(scene.shape, (height, width)))
        return scene[rows[:, None] % scene.shape[0], columns % scene.shape[1]].astype(float)
    y, x = np.ogrid[:height, :width]
    along = np.cos(angle) * x + np.sin(angle) * y
    match kind:
        case "shaded":
            mix = (along - along.min()) / max(float(np.ptp(along)), 1) / 2
        case "striped":
            mix = (np.sin(along * rng.uniform(0.05, 0.8)) + 1) / 2
            mix = np.rint(mix) if rng.random() < 0.4 else mix
        case "grained":
            coarse = [max(side // int(rng.integers(1, 8)), 1) for side in (height, width)]
            mix = cv2.resize(rng.uniform(size=coarse), (width, height), interpolation=cv2.INTER_LINEAR)
        case _:
            mix = np.zeros((height, width))
    return first + mix[..., None] * (second - first)


def write_leaves(
    out: Path, count: int, seed: int = 0, progress: Callable[[Iterable], Iterable] = iter, **wanted: Any
) -> None:
    """Write `count` pictures as `leaves-NNNN.png` into a new folder, as many at a time as there are cores.

    Args:
        progress: wraps the pictures, as `tqdm` does.
        wanted: arguments of `picture`.

    Raises:
        ValueError: if the count is not positive.
        OSError: if the folder is there already, and not empty, or cannot be written.
    """
    from deblur.data import bench  # here, since it loads torch, which workers have no use for

    if count < 1:
        raise UsageError(f"count must be 1 or more, not {count}")
    pool = ProcessPoolExecutor(cpu_count(), get_context("spawn"))
    with writing.delivering_folder(out) as draft, pool:
        scenes = [bench.native_scene(name) for name in bench.SCENES["train"]]
        for _ in progress(pool.map(partial(_write_one, draft, seed, scenes, wanted), range(count), chunksize=4)):
            pass


def _write_one(folder: Path, seed: int, scenes: Sequence[np.ndarray], wanted: dict, number: int) -> None:
    made = picture(np.random.default_rng([seed, number]), scenes, **wanted)
    Image.fromarray(made).save(folder / f"leaves-{number:04d}.png", compress_level=1)
