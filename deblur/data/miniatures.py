"""Miniatures of the other official sets: what is peculiar to each, small, in its own tree.

    hide         a moving object before a shaking camera: large in the close-ups, small in the long shots; scenes that
                 the GoPro copy neither trains on nor tests with; test
    realblur_j   exposures of a real camera: mean in linear light, noise, a gain, slightly misaligned; train, test
    realblur_r   the same exposures as a dark raw image: linear light, no camera curve
    koehler      4 pictures x 12 six-dimensional camera trajectories, with every frame of each; test
    dvd          panning videos stored as JPEG, some portrait; the ten test videos bear the official names
    rwbi         really blurred photographs without truth

Scenes, splits and seed are those of `mini`; the true motion lies beside each pair where the exposure was made here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deblur.data import blur, mini, scenes
from deblur.data.official import DVD_TEST, REALBLUR
from deblur.data.trees import Copy, save_image, save_truth

TRAIN = tuple(name for name, source in scenes.SCENES.items() if source.split == "train")
TEST = tuple(name for name, source in scenes.SCENES.items() if source.split == "test")
"""Scenes of each split, as the GoPro copy has them."""
HIDE = tuple(name for name, source in scenes.SCENES.items() if source.split in ("validation", "hide"))

HIDE_FOLDERS = {"test-close-ups": (0.35, 0.5), "test-long-shot": (0.12, 0.2)}
"""Folder -> smallest and largest radius of the object, as a share of the frame's height."""
HIDE_SHOTS = 3
"""Pairs per scene and folder."""

REALBLUR_SHOTS = 4
LOW_LIGHT = 0.4
"""RealBlur-R: share of the light that reaches the sensor."""

KOEHLER_SIDE = 162
"""Pixels a side: MS-SSIM needs 161."""
KOEHLER_PICTURES = TEST[:4]
KOEHLER_TRAJECTORIES = 12
KOEHLER_FRAMES = 21
KOEHLER_PATH_PX = (2.0, 4.0)

DVD_FRAMES = 8


def _rng(*stream: str | int) -> np.random.Generator:
    """A generator of its own for each copy, scene and shot."""
    return np.random.default_rng([mini.SEED, *(n for part in stream for n in _numbers(part))])


def _numbers(part: str | int) -> list[int]:
    return list(part.encode()) if isinstance(part, str) else [part]


def write_hide(root: Path) -> None:
    """HIDE: `test/{test-close-ups,test-long-shot}/NAME.png`, sharp ones in one `GT/`."""
    base = root / "HIDE_dataset"
    for scene in HIDE:
        for number in range(HIDE_SHOTS * len(HIDE_FOLDERS)):
            rng = _rng("hide", scene, number)
            folder, radii = list(HIDE_FOLDERS.items())[number // HIDE_SHOTS]
            shot = mini.random_shot(rng, scene, "local", number)
            radius_x_px, radius_y_px = rng.uniform(*radii, size=2) * mini.FRAME_SIZE[0]
            blob = replace(shot.motion.blob, radius_x_px=radius_x_px, radius_y_px=radius_y_px)  # type: ignore[type-var]  # local blur has one
            shot = replace(shot, motion=replace(shot.motion, blob=blob))
            exposure, name = shot.expose(), f"{number + 1}from{scene}"
            save_image(base / "test" / folder / f"{name}.png", exposure.blurred())
            save_image(base / "GT" / f"{name}.png", exposure.sharp)
            save_truth(base / "test" / "truth" / f"{name}.npz", exposure, shot.motion)


def write_realblur_j(root: Path) -> None:
    """RealBlur-J: `sceneNNN/{blur,gt}/{blur,gt}_K.png` and its list files."""
    _write_realblur(root, "J")


def write_realblur_r(root: Path) -> None:
    """RealBlur-R: the pairs of RealBlur-J as dark raw images."""
    _write_realblur(root, "R")


def _write_realblur(root: Path, subset: str) -> None:
    tree = REALBLUR[subset]
    folders = [f"scene{number:03d}" for number in range(1, len(TRAIN + TEST))] + ["scene244_reflect"]
    lines = {"train": [], "test": []}  # type: ignore[var-annotated]  # names of files
    for scene, folder in zip(TRAIN + TEST, folders):
        for number in range(1, REALBLUR_SHOTS + 1):
            rng = _rng("realblur", scene, number)
            shot = mini.random_shot(rng, scene, "global", number)
            # Where the camera stands at the middle of the exposure is not quite where it took the sharp picture.
            aside = rng.uniform(-0.5, 0.5, size=6) * [1, 1, 4e-3, 0, 0, 4e-3]
            shot = replace(shot, motion=replace(shot.motion, poses=shot.motion.poses + aside))
            exposure = shot.expose()
            blurred, sharp = _develop(exposure, rng, raw=subset == "R")
            names = f"gt/gt_{number}.png", f"blur/blur_{number}.png"
            for name, image in zip(names, (sharp, blurred)):
                save_image(root / tree / folder / name, image)
            save_truth(root / tree / folder / "truth" / f"blur_{number}.npz", exposure, shot.motion)
            listed = " ".join(f"{tree}/{folder}/{name}" for name in names)
            lines["train" if scene in TRAIN else "test"].append(f"{listed}\n")
    for split, part in lines.items():
        (root / f"RealBlur_{subset}_{split}_list.txt").write_text("".join(part), encoding="utf-8")


def _develop(exposure: blur.Exposure, rng: np.random.Generator, raw: bool) -> tuple[Tensor, Tensor]:
    """A real camera's (blurred, sharp), (3,h,w) uint8: mean in linear light, a gain, noise of shot and sensor.

    Args:
        raw: no camera curve, and little light.
    """
    light, still = (exposure.frames**blur.GAMMA).mean(0), (exposure.sharp / 255).double() ** blur.GAMMA
    if raw:
        light, still = LOW_LIGHT * light, LOW_LIGHT * still
    else:
        light, still = light ** (1 / blur.GAMMA), still ** (1 / blur.GAMMA)
    light = light * rng.uniform(0.96, 1.04)
    noise = torch.from_numpy(rng.normal(size=light.shape)) * (2e-4 * light + 4e-5).sqrt()
    return blur.quantise(light + noise), blur.quantise(still)


def write_koehler(root: Path) -> None:
    """Koehler: `BlurryImages/BlurryI_T.png`, `ImageI/KernelT/GroundTruthI_T_F.png`.

    As there, flat pictures before a camera whose 12 trajectories are the same for every picture.
    """
    size = (KOEHLER_SIDE, KOEHLER_SIDE)
    lengths = np.linspace(*KOEHLER_PATH_PX, KOEHLER_TRAJECTORIES)
    for image, scene in enumerate(KOEHLER_PICTURES, 1):
        picture = scenes.load_scene(scene).image
        origin = tuple((side - KOEHLER_SIDE) // 2 for side in (picture.shape[2], picture.shape[1]))
        for trajectory, length_px in enumerate(lengths, 1):
            camera = blur.random_camera(_rng("koehler", trajectory), length_px, size)
            motion = blur.Motion(blur.cubic_paths(camera, KOEHLER_FRAMES))
            exposure = blur.expose(picture, motion, origin, size)  # type: ignore[arg-type]  # x and y
            save_image(root / "BlurryImages" / f"Blurry{image}_{trajectory}.png", exposure.blurred())
            folder = root / f"Image{image}" / f"Kernel{trajectory}"
            for number, frame in enumerate(exposure.frames, 1):
                save_image(folder / f"GroundTruth{image}_{trajectory}_{number}.png", blur.quantise(frame))
            save_truth(root / "truth" / f"Blurry{image}_{trajectory}.npz", exposure, motion)


def write_dvd(root: Path) -> None:
    """DVD: `VIDEO/{input,GT}/NNNNN.jpg`; the camera pans over a picture while every frame is shaken."""
    base = root / "quantitative_datasets"
    videos = {f"MINI{number:02d}_{scene}": scene for number, scene in enumerate(TRAIN, 1)}
    videos |= {name: TEST[number % len(TEST)] for number, name in enumerate(DVD_TEST)}
    for number, (video, scene) in enumerate(videos.items()):
        photograph = scenes.load_scene(scene, number % max(len(scenes.SCENES[scene].frames), 1))
        height, width = photograph.image.shape[1:]
        size = mini.FRAME_SIZE if height < width else mini.FRAME_SIZE[::-1]
        rng = _rng("dvd", video)
        room = np.array([width - size[1], height - size[0]]) - 2 * mini.MARGIN
        trajectory = np.linspace(*rng.uniform(0, room, size=(2, 2)), DVD_FRAMES)  # type: ignore[call-overload]  # start and end
        for frame, place in enumerate(np.rint(trajectory).astype(int) + mini.MARGIN):
            kind = mini.KIND_CYCLE[frame % len(mini.KIND_CYCLE)]
            motion = blur.random_motion(rng, kind, size, mini.PATH_PX)
            exposure = blur.expose(photograph.image, motion, tuple(place.tolist()), size, depth=photograph.depth)
            save_image(base / video / "input" / f"{frame:05d}.jpg", exposure.blurred())
            save_image(base / video / "GT" / f"{frame:05d}.jpg", exposure.sharp)
            save_truth(base / video / "truth" / f"{frame:05d}.npz", exposure, motion)


def write_rwbi(root: Path) -> None:
    """RWBI: `FOLDER/NAME.jpg`, the really blurred photographs that installed packages hold."""
    for name, image in scenes.real_photographs().items():
        save_image(root / "RWBI" / name / f"{name}.jpg", torch.tensor(image).permute(2, 0, 1))


_SHOTS = KOEHLER_TRAJECTORIES * len(KOEHLER_PICTURES)
_REALBLUR = {"train": REALBLUR_SHOTS * len(TRAIN), "test": REALBLUR_SHOTS * len(TEST)}
COPIES = {
    "mini-hide": Copy("hide", write_hide, {"test": HIDE_SHOTS * len(HIDE_FOLDERS) * len(HIDE)}),
    "mini-realblur_j": Copy("realblur_j", write_realblur_j, _REALBLUR),
    "mini-realblur_r": Copy("realblur_r", write_realblur_r, _REALBLUR),
    "mini-koehler": Copy("koehler", write_koehler, {"test": _SHOTS, "frames": _SHOTS * KOEHLER_FRAMES}),
    "mini-dvd": Copy("dvd", write_dvd, {"train": DVD_FRAMES * len(TRAIN), "test": DVD_FRAMES * len(DVD_TEST)}),
    "mini-rwbi": Copy("rwbi", write_rwbi, {"test": 2}),
}
"""As `mini.COPIES`."""
