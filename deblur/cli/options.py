"""What commands share: the forms of their options, and the training that the options of several name."""

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from deblur.errors import UsageError, alternatives

if TYPE_CHECKING:
    from deblur.recipes import Recipe
    from deblur.runs import Plan

Commands = argparse._SubParsersAction

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")
"""As Lightning Fabric names them."""


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a value, and what may be meant."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            remedy = alternatives(value, map(str, action.choices))
            raise argparse.ArgumentError(action, f"{str(value)[:20]!r} is unknown; {remedy}")

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument ") and "expected" not in message:
            self.exit(2, f"{self.prog}: {message}\n")
        super().error(message)


@contextmanager
def used() -> Iterator[None]:
    """What does not fit in here is an argument."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option: a whole number within bounds."""

    def number(text: str) -> int:
        if not re.fullmatch("[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is no whole number from {low} to {high}")
        return int(text)

    return number


seed = whole(0, 2**32 - 1)


def positive(what: str) -> Callable[[str], float]:
    """The type of an option: a number above 0 and up to 10,000, of what is said."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0
        if not 0 < value <= 10_000:  # NaN is not either
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is no {what}, above 0 and up to 10000")
        return value

    return number


pixels = positive("length in pixels")
hours = positive("number of hours")


def devices(text: str) -> str:
    """The type of an option: how many devices, or auto."""
    if text != "auto":
        try:
            whole(1, 1024)(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, nor auto") from None
    return text


def add_subset(parser: argparse.ArgumentParser) -> None:
    """Which of GoPro's two blurred folders is read."""
    parser.add_argument("--subset", choices=("blur", "blur_gamma"), help="of GoPro (default: blur)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """The same for programs."""
    parser.add_argument("--json", action="store_true", help="one JSON document for programs, and nothing else")


def add_run(parser: argparse.ArgumentParser) -> None:
    """What names a training."""
    parser.add_argument("--variant", default="paper", help="paper, table5_only_ca, ... (default: paper)")
    parser.add_argument("--scale", default="mini", help="smoke, mini, bench or paper (default: mini)")
    parser.add_argument("--budget", default="main", help="steps: main, more, row or time, see recipes (default: main)")
    parser.add_argument("--data", default="", help="root of GOPRO_Large (default: the bundled benchmark)")
    add_subset(parser)
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--precision", choices=PRECISIONS, help="of the computation (default: 32-true)")
    accumulate = "parts that a device takes its share of the batch in; divides it"
    parser.add_argument("--accumulate", type=whole(1, 1024), help=accumulate)
    parser.add_argument("--compile", action="store_true", default=None, help="torch.compile the network")
    parser.add_argument("--workers", type=whole(0, 128), help="loader processes")
    started = "file of weights to start from: .safetensors of this network, or what its project published"
    parser.add_argument("--pretrained", default="", help=started)
    parser.add_argument(
        "--photos", default="", help="scale bench and rungs: folder of sharp photographs (default: photos)"
    )


def plan(given: argparse.Namespace) -> "Plan":
    """The training that the options of `add_run` name."""
    if given.scale == "paper" and not given.data:
        raise UsageError("scale 'paper' trains on the official data set: give --data, the folder of GOPRO_Large")
    check_run(given)
    from deblur import runs
    from deblur.data import copies

    with used():
        data = copies.open_data(given.data, given.subset or "blur", scale=given.scale)
        names = ("precision", "accumulate", "compile", "workers")
        chosen = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
        which = (given.network, given.variant, given.scale, given.budget, given.seed)
        training = runs.Plan(data, *which, given.pretrained, given.photos, chosen)
        _ = training.content  # unknown names raise here, before anything starts
    if given.photos and "photographs" not in training.content:
        raise UsageError("--photos: only scale bench and rungs, with the bundled benchmark, train on photographs")
    return training


def recipe(given: argparse.Namespace) -> "Recipe":
    """The recipe that the options of `add_run` name; torch is not loaded for it."""
    from deblur import recipes

    with used():
        return recipes.recipe(given.network, given.variant, given.scale, given.budget)


def check_run(given: argparse.Namespace, processes: int = 1) -> None:
    """Refuse what cannot be trained, before data are opened or made."""
    base = recipe(given)
    _check_share(base.batch, given.accumulate or base.accumulate, processes)
    from deblur import models
    from deblur.weights import checkpoints

    with used():
        models.config(given.network, given.variant)
    if given.pretrained:
        checkpoints.read(Path(given.pretrained))


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
