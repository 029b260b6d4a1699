"""The ladder: tasks from the plainest motion blur upwards, on which networks deblur rather than sharpen.

The camera shifts evenly: by one length along one of two axes, then in any direction, then by any length. Which of these
an image shows is not told, so that no fixed filter helps. All else is as at `bench`: its photographs and their frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deblur.data import bench, mini, study, trees
from deblur.data.synthesis import expose_in_bands

LENGTH_PX = 6.0
"""Of the paths on the first two rungs."""


def axes(rng: np.random.Generator, turn: float) -> bench.Shift:
    """Along x or y."""
    return _shift(LENGTH_PX, np.pi / 2 * int(2 * turn))


def directions(rng: np.random.Generator, turn: float) -> bench.Shift:
    """In any direction."""
    return _shift(LENGTH_PX, np.pi * turn)


def lengths(rng: np.random.Generator, turn: float) -> bench.Shift:
    """In any direction, as long as paths are at `bench`."""
    return _shift(rng.uniform(*bench.PATH_PX), np.pi * turn)


def _shift(length_px: float, angle: float) -> bench.Shift:
    return bench.Shift(bench.shift(length_px, angle, 2 * int(length_px / 2) + 3))


RUNGS: dict[str, Callable[[np.random.Generator, float], bench.Shift]] = {
    "axes": axes,
    "directions": directions,
    "lengths": lengths,
}
"""Name -> a random motion; a number in [0,1) decides its direction."""


@dataclass(frozen=True)
class Photographs(bench.Photographs):
    """Training crops of photographs, exposed with the motion of one rung."""

    rung: str = "axes"

    def shot(self, rng: np.random.Generator, size: int, edge: float, progress: float = 1.0) -> bench.Shot:
        """What to expose for a crop; `progress` changes nothing."""
        drawn = super().shot(rng, size, edge)
        matrices = bench.homographies(RUNGS[self.rung](rng, rng.random()).poses).float()
        return replace(drawn, matrices=matrices, blob=None, object_path=None, cut=False)


PAIRS = {"validation": 4, "test": 2}
"""Of each scene, whose directions are spread: the validation scenes of `bench`, on which the step to score is chosen,
and the photographs of the study exam."""


def pictures(split: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and picture (H,W,3) uint8 of each scene of a split."""
    if split == "test":
        return study.photographs()
    return ((name, bench.native_scene(name)) for name in bench.SCENES[split])


def write(rung: str, root: Path) -> None:
    """Write the GoPro tree of a rung under `root/GOPRO_Large`, the true motion beside each pair."""
    setting = study.SCALES["bench"]
    for split, frames in PAIRS.items():
        for number, (name, picture) in enumerate(pictures(split), 1):
            scene = study.scene(picture, "bench")
            folder = root / "GOPRO_Large" / split / f"RUNG{number:02d}_{name}"
            for frame in range(frames):
                rng = np.random.default_rng([mini.SEED, list(PAIRS).index(split), number, frame])
                motion = RUNGS[rung](rng, (frame + rng.random()) / frames)
                exposure, blurred, linear = expose_in_bands(
                    scene, motion, study.place(rng, scene, setting), setting.size
                )
                stem = f"{frame + 1:06d}"
                trees.save_pair(folder, stem, exposure.sharp, blurred, linear)
                trees.save_truth(folder / "truth" / f"{stem}.npz", exposure, motion)


def write_axes(root: Path) -> None:
    """`write` of the first rung."""
    write("axes", root)


def write_directions(root: Path) -> None:
    """`write` of the second rung."""
    write("directions", root)


def write_lengths(root: Path) -> None:
    """`write` of the third rung."""
    write("lengths", root)


_COUNTS = {
    "validation": PAIRS["validation"] * len(bench.SCENES["validation"]),
    "test": PAIRS["test"] * study.PHOTOGRAPHS,
}
COPIES = {
    f"{rung}-gopro": trees.Copy("gopro", writer, _COUNTS, study.credited)
    for rung, writer in zip(RUNGS, (write_axes, write_directions, write_lengths), strict=True)
}
"""As `mini.COPIES`."""
