"""Large images in tiles: how large, by the memory there is, and how they are joined.

A network's full-resolution features need hundreds of bytes a pixel and channel, so memory and not time bounds the size
of an image. Tiles need the memory of one tile, whatever the image.
"""

import copy

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from deblur import memory
from deblur.errors import UsageError
from deblur.evaluation import Restore, complexity

ALIGN = 32
"""Pixels: the coarsest stride among the networks. Tiles begin at its multiples, so that every scale samples the same
places as in the whole image."""


MARGIN = 48
"""Pixels that a tile gives up at its edges: more than twice the longest path released networks are made for (20 px).
What a network sees farther, by attention, normalisation or patches, it sees of the tile; so tiles are large."""


LIMIT = 3_000_000_000
"""Bytes that a restoration takes at most, however much is free, as long as that leaves a third of it for a tile."""


IMAGE_BYTES = 40
"""Bytes a pixel of the whole image: read, restored in float32, rounded, packed."""


WORK_SPACE = 2.5
"""What a tile takes over what `complexity.peak_bytes` counts: convolutions' work space, and memory that is freed but
not handed back. Measured 1.2 to 2.4 for eight networks on a CPU, less for larger tiles."""


def largest_tile(network: nn.Module, height: int, width: int, margin: int, device: torch.device) -> int:
    """The longest side of tiles that memory allows for an image, see `tiled`.

    Counted without computing, for this network, see `memory.usable_bytes`.

    Raises:
        ValueError: if there is not enough for the image and the smallest tile.
    """
    usable = memory.usable_bytes(device)
    arrays = IMAGE_BYTES * height * width if device.type == "cpu" else 0
    room = usable if device.type == "cuda" else min(max(LIMIT - arrays, LIMIT // 3), max(usable - arrays, 0))
    meta = copy.deepcopy(network).to("meta")

    def need(tile: int) -> float:
        piece = torch.empty(1, 3, min(tile, height), min(tile, width), device="meta")
        return WORK_SPACE * (complexity.peak_bytes(meta, piece) + piece.nbytes)

    smallest = smallest_tile(margin)
    tile = max(height, width, smallest)
    while (taken := need(tile)) > room:
        if tile == smallest:
            raise ValueError(
                f"a tile of {tile} px needs {taken / 1e9:.1f} GB beside {arrays / 1e9:.1f} GB for the image, and "
                f"{usable / 1e9:.1f} GB can be used; close programs, scale it down or take a smaller network"
            )
        # What a tile takes grows with its area, or faster where a network compares all places.
        tile = max(smallest, min(tile - ALIGN, int(tile * (room / taken) ** 0.5)) // ALIGN * ALIGN)
    return tile


def largest_image() -> int:
    """Pixels of an image that memory suffices for, tiles aside."""
    return memory.usable_bytes(torch.device("cpu")) // IMAGE_BYTES


def smallest_tile(margin: int = MARGIN) -> int:
    """The least side of a tile that leaves something between its margins, in pixels."""
    return 3 * margin + 2 * ALIGN


def check_tile(tile: int, margin: int = MARGIN) -> None:
    """Make sure that a tile is large enough for its margins.

    Raises:
        UsageError: if it is not.
    """
    if margin < 0 or tile < smallest_tile(margin):
        raise UsageError(f"tile={tile} and margin={margin} do not fit: give a tile of {smallest_tile(margin)} or more")


def by_tiles(restore: Restore, image: np.ndarray, tile: int, margin: int, title: str) -> tuple[np.ndarray, int]:
    """`tiled`, again with smaller tiles as long as memory does not suffice; also the tile that it was done with.

    Raises:
        MemoryError: not even for the smallest tiles.
    """
    smallest = smallest_tile(margin)
    while True:
        try:
            return tiled(restore, image, tile, margin, title), tile
        except Exception as error:
            if not memory.is_short(error):
                raise
        tile = min(tile, max(image.shape[:2]))
        if tile <= smallest:
            raise MemoryError(f"too little memory for a tile of {tile} px; close programs or take a smaller network")
        tile = max(smallest, tile // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def tiled(restore: Restore, image: np.ndarray, tile: int, margin: int, title: str = "") -> np.ndarray:
    """Restore an image tile by tile; one that fits into a tile goes straight through.

    Where two tiles meet, each gives up the `margin` pixels at its edge and is blended into the other over at least as
    many. The result is that of the whole image if the network sees at most `margin` pixels far; a network that looks at
    the whole image, by attention or pooling, sees the whole tile instead.

    Args:
        restore: (h,w,3) uint8 or uint16 -> (h,w,3) float32.
        image: (H,W,3) uint8 or uint16.
        tile: longest side of a tile in pixels, at least `3 * margin + 64`; the multiple of 32 below it is taken.
        margin: in pixels, not negative.
        title: of a bar; none without.

    Returns:
        (H,W,3) float32 in [0,1] units, unclamped.
    """
    check_tile(tile, margin)
    tile -= tile % ALIGN
    overlap = -(-3 * margin // ALIGN) * ALIGN
    rows, columns = (_windows(side, tile, overlap) for side in image.shape[:2])
    bar = tqdm(total=len(rows) * len(columns), desc=title, unit="tile", leave=False, disable=None if title else True)
    restored = np.empty(image.shape, np.float32)
    with bar:
        for band in rows:
            # Strips first, then strips over each other: where four tiles meet, the blend stays without a step.
            strip = np.empty((band.stop - band.start, *image.shape[1:]), np.float32)
            for part in columns:
                piece = restore(image[band, part])
                _lay(strip.swapaxes(0, 1), piece.swapaxes(0, 1), part.start, margin, overlap)
                bar.update()
            _lay(restored, strip, band.start, margin, overlap)
    return restored


def _windows(length: int, tile: int, overlap: int) -> list[slice]:
    """The fewest windows of at most `tile` that cover `length`, as even as beginning at multiples of `ALIGN` allows.

    A full tile at the end would do again what the one before it did, which can be a third of all work.
    """
    if length <= tile:
        return [slice(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    step = -(-(length - overlap) // (count * ALIGN)) * ALIGN
    return [slice(start, min(start + step + overlap, length)) for start in range(0, length - overlap, step)]


def _lay(canvas: np.ndarray, piece: np.ndarray, start: int, margin: int, overlap: int) -> None:
    """Lay `piece` over `canvas` from row `start` on: its first `margin` rows not, the next ones more and more."""
    first = start + margin if start else 0
    full = start + overlap - margin if start else 0
    share = ((np.arange(full - first, dtype=np.float32) + 0.5) / max(full - first, 1))[:, None, None]
    below = canvas[first:full]
    below += share * (piece[first - start : full - start] - below)  # exactly what was there, where both agree
    canvas[full : start + len(piece)] = piece[full - start :]
