"""A picture, and what is common to the kinds of files that hold one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # a third of a second that only TIFF is worth
    pass


KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}


KINDS |= {".webp": "WEBP", ".bmp": "BMP", ".avif": "AVIF", ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC"}
"""Suffix, in lower case -> kind of file."""


SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
"""Kind of file that is written -> the suffix that it gets where it has another kind's."""


LONGEST = {"JPEG": 65_500, "WEBP": 16_383, "PNG": 1_000_000}
"""Pixels that a side may have, where the kind of file, or what reads it, has a limit."""


SEGMENT = 65_533
"""Bytes that a segment of JPEG holds: EXIF, XMP, IPTC and comments have one each."""


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


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as stored, (H,W,...), turned by what EXIF's orientation (1 to 8) says; other values turn nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def profile_space(icc: bytes) -> str:
    """The colours that a profile describes: RGB, GRAY, CMYK...; none if it is no profile."""
    return icc[16:20].decode("latin-1").strip() if icc[36:40] == b"acsp" else ""


def check_size(height: int, width: int, most: int | None) -> None:
    if most is not None and width * height > most:
        raise Refused(
            f"has {width * height / 1e6:.0f} million pixels, and there is memory for {most / 1e6:.0f} million; "
            "scale it down or close other programs"
        )


def check_alone(number: int, what: str) -> None:
    if number > 1:
        raise Refused(f"has {number} {what}; save the one that you mean as a file of its own")


def scaled(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of so many bits as uint8, or as uint16 where there are more than 8, black and white kept."""
    kind, most = (np.uint8, 255) if bits <= 8 else (np.uint16, 65535)
    if bits in (8, 16):
        return values.astype(kind, copy=False)
    steps = np.rint(np.arange(1 << bits) * (most / ((1 << bits) - 1))).astype(kind)
    return steps[values]


def straight(values: np.ndarray, bits: int) -> np.ndarray:
    """Pixels (H,W,2) or (H,W,4) of so many bits whose colours are multiplied by alpha, without that and scaled."""
    most = 255 if bits <= 8 else 65535
    result = scaled(values, bits)
    alpha = values[..., -1].astype(np.uint64)
    for channel in range(values.shape[2] - 1):
        colour = values[..., channel].astype(np.uint64)
        result[..., channel] = np.minimum((2 * most * colour + alpha) // np.maximum(2 * alpha, 1), most)
    return result


def kind_of(path: Path) -> str:
    """The kind of file that a name asks for.

    Raises:
        ValueError: a suffix of none of those that are written.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind not in SUFFIXES:
        suffixes = ", ".join(suffix for suffix, kind in KINDS.items() if kind in SUFFIXES)
        raise ValueError(f"{path}: no kind of picture that is written here; end the name in one of {suffixes}")
    return kind


def has_alpha(pixels: np.ndarray) -> bool:
    return pixels.shape[2:] in ((2,), (4,))


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Of 16 bits the nearest of 8; pixels of 8 bits as they are."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / np.float32(257)).astype(np.uint8)
