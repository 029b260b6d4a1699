"""One image restored by a network, tile by tile where memory asks for it: `deblur.restore`."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deblur.evaluation import Restore
from deblur.models.radn import SelfEnsemble
from deblur.photos import dependence
from deblur.photos.tiles import MARGIN, by_tiles, check_tile, largest_tile
from deblur.weights import released
from deblur.weights.cards import Card, read

log = logging.getLogger(__name__)


def restore(
    image: np.ndarray,
    model: str | Path | nn.Module | None = None,
    ensemble: bool = False,
    tile: int | None = None,
    margin: int = MARGIN,
    title: str = "",
    card: Card | None = None,
    tell: Callable[[str], None] = log.warning,
) -> np.ndarray:
    """Restore an image blurred by motion, on CUDA if there is a device.

    Args:
        image: (H,W) grey, (H,W,2) grey and alpha, (H,W,3) RGB or (H,W,4) RGBA, uint8 or uint16; alpha is copied.
        model: released weights by name, a `.safetensors` file with its card, or a network (default: see `find`).
        ensemble: the mean over the image's eight symmetries: eight times the time.
        tile, margin: pixels, see `tiled` (default: what the card says, else the largest tile that memory allows).
            Where memory does not suffice after all, smaller tiles are tried.
        title: of a bar over the tiles; none without.
        card: of a network that is given itself.
        tell: is called with a sentence if, by the card, another tile would have given another result.

    Returns:
        As `image`, in shape and type.

    Raises:
        ValueError: an image of another kind, unknown weights, too little memory.
    """
    _check(image)
    if tile is not None:
        check_tile(tile, margin)
    if isinstance(model, nn.Module):
        network = model
    else:
        file = released.find(model)
        network, card = released.load(file), read(file)
    network = (SelfEnsemble(network) if ensemble else network).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    height, width = image.shape[:2]
    if tile is None:
        room = largest_tile(network, height, width, margin, device)
        tile = dependence.preferred(card.tile, room) if card else room
    colour = colours(image)
    grey = colour.shape[2] == 1
    run = _on_tiles(network.to(device), device)
    restored, tile = by_tiles(run, np.repeat(colour, 3, -1) if grey else colour, tile, margin, title)
    if card and (sentence := dependence.caution(card, tile, max(height, width))):
        tell(sentence)
    result = _rounded(restored.mean(-1, keepdims=True) if grey else restored, image.dtype)
    if image.ndim == 3:
        result = np.concatenate([result, image[..., colour.shape[2] :]], -1)
    return result.reshape(image.shape)


def _check(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
        got = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"image: expected an array of uint8 or uint16, got {got}; scale it to 0..255 and round it")
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
