"""Let results stand after code was rewritten that gives the same bits: `python -m deblur.upkeep.accept "why"`.

Keys of runs cover the code that decides their weights, so any change of it makes results stale. Where the golden
numbers come out as before, bit for bit, the new code may stand for the old: `results/accepted.csv` says so, and keys go
on naming the old code, see `deblur.runs.code`. No result is rewritten, and runs in anybody's store stay known.
"""

import argparse
import datetime
import sys

from deblur import accepted, paths, runs, stale
from deblur.accepted import Line
from deblur.runs import provenance, run, wiring
from deblur.upkeep import committed, golden

VOUCHED = ("results", "weights")
"""What must be as committed: what is vouched for, and what it is measured by."""


class RefusedError(ValueError):
    """New code must not stand for the old."""


def accept(reason: str) -> list[Line]:
    """Let the present code stand for that of the golden numbers; returns the lines that were added.

    Raises:
        RefusedError: if bits differ or cannot be compared here, if a result differs in more than code, or if results
            are not as committed.
    """
    if not reason.strip():
        raise RefusedError("say in a few words why no bit changes")
    commit = _commit()
    recorded = golden.recorded()
    if recorded.machine != golden.machine():
        raise RefusedError(
            f"{golden.file()} is of {recorded.machine}, this is {golden.machine()}; bits cannot be compared"
        )
    _check_results(recorded)
    lines = _lines(recorded, commit, reason.strip())
    if not lines:
        return []
    if differences := golden.differences(recorded, golden.measured()):
        raise RefusedError(
            "\n".join(["golden numbers differ, so results are stale: python -m deblur.upkeep.stale", *differences])
        )
    accepted.write([*accepted.lines(), *lines])
    return lines


def forged() -> list[str]:
    """What `accept` would not have written, a sentence each: lines for code that is not that of the golden numbers,
    and, for each training, a last line that does not name the present code."""
    recorded = golden.recorded()
    present = golden.codes(wiring.present_code, run.present_scoring)
    last = {line.what: line.new for line in accepted.lines()}
    said = [
        f"{line.what}: {line.old} made no golden numbers"
        for line in accepted.lines()
        if recorded.codes.get(line.what) != line.old
    ]
    return said + [f"{what}: {new} is not the present code" for what, new in last.items() if present.get(what) != new]


def _commit() -> str:
    """The commit that the change is made on."""
    root = paths.project_root()
    commit, _ = provenance.commit_of(root)
    changed = provenance.git(root, "status", "--porcelain", "--", *VOUCHED)
    if commit is None or changed is None:
        raise RefusedError(f"{root}: not a checkout of this package that Git tells about")
    if changed:
        raise RefusedError(f"commit these first, or take them back, only code may differ:\n{changed}")
    return commit


def _check_results(found: golden.Golden) -> None:
    """With the code of the golden numbers, every result must have its key: nothing but code was changed."""

    def code(*wiring: str) -> str:
        return found.codes[" ".join(wiring)]

    moved = set(committed.stale(code, lambda: found.codes[golden.SCORING])) - stale.listed()
    if moved:
        raise RefusedError(
            f"{', '.join(sorted(moved))}: not only code was changed, but configuration, recipe, data or seed, or the "
            "golden numbers were made by other code; that makes these stale: python -m deblur.upkeep.stale"
        )


def _lines(found: golden.Golden, commit: str, reason: str) -> list[Line]:
    now, present = (
        golden.codes(*functions)
        for functions in ((wiring.code, runs.scoring), (wiring.present_code, run.present_scoring))
    )
    date = datetime.date.today().isoformat()
    return [
        Line(what, old, present[what], date, commit, reason)
        for what, old in found.codes.items()
        if now.get(what, old) != old
    ]


def main() -> int:
    """The command; 1 for what is refused."""
    parser = argparse.ArgumentParser(prog="python -m deblur.upkeep.accept", description=__doc__.split("\n")[0])
    parser.add_argument("reason", help="why no bit changes, in a few words")
    try:
        lines = accept(parser.parse_args().reason)
    except RefusedError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print(f"{len(lines)} lines in {accepted.file()}" if lines else "nothing to accept: keys name the present code")
    return 0


if __name__ == "__main__":
    sys.exit(main())
