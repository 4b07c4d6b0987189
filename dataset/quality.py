"""How good a picture is: named measures of one small decode, and the flags and refusals that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.images import ImageInfo
from dataset.prints import THUMB, Sketch, sketch
from dataset.tray import Checks


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured on one picture, at 80x80 pixels."""

    flatness: float
    """Share of 40x40 grey levels whose steps to the left and upper neighbour are at most 2; 1 is blank."""
    entropy: float
    """Bits per pixel of the grey levels' histogram, 0 to 8."""
    sharpness: float
    """Variance of the Laplacian where the picture is sharpest: the upper tenth of an 8x8 grid of blocks. A blur by a
    sixtieth of the side shows in it; half as much, or a shake along one line, does not."""
    darkest: float
    """Grey level that a twentieth of the pixels lie below, 0 to 255."""
    brightest: float
    """Grey level that a twentieth of the pixels lie above, 0 to 255."""
    colourfulness: float
    """Hasler and Suesstrunk's measure: 0 is grey, 15 slight, 45 average, 80 strong."""
    bits_per_pixel: float
    """Bits of the file per pixel of the picture."""
    palette: float
    """Share of pixels in the 16 commonest of 4096 colours; drawings and screenshots have few."""
    gentle: float
    """Share of pixels whose steps to their neighbours are 2 to 8 levels; photographs have many, drawings few."""
    border: float
    """Share of the picture that bars of one colour with a straight inner edge take."""
    gutter: float
    """Greatest share of the width or height that a thin straight band of one level takes, as between the parts of a
    collage. Parts without a gap between them, or with one below a fiftieth of the side, are not told."""


def measure(small: Image.Image, info: ImageInfo, *, size: int) -> Measures:
    """Measure an RGB picture at reduced size; ``size`` is the file's in bytes."""
    return measure_all([sketch(small)], [(info, size)])[0]


def measure_all(sketches: Sequence[Sketch], files: Sequence[tuple[ImageInfo, int]]) -> list[Measures]:
    """Measure many pictures at once, which takes less time, and each as it would be alone; sizes are in bytes."""
    grey = np.stack([one.grey for one in sketches]).astype(np.int16)
    rgb = np.stack([one.places for one in sketches]).astype(np.int16)
    shares = _counts(grey, 256) / (THUMB * THUMB)
    below = shares.cumsum(axis=1)
    codes = ((rgb[..., 0] >> 4) << 8) + (rgb[..., 1] & 0xF0) + (rgb[..., 2] >> 4)
    # Sorting is quicker than finding the largest: vector instructions do it, those for 16 bits on few machines.
    commonest = np.sort(_counts(codes, 4096).astype(np.int32), axis=1)[:, 4080:]
    steps = _steps(grey)
    halved = (grey[:, ::2, ::2] + grey[:, ::2, 1::2] + grey[:, 1::2, ::2] + grey[:, 1::2, 1::2] + 2) >> 2
    columns = {
        "flatness": (_share(_steps(halved) <= 2), 4),
        "entropy": (-(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1), 3),
        "sharpness": (_sharpness(grey), 2),
        "darkest": ((below < 0.05).sum(axis=1), 0),
        "brightest": ((below < 0.95).sum(axis=1), 0),
        "colourfulness": (_colourfulness(rgb), 2),
        "bits_per_pixel": (np.array([8 * size / max(1, info.width * info.height) for info, size in files]), 4),
        "palette": (commonest.sum(axis=1) / codes[0].size, 4),
        "gentle": (_share((steps > 1) & (steps <= 8)), 4),
        "border": (np.array([one.frame for one in sketches]), 4),
        "gutter": (np.maximum(_gutter(grey), _gutter(np.ascontiguousarray(grey.swapaxes(1, 2)))), 4),
    }
    rows = zip(*(column.tolist() for column, _ in columns.values()), strict=True)
    digits = [places for _, places in columns.values()]
    return [Measures(*(round(float(value), places) for value, places in zip(row, digits, strict=True))) for row in rows]


def flatness(grey: NDArray[np.int16]) -> float:
    """Return the share of a picture's pixels whose steps to the left and upper neighbour are at most 2 grey levels."""
    return float((_steps(grey) <= 2).mean())


def _steps(grey: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the greater of each pixel's steps to its left and upper neighbour."""
    across, down = np.abs(np.diff(grey, axis=-1)), np.abs(np.diff(grey, axis=-2))
    return np.maximum(across[..., 1:, :], down[..., :, 1:])


def _share(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of pixels in each picture's mask."""
    flat = mask.reshape(len(mask), -1).view(np.uint8)
    return np.asarray(np.add.reduce(flat, axis=1, dtype=np.int32) / flat.shape[1])


def _counts(values: NDArray[np.int16], kinds: int) -> NDArray[np.intp]:
    """Return how often each value below ``kinds`` is in each picture, shape (pictures, kinds)."""
    return np.stack([np.bincount(one.ravel(), minlength=kinds) for one in values])


def defect(
    info: ImageInfo, measures: Measures, checks: Checks, *, min_side: int, places: int = 1
) -> tuple[str, float] | None:
    """Return why a whole picture stays out, with the value that says so, or None; ``places`` is as in ``flags``."""
    side = min(info.width, info.height)
    if side < min_side:
        return "too small", side
    if is_blank(measures, checks):
        return "blank", measures.flatness
    found = flags(info, measures, checks, places=places)
    return next(((name, found[name]) for name in checks.drop if name in found), None)


def is_blank(measures: Measures, checks: Checks) -> bool:
    """Return whether a picture shows nothing."""
    return measures.flatness > checks.blank or measures.entropy < 0.5


def flags(info: ImageInfo, measures: Measures, checks: Checks, *, places: int = 1) -> dict[str, float]:
    """Return what a person should look at, with the values that say so, by the limits of ``checks``.

    ``places`` is under how many addresses of one host, or names of files, the same bytes were found.
    """
    short, long = sorted((info.width, info.height))
    aspect = long / max(1, short)
    # Few tones and colours, and hardly a gentle change of light: no camera saw this.
    tones = 3.9 if measures.palette < 0.98 else 4.5
    graphic = measures.palette > checks.graphic and measures.entropy < tones and measures.gentle < checks.graphic_gentle
    pale = measures.brightest - measures.darkest < 80
    found = {
        "small": (short < checks.small, short),
        "extreme aspect": (aspect > checks.extreme_aspect, aspect),
        "dark": (measures.brightest < checks.dark, measures.brightest),
        "washed out": (measures.darkest > checks.washed_out and pale, measures.darkest),
        "blurred": (measures.sharpness < checks.blurred, measures.sharpness),
        "low information": (measures.bits_per_pixel < checks.low_information, measures.bits_per_pixel),
        "near uniform": (measures.flatness > checks.near_uniform, measures.flatness),
        "screenshot or text": (graphic and measures.flatness <= 0.66, measures.palette),
        "drawing": (graphic and measures.flatness > 0.66, measures.palette),
        "placeholder": (places >= checks.placeholder, places),
        "framed": (measures.border > checks.framed, measures.border),
        "collage": (measures.gutter >= checks.collage, measures.gutter),
    }
    return {name: float(value) for name, (is_so, value) in found.items() if is_so and name not in checks.off}


def _gutter(grey: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the greatest share of one level in a row that has something else three rows above and three below."""
    # Twice the levels, and the sum of the two middle ones for twice the median: whole numbers are quick.
    twice = 2 * grey
    rows = twice[:, 9:71]
    ordered = np.sort(grey[:, 9:71].astype(np.int32), axis=2)
    middle = ordered[..., 39:40] + ordered[..., 40:41]
    plain = _count(np.abs(rows - middle) <= 20)
    above, below = (_count(np.abs(side - middle) > 24) for side in (twice[:, 6:68], twice[:, 12:74]))
    there = np.minimum(above, below) > 0.6 * THUMB
    return np.asarray(np.where(there, plain, 0).max(axis=1) / THUMB)


def _count(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return how many are true in each row of a thumb."""
    return np.asarray(np.add.reduce(mask.view(np.uint8), axis=2, dtype=np.uint8))


def _sharpness(grey: NDArray[np.int16]) -> NDArray[np.float32]:
    sides = grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] + grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]
    laplacian = (sides - 4 * grey[:, 1:-1, 1:-1])[:, :72, :72]
    blocks = laplacian.reshape(-1, 8, 9, 8, 9).swapaxes(2, 3).reshape(-1, 64, 81).astype(np.float32)
    means = blocks.mean(axis=2)
    spread = (blocks * blocks).mean(axis=2) - means * means
    return np.asarray(np.sort(spread, axis=1)[:, 57])


def _colourfulness(rgb: NDArray[np.int16]) -> NDArray[np.float32]:
    red, green, blue = (rgb[..., band].reshape(len(rgb), -1).astype(np.float32) for band in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(axis=1), yellow_blue.std(axis=1))
    return np.asarray(spread + np.float32(0.3) * np.hypot(red_green.mean(axis=1), yellow_blue.mean(axis=1)))
