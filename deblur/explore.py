"""Looking around: blur painted over a photograph, what trained networks make of it, and what they see inside.

From state to arrays to figures: a `Choice` says which photograph is blurred and how; `expose`, `restored` and `inside`
compute arrays, which `deblur.figures.explore` draws. Widgets are the last, thin layer: they hold a state, and `live`
draws again when it changes. All of it is shown in `notebooks/explore.ipynb`.
"""

import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import ipywidgets as widgets
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from torch import Tensor, nn

from deblur import metrics, models, paths, pictures, probes, recipes, restoration, runs, store
from deblur.data import bench, blur, mini
from deblur.data.loading import as_tensor
from deblur.data.synthesis import expose_in_bands
from deblur.figures import attentive as attentive_figures
from deblur.figures import explore as draw
from deblur.figures import heat, panels, sharpest_difference
from deblur.figures import raidnet as raidnet_figures
from deblur.figures import simplenet as simplenet_figures
from deblur.models import attentive, deform, radn, raidnet, sgenet, simplenet

# ---------------------------------------------------------------------------------------------- photograph and blur

KINDS = {
    "global": "a camera path",
    "local": "a moving object, and a camera path",
    "sampling": "a camera path, cut by the frame",
    "none": "none: it is really blurred",
}
"""Kind of blur, see `blur.KINDS`, in words; with the last a picture is shown as it is."""

SMALLEST_SIDE = 64
"""Pixels of the frame that a photograph must leave."""


@dataclass(frozen=True)
class Choice:
    """Which photograph is blurred, and how.

    Attributes:
        photograph: a name of `photographs`, or the path of a file.
        kind: of `KINDS`.
        length_px: mean length of the camera's path over the frame, and of the object's.
        seed: draws both paths, and the object's place.
    """

    photograph: str = "astronaut"
    kind: str = "local"
    length_px: float = 5.0
    seed: int = 0


def start(scale: str, seed: int) -> Choice:
    """What is looked at first: a test scene under blur as long as networks of that scale are trained for."""
    return Choice(length_px=5.0 if scale in QUICK_SCALES else 12.0, seed=seed)


def photographs() -> dict[str, str]:
    """The bundled photographs: name -> the split of the benchmark that it belongs to, or `really blurred`."""
    scenes = {name: source.split for name, source in mini.SCENES.items()}
    return scenes | dict.fromkeys(mini.PHOTOGRAPHS, "really blurred")


def photograph(name: str) -> np.ndarray:
    """A bundled photograph at its native size, or that of a file, upright; (H,W,3) uint8.

    Raises:
        ValueError: neither of them, or a file that cannot be read.
    """
    if name in mini.SCENES:
        return bench.native_scene(name)
    if name in mini.PHOTOGRAPHS:
        return mini.real_photographs()[name]
    path = Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"{name}: no such file, and not one of {', '.join(photographs())}; give the path from here")
    pixels = restoration.colours(pictures.eight_bits(pictures.read(path, restoration.largest_image()).pixels))
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def framed(picture: np.ndarray, margin: int, name: str = "photograph") -> np.ndarray:
    """The middle of a picture (H,W,3) with `margin` px around a frame of at most `bench.FRAME_SIZE`, turned if upright.

    Large pictures are reduced as far as the frame still fits.

    Raises:
        ValueError: if less than `SMALLEST_SIDE` is left of the frame.
    """
    height, width = picture.shape[:2]
    frame = bench.FRAME_SIZE if width >= height else bench.FRAME_SIZE[::-1]
    wanted = [side + 2 * margin for side in frame]
    factor = max(1.0, min(height / wanted[0], width / wanted[1]))
    height, width = (int(side / factor + 1e-9) for side in (height, width))
    reduced = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    rows, columns = (min(want, have) for want, have in zip(wanted, (height, width)))
    if min(rows, columns) < SMALLEST_SIDE + 2 * margin:
        needed = SMALLEST_SIDE + 2 * margin
        raise ValueError(f"{name}: {height}x{width} is too small, this needs {needed} px a side; shorten the path")
    top, left = (height - rows) // 2, (width - columns) // 2
    return reduced[top : top + rows, left : left + columns]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a frame whose blur was painted; see `blur.Exposure`.

    Attributes:
        ways: kind -> (T,2) px, the way of the pixel of that kind that suffers most, from its place.
    """

    sharp: np.ndarray  # (h,w,3) uint8
    displacement: np.ndarray  # (h,w,2) px
    path_px: np.ndarray  # (h,w)
    label: np.ndarray  # (h,w)
    ways: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Exposed:
    """A blurred frame, (h,w,3) uint8, and the truth about it unless it is really blurred."""

    blurred: np.ndarray
    truth: Truth | None = None


@lru_cache(maxsize=16)
def expose(choice: Choice) -> Exposed:
    """The middle of a photograph, blurred as chosen; a really blurred one as it is.

    Raises:
        ValueError: an unknown photograph or kind, a photograph that is too small for such a path.
    """
    if choice.kind not in KINDS:
        raise ValueError(f"unknown kind of blur {choice.kind!r}; choose one of {', '.join(KINDS)}")
    picture = photograph(choice.photograph)
    if choice.kind == "none" or choice.photograph in mini.PHOTOGRAPHS:
        return Exposed(framed(picture, 0, choice.photograph))
    # As in `data.synthesis`: camera and object may each go their whole way to one side, at a corner a bit further.
    margin = math.ceil(2.5 * choice.length_px) + 1
    scene = torch.from_numpy(framed(picture, margin, choice.photograph) / 255.0).permute(2, 0, 1).contiguous()
    size = (scene.shape[1] - 2 * margin, scene.shape[2] - 2 * margin)
    rng = np.random.default_rng(choice.seed)
    motion = blur.random_motion(rng, choice.kind, size, (choice.length_px, choice.length_px))
    exposure, blurred, _ = expose_in_bands(scene, motion, (margin, margin), size)
    frame, sharp = (image.permute(1, 2, 0).numpy() for image in (blurred, exposure.sharp))
    displacement, path_px, label = (part.numpy() for part in (exposure.displacement, exposure.path_px, exposure.label))
    ways = _ways(motion, raidnet_figures.worst(sharp, frame, label), size)
    return Exposed(frame, Truth(sharp, displacement, path_px, label, ways))


def _ways(motion: blur.Motion, places: Mapping[str, tuple[int, int]], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """See `Truth.ways`; places are (y, x)."""
    points = torch.tensor([[place[::-1] for place in places.values()]], dtype=torch.float64)  # (1,kinds,2)
    ways, _ = blur.trajectories(motion, points, size)
    return dict(zip(places, (ways - points)[:, 0].transpose(0, 1).numpy()))


def described(choice: Choice, seen: Exposed) -> str:
    """What was done to the photograph, as Markdown."""
    height, width = seen.blurred.shape[:2]
    start = f"**{choice.photograph}**, {height}x{width} pixels (height x width)"
    if seen.truth is None:
        return f"{start}, really blurred: nobody knows how its pixels moved, so there is no truth to compare with."
    way, label = seen.truth.path_px, seen.truth.label
    kinds = zip(blur.KINDS, np.bincount(label.ravel(), minlength=3) / label.size)
    causes = ", ".join(f"{kind} {share:.0%}" for kind, share in kinds if share)
    return (
        f"{start}, {KINDS[choice.kind]}. While the shutter was open, pixels moved by {way.mean():.1f} px on average "
        f"({way.min():.1f} to {way.max():.1f} px). Cause of the blur: {causes} of all pixels. The blurred frame has "
        f"{metrics.psnr_db(seen.blurred, seen.truth.sharp):.2f} dB."
    )


# ------------------------------------------------------------------------------------------------- trained networks

QUICK, QUICK_SCALES = "attentive", ("smoke", "mini")
"""The network that is trained at once, and the scales at which this takes no longer than a minute or two."""


@dataclass(frozen=True)
class Trained:
    """A network that was trained, and its weights: released ones with their card, or those of a run."""

    label: str
    network: str
    scale: str
    steps: int
    weights: Path = field(repr=False)  # lists show what they offer, and no path belongs into a notebook


def trained() -> list[Trained]:
    """Every trained network at hand: released ones first, the default before all, then runs, the longest first."""
    cards = sorted(restoration.cards().items(), key=lambda item: not item[1].get("default", False))
    folder = paths.weights_dir()
    found = [of_card(folder / f"{name}.safetensors", card) for name, card in cards]
    stored = [of_run(place, content) for place, content in runs.stored().items()]
    return found + sorted(stored, key=lambda one: -one.steps)


def of_card(weights: Path, card: Mapping) -> Trained:
    """Released weights."""
    scale, steps = card.get("scale", "paper"), card.get("recipe", {}).get("steps", 0)
    origin = f"{scale}, {steps} steps" if steps else "published by its authors"
    return Trained(f"{weights.stem}: {card['network']}, {origin}, released", card["network"], scale, steps, weights)


def of_run(folder: Path, content: Mapping) -> Trained:
    """A run of the store, by the `recipe.json` in its folder."""
    paper, steps = content["paper"], content["recipe"]["steps"]
    variant, scale = named(content)
    name = paper if variant == "paper" else f"{paper} {variant}"
    label = f"{name}, {scale}, {steps} steps, seed {content['seed']}, run {folder.name[:4]}"
    return Trained(label, paper, scale, steps, folder / "model.safetensors")


def named(content: Mapping) -> tuple[str, str]:
    """The variant and the scale whose configuration, loss, crop and batch a run has; `other` if none has."""
    paper, settings = content["paper"], ("loss", "loss_args", "crop", "batch")
    for scale in recipes.SCALES:
        for variant in models.NETWORKS[paper][0].VARIANTS:
            recipe = recipes.recipe(paper, variant, scale)
            config = asdict(models.config(paper, variant, **recipe.config))
            part = runs.training_part(recipe)
            same = all(part.get(name) == content["recipe"].get(name) for name in settings)
            if same and json.loads(json.dumps(config)) == content["config"]:
                return variant, scale
    return "other", "other recipe"


def announced(found: Sequence[Trained]) -> str:
    """Which networks there are, as Markdown, or how to get one."""
    if not found:
        return (
            "**No trained network is here**, and an untrained one is never shown as if it were. Train one, "
            "`deblur train attentive` (minutes on a CPU), or put released weights with their card into "
            f"`{paths.weights_dir().name}/`; then run this cell again."
        )
    names = ", ".join(sorted({one.network for one in found}))
    released = sum(one.weights.parent == paths.weights_dir() for one in found)
    return f"{len(found)} trained: {released} released, {len(found) - released} from the run store ({names})."


def first(found: Sequence[Trained], scale: str, count: int = 2) -> tuple[Trained, ...]:
    """What to look at first: released networks, then the longest run of each network at this scale."""
    chosen = {one.label: one for one in found if one.weights.parent == paths.weights_dir()}
    names: dict[str, Trained] = {}
    for one in found:
        if one.scale == scale and one.label not in chosen:
            names.setdefault(one.network, one)
    return tuple([*chosen.values(), *names.values()][:count])


@lru_cache(maxsize=8)
def load(one: Trained) -> nn.Module:
    """The network with its weights, in evaluation mode.

    Raises:
        ValueError: weights that are not those of their card or their graph.
    """
    if not (one.weights.parent / "recipe.json").is_file():
        return restoration.load(one.weights)
    content = json.loads((one.weights.parent / "recipe.json").read_text(encoding="utf-8"))
    network = models.build(one.network, **restoration.tuples(content["config"]))
    store.load_weights(network, one.weights)
    return network.eval()


@lru_cache(maxsize=64)
def restored(one: Trained, choice: Choice) -> np.ndarray:
    """What a network makes of the blurred frame, (h,w,3) uint8."""
    return restoration.restore(expose(choice).blurred, load(one))


def side_by_side(choice: Choice, chosen: Iterable[Trained]) -> dict[str, np.ndarray]:
    """The blurred frame, each network's restoration by its label and, where it is known, the sharp frame."""
    seen = expose(choice)
    images = {"blurred": seen.blurred} | {one.label: restored(one, choice) for one in chosen}
    return images if seen.truth is None else images | {"sharp": seen.truth.sharp}


def scores(images: Mapping[str, np.ndarray], truth: Truth | None) -> pd.DataFrame:
    """PSNR of the pictures that `side_by_side` gave, and the gain over the blurred one, also by cause of the blur.

    Returns:
        One row a picture: `picture`, `psnr_db`, `gain_db` and `gain_db_KIND`; empty without a truth.
    """
    if truth is None:
        return pd.DataFrame(columns=["picture", "psnr_db", "gain_db"])
    masks = {f"gain_db_{kind}": truth.label == value for value, kind in enumerate(blur.KINDS)}
    masks = {"gain_db": None} | {name: mask for name, mask in masks.items() if mask.any()}
    rows = []
    for name in (name for name in images if name != "sharp"):
        before, after = (
            {key: metrics.psnr_db(image, truth.sharp, mask=mask) for key, mask in masks.items()}
            for image in (images["blurred"], images[name])
        )
        gains = {key: after[key] - before[key] for key in masks}
        rows.append({"picture": name, "psnr_db": after["gain_db"]} | gains)
    return pd.DataFrame(rows)


def to_try() -> str:
    """What is worth trying, as Markdown."""
    short, long = ("{:.0f} to {:.0f} px".format(*lengths) for lengths in (mini.PATH_PX, bench.TRAIN_PATH_PX))
    return (
        f"Things to try: a length beyond what a network was trained for ({short} with the bundled benchmark of `smoke` "
        f"and `mini`, {long} at `bench`); the same blur on a training and on a test scene; the rim of a moving object; "
        "the border of a picture whose paths were cut."
    )


# -------------------------------------------------------------------------------------------------------- a look inside


def _mean(values: Tensor, _: nn.Module) -> dict[str, Tensor]:
    return {"": values.abs().mean(0)}


def _reach(values: Tensor, convolution: Any) -> dict[str, Tensor]:
    return {"": torch.from_numpy(simplenet_figures.amplitude(values[: 2 * convolution.taps].cpu().numpy()))}


def _two(values: Tensor, _: nn.Module) -> dict[str, Tensor]:
    return {f" {channel}": values[channel] for channel in simplenet_figures.two_channels(values.cpu().numpy())}


def _each(values: Tensor, _: nn.Module) -> dict[str, Tensor]:
    return {f" {head}": value for head, value in enumerate(values, 1)}


PARTS: dict[type[nn.Module], tuple[str, str, Callable[[Tensor, nn.Module], dict[str, Tensor]]]] = {
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


def parts(network: nn.Module) -> dict[str, tuple[str, nn.Module]]:
    """What there is to see in a network: submodule -> what it shows, and the module that it belongs to."""
    found = {}
    for name, module in network.named_modules():
        if type(module) in PARTS:
            sort, inner, _ = PARTS[type(module)]
            found[name + inner] = (sort, module)
    return found


def parts_table(names: Iterable[str]) -> pd.DataFrame:
    """How many such parts networks of paper size have, one row a network."""
    rows = {}
    with torch.device("meta"):
        for name in names:
            rows[name] = pd.Series([sort for sort, _ in parts(models.build(name)).values()], dtype=str).value_counts()
    sorts = dict.fromkeys(sort for sort, *_ in PARTS.values())
    return pd.DataFrame(rows).T.reindex(columns=list(sorts)).fillna(0).astype(int)


def inside(network: nn.Module, blurred: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """What a network sees in an image (H,W,3) uint8: sort -> place in the network -> map (h,w), finest pass.

    Besides the `PARTS` that it has, "influence": how much the middle pixel of the result depends on those around it,
    as the logarithm to base 10 of its share of the largest.
    """
    image = as_tensor(blurred)[None].to(next(network.parameters()).device)
    known = parts(network)
    caught = probes.capture(network, image, list(known))
    maps: dict[str, dict[str, np.ndarray]] = {}
    for name, (sort, module) in known.items():
        for suffix, values in PARTS[type(module)][2](caught[name][-1][0], module).items():
            maps.setdefault(sort, {})[name + suffix] = values.cpu().numpy()
    rows, columns = (slice(max(side - MIDDLE, 0) // 2, (side + MIDDLE) // 2) for side in blurred.shape[:2])
    share = probes.influence(network, image[..., rows, columns]).cpu().numpy()
    influence = np.full(blurred.shape[:2], FAINTEST)
    influence[rows, columns] = np.log10(np.maximum(share / share.max(), 10**FAINTEST))
    maps["influence"] = {"on the middle pixel": influence}
    return maps


@lru_cache(maxsize=16)
def looked_into(one: Trained | None, choice: Choice) -> dict[str, dict[str, np.ndarray]]:
    """What a network sees in the blurred frame, see `inside`; nothing without a network."""
    return {} if one is None else inside(load(one), expose(choice).blurred)


def goes_with(maps: Mapping[str, Mapping[str, np.ndarray]], seen: Exposed) -> pd.DataFrame:
    """What the maps of `inside` go with: correlations over the frame with edges, with harm done and with the true way.

    Returns:
        One row a map but for the influence: `place`, `min`, `max`, `r_edges`, and where the truth is known `r_residual`
        (with |blurred - sharp|) and `r_path`; empty for a network without such maps.
    """
    frame = {place: values for sort, found in maps.items() if sort != "influence" for place, values in found.items()}
    sharp, way = (
        (seen.blurred, np.zeros(seen.blurred.shape[:2]))
        if seen.truth is None
        else (seen.truth.sharp, seen.truth.path_px)
    )
    names = ["block", "min", "max", "r_edges", "r_residual", "r_path"]
    table = pd.DataFrame(attentive_figures.attention_statistics(frame, seen.blurred, sharp, way), columns=names)
    return table.rename(columns={"block": "place"}).dropna(axis=1, how="all")


# ---------------------------------------------------------------------------------------------------------- figures


def truth_figure(seen: Exposed) -> Figure:
    """The blurred frame and the truth about it."""
    known = seen.truth
    if known is None:
        return panels([[seen.blurred]], ["really blurred: its true motion is unknown"], width=6)
    return draw.truth(seen.blurred, known.sharp, known.displacement, known.path_px, known.label, known.ways)


@dataclass(frozen=True)
class Loupe:
    """What is enlarged: around which place, as shares of width and height, and how many times."""

    x: float = 0.5
    y: float = 0.5
    times: float = 4.0


def worst(seen: Exposed) -> Loupe:
    """Where blur does most harm; the middle if that is unknown."""
    if seen.truth is None:
        return Loupe()
    y, x = sharpest_difference(seen.blurred, seen.truth.sharp)
    height, width = seen.blurred.shape[:2]
    return Loupe(round(float(x) / width, 2), round(float(y) / height, 2))


def window(shape: Sequence[int], loupe: Loupe) -> tuple[slice, slice]:
    """Rows and columns that a loupe shows of an image of this shape; it stays inside."""

    def part(side: int, middle: float) -> slice:
        length = max(round(side / loupe.times), 1)
        start = min(max(round(middle * side - length / 2), 0), side - length)
        return slice(start, start + length)

    return part(shape[0], loupe.y), part(shape[1], loupe.x)


def loupe_figure(images: Mapping[str, np.ndarray], loupe: Loupe) -> Figure:
    """Pictures that `side_by_side` gave, whole and under the loupe; PSNR is that of whole frames."""
    sharp = images.get("sharp")
    psnr = {} if sharp is None else {name: metrics.psnr_db(image, sharp) for name, image in images.items()}
    labels = {name: f"{value:.2f} dB" for name, value in psnr.items() if name != "sharp"}
    return draw.loupe(images, window(images["blurred"].shape, loupe), labels)


def inside_figure(maps: Mapping[str, Mapping[str, np.ndarray]], seen: Exposed) -> Figure:
    """Maps of `inside` below the blurred frame and, where it is known, its true way and the cause of its blur."""
    known = {"blurred": seen.blurred}
    if seen.truth is not None:
        way, cause = heat(seen.truth.path_px), raidnet_figures.coloured(seen.truth.label)
        known |= {"true way (red: long)": way, "cause": cause}
    return draw.inside(known, maps)


def shown(figure: Figure, alt: str) -> Image:
    """A figure for a cell's output: a JPEG on white, so that notebooks stay small and dark themes legible."""
    from matplotlib import pyplot

    stream = io.BytesIO()
    figure.savefig(stream, format="jpeg", dpi=100, facecolor="white", bbox_inches="tight", pil_kwargs={"quality": 85})
    pyplot.close(figure)
    return Image(data=stream.getvalue(), format="jpeg", alt=alt)


# ---------------------------------------------------------------------------------------------------------- widgets

Controls = Mapping[str, widgets.Widget]
"""Field of a state -> the widget that holds its value."""


def blur_controls(start: Choice) -> dict[str, widgets.Widget]:
    """Widgets that hold a `Choice`; the file, where one is given, goes before the bundled photograph."""
    wide = widgets.Layout(width="28em")
    scenes = [(f"{name} ({where})", name) for name, where in photographs().items()]
    return {
        "photograph": widgets.Dropdown(options=scenes, value=start.photograph, description="photograph", layout=wide),
        "file": widgets.Text(
            placeholder="path of your own instead", description="or file", continuous_update=False, layout=wide
        ),
        "kind": widgets.Dropdown(
            options=[(v, k) for k, v in KINDS.items()], value=start.kind, description="blur", layout=wide
        ),
        "length_px": widgets.FloatSlider(
            start.length_px, min=1, max=24, step=0.5, description="length, px", continuous_update=False
        ),
        "seed": widgets.BoundedIntText(start.seed, min=0, max=2**31 - 1, description="seed"),
    }


def chosen(controls: Controls) -> Choice:
    """The state of `blur_controls`."""
    values = {name: control.value for name, control in controls.items()}
    file = values.pop("file").strip()
    return Choice(**values | ({"photograph": file} if file else {}))


def loupe_controls(start: Loupe) -> dict[str, widgets.Widget]:
    """Sliders that hold a `Loupe`."""
    ranges = {"x": (0, 1, 0.01), "y": (0, 1, 0.01), "times": (1, 16, 0.5)}
    return {
        name: widgets.FloatSlider(
            getattr(start, name), min=low, max=high, step=step, description=name, continuous_update=False
        )
        for name, (low, high, step) in ranges.items()
    }


def loupe_of(controls: Controls) -> Loupe:
    """The state of `loupe_controls`."""
    return Loupe(**{name: control.value for name, control in controls.items()})


def network_menu(found: Sequence[Trained], chosen: Sequence[Trained]) -> widgets.SelectMultiple:
    """A list of trained networks, of which several may be chosen."""
    options = [(one.label, one) for one in found]
    wide = widgets.Layout(width="36em")
    return widgets.SelectMultiple(options=options, value=chosen, rows=min(max(len(found), 2), 8), layout=wide)


def network_choice(found: Sequence[Trained], chosen: Sequence[Trained]) -> widgets.Dropdown:
    """A list of trained networks, of which one may be chosen, or none if there is none."""
    options: list[tuple[str, Trained | None]] = [(one.label, one) for one in found]
    options = options or [("no trained network", None)]
    return widgets.Dropdown(options=options, value=(*chosen, *found, None)[0], layout=widgets.Layout(width="36em"))


def column(controls: Controls) -> widgets.VBox:
    """Controls one below the other."""
    return widgets.VBox(list(controls.values()))


def live(make: Callable[[], object], controls: Iterable[widgets.Widget]) -> None:
    """Show what `make` gives, and in its place what it gives whenever a control changes.

    Without a browser it is shown once. A choice that cannot be shown, such as a file that is not there, is answered
    with what is wrong.
    """
    handle = display(make(), display_id=True)

    def again(_: object) -> None:
        try:
            handle.update(make())
        except (ValueError, OSError) as error:
            handle.update(Markdown(f"**{error}**"))

    for control in controls:
        control.observe(again, names="value")
