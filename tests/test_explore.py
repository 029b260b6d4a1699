"""Looking around, without a browser: states, arrays and figures against references; widgets are moved by hand."""

import base64
import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from conftest import redraw
from IPython.display import Markdown
from PIL import Image

from deblur import explore, models, notebooks, paths, recipes, runs, writing
from deblur.data import bench, blur, copies, mini, scenes
from deblur.data.loading import as_tensor
from deblur.evaluation import probes
from deblur.explore import controls as explore_controls
from deblur.explore import looks
from deblur.figures import PAPER
from deblur.figures import explore as draw
from deblur.weights import released
from deblur.weights.tensors import save_weights

LOCAL = explore.Choice("astronaut", "local", 6.0, 1)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty run store and an empty folder of released weights."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


def finished(plan, seed=0):
    """A run in the store with random weights, as a training leaves it."""
    network = redraw(plan.network(), seed).eval()
    plan.files.write_weights(network)
    plan.files.write_json("recipe.json", plan.content)
    return network


def small(name):
    """A network of smoke size, its weights drawn at random."""
    return redraw(models.build(name, **recipes.recipe(name, scale="smoke").config)).eval()


# ---------------------------------------------------------------------------------------------- photograph and blur


@pytest.mark.parametrize("kind", blur.KINDS)
def test_the_blurred_frame_is_the_mean_of_the_exposure(kind):
    choice = explore.Choice("china", kind, 8.0, 3)
    seen = explore.expose(choice)
    scene = explore.framed(bench.native_scene("china"), 21)
    assert (seen.truth.sharp == scene[21:-21, 21:-21]).all()
    motion = blur.random_motion(np.random.default_rng(3), kind, bench.FRAME_SIZE, (8.0, 8.0))
    points = torch.from_numpy(np.stack(np.meshgrid(np.arange(384.0), np.arange(256.0)), -1))
    trajectories, label = blur.trajectories(motion, points, bench.FRAME_SIZE)
    assert (seen.truth.label == label.numpy()).all()
    np.testing.assert_allclose(seen.truth.displacement, (trajectories[-1] - trajectories[0]).numpy(), atol=1e-9)
    y, x = 100, 200  # one pixel by hand, bilinearly
    column, row = (trajectories[:, y, x] + 21).numpy().T
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    u, v = (column - left)[:, None], (row - top)[:, None]
    upper = (1 - u) * scene[top, left] + u * scene[top, left + 1]
    lower = (1 - u) * scene[top + 1, left] + u * scene[top + 1, left + 1]
    mean = ((1 - v) * upper + v * lower).mean(0)
    assert np.abs(seen.blurred[y, x] - mean).max() <= 0.51


def test_length_and_seed_are_those_chosen():
    lengths = {px: explore.expose(explore.Choice("china", "global", px)).truth.path_px.mean() for px in (3.0, 12.0)}
    assert lengths == {px: pytest.approx(px, rel=0.2) for px in lengths}
    first, second = (explore.expose(explore.Choice("china", "global", 6.0, seed)) for seed in (0, 1))
    assert (first.blurred != second.blurred).any()
    assert (first.truth.sharp == second.truth.sharp).all()


def test_the_ways_shown_are_those_of_pixels_of_their_kind():
    truth = explore.expose(LOCAL).truth
    assert set(truth.trajectories) == {"global", "local"}
    for kind, trajectory in truth.trajectories.items():
        assert (trajectory[len(trajectory) // 2] == 0).all()
        length = np.hypot(*np.diff(trajectory, axis=0).T).sum()
        same_kind = truth.path_px[truth.label == blur.KINDS.index(kind)]
        assert np.abs(same_kind - length).min() < 1e-9


@pytest.mark.parametrize("choice", [explore.Choice("bus", "local"), explore.Choice("coffee", "none")])
def test_what_is_really_blurred_stays_as_it_is_and_has_no_truth(choice):
    seen = explore.expose(choice)
    assert seen.truth is None
    assert (seen.blurred == explore.framed(explore.photograph(choice.photograph), 0)).all()
    assert "really blurred" in explore.described(choice, seen)
    assert " dB" not in explore.described(choice, seen)
    assert explore.worst(seen) == explore.Loupe()


def test_the_description_is_computed():
    seen = explore.expose(LOCAL)
    text = explore.described(LOCAL, seen)
    share = (seen.truth.label == 1).mean()
    assert f"{seen.truth.path_px.mean():.1f} px on average" in text
    assert f"local {share:.0%}" in text
    assert "sampling" not in text


@pytest.mark.parametrize(
    ("shape", "margin", "expected"),
    [
        ((512, 512), 14, (284, 412)),  # reduced to 412x412
        ((3000, 4000), 0, (256, 384)),
        ((4000, 3000), 10, (404, 276)),  # upright
        ((300, 451), 51, (300, 451)),  # smaller than the frame
    ],
)
def test_a_frame_with_its_margin(shape, margin, expected):
    assert explore.framed(np.zeros((*shape, 3), np.uint8), margin).shape[:2] == expected


def test_a_frame_is_the_middle():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, 500, 3))
    assert explore.framed(ramp, 0).shape == (200, 384, 3)
    high = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    turned = explore.framed(np.ascontiguousarray(np.concatenate([high, high])), 0)
    assert turned.shape == (384, 200, 3)


def test_files_of_ones_own(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 65536, (200, 300), dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    read = explore.photograph(str(tmp_path / "grey.png"))
    assert (read.shape, read.dtype) == ((200, 300, 3), np.uint8)
    assert (read[..., 1] == np.rint(grey / 257)).all()
    monkeypatch.chdir(tmp_path)
    assert explore.expose(explore.Choice("grey.png", "global", 4.0)).blurred.shape == (178, 278, 3)
    Image.fromarray(np.zeros((80, 90, 3), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"small\.png: 80x90 is too small, this needs 86 px a side; shorten the path"):
        explore.expose(explore.Choice("small.png", "global", 4.0))
    with pytest.raises(ValueError, match=r"nowhere\.jpg: no such file, and not one of chelsea.*give the path"):
        explore.expose(explore.Choice("nowhere.jpg"))
    with pytest.raises(
        ValueError, match=r"unknown kind of blur 'defocus'; choose one of straight, global, local, sampling, none"
    ):
        explore.expose(explore.Choice(kind="defocus"))


def test_every_bundled_scene_has_room_for_the_longest_path():
    for name in scenes.SCENES:
        framed = explore.framed(explore.photograph(name), 61, name)
        assert min(framed.shape[:2]) - 122 >= explore.SMALLEST_SIDE


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_path_stays_in_the_margin(seed):
    assert explore.expose(explore.Choice("chelsea", "local", 24.0, seed)).truth is not None


# ------------------------------------------------------------------------------------------------- trained networks


def test_finished_runs_are_found_named_and_loaded(store, mini_root):
    data = copies.open_data(mini_root)
    row = runs.Plan(data, "attentive", "table5_only_ca", "smoke", "row", 7)
    main = runs.Plan(data, "radn", "paper", "smoke")
    networks = [finished(main), finished(row, seed=1)]
    found = explore.trained(toys=True)
    expected = [f"radn, smoke, {main.recipe.steps} steps, seed 0, run {main.key[:4]}"]
    expected += [f"attentive table5_only_ca, smoke, {row.recipe.steps} steps, seed 7, run {row.key[:4]}"]
    assert [one.label for one in found] == expected
    image = torch.rand(1, 3, 40, 56)
    for one, network in zip(found, networks, strict=True):
        assert torch.equal(explore.load(one)(image)[0], network(image)[0])
    assert explore.announced(found) == "2 trained: 0 released, 2 from the run store (attentive, radn)."


def test_unfinished_runs_and_those_of_other_code_are_not_shown(store, mini_root):
    data = copies.open_data(mini_root)
    unfinished, other = (runs.Plan(data, "attentive", "paper", "smoke", "row", seed) for seed in (0, 1))
    writing.write_text(unfinished.folder / "recipe.json", json.dumps(unfinished.content))
    finished(other)
    assert len(explore.trained(toys=True)) == 1
    writing.write_text(other.folder / "recipe.json", json.dumps(other.content | {"code": "0" * 16}))
    assert explore.trained(toys=True) == []


def test_released_weights_come_first_and_the_best_before_all(store, mini_root):
    finished(runs.Plan(copies.open_data(mini_root), "srn", "paper", "smoke"))
    for name, gain_db in (("a", 1.0), ("b", 1.5)):
        config = recipes.recipe("attentive", scale="smoke").config
        file = store / "weights" / f"{name}.safetensors"
        file.parent.mkdir(exist_ok=True)
        save_weights(redraw(models.build("attentive", **config)), file)
        card = {"network": "attentive", "variant": "paper", "scale": "smoke", "config": config}
        card |= {"recipe": {"steps": 4}, "sha256": paths.file_sha256(file)}
        card |= {"scores": {"gain_db": gain_db}, "data": {"fingerprint": "0"}}
        writing.write_text(file.with_suffix(".json"), json.dumps(card))
    assert "srn" not in {one.network for one in explore.trained()}  # a toy
    found = explore.trained(toys=True)
    assert [one.label.split(",")[0] for one in found] == ["b (released", "a (released", "srn"]
    assert found[0].label == "b (released, gains +1.50 dB)"
    assert explore.first(found, "mini") == tuple(found[:2])
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(explore.load(found[0])(image)[0], released.load("b")(image)[0])


def test_nothing_untrained_is_ever_shown(store):
    assert explore.trained() == []
    assert "No trained network is here" in explore.announced([])
    assert explore.looked_into(None, LOCAL) == {}
    assert set(explore.restorations(LOCAL, ())) == {"blurred", "sharp"}
    assert explore.network_menu([], ()).value == ()
    assert explore.network_choice([], ()).value is None


def test_first_looks_at_different_networks_of_the_scale(tmp_path):
    made = [explore.Trained(f"{n} {s}", n, "mini", s, tmp_path) for n, s in (("a", 900), ("a", 130), ("b", 130))]
    made.insert(1, explore.Trained("c", "c", "bench", 500, tmp_path))
    assert [one.label for one in explore.first(made, "mini")] == ["a 900", "b 130"]


@pytest.mark.parametrize("paper", notebooks.PAPERS)
@pytest.mark.parametrize("scale", recipes.SCALES)
def test_runs_are_named_by_variant_and_scale(paper, scale, mini_root):
    plan = runs.Plan(copies.open_data(mini_root), paper, "paper", scale, "row")
    assert explore.named(plan.content) == ("paper", scale)
    assert explore.named(plan.content | {"config": {}}) == ("other", "other recipe")


def test_variants_that_differ_by_their_loss_are_told_apart(mini_root):
    plan = runs.Plan(copies.open_data(mini_root), "attentive", "table7_multi_scale", "mini")
    assert explore.named(plan.content) == ("table7_multi_scale", "mini")


def test_restorations_stand_between_blurred_and_sharp(store, mini_root):
    plan = runs.Plan(copies.open_data(mini_root), "simplenet", "paper", "smoke")
    network = finished(plan)
    [one] = explore.trained(toys=True)
    images = explore.restorations(LOCAL, [one])
    assert list(images) == ["blurred", one.label, "sharp"]
    seen = explore.expose(LOCAL)
    with torch.inference_mode():
        expected = network(as_tensor(seen.blurred)[None])[0][0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(images[one.label] - expected).max() <= 0.51


def test_scores_against_the_definition():
    sharp = np.zeros((4, 6, 3), np.uint8)
    label = np.zeros((4, 6), np.uint8)
    label[:2] = 1
    better = np.full_like(sharp, 10)
    better[:2] = 20
    images = {"blurred": sharp + np.uint8(20), "net": better, "sharp": sharp}
    truth = explore.Truth(sharp, np.zeros((4, 6, 2)), np.zeros((4, 6)), label, {})
    table = explore.scores(images, truth).set_index("picture")
    assert table.index.tolist() == ["blurred", "net"]
    assert table.loc["net", "psnr_db"] == pytest.approx(10 * np.log10(255**2 / 250))
    assert table.loc["net", "gain_db"] == pytest.approx(10 * np.log10(400 / 250))
    assert table.loc["net", "gain_db_global"] == pytest.approx(10 * np.log10(4))
    assert table.loc["net", "gain_db_local"] == 0
    assert "gain_db_sampling" not in table
    assert (table.loc["blurred"].drop("psnr_db") == 0).all()
    assert explore.scores({"blurred": sharp}, None).empty


# -------------------------------------------------------------------------------------------------------- a look inside


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("attentive", {"attention": 6}),
        ("radn", {"attention": 1, "offsets": 6}),
        ("simplenet", {"offsets": 15, "GCRW": 2}),
        ("sgenet", {"attention": 6}),
        ("raidnet", {"masks": 8}),
        ("srn", {}),
    ],
)
def test_what_networks_show(name, counts):
    blurred = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    maps = explore.inside(small(name), blurred)
    assert {sort: len(found) for sort, found in maps.items()} == counts | {"influence": 1}
    assert all(np.isfinite(values).all() and values.ndim == 2 for found in maps.values() for values in found.values())
    assert all(any(np.ptp(values) > 0 for values in found.values()) for found in maps.values())
    table = explore.goes_with(maps, explore.Exposed(blurred))
    assert len(table) == sum(counts.values())
    assert "r_path" not in table


def test_attention_is_that_of_the_probe():
    network, blurred = small("attentive"), np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    expected = probes.spatial_attention(network, as_tensor(blurred)[None])
    found = explore.inside(network, blurred)["attention"]
    for values, reference in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(values, reference.numpy())


def test_offsets_are_lengths_in_pixels():
    network = models.build("simplenet", **recipes.recipe("simplenet", scale="smoke").config)
    blurred = np.zeros((16, 16, 3), np.uint8)
    assert all((values == 0).all() for values in explore.inside(network, blurred)["offsets"].values())
    bias = network.dec1.dr.deformable.offset.bias
    with torch.no_grad():
        bias[0:18:2], bias[1:18:2], bias[18:] = 3, 4, 100  # dy, dx, and the mask, which is no offset
    found = explore.inside(network, blurred)["offsets"]
    np.testing.assert_allclose(found["dec1.dr.deformable.offset"], 5)


def test_influence_of_a_network_that_changes_nothing_is_the_middle_pixel_alone():
    network = models.build("attentive", **recipes.recipe("attentive", scale="smoke").config)
    blurred = np.full((200, 90, 3), 128, np.uint8)
    [influence] = explore.inside(network, blurred)["influence"].values()
    assert influence.shape == (200, 90)
    assert np.argwhere(influence > looks.FAINTEST).tolist() == [[100, 45]]
    assert influence.max() == 0


def test_correlations_of_a_map_that_is_the_way_itself():
    seen = explore.expose(LOCAL)
    maps = {"attention": {"path": seen.truth.path_px}, "influence": {"none": seen.truth.path_px}}
    table = explore.goes_with(maps, seen).set_index("place")
    assert table.index.tolist() == ["path"]
    assert table.loc["path", "r_path"] == pytest.approx(1)
    assert explore.goes_with({}, seen).empty


def test_what_there_is_to_see_at_paper_size():
    table = explore.views_table(["attentive", "srn"])
    assert table.loc["attentive"].to_dict() == {"attention": 18, "offsets": 0, "GCRW": 0, "masks": 0}
    assert not table.loc["srn"].any()


# ---------------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("seed", range(10))
def test_a_loupe_stays_inside_and_looks_where_it_should(seed):
    rng = np.random.default_rng(seed)
    x, y, times = rng.uniform(), rng.uniform(), rng.uniform(1, 16)
    shape = tuple(rng.integers(5, 400, 2))
    for part, side, middle in zip(explore.window(shape, explore.Loupe(x, y, times)), shape, (y, x)):
        length = part.stop - part.start
        assert 0 <= part.start < part.stop <= side
        assert length == max(round(side / times), 1)
        inside = length / 2 < middle * side < side - length / 2
        assert not inside or abs((part.start + part.stop) / 2 - middle * side) <= 1


def test_the_whole_picture_at_once():
    assert explore.window((30, 40), explore.Loupe(0.1, 0.9, 1)) == (slice(0, 30), slice(0, 40))


def test_panels_are_linked_and_enlarge_the_same_window():
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for name in ("blurred", "net", "sharp")}
    figure = explore.loupe_figure(images, explore.Loupe(0.5, 0.5, 4))
    cells = np.array(figure.axes).reshape(3, 3)
    for column, image in zip(cells.T, images.values()):
        whole, enlarged = (np.asarray(axis.get_images()[0].get_array()) for axis in column[:2])
        assert (enlarged == image[12:20, 18:30].repeat(4, 0).repeat(4, 1)).all()
        assert (whole[:10] == image[:10]).all()
        assert (whole[12, 18:30] == (255, 0, 0)).all()
    errors = [np.abs(images[name][12:20, 18:30] - images["sharp"][12:20, 18:30].astype(float)) for name in images]
    assert cells[2, 0].get_xlabel() == f"mean {errors[0].mean():.1f} of 255"
    assert not cells[2, 2].get_images()
    assert cells[0, 0].get_xlabel().endswith(" dB")


def test_without_truth_there_are_no_scores_and_no_errors():
    images = {"blurred": np.zeros((20, 30, 3), np.uint8), "net": np.ones((20, 30, 3), np.uint8)}
    figure = explore.loupe_figure(images, explore.Loupe())
    assert len(figure.axes) == 4
    assert all(axis.get_xlabel() == "" for axis in figure.axes)


@pytest.mark.parametrize("choice", [LOCAL, explore.Choice("china", "sampling", 12.0), explore.Choice("clock_motion")])
def test_figures_are_pictures(choice):
    seen = explore.expose(choice)
    maps = {"attention": {f"block {i}": np.random.default_rng(i).random((8, 8)) for i in range(6)}}
    for figure in (explore.truth_figure(seen), explore.inside_figure(maps, seen)):
        made = explore.shown(figure, "what it shows")
        assert made.data[:2] == b"\xff\xd8"
        assert made.alt == "what it shows"
        ground = np.asarray(Image.open(io.BytesIO(made.data)))[0, 0]
        np.testing.assert_allclose(ground, int(PAPER[1:3], 16), atol=2)


def test_the_true_field_is_drawn_as_it_is():
    truth = explore.expose(LOCAL).truth
    figure = explore.truth_figure(explore.expose(LOCAL))
    arrows = figure.axes[3].collections[0]
    y, x = np.array(arrows.XY).T[::-1].astype(int)
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], -1), truth.displacement[y, x])
    assert arrows.scale == pytest.approx(np.hypot(arrows.U, arrows.V).max() / (384 // 24))
    assert {text.get_text().split()[0] for text in figure.axes[2].get_legend().get_texts()} == {"global", "local"}


def test_an_even_shift_is_drawn_in_one_colour():
    seen = explore.expose(explore.Choice("china", "straight", 12.0))
    length = explore.truth_figure(seen).axes[4].get_images()[0]
    assert np.ptp(length.to_rgba(length.get_array()).reshape(-1, 4), axis=0) == pytest.approx(0, abs=0.01)
    assert (length.norm.vmin, length.norm.vmax) == (12, 13)
    path = explore.inside_figure({}, seen).axes[1].get_images()[0].get_array()
    assert np.ptp(path.reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(explore.truth_figure(explore.expose(LOCAL)).axes[4].get_images()[0].get_array()) > 3


def test_maps_stand_in_rows_of_their_sort():
    maps = {"offsets": {f"unit {i}": np.full((4, 6), i) for i in range(5)}, "masks": {"head": np.eye(4)}}
    figure = draw.inside({"blurred": np.zeros((8, 12, 3))}, maps)
    cells = np.array(figure.axes).reshape(4, 4)
    assert [row[0].get_ylabel() for row in cells] == ["", "offsets", "offsets", "masks"]
    assert cells[2, 0].get_xlabel() == "unit 4\n4 to 4"


class Slider(HTMLParser):
    """The pictures of a slider: alternative text -> pixels."""

    def __init__(self, text):
        super().__init__()
        self.pictures = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "img":
            content = base64.b64decode(values["src"].removeprefix("data:image/png;base64,"))
            self.pictures[values["alt"].partition(":")[0]] = np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("left", ["blurred", "sharp"])
@pytest.mark.parametrize("loupe", [None, explore.Loupe(0.5, 0.5, 4)])
def test_a_slider_holds_what_was_restored_and_what_it_is_compared_with(left, loupe):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for name in ("blurred", "a<b", "net", "sharp")}
    text = explore.compared(images, left, loupe).data
    pictures = Slider(text).pictures
    part = (slice(12, 20), slice(18, 30)) if loupe else (...,)
    assert (pictures.pop("left of the line") == images[left][part]).all()
    assert (pictures.pop("right of the line") == images["a<b"][part]).all()
    assert not pictures
    assert "restored by a&lt;b" in text
    assert not re.search(r"<script|https?:|url\(", text)


def test_what_a_slider_cannot_show_is_said():
    images = {"blurred": np.zeros((8, 8, 3), np.uint8)}
    assert "Choose a network" in explore.compared(images, "blurred").data
    assert "nobody has the sharp one" in explore.compared(images | {"net": images["blurred"]}, "sharp").data


# ---------------------------------------------------------------------------------------------------------- widgets


class Screen:
    """Stands in for IPython's `display`: keeps what is shown, and what takes its place."""

    def __init__(self):
        self.shown = []

    def __call__(self, thing, display_id):
        assert display_id
        self.shown.append(thing)
        return self

    def update(self, thing):
        self.shown.append(thing)


def test_controls_hold_a_choice():
    start = explore.start("smoke", 4)
    controls = explore.blur_controls(start)
    assert explore.chosen(controls) == start
    controls["photograph"].value, controls["kind"].value = "china", "sampling"
    controls["length_px"].value, controls["seed"].value = 11.5, 9
    assert explore.chosen(controls) == explore.Choice("china", "sampling", 11.5, 9)
    controls["file"].value = " mine.jpg "
    assert explore.chosen(controls).photograph == "mine.jpg"
    assert explore.start("bench", 0).length_px > mini.PATH_PX[1]
    loupe = explore.loupe_controls(explore.Loupe(0.2, 0.7, 3))
    loupe["times"].value = 8
    assert explore.loupe_of(loupe) == explore.Loupe(0.2, 0.7, 8)


def test_a_view_follows_its_controls_and_says_what_is_wrong(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(explore_controls, "display", screen)
    controls = explore.blur_controls(explore.Choice("china", "global", 4.0))
    explore.Stage().live(lambda: explore.expose(explore.chosen(controls)), controls.values())
    assert len(screen.shown) == 1
    for name, value in (("length_px", 9.0), ("kind", "sampling"), ("seed", 3), ("photograph", "coffee")):
        controls[name].value = value
        assert screen.shown[-1] is explore.expose(explore.chosen(controls))
        assert screen.shown[-2] is explore_controls.BUSY
    controls["file"].value = "nowhere.png"
    assert isinstance(screen.shown[-1], Markdown)
    assert "nowhere.png: no such file" in screen.shown[-1].data
    controls["file"].value = ""
    assert screen.shown[-1] is explore.expose(explore.chosen(controls))


def test_a_view_that_fails_at_first_is_an_error(monkeypatch):
    monkeypatch.setattr(explore_controls, "display", Screen())
    with pytest.raises(ValueError, match=r"nowhere\.png"):
        explore.Stage().live(lambda: explore.photograph("nowhere.png"), ())


def test_no_panel_is_stale_and_what_is_wrong_is_said_once(monkeypatch):
    shown = []
    monkeypatch.setattr(explore_controls, "display", lambda first, **_: Handle(shown))
    control, other = widgets.IntText(), widgets.IntText()

    def make():
        if control.value == 2:
            raise ValueError("two is wrong")
        return control.value

    stage = explore.Stage()
    for _ in range(3):
        stage.live(make, [control])
    stage.live(lambda: "still", [other])
    control.value = 1
    assert shown == [explore_controls.BUSY] * 3 + [1] * 3
    shown.clear()
    control.value = 2
    assert [getattr(one, "data", one) for one in shown[3:]] == ["**two is wrong**", "", ""]


class Handle:
    """Of a place of a page; keeps what is shown there."""

    def __init__(self, shown):
        self.shown = shown

    def update(self, what):
        self.shown.append(what)


def test_a_picture_of_ones_own_gets_no_blur_unless_asked(tmp_path):
    controls = explore.blur_controls(explore.Choice("china", "straight", 12.0))
    button = explore.upload(controls)
    Image.fromarray(np.full((90, 120, 3), 7, np.uint8)).save(tmp_path / "mine.png")
    content = {"content": (tmp_path / "mine.png").read_bytes(), "name": "../mine.png", "type": "image/png"}
    button.value = ({**content, "size": 9, "last_modified": datetime.now(UTC)},)
    choice = explore.chosen(controls)
    assert choice.photograph.endswith("/mine.png")
    assert choice.kind == "none"
    assert (explore.expose(choice).blurred == 7).all()
    controls["kind"].value = "straight"
    assert explore.chosen(controls).kind == "straight"
    controls["file"].value = ""
    assert explore.chosen(controls) == explore.Choice("china", "straight", 12.0)


@pytest.mark.parametrize(
    ("length", "kind", "wrong"), [(12.0, "straight", ["b"]), (5.0, "local", ["a"]), (5.0, "none", [])]
)
def test_a_length_that_no_training_saw_is_warned_of(length, kind, wrong, tmp_path):
    networks = [
        explore.Trained(*one, "radn", scale, 5, tmp_path) for one, scale in zip("abc", ("bench", "mini", "paper"))
    ]
    said = explore.warned(explore.Choice("china", kind, length), networks)
    assert [name for name in "abc" if f"{name}: " in said] == wrong
    assert bool(said) == bool(wrong)


def test_an_even_shift_moves_every_pixel_alike():
    truth = explore.expose(explore.Choice("china", "straight", 12.0)).truth
    assert truth.path_px == pytest.approx(12.0, abs=1e-4)
    assert np.ptp(truth.displacement, axis=(0, 1)) == pytest.approx([0, 0], abs=1e-4)


def test_what_is_looked_at_first_is_a_gain():
    """With the released networks, as whoever opens the notebook sees it."""
    best = explore.first(explore.trained(), "mini")[0]
    choice = explore.start(best.scale, 0)
    seen = explore.expose(choice)
    scores = explore.scores(explore.restorations(choice, [best]), seen.truth)
    assert scores.set_index("picture").loc[best.label, "gain_db"] > 2
    assert explore.warned(choice, [best]) == ""


def test_networks_are_chosen_from_lists(tmp_path):
    made = [explore.Trained(f"{i}", "attentive", "mini", i, tmp_path) for i in range(3)]
    menu = explore.network_menu(made, made[1:])
    assert menu.value == tuple(made[1:])
    menu.index = (0,)
    assert menu.value == (made[0],)
    assert explore.network_choice(made, made[2:]).value is made[2]
    assert explore.network_choice(made, ()).value is made[0]
    box = explore.column({"a": widgets.IntText(), "b": menu})
    assert box.children[1] is menu
