"""The deformable convolution against torchvision's operator, shifted plain convolutions and explicit loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import redraw
from torch import fx
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import deform_conv2d as operator

from deblur.models import deform
from deblur.models.deform import DeformConv2d, deform_conv2d, sampling_points


def problem(count=2, channels=4, out=3, height=7, width=9, kernel=3, groups=1, spread=2.0, dtype=torch.float64, **args):
    """Random tensors that fit each other: x, offset, weight, bias, mask."""
    padding, stride, dilation = (
        args.get(name, default) for name, default in (("padding", 0), ("stride", 1), ("dilation", 1))
    )
    size = [(side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in (height, width)]
    generator = torch.Generator().manual_seed(channels + 10 * out + 100 * height)
    shapes = [
        (count, channels, height, width),
        (count, 2 * kernel**2 * groups, *size),
        (out, channels, kernel, kernel),
        (out,),
        (count, kernel**2 * groups, *size),
    ]
    x, offset, weight, bias, mask = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return x, spread * offset, weight, bias, mask


def bilinear(image, y, x):
    """One image (H,W) at one point, zero outside."""
    height, width = image.shape
    total = 0.0
    for i in (math.floor(y), math.floor(y) + 1):
        for j in (math.floor(x), math.floor(x) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += (1 - abs(y - i)) * (1 - abs(x - j)) * float(image[i, j])
    return total


# ----------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("modulated", [False, True])
def test_equals_explicit_loops(groups, modulated):
    x, offset, weight, bias, mask = problem(1, 4, 2, 4, 5, groups=groups, padding=1)
    mask = mask if modulated else None
    found = deform_conv2d(x, offset, weight, bias, mask=mask, padding=1)
    expected = torch.zeros_like(found)
    for o in range(2):
        for i in range(4):
            for j in range(5):
                value = float(bias[o])
                for c in range(4):
                    group = c * groups // 4
                    for p in range(9):
                        dy, dx = (float(offset[0, 2 * (9 * group + p) + k, i, j]) for k in (0, 1))
                        sample = bilinear(x[0, c], i + p // 3 - 1 + dy, j + p % 3 - 1 + dx)
                        sample *= float(mask[0, 9 * group + p, i, j]) if modulated else 1.0
                        value += float(weight[o, c, p // 3, p % 3]) * sample
                expected[0, o, i, j] = value
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "args",
    [
        {"padding": 1},
        {"padding": 0, "count": 1},
        {"padding": 2, "dilation": 2},
        {"padding": 1, "stride": 2},
        {"padding": 3, "kernel": 5, "stride": 3, "dilation": 2, "height": 11},
        {"padding": 0, "kernel": 1},
        {"padding": 1, "groups": 2},
        {"padding": 1, "groups": 4, "count": 1, "spread": 30.0},
        {"padding": 1, "height": 1, "width": 2},
        {"padding": 1, "channels": 1, "out": 1},
    ],
)
@pytest.mark.parametrize("modulated", [False, True])
def test_equals_torchvision(args, modulated):
    x, offset, weight, bias, mask = problem(**args)
    mask = mask if modulated else None
    stride, padding, dilation = args.get("stride", 1), args["padding"], args.get("dilation", 1)
    expected = operator(x, offset, weight, bias, stride, padding, dilation, mask)
    found = deform_conv2d(x, offset, weight, bias, mask=mask, padding=padding, stride=stride, dilation=dilation)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("count", "channels", "out", "side"), [(1, 48, 48, 64), (4, 32, 32, 32), (2, 8, 40, 33)])
def test_single_precision_is_within_a_thousandth(count, channels, out, side):
    x, offset, weight, _, _ = problem(count, channels, out, side, side, dtype=torch.float32, padding=1)
    expected = operator(x, offset, weight, padding=1)
    torch.testing.assert_close(deform_conv2d(x, offset, weight, padding=1), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [1, 3 * 7 * 9 * 8 * 2 * 2, 2**40])
@pytest.mark.parametrize("count", [1, 2])
def test_any_chunk_gives_the_same(monkeypatch, size, count):
    x, offset, weight, bias, mask = problem(count, 4, 3, groups=2, padding=1)
    monkeypatch.setattr(deform, "_CHUNK_BYTES", size)
    expected = operator(x, offset, weight, bias, padding=1, mask=mask)
    found = deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", ["channels_last", "strided"])
def test_any_memory_layout(layout):
    x, offset, weight, _, _ = problem(padding=1)
    other = x.contiguous(memory_format=torch.channels_last) if layout == "channels_last" else x.mT.contiguous().mT
    expected = deform_conv2d(x, offset, weight, padding=1)
    torch.testing.assert_close(deform_conv2d(other, offset, weight, padding=1), expected, rtol=1e-12, atol=1e-12)


def test_whole_offsets_are_shifts():
    """Every tap moved by (dy, dx) = (2, -1): the plain convolution of the image moved up by 2 and right by 1."""
    x, offset, weight, bias, _ = problem(padding=1)
    offset.view(2, 9, 2, 7, 9).copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1))
    moved = F.pad(x, (2, 0, 1, 3))  # moved[i, j] = x[i - 1 + 2, j - 1 - 1] once the padding of 1 is counted
    torch.testing.assert_close(
        deform_conv2d(x, offset, weight, bias, padding=1), F.conv2d(moved, weight, bias)[..., 2:, :][..., :7, :9]
    )


def test_offsets_far_outside_see_nothing():
    x, offset, weight, bias, _ = problem(padding=1)
    for size in (1e3, -1e6, 1e12):
        far = torch.full_like(offset, size).requires_grad_()
        found = deform_conv2d(x, far, weight, bias, padding=1)
        assert torch.equal(found, bias.view(-1, 1, 1).expand_as(found))
        (gradient,) = torch.autograd.grad(found.sum(), far)
        assert not gradient.any()


# -------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("args", [{"padding": 1}, {"padding": 2, "dilation": 2, "stride": 2, "groups": 2, "count": 1}])
def test_gradients(args):
    tensors = problem(**({"count": 2, "channels": 2, "out": 2, "height": 4, "width": 5} | args))
    # Away from whole numbers, where bilinear interpolation has a kink.
    tensors[1].copy_(tensors[1].floor() + 0.2 + 0.6 * torch.rand_like(tensors[1]))
    names = {name: args[name] for name in ("padding", "stride", "dilation") if name in args}

    def function(x, offset, weight, bias, mask):
        return deform_conv2d(x, offset, weight, bias, mask=mask, **names)

    assert torch.autograd.gradcheck(function, [tensor.requires_grad_() for tensor in tensors], fast_mode=True)


def test_gradients_equal_torchvisions():
    x, offset, weight, bias, mask = (tensor.requires_grad_() for tensor in problem(groups=2, padding=1))
    found = deform_conv2d(x, offset, weight, bias, mask=mask, padding=1)
    expected = operator(x, offset, weight, bias, padding=1, mask=mask)
    upstream = torch.randn_like(found)
    for a, b in zip(*(torch.autograd.grad(y, (x, offset, weight, bias, mask), upstream) for y in (found, expected))):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------------------------- types, devices


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_types_compute_in_single_precision(dtype):
    x, offset, weight, _, _ = (tensor.to(dtype) for tensor in problem(padding=1))
    found = deform_conv2d(x, offset, weight, padding=1)
    assert found.dtype == dtype
    assert torch.equal(found, deform_conv2d(x.float(), offset.float(), weight.float(), padding=1).to(dtype))


def test_autocast_restores_the_type_and_trains():
    module = redraw(DeformConv2d(4, 3, modulated=True))
    x = torch.randn(2, 4, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        short = F.conv2d(x, torch.randn(4, 4, 1, 1))
        found, full = module(short), module(x)
    assert (found.dtype, full.dtype) == (torch.bfloat16, torch.float32)
    found.float().square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())


def test_operations_are_counted_on_the_meta_device():
    with torch.device("meta"):
        module, x = DeformConv2d(5, 4, modulated=True), torch.empty(2, 5, 8, 6)
    counter = FlopCounterMode(display=False)
    with counter:
        assert module(x).shape == (2, 4, 8, 6)
    assert counter.get_total_flops() == 2 * 2 * 8 * 6 * 9 * 5 * (27 + 4)


def test_a_trace_shows_one_node():
    module = redraw(DeformConv2d(4, 3))
    traced = fx.symbolic_trace(module)
    assert [node.target for node in traced.graph.nodes if node.op == "call_function"][-1] is deform_conv2d
    x = torch.randn(1, 4, 5, 6)
    torch.testing.assert_close(traced(x), module(x))


# ------------------------------------------------------------------------------------------------ module


def test_sampling_points():
    offset = torch.zeros(1, 2 * 9 * 2, 4, 5)
    offset[0, 2 * (9 + 5) + 1] = 0.25  # second group, tap 5 (middle row, right), dx
    points = sampling_points(offset)
    assert points.shape == (1, 18, 2, 4, 5)
    assert points[0, 0, :, 2, 3].tolist() == [1.0, 2.0]
    assert points[0, 5, :, 0, 0].tolist() == [0.0, 1.0]
    assert points[0, 9 + 5, :, 0, 0].tolist() == [0.0, 1.25]
    strided = sampling_points(torch.zeros(1, 50, 3, 3), 5, padding=4, stride=2, dilation=2)
    assert strided[0, 7, :, 1, 2].tolist() == [2 * 1 - 4 + 2 * 1, 2 * 2 - 4 + 2 * 2]
    assert sampling_points(torch.zeros(1, 18, 3, 3), dilation=2)[0, 0, :, 1, 1].tolist() == [-1.0, -1.0]


def test_a_fresh_module_is_a_plain_convolution():
    x = torch.randn(2, 4, 6, 7)
    plain, modulated = DeformConv2d(4, 3, 5), DeformConv2d(4, 3, modulated=True, offset_groups=2, bias=False)
    torch.testing.assert_close(plain(x), F.conv2d(x, plain.weight, plain.bias, padding=2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(modulated(x), F.conv2d(x, modulated.weight, padding=1) / 2, rtol=1e-4, atol=1e-5)


def test_the_module_uses_its_channels_as_torchvision_would():
    module = redraw(DeformConv2d(4, 3, modulated=True, offset_groups=2)).double()
    x = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    found = module.offset(x)
    expected = operator(x, found[:, :36], module.weight, module.bias, padding=1, mask=found[:, 36:].sigmoid())
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)


def test_counts():
    assert sum(p.numel() for p in DeformConv2d(128, 128).parameters()) == 147_584 + 20_754
    assert sum(p.numel() for p in DeformConv2d(8, 4, modulated=True, offset_groups=2).parameters()) == 292 + 54 * 73


def test_bad_shapes():
    x, offset, weight, _, mask = problem(padding=1)
    with pytest.raises(ValueError, match=r"offset \(2, 17, 7, 9\) must be \(2, 18 G, 7, 9\)"):
        deform_conv2d(x, offset[:, :17], weight, padding=1)
    with pytest.raises(ValueError, match=r"must be \(2, 18 G, 5, 7\)"):
        deform_conv2d(x, offset, weight)
    with pytest.raises(ValueError, match="groups that divide 4"):
        deform_conv2d(x, offset.repeat(1, 3, 1, 1), weight, padding=1)
    with pytest.raises(ValueError, match=r"weight .* must be \(out, 4, k, k\)"):
        deform_conv2d(x, offset, weight[:, :2], padding=1)
    with pytest.raises(ValueError, match=r"mask .* must be \(2, 9, 7, 9\)"):
        deform_conv2d(x, offset, weight, mask=mask[:1], padding=1)
    with pytest.raises(ValueError, match="kernel 4 is even"):
        DeformConv2d(4, 4, 4)
    with pytest.raises(ValueError, match="5 channels cannot be split into 2"):
        DeformConv2d(5, 4, offset_groups=2)
