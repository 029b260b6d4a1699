"""Rows of an unfinished table on disk, so that a killed evaluation goes on where it stopped.

One line a row: a check sum, a blank, JSON. The first line says what the rows depend on: with another one the journal is
somebody else's, and stays. From the first line on that is damaged or half written, rows are not believed.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Self

from deblur import writing
from deblur.locks import hold


class Journal:
    """Rows kept in the file `path`, which is held by one call at a time; leave it as a context to let it go.

    Attributes:
        rows: key -> (state, row) of all rows that are there.
        dropped: whether something was there that could not be used.
    """

    def __init__(self, path: Path, subject: dict) -> None:
        """Open `path`; `subject`, plain JSON values, is everything that all rows depend on.

        Raises:
            InTheWayError: if rows of another subject are there, or something else.
            BlockingIOError: if another call holds it.
        """
        self.path, first = path, _line(subject)
        self.rows: dict[str, tuple[str, dict]] = {}
        self.stream, self._let_go = _held(path)
        try:
            lines = self.stream.readlines()
            if len(lines) == 1 and _entry(lines[0]):  # another subject, or this one, without a row
                lines = []
            if lines and not first.startswith(lines[0]):
                raise writing.InTheWayError(
                    f"{path} belongs to other work; finish that, remove it, or give another name"
                )
            good = lines[:1] if lines[:1] == [first] else []
            for line in lines[1:] if good else []:
                entry = _entry(line)
                if entry is None:
                    break
                good.append(line)
                self.rows[entry["key"]] = (entry["state"], entry["row"])
            self.dropped = len(lines) > len(good)
            self.stream.truncate(sum(map(len, good)))
            if not good:
                self._write(first)
        except BaseException:
            self._close()
            raise

    def append(self, key: str, state: str, row: dict) -> dict:
        """Write a row down and return it as it will be read back; `state` says what it was made from."""
        line = _line({"key": key, "state": state, "row": row})
        self._write(line)
        written = _entry(line)
        assert written is not None  # a whole line
        self.rows[key] = (state, written["row"])
        return written["row"]

    def remove(self) -> None:
        """Remove the file, since all is done, and let it go."""
        self.path.unlink()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the file go; without a row it is of no use."""
        if not self.rows and not self.stream.closed:
            self.path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        self._let_go()
        self.stream.close()

    def _write(self, line: bytes) -> None:
        self.stream.write(line)
        self.stream.flush()


def _held(path: Path) -> tuple[BinaryIO, Callable[[], None]]:
    """The file, opened to read and append and held against other calls, and what lets it go."""
    writing.check_file(path, overwrite=True)
    writing.make_parent(path)
    while True:
        stream = open(path, "a+b")  # noqa: SIM115
        let_go = hold(stream)
        if let_go is None:
            stream.close()
            raise BlockingIOError(f"{path} is in use: another call writes the same; wait for its end")
        if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
            stream.seek(0)
            return stream, let_go
        let_go()
        stream.close()  # the call that held it has just ended, and removed it


def _line(content: dict) -> bytes:
    text = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> dict | None:
    """The content of a whole and undamaged line."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    whole = line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text)
    return json.loads(text) if whole else None


def state_of(files: Iterable[Path]) -> str:
    """Sizes and times of files: what a finished row was made from, without reading it again."""
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return f"{zlib.crc32(repr(states).encode()):08x}"
