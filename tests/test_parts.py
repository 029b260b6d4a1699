"""Parts of networks taken out: by hand, against networks that never had them, and against plain statistics."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import redraw
from scipy import stats
from torch import nn

from deblur import cells, cli, evaluation, explore, figures, models, recipes, release, runs, source, tables
from deblur.data import copies, official
from deblur.evaluation import parts as looking
from deblur.figures import attentive as attentive_figures
from deblur.figures import parts as parts_figures
from deblur.models import deform
from deblur.models.parts import Part, covering, equal_weights, present, spatial_mean, without, zero
from deblur.runs import pool, run, train
from deblur.weights import cards, released


def small(name, variant="paper", seed=0):
    """A network of smoke size, its weights drawn at random."""
    return redraw(models.build(name, variant, **recipes.recipe(name, variant, "smoke").config), seed).eval()


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def restored(network, image, part=None):
    if part is None:
        return network(image)[0]
    with without(network, part):
        return network(image)[0]


# ------------------------------------------------------------------------------------------- parts of every network


@pytest.mark.parametrize("name", models.NETWORKS)
def test_taking_a_part_out_changes_the_result_and_leaves_no_trace(name, image):
    left = {*models.parts_of(small(name))}
    assert left or name in ("deblurgan", "dbgan")
    for seed in range(20):
        network = small(name, seed=seed)
        before = restored(network, image)
        for title, part in models.parts_of(network).items():
            if title in left:
                changed = restored(network, image, part)
                assert changed.shape == before.shape
                assert torch.equal(restored(network, image), before), title
                left -= set() if torch.equal(changed, before) else {title}
        assert not any(module._forward_hooks for module in network.modules())
        if not left:
            break
    # An attention unit of one hidden channel is dead in half of the draws, but not in twenty.
    assert not left


@pytest.mark.parametrize("name", models.NETWORKS)
def test_no_part_is_named_in_vain(name):
    """Each part of a file is one of some network or variant in it."""
    file = models.NETWORKS[name].file
    networks = [(other, entry) for other, entry in models.NETWORKS.items() if entry.file is file]
    with torch.device("meta"):
        built = [
            models.build(other, variant, **recipes.recipe(other, variant, "smoke").config)
            for other, _ in networks
            for variant in file.VARIANTS
        ]
    assert {title for network in built for title in models.parts_of(network)} == set(file.PARTS)


def test_a_network_of_nobody_has_no_parts():
    with pytest.raises(ValueError, match="Identity is no network of this package; give its parts"):
        models.parts_of(nn.Identity())


WITHOUT = [  # network, part, the variant that never had it, and differences from it besides
    ("raidnet", "LRR", "table2_double_stage", {}),
    ("raidnet", "dilated branches", "paper", {"block": "plain"}),
    ("raidnet", "stage 2", "table2_single_stage", {}),
    ("simplenet", "LGCR", "no_context", {}),
]


@pytest.mark.parametrize(("name", "title", "variant", "overrides"), WITHOUT)
def test_without_a_part_a_network_is_the_variant_that_has_none(name, title, variant, overrides, image):
    network = small(name)
    config = recipes.recipe(name, variant, "smoke").config | overrides
    other = models.build(name, variant, **config).eval()
    if title == "dilated branches":  # LRR's own block keeps its branch, whatever the stages have
        other.lrr = network.lrr
    missing = other.load_state_dict(network.state_dict(), strict=False).missing_keys
    assert not missing
    assert torch.equal(restored(network, image, network_part(network, title)), restored(other, image))


def network_part(network, title):
    return models.parts_of(network)[title]


def test_undeformed_convolutions_are_ordinary_ones(image):
    network = small("radn")
    other = models.build("radn", "table1_radn4", **recipes.recipe("radn", "table1_radn4", "smoke").config).eval()
    assert not other.load_state_dict(network.state_dict(), strict=False).missing_keys
    parts = [network_part(network, f"DDM {i}, offsets") for i in (1, 2, 3)]
    with without(network, parts[0]), without(network, parts[1]), without(network, parts[2]):
        changed = restored(network, image)
    torch.testing.assert_close(changed, restored(other, image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("modulated", [False, True])
def test_an_undeformed_convolution_keeps_its_masks(modulated):
    convolution = redraw(deform.DeformConv2d(4, 5, modulated=modulated)).eval()
    x = torch.rand(2, 4, 9, 11)
    with torch.no_grad(), without(convolution, Part("", deform.undeformed)):
        changed = convolution(x)
        masks = torch.sigmoid(convolution.offset(x)[:, 18:]) if modulated else torch.ones(2, 9, 9, 11)
        taps = nn.functional.unfold(x, 3, padding=1).view(2, 4, 9, 9, 11) * masks[:, None]
        expected = torch.einsum("ock,nckhw->nohw", convolution.weight.flatten(2), taps)
    torch.testing.assert_close(changed, expected + convolution.bias.view(-1, 1, 1), rtol=1e-4, atol=1e-5)


def test_without_coarser_scales_the_finest_sees_the_blurred_image_twice(image):
    network = small("attentive")
    changed = restored(network, image, network_part(network, "coarser scales"))
    with torch.no_grad():
        assert torch.equal(changed, network.at_scale(0)(torch.cat([image, image], 1)))


def test_equal_weights_of_csam_are_a_plain_mean():
    csam = redraw(models.sgenet.CSAM(6))
    features = [torch.rand(2, 6, 5, 7) for _ in range(3)]
    with torch.no_grad(), without(csam, Part("select", equal_weights)):
        torch.testing.assert_close(csam(*features), sum(features) / 3)


def test_a_stage_that_is_taken_out_leaves_the_image_of_the_one_before(image):
    network = small("sgenet")
    with torch.no_grad():
        outputs = network(image)
        caught = []
        network.sam.register_forward_hook(lambda module, inputs, output: caught.append(output[1]))
        network(image)
    assert torch.equal(restored(network, image, network_part(network, "stage 2")), caught[0])
    assert any(torch.equal(output, caught[0]) for output in outputs[1:])


def test_spatial_means_keep_what_has_no_place():
    maps = torch.rand(2, 3, 4, 5)
    assert torch.equal(spatial_mean(None, (), maps)[1, 2], maps[1, 2].mean().expand(4, 5))


def test_hooks_go_when_something_goes_wrong(image):
    network = small("raidnet")
    with pytest.raises(RuntimeError, match="gone wrong"), without(network, network_part(network, "LRR")):
        raise RuntimeError("gone wrong")
    assert not any(module._forward_hooks for module in network.modules())


def test_variants_lack_what_they_were_built_without():
    with torch.device("meta"):
        assert not {"SA encoder", "CA"} & {*models.parts_of(models.build("attentive", "table5_without_all"))}
        assert "stage 2" not in models.parts_of(models.build("sgenet", "single_stage"))
        assert "LRR" not in models.parts_of(models.build("raidnet", "table2_double_stage"))
        assert "DDM 1, offsets" not in models.parts_of(models.build("radn", "table1_radn4"))
        assert {"LGCR", "PVBs"} & {*models.parts_of(models.build("srn_lgcr"))} == {"LGCR"}
        assert {"LGCR", "PVBs"} & {*models.parts_of(models.build("srn_pvb"))} == {"PVBs"}
        assert not {"LGCR", "PVBs"} & {*models.parts_of(models.build("srn"))}


def test_a_place_belongs_to_the_parts_around_it():
    parts = models.raidnet.PARTS
    assert covering("lrr.attention.masks", parts) == ["LRR", "LRR, masks"]
    assert covering("stages.1.enc1.head", parts) == []  # the network as a whole is around nothing
    assert covering("body.ddm2.0.units.0.2.offset", models.radn.PARTS) == ["DDM 2", "DDM 2, offsets"]


# -------------------------------------------------------------------------------------------------- known answers


class Known(nn.Module):
    """Subtracts 10 levels by each of two parts; a third does nothing, a fourth adds one level of harm."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.idle, self.harm = (nn.Identity() for _ in range(4))
        for module, levels in ((self.first, 10.0), (self.second, 10.0), (self.idle, 0.0), (self.harm, -1.0)):
            module.register_forward_hook(lambda m, i, x, levels=levels: torch.full_like(x, levels / 255))

    def forward(self, blurred):
        return (blurred - self.first(blurred) - self.second(blurred) - self.idle(blurred) - self.harm(blurred),)


KNOWN = {name: Part(name, zero) for name in ("first", "second", "idle", "harm")}
ERRORS = {"a": (40, 50), "b": (60,), "c": (80, 100), "d": (70,)}
"""Scene -> levels by which its blurred images are too bright."""


def pair(sequence, number, error, kind="global"):
    return SimpleNamespace(name=f"{sequence}/{number}", sequence=sequence, truth=kind, error=error)


@pytest.fixture
def pairs(monkeypatch):
    """Pairs of one colour each, in four scenes; two sequences show the scene c."""
    sharp = np.full((16, 16, 3), 100, np.uint8)
    monkeypatch.setattr(official, "read_pair", lambda pair: (sharp + np.uint8(pair.error), sharp))
    monkeypatch.setattr(official, "read_truth", lambda pair: {"kind": np.array(pair.truth)})
    made = [
        pair(f"MINI0{len(scene)}_{scene}", number, error, "local" if number else "global")
        for scene, errors in ERRORS.items()
        for number, error in enumerate(errors)
    ]
    other = next(p for p in made if p.name == "MINI01_c/1")
    made[made.index(other)] = pair("MINI09_c", 1, other.error, "local")
    return made


def change_of(error, levels):
    """The change in dB where an error that is 19 less by the network grows by so many levels."""
    return 20 * np.log10((error - 19) / (error - 19 + levels))


@pytest.fixture
def table(pairs):
    return looking.parts_table(Known().eval(), pairs, KNOWN)


def test_the_table_of_a_network_whose_parts_are_known(table):
    rows = table.set_index(["part", "kind"])
    assert list(table) == list(looking.COLUMNS)
    assert list(rows.index[:3]) == [("first", "all"), ("first", "global"), ("first", "local")]
    for part, levels in (("first", 10), ("second", 10), ("idle", 0), ("harm", -1)):
        by_scene = [np.mean([change_of(error, levels) for error in errors]) for errors in ERRORS.values()]
        row = rows.loc[part, "all"]
        assert row["change_db"] == pytest.approx(np.mean(by_scene), abs=1e-9)
        low, high = stats.ttest_1samp(by_scene, 0).confidence_interval(0.95) if levels else (0, 0)
        assert (row["low_db"], row["high_db"]) == (pytest.approx(low), pytest.approx(high))
        assert (row["pairs"], row["scenes"], row["seeds"]) == (6, 4, 1)
    over_all = {part: rows.loc[part, "all"]["verdict"] for part in KNOWN}
    assert over_all == {"first": "used", "second": "used", "idle": "inert", "harm": "harms"}
    assert looking.verdicts(table) == over_all
    assert rows.loc[("first", "all"), "replaced_by"] == "zero"


def test_a_kind_of_blur_in_too_few_scenes_has_no_interval_and_no_verdict(table):
    row = table.set_index(["part", "kind"]).loc["first", "local"]
    assert row["change_db"] == pytest.approx(np.mean([change_of(50, 10), change_of(100, 10)]))
    assert np.isnan(row["low_db"])
    assert np.isnan(row["high_db"])
    assert (row["scenes"], row["verdict"]) == (2, "undecided")


def test_changes_are_those_of_the_evaluators_scores(mini_root):
    pairs = copies.open_data(mini_root).pairs("test", 1)
    network = small("attentive")
    changed = looking.changes([network], pairs, {"CA": network_part(network, "CA")})
    whole = evaluation.evaluate(evaluation.restorer(network), pairs)["psnr_db"]
    with without(network, network_part(network, "CA")):
        lacking = evaluation.evaluate(evaluation.restorer(network), pairs)["psnr_db"]
    np.testing.assert_allclose(changed["change_db"], lacking - whole, atol=1e-12)
    assert changed["scene"].tolist() == [one.sequence.partition("_")[2] for one in pairs]


def test_seeds_are_paired_and_counted(pairs):
    whole, weaker = Known().eval(), Known().eval()
    weaker.first.register_forward_hook(lambda module, inputs, output: output / 2)
    row = looking.parts_table([whole, weaker], pairs, KNOWN).set_index(["part", "kind"]).loc["first", "all"]
    weak = {error: 20 * np.log10((error - 14) / (error - 9)) for errors in ERRORS.values() for error in errors}
    seeds = [
        [np.mean([change_of(error, 10) for error in errors]) for errors in ERRORS.values()],
        [np.mean([weak[error] for error in errors]) for errors in ERRORS.values()],
    ]
    assert row["seeds"] == 2
    assert row["change_db"] == pytest.approx(np.mean(seeds), abs=1e-9)
    assert row["high_db"] - row["low_db"] == pytest.approx(np.ptp(by_hand(np.array(seeds).T)))


@pytest.mark.parametrize("networks", [[], [Known().eval(), nn.Identity()]])
def test_a_table_needs_networks_that_are_alike(networks, pairs):
    with pytest.raises(ValueError, match="give several seeds of one"):
        looking.parts_table(networks, pairs, KNOWN)
    with pytest.raises(ValueError, match="needs pairs"):
        looking.parts_table(Known(), [], KNOWN)


# ------------------------------------------------------------------------------------------------------- intervals


def by_hand(means):
    """The interval over scenes and seeds, by sums of squares of a two-way layout."""
    scenes, seeds = means.shape
    rows, columns = [np.mean(row) for row in means], [np.mean(column) for column in means.T]
    mean = np.mean(rows)
    square_rows = seeds * sum((row - mean) ** 2 for row in rows) / (scenes - 1)
    square_columns = scenes * sum((column - mean) ** 2 for column in columns) / (seeds - 1)
    total = sum((means[i, j] - mean) ** 2 for i in range(scenes) for j in range(seeds))
    square_rest = (total - square_rows * (scenes - 1) - square_columns * (seeds - 1)) / ((scenes - 1) * (seeds - 1))
    a, b = square_rows / (scenes * seeds), square_columns / (scenes * seeds)
    variance = max(a + b - square_rest / (scenes * seeds), a, b)
    freedom = (a + b) ** 2 / (a**2 / (scenes - 1) + b**2 / (seeds - 1))
    half = stats.t(freedom).ppf(0.975) * variance**0.5
    return mean - half, mean + half


@pytest.mark.parametrize(("scenes", "seeds"), [(3, 2), (4, 3), (15, 3), (5, 5)])
def test_the_interval_over_scenes_and_seeds_against_sums_of_squares(scenes, seeds):
    means = np.random.default_rng(scenes).normal(0.1, 1, (scenes, seeds))
    mean, low, high = looking.interval(means)
    assert mean == pytest.approx(means.mean())
    assert (low, high) == pytest.approx(by_hand(means))


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("of_scenes", "of_seeds"), [(1, 0), (1, 1), (0.3, 1), (0, 0)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, of_scenes, of_seeds):
    rng, held = np.random.default_rng(7), []
    for _ in range(400):
        drawn = of_scenes * rng.normal(size=(8, 1)) + of_seeds * (seeds > 1) * rng.normal(size=(1, seeds))
        _, low, high = looking.interval(0.5 + drawn + 0.2 * rng.normal(size=(8, seeds)))
        held.append(low <= 0.5 <= high)
    assert np.mean(held) > 0.92


def test_no_interval_below_three_scenes_and_none_wide_without_spread():
    assert np.isnan(looking.interval(np.ones((2, 5)))[1:]).all()
    assert looking.interval(np.full((3, 1), 0.25)) == (0.25, 0.25, 0.25)
    assert looking.interval(np.zeros((3, 2))) == (0, 0, 0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.005, 0.005, "inert"),
        (0.001, 0.004, "inert"),
        (-0.006, 0.004, "undecided"),
        (-0.2, -0.001, "used"),
        (0.001, 0.006, "harms"),
        (-1, 1, "undecided"),
        (float("nan"), float("nan"), "undecided"),
    ],
)
def test_verdicts_follow_the_interval(low, high, verdict):
    assert looking.verdict(low, high) == verdict


# ------------------------------------------------------------------------------------------------------- the pairs


@pytest.mark.parametrize(
    ("sequence", "truth", "scene"),
    [
        ("BENCH01_astronaut", "x", "astronaut"),
        ("MINI04_big_buck", "x", "big_buck"),
        ("MINI04_big_buck", None, "MINI04_big_buck"),
        ("GOPR0384_11_00", None, "GOPR0384_11_00"),
        ("GOPR0384_11_00", "x", "GOPR0384_11_00"),
        ("scene001", "x", "scene001"),
    ],
)
def test_the_scene_of_a_pair(sequence, truth, scene):
    assert looking.scene(SimpleNamespace(sequence=sequence, truth=truth)) == scene


def test_few_pairs_show_every_scene_and_kind(mini_root):
    pairs = copies.open_data(mini_root).pairs("test")
    for limit in (1, 12, 31, None):
        chosen = evaluation.spread(pairs, limit)
        assert [one.name for one in chosen] == [one.name for one in pairs if one in chosen]
        assert len(chosen) == min(limit or 99, len(pairs))
        scenes = pd.Series([looking.scene(one) for one in chosen]).value_counts()
        assert scenes.max() - scenes.min() <= (1 if len(chosen) < 32 else 99)
    scenes = {looking.scene(one) for one in pairs}
    assert {looking.scene(one) for one in evaluation.spread(pairs, len(scenes))} == scenes
    assert len({looking.kind(one) for one in evaluation.spread(pairs, 3)}) == 3
    every = {(looking.scene(one), looking.kind(one)) for one in pairs}
    few = evaluation.spread(pairs, len(every))
    assert {(looking.scene(one), looking.kind(one)) for one in few} == every


# ------------------------------------------------------------------------------------- runs, cards, what is shown


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A run store with the main run of a toy-sized network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBLUR_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("DEBLUR_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(scope="module")
def main(store, mini_root):
    plan = runs.Plan(copies.open_data(mini_root), "radn", scale="smoke")
    pool._train_and_score(plan)
    return runs.Run(plan)


def test_a_main_training_ends_with_the_table(main):
    network, pairs = main.network(), evaluation.spread(main.plan.data.pairs("test"), 4)
    assert len({looking.scene(one) for one in pairs}) == 4
    pd.testing.assert_frame_equal(main.parts(), looking.parts_table(network, pairs), check_exact=False, atol=1e-12)
    assert list(main.parts()["part"].unique()) == list(models.parts_of(network))
    assert runs.is_complete(main.plan)


def test_rows_and_data_without_truth_end_without_it(main, monkeypatch):
    row = replace(main.plan, budget="row")
    assert runs.files(row) == runs.FILES
    assert runs.files(main.plan) == (*runs.FILES, "parts.csv")
    pairs = [replace(one, truth=None) for one in main.plan.data.pairs("test")]
    monkeypatch.setattr(copies.Data, "pairs", lambda self, split, limit=None: pairs)
    assert runs.files(main.plan) == runs.FILES
    assert runs.parts_in(row.folder / "nowhere").empty
    assert looking.verdicts(runs.parts_in(row.folder / "nowhere")) == {}


def test_what_code_looks_at_parts_decides_whether_they_are_looked_at_again(main, monkeypatch):
    monkeypatch.setattr(train, "train_plan", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: pytest.fail("scored again"))
    before = (main.plan.folder / "parts.csv").read_bytes()
    with monkeypatch.context() as patch:
        for module in (run, train):
            patch.setattr(module, "looking", lambda plan: "other code")
        assert not runs.is_complete(main.plan)
        pool._train_and_score(main.plan)
        assert runs.is_complete(main.plan)
    assert not runs.is_complete(main.plan)
    (main.plan.folder / "parts.csv").write_text("damaged")
    pool._train_and_score(main.plan)
    assert runs.is_complete(main.plan)
    assert (main.plan.folder / "parts.csv").read_bytes() == before


def test_the_code_that_looks_covers_the_parts_of_the_networks_file(mini_root, monkeypatch):
    data = copies.open_data(mini_root)
    hashes = {run.looking(runs.Plan(data, name, scale="smoke")) for name in ("raidnet", "radn", "attentive")}
    assert len(hashes) == 3
    reached = []
    monkeypatch.setattr(run, "code_hash", lambda *objects: reached.extend(source.reached(*objects)))
    run.looking(runs.Plan(data, "raidnet", scale="smoke"))
    assert ("deblur.models.raidnet", "coarse_image") in reached
    assert ("deblur.evaluation.parts", "INERT_DB") in reached
    assert not {name for _, name in reached} & {"NETWORKS", "RAIDNet", "SGENet"}


def test_of_plans_that_share_a_run_the_main_one_is_made(main, monkeypatch):
    whole = recipes.RECIPES["radn"]["smoke"]
    monkeypatch.setitem(recipes.RECIPES["radn"], "smoke", replace(whole, row_steps=whole.steps))
    made = []
    monkeypatch.setattr(pool, "_train_in_processes", lambda plans, *_: made.extend(plans))
    plans = [runs.Plan(main.plan.data, "radn", scale="smoke", budget=budget, seed=9) for budget in ("main", "row")]
    assert plans[0].key == plans[1].key
    for given in (plans, plans[::-1]):
        made.clear()
        runs.load_or_run(given)
        assert [plan.budget for plan in made] == ["main"]


def test_a_card_carries_the_parts(main):
    table = main.parts()
    entries = release._parts(table)
    card = cards.parsed({"network": "radn", "variant": "paper", "sha256": "0", "parts": entries})
    assert card.verdicts == looking.verdicts(table)
    assert card.parts["SA"]["change_db"] == pytest.approx(
        table.loc[table["part"] == "SA", "change_db"].iloc[0], abs=1e-4
    )
    assert cards.parsed(json.loads(card.text)) == card
    assert release._parts(table[:0]) is None
    assert cards.parsed({"network": "radn", "variant": "paper", "sha256": "0"}).verdicts == {}


@pytest.mark.parametrize("parts", [{"LRR": "inert"}, {"LRR": {}}, {"LRR": {"verdict": 3}}, ["LRR"]])
def test_parts_of_another_kind_are_no_card(parts):
    with pytest.raises(ValueError, match="parts"):
        cards.parsed({"network": "raidnet", "variant": "paper", "sha256": "0", "parts": parts})


def test_what_lies_in_an_inert_part_is_called_so():
    network, blurred = small("raidnet"), np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    plain = [*explore.inside(network, blurred)["masks"]]
    assert plain[0] == "lrr.attention.masks 1"
    assert [*explore.inside(network, blurred, {"LRR": "inert"})["masks"]] == [f"{name} (inert)" for name in plain]
    assert [*explore.inside(network, blurred, {"LRR": "used", "stage 2": "inert"})["masks"]] == plain


def test_verdicts_of_a_run_and_of_a_card_are_looked_up(main, tmp_path):
    one = explore.of_run(main.plan.folder, main.plan.content)
    assert explore.verdicts(one) == looking.verdicts(main.parts())
    card = {"network": "raidnet", "variant": "paper", "sha256": "0", "parts": {"LRR": {"verdict": "inert"}}}
    (tmp_path / "one.json").write_text(json.dumps(card))
    assert explore.verdicts(explore.of_card(tmp_path / "one.safetensors", cards.parsed(card))) == {"LRR": "inert"}


def test_titles_of_inert_parts():
    verdicts = {"SA encoder 2": "inert", "SA decoder": "used"}
    assert figures.marked("SA", verdicts, "SA decoder") == "SA"
    assert figures.marked("SA", {}, "SA decoder") == "SA"
    maps = {
        f"{side} {i}": np.random.default_rng(i).random((8, 8)) for side in ("encoder", "decoder") for i in (1, 2, 3)
    }
    figure = attentive_figures.figure1([np.zeros((8, 8, 3), np.uint8)], [maps], verdicts)
    assert [axis.get_ylabel() for axis in figure.axes] == ["blurred", "SA, encoder 2 (inert)", "SA, decoder 2"]


def test_the_figure_draws_a_line_a_part(table):
    axis = parts_figures.changes(table).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(KNOWN)
    rows = table[table["kind"] == "all"]
    drawn = [line.get_xdata().tolist() for line in axis.lines if len(line.get_xdata()) == 2 and line.get_lw() == 5]
    assert drawn == [[low, high] for low, high in zip(rows["low_db"], rows["high_db"])]


def test_a_notebook_shows_the_table_and_learns_the_verdicts(main, capsys):
    tables.start_anew()
    verdicts = cells.parts(main, "smoke", "radn")
    assert verdicts == looking.verdicts(main.parts())
    folder = tables.folder("smoke", "radn")
    assert all((folder / name).is_file() for name in cells.PARTS)
    row = replace(main.plan, budget="row", seed=5)
    assert cells.parts(runs.Run(row), "smoke", "radn") == {}
    assert capsys.readouterr().out.splitlines()[-1] == "<IPython.core.display.Markdown object>"


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command_lists_parts_of_a_run(main, capsys):
    assert cli.main(["parts", str(main.plan.folder), "--limit", "3"]) == 0
    title, _, heads, *rows, _, note = capsys.readouterr().out.splitlines()
    assert title == "mini gopro (blur), test split, 3 pairs"
    assert re.split("  +", heads)[:5] == ["part", "replaced by", "change", "95 % interval", "verdict"]
    assert [re.split("  +", row)[0] for row in rows] == list(models.parts_of(main.network()))
    assert note.endswith("scenes: 3, seeds: 1")


def test_the_command_gives_the_table_to_programs(main, capsys):
    assert cli.main(["parts", str(main.plan.folder), "--split", "validation", "--limit", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows[0]) == list(looking.COLUMNS)
    assert rows[0]["low_db"] is None
    pairs = evaluation.spread(main.plan.data.pairs("validation"), 1)
    expected = looking.parts_table(main.network(), pairs)
    assert [row["change_db"] for row in rows] == pytest.approx(expected["change_db"].tolist())


def test_the_command_refuses_what_it_cannot_look_at(main, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(released, "load", lambda name: small(name))
    for arguments, message in (
        (["nobody"], "holds no weights"),
        ([str(tmp_path)], "holds no training; give a run's folder"),
        ([str(main.plan.folder)] * 2, "named twice"),
        ([str(main.plan.folder), "--split", "tset"], "no split 'tset'"),
    ):
        assert cli.main(["parts", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_parts_of_the_toy_are_present_by_name():
    assert list(
        present(Known(), KNOWN | {"other": Part("nowhere", zero), "lacking": Part("first", zero, needs="x")})
    ) == [*KNOWN]
