"""`deblur study` and `deblur claims`."""

import argparse

from deblur.cli import options
from deblur.cli.options import Commands, used
from deblur.errors import UsageError, unknown
from deblur.talk import duration, say, table


def add(commands: Commands) -> None:
    study = commands.add_parser(
        "study",
        help="train what decides the papers' claims; called again, it goes on",
        description="Train the arms that the claims compare, all with one seed before the next, and keep the scores of "
        "each in results/study/. Ctrl-C at any moment loses nothing; folders of two machines are merged by copying.",
    )
    study.add_argument("papers", nargs="*", metavar="PAPER", help="attentive, ... (default: all five)")
    study.add_argument("--tier", help="depth or breadth (default: both)")
    study.add_argument("--seeds", type=options.whole(1, 100), help="at most so many of those that are planned")
    study.add_argument("--hours", type=options.hours, help="stop after so many hours")
    study.add_argument(
        "--processes", type=options.whole(1, 1024), help="trainings at once (default: one a core or GPU)"
    )
    study.add_argument(
        "--checks", action="store_true", help="train nothing: count and time what claims of cost and arithmetic ask for"
    )
    study.add_argument("--dry-run", action="store_true", help="say what is missing, and about how long it takes")
    study.set_defaults(run=_study)
    claims = commands.add_parser("claims", help="what the papers claim, and what the study says of it")
    claims.add_argument("papers", nargs="*", metavar="PAPER", help="attentive, ... (default: all five)")
    claims.add_argument("--write", action="store_true", help="write results/claims.csv and results/CLAIMS.md")
    claims.set_defaults(run=_claims)


def _papers(given: argparse.Namespace) -> tuple[str, ...]:
    from deblur.study.claims import PAPERS

    for paper in given.papers:
        if paper not in PAPERS:
            raise unknown("paper", paper, PAPERS)
    return tuple(given.papers) or PAPERS


def _study(given: argparse.Namespace) -> None:
    from deblur.study.claims import TIERS

    if given.tier and given.tier not in TIERS:
        raise unknown("tier", given.tier, TIERS)
    papers, tiers = _papers(given), (given.tier,) if given.tier else tuple(TIERS)
    if given.checks:
        _check(papers, given.dry_run)
        return
    from deblur.study import making

    with used():
        wanted = making.trainings(making.asked(papers, tiers), given.seeds)
    if given.dry_run:
        _tell(wanted)
        return
    making.make(papers, tiers, given.seeds, given.hours, given.processes)
    say("all records are there; deblur claims shows what follows")


def _check(papers: tuple[str, ...], dry_run: bool) -> None:
    """Measure what claims of cost and arithmetic lack, one after the other."""
    from deblur.study import checks
    from deblur.study.claims import claims

    for claim in checks.missing(claim.id for paper in papers for claim in claims(paper)):
        if not dry_run:
            checks.keep([claim])
        say(f"{claim} is {'missing' if dry_run else 'measured'}")


def _tell(wanted: list) -> None:
    """What is missing, by tier and seed."""
    from deblur.study import making

    missing = making.missing(wanted)
    seconds = making.seconds(missing)
    places = dict.fromkeys((training.tier, training.seed) for training in wanted)
    rows = []
    for place in places:
        every = [one for one in wanted if (one.tier, one.seed) == place]
        left = [one for one in missing if (one.tier, one.seed) == place]
        rows.append([*place, len(every), len(every) - len(left), duration(sum(seconds[one] for one in left))])
    print(table(["tier", "seed", "trainings", "done", "time of one core to go"], rows))
    for one in missing:
        print(one.command)


def _claims(given: argparse.Namespace) -> None:
    papers = _papers(given)
    from deblur.study import page

    if given.write:
        if given.papers:
            raise UsageError("--write takes all papers; leave their names out")
        for file in page.write():
            say(f"wrote {file}")
        return
    print(page.text(papers))
