"""Where things lie, and how they are written: whole or not at all.

Everything is found from the project's root, never from the working directory. Five environment variables move
the large folders: `DEBLUR_DATA` (benchmarks), `DEBLUR_PHOTOS` (sharp pictures to train on), `DEBLUR_RUNS` (trainings),
`DEBLUR_RESULTS` (tables and figures), `DEBLUR_WEIGHTS` (released weights).
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
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


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
