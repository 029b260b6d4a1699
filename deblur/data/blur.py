"""How motion blur arises: the three exposures of RAID-Net (Eqs. 1-3), from a sharp scene to a blurred frame.

A pixel p of the frame sees, at sub-frame t, the scene at `q_t = p + camera(p, t)` (Eq. 1). A moving object with the
mask M and the path u adds `M(q_t) u(t)` (Eq. 2: the mask is looked up at the camera-displaced point, our repair of
the paper's mixed arguments). Where the trajectory is cut at the frame, q_t is truncated to it (Eq. 3). The blurred
frame is the mean of the scene over the sub-frames, the sharp one is the scene at the middle sub-frame, where all
displacements are zero.

The camera moves with six degrees of freedom in front of a plane, or of a depth map. Coordinates are (x, y) in
pixels of the frame, x to the right, y down. Arithmetic is float64, so that stored 8-bit images are the same on
every machine.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

KINDS = ("global", "local", "sampling")
GAMMA = 2.2
"""Exponent of the simple camera curve that the GoPro data set calls gamma."""


@dataclass(frozen=True)
class Blob:
    """The silhouette of a moving object: an ellipse whose edge falls linearly from 1 to 0 over `edge_px`."""

    x_px: float
    y_px: float
    radius_x_px: float
    radius_y_px: float
    angle_rad: float = 0.0
    edge_px: float = 3.0

    def __call__(self, points: Tensor) -> Tensor:
        """Mask value in [0,1] at `points` (..., 2)."""
        dx, dy = points[..., 0] - self.x_px, points[..., 1] - self.y_px
        cos, sin = float(np.cos(self.angle_rad)), float(np.sin(self.angle_rad))
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        radius = torch.hypot(along / self.radius_x_px, across / self.radius_y_px)
        inside_px = (1 - radius) * min(self.radius_x_px, self.radius_y_px)
        return (inside_px / self.edge_px).clamp(0, 1)


@dataclass(frozen=True)
class Motion:
    """What moves during one exposure of T sub-frames (T odd); all displacements are zero at the middle one.

    Attributes:
        poses: (T, 6) camera: shifts tx, ty in pixels at depth 1, tz as a fraction of depth 1, rotations rx, ry, rz in
            radians.
        blob, object_path: the moving object's mask and its (T, 2) path in pixels, or neither.
        cut: truncate trajectories at the frame (Eq. 3).
    """

    poses: np.ndarray
    blob: Blob | None = None
    object_path: np.ndarray | None = None
    cut: bool = False

    def __post_init__(self) -> None:
        steps = len(self.poses)
        if self.poses.shape != (steps, 6) or steps % 2 == 0:
            raise ValueError(f"poses must be (T, 6) with T odd, not {self.poses.shape}")
        if (self.blob is None) != (self.object_path is None):
            raise ValueError("blob and object_path belong together: give both or neither")
        if self.object_path is not None and self.object_path.shape != (steps, 2):
            raise ValueError(f"object_path must be ({steps}, 2) like the poses, not {self.object_path.shape}")

    @property
    def kind(self) -> str:
        """`sampling` if cut at the frame, else `local` with a moving object, else `global`."""
        return "sampling" if self.cut else "global" if self.blob is None else "local"


@dataclass(frozen=True)
class Exposure:
    """One exposure of a window of (h, w) pixels.

    Attributes:
        sharp: (3, h, w) uint8, the middle sub-frame.
        frames: (T, 3, h, w) float64, the scene as each sub-frame sees it, in stored values [0,1].
        displacement: (h, w, 2) float64 px, from the first to the last sub-frame, as (dx, dy).
        path_px: (h, w) float64, length of the path between.
        label: (h, w) uint8 index into `KINDS`: 2 where a trajectory leaves the frame and is cut, else 1 where the
            object passes, else 0.
    """

    sharp: Tensor
    frames: Tensor
    displacement: Tensor
    path_px: Tensor
    label: Tensor

    def blurred(self, linear: bool = False) -> Tensor:
        """The (3, h, w) uint8 exposure: mean of stored values, or (`linear`) of linear light, stored again."""
        if linear:
            return quantise((self.frames**GAMMA).mean(0) ** (1 / GAMMA))
        return quantise(self.frames.mean(0))


def quantise(image: Tensor) -> Tensor:
    """[0,1] to uint8, rounded to nearest. The tiny bias keeps exact halves from flipping with the last float bit."""
    return (image * 255 + 0.5 + 1e-6).floor().clamp(0, 255).to(torch.uint8)


def camera_points(poses: np.ndarray, points: Tensor, frame_size: tuple[int, int], depth: Tensor | None) -> Tensor:
    """Where pixels look while a pinhole camera moves: `K (R X + t)` with X on a plane at depth 1, or on a depth map.

    Args:
        poses: (T, 6), see `Motion`.
        points: (h, w, 2) pixels of the frame.
        frame_size: (height, width) of the frame; its centre is the principal point, its width the focal length.
        depth: (h, w) relative depth at `points`, or None.

    Returns:
        (T, h, w, 2) points.
    """
    height, width = frame_size
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    ray = torch.cat([(points - centre) / width, torch.ones_like(points[..., :1])], -1)
    surface = ray if depth is None else ray * depth[..., None]
    shift = torch.tensor(poses[:, :3] / [width, width, 1.0])
    moved = torch.einsum("tij,hwj->thwi", rotations(poses[:, 3:]), surface) + shift[:, None, None]
    return moved[..., :2] / moved[..., 2:] * width + centre


def rotations(angles: np.ndarray) -> Tensor:
    """Rotation matrices (T, 3, 3) of the rotation vectors (T, 3)."""
    x, y, z = torch.tensor(angles, dtype=torch.float64).unbind(-1)
    zero = torch.zeros_like(x)
    generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(generator)


def trajectories(
    motion: Motion, points: Tensor, frame_size: tuple[int, int], depth: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The path of each pixel through the scene (Eqs. 1-3), and the cause of its blur.

    Returns:
        (T, h, w, 2) points q_t and the (h, w) uint8 label map.
    """
    q = camera_points(motion.poses, points, frame_size, depth)
    label = torch.zeros(points.shape[:2], dtype=torch.uint8)
    if motion.blob is not None:
        mask = motion.blob(q)
        label[(mask > 0).any(0)] = KINDS.index("local")
        q = q + mask[..., None] * torch.tensor(motion.object_path)[:, None, None]
    if motion.cut:
        corner = torch.tensor([frame_size[1] - 1, frame_size[0] - 1], dtype=torch.float64)
        inside = torch.minimum(q.clamp(min=0), corner)
        label[(inside != q).any(-1).any(0)] = KINDS.index("sampling")
        q = inside
    return q, label


def path_lengths(q: Tensor) -> Tensor:
    """Length (...) of the polygonal paths q (T, ..., 2)."""
    step = q[1:] - q[:-1]
    return torch.hypot(step[..., 0], step[..., 1]).sum(0)  # ten times faster than a norm over the last axis


def sample(scene: Tensor, points: Tensor) -> Tensor:
    """The scene (3, H, W) at points (T, h, w, 2), bilinearly: (T, 3, h, w). Raises if a point lies outside."""
    low = points.amin((0, 1, 2)).floor().long()
    high = points.amax((0, 1, 2)).ceil().long()
    if min(low) < 0 or high[0] >= scene.shape[2] or high[1] >= scene.shape[1]:
        raise ValueError(
            f"the camera leaves the scene: points reach from {low.tolist()} to {high.tolist()} (x, y) in a scene of "
            f"{scene.shape[2]}x{scene.shape[1]}; leave a margin around the frame or shorten the path"
        )
    high = torch.maximum(high, low + 1).minimum(torch.tensor([scene.shape[2], scene.shape[1]]) - 1)
    patch = scene[:, low[1] : high[1] + 1, low[0] : high[0] + 1]
    grid = 2 * (points - low) / (high - low).clamp(min=1) - 1
    # Sub-frames stand in the batch dimension, over which PyTorch spreads the work.
    return F.grid_sample(patch.expand(len(points), -1, -1, -1), grid, padding_mode="border", align_corners=True)


def expose(
    scene: Tensor,
    motion: Motion,
    origin: tuple[int, int],
    frame_size: tuple[int, int],
    window: tuple[int, int, int, int] | None = None,
    depth: Tensor | None = None,
) -> Exposure:
    """Expose a frame, or only a window of it: the same pixels either way.

    Args:
        scene: (3, H, W) float64 stored values in [0,1], larger than the frame by the camera's path.
        origin: (x, y) of the frame's first pixel in the scene.
        frame_size: (height, width) of the frame.
        window: (y, x, height, width) inside the frame; the whole frame if None.
        depth: (H, W) relative depth of the scene, median 1.
    """
    y, x, height, width = window or (0, 0, *frame_size)
    left, top = origin[0] + x, origin[1] + y
    rows = torch.arange(y, y + height, dtype=torch.float64)
    columns = torch.arange(x, x + width, dtype=torch.float64)
    points = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)], -1)
    here = (slice(top, top + height), slice(left, left + width))
    q, label = trajectories(motion, points, frame_size, None if depth is None else depth[here])
    return Exposure(
        sharp=quantise(scene[:, here[0], here[1]]),
        frames=sample(scene, q + torch.tensor(origin, dtype=torch.float64)),
        displacement=q[-1] - q[0],
        path_px=path_lengths(q),
        label=label,
    )


def random_cubics(rng: np.random.Generator, count: int) -> np.ndarray:
    """(3, count) random coefficients of t, t^2 and t^3: a hand's tremor within one exposure, mostly a drift."""
    return rng.normal(size=(3, count)) * np.array([[1.0], [0.4], [0.3]])


def cubic_paths(coefficients: np.ndarray, steps: int) -> np.ndarray:
    """(steps, count) values of cubics of time in [-1,1], zero at the middle."""
    time = np.linspace(-1, 1, steps)[:, None]
    return coefficients[0] * time + coefficients[1] * time**2 + coefficients[2] * time**3


def random_camera(rng: np.random.Generator, length_px: float, frame_size: tuple[int, int]) -> np.ndarray:
    """(3, 6) coefficients of a shaking camera's poses; the mean path over the frame is about `length_px` long.

    Shifts dominate; tilts move the picture like shifts; roll and approach reach a third of that at the frame's edge.
    """
    height, width = frame_size
    reach = np.hypot(height, width) / 2
    coefficients = random_cubics(rng, 6) * [1.0, 1.0, 0.3 * 2 / reach, 0.5 / width, 0.5 / width, 0.3 / reach]
    for _ in range(2):  # the displacement is nearly linear in the pose: two corrections are plenty
        q = camera_points(cubic_paths(coefficients, 33), _corners(frame_size), frame_size, None)
        coefficients = coefficients * (length_px / float(path_lengths(q).mean()))
    return coefficients


def _corners(frame_size: tuple[int, int]) -> Tensor:
    """(2, 3, 2) points that stand for a frame: its corners and the middles of its long edges."""
    height, width = frame_size
    rows = [[[x, y] for x in (0, (width - 1) / 2, width - 1)] for y in (0, height - 1)]
    return torch.tensor(rows, dtype=torch.float64)


def longest_step(motion: Motion, frame_size: tuple[int, int]) -> float:
    """The longest step in pixels between two sub-frames, of camera and object together; at the object's edge, where the
    mask changes too, steps may be a little longer."""
    camera = camera_points(motion.poses, _corners(frame_size), frame_size, None).diff(dim=0)
    step = torch.hypot(camera[..., 0], camera[..., 1]).amax((1, 2))
    if motion.object_path is not None:
        step = step + torch.from_numpy(np.hypot(*np.diff(motion.object_path, axis=0).T))
    return float(step.max())


def random_motion(  # type: ignore[return]  # the loop ends by returning
    rng: np.random.Generator, kind: str, frame_size: tuple[int, int], length_px: tuple[float, float]
) -> Motion:
    """A random exposure of the given kind: 7 to 13 sub-frames as in GoPro, refined until steps stay under 1 px.

    Args:
        kind: one of `KINDS`; `local` moves an object over the shaking camera, `sampling` does so too and cuts the
            trajectories at the frame (the hybrid motion of Eq. 3).
        length_px: shortest and longest path, of the camera and of the object each.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of blur {kind!r}; choose one of {', '.join(KINDS)}")
    frames = int(rng.choice([7, 9, 11, 13]))
    camera = random_camera(rng, rng.uniform(*length_px), frame_size)
    blob, coefficients = (None, None) if kind == "global" else (random_blob(rng, frame_size), random_cubics(rng, 2))
    if coefficients is not None:
        coefficients *= rng.uniform(*length_px) / float(path_lengths(torch.from_numpy(cubic_paths(coefficients, 33))))
    for refined in count(1):
        steps = (frames - 1) * refined + 1
        path = None if coefficients is None else cubic_paths(coefficients, steps)
        motion = Motion(cubic_paths(camera, steps), blob, path, cut=kind == "sampling")
        if longest_step(motion, frame_size) < 1:
            return motion


def random_blob(rng: np.random.Generator, frame_size: tuple[int, int]) -> Blob:
    """A random ellipse inside the frame, a quarter to 60 % of its height across."""
    height, width = frame_size
    x, y = rng.uniform(0.2, 0.8, size=2) * [width, height]
    radius_x, radius_y = rng.uniform(0.12, 0.3, size=2) * height
    return Blob(x, y, radius_x, radius_y, angle_rad=rng.uniform(0, np.pi))
