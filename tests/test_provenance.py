"""Where results come from: the commit of this package's own checkout, or nothing, never a guess."""

import os
import shutil
import subprocess

import pytest

from deblur import paths
from deblur.runs.provenance import _lasting, commit_of, provenance


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A small checkout of this package."""
    root = tmp_path / "checkout"
    (root / "deblur" / "runs").mkdir(parents=True)
    for name in ("__init__.py", "runs/provenance.py"):
        shutil.copy(paths.PACKAGE / name, root / "deblur" / name)
    (root / "README.md").write_text("read me")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_a_checkout_is_known_with_its_state(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert commit_of(checkout) == (commit, False)
    (checkout / "README.md").write_text("what results do not depend on")
    assert commit_of(checkout) == (commit, False)
    (checkout / "deblur" / "new.py").write_text("what they may depend on")
    assert commit_of(checkout) == (commit, True)


def no_git(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))


def no_repository(checkout, monkeypatch):
    shutil.rmtree(checkout / ".git")


def another_repository(checkout, monkeypatch):
    """The package lies, installed, in somebody's project."""
    shutil.rmtree(checkout / ".git")
    git(checkout.parent, "init", "-q")
    (checkout.parent / "own.py").touch()
    git(checkout.parent, "add", "own.py")
    git(checkout.parent, "commit", "-qm", "theirs")


def committed_into_another_repository(checkout, monkeypatch):
    shutil.rmtree(checkout / ".git")
    git(checkout.parent, "init", "-q")
    git(checkout.parent, "add", ".")
    git(checkout.parent, "commit", "-qm", "theirs, with a copy of ours")


def a_repository_that_does_not_track_it(checkout, monkeypatch):
    git(checkout, "rm", "-q", "--cached", "-r", "deblur")
    git(checkout, "commit", "-qm", "without")


def no_commit_yet(checkout, monkeypatch):
    shutil.rmtree(checkout / ".git")
    git(checkout, "init", "-q")
    git(checkout, "add", ".")


def another_owner(checkout, monkeypatch):
    if os.getuid():
        pytest.skip("only root gives files away")
    os.chown(checkout / ".git", 12345, 12345)
    os.chown(checkout, 12345, 12345)


def damaged(checkout, monkeypatch):
    (checkout / ".git" / "HEAD").write_text("")


UNKNOWN = (
    no_git,
    no_repository,
    another_repository,
    committed_into_another_repository,
    a_repository_that_does_not_track_it,
    no_commit_yet,
    another_owner,
    damaged,
)


@pytest.mark.parametrize("what", UNKNOWN, ids=lambda what: what.__name__)
def test_what_is_not_known_is_none(checkout, monkeypatch, what):
    what(checkout, monkeypatch)
    assert commit_of(checkout) == (None, None)


def test_variables_that_point_git_elsewhere_do_not_count(checkout, tmp_path, monkeypatch):
    commit, other = git(checkout, "rev-parse", "HEAD"), tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-qm", "x", "--allow-empty")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert commit_of(checkout) == (commit, False)


def test_the_record_of_this_process():
    found = provenance()
    assert found["threads"] == 1  # as all tests
    assert found["cores"] >= 1
    assert found["cpu"]
    assert found["versions"].keys() >= {"torch", "numpy"}
    assert (found["commit"] is None) == (found["dirty"] is None)


@pytest.fixture
def from_checkout(checkout, monkeypatch):
    """The process runs from the checkout."""
    monkeypatch.setattr(paths, "PACKAGE", checkout / "deblur")
    _lasting.cache_clear()
    yield checkout
    _lasting.cache_clear()


COUNTS = ("deblur", "notebooks", "pyproject.toml", "requirements.lock")


@pytest.mark.parametrize("changed", ["", "README.md", "tests", *COUNTS])
def test_the_record_tells_what_was_changed_and_counts(changed, from_checkout):
    path = from_checkout / changed
    if changed:
        (path / "new.py" if path.is_dir() else path).write_text("changed")
    found = provenance()
    assert found["commit"] == git(from_checkout, "rev-parse", "HEAD")
    assert found["dirty"] is (changed in COUNTS)


def test_the_record_says_nothing_where_nothing_is_known(from_checkout):
    shutil.rmtree(from_checkout / ".git")
    assert (provenance()["commit"], provenance()["dirty"]) == (None, None)
