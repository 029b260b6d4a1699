"""Training batches: from pairs read from a tree, or freshly exposed, behind one interface.

Sample i of step s depends on (seed, s, i) and on nothing else: resuming, worker processes and several devices then
need no bookkeeping.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deblur.data import mini, official

KEPT_STEPS = 200
"""Batches that a process keeps, see `Kept`: more than the steps of a table's rows, 0.8 MB each at scale mini."""


class Source(Protocol):
    """Anything that gives one training crop for a random generator."""

    def crop(self, rng: np.random.Generator, size: int, edge: float) -> tuple[np.ndarray, ...]:
        """A blurred and a sharp crop, (size, size, 3) uint8 each; of a video several blurred ones."""


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


def sometimes(change: Callable[[Tensor], Tensor], share: float = 0.5) -> Callable[[Tensor, float], Tensor]:
    """A change that is made where the draw lies below `share`."""
    return lambda images, draw: change(images) if draw < share else images


def turned(images: Tensor, draw: float) -> Tensor:
    """By 90, 180 or 270 degrees, never by none (Stack(4)-DMPHN)."""
    return images.rot90(1 + int(3 * draw), (-2, -1))


def recoloured(images: Tensor, draw: float) -> Tensor:
    """The channels in another order, or in their own (MSCNN)."""
    return images[:, list(tuple(permutations(range(3)))[int(6 * draw)])]


def saturated(images: Tensor, draw: float) -> Tensor:
    """Saturation times 0.8 to 1.2: the distance to the grey image of the same luma (Stack(4)-DMPHN)."""
    grey = (images * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return (grey + (0.8 + 0.4 * draw) * (images - grey)).clamp(0, 1)


def hsv_saturated(images: Tensor, draw: float) -> Tensor:
    """Saturation in HSV times 0.5 to 1.5: the distance to the highest channel (MSCNN)."""
    value = images.amax(1, keepdim=True)
    return (value - (0.5 + draw) * (value - images)).clamp(0, 1)


def noisy(images: Tensor, draw: float) -> Tensor:
    """Gaussian noise in the blurred image, whose deviation is Gaussian too, of deviation 2/255 (MSCNN)."""
    blurred, sharp = images
    generator = torch.Generator().manual_seed(int(draw * 2**53))
    noise = torch.randn((), generator=generator) * 2 / 255 * torch.randn(blurred.shape, generator=generator)
    return torch.stack([(blurred + noise.to(blurred.device)).clamp(0, 1), sharp])


AUGMENTATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "flip_ud": sometimes(lambda images: images.flip(-2)),
    "flip_lr": sometimes(lambda images: images.flip(-1)),
    "rot90": sometimes(lambda images: images.rot90(dims=(-2, -1))),
    "turn": turned,
    "sharp_input": sometimes(lambda images: images[[1, 1]], 0.1),
    "channels": recoloured,
    "saturation": saturated,
    "hsv_saturation": hsv_saturated,
    "noise": noisy,
}
"""Name in a recipe -> what is done to a pair: (blurred and sharp, 3, h, w) float32 in [0,1] and a draw in [0,1), which
decides all -> the pair. The first three give the eight symmetries of the square."""


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
        blurred, sharp = torch.stack(samples, 1)
        return blurred, sharp

    def sample(self, step: int, index: int) -> Tensor:
        """Sample `index` of step `step`: an augmented crop, (blurred and sharp, 3, crop, crop) float32 in [0,1]."""
        rng = np.random.default_rng([self.seed, step, index])
        images = torch.stack([as_tensor(image) for image in self.source.crop(rng, self.crop, self.edge)])
        for name in self.augment:
            images = AUGMENTATIONS[name](images, rng.random())
        return images

    def loader(self, start: int, stop: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of steps start..stop-1 in order, prefetched by worker processes if any."""
        return iter(DataLoader(self, batch_size=None, sampler=range(start, stop), num_workers=workers))


@dataclass(frozen=True)
class Kept(Batches):
    """Batches that are kept for the next training of this process: rows of a table are trained on the same ones.

    The source must be hashable, and depend on nothing but the random generator that it is given.
    """

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        blurred, sharp = _made(self, step)
        return blurred.clone(), sharp.clone()  # whoever gets them may change them


@lru_cache(maxsize=KEPT_STEPS)
def _made(batches: Kept, step: int) -> tuple[Tensor, Tensor]:
    return Batches.__getitem__(batches, step)


def as_tensor(image: np.ndarray) -> Tensor:
    """(H,W,3) uint8 -> (3,H,W) float32 in [0,1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
