"""What the parts of a network do, drawn: the change in PSNR when each is taken out."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deblur.figures import INK
from deblur.figures.networks import KINDS

VERDICTS = {"used": "tab:blue", "harms": "tab:red", "inert": "0.6", "undecided": "tab:orange"}
LINEAR_DB = 0.02
"""Up to this the axis is linear, beyond it logarithmic: parts differ by powers of ten."""


def changes(table: pd.DataFrame) -> Figure:
    """A line a part: its change over all pairs with its interval, coloured by verdict, and small marks by kind of blur.

    Args:
        table: as `evaluation.parts_table` gives it; an interval that is not known is not drawn.
    """
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    rows = table[table["kind"] == "all"].reset_index(drop=True)
    height = dict(zip(rows["part"], np.arange(len(rows))[::-1]))
    figure, axis = pyplot.subplots(figsize=(8, 0.26 * len(rows) + 1.1), layout="constrained")
    for row in rows.itertuples():
        colour = VERDICTS[row.verdict]
        axis.plot(
            [row.low_db, row.high_db], [height[row.part]] * 2, color=colour, lw=5, alpha=0.4, solid_capstyle="butt"
        )
        axis.plot(row.change_db, height[row.part], "|", color=colour, ms=10, mew=2)
    for kind, own in table[table["kind"] != "all"].groupby("kind"):
        axis.plot(own["change_db"], own["part"].map(height), KINDS.get(kind, "x"), color=INK, ms=3, alpha=0.6)
    axis.axvline(0, color=INK, lw=0.6)
    axis.set_xscale("symlog", linthresh=LINEAR_DB)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_yticks(list(height.values()), list(height), fontsize=8)
    axis.set(xlabel="change in dB without the part", ylim=(-0.7, len(rows) - 0.3))
    lines = [Line2D([], [], color=colour, lw=5, alpha=0.4, label=name) for name, colour in VERDICTS.items()]
    kinds = [name for name in KINDS if name in set(table["kind"])]
    lines += [Line2D([], [], color=INK, marker=KINDS[name], ls="", ms=3, label=name) for name in kinds]
    figure.legend(handles=lines, fontsize=7, loc="outside right upper")
    return figure
