"""Which hashes lie near each other: found through quarters of a short key, not by comparing all with all."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dataset.prints import CROPS, NEAR, Levels

Words = NDArray[np.uint64]
Rows = NDArray[np.intp]
Pairs = tuple[Rows, Rows]

WHOLE, PART = 11, 7
"""Bits of a 64-bit key within which whole pictures meet each other, and turned or cropped ones. Of copies whose hashes
lie within ``NEAR`` of 256 bits, all but some of those turned by 2 degrees lie within these."""
BLOCK = 1 << 20
"""Pairs that are held at once."""


def candidates(hashes: Sequence[Levels], fresh: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs (a < b), a among the first ``fresh``, of which some hash lies within ``NEAR`` bits.

    The whole views of a picture, in all turns, and its crops are laid against the whole views of the others.
    """
    if not fresh or len(hashes) < 2:
        return
    whole = [one[CROPS::8] for one in hashes]
    parts = [np.delete(one, np.s_[CROPS::8], axis=0) for one in hashes[:fresh]]
    crops = [one[:CROPS] for one in hashes[fresh:]]
    found: set[tuple[int, int]] = set()
    for asking, first, asked, bits in (
        (whole[:fresh], 0, whole, WHOLE),
        (parts, 0, whole, PART),
        # What is old and larger is met by its crops, not by those of the new.
        (crops, fresh, whole[:fresh], PART),
    ):
        if asking:
            found.update(_near(asking, first, asked, bits))
    yield from sorted(found)


def _near(asking: Sequence[Levels], first: int, asked: Sequence[Levels], bits: int) -> Iterator[tuple[int, int]]:
    """Yield the ordered pairs of pictures with near hashes; ``first`` is the number of the first one that asks."""
    ours, theirs = (np.repeat(np.arange(len(side)), [len(one) for one in side]) for side in (asking, asked))
    queries, rows = words(np.vstack(asking)), words(np.vstack(asked))
    for left, right in join(keys(queries), keys(rows), bits=bits):
        near = np.bitwise_count(queries[left] ^ rows[right]).sum(axis=1, dtype=np.int32) <= NEAR
        a, b = first + ours[left[near]], theirs[right[near]]
        a, b = np.minimum(a, b), np.maximum(a, b)
        yield from zip(a[a < b].tolist(), b[a < b].tolist(), strict=True)


def words(hashes: Levels) -> Words:
    """Return hashes of 32 bytes as rows of four words."""
    return np.ascontiguousarray(hashes).view(np.uint64)


def keys(rows: Words) -> Words:
    """Return the 64 bits of the 8x8 lowest frequencies of 16x16 as one word each."""
    low = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), 16, 2)[:, :8, 0]
    return np.ascontiguousarray(low).view(np.uint64).ravel()


def join(left: Words, right: Words, *, bits: int) -> Iterator[Pairs]:
    """Yield the index pairs of two rows of 64-bit keys that differ in at most ``bits`` bits (up to 11), in blocks.

    Of four quarters of 16 bits, one differs in at most a quarter of them then: each quarter is joined exactly, once for
    each way of changing so many bits. A pair that several quarters bring is yielded once.
    """
    if len(left) > len(right):
        # The longer side is sorted once a quarter; the shorter one asks, many times.
        yield from ((b, a) for a, b in join(right, left, bits=bits))
        return
    few = bits // 4
    masks = [sum(1 << bit for bit in ones) for count in range(few + 1) for ones in combinations(range(16), count)]
    for quarter in range(4):
        ours, theirs = (_quarter(side, quarter) for side in (left, right))
        order = np.argsort(theirs.astype(np.uint16), kind="stable")
        bounds = np.concatenate([[0], np.bincount(theirs, minlength=1 << 16).cumsum()])
        for mask in masks:
            wanted = ours ^ mask
            starts, counts = bounds[wanted], bounds[wanted + 1] - bounds[wanted]
            for first, last in _blocks(counts):
                a, b = _spread(order, starts[first:last], counts[first:last])
                apart = left[a + first] ^ right[b]
                near = np.bitwise_count(apart) <= bits
                for earlier in range(quarter):
                    near &= np.bitwise_count(_quarter(apart, earlier)) > few
                yield a[near] + first, b[near]


def _quarter(values: Words, quarter: int) -> NDArray[np.int64]:
    return ((values >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)).astype(np.int64)


def _spread(order: Rows, starts: Rows, counts: Rows) -> Pairs:
    """Return each query's number as often as it has rows in its bucket, and those rows."""
    numbers = np.repeat(np.arange(len(counts)), counts)
    offsets = np.arange(len(numbers)) - np.repeat(counts.cumsum() - counts, counts)
    return numbers, order[np.repeat(starts, counts) + offsets]


def _blocks(counts: Rows) -> Iterator[tuple[int, int]]:
    """Yield ranges of queries that bring at most ``BLOCK`` pairs together, one query at least."""
    ends = counts.cumsum()
    first = 0
    while first < len(counts):
        base = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + BLOCK, side="right")))
        yield first, last
        first = last
