"""How much memory this program can still take: of the machine, its container and its own limits, and of a GPU."""

import ctypes
import errno
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch

try:
    import resource
except ImportError:  # Windows sets no such limits
    resource = None  # type: ignore[assignment]

UNKNOWN = 6_000_000_000
"""Bytes that are taken to be free where the system does not say, as on macOS."""

THREAD = 80_000_000
"""Bytes of addresses that a thread reserves: its stack, and a heap of its own. Measured on Linux."""

KEPT = 2**30
"""Bytes of one piece of memory that is kept for the next tensor."""

PLENTY = 4 * KEPT
"""Bytes that must be free for memory to be kept."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""What `mallopt` sets, by the numbers of malloc.h."""

SHORT = re.compile(r"(not enough|insufficient|out of|allocate) memory|bad_alloc|could not create a (memory|primitive)")
"""What libraries say that have no exception of their own for too little memory."""


def usable_bytes(device: torch.device, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes to plan with: half of what is free on a device, and on a CPU at most four fifths of what limits leave.

    Other programs share the machine, while the limits of a container and of the process are this program's own.

    Args:
        proc, cgroup: where Linux tells; nothing is asked of the system where they are missing.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    left = [*_container(proc / "self" / "cgroup", cgroup), *_process(proc / "self" / "statm")]
    return max(0, min([_machine(proc / "meminfo") // 2, *(4 * room // 5 for room in left)]))


def _machine(meminfo: Path) -> int:
    """Bytes that programs can still take without swapping."""
    match = re.search(r"^MemAvailable:\s*(\d+) kB", _text(meminfo), re.MULTILINE)
    return 1024 * int(match[1]) if match else UNKNOWN


def _container(membership: Path, mounts: Path) -> Iterator[int]:
    """Bytes left in each control group that this process is in, and in those around it."""
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2, beside version 1 in a folder of its own
            trees = [mounts, mounts / "unified"]
        else:
            trees = [mounts / "memory"] if "memory" in controllers.split(",") else []
        for tree in trees:
            parts = [part for part in path.split("/") if part not in ("", "..")]
            # In a container the path may begin outside, and its first parts are not there.
            while parts and not tree.joinpath(*parts).is_dir():
                del parts[0]
            for depth in range(len(parts) + 1):
                yield from _group(tree.joinpath(*parts[:depth]))


def _group(folder: Path) -> Iterator[int]:
    """Bytes left in one control group, if it has a limit; what it keeps of files gives way."""
    limits = [_text(folder / name).strip() for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    used = int(_text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes") or 0)
    facts = dict(re.findall(r"^(\w+) (\d+)$", _text(folder / "memory.stat"), re.MULTILINE))
    total = "total_" if "total_inactive_file" in facts else ""  # version 1: with the groups below
    files = sum(int(facts.get(f"{total}{name}_file", 0)) for name in ("inactive", "active"))
    for limit in limits:
        if limit.isdecimal():  # or "max", or the file is not there
            yield int(limit) - max(0, used - files)


def _process(statm: Path) -> Iterator[int]:
    """Bytes left under the limits that `ulimit -v` and `ulimit -d` set."""
    pages = [int(count) for count in _text(statm).split()] or [0] * 7
    for name, used in (("RLIMIT_AS", pages[0]), ("RLIMIT_DATA", pages[5])):
        limit = _limit(name)
        if limit is not None:
            yield limit - used * resource.getpagesize()


def _limit(name: str) -> int | None:
    """Bytes that the system allows this process, None for no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(getattr(resource, name))[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def is_short(error: BaseException | None) -> bool:
    """Whether an exception, of whatever library, means that memory did not suffice."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError | cv2.error):
        return isinstance(error, torch.OutOfMemoryError) or bool(SHORT.search(str(error).lower()))
    return isinstance(error, MemoryError)


def spare_threads() -> None:
    """Compute with fewer threads where their stacks and heaps would fill what `ulimit -v` leaves.

    A thread that cannot be started ends the whole program, since OpenMP knows no other way.
    """
    if _limit("RLIMIT_AS") is not None:
        room = min(_process(Path("/proc/self/statm")))
        few = max(1, room // (5 * THREAD))  # the fifth that `usable_bytes` leaves
        torch.set_num_threads(min(torch.get_num_threads(), few))
        cv2.setNumThreads(1)


def keep_freed() -> bool:
    """Let the C library of Linux keep what tensors leave, as long as the program runs; says whether it does.

    It maps pieces above 32 MB anew each time otherwise, and the system fills each page with zeros first: a third of the
    time of MAXIM on a tile of 512 px. Where memory is short, pieces are given back as they come.
    """
    if usable_bytes(torch.device("cpu")) < PLENTY:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another system, or another C library
        return False
    return bool(mallopt(MMAP_THRESHOLD, KEPT) and mallopt(TRIM_THRESHOLD, KEPT))
