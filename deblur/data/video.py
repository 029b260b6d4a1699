"""Frames with their neighbours: what restores a video sees several at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from deblur.data import loading, official


def windows(pairs: Sequence[official.Pair], frames: int) -> dict[str, tuple[official.Pair, ...]]:
    """Name of each pair -> `frames` pairs of its sequence around it, itself in the middle.

    Before the first frame of a sequence and behind the last one these are repeated (DBN's code).

    Args:
        pairs: whole sequences, in order.

    Raises:
        ValueError: for an even number of frames, which has no middle.
    """
    if frames % 2 == 0:
        raise ValueError(f"a window of {frames} frames has no middle; choose an odd number")
    around: dict[str, tuple[official.Pair, ...]] = {}
    reach = frames // 2
    for _, sequence in groupby(pairs, key=lambda pair: pair.sequence):
        shown = list(sequence)
        for i, pair in enumerate(shown):
            places = range(i - reach, i + reach + 1)
            around[pair.name] = tuple(shown[min(max(place, 0), len(shown) - 1)] for place in places)
    return around


def read_frames(window: Sequence[official.Pair]) -> list[np.ndarray]:
    """The blurred frames of a window, (H,W,3) uint8 each.

    Raises:
        DataError: if they differ in size.
    """
    frames = [official.read_image(pair.blurred) for pair in window]
    for pair, frame in zip(window, frames, strict=True):
        if frame.shape != frames[0].shape:
            message = official.size_message(window[0].blurred, frames[0], pair.blurred, frame)
            raise official.DataError(message)
    return frames


@dataclass(frozen=True)
class Windows:
    """Crops of some frames and of the sharp one in their middle: a source as `loading.Tree`."""

    pairs: Sequence[official.Pair]
    frames: int

    @cached_property
    def around(self) -> dict[str, tuple[official.Pair, ...]]:
        """The window of each pair."""
        return windows(self.pairs, self.frames)

    def crop(self, rng: np.random.Generator, size: int, edge: float = 0.0) -> tuple[np.ndarray, ...]:
        """The blurred crops in order, then the sharp one, (size,size,3) uint8 each."""
        pair = self.pairs[rng.integers(len(self.pairs))]  # type: ignore[call-overload]  # NumPy's integers index too
        images = [*read_frames(self.around[pair.name]), official.read_pair(pair)[1]]
        y, x, h, w = loading.random_window(rng, *images[0].shape[:2], size, edge)  # type: ignore[call-arg]  # height and width
        return tuple(image[y : y + h, x : x + w] for image in images)


class Batches(loading.Batches):
    """As `loading.Batches`, of `Windows`: blurred frames (batch, 3 frames, crop, crop) and sharp ones."""

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        share = self.batch // self.world
        samples = [self.sample(step, i) for i in range(self.rank * share, (self.rank + 1) * share)]
        *frames, sharp = torch.stack(samples, 1)
        return torch.cat(frames, 1), sharp
