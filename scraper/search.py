"""One search in one window: from the term to the reason why no more results came."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataset.errors import EngineBlocked, EngineBroken
from scraper.browser import Look, Step, Window
from scraper.engines import Candidate, Engine, address, general, read
from scraper.pacing import Rhythm

log: Final = logging.getLogger("tray")

PATIENCE: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds that growth is waited for at the page's bottom, round after round, at pace 1."""
PATIENCE_FLOOR: Final = 0.25
BUSY_SECONDS: Final = 20.0
"""How long a spinner is believed."""
REPEATS: Final = 70
"""Results in a row that were all seen before in this search."""
CLICKS: Final = 3
"""Clicks on a show-more button that bring nothing."""
SCRIPT_FAILURES: Final = 5


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a search: why, and whether there is nothing more to come for this term."""

    reason: str
    finished: bool = True


def search(
    window: Window, engine: Engine, term: str, rhythm: Rhythm, *, keep_page: Callable[[str], Path]
) -> Iterator[list[Candidate] | Ended]:
    """Yield the results for a term as they are scrolled to, each once, and last the Ended.

    ``keep_page`` saves a page that nobody understood. Raises EngineBlocked when the engine refuses, EngineBroken when
    a page loads and nothing on it is recognised.
    """
    from selenium.common.exceptions import JavascriptException

    look = arrive(window, engine, address(engine, term), rhythm)
    if look.none:
        yield Ended("no results")
        return
    reader = engine
    seen: set[str] = set()
    rank, idle, clicks, repeated, failures = 1, 0, 0, 0, 0
    while True:
        distance, duration = rhythm.glide()
        wait = max(PATIENCE_FLOOR, PATIENCE[min(idle, len(PATIENCE) - 1)] * rhythm.pace)
        try:
            step = window.step(reader, distance=distance, duration=duration, wait=wait)
        except JavascriptException:
            # The page went elsewhere under the script's feet; where it went, the next look says.
            failures += 1
            if failures > SCRIPT_FAILURES:
                raise
            check(window.look(engine), engine)
            continue
        window.hover(step.hover, rhythm.dwell())
        new = _new(read(reader, step.tiles, term, first_rank=rank), seen)
        rank += len(step.tiles)
        if new:
            yield new
        repeated = 0 if new else repeated + len(step.tiles)
        if repeated >= REPEATS:
            yield Ended("end of results (they repeat)")
            return
        if step.moved or step.grew or step.tiles or step.hover:
            idle = 0
            clicks = 0 if step.grew or step.tiles else clicks
        else:
            idle += 1
            over, reader = _at_rest(window, engine, reader, step, idle, clicks, keep_page)
            if over == "clicked":
                clicks += 1
            elif over:
                break
        rhythm.pause(len(new))
    last = window.step(reader, flush=True, settle=0.0)
    if new := _new(read(reader, last.tiles, term, first_rank=rank), seen):
        yield new
    if not seen:
        raise broken(engine, term, window, keep_page)
    yield Ended("end of results")


def arrive(window: Window, engine: Engine, url: str, rhythm: Rhythm) -> Look:
    """Open a result page, refuse its cookies, and return what it looks like.

    Raises EngineBlocked when a captcha, a refusal or a consent page that stays is all there is.
    """
    window.close_others()
    window.open(url)
    look = window.settled(engine, seconds=5.0)
    if look.blocked.startswith("status:5") and look.status >= 500:
        # A single server error happens to everybody; a second one is meant.
        rhythm.pause()
        window.open(url)
        look = window.settled(engine, seconds=5.0)
    for _ in range(4):
        if not (look.wall or look.consent) or look.blocked:
            break
        if not look.consent or not window.click(look.consent):
            break
        look = _answered(window, engine, look)
    check(look, engine)
    return look


def check(look: Look, engine: Engine) -> None:
    """Raise EngineBlocked when a page is a refusal."""
    if look.blocked:
        raise EngineBlocked(
            f"Expected results from {engine.name}. Received: a refusal ({look.blocked}) at {look.address}. "
            f"Wait some hours and go on with the same command, or leave {engine.name} out with --engines."
        )
    if look.wall:
        raise EngineBlocked(
            f"Expected results from {engine.name}. Received: its consent page, which no button ends, at {look.address}. "
            f"Try --display screen and answer it by hand, or leave {engine.name} out with --engines."
        )


def broken(engine: Engine, term: str, window: Window, keep_page: Callable[[str], Path]) -> EngineBroken:
    """Save the page that is open and return the error that names it."""
    page = keep_page(window.html())
    return EngineBroken(
        f"Expected results for {term!r} on {engine.name}'s page. Received: a page without anything like one, "
        f"saved as {page}. Look at it with `tray doctor --page {page}`; [engines.{engine.name}] in tray.toml can mend it.",
        page=page,
    )


def _at_rest(  # noqa: PLR0913 - the whole state of a search that stands still
    window: Window,
    engine: Engine,
    reader: Engine,
    step: Step,
    idle: int,
    clicks: int,
    keep_page: Callable[[str], Path],
) -> tuple[str, Engine]:
    """Decide what a page means on which nothing moves: return what was done or why it is over, and the reader to go on with."""
    look = window.look(engine)
    check(look, engine)
    if look.consent and window.click(look.consent):
        return "", reader
    if not step.count and reader is engine and idle >= 2 and not look.busy:
        log.warning(
            "%s: none of its selectors match (the newest is of %s); reading its page without them. "
            "`tray doctor --live` says what to mend.",
            engine.name,
            engine.checked[0],
        )
        return "", general(engine)
    if look.more and clicks < CLICKS and window.click(look.more):
        return "clicked", reader
    # A page may say so a moment before the next batch comes; it means it when it says so twice.
    if look.end and idle >= 2:
        return "end", reader
    if look.busy and idle <= 2:
        _until_idle(window, reader, step)
        return "", reader
    return ("no growth" if idle >= len(PATIENCE) else ""), reader


def _until_idle(window: Window, reader: Engine, step: Step) -> None:
    """Wait while the page says that it is busy and brings nothing."""
    end = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < end:
        now = window.step(reader, wait=1.0, settle=0.0, hand_out=False)
        if now.count != step.count or not window.look(reader).busy:
            return


def _answered(window: Window, engine: Engine, before: Look) -> Look:
    """Wait until an answered question is gone, or another page came."""
    end = time.monotonic() + 5.0
    while True:
        look = window.settled(engine, seconds=0.2)
        if look.address != before.address or look.consent != before.consent or time.monotonic() > end:
            return look


def _new(candidates: list[Candidate], seen: set[str]) -> list[Candidate]:
    """Return the candidates whose best address was not seen, and note it."""
    new = []
    for candidate in candidates:
        if candidate.urls[0] not in seen:
            seen.add(candidate.urls[0])
            new.append(candidate)
    return new
