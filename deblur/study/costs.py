"""What networks cost beside their rivals, and whether that is what the papers say.

Sizes and multiply-accumulates are those of the paper-size graphs and decide everywhere. Times decide on a GPU only:
papers timed GPUs, and on a CPU other things take long. There networks run on smaller frames, and a verdict that hangs
on times is *undecided*.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from deblur.evaluation import complexity
from deblur.models.simplenet import DR, LGCR, PVB, RB, NonLocal, stacked
from deblur.runs.run import scoring_device
from deblur.study.claims import Outcome
from deblur.study.statistics import Verdict, compound

FRAMES = {"cuda": (720, 1280), "cpu": (180, 320)}
"""Where networks are timed -> size of the frame: the papers', or a sixteenth of it."""
REPEATS = {"cuda": 9, "cpu": 3}
COUNTED = "counted at paper size"

MOST_AHEAD = 1
"""The papers call a network that is second in size and time small and fast: so many rivals may be ahead."""
RADN_TIMES, RADN_FRAMES = 15, 28
"""As printed: times as fast as Stack(4)-DMPHN, and frames of 720p a second, of which the latter is a GPU's."""
RADN_SAVED = (0.35, 0.45)
"""What is printed as 40 % of the parameters, rounded to tenths."""
HARDLY = 0.10
"""Share that may be added to size and computation; 5.7 % are printed."""
RAIDNET_TIMES, REAL_TIME = 18, 24
""""Almost twenty times"; frames a second of a film."""
SGENET_TIMES = (6.1, 7.5)
"""10 % to either side of the printed 6.82 times."""
LGCR_SAVES = {"memory": 100, "time": 10}
"""Far less: of the printed 236 and 146 times, that order in memory, and a tenth of it in time, which varies by GPU."""
ALIKE = (0.8, 1.25)
"""Ratios that are no difference."""
MEASURED_SIDE, SIDES = 180, (90, 180, 360)
"""Pixels a side in SimpleNet's Table 6, and where the growth of memory is fitted."""


@dataclass(frozen=True)
class Subject:
    """A network whose cost is asked for.

    Attributes:
        make: builds it at paper size, on PyTorch's default device.
    """

    name: str
    make: Callable[[], nn.Module]

    @cached_property
    def graph(self) -> nn.Module:
        """Without weights."""
        with torch.device("meta"):
            return self.make()

    @cached_property
    def parameters(self) -> int:
        """Learned values."""
        return complexity.parameters(self.graph)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of an image of 256x256."""
        return complexity.macs(self.graph, 256, 256)


class Timing(NamedTuple):
    """Milliseconds of each call, in turns; `decides` on a GPU only."""

    ms: Mapping[str, Sequence[float]]
    decides: bool
    scale: str

    def ratio(self, longer: str, shorter: str) -> np.ndarray:
        """How many times as long the one takes, a number a turn."""
        return np.array(self.ms[longer]) / np.array(self.ms[shorter])

    def median(self, name: str) -> float:
        """In milliseconds."""
        return statistics.median(self.ms[name])

    def faster(self, names: Sequence[str], than: str) -> list[str]:
        """Those whose slowest turn is faster than the other's fastest."""
        return [name for name in names if max(self.ms[name]) < min(self.ms[than])]


def timed(*subjects: Subject) -> Timing:
    """One image at a time through each network, on CUDA if there is a device."""
    device, size = _place()
    image = torch.rand(1, 3, *size, device=device)
    calls: dict[str, Callable[[], object]] = {
        subject.name: partial(subject.make().to(device).eval(), image) for subject in subjects
    }
    with torch.inference_mode():
        return _timing(complexity.time_calls(calls, REPEATS[device]), device, size)


def _place() -> tuple[str, tuple[int, int]]:
    device = scoring_device()
    return device, FRAMES[device]


def _timing(ms: Mapping[str, Sequence[float]], device: str, size: tuple[int, int]) -> Timing:
    where = complexity.device_name(device) if device == "cuda" else "a CPU"
    return Timing(ms, device == "cuda", f"timed on {where}, {size[0]}x{size[1]}")


def at_least(ratio: np.ndarray, wanted: float) -> Verdict:
    """Whether a ratio reaches a number in every turn, or in none."""
    return "holds" if ratio.min() >= wanted else "fails" if ratio.max() < wanted else "undecided"


def _times(ratio: np.ndarray) -> str:
    return f"{np.median(ratio):.1f} times ({ratio.min():.1f} to {ratio.max():.1f})"


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def _multiplied(subjects: Sequence[Subject], own: Subject) -> str:
    return ", ".join(f"{subject.name} {subject.macs / own.macs:.2g}" for subject in subjects)


# --------------------------------------------------------------------------------------------------- among the rivals


def small_and_fast(own: Subject, *rivals: Subject) -> Outcome:
    """Holds: at most one rival is smaller, and at most one is faster; fails: more of either (A2)."""
    smaller = [rival.name for rival in rivals if rival.parameters < own.parameters]
    timing, names = timed(own, *rivals), [rival.name for rival in rivals]
    ahead = [name for name in names if timing.median(name) < timing.median(own.name)]
    verdict: Verdict = "undecided"
    if len(smaller) > MOST_AHEAD or (timing.decides and len(timing.faster(names, own.name)) > MOST_AHEAD):
        verdict = "fails"
    elif timing.decides and len(ahead) <= MOST_AHEAD:
        verdict = "holds"
    measured = f"Smaller are {_listed(smaller)}, faster {_listed(ahead)}; {_to_multiply(own, rivals)}."
    return Outcome(verdict, measured, timing.scale)


def _to_multiply(own: Subject, rivals: Sequence[Subject]) -> str:
    return f"multiplications, as a multiple: {_multiplied(rivals, own)}"


def small_and_usual(own: Subject, *rivals: Subject) -> Outcome:
    """Holds: at most one rival is smaller, and it takes less than the rivals' median time (S5)."""
    smaller = [rival.name for rival in rivals if rival.parameters < own.parameters]
    timing = timed(own, *rivals)
    usual = np.median([timing.ms[rival.name] for rival in rivals], axis=0)
    verdict: Verdict = "undecided"
    if len(smaller) > MOST_AHEAD:
        verdict = "fails"
    elif timing.decides:
        verdict = at_least(usual / np.array(timing.ms[own.name]), 1)
    share = timing.median(own.name) / float(np.median(usual))
    measured = (
        f"Smaller are {_listed(smaller)} (DeblurGAN-v2 in its MobileNet form, PSS-NSC as its authors' code has it); it "
        f"takes {share:.2f} of the rivals' median time; {_to_multiply(own, rivals)}."
    )
    return Outcome(verdict, measured, timing.scale)


def light(own: Subject, *rivals: Subject) -> Outcome:
    """Holds: below the median of the rivals in parameters and in multiplications; fails: above both (N15)."""
    ranks = [(own.parameters, [rival.parameters for rival in rivals]), (own.macs, [rival.macs for rival in rivals])]
    below = [value < statistics.median(others) for value, others in ranks]
    verdict: Verdict = "holds" if all(below) else "undecided" if any(below) else "fails"
    return Outcome(verdict, _against_medians(own, rivals), COUNTED)


def low_complexity(own: Subject, *rivals: Subject) -> Outcome:
    """Holds: fewer multiplications than the median of the rivals; fails: as many or more (G4)."""
    below = own.macs < statistics.median(rival.macs for rival in rivals)
    return Outcome("holds" if below else "fails", _against_medians(own, rivals), COUNTED)


def _against_medians(own: Subject, rivals: Sequence[Subject]) -> str:
    sizes, macs = [rival.parameters for rival in rivals], [rival.macs for rival in rivals]
    size_rank, macs_rank = (
        1 + sum(other < value for other in others) for value, others in ((own.parameters, sizes), (own.macs, macs))
    )
    return (
        f"{own.parameters / 1e6:.1f} M parameters, rank {size_rank} of {len(rivals) + 1} (rivals' median "
        f"{statistics.median(sizes) / 1e6:.1f} M); {own.macs / 1e9:.0f} G multiplications at 256x256, rank {macs_rank} "
        f"({statistics.median(macs) / 1e9:.0f} G)."
    )


# ------------------------------------------------------------------------------------------------------------- speed


def radn_speed(own: Subject, rival: Subject) -> Outcome:
    """Holds: as many times as fast as printed. Frames a second are stated: they are those of one card (R2)."""
    timing = timed(own, rival)
    ratio = timing.ratio(rival.name, own.name)
    macs = complexity.macs(rival.graph, 720, 1280) / complexity.macs(own.graph, 720, 1280)
    measured = (
        f"{rival.name} takes {_times(ratio)} as long and {macs:.1f} times the multiplications at 720x1280; "
        f"{1e3 / timing.median(own.name):.1f} frames a second against {RADN_FRAMES} printed for a Titan X."
    )
    return Outcome(at_least(ratio, RADN_TIMES) if timing.decides else "undecided", measured, timing.scale)


def real_time(own: Subject, *rivals: Subject) -> Outcome:
    """Holds: a film's frames a second, and almost twenty times as fast as each rival (N14)."""
    timing = timed(own, *rivals)
    ratios = [timing.ratio(rival.name, own.name) for rival in rivals]
    frames = 1e3 / np.array(timing.ms[own.name])
    parts = [at_least(frames, REAL_TIME), *(at_least(ratio, RAIDNET_TIMES) for ratio in ratios)]
    each = ", ".join(f"{rival.name} {_times(ratio)}" for rival, ratio in zip(rivals, ratios, strict=True))
    measured = (
        f"{np.median(frames):.1f} frames a second; as long as it take {each}; {_to_multiply(own, rivals)}. The "
        "table's Pyramid is not built; 0.026 s are printed for it."
    )
    return Outcome(compound(parts) if timing.decides else "undecided", measured, timing.scale)


def fastest(own: Subject, slow: Subject, *rivals: Subject) -> Outcome:
    """Holds: faster than every rival, and than `slow` by the printed factor, within 10 % (G3)."""
    timing = timed(own, slow, *rivals)
    names = [rival.name for rival in (slow, *rivals)]
    ratio = timing.ratio(slow.name, own.name)
    low, high = SGENET_TIMES
    first: Verdict = "undecided"
    if timing.faster(names, own.name):
        first = "fails"
    elif all(timing.faster([own.name], name) for name in names):
        first = "holds"
    inside = low <= ratio.min() and ratio.max() <= high
    outside = ratio.max() < low or ratio.min() > high
    factor: Verdict = "holds" if inside else "fails" if outside else "undecided"
    ahead = [name for name in names if timing.median(name) < timing.median(own.name)]
    measured = (
        f"Faster are {_listed(ahead)}; {slow.name} takes {_times(ratio)} as long (its own table gives 12.2); "
        f"{_to_multiply(own, [slow, *rivals])}."
    )
    return Outcome(compound([first, factor]) if timing.decides else "undecided", measured, timing.scale)


# ------------------------------------------------------------------------------------------------- parts of a network


def fewer_parameters(own: Subject, rival: Subject) -> Outcome:
    """Holds: the share of parameters that is saved is the printed one, rounded to tenths (R3)."""
    saved = 1 - own.parameters / rival.parameters
    inside = RADN_SAVED[0] <= saved <= RADN_SAVED[1]
    measured = (
        f"{own.parameters / 1e6:.2f} M against {rival.parameters / 1e6:.2f} M: {100 * saved:.1f} % fewer, by "
        "construction: widths that the paper leaves open were chosen to meet it."
    )
    return Outcome("holds" if inside else "fails", measured, COUNTED)


def hardly_more(whole: Subject, plain: Subject) -> Outcome:
    """Holds: both modules add less than a tenth to size and to multiplications at 720x1280 (R12)."""
    size = whole.parameters / plain.parameters - 1
    before, after = (complexity.macs(subject.graph, 720, 1280) for subject in (plain, whole))
    macs = after / before - 1
    megabytes = [complexity.sizes(subject.parameters)["size_mb"] for subject in (plain, whole)]
    measured = (
        f"{megabytes[0]:.1f} to {megabytes[1]:.1f} MB ({100 * size:+.1f} %); {before / 1e9:.0f} to {after / 1e9:.0f} G "
        f"multiplications at 720x1280 ({100 * macs:+.0f} %)."
    )
    return Outcome("holds" if max(size, macs) < HARDLY else "fails", measured, COUNTED)


def lgcr_saves() -> Outcome:
    """Holds: both as Table 6 measures them, a hundred times less memory and a tenth of the time; either decides (S12).

    Memory is counted. The word *exponentially* is answered by the power with which it grows.
    """
    memory = {side: _bytes(NonLocal(3, limit=side**4), side) for side in SIDES}
    ratio = memory[MEASURED_SIDE] / _bytes(LGCR(reconstruct=stacked), MEASURED_SIDE)
    power = float(np.polyfit(np.log(np.square(SIDES)), np.log([*memory.values()]), 1)[0])
    timing = _lgcr_timed()
    faster = timing.ratio("non-local", "LGCR")
    parts = [_saves(np.array([ratio]), "memory"), _saves(faster, "time") if timing.decides else "undecided"]
    measured = (
        f"{ratio:.0f} times less memory at {MEASURED_SIDE}x{MEASURED_SIDE} (printed 236), {_times(faster)} less time "
        f"(146); a non-local block's memory grows with the power {power:.1f} of the pixels, not exponentially."
    )
    return Outcome(compound(parts), measured, timing.scale)


def _bytes(module: nn.Module, side: int) -> int:
    return complexity.peak_bytes(module.to("meta"), torch.empty(1, 3, side, side, device="meta"))


def _lgcr_timed() -> Timing:
    device, _ = _place()
    side = MEASURED_SIDE if device == "cuda" else SIDES[0]
    image = torch.rand(1, 3, side, side, device=device)
    modules = {"non-local": NonLocal(3, limit=side**4), "LGCR": LGCR(reconstruct=stacked)}
    calls: dict[str, Callable[[], object]] = {
        name: partial(module.to(device).eval(), image) for name, module in modules.items()
    }
    with torch.inference_mode():
        return _timing(complexity.time_calls(calls, REPEATS[device]), device, (side, side))


def _saves(ratio: np.ndarray, what: str) -> Verdict:
    low, high = ALIKE
    if ratio.min() >= LGCR_SAVES[what]:
        return "holds"
    if ratio.max() < low:
        return "fails"
    return "no effect" if ratio.min() >= low and ratio.max() <= high else "undecided"


def order_of_time(own: Subject) -> Outcome:
    """Holds: in every turn PVBs take longest, then DRs, then LGCR; fails: one of the two orders is always reversed
    (S16)."""
    device, size = _place()
    network = own.make().to(device)
    kinds = {"PVBs": PVB, "DRs": DR, "LGCR": LGCR, "RBs": RB}
    groups = {name: [module for module in network.modules() if type(module) is kind] for name, kind in kinds.items()}
    groups["Convs/Deconv"] = [m for m in network.children() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    image = torch.rand(1, 3, *size, device=device)
    turns = [complexity.time_groups(network, groups, image, 1)[0] for _ in range(REPEATS[device])]
    spent = {name: [turn[name] for turn in turns] for name in groups}
    timing = _timing(spent, device, size)
    parts = [at_least(timing.ratio("PVBs", "DRs"), 1), at_least(timing.ratio("DRs", "LGCR"), 1)]
    total = sum(map(timing.median, groups))
    shares = ", ".join(f"{name} {100 * timing.median(name) / total:.1f} %" for name in groups)
    return Outcome(compound(parts) if timing.decides else "undecided", f"{shares} of the time.", timing.scale)
