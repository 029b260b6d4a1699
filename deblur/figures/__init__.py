"""What the figures of all papers share: panels of images, schematic diagrams, and one way to save and show.

Matplotlib and plain arrays only; images are (H,W,3) uint8 or float in [0,1].
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deblur import tables, writing

if TYPE_CHECKING:
    import IPython.display

INK, PAPER, BOX = "#222222", "white", "#e8eef7"


def save(figure: Figure, scale: str, paper: str, name: str) -> Path:
    """Write a figure as PNG under `results/<scale>/<paper>/figures/`, atomically."""
    path = tables.folder(scale, paper) / "figures" / f"{name}.png"
    with writing.replacing(path) as draft:
        figure.savefig(draft, dpi=110, facecolor=PAPER, bbox_inches="tight", metadata={"Software": None})
    return path


def show(figure: Figure, scale: str, paper: str, name: str, alt: str) -> "IPython.display.Image":
    """Save a figure and return it for display: a JPEG, so that executed notebooks stay small."""
    from IPython.display import Image
    from PIL import Image as Picture

    path = save(figure, scale, paper, name)
    matplotlib.pyplot.close(figure)
    stream = io.BytesIO()
    Picture.open(path).convert("RGB").save(stream, "JPEG", quality=82, optimize=True)
    return Image(data=stream.getvalue(), format="jpeg", alt=alt)


def heat(values: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """A map (h,w) as colours, red high and blue low (jet), min to max, bilinearly brought to `size` (H,W).

    A uniform map is neither high nor low: all of it has the middle colour.
    """
    values = np.asarray(values, dtype=np.float64)
    if size is not None:
        values = cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
    spread = np.ptp(values)
    unit = (values - values.min()) / spread if spread > 0 else np.full_like(values, 0.5)
    return colormaps["jet"](unit)[..., :3]


def marked(title: str, verdicts: Mapping[str, str], *parts: str) -> str:
    """A title that says so where one of the parts that it is about does nothing in the trained network.

    Args:
        verdicts: part -> verdict, see `evaluation.verdicts`; what is not in it was not looked at.
    """
    return f"{title} (inert)" if any(verdicts.get(part) == "inert" for part in parts) else title


def panels(
    rows: Sequence[Sequence[np.ndarray | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    labels: Sequence[Sequence[str]] | None = None,
    width: float = 2.6,
) -> Figure:
    """A grid of images; `None` leaves a cell empty, `labels` are written below the cells.

    Args:
        width: of a cell, in inches.
    """
    from matplotlib import pyplot

    count = max(len(row) for row in rows)
    shapes = [next(image.shape for image in row if image is not None) for row in rows]
    heights = [width * shape[0] / shape[1] + (0.25 if labels else 0.05) for shape in shapes]
    figure, axes = pyplot.subplots(
        len(rows),
        count,
        figsize=(width * count, sum(heights) + 0.3),
        squeeze=False,
        gridspec_kw={"height_ratios": heights, "wspace": 0.03, "hspace": 0.06 if not labels else 0.18},
    )
    for i, row in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            axis.set(xticks=[], yticks=[], frame_on=False)
            if j < len(row) and row[j] is not None:
                axis.imshow(row[j], interpolation="nearest")
                if labels:
                    axis.set_xlabel(labels[i][j], fontsize=8, color=INK, labelpad=2)
            if i == 0 and j < len(column_titles):
                axis.set_title(column_titles[j], fontsize=9, color=INK)
            if j == 0 and i < len(row_titles):
                axis.set_ylabel(row_titles[i], fontsize=9, color=INK)
    return figure


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
    """Rows of test cases, one column a method, each image with an enlarged crop and its PSNR (Figs. 6, 9, 10).

    Args:
        cases: method -> image (H,W,3) uint8; holds "blurred", and "sharp" where there is a truth.
        psnr_db: method -> PSNR of that case.
    """
    rows, labels = [], []
    for case, scores in zip(cases, psnr_db):
        sharp = case.get("sharp", case["blurred"])
        centre = (
            sharpest_difference(case["blurred"], sharp) if "sharp" in case else tuple(s // 2 for s in sharp.shape[:2])
        )
        rows.append(with_crops(list(case.values()), centre))
        labels.append([f"{scores[name]:.2f} dB" if name in scores else "" for name in case])
    return panels(rows, list(cases[0]), labels=labels, width=3.4)


def benchmark(
    images: Sequence[tuple[np.ndarray, np.ndarray]], lengths: Sequence[np.ndarray | None], names: Sequence[str]
) -> Figure:
    """Test pairs: blurred, sharp and, where it is known, the length of the path (h,w) that each pixel moved.

    Args:
        images: pairs of blurred and sharp.
    """
    rows: list[list[np.ndarray | None]] = [[blurred for blurred, _ in images], [sharp for _, sharp in images]]
    has_lengths = any(length is not None for length in lengths)
    rows += [[None if length is None else heat(length) for length in lengths]] if has_lengths else []
    return panels(rows, names, ["blurred", "sharp", "path (red: long)"])


def curves(log: pd.DataFrame, terms: Sequence[str]) -> Figure:
    """Training loss and its weighted terms, smoothed over five entries, beside the watched validation PSNR."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 2.8), constrained_layout=True)
    for term in terms:
        left.plot(log["step"], log[term].rolling(5, min_periods=1).mean(), label=term)
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
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    place = {name: (i % columns, -(i // columns)) for i, name in enumerate(nodes)}
    rows = 1 - min(y for _, y in place.values())
    order = {name: i for i, name in enumerate(nodes)}
    arcs = any(order[end] - order[start] > 1 for start, end in edges)
    top = 0.75 if arcs else 0.35
    figure, axis = pyplot.subplots(figsize=(min(len(nodes), columns) * 1.75, (rows - 0.6 + top) * 1.5 + 0.3))
    for name, (x, y) in place.items():
        box = FancyBboxPatch((x - 0.38, y - 0.2), 0.76, 0.4, boxstyle="round,pad=0.03", fc=BOX, ec=INK, lw=0.8)
        axis.add_patch(box)
        axis.text(x, y, nodes[name].replace(" ", "\n"), ha="center", va="center", fontsize=7, color=INK)
    for start, end in edges:
        _arrow(axis, place[start], place[end], order[end] - order[start])
    axis.set(xlim=(-0.6, min(len(nodes), columns) - 0.4), ylim=(0.6 - rows, top), aspect="auto")
    axis.axis("off")
    axis.set_title(title, fontsize=9, color=INK)
    return figure


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], distance: int) -> None:
    """Straight to the neighbour, an arc above what lies between, a curve to another row."""
    (x0, y0), (x1, y1) = start, end
    style = {"arrowstyle": "-|>", "lw": 0.8, "color": INK, "shrinkA": 0, "shrinkB": 0}
    if y0 != y1:
        ends, bend = ((x0, y0 - 0.23), (x1, y1 + 0.23)), "arc3,rad=0"
    elif distance == 1:
        ends, bend = ((x0 + 0.41, y0), (x1 - 0.41, y1)), "arc3,rad=0"
    else:
        ends, bend = ((x0, y0 + 0.23), (x1, y1 + 0.23)), f"arc3,rad={-0.12 - 0.25 / (x1 - x0)}"
    axis.annotate("", ends[1], ends[0], arrowprops=style | {"connectionstyle": bend}, zorder=0)
