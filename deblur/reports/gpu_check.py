"""Whether everything works on an NVIDIA GPU, and how fast: one command, well under ten minutes.

`make gpu-check`, or `python -m deblur.reports.gpu_check`, runs `tests/test_cuda.py`, trains every network of the scale
`bench` for a few steps on one batch in several precisions, compiled too, and times the exposure of training crops. Each
row passes, fails with its reason while the rest goes on, or is `not run` when the time is over. A training passes if
its loss is finite, falls, and is near that of the first precision at its size. The rows go to the standard output, and
with traces, versions and driver into `gpu_check.csv` and `gpu_check.json`.

Exit status: 0 all passed; 1 not all did; 2 wrong use, or no GPU. `--device cpu --tiny` tries out the program itself.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from joblib import cpu_count

from deblur import models, recipes, talk, writing
from deblur.errors import UsageError, unknown
from deblur.evaluation.complexity import device_name
from deblur.notebooks import PAPERS
from deblur.reports.gpu_jobs import FAILED, NOT_RUN, PASSED, Item, Job, Row, everything
from deblur.reports.gpu_work import Place, expose_all, run_tests, train_all
from deblur.runs.provenance import provenance

LARGE = (16, 256)
"""Batch and crop (px) that fill a GPU."""
TESTS = "tests/test_cuda.py"
GIB_A_PROCESS = 5
"""Of the GPU's memory: its context, code, and a training that waits for its turn."""
NO_GPU = (
    "no CUDA device is seen by torch {torch}. On a machine with an NVIDIA GPU look whether `nvidia-smi` shows it, and "
    "whether torch is a CUDA build that its driver can run (`make setup` brings one); `--device cpu --tiny` only tries "
    "out this program"
)


def jobs(networks: Iterable[str], place: Place, workers: Iterable[int]) -> tuple[list[Job], Job]:
    """What is done side by side, the five papers first, and what is done alone after."""
    trainings, sizes = [], dict[tuple[int, int], None]()
    for name in networks:
        recipe = recipes.recipe(name, scale=place.scale)
        small, large = (recipe.batch, recipe.crop), LARGE if place.scale == "bench" else (2 * recipe.batch, 40)
        cases = [(mode, *small) for mode in ("fp32", "tf32", "bf16")] + [(mode, *large) for mode in ("tf32", "bf16")]
        cases += [("compiled", *small)]
        if name in PAPERS:  # a large training keeps much memory while its backward pass is compiled
            cases += [("compiled bf16", *large), ("compiled", *large), ("fp32", *large)]
        sizes |= {small: None, large: None}
        trainings.append(Job(tuple(Item("training", name, *case) for case in cases), partial(train_all, place=place)))
    exposures = [Item("exposure", "crops", f"{n} workers", *size) for size in sizes for n in workers]
    tests = Job((Item("test", TESTS),), partial(run_tests, place=place))
    return [tests, *trainings], Job(tuple(exposures), partial(expose_all, place=place))


def about(device: str) -> dict[str, Any]:
    """Device, driver and versions."""
    content: dict[str, Any] = {"device": device_name(device), **provenance(), "cuda": torch.version.cuda}
    content["system"] = platform.platform()
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        content |= {
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "capability": f"{properties.major}.{properties.minor}",
            "cudnn": torch.backends.cudnn.version(),
            "driver": _driver(),
        }
    return content


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return None


COLUMNS = (
    "status",
    "steps_per_second",
    "megapixels_per_second",
    "peak_gib",
    "first_step_seconds",
    "first_loss",
    "last_loss",
    "message",
)


@dataclass
class Report:
    """The rows so far, on disk after each."""

    folder: Path
    about: dict[str, Any]
    started: float
    rows: dict[Item, Row]

    def hear(self, item: Item, row: Row) -> None:
        self.rows[item] = row
        if row["status"] in (PASSED, FAILED):
            message = f" ({row['message']})" if row.get("message") else ""
            if item.kind != "test" or row["status"] == FAILED:
                talk.say(f"{time.monotonic() - self.started:.0f} s: {item}: {row['status']}{message}")
            self.write()

    @property
    def counts(self) -> Counter:
        return Counter(row["status"] for row in self.rows.values())

    def write(self) -> None:
        rows = [{**item._asdict(), **row} for item, row in self.rows.items()]
        content = self.about | {"counts": dict(self.counts), "seconds": round(time.monotonic() - self.started, 1)}
        writing.write_text(self.folder / "gpu_check.json", json.dumps(content | {"rows": rows}, indent=1))
        table = pd.DataFrame(rows).reindex(columns=[*Item._fields, *COLUMNS])
        writing.write_text(self.folder / "gpu_check.csv", table.to_csv(index=False))

    def printed(self) -> str:
        """A table of what was measured, lines of what failed or was not run, and the counts."""
        shown = COLUMNS[:-1]
        measured = [
            (*item[1:3], f"{item.batch} x {item.crop}", *(_cell(row.get(name)) for name in shown))
            for item, row in self.rows.items()
            if item.kind != "test"
        ]
        titles = ("name", "mode", "batch", "status", "steps/s", "MP/s", "peak GiB", "first step s", "loss", "last loss")
        lines = [talk.table(titles, measured)] if measured else []
        for status in (FAILED, NOT_RUN):
            lines += [
                f"{status}: {item}  {row.get('message', '')}".rstrip()
                for item, row in self.rows.items()
                if row["status"] == status
            ]
        tests = Counter(row["status"] for item, row in self.rows.items() if item.kind == "test")
        lines += [", ".join(f"{key} {value}" for key, value in self.about.items() if not isinstance(value, dict))]
        lines += [f"tests: {_counted(tests)}", f"all: {_counted(self.counts)}, {time.monotonic() - self.started:.0f} s"]
        return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str("-" if value is None else value)


def _counted(counts: Counter) -> str:
    return ", ".join(f"{counts[status]} {status}" for status in (PASSED, FAILED, NOT_RUN))


def check(networks: Sequence[str], device: str, out: Path, seconds: float, processes: int) -> int:
    """All of it; returns the exit status, see above."""
    started = time.monotonic()
    deadline = started + seconds
    report = Report(out, about(device), started, {})
    tiny = device == "cpu"
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # the processes are side by side as it is
    with tempfile.TemporaryDirectory() as folder:
        place = Place(device, str(Path(folder, "turn")), "smoke" if tiny else "bench")
        together, alone = jobs(networks, place, (0, 2) if tiny else (0, min(8, cpu_count())))
        for part, at_once in ((together, processes), ([alone], 1)):
            everything(part, at_once, deadline, report.hear)
    report.write()
    print(report.printed())
    return 0 if set(report.counts) == {PASSED} else 1


def fitting(device: str) -> int:
    """Processes that the machine's cores and the GPU's memory hold at once."""
    if device == "cpu":
        return cpu_count()
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return int(max(1, min(cpu_count() - 2, memory / GIB_A_PROCESS)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="networks of scale smoke, for --device cpu")
    parser.add_argument("--networks", nargs="+", default=[*PAPERS, *(n for n in models.NETWORKS if n not in PAPERS)])
    parser.add_argument("--seconds", type=float, default=540, help="then the rest is not run (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=0, help="at once (default: what the machine holds)")
    parser.add_argument("--out", type=Path, default=Path("build", "gpu-check"), help="folder (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        for name in given.networks:
            if name not in models.NETWORKS:
                raise unknown("network", name, models.NETWORKS)
        if (given.device == "cpu") != given.tiny:
            raise UsageError("--device cpu and --tiny go together: whole networks take a CPU hours")
        if given.device == "cuda" and not torch.cuda.is_available():
            raise UsageError(NO_GPU.format(torch=torch.__version__))
        processes = given.processes or fitting(given.device)
        return check(given.networks, given.device, given.out, given.seconds, processes)
    except UsageError as error:
        talk.say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
