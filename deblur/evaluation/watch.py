"""What goes wrong inside a network while it trains: a cheap watch on single steps, whose numbers go into the log."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from deblur.models.deform import DeformConv2d, sent_away

RECTIFIERS, GATES = ("relu", "relu_", "prelu"), ("sigmoid", "sigmoid_")
"""PyTorch's functions whose outputs are looked at, whoever calls them."""


@contextmanager
def watching(network: nn.Module) -> Iterator[dict[str, float]]:
    """Look at the network's passes in the block; the dictionary is filled when it ends well.

    `watch_dead`: share of the channels behind ReLUs and PReLUs that are zero for the whole batch; a channel of a module
    that is called several times is dead if it is so each time. `watch_away`: share of the taps of deformable
    convolutions that their offsets send off the map, see `deform.sent_away`. `watch_gate_low` and `watch_gate_high`:
    the smallest and the largest output of a sigmoid. What a network has none of is left out.
    """
    seen: dict[str, float] = {}
    looked = _Looked()
    hooks = [*_hooks(network, looked)]
    try:
        with looked:
            yield seen
    finally:
        for hook in hooks:
            hook.remove()
    seen |= looked.numbers()


def _hooks(network: nn.Module, looked: "_Looked") -> Iterator[torch.utils.hooks.RemovableHandle]:
    for module in network.modules():
        yield module.register_forward_pre_hook(looked.enter)
        yield module.register_forward_hook(looked.leave)
        if isinstance(module, DeformConv2d):
            yield module.offset.register_forward_hook(looked.offsets(module))


class _Looked(TorchFunctionMode):
    """What was seen of activations, told apart by the modules that are running, and by their order in the innermost."""

    def __init__(self) -> None:
        self.calls: list[tuple[nn.Module, Counter[str]]] = []
        self.alive: dict[tuple, Tensor] = {}
        self.gates: list[Tensor] = []
        self.away: list[Tensor] = []

    def enter(self, module: nn.Module, inputs: tuple) -> None:
        self.calls.append((module, Counter()))

    def leave(self, module: nn.Module, inputs: tuple, output: Any) -> None:
        self.calls.pop()

    def offsets(self, convolution: DeformConv2d) -> Callable[[nn.Module, tuple, Tensor], None]:
        def look(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            offset = output.detach()[:, : 2 * convolution.taps].float()
            self.away.append(sent_away(offset, convolution.kernel))

        return look

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        if self.calls and isinstance(output, Tensor):  # losses have activations too
            name = getattr(function, "__name__", "")
            if name in RECTIFIERS and output.ndim > 1:
                self._channels(name, output.detach())
            elif name in GATES:
                self.gates.append(torch.stack(output.detach().float().aminmax()))
        return output

    def _channels(self, name: str, output: Tensor) -> None:
        order = self.calls[-1][1]
        order[name] += 1
        # The whole way to the innermost: blocks of a network may share one activation.
        place = *(module for module, _ in self.calls), name, order[name], output.shape[1]
        alive = (output != 0).transpose(0, 1).flatten(1).any(1)
        self.alive[place] = alive | self.alive[place] if place in self.alive else alive

    def numbers(self) -> dict[str, float]:
        """All at once, so that a device is waited for as little as may be."""
        numbers: dict[str, Tensor] = {}
        if self.alive:
            numbers["watch_dead"] = 1 - torch.cat([*self.alive.values()]).float().mean()
        if self.away:
            numbers["watch_away"] = torch.stack(self.away).mean()
        if self.gates:
            low, high = torch.stack(self.gates).unbind(1)
            numbers |= {"watch_gate_low": low.min(), "watch_gate_high": high.max()}
        return {name: float(value) for name, value in numbers.items()}
