"""Table 1's systems against loops, Fourier transforms, the benchmark's own sampler and exact ranks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deblur.data import blur as benchmark
from deblur.data import operators
from deblur.data.operators import SIDE, Blur, blind_jacobian, expose, intact_rows, matrix, pixels, spectrum

ZERO = torch.zeros(3, 2, dtype=torch.float64)


def shifts(first, last):
    """Integer shifts along x."""
    return torch.tensor([[x, 0] for x in range(first, last + 1)], dtype=torch.float64)


def random_image(height=SIDE, width=SIDE, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((height, width)))


# --------------------------------------------------------------------------------------------------- ranks


@pytest.mark.parametrize(
    ("first", "last", "periodic", "truncated", "intact"),
    [(0, 3, 208, 256, 208), (0, 4, 256, 256, 192), (2, 6, 256, 224, 160)],
)
def test_ranks_of_integer_shifts(first, last, periodic, truncated, intact):
    """Shifts 0..3: the kernel is zero at 3 of 16 frequencies, 13 x 16 are left. 2..6: columns 13, 14, 15 coincide."""
    camera = shifts(first, last)
    assert spectrum(matrix(Blur(camera)))["rank"] == periodic
    assert spectrum(matrix(Blur(camera, cut=True)))["rank"] == truncated
    assert int(intact_rows(Blur(camera, cut=True)).sum()) == intact
    assert intact_rows(Blur(camera)).all()


def test_truncation_makes_rows_coincide_only_where_no_sub_frame_is_at_rest():
    rows = matrix(Blur(shifts(2, 6), cut=True)).reshape(SIDE, SIDE, -1)
    assert torch.equal(rows[:, 13], rows[:, 14])
    assert torch.equal(rows[:, 13], rows[:, 15])
    assert not torch.equal(rows[:, 12], rows[:, 13])


@pytest.mark.parametrize("seed", range(3))
def test_a_periodic_camera_is_a_convolution(seed):
    """Its singular values are the moduli of its kernel's Fourier transform."""
    a = matrix(operators.random_blurs(seed)["Global Blur"])
    expected = np.abs(np.fft.fft2(a[0].reshape(SIDE, SIDE).numpy())).ravel()
    np.testing.assert_allclose(torch.linalg.svdvals(a).numpy(), np.sort(expected)[::-1], atol=1e-12)


def test_spectrum_counts_and_divides():
    found = spectrum(torch.diag(torch.tensor([1.0, 0.5, 0.003, 1e-5], dtype=torch.float64)))
    assert found == {"rank": 4, "effective_rank": 2, "condition": pytest.approx(1e5)}
    assert spectrum(torch.ones(3, 5, dtype=torch.float64))["rank"] == 1


# ------------------------------------------------------------------------------------------------- operators


def loop_expose(image, blur):
    """Eqs. 1 to 3, one pixel, one sub-frame and one tap at a time."""
    height, width = image.shape

    def at(values, x, y):
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        total = 0.0
        for i in (y0, y0 + 1):
            for j in (x0, x0 + 1):
                total += (1 - abs(y - i)) * (1 - abs(x - j)) * float(values[i % height, j % width])
        return total

    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for t, (shift_x, shift_y) in enumerate(blur.camera.tolist()):
                x, y = j + shift_x, i + shift_y
                if blur.masks is not None:
                    follow_x, follow_y = at(blur.masks[0], x, y), at(blur.masks[1], x, y)
                    x, y = x + follow_x * float(blur.object_path[t, 0]), y + follow_y * float(blur.object_path[t, 1])
                if blur.cut:
                    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
                result[i, j] += at(image, x, y) / len(blur.camera)
    return result


def random_blur(cut, moving, height, width, seed):
    rng = np.random.default_rng(seed)
    camera, object_path = (torch.from_numpy(rng.normal(size=(5, 2)) * 3) for _ in range(2))
    masks = torch.from_numpy(rng.random((2, height, width)))
    return Blur(camera, masks, object_path, cut) if moving else Blur(camera, cut=cut)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize(("height", "width"), [(6, 9), (8, 5)])
def test_exposures_equal_loops(cut, moving, height, width):
    blur, image = random_blur(cut, moving, height, width, seed=height), random_image(height, width)
    expected = loop_expose(image, blur)
    np.testing.assert_allclose(expose(image, blur).numpy(), expected, atol=1e-13)
    a = matrix(blur, height, width)
    np.testing.assert_allclose((a @ image.flatten()).reshape(height, width).numpy(), expected, atol=1e-13)
    torch.testing.assert_close(a.sum(1), torch.ones(len(a), dtype=torch.float64))
    assert (a >= -1e-15).all()


def test_nothing_moves_nothing_blurs():
    for cut in (False, True):
        assert torch.equal(matrix(Blur(ZERO, cut=cut)), torch.eye(SIDE**2, dtype=torch.float64))


def test_truncated_exposures_equal_border_padding():
    """Eq. 3 is bilinear sampling with the border repeated."""
    blur, image = random_blur(True, False, 9, 12, seed=1), random_image(9, 12)
    q = pixels(9, 12) + blur.camera[:, None, None]
    grid = 2 * q / torch.tensor([11.0, 8.0], dtype=torch.float64) - 1
    frames = F.grid_sample(image.expand(5, 1, -1, -1), grid, padding_mode="border", align_corners=True)
    torch.testing.assert_close(expose(image, blur), frames.mean((0, 1)), rtol=0, atol=1e-13)


def test_truncation_changes_only_rows_that_are_not_intact():
    for seed in range(3):
        blurs = operators.random_blurs(seed)
        for free, cut in (("Global Blur", "Sampling Blur"), ("Local Blur", "Sampling Blur, hybrid motion")):
            same = (matrix(blurs[free]) == matrix(blurs[cut])).all(1)
            assert torch.equal(same, intact_rows(blurs[cut]))


def test_only_the_object_blurs_before_a_resting_camera():
    blur = operators.random_blurs(0)["Local Blur"]
    resting = Blur(torch.zeros_like(blur.camera), blur.masks, blur.object_path)
    image = random_image()
    still = (blur.masks == 0).all(0)
    assert 0 < still.sum() < SIDE**2
    torch.testing.assert_close(expose(image, resting)[still], image[still])
    assert (expose(image, resting) - image)[~still].abs().max() > 0.1


def test_trajectories_and_labels_are_those_of_the_benchmark():
    camera = operators.random_blurs(4)["Sampling Blur"].camera
    poses = np.zeros((len(camera), 6))
    poses[:, :2] = camera.numpy()
    points = pixels(SIDE, SIDE)
    q, label = benchmark.trajectories(benchmark.Motion(poses, cut=True), points, (SIDE, SIDE))
    blur = Blur(camera, cut=True)
    torch.testing.assert_close(operators.trajectories(blur, points, points[-1, -1]), q, rtol=0, atol=1e-12)
    assert torch.equal(label.flatten() == benchmark.KINDS.index("sampling"), ~intact_rows(blur))


# ------------------------------------------------------------------------------------------- the blind system


@pytest.mark.parametrize("kind", ["Global Blur", "Local Blur", "Sampling Blur", "Sampling Blur, hybrid motion"])
def test_the_blind_jacobian_predicts_small_changes(kind):
    """Along random directions of all unknowns at once, against a central difference."""
    blur, image = operators.random_blurs(1)[kind], random_image()
    jacobian = blind_jacobian(image, blur)
    rng, step = np.random.default_rng(5), 1e-7
    moves = {"camera": torch.from_numpy(rng.normal(size=(9, 2)))}
    if blur.masks is not None:
        moves["object_path"] = torch.from_numpy(rng.normal(size=(9, 2)))
    for move in moves.values():
        move[4] = 0  # the middle sub-frame is known
    if blur.masks is not None:
        moves["masks"] = torch.from_numpy(rng.normal(size=(2, SIDE, SIDE)))
    change = torch.from_numpy(rng.normal(size=(SIDE, SIDE)))

    def moved(sign):
        settings = {name: getattr(blur, name) + sign * step * move for name, move in moves.items()}
        return expose(image + sign * step * change, Blur(**settings, cut=blur.cut))

    free = [t for t in range(9) if t != 4]
    direction = [change, *(move if name == "masks" else move[free] for name, move in moves.items())]
    expected = (moved(1) - moved(-1)).flatten() / (2 * step)
    found = jacobian @ torch.cat([part.flatten() for part in direction])
    # A trajectory point within a step of a pixel's centre has another slope on its other side.
    assert ((found - expected).abs() < 1e-5).sum() >= SIDE**2 - 2
    assert torch.equal(jacobian[:, : SIDE**2], matrix(blur))


def test_the_table_has_the_printed_pattern_but_not_in_its_ranks():
    table = operators.table(seeds=2).set_index("blur_type")
    rows = {name: table.loc[name] for name in table.index}
    assert list(rows) == [
        "Global Blur",
        "Local Blur",
        "Sampling Blur",
        "Sampling Blur, hybrid motion",
        "Global Blur, scene beyond the frame",
    ]
    assert [row["blind_unknowns"] for row in list(rows.values())[:4]] == [272, 800, 272, 800]  # m, > m, m
    assert (table["rows"] == 256).all()
    assert (table["rank"] == 256).all()  # "fewer equations" is not a statement about rank ...
    assert rows["Sampling Blur"]["intact_rows"] < 150  # ... but one about intact rows
    assert rows["Global Blur"]["intact_rows"] == rows["Local Blur"]["intact_rows"] == 256
    assert rows["Global Blur, scene beyond the frame"]["scene_unknowns"] > 256
    assert (table["blind_unknowns"] > table["rank"]).all()  # blind deblurring is never determined
    assert table.loc["Sampling Blur", "rank_range"] == "256"


def test_random_paths_rest_in_the_middle_and_reach_their_extent():
    for seed in range(5):
        path = operators.random_path(np.random.default_rng(seed))
        assert path.shape == (operators.STEPS, 2)
        assert not path[operators.STEPS // 2].any()
        extent = path.amax(0) - path.amin(0)
        assert float(extent.max()) == pytest.approx(operators.EXTENT_PX)


def test_masks_and_way_belong_together():
    with pytest.raises(ValueError, match="give both or neither"):
        Blur(ZERO, object_path=ZERO)
    with pytest.raises(ValueError, match=r"must be \(3, 2\) like the camera, not \(5, 2\)"):
        Blur(ZERO, torch.zeros(2, 4, 4), torch.zeros(5, 2))
