"""Figures 1 to 6 of the SGENet paper; every function draws one, from arrays and plain data."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deblur.figures import BOX, INK, Map, diagram, marked, panels, sharpest_difference

Graph = tuple[dict[str, str], list[tuple[str, str]]]
"""What `probes.graph` gives: name -> label, and edges."""


def framework() -> tuple[dict[str, tuple[float, float]], list[tuple[str, str]]]:
    """The modules of the two-stage network with their places in Fig. 1 (x to the right, y up), and who feeds whom."""
    places, edges = {"sam": (4.6, 0.0), "tail": (12.0, 0.0)}, []
    for t, left in enumerate((1.2, 7.2)):
        stage = f"stages.{t}"
        places[f"{stage}.shallow"] = (left - 1.2, 0.0 if t == 0 else 0.9)
        source = "shallow"
        if t:
            places[f"{stage}.merge"] = (left - 1.2, 0.0)
            edges += [(f"{stage}.shallow", f"{stage}.merge"), ("sam", f"{stage}.merge")]
            source = "merge"
        edges.append((f"{stage}.{source}", f"{stage}.encoder.0"))
        for s in range(3):
            names = ("encoder", "csam", "cem", "decoder") if t else ("encoder", "cem", "decoder")
            for i, name in enumerate(names):
                places[f"{stage}.{name}.{s}"] = (left + 1.15 * i, -1.8 * s)
            edges += [(f"{stage}.{a}.{s}", f"{stage}.{b}.{s}") for a, b in pairwise(names)]
            if t:
                edges += [(f"stages.0.{side}.{s}", f"{stage}.csam.{s}") for side in ("encoder", "decoder")]
            if s < 2:
                encoded, decoded = (places[f"{stage}.{name}.{s}"] for name in (names[-3], names[-1]))
                places[f"{stage}.down.{s}"] = (encoded[0], encoded[1] - 0.9)
                places[f"{stage}.up.{s}"] = (decoded[0] - 0.35, decoded[1] - 0.9)
                edges += [
                    (f"{stage}.{names[-3]}.{s}", f"{stage}.down.{s}"),
                    (f"{stage}.down.{s}", f"{stage}.encoder.{s + 1}"),
                    (f"{stage}.decoder.{s + 1}", f"{stage}.up.{s}"),
                    (f"{stage}.up.{s}", f"{stage}.cem.{s}"),
                ]
    return places, [*edges, ("stages.0.decoder.0", "sam"), ("stages.1.decoder.0", "tail")]


WORDS = {"shallow": "conv, CAB", "encoder": "E{}", "csam": "CSAM{}", "cem": "CEM{}", "decoder": "D{}", "sam": "SAM"}
"""Module -> its name in the paper; scales are numbered from coarse (1) to fine (3)."""


def figure1(layers: pd.DataFrame) -> Figure:
    """Fig. 1: the framework; solid arrows within a stage, dashed ones from stage 1 to stage 2.

    Args:
        layers: the layer table of the two-stage network, as `complexity.layer_table` makes it, five levels deep.

    Raises:
        ValueError: if a module of the drawing is not in the table.
    """
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    places, edges = framework()
    figure, axis = pyplot.subplots(figsize=(15, 6))
    for name, (x, y) in places.items():
        box = FancyBboxPatch((x - 0.38, y - 0.2), 0.76, 0.4, boxstyle="round,pad=0.03", fc=BOX, ec=INK, lw=0.8)
        axis.add_patch(box)
        part, scale = (name.split(".")[2], 3 - int(name[-1])) if name[-1].isdigit() else (name.split(".")[-1], "")
        label = WORDS.get(part, part).format(scale) + "\n" + _shape(layers, name)
        axis.text(x, y, label, ha="center", va="center", fontsize=7, color=INK)
    for start, end in edges:
        across = start.startswith("stages.0") and end.startswith("stages.1")
        _connect(axis, places[start], places[end], across)
    for t, x in enumerate((2.35, 8.9)):
        axis.text(x, 1.15, f"stage {t + 1}", ha="center", fontsize=9, color=INK)
    axis.set(xlim=(-0.6, 12.6), ylim=(-4.6, 1.4))
    axis.axis("off")
    axis.set_title(
        "SGENet: every CEM also takes the blurred image and predicts one; SAM and tail predict those of the stages",
        fontsize=9,
        color=INK,
    )
    return figure


def _shape(layers: pd.DataFrame, name: str) -> str:
    """Shape of a module's features; of one that returns an image besides, that of the layer that makes them."""
    for row in layers.itertuples():
        if row.module in (name, f"{name}.0", f"{name}.fuse", f"{name}.features") and row.output is not None:
            return "x".join(map(str, row.output))
    raise ValueError(f"{name} is not in the layer table of {len(layers)} rows; trace two stages, five levels deep")


def _connect(axis: Axes, start: tuple[float, float], end: tuple[float, float], across: bool) -> None:
    """An arrow from box to box; those across the stages pass below their row."""
    (x0, y0), (x1, y1) = start, end
    style = {"arrowstyle": "-|>", "lw": 0.8, "color": INK, "shrinkA": 0, "shrinkB": 0}
    if across:
        style |= {"ls": (0, (4, 2)), "color": "tab:blue", "connectionstyle": f"arc3,rad={0.5 / (x1 - x0)}"}
        ends = (x0 + 0.3, y0 - 0.23), (x1, y1 - 0.23)
    elif y0 == y1:
        ends = (x0 + 0.41, y0), (x1 - 0.41, y1)
    else:
        up = 0.23 if y1 > y0 else -0.23
        ends = (x0, y0 + up), (x1, y1 - up)
    axis.annotate("", ends[1], ends[0], arrowprops=style, zorder=0)


CEM = {
    "features": "F: skip",
    "image": "D: blurred",
    "coarser": "F up: coarser",
    "cat": "join",
    "merge_0": "conv",
    "merge_1": "M: merged",
    "residual": "R: residual",
    "add": "I: predicted",
    "residual_features": "F_r: of R",
    "cat_1": "join",
    "fuse": "fused",
    "attention_0": "conv of I",
    "attention_1": "A: attention",
    "mul": "refined: A * fused",
}
"""Traced step of a CEM -> its symbol in the paper, and what it is; steps without a symbol have none there."""

CSAM = {
    "encoder1": "F1: encoder, stage 1",
    "decoder1": "F2: decoder, stage 1",
    "encoder2": "F3: encoder, stage 2",
    "add": "F1 + F2",
    "add_1": "F_sem: sum",
    "mean": "w: mean over places",
    **{f"mlps_{i}": f"z{i + 1}: MLP of a third" for i in range(3)},
    "stack": "join",
    "select": "a1, a2, a3: softmax",
    "mul": "Y1: a1 * F1",
    "mul_1": "Y2: a2 * F2",
    "add_2": "Y1 + Y2",
    "mul_2": "Y3: a3 * F3",
    "add_3": "output: Y1 + Y2 + Y3",
}
"""The same of a CSAM."""


def worded(graph: Graph, words: Mapping[str, str]) -> Graph:
    """A traced module with other words for its nodes, a symbol on a line of its own; shapes stay."""
    nodes, edges = graph
    lines = {name: words[name].replace(": ", ":\n").replace(" ", "\N{NO-BREAK SPACE}") for name in nodes}
    return {name: f"{lines[name]}\n{label.splitlines()[-1]}" for name, label in nodes.items()}, edges


def figure2(cem: Graph) -> Figure:
    """Fig. 2: the contextual-aware enhancement module, as traced, in the paper's symbols."""
    return diagram(
        *worded(cem, CEM), "CEM: the predicted image I makes the attention map A that gates features", columns=7
    )


def figure3(csam: Graph) -> Figure:
    """Fig. 3: the cross-stage selective aggregation module, as traced, in the paper's symbols."""
    return diagram(*worded(csam, CSAM), "CSAM: of three features, weights that sum to one choose", columns=8)


BRANCHES = ("stage-1 encoder", "stage-1 decoder", "stage-2 encoder")


def figure3_weights(weights: Mapping[str, np.ndarray], verdicts: Mapping[str, str] = {}) -> Figure:
    """Beside Fig. 3: what CSAM selects; mean over images and channels, bars from the 10th to the 90th percentile.

    Args:
        weights: scale -> branch weights (images, 3, channels).
    """
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 2.8), constrained_layout=True)
    for i, branch in enumerate(BRANCHES):
        values = [selected[:, i].ravel() for selected in weights.values()]
        means = np.array([value.mean() for value in values])
        low, high = (np.array([np.percentile(value, q) for value in values]) for q in (10, 90))
        spread = np.clip([means - low, high - means], 0, None)
        axis.bar(np.arange(len(values)) + 0.27 * (i - 1), means, 0.25, yerr=spread, capsize=2, label=branch)
    axis.axhline(1 / 3, color=INK, lw=0.8, ls=":")
    axis.set(xticks=range(len(weights)), xticklabels=list(weights), ylim=(0, None))
    axis.set_ylabel(marked("weight", verdicts, "CSAM"))
    axis.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure


def zooms(
    case: Mapping[str, np.ndarray], psnr_db: Mapping[str, float], columns: int = 5
) -> tuple[list[list[np.ndarray | None]], list[list[str]]]:
    """One test image in rows of cells: the whole blurred image with a box, then what each method makes of the box.

    Args:
        case: method -> image (H,W,3) uint8; holds "blurred" and "sharp".
        psnr_db: method -> PSNR of the whole image.

    Returns:
        Cells and the labels below them, the last row filled up with None.
    """
    height, width = case["sharp"].shape[:2]
    h, w = height // 3, width // 3
    y, x = sharpest_difference(case["blurred"], case["sharp"])
    y, x = int(np.clip(y - h // 2, 0, height - h)), int(np.clip(x - w // 2, 0, width - w))
    whole = cv2.rectangle(case["blurred"].copy(), (x, y), (x + w - 1, y + h - 1), (255, 0, 0), 2)
    cells: list[np.ndarray | None] = [whole]
    labels = ["blurred, whole"]
    for name in ("sharp", *(name for name in case if name != "sharp")):
        crop = case[name][y : y + h, x : x + w]
        cells.append(cv2.resize(crop, (width, height), interpolation=cv2.INTER_NEAREST))
        labels.append(f"{name}, {psnr_db[name]:.2f} dB" if name in psnr_db else name)
    fill = -len(cells) % columns
    cells, labels = cells + [None] * fill, labels + [""] * fill
    rows = [slice(i, i + columns) for i in range(0, len(cells), columns)]
    return [cells[row] for row in rows], [labels[row] for row in rows]


def figure4(
    cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]], columns: int = 5
) -> Figure:
    """Fig. 4: crops of GoPro's test images where blur does most harm, with the PSNR of the whole image."""
    rows = [zooms(case, scores, columns) for case, scores in zip(cases, psnr_db)]
    return panels([row for cells, _ in rows for row in cells], labels=[row for _, names in rows for row in names])


def figure5(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 5: the same for HIDE's test images, with fewer methods."""
    return figure4(cases, psnr_db, columns=4)


def bounded(values: np.ndarray) -> Map:
    """A map (h,w) on a scale from its 1st to its 99th percentile."""
    low, high = (float(end) for end in np.percentile(values, (1, 99)))
    return Map(values) if low == high else Map(values, low, high)


ROWS6 = {
    "input": "D: input",
    "before": "mean |M|: before",
    "attention": "mean A",
    "after": "mean |F|: after",
    "predicted": "I: predicted",
    "sharp": "Y: sharp",
    "without": "without CEM: skip",
}


def figure6(scales: Mapping[str, Mapping[str, np.ndarray]], verdicts: Mapping[str, str] = {}) -> Figure:
    """Fig. 6: the CEMs of stage 2, a column a scale, cut out around the place where blur does most harm at full size.
    What the paper draws is lost with its caption.

    Args:
        scales: scale -> what the rows show, full size first: images `input`, `predicted`, `sharp` (h,w,3) in [0,1];
            maps `before`, `attention`, `after` and, of a network without CEM, `without` (h,w).
    """
    full = next(iter(scales.values()))
    height, width = full["sharp"].shape[:2]
    y, x = sharpest_difference(full["input"], full["sharp"])
    rows: list[list[np.ndarray | Map | None]] = []
    for name in ROWS6:
        views = [_half(columns[name], y / height, x / width) for columns in scales.values()]
        if name in ("input", "predicted", "sharp"):
            rows.append([np.clip(view, 0, 1) for view in views])
        else:
            rows.append([Map(view) if name == "attention" else bounded(view) for view in views])
    titles = []
    for scale, number in zip(scales, (3, 2, 1)):
        attention = marked("A", verdicts, "CEMs, attention", f"CEM {number} of stage 2, attention")
        titles.append(scale if attention == "A" else f"{scale}, {attention}")
    return panels(rows, titles, list(ROWS6.values()), width=3.4)


def _half(values: np.ndarray, y: float, x: float) -> np.ndarray:
    """Half the height and width of an image or map, around a place that is given as shares of both, within its rims."""
    spans = []
    for side, place in zip(values.shape, (y, x)):
        start = int(np.clip(place * side - side / 4, 0, side - side // 2))
        spans.append(slice(start, start + side // 2))
    return values[tuple(spans)]


def edge_correlations(images: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """Do predictions carry better high frequencies than the input? Correlations of edge magnitudes with the truth's.

    Args:
        images: of each image the edges (Laplacians, any shape) of `input`, `predicted` and `sharp`.

    Returns:
        `r_input` and `r_predicted`, Pearson correlations of |edges| with those of `sharp`, means over images; and
        `images_better`, the share of images whose prediction correlates better.
    """
    pairs = np.array(
        [
            [
                np.corrcoef(np.abs(edges[name]).ravel(), np.abs(edges["sharp"]).ravel())[0, 1]
                for name in ("input", "predicted")
            ]
            for edges in images
        ]
    )
    before, after = pairs.mean(0)
    return {"r_input": before, "r_predicted": after, "images_better": float((pairs[:, 1] > pairs[:, 0]).mean())}
