"""How good a picture is: named measures of one small decode, and the flags and refusals that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.images import ImageInfo
from dataset.prints import find_bars


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
    commonest = np.sort(np.unique(codes, return_counts=True)[1])[-16:]
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
    )


def flatness(grey: NDArray[np.int16]) -> float:
    """Return the share of pixels whose steps to the left and upper neighbour are at most 2 grey levels."""
    right, down = np.abs(np.diff(grey, axis=1))[1:], np.abs(np.diff(grey, axis=0))[:, 1:]
    return float((np.maximum(right, down) <= 2).mean())


def defect(info: ImageInfo, measures: Measures, *, min_side: int) -> tuple[str, float] | None:
    """Return why a whole picture is no use to anybody, with the value that says so, or None."""
    side = min(info.width, info.height)
    if side < min_side:
        return "too small", side
    if measures.flatness > 0.97:
        return "blank", measures.flatness
    if measures.entropy < 0.5:
        return "blank", measures.entropy
    return None


def flags(info: ImageInfo, measures: Measures) -> tuple[str, ...]:
    """Return what a person should look at; a flag never drops a picture."""
    aspect = max(info.width, info.height) / max(1, min(info.width, info.height))
    # Few tones and colours, and hardly a gentle change of light: no camera saw this.
    tones = 3.9 if measures.palette < 0.98 else 4.4
    few = measures.palette > 0.92 and measures.entropy < tones
    graphic = few and measures.gentle < 0.055
    found = {
        "small": min(info.width, info.height) < 128,
        "extreme aspect": aspect > 4,
        "dark": measures.brightest < 80,
        "washed out": measures.darkest > 150 and measures.brightest - measures.darkest < 80,
        "blurred": measures.sharpness < 60,
        "low information": measures.bits_per_pixel < 0.15,
        "near uniform": measures.flatness > 0.85,
        "screenshot or text": graphic and measures.flatness <= 0.66,
        "drawing": graphic and measures.flatness > 0.66,
        "framed": measures.border > 0.15,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _sharpness(grey: NDArray[np.int16]) -> float:
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    blocks = laplacian[:88, :88].reshape(8, 11, 8, 11).swapaxes(1, 2).reshape(64, 121).astype(np.float32)
    means = blocks.mean(axis=1)
    spread = (blocks * blocks).mean(axis=1) - means * means
    return float(np.partition(spread, 57)[57])


def _colourfulness(rgb: NDArray[np.int16]) -> float:
    red, green, blue = (band.astype(np.float32) for band in np.moveaxis(rgb, -1, 0))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))
