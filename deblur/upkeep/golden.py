"""Golden numbers: what two steps of every training, and the scores of fixed pictures, come out as.

`results/golden.json` holds them, with the hash of the code that made them. On the machine and with the versions that
made them, weights and logs are equal bit for bit; elsewhere numbers are compared, see `TOLERANCE`.
`python -m deblur.upkeep.golden` writes the file anew after a change of numbers that is meant.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm.auto import tqdm

from deblur import accepted, evaluation, models, paths, recipes, runs, writing
from deblur.data import bench, copies, official
from deblur.errors import UsageError
from deblur.runs import train, wiring
from deblur.runs.provenance import provenance

STEPS = 2
"""Of each training: the second begins with what the first left in the optimiser, and halfway through the losses."""

SIDE = 64
"""Crops are no larger, in px."""

TOLERANCE = 1e-4
"""Relative difference of numbers that count as equal on another processor or with other versions.

Measured with other instructions (AVX2 and SSE4.1 in the place of AVX-512): at most 1e-5, in losses after Adam's first
step, which makes of each gradient little more than its sign. The gradient's norm in the second step is none of the
numbers for that reason: DeblurGAN-v2's differed by a fifth.
"""

SCORING = "scoring"
"""What the golden scores, and the code that gives them, are called."""


class Case(NamedTuple):
    """A training whose first steps are golden.

    Attributes:
        data: a key of `runs.SOURCES`.
    """

    network: str
    variant: str
    scale: str
    data: str

    @property
    def name(self) -> str:
        return " ".join(self)


def cases(network: str) -> list[Case]:
    """A network as printed by its recipe for each scale, and on stored pairs or videos where no other such training has
    its schedule; all other variants at smoke."""
    stored = "video" if models.frames(network) > 1 else "tree"
    sources = {scale: recipes.recipe(network, scale=scale).data for scale in recipes.SCALES}
    own = [Case(network, "paper", scale, stored if data == "tree" else data) for scale, data in sources.items()]
    by_wiring = {wiring_of(case): case for case in own}
    for scale in recipes.SCALES:
        case = Case(network, "paper", scale, stored)
        by_wiring.setdefault(wiring_of(case), case)
    variants = [Case(network, variant, "smoke", stored) for variant in models.NETWORKS[network].file.VARIANTS]
    return list(dict.fromkeys([*own, *by_wiring.values(), *variants]))


def wiring_of(case: Case) -> tuple[str, str, str, str]:
    """See `runs.Plan.wiring`."""
    recipe = recipes.recipe(case.network, case.variant, case.scale)
    return case.network, recipe.loss, recipe.schedule, case.data


class _Unwatched(copies.Data):
    """A benchmark without validation pairs: scores are not what is trained."""

    def validation(self, limit: int | None = None) -> list[official.Pair]:
        return []


@dataclass(frozen=True)
class Short(runs.Plan):
    """A plan of a few steps on little data, that starts, learns and is kept as any other.

    Attributes:
        place: its folder.
        steps: how many.
    """

    place: Path = Path()
    steps: int = STEPS

    @cached_property
    def full(self) -> recipes.Recipe:
        """The recipe that is shortened."""
        return runs.Plan(self.data, self.name, self.variant, self.scale).recipe

    @cached_property
    def recipe(self) -> recipes.Recipe:
        batch = max([2, *(factor**2 for factor in self.full.growth.values())])
        short = replace(
            self.full, steps=self.steps, batch=batch, crop=min(self.full.crop, SIDE), workers=0, log_every=1
        )
        if self.scale != "paper":
            return short
        # As wide as at smoke; what only long trainings use is used here.
        return replace(short, config=recipes.recipe(self.name, self.variant, "smoke").config, accumulate=2)

    @cached_property
    def photographs(self) -> bench.Photographs:
        return bench.Photographs(None)

    @property
    def folder(self) -> Path:
        return self.place


def plan(case: Case, place: Path) -> Short:
    """The shortened plan of a case, to be kept in the folder `place`."""
    opened = copies.open_data()
    own = case.data in ("tree", "video")  # stored pairs, and videos, are what somebody's own copy has
    bundled = "" if own else opened.bundled
    data = _Unwatched(opened.name, opened.root, opened.subset, opened.fingerprint, bundled)
    return Short(data, case.network, case.variant, case.scale, place=place)


class Entry(NamedTuple):
    """What came out.

    Attributes:
        bits: hashes of exact values; of a training its weights, its log, and its `course`.
        numbers: nine digits each; of a training its losses, the norm of its first gradient, the sums of the norms of
            its tensors and of their changes, and six learning rates.
    """

    bits: tuple[str, ...]
    numbers: tuple[float, ...]


def trained(case: Case) -> Entry:
    """A case, trained now."""
    with TemporaryDirectory(prefix="deblur-golden-") as place:
        short = plan(case, Path(place))
        network = short.network()
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        train.train_plan(short, network, Fabric(accelerator="cpu", devices=1))
        log, text = runs.Run(short).log(), unwatched((short.folder / "log.csv").read_bytes())
    after = network.state_dict()
    weights = b"".join(name.encode() + tensor.contiguous().numpy().tobytes() for name, tensor in after.items())
    sizes = _size(after.values()), _size(after[name].double() - tensor.double() for name, tensor in before.items())
    rates, rest = course(short, network)
    numbers = (*log["loss"], log["gradient_norm"][0], *sizes, *rates[::20])
    return Entry((_hash(weights), _hash(text), _hash(repr(rates).encode() + rest)), _rounded(numbers))


def unwatched(log: bytes) -> bytes:
    """A log without the columns of `evaluation.watch`, which looks on and decides nothing."""
    lines = [line.split(",") for line in log.decode().splitlines()]
    kept = [number for number, name in enumerate(lines[0]) if not name.startswith("watch_")]
    return "".join(",".join(line[number] for number in kept) + "\n" for line in lines).encode()


@torch.no_grad()
def course(short: Short, network: nn.Module) -> tuple[list[float], bytes]:
    """What changes over a whole training, that its first steps do not show: learning rates at each hundredth, and on
    the way batches and the values of a loss (at paper), or how photographs are shaken and turned (at bench)."""
    steps, lr = short.full.steps, short.full.lr
    with train.one_thread("cpu"):
        parts = replace(short, steps=steps).assembled(torch.device("cpu"))
        rates = [parts.schedule(lr, steps * part // 100, steps) for part in range(101)]
        if isinstance(parts.batches, bench.Batches):
            drawn = [pair for part in range(20) for pair in parts.batches.drawn(steps * part // 20)]
            return rates, b"".join(shot.matrices.numpy().tobytes() + repr(draws).encode() for shot, draws in drawn)
        if short.scale != "paper":
            return rates, b""
        batches = [parts.batches[steps * part // 20] for part in range(20)]
        outputs = network.eval()(batches[0][0])
        terms = [parts.loss(outputs, batches[0][1], part / 100) for part in range(100)]
        values = [{name: float(term) for name, term in losses.items()} for losses in terms]
        return rates, b"".join(image.numpy().tobytes() for batch in batches for image in batch) + repr(values).encode()


def _size(tensors: Iterable[Tensor]) -> float:
    return sum(float(tensor.double().norm()) for tensor in tensors)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _rounded(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{number:.9g}") for number in numbers)


class _Soft(nn.Module):
    """(N,3,H,W) -> its 3x3 means: something to score that no change of a network touches."""

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        return (F.avg_pool2d(blurred, 3, stride=1, padding=1),)


def scored() -> Entry:
    """Fixed pictures, scored now, frame by frame and as a stack."""
    pairs, restore = copies.open_data().pairs("test", 3), evaluation.restorer(_Soft())
    with train.one_thread("cpu"):
        rows = evaluation.evaluate(restore, pairs).to_dict("records")
        rows += evaluation.score_stack(restore, pairs, "cpu:0")  # named so, a CPU scores them as a GPU would
    values = [float(value) for row in rows for value in row.values() if isinstance(value, int | float)]
    return Entry((_hash(repr(rows).encode()),), _rounded(filter(math.isfinite, values)))


def every() -> list[Case]:
    """The cases of all networks."""
    return [case for network in models.NETWORKS for case in cases(network)]


def measured() -> dict[str, Entry]:
    """All golden numbers as the present code makes them, by the names of their cases; a minute on one core."""
    return {case.name: trained(case) for case in tqdm(every(), unit="training")} | {SCORING: scored()}


def codes(code: Callable[..., str], scoring: Callable[[], str]) -> dict[str, str]:
    """Hashes of all code that makes golden numbers, by what it makes, see `accepted.Line`.

    Args:
        code: takes a wiring, `runs.code` or `runs.present_code`.
        scoring: `runs.scoring` or `runs.present_scoring`.
    """
    wirings = dict.fromkeys(map(wiring_of, every()))
    return {" ".join(names): code(*names) for names in wirings} | {SCORING: scoring()}


def machine() -> dict[str, Any]:
    """What bits depend on besides code."""
    facts = provenance()
    instructions = torch.backends.cpu.get_cpu_capability()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"cpu": facts["cpu"], "instructions": instructions, "device": device, "versions": facts["versions"]}


# ------------------------------------------------------------------------------------------------------------ the file


class Golden(NamedTuple):
    """What the file holds.

    Attributes:
        machine: see `machine`.
        codes: what -> the code that made its numbers, as keys name it.
        entries: name of a case -> its numbers.
    """

    machine: dict[str, Any]
    codes: dict[str, str]
    entries: dict[str, Entry]


def file() -> Path:
    """Where golden numbers are."""
    return paths.project_root() / "results" / "golden.json"


def recorded() -> Golden:
    """The golden numbers.

    Raises:
        OSError: if there are none.
    """
    content = json.loads(file().read_text(encoding="utf-8"))
    entries = {name: Entry(*map(tuple, entry)) for name, entry in content["entries"].items()}
    return Golden(content["machine"], content["codes"], entries)


def differences(golden: Golden, found: Mapping[str, Entry]) -> list[str]:
    """What differs, a sentence each: any bit on the machine of the golden numbers, else what exceeds `TOLERANCE`."""
    exact = golden.machine == machine()
    said = []
    for name, entry in found.items():
        if name not in golden.entries:
            said.append(f"{name}: has no golden numbers")
        elif exact and entry.bits != golden.entries[name].bits:
            said.append(f"{name}: other bits; {_beside(golden.entries[name], entry)}")
        elif not _close(golden.entries[name].numbers, entry.numbers):
            said.append(f"{name}: {_beside(golden.entries[name], entry)}")
    return said


def _close(golden: Sequence[float], found: Sequence[float]) -> bool:
    pairs = zip(golden, found, strict=False)
    return len(golden) == len(found) and all(math.isclose(*pair, rel_tol=TOLERANCE, abs_tol=1e-12) for pair in pairs)


def _beside(golden: Entry, found: Entry) -> str:
    return f"golden {golden.numbers}, now {found.numbers}"


def write() -> None:
    """Write the golden numbers anew, as the present code makes them.

    A network whose numbers all stay, bit for bit, keeps the code that made them, so that code which gives them can
    still be accepted; lines of accepted code that stood for other numbers go.

    Raises:
        UsageError: on another machine, if code was changed since: nobody could say then which numbers changed.
    """
    before = recorded() if file().is_file() else Golden(machine(), {}, {})
    now = codes(wiring.code, runs.scoring)
    changed = {what for what, code in before.codes.items() if what in now and now[what] != code}
    if before.machine != machine() and changed:
        raise UsageError(
            f"{file()} is of another machine or of other versions, and code of {len(changed)} kinds of training was "
            "changed since; write it here with the code as it was, then change the code"
        )
    entries = measured()
    moved = {name.split()[0] for name, entry in entries.items() if entry != before.entries.get(name)}
    kept = {what: before.codes[what] for what in changed if what.split()[0] not in moved}
    _save(Golden(machine(), now | kept, entries))
    lines = accepted.lines()
    alive = [line for line in lines if line.old == (now | kept).get(line.what)]
    if alive != lines:
        accepted.write(alive)


def _save(golden: Golden) -> None:
    """A line a case, so that differences can be read."""
    parts = {name: f"{{\n{_lines(value)}\n}}" for name, value in golden._asdict().items()}
    writing.write_text(file(), "{\n" + ",\n".join(f'"{name}": {text}' for name, text in parts.items()) + "\n}\n")


def _lines(values: Mapping[str, Any]) -> str:
    return ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())


if __name__ == "__main__":
    write()
