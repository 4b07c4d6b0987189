"""Downloads, against hosts that misbehave in every known way."""

import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dataset.tray import Scrape
from scraper.download import Fetcher, decode, short_name, user_agent
from scraper.guard import guard_for

QUICK = Scrape(connect_timeout=0.5, read_timeout=0.6, total_timeout=1.5, max_bytes=200_000)


def picture(form: str = "JPEG") -> bytes:
    """Return a small picture's bytes."""
    body = io.BytesIO()
    Image.effect_noise((90, 80), 60).convert("RGB").save(body, form)
    return body.getvalue()


PICTURE = picture()


@pytest.fixture
def fetcher(httpserver: HTTPServer) -> Iterator[Fetcher]:
    """Return a fetcher that may go to the test's own server, which has no robots.txt."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    fetcher = Fetcher(QUICK, guard_for(httpserver.url_for("/")))
    yield fetcher
    fetcher.close()


def asked(httpserver: HTTPServer, path: str) -> list[Request]:
    """Return the requests for a path."""
    return [request for request, _ in httpserver.log if request.path == path]


@contextmanager
def raw_host(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection after the other by hand; robots.txt is not found."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                if b"/robots.txt" in connection.recv(4096):
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                else:
                    talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a.jpg"


def test_bytes_come_as_they_are_sent(httpserver, fetcher):
    """A picture arrives whole, asked for with our own name and the page that shows it."""
    httpserver.expect_request("/a.jpg").respond_with_data(PICTURE, content_type="text/plain")
    fetched = fetcher.fetch(httpserver.url_for("/a.jpg"), referer="https://page.example/")
    (request,) = asked(httpserver, "/a.jpg")

    assert (fetched.data, fetched.error, fetched.status) == (PICTURE, "", 200)
    assert request.headers["User-Agent"] == user_agent()
    assert request.headers["Referer"] == "https://page.example/"


def test_the_contact_address_is_in_the_user_agent():
    """Hosts can reach whoever scrapes, when the user says how."""
    assert user_agent("me@example.org").endswith("(+me@example.org)")
    assert user_agent().startswith("tray/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(httpserver, fetcher, status):
    """A chain of redirects leads to the picture."""
    httpserver.expect_request("/a").respond_with_data(status=status, headers={"Location": "/b%20c?x=1"})
    httpserver.expect_request("/b c").respond_with_data(status=status, headers={"Location": httpserver.url_for("/d")})
    httpserver.expect_request("/d").respond_with_data(PICTURE)
    fetched = fetcher.fetch(httpserver.url_for("/a"))

    assert fetched.data == PICTURE
    assert httpserver.url_for("/a") == fetched.url


def test_a_redirect_loop_ends(httpserver, fetcher):
    """Five redirects are enough."""
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": "/a"})
    fetched = fetcher.fetch(httpserver.url_for("/a"))

    assert fetched.error == "too many redirects"
    assert len(asked(httpserver, "/a")) == 6


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://169.254.169.254/latest/meta-data", "private address"),
        ("http://10.0.0.1/a.jpg", "private address"),
        ("http://[::1]/a.jpg", "private address"),
        ("file:///etc/passwd", "address not allowed"),
        ("ftp://a.example/b.jpg", "address not allowed"),
        ("data:image/png;base64,AAAA", "address not allowed"),
    ],
)
def test_no_redirect_leads_inside(httpserver, fetcher, location, error):
    """Each redirect is checked like the first address."""
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": location})

    assert error == fetcher.fetch(httpserver.url_for("/a")).error


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 204])
def test_a_plain_no_is_taken(httpserver, fetcher, status):
    """What the host means for good is asked for once."""
    httpserver.expect_request("/a").respond_with_data(b"", status=status)
    fetched = fetcher.fetch(httpserver.url_for("/a"))

    assert (str(status), status, b"") == (fetched.error, fetched.status, fetched.data)
    assert len(asked(httpserver, "/a")) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_passing_trouble_is_tried_again(httpserver, fetcher, status):
    """A host that is busy once gives the picture at the second try."""
    answers = iter([Response(status=status), Response(PICTURE)])
    httpserver.expect_request("/a").respond_with_handler(lambda _: next(answers))

    assert fetcher.fetch(httpserver.url_for("/a")).data == PICTURE


def test_three_tries_are_enough(httpserver):
    """A host that stays broken is left after three tries."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    httpserver.expect_request("/a").respond_with_data(status=503)
    fetched = Fetcher(replace(QUICK, total_timeout=20.0), guard_for(httpserver.url_for("/"))).fetch(
        httpserver.url_for("/a")
    )

    assert fetched.error == "503"
    assert len(asked(httpserver, "/a")) == 3


def test_retry_after_is_obeyed(httpserver, fetcher):
    """A host that asks to be left alone beyond the time limit is not asked again, and its wish is handed on."""
    httpserver.expect_request("/a").respond_with_data(status=429, headers={"Retry-After": "40"})
    fetched = fetcher.fetch(httpserver.url_for("/a"))

    assert (fetched.retry_after, fetched.error) == (40.0, "429")
    assert len(asked(httpserver, "/a")) == 1


def test_a_short_retry_after_is_waited_for(httpserver, fetcher):
    """A wait within the time limit is waited."""
    times: list[float] = []

    def answer(_: Request) -> Response:
        times.append(time.monotonic())
        return Response(PICTURE) if len(times) > 1 else Response(status=429, headers={"Retry-After": "1"})

    httpserver.expect_request("/a").respond_with_handler(answer)

    assert fetcher.fetch(httpserver.url_for("/a")).data == PICTURE
    assert times[1] - times[0] >= 1.0


def test_too_many_bytes_are_not_read(httpserver, fetcher):
    """A body is broken off at the cap."""
    httpserver.expect_request("/a").respond_with_data(b"x" * 300_000)

    assert fetcher.fetch(httpserver.url_for("/a")).error == "too many bytes"


def test_a_lying_length_is_not_believed(fetcher):
    """An endless body without a length ends at the cap, too."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with raw_host(talk) as url:
        assert fetcher.fetch(url).error == "too many bytes"


def test_a_compressed_bomb_is_not_unpacked(httpserver, fetcher):
    """What unpacks to more than the cap is broken off."""
    import gzip

    httpserver.expect_request("/a").respond_with_data(
        gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}
    )

    assert fetcher.fetch(httpserver.url_for("/a")).error == "too many bytes"


def test_a_compressed_picture_is_unpacked(httpserver, fetcher):
    """A picture that was compressed for the way arrives as it was."""
    import gzip

    httpserver.expect_request("/a").respond_with_data(gzip.compress(PICTURE), headers={"Content-Encoding": "gzip"})

    assert fetcher.fetch(httpserver.url_for("/a")).data == PICTURE


def test_the_body_of_a_redirect_is_not_read(httpserver, fetcher):
    """However much a host sends along with a redirect, one goes on at once."""
    httpserver.expect_request("/picture.jpg").respond_with_data(PICTURE)
    sent: list[int] = []

    def onward(connection: socket.socket) -> None:
        location = httpserver.url_for("/picture.jpg").encode()
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 9999999999\r\n\r\n")
        while len(sent) < 10_000:
            connection.sendall(bytes(100_000))
            sent.append(100_000)

    with raw_host(onward) as url:
        fetched = fetcher.fetch(url)

    assert fetched.data == PICTURE
    assert sum(sent) < 50_000_000


def drip_headers(connection: socket.socket) -> None:
    """Answer with one byte of the headers at a time."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    """Answer with one byte of the body at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_chunks(connection: socket.socket) -> None:
    """Answer in chunks that never end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"1\r\nx\r\n")
        time.sleep(0.05)


def stall(connection: socket.socket) -> None:
    """Answer half, then hold the line."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
    time.sleep(20)


def silent(connection: socket.socket) -> None:
    """Hold the line."""
    time.sleep(20)


def test_a_picture_that_comes_steadily_is_waited_for(monkeypatch):
    """On a slow line a picture may take longer than the total time-out; the same pause without bytes ends it."""
    monkeypatch.setattr("scraper.download.SLOWEST", len(PICTURE) / 60)
    patient = replace(QUICK, read_timeout=20.0, total_timeout=2.0)

    def fetched_after(first: int) -> bytes:
        """Fetch the picture from a host that pauses once it has sent so many bytes."""

        def talk(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE[:first])
            time.sleep(3.0)
            connection.sendall(PICTURE[first:])

        with raw_host(talk) as url, closing(Fetcher(patient, guard_for(url))) as fetcher:
            return fetcher.fetch(url).data

    assert fetched_after(len(PICTURE) // 2) == PICTURE
    assert fetched_after(1) == b""


@pytest.mark.parametrize("talk", [drip_headers, drip_body, drip_chunks, stall, silent])
def test_slow_hosts_are_left(fetcher, talk):
    """No way to be slow takes longer than the total time."""
    with raw_host(talk) as url:
        started = time.monotonic()
        fetched = fetcher.fetch(url)

    assert fetched.error == "timeout"
    assert time.monotonic() - started < 8


def reset(connection: socket.socket) -> None:
    """Break off in the middle of the body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)


def garbage(connection: socket.socket) -> None:
    """Answer with something that is no HTTP."""
    connection.sendall(b"\x00\x01\x02 not http\r\n\r\n")


@pytest.mark.parametrize("talk", [reset, garbage])
def test_broken_lines_are_no_pictures(talk):
    """Half a body is nothing, and a line that breaks is tried again."""
    tries: list[int] = []

    def counted(connection: socket.socket) -> None:
        tries.append(1)
        talk(connection)

    with raw_host(counted) as url:
        patient = replace(QUICK, read_timeout=20.0, total_timeout=60.0)
        fetched = Fetcher(patient, guard_for(url)).fetch(url)

    assert (fetched.error, fetched.data) == ("connection lost", b"")
    assert len(tries) > 1


def test_an_empty_body_is_named(httpserver, fetcher):
    """Nothing with status 200 is still nothing."""
    httpserver.expect_request("/a").respond_with_data(b"")

    assert fetcher.fetch(httpserver.url_for("/a")).error == "empty"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://nosuch.invalid/a.jpg", "host not found"),
        ("http://127.0.0.1:1/a.jpg", "no connection"),
        ("ftp://a.example/a.jpg", "address not allowed"),
        ("http://a..b/a.jpg", "address not allowed"),
        ("http://" + "a" * 300 + ".example/", "address not allowed"),
        ("http://exa mple/", "address not allowed"),
    ],
)
def test_addresses_that_lead_nowhere_are_named(fetcher, url, error):
    """Each has its reason, and none raises."""
    assert fetcher.fetch(url).error in {error, "host not found"}


def test_a_bad_certificate_is_named(fetcher):
    """A host that speaks no TLS, or the wrong one, gives no picture."""
    with raw_host(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as url:
        assert fetcher.fetch(url.replace("http:", "https:")).error == "certificate"


@pytest.mark.parametrize("headers", [{"X-Robots-Tag": "noai"}, {"Content-Usage": "train-ai=n"}])
def test_opt_outs_are_obeyed(httpserver, fetcher, headers):
    """The owner's no is named, and nothing is kept."""
    httpserver.expect_request("/a").respond_with_data(PICTURE, headers=headers)
    fetched = fetcher.fetch(httpserver.url_for("/a"))

    assert (fetched.error, fetched.data) == ("opted out", b"")
    assert fetched.opt_out


def test_robots_txt_is_asked_once_and_obeyed(httpserver, fetcher):
    """One robots.txt serves a whole host, and a shut path is not even asked for."""
    httpserver.clear()
    httpserver.expect_request("/robots.txt").respond_with_data("User-agent: *\nDisallow: /shut")
    httpserver.expect_request("/open").respond_with_data(PICTURE)
    errors = [fetcher.fetch(httpserver.url_for(path)).error for path in ("/shut/a", "/open", "/shut/b")]

    assert errors == ["opted out", "", "opted out"]
    assert len(asked(httpserver, "/robots.txt")) == 1
    assert asked(httpserver, "/shut/a") == []


def test_the_robots_txt_of_the_host_that_a_redirect_leads_to_is_obeyed(httpserver, fetcher):
    """A host that sends on elsewhere does not speak for who is found there."""
    with HTTPServer() as shut:
        shut.expect_request("/robots.txt").respond_with_data("User-agent: *\nDisallow: /a")
        shut.expect_request("/a").respond_with_data(PICTURE)
        httpserver.expect_request("/b").respond_with_data(status=302, headers={"Location": shut.url_for("/a")})
        fetched = fetcher.fetch(httpserver.url_for("/b"))

        assert (fetched.data, fetched.error) == (b"", "opted out")
        assert asked(shut, "/a") == []


def test_ignored_opt_outs_are_recorded(httpserver):
    """Whoever ignores opt-outs gets the picture, with the owner's word beside it."""
    httpserver.expect_request("/a").respond_with_data(PICTURE, headers={"X-Robots-Tag": "noai"})
    settings = replace(QUICK, ignore_opt_outs=True)
    fetched = Fetcher(settings, guard_for(httpserver.url_for("/"))).fetch(httpserver.url_for("/a"))

    assert (fetched.data, fetched.opt_out) == (PICTURE, "noai")


def test_cookies_are_not_kept(httpserver, fetcher):
    """No host learns what another one, or it itself, has set."""
    httpserver.expect_request("/a").respond_with_data(PICTURE, headers={"Set-Cookie": "id=1; Path=/"})
    fetcher.fetch(httpserver.url_for("/a"))
    fetcher.fetch(httpserver.url_for("/a"))

    assert not any("Cookie" in request.headers for request in asked(httpserver, "/a"))


def test_closing_breaks_off_what_is_under_way():
    """A fetcher that is closed lets go of a silent host at once."""
    with raw_host(silent) as url:
        fetcher = Fetcher(replace(QUICK, read_timeout=20.0, total_timeout=60.0), guard_for(url))
        started = time.monotonic()
        threading.Timer(0.2, fetcher.close).start()
        fetched = fetcher.fetch(url)

    assert fetched.error == "stopped"
    assert time.monotonic() - started < 4


CODED = base64.b64encode(PICTURE).decode()
UNPADDED = picture()
while len(UNPADDED) % 3 == 0 or "+" not in base64.b64encode(UNPADDED).decode():
    UNPADDED = picture()
BARE = base64.b64encode(UNPADDED).decode()


@pytest.mark.parametrize(
    ("url", "data"),
    [
        (f"data:image/jpeg;base64,{CODED}", PICTURE),
        (f"data:image/jpeg;charset=utf-8;base64,{CODED}", PICTURE),
        (f"data:;base64,{CODED}", PICTURE),
        ("data:image/jpeg;base64," + BARE.rstrip("="), UNPADDED),
        ("data:image/jpeg;base64," + BARE.replace("=", "%3D").replace("+", "%2B").replace("/", "%2F"), UNPADDED),
        ("data:image/jpeg;base64," + BARE.replace("=", r"\x3d"), UNPADDED),
        ("data:image/jpeg;base64," + BARE.replace("+", "-").replace("/", "_"), UNPADDED),
        ("data:image/jpeg;base64," + BARE.replace("+", " "), UNPADDED),
        ("data:image/jpeg;base64," + "\n".join(BARE[i : i + 76] for i in range(0, len(BARE), 76)), UNPADDED),
        ("data:image/svg+xml,%3Csvg%2F%3E", b"<svg/>"),
        ("data:image/svg+xml;utf8,<svg/>", b"<svg/>"),
    ],
)
def test_every_form_of_data_address_is_decoded(url, data):
    """Padding, escapes, alphabets and folding do not matter."""
    assert data == decode(url).data


@pytest.mark.parametrize(
    "url", ["data:image/jpeg;base64,", "data:image/jpeg;base64", "data:image/jpeg;base64,****", "data:,"]
)
def test_data_addresses_without_data_are_named(url):
    """Nothing in an address is a reason, not an exception."""
    assert decode(url).error in {"empty", "not an image"}


def test_data_addresses_have_short_names():
    """A manifest names a data: address by its head and digest, and the same one again by the same name."""
    url = f"data:image/jpeg;base64,{CODED}"

    assert len(short_name(url)) < 120
    assert short_name(url) == short_name(url)
    assert short_name(url) != short_name(url + "A")
