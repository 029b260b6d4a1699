"""What paired differences say: an interval over seeds and scenes, and the verdict that follows from it.

Two arms that are trained with one seed see the same batches, and images of one scene resemble each other: what counts
are differences of one seed, averaged over each scene. Seeds and scenes are both drawn at random. Of K seeds and S
scenes the mean difference has the half-width h with

    h^2 = t(K - 1)^2 s_seed^2 / K + t(S - 1)^2 s_scene^2 / S,

where s are the deviations of the means of seeds and of scenes. `simulation` says how often this errs and what it sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

ALPHA = 0.05
"""Rate at which a family of contrasts may give a false verdict."""
POWER = 0.8
FEWEST = 2
"""Seeds, and scenes, below which there is no interval."""

Verdict = Literal["no effect", "holds", "fails", "undecided"]


@dataclass(frozen=True)
class Effect:
    """A mean difference and how sure it is.

    Attributes:
        mean: in the unit of what is compared; positive where the first arm is ahead.
        seed, scene: standard errors of the mean that seeds and scenes bring.
        seeds, scenes: how many there are.
    """

    mean: float
    seed: float
    scene: float
    seeds: int
    scenes: int

    def half_width(self, alpha: float = ALPHA) -> float:
        """Of the interval of level 1 - alpha; infinite for fewer than two seeds or scenes."""
        if min(self.seeds, self.scenes) < FEWEST:
            return float("inf")
        by_seed, by_scene = (-stdtrit(count - 1, alpha / 2) for count in (self.seeds, self.scenes))
        return float(np.hypot(by_seed * self.seed, by_scene * self.scene))

    @property
    def interval(self) -> tuple[float, float]:
        """Of level 1 - `ALPHA`."""
        half = self.half_width()
        return self.mean - half, self.mean + half

    @property
    def detectable(self) -> float:
        """The smallest effect that would have been seen in `POWER` of such tests."""
        return self.half_width() + self.half_width(2 * (1 - POWER))

    @property
    def p_sign(self) -> float:
        """The smallest alpha at which the interval leaves out zero."""
        return _smallest(lambda alpha: abs(self.mean) - self.half_width(alpha))

    def p_none(self, bound: float) -> float:
        """The smallest alpha at which the interval of level 1 - 2 alpha lies within `bound` of zero."""
        return _smallest(lambda alpha: bound - abs(self.mean) - self.half_width(2 * alpha), 0.5)


def _smallest(margin: Callable[[float], float], largest: float = 1.0) -> float:
    """The alpha in (0, largest) from which on a margin that rises with it is not negative; 1 where it never is."""
    low, high = 1e-12, largest * (1 - 1e-9)
    if not margin(high) >= 0:
        return 1.0
    if margin(low) >= 0:
        return low
    return float(brentq(margin, low, high, xtol=1e-12))


def effect(differences: np.ndarray) -> Effect:
    """The effect of paired differences (seeds, scenes), each the mean of a scene's images with one seed."""
    seeds, scenes = differences.shape

    def error(means: np.ndarray) -> float:
        return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) >= FEWEST else float("inf")

    return Effect(float(differences.mean()), error(differences.mean(1)), error(differences.mean(0)), seeds, scenes)


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Which of a family's hypotheses are rejected when all of them together may err at the rate `alpha` (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def verdicts(
    effects: Sequence[Effect], bounds: Sequence[float], signs: Sequence[int], waiting: int = 0
) -> list[Verdict]:
    """The verdicts of a family of contrasts.

    That there is no effect is asked first. A contrast can be wrongly said to have none only if it has one, and wrongly
    given a sign only if it has none: each of the two questions is corrected by itself.

    Args:
        bounds: the smallest effects that matter.
        signs: +1 or -1, as the claim expects.
        waiting: contrasts of the family that have no effect yet; they count, lest a verdict fall that later ones undo.
    """
    later = [1.0] * waiting
    none = holm([effect.p_none(bound) for effect, bound in zip(effects, bounds, strict=True)] + later)[: len(effects)]
    signed = holm([effect.p_sign for effect in effects] + later)[: len(effects)]
    said: list[Verdict] = []
    for effect, sign, inside, apart in zip(effects, signs, none, signed, strict=True):
        towards: Verdict = "holds" if effect.mean * sign > 0 else "fails"
        said.append("no effect" if inside else towards if apart else "undecided")
    return said


def compound(parts: Sequence[Verdict]) -> Verdict:
    """Of a claim with several contrasts: it holds if all do, fails if one does, has no effect if none has."""
    if "fails" in parts:
        return "fails"
    return parts[0] if len(set(parts)) == 1 else "undecided"
