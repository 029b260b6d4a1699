"""Runs of the store, trained side by side where they are missing."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

import torch
from joblib import cpu_count
from tqdm.auto import tqdm

from deblur import memory, paths, recipes
from deblur.locks import locked
from deblur.runs.plan import Plan
from deblur.runs.progress import Trainings, tell
from deblur.runs.run import Run, is_complete
from deblur.runs.train import make


def load_or_run(
    plans: Sequence[Plan], processes: int | None = None, then: Callable[[Run], None] | None = None
) -> list[Run]:
    """The runs of `plans`, trained now where the store lacks them, with one bar over all steps.

    On a CPU as many runs go side by side as there are cores, one thread each: on small networks that does more work
    than one run with many threads, and the weights do not depend on the number of cores. On a GPU they go one by one.

    Args:
        then: what a worker does with each run as soon as it is there, those that were kept included.
    """
    in_order = sorted(plans, key=lambda plan: plan.budget == "main")  # of those that share a run, these ask for most
    missing = list({plan.key: plan for plan in in_order if then or not is_complete(plan)}.values())
    before = Trainings(kept=len({plan.key for plan in plans}) - len(missing), missing=len(missing))
    tell(before)
    if missing:
        if processes is None:
            processes = 1 if torch.cuda.is_available() else cpu_count()
        # Longest first, so that no core waits long at the end.
        missing.sort(key=_length, reverse=True)
        _train_in_processes(missing, min(processes, len(missing)), before, then)
    return [Run(plan) for plan in plans]


def _length(plan: Plan) -> float:
    """How long a training takes, next to others of its scale; a network that was never timed counts as the slowest."""
    return plan.recipe.steps / recipes.EQUAL_TIME.get(plan.name, min(recipes.EQUAL_TIME.values()))


def _train_in_processes(
    plans: list[Plan], processes: int, before: Trainings, then: Callable[[Run], None] | None
) -> None:
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    pool = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=(done,))
    bar = tqdm(
        total=sum(plan.recipe.steps for plan in plans),
        desc=f"{len(plans)} trainings",
        unit="step",
        mininterval=5,
    )
    try:
        with _deaf_children():
            pending = {pool.submit(_train_and_score, plan, then) for plan in plans}
        while pending:
            finished, pending = wait(pending, timeout=1)
            for future in finished:
                future.result()
            bar.update(done.value - bar.n)
            if finished:
                tell(before._replace(made=len(plans) - len(pending)))
    except BaseException as error:
        for process in list(pool._processes.values()):
            process.terminate()
        if isinstance(error, KeyboardInterrupt):
            kept = f"what was trained is kept in {paths.runs_dir()}; the same command goes on"
            raise KeyboardInterrupt(kept) from None
        raise
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that are started in the block never hear Ctrl-C, not even as they begin: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: each ignores it as soon as it runs
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_steps_done: "Synchronized[int] | None" = None


def _start_worker(done: "Synchronized[int]") -> None:
    """In a worker: one thread, memory that is kept, and a shared counter of steps for the parent's bar."""
    global _steps_done
    _steps_done = done
    memory.keep_freed()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would otherwise finish its run unseen and then wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in workers
    parent.join()
    os._exit(1)


def _counted(steps: range) -> Iterator[int]:
    for step in steps:
        yield step
        if _steps_done is not None:
            with _steps_done.get_lock():
                _steps_done.value += 1


def _train_and_score(plan: Plan, then: Callable[[Run], None] | None = None) -> None:
    """Make one run, or continue it; a second process that wants the same run waits and finds it made."""
    with locked(plan.folder / "lock"):
        if not is_complete(plan):
            make(plan, _counted)
        if then:
            then(Run(plan))
