"""Writing pictures: what each kind of file can hold, and what is lost."""

import io
import struct
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from deblur import writing

if TYPE_CHECKING:  # a third of a second that only TIFF is worth
    pass
from deblur.photos.pictures.picture import (
    LONGEST,
    SEGMENT,
    SUFFIXES,
    Picture,
    eight_bits,
    has_alpha,
    kind_of,
    profile_space,
)
from deblur.photos.pictures.png import COLOUR_CHUNKS, encode_png
from deblur.photos.pictures.tiff import LARGEST_TIFF, encode_tiff


def result_suffix(picture: Picture) -> str:
    """Of the file that a result of this picture gets: its own kind's, where that is written.

    AVIF and HEIC become JPEG where that holds their pixels, else PNG; BMP becomes PNG.
    """
    if picture.kind in ("AVIF", "HEIC"):
        fits = picture.pixels.dtype == np.uint8 and not has_alpha(picture.pixels) and not picture.chunks
        return ".jpg" if fits else ".png"
    return SUFFIXES.get(picture.kind, ".png")


def fit(path: Path, picture: Picture) -> tuple[Picture, list[str]]:
    """A picture without the metadata that a file of that name cannot hold, and what of the picture such a file loses.

    Raises:
        ValueError: if it cannot hold the pixels at all, or is of no kind that is written.
    """
    kind, pixels = kind_of(path), picture.pixels
    if max(pixels.shape[:2]) > LONGEST.get(kind, np.inf):
        raise ValueError(f"{path}: {kind} holds {LONGEST[kind]} pixels a side at most; choose .tif")
    if kind == "TIFF" and pixels.nbytes > LARGEST_TIFF:
        raise ValueError(f"{path}: TIFF holds 4 GB at most; choose .png")
    lost = []
    if kind in ("JPEG", "WEBP") and pixels.dtype == np.uint16:
        lost.append(f"{kind} holds 8 of the 16 bits; .png and .tif hold all")
    if kind == "JPEG" and has_alpha(pixels):
        lost.append("JPEG holds no transparency; .png, .tif and .webp do")
    dropped = [name for name, room in ROOM[kind].items() if _length(getattr(picture, name)) > room]
    none = [LABELS[name] for name in dropped if not ROOM[kind][name] and name != "chunks"]
    lost += [f"{kind} holds no {', '.join(none)}: left out"] if none else []
    lost += [f"its {LABELS[name]} is longer than {kind} can hold: left out" for name in dropped if ROOM[kind][name]]
    if "chunks" in dropped:
        lost += _lost_chunks(kind, picture)
    if kind == "PNG" and profile_space(picture.icc) == "RGB" and pixels.shape[2:] in ((), (2,)):
        dropped.append("icc")
        lost.append("PNG holds no profile of RGB for grey pixels: left out")
    return replace(picture, **{name: NOTHING[name] for name in dropped}), lost


ENDLESS = (1 << 31) - 1


ROOM = {
    "PNG": {"exif": ENDLESS, "icc": ENDLESS, "xmp": ENDLESS, "iptc": 0, "comments": 0},
    "JPEG": {
        "exif": SEGMENT,
        "icc": 255 * (SEGMENT - 14),
        "xmp": SEGMENT - 29,
        "iptc": SEGMENT - 27,
        "comments": SEGMENT,
        "chunks": 0,
    },
    "TIFF": {"comments": 0, "chunks": 0},
    "WEBP": {"iptc": 0, "comments": 0, "chunks": 0, "dpi": 0},
}
"""Bytes of each kind of metadata that a file holds, where there is a limit; of a single comment."""


LABELS = {"exif": "EXIF", "icc": "profile", "xmp": "XMP", "iptc": "IPTC", "comments": "comments", "dpi": "resolution"}


NOTHING: dict[str, Any] = {field.name: field.default for field in fields(Picture)}


def _length(value: bytes | tuple | None) -> int:
    if not value or isinstance(value, bytes):
        return len(value or b"")
    return max(len(part) if isinstance(part, bytes) else 1 for part in value)


def _lost_chunks(kind: str, picture: Picture) -> list[str]:
    """What it says where another kind of file does not hold a PNG's text and colours."""
    names = dict.fromkeys(chunk[4:8].decode("latin-1") for chunk in picture.chunks)
    lost = [name for name in names if name not in COLOUR_CHUNKS]
    sentences = [f"{kind} holds no {', '.join(lost)}: left out"] if lost else []
    colours = [name for name in names if name in COLOUR_CHUNKS and not picture.icc and "sRGB" not in names]
    if colours:
        sentences.append(f"{kind} holds no {', '.join(colours)}: its colours may look different; .png holds them")
    return sentences


def write(path: Path, picture: Picture) -> None:
    """Write a picture whole or not at all, of the kind that the name asks for, without what that kind cannot hold.

    JPEG with quality 95 and colour at full resolution; WebP with quality 95, or lossless if it was read so; PNG and
    TIFF as they are, TIFF uncompressed.

    Raises:
        ValueError: see `fit`.
        OSError: a file that cannot be written.
    """
    kind, picture = kind_of(path), fit(path, picture)[0]
    data = WRITERS[kind](picture.pixels, picture)
    with writing.replacing(path) as draft:
        draft.write_bytes(data)


def _jpeg(pixels: np.ndarray, picture: Picture) -> bytes:
    pixels = eight_bits(pixels)
    if has_alpha(pixels):
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else np.ascontiguousarray(pixels[..., :3])
    segments = [(0xFE, comment) for comment in picture.comments]
    if picture.iptc:
        head = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHL", 0x0404, 0, len(picture.iptc))
        segments.append((0xED, head + picture.iptc + bytes(len(picture.iptc) % 2)))
    extra = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return _saved(pixels, "JPEG", picture, extra=extra, dpi=picture.dpi, quality=95, subsampling="4:4:4")


def _webp(pixels: np.ndarray, picture: Picture) -> bytes:
    quality = {"lossless": True, "exact": True} if picture.lossless else {"quality": 95}
    return _saved(eight_bits(pixels), "WEBP", picture, **quality)


def _saved(pixels: np.ndarray, kind: str, picture: Picture, **options: object) -> bytes:
    """By Pillow."""
    options |= {"exif": picture.exif, "icc_profile": picture.icc, "xmp": picture.xmp}
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **{name: value for name, value in options.items() if value})
    return stream.getvalue()


WRITERS = {"PNG": encode_png, "JPEG": _jpeg, "TIFF": encode_tiff, "WEBP": _webp}
