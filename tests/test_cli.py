"""The command line: what a user types, and what they are told when it is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from deblur import cli, paths
from deblur.runs import train


def test_train_then_evaluate_at_smoke(capsys, monkeypatch):
    options = ["attentive", "--scale", "smoke", "--variant", "table5_only_ca", "--seed", "11"]
    assert cli.main(["evaluate", *options]) == 1
    assert "run 'deblur train' with the same options first" in capsys.readouterr().err
    assert cli.main(["train", *options]) == 0
    folder = paths.runs_dir() / "attentive"
    trained = capsys.readouterr().out.strip()
    assert trained.startswith(str(folder))
    monkeypatch.setattr(train, "train_plan", lambda *_: pytest.fail("trained twice"))
    assert cli.main(["evaluate", *options]) == 0
    out = capsys.readouterr().out
    assert "full_rgb8; 4 images" in out
    gains = {name.strip(): float(value) for name, value in re.findall(r"^(gain_db.*?) +(\S+)$", out, re.MULTILINE)}
    assert gains["gain_db of Wiener floor"] < gains["gain_db of Wiener oracle"]
    assert "gain_db" in gains


def test_two_devices_make_one_run(tmp_path, monkeypatch):
    """On a machine without GPUs two processes are two devices."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    command = [sys.executable, "-m", "deblur.cli", "train", "attentive", "--scale", "smoke", "--devices", "2"]
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "attentive").iterdir()
    assert json.loads((folder / "provenance.json").read_text())["processes"] == 2
    assert (folder / "per_image.csv").is_file()


def test_ctrl_c_says_what_is_kept_and_what_goes_on(tmp_path, mini_root):
    """In a process of its own, as a terminal sends it."""
    around = os.environ | {"DEBLUR_RUNS": str(tmp_path)}
    options = ["radn", "--scale", "mini", "--data", str(mini_root)]
    command = [sys.executable, "-m", "deblur.cli", "train", *options]
    # What a shell runs in the background ignores the signal, and so does all that it starts.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=around, **pipes, **heard)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("radn/*/recipe.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in said
    kept, on = said.strip().splitlines()[-2:]
    (folder,) = tmp_path.glob("radn/*")
    assert f"deblur: stopped: 0 of 1100 steps are kept in {folder}; the same command goes on" in kept
    assert on == f"deblur: to go on: deblur train {' '.join(options)}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nobody"], "unknown network 'nobody'; choose one of attentive"),
        (["train", "attentive", "--variant", "x"], "unknown variant of attentive 'x'; choose one of paper"),
        (["train", "attentive", "--scale", "x"], "unknown scale 'x'; choose one of"),
        (["train", "attentive", "--scale", "paper"], "give --data, the folder of GOPRO_Large"),
        (["plan", "nobody"], "unknown network 'nobody'"),
        (["data", "bundled", "x"], "unknown benchmark 'x'; choose one of gopro, hide"),
        (["data", "bundled", "hide", "--scale", "bench"], "only gopro has a copy with blur of full size"),
        (["train", "attentive", "--data", "no/such/folder"], "no/such/folder"),
        (["reproduce", "nobody"], "no notebook for nobody"),
        (["data", "check", "nobody", "."], "nobody"),
    ],
)
def test_a_wrong_argument_ends_with_a_message_and_no_traceback(arguments, message, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("deblur: ")
    assert message in error
    assert "Traceback" not in error


def test_data_bundled_and_check_agree(capsys):
    assert cli.main(["data", "bundled"]) == 0
    root = capsys.readouterr().out.strip().splitlines()[0]
    assert cli.main(["data", "check", "gopro", root, "--subset", "blur"]) == 0
    assert "usable" in capsys.readouterr().out


def test_data_check_of_an_empty_folder_fails(tmp_path, capsys):
    assert cli.main(["data", "check", "gopro", str(tmp_path)]) == 1
    assert "GOPRO_Large" in capsys.readouterr().out


def test_status_prints_a_table(capsys):
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out.startswith("| paper |")


@pytest.mark.parametrize("command", [["data"], ["weights"], ["train"], ["--fly"]])
def test_usage_errors_exit_with_two(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(command)
    assert stopped.value.code == 2
    assert "usage: deblur" in capsys.readouterr().err


def test_weights_list_says_what_there_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path))
    assert cli.main(["weights", "list"]) == 1
    assert "holds no weights" in capsys.readouterr().err
    card = {"network": "radn", "variant": "paper", "sha256": "", "parameters": 1234567}
    more = {"scores": {"gain_db": 1.234}, "limits": ["No defocus.", "No noise."]}
    more |= {"recipe": {"steps": 6000}, "training": {"device": "CPU, 1 thread"}}
    for name, content in (("one", card | more), ("two", card)):
        (tmp_path / f"{name}.safetensors").write_bytes(bytes(2_000_000))
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert cli.main(["weights", "list"]) == 0
    _, first, second, _, _, *limits = capsys.readouterr().out.splitlines()
    size = ["radn", "1,234,567", "2.0 MB"]
    assert re.split("  +", first) == ["*", "one", *size, "+1.23 dB", "6,000 steps (CPU, 1 thread)"]
    assert re.split("  +", second.strip()) == ["two", *size]
    assert limits == ["- No defocus. (one)", "- No noise. (one)"]
