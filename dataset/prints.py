"""What a picture is found by: perceptual hashes of it, of its turns, without its bars, and of its crops."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.images import above_median, hashes_of, low_frequencies

Levels = NDArray[np.uint8]
Values = NDArray[np.float64]

SIDE = 64
THUMB = 80
NEAR = 76
"""Bits of 256 up to which two hashes are worth a second look: nearly all copies come closer, no unlike photographs."""
MOST_VIEWS = 3
"""Views that a picture has at most: the whole, and without its bars one or two ways."""
TURNS = ("as it is", "mirrored", "flipped", "turned 180", "transposed", "turned 90", "turned 270", "transversed")

_WHOLE = (0.0, 1.0)
_ROWS = (_WHOLE, (0.0, 0.9), (0.05, 0.95), (0.1, 1.0), (0.0, 0.8), (0.1, 0.9), (0.2, 1.0))
# Crops to 90 and 80 % in nine places each, and crops of one side alone.
_CROPS = tuple(
    [(y, x) for part in ((1, 2, 3), (4, 5, 6)) for y in part for x in part]
    + [(0, x) for x in (1, 3, 4, 6)]
    + [(y, 0) for y in (1, 3, 4, 6)]
)
CROPS = len(_CROPS)


@dataclass(frozen=True, slots=True, eq=False)
class Print:
    """What a picture is compared by: hashes to find candidates, small pictures to confirm them.

    Each is equal to itself alone, so that what is worked out from it can be remembered under it.
    """

    views: Levels
    """64x64 grey levels, stretched to the square: of the whole picture, then without its bars, one or two ways."""
    boxes: Values
    """Left, top, right and bottom of each view, as shares of the picture."""
    colours: Levels
    """16x16 RGB."""
    hashes: Levels
    """32 bytes for each of 26 crops, then for 8 turns of each view: shape (26 + 8 views, 32)."""

    @property
    def phash(self) -> str:
        """The plain 256-bit hash in 64 hexadecimal digits."""
        return bytes(self.hashes[CROPS]).hex()


@dataclass(frozen=True, slots=True)
class Match:
    """One way in which two pictures may lie over each other, as the hashes suggest it."""

    distance: int
    """Bits of 256."""
    turn: int = 0
    """Turn of the first picture."""
    views: tuple[int, int] = (0, 0)
    crop: tuple[int, int] | None = None
    """Which of the two is the larger (0 or 1), and which crop of it shows the other; None when both are whole."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Plain bars at a picture's edges: captions, borders, letterboxes, and the ground around a thing."""

    boxes: tuple[tuple[int, int, int, int], ...]
    """Left, top, right and bottom of what lies between them: up to where they have a straight edge, and up to where
    anything else begins; none without bars, one where both are the same."""
    frame: float
    """Share of the picture that bars with a straight inner edge take; the ground around a thing has no such edge."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of a decoded picture until prints and measures of many are taken at once."""

    views: Levels
    """As in Print."""
    boxes: Values
    """As in Print."""
    frame: float
    """As in Bars."""
    colours: Levels
    """16x16 RGB."""
    places: Levels
    """40x40 places of the picture, RGB."""
    grey: Levels
    """80x80 grey levels."""


def sketch(small: Image.Image) -> Sketch:
    """Return what prints and measures are taken from, of an RGB picture at reduced size."""
    image = small.convert("L")
    bars = find_bars(levels(image))
    boxes = ((0, 0, *image.size), *bars.boxes)
    views = np.stack([square(image.crop(box) if at else image) for at, box in enumerate(boxes)])
    return Sketch(
        views,
        np.array(boxes) / (image.size * 2),
        bars.frame,
        levels(small.resize((16, 16), Image.Resampling.BOX)),
        levels(small.resize((THUMB // 2, THUMB // 2), Image.Resampling.NEAREST)),
        levels(image.resize((THUMB, THUMB), Image.Resampling.BOX)),
    )


def levels(image: Image.Image) -> Levels:
    """Return the levels of an L or RGB picture; read-only."""
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, *(3,) * (image.mode == "RGB"))


def make_print(small: Image.Image) -> Print:
    """Return the print of an RGB picture at reduced size."""
    return make_prints([sketch(small)])[0]


def make_prints(sketches: Sequence[Sketch]) -> list[Print]:
    """Return the print of each picture; many at once take less time, and each is as it would be alone."""
    ends = np.cumsum([len(one.views) for one in sketches]).tolist()
    turns = turn_hashes(np.concatenate([one.views for one in sketches]))
    return [
        Print(
            one.views,
            one.boxes,
            one.colours,
            np.concatenate([crop_hashes(one.views[0]), turns[end - len(one.views) : end].reshape(-1, 32)]),
        )
        for one, end in zip(sketches, ends, strict=True)
    ]


def square(grey: Image.Image, side: int = SIDE) -> Levels:
    """Return a grey picture stretched to a square."""
    return levels(grey.resize((side, side), Image.Resampling.BICUBIC))


def turn_hashes(grey: Levels) -> Levels:
    """Return the hashes of the 8 turns of pictures of shape (..., 64, 64), shape (..., 8, 32), by one cosine transform.

    A mirrored picture's coefficients are those of the original with the odd ones negated; a transposed one's are
    transposed.
    """
    block = low_frequencies(grey.astype(np.float32))
    plain = above_median((block[..., None, :, :] * _SIGNS).reshape(*block.shape[:-2], 4, 256))
    plain = plain.reshape(*block.shape[:-2], 4, 16, 16)
    # Transposed, the median stays, and mirrored and flipped change places.
    turns = np.concatenate([plain, plain.swapaxes(-1, -2)[..., (0, 2, 1, 3), :, :]], axis=-3)
    return np.packbits(turns.reshape(*block.shape[:-2], 8, 256), axis=-1)


def crop_hashes(grey: Levels) -> Levels:
    """Return the hashes of 26 crops, shape (26, 32), from two matrix products: cosines that span only the crop."""
    # Many small products: BLAS would set several threads on a large one, which costs more than it gives.
    rows = _CROP_COSINES @ grey.astype(np.float32)
    blocks = rows[_CROP_ROWS] @ _ACROSS
    return hashes_of(blocks.reshape(CROPS, 256))


def _crop_cosines() -> NDArray[np.float32]:
    rows = []
    at = (np.arange(SIDE) + 0.5) / SIDE
    for start, end in _ROWS:
        inside = np.clip((at - start) * SIDE + 0.5, 0, 1) * np.clip((end - at) * SIDE + 0.5, 0, 1)
        angles = np.pi * np.outer(np.arange(16), (at - start) / (end - start))
        rows.append(2 * np.cos(angles) * inside / (end - start))
    return np.stack(rows).astype(np.float32)


_EVEN, _ODD = np.ones(16, np.float32), np.where(np.arange(16) % 2, np.float32(-1), np.float32(1))
# As it is, mirrored, flipped, and both.
_SIGNS = np.stack([np.outer(down, across) for down in (_EVEN, _ODD) for across in (_EVEN, _ODD)])
_CROP_COSINES = _crop_cosines()
_CROP_ROWS, _CROP_COLUMNS = (np.array(at) for at in zip(*_CROPS, strict=True))
_ACROSS = np.ascontiguousarray(_CROP_COSINES[_CROP_COLUMNS].swapaxes(1, 2))


def crop_box(crop: int) -> tuple[float, float, float, float]:
    """Return a crop's left, top, right and bottom as shares of the picture."""
    y, x = _CROPS[crop]
    return _ROWS[x][0], _ROWS[y][0], _ROWS[x][1], _ROWS[y][1]


def turned(grey: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return a picture in one of its 8 turns, in the order of ``TURNS``."""
    plain = (grey, grey[:, ::-1], grey[::-1], grey[::-1, ::-1])
    if turn < 4:
        return plain[turn]
    return plain[(0, 2, 1, 3)[turn - 4]].swapaxes(0, 1)


def find_bars(grey: Levels) -> Bars:
    """Return the plain bars at the edges of a grey picture."""
    height, width = grey.shape
    top, right, bottom, left = each = [_bar(side) for side in _sides(grey)]
    if not any(map(any, each)):
        return Bars((), 0.0)
    boxes = []
    for way in (1, 0):
        box = (left[way], top[way], width - right[way], height - bottom[way])
        thin = max(top[way], bottom[way]) * 50 < height and max(left[way], right[way]) * 50 < width
        deep = box[2] - box[0] < 0.3 * width or box[3] - box[1] < 0.3 * height
        if not thin and not deep and box not in boxes:
            boxes.append(box)
    inner = max(0, width - left[2] - right[2]) * max(0, height - top[2] - bottom[2])
    return Bars(tuple(boxes), 1 - inner / (width * height))


def _sides(grey: Levels) -> tuple[Levels, Levels, Levels, Levels]:
    """Return the picture with its top, right, bottom and left side on top."""
    return grey, grey.T[::-1], grey[::-1], grey.T


def _bar(grey: Levels) -> tuple[int, int, int]:
    """Return how many rows from the top are a bar of the first row's one colour, told in three ways.

    First, rows that are mostly of that colour, which ends where anything begins; then rows up to the last straight
    edge, with room for a line of words between; and the same where that edge runs over most of the width.
    """
    # Bytes are searched in less time than numpy takes to begin.
    edge = np.sort(grey[0]).tobytes()
    first = edge[len(edge) // 2]
    if bisect_right(edge, first + 16) - bisect_left(edge, first - 16) < 0.95 * len(edge):
        return 0, 0, 0
    share = np.add.reduce(_near(grey, first).view(np.uint8), axis=1, dtype=np.int32) / len(edge)
    # Where none is below, the -1 becomes the number of rows.
    loose, words = ((share < least).tobytes().find(1) % (share.size + 1) for least in (0.55, 0.35))
    reach = min(words, int(0.45 * share.size))
    # A row of one colour, and two rows on something else over a good part of the width.
    plain, drop = share[:reach] >= 0.95, share[:reach] - share[2 : reach + 2]
    some, sharp = ((plain & (drop >= least)).tobytes().rfind(1) + 1 for least in (0.1, 0.65))
    return loose, some, sharp


def _near(grey: Levels, level: int) -> NDArray[np.bool_]:
    """Return which levels are at most 16 from one."""
    least = max(0, level - 16)
    # What lies below the least becomes large.
    return np.asarray(grey - np.uint8(least) <= min(255, level + 16) - least)


def matches(pairs: Sequence[tuple[Print, Print]], *, slack: int = 10) -> list[list[Match]]:
    """Return of each pair the ways in which the pictures may lie over each other, the likeliest first."""
    firsts, seconds = (np.stack([_words(one) for one in side]) for side in zip(*pairs, strict=True))
    turns = _apart(firsts[:, CROPS:, None], seconds[:, None, CROPS::8])
    for at, (first, second) in enumerate(pairs):
        turns[at, 8 * len(first.views) :] = turns[at, :, len(second.views) :] = 256
    crops = (_apart(one[:, :CROPS], other[:, CROPS, None]) for one, other in ((firsts, seconds), (seconds, firsts)))
    distances = np.hstack([*crops, turns.reshape(len(pairs), -1)])
    least = distances.min(axis=1)
    near = distances <= np.maximum(least, np.minimum(NEAR, least + slack))[:, None]
    found: list[list[Match]] = [[] for _ in pairs]
    for pair, place in zip(*(side.tolist() for side in near.nonzero()), strict=True):
        distance = int(distances[pair, place])
        if place < 2 * CROPS:
            found[pair].append(Match(distance, crop=divmod(place, CROPS)))
        else:
            row, column = divmod(place - 2 * CROPS, MOST_VIEWS)
            found[pair].append(Match(distance, row % 8, (row // 8, column)))
    for ways in found:
        ways.sort(key=lambda match: (match.distance, match.crop is not None, match.turn, match.views))
    return [ways[: 4 if ways[0].distance <= NEAR else 1] for ways in found]


def _words(one: Print) -> NDArray[np.uint64]:
    """Return the hashes of a picture as rows of four words, as many of each picture: what is missing is empty."""
    words = np.zeros((CROPS + 8 * MOST_VIEWS, 4), np.uint64)
    words[: len(one.hashes)] = one.hashes.view(np.uint64)
    return words


def _apart(ones: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return in how many bits hashes of four words differ."""
    return np.asarray(np.bitwise_count(ones ^ others).sum(axis=-1, dtype=np.int32))
