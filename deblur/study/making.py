"""The study's trainings: what is missing, made in an order that is fair at any moment, each kept in its record."""

import _thread
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from torch import nn

from deblur import evaluation, models, recipes, runs
from deblur.data import copies
from deblur.evaluation import complexity, parts
from deblur.models.parts import without
from deblur.runs.run import scoring_device
from deblur.runs.train import one_thread
from deblur.study import probing, records
from deblur.study.claims import PAPERS, TIERS, Arm, Contrast, Probe, contrasts, probes
from deblur.talk import say

PROTOCOLS = {
    "koehler": "koehler_best_frame",
    "dvd": "dvd_aligned_30",
    "hide": "full_rgb8",
    "realblur_j": "realblur_ecc",
}
"""Other data -> the protocol that scores them."""

WHOLE = "whole frames"
"""The exam of a rung again, not by windows."""


class Training(NamedTuple):
    """One training of the study, and what is asked of it."""

    tier: str
    arm: Arm
    seed: int

    @property
    def scale(self) -> str:
        """Of its recipe."""
        return TIERS[self.tier].scale

    @property
    def recipe(self) -> recipes.Recipe:
        """How it trains."""
        return recipes.recipe(self.arm.network, self.arm.variant, self.scale, "study")

    @property
    def plan(self) -> runs.Plan:
        """The training itself."""
        options = {"lr": float(self.arm.lr)} if self.arm.lr else {}
        data = _data(self.scale)
        return runs.Plan(data, self.arm.network, self.arm.variant, self.scale, "study", self.seed, options=options)

    @property
    def command(self) -> str:
        """What trains it alone."""
        words = f"deblur train {self.arm.network} --variant {self.arm.variant} --scale {self.scale} --budget study"
        return f"{words} --seed {self.seed}"


@cache
def _data(scale: str) -> copies.Data:
    return copies.open_data(scale=scale)


def exam(scale: str) -> copies.Data:
    """The photographs that a scale's trainings are scored on: at `mini` the study exam, else the rung's test split."""
    return copies.open_exam("mini") if scale == "mini" else _data(scale)


def asked(papers: Sequence[str] = PAPERS, tiers: Sequence[str] = tuple(TIERS)) -> list[Contrast]:
    """The contrasts of some papers and tiers, and what is looked at in their networks."""
    every = [contrast for paper in papers for contrast in (*contrasts(paper), *probes(paper))]
    return [contrast for contrast in every if contrast.tier in tiers]


def trainings(chosen: Sequence[Contrast], seeds: int | None = None) -> list[Training]:
    """What contrasts need, in order: the first seed of everything, then the rest of the first tier, then of the others.

    Args:
        seeds: at most so many of those that a tier plans.
    """
    rounds: list[tuple[bool, int, int, Training]] = []
    for number, (tier, entry) in enumerate(TIERS.items()):
        arms = dict.fromkeys(arm for contrast in chosen if contrast.tier == tier for arm in contrast.arms)
        for seed in range(min(entry.seeds, seeds or entry.seeds)):
            rounds += [(seed > 0, number, seed, Training(tier, arm, seed)) for arm in arms]
    return [training for *_, training in sorted(rounds, key=lambda one: one[:3])]


def missing(wanted: Sequence[Training]) -> list[Training]:
    """Those of which no record counts, in order."""
    kept = {scale: records.counted(scale) for scale in {training.scale for training in wanted}}
    return [training for training in wanted if (training.arm, training.seed) not in kept[training.scale]]


def make(
    papers: Sequence[str] = PAPERS,
    tiers: Sequence[str] = tuple(TIERS),
    seeds: int | None = None,
    hours: float | None = None,
    processes: int | None = None,
) -> None:
    """Train and score what is missing; interrupted, it goes on where it stopped.

    Args:
        hours: after which it stops by itself, as by Ctrl-C.
        processes: trainings side by side, by default one a core, or one on a GPU.
    """
    chosen = asked(papers, tiers)
    wanted = missing(trainings(chosen, seeds))
    with _ending_after(hours):
        for scale in dict.fromkeys(training.scale for training in wanted):
            keep_bounds(scale)
        for batch in _rounds(wanted):
            plans = [training.plan for training in batch]
            by_key = {plan.key: training for plan, training in zip(plans, batch, strict=True)}
            runs.load_or_run(plans, processes, partial(keep, by_key))
        look_again(trainings(chosen, seeds))


def _rounds(wanted: Sequence[Training]) -> Iterator[list[Training]]:
    """Trainings of one tier and seed at a time."""
    for place in dict.fromkeys((training.tier, training.seed) for training in wanted):
        yield [training for training in wanted if (training.tier, training.seed) == place]


@contextmanager
def _ending_after(hours: float | None) -> Iterator[None]:
    """Ctrl-C comes by itself after so many hours in the block, also in a shell's background, which is deaf to it."""
    timer = threading.Timer(3600 * hours, _thread.interrupt_main) if hours else None
    before = signal.getsignal(signal.SIGINT)
    if timer:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()
            signal.signal(signal.SIGINT, before)


def keep(by_key: dict[str, Training], run: runs.Run) -> None:
    """Score a finished run on all that its contrasts ask for, write its record, and look into its network."""
    training = by_key[run.plan.key]
    if not _file(training, run.plan.key).is_file():
        _record(training, run)
    _look(training, run)


def _file(training: Training, key: str) -> Path:
    return records.file_of(training.scale, training.arm, training.seed, key)


def wanted_in(training: Training) -> set[str]:
    """The quantities that are to be looked at in a training's network."""
    own = [probe for probe in asked(tiers=[training.tier]) if isinstance(probe, Probe)]
    return {name for probe in own for arm, name in probe.needs if arm == training.arm} - {probing.STEPS}


def _look(training: Training, run: runs.Run) -> None:
    wanted = wanted_in(training)
    if wanted:
        with one_thread(scoring_device()):
            network = run.network("best" if TIERS[training.tier].best else "").to(scoring_device())
            probing.keep(_file(training, run.plan.key), network, exam(training.scale).pairs("test"), wanted)


def look_again(every: Sequence[Training]) -> None:
    """Look at what recorded trainings lack, in those whose networks are stored here."""
    away = 0
    for training in every:
        if wanted_in(training):
            plan = training.plan
            file = _file(training, plan.key)
            if file.is_file() and wanted_in(training) - probing.kept(file).quantities:
                if runs.is_complete(plan):
                    _look(training, runs.Run(plan))
                else:
                    away += 1
    if away:
        say(f"{away} recorded networks are not stored here, and were not looked into")


def _record(training: Training, run: runs.Run) -> None:
    own = [contrast for contrast in asked(tiers=[training.tier]) if training.arm in contrast.arms]
    with one_thread(scoring_device()):
        tables = [_on_exam(run, state) for state in (*map(str, run.plan.snapshots), "best", "")]
        tables += [_removed(run, name) for name in dict.fromkeys(c.without for c in own if c.without)]
        tables += [_rows(run.scores(), WHOLE, str(run.plan.recipe.steps), run.plan.data)] if run.plan.window else []
        tables += [_elsewhere(run, name) for name in dict.fromkeys(c.on for c in own) if name in PROTOCOLS]
    about = records.about(run, training.arm, exam(training.scale).fingerprint)
    records.write(_file(training, run.plan.key), records.Record(about, records.stacked(tables)))


def _on_exam(run: runs.Run, state: str) -> pd.DataFrame:
    scores = evaluation.evaluate(_restorer(run, run.network(state)), exam(run.plan.scale).pairs("test"))
    return _rows(scores, "exam", state or str(run.plan.recipe.steps), exam(run.plan.scale))


def _restorer(run: runs.Run, network: nn.Module) -> evaluation.Restore:
    device, window = scoring_device(), run.plan.window
    return evaluation.windowed(network, window, device) if window else evaluation.restorer(network, device)


def _removed(run: runs.Run, name: str) -> pd.DataFrame:
    """The exam without a part of the trained network."""
    network = run.network().to(scoring_device())
    with without(network, models.parts_of(network)[name]):
        scores = evaluation.evaluate(_restorer(run, network), exam(run.plan.scale).pairs("test"))
    return _rows(scores, "exam", str(run.plan.recipe.steps), exam(run.plan.scale), name)


def _elsewhere(run: runs.Run, name: str) -> pd.DataFrame:
    """Another benchmark by its own protocol."""
    data = copies.open_data(name=name)
    return _rows(runs.protocol_scores(data, PROTOCOLS[name], run), name, str(run.plan.recipe.steps), data)


def _rows(scores: pd.DataFrame, on: str, state: str, data: copies.Data, removed: str = "") -> pd.DataFrame:
    pairs = {pair.name: pair for pair in data.pairs("test")}
    shown = [pairs[name] for name in scores["name"]]
    places = {"scene": list(map(parts.scene, shown)), "kind": list(map(parts.kind, shown))}
    return scores.assign(on=on, state=state, without=removed, **places)


def keep_bounds(scale: str) -> None:
    """Score what learns nothing on a scale's exam, once."""
    data = exam(scale)
    file = records.bounds_file(scale, data.fingerprint)
    if file.is_file() and (records.read(file).rows["on"] == records.WATCHED).any():
        return
    scores = dict(zip(records.BOUNDS, (runs.blurred_scores(data), *runs.bounds(data).values()), strict=True))
    tables = [_rows(table, "exam", name, data) for name, table in scores.items()]
    watched = evaluation.evaluate(evaluation.identity, _data(scale).validation())
    tables.append(watched.assign(on=records.WATCHED, state=records.BOUNDS[0], without="", scene="", kind=""))
    records.write(file, records.Record({"scale": scale, "exam": data.fingerprint}, records.stacked(tables)))


def seconds(wanted: Sequence[Training]) -> dict[Training, float]:
    """About how long each training takes on one core: by what its network took at mini, and by multiply-accumulates."""
    return {training: _seconds(training._replace(seed=0)) for training in wanted}


@cache
def _seconds(training: Training) -> float:
    name, recipe = training.arm.network, training.recipe
    at_mini = recipes.recipe(name)
    a_step = recipes.EQUAL_TIME_S / recipes.EQUAL_TIME.get(name, min(recipes.EQUAL_TIME.values()))
    size = _macs(name, training.arm.variant, recipe) / _macs(name, "paper", at_mini)
    return recipe.steps * a_step * size


def _macs(name: str, variant: str, recipe: recipes.Recipe) -> int:
    network = complexity.on_meta(name, variant, **recipe.config)
    return recipe.batch * complexity.macs(network, recipe.crop, recipe.crop)
