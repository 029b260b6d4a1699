"""`make gpu-check`, tried out on a CPU: what passes, what fails and what is told of both."""

import json

import pandas as pd
import pytest
import torch

from deblur import models
from deblur.reports import gpu_check, gpu_work
from deblur.reports.gpu_work import MODES, flawed

FALLING = [1.0 - step / 100 for step in range(gpu_work.STEPS)]


def test_without_a_gpu_the_remedy_is_told(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main([]) == 2
    assert "`make setup`" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--device", "cpu"], ["--tiny"], ["--networks", "nafnett"]])
def test_wrong_use_begins_nothing(wrong, capsys, tmp_path):
    assert gpu_check.main([*wrong, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_losses_must_fall_and_be_near_the_reference():
    assert flawed(FALLING, FALLING, MODES["fp32"]) == ""
    assert "does not fall" in flawed(FALLING[::-1], FALLING[::-1], MODES["fp32"])
    assert "does not fall" in flawed([1.0] * len(FALLING), FALLING, MODES["bf16"])
    late = [*FALLING[:-1], 0.7]
    assert flawed(late, FALLING, MODES["tf32"]).startswith("the loss of step 12 is 0.7, 21.3% off the reference's 0.89")
    assert flawed(late, FALLING, MODES["bf16"]) == ""
    assert "step 1 is 0.98" in flawed([0.98, *FALLING[1:]], FALLING, MODES["compiled"])
    assert flawed([-value for value in FALLING[::-1]], [-value for value in FALLING[::-1]], MODES["fp32"]) == ""


def test_every_network_is_trained_in_every_way():
    place = gpu_work.Place("cuda", "turn", "bench")
    (tests, *trainings), exposures = gpu_check.jobs(models.NETWORKS, place, (0, 8))
    assert tests.items[0].name == "tests/test_cuda.py"
    assert [job.items[0].name for job in trainings] == list(models.NETWORKS)
    for job in trainings:
        assert job.items[0].mode == "fp32"  # the reference
        sizes = {(item.batch, item.crop): set() for item in job.items}
        for item in job.items:
            sizes[item.batch, item.crop].add(item.mode)
        assert set(sizes) >= {(16, 256)}
        assert all(modes >= {"tf32", "bf16"} for modes in sizes.values())
        assert {mode for modes in sizes.values() for mode in modes} >= {"fp32", "tf32", "bf16", "compiled"}
    assert {item.mode for item in exposures.items} == {"0 workers", "8 workers"}


TESTS = """
import pytest

def test_good():
    pass

def test_bad():
    assert 1 == 2, "one is not two"

@pytest.mark.skip(reason="not here")
def test_skipped():
    pass
"""
OPTION = "def pytest_addoption(parser):\n    parser.addoption('--device')\n"


def test_all_of_it_on_a_cpu(tmp_path, monkeypatch, capsys):
    (tmp_path / "conftest.py").write_text(OPTION)
    (tmp_path / "test_some.py").write_text(TESTS)
    monkeypatch.setattr(gpu_check, "TESTS", str(tmp_path / "test_some.py"))
    out = tmp_path / "out"
    arguments = ["--device", "cpu", "--tiny", "--networks", "deblurgan_v2", "--processes", "2", "--out", str(out)]
    assert gpu_check.main(arguments) == 1
    told = json.loads((out / "gpu_check.json").read_text())
    rows = {(row["kind"], row["name"].rpartition("::")[2], row["mode"], row["crop"]): row for row in told["rows"]}
    status = {key: row["status"] for key, row in rows.items()}
    assert status.pop(("test", "test_bad", "", 0)) == "failed"
    assert status.pop(("test", "test_skipped", "", 0)) == "not run"
    assert set(status.values()) == {"passed"}
    assert {key[0] for key in status} == {"test", "training", "exposure"}
    assert "one is not two" in rows["test", "test_bad", "", 0]["message"]
    assert rows["training", "deblurgan_v2", "fp32", 32]["steps_per_second"] > 0
    assert told["device"].startswith("CPU")
    assert told["versions"]["torch"]
    table = pd.read_csv(out / "gpu_check.csv")
    assert len(table) == len(rows)
    printed = capsys.readouterr().out
    assert "one is not two" in printed
    assert f"all: {len(rows) - 2} passed, 1 failed, 1 not run" in printed
