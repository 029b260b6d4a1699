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
    return sum(F.mse_loss(output, resize_like(sharp, output)) for output in outputs)  # type: ignore[return-value]  # there is an output


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
    """Ratio L_mse / L_grad of a network trained with lambda = 1: the paper's way to its 2.5 (Sec. 4.2).

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


def radn(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0, *, kind: str = "mse") -> dict[str, Tensor]:
    """Squared or absolute error of the one output (RADN).

    The paper names no loss. The squared error is our reading: its scores are PSNR, its second family and its closest
    rival come from networks trained so, and it lists other losses as what others need.

    Args:
        kind: "mse" or "l1".
    """
    errors = {"mse": F.mse_loss, "l1": F.l1_loss}
    if kind not in errors:
        raise ValueError(f"unknown kind {kind!r}; choose one of {', '.join(errors)}")
    return {kind: errors[kind](outputs[0], sharp)}


def ssim(restored: Tensor, sharp: Tensor) -> Tensor:
    """Mean SSIM of images (N,C,H,W) in [0,1], differentiable; `metrics.ssim_gauss_rgb` for training.

    Per channel, where an 11x11 Gaussian window (sigma 1.5) fits, c1 = 0.01^2, c2 = 0.03^2, population covariance.

    Raises:
        ValueError: for images smaller than the window.
    """
    if min(sharp.shape[-2:]) < 11:
        raise ValueError(f"SSIM needs images of at least 11 px a side, not {tuple(sharp.shape[-2:])}; use larger crops")
    window = torch.exp(-torch.arange(-5.0, 6.0).to(sharp).square() / (2 * 1.5**2))
    window = (window / window.sum()).reshape(1, 1, 11, 1)

    def local_mean(image: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(image.flatten(0, 1)[:, None], window), window.mT)

    mean_x, mean_y = local_mean(restored), local_mean(sharp)
    covariance = local_mean(restored * sharp) - mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    variances = local_mean(restored.square() + sharp.square()) - squares
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))).mean()


def raidnet(
    outputs: tuple[Tensor, ...],
    sharp: Tensor,
    progress: float = 0.0,
    *,
    switch: float = 511 / 2000,
    lambda_ssim: float = 0.02,
) -> dict[str, Tensor]:
    """Step 1: MSE of the coarse and the final image; step 2: `lambda (1 - SSIM)` of the final one besides (RAID-Net,
    Eqs. 6, 7).

    Eq. 7 as printed is SSIM itself, with a c1 where c2 belongs: two black images would score 2, and minimising it would
    make images worse. The paper weighs nothing: 0.02 balances both terms where it ends (30.90 dB, SSIM 0.956). Both
    targets are the sharp image, since no set knows an image that is free of global blur only.

    Args:
        switch: share of the training after which step 2 begins; unstated, here epoch 511 of 2000, where the learning
            rate restarts.
    """
    terms = {"mse": multi_scale_mse(outputs, sharp)}
    if progress >= switch:
        terms["ssim"] = lambda_ssim * (1 - ssim(outputs[0], sharp))
    return terms


def charbonnier(restored: Tensor, sharp: Tensor, eps: float = 1e-3) -> Tensor:
    """Mean over values of `sqrt(error^2 + eps^2)`, an absolute error that is smooth at 0 (MPRNet, Eq. 2)."""
    return ((restored - sharp).square() + eps**2).sqrt().mean()


def laplacian(image: Tensor) -> Tensor:
    """Edges of images (N,C,H,W): the finest level of a Laplacian pyramid, lost when they are halved and doubled again.

    Smoothed by (1, 5, 8, 5, 1) / 20 in both directions, borders repeated, as in the code of MPRNet's authors.
    """
    row = image.new_tensor([0.05, 0.25, 0.4, 0.25, 0.05])
    kernel = torch.outer(row, row).expand(image.shape[1], 1, 5, 5)

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), kernel, groups=x.shape[1])

    doubled = torch.zeros_like(image)
    doubled[..., ::2, ::2] = 4 * smooth(image)[..., ::2, ::2]
    return image - smooth(doubled)


def mprnet(
    outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0, *, lambda_edge: float = 0.05
) -> dict[str, Tensor]:
    """Charbonnier error of images and of their edges, summed over stages (MPRNet, Eqs. 1 to 3)."""
    errors, nought = [output - resize_like(sharp, output) for output in outputs], sharp.new_zeros(())
    return {
        "charbonnier": sum(charbonnier(error, nought) for error in errors),  # type: ignore[dict-item]  # there is an output
        # Edges are linear in the image.
        "edge": lambda_edge * sum(charbonnier(laplacian(error), nought) for error in errors),  # type: ignore[dict-item]  # there is an output
    }


def halved_like(sharp: Tensor, output: Tensor) -> Tensor:
    """The target of a coarser output: the sharp image under successive 2x2 means, of what there is at an odd border."""
    while sharp.shape[-2] > output.shape[-2] or sharp.shape[-1] > output.shape[-1]:
        sharp = F.avg_pool2d(sharp, 2, ceil_mode=True)
    return sharp


def sgenet(
    outputs: tuple[Tensor, ...],
    sharp: Tensor,
    progress: float = 0.0,
    *,
    images: str = "all",
    lambda_edge: float = 0.05,
) -> dict[str, Tensor]:
    """Charbonnier error of predicted images and of their edges, summed over scales and stages (SGENet, Eqs. 2 to 4).

    Eq. 2 has three images a stage; three CEMs and the stage's own output are four, and the network's output must be
    among them.

    Args:
        images: "all" four a stage; "three", the stage's output in the place of I_3; "stages", their outputs only.
    """
    chosen = {"all": outputs, "three": [o for i, o in enumerate(outputs) if i % 4 != 1], "stages": outputs[::4]}
    if images not in chosen:
        raise ValueError(f"unknown images {images!r}; choose one of {', '.join(chosen)}")
    errors = [output - halved_like(sharp, output) for output in chosen[images]]
    nought = sharp.new_zeros(())
    return {
        "charbonnier": sum(charbonnier(error, nought) for error in errors),  # type: ignore[dict-item]  # there is an output
        # The Laplacian is linear: that of the error is the error of the Laplacians.
        "edge": lambda_edge * sum(charbonnier(laplacian(error), nought) for error in errors),  # type: ignore[dict-item]  # there is an output
    }


def l1(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
    """Absolute error, summed over all outputs."""
    return {"l1": sum(F.l1_loss(output, resize_like(sharp, output)) for output in outputs)}  # type: ignore[dict-item]  # there is an output


def spectral_l1(restored: Tensor, sharp: Tensor) -> Tensor:
    """Absolute error of the Fourier transforms of images (N,C,H,W), unscaled, mean over real and imaginary parts."""
    return F.l1_loss(*(torch.view_as_real(torch.fft.fft2(image)) for image in (restored, sharp)))  # type: ignore[arg-type]  # two images


def mimounet(
    outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0, *, lambda_spectral: float = 0.1
) -> dict[str, Tensor]:
    """Absolute errors of images and of their Fourier transforms, summed over scales (MIMO-UNet, Eqs. 8 to 10)."""
    spectral = sum(spectral_l1(output, resize_like(sharp, output)) for output in outputs)
    return l1(outputs, sharp) | {"spectral": lambda_spectral * spectral}  # type: ignore[return-value]  # there is an output


def psnr(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
    """Minus the PSNR in dB of the one output, the mean over images (NAFNet and its authors' code)."""
    mse = (outputs[0] - sharp).square().mean((1, 2, 3))
    return {"psnr": 10 * torch.log10(mse + 1e-8).mean()}


def plain(loss: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """A loss whose mean over the crops of a batch is the arithmetic one, as it comes."""
    return loss


def geometric(loss: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """A loss whose mean over the crops of a batch is geometric: logarithms are averaged, as in a mean PSNR.

    In an arithmetic mean of squared errors the crop with most contrast decides what a step learns. The terms that it
    returns have the arithmetic mean as value, for the log, and the gradient of the mean logarithm.
    """

    def of_batch(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        crops = torch.vmap(of_crop, in_dims=(0, 0, None))(outputs, sharp, progress)
        total = torch.stack([*crops.values()]).sum(0).detach() + 1e-8
        means = {}
        for name, terms in crops.items():
            ratio = (terms / total).mean()
            means[name] = terms.detach().mean() + ratio - ratio.detach()
        return means

    def of_crop(outputs: tuple[Tensor, ...], sharp: Tensor, progress: float) -> dict[str, Tensor]:
        return loss(tuple(output[None] for output in outputs), sharp[None], progress)

    return of_batch


LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "attentive": attentive,
    "srn": srn,
    "simplenet": simplenet,
    "radn": radn,
    "raidnet": raidnet,
    "mse": srn,  # of all outputs alike: MSCNN, PSS-NSC, DMPHN, and the generators of GANs
    "l1": l1,
    "mprnet": mprnet,
    "sgenet": sgenet,
    "mimounet": mimounet,
    "psnr": psnr,
}
"""Name in a recipe -> loss."""
