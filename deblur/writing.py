"""Writing without loss: whole or not at all, and nothing of a user's is replaced."""

import errno
import json
import math
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from filelock import lock_descriptor

from deblur.errors import UsageError
from deblur.paths import file_sha256, identity


#
# What is there is not replaced or removed. Files of our own, in folders of our own, are written by `replacing`; what
# somebody named, by `delivering` and `delivering_folder`. Each finds out before the work whether it can be written.
class InTheWayError(FileExistsError, UsageError):
    """A result was to go where something else is."""


class AppearedError(FileExistsError):
    """Something appeared in the place of a result while this was made; both are kept."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft of `path`, a file of our own, that takes its place when the block ends well, and vanishes if not.

    A file that is replaced keeps its mode, a new one gets that of the umask, whatever mode the draft was given.

    Raises:
        OSError: before the block, if a folder, a link or a device is in the way, or no file can be made there.
    """
    _check_plain(path)
    draft, mode = _begin(path)
    try:
        yield draft
        draft.chmod(mode)
        _check_plain(path)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def delivering(path: Path, overwrite: bool = False, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A draft of `path`, a result that somebody named, see `replacing`; `check_file` is called first.

    Raises:
        AppearedError: if something else is there when the block ends. The draft is kept then, and named.
    """
    check_file(path, overwrite, inputs)
    before = _state(path)
    draft, mode = _begin(path)
    try:
        yield draft
        draft.chmod(mode)
        _place(draft, path, before)
    except AppearedError:
        raise
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def check_file(path: Path, overwrite: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse a result's name before the work.

    Args:
        overwrite: whether a plain file may be there; never a folder, a link or a device.
        inputs: files that are never overwritten, whatever name or link leads to them.

    Raises:
        OSError: what is in the way, and the remedy.
    """
    file_id = identity(path)
    if file_id and any(identity(file) == file_id for file in inputs):
        raise InTheWayError(f"{path} is an input, and these are never overwritten; give another name")
    _check_plain(path)
    if _state(path) and not overwrite:
        raise InTheWayError(f"{path} is already there; give --overwrite to replace it, or another name")
    _check_right(path)


Listed = Callable[[Path], Mapping[str, str | None]]
"""Reads a folder's manifest: names of the files in it that are ours, each with its SHA-256, or None for any content.
Without a manifest of ours there are none."""


def none_listed(folder: Path) -> dict[str, str | None]:
    """The `Listed` of folders that are never replaced."""
    return {}


@contextmanager
def delivering_folder(path: Path, listed: Listed = none_listed) -> Iterator[Path]:
    """A new folder that takes the place `path` when the block ends well, and vanishes if not.

    `check_folder` is called first. A folder of ours that is there goes when the new one comes.

    Raises:
        AppearedError: if anything else is there when the block ends. The new folder is kept then, and named.
    """
    path = _located(path)
    check_folder(path, listed)
    make_parent(path)
    with _explained(path):
        draft = _draft_of(path)
        draft.mkdir()
    try:
        yield draft
        with _alone_at(path):
            _take_place(draft, path, listed)
    except AppearedError:
        raise
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def check_folder(path: Path, listed: Listed = none_listed) -> None:
    """Refuse a place for a new folder before the work, unless nothing, an empty folder, or one of ours is there.

    A folder is ours if its manifest lists all that is in it.

    Raises:
        OSError: what is in the way, and the remedy.
    """
    path = _located(path)
    if _state(path):
        with _alone_at(path):
            _check_folder(path, listed)
    _check_right(path)


def _check_folder(path: Path, listed: Listed) -> None:
    state = _state(path)
    if state is None:
        return
    if not stat.S_ISDIR(state.mode):
        raise InTheWayError(f"{path} is {state.kind}; give a new folder")
    if os.path.ismount(path):
        raise InTheWayError(f"{path} is where a file system begins; give a folder inside it")
    ours = listed(path)
    if others := list(islice(strangers(path, ours), 4)):
        names = ", ".join([*others[:3], *(["..."] if others[3:] else [])])
        whose = "not written by deblur or changed since" if ours else "which is not replaced"
        raise InTheWayError(f"{path} is already there and holds {names}, {whose}; move that or give a new folder")


def strangers(folder: Path, ours: Mapping[str, str | None]) -> Iterator[str]:
    """What a folder holds besides the files that are listed, unchanged, and the folders that lead to them."""
    parents = {parent.as_posix() for name in ours for parent in PurePosixPath(name).parents}
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in (Path(place, name) for name in sorted(folders + files)):
            name, mode = file.relative_to(folder).as_posix(), file.lstat().st_mode
            if stat.S_ISDIR(mode):
                expected = name in parents
            else:
                expected = stat.S_ISREG(mode) and name in ours and ours[name] in (None, file_sha256(file))
            if not expected:
                yield name


def listed_in(name: str) -> Listed:
    """What the manifest `name` in a folder lists as `files`, name -> SHA-256, itself included."""

    def listed(folder: Path) -> dict[str, str | None]:
        try:
            return {**json.loads((folder / name).read_text(encoding="utf-8"))["files"], name: None}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    return listed


def make_parent(path: Path) -> None:
    """Make the folder that a file or folder is to be in."""
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def lock_file(path: Path) -> Path:
    """The lock of all calls that write to `path`: a hidden file beside it, `.NAME.lock`."""
    path = _located(path)
    return path.with_name(f".{path.name[:40]}.lock")


def is_draft(path: Path) -> bool:
    """Whether a file has the name of a draft: a killed call leaves it behind."""
    return re.fullmatch(r"\..+-[0-9a-f]{8}(\.[^.]*)?", path.name) is not None


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file of our own, see `replacing`."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


class _State(NamedTuple):
    """What is at a path, links not followed: changes when somebody else writes there."""

    device: int
    inode: int
    mode: int
    size: int
    changed_ns: int

    @property
    def kind(self) -> str:
        kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link"}
        return kinds.get(stat.S_IFMT(self.mode), "no plain file")


def _state(path: Path) -> _State | None:
    with _explained(path):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
    return _State(status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)


def _check_plain(path: Path) -> None:
    state = _state(path)
    if state and not stat.S_ISREG(state.mode):
        raise InTheWayError(f"{path} is {state.kind}, which is never replaced; give the name of a file")


def _check_right(path: Path) -> None:
    """Whether names and rights allow to make `path`, without making anything."""
    above = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    longest = os.pathconf(above, "PC_NAME_MAX") if above.is_dir() and hasattr(os, "pathconf") else math.inf
    if any(len(os.fsencode(part)) > longest for part in path.absolute().relative_to(above).parts):
        raise OSError(errno.ENAMETOOLONG, "a name is too long for this file system; give a shorter one", str(path))
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written (no right to write into {above}); give another place")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of the system about writing to `path`, in words."""
    try:
        yield
    except OSError as error:
        blocked = isinstance(error, FileExistsError | NotADirectoryError)
        why = f"{error.filename} is no folder" if blocked else error.strerror or error
        raise type(error)(f"{path} cannot be written ({why}); give another place") from error


def _located(path: Path) -> Path:
    """A path whose last part is a name, so that there are siblings."""
    return path if path.name not in ("", "..") else path.resolve()


def _draft_of(path: Path) -> Path:
    # The suffix stays: libraries choose the format by it. The stem is cut: a long name has room for no more letters.
    return path.with_name(f".{path.stem[:40]}-{uuid.uuid4().hex[:8]}{path.suffix}")


def _begin(path: Path) -> tuple[Path, int]:
    """The name of a draft, and the mode that it must get; it was made and removed, to see that it can be."""
    make_parent(path)
    with _explained(path):
        draft = _draft_of(path)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o666))
        mode = (path if path.exists() else draft).stat().st_mode
        draft.unlink()
    return draft, stat.S_IMODE(mode)


def _place(draft: Path, path: Path, before: _State | None) -> None:
    """Move a file to its place, if that is as it was before."""
    if _state(path) == before:
        if before:
            os.replace(draft, path)
            return
        with suppress(FileExistsError):
            _move_to_new(draft, path)
            return
    raise AppearedError(f"{path} appeared while this was made, and is kept; what was made is {draft}")


def _move_to_new(draft: Path, path: Path) -> None:
    """Move a file to a name that nothing has."""
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links: the name is taken by an empty file first.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        os.replace(draft, path)
    else:
        draft.unlink()


def _take_place(draft: Path, path: Path, listed: Listed) -> None:
    """Move a folder to its place; an empty one or one of ours goes."""
    old = _draft_of(path)
    try:
        _check_folder(path, listed)
        if path.exists():
            os.rename(path, old)
            _check_folder(old, listed)  # nothing came in the last moment
        os.rename(draft, path)
    except OSError as error:
        if old.exists() and not os.path.lexists(path):
            os.rename(old, path)
        if not os.path.lexists(path):
            raise
        raise AppearedError(f"{path} is kept ({error}); what was made is {draft}") from error
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone_at(path: Path) -> Iterator[None]:
    """Calls that put a folder in this place wait for each other, where system and file system can tell them to."""
    if os.name == "nt":  # no folder can be opened there
        yield
        return
    with _explained(path):
        handle = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            lock_descriptor(handle)
        yield
    finally:
        os.close(handle)


def write_between(path: Path, marks: tuple[str, str], make: Callable[[], str]) -> None:
    """Put a text between two marks of a file; not a byte beside it changes.

    Args:
        make: gives the text; called once the file and its marks are there.

    Raises:
        ValueError: if the marks are not there, each once.
        OSError: if there is no such file.
    """
    check_file(path, overwrite=True)
    _around(path, marks)  # before the work
    text = f"\n{make()}\n".encode()
    with replacing(path) as draft:
        before, after = _around(path, marks)
        draft.write_bytes(before + text + after)


def _around(path: Path, marks: tuple[str, str]) -> tuple[bytes, bytes]:
    """What stands before and after the text between two marks of a file, the marks included."""
    content = path.read_bytes()
    first, last = (mark.encode() for mark in marks)
    if content.count(first) != 1 or content.count(last) != 1 or content.index(first) > content.index(last):
        raise ValueError(f"{path}: put '{marks[0]}' and '{marks[1]}' into it, each once, where the table is to be")
    return content[: content.index(first) + len(first)], content[content.index(last) :]
