"""Looks into the study's networks: which quantity is what, what is kept of each network, and the effects that follow.

What was looked at lies in a file of its own beside the record of the training, a row a quantity and pair (or scene),
with the code of each quantity in its first line: a quantity whose code changed is looked at again in the stored run,
and nothing is trained.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from deblur import writing
from deblur.data import official
from deblur.source import code_hash
from deblur.study import quantities as look
from deblur.study import records, statistics, views
from deblur.study.claims import Arm, Probe


class Quantity(NamedTuple):
    """A number of a trained network.

    Attributes:
        look: gives it, among others, by name; of a network and a `View`, or of all views of the exam.
        unit: of the number.
        whole: whether it takes all views.
    """

    look: Callable
    unit: str
    whole: bool = False


STEPS = "steps to +0.3 dB"
"""The quantity that is read off a training's curve: where validation passes `PASSED_DB` over the blurred input and
stays above."""
PASSED_DB = 0.3

QUANTITIES: dict[str, Quantity] = {
    **{f"SA encoder {level}, edges": Quantity(look.attention_maps, "correlation") for level in (1, 2, 3)},
    **{f"SA decoder {level}, path": Quantity(look.attention_maps, "correlation") for level in (1, 2, 3)},
    "error over gradient": Quantity(look.loss_ratio, "ratio", whole=True),
    "error over gradient, blurred input": Quantity(look.loss_ratio, "ratio", whole=True),
    "gain": Quantity(look.gain_of, "dB"),
    "gain at rims less global": Quantity(look.gain_of, "dB"),
    "gain on text": Quantity(look.text_gain, "dB", whole=True),
    "x8 gain": Quantity(look.ensemble_gain, "dB", whole=True),
    "DDM 2 width, motion along x": Quantity(look.offset_width, "correlation"),
    **{
        f"DDM {module} direction{motion}": Quantity(look.offset_direction, "cosine", whole=True)
        for module in (1, 2, 3)
        for motion in ("", ", other motion")
    },
    "offset length, path": Quantity(look.offset_length, "correlation", whole=True),
    "SA residual, path": Quantity(look.attention_residual, "correlation"),
    "stage 1, global less other": Quantity(look.stages, "dB"),
    "stage 2, other less global": Quantity(look.stages, "dB"),
    "masks on local blur": Quantity(look.region_masks, "lift", whole=True),
    "masks on sampling blur": Quantity(look.region_masks, "lift", whole=True),
    "edges of predictions": Quantity(look.predicted_edges, "correlation"),
    "sharpness": Quantity(look.sharpness, "log ratio"),
    "calm beside edges": Quantity(look.sharpness, "log ratio"),
    "offsets at outlines": Quantity(look.offsets_at_outlines, "log ratio"),
    "offsets, edges": Quantity(look.offsets_at_outlines, "correlation"),
    "GCRW, path": Quantity(look.weights_and_path, "R^2", whole=True),
    "gain, long less short paths": Quantity(look.gains_by_motion, "dB"),
    "gain, long paths": Quantity(look.gains_by_motion, "dB"),
    "gain, local less global": Quantity(look.gains_by_motion, "dB"),
}
"""Name -> what it is."""

BESIDE = {"DDM 2 direction": {f"DDM {module}": f"DDM {module} direction" for module in (1, 3)}}
"""Quantity of a claim -> the same of other parts, which notebooks show beside it."""

COLUMNS = ("quantity", "name", "scene", "kind", "value")
"""Of a row; a value that was refused is missing."""


def unit(quantity: str) -> str:
    """Of a quantity, or of `STEPS`."""
    return "log ratio" if quantity == STEPS else QUANTITIES[quantity].unit


def code(quantity: str) -> str:
    """Hash of the code that a quantity depends on, besides the network's."""
    return code_hash(QUANTITIES[quantity].look, views.View)


def looked(network: nn.Module, pairs: Sequence[official.Pair], wanted: Iterable[str]) -> pd.DataFrame:
    """Quantities of a network on some pairs: rows with `COLUMNS`."""
    wanted, seen = set(wanted), [views.View(pair) for pair in pairs]
    rows = []
    for quantity in {QUANTITIES[name].look: QUANTITIES[name] for name in sorted(wanted)}.values():
        given = quantity.look(network, seen) if quantity.whole else ((v, quantity.look(network, v)) for v in seen)
        for view, values in given:
            rows += [[name, view.name, view.scene, view.kind, values[name]] for name in values if name in wanted]
    return pd.DataFrame(rows, columns=list(COLUMNS))


# -------------------------------------------------------------------------------------------------------- what is kept


class Looks(NamedTuple):
    """What was looked at in a network by the present code: rows, and the quantities that were asked for."""

    quantities: frozenset[str] = frozenset()
    rows: pd.DataFrame = pd.DataFrame(columns=list(COLUMNS))


def beside(record: Path) -> Path:
    """The file beside a training's record."""
    return record.with_name(record.name.removesuffix(".csv.gz") + records.PROBES)


def kept(record: Path) -> Looks:
    """What counts of the file beside a record.

    Raises:
        ValueError: a file that is not whole.
    """
    file = beside(record)
    if not file.is_file():
        return Looks()
    try:
        first, _, rest = gzip.decompress(file.read_bytes()).decode().partition("\n")
        codes = json.loads(first)["codes"]
        present = {name for name, own in codes.items() if name in QUANTITIES and own == code(name)}
        rows = pd.read_csv(
            io.StringIO(rest), dtype=dict.fromkeys(COLUMNS[:4], str), keep_default_na=False, na_values={"value": [""]}
        )
        return Looks(frozenset(present), rows[rows["quantity"].isin(present)])
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"{file}: not a whole file of looks ({error}); remove it, or copy it again") from None


def keep(record: Path, network: nn.Module, pairs: Sequence[official.Pair], wanted: Iterable[str]) -> None:
    """Look at what the file beside a record lacks, and write it whole."""
    before = kept(record)
    lacking = set(wanted) - before.quantities
    if not lacking:
        return
    rows = pd.concat([before.rows, looked(network, pairs, lacking)], ignore_index=True)
    codes = {name: code(name) for name in sorted(before.quantities | lacking)}
    text = json.dumps({"codes": codes}, ensure_ascii=False) + "\n" + rows.round(6).to_csv(index=False)
    with writing.replacing(beside(record)) as draft:
        draft.write_bytes(gzip.compress(text.encode(), mtime=0))


# ------------------------------------------------------------------------------------------------------------- effects


def refused(probe: Probe, own: Mapping[tuple[Arm, int], Looks]) -> float:
    """Share of the values of a probe that say nothing."""
    values = [
        looks.rows.loc[looks.rows["quantity"] == name, "value"]
        for (arm, _), looks in own.items()
        for name in _of(probe, arm)
    ]
    every = pd.concat(values) if values else pd.Series(dtype=float)
    return float(every.isna().mean()) if len(every) else 0.0


def _of(probe: Probe, arm: Arm) -> list[str]:
    return sorted(name for needed, name in probe.needs if needed == arm)


def effect(probe: Probe, own: Mapping[tuple[Arm, int], Looks], seeds: Sequence[int]) -> statistics.Effect | None:
    """The effect that a probe measures; None where nothing has a value.

    Scenes of both sides are paired if they are the same, else each side is drawn by itself (as pages of text are).
    """
    plus = _table(probe.plus, probe.measure, own, seeds)
    if not probe.minus:
        return statistics.effect((plus - probe.constant).to_numpy().T) if len(plus) else None
    minus = _table(probe.minus, probe.minus_measure, own, seeds)
    shared = plus.index.intersection(minus.index)
    if len(shared):
        return statistics.effect((plus.loc[shared] - minus.loc[shared]).to_numpy().T)
    if plus.empty or minus.empty:
        return None
    return _apart(plus.to_numpy().T, minus.to_numpy().T)


def _apart(plus: np.ndarray, minus: np.ndarray) -> statistics.Effect:
    """Of two sides (seeds, scenes) whose scenes are not the same; seeds are."""
    sides = statistics.effect(plus), statistics.effect(minus)
    by_seed = statistics.effect((plus.mean(1) - minus.mean(1))[:, None])
    scene, scenes = float(np.hypot(sides[0].scene, sides[1].scene)), min(side.scenes for side in sides)
    return statistics.Effect(by_seed.mean, by_seed.seed, scene, by_seed.seeds, scenes)


def _table(arms: Sequence[Arm], name: str, own: Mapping[tuple[Arm, int], Looks], seeds: Sequence[int]) -> pd.DataFrame:
    """Means of a quantity over scenes (rows) that have a value with every seed (columns) and arm."""

    def of(arm: Arm, seed: int) -> pd.Series:
        rows = own[arm, seed].rows
        return rows[rows["quantity"] == name].groupby("scene")["value"].mean()

    tables = [pd.DataFrame({seed: of(arm, seed) for seed in seeds}).dropna() for arm in arms]
    return sum(tables[1:], tables[0]).dropna() / len(tables)


def passing(curve: Sequence[Sequence[float]], blurred_db: float) -> float | None:
    """The step at which validation passes `PASSED_DB` over the blurred input for good, between two validations by a
    straight line from (0, 0 dB); None where it never does.

    Args:
        curve: pairs of step and PSNR in dB.
    """
    steps, gains = np.array([(0, 0.0), *((step, psnr - blurred_db) for step, psnr in curve)]).T
    below = np.flatnonzero(gains < PASSED_DB)[-1]
    if below == len(gains) - 1:
        return None
    share = (PASSED_DB - gains[below]) / (gains[below + 1] - gains[below])
    return float(steps[below] + share * (steps[below + 1] - steps[below]))


def steps_effect(
    probe: Probe, own: Mapping[tuple[Arm, int], records.Record], seeds: Sequence[int], blurred_db: float
) -> statistics.Effect | None:
    """Log of the ratio of steps until validation passes, of the seeds of which one run passes at least.

    A run that never does has passed at its end at the earliest, which is taken. Curves are of all validation scenes
    together: only seeds are drawn.
    """
    logs = []
    for seed in seeds:
        ratio = []
        for arm in (*probe.plus, *probe.minus):
            curve = own[arm, seed].about["curve"]
            ratio.append((passing(curve, blurred_db), curve[-1][0]))
        if any(passed is not None for passed, _ in ratio):
            plus, minus = (end if passed is None else passed for passed, end in ratio)
            logs.append(np.log(plus / minus))
    if not logs:
        return None
    by_seed = statistics.effect(np.array(logs)[:, None])
    return statistics.Effect(by_seed.mean, by_seed.seed, 0.0, len(logs), statistics.FEWEST)
