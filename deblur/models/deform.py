"""Deformable convolution, plain (v1) and modulated (v2), with one convention and two implementations.

    y(l) = sum_p m_p(l) w_p x(l + l_p + d_p(l))        (RADN, Eq. 4; without modulation m_p = 1)

x is sampled bilinearly and is zero outside; l_p runs over the kernel's taps, d_p are learned offsets. Channels of the
offsets, for each offset group: 2p is dy and 2p+1 is dx of tap p, taps row by row; positive dx samples to the right.

On CUDA this is torchvision's operator. Everywhere else it is written in PyTorch, which on a CPU is several times
faster (`python -m benchmarks.deform`) and has bfloat16 and autocast: interpolation acts on every channel alike, so it
commutes with the 1x1 convolution w_p, and sampling *after* that convolution touches as many channels as come out
(32 in RADN's modules) instead of as many as go in (up to 1184), and needs no buffer of columns. Several offset groups
are sampled one after the other and cost as many times as much.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, fx, nn

_CHUNK_BYTES = 8 * 2**20  # of intermediate maps handled at once: about what the caches of a CPU hold


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    padding: int = 0,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Deformable convolution (N,C,H,W) -> (N,O,H',W'), in float32 at least; the type of `x` is restored.

    Args:
        offset: (N, 2 k k G, H', W') in pixels of x, for G offset groups.
        weight: (O, C, k, k).
        bias: (O,).
        mask: (N, k k G, H', W'), the modulation; None for none.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    _check(x, offset, weight, mask, padding, stride, dilation)
    with _without_autocast(x.device.type):
        kind = torch.promote_types(x.dtype, torch.float32)
        working = [None if t is None else t.to(kind) for t in (x, offset, weight, bias, mask)]
        convolve = _on_cuda if x.is_cuda else _elsewhere
        return convolve(*working, padding, stride, dilation).to(x.dtype)  # type: ignore[call-arg]  # five tensors


fx.wrap("deform_conv2d")  # one node when a network is traced


def sampling_points(
    offset: Tensor, kernel: int = 3, *, padding: int | None = None, stride: int = 1, dilation: int = 1
) -> Tensor:
    """Where a deformable convolution looks: (N, 2 k k G, H', W') -> (N, k k G, 2, H', W'), y then x in pixels of x.

    Args:
        offset: as `deform_conv2d` takes it.
        padding: None keeps the size at stride 1.
    """
    padding = dilation * (kernel // 2) if padding is None else padding
    count, channels, height, width = offset.shape
    groups = channels // (2 * kernel**2)
    rows, columns, taps = (torch.arange(n, device=offset.device) for n in (height, width, kernel))
    taps = taps * dilation - padding
    y = taps.view(-1, 1, 1, 1) + stride * rows.view(-1, 1)
    x = taps.view(-1, 1, 1) + stride * columns
    # Whole numbers up to here: adding the offset is the only rounding, as in torchvision's operator.
    grid = torch.stack(torch.broadcast_tensors(y, x), 2).flatten(0, 1).repeat(groups, 1, 1, 1).to(offset.dtype)
    return offset.view(count, -1, 2, height, width) + grid


class DeformConv2d(nn.Module):
    """Deformable convolution of odd size, stride 1, same padding: (N,C,H,W) -> (N,O,H,W).

    The offsets (and mask logits, if modulated) come from the input by the convolution `offset`, which starts at zero:
    the start is an ordinary convolution, halved by the sigmoid if modulated.

    Args:
        modulated: version 2 (Zhu et al. 2019): the last k k G channels of `offset` are logits of the mask.
        offset_groups: G, groups of input channels with offsets of their own.

    Raises:
        ValueError: for an even kernel, or channels that the groups do not divide.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        modulated: bool = False,
        offset_groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} is even; only odd kernels keep the size")
        if channels % offset_groups:
            raise ValueError(f"{channels} channels cannot be split into {offset_groups} offset groups")
        self.kernel, self.modulated = kernel, modulated
        self.taps = offset_groups * kernel**2
        self.offset = nn.Conv2d(channels, (3 if modulated else 2) * self.taps, kernel, padding=kernel // 2)
        self.weight = nn.Parameter(torch.empty(out_channels, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets start at zero, weights as those of PyTorch's convolutions, the bias at zero."""
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.sampled(x, self.offset(x))

    def sampled(self, x: Tensor, predicted: Tensor) -> Tensor:
        """The convolution where `predicted` (N, 2 k k G, H, W), or 3 k k G channels if modulated, sends its taps."""
        offset = predicted[:, : 2 * self.taps]
        mask = torch.sigmoid(predicted[:, 2 * self.taps :]) if self.modulated else None
        return deform_conv2d(x, offset, self.weight, self.bias, mask=mask, padding=self.kernel // 2)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, kernel={self.kernel}, modulated={self.modulated}"


def undeformed(convolution: DeformConv2d, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """What a deformable convolution gives with its taps at their places and its masks as they are, a `parts.Hook`."""
    predicted = convolution.offset(*inputs)
    taps = torch.arange(predicted.shape[1], device=predicted.device) < 2 * convolution.taps
    return convolution.sampled(*inputs, predicted.masked_fill(taps[:, None, None], 0))


def sent_away(offset: Tensor, kernel: int = 3) -> Tensor:
    """Share of the taps that offsets send off the map, where they read nothing, among those that would be on it.

    Args:
        offset: (N, 2 k k G, H, W) in pixels, as `deform_conv2d` takes it with the size kept at stride 1.
    """
    size = torch.tensor(offset.shape[-2:], device=offset.device)[:, None, None]
    places, moved = (sampling_points(o, kernel) for o in (torch.zeros_like(offset), offset))
    inside = ((places >= 0) & (places < size)).all(2)
    away = ((moved <= -1) | (moved >= size)).any(2)
    return (inside & away).sum() / inside.sum()


def _without_autocast(device: str) -> AbstractContextManager[object]:
    # By name: `torch.compile` cannot look into `is_autocast_available`, and would compile each module on its own.
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)


def _check(
    x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, padding: int, stride: int, dilation: int
) -> None:
    count, channels, *size = x.shape
    kernel = weight.shape[-1]
    if weight.shape[1:] != (channels, kernel, kernel):
        raise ValueError(f"weight {tuple(weight.shape)} must be (out, {channels}, k, k) for input {tuple(x.shape)}")
    expected = [(side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in size]
    groups, rest = divmod(offset.shape[1], 2 * kernel**2)
    if rest or not groups or channels % groups or [offset.shape[0], *offset.shape[2:]] != [count, *expected]:
        needed = f"({count}, {2 * kernel**2} G, {', '.join(map(str, expected))})"
        raise ValueError(f"offset {tuple(offset.shape)} must be {needed}, with G groups that divide {channels}")
    needed = (count, groups * kernel**2, *expected)
    if mask is not None and mask.shape != needed:
        raise ValueError(f"mask {tuple(mask.shape)} must be {needed}")


def _on_cuda(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    padding: int,
    stride: int,
    dilation: int,
) -> Tensor:
    from torchvision.ops import deform_conv2d as operator

    return operator(x, offset, weight, bias, stride, padding, dilation, mask)


def _elsewhere(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    padding: int,
    stride: int,
    dilation: int,
) -> Tensor:
    kernel = weight.shape[-1]
    groups = offset.shape[1] // (2 * kernel**2)
    points = sampling_points(offset, kernel, padding=padding, stride=stride, dilation=dilation)
    y, x_ = points.unbind(2)
    height, width = x.shape[-2:]
    # As `grid_sample` wants them: x before y, the image's outer edges at -1 and 1.
    grid = torch.stack([x_ * (2 / width) + (1 / width - 1), y * (2 / height) + (1 / height - 1)], -1)
    masks = mask.chunk(groups, 1) if mask is not None else [None] * groups
    total = None
    for part in zip(x.chunk(groups, 1), grid.chunk(groups, 1), weight.chunk(groups, 1), masks, strict=True):
        total = _add_taps(total, *part)
    return total if bias is None else total + bias.view(-1, 1, 1)  # type: ignore[return-value]  # there is at least one group


def _add_taps(total: Tensor | None, x: Tensor, grid: Tensor, weight: Tensor, mask: Tensor | None) -> Tensor:
    """Add one group's taps to `total`, a few at a time: first each tap's 1x1 convolution, then its sampling."""
    count, channels, height, width = x.shape
    out_channels = weight.shape[0]
    # PyTorch samples the images of a batch in parallel: a single image needs as many taps at once as there are threads.
    fitting = _CHUNK_BYTES // (count * out_channels * height * width * x.element_size())
    size = max(fitting, torch.get_num_threads() // count, 1)
    taps = weight.permute(2, 3, 0, 1).reshape(-1, out_channels, channels)
    masks = mask.split(size, 1) if mask is not None else [None] * -(-len(taps) // size)
    for kernels, where, modulation in zip(taps.split(size), grid.split(size, 1), masks, strict=True):
        convolved = _convolve(x, kernels)
        sampled = torch.grid_sampler_2d(convolved, where.flatten(0, 1), 0, 0, False)  # bilinear, zero outside
        sampled = sampled.view(count, len(kernels), out_channels, *sampled.shape[-2:])
        if modulation is not None:
            sampled = sampled * modulation.unsqueeze(2)
        sampled = sampled[:, 0] if len(kernels) == 1 else sampled.sum(1)
        total = sampled if total is None else total + sampled
    return total  # type: ignore[return-value]  # there is at least one tap


def _convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """T 1x1 convolutions (T,O,C) of (N,C,H,W), as a batch (N T, O, H, W)."""
    count, channels, height, width = x.shape
    if count == 1:  # channels last where it costs no copy: a sample's channels are neighbours in memory
        pixels = x.reshape(channels, -1).t() @ kernels.reshape(-1, channels).t()
        return pixels.view(height, width, len(kernels), -1).permute(2, 3, 0, 1)
    weights = kernels.reshape(1, -1, channels).expand(count, -1, -1)
    return torch.bmm(weights, x.reshape(count, channels, -1)).view(-1, kernels.shape[1], height, width)
