"""No option is ignored: another value than by default arrives at what the command calls, which is stubbed."""

import argparse
import dataclasses
import inspect
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn

from deblur import cli, evaluation, models, notebooks, paths, planning, recipes, release, runs, source, tables
from deblur.cli import machine
from deblur.data import bench, bundled, copies, debian, leaves, official, packing, synthesis
from deblur.evaluation.parts import COLUMNS
from deblur.photos import files as photos
from deblur.study import checks, making, page
from deblur.weights import cards, checkpoints, fetching, importing, released, tensors

OF_RUNS = {
    "--variant": ("--variant table1_radn4", {"plan.variant": "table1_radn4"}),
    "--scale": ("--scale smoke", {"plan.scale": "smoke", "open_data.scale": "smoke"}),
    "--budget": ("--budget row", {"plan.budget": "row"}),
    "--data": ("--data there", {"open_data.root": "there"}),
    "--subset": ("--subset blur_gamma", {"open_data.subset": "blur_gamma"}),
    "--seed": ("--seed 7", {"plan.seed": 7}),
    "--precision": ("--precision bf16-mixed", {"recipe.precision": "bf16-mixed"}),
    "--accumulate": ("--accumulate 2", {"recipe.accumulate": 2}),
    "--compile": ("--compile", {"recipe.compile": True}),
    "--workers": ("--workers 3", {"recipe.workers": 3}),
    "--pretrained": ("--pretrained w.pth", {"plan.pretrained": "w.pth", "read.file": Path("w.pth")}),
    "--photos": ("--scale bench --photos there", {"plan.photos": "there"}),
}
NETWORK = ("radn => srn", {"plan.name": "srn"})
ON = "--benchmark realblur_j --root there --protocol full_rgb8 --out a.csv"
SCORES = f"score --blurred {ON}"
WEIGHTS = f"evaluate radn --weights w.safetensors {ON}"

COMMANDS = {
    "restore a.png -o out": {
        "photos": ("a.png => b.png c.png", {"restore_files.photos": [Path("b.png"), Path("c.png")]}),
        "--out": ("out => there", {"restore_files.out": Path("there")}),
        "--model": ("--model radn", {"restore_files.model": "radn"}),
        "--ensemble": ("--ensemble", {"restore_files.ensemble": True}),
        "--compare": ("--compare", {"restore_files.compare": True}),
        "--tile": ("--tile 300", {"restore_files.tile": 300}),
        "--overwrite": ("--overwrite", {"restore_files.overwrite": True}),
    },
    "data bundled": {
        "benchmarks": ("hide", {"ensure.name": "mini-hide"}),
        "--scale": ("--scale bench", {"ensure.name": "bench-gopro"}),
        "--root": ("--root there", {"ensure.root": Path("there")}),
    },
    "data bundled rwbi hide": {"--root": ("--root there", {"ensure.root": Path("there/mini-hide")})},
    "data exam": {
        "--scale": ("--scale bench", {"ensure.name": "bench-exam"}),
        "--root": ("--root there", {"ensure.root": Path("there")}),
    },
    "data check hide root": {
        "name": ("hide => flat", {"check.name": "flat"}),
        "root": ("root => there", {"check.root": Path("there")}),
        "--subset": ("--subset blur_gamma", {"check.subset": "blur_gamma"}),
        "--split": ("--split test --split train", {"check.splits": ["test", "train"]}),
    },
    "data pack gopro root": {
        "name": ("gopro => dvd", {"open_data.name": "dvd"}),
        "root": ("root => there", {"open_data.root": Path("there")}),
        "--subset": ("--subset blur_gamma", {"open_data.subset": "blur_gamma"}),
        "--split": ("--split test", {"pairs.split": "test", "pack.folder": Path("packed test")}),
    },
    "data leaves": {
        "--out": ("--out there", {"write_leaves.out": Path("there")}),
        "--count": ("--count 3", {"write_leaves.count": 3}),
        "--seed": ("--seed 7", {"write_leaves.seed": 7}),
    },
    "data photographs": {
        "--out": ("--out there", {"fetch.out": Path("there")}),
        "--split": ("--split exam", {"fetch.split": "exam"}),
    },
    "data synthesize --photos a --out b": {
        "--photos": ("photos a => photos c", {"synthesize.source": Path("c")}),
        "--out": ("--out b => --out c", {"synthesize.out": Path("c")}),
        "--video": ("--video", {"synthesize.video": True}),
        "--seed": ("--seed 7", {"synthesize.seed": 7}),
        "--frames": ("--frames 9", {"synthesize.frames": 9}),
        "--size": ("--size 64 96", {"synthesize.size": [64, 96]}),
        "--path-px": ("--path-px 1.5 3", {"synthesize.path_px": [1.5, 3.0]}),
    },
    "train radn": {
        **OF_RUNS,
        "network": NETWORK,
        "--devices": ("--devices 2", {"train_one.devices": "2"}),
        "--nodes": ("--nodes 2", {"train_one.nodes": 2}),
    },
    "plan radn": {
        "network": ("radn => srn", {"plan.name": "srn"}),
        "--scale": ("--scale smoke", {"plan.scale": "smoke", "open_data.scale": "smoke"}),
        "--data": ("--data there", {"plan.root": "there", "open_data.root": "there"}),
        "--subset": ("--subset blur_gamma", {"open_data.subset": "blur_gamma"}),
        "--seeds": ("--seeds 4 7", {"plan.seeds": [4, 7]}),
        "--json": ("--json", {"prints JSON": True}),
        "--untimed": ("--untimed", {"plan.timed": False}),
    },
    "evaluate radn": {**OF_RUNS, "network": NETWORK, "--exam": ("--exam", {"open_exam.scale": "mini"})},
    "evaluate radn --exam --scale bench": {
        "--scale": ("bench => smoke", {"open_exam.scale": "mini"}),
        "--subset": ("--subset blur_gamma", {"open_exam.subset": "blur_gamma"}),
    },
    SCORES: {
        "--benchmark": ("realblur_j => flat", {"find_pairs.name": "flat", "evaluate_into.benchmark": "flat"}),
        "--root": ("there => here", {"find_pairs.root": Path("here"), "copy_label.root": Path("here")}),
        "--protocol": ("full_rgb8 => realblur_ecc", {"evaluate_into.protocol": "realblur_ecc"}),
        "--split": (
            "--split train",
            {"find_pairs.split": "train", "copy_label.split": "train", "evaluate_into.split": "train"},
        ),
        "--subset": (
            "--subset blur_gamma",
            {
                "find_pairs.subset": "blur_gamma",
                "copy_label.subset": "blur_gamma",
                "evaluate_into.subset": "blur_gamma",
            },
        ),
        "--out": ("a.csv => b.csv", {"evaluate_into.out": Path("b.csv")}),
        "--overwrite": ("--overwrite", {"evaluate_into.overwrite": True}),
    },
    f"score folder {ON}": {
        "--blurred": ("folder => --blurred", {"evaluate_into.method": "blurred input"}),
        "folder": ("folder => other", {"restored_files.folder": Path("other")}),
        "--protocol": ("full_rgb8 => realblur_ecc", {"restored_files.protocol": "realblur_ecc"}),
    },
    WEIGHTS: {
        "--weights": (
            "w.safetensors => v.safetensors",
            {
                "load_weights.path": Path("v.safetensors"),
                "evaluate_into.inputs": [Path("v.safetensors")],
                "evaluate_into.weights": "v.safetensors",
            },
        ),
        "network": ("radn => srn", {"build.name": "srn", "evaluate_into.method": "srn paper mini"}),
        "--variant": (
            "--variant table1_radn4",
            {"build.variant": "table1_radn4", "evaluate_into.method": "radn table1_radn4 mini"},
        ),
        "--scale": (
            "--scale smoke",
            {"build.overrides": recipes.RADN["smoke"].config, "evaluate_into.method": "radn paper smoke"},
        ),
    },
    "parts radn": {
        "networks": ("radn => srn", {"load.name": "srn"}),
        "--data": ("--data there", {"open_data.root": "there"}),
        "--subset": ("--subset blur_gamma", {"open_data.subset": "blur_gamma"}),
        "--split": ("--split train", {"pairs.split": "train"}),
        "--limit": ("--limit 3", {"spread.limit": 3}),
        "--json": ("--json", {"prints JSON": True}),
    },
    "weights fetch maxim": {
        "network": ("maxim => nafnet", {"fetch.network": "nafnet"}),
        "--out": ("--out there", {"fetch.out": Path("there")}),
    },
    "weights import radn w.pth": {
        "network": ("radn => srn", {"import_published.network": "srn"}),
        "file": ("w.pth => v.pth", {"import_published.source": Path("v.pth")}),
        "--variant": ("--variant table1_radn4", {"import_published.variant": "table1_radn4"}),
        "--out": ("--out there", {"import_published.out": Path("there")}),
        "--overwrite": ("--overwrite", {"import_published.overwrite": True}),
    },
    "weights release radn one": {
        **OF_RUNS,
        "network": NETWORK,
        "name": ("one => two", {"release.name": "two"}),
        "--overwrite": ("--overwrite", {"release.overwrite": True}),
    },
    "weights measure radn": {
        "name": ("radn => srn", {"measure.name": "srn"}),
        "--photos": ("--photos there", {"measure.photos": "there"}),
    },
    "weights partial radn": {
        **OF_RUNS,
        "network": NETWORK,
        "--overwrite": ("--overwrite", {"keep_partial.overwrite": True}),
    },
    "reproduce": {
        "papers": ("radn srn", {"reproduce.papers": ["radn", "srn"]}),
        "--scale": ("--scale smoke", {"reproduce.scale": "smoke"}),
        "--data": ("--data there", {"reproduce.data_root": "there"}),
        "--seed": ("--seed 7", {"reproduce.seed": 7}),
    },
    "study": {
        "papers": ("radn raidnet", {"make.papers": ("radn", "raidnet"), "asked.papers": ("radn", "raidnet")}),
        "--tier": ("--tier depth", {"make.tiers": ("depth",), "asked.tiers": ("depth",)}),
        "--seeds": ("--seeds 2", {"make.seeds": 2, "trainings.seeds": 2}),
        "--hours": ("--hours 1.5", {"make.hours": 1.5}),
        "--processes": ("--processes 3", {"make.processes": 3}),
        "--dry-run": ("--dry-run", {"missing": True}),
        "--checks": ("--checks", {"keep": True}),
    },
    "claims": {
        "papers": ("radn raidnet", {"text.papers": ("radn", "raidnet")}),
        "--write": ("--write", {"write": True}),
    },
    "status": {"--write": ("--write", {"write_status": True}), "--json": ("--json", {"prints JSON": True})},
    "weights list": {"--json": ("--json", {"prints JSON": True})},
    "doctor": {},
    "completion bash": {"shell": ("bash => zsh", {"script.shell": "zsh"})},
}
"""Command -> option or argument -> what is added to the command, or replaced in it, and what arrives where."""
COMMANDS[WEIGHTS] |= COMMANDS[SCORES]

MACHINE = ("precision", "accumulate", "compile", "workers")


def parts(name, arguments):
    """What a function was called with, under names; plans and dictionaries in their parts."""
    found = {name: True}
    for argument, value in arguments.items():
        found[f"{name}.{argument}"] = value
        one = value[0] if argument == "plans" else getattr(value, "plan", value)
        if isinstance(one, runs.Plan):
            found |= {f"plan.{field.name}": getattr(one, field.name) for field in dataclasses.fields(one)}
            found |= {f"recipe.{field}": getattr(one.recipe, field) for field in MACHINE}
        if isinstance(value, dict):
            found |= {f"{name}.{key}": part for key, part in value.items()}
    return found


@pytest.fixture(scope="module")
def data(mini_root):
    return copies.open_data(mini_root)


@pytest.fixture
def arrived(data, tmp_path, monkeypatch, capsys):
    """Runs a command and tells what arrived at the functions that it calls."""
    found = {}

    def stub(place, name, gives=None):
        signature = inspect.signature(getattr(place, name))

        def stand_in(*arguments, **options):
            bound = signature.bind(*arguments, **options)
            bound.apply_defaults()
            found.update(parts(name, bound.arguments))
            return gives(bound.arguments) if inspect.isfunction(gives) else gives

        monkeypatch.setattr(place, name, stand_in)

    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(runs.Plan, "folder", tmp_path)
    monkeypatch.setattr(bench.Photographs, "fingerprint", "of photographs")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(source, "code_hash", lambda *objects: "code")
    monkeypatch.setattr(paths, "file_sha256", lambda path: f"{path}"[:16])
    table = pd.DataFrame({"command": ["x"], "scores": ["x"]})
    for place, name, gives in (
        (photos, "restore_files", True),
        (bundled, "ensure", Path("made")),
        (import_module("deblur.data.check"), "check", SimpleNamespace(usable=True)),
        (copies, "open_data", data),
        (copies.Data, "pairs", []),
        (copies.Data, "packed", lambda given: Path(f"packed {given['split']}")),
        (packing, "pack", 0),
        (leaves, "write_leaves", None),
        (debian, "fetch", None),
        (synthesis, "synthesize", {}),
        (checkpoints, "read", {}),
        (runs, "train_one", None),
        (planning, "plan", table),
        (planning, "listed", ""),
        (planning, "summary", [""]),
        (runs, "load_or_run", [SimpleNamespace(scores=dict)]),
        (runs, "blurred_scores", table),
        (runs, "exam_scores", table),
        (runs, "bounds", {}),
        (copies, "open_exam", data),
        (evaluation, "summarise", {}),
        (official, "find_pairs", []),
        (official, "copy_label", "whole"),
        (evaluation, "restored_files", {}),
        (models, "build", nn.Identity()),
        (checkpoints, "refuse_no_checkpoint", None),
        (tensors, "load_weights", None),
        (evaluation, "evaluate_into", table),
        (evaluation, "summarise_protocol", {}),
        (released, "find", Path("w.safetensors")),
        (released, "load", nn.Identity()),
        (cards, "read", SimpleNamespace(scale="bench")),
        (evaluation, "spread", []),
        (evaluation, "parts_table", pd.DataFrame([dict.fromkeys(COLUMNS, 0) | {"kind": "all"}])),
        (importing, "import_published", Path("w.safetensors")),
        (fetching, "fetch", Path("w.safetensors")),
        (runs, "is_complete", True),
        (release, "release", Path("w.safetensors")),
        (release, "measure", Path("w.json")),
        (release, "keep_partial", Path("w.safetensors")),
        (notebooks, "reproduce", []),
        (tables, "write_status", None),
        (making, "make", None),
        (making, "asked", []),
        (making, "trainings", []),
        (making, "missing", []),
        (checks, "keep", []),
        (checks, "missing", ["R3"]),
        (page, "text", ""),
        (page, "write", []),
        (page, "write_verdicts", None),
        (tables, "status", ""),
        (tables, "reproduced", []),
        (tables, "released_cards", {}),
        (machine, "script", ""),
    ):
        stub(place, name, gives)

    def run(words):
        found.clear()
        assert cli.main(words.split()) == 0, capsys.readouterr().err
        return found | {"prints JSON": capsys.readouterr().out[:1] in ("[", "{")}

    return run


EACH = [(command, option) for command, options in COMMANDS.items() for option in options]


@pytest.mark.parametrize(("command", "option"), EACH, ids=[" ".join(one) for one in EACH])
def test_an_option_arrives(command, option, arrived):
    change, wanted = COMMANDS[command][option]
    old, replaced, new = change.partition(" => ")
    assert not replaced or command.count(old) == 1
    before = arrived(command)
    after = arrived(command.replace(old, new) if replaced else f"{command} {change}")
    assert {name: after.get(name) for name in wanted} == wanted
    assert all(before.get(name) != value for name, value in wanted.items())


def leaves_of(parser, words=()):
    """Commands without further ones below them: words -> parser."""
    below = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        return {" ".join(words): parser}
    return {name: leaf for word, one in below[0].items() for name, leaf in leaves_of(one, (*words, word)).items()}


def test_each_option_of_each_command_is_in_the_list():
    for name, parser in leaves_of(cli.parser()).items():
        known = {action.option_strings[-1] if action.option_strings else action.dest for action in parser._actions}
        listed = [options for command, options in COMMANDS.items() if f"{command} ".startswith(f"{name} ")]
        assert listed, name
        assert {option for options in listed for option in options} == known - {"--help", "--version"}, name


def test_by_default_nothing_is_asked_for(arrived):
    """What stands for an option that is not given."""
    found = arrived("train radn")
    plan = {"variant": "paper", "scale": "mini", "budget": "main", "seed": 0, "pretrained": "", "photos": ""}
    assert {name: found[f"plan.{name}"] for name in plan} == plan
    assert found["plan.options"] == {}
    assert (found["open_data.root"], found["open_data.subset"], found["open_data.name"]) == ("", "blur", "gopro")
    assert (found["train_one.devices"], found["train_one.nodes"]) == ("1", 1)
    assert arrived("weights release radn one")["plan.scale"] == "bench"
    assert arrived("plan radn --untimed")["plan.scale"] == "paper"


TRAINED = [change for option, (change, _) in OF_RUNS.items() if option not in ("--subset", "--variant", "--scale")]
USELESS = {
    "evaluate radn": ["--split train", *ON.replace(" --", "|--").split("|"), "--overwrite"],
    WEIGHTS: [*TRAINED, "--exam"],
    "train radn": ["--photos there"],
    "data pack dvd root": ["--subset blur"],
}
"""Command -> options that it has no use for."""


@pytest.mark.parametrize(("command", "option"), [(one, option) for one, found in USELESS.items() for option in found])
def test_an_option_that_cannot_count_is_refused(command, option, arrived, capsys):
    assert cli.main(f"{command} {option}".split()) == 2
    assert f"--{option.rpartition('--')[2].split()[0]}" in capsys.readouterr().err
