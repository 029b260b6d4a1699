"""What `benchmarks.restore` writes: a row a size, measured in a process of its own, and the curve of these rows."""

import sys

import pandas as pd

from benchmarks import restore
from deblur.reports import awkward


def test_seconds_and_memory_of_each_size(tmp_path, monkeypatch):
    awkward.tiny_release(tmp_path / "weights", "tiny")
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    others = pd.DataFrame({"model": ["other", "tiny"], "megapixels": [5, 6], "seconds": 1.0, "memory_gb": 1.0})
    others.assign(machine="elsewhere", device="CPU").to_csv(tmp_path / "restore.csv", index=False)
    words = ["restore", "--model", "tiny", "--sizes", "0.02", "0.3", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    restore.main()
    table = pd.read_csv(tmp_path / "restore.csv")
    assert list(zip(table["model"], table["megapixels"])) == [("other", 5), ("tiny", 0.02), ("tiny", 0.3)]
    assert (table["seconds"] > 0).all()
    assert table["memory_gb"].between(0.2, 4).all()
    assert (tmp_path / "restore.png").read_bytes().startswith(b"\x89PNG")


def test_each_network_has_its_curve():
    rows = {"megapixels": [1, 2, 12], "seconds": [3.0, 5.0, 30.0], "memory_gb": [1.0, 1.5, 2.5]}
    one = pd.DataFrame(rows).assign(model="one", device="CPU")
    two = (2 * pd.DataFrame(rows)).assign(model="two", device="GPU")
    figure = restore.draw(pd.concat([one, two]))
    for axis, name in zip(figure.axes, ("seconds", "memory_gb"), strict=True):
        assert [line.get_label() for line in axis.lines] == ["one, CPU", "two, GPU"]
        for line, table in zip(axis.lines, (one, two), strict=True):
            assert line.get_xydata().tolist() == table[["megapixels", name]].values.tolist()


def test_photographs_have_the_size_and_shape_that_is_asked_for():
    for megapixels in (0.02, 0.3, 12):
        height, width, _ = restore.photograph(megapixels).shape
        assert abs(height * width / 1e6 / megapixels - 1) < 0.01
        assert abs(width / height - 4 / 3) < 0.02
