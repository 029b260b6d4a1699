"""What a code hash sees, on a small package written for the purpose, and on this one."""

import importlib
import sys

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
FILES = {"main": MAIN, "helpers": HELPERS, "shapes": SHAPES, "deep": "DEPTH = 1\nSHALLOW = 0\n"}


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

    def hash_of(file="main", old="", new=""):
        folder = tmp_path / "pack"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        assert old in FILES[file]
        for name, text in FILES.items():
            (folder / f"{name}.py").write_text(text.replace(old, new, 1) if name == file and old else text)
        forget()
        return source.code_hash(importlib.import_module("pack.main").train)

    yield hash_of
    forget()


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
    assert hash_of(file, old, new) == hash_of()


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
    assert hash_of(file, old, new) != hash_of()


def reached(*objects):
    """The definitions that a hash covers, caught where they are written into the digest."""
    found = set()
    real = source._references
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_references", lambda *where: found.add(where) or real(*where))
        source.code_hash(*objects)
    return found


def test_training_reaches_what_decides_the_weights_and_not_what_draws_pictures():
    found = reached(training.train, losses.attentive, loading.Synthesis, loading.Batches)
    for name in (
        ("deblur.training", "_optimiser"),
        ("deblur.training", "_update"),
        ("deblur.losses", "gradient_loss"),
        ("deblur.data.loading", "random_window"),
        ("deblur.data.mini", "SCENES"),
        ("deblur.data.mini", "KIND_CYCLE"),
        ("deblur.data.mini", "load_scene"),
        ("deblur.data.blur", "KINDS"),
        ("deblur.data.blur", "expose"),
        ("deblur.data.blur", "random_motion"),
    ):
        assert name in found
    assert not {module for module, _ in found} & {"deblur.figures", "deblur.tables", "deblur.metrics", "deblur.runs"}


def test_the_generator_of_the_benchmark_reaches_its_constants():
    found = {name for _, name in reached(mini.write_gopro)}
    assert {"SEED", "MARGIN", "PATH_PX", "FRAME_SIZE", "GOPRO_SEQUENCES", "GAMMA", "sample", "quantise"} <= found
    assert "ensure" not in found
