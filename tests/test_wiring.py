"""What a plan hands to the training loop, and that its key names all of it. The loop itself is stubbed."""

import inspect
import itertools
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial, wraps
from multiprocessing import Value

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from deblur import evaluation, losses, models, recipes, runs, schedules, source, training
from deblur.data import bench, blur, copies, ladder, loading, mini, video
from deblur.losses import LOSSES
from deblur.runs import Plan, pool, train, wiring
from deblur.schedules import SCHEDULES

DATA = {"smoke": "tree", "mini": "synthesis", "bench": "photographs"}
"""A scale for each of the sources."""


@pytest.fixture(scope="module")
def data(mini_root):
    return copies.open_data(mini_root)


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """What the training loop is given by the next call, by its names."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DEBLUR_PHOTOS", str(tmp_path / "none"))
    given = {}

    @wraps(training.train)  # keys still cover the true one
    def train(*arguments, **options):
        given.update(inspect.signature(train).bind(*arguments, **options).arguments)

    monkeypatch.setattr(training, "train", train)
    return given


class Halves(nn.Module):
    """Gives half of its input."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, blurred):
        return (self.factor * blurred,)


def known_tensors(sides):
    """Outputs of several scales and their sharp image, from a seed."""
    generator = torch.Generator().manual_seed(0)
    outputs = tuple(torch.rand(3, 3, side, side, generator=generator).requires_grad_() for side in sides)
    return outputs, torch.rand(3, 3, 16, 16, generator=generator)


def uphill(objective, outputs):
    """The gradient of a number with respect to all outputs."""
    found = torch.autograd.grad(objective, outputs, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


# --------------------------------------------------------------------------------------------------- every recipe

EVERY = [(paper, "paper", scale) for paper, found in recipes.RECIPES.items() for scale in found]
EVERY += [
    (paper, variant, scale)
    for paper, found in recipes.LOSS_VARIANTS.items()
    for variant in found
    for scale in ("smoke", "bench")
]


@pytest.mark.parametrize(("paper", "variant", "scale"), EVERY, ids=["-".join(one) for one in EVERY])
def test_a_training_is_given_what_its_recipe_says(paper, variant, scale, data, loop):
    plan, network = Plan(data, paper, variant, scale, seed=11), Halves()
    recipe = recipes.recipe(paper, variant, scale)
    train.train_plan(plan, network)
    assert loop["network"] is network
    assert loop["recipe"] == recipe
    rates = SCHEDULES[recipe.schedule]
    for step in (0, 1, recipe.steps // 3, recipe.steps // 2, recipe.steps - 1):
        wanted = rates(recipe.lr, step, recipe.steps, **recipe.schedule_args)
        assert loop["schedule"](recipe.lr, step, recipe.steps) == wanted
    batches = loop["batches"]
    assert (batches.crop, batches.batch, batches.seed) == (recipe.crop, recipe.batch, 11)
    assert (batches.edge, batches.augment) == (recipe.edge, recipe.augment)
    sources = {"tree": loading.Tree, "synthesis": loading.Synthesis, "photographs": bench.Photographs}
    assert type(batches.source) is sources[recipe.data]
    assert loop["keeper"].folder == plan.files


@pytest.mark.parametrize(("paper", "variant", "scale"), EVERY, ids=["-".join(one) for one in EVERY])
def test_a_training_minimises_the_loss_of_its_recipe_by_the_mean_of_its_source(paper, variant, scale, data):
    """Photographs: the mean logarithm of the crops' losses; else the loss of the batch. Early, midway and late."""
    recipe = recipes.recipe(paper, variant, scale)
    loss = Plan(data, paper, variant, scale).assembled(torch.device("cpu")).loss
    for progress in (0.0, 0.25, 0.4, 0.9):
        outputs, sharp = known_tensors((16, 8, 4))

        def of(crops, outputs=outputs, sharp=sharp, progress=progress):
            chosen = tuple(output[crops] for output in outputs)
            return sum(LOSSES[recipe.loss](chosen, sharp[crops], progress, **recipe.loss_args).values())

        each = torch.stack([of(slice(i, i + 1)) for i in range(3)])
        wanted = each.log().mean() if recipe.data == "photographs" else of(slice(None))
        found = sum(loss(outputs, sharp, progress).values())
        torch.testing.assert_close(uphill(found, outputs), uphill(wanted, outputs), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("paper", "variant", "scale"), EVERY, ids=["-".join(one) for one in EVERY])
def test_what_a_training_minimises_falls_towards_the_sharp_image(paper, variant, scale, data):
    loss = Plan(data, paper, variant, scale).assembled(torch.device("cpu")).loss
    outputs, sharp = known_tensors((16, 8, 4))
    towards = [losses.resize_like(sharp, output) - output for output in outputs]
    slope = uphill(sum(loss(outputs, sharp, 0.9).values()), outputs)
    assert slope @ torch.cat([way.flatten() for way in towards]) < 0


# ------------------------------------------------------------------------------------------------- every source

UNUSUAL = {
    "crop": 40,
    "batch": 6,
    "edge": 0.5,
    "augment": ("rot90", "flip_lr"),
    "schedule": "staircase",
    "schedule_args": {"every": 3, "factor": 0.5},
    "loss": "attentive",
    "loss_args": {"lambda_grad": 0.75},
    "test_pairs": 5,
}
"""Fields of a recipe, none as it is by default."""


def unusual(data, source, **fields):
    return Plan(data, "radn", scale="smoke", options={**UNUSUAL, "data": source, **fields})


@pytest.mark.parametrize("source", wiring.SOURCES)
def test_the_first_batch_is_that_of_seed_crop_edge_and_augmentation(source, data, loop):
    plan = replace(unusual(data, source), seed=5)
    train.train_plan(plan, Halves())
    how = {"crop": 40, "batch": 6, "seed": 5, "edge": 0.5, "augment": ("rot90", "flip_lr")}
    wanted = {
        "tree": lambda: loading.Batches(loading.Tree(data.pairs("train")), **how),
        "video": lambda: video.Batches(video.Windows(data.pairs("train"), 1), **how),
        "synthesis": lambda: loading.Batches(loading.Synthesis(), **how),
        "photographs": lambda: bench.Batches(bench.Photographs(), **how, steps=plan.recipe.steps),
        **{rung: partial(bench.Batches, ladder.Photographs(None, rung), **how) for rung in recipes.RUNGS},
    }[source]()
    for found, expected in zip(loop["batches"].loader(0, 3), wanted.loader(0, 3), strict=True):
        for image, other in zip(found, expected, strict=True):
            assert image.shape == (6, 3, 40, 40)
            assert torch.equal(image, other)


def test_rows_of_a_table_that_one_process_trains_expose_their_crops_once(data, loop, monkeypatch):
    crops, crop = [], loading.Synthesis.crop
    monkeypatch.setattr(loading.Synthesis, "crop", lambda *given: crops.append(given[0]) or crop(*given))
    seen = []
    for network, variant in (("attentive", "paper"), ("attentive", "table5_only_ca"), ("radn", "paper")):
        options = {**UNUSUAL, "data": "synthesis", "crop": 24}  # no other test asks for these
        train.train_plan(Plan(data, network, variant, "smoke", seed=77, options=options), Halves())
        seen.append(list(loop["batches"].loader(0, 2)))
    assert len(crops) == 2 * UNUSUAL["batch"]
    for batches in seen[1:]:
        assert all(map(torch.equal, itertools.chain(*batches), itertools.chain(*seen[0])))


@pytest.mark.parametrize("source", wiring.SOURCES)
def test_only_the_validation_split_is_watched_and_no_more_of_it_than_is_scored(source, data, loop, monkeypatch):
    seen = []

    def evaluate(restore, pairs, title=""):
        seen.append((restore, pairs))
        return pd.DataFrame({"psnr_db": [20.0, 24.0]})

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    for limit, count in ((5, 5), (None, 12)):
        network = Halves()
        train.train_plan(unusual(data, source, test_pairs=limit), network)
        assert loop["validate"](network) == {"psnr_db": 22.0}
        restore, pairs = seen.pop()
        assert pairs == data.pairs("validation", limit)
        assert len(pairs) == count
        assert {pair.blurred.parents[2].name for pair in pairs} == {"validation"}
        picture = np.full((80, 40, 3), 102, np.uint8)  # two windows of a rung's
        np.testing.assert_allclose(restore(picture), 0.2, rtol=1e-6)


def test_what_has_no_validation_split_is_not_watched(data, loop):
    for own in (replace(data, bundled=""), copies.open_data(name="dvd")):
        train.train_plan(unusual(own, "tree"), Halves())
        assert loop["validate"] is None


# --------------------------------------------------------------------------------------------------- the way there


@pytest.fixture
def fabrics(monkeypatch):
    """What devices are asked for; one CPU is what there is."""
    asked = []

    def fabric(**options):
        asked.append(options)
        return Fabric(accelerator="cpu", devices=1)

    monkeypatch.setattr(train, "Fabric", fabric)
    return asked


@pytest.fixture
def unscored(monkeypatch):
    """Nothing is scored after a training."""
    assert runs.scoring()  # hashed before functions are replaced
    monkeypatch.setattr(train, "_complete", lambda plan: None)
    monkeypatch.setattr(train, "_gain", lambda plan: "")


def same(network, other):
    first, second = network.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("scale", DATA)
def test_one_training_goes_to_the_devices_that_are_asked_for(scale, data, loop, fabrics, unscored):
    plan = Plan(data, "radn", scale=scale, seed=3, options={"precision": "bf16-mixed"})
    runs.train_one(plan, "4", 2)
    assert fabrics == [{"accelerator": "auto", "devices": "4", "num_nodes": 2, "precision": "bf16-mixed"}]
    assert same(loop["network"], plan.network())
    assert not same(loop["network"], replace(plan, seed=0).network())
    assert loop["recipe"] == plan.recipe
    assert loop["recipe"].data == DATA[scale]
    assert loop["batches"].seed == 3
    assert loop["keeper"].folder == plan.files
    assert [*loop["progress"](range(2, 4))] == [2, 3]


def test_one_training_of_many_takes_one_device_in_its_precision(data, loop, fabrics, unscored, monkeypatch):
    plan, counted = Plan(data, "radn", scale="smoke", seed=3, options={"precision": "bf16-mixed"}), Value("q", 0)
    monkeypatch.setattr(pool, "_steps_done", counted)
    pool._train_and_score(plan)
    assert fabrics == [{"accelerator": "auto", "devices": 1, "precision": "bf16-mixed"}]
    assert same(loop["network"], plan.network())
    assert [*loop["progress"](range(2, 4))] == [2, 3]
    assert counted.value == 2  # for the parent's bar


def test_weights_to_start_from_are_what_a_training_starts_from(data, loop, fabrics, unscored, tmp_path, monkeypatch):
    def load_pretrained(network, path):
        with torch.no_grad():
            next(network.parameters()).fill_(float(path.read_text()))

    monkeypatch.setattr(models.attentive, "load_pretrained", load_pretrained, raising=False)
    (tmp_path / "weights").write_text("0.25")
    monkeypatch.setattr(wiring, "pretrained_code", lambda paper: "")
    runs.train_one(Plan(data, "attentive", scale="smoke", pretrained=str(tmp_path / "weights")))
    assert (next(loop["network"].parameters()) == 0.25).all()


def test_the_folder_of_photographs_is_what_a_training_draws_from(data, loop, tmp_path):
    for level in (40, 200):
        folder = tmp_path / str(level)
        folder.mkdir()
        Image.new("RGB", (500, 400), (level, level, level)).save(folder / "x.png")
        train.train_plan(Plan(data, "radn", scale="bench", photos=str(folder)), Halves())
        assert (loop["batches"].source.scenes[-1] == level).all()


@pytest.mark.parametrize("dirty", [True, False, None])
def test_the_record_says_whether_the_code_was_committed(dirty, data, loop, monkeypatch):
    monkeypatch.setattr(train, "provenance", lambda: {"commit": "abc", "dirty": dirty})
    plan = unusual(data, "tree")
    train.train_plan(plan, Halves())
    record = runs.Run(plan).provenance
    assert (record["commit"], record["dirty"]) == ("abc", dirty)


# ----------------------------------------------------------------------------------------------------------- the key


@contextmanager
def edited(place, old, new):
    """This package, as hashes see it, with other text once in a module, or in that of a function."""
    module = getattr(place, "__module__", place.__name__)
    assert inspect.getsource(sys.modules[module]).count(old) == 1, old
    parse, known = source.ast.parse, source._module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source.ast, "parse", lambda found: parse(found.replace(old, new)))
        other = source._Module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_module", lambda name: other if name == module else known(name))
        patch.setattr(source, "_canonical", cache(source._canonical.__wrapped__))
        yield


RUNGS, EACH = {*recipes.RUNGS}, {*wiring.SOURCES}
PICTURES, FRESH = {"photographs", *RUNGS}, {"synthesis", "photographs", *RUNGS}
EDITS = {
    "paths of bench": (bench, "\nTRAIN_PATH_PX = (8.0, 20.0)", "\nTRAIN_PATH_PX = (8.0, 21.0)", PICTURES),
    "frames of bench": (bench, "\nFRAME_SIZE = (256, 384)", "\nFRAME_SIZE = (256, 383)", PICTURES),
    "kinds of bench": (bench, '\nKIND_CYCLE = ("straight", ', "\nKIND_CYCLE = (", PICTURES),
    "a lesson": (bench, '"variety": (0.2, 0.35)', '"variety": (0.2, 0.4)', PICTURES),
    "the first path": (bench, "\nFIRST_PATH_PX = 6.0", "\nFIRST_PATH_PX = 7.0", PICTURES),
    "scenes of bench": (bench, '("flower", "bunny", ', '("flower", ', PICTURES),
    "paths of mini": (mini, "\nPATH_PX = (2.0, 5.0)", "\nPATH_PX = (2.0, 6.0)", {"synthesis"}),
    "frames of mini": (mini, "\nFRAME_SIZE = (144, 256)", "\nFRAME_SIZE = (144, 255)", {"synthesis"}),
    "kinds of mini": (mini, '\nKIND_CYCLE = ("global", ', "\nKIND_CYCLE = (", {"synthesis"}),
    "kinds of blur": (blur, '\nKINDS = ("global", "local", ', '\nKINDS = ("local", "global", ', FRESH),
    "shifts of rungs": (ladder, "\nLENGTH_PX = 6.0", "\nLENGTH_PX = 7.0", RUNGS),
    "the mean of rungs": (
        wiring.fresh_rungs,
        "losses.geometric, partial(bench.Batches, sharp, device=device)",
        "losses.plain, partial(bench.Batches, sharp, device=device)",
        RUNGS,
    ),
    "the geometric mean": (losses.geometric, "(terms / total).mean()", "terms.mean()", PICTURES),
    "the plain mean": (losses.plain, "    return loss\n", "    return partial(loss)\n", EACH - PICTURES),
    "which mean": (
        wiring.fresh_photographs,
        "losses.geometric, partial(bench.Batches, sharp, device=device, st",
        "losses.plain, partial(bench.Batches, sharp, device=device, st",
        {"photographs"},
    ),
    "lessons": (wiring.fresh_photographs, "device=device, steps=steps,", "device=device,", {"photographs"}),
    "crops of the tree": (loading, "self.pairs[rng.integers(len(self.pairs))]", "self.pairs[0]", {"tree"}),
    "sampling": (wiring.assembled, "plan.seed, recipe.edge,", "plan.seed, 0.0,", EACH),
    "arguments of the loss": (wiring.assembled, "partial(loss, **recipe.loss_args)", "partial(loss)", EACH),
    "the loop": (training.train, "optimiser.zero_grad()", "pass", EACH),
    "the loss": (losses.radn, "{kind: errors[kind]", "{kind: 2 * errors[kind]", EACH),
    "the schedule": (schedules.polynomial, "(1 - hold)) ** power", "(1 - hold))", EACH),
    "another schedule": (schedules.staircase, "* factor ** (step // every)", "* factor", set()),
    "another loss": (losses.simplenet, '{"l1": F.l1_loss', '{"l1": 2 * F.l1_loss', set()),
}
"""What is edited -> where, the text there before and after, and the sources whose trainings get another key."""


def keys(data):
    plans = {kind: Plan(data, "srn", scale="smoke", options={"data": kind, "loss": "radn"}) for kind in wiring.SOURCES}
    return {kind: plan.key for kind, plan in plans.items()}


@pytest.mark.parametrize("what", EDITS)
def test_a_key_follows_the_code_and_the_constants_of_its_source(what, data, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_PHOTOS", str(tmp_path / "none"))
    place, old, new, wanted = EDITS[what]
    before = keys(data)
    with edited(place, old, new):
        after = keys(data)
    assert {kind for kind in before if before[kind] != after[kind]} == wanted
    assert keys(data) == before


OTHER = {
    "steps": 3,
    "batch": 4,
    "crop": 16,
    "lr": 2e-3,
    "schedule": "constant",
    "schedule_args": {"power": 0.5},
    "betas": (0.9, 0.99),
    "eps": 1e-7,
    "weight_decay": 0.1,
    "lr_factors": {"weight": 0.1},
    "clip_norm": {"": 1.0},
    "loss": "mse",
    "loss_args": {"kind": "l1"},
    "config": {"growth": 8},
    "data": "photographs",
    "augment": ("flip_lr",),
    "edge": 0.5,
    "test_pairs": 3,
    "channels_last": True,
    "precision": "bf16-mixed",
    "accumulate": 2,
    "compile": True,
    "average": 0.9,
    "warm_up": 3,
    "growth": {0.5: 2},
    "curriculum": False,
}
WATCHING = {"row_steps": 9, "log_every": 9, "checkpoint_every": 9, "validate_every": 9, "workers": 9}


def test_each_field_of_a_recipe_makes_another_key_or_only_watches(data, tmp_path, monkeypatch):
    """Through the plan, and with one more value of each kind than the recipe's own: no two keys are the same."""
    monkeypatch.setenv("DEBLUR_PHOTOS", str(tmp_path / "none"))
    assert OTHER.keys() | WATCHING.keys() == {*recipes.Recipe.__dataclass_fields__}
    config = Plan(data, "radn", scale="smoke").recipe.config

    def key(**fields):
        return Plan(data, "radn", scale="smoke", options=fields).key

    found = {name: key(**{name: config | value if name == "config" else value}) for name, value in OTHER.items()}
    assert len({key(), *found.values()}) == 1 + len(OTHER), found
    assert {key(**{name: value}) for name, value in WATCHING.items()} == {key()}


def test_all_that_names_a_plan_and_its_data_makes_another_key(data):
    plan = Plan(data, "radn", scale="smoke")
    others = [replace(plan, seed=1), replace(plan, seed=2), replace(plan, budget="row"), replace(plan, name="srn")]
    others += [replace(plan, data=replace(data, **{name: "other"})) for name in ("name", "subset", "fingerprint")]
    assert len({one.key for one in (plan, *others)}) == 1 + len(others)
