"""Figures of `notebooks/explore.ipynb`: painted blur and its truth, restorations under one loupe, a look inside."""

import textwrap
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deblur.figures import INK, heat, panels
from deblur.figures.raidnet import COLOURS, KINDS, coloured

Window = tuple[slice, slice]
"""Rows and columns of a frame."""


def truth(
    blurred: np.ndarray,
    sharp: np.ndarray,
    displacement: np.ndarray,
    path_px: np.ndarray,
    label: np.ndarray,
    trajectories: Mapping[str, np.ndarray],
) -> Figure:
    """Sharp and blurred frame, cause of the blur, displacement field, length of the path, and some pixels' paths.

    Args:
        blurred, sharp: (h,w,3) uint8.
        displacement: (h,w,2) px from the first to the last sub-frame, as (dx, dy); drawn enlarged.
        path_px: (h,w), length of the path between.
        label: (h,w), see `raidnet.KINDS`.
        trajectories: kind of blur -> (T,2) px, where one of its pixels looks during the exposure, from where it is.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(11, 5.4), constrained_layout=True)
    images = {"sharp: the middle of the exposure": sharp, "blurred: its mean": blurred}
    images |= {"cause of the blur": coloured(label), "displacement": sharp.mean(-1) / 510 + 0.5}
    for axis, (title, image) in zip(axes.flat, images.items()):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=9, color=INK)
    _causes(axes[0, 2], label)
    _arrows(axes[1, 0], displacement)
    # Between whole pixels: an even shift is one colour, and no picture of its rounding errors.
    whole = np.floor([path_px.min() + 1e-3, path_px.max() + 1e-3])
    drawn = axes[1, 1].imshow(path_px, cmap="viridis", vmin=whole[0], vmax=whole[1] + 1)
    axes[1, 1].set_title("length of the path in px", fontsize=9, color=INK)
    figure.colorbar(drawn, ax=axes[1, 1], shrink=0.8)
    for axis in axes.flat[:5]:
        axis.set(xticks=[], yticks=[])
    for kind, trajectory in trajectories.items():
        axes[1, 2].plot(*trajectory.T, "o-", ms=2, lw=1, color=COLOURS[KINDS.index(kind)], label=kind)
    axes[1, 2].plot(0, 0, "+", color=INK)
    axes[1, 2].set(xlabel="x in px", ylabel="y in px")
    axes[1, 2].set_aspect("equal", adjustable="datalim")
    axes[1, 2].invert_yaxis()
    axes[1, 2].legend(fontsize=7)
    axes[1, 2].set_title("the path of one pixel of each kind", fontsize=9, color=INK)
    return figure


def _causes(axis: Axes, label: np.ndarray) -> None:
    """A legend of the kinds of blur in a label map, with their shares."""
    from matplotlib.patches import Patch

    shares = [(colour, kind, (label == value).mean()) for value, (kind, colour) in enumerate(zip(KINDS, COLOURS))]
    patches = [Patch(color=colour, label=f"{kind} {share:.0%}") for colour, kind, share in shares if share]
    axis.legend(handles=patches, fontsize=7, loc="lower right")


def _arrows(axis: Axes, displacement: np.ndarray) -> None:
    """Arrows of a displacement field, the longest as long as the grid is wide."""
    height, width = displacement.shape[:2]
    step = max(height, width) // 24
    y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    arrows = displacement[y, x]
    times = step / max(np.hypot(*arrows.reshape(-1, 2).T).max(), 1e-6)
    axis.quiver(x, y, *np.moveaxis(arrows, -1, 0), angles="xy", scale_units="xy", scale=1 / times, color=COLOURS[1])
    axis.set_title(f"displacement, start to end, drawn {times:.1f} times", fontsize=9, color=INK)


def loupe(images: Mapping[str, np.ndarray], window: Window, labels: Mapping[str, str]) -> Figure:
    """Pictures of one scene beside each other: whole, the same window of each enlarged, and what it has wrong there.

    Args:
        images: title -> (H,W,3) uint8; the errors need "sharp".
        window: of all of them, see `deblur.explore.window`.
        labels: title -> what is written below the whole picture.
    """
    shape = next(iter(images.values())).shape
    crops = {name: image[window] for name, image in images.items()}
    rows: list[list[np.ndarray | None]]
    rows = [[boxed(image, window) for image in images.values()], [_nearest(crop, shape) for crop in crops.values()]]
    texts, names = [[labels.get(name, "") for name in images], [""] * len(images)], ["whole", "enlarged"]
    if "sharp" in images:
        errors = {name: np.abs(crop.astype(float) - crops["sharp"]).mean(-1) for name, crop in crops.items()}
        most = max(error.max() for error in errors.values()) or 1.0
        colours = {name: colormaps["magma"](error / most)[..., :3] for name, error in errors.items()}
        rows.append([None if name == "sharp" else _nearest(colour, shape) for name, colour in colours.items()])
        texts.append(["" if name == "sharp" else f"mean {error.mean():.1f} of 255" for name, error in errors.items()])
        names.append("|error|")
    titles = [textwrap.fill(name, 30) for name in images]
    return panels(rows, titles, names, texts, width=min(11 / len(images), 4.0))


def _nearest(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image enlarged to (H,W), each pixel as it is."""
    return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)


def boxed(image: np.ndarray, window: Window) -> np.ndarray:
    """A copy (H,W,3) uint8 with a red frame around the window."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in window)
    return cv2.rectangle(image.copy(), (left, top), (right - 1, bottom - 1), (255, 0, 0), 2)


def inside(known: Mapping[str, np.ndarray], maps: Mapping[str, Mapping[str, np.ndarray]], columns: int = 4) -> Figure:
    """What a network sees: pictures for orientation, then its maps in rows, each over its own range (bright: high).

    Args:
        known: title -> (H,W,3).
        maps: sort -> where in the network -> (h,w).
    """
    rows, texts, names = [list(known.values())], [list(known)], [""]
    shape = rows[0][0].shape[:2]
    for sort, places in maps.items():
        for start in range(0, len(places), columns):
            part = list(places.items())[start : start + columns]
            rows.append([heat(values, shape) for _, values in part])
            texts.append([f"{place}\n{values.min():.3g} to {values.max():.3g}" for place, values in part])
            names.append(sort)
    texts = [[*row, *[""] * (columns - len(row))] for row in texts]
    return panels([[*row, *[None] * (columns - len(row))] for row in rows], (), names, texts, width=11 / columns)
