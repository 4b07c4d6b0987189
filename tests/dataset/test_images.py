"""What dataset.images says of bytes, good and bad."""

import io
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin
from pillow_heif import register_heif_opener

from dataset.errors import TrayError
from dataset.images import FORMATS, inspect, look, normalise, read, shrunk
from dataset.scan import examine
from tests.dataset.conftest import drawn, encoded

register_heif_opener()


def bits(one: str, other: str) -> int:
    """Count the bits in which two hexadecimal hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize(
    ("form", "extension"),
    [
        ("JPEG", ".jpg"),
        ("PNG", ".png"),
        ("WEBP", ".webp"),
        ("AVIF", ".avif"),
        ("GIF", ".gif"),
        ("BMP", ".bmp"),
        ("TIFF", ".tif"),
        ("HEIF", ".heic"),
    ],
)
def test_each_format_is_told_by_its_bytes(form: str, extension: str) -> None:
    """The extension follows the bytes, whatever a name or a header said."""
    info = inspect(encoded(drawn(1), form))

    assert (info.format, info.extension, info.width, info.height, info.error) == (form, extension, 240, 180, "")


def test_a_camera_s_two_picture_file_is_a_jpeg() -> None:
    """MPO, a JPEG with a second picture behind it, is kept as the JPEG that its first picture is."""
    out = io.BytesIO()
    drawn(1).save(out, "MPO", save_all=True, append_images=[drawn(2)])
    info = inspect(out.getvalue())

    assert (info.format, info.extension, info.error) == ("MPO", ".jpg", "")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "html"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "format not allowed: SVG"),
        (b"<!-- " + b"long " * 2000 + b"--><!doctype html><p>404", "html"),
        (b"<h1>Not Found</h1>", "html"),
        (b"<!-- " + b"long " * 2000 + b'--><svg width="9"/>', "format not allowed: SVG"),
        (b"%PDF-1.7 <html>", "format not allowed: PDF"),
        (b"\xff\x4f\xff\x51 a stream", "format not allowed: JPEG 2000"),
        (b"\x00\x00\x00\x20ftypisom" + b"\x00" * 40, "format not allowed: video"),
        (b"\x00\x00\x00\x20ftypheic" + b"\x00" * 40, "damaged"),
        (b"just some words, and no picture at all", "not an image"),
        (b"\xff\xd8\xff\xe0" + b"\x00" * 64, "truncated"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, error: str) -> None:
    """Every refusal has its name, and nothing raises."""
    assert inspect(data).error == error


def test_a_telephone_s_heic_is_read_where_pillow_heif_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its turn is taken and alpha lies over white; without the package it is refused by its name."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = encoded(drawn(1), "HEIF")
    turned = encoded(drawn(1).transpose(Image.Transpose.ROTATE_90), "HEIF", exif=exif.tobytes())
    cut_out = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    cut_out.paste((200, 0, 0, 255), (30, 30, 70, 70))
    plain = Image.open(io.BytesIO(normalise(encoded(cut_out, "HEIF"), max_side=640, quality=90)))

    assert (inspect(turned).width, inspect(turned).height) == (240, 180)
    assert bits(inspect(turned).phash, inspect(upright).phash) <= 6
    assert Image.open(io.BytesIO(normalise(turned, max_side=640, quality=90))).size == (240, 180)
    assert min(plain.getpixel((9, 9))) > 250
    assert inspect(upright, formats=("JPEG",)).error == "format not allowed: HEIC"
    monkeypatch.setattr("dataset.images._reads_heif", lambda: False)
    assert inspect(upright).error == "format not allowed: HEIC"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "HEIF"])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
def test_a_cut_file_is_found_in_every_format(form: str, share: float) -> None:
    """A file that lost its tail is truncated, although its header is fine."""
    data = encoded(drawn(3), form)

    assert inspect(data[: int(len(data) * share)]).error == "truncated"


def test_a_jpeg_cut_anywhere_is_found_and_a_whole_one_never_accused() -> None:
    """Cuts at any point, even of the last few bytes of the picture, are found; progressive files too."""
    data = {encoded(drawn(seed), progressive=seed % 2 == 0) for seed in range(8)}
    cuts = [one[:-end] for one in data for end in (12, 40, 300, 2000)]

    assert {inspect(cut).error for cut in cuts} == {"truncated"}
    assert {inspect(one).error for one in data} == {""}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_progressive_jpeg_whose_tail_was_never_written_is_found(share: float) -> None:
    """Zeros, as a broken download leaves them, read as one pass with nothing new: the picture is no whole one."""
    data = [encoded(drawn(seed), progressive=True) for seed in range(4)]
    kept = [int(len(one) * share) for one in data]
    found = {inspect(one[:end].ljust(len(one), b"\0")).error for one, end in zip(data, kept, strict=True)}

    assert found == {"truncated"}


def test_a_jpeg_that_was_cut_and_closed_is_found() -> None:
    """An end marker behind half a picture does not make it whole; one whose lower edge is grey is whole."""
    data = [encoded(drawn(seed)) for seed in range(4)]
    grey = drawn(4)
    grey.paste((128, 128, 128), (0, 100, 240, 180))
    whole = [encoded(grey), encoded(grey, progressive=True), encoded(grey.convert("L")), encoded(grey) + encoded(grey)]

    assert {inspect(one[: len(one) // 2] + b"\xff\xd9").error for one in data} == {"truncated"}
    assert {inspect(one).error for one in whole} == {""}


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_tail_of_zeros_is_no_picture(end: bytes) -> None:
    """A decoder reads zeros as picture, a pattern of stripes, and enough of them make it whole."""
    data = encoded(drawn(4, (200, 160)), quality=85)

    assert inspect(data[: len(data) // 2] + bytes(4 * len(data)) + end).error == "truncated"


def test_zeros_that_belong_to_a_picture_or_follow_it_are_no_damage() -> None:
    """Where a plain ground is its commonest thing, a JPEG has zeros for it; some programs write them at the end."""
    plain = [encoded(on_ground(drawn(seed, (64, 64))), optimize=True) for seed in range(40)]
    ended = [one for one in plain if one.endswith(bytes(100) + b"\xff\xd9")]
    full = encoded(drawn(6, (200, 160)))
    followed = full.removesuffix(b"\xff\xd9") + bytes(100) + b"\xff\xd9"

    assert ended
    assert {inspect(one).error for one in (*ended, followed, full + bytes(100))} == {""}


def on_ground(thing: Image.Image) -> Image.Image:
    """Return a small picture on a plain ground."""
    ground = Image.new("RGB", (512, 512), (250, 250, 250))
    ground.paste(thing, (20, 20))
    return ground


def test_a_jpeg_without_its_end_marker_is_whole() -> None:
    """A picture whose every pixel is there is kept, with a note, and can be normalised."""
    data = encoded(drawn(4))
    info = inspect(data[:-2])

    assert (info.error, info.notes) == ("", ("end marker missing",))
    assert inspect(normalise(data[:-2], max_side=100, quality=90)).error == ""


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """A PNG of 20,000 x 20,000 pixels in a few hundred bytes is refused by its header."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\x00" * 9000)), (b"IEND", b""))
    )
    info = inspect(b"\x89PNG\r\n\x1a\n" + chunks)

    assert info.error == "too many pixels"


def test_what_costs_much_in_few_bytes_is_bounded() -> None:
    """A progressive JPEG of very many empty passes is refused; a TIFF's pages are not counted."""
    data = encoded(drawn(1), progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    pages = io.BytesIO()
    drawn(1).save(pages, "TIFF", save_all=True, append_images=[drawn(2)])

    assert inspect(data[:-2] + scan * 2 + data[-2:]).error == ""
    assert inspect(data[:-2] + scan * 500 + data[-2:]).error == "too many scans"
    assert (inspect(pages.getvalue()).error, inspect(pages.getvalue()).notes) == ("", ())


def test_notes_of_some_megabytes_are_no_damage() -> None:
    """Profiles and notes that a program left in a PNG do not count against the picture, up to a limit."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("history", "edited " * 500_000, zip=True)
    bomb = PngImagePlugin.PngInfo()
    bomb.add_text("history", "edited " * 2_500_000, zip=True)

    assert inspect(encoded(drawn(1), "PNG", pnginfo=notes)).error == ""
    assert inspect(encoded(drawn(1), "PNG", pnginfo=bomb)).error == "damaged"


def test_an_avif_that_calls_itself_a_general_picture_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some programs write the family's name first, which HEIC shares; no further package is needed for it."""
    monkeypatch.setattr("dataset.images._reads_heif", lambda: False)
    data = encoded(drawn(1), "AVIF")

    assert inspect(data[:8] + b"mif1" + data[12:]).format == "AVIF"


def test_limits_are_the_caller_s() -> None:
    """Pixels, bytes, sides and formats are refused by the numbers that were given."""
    data = encoded(drawn(5))

    assert inspect(data, max_pixels=1000).error == "too many pixels"
    assert inspect(data, max_bytes=1000).error == "too many bytes"
    assert inspect(data, min_side=200).error == "too small"
    assert inspect(data, formats=("PNG",)).error == "format not allowed: JPEG"
    assert inspect(encoded(drawn(5), "PNG"), formats=FORMATS).error == ""


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_hash_is_imagehash_s(turn: int) -> None:
    """The 256-bit hash agrees with imagehash within the few bits that decoding at reduced size costs.

    No square of the decoder is whole at the edges here, wherever a turn puts those.
    """
    exif = Image.Exif()
    exif[0x0112] = turn
    for seed in range(3):
        data = encoded(drawn(seed, (907 + seed, 697 - seed)), exif=exif)
        public = imagehash.phash(ImageOps.exif_transpose(Image.open(io.BytesIO(data))), hash_size=16)

        assert bits(str(public), inspect(data).phash) <= 4


def test_copies_hash_alike_and_others_do_not() -> None:
    """Another size, format and quality is a handful of bits; another picture about half of them."""
    one = inspect(encoded(drawn(6, (800, 600)))).phash
    copy = inspect(encoded(drawn(6, (300, 225)), "WEBP", quality=60)).phash
    other = inspect(encoded(drawn(7, (800, 600)))).phash

    assert bits(one, copy) <= 12
    assert bits(one, other) > 76


def test_a_turn_in_the_exif_is_taken() -> None:
    """Width, height, hash and the normalised picture are those of the upright picture."""
    upright = drawn(8)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    turned = inspect(encoded(lying, exif=exif))
    plain = inspect(encoded(upright))

    assert (turned.width, turned.height) == (240, 180)
    assert bits(turned.phash, plain.phash) <= 6
    assert Image.open(io.BytesIO(normalise(encoded(lying, exif=exif), max_side=640, quality=90))).size == (240, 180)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "I;16", "1", "CMYK"])
def test_every_mode_becomes_plain_rgb(mode: str) -> None:
    """Grey, alpha, palette, 16 bits, ink: the normalised JPEG is RGB and looks like the original."""
    image = drawn(9)
    stored = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    data = encoded(stored, "TIFF" if mode == "CMYK" else "PNG")
    plain = Image.open(io.BytesIO(normalise(data, max_side=640, quality=95)))

    assert (plain.mode, plain.size) == ("RGB", (240, 180))
    # Over tiles, so that the dots of a two-level picture are the greys that they stand for.
    tiles = [np.asarray(one.convert("L").resize((24, 18), Image.Resampling.BOX), float) for one in (plain, image)]
    assert np.abs(tiles[0] - tiles[1]).mean() < 12
    assert inspect(data).mode == mode


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "F"])
def test_a_large_picture_is_turned_strip_by_strip(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strips leave no seam: what comes out is what it would be of the whole at once."""
    grey = np.asarray(drawn(9, (240, 300)).convert("L"))
    image = drawn(9, (240, 300)).convert("RGB" if mode in {"I;16", "F"} else mode)
    image = Image.fromarray(grey.astype(np.uint16) * 200) if mode == "I;16" else image
    image = Image.fromarray(grey.astype(np.float32)) if mode == "F" else image
    if mode in {"RGBA", "LA"}:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = encoded(image, "TIFF" if mode == "F" else "PNG", **({"transparency": 7} if mode == "P" else {}))
    made = normalise(data, max_side=300, quality=90)
    monkeypatch.setattr("dataset.images.ROWS", 70)

    assert normalise(data, max_side=300, quality=90) == made


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_that_hides_nothing_changes_nothing(mode: str) -> None:
    """A picture that was stored with alpha and is seen whole is the same as without, a pale one too."""
    for picture in (drawn(5), Image.new("RGB", (64, 64), (250, 250, 250))):
        plain = picture.convert(mode.removesuffix("A"))
        whole = plain.convert(mode)

        assert read(encoded(whole, "PNG")).tobytes() == plain.convert("RGB").tobytes()


def test_alpha_lies_over_white_unless_white_would_hide_it() -> None:
    """A cut-out stands on white; a white drawing on transparent ground on grey."""
    dark = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    dark.paste((200, 0, 0, 255), (30, 30, 70, 70))
    pale = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    pale.paste((255, 255, 255, 255), (30, 30, 70, 70))
    over = [
        Image.open(io.BytesIO(normalise(encoded(one, "PNG"), max_side=100, quality=95))).convert("L")
        for one in (dark, pale)
    ]

    assert over[0].getpixel((5, 5)) > 250
    assert over[0].getpixel((50, 50)) < 100
    assert abs(over[1].getpixel((5, 5)) - 128) < 6
    assert over[1].getpixel((50, 50)) > 250


def test_a_picture_of_other_primaries_comes_in_srgb() -> None:
    """A profile that calls green what sRGB calls red turns red into green, however the picture is read."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"-XYZ").replace(b"gXYZ", b"rXYZ").replace(b"-XYZ", b"gXYZ")
    other = swapped.replace("sRGB".encode("utf-16-be"), "GRBs".encode("utf-16-be"))
    data = encoded(Image.new("RGB", (80, 80), (230, 20, 20)), "PNG", icc_profile=other)
    normal = Image.open(io.BytesIO(normalise(data, max_side=80, quality=95)))
    for image in (read(data), shrunk(data, side=40), look(data, min_side=1)[1], normal):
        assert image is not None
        red, green, _ = np.asarray(image).reshape(-1, 3).mean(axis=0)
        assert (red < 60, green > 200) == (True, True)


def test_a_colour_profile_is_applied_and_left_behind() -> None:
    """A profile does its work, or none when it is broken, and does not go along."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (80, 80), (180, 90, 40))
    plain = Image.open(io.BytesIO(normalise(encoded(image, "PNG", icc_profile=srgb), max_side=80, quality=95)))
    broken = normalise(encoded(image, "PNG", icc_profile=srgb[:100]), max_side=80, quality=95)

    assert "icc_profile" not in plain.info
    assert np.abs(np.asarray(plain, int) - (180, 90, 40)).max() < 5
    assert np.abs(np.asarray(Image.open(io.BytesIO(broken)), int) - (180, 90, 40)).max() < 5


def test_normalised_pictures_shrink_never_grow_and_are_the_same_each_time() -> None:
    """The longer side is at most what was asked for, metadata is gone, and bytes do not change from run to run."""
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = encoded(drawn(10, (1200, 900)), exif=exif, comment="where I live")
    small, large = (normalise(data, max_side=side, quality=92) for side in (640, 5000))

    assert Image.open(io.BytesIO(small)).size == (640, 480)
    assert Image.open(io.BytesIO(large)).size == (1200, 900)
    assert b"where I live" not in small + large
    assert small == normalise(data, max_side=640, quality=92)


def test_only_the_first_frame_of_an_animation_counts() -> None:
    """An animated GIF is noted and becomes its first frame."""
    out = io.BytesIO()
    drawn(11).save(out, "GIF", save_all=True, append_images=[drawn(12)])
    first = encoded(drawn(11), "GIF")

    assert inspect(out.getvalue()).notes == ("animated",)
    assert bits(inspect(out.getvalue()).phash, inspect(first).phash) <= 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_shrunk_picture_is_the_whole_one_with_enough_left_of_its_shorter_side(kind: str) -> None:
    """It is upright, between once and twice as large as was asked for, and shows what the whole one shows."""
    image = drawn(6, (900, 600))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(image, kind, exif=exif)

    small = shrunk(data, side=100)

    assert small.width < small.height
    assert 100 <= small.width < 200
    whole = read(data).resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small, np.int16) - np.asarray(whole, np.int16)).mean() < 3
    assert shrunk(data, side=2000).size == (600, 900)


def test_normalising_what_is_no_picture_says_so() -> None:
    """A TrayError names what came."""
    with pytest.raises(TrayError, match="html"):
        normalise(b"<html>no</html>", max_side=100, quality=90)


def test_many_threads_see_the_same() -> None:
    """Twenty pictures inspected by eight threads come out as from one."""
    data = [encoded(drawn(seed), ("JPEG", "PNG", "WEBP")[seed % 3]) for seed in range(20)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(inspect, data)) == [inspect(one) for one in data]


def test_a_jpeg_is_decoded_once_and_as_small_as_will_do(decodes: list[tuple[int, int]], tmp_path: Path) -> None:
    """Whoever needs a small picture has its decoder make it small, by 8, 4 or 2 each way; nobody decodes twice."""
    data = encoded(drawn(1).resize((1600, 1200)), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)

    def cost(what: Callable[[], object]) -> list[tuple[int, int]]:
        decodes.clear()
        what()
        return list(decodes)

    assert cost(lambda: inspect(data)) == [(200, 150)]
    assert cost(lambda: examine([tmp_path / "a.jpg"], limits=(10**8, 10**8))) == [(200, 150)]
    assert cost(lambda: look(data, side=224)) == [(400, 300)]
    assert cost(lambda: shrunk(data, side=224)) == [(400, 300)]
    assert cost(lambda: normalise(data, max_side=512, quality=90)) == [(800, 600)]
    assert cost(lambda: read(data)) == [(1600, 1200)]
