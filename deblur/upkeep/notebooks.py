"""Notebooks as they are committed, and copies of them for nbval.

`python -m deblur.upkeep.notebooks FOLDER` writes the copies, `python -m deblur.upkeep.notebooks strip FILE ...` removes
output that is not to be committed.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from deblur import notebooks, paths, writing

CHECKED = "NBVAL_CHECK_OUTPUT"
"""What cells are marked with whose output is the same everywhere: it is committed, and compared by `make test`."""


def stripped(content: Mapping) -> dict:
    """A notebook as it is committed: without output, but for marked cells, and without what a session leaves behind."""
    cells = []
    for cell in content["cells"]:
        clean = dict(cell) | {
            "metadata": {name: cell["metadata"][name] for name in ("tags",) if name in cell["metadata"]}
        }
        if cell["cell_type"] == "code":
            kept = cell["outputs"] if CHECKED in "".join(cell["source"]) else []
            clean["outputs"] = [
                output | ({"execution_count": None} if "execution_count" in output else {}) for output in kept
            ]
            clean["execution_count"] = 1 if kept else None
        cells.append(clean)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return dict(content) | {"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}}


def strip(path: Path) -> bool:
    """Leave a notebook as it is committed, see `stripped`; returns whether it was not."""
    before = path.read_text(encoding="utf-8")
    after = json.dumps(stripped(json.loads(before)), indent=1, ensure_ascii=False) + "\n"
    if after != before:
        writing.write_text(path, after)
    return after != before


def prepare(folder: Path, scale: str = "smoke") -> list[Path]:
    """Parameterised but not executed copies of all notebooks, for nbval, which cannot pass a parameter.

    Raises:
        FileExistsError: if `folder` holds anything but earlier copies.
    """
    from papermill import execute_notebook

    names = (*notebooks.available(), notebooks.EXPLORE)
    with writing.delivering_folder(folder, writing.listed_in("manifest.json")) as draft:
        for name in names:
            copy = draft / f"{name}.ipynb"
            execute_notebook(
                notebooks.notebook_path(name), copy, {"scale": scale}, prepare_only=True, progress_bar=False
            )
        writing.write_text(draft / "manifest.json", json.dumps({"files": paths.hashes(draft)}, indent=1))
    return [folder / f"{name}.ipynb" for name in names]


if __name__ == "__main__":
    if sys.argv[1] == "strip":  # the pre-commit hook
        changed = [name for name in sys.argv[2:] if strip(Path(name))]
        print(*(f"{name}: stale output removed" for name in changed), sep="\n")
        sys.exit(bool(changed))
    print(*prepare(Path(sys.argv[1])), sep="\n")
