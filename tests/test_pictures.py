"""Photographs as files: every pixel and what is said about it, read back by the libraries themselves."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin

from deblur.photos import metadata, pictures

CAMERA, EXPOSURE, MAKER_NOTE = 0x010F, 0x829A, 0x927C
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" dc:title="one"/></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')
TITLE = b"\0\0\0\x09tEXtTitle\0one" + zlib.crc32(b"tEXtTitle\0one").to_bytes(4, "big")
ICC = b"not a profile, but kept " * 9


def integers(rng, *shape, kind=np.uint8):
    return rng.integers(0, np.iinfo(kind).max + 1, shape, dtype=kind)


def camera(orientation, size=None):
    exif = Image.Exif()
    exif[CAMERA], exif[metadata.ORIENTATION] = "Camera", orientation
    details = exif.get_ifd(metadata.EXIF_IFD)
    details[EXPOSURE], details[MAKER_NOTE] = 0.01, b"secrets"
    if size:
        details[metadata.HEIGHT], details[metadata.WIDTH] = size
    exif.get_ifd(metadata.GPS_IFD)[1] = "N"
    return exif


def with_deep_png_exif(pixels, exif):
    """16-bit RGB with EXIF, which no library writes here: the chunk of an 8-bit one moved over."""
    deep = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    body = b"eXIf" + content
    return deep[:33] + len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big") + deep[33:]


# -------------------------------------------------------------------------------------------------------------- upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_pixels_come_upright_and_are_not_turned_again(orientation, suffix, tmp_path):
    rng = np.random.default_rng(orientation)
    size = rng.integers(5, 40, 2)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(integers(rng, *size, 3)).save(path, exif=camera(orientation, size.tolist()))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    picture = pictures.read(path)
    np.testing.assert_array_equal(picture.pixels, expected)
    pictures.write(tmp_path / "b.png", picture)
    again = pictures.read(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, expected)
    exif = Image.Exif()
    exif.load(again.exif)
    assert exif.get(metadata.ORIENTATION, 1) == 1
    if suffix != ".tif":  # Pillow writes no details into TIFF
        details = exif.get_ifd(metadata.EXIF_IFD)
        assert (details[metadata.HEIGHT], details[metadata.WIDTH]) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_come_upright(orientation, tmp_path):
    rng = np.random.default_rng(orientation)
    pixels = integers(rng, 11, 7, 3, kind=np.uint16)
    exif = camera(orientation)
    (tmp_path / "a.png").write_bytes(with_deep_png_exif(pixels, exif))
    pictures.write(tmp_path / "a.tif", pictures.Picture(pixels, "TIFF", exif.tobytes()))  # stored as it is, tag and all
    thumbnail = Image.fromarray((pixels >> 8).astype(np.uint8))
    thumbnail.getexif()[metadata.ORIENTATION] = orientation
    expected = np.asarray(ImageOps.exif_transpose(thumbnail))
    for name in ("a.png", "a.tif"):
        found = pictures.read(tmp_path / name).pixels
        np.testing.assert_array_equal(found >> 8, expected)
        np.testing.assert_array_equal(np.sort(found, None), np.sort(pixels, None))


@pytest.mark.parametrize("orientation", [0, 9, 6.5, "6", None])
def test_a_senseless_orientation_turns_nothing(orientation):
    pixels = integers(np.random.default_rng(0), 3, 4)
    np.testing.assert_array_equal(pictures.upright(pixels, orientation), pixels)


# ---------------------------------------------------------------------------------------------------------- every pixel


HELD = [(np.uint8, channels) for channels in ((), (2,), (3,), (4,))]
HELD += [(np.uint16, channels) for channels in ((), (3,), (4,))]  # the fourth: see test_picture_forms


@pytest.mark.parametrize(("kind", "channels"), HELD)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_png_and_tiff_hold_every_pixel(suffix, channels, kind, tmp_path):
    rng = np.random.default_rng(0)
    pixels, path = integers(rng, *rng.integers(1, 50, 2), *channels, kind=kind), tmp_path / f"a{suffix}"
    pictures.write(path, pictures.Picture(pixels, ""))
    found = pictures.read(path)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert (found.pixels.dtype, found.kind, found.notes) == (kind, pictures.KINDS[suffix], ())
    if kind == np.uint8 or not channels:  # by the library alone
        np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels)
    else:
        other = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(other[..., [2, 1, 0, 3][: channels[0]]], pixels)


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_stays_lossless_or_lossy(channels, tmp_path):
    pixels = integers(np.random.default_rng(0), 40, 50, channels)
    for name, options in {"exact.webp": {"lossless": True, "exact": True}, "lossy.webp": {"quality": 80}}.items():
        Image.fromarray(pixels).save(tmp_path / name, **options)
        picture = pictures.read(tmp_path / name)
        assert picture.lossless == (name == "exact.webp")
        pictures.write(tmp_path / f"again-{name}", picture)
        same = np.array_equal(pictures.read(tmp_path / f"again-{name}").pixels, pixels)
        assert same == (name == "exact.webp")


def test_jpeg_keeps_colour_at_full_resolution(tmp_path):
    pixels = cv2.GaussianBlur(integers(np.random.default_rng(0), 40, 60, 3), (0, 0), 3)
    pictures.write(tmp_path / "a.jpg", pictures.Picture(pixels, "JPEG"))
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0
        assert np.abs(np.asarray(image) - pixels.astype(float)).mean() < 2


def test_sixteen_bits_become_the_nearest_of_eight():
    pixels = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(pictures.eight_bits(pixels), np.rint(pixels / 65535 * 255))
    assert pictures.eight_bits(np.uint8([7])) == 7


# ------------------------------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp", ".tif"])
def test_exif_profile_and_xmp_survive_from_every_kind_to_every_kind(source, suffix, tmp_path):
    rng = np.random.default_rng(0)
    pixels, first, second = integers(rng, 9, 12, 3), tmp_path / f"a{source}", tmp_path / f"b{suffix}"
    if source == ".tif":  # Pillow writes no details into TIFF; what reads them below is Pillow
        given = pictures.Picture(pixels, "TIFF", camera(1).tobytes(), ICC, XMP, dpi=(300, 300))
        pictures.write(first, given)
    else:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        more = {"pnginfo": info} if source == ".png" else {"xmp": XMP}
        Image.fromarray(pixels).save(first, exif=camera(1), icc_profile=ICC, dpi=(300, 300), **more)
    pictures.write(second, pictures.read(first))
    with Image.open(second) as image:
        exif = image.getexif()
        assert (exif[CAMERA], exif.get(metadata.ORIENTATION, 1)) == ("Camera", 1)
        details = exif.get_ifd(metadata.EXIF_IFD)
        assert (float(details[EXPOSURE]), details[MAKER_NOTE]) == (pytest.approx(0.01), b"secrets")
        assert exif.get_ifd(metadata.GPS_IFD)[1] == "N"
        assert image.info["icc_profile"] == ICC
        found = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        assert found == UPRIGHT_XMP
        if ".webp" not in (source, suffix):  # which has no resolution
            assert np.allclose([float(value) for value in image.info["dpi"]], 300, atol=0.01)


def test_sixteen_bit_files_keep_it_too(tmp_path):
    pixels = integers(np.random.default_rng(0), 9, 12, 3, kind=np.uint16)
    given = pictures.Picture(pixels, "PNG", camera(1).tobytes(), ICC, XMP, chunks=(TITLE,), dpi=(300, 300))
    for name in ("a.png", "a.tif"):
        pictures.write(tmp_path / name, given)
        found = pictures.read(tmp_path / name)
        np.testing.assert_array_equal(found.pixels, pixels)
        assert (found.icc, found.xmp) == (ICC, UPRIGHT_XMP)
        exif = Image.Exif()
        exif.load(found.exif)
        assert exif.get_ifd(metadata.EXIF_IFD)[MAKER_NOTE] == b"secrets"
        assert found.dpi == pytest.approx((300, 300), abs=0.01)
        if name == "a.png":
            assert Image.open(tmp_path / name).text["Title"] == "one"


def test_the_layout_of_a_tiff_does_not_become_exif(tmp_path):
    """Rows, strips and tiles of the source would be lies in the result."""
    cv2.imwrite(str(tmp_path / "a.tif"), integers(np.random.default_rng(0), 30, 40, 3))
    exif = Image.Exif()
    exif.load(pictures.read(tmp_path / "a.tif").exif)
    assert not set(exif) & {256, 257, 258, 259, 273, 278, 279, 317}


# ------------------------------------------------------------------------------------------------------------- refusals


def test_more_pixels_than_there_is_memory_for_are_refused_undecoded(tmp_path, monkeypatch):
    Image.fromarray(integers(np.random.default_rng(0), 50, 50, 3)).save(tmp_path / "a.png")
    assert pictures.read(tmp_path / "a.png", 2500).pixels.shape == (50, 50, 3)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"a\.png: has 0 million pixels, and there is memory for 0 million"):
        pictures.read(tmp_path / "a.png", 2499)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "b.png", "b.tif", "b.jpg", "b.webp"])
def test_truncated_files_are_damaged_never_black(name, share, tmp_path):
    kind = np.uint16 if name.startswith("a") else np.uint8
    path = tmp_path / name
    pictures.write(path, pictures.Picture(integers(np.random.default_rng(0), 60, 60, 3, kind=kind), ""))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"{path.name}: (damaged|not a PNG)"):
        pictures.read(path)


def test_what_a_file_cannot_hold(tmp_path):
    deep, clear = (
        pictures.Picture(np.zeros((2, 3, 3), np.uint16), ""),
        pictures.Picture(np.zeros((2, 3, 4), np.uint8), ""),
    )
    assert "8 of the 16 bits" in pictures.fit(tmp_path / "a.jpg", deep)[1][0]
    assert "no transparency" in pictures.fit(tmp_path / "a.JPEG", clear)[1][0]
    assert pictures.fit(tmp_path / "a.png", deep)[1] == pictures.fit(tmp_path / "a.webp", clear)[1] == []
    with pytest.raises(ValueError, match="16383 pixels a side at most"):
        pictures.fit(tmp_path / "a.webp", pictures.Picture(np.zeros((1, 16384), np.uint8), ""))
    with pytest.raises(ValueError, match=r"a\.bmp: no kind of picture that is written here"):
        pictures.fit(tmp_path / "a.bmp", clear)


def test_a_file_that_is_not_there_or_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        pictures.read(tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError):
        pictures.read(tmp_path)
