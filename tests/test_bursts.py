"""WFA: on bursts whose truth is exact, its weights by hand, and what is not registered."""

import numpy as np
import pytest

from deblur.data import blur, mini, scenes
from deblur.evaluation import bursts, metrics


def burst(scene, frames=8, length_px=6.0, seed=0):
    """A scene under as many independent shakes; it stands where each shake has its mean, the truth."""
    picture, (height, width) = scenes.load_scene(scene).image, mini.FRAME_SIZE
    x, y = ((side - wanted) // 2 for side, wanted in zip(picture.shape[:0:-1], (width, height), strict=True))
    rng, images = np.random.default_rng(seed), []
    for _ in range(frames):
        poses = blur.cubic_paths(blur.random_camera(rng, length_px, mini.FRAME_SIZE), 33)
        motion = blur.Motion(poses - poses.mean(0))
        images.append(blur.expose(picture, motion, (x, y), mini.FRAME_SIZE).blurred().permute(1, 2, 0).numpy())
    sharp = blur.quantise(picture[:, y : y + height, x : x + width]).permute(1, 2, 0).numpy()
    return images, sharp


def psnr(image, sharp):
    return metrics.psnr_db(metrics.to_uint8(image), sharp)


@pytest.mark.parametrize("scene", ["chelsea", "bollard"])
def test_eight_shaken_frames_beat_the_best_of_them_by_a_decibel(scene):
    images, sharp = burst(scene)
    best = max(metrics.psnr_db(image, sharp) for image in images)
    stack = np.stack(images).astype(np.float32) / 255
    assert psnr(bursts.wfa(images), sharp) > best + 3
    assert psnr(bursts.accumulated(stack), sharp) > best + 1  # neither registered nor sharpened
    assert psnr(stack.mean(0), sharp) < best  # weights do it, not the mean
    sharper = max(psnr(bursts.sharpened(image), sharp) for image in stack)
    assert psnr(bursts.wfa(images), sharp) > sharper + 1  # nor sharpening alone


def test_each_frequency_comes_from_the_frame_that_has_most_of_it():
    """Two frames that lack each other's waves."""
    side = bursts.BLOCK
    y, x = np.mgrid[:side, :side] * 2 * np.pi / side
    waves = [np.cos(k * y)[..., None] + np.zeros(3) for k in (4, 20)]
    waves += [np.cos(k * x)[..., None] + np.zeros(3) for k in (4, 20)]
    first, second = waves[0] + 0.2 * waves[1] + waves[2], waves[0] + waves[1] + 0.2 * waves[3]
    expected = waves[0] + waves[1] + waves[2] + 0.2 * waves[3]
    found = bursts.accumulated_block(np.stack([first, second]), bursts.POWER)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    mean = bursts.accumulated_block(np.stack([first, second]), 0)
    np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-9)


def test_weights_add_up_and_power_zero_is_the_mean():
    rng = np.random.default_rng(1)
    frames = rng.random((3, 50, 77, 3)).astype(np.float32)
    np.testing.assert_allclose(bursts.accumulated(frames, 0), frames.mean(0), atol=1e-5)
    np.testing.assert_allclose(bursts.accumulated(frames[[0, 0]]), frames[0], atol=1e-5)  # blocks join without a seam
    assert np.isfinite(bursts.accumulated(np.zeros((2, 8, 8, 3), np.float32))).all()


def test_a_shifted_frame_comes_back_and_another_scene_does_not():
    picture = scenes.load_scene("chelsea").image.permute(1, 2, 0).numpy().astype(np.float32)
    place, shift = np.s_[60:160, 60:220], np.s_[72:172, 41:201]
    registered = bursts.register(picture[place], picture[shift])
    inner = np.s_[25:-25, 25:-25]
    assert (
        np.abs(registered - picture[place])[inner].mean() < 0.15 * np.abs(picture[shift] - picture[place])[inner].mean()
    )
    other = np.random.default_rng(0).random((100, 160, 3)).astype(np.float32)
    assert np.abs(bursts.register(picture[place], other) - picture[place]).mean() < 0.02


def test_one_frame_is_sharpened_and_wrong_ones_are_refused():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_allclose(bursts.wfa([image]), bursts.sharpened(image.astype(np.float32) / 255), atol=1e-5)
    for frames in ([], [image, image[1:]]):
        with pytest.raises(ValueError, match="at least one frame, all of one size"):
            bursts.wfa(frames)
