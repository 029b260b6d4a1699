"""What is committed under results/ and weights/, and whether the present code would make it again."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from deblur import notebooks, paths, runs
from deblur.data import copies
from deblur.runs import wiring
from deblur.runs.plan import key_of
from deblur.weights.cards import Card, read

SEEDS = "bench/seeds.csv"
"""What `deblur.reports.seeds` writes, below results/."""


class Training(NamedTuple):
    """A training that a result names.

    Attributes:
        key: as the result names it.
        fingerprint: of the benchmark that was scored.
        scoring: of the code that scored, "" where the result does not say.
    """

    plan: runs.Plan
    key: str
    fingerprint: str
    scoring: str = ""


def results() -> dict[str, list[Training]]:
    """What is committed, by name: `SCALE/PAPER` for a notebook's folder, `weights/NAME` for a card, and `SEEDS`.

    Results at smoke, of other seeds and of other data are no promise, and none of them.
    """
    trainings = {}
    for path in sorted(paths.results_dir().glob("*/*/run.json")):
        scale, paper = path.parts[-3:-1]
        if scale != "smoke" and paper in notebooks.NOTEBOOKS:
            record = _read(path)
            trainings[f"{scale}/{paper}"] = [_row(record, entry) for entry in record["runs"]]
    cards = {path.stem: read(path) for path in sorted(paths.weights_dir().glob("*.safetensors"))}
    trainings |= {f"weights/{name}": [_released(card)] for name, card in cards.items()}
    if (paths.results_dir() / SEEDS).is_file():
        table = pd.read_csv(paths.results_dir() / SEEDS)
        trainings[SEEDS] = [_released(cards[row["network"]], row["seed"], row["key"]) for _, row in table.iterrows()]
    return trainings


def stale(code: Callable[..., str] = wiring.code, scoring: Callable[[], str] = runs.scoring) -> list[str]:
    """Names of the results that the present code would not make again.

    Args:
        code: takes a wiring and returns what keys say of its code; `scoring` says it of the code that scores.
    """
    entries = results().items()
    return sorted(
        name for name, all_of_it in entries if not all(is_current(training, code, scoring) for training in all_of_it)
    )


def is_current(training: Training, code: Callable[..., str], scoring: Callable[[], str]) -> bool:
    """Whether the present recipes, data and seeds give the key and the scores of a training, with that code."""
    plan = training.plan
    try:
        key = key_of(plan.content | {"code": code(*plan.wiring)})
    except (ValueError, KeyError):  # a name that means nothing any more
        return False
    scored_on = _data("gopro", plan.scale).fingerprint
    return (key, scored_on) == (training.key, training.fingerprint) and training.scoring in ("", scoring())


def _row(record: dict, entry: dict) -> Training:
    """A row of a notebook's results."""
    data, scale = _data(entry["trained_on"], record["scale"]), record["scale"]
    names = entry["paper"], entry["variant"], scale, entry["budget"], entry["seed"]
    listed = {"photographs_listed": entry.get("photographs", ""), "weights_listed": entry.get("pretrained", "")}
    plan = runs.Listed(data, *names, options=entry.get("options", {}), **listed)
    return Training(plan, entry["key"], record["data"]["fingerprint"], entry["trained"]["scoring"])


def _released(card: Card, seed: int | None = None, key: str = "") -> Training:
    """The training of a card, or the same with another seed."""
    plan = runs.of_card(card, _data("gopro", card.scale or ""), seed)
    return Training(plan, key or (card.recipe or {})["key"], (card.data or {})["fingerprint"])


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def _data(names: str, scale: str) -> copies.Data:
    """What was trained on: a copy, or several with " + " between them."""
    return copies.united(*(copies.open_data(name=name, scale=scale) for name in names.split(" + ")))
