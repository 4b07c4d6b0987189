"""What is done in one window: open a page, look what it is, take a step, click, hover."""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dataset.errors import BrowserError
from scraper.download import wait_of
from scraper.engines import MARK, MORE, MORE_WORDS, OF_ENGINES, REFUSAL, REFUSING, Engine

COMPLETE_SECONDS = 1.0
ALERTS = 5
PANEL_SECONDS = 3.5
"""How long a panel may take to show a picture in full size."""
NET_ERROR = re.compile(r"(?:net::)?ERR_\w+")
"""What the browser says on a page of its own, when no answer came."""
OWN_PAGE = "chrome-error:"
DRIVER_SECONDS = 2.0
"""How much longer than a page its driver may take to say so."""
BEGUN = """window.stop();
return location.protocol.startsWith("http") && performance.now() < arguments[0] + 500"""
"""Whether the page that is open began to load no longer ago than so many milliseconds."""
EMPTY_ANSWER = "net::ERR_HTTP_RESPONSE_CODE_FAILURE"
SCRIPTED = frozenset({"XHR", "Fetch"})
"""What the driver calls that which a page's own scripts ask for."""
MARKERS = ("blocked", "wall", "consent", "none", "end", "more")


@dataclass(frozen=True, slots=True)
class Look:
    """What kind of page is open; each marker that holds, or an empty string."""

    address: str = ""
    status: int = 0
    empty: bool = False
    blocked: str = ""
    wall: str = ""
    consent: str = ""
    none: str = ""
    end: str = ""
    more: str = ""
    busy: str = ""
    tiles: bool = False
    """Whether there is a result on it."""
    complete: bool = False
    """Whether it has loaded all that it asked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step down the page brought."""

    tiles: list[str]
    """HTML of the results that were not handed out before."""
    hover: list[list[int]]
    """Middles of results whose link comes with the mouse, in pixels of the window."""
    press: list[int]
    """Middle of a result to click, on a page where the mouse alone brought nothing; else empty."""
    count: int
    """Results on the page, handed out or not."""
    grew: bool
    """Whether there are other results, or a longer page, than at the end of the step before."""
    moved: bool
    bottom: bool
    answers: Sequence[float] = ()
    """How many seconds ago each answer came that the page's own scripts got so far, the oldest first."""
    hidden: bool = False
    """Whether another window covers the page."""
    sent: int = 0
    """Number of the answer, which the next step returns as received."""


class NoPage(BrowserError):
    """No page came from an address at all: the line is down, or its server says nothing."""


def _no_page(address: str, failure: str) -> NoPage:
    return NoPage(
        f"Expected a page from {address}. Received: {failure}. "
        f"Check the connection, and run the same command again; what was kept stays."
    )


@cache
def script(name: str) -> str:
    """Return the text of a script that lies beside this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


class Window:
    """One window of a WebDriver, on one engine's pages."""

    def __init__(self, driver: Any, *, page_seconds: float = 30.0) -> None:
        self.driver = driver
        self.lost = False
        """Whether its driver may still wait for an answer, and is of no more use."""
        self.page_seconds = page_seconds
        """How long a page is waited for."""
        self._handle = driver.current_window_handle
        self._received = 0
        self._notes: list[dict[str, Any]] = []
        self._asked: dict[str, float] = {}
        """When each request of the page's scripts was made that has no answer yet."""

    def open(self, address: str) -> None:
        """Open an address and wait until the page can be looked at; raises NoPage when none comes."""
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import ReadTimeoutError

        self._answers().clear()
        self._asked.clear()
        self.driver.set_page_load_timeout(self.page_seconds)
        client = self.driver.command_executor.client_config
        patience, client.timeout = client.timeout, self.page_seconds + DRIVER_SECONDS
        try:
            came = self._came(address)
        except ReadTimeoutError:
            # A driver that notes answers waits for the first one, whatever its limit.
            came = False
        except WebDriverException as error:
            failure = NET_ERROR.search(str(error.msg))
            if not failure:
                raise
            # An answer without a page: looking at it will say what it was.
            if failure[0] != EMPTY_ANSWER:
                raise _no_page(address, failure[0]) from error
            came = True
        finally:
            client.timeout = patience
        if not came:
            self.lost = True
            raise _no_page(address, f"no answer in {self.page_seconds:g} s")

    def _came(self, address: str) -> bool:
        """Open an address; return whether at least the beginning of its page is there."""
        from selenium.common.exceptions import TimeoutException

        began = time.monotonic()
        try:
            self.driver.get(address)
        except TimeoutException:
            # What came so far may do; the page before, still open, must not be taken for it.
            return bool(self.driver.execute_script(BEGUN, 1000 * (time.monotonic() - began)))
        return True

    def asked_to_wait(self) -> float:
        """Return the seconds of Retry-After in the newest answer to the page or its scripts that has one; else 0."""
        wait = 0.0
        for answer in self._answers():
            headers = {name.lower(): value for name, value in answer["response"]["headers"].items()}
            wait = wait_of(headers.get("retry-after", "")) or wait
        return wait

    def refused(self, engine: Engine) -> str:
        """Return the marker of a refusal that the page's scripts got last, of which the page itself shows nothing."""
        batches = [answer["response"] for answer in self._answers() if answer["type"] != "Document"]
        if not batches:
            return ""
        markers = {f"status:{batches[-1]['status']}"}
        markers |= {one for one in engine.blocked if one.startswith("url:") and one[4:] in batches[-1]["url"]}
        return next((one for one in engine.blocked if one in markers), "")

    def batch_status(self) -> int:
        """Return the status of what the page's scripts got last; 0 where they asked for nothing."""
        batches = [answer["response"] for answer in self._answers() if answer["type"] != "Document"]
        return int(batches[-1]["status"]) if batches else 0

    def awaits(self, seconds: float = math.inf) -> bool:
        """Whether the page's scripts wait for something that they asked for no longer ago than so many seconds."""
        self._answers()
        return any(time.monotonic() - asked < seconds for asked in self._asked.values())

    def _answers(self) -> list[dict[str, Any]]:
        """Return the driver's notes of the answers to this page and to what its scripts asked for.

        They pile up in the driver until they are taken. A remote may keep none.
        """
        if not hasattr(self.driver, "get_log"):
            return []
        from selenium.common.exceptions import WebDriverException

        try:
            lines = [line["message"] for line in self.driver.get_log("performance")]
        except WebDriverException:
            return []
        for note in (json.loads(line)["message"] for line in lines if '"Network.' in line):
            what, told = note["method"].removeprefix("Network."), note["params"]
            if what == "requestWillBeSent" and told.get("type") in SCRIPTED:
                self._asked[told["requestId"]] = time.monotonic()
            elif what in {"loadingFinished", "loadingFailed"}:
                self._asked.pop(told["requestId"], None)
            elif what == "responseReceived" and told.get("type") in {"Document", *SCRIPTED}:
                self._notes.append(told)
        return self._notes

    def look(self, engine: Engine) -> Look:
        """Say what kind of page is open; raises NoPage for the browser's own word that none came."""
        markers: dict[str, Any] = {name: list(getattr(engine, name)) for name in (*MARKERS, "tile")}
        markers |= {"refusing": REFUSING.pattern, "refusal": REFUSAL, "further": MORE, "moreWords": MORE_WORDS.pattern}
        answer = self._ask(self.driver.execute_script, "look.js", markers)
        look = Look(**answer) if answer else Look()
        if look.address.startswith(OWN_PAGE) and not look.status:
            failure = NET_ERROR.search(self.driver.execute_script("return document.body.innerText"))
            raise _no_page(self.address(), failure[0] if failure else "an error page of the browser's own")
        return look

    def _ask(self, run: Callable[..., Any], name: str, options: dict[str, Any]) -> dict[str, Any] | None:
        """Return what one of our scripts answers; None where the page's alerts keep it from answering."""
        from selenium.common.exceptions import UnexpectedAlertPresentException

        for _ in range(ALERTS):
            # An alert that was sent away takes the script's answer with it; some that come meanwhile are told of.
            with suppress(UnexpectedAlertPresentException):
                if answer := run(script(name), options):
                    return dict(answer)
        return None

    def step(  # noqa: PLR0913 - the parts of one movement
        self,
        engine: Engine,
        *,
        distance: float = 0.0,
        duration: float = 0.0,
        settle: float = 0.3,
        wait: float = 0.0,
        flush: bool = False,
        hand_out: bool = True,
        looks: int = 3,
    ) -> Step:
        """Scroll by a share of the window's height in so many seconds, wait, and hand out the new results.

        ``settle`` is how long the pictures in view are waited for, ``wait`` how long growth is at the page's bottom;
        with ``flush`` results are handed out as they are, loaded or not, and without ``hand_out`` none are.
        After so many ``looks`` a result that is not loaded is handed out too.
        """
        options = {
            "tile": ", ".join(engine.tile),
            "reveal": engine.reveal,
            "panel": ", ".join(engine.panel),
            "inline": engine.inline,
            "own": OF_ENGINES.pattern,
            "mark": MARK,
            "distance": distance,
            "duration": duration * 1000,
            "settle": settle * 1000,
            "wait": wait * 1000,
            "looks": looks,
            "patience": PANEL_SECONDS * 1000,
            "flush": flush,
            "handOut": hand_out,
            "received": self._received,
        }
        answer = self._ask(self.driver.execute_async_script, "step.js", options)
        if not answer or "error" in answer:
            from selenium.common.exceptions import JavascriptException

            raise JavascriptException(answer["error"] if answer else "no answer")
        step = Step(**answer)
        self._received = step.sent
        if step.hidden:
            self.close_others()
        return step

    def hover(self, points: Sequence[Sequence[int]], dwell: float) -> None:
        """Move the mouse over the points, one after the other, and stay on each for ``dwell`` seconds."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        if not points:
            return
        # One request for all of them: the driver itself takes the time.
        mouse = ActionBuilder(self.driver, duration=int(dwell * 500))
        for x, y in points:
            mouse.pointer_action.move_to_location(x, y)  # type: ignore[no-untyped-call]
            mouse.pointer_action.pause(dwell / 2)
        mouse.perform()

    def press(self, point: Sequence[int]) -> None:
        """Close what a click before has opened, and click at a point of the window."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        chain = ActionChains(self.driver, duration=50).send_keys(Keys.ESCAPE)
        chain.w3c_actions.pointer_action.move_to_location(*point)  # type: ignore[no-untyped-call]
        chain.w3c_actions.pointer_action.click()
        chain.w3c_actions.key_action.pause()
        chain.perform()

    def address(self) -> str:
        """Return the address of the page that is open, without its fragment."""
        return str(self.driver.current_url).partition("#")[0]

    def click(self, selector: str) -> bool:
        """Click the first visible element that matches; return whether there was one."""
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            ElementNotInteractableException,
            StaleElementReferenceException,
        )

        for element in self.driver.find_elements("css selector", selector):
            try:
                if element.is_displayed():
                    element.click()
                    return True
            except (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException):
                continue
        return False

    def html(self) -> str:
        """Return the page as it stands."""
        return str(self.driver.page_source)

    def close_others(self) -> None:
        """Close windows that a page opened."""
        others = [handle for handle in self.driver.window_handles if handle != self._handle]
        for handle in others:
            self.driver.switch_to.window(handle)
            self.driver.close()
        if others:
            self.driver.switch_to.window(self._handle)

    def settled(self, engine: Engine, *, seconds: float) -> Look:
        """Look again and again until the page shows something known, for so many seconds at most."""
        end = time.monotonic() + seconds
        complete = False
        while True:
            look = self.look(engine)
            if look.blocked or look.wall or look.none or look.tiles or time.monotonic() > end:
                return look
            if look.complete and not complete:
                # Everything is there that the page itself asked for; its scripts may take a moment more.
                complete, end = True, min(end, time.monotonic() + COMPLETE_SECONDS)
            time.sleep(0.05)
