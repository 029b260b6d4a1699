"""How far the luck of a seed carries at `bench`: one network, trained with several, gain by kind of blur.

`python -m benchmarks.seeds sgenet` trains what is missing, about 75 minutes of one core a seed, as
`deblur train sgenet --scale bench --seed 1` does, and writes `results/bench/seeds.csv`. Seconds of a training that was
`continued` after a break are those of its last part.
"""

import argparse
from collections.abc import Sequence

import pandas as pd

from deblur import comparison, evaluation, paths, runs


def by_seed(data: runs.Data, paper: str, seeds: Sequence[int], scale: str = "bench") -> pd.DataFrame:
    """A row a seed: gain on the test split over all pairs and by kind of blur, and how it was trained.

    Args:
        data: a bundled benchmark, of which the kinds of blur are known.
        seeds: trainings that the run store lacks are made now.
    """
    rows = []
    for run in runs.load_or_run([runs.Plan(data, paper, scale=scale, seed=seed) for seed in seeds]):
        made, plan = run.provenance, run.plan
        scores = evaluation.add_gain(run.scores(), runs.blurred_scores(data, plan.recipe.test_pairs))
        means = comparison.summary({(paper, plan.seed): scores}).filter(regex="^gain_db(?!_lowest|_highest)")
        rows.append(
            {"network": paper, "seed": plan.seed}
            | means.iloc[0].to_dict()
            | {"scale": scale, "data": data.label, "protocol": "full_rgb8", "steps": plan.recipe.steps}
            | {"training_seconds": made["training_seconds"], "continued": made.get("continued", False)}
            | {"device": made["device"], "key": plan.key}
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paper", nargs="?", default="sgenet", help="which network (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    choices = parser.parse_args()
    table = by_seed(runs.open_data(scale="bench"), choices.paper, choices.seeds)
    paths.write_text(paths.results_dir() / "bench" / "seeds.csv", table.round(4).to_csv(index=False))
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
