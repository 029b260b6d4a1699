"""Published weights as yardsticks: measured once by hash, told on cards and beside what there is to learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from deblur import evaluation, runs
from deblur.data import copies
from deblur.reports import yardsticks as report
from deblur.weights import importing, released, yardsticks
from deblur.weights.cards import Card

HASHES = {"a.pth": "1" * 64, "b.pth": "2" * 64}
CARD = Card(network="dmphn", variant="paper", sha256="", source_sha256=HASHES, data={"trained_on": "GoPro, train"})


class Brighter(nn.Module):
    def forward(self, image):
        return (image + 0.1,)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An empty place for the file."""
    monkeypatch.setattr(yardsticks, "file", lambda: tmp_path / "yardsticks.csv")
    return tmp_path / "yardsticks.csv"


@pytest.fixture
def rows(kept, mini_root, monkeypatch):
    monkeypatch.setattr(released, "load", lambda file: Brighter())
    data = replace(copies.open_data(mini_root), bundled="bench")
    made = report.measure(kept.with_name("net.safetensors"), CARD, data)
    kept.write_text(report.text(made), encoding="utf-8")
    return made


def test_rows_are_means_by_split_and_kind(rows, mini_root):
    data = copies.open_data(mini_root)
    assert yardsticks.listed() == rows
    for split in ("validation", "test"):
        pairs = data.pairs(split)
        scores = evaluation.evaluate(lambda blurred: blurred.astype(np.float32) / 255 + np.float32(0.1), pairs)
        blurred = evaluation.evaluate(evaluation.identity, pairs)
        own = {row.kind: row for row in rows if row.split == split}
        assert set(own) == {"all", *scores["kind"]}
        for kind, row in own.items():
            chosen = np.ones(len(scores), bool) if kind == "all" else (scores["kind"] == kind).to_numpy()
            assert row.pairs == chosen.sum()
            assert row.psnr_db == pytest.approx(scores["psnr_db"][chosen].mean(), abs=2e-3)
            assert row.gain_db == pytest.approx((scores["psnr_db"] - blurred["psnr_db"])[chosen].mean(), abs=2e-3)
            assert (row.network, row.trained_on, row.fingerprint) == ("dmphn", "GoPro, train", data.fingerprint)


def test_weights_are_known_by_their_hashes_whatever_they_are_called(rows):
    renamed = {"y": HASHES["b.pth"], "x": HASHES["a.pth"]}
    scores, fingerprint = yardsticks.measured(renamed, "paper")
    (whole,) = (row for row in rows if (row.split, row.kind) == ("test", "all"))
    assert (scores["gain_db"], scores["psnr_db"], fingerprint) == (whole.gain_db, whole.psnr_db, whole.fingerprint)
    assert scores["gain_db_local"] == next(row.gain_db for row in rows if (row.split, row.kind) == ("test", "local"))
    assert yardsticks.measured({"a.pth": HASHES["a.pth"]}, "paper") == (None, None)
    assert yardsticks.measured(renamed, "other") == (None, None)


def test_what_is_measured_already_is_not_measured_again(rows, kept, monkeypatch, mini_root):
    data = copies.Data("gopro", mini_root, "blur", rows[0].fingerprint, "bench")
    monkeypatch.setattr(copies, "open_data", lambda scale: data)
    monkeypatch.setattr(
        released,
        "at_hand",
        lambda: {kept: CARD, kept.with_name("own"): Card(network="radn", variant="paper", sha256="")},
    )
    monkeypatch.setattr(report, "measure", lambda *_: pytest.fail("measured again"))
    before = kept.read_bytes()
    report.main()
    assert kept.read_bytes() == before
    other = replace(CARD, source_sha256={"c.pth": "3" * 64})
    monkeypatch.setattr(released, "at_hand", lambda: {kept: other})
    source = yardsticks.source_of(other.source_sha256)
    monkeypatch.setattr(report, "measure", lambda file, card, data: [rows[0]._replace(source=source)])
    report.main()
    assert [row.source for row in yardsticks.listed()] == [row.source for row in rows] + [source]


def test_they_stand_beside_what_there_is_to_learn(rows, mini_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(runs.scores, "bounds", lambda data, limit: {})
    data = copies.open_data(mini_root)
    table = runs.to_learn(data).set_index("kind")
    wanted = {row.kind: row.gain_db for row in rows if row.split == "test"}
    assert table["dmphn_authors_gain_db"].to_dict() == wanted
    assert "dmphn_authors_gain_db" not in runs.to_learn(data, 3)
    assert "dmphn_authors_gain_db" not in runs.to_learn(replace(data, fingerprint="other"))


def test_an_imported_card_carries_them(rows, monkeypatch):
    form = importing.published_form("dmphn")
    monkeypatch.setattr(importing.paths, "file_sha256", lambda file: HASHES[file.name])
    card = importing._card("dmphn", Path("w"), [Path("w") / name for name in HASHES], form, "paper", "")
    assert card.scores == yardsticks.measured(HASHES, "paper")[0]
    assert card.data == {"trained_on": form.trained_on, "fingerprint": rows[0].fingerprint}


def test_the_committed_rows_are_whole():
    table = pd.DataFrame(yardsticks.listed())
    pairs = {"bench": {"validation": 32, "test": 60}, "mini": {"validation": 12, "test": 36}}
    assert set(table["fingerprint"]) == {copies.open_data(scale=scale).fingerprint for scale in pairs}
    for (_, scale, split), counts in table.groupby(["source", "scale", "split"])["pairs"]:
        assert max(counts) == sum(counts) / 2 == pairs[scale][split]
    assert table.groupby(["source", "scale"])["split"].nunique().tolist() == [2] * 6
    whole = table[(table["kind"] == "all") & (table["split"] == "validation") & (table["scale"] == "bench")]
    gains = whole.set_index("network")["gain_db"]
    assert gains["maxim"] > gains["dmphn_stack4"] > gains["dmphn"] > 2
