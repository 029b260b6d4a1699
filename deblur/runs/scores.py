"""Scores that are made once: of the blurred input, of what learns nothing, by another protocol, with self-ensemble."""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from deblur import evaluation, paths
from deblur.data import official
from deblur.data.copies import Data, open_data
from deblur.evaluation import bursts, classical
from deblur.locks import locked
from deblur.models.radn import SelfEnsemble
from deblur.runs import store
from deblur.runs.run import Run, scoring, scoring_device
from deblur.source import code_hash
from deblur.weights import yardsticks


def blurred_scores(data: Data, limit: int | None = None) -> pd.DataFrame:
    """Scores of the blurred input on the test split: what every gain is counted from."""
    return _scored_once(
        paths.runs_dir() / "blurred",
        f"{data.fingerprint} {data.subset} {limit} {scoring()}",
        lambda: evaluation.evaluate(evaluation.identity, data.pairs("test", limit), "blurred input"),
    )


def bounds(data: Data, limit: int | None = None) -> dict[str, pd.DataFrame]:
    """Scores on the test split of what learns nothing, between which there is something to learn; see `classical`.

    Returns:
        Name of the floor and of the oracle -> one row per image, as `blurred_scores`; empty for somebody's own copy,
        which has no validation split to guess on.
    """
    guessing = floor(data)
    if guessing is None:
        return {}
    grid = classical.GRIDS[data.bundled]

    def told(pair: official.Pair) -> evaluation.Restore:
        return partial(classical.wiener_oracle, sharp=official.read_pair(pair)[1], grid=grid)

    folder, code = paths.runs_dir() / "bounds", code_hash(classical.wiener_floor, classical.wiener_oracle)
    subject = f"{data.fingerprint} {data.subset} {limit} {_guess(data.bundled)} {grid} {scoring()} {code}"
    ways = {classical.FLOOR: lambda pair: guessing, classical.ORACLE: told}

    def scored(name: str) -> pd.DataFrame:
        pairs = tqdm(data.pairs("test", limit), desc=name, leave=False, mininterval=5)
        return pd.DataFrame([evaluation.score(ways[name](pair), pair) for pair in pairs])

    return {name: _scored_once(folder, f"{name} {subject}", partial(scored, name)) for name in ways}


def floor(data: Data) -> evaluation.Restore | None:
    """The floor as a function of one image, its guess made on the validation pairs of that scale; None without."""
    return partial(classical.wiener_floor, guess=_guess(data.bundled)) if data.bundled else None


@cache
def _guess(scale: str) -> classical.Guess:
    return classical.best_guess(open_data(scale=scale).validation(), classical.GRIDS[scale])


def to_learn(data: Data, limit: int | None = None) -> pd.DataFrame:
    """The blurred test split by kind of blur, and over all: PSNR, SSIMs, and what floor and oracle gain there.

    On blur of full size, in whole, also what published weights gain (`NETWORK_authors_gain_db`), see
    `weights.yardsticks`.
    """
    blurred = blurred_scores(data, limit)
    table = _with_all(blurred)
    columns = {classical.FLOOR: "floor_gain_db", classical.ORACLE: "oracle_gain_db"}
    for name, scores in bounds(data, limit).items():
        table[columns[name]] = _with_all(evaluation.add_gain(scores, blurred))["gain_db"]
    for name, gains in ({} if limit else yardsticks.gains(data.fingerprint)).items():
        table[f"{name}_authors_gain_db"] = table["kind"].map(gains)
    return table


def _with_all(scores: pd.DataFrame) -> pd.DataFrame:
    """`evaluation.by_kind`, and the mean over all images below it."""
    kinds = evaluation.by_kind(scores)
    every = [evaluation.by_kind(scores.drop(columns="kind"))] if "kind" in scores else []
    return pd.concat([kinds, *every], ignore_index=True)


def exam_scores(run: Run, exam: Data) -> pd.DataFrame:
    """Scores of a run on the study exam, one row per image, scored once; gains are over `blurred_scores(exam)`."""

    def scored() -> pd.DataFrame:
        restore = evaluation.restorer(run.network(), scoring_device())
        return evaluation.evaluate(restore, exam.pairs("test"), f"{run.plan.title} {exam.label}")

    return _scored_once(paths.runs_dir() / "exams", f"{run.plan.key} {exam.fingerprint} {scoring()}", scored)


def protocol_scores(data: Data, protocol: str, run: Run | None = None, limit: int | None = None) -> pd.DataFrame:
    """Scores of a run, or of the blurred input, on the test split of another benchmark by its own protocol.

    A network of several frames gets the neighbours of each image where the benchmark holds videos.

    Args:
        data: the benchmark that is scored, whatever the run was trained on.
    """

    def method() -> evaluation.Method:
        restore = evaluation.restorer(run.network(), scoring_device()) if run else evaluation.identity
        if run is None or run.plan.frames == 1 or not data.is_video:
            return lambda _: restore
        return evaluation.on_frames(lambda shown: restore(np.dstack(shown)), data.pairs("test"), run.plan.frames)

    return _by_protocol(data, protocol, run.plan.key if run else "blurred", method, limit, evaluation.restorer)


def burst_scores(data: Data, protocol: str, limit: int | None = None) -> pd.DataFrame:
    """Scores of WFA, which learns nothing, on the test split of a benchmark of videos.

    Raises:
        ValueError: for single images.
    """
    if not data.is_video:
        raise ValueError(f"{data.label} holds no videos, whose neighbouring frames WFA needs; give it dvd")

    def method() -> evaluation.Method:
        return evaluation.on_frames(bursts.wfa, data.pairs("test"), bursts.FRAMES)

    return _by_protocol(data, protocol, "WFA", method, limit, bursts.wfa)


def _by_protocol(
    data: Data,
    protocol: str,
    who: str,
    method: Callable[[], evaluation.Method],
    limit: int | None,
    restoring: Callable,
) -> pd.DataFrame:
    """What a method scores by a protocol, scored once; `restoring` is the code that it runs besides."""
    code = code_hash(evaluation.PROTOCOLS[protocol].score, restoring)
    name = f"{data.name} {data.subset}".strip()
    subject = " ".join(map(str, (who, name, data.fingerprint, protocol, limit, code)))

    def scored() -> pd.DataFrame:
        return evaluation.score_pairs(
            protocol, data.name, method(), data.pairs("test", limit), f"{data.name} {protocol}"
        )

    return _scored_once(paths.runs_dir() / "protocols", subject, scored)


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
