"""Weights as safetensors files."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights as a safetensors file; the caller sees to it that it is whole or not there."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load safetensors weights strictly.

    Raises:
        ValueError: a file that is no whole safetensors file, or with the differing names and shapes.
    """
    stored, wanted = _tensors(path), network.state_dict()
    problems = [f"missing {name}" for name in wanted.keys() - stored.keys()]
    problems += [f"unknown {name}" for name in stored.keys() - wanted.keys()]
    problems += [
        f"{name} is {tuple(stored[name].shape)}, the network has {tuple(wanted[name].shape)}"
        for name in stored.keys() & wanted.keys()
        if stored[name].shape != wanted[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:8])
        raise ValueError(f"{path} holds the weights of another network or size ({len(problems)} differences): {shown}")
    network.load_state_dict(stored)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        remedy = "copy it again, or make it from another kind of file with 'deblur weights import'"
        raise ValueError(f"{path}: not a whole safetensors file ({error}); {remedy}") from None
