"""What a picture is flagged for, and that ordinary photographs are not."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from dataset.images import look
from dataset.quality import defect, flags, measure
from tests.dataset.conftest import drawn, encoded


def seen(image: Image.Image) -> tuple[tuple[str, ...], str]:
    """Return a picture's flags, and why it would be dropped."""
    data = encoded(image)
    info, small = look(data, min_side=1)
    assert small
    measures = measure(small, info, size=len(data))
    why = defect(info, measures, min_side=64)
    return flags(info, measures), why[0] if why else ""


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
