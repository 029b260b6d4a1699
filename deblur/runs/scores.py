"""Scores that are made once: of the blurred input, by another protocol, with self-ensemble."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from deblur import evaluation, paths
from deblur.data.copies import Data
from deblur.locks import locked
from deblur.models.radn import SelfEnsemble
from deblur.runs import store
from deblur.runs.run import Run, scoring, scoring_device
from deblur.source import code_hash


def blurred_scores(data: Data, limit: int | None = None) -> pd.DataFrame:
    """Scores of the blurred input on the test split: what every gain is counted from."""
    return _scored_once(
        paths.runs_dir() / "blurred",
        f"{data.fingerprint} {data.subset} {limit} {scoring()}",
        lambda: evaluation.evaluate(evaluation.identity, data.pairs("test", limit), "blurred input"),
    )


def exam_scores(run: Run, exam: Data) -> pd.DataFrame:
    """Scores of a run on the study exam, one row per image, scored once; gains are over `blurred_scores(exam)`."""

    def scored() -> pd.DataFrame:
        restore = evaluation.restorer(run.network(), scoring_device())
        return evaluation.evaluate(restore, exam.pairs("test"), f"{run.plan.title} {exam.label}")

    return _scored_once(paths.runs_dir() / "exams", f"{run.plan.key} {exam.fingerprint} {scoring()}", scored)


def protocol_scores(data: Data, protocol: str, run: Run | None = None, limit: int | None = None) -> pd.DataFrame:
    """Scores of a run, or of the blurred input, on the test split of another benchmark by its own protocol.

    Args:
        data: the benchmark that is scored, whatever the run was trained on.
    """
    code = code_hash(evaluation.PROTOCOLS[protocol].score, evaluation.restorer)
    name = f"{data.name} {data.subset}".strip()
    parts = (run.plan.key if run else "blurred", name, data.fingerprint, protocol, limit, code)

    def scored() -> pd.DataFrame:
        restore = evaluation.restorer(run.network(), scoring_device()) if run else evaluation.identity
        pairs = data.pairs("test", limit)
        return evaluation.score_pairs(protocol, data.name, lambda _: restore, pairs, f"{data.name} {protocol}")

    return _scored_once(paths.runs_dir() / "protocols", " ".join(map(str, parts)), scored)


def ensemble_scores(run: Run) -> pd.DataFrame:
    """The test split restored by a run's network with x8 self-ensemble, one row per image, scored once."""
    code = code_hash(SelfEnsemble, evaluation.evaluate, evaluation.score, evaluation.restorer)

    def scored() -> pd.DataFrame:
        restore = evaluation.restorer(SelfEnsemble(run.network()), scoring_device())
        pairs = run.plan.data.pairs("test", run.plan.recipe.test_pairs)
        return evaluation.evaluate(restore, pairs, f"{run.plan.title} x8")

    return _scored_once(paths.runs_dir() / "ensembles", f"{run.plan.key} {code}", scored)


def _scored_once(folder: Path, subject: str, score: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table of a subject, everything that it depends on; scored now if it is not there, whole."""
    key = hashlib.sha256(subject.encode()).hexdigest()[:16]
    with locked(folder / f"{key}.lock"):
        if store.stored_table(folder, key) is None:
            store.store_table(folder, key, score())
        table = store.stored_table(folder, key)
    assert table is not None  # it was stored just now
    return table
