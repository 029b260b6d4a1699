"""What a training is, and the key that names it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deblur import models, paths, recipes
from deblur.data import bench
from deblur.data.copies import Data
from deblur.losses import LOSSES
from deblur.runs import store
from deblur.runs.wiring import SOURCES, Parts, assembled, code, drawn, pretrained_code
from deblur.schedules import SCHEDULES
from deblur.weights import cards, released, tensors


@dataclass(frozen=True)
class Plan:
    """One training: which network, how, on what.

    Attributes:
        budget: one of `recipes.BUDGETS`, see `recipes.recipe`.
        pretrained: a file of weights to start from: `.safetensors` of this very network, or, where its module has
            `load_pretrained`, what that takes.
        photos: a folder of sharp photographs to train on besides the bundled scenes, at scale `bench`; empty for
            `paths.photos_dir()`, which need not be there.
        options: recipe fields that fit a run to its machine: `precision`, `accumulate`, `compile`, `channels_last`,
            `workers`. All but the last change the last bits of the weights, and so the key.
    """

    data: Data
    name: str
    variant: str = "paper"
    scale: str = "mini"
    budget: str = "main"
    seed: int = 0
    pretrained: str = ""
    photos: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> recipes.Recipe:
        """The recipe; crops come from the tree unless the bundled scenes are asked for and the data are theirs.

        Those of a network of several frames come with their neighbours where the tree holds videos.
        """
        recipe = recipes.recipe(self.name, self.variant, self.scale, self.budget)
        recipe = replace(recipe, **self.options)
        if self.data.bundled and self.data.name == "gopro":
            return recipe
        return replace(recipe, data="video" if self.frames > 1 and self.data.is_video else "tree")

    @property
    def steps(self) -> int:
        """Of the training, with those behind the weights that it starts from where they are known."""
        return self.recipe.steps

    @property
    def frames(self) -> int:
        """How many frames the network takes."""
        return models.frames(self.name)

    @cached_property
    def content(self) -> dict:
        """Everything the result depends on, as plain JSON values."""
        config = models.config(self.name, self.variant, **self.recipe.config)
        content = {  # hashed with its names, which therefore stay
            "paper": self.name,
            "config": asdict(config),
            "recipe": training_part(self.recipe),
            "seed": self.seed,
            "data": {
                "name": self.data.name,
                "variant": self.data.subset,
                "fingerprint": self.data.fingerprint,
            },
            "code": code(*self.wiring),
        }
        if self.started_from:
            content["pretrained"] = self.started_from
        if self.recipe.data in ("photographs", *recipes.RUNGS):
            content["photographs"] = self.photographs.fingerprint
        return json.loads(json.dumps(content))

    @cached_property
    def started_from(self) -> str:
        """What stands for the weights that the training starts from: their hash, and that of what translates them."""
        if not self.pretrained:
            return ""
        file = Path(self.pretrained)
        return f"{paths.file_sha256(file)[:16]} {pretrained_code(self.name, file)}".strip()

    @cached_property
    def photographs(self) -> bench.Photographs:
        """Where the training crops of scale `bench` come from."""
        return photographs(self.photos)

    @property
    def wiring(self) -> tuple[str, str, str, str]:
        """Names of what decides which code the training reaches: network, loss, schedule and source of data."""
        return self.name, self.recipe.loss, self.recipe.schedule, self.recipe.data

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name the run."""
        return key_of(self.content)

    @property
    def folder(self) -> Path:
        """Where the run lies; two variants whose trainings are the same share one folder."""
        return paths.runs_dir() / self.name / self.key

    @property
    def snapshots(self) -> tuple[int, ...]:
        """The steps whose weights are kept besides the last ones: a study looks at a quarter and at half of it."""
        return (self.recipe.steps // 4, self.recipe.steps // 2) if self.budget == "study" else ()

    @property
    def window(self) -> int:
        """Side in pixels of the windows that validation looks at: a rung's crops are far smaller than its frames, and
        what looks at a whole image would be scored on what it never saw; 0 for whole images."""
        return self.recipe.crop if self.recipe.data in recipes.RUNGS else 0

    @property
    def files(self) -> store.Folder:
        """The run's files."""
        return store.Folder(self.folder, self.key)

    @property
    def title(self) -> str:
        """For progress bars and messages."""
        return f"{self.name} {self.variant} ({self.scale}, {self.recipe.steps} steps, seed {self.seed})"

    def network(self) -> nn.Module:
        """The untrained network, its weights drawn from the seed."""
        network = drawn(partial(models.build, self.name, self.variant, **self.recipe.config), self.seed)
        if self.pretrained.endswith(".safetensors"):
            tensors.load_weights(network, Path(self.pretrained))
        elif self.pretrained:
            models.load_pretrained(self.name, network, Path(self.pretrained))
        return network

    def assembled(self, device: torch.device) -> "Parts":
        """What the training is made of, on the device that trains."""
        recipe = self.recipe
        return assembled(self, LOSSES[recipe.loss], SCHEDULES[recipe.schedule], SOURCES[recipe.data], device)


@dataclass(frozen=True)
class _Photographs(bench.Photographs):
    """Photographs that need not be here: what they were is written down."""

    listed: str = ""

    @property
    def fingerprint(self) -> str:
        return self.listed


@dataclass(frozen=True)
class Listed(Plan):
    """A training on photographs, and from weights, that need not be here: what they were is written down.

    Attributes:
        photographs_listed: their fingerprint.
        weights_listed: what stands for the weights that it started from, "" for none.
        steps_before: those behind these weights.
    """

    photographs_listed: str = ""
    weights_listed: str = ""
    steps_before: int = 0

    @property
    def steps(self) -> int:
        return self.recipe.steps + self.steps_before

    @cached_property
    def started_from(self) -> str:
        return self.weights_listed

    @cached_property
    def photographs(self) -> bench.Photographs:
        return _Photographs(listed=self.photographs_listed)


def of_card(card: cards.Card, data: Data, seed: int | None = None) -> Listed:
    """The training that a card says its weights are from, or the same with another seed."""
    recipe, trained_on = card.recipe or {}, (card.data or {})["trained_on"]
    return Listed(
        data,
        card.network,
        card.variant,
        card.scale or "",
        "more" if "pretrained" in recipe else "main",
        recipe["seed"] if seed is None else seed,
        options={name: recipe[name] for name in ("precision", "compile", "accumulate") if name in recipe},
        photographs_listed=bench.fingerprint(trained_on["photographs"]) if isinstance(trained_on, dict) else "",
        weights_listed=recipe.get("pretrained", ""),
        steps_before=recipe.get("steps_before") or 0,
    )


def main_plan(data: Data, name: str, scale: str, seed: int = 0, pretrained: str = "") -> Plan:
    """The main training of a paper's network: the one of its released weights, where the present code would make these
    on such data with that seed, so that nothing is left to train; else that of its recipe.

    Args:
        pretrained: as of `Plan`, for the recipe's.
    """
    for card in released.cards().values():
        if (card.network, card.variant, card.scale) == (name, "paper", scale) and card.recipe:
            plan = of_card(card, data)
            if (plan.seed, plan.key) == (seed, card.recipe["key"]):
                return plan
    return Plan(data, name, "paper", scale, "main", seed, pretrained)


def photographs(folder: str = "") -> bench.Photographs:
    """Those of a folder, or where none is named of `paths.photos_dir()`, which need not be there."""
    place = Path(folder).expanduser() if folder else paths.photos_dir()
    return bench.Photographs(place if folder or place.is_dir() else None)


def key_of(content: Mapping[str, Any]) -> str:
    """The key of a run by all that it depends on, see `Plan.content`."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def training_part(recipe: recipes.Recipe) -> dict:
    """The settings of a recipe that decide the weights and the scored pairs, where they differ from the defaults.

    The rest only watches or speeds up, and a default that a later recipe brings changes nothing for the others.
    """
    watching = {"row_steps", "log_every", "checkpoint_every", "validate_every", "workers", "config"}
    defaults = {entry.name: entry.default for entry in fields(recipe)}
    return {
        name: value
        for name, value in asdict(recipe).items()
        if name not in watching and value != defaults[name] and value != {}
    }
