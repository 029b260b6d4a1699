"""Where an installed copy finds things and puts them; `test_wheel.py` does it with a real one."""

from pathlib import Path

import pytest

from deblur import paths, release
from deblur.errors import UsageError

PLACES = {
    "DEBLUR_DATA": (paths.data_dir, "cache/deblur-papers/data"),
    "DEBLUR_PHOTOS": (paths.photos_dir, "share/deblur-papers/photos"),
    "DEBLUR_RUNS": (paths.runs_dir, "share/deblur-papers/runs"),
    "DEBLUR_IMPORTED": (paths.imported_dir, "share/deblur-papers/imported"),
    "DEBLUR_RESULTS": (paths.results_dir, "work/results"),
    "DEBLUR_WEIGHTS": (paths.weights_dir, "site-packages/deblur/bundled/weights"),
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy beside somebody's project, called from a folder elsewhere."""
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "deblur")
    monkeypatch.setattr(paths, "_CACHE", lambda: tmp_path / "cache" / "deblur-papers")
    monkeypatch.setattr(paths, "_KEPT", lambda: tmp_path / "share" / "deblur-papers")
    for folder in ("site-packages", "work"):
        (tmp_path / folder).mkdir()
    (tmp_path / "site-packages" / "pyproject.toml").write_text('[project]\nname = "theirs"\n')
    monkeypatch.chdir(tmp_path / "work")
    for variable in PLACES:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.mark.parametrize("variable", PLACES)
def test_every_folder_has_its_place_and_a_variable_wins(installed, variable, monkeypatch):
    function, place = PLACES[variable]
    assert function() == installed / place
    monkeypatch.setenv(variable, str(installed / "elsewhere"))
    assert function() == installed / "elsewhere"


def test_what_is_bundled_lies_in_the_package(installed):
    bundled = installed / "site-packages" / "deblur" / "bundled"
    assert paths.printed_dir() == bundled / "results" / "printed"
    assert paths.notebooks_dir() == bundled / "notebooks"


@pytest.mark.parametrize(
    "content", ["", "no TOML", "[project]", 'project = "deblur-papers"', '[project]\nname = "deblur"']
)
def test_only_this_projects_own_file_makes_a_checkout(installed, content, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent)  # the working directory does not count
    (installed / "site-packages" / "pyproject.toml").write_text(content)
    assert not paths.is_checkout()
    with pytest.raises(UsageError, match="only in a checkout"):
        paths.project_root()
    paths._is_project.cache_clear()
    (installed / "site-packages" / "pyproject.toml").write_text('[project]\nname = "deblur-papers"\n')
    assert paths.project_root() == installed / "site-packages"


def test_nothing_is_released_into_an_installed_package(installed, monkeypatch):
    with pytest.raises(UsageError, match="set DEBLUR_WEIGHTS to a folder of your own"):
        release.release(None, "mine")
    assert not (installed / "site-packages" / "deblur").exists()
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(installed / "own"))
    assert paths.release_dir() == installed / "own"
