"""The run store: every training once, named by what it depends on, found again by all notebooks.

A run's key is a hash of its recipe, its network's configuration, the data and the code that they reach (network, loss,
training, data), see `plan`. A run folder under `paths.runs_dir()` holds `recipe.json`, `provenance.json`, `log.csv`,
`state.pt` (which continues it), `model.safetensors`, `per_image.csv` (the test split, scored once), of a main run
`parts.csv` (what the parts of the network do) and a manifest, see `store`.
"""

from deblur.runs.plan import Listed, Plan, main_plan, of_card, photographs, training_part
from deblur.runs.pool import load_or_run
from deblur.runs.run import FILES, PARTS, Run, bundled_scale, files, is_complete, load, parts_in, scoring, stored
from deblur.runs.scores import (
    blurred_scores,
    bounds,
    burst_scores,
    ensemble_scores,
    exam_scores,
    floor,
    protocol_scores,
    to_learn,
)
from deblur.runs.train import train_one

__all__ = [
    "FILES",
    "PARTS",
    "Listed",
    "Plan",
    "Run",
    "blurred_scores",
    "bounds",
    "bundled_scale",
    "burst_scores",
    "ensemble_scores",
    "exam_scores",
    "files",
    "floor",
    "is_complete",
    "load",
    "load_or_run",
    "main_plan",
    "of_card",
    "parts_in",
    "photographs",
    "protocol_scores",
    "scoring",
    "stored",
    "to_learn",
    "train_one",
    "training_part",
]
