"""Learning rates over a training, by the names that recipes give them."""

import math
from collections.abc import Callable


def polynomial(lr: float, step: int, steps: int, *, power: float = 0.3, hold: float = 0.0) -> float:
    """`lr (1 - k/K)^power`: the decay of SRN's code, which three of the papers print in other words.

    Args:
        hold: share of the steps that `lr` is held before it falls (DeblurGAN).
    """
    return lr * min(1.0, (1 - step / steps) / (1 - hold)) ** power


def constant(lr: float, step: int, steps: int) -> float:
    """`lr` throughout (RADN names no schedule)."""
    return lr


def cosine(lr: float, step: int, steps: int, *, floor: float = 0.0, warm_up: int = 0) -> float:
    """One half cosine from `lr` to `floor` (SGENet, Sec. 4.1).

    Args:
        warm_up: steps before it in which the rate rises evenly to `lr` (MPRNet).
    """
    if step < warm_up:
        return lr * (step + 1) / warm_up
    return floor + (lr - floor) * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up))) / 2


def staircase(lr: float, step: int, steps: int, *, every: int, factor: float) -> float:
    """`lr` times `factor` after each `every` steps (SimpleNet, Sec. 3.5)."""
    return lr * factor ** (step // every)


def held_staircase(lr: float, step: int, steps: int, *, hold: int, every: int, factor: float) -> float:
    """`lr` for `hold` steps, then times `factor` and again after each `every` steps (DBN)."""
    return lr * factor ** max((step - hold) // every + 1, 0)


def warm_restarts(lr: float, step: int, steps: int, *, epoch: int, floor: float = 0.0) -> float:
    """Cosines over 1, 2, 4, ... epochs, each from `lr` towards `floor`, set once an epoch (RAID-Net, Sec. 4.1).

    Args:
        epoch: steps of an epoch. After 2^k - 1 epochs a cosine is complete.
    """
    done = step // epoch
    start = 2 ** ((done + 1).bit_length() - 1) - 1  # the cosine that began after 0, 1, 3, 7, ... epochs
    return cosine(lr, done - start, start + 1, floor=floor)


SCHEDULES: dict[str, Callable[..., float]] = {
    "polynomial": polynomial,
    "constant": constant,
    "cosine": cosine,
    "staircase": staircase,
    "held_staircase": held_staircase,
    "warm_restarts": warm_restarts,
}
"""Name in a recipe -> learning rate at a step: `(lr, step, steps, **schedule_args)`, steps counted from 0."""
