"""One evaluator for every network: full frames, 8 bit, float64 scores, one row per image.

The protocol `full_rgb8`: the whole frame at once, clamped, rounded to 8 bit, PSNR in float64, the mean over images.
Where the benchmark knows the truth, scores are also given by kind of blur, of the pair and of the pixel.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from deblur import metrics, paths, stacked
from deblur.data import official
from deblur.data.blur import KINDS
from deblur.data.loading import as_tensor
from deblur.errors import UsageError
from deblur.journal import Journal, stamp
from deblur.source import code_hash

log = logging.getLogger(__name__)

Restore = Callable[[np.ndarray], np.ndarray]
"""Blurred (H,W,3) uint8 -> restored (H,W,3) float32 in [0,1] units, unclamped."""


STACK = 8
"""Frames that are scored at once on CUDA."""


def restorer(network: nn.Module, device: str | torch.device = "cpu") -> Restore:
    """A network in evaluation mode as a function of one image."""
    network = network.to(device).eval()

    @torch.inference_mode()
    def restore(blurred: np.ndarray) -> np.ndarray:
        restored = network(as_tensor(blurred)[None].to(device))[0]
        return np.ascontiguousarray(restored[0].permute(1, 2, 0).float().cpu().numpy())

    return restore


def identity(blurred: np.ndarray) -> np.ndarray:
    """The blurred input itself, the row that every method must beat."""
    return blurred.astype(np.float32) / 255


def evaluate(restore: Restore, pairs: Sequence[official.Pair], title: str = "") -> pd.DataFrame:
    """Score a method: one row per pair, in order, with a bar if there is a title for it."""
    rows, size = [], STACK if torch.cuda.is_available() else 1
    with tqdm(total=len(pairs), desc=title, leave=False, mininterval=5, disable=not title) as bar:
        for start in range(0, len(pairs), size):
            rows += score_stack(restore, pairs[start : start + size])
            bar.update(len(rows) - bar.n)
    return pd.DataFrame(rows)


def score(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The row of `full_rgb8`, see `score_stack`."""
    return score_stack(restore, [pair])[0]


def score_stack(restore: Restore, pairs: Sequence[official.Pair], device: str | None = None) -> list[dict[str, object]]:
    """The scores of some pairs: name, PSNR (8 bit and float), both SSIMs, and by kind of blur if truth is there.

    Args:
        device: where SSIM is computed, by default on CUDA if there is one.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    images = []
    for pair in pairs:
        blurred, sharp = official.read_pair(pair)
        restored = restore(blurred)
        images.append((restored, metrics.to_uint8(restored), sharp))
    ssims = _ssims([(restored8, sharp) for _, restored8, sharp in images], device)
    return [_row(pair, *found, *ssim) for pair, found, ssim in zip(pairs, images, ssims, strict=True)]


def _ssims(images: Sequence[tuple[np.ndarray, np.ndarray]], device: str) -> list[tuple[float, float]]:
    """Both SSIMs of each pair of 8-bit images: one by one on a CPU or if sizes differ, else in one stack."""
    if device == "cpu" or len({image.shape for pair in images for image in pair}) > 1:
        return [(metrics.ssim_gauss_rgb(*pair), metrics.ssim_matlab_volume(*pair)) for pair in images]
    stacks = [torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).to(device) for part in zip(*images, strict=True)]
    return list(zip(stacked.ssim_gauss_rgb(*stacks).tolist(), stacked.ssim_matlab_volume(*stacks).tolist()))


def _row(
    pair: official.Pair, restored: np.ndarray, restored8: np.ndarray, sharp: np.ndarray, gauss: float, volume: float
) -> dict[str, object]:
    row = {
        "name": pair.name,
        "psnr_db": metrics.psnr_db(restored8, sharp),
        "psnr_float_db": metrics.psnr_float_db(restored, sharp / 255),
        "ssim_gauss_rgb": gauss,
        "ssim_matlab_volume": volume,
    }
    if pair.truth is not None:
        truth = official.read_truth(pair)
        row |= {"kind": str(truth["kind"]), "path_px": float(truth["path_px"].mean())}
        for index, kind in enumerate(KINDS):
            mask = truth["label"] == index
            row[f"pixels_{kind}"] = int(mask.sum())
            row[f"psnr_db_{kind}"] = metrics.psnr_db(restored8, sharp, mask=mask) if mask.any() else np.nan
    return row


def add_gain(scores: pd.DataFrame, blurred_scores: pd.DataFrame) -> pd.DataFrame:
    """`scores` with `gain_db`, the PSNR gained over the blurred input, pairs matched by name."""
    before = blurred_scores.set_index("name")["psnr_db"]
    unmatched = set(scores["name"]) ^ set(before.index)
    if unmatched:
        raise ValueError(f"scores of different pairs, e.g. {min(unmatched)}: evaluate both on the same split")
    return scores.assign(gain_db=scores["psnr_db"] - before.loc[scores["name"]].to_numpy())


def summarise(scores: pd.DataFrame, blurred_scores: pd.DataFrame) -> dict[str, float]:
    """Means over images: PSNR, both SSIMs, gain over the blurred input, and the gain by kind of pair."""
    gained = add_gain(scores, blurred_scores)
    names = ("psnr_db", "psnr_float_db", "ssim_gauss_rgb", "ssim_matlab_volume", "gain_db")
    summary = {name: float(gained[name].mean()) for name in names}
    if "kind" in gained:
        summary |= {f"gain_db_{kind}": float(part["gain_db"].mean()) for kind, part in gained.groupby("kind")}
    return summary


def by_kind(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean scores for each kind of blur, or one row "all" where the data set does not know it."""
    names = ("psnr_db", "ssim_gauss_rgb", "ssim_matlab_volume", "gain_db", "path_px")
    grouped = scores.groupby("kind") if "kind" in scores else scores.groupby(lambda _: "all")
    means = grouped[[name for name in names if name in scores]].mean()
    return means.assign(pairs=grouped.size()).reset_index(names="kind")


def restore_all(
    methods: dict[str, Restore], blurred: np.ndarray, sharp: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """One picture by several methods, for a figure: `blurred`, each method's 8-bit image and, if known, `sharp`."""
    restored = {name: metrics.to_uint8(method(blurred)) for name, method in methods.items()}
    return {"blurred": blurred, **restored} | ({} if sharp is None else {"sharp": sharp})


def psnr_labels(images: dict[str, np.ndarray]) -> dict[str, float]:
    """PSNR in dB of each picture that `restore_all` gave against its `sharp` one."""
    return {name: metrics.psnr_db(image, images["sharp"]) for name, image in images.items() if name != "sharp"}


# ------------------------------------------------------------------------------------------- official protocols

Method = Callable[[official.Pair], Restore]
"""What restores the blurred image of a pair: one network for all, or a file that somebody has restored already."""


def score_realblur(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The row of `realblur_ecc`: aligned scores, the unaligned ones beside them, and whether alignment worked."""
    blurred, sharp = official.read_pair(pair)
    return {"name": pair.name, **asdict(metrics.realblur_ecc(metrics.to_uint8(restore(blurred)), sharp))}


def score_koehler(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The row of `koehler_best_frame`: best scores and their frames, and plain PSNR against the middle frame only.

    Raises:
        DataError: a flat copy, which has one frame a shot.
    """
    if not pair.frames:
        raise official.DataError(
            f"{pair.blurred}: has one sharp frame only; koehler_best_frame needs the official tree"
        )
    blurred, sharp = official.read_pair(pair)
    restored = metrics.to_uint8(restore(blurred))
    best = metrics.koehler_best_frame(restored, map(official.read_image, pair.frames))
    return {
        "name": pair.name,
        "psnr_db": best.psnr_db,
        "ms_ssim": best.ms_ssim,
        "psnr_plain_db": metrics.psnr_db(restored, sharp),
        "psnr_frame": pair.frames[best.psnr_frame].stem,
        "ms_ssim_frame": "" if best.ms_ssim_frame is None else pair.frames[best.ms_ssim_frame].stem,
        "frames": len(pair.frames),
    }


def score_dvd_aligned(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The row of `dvd_aligned_30`: Koehler-aligned PSNR of a frame, and the plain one beside it."""
    blurred, sharp = official.read_pair(pair)
    restored = metrics.to_uint8(restore(blurred))
    return {
        "name": pair.name,
        "video": pair.sequence,
        "psnr_db": metrics.dvd_aligned_psnr(restored, sharp),
        "psnr_plain_db": metrics.psnr_db(restored, sharp),
    }


def score_dvd_plain(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The row of `dvd_plain_all`: that of `full_rgb8`, with its video."""
    return {**score(restore, pair), "video": pair.sequence}


def dvd_thirty(pairs: Sequence[official.Pair]) -> list[official.Pair]:
    """The frames that `dvd_aligned_30` scores: at most 30 of each video, by `metrics.dvd_frame_indices`."""
    videos = defaultdict(list)
    for pair in pairs:
        videos[pair.sequence].append(pair)
    return [video[number - 1] for video in videos.values() for number in metrics.dvd_frame_indices(len(video))]


def means(scores: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Means over images."""
    return {name: float(scores[name].mean()) for name in columns}


def realblur_means(scores: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Means over images, those that could not be aligned included, and how many these are."""
    return means(scores, columns) | {"unaligned": int((~scores["aligned"].astype(bool)).sum())}


def video_means(scores: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Means over the means of the videos, and the PSNR of each video."""
    videos = scores.groupby("video")[list(columns)].mean()
    return means(videos, columns) | {f"psnr_db_{video}": float(value) for video, value in videos["psnr_db"].items()}


_FULL = ("psnr_db", "psnr_float_db", "ssim_gauss_rgb", "ssim_matlab_volume")
PROTOCOLS: dict[str, dict[str, Any]] = {
    "full_rgb8": {
        "score": score,
        "benchmarks": ("gopro", "hide", "realblur_j", "realblur_r", "flat"),
        "columns": _FULL,
        "summarise": means,
    },
    "realblur_ecc": {
        "score": score_realblur,
        "benchmarks": ("realblur_j", "realblur_r"),
        "columns": ("psnr_db", "ssim_gauss_rgb", "psnr_unaligned_db", "ssim_unaligned"),
        "summarise": realblur_means,
    },
    "koehler_best_frame": {
        "score": score_koehler,
        "benchmarks": ("koehler",),
        "columns": ("psnr_db", "ms_ssim", "psnr_plain_db"),
        "summarise": means,
    },
    "dvd_aligned_30": {
        "score": score_dvd_aligned,
        "benchmarks": ("dvd",),
        "columns": ("psnr_db", "psnr_plain_db"),
        "summarise": video_means,
        "choose": dvd_thirty,
    },
    "dvd_plain_all": {
        "score": score_dvd_plain,
        "benchmarks": ("dvd",),
        "columns": _FULL,
        "summarise": video_means,
    },
}
"""Protocol -> the row of one image, the benchmarks that it fits, the columns of its summary, how these are averaged
and, where not every pair counts, which do. What each protocol means is said in `metrics.PROTOCOLS`."""


def protocol_for(name: str, benchmark: str) -> dict:
    """An entry of `PROTOCOLS`.

    Raises:
        ValueError: an unknown protocol or benchmark, or two that do not fit; names those that do.
    """
    if benchmark not in official.BENCHMARKS:
        raise ValueError(f"unknown benchmark {benchmark!r}; choose one of {', '.join(sorted(official.BENCHMARKS))}")
    fitting = [known for known, entry in PROTOCOLS.items() if benchmark in entry["benchmarks"]]
    if name not in fitting:
        what = f"does not fit {benchmark}" if name in PROTOCOLS else "is unknown"
        raise ValueError(f"protocol {name!r} {what}; choose {' or '.join(fitting) or 'none: it has no sharp images'}")
    return PROTOCOLS[name]


def counted_pairs(protocol: str, pairs: Sequence[official.Pair]) -> Sequence[official.Pair]:
    """The pairs that a protocol counts."""
    return PROTOCOLS[protocol].get("choose", lambda all_pairs: all_pairs)(pairs)


def score_pairs(
    protocol: str,
    benchmark: str,
    method: Method,
    pairs: Sequence[official.Pair],
    title: str = "",
    journal: Journal | None = None,
    files: Mapping[str, Path] | None = None,
) -> pd.DataFrame:
    """Score a method by a protocol: one row per pair that counts, in order, with a bar if there is a title for it.

    Args:
        journal: keeps finished rows; those made from the same files are not made again.
        files: pair name -> the file that its row depends on besides the pair's own.
    """
    entry = protocol_for(protocol, benchmark)
    rows = []
    for pair in tqdm(counted_pairs(protocol, pairs), desc=title, leave=False, mininterval=1, disable=not title):
        own = {pair.blurred, pair.sharp, pair.truth, *pair.frames, files[pair.name] if files else None} - {None}
        made_from = stamp(sorted(own)) if journal else ""
        known, row = journal.rows.get(pair.name, ("", None)) if journal else ("", None)
        if row is None or known != made_from:
            try:
                row = entry["score"](method(pair), pair)
            except ValueError as error:
                raise ValueError(f"{pair.name}: {error}") from error
            row = journal.append(pair.name, made_from, row) if journal else row
        rows.append(row)
    return pd.DataFrame(rows)


def summarise_protocol(protocol: str, scores: pd.DataFrame) -> dict[str, float]:
    """The summary of a table that `score_pairs` made."""
    entry = PROTOCOLS[protocol]
    return entry["summarise"](scores, entry["columns"])


def restored_files(folder: Path, pairs: Sequence[official.Pair], protocol: str) -> dict[str, Path]:
    """Pair name -> the restored image in `folder`: `SEQUENCE/STEM.png` or, where stems are unique, `STEM.png`.

    A restored tree is taken as it is: where no name fits, folders above the sequence and one of blurred images below it
    are looked through, if each image is then that of one pair.

    Raises:
        DataError: extra images, or missing ones that the protocol counts; all counted and the first named.
    """
    if not folder.is_dir():
        raise official.DataError(f"{folder}: no such folder; give the one that holds the restored images")
    found = _images_below(folder)
    names = {pair.name: pair.name for pair in pairs}
    stems = {pair.name: pair.blurred.stem for pair in pairs}
    ways = [names, stems] if len(set(stems.values())) == len(pairs) else [names]
    if not any(found.keys() & {*way.values()} for way in ways):
        deeper = next((inner for way in ways if (inner := _looked_through(found, {*way.values()}))), None)
        found = deeper or found
    names = next((way for way in ways if found.keys() & {*way.values()}), ways[-1])
    missing = sorted(names[pair.name] for pair in counted_pairs(protocol, pairs) if names[pair.name] not in found)
    extra = sorted(found.keys() - set(names.values()))
    wrong = [
        f"{len(part)} {word} ({official.few(part)})" for part, word in ((missing, "missing"), (extra, "extra")) if part
    ]
    if wrong:
        remedy = f"images are matched by name, one for each pair, as {min(names.values())}.png"
        raise official.DataError(f"{folder}: {' and '.join(wrong)}{_alike(missing, extra)}; {remedy}")
    return {name: found[key] for name, key in names.items() if key in found}


def _images_below(folder: Path) -> dict[str, Path]:
    """Name below the folder, without its suffix -> image."""
    found: dict[str, Path] = {}
    others: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if not path.name.startswith(".")):
        kind = paths.kind(path)
        if path.suffix.lower() not in official.SUFFIXES:
            others |= {path.suffix} if kind == "a file" and path.suffix else set()
            continue
        if kind != "a file":
            raise official.DataError(f"{path}: is {kind}, not an image; remove it, or restore the image again")
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise official.DataError(f"{path}: also there as {found[name].name}; keep one")
        found[name] = path
    if not found:
        kinds = f" but {official.few(sorted(others))}" if others else ""
        read = ", ".join(sorted(official.SUFFIXES))
        raise official.DataError(f"{folder}: holds no images{kinds}; read are {read}")
    return found


def _looked_through(found: Mapping[str, Path], wanted: set[str]) -> dict[str, Path] | None:
    """The images under the names that are wanted, if each is one of them by the last parts of its path."""
    short: dict[str, Path] = {}
    for name, path in found.items():
        *above, stem = name.split("/")
        ways = [above, above[:-1]] if above[-1:] in (["input"], ["blur"], ["blur_gamma"]) else [above]
        tails = ("/".join([*way[start:], stem]) for way in ways for start in range(len(way) + 1))
        known = next((tail for tail in tails if tail in wanted), None)
        if known is None or known in short:
            return None
        short[known] = path
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
    code = code_hash(protocol_for(protocol, benchmark)["score"])
    read = (file for pair in pairs for file in (pair.blurred, pair.sharp, pair.truth, *pair.frames) if file)
    inputs = (*inputs, *(files or {}).values(), *read)
    subject = record | {"code": code}
    with (
        paths.delivering(out, overwrite, inputs) as draft,
        Journal(out.with_name(f"{out.name}.journal"), subject) as journal,
    ):
        if journal.dropped:
            log.warning("%s: damaged rows are made again", journal.path)
        scores = score_pairs(protocol, benchmark, method, pairs, f"{benchmark} {protocol}", journal, files)
        scores = scores.assign(**record)
        draft.write_text(scores.to_csv(index=False), encoding="utf-8")
        journal.remove()
    return scores
