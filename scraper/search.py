"""One search in one window: from the term to the reason why no more results came."""

import logging
import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dataset.errors import EngineBlocked, EngineBroken
from scraper.browser import Look, NoPage, Step, Window
from scraper.engines import Candidate, Engine, address, general, read
from scraper.pacing import Rhythm

log: Final = logging.getLogger("tray")

PATIENCE: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds that growth is waited for at the page's bottom, round after round, at pace 1."""
PATIENCE_FLOOR: Final = 0.25
END: Final = "end of results"
WENT_ON: Final = "no more came (its page went on loading)"
NO_BATCH: Final = "no more came (its last batch failed)"
NO_NEXT: Final = "no more came (its next page did not)"
CUT_SHORT: Final = frozenset({WENT_ON, NO_BATCH, NO_NEXT})
"""Ends after which another run may find more: the line may have been down."""
BUSY_SECONDS: Final = 20.0
"""How long a spinner is believed, and an answer to the page's scripts is waited for."""
REPEATS: Final = 70
"""Results in a row that were all seen before in this search."""
BARREN: Final = 80
"""Steps in a row that moved and brought nothing new."""
ONE_PAGE: Final = 75
"""Results up to which a page that has offsets is taken to have brought none by itself: it has 60."""
NUDGES: Final = 2
"""Idle steps after which a page is moved that lost a batch."""
WAITS: Final = 2
"""Times that a page is waited for which is busy, until it grows again."""
CLICKS: Final = 3
"""Clicks on a show-more button that bring nothing."""
SCRIPT_FAILURES: Final = 5


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a search: why, and whether there is nothing more to come for this term."""

    reason: str
    finished: bool = True


def search(  # noqa: PLR0913 - where, what, how, and from which result on
    window: Window,
    engine: Engine,
    term: str,
    rhythm: Rhythm,
    *,
    keep_page: Callable[[str], Path],
    first: int = 1,
) -> Generator[list[Candidate] | Ended, None, None]:
    """Yield the results for a term as they are scrolled to, each once, and last the Ended.

    ``first`` is the rank to begin with, where the engine's pages have addresses of their own; elsewhere they begin at
    the top. ``keep_page`` saves a page that nobody understood. Raises EngineBlocked when the engine refuses,
    EngineBroken when a page loads and nothing on it is recognised.
    """
    url = page_from(engine, term, first)
    begun = first if url else 1
    state = Reading(engine, term, reader=engine, rank=begun)
    look = arrive(window, engine, url or address(engine, term), rhythm)
    if look.none:
        yield Ended(END if begun > 1 else "no results")
        return
    while not state.over:
        rhythm.before_asking()
        step = _stepped(window, state, rhythm)
        if step is None:
            continue
        answered = state.count(step, rhythm)
        window.hover(step.hover, rhythm.dwell())
        _press(window, state, step)
        new = state.take(step)
        if new:
            yield new
        if answered:
            _check_batches(window, state.engine)
        if not (step.moved or step.grew or step.tiles or step.hover or step.press):
            state.idle += 1
            _rest(window, state, step, rhythm)
        rhythm.pause(len(new))
        if state.over:
            step = window.step(state.reader, flush=True, settle=0.0)
            state.count(step, rhythm)
            if new := state.take(step):
                yield new
            _turn_page(window, state, rhythm)
    if not state.seen and begun == 1:
        raise broken(engine, term, window, keep_page)
    yield Ended(state.over, finished=state.over not in CUT_SHORT)


@dataclass(slots=True)
class Reading:
    """How far a search has come."""

    engine: Engine
    term: str
    reader: Engine
    """The engine as its page is read: itself, or without its selectors."""
    seen: set[str] = field(default_factory=set)
    """Best addresses of the results so far."""
    rank: int = 1
    idle: int = 0
    """Steps in a row that brought nothing and moved nothing."""
    waits: int = 0
    """Times that a busy page was waited for since it last grew."""
    told: bool = False
    """Whether the page said that this is its end when it was looked at last, and has not grown since."""
    clicks: int = 0
    """Clicks on show-more buttons since the page last grew."""
    repeated: int = 0
    """Results in a row that were all seen before."""
    barren: int = 0
    """Steps in a row without a new result."""
    failures: int = 0
    known: int = 0
    """Results before the page that is open, where pages follow each other by address."""
    counted: int = 0
    """Answers to the scripts of the page that is open which are counted."""
    over: str = ""
    """Why the search has ended; empty while it goes on."""

    def count(self, step: Step, rhythm: Rhythm) -> bool:
        """Count what the page's scripts got since it was looked at last; return whether that was anything."""
        fresh = step.answers[self.counted :]
        rhythm.allowance.count(*fresh)
        self.counted = len(step.answers)
        return bool(fresh)

    def take(self, step: Step) -> list[Candidate]:
        """Read a step's tiles; return the results that are new."""
        new = []
        for candidate in read(self.reader, step.tiles, self.term, first_rank=self.rank):
            if candidate.urls[0] not in self.seen:
                self.seen.add(candidate.urls[0])
                new.append(candidate)
        self.rank += len(step.tiles)
        self.repeated = 0 if new else self.repeated + len(step.tiles)
        self.barren = 0 if new else self.barren + 1
        if self.repeated >= REPEATS:
            self.over = f"{END} (they repeat)"
        elif self.barren >= BARREN:
            self.over = "no more came (its page moves on without results)"
        if step.grew or step.tiles:
            self.grown()
        elif step.moved or step.hover or step.press:
            self.idle = 0
        return new

    def grown(self) -> None:
        """Be as patient as at first: something came."""
        self.idle = self.waits = self.clicks = 0
        self.told = False


def _press(window: Window, state: Reading, step: Step) -> None:
    """Click the result that a step names; where the click leads away, come back, and click no more."""
    if not step.press:
        return
    here = window.address()
    window.press(step.press)
    if window.settled(state.engine, seconds=0.0).address.partition("#")[0] != here:
        window.open(here)
        state.counted = 0
        state.reader = replace(state.reader, panel=())


def _turn_page(window: Window, state: Reading, rhythm: Rhythm) -> None:
    """Open the next page by its address, where pages bring no more by themselves and the last one brought new ones."""
    new = len(state.seen) - state.known
    state.known = len(state.seen)
    url = page_from(state.engine, state.term, state.rank)
    if not url or not 0 < new <= ONE_PAGE or state.over != END:
        return
    state.counted = 0
    try:
        look = arrive(window, state.engine, url, rhythm)
    except NoPage:
        state.over = NO_NEXT
        return
    if not look.none:
        state.over = ""
        state.grown()


def page_from(engine: Engine, term: str, rank: int) -> str:
    """Return the address of the page that begins with a rank; empty where pages have no addresses of their own."""
    first = re.compile(rf"([?&]{re.escape(engine.offset)}=)\d+")
    url = address(engine, term)
    return first.sub(rf"\g<1>{rank}", url) if engine.offset and first.search(url) else ""


def _stepped(window: Window, state: Reading, rhythm: Rhythm) -> Step | None:
    """Take one step down the page; None when the page went elsewhere meanwhile."""
    from selenium.common.exceptions import JavascriptException

    distance, duration = rhythm.glide()
    wait = max(PATIENCE_FLOOR, PATIENCE[min(state.idle, len(PATIENCE) - 1)] * rhythm.pace)
    try:
        return window.step(state.reader, distance=distance, duration=duration, wait=wait)
    except JavascriptException:
        state.failures += 1
        if state.failures > SCRIPT_FAILURES:
            raise
        check(window.look(state.engine), state.engine, window)
        return None


def arrive(window: Window, engine: Engine, url: str, rhythm: Rhythm) -> Look:
    """Open a result page, refuse its cookies, and return what it looks like.

    Raises EngineBlocked when a captcha, a refusal or a consent page that stays is all there is, NoPage when no page
    comes at all.
    """
    window.close_others()
    look = _opened(window, engine, url, rhythm)
    if look.blocked.startswith("status:5") and look.status >= 500:
        # A single server error happens to everybody; a second one is meant.
        rhythm.pause()
        look = _opened(window, engine, url, rhythm)
    for _ in range(4):
        if not (look.wall or look.consent) or look.blocked:
            break
        if not look.consent or not window.click(look.consent):
            break
        look = _answered(window, engine, look)
    check(look, engine, window)
    return look


def _opened(window: Window, engine: Engine, url: str, rhythm: Rhythm) -> Look:
    rhythm.before_asking()
    window.open(url)
    look = window.settled(engine, seconds=5.0)
    if not look.blocked:
        rhythm.allowance.count(0.0)
    return look


def check(look: Look, engine: Engine, window: Window) -> None:
    """Raise EngineBlocked when a page is a refusal."""
    if look.blocked:
        raise EngineBlocked(
            f"Expected results from {engine.name}. Received: a refusal ({look.blocked}) at {look.address}. "
            f"Wait some hours and go on with the same command, or leave {engine.name} out with --engines.",
            wait=window.asked_to_wait(),
        )
    if look.wall:
        raise EngineBlocked(
            f"Expected results from {engine.name}. Received: a consent page that no button ends, at {look.address}. "
            f"Try --display screen and answer it by hand, or leave {engine.name} out with --engines."
        )


def _check_batches(window: Window, engine: Engine) -> None:
    """Raise EngineBlocked when what the page's scripts got last is a refusal; a server's error may pass by itself."""
    marker = window.refused(engine)
    if marker and not marker.startswith("status:5"):
        check(replace(window.look(engine), blocked=marker), engine, window)


def broken(engine: Engine, term: str, window: Window, keep_page: Callable[[str], Path]) -> EngineBroken:
    """Save the page that is open and return the error that names it."""
    page = keep_page(window.html())
    return EngineBroken(
        f"Expected results for {term!r} from {engine.name}. Received: a page with nothing like one, "
        f"saved as {page}. See `tray doctor --page {page}`; [engines.{engine.name}] in tray.toml mends it.",
        page=page,
    )


def _rest(window: Window, state: Reading, step: Step, rhythm: Rhythm) -> None:
    """Decide what a page means on which nothing moves: ask it for more, read it otherwise, wait, or call it the end."""
    look = window.look(state.engine)
    check(look, state.engine, window)
    if look.consent and window.click(look.consent):
        return
    told, state.told = state.told, bool(look.end)
    if state.waits < WAITS and window.awaits(BUSY_SECONDS):
        _until_idle(window, state)
    elif not step.count and state.reader is state.engine and state.idle >= 2 and not look.busy:
        log.warning(
            "%s: none of its selectors match (the newest is of %s); reading its page without them. "
            "`tray doctor --live` says what to mend.",
            state.engine.name,
            state.engine.checked[0],
        )
        state.reader = general(state.engine)
        state.grown()
    # A click scrolls down to its button: where nothing is recognised yet, past all there is.
    elif look.more and step.count and state.clicks < CLICKS and window.click(look.more):
        state.clicks += 1
    elif state.idle <= NUDGES and window.batch_status() >= 400:
        # A page asks again for a batch that failed when one moves on it.
        _grew(window, state, distance=-0.3, duration=0.3 * rhythm.pace)
        _grew(window, state, distance=0.3, duration=0.3 * rhythm.pace)
    elif state.waits < WAITS and look.busy:
        _until_idle(window, state)
    # A page may say so a moment before the next batch comes; it means it when it says so twice.
    elif (look.end and told) or (state.idle >= len(PATIENCE) and not look.end):
        _judge(window, state, look)


def _judge(window: Window, state: Reading, look: Look) -> None:
    """Say why a page on which nothing moves any more has ended, unless something came just now."""
    if _grew(window, state):
        return
    check(replace(look, blocked="" if look.end else window.refused(state.engine)), state.engine, window)
    state.over = END
    if not look.end and (look.busy or window.awaits()):
        state.over = WENT_ON
    elif not look.end and window.batch_status() >= 500:
        state.over = NO_BATCH


def _until_idle(window: Window, state: Reading) -> None:
    """Wait while the page says that it is busy, or its scripts wait for an answer, and it brings nothing.

    Patience is for a page that does nothing: this is no part of it.
    """
    state.waits += 1
    state.idle -= 1
    end = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < end:
        if _grew(window, state, wait=1.0):
            return
        if not (window.look(state.engine).busy or window.awaits(BUSY_SECONDS)):
            return


def _grew(window: Window, state: Reading, *, distance: float = 0.0, duration: float = 0.0, wait: float = 0.0) -> bool:
    """Take a step without taking results; return whether the page has grown, which is a reason to be patient."""
    step = window.step(state.reader, distance=distance, duration=duration, settle=0.0, wait=wait, hand_out=False)
    if step.grew:
        state.grown()
    return step.grew


def _answered(window: Window, engine: Engine, before: Look) -> Look:
    """Wait until an answered question is gone, or another page came."""
    end = time.monotonic() + 5.0
    while True:
        look = window.settled(engine, seconds=0.2)
        if look.address != before.address or look.consent != before.consent or time.monotonic() > end:
            return look
