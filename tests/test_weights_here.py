"""The weights that travel with the code: small, whole, made by this code; docs/status.md says what their cards say."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from deblur import evaluation, paths, runs, stale, tables
from deblur.data import bench, copies, scenes
from deblur.evaluation import complexity
from deblur.photos import dependence
from deblur.release import LARGEST_MB
from deblur.weights import released

FOLDER = paths.project_root() / "weights"
CARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
STALE = stale.listed(paths.project_root() / "results")
pytestmark = pytest.mark.skipif(not CARDS, reason="no weights are released yet")


def test_each_network_has_its_three_files_and_all_fit_into_twenty_megabytes():
    files = {path.name: path.stat().st_size / 1e6 for path in FOLDER.iterdir()}
    assert files.keys() == {f"{name}.{kind}" for name in CARDS for kind in ("safetensors", "json", "csv")} | {
        "photographs.csv",
        "yardsticks.csv",
    }
    weights = [size for name, size in files.items() if name.endswith(".safetensors")]
    assert max(weights) <= LARGEST_MB
    assert sum(weights) <= 20


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_that_of_its_weights(name, monkeypatch):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(FOLDER))
    card, network = CARDS[name], released.load(name)  # by SHA-256
    assert card["parameters"] == complexity.parameters(network)
    assert card["scores"]["gain_db"] > 0
    assert None not in card["training"].values()
    log = pd.read_csv(FOLDER / f"{name}.csv")
    assert log["step"].max() == card["recipe"]["steps"]
    assert log["val_psnr_db"].notna().any()


@pytest.mark.parametrize("name", [name for name in CARDS if f"weights/{name}" not in STALE])
def test_notebooks_at_bench_train_no_network_that_is_released(name, monkeypatch):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(FOLDER))
    card = CARDS[name]
    data = copies.Data("gopro", Path("none"), "blur", card["data"]["fingerprint"], "bench")
    plan = runs.main_plan(data, name, "bench")
    assert plan.key == card["recipe"]["key"]
    assert plan.steps == card["recipe"]["steps"] + card["recipe"].get("steps_before", 0)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_what_tiles_change(name):
    if "tile" not in CARDS[name]:
        assert f"weights/{name}" in STALE
        pytest.skip("to be released again, which measures it")
    tile = CARDS[name]["tile"]
    assert tile["pairs"] == dependence.PHOTOGRAPHS
    assert tile["default"] == dependence.default_tile(tile)
    assert set(map(int, tile["levels"])) == set(dependence.TILES)


def key_of(card, seed):
    """What a run depends on, with photographs and first weights of the card: the key is the hash of it all."""
    data = copies.Data("gopro", Path("none"), "blur", card["data"]["fingerprint"], "bench")
    recipe, budget = card["recipe"], "more" if "pretrained" in card["recipe"] else "main"
    options = {"precision": recipe.get("precision", "32-true")}
    plan = runs.Plan(data, card["network"], card["variant"], card["scale"], budget, seed, options=options)
    photographs = card["data"]["trained_on"]["photographs"]
    plan.__dict__["photographs"] = SimpleNamespace(fingerprint=bench.fingerprint(photographs))
    plan.__dict__["started_from"] = recipe.get("pretrained", "")
    return plan.key


@pytest.mark.parametrize("name", [name for name in CARDS if f"weights/{name}" not in STALE])
def test_the_present_code_would_train_it_again(name):
    seed = CARDS[name]["recipe"]["seed"]
    assert key_of(CARDS[name], seed) == CARDS[name]["recipe"]["key"]


@pytest.mark.parametrize("name", CARDS)
def test_it_never_saw_a_test_scene_and_its_photographs_are_listed_with_their_authors(name):
    trained_on = CARDS[name]["data"]["trained_on"]
    assert {scenes.SCENES[scene].split for scene in trained_on["bundled"]} == {"train"}
    listed = pd.read_csv(FOLDER / "photographs.csv").set_index("name")
    assert trained_on["photographs"]
    for file, sha256 in trained_on["photographs"].items():
        assert listed.loc[file, ["split", "sha256"]].tolist() == ["train", sha256]
        assert listed.loc[file, ["author", "licence"]].notna().all()


def test_the_status_says_what_the_cards_say(monkeypatch):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(FOLDER))
    monkeypatch.setenv("DEBLUR_RESULTS", str(FOLDER.parent / "results"))  # where what is stale is listed
    page = (paths.project_root() / "docs" / "status.md").read_text(encoding="utf-8")
    status = page.split(tables.STATUS[0])[1].split(tables.STATUS[1])[0]
    assert status.endswith("\n".join([*tables.released(), ""]))  # not the rest: who runs a notebook at smoke adds lines
    assert all(f"\n| {name} " in status for name in CARDS)


def test_the_report_is_about_these_weights():
    folder = paths.project_root() / "results" / "bench"
    summary = pd.read_csv(folder / "summary.csv").set_index("method")
    assert set(CARDS) < set(summary.index)
    for name, card in CARDS.items():
        assert summary.loc[name, "gain_db"] == pytest.approx(card["scores"]["gain_db"], abs=2e-3)


SEEDS = paths.project_root() / "results" / "bench" / "seeds.csv"
with_seeds = pytest.mark.skipif(not SEEDS.exists(), reason="nothing released has a second seed")


def seeds():
    return pd.read_csv(SEEDS).set_index(["network", "seed"])


@with_seeds
@pytest.mark.skipif("bench/seeds.csv" in STALE, reason="results/stale.txt names it")
def test_the_present_code_would_make_the_trainings_of_the_table_of_seeds():
    for (name, seed), row in seeds().iterrows():
        assert row["key"] == key_of(CARDS[name], seed)


@with_seeds
def test_the_table_of_seeds_holds_the_released_one():
    table = seeds()
    for (name, seed), row in table.iterrows():
        card = CARDS[name]
        if seed == card["recipe"]["seed"]:
            assert row["gain_db"] == pytest.approx(card["scores"]["gain_db"], abs=2e-3)
    assert table.index.get_level_values("seed").nunique() > 1


@pytest.mark.parametrize("name", CARDS)
def test_it_still_scores_what_its_card_says(name, monkeypatch):
    """On two pairs of the report: weights, code and benchmark belong together, also where weights are stale."""
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(FOLDER))
    scores = pd.read_csv(paths.project_root() / "results" / "bench" / "scores.csv")
    expected = scores[scores["method"] == name].set_index("name")["psnr_db"]
    data = copies.open_data(scale="bench")
    assert data.fingerprint == CARDS[name]["data"]["fingerprint"]
    found = evaluation.evaluate(evaluation.restorer(released.load(name)), data.pairs("test", 2))
    assert len(found) == 2
    for pair, psnr in zip(found["name"], found["psnr_db"], strict=True):
        assert psnr == pytest.approx(expected[pair], abs=2e-3)
