"""Which hashes lie near each other: found through quarters of a short key, not by comparing all with all."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dataset.prints import CROPS, NEAR, Levels
from dataset.progress import Progress
from dataset.workers import HERE, Workers

Words = NDArray[np.uint64]
Rows = NDArray[np.intp]
Pairs = tuple[Rows, Rows]

WHOLE, PART = 11, 7
"""Bits of a 64-bit key within which whole pictures meet each other, and turned or cropped ones. Of copies whose hashes
lie within ``NEAR`` of 256 bits, all but some of those turned by 2 degrees lie within these."""
ASKING = 1 << 16
"""Hashes that ask at once: one shard."""
BLOCK = 1 << 16
"""Pairs that are held at once: few enough to stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """All hashes of some pictures, one picture after the other."""

    levels: Levels
    """Shape (hashes, 32): of each picture its crops, then the 8 turns of each view."""
    counts: Rows
    """How many each picture has."""

    @classmethod
    def of(cls, each: "list[Levels]") -> "Hashes":
        """Return the hashes of pictures in one array."""
        return cls(np.vstack(each), np.array([len(one) for one in each], np.intp))


@dataclass(frozen=True, slots=True)
class Asking:
    """Some hashes that ask which others lie near them."""

    rows: Rows
    words: Words
    bits: int
    """Bits of the keys within which they are looked for."""
    once: bool
    """Whether they are among those asked, and each pair is wanted once."""


def candidates(hashes: Hashes, fresh: int, workers: Workers = HERE) -> Generator[Progress, None, list[tuple[int, int]]]:
    """Return the pairs (a < b) of pictures, a among the first ``fresh``, of which some hash lies within ``NEAR`` bits.

    The whole views of a picture, in all turns, and its crops are laid against the whole views of the others. Yields
    Progress over the hashes that have asked.
    """
    if not fresh or len(hashes.counts) < 2:
        return []
    owners = np.repeat(np.arange(len(hashes.counts), dtype=np.int32), hashes.counts)
    places = np.arange(len(owners), dtype=np.int32) - np.repeat(hashes.counts.cumsum() - hashes.counts, hashes.counts)
    crop = places < CROPS
    whole, new = ~crop & ((places - CROPS) % 8 == 0), owners < fresh
    questions = [
        (whole & new, whole, WHOLE),
        (~whole & new, whole, PART),
        # What is old and larger is met by its crops, not by those of the new.
        (crop & ~new, whole & new, PART),
    ]
    total, before = sum(int(asking.sum()) for asking, _, _ in questions), 0
    found = [np.empty(0, np.int64)]
    for asking, asked, bits in questions:
        ours, theirs = np.flatnonzero(asking), np.flatnonzero(asked)
        shared = workers.share(words(hashes.levels[theirs]))
        shards = _shards(hashes.levels, ours, bits=bits, once=np.array_equal(ours, theirs))
        for done, (left, right) in enumerate(workers.map(near, shards, shared), 1):
            a, b = owners[left], owners[theirs[right]]
            a, b = np.minimum(a, b).astype(np.int64), np.maximum(a, b)
            found.append(np.unique((a * len(hashes.counts) + b)[a < b]))
            yield Progress("search", before + min(len(ours), done * ASKING), total, "hash")
        before += len(ours)
    codes = np.unique(np.concatenate(found))
    first, second = np.divmod(codes, len(hashes.counts))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _shards(levels: Levels, rows: Rows, *, bits: int, once: bool) -> Iterator[Asking]:
    for first in range(0, len(rows), ASKING):
        some = rows[first : first + ASKING]
        yield Asking(some, words(levels[some]), bits, once)


def near(asking: Asking, asked: Words) -> Pairs:
    """Return the pairs of hashes within ``NEAR`` bits: numbers of the ones that ask, and rows of those asked."""
    found: list[Pairs] = [(np.empty(0, np.intp),) * 2]
    ours, theirs = keys(asking.words), keys(asked)
    # The shorter side asks, many times; the longer one is sorted, four times.
    swap = len(ours) > len(theirs)
    pairs = (
        ((a, b) for b, a in join(theirs, ours, bits=asking.bits))
        if swap
        else join(ours, theirs, bits=asking.bits, once=asking.once)
    )
    for left, right in pairs:
        close = np.bitwise_count(asking.words[left] ^ asked[right]).sum(axis=1, dtype=np.int32) <= NEAR
        found.append((asking.rows[left[close]], right[close]))
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    return left, right


def words(hashes: Levels) -> Words:
    """Return hashes of 32 bytes as rows of four words."""
    return np.ascontiguousarray(hashes).view(np.uint64)


def keys(rows: Words) -> Words:
    """Return the 64 bits of the 8x8 lowest frequencies of 16x16 as one word each."""
    low = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), 16, 2)[:, :8, 0]
    return np.ascontiguousarray(low).view(np.uint64).ravel()


def join(left: Words, right: Words, *, bits: int, once: bool = False) -> Iterator[Pairs]:
    """Yield the index pairs of two rows of 64-bit keys that differ in at most ``bits`` bits (up to 11), in blocks.

    Of four quarters of 16 bits, one differs in at most a quarter of them then: each quarter is joined exactly, once for
    each way of changing so many bits. A pair that several quarters bring is yielded once. ``once`` is for a left side
    that is part of the right one: of two keys that would find each other, the one with the lesser quarter asks (either
    does where the quarters are equal).
    """
    few = bits // 4
    masks = [sum(1 << bit for bit in ones) for count in range(few + 1) for ones in combinations(range(16), count)]
    reached = _reached(left, right, masks) if len(left) * len(masks) < len(right) else np.arange(len(right))
    right = right[reached]
    for quarter in range(4):
        rows, mine, ours = _sorted(left, quarter)
        order, others, theirs = _sorted(right, quarter)
        bounds = np.concatenate([[0], np.bincount(theirs, minlength=1 << 16).cumsum()])
        for mask in masks:
            wanted = ours ^ mask
            asking = np.flatnonzero(ours <= wanted) if once and mask else slice(None)
            wanted, values, numbers = wanted[asking], mine[asking], rows[asking]
            starts = bounds[wanted]
            counts = bounds[wanted + 1] - starts
            for first, last in _blocks(counts):
                a, b, apart = _close(values[first:last], starts[first:last], counts[first:last], others, bits)
                new = np.ones(len(a), np.bool_)
                for earlier in range(quarter):
                    new &= np.bitwise_count(_quarter(apart, earlier)) > few
                yield numbers[a[new] + first], reached[order[b[new]]]


def _reached(left: Words, right: Words, masks: list[int]) -> Rows:
    """Return which of the right keys have a quarter that one of a few left keys has, but for the bits of a mask."""
    found = np.zeros(len(right), np.bool_)
    for quarter in range(4):
        there = np.zeros(1 << 16, np.bool_)
        there[np.bitwise_xor.outer(_quarter(left, quarter), np.array(masks, np.uint16))] = True
        found |= there[_quarter(right, quarter)]
    return np.flatnonzero(found)


def _quarter(values: Words, quarter: int) -> NDArray[np.uint16]:
    return (values >> np.uint64(16 * quarter)).astype(np.uint16)


def _sorted(side: Words, quarter: int) -> tuple[Rows, Words, Rows]:
    """Return the keys' order by one quarter, and in this order the keys and their quarters."""
    short = _quarter(side, quarter)
    order = np.argsort(short, kind="stable")
    return order, side[order], short[order].astype(np.intp)


def _close(mine: Words, starts: Rows, counts: Rows, others: Words, bits: int) -> tuple[Rows, Rows, Words]:
    """Return which keys lie within ``bits`` of keys in their buckets: their numbers, those keys' places, and the xor.

    A bucket is the ``counts`` keys of ``others`` from ``starts`` on.
    """
    ends = counts.cumsum()
    at = np.arange(ends[-1]) + np.repeat(starts - (ends - counts), counts)
    apart = np.repeat(mine, counts) ^ others[at]
    hits = np.flatnonzero(np.bitwise_count(apart) <= bits)
    return np.searchsorted(ends, hits, side="right"), at[hits], apart[hits]


def _blocks(counts: Rows) -> Iterator[tuple[int, int]]:
    """Yield ranges of queries that bring at most ``BLOCK`` pairs together, one query at least."""
    ends = counts.cumsum()
    first = 0
    while first < len(counts):
        base = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + BLOCK, side="right")))
        yield first, last
        first = last
