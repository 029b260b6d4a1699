"""Multi-input multi-output U-Net (MIMO-UNet and MIMO-UNet+; Cho, Ji, Hong, Jung, Ko; ICCV 2021).

The idea in five lines. Coarse to fine inside one U-Net instead of one network a scale. The encoder also takes the
blurred image at 1/2 and 1/4 (shallow convolutional modules, SCM, whose features a feature attention module, FAM,
merges); the decoder predicts a residual image at every size. Asymmetric feature fusion (AFF) gives each skip the
features of all three encoder levels. The loss is the absolute error at all sizes, of the images and of their Fourier
transforms. MIMO-UNet+, `mimounet_plus`, has 20 residual blocks a level instead of 8, and a little dropout.

Stages and shapes at 256x256:

    enc1  conv 3x3, 3->32, ReLU; 8 blocks                        (32, 256, 256)
    enc2  conv 3x3 stride 2, ReLU; FAM with SCM of 1/2; 8 blocks (64, 128, 128)
    enc3  conv 3x3 stride 2, ReLU; FAM with SCM of 1/4; 8 blocks (128, 64, 64)
    aff   of all three, for sizes 1/2 and 1                      (64, 128, 128) (32, 256, 256)
    dec3  8 blocks; conv 3x3 to the image of 1/4; deconv, ReLU   (64, 128, 128)
    dec2  1x1 of both; 8 blocks; image of 1/2; deconv, ReLU      (32, 256, 256)
    dec1  1x1 of both; 8 blocks; conv 3x3 to the image           (3, 256, 256)   each then + blurred

Size: 6,807,171 parameters = 27.23 MB; published 6.8 M. `mimounet_plus`: 16,107,651 = 64.43 MB; published 16.1 M.

Readings (stated: in the paper or in the authors' published code)
    Widths 32/64/128, blocks x + conv(ReLU(conv(x))), 4x4 deconvolutions                    stated
    SCM: 3x3, 1x1, 3x3, 1x1 with ReLU, joined with the image, 1x1; FAM: x + conv(x * SCM)   stated
    Resizing by nearest neighbours, of images and of features                               stated (code)
    Dropout of 1/10 of the fused channels in `mimounet_plus`                                stated (code)
    PyTorch's own weights                                                                   stated (code)
    Reflect padding to a multiple of 4                                                      chosen
    The `identity` start (the three convolutions to images zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, own_input, spatial_mean, zero
from deblur.models.published import GOPRO, Published, mirrored
from deblur.models.starts import open_units


@dataclass(frozen=True)
class Config:
    width: int = 32  # channels at full size, doubled with each level down
    blocks: int = 8  # residual blocks a level, in encoder and decoder
    dropout: float = 0.0  # share of the fused channels dropped in training
    init: str = "pytorch"  # or "identity"


def conv(in_channels: int, channels: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution, with ReLU or without."""
    layer = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
    return nn.Sequential(layer, nn.ReLU()) if relu else nn.Sequential(layer)


def resize(x: Tensor, factor: float) -> Tensor:
    """By nearest neighbours: every second pixel, or every pixel twice."""
    return F.interpolate(x, scale_factor=factor, mode="nearest")


class ResBlock(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SCM(nn.Module):
    """Shallow convolutional module: features of a small blurred image, (N,3,H,W) -> (N,C,H,W)."""

    def __init__(self, channels: int):
        super().__init__()
        quarter, half = channels // 4, channels // 2
        self.body = nn.Sequential(
            conv(3, quarter), conv(quarter, half, 1), conv(half, half), conv(half, channels - 3, 1)
        )
        self.merge = conv(channels, channels, 1, relu=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.merge(torch.cat([image, self.body(image)], 1))


class FAM(nn.Module):
    """Feature attention module: features from above, weighted by those of the small image."""

    def __init__(self, channels: int):
        super().__init__()
        self.merge = conv(channels, channels, relu=False)

    def forward(self, x: Tensor, small: Tensor) -> Tensor:
        return x + self.merge(x * small)


class AFF(nn.Module):
    """Asymmetric feature fusion: features of all levels, brought to one size, to those of one level."""

    def __init__(self, in_channels: int, channels: int, dropout: float):
        super().__init__()
        self.body = nn.Sequential(
            conv(in_channels, channels, 1), conv(channels, channels, relu=False), nn.Dropout2d(dropout)
        )

    def forward(self, *levels: Tensor) -> Tensor:
        return self.body(torch.cat(levels, 1))


class MIMOUNet(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> restorations at sizes 1, 1/2 and 1/4, finest first."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        c1, c2, c3 = widths = tuple(config.width * 2**i for i in range(3))

        def body(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ResBlock(channels) for _ in range(config.blocks)))

        self.heads = nn.ModuleList([conv(3, c1), conv(c1, c2, stride=2), conv(c2, c3, stride=2)])
        self.scms = nn.ModuleList([SCM(c2), SCM(c3)])
        self.fams = nn.ModuleList([FAM(c2), FAM(c3)])
        self.encoder = nn.ModuleList(body(c) for c in widths)
        self.affs = nn.ModuleList(AFF(c1 + c2 + c3, c, config.dropout) for c in (c1, c2))
        self.decoder = nn.ModuleList(body(c) for c in widths)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(2 * c, c, 4, 2, padding=1), nn.ReLU()) for c in (c1, c2)
        )
        self.joins = nn.ModuleList(conv(2 * c, c, 1) for c in (c1, c2))
        self.images = nn.ModuleList(nn.Conv2d(c, 3, 3, padding=1) for c in widths)
        if config.init == "identity":
            open_units(self)
            for layer in self.images:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, blurred: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 4)
        half = resize(image, 0.5)
        quarter = resize(half, 0.5)

        e1 = self.encoder[0](self.heads[0](image))
        e2 = self.encoder[1](self.fams[0](self.heads[1](e1), self.scms[0](half)))
        e3 = self.encoder[2](self.fams[1](self.heads[2](e2), self.scms[1](quarter)))
        skip1 = self.affs[0](e1, resize(e2, 2), resize(resize(e3, 2), 2))
        skip2 = self.affs[1](resize(e1, 0.5), e2, resize(e3, 2))

        d3 = self.decoder[2](e3)
        d2 = self.decoder[1](self.joins[1](torch.cat([self.ups[1](d3), skip2], 1)))
        d1 = self.decoder[0](self.joins[0](torch.cat([self.ups[0](d2), skip1], 1)))
        levels = zip(self.images, (d1, d2, d3), (image, half, quarter), strict=True)
        outputs = [to_image(features) + small for to_image, features, small in levels]
        return tuple(x[..., : -(-height // 2**i), : -(-width // 2**i)] for i, x in enumerate(outputs))


@dataclass(frozen=True)
class PlusConfig(Config):
    blocks: int = 20  # residual blocks a level, in encoder and decoder
    dropout: float = 0.1  # share of the fused channels dropped in training


class MIMOUNetPlus(MIMOUNet):
    """MIMO-UNet+: more residual blocks, and a little dropout against overfitting."""


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {
    "SCMs": Part(r"scms\.\d", zero),
    "FAMs": Part(r"fams\.\d", own_input),
    "AFFs": Part(r"affs\.\d", spatial_mean),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


_RENAMES = (
    (r"\.(?:main|conv)\.(\d)\.main\.0\.", r".body.\1.0."),
    (r"^Encoder\.(\d)\.layers\.", r"encoder.\1."),
    (r"^Decoder\.(\d)\.layers\.", mirrored(2, "decoder.{}.")),
    (r"^feat_extract\.([0-2])\.main\.", r"heads.\1."),
    (r"^feat_extract\.([34])\.main\.", mirrored(4, "ups.{}.")),
    (r"^feat_extract\.5\.main\.0\.", "images.0."),
    (r"^ConvsOut\.(\d)\.main\.0\.", mirrored(2, "images.{}.")),
    (r"^Convs\.(\d)\.main\.", mirrored(1, "joins.{}.")),
    (r"^AFFs\.", "affs."),
    (r"^FAM(\d)\.merge\.main\.", mirrored(2, "fams.{}.merge.")),
    (r"^SCM(\d)\.conv\.main\.", mirrored(2, "scms.{}.merge.")),
    (r"^SCM(\d)\.", mirrored(2, "scms.{}.")),
)


PUBLISHED: dict[str, Published | str] = {
    "mimounet": Published("chosj95/MIMO-UNet", "MIMO-UNet.pkl", _RENAMES, trained_on=GOPRO),
    "mimounet_plus": Published("chosj95/MIMO-UNet", "MIMO-UNetPlus.pkl", _RENAMES, trained_on=GOPRO),
}
"""Network -> what its project published, or why there is nothing to import."""
