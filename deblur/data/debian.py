"""Free photographs to train on at scale `bench`, from the Debian packages that carry them.

`weights/photographs.csv` names package, version, path inside it, author, licence and SHA-256 of each. The photographs
themselves are nobody's to commit here.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from deblur import paths, writing
from deblur.data.official import DataError, inside


def listed() -> pd.DataFrame:
    """The manifest: `name`, `package`, `version`, `path`, `author`, `licence`, `sha256`, a row a photograph."""
    return pd.read_csv(paths.bundled_dir() / "weights" / "photographs.csv", dtype=str)


def fetch(out: Path, progress: Callable[[Iterable], Iterable[Any]] = iter) -> None:
    """Download the packages with `apt-get`, without installing them, and copy their photographs into a new folder.

    Raises:
        DataError: without Debian's tools, if a package cannot be had, and for photographs that are not those listed.
        OSError: if the folder is there already, and not empty, or cannot be written.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if missing:
        raise DataError(f"{' and '.join(missing)} not found; elsewhere unpack the packages of photographs.csv by hand")
    with writing.delivering_folder(out) as draft:
        for package, rows in progress(list(listed().groupby("package"))):
            with TemporaryDirectory() as scratch:
                tree = unpacked(str(package), Path(scratch))
                for row in rows.itertuples():
                    copy(inside(tree, str(row.path)), inside(draft, str(row.name)), row)


def unpacked(package: str, scratch: Path) -> Path:
    """The files of a package, below `scratch`.

    Raises:
        DataError: with what `apt-get` says.
    """
    done = subprocess.run(["apt-get", "download", package], cwd=scratch, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no word why"]
        raise DataError(
            f"package {package} cannot be had: {said[0]}; try 'apt-get update', or another release of Debian"
        )
    (archive,) = scratch.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, scratch / "tree"], check=True)
    return scratch / "tree"


def copy(source: Path, target: Path, row: Any) -> None:
    """One photograph, if it is the one that the row of the manifest lists."""
    if not source.is_file() or paths.file_sha256(source) != row.sha256:
        what = "is another picture" if source.is_file() else "is missing"
        raise DataError(f"{row.path} of {row.package} {what}; version {row.version} of the package is listed")
    shutil.copyfile(source, target)
