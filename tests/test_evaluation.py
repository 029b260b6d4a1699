"""The evaluator against scikit-image, on pairs and a method made by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from deblur import evaluation
from deblur.data import official
from deblur.data.blur import KINDS
from deblur.evaluation import alignment, metrics, protocols

SIZES = [(24, 31), (40, 27), (33, 33), (24, 31)]
KINDS_OF = ["global", "local", "sampling", "global"]


def darken(blurred):
    """A method: not clamped, not rounded, and wrong in a known way."""
    return (blurred.astype(np.float32) * 1.1 - 9.3) / 255


def eight_bit(image):
    return np.floor(np.clip(image.astype(np.float64), 0, 1) * 255 + 0.5).astype(np.uint8)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    made = []
    for height, width in SIZES:
        sharp = np.clip(gaussian_filter(rng.uniform(-300, 550, (height, width, 3)), (1, 1, 0)), 0, 255)
        made.append(tuple(np.rint(image).astype(np.uint8) for image in (gaussian_filter(sharp, (1, 1, 0)), sharp)))
    return made


@pytest.fixture
def pairs(images, tmp_path):
    """The images on disk, the first three with their truth."""
    made = []
    for index, ((blurred, sharp), kind) in enumerate(zip(images, KINDS_OF)):
        paths = {part: tmp_path / part / f"{index}.png" for part in ("blur", "sharp")}
        for path, image in zip(paths.values(), (blurred, sharp)):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(path)
        truth = None
        if index < 3:
            truth = tmp_path / f"{index}.npz"
            label = np.zeros(sharp.shape[:2], np.uint8)
            label[5:20, 4:9] = KINDS.index(kind)
            path_px = np.full(label.shape, 2.0 + index, np.float32)
            displacement = np.zeros((*label.shape, 2), np.float32)
            np.savez(truth, label=label, path_px=path_px, displacement=displacement, kind=kind)
        made.append(official.Pair(f"seq/{index}", "seq", paths["blur"], paths["sharp"], truth))
    return made


def test_scores_equal_scikit_image(images, pairs):
    scores = evaluation.evaluate(darken, pairs)
    assert scores["name"].tolist() == [pair.name for pair in pairs]
    for (blurred, sharp), row in zip(images, scores.itertuples()):
        restored = darken(blurred)
        restored8 = eight_bit(restored)
        assert restored.min() < 0  # so that clamping matters
        assert row.psnr_db == pytest.approx(peak_signal_noise_ratio(sharp, restored8, data_range=255), abs=1e-9)
        clamped = np.clip(restored.astype(float), 0, 1)
        assert row.psnr_float_db == pytest.approx(
            peak_signal_noise_ratio(sharp / 255, clamped, data_range=1.0), abs=1e-9
        )
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        gauss = structural_similarity(sharp, restored8, channel_axis=2, **options)
        assert row.ssim_gauss_rgb == pytest.approx(gauss, abs=1e-9)
        assert 0 < row.ssim_matlab_volume < 1
        assert row.psnr_db != row.psnr_float_db


def test_scores_by_kind_of_pair_and_of_pixel(images, pairs):
    scores = evaluation.evaluate(darken, pairs)
    assert scores["kind"].tolist()[:3] == KINDS_OF[:3]
    assert scores["path_px"].tolist()[:3] == [2, 3, 4]
    assert scores["kind"].isna().tolist() == [False] * 3 + [True]
    for index, (pair, (blurred, sharp)) in enumerate(zip(pairs[:3], images)):
        label = official.read_truth(pair)["label"]
        for number, kind in enumerate(KINDS):
            mask = label == number
            assert scores[f"pixels_{kind}"][index] == mask.sum()
            found = scores[f"psnr_db_{kind}"][index]
            if mask.any():
                expected = peak_signal_noise_ratio(sharp[mask], eight_bit(darken(blurred))[mask], data_range=255)
                assert found == pytest.approx(expected, abs=1e-9)
            else:
                assert math.isnan(found)


def test_the_identity_gains_exactly_nothing(images, pairs):
    scores = evaluation.evaluate(evaluation.identity, pairs)
    for (blurred, sharp), found in zip(images, scores["psnr_db"]):
        assert found == pytest.approx(peak_signal_noise_ratio(sharp, blurred, data_range=255), abs=1e-9)
        np.testing.assert_array_equal(eight_bit(evaluation.identity(blurred)), blurred)
    assert (evaluation.add_gain(scores, scores)["gain_db"] == 0).all()
    summary = evaluation.summarise(scores, scores)
    assert {name: value for name, value in summary.items() if "gain" in name} == {
        "gain_db": 0,
        "gain_db_global": 0,
        "gain_db_local": 0,
        "gain_db_sampling": 0,
    }


def test_gains_are_matched_by_name_not_by_row(pairs):
    blurred = evaluation.evaluate(evaluation.identity, pairs)
    restored = evaluation.evaluate(darken, pairs)
    gained = evaluation.add_gain(restored, blurred.sample(frac=1, random_state=3))
    np.testing.assert_array_equal(gained["gain_db"], restored["psnr_db"] - blurred["psnr_db"])
    assert gained["gain_db"].nunique() == 4
    assert "gain_db" not in restored  # the argument stays as it was


def test_summaries_are_means_over_images(pairs):
    blurred = evaluation.evaluate(evaluation.identity, pairs[:3])
    restored = evaluation.evaluate(darken, pairs[:3])
    summary = evaluation.summarise(restored, blurred)
    gain = restored["psnr_db"] - blurred["psnr_db"]
    for name in ("psnr_db", "psnr_float_db", "ssim_gauss_rgb", "ssim_matlab_volume"):
        assert summary[name] == pytest.approx(restored[name].mean(), rel=1e-12)
    assert summary["gain_db"] == pytest.approx(gain.mean(), rel=1e-12)
    for index, kind in enumerate(KINDS_OF[:3]):
        assert summary[f"gain_db_{kind}"] == pytest.approx(gain[index], rel=1e-12)


def test_a_stack_scores_as_its_images_do_one_by_one(pairs, monkeypatch):
    """`cpu:0` takes the way of a GPU."""
    asked = []
    real = evaluation.stacked.ssim_gauss_rgb
    monkeypatch.setattr(evaluation.stacked, "ssim_gauss_rgb", lambda *both: asked.append(len(both[0])) or real(*both))
    single = evaluation.evaluate(darken, pairs)
    assert not asked
    together = pd.DataFrame(evaluation.score_stack(darken, pairs, "cpu:0"))
    sizes = {official.read_pair(pair)[0].shape for pair in pairs}
    assert asked == ([len(pairs)] if len(sizes) == 1 else [])
    same = [pair for pair in pairs if official.read_pair(pair)[0].shape == official.read_pair(pairs[0])[0].shape]
    evaluation.score_stack(darken, same, "cpu:0")
    assert asked[-1] == len(same)
    pd.testing.assert_frame_equal(single, together, rtol=0, atol=1e-9)


def test_means_by_kind(pairs):
    scores = evaluation.evaluate(darken, pairs[:3])
    table = evaluation.by_kind(pd.concat([scores, scores.assign(psnr_db=scores["psnr_db"] + 1)])).set_index("kind")
    assert (table["pairs"] == 2).all()
    for kind, psnr_db in zip(scores["kind"], scores["psnr_db"]):
        assert table.loc[kind, "psnr_db"] == pytest.approx(psnr_db + 0.5)
    unknown = evaluation.by_kind(scores.drop(columns="kind"))
    assert unknown["kind"].tolist() == ["all"]
    assert unknown["psnr_db"].item() == pytest.approx(scores["psnr_db"].mean())


def test_one_picture_by_several_methods(images):
    blurred, sharp = images[0]
    found = evaluation.restore_all({"same": evaluation.identity, "dark": darken}, blurred, sharp)
    assert list(found) == ["blurred", "same", "dark", "sharp"]
    np.testing.assert_array_equal(found["same"], blurred)
    np.testing.assert_array_equal(found["dark"], eight_bit(darken(blurred)))
    labels = evaluation.psnr_labels(found)
    assert list(labels) == ["blurred", "same", "dark"]
    assert labels["dark"] == pytest.approx(peak_signal_noise_ratio(sharp, found["dark"], data_range=255), abs=1e-9)
    assert "sharp" not in evaluation.restore_all({}, blurred)


def test_without_truth_there_are_no_kinds(pairs):
    scores = evaluation.evaluate(darken, pairs[3:])
    assert not [name for name in scores if "kind" in name or any(kind in name for kind in KINDS)]
    assert set(evaluation.summarise(scores, scores)) == {
        "psnr_db",
        "psnr_float_db",
        "ssim_gauss_rgb",
        "ssim_matlab_volume",
        "gain_db",
    }


@pytest.mark.parametrize("missing", ["restored", "blurred"])
def test_scores_of_different_pairs_do_not_mix(pairs, missing):
    scores = evaluation.evaluate(evaluation.identity, pairs)
    fewer = scores.drop(index=1)
    arguments = (fewer, scores) if missing == "restored" else (scores, fewer)
    with pytest.raises(ValueError, match=r"different pairs, e\.g\. seq/1.*same split"):
        evaluation.add_gain(*arguments)
    with pytest.raises(ValueError, match="seq/1"):
        evaluation.summarise(*arguments)


def test_scores_survive_a_csv_file(pairs, tmp_path):
    scores = evaluation.evaluate(darken, pairs)
    scores.to_csv(tmp_path / "scores.csv", index=False)
    assert (evaluation.add_gain(pd.read_csv(tmp_path / "scores.csv"), scores)["gain_db"].abs() < 1e-12).all()


class Shape(nn.Module):
    """Tells what it was given: batch norm must be in evaluation mode, no gradient, (1,3,H,W) in [0,1]."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, blurred):
        assert blurred.shape[:2] == (1, 3)
        assert blurred.dtype == torch.float32
        assert torch.is_inference_mode_enabled()
        assert not self.training
        return self.norm(blurred) * self.scale, None


def test_a_network_as_a_function_of_one_image():
    image = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    before = image.copy()
    restored = evaluation.restorer(Shape().train())(image)
    assert restored.shape == (5, 8, 3)
    assert restored.dtype == np.float32
    np.testing.assert_array_equal(image, before)
    # A fresh batch norm in evaluation mode divides by sqrt(1 + 1e-5).
    np.testing.assert_allclose(restored, image / 255 * 2 / (1 + 1e-5) ** 0.5, rtol=1e-6)
    assert restored.max() > 1  # not clamped


def test_a_missing_file_is_named(pairs):
    pairs[2].sharp.unlink()
    with pytest.raises(official.DataError, match=r"sharp/2\.png"):
        evaluation.evaluate(evaluation.identity, pairs)


def test_realblur_scores_the_valid_pixels_of_what_is_aligned(tmp_path):
    """A softened photograph, moved: what the frame does not show is in neither score."""
    whole, soft = astronaut(), np.rint(gaussian_filter(astronaut().astype(float), (1, 1, 0))).astype(np.uint8)
    sharp, moved = whole[60:210, 120:310], soft[64:214, 114:304]
    for name, image in (("sharp", sharp), ("blurred", moved)):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    pair = official.Pair("a", "", tmp_path / "blurred.png", tmp_path / "sharp.png")
    row = protocols.score_realblur(evaluation.identity, pair)
    aligned = alignment.align_ecc(moved, sharp)
    assert 0.9 < aligned.mask.mean() < 0.99
    weight = aligned.mask[..., None].astype(float)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    _, ssim = structural_similarity(aligned.image * weight, sharp * weight, channel_axis=2, **options)
    inner = aligned.mask[5:-5, 5:-5]
    assert row["ssim_gauss_rgb"] == pytest.approx(ssim[5:-5, 5:-5][inner].mean(), abs=1e-9)
    assert row["ssim_gauss_rgb"] != pytest.approx(ssim[5:-5, 5:-5].mean(), abs=1e-4)
    error = (aligned.image - sharp)[aligned.mask]
    assert row["psnr_db"] == pytest.approx(10 * math.log10(255**2 / np.square(error).mean()), abs=1e-9)
    assert row["ssim_unaligned"] == metrics.ssim_gauss_rgb(moved, sharp) < row["ssim_gauss_rgb"] - 0.05
    assert row["aligned"]
