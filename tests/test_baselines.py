"""The baselines against published counts, closed forms and forms written out patch by patch or term by term."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import MobileNetV2

from deblur import models, recipes
from deblur.data import loading
from deblur.evaluation.complexity import macs, on_meta, parameters, sizes
from deblur.models import dbgan, deblurgan, deblurgan_v2, dmphn, mimounet, mprnet, mscnn, mtrnn, nafnet, pss_nsc
from deblur.schedules import SCHEDULES

# name -> parameters here, in millions as published (None: no source that holds)
COUNTS = {
    "dmphn": (7_232_524, 7.232524),
    "dmphn_stack4": (21_697_572, 21.697572),
    "mscnn": (11_721_321, 11.7),
    "pss_nsc": (3_871_715, None),
    "deblurgan": (11_372_931, 11.378179),  # with biases that normalisations cancel
    "deblurgan_v2": (2_106_147, 3.3),  # with blocks of the backbone that nothing depends on
    "deblurgan_v2_inception": (35_839_139, 60.9),  # likewise
    "dbgan": (11_588_163, 11.6),
    "mprnet": (20_127_073, 20.127073),
    "mimounet": (6_807_171, 6.81),
    "mimounet_plus": (16_107_651, 16.107651),
    "mtrnn": (2_635_523, 2.6),
    "svrnn": (9_227_027, 9.227027),
    "dbn": (15_305_291, 15.305291),
    "nafnet": (17_111_907, 17.11),
    "nafnet_64": (67_888_835, 67.89),
    "maxim": (22_207_605, 22.2),
}


def small(name, **overrides):
    """At smoke size, every parameter drawn at random."""
    config = recipes.recipe(name, scale="smoke").config
    return redraw(models.build(name, **(config | overrides))).eval()


def conv(cin, cout, kernel, bias=True):
    return kernel**2 * cin * cout + bias * cout


# -------------------------------------------------------------------------------------------------- all of them


def test_every_baseline_is_here():
    assert set(COUNTS) == set(recipes.BASELINES) <= set(models.NETWORKS)


@pytest.mark.parametrize(("name", "here", "published"), [(name, *counts) for name, counts in COUNTS.items()])
def test_parameter_counts(name, here, published):
    assert parameters(on_meta(name)) == here
    if published and not name.startswith("deblurgan"):
        digits = len(str(published).split(".")[1])
        assert abs(round(here / 1e6, digits) - published) < 1.5 * 10**-digits


@pytest.mark.parametrize(("name", "printed_mb"), [("dmphn", 29.01), ("dmphn_stack4", 86.8)])
def test_printed_sizes(name, printed_mb):
    assert sizes(parameters(on_meta(name)))["size_mb"] == pytest.approx(printed_mb, abs=0.1)


@pytest.mark.parametrize("scale", ["mini", "smoke"])
@pytest.mark.parametrize("name", COUNTS)
def test_the_short_recipes_start_at_the_identity(name, scale):
    network = models.build(name, **recipes.recipe(name, scale=scale).config).eval()
    blurred = torch.rand(2, 3, 21, 34)
    with torch.no_grad():
        outputs = network(blurred)
    for output in outputs:
        if output.shape == blurred.shape:
            torch.testing.assert_close(output, blurred, rtol=0, atol=1e-5)
        assert float(output.mean()) == pytest.approx(float(blurred.mean()), abs=0.05)  # coarser outputs are images too


@pytest.mark.parametrize("name", COUNTS)
def test_the_identity_start_learns(name):
    """One step of gradient descent from the identity lowers the loss."""
    torch.manual_seed(0)
    network = models.build(name, **recipes.recipe(name, scale="mini").config).eval()
    blurred = torch.rand(1, 3, 32, 32)
    sharp = blurred * 0.8
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)
    before = F.mse_loss(network(blurred)[0], sharp)
    before.backward()
    optimiser.step()
    assert F.mse_loss(network(blurred)[0], sharp) < before


@pytest.mark.parametrize("name", COUNTS)
def test_weights_are_saved_once_and_loaded_strictly(name, tmp_path):
    network = small(name)
    save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, tmp_path / "w.safetensors")
    other = models.build(name, **recipes.recipe(name, scale="smoke").config).eval()
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    blurred = torch.rand(1, 3, 17, 9)
    with torch.no_grad():
        assert torch.equal(network(blurred)[0], other(blurred)[0])


@pytest.mark.parametrize("name", COUNTS)
def test_an_unknown_start_is_refused(name):
    with pytest.raises(ValueError, match=r"unknown init 'zero'; choose .* or identity"):
        models.build(name, init="zero")


def test_networks_that_add_to_the_blurred_image():
    """With a last convolution of zeros these return their input, whatever the rest holds; the others do not."""
    residual = {
        "pss_nsc",
        "deblurgan",
        "deblurgan_v2",
        "deblurgan_v2_inception",
        "dbgan",
        "mprnet",
        "mimounet",
        "mimounet_plus",
        "mtrnn",
        "nafnet",
        "nafnet_64",
        "maxim",
    }
    blurred = torch.rand(1, 3, 19, 30)
    for name in COUNTS:
        network = small(name)
        tails = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels in (1, 3)]
        with torch.no_grad():
            for tail in tails:
                tail.weight.zero_()
                if tail.bias is not None:
                    tail.bias.zero_()
            same = torch.allclose(network(blurred)[0], blurred, atol=1e-6)
        assert same == (name in residual), name


# ---------------------------------------------------------------------- the recipes, as their authors ran them


def paper(name):
    return recipes.recipe(name, scale="paper")


def rates(name, *steps):
    recipe = paper(name)
    return [SCHEDULES[recipe.schedule](recipe.lr, step, recipe.steps, **recipe.schedule_args) for step in steps]


GOPRO = 2103
"""Training pairs."""


@pytest.mark.parametrize(
    ("name", "batch", "steps"),
    [
        ("dmphn", 6, 3000 * -(-GOPRO // 6)),  # the last batch of an epoch is smaller
        ("dmphn_stack4", 6, 3000 * -(-GOPRO // 6)),
        ("mscnn", 2, 450 * 4000 // 2),  # as many samples as the authors' code takes in batches of 4
        ("pss_nsc", 16, 4000 * (GOPRO // 16)),  # that of SRN, whose code drops the rest of an epoch
        ("deblurgan", 1, 300 * 1000),
        ("mprnet", 16, 3000 * -(-GOPRO // 16)),
        ("svrnn", 20, 200_000),
        ("dbn", 64, 80_000),
        ("nafnet", 32, 200_000),
        ("nafnet_64", 64, 400_000),
    ],
)
def test_epochs_and_batches(name, batch, steps):
    assert (paper(name).batch, paper(name).steps) == (batch, steps)


def test_augmentations():
    changes = {name: set(paper(name).augment) for name in recipes.BASELINES}
    changes["srn"] = set(recipes.recipe("srn", scale="paper").augment)
    assert not any(changes[name] for name in ("dmphn", "pss_nsc", "svrnn", "srn"))
    assert changes["dmphn_stack4"] == {"turn", "saturation"}
    assert changes["deblurgan"] == {"flip_lr"}
    flips = {"flip_ud", "flip_lr", "rot90"}
    assert changes["nafnet"] == changes["nafnet_64"] == changes["maxim"] == flips
    assert changes["mscnn"] == flips | {"channels", "hsv_saturation", "noise", "sharp_input"}
    assert paper("mscnn").augment[-1] == "noise"  # a sharp input gets it too
    every = [recipe for by_scale in recipes.RECIPES.values() for recipe in by_scale.values()]
    assert set().union(*(recipe.augment for recipe in every)) == set(loading.AUGMENTATIONS)


def test_optimisers():
    for name in recipes.BASELINES:
        wide = name.startswith("nafnet")
        betas = {"deblurgan": (0.5, 0.999), "nafnet": (0.9, 0.9), "nafnet_64": (0.9, 0.9)}.get(name, (0.9, 0.999))
        assert paper(name).betas == betas
        assert paper(name).weight_decay == (1e-3 if wide else 0)
        assert paper(name).clip_norm == ({"": 0.01} if wide else {})
    assert recipes.recipe("srn", scale="paper").clip_norm == {"lstm": 3.0}


def test_learning_rates():
    assert rates("dmphn", 0, 351_000 - 1, 351_000, 702_000) == pytest.approx([1e-4, 1e-4, 1e-5, 1e-6])
    assert rates("mscnn", 0, 299_999, 300_000, 600_000) == pytest.approx([5e-5, 5e-5, 5e-6, 5e-7])
    assert rates("deblurgan", 0, 149_999, 225_000, 299_999) == pytest.approx([1e-4, 1e-4, 5e-5, 1e-4 / 150_000])
    assert rates("mprnet", 0, 131, 395, 396) == pytest.approx([2e-4 / 396, 2e-4 / 3, 2e-4, 2e-4])
    assert rates("mprnet", 395_999)[0] == pytest.approx(1e-6, rel=1e-6)
    assert rates("nafnet_64", 0, 399_999) == pytest.approx([1e-3, 1e-7], rel=1e-3)


# ---------------------------------------------------------------------------------------------------------- DMPHN


@pytest.mark.parametrize(("rows", "columns"), dmphn.GRIDS)
def test_split_and_join(rows, columns):
    image = torch.rand(2, 3, 8, 12)
    patches = dmphn.split(image, rows, columns)
    h, w = 8 // rows, 12 // columns
    for n in range(2):
        for r in range(rows):
            for c in range(columns):
                expected = image[n, :, r * h : (r + 1) * h, c * w : (c + 1) * w]
                assert torch.equal(patches[(n * rows + r) * columns + c], expected)
    assert torch.equal(dmphn.join(patches, rows, columns), image)


def test_dmphn_level_count():
    def body(c):
        return 4 * conv(c, c, 3)

    level = 2 * (body(32) + body(64) + body(128)) + conv(3, 32, 3) + conv(32, 64, 3) + conv(64, 128, 3)
    level += 16 * 128 * 64 + 64 + 16 * 64 * 32 + 32 + conv(32, 3, 3)
    assert level == 1_808_131
    assert COUNTS["dmphn"][0] == 4 * level
    assert COUNTS["dmphn_stack4"][0] == 4 * 3 * level


def written_out(hierarchy, image):
    """The hierarchy 1-2-4-8 with a name for every patch, as the paper's figure draws it."""
    (e1, d1), (e2, d2), (e3, d3), (e4, d4) = ((level.encoder, level.decoder) for level in hierarchy.levels)
    h, w = image.shape[-2] // 4, image.shape[-1] // 2
    top, bottom = image[..., : 2 * h, :], image[..., 2 * h :, :]
    quarters = [half[..., :w] if left else half[..., w:] for half in (top, bottom) for left in (True, False)]

    residuals, features4 = [], []
    for quarter in quarters:
        both = torch.cat([e4(quarter[..., :h, :]), e4(quarter[..., h:, :])], 2)
        features4.append(both)
        residuals.append(d4(both))
    features3 = [e3(quarter + residual) + f for quarter, residual, f in zip(quarters, residuals, features4)]
    top3, bottom3 = torch.cat(features3[:2], 3), torch.cat(features3[2:], 3)
    top2, bottom2 = e2(top + d3(top3)) + top3, e2(bottom + d3(bottom3)) + bottom3
    features2 = torch.cat([top2, bottom2], 2)
    return d1(e1(image + d2(features2)) + features2)


def test_dmphn_written_out():
    network = small("dmphn", widths=(4, 4, 4), init="normal")
    image = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(image)[0], written_out(network.hierarchy, image - 0.5) + 0.5)


def test_dmphn_never_resizes_the_image_and_encodes_patches_apart():
    level = dmphn.Level((4, 4, 4), 1)
    image = torch.rand(1, 3, 32, 16)
    changed = image.clone()
    changed[..., :8, :8] += 1
    with torch.no_grad():
        before, after = (dmphn.join(level.encoder(dmphn.split(x, 4, 2)), 4, 2) for x in (image, changed))
    moved = (before != after).any(1)[0]
    assert moved[:2, :2].all()
    assert not moved[2:].any()
    assert not moved[:, 2:].any()


def test_stack_written_out():
    """Three levels, two hierarchies, with the links between them."""
    network = small("dmphn_stack4", widths=(4, 4, 4), init="normal")
    first, second = network.stack
    image = torch.rand(1, 3, 16, 24) - 0.5

    def encode(hierarchy, number, x):
        grid = dmphn.GRIDS[number]
        return dmphn.join(hierarchy.levels[number].encoder(dmphn.split(x, *grid)), *grid)

    def decode(hierarchy, number, x):
        grid = dmphn.GRIDS[max(number - 1, 0)]
        return dmphn.join(hierarchy.levels[number].decoder(dmphn.split(x, *grid)), *grid)

    with torch.no_grad():
        a3 = encode(first, 2, image)
        a2 = encode(first, 1, image + decode(first, 2, a3)) + a3
        a1 = encode(first, 0, image + decode(first, 1, a2)) + a2
        restored1 = decode(first, 0, a1)
        b3 = encode(second, 2, restored1) + a3
        b2 = encode(second, 1, restored1 + decode(second, 2, b3)) + b3 + a2
        b1 = encode(second, 0, restored1 + decode(second, 1, b2) + restored1) + b2 + a1
        restored2 = decode(second, 0, b1)
        outputs = network(image + 0.5)
    torch.testing.assert_close(outputs[0], restored2 + 0.5)
    torch.testing.assert_close(outputs[1], restored1 + 0.5)


# ------------------------------------------------------------------------------------------------ MSCNN, PSS-NSC


def test_mscnn_count():
    body = 38 * conv(64, 64, 5) + conv(64, 3, 5)
    assert COUNTS["mscnn"][0] == 3 * body + conv(3, 64, 5) + 2 * conv(6, 64, 5) + 2 * conv(3, 12, 5)


def test_mscnn_written_out():
    network = small("mscnn")
    image = torch.rand(1, 3, 16, 24)
    half = F.avg_pool2d(image, 2)
    quarter = F.avg_pool2d(half, 2)
    with torch.no_grad():
        r3 = network.scales[2](quarter - 0.5)
        r2 = network.scales[1](torch.cat([half - 0.5, F.pixel_shuffle(network.ups[1][0](r3), 2)], 1))
        r1 = network.scales[0](torch.cat([image - 0.5, F.pixel_shuffle(network.ups[0][0](r2), 2)], 1))
        for output, expected in zip(network(image), (r1, r2, r3), strict=True):
            torch.testing.assert_close(output, expected + 0.5)


def test_mscnn_shares_nothing():
    network = models.build("mscnn", width=4, kernel=3, blocks=1)
    assert len({id(parameter) for parameter in network.parameters()}) == len(list(network.scales.parameters())) + 4


def test_pss_nsc_counts_of_shared_and_own_layers():
    network = on_meta("pss_nsc")
    shared = parameters(network.encoders) + parameters(network.decoders)
    own = parameters(network.scales[0])
    assert shared == 2 * sum(8 * conv(c, c, 3) for c in (32, 64, 128)) == 3_100_160
    assert own == 257_185
    assert COUNTS["pss_nsc"][0] == shared + 3 * own
    assert parameters(on_meta("pss_nsc", blocks=3)) == 3_096_675


def test_pss_nsc_modules_are_nested_and_used_by_all_scales():
    module = redraw(pss_nsc.NestedSkip(4, 4))
    x = torch.rand(1, 4, 6, 6)
    found = [x]
    with torch.no_grad():
        for residual in module.residuals:
            first, _, second = residual
            found.append(second(F.relu(first(sum(found)))))
        torch.testing.assert_close(module(x), sum(found))

    calls = []
    network = small("pss_nsc")
    for kept in (*network.encoders, *network.decoders):
        kept.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        network(torch.rand(1, 3, 16, 16))
    assert len(calls) == 6 * 3 * 2  # modules x scales x repeats


def test_pss_nsc_restores_colours_one_by_one():
    network = small("pss_nsc")
    blurred = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        outputs, turned = network(blurred), network(blurred.flip(1))
    for output, other in zip(outputs, turned, strict=True):
        torch.testing.assert_close(output.flip(1), other, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- GANs


def test_deblurgan_counts_with_the_biases_that_normalisation_cancels():
    here = COUNTS["deblurgan"][0]
    biases = 64 + 128 + 256 + 9 * 2 * 256 + 128 + 64
    assert here + biases == 11_378_179
    one_convolution = here - 9 * conv(256, 256, 3, bias=False) + biases - 9 * 256
    assert one_convolution == 6_067_459


def test_a_bias_before_instance_normalisation_changes_nothing():
    layer = nn.Conv2d(3, 4, 3, padding=1)
    norm = nn.InstanceNorm2d(4)
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        before = norm(layer(x))
        layer.bias += 3
        torch.testing.assert_close(norm(layer(x)), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["deblurgan", "deblurgan_v2", "deblurgan_v2_inception"])
def test_corrections_are_bounded_by_the_tanh(name):
    network = small(name)
    blurred = torch.rand(1, 3, 33, 40)
    with torch.no_grad():
        network.tail.weight.mul_(100)
        correction = network(blurred)[0] - blurred
    assert 0.4 < correction.abs().max() <= 0.5 + 1e-6


def test_deblurgan_drops_out_in_training_only():
    network = small("deblurgan")
    blurred = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(blurred)[0], network(blurred)[0])
        network.train()
        assert not torch.equal(network(blurred)[0], network(blurred)[0])
        assert isinstance(network.body[0], deblurgan.ResBlock)


def test_deblurgan_v2_counts_with_what_no_output_depends_on():
    with torch.device("meta"):
        unused = parameters(MobileNetV2().features[16:])
    biases = 3 * 128 + 64 + 32
    assert COUNTS["deblurgan_v2"][0] + unused + biases == 3_312_707
    assert f"{3_312_707 / 1e6:.1f}" == "3.3"


def test_inception_resnet_counts_with_what_no_output_depends_on():
    """Its last ten blocks look 1x3 and 3x1, then 1536 features classify."""
    block = conv(2080, 192, 1, False) + conv(2080, 192, 1, False) + 3 * 192 * 224 + 3 * 224 * 256 + conv(448, 2080, 1)
    norms = 2 * (192 + 192 + 224 + 256)
    unused = 10 * (block + norms) + conv(2080, 1536, 1, False) + 2 * 1536 + 1536 * 1000 + 1000
    biases = 3 * 256 + 128 + 64
    assert unused == 25_089_192
    assert COUNTS["deblurgan_v2_inception"][0] + unused + biases == 60_929_291
    assert unused + parameters(on_meta("deblurgan_v2_inception").backbone) == 55_843_464  # as classifiers are counted


def test_inception_pyramid():
    network = on_meta("deblurgan_v2_inception").eval()
    shapes, x = [], torch.empty(1, 3, 256, 256, device="meta")
    for stage in network.backbone:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 127, 127), (64, 62, 62), (192, 29, 29), (1088, 14, 14), (2080, 6, 6)]
    half, maps = network.pyramid(torch.empty(1, 3, 256, 256, device="meta"))
    assert tuple(half.shape) == (1, 128, 128, 128)
    assert [tuple(m.shape) for m in maps] == [(1, 256, size, size) for size in (64, 32, 16, 8)]


@pytest.mark.parametrize("multiple", [4, 5, 9])
def test_what_reflection_fills_up_halves_from_stage_to_stage(multiple):
    network = small("deblurgan_v2_inception").to("meta")
    half, maps = network.pyramid(torch.empty(1, 3, 32 * multiple, 128, device="meta"))
    assert [tuple(m.shape[-2:]) for m in (half, *maps)] == [(2**i * multiple, 2**i * 4) for i in (4, 3, 2, 1, 0)]


def test_an_inception_block_adds_a_fraction_of_its_branches():
    network = small("deblurgan_v2_inception")
    for stage, first, scale in ((3, 1, 0.17), (4, 0, 0.10)):
        block = network.backbone[stage][first]
        x = torch.rand(1, block.join.out_channels, 5, 6)
        with torch.no_grad():
            said = F.conv2d(torch.cat([branch(x) for branch in block.branches], 1), block.join.weight, block.join.bias)
            torch.testing.assert_close(block(x), (x + scale * said).clamp(min=0))


def test_small_images_are_padded_for_the_unpadded_layers():
    network = small("deblurgan_v2_inception")
    sizes = {(1, 1): (128, 128), (96, 200): (128, 256), (97, 97): (128, 128), (97, 130): (128, 160)}
    for size, padded in sizes.items():
        assert tuple(network.padded(torch.rand(1, 3, *size)).shape[-2:]) == padded


def test_deblurgan_v2_pyramid():
    network = on_meta("deblurgan_v2").eval()
    shapes, x = [], torch.empty(1, 3, 256, 256, device="meta")
    for stage in network.backbone:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 128, 128), (24, 64, 64), (32, 32, 32), (64, 16, 16), (160, 8, 8)]
    half, maps = network.pyramid(torch.empty(1, 3, 256, 256, device="meta"))
    assert tuple(half.shape) == (1, 64, 128, 128)
    assert [tuple(m.shape) for m in maps] == [(1, 128, size, size) for size in (64, 32, 16, 8)]


def test_deblurgan_v2_mixes_from_coarse_to_fine():
    network = small("deblurgan_v2")
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        e, x = [], image
        for stage in network.backbone:
            x = stage(x)
            e.append(x)
        lateral = [layer(x) for layer, x in zip(network.laterals, e)]

        def up(x, factor=2):
            return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)

        m4 = lateral[4]
        m3 = network.mix[0](lateral[3] + up(m4))
        m2 = network.mix[1](lateral[2] + up(m3))
        m1 = network.mix[2](lateral[1] + up(m2))
        half, maps = network.pyramid(image)
    for found, expected in zip((half, *maps), (lateral[0], m1, m2, m3, m4), strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.equal(deblurgan_v2.twice(m4, 4), up(m4, 4))


def test_dbgan_count():
    dense = sum(conv(64 + 32 * i, 32, 3) for i in range(4)) + conv(64 + 128, 64, 3)
    assert COUNTS["dbgan"][0] == 16 * 3 * dense + conv(3, 64, 3) + 2 * conv(64, 64, 3) + conv(64, 3, 3)


def test_dense_blocks_and_their_scaling():
    block = redraw(dbgan.DenseBlock(6, 3))
    x = torch.rand(2, 6, 7, 5)
    with torch.no_grad():
        grown = x
        for layer in block.convs[:4]:
            y = layer(grown)
            grown = torch.cat([grown, torch.where(y > 0, y, 0.2 * y)], 1)
        torch.testing.assert_close(block(x), x + 0.2 * block.convs[4](grown))
        rrdb = redraw(dbgan.RRDB(6, 3))
        inner = rrdb.dense[2](rrdb.dense[1](rrdb.dense[0](x)))
        torch.testing.assert_close(rrdb(x), x + 0.2 * inner)


def test_dbgan_works_at_full_size_throughout():
    """No strides: far from the borders it commutes with any shift."""
    network = small("dbgan")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        moved = network(image[..., 1:, 1:])[0]
        torch.testing.assert_close(moved[..., 24:-24, 24:-24], network(image)[0][..., 25:-24, 25:-24])


# -------------------------------------------------------------------------------------------------------- MPRNet


def test_mprnet_written_out_patch_by_patch():
    network = small("mprnet")
    image = torch.rand(1, 3, 16, 24)
    top, bottom = image[..., :8, :], image[..., 8:, :]

    def cat(features, dim):
        return [torch.cat(level, dim) for level in zip(*features)]

    with torch.no_grad():
        halves1, images1, passed1 = [], [], []
        for half in (top, bottom):
            parts = (half[..., :12], half[..., 12:])
            encoded = cat([network.encoders[0](network.shallow[0](part)) for part in parts], 3)
            decoded = network.decoders[0](encoded)
            passed, restored = network.sams[0](decoded[0], half)
            halves1.append((encoded, decoded))
            images1.append(restored)
            passed1.append(passed)
        encoded2 = []
        for half, passed, (encoded, decoded) in zip((top, bottom), passed1, halves1):
            x = network.joins[0](torch.cat([network.shallow[1](half), passed], 1))
            encoded2.append(network.encoders[1](x, encoded, decoded))
        encoded2 = cat(encoded2, 2)
        decoded2 = network.decoders[1](encoded2)
        passed2, image2 = network.sams[1](decoded2[0], image)
        x = network.joins[1](torch.cat([network.shallow[2](image), passed2], 1))
        image3 = network.tail(network.orsnet(x, encoded2, decoded2)) + image
        outputs = network(image)
    for found, expected in zip(outputs, (image3, image2, torch.cat(images1, 2)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_mprnet_learns_one_slope_for_all_activations():
    network = small("mprnet")
    slopes = [name for name, parameter in network.named_parameters() if parameter.numel() == 1]
    assert slopes == ["act.weight"]
    assert [name for name in network.state_dict() if name.startswith("act")] == ["act.weight"]
    blurred = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        before = network(blurred)
        network.act.weight += 0.5
        assert not any(torch.equal(a, b) for a, b in zip(before, network(blurred)))


def test_channel_attention_block():
    act = nn.PReLU()
    block = redraw(mprnet.CAB(8, 4, act))
    x = torch.rand(2, 8, 5, 6)
    with torch.no_grad():
        y = block.conv1(x)
        y = block.conv2(torch.where(y > 0, y, act.weight * y))
        squeezed = np.einsum("oc,nc->no", block.squeeze.weight[..., 0, 0].numpy(), y.mean((2, 3)).numpy())
        weight = block.excite.weight[..., 0, 0].numpy() @ np.maximum(squeezed, 0)[..., None]
        expected = x.numpy() + y.numpy() / (1 + np.exp(-weight[..., None]))
        np.testing.assert_allclose(block(x).numpy(), expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------------ MIMO-UNet


def test_mimounet_predicts_residuals_of_every_second_pixel():
    network = small("mimounet")
    blurred = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        for layer in network.images:
            layer.weight.zero_()
            layer.bias.zero_()
        full, half, quarter = network(blurred)
    assert torch.equal(full, blurred)
    assert torch.equal(half, blurred[..., ::2, ::2])
    assert torch.equal(quarter, blurred[..., ::4, ::4])


def test_mimounet_plus_is_mimounet_with_more_blocks():
    per_block = sum(2 * 2 * conv(c, c, 3) for c in (32, 64, 128))  # encoder and decoder
    assert COUNTS["mimounet_plus"][0] - COUNTS["mimounet"][0] == 12 * per_block
    assert models.config("mimounet_plus") != models.config("mimounet")
    assert parameters(on_meta("mimounet_plus", blocks=8)) == COUNTS["mimounet"][0]


def test_mimounet_plus_drops_channels_in_training_only():
    network = small("mimounet_plus", dropout=0.5)
    blurred = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(blurred)[0], network(blurred)[0])
        network.train()
        assert len({network(blurred)[0].sum().item() for _ in range(5)}) > 1


def test_mimounet_modules():
    fam = redraw(mimounet.FAM(4))
    scm = redraw(mimounet.SCM(8))
    x, y, image = torch.rand(1, 4, 6, 6), torch.rand(1, 4, 6, 6), torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(fam(x, y), x + F.conv2d(x * y, fam.merge[0].weight, fam.merge[0].bias, padding=1))
        z = image
        for i, padding in enumerate((1, 0, 1, 0)):
            layer = scm.body[i][0]
            z = F.relu(F.conv2d(z, layer.weight, layer.bias, padding=padding))
        assert z.shape[1] == 8 - 3
        merged = F.conv2d(torch.cat([image, z], 1), scm.merge[0].weight, scm.merge[0].bias)
        torch.testing.assert_close(scm(image), merged)


# --------------------------------------------------------------------------------------------------------- MT-RNN


def test_mtrnn_iterates_one_network():
    assert parameters(on_meta("mtrnn", iterations=1)) == COUNTS["mtrnn"][0]
    three, two = small("mtrnn", iterations=3), small("mtrnn", iterations=2)
    blurred = torch.rand(1, 3, 18, 21)
    with torch.no_grad():
        outputs = three(blurred)
        assert len(outputs) == 3
        for longer, shorter in zip(outputs[1:], two(blurred), strict=True):
            assert torch.equal(longer, shorter)  # the first iterations are the same, the last one comes first


def test_mtrnn_hands_result_and_features_on():
    network = small("mtrnn")
    image = torch.rand(1, 3, 16, 16) - network.mean
    with torch.no_grad():
        result, features = network.iterate(image, image, None)
        assert [tuple(f.shape[-2:]) for f in features] == [(8, 8), (4, 4)]
        again, _ = network.iterate(image, result, features)
        torch.testing.assert_close(network(image + network.mean)[0], again + network.mean)
        for changed in ((torch.zeros_like(features[0]), features[1]), (features[0], torch.zeros_like(features[1]))):
            assert not torch.allclose(network.iterate(image, result, changed)[0], again)
    assert isinstance(network.enc2, mtrnn.Level)


def test_the_mean_colour_is_a_constant():
    network = models.build("mtrnn")
    assert "mean" not in network.state_dict()
    assert network.mean.flatten().tolist() == pytest.approx(mtrnn.MEAN)


# --------------------------------------------------------------------------------------------------------- NAFNet


@pytest.mark.parametrize(("name", "width", "printed"), [("nafnet", 32, 16), ("nafnet_64", 64, 65)])
def test_nafnet_cost_as_published(name, width, printed):
    """And layer by layer; the paper's counter adds elementwise work, which is 3 % at width 64."""
    levels = [(width * 2**i, (256 // 2**i) ** 2) for i in range(5)]
    blocks = sum(n * (p * (6 * c**2 + 18 * c) + c**2) for n, (c, p) in zip((2, 2, 2, 29, 1), levels))
    between = sum(2 * p * 8 * c**2 for (c, _), (_, p) in pairwise(levels))
    assert macs(on_meta(name), 256, 256) == blocks + between + 2 * 27 * width * 256**2
    assert macs(on_meta(name), 256, 256) / 1e9 == pytest.approx(printed, rel=0.031)


def test_nafnet_block_term_by_term():
    block = redraw(nafnet.NAFBlock(4))
    x = torch.rand(2, 4, 5, 6)

    def norm(x, layer):
        mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        weight, bias = layer.weight[:, None, None], layer.bias[:, None, None]
        return (x - mean) / (var + 1e-6).sqrt() * weight + bias

    def gate(x):
        return x[:, :4] * x[:, 4:]

    with torch.no_grad():
        y = gate(block.depthwise(block.widen1(norm(x, block.norm1))))
        y = block.narrow1(y * block.attention(y.mean((2, 3), keepdim=True)))
        z = x + block.beta * y
        expected = z + block.gamma * block.narrow2(gate(block.widen2(norm(z, block.norm2))))
        torch.testing.assert_close(block(x), expected)


def test_nafnet_has_no_activations_and_starts_without_blocks():
    network = models.build("nafnet", width=4, encoder=(1, 1, 1, 1), init="pytorch")
    kinds = {type(module) for module in network.modules()}
    kinds -= {nafnet.NAFNet, nafnet.NAFBlock, nafnet.LayerNorm2d, nn.ModuleList, nn.Sequential}
    assert kinds == {nn.Conv2d, nn.PixelShuffle}
    x = torch.rand(1, 4, 8, 8)
    with torch.no_grad():
        assert torch.equal(network.encoder[0](x), x)


def test_mscnn_needs_no_multiple_of_four():
    network = mscnn.MSCNN(mscnn.Config(width=4, kernel=3, blocks=1))
    assert [tuple(x.shape[-2:]) for x in network(torch.rand(1, 3, 13, 6))] == [(13, 6), (7, 3), (4, 2)]
