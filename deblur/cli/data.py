"""`deblur data`: benchmarks and pictures to train on, written, checked, packed."""

import argparse
from functools import partial
from pathlib import Path

from deblur.cli.options import Commands, pixels, seed, used, whole
from deblur.errors import UsageError, unknown
from deblur.talk import say


def add(commands: Commands) -> None:
    data = commands.add_parser("data", help="write or check a benchmark").add_subparsers(required=True, metavar="WHAT")
    for add_one in (_add_bundled, _add_exam, _add_check, _add_pack, _add_leaves, _add_photographs, _add_synthesize):
        add_one(data)


def _add_bundled(data: Commands) -> None:
    bundled = data.add_parser(
        "bundled",
        help="write the bundled copy of a benchmark, or find it whole",
        description="Write small copies of benchmarks, each in its official tree; what is there, whole by its hashes, "
        "is kept.",
    )
    names = "gopro, hide, realblur_j, realblur_r, koehler, dvd, rwbi, or all of them (default: gopro)"
    bundled.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=names)
    bundled.add_argument("--scale", choices=("mini", "bench"), default="mini", help="bench: gopro with full-size blur")
    bundled.add_argument("--root", type=Path, help="where to (default: a folder of its own in the data folder)")
    bundled.set_defaults(run=_bundled)


def _bundled(given: argparse.Namespace) -> None:
    from deblur.data import bundled

    names = _names(given.benchmarks, given.scale)
    for name in names:
        _ensure(name, given.root / name if given.root and len(names) > 1 else given.root or bundled.place(name))


def _ensure(name: str, root: Path) -> None:
    """Write a copy, or say that it is whole."""
    from deblur.data import bundled

    about = bundled.described(name)
    if bundled.is_intact(root, name):
        say(f"kept: {root} is whole ({about})")
    else:
        say(f"writing {root} ({about})")
        bundled.ensure(name, root)
    print(root, flush=True)


def _names(benchmarks: list[str], scale: str) -> list[str]:
    """The copies that are meant."""
    from deblur.data import bundled

    copied = list(dict.fromkeys(copy.benchmark for copy in bundled.COPIES.values()))
    for name in benchmarks:
        if name not in (*copied, "all"):
            raise unknown("benchmark", name, [*copied, "all"])
    if scale == "bench" and benchmarks not in ([], ["gopro"]):
        raise UsageError("--scale bench: only gopro has a copy with blur of full size")
    chosen = copied if "all" in benchmarks else benchmarks or ["gopro"]
    return list(dict.fromkeys(bundled.named(name, scale) for name in chosen))


def _add_exam(data: Commands) -> None:
    exam = data.add_parser(
        "exam",
        help="write the study exam, or find it whole",
        description="Blur the photographs that no training may see; they are fetched from Debian if need be.",
    )
    exam.add_argument("--scale", choices=("mini", "bench"), default="mini", help="whose blur (default: mini)")
    exam.add_argument("--root", type=Path, help="where to (default: a folder of its own in the data folder)")
    exam.set_defaults(run=_exam)


def _exam(given: argparse.Namespace) -> None:
    from deblur.data import bundled

    name = f"{given.scale}-exam"
    _ensure(name, given.root or bundled.place(name))


def _add_check(data: Commands) -> None:
    check = data.add_parser("check", help="is a copy of a benchmark complete and readable?")
    check.add_argument("name", help="gopro, hide, realblur_j, realblur_r, koehler, dvd, rwbi or flat")
    check.add_argument("root", type=Path)
    check.add_argument("--subset", help="GoPro: the folder that you mean to read, blur or blur_gamma")
    check.add_argument("--split", action="append", help="judge this split only; may be given again (default: all)")
    check.set_defaults(run=_check)


def _check(given: argparse.Namespace) -> int:
    from tqdm.auto import tqdm

    from deblur.data.check import check

    choices = {"subset": given.subset} if given.subset else {}
    bar = partial(tqdm, desc=f"check {given.name}", leave=False, mininterval=1)
    report = check(given.name, given.root, splits=given.split, progress=bar, **choices)
    print(report)
    return 0 if report.usable else 1


def _add_pack(data: Commands) -> None:
    pack = data.add_parser("pack", help="decode a split once, so that training need not; found again by 'train'")
    pack.add_argument("name", help="gopro, realblur_j, realblur_r or dvd")
    pack.add_argument("root", type=Path)
    pack.add_argument("--subset", choices=("blur", "blur_gamma"), help="of GoPro (default: blur)")
    pack.add_argument("--split", default="train")
    pack.set_defaults(run=_pack)


def _pack(given: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur.data import copies, packing

    if given.subset and given.name != "gopro":
        raise UsageError(f"--subset: {given.name} has no subsets to choose from; leave it out")
    with used():
        data = copies.open_data(given.root, given.subset or "blur", given.name)
        pairs = data.pairs(given.split)
    folder = data.packed(given.split)
    say(f"packing {len(pairs):,} {given.split} pairs of {data.label} into {folder}")
    bar = partial(tqdm, desc=f"pack {data.label}", unit="pair", leave=False, mininterval=1)
    size = packing.pack(pairs, folder, progress=bar)
    print(folder, f"{size / 1e9:.2f} GB", sep="\n")


def _add_leaves(data: Commands) -> None:
    leaves = data.add_parser("leaves", help="make sharp pictures to train on at scale bench, without photographs")
    leaves.add_argument("--out", type=Path, help="a new folder (default: photos/leaves)")
    leaves.add_argument("--count", type=whole(1, 99_999), default=128, help="pictures of 720x1080 (default: 128)")
    leaves.add_argument("--seed", type=seed, default=0)
    leaves.set_defaults(run=_leaves)


def _leaves(given: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur import paths
    from deblur.data.leaves import write_leaves

    out = given.out or paths.photos_dir() / "leaves"
    say(f"painting {given.count:,} pictures of 720x1080 into {out}")
    bar = partial(tqdm, desc="leaves", unit="picture", total=given.count, leave=False, mininterval=1)
    write_leaves(out, given.count, given.seed, progress=bar)
    print(out)


def _add_photographs(data: Commands) -> None:
    debian = data.add_parser("photographs", help="fetch free photographs from Debian, to train on at scale bench")
    exam = "train, or those of the study exam, which no training takes (default: train)"
    debian.add_argument("--split", choices=("train", "exam"), default="train", help=exam)
    out = "a new folder (default: photos/photographs; exam: photographs-exam in the data folder)"
    debian.add_argument("--out", type=Path, help=out)
    debian.set_defaults(run=_photographs)


def _photographs(given: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur.data import debian

    out = given.out or debian.home(given.split)
    say(f"fetching photographs from Debian's packages into {out}")
    debian.fetch(out, given.split, partial(tqdm, desc="photographs", unit="package", leave=False))
    print(out)


def _add_synthesize(data: Commands) -> None:
    own = data.add_parser("synthesize", help="make a GoPro tree from your own photographs or video frames")
    own.add_argument("--photos", type=Path, required=True, help="folder of sharp photographs")
    own.add_argument("--out", type=Path, required=True, help="a new folder")
    own.add_argument("--video", action="store_true", help="--photos holds a subfolder of consecutive frames per clip")
    own.add_argument("--seed", type=seed, default=0)
    frames = "pairs per photograph, at most per clip (default: 4)"
    own.add_argument("--frames", type=whole(1, 999_999), default=4, help=frames)
    own.add_argument("--size", type=whole(32, 16_384), nargs=2, default=(720, 1280), metavar=("HEIGHT", "WIDTH"))
    path = "default: 8 to 20 at 720p"
    own.add_argument("--path-px", type=pixels, nargs=2, metavar=("SHORTEST", "LONGEST"), help=path)
    own.set_defaults(run=_synthesize)


def _synthesize(given: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from deblur.data.synthesis import synthesize

    names = ("video", "seed", "frames", "size", "path_px")
    settings = {name: getattr(given, name) for name in names}
    say(f"exposing what lies in {given.photos} into {given.out}")
    bar = partial(tqdm, desc="synthesize", leave=False, mininterval=1)
    counts = synthesize(given.photos, given.out, progress=bar, **settings)
    print(given.out, *(f"{split} {count}" for split, count in counts.items()), sep="\n")
