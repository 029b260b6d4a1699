"""SVRNN: the recursive filters against plain loops, the gates' places, and the layers against the authors' counts."""

import pytest
import torch
import torch.nn.functional as F
from conftest import redraw

from deblur import models, recipes
from deblur.evaluation.complexity import on_meta, parameters
from deblur.models import svrnn

EXACT, SINGLE = 1e-12, 1e-6
"""Bounds of float64 and float32, as shares of the largest state."""


def plain(x, gate, dim, backwards=False):
    """The recursive filter, place by place."""
    places = range(x.shape[dim])
    state, states = torch.zeros_like(x.select(dim, 0)), {}
    for place in reversed(places) if backwards else places:
        g = gate.select(dim, place)
        state = states[place] = (1 - g) * x.select(dim, place) + g * state
    return torch.stack([states[place] for place in places], dim)


def drawn(shape, seed=0, gates=(-1, 1)):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    low, high = gates
    return x, low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def difference(one, other):
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize(("dim", "backwards"), svrnn.DIRECTIONS)
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 2, 2, 3), (2, 1, 7, 16), (1, 4, 33, 256)])
def test_the_filter_is_the_plain_loop(shape, dim, backwards):
    x, gate = drawn(shape)
    expected = plain(x, gate, dim, backwards)
    assert difference(svrnn.recursive_filter(x, gate, dim, backwards), expected) < EXACT
    single = svrnn.recursive_filter(x.float(), gate.float(), dim, backwards)
    assert difference(single.double(), expected) < SINGLE


@pytest.mark.parametrize("gates", [(0, 1e-12), (1 - 1e-7, 1), (-1, -1 + 1e-7)])
def test_gates_at_their_bounds_lose_nothing(gates):
    x, gate = drawn((1, 2, 8, 500), gates=gates)
    expected = plain(x, gate, -1)
    assert difference(svrnn.recursive_filter(x, gate, -1), expected) < EXACT
    assert difference(svrnn.recursive_filter(x.float(), gate.float(), -1).double(), plain(x, gate.float(), -1)) < SINGLE
    closed = torch.zeros_like(gate)
    assert torch.equal(svrnn.recursive_filter(x, closed, -1), x)
    assert not svrnn.recursive_filter(x, closed + 1, -1).any()


@pytest.mark.parametrize(("dim", "backwards"), svrnn.DIRECTIONS)
def test_the_gradient_is_that_of_the_plain_loop(dim, backwards):
    x, gate = (part.requires_grad_() for part in drawn((1, 2, 6, 7)))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours = torch.autograd.grad((svrnn.recursive_filter(x, gate, dim, backwards) * weights).sum(), (x, gate))
    theirs = torch.autograd.grad((plain(x, gate, dim, backwards) * weights).sum(), (x, gate))
    assert all(difference(one, other) < EXACT for one, other in zip(ours, theirs, strict=True))
    assert torch.autograd.gradcheck(svrnn.recursive_filter, (x, gate, dim, backwards))


def test_parameters_are_those_of_the_authors_definition():
    """matlab/train/model/train.prototxt: (in, out, kernel) of every convolution, all with a bias."""
    features = [(3, 16, 11), (16, 32, 7)]
    guidance = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512), (512, 512)]
    guidance += [(512, 256), (512, 128), (128, 128), (256, 256), (256, 512)]
    image = [(64, 16, 9), (32, 3, 5)]
    layers = [*features, *image, *((*ends, 3) for ends in guidance), *4 * [(128, 32, 3)]]
    count = sum(a * b * k * k + b for a, b, k in layers)
    assert parameters(on_meta("svrnn")) == count == 9_227_027


def small(**overrides):
    return redraw(models.build("svrnn", **(recipes.recipe("svrnn", scale="smoke").config | overrides))).eval()


def test_a_recurrence_written_out():
    """Gates come as x, y, x back, y back; filters are mixed as x, x back, y, y back."""
    block = redraw(svrnn.Recurrence(2))
    x, gates = torch.rand(1, 2, 5, 6), torch.rand(1, 8, 5, 6)
    right, down, left, up = gates.split(2, 1)
    filtered = [plain(x, right, 3), plain(x, left, 3, True), plain(x, down, 2), plain(x, up, 2, True)]
    with torch.no_grad():
        mixed = F.conv2d(torch.cat(filtered, 1), block.mix.weight, block.mix.bias, padding=1)
        torch.testing.assert_close(block(x, gates), torch.where(mixed > 0, mixed, 0.1 * mixed))


def test_the_network_written_out():
    network = small()
    image = torch.rand(1, 3, 16, 24)
    g, (a, b, c) = network.guidance, (2, 1, 1)

    def relus(x, layers):
        for layer in layers:
            x = layer(x).clamp(min=0)
        return x

    def twice(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    with torch.no_grad():
        level1 = F.max_pool2d(relus(image, g.level1), 2)
        level2 = relus(level1, g.level2)
        before = relus(F.max_pool2d(level2, 2), g.level3[:2])  # the second convolution of three is handed over
        bottom = relus(F.max_pool2d(relus(before, g.level3[2:]), 2), g.level4)
        level3 = relus(torch.cat([before, twice(bottom)], 1), g.up3)
        gates = torch.tanh(g.last(relus(torch.cat([level2, twice(level3)], 1), [g.up2])))
        assert gates.shape == (1, a * 16, 8, 12)
        f1 = F.leaky_relu(network.head(image), 0.1)
        f2 = x = network.down(f1)
        for recurrence, own in zip(network.recurrences, gates.chunk(a, 1), strict=True):
            x = recurrence(x, own)
        up = twice(F.leaky_relu(network.join(torch.cat([f2, x], b)), 0.1))
        torch.testing.assert_close(network(image)[0], network.tail(torch.cat([f1, up], c)))


def test_one_pixel_reaches_its_whole_row_and_column():
    """What convolutions of this size could not do: the reach is that of the recurrence."""
    network = small(features=(4, 4)).double()
    image = torch.rand(1, 3, 8, 256, dtype=torch.float64)
    changed = image.clone()
    changed[..., 0] = 1 - changed[..., 0]
    with torch.no_grad():
        gates = torch.full_like(network.guidance(image), 0.99)
        network.guidance.forward = lambda _: gates
        moved = (network(changed)[0] - network(image)[0]).abs().amax((0, 1, 2))
    assert moved[-1] > 1e-6 * moved.max()


def test_the_recipe_is_that_of_the_paper():
    recipe = recipes.recipe("svrnn", scale="paper")
    assert (recipe.steps, recipe.batch, recipe.crop, recipe.lr, recipe.loss) == (200_000, 20, 128, 1e-4, "mse")
    assert (recipe.schedule, recipe.schedule_args, recipe.lr_factors) == ("polynomial", {"power": 2.0}, {"bias": 2.0})
