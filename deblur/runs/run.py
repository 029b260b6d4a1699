"""A finished run, and whether it is whole."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from deblur import accepted, evaluation, models, paths, recipes
from deblur.losses import LOSSES
from deblur.runs import store
from deblur.runs.plan import Plan
from deblur.runs.wiring import code
from deblur.schedules import SCHEDULES
from deblur.source import Place, code_hash
from deblur.weights import released, tensors


@dataclass(frozen=True)
class Run:
    """A finished training."""

    plan: Plan

    @property
    def provenance(self) -> dict:
        """Commit, versions, device, threads, seconds: see `provenance`."""
        return json.loads((self.plan.folder / "provenance.json").read_text(encoding="utf-8"))

    def scores(self) -> pd.DataFrame:
        """The test split, one row per image."""
        return pd.read_csv(self.plan.folder / "per_image.csv")

    def parts(self) -> pd.DataFrame:
        """What taking out each part of the network changes, see `evaluation.parts_table`; empty if not looked at."""
        return parts_in(self.plan.folder)

    def log(self) -> pd.DataFrame:
        """Steps, losses and validation scores of the training; steps before it count, where they are known."""
        log = pd.read_csv(self.plan.folder / "log.csv")
        return log.assign(step=log["step"] + self.plan.steps - self.plan.recipe.steps)

    def network(self, snapshot: str | int = "") -> nn.Module:
        """The trained network, in evaluation mode; as it was at a step that was kept, or at its `best`."""
        network = self.plan.network()
        name = store.snapshot(snapshot) if snapshot else "model.safetensors"
        tensors.load_weights(network, self.plan.folder / name)
        return network.eval()


def load(folder: Path) -> nn.Module:
    """The trained network in a run's folder, whatever code made it, in evaluation mode.

    Raises:
        ValueError: weights that are not those of its graph.
    """
    content = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    network = models.build(content["paper"], **released.tuples(content["config"]))
    tensors.load_weights(network, folder / "model.safetensors")
    return network.eval()


def bundled_scale(folder: Path) -> str:
    """The scale, `mini` or `bench`, whose bundled benchmark has blur of the length that a run was trained for."""
    content = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    return "bench" if content["recipe"].get("data") in ("photographs", *recipes.RUNGS) else "mini"


def parts_in(folder: Path) -> pd.DataFrame:
    """The table of parts in a run's folder, empty if there is none."""
    file = folder / PARTS
    return pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=list(evaluation.parts.COLUMNS))


def stored() -> dict[Path, dict]:
    """The finished trainings in the store that the present code would make again: folder -> its `recipe.json`."""
    present, contents = cache(code), {}
    for folder in sorted({file.parent for file in paths.runs_dir().glob("*/*/recipe.json")}):
        if store.Folder(folder, folder.name).is_whole("recipe.json", "model.safetensors"):
            content = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
            recipe = content["recipe"]
            names = (
                recipe["loss"],
                recipe.get("schedule", recipes.Recipe.schedule),
                recipe.get("data", recipes.Recipe.data),
            )
            valid = content["paper"] in models.NETWORKS and names[0] in LOSSES and names[1] in SCHEDULES
            if valid and content["code"] == present(content["paper"], *names):
                contents[folder] = content
    return contents


FILES = ("recipe.json", "provenance.json", "log.csv", "model.safetensors", "per_image.csv")
"""What a finished run consists of."""

PARTS = "parts.csv"
"""What a main run ends with besides."""

PART_PAIRS = 12
"""So many test pairs are looked at for it: its time is that of a small part of the training at every scale."""


def files(plan: Plan) -> tuple[str, ...]:
    """What a plan's finished run consists of."""
    names = [*map(str, plan.snapshots), "best"] if plan.snapshots else []
    kept = tuple(store.snapshot(name) for name in names)
    return (*FILES, *kept, *((PARTS,) if ends_with_parts(plan) else ()))


def ends_with_parts(plan: Plan) -> bool:
    """Whether the parts of a plan's network are looked at: those of main runs, where the data know the truth."""
    has_parts = plan.budget in ("main", "more") and models.NETWORKS[plan.name].file.PARTS
    return bool(has_parts) and any(pair.truth for pair in plan.data.pairs("test", 1))


def is_complete(plan: Plan) -> bool:
    """Whether a run is finished, whole, and scored and looked into by the present code."""
    if not plan.files.is_whole(*files(plan)):
        return False
    record = Run(plan).provenance
    return record.get("scoring") == scoring() and (not ends_with_parts(plan) or record.get("parts") == looking(plan))


def looking(plan: Plan) -> str:
    """Hash of the code that looks at the parts of a plan's network, and of these; other networks' do not count."""
    own = Place(models.NETWORKS[plan.name].file.__name__, "PARTS")
    return code_hash(evaluation.parts.changes, evaluation.parts.summary, own)


def scoring() -> str:
    """What runs say of the code that scored them, as `code`: when it changes they are scored again, not trained."""
    return accepted.original("scoring", present_scoring())


@cache
def present_scoring() -> str:
    """Hash of the code that scores."""
    return code_hash(evaluation.evaluate, evaluation.score, evaluation.restorer)


def scoring_device() -> str:
    """Where networks run when they are scored: on CUDA if there is a device."""
    return "cuda" if torch.cuda.is_available() else "cpu"
