"""One run made, or continued: weights, scores, record."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm.auto import tqdm

from deblur import evaluation, memory, training, writing
from deblur.evaluation.complexity import device_name
from deblur.evaluation.watch import watching
from deblur.locks import locked
from deblur.runs import store
from deblur.runs.plan import Plan
from deblur.runs.provenance import provenance
from deblur.runs.run import (
    PART_PAIRS,
    PARTS,
    Run,
    ends_with_parts,
    files,
    is_complete,
    looking,
    scoring,
    scoring_device,
)
from deblur.runs.scores import blurred_scores
from deblur.sealed import DamageError
from deblur.weights import cards, released

Progress = Callable[[range], Iterable[int]]
"""Wraps the steps of a training, for a bar."""


THEN = ", then "
"""Between the devices of a training, in the order in which it first came to them."""

UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("commit", "dirty", "versions", "device", "threads", "continued", "training_seconds")
)
"""The record of a training whose own is lost."""


def train_one(plan: Plan, devices: str = "auto", nodes: int = 1, say: Callable[[str], None] = lambda _: None) -> None:
    """Train one plan on one or several devices, as `deblur train` does, and score it on the first.

    Args:
        say: is told, by the first process, what is trained, what was kept from an earlier call, and what came out.

    Raises:
        Busy: with several processes, if another call makes this run; one process waits for it.
    """
    rank = int(next((os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), 0))
    memory.keep_freed()
    fabric = Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=plan.recipe.precision)  # type: ignore[arg-type]  # Fabric checks the word
    alone = fabric.world_size == 1
    with locked(plan.folder / "lock", wait=alone) if rank == 0 else nullcontext():
        if is_complete(plan):
            if rank == 0:
                say(f"kept: {plan.title} is complete in {plan.folder}; {_gain(plan)}")
            return
        if rank == 0:
            several = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
            say(f"training {plan.title} on {device_used(fabric.device)}{several}; the run lies in {plan.folder}")
        fabric.launch()
        make(plan, partial(_bar, plan.title, say), fabric)
        if rank == 0:
            released_as = Run(plan).provenance.get("released")
            whose = f" (weights and log are those of the released {released_as}, which are of this training)"
            say(f"wrote {', '.join(files(plan))}{whose if released_as else ''} in {plan.folder}; {_gain(plan)}")


def device_used(device: torch.device) -> str:
    """The name of a device, with the one thread that trains on a CPU."""
    with one_thread(device):
        return device_name(device)


def _gain(plan: Plan) -> str:
    """What a run gains on its test split, in words."""
    gained = evaluation.add_gain(Run(plan).scores(), blurred_scores(plan.data, plan.recipe.test_pairs))["gain_db"]
    return f"it gains {gained.mean():+.2f} dB over the blurred input, mean of {len(gained)} test pairs"


def make(plan: Plan, progress: Progress, fabric: Fabric | None = None) -> None:
    """Make what a run lacks: its weights, if need be by training, and its scores; the caller holds the lock."""
    first = fabric is None or fabric.is_global_zero
    for name in (*files(plan), "state.pt") if first else ():
        writing.check_file(plan.folder / name, overwrite=True)
    missing = first and _needs_training(plan)
    if missing and _take_released(plan):
        deque(progress(range(plan.recipe.steps)), maxlen=0)  # nothing is left of them
        missing = False
    if fabric.broadcast(missing) if fabric else missing:
        train_plan(plan, plan.network(), fabric, progress if first else iter)
    if first:
        _complete(plan)


def _needs_training(plan: Plan) -> bool:
    """Whether weights or log are missing.

    Raises:
        DamageError: for a damaged file that only a training from its first step could make again, and that might be all
            that is left of one.
    """
    states = {name: plan.files.state(name) for name in ("model.safetensors", "log.csv", "state.pt")}
    if states["model.safetensors"] == states["log.csv"] == "whole":
        return False
    if states["state.pt"] == "lost":
        for name in ("model.safetensors", "log.csv"):
            if states[name] == "damaged":
                raise DamageError(f"{plan.folder / name}: not as it was written; remove it to train this run again")
        if states["model.safetensors"] == "whole":
            raise DamageError(f"{plan.folder / 'log.csv'}: missing; remove model.safetensors too to train this again")
    return True


def _complete(plan: Plan) -> None:
    """Everything but weights and log: what was run, where it was, the scores of the test split, and of a main run what
    the parts of the network do."""
    folder = plan.files
    if not folder.is_whole("recipe.json"):
        folder.write_json("recipe.json", plan.content)
    record = Run(plan).provenance if folder.is_whole("provenance.json") else UNKNOWN
    device, pairs = scoring_device(), plan.data.pairs("test", plan.recipe.test_pairs)
    if not folder.is_whole("per_image.csv") or record.get("scoring") != scoring():
        with one_thread(device):
            scores = evaluation.evaluate(evaluation.restorer(Run(plan).network(), device), pairs)
        folder.write_text("per_image.csv", scores.to_csv(index=False))
    record = record | {"scoring": scoring()}
    if ends_with_parts(plan):
        if not folder.is_whole(PARTS) or record.get("parts") != looking(plan):
            few = evaluation.spread(plan.data.pairs("test"), min(PART_PAIRS, len(pairs)))
            with one_thread(device):
                table = evaluation.parts_table(Run(plan).network(), few, device=device)
            folder.write_text(PARTS, table.to_csv(index=False))
        record = record | {"parts": looking(plan)}
    folder.write_json("provenance.json", record)


def _take_released(plan: Plan) -> bool:
    """Put the weights that this very training gave into the store, if they are released: their card names its key."""
    for name, card in released.cards().items():
        if card.recipe and card.recipe.get("key") == plan.key:
            folder = plan.files
            folder.write_json("recipe.json", plan.content)
            before = {"steps_before": card.recipe.get("steps_before")}
            record = {**(card.training or {}), **before, "released": name, "precision": card.precision}
            folder.write_json("provenance.json", record)
            folder.write_text("log.csv", released.find(name).with_suffix(".csv").read_text(encoding="utf-8"))
            folder.write_weights(released.load(name))
            return True
    return False


@contextmanager
def one_thread(device: torch.device | str) -> Iterator[None]:
    """One thread computes in the block, on a CPU: sums of several threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if torch.device(device).type == "cpu" else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _bar(title: str, say: Callable[[str], None], steps: range) -> Iterable[int]:
    if steps.start:
        say(f"kept: {steps.start:,} of {steps.stop:,} steps, from an earlier call")
    return tqdm(steps, initial=steps.start, total=steps.stop, desc=title, unit="step", mininterval=5)


def train_plan(plan: Plan, network: nn.Module, fabric: Fabric | None = None, progress: Progress = iter) -> None:
    """Train a plan's network into its folder; continues where an interrupted call stopped."""
    recipe, folder = plan.recipe, plan.files
    fabric = fabric or Fabric(accelerator="auto", devices=1, precision=recipe.precision)  # type: ignore[arg-type]  # Fabric checks the word
    with one_thread(fabric.device):
        device = device_name(fabric.device)
        record = provenance() | {"processes": fabric.world_size, "continued": folder.is_whole("state.pt")}
        if fabric.is_global_zero:
            folder.write_json("recipe.json", plan.content)
        parts = plan.assembled(fabric.device)
        watched = plan.data.validation(recipe.test_pairs)

        def validate(network: nn.Module) -> dict[str, float]:
            on = next(network.parameters()).device
            restore = evaluation.windowed(network, plan.window, on) if plan.window else evaluation.restorer(network, on)
            return {"psnr_db": float(evaluation.evaluate(restore, watched)["psnr_db"].mean())}

        keeper = store.Snapshots(folder, steps=plan.snapshots) if plan.snapshots else store.Checkpoints(folder)
        validating = validate if watched else None
        watch = watching if fabric.is_global_zero and not recipe.compile else None
        try:
            training.train(
                network, *parts[:2], recipe, parts.batches, keeper, validating, fabric, progress, device, watch
            )
        except KeyboardInterrupt:
            kept = f"{keeper.step} of {recipe.steps} steps are kept in {plan.folder}; the same command goes on"
            raise KeyboardInterrupt(kept) from None
    # A finished training that only wrote its files again keeps the record of the call that did the steps.
    if fabric.is_global_zero and (keeper.first < recipe.steps or not folder.is_whole("provenance.json")):
        folder.write_json("provenance.json", record | _effort(plan, keeper.seconds))


def _effort(plan: Plan, seconds: dict[str, float]) -> dict[str, Any]:
    """What a training took, `seconds` by device, with what the weights took that it started from, if they say so."""
    steps, devices, total = None, list(seconds), sum(seconds.values())
    if plan.pretrained.endswith(".safetensors") and cards.beside(Path(plan.pretrained)).is_file():
        before = cards.read(Path(plan.pretrained))
        steps, spent = before.steps, before.training or {"device": "unknown", "training_seconds": 0.0}
        devices, total = [*spent["device"].split(THEN), *devices], spent["training_seconds"] + total
    joined = THEN.join(dict.fromkeys(devices))
    return {"device": joined, "training_seconds": round(total, 1), "steps_before": steps}
