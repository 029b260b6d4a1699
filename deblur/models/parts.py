"""The parts of a network's design, and what stands in for each of them when it is taken out at inference.

Every network's file names its parts in `PARTS`. They are taken out by forward hooks, so that networks hold no switches:
nothing is trained again, and whatever comes behind a part meets something that it has not learned to live with. That
the result changes shows that a part is *used*; that it *helps*, only a training without it can show.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Hook = Callable[[nn.Module, tuple, Any], Any]
"""Module, what it was given, what it made of that -> what it is to return instead; as PyTorch calls forward hooks."""


@dataclass(frozen=True)
class Part:
    """What is taken out, and what stands in for it.

    Attributes:
        modules: regular expression for the whole names of the modules whose output is replaced; empty for the network.
        instead: makes the replacement; its name, with spaces, says what that is.
        needs: name of a module without which a network has no such part, where `modules` do not tell.
    """

    modules: str
    instead: Hook
    needs: str = ""

    @property
    def replacement(self) -> str:
        """What stands in for the part, in words."""
        return self.instead.__name__.replace("_", " ")


Parts = Mapping[str, Part]
"""Name of a part -> what it is."""


def present(network: nn.Module, parts: Parts) -> dict[str, Part]:
    """Those of the parts that a network has: variants lack some."""
    names = dict(network.named_modules())
    return {
        title: part
        for title, part in parts.items()
        if part.needs in names and any(re.fullmatch(part.modules, name) for name in names)
    }


@contextmanager
def without(network: nn.Module, part: Part) -> Iterator[None]:
    """In the block, a network does without one of its parts; behind it, it is as before."""
    modules = [module for name, module in network.named_modules() if re.fullmatch(part.modules, name)]
    hooks = [module.register_forward_hook(part.instead) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def covering(place: str, parts: Parts) -> list[str]:
    """The parts that a module belongs to, itself or by a module around it; the network as a whole is around nothing."""
    steps = place.split(".")
    around = [".".join(steps[:length]) for length in range(1, len(steps) + 1)]
    return [title for title, part in parts.items() if any(re.fullmatch(part.modules, name) for name in around)]


def is_inert(place: str, parts: Parts, verdicts: Mapping[str, str]) -> bool:
    """Whether a module belongs to a part that does nothing in a trained network, by the verdicts that are known."""
    return any(verdicts.get(title) == "inert" for title in covering(place, parts))


# ------------------------------------------------------------------------------------------------------- replacements


def spatial_mean(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    """Each channel's mean over the map, everywhere: (N,C,H,W) as it was, without any place in it."""
    return output.mean((2, 3), keepdim=True).expand_as(output)


def equal_weights(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    """The mean of an image's weights for each of them: nothing is preferred."""
    return output.flatten(1).mean(1).view(-1, *[1] * (output.ndim - 1)).expand_as(output)


def zero(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    """Nothing: the part adds nothing to what it is added to."""
    return torch.zeros_like(output)


def own_input(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    """What the part was given, if several things the first of them, as it came."""
    return inputs[0]


def blurred_image(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    """What comes of the blurred image alone, twice in place of the image beside an earlier result (N,2C,H,W)."""
    blurred, _ = inputs[0].chunk(2, 1)
    return module.forward(torch.cat([blurred, blurred], 1))
