"""What weights that other projects published gain on the bundled pairs: `weights/yardsticks.csv`.

A row a file of weights, split and kind of blur, `all` included. They were trained on other data than ours, and count as
no training of ours: they say where the field's measure lies. `python -m deblur.reports.yardsticks` writes the rows.
"""

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from deblur import paths


class Yardstick(NamedTuple):
    """What a network with published weights gains on the pairs of one kind.

    Attributes:
        source: see `source_of`.
        trained_on: as its project says.
        scale: of the bundled copy, `mini` or `bench` (blur of full size).
        fingerprint: of the benchmark's copy.
        kind: of blur, or `all`.
        psnr_db, gain_db: means over the pairs, by the protocol `full_rgb8`.
    """

    network: str
    variant: str
    source: str
    trained_on: str
    scale: str
    fingerprint: str
    split: str
    kind: str
    pairs: int
    psnr_db: float
    gain_db: float


def file() -> Path:
    """Where they are kept."""
    return paths.bundled_dir() / "weights" / "yardsticks.csv"


def listed() -> list[Yardstick]:
    """All rows; none before anything was measured."""
    if not file().is_file():
        return []
    with open(file(), encoding="utf-8", newline="") as stream:
        kinds = Yardstick.__annotations__
        return [Yardstick(**{name: kinds[name](row[name]) for name in kinds}) for row in csv.DictReader(stream)]


def source_of(hashes: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits for the files of a project's weights, by their SHA-256, whatever they are called."""
    return hashlib.sha256("\n".join(sorted(hashes.values())).encode()).hexdigest()[:16]


def measured(hashes: Mapping[str, str], variant: str) -> tuple[dict[str, float] | None, str | None]:
    """What a card says of such weights: scores on the test split of `bench`, and the fingerprint of that copy; None for
    both if nobody measured them."""
    wanted = (source_of(hashes), variant, "bench", "test")
    own = [row for row in listed() if (row.source, row.variant, row.scale, row.split) == wanted]
    if not own:
        return None, None
    (whole,) = (row for row in own if row.kind == "all")
    by_kind = {f"gain_db_{row.kind}": row.gain_db for row in own if row is not whole}
    return {"psnr_db": whole.psnr_db, "gain_db": whole.gain_db} | by_kind, whole.fingerprint


def gains(fingerprint: str, split: str = "test") -> dict[str, dict[str, float]]:
    """Network with published weights -> kind of blur -> its gain in dB on a copy's split."""
    by_network: dict[str, dict[str, float]] = {}
    for row in listed():
        if (row.fingerprint, row.split) == (fingerprint, split):
            by_network.setdefault(row.network, {})[row.kind] = row.gain_db
    return by_network
