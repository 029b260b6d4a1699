"""Five motion-deblurring papers, reproduced: networks, data, protocols, and printed beside measured."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur.restoration import restore as restore

__version__ = "0.1.0"

# Threads of GNU OpenMP wait for each other in a loop of 300,000 turns before they sleep. Where a machine has other work
# to do, each wait then lasts as long as the scheduler's slices: beside three trainings on two cores the benchmark of
# scale bench took over 10 minutes, with 10,000 turns 1.4; where nothing else runs, both are equally fast. The library
# reads this once, when torch loads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _check_torchvision() -> None:
    """Fail early, and plainly, when torch and torchvision are builds that do not belong together."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"torch and torchvision do not match ({error}). Install the pair pinned in requirements.lock: "
            "'uv pip install -r requirements.lock' (plain pip may pick a CPU build of torch that the "
            "registry's torchvision cannot load), or run 'make setup'."
        ) from error


_check_torchvision()


def __getattr__(name: str) -> Any:
    """`deblur.restore`, loaded when it is asked for."""
    if name == "restore":
        from deblur.restoration import restore

        return restore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
