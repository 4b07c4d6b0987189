"""One engine's thread: a browser, or several of a grid, that go through all terms, and then through narrower ones."""

import logging
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dataset.errors import EngineBroken
from dataset.folder import make_folder, write_whole
from dataset.tray import Filters, Scrape
from scraper.engines import Candidate, Engine, Inquiry
from scraper.filters import Filtered, filtered
from scraper.gathering import Gathering
from scraper.pacing import Rhythm
from scraper.search import Ended
from scraper.sweeps import BARREN, Plan
from scraper.tally import CHANGED, LIMIT, SHARE, Place, Tally
from scraper.visitor import Visitor

log: Final = logging.getLogger("tray")

BROKEN_TERMS: Final = 2
"""Searches in a row whose page was not understood before the engine is given up."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a hunt takes what it finds."""

    offer: Callable[[Gathering, Candidate], None]
    ended: Callable[[Gathering, Inquiry, Ended], None]
    all_had_a_turn: Callable[[Engine], None]
    """Returns when every engine has been through all terms once."""
    all_had_their_terms: Callable[[Engine], None]
    """Returns when every engine has searched all terms to their end and the results are dealt with."""


class Hunt:
    """One engine's way through the terms of all class folders."""

    def __init__(  # noqa: PLR0913 - what a thread of its own has to know
        self, engine: Engine, settings: Scrape, tally: Tally, desk: Desk, *, into: Path, site: str | None
    ) -> None:
        self.engine = engine
        self.tally = tally
        self.asked = asked_of(engine, settings.filters)
        tally.cannot = self.asked.cannot
        self.stop = threading.Event()
        """Set when everything is to end."""
        self._over = threading.Event()
        self._settings = settings
        self._desk = desk
        self.sweeps = settings.sweep if settings.sweep is not None else site is None
        self._lock = threading.Lock()
        self._unread = 0
        self._visitors = [
            Visitor(
                engine, settings, rhythm, desk.offer, stop=self.stop, keep_page=page_keeper(into, engine), site=site
            )
            for rhythm in rhythms_of(settings, engine, site, self.stop)
        ]

    def has_work(self, gathering: Gathering) -> bool:
        """Whether there is anything left to search for a class folder."""
        if not gathering.missing:
            return False
        return bool(gathering.searches(self.asked)) or (
            self.sweeps and gathering.sweeping(self.asked) not in gathering.finished
        )

    def places(self, gathering: Gathering) -> list[Place]:
        """Return the searches for the terms of a class folder that are still to be done."""
        return [(gathering.plan.name, term, self.asked.words) for term in gathering.searches(self.asked)]

    def run(self, gatherings: Sequence[Gathering]) -> None:
        """Search all terms; then once more those that were cut short at their share while others brought less.

        What is still missing then is swept for, where the settings say so.
        """
        try:
            self._each([(one, term) for one in gatherings for term in one.searches(self.asked)])
            self._desk.all_had_a_turn(self.engine)
            turns = [(one, term) for one in gatherings for term in one.searches(self.asked)]
            cut = [key for key, reason in self.tally.reasons.items() if reason == SHARE]
            self._each([turn for turn in turns if (turn[0].plan.name, turn[1], self.asked.words) in cut], pause=True)
            if self.sweeps:
                self._desk.all_had_their_terms(self.engine)
                for gathering in gatherings:
                    self._sweep(gathering)
        finally:
            self.tally.refusals = sum(visitor.refusals for visitor in self._visitors)
            self.tally.pauses = sum(visitor.rhythm.spent for visitor in self._visitors)
            for visitor in self._visitors:
                visitor.close()

    def _each(self, turns: Sequence[tuple[Gathering, str]], *, pause: bool = False) -> None:
        """Search each term of each class folder."""
        left = deque(turns)

        def work(visitor: Visitor) -> None:
            searched = pause
            while turn := self._next(left):
                searched = self._turn(visitor, *turn, self.asked, pause=searched) or searched

        self._side_by_side(work, len(turns))

    def _next(self, left: deque[tuple[Gathering, str]]) -> tuple[Gathering, str] | None:
        with self._lock:
            return left.popleft() if left and not self._over.is_set() else None

    def _side_by_side(self, work: Callable[[Visitor], None], most: int) -> None:
        """Have every browser do its part of the work; what one of them raises ends the others' after their search."""
        visitors = self._visitors[: max(1, most)]
        if len(visitors) == 1:
            work(visitors[0])
            return
        errors: list[Exception] = []

        def guarded(visitor: Visitor) -> None:
            try:
                work(visitor)
            except Exception as error:  # noqa: BLE001 - raised again where the others have ended
                errors.append(error)
                self._over.set()

        threads = [
            threading.Thread(target=guarded, args=(one,), name=self.engine.name, daemon=True) for one in visitors
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _sweep(self, gathering: Gathering) -> None:
        """Search the terms again, narrower, as long as pictures are missing and sweeps bring new ones.

        Each kind of sweep has its turn; then those come first whose kind and term brought most so far.
        """
        if gathering.sweeping(self.asked) in gathering.finished:
            return
        plan = Plan(self.engine, gathering, self._settings.filters)
        barren = 0

        def work(visitor: Visitor) -> None:
            nonlocal barren
            while barren < BARREN and gathering.missing and not self._over.is_set():
                with self._lock:
                    sweep = plan.next()
                if sweep is None:
                    break
                self.tally.swept.add((gathering.plan.name, sweep.term, sweep.asked.words))
                self._turn(visitor, gathering, sweep.term, sweep.asked, pause=True)
                while gathering.missing and gathering.under_way_of(sweep.inquiry) and not self.stop.wait(0.05):
                    pass
                new = gathering.new_by[sweep.inquiry]
                log.info("%s: %r with %s brought %s more.", self.engine.name, sweep.term, sweep.asked.words, new)
                barren = 0 if new else barren + 1

        self._side_by_side(work, len(self._visitors))
        if not self.stop.is_set():
            gathering.swept.add(gathering.sweeping(self.asked))

    def kill(self) -> None:
        """End the browsers at once, from another thread."""
        self.stop.set()
        self._over.set()
        for visitor in self._visitors:
            visitor.kill()

    def _turn(self, visitor: Visitor, gathering: Gathering, term: str, asked: Filtered, *, pause: bool) -> bool:
        """Search one term, if more of it is wanted; return whether it was searched."""
        key = (gathering.plan.name, term, asked.words)
        if self.stop.is_set():
            return False
        if not gathering.wants(term):
            self.tally.reasons[key] = SHARE if gathering.missing else LIMIT
            return False
        if pause:
            visitor.rhythm.between_terms()
        try:
            ended = visitor.search(gathering, term, asked)
        except EngineBroken as error:
            self.tally.reasons[key] = CHANGED
            if key in self.tally.swept:
                # The engine was understood before: what a filter leaves may be nothing at all.
                return True
            self._unread += 1
            # A single odd page may be the term's; when the engine understood nothing else either, it is the engine's.
            if self._unread >= BROKEN_TERMS or len(self.tally.reasons) == 1 == len(gathering.plan.terms):
                raise
            log.warning("%s: %s", self.engine.name, error)
            return True
        finally:
            if self._settings.grid:
                # A farm's browser is lent for one search: the next one may come from another machine.
                visitor.close()
        self._unread = 0
        self.tally.reasons[key] = ended.reason
        self._desk.ended(gathering, (self.engine.name, term, asked.words), ended)
        return True


def asked_of(engine: Engine, filters: Filters) -> Filtered:
    """Return the engine as it is asked for the filters, after saying what it can't be asked for."""
    asked = filtered(engine, filters)
    if asked.cannot:
        log.warning("%s can't be asked for %s; it goes without.", engine.name, ", ".join(asked.cannot))
    return asked


def rhythm_of(settings: Scrape, engine: Engine, site: str | None, stop: threading.Event) -> Rhythm:
    """Return the rhythm in which an engine is searched; ``stop`` ends its pauses."""
    # Only a site of one's own may shorten the wait after a refusal.
    door = min(1.0, settings.pace) if site else 1.0
    return Rhythm(settings.pace, f"{settings.seed}/{engine.name}", door=door, sleep=stop.wait)


def rhythms_of(settings: Scrape, engine: Engine, site: str | None, stop: threading.Event) -> list[Rhythm]:
    """Return a rhythm for each browser that an engine is searched with; they share what it bears."""
    count = settings.grid_sessions if settings.grid else 1
    rhythms = [
        rhythm_of(replace(settings, seed=settings.seed + 1000 * number), engine, site, stop) for number in range(count)
    ]
    for rhythm in rhythms[1:]:
        rhythm.allowance = rhythms[0].allowance
    return rhythms


def page_keeper(into: Path | None, engine: Engine) -> Callable[[str], Path]:
    """Return what saves a page that was not understood, below ``into``, or else among the temporary files."""

    def keep(html: str) -> Path:
        folder = make_folder(into / ".pages") if into else Path(tempfile.mkdtemp(prefix="tray-pages-"))
        path = folder / f"{engine.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.html"
        write_whole(path, html.encode("utf-8", "replace"))
        return path

    return keep
