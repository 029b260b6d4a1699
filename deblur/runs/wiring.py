"""What a training is made of: its first weights, loss, schedule and batches.

Keys cover the functions here: what they need by name is given to them, lest every key covers all there is."""

import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from deblur import accepted, losses, models, recipes, training
from deblur.data import bench, ladder, loading, packing, video
from deblur.losses import LOSSES
from deblur.schedules import SCHEDULES
from deblur.source import code_hash

if TYPE_CHECKING:
    from deblur.runs.plan import Plan

_SEEDING = threading.Lock()


# Keys cover the functions of this part: what they need by name is given to them, lest every key covers all there is.
class Parts(NamedTuple):
    """What a training is made of, besides its network and recipe."""

    loss: training.Loss
    schedule: training.Schedule
    batches: loading.Batches


def assembled(
    plan: "Plan",
    loss: Callable,
    schedule: Callable,
    source: Callable[["Plan", torch.device], tuple],
    device: torch.device,
) -> Parts:
    """A plan's loss, schedule and batches, with the arguments of its recipe."""
    recipe = plan.recipe
    averaged, batches = source(plan, device)
    sampling = (recipe.crop, recipe.batch, plan.seed, recipe.edge, recipe.augment)
    return Parts(
        averaged(partial(loss, **recipe.loss_args)), partial(schedule, **recipe.schedule_args), batches(*sampling)
    )


def stored_pairs(plan: "Plan", device: torch.device) -> tuple:
    """Crops of the tree's training split, or of its packed copy."""
    pairs = plan.data.pairs("train")
    return losses.plain, partial(loading.Batches, packing.open_packed(plan.data.packed(), pairs) or loading.Tree(pairs))


def stored_windows(plan: "Plan", device: torch.device) -> tuple:
    """Crops of the frames of the tree's training videos, with their neighbours."""
    return losses.plain, partial(video.Batches, video.Windows(plan.data.pairs("train"), plan.frames))


def fresh_exposures(plan: "Plan", device: torch.device) -> tuple:
    """Crops of the bundled scenes, exposed anew."""
    return losses.plain, partial(loading.Kept, loading.Synthesis())


def fresh_photographs(plan: "Plan", device: torch.device) -> tuple:
    """Crops of photographs, exposed anew on the device that trains; their curriculum is spread over the steps."""
    sharp = _decoded(plan.photographs.folder, plan.photographs.fingerprint)
    steps = plan.recipe.steps if plan.recipe.curriculum else 0
    return losses.geometric, partial(bench.Batches, sharp, device=device, steps=steps, growth=plan.recipe.growth)


def fresh_rungs(plan: "Plan", device: torch.device) -> tuple:
    """Crops of photographs, exposed anew with the motion of one rung of the ladder."""
    sharp = _climbed(plan.photographs.folder, plan.photographs.fingerprint, plan.recipe.data)
    return losses.geometric, partial(bench.Batches, sharp, device=device)


SOURCES = {
    "tree": stored_pairs,
    "video": stored_windows,
    "synthesis": fresh_exposures,
    "photographs": fresh_photographs,
    **dict.fromkeys(recipes.RUNGS, fresh_rungs),
}
"""What a recipe calls its data -> how a batch's loss is averaged, and what makes its batches."""


@lru_cache(maxsize=1)
def _decoded(folder: Path | None, fingerprint: str) -> bench.Photographs:
    """What one process has decoded serves all of its trainings, as long as the content is the same."""
    return bench.Photographs(folder)


@lru_cache(maxsize=1)
def _climbed(folder: Path | None, fingerprint: str, rung: str) -> ladder.Photographs:
    """As `_decoded`."""
    return ladder.Photographs(folder, rung)


def drawn(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network whose weights are drawn from a seed, and from nothing else."""
    # The generator is the process's: two threads that seeded it at once would draw from each other's.
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def code(*wiring: str) -> str:
    """What keys say of the code that a training reaches: its hash, or that of the code that it stands for."""
    return accepted.original(" ".join(wiring), present_code(*wiring))


def present_code(network: str, loss: str, schedule: str, data: str) -> str:
    """Hash of the code that a training reaches, see `Plan.wiring`."""
    entry = models.NETWORKS[network]
    wiring = (drawn, assembled, SOURCES[data], LOSSES[loss], SCHEDULES[schedule], training.train)
    return code_hash(entry.network, entry.config, *wiring)


def pretrained_code(network: str, file: Path) -> str:
    """Hash of the code that translates the weights that a network starts from; our own need none."""
    if file.suffix == ".safetensors":
        return ""
    loader = getattr(models.NETWORKS[network].file, "load_pretrained", None)
    return code_hash(loader) if loader else ""
