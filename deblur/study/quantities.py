"""What is looked at in trained networks: each function gives numbers of one pair, or of a scene, by name.

A number that is not given was not asked for: the pair has no second cause of blur, or its path does not vary. One that
is NaN was refused: what is looked at is constant, or sends its taps off the map, and says nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from deblur import losses
from deblur.data.blur import KINDS
from deblur.data.loading import as_tensor
from deblur.evaluation import maps, metrics, probes, restorer, spread
from deblur.evaluation.parts import INERT_DB
from deblur.figures.attentive import middle_blocks
from deblur.figures.radn import magnitude, widening
from deblur.figures.sgenet import edge_correlations
from deblur.figures.simplenet import amplitude
from deblur.models.attentive import halve_twice
from deblur.models.deform import DeformConv2d, sent_away
from deblur.models.layers import halve
from deblur.models.radn import SelfEnsemble
from deblur.study.views import (
    CAUSE,
    GLOBAL,
    LOCAL,
    SAMPLING,
    Page,
    View,
    as_image,
    captured,
    gain,
    image_of,
    outputs_of,
)

AWAY = 0.5
"""Share of taps off the map above which offsets are no motion."""
STILL_PX = 0.01
"""Offsets below it move nothing."""
MOVED_PX = 2.0
"""Paths that have a direction to speak of."""
STRONG = 0.9
"""Quantile of edges above which they are strong."""
FEWEST_PIXELS = 30
"""Below it a region has no mean."""
RIM_PX, NEAR_PX, FAR_PX = 5, 3, 10
"""How near pixels are to the rim of an object; and where ringing is looked for beside an edge."""
PAGES = 16
"""Of text."""

Values = dict[str, float]


def strongest(edges: np.ndarray) -> np.ndarray:
    """Where edges (H,W) are strong."""
    return (edges >= np.quantile(edges, STRONG)) & (edges > 0)


# --------------------------------------------------------------------------------------------------------- attentive


def attention_maps(network: nn.Module, view: View) -> Values:
    """SA of the middle block of each group: with edges in the encoder, with paths in the decoder (A6, A7)."""
    seen = probes.spatial_attention(network, image_of(network, view.blurred))  # type: ignore[arg-type]  # an Attentive
    blocks, edges = middle_blocks(seen), maps.edges(view.blurred)
    shown = {name: values.float().cpu().numpy() for name, values in seen.items()}
    values = {
        f"SA encoder {level}, edges": maps.correlation(shown[block], edges)
        for level, block in enumerate(blocks["encoder"], 1)
    }
    if view.varies:
        for level, block in enumerate(blocks["decoder"], 1):
            values[f"SA decoder {level}, path"] = maps.correlation(shown[block], view.path, edges)
    return values


def loss_ratio(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[View, Values]]:
    """Squared error over gradient term, a number a scene; and that of the blurred input at each scale (A16)."""

    def unchanged(blurred: Tensor) -> tuple[Tensor, ...]:
        return blurred, halve(blurred), halve_twice(blurred)

    for _, group in groupby(views, lambda view: view.scene):
        own = list(group)
        batches = [tuple(image_of(network, image) for image in view.images) for view in own]
        yield (
            own[0],
            {
                "error over gradient": losses.measure_lambda(network.eval(), batches),  # type: ignore[arg-type]  # pairs
                "error over gradient, blurred input": losses.measure_lambda(unchanged, batches),  # type: ignore[arg-type]
            },
        )


def gain_of(network: nn.Module, view: View) -> Values:
    """Over the blurred input: of the frame, and at rims of objects less where the camera alone moves (A18)."""
    restored = as_image(outputs_of(network, view)[0])
    values = {"gain": gain(restored, view.blurred, view.sharp)}
    if view.has(LOCAL):
        object_ = view.where(LOCAL).astype(np.uint8)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM_PX + 1,) * 2)
        rim = cv2.dilate(object_, kernel) > cv2.erode(object_, kernel)
        rest = view.where(GLOBAL) & ~rim
        if rest.mean() >= CAUSE:
            at = [gain(restored, view.blurred, view.sharp, mask) for mask in (rim, rest)]
            values["gain at rims less global"] = at[0] - at[1]
    return values


def text_gain(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[Page, Values]]:
    """Over the blurred input on pages of text (A18)."""
    restore = restorer(network, next(network.parameters()).device)
    for number in range(PAGES):
        page = Page(number)
        blurred, sharp = page.images
        yield page, {"gain on text": gain(metrics.to_uint8(restore(blurred)), blurred, sharp)}


# -------------------------------------------------------------------------------------------------------------- radn


def ensemble_gain(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[View, Values]]:
    """PSNR of the x8 self-ensemble over the network's own, on one pair a scene: it takes eight passes (R8)."""
    device = next(network.parameters()).device
    chosen = {pair.name for pair in spread([v.pair for v in views], len({v.scene for v in views}))}
    once, eight = restorer(network, device), restorer(SelfEnsemble(network), device)
    for view in views:
        if view.name in chosen:
            one, mean = (metrics.to_uint8(restore(view.blurred)) for restore in (once, eight))
            yield view, {"x8 gain": gain(mean, one, view.sharp)}


def offsets(network: nn.Module, view: View, within: str = "") -> list[tuple[np.ndarray, float, float]]:
    """Of deformable 3x3 convolutions below a name: offsets (18,h,w), input px a map's px, and share sent off."""
    names = {
        f"{name}.offset": module
        for name, module in network.named_modules()
        if isinstance(module, DeformConv2d) and name.startswith(within)
    }
    seen = captured(network, view, names)
    return [
        (
            seen[name][: 2 * module.taps],
            view.blurred.shape[0] / seen[name].shape[1],
            float(sent_away(torch.from_numpy(seen[name][None, : 2 * module.taps]), module.kernel)),
        )
        for name, module in names.items()
    ]


def offset_width(network: nn.Module, view: View) -> Values:
    """How wide the taps of the second DDM reach along x, beside how far pixels moved along x (R14)."""
    if not view.varies:
        return {}
    seen = offsets(network, view, "body.ddm2")
    if _away(seen):
        return {"DDM 2 width, motion along x": float("nan")}
    wide = np.mean([widening(offset) for offset, *_ in seen], axis=0)
    along = np.abs(view.truth["displacement"][..., 0])
    return {"DDM 2 width, motion along x": maps.correlation(wide, along, maps.edges(view.blurred))}


def _away(seen: Sequence[tuple[np.ndarray, float, float]]) -> bool:
    return not seen or bool(np.mean([away for *_, away in seen]) > AWAY)


def offset_direction(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[View, Values]]:
    """Mean cosine of twice the angle between the axis of a DDM's taps and that of motion; and that of another pair's
    motion of the scene (R14 of the second)."""
    for number, view in enumerate(views):
        if (view.path > MOVED_PX).mean() < CAUSE:
            continue
        others = [other for other in views if other.scene == view.scene and other is not view]
        other = others[number % len(others)] if others else None
        own = view.truth["displacement"]
        motions = {"": own, ", other motion": other.truth["displacement"] if other else own * np.nan}
        values = {}
        for module in (1, 2, 3):
            axis = moving_axis(offsets(network, view, f"body.ddm{module}"))
            for suffix, motion in motions.items():
                values[f"DDM {module} direction{suffix}"] = np.nan if axis is None else likeness(axis, motion)
        yield view, values


def moving_axis(seen: Sequence[tuple[np.ndarray, float, float]]) -> np.ndarray | None:
    """The axis (h,w) of what `offsets` gives; None where taps are off the map or stay where they are."""
    if _away(seen):
        return None
    axis, deviation = taps_axis([offset for offset, *_ in seen])
    return axis if np.percentile(deviation, 99) > STILL_PX else None


def taps_axis(seen: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The direction (h,w) in radians along which taps are sent apart, and by how much in px, of offsets (18,h,w)."""
    xx = yy = xy = 0.0
    for offset in seen:
        dy, dx = (part - part.mean(0) for part in (offset[0::2], offset[1::2]))
        xx, yy, xy = xx + (dx**2).mean(0), yy + (dy**2).mean(0), xy + (dx * dy).mean(0)
    return np.arctan2(2 * xy, xx - yy) / 2, np.sqrt((xx + yy) / len(seen))


def likeness(axis: np.ndarray, displacement: np.ndarray) -> float:
    """Mean cosine of twice the angle between axes (h,w) and motions (H,W,2) of more than `MOVED_PX`: 1 for the same,
    0 for any, -1 for across."""
    dx, dy = np.moveaxis(maps.at_size(displacement, axis.shape), 2, 0)
    moved = np.hypot(dx, dy) > MOVED_PX
    if moved.sum() < FEWEST_PIXELS:
        return float("nan")
    return float(np.cos(2 * (axis - np.arctan2(dy, dx)))[moved].mean())


def offset_length(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[View, Values]]:
    """Correlation of the mean offset with the mean path over the images of a scene (R15)."""
    for _, group in groupby(views, lambda view: view.scene):
        own = list(group)
        seen = [offsets(network, view, "body.ddm") for view in own]
        lengths = np.array([np.mean([magnitude(offset) * px for offset, px, _ in one] or [0.0]) for one in seen])
        paths = np.array([view.path.mean() for view in own])
        refused = np.mean([_away(one) for one in seen]) > AWAY or lengths.max() < STILL_PX or maps.is_constant(lengths)
        if len(own) > 2:
            yield own[0], {"offset length, path": np.nan if refused else float(np.corrcoef(lengths, paths)[0, 1])}


def attention_residual(network: nn.Module, view: View) -> Values:
    """Where self-attention adds much, beside the path (R16)."""
    if not view.varies:
        return {}
    added = np.abs(captured(network, view, ["body.attention.attend"])["body.attention.attend"]).mean(0)
    return {"SA residual, path": maps.correlation(added, view.path, maps.edges(view.blurred))}


# ----------------------------------------------------------------------------------------------------------- raidnet


def stages(network: nn.Module, view: View) -> Values:
    """What stage 1 gains where the camera alone moves less elsewhere, and stage 2 the other way round (N3)."""
    if not view.has(GLOBAL):
        return {}
    final, coarse = (as_image(output) for output in outputs_of(network, view)[:2])
    alone = view.where(GLOBAL)
    first = [gain(coarse, view.blurred, view.sharp, mask) for mask in (alone, ~alone)]
    second = [gain(final, coarse, view.sharp, mask) for mask in (alone, ~alone)]
    inert = abs(gain(final, coarse, view.sharp)) <= INERT_DB
    return {
        "stage 1, global less other": first[0] - first[1],
        "stage 2, other less global": np.nan if inert else second[1] - second[0],
    }


def region_masks(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[View, Values]]:
    """How much more of a head's mask lies on the image's own moving object, or cut paths, than on those of other
    images; the head is chosen on every other scene and scored on the rest, and the other way round (N9)."""
    for cause in (LOCAL, SAMPLING):
        own = [view for view in views if view.kind == KINDS[cause] and view.where(cause).sum() >= FEWEST_PIXELS]
        if len({view.scene for view in own}) < 2:
            continue
        masks = [captured(network, view, ["lrr.attention.masks"])["lrr.attention.masks"] for view in own]
        constant = np.array([[maps.is_constant(mask) for mask in heads] for heads in masks])
        excess = excess_lift(masks, [view.where(cause) for view in own])
        scenes = list(dict.fromkeys(view.scene for view in own))
        half = np.array([scenes.index(view.scene) % 2 for view in own])
        for number, view in enumerate(own):
            head = int(excess[half != half[number]].mean(0).argmax())
            refused = constant[number, head]
            yield view, {f"masks on {KINDS[cause]} blur": np.nan if refused else float(excess[number, head])}


def excess_lift(masks: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of each mask over the image's own region, in units of its mean, less that over the others' regions.

    Args:
        masks: (A,h,w) of each image.
        regions: (H,W) bool of each image.

    Returns:
        (images, A).
    """
    flat = np.array([region.ravel() / region.sum() for region in regions])  # (images, HW)
    lift = []
    for heads in masks:
        full = np.array([maps.enlarged(mask, regions[0].shape).ravel() for mask in heads])
        lift.append(full @ flat.T / full.mean(1, keepdims=True))  # (A, images)
    table = np.moveaxis(np.array(lift), 1, 2)  # (images, regions, A)
    count = len(regions)
    own = table[range(count), range(count)]
    return own - (table.sum(1) - own) / (count - 1)


# ------------------------------------------------------------------------------------------------------------ sgenet


def predicted_edges(network: nn.Module, view: View) -> Values:
    """How much better edges of the images that stage 2 predicts go with true ones than those of its inputs (G5)."""
    outputs = outputs_of(network, view)
    image, sharp = (as_tensor(picture)[None] for picture in (view.blurred, view.sharp))
    inputs = [image, halve(image), halve(halve(image))]
    better = []
    for predicted, given in zip(outputs[1:4], inputs, strict=True):
        images = {"input": given, "predicted": predicted, "sharp": losses.halved_like(sharp, predicted)}
        said = edge_correlations([{name: losses.laplacian(one).numpy() for name, one in images.items()}])
        better.append(said["r_predicted"] - said["r_input"])
    return {"edges of predictions": float(np.mean(better))}


def sharpness(network: nn.Module, view: View) -> Values:
    """How near the energy of strong edges is to that of the sharp image, and how little rings beside them (G10).

    Both are minus logarithms: higher is better.
    """
    restored = as_image(outputs_of(network, view)[0])
    own, true = maps.edges(restored), maps.edges(view.sharp)
    strong = strongest(true)
    energy, wanted = ((side[strong] ** 2).mean() + 1 for side in (own, true))  # of levels: 1 is nothing
    values = {"sharpness": -abs(float(np.log(energy / wanted)))}
    distance = cv2.distanceTransform((~strong).astype(np.uint8), cv2.DIST_L2, 5)
    flat = (distance >= NEAR_PX) & (distance <= FAR_PX) & (true <= np.median(true))
    if flat.sum() >= FEWEST_PIXELS:
        error = restored.astype(np.float64) - view.sharp
        ringing = np.abs(error - cv2.GaussianBlur(error, (0, 0), NEAR_PX))[flat].mean()
        values["calm beside edges"] = -float(np.log(ringing + 1e-3))
    return values


# --------------------------------------------------------------------------------------------------------- simplenet


def offsets_at_outlines(network: nn.Module, view: View) -> Values:
    """Log ratio of the last DR's offsets on strong edges of what moves and on equally strong edges elsewhere (S17)."""
    if view.kind != KINDS[LOCAL] or not view.has(LOCAL):
        return {}
    (offset, px, _), *_ = offsets(network, view, "dec1.dr.deformable")
    moved, edges = amplitude(offset) * px, maps.edges(view.blurred)
    if moved.mean() < STILL_PX:
        return dict.fromkeys(("offsets at outlines", "offsets, edges"), float("nan"))
    values = {"offsets, edges": maps.correlation(moved, edges)}
    ratio = on_equal_edges(maps.enlarged(moved, edges.shape), edges, view.where(LOCAL))
    return values if ratio is None else values | {"offsets at outlines": ratio}


def on_equal_edges(values: np.ndarray, edges: np.ndarray, inside: np.ndarray) -> float | None:
    """Log ratio of a map's means on strong edges inside and outside a region, tenths of their strength alike; all
    (H,W). None where either has too few of them."""
    strong = strongest(edges)
    tenth = np.digitize(edges, np.quantile(edges[strong], np.linspace(0.1, 0.9, 9)))
    sums: dict[str, float] = defaultdict(float)
    for number in range(10):
        on = [values[strong & (tenth == number) & where] for where in (inside, ~inside)]
        if min(map(len, on)):
            sums["pixels"] += len(on[0])
            sums["inside"] += len(on[0]) * float(on[0].mean())
            sums["outside"] += len(on[0]) * float(on[1].mean())
    if sums["pixels"] < FEWEST_PIXELS or min(sums["inside"], sums["outside"]) <= 0:
        return None
    return float(np.log(sums["inside"] / sums["outside"]))


def weights_and_path(network: nn.Module, views: Sequence[View]) -> Iterator[tuple[View, Values]]:
    """How much of the path's variation two components of LGCR's weights explain, less that of other pairs' paths of
    the scene (S18)."""
    for view in views:
        others = [other for other in views if other.scene == view.scene and other is not view and other.varies]
        if view.varies and others:
            weights = captured(network, view, ["context.gcrw"])["context.gcrw"]
            excess = explained(weights, view.path) - np.mean([explained(weights, other.path) for other in others])
            yield view, {"GCRW, path": np.nan if maps.is_constant(weights) else float(excess)}


def explained(weights: np.ndarray, path: np.ndarray) -> float:
    """R^2 of a path (H,W) on the first two principal components over channels of weights (C,h,w)."""
    pixels = weights.reshape(len(weights), -1).astype(np.float64)
    _, _, components = np.linalg.svd(pixels - pixels.mean(1, keepdims=True), full_matrices=False)
    wanted = maps.at_size(path, weights.shape[1:]).ravel()
    wanted = wanted - wanted.mean()
    power = wanted @ wanted
    return float(((components[:2] @ wanted) ** 2).sum() / power) if power > 0 else 0.0


def gains_by_motion(network: nn.Module, view: View) -> Values:
    """Gain where paths are longest less where they are shortest, in thirds of the pixels, and where an object moves
    less where the camera alone does (S19)."""
    restored = as_image(outputs_of(network, view)[0])
    values: Values = {}
    if view.varies:
        short, long = np.quantile(view.path, (1 / 3, 2 / 3))
        at = [gain(restored, view.blurred, view.sharp, mask) for mask in (view.path >= long, view.path <= short)]
        values |= {"gain, long less short paths": at[0] - at[1], "gain, long paths": at[0]}
    if view.has(LOCAL) and view.where(GLOBAL).mean() >= CAUSE:
        at = [gain(restored, view.blurred, view.sharp, view.where(cause)) for cause in (LOCAL, GLOBAL)]
        values["gain, local less global"] = at[0] - at[1]
    return values
