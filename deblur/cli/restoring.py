"""`deblur restore`."""

import argparse
from pathlib import Path

from deblur.cli.options import Commands, whole


def add(commands: Commands) -> None:
    restore = commands.add_parser(
        "restore",
        help="deblur your own photographs",
        description="Restore photographs (PNG, JPEG, TIFF, WebP, AVIF, BMP; HEIC with deblur-papers[heif]) that are "
        "blurred because the camera or the scene moved. Not for pictures out of focus: these stay as they are, or get "
        "worse. Of a folder that is a benchmark as it was unpacked, the blurred images of one split are restored: of "
        "'test' if there are several, of GoPro's subsets 'blur'.",
        epilog="Exit status: 0 all are restored; 1 one failed, or a file in a folder is of a kind that is not read; "
        "2 wrong use, nothing is restored; 130 stopped by Ctrl-C, what was written is whole.",
    )
    restore.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="files, and folders of them")
    out = "file for one photograph, else a folder (default: the folder 'restored' in the working directory)"
    restore.add_argument("-o", "--out", type=Path, help=out)
    which = "name from 'deblur weights list', or a .safetensors file with its card (default: what gains most)"
    restore.add_argument("--model", help=which)
    restore.add_argument("--ensemble", action="store_true", help="mean over eight symmetries: eight times the time")
    restore.add_argument("--compare", action="store_true", help="also write NAME-compare.jpg, before beside after")
    restore.add_argument(
        "--tile",
        type=whole(1, 10**6),
        help="longest side of a tile in pixels (default: what suits the network and memory)",
    )
    restore.add_argument("--overwrite", action="store_true", help="replace files that are there, but no input")
    restore.set_defaults(run=_restore)


def _restore(given: argparse.Namespace) -> int:
    from deblur.photos import files

    names = ("photos", "out", "model", "ensemble", "tile", "compare", "overwrite")
    return 0 if files.restore_files(**{name: getattr(given, name) for name in names}) else 1
