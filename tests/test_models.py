"""The contract of every network and variant: any size, full resolution first, gradients everywhere, no side effects.

Parameters are redrawn first: zero-initialised tails, offsets and attention would hide errors.
"""

import random

import numpy as np
import pytest
import torch
from conftest import redraw

from deblur import models, recipes

EVERY = [(name, variant) for name, (module, *_) in models.NETWORKS.items() for variant in module.VARIANTS]


def small(name, variant, **overrides):
    """A network at smoke size."""
    return models.build(name, variant, **(recipes.recipe(name, variant, "smoke").config | overrides))


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_any_size_in_and_the_same_size_out(name, variant):
    network = redraw(small(name, variant)).eval()
    sizes = np.random.default_rng(EVERY.index((name, variant))).integers(1, 66, (8, 2)).tolist()
    with torch.no_grad():
        for height, width in [(1, 1), (65, 1), (16, 16), *sizes]:
            blurred = torch.rand(1, 3, height, width)
            before = blurred.clone()
            outputs = network(blurred)
            assert isinstance(outputs, tuple)
            assert outputs[0].shape == (1, 3, height, width)
            assert all(output.shape[:2] == (1, 3) for output in outputs)
            assert all(torch.isfinite(output).all() for output in outputs)
            assert torch.equal(blurred, before)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_images_of_a_batch_do_not_meet(name, variant):
    # In float64: convolutions sum in another order for another batch size, and redrawn weights amplify the rounding.
    network = redraw(small(name, variant)).double().eval()
    blurred = torch.rand(3, 3, 33, 18, dtype=torch.float64)
    with torch.no_grad():
        together = network(blurred)
        for index in range(3):
            alone = network(blurred[index : index + 1])
            for whole, single in zip(together, alone, strict=True):
                torch.testing.assert_close(whole[index : index + 1], single, rtol=1e-9, atol=1e-9)


def gradients(name, variant, seed, **overrides):
    network = redraw(small(name, variant, **overrides), seed).train()
    # A generator of its own, so that a failure can be repeated.
    blurred = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(seed))
    sum((output - 0.5).square().mean() for output in network(blurred)).backward()
    return {key: parameter.grad for key, parameter in network.named_parameters()}


def has_detach(name):
    return "detach" in models.NETWORKS[name].config.__dataclass_fields__


@pytest.mark.parametrize(
    ("name", "variant", "overrides"),
    [(name, variant, {}) for name, variant in EVERY]
    + [(name, variant, {"detach": False}) for name, variant in EVERY if has_detach(name)],
)
def test_every_parameter_gets_a_finite_gradient(name, variant, overrides):
    alive = set()
    for seed in range(20):
        found = gradients(name, variant, seed, **overrides)
        missing = [key for key, gradient in found.items() if gradient is None]
        assert not missing
        assert all(torch.isfinite(gradient).all() for gradient in found.values())
        alive |= {key for key, gradient in found.items() if gradient.any()}
        if len(alive) == len(found):
            break
    # A ReLU of one channel is dead in half of the draws, but not in twenty.
    assert not found.keys() - alive


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_constructors_neither_seed_nor_print_nor_need_memory(name, variant, capfd):
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    others = (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    drawn = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        drawn.append(torch.cat([p.detach().flatten() for p in small(name, variant, **xavier(name)).parameters()]))
    assert torch.equal(drawn[0], drawn[2])  # weights follow the caller's seed ...
    assert not torch.equal(drawn[0], drawn[1])  # ... and none set inside
    assert (random.getstate(), np.random.get_state()[1].tolist()) == others  # noqa: NPY002
    with torch.device("meta"):
        network = models.build(name, variant)
        assert all(tensor.is_meta for tensor in network.state_dict().values())
        assert network.eval()(torch.empty(1, 3, 20, 30))[0].shape == (1, 3, 20, 30)
    assert capfd.readouterr() == ("", "")


def xavier(name):
    """The paper's own start, where a network has several."""
    fields = models.NETWORKS[name].config.__dataclass_fields__
    return {"init": fields["init"].default} if "init" in fields else {}


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_overrides_come_last_and_the_rest_stays(name, variant):
    module = models.NETWORKS[name].file
    config = models.config(name, variant)
    for field, value in module.VARIANTS[variant].items():
        assert getattr(config, field) == value
    for scale in recipes.RECIPES[name]:
        overrides = recipes.recipe(name, variant, scale).config
        scaled = models.config(name, variant, **overrides)
        assert all(getattr(scaled, field) == value for field, value in overrides.items())
        kept = set(config.__dataclass_fields__) - set(overrides)
        assert all(getattr(scaled, field) == getattr(config, field) for field in kept)
        # The graph is the paper's at every scale.
        assert not set(overrides) & set(module.VARIANTS[variant])


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_every_variant_is_built_at_every_scale(name, variant):
    for scale in recipes.SCALES:
        with torch.device("meta"):
            network = models.build(name, variant, **recipes.recipe(name, variant, scale).config)
        assert all(parameter.is_meta for parameter in network.parameters())


def test_every_network_has_the_paper_variant_and_all_recipes():
    for name, (module, _, config) in models.NETWORKS.items():
        assert module.VARIANTS["paper"] == {}
        assert models.config(name) == config()
        assert set(recipes.RECIPES[name]) == set(recipes.SCALES)
        assert set(recipes.LOSS_VARIANTS.get(name, {})) <= set(module.VARIANTS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.build("attentiv"), "unknown network 'attentiv'.*attentive"),
        (lambda: models.build("attentive", "table9"), "unknown variant of attentive 'table9'.*paper.*eq6"),
        (lambda: models.build("attentive", width=3), "unknown config field of attentive 'width'.*widths"),
        (lambda: recipes.recipe("attentiv"), "unknown network 'attentiv'.*attentive"),
        (lambda: recipes.recipe("attentive", scale="huge"), "unknown scale 'huge'.*smoke|unknown scale 'huge'.*mini"),
        (lambda: recipes.recipe("attentive", budget="all"), "unknown budget 'all'.*main, more, row"),
    ],
)
def test_unknown_names_raise_and_list_the_valid(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_fair_rows():
    """All rows of an ablation share one budget; the main run is never shorter."""
    for name, (module, *_) in models.NETWORKS.items():
        for scale in recipes.RECIPES[name]:
            steps = {recipes.recipe(name, variant, scale, "row").steps for variant in module.VARIANTS}
            assert steps == {recipes.RECIPES[name][scale].row_steps}
            assert recipes.recipe(name, "paper", scale).steps >= steps.pop()
