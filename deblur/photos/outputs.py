"""The results of a command that writes many: none is an input, none is another's, see `paths` for what is there."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deblur import paths, writing


class Outputs:
    """The results of one call.

    Args:
        inputs: files that are never written to, by whatever name or link.
        overwrite: plain files at the very place of a result are replaced; folders and links never.
    """

    def __init__(self, inputs: Iterable[Path], overwrite: bool):
        self.inputs = {paths.identity(path) for path in inputs} - {None}
        self.overwrite = overwrite
        self.taken: dict[Path, Path] = {}
        self.written: set[tuple[int, int] | None] = set()

    def take(self, results: Sequence[Path], source: Path) -> None:
        """Claim the files that belong to one input, all of them or none.

        Raises:
            ValueError: another input's results.
            OSError: what is in the way, see `paths.check_file`.
        """
        for path in results:
            file_id = paths.identity(path)
            if self.taken.get(path, source) != source or (file_id and file_id in self.written):
                raise ValueError(f"{path} is already the result of another photograph; restore this one elsewhere")
            if file_id and file_id in self.inputs:
                raise ValueError(f"{path} is an input, and these are never overwritten; give another -o")
            writing.check_file(path, self.overwrite)
        self.taken.update(dict.fromkeys(results, source))

    def prepare(self, folder: Path) -> None:
        """Make a folder if need be, and make sure that it can be written into.

        Raises:
            OSError: it cannot.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass

    @contextmanager
    def writing(self, results: Sequence[Path]) -> Iterator[list[Path]]:
        """Drafts of files, see `paths.delivering`."""
        with ExitStack() as stack:
            yield [stack.enter_context(writing.delivering(path, self.overwrite)) for path in results]
        self.written |= {paths.identity(path) for path in results}


def nearest(path: Path) -> Path:
    """What is there of a path: itself, or the last of the folders that lead to it; a link that leads nowhere is."""
    while not os.path.lexists(path):
        path = path.parent
    return path
