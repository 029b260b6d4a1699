"""Multi-temporal recurrent network (MT-RNN; Park, Kang, Kim, Chun; ECCV 2020).

The idea in five lines. Not coarse to fine in space but in time: a long exposure is a series of ever longer ones, so a
network can shorten it step by step at full size. One U-Net with one weight set runs several times; each time it takes
the blurred image, the last result, and the features that two of its decoder levels had the last time. Each iteration
adds its residual to the blurred image. The authors train iterations one after another on targets of ever shorter
exposure; here every iteration is supervised by the sharp image (see Readings).

Stages and shapes of one iteration at 256x256:

    enc1  conv 3x3, 6->32; 3 blocks                                    (32, 256, 256)
    enc2  conv 3x3 stride 2, leaky ReLU; 1x1 with feature 1; 3 blocks  (64, 128, 128)
    enc3  conv 3x3 stride 2, leaky ReLU; 1x1 with feature 2; 3 blocks  (128, 64, 64)
    mid   3 blocks: feature 2 of the next iteration                    (128, 64, 64)
    dec2  deconv 4x4, leaky ReLU; 1x1 with enc2; 3 blocks: feature 1   (64, 128, 128)
    dec1  deconv 4x4, leaky ReLU; 1x1 with enc1; 3 blocks              (32, 256, 256)
    tail  conv 3x3, 32->3                                              (3, 256, 256)   then + blurred

Size: 2,635,523 parameters = 10.54 MB; published 2.6 M (SGENet, Table 1).

Readings (stated: in the paper or in the authors' published code)
    Widths 32/64/128, three residual blocks a level, leaky ReLU of slope 0.1      stated (code)
    Features of the first iteration: those of its own encoder, doubled            stated (code)
    Six iterations; the mean colour (0.4488, 0.4371, 0.4040) is subtracted        stated (code)
    Every iteration supervised by the sharp image, gradients through all          chosen: pairs know no others
    PyTorch's own weights                                                         stated (code)
    Reflect padding to a multiple of 4                                            chosen
    The `identity` start (last convolution zero) is ours and belongs to the short recipes
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, blurred_image
from deblur.models.published import Published, less, looked_up, unit_range

MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of photographs."""


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int] = (32, 64, 128)  # channels of the three levels
    blocks: int = 3  # residual blocks a level
    iterations: int = 6
    init: str = "pytorch"  # or "identity"


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(x, 0.1)


class ResBlock(nn.Module):
    """x + conv(leaky ReLU(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(activate(self.conv1(x)))


class Level(nn.Module):
    """A level that joins two features of one width by a 1x1 convolution, then residual blocks."""

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        self.join = nn.Conv2d(2 * channels, channels, 1)
        self.body = nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return self.body(self.join(torch.cat([x, other], 1)))


class MTRNN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the results of all iterations, the last one first."""

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        self.config = config
        c1, c2, c3 = config.widths
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.head = nn.Conv2d(6, c1, 3, padding=1)
        self.enc1 = nn.Sequential(*(ResBlock(c1) for _ in range(config.blocks)))
        self.down1 = nn.Conv2d(c1, c2, 3, 2, padding=1)
        self.enc2 = Level(c2, config.blocks)
        self.down2 = nn.Conv2d(c2, c3, 3, 2, padding=1)
        self.enc3 = Level(c3, config.blocks)
        self.middle = nn.Sequential(*(ResBlock(c3) for _ in range(config.blocks)))
        self.up2 = nn.ConvTranspose2d(c3, c2, 4, 2, padding=1)
        self.dec2 = Level(c2, config.blocks)
        self.up1 = nn.ConvTranspose2d(c2, c1, 4, 2, padding=1)
        self.dec1 = Level(c1, config.blocks)
        self.tail = nn.Conv2d(c1, 3, 3, padding=1)
        if config.init == "identity":
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)

    def iterate(self, blurred: Tensor, last: Tensor, features: tuple[Tensor, Tensor] | None) -> tuple:
        """One iteration: blurred image and last result, (N,3,H,W) each, and features -> result, features."""
        e1 = self.enc1(self.head(torch.cat([blurred, last], 1)))
        x2 = activate(self.down1(e1))
        e2 = self.enc2(x2, x2 if features is None else features[0])
        x3 = activate(self.down2(e2))
        e3 = self.enc3(x3, x3 if features is None else features[1])
        middle = self.middle(e3)
        d2 = self.dec2(activate(self.up2(middle)), e2)
        d1 = self.dec1(activate(self.up1(d2)), e1)
        return self.tail(d1) + blurred, (d2, middle)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 4) - self.mean
        result, features, outputs = image, None, []
        for _ in range(self.config.iterations):
            result, features = self.iterate(image, result, features)
            outputs.append(result)
        return tuple((output + self.mean)[..., :height, :width] for output in reversed(outputs))


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""


def first_iteration(network: nn.Module, inputs: tuple, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The first iteration's image in place of the last one's."""
    return outputs[-1], *outputs[1:]


def own_features(level: nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> Tensor:
    """What an encoder's level makes of its own features, twice in place of those of the iteration before."""
    return level.forward(inputs[0], inputs[0])


PARTS = {
    "later iterations": Part("", first_iteration),
    "earlier results": Part("head", blurred_image),
    "recurrent features": Part("enc[23]", own_features),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


_RENAMES = (
    (r"\.stem\.0\.", ".conv1."),
    (r"\.stem\.2\.", ".conv2."),
    (
        r"^(conv\d_[1c]|img_prd)\.0(?=\.)",
        looked_up(
            "conv1_1 conv2_1 conv2_c conv3_1 conv3_c conv5_1 conv5_c conv6_1 conv6_c img_prd",
            "head down1 enc2.join down2 enc3.join up2 dec2.join up1 dec1.join tail",
        ),
    ),
    (r"^conv1_(\d)\.", less(2, "enc1.{}.")),
    (r"^conv2_(\d)\.", less(2, "enc2.body.{}.")),
    (r"^conv3_(\d)\.", less(2, "enc3.body.{}.")),
    (r"^conv4_(\d)\.", less(1, "middle.{}.")),
    (r"^conv5_(\d)\.", less(2, "dec2.body.{}.")),
    (r"^conv6_(\d)\.", less(2, "dec1.body.{}.")),
)


PUBLISHED: dict[str, Published | str] = {
    "mtrnn": Published(
        "Dong1P/MTRNN",
        "model_best.pt",
        _RENAMES,
        fixed={
            "sub_mean.weight": torch.eye(3),
            "sub_mean.bias": -255 * torch.tensor(MEAN),
            "add_mean.weight": torch.eye(3),
            "add_mean.bias": 255 * torch.tensor(MEAN),
        },
        convert=unit_range,
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
