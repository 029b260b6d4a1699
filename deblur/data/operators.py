"""The three kinds of blur as systems of equations: Table 1 of RAID-Net, in numbers.

A small blurred frame b is `A s`: one row of A is one pixel, one equation; one column is one pixel of the sharp scene,
one unknown. The paper argues with symbols: m unknowns and n equations for global blur, more unknowns for local, fewer
equations for sampling blur. Here A is built for each kind and its rank is counted, and so are the unknowns of the
blind system, where the motion is sought besides.

What comes out: more unknowns for local blur, as printed. "Fewer equations" is not a statement about rank: truncation
repeats border pixels in A, but it deletes no row and in general no rank. It holds for the rows whose whole trajectory
lies inside the frame (`intact_rows`), and, weakly, for singular values that 8 bit can resolve (`effective_rank`).

Readings
    The camera shifts the picture, zero at the middle sub-frame; bilinear sampling, plain mean            chosen
    Eq. 2's masks are one value a pixel and axis, looked up at the camera-displaced point, times a path   chosen
    Global and local blur have a periodic border, so that the unknowns are the frame's pixels, no more    chosen
    Eq. 3 says hybrid motion, Table 1 gives it m unknowns, the camera's alone: both rows are made
Coordinates are (x, y) in pixels, as in `deblur.data.blur`; everything is float64.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from deblur.data.blur import cubic_paths, random_blob, random_cubics

SIDE, STEPS, EXTENT_PX = 16, 9, 5.0
"""Pixels of the frame a side, sub-frames, and how far each path reaches along its longer axis."""
RESOLVED = 1 / 255
"""A change of the scene by one unit, along a direction of a smaller singular value, stays below one step of 8 bit."""


@dataclass(frozen=True)
class Blur:
    """What moves during T sub-frames: the camera, and perhaps an object.

    Attributes:
        camera: (T, 2) shifts in px.
        masks: (2, H, W), how far each point of the scene follows the object along x and along y, or None.
        object_path: (T, 2) the object's path in px, or None.
        cut: truncate trajectories at the frame (Eq. 3); else the scene goes on periodically.
    """

    camera: Tensor
    masks: Tensor | None = None
    object_path: Tensor | None = None
    cut: bool = False

    def __post_init__(self) -> None:
        if (self.masks is None) != (self.object_path is None):
            raise ValueError("masks and object_path belong together: give both or neither")
        if self.object_path is not None and self.object_path.shape != self.camera.shape:
            raise ValueError(
                f"object_path must be {tuple(self.camera.shape)} like the camera, not {tuple(self.object_path.shape)}"
            )


def pixels(height: int, width: int) -> Tensor:
    """Coordinates (height, width, 2) of a frame's pixels."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in (height, width)), indexing="ij")
    return torch.stack([x, y], -1)


def sample(images: Tensor, points: Tensor) -> Tensor:
    """Images (..., H, W) at points (T, h, w, 2), bilinearly, wrapped around at the border: (..., T, h, w).

    Differentiable in both.
    """
    height, width = images.shape[-2:]
    low = points.detach().floor()
    right, down = (points - low).unbind(-1)
    x, y = low.long().unbind(-1)
    corners = ((0, 0, 1 - right, 1 - down), (1, 0, right, 1 - down), (0, 1, 1 - right, down), (1, 1, right, down))
    return sum(u * v * images[..., (y + dy) % height, (x + dx) % width] for dx, dy, u, v in corners)  # type: ignore[return-value]  # four corners


def trajectories(blur: Blur, points: Tensor, corner: Tensor) -> Tensor:
    """Where pixels at `points` (h, w, 2) look (Eqs. 1-3): (T, h, w, 2); `corner` is the last pixel's (x, y)."""
    q = points + blur.camera[:, None, None]
    if blur.masks is not None:
        assert blur.object_path is not None  # masks and object_path belong together
        q = q + sample(blur.masks, q).movedim(0, -1) * blur.object_path[:, None, None]
    return torch.minimum(q.clamp(min=0), corner) if blur.cut else q


def expose(images: Tensor, blur: Blur) -> Tensor:
    """Blur images (..., H, W): the mean over the sub-frames."""
    points = pixels(*images.shape[-2:])
    return sample(images, trajectories(blur, points, points[-1, -1])).mean(-3)


def matrix(blur: Blur, height: int = SIDE, width: int = SIDE) -> Tensor:
    """A, (n, m) with n = m = height * width: blurring is linear in the scene, columns are blurred unit images."""
    unit = torch.eye(height * width, dtype=torch.float64).reshape(-1, height, width)
    return expose(unit, blur).flatten(1).T


def intact_rows(blur: Blur, height: int = SIDE, width: int = SIDE) -> Tensor:
    """Which pixels' trajectories are not cut, (height * width) bool."""
    points = pixels(height, width)
    uncut, clipped = (trajectories(replace(blur, cut=cut), points, points[-1, -1]) for cut in (False, blur.cut))
    return (uncut == clipped).all(-1).all(0).flatten()


def blind_jacobian(image: Tensor, blur: Blur) -> Tensor:
    """Derivatives of the blurred frame (H, W) by all unknowns: the scene's pixels, then the motion's. (n, unknowns).

    The motion's unknowns are the shifts of all sub-frames but the middle one, camera first, and both masks.
    """
    middle = len(blur.camera) // 2
    free = [t for t in range(len(blur.camera)) if t != middle]
    unknowns = {"camera": blur.camera[free]}
    if blur.masks is not None:
        assert blur.object_path is not None  # masks and object_path belong together
        unknowns |= {"object_path": blur.object_path[free], "masks": blur.masks}

    def blurred(*values: Tensor) -> Tensor:
        motion: dict[str, Any] = dict(zip(unknowns, values, strict=True))
        for name in motion.keys() - {"masks"}:
            motion[name] = torch.cat([motion[name][:middle], torch.zeros_like(motion[name][:1]), motion[name][middle:]])
        return expose(image, replace(blur, **motion)).flatten()

    by_motion = torch.autograd.functional.jacobian(blurred, tuple(unknowns.values()), vectorize=True)
    return torch.cat([matrix(blur, *image.shape), *(part.flatten(1) for part in by_motion)], 1)


def beyond_the_frame(blur: Blur) -> Tensor:
    """A (n, m) where the camera sees the true scene beyond the frame; m counts the pixels that it sees."""
    margin = int(blur.camera.abs().max().ceil()) + 1
    side = SIDE + 2 * margin
    place = pixels(side, side)
    frame = ((place >= margin) & (place < margin + SIDE)).all(-1).flatten()
    rows = matrix(blur, side, side)[frame]
    return rows[:, rows.any(0)]


def random_path(rng: np.random.Generator) -> Tensor:
    """A smooth path (STEPS, 2), zero at its middle, that reaches `EXTENT_PX` along its longer axis."""
    path = cubic_paths(random_cubics(rng, 2), STEPS)
    return torch.from_numpy(path * EXTENT_PX / np.ptp(path, axis=0).max())


def random_blurs(seed: int) -> dict[str, Blur]:
    """One random blur of each kind, as Table 1 names them, all with one camera path and one object."""
    rng = np.random.default_rng([2023, seed])
    camera, object_path = random_path(rng), random_path(rng)
    masks = random_blob(rng, (SIDE, SIDE))(pixels(SIDE, SIDE)).repeat(2, 1, 1)
    return {
        "Global Blur": Blur(camera),
        "Local Blur": Blur(camera, masks, object_path),
        "Sampling Blur": Blur(camera, cut=True),
        "Sampling Blur, hybrid motion": Blur(camera, masks, object_path, cut=True),
    }


def spectrum(a: Tensor) -> dict[str, float]:
    """Rank, effective rank (singular values above `RESOLVED`) and condition number of a matrix."""
    values = torch.linalg.svdvals(a)
    return {
        "rank": int((values > values[0] * max(a.shape) * torch.finfo(a.dtype).eps).sum()),
        "effective_rank": int((values > RESOLVED).sum()),
        "condition": float(values[0] / values[-1]),
    }


def measure(seed: int) -> pd.DataFrame:
    """One random blur of each kind, and the same camera where the scene beyond the frame counts too."""
    image = torch.from_numpy(np.random.default_rng([2024, seed]).random((SIDE, SIDE)))
    blurs = random_blurs(seed)
    rows = []
    for kind, blur in blurs.items():
        jacobian = blind_jacobian(image, blur)
        counts = {"blur_type": kind, "scene_unknowns": SIDE**2, "blind_unknowns": jacobian.shape[1], "rows": SIDE**2}
        counts |= {"blind_rank": spectrum(jacobian)["rank"], "intact_rows": int(intact_rows(blur).sum())}
        rows.append(counts | spectrum(matrix(blur)))
    a = beyond_the_frame(blurs["Global Blur"])
    counts = {"blur_type": "Global Blur, scene beyond the frame", "scene_unknowns": a.shape[1], "rows": SIDE**2}
    counts |= {"blind_unknowns": a.shape[1] + 2 * (STEPS - 1), "intact_rows": SIDE**2}
    return pd.DataFrame([*rows, counts | spectrum(a)])


def table(seeds: int = 20) -> pd.DataFrame:
    """Table 1 in numbers: medians (the lower of two) over random blurs, and the range of some counts as `*_range`."""
    grouped = pd.concat([measure(seed) for seed in range(seeds)]).groupby("blur_type", sort=False)
    ranges = {f"{name}_range": grouped[name].agg(_range) for name in ("intact_rows", "rank", "effective_rank")}
    return grouped.quantile(0.5, interpolation="lower").assign(**ranges).reset_index()


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.0f} to {high:.0f}" if low < high else f"{low:.0f}"
