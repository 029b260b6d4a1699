"""Columns of tables as they are read: words for their names, units, and numbers as a paper prints them."""

import re
from collections.abc import Iterable
from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler  # needs jinja2, which only notebooks have


class Column(NamedTuple):
    """How a value is shown.

    Attributes:
        words: what it is.
        unit: of the value.
        digits: behind the point; None for three significant ones.
        signed: whether a plus is shown.
    """

    words: str
    unit: str = ""
    digits: int | None = None
    signed: bool = False


COLUMNS = {
    "psnr_db": Column("PSNR", "dB", 2),
    "psnr_float_db": Column("PSNR of floats", "dB", 2),
    "psnr_plain_db": Column("PSNR against the middle frame", "dB", 2),
    "psnr_unaligned_db": Column("PSNR unaligned", "dB", 2),
    "unaligned_psnr_db": Column("PSNR unaligned", "dB", 2),
    "average_psnr_db": Column("average PSNR", "dB", 2),
    "average_plain_psnr_db": Column("average PSNR, not aligned", "dB", 2),
    "gain_db": Column("gain", "dB", 2, True),
    "floor_gain_db": Column("Wiener filter with one guessed blur", "dB", 2, True),
    "oracle_gain_db": Column("Wiener filter told each tile's blur", "dB", 2, True),
    "gain_db_lowest": Column("lowest seed", "dB", 2, True),
    "gain_db_highest": Column("highest seed", "dB", 2, True),
    "delta_db": Column("difference", "dB", 2, True),
    "change_db": Column("change", "dB", 3, True),
    "low_db": Column("95 % interval from", "dB", 3, True),
    "high_db": Column("to", "dB", 3, True),
    "ssim": Column("SSIM", digits=4),
    "ssim_gauss_rgb": Column("SSIM, Gaussian per channel", digits=4),
    "ssim_matlab_volume": Column("SSIM, MATLAB's volume", digits=4),
    "ssim_unaligned": Column("SSIM unaligned", digits=4),
    "ms_ssim": Column("MS-SSIM", digits=4),
    "lpips": Column("LPIPS"),
    "deblur_iqa": Column("Deblur-IQA"),
    "size_mb": Column("size", "MB", 2),
    "size_mib": Column("size", "MiB", 2),
    "params_m": Column("parameters", "M", 1),
    "parameters": Column("parameters at paper size", digits=0),
    "trained_parameters": Column("parameters as trained", digits=0),
    "gmacs_256": Column("multiply-accumulates at 256x256", "G", 1),
    "gmacs_720p": Column("multiply-accumulates at 720x1280", "G", 0),
    "peak_mib_256": Column("memory at 256x256", "MiB", 1),
    "memory_mib": Column("memory", "MiB", 1),
    "runtime_s": Column("runtime", "s", 3),
    "runtime_s_hurried": Column("runtime, not synchronised", "s", 3),
    "runtime_s_synchronised": Column("runtime, synchronised", "s", 3),
    "runtime_ms": Column("runtime", "ms", 0),
    "runtime_low_ms": Column("fastest turn", "ms", 0),
    "runtime_high_ms": Column("slowest turn", "ms", 0),
    "runtime_size": Column("timed at"),
    "runtime_device": Column("timed on"),
    "proportion_pct": Column("share", "%", 1),
    "difference_pct": Column("difference", "%", 1, True),
    "tflops": Column("implied speed", "TFLOP/s", 1),
    "tflops_synchronised": Column("implied speed, synchronised", "TFLOP/s", 1),
    "of_fp32_peak": Column("of the card's fp32 peak", "times", 1),
    "ratio": Column("times RAID-Net(-)", digits=2),
    "ratio_macs": Column("times RAID-Net(-), multiply-accumulates", digits=2),
    "path_px": Column("path", "px", 1),
    "way_mean_px": Column("mean path", "px", 1),
    "offset_px": Column("mean offset", "input px", 3),
    "offset_mean_px": Column("mean offset", "px", 3),
    "offset_p99_px": Column("99th percentile of offsets", "px", 3),
    "offset_feature_px": Column("mean offset", "feature px", 3),
    "seconds": Column("training", "s", 0),
    "steps": Column("steps", digits=0),
    "seed": Column("seed", digits=0),
    "low": Column("95 % interval from", digits=3, signed=True),
    "high": Column("to", digits=3, signed=True),
    "effect": Column("mean", digits=3, signed=True),
    **{kind: Column(kind, "dB", 3, True) for kind in ("all", "straight", "global", "local", "sampling")},
    "spearman": Column("rank correlation", digits=2, signed=True),
    "correlation": Column("correlation", digits=2, signed=True),
    "p_value": Column("p", digits=2),
    "r_edges": Column("correlation with edges", digits=2, signed=True),
    "r_residual": Column("correlation with the residual", digits=2, signed=True),
    "r_path": Column("correlation with the path", digits=2, signed=True),
    "r_input": Column("correlation of the input's edges", digits=3),
    "r_predicted": Column("correlation of the prediction's edges", digits=3),
    "images_better": Column("images with a better prediction", "share", 2),
    "blur_type": Column("kind of blur"),
    "train_set": Column("trained on"),
    "replaced_by": Column("replaced by"),
    "uses_additional_data": Column("other data besides"),
    "conv_layers": Column("plain convolutions", digits=0),
    "deformable_layers": Column("deformable convolutions", digits=0),
    "sa_module": Column("self-attention"),
    "sa_encoder": Column("SA in the encoder"),
    "sa_decoder": Column("SA in the decoder"),
    "ca": Column("CA"),
    "has_pvb": Column("PVB"),
    "has_lgcr": Column("LGCR"),
    "has_dr": Column("DR"),
    "nonlocal_module": Column("global module"),
    "pvb_added": Column("PVB added"),
    "mse_loss": Column("squared error"),
    "gradient_loss": Column("gradient loss"),
    "weights_sharing": Column("shared weights"),
    "blind_unknowns": Column("blind unknowns", digits=0),
    "rows": Column("equations", digits=0),
    "intact_rows": Column("equations inside the frame", digits=0),
    "rank_range": Column("rank"),
    "effective_rank": Column("singular values above 1/255", digits=0),
    "condition": Column("condition number"),
    "same_sign": Column("as printed?"),
    "claimed_sign": Column("claimed"),
    "what": Column(""),
}
"""Name, without the data set before and `_printed` or `_measured` behind -> how it is shown."""

SETS = {"hide": "HIDE", "gopro": "GoPro", "realblur_j": "RealBlur-J", "realblur_r": "RealBlur-R", "rwbi": "RWBI"}
"""What a column's name begins with if it is about one of several data sets."""

ENDS = ("printed", "measured")


def parts(name: str) -> tuple[str, str, str]:
    """Data set, value and `printed` or `measured` of a column; empty where the name says nothing of it."""
    end = next((end for end in ENDS if name.endswith(f"_{end}")), "")
    value = name.removesuffix(f"_{end}")
    start = next((start for start in SETS if value.startswith(f"{start}_")), "")
    return start, value.removeprefix(f"{start}_"), end


def column(name: str) -> Column:
    """How a column is shown: a gain by its kind of blur, a video by its number, what has no entry by itself."""
    value = parts(name)[1]
    if value not in COLUMNS and value.startswith("gain_db_"):
        return COLUMNS["gain_db"]._replace(words=f"gain, {value.removeprefix('gain_db_')}")
    if video := re.fullmatch(r"v(\d+)_psnr_db", value):
        return COLUMNS["psnr_db"]._replace(words=f"#{video[1]}")
    if value not in COLUMNS and value.endswith("_authors_gain_db"):
        return COLUMNS["gain_db"]._replace(words=f"{value.removesuffix('_authors_gain_db')}, its authors' weights")
    return COLUMNS.get(value, Column(value.replace("_", " ")))


def header(name: str) -> str:
    """A column's name in words, e.g. "HIDE PSNR printed, dB"."""
    start, _, end = parts(name)
    shown = column(name)
    words = " ".join(part for part in (SETS.get(start, ""), shown.words, end) if part)
    return f"{words}, {shown.unit}" if shown.unit else words


FLAGS = ("has_", "sa_", "ca", "pvb_added", "mse_loss", "gradient_loss", "weights_sharing")
"""How columns begin that hold 1 for yes and 0 for no."""


def texts(name: str, values: Iterable[object]) -> list[str]:
    """A column's cells as text; what is missing is empty, and what is text already stays."""
    values = list(values)
    if name.startswith(FLAGS) and {str(value) for value in values} <= {"0", "1", "", "nan"}:
        return [{"0": "no", "1": "yes"}.get(str(value), "") for value in values]
    numbers = [value for value in values if isinstance(value, Number) and not isinstance(value, bool)]
    whole = all(pd.isna(value) or value == round(value) for value in numbers)  # type: ignore[call-overload]
    shown = column(name)
    digits = 0 if shown.digits is None and whole else shown.digits
    return [_text(value, digits, shown.signed) for value in values]


def _text(value: object, digits: int | None, signed: bool) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or (isinstance(value, Number) and pd.isna(value)):
        return ""
    return number(value, digits, signed) if isinstance(value, Number) else str(value)


def number(value: Any, digits: int | None, signed: bool = False) -> str:
    """A number with thousands separated; zero has no sign.

    Args:
        digits: behind the point; None for three significant ones.
    """
    if digits is None:
        text = f"{value:,.3g}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.2e}"
        return f"+{text}" if signed and value > 0 else text
    rounded = round(float(value), digits)
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}" if rounded else f"{0:.{digits}f}"


# ------------------------------------------------------------------------------------------------------------- a sheet


class Sheet(NamedTuple):
    """A table as it is read.

    Attributes:
        cells: texts, below their headers.
        numbers: headers of the columns that stand at the right.
        caption: above it.
    """

    cells: pd.DataFrame
    numbers: list[str]
    caption: str

    def styled(self) -> "Styler":
        """For a notebook."""
        style = self.cells.style.format(escape="html").hide(axis="index").set_caption(self.caption)
        for side in ("left", "right"):
            own = [name for name in self.cells if (name in self.numbers) == (side == "right")]
            style = style.set_properties(subset=own, **{"text-align": side})
        return style.set_table_styles([{"selector": "caption", "props": "caption-side: top; text-align: left"}])

    def latex(self) -> str:
        """For a paper: a `table` environment whose rules are those of the package `booktabs`."""
        head, *rows = (
            " & ".join(map(escaped, row)) + r" \\" for row in (self.cells.columns, *self.cells.itertuples(index=False))
        )
        sides = "".join("r" if name in self.numbers else "l" for name in self.cells)
        begin = [r"\begin{table}", rf"\caption{{{escaped(self.caption)}}}", rf"\begin{{tabular}}{{{sides}}}"]
        end = [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        return "\n".join([*begin, r"\toprule", head, r"\midrule", *rows, *end]) + "\n"


LATEX = {character: rf"\{character}" for character in "&%$#_{}"}
LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}"}
"""Characters that LaTeX takes for something else."""


def escaped(text: str) -> str:
    """Text as LaTeX takes it."""
    return "".join(LATEX.get(character, character) for character in text)
