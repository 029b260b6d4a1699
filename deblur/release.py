"""Releasing trained weights: rounded to half precision, scored as rounded, with a card that says what they are.

A release is three files under `weights/`: `NAME.safetensors`, `NAME.json`, its card, and `NAME.csv`, the log of its
training.
"""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from deblur import evaluation, models, paths, runs, writing
from deblur.data import bench
from deblur.data.official import DataError
from deblur.errors import UsageError
from deblur.evaluation import complexity
from deblur.photos import dependence
from deblur.runs import train
from deblur.runs.run import scoring_device
from deblur.weights import cards, importing, released
from deblur.weights.cards import Card

LARGEST_MB = 4.0
"""Size of a released file: they travel with the code."""
LARGEST_PARTIAL_MB = 3.0
"""Size of the weights of an unfinished training, which may be lost with the machine."""

LIMITS = (
    "Made for motion blur with paths of about 8 to 20 px; defocus, noise and compression are not removed.",
    "Trained for minutes on simulated exposures of some ninety photographs: expect less on real blur.",
    "Faces and text are restored no better than other detail, and what blur has erased is guessed.",
)


def rounded(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights in half precision; integers stay.

    Raises:
        ValueError: naming tensors whose values half precision cannot hold.
    """
    halves = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    broken = [name for name, half in halves.items() if half.is_floating_point() and not half.isfinite().all()]
    if broken:
        raise ValueError(f"too large for half precision: {', '.join(broken[:5])}; release these weights in full")
    return halves


def release(run: runs.Run, name: str, overwrite: bool = False) -> Path:
    """Round the weights of a finished run, score the rounded ones on its test split, and write the three files.

    Args:
        name: of the files, e.g. `attentive-bench`.
        overwrite: whether an earlier release of that name may be replaced; never other files.

    Returns:
        The weights file.

    Raises:
        UsageError: a name with a folder, or no folder to write into, see `paths.release_dir`.
        OSError: if one of the three files is there already, or cannot be written.
        ValueError: if the file would be larger than `LARGEST_MB`, values do not fit into half precision, or the
            network does not gain.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"{name!r}: give a name of letters, digits, dots and dashes alone, without a folder")
    path = paths.release_dir() / f"{name}.safetensors"
    importing.check_out(path, "recipe", overwrite)
    with (
        writing.delivering(cards.beside(path), overwrite) as card_draft,
        writing.delivering(path.with_suffix(".csv"), overwrite) as log_draft,
        writing.delivering(path, overwrite) as draft,
    ):
        card = replace(_write_weights(run, name, draft), limits=list(LIMITS))
        log_draft.write_text(run.log().to_csv(index=False), encoding="utf-8")
        card_draft.write_text(card.text, encoding="utf-8")
    return path


def measure(name: str, photos: str = "") -> Path:
    """Measure how much the result of a network at hand depends on the tile, and write it on its card.

    Args:
        photos: folder of photographs (default: `paths.photos_dir()`), the largest of which are exposed.

    Returns:
        The card.

    Raises:
        UsageError: an unknown name, or a card of an installed package, which is not written into.
        DataError: if no photograph is large enough.
    """
    file, photographs = released.find(name), runs.photographs(photos)
    if file.parent == paths.weights_dir():
        paths.release_dir()
    if not dependence.large_files(photographs):
        raise DataError(f"no photograph shows {max(dependence.TILES)} px and more; call 'deblur data photographs'")
    card = replace(cards.read(file), tile=_tile(released.load(file), photographs))
    writing.write_text(cards.beside(file), card.text)
    return cards.beside(file)


def _tile(network: torch.nn.Module, photographs: bench.Photographs) -> dict | None:
    """What a card says of tiles; None where no photograph is large enough."""
    files = dependence.large_files(photographs)
    restore = evaluation.restorer(network, scoring_device())
    return dependence.measured(restore, dependence.large_pairs(files)) if files else None


def keep_partial(plan: runs.Plan, overwrite: bool = False) -> Path:
    """Keep what an unfinished training has learnt as `partial/NETWORK.safetensors` beside the released weights.

    `--pretrained` takes the file, with the budget "more". Its card says how many steps were done, for how long and on
    what; nothing is scored, and `restore` does not know it.

    Returns:
        The weights file.

    Raises:
        ValueError: without a training that has kept a step, or if the file would exceed `LARGEST_PARTIAL_MB`.
        OSError: if the file is there already, or cannot be written.
    """
    if plan.files.state("state.pt") != "whole":
        raise ValueError(f"{plan.folder} holds no training that has kept a step: run 'deblur train' first")
    state = torch.load(plan.folder / "state.pt", map_location="cpu", weights_only=True)
    averaged = state.get("average", state["network"])
    tensors = {name.removeprefix("module."): t.contiguous() for name, t in averaged.items()}
    tensors.pop("n_averaged", None)
    path = paths.release_dir() / "partial" / f"{plan.name}.safetensors"
    importing.check_out(path, "recipe", overwrite)
    seconds = state["seconds"]
    with writing.delivering(cards.beside(path), overwrite) as card_draft, writing.delivering(path, overwrite) as draft:
        save_file(rounded(tensors), draft)
        size_mb = draft.stat().st_size / 1e6
        if size_mb > LARGEST_PARTIAL_MB:
            raise ValueError(f"{plan.name} has {size_mb:.1f} MB, more than {LARGEST_PARTIAL_MB:.0f}: keep it elsewhere")
        card = Card(
            name=plan.name,
            network=plan.name,
            variant=plan.variant,
            scale=plan.scale,
            config=asdict(models.config(plan.name, plan.variant, **plan.recipe.config)),
            precision="float16",
            recipe=runs.training_part(plan.recipe)
            | {"steps": state["step"], "steps_planned": plan.recipe.steps, "seed": plan.seed, "key": plan.key},
            training={"training_seconds": round(sum(seconds.values()), 1), "device": train.THEN.join(seconds)},
            file_mb=round(size_mb, 3),
            sha256=paths.file_sha256(draft),
        )
        card_draft.write_text(card.text, encoding="utf-8")
    return path


def _write_weights(run: runs.Run, name: str, draft: Path) -> Card:
    """Write rounded weights if they are small and good enough; returns their card."""
    plan = run.plan
    halves = rounded(load_file(plan.folder / "model.safetensors"))
    network = plan.network()
    network.load_state_dict({key: t.float() if t.is_floating_point() else t for key, t in halves.items()})
    pairs = plan.data.pairs("test", plan.recipe.test_pairs)
    scores = evaluation.evaluate(evaluation.restorer(network, scoring_device()), pairs, name)
    summary = _scores(scores, runs.blurred_scores(plan.data, plan.recipe.test_pairs))
    save_file(halves, draft)
    size_mb = draft.stat().st_size / 1e6
    if size_mb > LARGEST_MB:
        raise ValueError(f"{name} has {size_mb:.1f} MB, more than {LARGEST_MB:.0f}: train smaller widths")
    if summary["gain_db"] <= 0:
        raise ValueError(f"{name} gains {summary['gain_db']:+.3f} dB on the test split: train it for longer")
    return _card(run, name, network, summary, size_mb, paths.file_sha256(draft))


def _card(
    run: runs.Run, name: str, network: torch.nn.Module, scores: dict[str, float], size_mb: float, sha256: str
) -> Card:
    plan, made = run.plan, run.provenance
    fresh = {"bundled": list(bench.SCENES["train"]), "photographs": plan.photographs.manifest}
    data = {"trained_on": fresh if plan.recipe.data == "photographs" else plan.data.label}
    data |= {"tested_on": plan.data.label, "fingerprint": plan.data.fingerprint}
    return Card(
        name=name,
        network=plan.name,
        variant=plan.variant,
        scale=plan.scale,
        config=asdict(models.config(plan.name, plan.variant, **plan.recipe.config)),
        parameters=complexity.parameters(network),
        precision="float16",
        recipe=runs.training_part(plan.recipe)
        | {"seed": plan.seed, "key": plan.key}
        | ({"pretrained": plan.started_from, "steps_before": made["steps_before"]} if plan.started_from else {}),
        training={key: made[key] for key in ("training_seconds", "device", "commit", "dirty", "versions")},
        data=data,
        scores=scores,
        tile=_tile(network, plan.photographs),
        parts=_parts(run.parts()),
        file_mb=round(size_mb, 3),
        sha256=sha256,
    )


def _parts(table: pd.DataFrame) -> dict[str, dict] | None:
    """What a card says of a network's parts, over all kinds of blur; None if nobody looked."""
    rows = table[table["kind"] == "all"].to_dict("records")
    return {row["part"]: {"change_db": round(row["change_db"], 4), "verdict": row["verdict"]} for row in rows} or None


def _scores(scores: pd.DataFrame, blurred: pd.DataFrame) -> dict[str, float]:
    """Means over the test pairs, and the spread of the gain over them."""
    gained = evaluation.add_gain(scores, blurred)["gain_db"]
    summary = evaluation.summarise(scores, blurred)
    summary |= {"gain_db_lowest_pair": float(gained.min()), "gain_db_highest_pair": float(gained.max())}
    return {key: round(float(value), 4) for key, value in summary.items() if np.isfinite(value)}
