"""Claims that need no training: which function decides each, and what is kept of those that are timed or slow.

What is counted at once is computed when it is asked for. The rest is kept in `results/study/checks/ID.json` with the
key of the code that it depends on, the networks' included, and does not count when that has changed.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from deblur import models, writing
from deblur.evaluation import complexity
from deblur.runs.run import scoring_device
from deblur.source import code_hash
from deblur.study import arithmetic, costs, records
from deblur.study.claims import Arm, Outcome


class Check(NamedTuple):
    """How a claim is decided.

    Attributes:
        rule: given the networks, says what comes out.
        networks: `network` or `network/variant`, the paper's own first.
        quick: whether it is computed whenever it is asked for.
    """

    rule: Callable[..., Outcome]
    networks: tuple[str, ...] = ()
    quick: bool = False

    def __call__(self) -> Outcome:
        """Decide it now."""
        return self.rule(*map(subject, self.networks))

    @property
    def key(self) -> str:
        """Of the rule's code and of the networks'."""
        entries = [models.NETWORKS[Arm.of(name).network] for name in self.networks]
        return code_hash(self.rule, *(part for entry in entries for part in (entry.network, entry.config)))


def subject(name: str) -> costs.Subject:
    """A network at paper size, by the name of its arm."""
    arm = Arm.of(name)
    return costs.Subject(name, partial(models.build, arm.network, arm.variant))


CHECKS: dict[str, Check] = {
    "A2": Check(costs.small_and_fast, ("attentive", "srn", "mscnn", "pss_nsc", "dmphn", "dmphn_stack4")),
    "R2": Check(costs.radn_speed, ("radn", "dmphn_stack4")),
    "R3": Check(costs.fewer_parameters, ("radn", "dmphn_stack4"), quick=True),
    "R12": Check(costs.hardly_more, ("radn/table2_conv0_def6_sa", "radn/table2_conv6_def0_nosa")),
    "R17": Check(arithmetic.inverse_filters),
    "N1": Check(arithmetic.more_unknowns),
    "N2": Check(arithmetic.fewer_equations),
    "N14": Check(costs.real_time, ("raidnet/table2_minus", "srn", "pss_nsc", "deblurgan_v2")),
    "N15": Check(costs.light, ("raidnet", "srn", "deblurgan_v2", "dbgan", "mprnet", "deblurgan")),
    "G3": Check(
        costs.fastest, ("sgenet", "mprnet", "mscnn", "srn", "pss_nsc", "dmphn", "dbgan", "mtrnn", "mimounet_plus")
    ),
    "G4": Check(
        costs.low_complexity,
        ("sgenet", "mscnn", "srn", "pss_nsc", "dmphn", "dbgan", "mtrnn", "mimounet_plus", "mprnet"),
    ),
    "S5": Check(costs.small_and_usual, ("simplenet", "srn", "deblurgan_v2", "dmphn", "pss_nsc")),
    "S12": Check(costs.lgcr_saves),
    "S15": Check(arithmetic.more_fields, quick=True),
    "S16": Check(costs.order_of_time, ("simplenet",)),
}
"""Claim -> how it is decided."""


def file_of(claim: str) -> Path:
    """Where the outcome of a claim is kept."""
    return records.folder() / "checks" / f"{claim}.json"


def outcome(claim: str) -> Outcome | None:
    """What a claim of `CHECKS` comes to; None where that is yet to be measured by the present code.

    Raises:
        ValueError: for a file that is not whole.
    """
    if CHECKS[claim].quick:
        return _computed(claim)
    return _kept(file_of(claim), CHECKS[claim].key) if file_of(claim).is_file() else None


@cache
def _computed(claim: str) -> Outcome:
    return CHECKS[claim]()


def _kept(file: Path, key: str) -> Outcome | None:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        said = Outcome(kept["verdict"], kept["measured"], kept["scale"])
        return said if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not a whole record of a check ({error}); remove it, and measure it again") from None


def missing(among: Iterable[str] | None = None) -> list[str]:
    """The claims of `CHECKS`, or of some of them, that are yet to be measured."""
    asked = CHECKS if among is None else set(among)
    return [claim for claim in CHECKS if claim in asked and outcome(claim) is None]


def keep(claims: Iterable[str]) -> None:
    """Measure claims and keep what they come to."""
    for claim in claims:
        said, key = CHECKS[claim](), CHECKS[claim].key
        device = complexity.device_name(scoring_device())
        text = json.dumps(said._asdict() | {"device": device, "key": key}, indent=1, ensure_ascii=False)
        writing.write_text(file_of(claim), text + "\n")
