"""The readers of the official trees and the check, on tiny trees written here."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deblur.data import official
from deblur.data.official import BENCHMARKS, DVD_TEST, REALBLUR, DataError, check, find_pairs, read_image

SIDE = 24


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def scene(rng, height=SIDE, width=SIDE):
    """A piecewise flat picture with edges, as photographs have them; float (H,W,3) in 0..255."""
    canvas = np.full((height, width, 3), rng.uniform(60, 160, 3))
    rows, columns = np.mgrid[:height, :width]
    for _ in range(height * width // 60):
        radius, y, x = rng.uniform(2, 12), rng.uniform(0, height), rng.uniform(0, width)
        canvas[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.uniform(20, 230, 3)
    return cv2.GaussianBlur(canvas, (0, 0), 0.7)


def expose(rng, height=SIDE, width=SIDE, length=4):
    """(sharp, blur, blur_gamma), uint8: a straight path about the middle frame."""
    wide = scene(rng, height + 12, width + 12)
    path = np.linspace(-0.5, 0.5, 17)[:, None] * length * rng.dirichlet([1, 1])
    shots = [np.float32([[1, 0, x + 6], [0, 1, y + 6]]) for x, y in path]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frames = np.stack([cv2.warpAffine(wide, shot, (width, height), flags=flags) for shot in shots])
    linear = 255 * ((frames / 255) ** 2.2).mean(0) ** (1 / 2.2)
    return [np.rint(image).astype(np.uint8) for image in (frames[8], frames.mean(0), linear)]


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_gopro(root, rng, splits=("train", "test"), sequences=2, frames=3, size=(SIDE, SIDE)):
    base = root / "GOPRO_Large"
    for split in splits:
        for sequence in range(sequences):
            folder = base / split / f"GOPR{sequence:04d}_{split}"
            for frame in range(1, frames + 1):
                for part, image in zip(("sharp", "blur", "blur_gamma"), expose(rng, *size)):
                    save(folder / part / f"{frame:06d}.png", image)
    return base


def write_hide(root, rng, close=2, far=2, train=1):
    base = root / "HIDE_dataset"
    places = {"test/test-close-ups": close, "test/test-long-shot": far, "train": train}
    names = iter(rng.permutation(1000))
    for place, count in places.items():
        for _ in range(count):
            name = f"{next(names)}.png"
            sharp, blur, _ = expose(rng)
            save(base / place / name, blur)
            save(base / "GT" / name, sharp)
    return base


def write_realblur(root, rng, variant="J", scenes=("scene001", "scene244_reflect"), listed=None):
    tree = root / REALBLUR[variant]
    lines = []
    for name in scenes:
        for number in (1, 12):
            sharp, blur, _ = expose(rng)
            save(tree / name / "gt" / f"gt_{number}.png", sharp)
            save(tree / name / "blur" / f"blur_{number}.png", blur)
            prefix = f"{tree.name}/{(listed or {}).get(name, name)}"
            lines.append(f"{prefix}/gt/gt_{number}.png {prefix}/blur/blur_{number}.png")
    for split, part in (("train", lines[:2]), ("test", lines[2:])):
        (root / f"RealBlur_{variant}_{split}_list.txt").write_text("\n".join(part) + "\n")
    return tree


def write_koehler(root, rng, images=(1, 2), trajectories=(1, 10), frames=3):
    for image in images:
        for trajectory in trajectories:
            sharp, blur, _ = expose(rng)
            save(root / "BlurryImages" / f"Blurry{image}_{trajectory}.png", blur)
            for frame in range(1, frames + 1):
                name = f"GroundTruth{image}_{trajectory}_{frame}.png"
                save(root / f"Image{image}" / f"Kernel{trajectory}" / name, np.roll(sharp, frame - 2, 0))
    return root


def write_dvd(root, rng, train=("720p_240fps_1", "IMG_0001"), frames=3):
    base = root / "quantitative_datasets"
    for video in (*train, *DVD_TEST):
        size = (SIDE, SIDE + 8) if video == "IMG_0003" else (SIDE + 8, SIDE)
        for frame in range(frames):
            sharp, blur, _ = expose(rng, *size)
            save(base / video / "input" / f"{frame:05d}.jpg", blur)
            save(base / video / "GT" / f"{frame:05d}.jpg", sharp)
    return base


def write_rwbi(root, rng):
    for place in ("phone", "camera"):
        for name in ("a", "b"):
            save(root / "RWBI" / place / f"{name}.jpg", expose(rng)[1])
    return root / "RWBI"


def write_flat(root, rng, splits=("train", "test"), names=("b", "a", "c"), target="target"):
    for split in splits:
        for name in names:
            sharp, blur, _ = expose(rng)
            save(root / split / "input" / f"{name}.png", blur)
            save(root / split / target / f"{name}.png", sharp)
    return root


def write_manifest(root, benchmark, **counts):
    (root / "manifest.json").write_text(json.dumps({"benchmark": benchmark, "counts": counts}))


def problems(report):
    assert not report.usable
    assert "NOT USABLE" in str(report)
    return "\n".join(report.problems)


WRITERS = {
    "gopro": (write_gopro, {"train": 6, "test": 6}, {"variant": "blur"}),
    "hide": (write_hide, {"train": 1, "test": 4}, {}),
    "realblur_j": (write_realblur, {"train": 2, "test": 2}, {}),
    "realblur_r": (lambda root, rng: write_realblur(root, rng, "R"), {"train": 2, "test": 2}, {}),
    "koehler": (write_koehler, {"test": 4}, {}),
    "dvd": (write_dvd, {"train": 6, "test": 30}, {}),
    "rwbi": (write_rwbi, {"test": 4}, {}),
    "flat": (write_flat, {"train": 3, "test": 3}, {}),
}


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


@pytest.mark.parametrize("name", set(WRITERS) - {"rwbi"})
@pytest.mark.parametrize("target", ["target", "GT"])
def test_flat_form(tmp_path, rng, name, target):
    choices = WRITERS[name][2]
    write_flat(tmp_path, rng, splits=BENCHMARKS[name]["splits"], target=target)
    for split in BENCHMARKS[name]["splits"]:
        pairs = find_pairs(name, tmp_path, split, **choices)
        assert [pair.name for pair in pairs] == [f"{split}/{stem}" for stem in "abc"]
        assert {pair.form for pair in pairs} == {"flat"}
        assert [pair.sharp.parent.name for pair in pairs] == [target] * 3
    assert len(find_pairs(name, tmp_path / "test", "test", **choices)) == 3
    if "train" in BENCHMARKS[name]["splits"]:
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


def test_gopro_variant_is_required_and_kept(tmp_path, rng):
    write_gopro(tmp_path, rng)
    with pytest.raises(TypeError):
        official.gopro(tmp_path, "test")
    with pytest.raises(DataError, match=r"needs variant=.*blur, blur_gamma"):
        find_pairs("gopro", tmp_path, "test")
    with pytest.raises(DataError, match="needs variant="):
        check("gopro", tmp_path, variant="sharp")
    for variant in ("blur", "blur_gamma"):
        assert {p.blurred.parent.name for p in official.gopro(tmp_path, "test", variant)} == {variant}
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
    with pytest.raises(DataError, match="no variant 'X'"):
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
        assert BENCHMARKS[name]["tree"] in str(error.value)
        report = check(name, root)
        assert BENCHMARKS[name]["tree"] in problems(report)
        assert len(report.problems) == 1


def test_unknown_names_list_the_valid_ones(tmp_path):
    with pytest.raises(DataError, match="dvd, flat, gopro, hide, koehler, realblur_j, realblur_r, rwbi"):
        find_pairs("gropo", tmp_path, "test")
    with pytest.raises(DataError, match="choose one of train, test"):
        find_pairs("hide", tmp_path, "validation")
    with pytest.raises(DataError, match="knows no choice 'variant'"):
        find_pairs("hide", tmp_path, "test", variant="blur")


def test_a_partial_copy_is_read_with_a_warning(tmp_path, rng, caplog):
    write_hide(tmp_path, rng)
    assert len(official.hide(tmp_path, "test")) == 4
    assert "4 of 2,025 of test pairs" in caplog.text
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
    with pytest.raises(DataError, match="deblur data mini"):
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


# ------------------------------------------------------------------------------------------------ check


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
    text = problems(check("gopro", tmp_path, variant="blur"))
    assert f"GOPR0001_test/blur/000005.png: is 24x24 (height x width) but {path} is 24x22" in text


def test_check_finds_swapped_folders(tmp_path, gopro):
    for sequence in gopro.glob("test/*"):
        (sequence / "blur").rename(sequence / "x")
        (sequence / "sharp").rename(sequence / "blur")
        (sequence / "x").rename(sequence / "sharp")
    report = check("gopro", tmp_path, variant="blur")
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


# ------------------------------------------------------------------------------------------------ variant


@pytest.fixture
def streets(tmp_path, rng):
    """Sixteen pairs large enough to tell the variants apart."""
    base = write_gopro(tmp_path, rng, splits=("test",), sequences=4, frames=4, size=(96, 128))
    write_manifest(tmp_path, "gopro", test=16)
    return base


def test_check_tells_the_variants(tmp_path, streets):
    report = check("gopro", tmp_path)
    assert report.usable, str(report)
    assert report.variant == "blur and blur_gamma"
    for variant in ("blur", "blur_gamma"):
        assert check("gopro", tmp_path, variant=variant).variant == variant
        assert check("gopro", tmp_path, variant=variant).usable


@pytest.mark.parametrize(("called", "really"), [("blur", "blur_gamma"), ("blur_gamma", "blur")])
def test_check_finds_a_renamed_variant(tmp_path, streets, called, really):
    for sequence in streets.glob("test/*"):
        shutil.rmtree(sequence / called)
        (sequence / really).rename(sequence / called)
    report = check("gopro", tmp_path)
    assert f"what is called {called} holds {really} images" in problems(report)
    assert report.variant == really


def test_check_finds_exchanged_and_doubled_variants(tmp_path, streets):
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


@pytest.mark.parametrize("variant", ["blur", "blur_gamma"])
def test_check_tells_the_variant_of_a_flat_copy(tmp_path, streets, variant):
    for number, path in enumerate(sorted(streets.glob(f"test/*/{variant}/*.png"))):
        for part, source in (("input", path), ("target", path.parents[1] / "sharp" / path.name)):
            (tmp_path / "flat/test" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tmp_path / "flat/test" / part / f"{number:04d}.png")
    write_manifest(tmp_path / "flat", "gopro", test=16)
    assert check("gopro", tmp_path / "flat").variant == variant
    assert check("gopro", tmp_path / "flat", variant=variant).usable
    other = {"blur": "blur_gamma", "blur_gamma": "blur"}[variant]
    assert f"called {other} holds {variant}" in problems(check("gopro", tmp_path / "flat", variant=other))


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
