"""Code that stands for other code: it was shown to give the same bits, so what the other made need not be made again.

`results/accepted.csv` lists it; `deblur.upkeep.accept` writes it. The keys of runs name the old code, see
`deblur.runs.wiring.code`.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from deblur import paths, writing


class Line(NamedTuple):
    """One line of the file."""

    what: str  # "scoring", or a training's wiring: network, loss, schedule and source of data, a blank between
    old: str  # hash of the code that keys name
    new: str  # hash of the code that stands for it
    date: str  # YYYY-MM-DD
    commit: str  # that the change was made on
    reason: str


def file() -> Path:
    """Where accepted code is listed; it need not be there."""
    return paths.bundled_dir() / "results" / "accepted.csv"


def lines() -> list[Line]:
    """All lines, the oldest first.

    Raises:
        ValueError: for a file with other columns.
    """
    if not file().is_file():
        return []
    header, *rows = [*csv.reader(io.StringIO(file().read_text(encoding="utf-8")))] or [[]]
    if tuple(header) != Line._fields or any(len(row) != len(header) for row in rows):
        raise ValueError(f"{file()}: its columns must be {', '.join(Line._fields)}; take it from Git again")
    return [Line(*row) for row in rows]


def write(found: Iterable[Line]) -> None:
    """Write the file anew."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Line._fields, *found])
    writing.write_text(file(), text.getvalue())


def original(what: str, code: str) -> str:
    """The hash of the code that `code` stands for; its own where nothing was accepted."""
    return {(line.what, line.new): line.old for line in lines()}.get((what, code), code)
