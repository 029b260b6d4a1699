"""First weights that leave no unit dead: ours, for the `identity` start of short recipes.

A ReLU whose input is negative for every image passes no gradient, for ever. Random filters with zero biases are often
so, since the features that they read are positive and have means of their own.
"""

from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

from deblur.models.deform import DeformConv2d

TEXTURE_PX = 64
LIFT = 0.1
"""Bias of units that should add nothing at the start: behind a ReLU they stay open, and the last layer takes it off."""


def texture() -> Tensor:
    """An image (1,3,64,64) in [0,1] with detail of all sizes; always the same."""
    generator = torch.Generator().manual_seed(0)
    sizes = [4 * 2**k for k in range(5)]
    layers = [torch.rand(1, 3, size, size, generator=generator) for size in sizes]
    image = torch.stack([F.interpolate(layer, size=TEXTURE_PX, mode="bilinear") for layer in layers]).mean(0)
    return ((image - 0.5) * 2.5 + 0.5).clamp(0, 1)


@torch.no_grad()
def open_units(network: nn.Module, carriers: Collection[nn.Module] = ()) -> None:
    """Open every layer that stands before a ReLU, so that no unit of it is dead.

    With a bias, a unit's mean answer to a texture becomes zero. Without one, the second half of the units answers with
    the opposite sign of the first: of each pair one is open, whatever comes in. What has no storage (`meta`) is left.

    Args:
        carriers: layers whose first three units carry the image, and stay as they are.
    """
    if next(network.parameters()).is_meta:
        return
    mode, training = _Opening(carriers), network.training
    handle = register_module_forward_hook(mode.remember)
    try:
        with mode:
            network.eval()(texture())
    finally:
        handle.remove()
        network.train(training)


class _Opening(TorchFunctionMode):
    """Opens layers, in the order of the forward pass, as a ReLU reads what they made."""

    def __init__(self, carriers: Collection[nn.Module]) -> None:
        super().__init__()
        self.carriers = carriers
        self.made: dict[int, tuple[nn.Module, Tensor]] = {}
        self.opened: set[nn.Module] = set()

    def remember(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """A forward hook; the output is kept, lest another tensor gets its identity."""
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear | DeformConv2d):
            self.made[id(output)] = module, output

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (F.relu, torch.relu):
            layer, read = self.made.get(id(args[0]), (None, args[0]))
            if layer is not None and layer not in self.opened:
                self.opened.add(layer)
                args = (_opened(layer, read, 3 if layer in self.carriers else 0), *args[1:])
        return func(*args, **(kwargs or {}))


def _opened(layer: Any, output: Tensor, carrying: int) -> Tensor:
    """Open a layer but for its first `carrying` units; returns its output, (N,C,...), as it is now."""
    if layer.bias is None:
        half = layer.weight.shape[0] // 2
        layer.weight[half : 2 * half] = -layer.weight[:half]
        return torch.cat([output[:, :half], -output[:, :half], output[:, 2 * half :]], 1)
    mean = output.transpose(0, 1).flatten(1).mean(1)
    mean[:carrying] = 0
    layer.bias -= mean
    return output - mean.view(-1, *[1] * (output.dim() - 2))


@torch.no_grad()
def start_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Start a transposed convolution as a random mixture of channels, enlarged bilinearly: it shows no grid.

    Of size 3 or 4 and stride 2; the weights keep their variance.
    """
    size = layer.kernel_size[0]
    profile = torch.tensor({3: [0.5, 1.0, 0.5], 4: [0.25, 0.75, 0.75, 0.25]}[size])
    kernel = profile[:, None] * profile
    mixture = layer.weight.mean((2, 3), keepdim=True) * size  # a mean of size^2 values has a size-th of their deviation
    layer.weight.copy_(mixture * kernel / kernel.square().mean().sqrt())
