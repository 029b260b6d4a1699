"""The official protocols: which pairs count, how a row is scored, how rows are averaged."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from deblur.data import official, video
from deblur.errors import UsageError, alternatives, unknown
from deblur.evaluation import alignment, metrics
from deblur.evaluation.evaluator import Restore, score
from deblur.journal import Journal, state_of

Method = Callable[[official.Pair], Restore]
"""What restores the blurred image of a pair: one network for all, or a file that somebody has restored already."""


def on_frames(
    restore: Callable[[Sequence[np.ndarray]], np.ndarray], pairs: Sequence[official.Pair], frames: int
) -> Method:
    """What restores the middle one of so many frames, as a method: it looks up the neighbours of each pair.

    Args:
        pairs: whole sequences, see `video.windows`.
    """
    around = video.windows(pairs, frames)
    return lambda pair: lambda blurred: restore(video.read_frames(around[pair.name]))


def score_realblur(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The row of `realblur_ecc`: aligned scores, the unaligned ones beside them, and whether alignment worked."""
    blurred, sharp = official.read_pair(pair)
    return {"name": pair.name, **asdict(alignment.realblur_ecc(metrics.to_uint8(restore(blurred)), sharp))}


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
    best = alignment.koehler_best_frame(restored, map(official.read_image, pair.frames))
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
        "psnr_db": alignment.dvd_aligned_psnr(restored, sharp),
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
    return [video[number - 1] for video in videos.values() for number in alignment.dvd_frame_indices(len(video))]


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


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a benchmark is scored.

    Attributes:
        score: the row of one image.
        benchmarks: those that it fits.
        columns: of its summary.
        summarise: how the columns of a table of rows are averaged.
        choose: the pairs that count; None where all do.
    """

    meaning: str
    score: Callable[[Restore, official.Pair], dict[str, object]]
    benchmarks: tuple[str, ...]
    columns: tuple[str, ...]
    summarise: Callable[[pd.DataFrame, Sequence[str]], dict[str, float]]
    choose: Callable[[Sequence[official.Pair]], list[official.Pair]] | None = None


PROTOCOLS: dict[str, Protocol] = {
    "full_rgb8": Protocol(
        meaning="full frame, clamped, rounded to 8 bits, PSNR over all RGB values, mean over images",
        score=score,
        benchmarks=("gopro", "hide", "realblur_j", "realblur_r", "flat"),
        columns=_FULL,
        summarise=means,
    ),
    "realblur_ecc": Protocol(
        meaning="gain and ECC homography onto the sharp image, then PSNR and SSIM over the valid pixels",
        score=score_realblur,
        benchmarks=("realblur_j", "realblur_r"),
        columns=("psnr_db", "ssim_gauss_rgb", "psnr_unaligned_db", "ssim_unaligned"),
        summarise=realblur_means,
    ),
    "koehler_best_frame": Protocol(
        meaning="gain, integer shift, luma; best over the sharp frames, then mean over images",
        score=score_koehler,
        benchmarks=("koehler",),
        columns=("psnr_db", "ms_ssim", "psnr_plain_db"),
        summarise=means,
    ),
    "dvd_aligned_30": Protocol(
        meaning="Koehler-aligned luma PSNR of 30 frames a video, mean over frames, then over videos",
        score=score_dvd_aligned,
        benchmarks=("dvd",),
        columns=("psnr_db", "psnr_plain_db"),
        summarise=video_means,
        choose=dvd_thirty,
    ),
    "dvd_plain_all": Protocol(
        meaning="full_rgb8 PSNR of every frame, mean over frames, then over videos",
        score=score_dvd_plain,
        benchmarks=("dvd",),
        columns=_FULL,
        summarise=video_means,
    ),
}


def protocol_for(name: str, benchmark: str) -> Protocol:
    """An entry of `PROTOCOLS`.

    Raises:
        ValueError: an unknown protocol or benchmark, or two that do not fit; names those that do.
    """
    if benchmark not in official.BENCHMARKS:
        raise unknown("benchmark", benchmark, sorted(official.BENCHMARKS))
    fitting = [protocol for protocol, entry in PROTOCOLS.items() if benchmark in entry.benchmarks]
    if name not in fitting:
        what = f"does not fit {benchmark}" if name in PROTOCOLS else "is unknown"
        remedy = alternatives(name, fitting) if fitting else "none does: it has no sharp images"
        raise UsageError(f"protocol {name!r} {what}; {remedy}")
    return PROTOCOLS[name]


def counted_pairs(protocol: str, pairs: Sequence[official.Pair]) -> Sequence[official.Pair]:
    """The pairs that a protocol counts."""
    choose = PROTOCOLS[protocol].choose
    return choose(pairs) if choose else pairs


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
        made_from = state_of(sorted(own)) if journal else ""
        state, row = journal.rows.get(pair.name, ("", None)) if journal else ("", None)
        if row is None or state != made_from:
            try:
                row = entry.score(method(pair), pair)
            except ValueError as error:
                raise ValueError(f"{pair.name}: {error}") from error
            row = journal.append(pair.name, made_from, row) if journal else row
        rows.append(row)
    return pd.DataFrame(rows)


def summarise_protocol(protocol: str, scores: pd.DataFrame) -> dict[str, float]:
    """The summary of a table that `score_pairs` made."""
    entry = PROTOCOLS[protocol]
    return entry.summarise(scores, entry.columns)
