"""`deblur train` and `deblur plan`."""

import argparse

from deblur.cli import options
from deblur.cli.options import Commands, used
from deblur.errors import UsageError
from deblur.talk import document, say


def add(commands: Commands) -> None:
    _add_train(commands)
    _add_plan(commands)


def _add_train(commands: Commands) -> None:
    train = commands.add_parser("train", help="train a network; called again, it continues or finds it done")
    train.add_argument("network", metavar="NETWORK", help="attentive, ...")
    options.add_run(train)
    train.add_argument(
        "--devices", type=options.devices, default="1", help="GPUs or processes, e.g. 4, or auto (default: 1)"
    )
    train.add_argument(
        "--nodes", type=options.whole(1, 1024), default=1, help="machines, under torchrun or SLURM (default: 1)"
    )
    train.set_defaults(run=_train)


def _train(given: argparse.Namespace) -> None:
    options.recipe(given)  # a name that is wrong is told before seconds of loading
    import torch

    from deblur import runs

    gpus = torch.cuda.device_count()
    devices = max(gpus, 1) if given.devices == "auto" else int(given.devices)
    if gpus and devices > gpus:
        raise UsageError(f"--devices {devices}: this machine has {gpus} of them; take 1 to {gpus}, or auto")
    options.check_run(given, devices * given.nodes)
    plan = options.plan(given)
    runs.train_one(plan, given.devices, given.nodes, say)
    print(plan.folder)


def _add_plan(commands: Commands) -> None:
    plan = commands.add_parser("plan", help="list the trainings of a paper, their commands and how long they take here")
    plan.add_argument("network", metavar="NETWORK", help="attentive, ...")
    plan.add_argument("--scale", default="paper", help="smoke, mini, bench or paper (default: paper)")
    plan.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    options.add_subset(plan)
    plan.add_argument("--seeds", type=options.seed, nargs="+", default=[0])
    options.add_json(plan)
    plan.add_argument("--untimed", action="store_true", help="list only, without timing any step")
    plan.set_defaults(run=_plan)


def _plan(given: argparse.Namespace) -> None:
    from deblur import recipes

    with used():
        recipes.recipe(given.network, scale=given.scale)
    from deblur import planning
    from deblur.data import copies

    with used():
        data = copies.open_data(given.data, given.subset or "blur", scale=given.scale)
    timed = not given.untimed
    if timed and not given.json:
        say(f"timing a few steps of {given.network} at scale {given.scale}, for some seconds")
    trainings = planning.plan(data, given.network, given.scale, given.seeds, given.data, timed)
    if given.json:
        document(trainings.to_dict("records"))
        return
    print(planning.listed(trainings))
    if timed:
        print(*planning.summary(trainings, data, given.network, given.scale), sep="\n")
