"""Training batches: two sources that agree, and samples that depend on (seed, step, index) and on nothing else."""

import colorsys
import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from deblur import models, recipes
from deblur.data import loading, mini, official
from deblur.data.loading import KEPT_STEPS, Batches, Kept, Stored, Synthesis, Tree, random_window


class Numbered:
    """Crops that show where their values came from: the sharp one is the blurred one plus 100."""

    def crop(self, rng, size, edge=0.0):
        blurred = np.arange(size * size * 3, dtype=np.uint8).reshape(size, size, 3) % 100
        return blurred, blurred + 100


class Drawn:
    """Crops that depend on the generator."""

    def crop(self, rng, size, edge=0.0):
        return tuple(rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def tree(mini_root):
    return Tree(official.find_pairs("gopro", mini_root, "train", subset="blur"))


@pytest.fixture(scope="module")
def stored():
    return Synthesis(Stored(list(mini.gopro_shots("train").values())))


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# ----------------------------------------------------------------------------------------------- two sources


@pytest.mark.parametrize(("seed", "edge", "crop"), [(0, 0.0, 32), (1, 0.25, 64), (2, 0.5, 144), (12345, 0.1, 17)])
def test_tree_and_synthesis_of_stored_shots_give_the_same_batches(tree, stored, seed, edge, crop):
    for step in (0, 1, 7, 100_000):
        read = Batches(tree, crop, 3, seed, edge)[step]
        made = Batches(stored, crop, 3, seed, edge)[step]
        assert equal(read, made)
        blurred, sharp = read
        assert blurred.shape == sharp.shape == (3, 3, crop, crop)
        assert blurred.dtype == sharp.dtype == torch.float32
        assert 0 <= min(blurred.min(), sharp.min()) <= max(blurred.max(), sharp.max()) <= 1
        assert not torch.equal(blurred, sharp)


def test_crops_are_windows_of_a_stored_pair(tree):
    images = [official.read_pair(pair) for pair in tree.pairs[:3]]
    few = Tree(tree.pairs[:3])
    for seed in range(5):
        blurred, sharp = few.crop(np.random.default_rng(seed), 40)
        places = [
            (number, y, x)
            for number, (_, whole) in enumerate(images)
            for y, x in np.argwhere((whole[: 144 - 39, : 256 - 39] == sharp[0, 0]).all(-1))
            if np.array_equal(whole[y : y + 40, x : x + 40], sharp)
        ]
        assert places  # perhaps several: frames of one sequence show one photograph
        windows = [images[number][0][y : y + 40, x : x + 40] for number, y, x in places]
        assert sum(np.array_equal(window, blurred) for window in windows) == 1


def test_fresh_blur_is_new_at_every_step():
    batches = Batches(Synthesis(), 32, 2, seed=0)
    assert not equal(batches[0], batches[1])
    assert not torch.equal(batches[0][0][0], batches[0][0][1])
    assert equal(batches[3], Batches(Synthesis(), 32, 2, seed=0)[3])


# ------------------------------------------------------------------------------------------- determinism


def test_a_sample_depends_on_seed_step_and_index_only():
    base = Batches(Drawn(), 8, 6, seed=4)
    alone = base.sample(5, 2)
    assert torch.equal(alone, Batches(Drawn(), 8, 99, seed=4, rank=1, world=3).sample(5, 2))
    [base.sample(step, 0) for step in range(3)]  # what was drawn before does not matter
    np.random.default_rng(0).random()
    assert torch.equal(alone, base.sample(5, 2))
    for other in (base.sample(5, 3), base.sample(6, 2), Batches(Drawn(), 8, 6, seed=5).sample(5, 2)):
        assert not torch.equal(alone, other)


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_shares_make_up_the_batch(world):
    whole = Batches(Drawn(), 5, 6, seed=1)[9]
    shares = [Batches(Drawn(), 5, 6, seed=1, rank=rank, world=world)[9] for rank in range(world)]
    assert {len(share[0]) for share in shares} == {6 // world}
    assert equal([torch.cat(parts) for parts in zip(*shares)], whole)


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(ValueError, match="batch 8 cannot be shared by 3"):
        Batches(Drawn(), 8, 8, seed=0, world=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_gives_the_steps_in_order(workers):
    batches = Batches(Drawn(), 6, 2, seed=3)
    loaded = list(batches.loader(4, 11, workers))
    assert len(loaded) == 7
    assert all(equal(found, batches[step]) for step, found in zip(range(4, 11), loaded))
    assert list(batches.loader(5, 5, workers)) == []


def test_worker_processes_give_the_same_from_both_real_sources(tree):
    for source in (tree, Synthesis()):
        batches = Batches(source, 24, 2, seed=3, edge=0.25)
        assert all(equal(found, batches[step]) for step, found in enumerate(batches.loader(0, 3, workers=2)))


class Counted:
    """A source that counts its crops; every instance equals itself only."""

    def __init__(self):
        self.made = 0

    def crop(self, rng, size, edge=0.0):
        self.made += 1
        return tuple(rng.integers(256, size=(2, size, size, 3), dtype=np.uint8))


def test_kept_batches_are_those_that_are_made_anew():
    """Whatever is asked for, in whatever order, and whoever changed what it got."""
    for seed, edge, augment, (rank, world) in 2 * list(
        itertools.product((3, 4), (0.0, 0.5), (("flip_ud",), ("rot90", "flip_lr")), ((0, 1), (0, 2), (1, 2)))
    ):
        how = {"seed": seed, "edge": edge, "augment": augment, "rank": rank, "world": world}
        for step in (5, 0, 5):
            batch = Kept(Synthesis(), 24, 2, **how)[step]
            assert equal(batch, Batches(Synthesis(), 24, 2, **how)[step])
            for images in batch:
                images.zero_()


def test_a_row_is_trained_on_kept_batches_and_a_long_training_keeps_no_more_than_so_many():
    """Each training makes its own `Batches`, as each of a worker's trainings does."""
    source = Counted()
    steps = max(recipes.recipe(name, "paper", "mini", "row").steps for name in models.NETWORKS)
    for _ in range(3):
        list(Kept(source, 4, 1, seed=0).loader(0, steps))
    assert source.made == steps
    list(Kept(source, 4, 1, seed=0).loader(0, 2 * KEPT_STEPS))
    assert loading._made.cache_info().currsize == KEPT_STEPS


# ----------------------------------------------------------------------------------------- flips and windows


def test_flips_are_the_same_for_both_and_all_four_come_equally_often():
    batches = Batches(Numbered(), 6, 1, seed=0)
    plain = Numbered().crop(None, 6)[0]
    flips = {
        "none": plain,
        "left-right": plain[:, ::-1],
        "up-down": plain[::-1],
        "both": plain[::-1, ::-1],
    }
    found = []
    for step in range(600):
        blurred, sharp = (255 * batches.sample(step, 0)).round().byte().permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(blurred + 100, sharp)
        found += [name for name, image in flips.items() if np.array_equal(image, blurred)]
    assert len(found) == 600
    # 600 draws with probability 1/4: four standard deviations are 42.
    assert all(abs(found.count(name) - 150) < 42 for name in flips)


# ------------------------------------------------------------------------------------------ other augmentations


DRAWS = (0.0, 0.05, 0.11, 0.25, 0.4, 0.6, 0.95, 1 - 2**-53)


@pytest.fixture
def pair():
    """Blurred and sharp image, colourful and of another height than width."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 6, 8), dtype=np.uint8) / np.float32(255))


def applied(name, pair, draw):
    return loading.AUGMENTATIONS[name](pair, draw)


@pytest.mark.parametrize("name", loading.AUGMENTATIONS)
@pytest.mark.parametrize("draw", DRAWS)
def test_an_augmentation_gives_images_and_leaves_its_input_alone(name, draw, pair):
    before = pair.clone()
    changed = applied(name, pair, draw)
    assert torch.equal(pair, before)
    assert sorted(changed.shape) == sorted(pair.shape)
    assert changed.dtype == torch.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(changed, applied(name, pair, draw))  # the draw decides all


@pytest.mark.parametrize("name", sorted(set(loading.AUGMENTATIONS) - {"sharp_input", "noise"}))
@pytest.mark.parametrize("draw", DRAWS)
def test_both_images_of_a_pair_are_changed_alike(name, draw, pair):
    for image, found in zip(pair, applied(name, pair, draw), strict=True):
        assert torch.equal(found, applied(name, torch.stack([image, pair[0]]), draw)[0])


@pytest.mark.parametrize(("draw", "turns"), [(0.0, 1), (0.3, 1), (0.34, 2), (0.66, 2), (0.67, 3), (1 - 2**-53, 3)])
def test_turns_are_by_90_180_and_270_degrees_and_never_none(draw, turns, pair):
    np.testing.assert_array_equal(applied("turn", pair, draw), np.rot90(pair.numpy(), turns, (2, 3)))


def test_channels_come_in_all_six_orders(pair):
    orders = [tuple(applied("channels", pair, (k + 0.5) / 6)[1, :, 2, 3].tolist()) for k in range(6)]
    assert len(set(orders)) == 6
    assert all(sorted(order) == sorted(pair[1, :, 2, 3].tolist()) for order in orders)


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (0.9, 1.16)])
def test_saturation_is_what_pillow_makes_of_it(draw, factor, pair):
    picture = Image.fromarray((255 * pair[0]).round().byte().permute(1, 2, 0).numpy())
    expected = np.asarray(ImageEnhance.Color(picture).enhance(factor), np.float32).transpose(2, 0, 1)
    found = 255 * applied("saturation", pair, draw)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1.01)  # Pillow rounds twice


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.5), (0.3, 0.8), (0.5, 1.0), (0.9, 1.4)])
def test_saturation_in_hsv_against_the_conversion_there_and_back(draw, factor, pair):
    for before, after in zip(pair[1].flatten(1).T.tolist(), applied("hsv_saturation", pair, draw)[1].flatten(1).T):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        expected = colorsys.hsv_to_rgb(hue, min(factor * saturation, 1), value)
        if factor * saturation <= 1:
            np.testing.assert_allclose(after, expected, atol=1e-6)
        assert float(after.max()) == pytest.approx(value)
        assert float(after.min()) == pytest.approx(min(expected), abs=1e-6)


def test_noise_is_gaussian_of_a_gaussian_deviation_and_in_the_blurred_image_only():
    grey = torch.full((2, 3, 64, 64), 0.5)
    deviations = []
    for draw in np.random.default_rng(0).random(300):
        blurred, sharp = applied("noise", grey, draw)
        assert torch.equal(sharp, grey[1])
        deviations.append(float((blurred - 0.5).std()))
    # The root of the mean square of 300 normal deviations, times four standard errors.
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(2 / 255, rel=4 / np.sqrt(600))
    noise = (blurred - 0.5) / deviations[-1]
    assert float(noise.pow(4).mean()) == pytest.approx(3, abs=0.25)  # as a normal distribution has it
    assert not torch.equal(blurred[0], blurred[1])


def test_one_input_in_ten_is_sharp(pair):
    for draw in DRAWS:
        assert torch.equal(applied("sharp_input", pair, draw), pair[[1, 1]] if draw < 0.1 else pair)


@pytest.mark.parametrize(("height", "width", "size", "edge"), [(144, 256, 64, 0.25), (50, 30, 30, 0.3), (9, 40, 4, 0)])
def test_windows_are_inside_and_distributed_as_described(height, width, size, edge):
    rng = np.random.default_rng(0)
    windows = [random_window(rng, height, width, size, edge) for _ in range(4000)]
    assert {window[2:] for window in windows} == {(size, size)}
    reach = round(edge * size)
    for axis, side in ((0, height), (1, width)):
        places = np.array([window[axis] for window in windows])
        every = np.clip(np.arange(-reach, side - size + reach + 1), 0, side - size)
        assert places.min() == 0
        assert places.max() == side - size
        # Standard errors of 4000 draws, times four.
        assert places.mean() == pytest.approx(every.mean(), abs=4 * every.std() / 63 + 1e-9)
        share = np.isin(every, (0, side - size)).mean()
        assert np.isin(places, (0, side - size)).mean() == pytest.approx(share, abs=4 * (share / 4000) ** 0.5)


def test_edge_bias_reaches_the_border_more_often():
    def share(edge):
        rng = np.random.default_rng(1)
        windows = [random_window(rng, 144, 256, 64, edge) for _ in range(2000)]
        return np.mean([y in (0, 80) or x in (0, 192) for y, x, _, _ in windows])

    assert share(0) < 0.06  # 2/81 + 2/193, about 3.5 %
    assert share(0.25) > 0.35  # 34/113 + 34/225, less their product: 40.7 %


@pytest.mark.parametrize("size", [145, 256, 1000])
def test_a_crop_larger_than_the_frame(tree, size):
    for source in (tree, Synthesis()):
        with pytest.raises(ValueError, match=f"crop {size} is larger than the frame 144x256"):
            source.crop(np.random.default_rng(0), size, 0.0)


def test_as_tensor():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    tensor = loading.as_tensor(image[:, ::-1])  # negative strides, as flips make
    assert tensor.shape == (3, 3, 5)
    np.testing.assert_array_equal(tensor.numpy(), (image[:, ::-1].astype(np.float32) / 255).transpose(2, 0, 1))
    tensor.zero_()
    assert image.any()  # the image was copied
