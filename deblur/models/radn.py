"""RADN: region-adaptive dense network for efficient motion deblurring (Purohit, Rajagopalan; AAAI 2020).

The idea in five lines. One pass, no pyramid, no 5x5 filters: a densely connected encoder-decoder that predicts the
residual sharp - blurred. The encoder is the beginning of a DenseNet-121 behind a space-to-depth step, so that it can
start from ImageNet weights. The decoder begins with one self-attention module (SA) that connects all pairs of places,
and goes on with three dense deformable modules (DDM), whose 3x3 filters sample where predicted offsets send them.
A second, small residual network shows that SA and deformable layers help elsewhere too (Table 2).

Stages and shapes at 256x256:

    normalise   ImageNet mean and deviation, for the encoder only        (3, 256, 256)
    stem        space-to-depth 2; conv 4x4, 12->64; BN, ReLU             (64, 128, 128)   f0
    pool0       max 3x3 / 2                                              (64, 64, 64)     p0
    block1      6 dense units; transition: BN, ReLU, 1x1, average / 2    (128, 32, 32)    t1
    block2      12 dense units; transition                               (256, 16, 16)
    block3      24 dense units; BN, ReLU                                 (1024, 16, 16)   A of Eqs. 5, 6
    attention   SA                                                       (1024, 16, 16)
    DDM 1       6 deform units of 32, 1x1 1216->512; deconv 512->256     (256, 32, 32)    then with t1
    DDM 2       6 deform units of 32, 1x1 576->256; deconv 256->128      (128, 64, 64)    then with p0
    DDM 3       6 deform units of 32, 1x1 384->128; deconv 128->64       (64, 128, 128)   then with f0
    last        deconv 128->32                                           (32, 256, 256)
    context     average pooling by 4, 8, 16, 32, one channel each        (36, 256, 256)
    recon       conv 3x3, 36->3; the input is added                      (3, 256, 256)

Size: 12,982,135 parameters = 51.93 MB. Printed: "40% less parameters" than Stack(4)-DMPHN, whose 21,697,572 are public;
ours are 40.17 % less.

Readings
    Space-to-depth by 2, three dense blocks, 1x1 convolution and pooling after the first two   stated
    Blocks of 6, 12, 24 units    derived: "all these filters" can start from DenseNet-121 only then. The text prints 12,
        16, 24: of `LAYOUTS`, `blocks_12_16_24` halves at transitions as DenseNet does, `blocks_12_16_24_narrow` keeps
        DenseNet-121's 128 and 256 there; neither can be loaded, and both are larger (15.61 and 13.96 million)
    4x4 stem, zeros left and above by 2, right and below by 1    chosen: equals DenseNet's 7x7 / 2 stem exactly
    `stem_pool`: DenseNet's max pooling after the stem, so that blocks run at 1/4, 1/8, 1/16   derived from the runtime:
        without it (`no_stem_pool`, the text's two poolings) a 720p image costs 4.7 times as much, 146 ms at the full
        peak of the paper's card, against 38 ms printed
    ImageNet normalisation of the encoder's input; BN and ReLU after block 3   chosen: loaded filters need both
    SA: B and C have C/8 channels, softmax over the sources, no scale, no gate   stated (Eqs. 5, 6); 1x1 convolutions
        as in SAGAN, the one of D zero at the start, chosen
    DDM: six deform units, densely connected, offsets shared by all channels, then a 1x1 convolution    stated
    Deform unit: BN, ReLU, 3x3 convolution to 18 offsets, deformable 3x3 to 32 channels; no mask    chosen but the pair
    Decoder widths 512/256/128, 3x3 deconvolutions, skips of what enters a dense block    chosen among many that fit
        the printed 40 %: the size is no evidence for them
    ReLU after the last two deconvolutions only    chosen: those before a DDM meet its BN and ReLU. With a ReLU of
        their own, channels that had nearly died came out of BN thousands of deviations large on rare images, and
        trainings lost 10 dB on those
    Context: pooling 4 to 32, 1x1 to one channel, LeakyReLU 0.2, bilinear    chosen, as DCPDN; four scales stated
    Decoder convolutions have biases; those of the encoder and of dense units have none    chosen
    Offsets, D and the last convolution start at zero, all else Kaiming    chosen: the untrained output is the input
    Deconvolutions start as bilinear enlargements of Kaiming mixtures    chosen: random ones paint a grid
    RADN1, 2: bottleneck blocks for DDMs, no SA; one unit of width 192/128/64 before the same 1x1    chosen
    RADN3, 4: DDMs with ordinary 3x3 convolutions, without and with SA    stated
    x8 self-ensemble: the mean over flips and rotations before clamping    chosen (Lim et al. 2017)
    Second family: SRN's network at one scale, 3x3 only, a convolution for its LSTM, three trunk blocks of two
        convolutions: the six counted layers    derived; of the five printed sizes 10.6, 10.7, 10.9, 11.2, 11.2 MB four
        match, the fourth is 11.13 (`s2d`, space-to-depth in and out, gives 11.16 but misses the first with 10.66)
        With three deformable layers these are the second of each trunk block; output added to the input; SA after the
        convolution in the LSTM's place    chosen
    DenseNet weights for full width only: see `load_pretrained`
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur import writing
from deblur.models.deform import DeformConv2d
from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, spatial_mean, zero
from deblur.models.published import UNKNOWN, Published
from deblur.models.starts import start_bilinear

FAMILIES = ("dense", "residual")
DECODERS = ("deformable", "ordinary", "bottleneck")
TRUNKS = {"ordinary": (False, False), "mixed": (False, True), "deformable": (True, True)}
"""Name -> which of a block's two convolutions are deformable."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation, RGB


@dataclass(frozen=True)
class Config:
    family: str = "dense"  # or "residual", the second network (Table 2)
    attention: bool = True  # SA
    gate: bool = False  # a learned factor on SA's residual, zero at the start, as in SAGAN
    # The dense family
    stem: int = 64  # channels after the first convolution
    blocks: tuple[int, int, int] = (6, 12, 24)  # dense units
    growth: int = 32  # channels a dense unit adds; inside, it has four times as many
    transitions: tuple[int, int] | None = None  # channels after the transitions; None: half of what comes in
    stem_pool: bool = True  # blocks at 1/4, 1/8, 1/16; else at 1/2, 1/4, 1/8
    decoder: str = "deformable"  # what a DDM is made of, one of DECODERS
    units: int = 6  # deform units a DDM
    unit_growth: int = 32  # channels a deform unit adds
    widths: tuple[int, int, int] = (512, 256, 128)  # channels out of the DDMs; deconvolutions halve them
    bottlenecks: tuple[int, int, int] = (192, 128, 64)  # of the bottleneck blocks that replace DDMs
    last: int = 32  # channels at full resolution
    # The residual family
    residual_widths: tuple[int, int, int] = (32, 64, 128)
    residual_blocks: int = 3  # a level, trunk included
    trunk: str = "ordinary"  # its convolutions, one of TRUNKS
    s2d: bool = False  # space-to-depth by 2 at the input, depth-to-space at the output


# ------------------------------------------------------------------------------------------------ encoder


def dense_unit(channels: int, growth: int) -> nn.Sequential:
    """BN, ReLU, 1x1 to 4 `growth` channels, BN, ReLU, 3x3 to `growth` channels."""
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 4 * growth, 1, bias=False),
        nn.BatchNorm2d(4 * growth),
        nn.ReLU(),
        nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
    )


class DenseBlock(nn.Module):
    """Units that each see the input and what all units before them made; returns it all."""

    def __init__(self, units: list[nn.Module]):
        super().__init__()
        self.units = nn.ModuleList(units)

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            x = torch.cat([x, unit(x)], 1)
        return x


def transition(channels: int, out_channels: int) -> nn.Sequential:
    """BN, ReLU, 1x1, and the mean of each 2x2 block."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, out_channels, 1, bias=False), nn.AvgPool2d(2)
    )


class Encoder(nn.Module):
    """Image (N,3,H,W) -> the tensors that enter the stem's pooling and blocks 1 and 2, and the deepest features.

    `channels` holds theirs: f0 (at 1/2), p0 (what enters block 1), t1 (what enters block 2), and the last.
    """

    def __init__(
        self, *, stem: int, blocks: tuple[int, int, int], growth: int, transitions: tuple | None, stem_pool: bool
    ):
        super().__init__()
        for name, values in zip(("mean", "deviation"), IMAGENET):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.ZeroPad2d((2, 1, 2, 1)),
            nn.Conv2d(12, stem, 4, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        )
        self.pool0 = nn.MaxPool2d(3, 2, padding=1) if stem_pool else nn.Identity()
        entering, leaving = [stem], []
        for index, count in enumerate(blocks):
            leaving.append(entering[-1] + count * growth)
            if index < 2:
                entering.append(transitions[index] if transitions else leaving[-1] // 2)
        made = [
            DenseBlock([dense_unit(start + unit * growth, growth) for unit in range(count)])
            for start, count in zip(entering, blocks)
        ]
        self.block1, self.block2, self.block3 = made
        self.transition1 = transition(leaving[0], entering[1])
        self.transition2 = transition(leaving[1], entering[2])
        self.norm = nn.Sequential(nn.BatchNorm2d(leaving[2]), nn.ReLU())
        self.channels = (stem, stem, entering[1], leaving[2])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        f0 = self.stem((image - self.mean) / self.deviation)
        p0 = self.pool0(f0)
        t1 = self.transition1(self.block1(p0))
        return f0, p0, t1, self.norm(self.block3(self.transition2(self.block2(t1))))


# ---------------------------------------------------------------------------------------------------- SA


class SelfAttention(nn.Module):
    """SA, (N,C,H,W) -> the same: every place receives a mean of all places, weighted by likeness (Eqs. 5, 6).

    s_ji = exp(B_i . C_j) / sum_i exp(B_i . C_j),    E_j = A_j + sum_i s_ji D_i

    """

    def __init__(self, channels: int, *, gate: bool, reduction: int = 8):
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.b = nn.Conv2d(channels, hidden, 1)
        self.c = nn.Conv2d(channels, hidden, 1)
        self.d = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(())) if gate else None
        self.attend = Attend()

    def forward(self, a: Tensor) -> Tensor:
        residual = self.attend(self.b(a), self.c(a), self.d(a))
        return a + (residual if self.gate is None else self.gate * residual)


class Attend(nn.Module):
    """SA's residual, sum_i s_ji D_i, from B and C (N,K,H,W) and D (N,C,H,W); shaped as D.

    Exact, by rows of S: the whole (HW, HW) matrix is built only if it is small, or kept if there are gradients.
    """

    ROWS = 256

    def forward(self, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        size = d.shape
        b, c, d = b.flatten(2), c.flatten(2), d.flatten(2)
        residual = torch.empty_like(d)
        for start in range(0, d.shape[-1], self.ROWS):
            rows = slice(start, start + self.ROWS)
            s = torch.softmax(c[:, :, rows].mT @ b, -1)
            residual[:, :, rows] = d @ s.mT
        return residual.view(size)


# ----------------------------------------------------------------------------------------------- decoder


def deform_unit(channels: int, growth: int, deformable: bool) -> nn.Sequential:
    """BN, ReLU, and a deformable (or, for RADN3 and RADN4, an ordinary) 3x3 convolution (Eq. 4)."""
    convolution = DeformConv2d(channels, growth) if deformable else nn.Conv2d(channels, growth, 3, padding=1)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), convolution)


def ddm(channels: int, out_channels: int, *, decoder: str, units: int, growth: int, bottleneck: int) -> nn.Sequential:
    """DDM: dense deform units, then 1x1 (Fig. 3); or what replaces it in RADN1 to RADN4."""
    if decoder == "bottleneck":
        made, added = [dense_unit(channels, bottleneck)], bottleneck
    else:
        made = [deform_unit(channels + i * growth, growth, decoder == "deformable") for i in range(units)]
        added = units * growth
    return nn.Sequential(DenseBlock(made), nn.Conv2d(channels + added, out_channels, 1))


def up(channels: int, out_channels: int, *, linear: bool = False) -> nn.Sequential:
    """Deconvolution 3x3 that doubles the size, ReLU unless `linear`."""
    deconvolution = nn.ConvTranspose2d(channels, out_channels, 3, 2, padding=1, output_padding=1)
    return nn.Sequential(deconvolution) if linear else nn.Sequential(deconvolution, nn.ReLU())


class Context(nn.Module):
    """Multi-scale context: means over 4, 8, 16, 32 pixels as four more channels, (N,C,H,W) -> (N,C+4,H,W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.AvgPool2d(size, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(channels, 1, 1),
                nn.LeakyReLU(0.2),
            )
            for size in (4, 8, 16, 32)
        )

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        maps = [F.interpolate(scale(x), size=size, mode="bilinear", align_corners=False) for scale in self.scales]
        return torch.cat([x, *maps], 1)


class DenseNetwork(nn.Module):
    """The paper's network without padding: (N,3,H,W) -> the residual (N,3,H,W) (Fig. 2)."""

    def __init__(
        self,
        *,
        attention: bool,
        gate: bool,
        widths: tuple[int, int, int],
        bottlenecks: tuple[int, int, int],
        last: int,
        decoder: str,
        units: int,
        unit_growth: int,
        stem_pool: bool,
        **encoder: Any,
    ):
        super().__init__()
        self.encoder = Encoder(stem_pool=stem_pool, **encoder)
        f0, p0, t1, deepest = self.encoder.channels
        self.attention = SelfAttention(deepest, gate=gate) if attention else nn.Identity()
        skips = [t1, p0] if stem_pool else [t1, f0]
        raised = [width // 2 for width in widths]
        if not stem_pool:
            raised[2] = last
        into = [deepest, raised[0] + skips[0], raised[1] + skips[1]]
        self.ddm1, self.ddm2, self.ddm3 = (
            ddm(channels, width, decoder=decoder, units=units, growth=unit_growth, bottleneck=bottleneck)
            for channels, width, bottleneck in zip(into, widths, bottlenecks)
        )
        # Linear before DDMs, which begin with BN: after a ReLU, BN makes rare values of a nearly dead channel huge.
        self.up1, self.up2, self.up3 = (
            up(width, out, linear=before_ddm) for width, out, before_ddm in zip(widths, raised, (True, True, False))
        )
        self.up4 = up(raised[2] + f0, last) if stem_pool else None
        self.context = Context(last)
        self.recon = nn.Conv2d(last + 4, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        f0, p0, t1, deepest = self.encoder(image)
        x = self.up1(self.ddm1(self.attention(deepest)))
        x = self.up2(self.ddm2(torch.cat([x, t1], 1)))
        if self.up4 is None:
            x = self.up3(self.ddm3(torch.cat([x, f0], 1)))
        else:
            x = self.up3(self.ddm3(torch.cat([x, p0], 1)))
            x = self.up4(torch.cat([x, f0], 1))
        return self.recon(self.context(x))


# ------------------------------------------------------------------------------------- the second family


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), 3x3; either convolution may be deformable."""

    def __init__(self, channels: int, deformable: tuple[bool, bool] = (False, False)):
        super().__init__()
        self.conv1, self.conv2 = (
            DeformConv2d(channels, channels) if bends else nn.Conv2d(channels, channels, 3, padding=1)
            for bends in deformable
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class ResidualNetwork(nn.Module):
    """SRN's network at one scale with 3x3 filters and no recurrence: (N,3,H,W) -> the residual (Table 2)."""

    def __init__(
        self,
        *,
        widths: tuple[int, int, int],
        blocks: int,
        trunk: str,
        attention: bool,
        gate: bool,
        s2d: bool,
    ):
        super().__init__()
        c1, c2, c3 = widths
        self.fold, self.unfold = (nn.PixelUnshuffle(2), nn.PixelShuffle(2)) if s2d else (nn.Identity(), nn.Identity())
        colours = 12 if s2d else 3

        def level(channels: int) -> list[nn.Module]:
            return [ResidualBlock(channels) for _ in range(blocks)]

        def head(channels: int, out_channels: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, out_channels, 3, stride, padding=1), nn.ReLU()]

        self.enc1 = nn.Sequential(*head(colours, c1, 1), *level(c1))
        self.enc2 = nn.Sequential(*head(c1, c2, 2), *level(c2))
        self.enc3 = nn.Sequential(*head(c2, c3, 2), *level(c3))
        self.middle = nn.Sequential(*head(c3, c3, 1))
        self.attention = SelfAttention(c3, gate=gate) if attention else nn.Identity()
        self.trunk = nn.Sequential(*(ResidualBlock(c3, TRUNKS[trunk]) for _ in range(blocks)))
        self.up2, self.up1 = up(c3, c2), up(c2, c1)
        self.dec2, self.dec1 = nn.Sequential(*level(c2)), nn.Sequential(*level(c1))
        self.recon = nn.Conv2d(c1, colours, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        e1 = self.enc1(self.fold(image))
        e2 = self.enc2(e1)
        x = self.trunk(self.attention(self.middle(self.enc3(e2))))
        x = self.dec2(self.up2(x) + e2)
        x = self.dec1(self.up1(x) + e1)
        return self.unfold(self.recon(x))


# --------------------------------------------------------------------------------------------- the network


class RADN(nn.Module):
    """The network of either family: (N,3,H,W) in [0,1], any H and W -> one restoration, input plus residual."""

    def __init__(self, config: Config):
        super().__init__()
        for name, valid in (("family", FAMILIES), ("decoder", DECODERS), ("trunk", TRUNKS)):
            if getattr(config, name) not in valid:
                raise ValueError(f"unknown {name} {getattr(config, name)!r}; choose one of {', '.join(valid)}")
        self.config = config
        if config.family == "dense":
            self.body = DenseNetwork(
                attention=config.attention,
                gate=config.gate,
                stem=config.stem,
                blocks=config.blocks,
                growth=config.growth,
                transitions=config.transitions,
                stem_pool=config.stem_pool,
                decoder=config.decoder,
                units=config.units,
                unit_growth=config.unit_growth,
                widths=config.widths,
                bottlenecks=config.bottlenecks,
                last=config.last,
            )
            self.multiple = 16 if config.stem_pool else 8
        else:
            self.body = ResidualNetwork(
                attention=config.attention,
                gate=config.gate,
                widths=config.residual_widths,
                blocks=config.residual_blocks,
                trunk=config.trunk,
                s2d=config.s2d,
            )
            self.multiple = 8 if config.s2d else 4
        start(self)

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        height, width = blurred.shape[-2:]
        padded = pad_to_multiple(blurred, self.multiple)
        return ((padded + self.body(padded))[..., :height, :width],)


@torch.no_grad()
def start(network: RADN) -> None:
    """Kaiming weights and zero biases; offsets, SA's D and the last convolution zero: the output is the input.

    Transposed convolutions enlarge bilinearly, lest a grid be learnt from the start.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | DeformConv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.ConvTranspose2d):
            start_bilinear(module)
    zero = [network.body.recon]
    for module in network.modules():
        if isinstance(module, DeformConv2d):
            zero.append(module.offset)
        elif isinstance(module, SelfAttention):
            zero.append(module.d)
    for layer in zero:
        nn.init.zeros_(layer.weight)


class SelfEnsemble(nn.Module):
    """RADN+: the mean of a network's restorations under the square's eight symmetries, added up in float64.

    Eight passes; for evaluation. Any network of this package will do; only its full-resolution output is returned.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        total = torch.zeros_like(blurred, dtype=torch.float64)
        for turns in range(4):
            for flips in ((), (-1,)):
                seen = blurred.flip(flips).rot90(turns, (-2, -1))
                restored = self.network(seen)[0]
                total += restored.rot90(-turns, (-2, -1)).flip(flips)
        return ((total / 8).to(blurred.dtype),)


# ---------------------------------------------------------------------------------------------- pre-training


def fold_stem(weight: Tensor) -> Tensor:
    """A 7x7 convolution of stride 2, (O,C,7,7), as the 4x4 one behind space-to-depth that computes the same."""
    out_channels, channels = weight.shape[:2]
    square = F.pad(weight, (1, 0, 1, 0)).view(out_channels, channels, 4, 2, 4, 2)
    return square.permute(0, 1, 3, 5, 2, 4).reshape(out_channels, 4 * channels, 4, 4)


def load_pretrained(network: RADN, path: Path) -> None:
    """Start the encoder from torchvision's DenseNet-121 weights (`download_pretrained`), a PyTorch file of a state.

    All tensors of the encoder are set, batch statistics included; the decoder keeps its start.

    Raises:
        ValueError: for a network that is not of full width or not dense, and for missing or mis-shaped tensors.
    """
    full, config = Config(), network.config
    wanted = ("family", "stem", "blocks", "growth", "transitions", "stem_pool")
    if any(getattr(config, name) != getattr(full, name) for name in wanted):
        needed = ", ".join(f"{name}={getattr(full, name)!r}" for name in wanted)
        raise ValueError(f"DenseNet-121's weights fit full width only: {needed}")
    pretrained = torch.load(path, map_location="cpu", weights_only=True)
    # Files of 2017 say "norm.1" where the network's modules are called "norm1".
    pretrained = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)", r"\1", name): value for name, value in pretrained.items()
    }
    state, problems = {}, []
    for name, tensor in network.body.encoder.state_dict().items():
        source = densenet_name(name)
        if source not in pretrained and not name.endswith("num_batches_tracked"):  # which old files lack
            problems.append(f"missing {source}")
            continue
        value = pretrained.get(source, tensor)
        value = fold_stem(value) if source == "features.conv0.weight" and value.shape[-2:] == (7, 7) else value
        if value.shape != tensor.shape:
            problems.append(f"{source} gives {tuple(value.shape)}, the encoder has {tuple(tensor.shape)}")
        state[name] = value
    if problems:
        raise ValueError(f"{path} is no DenseNet-121 ({len(problems)} differences): {'; '.join(problems[:8])}")
    network.body.encoder.load_state_dict(state)


def densenet_name(name: str) -> str:
    """A tensor of our encoder by its name in torchvision's network."""
    *place, kind = name.split(".")
    layers = {"stem": {"2": "conv0", "3": "norm0"}, "norm": {"0": "transition3.norm"}}
    match place:
        case [block, "units", unit, index]:
            layer = {"0": "norm1", "2": "conv1", "3": "norm2", "5": "conv2"}[index]
            layer = f"dense{block}.denselayer{int(unit) + 1}.{layer}"
        case ["stem" | "norm" as part, index]:
            layer = layers[part][index]
        case [part, index]:
            layer = f"{part}.{'norm' if index == '0' else 'conv'}"
    return f"features.{layer}.{kind}"


def download_pretrained(path: Path) -> Path:
    """Fetch torchvision's DenseNet-121 weights (ImageNet, 31 MB) and write them to `path`."""
    from torchvision.models import DenseNet121_Weights

    state = DenseNet121_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    with writing.replacing(path) as draft:
        torch.save(state, draft)
    return path


VARIANTS = {
    "paper": {},  # RADN(Final); with SelfEnsemble around it RADN(Final)+
    "table1_radn1": {"decoder": "bottleneck", "attention": False},
    "table1_radn2": {"decoder": "bottleneck", "attention": False},  # pre-trained
    "table1_radn3": {"decoder": "ordinary", "attention": False},
    "table1_radn4": {"decoder": "ordinary"},
    "table2_conv6_def0_nosa": {"family": "residual", "attention": False},
    "table2_conv6_def0_sa": {"family": "residual"},
    "table2_conv3_def3_nosa": {"family": "residual", "attention": False, "trunk": "mixed"},
    "table2_conv0_def6_nosa": {"family": "residual", "attention": False, "trunk": "deformable"},
    "table2_conv0_def6_sa": {"family": "residual", "trunk": "deformable"},
}
"""Variant, named after table and row -> its differences from `Config()`."""

LAYOUTS = {
    "blocks_12_16_24": {"blocks": (12, 16, 24)},
    "blocks_12_16_24_narrow": {"blocks": (12, 16, 24), "transitions": (128, 256)},
    "no_stem_pool": {"stem_pool": False},
}
"""Other readings of the text, e.g. `build("radn", **LAYOUTS["no_stem_pool"])`; never trained here."""

PARTS = {
    "SA": Part(r"body\.attention\.attend", spatial_mean),
    **{f"DDM {i}": Part(rf"body\.ddm{i}", spatial_mean) for i in (1, 2, 3)},
    **{f"DDM {i}, offsets": Part(rf"body\.ddm{i}\..+\.offset", zero) for i in (1, 2, 3)},
    "trunk, offsets": Part(r"body\.trunk\..+\.offset", zero),
    "context": Part(r"body\.context\.scales\.\d", spatial_mean),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


PUBLISHED: dict[str, Published | str] = {
    "radn": UNKNOWN,
}
"""Network -> what its project published, or why there is nothing to import."""
