"""Scores that are kept: made once for all that they depend on, and made again for anything else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from deblur import evaluation, runs
from deblur.data import copies
from deblur.evaluation import protocols
from deblur.runs import scores as kept


class Scaled(nn.Module):
    """Scales its input, and counts how often."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.asked = 0

    def forward(self, blurred):
        self.asked += 1
        return (self.factor * blurred,)


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """What is scored: restore and pairs; each score is the number of its call."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    runs.scoring()  # hashed before functions are replaced
    found = []

    def table(restore, pairs):
        found.append((restore, pairs))
        return pd.DataFrame({"name": [pair.name for pair in pairs], "psnr_db": float(len(found))})

    def score_pairs(protocol, benchmark, method, pairs, title=""):
        assert protocol in evaluation.PROTOCOLS
        found.append((method(None), pairs))
        return pd.DataFrame({"name": [f"{benchmark} {protocol}"], "psnr_db": float(len(found))})

    monkeypatch.setattr(evaluation, "evaluate", lambda restore, pairs, title="": table(restore, pairs))
    monkeypatch.setattr(evaluation, "score_pairs", score_pairs)
    monkeypatch.setattr(runs.Run, "network", lambda run: Scaled(1 / (2 + run.plan.seed)))
    return found


def each_once(asks, scored):
    """Every ask is scored once, for itself: asked again, it gives what it gave before."""
    first = []
    for number, ask in enumerate(asks, 1):
        first.append(ask())
        assert len(scored) == number, "taken for another"
        assert set(first[-1]["psnr_db"]) == {number}
    for ask, table in zip(asks, first, strict=True):
        pd.testing.assert_frame_equal(ask(), table)
    assert len(scored) == len(asks)
    return first


def level(restore):
    """What a picture of level 100 becomes, in levels."""
    return float(restore(np.full((8, 8, 3), 100, np.uint8)).mean() * 255)


def test_scores_by_a_protocol_are_those_of_run_data_protocol_and_limit(mini_root, scored, monkeypatch):
    trained_on, data = copies.open_data(mini_root), copies.open_data(name="realblur_j")
    one, two = (runs.Run(runs.Plan(trained_on, "attentive", scale="smoke", seed=seed)) for seed in (0, 2))
    other = replace(copies.open_data(name="realblur_r"), fingerprint=data.fingerprint)
    asks = {
        "run": (data, "realblur_ecc", one, 3),
        "another run": (data, "realblur_ecc", two, 3),
        "no run": (data, "realblur_ecc", None, 3),
        "another protocol": (data, "full_rgb8", one, 3),
        "another limit": (data, "realblur_ecc", one, 2),
        "no limit": (data, "realblur_ecc", one, None),
        "another benchmark": (other, "realblur_ecc", one, 3),
        "other pixels": (replace(data, fingerprint="0" * 16), "realblur_ecc", one, 3),
        "as trained on": (trained_on, "full_rgb8", one, 3),
        "linear light": (replace(trained_on, subset="blur_gamma"), "full_rgb8", one, 3),
    }
    assert one.plan.key != two.plan.key
    monkeypatch.setattr(kept, "code_hash", lambda *objects: "code")  # which would tell protocols apart as well
    tables = each_once([lambda ask=ask: runs.protocol_scores(*ask) for ask in asks.values()], scored)
    for (where, protocol, trained, limit), (restore, pairs), table in zip(asks.values(), scored, tables, strict=True):
        assert pairs == where.pairs("test", limit)
        assert table["name"].tolist() == [f"{where.name} {protocol}"]
        assert level(restore) == pytest.approx(100 / (2 + trained.plan.seed) if trained else 100, abs=1e-3)
    monkeypatch.setattr(kept, "code_hash", lambda *objects: "other code")
    runs.protocol_scores(data, "realblur_ecc", one, 3)
    assert len(scored) == len(asks) + 1


@pytest.mark.parametrize("replaced", ["score", "restorer"])
def test_scores_by_a_protocol_follow_the_code_that_makes_them(replaced, scored, monkeypatch):
    asked = []
    monkeypatch.setattr(kept, "code_hash", lambda *objects: asked.append(objects) or "")
    runs.protocol_scores(copies.open_data(name="realblur_j"), "realblur_ecc", None, 1)
    wanted = {"score": protocols.score_realblur, "restorer": evaluation.restorer}[replaced]
    assert wanted in asked[0]


def test_the_blurred_input_is_that_of_its_data_limit_and_scoring(mini_root, scored, monkeypatch):
    data = copies.open_data(mini_root)
    asks = {
        "blurred": (data, 3),
        "another limit": (data, 2),
        "no limit": (data, None),
        "linear light": (replace(data, subset="blur_gamma"), 3),
        "other pixels": (replace(data, fingerprint="0" * 16), 3),
    }
    each_once([lambda ask=ask: runs.blurred_scores(*ask) for ask in asks.values()], scored)
    for (where, limit), (restore, pairs) in zip(asks.values(), scored, strict=True):
        assert pairs == where.pairs("test", limit)
        assert level(restore) == pytest.approx(100, abs=1e-3)
    monkeypatch.setattr(kept, "scoring", lambda: "another")
    runs.blurred_scores(data, 3)
    assert len(scored) == len(asks) + 1


def test_scores_on_the_study_exam_are_those_of_run_exam_and_scoring(mini_root, scored, monkeypatch):
    data = copies.open_data(mini_root)  # its test split stands for the exam's
    exam, plan = replace(data, study=True), runs.Plan(data, "attentive", scale="smoke")
    one, two = runs.Run(plan), runs.Run(replace(plan, seed=2))
    asks = [(one, exam), (two, exam), (one, replace(exam, fingerprint="0" * 16))]
    each_once([lambda ask=ask: runs.exam_scores(*ask) for ask in asks], scored)
    for (run, where), (restore, pairs) in zip(asks, scored, strict=True):
        assert pairs == where.pairs("test")  # all of them, whatever the recipe scores
        assert level(restore) == pytest.approx(100 / (2 + run.plan.seed), abs=1e-3)
    monkeypatch.setattr(kept, "scoring", lambda: "another")
    runs.exam_scores(one, exam)
    assert len(scored) == len(asks) + 1


def test_the_ensemble_is_that_of_its_run(mini_root, scored, monkeypatch):
    data = copies.open_data(mini_root)
    plan = runs.Plan(data, "attentive", scale="smoke")
    others = [replace(plan, seed=2), replace(plan, budget="row"), replace(plan, options={"test_pairs": 2})]
    done, network = [runs.Run(one) for one in (plan, *others)], Scaled(0.5)
    monkeypatch.setattr(runs.Run, "network", lambda run: network)
    each_once([lambda run=run: runs.ensemble_scores(run) for run in done], scored)
    for number, (one, (restore, pairs)) in enumerate(zip(done, scored, strict=True), 1):
        assert pairs == data.pairs("test", one.plan.recipe.test_pairs)
        assert len(pairs) == (2 if one.plan.options else 4)
        assert level(restore) == pytest.approx(50, abs=1e-3)
        assert network.asked == 8 * number
    monkeypatch.setattr(kept, "code_hash", lambda *objects: "other code")
    runs.ensemble_scores(done[0])
    assert len(scored) == len(done) + 1
