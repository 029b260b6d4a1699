"""The papers' training losses.

Each takes a network's outputs, full resolution first, the sharp image (N,3,H,W) in [0,1] and the share of the training
that is done, in [0,1), which only losses that change on the way look at. It returns its weighted terms by name; the sum
is what is minimised.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize_like(sharp: Tensor, output: Tensor) -> Tensor:
    """The target of a coarser output: the sharp image, bilinearly reduced as the network reduces its input."""
    if sharp.shape == output.shape:
        return sharp
    return F.interpolate(sharp, size=output.shape[-2:], mode="bilinear", align_corners=False)


def multi_scale_mse(outputs: tuple[Tensor, ...], sharp: Tensor) -> Tensor:
    """Sum over scales of the mean squared error (attentive, Eq. 8; the mean a scale is our reading)."""
    return sum(F.mse_loss(output, resize_like(sharp, output)) for output in outputs)


def gradient_loss(restored: Tensor, sharp: Tensor) -> Tensor:
    """Mean squared error of forward differences, both directions added (attentive, Eq. 9)."""
    error = restored - sharp
    return error.diff(dim=-1).square().mean() + error.diff(dim=-2).square().mean()


def attentive(
    outputs: tuple[Tensor, ...],
    sharp: Tensor,
    progress: float = 0.0,
    *,
    multi_scale: bool = True,
    lambda_grad: float = 2.5,
) -> dict[str, Tensor]:
    """`L_mse + lambda L_grad` (attentive, Eqs. 7-9).

    Args:
        multi_scale: supervise all scales, or the finest only (Table 7).
        lambda_grad: weight of the gradient term, taken at the finest scale; 0 leaves it out (Table 7).
    """
    terms = {"mse": multi_scale_mse(outputs if multi_scale else outputs[:1], sharp)}
    if lambda_grad:
        terms["gradient"] = lambda_grad * gradient_loss(outputs[0], sharp)
    return terms


@torch.no_grad()
def measure_lambda(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Ratio L_mse / L_grad of a network trained with lambda = 1: the paper's way to its 2.5 (Sec. 3.3).

    Raises:
        ValueError: if no batch is given.
    """
    mse, gradient = 0.0, 0.0
    for blurred, sharp in batches:
        terms = attentive(network(blurred), sharp, lambda_grad=1.0)
        mse += float(terms["mse"])
        gradient += float(terms["gradient"])
    if not gradient:
        raise ValueError("batches must hold at least one pair that is not restored perfectly")
    return mse / gradient


def srn(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
    """Sum over scales of the mean squared error, all scales weighing alike (SRN and its authors' code)."""
    return {"mse": multi_scale_mse(outputs, sharp)}


def simplenet(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
    """Absolute error of the one output (SimpleNet, Sec. 3.5: "L1 loss"; the mean over values is our reading)."""
    return {"l1": F.l1_loss(outputs[0], sharp)}


LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "attentive": attentive,
    "srn": srn,
    "simplenet": simplenet,
}
"""Name in a recipe -> loss."""
