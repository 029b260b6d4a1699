"""Weights by name, with the card that says what they are."""

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur import paths
from deblur.errors import UsageError, meant
from deblur.weights.cards import Card, read

if TYPE_CHECKING:  # lists of weights are read without torch, which takes seconds to load
    from torch import nn

log = logging.getLogger(__name__)


def cards() -> dict[str, Card]:
    """The card of every released network in `paths.weights_dir()`, by name; a warning names those that are damaged."""
    usable, damaged = _sorted_out()
    for message in damaged.values():
        _warn_once(f"{message}. The other networks can be used.")
    return usable


def _sorted_out() -> tuple[dict[str, Card], dict[str, str]]:
    """The cards of released networks by name, and for those without a usable one what is wrong."""
    usable, damaged = {}, {}
    for file in sorted(paths.weights_dir().glob("[!.]*.safetensors")):
        try:
            usable[file.stem] = read(file)
        except (ValueError, OSError) as error:
            damaged[file.stem] = str(error)
    return usable, damaged


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def find(name: str | Path | None = None) -> Path:
    """The weights of that name: released, or a `.safetensors` file; without a name the default ones.

    The default is the released network whose card says so, else the first by name; if that may be one whose card is
    damaged, a warning says so.

    Raises:
        UsageError: an unknown name; lists those there are.
        ValueError: a damaged card of the network of that name, or no card that is usable.
    """
    if name is not None and Path(name).suffix == ".safetensors":
        if not Path(name).is_file():
            raise UsageError(f"{name}: no such file; give released weights by name, others by their path")
        return Path(name)
    folder, (usable, damaged) = paths.weights_dir(), _sorted_out()
    if str(name) in damaged or (damaged and not usable):
        raise ValueError(damaged.get(str(name)) or "\n".join(damaged.values()))
    if not usable:
        raise UsageError(f"{folder} holds no weights; put released ones there, or give a file with its card")
    if name is None:
        return folder / f"{_default(usable, damaged)}.safetensors"
    if name not in usable:
        raise UsageError(
            f"no weights are called {str(name)!r}; {folder} holds {', '.join(usable)}{meant(name, usable)}"
        )
    return folder / f"{name}.safetensors"


def _default(there: dict[str, Card], damaged: dict[str, str]) -> str:
    """The network whose card says that it is the default, else the first one."""
    for name, card in there.items():
        if card.default:
            return name
    for message in damaged.values():
        _warn_once(f"{message}. It may be the card of the default network: {min(there)} is taken instead.")
    return min(there)


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
