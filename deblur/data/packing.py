"""A split decoded once into memory-mapped arrays: a crop then costs a copy, not the decoding of two whole frames.

A packed split is a folder of NumPy files, one a pair, (2,H,W,3) uint8 with the blurred image first. `manifest.json` is
written last. Crops are those of `loading.Tree`, bit for bit.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deblur import paths
from deblur.data import official
from deblur.data.loading import random_window


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
    """Pack pairs into `folder`; what an interrupted call has finished is kept. Returns the bytes written in all.

    Args:
        workers: threads; decoding runs outside Python's lock.
        progress: wraps the pairs for a bar, e.g. tqdm.

    Raises:
        DataError: for a pair that cannot be read, naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(partial(_pack_pair, pair, folder)) for pair in pairs]
        try:
            files = dict(job.result() for job in progress(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    paths.write_text(folder / "manifest.json", json.dumps({"files": files}, indent=1))
    return sum(entry["bytes"] for entry in files.values())


def _pack_pair(pair: official.Pair, folder: Path) -> tuple[str, dict[str, object]]:
    """Write one pair if it is not there yet: files appear whole or not at all."""
    path = folder / f"{pair.name}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        images = np.stack(official.read_pair(pair))
        with paths.replacing(path) as draft, open(draft, "wb") as stream:
            np.save(stream, images)
    return pair.name, {"bytes": path.stat().st_size, "sha256": paths.file_sha256(path)}


def open_packed(folder: Path, pairs: Sequence[official.Pair]) -> Packed | None:
    """The packed form of `pairs`, in their order, or None if `folder` was not packed, or not to the end.

    Raises:
        DataError: if the folder holds other pairs, or files of another size than were written.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return None
    known = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    remedy = "remove the folder and pack again"
    if known.keys() != {pair.name for pair in pairs}:
        raise official.DataError(official.fault(folder, f"holds {len(known)} other pairs", remedy))
    files = [folder / f"{pair.name}.npy" for pair in pairs]
    for pair, path in zip(pairs, files, strict=True):
        if not path.is_file() or path.stat().st_size != known[pair.name]["bytes"]:
            raise official.DataError(official.fault(path, "missing, or not as it was written", remedy))
    return Packed(files)


def damaged(folder: Path) -> list[str]:
    """Names of packed pairs whose content is no longer what was written; reads everything."""
    known = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    return [name for name, entry in known.items() if paths.file_sha256(folder / f"{name}.npy") != entry["sha256"]]
