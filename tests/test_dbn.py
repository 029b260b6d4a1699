"""DBN layer by layer, windows of frames by hand, and what its batches hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw
from PIL import Image

from deblur import models, recipes, runs, schedules
from deblur.data import copies, official, video
from deblur.evaluation import bursts
from deblur.evaluation.complexity import on_meta, parameters


def small(**overrides):
    return redraw(models.build("dbn", **(recipes.recipe("dbn", scale="smoke").config | overrides))).eval()


def test_parameters_are_those_of_the_authors_definition():
    """models/model2_symskip_nngraph2_deeper.lua: (in, out, kernel), each with a bias and a normalisation."""
    layers = [(15, 64, 5), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), *3 * [(256, 256, 3)]]
    layers += [(256, 512, 3), *3 * [(512, 512, 3)], (512, 256, 4), *3 * [(256, 256, 3)], (256, 128, 4)]
    layers += [(128, 128, 3), (128, 64, 3), (64, 64, 4), (64, 15, 3), (15, 3, 3)]
    assert parameters(on_meta("dbn")) == sum(a * b * k * k + 3 * b for a, b, k in layers) == 15_305_291


def test_the_network_written_out():
    network = small()
    frames = torch.rand(2, 15, 16, 24)

    def block(x, layers, stride=1):
        layer, norm = layers[0], layers[1]
        x = F.conv2d(x, layer.weight, layer.bias, stride, layer.padding)
        scale = norm.weight / (norm.running_var + 1e-3).sqrt()
        return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]

    def level(x, layers, stride=1):
        for i, layer in enumerate(layers):
            x = block(x, layer, stride if i == 0 else 1).relu()
        return x

    with torch.no_grad():
        e1 = block(frames, network.enc1).relu()
        e2 = level(e1, network.enc2, 2)
        e3 = level(e2, network.enc3, 2)
        x = level((network.up3(level(e3, network.enc4, 2)) + e3).relu(), network.dec3)
        x = level((network.up2(x) + e2).relu(), network.dec2)
        x = block((network.up1(x) + e1).relu(), network.dec1[0]).relu()
        x = block(x, network.dec1[1:])
        expected = torch.sigmoid(x + frames[:, 6:9].logit(1e-6))  # the start of the short recipes
        torch.testing.assert_close(network(frames)[0], expected, rtol=1e-4, atol=1e-5)
        as_printed = small(init="pytorch")
        torch.testing.assert_close(as_printed(frames)[0], torch.sigmoid(x + frames[:, 6:9]), rtol=1e-4, atol=1e-5)


def test_normalisations_have_their_authors_eps():
    assert {layer.eps for layer in small().modules() if isinstance(layer, torch.nn.BatchNorm2d)} == {1e-3}


def test_an_image_is_five_frames_of_itself_and_other_numbers_are_refused():
    network = small()
    image = torch.rand(1, 3, 19, 30)
    with torch.no_grad():
        assert torch.equal(network(image)[0], network(image.repeat(1, 5, 1, 1))[0])
        with pytest.raises(ValueError, match="give 5 frames of 3 channels or one image, not 9 channels"):
            network(image.repeat(1, 3, 1, 1))


def test_every_frame_counts():
    network = small()
    frames = torch.rand(1, 15, 16, 16)
    with torch.no_grad():
        before = network(frames)[0]
        for frame in range(5):
            changed = frames.clone()
            changed[:, 3 * frame : 3 * frame + 3] *= 0.5
            assert not torch.allclose(network(changed)[0], before)


def test_the_rate_is_held_then_halves():
    recipe = recipes.recipe("dbn", scale="paper")
    assert (recipe.steps, recipe.batch, recipe.crop, recipe.schedule) == (80_000, 64, 128, "held_staircase")
    steps = (0, 23_999, 24_000, 31_999, 32_000, 79_999)
    rates = [schedules.held_staircase(recipe.lr, step, recipe.steps, **recipe.schedule_args) for step in steps]
    assert rates == pytest.approx([5e-3, 5e-3, 2.5e-3, 2.5e-3, 1.25e-3, 5e-3 / 2**7])


# -------------------------------------------------------------------------------------------------------------- frames


def pairs(*counts):
    """Sequences of so many frames; every image is its number, in all pixels."""
    return [
        official.Pair(f"v{s}/{i}", f"v{s}", Path(f"v{s}/input/{i}.png"), Path(f"v{s}/GT/{i}.png"))
        for s, count in enumerate(counts)
        for i in range(count)
    ]


def test_windows_stay_in_their_sequence_and_repeat_its_ends():
    around = video.windows(pairs(4, 1), 5)
    names = {name: [pair.name[1:] for pair in window] for name, window in around.items()}
    assert names["v0/0"] == ["0/0", "0/0", "0/0", "0/1", "0/2"]
    assert names["v0/2"] == ["0/0", "0/1", "0/2", "0/3", "0/3"]
    assert names["v1/0"] == ["1/0"] * 5
    with pytest.raises(ValueError, match="a window of 4 frames has no middle; choose an odd number"):
        video.windows(pairs(4), 4)


@pytest.fixture
def tree(tmp_path):
    """A DVD with one video to train on, whose frames are flat: 10 times their number, the sharp ones 5 brighter."""
    for name in ("train_one", *official.DVD_TEST):
        for number in range(6):
            for part, more in (("input", 0), ("GT", 5)):
                folder = tmp_path / "quantitative_datasets" / name / part
                folder.mkdir(parents=True, exist_ok=True)
                image = np.full((40, 48, 3), 10 * number + more, np.uint8)
                Image.fromarray(image).save(folder / f"{number:05d}.png")
    return tmp_path


def test_batches_hold_the_neighbours_of_the_sharp_frame(tree):
    shown = official.find_pairs("dvd", tree, "train")
    batches = video.Batches(video.Windows(shown, 5), crop=16, batch=8, seed=0)
    blurred, sharp = batches[3]
    assert blurred.shape == (8, 15, 16, 16)
    assert sharp.shape == (8, 3, 16, 16)
    for frames, middle in zip(255 * blurred, 255 * sharp, strict=True):
        number = round(float(middle.mean()) - 5) // 10
        expected = [10 * min(max(number + i, 0), 5) for i in range(-2, 3)]
        assert frames[::3].mean((1, 2)).tolist() == pytest.approx(expected)
        assert frames[1::3].mean((1, 2)).tolist() == pytest.approx(expected)
    again = video.Batches(video.Windows(shown, 5), crop=16, batch=8, seed=0, rank=1, world=2)[3]
    assert torch.equal(again[0], blurred[4:])


def test_frames_of_another_size_are_named(tree):
    file = tree / "quantitative_datasets" / "train_one" / "input" / "00002.png"
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(file)
    window = video.windows(official.find_pairs("dvd", tree, "train"), 5)["train_one/00001"]
    with pytest.raises(official.DataError, match=r"40x48 \(height x width\) but .*00002.png is 40x50"):
        video.read_frames(window)


def test_neighbours_come_where_the_tree_holds_videos(tree):
    dvd = copies.open_data(tree, name="dvd")
    assert runs.Plan(dvd, "dbn", scale="smoke").recipe.data == "video"
    assert runs.Plan(dvd, "srn", scale="smoke").recipe.data == "tree"
    assert dvd.is_video
    own = copies.Data("gopro", tree, "blur", "")
    assert own.is_video
    bundled = copies.Data("gopro", tree, "blur", "", "mini")
    assert not bundled.is_video
    assert runs.Plan(bundled, "dbn", scale="mini").recipe.data == "synthesis"
    assert not copies.Data("realblur_j", tree, "", "").is_video


class Last(torch.nn.Module):
    """Gives the last of its frames."""

    def forward(self, frames):
        return (frames[:, -3:],)


def test_scores_are_made_with_the_neighbours(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(runs.Run, "network", lambda run: Last())
    dvd = copies.open_data(tree, name="dvd")
    video_run, single = (runs.Run(runs.Plan(dvd, name, scale="smoke")) for name in ("dbn", "srn"))
    seen = runs.protocol_scores(dvd, "dvd_plain_all", video_run)["psnr_db"][:6]
    errors = [abs(10 * min(number + 2, 5) - (10 * number + 5)) for number in range(6)]
    assert seen.tolist() == pytest.approx([20 * np.log10(255 / error) for error in errors])
    alone = runs.protocol_scores(dvd, "dvd_plain_all", single)["psnr_db"]
    assert alone.tolist() == pytest.approx([20 * np.log10(255 / 5)] * len(alone))


def test_wfa_scores_videos_alone(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    asked = []
    monkeypatch.setattr(bursts, "wfa", lambda frames: asked.append(len(frames)) or frames[3] / np.float32(255))
    dvd = copies.open_data(tree, name="dvd")
    scores = runs.burst_scores(dvd, "dvd_plain_all", 2)
    assert asked == [bursts.FRAMES] * 2
    assert scores["psnr_db"].tolist() == pytest.approx([20 * np.log10(255 / 5)] * 2)
    with pytest.raises(ValueError, match="realblur_j holds no videos"):
        runs.burst_scores(copies.Data("realblur_j", tree, "", ""), "realblur_ecc")


def test_united_copies_train_together_and_are_tested_as_the_first(tree):
    one, other = copies.open_data(tree, name="dvd"), copies.Data("dvd", tree, "", "elsewhere")
    both = copies.united(one, other)
    assert [pair.name for pair in both.pairs("train")] == 2 * [pair.name for pair in one.pairs("train")]
    assert both.pairs("test") == one.pairs("test")
    assert copies.united(one) == one
    assert len({both.fingerprint, copies.united(other, one).fingerprint, one.fingerprint}) == 3
    assert both.label == "dvd + dvd"
    assert runs.Plan(both, "srn", scale="smoke").key != runs.Plan(one, "srn", scale="smoke").key
