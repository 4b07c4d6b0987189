"""The server of the built-in site: one process that listens as three engines and as the hosts of their pictures."""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Self

from dataset.errors import TrayError
from scraper.simulator import bing, google, yahoo
from scraper.simulator import hosts as picture_hosts
from scraper.simulator.catalogue import Catalogue
from scraper.simulator.darkroom import Darkroom
from scraper.simulator.furniture import fixture, front
from scraper.simulator.gate import REFUSES, SLOW, THINS, Gate, is_batch
from scraper.simulator.reply import Reply, Request, Visit, send
from scraper.simulator.scenario import Scenario, named
from scraper.simulator.truth import Truth
from scraper.simulator.world import World

PICTURE_HOSTS = 24
CACHES = 4
ENGINE_PAGES = {"google": google.answer, "bing": bing.answer, "yahoo": yahoo.answer}


class Site:
    """The built-in search site, open between entering and leaving: `with Site(seed=1) as site: ... site.url`.

    Engines answer on `port`, the picture hosts on the 29 ports after it; with port 0 all ports are free ones. `results`
    is the most distinct pictures that an engine offers for a term. `scenario` is one of SCENARIOS, or a value of
    one's own. `cache` is a folder that keeps drawn pictures.
    """

    url: str
    truth: Truth

    def __init__(
        self,
        *,
        seed: int = 0,
        scenario: str | Scenario = "realistic",
        results: int = 60,
        port: int = 0,
        cache: Path | None = None,
    ) -> None:
        self.seed, self.results, self.port = seed, results, port
        self.scenario = named(scenario) if isinstance(scenario, str) else scenario
        self.gate = Gate()
        self._darkroom = Darkroom(seed, cache)
        self._log: list[Request] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()

    @property
    def log(self) -> tuple[Request, ...]:
        """Every request so far, in the order of their answers."""
        with self._lock:
            return tuple(self._log)

    def __enter__(self) -> Self:
        self._listeners = listening(self.port, 1 + PICTURE_HOSTS + CACHES + 1)
        *plain, last = (listener.getsockname()[1] for listener in self._listeners)
        origins = [f"http://127.0.0.1:{port}" for port in plain]
        self.url, hosts, caches = origins[0], origins[1:-CACHES], origins[-CACHES:]
        catalogue = Catalogue(self.seed, self.scenario, self.results, hosts, caches, f"https://127.0.0.1:{last}")
        self.world = World(self.url, catalogue, self._darkroom)
        self.truth = Truth(catalogue, self._darkroom)
        self._wake, self._woken = socket.socketpair()
        self._accepting = threading.Thread(target=self._accept, name="site", daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._wake.send(b"x")
        self._accepting.join()
        for one in (*self._listeners, self._wake, self._woken):
            one.close()
        with self._lock:
            connections = tuple(self._open)
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as waiting:
            for one in (*self._listeners, self._woken):
                waiting.register(one, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in waiting.select():
                    if key.fileobj is self._woken or not isinstance(key.fileobj, socket.socket):
                        continue
                    with contextlib.suppress(OSError):
                        connection, peer = key.fileobj.accept()
                        origin = f"http://127.0.0.1:{key.fileobj.getsockname()[1]}"
                        secured = key.fileobj is self._listeners[-1]
                        serve = self._greet if secured else self._serve
                        threading.Thread(target=serve, args=(connection, peer, origin), daemon=True).start()

    def _greet(self, connection: socket.socket, peer: object, origin: str) -> None:
        """Serve whoever takes a certificate that has run out."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(__file__).with_name("expired.pem"))
        try:
            connection.settimeout(self.scenario.hold)
            secure = context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        self._serve(secure, peer, origin)

    def _serve(self, connection: socket.socket, peer: object, origin: str) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A visitor that went away in the middle is everyday life for a server.
            with contextlib.suppress(OSError):
                Conversation(connection, peer, self, origin)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def answer(self, visit: Visit) -> Reply:
        """Return what the site says to a visit."""
        if visit.origin != self.url:
            return picture_hosts.answer(visit, self.world, self.gate.first)
        if common := fixture(visit.path):
            return common
        engine = visit.path.split("/")[1]
        return self.play(visit, engine) if engine in ENGINE_PAGES else front(self.world)

    def play(self, visit: Visit, engine: str) -> Reply:
        """Return what an engine says to a visit, after its gate."""
        scenario, batch = self.scenario, is_batch(visit)
        if stopped := self.gate.stops(visit, engine, self.world):
            return stopped
        used = self.gate.load(engine, self.world)
        if used >= REFUSES and (stopped := self.gate.stops(visit, engine, self.world)):
            return stopped
        used *= scenario.warns
        if batch and scenario.spinner:
            return Reply(manner="hold", delay=scenario.hold)
        if batch and scenario.fails_once and self.gate.first(visit.target):
            return Reply.page("", 503)
        reply = ENGINE_PAGES[engine](visit, replace(self.world, thin=used >= THINS))
        return replace(reply, delay=scenario.late + SLOW * (used > 1)) if batch else reply

    def noted(self, visit: Visit, status: int) -> None:
        """Write a request into the log."""
        line = Request(
            time.time(), visit.origin.removeprefix("http://"), visit.target, status,
            visit.headers.get("user-agent", ""), visit.headers.get("referer", ""),
        )  # fmt: skip
        with self._lock:
            self._log.append(line)

    def converse(self, visit: Visit, connection: socket.socket, *, bodiless: bool) -> bool:
        """Answer one request; return whether the connection may be used again."""
        reply = self.answer(visit)
        self.noted(visit, 0 if reply.manner == "hold" else reply.status)
        return send(reply, connection, self._stop, bodiless=bodiless, patience=self.scenario.hold)


class Conversation(BaseHTTPRequestHandler):
    """One connection: reads requests and hands them to the site."""

    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, peer: object, site: Site, origin: str) -> None:
        self.site, self.origin = site, origin
        super().__init__(connection, peer, None)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer a GET or HEAD."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        visit = Visit(self.origin, self.path, headers)
        again = self.site.converse(visit, self.connection, bodiless=self.command == "HEAD")
        self.close_connection = self.close_connection or not again

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Answer a form: its fields come as if they were a query."""
        length = self.headers.get("Content-Length", "0")
        form = self.rfile.read(min(int(length), 2**16) if length.isdecimal() else 0).decode("latin-1")
        self.path += ("&" if "?" in self.path else "?") + form
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Stay quiet: the site keeps its own log."""


def listening(port: int, count: int) -> list[socket.socket]:
    """Return sockets that listen on loopback: `port` and those after it, or any free ones for port 0."""
    sockets: list[socket.socket] = []
    try:
        for number in range(count):
            one = socket.socket()
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port + number if port else 0))
            one.listen(128)
    except (OSError, OverflowError) as error:
        for one in sockets:
            one.close()
        raise TrayError(
            f"the built-in site needs {count} free ports from {port} on; port {port + len(sockets) - 1} is not free "
            f"({error}). Name another with --port, or 0 for any."
        ) from error
    return sockets
