"""Released weights: the file is the run's, rounded; the card's scores are those of the file."""

import json
import multiprocessing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from deblur import cli, evaluation, models, paths, release, runs, tables
from deblur.data import copies, official
from deblur.data.loading import as_tensor
from deblur.runs import pool, provenance, train
from deblur.weights import released


@pytest.fixture(scope="module")
def trained(mini_root):
    """A network of smoke size after a few steps on the very pairs that are scored, so that it gains."""
    plan = runs.Plan(copies.open_data(mini_root), "attentive", scale="smoke")
    network = plan.network()
    blurred, sharp = (torch.stack(images) for images in zip(*(_tensors(pair) for pair in plan.data.pairs("test", 4))))
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    for _ in range(12):
        optimiser.zero_grad()
        F.mse_loss(network(blurred)[0], sharp).backward()
        optimiser.step()
    return network


@pytest.fixture
def run(tmp_path, monkeypatch, mini_root, trained):
    """A finished training at smoke size, which gains."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    plan = runs.Plan(copies.open_data(mini_root), "attentive", scale="smoke")
    plan.files.write_weights(trained)
    plan.files.write_text("log.csv", "step,loss,val_psnr_db\n6,0.25,\n12,0.125,21.5\n")
    record = provenance.provenance() | {"device": "nowhere", "training_seconds": 1.0, "continued": False}
    plan.files.write_json("provenance.json", record)
    return runs.Run(plan)


def _tensors(pair):
    return [as_tensor(image) for image in official.read_pair(pair)]


def test_the_file_is_the_run_in_half_precision_and_its_scores_are_the_files(run):
    path = release.release(run, "tiny")
    card = json.loads(path.with_suffix(".json").read_text())
    halves, full = load_file(path), load_file(run.plan.folder / "model.safetensors")
    assert halves.keys() == full.keys()
    assert all(torch.equal(halves[name], full[name].half()) for name in full)
    assert card["sha256"] == paths.file_sha256(path)
    # Scored again by hand, from nothing but card and file.
    network = models.build(card["network"], card["variant"], **card["config"])
    network.load_state_dict({name: half.float() for name, half in halves.items()})
    pairs = run.plan.data.pairs("test", 4)
    scores = evaluation.evaluate(evaluation.restorer(network), pairs)
    blurred = evaluation.evaluate(evaluation.identity, pairs)
    gains = scores["psnr_db"] - blurred["psnr_db"]
    assert card["scores"]["gain_db"] == pytest.approx(gains.mean(), abs=1e-4)
    assert card["scores"]["gain_db_lowest_pair"] == pytest.approx(gains.min(), abs=1e-4)
    full_network = run.network()
    assert not torch.equal(next(network.parameters()), next(full_network.parameters()))  # the rounding was scored


def test_notebooks_take_released_weights_instead_of_training(run, tmp_path, monkeypatch):
    path = release.release(run, "tiny")
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "another store"))
    assert run.plan.key  # hashed, as is the scoring, before functions are replaced
    assert runs.scoring()
    other = runs.Plan(run.plan.data, "attentive", scale="smoke", seed=1)
    trained = []
    monkeypatch.setattr(train, "train_plan", lambda plan, *_: trained.append(plan) or 1 / 0)
    monkeypatch.setattr(pool, "_steps_done", multiprocessing.Value("q", 0))
    pool._train_and_score(run.plan)
    assert pool._steps_done.value == run.plan.recipe.steps  # of the parent's bar
    with pytest.raises(ZeroDivisionError):  # another seed was not released
        pool._train_and_score(other)
    assert trained == [other]
    (found,) = runs.load_or_run([run.plan])
    card = json.loads(path.with_suffix(".json").read_text())
    assert found.provenance["released"] == "tiny"
    assert found.provenance["training_seconds"] == card["training"]["training_seconds"] == 1.0
    assert found.log()["val_psnr_db"].dropna().tolist() == [21.5]
    gained = evaluation.add_gain(found.scores(), runs.blurred_scores(run.plan.data, 4))["gain_db"].mean()
    assert gained == pytest.approx(card["scores"]["gain_db"], abs=1e-4)
    assert runs.stored().keys() == {run.plan.folder}
    assert json.loads((run.plan.folder / "recipe.json").read_text()) == run.plan.content


def test_the_main_plan_is_that_of_released_weights_that_the_present_code_would_make(run, monkeypatch):
    data = run.plan.data
    assert isinstance(runs.main_plan(data, "attentive", "smoke"), runs.Plan)
    path = release.release(run, "tiny")
    plan = runs.main_plan(data, "attentive", "smoke")
    assert (plan.key, plan.steps) == (run.plan.key, run.plan.recipe.steps)
    assert isinstance(plan, runs.Listed)
    went_on = runs.Run(replace(plan, steps_before=100))
    assert went_on.plan.steps == 100 + plan.recipe.steps
    assert went_on.log()["step"].tolist() == [106, 112]
    others = {"another seed": (data, "attentive", "smoke", 1), "another network": (data, "srn", "smoke")}
    others["another scale"] = (data, "attentive", "mini")
    others["other data"] = (replace(data, fingerprint="other"), "attentive", "smoke")
    for what, arguments in others.items():
        assert type(runs.main_plan(*arguments)) is runs.Plan, what
    card = json.loads(path.with_suffix(".json").read_text())
    card["recipe"] |= {"key": "of other code"}
    path.with_suffix(".json").write_text(json.dumps(card))
    assert runs.main_plan(data, "attentive", "smoke") == run.plan


def test_the_card_says_where_weights_come_from_and_what_tiles_change(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_PHOTOS", str(tmp_path / "photographs"))
    (tmp_path / "photographs").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (140, 1420, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photographs" / "wide.png")
    card = json.loads(release.release(run, "tiny").with_suffix(".json").read_text())
    assert (card["network"], card["scale"], card["precision"]) == ("attentive", "smoke", "float16")
    assert card["parameters"] == sum(p.numel() for p in run.network().parameters())
    assert card["recipe"]["key"] == run.plan.key
    assert card["data"]["tested_on"] == card["data"]["trained_on"] == "mini gopro (blur)"
    assert card["tile"]["pairs"] == 1
    assert pd.read_csv(paths.weights_dir() / "tiny.csv").equals(run.log())
    assert any("defocus" in limit for limit in card["limits"])


def test_the_table_says_how_long_a_training_took_and_where(run):
    run.plan.files.write_json("provenance.json", run.provenance | {"training_seconds": 5400})
    release.release(run, "tiny")
    assert tables.released()[-1].endswith(" | 1.5 | nowhere |")


def test_what_an_unfinished_training_has_learnt_is_kept_and_gone_on_from(run, tmp_path, monkeypatch):
    """Of 9 steps 4 are done, on two devices; what goes on from them says so, and starts with those very weights."""
    plan, network = replace(run.plan, seed=7), run.network()
    state = {"step": 4, "seconds": {"a GPU": 60.0, "a CPU": 30.0}, "network": plan.network().state_dict()}
    state["average"] = {f"module.{name}": value for name, value in network.state_dict().items()}
    state["average"]["n_averaged"] = torch.tensor(4)
    with pytest.raises(ValueError, match="holds no training that has kept a step"):
        release.keep_partial(plan)
    with plan.files.writing("state.pt") as draft:
        torch.save(state, draft)
    path = release.keep_partial(plan)
    assert path == tmp_path / "weights" / "partial" / "attentive.safetensors"
    halves = load_file(path)
    assert all(torch.equal(halves[name], value.half()) for name, value in network.state_dict().items())
    assert not released.cards()  # restore does not know it
    with pytest.raises(FileExistsError):
        release.keep_partial(plan)
    release.keep_partial(plan, overwrite=True)

    on = replace(run.plan, pretrained=str(path))
    assert on.key != run.plan.key
    first = on.network().state_dict()
    assert all(torch.equal(first[name], value.half().float()) for name, value in network.state_dict().items())
    effort = train._effort(on, {"a CPU": 10.0})
    assert effort == {"device": "a GPU, then a CPU", "training_seconds": 100.0, "steps_before": 4}
    assert train._effort(run.plan, {"a CPU": 10.0}) == {
        "device": "a CPU",
        "training_seconds": 10.0,
        "steps_before": None,
    }
    monkeypatch.setattr(release, "LARGEST_PARTIAL_MB", 1e-6)
    with pytest.raises(ValueError, match="more than 0: keep it elsewhere"):
        release.keep_partial(plan, overwrite=True)


def test_too_large_files_leave_nothing(run, monkeypatch):
    monkeypatch.setattr(release, "LARGEST_MB", 0.001)
    with pytest.raises(ValueError, match="train smaller widths"):
        release.release(run, "tiny")
    assert not list(paths.weights_dir().glob("*"))


def test_what_does_not_gain_is_not_released(run):
    network = run.plan.network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    run.plan.files.write_weights(network)
    with pytest.raises(ValueError, match=r"tiny gains -\d+\.\d+ dB on the test split: train it for longer"):
        release.release(run, "tiny")
    assert not list(paths.weights_dir().glob("*"))


def test_the_command_releases_finished_trainings_only(run, capsys, monkeypatch):
    command = ["weights", "release", "attentive", "tiny", "--scale", "smoke"]
    assert cli.main(command) == 1
    assert "holds no finished training" in capsys.readouterr().err
    monkeypatch.setattr(runs, "is_complete", lambda plan: plan.key == run.plan.key)
    monkeypatch.setattr(copies, "open_data", lambda *_, **__: run.plan.data)
    assert cli.main(command) == 0
    card = json.loads((paths.weights_dir() / "tiny.json").read_text())
    assert card["scores"]["gain_db"] > 0


def test_values_that_half_precision_cannot_hold_are_named():
    tensors = {"fine": torch.ones(2), "huge": torch.tensor([1e6]), "count": torch.tensor(10**9)}
    with pytest.raises(ValueError, match="huge"):
        release.rounded(tensors)
    del tensors["huge"]
    assert release.rounded(tensors)["count"].dtype == torch.int64
