"""The wheel: what is in it, and that the package works from it alone, beside somebody else's project."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from stand import snapshot

from deblur import __version__, paths, tables
from deblur.data import debian
from deblur.weights import released

ROOT = paths.project_root()
BUNDLED = ("weights", "results/printed", "notebooks")

CALLS = """
import contextlib, io, json, sys
from deblur import cli, notebooks, paths, tables
from deblur.data import debian
from deblur.weights import released

def call(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(arguments)
        except SystemExit as stopped:
            status = stopped.code
    return status, out.getvalue(), err.getvalue()

said = {line: call(*line.split()) for line in sys.argv[1:]}
said["package"] = str(paths.PACKAGE)
said["cards"] = sorted(released.cards())
said["table"] = tables.printed("radn", 1).to_csv()
said["photographs"] = len(debian.listed())
said["notebooks"] = [notebooks.available(), str(notebooks.notebook_path("radn").parent)]
print(json.dumps(said))
"""
HELP, LIST, STATUS = "--help", "weights list", "status"
RESTORE = "restore blurred.png -o sharp.png --model simplenet"
UNKNOWN, WRITE, PLAN = "reproduce toy --scale smoke", "status --write", "plan radn --scale smoke --untimed"


def built(source, out, *targets):
    """Build what hatchling is asked for; nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out), *targets]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with the wheel and the source distribution."""
    return built(ROOT, tmp_path_factory.mktemp("dist"))


def names(folder):
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix() for p in found if not re.search(r"(^|/)(\.|__pycache__/)", p.as_posix())}


def test_a_wheel_holds_the_package_and_what_it_needs_and_nothing_else(dist):
    meta = f"deblur_papers-{__version__}.dist-info"
    wanted = {f"{meta}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    wanted |= {f"deblur/{name}" for name in files(ROOT / "deblur")}
    for folder in BUNDLED:
        inside = files(ROOT / folder)
        assert inside
        wanted |= {f"deblur/bundled/{folder}/{name}" for name in inside}
    wanted.add("deblur/bundled/results/accepted.csv")
    assert names(dist) == wanted


def test_the_source_distribution_builds_the_same_wheel(dist, tmp_path):
    (archive,) = dist.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    (source,) = tmp_path.iterdir()
    (source / "weights" / ".sgenet.lock").touch()  # what is hidden stays behind
    assert not {"tests", "benchmarks", "results/mini"} & {
        path.relative_to(source).as_posix() for path in source.rglob("*")
    }
    assert names(built(source, tmp_path / "again", "-t", "wheel")) == names(dist)


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """What an installed copy says: command -> status, output, errors; its folder of packages; its working folder."""
    root = tmp_path_factory.mktemp("installed")
    packages, folder, home = root / "packages", root / "folder", root / "home"
    folder.mkdir()
    (wheel,) = dist.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "pyproject.toml").write_text('[project]\nname = "theirs"\n')
    before = snapshot(packages / "deblur" / "bundled")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)).save(folder / "blurred.png")
    around = {name: value for name, value in os.environ.items() if not name.startswith(("DEBLUR_", "XDG_"))}
    around |= {"PYTHONPATH": str(packages), "HOME": str(home)}
    lines = (HELP, LIST, STATUS, RESTORE, UNKNOWN, WRITE, PLAN)
    done = subprocess.run(
        [sys.executable, "-c", CALLS, *lines], cwd=folder, env=around, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert snapshot(packages / "deblur" / "bundled") == before
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["package"] == str(packages / "deblur")
    return said, packages, folder, home


def test_an_installed_copy_has_what_it_brings(installed):
    said, packages, _, _ = installed
    assert said["cards"] == sorted(released.cards())
    assert said["table"] == tables.printed("radn", 1).to_csv()
    assert said["photographs"] == len(debian.listed())
    available, folder = said["notebooks"]
    assert {"radn", "comparison"} <= set(available)
    assert folder == str(packages / "deblur" / "bundled" / "notebooks")


def test_its_commands_work(installed):
    said, _, folder, _ = installed
    assert said[HELP][0] == 0
    status, out, _ = said[LIST]
    assert status == 0
    assert set(released.cards()) <= set(out.split())
    status, out, _ = said[STATUS]
    assert status == 0
    assert "| released network |" in out
    status, _, err = said[RESTORE]
    assert status == 0, err
    before, after = (np.asarray(Image.open(folder / name)) for name in ("blurred.png", "sharp.png"))
    assert after.shape == before.shape
    assert (after != before).any()


def test_what_it_makes_lies_where_the_system_has_a_place_for_it(installed):
    said, packages, folder, home = installed
    assert said[PLAN][0] == 0, said[PLAN][2]
    assert len([*home.rglob("deblur-papers/data/mini-gopro/manifest.json")]) == 1
    assert {path.name for path in folder.iterdir()} == {"blurred.png", "sharp.png"}
    assert len([*packages.iterdir()]) == 3  # the package, its metadata, their pyproject.toml


def test_what_it_cannot_do_it_says(installed):
    said, _, _, _ = installed
    assert said[UNKNOWN][0] == 2
    assert "choose one of attentive, radn" in said[UNKNOWN][2]
    assert said[WRITE][0] == 2
    assert "only in a checkout" in said[WRITE][2]
