"""A first look at many pairs of pictures at once: which of them can't be copies of each other.

What is flat (a thing on white) has near hashes wherever outlines are alike, and nearly all pairs that hashes bring are
such pairs. Each is laid over the other by what its 64x64 grey levels have in common, then judged by their finest
structure, in which other things of one outline, and other takes of one scene, differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.overlay import band
from dataset.prints import NEAR, SIDE, Match, Print, crop_box, matches, turned
from dataset.quality import flatness

Values = NDArray[np.floating[Any]]
Short = NDArray[np.float32]
Way = tuple[Print, Print, Match]
Placing = tuple[float, float, float, float, float, float]

COARSE, FINE = (3, 13), (1, 5)
"""Pixels of 64 between which the structure lies that two pictures are laid over each other and judged by."""
STEPS, LAST = 3, 1
"""Steps of the walk on coarse structure, and on fine structure after it."""
EDGE = 4
"""Pixels of 64 at the edges that say nothing: there a picture's surroundings end, and the other's may not."""
COVER = 0.4
"""Share of the places, those at the edges too, that both pictures must have for a placing to count."""
FLAT = 0.35
"""Flatness from which a picture's silhouette alone is not believed."""
STRANGE = 0.86
"""Correlation of the finest structure below which flat pictures are strangers, but for marks.

Of 1,477 copies of flat pictures (46 kinds of change) four are below, all under marks all over, which change places one
way alone; of those that change some either way the least has .93. Of 360 pairs of other things with near hashes and
outlines 99 in 100 are below.
"""
ARRIVED, APART, OTHERWISE = 52, 0.78, 0.15
"""Bits of 256 up to which the walk ends where a copy lies; there all pictures are strangers, flat or not, below this
correlation, where this share of the places changes either way.

Of 18,600 copies and copies of copies with hashes that near (41 kinds of change of 125 photographs, two at a time) 740
change so much either way, and the least of them correlates by .83; beyond 55 bits some have .1, for the walk got lost.
"""
MIXED = 0.035
"""Share of the places that change the other way than the rest, up to which marks may have been written over a picture;
105 marked copies have at most .013, 1,454 pairs of other things at least .052."""
CHANGED = 8
"""Levels from which a place is changed."""
REMEMBERED = 512
"""What is worked out of so many pictures is kept, 16 kB each: of those whose pairs follow each other."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What the first look saw of a pair."""

    found: tuple[Match, ...]
    """The ways in which the pictures may lie over each other, the likeliest first."""
    flat: bool
    """Whether one of the two is so flat that its silhouette alone is not believed."""
    best: Match
    """The way in which they lie over each other best."""
    placing: Placing = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Where, as an overlay's six numbers."""
    coarse: float = 1.0
    """Correlation of the coarse structure then, -1 to 1; 1 where the hashes are too far apart for a look."""
    fine: float = 1.0
    """The same of the finest structure."""
    mixed: float = 0.0
    """Share of the places that one has brighter, or darker, whichever are fewer."""
    settled: bool = False
    """Whether a longer walk led there."""

    @property
    def strange(self) -> bool:
        """Whether the two can't be the same; nor related, where one is flat."""
        arrived = self.settled or self.found[0].distance <= ARRIVED
        if arrived and self.fine < APART and self.mixed > OTHERWISE:
            return True
        return self.flat and self.fine < STRANGE and self.mixed > MIXED


@dataclass(frozen=True, slots=True)
class Spots:
    """Where the places of a first square lie in the second one, for many pairs of them: shape (pairs, places)."""

    at: NDArray[np.intp]
    """Of the level above and left of each, among the levels of all second squares."""
    across: Short
    """How far it lies to the right of that level, 0 to 1."""
    down: Short
    inside: Short
    """1 where it lies well inside the second square too, else 0."""


def glances(pairs: Sequence[tuple[Print, Print]]) -> list[Glance]:
    """Return what a first look sees of each pair; what it sees of one does not depend on the others."""
    found = matches(pairs)
    flat = [_is_flat(a) or _is_flat(b) for a, b in pairs]
    asked = [at for at, ways in enumerate(found) if ways[0].distance <= NEAR]
    asking = [[(*pairs[at], match) for match in found[at]] for at in asked]
    seen = dict(zip(asked, _judged(asking), strict=True)) if asked else {}
    return [Glance(tuple(ways), flat[at], *seen.get(at, (ways[0],))) for at, ways in enumerate(found)]


def placed(a: Print, b: Print, glance: Glance, numbers: Values) -> Glance:
    """Return what is seen of a pair where a longer walk led, if it agrees there better: ``numbers`` are its overlay's.

    A lost walk was found again then: of 5,265 copies of 45 photographs 46 change much either way there, at any distance
    of hashes, and the least of them correlates by .85.
    """
    ways = [(a, b, glance.best)]
    both = numbers.reshape(1, 2, 3)
    spots = _spots(both[..., :2] + np.eye(2), both[..., 2])
    fine, mixed = _agreement(*structures(ways, FINE), spots), _mixed(ways, spots)
    if glance.fine >= fine[0]:
        return replace(glance, settled=True)
    return replace(glance, fine=float(fine[0]), mixed=float(mixed[0]), settled=True)


def _judged(pairs: Sequence[Sequence[Way]]) -> Iterator[tuple[Match, Placing, float, float, float]]:
    """Yield of each pair, given in all its ways, the best one, its placing, and what Glance says of it."""
    several = [each for each in pairs if len(each) > 1]
    likeliest = _likeliest(several) if several else iter(())
    chosen = [next(likeliest) if len(each) > 1 else each[0] for each in pairs]
    stretches, shifts = _placings(chosen)
    coarse = structures(chosen, COARSE)
    before, stretches, shifts = _walk(*coarse, stretches, shifts, steps=STEPS)
    agree = np.maximum(before, _agreement(*coarse, _spots(stretches, shifts)))
    finest = structures(chosen, FINE)
    before, stretches, shifts = _walk(*finest, stretches, shifts, steps=LAST)
    spots = _spots(stretches, shifts)
    fine = np.maximum(before, _agreement(*finest, spots))
    numbers = np.dstack([stretches - np.eye(2), shifts]).reshape(-1, 6)
    each = (one.tolist() for one in (agree, fine, _mixed(chosen, spots)))
    for (_, _, match), *seen in zip(chosen, map(tuple, numbers.tolist()), *each, strict=True):
        yield match, *seen


def _likeliest(pairs: Sequence[Sequence[Way]]) -> Iterator[Way]:
    """Yield of each pair, given in several ways, the one that agrees best where hashes suggest that it lies."""
    ways = [way for each in pairs for way in each]
    agree = _agreement(*structures(ways, COARSE), _spots(*_placings(ways)))
    last = 0
    for each in pairs:
        first, last = last, last + len(each)
        yield each[int(agree[first:last].argmax())]


def _placings(ways: Sequence[Way]) -> tuple[Values, Values]:
    stretches, shifts = zip(*(placing(match.crop) for _, _, match in ways), strict=True)
    return np.stack(stretches), np.stack(shifts)


def _mixed(ways: Sequence[Way], spots: Spots) -> Values:
    """Return the share of places that are brighter in the second picture, or darker, whichever are fewer."""
    firsts = np.stack([turned(a.views[match.views[0]], match.turn)[_AT, _AT].ravel() for a, _, match in ways])
    seconds = np.stack([b.views[match.views[1]] for _, b, match in ways]).astype(np.float32)
    brighter = _read(seconds, spots) - firsts
    both = [((way > CHANGED) * spots.inside).sum(axis=1) for way in (brighter, -brighter)]
    return np.asarray(np.minimum(*both) / np.maximum(spots.inside.sum(axis=1), 1))


def structures(ways: Sequence[Way], width: tuple[int, int]) -> tuple[Short, Short]:
    """Return the structure of each first picture, turned as its match says, and of each second one."""
    firsts = [turned(_structure(a, match.views[0], width), match.turn) for a, _, match in ways]
    return np.stack(firsts), np.stack([_structure(b, match.views[1], width) for _, b, match in ways])


@lru_cache(REMEMBERED)
def _structure(one: Print, view: int, width: tuple[int, int]) -> Short:
    return band(one.views[view], *width)


@lru_cache(REMEMBERED)
def _is_flat(one: Print) -> bool:
    return flatness(one.views[0].astype(np.int16)) > FLAT


@cache
def placing(crop: tuple[int, int] | None) -> tuple[Values, Values]:
    """Return where the second picture begins to be looked for on the first: a 2x2 matrix, and a shift in pixels of 64.

    Both are of points (x, y) from the centre; ``crop`` is as in Match.
    """
    if crop is None:
        return np.eye(2), np.zeros(2)
    larger, which = crop
    left, top, right, bottom = crop_box(which)
    size = np.array([right - left, bottom - top])
    shift = np.array([(left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5]) * SIDE
    return (np.diag(1 / size), -shift / size) if larger == 0 else (np.diag(size), shift)


_AT = slice(EDGE, SIDE - EDGE, 2)
"""The rows and columns of a first square whose places are looked at."""
_AXIS = (np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2))[_AT]
_X, _Y = np.tile(_AXIS, len(_AXIS)), np.repeat(_AXIS, len(_AXIS))
_REACH = np.float32((SIDE - 1) / 2 - EDGE)
_LIMIT = np.array([0.1, 0.1, 0.05 * SIDE, 0.1, 0.1, 0.05 * SIDE])


def _spots(stretches: Values, shifts: Values) -> Spots:
    """Return where the places that are looked at lie."""
    s, t = stretches.astype(np.float32)[..., None, None], shifts.astype(np.float32)[..., None, None]
    # From the centre; a row or a column of steps is added to the other.
    x, y = ((s[:, at, 0] * _AXIS + (s[:, at, 1] * _AXIS[:, None] + t[:, at])).reshape(len(s), -1) for at in (0, 1))
    inside = (np.maximum(np.abs(x), np.abs(y)) <= _REACH).astype(np.float32)
    x, y = ((one + np.float32((SIDE - 1) / 2)).clip(0, SIDE - 1.001) for one in (x, y))
    left, top = x.astype(np.int32), y.astype(np.int32)
    x -= left
    y -= top
    at = top * SIDE + left + np.arange(0, len(s) * SIDE * SIDE, SIDE * SIDE, dtype=np.int32)[:, None]
    return Spots(at.astype(np.intp), x, y, inside)


def _read(squares: Short, spots: Spots) -> Short:
    """Return what squares have there, bilinear."""
    levels = squares.ravel()
    upper, lower = levels.take(spots.at), levels[SIDE:].take(spots.at)
    upper += (levels[1:].take(spots.at) - upper) * spots.across
    lower += (levels[SIDE + 1 :].take(spots.at) - lower) * spots.across
    lower -= upper
    lower *= spots.down
    lower += upper
    return lower


def _walk(
    firsts: Short, seconds: Short, stretches: Values, shifts: Values, *, steps: int
) -> tuple[Values, Values, Values]:
    """Lay each second square over its first; return the best correlations before a step, and where the walks ended.

    The inverse compositional way of Baker and Matthews (2004): slopes are taken of the first one, once.
    """
    count = len(firsts)
    target = firsts[:, _AT, _AT].reshape(count, -1)
    before, after = slice(EDGE - 1, SIDE - EDGE - 1, 2), slice(EDGE + 1, SIDE - EDGE + 1, 2)
    twice = firsts[:, after, _AT] - firsts[:, before, _AT], firsts[:, _AT, after] - firsts[:, _AT, before]
    down, right = (slope.reshape(count, -1) / 2 for slope in twice)
    slopes = np.stack([right * _X, right * _Y, right, down * _X, down * _Y, down], axis=1)
    normal = (slopes @ slopes.swapaxes(1, 2)).astype(np.float64)
    normal[:, range(6), range(6)] = normal[:, range(6), range(6)] * 1.001 + 1e-3
    inverse = np.linalg.inv(normal)
    best = np.full(count, -1.0)
    for _ in range(steps):
        spots = _spots(stretches, shifts)
        a, b = _centred(target, spots), _centred(_read(seconds, spots), spots)
        agree, gain = _fit(a, b, spots)
        best = np.maximum(best, agree)
        change = (inverse @ (slopes @ (b * gain[:, None] - a)[..., None]))[..., 0].clip(-_LIMIT, _LIMIT)
        back = np.linalg.inv(np.eye(2) + change[:, [[0, 1], [3, 4]]])
        stretches = stretches @ back
        shifts = shifts - (stretches @ change[:, [2, 5], None])[..., 0]
    return best, stretches, shifts


def _agreement(firsts: Short, seconds: Short, spots: Spots) -> Values:
    """Return the correlation of each first square with what the second one has in its places."""
    target = firsts[:, _AT, _AT].reshape(len(firsts), -1)
    return _fit(_centred(target, spots), _centred(_read(seconds, spots), spots), spots)[0]


def _centred(levels: Short, spots: Spots) -> Short:
    mean = np.vecdot(levels, spots.inside) / np.maximum(spots.inside.sum(axis=1), 1)
    return np.asarray((levels - mean[:, None]) * spots.inside)


def _fit(a: Short, b: Short, spots: Spots) -> tuple[Values, Short]:
    """Return the correlation of centred levels, -1 where too few places are in both, and the gain that b lacks."""
    both, ours, theirs = np.vecdot(a, b), np.vecdot(a, a), np.vecdot(b, b)
    agree = both / np.sqrt(ours * theirs + 1e-6)
    return np.where(spots.inside.sum(axis=1) > COVER * SIDE * SIDE / 4, agree, -1.0), both / (theirs + 1e-6)
