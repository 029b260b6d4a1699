"""What may happen to a file on disk, and what a disk may lack."""

import errno
import fcntl


def lost(path, other):
    path.unlink()


def empty(path, other):
    path.write_bytes(b"")


def cut(path, other):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_bit_flipped(path, other):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def of_another_run(path, other):
    path.write_bytes(other.read_bytes())


KINDS = (lost, empty, cut, one_bit_flipped, of_another_run)
"""Each takes the file and its counterpart in another run."""


def without_flock(monkeypatch):
    """A file system, or a mount of one, that knows no locks."""

    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
