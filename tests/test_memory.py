"""Free memory: the least of what the machine, each control group around this process, and its own limits leave."""

import errno
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from deblur import cli, memory
from deblur.photos import tiles
from deblur.runs import pool
from deblur.weights import released

MB = 1_000_000
CPU = torch.device("cpu")
LEVELS = ("", "pod", "pod/task")


@pytest.fixture
def no_limits(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def machine(proc, available=20_000 * MB, size=0, data=0):
    """What Linux tells about a machine and a process; sizes in bytes."""
    write(proc / "meminfo", f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable: {available // 1024} kB\n")
    page = os.sysconf("SC_PAGE_SIZE")
    write(proc / "self" / "statm", f"{size // page} 3 2 1 0 {data // page} 0\n")


class Version2:
    mount, line, unlimited = "", "0::/{}", "max"

    @staticmethod
    def group(folder, limit, used, files):
        write(folder / "memory.max", f"{limit}\n")
        write(folder / "memory.high", "max\n")
        write(folder / "memory.current", f"{used}\n")
        write(folder / "memory.stat", f"anon 5\nfile 9\ninactive_file {files - 7}\nactive_file 7\nslab 3\n")


class Hybrid(Version2):
    """Version 2 beside version 1, which has the other controllers."""

    mount, line = "unified", "3:cpu,cpuacct:/elsewhere\n1:name=systemd:/{}\n0::/{}"


class Version1:
    mount, line, unlimited = "memory", "9:cpuset:/\n4:memory:/{}\n2:cpu,cpuacct:/\n0::/", 9223372036854771712

    @staticmethod
    def group(folder, limit, used, files):
        write(folder / "memory.limit_in_bytes", f"{limit}\n")
        write(folder / "memory.usage_in_bytes", f"{used}\n")
        alone = f"inactive_file {999 * MB}\nactive_file {999 * MB}\n"  # does not count the groups below
        write(folder / "memory.stat", f"{alone}total_inactive_file {files - 7}\ntotal_active_file 7\n")


def groups(kind, folder, limits, used=300 * MB, files=100 * MB, path="pod/task"):
    """Control groups as Linux shows them; `limits` for each of `LEVELS`."""
    for level, limit in zip(LEVELS, limits, strict=True):
        kind.group(folder / "cgroup" / kind.mount / level, limit, used, files)
    write(folder / "proc" / "self" / "cgroup", kind.line.replace("{}", path) + "\n")


def usable(folder):
    return memory.usable_bytes(CPU, folder / "proc", folder / "cgroup")


@pytest.mark.parametrize("kind", [Version1, Version2, Hybrid])
@pytest.mark.parametrize("tightest", range(3))
@pytest.mark.parametrize("others", ["unlimited", "wider"])
def test_the_tightest_group_along_the_path_counts(kind, tightest, others, tmp_path, no_limits):
    machine(tmp_path / "proc")
    limits = [kind.unlimited if others == "unlimited" else 5000 * MB] * 3
    limits[tightest] = 1000 * MB
    groups(kind, tmp_path, limits)
    left = 1000 * MB - (300 - 100) * MB  # what is kept of files gives way
    assert usable(tmp_path) == 4 * left // 5


@pytest.mark.parametrize("kind", [Version1, Version2, Hybrid])
def test_groups_without_a_limit_or_beside_the_path_say_nothing(kind, tmp_path, no_limits):
    machine(tmp_path / "proc")
    groups(kind, tmp_path, [kind.unlimited] * 3)
    kind.group(tmp_path / "cgroup" / kind.mount / "other", MB, 0, 7)
    assert usable(tmp_path) == pytest.approx(10_000 * MB, abs=1024)


@pytest.mark.parametrize("kind", [Version1, Version2])
@pytest.mark.parametrize("path", ["docker/1f2e", "docker/1f2e/pod/task", "../../pod/task", "../other", ""])
def test_in_a_container_the_path_may_begin_outside(kind, path, tmp_path, no_limits):
    machine(tmp_path / "proc")
    groups(kind, tmp_path, [1000 * MB, kind.unlimited, kind.unlimited], path=path)
    assert usable(tmp_path) == 4 * 800 * MB // 5
    if path.endswith("pod/task"):
        groups(kind, tmp_path, [1000 * MB, 1000 * MB, 500 * MB], path=path)
        assert usable(tmp_path) == 4 * 300 * MB // 5


def test_a_group_that_is_slowed_down_before_it_is_full(tmp_path, no_limits):
    machine(tmp_path / "proc")
    groups(Version2, tmp_path, ["max", "max", 1000 * MB])
    write(tmp_path / "cgroup" / "pod" / "memory.high", f"{700 * MB}\n")
    assert usable(tmp_path) == 4 * 500 * MB // 5


def test_a_full_group_leaves_nothing_and_not_less(tmp_path, no_limits):
    machine(tmp_path / "proc")
    groups(Version2, tmp_path, ["max", "max", 100 * MB])
    assert usable(tmp_path) == 0
    assert tiles.largest_image() > 0


@pytest.mark.parametrize(("kind", "used"), [(resource.RLIMIT_AS, "size"), (resource.RLIMIT_DATA, "data")])
def test_limits_of_the_process(kind, used, tmp_path, monkeypatch):
    machine(tmp_path / "proc", **{used: 4096 * 1000})
    limits = {kind: (4096 * 1000 + 500 * MB, resource.RLIM_INFINITY)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits.get(kind, (resource.RLIM_INFINITY,) * 2))
    assert usable(tmp_path) == 4 * 500 * MB // 5


@pytest.mark.parametrize("limits", ["machine", "container", "process"])
def test_the_least_of_all_counts(limits, tmp_path, monkeypatch):
    left = {"machine": 3000 * MB, "container": 3000 * MB, "process": 3000 * MB} | {limits: 1000 * MB}
    machine(tmp_path / "proc", available=left["machine"])
    groups(Version2, tmp_path, ["max", left["container"], "max"], used=0, files=7)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (left["process"],) * 2)
    share = 0.5 if limits == "machine" else 0.8
    assert usable(tmp_path) == pytest.approx(share * 1000 * MB, abs=1024)


def test_where_the_system_does_not_tell(tmp_path, no_limits, monkeypatch):
    assert usable(tmp_path) == memory.UNKNOWN // 2 >= tiles.LIMIT
    write(tmp_path / "proc" / "meminfo", "MemTotal: 9 kB\nMemFree: 9 kB\n")  # before Linux 3.14
    assert usable(tmp_path) == memory.UNKNOWN // 2
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1000 * MB,) * 2)
    assert usable(tmp_path) == 800 * MB


def test_this_machine():
    usable = memory.usable_bytes(CPU)
    assert 0 < usable < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


# --------------------------------------------------------------------------------------------------- what libraries say


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError("[enforce fail at x.cpp:121] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("could not create a memory object"), True),
        (cv2.error("(-4:Insufficient memory) Failed to allocate 9 bytes in function 'OutOfMemoryError'"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOENT, "No such file"), False),
        (ValueError("not enough memory of this name"), False),
        (None, False),
    ],
)
def test_too_little_memory_is_known_whoever_says_it(error, short):
    assert memory.is_short(error) is short


def test_what_the_libraries_here_say_is_known():
    for ask in (
        lambda: torch.empty(1 << 50, dtype=torch.uint8),
        lambda: np.empty(1 << 50, np.uint8),
        lambda: bytearray(1 << 50),
    ):
        with pytest.raises((RuntimeError, MemoryError)) as found:
            ask()
        assert memory.is_short(found.value)


# ----------------------------------------------------------------------------------------------- restoring under limits


class Hungry(nn.Module):
    """Leaves an image as it is, and takes 258 features a pixel for it."""

    def forward(self, blurred):
        features = blurred.repeat(1, 86, 1, 1)
        return (features[:, -3:],)


SIZE = (1000, 1500)
"""Of photographs: the features of a whole one take 1.5 GB."""


def photographs(folder, count=3):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    folder.mkdir()
    for number in range(count):
        pixels = np.stack([rows % 256, columns % 256, np.full(SIZE, number)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)


def same(one, other):
    return np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


CHILD = """
import re, resource, sys
from dataclasses import replace
from pathlib import Path
import torch
from deblur import cli, memory
from deblur.photos import files, restoration, tiles
from deblur.weights import released
from tests.test_memory import Hungry
torch.set_num_threads(2)
tries, tiled = [], tiles.tiled
def counted(*given):
    tries.append(given[2])
    return tiled(*given)
tiles.tiled = counted
released.load = lambda name: Hungry()
read = files.read
files.read = lambda file: replace(read(file), tile=None)  # what a card asks for leaves memory no say
restoration.restore(torch.zeros(64, 64, 3, dtype=torch.uint8).numpy(), Hungry())
told = lambda name: 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = told("VmHWM")
def restored(out):
    del tries[:]
    status = cli.main(["restore", sys.argv[1], "-o", f"{sys.argv[2]}/{out}"])
    print(status, len(tries), min(tries), max(tries), told("VmHWM") - before)
"""


def restored_by_a_child(tmp_path, *limits):
    """Three photographs, once under each limit: the status, how often tiles were tried, their least and largest sides,
    and the most memory."""
    photographs(tmp_path / "in")
    script = CHILD + "".join(f"{limit}\nrestored({number})\n" for number, limit in enumerate(limits))
    command = [sys.executable, "-c", script, tmp_path / "in", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for number in range(len(limits)):
        assert all(same(path, tmp_path / "out" / str(number) / path.name) for path in (tmp_path / "in").iterdir())
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines() if line[0].isdigit()]


on_linux = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads Linux's account of memory")


@on_linux
def test_three_photographs_in_a_container_of_one_gigabyte(tmp_path):
    limits = ["usable = memory.usable_bytes"]
    for kind in (Version1, Version2):
        place = tmp_path / kind.__name__
        groups(kind, place, [kind.unlimited, 1000 * MB, kind.unlimited], used=0, files=7)
        machine(place / "proc")
        places = f"Path({str(place / 'proc')!r}), Path({str(place / 'cgroup')!r})"
        limits.append(f"memory.usable_bytes = lambda device: usable(device, {places})")
    limits[:2] = ["\n".join(limits[:2])]
    for status, tries, _, largest, peak in restored_by_a_child(tmp_path, *limits):
        assert (status, tries) == (0, 3)
        assert largest < max(SIZE)
        assert peak < 1000 * MB


UNDER_OWN_SIZE = """
size = told("VmSize") + 1_000_000_000
resource.setrlimit(resource.RLIMIT_AS, (size, size))
"""
LESS_THAN_THOUGHT = "tiles.LIMIT = 10**11; memory.usable_bytes = lambda device: 10**11"


@on_linux
def test_three_photographs_under_an_address_limit_of_one_gigabyte_more(tmp_path):
    """Also where less is left than was thought: smaller tiles are tried."""
    seen, unseen = restored_by_a_child(tmp_path, UNDER_OWN_SIZE, LESS_THAN_THOUGHT)
    status, tries, _, largest, peak = seen
    assert (status, tries) == (0, 3)
    assert largest < max(SIZE)
    assert peak < 1000 * MB
    status, tries, least, largest, _ = unseen
    assert status == 0
    assert tries > 3
    assert least < largest == max(SIZE)


def test_one_photograph_too_many_for_memory_does_not_end_the_others(tmp_path, monkeypatch, capsys):
    photographs(tmp_path / "in")
    tried, tiled = [], tiles.tiled

    def run(restore, image, tile, *rest):
        tried.append(tile)
        if image[0, 0, 2] == 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return tiled(restore, image, tile, *rest)

    monkeypatch.setattr(tiles, "tiled", run)
    monkeypatch.setattr(released, "load", lambda name: Hungry())
    assert cli.main(["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.png", "2.png"}
    said = capsys.readouterr().err
    assert f"{tmp_path / 'in' / '1.png'}: too little memory; close other programs" in said
    assert "2 restored, 1 failed, 0 skipped" in said
    sides = tried[1:-1]
    assert sides[-1] == tiles.smallest_tile()
    assert all(after == max(before // 2, sides[-1]) for before, after in pairwise(sides))


@pytest.mark.parametrize(("room", "expected"), [(1000 * MB, 2), (100 * MB, 1), (100_000 * MB, 8)])
def test_threads_are_spared_where_their_stacks_would_not_fit(room, expected, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: None)
    monkeypatch.setattr(memory, "_process", lambda statm: iter([room]))
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1 << 40, 1 << 40))
    memory.spare_threads()
    assert chosen == [expected]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    memory.spare_threads()
    assert chosen == [expected]


def faults():
    """How often the system gave a page while tensors came and went."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(2**24).fill_(1.0)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


KEEPING = """
from deblur import memory
from tests.test_memory import faults

first = faults()
kept = memory.keep_freed()
for _ in range(3):  # the heap grows to what is needed
    last = faults()
print(kept, last < first / 4)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library of Linux")
def test_what_tensors_leave_is_kept_for_the_next_ones():
    """In a process of its own: it holds until the program ends."""
    done = subprocess.run([sys.executable, "-c", KEEPING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library of Linux")
def test_workers_that_train_keep_it_too():
    context = multiprocessing.get_context("spawn")
    found = []
    for initializer, given in ((None, ()), (pool._start_worker, (context.Value("q", 0),))):
        with ProcessPoolExecutor(1, context, initializer=initializer, initargs=given) as workers:
            found.append([workers.submit(faults).result() for _ in range(4)][-1])
    assert found[1] < found[0] / 4


def test_another_c_library_keeps_its_ways(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert not memory.keep_freed()


def test_nothing_is_kept_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("the C library was asked"))
    monkeypatch.setattr(memory, "usable_bytes", lambda device: memory.PLENTY - 1)
    assert not memory.keep_freed()
