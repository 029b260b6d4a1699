"""A photograph, the blur that is painted over it, and the truth about it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from deblur.data import bench, blur, scenes
from deblur.data.synthesis import expose_in_bands
from deblur.evaluation import metrics
from deblur.figures import raidnet as raidnet_figures
from deblur.photos import pictures, restoration, tiles

KINDS = {
    "straight": "a camera that shifts evenly",
    "global": "a camera path",
    "local": "a moving object, and a camera path",
    "sampling": "a moving object, and a camera path, cut by the frame",
    "none": "none: it is really blurred",
}
"""Kind of blur, see `blur.KINDS`, in words; with the last a picture is shown as it is."""


SMALLEST_SIDE = 64
"""Pixels of the frame that a photograph must leave."""


QUICK, QUICK_SCALES = "attentive", ("smoke", "mini")
"""The network that is trained at once, and the scales at which this takes no longer than a minute or two."""


@dataclass(frozen=True)
class Choice:
    """Which photograph is blurred, and how.

    Attributes:
        photograph: a name of `photographs`, or the path of a file.
        kind: of `KINDS`.
        length_px: mean length of the camera's path over the frame, and of the object's.
        seed: draws both paths, and the object's place.
    """

    photograph: str = "astronaut"
    kind: str = "local"
    length_px: float = 5.0
    seed: int = 0


def start(scale: str, seed: int) -> Choice:
    """What is looked at first: a test scene under blur that networks trained at that scale do well on."""
    if scale in QUICK_SCALES:
        return Choice(length_px=5.0, seed=seed)
    return Choice(kind="straight", length_px=12.0, seed=seed)


def photographs() -> dict[str, str]:
    """The bundled photographs: name -> the split of the benchmark that it belongs to, or `really blurred`."""
    splits = {name: source.split for name, source in scenes.SCENES.items()}
    return splits | dict.fromkeys(scenes.PHOTOGRAPHS, "really blurred")


def photograph(name: str) -> np.ndarray:
    """A bundled photograph at its native size, or that of a file, upright; (H,W,3) uint8.

    Raises:
        ValueError: neither of them, or a file that cannot be read.
    """
    if name in scenes.SCENES:
        return bench.native_scene(name)
    if name in scenes.PHOTOGRAPHS:
        return scenes.real_photographs()[name]
    path = Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"{name}: no such file, and not one of {', '.join(photographs())}; give the path from here")
    pixels = restoration.colours(pictures.eight_bits(pictures.read(path, tiles.largest_image()).pixels))
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def framed(picture: np.ndarray, margin: int, name: str = "photograph") -> np.ndarray:
    """The middle of a picture (H,W,3) with `margin` px around a frame of at most `bench.FRAME_SIZE`, turned if upright.

    Large pictures are reduced as far as the frame still fits.

    Raises:
        ValueError: if less than `SMALLEST_SIDE` is left of the frame.
    """
    height, width = picture.shape[:2]
    frame = bench.FRAME_SIZE if width >= height else bench.FRAME_SIZE[::-1]
    wanted = [side + 2 * margin for side in frame]
    factor = max(1.0, min(height / wanted[0], width / wanted[1]))
    height, width = (int(side / factor + 1e-9) for side in (height, width))
    reduced = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    rows, columns = (min(want, have) for want, have in zip(wanted, (height, width)))
    if min(rows, columns) < SMALLEST_SIDE + 2 * margin:
        needed = SMALLEST_SIDE + 2 * margin
        raise ValueError(f"{name}: {height}x{width} is too small, this needs {needed} px a side; shorten the path")
    top, left = (height - rows) // 2, (width - columns) // 2
    return reduced[top : top + rows, left : left + columns]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a frame whose blur was painted; see `blur.Exposure`.

    Attributes:
        trajectories: kind -> (T,2) px, the path of the pixel of that kind that suffers most, from its place.
    """

    sharp: np.ndarray  # (h,w,3) uint8
    displacement: np.ndarray  # (h,w,2) px
    path_px: np.ndarray  # (h,w)
    label: np.ndarray  # (h,w)
    trajectories: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Exposed:
    """A blurred frame, (h,w,3) uint8, and the truth about it unless it is really blurred."""

    blurred: np.ndarray
    truth: Truth | None = None


@lru_cache(maxsize=16)
def expose(choice: Choice) -> Exposed:
    """The middle of a photograph, blurred as chosen; a really blurred one as it is.

    Raises:
        ValueError: an unknown photograph or kind, a photograph that is too small for such a path.
    """
    if choice.kind not in KINDS:
        raise ValueError(f"unknown kind of blur {choice.kind!r}; choose one of {', '.join(KINDS)}")
    picture = photograph(choice.photograph)
    if choice.kind == "none" or choice.photograph in scenes.PHOTOGRAPHS:
        return Exposed(framed(picture, 0, choice.photograph))
    # As in `data.synthesis`: camera and object may each go their whole path to one side, at a corner a bit further.
    margin = math.ceil(2.5 * choice.length_px) + 1
    scene = torch.from_numpy(framed(picture, margin, choice.photograph) / 255.0).permute(2, 0, 1).contiguous()
    size = (scene.shape[1] - 2 * margin, scene.shape[2] - 2 * margin)
    rng = np.random.default_rng(choice.seed)
    motion = _motion(rng, choice, size)
    exposure, blurred, _ = expose_in_bands(scene, motion, (margin, margin), size)
    frame, sharp = (image.permute(1, 2, 0).numpy() for image in (blurred, exposure.sharp))
    displacement, path_px, label = (part.numpy() for part in (exposure.displacement, exposure.path_px, exposure.label))
    trajectories = _trajectories(motion, raidnet_figures.worst(sharp, frame, label), size)
    return Exposed(frame, Truth(sharp, displacement, path_px, label, trajectories))


def _motion(rng: np.random.Generator, choice: Choice, size: tuple[int, int]) -> blur.Motion:
    """What moves while the shutter is open: even shifts are those of the scale `bench`."""
    lengths = (choice.length_px, choice.length_px)
    if choice.kind == "straight":
        return bench.random_motion(rng, choice.kind, lengths)
    return blur.random_motion(rng, choice.kind, size, lengths)


def _trajectories(
    motion: blur.Motion, places: Mapping[str, tuple[int, int]], size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """See `Truth.trajectories`; places are (y, x)."""
    points = torch.tensor([[place[::-1] for place in places.values()]], dtype=torch.float64)  # (1,kinds,2)
    trajectories, _ = blur.trajectories(motion, points, size)
    return dict(zip(places, (trajectories - points)[:, 0].transpose(0, 1).numpy()))


def described(choice: Choice, seen: Exposed) -> str:
    """What was done to the photograph, as Markdown."""
    height, width = seen.blurred.shape[:2]
    start = f"**{choice.photograph}**, {height}x{width} pixels (height x width)"
    if seen.truth is None:
        return f"{start}, really blurred: nobody knows how its pixels moved, so there is no truth to compare with."
    length, label = seen.truth.path_px, seen.truth.label
    kinds = zip(blur.KINDS, np.bincount(label.ravel(), minlength=3) / label.size)
    causes = ", ".join(f"{kind} {share:.0%}" for kind, share in kinds if share)
    return (
        f"{start}, {KINDS[choice.kind]}. While the shutter was open, pixels moved by {length.mean():.1f} px on average "
        f"({length.min():.1f} to {length.max():.1f} px). Cause of the blur: {causes} of all pixels. The blurred "
        f"frame has {metrics.psnr_db(seen.blurred, seen.truth.sharp):.2f} dB."
    )
