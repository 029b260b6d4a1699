"""The ledger drawn: measured effects with their intervals, and how they change with a training's length."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deblur.figures import ABREAST, INK

COLOURS = {"holds": "tab:blue", "fails": "tab:red", "no effect": "0.55", "undecided": "tab:orange"}
WAITING = "0.8"
"""Of effects without a verdict."""
LINEAR_DB = 0.1
"""Up to here effects are drawn to one scale, beyond it to that of their logarithm."""
TICKS = [sign * size for sign in (-1, 1) for size in (0.1, 0.3, 1, 3, 10)] + [0]


def forest(table: pd.DataFrame) -> Figure | None:
    """A line a contrast that was measured in dB: effect, interval and verdict; a cross where the paper prints it.

    Args:
        table: of one tier, as `study.ledger.table` gives it; an interval that is not known is not drawn.

    Returns:
        None before anything was measured.
    """
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    rows = table[table["unit"] == "dB"].dropna(subset="effect").reset_index(drop=True)
    if rows.empty:
        return None
    figure, axis = pyplot.subplots(figsize=(8, 0.27 * len(rows) + 1.1), layout="constrained")
    for height, row in zip(np.arange(len(rows))[::-1], rows.itertuples(), strict=True):
        colour = COLOURS.get(row.verdict, WAITING)
        axis.plot([row.low, row.high], [height] * 2, color=colour, lw=5, alpha=0.5, solid_capstyle="butt")
        axis.plot(row.effect, height, "|", color=colour if row.verdict in COLOURS else "0.5", ms=10, mew=2)
        if pd.notna(row.printed):
            axis.plot(row.printed, height, "x", color=INK, ms=5)
        axis.plot([-row.bound, row.bound], [height] * 2, color=INK, lw=0.6, alpha=0.6)
    axis.axvline(0, color=INK, lw=0.6)
    axis.set_xscale("symlog", linthresh=LINEAR_DB, linscale=0.5)
    left, right = axis.get_xlim()
    low, high = min(left, -1.2 * LINEAR_DB), max(right, 1.2 * LINEAR_DB)  # two ticks beside zero at least
    axis.set_xlim(low, high)
    axis.set_xticks([tick for tick in TICKS if low <= tick <= high])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.tick_params(axis="x", labelsize=8)
    names = [f"{row.claim}: {row.contrast} ({row.seeds} of {row.planned} seeds)" for row in rows.itertuples()]
    axis.set_yticks(np.arange(len(rows))[::-1], names, fontsize=8)
    xlabel = f"effect in dB (linear up to {LINEAR_DB}), and the smallest that matters"
    axis.set(xlabel=xlabel, ylim=(-0.7, len(rows) - 0.3))
    lines = [Line2D([], [], color=colour, lw=5, alpha=0.5, label=name) for name, colour in COLOURS.items()]
    lines += [Line2D([], [], color=WAITING, lw=5, alpha=0.5, label="seeds are missing")]
    lines += [Line2D([], [], color=INK, marker="x", ls="", ms=5, label="printed")]
    figure.legend(handles=lines, fontsize=7, loc="outside right upper")
    return figure


def lengths(table: pd.DataFrame) -> Figure | None:
    """A panel a contrast: its effect after a quarter, half and all of the trainings, with intervals where two seeds are
    in; the printed effect dashed, the smallest that matters as a band. Intervals of all planned seeds are whole, those
    of fewer, which may be very wide, end at the frame.

    Args:
        table: of one tier, as `study.overview.by_length` gives it.

    Returns:
        None before anything was measured.
    """
    from matplotlib import pyplot

    panels = list(table.groupby(["claim", "contrast"], sort=False))
    if not panels:
        return None
    rows = -(-len(panels) // ABREAST)
    columns = -(-len(panels) // rows)
    size = (2 * columns, 2.1 * rows)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    for axis, ((claim, contrast), own) in zip(axes.flat, panels, strict=False):
        _along(axis, own)
        first = own.iloc[0]
        name = textwrap.fill(f"{claim}: {contrast} ({first['seeds']} of {first['planned']} seeds)", 30)
        axis.set_title(name, fontsize=7)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    whole = table.loc[table["seeds"] == table["planned"], ["low", "high"]].abs().max().max()
    top = np.nanmax([1.6 * table[["effect", "printed"]].abs().max().max(), 1.05 * whole])
    axes[0, 0].set(ylim=(-top, top), xticks=(0.25, 0.5, 1), xticklabels=("1/4", "1/2", "1"))
    figure.supxlabel("share of the training", fontsize=8)
    figure.supylabel("effect in dB", fontsize=8)
    return figure


def _along(axis: Axes, own: pd.DataFrame) -> None:
    bound, printed = own["bound"].iloc[0], own["printed"].iloc[0]
    axis.axhspan(-bound, bound, color=INK, alpha=0.15, lw=0)
    axis.axhline(0, color=INK, lw=0.6)
    if pd.notna(printed):
        axis.axhline(printed, color=INK, lw=0.8, ls="--")
    axis.vlines(own["share"], own["low"], own["high"], color="tab:blue", lw=4, alpha=0.5)
    axis.plot(own["share"], own["effect"], "o-", color="tab:blue", ms=3, lw=1)
    axis.tick_params(labelsize=7)
