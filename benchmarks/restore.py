"""What `deblur restore` takes: seconds and memory against megapixels.

`python -m benchmarks.restore --model NAME` prints the rows, without a name those of the default network, and writes
them to `results/bench/restore.csv`, beside those of other networks, and as curves to `restore.png`. Each size is a
JPEG, restored by the command in a process of its own.
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


def merged(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The rows with those of other networks that the file has."""
    if not file.is_file():
        return table
    before = pd.read_csv(file)
    return pd.concat([before[~before["model"].isin(table["model"])], table], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Seconds and memory against megapixels, a curve a network."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, (name, label) in zip(axes, (("seconds", "seconds"), ("memory_gb", "GB of memory at most")), strict=True):
        for (model, device), rows in table.groupby(["model", "device"]):
            axis.plot(rows["megapixels"], rows[name], "o-", markersize=4, label=f"{model}, {device}")
        axis.set(xlabel="megapixels", ylabel=label, xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.suptitle("deblur restore", fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name or .safetensors file (default: what gains most)")
    parser.add_argument("--sizes", type=float, nargs="+", default=MEGAPIXELS, help="in megapixels")
    parser.add_argument("--out", type=Path, default=paths.results_dir() / "bench")
    chosen = parser.parse_args()
    stamp = {"model": released.find(chosen.model).stem, "machine": machine(), "device": device_name()}
    rows = pd.DataFrame(run(chosen.model, chosen.sizes)).assign(**stamp).round(3)
    table = merged(rows, chosen.out / "restore.csv")
    writing.write_text(chosen.out / "restore.csv", table.to_csv(index=False))
    with writing.replacing(chosen.out / "restore.png") as draft:
        draw(table).savefig(draft, dpi=110, metadata={"Software": None})
    print(rows.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
