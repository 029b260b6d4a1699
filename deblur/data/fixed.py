"""Which pictures the bundled copies are scored on: fixed by hash, before anything was trained for them.

Where JPEG or video is decoded otherwise than here, a few values differ by a level or two. Then scores of that machine
compare with each other, and with those of `results/` to about the difference of the blurred input's PSNR.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deblur.data import official


class Exam(NamedTuple):
    """The pictures of a split.

    Attributes:
        pairs: how many.
        psnr_db: mean PSNR of the blurred ones.
        pixels: sixteen hexadecimal digits for all decoded values, blurred and sharp, in reading order.
    """

    pairs: int
    psnr_db: float
    pixels: str


EXAMS = {
    "mini-gopro": {"validation": Exam(12, 29.4906, "a30625035833379b"), "test": Exam(36, 28.4494, "8a5388cf98f8da65")},
    "bench-gopro": {"validation": Exam(32, 23.5695, "b0844d1b58b745f6"), "test": Exam(60, 23.1283, "ad62a1a48f20dcb2")},
    "mini-exam": {"test": Exam(96, 28.6719, "56a97b6e50c0a7b1")},
    "bench-exam": {"test": Exam(128, 23.4265, "62921c7a629abe94")},
}
"""Name of a copy -> split -> what it holds. Whoever changes this changes what every result was measured on."""


def exam(pairs: Iterable[official.Pair]) -> Exam:
    """What some pairs hold."""
    digest, scores = hashlib.sha256(), []
    for pair in pairs:
        blurred, sharp = official.read_pair(pair)
        digest.update(blurred.tobytes())
        digest.update(sharp.tobytes())
        scores.append(10 * np.log10(255**2 / np.mean((blurred.astype(float) - sharp) ** 2)))
    return Exam(len(scores), round(float(np.mean(scores)), 4), digest.hexdigest()[:16])


def differences(name: str, root: Path, splits: Iterable[str]) -> list[str]:
    """In words, which splits of a copy are not those that are fixed; empty where none is."""
    told = []
    for split in EXAMS.get(name, {}).keys() & set(splits):
        fixed, here = EXAMS[name][split], exam(official.find_pairs("gopro", root, split, subset="blur"))
        if here.pixels != fixed.pixels:
            told.append(
                f"{split}: other pictures than those of results/ (input {here.psnr_db - fixed.psnr_db:+.4f} dB), as "
                f"another JPEG or video decoder makes them; compare scores of this machine with each other"
            )
    return sorted(told)
