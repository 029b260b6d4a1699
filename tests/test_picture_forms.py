"""Every form in which a picture lies in a file, written by another library and compared with the array that went in."""

import base64
import itertools
import os
import struct
import sys
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from torch import nn

from deblur.photos import metadata, pictures, restoration

TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""Orientation -> what turns the stored array upright: 6 is that of a camera turned left, whose picture turns right."""

CHANNELS = {"grey": 1, "grey+alpha": 2, "RGB": 3, "RGBA": 4, "RGB+unknown": 4}
ALPHA = {
    "grey+alpha": ("unassalpha", "assocalpha"),
    "RGBA": ("unassalpha", "assocalpha"),
    "RGB+unknown": ("unspecified",),
}


class Identity(nn.Module):
    def forward(self, blurred):
        return (blurred,)


def random(channels, bits, premultiplied):
    """(H,W,channels) integers of so many bits; of premultiplied ones no colour is above its alpha."""
    rng = np.random.default_rng(channels * bits)
    values = rng.integers(0, 1 << bits, (5, 7, channels), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, (1 << bits) - 1
    if premultiplied:
        values[..., :-1] = np.minimum(values[..., :-1], values[..., -1:])
    return values.astype(np.uint8 if bits == 8 else np.uint16)


def expected(values, bits, turn, white_is_zero, premultiplied):
    """In floating point, in levels of the result."""
    top = 255 if bits == 8 else 65535
    found = values / ((1 << bits) - 1)
    colours = found[..., :-1] if values.shape[2] in (2, 4) else found
    if premultiplied:
        with np.errstate(invalid="ignore"):
            colours[:] = np.nan_to_num(colours / found[..., -1:])
    if white_is_zero:
        colours[:] = 1 - colours
    return TURNS[turn](found * top)


def write_tiff(path, values, bits, turn, planar, white_is_zero, compression, extra, big):
    grey = values.shape[2] < 3
    array = np.moveaxis(values, -1, 0) if planar == "separate" else values
    tifffile.imwrite(
        path,
        array if values.shape[2] > 1 else values[..., 0],
        bigtiff=big,
        photometric=("miniswhite" if white_is_zero else "minisblack") if grey else "rgb",
        planarconfig=planar if values.shape[2] > 1 else None,
        extrasamples=extra and [extra],
        compression=compression if bits != 12 else None,
        bitspersample=bits,
        extratags=[(274, 3, 1, turn, True)],
        metadata=None,
    )
    if bits == 12 and compression:
        pack_strips(path, compression)


def pack_strips(path, compression):
    """Compress the strips of a TIFF behind its end, since tifffile does not pack 12 bits."""
    code, encode = {"lzw": (5, imagecodecs.lzw_encode), "zlib": (8, imagecodecs.zlib_encode)}[compression]
    with tifffile.TiffFile(path, mode="r+") as file:
        page, stream = file.pages[0], file.filehandle
        strips = []
        for start, size in zip(page.dataoffsets, page.databytecounts):
            stream.seek(start)
            strips.append(encode(stream.read(size)))
        starts = []
        for strip in strips:
            stream.seek(0, 2)
            starts.append(stream.tell())
            stream.write(strip)
        page.tags["StripOffsets"].overwrite(starts)
        page.tags["StripByteCounts"].overwrite([len(strip) for strip in strips])
        page.tags["Compression"].overwrite(code)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("form", CHANNELS)
def test_every_form_of_tiff_comes_upright_and_exact_or_is_refused_by_name(form, bits, tmp_path):
    channels, network = CHANNELS[form], Identity()
    source, result = tmp_path / "a.tif", tmp_path / "b.tif"
    planars = ("contig", "separate") if channels > 1 else ("contig",)
    whites = (False, True) if channels < 3 else (False,)
    extras = ALPHA.get(form, (None,))
    compressions, bigs = (None, "lzw", "zlib"), (False, True)
    for case in itertools.product(TURNS, planars, whites, compressions, extras, bigs):
        turn, planar, white_is_zero, compression, extra, big = case
        premultiplied = extra == "assocalpha"
        values = random(channels, bits, premultiplied)
        write_tiff(source, values, bits, turn, planar, white_is_zero, compression, extra, big)
        if extra == "unspecified":
            with pytest.raises(
                ValueError, match=r"a\.tif: has a channel beside its colours that is not said to be alpha"
            ):
                pictures.read(source)
            continue
        picture = pictures.read(source)
        restored = restoration.restore(picture.pixels, network)
        pictures.write(result, replace(picture, pixels=restored))
        found = tifffile.imread(result).reshape(*restored.shape[:2], channels)
        wanted = expected(values, bits, turn, white_is_zero, premultiplied)
        assert found.dtype == (np.uint8 if bits == 8 else np.uint16), case
        assert np.abs(found - wanted).max() <= (1 if premultiplied else 0.5), case
        if not premultiplied:  # back to the numbers that were in the file
            top = np.iinfo(found.dtype).max / ((1 << bits) - 1)
            np.testing.assert_array_equal(np.rint(found / top), np.rint(wanted / top), str(case))


# ------------------------------------------------------------------------------------------------- other forms of TIFF


def photo(*channels, kind=np.uint8):
    """Soft colours, (40,56,...), which survive JPEG."""
    rows, columns = np.mgrid[:40, :56]
    planes = [rows / 39, columns / 55, (rows + columns) / 94, 1 - rows / 80][: channels[0] if channels else 1]
    return np.rint(np.stack(planes, -1) * np.iinfo(kind).max).astype(kind).reshape(40, 56, *channels)


LAYOUTS = {
    "tiles": {"tile": (16, 32)},
    "strips": {"rowsperstrip": 7},
    "big-endian": {"byteorder": ">"},
    "predictor": {"predictor": True, "compression": "zlib"},
    "tiles, big-endian, predictor": {"tile": (16, 16), "byteorder": ">", "predictor": True, "compression": "lzw"},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
    "lossless JPEG 2000": {"compression": "jpeg2000", "compressionargs": {"reversible": True, "level": 0}},
}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_do_not_depend_on_how_they_lie_in_a_tiff(layout, channels, kind, tmp_path):
    values, path = photo(*channels, kind=kind), tmp_path / "a.tif"
    options = {"photometric": "rgb" if channels else "minisblack", "metadata": None} | LAYOUTS[layout]
    tifffile.imwrite(path, values, extrasamples=["unassalpha"] if channels == (4,) else None, **options)
    np.testing.assert_array_equal(pictures.read(path).pixels, values)


JPEG = {"compression": "jpeg", "quality": 90}
WRITTEN = [(mode, options) for mode in ("1", "L", "P", "RGB", "YCbCr") for options in ({}, {"compression": "tiff_lzw"})]
WRITTEN += [(mode, JPEG) for mode in ("L", "RGB", "YCbCr")]


@pytest.mark.parametrize(("mode", "options"), WRITTEN)
def test_tiff_as_pillow_reads_it(mode, options, tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(photo(3)).convert(mode).save(path, **options)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("L" if mode in ("1", "L") else "RGB"))
    if mode == "YCbCr" and "quality" not in options:
        with pytest.raises(ValueError, match="pixels of kind YCbCr without JPEG; convert it to RGB"):
            pictures.read(path)
        return
    picture = pictures.read(path)
    assert picture.pixels.shape == wanted.shape
    assert np.abs(picture.pixels.astype(int) - wanted).max() <= (2 if "quality" in options else 0)
    assert any("the result has all" in note for note in picture.notes) == (mode in ("1", "P"))


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax(compression, tmp_path):
    image = Image.fromarray(photo()).convert("1")
    image.save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.tif").pixels, np.asarray(image.convert("L")))


REFUSED = {
    "floating-point pixels of 32 bits": (np.float32, {}),
    "signed pixels of 16 bits": (np.int16, {}),
    "pixels of 32 bits": (np.uint32, {}),
    "pixels of kind CMYK": (np.uint8, {"channels": (4,), "photometric": "separated"}),
    "pixels of kind CIELab": (np.uint8, {"channels": (3,), "photometric": "cielab"}),
    "2 channels beside its colours": (np.uint8, {"channels": (5,), "photometric": "rgb", "extrasamples": [2, 0]}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_picture_of_8_or_16_bits_is_refused_by_name(reason, tmp_path):
    kind, options = REFUSED[reason]
    values = np.ones((40, 56, *options.pop("channels", ())), kind)
    tifffile.imwrite(tmp_path / "a.tif", values, **{"photometric": "minisblack", "metadata": None} | options)
    with pytest.raises(ValueError, match=rf"a\.tif: has {reason}"):
        pictures.read(tmp_path / "a.tif")


def test_a_preview_beside_the_picture_is_left_out_and_a_second_page_is_refused(tmp_path):
    for name, kind in (("preview.tif", 1), ("mask.tif", 4), ("page.tif", 2), ("other.tif", 0)):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(photo(3), photometric="rgb")
            small = photo()[::2, ::2] > 99 if kind == 4 else photo()[::2, ::2]
            file.write(small, photometric="minisblack", subfiletype=kind)
        if kind in (1, 4):
            picture = pictures.read(tmp_path / name)
            np.testing.assert_array_equal(picture.pixels, photo(3))
            assert "previews or masks" in picture.notes[0]
        else:
            with pytest.raises(ValueError, match="has 2 pages; save the one that you mean"):
                pictures.read(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "jpeg"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_tiff_is_damaged(share, compression, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", compression=compression)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"a\.tif: damaged"):
        pictures.read(tmp_path / "a.tif")


# ------------------------------------------------------------------------------------------------------------------ PNG


PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def png(values, bits, colour, interlaced=False, chunks=b""):
    """A PNG by the standard's own words. Values are (H,W,channels); `chunks` come before the pixels."""

    def rows(part):
        if bits == 16:
            lines = part.astype(">u2").reshape(len(part), -1).view(np.uint8)
        else:
            digits = np.unpackbits(part.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
            lines = np.packbits(digits.reshape(len(part), -1), axis=1)
        return b"".join(b"\0" + line.tobytes() for line in lines)

    if interlaced:
        parts = [values[row::down, column::across] for row, column, down, across in PASSES]
        content = b"".join(rows(part) for part in parts if part.size)
    else:
        content = rows(values)
    height, width = values.shape[:2]
    header = struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(content))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + pixels + chunk(b"IEND", b"")


def chunk(name, content):
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def turned(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


DEPTHS = [(0, bits, 1) for bits in (1, 2, 4, 8, 16)] + [(3, bits, 1) for bits in (1, 2, 4, 8)]
DEPTHS += [(colour, bits, channels) for colour, channels in ((2, 3), (4, 2), (6, 4)) for bits in (8, 16)]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "bits", "channels"), DEPTHS)
def test_every_form_of_png_comes_upright_and_exact(colour, bits, channels, interlaced, tmp_path):
    rng, source, result, network = np.random.default_rng(bits), tmp_path / "a.png", tmp_path / "b.png", Identity()
    values = rng.integers(0, 1 << bits, (11, 9, channels))
    palette = rng.integers(0, 256, (1 << bits, 3), dtype=np.uint8)
    opacity = rng.integers(0, 256, 1 << bits, dtype=np.uint8)
    top = 65535 if bits == 16 else 255
    for turn, clear in itertools.product(TURNS, (False, True) if colour in (0, 2, 3) else (False,)):
        chunks = chunk(b"PLTE", palette.tobytes()) if colour == 3 else b""
        wanted = palette[values[..., 0]] if colour == 3 else values * top // ((1 << bits) - 1)
        if clear and colour == 3:
            chunks += chunk(b"tRNS", opacity.tobytes())
            wanted = np.dstack([wanted, opacity[values[..., 0]]])
        elif clear:
            chunks += chunk(b"tRNS", values[2, 3].astype(">u2").tobytes())
            wanted = np.dstack([wanted, top * (values != values[2, 3]).any(-1)])
        chunks += chunk(b"eXIf", turned(turn).removeprefix(b"Exif\0\0"))
        source.write_bytes(png(values, bits, colour, interlaced, chunks))
        picture = pictures.read(source)
        pictures.write(result, replace(picture, pixels=restoration.restore(picture.pixels, network)))
        found = np.atleast_3d(imagecodecs.png_decode(result.read_bytes()))
        np.testing.assert_array_equal(found, TURNS[turn](wanted), str((turn, clear)))
        assert found.dtype == (np.uint16 if bits == 16 else np.uint8)
        assert len(picture.notes) == (colour == 3 or bits < 8) + (clear and colour != 3), picture.notes


# -------------------------------------------------------------------------------------------------------- JPEG and WebP


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_comes_upright(mode, options, tmp_path):
    for turn in TURNS:
        Image.fromarray(photo(3)).convert(mode).save(tmp_path / "a.jpg", exif=turned(turn), **options)
        found = pictures.read(tmp_path / "a.jpg").pixels
        np.testing.assert_array_equal(found, TURNS[turn](np.asarray(Image.open(tmp_path / "a.jpg"))))
        pictures.write(tmp_path / "b.jpg", pictures.read(tmp_path / "a.jpg"))
        again = pictures.read(tmp_path / "b.jpg").pixels
        assert again.shape == found.shape
        assert np.abs(again.astype(int) - found).max() < 12


def test_jpeg_of_another_kind_is_refused_by_name(tmp_path):
    Image.fromarray(photo(3)).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="pixels of kind CMYK; convert it to RGB"):
        pictures.read(tmp_path / "a.jpg")
    deep = imagecodecs.jpeg_encode(photo(3, kind=np.uint16) >> 4, bitspersample=12)
    (tmp_path / "a.jpg").write_bytes(deep)
    with pytest.raises(ValueError, match="is a JPEG of 12 bits; save it as a 16-bit PNG or TIFF"):
        pictures.read(tmp_path / "a.jpg")


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("profile", [b"", bytes(range(256)) * 400])
@pytest.mark.parametrize("channels", [3, 4])
def test_webp_comes_upright_and_stays_lossless_or_lossy(channels, profile, lossless, tmp_path):
    for turn in TURNS:
        options = {"lossless": lossless, "exact": True, "exif": turned(turn), "icc_profile": profile}
        Image.fromarray(photo(channels)).save(tmp_path / "a.webp", **options)
        picture = pictures.read(tmp_path / "a.webp")
        np.testing.assert_array_equal(picture.pixels, TURNS[turn](np.asarray(Image.open(tmp_path / "a.webp"))))
        pictures.write(tmp_path / "b.webp", picture)
        again = pictures.read(tmp_path / "b.webp")
        assert again.lossless == picture.lossless == lossless
        assert again.icc == profile
        assert np.array_equal(again.pixels, picture.pixels) or not lossless


# -------------------------------------------------------------------------------------------------- BMP, AVIF and HEIC


ROWS, COLUMNS = np.mgrid[:16, :24]
RAMP = np.stack([ROWS / 15, COLUMNS / 23, (ROWS + COLUMNS) / 38], -1)

EIGHT = (
    "c-"
    "muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Uf$?N+YDppk1Sn>t<P<^K3<a6VB@Af5Br_*J8N_gLU|?ck1hE+3LTDhk1r!4UrsHrC3lPrC%u56FK("
    "eAhPAXU#P)$ZzvLOSKAR|bLYegnlIbT6$NiG9aB_l^>K~Vva{XDZEIUh)u1NAyHvTy*I^FX#R$bDe=^Z&;W1_plS1fULa2Sy&o|NlV>n87NTfl"
    "78UIV1w*w44|jQ6(m@2q<j28+tkB4vUF|08or^0!TujAql9Q!-"
    "er+v4nvHP>4Y|IX|Z;FFB_ID9+2k)&LX|$t*5Nh5FY4iZzmR5<#w&fViGP07U=)|NjOk6oB*vXlMu&WL9K?G%|B=fV{$)S(IM_bP$7NW<f42Ru"
    "~x=*&3OcSzFqG9I4Er)HJ9BUvf%uGB_SUAtaTXk_d{hYZ{E}*^D^qRU{i;S02dv5Xi^Ew?S);xA-2m|ED-z|DJdz-<-a6-"
    "_wUtrmYn>%YU8BKb0!iaXb9+L9f+qYf^Krg^4KWEMI(4(@f7>B3-"
    "aby71u5E!=Ipeq2A2zxt4j<<~WBF+Jvj`<F_dWm~sC&glKc!gr@+c>=D@ng2M9m08wZcNbUPts{F6g*v1NIPR`LxO?+_tDAG5e-"
    "#opHIS&V*qVN0&CD)lKlUdZU(B34|HWec^ZNB%izkGB6%#t||KZU>hV#p>&$CIKb0O@ZmczFC?1Z`fe<$z&eZ~e!8os^^T0kBL0}~@ZI274|Sd"
    "CE#6qCS^V1opXb7F345ike=ndih6"
)
TEN = (
    "c-muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Ufw3+(wIq=N0u(b+a*CjAhJwuG5(YG&l$n#C3}U!AFfalk5HK!+&_J*Ph?O%l^U}aPkf<n-"
    "lgb3;Wt1fwf|z^-nI*Y!CI2!DiVA@Az088-d>~y8ROZac!U1H?u>dKO`@rz$|F2&R4E)RqKpo-"
    "^j6970|AQ1TgH<pCmF!}2NCe7hIWaP#N=#r8P?)WIHP-"
    "a(0cXcXkeDQhVB|;wD(7%vJXkDYATa@Gi*Ry&PElTRP6be$mw~MTC?t|uT#yR&ngbMTB<Cc8Tq^-"
    "}y#R>*|Ns9DAk74%FMw!}ctK`GCP*VQ7Z(>ueP%%}ER=x($J)rm%-"
    "RBEZ^%ta1cmYv4aW6sM)HOi4LX_DGUz?_`?mJB<uO^yb9?q5w7dU$l3;XeZ$#=IgNtjlkDcCs&ATpG<BQwvSK2um@!Qt!a#iT~YkdBv=!#b=)6"
    "&ImoX*-2H1F=CxE+7?n(mgKyWyPD?D+Yo*T<AZMorsX`Tx(J|Nk9|Y8)G;&3T&D!WMjE`-"
    "L|OEeU3e&wH&cpW#&dqxDzG|Nr0Zoonu2zR**w%<%r7$Hp1_?GFHq$E4-"
)
"""HEIC of `RAMP`, compressed: of 8 bits, turned right, with EXIF; and of 10 bits."""


def near(found, wanted, share):
    return found.shape[:2] == wanted.shape[:2] and np.abs(found / np.iinfo(found.dtype).max - wanted).max() < share


def test_heic_is_upright_and_becomes_jpeg_or_deep_png(tmp_path):
    pytest.importorskip("pi_heif")
    for name, content in (("a.HEIC", EIGHT), ("b.heif", TEN)):
        (tmp_path / name).write_bytes(zlib.decompress(base64.b85decode(content)))
    shallow, deep = (pictures.read(tmp_path / name) for name in ("a.HEIC", "b.heif"))
    assert near(shallow.pixels, np.rot90(RAMP, -1), 0.02)
    assert (shallow.pixels.dtype, pictures.result_suffix(shallow)) == (np.uint8, ".jpg")
    assert metadata.orientation(shallow.exif) == 1
    assert b"Camera" in shallow.exif
    assert near(deep.pixels, RAMP, 0.02)
    assert (deep.pixels.dtype, pictures.result_suffix(deep)) == (np.uint16, ".png")
    assert len(np.unique(deep.pixels)) > 300
    assert set(deep.pixels.flat) <= set(np.rint(np.arange(1024) * (65535 / 1023)))
    with pytest.raises(ValueError, match="has 0 million pixels, and there is memory for"):
        pictures.read(tmp_path / "b.heif", 16 * 24 - 1)


def test_heic_without_what_reads_it_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(zlib.decompress(base64.b85decode(EIGHT)))
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ValueError, match=r"a\.heic: is a HEIC picture; to read it, install deblur-papers\[heif\]"):
        pictures.read(tmp_path / "a.heic")


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif_keeps_its_bits(channels, bits, tmp_path):
    values = np.dstack([RAMP, RAMP[::-1, ::-1, 2]])[..., [[0], [0, 3], [0, 1, 2], [0, 1, 2, 3]][channels - 1]]
    stored = np.rint(values * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    content = imagecodecs.avif_encode(stored if channels > 1 else stored[..., 0], level=95, bitspersample=bits)
    (tmp_path / "a.avif").write_bytes(content)
    picture = pictures.read(tmp_path / "a.avif")
    assert picture.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert near(picture.pixels.reshape(16, 24, -1), values, 0.02)
    assert set(picture.pixels.flat) <= set(
        np.rint(np.arange(1 << bits) * (np.iinfo(picture.pixels.dtype).max / ((1 << bits) - 1)))
    )
    assert pictures.result_suffix(picture) == (".jpg" if bits == 8 and channels in (1, 3) else ".png")


@pytest.mark.parametrize("turn", TURNS)
def test_avif_comes_upright_with_its_metadata(turn, tmp_path):
    given = Image.fromarray(np.rint(RAMP * 255).astype(np.uint8))
    given.save(
        tmp_path / "a.avif", quality=95, subsampling="4:4:4", exif=turned(turn), icc_profile=b"profile", xmp=b"<x/>"
    )
    picture = pictures.read(tmp_path / "a.avif")
    assert near(picture.pixels, TURNS[turn](RAMP), 0.03)
    assert (metadata.orientation(picture.exif), picture.icc, picture.xmp) == (1, b"profile", b"<x/>")


def test_avif_of_other_colours_than_srgb_becomes_a_png_that_says_which(tmp_path):
    content = imagecodecs.avif_encode(
        np.rint(RAMP * 1023).astype(np.uint16), bitspersample=10, primaries=9, transfer=16
    )
    (tmp_path / "a.avif").write_bytes(content)
    picture = pictures.read(tmp_path / "a.avif")
    assert pictures.result_suffix(picture) == ".png"
    pictures.write(tmp_path / "b.png", picture)
    assert b"cICP\x09\x10\x00\x01" in (tmp_path / "b.png").read_bytes()
    assert "holds no cICP: its colours may look different" in pictures.fit(tmp_path / "b.tif", picture)[1][0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_becomes_png(mode, tmp_path):
    image = Image.fromarray(photo(3)).convert(mode)
    image.save(tmp_path / "a.bmp", dpi=(300, 300))
    picture = pictures.read(tmp_path / "a.bmp")
    with Image.open(tmp_path / "a.bmp") as again:
        wanted = np.asarray(again.convert({"1": "L", "P": "RGB"}.get(mode, again.mode)))
    np.testing.assert_array_equal(picture.pixels, wanted)
    assert pictures.result_suffix(picture) == ".png"
    assert picture.dpi == pytest.approx((300, 300), abs=0.1)


def test_bmp_with_a_profile(tmp_path):
    Image.fromarray(photo(3)).save(tmp_path / "a.bmp")
    plain, profile = (tmp_path / "a.bmp").read_bytes(), b"a profile"
    info = plain[14:54].ljust(124, b"\0")
    info = (
        struct.pack("<L", 124)
        + info[4:56]
        + b"DEBM"
        + info[60:112]
        + struct.pack("<LL", 124 + len(plain) - 54, 9)
        + info[120:]
    )
    (tmp_path / "a.bmp").write_bytes(plain[:10] + struct.pack("<L", 138) + info + plain[54:] + profile)
    picture = pictures.read(tmp_path / "a.bmp")
    np.testing.assert_array_equal(picture.pixels, photo(3))
    assert picture.icc == profile


# ----------------------------------------------------------------------------------------------- no pictures, and large


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    for name in ("pipe.png", "link.png"):
        with pytest.raises(ValueError, match=rf"{name}: a pipe, a device or a socket, and no file"):
            pictures.read(tmp_path / name)
    with pytest.raises(ValueError, match=r"loop\.png: a link that leads back to itself"):
        pictures.read(tmp_path / "loop.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.avif"])
def test_memory_alone_says_what_is_too_large(name, tmp_path, monkeypatch):
    Image.fromarray(photo(3)).save(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert pictures.read(tmp_path / name, 40 * 56).pixels.shape == (40, 56, 3)
    with pytest.raises(ValueError, match=rf"{name}: has 0 million pixels, and there is memory for 0 million"):
        pictures.read(tmp_path / name, 40 * 56 - 1)
