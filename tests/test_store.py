"""The store: what is lost, damaged or foreign is noticed, and made again or named; nothing is made twice at once."""

import contextlib
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import time

import damage
import filelock
import pandas as pd
import pytest
from damage import without_flock

from deblur import cli, locks, runs, sealed, training
from deblur.data import copies
from deblur.locks import Busy, locked
from deblur.runs import pool, store

FILES = (*runs.FILES, "state.pt", "manifest.json")


def forbidden(*_):
    raise KeyboardInterrupt


def by_name(value):
    return getattr(value, "__name__", str(value))


# ------------------------------------------------------------------------------------------------------ sealed values


def test_sealed_values_come_back(tmp_path):
    content = {"ä": [1, 2.5, None, True], "nested": {"x": "y"}}
    (tmp_path / "a").write_text(sealed.seal(content))
    assert sealed.unsealed(tmp_path / "a") == content


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "3", "null", '{"content": 1}', '{"sha256": 1, "content": 1}', "{" * 9999]
)
def test_what_is_not_sealed_is_named(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(sealed.DamageError, match=str(tmp_path / "a")):
        sealed.unsealed(tmp_path / "a")


def test_no_flipped_bit_changes_sealed_values_unseen(tmp_path):
    content = {"key": "0123", "files": {"a.csv": ["00ff"], "b": []}}
    text = sealed.seal(content).encode()
    for index in range(len(text)):
        flipped = bytearray(text)
        flipped[index] ^= 1 << index % 7
        (tmp_path / "a").write_bytes(flipped)
        with contextlib.suppress(sealed.DamageError):
            assert sealed.unsealed(tmp_path / "a") == content  # a blank that became another one


# ------------------------------------------------------------------------------------------------------------ folders


def test_a_file_is_whole_from_the_moment_it_is_there(tmp_path, monkeypatch):
    """Stopped at each replacement (manifest, file, manifest), what is there is known: the old one or the new one."""
    real = os.replace
    for moment, kept in enumerate(("old", "old", "new")):
        folder = store.Folder(tmp_path / str(moment), "key")
        folder.write_text("a.csv", "old")
        left = iter([real] * moment)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *given, left=left: next(left, forbidden)(*given))
            with pytest.raises(KeyboardInterrupt):
                folder.write_text("a.csv", "new")
        assert folder.state("a.csv") == "whole"
        assert (folder.path / "a.csv").read_text() == kept


def test_states_of_a_file(tmp_path):
    folder = store.Folder(tmp_path / "run", "key")
    assert folder.state("a.csv") == "lost"
    folder.write_text("a.csv", "content")
    assert folder.state("a.csv") == "whole"
    (folder.path / "a.csv").write_text("contend")
    assert folder.state("a.csv") == "damaged"
    (folder.path / "b.csv").write_text("never written by us")
    assert folder.state("b.csv") == "damaged"
    (folder.path / "a.csv").unlink()
    assert folder.state("a.csv") == "lost"
    (folder.path / "a.csv").mkdir()
    assert folder.state("a.csv") == "damaged"


def test_an_older_version_of_a_file_is_not_whole(tmp_path):
    folder = store.Folder(tmp_path, "key")
    folder.write_text("per_image.csv", "old scores")
    folder.write_text("per_image.csv", "new scores")
    (tmp_path / "per_image.csv").write_text("old scores")
    assert folder.state("per_image.csv") == "damaged"


# ------------------------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def data(mini_root):
    return copies.open_data(mini_root)


def smoke(data, **fields):
    return runs.Plan(data, "attentive", **({"scale": "smoke", "budget": "row"} | fields))


@pytest.fixture(scope="module")
def two(data, tmp_path_factory):
    """A store with two finished runs, of seeds 0 and 1."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBLUR_RUNS", str(folder))
        for seed in (0, 1):
            pool._train_and_score(smoke(data, seed=seed))
        other = smoke(data, seed=1)  # two quick trainings may have taken equally long
        other.files.write_json("provenance.json", runs.Run(other).provenance | {"training_seconds": 99})
    return folder


@pytest.fixture
def plan(data, two, tmp_path, monkeypatch):
    """The run of seed 0 in a copy of the store."""
    shutil.copytree(two, tmp_path / "runs")
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(pool, "_train_in_processes", lambda plans, *_: [pool._train_and_score(plan) for plan in plans])
    return smoke(data)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in (*runs.FILES, "state.pt") if (folder / name).exists()}


def hurt(plan, name, what):
    what(plan.folder / name, smoke(plan.data, seed=1).folder / name)


CASES = [(name, False) for name in FILES] + [(name, True) for name in ("model.safetensors", "log.csv", "manifest.json")]


@pytest.mark.parametrize("what", damage.KINDS, ids=by_name)
@pytest.mark.parametrize(("name", "state_too"), CASES, ids=[f"{n}{', state gone' * s}" for n, s in CASES])
def test_whatever_happens_to_a_file_of_a_run_is_noticed_and_mended_or_named(plan, name, what, state_too):
    whole, trained = contents(plan.folder), runs.Run(plan).provenance
    hurt(plan, name, what)
    if state_too:
        (plan.folder / "state.pt").unlink(missing_ok=True)
    assert runs.is_complete(plan) == (name == "state.pt")
    # What cannot be had without training from the first step, and may be all that is left, is for a person to remove.
    named = name == "manifest.json" or (
        state_too and ((name == "model.safetensors" and what is not damage.lost) or name == "log.csv")
    )
    if named:
        with pytest.raises(sealed.DamageError) as caught:
            runs.load_or_run([plan])
        assert str(plan.folder / name) in str(caught.value)
        assert "remove" in str(caught.value) or "move" in str(caught.value)
        return
    (run,) = runs.load_or_run([plan])
    assert runs.is_complete(plan)
    made = contents(plan.folder)
    for file in {*runs.FILES} - {"provenance.json"}:
        assert made[file] == whole[file], file
    if name == "provenance.json":  # nobody knows any more
        assert run.provenance["commit"] is run.provenance["dirty"] is run.provenance["device"] is None
    elif not state_too:
        assert run.provenance == trained


def test_a_damaged_state_stops_an_unfinished_training_by_name(plan):
    (plan.folder / "model.safetensors").unlink()
    hurt(plan, "state.pt", damage.one_bit_flipped)
    with pytest.raises(sealed.DamageError, match=r"state\.pt: not as it was written; remove it"):
        runs.load_or_run([plan])
    (plan.folder / "state.pt").unlink()
    assert runs.load_or_run([plan])[0].provenance["continued"] is False


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04.", b"PK\x03\x04", bytes(9999)])
def test_a_state_of_any_content_fails_with_its_name(data, tmp_path, monkeypatch, content):
    """Also where no manifest says what it was."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    plan = smoke(data)
    plan.folder.mkdir(parents=True)
    (plan.folder / "state.pt").write_bytes(content)
    with pytest.raises(sealed.DamageError, match=r"state\.pt cannot be trusted; move"):
        pool._train_and_score(plan)


def test_a_folder_of_another_run_is_not_taken(plan, data):
    other = smoke(data, seed=1)
    shutil.rmtree(plan.folder)
    shutil.copytree(other.folder, plan.folder)
    assert not runs.is_complete(plan)
    with pytest.raises(sealed.DamageError, match="of another training"):
        runs.load_or_run([plan])


@pytest.mark.parametrize("what", damage.KINDS, ids=by_name)
@pytest.mark.parametrize("name", FILES)
def test_the_command_evaluate_ends_whole_or_says_why(plan, name, what, capsys, monkeypatch):
    monkeypatch.setattr(cli.options, "plan", lambda options: plan)
    assert cli.main(["evaluate", "attentive"]) == 0
    expected = capsys.readouterr().out
    hurt(plan, name, what)
    status = cli.main(["evaluate", "attentive"])
    said = capsys.readouterr()
    if status:
        assert name == "manifest.json" or (name, what) == ("model.safetensors", damage.lost)
        assert "move" in said.err or "is not trained yet" in said.err
    else:
        assert said.out == expected


def test_what_is_listed_for_looking_around_is_whole(plan):
    assert plan.folder in runs.stored()
    hurt(plan, "model.safetensors", damage.one_bit_flipped)
    assert runs.stored().keys() == {smoke(plan.data, seed=1).folder}


@pytest.mark.parametrize("what", [damage.empty, damage.cut, damage.one_bit_flipped, damage.of_another_run], ids=by_name)
def test_kept_scores_are_known_by_their_content(data, tmp_path, monkeypatch, what):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    expected, other = runs.blurred_scores(data, 1), runs.blurred_scores(data, 2)
    first, second = sorted((tmp_path / "blurred").glob("*.csv"), key=lambda path: path.stat().st_size)
    what(first, second)
    pd.testing.assert_frame_equal(runs.blurred_scores(data, 1), expected)
    pd.testing.assert_frame_equal(runs.blurred_scores(data, 2), other)


# ------------------------------------------------------------------------------------------------------------- locks


def hold_and_die(path):
    lock = filelock.SoftFileLock(path)
    lock.acquire()
    os._exit(1)


def in_turn(path, order, number):
    with locked(path):
        order.put(("in", number))
        time.sleep(0.1)
        order.put(("out", number))


@pytest.mark.parametrize("flock", [True, False], ids=["flock", "no flock"])
@pytest.mark.parametrize("left", [None, "file", "held"], ids=["new", "a lock file lies there", "its holder was killed"])
def test_one_at_a_time(tmp_path, monkeypatch, flock, left):
    if not flock:
        without_flock(monkeypatch)
    path, context = tmp_path / "run" / "lock", multiprocessing.get_context("fork")
    path.parent.mkdir()
    if left:
        path.touch()
    if left == "held":
        killed = context.Process(target=hold_and_die, args=(f"{path}.held",))
        killed.start()
        killed.join(30)
        assert path.with_name("lock.held").exists()
    order = context.Queue()
    processes = [context.Process(target=in_turn, args=(path, order, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    said = [order.get(timeout=10) for _ in range(6)]
    for entered, ended in zip(said[::2], said[1::2], strict=True):
        assert (entered[0], ended[0]) == ("in", "out")
        assert entered[1] == ended[1]


@pytest.mark.parametrize("flock", [True, False], ids=["flock", "no flock"])
def test_who_does_not_wait_is_told(tmp_path, monkeypatch, flock):
    if not flock:
        without_flock(monkeypatch)
    with (
        locked(tmp_path / "lock"),
        pytest.raises(Busy, match=str(tmp_path / "lock")),
        locked(tmp_path / "lock", wait=False),
    ):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass


def test_who_waits_says_so(tmp_path, caplog):
    context = multiprocessing.get_context("fork")
    order = context.Queue()
    process = context.Process(target=in_turn, args=(tmp_path / "lock", order, 0))
    process.start()
    assert order.get(timeout=30)
    with caplog.at_level(logging.WARNING), locked(tmp_path / "lock"):
        pass
    process.join(30)
    assert str(tmp_path / "lock") in caplog.text


@pytest.mark.parametrize("number", sorted(locks.READ_ONLY))
def test_where_nothing_can_be_written_there_is_nothing_to_lock(tmp_path, monkeypatch, number):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", refused)
    with locked(tmp_path / "lock"):
        pass


def test_other_errors_are_not_swallowed(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "lock"):
        pass


@pytest.mark.parametrize("flock", [True, False], ids=["flock", "no flock"])
@pytest.mark.parametrize("command", [True, False], ids=["deblur train", "notebook"])
def test_two_callers_of_one_run_train_it_once(data, tmp_path, monkeypatch, flock, command):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    if not flock:
        without_flock(monkeypatch)
    context = multiprocessing.get_context("fork")
    trained, plan = context.Value("i", 0), smoke(data)
    assert plan.key  # hashed before the function is replaced
    assert runs.scoring()
    real = training.train

    def counting(*arguments, **options):
        with trained.get_lock():
            trained.value += 1
        real(*arguments, **options)

    monkeypatch.setattr(training, "train", counting)
    call = (lambda: runs.train_one(plan, "1")) if command else (lambda: pool._train_and_score(plan))
    processes = [context.Process(target=call) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert trained.value == 1
    assert runs.is_complete(plan)


# ----------------------------------------------------------------------------------------------------------- threads

THREADS = """
import hashlib, json, sys
from dataclasses import replace
import torch
from deblur import runs
from deblur.data import copies
data, found = copies.open_data(sys.argv[1]), {"threads": torch.get_num_threads()}
for paper in ("attentive", "sgenet", "raidnet"):
    plan = runs.Plan(data, paper, scale="smoke")
    plan.__dict__["recipe"] = replace(plan.recipe, steps=2, crop=64, test_pairs=1)
    with_threads = {}
    runs.train_one(plan, "1")
    for name in ("model.safetensors", "log.csv", "per_image.csv"):
        with_threads[name] = hashlib.sha256((plan.folder / name).read_bytes()).hexdigest()
    found[paper] = with_threads
    assert runs.Run(plan).provenance["threads"] == 1
print(json.dumps(found))
"""


def test_one_key_gives_the_same_bytes_whatever_the_threads(mini_root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "1"))
    monkeypatch.setattr(sys, "argv", ["-c", str(mini_root)])
    assert os.environ["OMP_NUM_THREADS"] == "1"
    exec(THREADS, {})
    found = [json.loads(capsys.readouterr().out.splitlines()[-1])]
    for threads in (2, 4):
        around = os.environ | {"OMP_NUM_THREADS": str(threads), "DEBLUR_RUNS": str(tmp_path / str(threads))}
        command = [sys.executable, "-c", THREADS, str(mini_root)]
        done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert [one.pop("threads") > 1 for one in found] == [False, True, True]  # what they would have taken
    assert found[0] == found[1] == found[2]
