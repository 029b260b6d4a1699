"""One evaluator for every network: full frames, 8 bit, float64 scores, one row per image.

The protocol `full_rgb8`: the whole frame at once, clamped, rounded to 8 bit, PSNR in float64, the mean over images.
Where the benchmark knows the truth, scores are also given by kind of blur, of the pair and of the pixel.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from deblur import metrics
from deblur.data import official
from deblur.data.blur import KINDS
from deblur.data.loading import as_tensor

Restore = Callable[[np.ndarray], np.ndarray]
"""Blurred (H,W,3) uint8 -> restored (H,W,3) float32 in [0,1] units, unclamped."""


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
    bar = tqdm(pairs, desc=title, leave=False, mininterval=5, disable=not title)
    return pd.DataFrame([score(restore, pair) for pair in bar])


def score(restore: Restore, pair: official.Pair) -> dict[str, object]:
    """The scores of one pair: name, PSNR (8 bit and float), both SSIMs, and by kind of blur if truth is there."""
    blurred, sharp = official.read_pair(pair)
    restored = restore(blurred)
    restored8 = metrics.to_uint8(restored)
    row = {
        "name": pair.name,
        "psnr_db": metrics.psnr_db(restored8, sharp),
        "psnr_float_db": metrics.psnr_float_db(restored, sharp / 255),
        "ssim_gauss_rgb": metrics.ssim_gauss_rgb(restored8, sharp),
        "ssim_matlab_volume": metrics.ssim_matlab_volume(restored8, sharp),
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
