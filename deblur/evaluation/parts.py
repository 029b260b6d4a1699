"""What the parts of a network's design do: the change in PSNR when each of them is taken out, without training again.

Changes are paired: the same network with and without a part, on the same image, by the protocol `full_rgb8`. Images of
one scene resemble each other, so scenes are what is counted: a change is the mean over scenes of each scene's mean, and
its interval says what other scenes would give. That a part is used is not yet that it helps, see `deblur.models.parts`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn
from tqdm.auto import tqdm

from deblur import models
from deblur.data import official
from deblur.errors import UsageError
from deblur.evaluation import metrics
from deblur.evaluation.evaluator import Restore, restorer
from deblur.models.parts import Parts, present, without

INERT_DB = 0.005
"""Changes up to this are none: tables print hundredths of a dB."""

CONFIDENCE, FEWEST_SCENES = 0.95, 3
"""Of the intervals; and below how many scenes there is none."""

COLUMNS = ("part", "replaced_by", "kind", "change_db", "low_db", "high_db", "pairs", "scenes", "seeds", "verdict")


def parts_table(
    networks: nn.Module | Sequence[nn.Module],
    pairs: Sequence[official.Pair],
    parts: Parts | None = None,
    device: str | torch.device = "cpu",
    title: str = "",
) -> pd.DataFrame:
    """What taking out each part of a network changes, over all pairs and by kind of blur.

    Args:
        networks: one, or the same one trained with several seeds.
        parts: of the design; None for those that its file names.
        title: of a bar over the pairs; empty for none.

    Returns:
        A row a part and kind, `all` first: `part`, `replaced_by`, `kind`, `change_db` (PSNR without the part minus that
        of the whole network: negative where it is missed), `low_db` and `high_db` as `interval` gives them, `pairs`,
        `scenes`, `seeds`, and the `verdict`, see there.

    Raises:
        UsageError: if there are no pairs, or the networks differ in their parts.
    """
    networks = [networks] if isinstance(networks, nn.Module) else networks
    own = [models.parts_of(network) if parts is None else present(network, parts) for network in networks]
    if not pairs or not own or any(other != own[0] for other in own):
        raise UsageError("the table of parts needs pairs, and networks of one variant; give several seeds of one")
    return summary(changes(networks, pairs, own[0], device, title), own[0])


def changes(
    networks: Sequence[nn.Module],
    pairs: Sequence[official.Pair],
    parts: Parts,
    device: str | torch.device = "cpu",
    title: str = "",
) -> pd.DataFrame:
    """The change of each pair, a row a part, seed and pair: `part`, `seed`, `name`, `scene`, `kind`, `change_db`."""
    restorers = [restorer(network, device) for network in networks]
    rows = []
    for pair in tqdm(pairs, desc=title, leave=False, mininterval=1, disable=not title):
        blurred, sharp = official.read_pair(pair)
        place = {"name": pair.name, "scene": scene(pair), "kind": kind(pair)}
        for seed, (network, restore) in enumerate(zip(networks, restorers, strict=True)):
            whole = _psnr(restore, blurred, sharp)
            for name, part in parts.items():
                with without(network, part):
                    change = _psnr(restore, blurred, sharp) - whole
                rows.append({"part": name, "seed": seed, **place, "change_db": change})
    return pd.DataFrame(rows, columns=["part", "seed", "name", "scene", "kind", "change_db"])


def _psnr(restore: Restore, blurred: np.ndarray, sharp: np.ndarray) -> float:
    """PSNR in dB by the protocol `full_rgb8`."""
    return metrics.psnr_db(metrics.to_uint8(restore(blurred)), sharp)


def summary(changed: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    """The table that `parts_table` returns, of what `changes` gives."""
    kinds = ["all", *sorted(set(changed["kind"]) - {""})]
    rows = []
    for name, part in parts.items():
        own = changed[changed["part"] == name]
        for chosen in kinds:
            of_kind = own if chosen == "all" else own[own["kind"] == chosen]
            means = of_kind.pivot_table("change_db", "scene", "seed").to_numpy()
            change, low, high = interval(means)
            counts = {"pairs": of_kind["name"].nunique(), "scenes": means.shape[0], "seeds": means.shape[1]}
            row = {"part": name, "replaced_by": part.replacement, "kind": chosen, "change_db": change}
            rows.append(row | {"low_db": low, "high_db": high, **counts, "verdict": verdict(low, high)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def interval(means: np.ndarray) -> tuple[float, float, float]:
    """The mean of changes (scenes, seeds), and the ends of its interval over scenes and seeds that were not looked at.

    Of one seed: Student's interval of the scenes' means. Of several, scenes and seeds count as drawn independently, and
    every scene is seen with every seed: the variance of the mean is that of the scenes' means, over their number, plus
    that of the seeds' means, over theirs, minus what both hold of the rest (Cameron, Gelbach, Miller 2011), never below
    the larger of the two. Its degrees of freedom are Satterthwaite's.

    Returns:
        Mean, low and high; low and high are NaN for fewer than three scenes.
    """
    scenes, seeds = means.shape
    mean = float(means.mean())
    if scenes < FEWEST_SCENES:
        return mean, float("nan"), float("nan")
    by_scene = means.mean(1).var(ddof=1) / scenes
    variance, freedom = by_scene, scenes - 1.0
    if seeds > 1:
        by_seed = means.mean(0).var(ddof=1) / seeds
        rest = means - means.mean(1, keepdims=True) - means.mean(0, keepdims=True) + mean
        of_both = (rest**2).sum() / ((scenes - 1) * (seeds - 1)) / (scenes * seeds)
        variance = max(by_scene + by_seed - of_both, by_scene, by_seed)
        if variance > 0:
            freedom = (by_scene + by_seed) ** 2 / (by_scene**2 / (scenes - 1) + by_seed**2 / (seeds - 1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance))
    return mean, mean - half, mean + half


def verdict(low: float, high: float) -> str:
    """What an interval says of a part: `inert` (all of it within `INERT_DB` of none), `used` (all below zero: without
    the part the result is worse), `harms` (all above), else, and without an interval, `undecided`."""
    if low >= -INERT_DB and high <= INERT_DB:
        return "inert"
    return "used" if high < 0 else "harms" if low > 0 else "undecided"


def verdicts(table: pd.DataFrame) -> dict[str, str]:
    """Part -> its verdict over all kinds of blur, of what `parts_table` gives."""
    over_all = table[table["kind"] == "all"]
    return dict(zip(over_all["part"], over_all["verdict"]))


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """What `parts_table` gives, one row a part, in dB: `part`, `replaced_by`, the change over `all` pairs, `low` and
    `high` of its interval, its `verdict`, and the change by kind of blur."""
    by_kind = table.pivot(index="part", columns="kind", values="change_db")
    rows = table[table["kind"] == "all"].set_index("part")
    named = rows.rename(columns={"change_db": "all", "low_db": "low", "high_db": "high"})
    named = named[["replaced_by", "all", "low", "high", "verdict"]]
    return named.join(by_kind.drop(columns="all")).reset_index()


# --------------------------------------------------------------------------------------------------------- the pairs


def scene(pair: official.Pair) -> str:
    """What a pair shows: of this package's own copies the name behind the sequence's number, else the sequence."""
    named = re.fullmatch(r"[A-Z]+\d+_([A-Za-z].*)", pair.sequence) if pair.truth else None
    return named[1] if named else pair.sequence


def kind(pair: official.Pair) -> str:
    """Its kind of blur; empty where that is unknown."""
    return str(official.read_truth(pair)["kind"]) if pair.truth else ""


def spread(pairs: Sequence[official.Pair], limit: int | None = None) -> list[official.Pair]:
    """So many of the pairs, in order: scenes take turns, and in each scene the kinds of blur, beginning with different
    ones."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    by_scene: Mapping[str, dict[str, list[official.Pair]]] = defaultdict(dict)
    for pair in pairs:
        by_scene[scene(pair)].setdefault(kind(pair), []).append(pair)
    queues = []
    for number, kinds in enumerate(by_scene.values()):
        first = number % len(kinds)
        queues.append(_in_turn([*list(kinds.values())[first:], *list(kinds.values())[:first]]))
    chosen = {pair.name for pair in _in_turn(queues)[:limit]}
    return [pair for pair in pairs if pair.name in chosen]


def _in_turn(queues: Sequence[Sequence[official.Pair]]) -> list[official.Pair]:
    """One of each queue, then another of each, until all are empty."""
    return [pair for turn in zip_longest(*queues) for pair in turn if pair is not None]
