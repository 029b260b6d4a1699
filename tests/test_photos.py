"""`deblur restore`: which photographs are meant, what may be written, what is said, and with which status it ends."""

import errno
import os
import shlex
import struct
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import trees
from PIL import Image
from torch import nn

from deblur import cli, paths
from deblur.data import official
from deblur.photos import files as photos
from deblur.photos import pictures, restoration
from deblur.reports import awkward
from deblur.weights import released

SHAPE = (30, 40, 3)


class Scale(nn.Module):
    """Multiplies, and counts how often it was asked; `then` is called each time."""

    def __init__(self, factor=1.0, plus=0.0, then=None):
        super().__init__()
        self.factor, self.plus, self.then, self.asked = nn.Parameter(torch.tensor(factor)), plus, then, 0

    def forward(self, blurred):
        if blurred.device.type != "meta":  # where memory is counted, nothing is computed
            self.asked += 1
            if self.then:
                self.then()
        return (blurred * self.factor + self.plus,)


def named(arguments):
    """What names a network at hand, unless the arguments do."""
    return [] if "--model" in arguments else ["--model", min(released.cards())]


@pytest.fixture
def command(monkeypatch, capfd):
    """`deblur restore` with a network given as the first argument; returns status and what was said.

    The name of the network that it stands for is given, so that nothing is said of a choice.
    """

    def run(network, *arguments):
        monkeypatch.setattr(released, "load", lambda name: network)
        status = cli.main(["restore", *map(str, arguments), *named(arguments)])
        return status, capfd.readouterr().err

    return run


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def tree(folder):
    """Everything below a folder: files with their content, links with their aim, folders."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def files(folder):
    return {name for name, content in tree(folder).items() if isinstance(content, bytes)}


# ---------------------------------------------------------------------------------------------------- files and folders


def test_a_folder_is_mirrored(tmp_path, command):
    images = {name: save(tmp_path / "in" / name, seed) for seed, name in enumerate(("a.png", "b/c.tif", "b/d e.PNG"))}
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    save(tmp_path / "in" / ".hidden.png")
    save(tmp_path / "in" / ".thumbnails" / "a.png")
    before, out = tree(tmp_path / "in"), tmp_path / "out"
    assert command(Scale(), tmp_path / "in", "-o", out) == (0, "deblur: 3 restored, 0 failed, 0 skipped\n")
    assert files(out) == images.keys()
    for name, pixels in images.items():
        np.testing.assert_array_equal(np.asarray(Image.open(out / name)), pixels)
    assert tree(tmp_path / "in") == before


def test_two_photographs_of_one_name_do_not_become_one(tmp_path, command):
    pixels = save(tmp_path / "one" / "a.png")
    save(tmp_path / "two" / "a.png", 1)
    status, said = command(Scale(), tmp_path / "one", tmp_path / "two", "-o", tmp_path / "out", "--overwrite")
    assert status == 1
    assert f"{tmp_path / 'two' / 'a.png'}: " in said
    assert "already the result of another photograph" in said
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), pixels)


def test_one_photograph_given_twice_is_restored_once(tmp_path, command):
    save(tmp_path / "in" / "a.png")
    network = Scale()
    arguments = (tmp_path / "in", tmp_path / "in" / "a.png", tmp_path / "in" / "a.png", "-o", tmp_path / "out")
    assert command(network, *arguments) == (0, "")
    assert network.asked == 1


def test_results_inside_the_folder_are_not_restored_again(tmp_path, command):
    save(tmp_path / "a.png")
    arguments = (tmp_path, "-o", tmp_path / "out", "--overwrite")
    assert command(Scale(), *arguments) == (0, "")
    status, said = command(Scale(), *arguments)
    assert (status, said) == (0, f"deblur: {tmp_path / 'out'}: 1 pictures in it are left out, since results go there\n")
    assert files(tmp_path) == {"a.png", "out/a.png"}


@pytest.mark.parametrize(("size", "expected"), [((30, 40), (30, 88)), ((20, 90), (48, 90))])
def test_the_comparison_shows_input_and_result(size, expected, tmp_path, command):
    Image.fromarray(np.full((*size, 4), 100, np.uint8)).save(tmp_path / "a.png")
    status, _ = command(Scale(), tmp_path / "a.png", "-o", tmp_path / "b.png", "--compare")
    both = np.asarray(Image.open(tmp_path / "b-compare.jpg")).astype(int)
    assert status == 0
    assert both.shape == (*expected, 3)
    before, after = np.full((*size, 3), 50, np.uint8), np.full((*size, 3), 200, np.uint16) * 257
    both = photos.before_and_after(before, after)
    height, width = size
    axis = 0 if width > 2 * height else 1
    first, gap, second = np.split(both, [size[axis], size[axis] + photos.GAP], axis)
    assert (first == 50).all()
    assert (gap == 255).all()
    assert (second == 200).all()
    assert photos.before_and_after(before[..., 0], before[..., 1]).shape == expected


def test_drift_is_said_and_no_failure(tmp_path, command):
    save(tmp_path / "a.png")
    status, said = command(Scale(plus=0.2), tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert status == 0
    assert f"deblur: {tmp_path / 'a.png'}: drifts from the input: the mean colour" in said
    assert (tmp_path / "b.png").is_file()


def test_where_results_go(tmp_path):
    save(tmp_path / "in" / "a.png")
    one = tmp_path / "in" / "a.png"
    assert photos.find([one], tmp_path / "out").jobs == [photos.Job(one, tmp_path / "out" / "a.png")]
    assert photos.find([one], tmp_path / "new.tif").jobs == [photos.Job(one, tmp_path / "new.tif", fixed=True)]


# ----------------------------------------------------------------------------------------- one bad file among good ones


def cut(path):
    save(path)
    path.write_bytes(path.read_bytes()[:700])


def huge(path):
    """Declares 3.6 gigapixels in some hundred bytes."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def unreadable(path):
    save(path)
    path.chmod(0)


BAD = {
    "cut": (cut, "damaged"),
    "empty": (Path.touch, "is empty"),
    "text": (lambda path: path.write_text("no picture"), "not a"),
    "a pipe": (os.mkfifo, "a pipe, a device or a socket"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "leads back to itself"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "No such file"),
    "not there": (lambda path: None, "No such file"),
    "an empty folder": (Path.mkdir, ""),
    "unreadable": (unreadable, "Permission denied"),
    "huge": (huge, "3600 million pixels"),
}


@pytest.mark.parametrize("place", ["alone", "between two good ones", "in a folder"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_and_ends_no_other(kind, place, tmp_path, command):
    if kind == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    if kind == "not there" and place == "in a folder":
        pytest.skip("nothing to find")
    make, message = BAD[kind]
    folder, out = tmp_path / "in", tmp_path / "out"
    bad = folder / "b.png"
    folder.mkdir()
    make(bad)
    good = [] if place == "alone" else [folder / "a.png", folder / "c.png"]
    for path in good:
        save(path)
    given = {"alone": [bad], "in a folder": [folder]}.get(place) or [good[0], bad, good[1]]
    status, said = command(Scale(), *given, "-o", out)
    assert status == (2 if (kind, place) == ("an empty folder", "alone") else 1)
    assert f"deblur: {bad}: " in said
    assert message in said
    assert said.count(str(bad)) == 1
    assert files(tmp_path / "out") == {path.name for path in good}
    if good:
        skipped = kind == "an empty folder"
        assert said.endswith(f"deblur: 2 restored, {1 - skipped} failed, {int(skipped)} skipped\n")


@pytest.mark.parametrize("stage", [(pictures, "read"), (restoration, "restore"), (pictures, "write")])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (struct.error("unpack requires 8 bytes"), "error: unpack requires 8 bytes"),
        (RuntimeError("no kernel"), "RuntimeError: no kernel"),
        (cv2.error("bad argument"), "error: bad argument"),
        (KeyError(5), "KeyError: 5"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (AssertionError(), "AssertionError"),
        (ValueError("not so"), "not so"),
        (OSError(errno.ENOSPC, "No space left on device", "/there"), "/there: No space left on device"),
        (MemoryError(), "too little memory; close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "too little memory"),
    ],
)
def test_whatever_one_photograph_raises_the_others_are_restored(stage, error, message, tmp_path, command, monkeypatch):
    for name in ("a", "b", "c"):
        save(tmp_path / "in" / f"{name}.png")
    calls, real = [], getattr(*stage)

    def second_fails(*given, **named):
        calls.append(given)
        if len(calls) == 2:
            raise error
        return real(*given, **named)

    monkeypatch.setattr(*stage, second_fails)
    status, said = command(Scale(), tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert f"deblur: {tmp_path / 'in' / 'b.png'}: {message}" in said
    assert "2 restored, 1 failed, 0 skipped" in said
    assert "Traceback" not in said
    assert tree(tmp_path / "out").keys() == {"a.png", "c.png"}


def test_memory_that_ends_while_a_file_is_decoded_is_no_damage(tmp_path, command, monkeypatch):
    def read(path, most):
        raise ValueError(f"{path}: damaged, copy it again") from MemoryError("cannot allocate 9 GB")

    monkeypatch.setattr(pictures, "read", read)
    status, said = command(Scale(), tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert status == 1
    assert "too little memory; close other programs, or scale it down (cannot allocate 9 GB)" in said
    assert "copy it again" not in said


# ------------------------------------------------------------------------------------------------------ what is skipped


@pytest.mark.parametrize("loud", [False, True])
def test_what_looks_like_a_picture_and_is_not_read_is_named_and_counted(loud, tmp_path, command):
    folder = tmp_path / "in"
    save(folder / "a.png")
    unread = [f"x{suffix.upper() if loud else suffix}" for suffix in photos.REMEDIES if suffix not in pictures.KINDS]
    assert len(unread) > 50
    for name in unread:
        (folder / name).touch()
    for name in (".hidden.gif", "notes.txt", "a.xmp", "Makefile"):
        (folder / name).touch()
    status, said = command(Scale(), folder, "-o", tmp_path / "out")
    assert status == 1
    for name in unread:
        assert f"deblur: {folder / name}: skipped, {Path(name).suffix.lower()} is not read here; " in said
    assert said.endswith(f"deblur: 1 restored, 0 failed, {len(unread)} skipped\n")
    assert said.count("\n") == len(unread) + 1
    assert files(tmp_path / "out") == {"a.png"}


def test_a_folder_of_nothing_that_is_read_is_no_success(tmp_path, command):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "clip.mp4").touch()
    status, said = command(Scale(), tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert "clip.mp4: skipped, .mp4 is not read here; save frames of it as PNG" in said


def test_links_to_folders_are_named_and_not_followed(tmp_path, command):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "up").symlink_to("..")
    status, said = command(Scale(), tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert f"{tmp_path / 'in' / 'more'}: skipped, a link to a folder; give that folder too" in said
    assert "1 restored, 0 failed, 2 skipped" in said
    given = (tmp_path / "in" / "more", "-o", tmp_path / "again")
    assert command(Scale(), *given) == (0, "")
    assert files(tmp_path / "again") == {"b.png"}


def test_a_folder_that_cannot_be_searched_is_named(tmp_path, command, monkeypatch):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "shut" / "b.png")
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("shut"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    status, said = command(Scale(), tmp_path / "in", "-o", tmp_path / "out")
    assert status == 1
    assert f"{tmp_path / 'in' / 'shut'}: skipped, it cannot be searched (Permission denied)" in said


# -------------------------------------------------------------------------------------------------- what may be written


def in_the_way(kind, path, photograph, weights):
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "a file":
        path.write_text("kept")
    elif kind == "a folder":
        path.mkdir()
        (path / "thesis.txt").write_text("kept")
    elif kind == "an empty folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to nothing":
        path.symlink_to("gone")
    elif kind == "a link to a file":
        (path.parent / "notes.txt").write_text("kept")
        path.symlink_to("notes.txt")
    elif kind == "a link to a folder":
        (path.parent / "thesis").mkdir()
        path.symlink_to("thesis")
    elif kind == "a link to an input":
        path.symlink_to(photograph)
    elif kind == "another name of an input":
        path.hardlink_to(photograph)
    elif kind == "another name of the weights":
        path.hardlink_to(weights)
    elif kind == "another name of their card":
        path.hardlink_to(weights.with_suffix(".json"))
    elif kind == "a link to the weights":
        path.symlink_to(weights)


WAYS = [
    "a file",
    "a folder",
    "an empty folder",
    "a pipe",
    "a link to nothing",
    "a link to a file",
    "a link to a folder",
    "a link to an input",
    "another name of an input",
    "another name of the weights",
    "another name of their card",
    "a link to the weights",
]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("which", ["b.png", "b-compare.jpg"])
@pytest.mark.parametrize("kind", WAYS)
def test_what_is_there_is_kept_and_said_before_anything_is_computed(
    kind, which, overwrite, tmp_path, command, monkeypatch
):
    weights = awkward.tiny_release(tmp_path / "weights")
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(weights.parent))
    for name in ("a", "b", "c"):
        save(tmp_path / "in" / f"{name}.png")
    in_the_way(kind, tmp_path / "out" / which, tmp_path / "in" / "c.png", weights)
    before = tree(tmp_path)
    network = Scale(then=lambda: order.append("computed"))
    order = []
    monkeypatch.setattr(photos, "_say", lambda note, source=None: order.append((note, source)))
    options = ["--compare", *(["--overwrite"] if overwrite else [])]
    status, _ = command(network, tmp_path / "in", "-o", tmp_path / "out", *options)
    after = tree(tmp_path)
    changed = {name for name, content in before.items() if after.get(name) != content}
    good = {f"{name}{end}" for name in ("a", "c") for end in (".png", "-compare.jpg")}
    if kind == "a file" and overwrite:
        assert status == 0
        assert changed == {f"out/{which}"}
        return
    assert status == 1
    assert not changed
    assert after.keys() - before.keys() - {"out"} == {f"out/{name}" for name in good}
    (note, source), *rest = order
    assert source == tmp_path / "in" / "b.png"
    assert str(tmp_path / "out" / which) in note
    assert "; give " in note
    assert rest.count("computed") == 2


def test_the_input_itself_is_never_a_result(tmp_path, command):
    pixels = save(tmp_path / "a.png")
    save(tmp_path / "b.png", 1)
    before = tree(tmp_path)
    network = Scale(0.5)
    (tmp_path / "there").symlink_to(".")
    for out in (tmp_path, tmp_path / "there"):
        status, said = command(network, tmp_path / "a.png", tmp_path / "b.png", "-o", out, "--overwrite")
        assert status == 1
        assert said.count("is an input, and these are never overwritten") == 2
    assert network.asked == 0
    (tmp_path / "there").unlink()
    assert tree(tmp_path) == before
    assert len(pixels)


def test_a_folder_that_holds_another_input_stays(tmp_path, command):
    save(tmp_path / "a.png")
    save(tmp_path / "two" / "a.png" / "x.png")
    status, said = command(
        Scale(), tmp_path / "a.png", tmp_path / "two" / "a.png" / "x.png", "-o", tmp_path / "two", "--overwrite"
    )
    assert status == 1
    assert f"{tmp_path / 'a.png'}: {tmp_path / 'two' / 'a.png'} is a folder" in said
    assert files(tmp_path) == {"a.png", "two/a.png/x.png", "two/x.png"}


def test_names_that_a_file_system_takes_for_one(tmp_path, command, monkeypatch):
    """Where case does not count, the second name leads to the first one's result; a hard link does the same here."""
    save(tmp_path / "one" / "a.png")
    save(tmp_path / "two" / "A.png", 1)
    out = tmp_path / "out"
    network = Scale(then=lambda: network.asked == 2 and (out / "A.png").hardlink_to(out / "a.png"))
    status, said = command(network, tmp_path / "one", tmp_path / "two", "-o", out, "--overwrite")
    assert status == 1
    assert f"{out / 'A.png'} appeared while this was made, and is kept" in said
    np.testing.assert_array_equal(np.asarray(Image.open(out / "a.png")), np.asarray(Image.open(tmp_path / "one/a.png")))


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", [None, *WAYS[:7]])
def test_what_comes_while_this_computes_is_kept(kind, overwrite, hard_links, tmp_path, command, monkeypatch):
    save(tmp_path / "a.png")
    result = tmp_path / "out" / "a.png"
    came = {}

    def come():
        in_the_way(kind, result, None, None)
        came.update(tree(tmp_path / "out"))

    if not hard_links:

        def refuse(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    status, said = command(
        Scale(then=come if kind else None), tmp_path / "a.png", "-o", result.parent, *["--overwrite"] * overwrite
    )
    after = tree(tmp_path / "out")
    if kind is None:
        assert (status, said) == (0, "")
        assert after.keys() == {"a.png"}
        assert np.asarray(Image.open(result)).shape == SHAPE
    else:
        assert status == 1
        assert f"{result} appeared while this was made, and is kept; what was made is {result.parent}/.a-" in said
        (made,) = after.keys() - came.keys()
        assert str(result.parent / made) in said
        assert np.asarray(Image.open(result.parent / made)).shape == SHAPE
        assert {name: after[name] for name in came} == came


@pytest.mark.parametrize("hard_links", [True, False])
def test_the_last_step_itself_replaces_nothing(hard_links, tmp_path, monkeypatch, command):
    """What comes between the last look and the last step."""
    save(tmp_path / "a.png")
    result = tmp_path / "out" / "a.png"
    real = os.link

    def late(draft, path):
        path.write_text("kept")
        if not hard_links:
            raise OSError(errno.EPERM, "Operation not permitted")
        real(draft, path)

    monkeypatch.setattr(os, "link", late)
    status, said = command(Scale(), tmp_path / "a.png", "-o", result.parent)
    assert status == 1
    assert f"{result} appeared while this was made, and is kept" in said
    assert result.read_text() == "kept"
    assert len(tree(result.parent)) == 2  # what was made is kept too


# ------------------------------------------------------------------------------- names and places, before the computing


def name_of(length, suffix=".png"):
    return "n" * (length - len(suffix)) + suffix


@pytest.mark.parametrize(
    ("name", "compare", "restored"),
    [
        (name_of(255), False, True),  # the longest
        (name_of(255), True, False),
        (name_of(248), True, False),
        (name_of(247), True, True),  # NAME-compare.jpg has 255 bytes
        ("ü" * 121 + ".png", True, True),  # 246 bytes
        ("ü" * 122 + ".png", True, False),
        (os.fsdecode(b"\xff\xfe.png"), True, True),
    ],
)
def test_names_are_judged_before_anything_is_computed(name, compare, restored, tmp_path, command):
    save(tmp_path / "in" / name)
    save(tmp_path / "in" / "z.png", 1)
    network = Scale()
    status, said = command(network, tmp_path / "in", "-o", tmp_path / "out", *["--compare"] * compare)
    assert status == (0 if restored else 1)
    assert network.asked == 1 + restored
    assert (tmp_path / "out" / name).exists() is restored
    if not restored:
        assert "a name is too long for this file system" in said or "cannot be written (File name too long)" in said
    assert files(tmp_path / "out") >= {"z.png"}


def test_two_comparisons_of_one_name(tmp_path, command):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "a.tif")
    network = Scale()
    status, said = command(network, tmp_path / "in", "-o", tmp_path / "out", "--compare")
    assert status == 1
    assert f"{tmp_path / 'in' / 'a.tif'}: {tmp_path / 'out' / 'a-compare.jpg'} is already the result" in said
    assert network.asked == 1
    assert files(tmp_path / "out") == {"a.png", "a-compare.jpg"}
    again = Scale()
    assert command(again, tmp_path / "in", "-o", tmp_path / "apart")[0] == 0


@pytest.mark.parametrize("there", [False, True])
def test_a_photograph_of_another_kind_than_its_name_is_judged_by_its_own(there, tmp_path, command):
    """A PNG called a.jpg becomes a.png: what lies at a.jpg is not in its way, what lies at a.png is."""
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "a.jpg")
    in_the_way("a file", tmp_path / "out" / ("a.png" if there else "a.jpg"), None, None)
    network = Scale()
    status, _ = command(network, tmp_path / "in", "-o", tmp_path / "out")
    assert (status, network.asked) == ((1, 0) if there else (0, 1))
    assert (tmp_path / "out" / ("a.png" if there else "a.jpg")).read_bytes() == b"kept"


def test_a_comparison_too_wide_for_jpeg_is_refused_before(tmp_path, command, monkeypatch):
    save(tmp_path / "a.png")
    monkeypatch.setitem(pictures.LONGEST, "JPEG", 2 * SHAPE[1])
    network = Scale()
    status, said = command(network, tmp_path / "a.png", "-o", tmp_path / "out", "--compare")
    assert (status, network.asked) == (1, 0)
    assert "a-compare.jpg: JPEG holds 80 pixels a side" in said
    assert command(network, tmp_path / "a.png", "-o", tmp_path / "out")[0] == 0


def test_a_file_where_a_folder_of_results_would_lie(tmp_path, command):
    for name in ("a.png", "sub/b.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("kept")
    network = Scale()
    status, said = command(network, tmp_path / "in", "-o", tmp_path / "out", "--overwrite")
    assert (status, network.asked) == (1, 1)
    assert f"{tmp_path / 'out' / 'sub' / 'b.png'} cannot be written" in said
    assert (tmp_path / "out" / "sub").read_text() == "kept"


def test_the_right_to_write_is_asked_for_first(tmp_path, command, monkeypatch):
    save(tmp_path / "in" / "a.png")
    (tmp_path / "shut").mkdir()
    network = Scale()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "shut" and access(path, mode))
    for out in ("shut", "shut/deeper/out", "shut/b.png"):
        status, said = command(network, tmp_path / "in" / "a.png", "-o", tmp_path / out)
        assert status == 2
        assert f"{tmp_path / 'shut'}: you may not write there; give another -o" in said
    monkeypatch.setattr(os, "access", access)

    def refused(dir):  # what the system really allows is seen only by trying
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    status, said = command(network, tmp_path / "in" / "a.png", "-o", tmp_path / "out")
    assert status == 1
    assert f"{tmp_path / 'in' / 'a.png'}: {tmp_path / 'out'}: Permission denied" in said
    assert network.asked == 0


# --------------------------------------------------------------------------------------------------------------- status


def usage_errors(folder):
    save(folder / "in" / "a.png")
    save(folder / "in" / "b.png")
    save(folder / "there.png")
    (folder / "nothing").mkdir()
    one, both = folder / "in" / "a.png", (folder / "in" / "a.png", folder / "in" / "b.png")
    return [
        ([*both, "-o", folder / "out.png"], "a folder is needed for more than one photograph"),
        ([*both, "-o", folder / "there.png"], "a folder is needed"),
        ([folder / "in", "-o", folder / "out.jpg"], "a folder is needed"),
        ([folder / "in", "-o", folder / "in"], "would lie among the photographs"),
        ([folder / "nothing", "-o", folder / "out"], f"{folder / 'nothing'}: holds no PNG, JPEG"),
        ([one, "-o", folder / "out.txt"], "no kind of picture that is written here"),
        ([one, "-o", folder / "there.png" / "out"], "there.png is no folder, so nothing can lie below it"),
        ([one, "-o", folder / "out", "--tile", 207], "tile=207 and margin=48 do not fit: give a tile of 208 or more"),
        ([one, "-o", folder / "out", "--model", "nobody"], "no weights are called 'nobody'"),
        ([one, "-o", folder / "out", "--model", "x.safetensors"], "x.safetensors: no such file"),
    ]


@pytest.mark.parametrize("number", range(10))
def test_wrong_use_ends_with_two_and_does_nothing(number, tmp_path, command):
    cases = usage_errors(tmp_path)
    assert len(cases) == 10
    arguments, message = cases[number]
    before, network = tree(tmp_path), Scale()
    status, said = command(network, *arguments)
    assert status == 2
    assert said.startswith("deblur: ")
    assert message in said
    assert (tree(tmp_path), network.asked) == (before, 0)


@pytest.mark.parametrize("arguments", [[], ["a.png", "-o"], ["a.png", "-o", "b", "--tile", "x"]])
def test_what_argparse_refuses_ends_with_two_as_well(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["restore", *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: deblur restore" if "--tile" not in arguments else "deblur restore: argument --tile")


def test_damaged_weights_are_a_failure_and_no_wrong_use(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEBLUR_WEIGHTS", str(tmp_path / "weights"))
    file = awkward.tiny_release(tmp_path / "weights")
    file.write_bytes(file.read_bytes()[:-1])
    save(tmp_path / "a.png")
    assert cli.main(["restore", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]) == 1
    assert "not the weights of its card" in capsys.readouterr().err


def test_the_status_is_explained(capsys):
    with pytest.raises(SystemExit):
        cli.main(["restore", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    page = " ".join((paths.project_root() / "docs" / "photos.md").read_text().split())
    for text in (said, page.replace("`", "")):
        assert "0 all are restored; 1 one failed, or a file in a folder is of a kind that is not read" in text
        assert "2 wrong use, nothing is restored; 130 stopped by Ctrl-C" in text


# --------------------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("done", range(3))
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(done, overwrite, tmp_path, command):
    for name in ("a", "b", "c d"):
        save(tmp_path / "in" / f"{name}.png")

    def stop():
        if network.asked == done + 1:
            raise KeyboardInterrupt

    network, out = Scale(then=stop), tmp_path / "out"
    arguments = [tmp_path / "in", "-o", out, *["--overwrite"] * overwrite]
    status, said = command(network, *arguments)
    assert status == 130
    assert f"deblur: stopped: {done} of 3 photographs are restored, in {out}; the same command restores " in said
    again = f"deblur: to go on: {shlex.join(['deblur', 'restore', *map(str, arguments), *named(arguments)])}\n"
    assert said.endswith(again)
    assert "Traceback" not in said
    assert tree(out).keys() == {"a.png", "b.png", "c d.png"} - {
        ["a.png", "b.png", "c d.png"][k] for k in range(done, 3)
    }
    kept, network = tree(out), Scale(0.9)
    status, said = command(network, *arguments)
    assert network.asked == (3 if overwrite else 3 - done)
    assert files(out) == {"a.png", "b.png", "c d.png"}
    assert overwrite or all(tree(out)[name] == content for name, content in kept.items())


def test_ctrl_c_while_a_result_is_written_leaves_no_part_of_it(tmp_path, command, monkeypatch):
    save(tmp_path / "a.png")

    def half(path, picture):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "write", half)
    assert command(Scale(), tmp_path / "a.png", "-o", tmp_path / "out")[0] == 130
    assert files(tmp_path / "out") == set()


def test_ctrl_c_ends_any_command_without_a_traceback(monkeypatch, capsys):
    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.reproduction, "_status", stop)
    assert cli.main(["status"]) == 130
    assert capsys.readouterr().err == "deblur: stopped\ndeblur: to go on: deblur status\n"


# ----------------------------------------------------------------------------------------------------------- benchmarks

PROTOCOLS = {"dvd": "dvd_plain_all", "koehler": "koehler_best_frame"}


def evaluate(name, root, out, *method):
    choice = ["--subset", "blur"] if name == "gopro" else []
    what = ["--benchmark", name, "--root", root, "--protocol", PROTOCOLS.get(name, "full_rgb8"), *choice]
    assert cli.main(["score", *map(str, (*method, *what, "--out", out))]) == 0
    return pd.read_csv(out).drop(columns="method")


@pytest.mark.parametrize("name", ["gopro", "hide", "realblur_j", "realblur_r", "dvd", "flat"])
def test_of_a_benchmark_the_blurred_images_are_restored_and_scored(name, tmp_path, command):
    """A network that changes nothing scores as the blurred images themselves."""
    writer, counts, _ = trees.WRITERS[name]
    writer(tmp_path / "root", np.random.default_rng(0))
    before = tree(tmp_path / "root")
    network, out = Scale(), tmp_path / "out"
    status, said = command(network, tmp_path / "root", "-o", out)
    assert (status, network.asked) == (0, counts["test"])
    assert f"the {counts['test']} blurred images of test are restored and nothing else" in said
    restored = evaluate(name, tmp_path / "root", tmp_path / "restored.csv", out)
    pd.testing.assert_frame_equal(restored, evaluate(name, tmp_path / "root", tmp_path / "blurred.csv", "--blurred"))
    assert tree(tmp_path / "root") == before


def test_the_bundled_benchmark_is_restored_and_scored(mini_root, tmp_path, command):
    status, said = command(Scale(), mini_root, "-o", tmp_path / "out")
    assert status == 0
    assert "this is GoPro (GOPRO_Large) blur" in said
    restored = evaluate("gopro", mini_root, tmp_path / "restored.csv", tmp_path / "out")
    pd.testing.assert_frame_equal(restored, evaluate("gopro", mini_root, tmp_path / "blurred.csv", "--blurred"))


def test_of_koehler_the_blurred_images(tmp_path, command):
    trees.write_koehler(tmp_path / "root", np.random.default_rng(0))
    assert command(Scale(), tmp_path / "root", "-o", tmp_path / "out")[0] == 0
    pairs = official.find_pairs("koehler", tmp_path / "root", "test")
    assert files(tmp_path / "out") == {f"{pair.name}.png" for pair in pairs}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("", "GOPR000{}_test/{}.png"),
        ("GOPRO_Large", "GOPR000{}_test/{}.png"),
        ("GOPRO_Large/test", "GOPR000{}_test/{}.png"),
        ("GOPRO_Large/train", "GOPR000{}_train/{}.png"),
    ],
)
def test_parts_of_a_gopro_tree(part, expected, tmp_path, command, monkeypatch):
    trees.write_gopro(tmp_path / "root", np.random.default_rng(0))
    names = {expected.format(sequence, f"{frame:06d}") for sequence in (0, 1) for frame in (1, 2, 3)}
    assert command(Scale(), tmp_path / "root" / part, "-o", tmp_path / "out")[0] == 0
    assert files(tmp_path / "out") == names
    monkeypatch.chdir(tmp_path / "root" / part)
    assert command(Scale(), ".", "-o", tmp_path / "again")[0] == 0
    assert tree(tmp_path / "again") == tree(tmp_path / "out")


def test_a_sequence_of_gopro_and_its_folders(tmp_path, command):
    sequence = trees.write_gopro(tmp_path / "root", np.random.default_rng(0)) / "test" / "GOPR0001_test"
    assert command(Scale(), sequence, "-o", tmp_path / "out")[0] == 0
    frames = [f"{frame:06d}.png" for frame in (1, 2, 3)]
    assert files(tmp_path / "out") == {f"GOPR0001_test/{frame}" for frame in frames}
    for part in ("blur", "blur_gamma", "sharp"):  # what is given by itself is meant
        network = Scale()
        assert command(network, sequence / part, "-o", tmp_path / part) == (
            0,
            "deblur: 3 restored, 0 failed, 0 skipped\n",
        )
        for frame in frames:
            np.testing.assert_array_equal(
                *(np.asarray(Image.open(at / frame)) for at in (sequence / part, tmp_path / part))
            )


def test_gopro_with_gamma_only(tmp_path, command):
    base = trees.write_gopro(tmp_path / "root", np.random.default_rng(0))
    for folder in base.glob("*/*/blur"):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    status, said = command(Scale(), tmp_path / "root", "-o", tmp_path / "out")
    assert status == 0
    assert "GoPro (GOPRO_Large) blur_gamma" in said
    assert len(files(tmp_path / "out")) == 6


def test_a_benchmark_that_is_not_whole_says_so(tmp_path, command):
    base = trees.write_gopro(tmp_path / "root", np.random.default_rng(0))
    (base / "test" / "GOPR0001_test" / "sharp" / "000002.png").unlink()
    status, said = command(Scale(), tmp_path / "root", "-o", tmp_path / "out")
    assert status == 0
    assert "this copy is not whole" in said
    assert len(files(tmp_path / "out")) == 5


def test_folders_that_only_look_like_a_benchmark_are_searched(tmp_path, command):
    for name in ("blur/a.png", "sharp/a.png", "test/b.png", "input/c.png"):
        save(tmp_path / "in" / name)
    assert command(Scale(), tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    assert files(tmp_path / "out") == {"blur/a.png", "sharp/a.png", "test/b.png", "input/c.png"}


@pytest.mark.parametrize(
    ("name", "given", "out"),
    [
        ("gopro", "GOPRO_Large/test/GOPR0000_test/blur", "GOPRO_Large/test/GOPR0000_test/sharp"),
        ("gopro", "GOPRO_Large/test/GOPR0000_test/blur", "GOPRO_Large/test/GOPR0000_test/blur_gamma"),
        ("hide", "HIDE_dataset/test/test-close-ups", "HIDE_dataset/GT"),
        ("dvd", "quantitative_datasets/IMG_0021/input", "quantitative_datasets/IMG_0021/GT"),
        ("flat", "test/input", "test/target"),
    ],
)
def test_the_sharp_images_of_a_benchmark_are_never_replaced(name, given, out, tmp_path, command):
    trees.WRITERS[name][0](tmp_path / "root", np.random.default_rng(0))
    before, network = tree(tmp_path), Scale()
    status, said = command(network, tmp_path / "root" / given, "-o", tmp_path / "root" / out, "--overwrite")
    assert (status, network.asked) == (1, 0)
    assert "is an input, and these are never overwritten" in said
    assert tree(tmp_path) == before
