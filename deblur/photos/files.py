"""`deblur restore`: photographs and folders of them, restored into other files.

No input is ever written to, nothing that is there is replaced unasked, and one bad file does not stop the others.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn
from tqdm.auto import tqdm

from deblur import memory
from deblur.data import official
from deblur.errors import UsageError
from deblur.photos import drift, pictures, restoration, tiles
from deblur.photos.outputs import Outputs, nearest
from deblur.talk import duration
from deblur.weights import released
from deblur.weights.cards import Card, read

GAP = 8
"""White pixels between the halves of a picture that compares."""

SKIPPED = {
    "convert it to PNG": "apng avif bmp exr gif hdr heic heif hif j2k jfif jp2 jpe jxl pbm pgm pnm ppm psd tga",
    "develop it to TIFF or JPEG": "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl "
    "sr2 srf srw x3f",
    "save frames of it as PNG": "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv webm wmv",
}
REMEDIES = {f".{name}": remedy for remedy, names in SKIPPED.items() for name in names.split()}
"""Suffixes of pictures, raw photographs and videos, and what to do with those that are not read here."""

PARTNERED = ("gopro", "hide", "realblur_j", "realblur_r", "dvd", "flat")
PARTS = ("blur", "blur_gamma", "sharp", "input", "target", "GT", "gt")
"""Benchmarks of folders that lie beside each other and hold files of the same names, and those folders."""


@dataclass(frozen=True)
class Job:
    """One photograph, and where its result goes."""

    source: Path
    target: Path
    fixed: bool = False  # whether the target's suffix is meant, of whatever kind the photograph is


@dataclass
class Work:
    """What the arguments mean."""

    jobs: list[Job] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # what is not read, and why
    notes: list[str] = field(default_factory=list)


# ----------------------------------------------------------------------------------------------------------- many files


def restore_files(
    photos: Sequence[Path],
    out: Path | None = None,
    model: str | None = None,
    ensemble: bool = False,
    tile: int | None = None,
    compare: bool = False,
    overwrite: bool = False,
) -> bool:
    """Restore photographs; what there is to say about one of them goes to stderr, with its name.

    Args:
        photos: files, and folders, see `find`.
        out: a file for a single photograph, else a folder (default: `OUT`). There a photograph keeps its name, one from
            a folder its place below that too, and a suffix that is not that of its kind is corrected.
        model, ensemble, tile: see `restoration.restore`.
        compare: also write `NAME-compare.jpg`, input and result side by side.
        overwrite: replace plain files that are there; never an input, a folder or a link.

    Returns:
        Whether all are restored: none failed, and none was skipped.

    Raises:
        UsageError: nothing to restore, an `out` or a tile that does not fit, unknown weights.
        ValueError: damaged weights.
        KeyboardInterrupt: says how many are restored.
    """
    if tile is not None:
        tiles.check_tile(tile)
    out = _default_out(photos) if out is None else out
    work = find(photos, out)
    weights = released.find(model)
    memory.spare_threads()
    memory.keep_freed()
    network, card = released.load(weights), read(weights)
    outputs = Outputs([weights, weights.with_suffix(".json"), *_inputs(work.jobs, overwrite)], overwrite)
    for note in (*([] if model else released.reasons()), *work.notes, *work.skipped):
        _say(note)
    jobs, restored, failed = _doubtful_first(work.jobs, outputs, compare), 0, 0
    try:
        for job in tqdm(jobs, unit="photo", leave=False, disable=None if len(jobs) > 1 else True):
            started = time.monotonic()
            try:
                results, notes = _restore_file(job, outputs, network, card, ensemble, tile, compare)
                restored += 1
                _tell(results, weights.stem, time.monotonic() - started)
            except Exception as error:  # whatever one file makes a library raise, the others are restored
                notes, failed = [_reason(error)], failed + 1
            for note in notes:
                _say(note, job.source)
    except KeyboardInterrupt:
        again = "all of them again" if overwrite else "the others, and leaves these as they are"
        told = f"{restored} of {len(jobs)} photographs are restored, in {out}; the same command restores {again}"
        raise KeyboardInterrupt(told) from None
    if len(jobs) + len(work.skipped) > 1:
        _say(f"{restored} restored, {failed} failed, {len(work.skipped)} skipped")
    return not failed and not work.skipped


def _tell(results: list[Path], network: str, seconds: float) -> None:
    """What was written for one photograph."""
    beside = "".join(f" and {path.name}" for path in results[1:])
    tqdm.write(f"wrote {results[0]}{beside} with {network}, {duration(seconds)}", file=sys.stdout)
    sys.stdout.flush()


def _say(note: str, source: Path | None = None) -> None:
    named = source is None or str(source) in note
    tqdm.write(f"deblur: {note if named else f'{source}: {note}'}", file=sys.stderr)


def _reason(error: Exception) -> str:
    """Why a photograph is not restored."""
    for cause in (error, error.__cause__):
        if memory.is_short(cause):
            return f"too little memory; close other programs, or scale it down ({cause or 'none is left'})"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"


def _doubtful_first(jobs: list[Job], outputs: Outputs, compare: bool) -> list[Job]:
    """Those first that, by their names, may not be written: what is refused is so before anything is computed."""
    sure, doubtful = [], []
    for job in jobs:
        try:
            outputs.take(_results(job.target, compare), job.source)
            sure.append(job)
        except (ValueError, OSError):
            doubtful.append(job)
    return doubtful + sure


def _inputs(jobs: list[Job], overwrite: bool) -> Iterator[Path]:
    """The photographs and, if files may be replaced, the images of a benchmark that lie beside them."""
    yield from (job.source for job in jobs)
    for folder in {Path(os.path.abspath(job.source.parent)) for job in jobs} if overwrite else ():
        for place in folder.parents[:2]:
            if official.recognise(place, PARTNERED):
                yield from (path for part in PARTS for path in (place / part).rglob("*"))


# ------------------------------------------------------------------------------------------------------- what was meant


def find(photos: Sequence[Path], out: Path) -> Work:
    """The photographs that are meant, and where each goes.

    A folder is searched with all below it, but for what is hidden. If it is a benchmark, as `official.recognise` sees
    it, only its blurred images are meant, and their results are named as `deblur score` expects them.

    Raises:
        UsageError: if there is none, or `out` is no place for them.
    """
    if _is_file(photos, out):
        _check_place(out.parent)
        return Work([Job(photos[0], out, fixed=True)])
    if os.path.isfile(out) or out.suffix.lower() in pictures.KINDS:
        raise UsageError(f"{out}: a folder is needed for more than one photograph")
    _check_place(out)
    work, empty = Work(), []
    for photo in photos:
        before = len(work.jobs) + len(work.skipped) + len(work.notes)
        if not os.path.isdir(photo):
            work.jobs.append(Job(photo, out / photo.name))
        elif os.path.realpath(photo) == os.path.realpath(out):
            raise UsageError(f"{out}: the results would lie among the photographs; give another folder")
        elif benchmark := official.recognise(photo):
            _add_benchmark(work, photo, out, benchmark)
        else:
            _add_folder(work, photo, out)
        if before == len(work.jobs) + len(work.skipped) + len(work.notes):
            empty.append(f"{photo}: holds no {', '.join(dict.fromkeys(pictures.KINDS.values()))}")
    if not work.jobs and not work.skipped:
        raise UsageError("; ".join([*empty, *work.notes]))
    return Work(list(dict.fromkeys(work.jobs)), work.skipped + empty, work.notes)


OUT = Path("restored")
"""The folder in the working directory where results go unless it is said where."""


def _default_out(photos: Sequence[Path]) -> Path:
    """`OUT`, unless that lies in a folder of photographs: the next call would take results for photographs there."""
    inside = os.path.realpath(OUT)
    for photo in photos:
        if os.path.isdir(photo) and f"{inside}{os.sep}".startswith(f"{os.path.realpath(photo).rstrip(os.sep)}{os.sep}"):
            raise UsageError(f"{photo}: the results, in {OUT}, would lie among the photographs; give -o another folder")
    return OUT


def _is_file(photos: Sequence[Path], out: Path) -> bool:
    """Whether `out` names the result itself: for one photograph, unless it is a folder or looks like one."""
    if len(photos) > 1 or os.path.isdir(photos[0]) or os.path.isdir(out) or not out.suffix:
        return False
    try:
        pictures.kind_of(out)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return True


def _check_place(folder: Path) -> None:
    """Make sure that a folder is there or can be made, and that it may be written into."""
    existing = nearest(Path(os.path.abspath(folder)))
    if not os.path.isdir(existing):
        raise UsageError(f"{existing} is no folder, so nothing can lie below it; give another -o")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{existing}: you may not write there; give another -o")


def _add_benchmark(work: Work, folder: Path, out: Path, found: official.Recognised) -> None:
    """The blurred images of a benchmark; their results are PNG, since scores are made of them."""
    for pair in found.pairs:
        source = folder / pair.blurred.relative_to(os.path.abspath(folder))
        work.jobs.append(Job(source, out / f"{pair.name}.png", fixed=True))
    work.notes.append(
        f"{folder}: this is {found.title}; the {len(found.pairs)} blurred images of {found.split} are restored and "
        "nothing else, as PNG named for 'deblur score'; for other images give the folder that holds them"
    )
    if found.problems:
        work.notes.append(f"{folder}: this copy is not whole ({found.problems[0]})")


def _add_folder(work: Work, folder: Path, out: Path) -> None:
    """All photographs in a folder and below; what looks like one and is not read, is skipped and said."""
    results, left = os.path.realpath(out), 0
    for place, names in _walk(folder, work.skipped):
        within = f"{os.path.realpath(place)}{os.sep}".startswith(f"{results}{os.sep}")
        for name in names:
            path, suffix = place / name, Path(name).suffix.lower()
            if within:
                left += suffix in pictures.KINDS
            elif suffix in pictures.KINDS:
                work.jobs.append(Job(path, out / path.relative_to(folder)))
            elif suffix in REMEDIES:
                work.skipped.append(f"{path}: skipped, {suffix} is not read here; {REMEDIES[suffix]}")
    if left:
        work.notes.append(f"{out}: {left} pictures in it are left out, since results go there")


def _walk(folder: Path, skipped: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """Each folder and the files in it, in order, but for what is hidden; says what cannot be searched."""

    def closed(error: OSError) -> None:
        skipped.append(f"{error.filename}: skipped, it cannot be searched ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if os.path.islink(path := os.path.join(place, name)):
                skipped.append(f"{path}: skipped, a link to a folder; give that folder too")
        if not folders and not names and Path(place).suffix.lower() in pictures.KINDS and place != str(folder):
            skipped.append(f"{place}: skipped, an empty folder whatever its name says")
        yield Path(place), sorted(name for name in names if not name.startswith("."))


# ------------------------------------------------------------------------------------------------------------- one file


def _results(target: Path, compare: bool) -> list[Path]:
    """The files that belong to one photograph."""
    return [target, target.with_name(f"{target.stem}-compare.jpg")] if compare else [target]


def _restore_file(
    job: Job, outputs: Outputs, network: nn.Module, card: Card, ensemble: bool, tile: int | None, compare: bool
) -> tuple[list[Path], list[str]]:
    """Restore one photograph: files written, what there is to know. What can be refused is so before the computing."""
    picture = pictures.read(job.source, tiles.largest_image())
    target, suffix = job.target, pictures.result_suffix(picture)
    if not job.fixed and pictures.KINDS.get(target.suffix.lower()) != pictures.KINDS[suffix]:
        target = target.with_suffix(suffix)
    results = _results(target, compare)
    outputs.take(results, job.source)
    outputs.prepare(target.parent)
    picture, lost = pictures.fit(target, picture)
    notes = [*picture.notes, *lost]
    if compare:
        height, width = picture.pixels.shape[:2]
        both = (2 * height + GAP, width) if _is_wide(height, width) else (height, 2 * width + GAP)
        pictures.fit(results[1], pictures.Picture(np.broadcast_to(np.uint8(0), both), "JPEG"))
    with outputs.writing(results) as drafts:
        name, tell = job.source.name, notes.append
        restored = restoration.restore(picture.pixels, network, ensemble, tile, title=name, card=card, tell=tell)
        pictures.write(drafts[0], replace(picture, pixels=restored))
        if compare:
            beside = pictures.Picture(before_and_after(picture.pixels, restored), picture.kind, icc=picture.icc)
            pictures.write(drafts[1], beside)
    return results, notes + drift.drift(picture.pixels, restored)


def before_and_after(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Two images of one shape beside each other, one above the other if they are more than twice as wide as high.

    Returns:
        (H,W) or (H,W,3) uint8, without alpha.
    """
    halves = [pictures.eight_bits(restoration.colours(image)) for image in (before, after)]
    height, width, channels = halves[0].shape
    axis = 0 if _is_wide(height, width) else 1
    gap = np.full((GAP, width, channels) if axis == 0 else (height, GAP, channels), 255, np.uint8)
    both = np.concatenate([halves[0], gap, halves[1]], axis)
    return both[..., 0] if channels == 1 else both


def _is_wide(height: int, width: int) -> bool:
    return width > 2 * height
