"""What is in the files of a tree, whatever a list says of them.

Each file is hashed once, and again when its size or time change; hashes are remembered in the run store.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from deblur import paths, sealed, writing
from deblur.data.official import DataError, fault, few, open_manifest

log = logging.getLogger(__name__)

SETTLED_S = 2.0
"""A file that changed less than so many seconds ago is hashed again next time: it may change once more within one tick
of the file system's clock."""


def hashes(root: Path, files: Iterable[Path]) -> dict[str, str]:
    """Path below `root` -> SHA-256 of the file, in the order given.

    Raises:
        OSError: a file that cannot be read.
    """
    remembered, digests = _remembered(root), {}
    entries = dict(remembered)
    for file in files:
        name, status = file.relative_to(root).as_posix(), file.stat()
        size, time_ns, sha256 = entries.get(name, (None, None, ""))
        if (size, time_ns) != (status.st_size, status.st_mtime_ns):
            sha256 = paths.file_sha256(file)
            settled = time.time() - status.st_mtime > SETTLED_S
            entries[name] = (status.st_size if settled else None, status.st_mtime_ns, sha256)
        digests[name] = sha256
    if entries != remembered:
        _remember(root, entries)
    return digests


def fingerprint(root: Path, manifest: dict) -> str:
    """Sixteen hexadecimal digits for the pixels of a tree that this package wrote.

    Raises:
        DataError: files that are not as the manifest lists them.
    """
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    present, listed = hashes(root, files), manifest.get("files")
    if present != listed:
        entries = listed if isinstance(listed, dict) else {}
        differing = sorted(name for name in {*present, *entries} if present.get(name) != entries.get(name))
        what = f"{len(differing)} files are not as they were written ({few(differing)})"
        raise DataError(fault(root, what, "write the tree again with 'deblur data bundled', elsewhere if need be"))
    key = f"pixels of {digest(present)}"
    entries = _remembered(root)
    if key not in entries:
        entries = {name: entry for name, entry in entries.items() if not name.startswith("pixels of ")}
        entries[key] = (None, None, pixels(root, present))
        _remember(root, entries)
    return entries[key][2][:16]


def pixels(root: Path, names: Iterable[str]) -> str:
    """SHA-256 of the decoded pictures among some files, in this order, whatever the encoder did."""
    hasher = hashlib.sha256()
    for name in names:
        if name.endswith((".png", ".jpg")):
            hasher.update(name.encode() + np.asarray(Image.open(root / name)).tobytes())
    return hasher.hexdigest()


def manifest(root: Path) -> dict:
    """The `manifest.json` of a tree that this package wrote, empty where there is none.

    Raises:
        DataError: a file of that name that is none.
    """
    path = root / "manifest.json"
    return open_manifest(path) if os.path.lexists(path) else {}


def digest(values: object) -> str:
    """Sixteen hexadecimal digits for plain JSON values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _memory(root: Path) -> Path:
    return paths.runs_dir() / "content" / f"{digest(str(root.resolve()))}.json"


def _remembered(root: Path) -> dict[str, tuple]:
    try:
        return {name: tuple(entry) for name, entry in sealed.unsealed(_memory(root)).items()}
    except (OSError, sealed.DamageError):
        return {}


def _remember(root: Path, known: dict[str, tuple]) -> None:
    try:
        writing.write_text(_memory(root), sealed.seal(known))
    except OSError as error:  # a store that cannot be written to costs the time of hashing again
        log.warning("hashes of %s are not remembered: %s", root, error)
