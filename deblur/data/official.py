"""Readers for the official benchmark trees, as they are unpacked.

Every reader returns a list of `Pair`, matched by stem and sorted by name, from the official tree or, where
that is not there, from the flat `input/` + `target/` form; `Pair.form` says which. `BENCHMARKS` holds the
facts of each set and `find_pairs` is the one entry. What this package writes itself stands in the same trees
and is judged by the counts of its own `manifest.json`. `deblur.data.check` opens every file of a copy and reports.
"""

import json
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from deblur import paths
from deblur.errors import UsageError, alternatives, unknown

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
INPUT, SHARP = "input", ("target", "GT", "sharp")
"""What the folders of the flat form are called; the blurred ones also as the subset."""
KOEHLER_GAPS = {(1, 3): {30}}  # the official set has no frame 30 of image 1, trajectory 3


class DataError(ValueError):
    """A file or folder that cannot be used; the message names it and the remedy."""


class Misuse(DataError, UsageError):
    """Arguments that are wrong before anything is read."""


class Absent(DataError):
    """The tree, or the split asked for, is not there at all."""


def fault(where: object, what: str, remedy: str = AGAIN) -> str:
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

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that scores depend on."""
        return tuple(dict.fromkeys(file for file in (self.blurred, self.sharp, self.truth, *self.frames) if file))


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
        raise DataError(fault(path, "more than 8 bits a channel", "protocols are defined on 8 bits, convert it"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:  # type: ignore[operator]  # one channel has one range
            raise DataError(fault(path, "has transparent pixels", "flatten it onto a background first"))
    if image.mode not in {"RGB", "RGBA", "L", "1", "P", "CMYK", "YCbCr"}:
        raise DataError(fault(path, f"colour mode {image.mode} is not supported", "convert it to 8-bit RGB PNG"))
    return np.array(image.convert("RGB"))


def _decode(path: Path) -> tuple[Image.Image, bool]:
    """Returns the fully loaded Pillow image and whether it stores more than 8 bits a channel."""
    try:
        data = paths.read_bytes(path)
    except OSError as error:
        raise DataError(fault(path, f"cannot be read ({error.strerror})")) from error
    if not data:
        raise DataError(fault(path, "zero bytes"))
    try:
        # Decoding alone accepts a PNG whose check sums are wrong; verify() does not.
        Image.open(BytesIO(data), formats=FORMATS).verify()
        image = Image.open(BytesIO(data), formats=FORMATS)
        image.load()
    except UnidentifiedImageError as error:
        raise DataError(fault(path, f"not an image ({', '.join(FORMATS)})")) from error
    except MemoryError:
        raise
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more: all mean a bad file.
    except Exception as error:
        raise DataError(fault(path, f"damaged or truncated ({error})")) from error
    if data.rfind(ENDS.get(image.format, b"")) < len(data) // 2:  # type: ignore[arg-type]  # an opened image has a format
        raise DataError(fault(path, f"truncated, the {image.format} has no end marker"))
    return image, _is_deep(image, data)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    # Pillow opens a 16-bit colour PNG as "RGB" and drops the low bytes without a word, so ask the header.
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        return max(np.atleast_1d(image.tag_v2.get(258, 8))) > 8  # type: ignore[attr-defined]  # a TIFF's tags
    return image.mode[0] in "IF"


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Reads (blurred, sharp), both uint8 (H,W,3) RGB of one size.

    Raises:
        DataError: unreadable files, differing sizes, or a pair without truth.
    """
    if pair.sharp is None:
        remedy = "read it with read_image and use no-reference scores"
        raise DataError(fault(pair.blurred, "has no sharp image", remedy))
    blurred, sharp = read_image(pair.blurred), read_image(pair.sharp)
    if blurred.shape != sharp.shape:
        raise DataError(size_message(pair.blurred, blurred, pair.sharp, sharp))
    return blurred, sharp


def size_message(first: Path, a: np.ndarray, second: Path | None, b: np.ndarray) -> str:
    (ha, wa), (hb, wb) = a.shape[:2], b.shape[:2]
    what = f"is {ha}x{wa} (height x width) but {second} is {hb}x{wb}"
    return fault(first, what, f"one of them is from another copy, {AGAIN}")


def read_truth(pair: Pair) -> dict[str, np.ndarray]:
    """Reads the true motion that the bundled benchmark stores beside a pair.

    Returns:
        displacement (H,W,2) float32 px, path_px (H,W) float32, label (H,W) uint8 (0 global, 1 local,
        2 sampling), and whatever else the file holds.

    Raises:
        DataError: no truth, a damaged file, or arrays of another shape or type.
    """
    remedy = "only the bundled benchmark has it: write it again with deblur data bundled"
    if pair.truth is None:
        raise DataError(fault(pair.blurred, "no true motion beside it", remedy))
    try:
        with np.load(pair.truth, allow_pickle=False) as stored:
            truth = {key: stored[key] for key in stored.files}
        shape = truth["label"].shape
        forms = [(truth[key].shape, truth[key].dtype.name) for key in ("displacement", "path_px", "label")]
    except MemoryError:
        raise
    except Exception as error:  # zip, zlib, header and key errors all mean a bad file
        raise DataError(fault(pair.truth, f"damaged ({error})", remedy)) from error
    if len(shape) != 2 or forms != [((*shape, 2), "float32"), (shape, "float32"), (shape, "uint8")]:
        raise DataError(fault(pair.truth, "displacement, path_px and label do not fit together", remedy))
    return truth


def read_kind(pair: Pair) -> str:
    """The kind of blur that the truth beside a pair names, empty where there is none.

    Raises:
        DataError: a damaged file.
    """
    if pair.truth is None:
        return ""
    try:
        with np.load(pair.truth, allow_pickle=False) as stored:
            return str(stored["kind"]) if "kind" in stored.files else ""
    except MemoryError:
        raise
    except Exception as error:  # as in `read_truth`
        remedy = "write it again with deblur data bundled"
        raise DataError(fault(pair.truth, f"damaged ({error})", remedy)) from error


# ------------------------------------------------------------------------------------------------ trees


@dataclass
class Scan:
    """What one reader found: the pairs, and everything that keeps them from being trusted."""

    form: str
    base: Path
    pairs: list[Pair] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    blurred: int = 0
    sharp: int = 0

    def fault(self, where: object, what: str, remedy: str = AGAIN) -> None:
        """Adds a problem."""
        self.problems.append(fault(where, what, remedy))

    def look(self, folder: Path) -> None:
        """Adds what lies in a folder in place of an image or of a folder of them, but is neither."""
        for path, kind in _entries(folder).items():
            suffix = path.suffix.lower()
            if kind == "a folder" and suffix in SUFFIXES:
                self.fault(path, "is a folder, not an image", "rename it, or put back what belongs there")
            elif kind not in ("a file", "a folder") and suffix in {"", ".npz", *SUFFIXES}:
                self.fault(path, f"is {kind}", "remove it, or put back what belongs there")

    def walk(self, folder: Path, depth: int) -> Iterable[Path]:
        """A folder and its subfolders, looked at; only to `depth`: a wrong root must not become a walk over a disk."""
        self.look(folder)
        yield folder
        if depth:
            for inner in _folders(folder):
                yield from self.walk(inner, depth - 1)

    def match(self, sequence: str, blurred: Path, sharp: Path, truth: Path, shared: bool = False) -> None:
        """Pairs two folders by stem; leftovers in a sharp folder `shared` with other splits are theirs."""
        if truth.is_dir():
            self.look(truth)
        left, right = self.images(blurred), self.images(sharp)
        self.blurred += len(left)
        self.sharp += len(left.keys() & right.keys()) if shared else len(right)
        self.unmatched(blurred, f"without a sharp partner in {sharp}", left, right)
        if not shared:
            self.unmatched(sharp, f"without a blurred partner in {blurred}", right, left)
        for stem in left.keys() & right.keys():
            self.add(sequence, left[stem], right[stem], truth)

    def add(self, sequence: str, blurred: Path, sharp: Path | None, truth: Path, frames: tuple[Path, ...] = ()) -> None:
        """Adds one pair; its truth is taken where the file exists."""
        npz = truth / f"{blurred.stem}.npz"
        name = f"{sequence}/{blurred.stem}"
        npz = npz if npz.is_file() else None
        self.pairs.append(Pair(name, sequence, blurred, sharp, npz, frames, self.form))

    def images(self, folder: Path) -> dict[str, Path]:
        """Images of a folder by stem; a missing or empty folder or a doubled stem is a problem."""
        kind = _kind(folder)
        if kind != "a folder":
            self.fault(folder, f"is {kind}, not a folder of images" if kind else "folder is missing")
            return {}
        self.look(folder)
        files = _images(folder)
        stems = {path.stem: path for path in files}
        if len(stems) < len(files):
            doubled = [stem for stem, count in Counter(path.stem for path in files).items() if count > 1]
            self.fault(folder, f"two files for one name ({few(doubled)})", "keep one of each")
        if not files:
            self.fault(folder, "holds no images")
        return stems

    def unmatched(self, folder: Path, what: str, ours: dict[str, Path], theirs: dict[str, Path]) -> None:
        """Records files of `ours` whose stem is not in `theirs`."""
        lonely = sorted(ours[stem].name for stem in ours.keys() - theirs.keys())
        if lonely and theirs:  # an empty partner folder is itself already reported
            self.fault(folder, f"{len(lonely)} files {what}: {few(lonely)}")


def few(names: Iterable[str], count: int = 5) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


def gaps(numbers: Iterable[int]) -> list[range]:
    """What is missing between the first and the last number."""
    return [range(low + 1, high) for low, high in pairwise(sorted(set(numbers))) if high - low > 1]


def _entries(folder: Path) -> dict[Path, str]:
    """What a folder holds, by name: path -> its `_kind`."""
    try:
        with os.scandir(folder) as entries:
            # archives made on macOS carry "._NAME.png" companions and a "__MACOSX" folder that hold no images
            shown = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise DataError(fault(folder, f"cannot be listed ({error.strerror})", "check permissions")) from error
    shown.sort(key=lambda entry: entry.name)
    plain = {entry.name: "a file" for entry in shown if entry.is_file(follow_symlinks=False)}  # without asking the disk
    return {folder / entry.name: plain.get(entry.name) or _kind(folder / entry.name) for entry in shown}


def _kind(path: Path) -> str:
    """`paths.kind`, but of a link to a folder that holds it, which has no end, in words."""
    kind = paths.kind(path)
    endless = kind == "a folder" and path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())
    return "a link to a folder that holds it" if endless else kind


def _images(folder: Path) -> list[Path]:
    return [p for p, kind in _entries(folder).items() if kind == "a file" and p.suffix.lower() in SUFFIXES]


def _folders(folder: Path) -> list[Path]:
    return [p for p, kind in _entries(folder).items() if kind == "a folder"] if folder.is_dir() else []


def inside(folder: Path, name: str) -> Path:
    """The file of a listed name such as "scene/gt/gt_1.png"; lists are made elsewhere, so a name stays below `folder`.

    Raises:
        DataError: a name that is absolute, has a drive, or empty parts, "." or "..".
    """
    parts = name.replace("\\", "/").split("/")
    if {"", ".", ".."} & {*parts} or PureWindowsPath(name).drive or "\0" in name:
        raise DataError(fault(folder, f"{name!r} is listed, which is no name of a file in this folder"))
    return folder.joinpath(*parts)


def below(root: Path, *names: str) -> Path:
    """The first of root/NAME that is a folder, else root itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def _gopro_tree(root: Path, split: str, subset: str) -> Scan | None:
    base = below(root, "GOPRO_Large")
    parts = ("blur", "blur_gamma", "sharp")
    sequences = [s for s in _folders(base / split) if any((s / part).is_dir() for part in parts)]
    sequences = [s for s in sequences if not _is_called(s, "gopro")]  # which has pairs, see `_flat_places`
    if not sequences:
        return None
    scan = Scan("official", base)
    scan.look(base / split)
    for sequence in sequences:
        scan.match(sequence.name, sequence / subset, sequence / "sharp", sequence / "truth")
    return scan


def _hide_tree(root: Path, split: str) -> Scan | None:
    base = below(root, "HIDE_dataset/HIDE_dataset", "HIDE_dataset")  # the zip wraps the folder in itself
    if not (base / split).is_dir() or any((base / split / name).is_dir() for name in ("input", "blur")):
        return None
    own = base / split / "GT"
    folders = [f for f in (base / split, *_folders(base / split)) if f != own and _images(f)]
    if not folders:
        return None
    scan = Scan("official", base)
    scan.look(base / split)
    for folder in folders:
        sharp = own if own.is_dir() else base / "GT"
        scan.match(folder.name, folder, sharp, folder.parent / "truth", shared=True)
    return scan


def _realblur_tree(root: Path, split: str, subset: str) -> Scan | None:
    tree = REALBLUR[subset]
    base = root if root.name == tree else below(root, tree, f"RealBlur/{tree}")
    if base.name != tree:
        return None
    scan = Scan("official", base)
    names = [f"RealBlur{dash}{subset}_{split}_list.txt" for dash in "_-"]
    places = [base.parent, base, *(base.parent / sub for sub in ("list", "lists", "datalist"))]
    listing = next((place / name for place in places for name in names if (place / name).is_file()), None)
    if listing is None:
        scan.fault(base.parent / names[0], "list file is missing", f"it is part of the RealBlur archive, {AGAIN}")
        return scan
    try:
        lines = paths.read_bytes(listing).decode("utf-8-sig", "replace").splitlines()
    except OSError as error:
        scan.fault(listing, f"cannot be read ({error.strerror})", "check permissions")
        return scan
    missing = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            missing += _listed_pair(scan, f"{listing}, line {number}", line)
    if missing:
        scan.fault(base, f"{len(missing)} files of {listing.name} are missing: {few(missing)}")
    return scan


def _listed_pair(scan: Scan, where: str, line: str) -> list[str]:
    """Adds the pair of one list line, "GT_PATH BLUR_PATH", and returns the files that are missing.

    Only the last three parts of a path are taken: what comes before differs from copy to copy.
    """
    fields = [item.replace("\\", "/").split("/") for item in line.split()]
    if len(fields) != 2 or any(len(parts) < 3 for parts in fields):
        scan.fault(where, "not 'GT_PATH BLUR_PATH'", "take the list from the RealBlur archive")
        return []
    try:
        sharp, blurred = (_listed_file(scan.base, parts) for parts in fields)
    except DataError as error:
        scan.fault(where, str(error), "take the list from the RealBlur archive")
        return []
    foreign = ({*REALBLUR.values()} - {scan.base.name}) & {*fields[0], *fields[1]}
    numbers = {path.stem.rpartition("_")[2] for path in (sharp, blurred)}
    kinds = (sharp.parent.name, blurred.parent.name)
    if foreign or kinds != ("gt", "blur") or len(numbers) > 1 or sharp.parents[1] != blurred.parents[1]:
        scan.fault(where, f"does not name gt_K and blur_K of one scene of {scan.base.name}")
        return []
    kind_of = {path: _kind(path) for path in (sharp, blurred)}
    scan.blurred += kind_of[blurred] == "a file"
    scan.sharp += kind_of[sharp] == "a file"
    if all(kind == "a file" for kind in kind_of.values()):
        scene = blurred.parents[1]
        scan.add(scene.name, blurred, sharp, scene / "truth")
    for path, kind in kind_of.items():
        if kind not in ("a file", ""):
            scan.fault(path, f"is {kind}, not an image")
    return [path.relative_to(scan.base).as_posix() for path, kind in kind_of.items() if not kind]


def _listed_file(base: Path, parts: list[str]) -> Path:
    """Resolves SCENE/{gt,blur}/FILE.

    The folder of scene 244 is `scene244_reflect`, while names made from it are often cut at the underscore,
    so a list may say either; whichever folder exists is taken.

    Raises:
        DataError: parts that lead out of `base`.
    """
    listed = inside(base, "/".join(parts[-3:])).relative_to(base)
    scene = listed.parts[0]
    plain = scene.removesuffix("_reflect")
    folders = (s for s in (scene, plain, f"{plain}_reflect") if paths.kind(base / s) == "a folder")
    return base / next(folders, scene) / Path(*listed.parts[1:])


def _koehler_tree(root: Path, split: str) -> Scan | None:
    shots: dict[tuple[int, ...], Path] = {}
    frames: dict[tuple[int, ...], dict[int, Path]] = defaultdict(dict)
    scan = Scan("official", root)
    for path in (path for folder in scan.walk(root, 4) for path in _images(folder)):
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


def _once(scan: Scan, found: dict, key: object, path: Path) -> None:
    if key in found:
        scan.fault(path, f"also there as {found[key]}", "keep one copy of the set under the root")
    found[key] = path


def _dvd_tree(root: Path, split: str) -> Scan | None:
    base = below(root, "DeepVideoDeblurring_Dataset/quantitative_datasets", "quantitative_datasets")
    videos = {f.name: f for f in _folders(base) if (f / "input").is_dir() or (f / "GT").is_dir()}
    if not videos.keys() - set(SPLITS):  # SPLIT/{input,GT} is the flat form, not a video called "train"
        return None
    names = DVD_TEST if split == "test" else sorted(videos.keys() - set(DVD_TEST))
    scan = Scan("official", base)
    scan.look(base)
    for name in names:
        scan.match(name, base / name / "input", base / name / "GT", base / name / "truth")
    return scan if names and videos.keys() & set(names) else None


def _rwbi_tree(root: Path, split: str) -> Scan | None:
    base = below(root, "RWBI")
    flat = next((f for f in (base / split / "input", base / "input") if f.is_dir()), None)
    scan = Scan("flat" if flat else "official", flat or base)
    if flat and any((flat.parent / name).is_dir() for name in ("target", "GT")):
        scan.fault(flat.parent, "RWBI has no sharp images but this has", "use the benchmark 'flat' for it")
    for folder in scan.walk(scan.base, 2):
        sequence = split if folder == scan.base else folder.relative_to(scan.base).as_posix()
        for path in _images(folder):
            scan.add(sequence, path, None, folder / "truth")
    scan.blurred = len(scan.pairs)
    return scan if scan.pairs else None


def _flat_tree(root: Path, split: str, name: str = "flat", subset: str = "blur") -> Scan | None:
    """Two folders of pairs, see `FLAT_TREE`, perhaps with video folders."""
    places = [place for place in _flat_places(root, split, name) if holds_pairs(place, subset)]
    if len(places) > 1:
        what = f"pairs of {split} lie in {few(map(str, places))}"
        raise DataError(fault(root, what, "give the folder that you mean"))
    if not places:
        return None
    base = places[0]
    named = root.name if root.name in SPLITS else root.parent.name
    if base == root and named in SPLITS and named != split:
        what = f"asked for {split}, but the folder {'is called' if root.name == named else 'lies in'} {named}"
        raise Absent(fault(root, what, "give its parent"))
    scan = Scan("flat", base)
    blurred, sharp = (_one_of(scan, names) for names in ((INPUT, subset), SHARP))
    videos = sorted({f.name for side in (blurred, sharp) for f in _folders(side) if _images(f)})
    if not videos or _images(blurred):
        scan.match(split, blurred, sharp, base / "truth")
    for video in videos:
        scan.match(video, blurred / video, sharp / video, base / "truth" / video)
    return scan


def _flat_places(root: Path, split: str, name: str) -> list[Path]:
    """Where the two folders may lie: SPLIT/, the root itself, or SPLIT/SET/ as several repositories lay out sets."""
    sets = [f for f in _folders(root / split) if (name == "flat" and f.name not in SHARP) or _is_called(f, name)]
    return [root / split, root, *sets]


def _is_called(folder: Path, name: str) -> bool:
    """Whether a folder is called as a benchmark, whatever the case and the signs between: RealBlur-J, realblur_j."""
    return re.sub("[^a-z]", "", folder.name.lower()) == re.sub("[^a-z]", "", name)


def holds_pairs(folder: Path, subset: str = "blur") -> bool:
    """Whether the two folders of the flat form, or one of them, lie in a folder."""
    return any((folder / name).is_dir() for name in (INPUT, subset, SHARP[0]))


def _one_of(scan: Scan, names: Sequence[str]) -> Path:
    """The one that is there of several names for a folder, else the first."""
    present = [name for name in names if (scan.base / name).is_dir()]
    if len(present) > 1:
        scan.fault(scan.base, f"holds {' and '.join(present)}, which mean the same", "keep one")
    return scan.base / (present or names)[0]


# ------------------------------------------------------------------------------------------------ readers


def gopro(root: str | Path, split: str, subset: str) -> list[Pair]:
    """GoPro (Nah et al. 2017). `root` is GOPRO_Large or the folder that holds it.

    `subset` is 'blur' (plain mean of stored frames) or 'blur_gamma' (mean in linear light); the wrong one
    costs about 3 dB. A `validation` split exists only in the bundled benchmark.

    Raises:
        DataError: the tree is not there, files are missing or unmatched.
    """
    return find_pairs("gopro", root, split, subset=subset)


def hide(root: str | Path, split: str) -> list[Pair]:
    """HIDE (Shen et al. 2019): `train/`, `test/{test-close-ups,test-long-shot}/` and one `GT/` for both.

    Raises:
        DataError: the tree is not there, or blurred files have no sharp partner.
    """
    return find_pairs("hide", root, split)


def realblur(root: str | Path, split: str, subset: str) -> list[Pair]:
    """RealBlur (Rim et al. 2020), `subset` 'J' or 'R', by the list files that come with it.

    Raises:
        DataError: an unknown subset, no tree, no list file, or listed files that are missing.
    """
    if subset not in REALBLUR:
        raise DataError(fault(root, f"RealBlur has no subset {subset!r}", "choose 'J' or 'R'"))
    return find_pairs(f"realblur_{subset.lower()}", root, split)


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
    """Anybody's pairs as `SPLIT/{input,target}`, `SPLIT/SET/{input,target}` or directly `{input,target}`.

    The folders may be called `blur` for `input`, and `GT` or `sharp` for `target`.

    Raises:
        DataError: the folders are not there, or files are unmatched.
    """
    return find_pairs("flat", root, split)


FLAT_TREE = """\
ROOT/
    {train,test}/           or input/ and target/ directly in ROOT, or in a folder of the set's name: test/GoPro/
        input/NAME.png      blurred; blur/ is accepted too; video folders below are kept as sequences
        target/NAME.png     sharp; GT/ and sharp/ are accepted too"""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is known of an official set.

    Attributes:
        scan: reads a tree of its own form, (root, split, subset where it has any) -> pairs, None where there is none.
        tree: the form, drawn for a message.
        splits: all that it has; `optional` are those that a copy may lack.
        counts, sequences: pairs and folders of a whole copy, by split.
        subsets: folders of blurred images to choose from; the choice changes the protocol, so there is no default.
        size: height and width of every image.
        video: whether numbers of frames count on; "nested" where only folders of folders are videos.
        incomplete: split -> counts of copies that are known to be handed around unfinished.
        frames: fewest and most sharp frames of a shot.
        nominal: frames that a video has as a rule.
    """

    title: str
    scan: Callable[..., "Scan | None"]
    tree: str
    splits: tuple[str, ...]
    optional: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    sequences: Mapping[str, int] = field(default_factory=dict)
    subsets: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    video: bool | str = False
    incomplete: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    frames: tuple[int, int] | None = None
    nominal: int | None = None


BENCHMARKS: dict[str, Benchmark] = {
    "gopro": Benchmark(
        title="GoPro (GOPRO_Large)",
        scan=_gopro_tree,
        splits=SPLITS,
        optional=("validation",),
        counts={"train": 2103, "test": 1111},
        sequences={"train": 22, "test": 11},
        subsets=("blur", "blur_gamma"),
        size=(720, 1280),
        video=True,
        tree="""\
ROOT/GOPRO_Large/           or ROOT is GOPRO_Large itself
    {train,test}/
        GOPR0372_07_00/
            blur/000047.png          plain mean of stored frames
            blur_gamma/000047.png    mean in linear light
            sharp/000047.png""",
    ),
    "hide": Benchmark(
        title="HIDE",
        scan=_hide_tree,
        splits=("train", "test"),
        optional=("train",),  # used zero-shot: most people have the test part only
        counts={"train": 6397, "test": 2025},
        incomplete={"test": (1079, 942)},
        size=(720, 1280),
        tree="""\
ROOT/HIDE_dataset/          or ROOT is HIDE_dataset itself
    train/NAME.png
    test/test-close-ups/NAME.png
    test/test-long-shot/NAME.png
    GT/NAME.png             sharp images of both splits""",
    ),
    "koehler": Benchmark(
        title="Koehler",
        scan=_koehler_tree,
        splits=("test",),
        counts={"test": 48},
        sequences={"test": 4},
        frames=(198, 200),
        size=(800, 800),
        tree="""\
ROOT/                       any folders below ROOT; files are known by name
    BlurryImages/Blurry1_1.png                       image 1-4, trajectory 1-12
    Image1/Kernel1/GroundTruth1_1_1.png              image, trajectory, frame (198 to 200 each)""",
    ),
    "dvd": Benchmark(
        title="VideoDeblurring (DVD)",
        scan=_dvd_tree,
        splits=("train", "test"),
        sequences={"train": 61, "test": 10},
        nominal=100,  # frames a video; a few are said to differ, so no more than a note
        video=True,
        tree=f"""\
ROOT/quantitative_datasets/ or ROOT is quantitative_datasets itself
    VIDEO/
        input/00000.jpg
        GT/00000.jpg
    test videos: {", ".join(DVD_TEST)}""",
    ),
    "rwbi": Benchmark(
        title="RWBI",
        scan=_rwbi_tree,
        splits=("test",),
        counts={"test": 3112},
        tree="""\
ROOT/RWBI/                  or ROOT is RWBI itself
    FOLDER/NAME.jpg         blurred photographs, no sharp ones""",
    ),
    "flat": Benchmark(
        title="flat input/ + target/",
        scan=_flat_tree,
        splits=SPLITS,
        optional=SPLITS,
        video="nested",
        tree=FLAT_TREE,
    ),
}
for _subset, _tree in REALBLUR.items():
    BENCHMARKS[f"realblur_{_subset.lower()}"] = Benchmark(
        title=f"RealBlur-{_subset}",
        scan=partial(_realblur_tree, subset=_subset),
        splits=("train", "test"),
        counts={"train": 3758, "test": 980},
        sequences={"train": 182, "test": 50},
        tree=f"""\
ROOT/
    RealBlur_{_subset}_train_list.txt      lines: GT_PATH BLUR_PATH
    RealBlur_{_subset}_test_list.txt
    {_tree}/
        scene001/gt/gt_1.png
        scene001/blur/blur_1.png""",
    )


def find_pairs(name: str, root: str | Path, split: str, **choices: str) -> list[Pair]:
    """Pairs of one split of a benchmark, sorted by name.

    A copy that is whole but of another size than the set it claims to be is read with a logged warning.

    Args:
        name: a key of `BENCHMARKS`.
        root: the folder where the archive was unpacked.
        split: 'train', 'validation' or 'test', as far as the benchmark has it.
        **choices: what changes the protocol and therefore has no default: `subset` for gopro.

    Raises:
        DataError: unknown names or choices, a missing tree (the message prints the one expected), or a copy
            with missing or unmatched files.
    """
    check_request(name, root, (split,), choices)
    scan = scan_split(name, Path(root), split, choices)
    if scan.problems:
        raise DataError("\n".join(scan.problems))
    expected = expected_counts(name, read_manifest(name, Path(root), scan.base)[0]).get(split)
    log.info("%s %s: %d pairs, %s form, from %s", name, split, len(scan.pairs), scan.form, scan.base)
    if expected not in (None, len(scan.pairs)):
        counted = f"{len(scan.pairs):,} of {expected:,}"
        _warn_once(f"{scan.base}: {counted} {split} pairs; look at it with deblur data check")
    return scan.pairs


@cache
def _warn_once(message: str) -> None:
    log.warning(message)


def check_request(name: str, root: str | Path, splits: Iterable[str], choices: dict[str, str] | None) -> None:
    """Refuses unknown names; with `choices` None those are not looked at."""
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, sorted(BENCHMARKS), Misuse)
    for split in splits:
        if split not in BENCHMARKS[name].splits:
            remedy = alternatives(split, BENCHMARKS[name].splits)
            raise Misuse(fault(root, f"{name} has no split {split!r}", remedy))
    if choices is None:
        return
    subsets = BENCHMARKS[name].subsets
    valid = {"subset": subsets} if subsets else {}
    for key in sorted(choices.keys() - valid.keys()):
        raise Misuse(fault(root, f"{name} knows no choice {key!r}", f"valid: {', '.join(valid) or 'none'}"))
    for key, values in valid.items():
        if choices.get(key) not in values:
            remedy = f"choose one of {', '.join(values)}: it changes the protocol, so there is no default"
            raise Misuse(fault(root, f"{name} needs {key}=", remedy))


def scan_split(name: str, root: Path, split: str, choices: dict[str, str]) -> Scan:
    """Reads one split without judging it; the arguments must have passed `check_request`.

    Raises:
        Absent: the tree or the split is not there; the message prints the tree expected.
        DataError: a folder cannot be listed.
    """
    entry = BENCHMARKS[name]
    if not root.is_dir():
        raise Absent(f"{root}: no such folder; expected\n{entry.tree}")
    scan = entry.scan(root, split, **choices) or _flat_tree(root, split, name, choices.get("subset", "blur"))
    if scan is None:
        raise Absent(_absent_message(name, root, split))
    scan.pairs.sort(key=lambda pair: pair.name)
    doubled = [key for key, count in Counter(pair.name for pair in scan.pairs).items() if count > 1]
    if doubled:
        scan.fault(scan.base, f"listed twice: {few(doubled)}")
    return scan


def _absent_message(name: str, root: Path, split: str) -> str:
    entry = BENCHMARKS[name]
    lines = [f"{root}: no {split} split of {entry.title} here; expected", entry.tree]
    lines += [] if name == "flat" else ["or the flat form", FLAT_TREE]
    if split == "validation":
        lines.append("Official copies have no validation split, only the bundled benchmark has one:")
        lines.append("hold out some training sequences instead.")
    if root.name in SPLITS:
        lines.append(f"The folder given is called {root.name}: perhaps its parent was meant.")
    return "\n".join(lines)


def manifest_path(root: Path, base: Path) -> Path | None:
    """The `manifest.json` of a tree that this package wrote; None for an official copy."""
    places = [folder / "manifest.json" for folder in (root, base, base.parent)]
    return next((place for place in places if os.path.lexists(place)), None)


def open_manifest(path: Path, remedy: str = "write the tree again", **entries: type) -> dict[str, Any]:
    """The content of a `manifest.json`, whatever is there: an object that has these entries, of these types.

    Raises:
        DataError: a file that cannot be read or is no such object; names it and the remedy.
    """
    try:
        content = json.loads(paths.read_bytes(path))
    except OSError as error:
        raise DataError(fault(path, f"cannot be read ({error.strerror})", remedy)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(fault(path, f"not a manifest, since no JSON ({str(error)[:80]})", remedy)) from error
    manifest = content if isinstance(content, dict) else {}
    wrong = [entry for entry, kind in entries.items() if not isinstance(manifest.get(entry), kind)]
    if wrong or manifest is not content:
        what = f"not a manifest of this package (without {', '.join(wrong) or 'entries'})"
        raise DataError(fault(path, what, remedy))
    return manifest


def read_manifest(name: str, root: Path, base: Path) -> tuple[dict[str, int] | None, str]:
    """Counts and a remark from the manifest of a tree that this package wrote; (None, "") for an official copy."""
    path = manifest_path(root, base)
    if path is None:
        return None, ""
    content = open_manifest(path, benchmark=str, counts=dict)
    counts: dict[str, int] = content["counts"]
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise DataError(fault(path, "not a manifest of this package (counts are no numbers)", "write the tree again"))
    if content["benchmark"] != name:
        named = f"is the manifest of {content['benchmark'][:40]!r}"
        return None, f"{path}: {named}, so {name} is judged as an official copy"
    return counts, f"{path}: written by this package, judged by its own counts; its scores are not the official set's"


def copy_label(name: str, root: str | Path, split: str, **choices: str) -> str:
    """What kind of copy scores come from; arguments as for `find_pairs`, which must have succeeded.

    Returns:
        'official' by its number of pairs, 'made by deblur', 'not counted' where no number is known, or
        'incomplete: N of M pairs'.
    """
    scan = scan_split(name, Path(root), split, choices)
    manifest = read_manifest(name, Path(root), scan.base)[0]
    expected = expected_counts(name, manifest).get(split)
    if expected not in (None, len(scan.pairs)):
        return f"incomplete: {len(scan.pairs):,} of {expected:,} pairs"
    return "made by deblur" if manifest is not None else "official" if expected else "not counted"


def expected_counts(name: str, manifest: Mapping[str, int] | None) -> Mapping[str, int]:
    """Pairs per split: the manifest's counts or, without one, the official ones where they are known."""
    return BENCHMARKS[name].counts if manifest is None else manifest


# ------------------------------------------------------------------------------------------------ recognised by itself


@dataclass(frozen=True)
class Recognised:
    """What a folder turned out to be, and its pairs."""

    title: str  # with the subset, where there are several
    split: str
    pairs: list[Pair]
    problems: list[str]


def recognise(folder: Path, names: Collection[str] = BENCHMARKS.keys()) -> Recognised | None:
    """The benchmark that a folder is, or a split or sequence of one; None where blurred images do not lie beside sharp.

    Of several splits it is test before validation before train; of GoPro's subsets `blur` before `blur_gamma`.

    Args:
        names: of the benchmarks that are looked for.
    """
    place = Path(os.path.abspath(folder))
    for name, root, splits in _places(place):
        entry = BENCHMARKS[name]
        for split in splits if name in names else ():
            for subset in entry.subsets or ("",):
                try:
                    scan = entry.scan(root, split, **({"subset": subset} if subset else {}))
                except (DataError, OSError):
                    continue
                pairs = [pair for pair in scan.pairs if _both_below(place, pair)] if scan else []
                if scan and pairs:
                    title = f"{entry.title} {subset}".strip()
                    return Recognised(title, split, sorted(pairs, key=lambda pair: pair.name), scan.problems)
    return None


def _places(place: Path) -> list[tuple[str, Path, tuple[str, ...]]]:
    """Which benchmark may have its root where, if `place` is a part of it, and which splits are meant then."""
    places: list[tuple[str, Path, tuple[str, ...]]] = []
    if place.name in SPLITS:
        places.append(("gopro", place.parent, (place.name,)))
    if place.parent.name in SPLITS:
        places.append(("gopro", place.parents[1], (place.parent.name,)))
    places += [(name, place, SPLITS[::-1]) for name in BENCHMARKS]
    places += [(f"realblur_{key.lower()}", place.parent, SPLITS[::-1]) for key, tree in REALBLUR.items()]
    return places


def _both_below(place: Path, pair: Pair) -> bool:
    return pair.sharp is not None and place in pair.blurred.parents and place in pair.sharp.parents
