"""Bodies that are no picture to keep, whatever their address and type say."""

import io
import json
from collections.abc import Callable
from functools import cache

from PIL import Image, ImageDraw

from scraper.simulator.reply import Reply

HTML = "<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in first</h1></body></html>"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="400"><circle r="300" fill="#c33"/></svg>'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(range(256)) * 8


def saved(image: Image.Image, kind: str) -> bytes:
    """Return an image as bytes of a format."""
    body = io.BytesIO()
    image.save(body, kind)
    return body.getvalue()


@cache
def bomb() -> bytes:
    """Return a small file that unfolds to 400 million pixels."""
    return saved(Image.new("1", (20_000, 20_000)), "PNG")


@cache
def denied() -> bytes:
    """Return the picture that says that hotlinking is denied, the same one for every address."""
    image = Image.new("RGB", (480, 320), (250, 250, 250))
    pen = ImageDraw.Draw(image)
    pen.rectangle((20, 20, 460, 300), outline=(200, 30, 30), width=8)
    pen.text((120, 140), "HOTLINKING DENIED", fill=(200, 30, 30), font_size=24)
    return saved(image, "JPEG")


BODIES: dict[str, Callable[[], Reply]] = {
    "html": lambda: Reply.picture(HTML.encode()),
    "json": lambda: Reply.picture(json.dumps({"error": "no such picture"}).encode()),
    "denied": lambda: Reply.picture(denied()),
    "svg": lambda: Reply.picture(SVG.encode(), "svg+xml"),
    "heic": lambda: Reply.picture(HEIC),
    "ico": lambda: Reply.picture(saved(Image.new("RGB", (48, 48), "navy"), "ICO"), "x-icon"),
    "empty": lambda: Reply.picture(b""),
    "tiny": lambda: Reply.picture(saved(Image.new("L", (1, 1)), "GIF"), "gif"),
    "bomb": lambda: Reply.picture(bomb(), "png"),
    "sliver": lambda: Reply.picture(saved(Image.new("RGB", (1, 5000), "teal"), "JPEG")),
}
