"""Between which scores a comparison stands: Wiener filters that learn nothing, one that guesses and one that is told.

The *floor* deconvolves every picture by one kernel without direction, whose length and noise term did best on the
validation pairs. The *oracle* is told, by the sharp picture, which of some straight kernels does best in each tile:
what a linear filter gains that knows the blur. Networks may do better, since they know what pictures look like.

Kernels are lines that every pixel travels evenly; their transfer function is a sinc. A picture's own spectrum is taken
to fall with the square of the frequency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy import fft

from deblur.data import ladder, official
from deblur.evaluation import metrics

FLOOR, ORACLE = "Wiener floor", "Wiener oracle"
"""Their names in tables."""
BOUNDS = (FLOOR, ORACLE)
MARGIN = 32
"""Rows and columns of reflection around an image: a Fourier transform takes it for periodic."""
MEAN_OF = 60
"""Directions over which a kernel without one is the mean."""


@dataclass(frozen=True)
class Grid:
    """What is tried at a scale.

    Attributes:
        guesses_px: lengths of the floor's kernel.
        lengths_px, directions: of the oracle's straight kernels; the directions are spread evenly over half a turn.
        noises: what stands for noise over signal: the oracle's, and among others the floor's.
        tile: side of the oracle's tiles in pixels.
    """

    guesses_px: tuple[float, ...]
    lengths_px: tuple[float, ...]
    directions: int
    noises: tuple[float, ...]
    tile: int = 48


GRIDS = {
    "mini": Grid((1, 1.5, 2, 2.5, 3, 3.5, 4, 5), (1, 2, 3, 4, 5, 6), 8, (1e-3, 3e-3, 1e-2)),
    "bench": Grid((2, 3, 4, 5, 6, 8, 10, 12), (3, 6, 9, 12, 15, 20), 16, (1e-2, 3e-2, 1e-1)),
}
GRIDS |= dict.fromkeys(ladder.RUNGS, GRIDS["bench"])
"""Scale of a bundled copy -> what is tried on it. Longer paths need finer directions, and more noise allows for what a
straight kernel misses of them."""
GUESSED_NOISES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@dataclass(frozen=True)
class Guess:
    """The floor's kernel: a path of `length_px` in no direction, and its noise term."""

    length_px: float
    noise: float


def frequencies(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cycles a pixel along y and x, (H, W//2 + 1) each, of the real Fourier transform of an image (H,W)."""
    y, x = np.meshgrid(fft.fftfreq(shape[0]), fft.rfftfreq(shape[1]), indexing="ij")
    return y, x


@lru_cache(maxsize=128)
def line(shape: tuple[int, int], length_px: float, angle: float) -> np.ndarray:
    """Transfer function (H, W//2 + 1) float32 of an even path of a length, at `angle` radians from x to y.

    Raises:
        ValueError: for a length that is not positive.
    """
    if not length_px > 0:
        raise ValueError(f"a path must have a positive length, not {length_px} px")
    y, x = frequencies(shape)
    return np.sinc(length_px * (x * np.cos(angle) + y * np.sin(angle))).astype(np.float32)


@lru_cache(maxsize=64)
def mean_line(shape: tuple[int, int], length_px: float) -> np.ndarray:
    """Transfer function of a path of unknown direction: the mean over all directions."""
    return np.mean(
        [line.__wrapped__(shape, length_px, np.pi * (turn + 0.5) / MEAN_OF) for turn in range(MEAN_OF)], axis=0
    )


@lru_cache(maxsize=8)
def steepness(shape: tuple[int, int]) -> np.ndarray:
    """Power (H, W//2 + 1) float32 of the gradient filter: the inverse of a picture's own spectrum."""
    y, x = frequencies(shape)
    return (4 - 2 * np.cos(2 * np.pi * y) - 2 * np.cos(2 * np.pi * x)).astype(np.float32)


@dataclass(frozen=True)
class Spectrum:
    """The Fourier transform of an image with its reflected margin.

    Attributes:
        values: (C, H, W//2 + 1) complex64.
        shape: (H, W) with the margin.
    """

    values: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, image: np.ndarray) -> "Spectrum":
        """Of an image (h,w,C) in levels."""
        padded = np.pad(image, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
        padded = padded.transpose(2, 0, 1).astype(np.float32) / 255
        return cls(fft.rfft2(padded), padded.shape[1:])

    def filtered(self, transfer: np.ndarray, noise: float) -> np.ndarray:
        """The image (h,w,C) float32 in [0,1] units, unclamped, after Wiener's filter for a real transfer function."""
        wiener = transfer / (transfer**2 + np.float32(noise) * steepness(self.shape))
        restored = fft.irfft2(self.values * wiener, s=self.shape)
        return np.ascontiguousarray(restored[:, MARGIN:-MARGIN, MARGIN:-MARGIN].transpose(1, 2, 0))


def wiener_floor(blurred: np.ndarray, guess: Guess) -> np.ndarray:
    """Blurred (H,W,3) uint8 -> restored (H,W,3) float32 in [0,1] units, unclamped."""
    spectrum = Spectrum.of(blurred)
    return spectrum.filtered(mean_line(spectrum.shape, guess.length_px), guess.noise)


def best_guess(pairs: Sequence[official.Pair], grid: Grid) -> Guess:
    """The guess with the highest mean PSNR on some pairs, which should be those of a validation split."""
    guesses = [Guess(length_px, noise) for length_px in grid.guesses_px for noise in GUESSED_NOISES]
    scores = np.zeros(len(guesses))
    for pair in pairs:
        blurred, sharp = official.read_pair(pair)
        spectrum = Spectrum.of(blurred)
        for number, guess in enumerate(guesses):
            restored = spectrum.filtered(mean_line(spectrum.shape, guess.length_px), guess.noise)
            scores[number] += metrics.psnr_db(metrics.to_uint8(restored), sharp)
    return guesses[int(np.argmax(scores))]


def wiener_oracle(blurred: np.ndarray, sharp: np.ndarray, grid: Grid) -> np.ndarray:
    """Blurred and sharp (H,W,3) uint8 -> restored (H,W,3) float32: each tile by the kernel that suits it best, or not.

    Kernels are chosen on the mean of the colours.
    """
    grey, wanted = (image.mean(2, keepdims=True, dtype=np.float32) for image in (blurred, sharp))
    angles = np.pi * np.arange(grid.directions) / grid.directions
    kernels = [
        (length_px, float(angle), noise) for length_px, angle, noise in product(grid.lengths_px, angles, grid.noises)
    ]
    spectrum = Spectrum.of(grey)
    least = tiles_error(grey / 255, wanted, grid.tile)
    chosen = np.full(least.shape, -1)
    for number, (length_px, angle, noise) in enumerate(kernels):
        restored = spectrum.filtered(line(spectrum.shape, length_px, angle), noise)
        error = tiles_error(restored, wanted, grid.tile)
        chosen[error < least] = number
        least = np.minimum(error, least)
    spectrum, best = Spectrum.of(blurred), blurred.astype(np.float32) / 255
    rows, columns = (np.arange(side) // grid.tile for side in sharp.shape[:2])
    by_pixel = chosen[rows][:, columns, None]
    for number in set(chosen.ravel().tolist()) - {-1}:
        length_px, angle, noise = kernels[number]
        restored = spectrum.filtered(line(spectrum.shape, length_px, angle), noise)
        best = np.where(by_pixel == number, restored, best)
    return best


def tiles_error(restored: np.ndarray, wanted: np.ndarray, tile: int) -> np.ndarray:
    """Summed squared error of each tile, in rows of tiles, of (H,W,C) in [0,1] units against (H,W,C) in levels."""
    error = ((255 * restored.clip(0, 1) - wanted) ** 2).sum(2)
    for axis, side in enumerate(wanted.shape[:2]):
        error = np.add.reduceat(error, np.arange(0, side, tile), axis)
    return error
