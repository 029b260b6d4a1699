"""The losses against scalar loops and closed forms. Float64 wherever the code allows: 1e-12 is rounding."""

import numpy as np
import pytest
import torch
from torch import nn

from deblur import losses, recipes
from deblur.evaluation import metrics

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


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 13), (2, 2)])
def test_srn_and_simplenet_losses_equal_scalar_loops(height, width):
    sharp = random_images(0, 2, 3, height, width)
    sizes = [(-(-height // factor), -(-width // factor)) for factor in (1, 2, 4)]
    outputs = tuple(random_images(1 + t, 2, 3, *size) for t, size in enumerate(sizes))
    errors = [output.numpy() - loop_resize(sharp.numpy(), *size) for output, size in zip(outputs, sizes)]
    for progress in (0.0, 0.9):
        terms = losses.srn(outputs, sharp, progress)
        assert set(terms) == {"mse"}
        assert float(terms["mse"]) == pytest.approx(sum(float((error**2).mean()) for error in errors), **EXACT)
        # One output is all that SimpleNet has, and all that its loss looks at.
        for given in (outputs, outputs[:1]):
            terms = losses.simplenet(given, sharp, progress)
            assert set(terms) == {"l1"}
            assert float(terms["l1"]) == pytest.approx(float(np.abs(errors[0]).mean()), **EXACT)


@pytest.mark.parametrize(("kind", "power"), [("mse", 2), ("l1", 1)])
def test_radn_loss_equals_a_scalar_loop(kind, power):
    sharp, restored = random_images(0, 2, 3, 5, 7), random_images(1, 2, 3, 5, 7)
    errors = [abs(float(a) - float(b)) ** power for a, b in zip(restored.flatten(), sharp.flatten(), strict=True)]
    found = losses.radn((restored,), sharp, 0.5, kind=kind)
    assert set(found) == {kind}
    assert float(found[kind]) == pytest.approx(sum(errors) / len(errors), **EXACT)
    with pytest.raises(ValueError, match=r"unknown kind 'l2'.*mse, l1"):
        losses.radn((restored,), sharp, kind="l2")


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

    pairs = official.find_pairs("gopro", mini_root, "train", subset="blur")
    batches = Batches(Tree(pairs), 96, 4, seed=0)
    assert 0.5 < losses.measure_lambda(Untouched(), [batches[step] for step in range(4)]) < 4


# -------------------------------------------------------------------------------------------------- RAID-Net


@pytest.mark.parametrize(("height", "width", "noise"), [(11, 11, 0.3), (24, 17, 0.1), (40, 33, 0.02), (12, 60, 1.0)])
def test_ssim_equals_scikit_image(height, width, noise):
    from skimage.metrics import structural_similarity

    sharp = random_images(0, 3, 3, height, width)
    restored = (sharp + noise * (random_images(1, 3, 3, height, width) - 0.5)).clamp(0, 1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    maps = [
        structural_similarity(a.numpy(), b.numpy(), full=True, channel_axis=0, **settings)[1][:, 5:-5, 5:-5]
        for a, b in zip(restored, sharp)
    ]
    assert float(losses.ssim(restored, sharp)) == pytest.approx(np.mean(maps), rel=1e-10)


def test_ssim_in_training_is_the_one_that_scores():

    images = (random_images(0, 2, 3, 30, 41) * 255).round().to(torch.uint8)
    restored, sharp = images
    scored = metrics.ssim_gauss_rgb(restored.permute(1, 2, 0).numpy(), sharp.permute(1, 2, 0).numpy())
    trained = losses.ssim(*(image[None].double() / 255 for image in images))
    assert float(trained) == pytest.approx(scored, rel=1e-10)
    assert float(losses.ssim(*(image[None].float() / 255 for image in images))) == pytest.approx(scored, abs=1e-5)


def test_closed_forms_of_ssim():
    sharp = random_images(0, 1, 3, 20, 20)
    assert float(losses.ssim(sharp, sharp)) == pytest.approx(1, rel=1e-12)
    black = torch.zeros(1, 3, 15, 15, dtype=torch.float64)
    assert float(losses.ssim(black, black)) == pytest.approx(1)  # the formula as printed would give 2
    grey, white = black + 0.5, black + 1.0
    assert float(losses.ssim(grey, white)) == pytest.approx((2 * 0.5 + 1e-4) / (1.25 + 1e-4))
    assert float(losses.ssim(sharp, 1 - sharp)) < 0  # covariance of the other sign
    assert float(losses.ssim(sharp, 1 - sharp)) == float(losses.ssim(1 - sharp, sharp))


def test_ssim_is_differentiable():
    sharp = random_images(0, 1, 1, 12, 13)
    assert torch.autograd.gradcheck(lambda x: losses.ssim(x, sharp), (random_images(1, 1, 1, 12, 13).requires_grad_(),))


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"at least 11 px a side, not \(10, 40\)"):
        losses.ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))


def test_raidnet_trains_in_two_steps():
    sharp = random_images(0, 2, 3, 16, 18)
    final, coarse = sharp + 0.1, sharp - 0.2
    first = losses.raidnet((final, coarse), sharp, 0.249, switch=0.25)
    second = losses.raidnet((final, coarse), sharp, 0.25, switch=0.25, lambda_ssim=0.5)
    assert set(first) == {"mse"}
    assert set(second) == {"mse", "ssim"}
    assert float(first["mse"]) == float(second["mse"]) == pytest.approx(0.01 + 0.04, **EXACT)
    assert float(second["ssim"]) == pytest.approx(0.5 * (1 - float(losses.ssim(final, sharp))), **EXACT)
    assert set(losses.raidnet((final,), sharp, 0.0)) == {"mse"}
    assert set(losses.raidnet((final,), sharp, 0.5)) == {"mse", "ssim"}


def test_minimising_the_ssim_term_improves_the_image():
    """The sign: descent on the loss raises SSIM."""
    sharp = random_images(0, 1, 3, 16, 16)
    restored = (sharp + 0.3 * (random_images(1, 1, 3, 16, 16) - 0.5)).requires_grad_()
    losses.raidnet((restored,), sharp, 0.9)["ssim"].backward()
    assert losses.ssim(restored - restored.grad, sharp) > losses.ssim(restored, sharp)


@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_step_2_begins_where_the_learning_rate_restarts(scale):
    recipe = recipes.recipe("raidnet", scale=scale)
    epoch = recipe.schedule_args["epoch"]
    switch = recipe.loss_args.get("switch", 511 / 2000)
    begin = switch * recipe.steps / epoch  # in epochs; cosines begin after 0, 1, 3, 7, ...
    assert abs(np.log2(begin + 1) - round(np.log2(begin + 1))) < 1e-4
    if scale != "paper":  # the paper stops 47 epochs short
        assert recipe.steps / epoch in [2**k - 1 for k in range(10)]


# ------------------------------------------------------------------------------------------------------ baselines


def outputs_of_three_scales():
    sizes = ((12, 16), (6, 8), (3, 4))
    return tuple(random_images(1 + t, 2, 3, *size) for t, size in enumerate(sizes)), random_images(0, 2, 3, 12, 16)


def test_absolute_errors_are_summed_over_outputs():
    outputs, sharp = outputs_of_three_scales()
    expected = sum(np.abs(output.numpy() - loop_resize(sharp.numpy(), *output.shape[-2:])).mean() for output in outputs)
    assert float(losses.l1(outputs, sharp)["l1"]) == pytest.approx(expected, **EXACT)
    assert float(losses.mimounet(outputs, sharp)["l1"]) == pytest.approx(expected, **EXACT)
    assert losses.LOSSES["mse"](outputs, sharp)["mse"] == losses.multi_scale_mse(outputs, sharp)


def test_spectral_error_equals_numpys():
    outputs, sharp = outputs_of_three_scales()
    expected = 0
    for output in outputs:
        error = np.fft.fft2(output.numpy()) - np.fft.fft2(loop_resize(sharp.numpy(), *output.shape[-2:]))
        expected += np.stack([np.abs(error.real), np.abs(error.imag)]).mean()
    terms = losses.mimounet(outputs, sharp, lambda_spectral=0.3)
    assert float(terms["spectral"]) == pytest.approx(0.3 * expected, rel=1e-12)
    # A constant error sits in one coefficient, of the size of all pixels together; real parts count one half.
    assert float(losses.spectral_l1(sharp + 0.25, sharp)) == pytest.approx(0.125, rel=1e-9)


def test_charbonnier_is_smooth_at_zero_and_absolute_far_off():
    sharp = random_images(0, 1, 3, 8, 8)
    assert float(losses.charbonnier(sharp, sharp)) == pytest.approx(1e-3, rel=1e-12)
    assert float(losses.charbonnier(sharp + 0.5, sharp)) == pytest.approx((0.25 + 1e-6) ** 0.5, rel=1e-12)
    image = random_images(1, 1, 1, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.charbonnier(x, sharp[:, :1, :4, :4]), (image,))
    exact = sharp.clone().requires_grad_()
    losses.charbonnier(exact, sharp).backward()
    assert not exact.grad.any()


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9), (1, 5), (2, 2)])
def test_laplacian_equals_scipys_pyramid(height, width):
    from scipy import ndimage

    row = np.array([1, 5, 8, 5, 1]) / 20

    def smooth(x):
        return ndimage.correlate(x, np.outer(row, row), mode="nearest")

    image = random_images(0, 2, 3, height, width)
    for n in range(2):
        for c in range(3):
            plane = image[n, c].numpy()
            doubled = np.zeros_like(plane)
            doubled[::2, ::2] = 4 * smooth(plane)[::2, ::2]
            found = losses.laplacian(image)[n, c].numpy()
            np.testing.assert_allclose(found, plane - smooth(doubled), rtol=0, atol=1e-14)


def test_mprnets_terms():
    sharp = random_images(0, 1, 3, 8, 10)
    outputs = tuple(random_images(i, 1, 3, 8, 10) for i in (1, 2, 3))
    terms = losses.mprnet(outputs, sharp, lambda_edge=0.5)
    pixels = sum(float(losses.charbonnier(output, sharp)) for output in outputs)
    edges = sum(float(losses.charbonnier(losses.laplacian(o), losses.laplacian(sharp))) for o in outputs)
    assert float(terms["charbonnier"]) == pytest.approx(pixels, **EXACT)
    assert float(terms["edge"]) == pytest.approx(0.5 * edges, **EXACT)
    # In the middle of an image, a constant error has no edges.
    shifted, edge = (losses.laplacian(image)[..., 4:-4, 4:-4] for image in (sharp + 0.2, sharp))
    torch.testing.assert_close(shifted, edge, rtol=0, atol=1e-6)


def sgenet_outputs(height, width):
    """Eight images, stage by stage: full size twice, half, quarter; and the means that are their targets."""
    sharp = random_images(0, 2, 3, height, width)
    targets = [sharp, sharp]
    for _ in range(2):
        rows, columns = targets[-1].shape[-2:]
        means = [
            [targets[-1][..., i : i + 2, j : j + 2].mean((-2, -1)) for j in range(0, columns, 2)]
            for i in range(0, rows, 2)
        ]
        targets.append(torch.stack([torch.stack(row, -1) for row in means], -2))
    outputs = tuple(random_images(i + 1, *target.shape) for i, target in enumerate(targets * 2))
    return outputs, sharp, targets * 2


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9), (1, 5)])
@pytest.mark.parametrize(("images", "chosen"), [("all", range(8)), ("three", (0, 2, 3, 4, 6, 7)), ("stages", (0, 4))])
def test_sgenet_loss_matches_each_image_with_its_scale(height, width, images, chosen):
    outputs, sharp, targets = sgenet_outputs(height, width)
    pixels = [np.sqrt((outputs[i] - targets[i]).numpy() ** 2 + 1e-6).mean() for i in chosen]
    edges = [
        np.sqrt((losses.laplacian(outputs[i]) - losses.laplacian(targets[i])).numpy() ** 2 + 1e-6).mean()
        for i in chosen
    ]
    terms = losses.sgenet(outputs, sharp, images=images)
    assert set(terms) == {"charbonnier", "edge"}
    assert float(terms["charbonnier"]) == pytest.approx(sum(pixels), rel=1e-9)
    assert float(terms["edge"]) == pytest.approx(0.05 * sum(edges), rel=1e-9)
    assert float(losses.sgenet(outputs, sharp, images=images, lambda_edge=1.0)["edge"]) == pytest.approx(sum(edges))


def test_sgenet_loss_of_perfect_images_is_its_epsilon():
    _, sharp, targets = sgenet_outputs(8, 12)
    terms = losses.sgenet(tuple(targets), sharp)
    assert float(terms["charbonnier"]) == pytest.approx(8e-3, rel=1e-9)
    assert float(terms["edge"]) == pytest.approx(0.05 * 8e-3, rel=1e-9)
    # An error of one pixel in the middle: e at that pixel, and the kernel of the Laplacian around it.
    wrong = [target.clone() for target in targets]
    wrong[0][0, 0, 4, 6] += 0.5
    gained = float(losses.sgenet(tuple(wrong), sharp)["charbonnier"] - terms["charbonnier"])
    assert gained == pytest.approx(((0.25 + 1e-6) ** 0.5 - 1e-3) / sharp.numel(), rel=1e-6)


def test_sgenet_loss_without_cems_takes_the_stages_outputs():
    sharp = random_images(0, 1, 3, 6, 6)
    terms = losses.sgenet((sharp + 0.1, sharp - 0.2), sharp)
    assert float(terms["charbonnier"]) == pytest.approx((0.01 + 1e-6) ** 0.5 + (0.04 + 1e-6) ** 0.5, rel=1e-9)
    with pytest.raises(ValueError, match=r"'two'.*all, three, stages"):
        losses.sgenet((sharp,), sharp, images="two")


@pytest.mark.parametrize(("variant", "images"), [("paper", 8), ("loss_three", 6), ("cem_unsupervised", 2)])
def test_variants_of_sgenets_loss_come_from_the_recipe(variant, images):
    recipe = recipes.recipe("sgenet", variant)
    _, sharp, targets = sgenet_outputs(4, 4)
    terms = losses.LOSSES[recipe.loss](tuple(targets), sharp, 0.5, **recipe.loss_args)
    assert float(terms["charbonnier"]) == pytest.approx(images * 1e-3, rel=1e-9)


@pytest.mark.parametrize("name", ["attentive", "raidnet", "sgenet", "radn", "simplenet"])
def test_the_geometric_mean_shows_the_loss_and_follows_the_mean_logarithm(name):
    counts = {"attentive": 3, "raidnet": 2, "sgenet": 8}
    sharp = random_images(1, 3, 3, 16, 20)
    sizes = [(16, 20), (8, 10), (4, 5)] if name == "attentive" else [(16, 20)] * counts.get(name, 1)
    if name == "sgenet":
        sizes = [(16, 20)] * 4 + [(8, 10)] * 4
    outputs = tuple(random_images(i, 3, 3, *size).requires_grad_() for i, size in enumerate(sizes, 2))
    plain = losses.LOSSES[name]
    found, ordinary = (loss(outputs, sharp, 0.5) for loss in (losses.geometric(plain), plain))
    assert found.keys() == ordinary.keys()
    for term in found:
        assert found[term].item() == pytest.approx(ordinary[term].item(), rel=1e-9)
    gradients = torch.autograd.grad(sum(found.values()), outputs)
    crops = [sum(plain(tuple(o[i : i + 1] for o in outputs), sharp[i : i + 1], 0.5).values()) for i in range(3)]
    expected = torch.autograd.grad(torch.stack(crops).log().mean(), outputs)
    for gradient, reference in zip(gradients, expected, strict=True):
        assert torch.allclose(gradient, reference, rtol=1e-5, atol=0)  # the logarithm's guard against 0 is 1e-8


def test_the_geometric_mean_hears_every_crop_alike_and_survives_a_perfect_one():
    sharp = torch.zeros(3, 3, 12, 12)
    output = torch.stack([torch.full((3, 12, 12), level) for level in (0.5, 0.005, 0.0)]).requires_grad_()
    (gradient,) = torch.autograd.grad(sum(losses.geometric(losses.srn)((output,), sharp).values()), output)
    relative = (gradient * output).sum((1, 2, 3)).detach()  # what scaling a crop's error changes
    assert relative.tolist() == pytest.approx([2 / 3, 2 / 3, 0], abs=1e-3)


def test_psnr_as_a_loss_is_minus_the_metric():

    sharp = random_images(0, 2, 3, 9, 11)
    restored = (sharp + 0.1 * (random_images(1, 2, 3, 9, 11) - 0.5)).clamp(0, 1)
    scored = [
        metrics.psnr_float_db(r.permute(1, 2, 0).numpy(), s.permute(1, 2, 0).numpy()) for r, s in zip(restored, sharp)
    ]
    found = losses.psnr((restored,), sharp)["psnr"]
    assert float(found) == pytest.approx(-np.mean(scored), abs=1e-3)  # 1e-8 under the logarithm
    assert float(losses.psnr((sharp,), sharp)["psnr"]) == pytest.approx(-80)


@pytest.mark.parametrize("name", list(recipes.BASELINES))
@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_baselines_name_a_loss_that_perfect_outputs_minimise(name, scale):
    recipe = recipes.recipe(name, scale=scale)
    loss = losses.LOSSES[recipe.loss]
    sharp = random_images(0, 1, 3, 16, 16)
    outputs = (sharp, torch.nn.functional.interpolate(sharp, scale_factor=0.5, mode="bilinear"))
    perfect, worse = (
        sum(loss(tuple(o + error for o in outputs), sharp, 0.5, **recipe.loss_args).values()) for error in (0, 0.1)
    )
    assert float(perfect) < float(worse)
