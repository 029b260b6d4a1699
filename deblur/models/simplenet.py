"""SimpleNet: perceptual variousness motion deblurring with light global context refinement (Li, Tan, Yan; ICCV 2021).

The idea in five lines. A plain encoder-decoder on one image, no pyramid and no recurrence. The perceptual variousness
block (PVB) looks at its input with dilations 1, 2, 3 and with a deformable convolution; with one at every scale, the
sizes that the network can see multiply. Light global context refinement (LGCR) stands in for non-local attention: a
weight for every channel, row and column, rebuilt from rank-one parts, scales a residual. In the decoder each PVB is
followed by a deformable residual block (DR). The loss is the mean absolute error.

Stages and shapes at 256x256:

    head    conv 3x3, 3->48                                  (48, 256, 256)
    enc1    RB, PVB                                          (48, 256, 256)
    down1   conv 3x3 stride 2, 48->96, ReLU                  (96, 128, 128)
    enc2    RB, PVB                                          (96, 128, 128)
    down2   conv 3x3 stride 2, 96->192, ReLU                 (192, 64, 64)
    enc3    RB, PVB                                          (192, 64, 64)
    context LGCR                                             (192, 64, 64)
    dec3    RB, PVB, DR                                      (192, 64, 64)
    up2     deconv 3x3 stride 2, ReLU; fuse2 conv 3x3 192->96 of it and enc2    (96, 128, 128)
    dec2    RB, PVB, DR                                      (96, 128, 128)
    up1     deconv 3x3 stride 2, ReLU; fuse1 conv 3x3 96->48 of it and enc1     (48, 256, 256)
    dec1    RB, PVB, DR                                      (48, 256, 256)
    tail    conv 3x3, 48->3; the input is added              (3, 256, 256)

Size: 6,264,247 parameters = 25.06 MB of float32; the file of the weights has 25.1 MB, as Table 2 prints ("25.1M" is MB:
DMPHN's files, printed 29.0M, have 29.0 MB, and SRN's 33.6M cannot be parameters).

Readings
    Six RBs of three convolutions, six PVBs, three DRs, one LGCR; strided convolutions down,
        deconvolutions up, skips; one DR after each PVB in the decoder           stated, Fig. 2, Secs. 3.3, 3.4
    Three scales, RB before PVB, LGCR at the encoder's end                       derived from these counts
    Widths 48/96/192, PVB branches of C/4, DCNv2, skips concatenated and fused   derived jointly from 25.1 MB and the
        by a 3x3 convolution, all kernels 3x3                                    proportions of Table 4, each chosen
        About a thousand layouts have this size. `LAYOUTS` keeps two rivals: `alt_a` does not fit the paper's 11 GB
        card at 720p, `alt_b` misses the proportions of Table 4 by far.
    RB = x + conv(ReLU(conv(ReLU(conv x)))), all 3x3, no last activation         chosen (`rb_kind`: a He bottleneck is
                                                                                 also "three-layered")
    Eq. 6: plus signs inside Concat separate list entries, no ReLU on the deformable branch     stated, so repaired
    No normalisation, biases everywhere, no output activation                    chosen
    Global residual: the network predicts sharp - blurred                        chosen (`global_residual`)
    Deformable convolutions: DCNv2, one offset group, offsets start at zero      chosen (both versions are cited)
    Pooling "along" an axis leaves that axis                                     derived from the shapes in Eq. 1
    64 rank-one parts (the text counts 0..r)                                     stated, the sum of Eq. 2
    One Conv1d 1->64 an axis, with bias, and one PReLU slope an axis             chosen; equals 64 of 1->1
    Softmax over all C H W entries jointly                                       stated, Eq. 3, exponent put right
        The mean weight is then 1/(C H W): LGCR hardly changes its input, and less the larger the image.
        `joint_mean1` (times C H W) and `channel` (over C only) are ours: weights of a size that matters.
    Conv3d 1->1 over (C, H, W)                                                   stated, Eq. 4; its bias chosen
    Ablated modules become RBs, so every baseline is larger than the network     stated, Sec. 4.3
    "Baseline2 + X" puts X in the place of that RB, as "ours" beside it does     chosen, Table 5
    Non-local: embedded Gaussian, C/2, last convolution zero, residual           chosen (Wang et al. 2018)
    T+T: fragments sigmoid(scalar * pooled vector)                               stated; softmax weights of parts chosen
    SRN + LGCR: before its LSTM, at every scale                                  stated: the encoder's end
    SRN + PVB: one after the last RB2 of each of the six levels                  chosen ("in each scale")
    PyTorch's default start of all convolutions                                  chosen: Kaiming-normal weights make
                                                                                 outputs of about 100 in this graph
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.deform import DeformConv2d, undeformed
from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, equal_weights, own_input, zero
from deblur.models.published import UNKNOWN, Published
from deblur.models.srn import SRN
from deblur.models.starts import open_units, start_bilinear

CONTEXTS = ("lgcr", "rb", "nonlocal", "tt", "none")
NORMS = ("joint", "joint_mean1", "channel")
SKIPS = ("fuse", "concat", "add")
RB_KINDS = ("plain", "bottleneck")


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int] = (48, 96, 192)  # channels of the three scales
    pvb: bool = True  # PVBs, or RBs in their places (Table 3)
    dr: bool = True  # DRs, or RBs in their places (Table 3)
    context: str = "lgcr"  # global module at the encoder's end, one of CONTEXTS (Tables 3, 5)
    gcrw_norm: str = "joint"  # what Eq. 3's softmax runs over, one of NORMS
    conv1d: bool = True  # of the pooled vectors (Eq. 1), which else give one rank-one part as they are
    raw_residual: bool = True  # LGCR's 3-D convolution (Eq. 4), else its input
    rank: int = 64  # rank-one parts of LGCR and T+T
    branch: int = 4  # C / width of a PVB's branch
    rb_kind: str = "plain"  # one of RB_KINDS
    rb_width: float = 1.0  # hidden width of the RBs in the places of PVBs, over C
    modulated: bool = True  # DCNv2, else DCNv1
    offset_groups: int = 1  # of deformable convolutions
    skip: str = "fuse"  # how skips are joined, one of SKIPS
    kernel: int = 3  # of head, tail and strided convolutions
    up_kernel: int = 3  # of deconvolutions, 3 or 4
    global_residual: bool = True  # the network predicts sharp - blurred
    init: str = "default"  # or "identity"


class RB(nn.Module):
    """Residual block of three convolutions (Fig. 2), 3x3 each or, `bottleneck`, 1x1, 3x3, 1x1 at a quarter of C.

    Args:
        width: of the hidden features, over C; the bottleneck's is its own.
    """

    def __init__(self, channels: int, *, kind: str = "plain", width: float = 1.0):
        super().__init__()
        hidden, outer = (round(width * channels), 3) if kind == "plain" else (max(channels // 4, 1), 1)
        self.conv1 = nn.Conv2d(channels, hidden, outer, padding=outer // 2)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, channels, outer, padding=outer // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))


def product(channel: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Sum of rank-one tensors (Eq. 2) as a matrix product: (N,r,C), (N,r,H), (N,r,W) -> (N,C,H,W)."""
    planes = row[..., :, None] * column[..., None, :]  # (N,r,H,W)
    return (channel.transpose(1, 2) @ planes.flatten(2)).unflatten(2, planes.shape[2:])


def stacked(channel: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The same as Eq. 2 is written, all rank-one tensors side by side: needs r C H W values. For Table 6."""
    planes = row[..., None, :, None] * column[..., None, None, :]  # (N,r,1,H,W)
    return (channel[..., None, None] * planes).sum(1)


Reconstruct = Callable[[Tensor, Tensor, Tensor], Tensor]


class GCRW(nn.Module):
    """Global context refine weight, positive, one a value: (N,C,H,W) -> (N,C,H,W) (Eqs. 1-3)."""

    def __init__(self, rank: int = 64, *, norm: str = "joint", conv1d: bool = True, reconstruct: Reconstruct = product):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"unknown gcrw_norm {norm!r}; choose one of {', '.join(NORMS)}")
        self.norm, self.reconstruct = norm, reconstruct
        self.channel, self.row, self.column = (
            nn.Sequential(nn.Conv1d(1, rank, 3, padding=1), nn.PReLU()) if conv1d else nn.Identity() for _ in range(3)
        )

    def raw(self, x: Tensor) -> Tensor:
        """The weight before its softmax (Eq. 2)."""
        return self.reconstruct(
            self.channel(x.mean((2, 3)).unsqueeze(1)),
            self.row(x.mean((1, 3)).unsqueeze(1)),
            self.column(x.mean((1, 2)).unsqueeze(1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        raw = self.raw(x)
        if self.norm == "channel":
            return raw.softmax(1)
        weight = raw.flatten(1).softmax(1).unflatten(1, raw.shape[1:])
        return weight * weight[0].numel() if self.norm == "joint_mean1" else weight


class LGCR(nn.Module):
    """Light global context refinement: x + Rr * GCRW, the raw residual Rr a 3-D convolution of x (Eqs. 4, 5)."""

    def __init__(self, rank: int = 64, *, raw_residual: bool = True, **weight: Any):
        super().__init__()
        self.gcrw = GCRW(rank, **weight)
        self.residual = nn.Conv3d(1, 1, 3, padding=1) if raw_residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x.unsqueeze(1)).squeeze(1) * self.gcrw(x)


class PVB(nn.Module):
    """Perceptual variousness block: dilations 1, 2, 3 and a deformable branch, fused deformably (Eqs. 6-8, Fig. 5)."""

    def __init__(self, channels: int, *, branch: int = 4, **deform: Any):
        super().__init__()
        width = max(channels // branch, 1)
        self.dilated = nn.ModuleList(nn.Conv2d(channels, width, 3, padding=d, dilation=d) for d in (1, 2, 3))
        self.deformable = DeformConv2d(channels, width, 3, **deform)
        self.fuse = DeformConv2d(4 * width, channels, 3, **deform)

    def forward(self, x: Tensor) -> Tensor:
        features = [F.relu(conv(x)) for conv in self.dilated]
        return x + self.fuse(torch.cat([*features, self.deformable(x)], 1))


class DR(nn.Module):
    """Deformable residual block: x + conv(ReLU(deformable conv(x))) (Eq. 9)."""

    def __init__(self, channels: int, **deform: Any):
        super().__init__()
        self.deformable = DeformConv2d(channels, channels, 3, **deform)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.relu(self.deformable(x)))


class NonLocal(nn.Module):
    """Non-local block (Wang et al. 2018, embedded Gaussian), the module that LGCR replaces (Table 5).

    Every pixel looks at every pixel: two (HW, HW) matrices at once, 24.7 GiB at 720p. They are made for `limit` entries
    at a time, rows complete, so the result is the same.
    """

    def __init__(self, channels: int, *, limit: int = 2**24):
        super().__init__()
        self.limit = limit
        hidden = max(channels // 2, 1)
        self.theta, self.phi, self.g = (nn.Conv2d(channels, hidden, 1) for _ in range(3))
        self.out = nn.Conv2d(hidden, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))  # (N,C/2,HW)
        rows = queries.split(max(self.limit // queries.shape[2], 1), dim=2)
        attended = [torch.softmax(row.mT @ keys, dim=2) @ values.mT for row in rows]  # (N,rows,C/2)
        return x + self.out(torch.cat(attended, 1).mT.unflatten(2, x.shape[-2:]))


class TT(nn.Module):
    """TGM+TRM (Chen et al. 2020 as SimpleNet describes it, Sec. 3.1), rival of LGCR (Table 5): x * A, no residual.

    A is a weighted sum of rank-one tensors of sigmoids, so it lies in (0,1).
    """

    def __init__(self, rank: int = 64, *, reconstruct: Reconstruct = product):
        super().__init__()
        self.reconstruct = reconstruct
        self.channel, self.row, self.column = (nn.Parameter(torch.randn(rank, 1)) for _ in range(3))
        self.logits = nn.Parameter(torch.zeros(rank, 1))

    def forward(self, x: Tensor) -> Tensor:
        axes = ((self.channel, (2, 3)), (self.row, (1, 3)), (self.column, (1, 2)))
        c, h, w = (torch.sigmoid(scalars * x.mean(dims).unsqueeze(1)) for scalars, dims in axes)  # (N,r,axis)
        return x * self.reconstruct(self.logits.softmax(0) * c, h, w)


class Level(nn.Sequential):
    """The blocks of one scale: RB, PVB and, in the decoder, DR (Fig. 2)."""

    def __init__(self, rb: nn.Module, pvb: nn.Module, dr: nn.Module | None = None):
        super().__init__()
        self.rb, self.pvb = rb, pvb
        if dr is not None:
            self.dr = dr


class SimpleNet(nn.Module):
    """The network (Fig. 2): (N,3,H,W) in [0,1], any H and W -> a tuple of one, the restoration of that size."""

    def __init__(self, config: Config):
        super().__init__()
        _check(config)
        self.config = config
        c1, c2, c3 = config.widths
        k = config.kernel
        d2, d1 = (2 * c2, 2 * c1) if config.skip == "concat" else (c2, c1)  # widths of the decoder
        self.head = nn.Conv2d(3, c1, k, padding=k // 2)
        self.enc1 = self.level(c1)
        self.down1 = nn.Conv2d(c1, c2, k, stride=2, padding=k // 2)
        self.enc2 = self.level(c2)
        self.down2 = nn.Conv2d(c2, c3, k, stride=2, padding=k // 2)
        self.enc3 = self.level(c3)
        self.context = self.global_module(c3)
        self.dec3 = self.level(c3, decoder=True)
        self.up2 = deconvolution(c3, c2, config.up_kernel)
        self.fuse2 = nn.Conv2d(2 * c2, c2, 3, padding=1) if config.skip == "fuse" else None
        self.dec2 = self.level(d2, decoder=True)
        self.up1 = deconvolution(d2, c1, config.up_kernel)
        self.fuse1 = nn.Conv2d(2 * c1, c1, 3, padding=1) if config.skip == "fuse" else None
        self.dec1 = self.level(d1, decoder=True)
        self.tail = nn.Conv2d(d1, 3, k, padding=k // 2)
        if config.init == "identity":
            start_at_identity(self)

    def level(self, channels: int, decoder: bool = False) -> Level:
        """The blocks of one scale, or what an ablation has in their places."""
        config = self.config
        residual = partial(RB, channels, kind=config.rb_kind)
        deform = {"modulated": config.modulated, "offset_groups": config.offset_groups}
        pvb = PVB(channels, branch=config.branch, **deform) if config.pvb else residual(width=config.rb_width)
        if not decoder:
            return Level(residual(), pvb)
        return Level(residual(), pvb, DR(channels, **deform) if config.dr else residual())

    def global_module(self, channels: int) -> nn.Module:
        """What stands at the encoder's end."""
        match self.config.context:
            case "lgcr":
                weight = {"norm": self.config.gcrw_norm, "conv1d": self.config.conv1d}
                return LGCR(self.config.rank, raw_residual=self.config.raw_residual, **weight)
            case "rb":
                return RB(channels, kind=self.config.rb_kind)
            case "nonlocal":
                return NonLocal(channels)
            case "tt":
                return TT(self.config.rank)
        return nn.Identity()

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 4)
        e1 = self.enc1(self.head(image))
        e2 = self.enc2(F.relu(self.down1(e1)))
        e3 = self.enc3(F.relu(self.down2(e2)))
        d3 = self.dec3(self.context(e3))
        d2 = self.dec2(self.join(F.relu(self.up2(d3)), e2, self.fuse2))
        d1 = self.dec1(self.join(F.relu(self.up1(d2)), e1, self.fuse1))
        restored = self.tail(d1)
        if self.config.global_residual:
            restored = image + restored
        return (restored[..., :height, :width],)

    def join(self, up: Tensor, skip: Tensor, fuse: nn.Module | None) -> Tensor:
        """The decoder's features and the encoder's of the same scale."""
        if self.config.skip == "add":
            return up + skip
        both = torch.cat([up, skip], 1)
        return both if fuse is None else fuse(both)


def deconvolution(in_channels: int, channels: int, kernel: int) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(in_channels, channels, kernel, stride=2, padding=1, output_padding=4 - kernel)


def _check(config: Config) -> None:
    choices = {
        "context": CONTEXTS,
        "gcrw_norm": NORMS,
        "skip": SKIPS,
        "rb_kind": RB_KINDS,
        "up_kernel": (3, 4),
        "init": ("default", "identity"),
    }
    for name, valid in choices.items():
        value = getattr(config, name)
        if value not in valid:
            raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(map(str, valid))}")


@torch.no_grad()
def start_at_identity(network: SimpleNet) -> None:
    """Set weights so that the network returns its image unchanged: ours, for recipes of minutes; same graph.

    The last convolution is zero, which with the global residual is the identity. Deconvolutions enlarge bilinearly, and
    no unit is dead.
    """
    for layer in (network.up2, network.up1):
        start_bilinear(layer)
    open_units(network)
    network.tail.weight.zero_()
    network.tail.bias.zero_()


class SRNWithLGCR(SRN):
    """SRN with LGCR between the encoder and the LSTM, at every scale (Table 5)."""

    def global_block(self, channels: int) -> nn.Module:
        return LGCR()


class SRNWithPVB(SRN):
    """SRN with a PVB after the last RB2 of each level of encoder and decoder (Table 5)."""

    def level_block(self, channels: int) -> list[nn.Module]:
        block = PVB(channels, modulated=True)
        if self.config.init == "identity":
            nn.init.zeros_(block.fuse.weight)
            nn.init.zeros_(block.fuse.bias)
        return [block]


VARIANTS = {
    "paper": {},
    "table3_baseline1": {"dr": False},
    "table3_baseline2": {"context": "rb"},
    "table3_baseline3": {"pvb": False},
    "table3_baseline3_equal": {"pvb": False, "rb_width": 1.3},
    "table5_nonlocal": {"context": "nonlocal"},
    "table5_tt": {"context": "tt"},
    "no_context": {"context": "none"},
    "joint_mean1": {"gcrw_norm": "joint_mean1"},
    "channel": {"gcrw_norm": "channel"},
    "without_conv1d": {"conv1d": False},
    "without_raw_residual": {"raw_residual": False},
}
"""Variant, named after table and row -> its differences from `Config()`."""

LAYOUTS = {
    "alt_a": {
        "widths": (64, 64, 64),
        "branch": 1,
        "modulated": False,
        "skip": "concat",
        "up_kernel": 4,
    },
    "alt_b": {
        "widths": (32, 64, 128),
        "branch": 1,
        "offset_groups": 2,
        "skip": "add",
        "kernel": 5,
        "up_kernel": 4,
    },
}
"""Other layouts that print as 25.1 MB too -> their differences from `Config()`, as overrides for `build`."""

_LEVELS = ("enc1", "enc2", "enc3", "dec3", "dec2", "dec1")
PARTS = {
    "LGCR": Part("context", own_input, needs="context.gcrw"),
    "GCRW": Part(r"context\.gcrw", equal_weights),
    "PVBs": Part(r"\w+\.pvb", own_input, needs="enc1.pvb.fuse"),
    "PVBs, offsets": Part(r"\w+\.pvb\.(deformable|fuse)", undeformed),
    "PVBs, dilated branches": Part(r"\w+\.pvb\.dilated\.\d", zero),
    "DRs": Part(r"dec\d\.dr", own_input, needs="dec1.dr.deformable"),
    "DRs, offsets": Part(r"dec\d\.dr\.deformable", undeformed),
    **{f"PVB {level}, dilated branches": Part(rf"{level}\.pvb\.dilated\.\d", zero) for level in _LEVELS},
    **{f"DR {level}, offsets": Part(rf"{level}\.dr\.deformable", undeformed) for level in _LEVELS[3:]},
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


PUBLISHED: dict[str, Published | str] = {
    "simplenet": UNKNOWN,
    "srn_lgcr": "a combination of SimpleNet's paper; " + UNKNOWN,
    "srn_pvb": "a combination of SimpleNet's paper; " + UNKNOWN,
}
"""Network -> what its project published, or why there is nothing to import."""
