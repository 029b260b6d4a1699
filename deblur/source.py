"""What code a result depends on, so that changing something else does not train again.

`code_hash(train)` covers the syntax of `train` and of all code of this package that it reaches by name: functions,
classes, constants and the statements that fill them. Where code lies and what it is called do not count, nor do names
of local variables, docstrings, comments, type hints and layout, nor code that is not reached. Names of parameters and
of attributes count: callers and weights' files know them.
"""

import ast
import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

PACKAGE = __name__.split(".")[0]

BESIDE = ("paths", "writing", "data.packing")
"""Modules of this package that decide no result: where files lie and how they are read and written; packed pairs, which
give the crops of the tree that they were made from."""

_PARSING = threading.Lock()
"""Held while a file is parsed: two threads that did so at once would get a SystemError from Python 3.11."""


class Place(NamedTuple):
    """A definition of this package, or a whole module where `name` is empty."""

    module: str
    name: str


def code_hash(*objects: Callable | Place) -> str:
    """Sixteen hexadecimal digits for the code that functions, classes or places of this package reach, and for their
    own."""
    places = reached(*objects)
    numbers = {place: number for number, place in enumerate(places)}
    digest = hashlib.sha256()
    for place in places:
        text, references = _canonical(place)
        digest.update(f"{text} {[numbers[reference] for reference in references]}\n".encode())
    return digest.hexdigest()[:16]


def reached(*objects: Callable | Place) -> list[Place]:
    """The definitions that `code_hash` covers, in the order in which they are met."""
    places = list(dict.fromkeys(obj if isinstance(obj, Place) else _place(obj) for obj in objects))
    met = set(places)
    for place in places:  # grows on the way
        for reference in _canonical(place)[1]:
            if reference not in met:
                met.add(reference)
                places.append(reference)
    return places


def _place(obj: Callable) -> Place:
    return Place(obj.__module__, obj.__qualname__.split(".")[0])


@cache
def _canonical(place: Place) -> tuple[str, list[Place]]:
    """A definition as text, and the definitions that it refers to, which are but places in that text."""
    module = _module(place.module)
    writer = _Canonical(module)
    statements = (*module.definitions.get(place.name, ()), *module.effects)
    return "\n".join(writer.text(statement) for statement in statements), writer.references


# ------------------------------------------------------------------------------------------------------------ modules


class _Module:
    """What the names of a module stand for.

    Attributes:
        definitions: name -> the statements that bind or change it.
        effects: statements that change things elsewhere when the module is imported.
        imports: name -> what it was imported as, see `_imported`.
    """

    def __init__(self, name: str):
        file = import_module(name).__file__
        assert file is not None  # this package's modules are files
        self.name = name
        self.definitions: dict[str, list[ast.stmt]] = {}
        with _PARSING:
            body = ast.parse(Path(file).read_text(encoding="utf-8")).body
        self.imports = _imported(body)
        working = [statement for statement in body if not _is_idle(statement)]
        own = {bound for statement in working for bound in _bound([statement])}
        for statement in working:
            for changed in dict.fromkeys(_changed(statement)):
                if changed in own:
                    self.definitions.setdefault(changed, []).append(statement)
        counted = {id(statement) for statements in self.definitions.values() for statement in statements}
        self.effects = [statement for statement in working if id(statement) not in counted]


_module = cache(_Module)

_IMPORTS = (ast.Import, ast.ImportFrom)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NAMED = (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _within(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of a scope: functions, classes and comprehensions in it are met, but not entered."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop(0)
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef, *_COMPREHENSIONS)):
            pending += ast.iter_child_nodes(node)
        elif isinstance(node, _COMPREHENSIONS):  # `:=` binds outside of the comprehension that it stands in
            pending += [part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a scope binds, imports aside, in the order of the text."""
    for node in _within(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, (*_NAMED, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement of a module binds, or may change: by item, by attribute, by a method, as an argument."""
    yield from _bound([statement])
    for node in _within([statement]):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from map(_root, (node.value.func, *node.value.args))


def _root(node: ast.AST) -> str:
    """The name that a chain of attributes, items and calls begins with; none for other expressions."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_idle(statement: ast.stmt) -> bool:
    """Imports, also conditional ones, words, and names that are only annotated."""
    if isinstance(statement, ast.If) and not statement.orelse:
        return all(map(_is_idle, statement.body)) or "__main__" in ast.unparse(statement.test)
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    is_words = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_words or isinstance(statement, (*_IMPORTS, ast.Pass))


def _imported(body: list[ast.stmt]) -> dict[str, Place | str]:
    """Name -> what a scope imports under it: a module or a name of this package, or something foreign's dotted name."""
    imports: dict[str, Place | str] = {}
    for node in _within(body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.split(".")[0]
                imports[alias.asname or module] = Place(module, "") if _is_ours(module) else module
        elif isinstance(node, ast.ImportFrom):
            assert node.module  # this package imports by whole names
            for alias in node.names:
                place = Place(node.module, alias.name)
                imports[alias.asname or alias.name] = place if _is_ours(node.module) else ".".join(place)
    return imports


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _member(module: str, name: str) -> Place | str:
    """What a name of a module of this package stands for, wherever it was defined."""
    if _is_beside(module) or name in _module(module).definitions:
        return Place(module, name)
    imported = _module(module).imports.get(name)
    if imported is not None and imported != (module, name):  # a package may import its own modules
        return _resolved(imported)
    return Place(f"{module}.{name}", "") if _is_submodule(module, name) else name


def _resolved(imported: Place | str) -> Place | str:
    return _member(*imported) if isinstance(imported, Place) and imported.name else imported


def _is_submodule(module: str, name: str) -> bool:
    return hasattr(import_module(module), "__path__") and find_spec(f"{module}.{name}") is not None


def _is_beside(module: str) -> bool:
    return module.removeprefix(f"{PACKAGE}.") in BESIDE


# --------------------------------------------------------------------------------------------------------- definitions


class _Scope(NamedTuple):
    names: dict[str, Place | str]
    is_class: bool = False


class _Canonical:
    """Writes statements of a module without what does not count, and collects the definitions that they refer to."""

    def __init__(self, module: _Module):
        self.module = module
        self.references: list[Place] = []
        self.scopes: list[_Scope] = []
        self.locals = 0

    def text(self, node: object) -> str:
        """A node, or a list of nodes, or a plain value."""
        if isinstance(node, list):
            return f"[{' '.join(filter(None, map(self.text, node)))}]" if node else ""
        if not isinstance(node, ast.AST):
            return "" if node is None else repr(node)
        special = getattr(self, f"_{type(node).__name__}", None)
        return special(node) if special else self._plain(node)

    def _plain(self, node: ast.AST, **replaced: object) -> str:
        skipped = ("ctx", "type_comment", "type_params", "kind", "returns", "annotation")
        fields = [(name, replaced.get(name, value)) for name, value in ast.iter_fields(node) if name not in skipped]
        parts = [f"{name}={text}" for name, value in fields if (text := self._given(value))]
        return f"{type(node).__name__}({' '.join(parts)})"

    def _given(self, value: object) -> str:
        return value.text if isinstance(value, _Text) else self.text(value)

    # Names

    def _meaning(self, name: str) -> Place | str:
        for depth, scope in enumerate(reversed(self.scopes)):
            if name in scope.names and (not scope.is_class or depth == 0):
                return _resolved(scope.names[name])
        if name in self.module.definitions:
            return Place(self.module.name, name)
        return _resolved(self.module.imports.get(name, name))

    def _chain(self, node: ast.AST) -> Place | str | None:
        """What a name, or an attribute of a module of this package, stands for; None for other expressions."""
        if isinstance(node, ast.Name):
            return self._meaning(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._chain(node.value)
            if isinstance(owner, Place) and not owner.name:
                return _member(owner.module, node.attr)
        return None

    def _written(self, meaning: Place | str) -> str:
        if isinstance(meaning, str):
            return meaning
        if _is_beside(meaning.module):
            return "<beside>"
        if not meaning.name:
            return f"<module {meaning.module.rpartition('.')[2]}>"
        self.references.append(meaning)
        return "<reference>"

    def _Name(self, node: ast.Name) -> str:
        return self._written(self._meaning(node.id))

    def _Attribute(self, node: ast.Attribute) -> str:
        meaning = self._chain(node)
        return self._plain(node) if meaning is None else self._written(meaning)

    def _renamed(self, names: Iterator[str]) -> dict[str, Place | str]:
        """Local names, numbered in the order in which they are met."""
        numbers: dict[str, Place | str] = {}
        for name in names:
            if name not in numbers:
                numbers[name] = f"~{self.locals}"
                self.locals += 1
        return numbers

    def _local(self, name: str | None) -> "_Text | None":
        return _Text(self._written(self._meaning(name))) if name else None

    # Scopes

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        in_class = bool(self.scopes) and self.scopes[-1].is_class
        name = node.name if in_class else self._local(node.name) if self.scopes else None
        decorators, defaults = _Text(self.text(node.decorator_list)), self._defaults(node.args)
        names: dict[str, Place | str] = {argument.arg: argument.arg for argument in _arguments(node.args)}
        names |= self._bindings(node.body, names)
        self.scopes.append(_Scope(names))
        body = _Text(self.text(node.body))
        self.scopes.pop()
        arguments = _Text(" ".join([*_marked(node.args), defaults]))
        return self._plain(node, name=name, decorator_list=decorators, args=arguments, body=body)

    _FunctionDef = _AsyncFunctionDef = _function

    def _bindings(self, body: list[ast.stmt], arguments: dict[str, Place | str]) -> dict[str, Place | str]:
        nodes = list(_within(body))
        elsewhere = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
        bound = self._renamed(name for name in _bound(body) if name not in arguments and name not in elsewhere)
        outer = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        return bound | _imported(body) | {name: Place(self.module.name, name) for name in outer}

    def _defaults(self, arguments: ast.arguments) -> str:
        return f"{self.text(arguments.defaults)}{[self.text(default) for default in arguments.kw_defaults]}"

    def _Lambda(self, node: ast.Lambda) -> str:
        defaults = self._defaults(node.args)
        self.scopes.append(_Scope(self._renamed(argument.arg for argument in _arguments(node.args))))
        arguments = " ".join([*(str(self._meaning(name)) for name in _marked(node.args)), defaults])
        text = self._plain(node, args=_Text(arguments))
        self.scopes.pop()
        return text

    def _ClassDef(self, node: ast.ClassDef) -> str:
        in_class = bool(self.scopes) and self.scopes[-1].is_class
        name = node.name if in_class else self._local(node.name) if self.scopes else None
        around = {part: _Text(self.text(getattr(node, part))) for part in ("bases", "keywords", "decorator_list")}
        self.scopes.append(_Scope({bound: bound for bound in _bound(node.body)}, is_class=True))
        text = self._plain(node, name=name, **around)
        self.scopes.pop()
        return text

    def _comprehension_of(self, node: ast.AST) -> str:
        generators = node.generators  # type: ignore[attr-defined]  # a comprehension has them
        first = _Text(self.text(generators[0].iter))  # seen from outside
        self.scopes.append(_Scope(self._renamed(_targets(generators))))
        parts = [self._plain(generators[0], iter=first), *map(self.text, generators[1:])]
        text = self._plain(node, generators=_Text(" ".join(parts)))
        self.scopes.pop()
        return text

    _ListComp = _SetComp = _DictComp = _GeneratorExp = _comprehension_of

    # Statements

    def _Expr(self, node: ast.Expr) -> str:
        return "" if isinstance(node.value, ast.Constant) else self._plain(node)  # docstrings and other words

    def _AnnAssign(self, node: ast.AnnAssign) -> str:
        if self.scopes and self.scopes[-1].is_class:
            return self._plain(node)  # a field of a data class
        return self.text(ast.Assign([node.target], node.value)) if node.value else ""

    def _nothing(self, node: ast.AST) -> str:
        return ""

    _Import = _ImportFrom = _Global = _Nonlocal = _nothing  # what they bring shows where it is used

    def _named(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> str:
        return self._plain(node, name=self._local(node.name))

    _ExceptHandler = _MatchAs = _MatchStar = _named

    def _MatchMapping(self, node: ast.MatchMapping) -> str:
        return self._plain(node, rest=self._local(node.rest))


class _Text(NamedTuple):
    """A part that is written already."""

    text: str


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    extra = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def _marked(arguments: ast.arguments) -> list[str]:
    """Names of arguments, with signs between their kinds that are nobody's name."""
    kinds = (arguments.posonlyargs, arguments.args, arguments.kwonlyargs)
    names = [[argument.arg for argument in kind] for kind in kinds]
    var, kw = ([part.arg] if part else [] for part in (arguments.vararg, arguments.kwarg))
    return [*names[0], "/", *names[1], "*", *var, "|", *names[2], "**", *kw]


def _targets(generators: list[ast.comprehension]) -> Iterator[str]:
    for generator in generators:
        for node in ast.walk(generator.target):
            if isinstance(node, ast.Name):
                yield node.id
