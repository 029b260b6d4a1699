"""The attentive network against the paper's arithmetic, scalar attention units and an independent functional form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw

from deblur.evaluation.complexity import on_meta, parameters, sizes
from deblur.models import attentive, build, layers
from deblur.models.attentive import MODES, AttentionUnit

SMALL = {"widths": (4, 6, 8), "kernel": 3, "blocks": 2, "reduction": 2}

COUNTS = {
    "paper": 6_905_527,
    "table4_no_sharing": 20_716_581,
    "table5_without_all": 6_881_251,
    "table5_only_ca": 6_897_379,
    "table5_sa_encoder": 6_885_325,
    "table5_sa_decoder": 6_885_325,
    "table5_only_sa": 6_889_399,
    "table6_parallel_concat": 7_164_919,
    "table6_parallel_addition": 6_905_527,
    "table7_single_scale": 6_905_527,
    "table7_single_scale_gradient": 6_905_527,
    "table7_multi_scale": 6_905_527,
    "eq6": 6_905_527,
    "serial_ca_sa": 6_905_527,
    "attached": 6_905_527,
    "lambda_1": 6_905_527,
    "table7_single_scale_gradient_attached": 6_905_527,
    "without_all_multi_scale": 6_881_251,
    "without_all_multi_scale_constant": 6_881_251,
}
TABLE5 = [name for name in COUNTS if name.startswith("table5_")]
COUNTS |= {f"{name}_constant": count for name, count in COUNTS.items() if name in TABLE5}


# -------------------------------------------------------------------------------------------------- sizes


def test_every_variant_has_a_counted_size():
    assert set(COUNTS) == set(attentive.VARIANTS)


@pytest.mark.parametrize(("variant", "count"), COUNTS.items())
def test_parameter_counts(variant, count):
    assert parameters(on_meta("attentive", variant)) == count


def test_the_printed_size():
    assert f"{sizes(COUNTS['paper'])['size_mib']:.2f}" == "26.34"
    assert f"{sizes(COUNTS['table4_no_sharing'])['size_mib']:.2f}" == "79.03"


def test_layers_of_one_module():
    module = on_meta("attentive").scales[0]
    found = {
        name: (parameters(group.head if name.startswith("e") else group.tail), parameters(group.blocks))
        for name, group in module.named_children()
    }
    assert found == {
        "eg1": (4_832, 154_374),
        "eg2": (51_264, 617_100),
        "eg3": (204_928, 2_467_608),
        "dg1": (131_136, 2_467_608),
        "dg2": (32_800, 617_100),
        "dg3": (2_403, 154_374),
    }


# ---------------------------------------------------------------------------------------- attention units


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop_spatial(x, first, second):
    _, height, width = x.shape
    result = np.zeros((1, height, width))
    for i in range(height):
        for j in range(width):
            result[0, i, j] = sigmoid(second @ np.maximum(first @ x[:, i, j], 0))[0]
    return result


def loop_channel(x, first, second):
    mean = np.array([plane.sum() / plane.size for plane in x])
    return sigmoid(second @ np.maximum(first @ mean, 0))[:, None, None]


def loop_unit(unit, x):
    """The attention unit of one image in numpy, from the unit's weights."""
    weights = {name: value.detach().numpy().squeeze() for name, value in unit.state_dict().items()}

    def sa(x):
        return loop_spatial(x, np.atleast_2d(weights["sa.squeeze.weight"]), np.atleast_2d(weights["sa.excite.weight"]))

    def ca(x):
        return loop_channel(x, weights["ca.squeeze.weight"], weights["ca.excite.weight"])

    if unit.sa is None and unit.ca is None:
        return x
    if unit.ca is None:
        return x * sa(x)
    if unit.sa is None:
        return x * ca(x)
    if unit.mode == "serial_sa_ca":
        return (x * sa(x)) * ca(x * sa(x))
    if unit.mode == "serial_ca_sa":
        return (x * ca(x)) * sa(x * ca(x))
    if unit.mode == "eq6":
        return x * (sa(x) * ca(x))
    if unit.mode == "parallel_add":
        return x * (sa(x) + ca(x))
    both = np.concatenate([x * sa(x), x * ca(x)])
    return np.einsum("oc,chw->ohw", weights["fuse.weight"], both) + weights["fuse.bias"][:, None, None]


@pytest.mark.parametrize(
    ("mode", "sa", "ca"),
    [(mode, True, True) for mode in MODES]
    + [
        (mode, *one)
        for mode in ("serial_sa_ca", "parallel_concat")
        for one in ((True, False), (False, True), (False,) * 2)
    ],
)
def test_attention_units_equal_loops(mode, sa, ca):
    unit = redraw(AttentionUnit(6, sa=sa, ca=ca, reduction=2, mode=mode)).double()
    images = torch.randn(2, 6, 5, 7, dtype=torch.float64) * 2
    with torch.no_grad():
        found = unit(images).numpy()
    for image, result in zip(images.numpy(), found):
        np.testing.assert_allclose(result, loop_unit(unit, image), rtol=1e-12, atol=1e-12)


def test_maps_are_weights_between_nought_and_one():
    x = torch.randn(2, 8, 5, 6)
    spatial = redraw(attentive.SpatialAttention(8, 2))(x)
    channel = redraw(attentive.ChannelAttention(8, 2))(x)
    assert spatial.shape == (2, 1, 5, 6)
    assert channel.shape == (2, 8, 1, 1)
    for found in (spatial, channel):
        assert 0 < found.min() < found.max() < 1


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(32, 16, 2), (64, 16, 4), (128, 16, 8), (4, 16, 2)])
def test_hidden_widths(channels, reduction, hidden):
    assert attentive.SpatialAttention(channels, reduction).squeeze.out_channels == hidden
    assert attentive.ChannelAttention(channels, reduction).squeeze.out_channels == hidden


def test_the_modes_of_one_size_share_their_weights_and_differ_in_what_they_compute():
    """eq6, both cascades and the sum have one state dict; the concatenation has a convolution more."""
    images = torch.rand(1, 3, 32, 32)
    variants = ("paper", "eq6", "serial_ca_sa", "table6_parallel_addition")
    state = redraw(build("attentive", **SMALL)).state_dict()
    found = []
    for variant in variants:
        network = build("attentive", variant, **SMALL)
        network.load_state_dict(state, strict=True)
        with torch.no_grad():
            found.append(network(images)[0])
    for i, first in enumerate(found):
        assert all((first - other).abs().max() > 1e-4 for other in found[:i])
    extra = build("attentive", "table6_parallel_concat", **SMALL).state_dict().keys() - state.keys()
    assert extra
    assert all(".attention.fuse." in name for name in extra)


# ---------------------------------------------------------------------------------------------- the wrapper


def functional(state, blurred, kernel):
    """The network from its weights alone: spec sections 2.1 to 2.3, default attention, shared weights."""

    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, padding=weight.shape[-1] // 2)

    def rab(name, x):
        y = conv(f"{name}.conv2", conv(f"{name}.conv1", x).relu())
        y = y * conv(f"{name}.attention.sa.excite", conv(f"{name}.attention.sa.squeeze", y).relu()).sigmoid()
        pooled = F.adaptive_avg_pool2d(y, 1)
        a = conv(f"{name}.attention.ca.excite", conv(f"{name}.attention.ca.squeeze", pooled).relu()).sigmoid()
        return x + y * a

    def blocks(group, x):
        for index in range(len({name.split(".")[4] for name in state if name.startswith(f"scales.0.{group}.blocks.")})):
            x = rab(f"scales.0.{group}.blocks.{index}", x)
        return x

    def deconv(group, x):
        weight, bias = state[f"scales.0.{group}.tail.weight"], state[f"scales.0.{group}.tail.bias"]
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1).relu()

    def module(x):
        first = blocks("eg1", conv("scales.0.eg1.head", x).relu())
        second = blocks("eg2", conv("scales.0.eg2.head", first, 2).relu())
        third = blocks("eg3", conv("scales.0.eg3.head", second, 2).relu())
        upper = deconv("dg1", blocks("dg1", third)) + second
        full = deconv("dg2", blocks("dg2", upper)) + first
        return conv("scales.0.dg3.tail", blocks("dg3", full))

    half = F.avg_pool2d(blurred, 2)
    quarter = F.avg_pool2d(F.pad(blurred, (-1, -1, -1, -1)), 2, stride=4)  # the central 2x2 of each 4x4
    d3 = module(torch.cat([quarter, quarter], 1))
    d2 = module(torch.cat([half, F.interpolate(d3, size=half.shape[-2:], mode="bilinear")], 1))
    d1 = module(torch.cat([blurred, F.interpolate(d2, size=blurred.shape[-2:], mode="bilinear")], 1))
    return d1, d2, d3


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_network_equals_an_independent_functional_form(kernel):
    network = redraw(build("attentive", **(SMALL | {"kernel": kernel}))).double().eval()
    blurred = torch.rand(2, 3, 48, 64, dtype=torch.float64)
    with torch.no_grad():
        found = network(blurred)
        expected = functional(network.state_dict(), blurred, kernel)
    assert [output.shape[-2:] for output in found] == [(48, 64), (24, 32), (12, 16)]
    for output, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(output, reference, rtol=1e-9, atol=1e-9)


def test_unshared_modules_with_equal_weights_compute_the_same():
    shared = redraw(build("attentive", **SMALL))
    unshared = redraw(build("attentive", "table4_no_sharing", **SMALL), seed=1)
    image = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        assert (unshared(image)[0] - shared(image)[0]).abs().max() > 1e-3
        for t in range(3):
            assert unshared.at_scale(t) is unshared.scales[t]
            assert shared.at_scale(t) is shared.scales[0]
            unshared.scales[t].load_state_dict(shared.scales[0].state_dict())
        for first, second in zip(shared(image), unshared(image), strict=True):
            assert torch.equal(first, second)


@pytest.mark.parametrize("detach", [True, False])
def test_detach_stops_the_gradient_between_scales(detach):
    network = redraw(build("attentive", "table4_no_sharing", **SMALL, detach=detach))
    image = torch.rand(1, 3, 32, 32)
    network(image)[0].square().mean().backward()
    reached = [any(p.grad is not None and p.grad.any() for p in network.scales[t].parameters()) for t in range(3)]
    assert reached == [True, not detach, not detach]
    values = [output.detach() for output in network(image)]
    other = build("attentive", "table4_no_sharing", **SMALL, detach=not detach)
    other.load_state_dict(network.state_dict())
    assert all(torch.equal(a, b.detach()) for a, b in zip(values, other(image)))  # the values stay the same


# -------------------------------------------------------------------------------------------------- starts


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [True, False])
def test_the_identity_start_returns_the_input_at_any_size(mode, share):
    """Also the proof that padding and cropping do not shift the image."""
    torch.manual_seed(0)
    network = build("attentive", **(SMALL | {"kernel": 5}), mode=mode, share=share, init="identity").eval()
    rng = np.random.default_rng(MODES.index(mode))
    for height, width in [(1, 1), (48, 32), (17, 31), *rng.integers(1, 66, (4, 2)).tolist()]:
        image = torch.rand(2, 3, height, width)
        with torch.no_grad():
            outputs = network(image)
        torch.testing.assert_close(outputs[0], image, rtol=0, atol=1e-6)
        if height % 4 == width % 4 == 0:
            torch.testing.assert_close(outputs[1], layers.halve(image), rtol=0, atol=1e-6)
            torch.testing.assert_close(outputs[2], attentive.halve_twice(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", ["paper", "table5_without_all", "table5_only_ca", "table5_sa_decoder"])
def test_the_identity_start_of_variants_is_exact_and_can_be_left(variant):
    torch.manual_seed(0)
    network = build("attentive", variant, **SMALL, init="identity")
    image, target = torch.rand(1, 3, 33, 20), torch.rand(1, 3, 33, 20)
    outputs = network(image)
    torch.testing.assert_close(outputs[0], image, rtol=0, atol=1e-6)
    (outputs[0] - target).square().mean().backward()
    moved = {name for name, parameter in network.named_parameters() if parameter.grad.any()}
    # The zero convolutions are the first to move, then what stands before them.
    assert any("conv2.weight" in name for name in moved)
    assert "scales.0.dg3.tail.weight" in moved
    assert "scales.0.eg1.head.weight" in moved


@pytest.mark.parametrize("variant", TABLE5)
def test_constant_gates_make_rows_alike_at_the_start(variant):
    """At the identity start all maps are 1/2; a control differs from the full model in nothing but that they stay."""
    pair = []
    for which in ("paper", f"{variant}_constant"):
        torch.manual_seed(0)
        network = build("attentive", which, **SMALL, init="identity")
        for block in network.modules():
            if isinstance(block, attentive.RAB):  # the same weights, whatever was drawn for maps
                generator = torch.Generator().manual_seed(block.conv2.in_channels)
                block.conv1.weight.data = torch.randn(block.conv1.weight.shape, generator=generator) / 10
                block.conv2.weight.data = torch.randn(block.conv2.weight.shape, generator=generator) / 10
                for gate in (block.attention.sa, block.attention.ca):
                    if gate is not None:
                        gate.excite.weight.data.zero_()
        pair.append(network)
    full, control = pair
    control.load_state_dict(full.state_dict(), strict=False)
    image = torch.rand(1, 3, 16, 32)
    for ours, theirs in zip(control(image), full(image), strict=True):
        torch.testing.assert_close(ours, theirs)
    plain = build("attentive", variant, **SMALL, init="identity")
    plain.load_state_dict(full.state_dict(), strict=False)
    assert not torch.allclose(plain(image)[0], full(image)[0], atol=1e-4)


def test_the_papers_start_is_xavier_uniform_with_zero_biases():
    torch.manual_seed(0)
    network = build("attentive", widths=(16, 32, 32))
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            area = parameter[0, 0].numel()
            bound = (6 / (area * (parameter.shape[0] + parameter.shape[1]))) ** 0.5
            assert parameter.abs().max() <= bound, name
            if parameter.numel() > 2000:  # uniform: variance bound^2 / 3
                assert float(parameter.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05), name


def test_bad_settings():
    with pytest.raises(ValueError, match=r"'parallel'.*serial_sa_ca.*parallel_concat"):
        build("attentive", **SMALL, mode="parallel")
    with pytest.raises(ValueError, match=r"'zero'.*xavier.*identity"):
        build("attentive", **SMALL, init="zero")


# -------------------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize(("height", "width"), [(1, 1), (15, 33), (9, 16), (16, 32), (8, 9), (2, 30), (47, 7)])
def test_pad_to_multiple(height, width):
    image = torch.rand(2, 3, height, width)
    padded = layers.pad_to_multiple(image, 16)
    bottom, right = -height % 16, -width % 16
    assert padded.shape == (2, 3, height + bottom, width + right)
    mode = "reflect" if bottom < height and right < width else "edge"
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, bottom), (0, right)), mode)
    np.testing.assert_array_equal(padded.numpy(), expected)


def test_reductions_average_what_they_say():
    image = torch.rand(1, 2, 8, 12, dtype=torch.float64)
    torch.testing.assert_close(layers.halve(image), F.avg_pool2d(image, 2))
    blocks = image.reshape(1, 2, 2, 4, 3, 4)
    torch.testing.assert_close(attentive.halve_twice(image), blocks[:, :, :, 1:3, :, 1:3].mean((3, 5)))


def test_config_is_frozen_and_of_paper_size():
    config = attentive.Config()
    assert (config.widths, config.kernel, config.blocks, config.reduction) == ((32, 64, 128), 5, 3, 16)
    with pytest.raises(AttributeError):
        config.kernel = 3
    assert replace(config, kernel=3).kernel == 3
