"""Counts against formulas by hand; the clock only for what it promises."""

import pytest
import torch
from torch import nn

from deblur import models
from deblur.evaluation import complexity
from deblur.models import attentive, deform


class Small(nn.Module):
    """Every kind of layer whose cost has a formula: strided, grouped, dilated and transposed convolutions, products."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, padding=2)
        self.body = nn.Sequential(
            nn.Conv2d(8, 12, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1, groups=4)
        )
        self.wide = nn.Conv2d(12, 6, 3, padding=2, dilation=2, bias=False)
        self.linear = nn.Linear(6, 10)
        self.up = nn.ConvTranspose2d(10, 3, 4, 2, padding=1)

    def forward(self, blurred):
        x = self.wide(self.body(self.first(blurred)))
        x = self.linear(x.movedim(1, -1)).movedim(-1, 1)
        return self.up(x), x


def small_macs(height, width):
    full, half = height * width, height * width // 4
    return (
        5 * 5 * 3 * 8 * full
        + 3 * 3 * 8 * 12 * half
        + 3 * 3 * (12 // 4) * 12 * half
        + 3 * 3 * 12 * 6 * half
        + 6 * 10 * half
        + 4 * 4 * 10 * 3 * half  # each input pixel of a transposed convolution is spread over the kernel
    )


SMALL_PARAMETERS = {
    "first": 5 * 5 * 3 * 8 + 8,
    "body": 3 * 3 * 8 * 12 + 12 + 3 * 3 * 3 * 12 + 12,
    "wide": 3 * 3 * 12 * 6,
    "linear": 6 * 10 + 10,
    "up": 4 * 4 * 10 * 3 + 3,
}


def test_parameters_by_hand():
    assert complexity.parameters(Small()) == sum(SMALL_PARAMETERS.values())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (10, 34), (720, 1280)])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_macs_by_hand(height, width, device):
    if device == "cpu" and height > 100:
        height, width = 36, 64
    with torch.device(device):
        network = Small()
    assert complexity.macs(network, height, width) == small_macs(height, width)


def attentive_macs(height, width):
    """Spec section 2.2, row by row: per pixel of the full, the half and the quarter resolution of one module."""
    full = 25 * 6 * 32 + 6 * 2 * 25 * 32 * 32 + 25 * 32 * 3
    half = 25 * 32 * 64 + 6 * 2 * 25 * 64 * 64 + 16 * 64 * 32  # a deconvolution costs at its input's size
    quarter = 25 * 64 * 128 + 6 * 2 * 25 * 128 * 128 + 16 * 128 * 64
    assert full + half / 4 + quarter / 16 == 970_784
    pixels = height * width
    convolutions = pixels * full + pixels // 4 * half + pixels // 16 * quarter
    spatial = 6 * sum(pixels // 4**i * (c * c // 16 + c // 16) for i, c in enumerate((32, 64, 128)))
    channel = 6 * sum(2 * c * c // 16 for c in (32, 64, 128))
    return convolutions + spatial, channel


@pytest.mark.parametrize(("height", "width"), [(256, 256), (720, 1280)])
def test_macs_of_the_attentive_network_in_all_three_scales(height, width):
    scales = [attentive_macs(height // factor, width // factor) for factor in (1, 2, 4)]
    assert complexity.macs(complexity.on_meta("attentive"), height, width) == sum(map(sum, scales))


def test_cost_of_the_paper_size_graph():
    found = complexity.cost("attentive")
    assert found["parameters"] == 6_905_527
    assert found["size_mb"] == pytest.approx(27.622, abs=5e-4)
    assert found["size_mib"] == pytest.approx(26.3425, abs=5e-5)
    # The spec's 1,174 GMAC leave the attention MLPs out: 0.15 %.
    assert found["gmacs_720p"] == pytest.approx(1174, rel=2e-3)
    # MACs go with the area, but for the channel attention's few.
    assert found["gmacs_720p"] == pytest.approx(found["gmacs_256"] * 720 * 1280 / 256**2, rel=1e-6)
    assert complexity.cost("attentive", "table4_no_sharing")["gmacs_256"] == found["gmacs_256"]
    assert complexity.cost("attentive", "table5_without_all")["gmacs_256"] < found["gmacs_256"]


def test_a_deformable_convolution_counts_as_much_by_torchvisions_operator(monkeypatch):
    module = nn.Sequential(deform.DeformConv2d(3, 4), deform.DeformConv2d(4, 3, modulated=True))
    expected = 5 * 7 * 9 * (3 * (18 + 4) + 4 * (27 + 3))
    assert complexity.macs(module, 5, 7) == expected
    monkeypatch.setattr(deform, "_elsewhere", deform._on_cuda)  # the operator itself computes anywhere
    assert complexity.macs(module, 5, 7) == expected


def test_padding_is_counted_as_computed():
    network = complexity.on_meta("attentive", widths=(4, 4, 8))
    assert complexity.macs(network, 17, 31) == complexity.macs(network, 32, 32)


@pytest.mark.parametrize(("count", "mb", "mib"), [(250_000, 1.0, 0.95367431640625), (2**18, 1.048576, 1.0), (0, 0, 0)])
def test_sizes_in_both_units(count, mb, mib):
    assert complexity.sizes(count) == {"size_mb": mb, "size_mib": mib}


def test_on_meta_holds_no_memory():
    network = complexity.on_meta("attentive", "eq6", widths=(4, 4, 8))
    assert all(parameter.is_meta for parameter in network.parameters())
    assert network.config == models.config("attentive", "eq6", widths=(4, 4, 8))


# --------------------------------------------------------------------------------------------- layer table


def test_layer_table_of_a_module_sums_to_its_size():
    module = complexity.on_meta("attentive").scales[0]
    table = complexity.layer_table(module, channels=6)
    assert table["module"].tolist() == ["eg1", "eg2", "eg3", "dg1", "dg2", "dg3"]
    assert table["parameters"].sum() == complexity.parameters(module) == 6_905_527
    assert table["output"].tolist() == [
        (32, 256, 256),
        (64, 128, 128),
        (128, 64, 64),
        (64, 128, 128),
        (32, 256, 256),
        (3, 256, 256),
    ]
    assert table["type"].tolist() == ["EncoderGroup"] * 3 + ["DecoderGroup"] * 3


def test_layer_table_in_order_with_shapes_and_deeper():
    network = Small()
    table = complexity.layer_table(network, height=12, width=20, depth=2).set_index("module")
    assert list(table.index) == ["first", "body.0", "body.1", "body.2", "wide", "linear", "up"]  # containers left out
    assert table["parameters"].sum() == sum(SMALL_PARAMETERS.values())
    assert table.loc["body.1", "parameters"] == 0
    assert table.loc["first", "output"] == (8, 12, 20)
    assert table.loc["body.2", "output"] == (12, 6, 10)
    assert table.loc["up", "output"] == (3, 12, 20)
    assert list(complexity.layer_table(network, height=12, width=20)["module"]) == ["first", "wide", "linear", "up"]
    assert not any(module._forward_hooks for module in network.modules())


def test_layer_table_removes_its_hooks_after_an_error():
    network = Small()
    with pytest.raises(RuntimeError):
        complexity.layer_table(network, channels=4)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_shared_module_has_a_row_a_call():
    network = complexity.on_meta("attentive", widths=(4, 4, 8))
    table = complexity.layer_table(network, height=64, width=64, depth=2)
    assert table["module"].tolist() == ["scales.0"] * 3
    assert table["output"].tolist() == [(3, 16, 16), (3, 32, 32), (3, 64, 64)]


# ------------------------------------------------------------------------------------------------- runtime


def test_calls_are_warmed_up_and_interleaved():
    seen = []
    times = complexity.time_calls({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, repeats=3)
    assert seen == ["a", "b"] * 4
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    assert all(value >= 0 for values in times.values() for value in values)


def test_times_are_milliseconds(monkeypatch):
    clock = iter([1.0, 1.5, 2.0, 2.25])
    monkeypatch.setattr(complexity.time, "perf_counter", lambda: next(clock))
    assert complexity.time_calls({"a": lambda: None}, repeats=2) == {"a": [500.0, 250.0]}


def timed(monkeypatch, own):
    """Two networks whose turns take ten seconds on the clock, of which the process has `own`."""
    small = attentive.Config(widths=(4, 4, 8), kernel=3, blocks=1)
    networks = {"a": attentive.Attentive(small).train(), "b": attentive.Attentive(small)}
    walls, owns = iter([0.0, 10.0]), iter([100.0, 100.0 + own])
    monkeypatch.setattr(complexity.time, "perf_counter", lambda: next(walls))
    monkeypatch.setattr(complexity.time, "process_time", lambda: next(owns))

    def turns(calls, repeats):
        assert torch.get_num_threads() == 1
        assert [call()[0].shape for call in calls.values()] == [(1, 3, 20, 30)] * 2
        return {"a": [3.0, 1.0, 7.0], "b": [2.0] * repeats}

    monkeypatch.setattr(complexity, "time_calls", turns)
    times = complexity.runtimes(networks, 20, 30, repeats=3)
    assert not networks["a"].training
    return times


def test_runtimes_are_side_by_side_with_their_spread(monkeypatch):
    where = {"runtime_size": "20x30", "runtime_device": "CPU, 1 thread"}
    assert timed(monkeypatch, own=8.1) == {
        "a": {"runtime_ms": 3.0, "runtime_low_ms": 1.0, "runtime_high_ms": 7.0} | where,
        "b": {"runtime_ms": 2.0, "runtime_low_ms": 2.0, "runtime_high_ms": 2.0} | where,
    }


def test_a_loaded_machine_times_nothing(monkeypatch):
    threads = torch.get_num_threads()
    where = {"runtime_size": "20x30", "runtime_device": "not timed: loaded"}
    assert timed(monkeypatch, own=7.9) == {"a": where, "b": where}
    assert torch.get_num_threads() == threads


def test_time_of_groups_is_theirs_and_leaves_no_hook(monkeypatch):
    """A clock that moves on by 1 ms in a module of the one group, by 2 in the other's, by 4 in neither."""
    now = [0.0]
    monkeypatch.setattr(complexity.time, "perf_counter", lambda: now[0])

    class Wait(nn.Module):
        def __init__(self, ms):
            super().__init__()
            self.ms = ms

        def forward(self, x):
            now[0] += self.ms / 1e3
            return x

    network = nn.Sequential(Wait(1), Wait(2), Wait(4), Wait(1)).train()
    groups = {"one": [network[0], network[3]], "two": [network[1]]}
    spent, whole = complexity.time_groups(network, groups, torch.zeros(1, 3, 2, 2), repeats=3)
    assert spent == pytest.approx({"one": 2, "two": 2})
    assert whole == pytest.approx(8)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


# -------------------------------------------------------------------------------------------------- memory


class Chain(nn.Module):
    """Two results live at once: the last addition's input and output."""

    def forward(self, x):
        for _ in range(5):
            x = x + 1
        return x


class InPlace(nn.Module):
    """Views and changes in place need nothing."""

    def forward(self, x):
        y = x + 1
        y.view(-1).mul_(2)
        return y[1:].transpose(0, 1)


class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 5)

    def forward(self, x):
        kept = [x * i for i in range(3)]
        kept.append(self.linear(x))
        return torch.cat(kept, 1)


class Views(nn.Module):
    def forward(self, x):
        return x.flatten()[3:], x


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("module", "floats"), [(Chain, 200), (InPlace, 100), (Kept, 3 * 100 + 50 + 350), (Views, 0)], ids=lambda m: str(m)
)
def test_peak_bytes_by_hand(device, module, floats):
    with torch.device(device):
        network, x = module(), torch.empty(10, 10)
    for _ in range(2):  # nothing is left from the first time
        assert complexity.peak_bytes(network, x) == 4 * floats
