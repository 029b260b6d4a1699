"""The command `deblur` (also `python -m deblur.cli`): what the notebooks do, without notebooks.

Commands import what they need, and only then: help, and lists of what is there, load no torch.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from deblur import __version__
from deblur.builds import MismatchError
from deblur.cli import data, looking, machine, options, reproduction, restoring, scoring, studying, training, weights
from deblur.errors import UsageError

__all__ = ["main", "parser"]

GROUPS = (restoring, data, training, scoring, looking, weights, studying, reproduction, machine)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    made = options.Parser(prog="deblur", description="Five motion-deblurring papers, reproduced.")
    made.add_argument("--version", action="version", version=f"deblur {__version__}")
    commands = made.add_subparsers(metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command, without one show the help; errors end with a message, not with a traceback.

    Returns:
        0, 1 where work failed, 2 for wrong use (from argparse by `SystemExit`), 130 after Ctrl-C.
    """
    top_parser = parser()
    given = top_parser.parse_args(arguments)
    if "run" not in given:
        top_parser.print_help()
        return 0
    try:
        status = given.run(given) or 0
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stopped:
        command = shlex.join(["deblur", *(sys.argv[1:] if arguments is None else arguments)])
        print(f"deblur: stopped{f': {stopped}' if str(stopped) else ''}\ndeblur: to go on: {command}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, MemoryError, RuntimeError, MismatchError) as error:
        words = _words(error)
        if not words:
            raise
        print(f"deblur: {words}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def _words(error: Exception) -> str:
    """What is said of an error; nothing of those that only a fault of this program explains."""
    if isinstance(error, ValueError | OSError | MismatchError):
        return str(error)
    from concurrent.futures.process import BrokenProcessPool

    import torch

    from deblur.training import DivergedError

    reason = str(error).strip().partition("\n")[0]
    if isinstance(error, BrokenProcessPool):
        return f"a worker process was killed, as systems do where memory ends ({reason}); close other programs"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in reason:
        return (
            f"too little memory ({reason or 'no word how much'}); close other programs or take a smaller batch or image"
        )
    return str(error) if isinstance(error, DivergedError) else ""
