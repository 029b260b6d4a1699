"""A GoPro tree from anybody's own pictures: sharp photographs, or consecutive frames of high-frame-rate video.

A photograph is exposed as the bundled benchmark is (`blur`), with the true motion beside each pair. Video frames are
averaged as GoPro's were: 7 to 13 consecutive ones, the middle one being the sharp image. Training, validation and
test never share a photograph or a clip.
"""

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from deblur import paths, writing
from deblur.data import blur, mini, trees
from deblur.data.official import SPLITS, SUFFIXES, DataError, Misuse, few, gaps, read_image
from deblur.data.trees import save_pair, save_truth

SHARES = {"test": 0.2, "validation": 0.1}
"""Share of the pictures held out for each split, at least one; the rest is for training."""
WINDOWS = (7, 9, 11, 13)
"""Numbers of video frames that make one exposure."""
SMALLEST_SIDE = 32
BAND_ROWS = 8
"""Frames are exposed in bands that stay in the cache: twice as fast, and at 720p whole ones would need gigabytes."""


def synthesize(
    source: Path,
    out: Path,
    *,
    video: bool = False,
    seed: int = 0,
    frames: int = 4,
    size: tuple[int, int] = (720, 1280),
    path_px: tuple[float, float] | None = None,
    progress: Callable[..., Iterable] | None = None,
) -> dict[str, int]:
    """Write `out/GOPRO_Large/{train,validation,test}/SEQUENCE/{blur,blur_gamma,sharp}` and `out/manifest.json`.

    Args:
        source: folder of photographs (subfolders included) or, with `video`, of one subfolder a clip that holds
            numbered consecutive frames.
        out: a folder that is not there yet.
        video: average frames instead of moving a camera over photographs.
        seed: draws the split, the motion and the lengths of exposure.
        frames: pairs per photograph, or at most so many per clip, spread over it.
        size: (height, width) of a frame cut from a photograph, turned for upright ones; clips keep their size.
        path_px: shortest and longest path; by default GoPro-like, 8 to 20 px at a height of 720.
        progress: wraps the loop over pictures, called as `progress(iterable, total=n)`.

    Returns:
        Pairs per split.

    Raises:
        DataError: no pictures, fewer than three, unreadable or too small ones (each is named), the same picture
            twice, gaps in a clip.
        OSError: if the output folder is there already, and not empty, or cannot be written.
    """
    source, out = Path(source), Path(out)
    path_px = path_px or (8 * min(size) / 720, 20 * min(size) / 720)
    _check_request(source, out, frames, size, path_px)
    writing.check_folder(out)
    pictures = _clips(source) if video else _photographs(source, size, _margin(path_px))
    splits = _split(list(pictures), seed)
    counts, made = dict.fromkeys(SPLITS, 0), {}
    numbered = list(enumerate(pictures.items(), 1))
    with writing.delivering_folder(out) as draft:
        for number, (name, files) in progress(numbered, total=len(numbered)) if progress else numbered:
            sequence = f"{number:04d}_{re.sub('[^A-Za-z0-9]+', '-', Path(name).stem)}"
            folder = draft / "GOPRO_Large" / splits[name] / sequence
            rng = np.random.default_rng([seed, number])
            if video:
                pairs = _write_clip(folder, files, rng, frames)
            else:
                pairs = _write_photograph(folder, files[0], rng, frames, size, path_px)
            counts[splits[name]] += pairs
            made[sequence] = {"from": name, "split": splits[name], "sha256": [paths.file_sha256(f) for f in files]}
        settings = {"video": video, "seed": seed, "frames": frames, "size": size, "path_px": path_px}
        manifest = {"benchmark": "gopro", "counts": counts, "settings": settings, "pictures": made}
        manifest |= trees.hashes(draft)
        writing.write_text(draft / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
    return counts


def _check_request(source: Path, out: Path, frames: int, size: tuple[int, int], path_px: tuple[float, float]) -> None:
    if not source.is_dir():
        raise Misuse(f"{source}: no such folder; give the folder that holds your pictures")
    if out.resolve().is_relative_to(source.resolve()):
        raise Misuse(f"{out}: lies inside {source}, whose pictures are read; give another folder")
    if frames < 1:
        raise Misuse(f"{frames} frames asked for; give at least 1 a picture")
    if min(size) < SMALLEST_SIDE:
        raise Misuse(f"frames of {size[0]}x{size[1]} asked for; give at least {SMALLEST_SIDE} px a side")
    if not 0 < path_px[0] <= path_px[1] < math.inf:
        raise Misuse(f"paths of {path_px[0]} to {path_px[1]} px asked for; give the shortest, then the longest")


def _margin(path_px: tuple[float, float]) -> int:
    """Pixels around a frame: camera and object may each go their whole path to one side, at a corner a bit further."""
    return math.ceil(2.5 * path_px[1]) + 1


def _turned(size: tuple[int, int], image: np.ndarray) -> tuple[int, int]:
    """The frame's (height, width), upright for an upright picture."""
    height, width = image.shape[:2]
    return (max(size), min(size)) if height > width else (min(size), max(size))


def _photographs(source: Path, size: tuple[int, int], margin: int) -> dict[str, list[Path]]:
    """Name -> [file] of every photograph; all are opened now, so that nothing fails after an hour."""
    photographs, problems = {}, _odd(source)
    seen: dict[bytes, Path] = {}
    for path in paths.files_below(source, SUFFIXES):
        try:
            image = read_image(path)
        except DataError as error:
            problems.append(str(error))
            continue
        needed = [length + 2 * margin for length in _turned(size, image)]
        if image.shape[0] < needed[0] or image.shape[1] < needed[1]:
            what = f"is {image.shape[0]}x{image.shape[1]} (height x width) but {needed[0]}x{needed[1]} are needed"
            problems.append(f"{path}: too small, {what}; ask for smaller frames or leave it out")
        pixels = hashlib.sha256(image.tobytes()).digest()
        if pixels in seen:
            problems.append(f"{path}: the same picture as {seen[pixels]}; keep one, or two splits would share it")
        seen[pixels] = path
        photographs[path.relative_to(source).as_posix()] = [path]
    return _usable(source, photographs, problems, "photographs")


def _odd(source: Path) -> list[str]:
    """What is called as a picture below a folder, but is a pipe, or a link that leads nowhere."""
    named = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    kinds = {path: paths.kind(path) for path in named if not path.name.startswith(".")}
    return [f"{path}: is {kind}, not a picture; remove it" for path, kind in kinds.items() if kind != "a file"]


def _clips(source: Path) -> dict[str, list[Path]]:
    """Name -> frames in order of every subfolder with images."""
    clips, problems, folders = {}, _odd(source), defaultdict(list)
    for path in paths.files_below(source, SUFFIXES):
        folders[path.parent].append(path)
    if source in folders:
        problems.append(f"{source}: holds images itself; put the frames of every clip into a subfolder of its own")
    for folder, files in folders.items():
        try:
            clips[folder.relative_to(source).as_posix()] = _clip(folder, files)
        except DataError as error:
            problems.append(str(error))
    return _usable(source, clips, problems, "clips, subfolders of numbered frames,")


def _clip(folder: Path, files: list[Path]) -> list[Path]:
    """The frames of one clip in order; raises unless they are consecutive, readable and of one size."""
    matches = {path: re.search(r"\d+$", path.stem) for path in files}
    numbers = {path: int(match.group()) for path, match in matches.items() if match}
    unnumbered = [path.name for path in files if path not in numbers]
    if unnumbered:
        raise DataError(f"{folder}: no number at the end of {few(unnumbered)}; number the frames in order")
    ordered = sorted(files, key=lambda path: numbers[path])
    present = [numbers[path] for path in ordered]
    if len(set(present)) < len(present):
        raise DataError(f"{folder}: two frames of one number; keep one clip a folder")
    missing = [f"{g.start} to {g.stop - 1}" if g.stop - g.start > 1 else str(g.start) for g in gaps(present)]
    if missing:
        raise DataError(f"{folder}: frames {few(missing)} are missing; an average over a gap shows edges twice")
    if len(ordered) < WINDOWS[0]:
        raise DataError(f"{folder}: {len(ordered)} frames, {WINDOWS[0]} are needed for one exposure; leave it out")
    shapes = {path: read_image(path).shape for path in ordered}
    first = shapes[ordered[0]]
    if min(first[:2]) < SMALLEST_SIDE:
        raise DataError(
            f"{ordered[0]}: too small, {first[0]}x{first[1]}; use frames of {SMALLEST_SIDE} px a side or more"
        )
    for path, shape in shapes.items():
        if shape != first:
            raise DataError(f"{path}: is {shape[0]}x{shape[1]}, the clip's first frame {first[0]}x{first[1]}")
    return ordered


def _usable(source: Path, found: dict[str, list[Path]], problems: list[str], what: str) -> dict[str, list[Path]]:
    """`found`, unless there are problems or too few for three splits."""
    if problems:
        raise DataError("\n".join([*problems[:20], *([f"and {len(problems) - 20} more"] if problems[20:] else [])]))
    if len(found) < len(SPLITS):
        suffixes = ", ".join(sorted(SUFFIXES))
        raise DataError(f"{source}: {len(found)} {what} found ({suffixes}); give at least 3, one for each split")
    return found


def _split(names: list[str], seed: int) -> dict[str, str]:
    """Name -> split, drawn by the seed."""
    drawn = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    splits = dict.fromkeys(drawn, "train")
    for split, share in SHARES.items():
        held_out = [name for name in drawn if splits[name] == "train"][: max(1, round(share * len(names)))]
        splits |= dict.fromkeys(held_out, split)
    return splits


def _write_photograph(
    folder: Path,
    file: Path,
    rng: np.random.Generator,
    frames: int,
    size: tuple[int, int],
    path_px: tuple[float, float],
) -> int:
    """Expose a photograph `frames` times, with the benchmark's mixture of kinds; returns the number of pairs."""
    image, margin = read_image(file), _margin(path_px)
    size = _turned(size, image)
    # Reduced up to twice, as far as the frame fits: most photographs are soft at full resolution.
    factor = min(2.0, *(have / (want + 2 * margin) for have, want in zip(image.shape, size)))
    height, width = (int(side / factor + 1e-9) for side in image.shape[:2])
    reduced = cv2.resize(image.astype(np.float64), (width, height), interpolation=cv2.INTER_AREA)
    scene = torch.from_numpy(reduced / 255).permute(2, 0, 1).contiguous()
    for number in range(1, frames + 1):
        kind = mini.KIND_CYCLE[(number - 1) % len(mini.KIND_CYCLE)]
        motion = blur.random_motion(rng, kind, size, path_px)
        left, top = (
            int(rng.integers(margin, have - want - margin + 1)) for have, want in ((width, size[1]), (height, size[0]))
        )
        exposure, blurred, linear = expose_in_bands(scene, motion, (left, top), size)
        save_pair(folder, f"{number:06d}", exposure.sharp, blurred, linear)
        save_truth(folder / "truth" / f"{number:06d}.npz", exposure, motion)
    return frames


def expose_in_bands(
    scene: Tensor, motion: blur.Motion, origin: tuple[int, int], size: tuple[int, int]
) -> tuple[blur.Exposure, Tensor, Tensor]:
    """A whole frame band by band: the exposure without its sub-frames, blurred, and blurred in linear light."""
    bands, blurred, linear = [], [], []
    for top in range(0, size[0], BAND_ROWS):
        window = (top, 0, min(BAND_ROWS, size[0] - top), size[1])
        band = blur.expose(scene, motion, origin, size, window)
        blurred.append(band.blurred())
        linear.append(band.blurred(linear=True))
        bands.append(replace(band, frames=torch.empty(0)))
    exposure = blur.Exposure(
        sharp=torch.cat([band.sharp for band in bands], 1),
        frames=torch.empty(0),
        displacement=torch.cat([band.displacement for band in bands]),
        path_px=torch.cat([band.path_px for band in bands]),
        label=torch.cat([band.label for band in bands]),
    )
    return exposure, torch.cat(blurred, 1), torch.cat(linear, 1)


def _write_clip(folder: Path, files: list[Path], rng: np.random.Generator, frames: int) -> int:
    """Average stretches of a clip that do not overlap; returns the number of pairs."""
    stretches, start = [], 0
    while start + (length := int(rng.choice(WINDOWS))) <= len(files):
        stretches.append(files[start : start + length])
        start += length
    stretches = stretches or [files[: WINDOWS[0]]]
    chosen = np.unique(np.linspace(0, len(stretches) - 1, frames).round().astype(int))
    for number, stretch in enumerate((stretches[i] for i in chosen), 1):
        plain = linear = 0.0
        for file in stretch:
            image = read_image(file) / 255
            plain, linear = plain + image, linear + image**blur.GAMMA
        means = plain / len(stretch), (linear / len(stretch)) ** (1 / blur.GAMMA)
        sharp = read_image(stretch[len(stretch) // 2])
        blurred, linear = (blur.quantise(torch.from_numpy(mean).permute(2, 0, 1)) for mean in means)
        save_pair(folder, f"{number:06d}", torch.from_numpy(sharp).permute(2, 0, 1), blurred, linear)
    return len(chosen)
