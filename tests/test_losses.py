"""Losses against numpy and closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from deblur import losses, recipes


def images(height=12, width=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 3, height, width), (2, 3, height // 2, width // 2), (2, 3, height // 4, width // 4)]
    return tuple(torch.rand(shape, generator=generator) for shape in shapes), torch.rand(shapes[0], generator=generator)


def mean_of_blocks(image, factor):
    """Half-pixel bilinear reduction by hand: the 2x2 mean, or at 1/4 the mean of the central 2x2 of each 4x4."""
    image = np.asarray(image, dtype=np.float64)
    offset = factor // 2 - 1
    return sum(image[..., offset + i :: factor, offset + j :: factor] for i in (0, 1) for j in (0, 1)) / 4


def test_multi_scale_mse_by_hand():
    outputs, sharp = images()
    targets = [sharp.numpy(), mean_of_blocks(sharp, 2), mean_of_blocks(sharp, 4)]
    expected = sum(np.mean((output.numpy() - target) ** 2) for output, target in zip(outputs, targets))
    assert float(losses.multi_scale_mse(outputs, sharp)) == pytest.approx(expected, rel=1e-5)


def test_gradient_loss_by_hand():
    (restored, *_), sharp = images(7, 9)
    error = restored.numpy().astype(np.float64) - sharp.numpy()
    dx, dy = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    assert float(losses.gradient_loss(restored, sharp)) == pytest.approx((dx**2).mean() + (dy**2).mean(), rel=1e-5)


def test_gradient_loss_of_a_ramp_and_of_an_offset():
    ramp = torch.arange(10.0).expand(1, 3, 8, 10) * 0.1
    assert float(losses.gradient_loss(ramp, torch.zeros_like(ramp))) == pytest.approx(0.01)
    assert float(losses.gradient_loss(ramp + 0.3, ramp)) == pytest.approx(0, abs=1e-12)


def test_perfect_outputs_cost_nothing():
    _, sharp = images()
    outputs = (sharp, *(torch.from_numpy(mean_of_blocks(sharp, factor)).float() for factor in (2, 4)))
    assert sum(losses.attentive(outputs, sharp).values()) < 1e-12


@pytest.mark.parametrize(
    ("variant", "multi_scale", "weight"),
    [
        ("paper", True, 2.5),
        ("table7_single_scale", False, 0.0),
        ("table7_single_scale_gradient", False, 2.5),
        ("table7_multi_scale", True, 0.0),
    ],
)
def test_table_7_through_the_recipes(variant, multi_scale, weight):
    outputs, sharp = images()
    arguments = recipes.recipe("attentive", variant, "paper").loss_args
    total = sum(losses.attentive(outputs, sharp, **arguments).values())
    mse = losses.multi_scale_mse(outputs if multi_scale else outputs[:1], sharp)
    torch.testing.assert_close(total, mse + weight * losses.gradient_loss(outputs[0], sharp))


class Offset(nn.Module):
    """Adds a known error: a ramp of one grey value a pixel, in a single output."""

    def forward(self, image):
        return (image + torch.arange(image.shape[-1]) / 255,)


def test_measure_lambda_is_the_ratio_of_the_sums():
    batches = [(torch.rand(1, 3, 4, width), None) for width in (5, 9)]
    batches = [(blurred, blurred) for blurred, _ in batches]
    mse = sum(np.mean(np.arange(width) ** 2.0) for width in (5, 9))
    assert losses.measure_lambda(Offset(), batches) == pytest.approx(mse / 2, rel=1e-4)


def test_measure_lambda_needs_pairs():
    with pytest.raises(ValueError, match="batches must hold"):
        losses.measure_lambda(Offset(), [])
