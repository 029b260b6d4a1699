"""Whether everything works on an NVIDIA GPU, and how fast: one command, well under ten minutes.

`make gpu-check`, or `python -m deblur.reports.gpu_check`, runs `tests/test_cuda.py`, trains every network of the scale
`bench` for a few steps on one batch in several precisions, compiled too, and times the exposure of training crops. Each
row passes, fails with its reason while the rest goes on, or is `not run` when the time is over. A training passes if
its loss is finite, falls, and is near that of the first precision at its size. The rows go to the standard output, and
with traces, versions and driver into `gpu_check.csv` and `gpu_check.json`.

Exit status: 0 all passed; 1 not all did; 2 wrong use, or no GPU. `--device cpu --tiny` tries out the program itself.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise, repeat
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from filelock import FileLock
from joblib import cpu_count
from lightning_fabric import Fabric
from torch import Tensor

from deblur import losses, models, paths, recipes, schedules, talk, training, writing
from deblur.data import bench
from deblur.errors import UsageError, unknown
from deblur.evaluation.complexity import device_name
from deblur.notebooks import PAPERS
from deblur.reports.gpu_jobs import AGAIN, FAILED, NOT_RUN, PASSED, RUNNING, Item, Job, Row, Send, everything, failure
from deblur.runs.provenance import provenance

STEPS, TIMED = 12, 7
"""Steps of a training here, and how many of them, the last, are timed."""
RATE = 1e-4
"""Learning rate at which every network's loss falls within these steps."""
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


class Mode(NamedTuple):
    """How a training computes, and by which share its first and last loss may differ from the reference's."""

    tf32: bool
    precision: str
    compile: bool
    first: float
    last: float


MODES = {
    "fp32": Mode(False, "32-true", False, 0.001, 0.01),
    "tf32": Mode(True, "32-true", False, 0.01, 0.1),
    "bf16": Mode(True, "bf16-mixed", False, 0.05, 0.25),
    "compiled": Mode(True, "32-true", True, 0.01, 0.1),
    "compiled bf16": Mode(True, "bf16-mixed", True, 0.05, 0.25),
}


@dataclass(frozen=True)
class Place:
    """Where jobs compute.

    Attributes:
        turn: a file that is locked by the process whose turn on the device it is, so that times are its own.
        scale: of the networks.
    """

    device: str
    turn: str
    scale: str

    def synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


# --------------------------------------------------------------------------------------------------- tests


@dataclass(eq=False)  # pytest wants a hash
class Reporter:
    """A plugin of pytest that sends what becomes of each test."""

    first: Item
    send: Send
    turn: FileLock

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.send(self.first, {"status": FAILED, "message": "cannot be collected", "trace": report.longreprtext})

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.send(self.first, {"status": FAILED, "message": "pytest failed itself", "trace": str(excrepr)})

    def pytest_collection_finish(self, session: Any) -> None:
        for test in session.items:
            self.send(Item("test", test.nodeid), {"status": NOT_RUN})

    def pytest_runtest_setup(self, item: Any) -> None:
        self.turn.acquire()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send(Item("test", nodeid), {"status": RUNNING})

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "teardown":
            self.turn.release(force=True)
        if report.when == "call" or not report.passed:
            row: Row = {"status": PASSED, "first_step_seconds": round(report.duration, 3)}
            if report.failed:
                crash = getattr(report.longrepr, "reprcrash", None)
                message = (crash.message if crash else report.longreprtext).split("\n")[0][:300]
                row = {"status": FAILED, "message": message, "trace": report.longreprtext[-6000:]}
            elif report.skipped:
                row = {"status": NOT_RUN, "message": str(report.longrepr[-1])}
            self.send(Item("test", report.nodeid), row)


def run_tests(items: tuple[Item, ...], send: Send, place: Place) -> None:
    """Tests by name; a file brings in those in it."""
    import pytest

    os.chdir(paths.project_root())
    whole = "::" not in items[0].name
    if whole:
        send(items[0], {"status": RUNNING})
    options = ["--device", place.device, "-p", "no:cacheprovider", "--rootdir", ".", "-c", "pyproject.toml"]
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing):
        reporter = Reporter(items[0], send, FileLock(place.turn))
        status = pytest.main([*options, *(item.name for item in items)], plugins=[reporter])
    good = status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if whole and good:
        send(items[0], {"status": PASSED})


# ------------------------------------------------------------------------------------------------- trainings


@dataclass(frozen=True)
class OneBatch(bench.Batches):
    """The same crops in every step: what is learned of them shows soon, and drawing takes no time."""

    def loader(self, start: int, stop: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        return repeat(self.exposed(self.drawn(0)))


class Log:
    """A `training.Keeper` that keeps the log, in memory."""

    losses: list[float]

    def resume(self, fabric: Fabric, state: dict) -> None:
        pass

    def keep(self, fabric: Fabric, state: dict) -> None:
        pass

    def finish(self, fabric: Fabric, state: dict) -> None:
        self.losses = [row["loss"] for row in state["log"]]


def train_all(items: tuple[Item, ...], send: Send, place: Place) -> None:
    """Trainings of one network; the first at each size is the reference of the others."""
    torch.set_num_threads(1)
    if place.scale == "smoke":
        torch.compiler.set_stance("force_eager")  # compilers take minutes
    source, turn, reference = bench.Photographs(), FileLock(place.turn), dict[int, list[float]]()
    for item in items:
        send(item, {"status": RUNNING})
        try:
            values, row = train_few(item, source, turn, place)
            flaws = flawed(values, reference.setdefault(item.crop, values), MODES[item.mode])
            row |= {"status": FAILED if flaws else PASSED, "message": flaws}
        except torch.OutOfMemoryError as error:
            row = failure(error) | {"status": NOT_RUN}
        except Exception as error:
            row = failure(error)
        finally:
            turn.release(force=True)
        send(item, row)
        _tidy(place)


def train_few(item: Item, source: bench.Photographs, turn: FileLock, place: Place) -> tuple[list[float], Row]:
    """The losses of a training of `STEPS` steps by the loop that trains everything, and its row."""
    mode, log = MODES[item.mode], Log()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode.tf32
    recipe = replace(
        recipes.recipe(item.name, scale=place.scale),
        steps=100 * STEPS,  # of which it takes the first few: losses that change on the way stay what they are
        lr=RATE,
        batch=item.batch,
        crop=item.crop,
        precision=mode.precision,
        compile=mode.compile,
        log_every=1,
    )
    torch.manual_seed(0)
    network = models.build(item.name, **recipe.config)
    averaged = losses.geometric if recipe.data == "photographs" else losses.plain
    loss = averaged(partial(losses.LOSSES[recipe.loss], **recipe.loss_args))
    batches = OneBatch(source, recipe.crop, recipe.batch, 0, recipe.edge, device=place.device)
    fabric = Fabric(accelerator=place.device, devices=1, precision=mode.precision)  # type: ignore[arg-type]
    times: list[float] = []

    def clocked(steps: range) -> Iterator[int]:
        for step in islice(steps, STEPS):
            if step == (2 if mode.compile else 0):  # others may have their turn while this one is compiled
                turn.acquire()
            times.append(_now(place))
            yield step
        times.append(_now(place))

    if place.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    training.train(network, loss, schedules.constant, recipe, batches, log, fabric=fabric, progress=clocked)
    durations = [end - start for start, end in pairwise(times)]
    row = speed(statistics.median(durations[-TIMED:]), item) | {"first_step_seconds": round(durations[0], 2)}
    if place.device == "cuda":
        row["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return log.losses, row | {"first_loss": log.losses[0], "last_loss": log.losses[-1]}


def flawed(values: Sequence[float], reference: Sequence[float], mode: Mode) -> str:
    """What is wrong with the losses of a training, empty if nothing."""
    if min(values[STEPS // 2 :]) >= values[0]:
        return f"the loss does not fall: {', '.join(f'{value:.4g}' for value in values)}"
    for index, bound in ((0, mode.first), (-1, mode.last)):
        off = abs(values[index] / reference[index] - 1)
        if off > bound:
            step = range(len(values))[index] + 1
            return (
                f"the loss of step {step} is {values[index]:.5g}, {off:.1%} off the reference's {reference[index]:.5g}"
            )
    return ""


def speed(seconds: float, item: Item) -> Row:
    """How fast a step is that takes some seconds."""
    pixels = item.batch * item.crop**2 / 1e6
    return {"steps_per_second": round(1 / seconds, 2), "megapixels_per_second": round(pixels / seconds, 3)}


def _now(place: Place) -> float:
    place.synchronise()
    return time.perf_counter()


def _tidy(place: Place) -> None:
    """Leave the device to others; a device that is out of order asks for a new process."""
    torch._dynamo.reset()
    gc.collect()
    try:
        place.synchronise()
        torch.cuda.empty_cache()
    except RuntimeError:
        os._exit(AGAIN)


# ------------------------------------------------------------------------------------------------- exposures


def expose_all(items: tuple[Item, ...], send: Send, place: Place, count: int = 30) -> None:
    """Batches of training crops, drawn by so many workers and exposed on the device: `count` of them are timed."""
    source = bench.Photographs()
    torch.zeros(1, device=place.device)  # as in a training, where the device is in use before
    for item in items:
        send(item, {"status": RUNNING})
        try:
            workers = int(item.mode.split()[0])
            how = (source, item.crop, item.batch, 0, 0.25, ("flip_ud", "flip_lr", "rot90"))
            loader = bench.Batches(*how, device=place.device).loader(0, count + max(3, 2 * workers), workers)
            for _ in range(max(3, 2 * workers)):  # what workers had prepared is not counted
                next(loader)
            start = _now(place)
            for _ in range(count):
                next(loader)
            row = {"status": PASSED} | speed((_now(place) - start) / count, item)
        except Exception as error:
            row = failure(error)
        send(item, row)


# ------------------------------------------------------------------------------------------------------ all


def jobs(networks: Iterable[str], place: Place, workers: Iterable[int]) -> tuple[list[Job], Job]:
    """What is done side by side, the five papers first, and what is done alone after."""
    trainings, sizes = [], dict[tuple[int, int], None]()
    for name in networks:
        recipe = recipes.recipe(name, scale=place.scale)
        small, large = (recipe.batch, recipe.crop), LARGE if place.scale == "bench" else (2 * recipe.batch, 40)
        cases = [(mode, *small) for mode in ("fp32", "tf32", "bf16")] + [(mode, *large) for mode in ("tf32", "bf16")]
        cases += [("compiled", *large)]
        if name in PAPERS:
            cases += [("compiled bf16", *large), ("compiled", *small), ("fp32", *large)]
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


def check(
    networks: Sequence[str], device: str, out: Path, seconds: float, processes: int, hear: Callable[..., None] = print
) -> int:
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
    hear(report.printed())
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
