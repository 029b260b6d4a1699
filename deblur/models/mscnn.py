"""Deep multi-scale convolutional network (MSCNN, also DeepDeblur; Nah, Kim, Lee; CVPR 2017).

The idea in five lines. A plain stack of residual blocks, without normalisation and without any pooling, restores the
image at a quarter of its size; its result is enlarged by a learned upconvolution and given to the next stack together
with the blurred image at that size, up to the full size. Every scale has weights of its own and predicts its image.
Blurred images are restored without ever estimating a kernel, which was new. All scales are supervised; the paper adds
an adversarial loss, which is left out here (see `deblur.recipes`).

Stages and shapes at 256x256 (the two coarser scales before it are alike, at 64 and 128):

    head  conv 5x5, 6->64 (3->64 at the coarsest)   (64, 256, 256)
    body  19 residual blocks of two 5x5             (64, 256, 256)
    tail  conv 5x5, 64->3                           (3, 256, 256)
    up    from the coarser result: conv 5x5, 3->12, pixels shuffled to twice the size

Size: 11,721,321 parameters = 46.89 MB; printed 11.7 M (SGENet, Table 1); 303.6 MB (attentive, Table 1) is no size of
these weights.

Readings (stated: in the paper or in the authors' published code)
    Three scales, 40 convolutions each: 5x5, 64 channels, 19 residual blocks                    stated
    Blocks x + conv(ReLU(conv(x))), no activation after head or sum                             stated
    Images shifted by -0.5                                                                      stated (code)
    Upconvolution by pixel shuffle                                                              stated (second code)
    Halved images are means of 2x2 (the paper: a Gaussian pyramid)                              chosen
    PyTorch's own weights                                                                       chosen
    Reflect padding to a multiple of 4 (theirs: the edge, repeated)                             chosen
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import halve, pad_to_multiple
from deblur.models.parts import Part, blurred_image
from deblur.models.published import GOPRO, Published, less, unit_range
from deblur.models.starts import open_units


@dataclass(frozen=True)
class Config:
    width: int = 64  # channels
    kernel: int = 5  # of every convolution
    blocks: int = 19  # residual blocks a scale
    scales: int = 3
    init: str = "pytorch"  # or "identity"


class ResBlock(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class Scale(nn.Module):
    """The stack of one scale: (N,in,H,W) -> (N,3,H,W)."""

    def __init__(self, in_channels: int, width: int, kernel: int, blocks: int):
        super().__init__()
        self.head = nn.Conv2d(in_channels, width, kernel, padding=kernel // 2)
        self.body = nn.Sequential(*(ResBlock(width, kernel) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, 3, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.body(self.head(x)))


class MSCNN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> restorations at scales 1, 1/2, 1/4, finest first."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        self.config = config
        k = config.kernel
        self.scales = nn.ModuleList(
            Scale(3 if coarsest else 6, config.width, k, config.blocks)
            for coarsest in (t == config.scales - 1 for t in range(config.scales))
        )
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, 12, k, padding=k // 2), nn.PixelShuffle(2)) for _ in range(config.scales - 1)
        )
        if config.init == "identity":
            open_units(self)
            for scale in self.scales:
                start_at_identity(scale)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        pyramid = [pad_to_multiple(blurred, 2 ** (self.config.scales - 1)) - 0.5]
        while len(pyramid) < self.config.scales:
            pyramid.append(halve(pyramid[-1]))
        result, outputs = self.scales[-1](pyramid[-1]), []
        for t in reversed(range(self.config.scales - 1)):
            outputs.append(result)
            result = self.scales[t](torch.cat([pyramid[t], self.ups[t](result)], 1))
        outputs = [result, *reversed(outputs)]
        sizes = [(-(-height // 2**t), -(-width // 2**t)) for t in range(self.config.scales)]
        return tuple(output[..., :h, :w] + 0.5 for output, (h, w) in zip(outputs, sizes, strict=True))


@torch.no_grad()
def start_at_identity(scale: Scale) -> None:
    """Set weights so that a scale returns its blurred image: ours, for recipes of minutes; the graph stays the same.

    The first three channels carry the image; the second convolutions of residual blocks are zero.
    """
    centre = scale.head.kernel_size[0] // 2
    for layer in (scale.head, scale.tail):
        layer.weight[:3] = 0
        layer.weight[range(3), range(3), centre, centre] = 1
        layer.bias[:3] = 0
    for block in scale.body:
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {"coarser scales": Part(r"scales\.[01]", blurred_image)}  # the third has none below it
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


_RENAMES = (
    (r"^body_models\.(\d)\.body\.", r"scales.\1."),
    (r"^(scales\.\d)\.0\.", r"\1.head."),
    (r"^(scales\.\d)\.20\.", r"\1.tail."),
    (r"(?<=^scales\.\d\.)(\d+)\.body\.", less(1, "body.{}.")),
    (r"(\.body\.\d+)\.0\.", r"\1.conv1."),
    (r"(\.body\.\d+)\.2\.", r"\1.conv2."),
    (r"^conv_end_models\.(\d)\.uppath\.", less(1, "ups.{}.")),
)


PUBLISHED: dict[str, Published | str] = {
    "mscnn": Published(
        "SeungjunNah/DeepDeblur-PyTorch",
        "models/model-*.pt of GOPRO_L1",
        _RENAMES,
        convert=unit_range,
        trained_on=GOPRO,
        cautions=(
            "the project halves images with a Gaussian pyramid, here they are means of 2x2 pixels",
            "the project repeats the edge where a side is no multiple of 4, here images are reflected",
            "the images of the training are taken to be in [0,255], the project's default; the file does not say",
            "the project trains on blur_gamma of GoPro by default",
        ),
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
