"""What is said when something is wrong: one line that names it and what is right, no traceback, and nothing begun."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import get_args

import numpy as np
import pytest
import torch
from lightning_fabric.plugins.precision import precision as fabric_precision
from trees import problems, write_gopro

from deblur import cli, notebooks, planning, runs
from deblur.cli import options
from deblur.data import bundled, copies, leaves, mini, official, packing, synthesis
from deblur.data.check import check
from deblur.training import DivergedError
from deblur.weights import released

# ------------------------------------------------------------------------------------------------------- arguments

NO_NUMBER = ("x", "", "nan", "inf", "1.5", "1e3", "0x1", "-1", "9" * 30, "9" * 5000, "１２")
NO_COUNT = (*NO_NUMBER, "0")
OWN = ("data", "synthesize", "--photos", "in", "--out", "out")
NUMBERS = {
    ("train", "radn", "--seed"): NO_NUMBER,
    ("train", "radn", "--accumulate"): NO_COUNT,
    ("train", "radn", "--workers"): NO_NUMBER,
    ("train", "radn", "--devices"): NO_COUNT,
    ("train", "radn", "--nodes"): NO_COUNT,
    ("train", "radn", "--precision"): (*NO_COUNT, "bf16"),
    ("train", "radn", "--subset"): (*NO_COUNT, "sharp"),
    ("evaluate", "radn", "--seed"): NO_NUMBER,
    ("evaluate", "radn", "--accumulate"): NO_COUNT,
    ("weights", "release", "radn", "name", "--accumulate"): NO_COUNT,
    ("plan", "radn", "--seeds"): NO_NUMBER,
    ("parts", "radn", "--limit"): NO_COUNT,
    ("reproduce", "radn", "--seed"): NO_NUMBER,
    ("restore", "in.png", "-o", "out.png", "--tile"): NO_COUNT,
    ("data", "leaves", "--count"): NO_COUNT,
    ("data", "leaves", "--seed"): NO_NUMBER,
    ("data", "pack", "gopro", "in", "--subset"): (*NO_COUNT, "sharp"),
    (*OWN, "--seed"): NO_NUMBER,
    (*OWN, "--frames"): NO_COUNT,
    (*OWN, "--size", "64"): (*NO_COUNT, "31"),
    (*OWN, "--path-px", "1"): ("x", "", "nan", "inf", "-inf", "0", "-1", "9" * 30, "1e9", "1" * 5000),
}
"""Command and option -> values that it does not take."""


@pytest.fixture
def nothing_begins(monkeypatch):
    for place, name in (
        (runs, "train_one"),
        (copies, "open_data"),
        (runs, "load_or_run"),
        (planning, "plan"),
        (notebooks, "reproduce"),
        (leaves, "write_leaves"),
        (synthesis, "synthesize"),
        (packing, "pack"),
        (bundled, "ensure"),
    ):
        monkeypatch.setattr(place, name, lambda *_, **__: pytest.fail("something began"))


def said(arguments, capsys):
    """The status of a command and its last line on the standard error, which holds no traceback."""
    try:
        status = cli.main([*map(str, arguments)])
    except SystemExit as stopped:
        status = stopped.code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") == 1 or error.startswith("usage: ")
    return status, error.rstrip("\n").rpartition("\n")[2]


@pytest.mark.parametrize("command", NUMBERS, ids=" ".join)
def test_a_number_out_of_range_is_told_with_its_option_and_its_range(command, nothing_begins, capsys):
    option = next(word for word in reversed(command) if word.startswith("--"))
    for value in NUMBERS[command]:
        status, line = said([*command, value], capsys)
        assert status == 2, value
        assert f"argument {option}: " in line or "expected one argument" in line or "expected 2" in line, line
        assert re.search(r"from \d+ to \d+|choose one of|up to 10000|expected", line), line
        assert len(line) < 300 or value == "9" * 5000


def test_the_precisions_are_those_that_fabric_knows():
    known = get_args(fabric_precision._PRECISION_INPUT_STR)
    assert {*options.PRECISIONS} == {name for name in known if not name.startswith("transformer-engine")}


@pytest.mark.parametrize("paper", ["attentive", "radn"])
@pytest.mark.parametrize("scale", ["smoke", "mini"])
@pytest.mark.parametrize("devices", range(1, 10))
@pytest.mark.parametrize("accumulate", [1, 2, 3, 5, 8, 64])
def test_a_batch_is_shared_evenly_or_not_at_all(paper, scale, devices, accumulate, monkeypatch, capsys):
    from deblur import recipes

    begun = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(runs, "train_one", lambda *_: begun.append(True))
    monkeypatch.setattr(options, "plan", lambda given: mini)  # whatever has a folder
    monkeypatch.setattr(mini, "folder", "there", raising=False)
    batch = recipes.recipe(paper, scale=scale).batch
    even = batch % devices == 0 and (batch // devices) % accumulate == 0
    words = ["train", paper, "--scale", scale, "--devices", devices, "--accumulate", accumulate]
    status = cli.main([*map(str, words)])
    error = capsys.readouterr().err
    assert (status, bool(begun)) == ((0, True) if even else (2, False))
    if not even:
        option = "--accumulate" if batch % devices == 0 else "--devices"
        assert error.startswith(f"deblur: {option}")
        assert "; take 1 or " in error or error.endswith("; take 1\n")


def test_more_devices_than_there_are(monkeypatch, nothing_begins, capsys):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    status, line = said(["train", "radn", "--devices", 4], capsys)
    assert (status, line) == (2, "deblur: --devices 4: this machine has 2 of them; take 1 to 2, or auto")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nobody"], "unknown network 'nobody'; choose one of attentive"),
        (["train", "radn", "--variant", "x"], "unknown variant of radn 'x'; choose one of paper"),
        (["train", "radn", "--scale", "x"], "unknown scale 'x'; choose one of"),
        (["train", "radn", "--budget", "x"], "unknown budget 'x'; choose one of main, more, row, time"),
        (["train", "radn", "--pretrained", "none.pth"], "none.pth"),
        (["train", "radn", "--pretrained", "none.safetensors"], "none.safetensors"),
        (["reproduce", "radn", "--scale", "x"], "unknown scale 'x'; choose one of smoke, mini, bench, paper"),
        (["score", "--blurred"], "give --benchmark, --root, --protocol, --out too"),
    ],
)
def test_an_unknown_name_is_told_before_data_are_opened(arguments, message, nothing_begins, capsys):
    status, line = said(arguments, capsys)
    assert status in (1, 2)
    assert line.startswith("deblur: ")
    assert message in line


@pytest.mark.parametrize(("paper", "scale"), [("nobody", "mini"), ("radn", "x")])
def test_a_plan_of_something_unknown(paper, scale):
    with pytest.raises(ValueError, match=r"unknown (network|scale) '\w+'; choose one of"):
        planning.plan(None, paper, scale, [0])


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DivergedError("step 7: nan; lower lr"), "deblur: step 7: nan; lower lr"),
        (MemoryError(), "deblur: too little memory"),
        (np.exceptions.AxisError("axis 3"), "deblur: axis 3"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), "too little memory (CUDA out of memory. Tried)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "too little memory (DefaultCPU"),
        (BrokenProcessPool("terminated abruptly"), "a worker process was killed"),
        (OSError(28, "No space left on device", "x.png"), "No space left on device: 'x.png'"),
    ],
)
def test_work_that_fails_ends_with_status_1_and_a_line(error, message, monkeypatch, capsys):
    def fail():
        raise error

    monkeypatch.setattr(released, "at_hand", fail)
    status, line = said(["weights", "list"], capsys)
    assert status == 1
    assert message in line


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("x"), RecursionError("deep")])
def test_a_fault_of_the_program_keeps_its_traceback(error, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr(released, "at_hand", fail)
    with pytest.raises(type(error)):
        cli.main(["weights", "list"])


def test_a_reader_that_has_had_enough():
    """The pipe's end for reading is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    arguments = [sys.executable, "-m", "deblur.cli", "weights", "list"]
    done = subprocess.run(arguments, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


# ---------------------------------------------------------------------------------------------------------- manifests

DEEP = b"[" * 100_000 + b"]" * 100_000
CONTENTS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "no UTF-8": b'{"benchmark": "\xff"}',
    "truncated": b'{"benchmark": "gopro", "counts": {"test": 6',
    "deep": DEEP,
    "deep inside": b'{"benchmark": ' + DEEP + b"}",
    "a long number": b'{"benchmark": "gopro", "counts": {"test": ' + b"9" * 5000 + b"}}",
    "null": b"null",
    "NaN": b"NaN",
    "list": b"[]",
    "text": b'"x"',
    "number": b"3",
    "nothing in it": b"{}",
    "pixels a number": b'{"pixels": 5}',
    "files a list": b'{"files": []}',
    "counts a list": b'{"benchmark": "gopro", "counts": ["test"]}',
    "counts of text": b'{"benchmark": "gopro", "counts": {"test": "6"}}',
    "counts infinite": b'{"benchmark": "gopro", "counts": {"test": Infinity}}',
    "counts negative": b'{"benchmark": "gopro", "counts": {"test": -1}}',
    "counts true": b'{"benchmark": "gopro", "counts": {"test": true}}',
    "benchmark a list": b'{"benchmark": ["gopro"], "counts": {}}',
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    write_gopro(root, np.random.default_rng(3), splits=("test",), sequences=1, frames=2)
    return root


@pytest.fixture(scope="module")
def packed(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    pairs = official.find_pairs("gopro", tree, "test", subset="blur")
    packing.pack(pairs, folder)
    return folder, pairs


@pytest.fixture(params=[*CONTENTS, "a folder", "a pipe", "a dangling link", "a link in a circle"])
def put(request):
    """Puts something in place of a manifest."""

    def put(path):
        clear(path)
        if request.param == "a folder":
            path.mkdir()
        elif request.param == "a pipe":
            os.mkfifo(path)
        elif "link" in request.param:
            path.symlink_to(path.name if "circle" in request.param else "nowhere")
        else:
            path.write_bytes(CONTENTS[request.param])
        return path

    return put


def clear(path):
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def test_any_manifest_of_a_tree_fails_with_its_name(tree, put):
    path = put(tree / "manifest.json")
    try:
        with pytest.raises(official.DataError, match=r"manifest\.json: .*; write the tree again") as raised:
            official.find_pairs("gopro", tree, "test", subset="blur")
        assert len(str(raised.value)) < 400
        report = check("gopro", tree)
        assert f"{path}: " in problems(report)
        assert report.counts["test"][0] == 2  # the rest was looked at nevertheless
        assert not bundled.is_intact(tree, "gopro")
        with pytest.raises(official.DataError, match=r"manifest\.json: .*; do this"):
            official.open_manifest(path, "do this", benchmark=str, pixels=str)
    finally:
        clear(path)


def test_any_manifest_of_a_packed_split_fails_with_its_name(packed, put):
    folder, pairs = packed
    put(folder / "manifest.json")
    for use in (lambda: packing.open_packed(folder, pairs), lambda: packing.damaged(folder)):
        with pytest.raises(official.DataError, match=r"(manifest\.json: |holds 0 other).*remove the folder and pack"):
            use()


@pytest.mark.parametrize("entry", [None, 3, "x", [], {}, {"bytes": 3}, {"sha256": "0"}])
def test_an_entry_of_a_packed_split_of_another_form(packed, entry):
    folder, pairs = packed
    clear(folder / "manifest.json")
    (folder / "manifest.json").write_text(json.dumps({"files": {pair.name: entry for pair in pairs}}))
    for use in (lambda: packing.open_packed(folder, pairs), lambda: packing.damaged(folder)):
        with pytest.raises(official.DataError, match=r"manifest\.json: says nothing of .*pack again"):
            use()


OUTSIDE = (
    "../x",
    "a/../../x",
    "/etc/x",
    "a//x",
    "./x",
    "a/.",
    "..",
    "",
    "C:/x",
    "C:x",
    r"..\x",
    r"\\host\share\x",
    "a\0b",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_listed_name_never_leaves_its_folder(packed, name, tmp_path):
    folder, _ = packed
    with pytest.raises(official.DataError, match="no name of a file in this folder"):
        official.inside(tmp_path, name)
    clear(folder / "manifest.json")
    (folder / "manifest.json").write_text(json.dumps({"files": {name: {"bytes": 1, "sha256": ""}}}))
    with pytest.raises(official.DataError, match="no name of a file in this folder"):
        packing.damaged(folder)


def test_a_listed_name_inside(tmp_path):
    for name in ("a", "a/b.png", "a..b/c", "...", "scene244_reflect/gt/gt_1.png"):
        assert official.inside(tmp_path, name) == tmp_path / name
    assert official.inside(tmp_path, r"a\b") == tmp_path / "a" / "b"
