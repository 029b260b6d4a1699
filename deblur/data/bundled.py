"""The bundled copies: written when they are asked for, checked by hash, mended."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm.auto import tqdm

from deblur import paths, writing
from deblur.data import bench, fixed, ladder, mini, miniatures, study
from deblur.data.trees import hashes
from deblur.errors import unknown
from deblur.locks import locked
from deblur.source import code_hash
from deblur.talk import say

COPIES = {**mini.COPIES, **miniatures.COPIES, **bench.COPIES, **study.COPIES, **ladder.COPIES}
"""Name of a bundled copy, SCALE-BENCHMARK -> what it is."""


def named(benchmark: str, scale: str) -> str:
    """The copy of a benchmark at a scale; all scales share one, but that GoPro has its own at `bench` and on rungs."""
    return f"{scale}-{benchmark}" if f"{scale}-{benchmark}" in COPIES else f"mini-{benchmark}"


def ensure(name: str = "mini-gopro", root: Path | None = None) -> Path:
    """The root of a copy, written now if it is absent, incomplete, damaged or made by an older generator.

    Safe to call from several processes at once. Every file is checked against the manifest's hash.

    Raises:
        ValueError: for an unknown name.
        OSError: if it cannot be written: files are there that no manifest of a bundled benchmark lists, say.
    """
    if name not in COPIES:
        raise unknown("copy", name, COPIES)
    root = root or place(name)
    if is_intact(root, name):  # asked first without the lock: where nothing is to be written, nobody need be able to
        return root
    writing.check_folder(root, _listed)
    with locked(writing.lock_file(root)):
        if not is_intact(root, name):
            with writing.delivering_folder(root, _listed) as draft:
                with _watched(draft, name):
                    COPIES[name].write(draft)
                _write_manifest(draft, name)
            for difference in fixed.differences(name, root, COPIES[name].counts):
                say(f"{root}: {difference}")
    return root


def place(name: str) -> Path:
    """Where a copy lies unless it is told otherwise."""
    return paths.data_dir() / name


def described(name: str) -> str:
    """A copy in words: of which benchmark, and how many pairs of each split it has."""
    counts = ", ".join(f"{count} {split}" for split, count in COPIES[name].counts.items())
    return f"{COPIES[name].benchmark} at scale {name.partition('-')[0]}: {counts}"


@contextmanager
def _watched(draft: Path, name: str) -> Iterator[None]:
    """A bar over the pairs of a tree that is being written in the block, on a terminal."""
    counts = {split: count for split, count in COPIES[name].counts.items() if split != "frames"}
    bar = tqdm(
        total=sum(counts.values()), desc=f"writing {COPIES[name].benchmark}", unit="pair", leave=False, disable=None
    )
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            bar.update(sum(1 for _ in draft.rglob("*.npz")) - bar.n)  # the true motion lies beside each pair

    watcher = threading.Thread(target=look, daemon=True)
    if not bar.disable:
        watcher.start()
    try:
        yield
    finally:
        over.set()
        if watcher.is_alive():
            watcher.join()
        bar.close()


def _listed(root: Path) -> dict[str, None]:
    """The files of a bundled benchmark, whatever they hold: damage is what is to be repaired. Of other trees none."""
    try:
        manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
        return dict.fromkeys([*manifest["files"], "manifest.json"]) if "generator" in manifest else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_manifest(root: Path, name: str) -> None:
    copy = COPIES[name]
    manifest = {
        "benchmark": copy.benchmark,
        "copy": name,
        "generator": code_hash(copy.write),
        "counts": copy.counts,
        "credits": copy.credits(),
        **hashes(root),
    }
    writing.write_text(root / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))


def is_intact(root: Path, name: str) -> bool:
    """Whether `root` holds the files of the copy's manifest, unchanged, no others, from this generator."""
    try:
        manifest = json.loads(paths.read_bytes(root / "manifest.json"))
        made_here = (manifest["copy"], manifest["generator"]) == (name, code_hash(COPIES[name].write))
        files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        return (
            made_here
            and files == {*manifest["files"], "manifest.json"}
            and all(paths.file_sha256(root / name) == sha256 for name, sha256 in manifest["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # whatever it holds
        return False
