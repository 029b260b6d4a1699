"""SVRNN's four recursive filters beside a loop over places, forwards and in a training step.

32 channels at half the size of a 256x256 image, as at paper size, and at 256x256. `python -m benchmarks.recurrence`
prints the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import pandas as pd
import torch
from torch import Tensor

from deblur.evaluation.complexity import device_name, time_calls
from deblur.models.svrnn import DIRECTIONS, recursive_filter

CHANNELS, SIDES = 32, (128, 256)
ROUNDS = 3


def loop(x: Tensor, gate: Tensor, dim: int, backwards: bool = False) -> Tensor:
    """The filter, place by place."""
    places = range(x.shape[dim])
    state, states = torch.zeros_like(x.select(dim, 0)), {}
    for place in reversed(places) if backwards else places:
        g = gate.select(dim, place)
        state = states[place] = (1 - g) * x.select(dim, place) + g * state
    return torch.stack([states[place] for place in places], dim)


def filtered(form: Callable[..., Tensor], x: Tensor, gate: Tensor) -> list[Tensor]:
    """All four directions."""
    return [form(x, gate, *direction) for direction in DIRECTIONS]


def trained(form: Callable[..., Tensor], x: Tensor, gate: Tensor) -> None:
    """Forwards and backwards."""
    sum(part.sum() for part in filtered(form, x, gate)).backward()


CALLS = {"forwards": torch.no_grad()(filtered), "a training step": trained}


def run() -> list[dict]:
    """Rows of times as `benchmarks.metrics.run` gives them.

    Raises:
        AssertionError: the forms differ.
    """
    return [_row(side, what) for side in SIDES for what in CALLS]


def _row(side: int, what: str) -> dict:
    generator = torch.Generator().manual_seed(0)
    x, gate = torch.randn(2, 1, CHANNELS, side, side, generator=generator)
    x, gate = x.requires_grad_(), gate.tanh().requires_grad_()
    for ours, theirs in zip(filtered(recursive_filter, x, gate), filtered(loop, x, gate), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    forms = {"ours": recursive_filter, "loop": loop}
    times = time_calls({name: partial(CALLS[what], form, x, gate) for name, form in forms.items()}, ROUNDS)
    ratios = [other / own for own, other in zip(times["ours"], times["loop"], strict=True)]
    return {
        "name": f"recurrence at {side}x{side}, {what}",
        "ours_ms": median(times["ours"]),
        "other": "loop over places",
        "other_ms": median(times["loop"]),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
    }


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
