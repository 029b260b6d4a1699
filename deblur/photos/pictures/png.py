"""PNG, read and written with its chunks."""

import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deblur.photos import metadata

if TYPE_CHECKING:  # a third of a second that only TIFF is worth
    pass
from deblur.photos.pictures.picture import LONGEST, Picture, Refused, check_alone, check_size

LARGEST_TEXT = 1 << 26
"""Bytes that compressed text in a PNG may become."""


COLOUR_CHUNKS = ("sRGB", "gAMA", "cHRM", "cICP", "mDCV", "cLLI")


TEXT_CHUNKS = ("tEXt", "zTXt", "iTXt")


READ_CHUNKS = ("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "iCCP", "eXIf", "pHYs", "acTL", "iDOT", "sBIT", "hIST", "sPLT")
"""Chunks of a PNG that are kept as they are; its text, kept but for what other programs hide there; and those that
become something else, or describe how its pixels lay."""


for _name in ("tifffile", "imagecodecs"):  # what they have to say comes as errors, or is of no use
    logging.getLogger(_name).addHandler(logging.NullHandler())


def read_png(path: Path, most: int | None) -> tuple[Picture, None]:
    from imagecodecs import png_decode

    data = path.read_bytes()
    width, height, depth, colour = struct.unpack_from(">LLBB", data, 16)
    check_size(height, width, most)
    if max(height, width) > LONGEST["PNG"]:
        raise Refused(f"has a side of more than {LONGEST['PNG']} pixels; cut it into parts")
    contents: dict[str, bytes] = {}
    texts: dict[bytes, bytes] = {}
    chunks: list[bytes] = []
    left: list[bytes] = []
    notes: list[str] = []
    for name, content, whole in _chunks(data):
        contents.setdefault(name, content)
        if name == "acTL":
            check_alone(int.from_bytes(content[:4], "big"), "frames")
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
    if "tRNS" in contents and colour != 3:
        notes.append("has one transparent colour; the result has an alpha channel")
    if left:
        names = dict.fromkeys(chunk[4:8].decode("latin-1") for chunk in left)
        notes.append(f"{', '.join(names)}: left out")
    said = _said_by_chunks(contents, texts, notes)
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


def encode_png(pixels: np.ndarray, picture: Picture) -> bytes:
    from imagecodecs import png_encode

    extra = list(picture.chunks)
    if picture.icc:
        extra.append(packed_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc)))
    if picture.dpi:
        extra.append(packed_chunk(b"pHYs", struct.pack(">LLB", *(round(value / 0.0254) for value in picture.dpi), 1)))
    if picture.exif:
        extra.append(packed_chunk(b"eXIf", picture.exif.removeprefix(metadata.PREFIX)))
    if picture.xmp:
        extra.append(packed_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + picture.xmp))
    packed, header = bytes(png_encode(pixels)), 8 + 25
    return packed[:header] + b"".join(extra) + packed[header:]


def packed_chunk(name: bytes, content: bytes) -> bytes:
    """Of a PNG, with its length and checksum."""
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
