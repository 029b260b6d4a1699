"""Running the notebooks headlessly, and what their first and last cells need."""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from deblur import paths, recipes, tables
from deblur.complexity import device_name
from deblur.evaluation import summarise_protocol
from deblur.runs import Data, Run, protocol_scores, provenance

PAPERS = ("attentive", "radn", "simplenet", "sgenet", "raidnet")
NOTEBOOKS = (*PAPERS, "comparison")
EXPLORE = "explore"
"""The notebook for looking around: it has no tables, so `reproduce` leaves it out."""
PARAMETERS = {"scale": str, "data_root": str, "seed": int}
"""The parameters of every notebook and their types."""

WIDGET = "application/vnd.jupyter.widget-view+json"
_STARTED = time.time()


def check_parameters(namespace: Mapping[str, object]) -> dict[str, object]:
    """The notebook's parameters, checked: call it first, with `globals()`.

    papermill only warns of a name that the notebook does not know; here it is an error, since a misspelt parameter
    would otherwise leave a default in force.

    Raises:
        ValueError: for an unknown or mistyped parameter, listing the valid ones.
    """
    hidden = {"In", "Out", "exit", "quit", "open", "get_ipython"}
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in hidden
        and not isinstance(value, ModuleType | type)
        and not callable(value)
    }
    valid = ", ".join(f"{name} ({kind.__name__})" for name, kind in PARAMETERS.items())
    for name, value in given.items():
        if name not in PARAMETERS:
            raise ValueError(f"unknown parameter {name!r}; valid parameters: {valid}")
        if type(value) is not PARAMETERS[name]:
            raise ValueError(f"parameter {name}={value!r} must be a {PARAMETERS[name].__name__}; valid: {valid}")
    if given["scale"] not in recipes.SCALES:
        raise ValueError(f"parameter scale={given['scale']!r} must be one of {', '.join(recipes.SCALES)}")
    if given["scale"] == "paper" and not given["data_root"]:
        raise ValueError("scale 'paper' trains on the official data set: give data_root, the folder of GOPRO_Large")
    return given


def stamp(data: Data) -> str:
    """Where this notebook's numbers come from, as a line of Markdown."""
    origin = provenance()
    return (
        f"Commit `{origin['commit'][:10]}`{' **with uncommitted changes**' if origin['dirty'] else ''}, "
        f"torch {origin['versions']['torch']}, {device_name('cuda' if torch.cuda.is_available() else 'cpu')}; "
        f"data: {data.label}, fingerprint `{data.fingerprint}`."
    )


def outcome(main: Mapping[str, object], row: Mapping[str, object], pairs: int) -> str:
    """What came out of the main run and of the same network at the rows' budget, as a line of Markdown.

    Args:
        main, row: measurements; `pairs` is how many test pairs they are means over.
    """
    start = "gain_db_"
    kinds = [f"{name.removeprefix(start)} {value:+.2f} dB" for name, value in main.items() if name.startswith(start)]
    return (
        f"After {main['steps']} steps the network gains **{main['gain_db']:+.2f} dB** over the blurred input on "
        f"{pairs} held-out pairs ({', '.join(kinds) or 'kinds of blur unknown'}); rows were trained for "
        f"{row['steps']} steps each and gain {row['gain_db']:+.2f} dB with the full network."
    )


def measurement(
    summary: Mapping[str, float], run: Run, data: Data | None = None, protocol: str = "full_rgb8"
) -> dict[str, object]:
    """One measured row of a table: its scores, and where they come from.

    Args:
        data: what was scored, if not the data that the run was trained on.
    """
    plan = run.plan
    return dict(summary) | {
        "scale": plan.scale,
        "data": (data or plan.data).label,
        "protocol": protocol,
        "steps": plan.recipe.steps,
        "seed": plan.seed,
        "device": run.provenance["device"],
    }


def by_protocol(
    done: Mapping[str, Run], data: Data, protocol: str, limit: int | None = None
) -> tuple[dict[str, float], dict[str, dict[str, object]]]:
    """Scores on the test split of another benchmark, by its protocol.

    Args:
        done: method -> its run; `limit` scores so many images only.

    Returns:
        The summary of the blurred input, and one measurement a method with its gain over that.
    """
    # Side by side, one thread each, as trainings are: half of the scoring is NumPy's and OpenCV's work on one core.
    threads = 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        scores = pool.map(lambda run: protocol_scores(data, protocol, run, limit), [None, *done.values()])
        blurred, *summaries = (summarise_protocol(protocol, found) for found in scores)
    rows = {}
    for (method, run), summary in zip(done.items(), summaries, strict=True):
        gain = summary["psnr_db"] - blurred["psnr_db"]
        rows[method] = measurement(summary | {"gain_db": gain}, run, data, protocol)
    return blurred, rows


def finish(
    paper: str,
    scale: str,
    data: Data,
    runs: Sequence[Run],
    measurements: Sequence[Mapping[str, object]],
    promised: Sequence[str],
) -> Path:
    """Write `run.json` and assert that every promised table and figure was made, is finite and not blank.

    Args:
        runs: the main run first; `measurements` in the same order.
        promised: paths below the results folder.
    """
    folder = tables.folder(scale, paper)
    for name in promised:
        _assert_whole(folder / name)
    main = measurements[0]
    record = {
        "paper": paper,
        "scale": scale,
        "data": {"name": data.label, "fingerprint": data.fingerprint},
        "protocol": main["protocol"],
        "gain_db": main["gain_db"],
        "seconds": round(time.time() - _STARTED, 1),
        "provenance": provenance(),
        "runs": [
            {
                "paper": run.plan.paper,
                "trained_on": run.plan.data.name,
                "variant": run.plan.variant,
                "budget": run.plan.budget,
                "key": run.plan.key,
                "trained": run.provenance,
            }
            | ({"photographs": run.plan.content["photographs"]} if "photographs" in run.plan.content else {})
            | dict(measured)
            for run, measured in zip(runs, measurements, strict=True)
        ],
        "files": sorted(promised),
    }
    path = folder / "run.json"
    paths.write_text(path, json.dumps(record, indent=1) + "\n")
    return path


def _assert_whole(path: Path) -> None:
    """A table has rows and no infinite number; a figure opens and is not one colour."""
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        numbers = table.select_dtypes("number")
        if not len(table) or np.isinf(numbers.to_numpy(dtype=float)).any():
            raise AssertionError(f"{path.name} is empty or holds an infinite number")
    else:
        from PIL import Image

        extrema = Image.open(path).convert("L").getextrema()
        if extrema[0] == extrema[1]:
            raise AssertionError(f"{path.name} is blank")


def available() -> list[str]:
    """The notebooks with tables that exist: one a paper, and the comparison of all networks."""
    return [paper for paper in NOTEBOOKS if notebook_path(paper).is_file()]


def notebook_path(paper: str) -> Path:
    """The notebook of a paper."""
    return paths.project_root() / "notebooks" / f"{paper}.ipynb"


def reproduce(papers: Sequence[str], **parameters: object) -> list[Path]:
    """Execute notebooks with papermill in this interpreter's kernel; returns the executed copies under `results/`.

    A notebook that fails leaves its copy under the run store, and its exception names the cell.
    """
    from papermill import execute_notebook

    unknown = set(papers) - set(available())
    if unknown:
        raise ValueError(f"no notebook for {', '.join(sorted(unknown))}; there are {', '.join(available())}")
    executed = []
    for paper in papers:
        scale = str(parameters.get("scale", "mini"))
        draft = paths.runs_dir() / "notebooks" / f"{paper}-{scale}.ipynb"
        draft.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{draft}.lock"):  # a second call for the same notebook waits, and finds its trainings made
            execute_notebook(notebook_path(paper), draft, parameters, kernel_name="python3", log_output=False)
            executed.append(_deliver(draft, tables.folder(scale, paper) / f"{paper}.ipynb"))
    return executed


def _deliver(draft: Path, path: Path) -> Path:
    """Move an executed notebook to its place, without the paths of its machine and the remains of progress bars."""
    content = json.loads(draft.read_text(encoding="utf-8"))
    kept = {"parameters": content["metadata"].get("papermill", {}).get("parameters", {})}
    content["metadata"]["papermill"] = kept
    for cell in content["cells"]:
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if WIDGET not in output.get("data", {})]
    paths.write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    draft.unlink()
    return path


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
        paths.write_text(path, after)
    return after != before


def prepare(folder: Path, scale: str = "smoke") -> list[Path]:
    """Parameterised but not executed copies of all notebooks, for nbval, which cannot pass a parameter."""
    from papermill import execute_notebook

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copies = [folder / f"{name}.ipynb" for name in (*available(), EXPLORE)]
    for copy in copies:
        execute_notebook(notebook_path(copy.stem), copy, {"scale": scale}, prepare_only=True, progress_bar=False)
    return copies


if __name__ == "__main__":
    import sys

    if sys.argv[1] == "strip":  # the pre-commit hook
        changed = [name for name in sys.argv[2:] if strip(Path(name))]
        print(*(f"{name}: stale output removed" for name in changed), sep="\n")
        sys.exit(bool(changed))
    print(*prepare(Path(sys.argv[1])), sep="\n")
