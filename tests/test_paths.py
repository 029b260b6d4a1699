"""Where things lie, and that nothing is ever half-written."""

import errno
import hashlib
import multiprocessing
import os
import re
import stat
import threading
from contextlib import nullcontext
from functools import partial

import pytest
from stand import lost, snapshot

from deblur import paths, writing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("variable", "function", "default"),
    [
        ("DEBLUR_DATA", paths.data_dir, "data"),
        ("DEBLUR_PHOTOS", paths.photos_dir, "photos"),
        ("DEBLUR_RUNS", paths.runs_dir, "runs"),
        ("DEBLUR_IMPORTED", paths.imported_dir, "imported"),
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


# ------------------------------------------------------------------------------------------------------------ writing

OURS = {"ours.json": None, "deep/ours.txt": hashlib.sha256(b"ours").hexdigest()}


def listed(folder):
    return OURS if (folder / "ours.json").is_file() else {}


def fill(draft, content="new"):
    """What a writer does with its draft, a file or a folder."""
    (draft / "new.txt" if draft.is_dir() else draft).write_text(content)


def content(path):
    return (path / "new.txt" if path.is_dir() else path).read_text()


WRITERS = {
    "replacing": writing.replacing,
    "delivering": writing.delivering,
    "overwriting": partial(writing.delivering, overwrite=True),
    "new folder": writing.delivering_folder,
    "our folder": partial(writing.delivering_folder, listed=listed),
}


def our_folder(path):
    (path / "deep").mkdir(parents=True)
    (path / "ours.json").write_text("{}")
    (path / "deep" / "ours.txt").write_text("ours")


def with_more(path, more):
    our_folder(path)
    more(path)


PLACES = {
    "nothing": lambda path: None,
    "missing parents": lambda path: path.parent.rmdir(),
    "a file": lambda path: path.write_text("thesis"),
    "an empty folder": lambda path: path.mkdir(),
    "a folder": lambda path: path.mkdir() or (path / "thesis.txt").write_text("thesis"),
    "a folder of folders": lambda path: (path / "deep").mkdir(parents=True),
    "our folder": our_folder,
    "our folder, a part of it lost": lambda path: with_more(path, lambda path: (path / "deep/ours.txt").unlink()),
    "our folder and a file": lambda path: with_more(path, lambda path: (path / "deep/thesis.txt").write_text("x")),
    "our folder and an empty one": lambda path: with_more(path, lambda path: (path / "thesis").mkdir()),
    "our folder and a link": lambda path: with_more(path, lambda path: (path / "link").symlink_to("ours.json")),
    "our folder, changed": lambda path: with_more(path, lambda path: (path / "deep/ours.txt").write_text("edited")),
    "a link to a file": lambda path: path.symlink_to("../kept/file"),
    "a link to a folder": lambda path: path.symlink_to("../kept"),
    "a link to our folder": lambda path: our_folder(path.parent / "x") or path.symlink_to("x"),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
    "a file above it": lambda path: path.parent.rmdir() or path.parent.write_text("thesis"),
}
FREE = {"nothing", "missing parents"}
MAY_BE_THERE = {
    "replacing": FREE | {"a file"},
    "delivering": FREE,
    "overwriting": FREE | {"a file"},
    "new folder": FREE | {"an empty folder"},
    "our folder": FREE | {"an empty folder", "our folder", "our folder, a part of it lost"},
}


@pytest.fixture
def path(tmp_path):
    """A place for a result, beside other people's files."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "results").mkdir()
    return tmp_path / "results" / "table.csv"


def interrupted(writer, path):
    with writer(path) as draft:
        fill(draft, "half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", PLACES)
def test_only_what_may_go_is_replaced(path, tmp_path, name, place):
    PLACES[place](path)
    before = snapshot(tmp_path)
    if place not in MAY_BE_THERE[name]:
        with pytest.raises(OSError, match=r"table\.csv.*give"), WRITERS[name](path):
            pytest.fail("refused after the work")
        assert snapshot(tmp_path) == before
        return
    with pytest.raises(KeyboardInterrupt):
        interrupted(WRITERS[name], path)
    assert snapshot(tmp_path) == before | ({"results": before["kept"]} if place == "missing parents" else {})
    with WRITERS[name](path) as draft:
        fill(draft)
        assert not lost(before, snapshot(tmp_path))  # until the end
        assert draft.parent == path.parent
        assert draft.suffix == path.suffix
        assert writing.is_draft(draft)
    assert content(path) == "new"
    assert names(path.parent) == ["table.csv"]
    assert not path.is_dir() or names(path) == ["new.txt"]


@pytest.mark.parametrize("place", list(PLACES)[2:-1])
@pytest.mark.parametrize(
    ("name", "there"),
    [(name, "nothing") for name in list(WRITERS)[1:]] + [("overwriting", "something"), ("our folder", "something")],
)
def test_what_appears_while_the_work_goes_on_is_kept(path, tmp_path, name, place, there):
    if there == "something":
        our_folder(path) if name == "our folder" else path.write_text("old")
    outcome = nullcontext() if _may_go(name, place) else pytest.raises(writing.AppearedError)
    with outcome as error, WRITERS[name](path) as draft:
        fill(draft)
        if there == "something":
            path.rename(path.with_name("old"))
        PLACES[place](path)
        before = snapshot(tmp_path)
    if error:
        assert not lost(before, snapshot(tmp_path))
        assert str(draft) in str(error.value)
    assert content(draft if error else path) == "new"


def _may_go(name, place):
    """Folders that are ours or empty go whenever they came; a file only if it was there before."""
    return name not in ("delivering", "overwriting") and place in MAY_BE_THERE[name]


@pytest.mark.parametrize("change", ["written to", "replaced"])
def test_a_file_that_changes_while_the_work_goes_on_is_kept(path, change):
    path.write_text("old")
    delivery = writing.delivering(path, overwrite=True)
    draft = delivery.__enter__()
    draft.write_text("new")
    if change == "replaced":
        path.rename(path.with_name("old"))
    path.write_text("other")
    with pytest.raises(writing.AppearedError):
        delivery.__exit__(None, None, None)
    assert path.read_text() == "other"
    assert draft.read_text() == "new"


def test_a_reader_has_the_old_or_the_new_one(path):
    writing.write_text(path, "old")
    with path.open() as reader:
        writing.write_text(path, "new")
        assert reader.read() == "old"


def _same(path, file):
    return file


def _link(path, file):
    path.symlink_to(file)
    return path


def _hard_link(path, file):
    path.hardlink_to(file)
    return path


def _other_way(path, file):
    path.parent.joinpath("way").symlink_to(file.parent)
    return path.parent / "way" / file.name


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name_of", [_same, _link, _hard_link, _other_way])
@pytest.mark.parametrize("inputs_by_link", [False, True])
def test_an_input_is_never_overwritten_by_any_name(path, tmp_path, name_of, overwrite, inputs_by_link):
    file = tmp_path / "kept" / "file"
    given = file
    if inputs_by_link:
        given = tmp_path / "given"
        given.symlink_to(file)
    out = name_of(path, file)
    before = snapshot(tmp_path)
    with (
        pytest.raises(FileExistsError, match="is an input"),
        writing.delivering(out, overwrite, [tmp_path / "gone", given]),
    ):
        pytest.fail("refused after the work")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_too(path, monkeypatch, code):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(code, "no hard links")))
    with writing.delivering(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert names(path.parent) == ["table.csv"]
    other = path.with_name("other.csv")
    with pytest.raises(writing.AppearedError), writing.delivering(other) as draft:
        draft.write_text(other.write_text("other") * "new")
    assert other.read_text() == "other"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("given", [0o600, 0o666])
def test_modes_follow_the_umask_whatever_the_writer_gave(path, name, umask, given):
    """As libraries do that write a private file and rename it."""
    before = os.umask(umask)
    try:
        with WRITERS[name](path) as draft:
            fill(draft)
            draft.is_dir() or draft.chmod(given)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask


def test_a_file_that_is_replaced_keeps_its_mode(path):
    path.write_text("old")
    path.chmod(0o640)
    writing.write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("letter", ["x", "é", "漢"])
def test_every_name_that_the_file_system_takes(path, writer, letter):
    longest = (255 - len(".csv")) // len(letter.encode())
    with writer(path.with_name(f"{letter * longest}.csv")) as draft:
        fill(draft)
    assert len(names(path.parent)) == 1
    with pytest.raises(OSError, match=r"too long.*give another place"), writer(path.with_name("x" * 256)):
        pytest.fail("refused after the work")


def _refused(writer, path, told):
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        with writer(path):
            told.put("refused after the work")
    except OSError as error:
        told.put(str(error))


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_without_the_right_to_write(path, writer):
    path.parent.chmod(0o500)
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    process = context.Process(target=_refused, args=(writer, path, told))
    process.start()
    assert re.search(r"table.csv cannot be written \(.*\); give another place", told.get(timeout=60))
    process.join()


def test_two_folders_that_come_at_once(path):
    """The last one stays, whole, and nobody fails."""
    meet, failed = threading.Barrier(4), []

    def write(number):
        for _ in range(10):
            meet.wait()
            try:
                with writing.delivering_folder(path, listed) as draft:
                    our_folder(draft)
            except OSError as error:
                failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert names(path.parent) == ["table.csv"]
    assert names(path) == ["deep", "ours.json"]


@pytest.mark.parametrize("place", ["..", ".", "deep/.."])
def test_the_folder_that_one_is_in_and_those_above(tmp_path, monkeypatch, place):
    inner = tmp_path / "inner"
    (inner / "deep").mkdir(parents=True)
    (tmp_path / "thesis.txt").write_text("thesis")
    monkeypatch.chdir(inner)
    before = snapshot(tmp_path)
    for writer in WRITERS.values():
        with pytest.raises(FileExistsError), writer(paths.Path(place)):
            pytest.fail("refused after the work")
    assert snapshot(tmp_path) == before


def test_drafts_are_recognised():
    for name in (".scores-0badcafe.csv", ".archive.tar-0badcafe.gz", ".mini-gopro-0badcafe", "..journal-0badcafe"):
        assert writing.is_draft(paths.Path("folder") / name)
    for name in ("scores-0badcafe.csv", ".scores.csv", ".scores-0badcaf.csv", ".scores-0badcafe.csv.x"):
        assert not writing.is_draft(paths.Path(name))


def test_two_drafts_of_one_file_do_not_meet(tmp_path):
    with writing.replacing(tmp_path / "a.txt") as first, writing.replacing(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"  # the outer block ends last


def test_write_text_is_utf8(tmp_path):
    writing.write_text(tmp_path / "credit.txt", "Stéfan ✓")
    assert (tmp_path / "credit.txt").read_bytes() == "Stéfan ✓".encode()


def test_file_sha256(tmp_path):
    content = bytes(range(256)) * 5000  # longer than one read
    (tmp_path / "blob").write_bytes(content)
    assert paths.file_sha256(tmp_path / "blob") == hashlib.sha256(content).hexdigest()
