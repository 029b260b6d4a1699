"""RAID-Net: region-aware image deblurring under guidance of the image blur formulation (Liao, Zhang, Xia).

The idea in five lines. Motion blur has three causes: the camera moves (global), an object moves (local), a trajectory
is cut off at the frame (sampling); see `deblur.data.blur`. Stage 1, a U-net with three-branch blocks, gives a coarse
image, meant to be free of global blur. Stage 2, the same U-net with a local region reasoning module (LRR) at its
bottleneck, gives the final one. LRR: a multi-head attention mechanism (MHAM) masks regions; these become nodes of a
graph whose adjacency matrix is predicted; one graph convolution; back to pixels. Trained with MSE, then MSE and SSIM.

Stages and shapes at 256x256, base width 16 (both stages alike):

    enc1  conv 5x5, 3->16, ReLU; 3 blocks           (16, 256, 256)
    enc2  conv 5x5 stride 2, 16->32, ReLU; 3 blocks (32, 128, 128)
    enc3  conv 5x5 stride 2, 32->64, ReLU; 3 blocks (64, 64, 64)
    lrr   stage 2 only: + LRR(enc3)                 (64, 64, 64)     regions 8, nodes 64x8, adjacency 8x8
    dec3  3 blocks; deconv 4x4, 64->32, ReLU        (32, 128, 128)   then + enc2
    dec2  3 blocks; deconv 4x4, 32->16, ReLU        (16, 256, 256)   then + enc1
    dec1  3 blocks; conv 5x5, 16->3                 (3, 256, 256)

Size: 5,122,206 parameters, of which LRR 64,728; (-) 1,283,294, (+) 20,466,974. The paper prints no size. "Lightweight"
fits the first two. Its runtimes (0.04, 0.25, 0.63 s) go as c^2 from c = 8 to 32 and point at c = 20 for the default.

Readings
    Two stages, U-nets similar to SRN's; block = two convolutions, a dilated one, x, summed   stated, Sec. IV-A, Fig. 2
    Base width c: 8 for (-), 32 for (+)                                                      stated, Sec. V-B
    Base width 16 for the default                                                            chosen: powers of two (the
        runtimes point at 20: `c20`)
    5x5, 3 blocks a level, widths c/2c/4c, additive skips, no normalisation                  chosen, as SRN
    ReLU after first, down and up convolutions, none after a block's sum                     chosen, as SRN
    The dilated convolution: the block's kernel, rate 2, linear                              chosen
    Stage 2 sees the coarse image alone, with weights of its own, and its gradient reaches stage 1; no residual from
        image to image                                                                       chosen: the paper says
        "shares the same backbone" (`tied`, `detach` and `global_residual` are the other ways)
    Each head its own: convolution, ResBlock with batch normalisation, convolution with softmax; then the product, Eq. 4
                                                                                             stated, Sec. IV-B
    A heads of C/A channels, stacked to C; a region is a node, so N = A; A = 8               chosen: the paper writes C
        for heads and for channels, N for nodes and for a feature dimension; later sums need C x HW, and C heads of C
        channels cost more than its runtimes allow. `heads` = C is the literal reading
    Softmax over positions (`mask_axis`), scaled to mean 1 (`mask_scale`)                    chosen: unscaled masks
        shrink with the area, so that crops and full frames would see different networks
    W = softmax(conv(GAP - GMP)): both poolings, their difference, a convolution             stated; order, softmax and
        one column a region (it sums to 1 and says where the region gathers) chosen. "Invariant to the order of regions"
        then holds for pixels within a region only; with `adjacency="global"` for regions
    V = P1 P2^T / HW, Eq. 5, and Y = G P2 back to pixels; conv(Y + F) added to the bottleneck    stated; division by HW
        and 1x1 kernels chosen. "Transposed P2" in the text fits no shape otherwise
    One graph convolution, G = ReLU(Theta V W)                                               chosen: "GCN" in the paper
    Convolutions of size 1 over lists ("1D convolution") are written as 1x1 ones. The masks' bias cancels in a softmax
        over positions and counts with `mask_axis="heads"`
    Xavier-uniform weights, zero biases; reflect padding to a multiple of 4                  chosen, as SRN
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple, xavier_
from deblur.models.parts import Part, equal_weights, spatial_mean, zero
from deblur.models.published import UNKNOWN, Published
from deblur.models.starts import LIFT, open_units

MASK_AXES = ("positions", "heads")
MASK_SCALES = ("area", "max", "none")
ADJACENCIES = ("regions", "global", "identity")
BLOCKS = ("three_branch", "plain")


@dataclass(frozen=True)
class Config:
    base_channels: int = 16  # c of the default size; levels have c, 2c and 4c channels
    size: float = 1.0  # factor on c: 1/2 for (-), 2 for (+)
    kernel: int = 5  # of the U-nets' convolutions but the 4x4 deconvolutions; LRR has 3x3
    blocks: int = 3  # a level
    block: str = "three_branch"  # or "plain", SRN's without the dilated branch
    stages: int = 2  # 1 for the coarse network alone (Table 2)
    tied: bool = False  # one weight set for both stages
    detach: bool = False  # stop gradients through the coarse image
    global_residual: bool = False  # each stage adds its input to its output
    lrr: bool = True  # local region reasoning in stage 2 (Table 2)
    heads: int = 8  # A, the regions and nodes; divides 4c
    mask_axis: str = "positions"  # softmax over the image, or "heads": a soft partition of the image
    mask_scale: str = "area"  # mean 1; "max": largest 1; "none": the bare softmax
    adjacency: str = "regions"  # W predicted column by column; "global": from all regions at once; "identity"
    init: str = "xavier"  # or "identity"


# ------------------------------------------------------------------------------------------- the U-net (Sec. IV-A)


class Block(nn.Module):
    """The paper's ResBlock (Fig. 2): x + conv(ReLU(conv x)), dense, + dilated conv x, sparse; "plain" lacks the latter.

    Args:
        groups: independent parts of the channels, for the heads of MHAM.
        norm: batch normalisation after each convolution, which then has no bias.
    """

    def __init__(self, channels: int, kernel: int, *, kind: str = "three_branch", groups: int = 1, norm: bool = False):
        super().__init__()

        def conv(rate: int = 1) -> nn.Module:
            pad = rate * (kernel // 2)
            layer = nn.Conv2d(channels, channels, kernel, padding=pad, dilation=rate, groups=groups, bias=not norm)
            return nn.Sequential(layer, nn.BatchNorm2d(channels)) if norm else layer

        self.conv1, self.conv2 = conv(), conv()
        self.dilated = conv(rate=2) if kind == "three_branch" else None

    def forward(self, x: Tensor) -> Tensor:
        dense = self.conv2(F.relu(self.conv1(x)))
        return dense + x if self.dilated is None else dense + self.dilated(x) + x


class EBlock(nn.Module):
    """Encoder level: a convolution that sets the width (and halves the size, with stride 2), ReLU, then blocks."""

    def __init__(self, in_channels: int, channels: int, *, stride: int, kernel: int, blocks: int, block: str):
        super().__init__()
        self.head = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
        self.blocks = nn.Sequential(*(Block(channels, kernel, kind=block) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.relu(self.head(x)))


class DBlock(nn.Module):
    """Decoder level: blocks, then a deconvolution that doubles the size and ReLU, or (`last`) a convolution to RGB."""

    def __init__(self, channels: int, out_channels: int, *, last: bool, kernel: int, blocks: int, block: str):
        super().__init__()
        self.last = last
        self.blocks = nn.Sequential(*(Block(channels, kernel, kind=block) for _ in range(blocks)))
        if last:
            self.tail = nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2)
        else:
            self.tail = nn.ConvTranspose2d(channels, out_channels, 4, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tail(self.blocks(x))
        return x if self.last else F.relu(x)


class Stage(nn.Module):
    """The U-net of a stage (Fig. 2): image -> image (N,3,H,W), sides multiples of 4.

    `refine` is applied to the bottleneck's features and added to them: LRR, in the refine deblurring network.
    """

    def __init__(self, channels: int, **level: Any):
        super().__init__()
        c1, c2, c3 = channels, 2 * channels, 4 * channels
        self.enc1 = EBlock(3, c1, stride=1, **level)
        self.enc2 = EBlock(c1, c2, stride=2, **level)
        self.enc3 = EBlock(c2, c3, stride=2, **level)
        self.dec3 = DBlock(c3, c2, last=False, **level)
        self.dec2 = DBlock(c2, c1, last=False, **level)
        self.dec1 = DBlock(c1, 3, last=True, **level)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the three levels, the bottleneck last."""
        e1 = self.enc1(x)
        e2 = self.enc2(e1)
        return e1, e2, self.enc3(e2)

    def decode(self, e1: Tensor, e2: Tensor, e3: Tensor) -> Tensor:
        """The image that the three levels' features give."""
        return self.dec1(self.dec2(self.dec3(e3) + e2) + e1)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(*self.encode(x))


# ---------------------------------------------------------------------- multi-head attention mechanism (Sec. IV-B.1)


class RegionMasks(nn.Module):
    """The masks of all heads: residual maps (N,C,H,W) -> (N,A,H,W), by a convolution and a softmax in each head."""

    def __init__(self, channels: int, heads: int, *, axis: str, scale: str):
        super().__init__()
        if axis not in MASK_AXES or scale not in MASK_SCALES:
            raise ValueError(
                f"unknown mask_axis {axis!r} or mask_scale {scale!r}; choose from {', '.join(MASK_AXES)} and from "
                f"{', '.join(MASK_SCALES)}"
            )
        self.axis, self.scale = axis, scale
        self.conv = nn.Conv2d(channels, heads, 3, padding=1, groups=heads)

    def forward(self, residual: Tensor) -> Tensor:
        z = self.conv(residual)
        dim = (2, 3) if self.axis == "positions" else (1,)
        bounded = (z - z.amax(dim, keepdim=True)).exp()
        match self.scale:
            case "max":
                return bounded
            case "area":
                return bounded / bounded.mean(dim, keepdim=True)
        return bounded / bounded.sum(dim, keepdim=True)


class MHAM(nn.Module):
    """Multi-head attention mechanism (Eq. 4): each head's residual map times its mask, (N,C,H,W) -> (N,C,H,W).

    The heads share no weights; head i owns the i-th part of the channels throughout.
    """

    def __init__(self, channels: int, heads: int, **mask: Any):
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"{heads} heads do not divide the bottleneck's {channels} channels; choose a divisor")
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.block = Block(channels, 3, groups=heads, norm=True)
        self.masks = RegionMasks(channels, heads, **mask)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.block(F.relu(self.conv(x)))
        masks = self.masks(residual)
        return residual * masks.repeat_interleave(residual.shape[1] // masks.shape[1], 1)


# ------------------------------------------------------------------------------ graph reasoning network (Sec. IV-B.2)


class Adjacency(nn.Module):
    """Adjacency matrix prediction: weighted regions (N,C,H,W) -> W (N,A,A), whose columns sum to 1."""

    def __init__(self, channels: int, heads: int, kind: str):
        super().__init__()
        if kind not in ADJACENCIES:
            raise ValueError(f"unknown adjacency {kind!r}; choose one of {', '.join(ADJACENCIES)}")
        self.heads, self.kind = heads, kind
        outputs = {"regions": heads, "global": heads**2}
        self.conv = nn.Conv2d(channels // heads, outputs[kind], 1) if kind in outputs else None

    def forward(self, regions: Tensor) -> Tensor:
        n, a = regions.shape[0], self.heads
        if self.conv is None:
            return torch.eye(a, device=regions.device, dtype=regions.dtype).expand(n, a, a)
        parts = regions.reshape(n, a, -1, regions.shape[2] * regions.shape[3])  # (N, A, C/A, HW)
        pooled = (3,) if self.kind == "regions" else (1, 3)
        symmetric = parts.mean(pooled) - parts.amax(pooled)  # (N, A, C/A), or (N, C/A)
        if self.kind == "regions":
            symmetric = symmetric.mT  # (N, C/A, A): one column a region
        logits = self.conv(symmetric.reshape(n, symmetric.shape[1], -1, 1))
        return logits.reshape(n, a, a).softmax(1)


class GraphGeneration(nn.Module):
    """Weighted regions (N,C,H,W) -> node features V (N,C,A) (Eq. 5), and P2 (N,A,HW), each pixel's share in a node."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.path1 = nn.Conv2d(channels, channels, 1)
        self.path2 = nn.Conv2d(channels, heads, 1)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        p1, p2 = self.path1(regions).flatten(2), self.path2(regions).flatten(2)
        return p1 @ p2.transpose(1, 2) / p1.shape[-1], p2


class GraphReasoning(nn.Module):
    """Graph reasoning network: weighted regions (N,C,H,W) -> hidden blur feature (N,C,H,W)."""

    def __init__(self, channels: int, heads: int, adjacency: str):
        super().__init__()
        self.adjacency = Adjacency(channels, heads, adjacency)
        self.generation = GraphGeneration(channels, heads)
        self.theta = nn.Conv2d(channels, channels, 1, bias=False)
        self.fuse = nn.Conv2d(channels, channels, 1)

    def forward(self, regions: Tensor) -> Tensor:
        nodes, p2 = self.generation(regions)
        reasoned = F.relu(self.theta((nodes @ self.adjacency(regions))[..., None])[..., 0])  # ReLU(Theta V W)
        return self.fuse((reasoned @ p2).unflatten(2, regions.shape[2:]) + regions)


class LRR(nn.Module):
    """Local region reasoning: what is added to the bottleneck's features, (N,C,H,W) -> (N,C,H,W) (Fig. 3)."""

    def __init__(self, channels: int, *, heads: int, adjacency: str, axis: str, scale: str):
        super().__init__()
        self.attention = MHAM(channels, heads, axis=axis, scale=scale)
        self.reasoning = GraphReasoning(channels, heads, adjacency)

    def forward(self, x: Tensor) -> Tensor:
        return self.reasoning(self.attention(x))


# ---------------------------------------------------------------------------------------------------- the network


class RAIDNet(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> (final, coarse), or the coarse image alone with one stage."""

    def __init__(self, config: Config):
        super().__init__()
        for name, value, valid in (
            ("init", config.init, ("xavier", "identity")),
            ("block", config.block, BLOCKS),
            ("number of stages", config.stages, (1, 2)),
        ):
            if value not in valid:
                raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(map(str, valid))}")
        self.config = config
        channels = round(config.base_channels * config.size)
        self.stages = nn.ModuleList(
            Stage(channels, kernel=config.kernel, blocks=config.blocks, block=config.block)
            for _ in range(1 if config.tied else config.stages)
        )
        self.lrr = None
        if config.lrr and config.stages == 2:
            self.lrr = LRR(
                4 * channels,
                heads=config.heads,
                adjacency=config.adjacency,
                axis=config.mask_axis,
                scale=config.mask_scale,
            )
        xavier_(self)
        if config.init == "identity":
            start_at_identity(self)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        coarse = self.restore(0, pad_to_multiple(blurred, 4))
        if self.config.stages == 1:
            return (coarse[..., :height, :width],)
        final = self.restore(1, coarse.detach() if self.config.detach else coarse)
        return final[..., :height, :width], coarse[..., :height, :width]

    def restore(self, t: int, image: Tensor) -> Tensor:
        """What stage t, 0 coarse or 1 refine, makes of an image whose sides are multiples of 4."""
        stage = self.stages[0 if self.config.tied else t]
        e1, e2, e3 = stage.encode(image)
        if t == 1 and self.lrr is not None:
            e3 = e3 + self.lrr(e3)
        restored = stage.decode(e1, e2, e3)
        return image + restored if self.config.global_residual else restored


@torch.no_grad()
def start_at_identity(network: RAIDNet) -> None:
    """Set weights so that both stages return their image: ours, for recipes of minutes; the graph stays the same.

    The first three channels carry the image from the first convolution over the full-resolution skip to the last
    one; the last convolutions of both branches of all blocks are zero, and dec2 lifts those channels by what the last
    one takes off again.
    With a global residual the last convolution is zero instead. LRR, whose features are ten times as large as those
    they are added to, starts at zero too. No unit is dead.
    """
    for stage in network.stages:
        centre = stage.enc1.head.kernel_size[0] // 2
        for layer in (stage.enc1.head, stage.dec1.tail):
            layer.weight[:3] = 0
            layer.weight[range(3), range(3), centre, centre] = 1
        if network.config.global_residual:
            stage.dec1.tail.weight.zero_()
        stage.dec2.tail.weight[:, :3] = 0
        stage.dec2.tail.bias[:3] = LIFT
        stage.dec1.tail.bias[:3] = 0 if network.config.global_residual else -LIFT
        for block in stage.modules():
            if isinstance(block, Block):
                block.conv2.weight.zero_()
                if block.dilated is not None:
                    block.dilated.weight.zero_()
    if network.lrr is not None:
        network.lrr.reasoning.fuse.weight.zero_()
    open_units(network, [layer for stage in network.stages for layer in (stage.enc1.head, stage.dec2.tail)])


VARIANTS = {
    "paper": {},
    "table2_minus": {"size": 0.5},
    "table2_plus": {"size": 2.0},
    "table2_single_stage": {"stages": 1},
    "table2_double_stage": {"lrr": False},
    "single_stage_equal": {"stages": 1, "size": 1.45},
    "without_ssim": {},  # changes the loss: see deblur.recipes
    "c20": {"size": 1.25},
    "plain_block": {"block": "plain"},
    "plain_double_stage": {"block": "plain", "lrr": False},
    "tied_stages": {"tied": True},
    "global_residual": {"global_residual": True},
    "mask_over_heads": {"mask_axis": "heads"},
    "mask_scale_max": {"mask_scale": "max"},
    "mask_scale_none": {"mask_scale": "none"},
    "adjacency_global": {"adjacency": "global"},
    "adjacency_identity": {"adjacency": "identity"},
}
"""Variant, named after table and row -> its differences from `Config()`; the rest are other readings."""


def coarse_image(network: nn.Module, inputs: tuple, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The coarse image in place of the final one."""
    return outputs[1], *outputs[1:]


PARTS = {
    "stage 2": Part("", coarse_image, needs="stages.1"),
    "LRR": Part("lrr", zero),
    "LRR, masks": Part(r"lrr\.attention\.masks", equal_weights),
    "LRR, adjacency": Part(r"lrr\.reasoning\.adjacency", equal_weights),
    "LRR, graph convolution": Part(r"lrr\.reasoning\.theta", zero),
    "dilated branches": Part(r"stages\.\d\.\w+\.blocks\.\d+\.dilated", zero),
    **{
        f"stage {t + 1}, {name}": Part(rf"stages\.{t}\.{modules}", instead)
        for t in (0, 1)
        for name, modules, instead in (
            ("dilated branches", r"\w+\.blocks\.\d+\.dilated", zero),
            ("bottleneck", "dec3", spatial_mean),
            ("half size and below", "dec2", spatial_mean),
        )
    },
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`; the bottleneck and what
lies below full size are replaced as their decoders hand them up."""


PUBLISHED: dict[str, Published | str] = {
    "raidnet": UNKNOWN,
}
"""Network -> what its project published, or why there is nothing to import."""
