"""One engine's thread: a browser that goes through all terms, over refusals, crashes and changed pages."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dataset.errors import EngineBlocked, EngineBroken, TrayError
from dataset.folder import make_folder, write_whole
from dataset.tray import Filters, Scrape
from scraper.browser import Window
from scraper.chromium import chromium, display_for, kill
from scraper.engines import Candidate, Engine, Inquiry
from scraper.filters import Filtered, filtered
from scraper.gathering import Gathering
from scraper.pacing import THINNED, FullShare, Rhythm
from scraper.search import Ended, search
from scraper.sweeps import BARREN, Plan
from scraper.tally import CHANGED, LIMIT, SHARE, Tally

log: Final = logging.getLogger("tray")

BACKLOG: Final = 200
"""Results of a search that wait for their download before it scrolls on."""
REFUSALS: Final = 3
RESTARTS: Final = 3
HAND_SECONDS: Final = 300.0
"""How long a user with a screen is given to pass a challenge."""
HAND_LOOKS: Final = 1.0
BROKEN_TERMS: Final = 2
"""Terms in a row whose page was not understood before the engine is given up."""


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
        self._settings = settings
        self._desk = desk
        self._keep_page = page_keeper(into, engine)
        self._site = site
        self._sweeps = settings.sweep if settings.sweep is not None else site is None
        self._rhythm = rhythm_of(settings, engine, site, self.stop)
        self._full = FullShare()
        self._stack = ExitStack()
        self._window: Window | None = None
        self._driver: Any = None
        self._hand_failed = False

    def has_work(self, gathering: Gathering) -> bool:
        """Whether there is anything left to search for a class folder."""
        if not gathering.missing:
            return False
        return bool(gathering.searches(self.asked)) or (
            self._sweeps and gathering.sweeping(self.asked) not in gathering.finished
        )

    def run(self, gatherings: Sequence[Gathering]) -> None:
        """Search all terms; then once more those that were cut short at their share while others brought less.

        What is still missing then is swept for, where the settings say so.
        """
        try:
            searched = False
            for gathering, term in [(one, term) for one in gatherings for term in one.searches(self.asked)]:
                searched = self._turn(gathering, term, self.asked, pause=searched) or searched
            self._desk.all_had_a_turn(self.engine)
            for gathering, term in [(one, term) for one in gatherings for term in one.searches(self.asked)]:
                if self.tally.reasons.get((gathering.plan.name, term, self.asked.words)) == SHARE:
                    self._turn(gathering, term, self.asked, pause=True)
            if self._sweeps:
                self._desk.all_had_their_terms(self.engine)
                for gathering in gatherings:
                    self._sweep(gathering)
        finally:
            self._close_browser()

    def _sweep(self, gathering: Gathering) -> None:
        """Search the terms again, narrower, as long as pictures are missing and sweeps bring new ones.

        Each kind of sweep has its turn; then those come first whose kind and term brought most so far.
        """
        if gathering.sweeping(self.asked) in gathering.finished:
            return
        plan = Plan(self.engine, gathering, self._settings.filters)
        barren = 0
        while barren < BARREN and gathering.missing and not self.stop.is_set():
            sweep = plan.next()
            if sweep is None:
                break
            self.tally.swept.add((gathering.plan.name, sweep.term, sweep.asked.words))
            self._turn(gathering, sweep.term, sweep.asked, pause=True)
            while gathering.missing and gathering.under_way_of(sweep.inquiry) and not self.stop.wait(0.05):
                pass
            new = gathering.new_by[sweep.inquiry]
            log.info("%s: %r with %s brought %s more.", self.engine.name, sweep.term, sweep.asked.words, new)
            barren = 0 if new else barren + 1
        if not self.stop.is_set():
            gathering.swept.add(gathering.sweeping(self.asked))

    def kill(self) -> None:
        """End the browser at once, from another thread."""
        self.stop.set()
        if self._driver is not None:
            kill(self._driver)

    def _turn(self, gathering: Gathering, term: str, asked: Filtered, *, pause: bool) -> bool:
        """Search one term, if more of it is wanted; return whether it was searched."""
        key = (gathering.plan.name, term, asked.words)
        if self.stop.is_set():
            return False
        if not gathering.wants(term):
            self.tally.reasons[key] = SHARE if gathering.missing else LIMIT
            return False
        if pause:
            self._rhythm.between_terms()
        try:
            ended = self._searched(gathering, term, asked)
        except EngineBroken as error:
            self.tally.reasons[key] = CHANGED
            if key in self.tally.swept:
                # The engine was understood before: what a filter leaves may be nothing at all.
                return True
            last = list(self.tally.reasons.values())[-BROKEN_TERMS:]
            # A single odd page may be the term's; when the engine understood nothing else either, it is the engine's.
            if last == [CHANGED] * BROKEN_TERMS or len(self.tally.reasons) == 1 == len(gathering.plan.terms):
                raise
            log.warning("%s: %s", self.engine.name, error)
            return True
        self.tally.reasons[key] = ended.reason
        if self._settings.grid:
            # A farm's browser is lent for one search: the next one may come from another machine.
            self._close_browser()
        self._desk.ended(gathering, (self.engine.name, term, asked.words), ended)
        return True

    def _searched(self, gathering: Gathering, term: str, asked: Filtered) -> Ended:
        """Search one term to its end, over refusals and crashes."""
        refusals = restarts = 0
        while True:
            try:
                return self._scrolled(gathering, term, asked)
            except EngineBlocked as error:
                refusals += 1
                if refusals > REFUSALS or self.stop.is_set():
                    raise
                self._rhythm.slow_down(wait=error.wait)
                if self._settings.display == "screen" and self._passed_by_hand():
                    continue
                log.warning("%s refuses (%s of %s); waiting.", self.engine.name, refusals, REFUSALS)
                seconds = self._rhythm.back_off(refusals, error.wait)
                log.debug("%s: waited %.0f s after: %s", self.engine.name, seconds, error)
            except TrayError:
                raise
            except Exception as error:  # Selenium and urllib3 each have their own ways to say that a browser died
                restarts += 1
                if restarts > RESTARTS or self.stop.is_set():
                    raise
                log.info("%s: its browser broke down (%s); starting another.", self.engine.name, type(error).__name__)
                log.debug("", exc_info=True)
                self._close_browser()

    def _passed_by_hand(self) -> bool:
        """Wait until the user has passed the challenge in the engine's window; return whether that happened.

        Only where the user asked for the screen: unattended nobody waits.
        """
        if self._hand_failed or self._window is None:
            return False
        log.warning(
            "%s wants a person: pass its challenge in the window, within %.0f minutes.",
            self.engine.name,
            HAND_SECONDS / 60,
        )
        until = time.monotonic() + HAND_SECONDS
        while time.monotonic() < until and not self.stop.wait(HAND_LOOKS):
            try:
                look = self._window.look(self.engine)
            except Exception:  # noqa: BLE001 - a window that was closed by hand is an answer too
                break
            if look.complete and not (look.blocked or look.wall or look.empty):
                log.info("%s: passed by hand; going on.", self.engine.name)
                return True
        self._hand_failed = True
        return False

    def _scrolled(self, gathering: Gathering, term: str, asked: Filtered) -> Ended:
        """Search one term once, and offer what comes."""
        inquiry = (self.engine.name, term, asked.words)
        steps = search(self._open_window(), asked.engine, term, self._rhythm, keep_page=self._keep_page)
        with closing(steps):
            for step in steps:
                if isinstance(step, Ended):
                    return step
                if self._full.falls("full" in candidate.kinds for candidate in step):
                    log.warning("%s: fewer and fewer results name their full size; slowing down.", self.engine.name)
                    self._rhythm.slow_down(share=THINNED)
                    self._rhythm.rest()
                for candidate in step:
                    self._desk.offer(gathering, replace(candidate, filters=asked.words))
                while gathering.pending[inquiry] > BACKLOG and gathering.wants(term):
                    if self.stop.wait(0.1):
                        break
                if self.stop.is_set():
                    break
                if not gathering.wants(term):
                    return Ended(SHARE if gathering.missing else LIMIT, finished=False)
        return Ended("stopped", finished=False)

    def _open_window(self) -> Window:
        """Return the window to search in; its browser starts when it is first needed, and again after it broke down."""
        if self._window is None:
            display = display_for(self.engine, self._settings, site=self._site)
            self._driver = self._stack.enter_context(chromium(self._settings, display=display, site=self._site))
            if self.stop.is_set():
                kill(self._driver)
            self._window = Window(self._driver)
        return self._window

    def _close_browser(self) -> None:
        self._window = None
        self._stack.close()
        self._driver = None


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


def page_keeper(into: Path, engine: Engine) -> Callable[[str], Path]:
    """Return what saves a page that was not understood."""

    def keep(html: str) -> Path:
        path = make_folder(into / ".pages") / f"{engine.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.html"
        write_whole(path, html.encode("utf-8", "replace"))
        return path

    return keep
