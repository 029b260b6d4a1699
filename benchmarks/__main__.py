"""All benchmarks in one table of ratios: `make bench`. Speed is never tested, since machines are noisy."""

from importlib import import_module

import pandas as pd

from deblur.complexity import device_name

MODULES = ("metrics", "evaluation", "deform", "attention")


def main() -> None:
    """Run every benchmark and print its rows."""
    rows = [row for name in MODULES for row in import_module(f"benchmarks.{name}").run()]
    print(f"{device_name()}; ratio = time of the other / our time, both in this run")
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
