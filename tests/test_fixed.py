"""The pictures that results are measured on are those that were fixed, and a machine that makes others says so."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from deblur.data import bundled, copies, debian, fixed, trees


def opened(name):
    scale, _, what = name.partition("-")
    if what == "exam" and not debian.home("exam").is_dir():
        pytest.skip("its photographs are not here: deblur data photographs --split exam")
    return copies.open_exam(scale) if what == "exam" else copies.open_data(scale=scale)


@pytest.mark.parametrize(("name", "split"), [(name, split) for name, splits in fixed.EXAMS.items() for split in splits])
def test_the_exams_are_those_that_were_fixed(name, split):
    pairs = opened(name).pairs(split)
    assert len(pairs) == fixed.EXAMS[name][split].pairs == bundled.COPIES[name].counts[split]
    found = fixed.exam(pairs)
    assert found.psnr_db == pytest.approx(fixed.EXAMS[name][split].psnr_db, abs=0.01)
    assert found == fixed.EXAMS[name][split], "another JPEG or video decoder? see deblur.data.fixed"


def test_the_figures_are_those_of_the_stored_pictures():
    pairs = opened("mini-gopro").pairs("validation")
    images = [[np.asarray(Image.open(path)) for path in (pair.blurred, pair.sharp)] for pair in pairs]
    scores = [10 * np.log10(255**2 / np.mean((blurred.astype(float) - sharp) ** 2)) for blurred, sharp in images]
    assert fixed.exam(pairs).psnr_db == pytest.approx(np.mean(scores), abs=1e-4)
    turned = [pairs[1], pairs[0], *pairs[2:]]
    assert fixed.exam(turned).pixels != fixed.exam(pairs).pixels
    halves = [replace(pair, blurred=pair.sharp, sharp=pair.blurred) for pair in pairs]
    assert fixed.exam(halves).pixels != fixed.exam(pairs).pixels


def test_other_pictures_are_told_when_a_copy_is_written(tmp_path, monkeypatch, capsys):
    """As a decoder makes them that differs by a level in one place."""

    def write(root):
        picture = np.random.default_rng(0).integers(0, 256, (3, 40, 40), dtype=np.uint8)
        for part, image in {"sharp": picture, "blur": picture // 2, "blur_gamma": picture // 2}.items():
            for split in ("train", "test"):
                folder = root / "GOPRO_Large" / split / "MINI01_noise"
                trees.save_image(folder / part / "000001.png", torch.from_numpy(image))

    copy = trees.Copy("gopro", write, {"train": 1, "test": 1})
    monkeypatch.setitem(bundled.COPIES, "mini-noise", copy)
    root = bundled.ensure("mini-noise", tmp_path / "noise")
    assert "other pictures" not in capsys.readouterr().err
    here = fixed.exam(copies.open_data(root).pairs("test"))
    monkeypatch.setitem(fixed.EXAMS, "mini-noise", {"test": here})
    assert fixed.differences("mini-noise", root, ["test"]) == []
    other = here._replace(pixels="0" * 16, psnr_db=here.psnr_db - 0.25)
    monkeypatch.setitem(fixed.EXAMS, "mini-noise", {"test": other})
    again = bundled.ensure("mini-noise", tmp_path / "again")
    assert f"{again}: test: other pictures than those of results/ (input +0.2500 dB)" in capsys.readouterr().err
