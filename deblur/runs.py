"""The run store: every training once, named by what it depends on, found again by all notebooks.

A run's key is a hash of its recipe, its network's configuration, the data and the code that they reach (network, loss,
training, data). A run folder under `paths.runs_dir()` holds `recipe.json`, `provenance.json`, `log.csv`, `state.pt`
(which continues it), `model.safetensors`, `per_image.csv` (the test split, scored once) and a manifest, see
`deblur.store`.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import pairwise
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm.auto import tqdm

from deblur import evaluation, losses, models, paths, recipes, restoration, store, training
from deblur.complexity import device_name
from deblur.data import bench, content, loading, mini, official, packing
from deblur.locks import locked
from deblur.losses import LOSSES
from deblur.models.radn import SelfEnsemble
from deblur.provenance import provenance
from deblur.schedules import SCHEDULES
from deblur.sealed import DamageError
from deblur.source import code_hash

Progress = Callable[[range], Iterable[int]]
"""Wraps the steps of a training, for a bar."""

UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("commit", "dirty", "versions", "device", "threads", "continued", "training_seconds")
)
"""The record of a training whose own is lost."""

_SEEDING = threading.Lock()


@dataclass(frozen=True)
class Data:
    """A benchmark on disk: its name, root, the variant read from it, and a fingerprint of its content.

    Attributes:
        bundled: the scale that this copy is bundled for, `mini` or `bench`; empty for somebody's own copy.
    """

    name: str
    root: Path
    variant: str
    fingerprint: str
    bundled: str = ""

    def pairs(self, split: str, limit: int | None = None) -> list[official.Pair]:
        """Pairs of a split; `limit` takes so many, spread over sequences and over kinds of blur."""
        choices = {"variant": self.variant} if self.variant else {}
        pairs = official.find_pairs(self.name, self.root, split, **choices)
        if limit is None or limit >= len(pairs):
            return pairs
        starts = [i * len(pairs) // limit for i in range(limit + 1)]
        return [pairs[start + i % (stop - start)] for i, (start, stop) in enumerate(pairwise(starts))]

    def validation(self, limit: int | None = None) -> list[official.Pair]:
        """The validation split, empty where the benchmark has none (the papers watch none either)."""
        return self.pairs("validation", limit) if self.bundled and self.name == "gopro" else []

    def packed(self, split: str = "train") -> Path:
        """Where `deblur data pack` puts a split, and where training looks for it."""
        return paths.data_dir() / "packed" / self.fingerprint / f"{self.name}-{self.variant or 'plain'}-{split}"

    @property
    def label(self) -> str:
        """The name for tables, e.g. `mini gopro (blur)`."""
        return f"{self.bundled} {self.name}".strip() + (f" ({self.variant})" if self.variant else "")


def open_data(root: str | Path = "", variant: str = "blur", name: str = "gopro", scale: str = "mini") -> Data:
    """The benchmark at `root`, or the bundled one (written now if need be) when no root is given.

    Args:
        variant: of GoPro, `blur` or `blur_gamma`; the other benchmarks have none.
        scale: `bench` takes the bundled GoPro with blur of full size.
    """
    root = Path(root).expanduser() if root else mini.ensure("bench" if (name, scale) == ("gopro", "bench") else name)
    variant = variant if name == "gopro" else ""
    manifest = content.manifest(root)
    if "generator" in manifest:  # a tree of somebody's own pictures (`deblur data synthesize`) has none
        bundled = "bench" if manifest.get("flavour") == "bench" else "mini"
        return Data(name, root, variant, content.fingerprint(root, manifest), bundled)
    found = Data(name, root, variant, "")
    splits = ("test",) if name in ("koehler", "rwbi") else ("train", "test")
    pairs = [pair for split in splits for pair in found.pairs(split)]
    hashes = content.hashes(root, (file for pair in pairs for file in pair.files))
    listing = [(pair.name, [hashes[file.relative_to(root).as_posix()] for file in pair.files]) for pair in pairs]
    return replace(found, fingerprint=content.digest(listing))


def open_companion(data: Data, name: str) -> Data | None:
    """Another benchmark beside `data`: the bundled one, or the folder `name` beside GOPRO_Large if there is one.

    There is none beside the bundled GoPro of `bench`: the other bundled copies have the short blur of `mini`.
    """
    if data.bundled:
        return open_data(name=name) if data.bundled == "mini" else None
    root = (data.root.parent if data.root.name == "GOPRO_Large" else data.root) / name
    return open_data(root, name=name) if root.is_dir() else None


@dataclass(frozen=True)
class Plan:
    """One training: which network, how, on what.

    Attributes:
        budget: "main", "row" or "time", see `recipes.recipe`.
        pretrained: a file of weights to start from, for networks whose module has `load_pretrained`.
        photos: a folder of sharp photographs to train on besides the bundled scenes, at scale `bench`; empty for
            `paths.photos_dir()`, which need not be there.
        options: recipe fields that fit a run to its machine: `precision`, `accumulate`, `compile`, `channels_last`,
            `workers`. All but the last change the last bits of the weights, and so the key.
    """

    data: Data
    paper: str
    variant: str = "paper"
    scale: str = "mini"
    budget: str = "main"
    seed: int = 0
    pretrained: str = ""
    photos: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> recipes.Recipe:
        """The recipe; crops come from the tree unless the bundled scenes are asked for and the data are theirs."""
        found = recipes.recipe(self.paper, self.variant, self.scale, self.budget)
        found = replace(found, **self.options)
        return found if self.data.bundled and self.data.name == "gopro" else replace(found, data="tree")

    @cached_property
    def content(self) -> dict:
        """Everything the result depends on, as plain JSON values."""
        config = models.config(self.paper, self.variant, **self.recipe.config)
        found = {
            "paper": self.paper,
            "config": asdict(config),
            "recipe": training_part(self.recipe),
            "seed": self.seed,
            "data": {
                "name": self.data.name,
                "variant": self.data.variant,
                "fingerprint": self.data.fingerprint,
            },
            "code": code(self.paper, self.recipe.loss, self.recipe.schedule, self.recipe.data),
        }
        if self.pretrained:
            found["pretrained"] = f"{paths.file_sha256(Path(self.pretrained))[:16]} {pretrained_code(self.paper)}"
        if self.recipe.data == "photographs":
            found["photographs"] = self.photographs.fingerprint
        return json.loads(json.dumps(found))

    @cached_property
    def photographs(self) -> bench.Photographs:
        """Where the training crops of scale `bench` come from."""
        folder = Path(self.photos).expanduser() if self.photos else paths.photos_dir()
        return bench.Photographs(folder if self.photos or folder.is_dir() else None)

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name the run."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the run lies; two variants whose trainings are the same share one folder."""
        return paths.runs_dir() / self.paper / self.key

    @property
    def files(self) -> store.Folder:
        """The run's files."""
        return store.Folder(self.folder, self.key)

    @property
    def title(self) -> str:
        """For progress bars and messages."""
        return f"{self.paper} {self.variant} ({self.scale}, {self.recipe.steps} steps, seed {self.seed})"

    def network(self) -> nn.Module:
        """The untrained network, its weights drawn from the seed."""
        network = drawn(partial(models.build, self.paper, self.variant, **self.recipe.config), self.seed)
        if self.pretrained:
            models.load_pretrained(self.paper, network, Path(self.pretrained))
        return network

    def assembled(self, device: torch.device) -> "Parts":
        """What the training is made of, on the device that trains."""
        recipe = self.recipe
        return assembled(self, LOSSES[recipe.loss], SCHEDULES[recipe.schedule], SOURCES[recipe.data], device)


# ------------------------------------------------------------------------------------------------- what is trained, how
# Keys cover the functions of this part: what they need by name is given to them, lest every key covers all there is.


class Parts(NamedTuple):
    """What a training is made of, besides its network and recipe."""

    loss: training.Loss
    schedule: training.Schedule
    batches: loading.Batches


def assembled(
    plan: Plan, loss: Callable, schedule: Callable, source: Callable[[Plan, torch.device], tuple], device: torch.device
) -> Parts:
    """A plan's loss, schedule and batches, with the arguments of its recipe."""
    recipe = plan.recipe
    averaged, batches = source(plan, device)
    sampling = (recipe.crop, recipe.batch, plan.seed, recipe.edge, recipe.augment)
    return Parts(
        averaged(partial(loss, **recipe.loss_args)), partial(schedule, **recipe.schedule_args), batches(*sampling)
    )


def stored_pairs(plan: Plan, device: torch.device) -> tuple:
    """Crops of the tree's training split, or of its packed copy."""
    pairs = plan.data.pairs("train")
    return losses.plain, partial(loading.Batches, packing.open_packed(plan.data.packed(), pairs) or loading.Tree(pairs))


def fresh_exposures(plan: Plan, device: torch.device) -> tuple:
    """Crops of the bundled scenes, exposed anew."""
    return losses.plain, partial(loading.Batches, loading.Synthesis())


def fresh_photographs(plan: Plan, device: torch.device) -> tuple:
    """Crops of photographs, exposed anew on the device that trains; lessons are spread over the steps."""
    sharp = _decoded(plan.photographs.folder, plan.photographs.fingerprint)
    return losses.geometric, partial(bench.Batches, sharp, device=device, steps=plan.recipe.steps)


SOURCES = {"tree": stored_pairs, "synthesis": fresh_exposures, "photographs": fresh_photographs}
"""What a recipe calls its data -> how a batch's loss is averaged, and what makes its batches."""


@lru_cache(maxsize=1)
def _decoded(folder: Path | None, fingerprint: str) -> bench.Photographs:
    """What one process has decoded serves all of its trainings, as long as the content is the same."""
    return bench.Photographs(folder)


def drawn(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network whose weights are drawn from a seed, and from nothing else."""
    # The generator is the process's: two threads that seeded it at once would draw from each other's.
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def code(paper: str, loss: str, schedule: str, data: str) -> str:
    """Hash of the code that a training reaches; the arguments are those of its recipe."""
    module, network = models.NETWORKS[paper]
    wiring = (drawn, assembled, SOURCES[data], LOSSES[loss], SCHEDULES[schedule], training.train)
    return code_hash(network, module.Config, *wiring)


def pretrained_code(paper: str) -> str:
    """Hash of the code that loads the weights that a paper starts from."""
    loader = getattr(models.NETWORKS[paper][0], "load_pretrained", None)
    return code_hash(loader) if loader else ""


def training_part(recipe: recipes.Recipe) -> dict:
    """The settings of a recipe that decide the weights and the scored pairs, where they differ from the defaults.

    The rest only watches or speeds up, and a default that a later recipe brings changes nothing for the others.
    """
    watching = {"row_steps", "log_every", "checkpoint_every", "validate_every", "workers", "config"}
    defaults = {entry.name: entry.default for entry in fields(recipe)}
    return {
        name: value
        for name, value in asdict(recipe).items()
        if name not in watching and value != defaults[name] and value != {}
    }


@dataclass(frozen=True)
class Run:
    """A finished training."""

    plan: Plan

    @property
    def provenance(self) -> dict:
        """Commit, versions, device, threads, seconds: see `provenance`."""
        return json.loads((self.plan.folder / "provenance.json").read_text(encoding="utf-8"))

    def scores(self) -> pd.DataFrame:
        """The test split, one row per image."""
        return pd.read_csv(self.plan.folder / "per_image.csv")

    def log(self) -> pd.DataFrame:
        """Steps, losses and validation scores of the training."""
        return pd.read_csv(self.plan.folder / "log.csv")

    def network(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        network = self.plan.network()
        store.load_weights(network, self.plan.folder / "model.safetensors")
        return network.eval()


def stored() -> dict[Path, dict]:
    """The finished trainings in the store that the present code would make again: folder -> its `recipe.json`."""
    present, found = cache(code), {}
    for folder in sorted({file.parent for file in paths.runs_dir().glob("*/*/recipe.json")}):
        if store.Folder(folder, folder.name).is_whole("recipe.json", "model.safetensors"):
            content = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
            part = content["recipe"]
            names = (part["loss"], part.get("schedule", recipes.Recipe.schedule), part.get("data", recipes.Recipe.data))
            known = content["paper"] in models.NETWORKS and names[0] in LOSSES and names[1] in SCHEDULES
            if known and content["code"] == present(content["paper"], *names):
                found[folder] = content
    return found


def blurred_scores(data: Data, limit: int | None = None) -> pd.DataFrame:
    """Scores of the blurred input on the test split: what every gain is counted from."""
    return _scored_once(
        paths.runs_dir() / "blurred",
        f"{data.fingerprint} {data.variant} {limit} {scoring()}",
        lambda: evaluation.evaluate(evaluation.identity, data.pairs("test", limit), "blurred input"),
    )


def protocol_scores(data: Data, protocol: str, run: Run | None = None, limit: int | None = None) -> pd.DataFrame:
    """Scores of a run, or of the blurred input, on the test split of another benchmark by its own protocol.

    Args:
        data: the benchmark that is scored, whatever the run was trained on.
    """
    code = code_hash(evaluation.PROTOCOLS[protocol]["score"], evaluation.restorer)
    parts = (run.plan.key if run else "blurred", data.name, data.fingerprint, protocol, limit, code)

    def scored() -> pd.DataFrame:
        restore = evaluation.restorer(run.network(), _device()) if run else evaluation.identity
        pairs = data.pairs("test", limit)
        return evaluation.score_pairs(protocol, data.name, lambda _: restore, pairs, f"{data.name} {protocol}")

    return _scored_once(paths.runs_dir() / "protocols", " ".join(map(str, parts)), scored)


def ensemble_scores(run: Run) -> pd.DataFrame:
    """The test split restored by a run's network with x8 self-ensemble, one row per image, scored once."""
    code = code_hash(SelfEnsemble, evaluation.evaluate, evaluation.score, evaluation.restorer)

    def scored() -> pd.DataFrame:
        restore = evaluation.restorer(SelfEnsemble(run.network()), _device())
        pairs = run.plan.data.pairs("test", run.plan.recipe.test_pairs)
        return evaluation.evaluate(restore, pairs, f"{run.plan.title} x8")

    return _scored_once(paths.runs_dir() / "ensembles", f"{run.plan.key} {code}", scored)


def _scored_once(folder: Path, subject: str, score: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table of a subject, everything that it depends on; scored now if it is not there, whole."""
    key = hashlib.sha256(subject.encode()).hexdigest()[:16]
    with locked(folder / f"{key}.lock"):
        if store.stored_table(folder, key) is None:
            store.store_table(folder, key, score())
        found = store.stored_table(folder, key)
    assert found is not None  # it was stored just now
    return found


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_or_run(plans: Sequence[Plan], processes: int | None = None) -> list[Run]:
    """The runs of `plans`, trained now where the store lacks them, with one bar over all steps.

    On a CPU as many runs go side by side as there are cores, one thread each: on small networks that does more work
    than one run with many threads, and the weights do not depend on the number of cores. On a GPU they go one by one.
    """
    missing = list({plan.key: plan for plan in plans if not is_complete(plan)}.values())
    if missing:
        if processes is None:
            processes = 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))
        # Longest first, so that no core waits long at the end.
        _run_side_by_side(sorted(missing, key=_length, reverse=True), min(processes, len(missing)))
    return [Run(plan) for plan in plans]


def _length(plan: Plan) -> float:
    """How long a training takes, next to others of its scale; a network that was never timed counts as the slowest."""
    return plan.recipe.steps / recipes.EQUAL_TIME.get(plan.paper, min(recipes.EQUAL_TIME.values()))


FILES = ("recipe.json", "provenance.json", "log.csv", "model.safetensors", "per_image.csv")
"""What a finished run consists of."""


def is_complete(plan: Plan) -> bool:
    """Whether a run is finished, whole, and scored by the present code."""
    return plan.files.is_whole(*FILES) and Run(plan).provenance.get("scoring") == scoring()


@cache
def scoring() -> str:
    """Hash of the code that scores: when it changes, runs are scored again, not trained again."""
    return code_hash(evaluation.evaluate, evaluation.score, evaluation.restorer)


def _run_side_by_side(plans: list[Plan], processes: int) -> None:
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    pool = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=(done,))
    bar = tqdm(
        total=sum(plan.recipe.steps for plan in plans),
        desc=f"{len(plans)} trainings",
        unit="step",
        mininterval=5,
    )
    try:
        pending = {pool.submit(_train_and_score, plan) for plan in plans}
        while pending:
            finished, pending = wait(pending, timeout=1)
            for future in finished:
                future.result()
            bar.update(done.value - bar.n)
    except BaseException as error:
        for process in list(pool._processes.values()):
            process.terminate()
        if isinstance(error, KeyboardInterrupt):
            kept = f"what was trained is kept in {paths.runs_dir()}; the same command goes on"
            raise KeyboardInterrupt(kept) from None
        raise
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)


_steps_done: "Synchronized[int] | None" = None


def _start_worker(done: "Synchronized[int]") -> None:
    """In a worker: one thread, and a shared counter of steps for the parent's bar."""
    global _steps_done
    _steps_done = done
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers, with a word
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would otherwise finish its run unseen and then wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in workers
    parent.join()
    os._exit(1)


def _count_steps(steps: int = 1) -> None:
    if _steps_done is not None:
        with _steps_done.get_lock():
            _steps_done.value += steps


def _counted(steps: range) -> Iterator[int]:
    for step in steps:
        yield step
        _count_steps()


def _train_and_score(plan: Plan) -> None:
    """Make one run, or continue it; a second process that wants the same run waits and finds it made."""
    with locked(plan.folder / "lock"):
        if not is_complete(plan):
            _make(plan, _counted)


def train_one(plan: Plan, devices: str = "auto", nodes: int = 1) -> None:
    """Train one plan on one or several devices, as `deblur train` does, and score it on the first.

    Raises:
        Busy: with several processes, if another call makes this run; one process waits for it.
    """
    rank = int(next((os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), 0))
    fabric = Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=plan.recipe.precision)  # type: ignore[arg-type]  # Fabric checks the word
    alone = fabric.world_size == 1
    with locked(plan.folder / "lock", wait=alone) if rank == 0 else nullcontext():
        if is_complete(plan):
            return
        fabric.launch()
        _make(plan, partial(_bar, plan.title), fabric)


def _make(plan: Plan, progress: Progress, fabric: Fabric | None = None) -> None:
    """Make what a run lacks: its weights, if need be by training, and its scores; the caller holds the lock."""
    first = fabric is None or fabric.is_global_zero
    for name in (*FILES, "state.pt") if first else ():
        paths.check_file(plan.folder / name, overwrite=True)
    missing = first and _needs_training(plan) and not _take_released(plan)
    if fabric.broadcast(missing) if fabric else missing:
        train(plan, plan.network(), fabric, progress if first else iter)
    if first:
        _complete(plan)


def _needs_training(plan: Plan) -> bool:
    """Whether weights or log are missing.

    Raises:
        DamageError: for a damaged file that only a training from its first step could make again, and that might be all
            that is left of one.
    """
    found = {name: plan.files.state(name) for name in ("model.safetensors", "log.csv", "state.pt")}
    if found["model.safetensors"] == found["log.csv"] == "whole":
        return False
    if found["state.pt"] == "lost":
        for name in ("model.safetensors", "log.csv"):
            if found[name] == "damaged":
                raise DamageError(f"{plan.folder / name}: not as it was written; remove it to train this run again")
        if found["model.safetensors"] == "whole":
            raise DamageError(f"{plan.folder / 'log.csv'}: missing; remove model.safetensors too to train this again")
    return True


def _complete(plan: Plan) -> None:
    """Everything but weights and log: what was run, where it was, and the scores of the test split."""
    folder = plan.files
    if not folder.is_whole("recipe.json"):
        folder.write_json("recipe.json", plan.content)
    record = Run(plan).provenance if folder.is_whole("provenance.json") else UNKNOWN
    if not folder.is_whole("per_image.csv") or record.get("scoring") != scoring():
        network, device = plan.network(), _device()
        store.load_weights(network, plan.folder / "model.safetensors")
        pairs = plan.data.pairs("test", plan.recipe.test_pairs)
        with one_thread(device):
            scores = evaluation.evaluate(evaluation.restorer(network, device), pairs)
        folder.write_text("per_image.csv", scores.to_csv(index=False))
    folder.write_json("provenance.json", record | {"scoring": scoring()})


def _take_released(plan: Plan) -> bool:
    """Put the weights that this very training gave into the store, if they are released: their card names its key."""
    for name, card in restoration.cards().items():
        if card.get("recipe", {}).get("key") == plan.key:
            folder = plan.files
            folder.write_json("recipe.json", plan.content)
            folder.write_json("provenance.json", card["training"] | {"released": name, "precision": card["precision"]})
            folder.write_text("log.csv", restoration.find(name).with_suffix(".csv").read_text(encoding="utf-8"))
            folder.write_weights(restoration.load(name))
            _count_steps(plan.recipe.steps)
            return True
    return False


@contextmanager
def one_thread(device: torch.device | str) -> Iterator[None]:
    """One thread computes in the block, on a CPU: sums of several threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if torch.device(device).type == "cpu" else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _bar(title: str, steps: range) -> Iterable[int]:
    return tqdm(steps, initial=steps.start, total=steps.stop, desc=title, unit="step", mininterval=5)


def train(plan: Plan, network: nn.Module, fabric: Fabric | None = None, progress: Progress = iter) -> None:
    """Train a plan's network into its folder; continues where an interrupted call stopped."""
    recipe, folder, started = plan.recipe, plan.files, time.time()
    fabric = fabric or Fabric(accelerator="auto", devices=1, precision=recipe.precision)  # type: ignore[arg-type]  # Fabric checks the word
    with one_thread(fabric.device):
        # The seconds are those of the last part of a training that was interrupted and continued.
        continued = folder.is_whole("state.pt")
        device = {"device": device_name(fabric.device), "processes": fabric.world_size}
        record = provenance() | device | {"continued": continued}
        if fabric.is_global_zero:
            folder.write_json("recipe.json", plan.content)
        parts = plan.assembled(fabric.device)
        watched = plan.data.validation(recipe.test_pairs)

        def validate(network: nn.Module) -> dict[str, float]:
            restore = evaluation.restorer(network, next(network.parameters()).device)
            return {"psnr_db": float(evaluation.evaluate(restore, watched)["psnr_db"].mean())}

        keeper, watch = store.Checkpoints(folder), validate if watched else None
        try:
            training.train(network, *parts[:2], recipe, parts.batches, keeper, watch, fabric, progress)
        except KeyboardInterrupt:
            kept = f"{keeper.step} of {recipe.steps} steps are kept in {plan.folder}; the same command goes on"
            raise KeyboardInterrupt(kept) from None
    # A finished training that only wrote its files again keeps the record of the call that did the steps.
    if fabric.is_global_zero and (keeper.first < recipe.steps or not folder.is_whole("provenance.json")):
        folder.write_json("provenance.json", record | {"training_seconds": round(time.time() - started, 1)})
