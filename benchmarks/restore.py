"""What `deblur restore` takes: seconds and memory against megapixels, and what tiles change.

`python -m benchmarks.restore --model NAME` prints the rows, without a name those of the default network, and writes
them to `results/bench/restore.csv` and, as a curve, `restore.png`. Each size is a JPEG, restored by the command in a
process of its own. Then comes how far a restoration by the smallest tiles is from that of the whole image, on a picture
of one megapixel.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from skimage import data

from benchmarks.__main__ import machine
from deblur import paths, writing
from deblur.evaluation.complexity import device_name
from deblur.photos import restoration, tiles
from deblur.weights import released

MEGAPIXELS = (1, 2, 4, 8, 12)
COMMAND = (
    "import resource, sys; from deblur import cli; status = cli.main(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
)


def photograph(megapixels: float) -> np.ndarray:
    """A picture of 4:3 with so many million pixels: one bundled photograph again and again, mirrored at its edges."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = round(width * 3 / 4)
    source = data.astronaut()
    extra = (max(0, height - source.shape[0]), max(0, width - source.shape[1]))
    return np.pad(source, ((0, extra[0]), (0, extra[1]), (0, 0)), mode="symmetric")[:height, :width]


def measure(megapixels: float, folder: Path, options: list[str]) -> dict:
    """Restore a JPEG by the command: seconds of the whole process, and the most memory that it held."""
    source = folder / f"{megapixels}.jpg"
    Image.fromarray(photograph(megapixels)).save(source, quality=92)
    command = [sys.executable, "-c", COMMAND, "restore", str(source), "-o", str(folder / f"{megapixels}-out.jpg")]
    start = time.perf_counter()
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - start
    return {"megapixels": megapixels, "seconds": seconds, "memory_gb": 1024 * int(done.stdout.split()[-1]) / 1e9}


def run(model: str | None = None, sizes: tuple[float, ...] = MEGAPIXELS) -> list[dict]:
    """A row for each size: `megapixels`, `seconds`, `memory_gb` of the whole process."""
    options = ["--model", model] if model else []
    with tempfile.TemporaryDirectory() as scratch:
        return [measure(size, Path(scratch), options) for size in sizes]


def tile_difference(model: str | None = None) -> dict[str, float]:
    """Levels of 255 by which the smallest tiles change the restoration of one megapixel."""
    network, image = released.load(model), photograph(1)
    smallest = 3 * tiles.MARGIN + 2 * tiles.ALIGN
    whole, parts = (
        restoration.restore(image, network, tile=tile).astype(np.float64) for tile in (max(image.shape), smallest)
    )
    difference = np.abs(whole - parts)
    return {"tile_px": smallest, "rms": np.sqrt(np.square(difference).mean()), "largest": difference.max()}


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Seconds and memory against megapixels."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, (name, label) in zip(axes, (("seconds", "seconds"), ("memory_gb", "GB of memory at most")), strict=True):
        axis.plot(table["megapixels"], table[name], "o-", markersize=4)
        axis.set(xlabel="megapixels", ylabel=label, xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.suptitle(title, fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name or .safetensors file (default: what gains most)")
    parser.add_argument("--sizes", type=float, nargs="+", default=MEGAPIXELS, help="in megapixels")
    parser.add_argument("--out", type=Path, default=paths.results_dir() / "bench")
    chosen = parser.parse_args()
    stamp = {"model": released.find(chosen.model).stem, "machine": machine(), "device": device_name()}
    table = pd.DataFrame(run(chosen.model, chosen.sizes))
    writing.write_text(chosen.out / "restore.csv", table.assign(**stamp).round(3).to_csv(index=False))
    with writing.replacing(chosen.out / "restore.png") as draft:
        draw(table, "deblur restore: " + "; ".join(stamp.values())).savefig(draft, dpi=110, metadata={"Software": None})
    print(*stamp.values(), sep="; ")
    print(table.to_string(index=False, float_format="%.2f"))
    print(pd.DataFrame([tile_difference(chosen.model)]).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
