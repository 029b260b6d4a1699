"""The papers' tables, printed beside measured.

A printed table is a frozen CSV under `results/printed/`. Its measured twin carries the columns `*_printed` and
`*_measured` and, in every row, where the measurement comes from. Below `paper` scale no difference to a printed value
is formed: what is shown instead is the gain over the blurred input and, in ablations, the printed and the measured
difference to the table's own reference row.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deblur import paths, stale, writing
from deblur.columns import Sheet, header, texts
from deblur.methods import ELSEWHERE, network_of
from deblur.talk import LOADED
from deblur.weights.cards import Card
from deblur.weights.released import cards

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler  # needs jinja2, which only notebooks have


def trained_elsewhere(paper: str, table: int) -> dict[str, str]:
    """The methods of a printed table that are trained on other data than its other rows: method -> network."""
    listed = printed(paper, table).get("method", ())
    return {method: ELSEWHERE[paper, method][0] for method in listed if (paper, method) in ELSEWHERE}


def unmeasured() -> pd.DataFrame:
    """The printed rows that are not measured below scale `paper`: paper, table, method, reason, reference."""
    return pd.read_csv(paths.printed_dir() / "unmeasured.csv", keep_default_na=False)


def peers(paper: str, networks: Iterable[str]) -> dict[str, str]:
    """The other methods of a paper's printed tables that are at hand: method as printed -> network, in table order.

    Args:
        networks: names of the networks that there are, i.e. `models.NETWORKS`.
    """
    available, methods = set(networks), {}
    for path in sorted((paths.printed_dir() / paper).glob("table*.csv")):
        for method in pd.read_csv(path, dtype=str).get("method", ()):
            network = network_of(paper, method)
            if network in available:
                methods[method] = network
    return methods


VALUES = ("_db", "ssim", "lpips", "_iqa", "size_mb", "params_m", "runtime_s", "runtime_ms", "memory_mib", "_pct")
"""Ends of the names of printed columns that hold a value, which `beside_printed` marks `_printed`."""

SCORES = ("_db", "ssim", "size_m", "runtime_ms", "memory_mib", "_pct")
"""Parts of the names of measured values, which it marks `_measured`; counts, stamps and the like keep their names."""

PENDING = "printed only"
OURS = "not in the paper"
LEARNT_NOTHING = "{}, nothing learnt"
"""Of a training that gains no more than a filter which learns nothing."""


def printed(paper: str, table: int) -> pd.DataFrame:
    """A table as the paper prints it; text, so that trailing zeros stay."""
    path = paths.printed_dir() / paper / f"table{table}.csv"
    if not path.is_file():
        names = sorted(p.relative_to(paths.printed_dir()).as_posix() for p in paths.printed_dir().rglob("table*.csv"))
        raise FileNotFoundError(f"no printed table {path.name} of {paper!r}; there are {', '.join(names)}")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def beside_printed(
    paper: str,
    table: int,
    measured: Mapping[str, Mapping[str, object]],
    reference: str | None = None,
    extra: Mapping[str, Mapping[str, object]] | None = None,
    floor_db: float | None = None,
) -> pd.DataFrame:
    """A printed table with its measured columns.

    Args:
        measured: method as printed -> its measurements (`psnr_db`, `gain_db`, `steps`, ...).
        reference: the row that differences of `psnr_db` are taken to, in ablations.
        extra: rows that the paper does not print, appended: the longer main run, or other readings of the paper.
        floor_db: what a filter gains that learns nothing: a training has `learnt` if it gains more, and a
            difference is `tested` if one of its networks has.

    Raises:
        ValueError: if a measured method is not a row of the table.
    """
    rows = printed(paper, table)
    extra = extra or {}
    unknown = set(measured) - set(rows["method"])
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no rows of {paper} table {table}; it has {list(rows['method'])}")
    values = [column for column in rows if column.endswith(VALUES)]
    result = rows.rename(columns={column: f"{column}_printed" for column in values})
    result = result.drop(columns=[column for column in ("runtime_as_printed", "own") if column in result])
    result = pd.concat([result, pd.DataFrame({"method": list(extra)})], ignore_index=True)
    measured = {**measured, **extra}
    measurements = pd.DataFrame([measured.get(method, {}) for method in result["method"]], index=result.index)
    scores = [name for name in measurements if any(part in name for part in SCORES)]
    result = result.join(measurements.rename(columns={column: f"{column}_measured" for column in scores}))
    if reference is not None:
        result = _with_differences(result, reference, floor_db)
    notes = _reasons(paper, table) | dict.fromkeys(measured, "")
    result["note"] = [OURS if method in extra else notes.get(method, PENDING) for method in result["method"]]
    if floor_db is not None and {"gain_db_measured", "steps"} <= set(result):
        trained = result["steps"].notna()  # bounds are not
        result["learnt"] = (result["gain_db_measured"] > floor_db).astype(object).where(trained)
    return result


def _reasons(paper: str, table: int) -> dict[str, str]:
    """Method -> why its row is not measured."""
    if not (paths.printed_dir() / "unmeasured.csv").is_file():  # a paper may be added without
        return {}
    rows = unmeasured().query("paper == @paper and table == @table")
    return {row.method: f"{PENDING}: {row.reason}" for row in rows.itertuples()}


def _with_differences(table: pd.DataFrame, reference: str, floor_db: float | None) -> pd.DataFrame:
    """Printed and measured difference in dB to the reference row, and whether it counts."""
    base = table.set_index("method").loc[reference]
    table["delta_db_printed"] = table["psnr_db_printed"].astype(float) - float(base["psnr_db_printed"])
    if "psnr_db_measured" in table:
        table["delta_db_measured"] = table["psnr_db_measured"] - base["psnr_db_measured"]
    if floor_db is not None and "gain_db_measured" in table:
        table["tested"] = tested(table["gain_db_measured"], base["gain_db_measured"], floor_db)
    return table


def tested(gains: pd.Series, reference: float, floor_db: float | None) -> pd.Series:
    """Whether a difference to a reference row counts: one of the two gains more than what learns nothing."""
    return gains.clip(lower=reference) > (-np.inf if floor_db is None else floor_db)


def agreement(ablations: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The rows of ablation tables, by number: has the measured difference to the reference row the printed sign?

    The measured one to the hundredth of a dB that tables print: what rounds to zero has no sign. Differences that are
    not `tested`, see `beside_printed`, have no answer.
    """
    names = ["table", "method", "delta_db_printed", "delta_db_measured"]
    tables = [table.assign(table=number, tested=table.get("tested", True)) for number, table in ablations.items()]
    rows = pd.concat(tables).dropna(subset=names)
    rows = rows.loc[rows["delta_db_printed"] != 0, [*names, "tested"]].reset_index(drop=True)
    same = np.sign(rows["delta_db_printed"]) == np.sign(rows["delta_db_measured"].round(2))
    return rows.assign(same_sign=same.astype(object).where(rows["tested"].astype(bool), UNTESTED))


def agreed(compared: pd.DataFrame, steps: int) -> str:
    """What an `agreement` says, in a sentence; `steps` are those of every row."""
    tested = compared[compared["tested"].astype(bool)]
    said = f"{int(tested['same_sign'].sum())} of the {len(tested)} differences that were tested have the printed sign"
    left = len(compared) - len(tested)
    if left:
        said += (
            f"; {left} are *{UNTESTED}*: after {steps:,} steps neither network gains more than a filter that learns "
        )
        said += "nothing"
    return f"{said}. One seed: what the study found with several stands at the top."


def folder(scale: str, paper: str) -> Path:
    """Where this process makes the results of a paper's notebook; `notebooks.finish` puts them, whole, in their place.

    Results of an earlier or another call are never among them.
    """
    process = os.getpid()
    if process not in _WORKSHOPS:
        _WORKSHOPS[process] = TemporaryDirectory(prefix="deblur-results-")
    return Path(_WORKSHOPS[process].name) / scale / paper


_WORKSHOPS: dict[int, TemporaryDirectory] = {}
"""By process: one that was forked leaves its parent's alone."""


def start_anew() -> None:
    """Forget what this process has made so far."""
    workshop = _WORKSHOPS.pop(os.getpid(), None)
    if workshop:
        workshop.cleanup()


listed = writing.listed_in("run.json")
"""The files of a folder of results, by its `run.json`."""


def save(table: pd.DataFrame, scale: str, paper: str, name: str) -> None:
    """Write a table under its name, e.g. `table5`, atomically; six significant decimals are plenty."""
    path = folder(scale, paper) / "tables" / f"{name}.csv"
    writing.write_text(path, table.to_csv(index=False, float_format="%.6g"))


PROVENANCE = ("scale", "data", "protocol", "steps", "seed", "device")
"""Columns that say where a measurement comes from; a caption names them once."""

QUALITY = (
    *("method", "psnr_db_printed", "psnr_db_measured", "gain_db_measured", "trained_parameters", "ssim_printed"),
    *("ssim_gauss_rgb_measured", "ssim_matlab_volume_measured", "steps", "note"),
)
TIMES = ("runtime_ms_printed", "runtime_s_printed", "runtime_ms_measured", "runtime_low_ms", "runtime_high_ms")
COST = (
    *("method", "size_mb_printed", "size_mb_measured", "size_mib_measured", "params_m_printed", "parameters"),
    *("gmacs_720p", *TIMES),
)
"""The two halves of a comparison table that is too wide for a page."""

UNTESTED = "not tested"
"""Of a difference between networks that gain less than a filter which learns nothing."""


def sheet(table: pd.DataFrame, caption: str, columns: Sequence[str] | None = None) -> Sheet:
    """A table in words, units and rounded numbers, see `deblur.columns`; empty columns are left out.

    Args:
        columns: which to show; by default all but the citation. What the caption names once and for all is left out.
    """
    hidden = {
        "citation",
        "tested",
        "learnt",
        *(name for name in PROVENANCE if name in table and table[name].nunique() < 2),
    }
    chosen = [name for name in columns or table if name in table and name not in hidden]
    cells = {name: texts(name, table[name]) for name in chosen}
    _say(table, cells)
    cells = {name: column for name, column in cells.items() if any(column)}
    right = [name for name in cells if name.endswith("_printed") or pd.api.types.is_numeric_dtype(table[name])]
    view = pd.DataFrame({header(name): column for name, column in cells.items()})
    return Sheet(view, [header(name) for name in right], caption)


def _say(table: pd.DataFrame, cells: dict[str, list[str]]) -> None:
    """Put words where numbers say nothing, or not all."""

    def put(name: str, rows: pd.Series, words: str) -> None:
        cells[name] = [words.format(cell) if row else cell for row, cell in zip(rows, cells[name], strict=True)]

    if "tested" in table and "delta_db_measured" in cells:
        put("delta_db_measured", table["tested"].eq(False) & (table["delta_db_measured"] != 0), UNTESTED)
    if "learnt" in table and "gain_db_measured" in cells:
        put("gain_db_measured", table["learnt"].eq(False), LEARNT_NOTHING)
    if "runtime_device" in table and "runtime_ms_measured" in cells:
        put("runtime_ms_measured", table["runtime_device"].eq(LOADED), LOADED)


def show(table: pd.DataFrame, caption: str, columns: Sequence[str] | None = None) -> "Styler":
    """A `sheet` for a notebook."""
    return sheet(table, caption, columns).styled()


def latex(table: pd.DataFrame, caption: str, columns: Sequence[str] | None = None) -> str:
    """A `sheet` for a paper."""
    return sheet(table, caption, columns).latex()


def caption(table: pd.DataFrame) -> str:
    """Where the measured cells of a table come from, in one line."""
    parts = []
    for name in PROVENANCE:
        values = table[name].dropna().unique() if name in table else []
        shown = ", ".join(f"{value:.0f}" if isinstance(value, float) else str(value) for value in values)
        parts += [f"{name} {shown}"] if shown else []
    return "Measured here: " + ("; ".join(parts) or "nothing yet")


STATUS = ("<!-- status: written by `deblur status --write` -->", "<!-- end of status -->")


def status() -> str:
    """The state of all papers and of the released networks as Markdown tables, from `results/` and `weights/`.

    Raises:
        FileNotFoundError: if there are neither.
    """
    titles = ["paper", "scale", "data", "gain over the blurred input", "steps", "rows live / printed", "device"]
    lines = _markdown(titles)
    empty = len(lines)
    totals: dict[str, tuple[int, int]] = {}
    for entry in reproduced():
        each = ", ".join(f"T{table} {live}/{printed}" for table, (live, printed) in entry["tables"].items())
        live, printed = map(sum, zip(*entry["tables"].values()))
        if entry["results"] == entry["paper"]:  # other seeds and other data do not add to it
            before = totals.get(entry["scale"], (0, 0))
            totals[entry["scale"]] = (before[0] + live, before[1] + printed)
        title = _marked(entry["results"], f"{entry['scale']}/{entry['results']}")
        cells = [title, entry["scale"], entry["data"], f"{entry['gain_db']:+.2f} dB", str(entry["steps"])]
        lines.append(_row([*cells, f"**{live} / {printed}**: {each}", entry["device"]]))
    for scale, (live, printed) in totals.items():
        lines.append(f"| all | {scale} | | | | **{live} / {printed}** | |")
    lines += released()
    if len(lines) == empty:
        where = f"{paths.results_dir()} holds no results and {paths.weights_dir()} no weights"
        raise FileNotFoundError(f"{where}: run 'deblur reproduce' first")
    return "\n".join(lines)


def _marked(title: str, name: str) -> str:
    """A title, marked if the result `name` is stale, see `stale`."""
    return f"{title} (stale)" if name in stale.listed() else title


def reproduced() -> list[dict[str, Any]]:
    """What was measured of each paper, at each scale: plain values, from `results/`."""
    records = []
    for path in sorted(paths.results_dir().glob("*/[!.]*/run.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        counts = rows_live(path.parent)
        if not counts:  # the comparison prints nobody's table
            continue
        main, live = record["runs"][0], {name.removeprefix("table"): rows for name, rows in counts.items()}
        entry = {"results": path.parent.name, "paper": record["paper"], "scale": record["scale"]}
        entry |= {"data": record["data"]["name"], "gain_db": record["gain_db"], "steps": main["steps"]}
        records.append(entry | {"device": main["device"], "tables": live})
    return records


def released_cards() -> dict[str, Card]:
    """The cards of the networks that were trained and scored here, by name."""
    return {name: card for name, card in cards().items() if card.scores and card.training and card.recipe}


def released() -> list[str]:
    """Lines of a Markdown table, after an empty one: what the released networks gain, from their cards."""
    by_name = released_cards()
    if not by_name:
        return []
    first = next(iter(by_name.values())).scores or {}
    kinds = [name for name in first if name.startswith("gain_db_") and not name.endswith("_pair")]
    titles = ["released network", "parameters", "gain over the blurred input"]
    lines = ["", *_markdown(titles + [name.removeprefix("gain_db_") for name in kinds] + ["steps", "hours", "device"])]
    for name, card in by_name.items():
        scores, training = card.scores or {}, card.training or {}
        gains = [f"{scores[score]:+.2f} dB" for score in ("gain_db", *kinds)]
        hours = f"{training['training_seconds'] / 3600:.1f}"
        title = _marked(name, f"weights/{name}")
        lines.append(_row([title, f"{card.parameters:,}", *gains, str(card.steps), hours, training["device"]]))
    return lines


def _markdown(titles: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [_row(titles), "| --- " * len(titles) + "|"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main_column(table: pd.DataFrame) -> str:
    """The measured column that decides whether a row is live: PSNR, on average or on the first benchmark, if the table
    prints it; else the first value that it prints, a time, a memory or a size."""
    names = [name.removesuffix("_printed") for name in table if name.endswith("_printed")]
    scores = sorted((name for name in names if name.endswith("psnr_db")), key=lambda name: "average" not in name)
    return f"{[*scores, *names][0].replace('runtime_s', 'runtime_ms')}_measured"


def rows_live(folder: Path) -> dict[str, tuple[int, int]]:
    """Table -> rows that the paper prints and whose main column was measured too, and all rows that it prints."""
    counts = {}
    for path in sorted((folder / "tables").glob("table*.csv")):
        table = pd.read_csv(path)
        in_print = table[table[[name for name in table if name.endswith("_printed")]].notna().any(axis=1)]
        # A table of symbols (RAID-Net's first) has counts beside them, in all its rows, and no notes.
        compared = "note" in table or any(name.endswith("_measured") for name in table)
        column = main_column(table)
        filled = in_print[column].notna() if column in in_print else pd.Series(not compared, in_print.index)
        counts[path.stem] = (int(filled.sum()), len(in_print))
    return counts


def write_status() -> Path:
    """Put the status table between its two marks in docs/status.md; not a byte beside it changes.

    Raises:
        ValueError: if the marks are not there, each once.
        OSError: if there is no such file.
    """
    path = paths.project_root() / "docs" / "status.md"
    writing.write_between(path, STATUS, status)
    return path
