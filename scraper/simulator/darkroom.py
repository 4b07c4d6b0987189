"""The bytes behind the addresses: each picture is drawn once, and every other form of it is made from that."""

import hashlib
import io
import os
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from scraper.simulator.catalogue import FORMS, Address, Picture
from scraper.simulator.pictures import draw

ROOM = 64 * 2**20


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
        name = negative(address.picture)
        if not address.master:
            form = FORMS.get(address.behaviour) and address.behaviour
            name = (*name, address.width, address.height, address.format, address.quality, form)
        body = self._recall(name)
        if body is None:
            with self._drawing[hash(address.picture.id) % len(self._drawing)]:
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
        name = negative(picture)
        body = self._recall(name)
        if body is None:
            image = edited(draw(picture.kind, picture.seed, (picture.width, picture.height)), picture.edit)
            body = encoded(image, "jpeg", picture.quality)
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


def negative(picture: Picture) -> tuple[object, ...]:
    """Return all that decides how a picture looks, whatever the site that shows it."""
    return (picture.kind, picture.seed, picture.width, picture.height, picture.quality, picture.edit)


def filed(name: tuple[object, ...]) -> str:
    """Return the file name of a kept form."""
    return hashlib.sha256(repr(name).encode()).hexdigest()[:24]


def drawn_by() -> str:
    """Return a short hash of this package's code, so that a folder never serves what older code drew."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def edited(image: Image.Image, edit: str) -> Image.Image:
    """Return the picture as someone took it over: mirrored, cropped, brighter or framed; always of the same size."""
    across, down = image.width // 16, image.height // 16
    match edit:
        case "mirrored":
            return ImageOps.mirror(image)
        case "cropped":
            return image.resize(image.size, box=(across, down, image.width - across // 2, image.height - down // 2))
        case "brighter":
            return ImageEnhance.Brightness(image).enhance(1.18)
        case "framed":
            framed = Image.new("RGB", image.size, "white")
            framed.paste(image.resize((image.width - across, image.height - down)), (across // 2, down // 2))
            return framed
        case _:
            return image


def reprint(master: bytes, address: Address) -> bytes:
    """Return the picture scaled and encoded as the address has it."""
    with Image.open(io.BytesIO(master)) as image:
        size = (address.width, address.height)
        # The decoder can halve while it reads: thumbnails cost a quarter so.
        image.draft("RGB", (size[0] * 2, size[1] * 2))
        image.load()
        small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        if address.behaviour in FORMS:
            return formed(small, address.behaviour)
        return encoded(small, address.format, address.quality)


def formed(image: Image.Image, form: str) -> bytes:
    """Return the image in one of the rarer forms of a file."""
    options: dict[str, object] = {}
    match form:
        case "cmyk":
            image = image.convert("CMYK")
        case "rotated":
            # The camera lay on its side: the pixels too, and a mark says so.
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = 6  # type: ignore[index]
            image = image.transpose(Image.Transpose.ROTATE_90)
        case "palette":
            image = image.quantize(64)
            options["transparency"] = 0
        case "sixteen":
            image = image.convert("L").convert("I;16").point(lambda value: value * 257)
        case "animated" | "apng":
            options |= {"save_all": True, "append_images": [ImageOps.mirror(image)], "duration": 400}
    body = io.BytesIO()
    image.save(body, FORMS[form], **options)
    return body.getvalue()


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
