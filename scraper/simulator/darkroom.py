"""The bytes behind the addresses: each picture is drawn once, and every other form of it is made from that."""

import hashlib
import io
import os
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from scraper.simulator.catalogue import Address, Picture
from scraper.simulator.pictures import draw

ROOM = 96 * 2**20


class Darkroom:
    """Bytes of addresses, kept in memory up to a bound and, where a folder is given, on disk.

    Remembers the SHA-256 of all that it handed out, so that a file can be told to be a picture of the site.
    """

    def __init__(self, seed: int, folder: Path | None = None, room: int = ROOM) -> None:
        self.seen: dict[str, Address] = {}
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._size, self._room = 0, room
        self._lock = threading.Lock()
        # A picture asked for by several at once is drawn by one of them; a few locks serve all pictures.
        self._drawing = tuple(threading.Lock() for _ in range(64))
        self._folder = folder and folder / f"{drawn_by()}-{seed}"
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)

    def bytes_of(self, address: Address) -> bytes:
        """Return the picture in the form that the address has, the same bytes each time."""
        picture = address.picture
        if address.master:
            name: tuple[object, ...] = (picture.id, "master")
        else:
            name = (picture.id, address.width, address.height, address.format, address.quality)
        body = self._recall(name)
        if body is None:
            with self._drawing[hash(picture.id) % len(self._drawing)]:
                body = self._recall(name) or self._make(name, address)
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            self.seen.setdefault(digest, address)
        return body

    def _make(self, name: tuple[object, ...], address: Address) -> bytes:
        body = self._master(address.picture)
        if not address.master:
            body = reprint(body, address)
            self._keep(name, body)
        return body

    def _master(self, picture: Picture) -> bytes:
        name = (picture.id, "master")
        body = self._recall(name)
        if body is None:
            body = encoded(draw(picture.kind, picture.seed, (picture.width, picture.height)), "jpeg", picture.quality)
            self._keep(name, body)
        return body

    def _recall(self, name: tuple[object, ...]) -> bytes | None:
        with self._lock:
            if body := self._kept.get(name):
                self._kept.move_to_end(name)
                return body
        if self._folder and (path := self._folder / filed(name)).exists():
            body = path.read_bytes()
            self._keep(name, body, on_disk=True)
            return body
        return None

    def _keep(self, name: tuple[object, ...], body: bytes, *, on_disk: bool = False) -> None:
        with self._lock:
            self._size += len(body) - len(self._kept.pop(name, b""))
            self._kept[name] = body
            while self._size > self._room:
                self._size -= len(self._kept.popitem(last=False)[1])
        if self._folder and not on_disk:
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(body)
            os.replace(file.name, self._folder / filed(name))  # noqa: PTH105 - the name is a string already


def filed(name: tuple[object, ...]) -> str:
    """Return the file name of a kept form."""
    return hashlib.sha256(repr(name).encode()).hexdigest()[:24]


def drawn_by() -> str:
    """Return a short hash of this package's code, so that a folder never serves what older code drew."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def reprint(master: bytes, address: Address) -> bytes:
    """Return the picture scaled and encoded as the address has it."""
    with Image.open(io.BytesIO(master)) as image:
        size = (address.width, address.height)
        # The decoder can halve while it reads: thumbnails cost a quarter so.
        image.draft("RGB", (size[0] * 2, size[1] * 2))
        image.load()
        return encoded(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), address.format, address.quality)


def encoded(image: Image.Image, kind: str, quality: int) -> bytes:
    """Return the image as jpeg, webp or png bytes."""
    body = io.BytesIO()
    if kind == "png":
        image.save(body, "PNG", compress_level=1)
    elif kind == "webp":
        image.save(body, "WEBP", quality=quality, method=1)
    else:
        image.save(body, "JPEG", quality=quality)
    return body.getvalue()
