"""`deblur restore`: photographs and folders of them, restored into other files.

No input is ever written to, nothing that is there is replaced unasked, and one bad file does not stop the others.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn
from tqdm.auto import tqdm

from deblur import pictures, restoration

GAP = 8
"""White pixels between the halves of a picture that compares."""


def restore_files(
    photos: Sequence[Path],
    out: Path,
    model: str | None = None,
    ensemble: bool = False,
    tile: int | None = None,
    compare: bool = False,
    overwrite: bool = False,
) -> int:
    """Restore photographs; what there is to say about one of them goes to stderr, with its name.

    Args:
        photos: files, and folders that are searched for PNG, JPEG, TIFF and WebP.
        out: a file for a single photograph, else a folder. There a photograph keeps its name, one from a folder its
            place below that too, and a suffix that is not that of its kind is corrected.
        model, ensemble, tile: see `restoration.restore`.
        compare: also write `NAME-compare.jpg`, input and result side by side.
        overwrite: replace what is there; never an input.

    Returns:
        How many photographs could not be restored.

    Raises:
        ValueError: nothing to restore, an `out` that does not fit, unknown weights.
    """
    pairs, named = find(photos, out), _is_file(photos, out)
    network = restoration.load(model)
    outputs, failed = Outputs((source for source, _ in pairs), overwrite), 0
    for source, target in tqdm(pairs, unit="photo", leave=False, disable=None if len(pairs) > 1 else True):
        try:
            notes = _restore_file(source, target, named, outputs, network, ensemble, tile, compare)
        except (ValueError, OSError, MemoryError) as error:
            notes, failed = [str(error) or type(error).__name__], failed + 1
        for note in notes:
            tqdm.write(f"deblur: {note if str(source) in note else f'{source}: {note}'}", file=sys.stderr)
    return failed


def find(photos: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """The photographs that are meant, and where each goes.

    Raises:
        ValueError: if there is none, or `out` is no place for them.
    """
    if _is_file(photos, out):
        return [(photos[0], out)]
    if out.is_file() or out.suffix.lower() in pictures.KINDS:
        raise ValueError(f"{out}: a folder is needed for more than one photograph")
    pairs = []
    for photo in photos:
        if photo.is_dir():
            if photo.resolve() == out.resolve():
                raise ValueError(f"{out}: the results would lie among the photographs; give another folder")
            meant = (path for path in sorted(photo.rglob("*")) if _is_meant(path, out))
            pairs += [(path, out / path.relative_to(photo)) for path in meant]
        else:
            pairs.append((photo, out / photo.name))
    if not pairs:
        raise ValueError(f"no PNG, JPEG, TIFF or WebP in {', '.join(map(str, photos))}")
    return pairs


def _is_file(photos: Sequence[Path], out: Path) -> bool:
    """Whether `out` names the result itself: for one photograph, unless it is a folder or looks like one."""
    if len(photos) > 1 or photos[0].is_dir() or out.is_dir() or not out.suffix:
        return False
    pictures.kind_of(out)
    return True


def _is_meant(path: Path, out: Path) -> bool:
    """Photographs in a folder are files of a known suffix, not hidden, and not results."""
    known = path.suffix.lower() in pictures.KINDS and not path.name.startswith(".")
    return known and not path.is_dir() and out.resolve() not in path.resolve().parents


class Outputs:
    """Which files may be written: no inputs, none twice, none that is there unless it may be replaced."""

    def __init__(self, sources: Iterable[Path], overwrite: bool):
        self.inputs = {_identity(source) for source in sources if source.exists()}
        self.overwrite = overwrite
        self.taken: set[Path] = set()

    def take(self, path: Path) -> None:
        """Claim a file.

        Raises:
            ValueError: if it may not be written.
        """
        if path.exists() and _identity(path) in self.inputs:
            raise ValueError(f"{path} is one of the photographs, and these are never overwritten; give another -o")
        if path in self.taken:
            raise ValueError(f"{path} is already the result of another photograph; restore this one elsewhere")
        if path.exists() and not self.overwrite:
            raise ValueError(f"{path} is already there; give --overwrite to replace it")
        self.taken.add(path)


def _identity(path: Path) -> tuple[int, int]:
    """Of the file itself, whatever name or link leads to it."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _restore_file(
    source: Path,
    target: Path,
    named: bool,
    outputs: Outputs,
    network: nn.Module,
    ensemble: bool,
    tile: int | None,
    compare: bool,
) -> list[str]:
    """Restore one photograph, into a file of its own kind unless the target was named; returns what to say about it."""
    picture = pictures.read(source, restoration.largest_image())
    if not named and pictures.KINDS.get(target.suffix.lower()) != picture.kind:
        target = target.with_suffix(pictures.SUFFIXES[picture.kind])
    compared = target.with_name(f"{target.stem}-compare.jpg")
    for path in (target, compared) if compare else (target,):
        outputs.take(path)
    notes = [*picture.notes, *pictures.losses(target, picture.pixels)]
    restored = restoration.restore(picture.pixels, network, ensemble, tile, title=source.name)
    pictures.write(target, replace(picture, pixels=restored))
    if compare:
        both = side_by_side(picture.pixels, restored)
        pictures.write(compared, pictures.Picture(both, picture.kind, icc=picture.icc))
    return notes + restoration.drift(picture.pixels, restored)


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Two images of one shape beside each other, one above the other if they are more than twice as wide as high.

    Returns:
        (H,W) or (H,W,3) uint8, without alpha.
    """
    halves = [pictures.eight_bits(restoration.colours(image)) for image in (before, after)]
    height, width, channels = halves[0].shape
    axis = 0 if width > 2 * height else 1
    gap = np.full((GAP, width, channels) if axis == 0 else (height, GAP, channels), 255, np.uint8)
    both = np.concatenate([halves[0], gap, halves[1]], axis)
    return both[..., 0] if channels == 1 else both
