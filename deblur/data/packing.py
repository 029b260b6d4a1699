"""A split decoded once into memory-mapped arrays: a crop then costs a copy, not the decoding of two whole frames.

A packed split is a folder of NumPy files, one a pair, (2,H,W,3) uint8 with the blurred image first. `manifest.json` is
written last. Crops are those of `loading.Tree`, bit for bit.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np

from deblur import paths, writing
from deblur.data import official
from deblur.data.loading import random_window
from deblur.journal import Journal

REMEDY = "remove the folder and pack again"


@dataclass(frozen=True)
class Packed:
    """Crops from packed pairs, a `loading.Source`."""

    files: Sequence[Path]

    def crop(self, rng: np.random.Generator, size: int, edge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        images = np.load(self.files[rng.integers(len(self.files))], mmap_mode="r")  # type: ignore[call-overload]  # NumPy's integers index too
        y, x, h, w = random_window(rng, *images.shape[1:3], size, edge)  # type: ignore[call-arg]  # height and width
        # As plain arrays: a view would keep the file open.
        blurred, sharp = np.array(images[:, y : y + h, x : x + w])
        return blurred, sharp


def pack(
    pairs: Sequence[official.Pair], folder: Path, workers: int = 2, progress: Callable[[Iterable], Iterable] = iter
) -> int:
    """Pack pairs into `folder`; what an interrupted call has finished is kept, if it is unchanged.

    Args:
        workers: threads; decoding runs outside Python's lock.
        progress: wraps the pairs for a bar, e.g. tqdm.

    Returns:
        The bytes of all packed pairs.

    Raises:
        DataError: for a pair that cannot be read, naming the file, and a folder that holds other pairs.
        OSError: if the folder holds somebody's files, cannot be written, or another call packs into it.
    """
    names = [pair.name for pair in pairs]
    subject = {"pairs": hashlib.sha256("\n".join(names).encode()).hexdigest()}
    # The hash of every pair is written down before its file is: what is there without one is somebody's.
    with Journal(folder / ".journal", subject) as journal:
        entries = _known(folder, names) | {name: row for name, (_, row) in journal.rows.items()}
        _check_ours(folder, entries, names)
        with ThreadPoolExecutor(workers) as pool:
            pack_pair = partial(_pack_pair, folder, entries, journal, Lock())
            jobs = [pool.submit(pack_pair, pair) for pair in pairs]
            try:
                files = dict(job.result() for job in progress(jobs))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        writing.write_text(folder / "manifest.json", json.dumps({"files": files}, indent=1))
        journal.remove()
    return sum(entry["bytes"] for entry in files.values())


Entry = dict[str, Any]
"""Of a packed pair: its `bytes`, and their `sha256`."""


def _known(folder: Path, names: Sequence[str] | None = None) -> dict[str, Entry]:
    """What the manifest says of the pairs, which are those of these names if any are given; nothing without one.

    Raises:
        DataError: a damaged manifest, or that of other pairs.
    """
    manifest = folder / "manifest.json"
    if not os.path.lexists(manifest):
        return {}
    entries: dict[str, Entry] = official.open_manifest(manifest, REMEDY, files=dict)["files"]
    if names is not None and entries.keys() != set(names):
        raise official.DataError(official.fault(folder, f"holds {len(entries)} other pairs", REMEDY))
    for name, entry in entries.items():
        official.inside(folder, name)
        if not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
            raise official.DataError(official.fault(manifest, f"says nothing of {name}", REMEDY))
    return entries


def _check_ours(folder: Path, known: Mapping[str, Entry], names: Sequence[str]) -> None:
    """Nothing but what was written down, folders for the pairs, and drafts of a killed call."""
    listed = dict.fromkeys(["manifest.json", ".journal", *(f"{name}.npy" for name in known)])
    leading = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    foreign = [name for name in writing.strangers(folder, listed) if name not in leading]
    if foreign := [name for name in foreign if not writing.is_draft(Path(name))]:
        what = f"{folder} holds {official.few(foreign)}, which deblur did not write"
        raise writing.InTheWayError(f"{what}; move that elsewhere, or {REMEDY}")


def _pack_pair(
    folder: Path, known: Mapping[str, Entry], journal: Journal, lock: Lock, pair: official.Pair
) -> tuple[str, Entry]:
    """Write one pair, unless it is there as it was written: files appear whole or not at all."""
    path = folder / f"{pair.name}.npy"
    entry = known.get(pair.name)
    if entry and path.is_file() and paths.file_sha256(path) == entry["sha256"]:
        return pair.name, entry
    stream = io.BytesIO()
    np.save(stream, np.stack(official.read_pair(pair)))
    content = stream.getbuffer()
    made = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    try:
        with writing.delivering(path, overwrite=entry is not None) as draft:
            draft.write_bytes(content)
            with lock:
                journal.append(pair.name, "", made)
    except FileExistsError as error:
        raise FileExistsError(
            f"{path} is kept, which deblur did not write; move it elsewhere and pack again"
        ) from error
    return pair.name, made


def open_packed(folder: Path, pairs: Sequence[official.Pair]) -> Packed | None:
    """The packed form of `pairs`, in their order, or None if `folder` was not packed, or not to the end.

    Raises:
        DataError: if the folder holds other pairs, or files of another size than were written.
    """
    entries = _known(folder, [pair.name for pair in pairs])
    if not entries:
        return None
    files = [folder / f"{pair.name}.npy" for pair in pairs]
    for pair, path in zip(pairs, files, strict=True):
        if not path.is_file() or path.stat().st_size != entries[pair.name]["bytes"]:
            raise official.DataError(official.fault(path, "missing, or not as it was written", REMEDY))
    return Packed(files)


def damaged(folder: Path) -> list[str]:
    """Names of packed pairs whose content is no longer what was written; reads everything."""
    entries = _known(folder)
    return [name for name, entry in entries.items() if paths.file_sha256(folder / f"{name}.npy") != entry["sha256"]]
