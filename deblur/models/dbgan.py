"""DBGAN's deblurring network (deblurring by realistic blurring; Zhang, Luo, Zhong, Ma, Stenger, Liu, Li; CVPR 2020).

The idea in five lines. Two GANs: one learns from unpaired photographs how real blur looks and blurs sharp images
(BGAN), the other learns from such pairs to deblur (DBGAN). Only the second's generator is built here:
residual-in-residual dense blocks (RRDB, from ESRGAN) at full resolution, without any resizing or normalisation, inside
a long skip; the result is added to the blurred image. It is trained with a plain pixel loss, without critic, perceptual
loss and realistic blur (see `deblur.recipes`).

Stages and shapes at 256x256:

    head   conv 3x3, 3->64                                   (64, 256, 256)
    body   16 RRDB of three dense blocks of five 3x3; conv 3x3; + head   (64, 256, 256)
    tail   conv 3x3, 64->64, leaky ReLU; conv 3x3, 64->3     (3, 256, 256)   then + blurred

Size: 11,588,163 parameters = 46.35 MB; printed 11.5 M (SGENet, Table 1).

Readings (stated: in the paper or in the authors' published code)
    RRDB generator, 16 blocks, 64 channels, growth 32, residuals scaled by 0.2      stated (code and its test options)
    Leaky ReLU of slope 0.2; global skip                                            stated (code)
    No clamping inside (all networks here leave that to the evaluation)             chosen
    Weights of dense blocks a tenth of Kaiming's                                    chosen, as ESRGAN
    The `identity` start (last convolution zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.parts import Part
from deblur.models.published import Published, less, looked_up


@dataclass(frozen=True)
class Config:
    width: int = 64  # channels
    growth: int = 32  # channels that a convolution of a dense block adds
    blocks: int = 16  # RRDBs
    init: str = "kaiming"  # or "identity"


class DenseBlock(nn.Module):
    """x + 0.2 conv5(...): five convolutions, each fed with x and what all before it found."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth if i < 4 else channels, 3, padding=1) for i in range(5)
        )
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight *= 0.1
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for conv in self.convs[:4]:
            features.append(F.leaky_relu(conv(torch.cat(features, 1)), 0.2))
        return x + 0.2 * self.convs[4](torch.cat(features, 1))


class RRDB(nn.Module):
    """Residual-in-residual dense block: x + 0.2 (three dense blocks of x)."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.dense(x)


class DBGAN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restoration."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("kaiming", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose kaiming or identity")
        c = config.width
        self.head = nn.Conv2d(3, c, 3, padding=1)
        self.body = nn.Sequential(
            *(RRDB(c, config.growth) for _ in range(config.blocks)), nn.Conv2d(c, c, 3, padding=1)
        )
        self.before_tail = nn.Conv2d(c, c, 3, padding=1)
        self.tail = nn.Conv2d(c, 3, 3, padding=1)
        if config.init == "identity":
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        features = self.head(blurred)
        features = features + self.body(features)
        return (blurred + self.tail(F.leaky_relu(self.before_tail(features), 0.2)),)


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS: dict[str, Part] = {}
"""No part of it is tested by a table here; see `deblur.models.parts`."""


_RENAMES = (
    (r"^model\.(0|2|4)\.", looked_up("0 2 4", "head. before_tail. tail.")),
    (r"^model\.1\.sub1\.", "body."),
    (r"^model\.1\.sub2\.0\.", "body.16."),
    (r"\.RDB(\d)\.conv(\d)\.0\.", less(1, ".dense.{}.convs.{}.")),
)


PUBLISHED: dict[str, Published | str] = {
    "dbgan": Published("HDCVLab/Deblurring-by-Realistic-Blurring", "G.pth", _RENAMES),
}
"""Network -> what its project published, or why there is nothing to import."""
