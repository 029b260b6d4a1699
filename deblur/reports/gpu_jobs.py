"""Jobs in processes of their own: one that crashes is named, and what it had not done yet is begun anew."""

import multiprocessing
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

PASSED, FAILED, NOT_RUN, RUNNING = "passed", "failed", "not run", "running"
AGAIN = 75
"""Exit status of a job that asks for a new process for the rest of its items."""


class Item(NamedTuple):
    """What passes or fails."""

    kind: str
    name: str
    mode: str = ""
    batch: int = 0
    crop: int = 0

    def __str__(self) -> str:
        size = f"{self.batch} x {self.crop} px" if self.crop else ""
        return " ".join(filter(None, (self.kind, self.name, self.mode, size)))


Row = dict[str, Any]
"""What is known of an item: `status`, and what was measured or went wrong."""
Send = Callable[[Item, Row], None]


@dataclass(frozen=True)
class Job:
    """Items that one process does in order.

    Attributes:
        work: sends a row of status `RUNNING` before each item and its result after; it may bring in more items.
    """

    items: tuple[Item, ...]
    work: Callable[[tuple[Item, ...], Send], None]


def failure(error: BaseException) -> Row:
    """The row of an item that raised."""
    message = f"{type(error).__name__}: {error}".split("\n")[0][:300]
    return {"status": FAILED, "message": message, "trace": "".join(traceback.format_exception(error))[-6000:]}


def everything(jobs: Sequence[Job], processes: int, deadline: float, hear: Send) -> dict[Item, Row]:
    """The row of each item.

    Args:
        processes: at once, at most.
        deadline: as `time.monotonic` counts; what runs then is stopped, and left as `NOT_RUN`.
        hear: is told each row as it comes, and at first that nothing is run.
    """
    rows: dict[Item, Row] = {}

    def note(item: Item, row: Row) -> None:
        rows[item] = row
        hear(item, row)

    for item in (item for job in jobs for item in job.items):
        note(item, {"status": NOT_RUN})
    waiting, running = deque(jobs), dict[Connection, tuple[Job, multiprocessing.Process]]()
    try:
        while (waiting or running) and (left := deadline - time.monotonic()) > 0:
            while waiting and len(running) < processes:
                job = waiting.popleft()
                pipe, process = _started(job)
                running[pipe] = job, process
            ready = wait(list(running), left)
            for pipe in [pipe for pipe in running if pipe in ready]:
                job, process = running[pipe]
                try:
                    item, row = pipe.recv()
                except (EOFError, OSError):
                    del running[pipe]
                    process.join()
                    waiting.extendleft(_left_by(job, rows, process.exitcode or 0, note))
                    continue
                if item not in job.items:
                    running[pipe] = replace(job, items=(*job.items, item)), process
                note(item, row)
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join(3)
            process.kill()
            process.join()
    for item, row in rows.items():
        if row["status"] == RUNNING:
            note(item, {"status": NOT_RUN, "message": "the time was over while it ran"})
    return rows


def _started(job: Job) -> tuple[Connection, multiprocessing.Process]:
    context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(job, theirs))
    process.start()
    theirs.close()
    return ours, process  # type: ignore[return-value]  # a process of that context


def _serve(job: Job, pipe: Connection) -> None:
    sys.stdout = sys.stderr  # the standard output is the table's
    multiprocessing.set_start_method(None, force=True)  # what it starts itself is started as by any command
    job.work(job.items, lambda item, row: pipe.send((item, row)))


def _left_by(job: Job, rows: dict[Item, Row], status: int, note: Send) -> list[Job]:
    """What a process that ended with `status` has not done, as a new job, if that can come further."""
    left = [item for item in job.items if rows[item]["status"] in (NOT_RUN, RUNNING)]
    if not left or status == 0:
        return []
    if status == AGAIN:
        return [replace(job, items=tuple(left))]
    ended = f"the process ended with {signal.Signals(-status).name if status < 0 else f'status {status}'}"
    begun = [item for item in left if rows[item]["status"] == RUNNING]
    guilty = (begun or left)[0]
    note(guilty, {"status": FAILED, "message": ended})
    rest = tuple(item for item in left if item != guilty)
    return [replace(job, items=rest)] if begun and rest else []
