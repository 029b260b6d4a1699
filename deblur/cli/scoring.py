"""`deblur evaluate` and `deblur score`: networks, and images that somebody restored."""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import options
from deblur.cli.options import Commands, used
from deblur.errors import UsageError

if TYPE_CHECKING:
    from deblur.evaluation import Method

BENCHMARK = ("benchmark", "root", "protocol", "out")
"""Options without which scores on a benchmark mean nothing."""

OF_TRAININGS = (
    "budget",
    "data",
    "seed",
    "precision",
    "accumulate",
    "compile",
    "workers",
    "pretrained",
    "photos",
    "exam",
)
"""Options that tell trainings apart, and that a file of weights does not ask for."""


def add(commands: Commands) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="score a network: a trained one, or a file of weights",
        description="A network trained by 'deblur train', on its test split; or, with --weights, a file of weights on "
        "any benchmark by its own protocol.",
    )
    evaluate.add_argument("network", metavar="NETWORK", help="attentive, ...")
    options.add_run(evaluate)
    exam = "a trained network: on the study exam of its scale, in place of its test split"
    evaluate.add_argument("--exam", action="store_true", help=exam)
    weights = "safetensors file for NETWORK, --variant and --scale"
    evaluate.add_argument("--weights", type=Path, help=weights)
    _add_benchmark(evaluate)
    evaluate.set_defaults(run=partial(_evaluate, evaluate))
    score = commands.add_parser(
        "score",
        help="score images that somebody restored, on any benchmark by its own protocol",
        description="Score a folder of restored images, named as the pairs are; or, with --blurred, the blurred images "
        "themselves, which all must beat.",
    )
    score.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="of restored images")
    score.add_argument("--blurred", action="store_true", help="the blurred images, in place of FOLDER")
    options.add_subset(score)
    _add_benchmark(score)
    score.set_defaults(run=_score)


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", help="gopro, hide, realblur_j, realblur_r, koehler, dvd or flat")
    parser.add_argument("--root", type=Path, help="where the benchmark was unpacked")
    parser.add_argument("--protocol", help="full_rgb8, realblur_ecc, koehler_best_frame, dvd_aligned_30, dvd_plain_all")
    parser.add_argument("--split", default="test", help="train, validation or test (default: test)")
    parser.add_argument("--out", type=Path, help="CSV file, one row per image")
    parser.add_argument("--overwrite", action="store_true", help="replace the CSV file if it is there; never an input")


def _evaluate(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    ignored = OF_TRAININGS if given.weights else (*BENCHMARK, "split", "overwrite")
    astray = [f"--{name}" for name in ignored if getattr(given, name) != parser.get_default(name)]
    if astray and given.weights:
        raise UsageError(f"{', '.join(astray)} go with a trained network, not with --weights")
    if astray:
        raise UsageError(f"{', '.join(astray)} go with --weights; a trained network is scored on its own test split")
    (_evaluate_weights if given.weights else _evaluate_run)(given)


def _evaluate_run(given: argparse.Namespace) -> None:
    plan = options.plan(given)
    from deblur import evaluation, runs
    from deblur.data import copies

    if not (plan.folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{plan.title} is not trained yet: run 'deblur train' with the same options first")
    run = runs.load_or_run([plan])[0]
    if given.exam:
        data, limit = copies.open_exam("bench" if given.scale == "bench" else "mini", given.subset or "blur"), None
        scores = runs.exam_scores(run, data)
    else:
        data, limit, scores = plan.data, plan.recipe.test_pairs, run.scores()
    blurred = runs.blurred_scores(data, limit)
    print(f"{plan.title}; {data.label}; full_rgb8; {len(blurred)} images")
    gains = {name: evaluation.summarise(part, blurred)["gain_db"] for name, part in runs.bounds(data, limit).items()}
    _print_numbers(evaluation.summarise(scores, blurred) | {f"gain_db of {name}": gain for name, gain in gains.items()})


def _print_numbers(numbers: Mapping[str, float]) -> None:
    for name, value in numbers.items():
        print(f"{name:24} {value:.4f}")


def _evaluate_weights(given: argparse.Namespace) -> None:
    _check_benchmark(given)
    from deblur import evaluation, models, paths, recipes
    from deblur.runs.run import scoring_device
    from deblur.source import code_hash
    from deblur.weights import checkpoints, tensors

    with used():
        config = recipes.recipe(given.network, given.variant, given.scale).config
        network = models.build(given.network, given.variant, **config)
    checkpoints.refuse_no_checkpoint(given.weights)
    tensors.load_weights(network, given.weights)
    device = scoring_device()
    restore = evaluation.restorer(network, device)
    record = {
        "method": f"{given.network} {given.variant} {given.scale}",
        "weights": paths.file_sha256(given.weights)[:16],
        "code": code_hash(models.NETWORKS[given.network].network),
        "device": device,
    }
    _score_benchmark(given, lambda pair: restore, record, inputs=[given.weights])


def _score(given: argparse.Namespace) -> None:
    if bool(given.folder) == given.blurred:
        raise UsageError("score what? Give a folder of restored images, or --blurred")
    _check_benchmark(given)
    from deblur import evaluation

    if given.blurred:
        _score_benchmark(given, lambda pair: evaluation.identity, {"method": "blurred input"})
    else:
        _score_benchmark(given, None, {"method": "restored images"})


def _check_benchmark(given: argparse.Namespace) -> None:
    missing = [f"--{name}" for name in BENCHMARK if getattr(given, name) is None]
    if missing:
        raise UsageError(f"give {', '.join(missing)} too: scores mean nothing without")
    from deblur import evaluation

    with used():
        evaluation.protocol_for(given.protocol, given.benchmark)
    if given.benchmark == "gopro" and not given.subset:
        raise UsageError("give --subset, blur or blur_gamma: they differ by about 3 dB")


def _score_benchmark(
    given: argparse.Namespace, method: "Method | None", made_by: Mapping[str, str], inputs: list[Path] | None = None
) -> None:
    """Score a method, or else the images of `given.folder`, and print the means."""
    from deblur import evaluation
    from deblur.data import official

    choices = {"subset": given.subset} if given.subset else {}
    where = (given.benchmark, given.root, given.split)
    pairs = official.find_pairs(*where, **choices)
    copy = official.copy_label(*where, **choices)
    files = None if method else evaluation.restored_files(given.folder, pairs, given.protocol)
    method = method or evaluation.from_files(files or {})
    record = {**made_by, "split": given.split, **choices, "copy": copy}
    arguments = (given.protocol, given.benchmark, method, pairs, record, files)
    scores = evaluation.evaluate_into(given.out, *arguments, overwrite=given.overwrite, inputs=inputs or [])
    print(f"{given.benchmark} {given.split}; copy: {copy}; {given.protocol}; {len(scores)} images")
    _print_numbers(evaluation.summarise_protocol(given.protocol, scores))
    print(given.out)
