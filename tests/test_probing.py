"""Probes as data, what is kept of looks into networks, the effects that follow, and their rows in the ledger."""

import gzip
import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from torch import nn

from deblur import paths, recipes
from deblur.study import ledger, making, page, probing, records, statistics
from deblur.study.claims import PAPERS, TIERS, Arm, claims, probes

FIXED = {
    "attentive": "285c116e640e4df0",
    "radn": "6cb99f47d20170bd",
    "raidnet": "28b6c1ded7e57115",
    "sgenet": "06baaa13d93282fb",
    "simplenet": "d4ebfaa22082c907",
}
"""Paper -> hash of its probes as they were before the first training of the study."""

EVERY = [probe for paper in PAPERS for probe in probes(paper)]


def chosen(claim, name):
    return next(probe for probe in EVERY if probe.claim == claim and probe.name.startswith(name))


# ------------------------------------------------------------------------------------------------------------ as data


@pytest.mark.parametrize("paper", PAPERS)
def test_probes_are_those_of_before_the_study(paper):
    lines = (paths.printed_dir() / paper / "probes.csv").read_text(encoding="utf-8").splitlines()
    before = "\n".join(line for line in lines if not line.endswith(",exploratory"))
    assert hashlib.sha256(before.encode()).hexdigest()[:16] == FIXED[paper]


@pytest.mark.parametrize("paper", PAPERS)
def test_claims_of_test_probe_are_those_with_probes_that_decide(paper):
    deciding = {probe.claim for probe in probes(paper) if not probe.family.endswith(ledger.BESIDE)}
    assert deciding == {claim.id for claim in claims(paper) if claim.test == "probe"}


@pytest.mark.parametrize("probe", EVERY, ids=lambda one: f"{one.claim} {one.name}")
def test_probes_name_quantities_and_arms(probe):
    for arm, quantity in probe.needs:
        assert quantity == probing.STEPS or quantity in probing.QUANTITIES
        recipes.recipe(arm.network, arm.variant, TIERS[probe.tier].scale, "study")
    assert probe.bound_db > 0
    if probe.minus:
        assert (probe.plus, probe.measure) != (probe.minus, probe.minus_measure)
        assert probe.constant == 0


def test_what_a_probe_is_compared_with():
    assert chosen("A16", "above").constant == 2.0
    assert chosen("A16", "above").minus == ()
    text = chosen("A18", "gain on text")
    assert (text.minus, text.minus_measure) == ((Arm("attentive"),), "gain")
    equal = chosen("S19", "PVBs' effect on long")
    assert equal.needs == {
        (Arm("simplenet", variant), "gain, long less short paths") for variant in ("paper", "table3_baseline3_equal")
    }
    assert len(chosen("G10", "sharpness").minus) == 4


def test_what_probes_name_is_trained_and_looked_at():
    wanted = making.trainings(making.asked(["attentive"], ["breadth"]), 1)
    lambda_1 = making.Training("breadth", Arm("attentive", "lambda_1"), 0)
    assert lambda_1 in wanted
    assert making.wanted_in(lambda_1) == {"error over gradient", "error over gradient, blurred input"}
    assert making.wanted_in(making.Training("breadth", Arm("radn", "table1_radn4"), 0)) == set()  # a curve is enough


# ------------------------------------------------------------------------------------------------------- what is kept


class Seen:
    """Stands for a `View`."""

    def __init__(self, pair):
        self.name, self.scene, self.kind = pair, pair[0], "local"


@pytest.fixture
def looks(monkeypatch):
    """Two quantities of one function and one of all views, whose code can be changed; and what was looked at."""
    asked, codes = [], {"one": "1", "two": "1", "whole": "1"}

    def look(network, view):
        asked.append(view.name)
        return {"one": 0.5, "two": float("nan")} if view.name != "b1" else {"two": 2.0}

    def whole(network, seen):
        yield seen[0], {"whole": float(len(seen))}

    table = {name: probing.Quantity(look, "dB") for name in ("one", "two")}
    monkeypatch.setattr(probing, "QUANTITIES", table | {"whole": probing.Quantity(whole, "dB", whole=True)})
    monkeypatch.setattr(probing, "code", codes.__getitem__)
    monkeypatch.setattr(probing.views, "View", Seen)
    return asked, codes


PAIRS = ["a1", "a2", "b1"]


def test_each_pair_is_looked_at_once(looks, tmp_path):
    asked, _ = looks
    record = tmp_path / "radn-0-key.csv.gz"
    probing.keep(record, nn.Module(), PAIRS, ["one", "two", "whole"])
    assert asked == PAIRS
    kept = probing.kept(record)
    assert kept.quantities == {"one", "two", "whole"}
    values = {(row.quantity, row.name_): row.value for row in kept.rows.rename(columns={"name": "name_"}).itertuples()}
    assert values["one", "a1"] == 0.5
    assert np.isnan(values["two", "a2"])
    assert values["whole", "a1"] == 3
    assert ("one", "b1") not in values
    probing.keep(record, nn.Module(), PAIRS, ["one", "two"])
    assert asked == PAIRS
    before = probing.beside(record).read_bytes()
    probing.beside(record).unlink()
    probing.keep(record, nn.Module(), PAIRS, ["one", "two", "whole"])
    assert probing.beside(record).read_bytes() == before


def test_a_changed_quantity_is_looked_at_again(looks, tmp_path):
    asked, codes = looks
    record = tmp_path / "radn-0-key.csv.gz"
    probing.keep(record, nn.Module(), PAIRS, ["one", "whole"])
    codes["one"] = "2"
    assert probing.kept(record).quantities == {"whole"}
    assert set(probing.kept(record).rows["quantity"]) == {"whole"}
    probing.keep(record, nn.Module(), PAIRS, ["one", "whole"])
    assert asked == 2 * PAIRS
    assert len(probing.kept(record).rows) == 3


def test_damaged_looks_are_named_and_none_are_none(looks, tmp_path):
    record = tmp_path / "radn-0-key.csv.gz"
    assert probing.kept(record).quantities == frozenset()
    probing.keep(record, nn.Module(), PAIRS, ["one"])
    file = probing.beside(record)
    for damaged in (file.read_bytes()[:30], gzip.compress(b"{}\nquantity")):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"radn-0-key-probes\.csv\.gz: not a whole file of looks"):
            probing.kept(record)


def test_files_of_looks_are_no_records(looks, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))
    record = records.file_of("mini", Arm("radn"), 0, "key")
    record.parent.mkdir(parents=True)
    probing.keep(record, nn.Module(), PAIRS, ["one"])
    assert probing.beside(record).is_file()
    assert records.counted("mini") == {}


def test_codes_follow_the_function_that_looks():
    codes = {name: probing.code(name) for name in probing.QUANTITIES}
    assert codes["sharpness"] == codes["calm beside edges"]
    assert len(set(codes.values())) == len({quantity.look for quantity in probing.QUANTITIES.values()})


# ------------------------------------------------------------------------------------------------------------ effects


def seen(**values):
    """What was looked at: quantity -> values of scenes 0, 1, ..., or by scene, each the mean of two pairs."""
    rows = []
    for name, by_scene in values.items():
        pairs = by_scene if isinstance(by_scene, dict) else dict(enumerate(by_scene))
        for scene, value in pairs.items():
            rows += [[name.replace("_", " "), f"{scene}/{n}", str(scene), "local", value + n - 0.5] for n in (0, 1)]
    return probing.Looks(frozenset(values), pd.DataFrame(rows, columns=list(probing.COLUMNS)))


def test_effect_against_a_number():
    probe, arm = chosen("A16", "below"), Arm("attentive", "lambda_1")
    values = np.random.default_rng(0).normal(3.5, 1, (3, 5))
    own = {(arm, seed): seen(error_over_gradient=values[seed]) for seed in range(3)}
    effect = probing.effect(probe, own, range(3))
    assert effect == statistics.effect(values - 3)


def test_effects_are_paired_by_scene():
    probe = chosen("G10", "sharpness")
    rng = np.random.default_rng(0)
    own = {(arm, seed): seen(sharpness=rng.normal(size=5)) for arm in probe.arms for seed in range(2)}

    def table(arm):
        return np.stack([own[arm, seed].rows["value"].to_numpy().reshape(5, 2).mean(1) for seed in range(2)])

    rivals = np.mean([table(arm) for arm in probe.minus], axis=0)
    effect = probing.effect(probe, own, range(2))
    expected = statistics.effect(table(Arm("sgenet")) - rivals)
    assert effect.mean == pytest.approx(expected.mean)
    assert effect.interval == pytest.approx(expected.interval)
    # A scene that one run lacks takes no part.
    rows = own[probe.minus[0], 1].rows
    own[probe.minus[0], 1] = probing.Looks(frozenset(["sharpness"]), rows[rows["scene"] != "4"])
    assert probing.effect(probe, own, range(2)).scenes == 4


def test_other_scenes_are_drawn_by_themselves():
    probe, arm = chosen("A18", "gain on text"), Arm("attentive")
    rng = np.random.default_rng(1)
    text, frames = rng.normal(0, 1, (3, 16)), rng.normal(1, 0.5, (3, 9))
    pages = [{f"page {n}": value for n, value in enumerate(row)} for row in text]
    own = {(arm, seed): seen(gain_on_text=pages[seed], gain=frames[seed]) for seed in range(3)}
    effect = probing.effect(probe, own, range(3))
    assert effect.mean == pytest.approx(text.mean() - frames.mean())
    by_scene = [side.mean(0).std(ddof=1) ** 2 / side.shape[1] for side in (text, frames)]
    assert effect.scene == pytest.approx(np.sqrt(sum(by_scene)))
    assert effect.seed == pytest.approx((text.mean(1) - frames.mean(1)).std(ddof=1) / np.sqrt(3))
    assert (effect.seeds, effect.scenes) == (3, 9)


def test_refusals_are_counted_and_leave_no_value():
    probe, arm = chosen("R16", "what is added"), Arm("radn")
    nan = float("nan")
    own = {
        (arm, 0): seen(**{"SA_residual,_path": [0.5, nan, nan, nan]}),
        (arm, 1): seen(**{"SA_residual,_path": [0.7, 0.1, nan, nan]}),
    }
    assert probing.refused(probe, own) == pytest.approx(5 / 8)
    assert probing.effect(probe, own, range(2)).mean == pytest.approx(0.6)  # of the scene that has values in both
    nothing = {(arm, seed): seen(**{"SA_residual,_path": [nan] * 3}) for seed in range(2)}
    assert probing.effect(probe, nothing, range(2)) is None
    assert probing.refused(probe, nothing) == 1


@pytest.mark.parametrize(
    ("curve", "step"),
    [
        ([(100, 30.1), (200, 30.5), (300, 30.6)], 150),
        ([(100, 30.6), (200, 30.6)], 50),  # from 0 dB at step 0
        ([(100, 30.5), (200, 30.2), (300, 30.4)], 250),  # it counts from where it stays
        ([(100, 30.1), (200, 30.2)], None),
        ([(100, 30.5), (200, 30.2)], None),
    ],
)
def test_passing(curve, step):
    assert probing.passing(curve, 30.0) == (None if step is None else pytest.approx(step))


def run_of(curve, last=30.0):
    """A record with a curve and scores on the exam."""
    rows = [
        ["exam", "1200", "", f"{scene}/1", scene, "local", last + 0.01 * number, 0.9]
        for number, scene in enumerate("abcde")
    ]
    about = {"curve": curve, "exam": "e", "key": "k", "content": {"recipe": {"steps": 1200}}}
    return records.Record(about, pd.DataFrame(rows, columns=list(records.COLUMNS)))


def test_steps_of_runs_that_pass_and_of_those_that_never_do():
    probe = chosen("R13", "steps, over without deformable layers")
    early, late, never = ([(100, psnr), (200, 30.6), (300, end)] for psnr, end in ((30.6, 31), (30.0, 31), (30.0, 30)))
    plus, minus = probe.plus[0], probe.minus[0]
    curves = {
        (plus, 0): early,
        (minus, 0): late,
        (plus, 1): early,
        (minus, 1): never,
        (plus, 2): never,
        (minus, 2): never,
    }
    effect = probing.steps_effect(probe, {place: run_of(curve) for place, curve in curves.items()}, range(3), 30.0)
    assert effect.seeds == 2  # two that never pass say nothing
    assert effect.mean == pytest.approx(np.mean([np.log(50 / 150), np.log(50 / 300)]))
    assert effect.scene == 0
    none = {place: run_of(never) for place in curves}
    assert probing.steps_effect(probe, none, range(3), 30.0) is None


# --------------------------------------------------------------------------------------------------------- the ledger


@pytest.fixture
def study(monkeypatch):
    """A function that puts looks, or records, of runs into the ledger; all of them are 1 dB above the floor."""
    kept, looked = {}, {}
    rows = []
    for state, level in zip(records.BOUNDS, (28.0, 29.0, 31.0), strict=True):
        rows += [["exam", state, "", f"{scene}/1", scene, "local", level, 0.9] for scene in "abcde"]
    rows.append([records.WATCHED, records.BOUNDS[0], "", "v/1", "", "", 30.0, 0.9])
    bounds = pd.DataFrame(rows, columns=list(records.COLUMNS))
    monkeypatch.setattr(ledger, "contrasts", lambda paper: [])
    monkeypatch.setattr(ledger, "_records", lambda scale: kept if scale == "mini" else {})
    monkeypatch.setattr(ledger, "_bounds", lambda scale, exam: bounds)
    monkeypatch.setattr(ledger, "_looks", lambda scale, arm, seed: looked.get((arm, seed), probing.Looks()))

    def put(arm, seed, looks=None, record=None):
        kept[arm, seed] = record or run_of([(1200, 31.0)])
        looked[arm, seed] = looks or probing.Looks()

    return put


def with_text(values):
    """Looks whose quantities have commas in their names."""
    looks = seen(**{name.replace(" ", "_"): scenes for name, scenes in values.items()})
    return looks._replace(quantities=frozenset(values))


def said_of(paper, claim):
    rows = ledger.table([paper])
    own = next(one for one in claims(paper) if one.id == claim)
    return rows[rows["claim"] == claim], ledger.of_claim(own, rows)


def put_attentive(study, first, second, seeds=4, last=30.0):
    rng = np.random.default_rng(0)
    for seed in range(seeds):
        noise = rng.normal(0, 0.02, (6, 12))
        values = {f"SA encoder {level}, edges": noise[level] for level in (1, 2, 3)}
        values |= {"SA decoder 1, path": first + noise[4], "SA decoder 2, path": second + noise[5]}
        study(Arm("attentive"), seed, with_text(values), run_of([(1200, 31.0)], last))


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [(-0.4, 0.4, "holds"), (0.4, 0.4, "fails"), (0.0, 0.0, "no effect"), (-0.4, 0.0, "undecided")],
)
def test_verdicts_of_probes(study, first, second, verdict):
    put_attentive(study, first, second)
    rows, said = said_of("attentive", "A7")
    assert said == {"breadth": verdict}
    assert set(rows["unit"]) == {"correlation"}
    assert list(rows["effect"].round(1)) == [first, second]
    assert list(rows["scenes"]) == [12, 12]
    assert "correlation" in page.effect(rows.to_dict("records")[0])


def test_probes_wait_for_seeds_and_looks(study):
    put_attentive(study, -0.4, 0.4, seeds=3)
    assert said_of("attentive", "A7")[1] == {"breadth": "not yet: 3 of 4 seeds"}
    study(Arm("attentive"), 3)  # trained, not looked at
    assert said_of("attentive", "A7")[1] == {"breadth": "not yet: 3 of 4 seeds"}


def test_networks_that_learnt_nothing_are_not_probed(study):
    put_attentive(study, -0.4, 0.4, last=28.5)  # below the floor
    assert said_of("attentive", "A7")[1] == {"breadth": ledger.LEARNT_NOTHING}


@pytest.mark.parametrize("values", [[float("nan")] * 5, [0.3, *[float("nan")] * 4]])
def test_parts_that_say_nothing_are_inert(study, values):
    for seed in range(4):
        study(Arm("radn"), seed, with_text({"SA residual, path": values}))
    assert said_of("radn", "R16")[1] == {"breadth": ledger.INERT}


def test_an_inert_part_lets_a_claim_fail_only():
    assert ledger._together(["holds", ledger.INERT]) == ledger.INERT
    assert ledger._together(["fails", ledger.INERT]) == "fails"
    assert ledger._together([ledger.INERT, "not yet: 1 of 4 seeds"]) == "not yet: 1 of 4 seeds"


def test_curves_decide_without_looks(study):
    noise = np.random.default_rng(0).normal(0, 0.005, (4, 5))
    arms = [
        "radn",
        "radn/table1_radn4",
        "radn/table1_radn3",
        "radn/table2_conv0_def6_sa",
        "radn/table2_conv6_def0_nosa",
    ]
    for seed in range(4):
        for number, name in enumerate(arms):
            slow = number in (1, 2, 4)
            curve = [(100, 30.1 if slow else 30.6), (200, 30.6 + noise[seed, number]), (1200, 31.0)]
            study(Arm.of(name), seed, record=run_of(curve))
    rows, said = said_of("radn", "R13")
    assert said["breadth"] == "holds"
    assert set(rows[rows["tier"] == "breadth"]["unit"]) == {"log ratio"}
    for seed in range(4):
        for name in arms:  # nobody passes
            study(Arm.of(name), seed, record=run_of([(100, 30.0), (1200, 30.2)]))
    assert said_of("radn", "R13")[1]["breadth"] == ledger.LEARNT_NOTHING


# ------------------------------------------------------------------------------------------------- when it is looked


@pytest.mark.parametrize(("stored", "recorded", "count"), [(True, True, 1), (False, True, 0), (True, False, 0)])
def test_recorded_networks_are_looked_at_again_where_they_are_stored(
    monkeypatch, tmp_path, capsys, stored, recorded, count
):
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))
    training = making.Training("breadth", Arm("radn"), 0)
    monkeypatch.setattr(making.Training, "plan", SimpleNamespace(key="key"))
    monkeypatch.setattr(making.runs, "is_complete", lambda plan: stored)
    monkeypatch.setattr(making.runs, "Run", lambda plan: SimpleNamespace(plan=plan, network=lambda state: nn.Module()))
    monkeypatch.setattr(making, "exam", lambda scale: SimpleNamespace(pairs=lambda split: PAIRS))
    asked = []
    monkeypatch.setattr(probing, "keep", lambda *given: asked.append(given))
    file = records.file_of("mini", training.arm, 0, "key")
    if recorded:
        file.parent.mkdir(parents=True)
        file.touch()
    making.look_again([training, making.Training("breadth", Arm("radn", "table1_radn4"), 0)])
    assert len(asked) == count
    if count:
        (record, _, pairs, wanted), *_ = asked
        assert (record, pairs) == (file, PAIRS)
        assert {"x8 gain", "SA residual, path", "DDM 2 direction"} < wanted
    assert ("1 recorded networks are not stored here" in capsys.readouterr().err) == (recorded and not stored)
