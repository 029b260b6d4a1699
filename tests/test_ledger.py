"""The ledger: from records with known effects to verdicts, whatever is missing, damaged, foreign or of other code."""

import itertools
import json
import re
import shutil
import signal
import time
from collections import deque
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from deblur import cli, paths
from deblur.figures.claims import forest, lengths
from deblur.runs.plan import key_of
from deblur.study import checks, ledger, making, overview, page, records, statistics
from deblur.study.claims import PAPERS, TIERS, Arm, claims, contrasts, probes

SCENES, PAIRS = [f"scene{number}" for number in range(8)], 2
LAST = {"mini": ("300", "600", "1200"), "axes": ("750", "1500", "3000")}
BLURRED, FLOOR, ORACLE = 25.0, 26.0, 28.0
EXAM = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path / "results"))
    forget()
    yield
    forget()


def forget():
    ledger._records.cache_clear()
    ledger._bounds.cache_clear()
    ledger._looks.cache_clear()


def rows(on, state, psnr_db, without=""):
    """Two pairs a scene; scenes differ by themselves, alike for all arms."""
    shift = np.random.default_rng(0).normal(0, 1, len(SCENES))
    return [
        {
            "on": on,
            "state": state,
            "without": without,
            "name": f"{scene}/{number}",
            "scene": scene,
            "kind": "local" if number else "global",
            "psnr_db": psnr_db + shift[place] + number,
            "ssim_gauss_rgb": 0.8 + psnr_db / 1000,
        }
        for place, scene in enumerate(SCENES)
        for number in range(PAIRS)
    ]


def write_bounds(scale):
    table = [
        row
        for name, psnr in zip(records.BOUNDS, (BLURRED, FLOOR, ORACLE), strict=True)
        for row in rows("exam", name, psnr)
    ]
    records.write(records.bounds_file(scale, EXAM), records.Record({"scale": scale, "exam": EXAM}, pd.DataFrame(table)))


def write_run(text, seed, psnr_db, scale="mini", folder=None, wrong=None, **removed):
    """A record of an arm as if it had been trained by the present code, but for what is `wrong`."""
    arm = Arm.of(text)
    content = {**records._expected(arm, scale), "seed": seed, "data": "whatever"} | (wrong or {})
    key = key_of(content)
    states = (*LAST[scale], "best")
    noise = np.random.default_rng([seed, len(text)]).normal(0, 0.002)
    table = [
        row for share, state in enumerate(states) for row in rows("exam", state, psnr_db + noise - 0.1 * (share == 0))
    ]
    for name, drop in removed.items():
        table += rows("exam", LAST[scale][-1], psnr_db + noise - drop, name.replace("_", " "))
    about = {"arm": text, "scale": scale, "seed": seed, "key": key, "content": content, "exam": EXAM}
    about |= {"parameters": 1000 + len(text), "training": {"device": f"core {seed % 2}", "training_seconds": 600.0}}
    file = records.file_of(scale, arm, seed, key)
    records.write(file, records.Record(about, records.stacked([pd.DataFrame(table)])))
    return file


def verdict_of(paper, claim, name, tier="breadth"):
    forget()
    table = ledger.table([paper])
    row = table[(table["claim"] == claim) & (table["contrast"] == name) & (table["tier"] == tier)]
    assert len(row) == 1
    return row.iloc[0]


def test_a_record_is_read_as_it_was_written_and_has_the_same_bytes_again(tmp_path):
    file = write_run("attentive", 1, 27.0)
    record = records.read(file)
    again = tmp_path / "again.csv.gz"
    records.write(again, record)
    assert again.read_bytes() == file.read_bytes()
    assert record.about["seed"] == 1
    assert tuple(record.rows) == records.COLUMNS
    assert (record.rows["without"] == "").all()
    assert file.stat().st_size < 4000


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"text", lambda b: b[:40] + b"x" + b[41:]]
)
def test_a_damaged_record_is_named_with_the_remedy(damage):
    file = write_run("attentive", 0, 27.0)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"not a whole record of the study.*move it away, or copy it again") as error:
        records.counted("mini")
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [{"code": "of another time"}, {"seed": 7}, {"config": {}}, {"recipe": {"steps": 5}}, {"paper": "srn"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_the_present_code_would_not_train_does_not_count(wrong):
    write_run("attentive", 0, 27.0, wrong=wrong)
    assert records.counted("mini") == {}
    write_run("attentive", 0, 27.0)
    assert list(records.counted("mini")) == [(Arm("attentive"), 0)]


def test_a_record_that_was_changed_by_hand_does_not_count():
    file = write_run("attentive", 0, 27.0)
    record = records.read(file)
    records.write(
        file, records.Record(record.about | {"content": record.about["content"] | {"data": "other"}}, record.rows)
    )
    assert records.counted("mini") == {}


SA, NONE = "attentive/table5_only_sa", "attentive/table5_without_all"


def study(effect_db, level=27.0, seeds=range(4), scale="mini"):
    write_bounds(scale)
    for seed in seeds:
        write_run(SA, seed, level + effect_db, scale)
        write_run(NONE, seed, level, scale)


@pytest.mark.parametrize(
    ("effect_db", "said"), [(0.5, "holds"), (-0.5, "fails"), (0.0, "no effect"), (0.02, "no effect")]
)
def test_effects_become_verdicts(effect_db, said):
    study(effect_db)
    row = verdict_of("attentive", "A9", "SA alone, over none")
    assert row["verdict"] == said
    assert row["effect"] == pytest.approx(effect_db, abs=0.006)
    assert row["low"] < row["effect"] < row["high"]
    assert (row["seeds"], row["planned"], row["scenes"]) == (4, 4, 8)
    assert row["minus_gain_db"] == pytest.approx(27.0 - BLURRED, abs=0.01)
    assert row["plus_gain_db"] - row["minus_gain_db"] == pytest.approx(row["effect"], abs=1e-3)
    assert row["floor_gain_db"] == pytest.approx(FLOOR - BLURRED)
    assert row["oracle_gain_db"] == pytest.approx(ORACLE - BLURRED)


def test_below_the_floor_nothing_was_learnt():
    study(0.5, level=24.0)
    assert verdict_of("attentive", "A9", "SA alone, over none")["verdict"] == ledger.LEARNT_NOTHING


@pytest.mark.parametrize("seeds", range(4))
def test_before_all_seeds_are_in_there_is_an_interval_and_no_verdict(seeds):
    study(0.5, seeds=range(seeds))
    row = verdict_of("attentive", "A9", "SA alone, over none")
    assert row["verdict"] == f"not yet: {seeds} of 4 seeds"
    assert pd.isna(row["effect"]) == (seeds == 0)
    assert pd.isna(row["low"]) == (seeds < 2)


def test_seeds_count_that_all_arms_have():
    study(0.5, seeds=(0, 1, 2))
    write_run(SA, 3, 40.0)
    assert verdict_of("attentive", "A9", "SA alone, over none")["seeds"] == 3


def test_order_and_machine_do_not_matter(tmp_path):
    study(0.3)
    before = ledger.table(["attentive"])
    files = sorted(records.folder().rglob("*.csv.gz"))
    for number, file in enumerate(reversed(files)):  # as if from two machines, merged by copying
        machine = tmp_path / f"machine{number % 2}" / file.relative_to(records.folder())
        machine.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, machine)
    for number in (1, 0):
        shutil.copytree(tmp_path / f"machine{number}", records.folder(), dirs_exist_ok=True)
    forget()
    pd.testing.assert_frame_equal(ledger.table(["attentive"]), before)


def test_interrupted_anywhere_the_ledger_is_right_for_what_there_is():
    study(0.5)
    files = sorted(records.folder().glob("mini/*.csv.gz"))
    for stop, file in itertools.islice(enumerate(reversed(files), 1), 8):
        file.unlink()
        forget()
        left = len(files) - stop
        assert sum(map(len, [records.counted("mini")])) == left
        seeds = {(arm, seed) for arm, seed in records.counted("mini")}
        both = sum(all((Arm.of(text), seed) in seeds for text in (SA, NONE)) for seed in range(4))
        assert verdict_of("attentive", "A9", "SA alone, over none")["seeds"] == both


def test_a_removal_compares_a_network_with_itself():
    write_bounds("mini")
    for seed in range(4):
        write_run("attentive", seed, 27.0, SA_decoder=0.4, SA_encoder=0.0, CA=-0.3)
    said = {
        name: verdict_of("attentive", "A17", f"{name}: whole over without")
        for name in ("SA decoder", "SA encoder", "CA")
    }
    assert {name: row["verdict"] for name, row in said.items()} == {
        "SA decoder": "holds",
        "SA encoder": "no effect",
        "CA": "fails",
    }
    assert said["SA decoder"]["effect"] == pytest.approx(0.4)


def test_a_main_effect_is_the_mean_of_its_arms():
    write_bounds("mini")
    levels = {
        "attentive": 27.6,
        "attentive/table7_multi_scale": 27.2,
        NONE: 27.1,
        "attentive/without_all_multi_scale": 27.0,
    }
    for (text, level), seed in itertools.product(levels.items(), range(4)):
        write_run(text, seed, level)
    main = verdict_of("attentive", "A20", "attention, main effect over the loss")
    assert main["effect"] == pytest.approx((0.5 + 0.2) / 2, abs=0.006)
    assert verdict_of("attentive", "A20", "half the interaction of attention and loss")["effect"] == pytest.approx(
        0.15, abs=0.006
    )


def test_depth_looks_at_the_best_step_and_asks_half_a_decibel_above_the_floor():
    for levels, said in (((26.3, 25.8), ledger.LEARNT_NOTHING), ((27.6, 27.1), "holds")):
        shutil.rmtree(records.folder(), ignore_errors=True)
        write_bounds("axes")
        for seed in range(4):
            for text, level in zip(("radn/table1_radn4", "radn/table1_radn3"), levels, strict=True):
                write_run(text, seed, level, "axes")
        assert verdict_of("radn", "R6", "self-attention over none", "depth")["verdict"] == said


def test_a_family_is_corrected_as_a_whole_also_before_all_of_it_is_in(monkeypatch):
    """CA, SA and both halves over none, both kinds over each, SA over CA: the contrasts of Table 5."""
    family = [one for one in contrasts("attentive") if (one.tier, one.family) == ("breadth", "attentive Table 5")]
    study(0.5)
    seen = []
    ruled = statistics.verdicts

    def rule(effects, bounds, signs, waiting=0):
        seen.append((len(effects), waiting))
        return ruled(effects, bounds, signs, waiting)

    monkeypatch.setattr(statistics, "verdicts", rule)
    ledger.table(["attentive"])
    assert (1, len(family) - 1) in seen
    for seed in range(4):
        write_run("attentive/table5_only_ca", seed, 27.2)
    forget()
    seen.clear()
    ledger.table(["attentive"])
    assert (3, len(family) - 3) in seen


def test_every_claim_has_a_verdict_or_a_reason():
    forget()
    for paper in PAPERS:
        table = ledger.table([paper])
        for claim in claims(paper):
            for tier, said in ledger.of_claim(claim, table).items():
                assert (tier in TIERS) == (claim.test in ("ablation", "removal", "transfer", "probe"))
                quick = claim.id in checks.CHECKS and checks.CHECKS[claim.id].quick
                assert said in ledger.VERDICTS if quick else said.startswith(("not yet", ledger.NOT_HERE))


@pytest.mark.parametrize(
    ("said", "together"),
    [
        (["holds", "not yet: 1 of 4 seeds"], "not yet: 1 of 4 seeds"),
        (["holds", "holds"], "holds"),
        (["holds", "fails"], "fails"),
        (["holds", ledger.LEARNT_NOTHING], "holds"),
        ([ledger.LEARNT_NOTHING] * 2, ledger.LEARNT_NOTHING),
        (["no effect", "holds"], "undecided"),
    ],
)
def test_several_contrasts_of_a_claim(said, together):
    assert ledger._together(said) == together


def test_the_page_has_a_line_for_each_claim_and_says_what_was_measured(tmp_path, capsys):
    study(0.5)
    assert cli.main(["claims", "--write"]) == 0
    text = (tmp_path / "results" / "CLAIMS.md").read_text(encoding="utf-8")
    assert sum(line.startswith(("| A", "| R", "| N", "| G", "| S")) for line in text.splitlines()) == 84
    assert "SA alone, over none: +0.50 [" in text
    lines = sum(len(contrasts(paper)) + len(probes(paper)) for paper in PAPERS) + len(checks.CHECKS)
    assert len(pd.read_csv(tmp_path / "results" / "claims.csv")) == lines
    capsys.readouterr()
    assert cli.main(["claims", "radn"]) == 0
    assert capsys.readouterr().out.count("\nR") == 17


def test_the_committed_ledger_is_that_of_the_committed_records(monkeypatch):
    committed = paths.PACKAGE.parent / "results"
    monkeypatch.setenv("DEBLUR_RESULTS", str(committed))
    forget()
    assert (committed / "CLAIMS.md").read_text(encoding="utf-8") == page.markdown(ledger.table())
    assert (committed / "claims.csv").read_text(encoding="utf-8") == ledger.table().to_csv(index=False)


def test_the_committed_simulation_errs_as_seldom_as_it_should():
    table = pd.read_csv(paths.PACKAGE.parent / "results" / "study" / "simulation.csv")
    assert table["false_sign"].max() <= 5
    assert table["false_none"].max() <= 7  # of a thousand families, where 5 % are allowed
    typical = table[(table["seeds"] == 4) & (table["seed_db"] <= 0.02) & (table["family"] == 4)]
    assert (typical["holds_0.2"] > 95).all()


# --------------------------------------------------------------------------------------------------------- the order


def test_all_have_their_first_seed_before_any_has_its_second():
    order = making.trainings(making.asked())
    firsts = [one.seed == 0 for one in order]
    assert firsts == sorted(firsts, reverse=True)
    later = [one.tier for one in order if one.seed]
    assert later == sorted(later, key=list(TIERS).index)
    assert len(set(order)) == len(order)
    by_tier = {tier: {one.arm for one in order if one.tier == tier} for tier in TIERS}
    for tier, arms in by_tier.items():
        assert len([one for one in order if one.tier == tier]) == TIERS[tier].seeds * len(arms)


def test_what_has_a_record_is_not_missing():
    wanted = making.trainings(making.asked(["raidnet"], ["breadth"]), seeds=1)
    write_run("raidnet", 0, 27.0)
    assert {one.arm for one in wanted} - {one.arm for one in making.missing(wanted)} == {Arm("raidnet")}


def test_a_dry_run_counts_and_trains_nothing(capsys, monkeypatch):
    monkeypatch.setattr(making, "make", lambda *_: pytest.fail("it trained"))
    monkeypatch.setattr(making.complexity, "macs", lambda network, height, width: height * width)
    write_run("sgenet", 0, 27.0)
    assert cli.main(["study", "sgenet", "--tier", "breadth", "--seeds", "2", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = len({arm for one in making.asked(["sgenet"], ["breadth"]) for arm in one.arms})
    assert lines[1].split()[:4] == ["breadth", "0", str(count), "1"]
    assert lines[2].split()[:4] == ["breadth", "1", str(count), "0"]
    assert sum(line.startswith("deblur train ") for line in lines) == 2 * count - 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("study sgnet", "unknown paper 'sgnet'; choose one of attentive"),
        ("study --tier deep", "unknown tier 'deep'; choose one of depth"),
        ("claims radn --write", "--write takes all papers; leave their names out"),
    ],
)
def test_wrong_use_is_told_at_once(words, said, capsys):
    assert cli.main(words.split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])  # as in a shell's background
def test_hours_end_the_study_as_ctrl_c_would(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        _hours_end_the_study()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def _hours_end_the_study():
    with pytest.raises(KeyboardInterrupt), making._ending_after(1e-6):
        deque(map(time.sleep, [0.01] * 1000), maxlen=0)
    with making._ending_after(None):
        pass


def test_a_record_is_json_and_a_table():
    record = records.read(write_run("attentive", 0, 27.0))
    assert json.loads(json.dumps(record.about)) == record.about


# -------------------------------------------------------------------------------------------------------- as a whole


def test_effects_are_told_by_length_and_are_robust_where_the_last_two_agree():
    """`write_run` has each arm 0.1 dB lower after a quarter, which no difference shows."""
    study(0.5)
    row = verdict_of("attentive", "A9", "SA alone, over none")
    assert row["robust"]
    file = write_run(SA, 0, 27.5)
    record = records.read(file)
    late = record.rows.assign(psnr_db=record.rows["psnr_db"] - 2.0 * (record.rows["state"] == "600"))
    records.write(file, records.Record(record.about, late))
    row = verdict_of("attentive", "A9", "SA alone, over none")
    assert row["whole"] == row["effect"] == pytest.approx(0.5, abs=0.006)
    assert row["quarter"] == pytest.approx(0.5, abs=0.006)
    assert row["half"] == pytest.approx(0.5 - 2.0 / 4, abs=0.006)
    assert not row["robust"]
    assert pd.isna(verdict_of("attentive", "A12", "SA alone, over CA alone")["robust"])
    table = overview.by_length("attentive")
    own = table[table["contrast"] == "SA alone, over none"]
    assert list(own["share"]) == [0.25, 0.5, 1.0]
    assert list(own["effect"].round(4)) == [row["quarter"], row["half"], row["whole"]]
    assert own["low"].iloc[2] == pytest.approx(row["low"], abs=1e-4)


def test_the_page_says_how_much_of_the_untrained_weights_is_in_what_is_scored():
    """The share of the first weights in an average, step by step."""
    held = {}
    for scale, decay, steps in (("depth", 0.998, 3000), ("breadth", 0.99, 1200)):
        share, told = 1.0, []
        for step in range(1, steps + 1):
            share *= decay
            if step in (steps // 4, steps // 2, steps):
                told.append(f"{100 * share:.1f} %")
        held[scale] = "in {} {} after a quarter, {} after half, {} at the end".format(scale, *told)
    assert held["depth"] in (said := page.markdown(ledger.table()))
    assert held["breadth"] in said


def test_of_one_seed_no_interval_is_told_or_drawn():
    study(0.5, seeds=[0])
    table = overview.by_length("attentive")
    assert table[["low", "high"]].isna().all(axis=None)
    drawn = lengths(table)
    assert drawn.axes[0].get_title().startswith("A9: SA alone")
    assert list(drawn.axes[0].lines[-1].get_ydata()) == list(table["effect"])
    pyplot.close(drawn)
    assert lengths(overview.by_length("radn")) is None


def test_effects_are_drawn_against_length_where_a_paper_prints_none(monkeypatch):
    study(0.5)
    measured = ledger.measured

    def without_printed(contrast):
        return replace(measured(contrast), contrast=replace(contrast, printed_db=None))

    monkeypatch.setattr(ledger, "measured", without_printed)
    table = overview.by_length("attentive")
    assert len(table) == 3 * len(table[["claim", "contrast"]].drop_duplicates())
    assert table["printed"].isna().all()
    drawn = lengths(table)
    assert len(drawn.axes[0].lines) == 2  # zero and the effect
    pyplot.close(drawn)


def test_networks_stand_between_floor_and_oracle_with_their_times():
    study(0.5, seeds=(0, 1, 2))
    rows = overview.networks("breadth").set_index("arm")
    assert dict(rows["seeds"]) == {SA: 3, NONE: 3}
    assert rows.loc[SA, "gain"] - rows.loc[NONE, "gain"] == pytest.approx(0.5, abs=0.006)
    assert rows.loc[SA, "lowest"] < rows.loc[SA, "gain"] < rows.loc[SA, "highest"]
    assert tuple(rows.loc[SA, ["floor", "oracle"]]) == (pytest.approx(FLOOR - BLURRED), pytest.approx(ORACLE - BLURRED))
    assert rows.loc[SA, "time"] == "20 minutes on core 0; 10 minutes on core 1"
    assert "## The networks of breadth" in page.markdown(ledger.table())
    assert overview.networks("depth").empty


@pytest.mark.parametrize(
    ("effect_db", "seeds", "said"),
    [
        (0.5, 4, r"A9 \(.*\) holds, CA alone, .* SA alone, over none \+0\.50 \[\+0\.\d\d, \+0\.\d\d\]"),
        (0.0, 4, r"A9 \(.*\) no effect, CA alone, .* SA alone, over none [+-]0\.00 "),
        (-0.5, 4, r"A9 \(.*\) fails, CA alone, .* SA alone, over none -0\.50 "),
        (0.5, 3, r": 0 of 20 claims have a verdict\. To know more"),
    ],
)
def test_a_paragraph_to_cite_says_what_came_out_and_what_is_missing(effect_db, seeds, said):
    study(effect_db, seeds=range(seeds))
    for seed in range(seeds):
        write_run("attentive/table5_only_ca", seed, 27.0 + effect_db)
    forget()
    rows = ledger.table(["attentive"])
    text = overview.paragraph("The network", "attentive", page._listed("attentive", rows), rows)
    assert re.search(said, text)
    assert "could see" not in text
    missing = len(making.missing(making.trainings(making.asked(["attentive"], ["breadth"]))))
    assert f"{missing} trainings of breadth" in text
    assert "Not testable here: A5." in text


@pytest.mark.parametrize(("bound", "said"), [(0.1, "+0.02 [-0.01, +0.04] dB"), (0.001, "+0.016 [-0.010, +0.042] dB")])
def test_effects_whose_bound_is_fine_are_told_with_a_digit_more(bound, said):
    row = {"effect": 0.0163, "low": -0.0096, "high": 0.0422, "bound": bound, "unit": "dB", "verdict": "holds"}
    assert overview.effect(row) == said
    assert overview.effect(row | {"verdict": "undecided", "detectable": 0.05, "unit": ""}).endswith(
        "0.05" + "0" * (bound < 0.02)
    )
    assert overview.effect(row | {"low": np.nan}) == said.partition(" [")[0] + " dB"


def test_what_was_added_later_is_shown_and_does_not_decide():
    added = [one for paper in PAPERS for one in (*contrasts(paper), *probes(paper)) if one.family == "exploratory"]
    assert {one.claim for one in added} == {"A17", "S14"}
    for one in added:
        assert not ledger.row(ledger.Measured(one), "").decides


# ------------------------------------------------------------------------------------------------------------ drawn


def test_a_forest_shows_effects_intervals_bounds_and_printed_values():
    assert forest(ledger.table(["attentive"])) is None
    study(0.5)
    forget()
    table = ledger.table(["attentive"])
    drawn = forest(table[table["tier"] == "breadth"])
    (axis,) = drawn.axes
    shown = table.dropna(subset="effect")
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        f"{row.claim}: {row.contrast} (4 of 4 seeds)" for row in shown.itertuples()
    ]
    lines = [list(map(float, line.get_xdata())) for line in axis.lines]
    for row in shown.itertuples():
        for wanted in ([row.low, row.high], [row.effect], [row.printed], [-row.bound, row.bound]):
            assert wanted in lines
    pyplot.close(drawn)


@pytest.mark.parametrize(("low", "effect", "high"), [(-0.5, -0.24, 0.02), (0.01, 0.3, 0.59), (-2, -1, -0.05)])
def test_on_a_forest_each_effect_can_be_read_and_each_interval_ends_inside(low, effect, high):
    row = {"claim": "R6", "contrast": "attention over none", "unit": "dB", "verdict": "undecided", "printed": 0.16}
    drawn = forest(pd.DataFrame([row | dict(low=low, effect=effect, high=high, bound=0.05, seeds=4, planned=4)]))
    (axis,) = drawn.axes
    left, right = axis.get_xlim()
    assert left < low < high < right
    assert sum(left < tick < right and tick / effect > 0 for tick in axis.get_xticks()) >= 2  # one gives no measure
    pyplot.close(drawn)


def test_a_forest_of_small_effects_has_a_measure_on_both_sides():
    row = {"claim": "R6", "contrast": "attention over none", "unit": "dB", "verdict": "no effect", "printed": None}
    drawn = forest(pd.DataFrame([row | dict(low=-0.01, effect=0.0, high=0.01, bound=0.02, seeds=4, planned=4)]))
    (axis,) = drawn.axes
    left, right = axis.get_xlim()
    assert [tick for tick in sorted(axis.get_xticks()) if left < tick < right] == [-0.1, 0, 0.1]
    pyplot.close(drawn)


@pytest.mark.parametrize("seeds", [2, 4])
def test_intervals_of_all_planned_seeds_are_drawn_whole_against_length(seeds):
    common = {"claim": "R7", "contrast": "deformable over ordinary", "bound": 0.06, "planned": 4, "printed": 0.18}
    table = pd.DataFrame(
        [common | dict(seeds=seeds, share=share, effect=0.3, low=-6.0, high=6.6) for share in (0.25, 0.5, 1)]
    )
    drawn = lengths(table)
    bottom, top = drawn.axes[0].get_ylim()
    assert (bottom < -6 and top > 6.6) == (seeds == 4)
    assert top > 0.3
    pyplot.close(drawn)
