"""Published weights: names, shapes and graphs of the original projects, rebuilt here without the map under test.

Each original graph is written below as a plain function that makes random weights, under the project's own names, where
it first asks for them. So one pass gives a checkpoint and what the original network makes of an image; the network of
this package, with the translated checkpoint, must make the same of it.
"""

import json
import os
import re
import struct
import zipfile
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from trees import save

from deblur import cli, models, paths, recipes
from deblur.models import published
from deblur.weights import cards, checkpoints, importing, tensors

# ------------------------------------------------------------------------------------------------- the original graphs


class Original:
    """Tensors under a project's names, drawn where its graph first asks for them; computes in float64."""

    def __init__(self, seed=0, unit=1.0):
        self.tensors = OrderedDict()
        self.unit = unit  # of the images: 1 for [0,1], 255 for [0,255]
        self.generator = torch.Generator().manual_seed(seed)

    def tensor(self, name, *shape, scale=1.0, mean=0.0):
        if name not in self.tensors:
            self.tensors[name] = mean + scale * torch.randn(shape, generator=self.generator)
        assert self.tensors[name].shape == shape, name
        return self.tensors[name].double()

    def fixed(self, name, values):
        self.tensors[name] = torch.as_tensor(values)
        return self.tensors[name].double()

    def conv(self, name, x, out, kernel=3, stride=1, bias=True, padding=None, groups=1):
        shape = (out, x.shape[1] // groups, kernel, kernel)
        weight = self.tensor(f"{name}.weight", *shape, scale=(shape[1] * kernel**2) ** -0.5)
        bias = self.tensor(f"{name}.bias", out, scale=0.2 * self.unit) if bias else None
        return F.conv2d(x, weight, bias, stride, kernel // 2 if padding is None else padding, groups=groups)

    def deconv(self, name, x, out, kernel=4, output_padding=0):
        weight = self.tensor(f"{name}.weight", x.shape[1], out, kernel, kernel, scale=(4 / x.shape[1]) ** 0.5 / kernel)
        bias = self.tensor(f"{name}.bias", out, scale=0.2 * self.unit)
        return F.conv_transpose2d(x, weight, bias, 2, 1, output_padding)

    def batch_norm(self, name, x, eps=1e-5):
        c = x.shape[1]
        affine = [self.tensor(f"{name}.{k}", c, scale=0.3, mean=m) for k, m in (("weight", 1), ("bias", 0))]
        mean = self.tensor(f"{name}.running_mean", c, scale=0.2)
        self.tensors.setdefault(f"{name}.running_var", torch.rand(c, generator=self.generator) + 0.5)
        self.fixed(f"{name}.num_batches_tracked", 7)
        return F.batch_norm(x, mean, self.tensors[f"{name}.running_var"].double(), *affine, eps=eps)

    def instance_norm(self, name, x):
        """By the image's own statistics; the running ones that the file holds too are not used."""
        self.tensor(f"{name}.running_mean", x.shape[1])
        self.tensor(f"{name}.running_var", x.shape[1])
        return F.instance_norm(x)


def up(x, factor=2, mode="nearest"):
    return F.interpolate(x, scale_factor=factor, mode=mode, align_corners=None if mode == "nearest" else False)


def mprnet(o, image):
    widths = (96, 144, 192)

    def cab(name, x):
        y = o.conv(f"{name}.body.0", x, x.shape[1], bias=False)
        y = F.prelu(y, o.fixed(f"{name}.body.1.weight", [0.17]))
        y = o.conv(f"{name}.body.2", y, x.shape[1], bias=False)
        a = o.conv(f"{name}.CA.conv_du.0", y.mean((2, 3), keepdim=True), x.shape[1] // 4, 1, bias=False)
        return x + y * o.conv(f"{name}.CA.conv_du.2", a.relu(), x.shape[1], 1, bias=False).sigmoid()

    def cabs(name, x, count=2):
        for i in range(count):
            x = cab(f"{name}.{i}", x)
        return x

    def shallow(stage, x):
        name = f"shallow_feat{stage}"
        return cab(f"{name}.1", o.conv(f"{name}.0", x, 96, bias=False))

    def encode(stage, x, encoded=None, decoded=None):
        name, found = f"stage{stage}_encoder", []
        for i, width in enumerate(widths, 1):
            if i > 1:
                x = o.conv(f"{name}.down{i - 1}{i}.down.1", up(x, 0.5, "bilinear"), width, 1, bias=False)
            x = cabs(f"{name}.encoder_level{i}", x)
            if encoded:
                x = x + o.conv(f"{name}.csff_enc{i}", encoded[i - 1], width, 1, bias=False)
                x = x + o.conv(f"{name}.csff_dec{i}", decoded[i - 1], width, 1, bias=False)
            found.append(x)
        return found

    def decode(stage, levels):
        name = f"stage{stage}_decoder"
        d3 = cabs(f"{name}.decoder_level3", levels[2])
        x = o.conv(f"{name}.up32.up.1", up(d3, 2, "bilinear"), 144, 1, bias=False)
        d2 = cabs(f"{name}.decoder_level2", x + cab(f"{name}.skip_attn2", levels[1]))
        x = o.conv(f"{name}.up21.up.1", up(d2, 2, "bilinear"), 96, 1, bias=False)
        return [cabs(f"{name}.decoder_level1", x + cab(f"{name}.skip_attn1", levels[0])), d2, d3]

    def sam(name, x, blurred):
        predicted = o.conv(f"{name}.conv2", x, 3, 1, bias=False) + blurred
        attention = o.conv(f"{name}.conv3", predicted, 96, 1, bias=False).sigmoid()
        return x + o.conv(f"{name}.conv1", x, 96, 1, bias=False) * attention

    halves = image.chunk(2, 2)
    encoded1, decoded1, encoded2 = [], [], []
    for half in halves:
        quarters = [encode(1, shallow(1, quarter)) for quarter in half.chunk(2, 3)]
        encoded1.append([torch.cat(pair, 3) for pair in zip(*quarters)])
        decoded1.append(decode(1, encoded1[-1]))
        joined = torch.cat([shallow(2, half), sam("sam12", decoded1[-1][0], half)], 1)
        encoded2.append(encode(2, o.conv("concat12", joined, 96, bias=False), encoded1[-1], decoded1[-1]))
    encoded = [torch.cat(pair, 2) for pair in zip(*encoded2)]
    decoded = decode(2, encoded)
    x = torch.cat([shallow(3, image), sam("sam23", decoded[0], image)], 1)
    x = o.conv("concat23", x, 128, bias=False)
    for i in (1, 2, 3):
        y = cabs(f"stage3_orsnet.orb{i}.body", x, 8)
        x = x + o.conv(f"stage3_orsnet.orb{i}.body.8", y, 128, bias=False)
        for side, features in (("enc", encoded[i - 1]), ("dec", decoded[i - 1])):
            steps = {1: [], 2: [f"up_{side}1"], 3: [f"up_{side}2.0", f"up_{side}2.1"]}[i]
            for step, width in zip(steps, (96,) if i == 2 else (144, 96)):
                features = o.conv(f"stage3_orsnet.{step}.up.1", up(features, 2, "bilinear"), width, 1, bias=False)
            x = x + o.conv(f"stage3_orsnet.conv_{side}{i}", features, 128, 1, bias=False)
    return image + o.conv("tail", x, 3, bias=False)


def mimounet(o, image, blocks=8):
    def basic(name, x, out, kernel, stride=1, relu=True):
        y = o.conv(f"{name}.main.0", x, out, kernel, stride)
        return y.relu() if relu else y

    def body(name, x):
        for i in range(blocks):
            y = basic(f"{name}.layers.{i}.main.0", x, x.shape[1], 3)
            x = x + basic(f"{name}.layers.{i}.main.1", y, x.shape[1], 3, relu=False)
        return x

    def scm(name, x, c):
        y = x
        for i, (out, kernel) in enumerate([(c // 4, 3), (c // 2, 1), (c // 2, 3), (c - 3, 1)]):
            y = basic(f"{name}.main.{i}", y, out, kernel)
        return basic(f"{name}.conv", torch.cat([x, y], 1), c, 1, relu=False)

    def fam(name, x, y):
        return x + basic(f"{name}.merge", x * y, x.shape[1], 3, relu=False)

    def aff(name, c, *levels):
        y = basic(f"{name}.conv.0", torch.cat(levels, 1), c, 1)
        return basic(f"{name}.conv.1", y, c, 3, relu=False)

    half, quarter = image[..., ::2, ::2], image[..., ::4, ::4]
    e1 = body("Encoder.0", basic("feat_extract.0", image, 32, 3))
    e2 = fam("FAM2", basic("feat_extract.1", e1, 64, 3, 2), scm("SCM2", half, 64))
    e2 = body("Encoder.1", e2)
    e3 = fam("FAM1", basic("feat_extract.2", e2, 128, 3, 2), scm("SCM1", quarter, 128))
    e3 = body("Encoder.2", e3)
    s1 = aff("AFFs.0", 32, e1, up(e2), up(e3, 4))
    s2 = aff("AFFs.1", 64, e1[..., ::2, ::2], e2, up(e3))
    z = body("Decoder.0", e3)
    at_quarter = basic("ConvsOut.0", z, 3, 3, relu=False) + quarter
    z = o.deconv("feat_extract.3.main.0", z, 64).relu()
    z = body("Decoder.1", basic("Convs.0", torch.cat([z, s2], 1), 64, 1))
    at_half = basic("ConvsOut.1", z, 3, 3, relu=False) + half
    z = o.deconv("feat_extract.4.main.0", z, 32).relu()
    z = body("Decoder.2", basic("Convs.1", torch.cat([z, s1], 1), 32, 1))
    return image + basic("feat_extract.5", z, 3, 3, relu=False), at_half, at_quarter


def mimounet_plus(o, image):
    return mimounet(o, image, blocks=20)


def nafnet(o, image, width=32):
    def norm(name, x):
        weight, bias = (o.tensor(f"{name}.{k}", x.shape[1]) for k in ("weight", "bias"))
        y = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        return y * weight[:, None, None] + bias[:, None, None]

    def gate(x):
        return x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :]

    def block(name, x):
        c = x.shape[1]
        y = o.conv(f"{name}.conv1", norm(f"{name}.norm1", x), 2 * c, 1)
        y = gate(o.conv(f"{name}.conv2", y, 2 * c, groups=2 * c))
        y = y * o.conv(f"{name}.sca.1", y.mean((2, 3), keepdim=True), c, 1)
        x = x + o.conv(f"{name}.conv3", y, c, 1) * o.tensor(f"{name}.beta", 1, c, 1, 1, scale=0.3)
        y = o.conv(f"{name}.conv4", norm(f"{name}.norm2", x), 2 * c, 1)
        return x + o.conv(f"{name}.conv5", gate(y), c, 1) * o.tensor(f"{name}.gamma", 1, c, 1, 1, scale=0.3)

    x, skips = o.conv("intro", image, width), []
    for i, count in enumerate((1, 1, 1, 28)):
        for j in range(count):
            x = block(f"encoders.{i}.{j}", x)
        skips.append(x)
        x = o.conv(f"downs.{i}", x, 2 * x.shape[1], 2, 2, padding=0)
    x = block("middle_blks.0", x)
    for i in range(4):
        x = F.pixel_shuffle(o.conv(f"ups.{i}.0", x, 2 * x.shape[1], 1, bias=False), 2) + skips[3 - i]
        x = block(f"decoders.{i}.0", x)
    return image + o.conv("ending", x, 3)


def dmphn_encoder(o, name, x):
    for number, out, stride, blocks in ((1, 32, 1, (2, 3)), (5, 64, 2, (6, 7)), (9, 128, 2, (10, 11))):
        x = o.conv(f"{name}.layer{number}", x, out, stride=stride)
        x = dmphn_blocks(o, name, x, blocks)
    return x


def dmphn_blocks(o, name, x, numbers):
    for i in numbers:
        y = o.conv(f"{name}.layer{i}.0", x, x.shape[1]).relu()
        x = x + o.conv(f"{name}.layer{i}.2", y, x.shape[1])
    return x


def dmphn_decoder(o, name, x):
    x = o.deconv(f"{name}.layer16", dmphn_blocks(o, name, x, (13, 14)), 64)
    x = o.deconv(f"{name}.layer20", dmphn_blocks(o, name, x, (17, 18)), 32)
    return o.conv(f"{name}.layer24", dmphn_blocks(o, name, x, (21, 22)), 3)


def cut(x, rows, columns):
    return [part for row in x.chunk(rows, 2) for part in row.chunk(columns, 3)]


def glue(parts, rows, columns):
    return torch.cat([torch.cat(parts[i * columns : (i + 1) * columns], 3) for i in range(rows)], 2)


def dmphn(o, image):
    image = image - 0.5
    grids = {1: (1, 1), 2: (2, 1), 3: (2, 2), 4: (4, 2)}
    features = residual = 0
    for level in (4, 3, 2, 1):
        grid, above = grids[level], grids[max(level - 1, 1)]
        parts = [dmphn_encoder(o, f"encoder_lv{level}", part) for part in cut(image + residual, *grid)]
        features = features + glue(parts, *grid)
        residual = glue([dmphn_decoder(o, f"decoder_lv{level}", part) for part in cut(features, *above)], *above)
    return residual + 0.5


def dmphn_stack4(o, image):
    image = image - 0.5
    earlier = {1: 0, 2: 0, 3: 0}
    first = 0
    for s in (1, 2, 3, 4):
        found = {}
        parts = [dmphn_encoder(o, f"encoder_s{s}_lv3", part) for part in cut(image, 2, 2)]
        found[3] = glue(parts, 2, 2) + earlier[3]
        residual = glue([dmphn_decoder(o, f"decoder_s{s}_lv3", part) for part in cut(found[3], 2, 1)], 2, 1)
        parts = [dmphn_encoder(o, f"encoder_s{s}_lv2", part) for part in cut(image + residual, 2, 1)]
        found[2] = glue(parts, 2, 1) + found[3] + earlier[2]
        residual = dmphn_decoder(o, f"decoder_s{s}_lv2", found[2]) + first
        found[1] = dmphn_encoder(o, f"encoder_s{s}_lv1", image + residual) + found[2] + earlier[1]
        image = dmphn_decoder(o, f"decoder_s{s}_lv1", found[1])
        earlier = found
        first = image if s == 1 else first
    return image + 0.5


def deblurgan(o, image):
    def normed(number, x):
        return o.instance_norm(f"model.{number}", x).relu()

    def reflected(name, x, out, kernel):
        return o.conv(name, F.pad(x, [kernel // 2] * 4, mode="reflect"), out, kernel, padding=0)

    image = 2 * image - 1
    x = normed(2, reflected("model.1", image, 64, 7))
    x = normed(5, o.conv("model.4", x, 128, stride=2))
    x = normed(8, o.conv("model.7", x, 256, stride=2))
    for i in range(10, 19):
        y = o.instance_norm(f"model.{i}.conv_block.2", reflected(f"model.{i}.conv_block.1", x, 256, 3)).relu()
        x = x + o.instance_norm(f"model.{i}.conv_block.7", reflected(f"model.{i}.conv_block.6", y, 256, 3))
    x = normed(20, o.deconv("model.19", x, 128, 3, output_padding=1))
    x = normed(23, o.deconv("model.22", x, 64, 3, output_padding=1))
    return (image + reflected("model.26", x, 3, 7).tanh() + 1) / 2


def deblurgan_v2(o, image):
    def inverted(name, x, out, stride, expand):
        y, i, hidden = x, 0, x.shape[1] * expand
        if expand > 1:
            y = F.relu6(o.batch_norm(f"{name}.conv.1", o.conv(f"{name}.conv.0", y, hidden, 1, bias=False)))
            i = 3
        y = o.conv(f"{name}.conv.{i}", y, hidden, stride=stride, bias=False, groups=hidden)
        y = F.relu6(o.batch_norm(f"{name}.conv.{i + 1}", y))
        y = o.batch_norm(f"{name}.conv.{i + 4}", o.conv(f"{name}.conv.{i + 3}", y, out, 1, bias=False))
        return x + y if stride == 1 and out == x.shape[1] else y

    starts = {0: 0, 2: 1, 4: 2, 7: 3, 11: 4}
    x = image = 2 * image - 1
    name, encoded, number = "fpn.enc0.0", [], 1
    x = F.relu6(o.batch_norm(f"{name}.1", o.conv(f"{name}.0", x, 32, stride=2, bias=False)))
    settings = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expand, out, count, stride in settings:
        for i in range(count):
            first = max(start for start in starts if start <= number)
            name = f"fpn.enc{starts[first]}.{number - first}" if number < 16 else f"fpn.features.{number}"
            x = inverted(name, x, out, stride if i == 0 else 1, expand)
            encoded += [x] if number in (1, 3, 6, 10, 15) else []
            number += 1
    o.batch_norm("fpn.features.18.1", o.conv("fpn.features.18.0", x, 1280, 1, bias=False))
    for name in [name for name in o.tensors if name.startswith("fpn.enc")]:
        _, stage, index, rest = name.split(".", 3)
        first = {stage: start for start, stage in starts.items()}[int(stage.removeprefix("enc"))]
        o.tensors[f"fpn.features.{first + int(index)}.{rest}"] = o.tensors[name]

    laterals = [o.conv(f"fpn.lateral{i}", e, 128 if i else 64, 1, bias=False) for i, e in enumerate(encoded)]
    return deblurgan_v2_pyramid(o, image, laterals)


def deblurgan_v2_pyramid(o, image, laterals):
    """From the features of the backbone's stages, each half as large as the one before; image in [-1,1]."""
    filters, pyramid = laterals[0].shape[1], laterals[1].shape[1]

    def normed(name, x, out):
        return o.instance_norm(f"{name}.1", o.conv(f"{name}.0", x, out)).relu()

    map4 = laterals[4]
    map3 = normed("fpn.td1", laterals[3] + up(map4), pyramid)
    map2 = normed("fpn.td2", laterals[2] + up(map3), pyramid)
    map1 = normed("fpn.td3", laterals[1] + up(map2), pyramid)

    def head(number, x):
        x = o.conv(f"head{number}.block0", x, filters, bias=False).relu()
        return up(o.conv(f"head{number}.block1", x, filters, bias=False).relu(), 2 ** (number - 1))

    x = torch.cat([head(4, map4), head(3, map3), head(2, map2), head(1, map1)], 1)
    x = normed("smooth2", up(normed("smooth", x, filters)) + laterals[0], filters // 2)
    return (image + o.conv("final", up(x), 3).tanh() + 1) / 2


def deblurgan_v2_inception(o, image):
    def layer(name, x, out, kernel=1, stride=1, padding=0):
        high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        shape = (out, x.shape[1], high, wide)
        weight = o.tensor(f"{name}.conv.weight", *shape, scale=(2 / (x.shape[1] * high * wide)) ** 0.5)
        return o.batch_norm(f"{name}.bn", F.conv2d(x, weight, None, stride, padding), eps=1e-3).relu()

    def shrunk(x):
        return F.max_pool2d(x, 3, 2)

    def mixed_5b(name, x):
        a = layer(f"{name}.branch0", x, 96)
        b = layer(f"{name}.branch1.1", layer(f"{name}.branch1.0", x, 48), 64, 5, padding=2)
        c = layer(f"{name}.branch2.1", layer(f"{name}.branch2.0", x, 64), 96, 3, padding=1)
        c = layer(f"{name}.branch2.2", c, 96, 3, padding=1)
        d = layer(f"{name}.branch3.1", F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), 64)
        return torch.cat([a, b, c, d], 1)

    def block35(name, x):
        a = layer(f"{name}.branch0", x, 32)
        b = layer(f"{name}.branch1.1", layer(f"{name}.branch1.0", x, 32), 32, 3, padding=1)
        c = layer(f"{name}.branch2.1", layer(f"{name}.branch2.0", x, 32), 48, 3, padding=1)
        c = layer(f"{name}.branch2.2", c, 64, 3, padding=1)
        return (x + 0.17 * o.conv(f"{name}.conv2d", torch.cat([a, b, c], 1), 320, 1)).relu()

    def mixed_6a(name, x):
        b = layer(f"{name}.branch1.1", layer(f"{name}.branch1.0", x, 256), 256, 3, padding=1)
        return torch.cat(
            [layer(f"{name}.branch0", x, 384, 3, 2), layer(f"{name}.branch1.2", b, 384, 3, 2), shrunk(x)], 1
        )

    def block17(name, x):
        b = layer(f"{name}.branch1.1", layer(f"{name}.branch1.0", x, 128), 160, (1, 7), padding=(0, 3))
        b = layer(f"{name}.branch1.2", b, 192, (7, 1), padding=(3, 0))
        joined = torch.cat([layer(f"{name}.branch0", x, 192), b], 1)
        return (x + 0.10 * o.conv(f"{name}.conv2d", joined, 1088, 1)).relu()

    def mixed_7a(name, x):
        a = layer(f"{name}.branch0.1", layer(f"{name}.branch0.0", x, 256), 384, 3, 2)
        b = layer(f"{name}.branch1.1", layer(f"{name}.branch1.0", x, 256), 288, 3, 2)
        c = layer(f"{name}.branch2.1", layer(f"{name}.branch2.0", x, 256), 288, 3, padding=1)
        return torch.cat([a, b, layer(f"{name}.branch2.2", c, 320, 3, 2), shrunk(x)], 1)

    def block8(name, x):
        b = layer(f"{name}.branch1.1", layer(f"{name}.branch1.0", x, 192), 224, (1, 3), padding=(0, 1))
        b = layer(f"{name}.branch1.2", b, 256, (3, 1), padding=(1, 0))
        return x + o.conv(f"{name}.conv2d", torch.cat([layer(f"{name}.branch0", x, 192), b], 1), 2080, 1)

    start, image = "fpn.inception", 2 * image - 1
    e0 = layer(f"{start}.conv2d_1a", image, 32, 3, 2)
    e1 = shrunk(layer(f"{start}.conv2d_2b", layer(f"{start}.conv2d_2a", e0, 32, 3), 64, 3, padding=1))
    e2 = shrunk(layer(f"{start}.conv2d_4a", layer(f"{start}.conv2d_3b", e1, 80), 192, 3))
    e3 = mixed_5b(f"{start}.mixed_5b", e2)
    for i in range(10):
        e3 = block35(f"{start}.repeat.{i}", e3)
    e4 = e3 = mixed_6a(f"{start}.mixed_6a", e3)
    for i in range(20):
        e4 = block17(f"{start}.repeat_1.{i}", e4)
    e4 = x = mixed_7a(f"{start}.mixed_7a", e4)
    for i in range(9):
        x = block8(f"{start}.repeat_2.{i}", x)
    x = layer(f"{start}.conv2d_7b", block8(f"{start}.block8", x), 1536)
    o.tensor(f"{start}.last_linear.weight", 1000, 1536)
    o.tensor(f"{start}.last_linear.bias", 1000)
    stages = [["conv2d_1a"], ["conv2d_2a", "conv2d_2b"], ["conv2d_3b", "conv2d_4a"], ["mixed_5b", "repeat", "mixed_6a"]]
    for number, parts in enumerate([*stages, ["repeat_1", "mixed_7a"]]):
        for name in [name for name in o.tensors if name.startswith(tuple(f"{start}.{part}." for part in parts))]:
            part, rest = name.removeprefix(f"{start}.").split(".", 1)
            index = f".{parts.index(part)}" if number else ""
            o.tensors[f"fpn.enc{number}{index}.{rest}"] = o.tensors[name]

    fill = [(0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1)]
    laterals = [
        F.pad(o.conv(f"fpn.lateral{i}", e, 256 if i else 128, 1, bias=False), fill[i], "reflect")
        for i, e in enumerate((e0, e1, e2, e3, e4))
    ]
    return deblurgan_v2_pyramid(o, image, laterals)


def mtrnn(o, image):
    def activated(x):
        return F.leaky_relu(x, 0.1)

    def blocks(level, x, numbers=(2, 3, 4)):
        for i in numbers:
            y = activated(o.conv(f"conv{level}_{i}.stem.0", x, x.shape[1]))
            x = x + o.conv(f"conv{level}_{i}.stem.2", y, x.shape[1])
        return x

    def joined(level, x, y):
        return blocks(level, o.conv(f"conv{level}_c.0", torch.cat([x, y], 1), x.shape[1], 1))

    colour = 255 * np.array([0.4488, 0.4371, 0.4040], np.float32)
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        o.fixed(f"{name}.weight", torch.eye(3)[..., None, None])
        o.fixed(f"{name}.bias", sign * colour)
    blurred = last = 255 * image - torch.from_numpy(colour)[:, None, None]
    feature1 = feature2 = None
    for _ in range(6):
        e1 = blocks(1, o.conv("conv1_1.0", torch.cat([blurred, last], 1), 32))
        x = activated(o.conv("conv2_1.0", e1, 64, stride=2))
        e2 = joined(2, x, x if feature1 is None else feature1)
        x = activated(o.conv("conv3_1.0", e2, 128, stride=2))
        e3 = joined(3, x, x if feature2 is None else feature2)
        feature2 = blocks(4, e3, (1, 2, 3))
        feature1 = joined(5, activated(o.deconv("conv5_1.0", feature2, 64)), e2)
        x = joined(6, activated(o.deconv("conv6_1.0", feature1, 32)), e1)
        last = o.conv("img_prd.0", x, 3) + blurred
    return (last + torch.from_numpy(colour)[:, None, None]) / 255


def dbgan(o, image):
    x = head = o.conv("model.0", image, 64)
    for i in range(16):
        y = x
        for k in (1, 2, 3):
            found = [y]
            for m in (1, 2, 3, 4):
                z = o.conv(f"model.1.sub1.{i}.RDB{k}.conv{m}.0", torch.cat(found, 1), 32)
                found.append(F.leaky_relu(z, 0.2))
            y = y + 0.2 * o.conv(f"model.1.sub1.{i}.RDB{k}.conv5.0", torch.cat(found, 1), 64)
        x = x + 0.2 * y
    x = head + o.conv("model.1.sub2.0", x, 64)
    return image + o.conv("model.4", F.leaky_relu(o.conv("model.2", x, 64), 0.2), 3)


def mscnn(o, image):
    """With images halved as here: means of 2x2 pixels."""
    pyramid = [255 * image - 127.5]
    pyramid += [F.avg_pool2d(pyramid[0], 2), F.avg_pool2d(pyramid[0], 4)]
    result = None
    for s in (2, 1, 0):
        x = pyramid[s]
        if s < 2:
            x = torch.cat([x, F.pixel_shuffle(o.conv(f"conv_end_models.{s + 1}.uppath.0", result, 12, 5), 2)], 1)
        x = o.conv(f"body_models.{s}.body.0", x, 64, 5)
        for i in range(1, 20):
            y = o.conv(f"body_models.{s}.body.{i}.body.0", x, 64, 5).relu()
            x = x + o.conv(f"body_models.{s}.body.{i}.body.2", y, 64, 5)
        result = o.conv(f"body_models.{s}.body.20", x, 3, 5)
    return (result + 127.5) / 255


# ------------------------------------------------------------------------------------------------------------- the maps


GRAPHS = {
    "mprnet": (mprnet, 1, 16, 20_127_073 + 54),  # the PReLU's slope stands in each of 55 blocks
    "mimounet": (mimounet, 1, 16, 6_807_171),
    "mimounet_plus": (mimounet_plus, 1, 16, 16_107_651),
    "nafnet": (nafnet, 1, 16, 17_111_907),
    "nafnet_64": (partial(nafnet, width=64), 1, 16, 67_888_835),
    "dmphn": (dmphn, 1, 16, 7_232_524),
    "dmphn_stack4": (dmphn_stack4, 1, 16, 21_697_572),
    "deblurgan": (deblurgan, 1, 16, 11_378_179),
    "deblurgan_v2": (deblurgan_v2, 1, 64, 3_312_707),
    "deblurgan_v2_inception": (deblurgan_v2_inception, 1, 128, 60_929_291),
    "mtrnn": (mtrnn, 255, 16, 2_635_523 + 24),  # two 1x1 convolutions for the mean colour
    "dbgan": (dbgan, 1, 16, 11_588_163),
    "mscnn": (mscnn, 255, 16, 11_721_321),
}
"""Network -> original graph, unit of its images, a size for tests, published number of parameters."""


def original(network, seed=0):
    """A checkpoint of the original project, an image, and what the original makes of it."""
    graph, unit, size, _ = GRAPHS[network]
    o = Original(seed, unit)
    image = torch.rand(1, 3, size, size, generator=o.generator, dtype=torch.float64)
    return o.tensors, image, graph(o, image)


def restored(network, state, image):
    built = models.build(network, **recipes.recipe(network, scale="paper").config)
    built.load_state_dict(state)
    with torch.no_grad():
        return built.double().eval()(image)


def assert_same(output, target, tolerance=1e-12):
    """In float64, relative to the largest value; the rounding of converted biases to float32 needs 1e-6."""
    assert (output - target).abs().max() < tolerance * target.abs().max()


@pytest.mark.parametrize("network", GRAPHS)
def test_translated_weights_do_what_the_original_does(network):
    tensors, image, expected = original(network)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    counted = {name for name in tensors if not name.endswith(buffers) and not name.startswith("fpn.enc")}
    assert sum(tensors[name].numel() for name in counted) == GRAPHS[network][3]
    outputs = restored(network, importing.translate(network, tensors), image)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    assert (wanted[0] - image).abs().max() > 0.05  # it does something
    for output, target in zip(outputs, wanted):
        assert_same(output, target, 1e-6 if GRAPHS[network][1] == 255 else 1e-12)


def test_every_network_has_a_map_or_a_reason():
    assert {name for name, form in models.PUBLISHED.items() if isinstance(form, published.Published)} == {
        *GRAPHS,
        "maxim",
    }
    assert set(models.PUBLISHED) == set(models.NETWORKS)
    assert all(models.PUBLISHED.values())
    with pytest.raises(ValueError, match=r"srn has no weights to import: .*TensorFlow"):
        importing.published_form("srn")
    with pytest.raises(ValueError, match="unknown network 'nobody'; choose one of dmphn"):
        importing.published_form("nobody")


# ------------------------------------------------------------------------------------------------------- a whole import


@pytest.fixture(scope="module")
def small():
    """The smallest checkpoint that is converted and not only renamed."""
    return original("mtrnn", seed=1)


def write(path, tensors, *keys, prefix="", legacy=False, **beside):
    """A checkpoint whose weights lie under `keys`, other things beside them."""
    content = OrderedDict((prefix + name, tensor) for name, tensor in tensors.items())
    for key in reversed(keys):
        content = {"epoch": 3, key: content, **beside}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def test_import_writes_weights_and_card_that_evaluate_takes(small, tmp_path, monkeypatch, capsys):
    tensors, image, expected = small
    monkeypatch.setenv("DEBLUR_IMPORTED", str(tmp_path))
    source = write(tmp_path / "model_best.pt", tensors)
    assert cli.main(["weights", "import", "mtrnn", str(source)]) == 0
    out = tmp_path / "mtrnn-model_best.safetensors"
    assert str(out) in capsys.readouterr().out
    assert_same(restored("mtrnn", load_file(out), image)[0], expected, 1e-6)
    card = json.loads((tmp_path / "mtrnn-model_best.json").read_text())
    assert (card["network"], card["variant"], card["scale"]) == ("mtrnn", "paper", "paper")
    assert card["parameters"] == 2_635_523
    assert card["source"] == "model_best.pt"
    assert card["source_sha256"] == {"model_best.pt": paths.file_sha256(source)}
    assert card["sha256"] == paths.file_sha256(out)
    assert card["torch"] == torch.__version__
    assert "licence" in " ".join(card["not_vouched_for"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, out.name, out.stem + ".json"])

    blurred, sharp = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    save(tmp_path / "flat" / "test" / "input" / "a.png", blurred)
    save(tmp_path / "flat" / "test" / "target" / "a.png", sharp)
    options = ["--scale", "paper", "--benchmark", "flat", "--root", tmp_path / "flat"]
    options += ["--protocol", "full_rgb8", "--out", tmp_path / "scores.csv"]
    assert cli.main(["evaluate", "mtrnn", "--weights", str(out), *map(str, options)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("keys", "prefix", "beside"),
    [
        (("state_dict",), "module.", {"optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}}),
        (("params",), "", {}),
        (("params_ema",), "", {"params": {"wrong": torch.zeros(1)}}),
        (("model",), "module.module.", {"scheduler": {"milestones": (1, 2)}}),
        (("G",), "", {"D": None}),
        (("net", "state_dict"), "_orig_mod.", {"best": torch.tensor(31.2)}),
    ],
)
def test_wrappers(small, tmp_path, keys, prefix, beside, legacy):
    path = write(tmp_path / "w.pth", small[0], *keys, prefix=prefix, legacy=legacy, **beside)
    found = checkpoints.read(path)
    assert found.keys() == small[0].keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in small[0].items())


def test_a_module_named_like_a_wrapper_is_no_wrapper(tmp_path):
    tensors = {"model.1.weight": torch.ones(2), "model.4.weight": torch.zeros(2)}
    save_file(tensors, tmp_path / "w.safetensors")
    assert checkpoints.read(tmp_path / "w.safetensors").keys() == tensors.keys()


def test_half_precision_and_shared_memory(small, tmp_path):
    """Saved weights are float32 and lie in memory of their own."""
    tensors = {name: tensor if "_mean" in name else tensor.half() for name, tensor in small[0].items()}
    tensors["conv1_3.stem.0.weight"] = tensors["conv1_2.stem.0.weight"]
    tensors["conv1_4.stem.0.weight"] = torch.zeros(()).expand(32, 32, 3, 3)
    out = importing.import_published("mtrnn", write(tmp_path / "w.pt", tensors), out=tmp_path / "new" / "o.safetensors")
    assert (tmp_path / "new" / "o.json").is_file()
    found = load_file(out)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert torch.equal(found["enc1.0.conv1.weight"], found["enc1.1.conv1.weight"])
    assert found["enc1.0.conv1.weight"].any()
    assert not found["enc1.2.conv1.weight"].any()


def test_a_folder_with_a_file_for_every_part(tmp_path, monkeypatch):
    tensors, image, expected = original("dmphn", seed=2)
    monkeypatch.setenv("DEBLUR_IMPORTED", str(tmp_path))
    folder = tmp_path / "DMPHN_1_2_4_8"
    for level in (1, 2, 3, 4):
        for side in ("encoder", "decoder"):
            part = {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{side}_lv{level}.")}
            write(folder / f"{side}_lv{level}.pkl", part, legacy=True)
    (folder / ".DS_Store").write_bytes(b"x")
    out = importing.import_published("dmphn", folder)
    assert out == tmp_path / "dmphn-DMPHN_1_2_4_8.safetensors"
    assert_same(restored("dmphn", load_file(out), image)[0], expected)
    card = json.loads(cards.beside(out).read_text())
    assert card["source"] == "DMPHN_1_2_4_8"
    assert card["source_sha256"]["decoder_lv3.pkl"] == paths.file_sha256(folder / "decoder_lv3.pkl")
    assert len(card["source_sha256"]) == 8

    with pytest.raises(ValueError, match=r"encoder_lv1\.pkl is a file; .* give their folder"):
        importing.import_published("dmphn", folder / "encoder_lv1.pkl")
    with pytest.raises(ValueError, match=r"DMPHN_1_2_4_8 is a folder; give the file itself \(model_best\.pt\)"):
        importing.import_published("mtrnn", folder)
    with pytest.raises(ValueError, match=r"holds no file of that kind; dmphn_stack4 needs .*encoder_s1_lv1\.pkl"):
        importing.import_published("dmphn_stack4", folder)
    (folder / "encoder_lv2.pth").write_bytes((folder / "encoder_lv2.pkl").read_bytes())
    with pytest.raises(ValueError, match="holds several files for encoder_lv2"):
        importing.import_published("dmphn", folder)
    (folder / "encoder_lv2.pth").unlink()
    (folder / "encoder_lv2.pkl").unlink()
    with pytest.raises(ValueError, match=r"missing hierarchy\.levels\.1\.encoder"):
        importing.import_published("dmphn", folder, overwrite=True)


# ------------------------------------------------------------------------------------------------ what does not belong


def without(name):
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv3_c.0.bias"), "1 differences: missing enc3.join.bias"),
        (lambda t: t | {"extra.weight": torch.ones(1)}, "1 differences: unknown extra.weight"),
        (
            lambda t: t | {"conv6_1.0.weight": torch.ones(64, 32, 3, 3)},
            r"1 differences: conv6_1.0.weight is \(64, 32, 3, 3\), the network has \(64, 32, 4, 4\)",
        ),
        (lambda t: t | {"img_prd.0.bias": torch.tensor([0, torch.nan, 0])}, "img_prd.0.bias is not finite"),
        (lambda t: t | {"sub_mean.bias": torch.zeros(3)}, "sub_mean.bias is not the constant"),
        (lambda t: t | {"sub_mean.bias": torch.zeros(4)}, "sub_mean.bias is not the constant"),
        (lambda t: {}, "holds no named tensors"),
        (lambda t: {name + "_": tensor for name, tensor in t.items()}, r"missing .*; missing"),
    ],
)
def test_strict_and_nothing_written_after_an_error(small, tmp_path, capsys, change, message):
    source = write(tmp_path / "w.pth", change(dict(small[0])))
    out = tmp_path / "out" / "o.safetensors"
    with pytest.raises(ValueError, match=message) as raised:
        importing.import_published("mtrnn", source, out=out)
    assert str(raised.value).startswith(str(source))
    assert not list(out.parent.iterdir())


def test_an_older_import_survives_a_failed_one(small, tmp_path, monkeypatch):
    source, out = write(tmp_path / "w.pth", small[0]), tmp_path / "o.safetensors"
    importing.import_published("mtrnn", source, out=out)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(cards.json, "dumps", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        importing.import_published("mtrnn", source, out=out, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_shared_tensors_must_agree():
    tensors, _, _ = original("mprnet", seed=3)
    tensors["stage3_orsnet.orb2.body.5.body.1.weight"] = torch.tensor([0.2])
    with pytest.raises(ValueError, match=r"1 differences: .*orb2\.body\.5\.body\.1\.weight differs from shallow_feat"):
        importing.translate("mprnet", tensors)


def test_weights_of_another_size_or_network(small):
    wide = {name: tensor if "_mean" in name else tensor.repeat_interleave(2, 0) for name, tensor in small[0].items()}
    with pytest.raises(ValueError, match=r"mtrnn .*conv1_1\.0\.bias is \(64,\), the network has \(32,\)"):
        importing.translate("mtrnn", wide)
    with pytest.raises(ValueError, match="not the weights of dbgan"):
        importing.translate("dbgan", small[0])


def test_weights_of_another_network_of_the_project_are_named():
    plus = original("mimounet_plus", seed=6)[0]
    with pytest.raises(ValueError, match=r"not the weights of mimounet \(MIMO-.*; they fit mimounet_plus$"):
        importing.translate("mimounet", plus)
    with pytest.raises(ValueError, match="differences") as raised:
        importing.translate("mimounet", without("ConvsOut.0.main.0.bias")(plus))
    assert "fit" not in str(raised.value)


def test_sdnet3_is_no_stack_of_four_though_it_holds_the_same_files(tmp_path, capsys):
    """Told by one tensor of its published file, whatever it was saved with."""
    tensors = original("dmphn_stack4", seed=7)[0]
    tensors["decoder_s4_lv1.layer24.bias"] = torch.tensor([0.0001558440, -0.0047842916, -0.0042193770])
    folder = tmp_path / "SDNet3"
    for part in sorted({name.partition(".")[0] for name in tensors}):
        write(folder / f"{part}.pkl", {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{part}.")})
    assert len(list(folder.iterdir())) == 24
    assert cli.main(["weights", "import", "dmphn_stack4", str(folder)]) == 1
    assert re.search(
        r"SDNet3: not the weights of dmphn_stack4, but of SDNet3, a stack of three, .*; give checkpoints/SDNet4",
        " ".join(capsys.readouterr().err.split()),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["SDNet3"]
    tensors["decoder_s4_lv1.layer24.bias"] = torch.tensor([0.0001558440, -0.0047842916, -0.0042])
    importing.translate("dmphn_stack4", tensors)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("nafnet", ("zeros", "16", "384 px")),
        ("nafnet_64", ("zeros", "16", "384 px")),
        ("deblurgan", ("multiples of 4", "multiples of 8", "dropout")),
        ("deblurgan_v2_inception", ("1 to 32 px", "grey", "scores in training mode")),
        ("deblurgan_v2", ("1 to 32 px", "grey", "scores in training mode")),
        ("mscnn", ("Gaussian pyramid", "repeats the edge", "blur_gamma")),
    ],
)
def test_cards_say_where_results_may_differ_from_the_published_ones(network, words):
    cautions = " ".join(importing.published_form(network).cautions)
    assert all(word in cautions for word in words)


def test_batch_counters_may_be_missing():
    """PyTorch before 0.4.1 saved none."""
    tensors, image, expected = original("deblurgan_v2", seed=4)
    old = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    outputs = restored("deblurgan_v2", importing.translate("deblurgan_v2", old), image)
    assert_same(outputs[0], expected)


def test_deblurgan_without_dropout_is_numbered_otherwise():
    tensors, image, expected = original("deblurgan", seed=5)
    shifted = {"6": "5", "7": "6"}
    moved = {}
    for name, tensor in tensors.items():
        start, block, rest = name.partition(".conv_block.")
        number, dot, kind = rest.partition(".")
        moved[start + block + shifted.get(number, number) + dot + kind if block else name] = tensor
    outputs = restored("deblurgan", importing.translate("deblurgan", moved), image)
    assert_same(outputs[0], expected)


class Trap:
    """Unpickling it would call something."""

    def __reduce__(self):
        return exec, ("raise SystemExit('opened')",)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("content", [Trap(), {"state_dict": Trap()}, torch.nn.Conv2d(3, 3, 3)])
def test_a_pickle_that_needs_classes_is_not_opened(tmp_path, content, legacy):
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=r"w\.pth is a pickle that needs \S+, so it is not opened.*state_dict\(\)"):
        importing.import_published("mtrnn", tmp_path / "w.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: the download failed"),
        (b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "is compressed: unpack it"),
        (b"no weights at all", "is damaged or no PyTorch checkpoint"),
        (bytes(range(256)) * 4, "is damaged or no PyTorch checkpoint"),
        (struct.pack("<Q", 60) + b"{}", "is damaged or no PyTorch checkpoint"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_checkpoint(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} .*{message}|{name} {message}"):
        importing.import_published("mtrnn", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_archive_around_the_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "GOPRO_L1.zip", "w") as archive:
        archive.writestr("GOPRO_L1/models/model-1000.pt", b"x")
    with pytest.raises(ValueError, match=r"is an archive: unpack it .*GOPRO_L1/models/model-1000\.pt"):
        importing.import_published("mscnn", tmp_path / "GOPRO_L1.zip")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_every_truncation_is_found(small, tmp_path, kind):
    whole = tmp_path / ("whole.safetensors" if kind == "safetensors" else "whole.pth")
    if kind == "safetensors":
        save_file(small[0], whole)
    else:
        write(whole, small[0], legacy=kind == "legacy")
    data = whole.read_bytes()
    rng = np.random.default_rng(6)
    for kept in [1, 7, 8, 9, 100, len(data) - 1, *rng.integers(1, len(data), 4).tolist()]:
        cut = tmp_path / f"cut{kept}{whole.suffix}"
        cut.write_bytes(data[:kept])
        with pytest.raises(ValueError, match=f"cut{kept}.* is damaged or no PyTorch checkpoint: download it again"):
            checkpoints.read(cut)
        cut.unlink()


@pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(2), {"epoch": 3}, {"state_dict": {"a": 1}}, {}])
def test_a_checkpoint_without_named_tensors(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth holds .*no named tensors .*save the state_dict alone"):
        checkpoints.read(tmp_path / "w.pth")


def test_wrong_arguments(small, tmp_path, capsys):
    source = write(tmp_path / "w.pth", small[0])
    same = tmp_path / "s.safetensors"
    save_file(small[0], same)
    before = same.read_bytes()
    for arguments, message in [
        (["srn", source], "srn has no weights to import"),
        (["nobody", source], "unknown network 'nobody'"),
        (["mtrnn", source, "--variant", "x"], "unknown variant of mtrnn 'x'; choose one of paper"),
        (["mtrnn", source, "--out", tmp_path / "o.pth"], "give --out a name that ends in .safetensors"),
        (["mtrnn", same, "--out", same], "is an input, and these are never overwritten; give another name"),
    ]:
        assert cli.main(["weights", "import", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("deblur: ")
        assert message in error
    assert cli.main(["weights", "import", "mtrnn", str(tmp_path / "none.pth")]) == 1
    assert "none.pth does not exist; mtrnn needs model_best.pt from github.com/Dong1P" in capsys.readouterr().err
    assert same.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"w.pth", "s.safetensors"}


def test_translated_weights_are_refused_by_another_network(small, tmp_path):
    out = importing.import_published("mtrnn", write(tmp_path / "w.pth", small[0]))
    tensors.load_weights(models.build("mtrnn"), out)
    with pytest.raises(ValueError, match="holds the weights of another network or size"):
        tensors.load_weights(models.build("mtrnn", widths=(16, 32, 64)), out)


# -------------------------------------------------------------------------------------------- what a file may declare

FAR = 10**12
"""Elements: no machine has that much, and what asks for it is ended by the system."""


class Call:
    """Unpickling it calls what checkpoints of weights may call, with any arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def view(shape, stride, offset=0):
    """A tensor of four numbers that says to be of another shape."""
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.arange(4.0).untyped_storage(), dtype=torch.float32, _internal=True
    )
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, False, OrderedDict())


DECLARED = {
    "no stride": lambda: torch.zeros(1).expand(FAR),
    "no stride, 2-D": lambda: torch.zeros(3, 1).expand(3, FAR // 3),
    "no data": lambda: torch.empty(FAR, device="meta"),
    "a view beyond its storage": lambda: view((FAR,), (1,)),
    "a stride beyond its storage": lambda: view((2,), (FAR,)),
    "an offset beyond its storage": lambda: view((1,), (1,), FAR),
    "a size that overflows": lambda: view((2**62, 2**62), (1, 1)),
    "a negative size": lambda: view((-1,), (1,)),
    "a constructor of tensors": lambda: Call(torch.FloatTensor, FAR),
    "a constructor of any tensors": lambda: Call(torch.Tensor, 10**6, 10**6),
    "an array of bytes": lambda: Call(bytearray, FAR),
    "sparse": lambda: torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (FAR,)),
    "sparse by rows": lambda: torch.eye(3).to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "8 bits": lambda: torch.ones(3).to(torch.float8_e4m3fn),
    "little without data": lambda: torch.empty(3, device="meta"),
}

NO_WEIGHTS = ("sparse", "sparse by rows", "complex", "8 bits", "little without data")
"""Kinds that do no harm beside the weights; PyTorch does not read all of them in its older form."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["state_dict", "beside"])
@pytest.mark.parametrize("kind", DECLARED)
def test_what_a_checkpoint_declares_is_refused_before_it_is_allocated(kind, place, legacy, tmp_path, monkeypatch):
    tensor = DECLARED[kind]()
    content = {"state_dict": {"a.weight": torch.ones(2)}}
    if place == "state_dict":
        content["state_dict"]["b.weight"] = tensor
    else:
        content["optimizer"] = {"state": [{"exp_avg": tensor}]}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    before = peak_bytes()
    found, message = outcome(tmp_path / "w.pth")
    assert peak_bytes() - before < 2 * 10**9
    small_and_no_weights = place == "beside" and kind in NO_WEIGHTS
    assert found == {"a.weight"} if small_and_no_weights and not message else message
    assert re.match(r"(declares a tensor of|holds|is damaged|$)", message)
    assert len(message) < 400
    assert "\n" not in message


def outcome(path):
    """The names that a file gives, and what is said of it."""
    try:
        return checkpoints.read(path).keys(), ""
    except ValueError as error:
        name, _, message = str(error).partition(" ")
    assert name == str(path)
    return None, message


def peak_bytes():
    """Of the memory that this process ever asked for, used or not."""
    with open("/proc/self/status") as stream:
        return next(1024 * int(line.split()[1]) for line in stream if line.startswith("VmPeak"))


def declared_storage(path, numel, legacy, monkeypatch):
    """A checkpoint whose storage is said to be of `numel` elements and has four."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.storage.TypedStorage, "_size", lambda self: numel)
        torch.save({"a": view((4,), (1,))}, path, _use_new_zipfile_serialization=not legacy)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("numel", [5, 10**4, 10**9, FAR, 2**62])
def test_a_storage_larger_than_the_file(tmp_path, numel, legacy, monkeypatch):
    declared_storage(tmp_path / "w.pth", numel, legacy, monkeypatch)
    before = peak_bytes()
    with pytest.raises(ValueError, match=r"w\.pth (declares a tensor of|is damaged)"):
        checkpoints.read(tmp_path / "w.pth")
    assert peak_bytes() - before < 10**9


@pytest.mark.parametrize("sizes", [(FAR,), (10**9, 10**9), (5,)])
def test_safetensors_that_declare_more_than_they_hold(tmp_path, sizes):
    bytes_declared = 4 * int(np.prod([float(size) for size in sizes]))
    header = {"a": {"dtype": "F32", "shape": sizes, "data_offsets": [0, bytes_declared]}}
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(ValueError, match=r"w\.safetensors is damaged"):
        checkpoints.read(tmp_path / "w.safetensors")


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path):
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as archive, zipfile.ZipFile(tmp_path / "c.pth", "w") as packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"c\.pth is compressed, which PyTorch's checkpoints are not"):
        checkpoints.read(tmp_path / "c.pth")


def looped():
    content = {}
    content["model"] = {"state_dict": content}
    return content


def nested(depth):
    content = {"a": torch.ones(1)}
    for _ in range(depth):
        content = {"model": content}
    return content


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        {1: torch.ones(1)},
        {b"a": torch.ones(1)},
        {None: torch.ones(1)},
        {"a": torch.ones(1), 7: torch.ones(1)},
        {("a", "b"): torch.ones(1)},
        {"a\nb": torch.ones(1)},
        {"\x1b[2J": torch.ones(1)},
        {"a" * 10_000: torch.ones(1)},
        {10**5000: 1},
        {"a" * 10_000: 1},
        {"state_dict": {"\n": 3}},
        {"state_dict": {}},
        {"state_dict": []},
        looped(),
        [],
        (),
        None,
        "weights",
        10**5000,
        float("nan"),
        [[[]]],
        OrderedDict(),
        torch.Size([3]),
        torch.float32,
        {"a": {"b": {"c": torch.ones(1)}}},
    ],
    ids=range(25),
)
def test_whatever_a_checkpoint_holds_the_message_is_one_line_with_its_name(tmp_path, content, legacy):
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=r"w\.pth (holds|is damaged)") as raised:
        checkpoints.read(tmp_path / "w.pth")
    assert len(str(raised.value)) < 600 + len(str(tmp_path))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("depth", [1, 100, 200])
def test_wrappers_in_wrappers(tmp_path, depth):
    torch.save(nested(depth), tmp_path / "w.pth")
    assert checkpoints.read(tmp_path / "w.pth").keys() == {"a"}


@pytest.mark.parametrize("network", ["mtrnn", "dmphn"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a pipe"),
        (lambda path: path.symlink_to(path.name), "is a link in a circle"),
        (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere"),
    ],
)
def test_what_is_no_file_of_weights(tmp_path, network, make, message):
    """As the file itself, and as one of a folder's parts."""
    part = tmp_path / "encoder_lv1.pkl"
    make(part)
    source = part if network == "mtrnn" else tmp_path
    with pytest.raises(ValueError, match=rf"encoder_lv1\.pkl {message}, not a file of weights"):
        importing.import_published(network, source)


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_of_a_checkpoint_is_told_or_harmless(tmp_path, seed):
    """Some bytes changed at random: tensors of the same names and shapes, or a message with the file's name."""
    rng = np.random.default_rng(seed)
    tensors = {"a.weight": torch.ones(2, 3), "b.bias": torch.zeros(4)}
    path = tmp_path / ("w.safetensors" if seed % 3 == 0 else "w.pth")
    save_file(tensors, path) if seed % 3 == 0 else torch.save(
        tensors, path, _use_new_zipfile_serialization=seed % 3 > 1
    )
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 3):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    found, message = outcome(path)
    assert bool(message) == (found is None)
    assert "\n" not in message
