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
from deblur.source import code_hash
from deblur.weights import tensors


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

    def log(self) -> pd.DataFrame:
        """Steps, losses and validation scores of the training."""
        return pd.read_csv(self.plan.folder / "log.csv")

    def network(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        network = self.plan.network()
        tensors.load_weights(network, self.plan.folder / "model.safetensors")
        return network.eval()


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


def is_complete(plan: Plan) -> bool:
    """Whether a run is finished, whole, and scored by the present code."""
    return plan.files.is_whole(*FILES) and Run(plan).provenance.get("scoring") == scoring()


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
