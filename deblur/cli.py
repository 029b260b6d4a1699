"""The command `deblur` (also `python -m deblur.cli`): what the notebooks do, without notebooks."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.errors import UsageError

if TYPE_CHECKING:  # commands import what they need, so that --help is quick
    from deblur.evaluation import Method
    from deblur.runs import Plan

Commands = argparse._SubParsersAction


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command; errors end with a message, not with a traceback.

    Returns:
        0, 1 where work failed, 2 for wrong use (from argparse by `SystemExit`), 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="deblur", description="Five motion-deblurring papers, reproduced.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    of_runs = (_add_train, _add_plan, _add_evaluate, _add_weights, _add_reproduce, _add_status)
    for add in (_add_restore, _add_data, *of_runs):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        status = options.run(options) or 0
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stopped:
        command = shlex.join(["deblur", *(sys.argv[1:] if arguments is None else arguments)])
        print(f"deblur: stopped{f': {stopped}' if str(stopped) else ''}\ndeblur: to go on: {command}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        words = _words(error)
        if not words:
            raise
        print(f"deblur: {words}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def _words(error: Exception) -> str:
    """What is said of an error; nothing of those that only a fault of this program explains."""
    if isinstance(error, ValueError | OSError):
        return str(error)
    from concurrent.futures.process import BrokenProcessPool

    import torch

    from deblur.training import DivergedError

    reason = str(error).strip().partition("\n")[0]
    if isinstance(error, BrokenProcessPool):
        return f"a worker process was killed, as systems do where memory ends ({reason}); close other programs"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in reason:
        return (
            f"too little memory ({reason or 'no word how much'}); close other programs or take a smaller batch or image"
        )
    return str(error) if isinstance(error, DivergedError) else ""


@contextmanager
def _use() -> Iterator[None]:
    """What does not fit in here is an argument."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")
"""As Lightning Fabric names them."""


def _whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option: a whole number within bounds."""

    def number(text: str) -> int:
        if not re.fullmatch("[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is no whole number from {low} to {high}")
        return int(text)

    return number


_seed = _whole(0, 2**32 - 1)


def _pixels(text: str) -> float:
    """The type of an option: a length in pixels."""
    try:
        length = float(text)
    except ValueError:
        length = 0
    if not 0 < length <= 10_000:  # NaN is not either
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no length in pixels, above 0 and up to 10000")
    return length


def _devices(text: str) -> str:
    """The type of an option: how many devices, or auto."""
    if text != "auto":
        try:
            _whole(1, 1024)(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, nor auto") from None
    return text


def _add_restore(commands: Commands) -> None:
    restore = commands.add_parser(
        "restore",
        help="deblur your own photographs",
        description="Restore photographs (PNG, JPEG, TIFF, WebP, AVIF, BMP; HEIC with deblur[heif]) that are blurred "
        "because the camera or the scene "
        "moved. Not for pictures out of focus: these stay as they are, or get worse. Of a folder that is a benchmark "
        "as it was unpacked, the blurred images of one split are restored: of 'test' if there are several, of GoPro's "
        "variants 'blur'.",
        epilog="Exit status: 0 all are restored; 1 one failed, or a file in a folder is of a kind that is not read; "
        "2 wrong use, nothing is restored; 130 stopped by Ctrl-C, what was written is whole.",
    )
    restore.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="files, and folders of them")
    restore.add_argument("-o", "--out", type=Path, required=True, help="file for one photograph, else a folder")
    restore.add_argument("--model", help="name from 'deblur weights list', or a .safetensors file with its card")
    restore.add_argument("--ensemble", action="store_true", help="mean over eight symmetries: eight times the time")
    restore.add_argument("--compare", action="store_true", help="also write NAME-compare.jpg, before beside after")
    restore.add_argument(
        "--tile", type=_whole(1, 10**6), help="longest side of a tile in pixels (default: what memory allows)"
    )
    restore.add_argument("--overwrite", action="store_true", help="replace files that are there, but no input")
    restore.set_defaults(run=_restore)


def _restore(options: argparse.Namespace) -> int:
    from deblur import photos

    names = ("photos", "out", "model", "ensemble", "tile", "compare", "overwrite")
    return 0 if photos.restore_files(**{name: getattr(options, name) for name in names}) else 1


def _add_data(commands: Commands) -> None:
    data = commands.add_parser("data", help="write or check a benchmark").add_subparsers(required=True, metavar="WHAT")
    mini = data.add_parser("mini", help="write the bundled benchmark, or check that it is whole")
    mini.add_argument("--flavour", default="gopro", help="hide, realblur_j, ... or all (default: gopro)")
    mini.add_argument("--root", type=Path, help="where to (default: a folder of its own in the data folder)")
    mini.set_defaults(run=_data_mini)
    check = data.add_parser("check", help="is a copy of a benchmark complete and readable?")
    check.add_argument("name", help="gopro, hide, realblur_j, realblur_r, koehler, dvd, rwbi or flat")
    check.add_argument("root", type=Path)
    check.add_argument("--variant", help="GoPro: the folder that you mean to read, blur or blur_gamma")
    check.add_argument("--split", action="append", help="judge this split only; may be given again (default: all)")
    check.set_defaults(run=_data_check)
    pack = data.add_parser("pack", help="decode a split once, so that training need not; found again by 'train'")
    pack.add_argument("name", help="gopro, realblur_j, realblur_r or dvd")
    pack.add_argument("root", type=Path)
    pack.add_argument("--variant", choices=("blur", "blur_gamma"), help="of GoPro (default: blur)")
    pack.add_argument("--split", default="train")
    pack.set_defaults(run=_data_pack)
    leaves = data.add_parser("leaves", help="make sharp pictures to train on at scale bench, without photographs")
    leaves.add_argument("--out", type=Path, help="a new folder (default: photos/leaves)")
    leaves.add_argument("--count", type=_whole(1, 99_999), default=128, help="pictures of 720x1080 (default: 128)")
    leaves.add_argument("--seed", type=_seed, default=0)
    leaves.set_defaults(run=_data_leaves)
    debian = data.add_parser("photographs", help="fetch free photographs to train on at scale bench, from Debian")
    debian.add_argument("--out", type=Path, help="a new folder (default: photos/photographs)")
    debian.set_defaults(run=_data_photographs)
    own = data.add_parser("synthesize", help="make a GoPro tree from your own photographs or video frames")
    own.add_argument("--photos", type=Path, required=True, help="folder of sharp photographs")
    own.add_argument("--out", type=Path, required=True, help="a new folder")
    own.add_argument("--video", action="store_true", help="--photos holds a subfolder of consecutive frames per clip")
    own.add_argument("--seed", type=_seed, default=0)
    frames = "pairs per photograph, at most per clip (default: 4)"
    own.add_argument("--frames", type=_whole(1, 999_999), default=4, help=frames)
    own.add_argument("--size", type=_whole(32, 16_384), nargs=2, default=(720, 1280), metavar=("HEIGHT", "WIDTH"))
    path = "default: 8 to 20 at 720p"
    own.add_argument("--path-px", type=_pixels, nargs=2, metavar=("SHORTEST", "LONGEST"), help=path)
    own.set_defaults(run=_data_synthesize)


def _data_pack(options: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur import runs
    from deblur.data import packing

    with _use():
        data = runs.open_data(options.root, options.variant or "blur", options.name)
        pairs = data.pairs(options.split)
    folder = data.packed(options.split)
    bar = partial(tqdm, desc=f"pack {data.label}", unit="pair", leave=False, mininterval=1)
    size = packing.pack(pairs, folder, progress=bar)
    print(folder, f"{size / 1e9:.2f} GB", sep="\n")


def _data_mini(options: argparse.Namespace) -> None:
    from deblur.data import mini

    for flavour in mini.all_flavours() if options.flavour == "all" else [options.flavour]:
        several = options.root and options.flavour == "all"
        with _use():
            root = mini.ensure(flavour, options.root / f"mini-{flavour}" if several else options.root)
        print(root)


def _data_check(options: argparse.Namespace) -> int:
    from tqdm.auto import tqdm

    from deblur.data.check import check

    choices = {"variant": options.variant} if options.variant else {}
    bar = partial(tqdm, desc=f"check {options.name}", leave=False, mininterval=1)
    report = check(options.name, options.root, splits=options.split, progress=bar, **choices)
    print(report)
    return 0 if report.usable else 1


def _data_photographs(options: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur import paths
    from deblur.data import debian

    out = options.out or paths.photos_dir() / "photographs"
    debian.fetch(out, partial(tqdm, desc="photographs", unit="package", leave=False))
    print(out)


def _data_leaves(options: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur import paths
    from deblur.data.leaves import write_leaves

    out = options.out or paths.photos_dir() / "leaves"
    bar = partial(tqdm, desc="leaves", unit="picture", total=options.count, leave=False, mininterval=1)
    write_leaves(out, options.count, options.seed, progress=bar)
    print(out)


def _data_synthesize(options: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur.data.synthesis import synthesize

    names = ("video", "seed", "frames", "size", "path_px")
    settings = {name: getattr(options, name) for name in names}
    bar = partial(tqdm, desc="synthesize", leave=False, mininterval=1)
    counts = synthesize(options.photos, options.out, progress=bar, **settings)
    print(options.out, *(f"{split} {count}" for split, count in counts.items()), sep="\n")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", default="paper", help="paper, table5_only_ca, ... (default: paper)")
    parser.add_argument("--scale", default="mini", help="smoke, mini, bench or paper (default: mini)")
    parser.add_argument("--budget", default="main", help="steps: main, row or time, see recipes (default: main)")
    parser.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    parser.add_argument("--data-variant", choices=("blur", "blur_gamma"), help="of GoPro (default: blur)")
    parser.add_argument("--seed", type=_seed, default=0)
    parser.add_argument("--precision", choices=PRECISIONS, help="of the computation (default: 32-true)")
    accumulate = "parts that a device takes its share of the batch in; divides it"
    parser.add_argument("--accumulate", type=_whole(1, 1024), help=accumulate)
    parser.add_argument("--compile", action="store_true", default=None, help="torch.compile the network")
    parser.add_argument("--workers", type=_whole(0, 128), help="loader processes")
    parser.add_argument("--pretrained", default="", help="file of weights to start from, where the paper does")
    parser.add_argument("--photos", default="", help="scale bench: folder of sharp photographs (default: photos)")


def _plan(options: argparse.Namespace) -> "Plan":
    from deblur import runs

    if options.scale == "paper" and not options.data:
        raise UsageError("scale 'paper' trains on the official data set: give --data, the folder of GOPRO_Large")
    with _use():
        _check_run(options)
        data = runs.open_data(options.data, options.data_variant or "blur", scale=options.scale)
        names = ("precision", "accumulate", "compile", "workers")
        chosen = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        which = (options.paper, options.variant, options.scale, options.budget, options.seed)
        plan = runs.Plan(data, *which, options.pretrained, options.photos, chosen)
        _ = plan.content  # unknown names raise here, before anything starts
    return plan


def _check_run(options: argparse.Namespace, processes: int = 1) -> None:
    """Refuse what cannot be trained, before data are opened or made."""
    from deblur import models, recipes, weights

    try:
        recipe = recipes.recipe(options.paper, options.variant, options.scale, options.budget)
        models.config(options.paper, options.variant)
    except ValueError as error:
        raise UsageError(str(error)) from error
    _check_share(recipe.batch, options.accumulate or recipe.accumulate, processes)
    if options.pretrained.endswith(".safetensors"):
        raise UsageError(f"--pretrained {options.pretrained}: give PyTorch's own file, as its project publishes it")
    if options.pretrained:
        weights.read(Path(options.pretrained))


def _check_share(batch: int, parts: int, processes: int) -> None:
    """A batch is shared evenly by processes, and each share is taken in even parts."""
    share, rest = divmod(batch, processes)
    if rest:
        what = f"{processes} processes cannot share a batch of {batch}"
        raise UsageError(f"--devices times --nodes: {what}; take {_divisors(batch)}")
    if share % parts:
        what = f"{parts} parts do not divide the {share} images of a step that a process takes"
        raise UsageError(f"--accumulate: {what}; take {_divisors(share)}")


def _divisors(number: int) -> str:
    return " or ".join(str(part) for part in range(1, number + 1) if number % part == 0)


def _add_train(commands: Commands) -> None:
    train = commands.add_parser("train", help="train a network; called again, it continues or finds it done")
    train.add_argument("paper", help="attentive, ...")
    _add_run_options(train)
    train.add_argument("--devices", type=_devices, default="1", help="GPUs or processes, e.g. 4, or auto (default: 1)")
    train.add_argument(
        "--nodes", type=_whole(1, 1024), default=1, help="machines, under torchrun or SLURM (default: 1)"
    )
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    import torch

    from deblur import runs

    gpus = torch.cuda.device_count()
    devices = max(gpus, 1) if options.devices == "auto" else int(options.devices)
    if gpus and devices > gpus:
        raise UsageError(f"--devices {devices}: this machine has {gpus} of them; take 1 to {gpus}, or auto")
    _check_run(options, devices * options.nodes)
    plan = _plan(options)
    runs.train_one(plan, options.devices, options.nodes)
    print(plan.folder)


def _add_plan(commands: Commands) -> None:
    plan = commands.add_parser("plan", help="list the trainings of a paper, their commands and their hours")
    plan.add_argument("paper", help="attentive, ...")
    plan.add_argument("--scale", default="paper", help="smoke, mini, bench or paper (default: paper)")
    plan.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    plan.add_argument("--data-variant", choices=("blur", "blur_gamma"), help="of GoPro (default: blur)")
    plan.add_argument("--seeds", type=_seed, nargs="+", default=[0])
    plan.add_argument("--json", action="store_true", help="for programs, such as workflow/Snakefile")
    plan.add_argument("--untimed", action="store_true", help="list only, without timing a step of each")
    plan.set_defaults(run=_print_plan)


def _print_plan(options: argparse.Namespace) -> None:
    import json

    from deblur import planning, recipes, runs

    with _use():
        recipes.recipe(options.paper, scale=options.scale)
        data = runs.open_data(options.data, options.data_variant or "blur", scale=options.scale)
    table = planning.plan(data, options.paper, options.scale, options.seeds, options.data, not options.untimed)
    if options.json:
        print(json.dumps(table.to_dict("records"), indent=1))
    else:
        print(table.drop(columns=["command", "scores"]).to_string(index=False, float_format="%.3g"))
        if not options.untimed:
            print(planning.summary(table))


def _add_evaluate(commands: Commands) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="score a trained network, a weights file or restored images",
        description="Either PAPER, a network trained by 'deblur train', on its test split; or --weights, --restored or "
        "--blurred on any benchmark by its own protocol.",
    )
    evaluate.add_argument("paper", nargs="?", help="attentive, ...")
    _add_run_options(evaluate)
    method = evaluate.add_mutually_exclusive_group()
    method.add_argument("--weights", type=Path, help="safetensors file for --network, --variant and --scale")
    method.add_argument("--restored", type=Path, help="folder of restored images, named as the pairs are")
    method.add_argument("--blurred", action="store_true", help="the blurred input itself, which all must beat")
    evaluate.add_argument("--network", help="whose weights these are: attentive, ...")
    evaluate.add_argument("--benchmark", help="gopro, hide, realblur_j, realblur_r, koehler, dvd or flat")
    evaluate.add_argument("--root", type=Path, help="where the benchmark was unpacked")
    evaluate.add_argument(
        "--protocol", help="full_rgb8, realblur_ecc, koehler_best_frame, dvd_aligned_30, dvd_plain_all"
    )
    evaluate.add_argument("--split", default="test", help="train, validation or test (default: test)")
    evaluate.add_argument("--out", type=Path, help="CSV file, one row per image")
    evaluate.add_argument(
        "--overwrite", action="store_true", help="replace the CSV file if it is there; never an input"
    )
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    by_benchmark = options.weights or options.restored or options.blurred
    if bool(options.paper) == bool(by_benchmark):
        raise UsageError("evaluate what? Give a paper, or one of --weights, --restored and --blurred")
    names = ("network", "benchmark", "root", "protocol", "out", "overwrite")
    astray = [f"--{name}" for name in names if getattr(options, name)]
    if options.paper and astray:
        raise UsageError(f"{', '.join(astray)} go with --weights, --restored or --blurred, not with a paper")
    (_evaluate_benchmark if by_benchmark else _evaluate_run)(options)


def _evaluate_run(options: argparse.Namespace) -> None:
    from deblur import evaluation, runs

    plan = _plan(options)
    if not (plan.folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{plan.title} is not trained yet: run 'deblur train' with the same options first")
    run = runs.load_or_run([plan])[0]
    blurred = runs.blurred_scores(plan.data, plan.recipe.test_pairs)
    print(f"{plan.title}; {plan.data.label}; full_rgb8; {len(blurred)} images")
    _print_numbers(evaluation.summarise(run.scores(), blurred))


def _print_numbers(numbers: Mapping[str, float]) -> None:
    for name, value in numbers.items():
        print(f"{name:24} {value:.4f}")


def _evaluate_benchmark(options: argparse.Namespace) -> None:
    from deblur import evaluation
    from deblur.data import official

    needed = ("benchmark", "root", "protocol", "out", *(("network",) if options.weights else ()))
    missing = [f"--{name}" for name in needed if getattr(options, name) is None]
    if missing:
        raise UsageError(f"give {', '.join(missing)} too: scores mean nothing without")
    with _use():
        evaluation.protocol_for(options.protocol, options.benchmark)
    choices = {"variant": options.data_variant} if options.data_variant else {}
    if options.benchmark == "gopro" and not choices:
        raise UsageError("give --data-variant, blur or blur_gamma: they differ by about 3 dB")
    where = (options.benchmark, options.root, options.split)
    pairs = official.find_pairs(*where, **choices)
    copy = official.copy_label(*where, **choices)
    files = evaluation.restored_files(options.restored, pairs, options.protocol) if options.restored else None
    method, made_by = _method(options, files)
    record = {**made_by, "split": options.split, **choices, "copy": copy}
    what = (options.protocol, options.benchmark, method, pairs, record, files)
    inputs = [options.weights] if options.weights else []
    scores = evaluation.evaluate_into(options.out, *what, overwrite=options.overwrite, inputs=inputs)
    print(f"{options.benchmark} {options.split}; copy: {copy}; {options.protocol}; {len(scores)} images")
    _print_numbers(evaluation.summarise_protocol(options.protocol, scores))
    print(options.out)


def _method(options: argparse.Namespace, files: Mapping[str, Path] | None) -> "tuple[Method, dict[str, str]]":
    """What restores, and the columns that name it."""
    import torch

    from deblur import evaluation, models, paths, recipes, store, weights
    from deblur.source import code_hash

    if options.blurred:
        return lambda pair: evaluation.identity, {"method": "blurred input"}
    if files is not None:
        return evaluation.from_files(files), {"method": "restored images"}
    with _use():
        config = recipes.recipe(options.network, options.variant, options.scale).config
        network = models.build(options.network, options.variant, **config)
    weights.refuse_no_checkpoint(options.weights)
    store.load_weights(network, options.weights)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    restore = evaluation.restorer(network, device)
    method = f"{options.network} {options.variant} {options.scale}"
    sha256 = paths.file_sha256(options.weights)[:16]
    code = code_hash(models.NETWORKS[options.network][1])
    return lambda pair: restore, {"method": method, "weights": sha256, "code": code, "device": device}


def _add_weights(commands: Commands) -> None:
    weights = commands.add_parser("weights", help="released weights, and those that other projects published")
    what = weights.add_subparsers(required=True, metavar="WHAT")
    known = what.add_parser("list", help="the networks that 'deblur restore' knows by name")
    known.set_defaults(run=_weights_list)
    take = what.add_parser("import", help="translate a downloaded checkpoint, for 'deblur evaluate --weights'")
    take.add_argument("network", metavar="NET", help="mprnet, nafnet, ...")
    take.add_argument("file", type=Path, metavar="FILE", help="the checkpoint, or the folder of a network's parts")
    take.add_argument("--variant", default="paper", help="of the network (default: paper)")
    take.add_argument("--out", type=Path, help="safetensors file; its card is written beside it (default: beside FILE)")
    take.add_argument("--overwrite", action="store_true", help="replace an earlier import; never other weights")
    take.set_defaults(run=_weights_import)
    give = what.add_parser("release", help="round a finished training to half precision, score it and write its card")
    give.add_argument("paper", help="attentive, ...")
    give.add_argument("name", help="of the released files, e.g. attentive-bench")
    give.add_argument("--overwrite", action="store_true", help="replace an earlier release of that name")
    give.add_argument("--default", action="store_true", help="what 'deblur restore' takes unless told otherwise")
    _add_run_options(give)
    give.set_defaults(run=_weights_release, scale="bench")


def _weights_list(options: argparse.Namespace) -> None:
    from deblur import paths, restoration

    folder, cards = paths.weights_dir(), restoration.cards()
    if not cards:
        print(f"{folder} holds no weights")
    for name, card in cards.items():
        size = (folder / f"{name}.safetensors").stat().st_size / 1e6
        facts = [card["network"], f"{card['parameters']:,} parameters", f"{size:.1f} MB"]
        if "gain_db" in card.get("scores", {}):
            facts.append(f"{card['scores']['gain_db']:+.2f} dB")
        if "training" in card:
            facts.append(f"{card['recipe']['steps']:,} steps ({card['training']['device']})")
        print(name, *facts, *card.get("limits", [])[:1], sep="  ")


def _weights_import(options: argparse.Namespace) -> None:
    from deblur import models, weights

    with _use():
        models.config(options.network, options.variant)
    out = weights.import_published(options.network, options.file, options.variant, options.out, options.overwrite)
    print(out, weights.card_path(out), sep="\n")


def _weights_release(options: argparse.Namespace) -> None:
    from deblur import release, runs

    plan = _plan(options)
    if not runs.is_complete(plan):
        raise ValueError(f"{plan.folder} holds no finished training: run 'deblur train' with the same options first")
    path = release.release(runs.Run(plan), options.name, options.default, options.overwrite)
    print(path, path.with_suffix(".json"), sep="\n")


def _add_reproduce(commands: Commands) -> None:
    reproduce = commands.add_parser("reproduce", help="run the papers' notebooks headlessly")
    reproduce.add_argument("papers", nargs="*", help="attentive, ... (default: all there are)")
    reproduce.add_argument("--scale", default="mini", help="smoke, mini, bench or paper (default: mini)")
    reproduce.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    reproduce.add_argument("--seed", type=_seed, default=0)
    reproduce.set_defaults(run=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    from deblur import notebooks, recipes

    if options.scale not in recipes.SCALES:
        raise UsageError(f"unknown scale {options.scale!r}; choose one of {', '.join(recipes.SCALES)}")
    papers = options.papers or notebooks.available()
    parameters = {"scale": options.scale, "data_root": options.data, "seed": options.seed}
    for path in notebooks.reproduce(papers, **parameters):
        print(path)


def _add_status(commands: Commands) -> None:
    status = commands.add_parser("status", help="print the status table, or put it into the README")
    status.add_argument("--write", action="store_true", help="replace the table in README.md")
    status.set_defaults(run=_status)


def _status(options: argparse.Namespace) -> None:
    from deblur import tables

    if options.write:
        tables.write_status()
    else:
        print(tables.status())


if __name__ == "__main__":
    sys.exit(main())
