"""What cells of the papers' notebooks share: rows that bound a table, what differs from the paper, looks inside."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from deblur import evaluation, figures, models, recipes, tables
from deblur.data import official
from deblur.data.blur import KINDS
from deblur.data.copies import Data
from deblur.evaluation import classical, complexity
from deblur.evaluation.parts import kind, scene, wide
from deblur.figures.claims import forest, lengths
from deblur.figures.parts import changes
from deblur.runs import Run, blurred_scores, bounds
from deblur.study import ledger, overview, page, probing
from deblur.study.claims import TIERS, Arm, Probe
from deblur.study.claims import claims as paper_claims
from deblur.study.claims import probes as paper_probes
from deblur.study.statistics import ALPHA, FEWEST
from deblur.weights import yardsticks

# ---------------------------------------------------------------------------------------------------------- the bounds


def bound_rows(data: Data, limit: int | None = None) -> dict[str, dict[str, object]]:
    """Rows for a table of scores that no training here made: the Wiener filters (`evaluation.classical`), and on whole
    bundled copies that others' published weights were scored on, these (`weights.yardsticks`).

    Returns:
        Method -> its measurements, to be given to `tables.beside_printed` as `extra`; empty for somebody's own copy.
    """
    before = blurred_scores(data, limit)
    stamp: dict[str, object] = {"data": data.label, "protocol": "full_rgb8"}
    rows = {name: evaluation.summarise(scores, before) | stamp for name, scores in bounds(data, limit).items()}
    for row in yardsticks.listed() if limit is None else []:
        if (row.fingerprint, row.split, row.kind) == (data.fingerprint, "test", "all"):
            scores = {"psnr_db": row.psnr_db, "gain_db": row.gain_db}
            rows[f"{row.network}, its authors' weights"] = scores | stamp
    return rows


def floor_db(data: Data, limit: int | None = None) -> float | None:
    """What the filter gains that learns nothing; None where there is no validation split for its guess."""
    row = bound_rows(data, limit).get(classical.FLOOR)
    return None if row is None else float(str(row["gain_db"]))


def showcase(data: Data) -> list[official.Pair]:
    """Test pairs for figures: one of each kind of blur, each of a scene of its own where there are so many; where kinds
    are unknown four, spread over sequences."""
    chosen: dict[str, official.Pair] = {}
    scenes: set[str] = set()
    pairs = data.pairs("test")
    for cause in ("straight", *KINDS):
        own = [pair for pair in pairs if pair.truth and kind(pair) == cause]
        own.sort(key=lambda pair: scene(pair) in scenes)
        for pair in own[:1]:
            chosen[cause] = pair
            scenes.add(scene(pair))
    return [*chosen.values()] or data.pairs("test", 4)


def titled(method: str, run: Run) -> str:
    """A method with the steps that it was trained for, for the head of a figure's column."""
    return f"{method}, {run.plan.steps:,} steps"


def trained_costs(
    done: Mapping[str, Run], size: tuple[int, int], device: str, turns: int
) -> dict[str, dict[str, object]]:
    """What networks cost as they were trained, for figures of accuracy against cost: below scale `paper` they are
    narrower than the paper's, whose cost `complexity.cost` and `complexity.runtimes` give.

    Args:
        done: method -> its run; `size` of the timed image, (height, width).
    """
    times = complexity.runtimes({method: run.network() for method, run in done.items()}, *size, device, turns)
    plans = {method: run.plan for method, run in done.items()}
    return {
        method: complexity.cost(plan.name, plan.variant, **plan.recipe.config) | times[method]
        for method, plan in plans.items()
    }


# ------------------------------------------------------------------------------------------ what differs from the paper

FIELDS = {
    "steps": "steps",
    "batch": "batch",
    "crop": "crop, px",
    "lr": "learning rate",
    "schedule": "its schedule",
    "schedule_args": "of the schedule",
    "warm_up": "steps of warm-up",
    "lr_factors": "factors on the rate, by part of a name",
    "clip_norm": "bound on gradients, by part of a name",
    "average": "decay of averaged weights",
    "loss": "loss",
    "loss_args": "of the loss",
    "data": "training crops",
    "augment": "augmentations",
    "growth": "crops grow (share of steps: factor)",
    "edge": "crops drawn towards the border",
    "test_pairs": "test pairs scored",
}
"""Field of a recipe -> words."""

CROPS = {
    "tree": "stored pairs",
    "synthesis": "sharp scenes, exposed anew",
    "photographs": "sharp photographs, exposed anew",
    "video": "stored frames with neighbours",
}


def differences(paper: str, scale: str) -> pd.DataFrame:
    """What differs from the paper's recipe and network at a scale, read off `recipes` and the network's `Config`:
    `what`, `paper scale`, `main run` and `rows of tables`. What is equal is left out."""
    columns = {
        "paper scale": _described(paper, "paper", "main"),
        "main run": _described(paper, scale, "main"),
        "rows of tables": _described(paper, scale, "row"),
    }
    table = pd.DataFrame(columns)
    differs = table["main run"].ne(table["paper scale"]) | table["rows of tables"].ne(table["paper scale"])
    return table[differs].reset_index(names="what")


def _described(paper: str, scale: str, budget: str) -> dict[str, str]:
    """What a training is made of -> its value as text."""
    recipe = recipes.recipe(paper, scale=scale, budget=budget)
    values = {words: _said(getattr(recipe, field)) for field, words in FIELDS.items()}
    values["training crops"] = CROPS[recipe.data]
    exposed = recipe.data == "photographs"
    values["mean of the loss over a batch"] = "geometric" if exposed else "arithmetic"
    values["curriculum"] = "few kinds of motion first" if exposed and recipe.curriculum else "none"
    config = asdict(models.config(paper, **recipe.config))
    return values | {f"network: {name.replace('_', ' ')}": _said(value) for name, value in config.items()}


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key or 'all'}: {_said(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    return "all" if value is None else str(value).replace("_", " ")


def show_differences(scale: str, paper: str) -> None:
    """Show and save `differences`; at scale `paper` there are none."""
    from IPython.display import Markdown, display

    table = differences(paper, scale)
    if table.empty:
        display(Markdown("Nothing: this is the recipe as printed, and as read where the paper is silent."))
        return
    tables.save(table, scale, paper, "differences")
    display(tables.show(table, f"What differs at scale {scale} from the paper's recipe; what is not named is equal"))


# -------------------------------------------------------------------------------------------------------- looks inside


def probes(paper: str, main: Run, rows: Mapping[str, Run], pairs: Sequence[official.Pair]) -> pd.DataFrame:
    """The paper's claims about the inside of its network, looked at in runs of one seed as the study looks at its own.

    Args:
        main: of the paper's network, for what one network shows.
        rows: the study's name of an arm, e.g. `sgenet/attention_from_input` -> a run, all of one budget: for what
            several show. Probes that need another are left out.
        pairs: whose blur is known.

    Returns:
        A row a probe: `claim`, `question`, `effect` with its 95 % interval over scenes (`low`, `high`; all missing
        where most of what is looked at says nothing), `unit`, `claimed` sign, `scenes`, `refused` share, `steps`.
    """
    asked = [probe for probe in paper_probes(paper) if probe.tier == "breadth" and probe.measure != probing.STEPS]
    asked = [one for probe in asked for one in (probe, *_beside(probe))]
    answers = []
    for probe in asked:
        alone = {str(arm) for arm, _ in probe.needs} == {paper}
        arms = {paper: main} if alone else rows
        if {str(arm) for arm, _ in probe.needs} <= arms.keys():
            answers.append(_answer(probe, {arm: arms[str(arm)] for arm, _ in probe.needs}, pairs))
    return pd.DataFrame(answers)


def _beside(probe: Probe) -> list[Probe]:
    """The probe of other parts of the network."""
    return [
        replace(
            probe,
            name=f"{probe.name}, {part}",
            measure=measure,
            minus_measure=probe.minus_measure.replace(probe.measure, measure),
        )
        for part, measure in probing.BESIDE.get(probe.measure, {}).items()
    ]


def _answer(probe: Probe, arms: Mapping[Arm, Run], pairs: Sequence[official.Pair]) -> dict[str, object]:
    """A row of `probes`."""
    looks = {}
    for arm, run in arms.items():
        wanted = frozenset(what for needed, what in probe.needs if needed == arm)
        looks[arm, 0] = probing.Looks(wanted, probing.looked(run.network(), pairs, wanted))
    refused, effect = probing.refused(probe, looks), probing.effect(probe, looks, [0])
    row: dict[str, object] = {"claim": probe.claim, "question": probe.name, "unit": probing.unit(probe.measure)}
    row |= {"claimed": "above zero" if probe.sign > 0 else "below zero", "refused": refused}
    row["steps"] = max(run.plan.steps for run in arms.values())
    if effect is None or refused > REFUSED:
        return row | {"effect": np.nan, "low": np.nan, "high": np.nan, "scenes": 0}
    half = -stdtrit(effect.scenes - 1, ALPHA / 2) * effect.scene if effect.scenes >= FEWEST else np.nan
    ends = {"low": effect.mean - half, "high": effect.mean + half}
    return row | {"effect": effect.mean, **ends, "scenes": effect.scenes}


REFUSED = 0.5
"""Share of values that say nothing above which nothing is said."""


def show_probes(scale: str, main: Run, rows: Mapping[str, Run], pairs: Sequence[official.Pair]) -> None:
    """Show and save the `probes` of the main run's paper."""
    from IPython.display import Markdown, display

    paper, pairs = main.plan.name, [pair for pair in pairs if pair.truth]
    table = probes(paper, main, rows, pairs) if pairs else pd.DataFrame()
    if table.empty:
        display(Markdown("Nothing was looked at: the data do not know the truth about their blur."))
        return
    tables.save(table, scale, paper, "probes")
    columns = ("claim", "question", "claimed", "effect", "low", "high", "unit", "scenes", "steps")
    title = f"Inside the trained networks: means over scenes of {len(pairs)} test pairs, one seed"
    display(tables.show(table, title, columns))
    silent = table.loc[table["effect"].isna(), "question"].tolist()
    said = "Compared within pairs and scenes; verdicts are the study's, at the top."
    if silent:
        said += f" No answer, since what is looked at is constant, off the map, or absent: {'; '.join(silent)}."
    display(Markdown(said))


def parts(run: Run, scale: str, paper: str) -> dict[str, str]:
    """Show what the parts of a main run's network do, as the end of its training found, and save table and figure.

    Returns:
        Part -> verdict; empty where nobody looked, since the data do not know their blur.
    """
    from IPython.display import Markdown, display

    table = run.parts()
    if table.empty:
        display(Markdown("What its parts do was not looked at: the data do not know the truth about their blur."))
        return {}
    tables.save(table, scale, paper, "parts")
    whole = table[table["kind"] == "all"].iloc[0]
    title = (
        "Change of PSNR in dB when a part is taken out of the trained network (negative: it is missed), with a 95 % "
    )
    title += f"interval over scenes; {whole['pairs']} test pairs of {whole['scenes']} scenes"
    display(tables.show(wide(table), title))
    display(figures.show(changes(table), scale, paper, "parts", "change in PSNR without each part"))
    return evaluation.verdicts(table)


def claims(scale: str, paper: str) -> None:
    """Show what the paper claims and what the study says of it, a table of claims and, of each tier, what was measured;
    and save the table."""
    from IPython.display import Markdown, display

    rows = ledger.table([paper])
    listed = [(claim, ledger.of_claim(claim, rows)) for claim in paper_claims(paper)]
    display(Markdown(page.summary(listed)))
    said = [
        {"claim": f"{claim.id}: {claim.claim}", "printed": claim.printed, "verdict": page.said(verdicts)}
        for claim, verdicts in listed
    ]
    tables.save(rows, scale, paper, "claims")
    display(tables.show(pd.DataFrame(said), "What the paper claims and what came out, at which scale"))
    along = overview.by_length(paper)
    for tier, own in rows.groupby("tier", sort=False):
        if drawn := forest(own):
            display(Markdown(f"*{str(tier).capitalize()}*: {TIERS[str(tier)].words}."))
            display(figures.show(drawn, scale, paper, f"claims_{tier}", f"effects measured in {tier}"))
        if drawn := lengths(along[along["tier"] == tier]):
            caption = "Each effect after a quarter, half and all of the trainings; within the band it is small."
            display(Markdown(caption))
            display(figures.show(drawn, scale, paper, f"lengths_{tier}", f"effects against length in {tier}"))


PARTS = ("tables/parts.csv", "figures/parts.png")
"""What `parts` saves, where it shows something."""
