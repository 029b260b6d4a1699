"""What a code hash sees, on a small package written for the purpose, and on this one."""

import importlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deblur import losses, source, training
from deblur.data import loading, mini

MAIN = '''"""The module."""
from functools import cache, partial

from pack import helpers
from pack.helpers import SIZE, direct as renamed
from pack.shapes import Circle

LIMIT = 3
UNUSED = 4


def train(x):
    """Train."""
    return near(x) + LIMIT


def near(x):
    return helpers.far(x) + renamed(x) + SIZE + cached(x)


@cache
def cached(x):
    return Circle(x).area()


def unreached(x):
    return UNUSED
'''
HELPERS = """from pack.deep import DEPTH as LEVEL

SIZE = 5
TABLE = {"a": 1}
OTHER = 2


def far(x):
    return x + TABLE["a"] + LEVEL


def direct(x):
    return x


def idle(x):
    return OTHER
"""
SHAPES = '''class Base:
    sides = 1


class Circle(Base):
    """A circle."""

    def __init__(self, radius):
        self.radius = radius

    def area(self):
        """Its area."""
        return 3 * self.radius**2


class Square:
    pass
'''
WIRED = """import math
from math import floor as down

from pack import helpers
from pack.helpers import SIZE

LOW, HIGH = 1, 2
NAMES = {}
for _index in range(3):
    NAMES[_index] = _index + LOW
NAMES.update(last=9)
STEPS = [1]
STEPS += [HIGH]
MANY = [3, 4]
MANY[0] = 5
if SIZE > 3:
    DEEP = 1
else:
    DEEP = 2
try:
    import missing
except ImportError:
    missing = None


def train(x, scale=2, *rest, only=1, **more):
    from pack import shapes
    from pack.deep import DEPTH

    total: int = 0
    for item in STEPS:
        total += item * scale
    with open(x) as stream:
        text = stream.read()
    try:
        total += len([value for value in MANY if value])
    except ValueError as error:
        raise KeyError(text) from error

    def nested(part):
        nonlocal total
        total = part + total
        return total

    match rest:
        case [first, *others]:
            total += first
        case {"key": kept, **left}:
            total += kept
    if (count := len(text)) > 3:
        total += count
    pick = max(NAMES.values(), key=lambda pair: -pair)
    return nested(down(total)) + helpers.SIZE + pick + LOW + DEEP + shapes.Base.sides + DEPTH + len(missing or "")
"""
FILES = {"wired": WIRED, "main": MAIN, "helpers": HELPERS, "shapes": SHAPES, "deep": "DEPTH = 1\nSHALLOW = 0\n"}


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """Writes the package, edited, imports it afresh and hashes its `train`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(source, "PACKAGE", "pack")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for name in [name for name in sys.modules if name.split(".")[0] == "pack"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        for function in vars(source).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()

    def hash_of(*edits, start="main", constant=""):
        """Edits are file, old, new; a file that is not there yet is added. A constant is hashed in place of `train`."""
        folder = tmp_path / "pack"
        folder.mkdir(exist_ok=True)
        files = {"__init__": "", **FILES}
        for file, old, new in edits:
            assert old in files.get(file, "")
            files[file] = files.get(file, "").replace(old, new) if old else files.get(file, "") + new
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        forget()
        module = importlib.import_module(f"pack.{start}")
        return source.code_hash(source.Place(module.__name__, constant) if constant else module.train)

    yield hash_of
    forget()


def test_a_constant_is_hashed_by_its_place(hash_of):
    assert hash_of(constant="LIMIT") == hash_of(("main", "near(x) + LIMIT", "near(x) - LIMIT"), constant="LIMIT")
    assert hash_of(constant="LIMIT") != hash_of(("main", "LIMIT = 3", "LIMIT = 4"), constant="LIMIT")


def test_the_same_code_has_the_same_hash(hash_of):
    assert hash_of() == hash_of()
    assert len(hash_of()) == 16


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main", '"""Train."""', '"""Train a network, at length."""'),
        ("main", '    """Train."""\n', ""),
        ("main", '"""The module."""', ""),
        ("main", "LIMIT = 3", "LIMIT = 3  # a comment"),
        ("main", "return near(x) + LIMIT", "return (\n        near(x)\n        + LIMIT\n    )"),
        ("shapes", '"""Its area."""', '"""The area of the circle."""'),
        ("shapes", '"""A circle."""', '"""A round thing."""'),
        ("main", "def near(x):", "def near(x: float) -> float:"),
        ("main", "UNUSED = 4", "UNUSED = 5"),
        ("main", "return UNUSED", "return 0"),
        ("main", "def unreached(x):", "def another(x):"),
        ("helpers", "return OTHER", "return 3"),
        ("helpers", "OTHER = 2", "OTHER = 3"),
        ("shapes", "class Square:\n    pass", "class Square:\n    sides = 4"),
        ("deep", "SHALLOW = 0", "SHALLOW = 1"),
    ],
)
def test_words_layout_hints_and_unreached_code_do_not_count(hash_of, file, old, new):
    assert hash_of((file, old, new)) == hash_of()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param("main", "near(x) + LIMIT", "near(x) - LIMIT", id="itself"),
        pytest.param("main", "LIMIT = 3", "LIMIT = 4", id="constant"),
        pytest.param("main", "helpers.far(x) +", "helpers.far(x) -", id="function of its module"),
        pytest.param("helpers", 'x + TABLE["a"]', 'x - TABLE["a"]', id="function by module attribute"),
        pytest.param("helpers", "return x\n", "return -x\n", id="function imported under another name"),
        pytest.param("helpers", "SIZE = 5", "SIZE = 6", id="constant imported by name"),
        pytest.param("helpers", '{"a": 1}', '{"a": 2}', id="constant of a reached function"),
        pytest.param("deep", "DEPTH = 1", "DEPTH = 2", id="constant imported two modules away"),
        pytest.param("main", "Circle(x).area()", "-Circle(x).area()", id="decorated function"),
        pytest.param("shapes", "return 3 *", "return 4 *", id="method of a reached class"),
        pytest.param("shapes", "sides = 1", "sides = 2", id="base class"),
    ],
)
def test_every_reached_edit_counts(hash_of, file, old, new):
    assert hash_of((file, old, new)) != hash_of()


WORDS = {
    "variable": [("wired", "total", "sums")],
    "loop": [("wired", "item", "entry")],
    "with": [("wired", "stream", "handle")],
    "except": [("wired", "error", "caught")],
    "comprehension": [("wired", "[value for value in MANY if value]", "[v for v in MANY if v]")],
    "lambda": [("wired", "lambda pair: -pair", "lambda p: -p")],
    "nested function": [("wired", "nested(", "inner(")],
    "match": [("wired", "first", "head"), ("wired", "others", "tail"), ("wired", "left", "remainder")],
    "walrus": [("wired", "count", "length")],
    "hint": [("wired", "total: int = 0", "total = 0")],
    "name of a foreign import": [("wired", "down", "below")],
    "name of an import": [("wired", "import shapes", "import shapes as forms"), ("wired", "shapes.B", "forms.B")],
    "name of a constant": [("wired", "LOW", "LOWEST")],
    "name of a function": [("main", "near", "close")],
    "name of a class": [("main", "Circle", "Disc"), ("shapes", "Circle", "Disc")],
    "another module": [
        ("helpers", "def direct(x):\n    return x\n", ""),
        ("new", "", "def direct(x):\n    return x\n"),
        ("main", "SIZE, direct as renamed", "SIZE\nfrom pack.new import direct as renamed"),
    ],
    "another module, by attribute": [
        ("deep", "DEPTH = 1\n", ""),
        ("new", "", "DEPTH = 1\n"),
        ("helpers", "from pack.deep import DEPTH as LEVEL", "from pack import new"),
        ("helpers", "LEVEL", "new.DEPTH"),
        ("wired", "from pack.deep import DEPTH", "from pack.new import DEPTH"),
    ],
    "order": [
        ("main", "LIMIT = 3\n", ""),
        ("main", "UNUSED = 4\n", "UNUSED = 4\nLIMIT = 3\n"),
    ],
}


@pytest.mark.parametrize("edits", WORDS.values(), ids=WORDS)
def test_names_and_places_do_not_count(hash_of, edits):
    for start in {"wired", "main"}:
        assert hash_of(*edits, start=start) == hash_of(start=start)


MEANING = {
    "tuple of constants": ("wired", "LOW, HIGH = 1, 2", "LOW, HIGH = 1, 3"),
    "loop that fills": ("wired", "range(3)", "range(4)"),
    "method that fills": ("wired", "last=9", "last=8"),
    "sum that fills": ("wired", "STEPS += [HIGH]", "STEPS += [HIGH, 1]"),
    "item that is set": ("wired", "MANY[0] = 5", "MANY[0] = 6"),
    "condition": ("wired", "SIZE > 3", "SIZE > 4"),
    "either branch": ("wired", "DEEP = 2", "DEEP = 3"),
    "fallback of an import": ("wired", "missing = None", "missing = 'x'"),
    "effect of a module": ("wired", "NAMES = {}", "NAMES = {}\nmath.tau = 6"),
    "what is imported": ("wired", "import floor as down", "import ceil as down"),
    "import inside": ("deep", "DEPTH = 1", "DEPTH = 2"),
    "module imported inside": ("shapes", "sides = 1", "sides = 2"),
    "name of a parameter": ("wired", "scale", "factor"),
    "kind of a parameter": ("wired", "*rest, only=1", "only=1, *rest"),
    "default": ("wired", "scale=2", "scale=3"),
    "keyword's default": ("wired", "only=1", "only=2"),
    "nested function": ("wired", "part + total", "part - total"),
    "comprehension": ("wired", "if value]", "if not value]"),
    "lambda": ("wired", "-pair", "+pair"),
    "pattern": ("wired", '"key"', '"door"'),
    "two variables exchanged": ("wired", "total += item * scale", "item += total * scale"),
    "scope": ("wired", "        nonlocal total\n", "        total = 0\n"),
    "attribute": ("wired", "stream.read()", "stream.readline()"),
}


@pytest.mark.parametrize("edit", MEANING.values(), ids=MEANING)
def test_what_changes_a_result_counts(hash_of, edit):
    assert hash_of(edit, start="wired") != hash_of(start="wired")


def test_what_lies_beside_does_not_count_until_it_is_needed(hash_of, monkeypatch):
    edit = ("helpers", "return x + TABLE", "return x - TABLE")
    assert hash_of(edit) != hash_of()
    monkeypatch.setattr(source, "BESIDE", ("helpers",))
    assert hash_of(edit) == hash_of()
    assert hash_of(("main", "+ SIZE", "- SIZE")) != hash_of()


def test_a_package_that_imports_its_own_modules(hash_of):
    package = [("__init__", "", "from pack import deep\nfrom pack import helpers as more\n")]
    use = ("wired", "+ helpers.SIZE", "+ pack.deep.SHALLOW + pack.more.OTHER")
    package += [use, ("wired", "import math\n", "import math\n\nimport pack\n")]
    before = hash_of(*package, start="wired")
    assert hash_of(*package, ("deep", "SHALLOW = 0", "SHALLOW = 1"), start="wired") != before
    assert hash_of(*package, ("helpers", "OTHER = 2", "OTHER = 3"), start="wired") != before
    assert hash_of(*package, ("helpers", "return OTHER", "return 1"), start="wired") == before


def test_modules_that_import_each_other(hash_of):
    circle = [("deep", "", "from pack import helpers\n"), ("deep", "SHALLOW = 0", "SHALLOW = lambda: helpers.far(0)")]
    assert hash_of(*circle) == hash_of()
    asked = [
        *circle,
        ("helpers", "x + TABLE", "SHALLOW() + TABLE"),
        ("helpers", "SIZE = 5", "from pack.deep import SHALLOW\nSIZE = 5"),
    ]
    assert hash_of(*asked) != hash_of()


def test_training_reaches_what_decides_the_weights_and_not_what_draws_pictures():
    found = source.reached(training.train, losses.attentive, loading.Synthesis, loading.Batches)
    for name in (
        ("deblur.training", "_optimiser"),
        ("deblur.training", "_update"),
        ("deblur.losses", "gradient_loss"),
        ("deblur.data.loading", "random_window"),
        ("deblur.data.scenes", "SCENES"),
        ("deblur.data.mini", "KIND_CYCLE"),
        ("deblur.data.scenes", "load_scene"),
        ("deblur.data.blur", "KINDS"),
        ("deblur.data.blur", "expose"),
        ("deblur.data.blur", "random_motion"),
    ):
        assert name in found
    assert not {module for module, _ in found} & {"deblur.figures", "deblur.tables", "deblur.metrics", "deblur.runs"}


def test_the_generator_of_the_benchmark_reaches_its_constants():
    found = {name for _, name in source.reached(mini.write_gopro)}
    assert {"SEED", "MARGIN", "PATH_PX", "FRAME_SIZE", "GOPRO_SEQUENCES", "GAMMA", "sample", "quantise"} <= found
    assert "ensure" not in found


def test_one_thread_parses_at_a_time(monkeypatch):
    parse, parsing = source.ast.parse, []

    def slow(*given, **named):
        parsing.append(1)
        assert len(parsing) == 1
        time.sleep(0.02)
        parsing.pop()
        return parse(*given, **named)

    monkeypatch.setattr(source.ast, "parse", slow)
    with ThreadPoolExecutor(4) as pool:
        assert len([*pool.map(source._Module, ["deblur.paths", "deblur.talk", "deblur.errors", "deblur.locks"])]) == 4
