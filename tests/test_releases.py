"""The report on released networks: scores of the files, only if they are those of the cards."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deblur import evaluation, paths, runs, writing
from deblur.data import bench, copies, official
from deblur.evaluation import classical
from deblur.reports import releases
from deblur.reports.awkward import tiny_release
from deblur.weights import released


@pytest.fixture
def data(tmp_path, monkeypatch, mini_root):
    """The bundled pairs, and two tiny networks with the cards that a release would give them."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setitem(classical.GRIDS, "mini", replace(classical.GRIDS["mini"], lengths_px=(3,), directions=2))
    found = copies.open_data(mini_root)
    blurred = runs.blurred_scores(found)
    for seed, name in enumerate(("one", "two")):
        file = tiny_release(tmp_path / "weights", name, seed)
        scores = evaluation.evaluate(evaluation.restorer(released.load(name)), found.pairs("test"))
        gain = float(evaluation.add_gain(scores, blurred)["gain_db"].mean())
        made = json.loads(file.with_suffix(".json").read_text())
        made |= {"scores": {"gain_db": gain}, "recipe": {"steps": 7, "seed": 0}}
        made |= {"training": {"training_seconds": 3.0, "device": "CPU"}}
        writing.write_text(file.with_suffix(".json"), json.dumps(made))
        writing.write_text(file.with_suffix(".csv"), "step,loss,val_psnr_db\n1,0.5,\n4,0.3,20\n7,0.2,22.5\n")
    return found


def test_the_report_says_what_each_network_gains_by_kind_and_how_it_was_trained(data, tmp_path):
    releases.report(data, tmp_path)
    summary = pd.read_csv(tmp_path / "summary.csv").set_index("method")
    assert set(summary.index) == {"one", "two", *classical.BOUNDS}
    assert (summary.loc[["one", "two"], ["steps", "training_seconds"]] == [7, 3]).all().all()
    assert summary["gain_db"].is_monotonic_decreasing
    for name, part in runs.bounds(data).items():
        gained = evaluation.add_gain(part, runs.blurred_scores(data))["gain_db"].mean()
        assert summary.loc[name, "gain_db"] == pytest.approx(gained, abs=1e-4)
    scores = pd.read_csv(tmp_path / "scores.csv")
    for method, part in scores.groupby("method"):
        assert len(part) == len(data.pairs("test"))
        assert summary.loc[method, "gain_db"] == pytest.approx(part["gain_db"].mean(), abs=1e-4)
        for kind, rows in part.groupby("kind"):
            assert summary.loc[method, f"gain_db_{kind}"] == pytest.approx(rows["gain_db"].mean(), abs=1e-4)
    for name in ("gain_by_kind", "gain_by_length", "training", "pictures", "inside_one", "inside_two"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_training_is_drawn_as_it_was_logged():
    logs = {"one": pd.DataFrame({"step": [50, 100], "val_psnr_db": [20.5, 22.0]})}
    (axis,) = releases.training(logs | {"two": pd.DataFrame({"step": [50, 100], "val_psnr_db": [np.nan, 21.0]})}).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert drawn == {"one": [[50, 20.5], [100, 22.0]], "two": [[100, 21.0]]}
    shaded = [(patch.get_x() / 100, (patch.get_x() + patch.get_width()) / 100) for patch in axis.patches]
    assert np.allclose(shaded, list(bench.CURRICULUM.values()))


def test_a_card_that_promises_something_else_is_refused(data):
    card = paths.weights_dir() / "two.json"
    made = json.loads(card.read_text())
    made["scores"]["gain_db"] += 0.1
    writing.write_text(card, json.dumps(made))
    with pytest.raises(ValueError, match=r"two gains .* its card says"):
        releases.score(data, releases.methods())


def test_without_weights_there_is_nothing_to_report(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path))
    with pytest.raises(SystemExit, match="holds no weights"):
        releases.methods()


def test_pictures_show_one_pair_of_each_kind(data):
    figure = releases.pictures(data, "one", evaluation.restorer(released.load("one")))
    labels = [axis.get_xlabel() for axis in figure.axes]
    kinds = pd.unique(np.array(runs.blurred_scores(data)["kind"]))
    assert [label.partition(":")[0] for label in labels[::3]] == list(kinds)


def test_inside_stand_the_maps_of_a_moving_object_below_its_truth(data):
    figure = releases.seen_inside(data, released.load("one"), {"SA encoder": "inert"})
    labels = [axis.get_xlabel() for axis in figure.axes if axis.get_xlabel()]
    assert sum("eg" in label for label in labels) == sum("(inert)" in label for label in labels) == 3
    assert labels[:3] == ["blurred", "true path (bright: long)", "cause"]
    assert {axis.get_ylabel() for axis in figure.axes} == {"", "attention", "influence"}
    pair = releases.one_of_each_kind(data.pairs("test"))["local"]
    assert np.array_equal(figure.axes[0].get_images()[0].get_array(), official.read_pair(pair)[0])


def test_each_kind_is_shown_on_a_scene_of_its_own_while_there_are_any(tmp_path):
    def pair(sequence, stem, kind):
        truth = tmp_path / sequence / f"{stem}.npz"
        truth.parent.mkdir(exist_ok=True)
        motion = {"displacement": np.zeros((2, 2, 2), "float32"), "path_px": np.zeros((2, 2), "float32")}
        np.savez(truth, kind=np.array(kind), label=np.zeros((2, 2), np.uint8), **motion)
        return official.Pair(f"{sequence}/{stem}", sequence, truth, truth, truth)

    kinds = ("one", "two", "three", "one")
    pairs = [pair(sequence, stem, kind) for sequence in "ab" for stem, kind in enumerate(kinds)]
    chosen = releases.one_of_each_kind(pairs)
    assert {kind: found.name for kind, found in chosen.items()} == {"one": "a/0", "two": "b/1", "three": "a/2"}
