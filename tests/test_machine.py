"""`deblur doctor` says what a report needs and nothing personal; a shell completes what the parser knows."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from deblur import cli, paths
from deblur.cli import machine
from deblur.data import debian
from deblur.runs.provenance import PACKAGES

TITLES = (
    *("deblur", "system", "packages", "processor", "GPU", "memory"),
    *("networks", "benchmarks", "photographs", "not here"),
)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine with nothing but the package."""
    for name in ("DATA", "PHOTOS", "RUNS", "WEIGHTS", "IMPORTED"):
        monkeypatch.setenv(f"DEBLUR_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return tmp_path


def test_ten_lines(bare, capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert tuple(line.partition(":")[0] for line in lines) == TITLES
    assert all(f"{name} " in lines[2] for name in PACKAGES)
    assert re.search(r"\d+ cores, \d+ threads", lines[3])
    assert all(
        personal not in out for personal in (str(bare), str(Path.home()), socket.gethostname()) if len(personal) > 3
    )
    assert len(getpass.getuser()) < 5 or getpass.getuser() not in out


def test_what_is_missing_is_named_with_its_remedy(bare, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    said = machine.report()
    assert "DEBLUR_WEIGHTS" in said["networks"]
    assert "'deblur data bundled all'" in said["benchmarks"]
    assert said["photographs"].startswith("0 of 88 ")
    assert "'deblur data photographs'" in said["photographs"]
    assert said["GPU"].startswith("none")
    extras = ",".join(extra for extra, _ in machine.OPTIONAL.values())
    assert f'pip install "deblur-papers[{extras}]"' in said["not here"]


def test_what_is_here_is_counted(bare, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(paths.bundled_dir() / "weights"))
    (bare / "data" / "mini-hide").mkdir(parents=True)
    (bare / "data" / "somebody's").mkdir()
    debian.home("train").mkdir(parents=True)
    for row in debian.listed():  # those of the exam are not trained on
        (debian.home("train") / row.name).touch()
    said = machine.report()
    assert said["networks"].startswith("attentive, radn, raidnet, sgenet, simplenet")
    assert said["benchmarks"] == "mini-hide"
    assert said["photographs"] == "88 of 88 to train on"
    assert said["not here"] == "nothing"


def test_memory_and_disk_are_measured(bare, monkeypatch):
    from deblur import memory

    usage = namedtuple("usage", "free")
    monkeypatch.setattr(memory, "usable_bytes", lambda device: 3_200_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(41e9) if folder == bare else usage(0))
    assert machine.report()["memory"] == "3.2 GB to plan with; 41.0 GB free on the disk of the data"


def test_a_gpu_is_named(bare, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"card {number}")
    assert machine.report()["GPU"].startswith("card 0, card 1, CUDA ")


# ------------------------------------------------------------------------------------------------------- completion

with_shtab = pytest.mark.skipif(
    find_spec("shtab") is None and not os.environ.get("CI"), reason="no shtab: install the extra completion"
)


def test_without_shtab_the_remedy_is_told(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 1
    assert 'pip install "deblur-papers[completion]"' in capsys.readouterr().err


def completed(script, *words):
    """What Bash offers for the last of the words."""
    ask = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; _shtab_deblur 2>/dev/null"
    code = f'{script}\n{ask}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split())


@with_shtab
def test_bash_completes_commands_options_and_values(capsys):
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert {"restore", "doctor", "weights"} <= completed(script, "deblur", "")
    assert completed(script, "deblur", "resto") == {"restore"}
    assert {"list", "fetch"} <= completed(script, "deblur", "weights", "")
    assert completed(script, "deblur", "restore", "--ens") == {"--ensemble"}
    assert completed(script, "deblur", "train", "radn", "--precision", "bf16-m") == {"bf16-mixed"}


@with_shtab
def test_zsh_gets_a_script_of_its_own(capsys):
    assert cli.main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef deblur\n")
