"""What a picture is found by: perceptual hashes of it, of its turns, without its bars, and of its crops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.images import hash_bits, low_frequencies

Levels = NDArray[np.uint8]
Values = NDArray[np.float64]

SIDE = 64
NEAR = 76
"""Bits of 256 up to which two hashes are worth a second look: no unlike photographs came closer, nearly all copies did."""
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


@dataclass(frozen=True, slots=True)
class Print:
    """What a picture is compared by: hashes to find candidates, small pictures to confirm them."""

    grey: Levels
    """64x64 grey levels of the whole picture, stretched to the square."""
    trimmed: Levels | None
    """The same without the plain bars at the edges; None where there are none."""
    colours: Levels
    """16x16 RGB."""
    hashes: Levels
    """32 bytes for each of 26 crops of ``grey``, 8 turns of it, then 8 of ``trimmed``: shape (34, 32) or (42, 32)."""

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
    trimmed: tuple[bool, bool] = (False, False)
    crop: tuple[int, int] | None = None
    """Which of the two is the larger (0 or 1), and which crop of it shows the other; None when both are whole."""


def make_print(small: Image.Image) -> Print:
    """Return the print of an RGB picture at reduced size."""
    grey_image = small.convert("L")
    grey = square(grey_image)
    box = plain_bars(np.asarray(grey_image))
    trimmed = square(grey_image.crop(box)) if box else None
    parts = [crop_hashes(grey), turn_hashes(grey)] + ([] if trimmed is None else [turn_hashes(trimmed)])
    colours = np.asarray(small.resize((16, 16), Image.Resampling.BOX), np.uint8)
    return Print(grey, trimmed, colours, np.vstack(parts))


def square(grey: Image.Image, side: int = SIDE) -> Levels:
    """Return a grey picture stretched to a square."""
    return np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS), np.uint8)


def turn_hashes(grey: Levels) -> Levels:
    """Return the hashes of a picture's 8 turns, shape (8, 32), from one cosine transform.

    A mirrored picture's coefficients are those of the original with the odd ones negated; a transposed one's are
    transposed.
    """
    block = low_frequencies(grey.astype(np.float64))
    odd = np.where(np.arange(16) % 2, -1.0, 1.0)
    mirror, flip = block * odd, block * odd[:, None]
    both = mirror * odd[:, None]
    turns = [block, mirror, flip, both, block.T, flip.T, mirror.T, both.T]
    return np.packbits(np.stack([hash_bits(turn).ravel() for turn in turns]), axis=1)


def crop_hashes(grey: Levels) -> Levels:
    """Return the hashes of 26 crops, shape (26, 32), from two matrix products: cosines that span only the crop."""
    blocks = (_CROP_COSINES @ grey.astype(np.float64) @ _CROP_COSINES.T).reshape(len(_ROWS), 16, len(_ROWS), 16)
    chosen = np.stack([blocks[y, :, x].ravel() for y, x in _CROPS])
    return np.packbits(chosen > np.median(chosen, axis=1, keepdims=True), axis=1)


def _crop_cosines() -> Values:
    rows = []
    at = (np.arange(SIDE) + 0.5) / SIDE
    for start, end in _ROWS:
        inside = np.clip((at - start) * SIDE + 0.5, 0, 1) * np.clip((end - at) * SIDE + 0.5, 0, 1)
        angles = np.pi * np.outer(np.arange(16), (at - start) / (end - start))
        rows.append(2 * np.cos(angles) * inside / (end - start))
    return np.vstack(rows)


_CROP_COSINES = _crop_cosines()


def crop_box(crop: int) -> tuple[float, float, float, float]:
    """Return a crop's left, top, right and bottom as shares of the picture."""
    y, x = _CROPS[crop]
    return _ROWS[x][0], _ROWS[y][0], _ROWS[x][1], _ROWS[y][1]


def turned(grey: Levels, turn: int) -> Levels:
    """Return a picture in one of its 8 turns, in the order of ``TURNS``."""
    plain = (grey, grey[:, ::-1], grey[::-1], grey[::-1, ::-1])
    if turn < 4:
        return plain[turn]
    return plain[(0, 2, 1, 3)[turn - 4]].swapaxes(0, 1)


def plain_bars(grey: Levels) -> tuple[int, int, int, int] | None:
    """Return the box inside the plain bars at the edges (caption, border, letterbox), or None without bars."""
    height, width = grey.shape
    top, right, bottom, left = (_bar(side)[0] for side in _sides(grey))
    box = (left, top, width - right, height - bottom)
    if max(top, bottom) * 50 < height and max(left, right) * 50 < width:
        return None
    if box[2] - box[0] < 0.3 * width or box[3] - box[1] < 0.3 * height:
        return None
    return box


def frame_share(grey: Levels) -> float:
    """Return the share of a picture that bars with a straight inner edge take; plain ground around a thing has none."""
    height, width = grey.shape
    top, right, bottom, left = (deep if straight else 0 for deep, straight in map(_bar, _sides(grey)))
    return float(1 - max(0, width - left - right) * max(0, height - top - bottom) / (width * height))


def _sides(grey: Levels) -> tuple[Levels, Levels, Levels, Levels]:
    """Return the picture with its top, right, bottom and left side on top."""
    return grey, grey.T[::-1], grey[::-1], grey.T


def _bar(grey: Levels) -> tuple[int, bool]:
    """Return how many rows from the top are mostly of the first row's one colour, and whether they end at once."""
    first = np.median(grey[0])
    share = (np.abs(grey.astype(np.int16) - first) <= 16).mean(axis=1)
    if share[0] < 0.95:
        return 0, False
    plain = share >= 0.55
    deep = int(plain.size if plain.all() else plain.argmin())
    after = share[deep + 1 : deep + 3]
    return deep, bool(after.size and after.max() < 0.3)


def matches(a: Print, b: Print, *, slack: int = 10) -> list[Match]:
    """Return the ways in which two pictures may lie over each other, the likeliest first."""
    found = []
    for crops, one, other in ((0, a, b), (1, b, a)):
        distances = np.bitwise_count(one.hashes[:CROPS] ^ other.hashes[CROPS]).sum(axis=1, dtype=np.int32)
        found += [Match(int(d), crop=(crops, at)) for at, d in enumerate(distances)]
    turns = np.bitwise_count(a.hashes[CROPS:, None] ^ b.hashes[None, CROPS::8]).sum(axis=2, dtype=np.int32)
    for row, column in np.ndindex(*turns.shape):
        found.append(Match(int(turns[row, column]), row % 8, (row >= 8, column > 0)))
    found.sort(key=lambda match: (match.distance, match.crop is not None, match.turn, match.trimmed))
    return [match for match in found[:4] if match.distance <= min(NEAR, found[0].distance + slack)] or found[:1]


def candidates(hashes: Sequence[Levels], fresh: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs (a < b), a among the first ``fresh``, of which some hash lies within ``NEAR`` bits."""
    whole = [one[CROPS::8] for one in hashes]
    owners = np.repeat(np.arange(len(hashes)), [len(one) for one in whole])
    targets = _words(np.vstack(whole))
    crops = _words(np.vstack([one[:CROPS] for one in hashes]))
    for index in range(fresh):
        near: set[int] = set()
        start = int(np.searchsorted(owners, index + 1))
        for query in _words(hashes[index]):
            near.update(owners[start + _within(targets[start:], query)].tolist())
        for query in _words(hashes[index][CROPS::8]):
            near.update((index + 1 + _within(crops[(index + 1) * CROPS :], query) // CROPS).tolist())
        for other in sorted(near):
            yield index, other


def _within(rows: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.intp]:
    # The lowest frequencies differ least among copies: one word of four sorts out nearly all that are none.
    likely = np.flatnonzero(np.bitwise_count(rows[:, 0] ^ query[0]) <= 24)
    distances = np.bitwise_count(rows[likely] ^ query).sum(axis=1, dtype=np.int32)
    return np.asarray(likely[distances <= NEAR])


def _words(hashes: Levels) -> NDArray[np.uint64]:
    return np.ascontiguousarray(hashes).view(np.uint64)
