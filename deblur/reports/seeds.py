"""How far the luck of a seed carries at `bench`: one network, trained with several, gain by kind of blur.

`python -m deblur.reports.seeds sgenet` trains what is missing, minutes of a GPU a seed, as
`deblur train sgenet --scale bench --seed 1` does, and writes `results/bench/seeds.csv`.
"""

import argparse
from collections.abc import Sequence

import pandas as pd

from deblur import evaluation, notebooks, paths, runs, writing
from deblur.data import copies


def by_seed(data: copies.Data, network: str, seeds: Sequence[int], scale: str = "bench") -> pd.DataFrame:
    """A row a seed: means over the test split, gain also by kind of blur, and how it was trained.

    Args:
        data: a bundled benchmark, of which the kinds of blur are known.
        seeds: trainings that the run store lacks are made now.
    """
    rows = []
    for run in runs.load_or_run([runs.Plan(data, network, scale=scale, seed=seed) for seed in seeds]):
        made, blurred = run.provenance, runs.blurred_scores(data, run.plan.recipe.test_pairs)
        row = {"network": network} | notebooks.measurement(evaluation.summarise(run.scores(), blurred), run)
        row |= {"training_seconds": made["training_seconds"]}
        rows.append(row | {"key": run.plan.key})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="sgenet", help="which network (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    choices = parser.parse_args()
    table = by_seed(copies.open_data(scale="bench"), choices.network, choices.seeds)
    writing.write_text(paths.results_dir() / "bench" / "seeds.csv", table.round(4).to_csv(index=False))
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
