"""Claims that hold or fail on paper: about filters, systems of equations and receptive fields."""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
import pandas as pd
import torch
from scipy import fft

from deblur.data import blur, operators
from deblur.evaluation import classical
from deblur.figures.simplenet import encoder, spectrum
from deblur.study.claims import Outcome
from deblur.study.statistics import Verdict, compound

SIDE = 256
"""Pixels a side of the filters."""
LENGTHS_PX, ANGLES = (5, 9, 15), 12
REGULAR = 1e-3
"""What is added to the power of a kernel before its inverse is taken."""
NEAR_PX, MOST, HALF = 1.5, 0.9, 0.5
"""Along a line: so near to it lies so much of what is off the centre; below a half it does not."""
CAMERAS, PATH_PX, ELONGATED = 100, 9.0, 0.95
"""Random shakes, how long they are, and how many of them must be longer than wide."""
SYSTEMS = 20
"""Random blurs of which equations are counted."""
PILES = range(1, 7)
"""Blocks in a row, as many as the paper draws."""
BLOCKS = {
    "with identities": ({0, 6}, {0, 4, 6, 8}),
    "without": ({6}, {4, 6, 8}),
}
"""How ways are counted -> what a residual block and a PVB add to a receptive field, in px."""


# ------------------------------------------------------------------------------------------------ inverse filters (R17)


def inverse_filters(share: float = MOST) -> Outcome:
    """Two parts: filters of straight blur lie along it; those of random shakes are longer than wide.

    Args:
        share: of what is off the centre, that must lie along the line.
    """
    along = [
        along_line(inverse(classical.line((SIDE, SIDE), length, angle)), angle)
        for length in LENGTHS_PX
        for angle in np.pi * np.arange(ANGLES) / ANGLES
    ]
    plain = elongation(inverse(classical.mean_line((SIDE, SIDE), PATH_PX)))
    longer = np.mean([elongation(inverse(camera_transfer(seed))) > plain for seed in range(CAMERAS)])
    parts: list[Verdict] = [
        "holds" if min(along) >= share else "fails" if min(along) < HALF else "undecided",
        "holds" if longer >= ELONGATED else "fails" if longer < HALF else "undecided",
    ]
    measured = (
        f"Of what is off the centre, {100 * min(along):.0f} to {100 * max(along):.0f} % lies within {NEAR_PX} px of "
        f"the blur's line; {100 * longer:.0f} of 100 filters of random shakes are longer than that of no direction."
    )
    return Outcome(compound(parts), measured, f"computed for paths of {LENGTHS_PX[0]} to {LENGTHS_PX[-1]} px")


def inverse(transfer: np.ndarray) -> np.ndarray:
    """The regularised inverse filter (SIDE, SIDE), centre at [0, 0], of a transfer function (SIDE, SIDE//2 + 1)."""
    return fft.irfft2(np.conj(transfer) / (np.abs(transfer) ** 2 + REGULAR), s=(SIDE, SIDE))


def _offsets() -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel is from the centre, y and x."""
    return np.meshgrid(*[fft.fftfreq(SIDE, 1 / SIDE)] * 2, indexing="ij")


def along_line(values: np.ndarray, angle: float) -> float:
    """Share of a filter's power off the centre that lies within `NEAR_PX` of a line through it."""
    y, x = _offsets()
    power = values**2
    power[0, 0] = 0
    return float(power[np.abs(x * np.sin(angle) - y * np.cos(angle)) <= NEAR_PX].sum() / power.sum())


def elongation(values: np.ndarray) -> float:
    """Ratio of the principal second moments of a filter's power: 1 for a round one."""
    y, x = _offsets()
    power = values**2
    xx, yy, xy = ((power * product).sum() for product in (x * x, y * y, x * y))
    low, high = np.linalg.eigvalsh([[xx, xy], [xy, yy]])
    return float(high / low)


def camera_transfer(seed: int) -> np.ndarray:
    """Transfer function, complex, of a random shake in the middle of a frame."""
    frame = (144, 256)
    poses = blur.cubic_paths(blur.random_camera(np.random.default_rng(seed), PATH_PX, frame), 33)
    middle = (np.array(frame[::-1]) - 1) / 2
    points = torch.from_numpy(middle)[None, None]
    path = blur.camera_points(poses, points, frame, None).numpy()[:, 0, 0] - middle
    y, x = classical.frequencies((SIDE, SIDE))
    return np.mean([np.exp(-2j * np.pi * (x * dx + y * dy)) for dx, dy in path], axis=0)


# ---------------------------------------------------------------------------------------- systems of equations (N1, N2)


@cache
def systems() -> tuple[pd.DataFrame, ...]:
    """Equations and unknowns of `SYSTEMS` random blurs, see `operators.measure`."""
    return tuple(operators.measure(seed).set_index("blur_type") for seed in range(SYSTEMS))


def more_unknowns() -> Outcome:
    """Holds: local blur has more unknowns than global blur, at the same equations, in all systems (N1)."""
    pairs = [(table.loc["Local Blur"], table.loc["Global Blur"]) for table in systems()]
    more = all(one["blind_unknowns"] > other["blind_unknowns"] and one["rows"] == other["rows"] for one, other in pairs)
    one, other = pairs[0]
    measured = (
        f"{one['blind_unknowns']:.0f} unknowns against {other['blind_unknowns']:.0f} in {one['rows']:.0f} equations, "
        "by construction: an object has a mask and a path of its own."
    )
    return Outcome("holds" if more else "fails", measured, _small())


def fewer_equations() -> Outcome:
    """Holds: cut paths lower the rank in all systems; fails: in none (N2)."""
    pairs = [(table.loc["Sampling Blur"], table.loc["Global Blur"]) for table in systems()]
    lower = [one["rank"] < other["rank"] for one, other in pairs]
    verdict: Verdict = "holds" if all(lower) else "undecided" if any(lower) else "fails"
    middle = {
        name: [np.median([row[name] for row in rows]) for rows in zip(*pairs)]
        for name in ("rank", "effective_rank", "intact_rows", "condition")
    }
    measured = (
        f"Rank {_pair(middle['rank'])} of global blur, lower in {sum(lower)} of {len(lower)} systems; above what 8 bit "
        f"resolve {_pair(middle['effective_rank'])}, uncut equations {_pair(middle['intact_rows'])}, condition number "
        f"{middle['condition'][0]:.1e} against {middle['condition'][1]:.1e}."
    )
    return Outcome(verdict, measured, _small())


def _pair(values: list) -> str:
    return f"{values[0]:.0f} against {values[1]:.0f}"


def _small() -> str:
    return f"counted in {SYSTEMS} systems of {operators.SIDE}x{operators.SIDE} px"


# ---------------------------------------------------------------------------------------------- receptive fields (S15)


def more_fields(blocks: Mapping[str, tuple[Iterable[int], Iterable[int]]] = BLOCKS) -> Outcome:
    """Holds: PVBs reach more receptive fields than residual blocks in every pile and in the encoder, however ways are
    counted; fails: as many or fewer in one.

    Args:
        blocks: how ways are counted -> what a residual block and a PVB add.
    """
    counts = {name: _fields(*pair) for name, pair in blocks.items()}
    more = all(pvb > residual for pairs in counts.values() for residual, pvb in pairs)
    said = "; ".join(f"{name} {pairs[-1][1]} against {pairs[-1][0]}" for name, pairs in counts.items())
    measured = f"Sizes in the encoder: {said}; in piles of {PILES[0]} to {PILES[-1]} blocks likewise."
    return Outcome("holds" if more else "fails", measured, "counted")


def _fields(residual: Iterable[int], pvb: Iterable[int]) -> list[tuple[int, int]]:
    """How many receptive fields residual blocks and PVBs give: in each pile, and last in the encoder."""
    piles = [[len(spectrum([(added, 1)] * pile)) for added in (residual, pvb)] for pile in PILES]
    whole = [len(spectrum(encoder(second, residual))) for second in (residual, pvb)]
    return [(one, other) for one, other in (*piles, whole)]
