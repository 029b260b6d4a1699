"""Two steps of every training, and fixed scores, against the golden numbers; what changes them is noticed."""

import json
from functools import cache

import pytest

from deblur import accepted, losses, models, recipes, runs, schedules, stale, training
from deblur.data import bench, loading
from deblur.runs import plan, run, wiring
from deblur.upkeep import committed, golden
from deblur.upkeep.golden import Case, Entry

CHEAP, OTHER = (Case("attentive", "paper", scale, "tree") for scale in ("smoke", "bench"))
ELSEWHERE = {"cpu": "another"}


trained = cache(golden.trained)
"""By the code as it is; each case once for all tests."""


@pytest.mark.parametrize("network", models.NETWORKS)
def test_trainings_come_out_as_golden(network):
    found = {case.name: trained(case) for case in golden.cases(network)}
    assert not golden.differences(golden.recorded(), found)


def test_scores_come_out_as_golden():
    assert not golden.differences(golden.recorded(), {golden.SCORING: golden.scored()})


def test_each_training_and_no_other_is_golden_and_its_code_is_the_one_that_keys_name():
    found = golden.recorded()
    assert set(found.entries) == {case.name for case in golden.every()} | {golden.SCORING}
    remedy = "numbers changed: python -m deblur.upkeep.golden; code alone did: python -m deblur.upkeep.accept"
    assert found.codes == golden.codes(wiring.code, runs.scoring), remedy


def test_whatever_recipes_name_is_golden():
    cases = golden.every()
    _, loss, schedule, data = map(set, zip(*map(golden.wiring_of, cases)))
    sources = set(wiring.SOURCES) - set(recipes.RUNGS)  # of the study alone: no code is accepted for its records
    assert (loss, schedule, data) == (set(losses.LOSSES), set(schedules.SCHEDULES), sources)
    assert {(case.network, case.scale) for case in cases} == {(n, s) for n in models.NETWORKS for s in recipes.SCALES}
    assert {(case.network, case.variant) for case in cases} == {
        (network, variant) for network, (module, *_) in models.NETWORKS.items() for variant in module.VARIANTS
    }


@pytest.mark.parametrize("scale", recipes.SCALES)
def test_a_shortened_recipe_is_that_of_its_scale(scale, tmp_path):
    """The rest of a recipe: with the two steps, one crop at a time or both at once."""
    own = recipes.recipe("raidnet", scale=scale)
    short = golden.plan(Case("raidnet", "paper", scale, own.data), tmp_path).recipe
    kept = ("lr", "schedule", "schedule_args", "betas", "clip_norm", "loss", "loss_args", "data", "augment", "edge")
    assert all(getattr(short, name) == getattr(own, name) for name in (*kept, "channels_last"))
    assert short.accumulate == (2 if scale == "paper" else 1)
    assert short.config == recipes.recipe("raidnet", scale="smoke" if scale == "paper" else scale).config


def test_a_case_is_wired_as_its_plan(tmp_path):
    for case in golden.every():
        assert golden.plan(case, tmp_path).wiring == golden.wiring_of(case)


def test_with_the_code_of_the_golden_numbers_each_result_has_its_key(monkeypatch):
    root = golden.file().parent
    monkeypatch.setenv("DEBLUR_RESULTS", str(root))
    codes = golden.recorded().codes
    found = committed.stale(lambda *wiring: codes[" ".join(wiring)], lambda: codes[golden.SCORING])
    assert set(found) <= stale.listed()


def other_loss(monkeypatch):
    monkeypatch.setitem(losses.attentive.__kwdefaults__, "lambda_grad", 2.51)


def other_schedule(monkeypatch):
    monkeypatch.setitem(schedules.polynomial.__kwdefaults__, "power", 0.31)


def other_augmentation(monkeypatch):
    monkeypatch.setitem(loading.AUGMENTATIONS, "flip_lr", lambda images, draw: images)


def weight_decay(monkeypatch):
    made = training._optimiser

    def decaying(*arguments):
        optimiser = made(*arguments)
        for group in optimiser.param_groups:
            group["weight_decay"] = 0.1
        return optimiser

    monkeypatch.setattr(training, "_optimiser", decaying)


def other_order_of_draws(monkeypatch):
    sample = loading.Batches.sample
    monkeypatch.setattr(loading.Batches, "sample", lambda self, step, index: sample(self, step, 1 - index))


def other_seed_of_weights(monkeypatch):
    drawn = wiring.drawn
    monkeypatch.setattr(plan, "drawn", lambda build, seed: drawn(build, seed + 1))


def arithmetic_mean(monkeypatch):
    monkeypatch.setattr(losses, "geometric", losses.plain)


BENCH = Case("attentive", "paper", "bench", "photographs")
CHANGES = {
    other_loss: CHEAP,
    other_schedule: CHEAP,
    other_augmentation: Case("attentive", "paper", "mini", "synthesis"),
    weight_decay: CHEAP,
    other_seed_of_weights: CHEAP,
    arithmetic_mean: BENCH,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_numbers_is_noticed_on_any_machine(change, monkeypatch):
    change(monkeypatch)
    found = {CHANGES[change].name: golden.trained(CHANGES[change])}
    assert golden.differences(golden.recorded(), found)
    assert golden.differences(golden.recorded()._replace(machine=ELSEWHERE), found)


def test_what_changes_bits_only_is_noticed_where_bits_can_be_compared(monkeypatch):
    """Two crops of a batch in the other order: sums differ in their last bits."""
    recorded = golden.recorded()._replace(machine=golden.machine(), entries={CHEAP.name: trained(CHEAP)})
    other_order_of_draws(monkeypatch)
    found = {CHEAP.name: golden.trained(CHEAP)}
    assert "other bits" in golden.differences(recorded, found)[0]
    assert not golden.differences(recorded._replace(machine=ELSEWHERE), found)


def other_curriculum(monkeypatch):
    monkeypatch.setitem(bench.CURRICULUM, "length", (0.3, 0.5))


def other_switch(monkeypatch):
    monkeypatch.setitem(losses.raidnet.__kwdefaults__, "switch", 0.27)


LATE = {other_curriculum: BENCH, other_switch: Case("raidnet", "paper", "paper", "tree")}


@pytest.mark.parametrize("change", LATE)
def test_what_only_long_trainings_meet_is_noticed_too(change, monkeypatch):
    """Where bits cannot be compared, first steps are all that is."""
    case = LATE[change]
    recorded = golden.recorded()._replace(machine=golden.machine(), entries={case.name: trained(case)})
    change(monkeypatch)
    (said,) = golden.differences(recorded, {case.name: golden.trained(case)})
    assert "other bits" in said


def test_numbers_have_a_tolerance_elsewhere_and_every_case_must_be_known():
    entry = Entry(("a", "b"), (1.0, 0.0))
    recorded = golden.Golden(ELSEWHERE, {}, {"one": entry})
    for numbers, close in {(1.00009, 0.0): True, (1.0002, 0.0): False, (1.0, 1e-6): False, (1.0,): False}.items():
        found = {"one": Entry(("other", "bits"), numbers)}
        assert (golden.differences(recorded, found) == []) is close
        assert golden.differences(recorded._replace(machine=golden.machine()), found)
    assert golden.differences(recorded, {"two": entry}) == ["two: has no golden numbers"]


# ---------------------------------------------------------------------------------------------------------- the file


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Golden numbers of one training, written into another project."""
    monkeypatch.setattr(golden, "every", lambda: [CHEAP, OTHER])
    for place in ("project_root", "bundled_dir"):
        monkeypatch.setattr(golden.paths, place, lambda: tmp_path)
    (tmp_path / "results").mkdir()
    with monkeypatch.context() as context:
        context.setattr(golden, "trained", trained)
        golden.write()
    return golden.recorded()


WHAT, WHAT_OTHER = "attentive attentive polynomial tree", "attentive attentive cosine tree"


def rewritten(monkeypatch):
    """All code was rewritten since; keys know nothing of that yet."""
    monkeypatch.setattr(wiring, "code_hash", lambda *_: "rewritten")
    monkeypatch.setattr(run, "present_scoring", lambda: "rewritten")


def test_numbers_that_stay_keep_the_code_that_made_them(written, monkeypatch):
    assert written.codes[WHAT] == wiring.present_code(*golden.wiring_of(CHEAP))
    rewritten(monkeypatch)
    golden.write()
    assert golden.recorded() == written


def test_numbers_that_change_are_those_of_the_present_code_and_lines_for_the_old_go(written, monkeypatch):
    old = [accepted.Line(what, code, "later", "2030-01-01", "c0ffee", "why") for what, code in written.codes.items()]
    accepted.write(old)
    rewritten(monkeypatch)
    other_schedule(monkeypatch)
    golden.write()
    found = golden.recorded()
    assert found.entries[CHEAP.name] != written.entries[CHEAP.name]
    assert found.entries[OTHER.name] == written.entries[OTHER.name]  # and yet of a network whose code gives other bits
    assert found.codes == {WHAT: "rewritten", WHAT_OTHER: "rewritten", "scoring": written.codes["scoring"]}
    assert accepted.lines() == [line for line in old if line.what == "scoring"]


def test_on_another_machine_they_are_written_with_the_code_as_it_was(written, monkeypatch):
    text = golden.file().read_text().replace('"cpu": ', '"cpu": "another, not ')
    golden.file().write_text(json.dumps(json.loads(text.replace('not "', "not "))))
    assert golden.recorded().machine != written.machine
    before = golden.file().read_text()
    with monkeypatch.context() as context:
        rewritten(context)
        with pytest.raises(ValueError, match="write it here with the code as it was, then change the code"):
            golden.write()
    assert golden.file().read_text() == before
    golden.write()
    assert golden.recorded() == written
