"""Running the notebooks headlessly, and what their first and last cells need."""

import ast
import hashlib
import json
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count
from tqdm.auto import tqdm

from deblur import paths, recipes, tables, writing
from deblur.columns import number
from deblur.data.copies import Data, open_data
from deblur.errors import UsageError, alternatives
from deblur.evaluation import summarise_protocol
from deblur.evaluation.complexity import device_name, on_meta, parameters
from deblur.locks import locked
from deblur.runs import Run, protocol_scores
from deblur.runs.progress import Trainings, heard
from deblur.runs.provenance import provenance
from deblur.talk import duration

PAPERS = ("attentive", "radn", "simplenet", "sgenet", "raidnet")
NOTEBOOKS = (*PAPERS, "comparison")
EXPLORE = "explore"
"""The notebook for looking around: it has no tables, so `reproduce` leaves it out."""
PARAMETERS = {"scale": str, "data_root": str, "seed": int}
"""The parameters of every notebook and their types."""

WIDGET = "application/vnd.jupyter.widget-view+json"
_STARTED = time.time()


INJECTED = "# Parameters"
"""How the cell begins in which papermill puts what it was given."""


def check_parameters(namespace: Mapping[str, object]) -> dict[str, object]:
    """The notebook's parameters, checked: call it first, with `globals()`. What was made before is forgotten.

    papermill only warns of a name that the notebook does not know; here it is an error, since a misspelt parameter
    would otherwise leave a default in force. Other names are the notebook's own, as of an earlier run in this kernel.

    Raises:
        ValueError: for an unknown, missing or mistyped parameter, listing the valid ones.
    """
    valid = ", ".join(f"{name} ({kind.__name__})" for name, kind in PARAMETERS.items())
    for name in _injected(namespace.get("In", ())):
        if name not in PARAMETERS:
            raise ValueError(f"unknown parameter {name!r}; valid parameters: {valid}")
    missing = [name for name in PARAMETERS if name not in namespace]
    if missing:
        raise ValueError(f"parameter {missing[0]!r} is not set: run the cell above that sets it; valid: {valid}")
    given = {name: namespace[name] for name in PARAMETERS}
    for name, value in given.items():
        if type(value) is not PARAMETERS[name]:
            raise ValueError(f"parameter {name}={value!r} must be a {PARAMETERS[name].__name__}; valid: {valid}")
    if given["scale"] not in recipes.SCALES:
        raise ValueError(f"parameter scale={given['scale']!r} must be one of {', '.join(recipes.SCALES)}")
    if given["scale"] == "paper" and not given["data_root"]:
        raise ValueError("scale 'paper' trains on the official data set: give data_root, the folder of GOPRO_Large")
    tables.start_anew()
    return given


def _injected(cells: Any) -> list[str]:
    """The names that papermill set, of a kernel's history of cells."""
    trees = [ast.parse(cell) for cell in cells if cell.startswith(INJECTED)]
    return [node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)]


def place(scale: str, paper: str, data: Data, seed: int) -> Path:
    """Where results lie: `results/<scale>/<paper>`, and beside it those of another seed or of other data."""
    own = data.bundled != ("bench" if scale == "bench" else "mini") or data.subset != "blur"
    parts = [paper, *([f"seed{seed}"] if seed else [])]
    parts += [data.fingerprint[:8], *([] if data.subset == "blur" else [data.subset])] if own else []
    return paths.results_dir() / scale / "-".join(parts)


def provenance_note(data: Data | None = None) -> str:
    """Where this notebook's numbers come from, as a line of Markdown: code, machine and, where it is used, data."""
    origin = provenance()
    used = "" if data is None else f"; data: {data.label}, fingerprint `{data.fingerprint}`"
    return (
        f"Commit `{(origin['commit'] or 'unknown')[:10]}`{' **with uncommitted changes**' if origin['dirty'] else ''}, "
        f"torch {origin['versions']['torch']}, {device_name('cuda' if torch.cuda.is_available() else 'cpu')}{used}."
    )


def outcome(main: Mapping[str, object], row: Mapping[str, object], pairs: int) -> str:
    """What came out of the main run and of the same network at the rows' budget, as a line of Markdown.

    Args:
        main, row: measurements; `pairs` is how many test pairs they are means over.
    """

    def gain(values: Mapping[str, Any], name: str = "gain_db") -> str:
        return f"{number(values[name], 2, signed=True)} dB"

    start = "gain_db_"
    kinds = [f"{name.removeprefix(start)} {gain(main, name)}" for name in main if name.startswith(start)]
    return (
        f"After {main['steps']:,} steps the network gains **{gain(main)}** over the blurred input on "
        f"{pairs} held-out pairs ({', '.join(kinds) or 'kinds of blur unknown'}); rows were trained for "
        f"{row['steps']:,} steps each and gain {gain(row)} with the full network."
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
        "trained_parameters": parameters(on_meta(plan.name, plan.variant, **plan.recipe.config)),
        "scale": plan.scale,
        "data": (data or plan.data).label,
        "protocol": protocol,
        "steps": plan.steps,
        "seed": plan.seed,
        "device": run.provenance["device"],
    }


def side_by_side(scores: Mapping[str, Callable[[], pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Tables that are computed at once, one thread each: method -> what gives its scores."""
    # As trainings are: half of the scoring is NumPy's and OpenCV's work on one core.
    threads = 1 if torch.cuda.is_available() else cpu_count()
    with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        return dict(zip(scores, pool.map(lambda score: score(), scores.values()), strict=True))


def by_protocol(
    done: Mapping[str, Run], data: Data, protocol: str, limit: int | None = None
) -> tuple[dict[str, float], dict[str, dict[str, object]]]:
    """Scores on the test split of another benchmark, by its protocol.

    Args:
        done: method -> its run; `limit` scores so many images only.

    Returns:
        The summary of the blurred input, and one measurement a method with its gain over that.
    """
    asked = {"blurred": None} | dict(done)
    scores = side_by_side({name: partial(protocol_scores, data, protocol, run, limit) for name, run in asked.items()})
    blurred, *summaries = (summarise_protocol(protocol, table) for table in scores.values())
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
    """Assert that every promised table and figure was made, is finite and not blank; put all, whole, in their place.

    Args:
        runs: the main run first; `measurements` in the same order.
        promised: paths below the results folder.

    Returns:
        The `run.json` there: what was measured, and the hash of every file.

    Raises:
        OSError: if files are in that place that an earlier call did not write.
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
                "paper": run.plan.name,
                "trained_on": " + ".join(part.name for part in (run.plan.data, *run.plan.data.more)),
                "variant": run.plan.variant,
                "budget": run.plan.budget,
                "key": run.plan.key,
                "trained": run.provenance,
            }
            | {name: run.plan.content[name] for name in ("photographs", "pretrained") if name in run.plan.content}
            | ({"options": dict(run.plan.options)} if run.plan.options else {})
            | dict(measured)
            for run, measured in zip(runs, measurements, strict=True)
        ],
        "files": paths.hashes(folder),
    }
    to = place(scale, paper, data, runs[0].plan.seed)
    with writing.delivering_folder(to, tables.listed) as draft:
        shutil.copytree(folder, draft, dirs_exist_ok=True)
        writing.write_text(draft / "run.json", json.dumps(record, indent=1) + "\n")
    return to / "run.json"


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
    return paths.notebooks_dir() / f"{paper}.ipynb"


def reproduce(papers: Sequence[str], say: Callable[[str], None] = lambda _: None, **parameters: object) -> list[Path]:
    """Execute notebooks with papermill in this interpreter's kernel; returns the executed copies under `results/`.

    A notebook that fails leaves its copy under the run store, and its exception names the cell. What was there before
    stays until all is made.

    Args:
        say: is told of each notebook, when it begins and when its results are there.

    Raises:
        FileNotFoundError: if there are no notebooks.
        FileExistsError: before anything runs, if files are in the way that an earlier call did not write.
    """
    from papermill import execute_notebook

    if not available():
        raise FileNotFoundError(f"{paths.notebooks_dir()} holds no notebooks: there is nothing to run")
    astray = [paper for paper in papers if paper not in available()]
    if astray:
        raise UsageError(f"no notebook for {', '.join(astray)}; {alternatives(astray[0], available())}")
    scale, seed = str(parameters.get("scale", "mini")), int(str(parameters.get("seed", 0)))
    data = open_data(str(parameters.get("data_root", "")), scale=scale)
    places = {paper: place(scale, paper, data, seed) for paper in papers}
    for folder in places.values():
        writing.check_folder(folder, tables.listed)
    for name in ("papermill", "asyncio"):  # what goes wrong is raised; what is cut off by Ctrl-C is nobody's concern
        logging.getLogger(name).setLevel(logging.CRITICAL)
    executed = []
    for count, (paper, folder) in enumerate(places.items(), 1):
        title, started = f"{paper}, notebook {count} of {len(places)}", time.monotonic()
        draft = paths.runs_dir() / "notebooks" / f"{folder.name}-{scale}.ipynb"
        writing.check_file(draft, overwrite=True)
        writing.make_parent(draft)
        # A second call for the same notebook waits, and finds its trainings made.
        with locked(draft.with_name(f"{draft.name}.lock")), _stopped_in_words(), heard() as trainings:
            say(f"{title}: running at scale {scale} on {data.label}; results go to {folder}")
            with _counting(title, trainings):
                execute_notebook(notebook_path(paper), draft, parameters, **_quietly())
            executed.append(_deliver(draft, folder / f"{paper}.ipynb"))
            kept, _, made = trainings()
            said = f"{made} trainings made, {kept} kept from earlier calls"
            say(f"{title}: wrote tables, figures and notebook in {duration(time.monotonic() - started)}; {said}")
    return executed


def _quietly() -> dict[str, Any]:
    """How papermill runs a notebook: without its bar, since cells say little of what is left, one of them trains.

    What the kernel's process says beside its messages is of no use, and a traceback of it where Ctrl-C ends it.
    """
    from jupyter_client.manager import AsyncKernelManager

    class Kernel(AsyncKernelManager):
        def start_kernel(self, **options: Any) -> Any:
            return super().start_kernel(**options, stderr=subprocess.DEVNULL)

    return {"kernel_name": "python3", "log_output": False, "progress_bar": False, "kernel_manager_class": Kernel}


@contextmanager
def _counting(title: str, trainings: Callable[[], Trainings]) -> Iterator[None]:
    """The number of trainings that are made, on a terminal; no time is foretold, since they differ in length."""
    shown = tqdm(bar_format="{desc}; {elapsed} so far", desc=title, leave=False, disable=None)
    over = threading.Event()

    def look() -> None:
        while not over.wait(1):
            _, missing, made = trainings()
            shown.set_description_str(f"{title}: {made} of {missing} trainings made" if missing else title)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        shown.close()


@contextmanager
def _stopped_in_words() -> Iterator[None]:
    """Ctrl-C reaches the kernel too: its traceback, or the wait for it, becomes a sentence."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or getattr(error, "ename", "") == "KeyboardInterrupt":
            kept = f"what was trained is kept in {paths.runs_dir()}; the same command goes on"
            raise KeyboardInterrupt(kept) from None
        raise


def _deliver(draft: Path, path: Path) -> Path:
    """Move an executed notebook to its results, without the paths of its machine and the remains of progress bars."""
    content = json.loads(draft.read_text(encoding="utf-8"))
    kept = {"parameters": content["metadata"].get("papermill", {}).get("parameters", {})}
    content["metadata"]["papermill"] = kept
    for cell in content["cells"]:
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if WIDGET not in output.get("data", {})]
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    _add_to_record(path, text)
    with writing.delivering(path) as clean:
        clean.write_text(text, encoding="utf-8")
    draft.unlink()
    return path


def _add_to_record(path: Path, text: str) -> None:
    """List a file that is about to be written among the results beside it."""
    file = path.with_name("run.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    record["files"][path.name] = hashlib.sha256(text.encode()).hexdigest()
    writing.write_text(file, json.dumps(record, indent=1) + "\n")
