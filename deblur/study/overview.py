"""What is told of the study as a whole: effects against a training's length, what each network came to, and a paragraph
a paper that can be cited."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from deblur.study import ledger, making, records
from deblur.study.claims import TIERS, Arm, Claim, contrasts
from deblur.talk import duration

LENGTH_COLUMNS = ("claim", "tier", "contrast", "printed", "bound", "seeds", "planned", "share", "effect", "low", "high")

FINE = 0.02
"""Smallest effects below it are shown with a digit more."""

Listed = Sequence[tuple[Claim, Mapping[str, str]]]
"""Claims, each with its verdicts by tier, see `ledger.of_claim`."""


def by_length(paper: str) -> pd.DataFrame:
    """Each effect after a quarter, half and all of its trainings, with an interval from two seeds on."""
    rows = []
    for one in map(ledger.measured, contrasts(paper)):
        contrast = one.contrast
        fixed = (contrast.claim, contrast.tier, contrast.name, contrast.printed_db, contrast.bound_db)
        for share, effect in one.at.items():
            interval = effect.interval if np.isfinite(effect.half_width()) else (np.nan, np.nan)
            rows.append([*fixed, effect.seeds, one.planned, share, effect.mean, *interval])
    return pd.DataFrame(rows, columns=list(LENGTH_COLUMNS)).astype({"printed": float})


def networks(tier: str) -> pd.DataFrame:
    """What the trainings of a tier came to on its exam, a row an arm.

    Returns:
        Columns `arm`, `seeds`, `parameters`; the mean, `lowest` and `highest` `gain` over the blurred input in dB,
        `floor` and `oracle` likewise; and the `time` of training of all seeds, by device.
    """
    of_arm: dict[Arm, list[records.Record]] = defaultdict(list)
    for (arm, _), record in sorted(records.counted(TIERS[tier].scale).items()):
        of_arm[arm].append(record)
    return pd.DataFrame([_network(tier, arm, own) for arm, own in of_arm.items()])


def _network(tier: str, arm: Arm, own: Sequence[records.Record]) -> dict[str, Any]:
    about = own[0].about
    bounds = records.read(records.bounds_file(about["scale"], about["exam"])).rows
    state = "best" if TIERS[tier].best else str(about["content"]["recipe"]["steps"])
    blurred, floor, oracle = (_level(bounds, name) for name in records.BOUNDS)
    gains = [_level(record.rows, state) - blurred for record in own]
    return {
        "arm": str(arm),
        "seeds": len(own),
        "parameters": about["parameters"],
        "gain": float(np.mean(gains)),
        "lowest": min(gains),
        "highest": max(gains),
        "floor": floor - blurred,
        "oracle": oracle - blurred,
        "time": _times(record.about["training"] for record in own),
    }


def _level(rows: pd.DataFrame, state: str) -> float:
    """The mean PSNR of the scenes of an exam in dB, of the whole network."""
    chosen = rows[(rows["on"] == "exam") & (rows["state"] == state) & (rows["without"] == "")]
    return float(chosen.groupby("scene")["psnr_db"].mean().mean())


def _times(trainings: Iterable[Mapping[str, Any]]) -> str:
    spent: dict[str, float] = defaultdict(float)
    for training in trainings:
        spent[training["device"]] += training["training_seconds"]
    return "; ".join(f"{duration(seconds)} on {device}" for device, seconds in sorted(spent.items()))


# ---------------------------------------------------------------------------------------------------------- to be cited


def paragraph(title: str, paper: str, listed: Listed, rows: pd.DataFrame) -> str:
    """What held, what did not, at what scale, and what it would take to know more: sentences that can be cited.

    Args:
        title: how the paper is called.
        rows: its part of `ledger.table`.
    """
    ruled = sum(any(verdict in ledger.VERDICTS for verdict in verdicts.values()) for _, verdicts in listed)
    said = [f"{title}: {ruled} of {len(listed)} claims have a verdict."]
    for tier, place in _places(rows):
        own = [(claim, verdicts[tier]) for claim, verdicts in listed if verdicts.get(tier) in ledger.VERDICTS]
        if own:
            said.append(f"{place}: {'; '.join(_told(claim, verdict, rows, tier) for claim, verdict in own)}.")
    return " ".join([*said, *_to_know_more(paper, listed)])


def _places(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Where verdicts fell: tier, and what it is about."""
    return [
        (tier, f"At {TIERS[tier].words}" if tier in TIERS else tier[:1].upper() + tier[1:])
        for tier in dict.fromkeys(rows["tier"])
    ]


def _told(claim: Claim, verdict: str, rows: pd.DataFrame, tier: str) -> str:
    """A claim, its verdict and the effects that decided it."""
    own = rows[(rows["claim"] == claim.id) & (rows["tier"] == tier) & rows["decides"]]
    effects = [f"{row['contrast']} {effect(row)}" for row in own.to_dict("records") if pd.notna(row["effect"])]
    return f"{claim.id} ({claim.claim.rstrip('.')}) {verdict}" + (f", {', '.join(effects)}" if effects else "")


def effect(row: Mapping[str, Any]) -> str:
    """A measured effect of a row of `ledger.table` with its interval, and what could have been seen if undecided."""
    digits = digits_of(row)
    between = "" if pd.isna(row["low"]) else f" [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"
    seen = f", could see {row['detectable']:.{digits}f}" if row["verdict"] == "undecided" else ""
    return f"{row['effect']:+.{digits}f}{between} {row['unit']}".rstrip() + seen


def digits_of(row: Mapping[str, Any]) -> int:
    """With how many digits a row's effects are told."""
    return 2 if row["bound"] >= FINE else 3


def _to_know_more(paper: str, listed: Listed) -> list[str]:
    """What is missing: trainings by tier, measurements, and what cannot be had here."""
    said = []
    missing = {tier: len(making.missing(making.trainings(making.asked([paper], [tier])))) for tier in TIERS}
    if left := [f"{count} trainings of {tier}" for tier, count in missing.items() if count]:
        said.append(f"To know more, train what is missing, {' and '.join(left)}: `deblur study {paper}`.")
    if timed := [claim.id for claim, verdicts in listed if any("--checks" in verdict for verdict in verdicts.values())]:
        said.append(f"{', '.join(timed)}: to be measured on a GPU by `deblur study {paper} --checks`.")
    if away := [claim.id for claim, verdicts in listed if "" in verdicts]:
        said.append(f"Not testable here: {', '.join(away)}.")
    return said
