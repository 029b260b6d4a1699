"""The check of a copy: every damage is found, by name."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from trees import problems, save, scene, write_dvd, write_flat, write_gopro, write_koehler, write_manifest

from deblur import cli, paths
from deblur.data import bundled, official
from deblur.data.check import check
from deblur.data.official import DataError, read_image


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def gopro(tmp_path, rng):
    """A whole bundled copy of 5 frames a sequence."""
    base = write_gopro(tmp_path, rng, frames=5)
    write_manifest(tmp_path, "gopro", train=10, test=10)
    assert check("gopro", tmp_path).usable
    return base


def test_check_finds_a_zero_byte_and_a_truncated_file(tmp_path, gopro):
    empty = gopro / "test/GOPR0001_test/sharp/000002.png"
    empty.write_bytes(b"")
    cut = gopro / "train/GOPR0000_train/blur/000004.png"
    cut.write_bytes(cut.read_bytes()[:-30])
    text = problems(check("gopro", tmp_path))
    assert f"{empty}: zero bytes; download" in text
    assert f"{cut}: damaged or truncated" in text
    assert text.count("zero bytes") == 1


def test_check_finds_a_missing_frame(tmp_path, gopro):
    for part in ("blur", "blur_gamma", "sharp"):
        (gopro / f"test/GOPR0000_test/{part}/000003.png").unlink()
    assert len(official.gopro(tmp_path, "test", "blur")) == 9
    report = check("gopro", tmp_path)
    assert f"{gopro}/test/GOPR0000_test/blur: 1 frames missing in the numbering: 000003" in problems(report)
    assert "9 of 10 pairs" in problems(report)
    write_manifest(tmp_path, "gopro", train=10, test=9)
    report = check("gopro", tmp_path)
    assert report.usable
    assert "skips 000003" in "\n".join(report.notes)


def test_check_finds_a_missing_frame_in_dvd(tmp_path, rng):
    base = write_dvd(tmp_path, rng, frames=4)
    assert "train has 2 of 61 sequences" in problems(check("dvd", tmp_path))
    assert "nominally have 100 frames" in "\n".join(check("dvd", tmp_path).notes)
    write_manifest(tmp_path, "dvd", train=8, test=40)
    assert check("dvd", tmp_path).usable
    (base / "IMG_0039/GT/00002.jpg").unlink()
    assert f"{base}/IMG_0039/input: 1 files without a sharp partner" in problems(check("dvd", tmp_path))
    (base / "IMG_0039/input/00002.jpg").unlink()
    assert f"{base}/IMG_0039/input: 1 frames missing in the numbering: 00002" in problems(check("dvd", tmp_path))


def test_check_finds_a_size_mismatch(tmp_path, gopro):
    path = gopro / "test/GOPR0001_test/sharp/000005.png"
    save(path, read_image(path)[:, 2:])
    text = problems(check("gopro", tmp_path, subset="blur"))
    assert f"GOPR0001_test/blur/000005.png: is 24x24 (height x width) but {path} is 24x22" in text


def test_check_finds_swapped_folders(tmp_path, gopro):
    for sequence in gopro.glob("test/*"):
        (sequence / "blur").rename(sequence / "x")
        (sequence / "sharp").rename(sequence / "blur")
        (sequence / "x").rename(sequence / "sharp")
    report = check("gopro", tmp_path, subset="blur")
    assert "test, blur: blurred and sharp are swapped" in problems(report)
    assert "train, blur: blurred" not in problems(report)


def test_check_finds_one_swapped_sequence(tmp_path, rng):
    base = write_dvd(tmp_path, rng, frames=3)
    write_manifest(tmp_path, "dvd", train=6, test=30)
    video = base / "IMG_0021"
    (video / "input").rename(video / "x")
    (video / "GT").rename(video / "input")
    (video / "x").rename(video / "GT")
    assert "swapped in IMG_0021" in problems(check("dvd", tmp_path))


def test_check_finds_sharp_images_under_both_names(tmp_path, rng):
    write_flat(tmp_path, rng)
    shutil.rmtree(tmp_path / "test/input")
    shutil.copytree(tmp_path / "test/target", tmp_path / "test/input")
    assert "3 of 3 blurred images equal their sharp ones" in problems(check("flat", tmp_path))


def hide_links(root, blurred, sharp, form):
    """A HIDE copy of hard links to one 8x8 pair: thousands of files in no time."""
    left, right = root / "blur.png", root / "sharp.png"
    tone = np.tile(np.uint8([0, 255]), (8, 4))
    save(left, np.repeat(cv2.blur(tone, (3, 3))[..., None], 3, 2))
    save(right, np.repeat(tone[..., None], 3, 2))
    places = {"official": ("test/test-long-shot", "GT"), "flat": ("test/input", "test/target")}[form]
    for place, source, count in zip(places, (left, right), (blurred, sharp)):
        (root / "HIDE_dataset" / place).mkdir(parents=True)
        for number in range(count):
            os.link(source, root / "HIDE_dataset" / place / f"{number}.png")
    return root / "HIDE_dataset"


@pytest.mark.parametrize(
    ("form", "blurred", "sharp"),
    [("official", 1079, 1079), ("official", 1079, 2025), ("flat", 1079, 942), ("official", 942, 942)],
)
def test_check_names_the_incomplete_hide_downloads(tmp_path, form, blurred, sharp):
    root = hide_links(tmp_path, blurred, sharp, form)
    report = check("hide", root, splits=("test",))
    assert f"({blurred:,} blurred, {min(blurred, sharp):,} sharp), a known incomplete download" in problems(report)
    assert f"{min(blurred, sharp):,} of 2,025" in str(report)
    assert report.form == form


def test_check_wants_official_sizes(tmp_path):
    root = hide_links(tmp_path, 2025, 2025, "official")
    report = check("hide", root)
    assert report.counts == {"test": (2025, 2025)}
    (text,) = report.problems
    assert "2025 images of test are 8x8 (height x width), the official ones 720x1280" in text
    assert "no train split of HIDE" in "\n".join(report.notes)


def test_check_finds_missing_koehler_frames(tmp_path, rng):
    write_koehler(tmp_path, rng, images=(1,), trajectories=(2, 3), frames=32)
    assert "32 frames of GroundTruth1_2, the official set has 198 to 200" in problems(check("koehler", tmp_path))
    write_manifest(tmp_path, "koehler", test=2, frames=63)
    (tmp_path / "Image1/Kernel3/GroundTruth1_3_30.png").unlink()  # the one that the official set lacks too
    assert check("koehler", tmp_path).usable
    (tmp_path / "Image1/Kernel2/GroundTruth1_2_30.png").unlink()
    assert "Kernel2: 1 frames missing: GroundTruth1_2_30" in problems(check("koehler", tmp_path))
    (tmp_path / "Image1/Kernel2/GroundTruth1_2_31.png").write_bytes(b"")
    assert "GroundTruth1_2_31.png: zero bytes" in problems(check("koehler", tmp_path))


def test_check_with_a_missing_split(tmp_path, gopro):
    shutil.rmtree(gopro / "train")
    assert "no train split of GoPro" in problems(check("gopro", tmp_path))
    assert check("gopro", tmp_path, splits=("test",)).usable
    with pytest.raises(DataError, match="no split 'tset'"):
        check("gopro", tmp_path, splits=("tset",))


def test_check_of_a_foreign_or_broken_manifest(tmp_path, gopro):
    write_manifest(tmp_path, "hide", test=1)
    report = check("gopro", tmp_path)
    assert "10 of 1,111 pairs" in problems(report)
    assert "manifest of 'hide'" in "\n".join(report.notes)
    (tmp_path / "manifest.json").write_text("{")
    assert "manifest.json: not a manifest" in problems(check("gopro", tmp_path))


def test_check_reports_progress(tmp_path, rng):
    write_flat(tmp_path, rng)
    seen = []

    def bar(items, total):
        for item in items:
            seen.append(total)
            yield item

    assert check("flat", tmp_path, progress=bar).usable
    assert seen == [6] * 6


# ------------------------------------------------------------------------------------------------ subset


@pytest.fixture
def streets(tmp_path, rng):
    """Sixteen pairs large enough to tell the subsets apart."""
    base = write_gopro(tmp_path, rng, splits=("test",), sequences=4, frames=4, size=(96, 128))
    write_manifest(tmp_path, "gopro", test=16)
    return base


def test_check_tells_the_subsets(tmp_path, streets):
    report = check("gopro", tmp_path)
    assert report.usable, str(report)
    assert report.subset == "blur and blur_gamma"
    for subset in ("blur", "blur_gamma"):
        assert check("gopro", tmp_path, subset=subset).subset == subset
        assert check("gopro", tmp_path, subset=subset).usable


@pytest.mark.parametrize(("called", "really"), [("blur", "blur_gamma"), ("blur_gamma", "blur")])
def test_check_finds_a_renamed_subset(tmp_path, streets, called, really):
    for sequence in streets.glob("test/*"):
        shutil.rmtree(sequence / called)
        (sequence / really).rename(sequence / called)
    report = check("gopro", tmp_path)
    assert f"what is called {called} holds {really} images" in problems(report)
    assert report.subset == really


def test_check_finds_exchanged_and_doubled_subsets(tmp_path, streets):
    for sequence in streets.glob("test/*"):
        (sequence / "blur").rename(sequence / "x")
        (sequence / "blur_gamma").rename(sequence / "blur")
        (sequence / "x").rename(sequence / "blur_gamma")
    assert "have each other's name" in problems(check("gopro", tmp_path))
    for sequence in streets.glob("test/*"):
        shutil.rmtree(sequence / "blur_gamma")
        shutil.copytree(sequence / "blur", sequence / "blur_gamma")
    text = problems(check("gopro", tmp_path))
    assert "hold the same images" in text
    assert "called blur holds blur_gamma" in text


@pytest.mark.parametrize("subset", ["blur", "blur_gamma"])
def test_check_tells_the_subset_of_a_flat_copy(tmp_path, streets, subset):
    for number, path in enumerate(sorted(streets.glob(f"test/*/{subset}/*.png"))):
        for part, source in (("input", path), ("target", path.parents[1] / "sharp" / path.name)):
            (tmp_path / "flat/test" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tmp_path / "flat/test" / part / f"{number:04d}.png")
    write_manifest(tmp_path / "flat", "gopro", test=16)
    assert check("gopro", tmp_path / "flat").subset == subset
    assert check("gopro", tmp_path / "flat", subset=subset).usable
    other = {"blur": "blur_gamma", "blur_gamma": "blur"}[subset]
    assert f"called {other} holds {subset}" in problems(check("gopro", tmp_path / "flat", subset=other))


def test_check_says_when_it_cannot_tell(tmp_path, rng):
    write_gopro(tmp_path, rng)
    write_manifest(tmp_path, "gopro", train=6, test=6)
    assert "too few pairs to tell blur from blur_gamma" in "\n".join(check("gopro", tmp_path).notes)


def test_reading_does_not_write(tmp_path, rng):
    write_gopro(tmp_path, rng)
    before = {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")}
    official.gopro(tmp_path, "test", "blur")
    check("gopro", tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("*")}


# ------------------------------------------------------------------------------------------------ command line


@pytest.fixture
def street(tmp_path):
    """The bundled GoPro copy's test split, to be damaged."""
    source, copy = bundled.ensure("mini-gopro"), tmp_path / "street"
    shutil.copytree(source / "GOPRO_Large/test", copy / "GOPRO_Large/test")
    shutil.copy(source / "manifest.json", copy)
    return copy


def told(capsys, *arguments):
    """What `deblur data check` says about a copy that it must refuse."""
    assert cli.main(["data", "check", *map(str, arguments)]) == 1
    out = capsys.readouterr().out
    assert "NOT USABLE" in out
    return out


def test_the_command_accepts_a_whole_split(street, capsys):
    assert cli.main(["data", "check", "gopro", str(street), "--split", "test"]) == 0
    assert "36 of 36 pairs" in capsys.readouterr().out
    assert "no train split of GoPro" in told(capsys, "gopro", street)
    assert cli.main(["data", "check", "gopro", str(street), "--split", "tset"]) == 2
    assert "no split 'tset'" in capsys.readouterr().err


def test_the_command_finds_swapped_folders(street, capsys):
    for sequence in (street / "GOPRO_Large/test").iterdir():
        (sequence / "blur").rename(sequence / "x")
        (sequence / "sharp").rename(sequence / "blur")
        (sequence / "x").rename(sequence / "sharp")
    out = told(capsys, "gopro", street, "--subset", "blur", "--split", "test")
    assert "test, blur: blurred and sharp are swapped" in out


def test_the_command_finds_blur_gamma_passed_as_blur(street, capsys):
    for sequence in (street / "GOPRO_Large/test").iterdir():
        shutil.rmtree(sequence / "blur")
        (sequence / "blur_gamma").rename(sequence / "blur")
    out = told(capsys, "gopro", street, "--subset", "blur", "--split", "test")
    assert "what is called blur holds blur_gamma images, by their tone; rename it to blur_gamma" in out


def test_the_command_finds_a_changed_pixel(street, capsys):
    path = street / "GOPRO_Large/test/MINI01_astronaut/blur/000002.png"
    image = read_image(path)
    image[0, 0, 0] ^= 1
    save(path, image)
    out = told(capsys, "gopro", street, "--subset", "blur", "--split", "test")
    assert "1 files are not as this package wrote them" in out
    assert "MINI01_astronaut/blur/000002.png" in out


def test_the_command_finds_a_zero_byte_png(street, capsys):
    path = street / "GOPRO_Large/test/MINI03_china/sharp/000004.png"
    path.write_bytes(b"")
    assert f"{path}: zero bytes; download or unpack it again" in told(capsys, "gopro", street, "--split", "test")


def test_the_command_finds_half_of_hide(tmp_path, capsys):
    root = hide_links(tmp_path, 1079, 1079, "official")
    out = told(capsys, "hide", root, "--split", "test")
    assert "1,079 of 2,025 pairs (1,079 blurred, 1,079 sharp), a known incomplete download" in out


def test_the_command_finds_a_missing_frame_of_a_video(tmp_path, capsys):
    shutil.copytree(bundled.ensure("mini-dvd"), tmp_path / "dvd")
    video = tmp_path / "dvd/quantitative_datasets/IMG_0032"
    for part in ("input", "GT"):
        (video / part / "00005.jpg").unlink()
    out = told(capsys, "dvd", tmp_path / "dvd")
    assert f"{video / 'input'}: 1 frames missing in the numbering: 00005" in out
    assert "79 of 80 pairs" in out


def test_a_stray_number_is_told_and_not_counted_to(tmp_path, rng):
    """A name may hold any number: what is missing up to it is never listed whole."""
    write_flat(tmp_path, rng, splits=("test",), names=())
    for number in (1, 2, 9 * 10**30):
        for part in ("input", "target"):
            save(tmp_path / "test" / part / "video" / f"{number}.png", scene(rng).astype(np.uint8))
    text = problems(check("flat", tmp_path))
    assert f"{9 * 10**30 - 3} frames missing in the numbering: 3, 4, 5, 6, 7 and" in text
    write_koehler(tmp_path / "k", rng)
    path = tmp_path / "k/Image1/Kernel1/GroundTruth1_1_3.png"
    path.rename(path.with_name(f"GroundTruth1_1_{10**30}.png"))
    assert f"{10**30 - 3} frames missing: GroundTruth1_1_3, " in problems(check("koehler", tmp_path / "k"))


def test_koehlers_known_gap_is_none(tmp_path, rng):
    write_koehler(tmp_path, rng, images=(1,), trajectories=(3, 4), frames=31)
    for trajectory in (3, 4):
        (tmp_path / f"Image1/Kernel{trajectory}/GroundTruth1_{trajectory}_30.png").unlink()
    text = problems(check("koehler", tmp_path))
    assert "1 frames missing: GroundTruth1_4_30" in text
    assert "GroundTruth1_3_30" not in text


@pytest.mark.parametrize("error", [MemoryError, PermissionError(13, "Permission denied")])
def test_what_one_file_raises_does_not_end_the_check(gopro, tmp_path, monkeypatch, error):
    path = gopro / "test/GOPR0001_test/sharp/000002.png"
    real = paths.read_bytes

    def read(file):
        if file == path:
            raise error
        return real(file)

    monkeypatch.setattr(paths, "read_bytes", read)
    report = check("gopro", tmp_path)
    assert f"{path}: " in problems(report)
    assert {split: found for split, (found, _) in report.counts.items()} == {"train": 10, "test": 10}


@pytest.mark.parametrize("files", [[], "x", 3, None, True])
def test_hashes_of_another_form(gopro, tmp_path, files):
    content = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(content | {"files": files}))
    assert "manifest.json: its 'files' hold no hashes; write the tree again" in problems(check("gopro", tmp_path))


def test_a_file_that_cannot_be_hashed_is_one_that_changed(gopro, tmp_path, monkeypatch):
    def unreadable(file):
        raise PermissionError(13, "Permission denied", str(file))

    content = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(content | {"files": {"x": "0"}}))
    monkeypatch.setattr(paths, "file_sha256", unreadable)
    assert "60 files are not as this package wrote them" in problems(check("gopro", tmp_path))
