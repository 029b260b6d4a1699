"""Peak memory and time of RADN's self-attention at the size of a 720p image, beside the explicit form.

N = 45 x 80 = 3,600 places of 1024 channels. `python -m benchmarks.attention` prints the rows. Memory is what a process
of its own holds at most above what it held before the call, output included.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from torch import Tensor

from deblur.evaluation.complexity import device_name, time_calls
from deblur.models.radn import Attend

SIZE = (45, 80)
ROUNDS = 5


def explicit(b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Eqs. 5 and 6 with the whole matrix S."""
    s = torch.softmax(c.flatten(2).mT @ b.flatten(2), -1)
    return (d.flatten(2) @ s.mT).view(d.shape)


FORMS = {"by rows": Attend(), "explicit": explicit}


def _inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, channels, *SIZE, generator=generator) / 10 for channels in (128, 128, 1024)]


def peak_mib(form: str) -> float:
    """MiB that one call adds to the largest resident size of this process."""
    inputs = _inputs()
    with torch.no_grad():
        FORMS[form](*(tensor[..., :8, :8] for tensor in inputs))  # what a first call sets up
        before = _resident()
        FORMS[form](*inputs)
    return (_resident() - before) / 2**20


def _resident() -> int:
    """The largest resident size of this process in bytes; on Linux `getrusage` would count the parent's too."""
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def run() -> list[dict]:
    """One row of times as `benchmarks.metrics.run` gives them, with `ours_mib`, `other_mib` and their `memory_ratio`.

    Raises:
        AssertionError: the forms differ, or ours needs 40 % of the other's memory or more.
    """
    inputs = _inputs()
    with torch.no_grad():
        ours, theirs = (form(*inputs) for form in FORMS.values())
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        times = time_calls({name: lambda form=form: form(*inputs) for name, form in FORMS.items()}, ROUNDS)
    # A fresh process each: the largest resident size never falls.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        ours_mib, other_mib = pool.map(peak_mib, FORMS, chunksize=1)
    assert ours_mib < 0.4 * other_mib, f"{ours_mib:.0f} MiB are not below 40 % of {other_mib:.0f} MiB"
    ratios = [other / own for own, other in zip(times["by rows"], times["explicit"], strict=True)]
    return [
        {
            "name": "self-attention at 720p",
            "ours_ms": median(times["by rows"]),
            "other": "explicit matrix",
            "other_ms": median(times["explicit"]),
            "ratio": median(ratios),
            "spread": (min(ratios), max(ratios)),
            "ours_mib": ours_mib,
            "other_mib": other_mib,
            "memory_ratio": ours_mib / other_mib,
        }
    ]


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
