"""The official protocols on layout-true trees, through the command line: tables, restored folders, resuming, errors."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from damage import without_flock
from PIL import Image
from scipy import ndimage
from skimage import data
from trees import WRITERS, save, write_dvd, write_flat

from deblur import cli, evaluation, models, paths, recipes
from deblur.data import bundled, miniatures, official, scenes
from deblur.evaluation import alignment, metrics
from deblur.journal import Journal
from deblur.weights import tensors

FITTING = [
    ("gopro", "full_rgb8"),
    ("hide", "full_rgb8"),
    ("realblur_j", "full_rgb8"),
    ("realblur_j", "realblur_ecc"),
    ("realblur_r", "realblur_ecc"),
    ("koehler", "koehler_best_frame"),
    ("dvd", "dvd_aligned_30"),
    ("dvd", "dvd_plain_all"),
]


def evaluate(benchmark, protocol, out, *arguments, root=None):
    subset = ["--subset", "blur"] if benchmark == "gopro" else []
    root = root or bundled.ensure(f"mini-{benchmark}")
    options = ["--benchmark", benchmark, "--root", root, "--protocol", protocol, "--out", out, *subset, *arguments]
    command = ["evaluate", "attentive"] if "--weights" in arguments else ["score"]
    return cli.main([*command, *map(str, options)])


def printed(text, name):
    """A number of the summary."""
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def restore_into(folder, pairs, restored=official.read_image):
    """Save restored images as another project would, by default the blurred ones."""
    for pair in pairs:
        save(folder / f"{pair.name}.png", restored(pair.blurred))
    return folder


@pytest.fixture(scope="module")
def real_pairs():
    return official.find_pairs("realblur_j", bundled.ensure("mini-realblur_j"), "test")


@pytest.fixture(scope="module")
def koehler_pairs():
    return official.find_pairs("koehler", bundled.ensure("mini-koehler"), "test")


# --------------------------------------------------------------------------------------------------- every benchmark


@pytest.mark.parametrize(("benchmark", "protocol"), FITTING)
def test_a_tree_scores_end_to_end_and_the_same_twice(benchmark, protocol, tmp_path, capsys):
    for name in ("first.csv", "second.csv"):
        assert evaluate(benchmark, protocol, tmp_path / name, "--blurred") == 0
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    assert not list(tmp_path.glob("*.journal"))
    out = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "first.csv")
    choices = {"subset": "blur"} if benchmark == "gopro" else {}
    pairs = official.find_pairs(benchmark, bundled.ensure(f"mini-{benchmark}"), "test", **choices)
    assert list(table["name"]) == [pair.name for pair in evaluation.counted_pairs(protocol, pairs)]
    recorded = {"protocol": protocol, "benchmark": benchmark, "split": "test", "copy": "made by deblur", **choices}
    for name, value in recorded.items():
        assert set(table[name]) == {value}
    assert ("opencv" in table) == (protocol == "realblur_ecc")
    summary = evaluation.summarise_protocol(protocol, table)
    for name, value in summary.items():
        assert printed(out, name) == pytest.approx(value, abs=1e-4)
    assert 20 < summary["psnr_db"] < 40


@pytest.mark.parametrize("benchmark", sorted(official.BENCHMARKS))
@pytest.mark.parametrize("protocol", [*evaluation.PROTOCOLS, "psnr"])
def test_a_protocol_that_does_not_fit_names_those_that_do(benchmark, protocol, tmp_path, capsys):
    fitting = [name for name, entry in evaluation.PROTOCOLS.items() if benchmark in entry.benchmarks]
    if protocol in fitting:
        assert evaluation.protocol_for(protocol, benchmark) is evaluation.PROTOCOLS[protocol]
        return
    assert evaluate(benchmark, protocol, tmp_path / "x.csv", "--blurred", root=tmp_path) == 2
    error = capsys.readouterr().err
    assert (", ".join(fitting) or "it has no sharp images") in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score"], "score what?"),
        (["score", "folder", "--blurred"], "score what?"),
        (["evaluate", "attentive", "--benchmark", "hide", "--out", "x"], "--benchmark, --out go with --weights"),
        (["score", "--blurred"], "give --benchmark, --root, --protocol, --out too"),
        (["evaluate", "attentive", "--weights", "w"], "give --benchmark, --root, --protocol, --out too"),
    ],
)
def test_incomplete_requests(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("benchmark", "status", "message"),
    [("x", 2, "unknown benchmark 'x'"), ("gopro", 2, "give --subset"), ("hide", 1, "HIDE_dataset")],
)
def test_wrong_benchmark_choice_or_tree(benchmark, status, message, tmp_path, capsys):
    options = ["--root", tmp_path, "--protocol", "full_rgb8", "--out", tmp_path / "x.csv"]
    assert cli.main(["score", "--blurred", "--benchmark", benchmark, *map(str, options)]) == status
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- single protocols


def shifted(image, shift_px):
    """An image (H,W,3) moved exactly, by a phase ramp of its spectrum."""
    return np.fft.ifftn(ndimage.fourier_shift(np.fft.fftn(image), (*shift_px, 0))).real


def ecc_losses(scenes, folder):
    """What 2 px and 3 % cost each scene, a table a move; "restored" is the sharp scene softened, then moved."""
    moves = {"still": ((0, 0), 1.0), "right": ((0, 2), 1.03), "up": ((-2, 0), 0.97)}
    frame, tables = np.s_[12:-12, 12:-12], {}  # no border is invented
    for name, sharp in scenes.items():
        sharp = sharp * (240 / 255)  # the gain must not clip
        for part in ("input", "target"):
            save(folder / f"tree/test/{part}/{name}.png", np.rint(sharp[frame]).astype(np.uint8))
        for move, (shift, gain) in moves.items():
            moved = gain * shifted(ndimage.gaussian_filter(sharp, (1.2, 1.2, 0)), shift)
            save(folder / move / f"{name}.png", np.rint(moved[frame].clip(0, 255)).astype(np.uint8))
    for move in moves:
        out, options = folder / f"{move}.csv", [folder / move]
        assert evaluate("realblur_j", "realblur_ecc", out, *options, root=folder / "tree") == 0
        tables[move] = pd.read_csv(out)
        assert tables[move]["aligned"].all()
    columns = ["psnr_db", "psnr_unaligned_db"]
    return {move: tables[move][columns] - tables["still"][columns] for move in ("right", "up")}


def test_ecc_forgives_shift_and_gain(tmp_path, capsys):
    photographs = {name: getattr(data, name)() for name in ("astronaut", "coffee", "rocket", "chelsea")}
    for move, lost in ecc_losses(photographs, tmp_path).items():
        print(move, lost.round(3))
        assert lost["psnr_db"].abs().max() < 0.1
        assert lost["psnr_unaligned_db"].max() < -2


def test_ecc_on_small_frames_forgives_on_average(tmp_path, capsys):
    """On 144 rows two of them make a difference, and so does a hundredth of a pixel along a regular fence."""
    pictures = {name: scenes.load_scene(name).image.permute(1, 2, 0).numpy() * 255 for name in miniatures.TEST}
    for move, lost in ecc_losses({name: scene[:168, :280] for name, scene in pictures.items()}, tmp_path).items():
        print(move, lost.round(3))
        assert abs(lost["psnr_db"].mean()) < 0.1
        assert lost["psnr_db"].abs().max() < 0.15
        assert lost["psnr_unaligned_db"].max() < -3


def test_a_hopeless_image_is_counted_and_kept(real_pairs, tmp_path, capsys):
    folder = restore_into(tmp_path / "restored", real_pairs)
    flat = np.full_like(official.read_image(real_pairs[3].blurred), 90)
    save(folder / f"{real_pairs[3].name}.png", flat)
    assert evaluate("realblur_j", "realblur_ecc", tmp_path / "scores.csv", folder) == 0
    table = pd.read_csv(tmp_path / "scores.csv").set_index("name")
    assert len(table) == len(real_pairs)
    row = table.loc[real_pairs[3].name]
    assert not row["aligned"]
    assert row["psnr_db"] == row["psnr_unaligned_db"]
    assert row["psnr_db"] == pytest.approx(metrics.psnr_db(flat, official.read_image(real_pairs[3].sharp)))
    out = capsys.readouterr().out
    assert printed(out, "unaligned") == 1
    assert printed(out, "psnr_db") == pytest.approx(table["psnr_db"].mean(), abs=1e-4)


def test_koehler_scores_the_best_frame(koehler_pairs, tmp_path, capsys):
    """Every restored image is the first frame of its trajectory, a grey level off; plain PSNR looks at the middle."""

    def first_frame(pair):
        return official.read_image(pair.frames[0]) // 2 * 2 + 1

    folder = tmp_path / "restored"
    for pair in koehler_pairs:
        save(folder / f"{pair.blurred.stem}.png", first_frame(pair))
    assert evaluate("koehler", "koehler_best_frame", tmp_path / "scores.csv", folder) == 0
    table = pd.read_csv(tmp_path / "scores.csv").set_index("name")
    for pair in koehler_pairs:
        assert table.loc[pair.name, "psnr_frame"] == pair.frames[0].stem
        assert table.loc[pair.name, "frames"] == 21
    alone = alignment.koehler_single_frame(
        first_frame(koehler_pairs[0]), official.read_image(koehler_pairs[0].frames[0])
    )
    assert table["psnr_db"].iloc[0] == pytest.approx(alone.psnr_db, rel=1e-12)
    assert table["ms_ssim"].iloc[0] == pytest.approx(alone.ms_ssim, rel=1e-12)
    out = capsys.readouterr().out
    print(out)
    assert printed(out, "psnr_db") > 45
    assert printed(out, "psnr_plain_db") < printed(out, "psnr_db") - 15
    assert printed(out, "ms_ssim") > 0.999


def test_a_frame_itself_scores_as_itself(koehler_pairs):
    pair = koehler_pairs[20]
    for index in (0, 7, 20):
        frame = official.read_image(pair.frames[index])
        row = evaluation.score_koehler(lambda _, frame=frame: frame / 255, pair)
        assert (row["psnr_db"], row["psnr_frame"]) == (np.inf, pair.frames[index].stem)
        assert row["ms_ssim"] == pytest.approx(1, abs=1e-12)
        assert np.isfinite(row["psnr_plain_db"])


def test_koehler_refuses_the_flat_form(tmp_path, koehler_pairs, capsys):
    for pair in koehler_pairs[:2]:
        for part, path in (("input", pair.blurred), ("target", pair.sharp)):
            (tmp_path / "flat" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "flat" / part / pair.blurred.name)
    assert evaluate("koehler", "koehler_best_frame", tmp_path / "x.csv", "--blurred", root=tmp_path / "flat") == 1
    assert "has one sharp frame only" in capsys.readouterr().err


def test_dvd_is_the_mean_of_the_videos_not_of_the_frames(tmp_path, capsys):
    rng = np.random.default_rng(2)
    base = write_dvd(tmp_path, rng, frames=4)
    for frame in (1, 2, 3):
        for part in ("input", "GT"):
            (base / f"IMG_0003/{part}/{frame:05d}.jpg").unlink()
    for protocol in ("dvd_plain_all", "dvd_aligned_30"):
        assert evaluate("dvd", protocol, tmp_path / f"{protocol}.csv", "--blurred", root=tmp_path) == 0
        out, table = capsys.readouterr().out, pd.read_csv(tmp_path / f"{protocol}.csv")
        videos = {name: part["psnr_db"].mean() for name, part in table.groupby("video")}
        assert videos.keys() == set(official.DVD_TEST)
        assert len(table[table["video"] == "IMG_0003"]) == 1
        assert printed(out, "psnr_db") == pytest.approx(np.mean(list(videos.values())), abs=1e-4)
        assert printed(out, "psnr_db") != pytest.approx(table["psnr_db"].mean(), abs=1e-4)
        for name, value in videos.items():
            assert printed(out, f"psnr_db_{name}") == pytest.approx(value, abs=1e-4)
        assert set(table["copy"]) == {"not counted"}


def test_dvd_counts_thirty_frames_of_a_hundred():
    pairs = [official.Pair(f"{video}/{i:05d}", video, None, None) for video in ("a", "b") for i in range(100)]
    names = [pair.name for pair in evaluation.counted_pairs("dvd_aligned_30", pairs)]
    assert len(names) == 60
    assert (names[0], names[29], names[30]) == ("a/00001", "a/00096", "b/00001")  # 2 and 97, counted from one
    assert evaluation.counted_pairs("dvd_plain_all", pairs) == pairs


def test_an_incomplete_copy_is_scored_under_that_name(tmp_path, capsys, caplog):
    write_flat(tmp_path, np.random.default_rng(0), splits=("test",))
    assert evaluate("hide", "full_rgb8", tmp_path / "x.csv", "--blurred", root=tmp_path) == 0
    assert "copy: incomplete: 3 of 2,025 pairs" in capsys.readouterr().out
    assert "3 of 2,025 test pairs" in caplog.text
    assert set(pd.read_csv(tmp_path / "x.csv")["copy"]) == {"incomplete: 3 of 2,025 pairs"}


# ---------------------------------------------------------------------------------------------- restored folders


@pytest.fixture
def flat_tree(tmp_path):
    root = write_flat(tmp_path / "flat", np.random.default_rng(1), splits=("test",), names=("a", "b", "c", "d"))
    return root, official.find_pairs("flat", root, "test")


@pytest.mark.parametrize("layout", ["{0.name}.png", "{0.blurred.stem}.png", "{0.blurred.stem}.PNG"])
def test_restored_images_are_matched_by_name(layout, flat_tree, tmp_path):
    root, pairs = flat_tree
    for pair in pairs:
        path = tmp_path / "restored" / layout.format(pair)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(official.read_image(pair.sharp)).save(path, format="PNG")
    assert evaluate("flat", "full_rgb8", tmp_path / "x.csv", tmp_path / "restored", root=root) == 0
    assert np.isinf(pd.read_csv(tmp_path / "x.csv")["psnr_db"]).all()


def test_missing_extra_and_misshapen_restored_images_are_named(flat_tree, tmp_path, capsys):
    root, pairs = flat_tree

    def error(folder=tmp_path / "restored"):
        assert evaluate("flat", "full_rgb8", tmp_path / "x.csv", folder, root=root) == 1
        return capsys.readouterr().err

    assert "no such folder" in error()
    folder = restore_into(tmp_path / "restored", pairs)
    (folder / "test/b.png").unlink()
    assert "restored: 1 missing (test/b)" in error()
    save(folder / "test/e.png", np.zeros((24, 24, 3), np.uint8))
    assert "1 missing (test/b) and 1 extra (test/e)" in error()
    (folder / "test/e.png").rename(folder / "test/b.png")
    save(folder / "test/b.jpg", np.zeros((24, 24, 3), np.uint8))
    assert "b.png: also there as b.jpg" in error()
    (folder / "test/b.jpg").unlink()
    save(folder / "test/c.png", np.zeros((24, 20, 3), np.uint8))
    assert "test/c.png: is 24x20 (height x width), its blurred image 24x24" in error()
    (folder / "test/c.png").write_bytes(b"")
    assert "test/c.png: zero bytes" in error()
    assert not (tmp_path / "x.csv").exists()


def test_only_the_counted_frames_of_a_video_are_needed(tmp_path, capsys):
    pairs = official.find_pairs("dvd", bundled.ensure("mini-dvd"), "test")
    counted = evaluation.counted_pairs("dvd_aligned_30", pairs)
    assert len(counted) < len(pairs)
    folder = restore_into(tmp_path / "restored", counted)
    assert evaluate("dvd", "dvd_aligned_30", tmp_path / "x.csv", folder) == 0
    assert evaluate("dvd", "dvd_plain_all", tmp_path / "y.csv", folder) == 1
    assert f"{len(pairs) - len(counted)} missing" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- weights


def test_weights_are_scored_and_loaded_strictly(tmp_path, capsys):
    recipe = recipes.recipe("attentive", "paper", "smoke")
    tensors.save_weights(models.build("attentive", **recipe.config), tmp_path / "w.safetensors")
    network = ["--weights", tmp_path / "w.safetensors"]
    assert evaluate("rwbi", "full_rgb8", tmp_path / "x.csv", *network) == 2
    assert (
        evaluate("gopro", "full_rgb8", tmp_path / "x.csv", *network, "--scale", "smoke", "--split", "validation") == 0
    )
    table = pd.read_csv(tmp_path / "x.csv")
    assert len(table) == 12
    assert set(table["method"]) == {"attentive paper smoke"}
    assert set(table["weights"]) == {paths.file_sha256(tmp_path / "w.safetensors")[:16]}
    assert evaluate("gopro", "full_rgb8", tmp_path / "y.csv", *network, "--scale", "mini") == 1
    assert "holds the weights of another network or size" in capsys.readouterr().err
    (tmp_path / "w.safetensors").write_bytes(b"junk")
    assert evaluate("gopro", "full_rgb8", tmp_path / "y.csv", *network, "--scale", "smoke") == 1
    assert "w.safetensors: not a whole safetensors file" in capsys.readouterr().err
    assert not (tmp_path / "y.csv").exists()


# ---------------------------------------------------------------------------------------------------- resuming


class Interrupted:
    """Restores nothing, counts calls, and stops at one of them."""

    def __init__(self, stop=None):
        self.names, self.stop = [], stop

    def __call__(self, pair):
        if len(self.names) == self.stop:
            raise KeyboardInterrupt
        self.names.append(pair.name)
        return evaluation.identity


@pytest.fixture
def evaluation_of(flat_tree, tmp_path):
    def run(method, out="x.csv", called="m"):
        record = {"method": called}
        return evaluation.evaluate_into(tmp_path / out, "full_rgb8", "flat", method, flat_tree[1], record)

    run(Interrupted(), "whole.csv")
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(stop=3))
    assert not (tmp_path / "x.csv").exists()
    return run


def test_an_interrupted_evaluation_goes_on(evaluation_of, tmp_path):
    rest = Interrupted()
    evaluation_of(rest)
    assert rest.names == ["test/d"]
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "x.csv.journal").exists()


@pytest.mark.parametrize(("kept", "again"), [(-1, 2), (-40, 2), (0.5, 3), (5, 4), (0, 4)])
def test_a_half_written_line_is_dropped(kept, again, evaluation_of, tmp_path, caplog):
    journal = tmp_path / "x.csv.journal"
    data = journal.read_bytes()
    kept = int(kept * len(data)) if isinstance(kept, float) else kept
    journal.write_bytes(data[:kept])
    rest = Interrupted()
    evaluation_of(rest)
    assert len(rest.names) == again
    assert ("damaged rows are made again" in caplog.text) == (kept != 0)
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_changed_digit_in_the_journal_is_found(evaluation_of, tmp_path):
    journal = tmp_path / "x.csv.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    at = lines[2].index(b'"psnr_db": ') + len(b'"psnr_db": ')
    digit = b"1" if lines[2][at : at + 1] != b"1" else b"2"
    lines[2] = lines[2][:at] + digit + lines[2][at + 1 :]
    journal.write_bytes(b"".join(lines))
    rest = Interrupted()
    evaluation_of(rest)
    assert rest.names == ["test/b", "test/c", "test/d"]
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_rows_of_another_method_stay(evaluation_of, tmp_path):
    before = (tmp_path / "x.csv.journal").read_bytes()
    other = Interrupted()
    with pytest.raises(FileExistsError, match=r"x\.csv\.journal belongs to other work; finish that, remove it"):
        evaluation_of(other, called="another")
    assert not other.names
    assert (tmp_path / "x.csv.journal").read_bytes() == before
    rest = Interrupted()
    evaluation_of(rest)
    assert rest.names == ["test/d"]


def test_rows_of_changed_files_are_not_used(evaluation_of, flat_tree):
    pair = flat_tree[1][0]
    save(pair.blurred, official.read_image(pair.sharp))
    rest = Interrupted()
    table = evaluation_of(rest)
    assert rest.names == ["test/a", "test/d"]
    assert np.isinf(table["psnr_db"].iloc[0])


def test_a_restored_image_that_changed_is_scored_again(flat_tree, tmp_path):
    root, pairs = flat_tree
    folder = restore_into(tmp_path / "restored", pairs)
    (folder / "test/d.png").write_bytes(b"")
    options = ("flat", "full_rgb8", tmp_path / "x.csv", folder)
    assert evaluate(*options, root=root) == 1  # three rows are in the journal now
    for name in "ad":
        save(folder / f"test/{name}.png", official.read_image(root / f"test/target/{name}.png"))
    assert evaluate(*options, root=root) == 0
    assert np.isinf(pd.read_csv(tmp_path / "x.csv")["psnr_db"]).tolist() == [True, False, False, True]


def test_a_journal_gives_back_what_was_written(tmp_path):
    row = {"name": "é", "x": 0.1 + 0.2, "inf": np.inf, "nan": np.nan, "n": 3, "yes": True, "none": None}
    with Journal(tmp_path / "j", {"of": 1}) as journal:
        journal.append("a", "s", row)
    with Journal(tmp_path / "j", {"of": 1}) as again:
        assert not again.dropped
        stamp, found = again.rows["a"]
    assert stamp == "s"
    assert repr(found) == repr(row)
    with pytest.raises(FileExistsError, match="j belongs to other work"):
        Journal(tmp_path / "j", {"of": 2})


def test_a_journal_without_rows_is_in_nobodys_way(tmp_path):
    with Journal(tmp_path / "j", {"of": 1}):
        pass
    assert not (tmp_path / "j").exists()
    with Journal(tmp_path / "j", {"of": 1}):
        left = (tmp_path / "j").read_bytes()
    for there in (b"", left):  # of a killed call
        (tmp_path / "j").write_bytes(there)
        with Journal(tmp_path / "j", {"of": 2}) as journal:
            journal.append("a", "s", {})
        with Journal(tmp_path / "j", {"of": 2}) as journal:
            assert list(journal.rows) == ["a"]
            assert not journal.dropped
            journal.remove()


@pytest.mark.parametrize("there", [b"a letter", b"a letter\nof two lines\n", b"\n", b"00000000 {}\n"])
def test_what_is_no_journal_stays(tmp_path, there):
    (tmp_path / "j").write_bytes(there)
    with pytest.raises(FileExistsError, match="j belongs to other work"):
        Journal(tmp_path / "j", {"of": 1})
    assert (tmp_path / "j").read_bytes() == there


@pytest.mark.parametrize("flock", [True, False], ids=["flock", "no flock"])
def test_one_call_at_a_time_holds_a_journal(tmp_path, monkeypatch, flock):
    if not flock:
        without_flock(monkeypatch)
    with Journal(tmp_path / "j", {"of": 1}) as journal:
        journal.append("a", "s", {})
        with pytest.raises(BlockingIOError, match="j is in use: another call"):
            Journal(tmp_path / "j", {"of": 1})
        journal.remove()
        with Journal(tmp_path / "j", {"of": 1}) as other:  # which the first, when it ends, leaves alone
            other.append("b", "s", {})
    with Journal(tmp_path / "j", {"of": 1}) as other:
        assert list(other.rows) == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


RESTORED = {
    "gopro": ["GOPRO_Large/test/{seq}/blur/{stem}", "test/{seq}/blur/{stem}", "{seq}/blur/{stem}", "a/b/{seq}/{stem}"],
    "hide": ["HIDE_dataset/test/{seq}/{stem}", "test/{seq}/{stem}", "x/{stem}"],
    "realblur_j": ["RealBlur-J_ECC_IMCORR_centroid_itensity_ref/{seq}/blur/{stem}", "{seq}/blur/{stem}"],
    "dvd": ["quantitative_datasets/{seq}/input/{stem}", "{seq}/input/{stem}"],
    "koehler": ["BlurryImages/{stem}", "a/b/{stem}"],
    "flat": ["test/input/{stem}", "input/{stem}", "x/test/{stem}"],
}


@pytest.mark.parametrize(("benchmark", "layout"), [(name, layout) for name in RESTORED for layout in RESTORED[name]])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".TIF"])
def test_a_restored_tree_is_taken_as_it_is(benchmark, layout, suffix, tmp_path):
    write, _, choices = WRITERS[benchmark]
    write(tmp_path / "tree", np.random.default_rng(2))
    pairs = official.find_pairs(benchmark, tmp_path / "tree", "test", **choices)
    wanted = {}
    for pair in pairs:
        wanted[pair.name] = tmp_path / "out" / f"{layout.format(seq=pair.sequence, stem=pair.blurred.stem)}{suffix}"
        wanted[pair.name].parent.mkdir(parents=True, exist_ok=True)
        wanted[pair.name].touch()
    protocol = next(name for name, entry in evaluation.PROTOCOLS.items() if benchmark in entry.benchmarks)
    assert evaluation.restored_files(tmp_path / "out", pairs, protocol) == wanted
    missing = wanted.pop(pairs[0].name)
    missing.unlink()
    with pytest.raises(official.DataError, match=r"out: 1 missing"):
        evaluation.restored_files(tmp_path / "out", pairs, protocol)
    missing.with_name(f"{missing.stem}-restored{suffix}").touch()
    with pytest.raises(official.DataError, match=r"out: .*missing.* extra"):
        evaluation.restored_files(tmp_path / "out", pairs, protocol)


def test_a_restored_name_that_two_images_fit_is_none(tmp_path):
    write, _, choices = WRITERS["gopro"]
    write(tmp_path / "tree", np.random.default_rng(2))
    pairs = official.find_pairs("gopro", tmp_path / "tree", "test", **choices)
    for above in ("blur", "blur_gamma"):
        for pair in pairs:
            path = tmp_path / "out" / pair.sequence / above / f"{pair.blurred.stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    with pytest.raises(official.DataError, match=r"6 missing .*12 extra .*; \S+/blur/000001 is not \S+/000001; images"):
        evaluation.restored_files(tmp_path / "out", pairs, "full_rgb8")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a pipe, not an image"),
        (lambda path: path.symlink_to(path.name), "is a link in a circle, not an image"),
        (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere, not an image"),
        (lambda path: path.mkdir(), "is a folder, not an image"),
    ],
)
def test_what_is_no_restored_image_is_named(make, message, flat_tree, tmp_path):
    _, pairs = flat_tree
    folder = restore_into(tmp_path / "restored", pairs)
    (folder / "test/a.png").unlink()
    make(folder / "test/a.png")
    with pytest.raises(official.DataError, match=rf"test/a\.png: {message}"):
        evaluation.restored_files(folder, pairs, "full_rgb8")


def test_a_folder_of_other_files_is_named(flat_tree, tmp_path):
    _, pairs = flat_tree
    (tmp_path / "out").mkdir()
    with pytest.raises(official.DataError, match=r"out: holds no images; read are \.bmp, \.jpeg"):
        evaluation.restored_files(tmp_path / "out", pairs, "full_rgb8")
    (tmp_path / "out/a.npy").touch()
    (tmp_path / "out/b.heic").touch()
    with pytest.raises(official.DataError, match=r"out: holds no images but \.heic, \.npy; read are"):
        evaluation.restored_files(tmp_path / "out", pairs, "full_rgb8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "not a whole safetensors file"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "holds the weights of another network"),
        (b"\xff" * 9, "not a whole safetensors file"),
        (b"<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("pipe", "is a pipe"),
        ("folder", "is a folder"),
        ("circle", "is a link in a circle"),
        ("pth", "with 'deblur weights import'"),
        (None, "No such file"),
    ],
)
def test_what_are_no_weights_to_score(content, message, flat_tree, tmp_path, capsys):
    root, _ = flat_tree
    path = tmp_path / "w.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif content == "circle":
        path.symlink_to(path.name)
    elif content == "pth":
        torch.save({"a": torch.ones(2)}, path)
    options = ["--weights", path, "--scale", "smoke"]
    assert evaluate("flat", "full_rgb8", tmp_path / "x.csv", *options, root=root) == 1
    error = capsys.readouterr().err
    assert error.startswith("deblur: ")
    assert "w.safetensors" in error
    assert message in error
