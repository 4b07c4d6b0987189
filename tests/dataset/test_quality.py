"""What a picture is flagged for, and that ordinary photographs are not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from dataset.choose import addresses
from dataset.images import look
from dataset.prints import make_print
from dataset.quality import defect, flags, measure
from dataset.scan import examine
from dataset.tray import Build, Checks
from tests.dataset.conftest import built, drawn, encoded, fill, tree

DEFAULT = Checks()


def seen(image: Image.Image, checks: Checks = DEFAULT) -> tuple[tuple[str, ...], str]:
    """Return a picture's flags, and why it would be dropped."""
    data = encoded(image)
    info, small = look(data, min_side=1)
    assert small
    measures = measure(small, info, size=len(data))
    why = defect(info, measures, checks, min_side=64)
    return tuple(flags(info, measures, checks)), why[0] if why else ""


def page() -> Image.Image:
    """Draw a page of text."""
    image = Image.new("RGB", (800, 1000), "white")
    for line in range(30):
        ImageDraw.Draw(image).text(
            (30, 20 + 32 * line), "the quick brown fox jumps over the lazy dog", "black", ImageFont.load_default(24)
        )
    return image


def clip_art() -> Image.Image:
    """Draw shapes of plain colours."""
    image = Image.new("RGB", (500, 400), "white")
    pen = ImageDraw.Draw(image)
    for at, colour in enumerate(("red", "gold", "navy", "green")):
        pen.ellipse((40 + 100 * at, 80 + 40 * at, 160 + 100 * at, 200 + 40 * at), fill=colour, outline="black", width=5)
    return image


def collage() -> Image.Image:
    """Put four drawn photographs into one, with a white gutter."""
    page = Image.new("RGB", (488, 368), "white")
    for at in range(4):
        page.paste(drawn(40 + at), (at % 2 * 248, at // 2 * 188))
    return page


@pytest.mark.parametrize(
    ("flag", "image"),
    [
        ("small", drawn(1, (120, 90))),
        ("extreme aspect", drawn(1, (900, 180))),
        ("dark", drawn(1).point(lambda level: level // 6)),
        ("washed out", drawn(1).point(lambda level: 180 + level // 8)),
        ("blurred", drawn(1).filter(ImageFilter.GaussianBlur(9))),
        ("framed", ImageOps.expand(drawn(1), 24, "black")),
        ("screenshot or text", page()),
        ("drawing", clip_art()),
        ("collage", collage()),
        ("near uniform", ImageOps.expand(drawn(1, (60, 45)), 90, "grey")),
    ],
)
def test_each_flag_is_raised(flag: str, image: Image.Image) -> None:
    """What a person should see is flagged and not dropped."""
    found, dropped = seen(image)

    assert flag in found
    assert dropped == ""


def test_ordinary_pictures_have_no_flags() -> None:
    """Twenty drawn photographs: none is flagged or dropped."""
    assert {seen(drawn(seed)) for seed in range(20)} == {((), "")}


def test_a_horizon_is_no_gutter() -> None:
    """One straight line with light on one side is a horizon, a shelf or a table."""
    sky = drawn(3).point(lambda level: 120 + level // 2)
    sky.paste(drawn(4, (240, 80)).point(lambda level: level // 3), (0, 100))

    assert seen(sky) == ((), "")


def test_limits_and_what_follows_are_the_user_s() -> None:
    """A flag can be moved, switched off, or made to leave the picture out."""
    framed = ImageOps.expand(drawn(1), 24, "black")

    assert seen(framed, Checks(framed=0.9)) == ((), "")
    assert seen(framed, Checks(off=("framed",))) == ((), "")
    assert seen(framed, Checks(drop=("dark", "framed"))) == (("framed",), "framed")
    assert seen(framed, Checks(drop=("framed",), off=("framed",))) == ((), "")
    assert seen(drawn(1), Checks(blank=0.01))[1] == "blank"


def test_what_a_check_drops_has_its_name_and_value(tmp_path: Path) -> None:
    """A build leaves out what its checks name, and a person's keep still stands above them."""
    source = tmp_path / "source"
    for name, first in (("cat", 0), ("dog", 50)):
        fill(source / name, range(first, first + 6))
    (source / "cat" / "page.png").write_bytes(encoded(page(), "PNG"))
    (source / "dog" / "page.png").write_bytes(encoded(clip_art(), "PNG"))
    (source / "dog" / "review.jsonl").write_text('{"file": "page.png", "verdict": "keep"}\n')
    checks = Checks(drop=("screenshot or text", "drawing"))
    result = built(source, tmp_path / "out", Build(max_side=64, checks=checks))

    assert result.dropped == {"screenshot or text": 1}
    assert [(one.source, one.score > 0.92) for one in result.rejected] == [("cat/page.png", True)]
    assert any(name.endswith(".jpg") and "dog" in name for name in tree(tmp_path / "out"))


def test_the_same_bytes_at_many_addresses_of_one_host_are_a_placeholder(tmp_path: Path) -> None:
    """Sizes in the query and copies on other hosts are no sign of one; many files with the same bytes are."""
    assert addresses((), files=1) == 1
    assert addresses([f"https://a.example/{at}.jpg" for at in range(5)], files=1) == 5
    assert addresses([f"https://{at}.example/x.jpg" for at in range(9)], files=1) == 1
    assert addresses([f"https://a.example/x.jpg?w={at}" for at in range(9)], files=2) == 2
    source = tmp_path / "source"
    for name, first in (("cat", 0), ("dog", 50)):
        fill(source / name, range(first, first + 6))
    for at in range(4):
        (source / "cat" / f"gone{at}.jpg").write_bytes(encoded(drawn(99)))

    assert built(source, tmp_path / "out", Build(max_side=64)).flags == {"placeholder": 1}


def test_a_picture_is_the_same_alone_and_among_others(tmp_path: Path) -> None:
    """Bars, turns, damage and modes that stay large in memory change nothing of what the next picture is."""
    bars = ImageOps.expand(drawn(2), (0, 30), "black")
    turn = Image.Exif()
    turn[0x0112] = 6
    files = {
        "palette.png": encoded(drawn(1).resize((800, 600)).convert("P"), "PNG"),
        "plain.jpg": encoded(drawn(1)),
        "bars.jpg": encoded(bars),
        "cut.jpg": encoded(drawn(3))[:3000],
        "turned.jpg": encoded(bars, exif=turn),
        "alpha.png": encoded(drawn(4, (900, 700)).convert("RGBA"), "PNG"),
        "text.png": b"no picture",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    seen_all = examine([tmp_path / name for name in files], limits=(10**8, 10**8))

    for (name, data), (picture, one, _) in zip(files.items(), seen_all, strict=True):
        info, small = look(data, min_side=1)
        assert (name, picture.info) == (name, info)
        assert picture.measures == (measure(small, info, size=len(data)) if small else None)
        assert (one is None) == (small is None)
        if one and small:
            alone = make_print(small)
            for part in ("views", "boxes", "colours", "hashes"):
                assert np.array_equal(getattr(alone, part), getattr(one, part)), (name, part)


@pytest.mark.parametrize("colour", ["white", "black", (200, 30, 30)])
def test_a_blank_is_dropped(colour: str) -> None:
    """One colour, or next to one, is no picture of anything."""
    assert seen(Image.new("RGB", (300, 200), colour))[1] == "blank"


def test_a_tiny_one_is_dropped() -> None:
    """Below the least side nothing can be learned."""
    assert seen(drawn(1, (90, 60)))[1] == "too small"


def test_real_photographs_are_left_alone(real_data: Path) -> None:
    """Of real photographs of food and goods at most one in fifty is flagged, and none is dropped."""
    paths = [
        *sorted((real_data / "food8").rglob("*.jpg"))[::14],
        *sorted((real_data / "products10").rglob("*.jpg"))[::4],
    ]
    found = [seen(Image.open(path).convert("RGB")) for path in paths]

    assert {dropped for _, dropped in found} == {""}
    assert sum(bool(flagged) for flagged, _ in found) <= len(found) / 50 + 2
