"""How well one picture lies over another: a small affine registration, and what then differs where."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Short = NDArray[np.float32]

STEPS, LAST = 4, 2
"""Steps over a thousand places, and over four thousand after them."""
HOPELESS = 0.45
"""Correlation below which pictures are given up after the first steps: copies are far beyond it by then."""
NOISE = 4.0
"""Levels by which poor encodings let flat places differ."""
BLANK = 1e-6
"""Mean square of a structure, in levels, that rounding may leave where there is none."""
STIR = 0.05
"""Disagreement, 0 to 1, from which a block differs by more than noise and encodings make it."""
PRODUCT = 1 << 18
"""Multiplications that one matrix product takes."""
STRIP = 1 << 11
"""Places that one matrix product takes."""
COVER = 0.4
"""Share of the first picture that the second one must cover for an overlay to count."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """One picture laid over another, both as band-passed squares."""

    correlation: float
    """Of the fine structure where both are, -1 to 1."""
    placing: Values
    """Six numbers: where a point of the first lies in the second is (1 + p0) x + p1 y + p2, p3 x + (1 + p4) y + p5,
    in pixels from the centre."""
    first: Values
    second: Values
    """The second picture moved onto the first."""
    inside: NDArray[np.bool_]
    """Where both are."""


@dataclass(frozen=True, slots=True)
class Residue:
    """What is left when the second picture is taken from the first, by blocks with some structure."""

    good: float
    """Share of the structure that lies in blocks which agree."""
    strange: float
    """Share of the structured blocks away from the edges that are strangers to each other."""
    unlike: float
    """Disagreement of the most unlike block away from the edges: 0 is equal, 1 is unlike; noise is none."""
    stirred: float
    """Share of the blocks away from the edges that disagree by more than noise does, however little."""
    loudest: float
    """Root mean square of the difference in the loudest block away from the edges, in levels of 256."""


def band(levels: NDArray[np.uint8], finest: int, widest: int) -> Short:
    """Return the structure of a square between two widths, which encodings and light leave alone.

    It is the means over squares of ``finest`` pixels less their means over squares of ``widest``: odd numbers both; the
    side is a power of two. A mean over rows and columns is a matrix product from both sides, which takes half the time
    of sums that run.
    """
    exact = levels.astype(np.float32)
    fine = exact if finest == 1 else _blurred(exact, _means(len(levels), finest))
    return fine - _blurred(exact, _wide_means(len(levels), finest, widest))


def _blurred(levels: Short, means: Short) -> Short:
    side = len(levels)
    # BLAS would set several threads on a larger product, and pictures are compared on all cores.
    strips = (-1, max(1, PRODUCT // side**2), side)
    down = (means.reshape(strips) @ levels).reshape(strips)
    return np.asarray((down @ means.T).reshape(side, side))


@cache
def _wide_means(side: int, finest: int, widest: int) -> Short:
    return _means(side, widest) @ _means(side, finest)


@cache
def _means(side: int, size: int) -> Short:
    """Return the matrix that takes the mean of ``size`` neighbours, those at the edges repeated."""
    matrix = np.zeros((side, side), np.float32)
    for step in range(-(size // 2), size // 2 + 1):
        np.add.at(matrix, (np.arange(side), np.clip(np.arange(side) + step, 0, side - 1)), 1 / size)
    return matrix


def overlay(first: Values, second: Values, placing: Values | None = None, *, margin: int = 0) -> Overlay:
    """Lay the second square over the first, by Gauss-Newton steps on six numbers of place and two of contrast.

    It takes few steps to the nearest good place, so ``placing`` should begin within a few pixels of it. What lies
    within ``margin`` pixels of an edge of either does not count: there a part of a picture differs from the whole.
    """
    side = first.shape[0]
    first, second = first.astype(np.float32), second.astype(np.float32)
    planes = np.stack([second, *np.gradient(second)]).reshape(3, -1)
    at: Values = np.zeros(6) if placing is None else np.array(placing, np.float64)
    best, at = _walk(first, planes, at, stride=max(1, side // 32), steps=STEPS, margin=margin)
    if best >= HOPELESS:
        _, at = _walk(first, planes, at, stride=max(1, side // 64), steps=LAST, margin=margin)
    (moved,), inside = _warp(planes[:1], at, side, margin=margin)
    return Overlay(
        _correlation(first.ravel(), moved, inside), at, first, moved.reshape(side, side), inside.reshape(side, side)
    )


def _walk(  # noqa: PLR0913 - one walk, what it walks on and how far
    first: Values, planes: Values, at: Values, *, stride: int, steps: int, margin: int
) -> tuple[float, Values]:
    """Return the best correlation on the way, over every ``stride``-th place, and where that was.

    ``planes`` are the second picture and its slopes down and to the right, each as one row.
    """
    side = first.shape[0]
    half = side / 2
    ys, xs = (line / half for line in _grid(side, stride))
    target = first[::stride, ::stride].ravel()
    best, best_at = -2.0, at
    limit = np.array([0.1, 0.1, 0.05 * side, 0.1, 0.1, 0.05 * side])
    for _ in range(steps):
        there, inside = _warp(planes, at, side, stride=stride, margin=margin)
        correlation = _correlation(target, there[0], inside)
        if correlation > best:
            best, best_at = correlation, at
        there *= inside
        moved, down, right = there
        rows = (right * xs, right * ys, right, down * xs, down * ys, down, moved, inside, target * inside)
        change = _solve(np.stack(rows))
        if change is None or abs(change[6]) < 0.05:
            break
        move = change[:6] / change[6]
        move[[0, 1, 3, 4]] /= half
        move = np.clip(move, -limit, limit)
        at = at + move
        if np.abs(move[[2, 5]]).max() < 0.01 and np.abs(move[[0, 1, 3, 4]]).max() < 1e-3:
            break
    return best, best_at


def warp(squares: Values, placing: Values) -> tuple[Values, NDArray[np.bool_]]:
    """Return squares of shape (..., side, side) read at moved places, and where those places lie inside them."""
    side = squares.shape[-1]
    moved, inside = _warp(squares.reshape(-1, side * side), placing, side)
    return moved.reshape(squares.shape), inside.reshape(side, side)


def residue(over: Overlay) -> Residue:
    """Say what differs where: in 8x8 blocks, weighed by the structure in them."""
    side = over.first.shape[0]
    size = side // 8
    inside = _blocks(over.inside.astype(np.float64), size).mean(axis=1) > 0.9
    if not inside.any():
        return Residue(0.0, 1.0, 1.0, 1.0, 255.0)
    mask = over.inside
    gain = float((over.first[mask] * over.second[mask]).sum() / ((over.second[mask] ** 2).sum() + 1e-9))
    a, b = _blocks(over.first, size)[inside], _blocks(over.second * gain, size)[inside]
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    energy = (a * a).sum(axis=1) + (b * b).sum(axis=1)
    unlike = ((a - b) ** 2).sum(axis=1) / (energy + 0.05 * energy.mean() + 1e-9)
    weight = np.minimum(energy, energy.mean()) + 1e-9
    structured = energy > 0.05 * energy.mean()
    rows, columns = np.divmod(np.arange(64), 8)
    central = ((rows > 0) & (rows < 7) & (columns > 0) & (columns < 7))[inside]
    apart = ((a - b) ** 2).mean(axis=1)
    beyond_noise = apart / (energy / size**2 + 2 * NOISE**2)
    return Residue(
        good=float((weight * (unlike < 0.15)).sum() / weight.sum()),
        strange=float((unlike[central & structured] > 0.5).mean()) if (central & structured).any() else 0.0,
        unlike=float(beyond_noise[central].max(initial=0)),
        stirred=float((beyond_noise[central] > STIR).mean()) if central.any() else 1.0,
        loudest=float(np.sqrt(apart[central].max(initial=0))),
    )


def _solve(rows: Values) -> Values | None:
    """Return how much of each row but the last one adds up to the last one, by least squares."""
    # BLAS would set several threads on a larger product, and pictures are compared on all cores.
    strips = (rows[:, at : at + STRIP] for at in range(0, rows.shape[1], STRIP))
    products = sum((strip[:-1] @ strip.T.copy() for strip in strips), np.zeros((len(rows) - 1, len(rows))))
    normal, target = products[:, :-1], products[:, -1]
    normal[np.diag_indices(len(normal))] *= 1 + 1e-4
    try:
        return np.asarray(np.linalg.solve(normal, target))
    except np.linalg.LinAlgError:
        return None


@lru_cache
def _grid(side: int, stride: int) -> tuple[Values, Values]:
    """Return the rows and the columns, from the centre, of every ``stride``-th place of a square."""
    steps = (np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2))[::stride]
    return np.repeat(steps, len(steps)), np.tile(steps, len(steps))


def _warp(
    planes: Values, at: Values, side: int, *, stride: int = 1, margin: int = 0
) -> tuple[Values, NDArray[np.bool_]]:
    """Return squares, each a row, read at the moved places of a grid, bilinear, and where those places lie inside."""
    ys, xs = _grid(side, stride)
    at, centre = at.astype(np.float32), np.float32((side - 1) / 2)
    x = (1 + at[0]) * xs + at[1] * ys + (at[2] + centre)
    y = at[3] * xs + (1 + at[4]) * ys + (at[5] + centre)
    inside = (np.maximum(np.abs(x - centre), np.abs(y - centre))) <= centre - margin
    if margin:
        inside &= np.maximum(np.abs(xs), np.abs(ys)) <= centre - margin
    x, y = (one.clip(0, np.float32(side - 1.001)) for one in (x, y))
    left, top = np.floor(x), np.floor(y)
    x -= left
    y -= top
    # Whole numbers so small are exact as floats.
    index = (top * side + left).astype(np.intp)
    upper, lower = planes.take(index, axis=1), planes[:, side:].take(index, axis=1)
    upper += (planes[:, 1:].take(index, axis=1) - upper) * x
    lower += (planes[:, side + 1 :].take(index, axis=1) - lower) * x
    lower -= upper
    lower *= y
    lower += upper
    return lower, inside


def _correlation(a: Values, b: Values, inside: NDArray[np.bool_]) -> float:
    there = np.flatnonzero(inside)
    if there.size < COVER * inside.size:
        return -1.0
    first, second = a.take(there), b.take(there)
    first, second = first - first.mean(), second - second.mean()
    one, other = float((first * first).mean()), float((second * second).mean())
    if min(one, other) < BLANK:
        # Two pictures without any structure agree; one without does not agree with one with.
        return 1.0 if max(one, other) < BLANK else 0.0
    return float((first * second).mean()) / float(np.sqrt(one * other))


def _blocks(values: Values, size: int) -> Values:
    count = values.shape[0] // size
    return values.reshape(count, size, count, size).swapaxes(1, 2).reshape(count * count, size * size)
