"""Who may see an engine's pages, and when: refusals, throttling, consent."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import quote

from scraper.simulator.reply import Reply, Visit
from scraper.simulator.world import World

COOKIES = {"google": "SOCS", "bing": "BCP", "yahoo": "GUC"}
SLOW = 1.5  # how long a batch takes when too many were asked for
THINS, REFUSES = 1.25, 1.5  # shares of what an engine bears at which it gives thumbnails only, and nothing


@dataclass(slots=True)
class Tally:
    """What one engine remembers of its visitor."""

    asked: deque[float] = field(default_factory=deque)
    refused_until: float = 0.0
    refusals: int = 0


class Gate:
    """Stands before the engines' pages and remembers who asked how often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._first: Counter[str] = Counter()

    def first(self, what: str) -> bool:
        """Tell whether something is asked for the first time."""
        with self._lock:
            self._first[what] += 1
            return self._first[what] == 1

    def refusals(self, engine: str) -> int:
        """Return how often an engine refused for asking too much."""
        with self._lock:
            return self._tallies[engine].refusals if engine in self._tallies else 0

    def stops(self, visit: Visit, engine: str, world: World) -> Reply | None:
        """Return what a visitor gets in place of the page that was asked for; None to let it in."""
        scenario = world.scenario
        if engine in scenario.blocked or (
            engine in scenario.headless and "HeadlessChrome" in visit.headers.get("user-agent", "")
        ):
            return refusal(visit, engine, world, 0.0)
        if scenario.hiccup and engine == "yahoo" and self.first("hiccup"):
            return Reply.page("", 500)
        if scenario.throttle and (wait := self._remaining(engine)):
            return refusal(visit, engine, world, wait)
        if blocking_page(visit):
            return Reply.moved(visit.query.get("continue", f"{world.origin}/{engine}/search"))
        return consent(visit, engine, world)

    def load(self, engine: str, world: World) -> float:
        """Count a page or batch; return how much of what the engine bears in a minute is used (1 is the limit).

        Above 1 batches come slowly, from THINS on without addresses, and at REFUSES the engine refuses for a time.
        """
        limit, scenario, now = world.scenario.throttle, world.scenario, time.monotonic()
        if not limit:
            return 0.0
        with self._lock:
            tally = self._tallies.setdefault(engine, Tally())
            tally.asked.append(now)
            while now - tally.asked[0] > scenario.minute:
                tally.asked.popleft()
            used = len(tally.asked) / limit
            if used >= REFUSES:
                tally.refused_until = now + scenario.lifts * 2**tally.refusals
                tally.refusals += 1
                tally.asked.clear()
            return used

    def _remaining(self, engine: str) -> float:
        with self._lock:
            tally = self._tallies.get(engine)
            return max(0.0, tally.refused_until - time.monotonic()) if tally else 0.0


def is_batch(visit: Visit) -> bool:
    """Tell whether a page's own script asks for more results."""
    return "async" in visit.query or visit.path.endswith("/async") or visit.number("b", 1) > 1


def blocking_page(visit: Visit) -> bool:
    """Tell whether a visit asks for a page on which an engine refuses."""
    return any(part in visit.path for part in ("/sorry/", "/turing/"))


def refusal(visit: Visit, engine: str, world: World, wait: float) -> Reply:
    """Return an engine's refusal: Google's and Bing's page with a puzzle, Yahoo's error; no wait, no word of it."""
    again = {"Retry-After": str(max(1, round(wait)))} if wait else {}
    if engine == "yahoo":
        headless = "HeadlessChrome" in visit.headers.get("user-agent", "") and engine in world.scenario.headless
        return Reply.page("", 500) if headless else Reply.page(world.render("yahoo_error.html"), 999, **again)
    if blocking_page(visit):
        return Reply.page(world.render(f"{engine}_sorry.html"), 429 if engine == "google" else 200, **again)
    place = "google/sorry/index" if engine == "google" else "bing/turing/captcha/challenge"
    return Reply.moved(f"{world.origin}/{place}?continue={quote(world.origin + visit.target, safe='')}")


def consent(visit: Visit, engine: str, world: World) -> Reply | None:
    """Return the next step of an engine's consent pages; None where it has consent, or asks on the page itself."""
    if world.scenario.consent != "page" or engine == "bing":
        return None
    if engine == "yahoo":
        return yahoo_consent(visit, world)
    if visit.path == "/google/consent.google.com/save":
        chosen = "CAESHAgB" if visit.query.get("set_eom") == "true" else "CAISHAgC"
        return granted("google", visit.query.get("continue", world.origin), chosen)
    if visit.path == "/google/consent.google.com/m":
        return Reply.page(world.render("google_consent.html", onward=visit.query.get("continue", "")))
    if agreed(visit, "google"):
        return None
    onward = quote(world.origin + visit.target, safe="")
    return Reply.moved(f"{world.origin}/google/consent.google.com/m?continue={onward}&gl=DE&m=0&pc=irp&hl=en&src=1")


def yahoo_consent(visit: Visit, world: World) -> Reply | None:
    """Return the next step of Yahoo's chain of consent pages; None where there is consent."""
    base, onward = f"{world.origin}/yahoo", visit.query.get("done", "")
    match visit.path:
        case "/yahoo/guce.yahoo.com/consent":
            return Reply.moved(
                f"{base}/consent.yahoo.com/v2/collectConsent?sessionId=1_cc-session_7&done={quote(onward, safe='')}"
            )
        case "/yahoo/consent.yahoo.com/v2/collectConsent" if "csrfToken" in visit.query:
            choice = "reject" if "reject" in visit.query else "agree"
            done = quote(visit.query.get("originalDoneUrl", ""), safe="")
            return Reply.moved(
                f"{base}/guce.yahoo.com/copyConsent?sessionId=1_cc-session_7&choice={choice}&done={done}"
            )
        case "/yahoo/consent.yahoo.com/v2/collectConsent":
            return Reply.page(world.render("yahoo_consent.html", onward=onward))
        case "/yahoo/guce.yahoo.com/copyConsent":
            return granted("yahoo", onward, visit.query.get("choice", "agree"))
        case _ if agreed(visit, "yahoo"):
            return None
        case _:
            done = quote(world.origin + visit.target, safe="")
            return Reply.moved(f"{base}/guce.yahoo.com/consent?brandType=nonEu&gcrumb=x&done={done}")


def agreed(visit: Visit, engine: str) -> bool:
    """Tell whether a visitor carries the cookie that ends the questions."""
    return COOKIES[engine] in SimpleCookie(visit.headers.get("cookie", ""))


def granted(engine: str, onward: str, value: str) -> Reply:
    """Return the redirect that ends the questions with a cookie."""
    return Reply(
        302, b"", {"Location": onward, "Set-Cookie": f"{COOKIES[engine]}={value}; Path=/{engine}; Max-Age=86400"}
    )
