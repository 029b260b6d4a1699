"""The ledger: each claim with what was measured for it and the verdict that follows, all computed from the records."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from deblur.study import checks, probing, records, statistics
from deblur.study.claims import PAPERS, TIERS, Arm, Claim, Contrast, Outcome, Probe, claims, contrasts, probes

GAINS = ("plus_gain_db", "minus_gain_db", "floor_gain_db", "oracle_gain_db")
VERDICTS = get_args(statistics.Verdict)
BESIDE = ("beside", "controls", "exploratory")
"""How families end whose contrasts are shown and do not decide."""
LEARNT_NOTHING, AHEAD = "not tested: nothing learnt", "not yet: {done} of {planned} seeds"
SHARES = (0.25, 0.5, 1.0)
"""Of a training's length: where it is scored on the way."""
INERT, MOST = "not tested: part inert", 0.5
"""What is said of a probe that refuses more than this share of its values."""
NOT_HERE, UNTESTED = "not testable here", "not yet: no test is written"
UNMEASURED = Outcome("undecided", "", "timed or counted")
"""What stands for an outcome that is not kept; `deblur study --checks` makes it."""


@dataclass(frozen=True)
class Measured:
    """What was measured for a contrast.

    Attributes:
        effect: None before the first seed is complete.
        above_db: how far the better arm is above the floor: the mean, and the low end of its interval.
        gain_db: means over the blurred input of the arms `plus` and `minus`, of the floor and of the oracle.
        at: share of the training's length -> effect there; empty for a look inside.
        seen: seeds of which all is there, where not each of them says something.
        inert: whether what a probe looks at says nothing.
    """

    contrast: Contrast
    effect: statistics.Effect | None = None
    above_db: tuple[float, float] = (np.nan, np.nan)
    gain_db: tuple[float, ...] = (np.nan,) * 4
    at: Mapping[float, statistics.Effect] = field(default_factory=dict)
    seen: int = 0
    inert: bool = False

    @property
    def planned(self) -> int:
        """Seeds."""
        return TIERS[self.contrast.tier].seeds

    @property
    def complete(self) -> bool:
        """Whether all planned seeds are in."""
        return max(self.seen, self.effect.seeds if self.effect else 0) >= self.planned

    @property
    def learnt(self) -> bool:
        """Whether the better arm is above what learns nothing, by its interval and by what the tier asks."""
        mean, low = self.above_db
        return low > 0 and mean >= TIERS[self.contrast.tier].learnt_db


class Row(NamedTuple):
    """A contrast in the ledger, in words and numbers; effects in the unit of its measure.

    `quarter`, `half` and `whole` are effects after that share of the training; `robust`: whether the last two differ by
    less than the smallest effect that matters.
    """

    claim: str
    tier: str
    contrast: str
    decides: bool
    printed: float | None
    effect: float | None
    low: float | None
    high: float | None
    detectable: float | None
    bound: float | None
    seeds: int
    planned: int
    scenes: int
    verdict: str
    plus_gain_db: float | None
    minus_gain_db: float | None
    floor_gain_db: float | None
    oracle_gain_db: float | None
    unit: str = "dB"
    quarter: float | None = None
    half: float | None = None
    whole: float | None = None
    robust: bool | None = None


COLUMNS = ("paper", *Row._fields)

# ------------------------------------------------------------------------------------------------- what was measured


@cache
def _records(scale: str) -> dict[tuple[Arm, int], records.Record]:
    return records.counted(scale)


@cache
def _bounds(scale: str, exam: str) -> pd.DataFrame:
    file = records.bounds_file(scale, exam)
    return records.read(file).rows if file.is_file() else pd.DataFrame(columns=list(records.COLUMNS))


def by_scene(rows: pd.DataFrame, contrast: Contrast, state: str, without: str = "") -> pd.Series:
    """The mean of a contrast's measure over each scene, of rows of one state."""
    on, _, kind = contrast.on.partition(":")
    chosen = rows[(rows["on"] == on) & (rows["state"] == state) & (rows["without"] == without)]
    chosen = chosen[chosen["kind"] == kind] if kind else chosen
    return chosen.groupby("scene")[contrast.measure].mean()


def answers(record: records.Record | None, contrast: Contrast) -> bool:
    """Whether a record has the rows that a contrast asks for: one that is younger than it may ask for more."""
    on = contrast.on.partition(":")[0]
    return record is not None and bool(((record.rows["on"] == on) & (record.rows["without"] == contrast.without)).any())


Own = Mapping[tuple[Arm, int], records.Record]


def measured(contrast: Contrast) -> Measured:
    """What the records say of a contrast, of the seeds that all of its arms have."""
    if isinstance(contrast, Probe):
        return looked_at(contrast)
    tier = TIERS[contrast.tier]
    kept = _records(tier.scale)
    seeds = [
        seed for seed in range(tier.seeds) if all(answers(kept.get((arm, seed)), contrast) for arm in contrast.arms)
    ]
    if not seeds:
        return Measured(contrast)
    own = {(arm, seed): kept[arm, seed] for arm in contrast.arms for seed in seeds}
    first = own[contrast.plus[0], seeds[0]].about
    steps = int(first["content"]["recipe"]["steps"])
    last = "best" if tier.best and not contrast.without else str(steps)  # parts are taken out at the end
    at = {} if contrast.without else {share: str(int(share * steps)) for share in SHARES}
    return Measured(
        contrast,
        statistics.effect(differences(contrast, own, seeds, last)),
        *_levels(contrast, own, seeds, last, _bounds(tier.scale, first["exam"])),
        {share: statistics.effect(differences(contrast, own, seeds, state)) for share, state in at.items()},
    )


@cache
def _looks(scale: str, arm: Arm, seed: int) -> probing.Looks:
    record = _records(scale)[arm, seed]
    return probing.kept(records.file_of(scale, arm, seed, record.about["key"]))


def looked_at(probe: Probe) -> Measured:
    """What was seen in the networks that a probe names, of the seeds that all of them have."""
    tier = TIERS[probe.tier]
    kept, on_curve = _records(tier.scale), probe.measure == probing.STEPS
    seeds = [seed for seed in range(tier.seeds) if all((arm, seed) in kept for arm in probe.arms)]
    if not on_curve:
        needs = probe.needs
        seeds = [s for s in seeds if all(name in _looks(tier.scale, arm, s).quantities for arm, name in needs)]
    if not seeds:
        return Measured(probe)
    own = {(arm, seed): kept[arm, seed] for arm in probe.arms for seed in seeds}
    first = own[probe.plus[0], seeds[0]].about
    bounds = _bounds(tier.scale, first["exam"])
    last = "best" if tier.best else str(first["content"]["recipe"]["steps"])
    above, gains = _levels(probe, own, seeds, last, bounds)
    if on_curve:
        watched = bounds.loc[bounds["on"] == records.WATCHED, "psnr_db"]
        if watched.empty:
            return Measured(probe)
        effect, inert = probing.steps_effect(probe, own, seeds, watched.mean()), False
    else:
        looks = {(arm, seed): _looks(tier.scale, arm, seed) for arm, seed in own}
        effect, inert = probing.effect(probe, looks, seeds), probing.refused(probe, looks) > MOST
    return Measured(probe, effect, above, gains, seen=len(seeds), inert=inert)


def differences(contrast: Contrast, own: Own, seeds: Sequence[int], state: str) -> np.ndarray:
    """Paired differences (seeds, scenes) of a contrast at a state."""

    def mean(arms: Sequence[Arm], seed: int, without: str = "") -> np.ndarray:
        return np.mean([by_scene(own[arm, seed].rows, contrast, state, without) for arm in arms], axis=0)

    minus = contrast.minus or contrast.plus
    return np.stack([mean(contrast.plus, seed) - mean(minus, seed, contrast.without) for seed in seeds])


def _levels(
    contrast: Contrast, own: Own, seeds: Sequence[int], state: str, bounds: pd.DataFrame
) -> tuple[tuple[float, float], tuple[float, ...]]:
    """How far the better arm is above the floor on the exam, and what arms, floor and oracle gain there, in dB."""
    on_exam = replace(contrast, on="exam", measure="psnr_db")
    blurred, floor, oracle = (by_scene(bounds, on_exam, name).to_numpy() for name in records.BOUNDS)
    scores = {arm: np.stack([by_scene(own[arm, seed].rows, on_exam, state) for seed in seeds]) for arm in contrast.arms}
    above = statistics.effect(max(scores.values(), key=np.mean) - floor)
    levels = [np.mean([scores[arm] for arm in arms]) if arms else np.nan for arms in (contrast.plus, contrast.minus)]
    gains = [float(level - blurred.mean()) for level in (*levels, floor.mean(), oracle.mean())]
    return (above.mean, above.interval[0]), tuple(gains)


# ----------------------------------------------------------------------------------------------------- what follows


def settled(paper: str) -> list[tuple[Measured, str]]:
    """Each contrast of a paper as it was measured, with its verdict or what it waits for; a family is corrected."""
    every = [measured(contrast) for contrast in (*contrasts(paper), *probes(paper))]
    families: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for one in every:
        families[one.contrast.tier, one.contrast.family].append(one)
    said = {
        id(one): verdict for family in families.values() for one, verdict in zip(family, _said(family), strict=True)
    }
    return [(one, said[id(one)]) for one in every]


def _said(family: Sequence[Measured]) -> list[str]:
    """The verdicts of a family; those that learnt nothing take no part in the correction."""
    done = [one for one in family if one.complete and one.learnt and one.effect and not one.inert]
    by_rule = statistics.verdicts(
        [one.effect for one in done if one.effect],
        [one.contrast.bound_db for one in done],
        [one.contrast.sign for one in done],
        waiting=sum(not one.complete for one in family),
    )
    ruled: dict[int, str] = {id(one): verdict for one, verdict in zip(done, by_rule, strict=True)}
    return [ruled.get(id(one)) or _waiting(one) for one in family]


def _waiting(one: Measured) -> str:
    if one.complete:
        return INERT if one.learnt and one.inert else LEARNT_NOTHING
    return AHEAD.format(done=one.effect.seeds if one.effect else one.seen, planned=one.planned)


def row(one: Measured, verdict: str) -> Row:
    """A contrast in the ledger."""
    contrast, effect = one.contrast, one.effect
    low, high = effect.interval if effect and np.isfinite(effect.half_width()) else (None, None)
    return Row(
        claim=contrast.claim,
        tier=contrast.tier,
        contrast=contrast.name,
        decides=not contrast.family.endswith(BESIDE),
        printed=contrast.printed_db,
        effect=_rounded(effect.mean) if effect else None,
        low=_rounded(low),
        high=_rounded(high),
        detectable=_rounded(effect.detectable) if effect and low is not None else None,
        bound=contrast.bound_db,
        seeds=effect.seeds if effect else 0,
        planned=one.planned,
        scenes=effect.scenes if effect else 0,
        verdict=verdict,
        unit=_unit(contrast),
        **_on_the_way(one),
        **_levels_of(one),
    )


def _levels_of(one: Measured) -> dict[str, Any]:
    """The fields of `Row` about arms, floor and oracle."""
    return {name: _rounded(gain) if one.effect else None for name, gain in zip(GAINS, one.gain_db, strict=True)}


def _on_the_way(one: Measured) -> dict[str, Any]:
    """The fields of `Row` about a training's length."""
    if not one.at:
        return {}
    quarter, half, whole = (one.at[share].mean for share in SHARES)
    robust = bool(abs(whole - half) <= one.contrast.bound_db)
    return {"quarter": _rounded(quarter), "half": _rounded(half), "whole": _rounded(whole), "robust": robust}


def _unit(contrast: Contrast) -> str:
    if isinstance(contrast, Probe):
        return probing.unit(contrast.measure)
    return "dB" if contrast.measure == "psnr_db" else ""


def check_row(claim: Claim) -> Row:
    """A claim that is counted or timed in the ledger: its scale for a tier, its sentence for a contrast."""
    said = checks.outcome(claim.id)
    shown, verdict = (UNMEASURED, "not yet: deblur study --checks") if said is None else (said, said.verdict)
    blank = dict.fromkeys(Row._fields) | dict.fromkeys(("seeds", "planned", "scenes"), 0)
    said_of = {"claim": claim.id, "tier": shown.scale, "contrast": shown.measured, "decides": True, "verdict": verdict}
    return Row(**(blank | said_of))  # type: ignore[arg-type]  # every field by its name


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(value, 4)


def table(papers: Sequence[str] = PAPERS) -> pd.DataFrame:
    """The ledger's contrasts, and the claims that are counted or timed: `paper` and the columns of `Row`."""
    rows = []
    for paper in papers:
        own = [row(*one) for one in settled(paper)]
        own += [check_row(claim) for claim in claims(paper) if claim.id in checks.CHECKS]
        rows += [{"paper": paper, **one._asdict()} for one in own]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def of_claim(claim: Claim, rows: pd.DataFrame) -> dict[str, str]:
    """Tier -> the verdict of a claim there, of the rows of its paper in `table`; under "" where no tier has a say."""
    if claim.test == "none":
        return {"": f"{NOT_HERE}: {claim.reason}"}
    own = rows[(rows["claim"] == claim.id) & rows["decides"]]
    return {tier: _together(list(group["verdict"])) for tier, group in own.groupby("tier", sort=False)} or {
        "": UNTESTED
    }


def _together(said: Sequence[str]) -> str:
    """Of a claim with several contrasts: those that wait are waited for, those that learnt nothing say nothing; where a
    part is inert the claim can fail, and no more."""
    for verdict in said:
        if verdict not in (*VERDICTS, LEARNT_NOTHING, INERT):
            return verdict
    ruled: list[statistics.Verdict] = [verdict for verdict in VERDICTS for one in said if one == verdict]
    if INERT in said and "fails" not in ruled:
        return INERT
    return statistics.compound(ruled) if ruled else LEARNT_NOTHING
