"""MIMO-UNet+ (Cho, Ji, Hong, Jung, Ko; ICCV 2021): the network of `mimounet` with more residual blocks.

The idea in one line: 20 residual blocks a level instead of 8, and a little dropout against overfitting.

Size: 16,107,651 parameters = 64.43 MB; published 16.1 M. Readings: as in `mimounet`.
"""

from dataclasses import dataclass

from deblur.models.mimounet import Config as MIMOUNetConfig
from deblur.models.mimounet import MIMOUNet


@dataclass(frozen=True)
class Config(MIMOUNetConfig):
    blocks: int = 20  # residual blocks a level, in encoder and decoder
    dropout: float = 0.1  # share of the fused channels dropped in training


class MIMOUNetPlus(MIMOUNet):
    """The network: (N,3,H,W) in [0,1], any H and W -> restorations at sizes 1, 1/2 and 1/4, finest first."""


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""
