"""Deep video deblurring network (DBN, DeBlurNet; Su, Delbracio, Wang, Sapiro, Heidrich, Wang; CVPR 2017).

The idea in five lines. A hand that shakes blurs each frame of a video in another way, and what one frame has lost its
neighbours often hold: a network that sees five of them need not invent what it can copy. They enter side by side as 15
channels of an encoder-decoder, which finds for itself what belongs together: its authors show that frames need not be
aligned. What skips a level is added, not joined; the last sum is with the middle frame.

Stages and shapes at 256x256, each a convolution with batch normalisation and ReLU:

    enc1  conv 5x5, 15->64: F0                              (64, 256, 256)
    enc2  conv stride 2, 64; 2 of 128: F2                   (128, 128, 128)
    enc3  conv stride 2, 256; 3 of 256: F5                  (256, 64, 64)
    enc4  conv stride 2, 512; 3 of 512                      (512, 32, 32)
    dec3  deconv 4x4, 256, + F5, ReLU; 3 of 256             (256, 64, 64)
    dec2  deconv 4x4, 128, + F2, ReLU; 128, 64              (64, 128, 128)
    dec1  deconv 4x4, 64, + F0, ReLU; 15, 3 without ReLU    (3, 256, 256)
    sigmoid(dec1 + middle frame)                            (3, 256, 256)

Size: 15,305,291 parameters = 61.22 MB, as its authors' definition counts; none is printed. The 4,882 biases of
convolutions among them do nothing: batch normalisation takes off what is added to a whole channel.

Readings (stated: in the paper or in the authors' published code, models/model2_symskip_nngraph2_deeper.lua)
    Layers, widths, eps 1e-3 of normalisations, the sum before the sigmoid   stated (code)
    Frames as they are, not aligned                                          stated: one of its three forms
    Before the first frame and behind the last these are repeated            stated (code: preprocess/launcher.m)
    A single image is taken for five such frames                             ours: benchmarks without videos
    PyTorch's own weights                                                    chosen
    Reflect padding to a multiple of 8 (theirs: zeros)                       chosen
    The `identity` start is ours and belongs to the short recipes: the middle frame's logit enters the last sum, and
    the last normalisation is zero
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, zero
from deblur.models.published import Published

DARKEST = 1e-6
"""Least distance of a value from 0 and 1 when its logit is taken."""


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)  # channels of the levels
    last: int = 15  # channels before the image
    frames: int = 5
    init: str = "pytorch"  # or "identity"


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with its authors' eps."""
    return nn.BatchNorm2d(channels, eps=1e-3)


def conv(in_channels: int, channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, ReLU."""
    layer = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
    return nn.Sequential(layer, norm(channels), nn.ReLU())


def enlarge(in_channels: int, channels: int) -> nn.Sequential:
    """Transposed convolution to twice the size, normalisation."""
    return nn.Sequential(nn.ConvTranspose2d(in_channels, channels, 4, 2, padding=1), norm(channels))


class DBN(nn.Module):
    """The network: frames (N,15,H,W) in [0,1], any H and W -> the middle one restored; (N,3,H,W) is five times itself.

    Raises:
        ValueError: for another number of channels.
    """

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("pytorch", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose pytorch or identity")
        self.config = config
        c1, c2, c3, c4 = config.widths
        self.enc1 = conv(3 * config.frames, c1, 5)
        self.enc2 = nn.Sequential(conv(c1, c1, stride=2), conv(c1, c2), conv(c2, c2))
        self.enc3 = nn.Sequential(conv(c2, c3, stride=2), conv(c3, c3), conv(c3, c3), conv(c3, c3))
        self.enc4 = nn.Sequential(conv(c3, c4, stride=2), conv(c4, c4), conv(c4, c4), conv(c4, c4))
        self.up3 = enlarge(c4, c3)
        self.dec3 = nn.Sequential(conv(c3, c3), conv(c3, c3), conv(c3, c3))
        self.up2 = enlarge(c3, c2)
        self.dec2 = nn.Sequential(conv(c2, c2), conv(c2, c1))
        self.up1 = enlarge(c1, c1)
        self.dec1 = nn.Sequential(conv(c1, config.last), nn.Conv2d(config.last, 3, 3, padding=1), norm(3))
        if config.init == "identity":
            nn.init.zeros_(self.dec1[2].weight)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        count, channels = self.config.frames, frames.shape[1]
        if channels not in (3, 3 * count):
            raise ValueError(f"give {count} frames of 3 channels or one image, not {channels} channels")
        if channels == 3:
            frames = frames.repeat(1, count, 1, 1)
        height, width = frames.shape[-2:]
        frames = pad_to_multiple(frames, 8)
        middle = frames.unflatten(1, (count, 3))[:, count // 2]
        e1 = self.enc1(frames)
        e2 = self.enc2(e1)
        e3 = self.enc3(e2)
        x = self.dec3(F.relu(self.up3(self.enc4(e3)) + e3))
        x = self.dec2(F.relu(self.up2(x) + e2))
        x = self.dec1(F.relu(self.up1(x) + e1))
        reference = middle if self.config.init == "pytorch" else middle.logit(DARKEST)
        return (torch.sigmoid(x + reference)[..., :height, :width],)


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""


PARTS = {"coarser levels": Part("up1", zero)}  # its neighbours are no part: single images have none
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""

PUBLISHED: dict[str, Published | str] = {
    "dbn": "its project published Torch 7 files of one vector each, which PyTorch does not read",
}
"""Network -> what its project published, or why there is nothing to import."""
