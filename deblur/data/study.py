"""The study exam: photographs that no training ever saw, blurred as `mini` and as `bench` blur their scenes.

What a paper claims is judged on it, with the photograph as the unit: the bundled test scenes are too few to say how
sure a difference is. Each photograph shows every kind of blur equally often; `fixed` holds the pictures by their hash.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from deblur import paths
from deblur.data import bench, blur, debian, mini, scenes, trees
from deblur.data.official import DataError, inside, read_image
from deblur.data.synthesis import expose_in_bands

PHOTOGRAPHS = 16
PAIRS = 2
"""Pairs of each kind of blur, of each photograph."""
REDUCED = 2.0
"""How much smaller photographs are at `mini` than at `bench`, if that leaves room for a frame: as its scenes are."""


class Blur(NamedTuple):
    """How a scale blurs: size of a frame, pixels around it, kinds of blur, and a random motion of a kind."""

    size: tuple[int, int]
    margin: int
    kinds: tuple[str, ...]
    motion: Callable[[np.random.Generator, str], blur.Motion]


def _mini_motion(rng: np.random.Generator, kind: str) -> blur.Motion:
    return blur.random_motion(rng, kind, mini.FRAME_SIZE, mini.PATH_PX)


def _bench_motion(rng: np.random.Generator, kind: str) -> blur.Motion:
    return bench.random_motion(rng, kind, bench.PATH_PX)


SCALES = {
    "mini": Blur(mini.FRAME_SIZE, mini.MARGIN, blur.KINDS, _mini_motion),
    "bench": Blur(bench.FRAME_SIZE, bench.MARGIN, bench.KINDS, _bench_motion),
}


def photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Name and picture (H,W,3) uint8 of each photograph of the exam; fetched from Debian if they are not there.

    Raises:
        DataError: if they cannot be had, or others lie there.
    """
    folder = debian.home("exam")
    if not folder.is_dir():
        debian.fetch(folder, "exam")
    for photograph in debian.listed():
        if photograph.split == "exam":
            path = inside(folder, photograph.name)
            if not path.is_file() or paths.file_sha256(path) != photograph.sha256:
                what = "is another picture" if path.is_file() else "is missing"
                raise DataError(f"{path} {what}; remove {folder} and call deblur data photographs --split exam")
            yield path.stem, read_image(path)


def scene(picture: np.ndarray, scale: str) -> Tensor:
    """A photograph (H,W,3) uint8 as it is exposed, (3,h,w) float64 in [0,1]."""
    setting = SCALES[scale]
    while picture.shape[0] > bench.ROWS:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    if scale == "mini":
        room = (have / (want + 2 * setting.margin) for have, want in zip(picture.shape, setting.size))
        return torch.from_numpy(scenes.reduced(picture, min(REDUCED, *room)) / 255).permute(2, 0, 1)
    return torch.from_numpy(picture / 255).permute(2, 0, 1)


def place(rng: np.random.Generator, picture: Tensor, setting: Blur) -> tuple[int, int]:
    """Where (x, y) a frame begins: the place with most detail of `bench.CANDIDATES` random ones."""
    height, width = setting.size
    spare = [have - want - 2 * setting.margin for have, want in zip(picture.shape[:0:-1], (width, height))]
    places = [tuple(setting.margin + int(rng.integers(left + 1)) for left in spare) for _ in range(bench.CANDIDATES)]

    def detail(origin: tuple[int, ...]) -> float:
        frame = picture[:, origin[1] : origin[1] + height, origin[0] : origin[0] + width]
        return float(frame.diff(dim=1).abs().mean() + frame.diff(dim=2).abs().mean())

    return max(places, key=detail)  # type: ignore[return-value]  # x and y


def write(scale: str, root: Path) -> None:
    """Write the GoPro tree of the exam under `root/GOPRO_Large/test`, the true motion beside each pair."""
    setting = SCALES[scale]
    for number, (name, picture) in enumerate(photographs(), 1):
        sharp = scene(picture, scale)
        for frame in range(PAIRS * len(setting.kinds)):
            rng = np.random.default_rng([mini.SEED, list(SCALES).index(scale), number, frame])
            motion = setting.motion(rng, setting.kinds[frame % len(setting.kinds)])
            exposure, blurred, linear = expose_in_bands(sharp, motion, place(rng, sharp, setting), setting.size)
            folder, stem = root / "GOPRO_Large" / "test" / f"EXAM{number:02d}_{name}", f"{frame + 1:06d}"
            trees.save_pair(folder, stem, exposure.sharp, blurred, linear)
            trees.save_truth(folder / "truth" / f"{stem}.npz", exposure, motion)


def write_mini(root: Path) -> None:
    """`write` at scale `mini`."""
    write("mini", root)


def write_bench(root: Path) -> None:
    """`write` at scale `bench`."""
    write("bench", root)


def credited() -> dict[str, str]:
    """Name of a photograph of the exam -> author and licence."""
    return {row.name: f"{row.author}, {row.licence}" for row in debian.listed() if row.split == "exam"}


COPIES = {
    f"{scale}-exam": trees.Copy("gopro", writer, {"test": PHOTOGRAPHS * PAIRS * len(SCALES[scale].kinds)}, credited)
    for scale, writer in (("mini", write_mini), ("bench", write_bench))
}
"""As `mini.COPIES`."""
