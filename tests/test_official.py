"""The readers of the official trees, on tiny trees written here."""

import os
import re
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image
from trees import (
    SIDE,
    WRITERS,
    expose,
    problems,
    save,
    write_dvd,
    write_flat,
    write_gopro,
    write_hide,
    write_koehler,
    write_manifest,
    write_realblur,
    write_rwbi,
)

from deblur.data import check as check_module
from deblur.data import official
from deblur.data.check import check
from deblur.data.official import BENCHMARKS, DVD_TEST, REALBLUR, DataError, find_pairs, read_image


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# ------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_colour_image_is_rgb(tmp_path, suffix):
    path = tmp_path / f"red.{suffix}"
    save(path, np.full((5, 7, 3), (250, 10, 30), np.uint8))
    image = read_image(path)
    assert image.shape == (5, 7, 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert np.abs(image.astype(int) - (250, 10, 30)).max() <= 8


def test_grayscale_is_replicated(tmp_path, rng):
    grey = rng.integers(0, 256, (6, 5), dtype=np.uint8)
    save(tmp_path / "grey.png", grey)
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))


def test_one_pixel(tmp_path):
    save(tmp_path / "dot.png", np.uint8([[[1, 2, 3]]]))
    assert read_image(tmp_path / "dot.png").tolist() == [[[1, 2, 3]]]


def test_opaque_alpha_is_dropped_and_real_transparency_refused(tmp_path, rng):
    image = rng.integers(0, 256, (4, 4, 4), dtype=np.uint8)
    image[..., 3] = 255
    save(tmp_path / "opaque.png", image)
    assert np.array_equal(read_image(tmp_path / "opaque.png"), image[..., :3])
    image[0, 0, 3] = 254
    save(tmp_path / "clear.png", image)
    with pytest.raises(DataError, match=r"clear\.png.*flatten"):
        read_image(tmp_path / "clear.png")


def test_palette_and_its_transparency(tmp_path, rng):
    colours = rng.integers(0, 256, (4, 3), dtype=np.uint8)
    index = rng.integers(0, 4, (8, 8), dtype=np.uint8)
    index[0, 0] = 2
    image = Image.fromarray(index, "L").convert("P")
    image.putpalette(colours.tobytes())
    image.putdata(index.ravel().tolist())
    image.save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png"), colours[index])
    image.save(tmp_path / "keyed.png", transparency=2)
    with pytest.raises(DataError, match=r"keyed\.png.*transparent"):
        read_image(tmp_path / "keyed.png")


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "ink.jpg").astype(int) - (255, 0, 0)).max() <= 8


@pytest.mark.parametrize("kind", ["grey.png", "colour.png", "grey.tif", "colour.tif"])
def test_sixteen_bits_are_refused(tmp_path, rng, kind):
    shape = (4, 4) if kind.startswith("grey") else (4, 4, 3)
    cv2.imwrite(str(tmp_path / kind), rng.integers(0, 65536, shape, dtype=np.uint16))
    with pytest.raises(DataError, match=rf"{kind}"):
        read_image(tmp_path / kind)


def test_exif_orientation_is_not_applied(tmp_path, rng):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (4, 9, 3), dtype=np.uint8)).save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").shape == (4, 9, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_every_truncation_is_found(tmp_path, rng, suffix):
    whole = tmp_path / f"whole.{suffix}"
    save(whole, rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    data = whole.read_bytes()
    for kept in (
        0,
        1,
        10,
        len(data) // 2,
        len(data) - 20,
        *([len(data) - 2] if suffix in ("png", "jpg") else []),
    ):
        path = tmp_path / f"cut{kept}.{suffix}"
        path.write_bytes(data[:kept])
        with pytest.raises(DataError, match=rf"cut{kept}\.{suffix}.*again"):
            read_image(path)


def test_one_flipped_bit_in_a_png_is_found(tmp_path, rng):
    save(tmp_path / "good.png", rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
    data = bytearray((tmp_path / "good.png").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.png").write_bytes(data)
    with pytest.raises(DataError, match=r"flipped\.png.*damaged"):
        read_image(tmp_path / "flipped.png")


def test_not_an_image(tmp_path):
    (tmp_path / "page.png").write_text("<html>quota exceeded</html>")
    with pytest.raises(DataError, match=r"page\.png.*not an image.*download"):
        read_image(tmp_path / "page.png")
    with pytest.raises(DataError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png"):
        read_image(tmp_path / "folder.png")


# ------------------------------------------------------------------------------------------------ readers


@pytest.mark.parametrize("name", WRITERS)
def test_official_tree(tmp_path, rng, name):
    write, counts, choices = WRITERS[name]
    base = write(tmp_path, rng)
    for root in {tmp_path, base}:
        for split, count in counts.items():
            pairs = find_pairs(name, root, split, **choices)
            names = [pair.name for pair in pairs]
            assert len(pairs) == count
            assert names == sorted(set(names))
            assert all(pair.name == f"{pair.sequence}/{pair.blurred.stem}" for pair in pairs)
            assert {pair.form for pair in pairs} == {"flat" if name == "flat" else "official"}
    write_manifest(tmp_path, name, **counts)
    report = check(name, tmp_path)
    assert report.usable, str(report)
    assert report.counts == {split: (count, count) for split, count in counts.items()}


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"rwbi"}))
@pytest.mark.parametrize("target", ["target", "GT"])
def test_flat_form(tmp_path, rng, name, target):
    choices = WRITERS[name][2]
    write_flat(tmp_path, rng, splits=BENCHMARKS[name].splits, target=target)
    for split in BENCHMARKS[name].splits:
        pairs = find_pairs(name, tmp_path, split, **choices)
        assert [pair.name for pair in pairs] == [f"{split}/{stem}" for stem in "abc"]
        assert {pair.form for pair in pairs} == {"flat"}
        assert [pair.sharp.parent.name for pair in pairs] == [target] * 3
    assert len(find_pairs(name, tmp_path / "test", "test", **choices)) == 3
    if "train" in BENCHMARKS[name].splits:
        with pytest.raises(DataError, match="give its parent"):
            find_pairs(name, tmp_path / "test", "train", **choices)
    report = check(name, tmp_path)
    assert report.form == "flat"
    assert report.usable == (name in ("flat", "dvd")), str(report)  # the others know how many there should be


def test_flat_form_of_rwbi(tmp_path, rng):
    save(tmp_path / "input" / "x.jpg", expose(rng)[1])
    (pair,) = official.rwbi(tmp_path)
    assert (pair.name, pair.form, pair.sharp) == ("test/x", "flat", None)
    save(tmp_path / "target" / "x.jpg", expose(rng)[0])
    with pytest.raises(DataError, match=r"RWBI has no sharp images"):
        official.rwbi(tmp_path)


def test_flat_form_with_videos(tmp_path, rng):
    for video in ("one", "two"):
        write_flat(tmp_path / video, rng, splits=("x",), names=("00001", "00002"))
        for part in ("input", "target"):
            (tmp_path / "test" / part).mkdir(parents=True, exist_ok=True)
            (tmp_path / video / "x" / part).rename(tmp_path / "test" / part / video)
    names = [pair.name for pair in official.flat(tmp_path, "test")]
    assert names == ["one/00001", "one/00002", "two/00001", "two/00002"]


def test_gopro_subset_is_required_and_kept(tmp_path, rng):
    write_gopro(tmp_path, rng)
    with pytest.raises(TypeError):
        official.gopro(tmp_path, "test")
    with pytest.raises(DataError, match=r"needs subset=.*blur, blur_gamma"):
        find_pairs("gopro", tmp_path, "test")
    with pytest.raises(DataError, match="needs subset="):
        check("gopro", tmp_path, subset="sharp")
    for subset in ("blur", "blur_gamma"):
        assert {p.blurred.parent.name for p in official.gopro(tmp_path, "test", subset)} == {subset}
    shutil.rmtree(tmp_path / "GOPRO_Large/test/GOPR0001_test/blur_gamma")
    assert len(official.gopro(tmp_path, "test", "blur")) == 6
    with pytest.raises(DataError, match=r"GOPR0001_test/blur_gamma: folder is missing"):
        official.gopro(tmp_path, "test", "blur_gamma")


def test_gopro_validation_is_only_in_the_bundled_copy(tmp_path, rng):
    write_gopro(tmp_path, rng)
    with pytest.raises(DataError, match="no validation split, only the bundled benchmark"):
        official.gopro(tmp_path, "validation", "blur")
    write_gopro(tmp_path, rng, splits=("validation",), sequences=1)
    assert len(official.gopro(tmp_path, "validation", "blur")) == 3


def test_hide_folders_become_sequences(tmp_path, rng):
    write_hide(tmp_path / "HIDE_dataset", rng)  # the archive wraps the folder in itself
    pairs = official.hide(tmp_path, "test")
    assert {pair.sequence for pair in pairs} == {"test-close-ups", "test-long-shot"}
    assert all(pair.blurred.name == pair.sharp.name and pair.sharp.parent.name == "GT" for pair in pairs)
    pairs[0].sharp.unlink()
    with pytest.raises(DataError, match=rf"without a sharp partner.*{pairs[0].blurred.name}"):
        official.hide(tmp_path, "test")


@pytest.mark.parametrize("listed", ["scene244", "scene244_reflect"])
@pytest.mark.parametrize("folder", ["scene244", "scene244_reflect"])
def test_realblur_scene_244(tmp_path, rng, listed, folder):
    write_realblur(tmp_path, rng, scenes=("scene001", folder), listed={folder: listed})
    pairs = official.realblur(tmp_path, "test", "J")
    assert [pair.name for pair in pairs] == [f"{folder}/blur_1", f"{folder}/blur_12"]
    assert [pair.sharp.name for pair in pairs] == ["gt_1.png", "gt_12.png"]


def test_realblur_lists(tmp_path, rng):
    tree = write_realblur(tmp_path, rng)
    listing = tmp_path / "RealBlur_J_test_list.txt"
    lines = listing.read_text().splitlines()
    with pytest.raises(DataError, match="no subset 'X'"):
        official.realblur(tmp_path, "test", "X")
    with pytest.raises(DataError, match=REALBLUR["R"]):  # the expected tree is printed
        official.realblur(tmp_path, "test", "R")

    for bad in (lines[0].split()[0], lines[0].replace("gt_1", "gt_2"), lines[0].replace("-J_", "-R_BM3D_")):
        listing.write_text(f"\n{bad}\n{lines[1]}\n")
        with pytest.raises(DataError, match=r"RealBlur_J_test_list\.txt, line 2"):
            official.realblur(tmp_path, "test", "J")
    listing.write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(DataError, match="listed twice: scene244_reflect/blur_1"):
        official.realblur(tmp_path, "test", "J")

    (tmp_path / "list").mkdir()
    (tmp_path / "list" / listing.name).write_text("".join(f"/data/{line}\r\n".replace(" ", " ./") for line in lines))
    listing.unlink()
    assert len(official.realblur(tree, "test", "J")) == 2
    (tree / "scene244_reflect/gt/gt_12.png").unlink()
    with pytest.raises(DataError, match=r"1 files of .*missing: scene244_reflect/gt/gt_12\.png"):
        official.realblur(tmp_path, "test", "J")
    shutil.rmtree(tmp_path / "list")
    with pytest.raises(DataError, match=r"RealBlur_J_test_list\.txt: list file is missing"):
        official.realblur(tmp_path, "test", "J")


def test_koehler_frames_in_order(tmp_path, rng):
    write_koehler(tmp_path, rng, frames=11)
    pairs = official.koehler(tmp_path)
    assert [pair.name for pair in pairs] == sorted(f"image{i}/Blurry{i}_{t}" for i in (1, 2) for t in (1, 10))
    for pair in pairs:
        assert [int(path.stem.split("_")[2]) for path in pair.frames] == list(range(1, 12))
        assert pair.sharp == pair.frames[5]
    shutil.copytree(tmp_path / "Image1", tmp_path / "again")
    with pytest.raises(DataError, match=r"GroundTruth1_.*also there as"):
        official.koehler(tmp_path)
    shutil.rmtree(tmp_path / "again")
    (tmp_path / "BlurryImages/Blurry2_10.png").unlink()
    shutil.rmtree(tmp_path / "Image1/Kernel1")
    with pytest.raises(DataError, match=r"(?s)Blurry1_1.*no GroundTruth.*GroundTruth2_10_1.*no blurred"):
        official.koehler(tmp_path)


def test_dvd_split_is_by_the_ten_names(tmp_path, rng):
    base = write_dvd(tmp_path, rng)
    assert {pair.sequence for pair in official.dvd(tmp_path, "test")} == set(DVD_TEST)
    assert {pair.sequence for pair in official.dvd(tmp_path, "train")} == {"720p_240fps_1", "IMG_0001"}
    shapes = {official.read_pair(pair)[0].shape for pair in official.dvd(tmp_path, "test")}
    assert shapes == {(SIDE + 8, SIDE, 3), (SIDE, SIDE + 8, 3)}
    shutil.rmtree(base / "720p_240fps_2")
    with pytest.raises(DataError, match=r"720p_240fps_2/input: folder is missing"):
        official.dvd(tmp_path, "test")


def test_pairs_by_stem_never_by_index(tmp_path, rng):
    """Random names, one of them lacking on each side: sorted lists would pair without a word."""
    names = sorted({f"{number:x}" for number in rng.integers(1 << 20, 1 << 30, 12)})
    write_flat(tmp_path, rng, splits=("test",), names=names)
    (tmp_path / "test/input" / f"{names[3]}.png").unlink()
    (tmp_path / "test/target" / f"{names[8]}.png").unlink()
    with pytest.raises(DataError) as error:
        official.flat(tmp_path, "test")
    assert f"without a sharp partner in {tmp_path}/test/target: {names[8]}.png" in str(error.value)
    assert f"without a blurred partner in {tmp_path}/test/input: {names[3]}.png" in str(error.value)


def test_suffixes_may_differ_but_stems_must_be_unique(tmp_path, rng):
    write_flat(tmp_path, rng, splits=("test",))
    folder = tmp_path / "test/target"
    (folder / "a.png").rename(folder / "a.PNG")
    (folder / "._a.png").write_bytes(b"finder")
    (folder / "Thumbs.db").write_bytes(b"explorer")
    assert len(official.flat(tmp_path, "test")) == 3
    save(folder / "a.jpg", expose(rng)[0])
    with pytest.raises(DataError, match=r"test/target: two files for one name \(a\)"):
        official.flat(tmp_path, "test")


@pytest.mark.parametrize("name", WRITERS)
def test_wrong_root_prints_the_expected_tree(tmp_path, name):
    choices = WRITERS[name][2]
    (tmp_path / "holiday.txt").write_text("nothing here")
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError) as error:
            find_pairs(name, root, "test", **choices)
        assert str(root) in str(error.value)
        assert BENCHMARKS[name].tree in str(error.value)
        report = check(name, root)
        assert BENCHMARKS[name].tree in problems(report)
        assert len(report.problems) == 1


def test_unknown_names_list_the_valid_ones(tmp_path):
    with pytest.raises(DataError, match="dvd, flat, gopro, hide, koehler, realblur_j, realblur_r, rwbi"):
        find_pairs("gropo", tmp_path, "test")
    with pytest.raises(DataError, match="choose one of train, test"):
        find_pairs("hide", tmp_path, "validation")
    with pytest.raises(DataError, match="knows no choice 'subset'"):
        find_pairs("hide", tmp_path, "test", subset="blur")


def test_a_partial_copy_is_read_with_a_warning(tmp_path, rng, caplog):
    write_hide(tmp_path, rng)
    assert len(official.hide(tmp_path, "test")) == 4
    assert "4 of 2,025 test pairs" in caplog.text
    caplog.clear()
    write_manifest(tmp_path, "hide", test=4)
    official.hide(tmp_path, "test")
    assert not caplog.text


def test_read_pair(tmp_path, rng):
    write_flat(tmp_path, rng, splits=("test",))
    pair = official.flat(tmp_path, "test")[0]
    blurred, sharp = official.read_pair(pair)
    assert np.array_equal(blurred, read_image(pair.blurred))
    assert np.array_equal(sharp, read_image(pair.sharp))
    save(pair.sharp, sharp[:-1])
    with pytest.raises(DataError, match=r"input/a\.png: is 24x24.*target/a\.png is 23x24"):
        official.read_pair(pair)
    write_rwbi(tmp_path, rng)
    with pytest.raises(DataError, match="no-reference"):
        official.read_pair(official.rwbi(tmp_path / "RWBI")[0])


def test_truth(tmp_path, rng):
    write_gopro(tmp_path, rng)
    pair = official.gopro(tmp_path, "test", "blur")[0]
    assert pair.truth is None
    with pytest.raises(DataError, match="deblur data bundled"):
        official.read_truth(pair)
    path = pair.blurred.parents[1] / "truth" / "000001.npz"
    path.parent.mkdir()
    arrays = {
        "displacement": np.ones((SIDE, SIDE, 2), np.float32),
        "path_px": np.ones((SIDE, SIDE), np.float32),
        "label": np.ones((SIDE, SIDE), np.uint8),
        "kind": np.array("global"),
    }
    np.savez_compressed(path, **arrays)
    pair = official.gopro(tmp_path, "test", "blur")[0]
    truth = official.read_truth(pair)
    assert truth.keys() == arrays.keys()
    assert all(np.array_equal(truth[key], arrays[key]) for key in arrays)
    assert "no true motion for GOPR0000_test/000002" in problems(check("gopro", tmp_path))
    for bad in (
        {**arrays, "label": arrays["label"][1:]},
        {**arrays, "label": arrays["label"].astype(int)},
        {**arrays, "label": np.array([None, {}])},
        {"label": arrays["label"]},
    ):
        np.savez_compressed(path, **bad)
        with pytest.raises(DataError, match=r"truth/000001\.npz"):
            official.read_truth(pair)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"truth/000001\.npz: damaged"):
        official.read_truth(pair)
    assert "truth/000001.npz: damaged" in problems(check("gopro", tmp_path))


# ------------------------------------------------------------------------------------------------ what is no image


def spoil(path, how):
    """Puts something else in place of a file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    match how:
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a link that leads nowhere":
            path.symlink_to("nowhere")
        case "a link in a circle":
            path.symlink_to(path.name)
        case "a link to a folder that holds it":
            path.symlink_to("..", target_is_directory=True)


ODD = ("a pipe", "a folder", "a link that leads nowhere", "a link in a circle", "a link to a folder that holds it")


@pytest.mark.parametrize("side", ["blurred", "sharp"])
@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("name", WRITERS)
def test_what_lies_in_place_of_an_image_is_named(tmp_path, rng, name, how, side):
    write, _, choices = WRITERS[name]
    write(tmp_path, rng)
    pairs = find_pairs(name, tmp_path, "test", **choices)
    path = getattr(pairs[0], side) or pairs[1].blurred
    spoil(path, how)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: is {how}"):
        find_pairs(name, tmp_path, "test", **choices)
    report = check(name, tmp_path)
    assert f"{path}: is {how}" in problems(report)
    assert sum(found for found, _ in report.counts.values()) >= 3  # the others were looked at


@pytest.mark.parametrize("how", ["a pipe", *ODD[2:]])
@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"koehler", "realblur_j", "realblur_r"}))
def test_what_lies_in_place_of_a_folder_is_named(tmp_path, rng, name, how):
    """Of those two the files are known by name, wherever they lie, or by a list."""
    write, _, choices = WRITERS[name]
    write(tmp_path, rng)
    path = find_pairs(name, tmp_path, "test", **choices)[0].blurred.parent
    spoil(path, how)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: is {how}"):
        find_pairs(name, tmp_path, "test", **choices)


def test_links_to_images_and_folders_are_followed(tmp_path, rng):
    """Large sets lie on other disks."""
    write_gopro(tmp_path / "disk", rng)
    whole = tmp_path / "disk/GOPRO_Large/test"
    for folder in whole.iterdir():
        for image in folder.glob("sharp/*.png"):
            image.rename(tmp_path / f"{folder.name}-{image.name}")
            image.symlink_to(tmp_path / f"{folder.name}-{image.name}")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/GOPRO_Large").symlink_to(tmp_path / "disk/GOPRO_Large", target_is_directory=True)
    pairs = official.gopro(tmp_path / "here", "test", "blur")
    assert len(pairs) == 6
    assert all(official.read_pair(pair) for pair in pairs)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    "path",
    [
        "{tree}/x/../gt/gt_1.png",
        "{tree}/../gt/gt_1.png",
        "{tree}/scene001/../gt_1.png",
        "{tree}/scene001/gt/..",
        "{tree}//gt/gt_1.png",
        "{tree}/./gt/gt_1.png",
        "{tree}/../../gt/gt_1.png",
        "{tree}/C:/gt/gt_1.png",
        "{tree}\\..\\gt\\gt_1.png",
        "{tree}/scene001/gt/gt_1\0.png",
    ],
)
def test_a_path_in_a_list_stays_in_its_folder(tmp_path, rng, path, side):
    """Whatever lies there: what the path leads to exists, one level up."""
    tree = write_realblur(tmp_path, rng)
    for part in ("gt", "blur"):
        shutil.copytree(tree / "scene001" / part, tmp_path / part)
        shutil.copytree(tree / "scene001" / part, tree / part)
    line = [f"{tree.name}/scene001/gt/gt_1.png", f"{tree.name}/scene001/blur/blur_1.png"]
    line[side] = path.format(tree=tree.name).replace("gt", ("gt", "blur")[side])
    (tmp_path / "RealBlur_J_test_list.txt").write_text(" ".join(line) + "\n")
    with pytest.raises(DataError, match=r"RealBlur_J_test_list\.txt, line 1: .*take the list from"):
        official.realblur(tmp_path, "test", "J")


# ------------------------------------------------------------------------------------------------ other layouts


@pytest.mark.parametrize("sides", [(a, b) for a in ("input", "blur") for b in ("target", "GT", "sharp")])
@pytest.mark.parametrize("place", ["{split}", "", "{split}/{set}"])
@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("flat", "anything"),
        ("gopro", "GoPro"),
        ("gopro", "gopro"),
        ("hide", "HIDE"),
        ("realblur_j", "RealBlur_J"),
        ("realblur_r", "RealBlur-R"),
        ("dvd", "DVD"),
    ],
)
def test_layouts_of_restoration_repositories(tmp_path, rng, name, called, place, sides):
    """`test/GoPro/{input,target}` beside other sets, and `{blur,sharp}`, for the two sides in all mixtures."""
    choices = {"subset": "blur"} if name == "gopro" else {}
    folder = tmp_path / place.format(split="test", set=called)
    for stem in "ab":
        sharp, blur, _ = expose(rng)
        save(folder / sides[0] / f"{stem}.png", blur)
        save(folder / sides[1] / f"{stem}.png", sharp)
    if "set" in place and name != "flat":
        write_flat(tmp_path / "test/Another", rng, splits=("",))
    pairs = find_pairs(name, tmp_path, "test", **choices)
    assert [pair.name for pair in pairs] == ["test/a", "test/b"]
    assert {(pair.blurred.parent, pair.sharp.parent) for pair in pairs} == {(folder / sides[0], folder / sides[1])}
    report = check(name, tmp_path, splits=["test"], **choices)
    assert report.counts["test"][0] == 2
    assert report.form == "flat"
    if place:
        with pytest.raises(DataError, match="no train split"):
            find_pairs(name, tmp_path, "train", **choices)


def test_a_folder_called_as_the_subset_is_read_as_no_other(tmp_path, rng):
    for part, image in zip(("sharp", "blur", "blur_gamma"), expose(rng)):
        save(tmp_path / "test" / part / "a.png", image)
    for subset in ("blur", "blur_gamma"):
        (pair,) = official.gopro(tmp_path, "test", subset)
        assert pair.blurred.parent.name == subset
    assert [choice["subset"] for choice in check_module._choices_there("gopro", tmp_path)] == ["blur", "blur_gamma"]
    shutil.rmtree(tmp_path / "test/blur_gamma")
    with pytest.raises(DataError, match="no test split"):
        official.gopro(tmp_path, "test", "blur_gamma")


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("test/input", "test/blur", "test/target"), r"test: holds input and blur, which mean the same; keep one"),
        (("test/input", "test/target", "test/GT"), r"test: holds target and GT, which mean the same; keep one"),
        (("test/input", "test/target", "test/GoPro/input", "test/GoPro/target"), r"pairs of test lie in .*GoPro"),
        (("input", "target", "test/input", "test/target"), r"pairs of test lie in .*; give the folder that you mean"),
        (("test/GoPro/input", "test/GoPro/target", "test/gopro/input", "test/gopro/target"), r"pairs of test lie in"),
        (("test/input",), r"test/target: folder is missing"),
        (("test/target",), r"test/input: folder is missing"),
    ],
)
@pytest.mark.parametrize("name", ["gopro", "flat"])
def test_nothing_is_guessed_where_two_layouts_are_there(tmp_path, rng, name, places, message):
    for place in places:
        save(tmp_path / place / "a.png", expose(rng)[0])
    choices = WRITERS[name][2]
    with pytest.raises(DataError, match=message):
        find_pairs(name, tmp_path, "test", **choices)
    assert re.search(message, problems(check(name, tmp_path, splits=["test"], **choices)))


def test_the_official_tree_comes_first(tmp_path, rng):
    write_gopro(tmp_path, rng)
    write_flat(tmp_path, rng)
    for part in ("input", "target"):
        save(tmp_path / "test/GoPro" / part / "a.png", expose(rng)[0])
    pairs = official.gopro(tmp_path, "test", "blur")
    assert {pair.form for pair in pairs} == {"official"}
    assert len(pairs) == 6


@pytest.mark.parametrize("root", ["test", "test/GoPro"])
def test_a_folder_of_the_test_split_is_not_trained_on(tmp_path, rng, root):
    for part in ("input", "target"):
        save(tmp_path / root / part / "a.png", expose(rng)[0])
    assert len(official.gopro(tmp_path / root, "test", "blur")) == 1
    with pytest.raises(DataError, match=r"asked for train, but the folder (is called|lies in) test; give its parent"):
        official.gopro(tmp_path / root, "train", "blur")


def test_gaps_of_any_numbers():
    assert official.gaps([5, 1, 2, 5]) == [range(3, 5)]
    assert official.gaps([]) == official.gaps([7]) == official.gaps([1, 2, 3]) == []
    assert official.gaps([1, 10**30]) == [range(2, 10**30)]
