"""Marks all over a picture and lost colours are seen through; what was added or exchanged is not."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from dataset.duplicates import CLOSE, Comparison, compare
from dataset.images import look
from dataset.prints import make_print
from tests.dataset.conftest import drawn, encoded


def seen(image: Image.Image) -> Image.Image:
    """Return a picture as a build sees it after it was saved."""
    small = look(encoded(image, quality=88), min_side=1, side=CLOSE)[1]
    assert small
    return small


def judged(first: Image.Image, second: Image.Image) -> Comparison:
    """Compare two pictures as a build does."""
    both = seen(first), seen(second)
    return compare(*map(make_print, both), lambda: both)


def plain(seed: int = 3) -> Image.Image:
    """Draw a thing in soft light on a plain ground."""
    image = Image.new("RGB", (320, 240), (236, 236, 232))
    image.paste(drawn(seed).resize((170, 130)), (75, 55))
    return image


def marked(image: Image.Image, *, strength: int = 90, words: str = "stockphoto") -> Image.Image:
    """Write pale words all over a picture."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for row, y in enumerate(range(4, image.height, 40)):
        for x in range(-30 + 11 * (row % 3), image.width, 100):
            pen.text((x, y), words, fill=(255, 255, 255, strength), font=ImageFont.load_default(17))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def spotted(image: Image.Image) -> Image.Image:
    """Put the same bright thing all over a picture."""
    copy = image.copy()
    for x in range(20, 320, 75):
        for y in range(20, 240, 55):
            ImageDraw.Draw(copy).ellipse((x, y, x + 26, y + 22), fill=(225, 220, 190))
    return copy


@pytest.mark.parametrize("change", [marked, lambda image: image.convert("L").convert("RGB")])
def test_a_mark_all_over_and_lost_colours_are_seen_through(change: Callable[[Image.Image], Image.Image]) -> None:
    """On a photograph and on a thing on a plain ground, whichever of the two comes first."""
    for image in (drawn(5, (320, 240)), plain()):
        assert judged(image, change(image)).verdict == "same"
        assert judged(change(image), image).verdict == "same"


def test_what_hides_or_replaces_is_no_mark() -> None:
    """Opaque words, solid things in rows, and other words are no veil; nor are other colours lost ones."""
    thing = plain()
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (240, 320, 1))
    other = Image.fromarray(np.clip(np.asarray(thing.convert("L").convert("RGB")) + grain, 0, 255).astype(np.uint8))

    assert judged(thing, spotted(thing)).verdict != "same"
    assert judged(drawn(5, (320, 240)), spotted(drawn(5, (320, 240)))).verdict != "same"
    assert judged(thing, marked(thing, strength=255)).verdict != "same"
    assert judged(thing, other).verdict != "same"
