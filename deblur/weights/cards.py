"""The card beside a file of weights: whose they are, how they were made, what they gain, what they cannot do.

Cards are JSON, written and read here and nowhere else, and neither needs torch.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card says; what it leaves out is None, and left out again when it is written, in the order below.

    Attributes:
        config: fields of the network's configuration; without them it is that of the paper.
        recipe: of the training: `steps`, `seed`, `key` and what else decided the weights; `pretrained` and
            `steps_before` if it started from weights.
        training: `training_seconds`, `device`, `commit`, `dirty`, `versions`, those before included.
        data: `trained_on`, `tested_on`, `fingerprint`.
        project, licence, source, source_sha256, imported, torch, not_vouched_for: of weights that others published.
        scores: means over the test pairs, by name: `psnr_db`, `gain_db`, `gain_db_KIND`, ...
        tile: how much the result depends on the tile of `restore`, and which is taken: see `photos.dependence`.
        parts: of the network's design, by name: what is known of them when they are taken out, `change_db` (the change
            in PSNR) and `verdict`, see `evaluation.parts_table`.
        sha256: of the weights.
        limits: sentences.
        more: what a later version writes besides; it is kept, and written last.
    """

    name: str | None = None
    network: str
    variant: str
    scale: str | None = None
    config: dict | None = None
    parameters: int | None = None
    precision: str | None = None
    recipe: dict | None = None
    training: dict | None = None
    data: dict | None = None
    project: str | None = None
    licence: str | None = None
    source: str | None = None
    source_sha256: dict | None = None
    imported: str | None = None
    torch: str | None = None
    not_vouched_for: list | None = None
    scores: dict | None = None
    tile: dict | None = None
    parts: dict | None = None
    file_mb: float | int | None = None
    sha256: str
    limits: list | None = None
    more: dict = field(default_factory=dict)

    @property
    def steps(self) -> int | None:
        """Of the training, where that is known, with those of the weights that it started from."""
        recipe = self.recipe or {}
        return recipe["steps"] + (recipe.get("steps_before") or 0) if "steps" in recipe else None

    @property
    def gain_db(self) -> float | None:
        """Over the blurred input, where that was measured."""
        return (self.scores or {}).get("gain_db")

    @property
    def verdicts(self) -> dict[str, str]:
        """Part of the network -> its verdict: `inert`, `used`, `harms` or `undecided`; empty where nobody looked."""
        return {name: entry["verdict"] for name, entry in (self.parts or {}).items()}

    @property
    def text(self) -> str:
        """The card as it is written."""
        content = {name: value for name in NAMES if (value := getattr(self, name)) is not None}
        return json.dumps(content | self.more, indent=1, ensure_ascii=False) + "\n"


NAMES = [entry.name for entry in fields(Card) if entry.name != "more"]
REQUIRED = ("network", "variant", "sha256")
INSIDE: dict[str, Any] = {
    "scores": int | float,
    "parts": dict,
    "limits": str,
    "not_vouched_for": str,
    "source_sha256": str,
}
"""Entry -> what each of its values is."""
TILE_COLUMNS = ("levels", "change_db", "worst_levels", "worst_change_db")


def beside(weights: Path) -> Path:
    """Where the card of a file of weights lies: `NAME.json` beside `NAME.safetensors`."""
    return weights.with_suffix(".json")


def read(weights: Path) -> Card:
    """The card beside a file of weights.

    Raises:
        ValueError: if there is none, it does not say whose weights these are, or an entry is of another kind.
        OSError: if it cannot be opened.
    """
    path = beside(weights)
    if not path.is_file():
        raise ValueError(
            f"{weights}: its card {path.name} is missing; weights go with the card that was made with them"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no card, since no JSON ({error}); copy it again") from None
    try:
        return parsed(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; copy it again") from None


def parsed(content: Any) -> Card:
    """The card that JSON values make.

    Raises:
        ValueError: saying what is missing or of another kind.
    """
    if not isinstance(content, Mapping):
        raise ValueError("no card, since no JSON object")
    missing = [name for name in REQUIRED if content.get(name) is None]
    if missing:
        raise ValueError(f"the card has no {', '.join(missing)}")
    for entry in (entry for entry in fields(Card) if entry.name != "more"):
        value = content.get(entry.name)
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        kind = INSIDE.get(entry.name, object)
        if not isinstance(value, entry.type) or not all(isinstance(part, kind) for part in inside):  # type: ignore[arg-type]  # a type, not its name
            raise ValueError(f"the card's {entry.name} is of another kind")
    if not all(isinstance(entry.get("verdict"), str) for entry in (content.get("parts") or {}).values()):
        raise ValueError("the card's parts have no verdict, or one of another kind")
    if not _tells_of_tiles(content.get("tile")):
        raise ValueError("the card's tile is of another kind")
    if not isinstance((content.get("recipe") or {}).get("steps", 0), int):
        raise ValueError("the card's recipe has steps of another kind")
    named = {name: content[name] for name in NAMES if name in content}
    return Card(**named, more={name: value for name, value in content.items() if name not in NAMES})


def _tells_of_tiles(entry: dict | None) -> bool:
    """Whether an entry `tile` has a default, pixels or None, and columns with a number for each of the same tiles."""
    if entry is None:
        return True
    columns = [column for name in TILE_COLUMNS if isinstance(column := entry.get(name), dict)]
    tiles = {tuple(column) for column in columns}
    return (
        len(columns) == len(TILE_COLUMNS)
        and len(tiles) == 1
        and all(re.fullmatch("[0-9]+", tile) for tile in tiles.pop())
        and all(isinstance(value, int | float) for column in columns for value in column.values())
        and isinstance(entry.get("default", ""), int | None)
    )
