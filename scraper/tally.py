"""What an engine gave in one run, and the words for why it gave no more."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from dataset.errors import EngineBlocked, EngineBroken, TrayError
from dataset.folder import Record

LIMIT: Final = "limit reached"
SHARE: Final = "share reached"
"""A search was cut short because its term had its share of the limit."""
CHANGED: Final = "layout changed"


Place = tuple[str, str, str]
"""One search for one class: name of the folder, term, and filters in words."""


@dataclass(frozen=True, slots=True)
class Search:
    """What one engine gave for one term."""

    name: str
    """Name of the class folder."""
    term: str
    seen: int
    kept: int
    stopped_because: str
    filters: str = ""
    """What was asked for beside the term."""
    new: int = 0
    """Pictures that it brought and that look like none that was there: what a sweep is worth."""
    sweep: bool = False
    """Whether it was a narrower search after the term itself."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one engine gave in one run, and why it gave no more."""

    engine: str
    seen: int
    """Results with an address, each counted once per search."""
    known: int
    """Of these, results whose picture was there already, had been tried before, or came from another result."""
    again: int
    """Results of earlier runs that had failed in passing, and were tried again."""
    kept: int
    """Pictures written, copies of others included."""
    copies: int
    """Of these, pictures that look like one that was there already; they do not count for the limit."""
    rejected: int
    rejected_by_reason: dict[str, int]
    kinds: dict[str, int]
    """Pictures written by what they are: full, cached, thumbnail."""
    stopped_because: str
    searches: tuple[Search, ...] = ()
    cannot: tuple[str, ...] = ()
    """Filters that were wanted and that the engine has no way to be asked for."""
    pauses: float = 0.0
    """Seconds of human pauses and scrolls, over all its browsers; waits after refusals are not among them."""
    refusals: int = 0
    """Times that it refused; after each it was left alone for a while, and asked for less."""


@dataclass(slots=True)
class Tally:
    """What one engine gave so far."""

    seen: int = 0
    known: int = 0
    again: int = 0
    kept: int = 0
    copies: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    seen_by: Counter[Place] = field(default_factory=Counter)
    kept_by: Counter[Place] = field(default_factory=Counter)
    new_by: Counter[Place] = field(default_factory=Counter)
    reasons: dict[Place, str] = field(default_factory=dict)
    """Why each search ended."""
    swept: set[Place] = field(default_factory=set)
    """Of these, the narrower searches that came after the terms themselves."""
    error: TrayError | None = None
    cannot: tuple[str, ...] = ()
    pauses: float = 0.0
    refusals: int = 0

    def count(self, name: str, record: Record) -> None:
        """Count a record that was written into the class folder of a name."""
        if not record.kept:
            self.rejected[record.error] += 1
            return
        self.kept += 1
        self.copies += bool(record.copy_of)
        self.kinds[record.kind] += 1
        place = (name, record.term, record.filters)
        self.kept_by[place] += 1
        self.new_by[place] += not record.copy_of

    def summary(self, engine: str, *, full: bool) -> Summary:
        """Return the summary; ``full`` says whether every class folder has all that was wanted."""
        return Summary(
            engine=engine,
            seen=self.seen,
            known=self.known,
            again=self.again,
            kept=self.kept,
            copies=self.copies,
            rejected=self.rejected.total(),
            rejected_by_reason=dict(self.rejected.most_common()),
            kinds=dict(self.kinds.most_common()),
            stopped_because=self.in_words(full=full),
            searches=tuple(
                Search(
                    name=place[0],
                    term=place[1],
                    seen=self.seen_by[place],
                    kept=self.kept_by[place],
                    stopped_because=_plain(reason),
                    filters=place[2],
                    new=self.new_by[place],
                    sweep=place in self.swept,
                )
                for place, reason in self.reasons.items()
            ),
            cannot=self.cannot,
            pauses=round(self.pauses, 1),
            refusals=self.refusals,
        )

    def in_words(self, *, full: bool) -> str:
        """Return why the engine gave no more, over all its searches."""
        if self.error:
            kind = {EngineBlocked: "blocked", EngineBroken: CHANGED}.get(type(self.error), "failed")
            return f"{kind}: {self.error}"
        if full:
            return LIMIT
        reasons = Counter(_plain(reason) for place, reason in self.reasons.items() if place not in self.swept)
        if not reasons and not self.swept:
            return "nothing left to search"
        words = ", ".join(
            reason if len(reasons) == 1 else f"{reason} ({count} {'terms' if count > 1 else 'term'})"
            for reason, count in reasons.most_common()
        )
        new = sum(self.new_by[place] for place in self.swept)
        sweeps = f"{len(self.swept)} {'sweeps' if len(self.swept) > 1 else 'sweep'} brought {new} more"
        return "; ".join(filter(None, (words, sweeps if self.swept else "")))


def _plain(reason: str) -> str:
    return LIMIT if reason == SHARE else reason
