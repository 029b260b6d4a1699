"""Trained networks at hand, and what they make of a blurred photograph."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from deblur import evaluation, models, paths, recipes, runs
from deblur.data import bench, blur, mini
from deblur.evaluation import metrics
from deblur.explore.blurs import Choice, Truth, expose
from deblur.photos import restoration
from deblur.weights import cards, released
from deblur.weights.cards import Card


@dataclass(frozen=True)
class Trained:
    """A network that was trained, and its weights: released ones with their card, or those of a run."""

    label: str
    network: str
    scale: str
    steps: int
    weights: Path = field(repr=False)  # lists show what they offer, and no path belongs into a notebook


RANGES = {"smoke": mini.PATH_PX, "mini": mini.PATH_PX, "bench": bench.TRAIN_PATH_PX}
"""Scale -> shortest and longest path, in px, that its trainings see."""


def trained(toys: bool = False) -> list[Trained]:
    """Every trained network at hand: released ones first, by their gain, then runs, the longest first.

    Args:
        toys: also those of scale `smoke`, which have learnt nothing.
    """
    cards, folder = released.cards(), paths.weights_dir()
    in_order = dict.fromkeys([*released.by_gain(cards), *cards])
    from_cards = [of_card(folder / f"{name}.safetensors", cards[name]) for name in in_order]
    stored = [of_run(place, content) for place, content in runs.stored().items()]
    return from_cards + sorted((one for one in stored if toys or one.scale != "smoke"), key=lambda one: -one.steps)


def of_card(weights: Path, card: Card) -> Trained:
    """Released weights."""
    scale, steps = card.scale or "paper", card.steps or 0
    gain = "" if card.gain_db is None else f", gains {card.gain_db:+.2f} dB"
    origin = "released" if steps else "published by its authors"
    return Trained(f"{weights.stem} ({origin}{gain})", card.network, scale, steps, weights)


def of_run(folder: Path, content: Mapping) -> Trained:
    """A run of the store, by the `recipe.json` in its folder."""
    paper, steps = content["paper"], content["recipe"]["steps"]
    variant, scale = named(content)
    name = paper if variant == "paper" else f"{paper} {variant}"
    label = f"{name}, {scale}, {steps} steps, seed {content['seed']}, run {folder.name[:4]}"
    return Trained(label, paper, scale, steps, folder / "model.safetensors")


def named(content: Mapping) -> tuple[str, str]:
    """The variant and the scale whose configuration, loss, crop and batch a run has; `other` if none has."""
    paper, settings = content["paper"], ("loss", "loss_args", "crop", "batch")
    for scale in recipes.SCALES:
        for variant in models.NETWORKS[paper].file.VARIANTS:
            recipe = recipes.recipe(paper, variant, scale)
            config = asdict(models.config(paper, variant, **recipe.config))
            part = runs.training_part(recipe)
            same = all(part.get(name) == content["recipe"].get(name) for name in settings)
            if same and json.loads(json.dumps(config)) == content["config"]:
                return variant, scale
    return "other", "other recipe"


def announced(found: Sequence[Trained]) -> str:
    """Which networks there are, as Markdown, or how to get one."""
    if not found:
        return (
            "**No trained network is here**, and an untrained one is never shown as if it were. Train one, "
            "`deblur train attentive` (minutes on a CPU), or put released weights with their card into "
            f"`{paths.weights_dir().name}/`; then run this cell again."
        )
    names = ", ".join(sorted({one.network for one in found}))
    released = sum(one.weights.parent == paths.weights_dir() for one in found)
    return f"{len(found)} trained: {released} released, {len(found) - released} from the run store ({names})."


def first(found: Sequence[Trained], scale: str, count: int = 2) -> tuple[Trained, ...]:
    """What to look at first: released networks, then the longest run of each network at this scale."""
    chosen = {one.label: one for one in found if one.weights.parent == paths.weights_dir()}
    names: dict[str, Trained] = {}
    for one in found:
        if one.scale == scale and one.label not in chosen:
            names.setdefault(one.network, one)
    return tuple([*chosen.values(), *names.values()][:count])


@lru_cache(maxsize=8)
def load(one: Trained) -> nn.Module:
    """The network with its weights, in evaluation mode.

    Raises:
        ValueError: weights that are not those of their card or their graph.
    """
    if not (one.weights.parent / "recipe.json").is_file():
        return released.load(one.weights)
    return runs.load(one.weights.parent)


@lru_cache(maxsize=8)
def verdicts(one: Trained) -> dict[str, str]:
    """What is known of the network's parts, name -> verdict: from its card, or from the end of its training."""
    if (one.weights.parent / "recipe.json").is_file():
        return evaluation.verdicts(runs.parts_in(one.weights.parent))
    return cards.read(one.weights).verdicts


@lru_cache(maxsize=64)
def restored(one: Trained, choice: Choice) -> np.ndarray:
    """What a network makes of the blurred frame, (h,w,3) uint8."""
    return restoration.restore(expose(choice).blurred, load(one))


def warned(choice: Choice, chosen: Iterable[Trained]) -> str:
    """Which networks never saw paths of this length in their training, as Markdown; empty if none is known not to."""
    outside = {
        f"{one.label}: {low:.0f} to {high:.0f} px"
        for one in chosen
        for low, high in [RANGES.get(one.scale, (0.0, np.inf))]
        if choice.kind != "none" and not low <= choice.length_px <= high
    }
    said = f"**Paths of {choice.length_px:g} px are outside of what was trained**: expect little, or harm."
    return f"{said} {'; '.join(sorted(outside))}." if outside else ""


def restorations(choice: Choice, chosen: Iterable[Trained]) -> dict[str, np.ndarray]:
    """The blurred frame, each network's restoration by its label and, where it is known, the sharp frame."""
    seen = expose(choice)
    images = {"blurred": seen.blurred} | {network.label: restored(network, choice) for network in chosen}
    return images if seen.truth is None else images | {"sharp": seen.truth.sharp}


def scores(images: Mapping[str, np.ndarray], truth: Truth | None) -> pd.DataFrame:
    """PSNR of the pictures that `restorations` gave, and the gain over the blurred one, also by cause of the blur.

    Returns:
        One row a picture: `picture`, `psnr_db`, `gain_db` and `gain_db_KIND`; empty without a truth.
    """
    if truth is None:
        return pd.DataFrame(columns=["picture", "psnr_db", "gain_db"])
    masks = {f"gain_db_{kind}": truth.label == value for value, kind in enumerate(blur.KINDS)}
    masks = {"gain_db": None} | {name: mask for name, mask in masks.items() if mask.any()}
    rows = []
    for name in (name for name in images if name != "sharp"):
        before, after = (
            {key: metrics.psnr_db(image, truth.sharp, mask=mask) for key, mask in masks.items()}
            for image in (images["blurred"], images[name])
        )
        gains = {key: after[key] - before[key] for key in masks}
        rows.append({"picture": name, "psnr_db": after["gain_db"]} | gains)
    return pd.DataFrame(rows)


def to_try() -> str:
    """What is worth trying, as Markdown."""
    short, long = ("{:.0f} to {:.0f} px".format(*lengths) for lengths in (mini.PATH_PX, bench.TRAIN_PATH_PX))
    return (
        f"Things to try: a length beyond what a network was trained for ({short} with the bundled benchmark of `smoke` "
        f"and `mini`, {long} at `bench`); the same blur on a training and on a test scene; the rim of a moving object; "
        "the border of a picture whose paths were cut."
    )
