"""What starts quickly: help and lists load none of the libraries that take seconds."""

import subprocess
import sys
from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest

from deblur import builds, cli, paths
from deblur.weights import cards, released

HEAVY = {"torch", "torchvision", "pandas", "numpy", "cv2", "matplotlib", "scipy"}
WEIGHTS = sorted(paths.weights_dir().glob("*.safetensors"))


def commands(parser, words=()):
    """Every command, those of commands included."""
    yield words
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for name, inner in action.choices.items():
                yield from commands(inner, (*words, name))


COMMANDS = [*commands(cli.parser())]


def loaded(code):
    """Which of the heavy libraries a new process has loaded when it has run some code."""
    shown = f"import sys\ntry:\n    {code}\nfinally:\n    print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert "LOADED " in done.stdout, done.returncode  # it may have been killed
    return HEAVY & {*done.stdout.rpartition("LOADED ")[2].split()}


def test_there_are_commands_to_ask():
    assert len(COMMANDS) > 15
    assert {("data", "bundled"), ("weights", "list"), ("restore",), ("status",)} < {*COMMANDS}


@pytest.mark.parametrize(
    "code",
    [
        "import deblur",
        "import deblur.cli",
        "from deblur import cli; cli.main([])",
        "from deblur import cli; cli.main(['--version'])",
        "from deblur import cli; cli.main(['weights', 'list'])",
        "from deblur import cli; cli.main(['weights', 'list', '--json'])",
        "from deblur import cli; cli.main(['train', 'rdan'])",
        "from deblur import cli; cli.main(['parts', 'rdan'])",
        "from deblur import cli; cli.main(['reproduce', 'radn', '--scale', 'x'])",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert loaded(code) == set()


def test_no_help_loads_anything_heavy():
    """All commands in one process; if one loads something, each is asked by itself which it is."""
    ask = "from deblur import cli\n    for command in {}:\n        try:\n            cli.main([*command, '--help'])\n"
    ask += "        except SystemExit as stopped:\n            assert not stopped.code"
    guilty = [command for command in COMMANDS if loaded(ask.format([command]))] if loaded(ask.format(COMMANDS)) else []
    assert not guilty


@pytest.mark.parametrize("code", ["from deblur import cli; cli.main(['status'])", "import deblur.tables"])
def test_tables_need_no_torch(code):
    assert "pandas" in loaded(code)
    assert not loaded(code) & {"torch", "torchvision", "cv2", "matplotlib", "scipy"}


def test_workers_that_paint_leaves_need_no_torch():
    assert not loaded("import deblur.data.leaves") & {"torch", "torchvision", "pandas", "matplotlib", "scipy"}


def test_networks_do_load_torch():
    assert "torch" in loaded("import deblur.models")


# -------------------------------------------------------------------------------------------------- torch, torchvision


class Installed:
    """A package as its metadata describe it."""

    def __init__(self, folder, name, version, requires=(), built=""):
        self.version, self.requires, self.folder = version, list(requires), folder
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "version.py").write_text(f"__version__ = '{version.partition('+')[0]}{built}'\n")

    def locate_file(self, name):
        return self.folder / name


@pytest.fixture
def install(tmp_path, monkeypatch):
    def install(torch, needs, torch_built="", vision_built=""):
        packages = {
            "torch": Installed(tmp_path, "torch", torch, (), torch_built),
            "torchvision": Installed(tmp_path, "torchvision", "0.28.0", ["numpy", needs], vision_built),
        }
        monkeypatch.setattr(builds, "distribution", packages.__getitem__)

    return install


@pytest.mark.parametrize("needs", ["torch (==2.13.0)", "torch==2.13.0", "torch == 2.13.0 ; python_version > '3'"])
def test_the_release_that_torchvision_names_counts(needs, install):
    install("2.13.0", needs)
    builds.check()
    install("2.13.0+cpu", needs)
    builds.check()
    install("2.12.1", needs)
    with pytest.raises(builds.MismatchError, match=r"torch 2\.12\.1, .*needs torch 2\.13\.0.*requirements\.lock"):
        builds.check()


def test_a_cpu_build_of_torch_beside_a_torchvision_for_cuda(install):
    install("2.13.0+cpu", "torch (==2.13.0)", "+cpu", "+cu130")
    with pytest.raises(builds.MismatchError, match="built for cpu and for cu130"):
        builds.check()
    for torch, vision in (("+cpu", "+cpu"), ("+cu130", "+cu130"), ("", "+cu130"), ("+cpu", "+a1b2c3d")):
        install("2.13.0", "torch (==2.13.0)", torch, vision)
        builds.check()


def test_where_nothing_is_told_nothing_is_refused(install, monkeypatch):
    install("2.12.1", "torch; extra == 'x'")
    builds.check()

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(builds, "distribution", missing)
    builds.check()


def test_a_mismatch_is_one_line_of_a_command(monkeypatch, capsys):
    def fail():
        raise builds.MismatchError("libtorch_cuda.so")

    monkeypatch.setattr(released, "at_hand", fail)
    assert cli.main(["weights", "list"]) == 1
    assert capsys.readouterr().err.startswith("deblur: torch and torchvision do not match (libtorch_cuda.so). Install")


def test_what_is_installed_here_belongs_together():
    assert isinstance(builds.distribution("torchvision").metadata, Message)
    builds.check()


# --------------------------------------------------------------------------------------------------------------- cards

LEAST = {"network": "radn", "variant": "paper", "sha256": "0"}
TILE = {"default": 256} | {key: {"256": 0.1} for key in cards.TILE_COLUMNS}


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_a_card_that_was_read_is_written_as_it_was(weights):
    assert cards.read(weights).text == cards.beside(weights).read_text(encoding="utf-8")


def test_there_are_five_cards():
    assert len(WEIGHTS) == 5


def test_what_a_card_leaves_out_stays_out_and_what_nobody_knows_stays_in():
    assert cards.parsed(LEAST).text == '{\n "network": "radn",\n "variant": "paper",\n "sha256": "0"\n}\n'
    later = LEAST | {"mood": ["é"], "limits": []}
    assert cards.parsed(later).more == {"mood": ["é"]}
    assert cards.parsed(later).text.endswith(' "limits": [],\n "mood": [\n  "é"\n ]\n}\n')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": 3}, "network is of another kind"),
        ({"parameters": "3"}, "parameters is of another kind"),
        ({"config": []}, "config is of another kind"),
        ({"scores": {"gain_db": "1"}}, "scores is of another kind"),
        ({"limits": [3]}, "limits is of another kind"),
        ({"recipe": {"steps": "many"}}, "recipe has steps of another kind"),
        ({"tile": []}, "tile is of another kind"),
        ({"tile": {"default": 256}}, "tile is of another kind"),
        ({"tile": TILE | {"default": "256"}}, "tile is of another kind"),
        ({"tile": TILE | {"levels": {"512": 0.1}}}, "tile is of another kind"),
        ({"tile": TILE | {"levels": {"256": "0.1"}}}, "tile is of another kind"),
        ({"tile": {key: {"a": 0.1} for key in TILE}}, "tile is of another kind"),
        ({"sha256": None}, "the card has no sha256"),
    ],
)
def test_an_entry_of_another_kind_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        cards.parsed(LEAST | change)


@pytest.mark.parametrize("content", [None, 3, "x", []])
def test_other_json_is_no_card(content):
    with pytest.raises(ValueError, match="no card, since no JSON object"):
        cards.parsed(content)
