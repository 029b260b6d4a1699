"""Stacks of images against the scores of single ones, which have references of their own."""

import numpy as np
import pytest
import torch

from deblur.evaluation import metrics, stacked


def stack(rng, count, height, width):
    sharp = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    noise = rng.normal(0, 30, sharp.shape)
    return np.clip(sharp + noise, 0, 255).astype(np.uint8), sharp


def tensors(*images):
    return (torch.from_numpy(image).permute(0, 3, 1, 2) for image in images)


@pytest.mark.parametrize("name", ["ssim_gauss_rgb", "ssim_matlab_volume"])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_one_by_one(name, seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(11, 60, 2)
    restored, sharp = stack(rng, 3, height, width)
    wanted = [getattr(metrics, name)(*pair) for pair in zip(restored, sharp)]
    np.testing.assert_allclose(getattr(stacked, name)(*tensors(restored, sharp)), wanted, rtol=0, atol=1e-9)


def test_flat_and_equal_images():
    flat = np.full((2, 20, 20, 3), 7, np.uint8)
    for name in ("ssim_gauss_rgb", "ssim_matlab_volume"):
        np.testing.assert_allclose(getattr(stacked, name)(*tensors(flat, flat)), 1, atol=1e-12)


def test_the_volume_form_takes_a_single_pixel_and_the_other_refuses_it():
    restored, sharp = stack(np.random.default_rng(0), 2, 1, 1)
    wanted = [metrics.ssim_matlab_volume(*pair) for pair in zip(restored, sharp)]
    np.testing.assert_allclose(stacked.ssim_matlab_volume(*tensors(restored, sharp)), wanted, atol=1e-9)
    with pytest.raises(ValueError, match="smaller than the window of 11 px"):
        stacked.ssim_gauss_rgb(*tensors(restored, sharp))


@pytest.mark.parametrize("wrong", [torch.zeros(1, 3, 20, 21, dtype=torch.uint8), torch.zeros(1, 3, 20, 20)])
def test_wrong_stacks_are_refused(wrong):
    with pytest.raises(ValueError, match=r"uint8 .* of one size"):
        stacked.ssim_gauss_rgb(torch.zeros(1, 3, 20, 20, dtype=torch.uint8), wrong)
