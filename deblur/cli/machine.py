"""`deblur doctor` and `deblur completion`: about this machine, and for its shell."""

import argparse
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

from deblur import __version__, paths
from deblur.cli.options import Commands

OPTIONAL = {
    "jupyterlab": ("notebooks", "notebooks"),
    "pi_heif": ("heif", "HEIC photos"),
    "shtab": ("completion", "completion in a shell"),
    "snakemake": ("cluster", "workflow/Snakefile"),
}
"""Module -> the extra of this package that brings it, and what it is for."""


def add(commands: Commands) -> None:
    doctor = commands.add_parser("doctor", help="ten lines about this machine, to paste into a report")
    doctor.set_defaults(run=_doctor)
    completion = commands.add_parser(
        "completion",
        help="the script by which a shell completes this command",
        description='Bash: put  eval "$(deblur completion bash)"  into ~/.bashrc. Zsh: put what '
        "'deblur completion zsh' prints into a file _deblur of a folder in $fpath.",
    )
    completion.add_argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh")
    completion.set_defaults(run=_completion)


def _doctor(given: argparse.Namespace) -> None:
    for title, text in report().items():
        print(f"{f'{title}:':<13}{text}")


def report() -> dict[str, str]:
    """What is here and, beside what is missing, how to get it: title -> a line. No name of a user, folder or host."""
    from deblur.runs.provenance import PACKAGES, provenance

    made = provenance()
    versions = (f"{name} {made['versions'][name] or 'missing'}" for name in PACKAGES)
    return {
        "deblur": f"{__version__}, {_origin(made['commit'], made['dirty'])}",
        "system": f"Python {made['python']}, {platform.system()} {platform.release()}, {made['machine']}",
        "packages": ", ".join(versions),
        "processor": f"{made['cpu'] or 'unknown'}, {made['cores']} cores, {made['threads']} threads in use",
        "GPU": _gpu(),
        "memory": _memory(),
        "networks": _networks(),
        "benchmarks": _benchmarks(),
        "photographs": _photographs(),
        "not here": _not_here(),
    }


def _origin(commit: str | None, dirty: bool | None) -> str:
    if not paths.is_checkout():
        return "installed"
    return f"checkout of {commit[:10]}{', changed' if dirty else ''}" if commit else "checkout of an unknown commit"


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return f"{names}, CUDA {torch.version.cuda}"
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    return f"none that torch, built for {built}, can use; restoring works without, trainings at paper scale do not"


def _memory() -> str:
    import torch

    from deblur import memory

    free = shutil.disk_usage(_nearest(paths.data_dir())).free
    usable = memory.usable_bytes(torch.device("cpu"))
    return f"{usable / 1e9:.1f} GB to plan with; {free / 1e9:.1f} GB free on the disk of the data"


def _nearest(folder: Path) -> Path:
    """The folder, or the first around it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())


def _networks() -> str:
    from deblur.weights import released

    at_hand = released.at_hand()
    if not at_hand:
        return "none; put released weights with their cards where DEBLUR_WEIGHTS says"
    more = (
        "" if any(card.network == "maxim" for card in at_hand.values()) else "; 'deblur weights fetch maxim' gets more"
    )
    return f"{', '.join(file.stem for file in at_hand)}{more}"


def _benchmarks() -> str:
    from deblur.data import bundled

    names = [name for name in bundled.COPIES if bundled.place(name).is_dir()]
    return ", ".join(names) or "none yet; made when first needed, or by 'deblur data bundled all'"


def _photographs() -> str:
    from deblur.data import debian

    wanted = [row.name for row in debian.listed() if row.split == "train"]
    count = sum((debian.home("train") / name).is_file() for name in wanted)
    remedy = "" if count == len(wanted) else "; 'deblur data photographs' fetches them, for trainings at bench"
    return f"{count} of {len(wanted)} to train on{remedy}"


def _not_here() -> str:
    extras = {extra: use for module, (extra, use) in OPTIONAL.items() if find_spec(module) is None}
    if not extras:
        return "nothing"
    uses = ", ".join(f"{use} [{extra}]" for extra, use in extras.items())
    return f'{uses}; pip install "{paths.DISTRIBUTION}[{",".join(extras)}]" -c requirements.lock'


def _completion(given: argparse.Namespace) -> None:
    print(script(given.shell))


def script(shell: str) -> str:
    """The completion of all commands, their options and the values that are a choice, for a shell.

    Raises:
        OSError: without the package that writes it.
    """
    try:
        import shtab
    except ImportError:
        raise OSError(f'shtab is missing; run: pip install "{paths.DISTRIBUTION}[completion]"') from None
    from deblur.cli import parser

    return shtab.complete(parser(), shell)
