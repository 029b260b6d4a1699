"""What the figures of all papers share: panels of images, schematic diagrams, and one way to save and show.

Matplotlib and plain arrays only; images are (H,W,3) uint8 or float in [0,1].
"""

import html
import io
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import cv2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deblur import tables, writing
from deblur.evaluation import maps

if TYPE_CHECKING:
    import IPython.display
    from matplotlib.patches import Patch

INK, PAPER, BOX = "#222222", "#d9d9d9", "#eef2f8"
"""Lines and text, the ground below them, which is no slab of light in a dark theme, and boxes of diagrams."""

MAP = "viridis"
"""The colour map of all maps: even to the eye, and in grey too."""

ABREAST = 4
"""Images with crops in a row: at the width of a notebook what differs can be seen."""


def save(figure: Figure, scale: str, paper: str, name: str) -> Path:
    """Write a figure as PNG under `results/<scale>/<paper>/figures/`, atomically."""
    path = tables.folder(scale, paper) / "figures" / f"{name}.png"
    for axis in figure.axes:
        axis.set_facecolor(PAPER)
    with writing.replacing(path) as draft:
        figure.savefig(draft, dpi=110, facecolor=PAPER, bbox_inches="tight", metadata={"Software": None})
    return path


def show(figure: Figure, scale: str, paper: str, name: str, alt: str) -> "IPython.display.DisplayObject":
    """Save a figure and return it for display: with photographs or maps in it as a JPEG, so that executed notebooks
    stay small (what is kept is a PNG), else as vectors, sharp at any zoom."""
    from IPython.display import HTML, Image
    from PIL import Image as Picture

    path = save(figure, scale, paper, name)
    matplotlib.pyplot.close(figure)
    if not any(axis.images for axis in figure.axes):
        # Notebooks that are not trusted yet hide an SVG, but not a picture that holds one.
        code = quote(vectors(figure), safe="".join(set(string.printable) - set('"#%&<>')))
        return HTML(f'<img alt="{html.escape(alt)}" src="data:image/svg+xml,{code}">')
    stream = io.BytesIO()
    Picture.open(path).convert("RGB").save(stream, "JPEG", quality=65, optimize=True, progressive=True)
    return Image(data=stream.getvalue(), format="jpeg", alt=alt)


def vectors(figure: Figure) -> str:
    """A figure as SVG, letters as outlines: the same text for the same figure, and the same look everywhere.

    Without comments and line ends and to a thousandth of a pt, so that executed notebooks stay small.
    """
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "deblur", "svg.fonttype": "path"}):
        nothing = {"Date": None, "Creator": None}
        figure.savefig(stream, format="svg", facecolor=PAPER, bbox_inches="tight", metadata=nothing)
    text = re.sub(r"<!--.*?-->", "", stream.getvalue().decode(), flags=re.DOTALL)
    text = re.sub(r"\s+", " ", re.sub(r"(\.\d{3})\d+", r"\1", text))
    return text.replace("> <", "><").replace('"', "'")


class Map(NamedTuple):
    """A map (h,w) to be drawn with its range: that from `low` to `high`, else its own; `unit` is written behind."""

    values: np.ndarray
    low: float | None = None
    high: float | None = None
    unit: str = ""

    @property
    def range(self) -> tuple[float, float]:
        """From where to where colours run."""
        low = float(self.values.min()) if self.low is None else self.low
        return low, float(self.values.max()) if self.high is None else self.high

    @property
    def silent(self) -> bool:
        """Whether it hardly varies, on no given scale: then it is grey."""
        return self.low is None and maps.is_constant(self.values)


def heat(values: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """A map (h,w) as colours of `MAP`, min to max, bilinearly brought to `size` (H,W); grey if all of it is equal."""
    values = np.asarray(values, dtype=np.float64)
    if size is not None:
        values = maps.enlarged(values, size)
    spread = np.ptp(values)
    if spread == 0:
        return np.full((*values.shape, 3), 0.5)
    return colormaps[MAP]((values - values.min()) / spread)[..., :3]


def marked(title: str, verdicts: Mapping[str, str], *parts: str) -> str:
    """A title that says so where one of the parts that it is about does nothing in the trained network.

    Args:
        verdicts: part -> verdict, see `evaluation.verdicts`; what is not in it was not looked at.
    """
    return f"{title} (inert)" if any(verdicts.get(part) == "inert" for part in parts) else title


def panels(
    rows: Sequence[Sequence[np.ndarray | Map | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    labels: Sequence[Sequence[str]] | None = None,
    width: float = 2.6,
) -> Figure:
    """A grid of images and maps; `None` leaves a cell empty, `labels` are written below the cells.

    A map has its range in a bar below it, or is grey and says so where it hardly varies.

    Args:
        width: of a cell, in inches.
    """
    from matplotlib import pyplot

    count = max(len(row) for row in rows)
    shapes = [next(_array(cell).shape for cell in row if cell is not None) for row in rows]
    below = [0.25 if labels or any(isinstance(cell, Map) for cell in row) else 0.05 for row in rows]
    heights = [width * shape[0] / shape[1] + space for shape, space in zip(shapes, below)]
    figure, axes = pyplot.subplots(
        len(rows),
        count,
        figsize=(width * count, sum(heights) + 0.3),
        squeeze=False,
        gridspec_kw={"height_ratios": heights, "wspace": 0.03, "hspace": 0.18 if max(below) > 0.05 else 0.06},
    )
    for i, row in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            axis.set(xticks=[], yticks=[], frame_on=False)
            if j < len(row) and (cell := row[j]) is not None:
                if isinstance(cell, Map):
                    _draw(axis, cell)
                else:
                    axis.imshow(cell, interpolation="nearest")
                if labels and labels[i][j]:
                    axis.set_xlabel(labels[i][j], fontsize=8, color=INK, labelpad=2)
            if i == 0 and j < len(column_titles):
                axis.set_title(column_titles[j], fontsize=9, color=INK)
            if j == 0 and i < len(row_titles):
                axis.set_ylabel(row_titles[i], fontsize=9, color=INK)
    return figure


def _array(cell: np.ndarray | Map) -> np.ndarray:
    return cell.values if isinstance(cell, Map) else cell


def _draw(axis: Axes, shown: Map) -> None:
    """A map with the bar of its range below it, both at the cell's width."""
    low, high = shown.range
    if shown.silent:
        axis.imshow(np.full((*shown.values.shape, 3), 0.5))
        axis.text(0.5, -0.03, f"constant, {low:.2g}", transform=axis.transAxes, ha="center", va="top", fontsize=7)
        return
    drawn = axis.imshow(shown.values, cmap=MAP, vmin=low, vmax=high, interpolation="bilinear")
    bar = axis.inset_axes((0.32, -0.075, 0.36, 0.035))
    axis.figure.colorbar(drawn, cax=bar, orientation="horizontal", ticks=[])
    for place, side, value in ((0.3, "right", low), (0.7, "left", high)):
        text = f"{value:.2g} {shown.unit}".strip()
        axis.text(place, -0.06, text, transform=axis.transAxes, ha=side, va="center", fontsize=7, color=INK)


def with_crops(images: Sequence[np.ndarray], centre: tuple[int, int], side: int = 40) -> list[np.ndarray]:
    """The same square crop of every image, enlarged to the image's height and pasted at its right."""
    y = int(np.clip(centre[0] - side // 2, 0, images[0].shape[0] - side))
    x = int(np.clip(centre[1] - side // 2, 0, images[0].shape[1] - side))
    joined = []
    for image in images:
        height = image.shape[0]
        crop = cv2.resize(image[y : y + side, x : x + side], (height, height), interpolation=cv2.INTER_NEAREST)
        joined.append(np.concatenate([image, np.full((height, 4, 3), 255, image.dtype), crop], axis=1))
    return joined


def sharpest_difference(blurred: np.ndarray, sharp: np.ndarray) -> tuple[int, int]:
    """Where blur does most harm: the peak (y, x) of the smoothed difference."""
    difference = np.abs(blurred.astype(np.float64) - sharp).mean(-1)
    return np.unravel_index(cv2.GaussianBlur(difference, (0, 0), 10).argmax(), difference.shape)


def comparison(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Test cases, each image with an enlarged crop, its method and its PSNR below, `ABREAST` in a row (Figs. 6, 9, 10).

    Args:
        cases: method -> image (H,W,3) uint8; holds "blurred", and "sharp" where there is a truth.
        psnr_db: method -> PSNR of that case.
    """
    cells, labels = [], []
    for case, scores in zip(cases, psnr_db):
        sharp = case.get("sharp", case["blurred"])
        centre = (
            sharpest_difference(case["blurred"], sharp) if "sharp" in case else tuple(s // 2 for s in sharp.shape[:2])
        )
        named = [f"{name}: {scores[name]:.2f} dB" if name in scores else name for name in case]
        cells += abreast(with_crops(list(case.values()), centre))
        labels += abreast(named, "")
    return panels(cells, labels=labels, width=3.4)


def abreast(cells: Sequence[Any], filler: Any = None, columns: int = ABREAST) -> list[list[Any]]:
    """Cells in rows of so many, none of them alone in a row if that can be; the last rows are filled up."""
    rows = -(-len(cells) // columns)
    columns = -(-len(cells) // rows)
    filled = [*cells, *[filler] * (rows * columns - len(cells))]
    return [filled[start : start + columns] for start in range(0, len(filled), columns)]


def benchmark(
    images: Sequence[tuple[np.ndarray, np.ndarray]], lengths: Sequence[np.ndarray | None], names: Sequence[str]
) -> Figure:
    """Test pairs: blurred, sharp and, where it is known, the length of the path (h,w) that each pixel moved, all on one
    scale.

    Args:
        images: pairs of blurred and sharp.
    """
    rows: list[list[np.ndarray | Map | None]] = [[blurred for blurred, _ in images], [sharp for _, sharp in images]]
    given = [length for length in lengths if length is not None]
    if given:
        rows.append(paths(lengths, max(float(length.max()) for length in given)))
    return panels(rows, names, ["blurred", "sharp", "path"])


def paths(lengths: Sequence[np.ndarray | None], longest: float) -> list[np.ndarray | Map | None]:
    """Lengths of paths (h,w) as maps on one scale of px, from nothing to the longest."""
    return [None if length is None else Map(length, 0.0, longest, "px") for length in lengths]


def curves(log: pd.DataFrame, terms: Sequence[str]) -> Figure:
    """Training loss and its weighted terms, smoothed over five entries, beside the watched validation PSNR."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 2.8), constrained_layout=True)
    for term in terms:
        left.plot(log["step"], log[term].rolling(5, min_periods=1).mean(), ".-" if len(log) < 3 else "-", label=term)
    left.set(xlabel="step", yscale="log", title="training loss (weighted terms)")
    left.legend()
    if "val_psnr_db" in log:
        watched = log.dropna(subset="val_psnr_db")
        right.plot(watched["step"], watched["val_psnr_db"], "o-")
    right.set(xlabel="step", ylabel="dB", title="validation PSNR (watched, never selected on)")
    return figure


def diagram(nodes: dict[str, str], edges: Sequence[tuple[str, str]], title: str, columns: int = 7) -> Figure:
    """A schematic of a traced module: boxes in order of computation, snaking over rows, edges as arrows.

    Args:
        nodes: name -> label, in order of computation (as `probes.graph` gives them).
        edges: pairs of names.
    """
    return drawn({name: (i % columns, -(i // columns)) for i, name in enumerate(nodes)}, nodes, edges, title)


def u_shape(nodes: dict[str, str], edges: Sequence[tuple[str, str]], title: str) -> Figure:
    """A schematic of an encoder and decoder: the smaller the features, the lower and the nearer to the middle a box.

    Args:
        nodes: name -> label whose last line is a shape, e.g. "32x128x128", in order of computation.
    """
    sides = {
        name: int(label.rpartition("x")[2]) if "x" in label.rpartition("\n")[2] else 1 for name, label in nodes.items()
    }
    for start, end in reversed(edges):  # a constant stands where it is used
        sides[start] = sides[end] if sides[start] == 1 else sides[start]
    rising = sorted(set(sides.values()), reverse=True)
    depth = {name: rising.index(side) for name, side in sides.items()}
    bottom = max(i for i, level in enumerate(depth.values()) if level == len(rising) - 1)
    arms = [(name, i > bottom) for i, name in enumerate(nodes)]
    runs = {
        (level, right): [name for name, side in arms if side == right and depth[name] == level]
        for level in range(len(rising))
        for right in (False, True)
    }
    wide = max(2 * level + len(runs[level, False]) + len(runs[level, True]) for level in range(len(rising)))
    places: dict[str, tuple[int, int]] = {}
    for (level, right), run in runs.items():
        first = wide - level - len(run) if right else level
        places |= {name: (first + i, -level) for i, name in enumerate(run)}
    return drawn({name: places[name] for name in nodes}, nodes, edges, title)


def drawn(
    places: Mapping[str, tuple[int, int]], nodes: Mapping[str, str], edges: Sequence[tuple[str, str]], title: str
) -> Figure:
    """Boxes at places (column, row; rows downwards are negative), and arrows between them."""
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    wide, rows = 1 + max(x for x, _ in places.values()), 1 - min(y for _, y in places.values())
    top = 0.35 + max((_lift(places, start, end) for start, end in edges), default=0.0)
    figure, axis = pyplot.subplots(figsize=(wide * 1.75, (rows - 0.6 + top) * 1.5 + 0.3))
    boxes = {}
    for name, (x, y) in places.items():
        box = FancyBboxPatch((x - 0.38, y - 0.2), 0.76, 0.4, boxstyle="round,pad=0.03", fc=BOX, ec=INK, lw=0.8)
        boxes[name] = axis.add_patch(box)
        axis.text(x, y, nodes[name].replace(" ", "\n"), ha="center", va="center", fontsize=7, color=INK, zorder=3)
    for start, end in edges:
        _arrow(axis, places, boxes, start, end)
    axis.set(xlim=(-0.6, wide - 0.4), ylim=(0.6 - rows, top), aspect="auto")
    axis.axis("off")
    axis.set_title(title, fontsize=9, color=INK)
    return figure


def _between(places: Mapping[str, tuple[int, int]], start: str, end: str) -> bool:
    """Whether boxes of the row lie between two of its boxes."""
    (x0, y0), (x1, y1) = places[start], places[end]
    return y0 == y1 and any(y == y0 and min(x0, x1) < x < max(x0, x1) for x, y in places.values())


def _lift(places: Mapping[str, tuple[int, int]], start: str, end: str) -> float:
    """How far above the boxes of the top row an arrow bends."""
    (x0, y0), (x1, _) = places[start], places[end]
    return 0.2 + 0.05 * abs(x1 - x0) if y0 == 0 and _between(places, start, end) else 0.0


def _arrow(
    axis: Axes, places: Mapping[str, tuple[int, int]], boxes: Mapping[str, "Patch"], start: str, end: str
) -> None:
    """From box to box, ending at both and behind none: along a row straight or in an arc above what lies between, to
    another row through the gap between rows, past further rows through the gap between columns."""
    (x0, y0), (x1, y1) = places[start], places[end]
    style: dict[str, Any] = {"arrowstyle": "-|>", "lw": 0.8, "color": INK, "shrinkA": 0, "shrinkB": 0}
    origin, target = (float(x0), float(y0)), (float(x1), float(y1))
    if _between(places, start, end):
        bend = 0.4 + 0.1 * abs(x1 - x0)
        style["connectionstyle"] = f"arc3,rad={-(bend if y0 == 0 else min(bend, 0.8)) / abs(x1 - x0)}"
        origin, target = (x0, y0 + 0.23), (x1, y1 + 0.23)
    elif y0 == y1:
        style |= {"patchA": boxes[start], "patchB": boxes[end]}
    else:
        away = 1 if y1 > y0 else -1
        origin, target = (x0, y0 + 0.23 * away), (x1, y1 - 0.23 * away)
        if abs(y1 - y0) > 1:
            past = [(x0 + 0.5, y0 + 0.5 * away), (x0 + 0.5, y1 - 0.5 * away)]
            axis.plot(*zip(origin, *past), color=INK, lw=0.8)
            origin = past[-1]
    axis.annotate("", target, origin, arrowprops=style, zorder=2)
