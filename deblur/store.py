"""Files of trainings: weights, and what continues an interrupted training."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import nn

from deblur import paths


@dataclass(frozen=True)
class Checkpoints:
    """What a training leaves in its folder, a `training.Keeper`: `state.pt`, `log.csv` and, at last, the weights."""

    folder: Path

    def resume(self, fabric: Fabric, state: dict) -> None:
        """Take the state up where an earlier call left it, if there was one."""
        if (self.folder / "state.pt").exists():
            fabric.load(self.folder / "state.pt", state)
        self.folder.mkdir(parents=True, exist_ok=True)

    def keep(self, fabric: Fabric, state: dict) -> None:
        """Write the state and the log; only the first process writes, and the log never runs ahead of the state."""
        path = self.folder / "state.pt"
        # All processes must call `fabric.save`, which ends with a barrier of its own.
        with paths.replacing(path) if fabric.is_global_zero else nullcontext(path) as draft:
            fabric.save(draft, state)
        if fabric.is_global_zero:
            self._write_log(state)
        fabric.barrier()

    def finish(self, fabric: Fabric, state: dict) -> None:
        """Write the weights of a training whose last step is done, and kept."""
        if fabric.is_global_zero:
            self._write_log(state)  # again: a kill may have come between the last state and its log
            save_weights(state["network"].module, self.folder / "model.safetensors")
        fabric.barrier()

    def _write_log(self, state: dict) -> None:
        paths.write_text(self.folder / "log.csv", pd.DataFrame(state["log"]).to_csv(index=False))


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights as safetensors, atomically."""
    with paths.replacing(path) as draft:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, draft)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load safetensors weights strictly.

    Raises:
        ValueError: with the differing names and shapes.
    """
    found, wanted = load_file(path), network.state_dict()
    problems = [f"missing {name}" for name in wanted.keys() - found.keys()]
    problems += [f"unknown {name}" for name in found.keys() - wanted.keys()]
    problems += [
        f"{name} is {tuple(found[name].shape)}, the network has {tuple(wanted[name].shape)}"
        for name in found.keys() & wanted.keys()
        if found[name].shape != wanted[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:8])
        raise ValueError(f"{path} holds the weights of another network or size ({len(problems)} differences): {shown}")
    network.load_state_dict(found)
