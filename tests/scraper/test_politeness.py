"""How hosts are treated: their robots.txt, their limits, their wish to be left alone, their certificates."""

import io
import random
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dataset.tray import Scrape
from scraper.download import ROBOTS_BYTES, Fetcher
from scraper.engines import Candidate
from scraper.guard import guard_for
from scraper.optout import header_refusal
from tests.scraper.conftest import downloaded, gathered
from tests.scraper.test_download import PICTURE, asked, picture, raw_host

ALONE = Scrape(host_spacing=0.0, limit=500, kinds="full-only", downloads=8)
ROBOTS = "/robots.txt"


def fetch(httpserver: HTTPServer, path: str, **changes: Any) -> str:
    """Return what kept a picture of the test's own server from coming, or an empty string."""
    settings = replace(Scrape(), **changes)
    return Fetcher(settings, guard_for(httpserver.url_for("/"))).fetch(httpserver.url_for(path)).error


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_robots_txt_in_trouble_shuts_its_host(httpserver, status):
    """What it says is not known, so nothing is fetched; the picture's own address is not even asked for."""
    httpserver.expect_request(ROBOTS).respond_with_data(status=status)
    httpserver.expect_request("/a").respond_with_data(PICTURE)

    assert fetch(httpserver, "/a") == "robots.txt unavailable"
    assert asked(httpserver, "/a") == []
    assert len(asked(httpserver, ROBOTS)) == 2


def test_a_robots_txt_may_stumble_once(httpserver):
    """A single server error says nothing about the host."""
    answers = iter([Response(status=503), Response("User-agent: *\nDisallow: /shut")])
    httpserver.expect_request(ROBOTS).respond_with_handler(lambda _: next(answers))
    httpserver.expect_request("/a").respond_with_data(PICTURE)

    assert fetch(httpserver, "/a") == ""


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_robots_txt_forbids_nothing(httpserver, status):
    """Where there is none, everything may be asked for."""
    httpserver.expect_request(ROBOTS).respond_with_data(status=status)
    httpserver.expect_request("/a").respond_with_data(PICTURE)

    assert fetch(httpserver, "/a") == ""


def test_a_slow_robots_txt_is_not_waited_for(monkeypatch):
    """Five seconds are enough; a host that drips its rules has not shown them."""
    monkeypatch.setattr("scraper.download.ROBOTS_SECONDS", 0.8)

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                self.wfile.write(b"#")
                time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with served(Slow) as url:
        started = time.monotonic()
        error = Fetcher(Scrape(), guard_for(url)).fetch(f"{url}/a").error

    assert error == "robots.txt unavailable"
    assert time.monotonic() - started < 8


def test_of_a_huge_robots_txt_the_beginning_counts(httpserver):
    """Rules within the first half megabyte hold, and no more than that is read."""
    rules = "User-agent: *\nDisallow: /shut\n"
    httpserver.expect_request(ROBOTS).respond_with_data(rules + "# filler\n" * (ROBOTS_BYTES // 4))
    httpserver.expect_request("/shut").respond_with_data(PICTURE)
    httpserver.expect_request("/open").respond_with_data(PICTURE)

    assert (fetch(httpserver, "/shut"), fetch(httpserver, "/open")) == ("opted out", "")


def test_a_robots_txt_with_a_mark_before_it_is_read(httpserver):
    """Some editors write a byte order mark before the first line."""
    httpserver.expect_request(ROBOTS).respond_with_data("\ufeffUser-agent: *\nDisallow: /")

    assert fetch(httpserver, "/a") == "opted out"


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"X-Robots-Tag": "tray: noai"}, "noai"),
        ({"X-Robots-Tag": "googlebot: nofollow, otherbot: noimageai"}, "noimageai"),
        ({"X-Robots-Tag": "unavailable_after: 25 Jun 2030 15:00:00 PST, NOML"}, "noml"),
        ({"X-Robots-Tag": "noaii, index"}, ""),
        ({"Content-Usage": "train-ai=n;exp=1, search=y"}, "train-ai=n"),
        ({"Content-Usage": "TRAIN-AI = N"}, "train-ai=n"),
        ({"Content-Usage": "pretrain-ai=n"}, ""),
    ],
)
def test_opt_outs_in_headers(headers, refusal):
    """Agents' names, other directives and parameters around it do not hide an opt-out, nor make one."""
    assert refusal == header_refusal(headers)


def test_two_headers_of_one_name_count_both(httpserver):
    """A host may send the header once for each agent."""
    httpserver.expect_request(ROBOTS).respond_with_data(status=404)
    answer = Response(PICTURE)
    answer.headers.add("X-Robots-Tag", "googlebot: all")
    answer.headers.add("X-Robots-Tag", "noai")
    httpserver.expect_request("/a").respond_with_response(answer)

    assert fetch(httpserver, "/a") == "opted out"


def test_ignored_opt_outs_stand_in_the_manifest(httpserver, tmp_path):
    """Whoever ignores an owner's word finds it beside the picture."""
    httpserver.expect_request(ROBOTS).respond_with_data("User-agent: *\nDisallow: /shut")
    httpserver.expect_request("/shut").respond_with_data(picture())
    httpserver.expect_request("/a").respond_with_data(picture(), headers={"X-Robots-Tag": "tray: noai"})
    urls = [httpserver.url_for(path) for path in ("/shut", "/a")]
    site = httpserver.url_for("").rstrip("/")
    obeyed = downloaded(urls, tmp_path / "obeyed", ALONE, site=site)
    ignored = downloaded(urls, tmp_path / "ignored", replace(ALONE, ignore_opt_outs=True), site=site)

    assert {(one.error, one.opt_out, one.kept) for one in obeyed} == {
        ("opted out", "robots.txt", False),
        ("opted out", "noai", False),
    }
    assert {(one.error, one.opt_out, one.kept) for one in ignored} == {("", "robots.txt", True), ("", "noai", True)}


class Host(BaseHTTPRequestHandler):
    """A host that notes when it was asked, and by how many at once."""

    protocol_version = "HTTP/1.1"
    bears: ClassVar[int] = 10**6
    """Requests a second above which it asks to be left alone."""
    lock = threading.Lock()
    times: ClassVar[list[float]]
    refused: ClassVar[list[float]]
    inside: ClassVar[Counter[str]]
    most: ClassVar[int]

    def do_GET(self) -> None:
        """Answer with a picture, after a moment."""
        if self.path == ROBOTS:
            self.answer(404, b"")
            return
        now = time.monotonic()
        with self.lock:
            recent = [one for one in self.times if now - one < 1.0]
            self.times.append(now)
            self.inside["now"] += 1
            type(self).most = max(self.most, self.inside["now"])
            too_many = len(recent) >= self.bears
            if too_many:
                self.refused.append(now)
        if too_many:
            self.answer(429, b"", Retry_After="1")
        else:
            time.sleep(0.05)
            self.answer(200, picture())
        with self.lock:
            self.inside["now"] -= 1

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def host(bears: int = 10**6) -> type[Host]:
    """Return a host of one's own, with its own notes."""
    fresh = {"bears": bears, "times": [], "refused": [], "inside": Counter(), "most": 0}
    return type("Host", (Host,), fresh)


def test_hosts_are_asked_by_few_and_not_too_often(tmp_path):
    """No host sees more than two at once, nor two requests closer than the spacing; another host waits for neither.

    Haste in searching does not change that: picture hosts bear no more because of it.
    """
    one, other = host(), host()
    with served(one) as first, served(other) as second:
        urls = [f"{url}/{number}.jpg" for number in range(10) for url in (first, second)]
        hasty = replace(ALONE, host_spacing=0.08, pace=0.01, allow_networks=("127.0.0.0/8",))
        written = downloaded(urls, tmp_path / "found", hasty, site=None)

    assert sum(record.kept for record in written) == 20
    for each in (one, other):
        gaps = [late - early for early, late in zip(each.times, each.times[1:], strict=False)]
        assert each.most <= 2
        assert sorted(gaps)[len(gaps) // 2] > 0.07
        assert each.times[-1] - each.times[0] > 0.08 * 9 - 0.1
    assert max(one.times[0], other.times[0]) < min(one.times[-1], other.times[-1])


def test_a_host_that_is_asked_too_much_is_asked_less(tmp_path):
    """After one complaint its Retry-After is obeyed by all, it is asked slower, and complains no more."""
    busy = host(bears=3)
    with served(busy) as url:
        written = downloaded([f"{url}/{n}.jpg" for n in range(7)], tmp_path / "found", ALONE, site=url)
    # Two may have been on their way when the first was refused.
    first, last = busy.refused[0], busy.refused[-1]
    later = [one for one in busy.times if one > last]

    assert sum(record.kept for record in written) == 7
    assert last - first < 0.95
    assert min(later) - last > 0.9
    assert len(busy.refused) <= 2


AUTHORITY = """
[ca]
default_ca = own
[own]
new_certs_dir = {folder}
database = {folder}/index.txt
rand_serial = yes
default_md = sha256
policy = policy
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
subjectAltName = IP:127.0.0.1
"""


def made(folder: Path, *, expired: bool) -> ssl.SSLContext | None:
    """Return the context of a server with a certificate of its own making; None where there is no openssl."""
    (folder / "index.txt").touch()
    (folder / "ca.conf").write_text(AUTHORITY.format(folder=folder), encoding="utf-8")
    ends = "20210101000000Z" if expired else "20450101000000Z"
    new = "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out asked.pem"
    signed = "ca -batch -selfsign -config ca.conf -keyfile key.pem -in asked.pem -out certificate.pem"
    signed += f" -startdate 20200101000000Z -enddate {ends}"
    try:
        for command in (new, signed):
            subprocess.run(["openssl", *command.split()], check=True, capture_output=True, cwd=folder)
    except (OSError, subprocess.CalledProcessError):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize("expired", [False, True], ids=["self-signed", "expired"])
def test_certificates_that_are_not_good_are_named(tmp_path, expired):
    """Nobody vouches for the one, the time of the other is over; no byte of theirs is taken."""
    context = made(tmp_path, expired=expired)
    if context is None:
        pytest.skip("no openssl here to make certificates with")
    server = ThreadingHTTPServer(("127.0.0.1", 0), host())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}"
    fetcher = Fetcher(Scrape(), guard_for(url))
    if expired:
        # Vouched for, so that nothing but its time is wrong.
        fetcher._session.verify = str(tmp_path / "certificate.pem")
    fetched = fetcher.fetch(f"{url}/a.jpg")
    server.shutdown()
    server.server_close()
    thread.join()

    assert (fetched.error, fetched.data) == ("certificate", b"")


def test_every_failure_to_connect_has_its_name(fetch_nowhere):
    """A robots.txt that can't be reached leaves the true reason standing."""
    assert fetch_nowhere("http://127.0.0.1:1/a.jpg") == "no connection"
    with raw_host(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as url:
        assert fetch_nowhere(url.replace("http:", "https:")) == "certificate"


@pytest.fixture
def fetch_nowhere() -> Any:
    """Return what fetches from loopback and gives the error."""
    fetcher = Fetcher(Scrape(), guard_for("http://127.0.0.1"))
    return lambda url: fetcher.fetch(url).error


def test_a_redirect_to_a_busy_host_slows_that_host_down(httpserver):
    """The complaint counts for the host that made it."""
    told: list[tuple[str, float]] = []
    httpserver.expect_request(ROBOTS).respond_with_data(status=404)
    answers = iter([Response(status=429, headers={"Retry-After": "1"}), Response(PICTURE)])
    httpserver.expect_request("/a").respond_with_handler(lambda _: next(answers))
    with served(redirecting(httpserver.url_for("/a"))) as url:
        fetcher = Fetcher(Scrape(), guard_for(url), busy=lambda host, seconds: told.append((host, seconds)))
        fetched = fetcher.fetch(f"{url}/x")

    assert told == [(f"{httpserver.host}:{httpserver.port}", 1.0)]
    assert (fetched.data, fetched.landed) == (PICTURE, httpserver.url_for("/a"))


def redirecting(onward: str) -> type[BaseHTTPRequestHandler]:
    """Return a host that sends everybody elsewhere, and has no robots.txt."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if self.path == ROBOTS else 302)
            self.send_header("Location", onward)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    return Elsewhere


@pytest.mark.parametrize(
    ("thumbnail", "said", "failures"),
    [
        ("/same.jpg", 640, ()),
        ("/other.jpg", 640, ("another picture",)),
        ("/gone.jpg", 640, ("size is another one, and no thumbnail to compare",)),
        ("/other.jpg", 0, ("another picture",)),
        ("/gone.jpg", 0, ()),
    ],
)
def test_a_picture_of_another_size_is_held_against_its_thumbnail(httpserver, tmp_path, thumbnail, said, failures):
    """One that differs, such as a host's "hotlinking denied", is not kept; nor is one that nothing speaks for.

    Where the engine says nothing of the size, a thumbnail that is gone says nothing against a picture.
    """
    body = {"/full.jpg": drawn(7), "/same.jpg": drawn(7, side=150), "/other.jpg": drawn(8, side=150)}
    for path, data in body.items():
        httpserver.expect_request(path).respond_with_data(data)
    httpserver.expect_request(ROBOTS).respond_with_data(status=404)
    httpserver.expect_request("/gone.jpg").respond_with_data(status=404)
    urls = (httpserver.url_for("/full.jpg"), httpserver.url_for(thumbnail))
    result = Candidate(urls, ("full", "thumbnail"), engine="list", term="list", rank=1, width=said, height=said)
    found = gathered([result], tmp_path / "found", replace(ALONE, kinds="best"), site=httpserver.url_for(""))

    assert [(one.kind, one.failures) for one in found] == [("thumbnail" if failures else "full", failures)]


def drawn(seed: int, side: int = 300) -> bytes:
    """Draw a picture of large patches, the same one in every size."""
    patches = Image.frombytes("RGB", (6, 6), random.Random(seed).randbytes(108))
    body = io.BytesIO()
    patches.resize((side, side), Image.Resampling.BICUBIC).save(body, "JPEG")
    return body.getvalue()


def test_requests_name_the_page_and_ourselves(httpserver, tmp_path):
    """Each request for a picture says who asks and which page shows it."""
    httpserver.expect_request(ROBOTS).respond_with_data(status=404)
    httpserver.expect_request("/a").respond_with_data(PICTURE)
    site = httpserver.url_for("").rstrip("/")
    downloaded([f"{site}/a"], tmp_path / "found", replace(ALONE, contact="https://me.example"), site=site)
    requests: list[Request] = asked(httpserver, "/a")

    assert [request.headers["Referer"] for request in requests] == [f"{site}/page"]
    assert requests[0].headers["User-Agent"].endswith("(+https://me.example)")
