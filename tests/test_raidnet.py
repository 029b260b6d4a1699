"""RAID-Net against the paper's arithmetic, loops over heads and regions, and an independent functional form."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw

from deblur.evaluation import probes
from deblur.evaluation.complexity import layer_table, macs, on_meta, parameters, sizes
from deblur.models import build, raidnet
from deblur.models.raidnet import LRR, MHAM, Adjacency, Block, GraphGeneration, RegionMasks

SMALL = {"base_channels": 4, "kernel": 3, "blocks": 2, "heads": 4}
LOCAL = {"heads": 4, "adjacency": "regions", "axis": "positions", "scale": "area"}

COUNTS = {
    "paper": 5_122_206,
    "table2_minus": 1_283_294,
    "table2_plus": 20_466_974,
    "table2_single_stage": 2_528_739,
    "table2_double_stage": 5_057_478,
    "single_stage_equal": 5_222_521,
    "without_ssim": 5_122_206,
    "c20": 8_000_030,
    "plain_block": 3_443_334 + 64_728,
    "plain_double_stage": 3_443_334,
    "tied_stages": 2_593_467,
    "global_residual": 5_122_206,
    "mask_over_heads": 5_122_206,
    "mask_scale_max": 5_122_206,
    "mask_scale_none": 5_122_206,
    "adjacency_global": 5_122_206 - 72 + 576,
    "adjacency_identity": 5_122_206 - 72,
}


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# -------------------------------------------------------------------------------------------------- sizes


def test_every_variant_has_a_counted_size():
    assert set(COUNTS) == set(raidnet.VARIANTS)


@pytest.mark.parametrize(("variant", "count"), COUNTS.items())
def test_parameter_counts(variant, count):
    assert parameters(on_meta("raidnet", variant)) == count


@pytest.mark.parametrize(
    ("overrides", "count", "gmacs"),
    [
        ({"base_channels": 8}, 1_283_294, 167.2),
        ({}, 5_122_206, 664.3),
        ({"base_channels": 20}, 8_000_030, 1036.5),
        ({"base_channels": 24}, 11_516_766, 1491.3),
        ({"size": 2}, 20_466_974, 2648.1),
        ({"stages": 1}, 2_528_739, 330.4),
        ({"lrr": False}, 5_057_478, 660.8),
        ({"tied": True}, 2_593_467, 664.3),  # half the weights, the same work
    ],
)
def test_sizes_and_multiply_accumulates_at_720p(overrides, count, gmacs):
    network = on_meta("raidnet", **overrides)
    assert parameters(network) == count
    assert macs(network, 720, 1280) / 1e9 == pytest.approx(gmacs, abs=0.05)


def test_the_size_in_mib():
    assert f"{sizes(COUNTS['paper'])['size_mib']:.2f}" == "19.54"


def counted(c, kernel, blocks):
    """Both stages and LRR with 8 heads, by hand."""
    area = kernel * kernel
    ends = area * 3 * c + c + area * 3 * c + 3
    downs = sum(area * 2 * w * w + 2 * w for w in (c, 2 * c))
    ups = sum(16 * 2 * w * w + w for w in (c, 2 * c))
    levels = sum(2 * blocks * 3 * (area * w * w + w) for w in (c, 2 * c, 4 * c))
    w = 4 * c
    attention = (9 * w * w + w) + 3 * (9 * w * w // 8 + 2 * w) + (9 * w + 8)
    reasoning = (w + 8) + (w * w + w) + (8 * w + 8) + w * w + (w * w + w)
    return 2 * (ends + downs + ups + levels) + attention + reasoning


@pytest.mark.parametrize(("c", "kernel", "blocks"), [(16, 5, 3), (8, 3, 3), (16, 3, 3), (20, 3, 2), (32, 3, 3)])
def test_parameters_by_hand(c, kernel, blocks):
    assert parameters(on_meta("raidnet", base_channels=c, kernel=kernel, blocks=blocks)) == counted(c, kernel, blocks)


@pytest.mark.parametrize(("channels", "count"), [(32, 16_632), (64, 64_728), (128, 255_384)])
def test_lrr_counts(channels, count):
    with torch.device("meta"):
        lrr = LRR(channels, **(LOCAL | {"heads": 8}))
    assert parameters(lrr) == count
    assert parameters(lrr.reasoning.adjacency) == 8 * channels // 8 + 8


def test_layers_of_one_stage():
    table = layer_table(on_meta("raidnet").stages[0]).set_index("module")
    blocks = {c: 3 * 3 * (25 * c * c + c) for c in (16, 32, 64)}  # 3 blocks of 3 convolutions
    assert (blocks[16], blocks[32], blocks[64]) == (57_744, 230_688, 922_176)
    assert table["parameters"].to_dict() == {
        "enc1": 1_216 + blocks[16],
        "enc2": 12_832 + blocks[32],
        "enc3": 51_264 + blocks[64],
        "dec3": blocks[64] + 32_800,
        "dec2": blocks[32] + 8_208,
        "dec1": blocks[16] + 1_203,
    }
    up = [(32, 128, 128), (16, 256, 256), (3, 256, 256)]
    assert list(table["output"]) == [(16, 256, 256), (32, 128, 128), (64, 64, 64), *up]


# ---------------------------------------------------------------------------------------------- the block


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("kind", raidnet.BLOCKS)
def test_the_block_sums_its_branches(kernel, kind):
    block = redraw(Block(4, kernel, kind=kind)).double()
    x = random(2, 4, 9, 11)

    def conv(layer, x, rate=1):
        # A dilated convolution is a plain one with zeros between its weights.
        weight = layer.weight.new_zeros(4, 4, *2 * ((kernel - 1) * rate + 1,))
        weight[..., ::rate, ::rate] = layer.weight
        return F.conv2d(F.pad(x, (rate * (kernel // 2),) * 4), weight, layer.bias)

    expected = x + conv(block.conv2, conv(block.conv1, x).clamp(min=0))
    if kind == "three_branch":
        expected = expected + conv(block.dilated, x, rate=2)
    torch.testing.assert_close(block(x), expected)


def test_grouped_blocks_with_norm_are_independent_blocks():
    """Head by head in its own block, normalised over the batch and over positions."""
    block = redraw(Block(6, 3, groups=3, norm=True)).double().train()
    x = random(4, 6, 8, 10)

    def branch(part, x, rows, rate=1):
        conv, norm = part
        y = F.conv2d(x, conv.weight[rows], padding=rate, dilation=rate)
        mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), correction=0, keepdim=True)
        y = (y - mean) / (variance + norm.eps).sqrt()
        return y * norm.weight[rows].reshape(1, -1, 1, 1) + norm.bias[rows].reshape(1, -1, 1, 1)

    found = block(x)
    for head in range(3):
        rows = slice(2 * head, 2 * head + 2)
        own = x[:, rows]
        expected = own + branch(block.conv2, branch(block.conv1, own, rows).relu(), rows)
        torch.testing.assert_close(found[:, rows], expected + branch(block.dilated, own, rows, rate=2))


# ---------------------------------------------------------------------------------------------- attention


@pytest.mark.parametrize("axis", raidnet.MASK_AXES)
@pytest.mark.parametrize("scale", raidnet.MASK_SCALES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 8), (13, 4)])
def test_masks_are_scaled_softmaxes(axis, scale, height, width):
    masks = redraw(RegionMasks(12, 4, axis=axis, scale=scale)).double()
    residual = 3 * random(2, 12, height, width)
    with torch.no_grad():
        found, z = masks(residual).numpy(), masks.conv(residual).numpy()
    assert found.shape == (2, 4, height, width)
    for image in range(2):
        for y in range(height):
            for x in range(width):
                for head in range(4):
                    rivals = z[image, head] if axis == "positions" else z[image, :, y, x]
                    value = np.exp(z[image, head, y, x]) / np.exp(rivals).sum()
                    factor = {"none": 1, "area": rivals.size, "max": np.exp(rivals).sum() / np.exp(rivals.max())}[scale]
                    assert found[image, head, y, x] == pytest.approx(factor * value, rel=1e-9)


@pytest.mark.parametrize("axis", raidnet.MASK_AXES)
def test_area_scaled_masks_have_mean_one_and_max_scaled_ones_are_bounded(axis):
    dim = (2, 3) if axis == "positions" else 1
    residual = 5 * random(2, 8, 9, 7)
    area = redraw(RegionMasks(8, 4, axis=axis, scale="area")).double()(residual)
    torch.testing.assert_close(area.mean(dim), torch.ones_like(area.mean(dim)))
    largest = redraw(RegionMasks(8, 4, axis=axis, scale="max")).double()(residual).amax(dim)
    assert torch.equal(largest, torch.ones_like(largest))


def test_large_logits_do_not_overflow():
    masks = redraw(RegionMasks(8, 4, axis="positions", scale="area"))
    assert torch.isfinite(masks(1e5 * torch.randn(1, 8, 6, 6))).all()


def test_mham_weighs_each_heads_residual_map():
    """Eq. 4, head by head from the weights alone."""
    mham = redraw(MHAM(12, 3, axis="positions", scale="none")).double().eval()
    x = random(2, 12, 6, 7)
    with torch.no_grad():
        found = mham(x)
        for head in range(3):
            own = slice(4 * head, 4 * head + 4)
            inlet = F.conv2d(x, mham.conv.weight[own], mham.conv.bias[own], padding=1).relu()
            alone = Block(4, 3, groups=1, norm=True).double().eval()
            alone.load_state_dict(
                {name: value[own] if value.dim() else value for name, value in mham.block.state_dict().items()}
            )
            residual = alone(inlet)
            z = F.conv2d(residual, mham.masks.conv.weight[head : head + 1], padding=1)  # its bias cancels
            mask = z.flatten(1).softmax(1).reshape(z.shape)
            torch.testing.assert_close(found[:, own], residual * mask)


# ---------------------------------------------------------------------------------------------- reasoning


def softmax(values):
    shifted = np.exp(values - values.max())
    return shifted / shifted.sum()


def test_adjacency_gathers_column_by_column():
    adjacency = redraw(Adjacency(12, 4, "regions")).double()
    regions = random(2, 12, 5, 6)
    weight, bias = adjacency.conv.weight.detach().numpy()[..., 0, 0], adjacency.conv.bias.detach().numpy()
    found = adjacency(regions).detach().numpy()
    assert found.shape == (2, 4, 4)
    np.testing.assert_allclose(found.sum(1), 1)
    for image, result in zip(regions.numpy(), found):
        for j in range(4):
            own = image[3 * j : 3 * j + 3].reshape(3, -1)
            np.testing.assert_allclose(result[:, j], softmax(weight @ (own.mean(1) - own.max(1)) + bias))


def test_global_adjacency_ignores_the_order_of_regions_and_the_other_does_not():
    regions = random(1, 12, 5, 6)
    shuffled = regions.reshape(1, 4, 3, 5, 6)[:, [2, 0, 3, 1]].reshape(regions.shape)
    over_all = redraw(Adjacency(12, 4, "global")).double()
    assert parameters(over_all) == 3 * 16 + 16
    found = over_all(regions)
    torch.testing.assert_close(found, over_all(shuffled))
    torch.testing.assert_close(found.sum(1), torch.ones(1, 4, dtype=torch.float64))
    by_region = redraw(Adjacency(12, 4, "regions")).double()
    torch.testing.assert_close(by_region(regions)[..., [2, 0, 3, 1]], by_region(shuffled))
    assert not torch.allclose(by_region(regions), by_region(shuffled))


@pytest.mark.parametrize("kind", raidnet.ADJACENCIES)
def test_adjacency_ignores_the_order_of_positions(kind):
    adjacency = redraw(Adjacency(8, 4, kind)).double()
    regions = random(2, 8, 5, 6)
    shuffled = regions.flatten(2)[..., torch.randperm(30)].reshape(regions.shape)
    torch.testing.assert_close(adjacency(regions), adjacency(shuffled))


def test_the_identity_adjacency_has_no_weights():
    adjacency = Adjacency(8, 4, "identity")
    assert parameters(adjacency) == 0
    assert torch.equal(adjacency(torch.rand(2, 8, 3, 3)), torch.eye(4).expand(2, 4, 4))


def test_nodes_are_means_of_products():
    """Eq. 5: node j's feature c is the mean over positions of P1[c] P2[j]."""
    generation = redraw(GraphGeneration(6, 3)).double()
    regions = random(1, 6, 4, 5)
    with torch.no_grad():
        nodes, p2 = generation(regions)
        p1 = generation.path1(regions)
    assert nodes.shape == (1, 6, 3)
    assert p2.shape == (1, 3, 20)
    for c in range(6):
        for j in range(3):
            assert nodes[0, c, j] == pytest.approx(float((p1[0, c].flatten() * p2[0, j]).mean()))


def functional_lrr(weights, x, heads):
    """LRR of a batch in evaluation mode, from its weights alone, one image and one head at a time."""
    w = {name.removeprefix("lrr."): value for name, value in weights.items() if name.startswith("lrr.")}

    def norm(name, y):
        scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
        shift = w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale
        return y * scale[:, None, None] + shift[:, None, None]

    def grouped(name, y, rate=1):
        return norm(f"{name}.1", F.conv2d(y, w[f"{name}.0.weight"], padding=rate, dilation=rate, groups=heads))

    def point(name, y):
        return torch.einsum("oi,in->on", w[f"{name}.weight"].flatten(1), y) + w[f"{name}.bias"][:, None]

    results = []
    for image in x:
        _, height, width = image.shape
        inlet = F.conv2d(image[None], w["attention.conv.weight"], w["attention.conv.bias"], padding=1).relu()[0]
        block = "attention.block"
        residual = inlet + grouped(f"{block}.dilated", inlet, 2)
        residual = residual + grouped(f"{block}.conv2", grouped(f"{block}.conv1", inlet).relu())
        z = F.conv2d(residual, w["attention.masks.conv.weight"], padding=1, groups=heads).flatten(1)
        masks = height * width * z.exp() / z.exp().sum(1, keepdim=True)
        f = (residual.reshape(heads, -1, height * width) * masks[:, None]).reshape(len(residual), -1)
        pooled = torch.stack([part.mean(1) - part.max(1).values for part in f.chunk(heads)], 1)
        adjacency = point("reasoning.adjacency.conv", pooled).softmax(0)
        p1, p2 = point("reasoning.generation.path1", f), point("reasoning.generation.path2", f)
        nodes = p1 @ p2.T / (height * width)
        reasoned = (w["reasoning.theta.weight"].flatten(1) @ nodes @ adjacency).relu()
        results.append(point("reasoning.fuse", reasoned @ p2 + f).reshape(image.shape))
    return torch.stack(results)


def functional(weights, blurred):
    """The network in evaluation mode from its weights alone."""

    def conv(name, x, stride=1, rate=1):
        weight = weights[f"{name}.weight"]
        pad = rate * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, weights[f"{name}.bias"], stride, pad, rate)

    def blocks(level, x):
        for i in range(2):
            name = f"{level}.blocks.{i}"
            x = x + conv(f"{name}.conv2", conv(f"{name}.conv1", x).relu()) + conv(f"{name}.dilated", x, rate=2)
        return x

    def up(level, x):
        tail = f"{level}.tail"
        return F.conv_transpose2d(x, weights[f"{tail}.weight"], weights[f"{tail}.bias"], stride=2, padding=1).relu()

    def stage(t, x):
        s = f"stages.{t}"
        e1 = blocks(f"{s}.enc1", conv(f"{s}.enc1.head", x).relu())
        e2 = blocks(f"{s}.enc2", conv(f"{s}.enc2.head", e1, 2).relu())
        e3 = blocks(f"{s}.enc3", conv(f"{s}.enc3.head", e2, 2).relu())
        if t == 1:
            e3 = e3 + functional_lrr(weights, e3, 4)
        d2 = up(f"{s}.dec3", blocks(f"{s}.dec3", e3)) + e2
        d1 = up(f"{s}.dec2", blocks(f"{s}.dec2", d2)) + e1
        return conv(f"{s}.dec1.tail", blocks(f"{s}.dec1", d1))

    height, width = blurred.shape[-2:]
    coarse = stage(0, F.pad(blurred, (0, -width % 4, 0, -height % 4), mode="reflect"))
    return stage(1, coarse)[..., :height, :width], coarse[..., :height, :width]


@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 24, 32), (5, 18, 27)])
def test_the_network_equals_an_independent_functional_form(kernel, height, width):
    network = redraw(build("raidnet", **(SMALL | {"kernel": kernel}))).double()
    network.train()(torch.rand(4, 3, 32, 32, dtype=torch.float64))  # running statistics of their own
    network.eval()
    blurred = random(2, 3, height, width).sigmoid()
    with torch.no_grad():
        found = network(blurred)
        expected = functional(network.state_dict(), blurred)
    for output, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(output, reference, rtol=1e-8, atol=1e-8)


# ------------------------------------------------------------------------------- scale with the image's size


def lrr_spread(side, scale, seed):
    """Standard deviations of the weighted regions and of what reasoning adds to them, redrawn weights, random input."""
    lrr = redraw(LRR(16, **(LOCAL | {"scale": scale})), seed).double().eval()
    features = random(1, 16, side, side, seed=seed)
    with torch.no_grad():
        regions = lrr.attention(features)
        return float(regions.std()), float(lrr(features).std())


def test_lrr_of_area_scaled_masks_does_not_change_scale_with_the_images_size():
    for seed in range(3):
        small, large = lrr_spread(32, "area", seed), lrr_spread(128, "area", seed)
        assert large == pytest.approx(small, rel=0.2)


def test_bare_softmax_masks_shrink_with_the_area():
    """Why the masks are scaled: four times the side, a sixteenth of the features."""
    for seed in range(3):
        small, large = lrr_spread(32, "none", seed)[0], lrr_spread(128, "none", seed)[0]
        assert small / large == pytest.approx(16, rel=0.2)


# ----------------------------------------------------------------------------------------------- the stages


@pytest.mark.parametrize("detach", [True, False])
def test_the_final_image_teaches_stage_1_unless_detached(detach):
    network = redraw(build("raidnet", **SMALL, detach=detach))
    image = torch.rand(2, 3, 16, 16)
    network(image)[0].square().mean().backward()
    reached = [any(p.grad is not None and p.grad.any() for p in stage.parameters()) for stage in network.stages]
    assert reached == [not detach, True]


def test_stage_2_is_stage_1_with_lrr():
    """Equal weights in both stages compute what tied ones do; without LRR stage 2 is stage 1 again."""
    tied = redraw(build("raidnet", "tied_stages", **SMALL)).eval()
    untied = redraw(build("raidnet", **SMALL), seed=1).eval()
    double = build("raidnet", "table2_double_stage", **SMALL).eval()
    single = build("raidnet", "table2_single_stage", **SMALL).eval()
    state = tied.stages[0].state_dict()
    for stage in (*untied.stages, *double.stages, *single.stages):
        stage.load_state_dict(state)
    untied.lrr.load_state_dict(tied.lrr.state_dict())
    image = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(tied(image), untied(image), strict=True))
        final, coarse = double(image)
        (alone,) = single(image)
        assert torch.equal(coarse, alone)
        assert torch.equal(final, single(coarse)[0])
        assert not torch.equal(final, untied(image)[0])


def test_the_global_residual_adds_each_stages_input():
    plain = redraw(build("raidnet", "table2_single_stage", **SMALL))
    residual = build("raidnet", "table2_single_stage", **SMALL, global_residual=True)
    residual.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 16, 20)
    with torch.no_grad():
        torch.testing.assert_close(residual(image)[0], plain(image)[0] + image)


@pytest.mark.parametrize("heads", [1, 2, 16])
@pytest.mark.parametrize("adjacency", raidnet.ADJACENCIES)
def test_any_number_of_heads_that_divides_up_to_one_a_channel(heads, adjacency):
    network = redraw(build("raidnet", **(SMALL | {"heads": heads}), adjacency=adjacency)).eval()
    image = torch.rand(1, 3, 16, 20)
    found = probes.capture(
        network, image, ["lrr.attention.masks", "lrr.reasoning.adjacency", "lrr.reasoning.generation"]
    )
    assert found["lrr.attention.masks"][0].shape == (1, heads, 4, 5)
    assert found["lrr.reasoning.adjacency"][0].shape == (1, heads, heads)
    assert [tuple(part.shape) for part in found["lrr.reasoning.generation"][0]] == [(1, 16, heads), (1, heads, 20)]


def test_batch_normalisation_stands_in_lrr_only():
    network = build("raidnet", **SMALL)
    norms = [name for name, module in network.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms == [f"lrr.attention.block.{part}.1" for part in ("conv1", "conv2", "dilated")]


# -------------------------------------------------------------------------------------------------- starts


@pytest.mark.parametrize("variant", raidnet.VARIANTS)
def test_the_identity_start_returns_the_input_at_any_size(variant):
    """Also the proof that padding and cropping do not shift the image."""
    torch.manual_seed(0)
    overrides = {"base_channels": 8, "kernel": 3, "blocks": 1, "heads": 4, "init": "identity"}
    network = build("raidnet", variant, **overrides).eval()
    rng = np.random.default_rng(list(raidnet.VARIANTS).index(variant))
    for height, width in [(1, 1), (12, 16), (17, 31), *rng.integers(1, 66, (3, 2)).tolist()]:
        image = torch.rand(1, 3, height, width)
        with torch.no_grad():
            for output in network(image):
                torch.testing.assert_close(output, image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", ["paper", "global_residual", "table2_double_stage"])
def test_the_identity_start_can_be_left(variant):
    torch.manual_seed(0)
    network = build("raidnet", variant, **SMALL, init="identity")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    moved = set()
    for _ in range(4):
        optimiser.zero_grad()
        outputs = network(torch.rand(2, 3, 16, 20))
        sum((output - 0.3).square().mean() for output in outputs).backward()
        moved |= {name for name, parameter in network.named_parameters() if parameter.grad.any()}
        optimiser.step()
    # A dead channel may stand still; nothing else does.
    still = {name for name, _ in network.named_parameters()} - moved
    assert not {name for name in still if name.endswith("weight")}


def test_the_papers_start_is_xavier_uniform_with_zero_biases():
    torch.manual_seed(0)
    network = build("raidnet", "table2_double_stage", base_channels=16, kernel=3, blocks=1)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            area = parameter[0, 0].numel()
            bound = (6 / (area * (parameter.shape[0] + parameter.shape[1]))) ** 0.5
            assert parameter.abs().max() <= bound, name
            if parameter.numel() > 2000:  # uniform: variance bound^2 / 3
                assert float(parameter.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05), name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"heads": 5}, "5 heads do not divide the bottleneck's 16 channels"),
        ({"heads": 0}, "0 heads do not divide"),
        ({"mask_axis": "channels"}, r"'channels'.*positions, heads"),
        ({"mask_scale": "mean"}, r"'mean'.*area, max, none"),
        ({"adjacency": "cosine"}, r"'cosine'.*regions, global, identity"),
        ({"block": "dense"}, r"'dense'.*three_branch, plain"),
        ({"stages": 3}, r"number of stages 3; choose one of 1, 2"),
        ({"init": "zero"}, r"'zero'.*xavier.*identity"),
    ],
)
def test_bad_settings(overrides, message):
    with pytest.raises(ValueError, match=message):
        build("raidnet", **(SMALL | overrides))


def test_config_is_frozen_and_of_paper_size():
    config = raidnet.Config()
    assert (config.base_channels, config.kernel, config.blocks, config.heads) == (16, 5, 3, 8)
    with pytest.raises(AttributeError):
        config.kernel = 3
