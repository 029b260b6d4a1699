"""Whether torch and torchvision are builds that belong together, as far as that is told without loading them."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

REMEDY = (
    "Install the pair pinned in requirements.lock: 'uv pip install -r requirements.lock' (plain pip may pick a CPU "
    "build of torch that the registry's torchvision cannot load), or run 'make setup'."
)


class MismatchError(ImportError):
    """torch and torchvision do not belong together."""

    def __init__(self, reason: object):
        super().__init__(f"torch and torchvision do not match ({reason}). {REMEDY}")


def check() -> None:
    """Compare the release of torch that torchvision was built for, and both builds' platforms, with what is installed.

    Where one of them has no metadata or is of no known form, nothing is told: `vision` finds out when it loads them.

    Raises:
        MismatchError: they certainly do not match.
    """
    try:
        torch, vision = distribution("torch"), distribution("torchvision")
    except PackageNotFoundError:
        return
    names = f"torch {torch.version}, torchvision {vision.version}"
    needed = next((match[1] for line in vision.requires or () if (match := _PINNED.match(line))), "")
    if needed and _release(needed) != _release(torch.version):
        raise MismatchError(f"{names}, which needs torch {needed}")
    built = [_platform(torch, "torch"), _platform(vision, "torchvision")]
    if all(built) and built[0] != built[1]:
        raise MismatchError(f"{names}, built for {built[0]} and for {built[1]}")


_PINNED = re.compile(r"torch\s*\(?\s*==\s*([\w.!+-]+)(?!.*\bextra\b)")


def _release(version: str) -> str:
    """A version without the label of its build."""
    return version.partition("+")[0]


def _platform(package: Distribution, folder: str) -> str:
    """`cpu`, `cu130`, ...; empty where the package does not say. A registry's metadata leave it out of the version."""
    try:
        text = Path(str(package.locate_file(f"{folder}/version.py"))).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    match = re.search(r"^__version__\s*=\s*['\"][^'\"+]*\+(cpu|cu\d+|rocm[\d.]+|xpu)['\"]", text, re.MULTILINE)
    return match[1] if match else ""
