"""Attentive deep network for blind motion deblurring (Xu, Zhu, Quan, Ji; 2021).

The idea in five lines. Three scales, coarse to fine, run one encoder-decoder with one weight set: SRN's backbone
without its LSTM. Each residual attention block (RAB) ends in two tiny MLPs: spatial attention (SA), one weight a pixel,
meant to pick edges in the encoder and heavily blurred areas in the decoder, and channel attention (CA), one weight
a channel. There is no global residual: the last convolution predicts the image. The loss is the squared error at all
scales plus a squared error of image gradients at the finest (see `deblur.losses`).

Stages and shapes of one module M at 256x256 (scales 2 and 3 run it at 128 and 64):

    EG1  conv 5x5, 6->32, ReLU; 3 RAB           (32, 256, 256)
    EG2  conv 5x5 stride 2, 32->64, ReLU; 3 RAB (64, 128, 128)
    EG3  conv 5x5 stride 2, 64->128, ReLU; 3 RAB(128, 64, 64)
    DG1  3 RAB; deconv 4x4, 128->64, ReLU       (64, 128, 128)   then + EG2
    DG2  3 RAB; deconv 4x4, 64->32, ReLU        (32, 256, 256)   then + EG1
    DG3  3 RAB; conv 5x5, 32->3                 (3, 256, 256)

Size: 6,905,527 parameters, 26.34 MiB; printed 26.34 MB (Table 1, whose column mixes MiB, MB and millions).

Readings
    Scales 1, 1/2, 1/4, coarse result upsampled and concatenated after the current image   stated, Sec. 3.1
    Three RABs a group, widths 32/64/128, 5x5, additive skips EG1->DG3 and EG2->DG2        stated, Sec. 3.1, Fig. 2
    RGB in and out, biases in convolutions, none in attention MLPs, 5x5 downs, 4x4 ups     derived: the only natural
        combination that gives 26.34 MiB (grey images give 26.32, biases in the MLPs 26.35)
    SA = sigmoid(W2 ReLU(W1 X)), CA = sigmoid(V2 ReLU(V1 mean X)), hidden width C/16       stated, Eqs. 4, 5
    SA then CA in series                                                                   chosen: Eq. 6 takes both maps
        from the same X (`eq6`), but Table 6 gives the proposed model's numbers to the cascade
    ReLU after the first conv, the downs and the ups, none after a block's sum             chosen, as SRN
    Bilinear resizing with half-pixel centres; reflect padding to a multiple of 16         chosen
    No gradient through the upsampled coarse result (`detach`)                             chosen, as SRN
    Parallel variants: both maps from X, joined by a sum or by a 1x1 convolution           chosen (Table 6: names only)
    Xavier weights (stated), uniform with zero biases (chosen)
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import halve, pad_to_multiple, xavier_
from deblur.models.parts import Part, blurred_image, equal_weights, spatial_mean
from deblur.models.published import UNKNOWN, Published
from deblur.models.starts import LIFT, open_units

MODES = ("serial_sa_ca", "serial_ca_sa", "eq6", "parallel_add", "parallel_concat")


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int] = (32, 64, 128)  # channels of the three groups
    kernel: int = 5  # of every convolution but the 4x4 deconvolutions
    blocks: int = 3  # RABs a group
    reduction: int = 16  # C / hidden width of the attention MLPs
    share: bool = True  # one weight set for all scales (Table 4)
    sa_encoder: bool = True  # spatial attention in the encoder's RABs (Table 5)
    sa_decoder: bool = True  # and in the decoder's
    ca: bool = True  # channel attention in all RABs (Table 5)
    mode: str = "serial_sa_ca"  # how SA and CA are joined, one of MODES (Table 6)
    constant_gates: bool = False  # 1/2 in the place of a map that is left out, its value at the start: a control
    detach: bool = True  # stop gradients through the coarser scale's result
    init: str = "xavier"  # or "identity"


class SpatialAttention(nn.Module):
    """SA: one weight in (0,1) a pixel, (N,C,H,W) -> (N,1,H,W) (Eq. 4)."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        hidden = max(channels // reduction, 2)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.excite = nn.Conv2d(hidden, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.excite(F.relu(self.squeeze(x))))


class ChannelAttention(nn.Module):
    """CA: one weight in (0,1) a channel, (N,C,H,W) -> (N,C,1,1) (Eq. 5)."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        hidden = max(channels // reduction, 2)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.excite = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class AttentionUnit(nn.Module):
    """SA and CA joined (Eq. 6, Table 6); either may be absent, both absent is the identity.

    Args:
        constant: put 1/2 in the place of each absent map.
    """

    def __init__(self, channels: int, *, sa: bool, ca: bool, reduction: int, mode: str, constant: bool = False):
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"unknown attention mode {mode!r}; choose one of {', '.join(MODES)}")
        self.mode = mode
        self.sa = SpatialAttention(channels, reduction) if sa else None
        self.ca = ChannelAttention(channels, reduction) if ca else None
        self.constant = 0.5 ** ((not sa) + (not ca)) if constant else 1.0
        self.fuse = nn.Conv2d(2 * channels, channels, 1) if mode == "parallel_concat" and sa and ca else None

    def forward(self, x: Tensor) -> Tensor:
        if self.sa is None or self.ca is None:
            only = self.sa or self.ca
            return self.constant * (x if only is None else x * only(x))
        match self.mode:
            case "serial_sa_ca":
                x = x * self.sa(x)
                return x * self.ca(x)
            case "serial_ca_sa":
                x = x * self.ca(x)
                return x * self.sa(x)
            case "eq6":
                return x * self.sa(x) * self.ca(x)
            case "parallel_add":
                return x * self.sa(x) + x * self.ca(x)
        return self.fuse(torch.cat([x * self.sa(x), x * self.ca(x)], 1))


class RAB(nn.Module):
    """Residual attention block: x + Attention(conv(ReLU(conv(x)))) (Fig. 3)."""

    def __init__(self, channels: int, kernel: int, **attention: Any):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.attention = AttentionUnit(channels, **attention)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.conv2(F.relu(self.conv1(x))))


class EncoderGroup(nn.Module):
    """EG: a convolution that sets the width (and halves the size, with stride 2), then RABs."""

    def __init__(self, in_channels: int, channels: int, *, stride: int, kernel: int, blocks: int, **attention: Any):
        super().__init__()
        self.head = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
        self.blocks = nn.Sequential(*(RAB(channels, kernel, **attention) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.relu(self.head(x)))


class DecoderGroup(nn.Module):
    """DG: RABs, then a deconvolution that doubles the size, or (`last`) the convolution that predicts the image."""

    def __init__(self, channels: int, out_channels: int, *, last: bool, kernel: int, blocks: int, **attention: Any):
        super().__init__()
        self.last = last
        self.blocks = nn.Sequential(*(RAB(channels, kernel, **attention) for _ in range(blocks)))
        if last:
            self.tail = nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2)
        else:
            self.tail = nn.ConvTranspose2d(channels, out_channels, 4, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tail(self.blocks(x))
        return x if self.last else F.relu(x)


class EncoderDecoder(nn.Module):
    """The module M of one scale (Fig. 2): the blurred image and the coarser result, (N,6,H,W) -> (N,3,H,W)."""

    def __init__(self, widths: tuple[int, int, int], *, sa_encoder: bool, sa_decoder: bool, **group: Any):
        super().__init__()
        c1, c2, c3 = widths
        self.eg1 = EncoderGroup(6, c1, stride=1, sa=sa_encoder, **group)
        self.eg2 = EncoderGroup(c1, c2, stride=2, sa=sa_encoder, **group)
        self.eg3 = EncoderGroup(c2, c3, stride=2, sa=sa_encoder, **group)
        self.dg1 = DecoderGroup(c3, c2, last=False, sa=sa_decoder, **group)
        self.dg2 = DecoderGroup(c2, c1, last=False, sa=sa_decoder, **group)
        self.dg3 = DecoderGroup(c1, 3, last=True, sa=sa_decoder, **group)

    def forward(self, x: Tensor) -> Tensor:
        e1 = self.eg1(x)
        e2 = self.eg2(e1)
        e3 = self.eg3(e2)
        return self.dg3(self.dg2(self.dg1(e3) + e2) + e1)


class Attentive(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> restorations at scales 1, 1/2 and 1/4, finest first."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("xavier", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose xavier or identity")
        self.config = config
        self.scales = nn.ModuleList(
            EncoderDecoder(
                config.widths,
                sa_encoder=config.sa_encoder,
                sa_decoder=config.sa_decoder,
                ca=config.ca,
                mode=config.mode,
                constant=config.constant_gates,
                reduction=config.reduction,
                kernel=config.kernel,
                blocks=config.blocks,
            )
            for _ in range(1 if config.share else 3)
        )
        xavier_(self)
        if config.init == "identity":
            start_at_identity(self)

    def at_scale(self, t: int) -> nn.Module:
        """The module of scale t: 0 full, 1 half, 2 quarter size; one and the same when weights are shared."""
        return self.scales[0 if self.config.share else t]

    def forward(self, blurred: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        height, width = blurred.shape[-2:]
        b1 = pad_to_multiple(blurred, 16)
        b2 = halve(b1)
        b3 = halve_twice(b1)
        d3 = self.at_scale(2)(torch.cat([b3, b3], 1))
        d2 = self.at_scale(1)(torch.cat([b2, self.up(d3)], 1))
        d1 = self.at_scale(0)(torch.cat([b1, self.up(d2)], 1))
        return tuple(d[..., : -(-height // factor), : -(-width // factor)] for d, factor in ((d1, 1), (d2, 2), (d3, 4)))

    def up(self, coarse: Tensor) -> Tensor:
        """The coarser result at twice its size, without gradient if `detach`."""
        coarse = coarse.detach() if self.config.detach else coarse
        return F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)


def halve_twice(image: Tensor) -> Tensor:
    """Bilinear reduction by four: the mean of the central 2x2 of each 4x4 block."""
    return F.interpolate(image, scale_factor=0.25, mode="bilinear", align_corners=False)


@torch.no_grad()
def start_at_identity(network: Attentive) -> None:
    """Set weights so that M returns its image unchanged: ours, for recipes of minutes; the graph stays the same.

    The first three channels carry the image from the first convolution over the full-resolution skip to the last
    one; the second convolutions of all RABs are zero, and DG2 lifts those channels by what the last one takes off
    again. No unit is dead.
    """
    for module in network.scales:
        centre = module.eg1.head.kernel_size[0] // 2
        for layer in (module.eg1.head, module.dg3.tail):
            layer.weight[:3] = 0
            layer.weight[range(3), range(3), centre, centre] = 1
        module.dg2.tail.weight[:, :3] = 0
        module.dg2.tail.bias[:3] = LIFT
        module.dg3.tail.bias[:3] = -LIFT
    for block in network.modules():
        if isinstance(block, RAB):
            block.conv2.weight.zero_()
    open_units(network, [layer for module in network.scales for layer in (module.eg1.head, module.dg2.tail)])


VARIANTS = {
    "paper": {},
    "table4_no_sharing": {"share": False},
    "table5_without_all": {"sa_encoder": False, "sa_decoder": False, "ca": False},
    "table5_only_ca": {"sa_encoder": False, "sa_decoder": False},
    "table5_sa_encoder": {"sa_decoder": False, "ca": False},
    "table5_sa_decoder": {"sa_encoder": False, "ca": False},
    "table5_only_sa": {"ca": False},
    "table6_parallel_concat": {"mode": "parallel_concat"},
    "table6_parallel_addition": {"mode": "parallel_add"},
    "table7_single_scale": {},  # Table 7 changes the loss: see deblur.recipes
    "table7_single_scale_gradient": {},
    "table7_multi_scale": {},
    "eq6": {"mode": "eq6"},
    "serial_ca_sa": {"mode": "serial_ca_sa"},
    "attached": {"detach": False},
    "lambda_1": {},  # changes the loss, as do the next two
    "without_all_multi_scale": {"sa_encoder": False, "sa_decoder": False, "ca": False},
    "table7_single_scale_gradient_attached": {"detach": False},
}
"""Variant, named after table and row -> its differences from `Config()`."""

VARIANTS |= {
    f"{name}_constant": VARIANTS[name] | {"constant_gates": True}
    for name in VARIANTS
    if name.startswith(("table5_", "without_all"))
}
"""Controls of Table 5: a map starts as 1/2 everywhere, so that rows without one begin otherwise than rows with it."""
_GROUPS = {
    f"{side} {level}": f"{letter}g{level}"
    for side, letter in (("encoder", "e"), ("decoder", "d"))
    for level in (1, 2, 3)
}


def _units(groups: str, kind: str) -> str:
    """The attention units of a kind in some groups, as an expression for their names."""
    return rf"scales\.\d\.{groups}\.blocks\.\d+\.attention\.{kind}"


PARTS = {
    "SA encoder": Part(_units(r"eg\d", "sa"), spatial_mean),
    "SA decoder": Part(_units(r"dg\d", "sa"), spatial_mean),
    "CA": Part(_units(r"[ed]g\d", "ca"), equal_weights),
    **{f"SA {name}": Part(_units(group, "sa"), spatial_mean) for name, group in _GROUPS.items()},
    **{f"CA {name}": Part(_units(group, "ca"), equal_weights) for name, group in _GROUPS.items()},
    "coarser scales": Part(r"scales\.\d", blurred_image),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


PUBLISHED: dict[str, Published | str] = {
    "attentive": UNKNOWN,
}
"""Network -> what its project published, or why there is nothing to import."""
