"""Training crops a second from a packed split, beside decoding the PNGs and beside an LMDB of encoded sub-images.

Twelve pairs of 720x1280 are written for it. All sources serve batches of eight 256 px crops as uint8 arrays, by two
worker processes. "As float batches" are those of `loading.Batches`, flipped and converted. The last row simulates
an accelerator, whose step takes `STEP_MS`, by a sleep: how much of a step is waiting for its batch.
`python -m benchmarks.loading` prints the rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median

import cv2
import lmdb
import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage import data as photographs
from torch.utils.data import DataLoader, Dataset

from deblur.data import loading, official, packing
from deblur.evaluation.complexity import device_name

PAIRS, HEIGHT, WIDTH = 12, 720, 1280
BATCH, CROP, WORKERS = 8, 256, 2
SUB_IMAGE, STRIDE = 480, 240
STEP_MS = 50.0
STEPS = 20
AHEAD = 2 * WORKERS  # batches that the workers hold ready
ROUNDS = 5


def write_tree(root: Path) -> list[official.Pair]:
    """Pairs as heavy as GoPro's: photographs with a camera's noise, about 1.4 MB a PNG; the other is blurred."""
    rng = np.random.default_rng(0)
    sources = [photographs.astronaut(), photographs.chelsea(), photographs.coffee(), photographs.rocket()]
    for number in range(PAIRS):
        sharp = cv2.resize(sources[number % len(sources)], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        sharp = np.roll(sharp, 40 * number, axis=1).astype(np.float32)
        for part, image in (("sharp", sharp), ("blur", cv2.blur(sharp, (15, 1)))):
            path = root / "GOPRO_Large" / "train" / "GOPR0001_11_00" / part / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noisy = image + rng.normal(0, 1.5, image.shape)
            Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(path)
    return official.find_pairs("gopro", root, "train", subset="blur")


def write_lmdb(pairs: Sequence[official.Pair], folder: Path) -> int:
    """Sub-images as other projects cut them, PNG-encoded; returns how many pairs of them there are."""
    count = 0
    with lmdb.open(str(folder), map_size=2**32) as store, store.begin(write=True) as writing:
        for pair in pairs:
            images = official.read_pair(pair)
            for y in (0, STRIDE):
                for x in [*range(0, WIDTH - SUB_IMAGE, STRIDE), WIDTH - SUB_IMAGE]:
                    for part, image in zip(("blur", "sharp"), images, strict=True):
                        window = cv2.cvtColor(image[y : y + SUB_IMAGE, x : x + SUB_IMAGE], cv2.COLOR_RGB2BGR)
                        writing.put(f"{part}{count}".encode(), cv2.imencode(".png", window)[1].tobytes())
                    count += 1
    return count


@dataclass
class SubImages:
    """Crops from an LMDB of encoded sub-images, a `loading.Source`."""

    folder: Path
    count: int

    @cached_property
    def store(self) -> lmdb.Environment:
        """Opened where it is used: an environment must not be shared by processes."""
        return lmdb.open(str(self.folder), readonly=True, lock=False, readahead=False)

    def crop(self, rng: np.random.Generator, size: int, edge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        number = rng.integers(self.count)
        y, x, h, w = loading.random_window(rng, SUB_IMAGE, SUB_IMAGE, size, edge)
        return tuple(self.image(f"{part}{number}")[y : y + h, x : x + w] for part in ("blur", "sharp"))

    def image(self, key: str) -> np.ndarray:
        with self.store.begin(buffers=True) as reading:
            encoded = np.frombuffer(reading.get(key.encode()), np.uint8)
            return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@dataclass(frozen=True)
class Crops(Dataset):
    """Batches of crops as they come from a source, (batch, 2, crop, crop, 3) uint8, by step."""

    source: loading.Source

    def __getitem__(self, step: int) -> torch.Tensor:
        samples = [self.source.crop(np.random.default_rng([step, i]), CROP, 0.0) for i in range(BATCH)]
        return torch.from_numpy(np.stack(samples))

    def loader(self, start: int, stop: int, workers: int) -> Iterator[torch.Tensor]:
        return iter(DataLoader(self, batch_size=None, sampler=range(start, stop), num_workers=workers))


def batch_ms(batches: Crops | loading.Batches, steps: int) -> float:
    """Milliseconds that a batch takes once the workers are at work."""
    loader = batches.loader(0, AHEAD + steps, WORKERS)
    for _ in range(AHEAD):
        next(loader)
    begin = time.perf_counter()
    for _ in range(steps):
        next(loader)
    return 1e3 * (time.perf_counter() - begin) / steps


def step_ms(batches: loading.Batches) -> tuple[float, float]:
    """Milliseconds of a training step that sleeps for `STEP_MS`, and those of them that it waits for its batch."""
    loader = batches.loader(0, AHEAD + STEPS, WORKERS)
    for _ in range(AHEAD):
        next(loader)
    waited, begin = 0.0, time.perf_counter()
    for _ in range(STEPS):
        asked = time.perf_counter()
        next(loader)
        waited += time.perf_counter() - asked
        time.sleep(STEP_MS / 1e3)
    return 1e3 * (time.perf_counter() - begin) / STEPS, 1e3 * waited / STEPS


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them, times of a batch, with `crops_per_s` and `other_crops_per_s`.

    In the last row times are those of a step, `waits` and `other_waits` the shares of them spent waiting.

    Raises:
        AssertionError: a source gives other pixels than the tree.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the workers share the cores
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _rows(Path(folder))
    finally:
        cv2.setNumThreads(threads)


def _rows(folder: Path) -> list[dict]:
    pairs = write_tree(folder)
    packing.pack(pairs, folder / "packed")
    tree, packed = loading.Tree(pairs), packing.open_packed(folder / "packed", pairs)
    stored = SubImages(folder / "lmdb", write_lmdb(pairs, folder / "lmdb"))
    _assert_same_pixels(pairs, tree, packed, replace(stored))
    on_cpu = [loading.Batches(source, CROP, BATCH, 0) for source in (packed, tree)]
    return [
        _compare("packed crops", (Crops(packed), 300), "decoding the PNGs", (Crops(tree), 6)),
        _compare("packed crops", (Crops(packed), 300), "LMDB of PNG sub-images", (Crops(stored), 12)),
        _compare("packed, as float batches", (on_cpu[0], 60), "decoding the PNGs", (on_cpu[1], 6)),
        _waiting(*on_cpu),
    ]


def _waiting(packed: loading.Batches, tree: loading.Batches) -> dict:
    """The row of a simulated training."""
    times = [(*step_ms(packed), *step_ms(tree)) for _ in range(3)]
    ours_ms, ours_waits, other_ms, other_waits = (median(column) for column in zip(*times, strict=True))
    ratios = [other / ours for ours, _, other, _ in times]
    return {
        "name": f"training step, {STEP_MS:.0f} ms simulated",
        "ours_ms": ours_ms,
        "other": "decoding the PNGs",
        "other_ms": other_ms,
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
        "waits": ours_waits / ours_ms,
        "other_waits": other_waits / other_ms,
    }


def _assert_same_pixels(
    pairs: Sequence[official.Pair], tree: loading.Tree, packed: packing.Packed, stored: SubImages
) -> None:
    np.testing.assert_array_equal(Crops(packed)[3], Crops(tree)[3])
    for part, frame in zip(("blur", "sharp"), official.read_pair(pairs[1]), strict=True):
        # The second of the second frame; ten come from each.
        np.testing.assert_array_equal(stored.image(f"{part}11"), frame[:SUB_IMAGE, STRIDE : STRIDE + SUB_IMAGE])
    stored.store.close()


def _compare(name: str, ours: tuple[Dataset, int], other: str, theirs: tuple[Dataset, int]) -> dict:
    """One row; a side is its batches, and how many of them a round takes."""
    times = [(batch_ms(*ours), batch_ms(*theirs)) for _ in range(ROUNDS)]
    ratios = [other_ms / ours_ms for ours_ms, other_ms in times]
    ours_ms, other_ms = (median(side) for side in zip(*times, strict=True))
    return {
        "name": name,
        "ours_ms": ours_ms,
        "other": other,
        "other_ms": other_ms,
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
        "crops_per_s": 1e3 * BATCH / ours_ms,
        "other_crops_per_s": 1e3 * BATCH / other_ms,
    }


if __name__ == "__main__":
    print(f"{device_name()}, {WORKERS} loader processes, batches of {BATCH} crops of {CROP} px")
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
