"""How commands talk: what is going on goes to the standard error, what was asked for to the standard output."""

import json
import sys
from collections.abc import Sequence
from typing import Any

UNITS = {"years": 365.25 * 86400, "days": 86400.0, "hours": 3600.0, "minutes": 60.0}
"""Seconds in each."""

LOADED = "not timed: loaded"
"""What stands in the place of times that were taken beside other programs."""


def say(text: str) -> None:
    """One line about what is going on, shown at once."""
    print(f"deblur: {text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time in the largest unit of which there are two, e.g. `9 years`, `6 minutes`, `3.1 s`."""
    for unit, size in UNITS.items():
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text in columns below their titles; what begins with a digit or a sign is set to the right."""
    cells = [[str(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    numbers = [all(row[i][:1] in "0123456789+-" for row in cells[1:]) for i in range(len(titles))]
    lines = ("  ".join(f"{c:>{w}}" if n else f"{c:<{w}}" for c, w, n in zip(row, widths, numbers)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def document(content: Any) -> None:
    """Plain values as one JSON document, and nothing else."""
    print(json.dumps(content, indent=1, ensure_ascii=False))
