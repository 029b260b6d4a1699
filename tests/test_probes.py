"""Probes against hand-written hooks and the known structure of the attentive network."""

import pytest
import torch

from deblur.evaluation import probes
from deblur.models import attentive, build

SMALL = {"widths": (4, 4, 8), "kernel": 3, "blocks": 2}


def test_capture_keeps_every_call_of_a_shared_module_coarse_to_fine():
    network = build("attentive", **SMALL)
    outputs = probes.capture(network, torch.rand(1, 3, 48, 64), ["scales.0"])["scales.0"]
    assert [tuple(output.shape[-2:]) for output in outputs] == [(12, 16), (24, 32), (48, 64)]
    torch.testing.assert_close(outputs[-1], network.eval()(torch.zeros(1, 3, 48, 64))[0] * 0 + outputs[-1])


def test_capture_returns_what_the_module_computes_and_leaves_no_hook():
    network = build("attentive", **SMALL)
    image = torch.rand(1, 3, 32, 32)
    caught = probes.capture(network, image, ["scales.0.dg3"])["scales.0.dg3"][-1]
    with torch.no_grad():
        torch.testing.assert_close(caught, network(image)[0])
    assert not any(module._forward_hooks for module in network.modules())


def test_capture_names_the_module_that_is_not_there():
    with pytest.raises(ValueError, match="nowhere"):
        probes.capture(build("attentive", **SMALL), torch.rand(1, 3, 16, 16), ["nowhere"])


def test_spatial_attention_is_that_of_the_finest_pass():
    network = build("attentive", **SMALL)
    image = torch.rand(1, 3, 32, 48)
    maps = probes.spatial_attention(network, image)
    assert list(maps) == [f"encoder {i}" for i in range(1, 7)] + [f"decoder {i}" for i in range(1, 7)]
    assert maps["encoder 1"].shape == (32, 48)
    assert maps["encoder 6"].shape == maps["decoder 1"].shape == (8, 12)
    with torch.no_grad():
        fine = torch.cat([image, network.up(network(image)[1])], 1)
        block = network.scales[0].eg1.blocks[0]
        x = torch.relu(network.scales[0].eg1.head(fine))
        by_hand = block.attention.sa(block.conv2(torch.relu(block.conv1(x))))[0, 0]
    torch.testing.assert_close(maps["encoder 1"], by_hand)


def test_spatial_attention_skips_blocks_without_it():
    network = build("attentive", "table5_sa_decoder", **SMALL)
    assert all(label.startswith("decoder") for label in probes.spatial_attention(network, torch.rand(1, 3, 16, 16)))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_graph_of_one_module_has_both_skips(device):
    module = build("attentive").scales[0].to(device)
    leaves = (attentive.EncoderGroup, attentive.DecoderGroup)
    nodes, edges = probes.graph(module, torch.empty(1, 6, 32, 32, device=device), leaves=leaves)
    assert nodes["eg3"] == "eg3 EncoderGroup\n128x8x8"
    assert ("eg2", "add") in edges
    assert ("eg1", "add_1") in edges
    assert all(start in nodes and end in nodes for start, end in edges)


def test_graph_of_the_whole_network_calls_one_module_three_times():
    nodes, edges = probes.graph(
        build("attentive", **SMALL), torch.rand(1, 3, 32, 32), leaves=(attentive.EncoderDecoder,)
    )
    calls = [label for label in nodes.values() if "EncoderDecoder" in label]
    assert calls == [f"scales.0 EncoderDecoder\n3x{side}x{side}" for side in (8, 16, 32)]
    assert sum(end.startswith("cat") for _, end in edges) == 5  # the coarsest concatenates one image with itself


def test_influence_is_the_receptive_field_of_the_middle_pixel():
    class Blur(torch.nn.Module):
        """Looks at a 5x3 window, more at one side of it."""

        def __init__(self):
            super().__init__()
            self.weight = torch.rand(3, 3, 5, 3) - 0.5

        def forward(self, image):
            return (torch.nn.functional.conv2d(image, self.weight, padding=(2, 1)),)

    network, image = Blur(), torch.rand(1, 3, 11, 9)
    expected = torch.zeros(11, 9)
    expected[3:8, 3:6] = network.weight.sum(0).abs().sum(0)
    torch.testing.assert_close(probes.influence(network, image), expected)
    assert not image.requires_grad
