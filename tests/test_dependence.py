"""How much a result depends on the tile: measured as it is said, kept on the card, heeded and told when restoring."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import deblur
from deblur import cli, evaluation, paths, release
from deblur.data import bench
from deblur.errors import UsageError
from deblur.photos import dependence, tiles
from deblur.reports import awkward
from deblur.weights import cards, released

TILES = (208, 256)


def picture(height, width, seed=0):
    """Noise that gets brighter to the right: what is seen of it decides its mean."""
    noise = np.random.default_rng(seed).integers(0, 100, (height, width, 3))
    return (noise + np.linspace(0, 155, width)[:, None]).astype(np.uint8)


def looks_around(image):
    """Half of the image, half of the mean of all that is seen."""
    image = image.astype(np.float32) / 255
    return (image + image.mean((0, 1))) / 2


def entry(default, levels, change_db, tiles=(256, 512, 1280)):
    """What a card says of tiles."""
    columns = {
        name: dict(zip(map(str, tiles), values)) for name, values in zip(cards.TILE_COLUMNS, (levels, change_db))
    }
    return {"default": default, **columns, "worst_levels": columns["levels"], "worst_change_db": columns["change_db"]}


SAME = entry(512, [0.9, 0.2, 0.1], [-0.2, -0.01, 0.0])
BEST = entry(256, [1.9, 1.5, 0.8], [0.3, 0.1, 0.02])
WHOLE = entry(None, [1.9, 1.5, 0.8], [-0.3, -0.1, -0.02])


# ------------------------------------------------------------------------------------------------------------ measuring


def test_what_is_measured_is_the_mean_difference_and_the_change_of_psnr(monkeypatch):
    monkeypatch.setattr(dependence, "TILES", TILES)
    pairs = [(picture(230, 300, seed), picture(230, 300, seed + 9)) for seed in range(2)]
    found = dependence.measured(looks_around, pairs)

    def psnr(restored, sharp):
        return 10 * np.log10(255**2 / np.mean((restored - sharp.astype(float)) ** 2))

    for tile in TILES:
        levels, changes = [], []
        for blurred, sharp in pairs:
            whole = np.rint(255 * looks_around(blurred)).astype(float)
            parts = np.rint(255 * tiles.tiled(looks_around, blurred, tile, tiles.MARGIN)).astype(float)
            levels.append(np.abs(parts - whole).mean())
            changes.append(psnr(parts, sharp) - psnr(whole, sharp))
        assert np.mean(levels) > 1
        assert found["levels"][str(tile)] == pytest.approx(np.mean(levels), abs=1e-4)
        assert found["worst_levels"][str(tile)] == pytest.approx(max(levels), abs=1e-4)
        assert found["change_db"][str(tile)] == pytest.approx(np.mean(changes), abs=1e-4)
        assert abs(found["worst_change_db"][str(tile)]) == pytest.approx(np.abs(changes).max(), abs=1e-4)
    assert found["pairs"] == 2
    assert cards.parsed({"network": "radn", "variant": "paper", "sha256": "0", "tile": found}).tile == found


def test_what_sees_no_farther_than_the_margin_takes_any_tile(monkeypatch):
    monkeypatch.setattr(dependence, "TILES", TILES)
    found = dependence.measured(evaluation.identity, [(picture(230, 300), picture(230, 300, 9))])
    assert set(found["levels"].values()) == set(found["change_db"].values()) == {0.0}
    assert found["default"] == min(TILES)


@pytest.mark.parametrize(
    ("levels", "change_db", "default"),
    [
        ([0.9, 0.2, 0.1], [0.0, 0.0, 0.0], 512),
        ([0.2, 0.9, 0.1], [0.0, 0.0, 0.0], 1280),  # from there on all
        ([0.2, 0.2, 0.1], [-0.06, -0.05, 0.05], 512),
        ([0.2, 0.2, 0.5], [0.0, 0.0, 0.0], None),
        ([1.9, 1.5, 0.8], [0.3, 0.4, 0.02], 512),
        ([1.9, 1.5, 0.8], [-0.3, -0.4, -0.02], None),
    ],
)
def test_the_default_is_the_smallest_that_changes_nothing_else_the_best(levels, change_db, default):
    assert dependence.default_tile(entry(0, levels, change_db)) == default


def test_the_largest_photographs_are_exposed_in_frames_as_large_as_they_afford(tmp_path, monkeypatch):
    """Which is halved as long as it has more rows than `bench` takes."""
    monkeypatch.setattr(bench, "ROWS", 200)
    sizes = {"a.png": (140, 1420), "b.png": (150, 1380), "c.png": (170, 1420), "d.png": (300, 2840)}
    for name, (height, width) in sizes.items():
        Image.fromarray(picture(height, width)).save(tmp_path / name)
    files = dependence.large_files(bench.Photographs(tmp_path))
    assert [file.name for file in files] == ["c.png", "a.png", "d.png"]  # b shows no more than a tile
    (blurred, sharp), *_ = pairs = list(dependence.large_pairs(files))
    assert [pair[0].shape for pair in pairs] == [(64, 1312, 3), (32, 1312, 3), (32, 1312, 3)]
    np.testing.assert_array_equal(sharp, picture(170, 1420)[51 : 51 + 64, 51 : 51 + 1312])
    assert blurred.shape == sharp.shape
    assert sharp.std() > 1.05 * blurred.std()
    assert [bench.KINDS[number] for number in range(dependence.PHOTOGRAPHS)] == list(bench.KINDS)


# ----------------------------------------------------------------------------------------------------------- restoring


@pytest.mark.parametrize(
    ("tile", "room", "taken"),
    [
        (None, 800, 800),
        (SAME, 800, 800),  # faster, and the same
        (SAME, 300, 300),
        (BEST, 800, 256),
        (BEST, 208, 208),
        (WHOLE, 800, 800),
    ],
)
def test_the_default_is_taken_as_far_as_memory_allows(tile, room, taken):
    assert dependence.preferred(tile, room) == taken


@pytest.mark.parametrize(
    ("tile", "given", "side", "words"),
    [
        (None, 208, 2000, ""),
        (SAME, 512, 2000, ""),
        (SAME, 900, 2000, ""),
        (SAME, 2000, 2000, ""),
        (SAME, 300, 2000, "with tiles of 300 px instead of tiles of 512 px .* 0.7 levels or more and -0.19 dB"),
        (SAME, 208, 500, "with tiles of 208 px instead of the whole image at once .* 0.9 levels or more and -0.20 dB"),
        (SAME, 300, 300, ""),
        (BEST, 256, 2000, ""),
        (BEST, 208, 2000, ""),  # counts as 256: smaller ones were not measured
        (BEST, 600, 2000, "with tiles of 600 px instead of tiles of 256 px .* 0.4 levels or more and -0.20 dB"),
        (
            BEST,
            2000,
            2000,
            "with the whole image at once instead of tiles of 256 px .* 1.9 levels or more and -0.30 dB",
        ),
        (BEST, 600, 256, ""),
        (WHOLE, 2000, 2000, ""),
        (WHOLE, 1400, 2000, "with tiles of 1400 px instead of the whole image at once .* 0.8 levels or more and -0.02"),
    ],
)
def test_other_tiles_are_told_of(tile, given, side, words):
    said = dependence.caution(
        cards.Card(name="one", network="radn", variant="paper", sha256="", tile=tile), given, side
    )
    if words:
        pytest.raises(AssertionError, match=words).matches(AssertionError(said))
        assert "the result of one changes" in said
    else:
        assert not said


class Seen(nn.Module):
    """Keeps the size of what it was shown."""

    def __init__(self):
        super().__init__()
        self.sizes = set()

    def forward(self, blurred):
        if blurred.device.type != "meta":
            self.sizes.add(tuple(blurred.shape[-2:]))
        return (blurred,)


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A network at hand that does best with tiles of 256 px."""
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    awkward.tiny_release(tmp_path / "weights", tile=BEST)
    made = Seen()
    monkeypatch.setattr(released, "load", lambda name: made)
    return made


def test_restore_takes_the_cards_tile_and_says_when_another_is_taken(network, tmp_path, capsys, caplog):
    Image.fromarray(picture(220, 540)).save(tmp_path / "a.png")
    command = ["restore", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--model", "tiny", "--overwrite"]
    assert cli.main(command) == 0
    assert {width for _, width in network.sizes} == {256, 252}
    assert not capsys.readouterr().err
    assert cli.main([*command, "--tile", "540"]) == 0
    assert capsys.readouterr().err == (
        f"deblur: {tmp_path / 'a.png'}: with the whole image at once instead of tiles of 256 px the result of tiny "
        "changes by 1.9 levels or more and -0.30 dB, as its card says\n"
    )
    with caplog.at_level(logging.WARNING):
        deblur.restore(picture(220, 540))
        assert not caplog.records
        deblur.restore(picture(220, 540), tile=540)
    assert "instead of tiles of 256 px" in caplog.records[0].message


def test_a_tile_that_memory_forces_is_told_of_too(network, tmp_path, monkeypatch, capsys):
    """Memory ends while a tile is computed, and a smaller one is taken."""
    awkward.tiny_release(tmp_path / "weights", tile=SAME)
    whole = Seen.forward

    def short(self, blurred):
        if blurred.device.type != "meta" and blurred.shape[-1] > 300:
            raise torch.OutOfMemoryError("out of memory")
        return whole(self, blurred)

    monkeypatch.setattr(Seen, "forward", short)
    Image.fromarray(picture(220, 540)).save(tmp_path / "a.png")
    assert cli.main(["restore", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--model", "tiny"]) == 0
    assert "with tiles of 270 px instead of tiles of 512 px" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ the card


def test_the_command_measures_and_writes_the_card(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    file = awkward.tiny_release(tmp_path / "weights")
    before = json.loads(cards.beside(file).read_text())
    (tmp_path / "photographs").mkdir()
    Image.fromarray(picture(140, 300)).save(tmp_path / "photographs" / "a.png")
    command = ["weights", "measure", "tiny", "--photos", str(tmp_path / "photographs")]
    assert cli.main(command) == 1
    assert "no photograph shows 1280 px and more; call 'deblur data photographs'" in capsys.readouterr().err
    Image.fromarray(picture(140, 1420)).save(tmp_path / "photographs" / "b.png")
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"{cards.beside(file)}\n"
    after = json.loads(cards.beside(file).read_text())
    assert after["tile"].keys() == {"default", "pairs", *cards.TILE_COLUMNS}
    assert after["tile"]["pairs"] == 1
    assert after["tile"]["levels"].keys() == set(map(str, dependence.TILES))
    del after["tile"]
    assert after == before


def test_the_cards_of_an_installed_package_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(paths, "is_checkout", lambda: False)
    monkeypatch.setattr(paths, "bundled_dir", lambda: paths.PACKAGE.parent)
    with pytest.raises(UsageError, match="nothing is written into an installed package"):
        release.measure("radn")
