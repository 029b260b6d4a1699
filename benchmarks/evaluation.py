"""Speed of scoring a whole 720x1280 pair from its files, beside scikit-image's PSNR and SSIM of the same pair.

Ours gives two SSIMs, two PSNRs and checks its input; on CUDA also a stack of frames beside one frame after the other.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from benchmarks.metrics import pair, scikit_image, time_case
from deblur import evaluation
from deblur.data import official
from deblur.evaluation import metrics, stacked

ROUNDS = 5


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.png" for name in ("blurred", "sharp")]
        for path, image in zip(files, pair(), strict=True):
            Image.fromarray(image).save(path, compress_level=1)
        rows = [
            time_case((official.Pair("pair", "", *files),), "score of a pair", _ours, "scikit-image", _theirs, ROUNDS)
        ]
    if torch.cuda.is_available():
        frames = [pair()] * evaluation.STACK
        rows.append(time_case((frames,), "ssim of a stack on CUDA", _on_cuda, "one by one, CPU", _one_by_one, ROUNDS))
    return rows


def _ours(of: official.Pair) -> float:
    return evaluation.score_stack(evaluation.identity, [of], "cpu")[0]["ssim_gauss_rgb"]


def _theirs(of: official.Pair) -> float:
    restored, sharp = (np.asarray(Image.open(path)) for path in (of.blurred, of.sharp))
    peak_signal_noise_ratio(sharp, restored, data_range=255)
    return scikit_image(restored, sharp)


def _on_cuda(frames: list[tuple[np.ndarray, np.ndarray]]) -> float:
    stacks = [torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).cuda() for part in zip(*frames, strict=True)]
    return float(stacked.ssim_gauss_rgb(*stacks).mean())


def _one_by_one(frames: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([metrics.ssim_gauss_rgb(*frame) for frame in frames]))
