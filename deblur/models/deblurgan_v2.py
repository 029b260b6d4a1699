"""DeblurGAN-v2's generator with MobileNetV2 (Kupyn, Martyniuk, Wu, Wang; ICCV 2019).

The idea in five lines. A feature pyramid network (FPN), known from object detection, on top of a backbone trained for
classification: features at sizes 1/2 to 1/32 are mixed from coarse to fine, brought to 1/4, joined, and decoded to a
correction of the blurred image. The backbone sets the cost; with MobileNetV2 the network is one of the fastest there
are. The paper trains against a relativistic discriminator of patch and whole image; here only the generator is built,
its backbone starts untrained, and it is trained with a plain pixel loss (see `deblur.recipes`).

Stages and shapes at 256x256 (e: backbone, m: pyramid):

    e0 to e4   MobileNetV2 up to its 15th block     (16, 128, 128) (24, 64, 64) (32, 32, 32) (64, 16, 16) (160, 8, 8)
    m4         1x1 of e4                            (128, 8, 8)
    m3 to m1   3x3, norm, ReLU of 1x1 of e + twice the coarser m    (128, 16, 16) (128, 32, 32) (128, 64, 64)
    heads      two 3x3 with ReLU each, to size 1/4, joined          (256, 64, 64)
    smooth     3x3, norm, ReLU; twice; + 1x1 of e0  (64, 128, 128)
    smooth2    3x3, norm, ReLU; twice               (32, 256, 256)
    tail       3x3, tanh                            (3, 256, 256)   then + blurred

Size: 2,106,147 parameters = 8.42 MB. Published weights hold 3,312,707 (13.25 MB): in addition the last blocks of
MobileNetV2 (1,206,080), which no output depends on, and 480 biases that normalisations cancel; both are left out.
SimpleNet, Table 2, prints 15.0 MB.

Readings (stated: in the paper or in the authors' published code)
    FPN of five levels, 128 channels, heads of 64, nearest upsampling, global skip, tanh        stated
    Backbone cut after the 15th inverted residual block; e4 has 160 channels                    stated (code)
    Instance normalisation without learned scale in the pyramid, batch normalisation below      stated (code)
    Statistics of the image itself in the pyramid; running ones in the backbone after training  chosen (the authors
        predict and score in training mode, so their backbone too takes the image's)
    MobileNetV2 as torchvision builds it, untrained: there is nothing to download               chosen
    Reflect padding of the image to a multiple of 32; no clamping                               chosen (theirs: always
        1 to 32 px of grey; clamped to [-1,1])
    The paper's best numbers (29.55 dB) are those of `deblur.models.deblurgan_v2_inception`     stated
    The `identity` start (last convolution zero) is ours and belongs to the short recipes
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import MobileNetV2

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, spatial_mean
from deblur.models.published import BUFFERS, Published, Tensors, less, looked_up

STAGES = ((0, 2), (2, 4), (4, 7), (7, 11), (11, 16))
"""First and last-plus-one of MobileNetV2's layers at sizes 1/2, 1/4, 1/8, 1/16, 1/32."""


@dataclass(frozen=True)
class Config:
    backbone: float = 1.0  # width of MobileNetV2, as a multiple of the standard's; channels are multiples of 8
    pyramid: int = 128  # channels of the pyramid
    heads: int = 64  # channels of its heads
    init: str = "pytorch"  # or "identity"


def twice(x: Tensor, factor: int = 2) -> Tensor:
    """Nearest upsampling."""
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def normed(in_channels: int, channels: int) -> nn.Sequential:
    """3x3 convolution, instance normalisation, ReLU."""
    layer = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(layer, nn.InstanceNorm2d(channels), nn.ReLU())


class Generator(nn.Module):
    """What both forms share, on a backbone of five stages: (N,3,H,W) in [0,1], any H and W -> the restoration."""

    def __init__(self, backbone: nn.ModuleList, channels: Sequence[int], pyramid: int, heads: int, init: str):
        super().__init__()
        if init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {init!r}; choose pytorch or identity")
        p, h = pyramid, heads
        self.backbone = backbone
        self.laterals = nn.ModuleList(
            nn.Conv2d(c, out, 1, bias=False) for c, out in zip(channels, (h, p, p, p, p), strict=True)
        )
        self.mix = nn.ModuleList(normed(p, p) for _ in range(3))
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(p, h, 3, padding=1, bias=False),
                nn.ReLU(),
                nn.Conv2d(h, h, 3, padding=1, bias=False),
                nn.ReLU(),
            )
            for _ in range(4)
        )
        self.smooth = normed(4 * h, h)
        self.smooth2 = normed(h, h // 2)
        self.tail = nn.Conv2d(h // 2, 3, 3, padding=1)
        if init == "identity":
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)

    def padded(self, image: Tensor) -> Tensor:
        """The image at a size that the backbone takes."""
        return pad_to_multiple(image, 32)

    def aligned(self, laterals: list[Tensor]) -> list[Tensor]:
        """What the pyramid takes of each stage, each of half the size of the one before."""
        return laterals

    def pyramid(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The feature pyramid: features at size 1/2, and those at 1/4, 1/8, 1/16, 1/32."""
        laterals, x = [], image
        for stage, lateral in zip(self.backbone, self.laterals, strict=True):
            x = stage(x)
            laterals.append(lateral(x))
        half, *laterals = self.aligned(laterals)
        maps = [laterals[3]]
        for mix, lateral in zip(self.mix, reversed(laterals[:3]), strict=True):
            maps.insert(0, mix(lateral + twice(maps[0])))
        return half, maps

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        height, width = blurred.shape[-2:]
        half, maps = self.pyramid(2 * self.padded(blurred) - 1)
        joined = torch.cat([twice(head(m), 2**i) for i, (head, m) in enumerate(zip(self.heads, maps, strict=True))], 1)
        decoded = self.smooth2(twice(self.smooth(joined)) + half)
        residual = torch.tanh(self.tail(twice(decoded)))
        return (blurred + residual[..., :height, :width] / 2,)


class DeblurGANv2(Generator):
    """The network with MobileNetV2."""

    def __init__(self, config: Config):
        layers = MobileNetV2(width_mult=config.backbone).features
        backbone = nn.ModuleList(layers[first:stop] for first, stop in STAGES)
        channels = [stage[-1].out_channels for stage in backbone]
        super().__init__(backbone, channels, config.pyramid, config.heads, config.init)


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {f"pyramid, size 1/{4 * 2**i}": Part(rf"heads\.{i}", spatial_mean) for i in range(4)}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


def finest_first(tensors: Tensors) -> Tensors:
    """DeblurGAN-v2 joins the features of its four heads from coarse to fine, the network here from fine to coarse."""
    weight = tensors["smooth.0.weight"]
    return tensors | {"smooth.0.weight": weight.unflatten(1, (4, -1)).flip(1).flatten(1, 2)}


PYRAMID_RENAMES = (
    (r"^fpn\.lateral(\d)\.", r"laterals.\1."),
    (r"^fpn\.td(\d)\.", less(1, "mix.{}.")),
    (r"^head(\d)\.block0\.", less(1, "heads.{}.0.")),
    (r"^head(\d)\.block1\.", less(1, "heads.{}.2.")),
    (r"^final\.", "tail."),
)
PYRAMID_UNUSED = rf"(?:fpn\.td\d|smooth2?)\.(?:0\.bias|1\.{BUFFERS})"
"""Biases that normalisations cancel, and what the normalisations would keep."""

_RENAMES = (
    (r"(?<=\.1\.conv\.)(\d)(?=\.)", looked_up("0 1 3 4", "0.0 0.1 1 2")),  # the one block that does not expand
    (r"(?<!\.1\.conv\.)(?<=\.conv\.)(\d)(?=\.)", looked_up("0 1 3 4 6 7", "0.0 0.1 1.0 1.1 2 3")),
    (r"^fpn\.features(?=\.[01]\.)", "backbone.0"),
    (r"^fpn\.features(?=\.[23]\.)", "backbone.1"),
    (r"^fpn\.features(?=\.[4-6]\.)", "backbone.2"),
    (r"^fpn\.features(?=\.(?:[7-9]|10)\.)", "backbone.3"),
    (r"^fpn\.features(?=\.1[1-5]\.)", "backbone.4"),
)

CAUTIONS = (
    "the project predicts and scores in training mode: its backbone normalises by each image's statistics, here by the "
    "running ones in the file",
    "the project always pads images by 1 to 32 px with grey, here they are reflected to a multiple of 32",
)
"""Of the weights of both forms."""

PUBLISHED: dict[str, Published | str] = {
    "deblurgan_v2": Published(
        "VITA-Group/DeblurGANv2",
        "fpn_mobilenet.h5",
        (*_RENAMES, *PYRAMID_RENAMES),
        # `enc0` to `enc4` list the backbone again; its last blocks lead nowhere.
        unused=rf"fpn\.enc\d\..*|fpn\.features\.1[678]\..*|{PYRAMID_UNUSED}",
        convert=finest_first,
        cautions=CAUTIONS,
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
