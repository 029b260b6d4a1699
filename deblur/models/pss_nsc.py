"""Parameter selective sharing and nested skip connections (PSS-NSC; Gao, Tao, Shen, Jia; CVPR 2019).

The idea in five lines. SRN shares all weights among its three scales, MSCNN none; here the two kinds of layers are told
apart. Layers that extract features (the first, the strided ones, the deconvolutions, the last) meet other images at
every scale and have weights of their own there; the modules that transform features do the same work everywhere and
share theirs among scales, and even between the two modules of one level. A module nests its skip connections: each of
its four residual functions takes the sum of all before it. Every scale adds its result to its blurred image.

Stages and shapes of one scale at 256x256 (the two coarser ones run at 64 and 128 first):

    enc1  conv 3x3, 2->32, ReLU; module twice             (32, 256, 256)
    enc2  conv 3x3 stride 2, 32->64, ReLU; module twice   (64, 128, 128)
    enc3  conv 3x3 stride 2, 64->128, ReLU; module twice  (128, 64, 64)
    dec3  module twice; deconv 4x4, 128->64, ReLU         (64, 128, 128)   then + enc2
    dec2  module twice; deconv 4x4, 64->32, ReLU          (32, 256, 256)   then + enc1
    dec1  module twice; conv 3x3, 32->1                   (1, 256, 256)    then + blurred

Size: 3,871,715 parameters = 15.49 MB (3,100,160 shared, 257,185 for each scale). The sizes printed for it contradict
each other: 2.84 (attentive, Table 1, and SGENet, Table 1, millions), 49.8 MB (SimpleNet, Table 2). With three residual
functions a module there would be 3,096,675; ours are the counts of the authors' published code.

Readings (stated: in the paper or in the authors' published code)
    Modules shared, other layers not; one module a level and side, used twice                  stated
    Four residual functions conv(ReLU(conv)) a module, each fed with the sum before it         stated
    One grey channel in and out: colours are restored one by one with the same weights         stated (code)
    Global residual at every scale; gradient stopped at the coarser result                     stated (code)
    Blur twice at the coarsest scale; Xavier-uniform weights, zero biases                      stated (code)
    Strided convolutions padded as TensorFlow's SAME, like SRN's                               stated (code)
    Bilinear resizing with half-pixel centres; reflect padding to a multiple of 16             chosen
    The `identity` start (last convolutions zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import halve, pad_to_multiple, xavier_
from deblur.models.parts import Part, blurred_image
from deblur.models.published import TENSORFLOW, Published
from deblur.models.srn import Down
from deblur.models.starts import open_units


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int] = (32, 64, 128)  # channels of the three levels
    blocks: int = 4  # residual functions a module
    repeats: int = 2  # how often each module is used in a row
    detach: bool = True  # stop gradients through the coarser scale's result
    init: str = "xavier"  # or "identity"


class NestedSkip(nn.Module):
    """Transforming module: x + r1 + r2 + ..., each r a residual function of the sum before it."""

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        self.residuals = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
            )
            for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for residual in self.residuals:
            x = x + residual(x)
        return x


class Extraction(nn.Module):
    """What one scale has for itself: first, strided, transposed and last convolutions."""

    def __init__(self, widths: tuple[int, int, int]):
        super().__init__()
        c1, c2, c3 = widths
        self.head = nn.Conv2d(2, c1, 3, padding=1)
        self.down1 = Down(c1, c2, 3)
        self.down2 = Down(c2, c3, 3)
        self.up2 = nn.ConvTranspose2d(c3, c2, 4, 2, padding=1)
        self.up1 = nn.ConvTranspose2d(c2, c1, 4, 2, padding=1)
        self.tail = nn.Conv2d(c1, 1, 3, padding=1)


class PSSNSC(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> restorations at scales 1, 1/2 and 1/4, finest first."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("xavier", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose xavier or identity")
        self.config = config
        self.scales = nn.ModuleList(Extraction(config.widths) for _ in range(3))
        self.encoders = nn.ModuleList(NestedSkip(width, config.blocks) for width in config.widths)
        self.decoders = nn.ModuleList(NestedSkip(width, config.blocks) for width in config.widths)
        xavier_(self)
        if config.init == "identity":
            open_units(self)
            for scale in self.scales:
                nn.init.zeros_(scale.tail.weight)

    def transform(self, module: NestedSkip, x: Tensor) -> Tensor:
        """A module, used `repeats` times."""
        for _ in range(self.config.repeats):
            x = module(x)
        return x

    def at_scale(self, t: int, blurred: Tensor, coarser: Tensor) -> Tensor:
        """Scale t (0 full, 1 half, 2 quarter size): blurred and coarser result, (N,1,H,W) each -> restoration."""
        own = self.scales[t]
        e1 = self.transform(self.encoders[0], F.relu(own.head(torch.cat([blurred, coarser], 1))))
        e2 = self.transform(self.encoders[1], F.relu(own.down1(e1)))
        e3 = self.transform(self.encoders[2], F.relu(own.down2(e2)))
        d2 = F.relu(own.up2(self.transform(self.decoders[2], e3))) + e2
        d1 = F.relu(own.up1(self.transform(self.decoders[1], d2))) + e1
        return own.tail(self.transform(self.decoders[0], d1)) + blurred

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        count, _, height, width = blurred.shape
        grey = pad_to_multiple(blurred, 16).flatten(0, 1)[:, None]  # (3N,1,H,W): colours are images of their own
        pyramid = [grey, halve(grey), halve(halve(grey))]
        outputs, coarser = [], pyramid[2]
        for t in (2, 1, 0):
            result = self.at_scale(t, pyramid[t], coarser)
            outputs.append(result.reshape(count, 3, *result.shape[-2:])[..., : -(-height // 2**t), : -(-width // 2**t)])
            result = result.detach() if self.config.detach else result
            coarser = F.interpolate(result, scale_factor=2, mode="bilinear", align_corners=False) if t else None
        return tuple(reversed(outputs))


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""

PARTS = {"coarser scales": Part(r"scales\.\d\.head", blurred_image)}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


PUBLISHED: dict[str, Published | str] = {
    "pss_nsc": TENSORFLOW,
}
"""Network -> what its project published, or why there is nothing to import."""
