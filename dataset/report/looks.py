"""What one small decode shows of a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from dataset.images import look, phash, to_jpeg
from dataset.quality import flags, measure
from dataset.tray import Build

THUMBNAIL: Final = 120
"""Longer side of a thumbnail in pixels."""
AS_EVER: Final = Build()
"""The settings of a build that nobody has set."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one small decode showed of a file; ``thumbnail`` is a JPEG, empty when the file can't be read."""

    error: str = ""
    thumbnail: bytes = b""
    format: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    sha256: str = ""
    phash: str = ""
    flags: tuple[str, ...] = ()


def look_at(path: Path, settings: Build = AS_EVER, *, pictured: bool = True) -> Look:
    """Return what one small decode shows of a file, by the limits of ``settings``; never raises for a bad one.

    Without ``pictured`` no thumbnail is made.
    """
    try:
        size = path.stat().st_size
        if size > settings.max_bytes:
            return Look("too many bytes", bytes=size)
        data = path.read_bytes()
    except OSError as error:
        return Look(f"unreadable: {error.strerror}")
    info, small = look(data, max_pixels=settings.max_pixels, max_bytes=settings.max_bytes, min_side=1)
    if small is None:
        return Look(info.error or "damaged", bytes=size, sha256=info.sha256)
    measures = measure(small, info, size=size)
    return Look(
        "",
        thumbnail(small) if pictured else b"",
        info.format,
        info.width,
        info.height,
        size,
        info.sha256,
        phash(small, info),
        tuple(flags(info, measures, settings.checks)),
    )


def thumbnail(image: Image.Image) -> bytes:
    """Return an RGB picture as a small JPEG."""
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
    return to_jpeg(small, quality=72)
