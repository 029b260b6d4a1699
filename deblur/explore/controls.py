"""Figures and widgets."""

import io
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import ipywidgets as widgets
import numpy as np
from IPython.display import HTML, DisplayHandle, Image, Markdown, display
from matplotlib.figure import Figure

from deblur.evaluation import metrics
from deblur.explore.blurs import KINDS, Choice, Exposed, photographs
from deblur.explore.networks import Trained
from deblur.explore.slider import CSS, address, slider
from deblur.figures import PAPER, heat, panels, sharpest_difference
from deblur.figures import explore as draw
from deblur.figures import raidnet as raidnet_figures


def truth_figure(seen: Exposed) -> Figure:
    """The blurred frame and the truth about it."""
    truth = seen.truth
    if truth is None:
        return panels([[seen.blurred]], ["really blurred: its true motion is unknown"], width=6)
    return draw.truth(seen.blurred, truth.sharp, truth.displacement, truth.path_px, truth.label, truth.trajectories)


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
    """Pictures that `restorations` gave, whole and under the loupe; PSNR is that of whole frames."""
    sharp = images.get("sharp")
    psnr = {} if sharp is None else {name: metrics.psnr_db(image, sharp) for name, image in images.items()}
    labels = {name: f"{value:.2f} dB" for name, value in psnr.items() if name != "sharp"}
    return draw.loupe(images, window(images["blurred"].shape, loupe), labels)


def slider_controls() -> dict[str, widgets.Widget]:
    """What stands left of a slider's line, and whether all of it is shown or what the loupe shows."""
    left = [("the blurred picture", "blurred"), ("the sharp picture", "sharp")]
    return {
        "left": widgets.Dropdown(options=left, description="left of line", layout=widgets.Layout(width="28em")),
        "enlarged": widgets.Checkbox(description="only what the loupe shows"),
    }


def compared(images: Mapping[str, np.ndarray], left: str, loupe: Loupe | None = None) -> HTML | Markdown:
    """A slider over what the first network made, of pictures that `restorations` gave.

    Args:
        left: `blurred` or `sharp`, what the restoration is compared with.
        loupe: shows that window only.
    """
    restored = next((name for name in images if name not in ("blurred", "sharp")), None)
    if restored is None:
        return Markdown("Choose a network.")
    if left not in images:
        return Markdown("The picture is really blurred: nobody has the sharp one.")
    part = (...,) if loupe is None else window(images["blurred"].shape, loupe)
    before, after = (address(images[name][part]) for name in (left, restored))
    caption = f"Left of the line: {left}. Right of it: restored by {restored}. Drag the line, or use the arrow keys."
    return HTML(f"<style>{CSS}</style>{slider(before, after, caption)}")


def inside_figure(maps: Mapping[str, Mapping[str, np.ndarray]], seen: Exposed) -> Figure:
    """Maps of `inside` below the blurred frame and, where it is known, its true path and the cause of its blur."""
    images = {"blurred": seen.blurred}
    if seen.truth is not None:
        length, cause = heat(seen.truth.path_px.round(3)), raidnet_figures.coloured(seen.truth.label)
        images |= {"true path (bright: long)": length, "cause": cause}
    return draw.inside(images, maps)


def shown(figure: Figure, alt: str) -> Image:
    """A figure for a cell's output: a JPEG, so that notebooks stay small, on a ground that both themes bear."""
    from matplotlib import pyplot

    stream = io.BytesIO()
    figure.savefig(stream, format="jpeg", dpi=100, facecolor=PAPER, bbox_inches="tight", pil_kwargs={"quality": 85})
    pyplot.close(figure)
    return Image(data=stream.getvalue(), format="jpeg", alt=alt)


Controls = Mapping[str, widgets.Widget]
"""Field of a state -> the widget that holds its value."""


def blur_controls(start: Choice) -> dict[str, widgets.Widget]:
    """Widgets that hold a `Choice`; the file, where one is given, goes before the bundled photograph."""
    wide = widgets.Layout(width="28em")
    scenes = [(f"{name} ({where})", name) for name, where in photographs().items()]
    controls = {
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

    def own(change: Mapping) -> None:
        """A picture of one's own is shown as it is, until a blur is asked for."""
        controls["kind"].value = "none" if change["new"].strip() else start.kind

    controls["file"].observe(own, names="value")
    return controls


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
    options = [(network.label, network) for network in found]
    wide = widgets.Layout(width="36em")
    return widgets.SelectMultiple(options=options, value=chosen, rows=min(max(len(found), 2), 8), layout=wide)


def network_choice(found: Sequence[Trained], chosen: Sequence[Trained]) -> widgets.Dropdown:
    """A list of trained networks, of which one may be chosen, or none if there is none."""
    options: list[tuple[str, Trained | None]] = [(network.label, network) for network in found]
    options = options or [("no trained network", None)]
    return widgets.Dropdown(options=options, value=(*chosen, *found, None)[0], layout=widgets.Layout(width="36em"))


def column(controls: Controls) -> widgets.VBox:
    """Controls one below the other."""
    return widgets.VBox(list(controls.values()))


def upload(controls: Controls) -> widgets.FileUpload:
    """A button that takes a picture of one's own to `blur_controls`, without painting blur over it."""
    button = widgets.FileUpload(accept="image/*", multiple=False, description="or upload")
    folder = TemporaryDirectory(prefix="deblur-upload-")

    def take(_: object) -> None:
        for file in button.value:
            path = Path(folder.name) / Path(file["name"]).name
            path.write_bytes(file["content"])
            controls["file"].value = str(path)

    button.observe(take, names="value")
    weakref.finalize(button, folder.cleanup)
    return button


@dataclass(frozen=True, eq=False)
class Panel:
    """What `make` gives, in a place of the page, and the controls that it follows."""

    make: Callable[[], object]
    controls: tuple[widgets.Widget, ...]
    place: DisplayHandle


class Stage:
    """Panels that are drawn again when a control changes.

    All that follow it are marked as busy first, so that none shows what is no longer chosen. A choice that cannot be
    shown, such as a file that is not there, is answered once with what is wrong.
    """

    def __init__(self) -> None:
        self.panels: list[Panel] = []

    def live(self, make: Callable[[], object], controls: Iterable[widgets.Widget]) -> None:
        """Show what `make` gives, here, and again whenever a control changes; without a browser once."""
        panel = Panel(make, tuple(controls), display(make(), display_id=True))
        watched = {control for other in self.panels for control in other.controls}
        self.panels.append(panel)
        for control in panel.controls:
            if control not in watched:
                control.observe(self._again, names="value")

    def _again(self, change: Mapping) -> None:
        due = [panel for panel in self.panels if change["owner"] in panel.controls]
        for panel in due:
            panel.place.update(BUSY)
        said: set[str] = set()
        for panel in due:
            try:
                shown = panel.make()
            except (ValueError, OSError) as error:
                shown = Markdown("" if str(error) in said else f"**{error}**")
                said.add(str(error))
            panel.place.update(shown)


BUSY = Markdown("*drawing ...*")
