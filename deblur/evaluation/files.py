"""Images that were restored already: matched with their pairs, scored, and scores written as a table."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from deblur import paths, writing
from deblur.data import official
from deblur.errors import UsageError
from deblur.evaluation.evaluator import Restore, identity
from deblur.evaluation.protocols import Method, counted_pairs, protocol_for, score_pairs
from deblur.journal import Journal
from deblur.source import code_hash

log = logging.getLogger(__name__)


def restored_files(folder: Path, pairs: Sequence[official.Pair], protocol: str) -> dict[str, Path]:
    """Pair name -> the restored image in `folder`: `SEQUENCE/STEM.png` or, where stems are unique, `STEM.png`.

    A restored tree is taken as it is: where no name fits, folders above the sequence and one of blurred images below it
    are looked through, if each image is then that of one pair.

    Raises:
        DataError: extra images, or missing ones that the protocol counts; all counted and the first named.
    """
    if not folder.is_dir():
        raise official.DataError(f"{folder}: no such folder; give the one that holds the restored images")
    images = _images_below(folder)
    names = {pair.name: pair.name for pair in pairs}
    stems = {pair.name: pair.blurred.stem for pair in pairs}
    ways = [names, stems] if len(set(stems.values())) == len(pairs) else [names]
    if not any(images.keys() & {*way.values()} for way in ways):
        deeper = next((inner for way in ways if (inner := _looked_through(images, {*way.values()}))), None)
        images = deeper or images
    names = next((way for way in ways if images.keys() & {*way.values()}), ways[-1])
    missing = sorted(names[pair.name] for pair in counted_pairs(protocol, pairs) if names[pair.name] not in images)
    extra = sorted(images.keys() - set(names.values()))
    wrong = [
        f"{len(part)} {word} ({official.few(part)})" for part, word in ((missing, "missing"), (extra, "extra")) if part
    ]
    if wrong:
        remedy = f"images are matched by name, one for each pair, as {min(names.values())}.png"
        raise official.DataError(f"{folder}: {' and '.join(wrong)}{_alike(missing, extra)}; {remedy}")
    return {name: images[key] for name, key in names.items() if key in images}


def _images_below(folder: Path) -> dict[str, Path]:
    """Name below the folder, without its suffix -> image."""
    images: dict[str, Path] = {}
    others: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if not path.name.startswith(".")):
        kind = paths.kind(path)
        if path.suffix.lower() not in official.SUFFIXES:
            others |= {path.suffix} if kind == "a file" and path.suffix else set()
            continue
        if kind != "a file":
            raise official.DataError(f"{path}: is {kind}, not an image; remove it, or restore the image again")
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in images:
            raise official.DataError(f"{path}: also there as {images[name].name}; keep one")
        images[name] = path
    if not images:
        kinds = f" but {official.few(sorted(others))}" if others else ""
        read = ", ".join(sorted(official.SUFFIXES))
        raise official.DataError(f"{folder}: holds no images{kinds}; read are {read}")
    return images


def _looked_through(found: Mapping[str, Path], wanted: set[str]) -> dict[str, Path] | None:
    """The images under the names that are wanted, if each is one of them by the last parts of its path."""
    short: dict[str, Path] = {}
    for name, path in found.items():
        *above, stem = name.split("/")
        ways = [above, above[:-1]] if above[-1:] in (["input"], ["blur"], ["blur_gamma"]) else [above]
        tails = ("/".join([*way[start:], stem]) for way in ways for start in range(len(way) + 1))
        match = next((tail for tail in tails if tail in wanted), None)
        if match is None or match in short:
            return None
        short[match] = path
    return short


def _alike(missing: Sequence[str], extra: Sequence[str]) -> str:
    """A missing name and an extra one with the same last part, where there are such."""
    last = {name.rpartition("/")[2]: name for name in reversed(missing)}
    pair = next(((last[stem], name) for name in extra if (stem := name.rpartition("/")[2]) in last), None)
    return f"; {pair[1]} is not {pair[0]}" if pair else ""


def from_files(files: Mapping[str, Path]) -> Method:
    """The method whose results lie in files, pair name -> path; each must have the size of its blurred image."""

    def method(pair: official.Pair) -> Restore:
        restored = official.read_image(files[pair.name])

        def restore(blurred: np.ndarray) -> np.ndarray:
            if restored.shape != blurred.shape:
                what = f"is {restored.shape[0]}x{restored.shape[1]} (height x width)"
                wanted = f"{blurred.shape[0]}x{blurred.shape[1]}"
                raise official.DataError(f"{files[pair.name]}: {what}, its blurred image {wanted}; crop the padding")
            return identity(restored)

        return restore

    return method


def evaluate_into(
    out: Path,
    protocol: str,
    benchmark: str,
    method: Method,
    pairs: Sequence[official.Pair],
    record: Mapping[str, str],
    files: Mapping[str, Path] | None = None,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
) -> pd.DataFrame:
    """Score a method on a benchmark into the CSV file `out`, going on where a killed call stopped.

    Every row says what its numbers depend on: protocol, benchmark, the OpenCV version where that aligns, and `record`.
    Until the table is whole, its rows stand beside it in `NAME.csv.journal`.

    Args:
        pairs: all pairs of the split; `files` as in `score_pairs`.
        record: what else the numbers depend on: the method, the split, the choices, what copy it was.
        overwrite: whether an earlier `out` may be replaced; never one of `inputs`, which are other files that are read.

    Raises:
        OSError: if `out` cannot be written, or another call does it, see `paths.delivering` and `Journal`.
    """
    if out.suffix.lower() != ".csv":
        raise UsageError(f"{out}: scores are written as CSV; give --out a name that ends in .csv")
    record = {**record, "protocol": protocol, "benchmark": benchmark}
    if protocol == "realblur_ecc":
        record["opencv"] = cv2.__version__
    code = code_hash(protocol_for(protocol, benchmark).score)
    read = (file for pair in pairs for file in (pair.blurred, pair.sharp, pair.truth, *pair.frames) if file)
    inputs = (*inputs, *(files or {}).values(), *read)
    subject = record | {"code": code}
    with (
        writing.delivering(out, overwrite, inputs) as draft,
        Journal(out.with_name(f"{out.name}.journal"), subject) as journal,
    ):
        if journal.dropped:
            log.warning("%s: damaged rows are made again", journal.path)
        scores = score_pairs(protocol, benchmark, method, pairs, f"{benchmark} {protocol}", journal, files)
        scores = scores.assign(**record)
        draft.write_text(scores.to_csv(index=False), encoding="utf-8")
        journal.remove()
    return scores
