"""Photographs as files: pixels upright, metadata kept, and nothing silently taken for what it is not.

What a file holds is read from its header, and a form that is not supported is refused by name. tifffile reads TIFF,
imagecodecs PNG, WebP and AVIF, pi-heif HEIC, Pillow the rest.
"""

import errno
import io
import logging
import mmap
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import AvifImagePlugin, BmpImagePlugin, Image, ImageFile, JpegImagePlugin

from deblur import metadata, paths

if TYPE_CHECKING:  # a third of a second that only TIFF is worth
    from tifffile import TiffFile, TiffPage

KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
KINDS |= {".webp": "WEBP", ".bmp": "BMP", ".avif": "AVIF", ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC"}
"""Suffix, in lower case -> kind of file."""

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
"""Kind of file that is written -> the suffix that it gets where it has another kind's."""

LONGEST = {"JPEG": 65_500, "WEBP": 16_383, "PNG": 1_000_000}
"""Pixels that a side may have, where the kind of file, or what reads it, has a limit."""

SEGMENT = 65_533
"""Bytes that a segment of JPEG holds: EXIF, XMP, IPTC and comments have one each."""

LARGEST_TIFF = (1 << 32) - (1 << 26)
"""Bytes of pixels: all places in a TIFF are numbers of 32 bits."""

LARGEST_TEXT = 1 << 26
"""Bytes that compressed text in a PNG may become."""

COLOUR_CHUNKS = ("sRGB", "gAMA", "cHRM", "cICP", "mDCV", "cLLI")
TEXT_CHUNKS = ("tEXt", "zTXt", "iTXt")
READ_CHUNKS = ("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "iCCP", "eXIf", "pHYs", "acTL", "iDOT", "sBIT", "hIST", "sPLT")
"""Chunks of a PNG that are kept as they are; its text, kept but for what other programs hide there; and those that
become something else, or describe how its pixels lay."""


for _name in ("tifffile", "imagecodecs"):  # what they have to say comes as errors, or is of no use
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Refused(ValueError):
    """Not a photograph that can be read here; says why, and the remedy."""


@dataclass(frozen=True)
class Picture:
    pixels: np.ndarray  # (H,W), (H,W,2), (H,W,3) or (H,W,4), the even ones with straight alpha; uint8 or uint16
    kind: str  # of KINDS
    exif: bytes = b""  # with the prefix that it has in JPEG
    icc: bytes = b""  # colour profile
    xmp: bytes = b""
    iptc: bytes = b""
    comments: tuple[bytes, ...] = ()  # of JPEG
    chunks: tuple[bytes, ...] = ()  # of PNG, whole: text, and colours (of AVIF and HEIC too)
    dpi: tuple[float, float] | None = None  # across, down
    lossless: bool = False  # JPEG is not, WebP may be
    notes: tuple[str, ...] = ()  # what the user should know about the file


# -------------------------------------------------------------------------------------------------------------- reading


def read(path: Path, most: int | None = None) -> Picture:
    """Read a PNG, JPEG, TIFF, WebP, BMP, AVIF or HEIC; its content decides which, not its name.

    Args:
        most: pixels; a file that declares more is refused before any of it is decoded.

    Returns:
        The picture upright. 9 to 15 bits become 16, so that the steps between them are even and 0 and 65535 reached.

    Raises:
        ValueError: a file that is refused or damaged, with its name and the remedy.
        OSError: a file that the system does not open.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            kind = _kind(path)
            picture, turn = READERS[kind](path, most)
            picture = _true(picture, turn)
        except Refused as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # damaged files make decoders raise anything, from SyntaxError to struct.error
            if isinstance(error, OSError) and error.errno:
                raise
            if re.search(r"(not |un)(yet )?supported|requires the", str(error), re.IGNORECASE):
                raise ValueError(f"{path}: of a form that is not read here ({error}); save it as PNG") from error
            raise ValueError(f"{path}: damaged, copy it again from where it came ({error})") from error
    notes = [f"is a {kind} file, whatever its name says"] if KINDS.get(path.suffix.lower()) != kind else []
    # Of damaged EXIF a note says what became of it.
    said = [text for text in (str(warning.message) for warning in caught) if "EXIF" not in text]
    notes += [*picture.notes, *said]
    return replace(picture, notes=tuple(dict.fromkeys(notes)))


def _kind(path: Path) -> str:
    """By the first bytes of a file."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Refused("a link that leads back to itself; point it at a picture") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):  # reading a pipe might wait for ever
        raise Refused("a pipe, a device or a socket, and no file; save the picture as one")
    with open(path, "rb") as stream:
        start = stream.read(32)
    if not start:
        raise Refused("is empty (0 bytes); copy it again from where it came")
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        if start[8:10] == b"CR":
            raise Refused("is a raw photograph; develop it to TIFF or JPEG first")
        return "TIFF"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp":
        brands = {start[place : place + 4] for place in (8, *range(16, 32, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"}:
            return "HEIC"
    kinds = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP"}
    for signature, kind in kinds.items():
        if start.startswith(signature):
            return kind
    raise Refused(
        "not a PNG, JPEG, TIFF, WebP, BMP, AVIF or HEIC picture, or damaged at its very start; "
        "convert it to one of these"
    )


def _true(picture: Picture, turn: int | None) -> Picture:
    """A picture as it was stored turned upright, and what is said about it made true.

    Args:
        turn: its orientation; None: what EXIF says.
    """
    notes = list(picture.notes)
    turn = metadata.orientation(picture.exif) if turn is None else turn
    turn = turn if turn in range(1, 9) else 1
    pixels, exif, xmp, dpi = upright(picture.pixels, turn), b"", b"", picture.dpi
    if picture.exif:
        try:
            exif, whole = metadata.corrected_exif(picture.exif, turn, *pixels.shape[:2])
            notes += [] if whole else ["a part of its EXIF is damaged and was left out"]
        except (ValueError, struct.error):
            notes.append("its EXIF is damaged and was left out")
    if picture.xmp:
        try:
            xmp, lost = metadata.corrected_xmp(picture.xmp, turn, *pixels.shape[:2])
            notes += [f"{', '.join(lost)}: left out"] if lost else []
        except ValueError:
            notes.append("its XMP is damaged and was left out")
    if dpi:
        dpi = dpi[::-1] if turn > 4 else dpi
        dpi = dpi if all(0 < value <= SEGMENT for value in dpi) else None
    _check_profile(picture)
    return replace(picture, pixels=pixels, exif=exif, xmp=xmp, dpi=dpi, notes=tuple(notes))


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as stored, (H,W,...), turned by what EXIF's orientation (1 to 8) says; other values turn nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _profile_space(icc: bytes) -> str:
    """The colours that a profile describes: RGB, GRAY, CMYK...; none if it is no profile."""
    return icc[16:20].decode("latin-1").strip() if icc[36:40] == b"acsp" else ""


def _check_profile(picture: Picture) -> None:
    space = _profile_space(picture.icc)
    grey = picture.pixels.shape[2:] in ((), (2,))
    if space not in ("", "RGB", "GRAY" if grey else "RGB"):
        raise Refused(f"has {'grey' if grey else 'RGB'} pixels and a profile of {space}; convert it to RGB or grey")


def _check_size(height: int, width: int, most: int | None) -> None:
    if most is not None and width * height > most:
        raise Refused(
            f"has {width * height / 1e6:.0f} million pixels, and there is memory for {most / 1e6:.0f} million; "
            "scale it down or close other programs"
        )


def _check_alone(number: int, what: str) -> None:
    if number > 1:
        raise Refused(f"has {number} {what}; save the one that you mean as a file of its own")


def _scaled(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of so many bits as uint8, or as uint16 where there are more than 8, black and white kept."""
    kind, most = (np.uint8, 255) if bits <= 8 else (np.uint16, 65535)
    if bits in (8, 16):
        return values.astype(kind, copy=False)
    steps = np.rint(np.arange(1 << bits) * (most / ((1 << bits) - 1))).astype(kind)
    return steps[values]


def _straight(values: np.ndarray, bits: int) -> np.ndarray:
    """Pixels (H,W,2) or (H,W,4) of so many bits whose colours are multiplied by alpha, without that and scaled."""
    most = 255 if bits <= 8 else 65535
    result = _scaled(values, bits)
    alpha = values[..., -1].astype(np.uint64)
    for channel in range(values.shape[2] - 1):
        colour = values[..., channel].astype(np.uint64)
        result[..., channel] = np.minimum((2 * most * colour + alpha) // np.maximum(2 * alpha, 1), most)
    return result


# --------------------------------------------------------------------------------------------------- JPEG, WebP and BMP


def _read_jpeg(path: Path, most: int | None) -> tuple[Picture, None]:
    try:
        image = JpegImagePlugin.JpegImageFile(path)
    except SyntaxError as error:
        if found := re.search(r"(\d+)-bit", str(error)):
            raise Refused(f"is a JPEG of {found[1]} bits; save it as a 16-bit PNG or TIFF") from None
        raise
    with image:
        pixels, notes = _pixels(image, most)
        if "mp" in image.info:
            notes.append("holds several pictures (a preview, a depth or gain map); the first is taken")
        info = image.info
        comments = tuple(content for name, content in image.applist if name == "COM")
        iptc = info.get("photoshop", {}).get(0x0404, b"")
        picture = _with_info(Picture(pixels, "JPEG", iptc=iptc, comments=comments, notes=tuple(notes)), info)
        # Pillow makes up a resolution where there is none.
        return (picture if info.get("jfif_unit") in (1, 2) else replace(picture, dpi=None)), None


def _read_webp(path: Path, most: int | None) -> tuple[Picture, None]:
    from imagecodecs import webp_decode

    data = path.read_bytes()
    found = dict(_parts(data))
    frames = sum(name == b"ANMF" for name, _ in _parts(data))
    _check_alone(frames, "frames")
    if frames:
        raise Refused("is an animation of one frame; save it as a still picture")
    _check_size(*_webp_size(found), most)
    pixels = webp_decode(data)
    info = {"exif": found.get(b"EXIF"), "xmp": found.get(b"XMP "), "icc_profile": found.get(b"ICCP")}
    return _with_info(Picture(pixels, "WEBP", lossless=b"VP8L" in found), info), None


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk of a WebP."""
    start = 12
    while start + 8 <= len(data):
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        yield data[start : start + 4], data[start + 8 : start + 8 + length]
        start += 8 + length + length % 2


def _webp_size(found: dict[bytes, bytes]) -> tuple[int, int]:
    """Height and width, from the header of the pixels: lossy or lossless."""
    if b"VP8 " in found:
        width, height = struct.unpack_from("<HH", found[b"VP8 "], 6)
        return height & 0x3FFF, width & 0x3FFF
    (both,) = struct.unpack_from("<L", found[b"VP8L"], 1)
    return 1 + (both >> 14 & 0x3FFF), 1 + (both & 0x3FFF)


def _read_bmp(path: Path, most: int | None) -> tuple[Picture, None]:
    with BmpImagePlugin.BmpImageFile(path) as image:
        pixels, notes = _pixels(image, most)
        data, icc = path.read_bytes(), b""
        if data[14] == 124 and data[70:74] == b"DEBM":  # as little-endian files spell "MBED"
            start, size = struct.unpack_from("<LL", data, 126)
            icc = data[14 + start : 14 + start + size]
        return Picture(pixels, "BMP", icc=icc, dpi=image.info.get("dpi"), lossless=True, notes=tuple(notes)), None


def _pixels(image: ImageFile.ImageFile, most: int | None) -> tuple[np.ndarray, list[str]]:
    """Of 8 bits, and what to say about them."""
    _check_size(image.height, image.width, most)
    if image.mode not in ("1", "L", "P", "RGB", "RGBA", "RGBX"):
        raise Refused(f"has pixels of kind {image.mode}; convert it to RGB or grey with 8 or 16 bits")
    notes = []
    if image.mode in ("1", "P"):
        notes.append(f"has {'2 levels of grey' if image.mode == '1' else 'a palette of colours'}; the result has all")
    image.load()
    mode = {"1": "L", "P": "RGB", "RGBX": "RGB"}.get(image.mode, image.mode)
    return np.array(image if image.mode == mode else image.convert(mode)), notes


def _with_info(picture: Picture, info: dict) -> Picture:
    """With the metadata that Pillow found."""
    exif, xmp = info.get("exif") or b"", info.get("xmp") or b""
    exif = exif if exif.startswith(metadata.PREFIX) or not exif else metadata.PREFIX + exif
    return replace(picture, exif=exif, icc=info.get("icc_profile") or b"", xmp=xmp, dpi=info.get("dpi"))


# ------------------------------------------------------------------------------------------------------------------ PNG


def _read_png(path: Path, most: int | None) -> tuple[Picture, None]:
    from imagecodecs import png_decode

    data = path.read_bytes()
    width, height, depth, colour = struct.unpack_from(">LLBB", data, 16)
    _check_size(height, width, most)
    if max(height, width) > LONGEST["PNG"]:
        raise Refused(f"has a side of more than {LONGEST['PNG']} pixels; cut it into parts")
    found: dict[str, bytes] = {}
    texts: dict[bytes, bytes] = {}
    chunks: list[bytes] = []
    left: list[bytes] = []
    notes: list[str] = []
    for name, content, whole in _chunks(data):
        found.setdefault(name, content)
        if name == "acTL":
            _check_alone(int.from_bytes(content[:4], "big"), "frames")
        if name in TEXT_CHUNKS:
            try:
                key, text = _text(name, content)
            except (ValueError, zlib.error):
                notes.append("a part of its text is damaged and was left out")
                continue
            texts.setdefault(key, text)
            chunks += [whole] if not _is_hidden(key) else []
        elif name not in READ_CHUNKS:
            # A small last letter says that the chunk stays true whatever becomes of the pixels.
            (chunks if name in COLOUR_CHUNKS or name[3].islower() else left).append(whole)
    pixels = png_decode(data)
    if colour == 3:
        notes.append("has a palette of colours; the result has all")
    elif depth < 8:
        notes.append(f"has {1 << depth} levels of grey; the result has all")
    if "tRNS" in found and colour != 3:
        notes.append("has one transparent colour; the result has an alpha channel")
    if left:
        names = dict.fromkeys(chunk[4:8].decode("latin-1") for chunk in left)
        notes.append(f"{', '.join(names)}: left out")
    said = _said_by_chunks(found, texts, notes)
    return Picture(pixels, "PNG", chunks=tuple(chunks), lossless=True, notes=tuple(notes), **said), None


def _chunks(data: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Name and content of each chunk of a PNG that is whole, and all of it."""
    start = 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        name = data[start + 4 : start + 8]
        if name != b"IDAT" and zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
            yield name.decode("latin-1"), data[start + 8 : end - 4], data[start:end]
        start = end


def _is_hidden(name: bytes) -> bool:
    """Whether a text is XMP, or a profile that other programs keep as text; IPTC alone may stay there."""
    return name == b"XML:com.adobe.xmp" or (name.startswith(b"Raw profile type ") and not name.endswith(b" iptc"))


def _said_by_chunks(found: dict[str, bytes], texts: dict[bytes, bytes], notes: list[str]) -> dict[str, Any]:
    """What a PNG's chunks say, as `Picture` names it."""
    exif, icc, dpi = found.get("eXIf", b""), b"", None
    try:
        exif = exif or _raw_profile(texts.get(b"Raw profile type exif", b""))
        icc = _inflated(found["iCCP"].partition(b"\0")[2][1:]) if "iCCP" in found else b""
    except (ValueError, zlib.error):
        notes.append(f"its {'profile' if 'iCCP' in found else 'EXIF'} is damaged and was left out")
    if len(found.get("pHYs", b"")) == 9:
        across, down, metres = struct.unpack(">LLB", found["pHYs"])
        dpi = (across * 0.0254, down * 0.0254) if metres == 1 else None
    exif = metadata.PREFIX + exif.removeprefix(metadata.PREFIX) if exif else b""
    return {"exif": exif, "icc": icc, "xmp": texts.get(b"XML:com.adobe.xmp", b""), "dpi": dpi}


def _text(chunk: str, content: bytes) -> tuple[bytes, bytes]:
    """Keyword and text of a chunk, both as stored in UTF-8 or Latin-1."""
    name, _, text = content.partition(b"\0")
    if chunk == "iTXt":
        compressed, (_, _, text) = text[:1] == b"\1", text[2:].split(b"\0", 2)
    else:
        compressed, text = chunk == "zTXt", text[chunk == "zTXt" :]
    return name, _inflated(text) if compressed else text


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, LARGEST_TEXT)


def _raw_profile(text: bytes) -> bytes:
    """What ImageMagick writes as text: a name, a length, and hexadecimal digits."""
    return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))


# ----------------------------------------------------------------------------------------------------------------- TIFF


def _read_tiff(path: Path, most: int | None) -> tuple[Picture, int]:
    from tifffile import TiffFile

    with TiffFile(path) as file:
        page, notes = _page(file)
        _check_size(page.imagelength, page.imagewidth, most)
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
    _check_alone(1 + sum(not other.subfiletype & 5 for other in others), "pages")
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
        pixels = _straight(stored, bits)
        notes.append("its colours were multiplied by its alpha; in the result they are not")
    else:
        pixels = _scaled(stored, bits)
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


# -------------------------------------------------------------------------------------------------------- AVIF and HEIC


def _read_avif(path: Path, most: int | None) -> tuple[Picture, None]:
    from imagecodecs import avif_decode

    data = path.read_bytes()
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as image:  # whose pixels have 8 bits always
        _check_size(image.height, image.width, most)
        _check_alone(image.n_frames, "frames")
        info = image.info
    # What describes the stream says whether it has 10 or 12 bits.
    flags = [found[1][0] & 0x60 for found in re.finditer(rb"av1C\x81.(.)", data, re.DOTALL)]
    bits = {0x40: 10, 0x60: 12}.get(max(flags, default=0), 8)
    nclx = re.search(rb"colrnclx(.{4})", data, re.DOTALL)
    chunks = _cicp(*struct.unpack(">HH", nclx[1])) if nclx and not info.get("icc_profile") else ()
    return _with_info(Picture(_scaled(avif_decode(data), bits), "AVIF", chunks=chunks), info), None


def _cicp(primaries: int, transfer: int) -> tuple[bytes, ...]:
    """Colours named by their numbers, as a PNG says it; nothing where they are sRGB's or unknown."""
    if 2 in (primaries, transfer) or (primaries == 1 and transfer in (1, 6, 13, 14, 15)):
        return ()
    return (_chunk(b"cICP", bytes([primaries, transfer, 0, 1])),)


def _read_heic(path: Path, most: int | None) -> tuple[Picture, int]:
    try:
        import pi_heif
    except ImportError:
        raise Refused("is a HEIC picture; to read it, install deblur[heif]") from None
    file = pi_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    image, notes = file[file.primary_index], []
    _check_size(image.size[1], image.size[0], most)
    info = image.info
    if len(file) > 1 or info.get("depth_images") or info.get("aux"):
        notes.append("holds several pictures (a preview, a depth or gain map); the main one is taken")
    values = np.array(image)[:, : image.size[0]]  # rows may be padded, and go with the file
    bits = info.get("bit_depth", 8)
    pixels = _straight(values, bits) if image.premultiplied_alpha else _scaled(values, bits)
    nclx = info.get("nclx_profile")
    chunks: tuple[bytes, ...] = ()
    if nclx and not info.get("icc_profile"):
        chunks = _cicp(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    return _with_info(Picture(pixels, "HEIC", chunks=chunks, notes=tuple(notes)), info), 1  # turned as it is decoded


READERS: dict[str, Callable[[Path, int | None], tuple[Picture, int | None]]] = {
    "PNG": _read_png,
    "JPEG": _read_jpeg,
    "TIFF": _read_tiff,
    "WEBP": _read_webp,
    "BMP": _read_bmp,
    "AVIF": _read_avif,
    "HEIC": _read_heic,
}


# -------------------------------------------------------------------------------------------------------------- writing


def kind_of(path: Path) -> str:
    """The kind of file that a name asks for.

    Raises:
        ValueError: a suffix of none of those that are written.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind not in SUFFIXES:
        known = ", ".join(suffix for suffix, kind in KINDS.items() if kind in SUFFIXES)
        raise ValueError(f"{path}: no kind of picture that is written here; end the name in one of {known}")
    return kind


def result_suffix(picture: Picture) -> str:
    """Of the file that a result of this picture gets: its own kind's, where that is written.

    AVIF and HEIC become JPEG where that holds their pixels, else PNG; BMP becomes PNG.
    """
    if picture.kind in ("AVIF", "HEIC"):
        fits = picture.pixels.dtype == np.uint8 and not _has_alpha(picture.pixels) and not picture.chunks
        return ".jpg" if fits else ".png"
    return SUFFIXES.get(picture.kind, ".png")


def _has_alpha(pixels: np.ndarray) -> bool:
    return pixels.shape[2:] in ((2,), (4,))


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
    if kind == "JPEG" and _has_alpha(pixels):
        lost.append("JPEG holds no transparency; .png, .tif and .webp do")
    dropped = [name for name, room in ROOM[kind].items() if _length(getattr(picture, name)) > room]
    none = [LABELS[name] for name in dropped if not ROOM[kind][name] and name != "chunks"]
    lost += [f"{kind} holds no {', '.join(none)}: left out"] if none else []
    lost += [f"its {LABELS[name]} is longer than {kind} can hold: left out" for name in dropped if ROOM[kind][name]]
    if "chunks" in dropped:
        lost += _lost_chunks(kind, picture)
    if kind == "PNG" and _profile_space(picture.icc) == "RGB" and pixels.shape[2:] in ((), (2,)):
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
    with paths.replacing(path) as draft:
        draft.write_bytes(data)


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Of 16 bits the nearest of 8; pixels of 8 bits as they are."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / np.float32(257)).astype(np.uint8)


def _jpeg(pixels: np.ndarray, picture: Picture) -> bytes:
    pixels = eight_bits(pixels)
    if _has_alpha(pixels):
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


def _png(pixels: np.ndarray, picture: Picture) -> bytes:
    from imagecodecs import png_encode

    extra = list(picture.chunks)
    if picture.icc:
        extra.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc)))
    if picture.dpi:
        extra.append(_chunk(b"pHYs", struct.pack(">LLB", *(round(value / 0.0254) for value in picture.dpi), 1)))
    if picture.exif:
        extra.append(_chunk(b"eXIf", picture.exif.removeprefix(metadata.PREFIX)))
    if picture.xmp:
        extra.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + picture.xmp))
    packed, header = bytes(png_encode(pixels)), 8 + 25
    return packed[:header] + b"".join(extra) + packed[header:]


def _chunk(name: bytes, content: bytes) -> bytes:
    """Of a PNG, with its length and checksum."""
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def _tiff(pixels: np.ndarray, picture: Picture) -> bytes:
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


WRITERS = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff, "WEBP": _webp}
