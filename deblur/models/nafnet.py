"""Nonlinear activation free network (NAFNet; Chen, Chu, Zhang, Sun; ECCV 2022), a peer that no table here lists.

The idea in five lines. What does a restoration network really need? The paper takes a plain U-Net, adds what helps
(layer normalisation, depthwise convolutions, channel attention) and then removes every nonlinear activation: half of
the channels times the other half (a simple gate) does as well as a GELU, and the attention keeps only its mean and one
linear layer. Both halves of a block are scaled by learned factors that start at zero. One U-Net, one output, no scales
and no stages; most blocks stand at the bottom of the encoder.

Stages and shapes at 256x256:

    head     conv 3x3, 3->32                              (32, 256, 256)
    encoder  1, 1, 1, 28 blocks, each level then 2x2 stride 2, channels doubled
                                                          (32, 256, 256) to (256, 32, 32)
    middle   1 block                                      (512, 16, 16)
    decoder  1x1, pixels shuffled, + encoder, 1 block; four times      (32, 256, 256)
    tail     conv 3x3, 32->3                              (3, 256, 256)   then + blurred

Size: 17,111,907 parameters = 68.45 MB; published 17.1 M, and 16 GMACs at 256x256. `nafnet_64`, the paper's best, has
twice the width: 67,888,835 = 271.56 MB; published 67.89 M and 65 GMACs.

Readings (stated: in the paper or in the authors' published code)
    Width 32 (`nafnet_64`: 64), blocks (1, 1, 1, 28), 1, (1, 1, 1, 1); doubling in both halves   stated
    Layer normalisation over the channels of a pixel, eps 1e-6                                   stated
    Statistics of the whole image in the attention (the authors' test-time variant takes local ones)      chosen
    Reflect padding to a multiple of 16 (theirs: zeros)                                          chosen
    The `identity` start (last convolution zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, equal_weights
from deblur.models.published import GOPRO, Published, looked_up


@dataclass(frozen=True)
class Config:
    width: int = 32  # channels at full size, doubled with each level down
    encoder: tuple[int, ...] = (1, 1, 1, 28)  # blocks of each level
    middle: int = 1
    decoder: tuple[int, ...] = (1, 1, 1, 1)  # coarsest first
    init: str = "pytorch"  # or "identity"


@dataclass(frozen=True)
class WideConfig(Config):
    width: int = 64  # channels at full size, doubled with each level down


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel of (N,C,H,W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def gate(x: Tensor) -> Tensor:
    """Simple gate: the product of both halves of the channels, (N,2C,H,W) -> (N,C,H,W)."""
    a, b = x.chunk(2, 1)
    return a * b


class NAFBlock(nn.Module):
    """Block without activations: gated depthwise convolution with attention, then a gated pair of 1x1 convolutions."""

    def __init__(self, c: int):
        super().__init__()
        self.norm1 = LayerNorm2d(c, eps=1e-6)
        self.widen1 = nn.Conv2d(c, 2 * c, 1)
        self.depthwise = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.attention = nn.Conv2d(c, c, 1)
        self.narrow1 = nn.Conv2d(c, c, 1)
        self.beta = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.norm2 = LayerNorm2d(c, eps=1e-6)
        self.widen2 = nn.Conv2d(c, 2 * c, 1)
        self.narrow2 = nn.Conv2d(c, c, 1)
        self.gamma = nn.Parameter(torch.zeros(1, c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = gate(self.depthwise(self.widen1(self.norm1(x))))
        y = y * self.attention(y.mean((2, 3), keepdim=True))
        x = x + self.beta * self.narrow1(y)
        return x + self.gamma * self.narrow2(gate(self.widen2(self.norm2(x))))


class NAFNet(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restoration."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        self.config = config
        widths = [config.width * 2**i for i in range(len(config.encoder) + 1)]

        def body(channels: int, blocks: int) -> nn.Sequential:
            return nn.Sequential(*(NAFBlock(channels) for _ in range(blocks)))

        self.head = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(body(c, blocks) for c, blocks in zip(widths, config.encoder))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, 2) for c in widths[:-1])
        self.middle = body(widths[-1], config.middle)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * c, 4 * c, 1, bias=False), nn.PixelShuffle(2)) for c in reversed(widths[:-1])
        )
        self.decoder = nn.ModuleList(body(c, blocks) for c, blocks in zip(reversed(widths[:-1]), config.decoder))
        self.tail = nn.Conv2d(widths[0], 3, 3, padding=1)
        if config.init == "identity":
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        height, width = blurred.shape[-2:]
        x = self.head(pad_to_multiple(blurred, 2 ** len(self.config.encoder)))
        skips = []
        for level, down in zip(self.encoder, self.downs, strict=True):
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for level, up in zip(self.decoder, self.ups, strict=True):
            x = level(up(x) + skips.pop())
        return (blurred + self.tail(x)[..., :height, :width],)


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {"channel attention": Part(r".+\.attention", equal_weights)}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


_RENAMES = (
    (
        r"^(intro|ending|encoders|middle_blks|decoders)\.",
        looked_up("intro ending encoders middle_blks decoders", "head. tail. encoder. middle. decoder."),
    ),
    (
        r"(?<=\.)(conv\d|sca\.1)(?=\.)",
        looked_up("conv1 conv2 conv3 sca.1 conv4 conv5", "widen1 depthwise narrow1 attention widen2 narrow2"),
    ),
)


_CAUTIONS = (
    "the project's test takes the attention's means over windows of 384 px, here over the whole image",
    "the project pads with zeros where a side is no multiple of 16, here images are reflected",
)


PUBLISHED: dict[str, Published | str] = {
    "nafnet": Published(
        "megvii-research/NAFNet", "NAFNet-GoPro-width32.pth", _RENAMES, cautions=_CAUTIONS, trained_on=GOPRO
    ),
    "nafnet_64": Published(
        "megvii-research/NAFNet", "NAFNet-GoPro-width64.pth", _RENAMES, cautions=_CAUTIONS, trained_on=GOPRO
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
