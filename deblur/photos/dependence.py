"""How much a network's result depends on the tile: measured on large exposures, kept on its card, read when restoring.

A network that sees no farther than a tile's margin gives the same with any tile. One that looks at the whole image, by
attention, pooling or normalisation, was trained on crops of 256 px at most, and may restore better or worse the more
it sees.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from deblur.data import bench, blur
from deblur.data.official import read_image
from deblur.data.synthesis import expose_in_bands
from deblur.evaluation import Restore, metrics
from deblur.photos.tiles import ALIGN, MARGIN, tiled
from deblur.weights.cards import Card

TILES = (256, 384, 512, 768, 1280)
"""Pixels: what is measured, against the whole image."""
LEVELS, CHANGE_DB = 0.5, 0.05
"""What a tile may change, in 8-bit levels and in dB of PSNR: nobody sees that."""
PHOTOGRAPHS = len(bench.KINDS)
"""The largest ones are exposed, once each, every kind of blur once. The benchmarks' own frames fit into any tile."""

Pair = tuple[np.ndarray, np.ndarray]
"""Blurred and sharp, (H,W,3) uint8."""
Entry = Mapping[str, Any]
"""What a card says of tiles, see `measured`."""


def large_files(photographs: bench.Photographs) -> list[Path]:
    """The largest photographs there are to train on, those that show more than any tile; a few, or fewer.

    What a tile changes is no matter of what was learned by heart, so that training photographs may show it; those of
    the exam and of the test split are left alone.
    """
    sizes = {}
    for path in photographs.files.values():
        with Image.open(path) as image:
            height, width = _frame(image.height, image.width)
        if max(height, width) > max(TILES):
            sizes[path] = height * width
    return sorted(sizes, key=lambda path: (-sizes[path], path.name))[:PHOTOGRAPHS]


def _frame(height: int, width: int) -> tuple[int, int]:
    """The frame that a photograph affords once it is halved as `bench.Photographs` halves it."""
    while height > bench.ROWS:
        height, width = height // 2, width // 2
    return (height - 2 * bench.MARGIN) // ALIGN * ALIGN, (width - 2 * bench.MARGIN) // ALIGN * ALIGN


def large_pairs(files: Sequence[Path]) -> Iterator[Pair]:
    """Photographs exposed as `bench` exposes its scenes, each in a frame as large as it affords."""
    for number, path in enumerate(files):
        yield _exposed(read_image(path), number)


def _exposed(picture: np.ndarray, number: int) -> Pair:
    size, kind = _frame(*picture.shape[:2]), bench.KINDS[number % len(bench.KINDS)]
    while picture.shape[0] > bench.ROWS:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(number)
    if kind == "straight":
        motion = bench.random_motion(rng, kind, bench.PATH_PX)
    else:
        motion = blur.random_motion(rng, kind, size, bench.PATH_PX)
    scene = torch.from_numpy(picture / 255).permute(2, 0, 1)
    exposure, blurred, _ = expose_in_bands(scene, motion, (bench.MARGIN, bench.MARGIN), size)
    return tuple(image.permute(1, 2, 0).numpy() for image in (blurred, exposure.sharp))  # type: ignore[return-value]  # two


def measured(restore: Restore, pairs: Iterable[Pair]) -> dict:
    """The entry `tile` of a card: what tiles change, against the whole image at once.

    Returns:
        `levels` and `change_db`, tile -> mean absolute difference in 8-bit levels and change of the PSNR, means over
        the pairs; the same of the worst pair; `pairs`, how many; `default`, see `default_tile`.
    """
    levels, changes = ([], [])
    for blurred, sharp in pairs:
        whole = metrics.to_uint8(restore(blurred))
        tiles = [metrics.to_uint8(tiled(restore, blurred, tile, MARGIN)) for tile in TILES]
        levels.append([float(np.abs(part.astype(int) - whole).mean()) for part in tiles])
        changes.append([metrics.psnr_db(part, sharp) - metrics.psnr_db(whole, sharp) for part in tiles])
    worst = [max(column, key=abs) for column in zip(*changes)]
    columns = {
        "levels": np.mean(levels, 0),
        "change_db": np.mean(changes, 0),
        "worst_levels": np.max(levels, 0),
        "worst_change_db": worst,
    }
    entry = {name: {str(t): round(float(v), 4) for t, v in zip(TILES, column)} for name, column in columns.items()}
    return {"default": default_tile(entry), "pairs": len(levels), **entry}


def default_tile(entry: Entry) -> int | None:
    """The tile to take: the smallest from which on nothing changes that anybody would see.

    Where there is none, the tile with the highest PSNR; None where that is the whole image.
    """
    tiles = _tiles(entry)
    same = [tile for tile in tiles if all(_is_same(entry, larger) for larger in tiles if larger >= tile)]
    if same:
        return min(same)
    best = max(tiles, key=lambda tile: entry["change_db"][str(tile)])
    return best if entry["change_db"][str(best)] > 0 else None


def _tiles(entry: Entry) -> list[int]:
    return sorted(map(int, entry["levels"]))


def _is_same(entry: Entry, tile: int | None, other: int | None = None) -> bool:
    """Whether two tiles give the same, None for the whole image."""
    levels, change_db = _apart(entry, tile, other)
    return levels < LEVELS and abs(change_db) <= CHANGE_DB


def _apart(entry: Entry, tile: int | None, other: int | None) -> tuple[float, float]:
    """How far the results of two tiles are apart: levels, at least, and dB of PSNR of the first over the other.

    A tile that was not measured counts as the next smaller one that was.
    """
    tiles = _tiles(entry)

    def mean(column: str, tile: int | None) -> float:
        measured = [size for size in tiles if tile is not None and size <= max(tile, tiles[0])]
        return entry[column][str(max(measured))] if measured else 0.0

    levels, changes = ([mean(name, size) for size in (tile, other)] for name in ("levels", "change_db"))
    return abs(levels[0] - levels[1]), changes[0] - changes[1]


def preferred(entry: Entry | None, room: int) -> int:
    """The tile to take where memory allows one of `room` px: the default one, or any larger one that gives the same.

    Larger tiles are faster, since tiles overlap. Where nothing is known they are what is nearest to the whole image.
    """
    default = (entry or {}).get("default")
    if entry is None or default is None or _is_same(entry, default):
        return room
    return min(default, room)


def caution(card: Card, tile: int, side: int) -> str:
    """What is to be said of a tile for an image whose longer side is `side`; empty if it is as good as the default."""
    if card.tile is None:
        return ""
    default = card.tile["default"]
    taken, best = (None if size is None or size >= side else size for size in (tile, default))
    if _is_same(card.tile, taken, best) or (best and (taken or side) >= best and _is_same(card.tile, best)):
        return ""
    levels, change_db = _apart(card.tile, taken, best)
    how, rather = (f"tiles of {size} px" if size else "the whole image at once" for size in (taken, best))
    return (
        f"with {how} instead of {rather} the result of {card.name or card.network} changes by {levels:.1f} levels or "
        f"more and {change_db:+.2f} dB, as its card says"
    )
