"""The figures of the comparison: accuracy against cost, gain by kind of blur and by its length, pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deblur.figures import INK, panels, sharpest_difference
from deblur.talk import LOADED

PAPERS, OTHERS = "#b01a1b", "#1a5f91"
"""Of the five papers' networks and of others: dark enough for names on the ground of figures."""
KINDS = {"straight": "D", "global": "o", "local": "s", "sampling": "^"}


def accuracy_against_cost(
    tables: Mapping[str, pd.DataFrame],
    papers: Sequence[str],
    cost: str,
    label: str,
    lines: Mapping[str, float] | None = None,
) -> Figure:
    """One plot a budget: gain with its spread over seeds, against a cost; the five papers' networks in red.

    Args:
        tables: title -> summary with `method`, `gain_db`, `gain_db_lowest`, `gain_db_highest` and the column `cost`.
        label: what the cost is, with its unit.
        lines: gains in dB of what was not trained here -> a dashed line each, with its name.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = pyplot.subplots(1, len(tables), figsize=(6.6 * len(tables), 5.2), squeeze=False)
    for axis, (title, table) in zip(axes[0], tables.items()):
        table = table.dropna(subset=cost).sort_values("gain_db")
        axis.set(xscale="log", xlabel=label, title=title, ylabel="gain over the blurred input in dB")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        colours = np.where(table["method"].isin(papers), PAPERS, OTHERS).tolist()
        for row, colour in zip(table.itertuples(), colours):
            x = getattr(row, cost)
            axis.plot([x, x], [row.gain_db_lowest, row.gain_db_highest], color=colour, lw=2, alpha=0.5)
            axis.plot(x, row.gain_db, "o", color=colour, ms=5)
        axis.axhline(0, color=INK, lw=0.6)
        for name, gain_db in (lines or {}).items():
            axis.axhline(gain_db, color=INK, lw=0.9, ls="--")
            axis.annotate(
                name, (0.01, gain_db), xycoords=("axes fraction", "data"), va="bottom", fontsize=7.5, color=INK
            )
        names(axis, table[cost], table["gain_db"], table["method"], colours)
    figure.tight_layout()
    return figure


def against_cost(axis: Axes, points: pd.DataFrame, cost: str, title: str) -> None:
    """PSNR against a cost, each point named; a logarithmic axis where costs differ much.

    Args:
        points: `label`, `cost`, `psnr_db`, `area` of the disc in pt^2, and whether it is the paper's `own`.
        cost: what it is, with its unit.
    """
    from matplotlib.ticker import NullFormatter

    points = points.sort_values("psnr_db")
    colours = np.where(points["own"], PAPERS, OTHERS).tolist()
    axis.scatter(points["cost"], points["psnr_db"], points["area"], color=colours, alpha=0.6, lw=0)
    if points["cost"].max() > 30 * points["cost"].min():  # such an axis names only the decades
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(0.12)
    names(axis, points["cost"], points["psnr_db"], points["label"], colours)
    axis.set(xlabel=cost, ylabel="PSNR in dB")
    axis.set_title(title, fontsize=9)


def costs(table: pd.DataFrame, kind: str) -> tuple[pd.Series, str]:
    """The cost of a table's networks, and what it is: `runtime_ms_<kind>`, or work that is counted where no measured
    network was timed."""
    times = table.get(f"runtime_ms_{kind}", pd.Series(np.nan, table.index))
    if kind == "measured" and times.isna().all() and "gmacs_256" in table:
        return table["gmacs_256"], f"10\N{SUPERSCRIPT NINE} multiply-accumulates for 256x256 ({LOADED})"
    return pd.to_numeric(times, errors="coerce"), "runtime in ms"


def names(axis: Axes, x: pd.Series, y: pd.Series, labels: Sequence[str], colours: Sequence[str]) -> None:
    """Names of points, `y` rising, in a column at the right, each with a line to its point: points lie close.

    Call it last: how far names keep apart follows from the axis.
    """
    heights = spread(y, 0.036 * np.ptp(axis.get_ylim()))
    for place, height, label, colour in zip(zip(x, y), heights, labels, colours, strict=True):
        axis.annotate(
            label,
            place,
            (1.02, height),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=7.5,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.4, "lw": 0.5, "shrinkA": 0, "shrinkB": 3},
        )


def spread(values: pd.Series, apart: float) -> np.ndarray:
    """Heights for labels of rising `values`, none nearer to the next than `apart`; order is kept."""
    heights = values.to_numpy(dtype=float)
    least = apart * np.arange(len(heights))
    raised = np.maximum.accumulate(heights - least)
    lowered = np.minimum.accumulate((heights - least)[::-1])[::-1]
    return (raised + lowered) / 2 + least


def gain_by_kind(tables: Mapping[str, pd.DataFrame], papers: Sequence[str]) -> Figure:
    """One plot a budget: a line of marks a method, best first; the bar is the spread of the mean over seeds."""
    from matplotlib import pyplot

    most = max(len(table) for table in tables.values())
    figure, axes = pyplot.subplots(
        1, len(tables), figsize=(5.4 * len(tables), 0.27 * most + 1.2), squeeze=False, sharex=True
    )
    for axis, (title, table) in zip(axes[0], tables.items()):
        height = np.arange(len(table))[::-1]
        axis.hlines(height, table["gain_db_lowest"], table["gain_db_highest"], color="0.7", lw=7)
        axis.plot(table["gain_db"], height, "|", color=INK, ms=9, label="all pairs")
        for kind, mark in KINDS.items():
            if f"gain_db_{kind}" in table:
                axis.plot(table[f"gain_db_{kind}"], height, mark, ms=4, alpha=0.8, label=kind)
        axis.set_yticks(height, table["method"], fontsize=8)
        for name in axis.get_yticklabels():
            name.set_color(PAPERS if name.get_text() in papers else INK)
        axis.axvline(0, color=INK, lw=0.6)
        axis.set(xlabel="gain over the blurred input in dB", title=title)
    axes[0, -1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))  # beside: it would hide marks
    figure.tight_layout()
    return figure


def gain_by_length(table: pd.DataFrame, papers: Sequence[str], bounds: Sequence[str]) -> Figure:
    """Gain against the mean length of a pair's blur: the five papers' networks and the bounds named, others grey."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.2, 3.8))
    colours = iter(pyplot.get_cmap("tab10").colors)  # type: ignore[attr-defined]  # this map is a list of colours
    for method, rows in table.groupby("method", sort=False):
        named = method in papers or method in bounds
        style = (
            {"color": next(colours), "label": method, "lw": 1.8} if named else {"color": "0.8", "lw": 1, "zorder": 0}
        )
        axis.plot(rows["path_px"], rows["gain_db"], "--o" if method in bounds else "-o", ms=3.5, **style)
    axis.axhline(0, color=INK, lw=0.6)
    axis.set(xlabel="mean path of the pixels in px", ylabel="gain over the blurred input in dB")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    return figure


def gallery(images: Mapping[str, np.ndarray], psnr_db: Mapping[str, float], columns: int = 5, side: int = 72) -> Figure:
    """The same crop by every method, where blur does most harm, with the PSNR of the whole frame below.

    Args:
        images: method -> (H,W,3) uint8, with `blurred` and `sharp`.
    """
    height, width = images["sharp"].shape[:2]
    centre = sharpest_difference(images["blurred"], images["sharp"])
    y = int(np.clip(centre[0] - side // 2, 0, height - side))
    x = int(np.clip(centre[1] - side, 0, width - 2 * side))
    crops = [image[y : y + side, x : x + 2 * side] for image in images.values()]
    labels = [f"{name} {psnr_db[name]:.2f} dB" if name in psnr_db else name for name in images]
    grid = [slice(start, start + columns) for start in range(0, len(crops), columns)]
    return panels([crops[part] for part in grid], labels=[labels[part] for part in grid])
