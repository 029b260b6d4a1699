"""One training loop for every network, on Lightning Fabric: CPU, one GPU or many, interrupted and continued.

What the loop leaves behind goes through a `Keeper`. A training that was interrupted and is called again with the same
arguments continues, and ends with the same weights as an uninterrupted one (bit for bit on a CPU).
"""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deblur.data.loading import Batches
from deblur.recipes import Recipe


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer finite."""


class Keeper(Protocol):
    """Where a training is kept; all processes call.

    `state` holds `network`, `optimiser`, `step`, `log`, `rng`, `seconds` (device -> those of all calls on it) and, with
    a moving average of the weights, `average`.
    """

    def resume(self, fabric: Fabric, state: dict) -> None:
        """Take the state up, in place, where an earlier call left it."""

    def keep(self, fabric: Fabric, state: dict) -> None:
        """Keep what continues the training after `state["step"]` steps."""

    def finish(self, fabric: Fabric, state: dict, trained: nn.Module) -> None:
        """Keep the weights; the last step is done, and kept."""


Loss = Callable[[tuple[Tensor, ...], Tensor, float], dict[str, Tensor]]
Schedule = Callable[[float, int, int], float]
Watch = Callable[[nn.Module], AbstractContextManager[dict[str, float]]]


def train(
    network: nn.Module,
    loss: Loss,
    schedule: Schedule,
    recipe: Recipe,
    batches: Batches,
    keeper: Keeper,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    fabric: Fabric | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
    device: str = "",
    watch: Watch | None = None,
) -> None:
    """Train `network` in place.

    Args:
        network: forward takes (N,3,H,W) in [0,1] and returns a tuple, full resolution first.
        loss: takes the outputs, the sharp image and the share of the training that is done, returns the weighted
            terms to add.
        schedule: takes `recipe.lr`, a step counted from 0 and `recipe.steps`, returns the learning rate.
        batches: by step; shared among processes by this function. Their seed also seeds what the network draws.
        keeper: keeps the training, and continues one that was interrupted.
        validate: called every `recipe.validate_every` steps and at the end; its numbers go into the log.
        fabric: where to run; the default takes whatever one device there is.
        progress: wraps the steps that are left, for a bar.
        device: what the seconds are counted under.
        watch: looks at the network in the steps that are logged; what its context gives goes into the log.

    Raises:
        DivergedError: at the first non-finite loss or gradient, naming the step.
    """
    fabric = fabric or Fabric(accelerator="auto", devices=1, precision=recipe.precision)  # type: ignore[arg-type]  # Fabric checks the word
    fabric.launch()
    batches = replace(batches, rank=fabric.global_rank, world=fabric.world_size)
    if recipe.batch // fabric.world_size % recipe.accumulate:
        raise ValueError(
            f"accumulate={recipe.accumulate} does not divide a process's share of the batch, "
            f"{recipe.batch // fabric.world_size} of {recipe.batch}; choose a divisor"
        )
    if recipe.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack this form
    average = _average(network, recipe).to(fabric.device) if recipe.average else None
    if recipe.compile:
        network.compile()
    network, optimiser = fabric.setup(network, _optimiser(network, recipe))
    rng = torch.Generator().manual_seed(batches.seed).get_state()
    state = {"network": network, "optimiser": optimiser, "step": 0, "log": [], "rng": rng, "seconds": {}}
    state |= {} if average is None else {"average": average}
    keeper.resume(fabric, state)

    network.train()
    trained = network.module if average is None else average.module
    start, clock = state["step"], time.monotonic()
    loader = batches.loader(start, recipe.steps, recipe.workers)
    torch.set_rng_state(state["rng"])  # after the loader, which draws from it
    for step in progress(range(start, recipe.steps)):
        blurred, sharp = (fabric.to_device(image) for image in next(loader))
        if recipe.channels_last:
            blurred = blurred.contiguous(memory_format=torch.channels_last)
        rise = min((step + 1) / recipe.warm_up, 1.0) if recipe.warm_up else 1.0
        row = {"step": step + 1, "lr": rise * schedule(recipe.lr, step, recipe.steps)}
        done = step + 1 == recipe.steps
        logged = done or row["step"] % recipe.log_every == 0
        with watch(network) if watch and logged else nullcontext({}) as seen:
            row |= _update(fabric, network, loss, recipe, optimiser, blurred, sharp, row)
        row |= seen
        if average is not None:
            average.update_parameters(network.module)
        if validate and (done or row["step"] % recipe.validate_every == 0):
            row |= _validate(trained, validate)
        if logged or "val_psnr_db" in row:
            state["log"].append(row)
        if done or row["step"] % recipe.checkpoint_every == 0:
            state |= {"step": row["step"], "rng": torch.get_rng_state()}
            clock, past = time.monotonic(), clock
            state["seconds"] = state["seconds"] | {device: state["seconds"].get(device, 0.0) + clock - past}
            keeper.keep(fabric, state)
    keeper.finish(fabric, state, trained)


def _average(network: nn.Module, recipe: Recipe) -> AveragedModel:
    """The moving average of a network's weights and buffers, see `Recipe.average`."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, which is Adam where nothing decays, with one parameter group for every factor on the learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = next((factor for part, factor in recipe.lr_factors.items() if part in name), 1.0)
        groups.setdefault(factor, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "factor": factor} for factor, parameters in groups.items()],
        lr=recipe.lr,
        betas=recipe.betas,
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
    )


def _update(
    fabric: Fabric,
    network: nn.Module,
    loss: Loss,
    recipe: Recipe,
    optimiser: torch.optim.Optimizer,
    blurred: Tensor,
    sharp: Tensor,
    row: dict[str, float],
) -> dict[str, float]:
    """One optimiser step; returns the loss, its terms and the gradient norm before clipping, over all processes."""
    for group in optimiser.param_groups:
        group["lr"] = row["lr"] * group["factor"]
    optimiser.zero_grad()
    parts = list(zip(blurred.chunk(recipe.accumulate), sharp.chunk(recipe.accumulate), strict=True))
    means: dict[str, Tensor] = {}
    for i, (blurred_part, sharp_part) in enumerate(parts, 1):
        with fabric.no_backward_sync(network, enabled=i < len(parts)):  # type: ignore[arg-type]  # a network that Fabric has set up
            terms = loss(network(blurred_part), sharp_part, (row["step"] - 1) / recipe.steps)
            total = sum(terms.values())
            fabric.backward(total / len(parts))  # type: ignore[arg-type]  # a loss has terms
        for name, term in {"loss": total, **terms}.items():
            means[name] = means.get(name, 0.0) + term.detach() / len(parts)  # type: ignore[union-attr]  # a loss has terms
    means["gradient_norm"] = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    values = dict(zip(means, fabric.all_reduce(torch.stack(list(means.values()))).tolist(), strict=True))  # type: ignore[union-attr]  # a tensor for a tensor
    if not all(math.isfinite(value) for value in values.values()):
        raise DivergedError(
            f"step {row['step']}: {values}; the weights were not updated. Lower lr (now {row['lr']:g}) or look at the "
            "batch of this step"
        )
    for part, bound in recipe.clip_norm.items():
        gradients = [p for name, p in network.named_parameters() if part in name]
        torch.nn.utils.clip_grad_norm_(gradients, bound)
    optimiser.step()
    return values


def _validate(network: nn.Module, validate: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
    network.eval()
    scores = {f"val_{name}": value for name, value in validate(network).items()}
    network.train()
    return scores
