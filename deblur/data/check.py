"""Is a copy of a benchmark complete, readable and what it claims to be? A damaged one never passes silently.

`check` counts and pairs by the readers of `official`, opens every file and returns a `Report`: what is missing,
unreadable, swapped or changed, each by name and with the remedy; the subset found by its tone; what the tree should
look like where it is not there.
"""

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np

from deblur import paths
from deblur.data.official import (
    AGAIN,
    BENCHMARKS,
    KOEHLER_GAPS,
    Absent,
    DataError,
    Pair,
    Scan,
    below,
    check_request,
    expected_counts,
    fault,
    few,
    gaps,
    holds_pairs,
    manifest_path,
    open_manifest,
    read_image,
    read_manifest,
    read_truth,
    scan_split,
    size_message,
)


@dataclass
class Report:
    """What `check` found. `counts` maps a split to (pairs found, pairs expected or None)."""

    benchmark: str
    root: Path
    form: str | None = None
    subset: str | None = None
    counts: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """True where pairs were found and nothing is wrong with them."""
        return not self.problems and any(count for count, _ in self.counts.values())

    def fault(self, where: object, what: str, remedy: str = AGAIN) -> None:
        """Adds a problem."""
        self.problems.append(fault(where, what, remedy))

    def __str__(self) -> str:
        lines = [f"{self.benchmark} at {self.root}: {'usable' if self.usable else 'NOT USABLE'}"]
        lines += [f"  form     {self.form or 'not found'}", f"  subset   {self.subset or '-'}"]
        for split, (count, expected) in self.counts.items():
            lines.append(f"  {split:<11}{_of(count, expected)} pairs")
        for title, items in (("problems", self.problems), ("notes", self.notes)):
            lines += [f"  {title} ({len(items)})"] if items else []
            lines += ["    - " + item.replace("\n", "\n      ") for item in items[:30]]
            lines += [f"    - and {len(items) - 30} more"] if len(items) > 30 else []
        return "\n".join(lines)


def _of(found: int, expected: int | None) -> str:
    return f"{found:,}" if expected is None else f"{found:,} of {expected:,}"


def check(
    name: str,
    root: str | Path,
    *,
    splits: Iterable[str] | None = None,
    workers: int | None = None,
    progress: Callable[..., Iterable] | None = None,
    **choices: str,
) -> Report:
    """Counts, pairs and opens a whole copy and says what is wrong with it.

    Args:
        name: a key of `official.BENCHMARKS`.
        root: the folder where the archive was unpacked.
        splits: the splits to judge; all that the benchmark has by default.
        workers: threads that open files; one per core by default.
        progress: wraps the loop over pairs, called as `progress(iterable, total=n)`; `tqdm` fits.
        **choices: as in `official.find_pairs`; for gopro without `subset` every blurred folder there is judged.

    Returns:
        A `Report`; damage is listed there, not raised.

    Raises:
        DataError: unknown benchmark, split or choice.
    """
    root, splits = Path(root), tuple(splits or ())
    check_request(name, root, splits, choices or None)
    report, scans, absent = Report(name, root), {}, {}
    for chosen in [choices] if choices else _choices_there(name, root):
        for split in splits or _splits_there(report):
            try:
                scans[split, chosen.get("subset")] = scan_split(name, root, split, chosen)
            except Absent as error:
                absent[split] = str(error)
            except DataError as error:
                report.problems.append(str(error))
    if not scans:
        report.problems += [*absent.values()][:1]
        return report
    report.form = next(iter(scans.values())).form
    manifest = _counts_written(report, next(iter(scans.values())).base)
    _judge_absent(report, absent, manifest)
    facts = _examine_all(report, scans, workers, progress)
    for (split, subset), scan in scans.items():
        report.problems += scan.problems
        expected = _judge_counts(report, split, scan, manifest)
        report.counts[split] = (len(scan.pairs), expected)
        _judge_numbering(report, split, scan, expected)
        _judge_images(report, split, subset, scan.pairs, facts)
        if manifest is None:
            _judge_official(report, split, scan, facts)
    _judge_frames(report, scans, manifest)
    _judge_hashes(report, scans)
    _judge_subset(report, scans, facts, choices)
    report.problems = list(dict.fromkeys(report.problems))  # two subsets share their sharp files
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _splits_there(report: Report) -> tuple[str, ...]:
    splits = BENCHMARKS[report.benchmark].splits
    if not any(holds_pairs(report.root, subset) for subset in _subsets(report.benchmark)):
        return splits
    # input/ and target/ directly in the root are one split, and only a name above can say which
    split = next((name for name in (report.root.name, report.root.parent.name) if name in splits), "test")
    report.notes.append(f"{report.root}: holds the pairs of one split only, judged as the {split} split")
    return (split,)


def _subsets(name: str) -> tuple[str, ...]:
    """The names of a benchmark's blurred folders, where it has a choice."""
    return BENCHMARKS[name].subsets or ("blur",)


def _choices_there(name: str, root: Path) -> list[dict[str, str]]:
    if not BENCHMARKS[name].subsets:
        return [{}]
    subsets, base = _subsets(name), below(root, "GOPRO_Large")
    present = [v for v in subsets if any(chain.from_iterable(base.glob(f"{above}{v}") for above in ("*/*/", "*/", "")))]
    return [{"subset": subset} for subset in present or subsets[:1]]


def _counts_written(report: Report, base: Path) -> dict[str, int] | None:
    try:
        manifest, remark = read_manifest(report.benchmark, report.root, base)
    except DataError as error:
        report.problems.append(str(error))
        return None
    report.notes += [remark] if remark else []
    return manifest


def _judge_absent(report: Report, absent: dict[str, str], manifest: dict | None) -> None:
    """A split that is not there is damage, unless the bundled copy never had it or most people do without."""
    optional = BENCHMARKS[report.benchmark].optional
    for split, message in absent.items():
        needed = split not in optional if manifest is None else split in manifest
        (report.problems if needed else report.notes).append(
            message if needed else message.splitlines()[0].removesuffix("; expected")
        )


@dataclass
class _Facts:
    """What opening one pair showed; numbers are NaN where they could not be measured.

    `level` is the mean of the blurred image, `sharper` the log of its fine detail over that of the sharp one
    (positive is suspicious), `tone` about 0 for a mean of stored values, above 1 for one in linear light.
    """

    problems: list[str]
    size: tuple[int, int] = (0, 0)
    psnr_db: float = math.nan
    level: float = math.nan
    sharper: float = math.nan
    tone: float = math.nan


def _examine_all(report: Report, scans: dict, workers: int | None, progress: Callable | None) -> dict:
    """Opens every file of every pair in threads; returns blurred path -> `_Facts`."""
    pairs = [pair for scan in scans.values() for pair in scan.pairs]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        examined = pool.map(_examine, pairs)
        examined = progress(examined, total=len(pairs)) if progress else examined
        facts = {pair.blurred: fact for pair, fact in zip(pairs, examined)}
    for fact in facts.values():
        report.problems += fact.problems
    return facts


def _examine(pair: Pair) -> _Facts:
    """Opens every file of a pair, Koehler's frames and the truth included."""
    facts = _Facts([])
    blurred = _open(facts, pair.blurred)
    sharp = _open(facts, pair.sharp) if pair.sharp else None
    others = {path: _open(facts, path) for path in pair.frames if path != pair.sharp}
    if blurred is not None:
        facts.size = blurred.shape[:2]
        for path, image in ((pair.sharp, sharp), *others.items()):
            if image is not None and image.shape != blurred.shape:
                facts.problems.append(size_message(pair.blurred, blurred, path, image))
    if pair.truth:
        _examine_truth(facts, pair)
    if blurred is not None and sharp is not None and blurred.shape == sharp.shape:
        _measure(facts, blurred, sharp)
    return facts


def _open(facts: _Facts, path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except DataError as error:
        facts.problems.append(str(error))
    except MemoryError:
        facts.problems.append(fault(path, "needs more memory than there is", "check it on a larger machine"))
    return None


def _examine_truth(facts: _Facts, pair: Pair) -> None:
    try:
        shape = read_truth(pair)["label"].shape
    except DataError as error:
        facts.problems.append(str(error))
        return
    if facts.size != (0, 0) and shape != facts.size:
        what = f"is {shape}, its image {facts.size}"
        facts.problems.append(fault(pair.truth, what, "write the bundled benchmark again"))


def _measure(facts: _Facts, blurred: np.ndarray, sharp: np.ndarray) -> None:
    mse = cv2.norm(blurred, sharp, cv2.NORM_L2SQR) / blurred.size
    facts.psnr_db = 10 * math.log10(255**2 / mse) if mse else math.inf
    blurred, sharp = (_centre(image).astype(np.float32) for image in (blurred, sharp))
    facts.level = float(blurred.mean())
    detail, reference = _detail(blurred), _detail(sharp)
    if detail > 0 and reference > 0:
        facts.sharper = math.log(detail / reference)
    facts.tone = _tone(blurred, sharp)


def _centre(image: np.ndarray, side: int = 512) -> np.ndarray:
    """A middle crop: the statistics need no more, and whole frames would double the time of a check."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def _detail(image: np.ndarray) -> float:
    """Energy of fine structure over the total variance, so that gain does not matter.

    A band (sigma 1 less sigma 2), not the highest frequencies: there noise and JPEG blocks outweigh edges.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    band = cv2.GaussianBlur(grey, (0, 0), 1) - cv2.GaussianBlur(grey, (0, 0), 2)
    variance = float(grey.var())
    return float((band**2).mean()) / variance if variance > 1 else 0.0


def _tone(blurred: np.ndarray, sharp: np.ndarray) -> float:
    """Tells a mean taken in linear light from a mean of stored values; float32 (H,W,3) in 0 to 255.

    With v the variance of a pixel over the exposure, the mean in linear light lies above the plain mean by
    about (gamma - 1)/2 * v / mean, and (blurred - sharp)^2 stands in for v. Over a window, blurred - sharp
    averages to nothing for the plain mean. So regress the one on the other over windows, through the origin.
    """
    shift, variance, mean = (
        cv2.GaussianBlur(values, (0, 0), 6) for values in (blurred - sharp, (blurred - sharp) ** 2, blurred)
    )
    excess = 0.6 * variance / np.maximum(mean, 8)
    weight = float((excess**2).sum())
    return float((shift * excess).sum()) / weight if excess.mean() > 0.02 else math.nan


def _median(values: Iterable[float]) -> float:
    values = [value for value in values if not math.isnan(value)]
    return float(np.median(values)) if values else math.nan


def _judge_counts(report: Report, split: str, scan: Scan, manifest: dict | None) -> int | None:
    count, expected = len(scan.pairs), expected_counts(report.benchmark, manifest).get(split)
    if expected is None:
        if manifest is not None:
            report.fault(scan.base, f"{split} is there, but not in the manifest", "write the benchmark again")
    elif {count, scan.blurred} != {expected} or (scan.sharp and scan.sharp != expected):
        counted = f"{count:,} of {expected:,} pairs ({scan.blurred:,} blurred, {scan.sharp:,} sharp)"
        incomplete = BENCHMARKS[report.benchmark].incomplete.get(split, ())
        recognised = {count, scan.blurred, scan.sharp} & set(incomplete)
        why = ", a known incomplete download, not the official set" if recognised else ""
        report.fault(scan.base, f"{split} has {counted}{why}")
    return expected


def _judge_numbering(report: Report, split: str, scan: Scan, expected: int | None) -> None:
    """Frames missing between the first and the last of a video folder."""
    video = BENCHMARKS[report.benchmark].video
    folders = defaultdict(list)
    for pair in scan.pairs:
        number = re.search(r"\d+$", pair.blurred.stem)
        if number and (video is True or (video == "nested" and pair.sequence != split)):
            folders[pair.blurred.parent, pair.blurred.stem[: number.start()]].append(number.group())
    for (folder, prefix), digits in folders.items():
        count, first = _lacking(map(int, digits))
        if not count:
            continue
        width = len(digits[0])
        named = _named([f"{prefix}{number:0{width}d}" for number in first], count)
        if expected == len(scan.pairs):
            report.notes.append(f"{folder}: the numbering skips {named}, but no pair is lacking")
        else:
            report.fault(folder, f"{count} frames missing in the numbering: {named}")


def _lacking(numbers: Iterable[int]) -> tuple[int, list[int]]:
    """How many numbers are missing between the first and the last, and the first few: a stray name may leave 10^20."""
    missing = gaps(numbers)
    return sum(gap.stop - gap.start for gap in missing), list(islice(chain.from_iterable(missing), 5))


def _named(first: list[str], count: int) -> str:
    return ", ".join(first) + (f" and {count - len(first)} more" if count > len(first) else "")


def _judge_images(report: Report, split: str, subset: str | None, pairs: list[Pair], facts: dict) -> None:
    """Swapped folders, copies of one folder under both names, truth for some pairs only."""
    sequences = defaultdict(list)
    for pair in pairs:
        sequences[pair.sequence].append(facts[pair.blurred])
    title = f"{report.root}: {split}" + (f", {subset}" if subset else "")
    everything = [fact for group in sequences.values() for fact in group]
    same = sum(math.isinf(fact.psnr_db) for fact in everything)
    if same > len(everything) / 2:
        report.fault(title, f"{same} of {len(everything)} blurred images equal their sharp ones")
    remedy = "rename the folders or unpack the set again"
    swapped = [name for name, group in sequences.items() if _median(fact.sharper for fact in group) > 0.1]
    if _median(fact.sharper for fact in everything) > 0.02:
        report.fault(title, "blurred and sharp are swapped, the blurred images are the sharper ones", remedy)
    elif swapped and BENCHMARKS[report.benchmark].video:
        # Photographed pairs (RealBlur, Koehler) are resampled to align, so there one scene proves nothing.
        report.fault(title, f"blurred and sharp are swapped in {few(swapped)}", remedy)
    without = [pair.name for pair in pairs if not pair.truth]
    if 0 < len(without) < len(pairs):
        report.fault(title, f"no true motion for {few(without)}", "write the bundled benchmark again")
    psnr_db = [fact.psnr_db for fact in everything if math.isfinite(fact.psnr_db)]
    if psnr_db:
        report.notes.append(f"{title}: mean input PSNR {np.mean(psnr_db):.2f} dB over {len(psnr_db)} pairs")


def _judge_official(report: Report, split: str, scan: Scan, facts: dict) -> None:
    """What only a full official copy must fulfil: number of sequences, frame size, frames a video."""
    entry = BENCHMARKS[report.benchmark]
    lengths = Counter(pair.sequence for pair in scan.pairs)
    expected = entry.sequences.get(split, len(lengths))
    if scan.form == "official" and len(lengths) != expected:
        report.fault(scan.base, f"{split} has {len(lengths)} of {expected} sequences")
    other = sorted(name for name, length in lengths.items() if length != (entry.nominal or length))
    if other:
        named = few(f"{name} has {lengths[name]}" for name in other)
        report.notes.append(f"{scan.base}: videos nominally have {entry.nominal} frames, but {named}")
    official: tuple[int, int] | None = entry.size
    sizes = Counter(facts[pair.blurred].size for pair in scan.pairs if facts[pair.blurred].size != (0, 0))
    for (height, width), count in sizes.items():
        if official and {height, width} != set(official):
            what = f"{count} images of {split} are {height}x{width} (height x width), the official ones"
            report.fault(scan.base, f"{what} {official[0]}x{official[1]}", f"a resized or cropped copy, {AGAIN}")


def _judge_frames(report: Report, scans: dict, manifest: dict | None) -> None:
    """Koehler: every trajectory frame is part of the score."""
    limits = BENCHMARKS[report.benchmark].frames
    if not limits:
        return
    pairs = [pair for scan in scans.values() for pair in scan.pairs]
    if report.form == "flat":
        report.notes.append(f"{report.root}: flat form has one frame a shot, koehler_best_frame needs all")
        return
    for pair in pairs:
        image, trajectory, _ = map(int, re.findall(r"\d+", pair.frames[0].stem))
        numbers = [int(path.stem.rpartition("_")[2]) for path in pair.frames]
        absent = KOEHLER_GAPS.get((image, trajectory), set())
        count, first = _lacking([1, *numbers, *(number for number in absent if number < max(numbers))])
        if count:
            named = _named([f"GroundTruth{image}_{trajectory}_{number}" for number in first], count)
            report.fault(pair.frames[0].parent, f"{count} frames missing: {named}")
        elif manifest is None and not limits[0] - len(absent) <= len(numbers) <= limits[1]:
            what = f"{len(numbers)} frames of GroundTruth{image}_{trajectory}, the official set has"
            report.fault(pair.frames[0].parent, f"{what} {limits[0]} to {limits[1]}")
    total = sum(len(pair.frames) for pair in pairs)
    if manifest and manifest.get("frames", total) != total:
        report.fault(report.root, f"{total:,} of {manifest['frames']:,} frames", "write the benchmark again")


def _judge_hashes(report: Report, scans: dict) -> None:
    """Files that are not as this package wrote them, where its manifest holds their hashes."""
    path = manifest_path(report.root, next(iter(scans.values())).base)
    if path is None:
        return
    try:
        hashes = open_manifest(path).get("files", {})
    except DataError:
        return  # already a problem: it has no counts either
    if not isinstance(hashes, dict):
        report.fault(path, "its 'files' hold no hashes", "write the tree again")
        return
    pairs = [pair for scan in scans.values() for pair in scan.pairs]
    files = {file for pair in pairs for file in (pair.blurred, pair.sharp, pair.truth, *pair.frames) if file}
    names = {os.path.relpath(file, path.parent): file for file in files} if hashes else {}
    changed = sorted(name for name, file in names.items() if _sha256(file) != hashes.get(Path(name).as_posix()))
    if changed:
        what = f"{len(changed)} files are not as this package wrote them, by their hashes: {few(changed)}"
        report.fault(path.parent, what, "write the tree again")


def _sha256(file: Path) -> str:
    try:
        return paths.file_sha256(file)
    except OSError:  # a problem already: its image could not be opened either
        return ""


def _judge_subset(report: Report, scans: dict, facts: dict, choices: dict[str, str]) -> None:
    """Tells GoPro's blur from blur_gamma by the pixels and compares with the folders' names."""
    if report.benchmark.startswith("realblur"):
        report.subset = report.benchmark[-1].upper()
        base = next(iter(scans.values())).base
        if report.form == "flat" and base.name[-1:].upper() != report.subset:
            report.notes.append(f"{report.root}: the flat form does not say J or R; {report.subset} is your word")
    if not BENCHMARKS[report.benchmark].subsets:
        return
    levels: dict[str, dict[str, float]] = defaultdict(dict)
    for (_, subset), scan in scans.items():
        levels[subset] |= {pair.name: facts[pair.blurred].level for pair in scan.pairs}
    if len(levels) == 2 and not _judge_both(report, levels):
        return
    named = report.form == "official" or bool(choices)
    report.subset = " and ".join(levels) if named else None
    for (split, subset), scan in scans.items():
        pixels = _seen_subset([facts[pair.blurred].tone for pair in scan.pairs])
        where = f"{report.root}: {split}"
        if pixels is None:
            report.notes.append(f"{where}: too little blur or too few pairs to tell blur from blur_gamma")
        elif not named:
            report.subset = pixels
        elif pixels != subset:
            report.subset = pixels
            remedy = f"choose {pixels}" if report.form == "flat" else f"rename it to {pixels}"
            report.fault(where, f"what is called {subset} holds {pixels} images, by their tone", remedy)


def _seen_subset(tones: list[float]) -> str | None:
    tones = [tone for tone in tones if not math.isnan(tone)]
    median = _median(tones)
    # Over 16 synthetic pairs the median lies in -0.15 to 0.45 for blur and in 0.95 to 2.5 for blur_gamma.
    if len(tones) < 8 or 0.5 < median < 0.7:
        return None
    return "blur_gamma" if median > 0.6 else "blur"


def _judge_both(report: Report, levels: dict[str, dict[str, float]]) -> bool:
    """The mean in linear light is at no pixel darker than the plain mean of the same frames."""
    plain, linear = levels["blur"], levels["blur_gamma"]
    shared = [name for name in plain.keys() & linear.keys() if not math.isnan(plain[name] + linear[name])]
    brighter = [linear[name] - plain[name] for name in shared]
    if brighter and max(map(abs, brighter)) == 0:
        report.fault(report.root, "blur and blur_gamma hold the same images")
    elif brighter and np.mean(brighter) < 0:
        report.subset = "blur and blur_gamma, names exchanged"
        what = "blur and blur_gamma have each other's name, for blur is the brighter"
        report.fault(report.root, what, "rename them")
        return False
    return True
