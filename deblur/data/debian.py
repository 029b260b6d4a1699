"""Free photographs from the Debian packages that carry them: to train on at scale `bench`, and to examine with.

`weights/photographs.csv` names split, package, version, path inside it, author, licence and SHA-256 of each. The
photographs themselves are nobody's to commit here. Those of the split `exam` are kept out of training for good:
`bench.Photographs` refuses them.
"""

import csv
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deblur import paths, writing
from deblur.data.official import DataError, inside

SPLITS = ("train", "exam")


@dataclass(frozen=True)
class Photograph:
    """A row of the manifest: `path` inside version `version` of a Debian package becomes the file `name`."""

    name: str
    split: str
    package: str
    version: str
    path: str
    author: str
    licence: str
    sha256: str


def listed() -> list[Photograph]:
    """The photographs of the manifest, by name."""
    with open(paths.bundled_dir() / "weights" / "photographs.csv", encoding="utf-8", newline="") as stream:
        return [Photograph(**row) for row in csv.DictReader(stream)]


def home(split: str) -> Path:
    """Where a split lies unless it is told otherwise: trainings look into the one, and nothing into the other."""
    homes = {"train": paths.photos_dir() / "photographs", "exam": paths.data_dir() / "photographs-exam"}
    return homes[split]


def exam() -> dict[str, str]:
    """SHA-256 -> name of the photographs that no training may see."""
    return {photograph.sha256: photograph.name for photograph in listed() if photograph.split == "exam"}


def fetch(out: Path, split: str = "train", progress: Callable[[Iterable], Iterable[Any]] = iter) -> None:
    """Download the packages with `apt-get`, without installing them, and copy a split into a new folder.

    Raises:
        DataError: without Debian's tools, if a package cannot be had, and for photographs that are not those listed.
        OSError: if the folder is there already, and not empty, or cannot be written.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if missing:
        raise DataError(f"{' and '.join(missing)} not found; elsewhere unpack the packages of photographs.csv by hand")
    package = attrgetter("package")
    wanted = sorted((photograph for photograph in listed() if photograph.split == split), key=package)
    with writing.delivering_folder(out) as draft:
        for name, photographs in progress([(name, list(group)) for name, group in groupby(wanted, package)]):
            with TemporaryDirectory() as scratch:
                tree = unpacked(name, Path(scratch))
                for photograph in photographs:
                    copy(inside(tree, photograph.path), inside(draft, photograph.name), photograph)


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


def copy(source: Path, target: Path, row: Photograph) -> None:
    """One photograph, if it is the one that the manifest lists."""
    if not source.is_file() or paths.file_sha256(source) != row.sha256:
        what = "is another picture" if source.is_file() else "is missing"
        raise DataError(f"{row.path} of {row.package} {what}; version {row.version} of the package is listed")
    shutil.copyfile(source, target)
