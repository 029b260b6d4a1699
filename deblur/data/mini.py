"""The GoPro copy of scale `mini`: GOPRO_Large at a fifth of its size, exposed from the bundled scenes by `blur`.

Nothing is downloaded and nothing is random. Beside each pair lies the truth that no public set has: the displacement of
every pixel over the exposure, and what caused its blur.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deblur.data import blur
from deblur.data.scenes import SCENES, load_scene, package_file
from deblur.data.trees import Copy, save_pair, save_truth

FRAME_SIZE = (144, 256)


MARGIN = 12


PATH_PX = (2.0, 5.0)


SEED = 20210


GOPRO_SEQUENCES = {
    "train": ("chelsea", "flower", "bollard", "bunny") * 2 + ("rocket", "grass", "coins", "hubble"),
    "validation": ("coffee", "hopper", "gravel", "tissue"),
    "test": ("astronaut", "motorcycle", "china", "camera", "brick", "fence"),
}


GOPRO_FRAMES = {"train": 12, "validation": 3, "test": 6}


KIND_CYCLE = ("global", "local", "sampling")
"""Each scene shows every kind of blur equally often."""


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
    """The fixed exposures of the GoPro copy: pair name ("SEQUENCE/000001") -> shot, in reading order."""
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


def blurred_text(seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """A page of text under camera shake: (blurred, sharp), (144,256,3) uint8. Dense text is a known failure."""
    page = np.asarray(Image.open(package_file("skimage", "data/text.png")).convert("RGB"))
    scene = torch.from_numpy(page / 255).permute(2, 0, 1)
    motion = blur.random_motion(np.random.default_rng(seed), "global", FRAME_SIZE, PATH_PX)
    exposure = blur.expose(scene, motion, (MARGIN, MARGIN), FRAME_SIZE)
    return tuple(image.permute(1, 2, 0).numpy() for image in (exposure.blurred(), exposure.sharp))  # type: ignore[return-value]  # two images


def write_gopro(root: Path) -> None:
    """Write the GoPro copy under `root/GOPRO_Large`, with `truth/NNNNNN.npz` beside the pictures."""
    for split in GOPRO_SEQUENCES:
        for name, shot in gopro_shots(split).items():
            sequence, stem = name.split("/")
            folder = root / "GOPRO_Large" / split / sequence
            exposure = shot.expose()
            save_pair(folder, stem, exposure.sharp, exposure.blurred(), exposure.blurred(linear=True))
            save_truth(folder / "truth" / f"{stem}.npz", exposure, shot.motion)


_COUNTS = {split: len(GOPRO_SEQUENCES[split]) * count for split, count in GOPRO_FRAMES.items()}
COPIES = {"mini-gopro": Copy("gopro", write_gopro, _COUNTS)}
"""Name of a bundled copy, SCALE-BENCHMARK -> what it is."""
