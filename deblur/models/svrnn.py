"""Spatially variant recurrent network (SVRNN; Zhang, Pan, Ren, Song, Bao, Lau, Yang; CVPR 2018).

The idea in five lines. Undoing blur needs filters as wide as the inverse of its kernel, and others at every place: a
recursive filter has both, for a few weights. One network makes features of the image, at half its size; recursive
filters run over them from left, right, top and bottom, four times, each time mixed by a convolution; a last network
makes the image. What a filter keeps of what it has seen is a gate for each pixel, channel and direction, and a third
network, the largest, predicts all gates from the blurred image.

Stages and shapes at 256x256:

    features  conv 11x11, 3->16, leaky ReLU: f1            (16, 256, 256)
              conv 7x7 stride 2: f2                        (32, 128, 128)
    guidance  2 conv 3x3, 64; halved                       (64, 128, 128)
              2 conv 3x3, 128: g2; halved                  (128, 64, 64)
              3 conv 3x3, 256, the second is g3; halved    (256, 32, 32)
              3 conv 3x3, 512, 512, 256; enlarged          (256, 64, 64)
              with g3: 2 conv 3x3, 128; enlarged           (128, 128, 128)
              with g2: 2 conv 3x3, 256, 512; tanh          (512, 128, 128)   16 gates of 32 channels
    4 times   4 recursive filters; conv 3x3, 128->32       (32, 128, 128)
    image     with f2: conv 9x9, 64->16; enlarged          (16, 256, 256)
              with f1: conv 5x5, 32->3                     (3, 256, 256)

Size: 9,227,027 parameters = 36.91 MB, as its authors' definition counts; printed 37.10 MB (attentive, Table 1).

Readings (stated: in the paper or in the authors' published code, matlab/train/model/train.prototxt)
    Layers, widths, leaky ReLU of slope 0.1 but in the guidance          stated (code)
    Filters h = (1 - g) x + g h', from h' = 0; g in (-1, 1)              stated (code)
    No residual: the image is what the last convolution makes            stated (code)
    Xavier weights                                                       stated (code)
    Guidance is halved by maxima, all else enlarged bilinearly           stated (code)
    Enlarged with half-pixel centres (theirs: with a shift of a quarter) chosen
    Reflect padding to a multiple of 8                                   chosen
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from deblur.models.layers import pad_to_multiple, xavier_
from deblur.models.parts import Part, own_input, spatial_mean
from deblur.models.published import Published
from deblur.models.starts import open_units

DIRECTIONS = ((-1, False), (-1, True), (-2, False), (-2, True))
"""Of the four filters: the dimension along which they run, and whether backwards."""
GATES_IN_FILE = (0, 2, 1, 3)
"""Place of each direction's gates among those that the guidance makes for one recurrence: x, y, x back, y back."""


@dataclass(frozen=True)
class Config:
    features: tuple[int, int] = (16, 32)  # channels at full and at half size
    guidance: tuple[int, int, int, int] = (64, 128, 256, 512)  # channels of its levels
    recurrences: int = 4
    init: str = "xavier"  # or "identity"


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(x, 0.1)


def enlarge(x: Tensor) -> Tensor:
    """Twice the size, bilinearly."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def conv(in_channels: int, channels: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, or divides it by its stride."""
    return nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)


# ------------------------------------------------------------------------------------------------- recursive filters


def recursive_filter(x: Tensor, gate: Tensor, dim: int, backwards: bool = False) -> Tensor:
    """h[t] = (1 - g[t]) x[t] + g[t] h[t - 1] along one dimension, from h = 0 before the first place.

    It takes log(T) steps for T places. Nothing is divided, and gates multiply to smaller ones: it is exact for 0 and 1.

    Args:
        x, gate: (N,C,H,W), gates in [-1, 1]; `dim` -1 or -2.
        backwards: run from the last place to the first.
    """
    if dim == -1:  # rows lie in one piece: columns are filtered as rows of the transposed map
        return _Filter.apply(x.mT.contiguous(), gate.mT.contiguous(), backwards).mT
    return _Filter.apply(x, gate, backwards)


class _Filter(torch.autograd.Function):
    """The recursive filter along H. Its gradient is the same recurrence the other way, so that no level is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, backwards: bool) -> Tensor:
        states = torch.addcmul(x, gate, x, value=-1)
        _scan_(gate.clone(), states, backwards)
        ctx.save_for_backward(x, gate, states)
        ctx.backwards = backwards
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, gate, states = ctx.saved_tensors
        handed = gradient * gate  # what each state owes to the one before it
        _scan_(gate.clone(), handed, not ctx.backwards)
        by_state, by_gate = gradient.clone(), -x
        later, earlier = slice(1, None), slice(None, -1)
        if ctx.backwards:
            later, earlier = earlier, later
        by_state[..., earlier, :] += handed[..., later, :]
        by_gate[..., later, :] += states[..., earlier, :]
        return by_state - handed, by_gate.mul_(by_state), None


def _scan_(steps: Tensor, values: Tensor, backwards: bool) -> None:
    """h[t] = steps[t] h[t - 1] + values[t] along H, in place of the values; the steps are used up.

    Two places make one: every second state comes of a scan of half the length, the others of their neighbours.
    """
    length = steps.shape[-2]
    if length < 2:
        return
    odd = length % 2
    if backwards:
        first, second, rest, before = (odd + 1, length), (odd, length), (1 - odd, length - 1), (2 - odd, length)
    else:
        first, second, rest, before = (0, length - odd), (1, length), (2, length), (1, length - 1)
    both, result = steps[..., slice(*second, 2), :], values[..., slice(*second, 2), :]
    result.addcmul_(both, values[..., slice(*first, 2), :])
    both.mul_(steps[..., slice(*first, 2), :])
    _scan_(both, result, backwards)
    values[..., slice(*rest, 2), :].addcmul_(steps[..., slice(*rest, 2), :], values[..., slice(*before, 2), :])


class Recurrence(nn.Module):
    """Four recursive filters of the features (N,C,H,W), mixed by a convolution; gates (N,4C,H,W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.mix = conv(4 * channels, channels)

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        parts = gates.chunk(4, 1)
        filtered = [recursive_filter(x, parts[i], *to) for i, to in zip(GATES_IN_FILE, DIRECTIONS, strict=True)]
        return activate(self.mix(torch.cat(filtered, 1)))


# --------------------------------------------------------------------------------------------------------- the network


class Guidance(nn.Module):
    """The gates of all recurrences: (N,3,H,W) -> (N,gates,H/2,W/2) in (-1,1)."""

    def __init__(self, widths: tuple[int, int, int, int], gates: int):
        super().__init__()
        c1, c2, c3, c4 = widths
        self.level1 = nn.ModuleList([conv(3, c1), conv(c1, c1)])
        self.level2 = nn.ModuleList([conv(c1, c2), conv(c2, c2)])
        self.level3 = nn.ModuleList([conv(c2, c3), conv(c3, c3), conv(c3, c3)])
        self.level4 = nn.ModuleList([conv(c3, c4), conv(c4, c4), conv(c4, c3)])
        self.up3 = nn.ModuleList([conv(2 * c3, c2), conv(c2, c2)])
        self.up2 = conv(2 * c2, c3)
        self.last = conv(c3, gates)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(_relus(image, self.level1), 2)
        g2 = _relus(x, self.level2)
        g3 = _relus(F.max_pool2d(g2, 2), self.level3[:2])
        x = F.max_pool2d(_relus(g3, self.level3[2:]), 2)
        x = torch.cat([g3, enlarge(_relus(x, self.level4))], 1)
        x = torch.cat([g2, enlarge(_relus(x, self.up3))], 1)
        return torch.tanh(self.last(F.relu(self.up2(x))))


def _relus(x: Tensor, layers: Any) -> Tensor:
    """Convolutions, each before a ReLU."""
    for layer in layers:
        x = F.relu(layer(x))
    return x


class SVRNN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> its restoration alone."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("xavier", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose xavier or identity")
        self.config = config
        full, half = config.features
        self.head = conv(3, full, 11)
        self.down = conv(full, half, 7, stride=2)
        self.guidance = Guidance(config.guidance, config.recurrences * 4 * half)
        self.recurrences = nn.ModuleList(Recurrence(half) for _ in range(config.recurrences))
        self.join = conv(2 * half, full, 9)
        self.tail = conv(2 * full, 3, 5)
        xavier_(self)
        if config.init == "identity":
            open_units(self)
            start_at_identity(self)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 8)
        f1 = activate(self.head(image))
        f2 = self.down(f1)
        x = f2
        for recurrence, gates in zip(
            self.recurrences, self.guidance(image).chunk(len(self.recurrences), 1), strict=True
        ):
            x = recurrence(x, gates)
        x = enlarge(activate(self.join(torch.cat([f2, x], 1))))
        return (self.tail(torch.cat([f1, x], 1))[..., :height, :width],)


@torch.no_grad()
def start_at_identity(network: SVRNN) -> None:
    """Set weights so that the network returns its image: ours, for recipes of minutes; the graph stays the same.

    The first three features at full size are the image, and the last convolution reads nothing else.
    """
    head, tail = network.head, network.tail
    head.weight[:3] = 0
    head.weight[range(3), range(3), 5, 5] = 1
    head.bias[:3] = 0
    tail.weight.zero_()
    tail.weight[range(3), range(3), 2, 2] = 1
    tail.bias.zero_()


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {
    "recurrences": Part(r"recurrences\.\d", own_input),
    "gates that know the place": Part("guidance", spatial_mean),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""

PUBLISHED: dict[str, Published | str] = {
    "svrnn": "its project published a Caffe model, which PyTorch does not read",
}
"""Network -> what its project published, or why there is nothing to import."""
