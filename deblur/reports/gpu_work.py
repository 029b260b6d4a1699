"""What `gpu_check` does in its processes: tests, trainings of a few steps, exposures."""

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise, repeat
from typing import Any, NamedTuple

import torch
from filelock import FileLock
from lightning_fabric import Fabric
from torch import Tensor, nn

from deblur import losses, models, paths, recipes, schedules, training
from deblur.data import bench
from deblur.reports.gpu_jobs import AGAIN, FAILED, NOT_RUN, PASSED, RUNNING, Item, Row, Send, failure

STEPS, TIMED = 12, 7
"""Steps of a training here, and how many of them, the last, are timed."""
RATE = 1e-4
"""Learning rate at which every network's loss falls within these steps."""


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

    def pytest_runtest_call(self, item: Any) -> None:
        self.turn.acquire()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send(Item("test", nodeid), {"status": RUNNING})

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call":
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

    def finish(self, fabric: Fabric, state: dict, trained: nn.Module) -> None:
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
            values, row = _with_memory(train_few, item, source, turn, place)
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


def _with_memory(train: Callable[..., Any], item: Item, source: Any, turn: FileLock, place: Place) -> Any:
    """What `train` gives; where memory did not suffice, once more when it has its turn alone from the start."""
    try:
        return train(item, source, turn, place)
    except torch.OutOfMemoryError:
        turn.release(force=True)
    _tidy(place)
    turn.acquire()
    return train(item, source, turn, place)


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
            if step == (2 if mode.compile else 0) and not turn.is_locked:  # others have it while this one is compiled
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
