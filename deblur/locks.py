"""One process at a time for whatever is made once: a run, a table of scores, a bundled benchmark."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout, lock_descriptor

log = logging.getLogger(__name__)

UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class Busy(ValueError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path` for the block; the file stays, since removing it would let two in.

    Where the file system knows no locks, a second file `path.held` is there for as long as the lock is held, and one
    that a killed process of this machine left is removed. Where nothing can be written there is nothing to protect.

    Args:
        wait: for a process that holds the lock, saying so; else raise.

    Raises:
        Busy: without `wait`, if another process holds it.
        OSError: a lock that cannot be made for another reason, naming it.
    """
    lock = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquired(FileLock(path, fallback_to_soft=False), wait)
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", errno.ENOSYS) in UNSUPPORTED:
            lock = _acquired(SoftFileLock(f"{path}.held"), wait)
        elif getattr(error, "errno", 0) not in READ_ONLY:
            raise
    try:
        yield
    finally:
        if lock:
            lock.release()


def hold(stream: BinaryIO) -> Callable[[], None] | None:
    """Hold an open file against other calls until it is closed and the result is called; None if another one holds it.

    Where the file system knows no locks, a file `NAME.held` is there until then.
    """
    try:
        return (lambda: None) if lock_descriptor(stream.fileno(), blocking=False) else None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    lock = SoftFileLock(f"{stream.name}.held")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock.release


def _acquired(lock: BaseFileLock, wait: bool) -> BaseFileLock:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise Busy(f"{lock.lock_file}: another process works on this; let it end, or stop it") from None
        log.warning("waiting for another process that holds %s", lock.lock_file)
        lock.acquire()
    return lock
