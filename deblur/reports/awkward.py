"""Forty awkward inputs of `deblur restore`, and what happens to each.

`python -m deblur.reports.awkward` writes the table to `results/bench/awkward.md`. Every input is generated, restored by
the command itself with the default network, and described from what lies there afterwards: the result's size and
pixels, what was said about it, and whether the input is as it was.
"""

import contextlib
import io
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from deblur import cli, models, paths, recipes, writing
from deblur.weights import cards, released

SIZE = (45, 67)  # height and width of most inputs


def tiny_release(folder: Path, name: str = "tiny", seed: int = 0, **more: object) -> Path:
    """A small network that changes images a little, in half precision with its card, as weights are released.

    Args:
        more: further entries of the card.
    """
    config = recipes.recipe("attentive", scale="smoke").config
    network = models.build("attentive", **config)
    generator = torch.Generator().manual_seed(seed)
    halves = {
        key: (tensor + 0.003 * torch.randn(tensor.shape, generator=generator)).half()
        for key, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.safetensors"
    save_file(halves, file)
    made: dict[str, Any] = {
        "name": name,
        "network": "attentive",
        "variant": "paper",
        "config": config,
        "parameters": sum(tensor.numel() for tensor in network.parameters()),
        "precision": "float16",
        "sha256": paths.file_sha256(file),
        "limits": ["Nothing but a test."],
    }
    writing.write_text(cards.beside(file), cards.Card(**made | more).text)
    return file


# ------------------------------------------------------------------------------------------------------------- pictures


def photograph(*shape: int, depth: int = 8) -> np.ndarray:
    """Soft colours with some texture, an array of that shape and depth."""
    rng = np.random.default_rng(sum(shape))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    soft = 0.5 + 0.3 * np.sin(rows / 9 + columns / 13)
    soft = soft.reshape(shape[:2] + (1,) * (len(shape) - 2)) + rng.normal(0, 0.05, shape)
    return np.rint(soft.clip(0, 1) * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def pillow(*channels: int, size: tuple[int, int] = SIZE, mode: str = "", **options: Any) -> Callable[[Path], None]:
    """What writes a photograph with Pillow, its mode converted if one is named."""

    def make(path: Path) -> None:
        image = Image.fromarray(photograph(*size, *channels))
        (image.convert(mode) if mode else image).save(path, **options)

    return make


def opencv(channels: int) -> Callable[[Path], None]:
    """What writes 16 bits of several channels."""

    def make(path: Path) -> None:
        cv2.imwrite(str(path), photograph(*SIZE, channels, depth=16))

    return make


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = orientation, "Camera"
    return tags


def cut(make: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    """Only the first part of a file."""

    def shorter(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return shorter


def flipped(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """One bit wrong in the middle."""

    def wrong(path: Path) -> None:
        make(path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)

    return wrong


def moving(path: Path) -> None:
    frames = [Image.fromarray(photograph(*SIZE, 3) // divisor) for divisor in (1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def grey_alpha_16(path: Path) -> None:
    _png(path, photograph(*SIZE, 2, depth=16).astype(">u2").tobytes(), 16, 4, 4)


def bomb(path: Path) -> None:
    _png(path, b"", 8, 2, 3, 60_000, 60_000)


def _png(
    path: Path, rows: bytes, depth: int, kind: int, bytes_: int, height: int = SIZE[0], width: int = SIZE[1]
) -> None:
    """A PNG put together by hand, for what no library writes."""
    step = bytes_ * width
    lines = b"".join(b"\0" + rows[start : start + step] for start in range(0, len(rows), step))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def chunk(name: bytes, content: bytes) -> bytes:
    """Of a PNG, with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def clear_colour(path: Path) -> None:
    image = Image.fromarray(photograph(*SIZE, 3))
    image.save(path, transparency=image.getpixel((3, 4)))


def clear_palette(path: Path) -> None:
    Image.fromarray(photograph(*SIZE, 3)).quantize(16).save(path, transparency=bytes(range(0, 256, 16)))


def deep_turned(path: Path) -> None:
    opencv(3)(path)
    content, tags = path.read_bytes(), exif(8).tobytes().removeprefix(b"Exif\0\0")
    path.write_bytes(content[:33] + chunk(b"eXIf", tags) + content[33:])


def broken_exif(path: Path) -> None:
    pillow(3)(path)
    content = path.read_bytes()
    tags = b"Exif\0\0MM\0*" + b"\xff" * 30
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(tags) + 2) + tags + content[2:])


def several_in_one(path: Path) -> None:
    frames = [Image.fromarray(photograph(*SIZE, 3) // divisor) for divisor in (1, 2)]
    frames[0].save(path, "MPO", save_all=True, append_images=frames[1:])


def raw_preview(path: Path) -> None:
    Image.fromarray(photograph(*SIZE, 3)).save(path, "TIFF", tiffinfo={254: 1})


def with_profile(path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A title")
    Image.fromarray(photograph(*SIZE, 3)).save(path, icc_profile=b"profile" * 30, pnginfo=info, exif=exif(1))


def empty(path: Path) -> None:
    path.touch()


def words(path: Path) -> None:
    path.write_text("no picture")


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("gone.jpg"))


def folder_of_none(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no picture")


# ---------------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    title: str
    name: str  # of the input
    make: Callable[[Path], object]  # writes it
    expected: str  # part of what `happened` says
    out: str = "out"
    options: tuple[str, ...] = ()


CASES = [
    Case("one pixel", "a.png", pillow(3, size=(1, 1)), "a.png: PNG RGB 1x1"),
    Case("one column", "a.jpg", pillow(3, size=(200, 1)), "a.jpg: JPEG RGB 200x1"),
    Case("odd sides", "a.webp", pillow(3, size=(31, 47)), "a.webp: WEBP RGB 31x47"),
    Case("a panorama", "a.png", pillow(3, size=(24, 3000)), "a.png: PNG RGB 24x3000"),
    Case("larger than its tiles", "a.png", pillow(3, size=(300, 420)), "PNG RGB 300x420", options=("--tile", "256")),
    Case("grey", "a.jpg", pillow(), "a.jpg: JPEG L 45x67"),
    Case("grey, 16 bit", "a.png", lambda path: cv2.imwrite(str(path), photograph(*SIZE, depth=16)), "PNG I;16 45x67"),
    Case("grey with alpha", "a.png", pillow(2), "PNG LA 45x67, same alpha"),
    Case("grey with alpha, 16 bit", "a.png", grey_alpha_16, "PNG RGBA 16 bit 45x67, same alpha"),
    Case("RGB with alpha", "a.tif", pillow(4), "TIFF RGBA 45x67, same alpha"),
    Case("RGB with one transparent colour", "a.png", clear_colour, "PNG RGBA 45x67, same alpha"),
    Case("RGB, 16 bit", "a.png", opencv(3), "PNG RGB 16 bit 45x67"),
    Case("RGB with alpha, 16 bit", "a.png", opencv(4), "PNG RGBA 16 bit 45x67, same alpha"),
    Case("RGB, 16 bit, compressed TIFF", "a.tiff", opencv(3), "TIFF RGB 16 bit 45x67"),
    Case("RGB with alpha, into JPEG", "a.png", pillow(4), "JPEG holds no transparency", out="out.jpg"),
    Case("palette", "a.png", pillow(3, mode="P"), "a palette of colours; the result has all"),
    Case("palette with transparency", "a.png", clear_palette, "PNG RGBA 45x67, same alpha"),
    Case("black and white, 1 bit", "a.png", pillow(mode="1"), "PNG L 45x67"),
    Case("CMYK", "a.jpg", pillow(3, mode="CMYK"), "pixels of kind CMYK; convert it to RGB"),
    Case("floating point", "a.tif", pillow(mode="F"), "floating-point pixels of 32 bits; convert it to RGB"),
    Case("turned by EXIF", "a.jpg", pillow(3, exif=exif(6)), "JPEG RGB 67x45, orientation 1"),
    Case("16 bit, turned by EXIF", "a.png", deep_turned, "PNG RGB 16 bit 67x45, orientation 1"),
    Case("damaged EXIF", "a.jpg", broken_exif, "JPEG RGB 45x67"),
    Case("profile, text and EXIF", "a.png", with_profile, "orientation 1, same profile, same text"),
    Case("animated WebP", "a.webp", moving, "has 2 frames; save the one that you mean"),
    Case("animated PNG", "a.png", moving, "has 2 frames; save the one that you mean"),
    Case("TIFF of two pages", "a.tif", moving, "has 2 pages; save the one that you mean"),
    Case("JPEG with a second picture inside", "a.jpg", several_in_one, "the first is taken"),
    Case("GIF", "a.gif", pillow(3, mode="P"), "not a PNG, JPEG, TIFF, WebP, BMP, AVIF or HEIC picture"),
    Case("raw photograph's preview", "a.nef", raw_preview, "develop it to TIFF or JPEG first"),
    Case("PNG named .jpg", "a.jpg", lambda path: pillow(3, format="PNG")(path), "a.png: PNG RGB 45x67"),
    Case("empty file", "a.jpg", empty, "is empty (0 bytes)"),
    Case("text named .jpg", "a.jpg", words, "not a PNG, JPEG, TIFF, WebP, BMP, AVIF or HEIC picture"),
    Case("first half of a JPEG", "a.jpg", cut(pillow(3), 0.5), "damaged"),
    Case("first half of a 16-bit PNG", "a.png", cut(opencv(3), 0.5), "damaged"),
    Case("PNG with one wrong bit", "a.png", flipped(pillow(3)), "damaged"),
    Case("3.6 gigapixels in 100 bytes", "a.png", bomb, "has 3600 million pixels, and there is memory for"),
    Case("a link to nothing", "a.jpg", dangling, "No such file"),
    Case("a folder without pictures", "a.jpg", folder_of_none, "holds no PNG, JPEG, TIFF"),
    Case("a name with spaces and umlauts", "Grüße aus Köln.png", pillow(3), "Grüße aus Köln.png: PNG RGB 45x67"),
]


def happened(case: Case, folder: Path, network: str) -> str:
    """Make an input in an empty folder, restore it there with a network at hand, and say what came of it."""
    source, out = folder / case.name, folder / case.out
    case.make(source)
    before = _bytes(folder)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = cli.main(["restore", str(source), "-o", str(out), "--model", network, *case.options])
    after = _bytes(folder)
    if any(after.get(path) != content for path, content in before.items()):
        return "CHANGED WHAT WAS THERE"
    made = sorted(after.keys() - before.keys())
    if bool(made) == bool(status):
        return f"STATUS {status} WITH {len(made)} RESULTS"
    notes = said.getvalue().replace(f"{folder}{os.sep}", "").replace("deblur: ", "").strip().splitlines()
    results = [f"{path.name}: {describe(path, source)}" for path in made]
    return " | ".join([*results, *notes])


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def describe(path: Path, source: Path) -> str:
    """Kind, pixels and size (height x width) of a result, and what it has from its input."""
    with warnings.catch_warnings(action="ignore"), Image.open(path) as image, Image.open(source) as given:
        deep = " 16 bit" if ";16" in str(image.tile) and image.mode != "I;16" else ""
        facts = [f"{image.format} {image.mode}{deep} {image.height}x{image.width}"]
        if image.mode in ("LA", "RGBA"):
            # 16 bits are compared as 8 here, whose upper half they are.
            same = image.convert("RGBA").getchannel("A").tobytes() == given.convert("RGBA").getchannel("A").tobytes()
            facts.append("same alpha" if same else "other alpha")
        if 0x0112 in image.getexif():
            facts.append(f"orientation {image.getexif()[0x0112]}")
        for word, key in (("profile", "icc_profile"), ("text", "Title")):
            if given.info.get(key):
                facts.append(f"{'same' if image.info.get(key) == given.info[key] else 'other'} {word}")
    return ", ".join(facts)


def table(network: str) -> list[tuple[str, str]]:
    """What each input is, and what happened to it with a network at hand."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(CASES):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            rows.append((case.title, happened(case, folder, network)))
    return rows


def main() -> None:
    """Write the table, and print it."""
    network = released.find().stem  # says what to do if there are no weights
    lines = [f"Forty awkward inputs of `deblur restore`, and what happened to each (network: {network}).", ""]
    lines += ["| input | what happened |", "| --- | --- |"]
    lines += [f"| {title} | {outcome.replace(' | ', '; ')} |" for title, outcome in table(network)]
    writing.write_text(paths.results_dir() / "bench" / "awkward.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
