"""DeblurGAN-v2's generator with Inception-ResNet-v2 (Kupyn, Martyniuk, Wu, Wang; ICCV 2019), the paper's best.

The idea in four lines. The pyramid of `deblur.models.deblurgan_v2` on a backbone that is thirty times as large
(Szegedy, Ioffe, Vanhoucke, Alemi, AAAI 2017): its blocks look at several sizes at once, in branches that are joined and
added to what came in. The scores that tables print for DeblurGAN-v2, 29.55 dB on GoPro, are those of this form. It is
trained as is said there.

Stages and shapes at 256x256 (e: backbone, m: pyramid); the backbone's strided layers do not pad, reflection fills up:

    e0         3x3, stride 2                        (32, 127, 127)
    e1         3x3, 3x3, maximum of 3x3             (64, 62, 62)
    e2         1x1, 3x3, maximum of 3x3             (192, 29, 29)
    e3         four branches, 10 blocks, reduction  (1088, 14, 14)
    e4         20 blocks, reduction                 (2080, 6, 6)
    m4         1x1 of e4, padded                    (256, 8, 8)
    m3 to m1   3x3, norm, ReLU of 1x1 of e, padded, + twice the coarser m    (256, 16, 16) (256, 32, 32) (256, 64, 64)
    then as with MobileNetV2, heads of 128: (512, 64, 64), (128, 128, 128), (64, 256, 256), (3, 256, 256)

Size: 35,839,139 parameters = 143.36 MB. Published weights hold 60,929,291: in addition the last blocks of the backbone
(25,089,192), which no output depends on, and 960 biases that normalisations cancel; both are left out.

Readings (stated: in the paper or in the authors' published code)
    256 channels in the pyramid, heads of 128; where and how far reflection pads      stated (code)
    Branches and widths of the backbone's blocks, which count for 0.17 and 0.10       stated (the package
        `pretrainedmodels`, which the authors' code takes it from)
    Untrained: ImageNet's weights, frozen for three epochs, are nothing to download   chosen
    Images with a side below 97 px are padded to 128: the unpadded layers need it     chosen
    All else as in `deblur.models.deblurgan_v2`
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.deblurgan_v2 import CAUTIONS, PYRAMID_RENAMES, PYRAMID_UNUSED, Generator, finest_first
from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, spatial_mean
from deblur.models.published import Published, less

FILL = ((0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1))
"""What reflection adds to e0 to e4 on the left, on the right, at the top and at the bottom."""


@dataclass(frozen=True)
class Config:
    width: float = 1.0  # of the backbone's layers, as a multiple of the standard's
    blocks: tuple[int, int] = (10, 20)  # residual blocks at sizes 1/8 and 1/16
    pyramid: int = 256  # channels of the pyramid
    heads: int = 128  # channels of its heads
    init: str = "pytorch"  # or "identity"


def unit(channels: int, out: int, kernel: int | tuple[int, int], stride: int = 1, padding: Any = 0) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    layer = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out, eps=1e-3), nn.ReLU())


def path(channels: int, *layers: tuple) -> nn.Sequential:
    """Units in a row, of a kernel and its channels each; they keep the size, or a third value is the stride."""
    units = []
    for kernel, out, *stride in layers:
        units.append(unit(channels, out, kernel, stride[0]) if stride else unit(channels, out, kernel, padding="same"))
        channels = out
    return nn.Sequential(*units)


class Branches(nn.ModuleList):
    """Several ways through, their channels joined."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class Block(nn.Module):
    """What comes in plus a fraction of what its branches say, then a ReLU."""

    def __init__(self, channels: int, joined: int, scale: float, *branches: nn.Module):
        super().__init__()
        self.branches, self.scale = Branches(branches), scale
        self.join = nn.Conv2d(joined, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.scale * self.join(self.branches(x)))


def inception_resnet(width: float, blocks: tuple[int, int]) -> tuple[nn.ModuleList, tuple[int, ...]]:
    """Inception-ResNet-v2 as far as size 1/32 in the stages e0 to e4, and their channels."""

    def c(standard: int) -> int:
        return max(1, round(width * standard))

    def eighth() -> Block:
        paths = path(n8, (1, c(32))), path(n8, (1, c(32)), (3, c(32))), path(n8, (1, c(32)), (3, c(48)), (3, c(64)))
        return Block(n8, 2 * c(32) + c(64), 0.17, *paths)

    def sixteenth() -> Block:
        paths = path(n16, (1, c(192))), path(n16, (1, c(128)), ((1, 7), c(160)), ((7, 1), c(192)))
        return Block(n16, 2 * c(192), 0.10, *paths)

    n8 = 2 * c(96) + 2 * c(64)
    n16 = n8 + 2 * c(384)
    n32 = n16 + c(384) + c(288) + c(320)
    mean = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), unit(c(192), c(64), 1))
    to_8 = Branches(
        (
            path(c(192), (1, c(96))),
            path(c(192), (1, c(48)), (5, c(64))),
            path(c(192), (1, c(64)), (3, c(96)), (3, c(96))),
            mean,
        )
    )
    to_16 = Branches((path(n8, (3, c(384), 2)), path(n8, (1, c(256)), (3, c(256)), (3, c(384), 2)), nn.MaxPool2d(3, 2)))
    to_32 = Branches(
        (
            path(n16, (1, c(256)), (3, c(384), 2)),
            path(n16, (1, c(256)), (3, c(288), 2)),
            path(n16, (1, c(256)), (3, c(288)), (3, c(320), 2)),
            nn.MaxPool2d(3, 2),
        )
    )
    stages = nn.ModuleList(
        [
            unit(3, c(32), 3, stride=2),
            nn.Sequential(unit(c(32), c(32), 3), unit(c(32), c(64), 3, padding=1), nn.MaxPool2d(3, 2)),
            nn.Sequential(unit(c(64), c(80), 1), unit(c(80), c(192), 3), nn.MaxPool2d(3, 2)),
            nn.Sequential(to_8, *(eighth() for _ in range(blocks[0])), to_16),
            nn.Sequential(*(sixteenth() for _ in range(blocks[1])), to_32),
        ]
    )
    return stages, (c(32), c(64), c(192), n16, n32)


class DeblurGANv2Inception(Generator):
    """The network with Inception-ResNet-v2."""

    def __init__(self, config: Config):
        backbone, channels = inception_resnet(config.width, config.blocks)
        super().__init__(backbone, channels, config.pyramid, config.heads, config.init)

    def padded(self, image: Tensor) -> Tensor:
        return pad_to_multiple(image, 32 if min(image.shape[-2:]) > 96 else 128)

    def aligned(self, laterals: list[Tensor]) -> list[Tensor]:
        return [F.pad(lateral, fill, "reflect") for lateral, fill in zip(laterals, FILL, strict=True)]


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {f"pyramid, size 1/{4 * 2**i}": Part(rf"heads\.{i}", spatial_mean) for i in range(4)}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""

_RENAMES = (
    (r"(branch\d)\.(?=(?:conv|bn)\.)", r"\1.0."),  # a branch of one layer
    (r"^fpn\.inception\.conv2d_1a\.", "backbone.0."),
    (r"^fpn\.inception\.conv2d_2a\.", "backbone.1.0."),
    (r"^fpn\.inception\.conv2d_2b\.", "backbone.1.1."),
    (r"^fpn\.inception\.conv2d_3b\.", "backbone.2.0."),
    (r"^fpn\.inception\.conv2d_4a\.", "backbone.2.1."),
    (r"^fpn\.inception\.mixed_5b\.branch", "backbone.3.0."),
    (r"^fpn\.inception\.repeat\.(\d)\.", less(-1, "backbone.3.{}.branches.")),
    (r"^fpn\.inception\.mixed_6a\.branch", "backbone.3.11."),
    (r"^fpn\.inception\.repeat_1\.(\d+)\.", r"backbone.4.\1.branches."),
    (r"^fpn\.inception\.mixed_7a\.branch", "backbone.4.20."),
    (r"branches\.conv2d\.", "join."),
    (r"branches\.branch", "branches."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)


PUBLISHED: dict[str, Published | str] = {
    "deblurgan_v2_inception": Published(
        "VITA-Group/DeblurGANv2",
        "fpn_inception.h5",
        (*_RENAMES, *PYRAMID_RENAMES),
        # `enc0` to `enc4` list the backbone again; its last blocks lead nowhere.
        unused=rf"fpn\.enc\d\..*|fpn\.inception\.(?:repeat_2|block8|conv2d_7b|last_linear)\..*|{PYRAMID_UNUSED}",
        convert=finest_first,
        cautions=CAUTIONS,
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
