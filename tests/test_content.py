"""Trees are known by what is in their files, not by names, sizes, or a manifest's word."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from deblur import paths, runs
from deblur.data import content, copies, official, trees


def paint(path, seed):
    """A picture of always the same size, also in bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path.with_suffix(".bmp"))
    path.with_suffix(".bmp").rename(path)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    for split in ("train", "test"):
        for part, seed in (("blur", 1), ("sharp", 2), ("blur_gamma", 3)):
            for stem in ("000001", "000002"):
                paint(tmp_path / "own" / "GOPRO_Large" / split / "GOPR0001" / part / f"{stem}.png", seed)
    return tmp_path / "own"


def age(root, seconds=60):
    """Long enough ago for a time to tell."""
    for path in root.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


PICTURE = "GOPRO_Large/test/GOPR0001/{}/000002.png"


@pytest.mark.parametrize("part", ["blur", "sharp"])
@pytest.mark.parametrize("aged", [False, True], ids=["just written", "long there"])
@pytest.mark.parametrize("same_time", [False, True], ids=["", "of the same time"])
def test_another_picture_of_the_same_size_is_another_tree(tree, part, aged, same_time):
    if aged:
        age(tree)
    before, path = copies.open_data(tree).fingerprint, tree / PICTURE.format(part)
    status = path.stat()
    paint(path, 9)
    assert path.stat().st_size == status.st_size
    if same_time and not aged:  # an old file with an old time cannot be told, as make and rsync do not
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert copies.open_data(tree).fingerprint != before
    paint(path, {"blur": 1, "sharp": 2}[part])
    assert copies.open_data(tree).fingerprint == before


def test_all_pictures_replaced_score_anew(tree):
    age(tree)
    before = runs.blurred_scores(copies.open_data(tree))
    for number, path in enumerate(sorted(tree.rglob("*.png"))):
        paint(path, 100 + number)
    assert not runs.blurred_scores(copies.open_data(tree)).equals(before)


def test_what_is_not_read_does_not_count_and_places_neither(tree, tmp_path):
    before = copies.open_data(tree).fingerprint
    paint(tree / PICTURE.format("blur_gamma"), 9)
    (tree / "notes.txt").write_text("mine")
    assert copies.open_data(tree).fingerprint == before
    shutil.move(tree, tmp_path / "moved")
    assert copies.open_data(tmp_path / "moved").fingerprint == before


def test_files_are_hashed_once(tree, monkeypatch):
    age(tree)
    before, hashed = copies.open_data(tree).fingerprint, []
    real = paths.file_sha256
    monkeypatch.setattr(paths, "file_sha256", lambda path: hashed.append(path.name) or real(path))
    assert copies.open_data(tree).fingerprint == before
    assert hashed == []
    paint(tree / PICTURE.format("blur"), 9)
    assert copies.open_data(tree).fingerprint != before
    assert hashed == ["000002.png"]


@pytest.mark.parametrize("text", ["", "{", '{"sha256": "0", "content": {}}', None])
def test_damaged_memories_cost_time_only(tree, tmp_path, text):
    before = copies.open_data(tree).fingerprint
    (memory,) = (tmp_path / "runs" / "content").iterdir()
    if text is None:
        text = memory.read_text().replace('"sha256": "', '"sha256": "0')
    memory.write_text(text)
    assert copies.open_data(tree).fingerprint == before


def test_a_store_that_cannot_be_written_to_costs_time_only(tree, tmp_path, monkeypatch):
    before = copies.open_data(tree).fingerprint
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "file" / "runs"))
    assert copies.open_data(tree).fingerprint == before


# ------------------------------------------------------------------------------------------------ trees with a manifest


@pytest.fixture
def bundled(mini_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    shutil.copytree(mini_root, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_copy_of_the_bundled_benchmark_is_it(bundled, mini_root):
    assert copies.open_data(bundled).fingerprint == copies.open_data(mini_root).fingerprint
    assert copies.open_data(bundled).bundled == "mini"


def test_the_fingerprint_is_that_of_the_pixels_not_the_manifests_word(bundled):
    before, manifest = copies.open_data(bundled).fingerprint, bundled / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"pixels": "0" * 64}))
    assert copies.open_data(bundled).fingerprint == before


def replaced(root):
    paint(next(root.rglob("*/sharp/000001.png")), 5)


def removed(root):
    next(root.rglob("*/sharp/000001.png")).unlink()


def added(root):
    paint(root / "GOPRO_Large" / "test" / "MORE" / "sharp" / "000001.png", 5)


@pytest.mark.parametrize("change", [replaced, removed, added])
def test_changes_of_the_bundled_benchmark_are_named(bundled, change):
    change(bundled)
    with pytest.raises(official.DataError, match=r"1 files are not as they were written \(GOPRO_Large/.*000001.png\)"):
        copies.open_data(bundled)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "3", "null", "{" * 9999, "\x00", "[NaN]"])
@pytest.mark.parametrize("binary", [b"", b"\xff\xfe"])
def test_a_manifest_of_any_content_fails_with_its_name(tree, text, binary):
    (tree / "manifest.json").write_bytes(binary + text.encode())
    with pytest.raises(official.DataError, match=r"manifest\.json: not a manifest.*write the tree again"):
        copies.open_data(tree)


def test_pixels_are_hashed_whatever_the_encoder_did(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))
    found = []
    for level in (0, 9):
        image.save(tmp_path / "a.png", compress_level=level)
        found.append(trees.hashes(tmp_path))
    assert found[0]["pixels"] == found[1]["pixels"]
    assert found[0]["files"] != found[1]["files"]
    assert content.pixels(tmp_path, ["a.png"]) == found[0]["pixels"]
