"""One labelled picture of somebody else's dataset, before it is read."""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.images import read, stored
from dataset.tray import MAX_BYTES

SPLITS: Final[Mapping[str, str]] = {
    "train": "train", "training": "train", "trainset": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "publictest": "val",
    "test": "test", "testing": "test", "testset": "test", "evaluation": "test", "eval": "test", "privatetest": "test",
}  # fmt: skip
"""What datasets call their splits, and what they are called here."""


Frame = tuple[int, int] | Literal["stored"] | None
"""The photo as stored, before its EXIF note turns it; or the width and height that annotations give, which tell."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a picture: in pixels, or as shares of its sides when ``relative``."""

    left: float
    top: float
    right: float
    bottom: float
    relative: bool = False
    margin: float = 0.0
    """What a crop takes along around the box, as a share of the box's sides."""
    frame: Frame = None
    """What the box is drawn on, where that is known; else the photo as it is shown."""

    @property
    def area(self) -> float:
        """Pixels or share of the picture inside; 0 when the box is inside out."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def __str__(self) -> str:
        x, y, width, height = self.left, self.top, self.right - self.left, self.bottom - self.top
        scale, unit = (100, "percent:") if self.relative else (1, "")
        numbers = ",".join(f"{round(value * scale, 4):g}" for value in (x, y, width, height))
        return f"xywh={unit}{numbers}" + (f"&margin={self.margin:g}" if self.margin else "")


TURNED: Final[Mapping[int, Callable[[float, float], tuple[float, float]]]] = {
    2: lambda x, y: (1 - x, y), 3: lambda x, y: (1 - x, 1 - y), 4: lambda x, y: (x, 1 - y), 5: lambda x, y: (y, x),
    6: lambda x, y: (1 - y, x), 7: lambda x, y: (1 - y, 1 - x), 8: lambda x, y: (y, 1 - x),
}  # fmt: skip
"""Where a point of the stored picture is shown, both as shares of the sides, by EXIF's orientation."""


def _nothing() -> bytes:
    raise FileNotFoundError


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture with its label; ``read`` fetches its bytes, and must be called before the next one is asked for."""

    label: str
    """As the source says it; empty when it says none."""
    source: str
    """Address of the picture: a file URI, with a fragment where one file holds several."""
    read: Callable[[], bytes] = _nothing
    """Return the bytes as received; raises OSError, whose text is the reason, when that can't be done."""
    split: str = ""
    """The source's own split: ``train``, ``val``, ``test`` or a name of its own; empty when it has none."""
    group: str = ""
    """Address of what several pictures show: their common photograph, track or patient."""
    box: Box | None = None
    """The part of the picture that is meant; None for the whole."""
    error: str = ""
    """Why the picture can't be read, where that is known before trying."""


def official_split(word: str) -> str:
    """Return ``train``, ``val`` or ``test`` for what datasets call it (``valid``, ``train2017``), else nothing."""
    return SPLITS.get(word.strip().lower().rstrip("0123456789").rstrip("-_ "), "")


def address(path: Path, inside: str = "") -> str:
    """Return the file URI of a path, with a fragment for what lies inside the file."""
    return path.absolute().as_uri() + (f"#{inside}" if inside else "")


def read_file(path: Path) -> bytes:
    """Return a file's bytes; raises OSError when it is missing, unreadable or too big for a picture."""
    if path.stat().st_size > MAX_BYTES:
        raise OSError("too many bytes")
    return path.read_bytes()


def one_line(error: Exception) -> str:
    """Return the first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")


def to_png(picture: Image.Image | NDArray[np.uint8]) -> bytes:
    """Return pixels, height x width (x 3), or a decoded picture as PNG, without loss."""
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, "PNG")
    return out.getvalue()


def crop(data: bytes, box: Box) -> bytes:
    """Return a box of a picture as JPEG of high quality, or as PNG where the whole is lossless.

    Raises OSError when the box is empty or lies outside.
    """
    whole = read(data)
    left, top, right, bottom = _pixels(_upright(box, data), whole.size)
    if right - left < 2 or bottom - top < 2:
        raise OSError("empty box")
    part = whole.crop((left, top, right, bottom))
    if data[:2] != b"\xff\xd8":
        return to_png(part)
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    part.save(out, "JPEG", **options)
    return out.getvalue()


def _upright(box: Box, data: bytes) -> Box:
    """Return a box on the photo as it is shown, also where it was drawn on the photo as it is stored."""
    size, turn = stored(data)
    lies = turn >= 5 and box.frame == size and size[0] != size[1]
    if turn not in TURNED or not (lies or box.frame == "stored"):
        return box
    width, height = (1, 1) if box.relative else size
    (left, right), (top, bottom) = (
        sorted(TURNED[turn](x / width, y / height)[axis] for x, y in ((box.left, box.top), (box.right, box.bottom)))
        for axis in (0, 1)
    )
    return replace(box, left=left, top=top, right=right, bottom=bottom, relative=True)


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box with its margin in whole pixels inside a picture of ``size``."""
    width, height = size if box.relative else (1, 1)
    aside, above = box.margin * (box.right - box.left), box.margin * (box.bottom - box.top)
    if not 0 < box.area < math.inf:
        raise OSError("endless box" if box.area else "empty box")
    return (
        max(0, round((box.left - aside) * width)),
        max(0, round((box.top - above) * height)),
        min(size[0], round((box.right + aside) * width)),
        min(size[1], round((box.bottom + above) * height)),
    )
