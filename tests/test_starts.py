"""First weights: after ten steps each parameter of each network has moved; nothing is dead, cut off or constant."""

import re
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
    ("simplenet", r"context\.phi\.bias"): "a softmax over keys does not see what is added to all of them",
    ("raidnet", r"lrr\.reasoning\.adjacency\.conv\.weight"): "masks of a bare softmax over positions are 1/HW",
    (
        "dbn",
        r"(enc1|up\d|(enc|dec)\d\.\d)\.0\.bias|dec1\.1\.bias",
    ): "batch normalisation takes off what is added to a channel",
    ("simplenet|srn_lgcr", r".*gcrw\..*"): "LGCR's softmax over all values (Eq. 3) leaves weights of 1/CHW",
}
"""Networks and their parameters that an equation may keep from learning -> that equation."""
LATE = {
    ("attentive", r"scales\.[12]\..*attention.*"): "gates read second convolutions, which start at zero",
    ("attentive/lambda_1", r"scales\.0\..*\.sa\.excite\.weight"): "both units of an MLP may be shut for one batch",
}
"""Networks and their parameters whose first moves may be lost in rounding while the rate rises -> why."""


def patterns(name, variant, key):
    """What must match for a parameter to be excused: pairs of a pattern and a string."""
    return [(f"(?:{names}) {keys}", f"{name}{f'/{variant}' * ('/' in names)} {key}") for names, keys in BLIND | LATE]


@cache
def batches(seed, count=STEPS):
    source = loading.Batches(loading.Synthesis(), crop=32, batch=2, seed=seed)
    return [source[step] for step in range(count)]


@cache
def textured():
    return loading.Batches(loading.Synthesis(), crop=64, batch=8, seed=99)[0][0]


def stepped(name, variant, seed, steps=STEPS):
    """A network after some steps at the widths of mini, and its parameters before."""
    recipe = recipes.recipe(name, variant, "mini", "row")
    network = drawn(partial(models.build, name, variant, **recipe.config), seed).train()
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimiser, loss = training._optimiser(network, recipe), partial(LOSSES[recipe.loss], **recipe.loss_args)
    for step, (blurred, sharp) in enumerate(batches(seed, steps)):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * group["factor"] * min((step + 1) / (recipe.warm_up or 1), 1)
        optimiser.zero_grad()
        sum(loss(network(blurred), sharp, step / steps).values()).backward()
        for part, bound in recipe.clip_norm.items():
            nn.utils.clip_grad_norm_([p for key, p in network.named_parameters() if part in key], bound)
        optimiser.step()
    return network, before


class Seen(TorchFunctionMode):
    """What ReLUs and sigmoids make in a forward pass, and where deformable convolutions look.

    `dead` holds, for each ReLU that reads a layer with or (`shut`) without a bias, dead units and units.
    """

    def __init__(self):
        super().__init__()
        self.dead, self.shut, self.gates, self.outside = [], [], [], []
        self.made = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func in (F.relu, torch.relu) and id(args[0]) in self.made:
            units = output.transpose(0, 1).flatten(1).amax(1)
            biased = self.made[id(args[0])][0].bias is not None
            (self.dead if biased else self.shut).append((int((units <= 0).sum()), len(units)))
        if func is torch.sigmoid:
            self.gates.append(output)
        return output

    def look(self, module, inputs, output):
        if hasattr(module, "bias"):
            self.made[id(output)] = module, output
        if isinstance(module, DeformConv2d):
            if module.modulated:
                self.gates.pop()  # its modulation, which learns as slowly as the offsets do
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
    stuck = [key for key in still | without if not any(re.fullmatch(*pair) for pair in patterns(name, variant, key))]
    assert not stuck
    assert all(value.isfinite().all() for value in parameters.values())

    seen = Seen()
    handle = register_module_forward_hook(seen.look)
    with seen, torch.no_grad():
        network(textured())
    handle.remove()
    assert max(seen.outside, default=0) < 0.01, "offsets run off the map"
    maps = [gate for gate in seen.gates if gate.dim() == 4 and min(gate.shape[-2:]) > 1]
    assert all((gate.amax((2, 3)) > gate.amin((2, 3))).any() for gate in maps), "a gate is constant"
    dead, units = (sum(column) for column in zip((0, 0), *seen.dead, strict=False))
    assert dead <= 0.1 * units
    # Without a bias a unit is open or shut by the sign of what it reads: of each pair one is open (attentive, Eqs. 4,
    # 5; SGENet, Sec. 3.3; channel attention).
    assert all(dead <= (units + 1) // 2 for dead, units in seen.shut)


@pytest.mark.parametrize(
    ("name", "variant"), [("attentive", "table4_no_sharing"), ("attentive", "lambda_1"), ("dmphn", "paper")]
)
def test_what_is_late_has_moved_after_forty_steps(name, variant):
    network, before = stepped(name, variant, 0, 40)
    parameters = dict(network.named_parameters())
    assert not [key for key, value in parameters.items() if torch.equal(value, before[key]) or not value.grad.any()]


@pytest.mark.parametrize("name", ["attentive", "raidnet", "simplenet", "srn", "mimounet", "mprnet"])
def test_no_unit_with_a_bias_is_dead_at_the_start_and_many_are_without_opening(name, monkeypatch):
    dead = []
    for opened in (True, False):
        if not opened:
            monkeypatch.setattr(models.NETWORKS[name].file, "open_units", lambda *_: None)
        config = recipes.recipe(name, scale="mini").config
        network, seen = drawn(partial(models.build, name, **config), 0), Seen()
        handle = register_module_forward_hook(seen.look)
        with seen, torch.no_grad():
            network(textured())
        handle.remove()
        dead.append(sum(count for count, _ in seen.dead) if seen.dead else 0)
    assert dead[0] == 0
    assert dead[1] > 0 or name == "mprnet"  # whose only units before a ReLU have no bias


def test_opening_draws_nothing_and_leaves_meta_tensors_and_modes_alone():
    state = torch.get_rng_state()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5))
    state = torch.get_rng_state()
    starts.open_units(network)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    with torch.device("meta"):
        starts.open_units(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))


def test_an_opened_layer_answers_a_texture_with_mean_zero_or_in_pairs():
    for bias in (True, False):
        layer = nn.Conv2d(3, 6, 3, bias=bias)
        starts.open_units(nn.Sequential(layer, nn.ReLU()))
        answers = layer(starts.texture()).mean((0, 2, 3))
        if bias:
            torch.testing.assert_close(answers, torch.zeros(6), atol=1e-6, rtol=0)
        else:
            torch.testing.assert_close(layer.weight[3:], -layer.weight[:3])


@pytest.mark.parametrize("size", [3, 4])
def test_a_bilinear_start_enlarges_flat_images_without_a_grid(size):
    layer = nn.ConvTranspose2d(5, 2, size, 2, padding=1, output_padding=4 - size)
    nn.init.kaiming_normal_(layer.weight)
    before = layer.weight.var()
    starts.start_bilinear(layer)
    inner = layer(torch.ones(1, 5, 9, 9))[..., 3:-3, 3:-3]
    assert float((inner - inner.mean((2, 3), keepdim=True)).abs().max()) < 1e-5
    assert 0.2 < layer.weight.var() / before < 5
