"""How the bytes behind one address are fetched: politely, within limits, and never from where they must not come."""

import base64
import binascii
import math
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Retry

from dataset.folder import FORGOTTEN
from dataset.tray import Scrape
from scraper.engines import clean_address
from scraper.forget import concerns
from scraper.guard import Guard, GuardedAdapter, PrivateAddressError
from scraper.optout import FREE, TOKEN, UNREAD, Robots, header_refusal, parse_robots

TRIES: Final = 3
REDIRECTS: Final = 5
AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
TOO_MANY: Final = 429
"""The answer of a host that is asked too much."""
RESET: Final = "connection lost"
TIMEOUT: Final = "timeout"
NOWHERE: Final = frozenset({"host not found", "no connection", "certificate", "private address", "address not allowed"})
"""Failures that a robots.txt shares with everything else on its host."""
ROBOTS_SECONDS: Final = 5.0
ROBOTS_AGAIN: Final = 60.0
"""Seconds after which a robots.txt that could not be read is asked for again."""
ROBOTS_BYTES: Final = 512_000
CHUNK: Final = 65536
SLOWEST: Final = 2000
"""Bytes a second at which a body that is still coming may go on past the total time-out: the line is shared."""
LONGEST: Final = 10
"""How many total time-outs such a body may take."""
LONGEST_REFERER: Final = 4096


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one address."""

    url: str
    data: bytes = b""
    error: str = ""
    """Why no bytes came: ``404``, ``timeout``, ``private address``, ``opted out`` ...; empty when they did."""
    status: int = 0
    """HTTP status of the last answer; 0 for data URIs and failed connections."""
    opt_out: str = ""
    """The owner's opt-out, also where it was ignored."""
    retry_after: float = 0.0
    """Seconds for which the host asked to be left alone."""
    landed: str = ""
    """Where redirects led to; empty where there were none."""


class Fetcher:
    """Fetches addresses from many threads, each with a session of its own; ``close`` breaks what is under way.

    ``busy`` is told at once which host is asked too much, and for how many seconds it wants to be left alone.
    """

    def __init__(
        self, settings: Scrape, guard: Guard, *, busy: Callable[[str, float], None] = lambda _host, _seconds: None
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._busy = busy
        self._local = threading.local()
        self._robots: dict[str, tuple[Robots, float]] = {}
        self._robots_locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._waiting: dict[int, tuple[float, socket.socket]] = {}
        self._watchman: threading.Thread | None = None

    @cached_property
    def user_agent(self) -> str:
        """The name by which hosts know us, with the contact address where one is set."""
        return user_agent(self._settings.contact)

    def close(self) -> None:
        """Break off every download under way."""
        self._stopped.set()
        with self._lock:
            for _, sock in self._waiting.values():
                _shut(sock)

    def look_again(self) -> None:
        """Forget which robots.txt could not be read: their hosts may have come back."""
        with self._lock:
            self._robots = {origin: known for origin, known in self._robots.items() if not known[0].error}

    def fetch(self, url: str, *, referer: str = "", forgotten: frozenset[str] = frozenset()) -> Fetched:
        """Return the bytes behind a data: or http(s) address, or the reason why there are none; never raises.

        Nothing is asked of the addresses and hosts that are ``forgotten``, wherever a redirect leads.
        """
        if url[:5].lower() == "data:":
            return decode(url)
        retry = Retry(total=TRIES - 1, backoff_factor=0.5, backoff_max=8, backoff_jitter=0.5)
        deadline = time.monotonic() + self._settings.total_timeout
        while True:
            fetched = self._try(url, referer, deadline, forgotten)
            if fetched.status == TOO_MANY:
                self._busy(host_of(fetched.landed or url), fetched.retry_after)
            if fetched.error != RESET and fetched.status not in AGAIN:
                return fetched
            if not retry.total or self._stopped.is_set():
                return fetched
            retry = retry.increment(method="GET", error=HTTPError(fetched.error))
            # The first of urllib3's waits is none at all, and a host that just failed needs one.
            wait = max(fetched.retry_after, retry.get_backoff_time(), 0.2)
            if time.monotonic() + wait > deadline:
                return fetched
            self._stopped.wait(wait)

    def _try(self, url: str, referer: str, deadline: float, forgotten: frozenset[str]) -> Fetched:
        """Go to an address once, and on along its redirects."""
        here = url
        for _ in range(REDIRECTS + 1):
            landed = here if here != url else ""
            if not _readable(here) or urlsplit(here).scheme not in {"http", "https"}:
                return Fetched(url, error="address not allowed", landed=landed)
            if concerns(forgotten, (here,)):
                return Fetched(url, error=FORGOTTEN, landed=landed)
            robots = self._robots_of(here)
            opt_out = robots.refusal(here)
            if (robots.error or opt_out) and not self._settings.ignore_opt_outs:
                return Fetched(url, error=robots.error or "opted out", opt_out=opt_out, landed=landed)
            answer, onward = self._ask(here, referer, deadline)
            answer = replace(answer, url=url, opt_out=answer.opt_out or opt_out, landed=landed)
            if not onward:
                return answer
            here = onward
        return replace(answer, error="too many redirects")

    def _ask(self, url: str, referer: str, deadline: float) -> tuple[Fetched, str]:
        """Ask one address; return what came, and where it points to if that is elsewhere."""
        timeout = (self._settings.connect_timeout, self._settings.read_timeout)
        self._local.deadline = deadline
        try:
            with self._asked(url, timeout, referer) as response:
                opt_out = header_refusal(response.headers)
                status = response.status_code
                if opt_out and not self._settings.ignore_opt_outs:
                    return Fetched(url, error="opted out", status=status, opt_out=opt_out), ""
                if location := self._session.get_redirect_target(response):
                    onward = _onward(url, location)
                    return Fetched(url, error="redirect to nowhere", status=status, opt_out=opt_out), onward
                if status != 200:
                    return Fetched(
                        url,
                        error=str(status),
                        status=status,
                        opt_out=opt_out,
                        retry_after=wait_of(response.headers.get("Retry-After", "")),
                    ), ""
                grace = (LONGEST - 1) * self._settings.total_timeout
                data, error = self._body(response, deadline, self._settings.max_bytes, grace=grace)
                return Fetched(url, b"" if error else data, error, status, opt_out), ""
        except Exception as error:  # noqa: BLE001 - one bad host is data, whatever it brings a client to raise
            late = time.monotonic() >= deadline
            return Fetched(url, error="stopped" if self._stopped.is_set() else TIMEOUT if late else _reason(error)), ""
        finally:
            with self._lock:
                self._waiting.pop(threading.get_ident(), None)

    def _asked(self, url: str, timeout: tuple[float, float], referer: str = "") -> requests.Response:
        """Return the beginning of an answer, of which nothing is read yet.

        The session's connections are asked without its own way to send. That one reads the body of a redirect to its
        end, however long it is, keeps cookies, takes passwords from a .netrc, goes through proxies, which resolve names
        behind the guard's back, and puts all headers together anew for each request.
        """
        session = self._session
        request = requests.PreparedRequest()
        request.prepare_method("GET")
        request.prepare_url(url, None)
        page = _in_header(referer)
        request.prepare_headers({**session.headers, "Referer": page} if page else session.headers)
        return session.get_adapter(url).send(request, timeout=timeout, stream=True, verify=True)

    def _body(
        self, response: requests.Response, deadline: float, most: int, *, grace: float = 0.0
    ) -> tuple[bytes, str]:
        """Return a body, or as much as came and why it was broken off. What Content-Length says is not believed.

        What comes steadily may take so many seconds of ``grace`` more.
        """
        pieces: list[bytes] = []
        size = 0
        until = deadline
        while size <= most and time.monotonic() <= until and (piece := response.raw.read1(CHUNK, decode_content=True)):
            size += len(piece)
            pieces.append(piece)
            until = deadline + min(size / SLOWEST, grace)
            self._wait_until(until)
        body = b"".join(pieces)
        # A line that was cut at the deadline, or at our own end, looks like the end of the body.
        if self._stopped.is_set():
            return body, "stopped"
        if time.monotonic() > until:
            return body, TIMEOUT
        return body, "too many bytes" if size > most else "" if size else "empty"

    def _robots_of(self, url: str) -> Robots:
        """Return the robots.txt of an address's host, fetched once; one that could not be read, once a minute."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{host_of(url)}"
        with self._lock:
            lock = self._robots_locks.setdefault(origin, threading.Lock())
        with lock:
            robots, until = self._robots.get(origin, (FREE, 0.0))
            if time.monotonic() >= until:
                robots = self._fetch_robots(f"{origin}/robots.txt")
                self._robots[origin] = robots, time.monotonic() + ROBOTS_AGAIN if robots.error else math.inf
            return robots

    def _fetch_robots(self, url: str) -> Robots:
        """Return what a robots.txt says; it may stumble once."""
        deadline = time.monotonic() + ROBOTS_SECONDS
        robots = self._ask_robots(url, deadline)
        if robots is UNREAD and time.monotonic() + 1.0 < deadline:
            self._stopped.wait(0.5)
            robots = self._ask_robots(url, deadline)
        return robots

    def _ask_robots(self, url: str, deadline: float) -> Robots:
        """Return what a robots.txt says; where there is none, nothing is forbidden (RFC 9309, 2.3.1).

        Of a huge one the beginning counts; without an answer nothing is known.
        """
        timeout = (min(ROBOTS_SECONDS, self._settings.connect_timeout), ROBOTS_SECONDS)
        self._local.deadline = deadline
        try:
            for _ in range(REDIRECTS + 1):
                with self._asked(url, timeout) as response:
                    if location := self._session.get_redirect_target(response):
                        url = urljoin(url, location)
                        continue
                    if response.status_code >= 500 or response.status_code == TOO_MANY:
                        return UNREAD
                    if response.status_code != 200:
                        return FREE
                    text, error = self._body(response, deadline, ROBOTS_BYTES)
                    whole = text if error != "too many bytes" else text[: text.rfind(b"\n") + 1]
                    return UNREAD if error in {TIMEOUT, "stopped"} else parse_robots(whole.decode("utf-8", "replace"))
        except Exception as error:  # noqa: BLE001 - one bad host is data, whatever it brings a client to raise
            reason = _reason(error)
            return Robots(error=reason) if reason in NOWHERE else UNREAD
        finally:
            with self._lock:
                self._waiting.pop(threading.get_ident(), None)
        return FREE

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            adapter = GuardedAdapter(self._guard, self._watch, max_retries=0, pool_connections=32, pool_maxsize=2)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            session.headers.update(
                {"User-Agent": self.user_agent, "Accept": "image/avif,image/webp,image/*;q=0.9,*/*;q=0.1"}
            )
        return session

    def _watch(self, sock: socket.socket | None) -> None:
        """Note that this thread waits on a socket: a host that drips headers is cut off at the deadline."""
        if sock is None:
            return
        with self._lock:
            self._waiting[threading.get_ident()] = (self._local.deadline, sock)
            if self._watchman is None:
                self._watchman = threading.Thread(target=self._keep_watch, name="downloads-watch", daemon=True)
                self._watchman.start()
        if self._stopped.is_set():
            _shut(sock)

    def _wait_until(self, deadline: float) -> None:
        """Move the deadline of what this thread waits for."""
        with self._lock:
            if known := self._waiting.get(threading.get_ident()):
                self._waiting[threading.get_ident()] = (deadline, known[1])

    def _keep_watch(self) -> None:
        while not self._stopped.wait(0.5):
            with self._lock:
                for deadline, sock in self._waiting.values():
                    if time.monotonic() > deadline:
                        _shut(sock)


def host_of(url: str) -> str:
    """Return the host of an address in small letters, with its port where one is given."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _onward(url: str, location: str) -> str:
    """Return where a redirect leads to; empty when that is no address."""
    try:
        onward = urljoin(url, location)
    except ValueError:
        return ""
    return clean_address(onward) if onward.startswith("http") else onward


def _in_header(page: str) -> str:
    """Return a page's address as it may stand in a header, or of a very long one its site; empty when it can't."""
    cleaned = clean_address(page)
    if len(cleaned) > LONGEST_REFERER:
        cleaned = "/".join(cleaned.split("/", 3)[:3])
    return cleaned if cleaned.isascii() and len(cleaned) <= LONGEST_REFERER else ""


def _readable(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def user_agent(contact: str = "") -> str:
    """Return ``tray/<version>``, with the contact address where one is given."""
    try:
        number = version("tray")
    except PackageNotFoundError:
        number = "0"
    return f"{TOKEN}/{number}" + (f" (+{contact})" if contact else "")


def decode(url: str) -> Fetched:
    """Return the bytes of a data: address, in all the forms that result pages hold."""
    head, comma, body = url.partition(",")
    name = short_name(url)
    if not comma:
        return Fetched(name, error="not an image")
    # Taken from a script, `=` may still be written as in the script.
    body = re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), body)
    raw = unquote_to_bytes(body.encode("utf-8", "replace"))
    if not re.search(r";\s*base64\s*$", head, re.IGNORECASE):
        return Fetched(name, raw, "" if raw else "empty")
    text = raw.translate(bytes.maketrans(b"-_", b"+/"), b"\t\r\n\\")
    if b" " in text:
        # A form decoder turned each plus into a space; where that is not so, spaces are mere folding.
        plus, folded = text.strip().replace(b" ", b"+"), text.replace(b" ", b"")
        text = plus if b"+" not in text and len(plus.rstrip(b"=")) % 4 != 1 else folded
    text = text.rstrip(b"=")
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return Fetched(name, error="not an image")
    return Fetched(name, data, "" if data else "empty")


def short_name(url: str) -> str:
    """Return the address itself, or, for a data: address, its head and a digest: enough to know it again."""
    if url[:5].lower() != "data:":
        return url
    import hashlib

    return f"{url.partition(',')[0][:60]},sha256={hashlib.sha256(url.encode('utf-8', 'replace')).hexdigest()[:32]}"


def wait_of(value: str) -> float:
    """Return the seconds of a Retry-After, given as seconds or as a date; 0 where it is empty, an hour at most."""
    try:
        return min(max(Retry().parse_retry_after(value), 0.0), 3600.0) if value else 0.0
    except (HTTPError, ValueError, OverflowError):
        return 0.0


def _reason(error: BaseException) -> str:
    """Return a short name for what went wrong on the way, found along the chain of causes."""
    reasons: tuple[tuple[Any, str], ...] = (
        (PrivateAddressError, "private address"),
        (NameResolutionError, "host not found"),
        (NewConnectionError, "no connection"),
        ((ConnectTimeoutError, ReadTimeoutError, requests.Timeout, TimeoutError), TIMEOUT),
        ((SSLError, requests.exceptions.SSLError), "certificate"),
        ((requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError), "address not allowed"),
    )
    chain = [error]
    for one in chain:
        inner = [*one.args, getattr(one, "reason", None), one.__cause__]
        chain += [cause for cause in inner if isinstance(cause, BaseException) and cause not in chain][:4]
    for kinds, name in reasons:
        if any(isinstance(one, kinds) for one in chain):
            return name
    return RESET


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
