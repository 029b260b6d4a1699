"""Training batches: from pairs read from a tree, or freshly exposed, behind one interface.

Sample i of step s depends on (seed, s, i) and on nothing else: resuming, worker processes and several devices then
need no bookkeeping.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deblur.data import mini, official


class Source(Protocol):
    """Anything that gives one training crop for a random generator."""

    def crop(self, rng: np.random.Generator, size: int, edge: float) -> tuple[np.ndarray, np.ndarray]:
        """A blurred and a sharp crop, (size, size, 3) uint8."""


def random_window(
    rng: np.random.Generator, height: int, width: int, size: int, edge: float
) -> tuple[int, int, int, int]:
    """A random (y, x, size, size) window.

    `edge` > 0 draws from a range larger by that share of the crop and clamps, so that windows touching the frame's
    border, where trajectories are cut, are seen more often; 0 is the plain uniform crop.
    """
    if size > min(height, width):
        raise ValueError(f"crop {size} is larger than the frame {height}x{width}; choose a smaller crop")
    reach = round(edge * size)
    y, x = (int(rng.integers(-reach, side - size + reach + 1)) for side in (height, width))
    return min(max(y, 0), height - size), min(max(x, 0), width - size), size, size


@dataclass(frozen=True)
class Tree:
    """Crops from stored pairs, decoded on the fly (no truth needed)."""

    pairs: Sequence[official.Pair]

    def crop(self, rng: np.random.Generator, size: int, edge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        blurred, sharp = official.read_pair(self.pairs[rng.integers(len(self.pairs))])  # type: ignore[call-overload]  # NumPy's integers index too
        y, x, h, w = random_window(rng, *sharp.shape[:2], size, edge)  # type: ignore[call-arg]  # height and width
        return blurred[y : y + h, x : x + w], sharp[y : y + h, x : x + w]


@dataclass(frozen=True)
class Stored:
    """Draws among fixed shots as `Tree` draws among pairs: the same crops without reading a file."""

    shots: Sequence[mini.Shot]

    def __call__(self, rng: np.random.Generator) -> mini.Shot:
        return self.shots[rng.integers(len(self.shots))]  # type: ignore[call-overload]  # NumPy's integers index too


@dataclass(frozen=True)
class Synthesis:
    """Crops exposed on the fly: `shot(rng)` says what, e.g. `mini.fresh_shot`, or `Stored` ones."""

    shot: Callable[[np.random.Generator], mini.Shot] = mini.fresh_shot

    def crop(self, rng: np.random.Generator, size: int, edge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        shot = self.shot(rng)
        exposure = shot.expose(random_window(rng, *mini.FRAME_SIZE, size, edge))
        return tuple(image.permute(1, 2, 0).numpy() for image in (exposure.blurred(), exposure.sharp))  # type: ignore[return-value]  # two images


AUGMENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flip_ud": np.flipud,
    "flip_lr": np.fliplr,
    "rot90": np.rot90,
}
"""Name in a recipe -> what is done to both images of a pair; all three give the eight symmetries of the square."""


@dataclass(frozen=True)
class Batches(Dataset):
    """The batches of a training, by step: (blurred, sharp), each (batch, 3, crop, crop) float32 in [0,1].

    With several processes, `rank` of `world` holds its share of each batch.
    """

    source: Source
    crop: int
    batch: int
    seed: int
    edge: float = 0.0
    augment: tuple[str, ...] = ("flip_ud", "flip_lr")
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch % self.world:
            raise ValueError(f"batch {self.batch} cannot be shared by {self.world} processes; choose a multiple")

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        share = self.batch // self.world
        samples = [self.sample(step, i) for i in range(self.rank * share, (self.rank + 1) * share)]
        return tuple(torch.stack([as_tensor(pair[k]) for pair in samples]) for k in (0, 1))  # type: ignore[return-value]  # two images

    def sample(self, step: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample `index` of step `step`: a crop, under each augmentation with probability 1/2."""
        rng = np.random.default_rng([self.seed, step, index])
        blurred, sharp = self.source.crop(rng, self.crop, self.edge)
        for change in (AUGMENTATIONS[name] for name in self.augment):
            if rng.random() < 0.5:
                blurred, sharp = change(blurred), change(sharp)
        return blurred, sharp

    def loader(self, start: int, stop: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of steps start..stop-1 in order, prefetched by worker processes if any."""
        return iter(DataLoader(self, batch_size=None, sampler=range(start, stop), num_workers=workers))


def as_tensor(image: np.ndarray) -> Tensor:
    """(H,W,3) uint8 -> (3,H,W) float32 in [0,1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
