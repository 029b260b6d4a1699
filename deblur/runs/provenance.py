"""Where a result comes from; what is not known is None, never a guess."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from joblib import cpu_count

from deblur import paths

COMMITTED = ("deblur", "notebooks", "pyproject.toml", "requirements.lock")
"""What must be committed for a result to count as made from a commit."""

PACKAGES = ("torch", "torchvision", "lightning-fabric", "numpy", "opencv-python-headless", "scikit-image")


def provenance() -> dict:
    """Commit, dirty flag, package and Python versions, processor, cores and threads of this process.

    `commit` and `dirty` are None unless this package runs from a checkout of its own, that Git tells about.
    """
    return _lasting() | {"threads": torch.get_num_threads()}


@cache
def _lasting() -> dict:
    commit, dirty = commit_of(paths.PACKAGE.parent)
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": cpu_count(),
    }


def commit_of(root: Path) -> tuple[str | None, bool | None]:
    """The commit that a folder is a checkout of, and whether it differs from it in what counts (`COMMITTED`).

    None where Git is missing, refuses (another owner), or where the folder merely lies in somebody's repository.
    """
    commit = git(root, "rev-parse", "HEAD")
    tracked = git(root, "ls-files", "--error-unmatch", f"{__name__.replace('.', '/')}.py")
    top = git(root, "rev-parse", "--show-toplevel")
    if not commit or not tracked or not top or not Path(top).samefile(root):
        return None, None
    changes = git(root, "status", "--porcelain", "--", *COMMITTED)
    return commit, None if changes is None else bool(changes)


def git(root: Path, *arguments: str) -> str | None:
    """What Git prints, None if it fails; variables that point it at another repository do not count."""
    around = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", *arguments], cwd=root, env=around, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    """None where a package came with another: pytorch-lightning brings `lightning_fabric`, too."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str | None:
    """The processor's name, None where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
