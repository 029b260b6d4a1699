"""SimpleNet against the paper's arithmetic, loops, torchvision's deformable convolution and an independent form."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw
from torch import nn
from torchvision.ops import deform_conv2d

from deblur import recipes
from deblur.evaluation.complexity import on_meta, parameters, sizes
from deblur.models import build, simplenet, srn
from deblur.models.deform import DeformConv2d
from deblur.models.simplenet import DR, GCRW, LGCR, PVB, RB, TT, NonLocal

SMALL = {"widths": (4, 8, 12), "rank": 5}

COUNTS = {
    "paper": 6_264_247,
    "table3_baseline1": 6_618_310,
    "table3_baseline2": 7_259_352,
    "table3_baseline3": 6_808_915,
    "table5_nonlocal": 6_337_656,
    "table5_tt": 6_263_704,
    "no_context": 6_263_448,
    "joint_mean1": 6_264_247,
    "channel": 6_264_247,
    "table3_baseline3_equal": 7_939_161,
    "without_conv1d": 6_264_247 - 3 * (64 * 3 + 64 + 1),
    "without_raw_residual": 6_264_247 - 28,
}


# -------------------------------------------------------------------------------------------------- sizes


def test_every_variant_has_a_counted_size():
    assert set(COUNTS) == set(simplenet.VARIANTS)


@pytest.mark.parametrize(("variant", "count"), COUNTS.items())
def test_parameter_counts(variant, count):
    assert parameters(on_meta("simplenet", variant)) == count


@pytest.mark.parametrize(("layout", "count"), [("alt_a", 6_277_808), ("alt_b", 6_272_972)])
def test_the_rival_layouts_print_alike(layout, count):
    network = on_meta("simplenet", **simplenet.LAYOUTS[layout])
    assert parameters(network) == count
    # Both round to 25.1 MB, as the reference does once the file's header is counted.
    assert f"{sizes(count)['size_mb']:.1f}" == "25.1"
    assert network(torch.empty(1, 3, 20, 30, device="meta"))[0].shape == (1, 3, 20, 30)


def test_the_saved_file_has_the_printed_size(tmp_path):
    network = build("simplenet")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    assert f"{(tmp_path / 'weights.pt').stat().st_size / 1e6:.1f}" == "25.1"


@pytest.mark.parametrize(("name", "count"), [("srn_lgcr", 8_062_210), ("srn_pvb", 9_054_503)])
def test_srn_with_modules_counts(name, count):
    assert parameters(on_meta(name)) == count


@pytest.mark.parametrize("channels", [48, 96, 192])
def test_blocks_by_formula(channels):
    c = channels
    with torch.device("meta"):
        assert parameters(RB(c)) == 27 * c**2 + 3 * c
        assert parameters(PVB(c, modulated=True)) == 18 * c**2 + 488 * c + 54
        assert parameters(DR(c, modulated=True)) == 18 * c**2 + 245 * c + 27
    # Widths 1x1 C -> C/4, 3x3, 1x1 back.
    assert parameters(RB(c, kind="bottleneck")) == 2 * c * c // 4 + 9 * (c // 4) ** 2 + 2 * (c // 4) + c


def test_groups_of_blocks():
    """Six RBs, six PVBs, three DRs, one LGCR, and what is left are convolutions."""
    network = on_meta("simplenet")
    groups = {kind: [m for m in network.modules() if type(m) is kind] for kind in (RB, PVB, DR, LGCR)}
    assert {kind.__name__: len(found) for kind, found in groups.items()} == {"RB": 6, "PVB": 6, "DR": 3, "LGCR": 1}
    totals = {kind.__name__: sum(map(parameters, found)) for kind, found in groups.items()}
    assert totals == {"RB": 2_614_752, "PVB": 2_070_084, "DR": 953_313, "LGCR": 799}
    assert parameters(network) - sum(totals.values()) == 625_299


# -------------------------------------------------------------------------------------------------- blocks


def torchvision_deform(layer, x):
    """A 3x3 deformable convolution of the package, computed by torchvision's operator."""
    found = layer.offset(x)
    mask = found[:, 18:].sigmoid() if found.shape[1] == 27 else None
    return deform_conv2d(x, found[:, :18], layer.weight, layer.bias, padding=1, mask=mask)


@pytest.mark.parametrize("modulated", [True, False])
def test_deformable_blocks_equal_their_equations(modulated):
    x = torch.randn(2, 8, 9, 11, dtype=torch.float64)
    pvb = redraw(PVB(8, modulated=modulated)).double()
    features = [
        F.conv2d(x, conv.weight, conv.bias, padding=d, dilation=d).relu() for d, conv in enumerate(pvb.dilated, 1)
    ]
    features.append(torchvision_deform(pvb.deformable, x))  # no ReLU
    assert [f.shape[1] for f in features] == [2] * 4
    expected = x + torchvision_deform(pvb.fuse, torch.cat(features, 1))
    torch.testing.assert_close(pvb(x), expected, rtol=1e-9, atol=1e-9)

    dr = redraw(DR(8, modulated=modulated)).double()
    inner = torchvision_deform(dr.deformable, x).relu()
    torch.testing.assert_close(
        dr(x), x + F.conv2d(inner, dr.conv.weight, dr.conv.bias, padding=1), rtol=1e-9, atol=1e-9
    )


def test_offsets_start_at_nothing():
    """A fresh deformable convolution looks where a plain one looks; DCNv2's mask starts at one half."""
    x = torch.randn(1, 8, 9, 11)
    for modulated, factor in ((False, 1.0), (True, 0.5)):
        layer = PVB(8, modulated=modulated).fuse
        plain = F.conv2d(x, layer.weight, padding=1) * factor + layer.bias[:, None, None]
        torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "kernels"), [("plain", (3, 3, 3)), ("bottleneck", (1, 3, 1))])
def test_the_residual_block_equals_its_equation(kind, kernels):
    x = torch.randn(2, 8, 7, 6, dtype=torch.float64)
    block = redraw(RB(8, kind=kind)).double()
    convs = (block.conv1, block.conv2, block.conv3)
    assert tuple(conv.kernel_size[0] for conv in convs) == kernels
    y = x
    for index, conv in enumerate(convs):
        y = F.conv2d(y if index == 0 else y.relu(), conv.weight, conv.bias, padding=conv.kernel_size[0] // 2)
    torch.testing.assert_close(block(x), x + y)


# ---------------------------------------------------------------------------------------------------- LGCR


def loop_fragments(sequence, vector):
    """Conv1d 1 -> r of kernel 3 and PReLU, in numpy: (length,) -> (r, length)."""
    conv, prelu = sequence
    padded = np.pad(vector, 1)
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    found = np.array([[w[0] @ padded[i : i + 3] + b for i in range(len(vector))] for w, b in zip(weight, bias)])
    return np.where(found > 0, found, found * prelu.weight.item())


def loop_lgcr(module, x):
    """Eqs. 1 to 5 of one image, entry by entry."""
    c, h, w = x.shape
    gcrw = module.gcrw
    fragments = [
        loop_fragments(sequence, vector)
        for sequence, vector in (
            (gcrw.channel, np.array([plane.sum() / (h * w) for plane in x])),
            (gcrw.row, np.array([x[:, i].sum() / (c * w) for i in range(h)])),
            (gcrw.column, np.array([x[:, :, j].sum() / (c * h) for j in range(w)])),
        )
    ]
    raw = np.zeros_like(x)
    for rank in range(len(fragments[0])):
        for k in range(c):
            raw[k] += fragments[0][rank, k] * np.outer(fragments[1][rank], fragments[2][rank])
    weight = np.exp(raw - raw.max())
    if gcrw.norm == "channel":
        weight = np.exp(raw) / np.exp(raw).sum(0)
    else:
        weight = weight / weight.sum() * (weight.size if gcrw.norm == "joint_mean1" else 1)
    kernel, bias = module.residual.weight.detach().numpy()[0, 0], module.residual.bias.item()
    padded = np.pad(x, 1)
    residual = np.zeros_like(x)
    for k in range(c):
        for i in range(h):
            for j in range(w):
                residual[k, i, j] = (kernel * padded[k : k + 3, i : i + 3, j : j + 3]).sum() + bias
    return raw, x + residual * weight


@pytest.mark.parametrize("norm", simplenet.NORMS)
def test_lgcr_equals_loops(norm):
    module = redraw(LGCR(5, norm=norm)).double()
    images = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    with torch.no_grad():
        raw, found = module.gcrw.raw(images).numpy(), module(images).numpy()
    for index, image in enumerate(images.numpy()):
        expected_raw, expected = loop_lgcr(module, image)
        np.testing.assert_allclose(raw[index], expected_raw, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found[index], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_product_equals_the_stack(seed):
    """Two forms of Eq. 2, in float32, before the softmax."""
    rng = np.random.default_rng(seed)
    c, h, w = rng.integers(1, 40, 3).tolist()
    module = redraw(GCRW(64), seed)
    other = GCRW(64, reconstruct=simplenet.stacked)
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, c, h, w) + 1
    with torch.no_grad():
        first, second = module.raw(x), other.raw(x)
    assert first.shape == (2, c, h, w)
    assert float((first - second).norm() / second.norm()) < 1e-5
    einsum = torch.einsum(
        "nrc,nrh,nrw->nchw",
        *(
            sequence(x.mean(dims).unsqueeze(1))
            for sequence, dims in ((module.channel, (2, 3)), (module.row, (1, 3)), (module.column, (1, 2)))
        ),
    )
    assert float((first - einsum).detach().norm() / einsum.detach().norm()) < 1e-5


def test_weights_of_each_norm_are_positive_and_sum_to_what_they_should():
    x = torch.randn(3, 6, 7, 8)
    for norm in simplenet.NORMS:
        weight = redraw(GCRW(5, norm=norm))(x)
        assert weight.shape == x.shape
        assert weight.min() >= 0
        if norm == "channel":
            torch.testing.assert_close(weight.sum(1), torch.ones(3, 7, 8))
        else:
            total = 1.0 if norm == "joint" else 6 * 7 * 8
            torch.testing.assert_close(weight.sum((1, 2, 3)), torch.full((3,), float(total)))


def test_the_joint_softmax_leaves_the_features_alone():
    """The mean weight is one over the number of values: LGCR as printed is nearly the identity, more so when larger."""
    torch.manual_seed(0)
    module = LGCR()

    def change(norm, side):
        module.gcrw.norm = norm
        x = torch.rand(1, 24, side, side, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            return float((module(x) - x).norm() / x.norm())

    assert change("joint", 32) < 1e-4
    assert change("joint", 16) / change("joint", 32) == pytest.approx(4, rel=0.2)
    assert change("joint_mean1", 32) > 0.05
    assert change("joint_mean1", 16) / change("joint_mean1", 32) == pytest.approx(1, rel=0.2)
    assert change("joint", 32) < change("channel", 32) < change("joint_mean1", 32)


# ------------------------------------------------------------------------------------------ rival modules


def loop_nonlocal(module, x):
    """One query at a time."""
    theta, phi, g = (
        np.einsum("oc,chw->ohw", layer.weight.detach().numpy()[..., 0, 0], x)
        + layer.bias.detach().numpy()[:, None, None]
        for layer in (module.theta, module.phi, module.g)
    )
    found = np.zeros_like(theta)
    for i in np.ndindex(x.shape[1:]):
        similarity = np.array([[theta[:, *i] @ phi[:, y, z] for z in range(x.shape[2])] for y in range(x.shape[1])])
        weights = np.exp(similarity - similarity.max())
        found[:, *i] = (g * (weights / weights.sum())).sum((1, 2))
    out = module.out
    return (
        x
        + np.einsum("oc,chw->ohw", out.weight.detach().numpy()[..., 0, 0], found)
        + out.bias.detach().numpy()[:, None, None]
    )


@pytest.mark.parametrize("limit", [1, 100, 2**24])
def test_nonlocal_equals_loops_in_any_chunks(limit):
    module = redraw(NonLocal(4, limit=limit)).double()
    images = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        found = module(images).numpy()
    for image, result in zip(images.numpy(), found):
        np.testing.assert_allclose(result, loop_nonlocal(module, image), rtol=1e-10, atol=1e-12)


def test_chunked_nonlocal_equals_the_naive_form_and_its_gradients():
    naive, chunked = redraw(NonLocal(6)), NonLocal(6, limit=700)
    chunked.load_state_dict(naive.state_dict())
    x = torch.randn(2, 6, 12, 13)
    for module in (naive, chunked):
        module(x).square().sum().backward()
    torch.testing.assert_close(naive(x), chunked(x), rtol=1e-5, atol=1e-5)
    for one, other in zip(naive.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-3)


def test_fresh_nonlocal_is_the_identity():
    x = torch.randn(1, 6, 5, 4)
    assert torch.equal(NonLocal(6)(x), x)
    assert NonLocal(1).theta.out_channels == 1


@pytest.mark.parametrize("reconstruct", [simplenet.product, simplenet.stacked])
def test_tt_equals_its_equations(reconstruct):
    module = redraw(TT(5, reconstruct=reconstruct)).double()
    images = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    with torch.no_grad():
        found = module(images).numpy()
    a, b, d, logits = (
        value.detach().numpy()[:, 0] for value in (module.channel, module.row, module.column, module.logits)
    )
    weights = np.exp(logits) / np.exp(logits).sum()
    for image, result in zip(images.numpy(), found):
        attention = np.zeros_like(image)
        for i in range(5):
            c, h, w = (
                1 / (1 + np.exp(-scalar * image.mean(dims)))
                for scalar, dims in ((a[i], (1, 2)), (b[i], (0, 2)), (d[i], (0, 1)))
            )
            attention += weights[i] * c[:, None, None] * h[:, None] * w
        assert 0 < attention.min() < attention.max() < 1
        np.testing.assert_allclose(result, image * attention, rtol=1e-10, atol=1e-12)


# --------------------------------------------------------------------------------------------- the network


def functional(network, image, layout):
    """The graph of Fig. 2 written out; blocks are tested above."""

    def conv(name, x, stride=1):
        layer = getattr(network, name)
        return F.conv2d(x, layer.weight, layer.bias, stride, padding=layer.weight.shape[-1] // 2)

    def up(name, x):
        layer = getattr(network, name)
        if layer.weight.shape[-1] == 4:
            return F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1).relu()
        # A 3x3 transposed convolution spreads each pixel over 3x3 places, two apart; row and column 0 are cut.
        return F.conv_transpose2d(x, layer.weight, layer.bias, stride=2).relu()[..., 1:, 1:]

    def level(name, x):
        blocks = list(getattr(network, name))
        assert [type(block) for block in blocks] == [RB, PVB, DR][: 2 if name.startswith("enc") else 3]
        for block in blocks:
            x = block(x)
        return x

    def join(name, x, skip):
        if layout == "add":
            return x + skip
        both = torch.cat([x, skip], 1)
        return conv(name, both) if layout == "fuse" else both

    e1 = level("enc1", conv("head", image))
    e2 = level("enc2", conv("down1", e1, 2).relu())
    e3 = level("enc3", conv("down2", e2, 2).relu())
    d3 = level("dec3", network.context(e3))
    d2 = level("dec2", join("fuse2", up("up2", d3), e2))
    d1 = level("dec1", join("fuse1", up("up1", d2), e1))
    return image + conv("tail", d1)


@pytest.mark.parametrize("layout", ["reference", *simplenet.LAYOUTS])
def test_the_network_equals_an_independent_functional_form(layout):
    overrides = simplenet.LAYOUTS.get(layout, {}) | SMALL
    network = redraw(build("simplenet", **overrides)).double().eval()
    image = torch.rand(2, 3, 20, 28, dtype=torch.float64)
    with torch.no_grad():
        (found,) = network(image)
        expected = functional(network, image, overrides.get("skip", "fuse"))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        odd = network(image[..., :19, :25])[0]
        padded = network(F.pad(image[..., :19, :25], (0, 3, 0, 1), mode="reflect"))[0]
    torch.testing.assert_close(odd, padded[..., :19, :25])


def test_variants_differ_where_their_names_say():
    for variant, kinds in {
        "table3_baseline1": (RB, PVB, RB, LGCR),
        "table3_baseline2": (RB, PVB, DR, RB),
        "table3_baseline3": (RB, RB, DR, LGCR),
        "table5_nonlocal": (RB, PVB, DR, NonLocal),
        "table5_tt": (RB, PVB, DR, TT),
        "no_context": (RB, PVB, DR, nn.Identity),
    }.items():
        network = on_meta("simplenet", variant)
        for level in (network.dec1, network.dec2, network.dec3):
            assert (*map(type, level), type(network.context)) == kinds
        for level in (network.enc1, network.enc2, network.enc3):
            assert tuple(map(type, level)) == kinds[:2]
    assert on_meta("simplenet", "channel").context.gcrw.norm == "channel"


def test_without_the_global_residual_the_image_is_predicted():
    network = redraw(build("simplenet", **SMALL))
    other = build("simplenet", **SMALL, global_residual=False)
    other.load_state_dict(network.state_dict())
    image = torch.rand(1, 3, 16, 20)
    with torch.no_grad():
        torch.testing.assert_close(network(image)[0], other(image)[0] + image)


def test_starts():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        plain = build("simplenet")(image)[0] - image
    assert 1e-3 < plain.std() < 0.5  # Kaiming-normal weights would give about 100
    network = build("simplenet", **SMALL, init="identity").eval()
    for height, width in [(1, 1), (17, 31), *np.random.default_rng(0).integers(1, 66, (4, 2)).tolist()]:
        image = torch.rand(2, 3, height, width)
        with torch.no_grad():
            assert torch.equal(network(image)[0], image)
    network(image)[0].sub(torch.rand_like(image)).abs().mean().backward()
    assert network.tail.weight.grad.any()


def test_bad_settings():
    for field, value, known in (
        ("context", "attention", "lgcr, rb, nonlocal, tt, none"),
        ("gcrw_norm", "rows", "joint, joint_mean1, channel"),
        ("skip", "sum", "fuse, concat, add"),
        ("rb_kind", "wide", "plain, bottleneck"),
        ("up_kernel", 5, "3, 4"),
        ("init", "zero", "default, identity"),
    ):
        with pytest.raises(ValueError, match=rf"{field} '?{value}'?; choose one of {known}"):
            build("simplenet", **SMALL, **{field: value})
    with pytest.raises(ValueError, match="gcrw_norm 'rows'"):
        GCRW(norm="rows")


# --------------------------------------------------------------------------------------------- within SRN

TINY = {"widths": (4, 6, 8), "kernel": 3, "blocks": 2}


def test_lgcr_stands_between_srns_encoder_and_its_lstm():
    network = redraw(build("srn_lgcr", **TINY))
    assert isinstance(network.bottleneck, LGCR)
    seen = []
    for part in (network.enc3, network.bottleneck, network.lstm):
        part.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs[0], output)))
    network(torch.rand(1, 3, 32, 48))
    assert [module for module, _, _ in seen] == [network.enc3, network.bottleneck, network.lstm] * 3
    for first, second in pairwise(seen):
        if second[0] is not network.enc3:
            assert second[1] is first[2]


def test_a_pvb_ends_each_of_srns_levels():
    network = build("srn_pvb", **TINY)
    levels = (network.enc1, network.enc2, network.enc3, network.dec3, network.dec2, network.dec1)
    assert [[type(block) for block in level] for level in levels] == [[srn.RB2, srn.RB2, PVB]] * 6
    offsets = [module.offset for module in network.modules() if isinstance(module, DeformConv2d)]
    assert len(offsets) == 12
    assert not any(parameter.any() for offset in offsets for parameter in offset.parameters())


@pytest.mark.parametrize("name", ["srn_lgcr", "srn_pvb"])
@pytest.mark.parametrize("init", ["xavier", "identity"])
def test_srn_with_modules_starts_from_srns_weights(name, init):
    torch.manual_seed(3)
    plain = build("srn", **TINY, init=init).state_dict()
    torch.manual_seed(3)
    network = build(name, **TINY, init=init)
    # The identity start centres the answers of all units, to which LGCR adds next to nothing (Eq. 3).
    tolerance = 1e-5 if (name, init) == ("srn_lgcr", "identity") else 0
    for key, value in plain.items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=tolerance)
    if init == "identity":
        image = torch.rand(1, 3, 17, 32)
        with torch.no_grad():
            torch.testing.assert_close(network(image)[0], image, rtol=0, atol=1e-6)


def test_config_is_frozen_and_of_paper_size():
    config = simplenet.Config()
    assert (config.widths, config.rank, config.branch) == ((48, 96, 192), 64, 4)
    assert replace(config, rank=2).rank == 2
    with pytest.raises(AttributeError):
        config.rank = 3


# ------------------------------------------------------------------------------------------------- controls


def test_without_its_convolutions_lgcr_weighs_by_pooled_vectors():
    x = torch.randn(2, 3, 4, 5)
    network = build("simplenet", "without_conv1d", widths=(4, 8, 12))
    raw = GCRW(conv1d=False).raw(x)
    expected = torch.einsum("nc,nh,nw->nchw", x.mean((2, 3)), x.mean((1, 3)), x.mean((1, 2)))
    torch.testing.assert_close(raw, expected)
    assert not [name for name, _ in network.context.gcrw.named_parameters()]
    plain = build("simplenet", "without_raw_residual", widths=(4, 8, 12)).context
    x = torch.randn(1, 12, 4, 5)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), x + x * plain.gcrw(x))


def test_blocks_in_the_places_of_pvbs_make_a_network_of_its_size():
    config = recipes.recipe("simplenet").config
    size, equal = (parameters(on_meta("simplenet", v, **config)) for v in ("paper", "table3_baseline3_equal"))
    assert equal == pytest.approx(size, rel=0.02)
    widths = {
        block.conv1.out_channels / block.conv1.in_channels
        for block in build("simplenet", "table3_baseline3_equal", widths=(10, 20, 30)).modules()
        if isinstance(block, RB)
    }
    assert widths == {1.0, 1.3}


def test_one_stage_of_raidnet_has_the_size_of_two():
    config = recipes.recipe("raidnet").config
    size, equal = (parameters(on_meta("raidnet", v, **config)) for v in ("paper", "single_stage_equal"))
    assert equal == pytest.approx(size, rel=0.05)
