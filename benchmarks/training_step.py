"""A training step at mini, as `training.train` does it, beside the shortest plain PyTorch loop of the same network.

Ours computes in the memory layout that the recipe chooses, goes through Lightning Fabric, checks that loss and gradient
are finite and reads their values for the log; the plain loop is NCHW, `torch.optim.Adam` and nothing else.
`python -m benchmarks.training_step` prints the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from deblur import models, recipes, training
from deblur.evaluation.complexity import device_name, time_calls
from deblur.losses import LOSSES
from deblur.notebooks import PAPERS

ROUNDS = 7


def run() -> list[dict]:
    """Rows as `benchmarks.metrics.run` gives them, one a paper.

    Raises:
        AssertionError: the first loss of the two differs by more than a thousandth.
    """
    return [_row(paper) for paper in PAPERS]


def _row(paper: str) -> dict:
    # The plain loop clips nothing and has one learning rate.
    recipe = replace(recipes.recipe(paper), clip_norm={}, lr_factors={}, precision="32-true")
    generator = torch.Generator().manual_seed(0)
    shape = (recipe.batch, 3, recipe.crop, recipe.crop)
    blurred, sharp = (torch.rand(shape, generator=generator) for _ in range(2))
    loss = partial(LOSSES[recipe.loss], **recipe.loss_args)
    ours, theirs = _ours(_network(paper, recipe), loss, recipe), _plain(_network(paper, recipe), loss, recipe)
    ours_loss, theirs_loss = ours(blurred, sharp), theirs(blurred, sharp)
    assert abs(ours_loss - theirs_loss) < 1e-3 * abs(theirs_loss), f"{paper}: {ours_loss} and {theirs_loss}"
    times = time_calls({"ours": lambda: ours(blurred, sharp), "theirs": lambda: theirs(blurred, sharp)}, ROUNDS)
    ratios = [other / own for own, other in zip(times["ours"], times["theirs"], strict=True)]
    return {
        "name": f"training step of {paper} at mini",
        "ours_ms": median(times["ours"]),
        "other": "plain PyTorch loop, NCHW",
        "other_ms": median(times["theirs"]),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
    }


def _network(paper: str, recipe: recipes.Recipe) -> nn.Module:
    torch.manual_seed(0)
    return models.build(paper, **recipe.config).train()


def _ours(network: nn.Module, loss: training.Loss, recipe: recipes.Recipe) -> Callable[[Tensor, Tensor], float]:
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
    network = network.to(memory_format=layout)
    network, optimiser = fabric.setup(network, training._optimiser(network, recipe))

    def step(blurred: Tensor, sharp: Tensor) -> float:
        blurred = blurred.contiguous(memory_format=layout)
        now = {"step": 1, "lr": recipe.lr}
        return training._update(fabric, network, loss, recipe, optimiser, blurred, sharp, now)["loss"]

    return step


def _plain(network: nn.Module, loss: training.Loss, recipe: recipes.Recipe) -> Callable[[Tensor, Tensor], float]:
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=recipe.betas, eps=recipe.eps)

    def step(blurred: Tensor, sharp: Tensor) -> float:
        optimiser.zero_grad()
        total = sum(loss(network(blurred), sharp, 0.0).values())
        total.backward()
        optimiser.step()
        return total.item()

    return step


if __name__ == "__main__":
    print(device_name())
    print(pd.DataFrame(run()).to_string(index=False, float_format="%.2f"))
