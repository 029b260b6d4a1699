"""Values in files that show whether they were changed since."""

import hashlib
import json
from pathlib import Path
from typing import Any

from deblur import paths


class DamageError(ValueError):
    """A file that is not as it was written; the message names it, and the remedy."""


def seal(content: Any) -> str:
    """Plain JSON values as text, with the hash of what they are."""
    return json.dumps({"sha256": _digest(content), "content": content}, indent=1) + "\n"


def unsealed(path: Path) -> Any:
    """The values of a file that `seal` gave.

    Raises:
        DamageError: for any other content.
        OSError: what cannot be read.
    """
    try:
        envelope = json.loads(paths.read_bytes(path).decode("utf-8"))
        if _digest(envelope["content"]) == envelope["sha256"]:
            return envelope["content"]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise DamageError(f"{path}: damaged, or not written by this package")


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
