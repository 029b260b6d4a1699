"""Readers for the official benchmark trees, as they are unpacked, and a check that names what is wrong.

Every reader returns a list of `Pair`, matched by stem and sorted by name, from the official tree or, where
that is not there, from the flat `input/` + `target/` form; `Pair.form` says which. `BENCHMARKS` holds the
facts of each set, `find_pairs` is the one entry, and `check` opens every file of a copy and reports. The
bundled benchmark is written in the same trees and judged by the counts of its own `manifest.json`.
"""

import json
import logging
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # decoders forgive these missing
AGAIN = "download or unpack it again"

DVD_TEST = (
    "IMG_0030",
    "IMG_0049",
    "IMG_0021",
    "720p_240fps_2",
    "IMG_0032",
    "IMG_0033",
    "IMG_0031",
    "IMG_0003",
    "IMG_0039",
    "IMG_0037",
)
REALBLUR = {
    "J": "RealBlur-J_ECC_IMCORR_centroid_itensity_ref",  # "itensity" is how the archive spells it
    "R": "RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref",
}
KOEHLER_GAPS = {(1, 3): {30}}  # the official set has no frame 30 of image 1, trajectory 3


class DataError(ValueError):
    """A file or folder that cannot be used; the message names it and the remedy."""


class _Absent(DataError):
    """The tree, or the split asked for, is not there at all."""


def _fault(where: object, what: str, remedy: str = AGAIN) -> str:
    """The one form of every message: file or folder, what is wrong, what to do."""
    return f"{where}: {what}; {remedy}"


@dataclass(frozen=True)
class Pair:
    """One blurred image and what belongs to it.

    `name` is "SEQUENCE/STEM" of the blurred file, unique within a split and the same on every machine.
    `sharp` is None where a set has no truth (RWBI). For Koehler `sharp` is the middle frame and `frames`
    holds all frames of the trajectory; elsewhere `frames` is empty. `truth` is the bundled benchmark's
    `truth/STEM.npz`, else None. `form` is 'official' or 'flat'.
    """

    name: str
    sequence: str
    blurred: Path
    sharp: Path | None
    truth: Path | None = None
    frames: tuple[Path, ...] = ()
    form: str = "official"


# ------------------------------------------------------------------------------------------------ files


def read_image(path: str | Path) -> np.ndarray:
    """Decodes one 8-bit image completely.

    Grayscale is replicated, opaque alpha dropped, palette and CMYK converted. EXIF orientation and colour
    profiles are not applied: the two files of a pair are aligned as stored arrays, and a tag on one of them
    would turn it against the other; the protocols score stored values.

    Returns:
        uint8 (H,W,3), RGB.

    Raises:
        DataError: missing, empty, damaged, not an image, more than 8 bits, or really transparent.
    """
    path = Path(path)
    image, deep = _decode(path)
    if deep:
        raise DataError(_fault(path, "more than 8 bits a channel", "protocols are defined on 8 bits, convert it"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise DataError(_fault(path, "has transparent pixels", "flatten it onto a background first"))
    if image.mode not in {"RGB", "RGBA", "L", "1", "P", "CMYK", "YCbCr"}:
        raise DataError(_fault(path, f"colour mode {image.mode} is not supported", "convert it to 8-bit RGB PNG"))
    return np.array(image.convert("RGB"))


def _decode(path: Path) -> tuple[Image.Image, bool]:
    """Returns the fully loaded Pillow image and whether it stores more than 8 bits a channel."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(_fault(path, f"cannot be read ({error.strerror})")) from error
    if not data:
        raise DataError(_fault(path, "zero bytes"))
    try:
        # Decoding alone accepts a PNG whose check sums are wrong; verify() does not.
        Image.open(BytesIO(data), formats=FORMATS).verify()
        image = Image.open(BytesIO(data), formats=FORMATS)
        image.load()
    except UnidentifiedImageError as error:
        raise DataError(_fault(path, f"not an image ({', '.join(FORMATS)})")) from error
    except MemoryError:
        raise
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more: all mean a bad file.
    except Exception as error:
        raise DataError(_fault(path, f"damaged or truncated ({error})")) from error
    if data.rfind(ENDS.get(image.format, b"")) < len(data) // 2:
        raise DataError(_fault(path, f"truncated, the {image.format} has no end marker"))
    return image, _is_deep(image, data)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    # Pillow opens a 16-bit colour PNG as "RGB" and drops the low bytes without a word, so ask the header.
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        return max(np.atleast_1d(image.tag_v2.get(258, 8))) > 8
    return image.mode[0] in "IF"


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Reads (blurred, sharp), both uint8 (H,W,3) RGB of one size.

    Raises:
        DataError: unreadable files, differing sizes, or a pair without truth.
    """
    if pair.sharp is None:
        remedy = "read it with read_image and use no-reference scores"
        raise DataError(_fault(pair.blurred, "has no sharp image", remedy))
    blurred, sharp = read_image(pair.blurred), read_image(pair.sharp)
    if blurred.shape != sharp.shape:
        raise DataError(_size_message(pair.blurred, blurred, pair.sharp, sharp))
    return blurred, sharp


def _size_message(first: Path, a: np.ndarray, second: Path, b: np.ndarray) -> str:
    (ha, wa), (hb, wb) = a.shape[:2], b.shape[:2]
    what = f"is {ha}x{wa} (height x width) but {second} is {hb}x{wb}"
    return _fault(first, what, f"one of them is from another copy, {AGAIN}")


def read_truth(pair: Pair) -> dict[str, np.ndarray]:
    """Reads the true motion that the bundled benchmark stores beside a pair.

    Returns:
        displacement (H,W,2) float32 px, path_px (H,W) float32, label (H,W) uint8 (0 global, 1 local,
        2 sampling), and whatever else the file holds.

    Raises:
        DataError: no truth, a damaged file, or arrays of another shape or type.
    """
    remedy = "only the bundled benchmark has it: write it again with deblur data mini"
    if pair.truth is None:
        raise DataError(_fault(pair.blurred, "no true motion beside it", remedy))
    try:
        with np.load(pair.truth, allow_pickle=False) as stored:
            truth = {key: stored[key] for key in stored.files}
        shape = truth["label"].shape
        found = [(truth[key].shape, truth[key].dtype.name) for key in ("displacement", "path_px", "label")]
    except MemoryError:
        raise
    except Exception as error:  # zip, zlib, header and key errors all mean a bad file
        raise DataError(_fault(pair.truth, f"damaged ({error})", remedy)) from error
    if len(shape) != 2 or found != [((*shape, 2), "float32"), (shape, "float32"), (shape, "uint8")]:
        raise DataError(_fault(pair.truth, "displacement, path_px and label do not fit together", remedy))
    return truth


# ------------------------------------------------------------------------------------------------ trees


@dataclass
class _Scan:
    """What one reader found: the pairs, and everything that keeps them from being trusted."""

    form: str
    base: Path
    pairs: list[Pair] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    blurred: int = 0
    sharp: int = 0

    def fault(self, where: object, what: str, remedy: str = AGAIN) -> None:
        self.problems.append(_fault(where, what, remedy))

    def match(self, sequence: str, blurred: Path, sharp: Path, truth: Path, shared: bool = False) -> None:
        """Pairs two folders by stem; leftovers in a sharp folder `shared` with other splits are theirs."""
        left, right = self.images(blurred), self.images(sharp)
        self.blurred += len(left)
        self.sharp += len(left.keys() & right.keys()) if shared else len(right)
        self.unmatched(blurred, f"without a sharp partner in {sharp}", left, right)
        if not shared:
            self.unmatched(sharp, f"without a blurred partner in {blurred}", right, left)
        for stem in left.keys() & right.keys():
            self.add(sequence, left[stem], right[stem], truth)

    def add(self, sequence: str, blurred: Path, sharp: Path | None, truth: Path, frames: tuple = ()) -> None:
        """Adds one pair; its truth is taken where the file exists."""
        npz = truth / f"{blurred.stem}.npz"
        name = f"{sequence}/{blurred.stem}"
        npz = npz if npz.is_file() else None
        self.pairs.append(Pair(name, sequence, blurred, sharp, npz, frames, self.form))

    def images(self, folder: Path) -> dict[str, Path]:
        """Images of a folder by stem; a missing or empty folder or a doubled stem is a problem."""
        if not folder.is_dir():
            self.fault(folder, "folder is missing")
            return {}
        files = _images(folder)
        stems = {path.stem: path for path in files}
        if len(stems) < len(files):
            doubled = [stem for stem, count in Counter(path.stem for path in files).items() if count > 1]
            self.fault(folder, f"two files for one name ({_few(doubled)})", "keep one of each")
        if not files:
            self.fault(folder, "holds no images")
        return stems

    def unmatched(self, folder: Path, what: str, ours: dict[str, Path], theirs: dict[str, Path]) -> None:
        """Records files of `ours` whose stem is not in `theirs`."""
        lonely = sorted(ours[stem].name for stem in ours.keys() - theirs.keys())
        if lonely and theirs:  # an empty partner folder is itself already reported
            self.fault(folder, f"{len(lonely)} files {what}: {_few(lonely)}")


def _few(names: Iterable[str], count: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


def _entries(folder: Path) -> list[Path]:
    try:
        # archives made on macOS carry "._NAME.png" companions and a "__MACOSX" folder that hold no images
        return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise DataError(_fault(folder, f"cannot be listed ({error.strerror})", "check permissions")) from error


def _images(folder: Path) -> list[Path]:
    return [p for p in _entries(folder) if p.suffix.lower() in SUFFIXES]


def _folders(folder: Path) -> list[Path]:
    return [p for p in _entries(folder) if p.is_dir()] if folder.is_dir() else []


def _below(root: Path, *names: str) -> Path:
    """The first of root/NAME that is a folder, else root itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def _walk(root: Path, depth: int) -> Iterable[Path]:
    """The folder and its subfolders, only to `depth`: a wrong root must not become a walk over a disk."""
    yield root
    if depth:
        for folder in _folders(root):
            yield from _walk(folder, depth - 1)


def _gopro_tree(root: Path, split: str, variant: str) -> _Scan | None:
    base = _below(root, "GOPRO_Large")
    parts = ("blur", "blur_gamma", "sharp")
    sequences = [s for s in _folders(base / split) if any((s / part).is_dir() for part in parts)]
    if not sequences:
        return None
    scan = _Scan("official", base)
    for sequence in sequences:
        scan.match(sequence.name, sequence / variant, sequence / "sharp", sequence / "truth")
    return scan


def _hide_tree(root: Path, split: str) -> _Scan | None:
    base = _below(root, "HIDE_dataset/HIDE_dataset", "HIDE_dataset")  # the zip wraps the folder in itself
    if not (base / split).is_dir() or (base / split / "input").is_dir():
        return None
    own = base / split / "GT"
    folders = [f for f in (base / split, *_folders(base / split)) if f != own and _images(f)]
    if not folders:
        return None
    scan = _Scan("official", base)
    for folder in folders:
        sharp = own if own.is_dir() else base / "GT"
        scan.match(folder.name, folder, sharp, folder.parent / "truth", shared=True)
    return scan


def _realblur_tree(root: Path, split: str, variant: str) -> _Scan | None:
    tree = REALBLUR[variant]
    base = root if root.name == tree else _below(root, tree, f"RealBlur/{tree}")
    if base.name != tree:
        return None
    scan = _Scan("official", base)
    names = [f"RealBlur{dash}{variant}_{split}_list.txt" for dash in "_-"]
    places = [base.parent, base, *(base.parent / sub for sub in ("list", "lists", "datalist"))]
    listing = next((place / name for place in places for name in names if (place / name).is_file()), None)
    if listing is None:
        scan.fault(base.parent / names[0], "list file is missing", f"it is part of the RealBlur archive, {AGAIN}")
        return scan
    missing = []
    for number, line in enumerate(listing.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if line.strip():
            missing += _listed_pair(scan, f"{listing}, line {number}", line)
    if missing:
        scan.fault(base, f"{len(missing)} files of {listing.name} are missing: {_few(missing)}")
    return scan


def _listed_pair(scan: _Scan, where: str, line: str) -> list[str]:
    """Adds the pair of one list line, "GT_PATH BLUR_PATH", and returns the files that are missing.

    Only the last three parts of a path are taken: what comes before differs from copy to copy.
    """
    fields = [item.replace("\\", "/").split("/") for item in line.split()]
    if len(fields) != 2 or any(len(parts) < 3 for parts in fields):
        scan.fault(where, "not 'GT_PATH BLUR_PATH'", "take the list from the RealBlur archive")
        return []
    sharp, blurred = (_listed_file(scan.base, parts) for parts in fields)
    foreign = ({*REALBLUR.values()} - {scan.base.name}) & {*fields[0], *fields[1]}
    numbers = {path.stem.rpartition("_")[2] for path in (sharp, blurred)}
    kinds = (sharp.parent.name, blurred.parent.name)
    if foreign or kinds != ("gt", "blur") or len(numbers) > 1 or sharp.parents[1] != blurred.parents[1]:
        scan.fault(where, f"does not name gt_K and blur_K of one scene of {scan.base.name}")
        return []
    scan.blurred += blurred.is_file()
    scan.sharp += sharp.is_file()
    gone = [path for path in (sharp, blurred) if not path.is_file()]
    if not gone:
        scene = blurred.parents[1]
        scan.add(scene.name, blurred, sharp, scene / "truth")
    return [path.relative_to(scan.base).as_posix() for path in gone]


def _listed_file(base: Path, parts: list[str]) -> Path:
    """Resolves SCENE/{gt,blur}/FILE.

    The folder of scene 244 is `scene244_reflect`, while names made from it are often cut at the underscore,
    so a list may say either; whichever folder exists is taken.
    """
    scene, *rest = parts[-3:]
    plain = scene.removesuffix("_reflect")
    folder = next((base / s for s in (scene, plain, f"{plain}_reflect") if (base / s).is_dir()), base / scene)
    return folder.joinpath(*rest)


def _koehler_tree(root: Path, split: str) -> _Scan | None:
    shots, frames = {}, defaultdict(dict)
    scan = _Scan("official", root)
    for path in (path for folder in _walk(root, 4) for path in _images(folder)):
        if shot := re.fullmatch(r"Blurry(\d+)_(\d+)", path.stem):
            _once(scan, shots, tuple(map(int, shot.groups())), path)
        elif frame := re.fullmatch(r"GroundTruth(\d+)_(\d+)_(\d+)", path.stem):
            image, trajectory, number = map(int, frame.groups())
            _once(scan, frames[image, trajectory], number, path)
    if not shots or not frames:
        return None
    scan.base = Path(os.path.commonpath([path.parent for path in shots.values()]))
    for key in sorted(shots.keys() - frames.keys()):
        scan.fault(shots[key], "has no GroundTruth frame")
    for key in sorted(frames.keys() - shots.keys()):
        scan.fault(next(iter(frames[key].values())), "has no blurred image")
    for key in shots.keys() & frames.keys():
        ordered = tuple(path for _, path in sorted(frames[key].items()))
        truth = shots[key].parent.parent / "truth"
        scan.add(f"image{key[0]}", shots[key], ordered[len(ordered) // 2], truth, ordered)
    scan.blurred, scan.sharp = len(shots), len(frames)
    return scan


def _once(scan: _Scan, found: dict, key: object, path: Path) -> None:
    if key in found:
        scan.fault(path, f"also there as {found[key]}", "keep one copy of the set under the root")
    found[key] = path


def _dvd_tree(root: Path, split: str) -> _Scan | None:
    base = _below(root, "DeepVideoDeblurring_Dataset/quantitative_datasets", "quantitative_datasets")
    videos = {f.name: f for f in _folders(base) if (f / "input").is_dir() or (f / "GT").is_dir()}
    if not videos.keys() - set(SPLITS):  # SPLIT/{input,GT} is the flat form, not a video called "train"
        return None
    names = DVD_TEST if split == "test" else sorted(videos.keys() - set(DVD_TEST))
    scan = _Scan("official", base)
    for name in names:
        scan.match(name, base / name / "input", base / name / "GT", base / name / "truth")
    return scan if names and videos.keys() & set(names) else None


def _rwbi_tree(root: Path, split: str) -> _Scan | None:
    base = _below(root, "RWBI")
    flat = next((f for f in (base / split / "input", base / "input") if f.is_dir()), None)
    scan = _Scan("flat" if flat else "official", flat or base)
    if flat and any((flat.parent / name).is_dir() for name in ("target", "GT")):
        scan.fault(flat.parent, "RWBI has no sharp images but this has", "use the benchmark 'flat' for it")
    for folder in _walk(scan.base, 2):
        sequence = split if folder == scan.base else folder.relative_to(scan.base).as_posix()
        for path in _images(folder):
            scan.add(sequence, path, None, folder / "truth")
    scan.blurred = len(scan.pairs)
    return scan if scan.pairs else None


def _flat_tree(root: Path, split: str) -> _Scan | None:
    """`SPLIT/{input,target}` or directly `{input,target}`, `GT` for `target`, perhaps with video folders."""
    base = next((f for f in (root / split, root) if (f / "input").is_dir() or (f / "target").is_dir()), None)
    if base is None:
        return None
    if base == root and root.name in SPLITS and root.name != split:
        raise _Absent(_fault(root, f"asked for {split}, but the folder is called {root.name}", "give its parent"))
    scan = _Scan("flat", base)
    blurred, sharp = base / "input", _below(base, "target", "GT")
    sharp = sharp if sharp != base else base / "target"
    videos = sorted({f.name for side in (blurred, sharp) for f in _folders(side) if _images(f)})
    if not videos or _images(blurred):
        scan.match(split, blurred, sharp, base / "truth")
    for video in videos:
        scan.match(video, blurred / video, sharp / video, base / "truth" / video)
    return scan


# ------------------------------------------------------------------------------------------------ readers


def gopro(root: str | Path, split: str, variant: str) -> list[Pair]:
    """GoPro (Nah et al. 2017). `root` is GOPRO_Large or the folder that holds it.

    `variant` is 'blur' (plain mean of stored frames) or 'blur_gamma' (mean in linear light); the wrong one
    costs about 3 dB. A `validation` split exists only in the bundled benchmark.

    Raises:
        DataError: the tree is not there, files are missing or unmatched.
    """
    return find_pairs("gopro", root, split, variant=variant)


def hide(root: str | Path, split: str) -> list[Pair]:
    """HIDE (Shen et al. 2019): `train/`, `test/{test-close-ups,test-long-shot}/` and one `GT/` for both.

    Raises:
        DataError: the tree is not there, or blurred files have no sharp partner.
    """
    return find_pairs("hide", root, split)


def realblur(root: str | Path, split: str, variant: str) -> list[Pair]:
    """RealBlur (Rim et al. 2020), `variant` 'J' or 'R', by the list files that come with it.

    Raises:
        DataError: an unknown variant, no tree, no list file, or listed files that are missing.
    """
    if variant not in REALBLUR:
        raise DataError(_fault(root, f"RealBlur has no variant {variant!r}", "choose 'J' or 'R'"))
    return find_pairs(f"realblur_{variant.lower()}", root, split)


def koehler(root: str | Path, split: str = "test") -> list[Pair]:
    """Koehler et al. 2012: BlurryI_T.png with every GroundTruthI_T_F.png of its trajectory in `Pair.frames`.

    The files are found by name in any folder below `root`. Image and trajectory numbers stand in the name,
    "image1/Blurry1_3". A flat copy has no frames, so the official score cannot be computed from it.

    Raises:
        DataError: the tree is not there, or images have no frames.
    """
    return find_pairs("koehler", root, split)


def dvd(root: str | Path, split: str) -> list[Pair]:
    """VideoDeblurring (Su et al. 2017): the ten videos of `DVD_TEST` are the test split, all others train.

    Raises:
        DataError: the tree is not there, a test video is missing, or frames are unmatched.
    """
    return find_pairs("dvd", root, split)


def rwbi(root: str | Path, split: str = "test") -> list[Pair]:
    """RWBI (Zhang et al. 2020): folders of blurred photographs; `Pair.sharp` is None.

    Raises:
        DataError: no images are there.
    """
    return find_pairs("rwbi", root, split)


def flat(root: str | Path, split: str) -> list[Pair]:
    """Anybody's pairs as `SPLIT/{input,target}` or directly `{input,target}`; `GT` may stand for `target`.

    Raises:
        DataError: the folders are not there, or files are unmatched.
    """
    return find_pairs("flat", root, split)


FLAT_TREE = """\
ROOT/
    {train,test}/           or input/ and target/ directly in ROOT
        input/NAME.png      blurred; video folders below are kept as sequences
        target/NAME.png     sharp; GT/ is accepted too"""

BENCHMARKS = {
    "gopro": {
        "title": "GoPro (GOPRO_Large)",
        "reader": gopro,
        "scan": _gopro_tree,
        "splits": SPLITS,
        "optional": ("validation",),
        "counts": {"train": 2103, "test": 1111},
        "sequences": {"train": 22, "test": 11},
        "choices": {"variant": ("blur", "blur_gamma")},
        "size": (720, 1280),
        "video": True,
        "tree": """\
ROOT/GOPRO_Large/           or ROOT is GOPRO_Large itself
    {train,test}/
        GOPR0372_07_00/
            blur/000047.png          plain mean of stored frames
            blur_gamma/000047.png    mean in linear light
            sharp/000047.png""",
    },
    "hide": {
        "title": "HIDE",
        "reader": hide,
        "scan": _hide_tree,
        "splits": ("train", "test"),
        "optional": ("train",),  # used zero-shot: most people have the test part only
        "counts": {"train": 6397, "test": 2025},
        "incomplete": {"test": (1079, 942)},
        "size": (720, 1280),
        "tree": """\
ROOT/HIDE_dataset/          or ROOT is HIDE_dataset itself
    train/NAME.png
    test/test-close-ups/NAME.png
    test/test-long-shot/NAME.png
    GT/NAME.png             sharp images of both splits""",
    },
    "koehler": {
        "title": "Koehler",
        "reader": koehler,
        "scan": _koehler_tree,
        "splits": ("test",),
        "counts": {"test": 48},
        "sequences": {"test": 4},
        "frames": (198, 200),
        "size": (800, 800),
        "tree": """\
ROOT/                       any folders below ROOT; files are known by name
    BlurryImages/Blurry1_1.png                       image 1-4, trajectory 1-12
    Image1/Kernel1/GroundTruth1_1_1.png              image, trajectory, frame (198 to 200 each)""",
    },
    "dvd": {
        "title": "VideoDeblurring (DVD)",
        "reader": dvd,
        "scan": _dvd_tree,
        "splits": ("train", "test"),
        "sequences": {"train": 61, "test": 10},
        "nominal": 100,  # frames a video; a few are said to differ, so no more than a note
        "video": True,
        "tree": f"""\
ROOT/quantitative_datasets/ or ROOT is quantitative_datasets itself
    VIDEO/
        input/00000.jpg
        GT/00000.jpg
    test videos: {", ".join(DVD_TEST)}""",
    },
    "rwbi": {
        "title": "RWBI",
        "reader": rwbi,
        "scan": _rwbi_tree,
        "splits": ("test",),
        "counts": {"test": 3112},
        "tree": """\
ROOT/RWBI/                  or ROOT is RWBI itself
    FOLDER/NAME.jpg         blurred photographs, no sharp ones""",
    },
    "flat": {
        "title": "flat input/ + target/",
        "reader": flat,
        "scan": _flat_tree,
        "splits": SPLITS,
        "optional": SPLITS,
        "video": "nested",
        "tree": FLAT_TREE,
    },
}
for _variant, _tree in REALBLUR.items():
    BENCHMARKS[f"realblur_{_variant.lower()}"] = {
        "title": f"RealBlur-{_variant}",
        "reader": partial(realblur, variant=_variant),
        "scan": partial(_realblur_tree, variant=_variant),
        "splits": ("train", "test"),
        "counts": {"train": 3758, "test": 980},
        "sequences": {"train": 182, "test": 50},
        "tree": f"""\
ROOT/
    RealBlur_{_variant}_train_list.txt      lines: GT_PATH BLUR_PATH
    RealBlur_{_variant}_test_list.txt
    {_tree}/
        scene001/gt/gt_1.png
        scene001/blur/blur_1.png""",
    }


def find_pairs(name: str, root: str | Path, split: str, **choices: str) -> list[Pair]:
    """Pairs of one split of a benchmark, sorted by name.

    A copy that is whole but of another size than the set it claims to be is read with a logged warning.

    Args:
        name: a key of `BENCHMARKS`.
        root: the folder where the archive was unpacked.
        split: 'train', 'validation' or 'test', as far as the benchmark has it.
        **choices: what changes the protocol and therefore has no default: `variant` for gopro.

    Raises:
        DataError: unknown names or choices, a missing tree (the message prints the one expected), or a copy
            with missing or unmatched files.
    """
    _check_request(name, root, (split,), choices)
    scan = _scan(name, Path(root), split, choices)
    if scan.problems:
        raise DataError("\n".join(scan.problems))
    expected = _expected_counts(name, _manifest(name, Path(root), scan.base)[0]).get(split)
    log.info("%s %s: %d pairs, %s form, from %s", name, split, len(scan.pairs), scan.form, scan.base)
    if expected not in (None, len(scan.pairs)):
        log.warning("%s: %s of %s pairs; run check on it", scan.base, _of(len(scan.pairs), expected), split)
    return scan.pairs


def _check_request(name: str, root: str | Path, splits: Iterable[str], choices: dict[str, str] | None) -> None:
    """Refuses unknown names; with `choices` None those are not looked at."""
    if name not in BENCHMARKS:
        raise DataError(f"unknown benchmark {name!r}; choose one of {', '.join(sorted(BENCHMARKS))}")
    for split in splits:
        if split not in BENCHMARKS[name]["splits"]:
            remedy = f"choose one of {', '.join(BENCHMARKS[name]['splits'])}"
            raise DataError(_fault(root, f"{name} has no split {split!r}", remedy))
    valid = BENCHMARKS[name].get("choices", {})
    for key in sorted((choices or {}).keys() - valid.keys()):
        raise DataError(_fault(root, f"{name} knows no choice {key!r}", f"valid: {', '.join(valid) or 'none'}"))
    for key, values in valid.items() if choices is not None else ():
        if choices.get(key) not in values:
            remedy = f"choose one of {', '.join(values)}: it changes the protocol, so there is no default"
            raise DataError(_fault(root, f"{name} needs {key}=", remedy))


def _scan(name: str, root: Path, split: str, choices: dict[str, str]) -> _Scan:
    entry = BENCHMARKS[name]
    if not root.is_dir():
        raise _Absent(f"{root}: no such folder; expected\n{entry['tree']}")
    scan = entry["scan"](root, split, **choices) or _flat_tree(root, split)
    if scan is None:
        raise _Absent(_absent_message(name, root, split))
    scan.pairs.sort(key=lambda pair: pair.name)
    doubled = [key for key, count in Counter(pair.name for pair in scan.pairs).items() if count > 1]
    if doubled:
        scan.fault(scan.base, f"listed twice: {_few(doubled)}")
    return scan


def _absent_message(name: str, root: Path, split: str) -> str:
    entry = BENCHMARKS[name]
    lines = [f"{root}: no {split} split of {entry['title']} here; expected", entry["tree"]]
    lines += [] if name == "flat" else ["or the flat form", FLAT_TREE]
    if split == "validation":
        lines.append("Official copies have no validation split, only the bundled benchmark has one:")
        lines.append("hold out some training sequences instead.")
    if root.name in SPLITS:
        lines.append(f"The folder given is called {root.name}: perhaps its parent was meant.")
    return "\n".join(lines)


def _manifest(name: str, root: Path, base: Path) -> tuple[dict[str, int] | None, str]:
    """Counts and a remark from the manifest of the bundled benchmark; (None, "") for an official copy."""
    places = [folder / "manifest.json" for folder in (root, base, base.parent)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None, ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        named, counts = content["benchmark"], {key: int(value) for key, value in content["counts"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"not a manifest of the bundled benchmark ({error!r})"
        raise DataError(_fault(path, what, "write it again with deblur data mini")) from error
    if named != name:
        return None, f"{path}: is the manifest of {named!r}, so {name} is judged as an official copy"
    return counts, f"{path}: a bundled copy judged by its own counts; its scores are not the official set's"


def _expected_counts(name: str, manifest: dict[str, int] | None) -> dict[str, int]:
    return BENCHMARKS[name].get("counts", {}) if manifest is None else manifest


# ------------------------------------------------------------------------------------------------ check


@dataclass
class Report:
    """What `check` found. `counts` maps a split to (pairs found, pairs expected or None)."""

    benchmark: str
    root: Path
    form: str | None = None
    variant: str | None = None
    counts: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """True where pairs were found and nothing is wrong with them."""
        return not self.problems and any(found for found, _ in self.counts.values())

    def fault(self, where: object, what: str, remedy: str = AGAIN) -> None:
        """Adds a problem."""
        self.problems.append(_fault(where, what, remedy))

    def __str__(self) -> str:
        lines = [f"{self.benchmark} at {self.root}: {'usable' if self.usable else 'NOT USABLE'}"]
        lines += [f"  form     {self.form or 'not found'}", f"  variant  {self.variant or '-'}"]
        for split, (found, expected) in self.counts.items():
            lines.append(f"  {split:<11}{_of(found, expected)} pairs")
        for title, items in (("problems", self.problems), ("notes", self.notes)):
            lines += [f"  {title} ({len(items)})"] if items else []
            lines += ["    - " + item.replace("\n", "\n      ") for item in items[:30]]
            lines += [f"    - and {len(items) - 30} more"] if len(items) > 30 else []
        return "\n".join(lines)


def _of(found: int, expected: int | None) -> str:
    return f"{found:,}" if expected is None else f"{found:,} of {expected:,}"


def check(
    name: str,
    root: str | Path,
    *,
    splits: Iterable[str] | None = None,
    workers: int | None = None,
    progress: Callable[..., Iterable] | None = None,
    **choices: str,
) -> Report:
    """Counts, pairs and opens a whole copy and says what is wrong with it.

    Args:
        name: a key of `BENCHMARKS`.
        root: the folder where the archive was unpacked.
        splits: the splits to judge; all that the benchmark has by default.
        workers: threads that open files; one per core by default.
        progress: wraps the loop over pairs, called as `progress(iterable, total=n)`; `tqdm` fits.
        **choices: as in `find_pairs`; for gopro without `variant` every blurred folder there is judged.

    Returns:
        A `Report`; damage is listed there, not raised.

    Raises:
        DataError: unknown benchmark, split or choice.
    """
    root, splits = Path(root), tuple(splits or ())
    _check_request(name, root, splits, choices or None)
    report, scans, absent = Report(name, root), {}, {}
    for chosen in [choices] if choices else _choices_there(name, root):
        for split in splits or _splits_there(report):
            try:
                scans[split, chosen.get("variant")] = _scan(name, root, split, chosen)
            except _Absent as error:
                absent[split] = str(error)
            except DataError as error:
                report.problems.append(str(error))
    if not scans:
        report.problems += [*absent.values()][:1]
        return report
    report.form = next(iter(scans.values())).form
    manifest = _read_manifest(report, next(iter(scans.values())).base)
    _judge_absent(report, absent, manifest)
    facts = _examine_all(report, scans, workers, progress)
    for (split, variant), scan in scans.items():
        report.problems += scan.problems
        expected = _judge_counts(report, split, scan, manifest)
        report.counts[split] = (len(scan.pairs), expected)
        _judge_numbering(report, split, scan, expected)
        _judge_images(report, split, variant, scan.pairs, facts)
        if manifest is None:
            _judge_official(report, split, scan, facts)
    _judge_frames(report, scans, manifest)
    _judge_variant(report, scans, facts, choices)
    report.problems = list(dict.fromkeys(report.problems))  # two variants share their sharp files
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _splits_there(report: Report) -> tuple[str, ...]:
    splits = BENCHMARKS[report.benchmark]["splits"]
    if not (report.root / "input").is_dir():
        return splits
    # input/ and target/ directly in the root are one split, and only the root's name can say which
    split = report.root.name if report.root.name in splits else "test"
    report.notes.append(f"{report.root}: holds one input/ only, judged as the {split} split")
    return (split,)


def _choices_there(name: str, root: Path) -> list[dict[str, str]]:
    variants = BENCHMARKS[name].get("choices", {}).get("variant", (None,))
    base = _below(root, "GOPRO_Large")
    there = [variant for variant in variants if variant and any(base.glob(f"*/*/{variant}"))]
    return [{"variant": variant} if variant else {} for variant in there or variants[:1]]


def _read_manifest(report: Report, base: Path) -> dict[str, int] | None:
    try:
        manifest, remark = _manifest(report.benchmark, report.root, base)
    except DataError as error:
        report.problems.append(str(error))
        return None
    report.notes += [remark] if remark else []
    return manifest


def _judge_absent(report: Report, absent: dict[str, str], manifest: dict | None) -> None:
    """A split that is not there is damage, unless the bundled copy never had it or most people do without."""
    optional = BENCHMARKS[report.benchmark].get("optional", ())
    for split, message in absent.items():
        needed = split not in optional if manifest is None else split in manifest
        (report.problems if needed else report.notes).append(message if needed else message.splitlines()[0])


@dataclass
class _Facts:
    """What opening one pair showed; numbers are NaN where they could not be measured.

    `level` is the mean of the blurred image, `sharper` the log of its fine detail over that of the sharp one
    (positive is suspicious), `tone` about 0 for a mean of stored values, above 1 for one in linear light.
    """

    problems: list[str]
    size: tuple[int, int] = (0, 0)
    psnr_db: float = math.nan
    level: float = math.nan
    sharper: float = math.nan
    tone: float = math.nan


def _examine_all(report: Report, scans: dict, workers: int | None, progress: Callable | None) -> dict:
    """Opens every file of every pair in threads; returns blurred path -> `_Facts`."""
    pairs = [pair for scan in scans.values() for pair in scan.pairs]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found = pool.map(_examine, pairs)
        found = progress(found, total=len(pairs)) if progress else found
        facts = {pair.blurred: fact for pair, fact in zip(pairs, found)}
    for fact in facts.values():
        report.problems += fact.problems
    return facts


def _examine(pair: Pair) -> _Facts:
    """Opens every file of a pair, Koehler's frames and the truth included."""
    facts = _Facts([])
    blurred = _open(facts, pair.blurred)
    sharp = _open(facts, pair.sharp) if pair.sharp else None
    others = {path: _open(facts, path) for path in pair.frames if path != pair.sharp}
    if blurred is not None:
        facts.size = blurred.shape[:2]
        for path, image in {pair.sharp: sharp, **others}.items():
            if image is not None and image.shape != blurred.shape:
                facts.problems.append(_size_message(pair.blurred, blurred, path, image))
    if pair.truth:
        _examine_truth(facts, pair)
    if blurred is not None and sharp is not None and blurred.shape == sharp.shape:
        _measure(facts, blurred, sharp)
    return facts


def _open(facts: _Facts, path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except DataError as error:
        facts.problems.append(str(error))
        return None


def _examine_truth(facts: _Facts, pair: Pair) -> None:
    try:
        shape = read_truth(pair)["label"].shape
    except DataError as error:
        facts.problems.append(str(error))
        return
    if facts.size != (0, 0) and shape != facts.size:
        what = f"is {shape}, its image {facts.size}"
        facts.problems.append(_fault(pair.truth, what, "write the bundled benchmark again"))


def _measure(facts: _Facts, blurred: np.ndarray, sharp: np.ndarray) -> None:
    mse = cv2.norm(blurred, sharp, cv2.NORM_L2SQR) / blurred.size
    facts.psnr_db = 10 * math.log10(255**2 / mse) if mse else math.inf
    blurred, sharp = (_centre(image).astype(np.float32) for image in (blurred, sharp))
    facts.level = float(blurred.mean())
    detail, reference = _detail(blurred), _detail(sharp)
    if detail > 0 and reference > 0:
        facts.sharper = math.log(detail / reference)
    facts.tone = _tone(blurred, sharp)


def _centre(image: np.ndarray, side: int = 512) -> np.ndarray:
    """A middle crop: the statistics need no more, and whole frames would double the time of a check."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def _detail(image: np.ndarray) -> float:
    """Energy of fine structure over the total variance, so that gain does not matter.

    A band (sigma 1 less sigma 2), not the highest frequencies: there noise and JPEG blocks outweigh edges.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    band = cv2.GaussianBlur(grey, (0, 0), 1) - cv2.GaussianBlur(grey, (0, 0), 2)
    variance = float(grey.var())
    return float((band**2).mean()) / variance if variance > 1 else 0.0


def _tone(blurred: np.ndarray, sharp: np.ndarray) -> float:
    """Tells a mean taken in linear light from a mean of stored values; float32 (H,W,3) in 0 to 255.

    With v the variance of a pixel over the exposure, the mean in linear light lies above the plain mean by
    about (gamma - 1)/2 * v / mean, and (blurred - sharp)^2 stands in for v. Over a window, blurred - sharp
    averages to nothing for the plain mean. So regress the one on the other over windows, through the origin.
    """
    shift, variance, mean = (
        cv2.GaussianBlur(values, (0, 0), 6) for values in (blurred - sharp, (blurred - sharp) ** 2, blurred)
    )
    excess = 0.6 * variance / np.maximum(mean, 8)
    weight = float((excess**2).sum())
    return float((shift * excess).sum()) / weight if excess.mean() > 0.02 else math.nan


def _median(values: Iterable[float]) -> float:
    values = [value for value in values if not math.isnan(value)]
    return float(np.median(values)) if values else math.nan


def _judge_counts(report: Report, split: str, scan: _Scan, manifest: dict | None) -> int | None:
    found, expected = len(scan.pairs), _expected_counts(report.benchmark, manifest).get(split)
    if expected is None:
        if manifest is not None:
            report.fault(scan.base, f"{split} is there, but not in the manifest", "write the benchmark again")
    elif {found, scan.blurred} != {expected} or (scan.sharp and scan.sharp != expected):
        counted = f"{found:,} of {expected:,} pairs ({scan.blurred:,} blurred, {scan.sharp:,} sharp)"
        incomplete = BENCHMARKS[report.benchmark].get("incomplete", {}).get(split, ())
        known = {found, scan.blurred, scan.sharp} & set(incomplete)
        why = ", a known incomplete download, not the official set" if known else ""
        report.fault(scan.base, f"{split} has {counted}{why}")
    return expected


def _judge_numbering(report: Report, split: str, scan: _Scan, expected: int | None) -> None:
    """Frames missing between the first and the last of a video folder."""
    video = BENCHMARKS[report.benchmark].get("video")
    folders = defaultdict(list)
    for pair in scan.pairs:
        number = re.search(r"\d+$", pair.blurred.stem)
        if number and (video is True or (video == "nested" and pair.sequence != split)):
            folders[pair.blurred.parent, pair.blurred.stem[: number.start()]].append(number.group())
    for (folder, prefix), digits in folders.items():
        gaps = _gaps(map(int, digits))
        if not gaps:
            continue
        width = len(digits[0])
        named = _few(f"{prefix}{number:0{width}d}" for number in gaps)
        if expected == len(scan.pairs):
            report.notes.append(f"{folder}: the numbering skips {named}, but no pair is lacking")
        else:
            report.fault(folder, f"{len(gaps)} frames missing in the numbering: {named}")


def _gaps(numbers: Iterable[int]) -> list[int]:
    present = set(numbers)
    return sorted(set(range(min(present), max(present) + 1)) - present)


def _judge_images(report: Report, split: str, variant: str | None, pairs: list[Pair], facts: dict) -> None:
    """Swapped folders, copies of one folder under both names, truth for some pairs only."""
    sequences = defaultdict(list)
    for pair in pairs:
        sequences[pair.sequence].append(facts[pair.blurred])
    title = f"{report.root}: {split}" + (f", {variant}" if variant else "")
    everything = [fact for group in sequences.values() for fact in group]
    same = sum(math.isinf(fact.psnr_db) for fact in everything)
    if same > len(everything) / 2:
        report.fault(title, f"{same} of {len(everything)} blurred images equal their sharp ones")
    remedy = "rename the folders or unpack the set again"
    swapped = [name for name, group in sequences.items() if _median(fact.sharper for fact in group) > 0.1]
    if _median(fact.sharper for fact in everything) > 0.02:
        report.fault(title, "blurred and sharp are swapped, the blurred images are the sharper ones", remedy)
    elif swapped and BENCHMARKS[report.benchmark].get("video"):
        # Photographed pairs (RealBlur, Koehler) are resampled to align, so there one scene proves nothing.
        report.fault(title, f"blurred and sharp are swapped in {_few(swapped)}", remedy)
    without = [pair.name for pair in pairs if not pair.truth]
    if 0 < len(without) < len(pairs):
        report.fault(title, f"no true motion for {_few(without)}", "write the bundled benchmark again")
    psnr_db = [fact.psnr_db for fact in everything if math.isfinite(fact.psnr_db)]
    if psnr_db:
        report.notes.append(f"{title}: mean input PSNR {np.mean(psnr_db):.2f} dB over {len(psnr_db)} pairs")


def _judge_official(report: Report, split: str, scan: _Scan, facts: dict) -> None:
    """What only a full official copy must fulfil: number of sequences, frame size, frames a video."""
    entry = BENCHMARKS[report.benchmark]
    lengths = Counter(pair.sequence for pair in scan.pairs)
    expected = entry.get("sequences", {}).get(split, len(lengths))
    if scan.form == "official" and len(lengths) != expected:
        report.fault(scan.base, f"{split} has {len(lengths)} of {expected} sequences")
    other = sorted(name for name, length in lengths.items() if length != entry.get("nominal", length))
    if other:
        named = _few(f"{name} has {lengths[name]}" for name in other)
        report.notes.append(f"{scan.base}: videos nominally have {entry['nominal']} frames, but {named}")
    official = entry.get("size")
    sizes = Counter(facts[pair.blurred].size for pair in scan.pairs if facts[pair.blurred].size != (0, 0))
    for (height, width), count in sizes.items() if official else ():
        if {height, width} != set(official):
            what = f"{count} images of {split} are {height}x{width} (height x width), the official ones"
            report.fault(scan.base, f"{what} {official[0]}x{official[1]}", f"a resized or cropped copy, {AGAIN}")


def _judge_frames(report: Report, scans: dict, manifest: dict | None) -> None:
    """Koehler: every trajectory frame is part of the score."""
    limits = BENCHMARKS[report.benchmark].get("frames")
    if not limits:
        return
    pairs = [pair for scan in scans.values() for pair in scan.pairs]
    if report.form == "flat":
        report.notes.append(f"{report.root}: flat form has one frame a shot, koehler_best_frame needs all")
        return
    for pair in pairs:
        image, trajectory, _ = map(int, re.findall(r"\d+", pair.frames[0].stem))
        numbers = [int(path.stem.rpartition("_")[2]) for path in pair.frames]
        known = KOEHLER_GAPS.get((image, trajectory), set())
        lost = sorted(set(_gaps([1, *numbers])) - known)
        if lost:
            named = _few(f"GroundTruth{image}_{trajectory}_{number}" for number in lost)
            report.fault(pair.frames[0].parent, f"{len(lost)} frames missing: {named}")
        elif manifest is None and not limits[0] - len(known) <= len(numbers) <= limits[1]:
            what = f"{len(numbers)} frames of GroundTruth{image}_{trajectory}, the official set has"
            report.fault(pair.frames[0].parent, f"{what} {limits[0]} to {limits[1]}")
    total = sum(len(pair.frames) for pair in pairs)
    if manifest and manifest.get("frames", total) != total:
        report.fault(report.root, f"{total:,} of {manifest['frames']:,} frames", "write the benchmark again")


def _judge_variant(report: Report, scans: dict, facts: dict, choices: dict[str, str]) -> None:
    """Tells GoPro's blur from blur_gamma by the pixels and compares with the folders' names."""
    if report.benchmark.startswith("realblur"):
        report.variant = report.benchmark[-1].upper()
        if report.form == "flat":
            report.notes.append(f"{report.root}: the flat form does not say J or R; {report.variant} is your word")
    if "variant" not in BENCHMARKS[report.benchmark].get("choices", {}):
        return
    levels = defaultdict(dict)
    for (_, variant), scan in scans.items():
        levels[variant] |= {pair.name: facts[pair.blurred].level for pair in scan.pairs}
    if len(levels) == 2 and not _judge_both(report, levels):
        return
    named = report.form == "official" or bool(choices)
    report.variant = " and ".join(levels) if named else None
    for (split, variant), scan in scans.items():
        pixels = _seen_variant([facts[pair.blurred].tone for pair in scan.pairs])
        where = f"{report.root}: {split}"
        if pixels is None:
            report.notes.append(f"{where}: too little blur or too few pairs to tell blur from blur_gamma")
        elif not named:
            report.variant = pixels
        elif pixels != variant:
            report.variant = pixels
            remedy = f"choose {pixels}" if report.form == "flat" else f"rename it to {pixels}"
            report.fault(where, f"what is called {variant} holds {pixels} images, by their tone", remedy)


def _seen_variant(tones: list[float]) -> str | None:
    tones = [tone for tone in tones if not math.isnan(tone)]
    median = _median(tones)
    # Over 16 synthetic pairs the median lies in -0.15 to 0.45 for blur and in 0.95 to 2.5 for blur_gamma.
    if len(tones) < 8 or 0.5 < median < 0.7:
        return None
    return "blur_gamma" if median > 0.6 else "blur"


def _judge_both(report: Report, levels: dict[str, dict[str, float]]) -> bool:
    """The mean in linear light is at no pixel darker than the plain mean of the same frames."""
    plain, linear = levels["blur"], levels["blur_gamma"]
    shared = [name for name in plain.keys() & linear.keys() if not math.isnan(plain[name] + linear[name])]
    brighter = [linear[name] - plain[name] for name in shared]
    if brighter and max(map(abs, brighter)) == 0:
        report.fault(report.root, "blur and blur_gamma hold the same images")
    elif brighter and np.mean(brighter) < 0:
        report.variant = "blur and blur_gamma, names exchanged"
        what = "blur and blur_gamma have each other's name, for blur is the brighter"
        report.fault(report.root, what, "rename them")
        return False
    return True
