"""TIFF, read and written by its tags."""

import mmap
import struct
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deblur.photos import metadata

if TYPE_CHECKING:  # a third of a second that only TIFF is worth
    from tifffile import TiffFile, TiffPage
from deblur.photos.pictures.picture import Picture, Refused, check_alone, check_size, scaled, straight

LARGEST_TIFF = (1 << 32) - (1 << 26)
"""Bytes of pixels: all places in a TIFF are numbers of 32 bits."""


def read_tiff(path: Path, most: int | None) -> tuple[Picture, int]:
    from tifffile import TiffFile

    with TiffFile(path) as file:
        page, notes = _page(file)
        check_size(page.imagelength, page.imagewidth, most)
        bits = _bits(page)
        pixels = _tiff_pixels(page, bits, notes)
        # These describe the array that the file held, not the picture.
        described = {metadata.DESCRIPTION} if page.is_shaped or page.is_imagej or page.is_ome else set()
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        order = metadata.byte_order(data)
        tags = {entry.tag: entry for entry in metadata.first_directory(data)}
        values = {tag: entry.value for tag, entry in tags.items()}
        try:
            exif, whole = metadata.exif_of_tiff(data, described)
        except (ValueError, struct.error):
            exif, whole = b"", True
            notes.append("its EXIF is damaged and was left out")
    notes += [] if whole else ["its maker's note would be untrue at another place in a file, and was left out"]
    notes += ["its layers were left out"] if 37724 in tags else []
    turn = tags[metadata.ORIENTATION].integer(order) if metadata.ORIENTATION in tags else 1
    iptc, icc, xmp = (values.get(tag, b"") for tag in (metadata.IPTC, metadata.ICC, metadata.XMP))
    dpi = _tiff_dpi(tags, order)
    return Picture(pixels, "TIFF", exif, icc, xmp, iptc, dpi=dpi, lossless=True, notes=tuple(notes)), turn


def _page(file: "TiffFile") -> tuple["TiffPage", list[str]]:
    """The one picture of a TIFF, beside previews of it."""
    page, *others = (page.aspage() for page in file.pages)
    if page.subfiletype & 1 or 50706 in page.tags:
        raise Refused("is a raw photograph, or the preview of one; develop it to TIFF or JPEG first")
    check_alone(1 + sum(not other.subfiletype & 5 for other in others), "pages")
    return page, ["holds previews or masks too, which were left out"] if others or page.subifds else []


def _bits(page: "TiffPage") -> int:
    """Bits a sample.

    Raises:
        Refused: pixels that are not integers of 1 to 16 bits.
    """
    bits = page.tags.valueof("BitsPerSample", 1)
    bits = set(bits) if isinstance(bits, tuple) else {bits}
    formats = page.tags.valueof("SampleFormat", 1)
    formats = set(formats) if isinstance(formats, tuple) else {formats}
    kinds = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
    remedy = "convert it to RGB or grey with 8 or 16 bits"
    if strange := [kinds[kind] for kind in formats if kind in kinds]:
        raise Refused(f"has {strange[0]} pixels of {max(bits)} bits; {remedy}")
    if len(bits) > 1 or max(bits) > 16:
        raise Refused(f"has pixels of {', '.join(map(str, sorted(bits)))} bits; {remedy}")
    return bits.pop()


PHOTOMETRIC = {4: "a mask", 5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a raw photograph's mosaic"}


PHOTOMETRIC |= {32844: "LogL", 32845: "LogLuv", 34892: "a raw photograph's"}


def _tiff_pixels(page: "TiffPage", bits: int, notes: list[str]) -> np.ndarray:
    """As stored, grey or RGB with straight alpha, black 0."""
    colour, samples = int(page.photometric), page.samplesperpixel
    is_jpeg = int(page.compression) in (6, 7)
    if colour not in (0, 1, 2, 3) and not (colour == 6 and is_jpeg):
        name = "YCbCr without JPEG" if colour == 6 else PHOTOMETRIC.get(colour, f"unknown ({colour})")
        raise Refused(f"has pixels of kind {name}; convert it to RGB or grey with 8 or 16 bits")
    extra = samples - (3 if colour in (2, 6) else 1)
    kinds = tuple(map(int, page.extrasamples))
    if extra and (extra > 1 or kinds not in ((1,), (2,)) or colour == 3):
        raise Refused(
            f"has {extra} channels beside its colours"
            if extra > 1
            else "has a channel beside its colours that is not said to be alpha"
        )
    if extra < 0 or page.imagedepth > 1:
        raise Refused(f"has {samples} channels and {page.imagedepth} layers; save it as plain RGB")
    size = page.parent.filehandle.size
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts)]
    if not ends or max(ends) > size or 0 in page.databytecounts:
        raise ValueError("some of its pixels are missing")
    stored = page.asarray()
    shape = (page.imagelength, page.imagewidth)
    if page.planarconfig == 2 and samples > 1:
        stored = np.moveaxis(stored.reshape(samples, *shape), 0, -1)
    stored = stored.reshape(*shape, *((samples,) if samples > 1 else ()))
    stored = stored.astype(np.uint8 if bits <= 8 else np.uint16, copy=False)  # in this machine's byte order, no bool
    if colour == 3:
        notes.append("has a palette of colours; the result has all")
        return _palette(np.asarray(page.colormap))[stored]
    if bits < 8:
        notes.append(f"has {1 << bits} levels of grey; the result has all")
    if extra and kinds == (1,):
        pixels = straight(stored, bits)
        notes.append("its colours were multiplied by its alpha; in the result they are not")
    else:
        pixels = scaled(stored, bits)
    if colour == 0:  # white is zero
        pixels = pixels.copy()
        light = pixels[..., 0] if extra else pixels
        np.subtract(np.iinfo(pixels.dtype).max, light, out=light)
    return pixels


def _palette(colours: np.ndarray) -> np.ndarray:
    """(colours, 3): uint8 where that holds them, as it does but for rare palettes of 16 bits."""
    colours = colours.T
    for step in (257, 256):  # as the standard has it, and as many programs do
        if not (colours % step).any():
            return (colours // step).astype(np.uint8)
    return colours


def _tiff_dpi(tags: dict[int, metadata.Entry], order: str) -> tuple[float, float] | None:
    try:
        unit = tags[metadata.RESOLUTION_UNIT].integer(order) if metadata.RESOLUTION_UNIT in tags else 2
        pairs = [struct.unpack(order + "LL", tags[tag].value) for tag in (metadata.X_RESOLUTION, metadata.Y_RESOLUTION)]
        across, down = (above / below * {2: 1, 3: 2.54}[unit] for above, below in pairs)
        return across, down
    except (KeyError, ValueError, ZeroDivisionError, struct.error):
        return None


def encode_tiff(pixels: np.ndarray, picture: Picture) -> bytes:
    height, width, channels = (*pixels.shape, 1)[:3]
    short, long = metadata.SHORT, metadata.LONG
    tags: dict[int, tuple[int, int, bytes | tuple[int, ...]]] = {256: (long, 1, (width,)), 257: (long, 1, (height,))}
    tags |= {258: (short, channels, (8 * pixels.itemsize,) * channels), 259: (short, 1, (1,))}
    tags |= {262: (short, 1, (2 if channels > 2 else 1,)), 277: (short, 1, (channels,)), 278: (long, 1, (height,))}
    tags[284] = (short, 1, (1,))
    if channels in (2, 4):
        tags[338] = (short, 1, (2,))  # the last one is alpha, not multiplied in
    for tag, value in ((metadata.ICC, picture.icc), (metadata.XMP, picture.xmp), (metadata.IPTC, picture.iptc)):
        if value:
            tags[tag] = (metadata.UNDEFINED if tag == metadata.ICC else 1, len(value), value)
    if picture.dpi:
        for tag, value in zip((metadata.X_RESOLUTION, metadata.Y_RESOLUTION), picture.dpi):
            tags[tag] = (metadata.RATIONAL, 1, Fraction(value).limit_denominator(10_000).as_integer_ratio())
        tags[metadata.RESOLUTION_UNIT] = (short, 1, (2,))
    return metadata.tiff(pixels, picture.exif, tags)
