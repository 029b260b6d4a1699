"""The losses against scalar loops and closed forms. Float64 wherever the code allows: 1e-12 is rounding."""

import numpy as np
import pytest
import torch
from torch import nn

from deblur import losses, recipes

EXACT = {"rel": 1e-12, "abs": 1e-14}


def random_images(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def loop_resize(image, height, width):
    """Bilinear with half-pixel centres and clamped borders, one value at a time."""
    count, channels, old_height, old_width = image.shape
    result = np.zeros((count, channels, height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * old_height / height - 0.5, 0), old_height - 1)
            x = min(max((j + 0.5) * old_width / width - 0.5, 0), old_width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, old_height - 1), min(x0 + 1, old_width - 1)
            top = image[..., y0, x0] * (1 - x + x0) + image[..., y0, x1] * (x - x0)
            bottom = image[..., y1, x0] * (1 - x + x0) + image[..., y1, x1] * (x - x0)
            result[..., i, j] = top * (1 - y + y0) + bottom * (y - y0)
    return result


def loop_gradient_loss(restored, sharp):
    error = restored - sharp
    count, channels, height, width = error.shape
    across = [
        (error[n, c, i, j + 1] - error[n, c, i, j]) ** 2
        for n in range(count)
        for c in range(channels)
        for i in range(height)
        for j in range(width - 1)
    ]
    down = [
        (error[n, c, i + 1, j] - error[n, c, i, j]) ** 2
        for n in range(count)
        for c in range(channels)
        for i in range(height - 1)
        for j in range(width)
    ]
    return sum(across) / len(across) + sum(down) / len(down)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 13), (2, 2), (5, 16)])
def test_attentive_loss_equals_scalar_loops(height, width):
    sharp = random_images(0, 2, 3, height, width)
    sizes = [(-(-height // factor), -(-width // factor)) for factor in (1, 2, 4)]
    outputs = tuple(random_images(1 + t, 2, 3, *size) for t, size in enumerate(sizes))
    mse = [
        float(np.mean((output.numpy() - loop_resize(sharp.numpy(), *size)) ** 2))
        for output, size in zip(outputs, sizes)
    ]
    gradient = loop_gradient_loss(outputs[0].numpy(), sharp.numpy())

    terms = losses.attentive(outputs, sharp)
    assert set(terms) == {"mse", "gradient"}
    assert float(terms["mse"]) == pytest.approx(sum(mse), **EXACT)
    assert float(terms["gradient"]) == pytest.approx(2.5 * gradient, **EXACT)
    assert float(losses.multi_scale_mse(outputs, sharp)) == pytest.approx(sum(mse), **EXACT)
    assert float(losses.gradient_loss(outputs[0], sharp)) == pytest.approx(gradient, **EXACT)

    single = losses.attentive(outputs, sharp, multi_scale=False, lambda_grad=0.7)
    assert float(single["mse"]) == pytest.approx(mse[0], **EXACT)
    assert float(single["gradient"]) == pytest.approx(0.7 * gradient, **EXACT)
    assert set(losses.attentive(outputs, sharp, lambda_grad=0.0)) == {"mse"}


def test_closed_forms():
    sharp = random_images(0, 1, 3, 6, 10)
    ramp = torch.arange(10.0).double() * 0.1  # slope 0.1 along x, so a gradient error of 0.01
    assert float(losses.gradient_loss(sharp + 0.3, sharp)) == pytest.approx(0, abs=1e-28)
    assert float(losses.gradient_loss(sharp + ramp, sharp)) == pytest.approx(0.01, rel=1e-12)
    assert float(losses.gradient_loss(sharp.mT + ramp[:, None], sharp.mT)) == pytest.approx(0.01, rel=1e-12)
    assert float(losses.multi_scale_mse((sharp + 0.3, sharp - 0.2), sharp)) == pytest.approx(0.13, rel=1e-12)


def test_perfect_outputs_cost_nothing():
    sharp = random_images(0, 1, 3, 8, 8)
    outputs = (sharp, *(losses.resize_like(sharp, torch.empty(1, 3, side, side)) for side in (4, 2)))
    assert all(float(term) == 0 for term in losses.attentive(outputs, sharp).values())


def test_targets_are_reduced_as_the_network_reduces_its_input():
    sharp = random_images(3, 2, 3, 8, 12)
    blocks = sharp.reshape(2, 3, 4, 2, 6, 2)
    half = losses.resize_like(sharp, torch.empty(2, 3, 4, 6))
    torch.testing.assert_close(half, blocks.mean((3, 5)), rtol=0, atol=1e-15)
    quarter = losses.resize_like(sharp, torch.empty(2, 3, 2, 3))
    central = sharp.reshape(2, 3, 2, 4, 3, 4)[:, :, :, 1:3, :, 1:3].mean((3, 5))
    torch.testing.assert_close(quarter, central, rtol=0, atol=1e-15)
    assert losses.resize_like(sharp, torch.empty(2, 3, 8, 12)) is sharp


def test_every_term_has_its_gradient():
    """d(mse)/d(output) = 2 error / count; the gradient term adds its own."""
    sharp = random_images(0, 1, 3, 5, 5)
    output = (sharp + 0.1).requires_grad_()
    terms = losses.attentive((output,), sharp)
    terms["mse"].backward(retain_graph=True)
    torch.testing.assert_close(output.grad, torch.full_like(sharp, 0.2 / sharp.numel()))
    assert torch.autograd.gradcheck(
        lambda x: losses.gradient_loss(x, sharp), (random_images(1, 1, 3, 5, 5).requires_grad_(),)
    )


@pytest.mark.parametrize(
    ("variant", "terms", "coarse_counts"),
    [
        ("paper", {"mse", "gradient"}, True),
        ("table7_single_scale", {"mse"}, False),
        ("table7_single_scale_gradient", {"mse", "gradient"}, False),
        ("table7_multi_scale", {"mse"}, True),
        ("table5_only_ca", {"mse", "gradient"}, True),
    ],
)
@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_variants_of_table_7_come_from_the_recipe(variant, terms, coarse_counts, scale):
    recipe = recipes.recipe("attentive", variant, scale)
    loss = losses.LOSSES[recipe.loss]
    sharp = torch.zeros(1, 3, 4, 4)
    found = loss((sharp + 1, torch.full((1, 3, 2, 2), 2.0)), sharp, **recipe.loss_args)
    assert set(found) == terms
    assert float(found["mse"]) == (5 if coarse_counts else 1)


class Shifted(nn.Module):
    """Restores with a known error: a constant at the coarse scale, a ramp at the fine one."""

    def forward(self, blurred):
        return blurred + torch.arange(blurred.shape[-1]) * 0.1, blurred[..., ::2, ::2] * 0 + 0.5


def test_measure_lambda_is_the_ratio_of_the_summed_terms():
    sharp = [torch.zeros(1, 3, 4, width) for width in (2, 4, 6)]
    # The ramp's mean square is 0.01 mean(j^2), the coarse error's 0.25, the gradient term's 0.01.
    mse = [0.01 * np.mean(np.arange(width) ** 2) + 0.25 for width in (2, 4, 6)]
    found = losses.measure_lambda(Shifted(), [(image, image) for image in sharp])
    assert found == pytest.approx(sum(mse) / 0.03, rel=1e-5)


@pytest.mark.parametrize("batches", [[], [(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))]])
def test_measure_lambda_needs_an_error_to_measure(batches):
    class Perfect(nn.Module):
        def forward(self, blurred):
            return (blurred,)

    with pytest.raises(ValueError, match="at least one pair"):
        losses.measure_lambda(Perfect(), batches)


def test_the_ratio_of_photographs_supports_the_papers_lambda(mini_root):
    """The spec found medians of 1.6 to 1.9 (quartiles 1.0 to 2.5) over residuals of photographs."""
    from deblur.data import official
    from deblur.data.loading import Batches, Tree

    class Untouched(nn.Module):
        def forward(self, blurred):
            return blurred, *(nn.functional.interpolate(blurred, scale_factor=f, mode="bilinear") for f in (0.5, 0.25))

    pairs = official.find_pairs("gopro", mini_root, "train", variant="blur")
    batches = Batches(Tree(pairs), 96, 4, seed=0)
    assert 0.5 < losses.measure_lambda(Untouched(), [batches[step] for step in range(4)]) < 4
