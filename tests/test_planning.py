"""The list of trainings that a paper takes, and what they cost."""

import json
import shlex

import pandas as pd
import pytest
import torch

from deblur import cli, models, planning, runs, talk
from deblur.data import copies
from deblur.evaluation import complexity


@pytest.fixture
def data(mini_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    return copies.open_data(mini_root)


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


def test_seconds_grow_with_the_work_of_each_recipe(data, monkeypatch):
    monkeypatch.setattr(planning, "seconds_per_mac", lambda one, device: 1e-9)
    trainings = [runs.Plan(data, "attentive", variant, "mini") for variant in ("paper", "table5_without_all")]
    found = planning.estimates(trainings, torch.device("cpu"))
    for one, seconds in zip(trainings, found, strict=True):
        macs = complexity.macs(one.network(), one.recipe.crop, one.recipe.crop)
        assert seconds == pytest.approx(1e-9 * one.recipe.steps * one.recipe.batch * macs)


@pytest.mark.parametrize(("step_s", "sizes"), [(0.001, [64, 64, 128, 128, 256, 256]), (0.3, [64, 64]), (9.0, [64, 64])])
def test_steps_are_timed_at_the_largest_size_that_there_is_time_for(step_s, sizes, data, monkeypatch):
    """Time stands still but for the steps: each takes as long, whatever its size; the first of a size warms up."""
    now, seen = [0.0], []

    class Step:
        def __init__(self, one, device):
            pass

        def __call__(self, crop, batch):
            seen.append((crop, batch))
            now[0] += step_s

    monkeypatch.setattr(planning, "_Step", Step)
    monkeypatch.setattr(planning.time, "perf_counter", lambda: now[0])
    one = runs.Plan(data, "attentive", "paper", "paper")
    found = planning.seconds_per_mac(one, torch.device("cpu"))
    assert seen == [(size, planning.SMALLEST["batch"]) for size in sizes]
    assert found * planning.step_macs(one, *seen[-1]) == pytest.approx(step_s)


def test_a_step_makes_gradients_at_any_size(data):
    one = runs.Plan(data, "radn", "paper", "smoke")
    step = planning._Step(one, torch.device("cpu"))
    step(64, 1)
    assert all(parameter.grad is not None for parameter in step.network.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (3.14, "3.1 s"),
        (59.6, "60 s"),
        (119, "119 s"),
        (120, "2 minutes"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (172_800, "2 days"),
        (9 * 365.25 * 86400, "9 years"),
        (4e11, "12,675 years"),
    ],
)
def test_a_time_is_told_in_units_that_people_use(seconds, words):
    assert talk.duration(seconds) == words


def test_the_summary_counts_what_is_left_side_by_side(data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(planning, "cpu_count", lambda: 2)
    monkeypatch.setattr(planning, "at_mini", lambda *_: 720.0)
    table = pd.DataFrame({"hours": [3.0, 2.0, 1.0, 50.0], "done": [False] * 3 + [True], "device": "CPU, 1 thread"})
    said, how = planning.summary(table, data, "radn", "paper")
    assert said.startswith("4 trainings, 1 done; about 3 hours to go on this CPU, 2 at a time")
    assert said.endswith("--scale mini: about 6 minutes")
    assert how.endswith("No GPU was measured.")
    said, _ = planning.summary(table.iloc[:1], data, "radn", "mini")  # no core can help the other
    assert "about 3 hours to go" in said
    assert "--scale" not in said


def test_a_timed_plan_from_the_command_line(data, mini_root, capsys):
    assert cli.main(["plan", "attentive", "--scale", "smoke", "--data", str(mini_root), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["hours"] > 0 for row in rows)
    assert [row["hours"] for row in rows] == sorted((row["hours"] for row in rows), reverse=True)
    assert {row["device"] for row in rows} == {complexity.device_name("cuda" if torch.cuda.is_available() else "cpu")}
    assert cli.main(["plan", "attentive", "--scale", "smoke", "--data", str(mini_root)]) == 0
    shown = capsys.readouterr()
    assert "timing a few steps of attentive at scale smoke" in shown.err
    assert "to go on" in shown.out
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
