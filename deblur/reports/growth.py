"""How time and memory grow with the lines of an image, the batch and the number of pairs, for the five networks.

`python -m deblur.reports.growth` measures for about 25 minutes and writes `results/growth/growth.csv` and `growth.png`;
interrupted, it goes on where it was on the same machine and commit. Linux only. Every measurement has a process of its
own. `peak_mib` is what its resident memory grows by at most, inputs excluded; `counted_mib` is what PyTorch's
operations return and hold at once, counted on the meta device. Widths are those of a recipe's scale: paper size where a
pass takes no more than `MOST_GMACS`, and the small networks of mini.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import nn
from tqdm.auto import tqdm

from benchmarks.__main__ import machine
from deblur import evaluation, models, paths, recipes, writing
from deblur.data import copies
from deblur.evaluation import complexity
from deblur.journal import Journal
from deblur.losses import LOSSES
from deblur.notebooks import PAPERS
from deblur.photos import tiles
from deblur.runs.provenance import provenance

HEIGHTS = (256, 512, 720, 1080, 2160)  # of images of 16:9
BATCHES = (1, 2, 4, 8)  # of 256x256
PAIRS = (4, 8, 16, 32)  # of the bundled test split
TILE, MARGIN = 384, 32
MOST_GMACS = 1500
LIMIT = 15 * 2**30
"""Bytes that a measurement may take; one that needs more is left empty."""


@dataclass(frozen=True)
class Case:
    """What is measured: `whole` and `tiled` restore an image, `training step` and `evaluation` are as at mini."""

    network: str
    widths: str
    what: str
    height: int
    width: int
    batch: int = 1
    pairs: int = 0

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return models.build(self.network, **recipes.recipe(self.network, scale=self.widths).config)

    def counts(self) -> dict[str, float]:
        """Billions of multiply-accumulates and MiB held of a forward pass, without computing it."""
        if self.what not in ("whole", "tiled"):
            return {}
        with torch.device("meta"):
            network = self.build()
        height, width = (min(side, TILE) if self.what == "tiled" else side for side in (self.height, self.width))
        held = complexity.peak_bytes(network, torch.empty(1, 3, height, width, device="meta"))
        gmacs = complexity.macs(network, self.height, self.width) / 1e9
        return {"counted_mib": held / 2**20} | ({"gmacs": gmacs} if self.what == "whole" else {})


def cases(heights: Iterable[int], batches: Iterable[int], pairs: Iterable[int]) -> Iterator[Case]:
    """Everything that is measured, short ones first."""
    for widths in ("mini", "paper"):
        for height in heights:
            for network in PAPERS:
                case = Case(network, widths, "whole", height, round(height * 16 / 9))
                if case.counts()["gmacs"] <= MOST_GMACS:
                    yield case
                    yield Case(network, widths, "tiled", case.height, case.width)
    for network in PAPERS:
        yield from (Case(network, "mini", "training step", 256, 256, batch) for batch in batches)
        yield from (Case(network, "mini", "evaluation", 144, 256, pairs=count) for count in pairs)


def _status(name: str) -> int:
    """A figure that Linux keeps about this process, in KiB."""
    match = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None  # Linux always says so
    return int(match[1])


def measure(case: Case) -> dict[str, float]:
    """Seconds (median and extremes) and MiB of a case, in this process."""
    import resource  # which only Unix has

    size = 1024 * _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (size + LIMIT, resource.RLIM_INFINITY))
    work = prepare(case)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _status("VmHWM")
    taken: list[float] = []
    try:
        while len(taken) < 3 and sum(taken) < 10:
            begin = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begin)
    except (RuntimeError, MemoryError) as error:
        if "memory" not in str(error):
            raise
        return {}
    peak = _status("VmHWM")
    seconds = {"seconds": median(taken), "seconds_min": min(taken), "seconds_max": max(taken)}
    return seconds | {"peak_mib": (peak - before) / 1024}


def prepare(case: Case) -> Callable[[], object]:
    """The work of a case, its inputs made and what a first call sets up behind it."""
    network = case.build()
    rng = np.random.default_rng(0)
    if case.what == "training step":
        recipe = recipes.recipe(case.network)
        loss = partial(LOSSES[recipe.loss], **recipe.loss_args)
        step = partial(train, network.train(), loss)
        step(*torch.rand(2, 1, 3, 64, 64))
        return partial(step, *torch.rand(2, case.batch, 3, case.height, case.width))
    restorer = evaluation.restorer(network)
    restorer(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    if case.what == "evaluation":
        pairs = copies.open_data().pairs("test", case.pairs)
        evaluation.evaluate(restorer, pairs[:1])
        return partial(evaluation.evaluate, restorer, pairs)
    image = rng.integers(0, 256, (case.height, case.width, 3), dtype=np.uint8)
    return partial(tiles.tiled, restorer, image, TILE, MARGIN) if case.what == "tiled" else partial(restorer, image)


def train(network: nn.Module, loss: Callable, blurred: torch.Tensor, sharp: torch.Tensor) -> None:
    """Forward and backward pass."""
    network.zero_grad()
    sum(loss(network(blurred), sharp, 0.0).values()).backward()


def draw(table: pd.DataFrame) -> Figure:
    """Times above, memory below; full lines are whole images, dashed ones the same in tiles."""
    images = table[table["what"].isin(("whole", "tiled"))]
    columns = [
        ("height", "lines of a 16:9 image, mini widths", images.query("widths == 'mini'")),
        ("height", "lines of a 16:9 image, paper widths", images.query("widths == 'paper'")),
        ("batch", "batch of a training step, 256x256, mini", table.query("what == 'training step'")),
        ("pairs", "pairs of an evaluation, 144x256, mini", table.query("what == 'evaluation'")),
    ]
    figure, axes = plt.subplots(2, len(columns), figsize=(18, 8.5), sharex="col", sharey="row", layout="constrained")
    for (name, label, part), (above, below) in zip(columns, axes.T, strict=True):
        for number, network in enumerate(PAPERS):
            for what, line in (("whole", "-"), ("tiled", "--"), ("training step", "-"), ("evaluation", "-")):
                curve = part[(part["network"] == network) & (part["what"] == what)].sort_values(name)
                look = {"color": f"C{number}", "linestyle": line, "marker": "o", "markersize": 4}
                legend = network + (", tiles" if what == "tiled" else "")
                if len(curve):
                    above.plot(curve[name], curve["seconds"], label=legend, **look)
                    below.plot(curve[name], curve["peak_mib"], **look)
        ticks = sorted(part[name].unique())
        for axis in (above, below):
            axis.set(xscale="log", yscale="log")
            axis.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
            axis.set_xticks([], minor=True)
            axis.yaxis.set_major_formatter("{x:g}")
            axis.grid(alpha=0.3)
        below.set_xlabel(label)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("MiB of memory at most")
    axes[0, 0].legend(fontsize=8, ncols=2)
    first = table.iloc[0]
    made = f"{first['machine']}, {first['threads']} threads; commit {first['commit'][:10]}"
    figure.suptitle(f"Cost growth, tiles of {TILE} px (dashed); {made}")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deblur.reports.growth", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=paths.results_dir() / "growth", help="folder (default: results/growth)"
    )
    parser.add_argument("--quick", action="store_true", help="the first two of each series only")
    options = parser.parse_args()
    series = [numbers[:2] if options.quick else numbers for numbers in (HEIGHTS, BATCHES, PAIRS)]
    copies.open_data()  # written now if need be
    made = provenance()
    record = {"machine": machine(), **{name: made[name] for name in ("threads", "commit", "dirty")}}
    # A process that has imported everything, and computed nothing, forks one for each measurement.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deblur.notebooks", "matplotlib.pyplot"])
    options.out.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.out / "growth.journal", record)
    rows = []
    with context.Pool(1, maxtasksperchild=1) as pool:
        for case in tqdm(list(cases(*series)), mininterval=5):
            key = " ".join(map(str, asdict(case).values()))
            if key not in journal.rows:
                journal.append(key, "", pool.apply(measure, (case,)))
            rows.append(asdict(case) | case.counts() | journal.rows[key][1] | record)
    table = pd.DataFrame(rows)
    writing.write_text(options.out / "growth.csv", table.to_csv(index=False, float_format="%.5g"))
    with writing.replacing(options.out / "growth.png") as draft:
        draw(table).savefig(draft, dpi=110, metadata={"Software": None})
    journal.path.unlink()
    print(options.out)


if __name__ == "__main__":
    main()
