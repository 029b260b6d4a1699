"""The list of trainings that a paper takes, and what they cost."""

import json
import shlex

import pytest
import torch

from deblur import cli, complexity, models, planning, runs


@pytest.fixture
def data(mini_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    return runs.open_data(mini_root)


def test_every_variant_is_planned_once_and_no_training_twice(data):
    table = planning.plan(data, "attentive", "smoke", [0, 1], timed=False)
    wanted = {(variant, "row", seed) for variant in models.attentive.VARIANTS for seed in (0, 1)}
    wanted |= {("paper", "main", seed) for seed in (0, 1)}
    assert set(table[["variant", "budget", "seed"]].itertuples(index=False, name=None)) == wanted
    assert table["scores"].is_unique
    assert not table["done"].any()


def test_at_paper_scale_the_long_run_is_the_row(data):
    """Both budgets are the printed one there, so the full network is trained once."""
    table = planning.plan(data, "attentive", "paper", [0], timed=False)
    assert table[table["variant"] == "paper"]["budget"].tolist() == ["main"]


def test_its_commands_make_the_files_that_it_names(data, mini_root, capsys):
    table = planning.plan(data, "attentive", "smoke", [3], root=str(mini_root), timed=False)
    one = table[table["variant"] == "table5_only_sa"].iloc[0]
    program, *arguments = shlex.split(one["command"])
    assert program == "deblur"
    assert cli.main(arguments) == 0
    again = planning.plan(data, "attentive", "smoke", [3], root=str(mini_root), timed=False)
    assert again.loc[again["done"], "variant"].tolist() == ["table5_only_sa"]
    assert again.loc[again["done"], "scores"].item() == one["scores"]


def test_seconds_grow_with_the_work_of_the_recipe(data, monkeypatch):
    """A step that takes one millisecond at the probe's size is scaled by multiply-accumulates and batch."""
    one = runs.Plan(data, "attentive", "paper", "mini")
    monkeypatch.setattr(complexity, "time_calls", lambda calls, repeats: {name: [1.0] for name in calls})
    found = planning.seconds_per_step(one, "cpu")
    network = one.network()
    macs = {side: complexity.macs(network, side, side) for side in (one.recipe.crop, planning.PROBE["crop"])}
    wanted = 1e-3 * one.recipe.batch * macs[one.recipe.crop] / (planning.PROBE["batch"] * macs[planning.PROBE["crop"]])
    assert found == pytest.approx(wanted)


def test_a_timed_plan_from_the_command_line(data, mini_root, capsys):
    assert cli.main(["plan", "attentive", "--scale", "smoke", "--data", str(mini_root), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["hours"] > 0 for row in rows)
    assert [row["hours"] for row in rows] == sorted((row["hours"] for row in rows), reverse=True)
    assert {row["device"] for row in rows} == {complexity.device_name("cuda" if torch.cuda.is_available() else "cpu")}
    assert cli.main(["plan", "attentive", "--scale", "smoke", "--data", str(mini_root), "--untimed"]) == 0
    assert "table5_only_sa" in capsys.readouterr().out


def test_an_option_of_the_machine_reaches_the_recipe_and_an_unknown_one_is_refused(data):
    one = runs.Plan(data, "attentive", scale="smoke", options={"accumulate": 2, "workers": 3})
    assert (one.recipe.accumulate, one.recipe.workers) == (2, 3)
    assert one.key != runs.Plan(data, "attentive", scale="smoke").key
    assert (
        runs.Plan(data, "attentive", scale="smoke", options={"workers": 3}).key
        == runs.Plan(data, "attentive", scale="smoke").key
    )
    with pytest.raises(TypeError, match="steps_per_day"):
        _ = runs.Plan(data, "attentive", scale="smoke", options={"steps_per_day": 3}).recipe
