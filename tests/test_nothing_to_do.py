"""Commands that find nothing to do say so in a line, and fail."""

import re

import pytest

from deblur import cli, paths


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """An empty folder, which is also where weights, results and notebooks should be."""
    folder = tmp_path / "nothing"
    folder.mkdir()
    monkeypatch.setenv("DEBLUR_RESULTS", str(folder))
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(folder))
    monkeypatch.setattr(paths, "notebooks_dir", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("weights list", 1, "nothing holds no weights that can be used"),
        ("status", 1, "nothing holds no results and .*nothing no weights: run 'deblur reproduce' first"),
        ("status --write", 1, "nothing holds no results and .*nothing no weights: run 'deblur reproduce' first"),
        ("reproduce", 1, "nothing holds no notebooks: there is nothing to run"),
        ("reproduce radn", 1, "nothing holds no notebooks: there is nothing to run"),
        ("restore nothing -o made", 2, "nothing: holds no PNG, JPEG, .*"),
        ("data synthesize --photos nothing --out made", 1, "nothing: 0 photographs found .*; give at least 3, .*"),
    ],
)
def test_nothing_to_do(nothing, command, status, words, capsys, monkeypatch):
    monkeypatch.chdir(nothing.parent)
    readme = paths.project_root() / "README.md"
    before = readme.read_bytes()
    assert cli.main(command.split()) == status
    assert readme.read_bytes() == before
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(f"deblur: .*{words}", said.err.splitlines()[-1])
    assert list(nothing.parent.iterdir()) == [nothing]
    assert list(nothing.iterdir()) == []
