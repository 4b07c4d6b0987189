"""How good a picture is: named measures of one small decode, and the flags and refusals that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dataset.images import ImageInfo
from dataset.prints import frame_share

Grey = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured on one picture, at about 128 pixels on the shorter side."""

    flatness: float
    """Share of 64x64 grey levels whose steps to the left and upper neighbour are at most 2; 1 is blank."""
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
    """Share of pixels amid a gentle change of 3 to 16 grey levels; photographs have many, drawings and text few."""
    border: float
    """Share of the picture that bars of one colour with a straight inner edge take."""


def measure(small: Image.Image, info: ImageInfo, *, size: int) -> Measures:
    """Measure an RGB picture at reduced size; ``size`` is the file's in bytes."""
    rgb = np.asarray(small.resize((128, 128), Image.Resampling.BOX), np.float64)
    grey = rgb @ (0.299, 0.587, 0.114)
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256) / grey.size
    shares = counts[counts > 0]
    codes = (rgb.astype(np.uint16) >> 4) @ np.array([256, 16, 1], np.uint16)
    commonest = np.sort(np.bincount(codes.ravel(), minlength=4096))[-16:]
    low, high = np.percentile(grey, (5, 95))
    return Measures(
        flatness=round(flatness(_halved(grey)), 4),
        entropy=round(float(-(shares * np.log2(shares)).sum()), 3),
        sharpness=round(_sharpness(grey), 2),
        darkest=round(float(low), 1),
        brightest=round(float(high), 1),
        colourfulness=round(_colourfulness(rgb), 2),
        bits_per_pixel=round(8 * size / max(1, info.width * info.height), 4),
        palette=round(float(commonest.sum()) / grey.size, 4),
        gentle=round(_gentle(grey), 4),
        border=round(frame_share(np.asarray(small.convert("L"))), 4),
    )


def flatness(grey: Grey) -> float:
    """Return the share of pixels whose steps to the left and upper neighbour are at most 2 grey levels."""
    steps_x = np.abs(np.diff(grey, axis=1))[1:] <= 2
    steps_y = np.abs(np.diff(grey, axis=0))[:, 1:] <= 2
    return float((steps_x & steps_y).mean())


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
    # Few tones and hardly a gentle change of light: no camera saw this.
    graphic = measures.entropy < 3.6 and measures.gentle < 0.04
    found = {
        "small": min(info.width, info.height) < 128,
        "extreme aspect": aspect > 4,
        "dark": measures.brightest < 80,
        "washed out": measures.darkest > 150 and measures.brightest - measures.darkest < 80,
        "blurred": measures.sharpness < 60,
        "low information": measures.bits_per_pixel < 0.15,
        "near uniform": measures.flatness > 0.85,
        "screenshot or text": graphic and measures.flatness <= 0.75,
        "drawing": graphic and measures.flatness > 0.75,
        "framed": measures.border > 0.15,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _halved(grey: Grey) -> Grey:
    height, width = grey.shape
    return np.asarray(grey.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)))


def _sharpness(grey: Grey) -> float:
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    blocks = laplacian[:120, :120].reshape(8, 15, 8, 15).var(axis=(1, 3))
    return float(np.percentile(blocks, 90))


def _colourfulness(rgb: NDArray[np.float64]) -> float:
    red_green = rgb[..., 0] - rgb[..., 1]
    yellow_blue = (rgb[..., 0] + rgb[..., 1]) / 2 - rgb[..., 2]
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def _gentle(grey: Grey) -> float:
    image = Image.fromarray(grey.astype(np.uint8))
    high, low = (np.asarray(image.filter(one(3)), np.int16) for one in (ImageFilter.MaxFilter, ImageFilter.MinFilter))
    spans = (high - low)[1:-1, 1:-1]
    return float(((spans > 2) & (spans <= 16)).mean())
