"""Learning rates against the printed facts of the papers and against torch's own schedulers."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from deblur import recipes, schedules


def scheduled(make, lr, steps):
    """The rates of one of torch's schedulers."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimiser)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def test_the_decay_of_the_attentive_network():
    recipe = recipes.recipe("attentive", "paper", "paper")
    assert recipe.schedule == "polynomial"
    assert schedules.polynomial(recipe.lr, 0, recipe.steps) == 1e-4
    shares = [schedules.polynomial(1, recipe.steps * share // 100, recipe.steps) for share in (25, 50, 75, 90, 99)]
    assert [round(share, 3) for share in shares] == [0.917, 0.812, 0.660, 0.501, 0.251]
    assert recipe.steps == 4000 * (2103 // 16)
    assert 0 < schedules.polynomial(recipe.lr, recipe.steps - 1, recipe.steps) < 2.1e-6


def test_polynomial_equals_torchs():
    steps = int(np.random.default_rng(0).integers(5, 60))
    torchs = scheduled(lambda o: torch.optim.lr_scheduler.PolynomialLR(o, steps, power=0.7), 3e-3, steps)
    np.testing.assert_allclose([schedules.polynomial(3e-3, k, steps, power=0.7) for k in range(steps)], torchs)


@pytest.mark.parametrize("steps", [2, 10, 46])
def test_a_rate_that_is_held_before_it_falls_equals_torchs(steps):
    """As DeblurGAN's paper has it: constant for half of the epochs, then linear to zero."""
    half = steps // 2

    def make(o):
        parts = [torch.optim.lr_scheduler.ConstantLR(o, 1.0), torch.optim.lr_scheduler.PolynomialLR(o, half, power=1.0)]
        return torch.optim.lr_scheduler.SequentialLR(o, parts, [half])

    rates = [schedules.polynomial(1e-4, k, steps, power=1.0, hold=0.5) for k in range(steps)]
    np.testing.assert_allclose(rates, scheduled(make, 1e-4, steps))
    assert rates[:half] == [1e-4] * half


@pytest.mark.parametrize(("warm_up", "steps"), [(2, 9), (7, 40)])
def test_a_warm_up_before_a_cosine_equals_torchs(warm_up, steps):
    def make(o):
        rising = torch.optim.lr_scheduler.LinearLR(o, 1 / warm_up, 1.0, warm_up - 1)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(o, steps - warm_up, eta_min=1e-6)
        return torch.optim.lr_scheduler.SequentialLR(o, [rising, falling], [warm_up])

    rates = [schedules.cosine(2e-4, k, steps, floor=1e-6, warm_up=warm_up) for k in range(steps)]
    np.testing.assert_allclose(rates, scheduled(make, 2e-4, steps))


def test_cosine_equals_torchs_and_starts_and_ends_where_it_says():
    steps = int(np.random.default_rng(1).integers(5, 60))
    make = torch.optim.lr_scheduler.CosineAnnealingLR
    torchs = scheduled(lambda o: make(o, steps, eta_min=1e-7), 2e-4, steps)
    np.testing.assert_allclose([schedules.cosine(2e-4, k, steps, floor=1e-7) for k in range(steps)], torchs)
    assert schedules.cosine(2e-4, 0, steps, floor=1e-7) == 2e-4
    assert schedules.cosine(2e-4, steps, steps, floor=1e-7) == 1e-7


def test_warm_restarts_equal_torchs_stepped_by_epoch():
    make = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    torchs = np.repeat(scheduled(lambda o: make(o, T_0=1, T_mult=2, eta_min=1e-6), 1e-4, 70), 3)
    found = [schedules.warm_restarts(1e-4, k, 210, epoch=3, floor=1e-6) for k in range(210)]
    np.testing.assert_allclose(found, torchs)
    restarts = [k // 3 for k, (before, now) in enumerate(pairwise(found), 1) if now > before]
    assert restarts == [3, 7, 15, 31, 63]


def test_staircase_falls_after_every_so_many_steps():
    factor = math.sqrt(10) / 10
    found = [schedules.staircase(1e-4, k, 2_200_000, every=630_000, factor=factor) for k in (0, 629_999, 630_000)]
    assert found == pytest.approx([1e-4, 1e-4, 1e-4 * factor])
    assert schedules.staircase(1e-4, 2_199_999, 2_200_000, every=630_000, factor=factor) == pytest.approx(
        3.162e-6, rel=1e-3
    )


def test_constant_is_constant():
    assert {schedules.constant(1e-4, k, 9) for k in range(9)} == {1e-4}


def test_every_recipe_names_a_schedule_that_takes_its_arguments():
    for name, by_scale in recipes.RECIPES.items():
        for scale, recipe in by_scale.items():
            rate = schedules.SCHEDULES[recipe.schedule]
            for steps in (recipe.steps, recipe.row_steps):
                rates = [rate(recipe.lr, k, steps, **recipe.schedule_args) for k in (0, steps // 2, steps - 1)]
                assert all(0 < value <= recipe.lr for value in rates), (name, scale)


@pytest.mark.parametrize(
    ("scale", "budget"), [("bench", "main"), ("mini", "study"), ("axes", "study"), ("bench", "row")]
)
def test_averaged_weights_have_forgotten_their_start(scale, budget):
    """`average ** steps` of them are those of the first step."""
    kept = {name: recipes.recipe(name, "paper", scale, budget) for name in recipes.RECIPES}
    kept = {name: found.average**found.steps if found.average else 0.0 for name, found in kept.items()}
    if (scale, budget) == ("bench", "main"):
        assert kept.pop("raidnet") < 0.05  # its release went on from there
    assert max(kept.values()) < 0.003
