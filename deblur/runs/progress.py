"""How many trainings are made, told to the process that waits for a notebook."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from deblur import writing

VARIABLE = "DEBLUR_PROGRESS"
"""The environment variable that names the file; where it is not set, nobody waits."""


class Trainings(NamedTuple):
    """Numbers of trainings: kept from earlier calls, missing as this one began, made since."""

    kept: int = 0
    missing: int = 0
    made: int = 0


def tell(trainings: Trainings) -> None:
    """Say how far this process is."""
    file = os.environ.get(VARIABLE)
    if file:
        writing.write_text(Path(file), json.dumps(trainings))


@contextmanager
def heard() -> Iterator[Callable[[], Trainings]]:
    """Gives what a process that is started in the block told last."""
    with TemporaryDirectory(prefix="deblur-progress-") as folder:
        file = Path(folder) / "trainings.json"
        os.environ[VARIABLE] = str(file)
        try:
            yield lambda: Trainings(*json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Trainings()
        finally:
            del os.environ[VARIABLE]
