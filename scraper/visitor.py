"""One browser at one engine: it searches a term to its end, over refusals, challenges and crashes."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from dataset.errors import EngineBlocked, TrayError
from dataset.tray import Scrape
from scraper.browser import NoPage, Window
from scraper.chromium import chromium, display_for, kill
from scraper.engines import Candidate, Engine
from scraper.filters import Filtered
from scraper.gathering import Gathering
from scraper.pacing import RECENT, THINNED, FullShare, Rhythm
from scraper.search import Ended, search
from scraper.tally import LIMIT, SHARE

log: Final = logging.getLogger("tray")

BACKLOG: Final = 200
"""Results of a search that wait for their download before it scrolls on."""
REFUSALS: Final = 3
RESTARTS: Final = 3
THINNINGS: Final = 3
"""Times that a search looks again at results which came without their full size."""
MISSES: Final = 1
"""Pages that may fail to come, one after the other."""
HAND_SECONDS: Final = 300.0
"""How long a user with a screen is given to pass a challenge."""
HAND_LOOKS: Final = 1.0


class Thinned(Exception):
    """An engine that named full sizes before names hardly any now."""


@dataclass(slots=True)
class Way:
    """How far one search came, over all its interruptions."""

    rank: int = 1
    """From where it goes on, where pages have addresses of their own."""
    met: set[str] = field(default_factory=set)
    """Best addresses of the results that were offered."""
    held: deque[Candidate] = field(default_factory=deque)
    """The latest results without a full size: they come again with one, if the engine is merely tired of us."""
    bare: set[str] = field(default_factory=set)
    """Best addresses of those that it was taken up again for."""
    thinned: int = 0
    """Times that it was taken up again because they were many."""

    def go_back(self) -> None:
        """Let go of what is held: it comes again."""
        if self.held:
            self.rank = self.held[0].rank
            self.bare |= {candidate.urls[0] for candidate in self.held}
            self.met -= self.bare
            self.held.clear()


class Visitor:
    """One browser's visits to an engine; it starts when it is first needed, and again after it broke down."""

    def __init__(  # noqa: PLR0913 - what a browser of its own has to know
        self,
        engine: Engine,
        settings: Scrape,
        rhythm: Rhythm,
        offer: Callable[[Gathering, Candidate], None],
        *,
        stop: threading.Event,
        keep_page: Callable[[str], Path],
        site: str | None,
    ) -> None:
        self.engine = engine
        self.rhythm = rhythm
        self.stop = stop
        self.refusals = 0
        """Times that the engine refused, over all searches."""
        self._settings = settings
        self._offer = offer
        self._keep_page = keep_page
        self._site = site
        self._full = FullShare()
        self._looks_again = settings.kinds != "thumbnails"
        self._stack = ExitStack()
        self._window: Window | None = None
        self._driver: Any = None
        self._hand_failed = False

    def kill(self) -> None:
        """End the browser at once, from another thread."""
        if (driver := self._driver) is not None:
            kill(driver)

    def search(self, gathering: Gathering, term: str, asked: Filtered) -> Ended:
        """Search one term to its end, or to where no more is wanted.

        Raises EngineBlocked when the engine goes on refusing, EngineBroken for a page that nobody understands, and
        NoPage when none comes.
        """
        way = Way()
        try:
            return self._searched(gathering, term, asked, way)
        finally:
            for candidate in way.held:
                self._offer(gathering, candidate)

    def _searched(self, gathering: Gathering, term: str, asked: Filtered, way: Way) -> Ended:
        """Search one term, again after each interruption: where it was, or from the top where pages have no address."""
        refusals = restarts = missed = 0
        while True:
            try:
                return self._scrolled(gathering, term, asked, way)
            except Thinned:
                way.thinned += 1
                log.warning("%s: fewer and fewer results name their full size; slowing down.", self.engine.name)
                self._ease()
            except EngineBlocked as error:
                refusals += 1
                self.refusals += 1
                if refusals > REFUSALS or self.stop.is_set():
                    raise
                self._wait_out(error, refusals)
            except NoPage as error:
                missed += 1
                if missed > MISSES or self.stop.is_set():
                    raise
                log.info("%s: %s", self.engine.name, error)
                self.rhythm.pause()
            except TrayError:
                raise
            except Exception as error:  # Selenium and urllib3 each have their own ways to say that a browser died
                restarts += 1
                if restarts > RESTARTS or self.stop.is_set():
                    raise
                log.info("%s: its browser broke down (%s); starting another.", self.engine.name, type(error).__name__)
                log.debug("", exc_info=True)
                self.close()

    def _wait_out(self, error: EngineBlocked, refusals: int) -> None:
        """Slow down, and wait until a person has passed the challenge, or until the engine may have forgotten."""
        if self._settings.display == "screen" and self._passed_by_hand():
            self.rhythm.slow_down(share=1.0, wait=error.wait)
            return
        self.rhythm.slow_down(wait=error.wait)
        seconds = self.rhythm.shut_for(refusals, error.wait)
        log.warning(
            "%s refuses (%s of %s); leaving it alone for %.0f s, and asking it for less from then on.",
            *(self.engine.name, refusals, REFUSALS, seconds),
        )
        log.debug("%s: %s", self.engine.name, error)
        self.rhythm.back_off(seconds)

    def _ease(self) -> None:
        """Ask for less, and rest."""
        self.rhythm.slow_down(share=THINNED)
        self.rhythm.rest()

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

    def _scrolled(self, gathering: Gathering, term: str, asked: Filtered, way: Way) -> Ended:
        """Search one term once, and offer what comes and was not offered."""
        way.go_back()
        inquiry = (self.engine.name, term, asked.words)
        steps = search(self._open_window(), asked.engine, term, self.rhythm, keep_page=self._keep_page, first=way.rank)
        with closing(steps):
            for step in steps:
                if isinstance(step, Ended):
                    return step
                self._take(gathering, [replace(candidate, filters=asked.words) for candidate in step], way)
                # Thumbnails put off to the end wait for the end of this search: it must not wait for them.
                while gathering.under_way_of(inquiry) > BACKLOG and gathering.wants(term):
                    if self.stop.wait(0.1):
                        break
                if self.stop.is_set():
                    break
                if not gathering.wants(term):
                    return Ended(SHARE if gathering.missing else LIMIT, finished=False)
        return Ended("stopped", finished=False)

    def _take(self, gathering: Gathering, candidates: Sequence[Candidate], way: Way) -> None:
        """Offer results; those without a full size only once enough came after them to know that it is no bad mood.

        Raises Thinned when it is one, and they are worth another look.
        """
        for candidate in candidates:
            way.rank = candidate.rank + 1
            if candidate.urls[0] not in way.met:
                way.met.add(candidate.urls[0])
                if "full" in candidate.kinds:
                    self._offer(gathering, candidate)
                else:
                    way.held.append(candidate)
        if self._full.falls("full" in candidate.kinds for candidate in candidates):
            # Those that come so a second time are all there is.
            self._looks_again &= way.thinned < THINNINGS and way.bare.isdisjoint(one.urls[0] for one in way.held)
            if self._looks_again:
                raise Thinned
            self._ease()
        while way.held and (len(way.held) > RECENT or not self._looks_again):
            self._offer(gathering, way.held.popleft())

    def _open_window(self) -> Window:
        """Return the window to search in; its browser starts when it is first needed, and again after it broke down."""
        if self._window is not None and self._window.lost:
            self.close()
        if self._window is None:
            display = display_for(self.engine, self._settings, site=self._site)
            self._driver = self._stack.enter_context(chromium(self._settings, display=display, site=self._site))
            if self.stop.is_set():
                kill(self._driver)
            self._window = Window(self._driver, page_seconds=self._settings.page_timeout)
        return self._window

    def close(self) -> None:
        """End the browser; the next search starts another."""
        self._window = None
        self._stack.close()
        self._driver = None
