"""The hours of `deblur plan` against a short training: 30 steps at mini, estimated as the plan does, then made.

`python -m benchmarks.planning` prints the rows. The estimate is that of a step's computing alone; the training besides
exposes its crops, logs, and at its end validates and writes its weights.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from unittest.mock import patch

import pandas as pd
import torch

from deblur import planning, runs
from deblur.data import copies
from deblur.evaluation.complexity import device_name
from deblur.notebooks import PAPERS

STEPS = 30


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them: ours is the estimate, the other the steps; the spread is theirs.

    `training_s` is what the run's provenance records, validation and writing included.
    """
    return [_row(paper) for paper in PAPERS]


def _row(paper: str) -> dict:
    plan = runs.Plan(copies.open_data(), paper, options={"steps": STEPS})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    estimated = STEPS * planning.seconds_per_step(plan, device)
    ends = []

    def timed(steps: range) -> Iterator[int]:
        for step in steps:
            yield step
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, DEBLUR_RUNS=folder):
        runs.train(plan, plan.network(), progress=timed)
        recorded = runs.Run(plan).provenance["training_seconds"]
    # The first step has no beginning, the last one validates.
    ratios = pd.Series(ends).diff().iloc[1:-1] * STEPS / estimated
    return {
        "name": f"plan of {paper} at mini, {STEPS} steps",
        "ours_ms": 1e3 * estimated,
        "other": "the steps as measured",
        "other_ms": 1e3 * estimated * ratios.mean(),
        "ratio": ratios.mean(),
        "spread": (ratios.min(), ratios.max()),
        "training_s": recorded,
    }


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
