"""Forty awkward inputs of `deblur restore`: each ends as it should, and never harms what was there."""

import pytest

from deblur import paths
from deblur.reports import awkward


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return awkward.tiny_release(tmp_path_factory.mktemp("weights")).parent


def test_there_are_forty():
    assert len(awkward.CASES) == len({case.title for case in awkward.CASES}) == 40


@pytest.mark.parametrize("case", awkward.CASES, ids=lambda case: case.title)
def test_what_happens(case, tmp_path, monkeypatch, weights):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(weights))
    assert case.expected in awkward.happened(case, tmp_path, "tiny")


def test_the_table_here_says_so_too():
    lines = (paths.project_root() / "results/bench/awkward.md").read_text().splitlines()
    rows = dict(line.removeprefix("| ").removesuffix(" |").split(" | ", 1) for line in lines if line.startswith("| "))
    for case in awkward.CASES:
        assert case.expected in rows[case.title]
    assert len(rows) == len(awkward.CASES) + 2  # and the head


def test_the_table_is_written_and_names_the_network(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(weights))
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))
    monkeypatch.setattr(awkward, "CASES", awkward.CASES[31:33])
    awkward.main()
    written = (tmp_path / "bench/awkward.md").read_text()
    assert written == capsys.readouterr().out
    assert "(network: tiny)" in written
    assert written.count("\n") == 6
    assert "is empty (0 bytes)" in written.splitlines()[4]
