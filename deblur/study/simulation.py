"""How often verdicts err, and what they see: the rules of `statistics` on effects that are known.

python -m deblur.study.simulation        writes results/study/simulation.csv
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from deblur import paths, writing
from deblur.study import statistics

DRAWS = 1000
BOUND_DB = 0.1
SCENES = 16
SEED_DB = (0.01, 0.02, 0.05, 0.1)
"""Deviations of one seed's difference between two arms, in dB, of which the study of mini saw the first three."""
SCENE_DB, IMAGE_DB = 0.06, 0.04
"""Deviations of a scene's difference, and of what neither seed nor scene explains."""
FAMILIES = (1, 4, 10)
EFFECTS_DB = (0.05, 0.1, 0.2, 0.3)


class Case(NamedTuple):
    """What is drawn: so many seeds, their deviation, and so many contrasts a family."""

    seeds: int
    seed_db: float
    family: int


def drawn(rng: np.random.Generator, case: Case, effect_db: float) -> statistics.Effect:
    """An effect as the study would measure it."""
    by_seed = rng.normal(0, case.seed_db, (case.seeds, 1))
    by_scene = rng.normal(0, SCENE_DB, (1, SCENES))
    rest = rng.normal(0, IMAGE_DB, (case.seeds, SCENES))
    return statistics.effect(effect_db + by_seed + by_scene + rest)


def families(rng: np.random.Generator, case: Case, effect_db: float, draws: int) -> Iterator[list[statistics.Verdict]]:
    """Verdicts of families whose contrasts all have the same effect."""
    for _ in range(draws):
        effects = [drawn(rng, case, effect_db) for _ in range(case.family)]
        yield statistics.verdicts(effects, [BOUND_DB] * case.family, [1] * case.family)


def row(case: Case, draws: int = DRAWS) -> dict[str, float]:
    """Shares of what came out, in percent.

    `false_sign`: families without any effect in which some contrast was given a sign. `false_none`: families with
    effects of the bound in which some contrast was said to have none. `none`: contrasts without effect that were said
    to have none. `holds_X`: contrasts with an effect of X dB that were given its sign.
    """
    rng = np.random.default_rng([20261126, case.seeds, round(1000 * case.seed_db), case.family])
    without = list(families(rng, case, 0.0, draws))
    at_bound = list(families(rng, case, BOUND_DB, draws))
    shares: dict[str, Any] = {
        "false_sign": np.mean([bool({"holds", "fails"} & set(said)) for said in without]),
        "false_none": np.mean(["no effect" in said for said in at_bound]),
        "none": np.mean([one == "no effect" for said in without for one in said]),
    }
    for effect_db in EFFECTS_DB:
        said = at_bound if effect_db == BOUND_DB else list(families(rng, case, effect_db, draws // case.family))
        shares[f"holds_{effect_db:g}"] = np.mean([one == "holds" for family in said for one in family])
    return case._asdict() | {name: round(100 * float(share), 1) for name, share in shares.items()}


def table(draws: int = DRAWS) -> pd.DataFrame:
    """A row a case."""
    return pd.DataFrame([row(Case(*case), draws) for case in product((3, 4, 5), SEED_DB, FAMILIES)])


if __name__ == "__main__":
    writing.write_text(paths.results_dir() / "study" / "simulation.csv", table().to_csv(index=False))
