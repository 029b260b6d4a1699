"""The wheel in an empty environment, used from a folder that is no repository.

    python tests/walk.py build/dist/*.whl

Installs it with its notebooks as requirements.lock pins them, and calls its commands one after the other; ends with
status 1 where one does not do what it should. Needs the network, uv beside this Python, and two minutes.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from stand import snapshot

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
UV = Path(sys.executable).with_name("uv")
PICTURE = """
import numpy as np
from PIL import Image

Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)).save("blurred.png")
"""
STEPS = (  # command, exit status, what it says, what it makes
    ("deblur --help", 0, "Five motion-deblurring papers", ""),
    ("deblur weights list", 0, "sgenet", ""),
    ("deblur status", 0, "| released network |", ""),
    ("deblur restore blurred.png -o sharp.png", 0, "", "sharp.png"),
    ("deblur reproduce radn --scale smoke", 0, "radn.ipynb", "results/smoke/radn/radn.ipynb"),
    ("deblur status", 0, "| radn | smoke |", ""),
    ("deblur status --write", 2, "only in a checkout", ""),
)


def main(wheel: Path) -> None:
    with TemporaryDirectory(prefix="deblur-walk-") as scratch:
        root = Path(scratch)
        environment, folder = root / "environment", root / "folder"
        folder.mkdir()
        timed(install, wheel.resolve(), environment)
        around = surroundings(environment, root / "home")
        subprocess.run([environment / "bin" / "python", "-c", PICTURE], cwd=folder, check=True)
        (package,) = environment.glob("lib/*/site-packages/deblur")
        before = sources(package)
        for step in STEPS:
            timed(walk, step, folder, around)
        expect(sources(package) == before, "something was written into the installed package")
        expect(
            {path.name for path in folder.iterdir()} == {"blurred.png", "sharp.png", "results"}, "more was written here"
        )
        expect(any((root / "home").rglob("deblur-papers/runs/radn")), "the trainings are not in the user's data folder")


def install(wheel: Path, environment: Path) -> str:
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    command = [UV, "pip", "install", "--quiet", "--python", environment, "-c", LOCK, f"{wheel}[notebooks]"]
    subprocess.run(command, check=True)
    return f"{wheel.name} installed"


def surroundings(environment: Path, home: Path) -> dict[str, str]:
    """Variables of a user who has just come."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("DEBLUR_", "XDG_", "PYTHON", "VIRTUAL_ENV"))}
    return known | {"HOME": str(home), "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def sources(package: Path) -> dict:
    return {name: state for name, state in snapshot(package).items() if "__pycache__" not in name}


def walk(step: tuple[str, int, str, str], folder: Path, around: dict[str, str]) -> str:
    command, status, words, made = step
    done = subprocess.run(command.split(), cwd=folder, env=around, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    expect(done.returncode == status, f"{command}: status {done.returncode}, expected {status}\n{said}")
    expect(words in said, f"{command}: does not say {words!r}\n{said}")
    expect((folder / made).exists(), f"{command}: {made} is not there")
    return command


def timed(work, *arguments) -> None:
    started = time.perf_counter()
    print(f"{work(*arguments)}: {time.perf_counter() - started:.0f} s", flush=True)


def expect(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
