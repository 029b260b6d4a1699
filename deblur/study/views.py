"""What is looked at: pairs with what is known of them, and what trained networks make of them."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from deblur.data import mini, official
from deblur.data.blur import KINDS
from deblur.data.loading import as_tensor
from deblur.evaluation import metrics, probes
from deblur.evaluation.parts import kind, scene

GLOBAL, LOCAL, SAMPLING = range(len(KINDS))
VARIES = 0.1
"""Deviation of a path over its mean from which on it varies enough to go with anything."""
CAUSE = 0.05
"""Share of a pair's pixels that a cause of blur must have to be scored by itself."""


class View:
    """A pair with what is known of it: images (H,W,3) uint8, and the truth of `official.read_truth`."""

    def __init__(self, pair: official.Pair):
        self.pair, self.name, self.scene, self.kind = pair, pair.name, scene(pair), kind(pair)

    @cached_property
    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Blurred and sharp."""
        return official.read_pair(self.pair)

    @property
    def blurred(self) -> np.ndarray:
        """The input."""
        return self.images[0]

    @property
    def sharp(self) -> np.ndarray:
        """The truth."""
        return self.images[1]

    @cached_property
    def truth(self) -> dict[str, np.ndarray]:
        """True motion and causes."""
        return official.read_truth(self.pair)

    @property
    def path(self) -> np.ndarray:
        """How far each pixel moved, (H,W) in px."""
        return self.truth["path_px"]

    @property
    def varies(self) -> bool:
        """Whether paths differ over the frame."""
        return bool(self.path.std() > VARIES * self.path.mean())

    def where(self, cause: int) -> np.ndarray:
        """The pixels (H,W) whose blur has that cause."""
        return self.truth["label"] == cause

    def has(self, cause: int) -> bool:
        """Whether the cause has enough pixels, and leaves enough to others."""
        return bool(CAUSE <= self.where(cause).mean() <= 1 - CAUSE)


class Page:
    """A page of text, in the place of a `View`: its scene is itself."""

    def __init__(self, number: int):
        self.name = self.scene = f"page {number + 1}"
        self.kind = KINDS[GLOBAL]
        self.images = mini.blurred_text(number)


def image_of(network: nn.Module, image: np.ndarray) -> Tensor:
    """(H,W,3) uint8 as a batch of one on the network's device."""
    parameter = next(network.parameters(), None)
    return as_tensor(image)[None].to("cpu" if parameter is None else parameter.device)


def captured(network: nn.Module, view: View, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The last output (C,h,w) of each of some modules."""
    caught = probes.capture(network, image_of(network, view.blurred), list(names))
    return {name: outputs[-1][0].float().cpu().numpy() for name, outputs in caught.items()}


@torch.inference_mode()
def outputs_of(network: nn.Module, view: View) -> list[Tensor]:
    """All that the network returns, (1,3,h,w) each."""
    return [output.float().cpu() for output in network.eval()(image_of(network, view.blurred))]


def as_image(output: Tensor) -> np.ndarray:
    """(1,3,H,W) in [0,1] -> (H,W,3) uint8."""
    return metrics.to_uint8(np.ascontiguousarray(output[0].permute(1, 2, 0).numpy()))


def gain(restored: np.ndarray, before: np.ndarray, sharp: np.ndarray, mask: np.ndarray | None = None) -> float:
    """PSNR of one image over another in dB, in some pixels."""
    return metrics.psnr_db(restored, sharp, mask) - metrics.psnr_db(before, sharp, mask)
