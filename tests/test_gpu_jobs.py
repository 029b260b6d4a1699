"""Processes that crash, raise, bring in items or take too long: all is named, and the rest goes on."""

import os
import signal
import time
from functools import partial

import pytest

from deblur.reports import gpu_jobs
from deblur.reports.gpu_jobs import AGAIN, FAILED, NOT_RUN, PASSED, RUNNING, Item, Job, everything, failure


def work(items, send, does):
    """What each item does, by name."""
    for item in items:
        send(item, {"status": RUNNING})
        does.get(item.name, lambda: None)()
        send(item, {"status": PASSED, "process": os.getpid()})


def killed():
    os.kill(os.getpid(), signal.SIGSEGV)


def died():
    os._exit(3)


def slept():
    time.sleep(60)


def out_of_order(items, send):
    """A device that is out of order after each item."""
    send(items[0], {"status": PASSED, "process": os.getpid()})
    os._exit(AGAIN)


def never_begun(items, send):
    raise SystemExit(5)


def growing(items, send):
    send(items[0], {"status": PASSED})
    send(Item("test", "brought in"), {"status": PASSED})


def job(*names, **does):
    return Job(tuple(Item("test", name) for name in names), partial(work, does=does))


def run(*jobs, processes=2, seconds=100.0):
    heard = []
    rows = everything(jobs, processes, time.monotonic() + seconds, lambda item, row: heard.append((item, row)))
    assert dict(heard) == rows
    return {item.name: row for item, row in rows.items()}


def test_a_crash_is_named_and_the_rest_goes_on_in_another_process():
    rows = run(job("a", "b", "c", "d", b=killed, c=died), job("e"))
    assert [rows[name]["status"] for name in "abcde"] == [PASSED, FAILED, FAILED, PASSED, PASSED]
    assert rows["b"]["message"] == "the process ended with SIGSEGV"
    assert rows["c"]["message"] == "the process ended with status 3"
    assert len({rows[name]["process"] for name in "ade"}) == 3


def test_a_job_that_cannot_begin_is_not_tried_for_ever():
    rows = run(Job((Item("test", "a"), Item("test", "b")), never_begun))
    assert rows == {"a": {"status": FAILED, "message": "the process ended with status 5"}, "b": {"status": NOT_RUN}}


def test_a_job_may_ask_for_a_new_process():
    rows = run(Job((Item("test", "a"), Item("test", "b")), out_of_order))
    assert [row["status"] for row in rows.values()] == [PASSED, PASSED]
    assert rows["a"]["process"] != rows["b"]["process"]


def test_items_are_brought_in():
    assert list(run(Job((Item("test", "a"),), growing))) == ["a", "brought in"]


def test_what_the_time_does_not_allow_is_not_run():
    begun = time.monotonic()
    rows = run(job("a", "b", b=slept), job("c"), processes=1, seconds=3)
    assert time.monotonic() - begun < 20
    assert rows["b"]["status"] == rows["c"]["status"] == NOT_RUN
    assert rows["b"]["message"] == "the time was over while it ran" or rows["a"]["status"] == NOT_RUN


def test_a_failure_keeps_its_trace():
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    row = failure(caught.value)
    assert row["status"] == FAILED
    assert row["message"] == "ZeroDivisionError: division by zero"
    assert "test_gpu_jobs.py" in row["trace"]
    assert str(gpu_jobs.Item("training", "radn", "bf16", 16, 256)) == "training radn bf16 16 x 256 px"
