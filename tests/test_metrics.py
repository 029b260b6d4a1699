"""Every score against an independent reference: another library, plain loops, or a known answer."""

import math

import cv2
import numpy as np
import pytest
from scipy import ndimage, signal
from skimage import data
from skimage import metrics as skimage_metrics

from deblur import evaluation
from deblur.evaluation import alignment, metrics

PAIR_SCORES = [
    metrics.psnr_db,
    metrics.ssim_gauss_rgb,
    metrics.ssim_matlab_volume,
    metrics.ms_ssim_metrix,
    alignment.align_ecc,
    alignment.realblur_ecc,
    alignment.koehler_single_frame,
    alignment.dvd_aligned_psnr,
]
SMALLEST = {
    metrics.ssim_gauss_rgb: 11,
    metrics.ms_ssim_metrix: 161,
    alignment.align_ecc: 11,
    alignment.realblur_ecc: 11,
    alignment.koehler_single_frame: 11,
    alignment.dvd_aligned_psnr: 11,
}


def random_pair(rng, height, width, noise=25.0):
    """A random picture with some structure and a noisy copy of it, (restored, sharp)."""
    sharp = ndimage.gaussian_filter(rng.uniform(-400, 650, (height, width, 3)), (1, 1, 0))
    restored = sharp * rng.uniform(0.8, 1.2) + rng.normal(0, noise, sharp.shape)
    return tuple(np.clip(image, 0, 255).astype(np.uint8) for image in (restored, sharp))


def crop(image, top, left, height=150, width=190):
    return np.ascontiguousarray(image[top : top + height, left : left + width])


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


@pytest.fixture(scope="module")
def softened(astronaut):
    return cv2.GaussianBlur(astronaut, (0, 0), 1.5)


# ------------------------------------------------------------------------------------------- rounding, PSNR


def test_to_uint8_clamps_and_rounds_to_nearest():
    values = np.array([-0.5, 0.0, 0.49 / 255, 0.51 / 255, 0.5, 254.49 / 255, 254.51 / 255, 1.0, 7.0])
    image = np.repeat(values[:, None, None], 3, axis=2)
    assert metrics.to_uint8(image)[:, 0, 0].tolist() == [0, 0, 0, 1, 128, 254, 255, 255, 255]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_to_uint8_brings_every_level_back(dtype):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    image = (levels / 255).astype(dtype)
    kept = image.copy()
    assert np.array_equal(metrics.to_uint8(image), levels)
    assert np.array_equal(image, kept)


def test_psnr_equals_scikit_image():
    rng = np.random.default_rng(0)
    for _ in range(5):
        restored, sharp = random_pair(rng, *rng.integers(1, 60, 2))
        expected = skimage_metrics.peak_signal_noise_ratio(sharp, restored, data_range=255)
        assert metrics.psnr_db(restored, sharp) == pytest.approx(expected, abs=1e-9)
        floats = (image / 255 for image in (restored, sharp))
        assert metrics.psnr_float_db(*floats) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_a_known_error():
    sharp = np.full((4, 5, 3), 100, np.uint8)
    assert metrics.psnr_db(sharp + np.uint8(5), sharp) == pytest.approx(20 * math.log10(255 / 5), abs=1e-12)
    assert metrics.psnr_db(sharp - np.uint8(100), sharp) == pytest.approx(20 * math.log10(255 / 100), abs=1e-12)
    assert metrics.psnr_db(sharp, sharp) == math.inf


def test_float_psnr_clamps_but_does_not_round():
    sharp = np.ones((6, 6, 3), np.float32)
    assert metrics.psnr_float_db(sharp * 3, sharp) == math.inf
    almost = sharp.astype(np.float64) - 0.001
    assert metrics.psnr_float_db(almost, sharp) == pytest.approx(60.0, abs=1e-6)
    assert metrics.psnr_db(metrics.to_uint8(almost), metrics.to_uint8(sharp)) == math.inf


def test_psnr_mask_counts_only_its_pixels():
    rng = np.random.default_rng(1)
    restored, sharp = random_pair(rng, 20, 30)
    mask = rng.random((20, 30)) < 0.3
    squares = [(float(restored[i, j, c]) - float(sharp[i, j, c])) ** 2 for i, j in np.argwhere(mask) for c in range(3)]
    expected = 10 * math.log10(255**2 / (sum(squares) / len(squares)))
    assert metrics.psnr_db(restored, sharp, mask) == pytest.approx(expected, abs=1e-9)
    assert metrics.psnr_float_db(restored / 255, sharp / 255, mask) == pytest.approx(expected, abs=1e-9)
    assert math.isnan(metrics.psnr_db(restored, sharp, np.zeros_like(mask)))
    assert math.isnan(metrics.psnr_float_db(restored / 255, sharp / 255, np.zeros_like(mask)))


# ----------------------------------------------------------------------------------------------------- SSIM


def skimage_ssim(restored, sharp, **options):
    return skimage_metrics.structural_similarity(
        restored,
        sharp,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
        data_range=255,
        **options,
    )


def test_ssim_gauss_rgb_equals_scikit_image():
    rng = np.random.default_rng(2)
    sizes = [
        (11, 11),
        (11, 64),
        (42, 11),
        (43, 30),
        *rng.integers(11, 120, (8, 2)),
    ]  # 42, 43: one band and a row
    for height, width in sizes:
        restored, sharp = random_pair(rng, height, width)
        assert metrics.ssim_gauss_rgb(restored, sharp) == pytest.approx(skimage_ssim(restored, sharp), abs=1e-9)


def test_ssim_gauss_rgb_equals_scikit_image_on_a_photograph(astronaut, softened):
    expected = skimage_ssim(softened, astronaut)
    assert 0.5 < expected < 0.95
    assert metrics.ssim_gauss_rgb(softened, astronaut) == pytest.approx(expected, abs=1e-9)
    assert metrics.ssim_gauss_rgb(astronaut, astronaut) == pytest.approx(1.0, abs=1e-12)


def ssim_volume_by_loops(restored, sharp):
    offsets = np.arange(-5, 6)
    squares = offsets[:, None, None] ** 2 + offsets[:, None] ** 2 + offsets**2
    window = np.exp(-squares / (2 * 1.5**2))
    window /= window.sum()
    x, y = (np.pad(image.astype(float), 5, mode="edge") for image in (restored, sharp))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    total = 0.0
    for position in np.ndindex(restored.shape):
        cube = tuple(slice(at, at + 11) for at in position)
        mean_x, mean_y = (window * x[cube]).sum(), (window * y[cube]).sum()
        variance_x = (window * (x[cube] - mean_x) ** 2).sum()
        variance_y = (window * (y[cube] - mean_y) ** 2).sum()
        covariance = (window * (x[cube] - mean_x) * (y[cube] - mean_y)).sum()
        total += (
            (2 * mean_x * mean_y + c1)
            / (mean_x**2 + mean_y**2 + c1)
            * (2 * covariance + c2)
            / (variance_x + variance_y + c2)
        )
    return total / restored.size


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 6), (12, 13), (47, 4)])
def test_ssim_matlab_volume_equals_loops(size):
    restored, sharp = random_pair(np.random.default_rng(3), *size)
    expected = ssim_volume_by_loops(restored, sharp)
    assert metrics.ssim_matlab_volume(restored, sharp) == pytest.approx(expected, abs=1e-9)


def test_ssim_matlab_volume_sees_across_channels():
    """Colour noise that leaves the sum of the channels alone hurts the volume less than the channels."""
    rng = np.random.default_rng(4)
    sharp = np.full((40, 40, 3), 128, np.uint8)
    noise = rng.integers(-30, 31, (40, 40, 1))
    restored = (sharp + noise * np.array([1, -1, 0])).astype(np.uint8)
    assert abs(metrics.ssim_matlab_volume(restored, sharp) - metrics.ssim_gauss_rgb(restored, sharp)) > 0.02
    assert metrics.ssim_matlab_volume(sharp, sharp) == pytest.approx(1.0, abs=1e-12)


# -------------------------------------------------------------------------------------------------- MS-SSIM

# Published table of the Cohen-Daubechies-Feauveau 9/7 analysis low-pass (sum sqrt 2), from the centre out.
TABLE_97 = [0.852698679009, 0.377402855613, -0.110624404418, -0.023849465020, 0.037828455507]


def ms_ssim_by_hand(restored, sharp):
    x, y = (
        0.299 * i[..., 0].astype(float) + 0.587 * i[..., 1].astype(float) + 0.114 * i[..., 2].astype(float)
        for i in (restored, sharp)
    )
    rows, columns = np.mgrid[-5:6, -5:6]
    window = np.exp(-(rows**2 + columns**2) / 4.5)
    window /= window.sum()
    line = np.array([*TABLE_97[:0:-1], *TABLE_97])
    low_pass = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 2.55**2, 7.65**2
    score = 1.0
    for level, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
        if level:
            x, y = (signal.convolve2d(i, low_pass, mode="same", boundary="symm")[::2, ::2] for i in (x, y))
        mean_x, mean_y, xx, yy, xy = (signal.convolve2d(i, window, mode="valid") for i in (x, y, x * x, y * y, x * y))
        sd_x, sd_y = (np.sqrt(np.clip(square - mean**2, 0, None)) for square, mean in ((xx, mean_x), (yy, mean_y)))
        contrast = np.mean((2 * sd_x * sd_y + c2) / (sd_x**2 + sd_y**2 + c2))
        structure = np.mean((xy - mean_x * mean_y + c2 / 2) / (sd_x * sd_y + c2 / 2))
        score *= abs(contrast) ** weight * abs(structure) ** weight
    return score * np.mean((2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)) ** 0.1333


@pytest.mark.parametrize("size", [(161, 161), (162, 183), (200, 176)])
def test_ms_ssim_equals_hand_built(astronaut, size):
    rng = np.random.default_rng(5)
    sharp = crop(astronaut, 60, 120, *size)
    softened = cv2.GaussianBlur(sharp, (0, 0), 2).astype(float) + rng.normal(0, 6, sharp.shape)
    for restored in (np.clip(softened, 0, 255).astype(np.uint8), 255 - sharp):
        expected = ms_ssim_by_hand(restored, sharp)
        assert 0.01 < expected < 0.99
        assert metrics.ms_ssim_metrix(restored, sharp) == pytest.approx(expected, abs=1e-9)


def test_ms_ssim_of_identical_images_is_one(astronaut):
    assert metrics.ms_ssim_metrix(astronaut, astronaut) == pytest.approx(1.0, abs=1e-12)


# ------------------------------------------------------------------------------------------------- RealBlur


def test_ecc_undoes_shift_and_gain(astronaut, softened):
    sharp, unmoved = crop(astronaut, 60, 120), crop(softened, 60, 120)
    moved = np.rint(0.97 * crop(softened, 60, 118)).astype(np.uint8)  # content 2 px to the right, 3 % darker
    still, aligned = alignment.realblur_ecc(unmoved, sharp), alignment.realblur_ecc(moved, sharp)
    assert still.aligned
    assert aligned.aligned
    assert aligned.psnr_db == pytest.approx(still.psnr_db, abs=0.1)
    assert aligned.ssim_gauss_rgb == pytest.approx(still.ssim_gauss_rgb, abs=0.003)
    assert aligned.psnr_unaligned_db == metrics.psnr_db(moved, sharp) < aligned.psnr_db - 3
    assert aligned.ssim_unaligned == metrics.ssim_gauss_rgb(moved, sharp) < aligned.ssim_gauss_rgb - 0.05

    found = alignment.align_ecc(moved, sharp)
    assert found.homography == pytest.approx(np.array([[1, 0, 2], [0, 1, 0], [0, 0, 1]]), abs=0.1)
    assert not found.mask[:, -2:].any()
    assert found.mask[2:-2, 2:-4].all()


def test_ecc_undoes_a_fraction_of_a_pixel(astronaut, softened):
    """The photograph is moved by a phase ramp of its spectrum, independent of any interpolation."""
    shift = (0.6, -1.3, 0)
    spectrum = ndimage.fourier_shift(np.fft.fftn(softened.astype(float)), shift)
    everything_moved = np.clip(np.rint(np.fft.ifftn(spectrum).real), 0, 255).astype(np.uint8)
    sharp, unmoved, moved = (crop(image, 60, 120) for image in (astronaut, softened, everything_moved))
    aligned, still = alignment.realblur_ecc(moved, sharp), alignment.realblur_ecc(unmoved, sharp)
    assert aligned.psnr_db == pytest.approx(still.psnr_db, abs=0.1)
    assert aligned.psnr_unaligned_db < aligned.psnr_db - 1
    assert alignment.align_ecc(moved, sharp).homography[:2, 2] == pytest.approx([-1.3, 0.6], abs=0.1)


def test_ecc_scores_only_the_valid_pixels(astronaut, softened):
    sharp, moved = crop(astronaut, 60, 120), crop(softened, 63, 115)
    found = alignment.align_ecc(moved, sharp)
    inside = found.mask
    assert 0.9 < inside.mean() < 0.99
    error = (found.image - sharp)[inside]
    score = alignment.realblur_ecc(moved, sharp)
    assert score.psnr_db == pytest.approx(10 * math.log10(255**2 / (error**2).mean()), abs=1e-9)

    weight = np.repeat(inside[..., None], 3, axis=2).astype(float)
    _, ssim = skimage_ssim(found.image * weight, sharp * weight, full=True)
    weight, ssim = (array[5:-5, 5:-5] for array in (weight, ssim))
    expected = np.mean((ssim * weight).sum(axis=(0, 1)) / weight.sum(axis=(0, 1)))
    assert score.ssim_gauss_rgb == pytest.approx(expected, abs=1e-9)


def assert_scored_unaligned(restored, sharp):
    score = alignment.realblur_ecc(restored, sharp)
    assert not score.aligned
    assert score.psnr_db == score.psnr_unaligned_db == metrics.psnr_db(restored, sharp)
    assert score.ssim_gauss_rgb == score.ssim_unaligned == metrics.ssim_gauss_rgb(restored, sharp)
    found = alignment.align_ecc(restored, sharp)
    assert not found.aligned
    assert np.array_equal(found.image, restored)
    assert found.mask.all()
    assert np.array_equal(found.homography, np.eye(3))


@pytest.mark.parametrize("hopeless", ["black", "grey", "negative"])
def test_a_hopeless_image_is_counted_not_dropped(astronaut, hopeless):
    sharp = crop(astronaut, 60, 120)
    restored = {"black": sharp * 0, "grey": np.full_like(sharp, 90), "negative": 255 - sharp}[hopeless]
    assert_scored_unaligned(restored, sharp)


@pytest.mark.parametrize(("at", "entry"), [((0, 2), math.nan), ((2, 2), math.inf), ((0, 2), 1e5)])
def test_an_unusable_homography_is_a_failed_alignment(astronaut, softened, monkeypatch, at, entry):
    homography = np.eye(3, dtype=np.float32)
    homography[at] = entry
    monkeypatch.setattr(metrics.cv2, "findTransformECC", lambda *args: (0.5, homography))
    assert_scored_unaligned(crop(softened, 60, 120), crop(astronaut, 60, 120))


# ------------------------------------------------------------------------------------------- Koehler and DVD


def koehler_planes_by_search(restored, frame):
    """The two luma planes, with the shift found by trying every circular shift in the pixel domain."""
    z, x = restored.astype(float), frame.astype(float)
    z = z * (x * z).sum() / (z * z).sum()
    height, width = x.shape[:2]
    grey_x, grey_z = x.mean(axis=2), z.mean(axis=2)
    trials = [(r, c) for r in range(height) for c in range(width)]
    row, column = max(trials, key=lambda t: (grey_x * np.roll(grey_z, t, (0, 1))).sum())
    row = row - height if row + 1 > height // 2 else row  # 1-based position against half the length, rounded down
    column = column - width if column + 1 > width // 2 else column
    valid = np.zeros((height, width), bool)
    for i, j in np.ndindex(height, width):
        valid[i, j] = 0 <= i - row < height and 0 <= j - column < width
    luma = np.array([0.299, 0.587, 0.114])
    return (np.roll(z, (row, column), (0, 1)) * luma).sum(axis=2) * valid, (x * luma).sum(axis=2) * valid


@pytest.mark.parametrize("size", [(11, 12), (17, 21), (24, 20), (15, 32)])
def test_koehler_shift_equals_exhaustive_search(size):
    rng = np.random.default_rng(6)
    for _ in range(3):
        restored, frame = random_pair(rng, *size)
        restored = np.roll(restored, rng.integers(0, 40, 2), (0, 1))
        moved, kept = koehler_planes_by_search(restored, frame)
        expected = 10 * math.log10(255**2 / ((moved - kept) ** 2).mean())
        assert alignment.koehler_single_frame(restored, frame).psnr_db == pytest.approx(expected, abs=1e-9)
        assert alignment.dvd_aligned_psnr(restored, frame) == pytest.approx(expected, abs=1e-9)


def test_koehler_registers_the_channel_mean():
    """Strong blue and weak green move apart: the mean follows the blue, luma would follow the green."""
    rng = np.random.default_rng(13)
    green, blue = rng.choice([-15, 15], (20, 24)), rng.choice([-40, 40], (20, 24))
    frame = np.stack([green * 0, green, blue], axis=2) + 128
    restored = np.stack([green * 0, np.roll(green, 2, 0), np.roll(blue, -3, 1)], axis=2) + 128
    restored, frame = restored.astype(np.uint8), frame.astype(np.uint8)
    moved, kept = koehler_planes_by_search(restored, frame)
    expected = 10 * math.log10(255**2 / ((moved - kept) ** 2).mean())
    assert alignment.koehler_single_frame(restored, frame).psnr_db == pytest.approx(expected, abs=1e-9)


def trajectory(image, size=170):
    """Sharp frames of a camera that drifts and turns: no two are shifts of one another."""
    frames = []
    for step in range(6):
        turn = cv2.getRotationMatrix2D((256, 256), 0.8 * step, 1.0)
        turned = cv2.warpAffine(image, turn, (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frames.append(crop(turned, 100 + 3 * step, 150 - 4 * step, size, size))
    return frames


def test_koehler_finds_the_frame_that_was_restored(astronaut):
    frames = trajectory(astronaut)
    score = alignment.koehler_best_frame(frames[4], iter(frames))
    assert score.psnr_db > 100
    assert score.ms_ssim == pytest.approx(1.0, abs=1e-9)
    assert (score.psnr_frame, score.ms_ssim_frame) == (4, 4)
    assert metrics.psnr_db(frames[4], frames[0]) < 25
    assert alignment.koehler_single_frame(frames[4], frames[0]).psnr_db < 35


def test_koehler_forgives_gain_and_whole_pixel_shift(astronaut):
    frames = trajectory(astronaut)
    moved = np.rint(0.9 * crop(astronaut, 103, 145, 170, 170)).astype(np.uint8)  # frame 0, 3 px and 5 px away
    score = alignment.koehler_best_frame(moved, frames)
    assert score.psnr_frame == score.ms_ssim_frame == 0
    assert score.psnr_db > 30  # the gain is taken before the shift, hence not perfect
    assert score.ms_ssim > 0.99
    assert metrics.psnr_db(moved, frames[0]) < 20


def test_koehler_takes_the_best_of_each_score_by_itself(astronaut):
    rng = np.random.default_rng(7)
    sharp = np.clip(crop(astronaut, 100, 150, 170, 170), 40, 215)
    brighter = sharp + 25 * np.linspace(0, 1, 170)[:, None, None]  # the gain cannot undo a ramp
    noisy = sharp + rng.normal(0, 9, sharp.shape)
    frames = [np.rint(frame).clip(0, 255).astype(np.uint8) for frame in (brighter, noisy)]
    score = alignment.koehler_best_frame(sharp, frames)
    singles = [alignment.koehler_single_frame(sharp, frame) for frame in frames]
    assert (score.psnr_frame, score.ms_ssim_frame) == (1, 0)
    assert score.psnr_db == singles[1].psnr_db > singles[0].psnr_db
    assert score.ms_ssim == singles[0].ms_ssim > singles[1].ms_ssim


def test_koehler_ms_ssim_is_that_of_the_shifted_planes(astronaut, softened):
    restored, frame = crop(softened, 100, 150, 170, 170), crop(astronaut, 100, 150, 170, 170)
    gain = (frame.astype(float) * restored).sum() / (restored.astype(float) ** 2).sum()
    score = alignment.koehler_single_frame(restored, frame)
    assert gain == pytest.approx(1, abs=0.02)
    assert score.ms_ssim == pytest.approx(metrics.ms_ssim_metrix(restored, frame), abs=1e-3)


def test_koehler_leaves_ms_ssim_out_where_five_levels_do_not_fit():
    restored, frame = random_pair(np.random.default_rng(8), 160, 200)
    score = alignment.koehler_single_frame(restored, frame)
    assert math.isfinite(score.psnr_db)
    assert math.isnan(score.ms_ssim)
    assert score.ms_ssim_frame is None


def test_dvd_frames_of_the_official_length():
    official = np.floor(np.linspace(2, 97, 30)).astype(int).tolist()
    assert alignment.dvd_frame_indices() == alignment.dvd_frame_indices(100) == official


@pytest.mark.parametrize("n_frames", [1, 2, 8, 30, 33, 99, 101, 200, 1000])
def test_dvd_frames_of_other_lengths(n_frames):
    chosen = alignment.dvd_frame_indices(n_frames)
    assert chosen == sorted(set(chosen))
    assert chosen[0] >= 1
    assert chosen[-1] <= n_frames
    assert len(chosen) == 30 if n_frames >= 33 else len(chosen) <= 30
    stretched = 1 + (np.linspace(2, 97, 30) - 1) * (n_frames - 1) / 99
    assert chosen == sorted({int(position + 1e-9) for position in stretched})


def test_dvd_alignment_forgives_what_plain_psnr_does_not(astronaut):
    sharp, moved = crop(astronaut, 60, 120), crop(astronaut, 62, 121)
    assert alignment.dvd_aligned_psnr(moved, sharp) > 35
    assert metrics.psnr_db(moved, sharp) < 25
    assert alignment.dvd_aligned_psnr(sharp, sharp) > 100


# --------------------------------------------------------------------------------------------- refused input


@pytest.mark.parametrize("score", PAIR_SCORES)
def test_bad_pairs_are_refused_by_name(score):
    good = random_pair(np.random.default_rng(9), 170, 170)[0]
    with pytest.raises(ValueError, match=r"restored is .170, 170, 3., (sharp|frames.0.) is .170, 169, 3.; crop"):
        score(good, good[:, :169])
    with pytest.raises(ValueError, match=r"^restored: expected uint8.*float64.*to_uint8"):
        score(good / 255, good)
    with pytest.raises(ValueError, match=r"^(sharp|frames\[0\]): expected uint8.*int32"):
        score(good, good.astype(np.int32))
    with pytest.raises(ValueError, match=r"^restored: expected an RGB array.*\(3, 170, 170\)"):
        score(good.transpose(2, 0, 1), good)
    with pytest.raises(ValueError, match=r"^restored: .*list"):
        score(good.tolist(), good)


@pytest.mark.parametrize(("score", "smallest"), SMALLEST.items())
def test_images_below_the_window_are_refused(score, smallest):
    restored, sharp = random_pair(np.random.default_rng(10), smallest, smallest + 20)
    score(restored, sharp)
    with pytest.raises(ValueError, match=rf"^restored: .*at least {smallest} px"):
        score(restored[1:], sharp[1:])


def test_floats_are_refused_by_name():
    good = np.full((8, 8, 3), 0.5)
    for bad in (math.nan, math.inf):
        broken = good.copy()
        broken[3, 4, 1] = bad
        with pytest.raises(ValueError, match=r"^image: contains NaN or infinity"):
            metrics.to_uint8(broken)
        with pytest.raises(ValueError, match=r"^restored: contains NaN"):
            metrics.psnr_float_db(broken, good)
        with pytest.raises(ValueError, match=r"^sharp: contains NaN"):
            metrics.psnr_float_db(good, broken)
    eight_bit = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"^image: expected floating values, got uint8; divide"):
        metrics.to_uint8(eight_bit)
    with pytest.raises(ValueError, match=r"^sharp: expected floating values"):
        metrics.psnr_float_db(good, eight_bit)
    with pytest.raises(ValueError, match=r"^restored is"):
        metrics.psnr_float_db(good[1:], good)


@pytest.mark.parametrize("mask", [np.ones((7, 8), bool), np.ones((8, 8, 3), bool), np.ones((8, 8)), [[True]]])
def test_masks_are_refused_by_name(mask):
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"^mask: expected bool"):
        metrics.psnr_db(image, image, mask)
    with pytest.raises(ValueError, match=r"^mask: expected bool"):
        metrics.psnr_float_db(image / 255, image / 255, mask)


def test_frames_are_refused_by_position():
    good = random_pair(np.random.default_rng(11), 20, 20)[0]
    with pytest.raises(ValueError, match=r"^frames: empty"):
        alignment.koehler_best_frame(good, [])
    with pytest.raises(ValueError, match=r"^frames\[1\]: expected uint8"):
        alignment.koehler_best_frame(good, [good, good / 255])
    with pytest.raises(ValueError, match=r"frames\[1\] is \(19, 20, 3\)"):
        alignment.koehler_best_frame(good, [good, good[1:]])
    with pytest.raises(ValueError, match=r"^n_frames: .*got 0"):
        alignment.dvd_frame_indices(0)


def test_protocols_are_one_line_each_and_name_their_functions():
    assert set(evaluation.PROTOCOLS) == {
        "full_rgb8",
        "realblur_ecc",
        "koehler_best_frame",
        "dvd_aligned_30",
        "dvd_plain_all",
    }
    assert all(
        line.strip() and "\n" not in line
        for line in [*metrics.SCORES.values(), *(entry.meaning for entry in evaluation.PROTOCOLS.values())]
    )
    assert set(metrics.SCORES) == {"ssim_gauss_rgb", "ssim_matlab_volume"}
    for module, name in [*((metrics, name) for name in metrics.SCORES), (alignment, "realblur_ecc")]:
        assert callable(getattr(module, name))


@pytest.mark.parametrize("score", PAIR_SCORES)
def test_inputs_are_never_changed(score):
    restored, sharp = random_pair(np.random.default_rng(12), 170, 170)
    kept = restored.copy(), sharp.copy()
    score(restored, sharp)
    assert np.array_equal(restored, kept[0])
    assert np.array_equal(sharp, kept[1])


@pytest.mark.parametrize(
    "score", [metrics.psnr_db, metrics.ssim_gauss_rgb, metrics.ssim_matlab_volume, metrics.ms_ssim_metrix]
)
def test_views_score_as_their_copies(score):
    """Channels-first memory, as a torch tensor's permute leaves it, against a flipped BGR image."""
    restored, sharp = random_pair(np.random.default_rng(14), 165, 170)
    channels_first = np.ascontiguousarray(restored.transpose(2, 0, 1)).transpose(1, 2, 0)
    flipped = np.ascontiguousarray(sharp[::-1, :, ::-1])[::-1, :, ::-1]
    assert score(channels_first, flipped) == pytest.approx(score(restored, sharp), abs=1e-12)
