"""Your own photographs: a released network by name, one image restored, tile by tile where memory asks for it.

`restore` is `deblur.restore`; `deblur.photos` does the same for files and folders.

A network's full-resolution features need hundreds of bytes a pixel and channel, so memory and not time bounds the size
of an image. Tiles need the memory of one tile, whatever the image.
"""

import copy
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from deblur import complexity, memory, models, paths, recipes, store
from deblur.errors import UsageError
from deblur.evaluation import Restore
from deblur.models.radn import SelfEnsemble

log = logging.getLogger(__name__)

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

DRIFT_BLOCK = 32
"""Pixels: the side of the blocks whose mean brightness deblurring should leave alone."""

DRIFT = {"colour": 8.0, "blocks": 10.0, "change": 30.0}
"""What counts as drift, see `drift`, in levels of 255: more than what blurred images of the bundled benchmarks differ
by from their sharp ones, if light adds up as pixels do (1.0, 3.0, 18.7) or as in a camera (6.4, 7.6, 20.3)."""


# ---------------------------------------------------------------------------------------------------- released networks


def cards() -> dict[str, dict]:
    """The card of every released network in `paths.weights_dir()`, by name; a warning names those that are damaged."""
    there, damaged = _sorted_out()
    for message in damaged.values():
        _warn_once(f"{message}. The other networks can be used.")
    return there


def _sorted_out() -> tuple[dict[str, dict], dict[str, str]]:
    """The cards of released networks by name, and for those without a usable one what is wrong."""
    there, damaged = {}, {}
    for file in sorted(paths.weights_dir().glob("[!.]*.safetensors")):
        try:
            there[file.stem] = card(file)
        except (ValueError, OSError) as error:
            damaged[file.stem] = str(error)
    return there, damaged


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def card(file: Path) -> dict:
    """The card beside a file of weights.

    Raises:
        ValueError: if there is none, or it does not say whose weights these are.
        OSError: if it cannot be opened.
    """
    beside = file.with_suffix(".json")
    if not beside.is_file():
        raise ValueError(f"{file}: its card {beside.name} is missing; weights go with the card that was made with them")
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{beside}: no card, since no JSON ({error}); copy it again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{beside}: no card, since no JSON object; copy it again")
    missing = [key for key in ("network", "variant", "sha256") if key not in content]
    if missing:
        raise ValueError(f"{beside}: the card has no {', '.join(missing)}; copy it again")
    return content


def find(name: str | Path | None = None) -> Path:
    """The weights of that name: released, or a `.safetensors` file; without a name the default ones.

    The default is the released network whose card says so, else the first by name; if that may be one whose card is
    damaged, a warning says so.

    Raises:
        UsageError: an unknown name; lists those there are.
        ValueError: a damaged card of the network of that name, or no card that is usable.
    """
    if name is not None and Path(name).suffix == ".safetensors":
        if not Path(name).is_file():
            raise UsageError(f"{name}: no such file; give released weights by name, others by their path")
        return Path(name)
    folder, (there, damaged) = paths.weights_dir(), _sorted_out()
    if str(name) in damaged or (damaged and not there):
        raise ValueError(damaged.get(str(name)) or "\n".join(damaged.values()))
    if not there:
        raise UsageError(f"{folder} holds no weights; put released ones there, or give a file with its card")
    if name is None:
        return folder / f"{_default(there, damaged)}.safetensors"
    if name not in there:
        raise UsageError(f"no weights are called {str(name)!r}; {folder} holds {', '.join(there)}")
    return folder / f"{name}.safetensors"


def _default(there: dict[str, dict], damaged: dict[str, str]) -> str:
    """The network whose card says that it is the default, else the first one."""
    for name, content in there.items():
        if content.get("default"):
            return name
    for message in damaged.values():
        _warn_once(f"{message}. It may be the card of the default network: {min(there)} is taken instead.")
    return min(there)


def load(name: str | Path | None = None) -> nn.Module:
    """A network with the weights of that name, see `find`, in float32 and evaluation mode.

    Raises:
        UsageError: an unknown name.
        ValueError: a damaged card or one that does not fit, weights that are not those of the card.
    """
    file = find(name)
    made_from = card(file)
    if paths.file_sha256(file) != made_from["sha256"]:
        raise ValueError(f"{file}: not the weights of its card, by SHA-256; copy both again")
    which = (made_from["network"], made_from["variant"])
    # Weights of other projects come without a configuration: theirs is that of the paper.
    config = made_from.get("config")
    config = recipes.recipe(*which, "paper").config if config is None else tuples(config)
    network = models.build(*which, **config)
    store.load_weights(network, file)  # float16 becomes float32 as it is copied
    return network.eval()


def tuples(value: Any) -> Any:
    """JSON's lists as the tuples that configurations are made of."""
    if isinstance(value, dict):
        return {key: tuples(part) for key, part in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------------------------ one image


def restore(
    image: np.ndarray,
    model: str | Path | nn.Module | None = None,
    ensemble: bool = False,
    tile: int | None = None,
    margin: int = MARGIN,
    title: str = "",
) -> np.ndarray:
    """Restore an image blurred by motion, on CUDA if there is a device.

    Args:
        image: (H,W) grey, (H,W,2) grey and alpha, (H,W,3) RGB or (H,W,4) RGBA, uint8 or uint16; alpha is copied.
        model: released weights by name, a `.safetensors` file with its card, or a network (default: see `find`).
        ensemble: the mean over the image's eight symmetries: eight times the time.
        tile, margin: pixels, see `tiled` (default: the largest tile that memory allows). Where memory does not suffice
            after all, smaller tiles are tried.
        title: of a bar over the tiles; none without.

    Returns:
        As `image`, in shape and type.

    Raises:
        ValueError: an image of another kind, unknown weights, too little memory.
    """
    _check(image)
    if tile is not None:
        check_tile(tile, margin)
    network = model if isinstance(model, nn.Module) else load(model)
    network = (SelfEnsemble(network) if ensemble else network).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    height, width = image.shape[:2]
    tile = largest_tile(network, height, width, margin, device) if tile is None else tile
    colour = colours(image)
    grey = colour.shape[2] == 1
    run = _on_tiles(network.to(device), device)
    restored = _by_tiles(run, np.repeat(colour, 3, -1) if grey else colour, tile, margin, title)
    result = _rounded(restored.mean(-1, keepdims=True) if grey else restored, image.dtype)
    if image.ndim == 3:
        result = np.concatenate([result, image[..., colour.shape[2] :]], -1)
    return result.reshape(image.shape)


def _check(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"image: expected an array of uint8 or uint16, got {found}; scale it to 0..255 and round it")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (2,), (3,), (4,)) or not image.size:
        raise ValueError(f"image: expected (H,W), (H,W,2), (H,W,3) or (H,W,4), not empty, got {image.shape}")


def colours(image: np.ndarray) -> np.ndarray:
    """An image, see `restore`, as (H,W,1) grey or (H,W,3) RGB, without alpha."""
    image = image.reshape(*image.shape[:2], -1)
    return image[..., : 3 if image.shape[2] > 2 else 1]


def _on_tiles(network: nn.Module, device: torch.device) -> Restore:
    @torch.inference_mode()
    def run(piece: np.ndarray) -> np.ndarray:
        blurred = torch.from_numpy(piece.astype(np.float32) / np.iinfo(piece.dtype).max)
        restored = network(blurred.permute(2, 0, 1)[None].to(device))[0]
        if not restored.isfinite().all():
            raise ValueError("the network's result is not finite: these weights are no good for this image")
        return restored[0].permute(1, 2, 0).cpu().numpy()

    return run


def _rounded(restored: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Clamped, in place, and rounded to integers of that kind."""
    np.clip(restored, 0, 1, out=restored)
    restored *= np.iinfo(kind).max
    return np.rint(restored, out=restored).astype(kind)


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
    found = {
        "colour": np.abs(after.mean((0, 1)) - before.mean((0, 1))).max() * levels,
        "blocks": np.sqrt(np.square(after - before).mean()) * levels,
        "change": cv2.absdiff(image, restored).mean(dtype=np.float64) * levels,
    }
    words = {"colour": "the mean colour", "blocks": "the brightness of large areas", "change": "the mean pixel"}
    return [
        f"drifts from the input: {words[key]} differs by {value:.1f} of 255 levels (expected: below "
        f"{DRIFT[key]:.0f}); look at it before you use it"
        for key, value in found.items()
        if value > DRIFT[key]
    ]


def _blocks(image: np.ndarray) -> np.ndarray:
    """Means of blocks of about `DRIFT_BLOCK` pixels a side, (h,w,channels) float32."""
    height, width = (max(1, round(side / DRIFT_BLOCK)) for side in image.shape[:2])
    small = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return small.reshape(height, width, -1)


# ---------------------------------------------------------------------------------------------------------------- tiles


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


def _by_tiles(restore: Restore, image: np.ndarray, tile: int, margin: int, title: str) -> np.ndarray:
    """`tiled`, again with smaller tiles as long as memory does not suffice.

    Raises:
        MemoryError: not even for the smallest tiles.
    """
    smallest = smallest_tile(margin)
    while True:
        try:
            return tiled(restore, image, tile, margin, title)
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
