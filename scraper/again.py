"""Which addresses failed in passing in an earlier run, and when they may be tried again."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dataset.folder import Kind, Record
from scraper.download import AGAIN, RESET, TIMEOUT
from scraper.engines import OF_ENGINES, Candidate
from scraper.optout import UNREAD

UNCOMPARED: Final = "size is another one, and no thumbnail to compare"
RUNS: Final = 3
"""Runs in which an address may fail in passing before it is left for good."""
REST: Final = timedelta(hours=1)
"""How long a host in trouble is left alone before another run asks it again."""
PASSING: Final = frozenset(
    {TIMEOUT, RESET, "no connection", "host not found", UNREAD.error, UNCOMPARED, *map(str, AGAIN)}
)
"""Failures that say nothing about the picture: another day its host may answer."""
KINDS: Final[tuple[Kind, ...]] = ("full", "cached")
"""What the first addresses of a result promise, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A result of an earlier run whose better addresses failed in passing."""

    candidate: Candidate
    likeness: str = ""
    """Perceptual hash of its thumbnail, where that is there."""


def second_chances(records: Iterable[Record], now: datetime | None = None) -> Iterator[Chance]:
    """Yield the results to be tried again: what is there in no better form, and failed in passing alone.

    ``now`` is the present by default. An address has RUNS runs, each at least REST after the one before.
    """
    now = now or datetime.now(UTC)
    stumbles: Counter[str] = Counter()
    last: dict[str, str] = {}
    settled: set[str] = set()
    first: dict[str, Record] = {}
    for record in records:
        for url, error in outcomes(record):
            if error not in PASSING:
                settled.add(url)
                continue
            stumbles[url] += 1
            last[url] = record.fetched
            first.setdefault(url, record)
    open_ = {url for url in stumbles.keys() - settled if stumbles[url] < RUNS and _rested(last[url], now)}
    found: dict[str, list[str]] = {}
    for url, record in first.items():
        if url in open_ and not record.copy_of and (not record.kept or record.kind == "thumbnail"):
            found.setdefault(record.url, []).append(url)
    for urls in found.values():
        yield _chance(first[urls[0]], urls)


def outcomes(record: Record) -> Iterator[tuple[str, str]]:
    """Yield the addresses that a record says something of, each with its error; empty for the one that was kept."""
    # Addresses that an earlier run had tried come first, without a reason.
    yield from zip(record.tried[len(record.tried) - len(record.failures) :], record.failures, strict=False)
    yield record.url, record.error


def _chance(record: Record, urls: list[str]) -> Chance:
    promised: dict[str, Kind] = dict(zip(record.tried, KINDS, strict=False)) | {record.url: record.kind or "full"}
    return Chance(
        Candidate(
            urls=tuple(urls),
            kinds=tuple("thumbnail" if OF_ENGINES.search(url) else promised.get(url, "cached") for url in urls),
            engine=record.engine,
            term=record.term,
            rank=record.rank,
            page=record.page,
            title=record.title,
            filters=record.filters,
        ),
        likeness=record.phash if record.kept else "",
    )


def _rested(fetched: str, now: datetime) -> bool:
    """Whether so much time has gone by since an address was tried."""
    try:
        return now - datetime.fromisoformat(fetched) >= REST
    except (ValueError, TypeError):
        return True
