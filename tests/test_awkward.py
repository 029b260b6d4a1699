"""Forty awkward inputs of `deblur restore`: each ends as it should, and never harms what was there."""

import pytest

from benchmarks import awkward  # also prints the table


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return awkward.tiny_release(tmp_path_factory.mktemp("weights")).parent


def test_there_are_forty():
    assert len(awkward.CASES) == len({case.title for case in awkward.CASES}) == 40


@pytest.mark.parametrize("case", awkward.CASES, ids=lambda case: case.title)
def test_what_happens(case, tmp_path, monkeypatch, weights):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(weights))
    assert case.expected in awkward.happened(case, tmp_path)
