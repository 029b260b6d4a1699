"""What imported weights gain on the bundled validation and test pairs: `weights/yardsticks.csv`.

`python -m deblur.reports.yardsticks` scores those at hand that have no rows yet.
"""

import csv
import io
from pathlib import Path

import pandas as pd

from deblur import evaluation, writing
from deblur.data import copies
from deblur.runs.run import scoring_device
from deblur.weights import released, yardsticks
from deblur.weights.cards import Card
from deblur.weights.yardsticks import Yardstick

SPLITS = ("validation", "test")
SCALES = ("bench", "mini")


def measure(file: Path, card: Card, data: copies.Data) -> list[Yardstick]:
    """The rows of one file of weights."""
    restore = evaluation.restorer(released.load(file), scoring_device())
    rows = []
    for split in SPLITS:
        pairs = data.pairs(split)
        blurred = evaluation.evaluate(evaluation.identity, pairs)
        scores = evaluation.add_gain(evaluation.evaluate(restore, pairs, f"{file.stem} {split}"), blurred)
        rows += [_row(card, data, split, kind, own) for kind, own in [*scores.groupby("kind"), ("all", scores)]]
    return rows


def _row(card: Card, data: copies.Data, split: str, kind: str, scores: pd.DataFrame) -> Yardstick:
    return Yardstick(
        network=card.network,
        variant=card.variant,
        source=yardsticks.source_of(card.source_sha256 or {}),
        trained_on=str((card.data or {}).get("trained_on", "")),
        scale=data.bundled,
        fingerprint=data.fingerprint,
        split=split,
        kind=kind,
        pairs=len(scores),
        psnr_db=round(float(scores["psnr_db"].mean()), 4),
        gain_db=round(float(scores["gain_db"].mean()), 4),
    )


def text(rows: list[Yardstick]) -> str:
    """The rows as a CSV file."""
    stream = io.StringIO()
    written = csv.writer(stream, lineterminator="\n")
    written.writerows([Yardstick._fields, *rows])
    return stream.getvalue()


def main() -> None:
    copied = [copies.open_data(scale=scale) for scale in SCALES]
    rows = [row for row in yardsticks.listed() if row.fingerprint in {data.fingerprint for data in copied}]
    for data in copied:
        for file, card in released.at_hand().items():
            scored = {(row.source, row.variant, row.fingerprint) for row in rows}
            own = (yardsticks.source_of(card.source_sha256 or {}), card.variant, data.fingerprint)
            if card.source_sha256 and own not in scored:
                rows += measure(file, card, data)
                writing.write_text(yardsticks.file(), text(rows))
    print(text(rows))


if __name__ == "__main__":
    main()
