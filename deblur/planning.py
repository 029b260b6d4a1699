"""What it takes to reproduce a paper: its trainings, one command each, and how long they take on this machine."""

import shlex
import time
from collections.abc import Sequence
from functools import partial

import pandas as pd
import torch
from joblib import cpu_count

from deblur import models, recipes, runs
from deblur.data import copies
from deblur.evaluation import complexity
from deblur.losses import LOSSES
from deblur.runs.train import device_used, one_thread
from deblur.talk import duration, table

LIMIT_S = 3.0
"""Seconds that steps are timed for; the last one may end a little later."""

SMALLEST = {"crop": 64, "batch": 2}
"""On a CPU steps are timed from this size on, doubled while time is left; on a GPU at the recipe's own."""


def plan(
    data: copies.Data, name: str, scale: str, seeds: Sequence[int], root: str = "", timed: bool = True
) -> pd.DataFrame:
    """The trainings behind a paper's tables, those that share a key once, longest first.

    Args:
        root: for the commands' `--data`; empty for the bundled benchmark.
        timed: whether to time some steps; else there are no hours.

    Returns:
        network, variant, budget, seed, steps, done, `command`, `scores` (the file that is there when all is done) and,
        if timed, `hours` on this `device` with one thread.

    Raises:
        ValueError: for an unknown network or scale, listing the valid ones.
    """
    distinct = _trainings(data, name, scale, seeds)
    trainings = pd.DataFrame([_row(training, root) for training in distinct])
    if not timed:
        return trainings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainings["hours"] = [seconds / 3600 for seconds in estimates(distinct, device)]
    trainings["device"] = device_used(device)
    return trainings.sort_values("hours", ascending=False, kind="stable").reset_index(drop=True)


def _trainings(data: copies.Data, name: str, scale: str, seeds: Sequence[int]) -> list[runs.Plan]:
    recipes.recipe(name, scale=scale)
    budgets = [("paper", "main"), *((variant, "row") for variant in models.NETWORKS[name].file.VARIANTS)]
    every = [runs.Plan(data, name, variant, scale, budget, seed) for seed in seeds for variant, budget in budgets]
    return list({training.key: training for training in reversed(every)}.values())[::-1]


def _row(one: runs.Plan, root: str) -> dict[str, object]:
    words = ["deblur", "train", one.name, "--variant", one.variant, "--scale", one.scale, "--budget", one.budget]
    words += ["--seed", str(one.seed), *(["--data", root, "--subset", one.data.subset] if root else [])]
    return {
        "network": one.name,
        "variant": one.variant,
        "budget": one.budget,
        "seed": one.seed,
        "steps": one.recipe.steps,
        "done": runs.is_complete(one),
        "command": shlex.join(words),
        "scores": str(one.folder / "per_image.csv"),
    }


def estimates(trainings: Sequence[runs.Plan], device: torch.device) -> list[float]:
    """Seconds of each training: steps of the first one are timed, the others follow from multiply-accumulates."""
    speed = seconds_per_mac(trainings[0], device)
    return [
        training.recipe.steps * step_macs(training, training.recipe.crop, training.recipe.batch) * speed
        for training in trainings
    ]


def step_macs(one: runs.Plan, crop: int, batch: int) -> int:
    """Multiply-accumulates of a forward pass of a batch."""
    network = complexity.on_meta(one.name, one.variant, **one.recipe.config)
    return batch * complexity.macs(network, crop, crop)


def seconds_per_mac(one: runs.Plan, device: torch.device) -> float:
    """Seconds of a training's steps, forward and backward, by the multiply-accumulates of their forward passes.

    Loading of data is left out. On a CPU one thread computes, as in trainings.
    """
    recipe = one.recipe
    full = (recipe.crop, recipe.batch)
    crop, batch = full if device.type != "cpu" else (min(SMALLEST["crop"], full[0]), min(SMALLEST["batch"], full[1]))
    with one_thread(device):
        step = _Step(one, device)
        started = time.perf_counter()
        step(crop, batch)  # warms up
        while True:
            seconds = _timed(partial(step, crop, batch))
            left = LIMIT_S - (time.perf_counter() - started)
            if crop >= recipe.crop or 12 * seconds > left:  # four times the work and more, and a warm-up
                return seconds / step_macs(one, crop, batch)
            crop = min(2 * crop, recipe.crop)
            step(crop, batch)


def _timed(call: partial) -> float:
    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


class _Step:
    """One forward and backward pass of a training at any size."""

    def __init__(self, one: runs.Plan, device: torch.device):
        recipe = one.recipe
        self.form = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.network = one.network().to(device, memory_format=self.form).train()  # type: ignore[call-overload]  # PyTorch's stubs lack this form
        self.loss = partial(LOSSES[recipe.loss], **recipe.loss_args)
        self.device = device

    def __call__(self, crop: int, batch: int) -> None:
        blurred, sharp = torch.rand(2, batch, 3, crop, crop, device=self.device)
        self.network.zero_grad()
        outputs = self.network(blurred.contiguous(memory_format=self.form))
        sum(self.loss(outputs, sharp, 0.0).values()).backward()  # type: ignore[union-attr]  # a loss has terms


def listed(trainings: pd.DataFrame) -> str:
    """The trainings as text to read."""
    titles = ["variant", "budget", "seed", "steps", "done"] + (["time"] if "hours" in trainings else [])
    rows = [
        [row["variant"], row["budget"], row["seed"], f"{row['steps']:,}", "yes" if row["done"] else "no"]
        + ([duration(3600 * row["hours"])] if "hours" in row else [])
        for row in trainings.to_dict("records")
    ]
    return table(titles, rows)


def summary(trainings: pd.DataFrame, data: copies.Data, name: str, scale: str) -> list[str]:
    """How long it takes until all are done, that of scale `mini` beside it, and how this was found."""
    on_cpu = not torch.cuda.is_available()
    together = cpu_count() if on_cpu else 1
    rest = trainings.loc[~trainings["done"], "hours"]
    to_go = 3600 * max(rest.sum() / together, rest.max() if len(rest) else 0)
    device = "this CPU" if on_cpu else trainings["device"].iloc[0]
    said = f"{len(trainings)} trainings, {int(trainings['done'].sum())} done; about {duration(to_go)} to go on {device}"
    said += f", {together} at a time with a thread each" if on_cpu else ", one after the other"
    if scale != "mini":
        said += f"; --scale mini: about {duration(at_mini(data, name) / together)}"
    how = "Estimated from a few timed steps of the full network and the multiply-accumulates of each variant; loading"
    return [said, f"{how} and scoring are left out.{' No GPU was measured.' if on_cpu else ''}"]


def at_mini(data: copies.Data, name: str) -> float:
    """Seconds of a paper's trainings at scale `mini`, one after the other, as if all steps were the full network's."""
    trainings = _trainings(data, name, "mini", [0])
    (full,) = estimates(trainings[:1], torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return full / trainings[0].recipe.steps * sum(training.recipe.steps for training in trainings)
