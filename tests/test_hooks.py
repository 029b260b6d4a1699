"""The pre-commit hooks: what they mend in a commit, in a repository of their own."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml

from deblur import paths
from deblur.upkeep import notebooks as upkeep_notebooks

ROOT = paths.project_root()
CONFIG = ROOT / ".pre-commit-config.yaml"


@pytest.fixture
def repository(tmp_path):
    """An empty repository with this project's hooks, settings and programs."""
    root = tmp_path / "repository"
    (root / "notebooks").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    (root / ".venv").symlink_to(sys.prefix)
    (root / ".gitignore").write_text(".venv\n")
    for path in (CONFIG, ROOT / "pyproject.toml"):
        shutil.copy(path, root)
    return root


def run_hooks(root, *skipped):
    """Run all hooks on all files; nothing can be downloaded. The type check takes the whole package: it is left out."""
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    home = {"PRE_COMMIT_HOME": str(root.parent / "home"), "SKIP": ",".join(("mypy", *skipped))}
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    return subprocess.run(
        command, cwd=root, env={**os.environ, **offline, **home}, capture_output=True, text=True, check=False
    )


def stale_notebook():
    cells = [
        nbformat.v4.new_code_cell("x = 1\nx", execution_count=7, id="one"),
        nbformat.v4.new_code_cell("x  # NBVAL_CHECK_OUTPUT", execution_count=8, id="two"),
        nbformat.v4.new_markdown_cell("text", id="three", metadata={"jp-MarkdownHeadingCollapsed": True}),
    ]
    for cell in cells[:2]:
        result = nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=cell.execution_count)
        cell.outputs = [result]
        cell.metadata = {"execution": {"iopub.busy": "2020"}, "tags": ["kept"]}
    metadata = {"kernelspec": {"name": "mine", "display_name": "mine"}, "widgets": {"state": {}}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def test_a_stale_notebook_is_stripped_but_for_marked_cells(repository):
    path = repository / "notebooks" / "x.ipynb"
    nbformat.write(stale_notebook(), path)
    done = run_hooks(repository)
    assert done.returncode == 1
    assert "notebooks/x.ipynb: stale output removed" in done.stdout
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    assert [len(cell.get("outputs", [])) for cell in found.cells] == [0, 1, 0]
    assert [cell.get("execution_count") for cell in found.cells[:2]] == [None, 1]
    assert found.cells[1].outputs[0] == nbformat.v4.new_output("execute_result", {"text/plain": "1"})
    assert [cell.metadata for cell in found.cells] == [{"tags": ["kept"]}, {"tags": ["kept"]}, {}]
    assert set(found.metadata) == {"kernelspec", "language_info"}
    assert found.metadata.kernelspec.name == "python3"
    done = run_hooks(repository)
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_linted_and_formatted(repository):
    (repository / "bad.py").write_text("import os\nx = [ 1,2 ]\n")
    done = run_hooks(repository)
    assert done.returncode == 1
    assert (repository / "bad.py").read_text() == "\nx = [1, 2]\n".lstrip()


def test_committed_notebooks_are_left_alone(tmp_path):
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        copy = shutil.copy(path, tmp_path)
        assert not upkeep_notebooks.strip(tmp_path / path.name), path.name
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), copy


def test_stripping_changes_nothing_in_memory():
    content = json.loads(nbformat.writes(stale_notebook()))
    before = json.dumps(content)
    upkeep_notebooks.stripped(content)
    assert json.dumps(content) == before


def test_hooks_are_the_projects_own_programs_and_make_test_runs_them():
    hooks = [hook for repo in yaml.safe_load(CONFIG.read_text())["repos"] for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text()
    assert all(hook["language"] == "system" for hook in hooks)
    for program in ("ruff check", "ruff format", "mypy"):
        assert f"$(BIN)/{program}" in makefile
        assert any(hook["entry"].startswith(f".venv/bin/{program}") for hook in hooks)
