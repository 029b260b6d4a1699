"""SRN against the paper's counts, a scalar ConvLSTM, TensorFlow's padding rule and an independent functional form."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw

from deblur.evaluation.complexity import macs, on_meta, parameters, sizes
from deblur.models import build, srn

SMALL = {"widths": (4, 6, 8), "kernel": 3, "blocks": 2}


# -------------------------------------------------------------------------------------------------- sizes


def level(c, kernel=5, blocks=3):
    return blocks * 2 * (kernel**2 * c * c + c)


def count(lstm):
    convolutions = 25 * 6 * 32 + 32 + 25 * 32 * 64 + 64 + 25 * 64 * 128 + 128 + 25 * 32 * 3 + 3
    deconvolutions = 16 * 128 * 64 + 64 + 16 * 64 * 32 + 32
    return convolutions + deconvolutions + 2 * sum(map(level, (32, 64, 128))) + lstm * (9 * 256 * 512 + 512)


@pytest.mark.parametrize(("variant", "total"), [("paper", 8_061_411), ("no_lstm", 6_881_251)])
def test_parameter_counts(variant, total):
    assert parameters(on_meta("srn", variant)) == total == count(variant == "paper")


def test_the_attentive_backbone_is_srn_without_its_lstm():
    """Two files, one printed backbone: as many parameters, and as many multiply-accumulates."""
    ours, theirs = on_meta("srn", "no_lstm"), on_meta("attentive", "table5_without_all")
    assert parameters(ours) == parameters(theirs)
    assert macs(ours, 64, 128) == macs(theirs, 64, 128)


def test_the_printed_size_is_not_reached():
    assert f"{sizes(8_061_411)['size_mb']:.1f}" == "32.2"


# ------------------------------------------------------------------------------------------------ ConvLSTM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop_lstm(x, hidden, cell, weight, bias):
    """One image, one pixel and one gate at a time."""
    channels, height, width = x.shape
    padded = np.pad(np.concatenate([x, hidden]), ((0, 0), (1, 1), (1, 1)))
    new_hidden, new_cell = np.zeros_like(x), np.zeros_like(x)
    for c in range(channels):
        for y in range(height):
            for z in range(width):
                window = padded[:, y : y + 3, z : z + 3]
                i, j, f, o = (
                    float((weight[g * channels + c] * window).sum() + bias[g * channels + c]) for g in range(4)
                )
                new_cell[c, y, z] = cell[c, y, z] * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
                new_hidden[c, y, z] = np.tanh(new_cell[c, y, z]) * sigmoid(o)
    return new_hidden, new_cell


def test_convlstm_equals_a_scalar_loop():
    torch.manual_seed(0)
    cell = redraw(srn.ConvLSTM(3)).double()
    x, hidden, memory = torch.randn(3, 2, 3, 5, 4, dtype=torch.float64)
    weight, bias = (value.detach().numpy() for value in (cell.gates.weight, cell.gates.bias))
    for state in (None, (hidden, memory)):
        with torch.no_grad():
            found = cell(x, state)
        for index in range(2):
            before = (np.zeros((3, 5, 4)),) * 2 if state is None else tuple(s[index].numpy() for s in state)
            expected = loop_lstm(x[index].numpy(), *before, weight, bias)
            for part, reference in zip(found, expected, strict=True):
                np.testing.assert_allclose(part[index].numpy(), reference, rtol=1e-12, atol=1e-12)


def test_an_untrained_forget_gate_remembers():
    """With zero weights the gates are sigmoid(0), the forget gate sigmoid(1): the cell keeps 73 % of itself."""
    cell = srn.ConvLSTM(2)
    torch.nn.init.zeros_(cell.gates.weight)
    torch.nn.init.zeros_(cell.gates.bias)
    x, state = torch.randn(1, 2, 4, 4), (torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4))
    hidden, memory = cell(x, state)
    torch.testing.assert_close(memory, state[1] * sigmoid(1))
    torch.testing.assert_close(hidden, torch.tanh(memory) / 2)


def tensorflow_same(size, kernel, stride):
    """The rule of TensorFlow's documentation: rows added before and behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("kernel", [3, 5])
def test_down_pads_as_tensorflow(kernel):
    layer = redraw(srn.Down(2, 3, kernel))
    for height, width in ((8, 12), (2, 16), (30, 4)):
        x = torch.randn(2, 2, height, width)
        padded = F.pad(x, (*tensorflow_same(width, kernel, 2), *tensorflow_same(height, kernel, 2)))
        found = layer(x)
        torch.testing.assert_close(found, F.conv2d(padded, layer.weight, layer.bias, stride=2))
        assert found.shape == (2, 3, height // 2, width // 2)


# --------------------------------------------------------------------------------------------- the network


def functional(state, blurred, lstm):
    """The network from its weights alone."""

    def conv(name, x):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def down(name, x):
        pads = [p for side in (x.shape[-1], x.shape[-2]) for p in tensorflow_same(side, 3, 2)]
        return F.conv2d(F.pad(x, pads), state[f"{name}.weight"], state[f"{name}.bias"], stride=2).relu()

    def level(name, x):
        for index in range(2):
            x = x + conv(f"{name}.{index}.conv2", conv(f"{name}.{index}.conv1", x).relu())
        return x

    def up(name, x):
        return F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2, padding=1).relu()

    def double(x):
        return F.interpolate(x, size=[2 * side for side in x.shape[-2:]], mode="bilinear")

    def one_scale(image, coarser, carried):
        e1 = level("enc1", conv("head", torch.cat([image, coarser], 1)).relu())
        e2 = level("enc2", down("down1", e1))
        x = level("enc3", down("down2", e2))
        if lstm:
            hidden, memory = [torch.zeros_like(x)] * 2 if carried is None else map(double, carried)
            i, j, f, o = conv("lstm.gates", torch.cat([x, hidden], 1)).chunk(4, 1)
            memory = memory * (f + 1).sigmoid() + i.sigmoid() * j.tanh()
            x = memory.tanh() * o.sigmoid()
            carried = (x, memory)
        return conv("tail", level("dec1", up("up1", level("dec2", up("up2", level("dec3", x)) + e2)) + e1)), carried

    half = F.avg_pool2d(blurred, 2)
    quarter = F.avg_pool2d(F.pad(blurred, (-1, -1, -1, -1)), 2, stride=4)  # the central 2x2 of each 4x4
    d3, carried = one_scale(quarter, quarter, None)
    d2, carried = one_scale(half, double(d3), carried)
    d1, _ = one_scale(blurred, double(d2), carried)
    return d1, d2, d3


@pytest.mark.parametrize("variant", srn.VARIANTS)
def test_the_network_equals_an_independent_functional_form(variant):
    network = redraw(build("srn", variant, **SMALL)).double().eval()
    blurred = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        found = network(blurred)
        expected = functional(network.state_dict(), blurred, variant != "no_lstm")
    assert [output.shape[-2:] for output in found] == [(32, 48), (16, 24), (8, 12)]
    for output, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(output, reference, rtol=1e-9, atol=1e-9)


def test_the_state_carries_gradients_between_scales_and_the_result_does_not():
    """With the coarser result stopped, what the coarse scales did can matter to the finest only through the LSTM."""
    image = torch.rand(1, 3, 32, 32)

    def reached(variant, **overrides):
        network = redraw(build("srn", variant, **SMALL, **overrides))
        coarse = []
        hook = network.tail.register_forward_hook(lambda _, inputs, __: coarse.append(inputs[0]))
        bottlenecks = []
        network.bottleneck.register_forward_hook(lambda _, __, output: bottlenecks.append(output))
        finest = network(image)[0].square().mean()
        hook.remove()
        through = torch.autograd.grad(finest, [coarse[0], bottlenecks[0]], allow_unused=True)
        return [gradient is not None and bool(gradient.any()) for gradient in through]

    assert reached("paper") == [False, True]
    assert reached("no_lstm") == [False, False]
    assert reached("no_lstm", detach=False) == [True, True]


# -------------------------------------------------------------------------------------------------- starts


@pytest.mark.parametrize("variant", srn.VARIANTS)
@pytest.mark.parametrize("kernel", [3, 5])
def test_the_identity_start_returns_the_input_at_any_size_and_can_be_left(variant, kernel):
    torch.manual_seed(0)
    network = build("srn", variant, **(SMALL | {"kernel": kernel}), init="identity")
    for height, width in [(1, 1), (32, 48), (17, 31), *np.random.default_rng(kernel).integers(1, 66, (4, 2)).tolist()]:
        image = torch.rand(2, 3, height, width)
        with torch.no_grad():
            outputs = network(image)
        torch.testing.assert_close(outputs[0], image, rtol=0, atol=1e-6)
    (network(image)[0] - torch.rand_like(image)).square().mean().backward()
    moved = {name for name, parameter in network.named_parameters() if parameter.grad.any()}
    assert {"tail.weight", "head.weight", "dec1.0.conv2.weight", "enc1.0.conv2.weight"} <= moved


def test_the_papers_start():
    torch.manual_seed(0)
    network = build("srn", widths=(16, 32, 32))
    assert float(network.lstm.gates.weight.detach().std()) == pytest.approx(1e-3, rel=0.05)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "lstm" not in name:
            bound = (6 / (parameter[0, 0].numel() * sum(parameter.shape[:2]))) ** 0.5
            assert parameter.abs().max() <= bound, name
            if parameter.numel() > 2000:  # uniform: variance bound^2 / 3
                assert float(parameter.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05), name


def test_bad_settings():
    with pytest.raises(ValueError, match=r"'zero'.*xavier.*identity"):
        build("srn", **SMALL, init="zero")
