"""Code that gives the same bits may stand for the old code; nothing else may."""

import hashlib
import json
import multiprocessing
import shutil
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from deblur import accepted, losses, models, paths, recipes, runs, stale, tables
from deblur.accepted import Line
from deblur.data import copies
from deblur.reports.awkward import tiny_release
from deblur.runs import pool, run, train, wiring
from deblur.upkeep import accept, committed, golden
from deblur.upkeep import stale as stale_command
from deblur.upkeep.golden import Case

MINI = Case("attentive", "paper", "mini", "synthesis")
WHAT = "attentive attentive polynomial synthesis"
LINE = Line(WHAT, "old", "new", "2030-01-01", "c0ffee", "why")
PRESENT = wiring.code_hash, run.present_scoring


def git(root, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, check=True)


def commit(root):
    git(root, "add", "-A")
    git(root, "commit", "-qm", "all", "--allow-empty")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A checkout with golden numbers of one training, a result of that, a card of it, and its table of seeds."""
    root = tmp_path_factory.mktemp("built")
    for name in ("deblur", "results/mini/attentive", "results/bench"):
        (root / name).mkdir(parents=True)
    (root / "deblur/runs").mkdir()
    (root / "deblur/runs/provenance.py").touch()
    with pytest.MonkeyPatch.context() as context:
        at(root, context)
        golden.write()
        data = {
            "fingerprint": planned().data.fingerprint,
            "trained_on": {"photographs": {}},
            "name": "mini gopro (blur)",
        }
        row = {"paper": "attentive", "trained_on": "gopro", "variant": "paper", "budget": "row", "seed": 0}
        row |= {"key": planned("row").key, "trained": {"scoring": runs.scoring()}, "steps": 130, "device": "CPU"}
        record = {"paper": "attentive", "scale": "mini", "data": data, "runs": [row], "gain_db": 1.0}
        (root / "results/mini/attentive/run.json").write_text(json.dumps(record))
        recipe = {"key": planned().key, "seed": 0, "steps": 1200}
        training = {"device": "CPU", "training_seconds": 1.0}
        card = {"scale": "mini", "recipe": recipe, "data": data, "scores": {"gain_db": 1.0}, "training": training}
        tiny_release(root / "weights", "tiny", **card)
        (root / "weights/tiny.csv").write_text("step,loss\n1,0.5\n")
        seeds = [{"network": "tiny", "seed": seed, "key": planned(seed=seed).key} for seed in (0, 1)]
        pd.DataFrame(seeds).to_csv(root / "results" / committed.SEEDS, index=False)
    git(root, "init", "-q")
    commit(root)
    return root


def at(root, context):
    context.setattr(paths, "project_root", lambda: root)
    context.setattr(paths, "bundled_dir", lambda: root)
    context.setattr(golden, "every", lambda: [MINI])
    context.setenv("DEBLUR_RESULTS", str(root / "results"))
    context.setenv("DEBLUR_WEIGHTS", str(root / "weights"))


@pytest.fixture
def project(built, tmp_path, monkeypatch):
    """A copy of that checkout, in the place of this one."""
    root = shutil.copytree(built, tmp_path / "checkout")
    at(root, monkeypatch)
    return root


def planned(budget="main", seed=0):
    return runs.Plan(copies.open_data(), "attentive", scale="mini", budget=budget, seed=seed)


def rewrite(monkeypatch, mark):
    """All code is written anew, and gives the same bits."""
    code_hash, scoring = PRESENT

    def changed(*objects):
        return hashlib.sha256((code_hash(*objects) + mark).encode()).hexdigest()[:16]

    monkeypatch.setattr(wiring, "code_hash", changed)
    monkeypatch.setattr(run, "present_scoring", lambda: f"{scoring()[:15]}{mark}")


ALL = ["bench/seeds.csv", "mini/attentive", "weights/tiny"]


def test_results_stand_once_code_is_accepted_and_again_after_the_next_change(project, monkeypatch):
    key, scoring = planned().key, runs.scoring()
    assert accept.accept("nothing changed") == []
    for mark in "ab":
        rewrite(monkeypatch, mark)
        assert committed.stale() == ALL
        assert (planned().key == key, runs.scoring() == scoring) == (False, False)
        lines = accept.accept(f"rewritten {mark}")
        assert {(line.what, line.old, line.reason) for line in lines} == {
            (what, code, f"rewritten {mark}") for what, code in golden.recorded().codes.items()
        }
        assert (planned().key == key, runs.scoring() == scoring) == (True, True)
        assert committed.stale() == accept.forged() == []
        commit(project)
        assert accept.accept("once more") == []
    assert len(accepted.lines()) == 4
    rewrite(monkeypatch, "")
    assert planned().key != key  # but for the hash of what was there before, no code is known


def test_released_weights_are_taken_for_the_run_whose_code_was_accepted(project, monkeypatch, tmp_path):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(pool, "_steps_done", multiprocessing.Value("q", 0))
    rewrite(monkeypatch, "a")
    assert not train._take_released(planned())
    accept.accept("rewritten")
    assert train._take_released(planned())
    assert runs.Run(planned()).provenance["released"] == "tiny"
    assert set(runs.stored()) == {planned().folder}


def test_the_command_says_what_it_did(project, monkeypatch, capsys):
    rewrite(monkeypatch, "a")
    monkeypatch.setattr(sys, "argv", ["accept", "rewritten"])
    assert accept.main() == 0
    assert "2 lines" in capsys.readouterr().out
    assert accept.main() == 1
    assert "refused: commit these first" in capsys.readouterr().err
    commit(project)
    assert accept.main() == 0
    assert "nothing to accept" in capsys.readouterr().out


def refused(match, reason="rewritten"):
    before = accepted.lines()
    with pytest.raises(accept.RefusedError, match=match):
        accept.accept(reason)
    assert accepted.lines() == before


def test_other_bits_are_refused(project, monkeypatch):
    rewrite(monkeypatch, "a")
    with monkeypatch.context() as context:
        context.setitem(losses.attentive.__kwdefaults__, "lambda_grad", 2.50001)
        refused("golden numbers differ(.|\n)*attentive paper mini synthesis: other bits")
    with monkeypatch.context() as context:
        context.setattr(golden.evaluation.metrics, "psnr_db", lambda *_, **__: 20.0)
        refused("scoring: other bits")
    assert accept.accept("rewritten")


def other_recipe(project, monkeypatch):
    found = recipes.RECIPES["attentive"]["mini"]
    monkeypatch.setitem(recipes.RECIPES["attentive"], "mini", replace(found, betas=(0.9, 0.99)))
    return ALL


def other_seed(project, monkeypatch):
    file = project / "results/mini/attentive/run.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    return ["mini/attentive"]


def other_configuration(project, monkeypatch):
    monkeypatch.setitem(models.NETWORKS["attentive"][0].VARIANTS, "paper", {"share": False})
    return ALL


def other_data(project, monkeypatch):
    opened = copies.open_data
    monkeypatch.setattr(committed, "_data", lambda *_: replace(opened(), fingerprint="0" * 16))
    return ALL


def other_pairs(project, monkeypatch):
    file = project / "results/mini/attentive/run.json"
    file.write_text(file.read_text().replace(planned().data.fingerprint, "0" * 16))
    return ["mini/attentive"]


def unknown_variant(project, monkeypatch):
    file = project / "weights/tiny.json"
    file.write_text(file.read_text().replace('"paper"', '"gone"'))
    return ["bench/seeds.csv", "weights/tiny"]


def golden_numbers_of_new_code(project, monkeypatch):
    golden.file().unlink()
    golden.write()
    return ALL


@pytest.mark.parametrize(
    "change",
    [
        other_recipe,
        other_seed,
        other_configuration,
        other_data,
        other_pairs,
        unknown_variant,
        golden_numbers_of_new_code,
    ],
)
def test_what_is_not_only_code_is_refused_by_name_unless_it_is_listed_as_stale(project, monkeypatch, change):
    rewrite(monkeypatch, "a")
    names = change(project, monkeypatch)
    commit(project)
    refused(f"^{', '.join(names)}: not only code was changed")
    stale.file().write_text("\n".join(names))
    commit(project)
    if change in (other_seed, other_data, other_pairs, unknown_variant):
        assert accept.accept("the rest was rewritten")
        assert committed.stale() == names


def test_bits_of_another_machine_are_refused(project, monkeypatch):
    rewrite(monkeypatch, "a")
    text = golden.file().read_text()
    for key in ("cpu", "instructions", "device", "versions"):
        content = json.loads(text)
        content["machine"][key] = {"torch": "1.0"} if key == "versions" else "another"
        golden.file().write_text(json.dumps(content))
        commit(project)
        refused("bits cannot be compared")


@pytest.mark.parametrize("name", ["results/accepted.csv", "weights/new.json", "results/golden.json"])
def test_changed_results_are_refused_and_changed_code_is_not(project, monkeypatch, name):
    rewrite(monkeypatch, "a")
    (project / "deblur/new.py").touch()
    file = project / name
    before = file.read_bytes() if file.exists() else b""
    file.write_bytes(before + b"\n")
    with pytest.raises(accept.RefusedError, match=f"commit these first(.|\n)*{name}"):
        accept.accept("rewritten")
    file.write_bytes(before) if before else file.unlink()
    assert accept.accept("rewritten")


def test_without_git_and_without_a_reason_it_is_refused(project, monkeypatch):
    rewrite(monkeypatch, "a")
    refused("say in a few words", reason=" ")
    monkeypatch.setenv("PATH", str(project))
    refused("not a checkout")


def test_what_is_committed_is_not_forged():
    assert accept.forged() == []


def test_forged_lines_are_noticed(project, monkeypatch):
    old, present = golden.recorded().codes[WHAT], wiring.present_code(*WHAT.split())
    rewrite(monkeypatch, "a")
    new = wiring.present_code(*WHAT.split())
    for what, made, stands, said in (
        (WHAT, old, "f" * 16, [f"{WHAT}: {'f' * 16} is not the present code"]),
        (WHAT, old, present, [f"{WHAT}: {present} is not the present code"]),
        (WHAT, "f" * 16, new, [f"{WHAT}: {'f' * 16} made no golden numbers"]),
        ("toy", old, new, [f"toy: {old} made no golden numbers", f"toy: {new} is not the present code"]),
        (WHAT, old, new, []),
    ):
        accepted.write([LINE._replace(what=what, old=made, new=stands)])
        assert accept.forged() == said


def test_a_damaged_list_is_named_with_the_remedy(project):
    for text in ("", "old,new\n", ",".join(Line._fields) + "\na,b\n"):
        accepted.file().write_text(text)
        with pytest.raises(ValueError, match=r"accepted\.csv: its columns must be what, old, new"):
            accepted.original(WHAT, "code")


def test_the_list_is_read_as_written_whatever_a_reason_holds(project):
    line = LINE._replace(reason='commas, "quotes"\nand lines')
    accepted.write([line, LINE._replace(what="scoring")])
    assert accepted.lines() == [line, LINE._replace(what="scoring")]
    assert accepted.original(WHAT, "new") == accepted.original("scoring", "new") == "old"
    assert accepted.original("another", "new") == "new"


# ------------------------------------------------------------------------------------------------------ what is stale


def test_what_is_stale_is_listed_and_marked_until_it_is_current_again(project, monkeypatch):
    (project / "results/mini/attentive/tables").mkdir()
    (project / "results/mini/attentive/tables/table1.csv").write_text("psnr_db_printed,psnr_db_measured,note\n1,1,\n")
    assert stale_command.write() == []
    assert not stale.file().exists()
    assert "(stale)" not in tables.status()
    with monkeypatch.context() as context:
        rewrite(context, "a")
        assert stale_command.write() == ALL
        assert stale.listed() == set(ALL)
        assert stale.file().read_text().startswith("#")
    assert "| attentive (stale) | mini |" in tables.status()
    assert "| tiny (stale) |" in tables.status()
    assert stale_command.write() == []
    assert stale.listed() == set()


def test_comments_and_empty_lines_are_no_names(project):
    stale.file().write_text("# all\n\n  mini/radn # changed\nweights/radn\n")
    assert stale.listed() == {"mini/radn", "weights/radn"}
    assert stale.listed(project) == set()


def test_results_of_smoke_other_seeds_and_other_data_are_no_promise(project):
    text = (project / "results/mini/attentive/run.json").read_text()
    for name in ("smoke/attentive", "mini/attentive-seed1", "mini/attentive-0123abcd"):
        (project / "results" / name).mkdir(parents=True)
        (project / "results" / name / "run.json").write_text(text)
    assert sorted(committed.results()) == ALL


def test_only_what_is_stale_is_listed_and_all_of_it(monkeypatch):
    """A name in results/stale.txt that is current, or that nothing has, must go: python -m deblur.upkeep.stale."""
    monkeypatch.setenv("DEBLUR_RESULTS", str(paths.project_root() / "results"))
    assert stale.listed() == set(committed.stale())
    assert len(committed.results()) >= 16
