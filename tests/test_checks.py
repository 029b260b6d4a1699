"""Claims of cost and arithmetic: each rule against counts by hand, and against networks that turn its verdict."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from deblur import cli, models
from deblur.data import operators
from deblur.study import arithmetic, checks, costs, ledger, page, statistics
from deblur.study.claims import PAPERS, Arm, Outcome, claims


def subject(name, channels):
    """A network of 9 * 3 * channels weights."""
    return costs.Subject(name, lambda: nn.Conv2d(3, channels, 3, padding=1, bias=False))


def clock(monkeypatch, decides=True, **ms):
    """Times of networks by name, three turns each; a number stands for three that are alike."""
    turns = {name: times if isinstance(times, list) else [times] * 3 for name, times in ms.items()}
    monkeypatch.setattr(costs, "timed", lambda *subjects: costs.Timing(turns, decides, "timed here"))


def test_claims_of_cost_and_arithmetic_have_a_check_and_no_others():
    asked = {claim.id for paper in PAPERS for claim in claims(paper) if claim.test in ("cost", "arithmetic")}
    assert set(checks.CHECKS) == asked
    for check in checks.CHECKS.values():
        for name in check.networks:
            models.config(*Arm.of(name)[:2])


def test_a_subject_is_counted():
    conv = subject("a", 5)
    assert conv.parameters == 9 * 3 * 5
    assert conv.macs == 9 * 3 * 5 * 256 * 256


@pytest.mark.parametrize(
    ("sizes", "times", "verdict"),
    [
        ((9, 9), (1, 9), "holds"),
        ((2, 9), (9, 9), "holds"),  # one smaller: second
        ((2, 2), (9, 9), "fails"),
        ((9, 9), (1, 1), "fails"),
        ((9, 9), ([1, 1, 9], [1, 1, 9]), "undecided"),  # faster, but not in all turns
    ],
)
def test_small_and_fast(monkeypatch, sizes, times, verdict):
    clock(monkeypatch, own=5, a=times[0], b=times[1])
    networks = subject("own", 5), subject("a", sizes[0]), subject("b", sizes[1])
    assert costs.small_and_fast(*networks).verdict == verdict
    clock(monkeypatch, decides=False, own=5, a=times[0], b=times[1])
    on_a_cpu = costs.small_and_fast(*networks).verdict
    assert on_a_cpu == ("fails" if sizes == (2, 2) else "undecided")  # sizes decide everywhere


@pytest.mark.parametrize(("own", "times", "verdict"), [(5, 4, "holds"), (5, 7, "fails"), (9, 4, "fails")])
def test_small_and_usual(monkeypatch, own, times, verdict):
    clock(monkeypatch, own=times, a=1, b=5, c=6)
    networks = subject("own", own), subject("a", 2), subject("b", 8), subject("c", 9)
    assert costs.small_and_usual(*networks).verdict == verdict


@pytest.mark.parametrize(("own", "verdict"), [(4, "holds"), (6, "fails")])
def test_light_and_of_low_complexity(own, verdict):
    networks = subject("own", own), subject("a", 1), subject("b", 5), subject("c", 9)
    assert costs.light(*networks).verdict == costs.low_complexity(*networks).verdict == verdict
    assert "rank 2 of 4" in costs.light(subject("own", 4), *networks[1:]).measured


def test_light_in_one_of_two_is_undecided():
    strided = costs.Subject("own", lambda: nn.Conv2d(3, 9, 3, stride=4, padding=1, bias=False))
    assert costs.light(strided, subject("a", 5)).verdict == "undecided"


@pytest.mark.parametrize(("times", "verdict"), [([15, 16, 17], "holds"), ([13, 14, 14], "fails"), (15.5, "holds")])
def test_speed_of_radn(monkeypatch, times, verdict):
    clock(monkeypatch, own=1, a=times)
    said = costs.radn_speed(subject("own", 2), subject("a", 8))
    assert said.verdict == verdict
    assert "4.0 times the multiplications" in said.measured
    clock(monkeypatch, decides=False, own=1, a=times)
    assert costs.radn_speed(subject("own", 2), subject("a", 8)).verdict == "undecided"


@pytest.mark.parametrize(
    ("own", "a", "verdict"),
    [(40, 900, "holds"), (40, 100, "fails"), (50, 1200, "fails"), ([40, 40, 45], 900, "undecided")],
)
def test_real_time(monkeypatch, own, a, verdict):
    clock(monkeypatch, own=own, a=a, b=1000)
    assert costs.real_time(subject("own", 2), subject("a", 8), subject("b", 8)).verdict == verdict


@pytest.mark.parametrize(
    ("slow", "a", "verdict"),
    [(6.8, 2, "holds"), (12, 2, "fails"), (6.8, 0.5, "fails"), (6.8, [0.9, 2, 2], "undecided"), (2, 2, "fails")],
)
def test_fastest(monkeypatch, slow, a, verdict):
    clock(monkeypatch, own=1, slow=slow, a=a)
    assert costs.fastest(*(subject(name, 3) for name in ("own", "slow", "a"))).verdict == verdict


def test_fewer_parameters():
    said = checks.CHECKS["R3"]()
    assert said.verdict == "holds"
    assert f"{100 * (1 - 12_982_135 / 21_697_572):.1f} % fewer" in said.measured
    assert costs.fewer_parameters(subject("own", 8), subject("a", 10)).verdict == "fails"
    assert costs.fewer_parameters(subject("own", 4), subject("a", 10)).verdict == "fails"


def test_hardly_more():
    assert costs.hardly_more(subject("whole", 109), subject("plain", 100)).verdict == "holds"
    assert costs.hardly_more(subject("whole", 111), subject("plain", 100)).verdict == "fails"
    more = costs.Subject("whole", lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 100, 3, bias=False)))
    assert costs.hardly_more(more, subject("plain", 100)).verdict == "fails"  # of one size, but four times the work


@pytest.mark.parametrize(("times", "verdict"), [(12, "holds"), (0.5, "fails"), (2, "undecided")])
def test_lgcr_saves_memory_by_count_and_time_by_clock(monkeypatch, times, verdict):
    ms = {"non-local": [times] * 3, "LGCR": [1.0] * 3}
    monkeypatch.setattr(costs, "_lgcr_timed", lambda: costs.Timing(ms, True, "timed here"))
    said = costs.lgcr_saves()
    assert said.verdict == verdict
    # Scores and their softmax, against 64 planes and as many images.
    assert float(said.measured.split()[0]) == pytest.approx(2 * 180**4 / (64 * (1 + 3) * 180**2), rel=0.05)
    assert "power 2.0" in said.measured


@pytest.mark.parametrize(
    ("spent", "verdict"),
    [((3, 2, 1), "holds"), ((3, 1, 2), "fails"), ((1, 2, 3), "fails")],
)
def test_order_of_time(monkeypatch, spent, verdict):
    groups = dict(zip(("PVBs", "DRs", "LGCR"), map(float, spent), strict=True)) | {"RBs": 1.0, "Convs/Deconv": 1.0}
    monkeypatch.setattr(costs.complexity, "time_groups", lambda *_: (groups, 9.0))
    monkeypatch.setattr(costs, "FRAMES", {"cpu": (8, 8), "cuda": (8, 8)})
    own = costs.Subject("simplenet", lambda: models.build("simplenet", widths=(4, 8, 8), rank=2))
    real = costs._timing
    if not torch.cuda.is_available():
        assert costs.order_of_time(own).verdict == "undecided"
    monkeypatch.setattr(costs, "_timing", lambda *given: real(*given)._replace(decides=True))
    assert costs.order_of_time(own).verdict == verdict


def test_a_timing_on_this_machine(monkeypatch):
    monkeypatch.setattr(costs, "FRAMES", {"cpu": (8, 8), "cuda": (8, 8)})
    timing = costs.timed(subject("a", 2), subject("b", 3))
    assert timing.decides == torch.cuda.is_available()
    assert {name: len(ms) for name, ms in timing.ms.items()} == dict.fromkeys(
        "ab", costs.REPEATS["cpu"]
    ) or timing.decides


# --------------------------------------------------------------------------------------------------------- arithmetic


def test_filters_along_a_line_and_others():
    line, square = np.zeros((2, arithmetic.SIDE, arithmetic.SIDE))
    line[0, :20] = line[0, -20:] = 1
    square[:20, :20] = 1
    assert arithmetic.along_line(line, 0) == 1
    assert arithmetic.along_line(line, np.pi / 2) < 0.1
    assert arithmetic.along_line(square, 0) < 0.2
    y, x = arithmetic._offsets()
    gauss = np.exp(-((x / 12) ** 2 + (y / 4) ** 2))
    assert arithmetic.elongation(gauss) == pytest.approx(9, rel=1e-3)
    assert arithmetic.elongation(gauss.T) == pytest.approx(9, rel=1e-3)


def test_inverse_filters_undo():
    _, x = arithmetic.classical.frequencies((arithmetic.SIDE,) * 2)
    kernel = 1 + 0.5 * np.exp(-2j * np.pi * x)  # a pixel and half its neighbour
    inverse = arithmetic.inverse(kernel)
    np.testing.assert_allclose(inverse[0, :4], [1, -0.5, 0.25, -0.125], atol=0.01)


def test_claim_of_filters(monkeypatch):
    monkeypatch.setattr(arithmetic, "LENGTHS_PX", (9,))
    monkeypatch.setattr(arithmetic, "CAMERAS", 3)
    monkeypatch.setattr(arithmetic, "ANGLES", 2)  # along the axes, where pixels lie on the line
    assert arithmetic.inverse_filters().verdict == "holds"
    line = arithmetic.classical.line
    monkeypatch.setattr(arithmetic.classical, "line", lambda shape, length, angle: line(shape, length, angle + 1.5))
    assert arithmetic.inverse_filters().verdict == "fails"


@pytest.mark.parametrize(
    ("ranks", "verdict"), [((255, 254), "holds"), ((256, 256), "fails"), ((255, 256), "undecided")]
)
def test_equations_and_unknowns(monkeypatch, ranks, verdict):
    def measure(seed):
        rows = {"Global Blur": 256, "Local Blur": 256, "Sampling Blur": ranks[seed]}
        table = [{"blur_type": name, "rank": rank, "blind_unknowns": 272} for name, rank in rows.items()]
        table[1]["blind_unknowns"] = 800 if seed or ranks[0] == 255 else 272
        return pd.DataFrame(table).assign(rows=256, effective_rank=250, intact_rows=130, condition=1e3)

    monkeypatch.setattr(arithmetic, "SYSTEMS", 2)
    monkeypatch.setattr(operators, "measure", measure)
    arithmetic.systems.cache_clear()
    try:
        assert arithmetic.fewer_equations().verdict == verdict
        assert arithmetic.more_unknowns().verdict == ("holds" if ranks[0] == 255 else "fails")
    finally:
        arithmetic.systems.cache_clear()


def test_receptive_fields():
    assert arithmetic.more_fields().verdict == "holds"
    # By hand, of two blocks: 0, 6, 12, and 0, 4, 6, 8, 10, 12, 14, 16.
    assert arithmetic._fields({0, 6}, {0, 4, 6, 8})[1] == (3, 8)
    assert arithmetic.more_fields({"alike": ({0, 6}, {0, 6})}).verdict == "fails"


# ---------------------------------------------------------------------------------------------------- what is kept


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A check that is slow, with nothing kept."""
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))
    asked = []

    def rule(*networks):
        asked.append(networks)
        return Outcome("fails", "Three against two.", "counted here")

    monkeypatch.setattr(checks, "CHECKS", {"R3": checks.Check(rule), "S15": checks.CHECKS["S15"]})
    monkeypatch.setattr(checks.Check, "key", "0" * 16)
    return asked


def test_what_is_slow_is_kept_with_its_key(kept, monkeypatch):
    assert checks.missing() == ["R3"]
    assert checks.outcome("R3") is None
    assert kept == []
    assert cli.main(["study", "radn", "--checks", "--dry-run"]) == 0
    assert kept == []
    assert cli.main(["study", "radn", "--checks"]) == 0
    assert len(kept) == 1
    assert checks.outcome("R3") == Outcome("fails", "Three against two.", "counted here")
    assert json.loads(checks.file_of("R3").read_text())["device"]
    assert checks.missing() == []
    monkeypatch.setattr(checks.Check, "key", "1" * 16)
    assert checks.outcome("R3") is None


def test_a_damaged_record_is_named(kept):
    checks.keep(["R3"])
    checks.file_of("R3").write_text('{"verdict": ')
    with pytest.raises(ValueError, match=r"R3\.json: not a whole record of a check .* measure it again"):
        checks.outcome("R3")


def test_the_ledger_has_rows_for_checks(kept):
    rows = ledger.table(["radn", "simplenet"])
    by_id = {claim.id: claim for paper in ("radn", "simplenet") for claim in claims(paper)}
    assert ledger.of_claim(by_id["S15"], rows[rows["paper"] == "simplenet"]) == {"counted": "holds"}
    waiting = ledger.of_claim(by_id["R3"], rows)
    assert set(waiting.values()) == {"not yet: deblur study --checks"}
    checks.keep(["R3"])
    rows = ledger.table(["radn"])
    assert ledger.of_claim(by_id["R3"], rows) == {"counted here": "fails"}
    assert page.effect(rows[rows["claim"] == "R3"].to_dict("records")[0]) == "Three against two."
    listed = [(claim, ledger.of_claim(claim, rows)) for claim in claims("radn") if claim.id == "R3"]
    assert page.summary(listed) == "Counted or timed: 1 fails."


def test_keys_follow_the_networks_that_are_named(monkeypatch):
    assert checks.CHECKS["R3"].key == checks.CHECKS["R3"].key
    assert checks.CHECKS["R3"].key != checks.Check(costs.fewer_parameters, ("srn", "dmphn_stack4")).key
    assert set(ledger.VERDICTS) >= {check().verdict for check in checks.CHECKS.values() if check.quick}
    assert statistics.compound(["holds", "fails"]) == "fails"
