"""RADN against the paper's arithmetic, torchvision's DenseNet-121, explicit attention and an independent form."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import redraw
from torch import nn
from torchvision.models import densenet121
from torchvision.ops import deform_conv2d as operator

from deblur.evaluation.complexity import macs, on_meta, parameters, peak_bytes, sizes
from deblur.models import build, radn
from deblur.models.radn import Attend, Config, Context, Encoder, SelfAttention, SelfEnsemble
from deblur.recipes import recipe

SMALL = {
    "stem": 6,
    "blocks": (2, 1, 2),
    "growth": 4,
    "units": 2,
    "unit_growth": 3,
    "widths": (16, 12, 8),
    "bottlenecks": (5, 4, 3),
    "last": 4,
    "residual_widths": (4, 6, 8),
    "residual_blocks": 2,
}

COUNTS = {
    "paper": 12_982_135,
    "table1_radn1": 9_749_235,
    "table1_radn2": 9_749_235,
    "table1_radn3": 9_881_331,
    "table1_radn4": 11_193_331,
    "table2_conv6_def0_nosa": 2_659_075,
    "table2_conv6_def0_sa": 2_679_715,
    "table2_conv3_def3_nosa": 2_721_337,
    "table2_conv0_def6_nosa": 2_783_599,
    "table2_conv0_def6_sa": 2_804_239,
}
STACK4_DMPHN = 21_697_572


# -------------------------------------------------------------------------------------------------- sizes


def test_every_variant_has_a_counted_size():
    assert set(COUNTS) == set(radn.VARIANTS)


@pytest.mark.parametrize(("variant", "count"), COUNTS.items())
def test_parameter_counts(variant, count):
    assert parameters(on_meta("radn", variant)) == count


def test_counts_of_other_readings():
    counts = {name: parameters(on_meta("radn", **fields)) for name, fields in radn.LAYOUTS.items()}
    assert counts == {
        "blocks_12_16_24": 15_612_707,
        "blocks_12_16_24_narrow": 13_964_599,
        "no_stem_pool": 12_908_343,
    }
    assert parameters(on_meta("radn", gate=True)) == COUNTS["paper"] + 1


def test_only_blocks_of_6_12_24_have_the_printed_size():
    """40 % less than Stack(4)-DMPHN."""
    less = {"paper": 1 - COUNTS["paper"] / STACK4_DMPHN}
    less |= {name: 1 - parameters(on_meta("radn", **fields)) / STACK4_DMPHN for name, fields in radn.LAYOUTS.items()}
    rounded = {name: round(100 * share) for name, share in less.items()}
    assert rounded == {"paper": 40, "blocks_12_16_24": 28, "blocks_12_16_24_narrow": 36, "no_stem_pool": 41}


def test_parts_of_the_network():
    body = on_meta("radn").body
    found = {name: parameters(part) for name, part in body.named_children()}
    assert found == {
        "encoder": 4_270_272 + 2_048,
        "attention": 1_312_000,
        "ddm1": 3_617_452,
        "ddm2": 1_406_380,
        "ddm3": 787_244,
        "up1": 1_179_904,
        "up2": 295_040,
        "up3": 73_792,
        "up4": 36_896,
        "context": 132,
        "recon": 975,
    }
    assert {name: parameters(part) for name, part in body.encoder.named_children() if parameters(part)} == {
        "stem": 12_288 + 128,
        "block1": 335_040,
        "block2": 919_680,
        "block3": 2_837_760,
        "transition1": 33_280,
        "transition2": 132_096,
        "norm": 2_048,
    }


def test_sizes_of_the_second_family():
    """Four of the five printed sizes match; the text does not let the fourth (11.2) match with the rest."""
    names = [name for name in COUNTS if name.startswith("table2")]
    found = [f"{sizes(COUNTS[name])['size_mb']:.1f}" for name in names]
    assert found == ["10.6", "10.7", "10.9", "11.1", "11.2"]
    folded = [parameters(on_meta("radn", name, s2d=True)) for name in names]
    assert folded == [2_664_268, 2_684_908, 2_726_530, 2_788_792, 2_809_432]
    assert [f"{sizes(count)['size_mb']:.1f}" for count in folded] == ["10.7", "10.7", "10.9", "11.2", "11.2"]


def test_operations_at_720p():
    found = {name: round(2 * macs(on_meta("radn", name), 720, 1280) / 1e9) for name in ("paper", "table1_radn3")}
    assert found == {"paper": 338, "table1_radn3": 247}
    assert round(macs(on_meta("radn", "table2_conv0_def6_sa", s2d=True), 720, 1280) / 1e9) == 116


# -------------------------------------------------------------------------------------------- the network


def functional(state, image, units, deformable=True, attention=True):
    """The dense family from its weights alone, in evaluation mode, for sizes that need no padding."""

    def norm(name, x):
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def conv(name, x, **args):
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **args)

    def block(name, x, count):
        for unit in range(count):
            part = f"encoder.{name}.units.{unit}"
            y = conv(f"{part}.2", norm(f"{part}.0", x).relu())
            x = torch.cat([x, conv(f"{part}.5", norm(f"{part}.3", y).relu(), padding=1)], 1)
        return x

    def transition(name, x):
        return F.avg_pool2d(conv(f"encoder.{name}.2", norm(f"encoder.{name}.0", x).relu()), 2)

    def module(name, x):
        for unit in range(units):
            part = f"{name}.0.units.{unit}"
            h = norm(f"{part}.0", x).relu()
            if deformable:
                offset = conv(f"{part}.2.offset", h, padding=1)
                y = operator(h, offset, state[f"{part}.2.weight"], state[f"{part}.2.bias"], padding=1)
            else:
                y = conv(f"{part}.2", h, padding=1)
            x = torch.cat([x, y], 1)
        return conv(f"{name}.1", x)

    def raised(name, x):
        weight, bias = state[f"{name}.0.weight"], state[f"{name}.0.bias"]
        x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
        return x if name in ("up1", "up2") else x.relu()

    mean, deviation = (torch.tensor(values).to(image).view(3, 1, 1) for values in radn.IMAGENET)
    folded = F.pixel_unshuffle((image - mean) / deviation, 2)
    f0 = norm("encoder.stem.3", conv("encoder.stem.2", F.pad(folded, (2, 1, 2, 1)))).relu()
    p0 = F.max_pool2d(f0, 3, 2, 1)
    t1 = transition("transition1", block("block1", p0, 2))
    a = norm("encoder.norm.0", block("block3", transition("transition2", block("block2", t1, 1)), 2)).relu()
    x = a
    if attention:
        b, c, d = (conv(f"attention.{name}", a).flatten(2) for name in "bcd")
        s = torch.einsum("nki,nkj->nij", b, c).softmax(1)  # over the sources i
        x = a + torch.einsum("nci,nij->ncj", d, s).view(a.shape)
    x = raised("up1", module("ddm1", x))
    x = raised("up2", module("ddm2", torch.cat([x, t1], 1)))
    x = raised("up3", module("ddm3", torch.cat([x, p0], 1)))
    x = raised("up4", torch.cat([x, f0], 1))
    maps = [x]
    for index, size in enumerate((4, 8, 16, 32)):
        cells = F.leaky_relu(conv(f"context.scales.{index}.1", F.avg_pool2d(x, size)), 0.2)
        maps.append(F.interpolate(cells, size=x.shape[-2:], mode="bilinear"))
    return image + conv("recon", torch.cat(maps, 1), padding=1)


@pytest.mark.parametrize("variant", ["paper", "table1_radn3", "table1_radn4"])
def test_the_network_equals_an_independent_functional_form(variant):
    network = redraw(build("radn", variant, **SMALL)).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    image = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    choices = {"deformable": variant == "paper", "attention": variant != "table1_radn3"}
    with torch.no_grad():
        (found,) = network(image)
        expected = functional(network.body.state_dict(), image, 2, **choices)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def residual_form(state, image, bends, attention, s2d):
    """The residual family from its weights alone."""

    def conv(name, x, stride=1):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        if f"{name}.offset.weight" in state:
            return operator(x, conv(f"{name}.offset", x), weight, bias, padding=1)
        return F.conv2d(x, weight, bias, stride, padding=weight.shape[-1] // 2)

    def blocks(name, x, first, count=2):
        for index in range(first, first + count):
            x = x + conv(f"{name}.{index}.conv2", conv(f"{name}.{index}.conv1", x).relu())
        return x

    def raised(name, x):
        return F.conv_transpose2d(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], 2, 1, 1).relu()

    e1 = blocks("enc1", conv("enc1.0", F.pixel_unshuffle(image, 2) if s2d else image).relu(), 2)
    e2 = blocks("enc2", conv("enc2.0", e1, 2).relu(), 2)
    x = conv("middle.0", blocks("enc3", conv("enc3.0", e2, 2).relu(), 2)).relu()
    if attention:
        b, c, d = (conv(f"attention.{name}", x).flatten(2) for name in "bcd")
        x = x + (d @ (b.mT @ c).softmax(1)).view(x.shape)
    x = blocks("trunk", x, 0)
    x = blocks("dec2", raised("up2", x) + e2, 0)
    x = conv("recon", blocks("dec1", raised("up1", x) + e1, 0))
    assert sum("trunk" in name and "offset.weight" in name for name in state) == bends
    return image + (F.pixel_shuffle(x, 2) if s2d else x)


@pytest.mark.parametrize("s2d", [False, True])
@pytest.mark.parametrize(("variant", "bends"), list(zip(list(COUNTS)[5:], (0, 0, 2, 4, 4))))
def test_the_second_family_equals_an_independent_functional_form(variant, bends, s2d):
    network = redraw(build("radn", variant, **SMALL, s2d=s2d)).double().eval()
    image = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    with torch.no_grad():
        (found,) = network(image)
        expected = residual_form(network.body.state_dict(), image, bends, not variant.endswith("nosa"), s2d)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stem_pool", [True, False])
def test_shapes_of_the_stages(stem_pool):
    network = on_meta("radn", stem_pool=stem_pool)
    shapes = {}
    for name, module in network.body.named_children():
        module.register_forward_hook(lambda _, __, output, name=name: shapes.setdefault(name, output))
    network(torch.empty(1, 3, 256, 256, device="meta"))
    f0, p0, t1, deepest = (tuple(tensor.shape[1:]) for tensor in shapes.pop("encoder"))
    factor = 1 if stem_pool else 2
    assert (f0, p0) == ((64, 128, 128), (64, 64 * factor, 64 * factor))
    assert (t1, deepest) == ((128, 32 * factor, 32 * factor), (1024, 16 * factor, 16 * factor))
    found = {name: tuple(tensor.shape[1:]) for name, tensor in shapes.items()}
    ups = {"up1": (256, 32, 32), "up2": (128, 64, 64), "up3": (64, 128, 128), "up4": (32, 256, 256)}
    if not stem_pool:
        ups = {"up1": (256, 64, 64), "up2": (128, 128, 128), "up3": (32, 256, 256)}
    assert {name: shape for name, shape in found.items() if name.startswith("up")} == ups
    assert found["attention"] == deepest
    assert found["context"] == (36, 256, 256)


@pytest.mark.parametrize("variant", COUNTS)
def test_a_fresh_network_returns_its_input(variant):
    torch.manual_seed(0)
    network = build("radn", variant, **SMALL)
    for mode in (network.train(), network.eval()):
        for height, width in [(1, 1), (48, 32), (17, 31), (3, 65)]:
            image = torch.rand(2, 3, height, width)
            with torch.no_grad():
                assert torch.equal(mode(image)[0], image)


@pytest.mark.parametrize("variant", ["paper", "table1_radn2", "table1_radn4"])
@pytest.mark.parametrize("shift", [-100.0, 100.0])
@pytest.mark.parametrize(("raised", "module"), [("up1", "ddm2"), ("up2", "ddm3")])
def test_no_bias_kills_a_channel_before_batch_normalisation(variant, shift, raised, module):
    # After a ReLU a channel may be nearly always zero; BN then divides its rare values by next to nothing.
    network = build("radn", variant, **recipe("radn").config).train()
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = []
    network.body.get_submodule(module)[0].units[0][0].register_forward_hook(
        lambda _, __, made: seen.append(made.detach())
    )
    network(image)
    deconvolution = network.body.get_submodule(raised)[0]
    with torch.no_grad():
        deconvolution.bias += shift
    network(image)
    before, after = (made[:, : deconvolution.out_channels] for made in seen)
    assert before.std((0, 2, 3)).min() > 0.9
    torch.testing.assert_close(before, after, rtol=0, atol=0.01)


def test_a_fresh_networks_other_weights_are_not_zero():
    torch.manual_seed(0)
    network = build("radn", **SMALL)
    zero = {name for name, parameter in network.named_parameters() if "weight" in name and not parameter.any()}
    expected = {"body.recon.weight", "body.attention.d.weight"}
    assert zero == expected | {f"body.ddm{i}.0.units.{j}.2.offset.weight" for i in (1, 2, 3) for j in (0, 1)}


def test_bad_settings():
    with pytest.raises(ValueError, match=r"unknown family 'wide'.*dense, residual"):
        build("radn", **SMALL, family="wide")
    with pytest.raises(ValueError, match=r"unknown decoder 'x'.*deformable, ordinary, bottleneck"):
        build("radn", **SMALL, decoder="x")
    with pytest.raises(ValueError, match=r"unknown trunk 'y'.*ordinary, mixed, deformable"):
        build("radn", **SMALL, trunk="y")


# -------------------------------------------------------------------------------------------- the modules


class Explicit(nn.Module):
    """SA's residual by Eqs. 5 and 6 with the whole matrix."""

    def forward(self, b, c, d):
        s = (c.flatten(2).mT @ b.flatten(2)).softmax(-1)  # s[j, i]
        return (d.flatten(2) @ s.mT).view(d.shape)


def test_attention_equals_loops():
    b, c, d = (torch.randn(2, channels, 2, 3, dtype=torch.float64) for channels in (2, 2, 5))
    found = Attend()(b, c, d).flatten(2)
    flat_b, flat_c, flat_d = (tensor.flatten(2) for tensor in (b, c, d))
    for n in range(2):
        for j in range(6):
            weights = [float(torch.exp(flat_b[n, :, i] @ flat_c[n, :, j])) for i in range(6)]
            expected = sum(w * flat_d[n, :, i] for i, w in enumerate(weights)) / sum(weights)
            torch.testing.assert_close(found[n, :, j], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (16, 17), (20, 33)])
def test_attention_by_rows_equals_the_explicit_form_and_its_gradients(height, width):
    tensors = [torch.randn(2, channels, height, width, dtype=torch.float64) for channels in (3, 3, 8)]
    results = []
    for module in (Attend(), Explicit()):
        inputs = [tensor.clone().requires_grad_() for tensor in tensors]
        y = module(*inputs)
        results.append((y, *torch.autograd.grad(y.sin().sum(), inputs)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_attention_at_720p_needs_less_than_forty_per_cent_of_the_explicit_memory():
    b, c, d = (torch.empty(1, channels, 45, 80, device="meta") for channels in (128, 128, 1024))
    ours, explicit = (peak_bytes(module, b, c, d) for module in (Attend(), Explicit()))
    assert explicit >= 2 * 4 * 3600**2
    assert ours < 0.4 * explicit


def test_a_gate_starts_closed():
    image = torch.randn(1, 16, 5, 6)
    gated = redraw(SelfAttention(16, gate=True))
    assert not torch.equal(gated(image), image)
    with torch.no_grad():
        gated.gate.zero_()
    assert torch.equal(gated(image), image)


def test_context_pools_what_there_is_at_the_border():
    context = redraw(Context(3)).double()
    x = torch.rand(1, 3, 40, 36, dtype=torch.float64)
    found = context(x)
    assert torch.equal(found[:, :3], x)
    layer = context.scales[3][1]
    cells = torch.empty(1, 1, 2, 2, dtype=torch.float64)
    for i, rows in enumerate((slice(0, 32), slice(32, 40))):
        for j, columns in enumerate((slice(0, 32), slice(32, 36))):
            mean = x[0, :, rows, columns].mean((1, 2))
            cells[0, 0, i, j] = F.leaky_relu(layer.weight[0, :, 0, 0] @ mean + layer.bias[0], 0.2)
    expected = F.interpolate(cells, size=(40, 36), mode="bilinear")
    torch.testing.assert_close(found[:, 6:], expected, rtol=1e-12, atol=1e-12)


# -------------------------------------------------------------------------------------------- pre-training


@pytest.fixture(scope="module")
def densenet():
    torch.manual_seed(0)
    network = densenet121(weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network


def test_folding_the_stem():
    weight = torch.randn(5, 3, 7, 7, dtype=torch.float64)
    image = torch.randn(1, 3, 20, 14, dtype=torch.float64)
    expected = F.conv2d(image, weight, stride=2, padding=3)
    padded = F.pad(F.pixel_unshuffle(image, 2), (2, 1, 2, 1))
    torch.testing.assert_close(F.conv2d(padded, radn.fold_stem(weight)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("names", ["new", "old"])
def test_the_loaded_encoder_equals_densenet(densenet, tmp_path, names):
    state = densenet.state_dict()
    if names == "old":  # as in torchvision's file, which is older than batch counters
        state = {name: value for name, value in state.items() if "num_batches" not in name}
        for layer in ("norm1", "conv1", "norm2", "conv2"):
            state = {
                name.replace(layer, f"{layer[:-1]}.{layer[-1]}") if "denselayer" in name else name: value
                for name, value in state.items()
            }
        assert any("denselayer1.norm.1.weight" in name for name in state)
    torch.save(state, tmp_path / "densenet.pth")
    network = build("radn").eval()
    before = network.body.encoder.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    radn.load_pretrained(network, tmp_path / "densenet.pth")
    encoder = network.body.encoder
    unchanged = [name for name, tensor in encoder.state_dict().items() if torch.equal(tensor, before[name])]
    assert all("num_batches_tracked" in name for name in unchanged)

    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        f0, p0, t1, deepest = encoder(image)
        x, features = (image - encoder.mean) / encoder.deviation, densenet.features
        x = features.relu0(features.norm0(features.conv0(x)))
        torch.testing.assert_close(f0, x, rtol=0, atol=1e-4)
        x = features.pool0(x)
        torch.testing.assert_close(p0, x, rtol=0, atol=1e-4)
        x = features.transition1(features.denseblock1(x))
        torch.testing.assert_close(t1, x, rtol=0, atol=1e-4)
        x = features.denseblock3(features.transition2(features.denseblock2(x)))
        x = features.transition3.relu(features.transition3.norm(x))
    torch.testing.assert_close(deepest, x, rtol=0, atol=1e-4)


def test_the_loader_fails_loudly(densenet, tmp_path):
    path = tmp_path / "weights.pth"
    network = build("radn")
    state = densenet.state_dict()
    missing = {name: value for name, value in state.items() if "denseblock2.denselayer3.conv2" not in name}
    torch.save(missing, path)
    with pytest.raises(ValueError, match=r"missing features.denseblock2.denselayer3.conv2.weight"):
        radn.load_pretrained(network, path)
    torch.save(state | {"features.transition1.conv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ValueError, match=r"transition1.conv.weight gives \(3, 3\), the encoder has \(128, 256, 1, 1\)"):
        radn.load_pretrained(network, path)
    torch.save(state, path)
    for overrides in (SMALL, {"growth": 16}, radn.LAYOUTS["blocks_12_16_24"], {"family": "residual"}):
        with pytest.raises(ValueError, match="full width only"):
            radn.load_pretrained(build("radn", **overrides), path)


def test_every_tensor_of_the_encoder_has_a_name_in_densenet(densenet):
    wanted = {radn.densenet_name(name) for name in on_meta("radn").body.encoder.state_dict()}
    assert len(wanted) == len(on_meta("radn").body.encoder.state_dict())
    assert wanted <= set(densenet.state_dict())


# ------------------------------------------------------------------------------------------ self-ensemble


class Crooked(nn.Module):
    """Not equivariant: it knows left from right and up from down."""

    def forward(self, x):
        ramp = torch.arange(x.shape[-1], dtype=x.dtype) + 10 * torch.arange(x.shape[-2], dtype=x.dtype)[:, None]
        return (x + 0.1 * x.roll(1, -1) * ramp + 0.2 * x.roll(2, -2), x)


def test_self_ensemble_is_the_mean_of_eight_terms():
    x = torch.rand(2, 3, 5, 7)
    net = Crooked()

    def f(image):
        return net(image)[0].double()

    def t(image):
        return image.transpose(-1, -2)

    up, left = (-2,), (-1,)
    both = (-2, -1)
    terms = [
        f(x),
        f(x.flip(left)).flip(left),
        f(x.flip(up)).flip(up),
        f(x.flip(both)).flip(both),
        t(f(t(x))),
        t(f(t(x).flip(left)).flip(left)),
        t(f(t(x).flip(up)).flip(up)),
        t(f(t(x).flip(both)).flip(both)),
    ]
    found = SelfEnsemble(net)(x)
    assert len(found) == 1
    torch.testing.assert_close(found[0], (sum(terms) / 8).float(), rtol=0, atol=2e-7)
    assert (found[0] - terms[0].float()).abs().max() > 0.1


def test_self_ensemble_of_the_identity_is_the_identity():
    x = torch.rand(1, 3, 9, 4)
    fresh = build("radn", **SMALL).eval()
    with torch.no_grad():
        assert torch.equal(SelfEnsemble(fresh)(x)[0], x)


def test_self_ensemble_commutes_with_the_symmetries():
    network = redraw(build("radn", "table2_conv0_def6_sa", **SMALL)).double().eval()
    x = torch.rand(1, 3, 12, 20, dtype=torch.float64)
    with torch.no_grad():
        plain, turned = (SelfEnsemble(network)(image)[0] for image in (x, x.rot90(1, (-2, -1)).flip(-1)))
    torch.testing.assert_close(turned, plain.rot90(1, (-2, -1)).flip(-1), rtol=1e-10, atol=1e-10)


def test_config_is_frozen_and_of_paper_size():
    config = Config()
    assert (config.blocks, config.growth, config.units, config.widths) == ((6, 12, 24), 32, 6, (512, 256, 128))
    with pytest.raises(AttributeError):
        config.growth = 3
    assert replace(config, growth=3).growth == 3
    assert Encoder(stem=6, blocks=(1, 2, 3), growth=2, transitions=(5, 7), stem_pool=True).channels == (6, 6, 5, 13)
