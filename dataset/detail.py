"""Whether the larger of two copies shows more, or is but an enlargement of the smaller one."""

import numpy as np
from PIL import Image

from dataset.images import look

LARGER = 1.3
"""Times the smaller one's sides from which the larger one is suspected."""
EMPTY = 1.6
"""Times as much of the detail that only the larger one can hold, beside that from half the smaller one's resolution on,
as a plain enlargement of the smaller one has, up to which it is one.

Bicubic, bilinear and Lanczos enlargements by 1.4 to 3 have 1.0 to 1.5 times as much (9 of 10, saved at quality 70 or
90), photographs 2.2 to 3.5 (9 of 10; the least had 1.75).
"""
FAINT = 1.5
"""Levels of detail below which nothing is said: a picture so smooth looks the same at any size."""
SOFTER = 0.9
"""Share of the larger one's detail, at the smaller one's size, that the smaller one must have itself."""
WINDOW = 1536
"""Pixels of the larger one, along each side, that are looked at: those in the middle."""
_WHOLE = 1 << 20


def whole(data: bytes) -> Image.Image | None:
    """Return a picture in grey, pixel for pixel, or None where it can't be decoded."""
    image = look(data, min_side=1, side=_WHOLE)[1]
    return image.convert("L") if image else None


def suspicious(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two copies of these sizes, turned or not, may be one picture and its enlargement."""
    (short, long), (less, more) = sorted(map(sorted, (size, other)))
    return less >= LARGER * short and 0.97 < (less / short) / (more / long) < 1.03


def is_enlarged(large: Image.Image, small: Image.Image) -> bool:
    """Return whether the larger of two copies, in grey, holds nothing that the smaller one can't hold.

    Enlarging leaves the finest structure empty, where cameras and reductions leave some. A smaller copy that is softer
    than the larger one at its size, by a blur or by poor encoding, is no better.
    """
    factor = min(large.size) / min(small.size)
    if max(large.size) > WINDOW:
        small = _middle(small, round(WINDOW / factor))
        large = _middle(large, WINDOW)
    if _detail(large, 2 * factor) < FAINT:
        return False
    if _fineness(large, factor) > EMPTY * _fineness(_scaled(small, factor), factor):
        return False
    return _detail(small, 2) >= SOFTER * _detail(_scaled(large, 1 / factor), 2)


def _fineness(grey: Image.Image, factor: float) -> float:
    """Return the detail that goes when a picture is made so much smaller, as a share of what goes at twice that."""
    return _detail(grey, factor) / max(1e-9, _detail(grey, 2 * factor))


def _detail(grey: Image.Image, factor: float) -> float:
    """Return the levels, as a root mean square, that a picture loses when it is made so much smaller."""
    less = _scaled(grey, 1 / factor).resize(grey.size, Image.Resampling.BICUBIC)
    lost = np.asarray(grey, np.float32) - np.asarray(less, np.float32)
    return float(np.sqrt(np.mean(lost * lost)))


def _scaled(grey: Image.Image, factor: float) -> Image.Image:
    wide, high = (max(1, round(side * factor)) for side in grey.size)
    return grey.resize((wide, high), Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS)


def _middle(grey: Image.Image, most: int) -> Image.Image:
    left, top = (max(0, (side - most) // 2) for side in grey.size)
    return grey.crop((left, top, min(grey.width, left + most), min(grey.height, top + most)))
