"""Speed of the deformable convolution without torchvision's operator, beside that operator, with all threads.

`python -m benchmarks.deform` prints the table. Every row first checks that both sides agree to 1e-3. Where there is a
GPU the same is measured there, which is what using the operator on CUDA rests on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import pandas as pd
import torch
from torch import Tensor
from torchvision.ops import deform_conv2d as operator

from deblur.evaluation.complexity import device_name, time_calls
from deblur.models import deform

# Images, channels in and out, side: SimpleNet's outer and inner scale, a batch, what trainings at mini meet, and
# RADN's first module.
SIZES = [(1, 48, 48, 256), (1, 192, 192, 64), (4, 32, 32, 64), (8, 8, 8, 64), (8, 32, 32, 16), (1, 1024, 32, 16)]
ROUNDS = 7


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them: each size forward, then forward and backward.

    Raises:
        AssertionError: the two sides differ by more than 1e-3.
    """
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [row for device in devices for size in SIZES for row in _rows(device, *size)]


def _rows(device: str, count: int, channels: int, out_channels: int, side: int) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(count, channels, side, side), (count, 18, side, side), (out_channels, channels, 3, 3)]
    inputs = [(2 * torch.randn(shape, generator=generator)).to(device).requires_grad_() for shape in shapes]
    ours = partial(deform._elsewhere, *inputs, None, None, 1, 1, 1)  # no bias, no mask; padding, stride, dilation
    theirs = partial(operator, *inputs, padding=1)
    difference = (ours() - theirs()).abs().max() / 4  # of inputs of deviation 1
    assert difference < 1e-3, f"differs from torchvision's operator by {difference:.2g}"
    upstream = torch.randn_like(ours())
    name = f"deform {count}x{channels}->{out_channels} {side}x{side} {device}"
    return [
        _time(name, torch.no_grad()(ours), torch.no_grad()(theirs)),
        _time(f"{name}, training", *(_with_gradients(form, inputs, upstream) for form in (ours, theirs))),
    ]


def _with_gradients(form: Callable[[], Tensor], inputs: list[Tensor], upstream: Tensor) -> Callable[[], object]:
    return lambda: torch.autograd.grad(form(), inputs, upstream)


def _time(name: str, ours: Callable[[], object], theirs: Callable[[], object]) -> dict:
    times = time_calls({"ours": ours, "theirs": theirs}, ROUNDS)
    ratios = [other / own for own, other in zip(times["ours"], times["theirs"], strict=True)]
    return {
        "name": name,
        "ours_ms": median(times["ours"]),
        "other": "torchvision's operator",
        "other_ms": median(times["theirs"]),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
    }


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
