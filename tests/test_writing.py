"""Every command that writes, at every awkward place: what is there stays, and is found before the work begins."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import RLock
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from stand import lost, snapshot
from trees import write_flat, write_gopro

from deblur import cli, evaluation, notebooks, paths, recipes, release, runs, tables, training, writing
from deblur.data import bundled, copies, debian, leaves, official, packing, synthesis, trees
from deblur.evaluation import files
from deblur.runs import store
from deblur.study import ledger, page
from deblur.study.claims import PAPERS
from deblur.upkeep import notebooks as upkeep_notebooks
from deblur.weights import importing, tensors
from deblur.weights.cards import Card

# ----------------------------------------------------------------------------------------------------- the commands


class World:
    """A folder with somebody's files, inputs among them, in which a command is called.

    Attributes:
        out: where the command is told to write, or does so untold.
        given: an input of the command, or a file that might be one.
        works: how often the work itself was begun; then `meanwhile` is called.
    """

    def __init__(self, root, monkeypatch):
        self.root, self.set = root, monkeypatch.setattr
        self.works, self.meanwhile, self.lock = 0, lambda: None, RLock()
        for name in ("inner", "given"):
            (root / name).mkdir()
        (root / "inner" / "thesis.txt").write_text("thesis")
        (root / "thesis.txt").write_text("thesis")
        monkeypatch.chdir(root / "inner")
        for name in ("data", "photos", "runs", "results", "weights"):
            monkeypatch.setenv(f"DEBLUR_{name.upper()}", str(root / "own" / name))
        self.given = root / "given" / "picture.png"
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(self.given)

    def work(self, *_, **__):
        with self.lock:
            self.works += 1
            if self.works == 1:
                self.meanwhile()

    def after_work(self, function):
        """The function, with the work begun before it."""

        def worked(*arguments, **options):
            self.work()
            return function(*arguments, **options)

        return worked


def data_bundled(world):
    def write(root):
        world.work()
        root.mkdir(exist_ok=True)
        (root / "a.txt").write_text("a")

    world.set(bundled, "COPIES", {"mini-gopro": trees.Copy("gopro", write, {})})
    world.set(bundled, "code_hash", lambda *_: "hash")
    return ["data", "bundled", "--root"], "tree"


def data_leaves(world):
    world.set(leaves, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    world.set(leaves, "picture", lambda *_, **__: world.work() or np.zeros((4, 4, 3), np.uint8))
    return ["data", "leaves", "--count", "2", "--out"], "leaves"


def data_photographs(world):
    sha256 = paths.file_sha256(world.given)
    row = debian.Photograph("a.png", "train", "p", "1", "picture.png", "Nobody", "CC0-1.0", sha256)
    world.set(debian, "listed", lambda: [row])
    world.set(debian.shutil, "which", lambda _: "tool")
    world.set(debian, "unpacked", lambda *_: world.work() or world.given.parent)
    return ["data", "photographs", "--out"], "photographs"


def data_synthesize(world):
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(world.root / "given" / f"{number}.png")
    world.given.unlink()
    world.given = world.root / "given" / "0.png"
    world.set(synthesis, "_write_photograph", world.after_work(synthesis._write_photograph))
    options = ["--frames", "1", "--size", "32", "32", "--path-px", "1", "2"]
    return ["data", "synthesize", "--photos", str(world.root / "given"), *options, "--out"], "tree"


def evaluate_blurred(world):
    write_flat(world.root / "given", np.random.default_rng(0), splits=("test",))
    world.given = world.root / "given/test/target/a.png"
    world.set(files, "score_pairs", world.after_work(evaluation.score_pairs))
    where = ["--benchmark", "flat", "--root", str(world.root / "given"), "--protocol", "full_rgb8"]
    return ["score", "--blurred", *where, "--out"], "scores.csv"


def evaluate_weights(world):
    command, name = evaluate_blurred(world)
    world.given = world.root / "given" / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, world.given)
    world.set(tensors, "load_weights", lambda *_: None)
    made_by = ["attentive", "--weights", str(world.given), "--scale", "smoke"]
    return ["evaluate", *made_by, *command[2:]], name


def weights_import(world):
    world.given = world.root / "given" / "checkpoint.safetensors"
    save_file({"a": torch.zeros(1)}, world.given)
    world.set(importing, "_translated", lambda *_: world.work() or {"a": torch.ones(1)})
    return ["weights", "import", "mtrnn", str(world.given), "--out"], "imported.safetensors"


def weights_release(world):
    plan = SimpleNamespace(folder=world.root / "own/runs/attentive/key")
    plan.folder.mkdir(parents=True, exist_ok=True)
    world.given = plan.folder / "model.safetensors"
    save_file({"a": torch.zeros(1)}, world.given)

    def write_weights(run, name, draft):
        world.work()
        save_file({"a": torch.ones(1)}, draft)
        whose = {"name": name, "network": "attentive", "variant": "paper", "recipe": {"key": "key"}}
        return Card(**whose, sha256=paths.file_sha256(draft))

    world.set(cli.options, "plan", lambda _: plan)
    world.set(runs, "is_complete", lambda _: True)
    world.set(runs, "Run", lambda _: SimpleNamespace(log=lambda: pd.DataFrame({"step": [1]})))
    world.set(release, "_write_weights", write_weights)
    return ["weights", "release", "attentive", "tiny"], paths.weights_dir() / "tiny.safetensors"


def weights_partial(world):
    plan = SimpleNamespace(
        folder=world.root / "own/runs/attentive/key",
        files=SimpleNamespace(state=lambda _: "whole"),
        **{"name": "attentive", "variant": "paper", "scale": "smoke", "seed": 0, "key": "key"},
        recipe=recipes.recipe("attentive", scale="smoke"),
    )
    plan.folder.mkdir(parents=True, exist_ok=True)
    world.given = plan.folder / "state.pt"
    torch.save({"step": 1, "seconds": {"a CPU": 1.0}, "network": {"a": torch.zeros(1)}}, world.given)
    true = release.rounded
    world.set(cli.options, "plan", lambda _: plan)
    world.set(release, "rounded", lambda weights: world.work() or true(weights))
    return ["weights", "partial", "attentive"], paths.weights_dir() / "partial" / "attentive.safetensors"


def data_pack(world):
    write_gopro(world.root / "given", np.random.default_rng(0), sequences=1)
    world.given = next((world.root / "given").rglob("*.png"))
    world.set(official, "read_pair", world.after_work(official.read_pair))
    return ["data", "pack", "gopro", str(world.root / "given")], copies.open_data(world.root / "given").packed()


def reproduce(world):
    data = copies.Data("gopro", world.root / "given", "blur", "0123456789abcdef", "mini")

    def execute(notebook, draft, parameters, **_):
        world.work()
        notebooks.check_parameters({"scale": "smoke", "data_root": "", "seed": parameters["seed"]})
        tables.save(pd.DataFrame({"seed": [parameters["seed"]]}), "smoke", "radn", "table1")
        plan = SimpleNamespace(
            seed=parameters["seed"], variant="", budget="", key="", name="radn", content={}, options={}
        )
        run = SimpleNamespace(plan=SimpleNamespace(**vars(plan), data=data), provenance={})
        rows = [{"protocol": "full_rgb8", "gain_db": 1.0}]
        notebooks.finish("radn", "smoke", data, [run], rows, ["tables/table1.csv"])
        nbformat.write(nbformat.v4.new_notebook(), draft)

    world.set(notebooks, "open_data", lambda *_, **__: data)
    world.set(papermill, "execute_notebook", execute)
    return ["reproduce", "radn", "--scale", "smoke"], paths.results_dir() / "smoke" / "radn"


def status_write(world):
    world.set(paths, "project_root", lambda: world.root / "own")
    world.set(tables, "status", lambda: world.work() or "| table |")
    world.set(page, "verdicts", lambda: "| verdicts |")
    (world.root / "own").mkdir(exist_ok=True)
    (world.root / "own" / "README.md").write_text(f"{page.VERDICTS[0]}\n| verdicts |\n{page.VERDICTS[1]}\n")
    return ["status", "--write"], world.root / "own" / "docs" / "status.md"


def claims_write(world):
    true = ledger.table
    world.set(ledger, "table", lambda papers=PAPERS: world.work() or true([]))
    return ["claims", "--write"], paths.results_dir() / "CLAIMS.md"


NAMED = {
    "data bundled": data_bundled,
    "data leaves": data_leaves,
    "data photographs": data_photographs,
    "data synthesize": data_synthesize,
    "score --blurred": evaluate_blurred,
    "evaluate --weights": evaluate_weights,
    "weights import": weights_import,
}
"""Commands that are told where to write."""
UNTOLD = {
    "weights release": weights_release,
    "weights partial": weights_partial,
    "data pack": data_pack,
    "reproduce": reproduce,
    "status --write": status_write,
    "claims --write": claims_write,
}
COMMANDS = NAMED | UNTOLD
OVERWRITING = ("score --blurred", "evaluate --weights", "weights import", "weights release", "weights partial")
"""Those that know `--overwrite`."""
FOLDERS = ("data bundled", "data leaves", "data photographs", "data synthesize", "data pack", "reproduce")
"""Those whose result is a folder."""
REPEATABLE = ("data bundled", "data pack", "reproduce", "status --write", "claims --write")
"""Those that may be called again, since what they wrote is theirs."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def prepare(world, name, overwrite=False):
    """The command line without its place, which is `world.out`."""
    command, place = COMMANDS[name](world)
    world.out = world.root / "out" / place
    world.out.parent.mkdir(parents=True, exist_ok=True)
    options = ["--overwrite"] if overwrite else []
    return (
        [*command[:1], *options, *command[1:]]
        if command[0] in ("evaluate", "score")
        else command[:2] + options + command[2:]
    )


def call(world, name, command, out=None):
    """Run it; returns whether it went well."""
    place = [str(out or world.out)] if name in NAMED else []
    return cli.main([*command, *place]) == 0


# -------------------------------------------------------------------------------------------------- awkward places


def strangers_file(world):
    world.out.write_text("thesis")


def strangers_folder(world):
    world.out.mkdir()
    (world.out / "thesis.txt").write_text("thesis")


def dangling_link(world):
    world.out.symlink_to("nowhere")


def link_to_a_file(world):
    world.out.symlink_to(world.root / "thesis.txt")


def link_to_a_folder(world):
    world.out.symlink_to(world.root / "inner")


def link_to_an_input(world):
    world.out.symlink_to(world.given)


def hard_link_to_an_input(world):
    world.out.hardlink_to(world.given)


def file_above(world):
    world.out.parent.rmdir()
    world.out.parent.write_text("thesis")


def folder_in_place_of_a_file(world):
    world.out.mkdir()


AT_THE_PLACE = (
    strangers_file,
    strangers_folder,
    dangling_link,
    link_to_a_file,
    link_to_a_folder,
    link_to_an_input,
    hard_link_to_an_input,
    file_above,
    folder_in_place_of_a_file,
)
CALLS = [(name, overwrite) for name in COMMANDS for overwrite in ([False, True] if name in OVERWRITING else [False])]
MAY_GO = {(strangers_file, "score --blurred"), (strangers_file, "evaluate --weights")}
"""What `--overwrite` is for: a plain file at the very path of a result that is none of ours."""
FINE = {(folder_in_place_of_a_file, name) for name in FOLDERS} | {(link_to_a_folder, "data pack")}
"""An empty folder is no obstacle to a folder; packed pairs may lie on another disk."""


@pytest.mark.parametrize("place", AT_THE_PLACE)
@pytest.mark.parametrize(("name", "overwrite"), CALLS)
def test_what_stands_in_the_place_stays(world, capsys, name, overwrite, place):
    command = prepare(world, name, overwrite)
    place(world)
    before = snapshot(world.root)
    went_well = call(world, name, command)
    changed = lost(before, snapshot(world.root))
    if overwrite and (place, name) in MAY_GO:
        assert went_well
        assert changed == [world.out.relative_to(world.root).as_posix()]
        assert pd.read_csv(world.out)["name"].tolist() == ["test/a", "test/b", "test/c"]
    elif (place, name) in FINE and not (place is link_to_a_folder and (world.out / "thesis.txt").is_file()):
        assert went_well
        assert not changed
    else:
        assert not went_well
        assert not changed
        assert not world.works, "refused after the work"
        said = capsys.readouterr().err
        assert said.startswith("deblur: ")
        assert world.out.name in said
        assert any(remedy in said for remedy in ("give", "move", "put"))


def the_input_itself(world):
    return world.given


def input_by_another_way(world):
    (world.root / "way").symlink_to(world.given.parent)
    return world.root / "way" / world.given.name


def folder_of_the_inputs(world):
    return world.given.parent


def parent_folder(world):
    return ".."


def this_folder(world):
    return "."


def a_file_as_a_folder(world):
    return world.root / "thesis.txt" / world.out.name


def too_long(world):
    return world.out.with_name("x" * 300 + world.out.suffix)


@pytest.mark.parametrize(
    "place",
    [
        the_input_itself,
        input_by_another_way,
        folder_of_the_inputs,
        parent_folder,
        this_folder,
        a_file_as_a_folder,
        too_long,
    ],
)
@pytest.mark.parametrize(("name", "overwrite"), [(name, overwrite) for name, overwrite in CALLS if name in NAMED])
def test_a_place_that_is_none(world, capsys, name, overwrite, place):
    command = prepare(world, name, overwrite)
    out = place(world)
    before = snapshot(world.root)
    assert not call(world, name, command, out)
    assert not lost(before, snapshot(world.root))
    assert not world.works, "refused after the work"
    assert "give" in capsys.readouterr().err


@pytest.mark.parametrize("appears", [strangers_file, strangers_folder, dangling_link])
@pytest.mark.parametrize(("name", "overwrite"), [(name, over) for name, over in CALLS if name != "status --write"])
def test_what_appears_while_the_work_goes_on_is_kept(world, capsys, name, overwrite, appears):
    command = prepare(world, name, overwrite)
    if name == "data pack":  # which fills its folder as it goes
        world.out /= "GOPR0000_train/000003.npy"
    seen = {}

    def meanwhile():
        world.out.parent.mkdir(parents=True, exist_ok=True)
        appears(world)
        seen.update(snapshot(world.root))

    world.meanwhile = meanwhile
    assert not call(world, name, command)
    assert world.works
    changed = [paths.Path(found) for found in lost(seen, snapshot(world.root))]
    assert not [path for path in changed if not writing.is_draft(path) and not path.name.endswith("journal")]
    said = capsys.readouterr().err
    # What takes no time is not kept: tables, which are made from stored trainings, and a packed pair.
    remedies = {"reproduce": "give a new folder", "data pack": "move it elsewhere and pack again"}
    assert remedies.get(name, "hat was made is") in said


@pytest.mark.parametrize("name", COMMANDS)
def test_called_again(world, capsys, name):
    """What a command wrote goes if that is its way, or by `--overwrite`; never with a stranger's file in it."""
    if name == "status --write":
        (world.root / "own/docs").mkdir(parents=True)
        (world.root / "own/docs/status.md").write_text(f"above\n{tables.STATUS[0]}\n{tables.STATUS[1]}\nbelow\n")
    command = prepare(world, name)
    assert call(world, name, command)
    first = snapshot(world.root)
    assert call(world, name, command) == (name in REPEATABLE)
    if name not in REPEATABLE:
        assert not lost(first, snapshot(world.root))
    if name in OVERWRITING:
        assert "give --overwrite" in capsys.readouterr().err
        before = world.works
        assert call(world, name, prepare(world, name, overwrite=True))
        assert world.works > before
    if name in FOLDERS:
        (world.out / "thesis.txt").write_text("thesis")
        before = snapshot(world.root)
        if name == "data bundled":
            (world.out / "a.txt").write_text("damage")
        assert not call(world, name, command)
        assert "thesis.txt" in capsys.readouterr().err
        assert set(lost(before, snapshot(world.root))) <= {"out/tree/a.txt"}


def test_a_tree_of_ones_own_pictures_is_no_bundled_one(world):
    """Its manifest lists every file, but nobody can make these again."""
    assert call(world, "data synthesize", prepare(world, "data synthesize"))
    before, works = snapshot(world.root), world.works
    assert cli.main([*data_bundled(world)[0], str(world.out)]) != 0
    assert not lost(before, snapshot(world.root))
    assert world.works == works


# ------------------------------------------------------------------------------------------------- nothing is mixed


def seeds_in(folder):
    return [seed for path in folder.rglob("*.csv") for seed in pd.read_csv(path)["seed"]]


def test_results_of_another_seed_lie_beside(world):
    command = prepare(world, "reproduce")
    for seed in ("0", "1", "0"):
        assert call(world, "reproduce", [*command, "--seed", seed])
        assert seeds_in(world.out) == [0]
    assert seeds_in(world.out.with_name("radn-seed1")) == [1]
    for folder in (world.out, world.out.with_name("radn-seed1")):
        record = json.loads((folder / "run.json").read_text())
        assert paths.hashes(folder) == record["files"] | {"run.json": paths.file_sha256(folder / "run.json")}
        assert record["files"].keys() == {"tables/table1.csv", "radn.ipynb"}
    assert sorted(path.name for path in world.out.parent.iterdir()) == ["radn", "radn-seed1"]


@pytest.mark.parametrize(
    ("scale", "bundled", "subset", "seed", "name"),
    [
        ("mini", "mini", "blur", 0, "radn"),
        ("bench", "bench", "blur", 0, "radn"),
        ("mini", "mini", "blur", 2, "radn-seed2"),
        ("mini", "bench", "blur", 0, "radn-01234567"),
        ("bench", "mini", "blur", 1, "radn-seed1-01234567"),
        ("paper", "", "blur", 0, "radn-01234567"),
        ("mini", "mini", "blur_gamma", 0, "radn-01234567-blur_gamma"),
    ],
)
def test_results_are_named_by_seed_and_data_where_these_are_not_the_default(world, scale, bundled, subset, seed, name):
    data = copies.Data("gopro", world.root, subset, "0123456789abcdef", bundled)
    assert notebooks.place(scale, "radn", data, seed) == paths.results_dir() / scale / name


def test_what_a_notebook_makes_is_no_result_until_its_end(world):
    assert call(world, "reproduce", prepare(world, "reproduce"))
    before = snapshot(world.out)
    for name in ("table1", "table2"):  # another notebook, stopped before its last cell
        tables.save(pd.DataFrame({"seed": [7]}), "smoke", "radn", name)
    assert snapshot(world.out) == before
    notebooks.check_parameters({"scale": "smoke", "data_root": "", "seed": 0})
    assert not tables.folder("smoke", "radn").exists()  # the next one begins with nothing
    assert call(world, "reproduce", prepare(world, "reproduce"))
    assert seeds_in(world.out) == [0]


@pytest.mark.parametrize("name", ["tables/table1.csv", "radn.ipynb"])
def test_an_edited_result_is_kept(world, name, capsys):
    command = prepare(world, "reproduce")
    assert call(world, "reproduce", command)
    (world.out / name).write_text("edited")
    before, works = snapshot(world.root), world.works
    assert not call(world, "reproduce", command)
    assert snapshot(world.root) == before
    assert world.works == works
    assert f"{name}, not written by deblur or changed since; move that" in capsys.readouterr().err


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_evaluations_into_one_file(world, capsys, overwrite):
    """The second is told so at once; the rows are those of the first."""
    command = prepare(world, "score --blurred", overwrite)
    other = [*command[:1], str(world.root / "given/test/target"), *command[2 + overwrite :]]
    outcomes = []
    world.meanwhile = lambda: outcomes.append(call(world, "score --blurred", other))
    assert call(world, "score --blurred", command)
    assert outcomes == [False]
    assert "scores.csv.journal is in use: another call" in capsys.readouterr().err
    assert set(pd.read_csv(world.out)["method"]) == {"blurred input"}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("damage", ["a bit", "cut", "lost"])
def test_packing_again_never_blesses_damage(world, whole, damage):
    command = prepare(world, "data pack")
    read_pair, pairs = official.read_pair, copies.open_data(world.root / "given").pairs("train")

    def stop(pair):
        if pair == pairs[-1]:
            raise official.DataError("interrupted")
        return read_pair(pair)

    world.set(official, "read_pair", read_pair if whole else stop)
    assert call(world, "data pack", command) == whole
    file = world.out / f"{pairs[0].name}.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content[:-8] if damage == "cut" else content)
    if damage == "lost":
        file.unlink()
    world.set(official, "read_pair", read_pair)
    assert call(world, "data pack", command)
    assert not packing.damaged(world.out)
    for pair, packed in zip(pairs, packing.open_packed(world.out, pairs).files, strict=True):
        np.testing.assert_array_equal(np.load(packed), read_pair(pair))


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_stored_and_imported_weights_follow_the_umask(world, umask):
    before = os.umask(umask)
    try:
        with writing.replacing(world.root / "stored.safetensors") as draft:
            tensors.save_weights(torch.nn.Linear(1, 1), draft)
        assert call(world, "weights import", prepare(world, "weights import"))
    finally:
        os.umask(before)
    for file in (world.root / "stored.safetensors", world.out, world.out.with_suffix(".json")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


STATUS = f"\ufeffabove\r\n{tables.STATUS[0]}\r\nold\n{tables.STATUS[1]}\nbelow \r\n\r\n"


@pytest.mark.parametrize("change", ["", "no marks", "twice", "turned", "one"])
def test_status_changes_what_stands_between_its_marks(world, capsys, change):
    command = prepare(world, "status --write")
    first, last = tables.STATUS
    text = {
        "": STATUS,
        "no marks": "above",
        "twice": STATUS * 2,
        "turned": f"{last}\n{first}",
        "one": f"{first} and no end",
    }[change]
    world.out.write_bytes(text.encode() + b"\xff")  # which is no UTF-8
    assert call(world, "status --write", command) == (not change)
    expected = text.replace("\r\nold\n", "\n| table |\n") if not change else text
    assert world.out.read_bytes() == expected.encode() + b"\xff"
    assert not change or "each once, where the table is to be" in capsys.readouterr().err
    assert bool(world.works) == (not change)


def test_release_changes_no_other_card(world):
    folder = paths.weights_dir()
    folder.mkdir(parents=True)
    other = {"name": "other", "network": "radn", "variant": "paper", "sha256": "", "recipe": {"key": "x"}}
    (folder / "other.safetensors").write_bytes(b"")
    (folder / "other.json").write_text(json.dumps(other))
    assert call(world, "weights release", prepare(world, "weights release"))
    assert json.loads((folder / "other.json").read_text()) == other
    assert (folder / "tiny.json").is_file()


@pytest.mark.parametrize("name", ["../tiny", "/tiny", "a/tiny", "..", ""])
def test_released_names_lead_nowhere_else(world, name):
    command = prepare(world, "weights release")
    before = snapshot(world.root)
    assert not call(world, "weights release", [*command[:-1], name])
    assert snapshot(world.root) == before


def test_the_copies_for_nbval_replace_only_copies(world):
    """Not the notebooks themselves, say, which have the same names."""
    world.set(papermill, "execute_notebook", lambda source, copy, *_, **__: copy.write_text(source.read_text()))
    folder = world.root / "copies"
    names = {path.name for path in upkeep_notebooks.prepare(folder)}
    assert {path.name for path in upkeep_notebooks.prepare(folder)} == names
    (folder / "manifest.json").unlink()
    before = snapshot(folder)
    with pytest.raises(FileExistsError, match="copies is already there"):
        upkeep_notebooks.prepare(folder)
    assert snapshot(folder) == before


# --------------------------------------------------------------------------------------------------- the run store

STEPS = {"steps": 2, "checkpoint_every": 1}


def store_is_a_file(folder, key_folder):
    folder.write_text("thesis")


def store_is_a_dangling_link(folder, key_folder):
    folder.symlink_to("nowhere")


def store_is_somebodys_folder(folder, key_folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("thesis")


def run_is_a_file(folder, key_folder):
    key_folder.parent.mkdir(parents=True)
    key_folder.write_text("thesis")


def run_holds_a_strangers_file(folder, key_folder):
    key_folder.mkdir(parents=True)
    (key_folder / "thesis.txt").write_text("thesis")


def a_folder_in_place_of_the_weights(folder, key_folder):
    (key_folder / "model.safetensors").mkdir(parents=True)
    (key_folder / "model.safetensors" / "thesis.txt").write_text("thesis")


def a_link_in_place_of_the_log(folder, key_folder):
    key_folder.mkdir(parents=True)
    (key_folder / "log.csv").symlink_to(folder.parent / "thesis.txt")


def a_folder_in_place_of_the_state(folder, key_folder):
    store.Folder(key_folder, key_folder.name).write_text("recipe.json", "{}")
    there = key_folder / "state.pt"
    there.mkdir()
    (there / "thesis.txt").write_text("thesis")


def a_link_in_place_of_the_scores(folder, key_folder):
    store.Folder(key_folder, key_folder.name).write_text("recipe.json", "{}")
    (key_folder / "per_image.csv").symlink_to(folder.parent / "thesis.txt")


@pytest.mark.parametrize(
    ("place", "goes"),
    [
        (store_is_a_file, False),
        (store_is_a_dangling_link, False),
        (store_is_somebodys_folder, True),
        (run_is_a_file, False),
        (run_holds_a_strangers_file, False),
        (a_folder_in_place_of_the_weights, False),
        (a_link_in_place_of_the_log, False),
        (a_folder_in_place_of_the_state, False),
        (a_link_in_place_of_the_scores, False),
    ],
)
def test_train(tmp_path, monkeypatch, mini_root, capsys, place, goes):
    (tmp_path / "thesis.txt").write_text("thesis")
    plan = runs.Plan(copies.open_data(mini_root), "attentive", scale="smoke", options=STEPS)
    assert plan.key
    monkeypatch.setattr(cli.options, "plan", lambda _: plan)
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    place(tmp_path / "runs", plan.folder)
    before = snapshot(tmp_path)
    if not goes:  # which is said before anything is computed
        monkeypatch.setattr(training, "train", lambda *_, **__: pytest.fail("trained"))
    assert (cli.main(["train", "attentive"]) == 0) == goes
    assert not lost(before, snapshot(tmp_path))
    assert goes or "deblur: " in capsys.readouterr().err
