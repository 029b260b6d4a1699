"""Both SSIMs of a stack of images at once, in float64 torch: what scoring uses where there is a CUDA device.

The numbers are those of `metrics` to 1e-9. On a CPU `metrics` is faster, since OpenCV works in bands that stay in the
cache.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.evaluation import metrics
from deblur.evaluation.metrics import C1, C2, RADIUS, SIGMA, WINDOW


def ssim_gauss_rgb(restored: Tensor, sharp: Tensor) -> Tensor:
    """`metrics.ssim_gauss_rgb` of each image.

    Args:
        restored, sharp: (N,3,H,W) uint8, at least 11 px a side, on one device.

    Returns:
        (N,) float64.
    """
    _check(restored, sharp)
    return _ssim(restored.double(), sharp.double(), torch.eye(3, dtype=torch.float64, device=sharp.device))


def ssim_matlab_volume(restored: Tensor, sharp: Tensor) -> Tensor:
    """`metrics.ssim_matlab_volume` of each image; arguments and result as above, any size."""
    _check(restored, sharp, smallest=1)
    mix = torch.from_numpy(metrics.channel_mix()).to(sharp.device)
    padded = (F.pad(image.double(), (RADIUS,) * 4, mode="replicate") for image in (restored, sharp))
    return _ssim(*padded, mix)  # type: ignore[call-arg]  # two images


def _check(restored: Tensor, sharp: Tensor, smallest: int = WINDOW) -> None:
    if (
        restored.shape != sharp.shape
        or restored.ndim != 4
        or restored.dtype != torch.uint8
        or sharp.dtype != torch.uint8
    ):
        got = f"{tuple(restored.shape)} {restored.dtype} and {tuple(sharp.shape)} {sharp.dtype}"
        raise ValueError(f"restored and sharp must be uint8 (N,3,H,W) of one size, not {got}; convert or crop them")
    if min(restored.shape[-2:]) < smallest:
        raise ValueError(f"restored: {tuple(restored.shape[-2:])} px is smaller than the window of {smallest} px")


def _ssim(x: Tensor, y: Tensor, mix: Tensor) -> Tensor:
    """Mean over the positions where the window fits; `mix` (3,3) is the window along the channels."""
    line = torch.exp(-(torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64, device=x.device) ** 2) / (2 * SIGMA**2))
    line = (line / line.sum()).expand(3, 1, 1, -1)

    def window(image: Tensor) -> Tensor:
        image = F.conv2d(F.conv2d(image, line, groups=3), line.mT, groups=3)
        return torch.einsum("dc,nchw->ndhw", mix, image)

    mean_x, mean_y = window(x), window(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = window(x * y) - product, window(x**2 + y**2) - squares
    return ((2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))).mean(dim=(1, 2, 3))
