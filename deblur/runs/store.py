"""Files of trainings, each known by its hash, so that nothing lost, damaged or foreign passes for a result.

A folder's `manifest.json` lists what was written into it. A file's new hash is listed before the file takes its place
and the old one is dropped after: whenever a process is killed, what is there is listed. The manifest seals itself.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from lightning_fabric import Fabric
from torch import nn

from deblur import paths, writing
from deblur.sealed import DamageError, seal, unsealed
from deblur.weights.tensors import save_weights

MANIFEST = "manifest.json"


State = Literal["whole", "lost", "damaged"]


@dataclass(frozen=True)
class Folder:
    """The folder of one run.

    Attributes:
        path: where it is, or will be.
        key: what it is for; a folder that was written for another key is not believed.
    """

    path: Path
    key: str

    def hashes(self) -> dict[str, list[str]]:
        """Name -> the SHA-256 that a file may have: one, or the old and the new one while it is replaced.

        Raises:
            DamageError: a manifest that is damaged, missing beside files, or another run's.
        """
        manifest = self.path / MANIFEST
        if not manifest.exists():
            present = [path.name for path in self.visible() if path.name != "lock"]
            if present:
                names = ", ".join(sorted(present))
                raise DamageError(f"{manifest}: missing, so {names} cannot be trusted; {self.remedy}")
            return {}
        try:
            content = unsealed(manifest)
            key, files = content["key"], content["files"]
        except (DamageError, TypeError, KeyError):
            raise DamageError(f"{manifest}: damaged, so nothing beside it can be trusted; {self.remedy}") from None
        if key != self.key:
            raise DamageError(f"{manifest}: of another training ({key}); {self.remedy}")
        return files

    @property
    def remedy(self) -> str:
        """What a person may do about a folder that cannot be trusted."""
        return f"move {self.path} away, and the next call trains again"

    def visible(self) -> list[Path]:
        """What is in the folder, drafts and locks' seconds aside."""
        return [path for path in self.path.glob("[!.]*") if path.suffix != ".held"] if self.path.is_dir() else []

    def state(self, name: str) -> State:
        """Whether a file is as it was written."""
        path = self.path / name
        if not path.exists():
            return "lost"
        return "whole" if path.is_file() and paths.file_sha256(path) in self.hashes().get(name, ()) else "damaged"

    def is_whole(self, *names: str) -> bool:
        """Whether files are there as they were written; not in a folder that cannot be trusted."""
        try:
            return all(self.state(name) == "whole" for name in names)
        except DamageError:
            return False

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A draft that takes the place of the file `name`, and is listed, when the block ends well."""
        self.path.mkdir(parents=True, exist_ok=True)
        listed = self.hashes()
        with writing.replacing(self.path / name) as draft:
            yield draft
            new = paths.file_sha256(draft)
            self._list(listed | {name: [*listed.get(name, ()), new]})
        self._list(listed | {name: [new]})

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        with self.writing(name) as draft:
            draft.write_text(text, encoding="utf-8")

    def write_json(self, name: str, content: Any) -> None:
        """Write plain JSON values."""
        self.write_text(name, json.dumps(content, indent=1))

    def write_weights(self, network: nn.Module) -> None:
        """Write a network's weights, `model.safetensors`."""
        with self.writing("model.safetensors") as draft:
            save_weights(network, draft)

    def _list(self, files: dict[str, list[str]]) -> None:
        writing.write_text(self.path / MANIFEST, seal({"key": self.key, "files": files}))


@dataclass
class Checkpoints:
    """What a training leaves in its folder, a `training.Keeper`: `state.pt`, `log.csv` and, at last, the weights.

    Attributes:
        first: the step, counted from 0, that this call began with.
        step: how many steps are kept.
        seconds: device -> how long they took on it.
    """

    folder: Folder
    first: int = 0
    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def resume(self, fabric: Fabric, state: dict) -> None:
        """Take the state up where an earlier call left it, if there was one.

        Raises:
            DamageError: a state that is not as it was written.
        """
        path = self.folder.path / "state.pt"
        condition = self.folder.state("state.pt")
        if condition == "damaged":
            raise DamageError(f"{path}: not as it was written; remove it to begin this training anew")
        if condition == "whole":
            fabric.load(path, state)
            self.first, self.step, self.seconds = state["step"], state["step"], state["seconds"]

    def keep(self, fabric: Fabric, state: dict) -> None:
        """Write the state and the log; only the first process writes, and the log never runs ahead of the state."""
        # All processes must call `fabric.save`, which ends with a barrier of its own.
        first = self.folder.writing("state.pt") if fabric.is_global_zero else nullcontext(Path("nowhere"))
        with first as draft:
            fabric.save(draft, state)
        if fabric.is_global_zero:
            self._write_log(state)
        self.step, self.seconds = state["step"], state["seconds"]
        fabric.barrier()

    def finish(self, fabric: Fabric, state: dict, trained: nn.Module) -> None:
        """Write the weights of a training whose last step is done, and kept."""
        if fabric.is_global_zero:
            self._write_log(state)  # again: a kill may have come between the last state and its log
            self.folder.write_weights(trained)
        fabric.barrier()

    def _write_log(self, state: dict) -> None:
        self.folder.write_text("log.csv", pd.DataFrame(state["log"]).to_csv(index=False))


@dataclass
class Snapshots(Checkpoints):
    """Checkpoints that also keep the averaged weights of some steps, `weights-STEP.safetensors`, and of the best one on
    validation so far, `weights-best.safetensors`; the log says which step that is, the first of its equals.

    Attributes:
        steps: that are kept.
    """

    steps: tuple[int, ...] = ()

    def keep(self, fabric: Fabric, state: dict) -> None:
        """As `Checkpoints.keep`. Weights come first: a state never stands without those that it has passed."""
        if fabric.is_global_zero:
            scores = [row["val_psnr_db"] for row in state["log"] if "val_psnr_db" in row]
            names = ["best"] if scores and scores[-1] > max(scores[:-1], default=-math.inf) else []
            for name in names + [str(step) for step in self.steps if step == state["step"]]:
                with self.folder.writing(snapshot(name)) as draft:
                    save_weights(state["average"].module, draft)
        super().keep(fabric, state)


def snapshot(name: str | int) -> str:
    """The file of weights that were kept: of a step, or the `best`."""
    return f"weights-{name}.safetensors"


def stored_table(folder: Path, key: str) -> pd.DataFrame | None:
    """A table that `store_table` wrote, if it is there as it was written."""
    for path in folder.glob(f"{key}-*.csv"):
        if path.stem == f"{key}-{paths.file_sha256(path)[:16]}":
            return pd.read_csv(path)
    return None


def store_table(folder: Path, key: str, table: pd.DataFrame) -> None:
    """Write a table under a name that says what it is, and what is in it."""
    text = table.to_csv(index=False)
    writing.write_text(folder / f"{key}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.csv", text)
