"""All benchmarks in one table of ratios: `make speed`. Speed is never tested, since machines are noisy."""

import os
import platform
import re
from importlib import import_module
from pathlib import Path

import pandas as pd

from deblur.evaluation.complexity import device_name

MODULES = (
    "metrics",
    "evaluation",
    "deform",
    "attention",
    "recurrence",
    "loading",
    "synthesis",
    "training_step",
    "inference",
    "planning",
)
COLUMNS = ("name", "ours_ms", "other", "other_ms", "ratio")


def main() -> None:
    """Run every benchmark and print its rows."""
    rows = [row for name in MODULES for row in import_module(f"benchmarks.{name}").run()]
    print(f"{machine()}; {device_name()}; ratio = time of the other / our time, both in this run; spread of it")
    print(pd.DataFrame(map(_printed, rows)).to_string(index=False, float_format="%.2f"))


def machine() -> str:
    """The processor, its cores and the system, in words."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return f"{model.group(1) if model else platform.processor()}, {os.cpu_count()} cores, {platform.system()}"


def _printed(row: dict) -> dict:
    """A row of the table: what all rows have, and in words what only this one has."""
    low, high = row["spread"]
    more = [f"{name} {value:.3g}" for name, value in row.items() if name not in (*COLUMNS, "spread")]
    return {name: row[name] for name in COLUMNS} | {"spread": f"{low:.2f} to {high:.2f}", "besides": ", ".join(more)}


if __name__ == "__main__":
    main()
