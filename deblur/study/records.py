"""What the study keeps of each training: one compressed file a run, with a row an image, under `results/study/`.

The first line is a JSON object: what was trained, where, for how long, and its validation scores on the way. Files of
two machines are merged by copying; what the present code would not train again does not count, see `counted`.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from deblur import models, paths, recipes, runs, writing
from deblur.runs.plan import key_of, training_part
from deblur.runs.wiring import code
from deblur.study.claims import Arm

COLUMNS = ("on", "state", "without", "name", "scene", "kind", "psnr_db", "ssim_gauss_rgb")
"""Of a row: the data, the step or `best`, the part that was taken out, the pair with its scene and kind of blur, and
its scores; of other data `psnr_db` is that of their protocol, and the last may be missing."""

BOUNDS = ("blurred input", "floor", "oracle")
"""What learns nothing, see `evaluation.classical`: states of the rows of `bounds_file`."""
WATCHED = "validation"
"""The validation pairs, of which `bounds_file` has the scores of the blurred input."""
PROBES = "-probes.csv.gz"
"""How the file beside a record ends that holds what was looked at in the network, see `probing`."""
TRAINING = ("device", "training_seconds", "commit", "dirty", "versions")
"""What a record says of where it was made."""


@dataclass(frozen=True)
class Record:
    """One training of the study.

    Attributes:
        about: what the file's first line says: `arm`, `scale`, `seed`, `key`, `content` (see `Plan.content`), `exam`
            (fingerprint), `parameters`, `training` (device, seconds, commit, versions), and `curve`, pairs of step and
            PSNR on validation.
        rows: see `COLUMNS`.
    """

    about: dict[str, Any]
    rows: pd.DataFrame


def folder() -> Path:
    """Where the study's files lie."""
    return paths.results_dir() / "study"


def file_of(scale: str, arm: Arm, seed: int, key: str) -> Path:
    """The file of a training."""
    name = str(arm).replace("/", "-")
    return folder() / scale / f"{name}-{seed}-{key}.csv.gz"


def bounds_file(scale: str, exam: str) -> Path:
    """The file of what learns nothing, on a scale's exam with that fingerprint."""
    return folder() / "bounds" / f"{scale}-{exam}.csv.gz"


def write(file: Path, record: Record) -> None:
    """Write a record, whole or not at all; the same record gives the same bytes."""
    text = json.dumps(record.about, ensure_ascii=False) + "\n" + record.rows[list(COLUMNS)].round(4).to_csv(index=False)
    with writing.replacing(file) as draft:
        draft.write_bytes(gzip.compress(text.encode(), mtime=0))


def read(file: Path) -> Record:
    """A record.

    Raises:
        ValueError: a file that is none, or not whole.
    """
    try:
        first, _, rest = gzip.decompress(file.read_bytes()).decode().partition("\n")
        texts = dict.fromkeys(COLUMNS[:6], str)
        missing = {name: [""] for name in COLUMNS[6:]}  # a text may be empty, a number may be missing
        rows = pd.read_csv(io.StringIO(rest), dtype=texts, keep_default_na=False, na_values=missing)
        return Record(json.loads(first), rows)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"{file}: not a whole record of the study ({error}); move it away, or copy it again") from None


def counted(scale: str) -> dict[tuple[Arm, int], Record]:
    """The records of a scale that the present code would make again, by arm and seed.

    Two records of one training, of two machines, say the same to the last digits; the first by name counts.
    """
    kept: dict[tuple[Arm, int], Record] = {}
    for file in sorted((folder() / scale).glob("*.csv.gz")):
        if file.name.endswith(PROBES):
            continue
        record = read(file)
        arm, seed = Arm.of(record.about["arm"]), record.about["seed"]
        content = record.about["content"]
        if key_of(content) == record.about["key"] and is_present(content, arm, scale, seed):
            kept.setdefault((arm, seed), record)
    return kept


def is_present(content: dict[str, Any], arm: Arm, scale: str, seed: int) -> bool:
    """Whether a training's `Plan.content` is that of an arm, by recipe and code; data are whatever they were."""
    try:
        expected = _expected(arm, scale) | {"seed": seed}
    except ValueError:  # an arm of other times
        return False
    return all(content.get(name) == value for name, value in expected.items())


@cache
def _expected(arm: Arm, scale: str) -> dict[str, Any]:
    recipe = recipes.recipe(arm.network, arm.variant, scale, "study")
    recipe = replace(recipe, lr=float(arm.lr)) if arm.lr else recipe
    config = models.config(arm.network, arm.variant, **recipe.config)
    wiring = (arm.network, recipe.loss, recipe.schedule, recipe.data)
    expected = {"paper": arm.network, "config": asdict(config), "recipe": training_part(recipe), "code": code(*wiring)}
    return json.loads(json.dumps(expected))


def about(run: runs.Run, arm: Arm, exam: str) -> dict[str, Any]:
    """The first line of a run's record."""
    plan, log = run.plan, run.log()
    validated = log.dropna(subset="val_psnr_db")
    return {
        "arm": str(arm),
        "scale": plan.scale,
        "seed": plan.seed,
        "key": plan.key,
        "content": plan.content,
        "exam": exam,
        "parameters": sum(parameter.numel() for parameter in run.network().parameters()),
        "training": {name: run.provenance[name] for name in TRAINING},
        "curve": [[int(step), round(psnr, 4)] for step, psnr in zip(validated["step"], validated["val_psnr_db"])],
    }


def stacked(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several tables, in order, with all `COLUMNS`."""
    return pd.concat(list(tables), ignore_index=True).reindex(columns=list(COLUMNS))
