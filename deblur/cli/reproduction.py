"""`deblur reproduce` and `deblur status`."""

import argparse

from deblur.cli import options
from deblur.cli.options import Commands
from deblur.errors import unknown
from deblur.talk import document, say


def add(commands: Commands) -> None:
    reproduce = commands.add_parser("reproduce", help="run the papers' notebooks headlessly")
    reproduce.add_argument("papers", nargs="*", metavar="PAPER", help="attentive, ... (default: all there are)")
    reproduce.add_argument("--scale", default="mini", help="smoke, mini, bench or paper (default: mini)")
    reproduce.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    reproduce.add_argument("--seed", type=options.seed, default=0)
    reproduce.set_defaults(run=_reproduce)
    status = commands.add_parser("status", help="print the status table, or put it into the documents")
    how = status.add_mutually_exclusive_group()
    how.add_argument(
        "--write", action="store_true", help="replace the table in docs/status.md, and the verdicts in README.md"
    )
    options.add_json(how)
    status.set_defaults(run=_status)


def _reproduce(given: argparse.Namespace) -> None:
    from deblur import recipes

    if given.scale not in recipes.SCALES:
        raise unknown("scale", given.scale, recipes.SCALES)
    from deblur import notebooks

    papers = given.papers or notebooks.available()
    parameters = {"scale": given.scale, "data_root": given.data, "seed": given.seed}
    for path in notebooks.reproduce(papers, say, **parameters):
        print(path)


def _status(given: argparse.Namespace) -> None:
    from deblur import tables

    if given.write:
        from deblur.study import page

        for write in (tables.write_status, page.write_verdicts):  # the first refuses where there is nothing
            say(f"wrote the table of {write()}")
    elif given.json:
        names = ("network", "gain_db", "scores", "steps", "training")
        cards = tables.released_cards().items()
        networks = [{"name": name} | {part: getattr(card, part) for part in names} for name, card in cards]
        document({"papers": tables.reproduced(), "networks": networks})
    else:
        print(tables.status())
