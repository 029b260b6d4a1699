"""What commands say: what they do, what they kept, what they wrote, and one document for programs."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from deblur import cli, notebooks, paths, runs, talk
from deblur.data import bundled, copies, trees
from deblur.reports.awkward import tiny_release
from deblur.runs import progress


def said(arguments, capsys, status=0):
    """(stdout, stderr) of a command, in lines."""
    capsys.readouterr()
    assert cli.main([*map(str, arguments)]) == status
    shown = capsys.readouterr()
    return shown.out.splitlines(), shown.err.splitlines()


# --------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "rand"], "unknown network 'rand'; choose one of .*; did you mean radn\\?"),
        (["train", "radn", "--scale", "mimi"], "unknown scale 'mimi'; choose one of .*; did you mean mini\\?"),
        (["train", "radn", "--budget", "rows"], "unknown budget .*; did you mean row\\?"),
        (["train", "radn", "--variant", "table1_radn9"], "unknown variant of radn .*; did you mean table1_radn\\d\\?"),
        (["plan", "rand"], "did you mean radn\\?"),
        (["data", "bundled", "koeler"], "unknown benchmark 'koeler'; .*; did you mean koehler\\?"),
        (["data", "check", "koeler", "."], "unknown benchmark 'koeler'; .*; did you mean koehler\\?"),
        (["data", "check", "gopro", ".", "--split", "tset"], "no split 'tset'; choose one of .*; did you mean test\\?"),
        (["reproduce", "rand"], "no notebook for rand; .*; did you mean radn\\?"),
        (["restore", "x.png", "--model", "sgnet"], "no weights are called 'sgnet'; .*; did you mean sgenet\\?"),
        (["weights", "import", "nafnt", "x"], "unknown network 'nafnt'; .*; did you mean nafnet\\?"),
    ],
)
def test_a_wrong_name_ends_in_one_line_with_the_right_ones(arguments, message, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    _, lines = said(arguments, capsys, status=2)
    (line,) = lines
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "radn", "--precision", "bf16-mix"], "argument --precision: .*did you mean bf16-mixed"),
        (["reprodce"], "argument COMMAND: 'reprodce' is unknown; choose one of .*did you mean reproduce"),
        (["data", "bundle"], "argument WHAT: .*did you mean bundled"),
    ],
)
def test_a_wrong_word_of_the_command_line_too(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_a_protocol_that_is_unknown(tmp_path, capsys):
    options = ["--benchmark", "realblur_j", "--root", tmp_path, "--protocol", "realblur_ec", "--out", "x.csv"]
    _, (line,) = said(["score", "--blurred", *options], capsys, status=2)
    assert "choose one of full_rgb8, realblur_ecc; did you mean realblur_ecc?" in line


def test_without_a_command_there_is_help(capsys):
    lines, errors = said([], capsys)
    assert lines[0].startswith("usage: deblur")
    assert not errors


def test_the_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, "deblur 0.1.0\n")


def test_columns_of_numbers_stand_to_the_right():
    shown = talk.table(["name", "dB"], [["a", "+1.5"], ["bcdefg", "-10.25"]])
    assert shown.splitlines() == ["name        dB", "a         +1.5", "bcdefg  -10.25"]


# ---------------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("command", ["status", "weights list", "plan radn --scale smoke --untimed"])
def test_one_document_and_nothing_else(command, mini_root, capsys):
    lines, errors = said([*command.split(), "--json"], capsys)
    assert json.loads("\n".join(lines))
    assert not errors


def test_the_document_of_weights_has_one_default(capsys):
    found = json.loads("\n".join(said(["weights", "list", "--json"], capsys)[0]))
    assert {one["name"] for one in found} == {path.stem for path in paths.weights_dir().glob("*.safetensors")}
    assert [one["name"] for one in found if one["default"]] == ["attentive"]
    assert all(one["gain_db"] > 0 for one in found)
    assert not any(one["imported"] for one in found)


def test_imported_weights_are_listed_with_what_they_were_trained_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_IMPORTED", str(tmp_path))
    card = {"scores": {"gain_db": 9.0}, "data": {"trained_on": "GoPro, train"}, "imported": "2026-01-01"}
    tiny_release(tmp_path, "theirs", **card)
    lines, _ = said(["weights", "list"], capsys)
    (row,) = [line for line in lines if line.split()[:1] == ["theirs"]]  # without a star: on which pairs is not said
    assert "+9.00 dB  GoPro, train" in row
    (row,) = [line for line in lines if line.split()[:1] == ["radn"]]
    assert "5 bundled scenes, 88 photographs" in row
    (one,) = [one for one in json.loads("\n".join(said(["weights", "list", "--json"], capsys)[0])) if one["imported"]]
    assert (one["name"], one["trained_on"], one["default"]) == ("theirs", "GoPro, train", False)


# ------------------------------------------------------------------------------------------------------------- weights


def test_a_sentence_that_all_networks_share_is_said_once(capsys):
    lines, _ = said(["weights", "list"], capsys)
    assert [line[0] for line in lines if line.split()[1:2] == ["attentive"]] == ["*"]
    limits = [line for line in lines if line.startswith("- ")]
    assert len(limits) == len(set(limits)) == 3
    assert not any("(" in line for line in limits)


# -------------------------------------------------------------------------------------------------------------- restore


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with two photographs, beside the working directory; a tiny network."""
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    tiny_release(tmp_path / "weights")
    for name in ("a", "b"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "photos"


def test_each_photograph_gets_a_line_that_says_where_and_with_what(photos, capsys):
    lines, errors = said(["restore", photos, "-o", "out", "--compare"], capsys)
    assert errors[0] == "deblur: tiny: the only network at hand"
    assert errors[1].startswith("deblur: better on real blur: MAXIM-3S")
    for name, line in zip("ab", lines, strict=True):
        wrote = rf"wrote out/{name}\.png and {name}-compare\.jpg with tiny, \d+\.\d s"
        assert re.fullmatch(wrote, line), line
    assert errors[-1] == "deblur: 2 restored, 0 failed, 0 skipped"


def test_results_go_to_a_folder_of_their_own_unless_told_otherwise(photos, capsys):
    lines, errors = said(["restore", photos / "a.png", "--model", "tiny"], capsys)
    assert lines[0].startswith("wrote restored/a.png with tiny, ")
    assert not errors  # whoever names a network is told of no other
    lines, _ = said(["restore", photos, "--overwrite"], capsys)
    assert sorted(path.name for path in (photos.parent / "here" / "restored").iterdir()) == ["a.png", "b.png"]
    assert sorted(path.name for path in photos.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("folder", [".", "..", "restored"])
def test_results_never_go_where_the_next_call_would_look_for_photographs(folder, photos, capsys):
    (photos.parent / "here" / "restored").mkdir()
    (photos / "a.png").rename(photos.parent / "here" / "a.png")
    _, lines = said(["restore", folder], capsys, status=2)
    assert lines == [
        f"deblur: {folder}: the results, in restored, would lie among the photographs; give -o another folder"
    ]
    assert not [*(photos.parent / "here" / "restored").iterdir()]


# ----------------------------------------------------------------------------------------------------------------- data


def test_a_bundled_copy_is_written_with_a_word_and_then_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path))
    root = tmp_path / "mini-rwbi"
    lines, errors = said(["data", "bundled", "rwbi"], capsys)
    assert lines == [str(root)]
    assert errors == [f"deblur: writing {root} (rwbi at scale mini: 2 test)"]
    lines, errors = said(["data", "bundled", "rwbi"], capsys)
    assert lines == [str(root)]
    assert errors == [f"deblur: kept: {root} is whole (rwbi at scale mini: 2 test)"]


def test_a_bar_counts_the_pairs_that_are_written(tmp_path, monkeypatch):
    bars = []

    def bar(**options):
        bars.append(tqdm(**options | {"disable": False, "file": io.StringIO()}))
        return bars[-1]

    def write(root):
        for number in range(3):
            (root / f"{number}.npz").write_text("truth")
            deadline = time.monotonic() + 10
            while bars[0].n <= number and time.monotonic() < deadline:
                time.sleep(0.05)

    monkeypatch.setattr(bundled, "tqdm", bar)
    monkeypatch.setattr(bundled, "COPIES", {"small": trees.Copy("small", write, {"test": 3, "frames": 60})})
    monkeypatch.setattr(bundled, "code_hash", lambda *_: "hash")
    bundled.ensure("small", tmp_path / "small")
    assert (bars[0].n, bars[0].total) == (3, 3)


# ---------------------------------------------------------------------------------------------------------------- train


def test_a_training_says_what_it_does_and_then_that_it_is_done(tmp_path, monkeypatch, mini_root, capsys):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    options = ["train", "attentive", "--scale", "smoke", "--data", mini_root]
    (folder,), errors = said(options, capsys)
    began, *_, wrote = (line for line in errors if line.startswith("deblur: "))
    assert began.startswith("deblur: training attentive paper (smoke, ")
    assert began.endswith(f"; the run lies in {folder}")
    assert " on " in began
    assert wrote.startswith(
        "deblur: wrote recipe.json, provenance.json, log.csv, model.safetensors, per_image.csv, parts.csv in "
    )
    assert "dB over the blurred input, mean of 4 test pairs" in wrote
    lines, (kept,) = said(options, capsys)
    assert lines == [folder]
    assert kept.startswith("deblur: kept: attentive paper (smoke, ")
    assert "is complete in" in kept
    assert wrote.rpartition("; ")[2] == kept.rpartition("; ")[2]


def test_steps_of_an_earlier_call_are_counted(tmp_path, monkeypatch, mini_root):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    from deblur.runs import train

    plan, told = runs.Plan(copies.open_data(mini_root), "attentive", scale="smoke", options={}), []

    def stop(title, say, steps):
        for step in steps:
            if step == plan.recipe.checkpoint_every:
                raise KeyboardInterrupt
            yield step

    bar = train._bar
    monkeypatch.setattr(train, "_bar", stop)
    if plan.recipe.checkpoint_every >= plan.recipe.steps:
        pytest.skip("smoke keeps its last step only")
    with pytest.raises(KeyboardInterrupt):
        runs.train_one(plan, "1")
    monkeypatch.setattr(train, "_bar", bar)
    runs.train_one(plan, "1", say=told.append)
    assert f"kept: {plan.recipe.checkpoint_every} of {plan.recipe.steps} steps, from an earlier call" in told


# ------------------------------------------------------------------------------------------------------------ reproduce


def test_a_notebook_that_runs_tells_how_many_trainings_it_makes(tmp_path, monkeypatch):
    code = "from deblur.runs.progress import Trainings, tell; tell(Trainings(kept=3, missing=2, made=1))"
    with progress.heard() as trainings:
        assert trainings() == (0, 0, 0)
        subprocess.run([sys.executable, "-c", code], check=True)
        assert trainings() == (3, 2, 1)
    assert progress.VARIABLE not in os.environ
    progress.tell(progress.Trainings(made=1))  # to nobody


def test_trainings_are_counted_as_they_are_made(tmp_path, monkeypatch, mini_root):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    data = copies.open_data(mini_root)
    plans = [runs.Plan(data, "attentive", scale="smoke", seed=seed) for seed in (0, 1)]
    with progress.heard() as trainings:
        runs.load_or_run(plans[:1])
        assert trainings() == (0, 1, 1)
        runs.load_or_run(plans)
        assert trainings() == (1, 1, 1)
        runs.load_or_run(plans)
        assert trainings() == (2, 0, 0)


def test_notebooks_are_counted_and_named(tmp_path, monkeypatch, mini_root):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))

    def execute(source, draft, parameters, **options):
        assert not options["progress_bar"]  # which counts cells
        progress.tell(progress.Trainings(kept=3, missing=2, made=2))
        draft.write_text("{}")

    monkeypatch.setattr("papermill.execute_notebook", execute)
    monkeypatch.setattr(notebooks, "_deliver", lambda draft, path: path)
    told = []
    notebooks.reproduce(["radn", "sgenet"], told.append, scale="smoke", data_root=str(mini_root))
    first, done, second, _ = told
    assert first.startswith("radn, notebook 1 of 2: running at scale smoke on mini gopro (blur); results go to ")
    assert done.startswith("radn, notebook 1 of 2: wrote tables, figures and notebook in 0.")
    assert done.endswith("; 2 trainings made, 3 kept from earlier calls")
    assert second.startswith("sgenet, notebook 2 of 2: ")


BEGIN = """
import sys
from pathlib import Path
from deblur import cli, paths

folder = Path(sys.argv.pop(1))
paths.notebooks_dir = lambda: folder
sys.exit(cli.main())
"""
"""The command deblur, with notebooks of a folder that is its first argument."""


def interrupted(arguments, sign, wait, **around):
    """(Status, stdout, stderr) of a Python that gets Ctrl-C as from a terminal, some seconds after a sign of life."""

    def heard():  # what a shell runs in the background ignores the signal, and so does all that it starts
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=os.environ | around, preexec_fn=heard, **pipes)
    deadline = time.monotonic() + 300
    while not sign() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=120)
    return process.returncode, out, error


@pytest.mark.parametrize(("sign", "wait"), [("notebooks/*.lock", 0.2), ("notebooks/*.lock", 3), ("*/*/recipe.json", 1)])
def test_ctrl_c_ends_notebooks_in_two_lines(sign, wait, tmp_path, mini_root):
    """While the kernel starts, while it loads, while workers train: of a notebook with nothing before its trainings."""
    notebook = json.loads((paths.notebooks_dir() / "attentive.ipynb").read_text())
    needed = ("scale: str =", "notebooks.check_parameters", "copies.open_data", "runs.load_or_run")
    notebook["cells"] = [cell for cell in notebook["cells"] if any(word in "".join(cell["source"]) for word in needed)]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "attentive.ipynb").write_text(json.dumps(notebook))
    runs_dir, results = tmp_path / "runs", tmp_path / "results"
    arguments = ["reproduce", "attentive", "--scale", "smoke"]
    places = {"DEBLUR_RUNS": str(runs_dir), "DEBLUR_RESULTS": str(results)}
    begin = ["-c", BEGIN, tmp_path / "notebooks", *arguments]
    status, _, error = interrupted(begin, lambda: list(runs_dir.glob(sign)), wait, **places)
    assert status == 130, error
    running, *rest = error.splitlines()
    assert running.startswith("deblur: attentive, notebook 1 of 1: running")
    assert rest == [
        f"deblur: stopped: what was trained is kept in {runs_dir}; the same command goes on",
        "deblur: to go on: deblur reproduce attentive --scale smoke",
    ]
    assert not results.exists()
