"""How much of this machine's convolution rate the networks reach: one 256x256 image, paper size, random weights.

The rate is that of a 3x3 convolution of 64 channels at 256x256, measured in the same rounds. The ratio is the time that
a network's multiply-accumulates take at that rate, over the network's time: its share of the rate. Other convolutions
are faster, so more than 1 is possible. Public code of MIMO-UNet+, MPRNet and NAFNet-32 reached 1.2, 1.2 and 0.8 on two
cores. `python -m benchmarks.inference` prints the rows.
"""

from __future__ import annotations

from statistics import median

import pandas as pd
import torch
from torch import nn

from deblur import models
from deblur.evaluation.complexity import device_name, macs, on_meta, time_calls
from deblur.notebooks import PAPERS

NAMES = (*PAPERS, "mimounet_plus", "mprnet", "nafnet")
SIDE, CHANNELS = 256, 64
ROUNDS = 3
OTHER = f"3x3 convolution, {CHANNELS} channels, same work"


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them, with `gmacs` and the rates in `gmacs_per_s`, `other_gmacs_per_s`."""
    return [_row(name) for name in NAMES]


def _row(name: str) -> dict:
    work = macs(on_meta(name), SIDE, SIDE)
    network, image = models.build(name).eval(), torch.rand(1, 3, SIDE, SIDE)
    convolution, features = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), torch.rand(1, CHANNELS, SIDE, SIDE)
    repeats = 10  # one takes milliseconds

    def convolve() -> None:
        for _ in range(repeats):
            convolution(features)

    with torch.inference_mode():
        times = time_calls({"ours": lambda: network(image), "other": convolve}, ROUNDS)
    same_work = work / (repeats * 9 * CHANNELS**2 * SIDE**2)
    times["other"] = [same_work * taken for taken in times["other"]]
    ratios = [other / own for own, other in zip(times["ours"], times["other"], strict=True)]
    return {
        "name": f"{name}, {SIDE}x{SIDE}",
        "ours_ms": median(times["ours"]),
        "other": OTHER,
        "other_ms": median(times["other"]),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
        "gmacs_per_s": work / 1e6 / median(times["ours"]),
        "other_gmacs_per_s": work / 1e6 / median(times["other"]),
    }


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
