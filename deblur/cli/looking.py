"""`deblur parts`: what the parts of a trained network do."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import options
from deblur.cli.options import Commands, used
from deblur.errors import UsageError
from deblur.talk import document, say, table

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from deblur.data.copies import Data


def add(commands: Commands) -> None:
    parts = commands.add_parser(
        "parts",
        help="what each part of a trained network's design does",
        description="Take each part of a network's design out, without training again, and say how PSNR changes: "
        "paired by image, with a 95 %% interval over scenes. A part is 'used' if the result is worse without it, "
        "'harms' if it is better, 'inert' if nothing changes (0.005 dB at most), else 'undecided'. That a part is used "
        "does not say that a training without it would do worse.",
    )
    networks = "from 'deblur weights list', a .safetensors file with its card, or a run's folder as 'deblur train' "
    networks += "prints it; several seeds of one network are taken together"
    parts.add_argument("networks", nargs="+", metavar="NETWORK", help=networks)
    parts.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark of its scale)")
    options.add_subset(parts)
    parts.add_argument("--split", default="test", help="train, validation or test (default: test)")
    few = "so many pairs at most, spread over scenes and kinds of blur (default: all)"
    parts.add_argument("--limit", type=options.whole(1, 10**6), help=few)
    options.add_json(parts)
    parts.set_defaults(run=_parts)


def _parts(given: argparse.Namespace) -> None:
    _check(given)
    from deblur import evaluation
    from deblur.runs.run import scoring_device

    networks, scales = zip(*map(_network, given.networks))
    data = _data(given, set(scales))
    pairs = evaluation.spread(data.pairs(given.split), given.limit)
    titled = f"{data.label}, {given.split} split, {len(pairs)} pairs"
    if not given.json:
        say(f"taking parts out of {', '.join(given.networks)} on {titled}")
    found_out = evaluation.parts_table(networks, pairs, device=scoring_device(), title="" if given.json else "parts")
    if given.json:
        document([_plain(row) for row in found_out.to_dict("records")])
    else:
        print(titled, _listed(found_out), sep="\n\n")


def _check(given: argparse.Namespace) -> None:
    """Refuse names that nothing has, before seconds of loading."""
    from deblur.weights import released

    if len(set(given.networks)) < len(given.networks):
        raise UsageError("a network is named twice; give each seed once")
    for name in given.networks:
        if Path(name).is_dir() and not (Path(name) / "recipe.json").is_file():
            raise UsageError(f"{name}: holds no training; give a run's folder, as 'deblur train' prints it")
        if not Path(name).is_dir():
            released.find(name)


def _network(name: str) -> "tuple[nn.Module, str]":
    """A network by its name, and the scale of the bundled benchmark that it goes with."""
    from deblur import runs
    from deblur.weights import cards, released

    folder = Path(name)
    if (folder / "recipe.json").is_file():
        return runs.load(folder), runs.bundled_scale(folder)
    scale = cards.read(released.find(name)).scale
    return released.load(name), "bench" if scale == "bench" else "mini"


def _data(given: argparse.Namespace, scales: set[str]) -> "Data":
    from deblur.data import copies

    if len(scales) > 1 and not given.data:
        raise UsageError(
            "these networks were trained for blur of different lengths; give --data, or one after the other"
        )
    with used():
        return copies.open_data(given.data, given.subset or "blur", scale=scales.pop())


def _plain(row: dict) -> dict:
    """A row for JSON, which has no NaN."""
    return {name: None if value != value else value for name, value in row.items()}


def _listed(found_out: "pd.DataFrame") -> str:
    """The table as text to read."""
    from deblur.evaluation.parts import wide

    rows = wide(found_out)
    kinds = list(rows.columns[6:])
    titles = ["part", "replaced by", "change", "95 % interval", "verdict", *kinds]
    cells = [
        [row["part"], row["replaced_by"], _decibels(row["all"]), _interval(row["low"], row["high"]), row["verdict"]]
        + [_decibels(row[kind]) for kind in kinds]
        for row in rows.to_dict("records")
    ]
    counts = found_out.iloc[0]
    note = f"changes in dB, without the part minus with it; scenes: {counts['scenes']}, seeds: {counts['seeds']}"
    note += "; an interval needs three scenes" if counts["low_db"] != counts["low_db"] else ""
    return f"{table(titles, cells)}\n\n{note}"


def _decibels(change: float) -> str:
    return "" if change != change else f"{change:+.3f}"


def _interval(low: float, high: float) -> str:
    return "none" if low != low else f"{low:+.3f} to {high:+.3f}"
