"""What a file says about its picture: EXIF and XMP, made true for the picture upright, alone and at its size.

EXIF is a small TIFF file: directories of tags. It is corrected where it lies, every kept byte at its place, because
makers' notes point at places in it. XMP is text, and so are its corrections.
"""

import mmap
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Data = bytes | bytearray | mmap.mmap

PREFIX = b"Exif\0\0"
"""What comes before EXIF in JPEG, and in `Picture.exif`."""

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 282, 283, 296
EXIF_IFD, GPS_IFD, INTEROP_IFD, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
WIDTH, HEIGHT, FOCAL_X, FOCAL_Y = 0xA002, 0xA003, 0xA20E, 0xA20F
THUMBNAIL, THUMBNAIL_BYTES = 0x0201, 0x0202
SUBJECT = {0x9214, 0xA214}  # where it is, in pixels
DESCRIPTION, XMP, IPTC, ICC = 270, 700, 33723, 34675

STRUCTURE = {*range(254, 269), 273, *range(277, 282), 284, *range(288, 294), 301, 317, *range(320, 348)}
STRUCTURE |= {*range(512, 533), XMP, IPTC, ICC, 34377, 37724}
"""TIFF tags that say how pixels lie in the file, or hold ICC, XMP, IPTC, Photoshop's layers: not kept as EXIF."""

SHORT, LONG, RATIONAL, UNDEFINED = 3, 4, 5, 7
SIZES = {1: 1, 2: 1, SHORT: 2, LONG: 4, RATIONAL: 8, 6: 1, UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
LONG_SIZES = {16: 8, 17: 8, 18: 8}  # of BigTIFF
EMPTY = b"II*\0\x08\0\0\0" + bytes(6)

FARTHEST_NOTE = 1 << 15
"""Bytes: where a maker's note of a TIFF may end to stay at its place in EXIF, which JPEG bounds to 64 KB."""


# ----------------------------------------------------------------------------------------------------------------- tags


@dataclass(frozen=True)
class Entry:
    """One tag of a directory."""

    tag: int
    kind: int  # of SIZES
    count: int
    value: bytes  # in the file's byte order; empty if it does not lie in the file
    start: int = -1  # where the value begins; -1: nowhere yet
    place: int = -1  # where the entry itself begins

    def integer(self, order: str) -> int:
        """The first one of its values, which are integers."""
        letter = {1: "B", SHORT: "H", LONG: "L", 13: "L", 16: "Q", 18: "Q"}.get(self.kind)
        if letter is None:
            raise ValueError(f"tag {self.tag} is not an integer")
        return struct.unpack_from(order + letter, self.value)[0]


def byte_order(data: Data) -> Literal["<", ">"]:
    """As `struct` writes it.

    Raises:
        ValueError: neither TIFF nor EXIF.
    """
    if data[:2] not in (b"II", b"MM"):
        raise ValueError("has no byte order")
    return "<" if data[:2] == b"II" else ">"


def directory(data: Data, start: int, big: bool = False) -> tuple[list[Entry], int]:
    """The tags of the directory that begins at `start`, and where it ends: there lies the pointer to the next one.

    Args:
        data: the whole TIFF file or EXIF block.
        big: BigTIFF, with 8 bytes where TIFF has 4.

    Raises:
        ValueError, struct.error: there is none.
    """
    order = byte_order(data)
    head, form, length, inside = ("Q", "HHQQ", 20, 8) if big else ("H", "HHLL", 12, 4)
    (number,) = struct.unpack_from(order + head, data, start)
    first = start + (8 if big else 2)
    end, entries = first + number * length, []
    if end > len(data):
        raise ValueError("a directory ends behind the file")
    for place in range(first, end, length):
        tag, kind, count, where = struct.unpack_from(order + form, data, place)
        size = count * (SIZES | LONG_SIZES).get(kind, len(data))  # an unknown kind fits nowhere
        begin = place + length - inside if size <= inside else where
        value = bytes(data[begin : begin + size]) if begin + size <= len(data) else b""
        entries.append(Entry(tag, kind, count, value, begin, place))
    return entries, end


def first_directory(data: Data) -> list[Entry]:
    """The tags of a TIFF's or BigTIFF's first picture.

    Raises:
        ValueError, struct.error: a damaged file.
    """
    return directory(data, *_first(data))[0]


def _first(data: Data) -> tuple[int, bool]:
    order = byte_order(data)
    (version,) = struct.unpack_from(order + "H", data, 2)
    if version not in (42, 43):
        raise ValueError("is no TIFF")
    big = version == 43
    return struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)[0], big


def _put(out: bytearray, order: str, entries: Iterable[Entry]) -> int:
    """Append values that are nowhere yet, then the directory; returns where it begins."""
    records = []
    for entry in sorted(entries, key=lambda entry: entry.tag):
        value, where = entry.value, entry.start
        if len(value) > 4:
            if where < 0:
                where = len(out)
                out += value + bytes(len(value) % 2)
            value = struct.pack(order + "L", where)
        records.append(struct.pack(order + "HHL", entry.tag, entry.kind, entry.count) + value.ljust(4, b"\0"))
    out += bytes(len(out) % 2)
    start = len(out)
    out += struct.pack(order + "H", len(records)) + b"".join(records) + bytes(4)
    return start


# ----------------------------------------------------------------------------------------------------------------- EXIF


def orientation(exif: bytes) -> int:
    """What EXIF says of it; 1, upright, where it says nothing or nonsense."""
    block = exif.removeprefix(PREFIX)
    try:
        entries = {entry.tag: entry for entry in first_directory(block)}
        return entries[ORIENTATION].integer(byte_order(block)) if ORIENTATION in entries else 1
    except (ValueError, struct.error):
        return 1


def corrected_exif(exif: bytes, turn: int, height: int, width: int) -> tuple[bytes, bool]:
    """EXIF of a picture that was turned upright, without its thumbnail, and whether all the rest could be kept.

    Args:
        turn: the orientation that the picture had, 1 to 8.
        height, width: in pixels, upright.

    Raises:
        ValueError, struct.error: nothing of it can be kept.
    """
    block = _Block(exif, turn)
    (start, big), order = _first(block.data), block.order
    if big:
        raise ValueError("is no EXIF")
    sides = {tag: struct.pack(order + "HLL", LONG, 1, side) for tag, side in ((WIDTH, width), (HEIGHT, height))}
    upright = {ORIENTATION: struct.pack(order + "HLHH", SHORT, 1, 1, 0)}
    block.drop_thumbnail(start)
    moved = SUBJECT if turn != 1 else set()
    lost = block.rewrite_below(start, EXIF_IFD, moved, sides, (FOCAL_X, FOCAL_Y))
    lost |= block.rewrite_below(start, GPS_IFD, set(), {}, (0, 0))
    block.rewrite(start, STRUCTURE | lost, upright, (X_RESOLUTION, Y_RESOLUTION))
    kept = directory(block.data, start)[0]
    if block.data[:8] != exif.removeprefix(PREFIX)[:8] or not all(entry.value for entry in kept):
        raise ValueError("its directories lie over each other")
    return PREFIX + bytes(block.data), block.whole


class _Block:
    """EXIF while it is corrected."""

    def __init__(self, exif: bytes, turn: int):
        self.data = bytearray(exif.removeprefix(PREFIX))
        self.order = byte_order(self.data)
        self.transposed = turn > 4
        self.whole = True

    def rewrite(self, start: int, drop: set[int], new: dict[int, bytes], pair: tuple[int, int]) -> None:
        """Change a directory in place: entries that stay move up, and their values stay where they are.

        Args:
            drop: tags.
            new: tag -> type, number and value, where the tag is there.
            pair: tags whose values change places where the picture's sides do.
        """
        entries, end = directory(self.data, start)
        records = {}
        for entry in entries:
            if not entry.value:
                self.whole = self.whole and not entry.count
            elif entry.tag not in drop:
                records[entry.tag] = new.get(entry.tag, bytes(self.data[entry.place + 2 : entry.place + 12]))
        if self.transposed and records.keys() >= set(pair):
            records[pair[0]], records[pair[1]] = records[pair[1]], records[pair[0]]
        content = b"".join(struct.pack(self.order + "H", tag) + record for tag, record in records.items())
        self.data[start:end] = (struct.pack(self.order + "H", len(records)) + content).ljust(end - start, b"\0")

    def rewrite_below(
        self, start: int, tag: int, drop: set[int], new: dict[int, bytes], pair: tuple[int, int]
    ) -> set[int]:
        """Change the directory that a tag points at; returns the tag if it points at none."""
        try:
            for entry in directory(self.data, start)[0]:
                if entry.tag == tag:
                    self.rewrite(entry.integer(self.order), drop, new, pair)
            return set()
        except (ValueError, struct.error):
            self.whole = False
            return {tag}

    def drop_thumbnail(self, start: int) -> None:
        """Unlink the second directory, and take its picture away or, where something follows it, blank it."""
        end = directory(self.data, start)[1]
        link = self.data[end : end + 4]
        self.data[end : end + 4] = bytes(len(link))
        try:
            (second,) = struct.unpack(self.order + "L", link)
            values = {entry.tag: entry.integer(self.order) for entry in directory(self.data, second)[0] if second}
            begin, size = values[THUMBNAIL], values[THUMBNAIL_BYTES]
        except (ValueError, KeyError, struct.error):
            return
        if begin > second:
            self.data[begin : begin + size] = b"" if begin + size + 1 >= len(self.data) else bytes(size)


def exif_of_tiff(data: Data, drop: set[int]) -> tuple[bytes, bool]:
    """What a TIFF says beside its structure, as EXIF, and whether its maker's note could be kept.

    A note stays only where it lies near the start: elsewhere the places that it names would be others.

    Args:
        data: the whole file.
        drop: further tags to leave out.

    Raises:
        ValueError, struct.error: a damaged file.
    """
    order, big = byte_order(data), _first(data)[1]
    top = {entry.tag: entry for entry in first_directory(data) if entry.tag not in STRUCTURE | drop}
    below = {}
    for tag in (EXIF_IFD, GPS_IFD):
        if tag in top:
            below[tag] = directory(data, top.pop(tag).integer(order), big)[0]
    if not top and not below:
        return b"", True
    out, kept = bytearray(data[:2] + struct.pack(order + "HL", 42, 0)), True
    for tag, entries in below.items():
        notes = [entry for entry in entries if entry.tag == MAKER_NOTE]
        for note in notes:
            kept = len(out) <= note.start <= FARTHEST_NOTE - len(note.value)
            out += (bytes(note.start - len(out)) + note.value) * kept
        wanted = [
            replace(entry, start=entry.start if entry in notes else -1)
            for entry in entries
            if entry.value and entry.kind in SIZES and entry.tag != INTEROP_IFD and (kept or entry not in notes)
        ]
        start = _put(out, order, wanted)
        top[tag] = Entry(tag, LONG, 1, struct.pack(order + "L", start))
    start = _put(
        out, order, (replace(entry, start=-1) for entry in top.values() if entry.value and entry.kind in SIZES)
    )
    out[4:8] = struct.pack(order + "L", start)
    return PREFIX + bytes(out), kept


def tiff(pixels: np.ndarray, exif: bytes, own: dict[int, tuple[int, int, bytes | tuple[int, ...]]]) -> bytes:
    """A TIFF of one uncompressed strip that begins with its EXIF as it is, so that what points into it stays true.

    Args:
        pixels: (H,W) or (H,W,channels), uint8 or uint16.
        own: tag -> type, number and value (bytes, or integers to pack) of what describes them.
    """
    out = bytearray(exif.removeprefix(PREFIX) or EMPTY)
    order = byte_order(out)
    entries = {entry.tag: entry for entry in first_directory(out) if entry.tag not in STRUCTURE and entry.value}
    out += bytes(len(out) % 2)
    own = own | {273: (LONG, 1, (len(out),)), 279: (LONG, 1, (pixels.nbytes,))}
    out += pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    for tag, (kind, count, value) in own.items():
        if not isinstance(value, bytes):
            value = struct.pack(f"{order}{len(value)}{'H' if kind == SHORT else 'L'}", *value)
        entries[tag] = Entry(tag, kind, count, value)
    out[4:8] = struct.pack(order + "L", _put(out, order, entries.values()))
    return bytes(out)


# ------------------------------------------------------------------------------------------------------------------ XMP


XMP_TIFF, XMP_EXIF = ("tiff", "http://ns.adobe.com/tiff/1.0/"), ("exif", "http://ns.adobe.com/exif/1.0/")
GOOGLE = "http://ns.google.com/photos/1.0/"

UNTRUE = (
    ("GCamera", GOOGLE + "camera/", r"(?:MotionPhoto|MicroVideo)\w*", "its motion video"),
    ("Container", GOOGLE + "container/", r"\w+", "the list of further pictures in it"),
    ("hdrgm", "http://ns.adobe.com/hdr-gain-map/1.0/", r"\w+", "its gain map"),
    ("HDRGainMap", "http://ns.apple.com/HDRGainMap/1.0/", r"\w+", "its gain map"),
    ("GDepth", GOOGLE + "depthmap/", r"\w+", "its depth map"),
    ("GImage", GOOGLE + "image/", r"\w+", "its second picture"),
    ("GAudio", GOOGLE + "audio/", r"\w+", "its sound"),
    ("xmpNote", "http://ns.adobe.com/xmp/note/", "HasExtendedXMP", "the extension of its XMP"),
    ("xmp", "http://ns.adobe.com/xap/1.0/", "Thumbnails", ""),
    (*XMP_TIFF, "NativeDigest", ""),
    (*XMP_EXIF, "NativeDigest", ""),
)
"""Usual prefix, namespace and names (an expression) of what is untrue of the picture alone, and what went with it."""

TURNED = (
    (
        "mwg-rs",
        "http://www.metadataworkinggroup.com/schemas/regions/",
        "Regions",
        "the places of faces, since it was turned",
    ),
    ("GPano", "http://ns.google.com/photos/1.0/panorama/", r"\w+", "its place in a panorama, since it was turned"),
)
"""The same of what is untrue once the picture is turned."""


def corrected_xmp(xmp: bytes, turn: int, height: int, width: int) -> tuple[bytes, list[str]]:
    """XMP of a picture that was turned upright and is alone, and what it lost.

    Args:
        turn, height, width: see `corrected_exif`.

    Raises:
        ValueError: no UTF-8.
    """
    text = xmp.decode("utf-8")
    if "\0" in text.rstrip("\0"):
        raise ValueError("is no UTF-8")
    lost = []
    for usual, space, names, what in UNTRUE + (TURNED if turn != 1 else ()):
        for prefix in _prefixes(text, usual, space):
            name = rf"{prefix}:{names}"
            element = rf"<({name})(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)"
            text, count = re.subn(rf"\s{name}\s*=\s*(?:\"[^\"]*\"|'[^']*')|{element}", "", text, flags=re.DOTALL)
            lost += [what] if count and what else []
    values = [(XMP_TIFF, "Orientation", 1), (XMP_TIFF, "ImageWidth", width), (XMP_TIFF, "ImageLength", height)]
    values += [(XMP_EXIF, "PixelXDimension", width), (XMP_EXIF, "PixelYDimension", height)]
    for space, name, value in values:
        for prefix in _prefixes(text, *space):
            text = re.sub(rf"({prefix}:{name}\s*(?:>|=\s*[\"'])\s*)\d+", rf"\g<1>{value}", text)
    return text.encode(), list(dict.fromkeys(lost))


def _prefixes(text: str, usual: str, space: str) -> set[str]:
    """What names of a namespace begin with: as declared, and as everybody does."""
    return {usual, *re.findall(rf"xmlns:([\w.-]+)\s*=\s*[\"']{re.escape(space)}[\"']", text)}
