"""Photographs as files: pixels upright, metadata kept, and nothing silently taken for what it is not.

What a file holds is read from its header, and a form that is not supported is refused by name. tifffile reads TIFF,
imagecodecs PNG, WebP and AVIF, pi-heif HEIC, Pillow the rest.
"""

from deblur.photos.pictures.picture import KINDS, LONGEST, Picture, Refused, eight_bits, kind_of, upright
from deblur.photos.pictures.reading import read
from deblur.photos.pictures.writing import fit, result_suffix, write

__all__ = [
    "KINDS",
    "LONGEST",
    "Picture",
    "Refused",
    "eight_bits",
    "fit",
    "kind_of",
    "read",
    "result_suffix",
    "upright",
    "write",
]
