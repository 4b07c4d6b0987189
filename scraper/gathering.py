"""One class folder while it is being filled: what is there, what is on its way, what is still wanted."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from dataset.folder import ClassFolder, Record, unwritable
from dataset.tray import ClassPlan
from scraper.engines import Engine
from scraper.search import Ended

if TYPE_CHECKING:
    from scraper.pool import Job

PROGRESS: Final = "progress.jsonl"
Room = Literal["start", "wait", "drop"]


@dataclass(slots=True, eq=False)
class Gathering:
    """One class folder while it is being filled. Whoever changes it holds the run's lock."""

    plan: ClassPlan
    folder: ClassFolder
    kinds: str
    """Which kinds of addresses are tried, as the settings name them: a search is finished for these only."""
    finished: set[tuple[str, str]] = field(default_factory=set)
    """Engine and term of searches that have nothing more to give."""
    distinct: int = 0
    by_term: Counter[str] = field(default_factory=Counter)
    good: set[str] = field(default_factory=set)
    """Addresses whose picture is there."""
    failed: set[str] = field(default_factory=set)
    """Addresses that failed while their picture was given another chance."""
    under_way: dict[str, "Job"] = field(default_factory=dict)
    pending: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Results that are not dealt with, by engine and term."""
    deferred: list["Job"] = field(default_factory=list)
    """Thumbnails that are fetched last."""
    engines: set[str] = field(default_factory=set)
    """Engines that may still bring results."""
    ended: dict[tuple[str, str], Ended] = field(default_factory=dict)
    sharing: bool = True
    """Whether each term is held to its share of the limit."""

    def __post_init__(self) -> None:
        self.finished = _finished(self.folder, self.kinds)
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

    def searches(self, engine: Engine) -> list[str]:
        """Return the terms that an engine is still to be asked for."""
        return [term for term in self.plan.terms if self.missing and (engine.name, term) not in self.finished]

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
        if record.kept or record.error == "duplicate bytes":
            self.good.add(record.url)

    def note_progress(self, engine: str, term: str) -> None:
        """Write down that a search has nothing more to give, once all its results are dealt with."""
        ended = self.ended.get((engine, term))
        if not ended or not ended.finished or self.pending[engine, term] > 0 or (engine, term) in self.finished:
            return
        self.finished.add((engine, term))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        note = {"engine": engine, "term": term, "kinds": self.kinds, "stopped_because": ended.reason, "ended": now}
        path = self.folder.path / PROGRESS
        try:
            with path.open("a", encoding="utf-8") as file:
                # A killed process may have left a line without its end: it must not spoil this one.
                file.write(("\n" if file.tell() else "") + json.dumps(note, ensure_ascii=False))
        except OSError as error:
            raise unwritable(path, error) from error


def _finished(folder: ClassFolder, kinds: str) -> set[tuple[str, str]]:
    """Return engine and term of the searches that earlier runs took to their end."""
    finished = set()
    with suppress(FileNotFoundError):
        for line in (folder.path / PROGRESS).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                note = json.loads(line)
                if note["kinds"] == kinds:
                    finished.add((note["engine"], note["term"]))
    return finished
