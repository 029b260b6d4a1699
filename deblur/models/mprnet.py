"""Multi-stage progressive restoration (MPRNet; Zamir, Arora, Khan, Hayat, Khan, Yang, Shao; CVPR 2021).

The idea in five lines. Three stages restore one after another. The first two are encoder-decoders that see much
context, on four patches and on two; the third works at full resolution throughout and keeps detail. Between stages a
supervised attention module (SAM) predicts the image, has it supervised, and passes on only the features that this image
finds useful; cross-stage feature fusion (CSFF) hands features of one encoder-decoder to the next encoder. All blocks
are channel attention blocks (CAB); each stage adds its result to the blurred image.

Stages and shapes at 256x256 (widths 96/144/192 of the encoder-decoders, 128 of stage 3):

    stage 1  conv and CAB on 4 patches; encoder on 4, decoder on 2 patches    (96, 128, 256) to (192, 32, 64)
    SAM      1x1 to the image of stage 1, features to stage 2                 (96, 128, 256)
    stage 2  conv and CAB, joined; encoder with CSFF on 2 patches; decoder    (96, 256, 256) to (192, 64, 64)
    SAM      1x1 to the image of stage 2, features to stage 3                 (96, 256, 256)
    stage 3  conv and CAB, joined; 3 original-resolution blocks (ORB) of
             8 CABs, each followed by the features of stage 2                 (128, 256, 256)
    tail     conv 3x3, 128->3                                                 (3, 256, 256)   then + blurred

Size: 20,127,073 parameters = 80.51 MB, as published; printed 20.1 M (SGENet, Table 1).

Readings (stated: in the paper or in the authors' published code)
    Widths 96, +48 a level, +32 in stage 3; 8 CABs an ORB; no biases; reduction 4      stated
    Two CABs a level and side, one on each skip; bilinear resizing, 1x1 convolutions   stated
    One learned slope (PReLU) for all activations                                      stated (code)
    PyTorch's own weights                                                              stated (code)
    Reflect padding to a multiple of 8                                                 chosen
    The `identity` start (the three convolutions to images zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.dmphn import join, split
from deblur.models.layers import halve, pad_to_multiple
from deblur.models.parts import Part, equal_weights, spatial_mean, zero
from deblur.models.published import GOPRO, Published, less, looked_up
from deblur.models.starts import open_units


@dataclass(frozen=True)
class Config:
    width: int = 96  # channels of the encoder-decoders at full size
    widen: int = 48  # added with every level down
    widen_last: int = 32  # added in stage 3
    cabs: int = 2  # CABs a level and side of the encoder-decoders
    orb_cabs: int = 8  # CABs an ORB
    reduction: int = 4  # C / hidden width of the channel attention
    init: str = "pytorch"  # or "identity"


def conv(in_channels: int, channels: int, kernel: int = 3) -> nn.Conv2d:
    """Convolution without bias that keeps the size."""
    return nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)


class CAB(nn.Module):
    """Channel attention block: x + CA(conv(PReLU(conv(x)))).

    The PReLU belongs to the network, which shares it among all blocks; a tuple keeps it from being registered again.
    """

    def __init__(self, channels: int, reduction: int, act: nn.PReLU):
        super().__init__()
        self.act = (act,)
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        hidden = max(channels // reduction, 2)
        self.squeeze = conv(channels, hidden, 1)
        self.excite = conv(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.act[0](self.conv1(x)))
        return x + y * torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))


class Up(nn.Module):
    """Twice the size (bilinear), then a 1x1 convolution to fewer channels."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = conv(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))


class Encoder(nn.Module):
    """Three levels of CABs; with `csff`, fed at each level with the stage before's encoder and decoder."""

    def __init__(self, widths: tuple[int, ...], csff: bool, cabs: int, **cab: Any):
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(*(CAB(width, **cab) for _ in range(cabs))) for width in widths)
        self.downs = nn.ModuleList(conv(a, b, 1) for a, b in pairwise(widths))
        self.csff_enc = nn.ModuleList(conv(width, width, 1) for width in widths if csff)
        self.csff_dec = nn.ModuleList(conv(width, width, 1) for width in widths if csff)

    def forward(self, x: Tensor, encoded: list[Tensor] = (), decoded: list[Tensor] = ()) -> list[Tensor]:
        features = []
        for i, level in enumerate(self.levels):
            x = level(self.downs[i - 1](halve(x)) if i else x)
            if encoded:
                x = x + self.csff_enc[i](encoded[i]) + self.csff_dec[i](decoded[i])
            features.append(x)
        return features


class Decoder(nn.Module):
    """Three levels of CABs from coarse to fine, with a CAB on each skip."""

    def __init__(self, widths: tuple[int, ...], cabs: int, **cab: Any):
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(*(CAB(width, **cab) for _ in range(cabs))) for width in widths)
        self.skips = nn.ModuleList(CAB(width, **cab) for width in widths[:-1])
        self.ups = nn.ModuleList(Up(b, a) for a, b in pairwise(widths))

    def forward(self, encoded: list[Tensor]) -> list[Tensor]:
        features = [self.levels[-1](encoded[-1])]
        for i in reversed(range(len(self.skips))):
            features.insert(0, self.levels[i](self.ups[i](features[0]) + self.skips[i](encoded[i])))
        return features


class SAM(nn.Module):
    """Supervised attention module: features and blurred image -> features to pass on, and the stage's image."""

    def __init__(self, channels: int):
        super().__init__()
        self.features = conv(channels, channels, 1)
        self.image = conv(channels, 3, 1)
        self.attention = conv(3, channels, 1)

    def forward(self, x: Tensor, blurred: Tensor) -> tuple[Tensor, Tensor]:
        image = self.image(x) + blurred
        return x + self.features(x) * torch.sigmoid(self.attention(image)), image


class ORB(nn.Module):
    """Original-resolution block: x + conv(CABs(x))."""

    def __init__(self, channels: int, cabs: int, **cab: Any):
        super().__init__()
        self.body = nn.Sequential(*(CAB(channels, **cab) for _ in range(cabs)), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ORSNet(nn.Module):
    """Original-resolution subnetwork: ORBs, each followed by one level of the stage before at full size."""

    def __init__(self, widths: tuple[int, ...], channels: int, cabs: int, **cab: Any):
        super().__init__()
        self.orbs = nn.ModuleList(ORB(channels, cabs, **cab) for _ in widths)
        self.from_enc = nn.ModuleList(self.to_full(widths[: i + 1], channels) for i in range(len(widths)))
        self.from_dec = nn.ModuleList(self.to_full(widths[: i + 1], channels) for i in range(len(widths)))

    @staticmethod
    def to_full(widths: tuple[int, ...], channels: int) -> nn.Sequential:
        """From the last of these levels up to the first, then 1x1 to `channels`."""
        ups = [Up(b, a) for a, b in pairwise(widths)]
        return nn.Sequential(*reversed(ups), conv(widths[0], channels, 1))

    def forward(self, x: Tensor, encoded: list[Tensor], decoded: list[Tensor]) -> Tensor:
        for i, orb in enumerate(self.orbs):
            x = orb(x) + self.from_enc[i](encoded[i]) + self.from_dec[i](decoded[i])
        return x


class MPRNet(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the images of stages 3, 2 and 1, all of full size."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        self.act = nn.PReLU()
        cab = {"reduction": config.reduction, "act": self.act}
        widths = tuple(config.width + i * config.widen for i in range(3))
        c, last = config.width, config.width + config.widen_last
        self.shallow = nn.ModuleList(nn.Sequential(conv(3, c), CAB(c, **cab)) for _ in range(3))
        self.encoders = nn.ModuleList(Encoder(widths, csff=csff, cabs=config.cabs, **cab) for csff in (False, True))
        self.decoders = nn.ModuleList(Decoder(widths, cabs=config.cabs, **cab) for _ in range(2))
        self.sams = nn.ModuleList(SAM(c) for _ in range(2))
        self.joins = nn.ModuleList(conv(2 * c, out) for out in (c, last))
        self.orsnet = ORSNet(widths, last, config.orb_cabs, **cab)
        self.tail = conv(last, 3)
        if config.init == "identity":
            open_units(self)
            for layer in (self.tail, *(sam.image for sam in self.sams)):
                nn.init.zeros_(layer.weight)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 8)
        halves = split(image, 2, 1)

        encoded = self.encoders[0](self.shallow[0](split(halves, 1, 2)))
        encoded = [join(features, 1, 2) for features in encoded]
        decoded = self.decoders[0](encoded)
        passed, image1 = self.sams[0](decoded[0], halves)

        x = self.joins[0](torch.cat([self.shallow[1](halves), passed], 1))
        encoded = [join(features, 2, 1) for features in self.encoders[1](x, encoded, decoded)]
        decoded = self.decoders[1](encoded)
        passed, image2 = self.sams[1](decoded[0], image)

        x = self.joins[1](torch.cat([self.shallow[2](image), passed], 1))
        image3 = self.tail(self.orsnet(x, encoded, decoded)) + image
        return tuple(result[..., :height, :width] for result in (image3, image2, join(image1, 2, 1)))


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""


def second_stage(network: nn.Module, inputs: tuple, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The second stage's image in place of the third's."""
    return outputs[1], *outputs[1:]


PARTS = {
    "stage 3": Part("", second_stage),
    "SAMs, attention": Part(r"sams\.\d\.attention", spatial_mean),
    "CSFF": Part(r"encoders\.1\.csff_(enc|dec)\.\d", zero),
    "channel attention": Part(r".+\.excite", equal_weights),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


_RENAMES = (
    (r"\.body\.0\.weight$", ".conv1.weight"),  # of a channel attention block
    (r"\.body\.2\.weight$", ".conv2.weight"),
    (r"\.CA\.conv_du\.0\.", ".squeeze."),
    (r"\.CA\.conv_du\.2\.", ".excite."),
    (r"^.*\.body\.1\.weight$", "act.weight"),  # one PReLU, listed in every block
    (r"^shallow_feat(\d)\.", less(1, "shallow.{}.")),
    (r"^stage(\d)_(encoder|decoder)\.", less(1, "{1}s.{0}.")),
    (r"\.(?:en|de)coder_level(\d)\.", less(1, ".levels.{}.")),
    (r"\.skip_attn(\d)\.", less(1, ".skips.{}.")),
    (r"\.down(\d)\d\.down\.1\.", less(1, ".downs.{}.")),
    (r"\.up\d(\d)\.up\.1\.", less(1, ".ups.{}.conv.")),
    (r"\.(csff_enc|csff_dec)(\d)\.", less(1, ".{0}.{1}.")),
    (r"^sam(\d)\d\.(conv\d)\.", less(1, "sams.{0}.{1}.")),
    (r"(?<=^sams\.\d\.)(conv\d)", looked_up("conv1 conv2 conv3", "features image attention")),
    (r"^concat(\d)\d\.", less(1, "joins.{}.")),
    (r"^stage3_orsnet\.", "orsnet."),
    (r"\.orb(\d)\.", less(1, ".orbs.{}.")),
    (r"\.up_(enc|dec)1\.up\.1\.", r".from_\1.1.0.conv."),
    (r"\.up_(enc|dec)2\.(\d)\.up\.1\.", r".from_\1.2.\2.conv."),
    (r"\.conv_(enc|dec)(\d)\.", less(1, ".from_{0}.{1}.{1}.")),
)


PUBLISHED: dict[str, Published | str] = {
    "mprnet": Published("swz30/MPRNet", "model_deblurring.pth", _RENAMES, trained_on=GOPRO),
}
"""Network -> what its project published, or why there is nothing to import."""
