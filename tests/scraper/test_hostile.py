"""Input that means harm: addresses, redirects, answers, bodies, terms and names.

``pytest -m hostile --collect-only -q`` counts them.
"""

import gzip
import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from werkzeug import Response

from dataset.errors import ConfigError
from dataset.folder import ClassFolder, Record, records
from dataset.images import inspect
from dataset.tray import ClassPlan, Scrape, load
from scraper.download import Fetcher, decode
from scraper.engines import ENGINES, address, clean_address, read
from scraper.gathering import Gathering
from scraper.guard import Guard, guard_for
from scraper.search import Ended
from tests.scraper.conftest import downloaded
from tests.scraper.test_download import PICTURE, picture, raw_host

pytestmark = pytest.mark.hostile

STRICT = Scrape(
    connect_timeout=1.0, read_timeout=1.5, total_timeout=4.0, max_bytes=200_000, max_pixels=1_000_000, host_spacing=0.0,
    kinds="full-only",
)  # fmt: skip
NOWHERE = {"private address", "address not allowed", "host not found"}


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/", "http://0177.0.0.1:{port}/",
        "http://017700000001:{port}/", "http://2130706433:{port}/", "http://0x7f000001:{port}/",
        "http://0x7f.1:{port}/", "http://0:{port}/", "http://0.0.0.0:{port}/", "http://[::]:{port}/",
        "http://[::1]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
        "http://[::ffff:7f00:1]:{port}/", "http://[::127.0.0.1]:{port}/", "http://[::5efe:7f00:1]:{port}/",
        "http://[64:ff9b::7f00:1]:{port}/", "http://[64:ff9b:1::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/",
        "http://[2001:0:7f00:1::]:{port}/", "http://localhost:{port}/", "http://LOCALHOST.:{port}/",
        "http://127.0.0.1.:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127。0。0。1:{port}/",
        "http://user:word@127.0.0.1:{port}/", "http://1.1.1.1@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@1.1.1.1/",
        "http://127.0.0.1:{port}\\@1.1.1.1/", "http://127.0.0.1:{port}/?@1.1.1.1", "HTTP://127.0.0.1:{port}/",
        "hTTps://127.0.0.1:{port}/",
    ],
)  # fmt: skip
def test_no_spelling_of_loopback_is_connected_to(url):
    """However this machine is written, nothing connects to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        fetched = Fetcher(STRICT, Guard()).fetch(url.format(port=server.getsockname()[1]))

        assert fetched.error in NOWHERE
        assert fetched.data == b""
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://100.100.100.200/",
        "http://metadata.google.internal/", "http://10.0.0.1/", "http://172.31.255.255/", "http://192.168.0.1/",
        "http://100.64.0.1/", "http://198.18.0.1/", "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/",
        "http://[fe80::1%25lo]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/",
    ],
)  # fmt: skip
def test_no_network_of_ones_own_is_asked(url):
    """Metadata services, private, shared, link-local, multicast and reserved networks are shut."""
    started = time.monotonic()

    assert Fetcher(STRICT, Guard()).fetch(url).error in NOWHERE
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://a.example/a.jpg", "gopher://127.0.0.1/", "javascript:alert(1)", "about:blank",
        "chrome://settings", "blob:http://a.example/1", "view-source:http://a.example/", "//127.0.0.1/", "http://",
        "http:///a.jpg", "http://a.example:99999/", "http://a.example:-1/", "http://[::1/", "http://]/", "", " ",
        "http://exa mple.com/", "http://a.example\r\nHost: b.example/", "http://\0/", "http://..../", "http://-/",
        "http://xn--/", "http://\ud800.com/", "http://" + "a" * 70 + ".example/", "http://a.example/\0",
        "data:", "data:,", "data:image/png;base64", "data:image/png;base64,%%%", "data:;base64,=", "DATA:;base64,====",
        "data:image/png;base64,A", "data:image/jpeg;base64,\ud800", "data:image/gif;base64," + "A" * 99_999 + "*",
    ],
)  # fmt: skip
def test_addresses_that_are_none_have_a_reason(url):
    """Nothing raises, nothing comes, nobody is asked."""
    fetched = Fetcher(STRICT, Guard()).fetch(url)

    assert fetched.error in {"address not allowed", "host not found", "not an image", "empty"}
    assert fetched.data == b""


@pytest.mark.parametrize(
    "raw",
    [
        "http://a.example/\ud800.jpg", "http://a.example/?q=\udfff", "http://[::1/", "http://a.example:80:90/",
        "javascript:alert(1)//.jpg", "file:///a.jpg", "http://a.example/\r\nX-Evil: 1", "\0", "http://a.example/%",
        "http://a.example/\u202egpj.exe", "%%%", "http%3a%2f%2f127.0.0.1%2f", "&amp;" * 1000, "http://" + "a." * 5000,
    ],
)  # fmt: skip
def test_addresses_of_a_page_are_cleaned_or_dropped(raw):
    """What a page calls an address becomes one in plain letters, or none; reading never breaks."""
    cleaned = clean_address(raw)

    assert cleaned == "" or cleaned.startswith(("http://", "https://"))
    assert not set(cleaned) & set('\r\n\0 "<>\u202e')
    cleaned.encode("utf-8")


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://169.254.169.254/latest/meta-data", "private address"), ("http://[::1]/", "private address"),
        ("//10.0.0.1/a.jpg", "private address"), ("http://2852039166/", "redirect to nowhere"),
        ("file:///etc/passwd", "address not allowed"), ("ftp://a.example/b.jpg", "address not allowed"),
        ("data:image/png;base64,AAAA", "address not allowed"), ("javascript:alert(1)", "address not allowed"),
        ("http://", "too many redirects"), ("/a", "too many redirects"),
        ("http://gone.example/a.jpg", "forgotten"),
    ],
)  # fmt: skip
def test_no_redirect_leads_astray(httpserver, location, error):
    """Each stop on the way is checked as the first one was."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": location})
    fetcher = Fetcher(STRICT, guard_for(httpserver.url_for("/")))
    fetched = fetcher.fetch(httpserver.url_for("/a"), forgotten=frozenset({"gone.example"}))

    assert (fetched.error, fetched.data) == (error, b"")


def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch):
    """Public at the first look, loopback at every other: what was looked at is what is connected to."""
    real = socket.getaddrinfo
    looks: list[str] = []

    def rebinding(host: str, *arguments: object, **options: object) -> object:
        if host == "rebind.example":
            looks.append(host)
            host = "203.0.113.1" if len(looks) == 1 else "127.0.0.1"
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        guard = guard_for(None, ("203.0.113.0/24",))
        fetched = Fetcher(STRICT, guard).fetch(f"http://rebind.example:{server.getsockname()[1]}/")

        assert fetched.data == b""
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_name_with_one_private_address_among_others_is_shut(monkeypatch):
    """A name that offers both is not tried at its public address either."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("1.1.1.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)

    assert Fetcher(STRICT, Guard()).fetch("http://both.example/").error == "private address"


@pytest.mark.parametrize(
    "page", ["https://é.example/中", "http://a.example/\r\nX-Evil: 1", "\ud800", "x" * 90_000, "http://a.example/\0"]
)
def test_a_page_with_an_odd_address_costs_no_picture(httpserver, page):
    """The page's address goes into a header; what can't stand there makes no trouble."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    httpserver.expect_request("/a").respond_with_data(PICTURE)
    fetched = Fetcher(STRICT, guard_for(httpserver.url_for("/"))).fetch(httpserver.url_for("/a"), referer=page)
    (request,) = [request for request, _ in httpserver.log if request.path == "/a"]

    assert fetched.data == PICTURE
    assert "X-Evil" not in request.headers


# ---------------------------------------------------------------- answers


def endless(connection: socket.socket) -> None:
    """Send a body that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65536))


def endless_chunks(connection: socket.socket) -> None:
    """Send chunks that never end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")


def endless_headers(connection: socket.socket) -> None:
    """Send headers that never end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        connection.sendall(b"X-%d: y\r\n" % number)


def endless_header(connection: socket.socket) -> None:
    """Send a header line that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(200):
        connection.sendall(b"y" * 65536)


def slow_body(connection: socket.socket) -> None:
    """Send one byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for byte in PICTURE[:1000]:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def endless_continue(connection: socket.socket) -> None:
    """Say that the answer is about to come, again and again."""
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def answered(head: bytes, body: bytes = PICTURE) -> Callable[[socket.socket], None]:
    """Return what sends an answer as it is given."""
    return lambda connection: connection.sendall(head + b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("talk", "errors"),
    [
        (endless, {"too many bytes"}),
        (endless_chunks, {"too many bytes"}),
        (endless_headers, {"connection lost"}),
        (endless_header, {"connection lost"}),
        (slow_body, {"timeout"}),
        (endless_continue, {"timeout", "connection lost"}),
        (answered(b"HTTP/1.1 200 OK\r\nContent-Length: 99999"), {"connection lost"}),
        (answered(b"HTTP/1.1 200 OK\r\nContent-Length: 0"), {"empty"}),
        (answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"ZZ\r\nx"), {"connection lost"}),
        (answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip"), {"connection lost"}),
        (answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"gzip, " * 40 + b"gzip"), {"connection lost"}),
        (answered(b"HTTP/1.1 99999 Odd"), {"connection lost"}),
        (answered(b"ICY 200 OK"), {"connection lost"}),
        (answered(b"\0\1\2"), {"connection lost"}),
        (answered(b"HTTP/1.1 206 Partial Content"), {"206"}),
        (answered(b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/"), {"address not allowed", "host not found"}),
        (answered(b"HTTP/1.1 302 Found\r\nLocation: http://[::1/"), {"redirect to nowhere", "connection lost"}),
        (answered(b"HTTP/1.1 429 No\r\nRetry-After: " + b"9" * 400, b""), {"429", "timeout"}),
        (answered(b"HTTP/1.1 503 No\r\nRetry-After: never", b""), {"503", "timeout", "connection lost"}),
    ],
)  # fmt: skip
def test_answers_that_harm_are_broken_off(talk, errors):
    """No answer takes longer than the total time or more than the most bytes, and each has its reason."""
    with raw_host(talk) as url:
        started = time.monotonic()
        fetched = Fetcher(STRICT, guard_for(url)).fetch(url)

    assert fetched.error in errors
    assert fetched.data == b""
    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
        ("gzip, deflate", lambda body: zlib.compress(gzip.compress(body))),
    ],
)
def test_bodies_that_unfold_are_cut_off(httpserver, coding, pack):
    """A small answer of hundreds of megabytes is read up to the limit and no further."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    httpserver.expect_request("/a").respond_with_data(pack(bytes(100_000_000)), headers={"Content-Encoding": coding})
    fetched = Fetcher(STRICT, guard_for(httpserver.url_for("/"))).fetch(httpserver.url_for("/a"))

    assert (fetched.error, fetched.data) == ("too many bytes", b"")


# ---------------------------------------------------------------- bodies


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    """Return an image's bytes."""
    body = io.BytesIO()
    image.save(body, form, **options)
    return body.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a PNG's chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *more: bytes) -> bytes:
    """Return a PNG of zeros that says it has this size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(more)
        + chunk(b"IDAT", zlib.compress(bytes(9999)))
        + chunk(b"IEND", b"")
    )


SCRIPT = b"<script>alert(document.domain)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400">%s</svg>'
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
LOOP = b"II*\0\x08\0\0\0\x01\0\x00\x01\x03\0\x01\0\0\0\x40\0\0\0\x08\0\0\0"
BAD = {
    "html": b"<!doctype html><html><body>Sign in first</body></html>",
    "html after a mark": b"\xef\xbb\xbf  \n<HTML><img src=x onerror=alert(1)></HTML>",
    "json": b'{"error": "no such picture"}',
    "svg with a script": SVG % SCRIPT,
    "svg with an entity": ENTITIES + SVG % b"<text>&a;</text>",
    "svg with many laughs": LAUGHS + SVG % b"<text>&b;</text>",
    "svg in gzip": gzip.compress(SVG % SCRIPT),
    "gif that is a script": b"GIF89a=1;alert(1)//" + bytes(99),
    "gif of 65535 x 65535": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(600),
    "bmp of 2 gigapixels": b"BM" + struct.pack("<IHHIIiiHH24x", 99, 0, 0, 54, 40, 46340, 46340, 1, 24),
    "png of 400 megapixels": png(20_000, 20_000),
    "png of 4 gigapixels": png(2**31 - 1, 2),
    "png without size": png(0, 0),
    "png with a text that unfolds": png(90, 90, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(99_000_000)))),
    "png with a profile that unfolds": png(90, 90, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(99_000_000)))),
    "png with a wrong sum": png(90, 90)[:40] + b"\0\0\0\0" + png(90, 90)[44:],
    "tiff in a circle": LOOP + bytes(64),
    "half a jpeg": PICTURE[: len(PICTURE) // 2],
    "a jpeg's head": PICTURE[:24],
    "a jpeg of zeros": PICTURE[:200] + bytes(5000),
    "webp that is cut": picture("WEBP")[:100],
    "avif that is none": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(range(256)) * 8,
    "heic that is none": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(range(256)) * 8,
    "one pixel": saved(Image.new("L", (1, 1)), "GIF"),
    "a sliver": saved(Image.new("RGB", (1, 5000)), "JPEG"),
    "an icon": saved(Image.new("RGB", (48, 48)), "ICO"),
    "a jpeg 2000": saved(Image.new("RGB", (99, 99)), "JPEG2000"),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) run",
    "photoshop": b"8BPS\0\1" + bytes(600),
    "pdf": b"%PDF-1.7 " + PICTURE,
    "a program": b"MZ" + bytes(600),
    "a script": b"#!/bin/sh\nrm -rf ~\n",
    "php": b"<?php system($_GET['c']); ?>",
    "a zip": b"PK\3\4" + bytes(600),
    "a video": b"\0\0\0\x18ftypmp42" + bytes(600),
    "nothing": b"",
    "zeros": bytes(9999),
    "a pickle": b"\x80\x04\x95" + bytes(99),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bodies_that_are_no_picture_are_not_kept(name):
    """Whatever status and type said, such bytes get a reason, quickly, and are never written."""
    started = time.monotonic()
    info = inspect(BAD[name], max_pixels=STRICT.max_pixels)

    assert info.error
    assert time.monotonic() - started < 10


POLYGLOTS = {
    "a page behind a jpeg": PICTURE + b"<html>" + SCRIPT,
    "a zip behind a png": saved(Image.new("RGB", (90, 90), "red"), "PNG") + b"PK\3\4" + bytes(99),
    "a script in a comment": saved(Image.new("RGB", (90, 90), "red"), "JPEG", comment=SCRIPT),
    "php in the exif": saved(
        Image.new("RGB", (90, 90), "blue"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0<?php system('id'); ?>"
    ),
}


def test_pictures_that_are_something_else_too_are_files_of_pictures(httpserver, tmp_path):
    """They keep their bytes and get the extension of the picture, whatever their address ends in."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    site = httpserver.url_for("").rstrip("/")
    for number, body in enumerate(POLYGLOTS.values()):
        httpserver.expect_request(f"/{number}.php").respond_with_data(body, content_type="text/html")
    urls = [f"{site}/{number}.php" for number in range(len(POLYGLOTS))]
    written = downloaded(urls, tmp_path / "found", STRICT, site=site)

    assert {one.error for one in written} == {""}
    assert {Path(one.file).suffix for one in written} == {".jpg", ".png"}
    assert {(tmp_path / "found" / one.file).read_bytes() for one in written} == set(POLYGLOTS.values())


def test_a_folder_after_an_hour_of_harm_is_sound(httpserver, tmp_path):
    """All bad bodies at once, between good ones: the good ones are kept and each bad one has its line."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    site = httpserver.url_for("").rstrip("/")
    bodies = [*BAD.values(), *(picture() for _ in range(5))]
    for number, body in enumerate(bodies):
        answer = Response(body[: STRICT.max_bytes], headers={"Content-Type": "image/jpeg"})
        httpserver.expect_request(f"/{number}.jpg").respond_with_response(answer)
    urls = [f"{site}/{number}.jpg" for number in range(len(bodies))]
    written = downloaded(urls, tmp_path / "found", STRICT, site=site)

    assert sum(one.kept for one in written) == 5
    assert all(one.error for one in written if not one.kept)
    assert len(list(records(tmp_path / "found"))) == len(bodies)


# ---------------------------------------------------------------- terms, names, titles

TERMS = [
    "../../etc/passwd", "a/b", "/", "..", "\\\\server\\share", "C:\\nul", "con", "aux.txt", "--help", "-rf /", "$(id)",
    "`id`", "; rm -rf ~", "'; drop table t; --", '"quoted"', "a&udm=14&q=b", "a#b", "a?b=c", "100 %", "%2e%2e%2f",
    "{q}", "{{7*7}}", "<script>alert(1)</script>", "🍕", "👩‍👩‍👧", "披萨", "بيتزا", "\u202eazzip", "a\0b", "a\nb",
    "a\u2028b", "x" * 5000, "\udcff", "ﷺ" * 50, "e\u0301", " ",
]  # fmt: skip


@pytest.mark.parametrize("term", TERMS, ids=lambda term: ascii(term)[:24])
def test_a_term_is_a_term_and_nothing_else(tmp_path, term):
    """It changes no other part of an engine's address, no path on disk, and is known again when it is finished."""
    for engine in ENGINES.values():
        plain, asked = urlsplit(address(engine, "pizza")), urlsplit(address(engine, term))
        before, after = parse_qs(plain.query), parse_qs(asked.query, keep_blank_values=True)
        assert (asked.scheme, asked.netloc, asked.path, asked.fragment) == (*plain[:3], "")
        assert before.keys() == after.keys()
        assert term.encode("utf-8", "replace").decode() in {value for values in after.values() for value in values}
    inquiry = ("bing", term, "safe=on")
    for finished in (set(), {inquiry}):
        with ClassFolder(tmp_path / "found") as folder:
            one = Gathering(ClassPlan("found", (term,), 5), folder, "best")
            assert one.finished == finished
            folder.reject(Record(f"https://a.example/{len(finished)}", term=term, title=term, error="404"))
            one.ended[inquiry] = Ended("end of results")
            one.note_progress(inquiry)
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [".lock", "manifest.jsonl", "progress.jsonl"]
    assert [path.name for path in tmp_path.iterdir()] == ["found"]
    assert [one.term for one in records(tmp_path / "found")] == [term.encode("utf-8", "replace").decode()] * 2


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "", ".", "..", ".hidden", "-rf", "a b", "a\0b", "not_x", "a" + "/" * 9, "🍕/..", "_x", "a\n"],
)
def test_an_item_is_no_path(tmp_path, name):
    """Names of items become folders; what could lead elsewhere is refused with the name in the sentence."""
    (tmp_path / "tray.toml").write_text(
        f"[items.{json.dumps(name, ensure_ascii=False)}]\nterms = ['pizza']\n", encoding="utf-8"
    )

    with pytest.raises(ConfigError, match="items"):
        load(tmp_path / "tray.toml")


@pytest.mark.parametrize(
    "title",
    ["\ud83d", "a\u2028b", "\u202egpj.exe", "x" * 1_000_000, "\0", "a\r\nb", '"}\n{"url": "forged"}', "\ud83d\ude00"],
)
def test_a_title_is_one_line_of_a_manifest(tmp_path, title):
    """Halves of characters, ends of lines and forged lines change nothing but the title itself."""
    for again in range(2):
        with ClassFolder(tmp_path / "found") as folder:
            assert len(list(folder)) == again
            folder.reject(Record(f"https://a.example/{again}", title=title, page=title, error="404"))
    lines = (tmp_path / "found" / "manifest.jsonl").read_bytes().splitlines(keepends=True)

    assert [one.url for one in records(tmp_path / "found")] == ["https://a.example/0", "https://a.example/1"]
    assert len([line for line in lines if line.startswith(b'{"url"')]) == 2


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: str(engine.name))
@pytest.mark.parametrize(
    "html",
    [
        "", "\0", "<", "<a" * 5000, "<div>" * 5000, "<a class=iusc m='{'>", "<a class=iusc m='{\"murl\": 7}'>",
        "<a class=iusc m='{\"murl\": \"http://a.example/\\ud800.jpg\"}'><img class=mimg src=x>",
        "<li class=ld data='[]'>", "<a href='/imgres?imgurl=http%3A%2F%2F%5B%3A%3A1'>", "<img src='data:,'>" * 500,
    ],
    ids=range(11),
)  # fmt: skip
def test_pages_that_are_broken_are_read(engine, html):
    """A page is a stranger's: reading it gives results or none, and never an exception."""
    for one in read(engine, html, "pizza"):
        assert all(url.startswith(("http", "data:")) for url in one.urls)


@pytest.mark.parametrize("size", [1_000_000, 10_000_000])
def test_a_data_address_of_any_size_is_decoded_once(size):
    """Megabytes in an address cost no more than their decoding."""
    started = time.monotonic()

    assert len(decode("data:image/png;base64," + "A" * size).data) == size * 3 // 4
    assert time.monotonic() - started < 10
