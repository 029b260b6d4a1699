"""Where things lie, and how they are written: whole or not at all.

Everything is found from the project's root, never from the working directory. Five environment variables move
the large folders: `DEBLUR_DATA` (benchmarks), `DEBLUR_PHOTOS` (sharp pictures to train on), `DEBLUR_RUNS` (trainings),
`DEBLUR_RESULTS` (tables and figures), `DEBLUR_WEIGHTS` (released weights).
"""

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def project_root() -> Path:
    """The checkout that holds this package, or the working directory for an installed copy."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


def data_dir() -> Path:
    """Benchmarks written by this package (`DEBLUR_DATA`)."""
    return Path(os.environ.get("DEBLUR_DATA") or project_root() / "data")


def photos_dir() -> Path:
    """Sharp pictures that trainings at scale `bench` take besides the bundled scenes (`DEBLUR_PHOTOS`)."""
    return Path(os.environ.get("DEBLUR_PHOTOS") or project_root() / "photos")


def runs_dir() -> Path:
    """The run store: one folder a training (`DEBLUR_RUNS`)."""
    return Path(os.environ.get("DEBLUR_RUNS") or project_root() / "runs")


def results_dir() -> Path:
    """Executed notebooks, tables and figures (`DEBLUR_RESULTS`)."""
    return Path(os.environ.get("DEBLUR_RESULTS") or project_root() / "results")


def weights_dir() -> Path:
    """Released weights with their cards (`DEBLUR_WEIGHTS`)."""
    return Path(os.environ.get("DEBLUR_WEIGHTS") or project_root() / "weights")


def printed_dir() -> Path:
    """The tables as the papers print them."""
    return project_root() / "results" / "printed"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place when the block ends well, and vanishes when it does not.

    Works for files and for folders (create the folder yourself); an old folder at `path` is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: libraries choose the format by it.
    draft = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield draft
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def files_below(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files of a folder and its subfolders that end in one of these suffixes, sorted, without hidden ones."""
    wanted = set(suffixes)
    found = (path for path in folder.rglob("*") if path.suffix.lower() in wanted and path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: what cannot be read, and what is no file: a pipe would keep the reader waiting for ever.
    """
    with open(path, "rb", opener=_not_waiting) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
        return stream.read()


def _not_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
