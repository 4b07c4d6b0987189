"""What stands around the results: logos, icons, avatars, robots.txt, and the front page for a curious person."""

import io
import random
from functools import lru_cache

from PIL import Image, ImageDraw

from scraper.simulator.reply import Reply
from scraper.simulator.world import World

ICON = 16
AVATAR = 32
LOGO = (184, 60)
BANNER = (236, 176)
TRY = ("pizza", "cheese pizza", "quiche", "granny smith apple", "empty food tray", "people")


@lru_cache(256)
def decoration(path: str) -> bytes:
    """Return a small flat png that no one wants in a dataset: a logo, icon, avatar or banner."""
    dice = random.Random(path)
    square = ICON if "favicon" in path else AVATAR
    size = LOGO if "logo" in path else BANNER if "banner" in path else (square, square)
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for place in range(6):
        left = place * size[0] // 6
        colour = tuple(dice.randrange(256) for _ in range(3))
        pen.ellipse((left, size[1] // 4, left + size[0] // 7, size[1] // 4 + size[0] // 7), fill=colour)
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def fixture(path: str) -> Reply | None:
    """Return what every origin has beside its pages; None where the path is none of it."""
    if path.endswith("/robots.txt"):
        return Reply(200, b"User-agent: *\nAllow: /\n", {"Content-Type": "text/plain"})
    if "/decor/" in path or path.endswith("favicon.ico"):
        return Reply.picture(decoration(path[-60:]), "png")
    return None


def front(world: World) -> Reply:
    """Return the page that leads a person to the three engines."""
    return Reply.page(world.render("front.html", terms=TRY))
