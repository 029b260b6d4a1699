"""Writing the trees of benchmarks: pictures, true motion, hashes."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from deblur import paths
from deblur.data import blur, content, scenes


class Copy(NamedTuple):
    """A bundled copy of a benchmark.

    Attributes:
        benchmark: whose tree it has.
        write: writes the tree below a root.
        counts: pairs of each split; for Koehler also all sharp `frames`.
        credits: name of a picture -> whose it is.
    """

    benchmark: str
    write: Callable[[Path], None]
    counts: dict[str, int]
    credits: Callable[[], dict[str, str]] = scenes.credited


def save_image(path: Path, image: Tensor) -> None:
    """Write (3,H,W) uint8 as PNG or, by the suffix, as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"quality": 95} if path.suffix == ".jpg" else {"compress_level": 1}
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, **how)  # type: ignore[arg-type]  # the format's own options


def save_pair(folder: Path, stem: str, sharp: Tensor, blurred: Tensor, linear: Tensor) -> None:
    """Write the three PNG files of a GoPro pair, (3,H,W) uint8 each; `linear` is what was averaged in linear light."""
    for part, image in (("sharp", sharp), ("blur", blurred), ("blur_gamma", linear)):
        save_image(folder / part / f"{stem}.png", image)


def save_truth(path: Path, exposure: blur.Exposure, motion: blur.Motion) -> None:
    """Write what `official.read_truth` reads: the true motion of an exposure, and its kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        displacement=exposure.displacement.numpy().astype(np.float32),
        path_px=exposure.path_px.numpy().astype(np.float32),
        label=exposure.label.numpy(),
        kind=motion.kind,
        poses=motion.poses,
    )


def hashes(root: Path) -> dict:
    """For a manifest: `files` (name -> SHA-256) and `pixels`, of the decoded pictures, whatever the encoder did."""
    files = paths.hashes(root)
    return {"pixels": content.pixels(root, files), "files": files}
