"""Figures 1 to 10 of the attentive paper; every function draws one, from arrays."""

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

from deblur.figures import Map, abreast, comparison, diagram, marked, panels, u_shape

Graph = tuple[dict[str, str], list[tuple[str, str]]]
"""Nodes (name -> label) and edges, as `probes.graph` gives them."""

Maps = Mapping[str, np.ndarray]
"""Block label ("encoder 1" ... "decoder 9") -> SA map (h,w)."""


def middle_blocks(maps: Iterable[str]) -> dict[str, list[str]]:
    """Of block labels, the middle one of each of the three groups a side: 2, 5, 8 at paper size (Fig. 8)."""
    maps = list(maps)
    chosen = {}
    for side in ("encoder", "decoder"):
        count = sum(label.startswith(side) for label in maps) // 3
        chosen[side] = [f"{side} {group * count + (count + 1) // 2}" for group in range(3)]
    return chosen


def titles(blocks: Mapping[str, list[str]], verdicts: Mapping[str, str]) -> dict[str, str]:
    """Block of `middle_blocks` -> its title, which says whether its group's SA is inert."""
    return {
        block: marked(f"SA, {block}", verdicts, f"SA {side}", f"SA {side} {level}")
        for side, own in blocks.items()
        for level, block in enumerate(own, 1)
    }


def figure1(images: Sequence[np.ndarray], maps: Sequence[Maps], verdicts: Mapping[str, str] = {}) -> Figure:
    """Fig. 1: inputs, and the SA maps of the middle encoder and decoder block (block 5 at paper size)."""
    chosen = middle_blocks(maps[0])
    encoder, decoder = chosen["encoder"][1], chosen["decoder"][1]
    rows: list[Sequence[np.ndarray | Map]] = [
        images,
        *([Map(m[name]) for m in maps] for name in (encoder, decoder)),
    ]
    named = titles(chosen, verdicts)
    return panels(rows, row_titles=["blurred", named[encoder], named[decoder]])


def figure2(framework: Graph, module: Graph) -> Sequence[Figure]:
    """Fig. 2: the coarse-to-fine framework, and one module M with its two skips, as traced."""
    return u_shape(*framework, "Framework: three calls of M, coarse to fine"), u_shape(
        *module, "One module M at the finest scale: encoder groups, decoder groups, additive skips"
    )


def figure3(block: Graph) -> Figure:
    """Fig. 3: a residual attention block, as traced."""
    return diagram(*block, "Residual attention block (RAB)")


def figure4(spatial: Graph) -> Figure:
    """Fig. 4: the spatial attention unit, as traced."""
    return diagram(*spatial, "Spatial attention (SA)")


def figure5(channel: Graph) -> Figure:
    """Fig. 5: the channel attention unit, as traced."""
    return diagram(*channel, "Channel attention (CA)")


def figure6(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 6: test images, all methods there are."""
    return comparison(cases, psnr_db)


def figure7(cases: Sequence[Mapping[str, np.ndarray]]) -> Figure:
    """Fig. 7: really blurred photographs, without truth."""
    cells = [row for case in cases for row in abreast([*case.values()], columns=3)]
    labels = [row for case in cases for row in abreast([*case], "", columns=3)]
    return panels(cells, labels=labels, width=3.8)


def figure8(
    images: Sequence[np.ndarray],
    restored: Sequence[np.ndarray],
    maps: Sequence[Maps],
    verdicts: Mapping[str, str] = {},
) -> Figure:
    """Fig. 8: inputs, outputs, and SA maps of the middle block of each group, encoder then decoder."""
    chosen = middle_blocks(maps[0])
    named = titles(chosen, verdicts)
    rows: list[Sequence[np.ndarray | Map]] = [images, restored]
    rows += [[Map(m[name]) for m in maps] for name in named]
    return panels(rows, row_titles=["blurred", "restored", *named.values()], width=2.2)


def figure9(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 9: the network without and with attention."""
    return comparison(cases, psnr_db)


def figure10(cases: Sequence[Mapping[str, np.ndarray]], psnr_db: Sequence[Mapping[str, float]]) -> Figure:
    """Fig. 10: failures, the cases with the smallest gain, and text."""
    return comparison(cases, psnr_db)


def attention_statistics(
    maps: Maps, blurred: np.ndarray, sharp: np.ndarray, path_px: np.ndarray
) -> list[dict[str, float | str]]:
    """What each SA map goes with: Pearson correlations over the image's pixels, and the map's raw range.

    `edges` is the Sobel magnitude of the blurred image's luma, `residual` the smoothed |blurred - sharp|, `path` the
    true length of the path each pixel's content moved. NaN where one of the two is constant.
    """
    luma = cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY).astype(np.float64)
    edges = np.hypot(cv2.Sobel(luma, cv2.CV_64F, 1, 0), cv2.Sobel(luma, cv2.CV_64F, 0, 1))
    residual = cv2.GaussianBlur(np.abs(blurred.astype(np.float64) - sharp).mean(-1), (0, 0), 3)
    rows = []
    for label, values in maps.items():
        full = cv2.resize(values.astype(np.float64), luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
        row = {"block": label, "min": values.min(), "max": values.max(), "mean": values.mean()}
        targets = (("edges", edges), ("residual", residual), ("path", path_px))
        rows.append(row | {f"r_{name}": _pearson(full, target) for name, target in targets})
    return rows


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
