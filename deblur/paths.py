"""Where things lie, and what lies at a path.

Everything is found from the project's root, never from the working directory. Six environment variables move
the large folders: `DEBLUR_DATA` (benchmarks), `DEBLUR_PHOTOS` (sharp pictures to train on), `DEBLUR_RUNS` (trainings),
`DEBLUR_RESULTS` (tables and figures), `DEBLUR_WEIGHTS` (released weights), `DEBLUR_IMPORTED` (other projects' weights).
"""

import errno
import hashlib
import os
import stat
import tomllib
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from deblur.errors import UsageError

PACKAGE = Path(__file__).resolve().parent

DISTRIBUTION = "deblur-papers"


def is_checkout() -> bool:
    """Whether this package lies in its project, and not in an environment or in somebody else's project."""
    return _is_project(PACKAGE.parent)


@cache
def _is_project(folder: Path) -> bool:
    try:
        content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return content["project"]["name"] == DISTRIBUTION
    except (OSError, ValueError, KeyError, TypeError):
        return False


def project_root() -> Path:
    """The checkout that holds this package.

    Raises:
        UsageError: for an installed copy.
    """
    if not is_checkout():
        raise UsageError("this copy of deblur is an installed one; only in a checkout of the project can this be done")
    return PACKAGE.parent


def bundled_dir() -> Path:
    """What goes with the package: `weights/`, `notebooks/`, and of `results/` the printed tables and `accepted.csv`.

    It is never written to if installed.
    """
    return PACKAGE.parent if is_checkout() else PACKAGE / "bundled"


def data_dir() -> Path:
    """Benchmarks written by this package (`DEBLUR_DATA`); they can be made again."""
    return _folder("DEBLUR_DATA", "data", _CACHE)


def photos_dir() -> Path:
    """Sharp pictures that trainings at scale `bench` take besides the bundled scenes (`DEBLUR_PHOTOS`)."""
    return _folder("DEBLUR_PHOTOS", "photos", _KEPT)


def runs_dir() -> Path:
    """The run store: one folder a training (`DEBLUR_RUNS`)."""
    return _folder("DEBLUR_RUNS", "runs", _KEPT)


def imported_dir() -> Path:
    """Weights that other projects published, translated, with their cards (`DEBLUR_IMPORTED`)."""
    return _folder("DEBLUR_IMPORTED", "imported", _KEPT)


def results_dir() -> Path:
    """Executed notebooks, tables and figures (`DEBLUR_RESULTS`)."""
    return _folder("DEBLUR_RESULTS", "results", Path.cwd)


_CACHE = partial(user_cache_path, DISTRIBUTION, appauthor=False)
_KEPT = partial(user_data_path, DISTRIBUTION, appauthor=False)


def _folder(variable: str, name: str, installed: Callable[[], Path]) -> Path:
    """What the variable says, else a folder of the checkout, else one inside what `installed` gives."""
    if chosen := os.environ.get(variable):
        return Path(chosen)
    return (PACKAGE.parent if is_checkout() else installed()) / name


def weights_dir() -> Path:
    """Released weights with their cards (`DEBLUR_WEIGHTS`)."""
    return Path(os.environ.get("DEBLUR_WEIGHTS") or bundled_dir() / "weights")


def release_dir() -> Path:
    """`weights_dir()`, to write into.

    Raises:
        UsageError: for an installed copy, whose weights are the package's own.
    """
    if not (is_checkout() or os.environ.get("DEBLUR_WEIGHTS")):
        raise UsageError("nothing is written into an installed package; set DEBLUR_WEIGHTS to a folder of your own")
    return weights_dir()


def printed_dir() -> Path:
    """The tables as the papers print them."""
    return bundled_dir() / "results" / "printed"


def notebooks_dir() -> Path:
    """The papers' notebooks."""
    return bundled_dir() / "notebooks"


def hashes(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file below a folder, sorted."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: file_sha256(folder / name) for name in names}


def identity(path: Path) -> tuple[int, int] | None:
    """Of the file that a name leads to, by links too."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def files_below(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files of a folder and its subfolders that end in one of these suffixes, sorted, without hidden ones."""
    wanted = set(suffixes)
    files = (path for path in folder.rglob("*") if path.suffix.lower() in wanted and path.is_file())
    return sorted(path for path in files if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def kind(path: Path) -> str:
    """What lies at `path`, links followed: "a file", "a folder", "a pipe" and so on in words, "" for nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        if not os.path.islink(path):
            return ""
        return "a link in a circle" if getattr(error, "errno", 0) == errno.ELOOP else "a link that leads nowhere"
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


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
