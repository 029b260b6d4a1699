"""Photographs out of packages: the listed ones or none."""

import os
import re
import shutil
import subprocess
from collections import Counter

import pytest
from PIL import Image

from deblur import cli, paths
from deblur.data import bench, debian, official

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with three pictures, its manifest, and an `apt-get` that finds it and nothing else."""
    inside = tmp_path / "inside" / "usr" / "share"
    inside.mkdir(parents=True)
    rows = []
    for number, (name, split) in enumerate({"a.png": "train", "b.png": "train", "c.png": "exam"}.items()):
        Image.new("RGB", (8, 6), (number, 50, 90)).save(inside / name)
        row = {"name": name, "split": split, "package": "wallpapers", "version": "1.0", "path": f"usr/share/{name}"}
        rows.append(row | {"author": "Nobody", "licence": "CC0-1.0", "sha256": paths.file_sha256(inside / name)})
    control = tmp_path / "inside" / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(
        "Package: wallpapers\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: three\n"
    )
    archive = tmp_path / "wallpapers.deb"
    subprocess.run(["dpkg-deb", "-b", tmp_path / "inside", archive], check=True, stdout=subprocess.DEVNULL)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "apt-get").write_text(
        f'#!/bin/sh\n[ "$2" = wallpapers ] && cp {archive} . || {{ echo "E: No such package $2" >&2; exit 100; }}\n'
    )
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(debian, "listed", lambda: [debian.Photograph(**row) for row in rows])
    return rows


@pytest.mark.parametrize("split", debian.SPLITS)
def test_the_listed_pictures_arrive_as_they_are(package, tmp_path, capsys, split):
    out = tmp_path / "out"
    arguments = ["data", "photographs", "--out", str(out), *(["--split", "exam"] if split == "exam" else [])]
    assert cli.main(arguments) == 0
    expected = {row["name"]: row["sha256"] for row in package if row["split"] == split}
    assert {file.name: paths.file_sha256(file) for file in out.iterdir()} == expected
    assert cli.main(arguments) != 0
    assert "is already there" in capsys.readouterr().err


def test_no_training_takes_an_exam_photograph_whatever_it_is_called(package, tmp_path):
    debian.fetch(tmp_path / "photos" / "train")
    assert len(bench.Photographs(tmp_path / "photos").files) == 2
    debian.fetch(tmp_path / "exam", "exam")
    (tmp_path / "exam" / "c.png").rename(tmp_path / "photos" / "mine.png")
    with pytest.raises(official.DataError, match=r"mine\.png is c\.png of the study exam.*take it out"):
        _ = bench.Photographs(tmp_path / "photos").files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "is another picture; version 1.0"),
        ({"path": "usr/share/d.png"}, "is missing; version 1.0"),
        ({"package": "others"}, "No such package others; try 'apt-get update'"),
    ],
)
def test_anything_else_is_refused_and_leaves_nothing(package, tmp_path, capsys, change, message):
    package[1] |= change
    out = tmp_path / "out"
    assert cli.main(["data", "photographs", "--out", str(out)]) != 0
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_elsewhere_it_says_what_is_missing(package, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert cli.main(["data", "photographs", "--out", str(tmp_path / "out")]) != 0
    assert "apt-get and dpkg-deb not found" in capsys.readouterr().err


def test_the_manifest_names_author_and_licence_of_every_photograph():
    listed = debian.listed()
    for photograph in listed:
        assert all(vars(photograph).values()), photograph
        assert photograph.split in debian.SPLITS
        assert re.fullmatch("[0-9a-f]{64}", photograph.sha256)
    for column in ("name", "sha256"):
        assert len({getattr(photograph, column) for photograph in listed}) == len(listed)
    counts = Counter(photograph.split for photograph in listed)
    assert counts["exam"] == len(debian.exam()) >= 15
    assert counts["train"] >= 60
