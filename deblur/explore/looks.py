"""What networks see inside."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from deblur import models
from deblur.data.loading import as_tensor
from deblur.evaluation import probes
from deblur.explore.blurs import Choice, Exposed, expose
from deblur.explore.networks import Trained, load, verdicts
from deblur.figures import attentive as attentive_figures
from deblur.figures import simplenet as simplenet_figures
from deblur.models import attentive, deform, radn, raidnet, sgenet, simplenet
from deblur.models.parts import is_inert


def _mean(values: Tensor, _: nn.Module) -> dict[str, Tensor]:
    return {"": values.abs().mean(0)}


def _reach(values: Tensor, convolution: Any) -> dict[str, Tensor]:
    return {"": torch.from_numpy(simplenet_figures.amplitude(values[: 2 * convolution.taps].cpu().numpy()))}


def _two(values: Tensor, _: nn.Module) -> dict[str, Tensor]:
    return {f" {channel}": values[channel] for channel in simplenet_figures.two_channels(values.cpu().numpy())}


def _each(values: Tensor, _: nn.Module) -> dict[str, Tensor]:
    return {f" {head}": value for head, value in enumerate(values, 1)}


VIEWS: dict[type[nn.Module], tuple[str, str, Callable[[Tensor, nn.Module], dict[str, Tensor]]]] = {
    attentive.SpatialAttention: ("attention", "", _mean),
    radn.Attend: ("attention", "", _mean),
    sgenet.CEM: ("attention", ".attention", _mean),
    deform.DeformConv2d: ("offsets", ".offset", _reach),
    simplenet.GCRW: ("GCRW", "", _two),
    raidnet.RegionMasks: ("masks", "", _each),
}
"""Module -> what it shows, the submodule whose output that is, and which maps (h,w) are made of that output (C,h,w):
attention weights (of all places: what they add), mean lengths of offsets in px, two channels, one mask a head."""


MIDDLE, FAINTEST = 128, -6.0
"""Pixels a side of the middle of the frame whose influence is computed, since gradients need much memory; and what
counts as none, as a power of ten."""


def views(network: nn.Module) -> dict[str, tuple[str, nn.Module]]:
    """What there is to see in a network: submodule -> what it shows, and the module that it belongs to."""
    modules = {}
    for name, module in network.named_modules():
        if type(module) in VIEWS:
            sort, inner, _ = VIEWS[type(module)]
            modules[name + inner] = (sort, module)
    return modules


def views_table(names: Iterable[str]) -> pd.DataFrame:
    """How much there is to see in networks of paper size, one row a network."""
    rows = {}
    with torch.device("meta"):
        for name in names:
            rows[name] = pd.Series([sort for sort, _ in views(models.build(name)).values()], dtype=str).value_counts()
    sorts = dict.fromkeys(sort for sort, *_ in VIEWS.values())
    return pd.DataFrame(rows).T.reindex(columns=list(sorts)).fillna(0).astype(int)


def inside(
    network: nn.Module, blurred: np.ndarray, verdicts: Mapping[str, str] = {}
) -> dict[str, dict[str, np.ndarray]]:
    """What a network sees in an image (H,W,3) uint8: sort -> place in the network -> map (h,w), finest pass.

    Besides the `VIEWS` that it has, "influence": how much the middle pixel of the result depends on those around it,
    as the logarithm to base 10 of its share of the largest.

    Args:
        verdicts: part of the network -> its verdict, where somebody looked: places in one that is inert are called so.
    """
    image = as_tensor(blurred)[None].to(next(network.parameters()).device)
    modules = views(network)
    inert = {name: " (inert)" for name in modules if verdicts and is_inert(name, models.parts_of(network), verdicts)}
    caught = probes.capture(network, image, list(modules))
    maps: dict[str, dict[str, np.ndarray]] = {}
    for name, (sort, module) in modules.items():
        for suffix, values in VIEWS[type(module)][2](caught[name][-1][0], module).items():
            maps.setdefault(sort, {})[name + suffix + inert.get(name, "")] = values.cpu().numpy()
    rows, columns = (slice(max(side - MIDDLE, 0) // 2, (side + MIDDLE) // 2) for side in blurred.shape[:2])
    share = probes.influence(network, image[..., rows, columns]).cpu().numpy()
    influence = np.full(blurred.shape[:2], FAINTEST)
    influence[rows, columns] = np.log10(np.maximum(share / share.max(), 10**FAINTEST))
    maps["influence"] = {"on the middle pixel": influence}
    return maps


@lru_cache(maxsize=16)
def looked_into(one: Trained | None, choice: Choice) -> dict[str, dict[str, np.ndarray]]:
    """What a network sees in the blurred frame, see `inside`; nothing without a network."""
    return {} if one is None else inside(load(one), expose(choice).blurred, verdicts(one))


def goes_with(maps: Mapping[str, Mapping[str, np.ndarray]], seen: Exposed) -> pd.DataFrame:
    """What the maps of `inside` go with: correlations over the frame with edges, with harm done and with the true path.

    Returns:
        One row a map but for the influence: `place`, `min`, `max`, `r_edges`, and where the truth is known `r_residual`
        (with |blurred - sharp|) and `r_path`; empty for a network without such maps.
    """
    frame = {place: values for sort, places in maps.items() if sort != "influence" for place, values in places.items()}
    sharp, length = (
        (seen.blurred, np.zeros(seen.blurred.shape[:2]))
        if seen.truth is None
        else (seen.truth.sharp, seen.truth.path_px)
    )
    names = ["block", "min", "max", "r_edges", "r_residual", "r_path"]
    table = pd.DataFrame(attentive_figures.attention_statistics(frame, seen.blurred, sharp, length), columns=names)
    return table.rename(columns={"block": "place"}).dropna(axis=1, how="all")
