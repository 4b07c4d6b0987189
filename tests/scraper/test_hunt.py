"""An engine that has had enough: passed by hand, waited out at its word, slowed down."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dataset.errors import EngineBroken
from dataset.folder import ClassFolder, Kind
from dataset.tray import ClassPlan
from scraper.browser import Window
from scraper.engines import BING, YAHOO, Candidate, Engine, read
from scraper.gathering import Gathering
from scraper.hunt import Desk, Hunt, asked_of, page_keeper
from scraper.pacing import Rhythm
from scraper.scrape import Summary, scrape
from scraper.search import Ended
from scraper.tally import Tally
from scraper.visitor import Visitor
from tests.scraper.conftest import QUICK, silent
from tests.scraper.test_search import page

CHALLENGE = """<!doctype html><title>One last step</title><h1>Verify you are a human</h1>
<script>setTimeout(() => { location.href = "/passed" }, 700)</script>"""


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a screen."""
    if not shutil.which("Xvfb"):
        pytest.skip("no Xvfb on PATH")
    from pyvirtualdisplay.display import Display

    with Display(visible=False, size=(1366, 900), manage_global_env=False) as display:
        monkeypatch.setenv("DISPLAY", display.new_display_var)
        yield


def guarded(httpserver: HTTPServer) -> Engine:
    """Serve an engine that wants a person before it shows results; what the person does, the page does by itself."""
    passed: list[bool] = []

    def results(request: Request) -> Response:
        del request
        if passed:
            return Response(page(total=10), content_type="text/html")
        return Response(CHALLENGE, status=429, content_type="text/html")

    def let_in(request: Request) -> Response:
        del request
        passed.append(True)
        return Response("<h1>Thank you</h1>", content_type="text/html")

    httpserver.expect_request("/search").respond_with_handler(results)
    httpserver.expect_request("/passed").respond_with_handler(let_in)
    return replace(BING, url=httpserver.url_for("/search?q={q}"))


def summary_of(engine: Engine, into: Path, settings, site: str) -> Summary:
    """Scrape one term; return the engine's summary."""
    steps = scrape([ClassPlan("x", ("x",), 500)], into, settings, engines=[engine], site=site)
    return next(step for step in steps if isinstance(step, Summary))


@pytest.mark.usefixtures("screen")
def test_a_challenge_can_be_passed_by_hand(httpserver, site, tmp_path):
    """With a screen, the window with the challenge waits for the user, and the search goes on when it is passed."""
    engine = guarded(httpserver)
    summary = summary_of(engine, tmp_path, replace(QUICK, display="screen"), site.url)

    assert (summary.seen, summary.stopped_because) == (10, "end of results")
    assert len([request for request, _ in httpserver.log if request.path == "/search"]) == 2


def test_an_engine_is_left_alone_for_as_long_as_it_asks(httpserver, site, tmp_path):
    """A refusal that names a time is waited out for that time, and not for longer on a site of one's own."""
    answers = [
        Response("<h1>Too many requests</h1>", status=429, headers={"Retry-After": "2"}, content_type="text/html"),
        Response(page(total=10), content_type="text/html"),
    ]
    came: list[float] = []

    def answer(request: Request) -> Response:
        del request
        came.append(time.monotonic())
        return answers[len(came) - 1]

    httpserver.expect_request("/search").respond_with_handler(answer)
    engine = replace(BING, url=httpserver.url_for("/search?q={q}"))
    summary = summary_of(engine, tmp_path, replace(QUICK, pace=0.002), site.url)

    assert (summary.seen, summary.stopped_because) == (10, "end of results")
    assert 2 <= came[1] - came[0] < 12


def visited(
    engine: Engine, window: Window | None, into: Path, patch: pytest.MonkeyPatch
) -> tuple[list[Candidate], Visitor, Ended]:
    """Search a term to its end in a window that is open, with waits that nobody waits for; return what was offered."""
    offered: list[Candidate] = []
    with ClassFolder(into / "x") as folder:
        gathering = Gathering(ClassPlan("x", ("x",), 500), folder, "best")
        visitor = Visitor(
            engine, QUICK, Rhythm(0.02, 0, sleep=lambda _: None), lambda _, one: offered.append(one),
            stop=threading.Event(), keep_page=Path, site=None,
        )  # fmt: skip
        patch.setattr(visitor, "_open_window", lambda: window)
        ended = visitor.search(gathering, "x", asked_of(engine, QUICK.filters))
    return offered, visitor, ended


def test_refused_in_the_middle_it_goes_on_where_it_was(httpserver, window, tmp_path, monkeypatch):
    """Pages with addresses of their own are not asked for again after a back-off, and no result is missing."""
    httpserver.expect_request("/more").respond_with_data("", status=429)
    pages = {
        "1": page(total=20, script="setTimeout(() => fetch('/more'), 50);"),
        "21": page(total=10).replace("a.example", "b.example"),
        "31": "We did not find results for x",
    }
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.args["b"])
        return Response(pages[asked[-1]], content_type="text/html")

    httpserver.expect_request("/search").respond_with_handler(answer)
    engine = replace(YAHOO, url=httpserver.url_for("/search?p={q}&b=1"), tile=BING.tile, full=BING.full)
    offered, visitor, ended = visited(engine, window, tmp_path, monkeypatch)

    assert asked == ["1", "21", "31"]
    assert (len(offered), visitor.refusals, ended.reason) == (30, 1, "end of results")


def result(number: int, *, full: bool) -> Candidate:
    """Return a result, with its full size or with its thumbnail alone."""
    urls = (f"https://a.example/{number}.jpg", f"https://t.example/{number}")
    kinds: tuple[Kind, ...] = ("full", "thumbnail")
    return Candidate(urls[not full :], kinds[not full :], engine="bing", term="x", rank=number)


def test_results_without_a_full_size_are_looked_at_again(tmp_path, monkeypatch):
    """When hardly any name it any more the search begins again, more slowly; what comes so again is taken so."""
    begins: list[int] = []

    def scrolled(*_: object, first: int, **__: object) -> Iterator[Any]:
        begins.append(first)
        last = 40 if len(begins) == 1 else 70
        yield from ([result(rank, full=rank <= last) for rank in range(n, n + 10)] for n in range(1, 101, 10))
        yield Ended("end of results")

    monkeypatch.setattr("scraper.visitor.search", scrolled)
    offered, _, ended = visited(BING, None, tmp_path, monkeypatch)

    assert begins == [1, 41, 71]
    assert [one.rank for one in offered if one.kinds[0] == "full"] == list(range(1, 71))
    assert [one.rank for one in offered if one.kinds[0] != "full"] == list(range(71, 101))
    assert ended.reason == "end of results"


def test_a_dry_run_leaves_no_page_where_the_user_is(tmp_path, monkeypatch):
    """A page that a preview did not understand is kept among the system's temporary files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    page = page_keeper(None, BING)("<p>something else</p>")

    assert page.read_text() == "<p>something else</p>"
    assert page.is_relative_to(tmp_path / "temporary")
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_a_page_that_never_answers_is_not_waited_for(tmp_path, monkeypatch):
    """It is given up after the limit for pages, asked for once more by another browser, and named."""
    monkeypatch.setattr("scraper.browser.DRIVER_SECONDS", 0.5)
    with silent() as url:
        engine = replace(BING, url=f"{url}/search?q={{q}}")
        started = time.monotonic()
        summary = summary_of(engine, tmp_path, replace(QUICK, page_timeout=0.4), url)

    assert re.match(r"failed: Expected a page from .* no answer in 0\.4 s", summary.stopped_because)
    assert time.monotonic() - started < 60
    assert not (tmp_path / ".pages").exists()


class Scripted:
    """A visitor whose searches end as they were told to."""

    def __init__(self, *ends: str) -> None:
        self.ends = list(ends)

    def search(self, *_: object) -> Ended:
        """End, or not understand the page."""
        if end := self.ends.pop(0):
            return Ended(end)
        raise EngineBroken("Expected results. Received: another page.")


def test_an_engine_is_given_up_after_two_searches_in_a_row(tmp_path):
    """What counts are the last two searches, not the last two terms that had their first turn."""
    desk = Desk(*[lambda *_: None] * 4)
    with ClassFolder(tmp_path / "x") as folder:
        one = Gathering(ClassPlan("x", ("a", "b", "c"), 9), folder, QUICK.kinds)
        hunt = Hunt(BING, QUICK, Tally(), desk, into=tmp_path, site="http://127.0.0.1")
        visitor: Any = Scripted("end of results", "", "end of results", "", "")
        turns = [hunt._turn(visitor, one, term, hunt.asked, pause=False) for term in ("a", "b", "a", "c")]

        assert turns == [True] * 4
        with pytest.raises(EngineBroken):
            hunt._turn(visitor, one, "b", hunt.asked, pause=False)


def test_an_engines_own_thumbnail_is_no_full_size():
    """An address of an engine's cache in the place of the picture's is a thumbnail, and is called one."""
    tile = '<a class="iusc" m=\'{"murl":"https://th.bing.com/th/id/OIP.x?w=200","turl":"https://t.example/1"}\'></a>'
    (candidate,) = read(BING, tile, "x")

    assert candidate.kinds == ("thumbnail", "thumbnail")
