"""What it takes to reproduce a paper: its trainings, one command each, and the hours they need on this machine."""

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch

from deblur import complexity, models, recipes, runs
from deblur.losses import LOSSES

PROBE = {"crop": 64, "batch": 2}
"""On a CPU a step is timed at this size and scaled by its multiply-accumulates; on a GPU at the recipe's own."""


def plan(
    data: runs.Data, paper: str, scale: str, seeds: Sequence[int], root: str = "", timed: bool = True
) -> pd.DataFrame:
    """The trainings behind a paper's tables, those that share a key once, longest first.

    Args:
        root: for the commands' `--data`; empty for the bundled benchmark.
        timed: whether to time a step of each training; else there are no hours.

    Returns:
        paper, variant, budget, seed, steps, done, `command`, `scores` (the file that is there when all is done) and,
        if timed, `hours` on this `device`.

    Raises:
        ValueError: for an unknown network or scale, listing the valid ones.
    """
    recipes.recipe(paper, scale=scale)
    budgets = [("paper", "main"), *((variant, "row") for variant in models.NETWORKS[paper][0].VARIANTS)]
    every = [runs.Plan(data, paper, variant, scale, budget, seed) for seed in seeds for variant, budget in budgets]
    distinct = list({one.key: one for one in reversed(every)}.values())[::-1]
    table = pd.DataFrame([_row(one, root) for one in distinct])
    if not timed:
        return table
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table["hours"] = [one.recipe.steps * seconds_per_step(one, device) / 3600 for one in distinct]
    table["device"] = complexity.device_name(device)
    return table.sort_values("hours", ascending=False, kind="stable").reset_index(drop=True)


def _row(one: runs.Plan, root: str) -> dict[str, object]:
    words = ["deblur", "train", one.paper, "--variant", one.variant, "--scale", one.scale, "--budget", one.budget]
    words += ["--seed", str(one.seed), *(["--data", root, "--data-variant", one.data.variant] if root else [])]
    return {
        "paper": one.paper,
        "variant": one.variant,
        "budget": one.budget,
        "seed": one.seed,
        "steps": one.recipe.steps,
        "done": runs.is_complete(one),
        "command": shlex.join(words),
        "scores": str(one.folder / "per_image.csv"),
    }


def seconds_per_step(one: runs.Plan, device: str, repeats: int = 3) -> float:
    """Seconds of one forward and backward pass at the recipe's crop and batch, loading of data excluded.

    Measured on `device`, on a CPU at the size of `PROBE`, from where it grows with the multiply-accumulates.
    """
    recipe = one.recipe
    probe = recipe if device != "cpu" else replace(recipe, **{k: min(v, getattr(recipe, k)) for k, v in PROBE.items()})
    form = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network = one.network().to(device, memory_format=form).train()  # type: ignore[call-overload]  # PyTorch's stubs lack this form
    loss = partial(LOSSES[recipe.loss], **recipe.loss_args)
    blurred, sharp = torch.rand(2, probe.batch, 3, probe.crop, probe.crop, device=device)
    blurred = blurred.contiguous(memory_format=form)

    def step() -> None:
        network.zero_grad()
        sum(loss(network(blurred), sharp, 0.0).values()).backward()  # type: ignore[union-attr]  # a loss has terms

    measured = statistics.median(complexity.time_calls({"step": step}, repeats)["step"]) / 1e3
    work = [size.batch * complexity.macs(network, size.crop, size.crop) for size in (recipe, probe)]
    return measured * work[0] / work[1]


def summary(table: pd.DataFrame) -> str:
    """One line: how many trainings, how many are done, and the hours of the rest."""
    rest = table[~table["done"]]
    return (
        f"{len(table)} trainings, {int(table['done'].sum())} done; about {rest['hours'].sum():.3g} hours to go, one "
        f"after the other on {table['device'].iloc[0]}, from one timed step each (loading and scoring excluded)"
    )
