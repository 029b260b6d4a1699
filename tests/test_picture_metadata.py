"""What files say about their pictures: kept where it is true, corrected where it is not, never a result's cost."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from deblur.photos import metadata, pictures

KINDS = (".png", ".jpg", ".tif", ".webp")
HEIGHT, WIDTH = 30, 44
NOTE = b"maker's note that points at byte %d"
THUMBNAIL = b"\xff\xd8 a small picture \xff\xd9"


def pixels(*channels):
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, *channels), dtype=np.uint8)


def rational(order, *values):
    return struct.pack(f"{order}{2 * len(values)}L", *itertools.chain(*((value, 1) for value in values)))


def exif(order, turn):
    """As a camera writes it: details, place, a maker's note with places in it, a thumbnail."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 0))

    def directory(entries):
        records = b""
        for tag, kind, count, value in entries:
            if isinstance(value, int):
                value = struct.pack(order + "H" * (kind == 3) + "L" * (kind == 4), value)
            if len(value) > 4:
                out.extend(value)
                value = struct.pack(order + "L", len(out) - len(value))
            records += struct.pack(order + "HHL", tag, kind, count) + value.ljust(4, b"\0")
        out.extend(struct.pack(order + "H", len(entries)) + records + bytes(4))
        return len(out) - len(records) - 6

    note = NOTE % (len(out))
    details = directory(
        [
            (0x829A, 5, 1, struct.pack(order + "LL", 1, 125)),
            (0x9214, 3, 2, struct.pack(order + "HH", 5, 9)),
            (0x927C, 7, len(note), note),
            (0xA002, 4, 1, WIDTH),
            (0xA003, 3, 1, HEIGHT),
            (0xA20E, 5, 1, rational(order, 400)),
            (0xA20F, 5, 1, rational(order, 500)),
        ]
    )
    place = directory([(1, 2, 2, b"N\0"), (2, 5, 3, rational(order, 52, 31, 12))])
    artist = "Jörg Groß\0".encode()
    top = directory(
        [
            (0x0100, 4, 1, WIDTH),
            (0x010F, 2, 7, b"Camera\0"),
            (0x0112, 3, 1, turn),
            (0x011A, 5, 1, rational(order, 300)),
            (0x011B, 5, 1, rational(order, 200)),
            (0x0128, 3, 1, 2),
            (0x013B, 2, len(artist), artist),
            (0x8769, 4, 1, details),
            (0x8825, 4, 1, place),
        ]
    )
    second = directory([(0x0103, 3, 1, 6), (0x0201, 4, 1, len(out) + 42), (0x0202, 4, 1, len(THUMBNAIL))])
    assert len(out) - second == 42
    out.extend(THUMBNAIL)
    out[second - 4 : second] = struct.pack(order + "L", second)
    out[4:8] = struct.pack(order + "L", top)
    return b"Exif\0\0" + bytes(out)


def stored(path, block):
    """The EXIF of a file as its bytes are, from where it begins."""
    content = path.read_bytes()
    return content[content.index(block[6:10]) :] if path.suffix != ".tif" else content


def save(path, block, **more):
    """By Pillow, but for TIFF, into which that writes no details: there pixels follow the block."""
    if path.suffix == ".tif":
        pictures.write(path, pictures.Picture(pixels(3), "TIFF", block))
    else:
        Image.fromarray(pixels(3)).save(path, exif=block, **more)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", KINDS)
def test_exif_is_true_of_the_picture_upright_and_every_byte_of_it_at_its_place(suffix, order, turn, tmp_path):
    block, first, second = exif(order, turn), tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save(first, block)
    picture = pictures.read(first)
    assert picture.notes == ()
    pictures.write(second, picture)
    found = stored(second, block)
    for part in (NOTE[:20], "Jörg Groß".encode(), rational(order, 52, 31, 12)):
        moves = suffix == ".tif" and part != NOTE[:20]
        assert part in found if moves else found.index(part) == block.index(part) - 6
    assert THUMBNAIL not in found
    with Image.open(second) as image:
        tags = image.getexif()
        details, place = tags.get_ifd(0x8769), tags.get_ifd(0x8825)
        assert tags[0x0112] == 1
        assert (0x0100 in tags) == (suffix == ".tif")
        assert (tags[0x011A], tags[0x011B]) == ((200, 300) if turn > 4 else (300, 200))
        assert (details[0xA20E], details[0xA20F]) == ((500, 400) if turn > 4 else (400, 500))
        assert (details[0xA002], details[0xA003]) == image.size == ((HEIGHT, WIDTH) if turn > 4 else (WIDTH, HEIGHT))
        assert (0x9214 in details) == (turn == 1)
        assert place[2] == (52, 31, 12)
        assert tags.get_ifd(1) == {}


def test_a_makers_note_that_cannot_stay_at_its_place_is_left_out_and_nothing_else(tmp_path):
    block = exif("<", 1)
    save(tmp_path / "a.tif", block)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    where = content.index(NOTE[:20])
    content += bytes(len(content) % 2 + (1 << 15)) + content[where : where + 34]
    entry = content.index(struct.pack("<HH", 0x927C, 7))
    content[entry + 8 : entry + 12] = struct.pack("<L", len(content) - 34)
    (tmp_path / "a.tif").write_bytes(content)
    picture = pictures.read(tmp_path / "a.tif")
    assert "maker's note would be untrue" in picture.notes[0]
    tags = Image.Exif()
    tags.load(picture.exif)
    assert set(tags.get_ifd(0x8769)) == {0x829A, 0x9214, 0xA002, 0xA003, 0xA20E, 0xA20F}
    assert tags.get_ifd(0x8825)[2] == (52, 31, 12)


# ------------------------------------------------------------------------------------------------------------------ XMP


SPACES = "".join(
    f' xmlns:{prefix}="{space}"'
    for prefix, space in {
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "cam": "http://ns.google.com/photos/1.0/camera/",  # not the usual prefix
        "Container": "http://ns.google.com/photos/1.0/container/",
        "Item": "http://ns.google.com/photos/1.0/container/item/",
        "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    }.items()
)
MOTION = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF{SPACES}><rdf:Description dc:title="Grüße" cam:MotionPhoto="1"
 cam:MotionPhotoPresentationTimestampUs='99' hdrgm:Version="1.0" tiff:Orientation="%d" exif:PixelXDimension="{WIDTH}">
<exif:PixelYDimension>{HEIGHT}</exif:PixelYDimension><hdrgm:GainMapMin><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></hdrgm:GainMapMin>
<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Mime="video/mp4" Item:Length="123456"/></rdf:li></rdf:Seq>
</Container:Directory><mwg-rs:Regions>a face</mwg-rs:Regions><dc:subject>kept</dc:subject></rdf:Description></rdf:RDF>
</x:xmpmeta>"""


@pytest.mark.parametrize("turn", [1, 3, 6])
@pytest.mark.parametrize("suffix", KINDS)
def test_xmp_says_nothing_of_what_is_not_carried_over(suffix, turn, tmp_path):
    said, path = (MOTION % turn).encode(), tmp_path / f"a{suffix}"
    if suffix in (".png", ".tif"):
        pictures.write(path, pictures.Picture(pixels(3), "", exif("<", turn), xmp=said))
    else:
        save(path, exif("<", turn), xmp=said)
    picture = pictures.read(path)
    found = picture.xmp.decode()
    for word in ("MotionPhoto", "123456", "GainMapMin", "hdrgm:Version"):
        assert word not in found
    for word in ('dc:title="Grüße"', "<dc:subject>kept</dc:subject>", 'tiff:Orientation="1"'):
        assert word in found
    assert ("a face" in found) == (turn == 1)
    width, height = (HEIGHT, WIDTH) if turn == 6 else (WIDTH, HEIGHT)
    assert f'exif:PixelXDimension="{width}"' in found
    assert f"<exif:PixelYDimension>{height}<" in found
    (note,) = picture.notes
    assert note.startswith("its motion video, the list of further pictures in it, its gain map")
    Image.open(path).close()


# -------------------------------------------------------------------------------------------------- IPTC, text, colours


IPTC = b"\x1c\x02\x78\x00\x07caption"


def test_comments_and_iptc_of_jpeg_stay(tmp_path):
    segments = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in (
            (0xFE, b"one"),
            (0xFE, b"two"),
            (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">L", len(IPTC)) + IPTC),
        )
    )
    Image.fromarray(pixels(3)).save(tmp_path / "a.jpg", extra=segments)
    picture = pictures.read(tmp_path / "a.jpg")
    for suffix in (".jpg", ".tif", ".png"):
        pictures.write(tmp_path / f"b{suffix}", picture)
        again, lost = pictures.read(tmp_path / f"b{suffix}"), pictures.fit(tmp_path / f"b{suffix}", picture)[1]
        assert again.comments == ((b"one", b"two") if suffix == ".jpg" else ())
        assert again.iptc == (b"" if suffix == ".png" else IPTC)
        expected = {".jpg": [], ".tif": ["TIFF holds no comments: left out"]}
        assert lost == expected.get(suffix, ["PNG holds no IPTC, comments: left out"])
    assert Image.open(tmp_path / "b.jpg").info["photoshop"][0x0404] == IPTC
    assert tifffile.TiffFile(tmp_path / "b.tif").pages[0].tags[33723].value == IPTC


def chunk(name, content):
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


KEPT = {
    b"gAMA": struct.pack(">L", 100_000),
    b"cHRM": struct.pack(">8L", *range(8)),
    b"cICP": bytes([9, 16, 0, 1]),
    b"tEXt": b"Title\0Gr\xfc\xdfe",
    b"zTXt": b"Long\0\0" + zlib.compress(b"a" * 5000),
    b"iTXt": "Ort\0\0\0de\0Ort\0Köln".encode(),
    b"prVt": b"a private chunk that says it may be copied",
}
DROPPED = {b"bKGD": bytes(6), b"prVT": b"one that says it may not", b"tIME": bytes(7)}


def test_chunks_of_png_stay_where_they_stay_true(tmp_path):
    plain = io.BytesIO()
    Image.fromarray(pixels(3)).save(plain, "PNG", dpi=(300, 200))
    plain, more = plain.getvalue(), b"".join(chunk(*pair) for pair in (KEPT | DROPPED).items())
    damaged = chunk(b"tEXt", b"Bad\0text")[:-1] + b"?"
    (tmp_path / "a.png").write_bytes(plain[:33] + more + damaged + plain[33:])
    picture = pictures.read(tmp_path / "a.png")
    assert picture.notes == ("bKGD, prVT, tIME: left out",)
    pictures.write(tmp_path / "b.png", picture)
    written = (tmp_path / "b.png").read_bytes()
    for name, content in KEPT.items():
        assert written.count(chunk(name, content)) == 1
    assert not [name for name in DROPPED if name in written]
    assert pictures.read(tmp_path / "b.png").dpi == pytest.approx((300, 200), abs=0.02)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), pixels(3))
    assert pictures.fit(tmp_path / "b.jpg", picture)[1] == [
        "JPEG holds no tEXt, zTXt, iTXt, prVt: left out",
        "JPEG holds no gAMA, cHRM, cICP: its colours may look different; .png holds them",
    ]


def test_exif_and_xmp_hidden_in_the_text_of_a_png_are_found_and_corrected(tmp_path):
    info, block = PngImagePlugin.PngInfo(), exif(">", 6)
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    info.add_itxt("XML:com.adobe.xmp", '<a tiff:Orientation="6"/>', zip=True)
    Image.fromarray(pixels(3)).save(tmp_path / "a.png", pnginfo=info)
    picture = pictures.read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, np.rot90(pixels(3), -1))
    assert metadata.orientation(picture.exif) == 1
    assert picture.xmp == b'<a tiff:Orientation="1"/>'
    assert picture.chunks == ()


@pytest.mark.parametrize("space", ["RGB ", "GRAY", "CMYK", "Lab "])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_profile_of_colours_that_the_pixels_are_not_is_refused(channels, space, tmp_path):
    profile = bytes(16) + space.encode() + bytes(16) + b"acsp" + bytes(88)
    Image.fromarray(pixels(*channels)).save(tmp_path / "a.jpg", icc_profile=profile)
    if space == "RGB " or (space == "GRAY" and not channels):
        picture = pictures.read(tmp_path / "a.jpg")
        assert picture.icc == profile
        kept = pictures.fit(tmp_path / "a.png", picture)[0].icc
        assert kept == (b"" if space == "RGB " and not channels else profile)
    else:
        with pytest.raises(ValueError, match=f"pixels and a profile of {space.strip()}; convert it to RGB"):
            pictures.read(tmp_path / "a.jpg")


# ----------------------------------------------------------------------------------------------- nothing costs a result


FIELDS = {
    "exif": lambda size: (
        b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHLLL", 1, 0x010F, 2, size - 32, 26, 0) + b"c" * (size - 32)
    ),
    "icc": lambda size: bytes(size),
    "xmp": lambda size: b" " * size,
    "iptc": lambda size: b"\x1c\x02".ljust(size, b"x"),
    "comments": lambda size: (b"c" * size,),
}
LIMITS = {"exif": 65_533, "xmp": 65_533 - 29, "icc": 255 * (65_533 - 14), "iptc": 65_533 - 27, "comments": 65_533}
HOLDS = {".png": {"exif", "icc", "xmp"}, ".tif": {"exif", "icc", "xmp", "iptc"}, ".webp": {"exif", "icc", "xmp"}}
HOLDS[".jpg"] = set(FIELDS)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("more", [0, 1, 1 << 20])
def test_what_is_too_large_for_a_kind_of_file_is_found_before_and_dropped_in_a_sentence(name, suffix, more, tmp_path):
    path, value = tmp_path / f"a{suffix}", FIELDS[name](LIMITS[name] + more)
    given = pictures.Picture(pixels(3), "", **{name: value})
    fitted, lost = pictures.fit(path, given)
    fits = name in HOLDS[suffix] and (suffix != ".jpg" or not more)
    assert lost == [] if fits else (len(lost) == 1 and lost[0].endswith("left out"))
    assert bool(getattr(fitted, name)) == fits
    for picture in (given, fitted):
        pictures.write(path, picture)
        found = pictures.read(path)
        assert found.pixels.shape == (HEIGHT, WIDTH, 3)
        if (name, suffix) == ("exif", ".tif"):  # put together anew, from the tags of the file
            assert b"c" * (len(value) - 32) in found.exif
        else:
            assert getattr(found, name) == (value if fits else type(value)())
        if (name, suffix) != ("icc", ".png"):  # Pillow opens no PNG with a profile of 17 MB
            Image.open(path).close()


@pytest.mark.parametrize("suffix", KINDS)
def test_damaged_metadata_never_costs_the_pixels(suffix, tmp_path):
    rng, first, block = np.random.default_rng(0), tmp_path / f"a{suffix}", exif("<", 1)
    said = (MOTION % 1).encode()
    wanted = None
    for trial in range(150):
        wrong, text = bytearray(block), bytearray(said)
        if trial:
            for place in rng.integers(6, len(block), rng.integers(1, 12)):
                wrong[place] = rng.integers(256)
            for place in rng.integers(0, len(said), 4):
                text[place] = rng.integers(256)
        if trial % 5 == 4:
            del wrong[rng.integers(7, len(wrong)) :]
        if suffix == ".tif":
            save(first, block)
            content = bytearray(first.read_bytes())
            content[10 : len(block) - 6] = wrong[16:].ljust(len(block) - 16, b"\0")
            first.write_bytes(content)
        elif suffix == ".png":
            plain = io.BytesIO()
            Image.fromarray(pixels(3)).save(plain, "PNG")
            more = chunk(b"eXIf", bytes(wrong[6:])) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text)
            more += (
                chunk(b"zTXt", bytes(text[:50])) + chunk(b"iTXt", bytes(text[-9:])) + chunk(b"iCCP", bytes(text[:9]))
            )
            first.write_bytes(plain.getvalue()[:33] + more + plain.getvalue()[33:])
        else:
            Image.fromarray(pixels(3)).save(first, exif=bytes(wrong), xmp=bytes(text), lossless=True)
        picture = pictures.read(first)
        turn = metadata.orientation(bytes(wrong)) if suffix != ".tif" else 1
        if wanted is None:
            wanted = picture.pixels
        if turn not in range(2, 9):
            np.testing.assert_array_equal(picture.pixels, wanted)
        for other in KINDS:
            pictures.write(tmp_path / f"b{other}", picture)
            again = pictures.read(tmp_path / f"b{other}")
            assert again.pixels.shape == picture.pixels.shape
            assert not [note for note in again.notes if "damaged" in note], trial


@pytest.mark.parametrize("tag", [0x8769, 0x8825])
@pytest.mark.parametrize("order", "<>")
def test_exif_whose_directories_lie_over_each_other_is_left_out(order, tag, tmp_path):
    block = bytearray(exif(order, 6).ljust(2000, b"\0"))
    entry = block.index(struct.pack(order + "HHL", tag, 4, 1))
    block[entry + 8 : entry + 12] = struct.pack(order + "L", 2)  # the file's head, as 42 tags
    Image.fromarray(pixels(3)).save(tmp_path / "a.jpg", exif=bytes(block))
    picture = pictures.read(tmp_path / "a.jpg")
    assert (picture.exif, picture.notes) == (b"", ("its EXIF is damaged and was left out",))
    assert picture.pixels.shape == (WIDTH, HEIGHT, 3)
