"""Five motion-deblurring papers, reproduced: networks, data, protocols, and printed beside measured."""

import os
from typing import TYPE_CHECKING, Any

from deblur import builds

if TYPE_CHECKING:
    from deblur.photos.restoration import restore as restore

__version__ = "0.1.0"

# Threads of GNU OpenMP wait for each other in a loop of 300,000 turns before they sleep. Where a machine has other work
# to do, each wait then lasts as long as the scheduler's slices: beside three trainings on two cores the benchmark of
# scale bench took over 10 minutes, with 10,000 turns 1.4; where nothing else runs, both are equally fast. The library
# reads this once, when torch loads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

builds.check()


def __getattr__(name: str) -> Any:
    """`deblur.restore`, loaded when it is asked for: this file itself loads neither torch nor torchvision."""
    if name == "restore":
        from deblur.photos.restoration import restore

        return restore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
