"""What failed in passing is tried again by a later run, a few times; what failed for good is not."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dataset.folder import MANIFEST, Record, records
from scraper.again import REST, RUNS, second_chances
from scraper.download import TRIES
from scraper.engines import Candidate
from tests.scraper.conftest import QUICK, downloaded, gathered

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FULL = "http://host.example/full.jpg"
THUMB = "https://engine.example/th?id=OIP.1"


def line(error: str = "timeout", *, hours: float = 2.0, **changes: Any) -> Record:
    """Return a manifest line of a full size that failed some hours ago."""
    failed = Record(FULL, engine="bing", term="pizza", kind="full", error=error)
    return replace(failed, fetched=(NOW - timedelta(hours=hours)).isoformat(), **changes)


def thumbnail(**changes: Any) -> Record:
    """Return the line of a thumbnail that was kept, as the full size did not come."""
    kept = {"url": THUMB, "kind": "thumbnail", "tried": (FULL,), "failures": ("timeout",), "file": "1.jpg"}
    return line(**({"error": "", "phash": "ab"} | kept | changes))


@pytest.mark.parametrize(
    "error", ["timeout", "connection lost", "no connection", "host not found", "robots.txt unavailable", "503", "429"]
)
def test_a_failure_in_passing_has_another_chance(error):
    """Its address is tried again, as the result that it was."""
    (chance,) = second_chances([line(error)], NOW)

    assert chance.candidate.urls == (FULL,)
    assert chance.candidate.kinds == ("full",)
    assert (chance.candidate.engine, chance.candidate.term) == ("bing", "pizza")


def test_a_thumbnail_may_still_become_the_picture():
    """The full size of a thumbnail that was kept is tried again, and is to look like it."""
    (chance,) = second_chances([thumbnail()], NOW)

    assert chance.candidate.urls == (FULL,)
    assert chance.candidate.kinds == ("full",)
    assert chance.likeness == "ab"


@pytest.mark.parametrize(
    "lines",
    [
        [line("404")],
        [line("opted out")],
        [line("not an image")],
        [line("private address")],
        [line(), line("404")],
        [line(), line("", file="1.jpg")],
        [line(hours=0.5)],
        [line(), line(hours=0.5)],
        [line()] * RUNS,
        [thumbnail(kind="cached")],
        [thumbnail(copy_of="2.jpg")],
        [thumbnail(file="", error="thumbnail of a picture that is there", copy_of="2.jpg")],
        [thumbnail(failures=("404",))],
    ],
)
def test_what_is_settled_has_no_other_chance(lines):
    """A failure for good, a picture that is there, a host that had no rest, and too many runs all end it."""
    assert not list(second_chances(lines, NOW))


def test_an_address_of_an_earlier_run_says_nothing_new():
    """An address that is named as tried, without a reason, neither counts as another failure nor settles it."""
    later = thumbnail(url="https://engine.example/th?id=OIP.2", tried=(FULL, "http://x.example/"), failures=("404",))

    assert [chance.candidate.urls for chance in second_chances([line(), line(), later], NOW)] == [(FULL,)]


def picture() -> bytes:
    """Draw a picture."""
    body = io.BytesIO()
    Image.effect_noise((300, 200), 80).convert("RGB").save(body, "JPEG")
    return body.getvalue()


def rested(folder: Path) -> None:
    """Make a manifest as old as a host's rest."""
    old = (datetime.now(UTC) - REST).isoformat(timespec="seconds")
    lines = [json.loads(line) | {"fetched": old} for line in (folder / MANIFEST).read_text().splitlines()]
    (folder / MANIFEST).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_later_run_brings_what_failed_in_passing(httpserver: HTTPServer, tmp_path):
    """While its robots.txt fails, a host is left alone; an hour later what it has is fetched, once."""
    mended: list[bool] = []

    def robots(request: Request) -> Response:
        del request
        return Response("", status=404 if mended else 503)

    httpserver.expect_request("/robots.txt").respond_with_handler(robots)
    httpserver.expect_request("/a.jpg").respond_with_data(picture(), content_type="image/jpeg")
    httpserver.expect_request("/gone.jpg").respond_with_data(b"", status=404)
    site, folder = httpserver.url_for(""), tmp_path / "found"

    def run(*paths: str) -> list[str]:
        found = downloaded([httpserver.url_for(path) for path in paths], folder, QUICK, site=site)
        return sorted(record.error for record in found)

    assert run("/a.jpg", "/gone.jpg") == ["robots.txt unavailable"] * 2
    mended.append(True)
    assert run("/a.jpg", "/gone.jpg") == []
    rested(folder)
    assert run() == ["", "404"]
    rested(folder)
    assert run("/a.jpg", "/gone.jpg") == []
    assert [one.path for one, _ in httpserver.log if one.path != "/robots.txt"].count("/a.jpg") == 1
    assert sum(record.kept for record in records(folder)) == 1


def stumbling(httpserver: HTTPServer, path: str, body: bytes, failures: int, *, status: int = 503) -> None:
    """Serve a body, after so many answers that the host has too much to do."""

    def answer(_: Request) -> Response:
        here = sum(request.path == path for request, _ in httpserver.log)
        return Response("", status=status) if here < failures else Response(body, content_type="image/jpeg")

    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    httpserver.expect_request(path).respond_with_handler(answer)


@pytest.mark.parametrize(
    ("failures", "kind", "asked"), [(0, "full", 1), (TRIES, "full", TRIES + 1), (99, "thumbnail", 2 * TRIES)]
)
def test_a_thumbnail_comes_after_a_second_try(httpserver: HTTPServer, tmp_path, failures, kind, asked):
    """What failed in passing is tried once more at a run's end, before its thumbnail stands in for it."""
    stumbling(httpserver, "/full.jpg", picture(), failures)
    stumbling(httpserver, "/thumb.jpg", picture(), 0)
    urls = (httpserver.url_for("/full.jpg"), httpserver.url_for("/thumb.jpg"))
    result = Candidate(urls, ("full", "thumbnail"), engine="list", term="list", rank=1, width=300, height=200)
    (record,) = gathered([result], tmp_path / "found", QUICK, site=httpserver.url_for(""))

    assert (record.kept, record.kind) == (True, kind)
    assert record.failures == (("503",) if kind == "thumbnail" else ())
    assert sum(request.path == "/full.jpg" for request, _ in httpserver.log) == asked


@pytest.mark.parametrize("failures", [TRIES, 99])
def test_what_has_no_thumbnail_has_its_second_try_too(httpserver: HTTPServer, tmp_path, failures):
    """A picture without any other address is tried once more, and written down once."""
    stumbling(httpserver, "/full.jpg", picture(), failures)
    (record,) = downloaded([httpserver.url_for("/full.jpg")], tmp_path / "found", QUICK, site=httpserver.url_for(""))

    assert (record.kept, record.error) == ((True, "") if failures == TRIES else (False, "503"))


def test_who_is_asked_too_much_is_not_asked_again_in_the_same_run(httpserver: HTTPServer, tmp_path):
    """A host that answers 429 has no second try at the run's end: it may ask to be left alone for an hour."""
    stumbling(httpserver, "/full.jpg", picture(), 99, status=429)
    (record,) = downloaded([httpserver.url_for("/full.jpg")], tmp_path / "found", QUICK, site=httpserver.url_for(""))

    assert (record.kept, record.error) == (False, "429")
    assert sum(request.path == "/full.jpg" for request, _ in httpserver.log) == TRIES


def test_a_thumbnail_that_stumbles_costs_no_picture(httpserver: HTTPServer, tmp_path):
    """A picture of another size than was said waits for the thumbnail that speaks for it."""
    body = picture()
    stumbling(httpserver, "/full.jpg", body, 0)
    stumbling(httpserver, "/thumb.jpg", body, TRIES)
    urls = (httpserver.url_for("/full.jpg"), httpserver.url_for("/thumb.jpg"))
    result = Candidate(urls, ("full", "thumbnail"), engine="list", term="list", rank=1, width=640, height=480)
    (record,) = gathered([result], tmp_path / "found", QUICK, site=httpserver.url_for(""))

    assert (record.kept, record.kind) == (True, "full")
