"""SGENet against the arithmetic of its size, loops over CSAM's formulas and an independent functional form."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw

from deblur.evaluation.complexity import cost, macs, on_meta, parameters
from deblur.models import build, sgenet
from deblur.models.layers import halve
from deblur.models.sgenet import CEM, CSAM, PlainAggregation, PlainSkip

SMALL = {"widths": (3, 6, 9), "rdms": 1}

COUNTS = {
    "paper": 19_543_970,
    "cem_identity": 19_543_970,
    "cem_closed_start": 19_543_970,
    "parallel_sum": 19_543_970,
    "config_b": 19_548_568,
    "without_cem": 16_665_554,
    "without_cem_concat": 16_760_018,
    "cem_no_guidance": 17_888_978,
    "attention_from_input": 19_543_970,
    "undilated": 19_543_970,
    "without_sam": 19_543_970 - 96 * 96 - 2 * 3 * 96 + 9 * 3 * 96,
    "without_edge_loss": 19_543_970,
    "cem_unsupervised": 19_543_970,
    "loss_three": 19_543_970,
    "without_csam": 19_484_834,
    "without_csam_concat": 19_617_890,
    "without_csam_none": 19_484_834,
    "without_csam_csff": 19_573_538,
    "without_both": 16_606_418,
    "single_stage": 9_655_873,
    "single_stage_4_rdms": 17_639_257,
}


# ---------------------------------------------------------------------------------------------------- sizes


def test_every_variant_has_a_counted_size():
    assert set(COUNTS) == set(sgenet.VARIANTS)


@pytest.mark.parametrize(("variant", "count"), COUNTS.items())
def test_parameter_counts(variant, count):
    assert parameters(on_meta("sgenet", variant)) == count


def test_the_printed_size_and_where_it_lies():
    assert f"{COUNTS['paper'] / 1e6:.1f}" == f"{COUNTS['config_b'] / 1e6:.1f}" == "19.5"
    network = on_meta("sgenet")
    parts = {
        kind: sum(parameters(m) for m in network.modules() if type(m).__name__ == kind)
        for kind in ("RDMs", "CEM", "CSAM", "SAM", "Down", "Up", "CAB")
    }
    widths = np.array([96, 120, 144])
    scales = 9 * (widths**2).sum()  # one 3x3 convolution at each scale
    assert parts == {
        "RDMs": 2 * 2 * 2 * 5 * scales + 2 * 2 * 2 * 3 * 2,  # and two slopes an RDM
        "CEM": 2 * (9 * widths**2 @ [4, 4, 3] + 9 * widths.sum() * 9),  # 3C->C in 3x3, then C->3, 3->C, 3->C
        "CSAM": 4 * (widths**2).sum() // 3,
        "SAM": 96**2 + 2 * 3 * 96,
        "Down": 2 * (96 * 120 + 120 * 144),
        "Up": 2 * (96 * 120 + 120 * 144),
        "CAB": 2 * (18 * 96**2 + 2 * 96 * 24),
    }
    rest = 2 * 27 * 96 + 9 * 192 * 96 + 27 * 96 + 2  # shallow, merge, tail, the slope of each CAB
    assert sum(parts.values()) + rest == COUNTS["paper"]


def test_multiply_accumulates():
    found = cost("sgenet")
    assert found["gmacs_256"] == pytest.approx(435.8, abs=0.05)
    assert found["gmacs_720p"] == pytest.approx(6128, abs=1)


def test_macs_by_hand():
    """Parameters of convolutions times the pixels that they are applied at, and CSAM's linear layers once."""
    network = on_meta("sgenet")
    pixels = [256**2, 128**2, 64**2]
    total = 0
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            parts = name.split(".")
            s = int(parts[3]) if parts[0] == "stages" and parts[2] in ("encoder", "decoder", "cem", "up") else 0
            s = int(parts[3]) + 1 if parts[2:3] == ["down"] else s
            pooled = name.endswith(("squeeze", "excite"))
            total += module.weight.numel() * (1 if pooled else pixels[s])
        elif isinstance(module, torch.nn.Linear):
            total += module.weight.numel()
    assert macs(network, 256, 256) == total


# ------------------------------------------------------------------------------------- the network as a function


def functional(state, blurred, rdms):
    """The default network from its weights alone."""

    def conv(name, x, dilation=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, padding=dilation * (weight.shape[-1] // 2), dilation=dilation)

    def prelu(x, slope):
        return torch.where(x > 0, x, slope * x)

    def rdm(name, x):
        y = x
        for part, (one, two) in (("first", (1, 2)), ("second", (3, 2))):
            slope = state[f"{name}.{part}.act.weight"]
            y = y + conv(f"{name}.{part}.conv2", prelu(conv(f"{name}.{part}.conv1", y, one), slope), two)
        return x + conv(f"{name}.last", y)

    def blocks(name, x):
        for i in range(rdms):
            x = rdm(f"{name}.blocks.{i}", x)
        return x

    def shallow(stage):
        x = conv(f"{stage}.shallow.0", blurred)
        y = conv(f"{stage}.shallow.1.conv1", x)
        y = conv(f"{stage}.shallow.1.conv2", prelu(y, state[f"{stage}.act.weight"]))
        gate = conv(f"{stage}.shallow.1.squeeze", F.adaptive_avg_pool2d(y, 1)).relu()
        return x + y * conv(f"{stage}.shallow.1.excite", gate).sigmoid()

    def csam(name, *features):
        w = F.adaptive_avg_pool2d(sum(features), 1).flatten(1)
        third = w.shape[1] // 3
        scores = []
        for i in range(3):
            hidden = (w[:, i * third : (i + 1) * third] @ state[f"{name}.mlps.{i}.0.weight"].T).relu()
            scores.append((hidden @ state[f"{name}.mlps.{i}.2.weight"].T).exp())
        return sum(f * (e / sum(scores))[..., None, None] for f, e in zip(features, scores))

    def cem(name, features, image, coarser):
        x = features if coarser is None else torch.cat([features, coarser], 1)
        m = conv(f"{name}.merge.0", x).relu()
        r = conv(f"{name}.residual", m)
        a = conv(f"{name}.attention.0", image + r).sigmoid()
        return a * conv(f"{name}.fuse", torch.cat([conv(f"{name}.residual_features", r), m], 1)), image + r

    def stage(name, x, earlier):
        encoder, decoder, predicted = [], [None] * 3, [None] * 3
        for s in range(3):
            if s:
                x = conv(f"{name}.down.{s - 1}.conv", F.avg_pool2d(x, 2))
            x = blocks(f"{name}.encoder.{s}", x)
            if earlier:
                x = csam(f"{name}.csam.{s}", earlier[0][s], earlier[1][s], x)
            encoder.append(x)
        for s in (2, 1, 0):
            up = None
            if s < 2:
                up = F.interpolate(decoder[s + 1], size=encoder[s].shape[-2:], mode="bilinear")
                up = conv(f"{name}.up.{s}.conv", up)
            x, predicted[s] = cem(f"{name}.cem.{s}", encoder[s], F.avg_pool2d(blurred, 2**s), up)
            decoder[s] = blocks(f"{name}.decoder.{s}", x)
        return encoder, decoder, predicted

    encoder, decoder, first = stage("stages.0", shallow("stages.0"), None)
    restored = blurred + conv("sam.image", decoder[0])
    gated = decoder[0] + conv("sam.features", decoder[0]) * conv("sam.attention", restored).sigmoid()
    merged = conv("stages.1.merge", torch.cat([shallow("stages.1"), gated], 1))
    _, decoder, second = stage("stages.1", merged, (encoder, decoder))
    return blurred + conv("tail", decoder[0]), *second, restored, *first


@pytest.mark.parametrize("rdms", [1, 2])
def test_the_network_equals_an_independent_functional_form(rdms):
    network = redraw(build("sgenet", **SMALL | {"rdms": rdms})).double().eval()
    blurred = torch.rand(2, 3, 12, 20, dtype=torch.float64)
    with torch.no_grad():
        found = network(blurred)
        expected = functional(network.state_dict(), blurred, rdms)
    shapes = [(12, 20), (12, 20), (6, 10), (3, 5)]
    assert [tuple(output.shape[-2:]) for output in found] == shapes * 2
    for output, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(output, reference, rtol=1e-9, atol=1e-9)


def test_outputs_keep_their_order_at_odd_sizes():
    network = build("sgenet", **SMALL, init="identity").eval()
    image = torch.rand(1, 3, 9, 18)
    with torch.no_grad():
        shapes = [tuple(output.shape[-2:]) for output in network(image)]
    assert shapes == [(9, 18), (9, 18), (5, 9), (3, 5)] * 2


@pytest.mark.parametrize(
    ("variant", "outputs"), [("without_cem", 2), ("cem_no_guidance", 2), ("single_stage", 4), ("config_b", 8)]
)
def test_how_many_images_are_supervised(variant, outputs):
    assert len(on_meta("sgenet", variant)(torch.empty(1, 3, 16, 16, device="meta"))) == outputs


# -------------------------------------------------------------------------------------------------- modules


def test_csam_weighs_three_features_channel_by_channel():
    module = redraw(CSAM(6)).double()
    features = torch.randn(3, 2, 6, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        found = module(*features)
    first, second = ([mlp[i].weight.detach().numpy() for mlp in module.mlps] for i in (0, 2))
    for n in range(2):
        w = features[:, n].sum(0).mean((1, 2)).numpy()
        scores = np.array([second[i] @ np.maximum(first[i] @ w[2 * i : 2 * i + 2], 0) for i in range(3)])
        weights = np.exp(scores) / np.exp(scores).sum(0)
        expected = np.einsum("ic,ichw->chw", weights, features[:, n].numpy())
        np.testing.assert_allclose(found[n].numpy(), expected, rtol=1e-12)
    for mlp in module.mlps:
        torch.nn.init.zeros_(mlp[2].weight)
    torch.testing.assert_close(module(*features).detach(), features.mean(0))  # equal weights


def test_aggregations_without_csam():
    one, two, three = torch.randn(3, 1, 6, 4, 5)
    with torch.no_grad():
        assert torch.equal(PlainAggregation(6, mode="sum")(one, two, three), one + two + three)
        assert torch.equal(PlainAggregation(6, mode="none")(one, two, three), three)
        concat = PlainAggregation(6, mode="concat")
        expected = F.conv2d(torch.cat([one, two, three], 1), concat.convs[0].weight)
        assert torch.equal(concat(one, two, three), expected)
        csff = PlainAggregation(6, mode="csff")
        expected = three + F.conv2d(one, csff.convs[0].weight) + F.conv2d(two, csff.convs[1].weight)
        torch.testing.assert_close(csff(one, two, three), expected)


def test_skips_without_cem():
    features, coarser = torch.randn(2, 1, 6, 4, 5)
    image = torch.rand(1, 3, 4, 5)
    with torch.no_grad():
        for mode in ("sum", "concat"):
            assert torch.equal(PlainSkip(6, coarser=False, mode=mode)(features, image)[0], features)
        added, predicted = PlainSkip(6, coarser=True, mode="sum")(features, image, coarser)
        assert torch.equal(added, features + coarser)
        assert predicted is None
        both = torch.cat([features, coarser], 1)
        concat = PlainSkip(6, coarser=True, mode="concat")
        assert torch.equal(concat(features, image, coarser)[0], F.conv2d(both, concat.merge.weight))
        first_step = PlainSkip(6, coarser=True, mode="no_guidance")
        expected = F.conv2d(both, first_step.merge[0].weight, padding=1).relu()
        assert torch.equal(first_step(features, image, coarser)[0], expected)


def test_cem_with_identity_adds_its_features():
    literal, added = (redraw(CEM(6, coarser=True, identity=identity, guide="prediction")) for identity in (False, True))
    features, coarser = torch.randn(2, 1, 6, 4, 5)
    image = torch.rand(1, 3, 4, 5)
    with torch.no_grad():
        refined, restored = literal(features, image, coarser)
        shifted, same = added(features, image, coarser)
    assert torch.equal(shifted, features + refined)
    assert torch.equal(same, restored)


# --------------------------------------------------------------------------------------------------- starts


@pytest.mark.parametrize("variant", ["paper", "cem_identity", "cem_closed_start", "without_both", "single_stage"])
def test_the_identity_start_returns_all_inputs_and_can_be_left(variant):
    """Also the proof that padding and cropping do not shift the image."""
    torch.manual_seed(0)
    network = build("sgenet", variant, **SMALL, init="identity")
    for height, width in [(1, 1), (16, 20), (17, 31), (64, 3)]:
        image = torch.rand(2, 3, height, width)
        outputs = network(image)
        assert torch.equal(outputs[0], image)
        if height % 4 == width % 4 == 0:
            pyramid = [image, halve(image), halve(halve(image))]
            for output in outputs:
                factor = image.shape[-1] // output.shape[-1]
                assert torch.equal(output, pyramid[factor // 2])
    sum(output.square().mean() for output in outputs).backward()
    moved = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert moved == {name for name, _ in network.named_parameters()}
    assert network.tail.weight.grad.any()


def test_pytorchs_start_shrinks_features_in_the_cems_and_the_open_one_does_not():
    """The reason for the open start."""
    shares = {}
    for variant in ("cem_closed_start", "paper"):
        torch.manual_seed(0)
        cem = build("sgenet", variant, widths=(24, 24, 24), rdms=1, init="identity").stages[1].cem[0]
        features, coarser = torch.randn(2, 1, 24, 32, 32)
        with torch.no_grad():
            refined, _ = cem(features, torch.rand(1, 3, 32, 32), 0.1 * coarser)
        shares[variant] = float(refined.std() / features.std())
    assert shares["cem_closed_start"] < 0.2
    assert 0.5 < shares["paper"] < 1.2


def test_the_papers_start_is_pytorchs():
    torch.manual_seed(0)
    found = build("sgenet", **SMALL).state_dict()
    torch.manual_seed(0)
    started = build("sgenet", **SMALL, init="identity").state_dict()
    changed = {name for name in found if not torch.equal(found[name], started[name])}
    parts = ("tail", "sam.image", ".residual.", ".merge.0", ".attention.0", ".fuse.", ".mlps.", ".squeeze.")
    assert all(any(part in name for part in parts) for name in changed)
    assert all(any(part in name for name in changed) for part in parts)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rdm": "dense"}, "rdm 'dense'.*recursive, undilated, parallel_sum, concat"),
        ({"cem": "none"}, "cem 'none'.*full, no_guidance, concat, sum"),
        ({"csam": "max"}, "csam 'max'.*csam, csff, concat, sum, none"),
        ({"stages": 3}, "stages 3.*1, 2"),
        ({"init": "xavier"}, "init 'xavier'.*pytorch, identity"),
        ({"widths": (4, 6, 9)}, "4 channels.*multiple of 3"),
    ],
)
def test_bad_settings(overrides, message):
    with pytest.raises(ValueError, match=message):
        build("sgenet", **SMALL | overrides)


# ------------------------------------------------------------------------------------------------- controls


def test_attention_is_made_from_the_prediction_or_as_a_control_from_the_input():
    features, coarser = torch.randn(2, 1, 6, 4, 5)
    image = torch.rand(1, 3, 4, 5)
    for guide in ("prediction", "input"):
        cem = redraw(CEM(6, coarser=True, identity=False, guide=guide))
        with torch.no_grad():
            refined, restored = cem(features, image, coarser)
            merged = cem.merge(torch.cat([features, coarser], 1))
            fused = cem.fuse(torch.cat([cem.residual_features(cem.residual(merged)), merged], 1))
            seen = {"prediction": restored, "input": image}[guide]
            expected = torch.sigmoid(cem.attention[0](seen)) * fused
        torch.testing.assert_close(refined, expected)
        assert not torch.allclose(restored, image)


def test_controls_lack_dilations_and_attention_between_stages():
    small = {"widths": (6, 9, 12), "rdms": 1}

    def rates(variant):
        network = build("sgenet", variant, **small)
        return {layer.dilation for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)}

    assert rates("paper") == {(1, 1), (2, 2), (3, 3)}
    assert rates("undilated") == {(1, 1)}
    between = build("sgenet", "without_sam", **small).sam
    features, image = torch.randn(1, 6, 8, 8), torch.rand(1, 3, 8, 8)
    passed, restored = between(features, image)
    assert passed is features
    torch.testing.assert_close(restored, image + F.conv2d(features, between.image.weight, padding=1))
