"""Which hashes lie near each other: found through quarters of a short key, not by comparing all with all."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations

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

    numbers: Rows
    """The pictures' numbers; the new ones have the lowest."""
    counts: Rows
    """How many hashes each picture has."""
    levels: Levels
    """Shape (hashes, 32): of each picture its crops, then the 8 turns of each view."""

    @classmethod
    def of(cls, each: "Iterable[tuple[int, Levels]]") -> "Hashes":
        """Return the hashes of numbered pictures in one array."""
        numbers, rows = zip(*each, strict=True)
        return cls(np.array(numbers), np.array([len(one) for one in rows]), np.concatenate(rows))

    @property
    def owners(self) -> Rows:
        """The number of the picture that each hash is of."""
        return np.repeat(self.numbers, self.counts)

    @property
    def places(self) -> Rows:
        """Which of its picture's hashes each is."""
        return np.arange(len(self.levels)) - np.repeat(self.counts.cumsum() - self.counts, self.counts)


Read = Callable[[], Iterable[Hashes]]
"""Brings the hashes of all pictures, a part at a time, in any order, as often as it is called."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Some hashes that ask which whole views lie near them."""

    owners: Rows
    words: Words
    bits: int
    """Bits of the keys within which they are looked for."""
    asked: int
    """The first so many whole views are asked."""
    once: bool = False
    """Whether all that are asked ask too, and each pair is wanted once."""


def candidates(read: Read, fresh: int, workers: Workers = HERE) -> Generator[Progress, None, list[tuple[int, int]]]:
    """Return the pairs (a < b) of pictures, a below ``fresh``, of which some hash lies within ``NEAR`` bits.

    The whole views of a picture, in all turns, and its crops are laid against the whole views of the others. No more
    is held than the whole views of all and the hashes that ask at the moment. Yields Progress over those that have
    asked.
    """
    owners, views, rest = _whole_views(read, fresh)
    new = int(np.searchsorted(owners, fresh))
    if not new or owners[0] == owners[-1]:
        return []
    shards = chain(
        (
            Asking(
                owners[at : min(new, at + ASKING)],
                views[at : min(new, at + ASKING)],
                WHOLE,
                len(views),
                new == len(views),
            )
            for at in range(0, new, ASKING)
        ),
        _others(read, fresh, len(views), new),
    )
    found, done = [np.empty(0, np.int64)], 0
    for count, left, rows in workers.map(near, shards, workers.share(views)):
        right = owners[rows]
        low, high = np.minimum(left, right).astype(np.int64), np.maximum(left, right)
        found.append(np.unique((low << 32 | high)[low < high]))
        done += count
        yield Progress("search", done, new + rest, "hash")
    codes = np.unique(np.concatenate(found))
    return list(zip((codes >> 32).tolist(), (codes & 0xFFFFFFFF).tolist(), strict=True))


def _whole_views(read: Read, fresh: int) -> tuple[Rows, Words, int]:
    """Return the owners of all whole views, sorted, their hashes, and how many others will ask."""
    owners, views, rest = [np.empty(0, np.intp)], [np.empty((0, 4), np.uint64)], 0
    for some in read():
        whole = _is_whole(some.places)
        owners.append(some.owners[whole])
        views.append(words(some.levels[whole]))
        new = some.numbers < fresh
        rest += int(some.counts[new].sum() - np.count_nonzero(owners[-1] < fresh)) + CROPS * int(np.count_nonzero(~new))
    every = np.concatenate(owners)
    order = np.argsort(every, kind="stable")
    return every[order], np.concatenate(views)[order], rest


def _is_whole(places: Rows) -> NDArray[np.bool_]:
    return np.asarray((places >= CROPS) & ((places - CROPS) % 8 == 0))


def _others(read: Read, fresh: int, views: int, new: int) -> Iterator[Asking]:
    """Yield the turns and crops that ask: those of the new ask every whole view, the crops of the old the new ones."""
    for some in _gathered(read()):
        owners, places = some.owners, some.places
        ours = owners < fresh
        # What is old and larger is met by its crops, not by those of the new.
        for asking, asked in ((ours & ~_is_whole(places), views), (~ours & (places < CROPS), new)):
            if asking.any():
                yield Asking(owners[asking], words(some.levels[asking]), PART, asked)


def _gathered(parts: Iterable[Hashes]) -> Iterator[Hashes]:
    """Yield the same hashes in parts that are worth a shard."""
    held: list[Hashes] = []
    for part in parts:
        held.append(part)
        if sum(len(one.levels) for one in held) >= ASKING:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(parts: list[Hashes]) -> Hashes:
    columns = zip(*((one.numbers, one.counts, one.levels) for one in parts), strict=True)
    return Hashes(*map(np.concatenate, columns))


def near(asking: Asking, views: Words) -> tuple[int, Rows, Rows]:
    """Return how many hashes asked, and the pairs within ``NEAR`` bits: owners of those that ask, rows of ``views``."""
    found: list[Pairs] = [(np.empty(0, np.intp),) * 2]
    asked = views[: asking.asked]
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
        found.append((asking.owners[left[close]], right[close]))
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    return len(ours), left, right


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
