"""The run store: every training once, named by what it depends on, found again by all notebooks.

A run's key is a hash of its recipe, its network's configuration, the data and the code that they reach (network, loss,
training, data), see `plan`. A run folder under `paths.runs_dir()` holds `recipe.json`, `provenance.json`, `log.csv`,
`state.pt` (which continues it), `model.safetensors`, `per_image.csv` (the test split, scored once), of a main run
`parts.csv` (what the parts of the network do) and a manifest, see `store`.
"""

from deblur.runs.plan import Plan, training_part
from deblur.runs.pool import load_or_run
from deblur.runs.run import FILES, PARTS, Run, bundled_scale, files, is_complete, load, parts_in, scoring, stored
from deblur.runs.scores import blurred_scores, ensemble_scores, exam_scores, protocol_scores
from deblur.runs.train import train_one

__all__ = [
    "FILES",
    "PARTS",
    "Plan",
    "Run",
    "blurred_scores",
    "bundled_scale",
    "ensemble_scores",
    "exam_scores",
    "files",
    "is_complete",
    "load",
    "load_or_run",
    "parts_in",
    "protocol_scores",
    "scoring",
    "stored",
    "train_one",
    "training_part",
]
