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

from deblur.data import official
from deblur.data.blur import KINDS
from deblur.data.loading import as_tensor
from deblur.evaluation import metrics, stacked

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


def windowed(network: nn.Module, size: int, device: str | torch.device = "cpu") -> Restore:
    """As `restorer`, window by window of a size in pixels that divides the image's sides.

    A network whose modules look at the whole image then sees what it was trained on.
    """
    network = network.to(device).eval()

    @torch.inference_mode()
    def restore(blurred: np.ndarray) -> np.ndarray:
        height, width = blurred.shape[:2]
        if height % size or width % size:
            raise ValueError(f"an image of {height}x{width} has no whole windows of {size}")
        grid = (height // size, size, width // size, size)
        windows = as_tensor(blurred).reshape(3, *grid).permute(1, 3, 0, 2, 4).reshape(-1, 3, size, size)
        restored = network(windows.to(device))[0].reshape(grid[0], grid[2], 3, size, size)
        return np.ascontiguousarray(restored.permute(0, 3, 1, 4, 2).reshape(height, width, 3).float().cpu().numpy())

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
    return [_row(pair, *image, *ssim) for pair, image, ssim in zip(pairs, images, ssims, strict=True)]


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
        summary |= {f"gain_db_{kind}": float(rows["gain_db"].mean()) for kind, rows in gained.groupby("kind")}
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
