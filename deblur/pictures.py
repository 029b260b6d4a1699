"""Photographs as files: pixels upright, metadata kept, and nothing silently taken for what it is not.

Pillow reads and writes; OpenCV takes over where Pillow cannot hold the pixels, three or four channels of 16 bits.
"""

import io
import re
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from deblur import paths

KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}
"""Suffix, in lower case -> kind of file."""

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
"""Kind of file -> the suffix that it gets where it has another kind's."""

LONGEST = {"JPEG": 65_500, "WEBP": 16_383}
"""Pixels that a side may have, where the kind of file has a limit."""

MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr", "I;16", "I;16L", "I;16B", "I;16N"}
"""Pillow's kinds of pixels that become grey or RGB of 8 or 16 bits, with or without alpha, without loss."""

ORIENTATION, EXIF_IFD, GPS_IFD, WIDTH, HEIGHT = 0x0112, 0x8769, 0x8825, 0xA002, 0xA003
PREVIEW, DNG_VERSION = 254, 50706  # TIFF tags that raw photographs have
STRUCTURE = {*range(254, 269), 273, *range(277, 282), 284, *range(288, 294), 301, 317, *range(320, 348)}
STRUCTURE |= {*range(512, 533), 700, 33723, 34377, 34675}
"""TIFF tags that say how pixels lie in the file, or hold ICC, XMP and IPTC: not part of what is kept as EXIF."""


class Refused(ValueError):
    """Not a photograph that can be read here; says why, and the remedy."""


@dataclass(frozen=True)
class Picture:
    pixels: np.ndarray  # (H,W), (H,W,2), (H,W,3) or (H,W,4), the even ones with alpha; uint8, or uint16 but for two
    kind: str  # of SUFFIXES
    exif: bytes = b""
    icc: bytes = b""  # colour profile
    xmp: bytes = b""
    text: dict[str, str] = field(default_factory=dict)  # of PNG
    dpi: tuple[float, float] | None = None
    lossless: bool = False  # JPEG is not, WebP may be
    notes: tuple[str, ...] = ()  # what the user should know about the file


# -------------------------------------------------------------------------------------------------------------- reading


def read(path: Path, most: int | None = None) -> Picture:
    """Read a PNG, JPEG, TIFF or WebP; its content decides which, not its name.

    Args:
        most: pixels; a file that declares more is refused before any of it is decoded.

    Raises:
        ValueError: a file that is refused or damaged, with its name and the remedy.
        OSError: a file that the system does not open.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            picture = _read(path, most)
        except Refused as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # damaged files make decoders raise anything, from SyntaxError to struct.error
            if isinstance(error, OSError) and error.errno:
                raise
            raise ValueError(f"{path}: damaged, copy it again from where it came ({error})") from error
    notes = dict.fromkeys(str(warning.message) for warning in caught if "Bomb" not in warning.category.__name__)
    return replace(picture, notes=(*picture.notes, *notes))


def _read(path: Path, most: int | None) -> Picture:
    with _open(path) as image:
        kind, notes = _kind(image), []
        _check(image, most)
        if KINDS.get(path.suffix.lower()) != kind:
            notes.append(f"is a {kind} file, whatever its name says")
        if image.format == "MPO":
            notes.append("holds several pictures (a preview or a depth map); the first is taken")
        if image.mode in ("1", "P", "PA"):
            notes.append(f"has {'two' if image.mode == '1' else 'a palette of'} colours; the result has all")
        deep = ";16" in str(image.tile)
        image.load()  # even before OpenCV, which leaves the missing rows of a truncated file black
        pixels, exif = _upright(image, _deep_pixels(path, image) if deep else _pixels(image), notes)
        text = getattr(image, "text", {})
        return Picture(
            pixels,
            kind,
            exif,
            image.info.get("icc_profile") or b"",
            _kept_xmp(image.info),
            {name: value for name, value in text.items() if not name.startswith(("XML:", "Raw "))},
            image.info.get("dpi"),
            kind in ("PNG", "TIFF") or (kind == "WEBP" and _is_lossless_webp(path)),
            tuple(notes),
        )


def _open(path: Path) -> ImageFile.ImageFile:
    if not path.stat().st_size:
        raise Refused("is empty (0 bytes); copy it again from where it came")
    try:
        return Image.open(path, formats=list(SUFFIXES))
    except UnidentifiedImageError:
        raise Refused(
            "not a PNG, JPEG, TIFF or WebP picture, or damaged at its very start; convert it to one of these"
        ) from None
    except Image.DecompressionBombError:
        raise Refused(f"has more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels; scale it down") from None  # type: ignore[operator]  # the error says that there is a limit


def _kind(image: Image.Image) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _check(image: Image.Image, most: int | None) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        what = "pages" if image.format == "TIFF" else "frames"
        raise Refused(f"has {frames} {what}; save the one that you mean as a file of its own")
    tags = getattr(image, "tag_v2", {})
    if tags.get(PREVIEW, 0) & 1 or DNG_VERSION in tags:
        raise Refused("is a raw photograph, or the preview of one; develop it to TIFF or JPEG first")
    if image.mode not in MODES:
        raise Refused(f"has pixels of kind {image.mode}; convert it to RGB or grey with 8 or 16 bits")
    if most is not None and image.width * image.height > most:
        raise Refused(
            f"has {image.width * image.height / 1e6:.0f} million pixels, and there is memory for {most / 1e6:.0f} "
            "million; scale it down or close other programs"
        )


def _pixels(image: Image.Image) -> np.ndarray:
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return np.asarray(image.convert("LA") if grey else image)
    return np.asarray(image.convert("L" if grey else "RGB"))


def _deep_pixels(path: Path, image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)  # in this machine's byte order
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise Refused("holds 16 bits in a form that OpenCV does not read; save it as a plain 16-bit PNG")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as stored, (H,W,...), turned by what EXIF's orientation (1 to 8) says; other values turn nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _upright(image: Image.Image, pixels: np.ndarray, notes: list[str]) -> tuple[np.ndarray, bytes]:
    """Pixels turned upright, and their EXIF: without the old thumbnail and what belongs to the file's layout."""
    try:
        exif = image.getexif()
        # TIFF comes upright from both libraries.
        pixels = upright(pixels, 1 if image.format == "TIFF" else exif.get(ORIENTATION, 1))
        for tag in STRUCTURE & set(exif):
            del exif[tag]
        if ORIENTATION in exif:
            exif[ORIENTATION] = 1
        if WIDTH in (details := exif.get_ifd(EXIF_IFD)):
            details[HEIGHT], details[WIDTH] = pixels.shape[:2]
        return pixels, exif.tobytes() if exif else b""
    except Exception:  # whatever a camera wrote: the picture is worth more than its date
        notes.append("its EXIF is damaged and was left out")
        return pixels, b""


def _kept_xmp(info: dict) -> bytes:
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    return re.sub(rb'(tiff:Orientation(?:>|=["\']))\d', rb"\g<1>1", xmp)


def _is_lossless_webp(path: Path) -> bool:
    with open(path, "rb") as stream:
        return b"VP8L" in stream.read(1 << 16)


# -------------------------------------------------------------------------------------------------------------- writing


def kind_of(path: Path) -> str:
    """The kind of file that a name asks for.

    Raises:
        ValueError: a suffix of none of them.
    """
    if path.suffix.lower() not in KINDS:
        raise ValueError(f"{path}: no kind of picture that is written here; end the name in one of {', '.join(KINDS)}")
    return KINDS[path.suffix.lower()]


def losses(path: Path, pixels: np.ndarray) -> list[str]:
    """What a file of that name cannot hold of these pixels.

    Raises:
        ValueError: if it cannot hold them at all.
    """
    kind = kind_of(path)
    if max(pixels.shape[:2]) > LONGEST.get(kind, np.inf):
        raise ValueError(f"{path}: {kind} holds {LONGEST[kind]} pixels a side at most; choose .png or .tif")
    lost = []
    if kind in ("JPEG", "WEBP") and pixels.dtype == np.uint16:
        lost.append(f"{kind} holds 8 of the 16 bits; .png and .tif hold all")
    if kind == "JPEG" and pixels.shape[2:] in ((2,), (4,)):
        lost.append("JPEG holds no transparency; .png, .tif and .webp do")
    return lost


def write(path: Path, picture: Picture) -> None:
    """Write a picture whole or not at all, of the kind that the name asks for, without what that kind cannot hold.

    JPEG with quality 95 and colour at full resolution; WebP with quality 95, or lossless if it was read so; PNG and
    TIFF as they are, TIFF uncompressed.
    """
    kind, pixels = kind_of(path), picture.pixels
    if kind in ("JPEG", "WEBP"):
        pixels = eight_bits(pixels)
    if kind == "JPEG" and pixels.shape[2:] in ((2,), (4,)):
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else np.ascontiguousarray(pixels[..., :3])
    kept = {"exif": picture.exif, "icc_profile": picture.icc, "dpi": picture.dpi}
    if kind == "PNG":
        data = _png(pixels, picture.xmp, picture.text, kept)
    elif kind == "TIFF":
        data = _tiff(pixels, picture)
    elif kind == "JPEG":
        data = _saved(pixels, kind, kept | {"xmp": picture.xmp, "quality": 95, "subsampling": "4:4:4"})
    else:
        quality = {"lossless": True, "exact": True} if picture.lossless else {"quality": 95}
        data = _saved(pixels, kind, kept | {"xmp": picture.xmp} | quality)
    with paths.replacing(path) as draft:
        draft.write_bytes(data)


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Of 16 bits the nearest of 8; pixels of 8 bits as they are."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / np.float32(257)).astype(np.uint8)


def _saved(pixels: np.ndarray, kind: str, options: dict) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **{name: value for name, value in options.items() if value})
    return stream.getvalue()


def _png(pixels: np.ndarray, xmp: bytes, text: dict[str, str], kept: dict) -> bytes:
    info = PngImagePlugin.PngInfo()
    for name, value in text.items():
        info.add_itxt(name, value)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    if pixels.dtype == np.uint8 or pixels.ndim == 2:
        return _saved(pixels, "PNG", kept | {"pnginfo": info})
    # OpenCV packs the pixels; Pillow writes the chunks that belong between header and pixels.
    swap = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    packed = cv2.imencode(".png", cv2.cvtColor(pixels, swap))[1].tobytes()
    donor, start, chunks = _saved(np.zeros((1, 1, 3), np.uint8), "PNG", kept | {"pnginfo": info}), 8, []
    while start < len(donor):
        end = start + 12 + int.from_bytes(donor[start : start + 4], "big")
        chunks.append(donor[start:end])
        start = end
    extra = b"".join(chunk for chunk in chunks if chunk[4:8] not in (b"IHDR", b"IDAT", b"IEND"))
    header = 8 + 25
    return packed[:header] + extra + packed[header:]


def _tiff(pixels: np.ndarray, picture: Picture) -> bytes:
    """One uncompressed strip, since libtiff would drop EXIF's own directory and Pillow alone writes no 16-bit RGB."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    exif = Image.Exif()
    exif.load(picture.exif)
    for tag in exif:
        tags[tag] = exif.get_ifd(tag) if tag in (EXIF_IFD, GPS_IFD) else exif[tag]
    height, width, channels = (*pixels.shape, 1)[:3]
    bits = (8 * pixels.itemsize,) * channels
    tags.update({256: width, 257: height, 258: bits, 259: 1, 262: 2 if channels > 2 else 1})
    tags.update({273: 0, 277: channels, 278: height, 279: pixels.nbytes, 284: 1})
    if channels in (2, 4):
        tags[338] = 2  # the last one is alpha, not multiplied in
    if picture.icc:
        tags[34675] = picture.icc
    if picture.xmp:
        tags[700] = picture.xmp
    if picture.dpi:
        tags.update({282: picture.dpi[0], 283: picture.dpi[1], 296: 2})
    stream = io.BytesIO()
    tags.save(stream)
    stream.write(pixels.tobytes())
    return stream.getvalue()
