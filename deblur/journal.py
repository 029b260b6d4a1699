"""Rows of an unfinished table on disk, so that a killed evaluation goes on where it stopped.

One line a row: a check sum, a blank, JSON. The first line says what the rows depend on; with another one, or from the
first line on that is damaged or half written, the journal is not believed.
"""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from deblur import paths


class Journal:
    """Rows kept in the file `path`.

    Attributes:
        rows: key -> (stamp, row) of all rows that are there.
        dropped: whether something was there that could not be used.
    """

    def __init__(self, path: Path, subject: dict) -> None:
        """Open `path`; `subject`, plain JSON values, is everything that all rows depend on."""
        self.path = path
        self.rows: dict[str, tuple[str, dict]] = {}
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        good = [_line(subject)]
        if lines[:1] == good:
            for line in lines[1:]:
                entry = _entry(line)
                if entry is None:
                    break
                good.append(line)
                self.rows[entry["key"]] = (entry["stamp"], entry["row"])
        self.dropped = len(lines) > len(self.rows) + 1 or (bool(lines) and lines[:1] != good[:1])
        with paths.replacing(path) as draft:
            draft.write_bytes(b"".join(good))

    def append(self, key: str, stamp: str, row: dict) -> dict:
        """Write a row down and return it as it will be read back; `stamp` says what it was made from."""
        line = _line({"key": key, "stamp": stamp, "row": row})
        with open(self.path, "ab") as stream:
            stream.write(line)
        written = _entry(line)
        assert written is not None  # a whole line
        self.rows[key] = (stamp, written["row"])
        return written["row"]


def _line(content: dict) -> bytes:
    text = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> dict | None:
    """The content of a whole and undamaged line."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    whole = line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text)
    return json.loads(text) if whole else None


def stamp(files: Iterable[Path]) -> str:
    """Sizes and times of files: what a finished row was made from, without reading it again."""
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return f"{zlib.crc32(repr(states).encode()):08x}"
