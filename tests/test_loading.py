"""Batches depend on (seed, step, sample) alone, and both sources give the same for the same exposures."""

import numpy as np
import pytest
import torch

from deblur.data import loading, mini, official


@pytest.fixture(scope="module")
def tree(mini_root):
    return loading.Tree(official.find_pairs("gopro", mini_root, "train", variant="blur"))


@pytest.fixture(scope="module")
def stored():
    return loading.Synthesis.stored(list(mini.gopro_shots("train").values()))


def batches(source, **changes):
    return loading.Batches(source, **({"crop": 32, "batch": 4, "seed": 5, "edge": 0.25} | changes))


@pytest.mark.parametrize(("seed", "step"), [(0, 0), (1, 7), (2, 523_999)])
def test_tree_and_synthesis_give_the_same_batch_for_stored_paths(tree, stored, seed, step):
    for read, made in zip(batches(tree, seed=seed, crop=48)[step], batches(stored, seed=seed, crop=48)[step]):
        assert torch.equal(read, made)
        assert read.dtype == torch.float32
        assert read.shape == (4, 3, 48, 48)
        assert 0 <= read.min() < read.max() <= 1


def test_a_sample_depends_on_seed_step_and_index_only(tree):
    again = batches(tree, batch=2)[3]
    first = batches(tree, batch=6)[3]
    assert torch.equal(first[0][:2], again[0])
    assert not torch.equal(first[0][0], first[0][1])
    assert not torch.equal(batches(tree, seed=6)[3][0], first[0][:4])
    assert not torch.equal(batches(tree)[4][0], first[0][:4])


def test_processes_share_a_batch(tree):
    whole = batches(tree)[2]
    shares = [batches(tree, rank=rank, world=2)[2] for rank in range(2)]
    for k in (0, 1):
        assert torch.equal(torch.cat([share[k] for share in shares]), whole[k])
    with pytest.raises(ValueError, match="batch 4 cannot be shared by 3 processes"):
        batches(tree, world=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_gives_the_batches_in_order(tree, workers):
    found = list(batches(tree).loader(5, 9, workers))
    assert len(found) == 4
    for step, batch in zip(range(5, 9), found):
        assert torch.equal(batch[0], batches(tree)[step][0])


class Ramp:
    """A source whose pixels say where they come from; the sharp image is the blurred one plus a constant."""

    def crop(self, rng, size, edge):
        y, x = np.mgrid[:size, :size]
        image = np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)
        return image, image + 100


def test_both_images_are_flipped_alike_half_of_the_time():
    flips = np.zeros((2, 2), int)
    for step in range(60):
        blurred, sharp = (image[0] * 255 for image in batches(Ramp(), batch=1)[step])
        torch.testing.assert_close(sharp - blurred, torch.full_like(blurred, 100))
        flips[int(blurred[0, 0, 0] > 0), int(blurred[1, 0, 0] > 0)] += 1
    assert flips.min() >= 5  # 15 expected of each; fewer than 5 has odds below 1 in 1,000


def test_windows_stay_inside_and_edge_draws_towards_the_border():
    rng = np.random.default_rng(0)
    touching = {}
    for edge in (0.0, 0.25):
        windows = [loading.random_window(rng, 30, 50, 20, edge) for _ in range(2000)]
        for y, x, height, width in windows:
            assert 0 <= y <= 10
            assert 0 <= x <= 30
            assert (height, width) == (20, 20)
        touching[edge] = np.mean([y in (0, 10) for y, *_ in windows])
    assert touching[0.0] == pytest.approx(2 / 11, abs=0.04)  # uniform over 11 places
    assert touching[0.25] == pytest.approx(12 / 21, abs=0.05)  # five more places clamped at each side


def test_a_crop_larger_than_the_frame_is_refused(tree):
    with pytest.raises(ValueError, match="crop 200 is larger than the frame 144x256"):
        batches(tree, crop=200)[0]


def test_as_tensor_keeps_channels_and_values():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)[::-1]
    tensor = loading.as_tensor(image)
    assert tensor.shape == (3, 5, 7)
    np.testing.assert_array_equal((tensor.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8), image)
