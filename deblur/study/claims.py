"""The papers' claims as data, and what is compared to decide them.

`results/printed/PAPER/claims.csv` has a row a claim, `contrasts.csv` one for everything that is compared with something
else. Both were fixed before the first training of the study; what is added later says *exploratory* as its family.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from deblur import paths
from deblur.errors import unknown
from deblur.study import statistics

PAPERS = ("attentive", "radn", "raidnet", "sgenet", "simplenet")

TESTS = ("ablation", "removal", "probe", "cost", "transfer", "arithmetic", "none")
"""How a claim is decided: by trainings that differ in one thing; by taking a part out of a trained network; by inner
maps beside the truth; by counting and timing; on data of another kind; on paper; not here."""


class Tier(NamedTuple):
    """A part of the study.

    Attributes:
        scale: of the trainings, see `recipes`.
        seeds: that are planned; a verdict falls when all are there.
        best: whether a training is scored at its best step on validation, else at its end.
        learnt_db: how far above the floor the better arm must be, for the contrast to count.
        words: what a verdict of this tier is about.
    """

    scale: str
    seeds: int
    best: bool
    learnt_db: float
    words: str


TIERS = {
    "depth": Tier(
        "axes", 4, True, 0.5, "even shifts of 6 px along two axes, windows of 64 px, 1 M parameters, 3,000 steps"
    ),
    "breadth": Tier("mini", 4, False, 0.0, "mini: paths of 2 to 5 px, 0.2 to 0.7 M parameters, 1,200 steps"),
}


class Arm(NamedTuple):
    """A training of the study but for its seed: `network`, `network/variant` or `network/variant@rate`."""

    network: str
    variant: str = "paper"
    lr: str = ""

    @classmethod
    def of(cls, text: str) -> "Arm":
        """What such a text names."""
        name, _, lr = text.partition("@")
        network, _, variant = name.partition("/")
        return cls(network, variant or "paper", lr)

    def __str__(self) -> str:
        variant = "" if self.variant == "paper" else f"/{self.variant}"
        return f"{self.network}{variant}{'@' if self.lr else ''}{self.lr}"


@dataclass(frozen=True)
class Claim:
    """What a paper says.

    Attributes:
        claim: in our words.
        place: table, figure or section.
        printed: the effect as it is printed.
        test: one of `TESTS`.
        reason: why it is not tested here, where it is not.
    """

    paper: str
    id: str
    claim: str
    place: str
    printed: str
    test: str
    reason: str


@dataclass(frozen=True)
class Contrast:
    """What is compared: the mean of the arms `plus` minus that of the arms `minus`.

    Attributes:
        tier: of `TIERS`.
        without: the part that is taken out of the trained arm, which then is compared with itself; else empty.
        measure: `psnr_db` or `ssim_gauss_rgb`.
        on: `exam`, a bundled copy, or one kind of blur of the exam, `exam:KIND`.
        printed_db: the printed effect, if this very one is printed.
        bound_db: the smallest effect that matters.
        sign: +1 or -1, as the claim expects.
        family: contrasts that may err at most once together.
    """

    paper: str
    claim: str
    tier: str
    name: str
    plus: tuple[Arm, ...]
    minus: tuple[Arm, ...]
    without: str
    measure: str
    on: str
    printed_db: float | None
    bound_db: float
    sign: int
    family: str

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Those that are trained for it."""
        return self.plus + self.minus


@dataclass(frozen=True)
class Probe(Contrast):
    """What is looked at in trained networks: a quantity of the arms `plus` minus one of the arms `minus`, or a number.

    Attributes:
        measure: the quantity, see `probing.QUANTITIES`; `bound_db` is in its unit.
        minus_measure: that of the arms `minus`, which are those of `plus` where one network's quantities are compared.
        constant: what is taken off where there are no arms `minus`.
    """

    minus_measure: str
    constant: float

    @property
    def needs(self) -> set[tuple[Arm, str]]:
        """Which quantities of which arms."""
        return {(arm, self.measure) for arm in self.plus} | {(arm, self.minus_measure) for arm in self.minus}


class Outcome(NamedTuple):
    """What a claim comes to that is counted, timed or computed.

    Attributes:
        verdict: one of `statistics.Verdict`.
        measured: a sentence with the numbers.
        scale: what they are about.
    """

    verdict: statistics.Verdict
    measured: str
    scale: str


WITHOUT = "without:"
MEASURES = {"psnr_db": "psnr_db", "ssim": "ssim_gauss_rgb"}


def claims(paper: str) -> list[Claim]:
    """A paper's claims, in order.

    Raises:
        ValueError: for an unknown paper.
    """
    return [Claim(paper, **row) for row in _rows(paper, "claims")]


def contrasts(paper: str) -> list[Contrast]:
    """What is compared to decide a paper's claims, in order."""
    return [_contrast(paper, row) for row in _rows(paper, "contrasts")]


def probes(paper: str) -> list[Probe]:
    """What is looked at to decide a paper's claims, in order."""
    return [_probe(paper, row) for row in _rows(paper, "probes")]


def _probe(paper: str, row: dict[str, str]) -> Probe:
    other = row["minus_quantity"]
    is_number = other.lstrip("+-").replace(".", "", 1).isdigit()
    minus = "" if is_number else row["minus_arm"] or (row["arm"] if other else "")
    return Probe(
        paper,
        row["claim"],
        row["tier"],
        row["name"],
        plus=_arms(row["arm"]),
        minus=_arms(minus),
        without="",
        measure=row["quantity"],
        on="exam",
        printed_db=None,
        bound_db=float(row["bound"]),
        sign=1 if row["expected"] == "+" else -1,
        family=row["family"],
        minus_measure="" if is_number or not minus else other or row["quantity"],
        constant=float(other) if is_number else 0.0,
    )


def _contrast(paper: str, row: dict[str, str]) -> Contrast:
    removed = row["minus"].startswith(WITHOUT)
    return Contrast(
        paper,
        row["claim"],
        row["tier"],
        row["name"],
        plus=_arms(row["plus"]),
        minus=() if removed else _arms(row["minus"]),
        without=row["minus"].removeprefix(WITHOUT).replace("_", " ") if removed else "",
        measure=MEASURES[row["measure"]],
        on=row["on"],
        printed_db=float(row["printed_db"]) if row["printed_db"] else None,
        bound_db=float(row["bound_db"]),
        sign=1 if row["expected"] == "+" else -1,
        family=row["family"],
    )


def _arms(text: str) -> tuple[Arm, ...]:
    return tuple(Arm.of(word) for word in text.split())


def _rows(paper: str, table: str) -> Iterator[dict[str, str]]:
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    with open(paths.printed_dir() / paper / f"{table}.csv", encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)
