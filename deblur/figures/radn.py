"""Figures 1 to 8 of RADN; every function draws one, from arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deblur.figures import Map, comparison, diagram, marked, panels, u_shape
from deblur.figures.networks import against_cost, costs

Graph = tuple[dict[str, str], list[tuple[str, str]]]
"""A traced module, see `probes.graph`."""

OURS = "#c0392b"


def figure1(table: pd.DataFrame, measured_on: str) -> Figure:
    """Fig. 1: PSNR against runtime, as printed, and beside it as measured here: a point is one network.

    Args:
        table: Table 1 with `psnr_db_printed`, `runtime_ms_printed`, `psnr_db_measured`, `runtime_ms_measured`.
        measured_on: what was measured, at which size and where.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    titles = {"printed": "as printed: 720x1280 on a Titan X", "measured": f"measured here: {measured_on}"}
    for axis, (kind, title) in zip(axes, titles.items()):
        cost, label = costs(table, kind)
        points = pd.DataFrame(
            {"label": table["method"], "cost": cost, "psnr_db": pd.to_numeric(table[f"psnr_db_{kind}"])}
        )
        points = points.assign(area=30, own=table["method"].str.startswith("RADN"))
        against_cost(axis, points.dropna(), label, title)
    return figure


def figure2(network: Graph) -> Figure:
    """Fig. 2: encoder, self-attention, and decoder with its skips, as traced."""
    return u_shape(*network, "RADN: dense encoder, self-attention, dense deformable modules")


def figure3(
    unit: Graph,
    blurred: np.ndarray,
    points: Sequence[tuple[np.ndarray, np.ndarray]],
    verdicts: Mapping[str, str] = {},
) -> Figure:
    """Fig. 3: a deform unit as traced; beside it, where its nine taps look from some places.

    Args:
        blurred: (H,W,3).
        points: for each place its centre (y, x) and where the taps look, (9,2) as (y, x), all in pixels of `blurred`.
    """
    title = "One deform unit of a dense deformable module, and where its taps look"
    figure = diagram(*unit, marked(title, verdicts, "DDM 2", "DDM 2, offsets"), columns=7)
    figure.set_size_inches(max(figure.get_figwidth(), 9), figure.get_figheight() + 3.6)
    share = 3.4 / figure.get_figheight()
    figure.axes[0].set_position((0.02, share + 0.02, 0.96, 0.9 - share))
    axis = figure.add_axes((0.2, 0.02, 0.6, share - 0.04))
    axis.imshow(blurred)
    for centre, taps in points:
        for tap in taps:
            axis.plot(*np.array([centre, tap]).T[::-1], color=OURS, lw=0.6, scalex=False, scaley=False)
        axis.plot(taps[:, 1], taps[:, 0], "o", color="#2ecc71", ms=3)
        axis.plot(centre[1], centre[0], "s", color=OURS, ms=4)
    axis.set(xticks=[], yticks=[], xlim=(0, blurred.shape[1]), ylim=(blurred.shape[0], 0))
    return figure


def figure4(attention: Graph) -> Figure:
    """Fig. 4: the self-attention module, as traced."""
    return diagram(*attention, "Self-attention (SA)", columns=7)


def figure5(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 5: test images, with crops."""
    return comparison(cases, psnr_db)


def figure6(dense: Mapping[str, pd.DataFrame], residual: Mapping[str, pd.DataFrame]) -> Figure:
    """Fig. 6: training loss (mean over five log entries) and validation PSNR over steps, of (a) Table 1, (b) Table 2.

    Args:
        dense, residual: label -> training log.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 5.6), constrained_layout=True)
    for row, (name, logs) in zip(axes, (("(a)", dense), ("(b)", residual))):
        for label, log in logs.items():
            row[0].plot(log["step"], log["loss"].rolling(5, min_periods=1).mean(), label=label, lw=1)
            if "val_psnr_db" in log:
                watched = log.dropna(subset="val_psnr_db")
                row[1].plot(watched["step"], watched["val_psnr_db"], "o-", label=label, ms=3, lw=1)
        row[0].set(xlabel="step", yscale="log", title=f"{name} training loss")
        row[1].set(xlabel="step", ylabel="dB", title=f"{name} PSNR on the validation split")
        row[0].legend(fontsize=7)
    return figure


def widening(offsets: np.ndarray) -> np.ndarray:
    """How much wider than a plain kernel the taps reach, (18,h,w) -> (h,w) in feature pixels (Fig. 7, row 2).

    The mean over the kernel's rows of the horizontal offset of its third column minus that of its first.
    """
    dx = offsets[1::2].reshape(3, 3, *offsets.shape[1:])
    return (dx[:, 2] - dx[:, 0]).mean(0)


def magnitude(offsets: np.ndarray) -> float:
    """Mean length of the offset vectors over taps and positions, (18,h,w) -> feature pixels (Fig. 8)."""
    return float(np.hypot(offsets[::2], offsets[1::2]).mean())


def figure7(
    images: Sequence[np.ndarray],
    offsets: Sequence[np.ndarray],
    residuals: Sequence[np.ndarray],
    verdicts: Mapping[str, str] = {},
) -> Figure:
    """Fig. 7: blurred inputs, `widening` of the second DDM in feature px, mean absolute residual of SA."""
    maps = [[Map(values, unit=unit) for values in row] for row, unit in ((offsets, "px"), (residuals, ""))]
    titles = [marked("DDM 2, widening", verdicts, "DDM 2", "DDM 2, offsets"), marked("SA residual", verdicts, "SA")]
    return panels([list(images), *maps], row_titles=["blurred", *titles])


def figure8(statistics: pd.DataFrame, spearman: float, verdicts: Mapping[str, str] = {}) -> Figure:
    """Fig. 8: mean offset length of each image against the length of its blur, and by which module.

    Args:
        statistics: one row an image: `path_px`, `kind`, `offset_px` and `DDM 1` to `DDM 3`, all in input pixels.
    """
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.4), constrained_layout=True)
    for kind, rows in statistics.groupby("kind"):
        left.plot(rows["path_px"], rows["offset_px"], "o", ms=4, label=kind)
    left.set(xlabel="true length of the blur in px", ylabel="mean offset in input px")
    left.set_title(f"all deformable layers, Spearman's rank correlation {spearman:+.2f}", fontsize=9)
    left.legend(fontsize=8)
    for name in ("DDM 1", "DDM 2", "DDM 3"):
        label = marked(name, verdicts, name, f"{name}, offsets")
        right.plot(statistics["path_px"], statistics[name], "o", ms=3, label=label)
    right.set(xlabel="true length of the blur in px", ylabel="mean offset in input px")
    right.set_title("by module", fontsize=9)
    right.legend(fontsize=8)
    return figure
