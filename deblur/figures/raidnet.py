"""Figures 1 to 5 of the RAID-Net paper and what goes beyond it; every function draws or computes one, from arrays."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

from deblur.figures import INK, MAP, Map, abreast, comparison, diagram, marked, panels, u_shape

KINDS = ("global", "local", "sampling")
"""Kinds of blur in the order of the label map's values."""

COLOURS = ("#4477aa", "#ee6677", "#228833")
"""Of the kinds, in the same order."""

Graph = tuple[dict[str, str], list[tuple[str, str]]]
"""What `probes.graph` gives: name -> label, and edges."""


def worst(sharp: np.ndarray, blurred: np.ndarray, label: np.ndarray) -> dict[str, tuple[int, int]]:
    """For every kind of blur in a label map (h,w), the pixel (y, x) around which it does most harm."""
    difference = np.abs(blurred.astype(np.float64) - sharp).mean(-1)
    harm = cv2.GaussianBlur(difference, (0, 0), 4, borderType=cv2.BORDER_REFLECT)
    peaks = {}
    for value, kind in enumerate(KINDS):
        if (label == value).any():
            peak = np.where(label == value, harm, -1).argmax()
            y, x = np.unravel_index(peak, label.shape)
            peaks[kind] = int(y), int(x)
    return peaks


def coloured(label: np.ndarray) -> np.ndarray:
    """A label map (h,w) in the colours of the kinds, (h,w,3) in [0,1]."""
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(colour) for colour in COLOURS])[label]


def figure1(
    sharp: np.ndarray, blurred: np.ndarray, label: np.ndarray, trajectories: np.ndarray, side: int = 32
) -> Figure:
    """Fig. 1: trajectories in space and time, the sharp and the blurred frame, and a region of each kind of blur.

    Args:
        sharp, blurred: (h,w,3).
        label: (h,w), see `KINDS`.
        trajectories: (T,h,w,2), where each pixel looks at each sub-frame, as (x, y).
        side: of the regions, px.
    """
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    figure = pyplot.figure(figsize=(13, 4.2), constrained_layout=True)
    grid = figure.add_gridspec(2, 9)
    space = figure.add_subplot(grid[:, :3], projection="3d")
    frames = {"sharp": sharp, "blurred": blurred, "cause of the blur": coloured(label)}
    axes = {title: figure.add_subplot(grid[0, i : i + 2]) for i, title in zip((3, 5, 7), frames)}
    for title, image in frames.items():
        axes[title].imshow(image, interpolation="nearest")
        axes[title].set_title(title, fontsize=9, color=INK)
    time = np.linspace(0, 1, len(trajectories))
    for place, (kind, (y, x)) in zip((3, 5, 7), worst(sharp, blurred, label).items()):
        colour = COLOURS[KINDS.index(kind)]
        trajectory = (trajectories[:, y, x] - (x, y)).T
        space.plot(*trajectory, time, color=colour, lw=2, label=kind)
        space.plot(*trajectory, 0, color=colour, lw=1, alpha=0.4)
        top, left = (int(np.clip(c - side // 2, 0, length - side)) for c, length in zip((y, x), label.shape))
        for title, axis in axes.items():
            edge = "white" if title.startswith("cause") else colour
            axis.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=edge, lw=1.5))
        for i, (title, image) in enumerate(list(frames.items())[:2]):
            axis = figure.add_subplot(grid[1, place + i])
            axis.imshow(image[top : top + side, left : left + side], interpolation="nearest")
            axis.set_title(f"{kind}, {title}", fontsize=8, color=colour)
    for axis in figure.axes[1:]:
        axis.set(xticks=[], yticks=[])
    space.set(xlabel="x in px", ylabel="y in px", zlabel="share of the exposure")
    space.set_box_aspect(None, zoom=0.82)
    space.legend(fontsize=8, loc="upper left")
    space.set_title("the path of one pixel of each region", fontsize=9, color=INK)
    return figure


def figure2(network: Graph, block: Graph) -> Sequence[Figure]:
    """Fig. 2: the coarse and the refine deblurring network, and their three-branch block, as traced."""
    names = list(network[0])
    image = max(i for i, name in enumerate(names) if name.startswith("stages_0"))  # the coarse image
    coarse, refine = _part(network, names[: image + 1]), _part(network, names[image:])
    return (
        u_shape(*coarse, "Coarse deblurring network: a U-net"),
        u_shape(*refine, "Refine deblurring network: the same with LRR, from the coarse image"),
        _in_a_row(block, "ResBlock: a dense branch, a sparse (dilated) branch and the input, summed"),
    )


def _in_a_row(graph: Graph, title: str) -> Figure:
    """A diagram in one row, its title above the longest arc."""
    figure = diagram(*graph, "", columns=len(graph[0]))
    figure.axes[0].set_title(title, fontsize=9, color=INK, pad=18)
    return figure


def _part(graph: Graph, names: Sequence[str]) -> Graph:
    """Some nodes of a graph, and the edges between them."""
    nodes, edges = graph
    kept = [(start, end) for start, end in edges if start in names and end in names]
    return {name: nodes[name] for name in names}, kept


def figure3(attention: Graph, reasoning: Graph) -> Sequence[Figure]:
    """Fig. 3: the two halves of local region reasoning, as traced."""
    first = diagram(*attention, "LRR, attention (MHAM): each head's residual map times its mask")
    return first, diagram(
        *reasoning, "LRR, reasoning: nodes and adjacency matrix, one graph convolution, back to pixels", 8
    )


def figure3_masks(
    blurred: np.ndarray,
    label: np.ndarray | None,
    masks: np.ndarray,
    added: np.ndarray,
    verdicts: Mapping[str, str] = {},
) -> Figure:
    """Fig. 3 on an image: its masks, what caused its blur if that is known, and how much LRR adds where.

    Args:
        blurred: (H,W,3).
        label: (H,W), or None.
        masks: (A,h,w), one a head.
        added: (h,w), magnitude of what LRR adds to the features.
    """
    shown: dict[str, np.ndarray | Map] = {"blurred": blurred}
    shown |= {} if label is None else {"cause": coloured(label)}
    shown[marked("|LRR|", verdicts, "LRR")] = Map(added)
    for head, mask in enumerate(masks, 1):
        shown[marked(f"head {head}", verdicts, "LRR", "LRR, masks")] = Map(mask)
    figure = panels(abreast([*shown.values()]), width=2.4)
    for axis, title in zip(figure.axes, shown):
        axis.set_title(title, fontsize=8, color=INK)
    return figure


def figure3_graph(
    difference: np.ndarray, adjacency: np.ndarray, nodes: np.ndarray, verdicts: Mapping[str, str] = {}
) -> Figure:
    """Fig. 3 on an image: D = GAP - GMP (C/A,A), the adjacency matrix W (A,A) and the nodes' features V (C,A)."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(9.5, 3.2), constrained_layout=True)
    shown = {
        "D = GAP - GMP": (difference, "channel of the head"),
        "W: where node j gathers": (adjacency, "from node i"),
        "node features V": (nodes, "channel"),
    }
    for axis, (title, (values, name)) in zip(axes, shown.items()):
        rows, columns = values.shape
        extent = (0.5, columns + 0.5, rows + 0.5, 0.5)  # counted from 1
        drawn = axis.imshow(values, aspect="auto", interpolation="nearest", cmap=MAP, extent=extent)
        axis.set(xlabel="node j", ylabel=name, xticks=range(1, columns + 1))
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.set_title(marked(title, verdicts, "LRR", "LRR, graph convolution"), fontsize=9, color=INK)
        figure.colorbar(drawn, ax=axis, shrink=0.9)
    return figure


def figure4(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 4: GoPro test images, every method at hand, one enlarged crop each (called quantitative in the paper)."""
    return comparison(cases, psnr_db)


def figure5(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 5: RealBlur test images, likewise."""
    return comparison(cases, psnr_db)
