"""DeblurGAN's generator (Kupyn, Budzan, Mykhailych, Mishkin, Matas; CVPR 2018).

The idea in five lines. Deblurring as image translation: a conditional generator, trained against a critic (Wasserstein
GAN with gradient penalty) and a perceptual loss, adds a correction to the blurred image. The generator is the residual
network known from style transfer: a wide first convolution, two strided ones, nine residual blocks at a quarter of the
size, two transposed convolutions. Every convolution but the last is followed by instance normalisation. Here only the
generator is built, and it is trained with a plain pixel loss (see `deblur.recipes`).

Stages and shapes at 256x256:

    head   conv 7x7, 3->64                      (64, 256, 256)
    down   conv 3x3 stride 2, 64->128->256      (256, 64, 64)
    body   9 residual blocks of two 3x3         (256, 64, 64)
    up     deconv 3x3, 256->128->64             (64, 256, 256)
    tail   conv 7x7, 64->3, tanh                (3, 256, 256)   then + blurred

Size: 11,372,931 parameters = 45.49 MB; 11,378,179 with the 5,248 biases before normalisations, which these cancel and
which are therefore left out. The 6.07 M that others print is the 6,067,459 of a later state of the authors' code, whose
blocks have one convolution; the paper's have two.

Readings (stated: in the paper or in the authors' published code)
    Nine blocks, 64 channels, instance normalisation without learned scale, ReLU, global skip      stated
    Dropout of 1/2 after the first convolution of a block, in training                             stated
    Reflect padding inside, tanh, images scaled to [-1,1]; normal weights of deviation 0.02        stated (code)
    Statistics of the image itself, in training and afterwards                                     chosen
    No clamping to the range of images (all networks here leave that to the evaluation)            chosen
    Reflect padding of the image to a multiple of 8, so that there are statistics to take          chosen (theirs: none,
        for multiples of 4)
    The `identity` start (last convolution zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part
from deblur.models.published import BUFFERS, Published, less, looked_up


@dataclass(frozen=True)
class Config:
    width: int = 64  # channels at full size; doubled by each strided convolution
    blocks: int = 9  # residual blocks
    dropout: float = 0.5  # in the residual blocks
    init: str = "normal"  # or "identity"


class ResBlock(nn.Module):
    """x + norm(conv(dropout(ReLU(norm(conv(x))))))."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()

        def conv() -> list[nn.Module]:
            layer = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
            return [layer, nn.InstanceNorm2d(channels)]

        self.body = nn.Sequential(*conv(), nn.ReLU(), nn.Dropout(dropout), *conv())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class DeblurGAN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restoration."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("normal", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose normal or identity")
        c = config.width

        def normed(layer: nn.Module) -> list[nn.Module]:
            return [layer, nn.InstanceNorm2d(layer.out_channels), nn.ReLU()]

        up = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "bias": False}
        self.head = nn.Sequential(*normed(nn.Conv2d(3, c, 7, padding=3, padding_mode="reflect", bias=False)))
        self.down = nn.Sequential(
            *normed(nn.Conv2d(c, 2 * c, 3, 2, padding=1, bias=False)),
            *normed(nn.Conv2d(2 * c, 4 * c, 3, 2, padding=1, bias=False)),
        )
        self.body = nn.Sequential(*(ResBlock(4 * c, config.dropout) for _ in range(config.blocks)))
        self.up = nn.Sequential(
            *normed(nn.ConvTranspose2d(4 * c, 2 * c, **up)), *normed(nn.ConvTranspose2d(2 * c, c, **up))
        )
        self.tail = nn.Conv2d(c, 3, 7, padding=3, padding_mode="reflect")
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(self.tail.bias)
        if config.init == "identity":
            nn.init.zeros_(self.tail.weight)

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        height, width = blurred.shape[-2:]
        scaled = 2 * pad_to_multiple(blurred, 8) - 1
        residual = torch.tanh(self.tail(self.up(self.body(self.down(self.head(scaled))))))
        return (blurred + residual[..., :height, :width] / 2,)


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS: dict[str, Part] = {}
"""No part of it is tested by a table here; see `deblur.models.parts`."""


_RENAMES = (
    (r"^model\.(\d+)\.conv_block\.1\.", less(10, "body.{}.body.0.")),
    (r"^model\.(\d+)\.conv_block\.[56]\.", less(10, "body.{}.body.4.")),  # without and with dropout before it
    (r"^model\.(\d+)\.", looked_up("1 4 7 19 22 26", "head.0. down.0. down.3. up.0. up.3. tail.")),
)


PUBLISHED: dict[str, Published | str] = {
    "deblurgan": Published(
        "KupynOrest/DeblurGAN",
        "latest_net_G.pth",
        _RENAMES,
        # Normalisation by the image's own statistics cancels the biases before it and needs no running ones.
        unused=rf"model\.(?:1|4|7|19|22)\.bias|.*\.conv_block\.\d\.bias|.*\.{BUFFERS}",
        cautions=(
            "the project's test resizes and crops images and leaves dropout active; both are off here",
            "the project takes sides that are multiples of 4 as they are, here all are padded to multiples of 8, which "
            "changes the statistics that images are normalised by",
            "weights of the project's later code, whose blocks have one convolution, do not fit",
        ),
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
