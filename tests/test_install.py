"""The files a bare machine is set up from agree with each other, and the package asks for no more than it needs."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from deblur import paths

ROOT = paths.project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def direct(*without):
    """What a set-up installs, but for some extras."""
    extras = {name: extra for name, extra in PROJECT["optional-dependencies"].items() if name not in without}
    lists = [PROJECT["dependencies"], *extras.values()]
    return {Requirement(line).name: Requirement(line) for lines in lists for line in lines}


def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_the_lock_pins_every_direct_dependency_within_its_range():
    pins = {}
    for requirement in locked():
        pins.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    for name, requirement in direct().items():
        assert name in pins, f"{name} is not pinned: run make lock"
        assert all(requirement.specifier.contains(version) for version in pins[name])


def test_the_lock_names_no_index_and_pins_exactly():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|--index|file:|@ ", text)
    assert all(str(requirement.specifier).startswith("==") for requirement in locked())


def test_environment_yml_names_the_same_direct_dependencies():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    named = {Requirement(line).name: Requirement(line) for line in pip if not line.startswith("-")}
    assert named == direct("cluster")  # for those who have one


def test_the_cluster_extra_brings_slurms_executor():
    names = {Requirement(line).name for line in PROJECT["optional-dependencies"]["cluster"]}
    assert names == {"snakemake", "snakemake-executor-plugin-slurm"}


def test_what_is_installed_is_told_by_its_own_name():
    """`deblur` on PyPI is another project."""
    assert PROJECT["name"] == paths.DISTRIBUTION
    files = (
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "workflow" / "Snakefile",
        *(ROOT / "deblur").rglob("*.py"),
    )
    told = {found for path in files for found in re.findall(r"([\w-]*deblur[\w-]*)\[(\w+)\]", path.read_text())}
    assert {name for name, _ in told} == {PROJECT["name"]}
    assert {extra for _, extra in told} == {"heif", "cluster"}
    assert {extra for _, extra in told} <= PROJECT["optional-dependencies"].keys()


def test_training_needs_no_jupyter_package():
    blocked = ["IPython", "papermill", "nbformat", "jupyterlab", "ipykernel", "ipywidgets", "nbval", "jinja2"]
    code = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\nimport deblur.cli, deblur.runs"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_torchvision_that_does_not_match_is_named_with_its_remedy():
    code = "import sys; sys.modules['torchvision'] = None; import deblur.models"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "torch and torchvision do not match" in done.stderr
    assert "requirements.lock" in done.stderr


def test_tables_and_figures_never_import_torch():
    code = (
        "import ast, pathlib, sys\n"
        "for path in [pathlib.Path('deblur/tables.py'), *pathlib.Path('deblur/figures').glob('*.py')]:\n"
        "    for node in ast.walk(ast.parse(path.read_text())):\n"
        "        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []\n"
        "        names += [node.module] if isinstance(node, ast.ImportFrom) else []\n"
        "        assert not any(name.split('.')[0] == 'torch' for name in names if name), path\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' torch has another OpenMP")
@pytest.mark.parametrize(
    ("own", "turns"), [({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_threads_do_not_wait_long_for_each_other_unless_told_to(own, turns):
    """OpenMP itself says what it read: the variable must be there before torch loads it."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", "import deblur, torch"]
    said = subprocess.run(command, env=known | own | {"OMP_DISPLAY_ENV": "verbose"}, capture_output=True, text=True)
    assert f"GOMP_SPINCOUNT = '{turns}'" in said.stderr
