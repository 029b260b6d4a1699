"""Your own photographs: tiles, what is loaded, and what one image becomes."""

import json
import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

import deblur
from deblur import evaluation, memory, models, paths, writing
from deblur.errors import UsageError
from deblur.evaluation import metrics
from deblur.models.layers import pad_to_multiple
from deblur.photos import drift, restoration, tiles
from deblur.reports import awkward
from deblur.weights import released


def integers(generator, *shape):
    return torch.randint(-2, 3, shape, generator=generator).float()


def stridden(seed):
    """Three scales with zero padding, exact in float64 (integers, and halves of them); a pixel sees 15 px far.

    3x3 at full size sees 1 px; 3x3 at half size 2 px; two 3x3 at quarter size 4 px each; pooling and nearest
    enlargement stay within blocks of 4, which adds 3 px; last a 3x3 of their sum at full size.
    """
    generator = torch.Generator().manual_seed(seed)
    kernels = [integers(generator, 3, 3, 3, 3) for _ in range(5)]

    def run(image):
        height, width = image.shape[:2]
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
        x = pad_to_multiple(x, 4)
        full, half, quarter, again, last = (
            lambda y, kernel=kernel: F.conv2d(y, kernel.double(), padding=1) for kernel in kernels
        )
        x = full(x)
        y = half(F.avg_pool2d(x, 2))
        z = again(quarter(F.avg_pool2d(y, 2)))
        y = y + F.interpolate(z, scale_factor=2)
        x = last(x + F.interpolate(y, scale_factor=2))
        return x[0, :, :height, :width].permute(1, 2, 0).float().numpy()

    return run


class Network(nn.Module):
    """Layers that give a tuple."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, blurred):
        return (self.layers(blurred),)


def noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_tiles_equal_the_whole_image_exactly(seed):
    rng = np.random.default_rng(seed)
    run, image = stridden(seed), noise(rng, *rng.integers(100, 400, 2))
    margin = int(rng.integers(15, 25))
    tile = 3 * margin + int(rng.integers(64, 128))
    np.testing.assert_array_equal(tiles.tiled(run, image, tile, margin), run(image))


def test_a_margin_smaller_than_the_receptive_field_shows():
    run, image = stridden(0), noise(np.random.default_rng(0), 200, 300)
    assert not np.array_equal(tiles.tiled(run, image, 128, 4), run(image))


def test_a_network_with_real_weights():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2))
    run = evaluation.restorer(Network(layers))
    image = noise(np.random.default_rng(1), 150, 333)
    np.testing.assert_allclose(tiles.tiled(run, image, 100, 4), run(image), rtol=0, atol=1e-5)


def test_a_small_image_goes_straight_through():
    calls = []

    def run(image):
        calls.append(image.shape)
        return evaluation.identity(image)

    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (65, 40), (160, 160)):
        image = noise(rng, height, width)
        found = tiles.tiled(run, image, 160, 16)
        np.testing.assert_array_equal(found, evaluation.identity(image))
        assert found.dtype == np.float32
    assert calls == [(1, 1, 3), (65, 40, 3), (160, 160, 3)]


@pytest.mark.parametrize("seed", range(6))
def test_tiles_are_aligned_bounded_and_cover_everything(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 900, 2)
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows % 256, columns % 256, rows // 256 * 16 + columns // 256], -1).astype(np.uint8)
    margin = int(rng.integers(0, 40))
    tile = 3 * margin + int(rng.integers(64, 200))
    shapes = []

    def run(piece):
        y, x = (int(piece[0, 0, axis]) for axis in (0, 1))
        assert y % tiles.ALIGN == x % tiles.ALIGN == 0  # 256 is a multiple, so the remainders tell
        shapes.append(piece.shape)
        return evaluation.identity(piece)

    np.testing.assert_array_equal(tiles.tiled(run, image, tile, margin), evaluation.identity(image))
    assert max(max(shape[:2]) for shape in shapes) <= tile


@pytest.mark.parametrize("seed", range(50))
def test_windows_are_the_fewest_and_repeat_little(seed):
    rng = np.random.default_rng(seed)
    align = tiles.ALIGN
    overlap = align * int(rng.integers(0, 5))
    tile = overlap + align * int(rng.integers(1, 40))
    length = int(rng.integers(1, 6000))
    windows = tiles._windows(length, tile, overlap)
    assert windows[0].start == 0
    assert windows[-1].stop == length
    sides = [window.stop - window.start for window in windows]
    assert max(sides) <= tile
    for before, after in pairwise(windows):
        assert before.stop - after.start == overlap
    fewest = next(n for n in range(1, 6001) if n * tile - (n - 1) * overlap >= length)
    assert len(windows) == fewest
    assert fewest == 1 or max(sides) - overlap < (length - overlap) / fewest + align


def test_no_seam_where_tiles_disagree():
    """Tiles of random brightness: from one pixel to the next the blend changes by the share of a step at most."""
    rng = np.random.default_rng(0)
    for margin in (16, 24):
        overlap = -(-3 * margin // tiles.ALIGN) * tiles.ALIGN
        image = noise(rng, 500, 450)
        found = tiles.tiled(lambda piece: np.full(piece.shape, rng.random(), np.float32), image, 160, margin)
        steepest = max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1))
        assert found.max() - found.min() > 0.1
        assert steepest < 1.01 / (overlap - 2 * margin)


@pytest.mark.parametrize("margin", [0, 5, 16, 33, 48])
def test_where_tiles_meet_their_shares_are_lines_between_the_margins(margin):
    """Four tiles of one level each: both ways, the next one's share rises evenly where neither is near its edge."""
    levels, pieces = np.random.default_rng(margin).random(4), []
    overlap = next(side for side in range(0, 300, tiles.ALIGN) if side >= 3 * margin)
    tile = overlap + 4 * tiles.ALIGN
    height, width = tile + 50, tile + 90

    def run(piece):
        pieces.append(piece.shape)
        return np.full(piece.shape, levels[len(pieces) - 1], np.float32)

    found = tiles.tiled(run, noise(np.random.default_rng(0), height, width), tile, margin)
    assert len(pieces) == 4
    shares = []
    for length, first, second in ((height, pieces[0][0], pieces[2][0]), (width, pieces[0][1], pieces[1][1])):
        assert first + second - length == overlap
        centres = np.arange(length) + 0.5
        ends = [first - overlap + margin, first - margin]
        shares.append(np.interp(centres, ends, [0, 1]) if overlap else centres > first)
    down, across = shares[0][:, None], shares[1][None]
    top, bottom = (levels[i] + across * (levels[i + 1] - levels[i]) for i in (0, 2))
    for channel in found.transpose(2, 0, 1):
        np.testing.assert_allclose(channel, top + down * (bottom - top), atol=1e-6)


def test_margins_are_those_that_a_path_of_released_networks_needs():
    """What is cut off by default, and given to `tiled` by whoever restores a photograph."""
    assert tiles.MARGIN > 2 * 20
    image, network = noise(np.random.default_rng(0), 250, 100), Linear()
    restoration.restore(image, network, tile=208)
    assert [piece.shape[2] for piece in network.seen] == [192, 192, 186]  # three margins and a bit in common


@pytest.mark.parametrize(("tile", "margin"), [(100, 16), (64, 1), (300, -1), (0, 0)])
def test_tiles_too_small_for_their_margin(tile, margin):
    with pytest.raises(ValueError, match=f"tile={tile} and margin={margin} do not fit"):
        tiles.tiled(evaluation.identity, np.zeros((9, 9, 3), np.uint8), tile, margin)


# -------------------------------------------------------------------------------------------------------------- loading


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DEBLUR_IMPORTED", str(tmp_path / "imported"))
    return tmp_path / "weights"


def rewrite(card, **changes):
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def test_half_precision_becomes_float32_and_nothing_else_changes(folder):
    file = awkward.tiny_release(folder)
    network = released.load("tiny")
    halves, found = load_file(file), network.state_dict()
    assert not network.training
    assert found.keys() == halves.keys()
    for name, half in halves.items():
        assert half.dtype == torch.float16
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], half.float())


def scored(gain_db, fingerprint="fixed"):
    """What a card says of a network's gain, and on which pairs it was measured."""
    data = {"tested_on": "bench gopro (blur)"} | ({"fingerprint": fingerprint} if fingerprint else {})
    return {"scores": {"gain_db": gain_db}, "data": data}


def test_a_name_or_a_path(folder, tmp_path):
    for seed, name in enumerate(("b", "a", "c")):
        awkward.tiny_release(folder, name, seed)
    elsewhere = awkward.tiny_release(tmp_path / "elsewhere", "d")
    imported = [awkward.tiny_release(tmp_path / "imported", name) for name in ("b", "e")]
    assert list(released.cards()) == ["a", "b", "c"]
    assert [file.stem for file in released.at_hand()] == ["a", "b", "c", "e"]
    assert released.find("b") == folder / "b.safetensors"
    assert released.find("e") == imported[1]
    assert released.find(imported[0]) == imported[0]
    assert released.find(elsewhere) == released.find(str(elsewhere)) == elsewhere


@pytest.mark.parametrize(
    ("networks", "imported", "best", "why"),
    [
        ({"a": None}, {}, "a", "the only network at hand"),
        ({"b": None, "a": None}, {}, "a", "the first of 2 networks at hand, since none has scores that compare"),
        ({"a": 1.0, "b": 1.5}, {}, "b", "gains most of the 2 networks at hand, +1.50 dB on full-size motion blur"),
        ({"a": 1.0}, {"m": 5.25}, "m", "gains most of the 2 networks at hand, +5.25 dB on full-size motion blur"),
        ({"a": -0.5}, {"m": None}, "a", "gains most of the 1 of 2 networks at hand whose scores compare, -0.50 dB "),
        ({"a": None}, {"m": None}, "a", "the first of 2 networks at hand"),
    ],
)
def test_what_gains_most_is_taken_and_why_is_said(networks, imported, best, why, folder, tmp_path):
    for place, gains in ((folder, networks), (tmp_path / "imported", imported)):
        for name, gain_db in gains.items():
            awkward.tiny_release(place, name, **({} if gain_db is None else scored(gain_db)))
    assert released.find().stem == best
    first, second = released.reasons()
    assert first.startswith(f"{best}: {why}")
    assert "'deblur weights fetch maxim'" in second


def test_gains_on_other_pairs_do_not_count(folder, tmp_path):
    """Neither those without a fingerprint, nor those of a set of pairs that fewer networks were measured on."""
    for name, card in {"a": scored(1.0), "b": scored(1.2), "c": scored(4.0, "other"), "d": scored(5.0, "")}.items():
        awkward.tiny_release(folder, name, **card)
    awkward.tiny_release(tmp_path / "imported", "m", **scored(9.0, "other still"))
    assert released.find().stem == "b"
    assert "the 2 of 5 networks at hand whose scores compare, +1.20 dB" in released.reasons()[0]


def test_imported_weights_that_nobody_scored_are_never_taken_unasked(folder, tmp_path):
    file = awkward.tiny_release(tmp_path / "imported", "m")
    with pytest.raises(UsageError, match=r"nothing is known of how much imported weights gain; choose .* name: m"):
        released.find()
    assert released.find("m") == file


def test_who_has_maxim_is_told_of_nothing_better(folder, tmp_path):
    awkward.tiny_release(tmp_path / "imported", "m", network="maxim")
    awkward.tiny_release(folder, "a")
    assert len(released.reasons()) == 1


def test_imported_weights_have_no_configuration_but_that_of_the_paper(tmp_path):
    network = models.build("mimounet")
    file = tmp_path / "mimounet-theirs.safetensors"
    save_file(network.state_dict(), file)
    card = {"network": "mimounet", "variant": "paper", "scale": "paper", "sha256": paths.file_sha256(file)}
    writing.write_text(file.with_suffix(".json"), json.dumps(card))
    found = released.load(file).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


def test_wrong_names_cards_and_weights_are_told_apart(folder, tmp_path):
    with pytest.raises(ValueError, match="weights holds no weights; put released ones there"):
        released.load()
    file = awkward.tiny_release(folder)
    card, content = file.with_suffix(".json"), file.read_bytes()
    with pytest.raises(ValueError, match="no weights are called 'big'; at hand are tiny"):
        released.load("big")
    with pytest.raises(ValueError, match=r"gone\.safetensors: no such file"):
        released.load(tmp_path / "gone.safetensors")
    rewrite(card, config={**json.loads(card.read_text())["config"], "widths": [4, 4, 12]})
    with pytest.raises(ValueError, match="weights of another network or size"):
        released.load("tiny")
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="not the weights of its card, by SHA-256"):
        released.load("tiny")
    writing.write_text(card, json.dumps({"network": "attentive"}))
    with pytest.raises(ValueError, match=r"tiny\.json: the card has no variant, sha256"):
        released.load("tiny")
    for content in ("{", "[]", "3"):
        writing.write_text(card, content)
        with pytest.raises(ValueError, match=r"tiny\.json: no card, since no JSON"):
            released.load("tiny")
    card.unlink()
    with pytest.raises(ValueError, match=r"its card tiny\.json is missing"):
        released.load("tiny")


def damage(card, how):
    if how == "gone":
        card.unlink()
    elif how == "a folder":
        card.unlink()
        card.mkdir()
    else:
        card.write_bytes({"cut": card.read_bytes()[:9], "not text": b"\xff\xfe", "a list": b"[]"}[how])


@pytest.mark.parametrize("how", ["gone", "a folder", "cut", "not text", "a list"])
def test_a_damaged_card_blocks_no_other_network(how, folder, caplog):
    for name, gain_db in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        awkward.tiny_release(folder, name, **scored(gain_db))
    damage(folder / "b.json", how)
    (folder / ".c-1234.safetensors").write_bytes(b"")  # the draft of a release that was killed
    assert list(released.cards()) == ["a", "c"]
    (record,) = caplog.records
    assert str(folder / "b.json") in record.message or "its card b.json" in record.message
    caplog.clear()
    released.cards()
    released.load("a")
    assert not caplog.records  # said once
    with pytest.raises(ValueError, match=r"b\.(safetensors|json).*(copy it again|go with the card)") as found:
        released.load("b")
    assert not isinstance(found.value, UsageError)
    assert released.find() == folder / "c.safetensors"
    assert released.reasons()[0].startswith("c: gains most of the 2 networks at hand")
    (record,) = caplog.records
    assert "It may gain more: c is taken instead" in record.message
    with pytest.raises(UsageError, match="no weights are called 'x'; at hand are a, c"):
        released.find("x")


def test_where_all_cards_are_damaged_each_is_named(folder):
    for name in ("a", "b"):
        awkward.tiny_release(folder, name)
        damage(folder / f"{name}.json", "cut")
    with pytest.raises(ValueError, match=r"(?s)a\.json: no card.*b\.json: no card"):
        released.load()


def test_deblur_restore_is_there_when_asked_for_and_not_before():
    assert deblur.restore is restoration.restore
    with pytest.raises(AttributeError, match="no attribute 'restores'"):
        _ = deblur.restores
    code = "import sys, deblur; sys.exit('deblur.restoration' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------------------ one image


class Linear(nn.Module):
    """Scales each colour, and keeps what it has seen."""

    def __init__(self, *factors, plus=0.0):
        super().__init__()
        self.factors = nn.Parameter(torch.tensor(factors or (1.0, 1.0, 1.0))[:, None, None])
        self.plus = plus
        self.seen = []

    def forward(self, blurred):
        self.seen.append(blurred)
        return (blurred * self.factors + self.plus,)


def image_of(rng, *channels, kind=np.uint8, size=None):
    shape = (*(size or rng.integers(1, 60, 2)), *channels)
    return rng.integers(0, np.iinfo(kind).max + 1, shape, dtype=kind)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_network_that_changes_nothing_changes_nothing(channels, kind, ensemble):
    rng = np.random.default_rng(len(channels))
    image = image_of(rng, *channels, kind=kind)
    before = image.copy()
    found = restoration.restore(image, Linear(), ensemble)
    np.testing.assert_array_equal(found, before)
    np.testing.assert_array_equal(image, before)
    assert found.dtype == kind


def test_eight_bits_are_what_the_evaluation_scores(folder):
    awkward.tiny_release(folder)
    image = image_of(np.random.default_rng(0), 3, size=(70, 45))
    expected = metrics.to_uint8(evaluation.restorer(released.load("tiny"))(image))
    found = restoration.restore(image)
    assert (found != expected).mean() < 1e-3  # float32 against float64 at a half
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert not np.array_equal(found, image)


def test_sixteen_bits_are_computed_and_kept_in_full():
    image = image_of(np.random.default_rng(0), 3, kind=np.uint16, size=(40, 50))
    network = Linear(0.5, 0.25, 2.0)
    found = restoration.restore(image, network)
    expected = np.rint(np.minimum(image * np.array([0.5, 0.25, 2.0]), 65535))
    assert np.abs(found - expected).max() <= 1  # float32 at a half
    assert (found != expected).mean() < 0.3
    np.testing.assert_allclose(network.seen[-1][0].permute(1, 2, 0), image / 65535, atol=1e-7)


@pytest.mark.parametrize("channels", [(), (2,)])
def test_grey_is_seen_as_three_equal_channels_and_their_mean_comes_back(channels):
    image, network = image_of(np.random.default_rng(0), *channels, size=(20, 30)), Linear(0.5, 1.0, 0.3)
    found = restoration.restore(image, network)
    grey = image[..., 0] if channels else image
    for channel in network.seen[-1][0]:
        np.testing.assert_allclose(channel, grey / 255, atol=1e-7)
    restored = found[..., 0] if channels else found
    assert np.abs(restored - 0.6 * grey).max() <= 0.5 + 1e-4
    if channels:
        np.testing.assert_array_equal(found[..., 1], image[..., 1])


def test_alpha_is_copied_and_not_shown_to_the_network():
    image, network = image_of(np.random.default_rng(0), 4, size=(20, 30)), Linear(0.1, 0.1, 0.1)
    found = restoration.restore(image, network)
    np.testing.assert_array_equal(found[..., 3], image[..., 3])
    assert np.abs(found[..., :3] - 0.1 * image[..., :3]).max() <= 0.5 + 1e-4
    assert network.seen[-1].shape[1] == 3


def test_the_ensemble_is_the_mean_over_eight_symmetries():
    torch.manual_seed(0)
    network = Network(nn.Conv2d(3, 3, 5, padding=2))
    run = evaluation.restorer(network)
    image = image_of(np.random.default_rng(0), 3, size=(20, 30))
    each = []
    for turns, flip in product(range(4), (False, True)):
        seen = np.rot90(image, turns)
        restored = run(np.ascontiguousarray(seen[::-1] if flip else seen))
        each.append(np.rot90(restored[::-1] if flip else restored, -turns))
    expected = 255 * np.clip(np.mean(each, 0), 0, 1)
    found = restoration.restore(image, network, ensemble=True)
    assert np.abs(found - expected).max() <= 0.5 + 1e-3
    assert np.abs(restoration.restore(image, network) - expected).max() > 1


@pytest.mark.parametrize("ensemble", [False, True])
def test_tiles_that_are_asked_for_give_the_whole_image(ensemble):
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2)))
    image = image_of(np.random.default_rng(1), 3, kind=np.uint16, size=(150, 333))
    whole = restoration.restore(image, network, ensemble)
    assert np.ptp(whole.astype(int)) > 5000
    tiles = restoration.restore(image, network, ensemble, tile=100, margin=4)
    assert np.abs(tiles.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "uint8 or uint16, got float32; scale it to 0..255"),
        (np.zeros((4, 4, 3), bool), "got bool"),
        ([[1, 2], [3, 4]], "got list"),
        (np.zeros((4, 4, 5), np.uint8), r"got \(4, 4, 5\)"),
        (np.zeros((4, 4, 1), np.uint8), r"got \(4, 4, 1\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"got \(2, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"not empty, got \(0, 4, 3\)"),
    ],
)
def test_what_is_no_image(image, message):
    with pytest.raises(ValueError, match=message):
        restoration.restore(image, Linear())


def test_a_result_that_is_not_finite_is_no_image():
    with pytest.raises(ValueError, match="not finite"):
        restoration.restore(np.zeros((4, 4, 3), np.uint8), Linear(plus=float("nan")))


# --------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("gigabytes", [0.15, 0.5, 1.5, 2.5])
def test_tiles_are_as_large_as_memory_allows(gigabytes, monkeypatch):
    """Two convolutions: the second one's input, of 30 channels, and output live at once, besides the image."""
    monkeypatch.setattr(memory, "usable_bytes", lambda device: int(gigabytes * 1e9))
    network = nn.Sequential(nn.Conv2d(3, 30, 3, padding=1), nn.Conv2d(30, 3, 3, padding=1))
    height, width, cpu = 2000, 3000, torch.device("cpu")

    def taken(tile):
        return tiles.WORK_SPACE * 4 * (3 + 30 + 3) * min(tile, height) * min(tile, width)

    image = tiles.IMAGE_BYTES * height * width
    if image > gigabytes * 1e9:
        with pytest.raises(ValueError, match=r"0\.1 GB can be used; close programs"):
            tiles.largest_tile(network, height, width, 16, cpu)
        return
    room = min(gigabytes * 1e9, tiles.LIMIT) - image
    tile = tiles.largest_tile(network, height, width, 16, cpu)
    assert taken(tile) <= room
    assert tile == width or taken(tile + 2 * tiles.ALIGN) > room
    assert tile == width or tile % tiles.ALIGN == 0


def test_a_small_image_is_one_tile_even_if_little_is_free(monkeypatch):
    monkeypatch.setattr(memory, "usable_bytes", lambda device: 25_000_000)
    assert tiles.largest_tile(nn.Conv2d(3, 3, 3), 40, 50, 48, torch.device("cpu")) >= 50


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads Linux's account of memory")
def test_a_restoration_stays_within_its_budget(folder):
    """Three megapixels by tiles take less than the limit; the same image in one tile takes more."""
    file = awkward.tiny_release(folder)
    code = f"""
import re
from pathlib import Path
import numpy as np
from deblur.photos import restoration, tiles
from deblur.weights import released
tiles.LIMIT = 300_000_000
network, image = released.load({str(file)!r}), np.full((1500, 2000, 3), 99, np.uint8)
restoration.restore(image[:64, :64], network)
# Not ru_maxrss, which starts with the size of the process that started this one.
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
before = peak()
for tile in (None, 2000):
    restoration.restore(image, network, tile=tile)
    print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    by_tiles, at_once = map(int, done.stdout.split())
    assert by_tiles < 300_000_000 < at_once


# ---------------------------------------------------------------------------------------------------------------- drift


def drifts(before, after):
    return {word for note in drift.drift(before, after) for word in ("colour", "areas", "pixel") if word in note}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_each_kind_of_drift_is_seen_and_no_other(channels, kind):
    rng = np.random.default_rng(0)
    unit = np.iinfo(kind).max // 255
    before = (unit * rng.integers(80, 170, (128, 192, *channels))).astype(kind)

    def changed(by):
        after = before.astype(int)
        view = after[..., : 3 if channels in ((3,), (4,)) else 1] if channels else after[..., None]
        view += np.rint(unit * np.broadcast_to(by, view.shape)).astype(int)
        return after.astype(kind)

    halves = np.where(np.arange(192) < 96, 14, -14)[None, :, None]
    signs = np.where(np.indices((128, 192)).sum(0) % 2, 40, -40)[..., None]
    assert drifts(before, before) == drifts(before, changed(7)) == set()
    assert drifts(before, changed(9)) == {"colour"}
    assert drifts(before, changed(halves)) == {"areas"}
    assert drifts(before, changed(signs)) == {"pixel"}
    if channels == (4,):
        after = before.copy()
        after[..., 3] = 0
        assert drifts(before, after) == set()
