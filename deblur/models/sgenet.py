"""SGENet, spatially guided enhancement network for dynamic scene deblurring (BMVC; authors unknown here).

The idea in five lines. Two stacked encoder-decoders, both on the whole image, joined by MPRNet's supervised attention
module (SAM). Their blocks are dilated convolution modules in a recursive residual design (RDM). At every decoder scale
a contextual-aware enhancement module (CEM) predicts a restored image, which is supervised, and turns that image into an
attention map that gates the features. A cross-stage selective aggregation module (CSAM) weighs features of stage 1
against those of stage 2, channel by channel. The loss supervises all predicted images (see `deblur.losses.sgenet`).

Stages and shapes at 256x256; scales s = 3, 2, 1 are the full, half and quarter size:

    shallow   conv 3x3, 3->96; CAB                           (96, 256, 256)
    merge     stage 2: concat SAM features, conv 3x3         (96, 256, 256)
    E3 E2 E1  2 RDM each; stage 2: CSAM; bilinear + 1x1 down (96, 256, 256), (120, 128, 128), (144, 64, 64)
    CEM1..3   of E_s and upsampled D_{s-1}; image I_s        widths of E_s;  (3, 64, 64), (3, 128, 128), (3, 256, 256)
    D1 D2 D3  2 RDM each; bilinear + 1x1 up                  (144, 64, 64), (120, 128, 128), (96, 256, 256)
    SAM       between the stages: features, image            (96, 256, 256), (3, 256, 256)
    tail      conv 3x3, 96->3, plus the blurred image        (3, 256, 256)

Size: 19,543,970 parameters; printed 19.5 M (Table 1). 435.8 G multiply-accumulates at 256x256. The count does not
identify the network: `config_b`, another RDM on another scaffold, has 19,548,568.

The paper is known from a damaged copy: its drawings and everything after its first table are lost.

Readings
    Two stages on the whole image; SAM; CEM on the skips; CSAM; RDM; widths 96/120/144; 2 RDMs a scale   stated
    Scales run from coarse (s = 1) to fine (s = 3)            derived: CEM's second input is F_{s-1}, of half the size
    96 channels at the full size                              chosen, as MPRNet
    RDM: x + conv(B2(B1(x))), B(y) = y + conv(PReLU(conv(y))), dilations 1 2 | 3 2 | 1
        size derived from the count, layout chosen: "dilated", "multi-scale" and "recursive residual" are all that is
        stated, and `parallel_sum` has the same count
    No biases (else 19.56 M), stride 1, no normalisation      chosen, as MPRNet
    Shallow convolution and CAB, bilinear resizing then 1x1, 3x3 merge, 1x1 SAM, residual output   chosen, as MPRNet
    CEM: M = ReLU(conv(F_s, Up F_{s-1})), I = D + R, F_r from R, A = sigmoid(conv(.))   stated, Eq. 1, Sec. 3.2
        inputs concatenated, R = conv(M), A from I; a 3x3 convolution joins F_r and M   chosen; the last derived
        F_{s-1} is the coarser decoder output                 chosen ("progressively", "next scale")
        a third CEM at the bottleneck, without F_0            derived: images "at each scale", the sum to 3, the count
        nothing is added to the gated features                literal; `cem_identity` adds F_s
    CSAM: sum, mean, three chunks, three MLPs, softmax        stated, Eqs. 5-7
        of stage-1 encoder, stage-1 decoder, stage-2 encoder  derived: three inputs from two stages, as MPRNet's CSFF
        MLP C/3 -> C/3 -> C, softmax over the branches, sum   chosen, as SKNet
    PyTorch's own weights                                     chosen; no pretraining is stated
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from deblur.models.layers import halve, pad_to_multiple
from deblur.models.mprnet import CAB, SAM, Up
from deblur.models.parts import Part, equal_weights, spatial_mean, zero
from deblur.models.published import UNKNOWN, Published
from deblur.models.starts import open_units

RDMS = ("recursive", "undilated", "parallel_sum", "concat")
CEMS = ("full", "no_guidance", "concat", "sum")
CSAMS = ("csam", "csff", "concat", "sum", "none")
GUIDES = ("prediction", "input")
INITS = ("pytorch", "identity")


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int] = (96, 120, 144)  # channels at full, half and quarter size, multiples of 3
    rdms: int = 2  # RDMs a scale, in the encoder and in the decoder
    deepen: int = 1  # times as many RDMs, for controls of equal size
    stages: int = 2  # 1 or 2
    rdm: str = "recursive"  # layout of the block, one of RDMS
    share_bottleneck: bool = False  # no RDMs of the decoder's own at quarter size
    cab: bool = True  # channel attention block after the shallow convolution
    cem: str = "full"  # what stands on the skips, one of CEMS
    cem_identity: bool = False  # add F_s to the CEM's gated features
    guide: str = "prediction"  # what the CEM's attention is made from, one of GUIDES
    sam: bool = True  # supervised attention between the stages, else the features as they are
    csam: str = "csam"  # what joins the stages' features, one of CSAMS
    init: str = "pytorch"  # or "identity"
    open_cems: bool = True  # with "identity": let features pass the CEMs at the start


def conv(in_channels: int, channels: int, kernel: int = 3, dilation: int = 1) -> nn.Conv2d:
    """Convolution without bias that keeps the size."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=dilation, bias=False)


# ------------------------------------------------------------------------------------- RDM (Sec. 3.1)


class Recursion(nn.Module):
    """B(y) = y + conv(PReLU(conv(y))), both convolutions dilated."""

    def __init__(self, channels: int, dilations: tuple[int, int]):
        super().__init__()
        self.conv1 = conv(channels, channels, dilation=dilations[0])
        self.act = nn.PReLU()
        self.conv2 = conv(channels, channels, dilation=dilations[1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.act(self.conv1(x)))


class RecursiveRDM(nn.Module):
    """RDM: x + conv(B2(B1(x))), a window of 19x19 whose dilations rise and fall, which avoids gridding.

    Args:
        dilations: of B1 and of B2.
    """

    def __init__(self, channels: int, dilations: tuple[tuple[int, int], tuple[int, int]] = ((1, 2), (3, 2))):
        super().__init__()
        self.first = Recursion(channels, dilations[0])
        self.second = Recursion(channels, dilations[1])
        self.last = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.second(self.first(x)))


class ParallelSumRDM(nn.Module):
    """RDM of the same size with parallel rates: x + conv(PReLU(sum of conv_d(PReLU(conv(x))), d = 1, 2, 3))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv(channels, channels)
        self.act1 = nn.PReLU()
        self.branches = nn.ModuleList(conv(channels, channels, dilation=dilation) for dilation in (1, 2, 3))
        self.act2 = nn.PReLU()
        self.last = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.conv(x))
        return x + self.last(self.act2(sum(branch(y) for branch in self.branches)))


class ConcatUnit(nn.Module):
    """x + conv(PReLU(concat of conv_d(x), d = 1, 2, 3))."""

    def __init__(self, channels: int):
        super().__init__()
        self.branches = nn.ModuleList(conv(channels, channels, dilation=dilation) for dilation in (1, 2, 3))
        self.act = nn.PReLU()
        self.last = conv(3 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.act(torch.cat([branch(x) for branch in self.branches], 1)))


class ConcatRDM(nn.Sequential):
    """RDM of `config_b`: two cascaded units of three parallel rates."""

    def __init__(self, channels: int):
        super().__init__(ConcatUnit(channels), ConcatUnit(channels))


class RDMs(nn.Module):
    """The RDMs of one scale in a row, (N,C,H,W) -> (N,C,H,W)."""

    def __init__(self, channels: int, *, rdm: str, rdms: int):
        super().__init__()
        undilated = partial(RecursiveRDM, dilations=((1, 1), (1, 1)))
        block = dict(zip(RDMS, (RecursiveRDM, undilated, ParallelSumRDM, ConcatRDM), strict=True))[rdm]
        self.blocks = nn.Sequential(*(block(channels) for _ in range(rdms)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


# ------------------------------------------------------------------------------------- MPRNet's scaffold


class Down(nn.Module):
    """Half the size (bilinear), then a 1x1 convolution to more channels."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(halve(x))


# ------------------------------------------------------------------------------------- CEM (Sec. 3.2)


class Merge(nn.Sequential):
    """CEM's first step: F_s, concatenated with the upsampled F_{s-1} where there is one, -> M."""

    def __init__(self, channels: int, coarser: bool):
        super().__init__(conv(2 * channels if coarser else channels, channels), nn.ReLU())


class CEM(nn.Module):
    """Contextual-aware enhancement module: F_s, D_s and the upsampled F_{s-1} -> refined features, predicted I_s.

    Args:
        coarser: there is an F_{s-1} (not at the bottleneck).
        identity: add F_s to the result (ours; the paper's formulas have no such path).
        guide: what the attention is made from: the predicted image I_s or, as a control, the input D_s.
    """

    def __init__(self, channels: int, *, coarser: bool, identity: bool, guide: str):
        super().__init__()
        self.identity, self.guide = identity, guide
        self.merge = Merge(channels, coarser)
        self.residual = conv(channels, 3)
        self.residual_features = conv(3, channels)
        self.attention = nn.Sequential(conv(3, channels), nn.Sigmoid())
        self.fuse = conv(2 * channels, channels)

    def forward(self, features: Tensor, image: Tensor, coarser: Tensor | None = None) -> tuple[Tensor, Tensor]:
        merged = self.merge(features if coarser is None else torch.cat([features, coarser], 1))  # M
        residual = self.residual(merged)  # R
        restored = image + residual  # I_s = D_s + R_s (Eq. 1)
        fused = self.fuse(torch.cat([self.residual_features(residual), merged], 1))
        refined = self.attention(restored if self.guide == "prediction" else image) * fused
        return features + refined if self.identity else refined, restored


class PlainSkip(nn.Module):
    """What stands on a skip without CEM: its first step alone (`no_guidance`), `concat` and 1x1, or the `sum`."""

    def __init__(self, channels: int, *, coarser: bool, mode: str):
        super().__init__()
        if mode == "no_guidance":
            self.merge = Merge(channels, coarser)
        else:
            self.merge = conv(2 * channels, channels, 1) if mode == "concat" and coarser else None

    def forward(self, features: Tensor, image: Tensor, coarser: Tensor | None = None) -> tuple[Tensor, None]:
        if self.merge is None:
            return (features if coarser is None else features + coarser), None
        return self.merge(features if coarser is None else torch.cat([features, coarser], 1)), None


# ------------------------------------------------------------------------------------- CSAM (Sec. 3.3)


class CSAM(nn.Module):
    """Cross-stage selective aggregation module: three features (N,C,H,W) -> their weighted sum."""

    def __init__(self, channels: int):
        super().__init__()
        if channels % 3:
            raise ValueError(f"CSAM splits its {channels} channels into three chunks; choose a multiple of 3")
        third = channels // 3
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(third, third, bias=False), nn.ReLU(), nn.Linear(third, channels, bias=False))
            for _ in range(3)
        )
        self.select = nn.Softmax(dim=1)

    def forward(self, encoder1: Tensor, decoder1: Tensor, encoder2: Tensor) -> Tensor:
        pooled = (encoder1 + decoder1 + encoder2).mean((2, 3))  # Eqs. 5, 6
        chunks = pooled.chunk(3, 1)
        scores = torch.stack([mlp(chunks[i]) for i, mlp in enumerate(self.mlps)], 1)
        a1, a2, a3 = self.select(scores)[..., None, None].unbind(1)  # (N,3,C), sums to 1 over the branches
        return encoder1 * a1 + decoder1 * a2 + encoder2 * a3  # Eq. 7


class PlainAggregation(nn.Module):
    """What joins the stages without CSAM: MPRNet's `csff`, `concat` and 1x1, the `sum`, or `none`."""

    def __init__(self, channels: int, *, mode: str):
        super().__init__()
        self.mode = mode
        self.convs = nn.ModuleList(conv(channels, channels, 1) for _ in range(2 if mode == "csff" else 0))
        if mode == "concat":
            self.convs.append(conv(3 * channels, channels, 1))

    def forward(self, encoder1: Tensor, decoder1: Tensor, encoder2: Tensor) -> Tensor:
        match self.mode:
            case "csff":
                return encoder2 + self.convs[0](encoder1) + self.convs[1](decoder1)
            case "concat":
                return self.convs[0](torch.cat([encoder1, decoder1, encoder2], 1))
            case "sum":
                return encoder1 + decoder1 + encoder2
        return encoder2


# ------------------------------------------------------------------------------------- the network (Sec. 3.1)


class Unattended(nn.Module):
    """What stands in the place of SAM without it: the features as they are, and the image that they predict."""

    def __init__(self, channels: int):
        super().__init__()
        self.image = conv(channels, 3)

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        return features, image + self.image(features)


class Stage(nn.Module):
    """One encoder-decoder; lists run from the full to the quarter size."""

    def __init__(self, config: Config, second: bool):
        super().__init__()
        widths = config.widths
        rdms = partial(RDMs, rdm=config.rdm, rdms=config.rdms * config.deepen)
        self.shallow = nn.Sequential(conv(3, widths[0]))
        if config.cab:
            self.act = nn.PReLU()
            self.shallow.append(CAB(widths[0], reduction=4, act=self.act))
        self.merge = conv(2 * widths[0], widths[0]) if second else None
        self.encoder = nn.ModuleList(rdms(c) for c in widths)
        self.down = nn.ModuleList(Down(fine, coarse) for fine, coarse in pairwise(widths))
        if second:
            csam = CSAM if config.csam == "csam" else partial(PlainAggregation, mode=config.csam)
            self.csam = nn.ModuleList(csam(c) for c in widths)
        cem = partial(CEM, identity=config.cem_identity, guide=config.guide)
        cem = cem if config.cem == "full" else partial(PlainSkip, mode=config.cem)
        self.cem = nn.ModuleList(cem(c, coarser=s < 2) for s, c in enumerate(widths))
        self.up = nn.ModuleList(Up(coarse, fine) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(rdms(c) for c in widths[:2])
        self.decoder.append(nn.Identity() if config.share_bottleneck else rdms(widths[2]))

    def forward(
        self,
        images: list[Tensor],
        gated: Tensor | None = None,
        encoder1: list[Tensor] | None = None,
        decoder1: list[Tensor] | None = None,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Predicted images, encoder features and decoder features, finest first.

        Args:
            images: the blurred image at full, half and quarter size.
            gated: SAM's features, for stage 2, as are stage 1's encoder and decoder features.
        """
        x = self.shallow(images[0])
        if self.merge is not None:
            x = self.merge(torch.cat([x, gated], 1))
        encoder = []
        for s in range(3):
            x = self.encoder[s](self.down[s - 1](x) if s else x)
            if self.merge is not None:
                x = self.csam[s](encoder1[s], decoder1[s], x)
            encoder.append(x)
        predicted, decoder = [None] * 3, [None] * 3
        for s in (2, 1, 0):
            coarser = () if s == 2 else (self.up[s](decoder[s + 1]),)
            x, predicted[s] = self.cem[s](encoder[s], images[s], *coarser)
            decoder[s] = self.decoder[s](x)
        return [image for image in predicted if image is not None], encoder, decoder  # type: ignore[return-value]  # all three decoders have run


class SGENet(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> all supervised images.

    They come stage by stage, the last stage first; within a stage its output, then the CEMs' images I_3, I_2, I_1 at
    full, half and quarter size. Without CEMs' guidance there are only the stages' outputs.
    """

    def __init__(self, config: Config):
        super().__init__()
        choices = {"rdm": RDMS, "cem": CEMS, "guide": GUIDES, "csam": CSAMS, "stages": (1, 2), "init": INITS}
        for field, valid in choices.items():
            if getattr(config, field) not in valid:
                raise ValueError(
                    f"unknown {field} {getattr(config, field)!r}; choose one of {', '.join(map(str, valid))}"
                )
        self.config = config
        self.stages = nn.ModuleList(Stage(config, second=bool(t)) for t in range(config.stages))
        between = SAM if config.sam else Unattended
        self.sam = between(config.widths[0]) if config.stages == 2 else None
        self.tail = conv(config.widths[0], 3)
        if config.init == "identity":
            start_at_identity(self)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        images = [pad_to_multiple(blurred, 4)]
        images += [halve(images[0])]
        images += [halve(images[1])]
        outputs, encoder, decoder = self.stages[0](images)
        if self.sam is not None:
            gated, restored = self.sam(decoder[0], images[0])
            predicted, _, decoder = self.stages[1](images, gated, encoder, decoder)
            outputs = [*predicted, restored, *outputs]
        outputs = [images[0] + self.tail(decoder[0]), *outputs]
        factors = [images[0].shape[-1] // output.shape[-1] for output in outputs]
        return tuple(o[..., : -(-height // f), : -(-width // f)] for o, f in zip(outputs, factors))


@torch.no_grad()
def start_at_identity(network: SGENet) -> None:
    """Set weights so that all images start as their inputs: ours, for recipes of minutes; the graph stays the same.

    The convolutions that predict residual images are zero. With `open_cems`, a CEM without identity passes the positive
    part of its features, which PyTorch's weights shrink many times over: M starts as ReLU(F_s) and what the coarser
    features add at random; the attention, near 1/2, meets a fusion of twice M. The MLPs, which have no biases, start in
    pairs of opposite sign.
    """
    open_units(network)
    network.tail.weight.zero_()
    if network.sam is not None:
        network.sam.image.weight.zero_()
    opened = network.config.open_cems and not network.config.cem_identity
    for module in network.modules():
        if isinstance(module, CEM):
            module.residual.weight.zero_()
        if isinstance(module, Merge) and opened:
            own = range(module[0].out_channels)
            module[0].weight[:, : len(own)] = 0
            module[0].weight[own, own, 1, 1] = 1
        if isinstance(module, CEM) and opened:
            own = range(module.fuse.out_channels)
            module.attention[0].weight.mul_(0.1)
            module.fuse.weight.mul_(0.1)
            module.fuse.weight[own, range(len(own), 2 * len(own)), 1, 1] = 2


_WITHOUT_CEM, _WITHOUT_CSAM = {"cem": "sum"}, {"csam": "sum"}
VARIANTS = {
    "paper": {},
    "cem_identity": {"cem_identity": True},
    "cem_closed_start": {"open_cems": False},  # differs from "paper" with the identity start only
    "parallel_sum": {"rdm": "parallel_sum"},
    "config_b": {"rdm": "concat", "share_bottleneck": True, "cab": False},
    "without_cem": _WITHOUT_CEM,
    "without_cem_concat": {"cem": "concat"},
    "cem_no_guidance": {"cem": "no_guidance"},
    "attention_from_input": {"guide": "input"},
    "undilated": {"rdm": "undilated"},
    "without_sam": {"sam": False},
    "without_edge_loss": {},  # changes the loss, as do the next two: see deblur.recipes
    "cem_unsupervised": {},
    "loss_three": {},
    "without_csam": _WITHOUT_CSAM,
    "without_csam_concat": {"csam": "concat"},
    "without_csam_none": {"csam": "none"},
    "without_csam_csff": {"csam": "csff"},
    "without_both": _WITHOUT_CEM | _WITHOUT_CSAM,
    "single_stage": {"stages": 1},
    "single_stage_4_rdms": {"stages": 1, "deepen": 2},
}
"""Variant -> its differences from `Config()`. The paper's ablation tables are lost: the names are ours."""


def first_stage(network: nn.Module, inputs: tuple, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The first stage's image in place of the second's; each stage has as many."""
    return outputs[len(outputs) // 2], *outputs[1:]


def mean_features(sam: nn.Module, inputs: tuple, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Spatial means of what SAM hands to the second stage, beside its image."""
    features, image = output
    return spatial_mean(sam, inputs, features), image


def mean_of_stage_1(csam: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """What CSAM makes of the spatial means of stage 1's features and of stage 2's as they are."""
    *first, second = inputs
    return csam.forward(*(spatial_mean(csam, inputs, features) for features in first), second)


PARTS = {
    "stage 2": Part("", first_stage, needs="sam"),
    "stage 1's features": Part(r"stages\.1\.csam\.\d", mean_of_stage_1),
    "CSAM": Part(r"stages\.1\.csam\.\d\.select", equal_weights),
    "SAM": Part("sam", mean_features),
    "SAM, attention": Part(r"sam\.attention", spatial_mean),
    "CEMs, attention": Part(r"stages\.\d\.cem\.\d\.attention", spatial_mean),
    "CEMs, residual features": Part(r"stages\.\d\.cem\.\d\.residual_features", zero),
    **{
        f"CEM {3 - s} of stage {t + 1}, {name}": Part(rf"stages\.{t}\.cem\.{s}\.{module}", instead)
        for name, module, instead in (
            ("attention", "attention", spatial_mean),
            ("residual features", "residual_features", zero),
        )
        for t in (0, 1)
        for s in (2, 1, 0)
    },
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`. CEM 3 is that of the
full size, 1 that of the quarter."""


PUBLISHED: dict[str, Published | str] = {
    "sgenet": UNKNOWN,
}
"""Network -> what its project published, or why there is nothing to import."""
