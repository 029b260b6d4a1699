"""What the networks of several papers truly share."""

import torch.nn.functional as F
from torch import Tensor, nn


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad (N,C,H,W) on the right and at the bottom until H and W are multiples of `multiple`.

    Reflects where the image is larger than the padding, replicates the last row or column else.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not (bottom or right):
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def halve(image: Tensor) -> Tensor:
    """Bilinear reduction by two, half-pixel centres: the mean of each 2x2 block."""
    return F.interpolate(image, scale_factor=0.5, mode="bilinear", align_corners=False)


def xavier_(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every convolution below `module`, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
