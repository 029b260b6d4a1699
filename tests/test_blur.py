"""The blur generator against scalar loops, hand-written homographies, convolutions and closed forms.

Float64 throughout: 1e-11 allows for sums taken in another order and for the normalised coordinates of `grid_sample`.
"""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from scipy.signal import correlate
from scipy.spatial.transform import Rotation

from deblur.data import blur, mini, scenes

EXACT = {"rtol": 0, "atol": 1e-11}


def pixels(height, width):
    """(height, width, 2) pixel coordinates (x, y)."""
    y, x = np.mgrid[:height, :width].astype(float)
    return torch.from_numpy(np.stack([x, y], -1))


def random_scene(rng, height, width):
    return torch.from_numpy(rng.random((3, height, width)))


def random_poses(rng, steps, shift_px=2.0, angle_rad=0.02, approach=0.02):
    poses = rng.uniform(-1, 1, (steps, 6)) * [shift_px, shift_px, approach, angle_rad, angle_rad, angle_rad]
    poses[steps // 2] = 0
    return poses


def random_object(rng, steps, height, width):
    path = rng.uniform(-2, 2, (steps, 2))
    path[steps // 2] = 0
    blob = blur.Blob(width * 0.5, height * 0.4, width * 0.3, height * 0.35, rng.uniform(0, 3), edge_px=1.7)
    return {"blob": blob, "object_path": path}


def translation(shifts):
    poses = np.zeros((len(shifts), 6))
    poses[:, :2] = shifts
    return poses


# ------------------------------------------------------------------------------------------- Eqs. 1 to 3


def loop_exposure(scene, motion, origin, frame_size, depth=None):
    """Eqs. 1-3 for one pixel, one sub-frame and one channel at a time."""
    height, width = frame_size
    steps = len(motion.poses)
    frames = np.zeros((steps, 3, height, width))
    points = np.zeros((steps, height, width, 2))
    label = np.zeros((height, width), np.uint8)
    cx, cy, focal = (width - 1) / 2, (height - 1) / 2, width
    for t, (tx, ty, tz, *angles) in enumerate(motion.poses):
        matrix = Rotation.from_rotvec(angles).as_matrix()
        for i in range(height):
            for j in range(width):
                z = 1.0 if depth is None else float(depth[origin[1] + i, origin[0] + j])
                eye = matrix @ (z * np.array([(j - cx) / focal, (i - cy) / focal, 1.0]))
                eye += [tx / focal, ty / focal, tz]
                x, y = eye[0] / eye[2] * focal + cx, eye[1] / eye[2] * focal + cy
                if motion.blob is not None:
                    mask = loop_mask(motion.blob, x, y)
                    if mask > 0:
                        label[i, j] = max(label[i, j], 1)
                    x, y = x + mask * motion.object_path[t][0], y + mask * motion.object_path[t][1]
                if motion.cut:
                    if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                        label[i, j] = 2
                    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
                points[t, i, j] = x, y
                for channel in range(3):
                    frames[t, channel, i, j] = loop_bilinear(scene[channel], x + origin[0], y + origin[1])
    return frames, points, label


def loop_mask(blob, x, y):
    dx, dy = x - blob.x_px, y - blob.y_px
    along = np.cos(blob.angle_rad) * dx + np.sin(blob.angle_rad) * dy
    across = -np.sin(blob.angle_rad) * dx + np.cos(blob.angle_rad) * dy
    radius = ((along / blob.radius_x_px) ** 2 + (across / blob.radius_y_px) ** 2) ** 0.5
    inside = (1 - radius) * min(blob.radius_x_px, blob.radius_y_px)
    return min(max(inside / blob.edge_px, 0.0), 1.0)


def loop_bilinear(plane, x, y):
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    value = 0.0
    for row, row_weight in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for column, column_weight in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            if row_weight * column_weight:
                value += row_weight * column_weight * float(plane[row, column])
    return value


@pytest.mark.parametrize("seed", range(6))
def test_expose_equals_a_scalar_loop(seed):
    rng = np.random.default_rng(seed)
    height, width, steps, margin = int(rng.integers(5, 9)), int(rng.integers(6, 11)), int(rng.choice([3, 5, 7])), 6
    scene = random_scene(rng, height + 2 * margin + 1, width + 2 * margin + 2)
    depth = torch.from_numpy(rng.uniform(0.7, 1.5, scene.shape[1:])) if seed % 3 == 2 else None
    moving = random_object(rng, steps, height, width) if seed % 2 else {}
    motion = blur.Motion(random_poses(rng, steps), **moving, cut=seed in (2, 3, 4))
    origin = (margin + int(rng.integers(2)), margin)
    frames, points, label = loop_exposure(scene, motion, origin, (height, width), depth)

    found = blur.expose(scene, motion, origin, (height, width), depth=depth)
    np.testing.assert_allclose(found.frames, frames, **EXACT)
    np.testing.assert_array_equal(found.label, label)
    np.testing.assert_allclose(found.displacement, points[-1] - points[0], **EXACT)
    length = sum(np.linalg.norm(after - before, axis=-1) for before, after in pairwise(points))
    np.testing.assert_allclose(found.path_px, length, **EXACT)
    mean = frames.mean(0) * 255
    sure = np.abs(mean % 1 - 0.5) > 1e-4  # away from exact halves
    np.testing.assert_array_equal(found.blurred()[sure], np.rint(mean)[sure])
    frame = scene[:, origin[1] : origin[1] + height, origin[0] : origin[0] + width]
    np.testing.assert_array_equal(found.sharp, torch.round(frame * 255))
    np.testing.assert_allclose(frames[steps // 2], frame, **EXACT)  # the middle sub-frame is the target


@pytest.mark.parametrize("cut", [False, True])
def test_zero_path_is_the_identity(cut):
    rng = np.random.default_rng(1)
    scene = random_scene(rng, 20, 31)
    found = blur.expose(scene, blur.Motion(np.zeros((5, 6)), cut=cut), (3, 2), (15, 24))
    assert torch.equal(found.blurred(), found.sharp)
    assert torch.equal(found.blurred(linear=True), found.sharp)
    assert torch.equal(found.sharp, torch.round(scene[:, 2:17, 3:27] * 255).to(torch.uint8))
    assert not found.displacement.any()
    assert not found.path_px.any()
    assert not found.label.any()


@pytest.mark.parametrize("seed", range(4))
def test_cutting_changes_only_trajectories_that_leave_the_frame(seed):
    rng = np.random.default_rng(seed)
    scene, size = random_scene(rng, 48, 60), (30, 41)
    poses = random_poses(rng, 7, shift_px=3)
    whole = blur.expose(scene, blur.Motion(poses), (9, 8), size)
    cut = blur.expose(scene, blur.Motion(poses, cut=True), (9, 8), size)
    leaves = (cut.label == 2).numpy()
    apart = (whole.frames - cut.frames).abs().amax((0, 1)).numpy()
    assert apart[~leaves].max() < 1e-11
    assert apart[leaves].min() > 1e-6  # a random scene: a cut trajectory sees other values somewhere on its way
    q = blur.camera_points(poses, pixels(*size), size, None).numpy()
    outside = (q < 0) | (q > [size[1] - 1, size[0] - 1])
    np.testing.assert_array_equal(leaves, outside.any((0, 3)))
    assert 0 < leaves.mean() < 0.6
    assert not leaves[8:-8, 8:-8].any()
    assert torch.equal(whole.sharp, cut.sharp)


def test_a_cut_needs_no_margin():
    rng = np.random.default_rng(0)
    scene = random_scene(rng, 17, 23)
    found = blur.expose(scene, blur.Motion(random_poses(rng, 5, shift_px=4), cut=True), (0, 0), (17, 23))
    assert (found.label == 2).any()
    with pytest.raises(ValueError, match="camera leaves the scene"):
        blur.expose(scene, blur.Motion(random_poses(rng, 5, shift_px=4)), (0, 0), (17, 23))


def test_a_still_camera_leaves_everything_outside_the_mask_alone():
    rng = np.random.default_rng(2)
    scene, size = random_scene(rng, 50, 70), (40, 60)
    motion = blur.Motion(np.zeros((5, 6)), **random_object(rng, 5, *size))
    found = blur.expose(scene, motion, (5, 5), size)
    mask = motion.blob(pixels(*size)) > 0
    assert 0.1 < mask.double().mean() < 0.6
    assert torch.equal(found.label.bool(), mask)
    assert torch.equal(found.blurred()[:, ~mask], found.sharp[:, ~mask])
    assert not found.displacement[~mask].any()
    assert (found.blurred() != found.sharp)[:, mask].any()
    inside = motion.blob(pixels(*size)) == 1
    assert inside.any()
    expected = torch.from_numpy(motion.object_path[-1] - motion.object_path[0])
    torch.testing.assert_close(found.displacement[inside], expected.expand(int(inside.sum()), 2), **EXACT)


def test_labels_a_cut_outranks_the_object():
    rng = np.random.default_rng(3)
    size = (20, 26)
    blob = blur.Blob(0, 10, 8, 8)
    path = np.linspace(-3, 3, 5)[:, None] * [1.0, 0.0]
    motion = blur.Motion(np.zeros((5, 6)), blob, path, cut=True)
    label = blur.expose(random_scene(rng, 30, 36), motion, (5, 5), size).label
    assert label[10, 0] == 2
    assert label[10, 6] == 1
    assert label[10, 20] == 0
    assert motion.kind == "sampling"
    assert blur.Motion(np.zeros((5, 6)), blob, path).kind == "local"
    assert blur.Motion(np.zeros((5, 6))).kind == "global"


# ---------------------------------------------------------------------------------- closed forms of the blur


@pytest.mark.parametrize(
    "shifts",
    [
        np.arange(-2, 3)[:, None] * [1.0, 0.0],
        np.arange(-1, 2)[:, None] * [2.0, -1.0],
        np.linspace(-1, 1, 7)[:, None] * [2.3, 1.7],
        np.random.default_rng(5).uniform(-3, 3, (9, 2)),
    ],
)
def test_a_translation_is_a_convolution_with_the_kernel_of_its_path(shifts):
    scene = random_scene(np.random.default_rng(0), 40, 50)
    kernel, reach = np.zeros((9, 9)), 4
    for x, y in shifts:  # each sub-frame splats its weight bilinearly
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        for dy in (0, 1):
            for dx in (0, 1):
                kernel[y0 + dy + reach, x0 + dx + reach] += (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
    kernel /= len(shifts)
    expected = np.stack([correlate(plane, kernel, mode="valid", method="direct") for plane in scene.numpy()])
    found = blur.expose(scene, blur.Motion(translation(shifts)), (reach, reach), (32, 42))
    np.testing.assert_allclose(found.frames.mean(0), expected, **EXACT)
    np.testing.assert_allclose(found.displacement, np.broadcast_to(shifts[-1] - shifts[0], (32, 42, 2)), **EXACT)


@pytest.mark.parametrize("white", range(6))
def test_linear_light_of_black_and_white(white):
    frames = (torch.arange(5) < white).double().reshape(5, 1, 1, 1).expand(5, 3, 2, 2)
    nothing = torch.zeros(2, 2)
    exposure = blur.Exposure(nothing, frames, nothing, nothing, nothing)
    assert (exposure.blurred() == round(255 * white / 5)).all()
    assert (exposure.blurred(linear=True) == round(255 * (white / 5) ** (1 / 2.2))).all()


def test_linear_light_is_brighter():
    """A power mean with exponent 2.2 is never below the plain mean."""
    rng = np.random.default_rng(0)
    found = blur.expose(random_scene(rng, 30, 30), blur.Motion(random_poses(rng, 5)), (6, 6), (18, 18))
    assert (found.blurred(linear=True) >= found.blurred()).all()
    assert (found.blurred(linear=True) > found.blurred()).any()


def test_quantise():
    values = torch.tensor([-0.1, 0.0, 0.499 / 255, 0.5 / 255, 0.501 / 255, 1.0, 1.2], dtype=torch.float64)
    assert blur.quantise(values).tolist() == [0, 0, 0, 1, 1, 255, 255]
    # An exact half does not depend on the last bits of the sum that made it.
    halves = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    assert torch.equal(blur.quantise(halves * (1 - 1e-12)), blur.quantise(halves * (1 + 1e-12)))


# ------------------------------------------------------------------------------------------------- camera


@pytest.mark.parametrize("seed", range(3))
def test_camera_points_are_a_plane_homography(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(20, 60, 2))
    poses = random_poses(rng, 5, shift_px=20, angle_rad=0.3, approach=0.2)
    points = pixels(height, width)
    found = blur.camera_points(poses, points, (height, width), None).numpy()
    camera = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1.0]])
    for pose, moved in zip(poses, found):
        turn = cv2.Rodrigues(pose[3:])[0]
        plane = np.outer(pose[:3] / [width, width, 1], [0, 0, 1])  # the plane z = 1
        homography = camera @ (turn + plane) @ np.linalg.inv(camera)
        expected = cv2.perspectiveTransform(points.numpy().reshape(1, -1, 2), homography)[0]
        np.testing.assert_allclose(moved.reshape(-1, 2), expected, rtol=0, atol=1e-9)


def test_roll_turns_x_towards_y_and_approach_divides():
    poses = np.zeros((3, 6))
    poses[0, 5] = np.pi / 2
    poses[2, 2] = 0.25
    centre = torch.tensor([(31 - 1) / 2, (21 - 1) / 2], dtype=torch.float64)
    roll, still, approach = blur.camera_points(poses, pixels(21, 31), (21, 31), None) - centre
    dx, dy = (pixels(21, 31) - centre).unbind(-1)
    torch.testing.assert_close(roll, torch.stack([-dy, dx], -1), **EXACT)
    torch.testing.assert_close(still, torch.stack([dx, dy], -1), **EXACT)
    torch.testing.assert_close(approach, torch.stack([dx, dy], -1) / 1.25, **EXACT)


def test_depth_divides_shifts_and_leaves_turns_alone():
    points, size = pixels(12, 17), (12, 17)
    depth = torch.from_numpy(np.random.default_rng(0).uniform(0.5, 2, size))
    shift = translation(np.array([[3.0, -2.0], [0, 0], [-1.5, 0.5]]))
    near = blur.camera_points(shift, points, size, depth) - points
    far = blur.camera_points(shift, points, size, 2 * depth) - points
    torch.testing.assert_close(far, near / 2, **EXACT)
    expected = torch.from_numpy(shift[:, None, None, :2]) / depth[..., None]
    torch.testing.assert_close(near, expected, **EXACT)
    turn = np.zeros((3, 6))
    turn[:, 3:] = np.random.default_rng(1).uniform(-0.1, 0.1, (3, 3))
    flat = blur.camera_points(turn, points, size, None)
    torch.testing.assert_close(blur.camera_points(turn, points, size, depth), flat, **EXACT)


def test_path_lengths_of_known_ways():
    square = torch.tensor([[0, 0], [3, 0], [3, 4], [0, 0]], dtype=torch.float64)
    assert blur.path_lengths(square) == 12
    assert torch.equal(blur.path_lengths(square[:, None].expand(4, 5, 2)), torch.full((5,), 12.0).double())


# ------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("kind", blur.KINDS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_window_equals_the_crop_of_the_frame(kind, deep):
    rng = np.random.default_rng([blur.KINDS.index(kind), deep])
    scene, size, origin = random_scene(rng, 75, 91), (50, 64), (13, 12)
    depth = torch.from_numpy(rng.uniform(0.8, 1.3, scene.shape[1:])) if deep else None
    motion = blur.random_motion(rng, kind, size, (2.0, 5.0))
    frame = blur.expose(scene, motion, origin, size, depth=depth)
    windows = [(0, 0, 20, 20), (30, 44, 20, 20), (49, 63, 1, 1)]
    windows += [(int(rng.integers(25)), int(rng.integers(30)), 25, 33) for _ in range(4)]
    for y, x, height, width in windows:
        here = (..., slice(y, y + height), slice(x, x + width))
        window = blur.expose(scene, motion, origin, size, (y, x, height, width), depth)
        assert torch.equal(window.sharp, frame.sharp[here])
        assert torch.equal(window.blurred(), frame.blurred()[here])
        assert torch.equal(window.blurred(linear=True), frame.blurred(linear=True)[here])
        assert torch.equal(window.label, frame.label[here])
        torch.testing.assert_close(window.path_px, frame.path_px[here], **EXACT)
        torch.testing.assert_close(window.displacement, frame.displacement[here[1:]], **EXACT)


# ------------------------------------------------------------------------------------------ random exposures


@pytest.mark.parametrize("kind", blur.KINDS)
def test_random_motion_is_a_short_smooth_exposure(kind):
    rng = np.random.default_rng(7)
    size = (144, 256)
    corners = torch.tensor([[[0.0, 0], [255, 0]], [[0, 143], [255, 143]]], dtype=torch.float64)
    lengths = []
    for _ in range(150):
        motion = blur.random_motion(rng, kind, size, (2.0, 5.0))
        steps = len(motion.poses)
        assert motion.kind == kind
        assert any((steps - 1) % (frames - 1) == 0 for frames in (7, 9, 11, 13))
        assert not motion.poses[steps // 2].any()
        q = blur.camera_points(motion.poses, corners, size, None)
        step = torch.hypot(*q.diff(dim=0).unbind(-1)).amax((1, 2))
        if kind == "local":
            assert not motion.object_path[steps // 2].any()
            own = np.hypot(*np.diff(motion.object_path, axis=0).T)
            assert 1.9 < own.sum() < 5.05  # the sum is taken over fewer chords than the length was set by
            step = step + torch.from_numpy(own)
        assert step.max() < 1
        assert (q - corners).abs().max() < mini.MARGIN
        lengths.append(float(blur.path_lengths(q).mean()))
    # Corners move somewhat more than the mean over the frame, to which 2 to 5 px refer.
    assert 1.7 < min(lengths) < 2.6
    assert 4.4 < max(lengths) < 6.5


def test_random_motion_depends_on_its_generator_only():
    first, same, other = (
        blur.random_motion(np.random.default_rng(seed), "local", (40, 60), (2, 5)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.poses, same.poses)
    np.testing.assert_array_equal(first.object_path, same.object_path)
    assert first.blob == same.blob
    assert first.blob != other.blob


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_stored_exposures_step_under_one_pixel_and_stay_within_the_margin(split):
    height, width = mini.FRAME_SIZE
    points = pixels(height, width)[sorted({*range(0, height, 3), height - 1})]
    points = points[:, sorted({*range(0, width, 3), width - 1})]
    for name, shot in mini.gopro_shots(split).items():
        depth = scenes.load_scene(shot.scene, shot.frame).depth
        if depth is not None:
            x, y = shot.origin
            depth = depth[y : y + height, x : x + width][points[..., 1].long(), points[..., 0].long()]
        uncut = blur.Motion(shot.motion.poses, shot.motion.blob, shot.motion.object_path)
        q, _ = blur.trajectories(uncut, points, mini.FRAME_SIZE, depth)
        steps = torch.hypot(*q.diff(dim=0).unbind(-1)).amax(0)
        assert steps.max() < 1.1, name
        if uncut.blob is not None:  # at the edge, 3 px wide, the mask changes besides
            mask = uncut.blob(blur.camera_points(uncut.poses, points, mini.FRAME_SIZE, depth))
            steps = steps[mask.amin(0) == mask.amax(0)]
        assert steps.max() < 1, name
        seen, _ = blur.trajectories(shot.motion, points, mini.FRAME_SIZE, depth)
        assert (seen - points).abs().max() <= mini.MARGIN, name
        scene = scenes.load_scene(shot.scene, shot.frame).image.shape
        assert mini.MARGIN <= shot.origin[0] <= scene[2] - width - mini.MARGIN, name
        assert mini.MARGIN <= shot.origin[1] <= scene[1] - height - mini.MARGIN, name


# ---------------------------------------------------------------------------------------------- bad inputs


@pytest.mark.parametrize(
    ("poses", "blob", "path", "message"),
    [
        (np.zeros((4, 6)), None, None, "T odd"),
        (np.zeros((5, 3)), None, None, r"\(T, 6\)"),
        (np.zeros((5, 6)), blur.Blob(0, 0, 1, 1), None, "belong together"),
        (np.zeros((5, 6)), None, np.zeros((5, 2)), "belong together"),
        (np.zeros((5, 6)), blur.Blob(0, 0, 1, 1), np.zeros((3, 2)), r"\(5, 2\)"),
    ],
)
def test_motions_that_make_no_sense(poses, blob, path, message):
    with pytest.raises(ValueError, match=message):
        blur.Motion(poses, blob, path)


@pytest.mark.parametrize("shift", [(-5.0, 0), (5.5, 0), (0, -4.5), (0, 6.0)])
def test_a_camera_that_leaves_the_scene(shift):
    poses = translation(np.array([[0, 0], [0, 0], shift]))
    with pytest.raises(ValueError, match=r"camera leaves the scene.*margin"):
        blur.expose(torch.zeros(3, 24, 30).double(), blur.Motion(poses), (4, 4), (15, 21))
    blur.expose(torch.zeros(3, 24, 30).double(), blur.Motion(poses * 0.8), (4, 4), (15, 21))  # 4, 4.4, 3.6, 4.8 px


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("kind", "moves", "cut"), [("global", 0, False), ("local", 1, False), ("sampling", 1, True)])
def test_random_motion_of_each_kind(kind, moves, cut, seed):
    """Eq. 3: a cut exposure moves camera and object."""
    motion = blur.random_motion(np.random.default_rng(seed), kind, (144, 256), (2, 5))
    assert (motion.kind, motion.cut) == (kind, cut)
    assert motion.poses.any()
    assert (motion.blob is not None) == bool(moves)
    if motion.object_path is not None:
        length = np.hypot(*np.diff(motion.object_path, axis=0).T).sum()
        assert 2 * 0.99 <= length <= 5 * 1.01


def test_unknown_kind():
    with pytest.raises(ValueError, match="global, local, sampling"):
        blur.random_motion(np.random.default_rng(0), "defocus", (20, 20), (2, 5))
