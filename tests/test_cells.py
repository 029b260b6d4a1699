"""What the notebooks' cells share: bounds, differences from the paper, showcase pairs, looks inside networks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deblur import cells, recipes, runs, tables
from deblur.data import copies, official
from deblur.evaluation import classical
from deblur.evaluation.parts import kind, scene
from deblur.study import claims, probing


def test_bounds_are_rows_that_gain_what_was_measured(mini_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    data = copies.open_data(mini_root)
    scored = {"name": ["a", "b"], "psnr_float_db": 1.0, "ssim_gauss_rgb": 0.5, "ssim_matlab_volume": 0.5}
    monkeypatch.setattr(cells, "blurred_scores", lambda *_: pd.DataFrame(scored | {"psnr_db": [20.0, 22.0]}))
    better = {name: pd.DataFrame(scored | {"psnr_db": [21.0 + i, 24.0]}) for i, name in enumerate(classical.BOUNDS)}
    monkeypatch.setattr(cells, "bounds", lambda *_: better)
    rows = cells.bound_rows(data)
    published = cells.yardsticks.gains(data.fingerprint)
    assert published  # the bundled copy of `mini` has some
    assert {name: row["gain_db"] for name, row in rows.items()} == {classical.FLOOR: 1.5, classical.ORACLE: 2.0} | {
        f"{network}, its authors' weights": gains["all"] for network, gains in published.items()
    }
    assert all("steps" not in row and "trained_parameters" not in row for row in rows.values())
    assert cells.floor_db(data) == 1.5
    monkeypatch.setattr(cells, "bounds", lambda *_: {})  # somebody's own copy
    data = replace(data, fingerprint="own")
    assert (cells.bound_rows(data), cells.floor_db(data)) == ({}, None)


def test_others_published_weights_stand_beside_whole_copies_only(monkeypatch, mini_root):
    data = copies.open_data(mini_root)
    row = cells.yardsticks.Yardstick("nafnet", "paper", "", "", "mini", data.fingerprint, "test", "all", 60, 27.5, 1.25)
    listed = [row, row._replace(kind="local"), row._replace(split="validation"), row._replace(fingerprint="other")]
    monkeypatch.setattr(cells.yardsticks, "listed", lambda: listed)
    monkeypatch.setattr(cells, "blurred_scores", lambda *_: None)
    monkeypatch.setattr(cells, "bounds", lambda *_: {})
    rows = cells.bound_rows(data)
    assert {name: (row["psnr_db"], row["gain_db"]) for name, row in rows.items()} == {
        "nafnet, its authors' weights": (27.5, 1.25)
    }
    assert not cells.bound_rows(data, limit=4)


def test_the_showcase_has_a_pair_of_each_kind_and_no_scene_twice(mini_root):
    shown = cells.showcase(copies.open_data(mini_root))
    assert [kind(pair) for pair in shown] == ["global", "local", "sampling"]
    assert len({scene(pair) for pair in shown}) == 3


@pytest.mark.parametrize("paper", claims.PAPERS)
def test_nothing_differs_at_paper_scale(paper):
    assert cells.differences(paper, "paper").empty


def test_what_differs_is_read_off_recipes_and_configurations():
    rows = cells.differences("attentive", "mini").set_index("what")
    paper, mini = (recipes.recipe("attentive", scale=scale) for scale in ("paper", "mini"))
    assert rows.loc["steps"].tolist() == [f"{paper.steps:,}", f"{mini.steps:,}", f"{mini.row_steps:,}"]
    assert rows.loc["network: kernel"].tolist() == ["5", "3", "3"]
    assert rows.loc["network: init", "main run"] == "identity"
    assert rows.loc["training crops"].tolist()[:2] == ["stored pairs", "sharp scenes, exposed anew"]
    assert "loss" not in rows.index  # which is the paper's
    bench = cells.differences("simplenet", "bench").set_index("what")["main run"]
    assert bench["mean of the loss over a batch"] == "geometric"
    assert bench["curriculum"] == "few kinds of motion first"
    assert "rot90" in bench["augmentations"]


class Trained:
    """A run that only knows its paper and steps."""

    def __init__(self, name, steps):
        self.plan = type("Plan", (), {"name": name, "steps": steps})

    def network(self):
        return self


def test_probes_ask_one_network_of_the_main_run_and_several_of_rows(monkeypatch):
    """Values are the steps of the run that was looked at, a little more in every scene."""
    asked = []

    def looked(run, pairs, wanted):
        asked.append((run.plan.steps, sorted(wanted)))
        rows = [[name, pair, pair, "", run.plan.steps + i] for name in wanted for i, pair in enumerate(pairs)]
        return pd.DataFrame(rows, columns=list(probing.COLUMNS))

    monkeypatch.setattr(probing, "looked", looked)
    main, row, control = Trained("sgenet", 900), Trained("sgenet", 130), Trained("sgenet", 100)
    arms = {"sgenet": row, "sgenet/attention_from_input": control}
    table = cells.probes("sgenet", main, arms, ["x", "y", "z"]).set_index("question")
    assert len(table) == 2  # the other two need networks of other systems
    alone, beside = table.iloc[0], table.iloc[1]
    assert (alone["effect"], alone["steps"], alone["scenes"]) == (901, 900, 3)
    assert (beside["effect"], beside["steps"]) == (30, 130)
    assert alone["high"] - alone["effect"] == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)  # Student's t, two degrees
    assert beside["high"] == pytest.approx(30)  # scene by scene the same


def test_the_directions_of_all_modules_stand_beside_that_of_the_claim(monkeypatch):
    values = {"DDM 1 direction": 0.1, "DDM 2 direction": 0.2, "DDM 3 direction": 0.4, "x8 gain": 0.5}

    def looked(run, pairs, wanted):
        rows = [[name, pair, pair, "", values.get(name, 0.05)] for name in wanted for pair in pairs]
        return pd.DataFrame(rows, columns=list(probing.COLUMNS))

    monkeypatch.setattr(probing, "looked", looked)
    table = cells.probes("radn", Trained("radn", 7), {}, ["x", "y", "z"]).set_index("question")
    axes = table[table.index.str.startswith("axis of taps")]["effect"]
    assert axes.round(9).tolist() == [0.15, 0.05, 0.35]
    assert [name.partition("another's")[2] for name in axes.index] == ["", ", DDM 1", ", DDM 3"]


def test_what_says_nothing_has_no_answer(monkeypatch):
    def silent(run, pairs, wanted):
        rows = [[name, pair, pair, "", np.nan if pair != "z" else 1.0] for name in wanted for pair in pairs]
        return pd.DataFrame(rows, columns=list(probing.COLUMNS))

    monkeypatch.setattr(probing, "looked", silent)
    table = cells.probes("raidnet", Trained("raidnet", 7), {}, ["x", "y", "z"])
    assert table["effect"].isna().all()
    assert table["refused"].tolist() == pytest.approx([2 / 3] * len(table))


def test_data_without_truth_are_not_looked_at(tmp_path, capsys):
    pair = official.Pair("s", "1", tmp_path / "b.png", tmp_path / "s.png")
    cells.show_probes("smoke", Trained("raidnet", 7), {}, [pair])
    assert not (tables.folder("smoke", "raidnet") / "tables" / "probes.csv").exists()


def test_a_measurement_names_the_size_that_was_trained(mini_root):
    from deblur import notebooks

    plan = runs.Plan(copies.open_data(mini_root), "attentive", "table5_only_ca", "smoke", "row")
    run = type("Run", (), {"plan": plan, "provenance": {"device": "nowhere"}})
    row = notebooks.measurement({"psnr_db": 1.0}, run)
    assert row["trained_parameters"] == sum(value.numel() for value in plan.network().parameters())


def test_the_costs_of_trained_networks_are_of_their_own_size(mini_root):
    done = {}
    for scale in ("smoke", "mini"):
        plan = runs.Plan(copies.open_data(mini_root), "attentive", "paper", scale, "row")
        done[scale] = type("Run", (), {"plan": plan, "network": plan.network})
    costs = cells.trained_costs(done, (32, 32), "cpu", turns=1)
    for scale, run in done.items():
        count = sum(value.numel() for value in run.plan.network().parameters())
        assert (costs[scale]["parameters"], costs[scale]["size_mb"]) == (count, 4e-6 * count)
        assert costs[scale]["runtime_size"] == "32x32"
    assert costs["smoke"]["parameters"] < costs["mini"]["parameters"] < cells.complexity.cost("attentive")["parameters"]
