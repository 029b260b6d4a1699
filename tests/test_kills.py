"""Killed with SIGKILL at random moments, twenty times: the next call completes, and leaves what an unkilled one does.

Training, packing and evaluation run in a forked process, so that kills meet work and not the import of PyTorch; a
notebook runs in papermill's own processes, all of which are killed.
"""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from functools import partial

import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from deblur import cli, runs
from deblur.data import copies, official, packing
from deblur.weights import tensors

READ = {
    ".pt": torch.load,
    ".safetensors": load_file,
    ".csv": pd.read_csv,
    ".json": lambda path: json.loads(path.read_text()),
    ".npy": np.load,
}
"""How a file is read whole; raises if it is not."""


def start(work, *arguments):
    """A process that begins with everything imported."""

    def begin():
        torch.set_num_threads(1)
        work(*arguments)

    process = multiprocessing.get_context("fork").Process(target=begin)
    process.start()
    return process


def wait_for_work(process, folder):
    """Until something in `folder` is new, or the process has ended."""
    before = times(folder)
    while process.is_alive() and times(folder) == before:
        time.sleep(0.002)


def complete(work, *arguments, watched):
    """Do `work` undisturbed; returns the seconds from what it first writes into the folder `watched` to its end."""
    process = start(work, *arguments)
    wait_for_work(process, watched)
    began = time.perf_counter()
    process.join(600)
    assert process.exitcode == 0
    return time.perf_counter() - began


def kill_often(work, folder, kills, span, seed, check, watched=None):
    """Kill `work`, with all processes below it, at random moments until `kills` have met it; then check.

    What it completes before starts anew, with an empty `folder`.

    Args:
        span: seconds of it, see `complete`. Each call is left half of them at most, so that most continue another.
        check: called after every kill.
    """
    rng = np.random.default_rng(seed)
    completed = 0
    while kills:
        process = start(work)
        wait_for_work(process, watched or folder)
        process.join(rng.uniform(0, span / 2))
        if process.is_alive():
            # The kernel of a notebook is in no process group of its parent.
            family = psutil.Process(process.pid)
            for one in (family, *family.children(recursive=True)):
                one.kill()
            process.join()
            kills -= 1
            check()
        else:
            assert process.exitcode == 0
            completed += 1
            shutil.rmtree(folder)
        assert completed <= 8, "hardly a kill meets work"


def visible(folder):
    """The files of a folder that count, by name: no drafts, which begin with a dot, and no locks."""
    files = (path for path in folder.rglob("[!.]*") if path.is_file() and not path.name.endswith("lock"))
    return {path.relative_to(folder).as_posix(): path for path in files}


def times(folder):
    return {name: path.stat().st_mtime_ns for name, path in visible(folder).items()}


def contents(folder):
    return {name: path.read_bytes() for name, path in visible(folder).items()}


def leave_drafts(folder):
    """Beside every file, what a kill in the midst of writing it leaves; reading one of these would raise."""
    for path in visible(folder).values():
        path.with_name(f".{path.stem}-0badcafe{path.suffix}").write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture(scope="module")
def data(mini_root):
    return copies.open_data(mini_root)


# ------------------------------------------------------------------------------------------------- training

OPTIONS = {"steps": 40, "checkpoint_every": 3, "log_every": 2, "validate_every": 16}
RESULT = ("model.safetensors", "log.csv", "per_image.csv", "parts.csv", "recipe.json")


@pytest.mark.parametrize(("workers", "kills"), [(0, 5), (1, 3)])
def test_training(data, tmp_path, monkeypatch, workers, kills):
    plan = runs.Plan(data, "attentive", "paper", "smoke", options=OPTIONS | {"workers": workers})
    assert plan.key
    work = partial(runs.train_one, plan)
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "undisturbed"))
    span = complete(work, watched=plan.folder)
    whole = contents(plan.folder)
    assert set(whole) == {*RESULT, "provenance.json", "state.pt", "manifest.json"}
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "killed"))
    states = set()

    def check():
        for name, path in visible(plan.folder).items():
            found = READ[path.suffix](path)
            if name == "state.pt":
                states.add(found["step"])
            elif name in ("model.safetensors", "per_image.csv"):
                assert path.read_bytes() == whole[name]
            assert name == "manifest.json" or plan.files.state(name) == "whole"
        assert not runs.is_complete(plan) or contents(plan.folder).keys() == whole.keys()

    kill_often(work, plan.folder, kills, span, workers, check)
    assert states - {OPTIONS["steps"]}  # a kill in the midst of training
    leave_drafts(plan.folder)
    complete(work, watched=plan.folder)
    assert runs.is_complete(plan)
    done = contents(plan.folder)
    assert done.keys() == whole.keys()
    assert {name: done[name] for name in RESULT} == {name: whole[name] for name in RESULT}


def test_workers_end_with_a_parent_that_is_killed_alone(data, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    plan = runs.Plan(data, "attentive", "paper", "smoke", options=OPTIONS | {"steps": 100_000})
    process = start(runs.load_or_run, [plan], 1)
    while process.is_alive() and not (plan.folder / "state.pt").is_file():
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


# -------------------------------------------------------------------------------------------------- packing


def test_packing(data, tmp_path):
    pairs = data.pairs("train")
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "killed"
    span = complete(packing.pack, pairs, undisturbed, 1, watched=undisturbed)
    whole = contents(undisturbed)
    assert len(whole) == len(pairs) + 1
    counts = []

    def check():
        found = contents(folder) if folder.exists() else {}
        assert found.items() <= whole.items()
        assert (packing.open_packed(folder, pairs) is None) == ("manifest.json" not in found)
        counts.append(len(found))

    kill_often(partial(packing.pack, pairs, folder, 1), folder, 5, span, 0, check)
    assert any(0 < count < len(whole) for count in counts)
    leave_drafts(folder)
    packing.pack(pairs, folder, 1)
    assert contents(folder) == whole
    assert not packing.damaged(folder)
    for pair, file in zip(pairs[::20], packing.open_packed(folder, pairs).files[::20], strict=True):
        np.testing.assert_array_equal(np.load(file), official.read_pair(pair))


# ----------------------------------------------------------------------------------------------- evaluation


def test_evaluation(data, mini_root, tmp_path):
    weights = tmp_path / "weights.safetensors"
    tensors.save_weights(runs.Plan(data, "attentive", scale="smoke").network(), weights)
    words = f"evaluate attentive --weights {weights} --scale smoke --benchmark gopro --root {mini_root}"
    words += " --subset blur --protocol full_rgb8 --out"

    def evaluate(folder):
        sys.exit(cli.main([*words.split(), str(folder / "scores.csv")]))

    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "killed"
    span = complete(evaluate, undisturbed, watched=undisturbed)
    whole = contents(undisturbed)
    assert list(whole) == ["scores.csv"]
    scores = pd.read_csv(undisturbed / "scores.csv").set_index("name")
    counts = []

    def check():
        found = contents(folder) if folder.exists() else {}
        assert found.get("scores.csv", whole["scores.csv"]) == whole["scores.csv"]
        lines = found.get("scores.csv.journal", b"").splitlines(keepends=True)[1:]
        rows = [json.loads(line.partition(b" ")[2])["row"] for line in lines if line.endswith(b"\n")]
        assert all(row["psnr_db"] == scores.loc[row["name"], "psnr_db"] for row in rows)
        counts.append(len(rows))

    kill_often(partial(evaluate, folder), folder, 5, span, 0, check)
    assert any(0 < count < len(scores) for count in counts)
    leave_drafts(folder)
    complete(evaluate, folder, watched=folder)
    assert contents(folder) == whole


# ------------------------------------------------------------------------------------------------ notebooks

CELLS = [
    'scale: str = "smoke"\ndata_root: str = ""\nseed: int = 0',
    """\
import pandas as pd

from deblur import evaluation, notebooks, runs, tables
from deblur.data import copies

notebooks.check_parameters(globals())
data, hide = copies.open_data(data_root), copies.open_data(name="hide")
blurred = runs.blurred_scores(data, 4)""",
    """\
variants = ("paper", "table5_only_ca")
options = {"steps": 40, "checkpoint_every": 5}
plans = [runs.Plan(data, "attentive", name, scale, seed=seed, options=options) for name in variants]
done = runs.load_or_run(plans, processes=1)
rows = [notebooks.measurement(evaluation.summarise(run.scores(), blurred), run) for run in done]
tables.save(pd.DataFrame(rows), scale, "small", "table1")""",
    """\
_, on_hide = notebooks.by_protocol(dict(zip(variants, done)), hide, "full_rgb8", 4)
tables.save(pd.DataFrame(on_hide), scale, "small", "table2")
notebooks.finish("small", scale, data, done, rows, ["tables/table1.csv", "tables/table2.csv"])""",
]
"""The steps of a paper's notebook that write anything."""


def run_cells(root):
    """The cells one after the other, in this process."""
    os.environ |= places(root)
    namespace = {}
    for cell in CELLS:
        exec(cell, namespace)


def run_papermill(root):
    command = [sys.executable, "-m", "papermill", "small.ipynb", "out.ipynb", "--no-progress-bar"]
    root.mkdir(exist_ok=True)
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, root / "small.ipynb")
    sys.exit(subprocess.run(command, cwd=root, env=os.environ | places(root), check=False).returncode)


def places(root):
    return {"DEBLUR_RUNS": str(root / "runs"), "DEBLUR_RESULTS": str(root / "results")}


def lasting(root):
    """What a notebook leaves, but for times: tables, shared scores, and of every training weights, log and scores."""
    found = contents(root)
    assert json.loads(found["results/smoke/small/run.json"])["files"].keys() == {
        "tables/table1.csv",
        "tables/table2.csv",
    }
    return {
        name: data
        for name, data in found.items()
        if not name.endswith(("run.json", "provenance.json", "manifest.json", ".pt", ".ipynb"))
        and not name.startswith("runs/content/")  # hashes, with the times of files
    }


def test_notebooks_two_at_once_and_killed_ones(tmp_path):
    pytest.importorskip("papermill")
    shared, killed = tmp_path / "shared", tmp_path / "killed"
    other = start(run_cells, shared)
    span = complete(run_cells, shared, watched=shared / "runs" / "attentive")
    other.join(600)
    assert other.exitcode == 0
    whole = lasting(shared)
    assert len([name for name in whole if name.endswith("model.safetensors")]) == 2
    assert not list(shared.rglob(".*"))  # no drafts either

    def check():
        for path in visible(killed / "runs").values():
            READ[path.suffix](path)

    kill_often(partial(run_papermill, killed), killed, 2, span, 0, check, watched=killed / "runs" / "attentive")
    leave_drafts(killed)
    complete(run_papermill, killed, watched=killed)
    assert lasting(killed) == whole
