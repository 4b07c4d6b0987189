"""What was done to a picture without another being taken: marks written all over it, or its colours taken away."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.prints import Levels

Values = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

QUIET = 4.0
"""Levels by which encodings let one place differ."""
UNTOUCHED = 0.6
"""Share of the places that marks all over leave as they were; two takes of one scene agree in far fewer."""
AGAINST = 0.035
"""Share of the places that may change the other way: marks only brighten or only darken, things that move do both."""
THROUGH = 0.5
"""Share of the way to white or black that a mark goes at most: the picture shows through."""
ROOM = 40.0
"""Levels that a place must be away from white or black for a mark to be seen on it."""
TILES = 8
"""Of 16 tiles, how many are marked at least."""
MOST = 0.3
"""Share of the places that are marked at most."""
THIN = 0.05
"""Share of the marked places with nothing but marked ones two places around: marks are lines, things are solid."""
REPEATED = 0.6
"""Correlation of the marks with themselves, moved by at least ``STEP`` places: one mark is repeated."""
STEP = 8
EQUAL = 1.0
"""Levels by which the places of a block of a picture made grey differ on average from those of the original."""
GENTLE = 0.05
"""Share of gentle steps of light from which greys say that they are of one photograph: a drawing has few shades, and
two drawings in other colours may have the same."""


def is_marked(first: Values, second: Values, inside: Mask) -> bool:
    """Return whether one of two pictures is the other under a mark that is repeated all over it.

    Both are squares of grey levels, the second laid over the first, and meet where ``inside`` is.
    """
    if (np.abs(first - second)[inside] <= QUIET).mean() < UNTOUCHED:
        return False
    return any(_marks(*pair, inside) for pair in ((first, second), (second, first))) or any(
        _marks(255 - one, 255 - other, inside) for one, other in ((first, second), (second, first))
    )


def _marks(plain: Values, marked: Values, inside: Mask) -> bool:
    """Return whether the second is the first under marks that brighten."""
    brighter = marked - plain
    if (brighter[inside] < -2 * QUIET).mean() > AGAINST:
        return False
    seen = inside & (plain < 255 - ROOM)
    if seen.mean() < 0.25:
        return False
    veil = np.where(seen, brighter / np.maximum(255 - plain, ROOM), 0)
    if np.percentile(veil[seen], 99.7) > THROUGH:
        return False
    touched = veil > 0.08
    if not 0 < touched[seen].mean() <= MOST or _solid(touched) > THIN:
        return False
    side = plain.shape[0] // 4
    tiles = touched.reshape(4, side, 4, side).mean(axis=(1, 3))
    return bool((tiles > 0.02).sum() >= TILES) and _repetition(veil, seen) >= REPEATED


def _solid(marked: Mask) -> float:
    """Return the share of the marked places that lie in the midst of five by five marked ones."""
    inner = np.lib.stride_tricks.sliding_window_view(marked, (5, 5)).all(axis=(2, 3))
    return float(inner.sum() / marked.sum())


def _repetition(values: Values, seen: Mask) -> float:
    """Return the greatest correlation of a square with itself, moved by ``STEP`` places or more."""
    size = 2 * values.shape[0]
    centred = np.where(seen, values - values[seen].mean(), 0)
    one, squares, there = (np.fft.rfft2(part, (size, size)) for part in (centred, centred**2, seen.astype(np.float64)))
    products, places, here, gone = (
        np.fft.irfft2(a * b.conj()) for a, b in ((one, one), (there, there), (squares, there), (there, squares))
    )
    enough = places > 0.3 * seen.sum()
    near = np.abs(np.fft.fftfreq(size, 1 / size)) < STEP
    enough[np.ix_(near, near)] = False
    return float((products[enough] / np.sqrt(np.maximum(here * gone, 1e-9)[enough])).max(initial=0))


def is_greyed(first: Image.Image, second: Image.Image, levels: tuple[Values, Values], inside: Mask) -> bool:
    """Return whether one of two RGB pictures is the other without its colours.

    ``levels`` are both as squares of grey levels that lie over each other where ``inside`` is. A thing of another
    colour has other shades too; where no shade in a photograph differs, it is one photograph.
    """
    if min(_colour(first), _colour(second)) > 2:
        return False
    apart = np.abs(levels[0] - levels[1])
    side = apart.shape[0] // 8
    blocks = np.where(inside, apart, 0).reshape(8, side, 8, side).mean(axis=(1, 3))
    return bool(blocks.max() <= EQUAL) and _gentle(levels[0].astype(np.uint8)) >= GENTLE


def _colour(image: Image.Image) -> float:
    """Return how far a picture is from grey at its most colourful place, in levels."""
    rgb = np.asarray(image.resize((32, 32), Image.Resampling.BOX), np.float64)
    return float(np.ptp(rgb, axis=-1).max())


def _gentle(grey: Levels) -> float:
    half = grey[::2, ::2].astype(np.int16)
    steps = np.maximum(np.abs(np.diff(half, axis=1))[1:], np.abs(np.diff(half, axis=0))[:, 1:])
    return float(((steps > 1) & (steps <= 8)).mean())
