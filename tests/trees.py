"""Tiny trees in the layout of each benchmark, for the tests of the readers and of the check."""

import json

import cv2
import numpy as np
from PIL import Image

from deblur.data.official import DVD_TEST, REALBLUR

SIDE = 24


def scene(rng, height=SIDE, width=SIDE):
    """A piecewise flat picture with edges, as photographs have them; float (H,W,3) in 0..255."""
    canvas = np.full((height, width, 3), rng.uniform(60, 160, 3))
    rows, columns = np.mgrid[:height, :width]
    for _ in range(height * width // 60):
        radius, y, x = rng.uniform(2, 12), rng.uniform(0, height), rng.uniform(0, width)
        canvas[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.uniform(20, 230, 3)
    return cv2.GaussianBlur(canvas, (0, 0), 0.7)


def expose(rng, height=SIDE, width=SIDE, length=4):
    """(sharp, blur, blur_gamma), uint8: a straight path about the middle frame."""
    wide = scene(rng, height + 12, width + 12)
    path = np.linspace(-0.5, 0.5, 17)[:, None] * length * rng.dirichlet([1, 1])
    shots = [np.float32([[1, 0, x + 6], [0, 1, y + 6]]) for x, y in path]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frames = np.stack([cv2.warpAffine(wide, shot, (width, height), flags=flags) for shot in shots])
    linear = 255 * ((frames / 255) ** 2.2).mean(0) ** (1 / 2.2)
    return [np.rint(image).astype(np.uint8) for image in (frames[8], frames.mean(0), linear)]


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_gopro(root, rng, splits=("train", "test"), sequences=2, frames=3, size=(SIDE, SIDE)):
    base = root / "GOPRO_Large"
    for split in splits:
        for sequence in range(sequences):
            folder = base / split / f"GOPR{sequence:04d}_{split}"
            for frame in range(1, frames + 1):
                for part, image in zip(("sharp", "blur", "blur_gamma"), expose(rng, *size)):
                    save(folder / part / f"{frame:06d}.png", image)
    return base


def write_hide(root, rng, close=2, far=2, train=1):
    base = root / "HIDE_dataset"
    places = {"test/test-close-ups": close, "test/test-long-shot": far, "train": train}
    names = iter(rng.permutation(1000))
    for place, count in places.items():
        for _ in range(count):
            name = f"{next(names)}.png"
            sharp, blur, _ = expose(rng)
            save(base / place / name, blur)
            save(base / "GT" / name, sharp)
    return base


def write_realblur(root, rng, subset="J", scenes=("scene001", "scene244_reflect"), listed=None):
    tree = root / REALBLUR[subset]
    lines = []
    for name in scenes:
        for number in (1, 12):
            sharp, blur, _ = expose(rng)
            save(tree / name / "gt" / f"gt_{number}.png", sharp)
            save(tree / name / "blur" / f"blur_{number}.png", blur)
            prefix = f"{tree.name}/{(listed or {}).get(name, name)}"
            lines.append(f"{prefix}/gt/gt_{number}.png {prefix}/blur/blur_{number}.png")
    for split, part in (("train", lines[:2]), ("test", lines[2:])):
        (root / f"RealBlur_{subset}_{split}_list.txt").write_text("\n".join(part) + "\n")
    return tree


def write_koehler(root, rng, images=(1, 2), trajectories=(1, 10), frames=3):
    for image in images:
        for trajectory in trajectories:
            sharp, blur, _ = expose(rng)
            save(root / "BlurryImages" / f"Blurry{image}_{trajectory}.png", blur)
            for frame in range(1, frames + 1):
                name = f"GroundTruth{image}_{trajectory}_{frame}.png"
                save(root / f"Image{image}" / f"Kernel{trajectory}" / name, np.roll(sharp, frame - 2, 0))
    return root


def write_dvd(root, rng, train=("720p_240fps_1", "IMG_0001"), frames=3):
    base = root / "quantitative_datasets"
    for video in (*train, *DVD_TEST):
        size = (SIDE, SIDE + 8) if video == "IMG_0003" else (SIDE + 8, SIDE)
        for frame in range(frames):
            sharp, blur, _ = expose(rng, *size)
            save(base / video / "input" / f"{frame:05d}.jpg", blur)
            save(base / video / "GT" / f"{frame:05d}.jpg", sharp)
    return base


def write_rwbi(root, rng):
    for place in ("phone", "camera"):
        for name in ("a", "b"):
            save(root / "RWBI" / place / f"{name}.jpg", expose(rng)[1])
    return root / "RWBI"


def write_flat(root, rng, splits=("train", "test"), names=("b", "a", "c"), target="target"):
    for split in splits:
        for name in names:
            sharp, blur, _ = expose(rng)
            save(root / split / "input" / f"{name}.png", blur)
            save(root / split / target / f"{name}.png", sharp)
    return root


def write_manifest(root, benchmark, **counts):
    (root / "manifest.json").write_text(json.dumps({"benchmark": benchmark, "counts": counts}))


WRITERS = {
    "gopro": (write_gopro, {"train": 6, "test": 6}, {"subset": "blur"}),
    "hide": (write_hide, {"train": 1, "test": 4}, {}),
    "realblur_j": (write_realblur, {"train": 2, "test": 2}, {}),
    "realblur_r": (lambda root, rng: write_realblur(root, rng, "R"), {"train": 2, "test": 2}, {}),
    "koehler": (write_koehler, {"test": 4}, {}),
    "dvd": (write_dvd, {"train": 6, "test": 30}, {}),
    "rwbi": (write_rwbi, {"test": 4}, {}),
    "flat": (write_flat, {"train": 3, "test": 3}, {}),
}


def problems(report):
    """The text of a report that must not be usable."""
    assert not report.usable
    assert "NOT USABLE" in str(report)
    return "\n".join(report.problems)
