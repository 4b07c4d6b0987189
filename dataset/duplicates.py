"""When two pictures are the same picture, when they only belong together, and which of the same ones stays."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.errors import TrayError
from dataset.images import hash_bits, look, low_frequencies
from dataset.quality import flatness

Verdict = Literal["same", "related", "different"]
Levels = NDArray[np.uint8]

NEAR = 76
"""Bits of 256 up to which two hashes are worth a second look: no unlike photographs came closer, all copies did."""
SURE = 12
TURNS = ("as it is", "mirrored", "flipped", "turned 180", "transposed", "turned 90", "turned 270", "transversed")
SIDE = 64


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
    """32 bytes for each of 8 turns of ``grey``, then of ``trimmed``: shape (8, 32) or (16, 32)."""

    @property
    def phash(self) -> str:
        """The plain 256-bit hash in 64 hexadecimal digits."""
        return bytes(self.hashes[0]).hex()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two pictures compare: the distance of their hashes, what the second look saw, and the verdict."""

    verdict: Verdict
    stage: str
    """Which look decided: ``hash``, ``pixels`` or ``colour``."""
    distance: int
    """Bits of 256, the least over turns and trimmed bars."""
    turn: str = ""
    correlation: float = 0.0
    """Of the fine structure, -1 to 1."""
    chroma: float = 0.0
    """Largest local difference of colour, in levels."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two files count as the same, related or different."""

    a: Path
    b: Path
    same_bytes: bool
    comparison: Comparison


def make_print(small: Image.Image) -> tuple[Print, float]:
    """Return the print of an RGB picture at reduced size, and the share of it that plain bars take."""
    grey_image = small.convert("L")
    grey = _square(grey_image)
    box = plain_bars(np.asarray(grey_image))
    trimmed = _square(grey_image.crop(box)) if box else None
    hashes = turned_hashes(grey) if trimmed is None else np.vstack([turned_hashes(grey), turned_hashes(trimmed)])
    colours = np.asarray(small.resize((16, 16), Image.Resampling.BOX), np.uint8)
    share = 1 - (box[2] - box[0]) * (box[3] - box[1]) / (small.width * small.height) if box else 0.0
    return Print(grey, trimmed, colours, hashes), share


def turned_hashes(grey: Levels) -> Levels:
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


def turned(grey: Levels, turn: int) -> Levels:
    """Return a picture in one of its 8 turns, in the order of ``TURNS``."""
    plain = (grey, grey[:, ::-1], grey[::-1], grey[::-1, ::-1])
    if turn < 4:
        return plain[turn]
    return plain[(0, 2, 1, 3)[turn - 4]].swapaxes(0, 1)


def plain_bars(grey: Levels) -> tuple[int, int, int, int] | None:
    """Return the box inside the plain bars at the edges (caption, border, letterbox), or None without bars."""
    height, width = grey.shape
    top, bottom = _bar(grey), _bar(grey[::-1])
    left, right = _bar(grey.T), _bar(grey.T[::-1])
    box = (left, top, width - right, height - bottom)
    if max(top, bottom) * 50 < height and max(left, right) * 50 < width:
        return None
    if box[2] - box[0] < 0.3 * width or box[3] - box[1] < 0.3 * height:
        return None
    return box


def _bar(grey: Levels) -> int:
    """Return how many rows from the top are mostly of the first row's one colour."""
    first = np.median(grey[0])
    share = (np.abs(grey.astype(np.int16) - first) <= 16).mean(axis=1)
    if share[0] < 0.95:
        return 0
    plain = share >= 0.55
    return int(plain.size if plain.all() else plain.argmin())


def _square(grey: Image.Image) -> Levels:
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.uint8)


def candidates(hashes: list[Levels], fresh: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs (a < b), a among the first ``fresh``, whose hashes lie within ``NEAR`` bits in some turn."""
    owners = np.repeat(np.arange(len(hashes)), [len(one) // 8 for one in hashes])
    plain = _words(np.vstack([one[::8] for one in hashes]))
    for index in range(fresh):
        near: set[int] = set()
        start = int(np.searchsorted(owners, index + 1))
        for query in _words(hashes[index]):
            rest = plain[start:]
            # One word of four sorts out nearly all: true copies lie far below 28 bits in it.
            rows = np.flatnonzero(np.bitwise_count(rest[:, 0] ^ query[0]) <= 28)
            distances = np.bitwise_count(rest[rows] ^ query).sum(axis=1, dtype=np.int32)
            near.update(owners[start + rows[distances <= NEAR]].tolist())
        for other in sorted(near):
            yield index, other


def _words(hashes: Levels) -> NDArray[np.uint64]:
    return np.ascontiguousarray(hashes).view(np.uint64)


def compare(a: Print, b: Print) -> Comparison:
    """Say whether two pictures are the same, related or different; symmetric, and a function of the two alone."""
    distances = np.bitwise_count(a.hashes[:, None] ^ b.hashes[None, ::8]).sum(axis=2, dtype=np.int32)
    nearest = int(distances.min())
    if nearest > NEAR:
        return Comparison("different", "hash", nearest)
    best = Comparison("different", "pixels", nearest)
    for row, column in sorted(np.argwhere(distances <= max(nearest + 8, SURE)).tolist(), key=lambda at: distances[*at]):
        view_a = turned(a.grey if row < 8 or a.trimmed is None else a.trimmed, row % 8)
        view_b = b.grey if column == 0 or b.trimmed is None else b.trimmed
        correlation = _alike(view_a, view_b)
        if correlation > best.correlation:
            best = Comparison("different", "pixels", nearest, TURNS[row % 8], round(correlation, 3))
    if best.correlation < 0.95:
        verdict: Verdict = "related" if best.correlation >= 0.8 and nearest <= 60 else "different"
        return Comparison(verdict, "pixels", nearest, best.turn, best.correlation)
    chroma = _chroma(turned(a.colours, TURNS.index(best.turn)), b.colours)
    flat = max(flatness(a.grey.astype(np.float64)), flatness(b.grey.astype(np.float64)))
    if flat > 0.35 and chroma > 30:
        return Comparison("related", "colour", nearest, best.turn, best.correlation, chroma)
    return Comparison("same", "pixels", nearest, best.turn, best.correlation, chroma)


def _alike(a: Levels, b: Levels) -> float:
    """Return the correlation of two pictures' fine structure, the best over small shifts."""
    first = _fine(a)
    second = _fine(b)
    inner = first[3:-3, 3:-3]
    best = -1.0
    for down in range(-3, 4):
        for right in range(-3, 4):
            moved = second[3 + down : SIDE - 3 + down, 3 + right : SIDE - 3 + right]
            best = max(best, _correlation(inner, moved))
    return best


def _fine(levels: Levels) -> NDArray[np.float64]:
    """Return what is left of a picture when its 9x9 local mean is taken away."""
    values = levels.astype(np.float64)
    padded = np.pad(values, 4, mode="edge")
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    means = (sums[9:, 9:] - sums[:-9, 9:] - sums[9:, :-9] + sums[:-9, :-9]) / 81
    return np.asarray(values - means)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-9 else 1.0 if not a.any() and not b.any() else 0.0


def _chroma(a: Levels, b: Levels) -> float:
    """Return the 99th percentile of the local difference of chroma, free of an overall tint."""
    weights = np.array([[-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]]).T
    difference = a.astype(np.float64) @ weights - b.astype(np.float64) @ weights
    return round(float(np.percentile(np.abs(difference).max(axis=-1), 99)), 1)


@dataclass(frozen=True, slots=True)
class Star:
    """One picture that stays and the copies that go, each with the comparison that says so."""

    kept: str
    copies: tuple[tuple[str, Comparison], ...] = ()


def stars(order: Iterable[str], same: dict[str, dict[str, Comparison]]) -> list[Star]:
    """Group pictures, the best first, so that every copy matches the one that stays, not merely another copy."""
    taken: set[str] = set()
    found = []
    for centre in order:
        if centre in taken:
            continue
        copies = tuple((one, how) for one, how in sorted(same.get(centre, {}).items()) if one not in taken)
        taken.update((centre, *(one for one, _ in copies)))
        found.append(Star(centre, copies))
    return found


def components(keys: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each key the least key that it hangs together with."""
    parents = {key: key for key in keys}

    def root(key: str) -> str:
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for a, b in links:
        first, second = sorted((root(a), root(b)))
        parents[second] = first
    return {key: root(key) for key in parents}


def explain(a: Path, b: Path) -> Explanation:
    """Say why two files count as the same, related or different.

    Raises TrayError when one of them is no picture.
    """
    first, second = _read(a), _read(b)
    same_bytes = first == second
    prints = [make_print(_small(data, path))[0] for data, path in ((first, a), (second, b))]
    return Explanation(a, b, same_bytes, compare(*prints))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrayError(f"Expected a picture at {path}. Received: {error.strerror}.") from None


def _small(data: bytes, path: Path) -> Image.Image:
    info, small = look(data, min_side=1)
    if small is None:
        raise TrayError(f"Expected a picture at {path}. Received: {info.error}.")
    return small
