"""The command `deblur` (also `python -m deblur.cli`): what the notebooks do, without notebooks."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command; errors of use end with a message and status 1, not with a traceback."""
    parser = argparse.ArgumentParser(prog="deblur", description="Five motion-deblurring papers, reproduced.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_data, _add_train, _add_evaluate, _add_reproduce, _add_status):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, OSError) as error:
        print(f"deblur: {error}", file=sys.stderr)
        return 1


def _add_data(commands) -> None:
    data = commands.add_parser("data", help="write or check a benchmark").add_subparsers(required=True, metavar="WHAT")
    mini = data.add_parser("mini", help="write the bundled benchmark, or check that it is whole")
    mini.add_argument("--root", type=Path, help="where to (default: the data folder)")
    mini.set_defaults(run=_data_mini)
    check = data.add_parser("check", help="is a copy of a benchmark complete and readable?")
    check.add_argument("name", help="gopro, hide, realblur_j, realblur_r, koehler, dvd, rwbi or flat")
    check.add_argument("root", type=Path)
    check.add_argument("--variant", help="GoPro: the folder that you mean to read, blur or blur_gamma")
    check.set_defaults(run=_data_check)


def _data_mini(options) -> None:
    from deblur.data import mini

    print(mini.ensure("gopro", options.root))


def _data_check(options) -> int:
    from deblur.data import official

    choices = {"variant": options.variant} if options.variant else {}
    report = official.check(options.name, options.root, **choices)
    print(report)
    return 0 if report.usable else 1


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paper", help="attentive, ...")
    parser.add_argument("--variant", default="paper", help="paper, table5_only_ca, ... (default: paper)")
    parser.add_argument("--scale", default="mini", help="smoke, mini or paper (default: mini)")
    parser.add_argument("--budget", default="main", choices=("main", "row"), help="steps: long run or ablation row")
    parser.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    parser.add_argument("--data-variant", default="blur", choices=("blur", "blur_gamma"))
    parser.add_argument("--seed", type=int, default=0)


def _plan(options):
    from deblur import runs

    if options.scale == "paper" and not options.data:
        raise ValueError("scale 'paper' trains on the official data set: give --data, the folder of GOPRO_Large")
    data = runs.open_data(options.data, options.data_variant)
    plan = runs.Plan(data, options.paper, options.variant, options.scale, options.budget, options.seed)
    _ = plan.content  # unknown names raise here, before anything starts
    return plan


def _add_train(commands) -> None:
    train = commands.add_parser("train", help="train a network; called again, it continues or finds it done")
    _add_run_options(train)
    train.add_argument("--devices", default="1", help="GPUs, e.g. 4, or auto (default: 1)")
    train.add_argument("--nodes", type=int, default=1, help="machines, under torchrun or SLURM (default: 1)")
    train.set_defaults(run=_train)


def _train(options) -> None:
    from deblur import runs

    plan = _plan(options)
    runs.train_one(plan, options.devices, options.nodes)
    print(plan.folder)


def _add_evaluate(commands) -> None:
    evaluate = commands.add_parser("evaluate", help="score a trained network on the test split")
    _add_run_options(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options) -> None:
    from deblur import evaluation, runs

    plan = _plan(options)
    if not (plan.folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{plan.title} is not trained yet: run 'deblur train' with the same options first")
    run = runs.load_or_run([plan])[0]
    blurred = runs.blurred_scores(plan.data, plan.recipe.test_pairs)
    print(f"{plan.title}; {plan.data.label}; full_rgb8; {len(blurred)} images")
    for name, value in evaluation.summarise(run.scores(), blurred).items():
        print(f"{name:24} {value:.4f}")


def _add_reproduce(commands) -> None:
    reproduce = commands.add_parser("reproduce", help="run the papers' notebooks headlessly")
    reproduce.add_argument("papers", nargs="*", help="attentive, ... (default: all there are)")
    reproduce.add_argument("--scale", default="mini", help="smoke, mini or paper (default: mini)")
    reproduce.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    reproduce.add_argument("--seed", type=int, default=0)
    reproduce.set_defaults(run=_reproduce)


def _reproduce(options) -> None:
    from deblur import notebooks

    papers = options.papers or notebooks.available()
    parameters = {"scale": options.scale, "data_root": options.data, "seed": options.seed}
    for path in notebooks.reproduce(papers, **parameters):
        print(path)


def _add_status(commands) -> None:
    status = commands.add_parser("status", help="print the status table, or put it into the README")
    status.add_argument("--write", action="store_true", help="replace the table in README.md")
    status.set_defaults(run=_status)


def _status(options) -> None:
    from deblur import tables

    if options.write:
        tables.write_status()
    else:
        print(tables.status())


if __name__ == "__main__":
    sys.exit(main())
