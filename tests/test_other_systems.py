"""Systems that lack what Linux has: no locks of files, no limits of processes, no choice of cores."""

import subprocess
import sys

LESS = """
import os, signal, sys

for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "pathconf", "O_NONBLOCK"):
    delattr(os, name)
del signal.pthread_sigmask
"""
WORK = """
import pkgutil
from importlib import import_module
from pathlib import Path

import torch

import deblur

for module in pkgutil.walk_packages(deblur.__path__, "deblur."):
    if not module.name.endswith("__main__"):  # which is a command
        import_module(module.name)

import pandas as pd

from deblur import journal, locks, memory, paths, planning, runs, writing
from deblur.data import copies
from deblur.runs import pool, provenance

root = Path(sys.argv[1])
with locks.locked(root / "lock"):
    writing.write_text(root / "text", "whole")
assert paths.read_bytes(root / "text") == b"whole"
for content in ("first", "second"):
    with writing.delivering_folder(root / "folder", writing.listed_in("manifest.json")) as draft:
        writing.write_text(draft / "file", content)
        writing.write_text(draft / "manifest.json", '{"files": {"file": "' + paths.file_sha256(draft / "file") + '"}}')
assert (root / "folder/file").read_text() == "second"
with open(root / "held", "a+b") as stream:
    let_go = locks.hold(stream)
    assert locks.hold(stream) is None
    let_go()
memory.spare_threads()
assert memory.usable_bytes(torch.device("cpu")) > 0
assert provenance.provenance()["cores"] >= 1
plan = runs.Plan(copies.open_data(scale="smoke"), "radn", "paper", "smoke", "row", 0)
assert not runs.is_complete(plan)
left = pd.DataFrame({"done": [False], "hours": [1.0]})
assert "about 60 minutes to go" in planning.summary(left, plan.data, "radn", "mini")[0]
with pool._deaf_children():
    pass
"""


def test_the_package_works_without_them(tmp_path, mini_root):
    command = [sys.executable, "-c", LESS + WORK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
