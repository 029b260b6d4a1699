"""What `deblur.reports.seeds` writes: a row a seed, with the gains of its own training."""

import pandas as pd
import pytest

from deblur import evaluation, runs
from deblur.data import copies
from deblur.reports import seeds


def test_each_seed_has_its_own_training_and_gains(tmp_path, monkeypatch, mini_root):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    data = copies.open_data(mini_root)
    table = seeds.by_seed(data, "simplenet", [1, 0], scale="smoke").set_index("seed")
    assert table.index.tolist() == [1, 0]
    assert table["key"].nunique() == table["gain_db"].nunique() == 2
    for seed, row in table.iterrows():
        run = runs.Run(runs.Plan(data, "simplenet", scale="smoke", seed=seed))
        blurred = runs.blurred_scores(data, run.plan.recipe.test_pairs)
        scores = evaluation.add_gain(run.scores(), blurred)
        assert row["gain_db"] == pytest.approx(scores["gain_db"].mean())
        for kind in pd.unique(scores["kind"]):
            part = scores.loc[scores["kind"] == kind, "gain_db"]
            assert row[f"gain_db_{kind}"] == pytest.approx(part.mean())
        assert (row["key"], row["steps"]) == (run.plan.key, run.plan.recipe.steps)
