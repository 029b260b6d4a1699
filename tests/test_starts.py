"""First weights: after ten steps every parameter of every network has moved, and nothing is dead, cut off or constant."""

from functools import cache, partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

from deblur import models, recipes, training
from deblur.data import loading
from deblur.losses import LOSSES
from deblur.models import starts
from deblur.models.deform import DeformConv2d, sampling_points
from deblur.runs.wiring import drawn

STEPS, SEEDS = 10, (0, 1, 2)
EVERY = [(name, variant) for name, network in models.NETWORKS.items() for variant in network.file.VARIANTS]

BLIND = {
    ("simplenet", "table5_nonlocal", "context.phi.bias"): "a softmax over keys does not see what is added to all of them"
}
"""Parameters that an equation keeps from learning -> that equation."""

HIDDEN = ("attention.sa.squeeze", "attention.ca.squeeze", "csam", "shallow.1.squeeze", ".squeeze.weight", "theta")
"""Layers without a bias before a ReLU (attentive, Eqs. 4, 5; SGENet, Sec. 3.3; CAB): half of their units may be shut."""


@cache
def batches(seed, count=STEPS):
    source = loading.Batches(loading.Synthesis(), crop=32, batch=2, seed=seed)
    return [source[step] for step in range(count)]


@cache
def textured():
    return loading.Batches(loading.Synthesis(), crop=64, batch=8, seed=99)[0][0]


def stepped(name, variant, seed):
    """A network after ten steps at the widths of mini, and its parameters before."""
    recipe = recipes.recipe(name, variant, "mini", "row")
    network = drawn(partial(models.build, name, variant, **recipe.config), seed).train()
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimiser, loss = training._optimiser(network, recipe), partial(LOSSES[recipe.loss], **recipe.loss_args)
    for step, (blurred, sharp) in enumerate(batches(seed)):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * group["factor"] * min((step + 1) / (recipe.warm_up or 1), 1)
        optimiser.zero_grad()
        sum(loss(network(blurred), sharp, step / STEPS).values()).backward()
        for part, bound in recipe.clip_norm.items():
            nn.utils.clip_grad_norm_([p for key, p in network.named_parameters() if part in key], bound)
        optimiser.step()
    return network, before


class Seen(TorchFunctionMode):
    """What ReLUs and sigmoids make in a forward pass, and where deformable convolutions look."""

    def __init__(self):
        super().__init__()
        self.relus, self.gates, self.outside = [], [], []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func in (F.relu, torch.relu):
            self.relus.append(output)
        if func is torch.sigmoid:
            self.gates.append(output)
        return output

    def look(self, module, inputs, output):
        if isinstance(module, DeformConv2d):
            offset = module.offset(inputs[0])[:, : 2 * module.taps]
            shares = []
            for taken in (offset, torch.zeros_like(offset)):
                y, x = sampling_points(taken).unbind(2)
                height, width = offset.shape[-2:]
                off = (y < -1.5) | (y > height + 0.5) | (x < -1.5) | (x > width + 0.5)
                shares.append(float(off.float().mean()))
            self.outside.append(shares[0] - shares[1])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_after_ten_steps_everything_has_moved_and_is_alive(name, variant, seed):
    network, before = stepped(name, variant, seed)
    parameters = dict(network.named_parameters())
    still = {key for key, value in parameters.items() if torch.equal(value, before[key])}
    without = {key for key, value in parameters.items() if value.grad is None or not value.grad.any()}
    blind = {key for which, what, key in BLIND if (which, what) == (name, variant)}
    assert still | without <= blind
    assert all(value.isfinite().all() for value in parameters.values())

    seen = Seen()
    handle = register_module_forward_hook(seen.look)
    with seen, torch.no_grad():
        network(textured())
    handle.remove()
    assert max(seen.outside, default=0) < 0.01, "offsets run off the map"
    maps = [gate for gate in seen.gates if gate.dim() == 4 and min(gate.shape[-2:]) > 1]
    assert all((gate.amax((2, 3)) - gate.amin((2, 3))).amax() > 1e-5 for gate in maps), "a gate is constant"
    units = sum(output.shape[1] for output in seen.relus if output.dim() in (2, 4))
    dead = sum(int((output.transpose(0, 1).flatten(1).amax(1) <= 0).sum()) for output in seen.relus)
    return units, dead
