"""The run store: what names a run, what makes one, and that none is made twice."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from deblur import evaluation, losses, models, paths, recipes, runs, schedules, source, training
from deblur.data import copies, mini, official
from deblur.runs import Plan, pool, run, train, wiring


@pytest.fixture(scope="module")
def data(mini_root):
    return copies.open_data(mini_root)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def own_tree(mini_root, tmp_path):
    """A GoPro tree of somebody's own: no manifest, no truth, no validation split, other sizes."""
    for split, sequence in (("train", "MINI01_chelsea"), ("test", "MINI03_china")):
        for part in ("blur", "blur_gamma", "sharp"):
            folder = tmp_path / "own" / "GOPRO_Large" / split / "GOPR0001" / part
            folder.mkdir(parents=True)
            for stem in ("000001", "000002"):
                whole = Image.open(mini_root / "GOPRO_Large" / split / sequence / part / f"{stem}.png")
                whole.crop((0, 0, 60, 40)).save(folder / f"{stem}.png")
    return tmp_path / "own"


def smoke(data, variant="paper", **fields):
    return Plan(data, "attentive", variant, **({"scale": "smoke", "budget": "row"} | fields))


def make(plan):
    """One run, made in this process."""
    pool._train_and_score(plan)
    return runs.Run(plan)


def altered(plan, **fields):
    """The plan with another recipe."""
    other = replace(plan)
    other.__dict__["recipe"] = replace(plan.recipe, **fields)
    return other


# ----------------------------------------------------------------------------------------------- what is run


def test_the_bundled_benchmark_is_the_default(data, mini_root):
    assert copies.open_data() == data
    assert data.bundled
    assert (data.name, data.subset, data.root) == ("gopro", "blur", mini_root)
    manifest = json.loads((mini_root / "manifest.json").read_text(encoding="utf-8"))
    assert data.fingerprint == manifest["pixels"][:16]
    assert "mini" in data.label
    assert "blur_gamma" in copies.open_data(subset="blur_gamma").label
    assert [len(data.pairs(split)) for split in ("train", "validation", "test")] == [144, 12, 36]
    assert len(data.validation()) == 12


@pytest.mark.parametrize(("split", "count"), [("train", 144), ("validation", 12), ("test", 36)])
def test_a_limit_takes_different_pairs_from_all_over_the_split(data, split, count):
    every = [pair.name for pair in data.pairs(split)]
    for limit in (1, 3, 4, count - 1, count, count + 5):
        found = [pair.name for pair in data.pairs(split, limit)]
        assert len(found) == len(set(found)) == min(limit, count)
        assert found == [name for name in every if name in found]  # in reading order


@pytest.mark.parametrize(("scale", "kinds"), [("mini", 3), ("bench", 4)])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_four_pairs_are_of_four_scenes_and_of_every_kind(scale, kinds, split):
    """What is shown, and what the smoke scale scores."""
    pairs = copies.open_data(scale=scale).pairs(split, 4)
    assert len({official.read_kind(pair) for pair in pairs}) == kinds
    assert len({pair.sequence for pair in pairs}) == 4


def test_own_data_are_read_from_their_tree(own_tree, store):
    own = copies.open_data(own_tree)
    assert not own.bundled
    assert own.validation() == []
    assert "mini" not in own.label
    assert Plan(own, "attentive", scale="mini").recipe.data == "tree"
    plan = smoke(own)
    run = make(plan)
    assert run.scores()["name"].tolist() == ["GOPR0001/000001", "GOPR0001/000002"]
    assert not any(name.startswith("val_") for name in run.log())


def test_the_fingerprint_of_own_data_follows_their_files(own_tree):
    before = copies.open_data(own_tree)
    assert copies.open_data(own_tree).fingerprint == before.fingerprint
    moved = own_tree.with_name("elsewhere")
    shutil.copytree(own_tree, moved)
    assert copies.open_data(moved).fingerprint == before.fingerprint  # wherever they lie
    path = own_tree / "GOPRO_Large" / "train" / "GOPR0001" / "blur" / "000002.png"
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    assert copies.open_data(own_tree).fingerprint != before.fingerprint


def test_a_root_without_a_tree(tmp_path):
    with pytest.raises(official.DataError, match="expected"):
        copies.open_data(tmp_path)


def test_mini_synthesises_and_smoke_reads(data):
    assert Plan(data, "attentive", scale="mini").recipe.data == "synthesis"
    assert smoke(data).recipe.data == "tree"


def test_weights_are_drawn_from_the_seed_and_from_nothing_else(data):
    before = torch.get_rng_state()
    first, same, other = (smoke(data, seed=seed).network().state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(77)
    again = smoke(data).network().state_dict()
    assert all(torch.equal(first[name], same[name]) and torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


# -------------------------------------------------------------------------------------------------- the key


def test_threads_that_build_networks_do_not_disturb_each_other(data):
    plans = [smoke(data, seed=seed) for seed in range(8)]
    alone = [plan.network().state_dict() for plan in plans]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(8) as pool:
        together = [network.state_dict() for network in pool.map(runs.Plan.network, plans * 8)]
    assert torch.equal(torch.get_rng_state(), before)
    for expected, found in zip(alone * 8, together, strict=True):
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_the_key_is_stable_and_names_the_folder(data, store):
    plan = smoke(data)
    assert plan.key == smoke(data).key
    assert len(plan.key) == 16
    assert int(plan.key, 16) >= 0
    assert plan.folder == store / "attentive" / plan.key
    assert json.loads(json.dumps(plan.content)) == plan.content


def test_the_key_changes_with_whatever_decides_the_result(data):
    plan = smoke(data)
    keys = {
        "plan": plan.key,
        "seed": smoke(data, seed=1).key,
        "scale": smoke(data, scale="mini").key,
        "budget": smoke(data, budget="main").key,
        "configuration": smoke(data, "table5_only_ca").key,
        "loss": smoke(data, "table7_single_scale").key,
        "pixels": smoke(replace(data, fingerprint="0" * 16)).key,
        "variant of the data": smoke(replace(data, subset="blur_gamma")).key,
        "network size": altered(plan, config={**plan.recipe.config, "blocks": 2}).key,
    }
    changes = {
        "steps": 3,
        "batch": 4,
        "crop": 16,
        "lr": 2e-3,
        "schedule": "constant",
        "schedule_args": {"power": 0.5},
        "augment": ("flip_lr",),
        "accumulate": 2,
        "weight_decay": 0.1,
        "clip_norm": {"": 1.0},
        "lr_factors": {"weight": 0.1},
        "betas": (0.9, 0.99),
        "eps": 1e-7,
        "data": "synthesis",
        "edge": 0.5,
        "test_pairs": 3,
        "precision": "bf16-mixed",
        "loss_args": {"lambda_grad": 1.0},
    }
    keys |= {field: altered(plan, **{field: value}).key for field, value in changes.items()}
    assert len(set(keys.values())) == len(keys), keys


def test_the_key_does_not_change_with_what_only_watches(data, tmp_path):
    plan = smoke(data)
    for field in ("row_steps", "log_every", "checkpoint_every", "validate_every", "workers"):
        assert altered(plan, **{field: 7}).key == plan.key, field
    assert smoke(replace(data, root=tmp_path)).key == plan.key


def test_every_field_of_a_recipe_counts_or_is_known_to_watch():
    class Changed:
        """Equal to no default."""

    fields = set(recipes.Recipe.__dataclass_fields__)
    counted = runs.training_part(recipes.Recipe(**{field: Changed() for field in fields}))
    watching = {"row_steps", "log_every", "checkpoint_every", "validate_every", "workers"}
    assert fields - set(counted) == watching | {"config"}  # the configuration is hashed as the network's own
    assert set(runs.training_part(recipes.Recipe(4, 4, 2, 8, 0.1))) == {"steps", "batch", "crop", "lr"}


def test_the_key_follows_the_code_of_network_loss_training_and_data(data, monkeypatch):
    """`test_source.py` shows what an edit does; here, that the right code is asked for."""
    asked = []
    monkeypatch.setattr(wiring, "code_hash", lambda *objects: asked.append(objects) or str(len(asked)))
    first, second = smoke(data), smoke(data)
    assert first.key != second.key
    assert models.NETWORKS["attentive"].network in asked[0]
    assert models.attentive.Config in asked[0]
    assert losses.attentive in asked[0]
    assert schedules.polynomial in asked[0]
    assert training.train in asked[0]
    monkeypatch.undo()

    reached = set()
    monkeypatch.setattr(wiring, "code_hash", lambda *objects: reached.update(source.reached(*objects)) or "")
    for scale, wanted in (
        ("smoke", {("deblur.data.official", "read_pair"), ("deblur.data.loading", "random_window")}),
        ("mini", {("deblur.data.mini", "fresh_shot"), ("deblur.data.loading", "random_window")}),
    ):
        reached.clear()
        assert smoke(data, scale=scale).key
        assert wanted <= reached
        assert not {module for module, _ in reached} & {"deblur.paths", "deblur.runs.store", "deblur.tables"}
        assert {name for module, name in reached if module.startswith("deblur.runs")} < {
            *("_SEEDING", "drawn", "assembled", "Parts", "stored_pairs", "fresh_exposures")
        }


def test_equal_trainings_share_a_folder(data, monkeypatch):
    monkeypatch.setitem(models.attentive.VARIANTS, "again", {"mode": "serial_sa_ca"})
    assert smoke(data, "again").folder == smoke(data).folder
    whole = recipes.RECIPES["attentive"]["smoke"]
    monkeypatch.setitem(recipes.RECIPES["attentive"], "smoke", replace(whole, row_steps=whole.steps))
    assert smoke(data, budget="row").folder == smoke(data, budget="main").folder


def test_pretrained_weights_enter_the_network_and_the_key(data, tmp_path, monkeypatch):
    def load_pretrained(network, path):
        with torch.no_grad():
            next(network.parameters()).fill_(float(path.read_text()))

    monkeypatch.setattr(models.attentive, "load_pretrained", load_pretrained, raising=False)
    file = tmp_path / "weights"
    file.write_text("0.25")
    plan = smoke(data, pretrained=str(file))
    assert (next(plan.network().parameters()) == 0.25).all()
    keys = {smoke(data).key, plan.key}
    file.write_text("0.5")
    keys.add(smoke(data, pretrained=str(file)).key)
    assert len(keys) == 3


def test_a_paper_without_pretrained_weights_says_so(data, tmp_path):
    with pytest.raises(ValueError, match="attentive starts from random weights"):
        smoke(data, pretrained=str(tmp_path)).network()


def test_nothing_stands_beside_the_bundled_blur_of_full_size(data):
    assert data.bundled == "mini"
    assert copies.open_companion(data, "koehler").name == "koehler"
    assert copies.open_companion(replace(data, bundled="bench"), "koehler") is None


def test_unknown_names(data):
    with pytest.raises(ValueError, match="unknown network"):
        _ = Plan(data, "attentiv").key
    with pytest.raises(ValueError, match="unknown variant"):
        _ = smoke(data, "table9").key
    with pytest.raises(ValueError, match="unknown scale"):
        _ = smoke(data, scale="huge").key


# --------------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A store with one finished run."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBLUR_RUNS", str(folder))
        make(smoke(data))
    return folder


def forbid(*arguments, **options):
    raise AssertionError("this must not run again")


def test_a_finished_run_is_loaded_without_training(data, finished, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(finished))
    plan = smoke(data)
    assert plan.key  # hashed, as is the scoring, before functions are replaced
    for module, name in (
        (training, "train"),
        (train, "train_plan"),
        (pool, "_train_in_processes"),
        (evaluation, "evaluate"),
    ):
        monkeypatch.setattr(module, name, forbid)
    pool._train_and_score(plan)
    first, second = runs.load_or_run([plan, plan])
    assert first == second == runs.Run(plan)
    scores = first.scores()
    assert scores["name"].tolist() == [pair.name for pair in data.pairs("test", 4)]
    assert np.isfinite(scores["psnr_db"]).all()
    log = first.log()
    assert log["step"].tolist() == [1, 2]
    assert np.isfinite(log["loss"]).all()
    assert np.isfinite(log["val_psnr_db"].dropna()).all()
    assert len(log["val_psnr_db"].dropna()) == 1
    network = first.network()
    assert not network.training
    weights = load_file(plan.folder / "model.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in plan.network().state_dict().items())


def test_the_scores_are_those_of_the_loaded_network(data, finished, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(finished))
    run = runs.Run(smoke(data))
    again = evaluation.evaluate(evaluation.restorer(run.network()), data.pairs("test", 4))
    pd.testing.assert_frame_equal(run.scores(), again, check_exact=False, rtol=1e-12)


def test_the_folder_of_a_run(data, finished, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(finished))
    plan = smoke(data)
    files = {path.name for path in plan.folder.iterdir()}
    assert files - {"lock"} == {
        "manifest.json",
        "recipe.json",
        "provenance.json",
        "log.csv",
        "state.pt",
        "model.safetensors",
        "per_image.csv",
    }
    assert json.loads((plan.folder / "recipe.json").read_text()) == plan.content


def test_provenance(data, finished, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(finished))
    found = runs.Run(smoke(data)).provenance
    assert set(found) >= {
        "commit",
        "dirty",
        "versions",
        "python",
        "machine",
        "cores",
        "threads",
        "device",
        "training_seconds",
        "scoring",
    }
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["cpu"]
    assert found["threads"] == 1
    assert found["training_seconds"] > 0
    assert found["scoring"] == runs.scoring()
    assert found["device"]
    text = json.dumps(found)
    assert str(paths.project_root()) not in text
    assert str(finished) not in text


def test_scored_again_not_trained_again_when_the_scoring_changes(data, finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "runs")
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    plan = smoke(data)
    kept = (plan.folder / "model.safetensors").read_bytes()
    trained = runs.Run(plan).provenance
    scores = plan.folder / "per_image.csv"
    expected = scores.read_text()
    plan.files.write_text("per_image.csv", "stale")
    for module in (run, train):
        monkeypatch.setattr(module, "scoring", lambda: "another")
    monkeypatch.setattr(train, "train_plan", forbid)
    assert not runs.is_complete(plan)
    pool._train_and_score(plan)
    assert runs.is_complete(plan)
    assert scores.read_text() == expected
    assert (plan.folder / "model.safetensors").read_bytes() == kept
    assert runs.Run(plan).provenance == trained | {"scoring": "another"}


@pytest.mark.parametrize("missing", ["model.safetensors", "provenance.json"])
def test_an_incomplete_run_is_not_taken(data, finished, tmp_path, monkeypatch, missing):
    shutil.copytree(finished, tmp_path / "runs")
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    plan = smoke(data)
    assert runs.is_complete(plan)
    (plan.folder / missing).unlink()
    assert not runs.is_complete(plan)


def test_interrupted_and_made_again_equals_uninterrupted(data, finished, store, monkeypatch):
    plan = altered(smoke(data), checkpoint_every=1)

    def stop(steps):
        yield 0
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_counted", stop)
    with pytest.raises(KeyboardInterrupt, match=f"1 of 2 steps are kept in {plan.folder}; the same command goes on"):
        make(plan)
    assert not runs.is_complete(plan)
    assert torch.load(plan.folder / "state.pt")["step"] == 1
    monkeypatch.undo()
    monkeypatch.setenv("DEBLUR_RUNS", str(store))
    make(plan)
    for name in ("model.safetensors", "per_image.csv", "log.csv"):
        assert (plan.folder / name).read_bytes() == (finished / "attentive" / plan.key / name).read_bytes()


def test_a_run_on_fresh_blur(data, store):
    """Synthesised crops, at the size of a smoke test."""
    plan = altered(smoke(data), data="synthesis", crop=32, test_pairs=1)
    assert plan.key != smoke(data).key
    assert len(make(plan).scores()) == 1


def test_the_blurred_input_is_scored_once(data, store, monkeypatch):
    scores = runs.blurred_scores(data, 2)
    assert scores["name"].tolist() == [pair.name for pair in data.pairs("test", 2)]
    expected = evaluation.evaluate(evaluation.identity, data.pairs("test", 2))
    pd.testing.assert_frame_equal(scores, expected, check_exact=False, rtol=1e-12)
    monkeypatch.setattr(evaluation, "evaluate", forbid)
    pd.testing.assert_frame_equal(runs.blurred_scores(data, 2), scores)
    for other in ((data, 3), (replace(data, fingerprint="0"), 2), (replace(data, subset="blur_gamma"), 2)):
        with pytest.raises(AssertionError, match="must not run"):
            runs.blurred_scores(*other)


# ---------------------------------------------------------------------------------------------- side by side


def test_side_by_side_equals_one_after_the_other_and_a_failure_harms_no_other_run(data, tmp_path, monkeypatch):
    """Also, that a plan given twice is trained once, and that runs come in the order of their plans."""
    plans = [smoke(data), smoke(data, "table5_only_sa", budget="main"), smoke(data)]

    def outcome():
        return [
            {name: (plan.folder / name).read_bytes() for name in ("model.safetensors", "per_image.csv", "log.csv")}
            for plan in plans
        ]

    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "two"))
    done = runs.load_or_run(plans, processes=2)
    assert [run.plan for run in done] == plans
    assert all(run.provenance["threads"] == 1 for run in done)
    assert len(list((tmp_path / "two" / "attentive").iterdir())) == 2
    in_processes = outcome()

    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "one"))
    broken = altered(smoke(data), loss_args={"lambda_grad": float("inf")})
    with pytest.raises(training.DivergedError, match="step 1"):
        runs.load_or_run([*plans, broken], processes=1)  # as short as the shortest, so the last to run
    assert outcome() == in_processes
    assert not runs.is_complete(broken)
    assert not (broken.folder / "model.safetensors").exists()


def test_the_longest_trainings_begin_first(data, store, monkeypatch):
    """By measured speed: a row of a slow network may take longer than a main run."""
    begun = []
    monkeypatch.setattr(pool, "_train_in_processes", lambda plans, *_: begun.extend(plans))
    monkeypatch.setattr(recipes, "EQUAL_TIME", {"attentive": 30, "radn": 10})
    plans = [
        runs.Plan(data, name, "paper", "mini", budget)
        for name, budget in (("attentive", "row"), ("attentive", "main"), ("radn", "row"), ("raidnet", "row"))
    ]
    runs.load_or_run(plans)
    steps = [plan.recipe.steps for plan in plans]
    times = [steps[0] / 30, steps[1] / 30, steps[2] / 10, steps[3] / 10]  # one never timed counts as the slowest
    assert [plans.index(plan) for plan in begun] == sorted(range(4), key=lambda i: -times[i])


def test_the_mini_benchmark_and_its_scores_belong_together(data):
    """The scale of the README trains on what the benchmark's own code makes."""
    plan = Plan(data, "attentive")
    assert plan.scale == "mini"
    assert plan.recipe.crop < min(mini.FRAME_SIZE)
    assert plan.recipe.test_pairs is None


@pytest.mark.parametrize(("scale", "geometric"), [("bench", True), ("mini", False), ("smoke", False)])
def test_only_bench_takes_the_geometric_mean_over_crops(data, scale, geometric):
    plan = Plan(data, "srn", scale=scale)
    loss = plan.assembled(torch.device("cpu")).loss
    output, sharp = torch.rand(2, 3, 8, 8, requires_grad=True), torch.rand(2, 3, 8, 8)
    (gradient,) = torch.autograd.grad(loss((output,), sharp, 0.0)["mse"], output)
    mean = (output - sharp).square().mean((1, 2, 3)).log().mean() if geometric else (output - sharp).square().mean()
    (expected,) = torch.autograd.grad(mean, output)
    assert torch.allclose(gradient, expected, rtol=1e-4)
