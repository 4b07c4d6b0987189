"""How good a picture is: named measures of one small decode, and the flags and refusals that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.images import ImageInfo
from dataset.prints import find_bars
from dataset.tray import Checks


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured on one picture, at 96x96 pixels."""

    flatness: float
    """Share of 48x48 grey levels whose steps to the left and upper neighbour are at most 2; 1 is blank."""
    entropy: float
    """Bits per pixel of the grey levels' histogram, 0 to 8."""
    sharpness: float
    """Variance of the Laplacian where the picture is sharpest: the upper tenth of an 8x8 grid of blocks."""
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
    collage. Parts without a gap between them are not told."""


def measure(small: Image.Image, info: ImageInfo, *, size: int, frame: float | None = None) -> Measures:
    """Measure an RGB picture at reduced size; ``size`` is the file's in bytes, ``frame`` the share of bars if known."""
    image = small.resize((96, 96), Image.Resampling.BOX)
    grey_image = image.convert("L")
    grey = np.asarray(grey_image, np.int16)
    counts = np.array(grey_image.histogram(), np.float64) / grey.size
    shares = counts[counts > 0]
    below = counts.cumsum()
    rgb = np.asarray(image, np.int16)[::2, ::2]
    codes = ((rgb[..., 0] >> 4) << 8) + ((rgb[..., 1] >> 4) << 4) + (rgb[..., 2] >> 4)
    colours = np.bincount(codes.ravel(), minlength=4096)
    commonest = np.sort(colours[colours > 0])[-16:]
    steps = np.maximum(np.abs(np.diff(grey, axis=1))[1:], np.abs(np.diff(grey, axis=0))[:, 1:])
    if frame is None:
        frame = find_bars(np.asarray(small.convert("L"))).frame
    return Measures(
        flatness=round(flatness(np.asarray(grey_image.reduce(2), np.int16)), 4),
        entropy=round(float(-(shares * np.log2(shares)).sum()), 3),
        sharpness=round(_sharpness(grey), 2),
        darkest=float(np.searchsorted(below, 0.05)),
        brightest=float(np.searchsorted(below, 0.95)),
        colourfulness=round(_colourfulness(rgb), 2),
        bits_per_pixel=round(8 * size / max(1, info.width * info.height), 4),
        palette=round(float(commonest.sum()) / codes.size, 4),
        gentle=round(float(((steps > 1) & (steps <= 8)).mean()), 4),
        border=round(frame, 4),
        gutter=round(max(_gutter(grey), _gutter(grey.T)), 4),
    )


def flatness(grey: NDArray[np.int16]) -> float:
    """Return the share of pixels whose steps to the left and upper neighbour are at most 2 grey levels."""
    right, down = np.abs(np.diff(grey, axis=1))[1:], np.abs(np.diff(grey, axis=0))[:, 1:]
    return float((np.maximum(right, down) <= 2).mean())


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
    tones = 3.9 if measures.palette < 0.98 else 4.4
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


def _gutter(grey: NDArray[np.int16]) -> float:
    """Return the greatest share of one level in a row that has something else three rows above and three below."""
    # Twice the levels, and the sum of the two middle ones for twice the median: whole numbers are quick.
    twice = 2 * grey
    rows = twice[11:86]
    middle = np.sort(grey[11:86], axis=1)[:, 47:49].sum(axis=1, dtype=np.int16, keepdims=True)
    plain = np.count_nonzero(np.abs(rows - middle) <= 20, axis=1)
    above, below = (np.count_nonzero(np.abs(side - middle) > 24, axis=1) for side in (twice[8:83], twice[14:89]))
    there = np.minimum(above, below) > 0.6 * grey.shape[1]
    return float(plain[there].max(initial=0) / grey.shape[1])


def _sharpness(grey: NDArray[np.int16]) -> float:
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    blocks = laplacian[:88, :88].reshape(8, 11, 8, 11).swapaxes(1, 2).reshape(64, 121).astype(np.float32)
    means = blocks.mean(axis=1)
    spread = (blocks * blocks).mean(axis=1) - means * means
    return float(np.sort(spread)[57])


def _colourfulness(rgb: NDArray[np.int16]) -> float:
    red, green, blue = (band.astype(np.float32) for band in np.moveaxis(rgb, -1, 0))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))
