"""Results and released weights that the present code would not make again, by name, in `results/stale.txt`.

A name is `SCALE/PAPER` for a notebook's folder, `weights/NAME` for a card, or `bench/seeds.csv`. After code of a
training, a recipe or data were changed on purpose, `python -m deblur.upkeep.stale` writes the file.
"""

from pathlib import Path

from deblur import paths


def file(folder: Path | None = None) -> Path:
    """Where they are listed; without the file nothing is stale.

    Args:
        folder: with the results, by default `paths.results_dir()`.
    """
    return (folder or paths.results_dir()) / "stale.txt"


def listed(folder: Path | None = None) -> set[str]:
    """The names in the file: one a line, empty lines and what follows a `#` aside."""
    text = file(folder).read_text(encoding="utf-8") if file(folder).is_file() else ""
    return {name for line in text.splitlines() if (name := line.partition("#")[0].strip())}
