"""Where things lie, and that nothing is ever half-written."""

import hashlib

import pytest

from deblur import paths


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("variable", "function", "default"),
    [
        ("DEBLUR_DATA", paths.data_dir, "data"),
        ("DEBLUR_PHOTOS", paths.photos_dir, "photos"),
        ("DEBLUR_RUNS", paths.runs_dir, "runs"),
        ("DEBLUR_RESULTS", paths.results_dir, "results"),
        ("DEBLUR_WEIGHTS", paths.weights_dir, "weights"),
    ],
)
def test_folders_follow_the_project_or_the_environment_never_the_working_directory(
    variable, function, default, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(variable, raising=False)
    assert function() == paths.PACKAGE.parent / default
    monkeypatch.setenv(variable, "")  # an empty variable is an unset one
    assert function() == paths.PACKAGE.parent / default
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert function() == tmp_path / "elsewhere"


def test_printed_tables_do_not_move_with_the_results(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path))
    assert paths.printed_dir() == paths.PACKAGE.parent / "results" / "printed"


def test_an_installed_copy_uses_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "deblur")
    monkeypatch.chdir(tmp_path)
    assert paths.project_root() == tmp_path


def test_replacing_a_file_keeps_the_old_one_until_the_end_and_the_suffix(tmp_path):
    target = tmp_path / "new" / "table.csv"
    paths.write_text(target, "old")
    with target.open() as reader:
        with paths.replacing(target) as draft:
            draft.write_text("new")
            assert target.read_text() == "old"
            assert draft.suffix == ".csv"
            assert draft.parent == target.parent
        assert reader.read() == "old"  # replaced, not overwritten: who reads has one or the other, never half
    assert target.read_text() == "new"
    assert names(target.parent) == ["table.csv"]


def test_replacing_a_folder_leaves_nothing_of_the_old_one(tmp_path):
    target = tmp_path / "tree"
    (target / "deep").mkdir(parents=True)
    (target / "deep" / "stale.txt").write_text("stale")
    with paths.replacing(target) as draft:
        draft.mkdir()
        (draft / "fresh.txt").write_text("fresh")
    assert names(tmp_path) == ["tree"]
    assert names(target) == ["fresh.txt"]


@pytest.mark.parametrize("folder", [False, True])
def test_an_error_keeps_the_old_and_removes_the_draft(tmp_path, folder):
    target = tmp_path / "kept"
    if folder:
        target.mkdir()
        (target / "kept.txt").write_text("old")
    else:
        target.write_text("old")

    def interrupted():
        with paths.replacing(target) as draft:
            if folder:
                draft.mkdir()
                draft = draft / "half.txt"
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == ["kept"]
    assert (target / "kept.txt" if folder else target).read_text() == "old"


def test_two_drafts_of_one_file_do_not_meet(tmp_path):
    with paths.replacing(tmp_path / "a.txt") as first, paths.replacing(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"  # the outer block ends last


def test_write_text_is_utf8(tmp_path):
    paths.write_text(tmp_path / "credit.txt", "Stéfan ✓")
    assert (tmp_path / "credit.txt").read_bytes() == "Stéfan ✓".encode()


def test_file_sha256(tmp_path):
    content = bytes(range(256)) * 5000  # longer than one read
    (tmp_path / "blob").write_bytes(content)
    assert paths.file_sha256(tmp_path / "blob") == hashlib.sha256(content).hexdigest()
