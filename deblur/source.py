"""What code a result depends on, so that changing something else does not train again.

`code_hash(train)` covers the syntax of `train` and of every function, class and constant of this package that it
reaches by name; docstrings, comments, type hints and layout do not count, and neither does code that it cannot reach.
"""

import ast
import hashlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

PACKAGE = __name__.split(".")[0]


def code_hash(*objects: Callable) -> str:
    """Hash of the code that functions or classes of this package reach, themselves included."""
    reached: set[tuple[str, str]] = set()
    pending = [(obj.__module__, obj.__qualname__.split(".")[0]) for obj in objects]
    while pending:
        module, name = pending.pop()
        if name in _imports(module):
            pending.append(_imports(module)[name])
        elif (module, name) not in reached and name in _definitions(module):
            reached.add((module, name))
            pending += _references(module, name)
    digest = hashlib.sha256()
    for module, name in sorted(reached):
        digest.update(f"{module}.{name}={ast.dump(_definitions(module)[name])}".encode())
    return digest.hexdigest()[:16]


@cache
def _tree(module: str) -> ast.Module:
    """A module's syntax without docstrings and type hints."""
    file = import_module(module).__file__
    assert file is not None  # this package's modules are files
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


@cache
def _definitions(module: str) -> dict[str, ast.stmt]:
    """Top-level functions, classes and constants of a module, by name."""
    found: dict[str, ast.stmt] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """What a module takes by name from other modules of this package: name -> (module, name there)."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in _tree(module).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE
        for alias in node.names
    }


def _references(module: str, name: str) -> list[tuple[str, str]]:
    """What a definition names: in its own module, or as an attribute of another module of this package."""
    namespace = vars(import_module(module))
    found = []
    for node in ast.walk(_definitions(module)[name]):
        if isinstance(node, ast.Name):
            found.append((module, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            value = namespace.get(node.value.id)
            if isinstance(value, ModuleType) and value.__name__.split(".")[0] == PACKAGE:
                found.append((value.__name__, node.attr))
    return found
