"""Reading pictures: what a file holds is read from its header, and what is not supported is refused by name."""

import errno
import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import AvifImagePlugin, BmpImagePlugin, ImageFile, JpegImagePlugin

from deblur.photos import metadata

if TYPE_CHECKING:  # a third of a second that only TIFF is worth
    pass
from deblur.photos.pictures.picture import (
    KINDS,
    SEGMENT,
    Picture,
    Refused,
    check_alone,
    check_size,
    profile_space,
    scaled,
    straight,
    upright,
)
from deblur.photos.pictures.png import packed_chunk, read_png
from deblur.photos.pictures.tiff import read_tiff


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


def _check_profile(picture: Picture) -> None:
    space = profile_space(picture.icc)
    grey = picture.pixels.shape[2:] in ((), (2,))
    if space not in ("", "RGB", "GRAY" if grey else "RGB"):
        raise Refused(f"has {'grey' if grey else 'RGB'} pixels and a profile of {space}; convert it to RGB or grey")


def _read_jpeg(path: Path, most: int | None) -> tuple[Picture, None]:
    try:
        image = JpegImagePlugin.JpegImageFile(path)
    except SyntaxError as error:
        if match := re.search(r"(\d+)-bit", str(error)):
            raise Refused(f"is a JPEG of {match[1]} bits; save it as a 16-bit PNG or TIFF") from None
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
    parts = dict(_parts(data))
    frames = sum(name == b"ANMF" for name, _ in _parts(data))
    check_alone(frames, "frames")
    if frames:
        raise Refused("is an animation of one frame; save it as a still picture")
    check_size(*_webp_size(parts), most)
    pixels = webp_decode(data)
    info = {"exif": parts.get(b"EXIF"), "xmp": parts.get(b"XMP "), "icc_profile": parts.get(b"ICCP")}
    return _with_info(Picture(pixels, "WEBP", lossless=b"VP8L" in parts), info), None


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
    check_size(image.height, image.width, most)
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


def _read_avif(path: Path, most: int | None) -> tuple[Picture, None]:
    from imagecodecs import avif_decode

    data = path.read_bytes()
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as image:  # whose pixels have 8 bits always
        check_size(image.height, image.width, most)
        check_alone(image.n_frames, "frames")
        info = image.info
    # What describes the stream says whether it has 10 or 12 bits.
    flags = [match[1][0] & 0x60 for match in re.finditer(rb"av1C\x81.(.)", data, re.DOTALL)]
    bits = {0x40: 10, 0x60: 12}.get(max(flags, default=0), 8)
    nclx = re.search(rb"colrnclx(.{4})", data, re.DOTALL)
    chunks = _cicp(*struct.unpack(">HH", nclx[1])) if nclx and not info.get("icc_profile") else ()
    return _with_info(Picture(scaled(avif_decode(data), bits), "AVIF", chunks=chunks), info), None


def _cicp(primaries: int, transfer: int) -> tuple[bytes, ...]:
    """Colours named by their numbers, as a PNG says it; nothing where they are sRGB's or unknown."""
    if 2 in (primaries, transfer) or (primaries == 1 and transfer in (1, 6, 13, 14, 15)):
        return ()
    return (packed_chunk(b"cICP", bytes([primaries, transfer, 0, 1])),)


def _read_heic(path: Path, most: int | None) -> tuple[Picture, int]:
    try:
        import pi_heif
    except ImportError:
        raise Refused("is a HEIC picture; to read it, install deblur-papers[heif]") from None
    file = pi_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    image, notes = file[file.primary_index], []
    check_size(image.size[1], image.size[0], most)
    info = image.info
    if len(file) > 1 or info.get("depth_images") or info.get("aux"):
        notes.append("holds several pictures (a preview, a depth or gain map); the main one is taken")
    values = np.array(image)[:, : image.size[0]]  # rows may be padded, and go with the file
    bits = info.get("bit_depth", 8)
    pixels = straight(values, bits) if image.premultiplied_alpha else scaled(values, bits)
    nclx = info.get("nclx_profile")
    chunks: tuple[bytes, ...] = ()
    if nclx and not info.get("icc_profile"):
        chunks = _cicp(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    return _with_info(Picture(pixels, "HEIC", chunks=chunks, notes=tuple(notes)), info), 1  # turned as it is decoded


READERS: dict[str, Callable[[Path, int | None], tuple[Picture, int | None]]] = {
    "PNG": read_png,
    "JPEG": _read_jpeg,
    "TIFF": read_tiff,
    "WEBP": _read_webp,
    "BMP": _read_bmp,
    "AVIF": _read_avif,
    "HEIC": _read_heic,
}
