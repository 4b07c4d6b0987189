"""One class folder while it is being filled: what is there, what is on its way, what is still wanted."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from dataset.folder import PROGRESS, ClassFolder, Record, unwritable
from dataset.tray import ClassPlan
from scraper.again import Chance, second_chances
from scraper.engines import Inquiry
from scraper.filters import Filtered
from scraper.forget import listed
from scraper.search import Ended

if TYPE_CHECKING:
    from scraper.pool import Job

UNFILTERED: Final = "safe=on"
"""Filters of a search whose note names none."""
Room = Literal["start", "wait", "drop"]


@dataclass(slots=True, eq=False)
class Gathering:
    """One class folder while it is being filled. Whoever changes it holds the run's lock."""

    plan: ClassPlan
    folder: ClassFolder
    kinds: str
    """Which kinds of addresses are tried, as the settings name them: a search is finished for these only."""
    finished: set[Inquiry] = field(default_factory=set)
    """Searches that have nothing more to give."""
    distinct: int = 0
    by_term: Counter[str] = field(default_factory=Counter)
    new_by: Counter[Inquiry] = field(default_factory=Counter)
    """Distinct pictures that each search brought, in this run and before."""
    good: set[str] = field(default_factory=set)
    """Addresses whose picture is there."""
    failed: set[str] = field(default_factory=set)
    """Addresses that failed while their picture was given another chance."""
    under_way: dict[str, "Job"] = field(default_factory=dict)
    pending: Counter[Inquiry] = field(default_factory=Counter)
    """Results that are not dealt with, by the search that found them."""
    deferred: list["Job"] = field(default_factory=list)
    """Thumbnails that are fetched last."""
    engines: set[str] = field(default_factory=set)
    """Engines that may still bring results."""
    ended: dict[Inquiry, Ended] = field(default_factory=dict)
    swept: set[Inquiry] = field(default_factory=set)
    """Engines whose sweeps are over, each in place of a search; noted when all results are dealt with."""
    forgotten: frozenset[str] = frozenset()
    """Addresses and hosts whose pictures are not to come back."""
    sharing: bool = True
    """Whether each term is held to its share of the limit."""
    chances: tuple[Chance, ...] = ()
    """Results of earlier runs that failed in passing, to be tried again in this one."""

    def __post_init__(self) -> None:
        self.finished = _finished(self.folder, self.kinds)
        self.forgotten = listed(self.folder.path)
        self.chances = tuple(second_chances(self.folder))
        for record in self.folder:
            self.note(record)

    @property
    def missing(self) -> int:
        """Distinct pictures that are still wanted."""
        return max(0, self.plan.limit - self.distinct)

    @property
    def share(self) -> int:
        """Distinct pictures that each term may bring while every term is still to have its turn."""
        return math.ceil(self.plan.limit / len(self.plan.terms))

    def wants(self, term: str) -> bool:
        """Whether more pictures of the term are wanted now."""
        return self.missing > 0 and not (self.sharing and self.by_term[term] >= self.share)

    def searches(self, asked: Filtered) -> list[str]:
        """Return the terms that an engine is still to be asked for, with its filters."""
        inquiries = [(asked.engine.name, term, asked.words) for term in self.plan.terms]
        return [inquiry[1] for inquiry in inquiries if self.missing and inquiry not in self.finished]

    def sweeping(self, asked: Filtered) -> Inquiry:
        """Return what stands for all the sweeps of an engine among the searches that are finished."""
        return asked.engine.name, "", f"sweeps of {' | '.join(self.plan.terms)} {asked.words}".strip()

    def under_way_of(self, inquiry: Inquiry | None = None) -> int:
        """Return how many results of a search, or of all, are not dealt with and were not put off to the end."""
        deferred = [job.candidate.search for job in tuple(self.deferred)]
        if inquiry is None:
            return self.pending.total() - len(deferred)
        return self.pending[inquiry] - deferred.count(inquiry)

    def room(self, term: str, active: Mapping[tuple["Gathering", str], int]) -> Room:
        """Say whether another download may start: never are more in flight than pictures are missing."""
        if not self.missing:
            return "drop"
        if sum(count for (gathering, _), count in active.items() if gathering is self) >= self.missing:
            return "wait"
        if self.sharing and self.by_term[term] + active[self, term] >= self.share:
            return "wait"
        return "start"

    def note(self, record: Record) -> None:
        """Count a record that lies in the manifest."""
        if record.kept and not record.copy_of:
            self.distinct += 1
            self.by_term[record.term] += 1
            self.new_by[record.engine, record.term, record.filters] += 1
        if record.kept or record.error == "duplicate bytes":
            self.good.add(record.url)

    def note_progress(self, inquiry: Inquiry) -> None:
        """Write down that a search has nothing more to give, once all its results are dealt with."""
        ended = self.ended.get(inquiry)
        if not ended or not ended.finished or self.pending[inquiry] > 0 or inquiry in self.finished:
            return
        self._finish(inquiry, ended.reason)

    def note_sweeps(self) -> None:
        """Write down whose sweeps are over."""
        for inquiry in sorted(self.swept - self.finished):
            if self.missing:
                self._finish(inquiry, "sweeps bring nothing new")

    def _finish(self, inquiry: Inquiry, reason: str) -> None:
        self.finished.add(inquiry)
        engine, term, filters = inquiry
        now = datetime.now(UTC).isoformat(timespec="seconds")
        note = {"engine": engine, "term": term, "filters": filters, "kinds": self.kinds}
        note |= {"stopped_because": reason, "ended": now}
        path = self.folder.path / PROGRESS
        try:
            with path.open("a", encoding="utf-8") as file:
                # A killed process may have left a line without its end: it must not spoil this one.
                file.write(("\n" if file.tell() else "") + json.dumps(note))
        except OSError as error:
            raise unwritable(path, error) from error


def _finished(folder: ClassFolder, kinds: str) -> set[Inquiry]:
    """Return the searches that earlier runs took to their end."""
    finished: set[Inquiry] = set()
    with suppress(FileNotFoundError):
        for line in (folder.path / PROGRESS).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                note = json.loads(line)
                if note["kinds"] == kinds:
                    finished.add((note["engine"], note["term"], note.get("filters", UNFILTERED)))
    return finished
