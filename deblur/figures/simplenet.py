"""Figures 1 to 8 of the SimpleNet paper; every function draws one, from arrays and tables."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deblur.figures import Map, comparison, diagram, marked, panels, paths, u_shape
from deblur.figures.networks import against_cost, costs

Graph = tuple[dict[str, str], list[tuple[str, str]]]
"""What `probes.graph` gives: name -> label, and edges."""


def figure1(table: pd.DataFrame, measured_on: str) -> Figure:
    """Fig. 1: quality against time, the area of a disc is the size of the weights; as printed, and as measured here: a
    point is one network.

    Args:
        table: Table 2, with the columns `*_printed` and `*_measured`; rows without a measurement are only printed.
            Rows of another budget do not belong here.
        measured_on: what was measured, at which size and where.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    titles = {"printed": "as printed: 720p on a GTX 1080 Ti", "measured": f"measured here: {measured_on}"}
    for axis, (kind, title) in zip(axes, titles.items()):
        psnr_db, size_mb = (table[f"{name}_{kind}"].astype(float) for name in ("psnr_db", "size_mb"))
        cost, what = costs(table, kind)
        # "Tao et al. (SRN)" is SRN.
        short = table["method"].str.extract(r"\((.+)\)", expand=False).fillna(table["method"])
        label = short + size_mb.map(", {:.3g} MB".format)
        area = 600 * size_mb / size_mb.max()
        columns = {"label": label, "cost": cost, "psnr_db": psnr_db, "area": area, "own": table["method"] == "Ours"}
        against_cost(axis, pd.DataFrame(columns).dropna(), what, title)
    return figure


def figure2(network: Graph, levels: Mapping[str, str]) -> Figure:
    """Fig. 2: the network, as traced, and which blocks its levels are made of: name -> blocks, e.g. "RB+PVB"."""
    nodes, edges = network
    named = {
        name: label.replace("Level", levels.get(label.partition(" ")[0], "Level")) for name, label in nodes.items()
    }
    return u_shape(named, edges, "SimpleNet: levels of blocks, LGCR at the encoder's end")


RESIDUAL = frozenset({6})
"""What a residual block of three 3x3 convolutions adds to a receptive field, in px."""

PVB = {"branches only": frozenset({2, 4, 6}), "with fusion and identity": frozenset({0, 4, 6, 8})}
"""What a PVB adds: its dilations 1, 2, 3 alone (as Fig. 5 labels them), or all ways through it; deformable taps are
counted as if they stayed at their places."""


def spectrum(layers: Iterable[tuple[Iterable[int], int]]) -> list[int]:
    """All receptive fields, in px, of the ways through a chain of layers.

    Args:
        layers: (what the layer adds at its own resolution, one number a way through it; its stride).
    """
    reached, jump = {0}, 1
    for increments, stride in layers:
        reached = {sofar + jump * more for sofar in reached for more in increments}
        jump *= stride
    return sorted(1 + size for size in reached)


def encoder(second: Iterable[int], first: Iterable[int] = RESIDUAL) -> list[tuple[Iterable[int], int]]:
    """The layers of SimpleNet's encoder for `spectrum`: a head, and three levels of two blocks with halvings between.

    Args:
        first, second: what the blocks of a level add: RB, then PVB or what stands in its place.
    """
    convolution = frozenset({2})
    level, down = [(first, 1), (second, 1)], [(convolution, 2)]
    return [(convolution, 1), *level, *down, *level, *down, *level]


def figure3(most: int = 6) -> Figure:
    """Fig. 3: receptive fields of 1 to `most` piled blocks; one size each for residual blocks, a spectrum for PVBs."""
    from matplotlib import pyplot

    kinds = {"residual block": RESIDUAL, "residual block, with identity": RESIDUAL | {0}}
    kinds |= {f"PVB, {name}": added for name, added in PVB.items()}
    figure, axes = pyplot.subplots(1, 4, figsize=(13, 2.9), sharex=True, sharey=True, constrained_layout=True)
    for axis, (title, added) in zip(axes, kinds.items()):
        for count in range(1, most + 1):
            sizes = spectrum([(added, 1)] * count)
            axis.plot(sizes, [count] * len(sizes), "o", ms=4, color="tab:blue")
            axis.annotate(f"{len(sizes)}", (sizes[-1], count), (6, -3), textcoords="offset points", fontsize=7)
        axis.set(xlabel="receptive field in px", ylim=(most + 0.5, 0.5))
        axis.set_title(f"{title} {{{', '.join(map(str, spectrum([(added, 1)])))}}}", fontsize=9)
    axes[0].set_ylabel("blocks piled")
    return figure


def figure3_influence(maps: Mapping[str, np.ndarray], reach: int = 48) -> Figure:
    """Supplement to Fig. 3: how far the centre of the result depends on the input, logarithmic, one map a network.

    Args:
        maps: title -> |d restored(centre) / d blurred| (H,W), as `probes.influence` gives it.
        reach: how far around the centre is shown, in px.
    """
    shown = []
    for values in maps.values():
        y, x = (side // 2 for side in values.shape)
        values = values[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        shown.append(Map(np.log10(values / values.max() + 1e-6), -6.0, 0.0, "log10"))
    return panels([shown], list(maps), width=3.0)


def figure4(lgcr: Graph, tt: Graph) -> Sequence[Figure]:
    """Fig. 4: LGCR, and its rival T+T, as traced."""
    return (
        diagram(*lgcr, "LGCR: a weight for every value, softmax over all, scales a 3-D convolved residual", columns=8),
        diagram(*tt, "T+T: a weight in (0,1) multiplies the input; no residual", columns=8),
    )


def figure5(pvb: Graph) -> Figure:
    """Fig. 5: a PVB as traced, its branches labelled with the receptive field that they bring (Info RF)."""
    nodes, edges = pvb
    sizes = spectrum([(PVB["branches only"], 1)])
    notes = {f"dilated_{index}": f"RF:{size}" for index, size in enumerate(sizes)} | {"deformable": "RF:adaptive"}
    nodes = {name: f"{label}\n{notes[name]}" if name in notes else label for name, label in nodes.items()}
    return diagram(nodes, edges, "Perceptual variousness block (PVB)", columns=6)


def figure6(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 6: three images of GoPro, two of RealBlur-J and two really blurred ones, all methods there are."""
    return comparison(cases, psnr_db)


def amplitude(offsets: np.ndarray) -> np.ndarray:
    """Mean length in px of a deformable convolution's offsets: (2 taps, h, w), (dy, dx) a tap, -> (h,w) (Fig. 7)."""
    dy, dx = offsets[0::2], offsets[1::2]
    return np.hypot(dy, dx).mean(0)


def two_channels(weights: np.ndarray) -> tuple[int, int]:
    """Which channels of a GCRW (C,h,w) to show: the one that varies most, and that of the livelier half which is least
    correlated with it (the paper does not say how its two were picked)."""
    flat = weights.reshape(len(weights), -1)
    order = np.argsort(-flat.std(1), kind="stable")
    lively = order[1 : max(len(order) // 2, 2)]
    with np.errstate(invalid="ignore"):  # constant channels correlate with nothing and come last
        correlations = [abs(np.corrcoef(flat[order[0]], flat[channel])[0, 1]) for channel in lively]
    return int(order[0]), int(lively[np.nan_to_num(correlations, nan=1.0).argmin()])


def clipped(values: np.ndarray) -> np.ndarray:
    """A map without its most extreme hundredths, so that single values do not take the whole scale."""
    return np.clip(values, *np.percentile(values, (1, 99)))


def figure7(
    images: Sequence[np.ndarray],
    lengths: Sequence[np.ndarray | None],
    amplitudes: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    verdicts: Mapping[str, str] = {},
) -> Figure:
    """Fig. 7: inputs, true paths where known, offset amplitudes (h,w) of a DR, and two channels of the GCRW (C,h,w)."""
    offset = marked("offset amplitude", verdicts, "DRs", "DRs, offsets", "DR dec1, offsets")
    gcrw = (marked(f"GCRW, {which}", verdicts, "LGCR", "GCRW") for which in ("one channel", "another"))
    titles = ["blurred", "path", offset, *gcrw]
    longest = max((float(length.max()) for length in lengths if length is not None), default=0.0)
    rows = []
    for image, length, offset, weight in zip(images, paths(lengths, longest), amplitudes, weights):
        chosen = [Map(clipped(weight[channel])) for channel in two_channels(weight)]
        rows.append([image, length, Map(clipped(offset), unit="px"), *chosen])
    return panels(rows, titles)


def figure8(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 8: what the ablated networks restore."""
    return comparison(cases, psnr_db)
