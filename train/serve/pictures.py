"""How pictures come with a request: as files, as bytes, or as addresses; and which are refused."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote_to_bytes

import numpy as np
from flask import Request
from PIL import Image

from dataset.errors import TrayError
from dataset.images import ImageInfo, look
from train.data import squared

Array = np.ndarray[Any, Any]
ADDRESS: Final = re.compile(rb"\s*(https?://|data:)", re.IGNORECASE)
SCHEMES: Final = ("http://", "https://", "data:")
LONGEST_ADDRESS: Final = 8192
HOW: Final = (
    "Send a picture as multipart file, as raw bytes, or its address as plain text or JSON such as "
    '{"url": "https://example.org/lunch.jpg"}.'
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may bring."""

    body: int = 32 * 2**20
    """Bytes of a request's body, and of a picture fetched from an address."""
    pixels: int = 50_000_000
    """Pixels of a picture."""
    pictures: int = 32
    """Pictures in one request."""


class Refused(TrayError):
    """A request, or one of its pictures, that can't be answered; ``status`` is that of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture of a request: its bytes, or the address where they are."""

    name: str
    data: bytes = b""
    address: str = ""


def sent(request: Request, limits: Limits) -> list[Sent]:
    """Return the pictures of a request in their order; raises Refused when there are none or too many."""
    pictures = list(_sent(request))
    if not pictures:
        raise Refused(f"Expected a picture. Received: none. {HOW}")
    if len(pictures) > limits.pictures:
        raise Refused(
            f"Expected at most {limits.pictures} pictures in a request. Received: {len(pictures)}. Send them in parts.",
            413,
        )
    return pictures


def decode(data: bytes, size: int, limits: Limits) -> tuple[Array, int, int]:
    """Return a picture as (size, size, 3) uint8, with its width and height; raises Refused for what is none."""
    info, image = opened(data, limits, side=size)
    return squared(image, size), info.width, info.height


def opened(data: bytes, limits: Limits, *, side: int) -> tuple[ImageInfo, Image.Image]:
    """Return what a picture is, and the picture with at least ``side`` pixels on its shorter side, if it has them.

    Raises Refused for what is no picture, or beyond the limits.
    """
    info, image = look(data, max_pixels=limits.pixels, max_bytes=limits.body, min_side=1, side=side)
    if image is None:
        raise Refused(_sentence(data, info.error, limits), _status(info.error))
    return info, image


def _sent(request: Request) -> Iterator[Sent]:
    if request.mimetype == "multipart/form-data":
        for file in (file for files in request.files.listvalues() for file in files):
            yield Sent(file.filename or "picture", file.read())
        yield from (_address(text) for text in request.form.getlist("url"))
    elif request.is_json:
        yield from (_address(text) for text in _listed(request.get_data()))
    else:
        yield from _plain(request)


def _plain(request: Request) -> Iterator[Sent]:
    """Yield what a body is that says little about itself: command line tools call everything a form."""
    body = request.get_data(parse_form_data=False)
    if request.mimetype == "application/x-www-form-urlencoded" and body.startswith(b"url="):
        yield from (_address(text) for text in parse_qs(body.decode("utf-8", "replace"))["url"])
    elif ADDRESS.match(body) or request.mimetype == "text/plain":
        yield from (_address(text) for text in body.decode("utf-8", "replace").split())
    elif body:
        yield Sent("picture", body)


def _listed(body: bytes) -> list[str]:
    """Return the addresses in a JSON body."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refused(f"Expected JSON. Received: {error}. {HOW}") from None
    if isinstance(value, dict):
        value = value.get("urls", value.get("url"))
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Refused(f'Expected "url" with an address, or "urls" with a list of them. {HOW}')
    return found


def _address(text: str) -> Sent:
    """Return a picture by its address; a data: address brings its bytes along."""
    text = text.strip()
    shown = text[:100] + ("…" if len(text) > 100 else "")
    if not text.lower().startswith(SCHEMES):
        raise Refused(f"Expected an address that begins with http:// or https://. Received: {shown!r}.")
    if text[:5].lower() != "data:":
        if len(text) > LONGEST_ADDRESS:
            raise Refused(f"Expected an address of at most {LONGEST_ADDRESS} characters. Received: {len(text)}.")
        return Sent(text, address=text)
    head, _, payload = text.partition(",")
    try:
        data = unquote_to_bytes(payload)
        return Sent("picture", base64.b64decode(data, validate=True) if head.endswith(";base64") else data)
    except binascii.Error as error:
        raise Refused(f"Expected a data: address in base64. Received: {shown!r} ({error}).") from None


def _status(error: str) -> int:
    if error.startswith("too many"):
        return 413
    if error in {"truncated", "damaged"}:
        return 422
    return 400 if error == "empty" else 415


def _sentence(data: bytes, error: str, limits: Limits) -> str:
    if error == "too many pixels":
        return f"Expected a picture of at most {limits.pixels:,} pixels. Received: more. Scale it down."
    if error == "too many bytes":
        return f"Expected a picture of at most {limits.body:,} bytes. Received: {len(data):,}. Scale it down."
    what = {"truncated": "one that is cut off", "damaged": "one that is damaged", "empty": "no bytes"}
    if error in what:
        return f"Expected a whole picture. Received: {what[error]}."
    return f"Expected a picture (JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF). Received: {len(data)} bytes, {error}."
