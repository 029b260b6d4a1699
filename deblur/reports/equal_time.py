"""Equal time: how many training steps of each network fit into the same time at scale mini.

`python -m deblur.reports.equal_time` times whole steps of all networks in turn on one thread and prints the table that
stands in `recipes.EQUAL_TIME`: measured once and recorded, so that the runs can be made again. The time is what the
fastest network needs for the rows' budget, so that nobody gets more steps than in a row. Who restarts its rate gets
fewer than there is time for, see `completed`.
"""

import statistics
from collections.abc import Callable
from functools import partial

import torch

from deblur import models, recipes
from deblur.evaluation import complexity
from deblur.evaluation.complexity import device_name
from deblur.losses import LOSSES
from deblur.recipes import Recipe
from deblur.training import _optimiser


def step_of(name: str) -> Callable[[], None]:
    """A training step of a network at mini on random images."""
    recipe = recipes.recipe(name, scale="mini", budget="row")
    network = models.build(name, **recipe.config).train()
    form = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network.to(memory_format=form)  # type: ignore[call-overload]  # PyTorch's stubs lack this form
    loss, optimiser = partial(LOSSES[recipe.loss], **recipe.loss_args), _optimiser(network, recipe)
    blurred, sharp = torch.rand(2, recipe.batch, 3, recipe.crop, recipe.crop)
    blurred = blurred.contiguous(memory_format=form)

    def step() -> None:
        optimiser.zero_grad()
        torch.stack(list(loss(network(blurred), sharp, 0.0).values())).sum().backward()
        optimiser.step()

    return step


def completed(steps: int, recipe: Recipe) -> int:
    """At most so many steps, but no more than end with a whole cosine where the rate restarts: a training that stops at
    a high rate is judged by its last jump. Fewer steps than an epoch stay as they are."""
    if recipe.schedule != "warm_restarts":
        return steps
    epoch = recipe.schedule_args["epoch"]
    cosines = (steps // epoch + 1).bit_length() - 1  # of 1, 2, 4, ... epochs
    return (2**cosines - 1) * epoch or steps


def main(repeats: int = 9) -> None:
    """Print the steps of every network of the comparison."""
    torch.set_num_threads(1)
    times = complexity.time_calls({name: step_of(name) for name in recipes.EQUAL_TIME}, repeats)
    middle = {name: statistics.median(samples) for name, samples in times.items()}
    milliseconds = min(middle.values()) * recipes.recipe("srn", budget="row").steps
    print(f"{device_name()}, {milliseconds / 1000:.1f} s each")
    for name, samples in times.items():
        spread = max(samples) - min(samples)
        steps = completed(round(milliseconds / middle[name]), recipes.recipe(name))
        print(f'"{name}": {steps},  # {middle[name]:.0f} ms a step, spread {spread:.0f}')


if __name__ == "__main__":
    main()
