"""What computes on a GPU computes what the CPU does. Skipped where there is none; `make gpu-check` runs it.

`--device cpu` compares the CPU with itself, which tells whether the tests themselves run.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import test_training
import torch
from conftest import redraw
from lightning_fabric import Fabric
from test_deform import problem
from test_models import small

import deblur
from deblur import evaluation, losses, models, recipes, runs, schedules, training
from deblur.data import bench, copies
from deblur.evaluation import complexity, evaluator, metrics
from deblur.models.deform import DeformConv2d, deform_conv2d


@pytest.fixture(scope="module")
def device(request):
    name = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return torch.device(name)


@pytest.fixture(autouse=True)
def without_tf32():
    """Single precision is meant here; TF32 keeps 10 of its 23 bits."""
    kinds = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [kind.allow_tf32 for kind in kinds]
    for kind in kinds:
        kind.allow_tf32 = False
    yield
    for kind, allowed in zip(kinds, before):
        kind.allow_tf32 = allowed


def picture(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ----------------------------------------------------------------------------------------------- networks


def results(network, blurred, device):
    """All outputs, on the CPU in double precision."""
    with torch.no_grad():
        return [output.double().cpu() for output in network.to(device)(blurred.to(device))]


@pytest.mark.parametrize("name", models.NETWORKS)
def test_a_network_restores_what_it_does_on_the_cpu(device, name):
    """In double precision; in single precision rounding is of the order of the CPU's, which redrawn weights amplify.

    TF32 rounds 8,000 times as coarsely.
    """
    network, blurred = redraw(small(name, "paper")).eval(), picture(2, 3, 40, 56)
    rounded = results(network, blurred, "cpu")
    exact = results(network.double(), blurred.double(), "cpu")
    for found, expected in zip(results(network, blurred.double(), device), exact, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    for found, alike, expected in zip(results(network.float(), blurred, device), rounded, exact, strict=True):
        bound = 100 * (alike - expected).abs().max() + 1e-5
        assert (found - expected).abs().max() < bound


@pytest.mark.parametrize("name", models.NETWORKS)
def test_gradients_are_those_of_the_cpu(device, name):
    found, expected = {}, {}
    for where, gradients in (("cpu", expected), (device, found)):
        network = redraw(small(name, "paper")).double().eval().to(where)  # without dropout
        outputs = network(picture(2, 3, 64, 64).double().to(where))
        sum((output - 0.5).square().mean() for output in outputs).backward()
        gradients |= {key: parameter.grad.cpu() for key, parameter in network.named_parameters()}
    for key, gradient in expected.items():
        assert (found[key] - gradient).norm() <= 1e-6 * gradient.norm() + 1e-12, key


@pytest.mark.parametrize("name", models.NETWORKS)
def test_short_floats_train(device, name):
    """Under bfloat16's autocast outputs and gradients are finite, and gradients are there."""
    network = redraw(small(name, "paper")).train().to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        outputs = network(picture(2, 3, 64, 64).to(device))
        loss = sum((output.float() - 0.5).square().mean() for output in outputs)
    loss.backward()
    assert all(torch.isfinite(output).all() for output in outputs)
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_are_those_of_the_cpu(device, name):
    sharp, *outputs = (picture(2, 3, side, side, seed=seed).double() for seed, side in enumerate((64, 64, 32)))
    loss = losses.geometric(losses.LOSSES[name])
    found = loss([output.to(device) for output in outputs], sharp.to(device), 0.9)
    for key, expected in loss(outputs, sharp, 0.9).items():
        torch.testing.assert_close(found[key].cpu(), expected, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------------------- deformable convolution

SHAPES = [
    {"padding": 1},
    {"padding": 0, "count": 1},
    {"padding": 3, "kernel": 5, "stride": 3, "dilation": 2, "height": 11},
    {"padding": 1, "groups": 2},
    {"padding": 1, "groups": 4, "count": 1, "spread": 30.0},
]


@pytest.mark.parametrize("args", SHAPES)
@pytest.mark.parametrize("modulated", [False, True])
def test_deformable_convolution_and_its_gradients(device, args, modulated):
    names = {name: args[name] for name in ("padding", "stride", "dilation") if name in args}
    outcomes = []
    for where in ("cpu", device):
        x, offset, weight, bias, mask = (t.to(where).requires_grad_() for t in problem(**args))
        inputs = [x, offset, weight, bias, *([mask] if modulated else [])]
        y = deform_conv2d(x, offset, weight, bias, mask=mask if modulated else None, **names)
        upstream = torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=where).view_as(y)
        outcomes.append([tensor.cpu() for tensor in (y, *torch.autograd.grad(y, inputs, upstream))])
    for expected, found in zip(*outcomes, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_deformable_convolution_in_single_precision(device):
    x, offset, weight, bias, mask = problem(2, 32, 32, 48, 48, dtype=torch.float32, padding=1)
    expected = deform_conv2d(x, offset, weight, bias, mask=mask, padding=1)
    found = deform_conv2d(*(t.to(device) for t in (x, offset, weight, bias)), mask=mask.to(device), padding=1)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-3)


def test_offsets_far_outside_see_nothing(device):
    x, offset, weight, bias, _ = (tensor.to(device) for tensor in problem(padding=1))
    far = torch.full_like(offset, 1e6)
    found = deform_conv2d(x, far, weight, bias, padding=1)
    assert torch.equal(found, bias.view(-1, 1, 1).expand_as(found))


def test_autocast_restores_the_type(device):
    module, x = redraw(DeformConv2d(4, 3, modulated=True)).to(device), picture(2, 4, 6, 6).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert module(x.bfloat16()).dtype == torch.bfloat16
        found = module(x)
    assert found.dtype == torch.float32
    found.square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


# ------------------------------------------------------------------------------------------------ exposures


@pytest.fixture(scope="module")
def photographs():
    source = bench.Photographs()
    scene = torch.nn.functional.interpolate(picture(1, 3, 60, 80), size=(480, 640), mode="bilinear")
    source.__dict__["scenes"] = [(255 * scene[0]).to(torch.uint8)]
    return source


def off_by_a_rounding(found, expected):
    """Single precision differs in its last bit, which moves a rounded value here and there."""
    difference = (found.cpu().double() - expected.double()).abs()
    return difference.max() < 1.5 and (difference > 0.5).double().mean() < 0.01


@pytest.mark.parametrize("kind", dict.fromkeys(bench.KIND_CYCLE))
def test_a_shot_is_exposed_as_on_the_cpu(device, photographs, monkeypatch, kind):
    monkeypatch.setattr(bench, "KIND_CYCLE", (kind,))
    for seed in range(4):
        shot = photographs.shot(np.random.default_rng(seed), 96, 0.25)
        (blurred, sharp), (expected, expected_sharp) = shot.to(device).expose(), shot.expose()
        assert blurred.device.type == device.type
        assert off_by_a_rounding(blurred, expected)
        assert torch.equal(sharp.cpu(), expected_sharp)
        assert not torch.equal(expected, expected_sharp)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_exposed_as_on_the_cpu(device, photographs, workers):
    how = (photographs, 64, 16, 0, 0.25, ("flip_ud", "flip_lr", "rot90"))
    torch.zeros(1, device=device)  # as in a training, where the device is in use before the loader starts
    found, expected = (next(bench.Batches(*how, device=d).loader(3, 5, workers)) for d in (device, "cpu"))
    assert found[0].device.type == device.type
    assert off_by_a_rounding(255 * found[0], 255 * expected[0])
    assert torch.equal(found[1].cpu(), expected[1])


# ------------------------------------------------------------------------------------------------- training


def on(device, precision="32-true"):
    return Fabric(accelerator=device.type, devices=1, precision=precision)


def losses_of(name, device, photographs, precision="32-true"):
    """The losses of three steps of a network at smoke size, on crops that the device exposes."""
    few = recipes.recipe(name, scale="smoke")
    few = replace(few, steps=3, lr=1e-4, log_every=1, precision=precision, crop=64, workers=1)
    torch.manual_seed(0)
    batches = bench.Batches(photographs, few.crop, few.batch, 0, device=device, steps=few.steps)
    loss = losses.geometric(partial(losses.LOSSES[few.loss], **few.loss_args))
    network, keeper = small(name, "paper"), Kept()
    training.train(network, loss, schedules.constant, few, batches, keeper, fabric=on(device, precision))
    assert next(network.parameters()).device.type == device.type
    return [row["loss"] for row in keeper.log]


class Kept:
    """Keeps the log in memory."""

    def resume(self, fabric, state):
        self.log = state["log"]

    def keep(self, fabric, state):
        self.log = state["log"]

    finish = keep


@pytest.mark.parametrize("name", ["attentive", "radn", "simplenet", "sgenet", "raidnet"])
def test_steps_of_a_training_are_those_of_the_cpu(device, photographs, name):
    expected = losses_of(name, torch.device("cpu"), photographs)
    found, short = (losses_of(name, device, photographs, precision) for precision in ("32-true", "bf16-mixed"))
    np.testing.assert_allclose(found, expected, rtol=5e-3)
    np.testing.assert_allclose(short[0], expected[0], rtol=0.05)
    assert np.isfinite(short).all()


def test_a_training_interrupted_and_continued_ends_alike(device, tmp_path):
    """On the device, and there begun and ended on the CPU; sums in another order may differ in their last bits."""
    test_training.run(tmp_path / "whole", fabric=on(torch.device("cpu")))
    for name, last in (("same", device), ("other", torch.device("cpu"))):
        with pytest.raises(KeyboardInterrupt):
            test_training.run(tmp_path / name, fabric=on(device), on_step=test_training.raising_at(8))
        assert torch.load(tmp_path / name / "state.pt", map_location="cpu")["step"] == 6
        test_training.run(tmp_path / name, fabric=on(last))
        weights = (test_training.load_file(tmp_path / run / "model.safetensors") for run in (name, "whole"))
        found, expected = weights
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-4)


def test_a_command_trains_and_scores(device, mini_root):
    plan = runs.Plan(copies.open_data(mini_root), "attentive", scale="smoke")
    runs.train_one(plan)
    run = runs.Run(plan)
    used = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with runs.train.one_thread(used):
        assert run.provenance["device"] == complexity.device_name(used)
    assert np.isfinite(run.scores()["psnr_db"]).all()


# --------------------------------------------------------------------------------------------------- scores


def test_scores_are_those_of_the_cpu(device, mini_root):
    network, pairs = redraw(small("attentive", "paper")), copies.open_data(mini_root).pairs("test", 3)
    (found, expected) = (
        evaluator.score_stack(evaluation.restorer(network, d), pairs, d.type) for d in (device, torch.device("cpu"))
    )
    for row, right in zip(found, expected, strict=True):
        assert row["psnr_float_db"] == pytest.approx(right["psnr_float_db"], abs=1e-3)
        for name in ("psnr_db", "ssim_gauss_rgb", "ssim_matlab_volume"):
            assert row[name] == pytest.approx(right[name], abs=1e-2)


@pytest.mark.parametrize("tile", [None, 208])
def test_a_photo_is_restored_as_on_the_cpu(device, tile):
    """`restore` takes CUDA by itself, where there is one."""
    network, image = small("attentive", "paper").eval(), (255 * picture(260, 90, 3)).byte().numpy()
    found = deblur.restore(image, network, tile=tile).astype(int)
    assert next(network.parameters()).is_cuda == torch.cuda.is_available()
    expected = metrics.to_uint8(evaluation.restorer(network)(image)).astype(int)
    difference = np.abs(found - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.05
