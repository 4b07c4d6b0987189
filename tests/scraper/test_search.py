"""Searches on pages that misbehave: each ends by itself, with all results and the right reason."""

import itertools
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from selenium.common.exceptions import UnexpectedAlertPresentException
from werkzeug import Request, Response

from dataset.errors import EngineBlocked, EngineBroken
from scraper.browser import Look, NoPage, Window
from scraper.chromium import chromium
from scraper.engines import BING, GOOGLE, MORE, REFUSAL, YAHOO, Candidate, Engine, clean_address, pointed_at
from scraper.pacing import Rhythm
from scraper.search import Ended, search
from scraper.simulator import SCENARIOS, Scenario, Site
from scraper.simulator.words import ASKING
from tests.scraper.conftest import QUICK, engines, silent

PAGE = """<!doctype html><meta charset=utf-8><title>results</title>
<style>body{{margin:0}} .grid{{display:flex;flex-wrap:wrap;{grid_style}}} .cell{{width:200px;height:180px}}
a,img{{display:block;width:190px;height:170px}}</style>
<div id=top>{top}</div><div class=grid></div><div id=foot style="height:20px">{foot}</div>
<script>
const grid = document.querySelector(".grid"), foot = document.getElementById("foot");
const pixel = "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ".repeat(4);
const options = {options};
if (options.inner) grid.append(foot);
let made = 0;
function tile(number) {{
  const [cell, link, picture] = ["div", "a", "img"].map((name) => document.createElement(name));
  cell.className = "cell"; link.className = "iusc";
  const full = "https://a.example/" + number + ".jpg", small = "https://t.example/" + number;
  link.setAttribute("m", JSON.stringify({{murl: full, turl: small}}));
  picture.src = pixel; link.append(picture); cell.append(link); return cell;
}}
function batch() {{
  for (let i = 0; i < options.batch && made < options.total; i += 1) {{
    grid.append(tile(made % options.distinct)); made += 1;
  }}
}}
batch();
let loading = false;
const watcher = new IntersectionObserver((entries) => {{
  if (!entries.some((one) => one.isIntersecting) || loading || made >= options.total) return;
  loading = true;
  setTimeout(() => {{ batch(); loading = false; foot.remove(); options.inner ? grid.append(foot) : grid.after(foot);
    watcher.unobserve(foot); watcher.observe(foot); }}, options.delay);
}}, {{root: options.inner ? grid : null, rootMargin: "200px"}});
watcher.observe(foot);
{script}
</script>"""


def page(
    *,
    total: int = 40,
    batch: int = 20,
    distinct: int = 100_000,
    delay: int = 20,
    inner: bool = False,
    top: str = "",
    foot: str = "",
    script: str = "",
) -> str:
    """Return a page of results that come in batches as one scrolls."""
    options = {"total": total, "batch": batch, "distinct": distinct, "delay": delay, "inner": inner}
    style = "height:500px;overflow-y:auto" if inner else ""
    return PAGE.format(options=json.dumps(options), grid_style=style, top=top, foot=foot, script=script)


def served(httpserver: HTTPServer, html: str, status: int = 200) -> Engine:
    """Serve a page; return an engine that reads it."""
    httpserver.expect_request("/search").respond_with_data(html, status=status, content_type="text/html")
    return replace(BING, url=httpserver.url_for("/search?q={q}"))


def found(window: Window, engine: Engine, *, into: Path = Path(), pace: float = 0.02) -> tuple[list[Candidate], str]:
    """Search to the end; return the results and the reason."""

    def keep(html: str) -> Path:
        (into / "kept.html").write_text(html, encoding="utf-8")
        return into / "kept.html"

    results: list[Candidate] = []
    for step in search(window, engine, "pizza", Rhythm(pace, 1, sleep=threading.Event().wait), keep_page=keep):
        if isinstance(step, Ended):
            return results, step.reason
        results += step
    raise AssertionError


def test_a_plain_page_is_read_to_its_end(window, httpserver):
    """Batches come as one scrolls, each result once."""
    results, reason = found(window, served(httpserver, page(total=90)))

    assert len({one.urls[0] for one in results}) == len(results) == 90
    assert reason == "end of results"


def test_pages_that_repeat_end(window, httpserver):
    """An engine that shows old results again and again is at its end."""
    results, reason = found(window, served(httpserver, page(total=100_000, distinct=50)))

    assert len(results) == 50
    assert reason == "end of results (they repeat)"


def test_an_inner_scroller_is_scrolled(window, httpserver):
    """Results inside a box of constant height are reached."""
    results, _ = found(window, served(httpserver, page(total=60, inner=True)))

    assert len(results) == 60


def test_recycled_elements_lose_nothing(window, httpserver):
    """Results whose elements leave the page, or take on another result, were handed out before."""
    recycle = """setInterval(() => { const cells = [...grid.querySelectorAll(".cell")];
      for (const cell of cells) if (cell.getBoundingClientRect().bottom < -1500) {
        cell.firstChild && cell.firstChild.remove(); } }, 30);"""
    results, _ = found(window, served(httpserver, page(total=120, script=recycle)))

    assert len(results) == 120


def test_a_show_more_button_is_clicked(window, httpserver):
    """A button that hides until it is needed is clicked, also under a cookie banner, which is refused."""
    top = """<div id=bnp_container
      style="position:fixed;bottom:0;left:0;width:100%;height:200px;background:#fff;z-index:9">
      <button id=bnp_btn_accept>Accept</button><button id=bnp_btn_reject
      onclick="window.refused = true; this.parentElement.remove()">Reject</button></div>"""
    click = "options.total += 20; batch(); return false"
    foot = f'<a class="btn_seemore" href="#" style="display:none" onclick="{click}">More</a>'
    script = 'setTimeout(() => { document.querySelector(".btn_seemore").style.display = "" }, 300);'
    script += "setTimeout(() => foot.remove(), 2500);"
    engine = served(httpserver, page(total=20, top=top, foot=foot, script=script))
    results, _ = found(window, engine)

    assert len(results) > 20
    assert window.driver.execute_script("return window.refused === true")


def test_a_button_that_does_nothing_is_left(window, httpserver):
    """A show-more button that brings nothing does not hold a search for ever."""
    foot = '<a class="btn_seemore" href="#" onclick="window.clicks = (window.clicks || 0) + 1; return false">More</a>'
    results, reason = found(window, served(httpserver, page(total=20, foot=foot)))

    assert len(results) == 20
    assert reason == "end of results"
    assert window.driver.execute_script("return window.clicks") == 3


def test_a_spinner_is_believed_while_it_turns(window, httpserver):
    """A batch that takes seconds is waited for when the page says that it is busy."""
    script = """
      const spinner = document.createElement("div"); spinner.setAttribute("role", "progressbar");
      spinner.textContent = "..."; document.body.append(spinner);
      setTimeout(() => { options.total += 20; batch(); spinner.remove(); }, 4000);"""
    results, _ = found(window, served(httpserver, page(total=20, script=script)))

    assert len(results) == 40


def test_an_answer_that_is_on_its_way_is_waited_for(window, httpserver):
    """On a slow line a batch takes seconds, and not every page says meanwhile that it is busy."""

    def late(_: Request) -> Response:
        threading.Event().wait(4.0)
        return Response("{}")

    httpserver.expect_request("/late").respond_with_handler(late)
    script = 'fetch("/late").then(() => { options.total += 20; batch(); });'
    results, _ = found(window, served(httpserver, page(total=20, script=script)))

    assert len(results) == 40


def test_a_page_whose_scripts_work_is_waited_for(window, httpserver):
    """A slow computer takes seconds to make results of an answer: patience is for a page that does nothing."""
    script = """
      const pipe = new MessageChannel(), end = performance.now() + 5000;
      pipe.port1.onmessage = () => {
        for (const until = performance.now() + 20; performance.now() < until;);
        if (performance.now() < end) pipe.port2.postMessage(0); else { options.total += 20; batch(); }
      };
      pipe.port2.postMessage(0);"""
    results, _ = found(window, served(httpserver, page(total=20, script=script)))

    assert len(results) == 40


def test_alerts_and_popups_are_sent_away(window, httpserver):
    """A dialogue does not stop the search."""
    script = 'setTimeout(() => alert("hello"), 100); setInterval(() => window.open("about:blank"), 200);'
    results, _ = found(window, served(httpserver, page(total=60, script=script)))

    assert len(results) == 60


@pytest.mark.parametrize("name", ["execute_script", "execute_async_script"])
def test_an_alert_in_the_midst_of_a_script_does_not_stop_the_search(window, httpserver, monkeypatch, name):
    """A busy driver tells of some alerts that it sends away, and of others gives nothing but an empty answer."""
    run, calls = getattr(window.driver, name), itertools.count()

    def alerted(*arguments: object) -> object:
        answer, turn = run(*arguments), next(calls) % 4
        if turn == 1:
            raise UnexpectedAlertPresentException("unexpected alert open")
        return None if turn == 2 else answer

    monkeypatch.setattr(window.driver, name, alerted)
    results, _ = found(window, served(httpserver, page(total=60)))

    assert len(results) == 60
    assert next(calls) > 8


@pytest.mark.parametrize(
    ("html", "status", "engine"),
    [
        ("<h1>Sorry</h1>", 429, GOOGLE),
        ("<p>Our systems have detected unusual traffic from your computer network.</p>", 200, GOOGLE),
        ('<div id="recaptcha" style="width:300px;height:80px"></div>', 200, GOOGLE),
        ("<p>Please verify you are a human</p>", 200, BING),
        ("", 500, YAHOO),
        ("<p>busy</p>", 999, YAHOO),
    ],
)
def test_refusals_are_called_blocked(window, httpserver, html, status, engine):
    """A captcha, a 429 and Yahoo's 500 are refusals, whatever else is on the page."""
    url = served(httpserver, html, status).url

    with pytest.raises(EngineBlocked, match=engine.name):
        found(window, replace(engine, url=url))


def test_one_server_error_is_not_a_refusal(window, httpserver):
    """Yahoo's single empty 500 is followed by its results."""
    answers = iter([Response("", status=500), Response(page(total=20), content_type="text/html")])
    httpserver.expect_request("/search").respond_with_handler(lambda _: next(answers))
    engine = replace(YAHOO, url=httpserver.url_for("/search?p={q}"), tile=BING.tile, full=BING.full)

    assert len(found(window, engine)[0]) == 20


def test_a_consent_page_is_refused_and_left(window, httpserver):
    """A consent page in place of results is answered with reject, and the results follow."""

    def answer(request: Request) -> Response:
        if "cookie" in request.cookies:
            return Response(page(total=20), content_type="text/html")
        return Response(status=302, headers={"Location": httpserver.url_for("/guce.example/collectConsent")})

    form = """<form method=post action="/done"><button name=agree value=agree>Agree</button>
      <button name=reject value=reject>Reject all</button></form>"""
    httpserver.expect_request("/search").respond_with_handler(answer)
    httpserver.expect_request("/guce.example/collectConsent").respond_with_data(form, content_type="text/html")

    def done(request: Request) -> Response:
        headers = {"Location": httpserver.url_for("/search?p=pizza")}
        if "reject" in request.form:
            headers["Set-Cookie"] = "cookie=no; Path=/"
        return Response(status=302, headers=headers)

    httpserver.expect_request("/done", method="POST").respond_with_handler(done)
    engine = replace(YAHOO, url=httpserver.url_for("/search?p={q}"), tile=BING.tile, full=BING.full)

    assert len(found(window, engine)[0]) == 20
    window.driver.delete_all_cookies()


PLACES = {
    "page": "<form action='/consent'><p>{cookies}</p>{buttons}</form>",
    "dialog": "<div role=dialog>{cookies} {buttons}</div>",
    "banner": "<div style='position:fixed;bottom:0;left:0;right:0;padding:60px'>{cookies} {buttons}</div>",
}
"""Where a question of consent stands: each is known by another sign."""


@pytest.mark.parametrize("language", ASKING)
def test_consent_is_refused_in_every_language(window, language):
    """The button that refuses is found by its words alone, wherever it stands; the one that agrees never is."""
    say = ASKING[language]
    window.driver.get("about:blank")
    for engine, html in zip((GOOGLE, YAHOO, BING), PLACES.values(), strict=True):
        buttons = f"<button>{say.accept}</button> <button>…</button> <button>{say.reject}</button>"
        results = "<a href='#'>" + say.reject + "</a>"
        window.driver.execute_script(
            "document.body.innerHTML = arguments[0]", results + html.format(cookies=say.cookies, buttons=buttons)
        )
        look = window.look(engine)

        assert look.consent == REFUSAL
        assert [one.text for one in window.driver.find_elements("css selector", REFUSAL)] == [say.reject]


def test_where_nothing_asks_nothing_is_refused(window):
    """Words that refuse, among the results or in a long text, are no button of a question."""
    window.driver.get("about:blank")
    long = "Reject or accept what you like: " + "this is a long text about pizza. " * 3
    html = f"<button>Reject</button><div role=dialog><button>Close</button><button>{long}</button></div>"
    window.driver.execute_script("document.body.innerHTML = arguments[0]", html)

    assert window.look(BING).consent == ""


def test_the_button_for_more_is_known_in_every_language(window):
    """It stands below the results, under any name; one in a result is none, nor is a choice of others."""
    window.driver.get("about:blank")
    pictures = "<div><img style='width:90px;height:90px'><button>More</button></div>" * 2

    def marked(buttons: str) -> list[str]:
        window.driver.execute_script("document.body.innerHTML = arguments[0]", pictures + buttons)
        found = {window.look(engine).more for engine in (GOOGLE, YAHOO, BING)}
        assert found <= {MORE, ""}
        return [one.text for one in window.driver.find_elements("css selector", MORE)] if found == {MORE} else []

    for say in ASKING.values():
        assert marked(f"<a href='#'>A</a> <button>B</button> <button>{say.more}</button>") == [say.more]
    assert marked("<button>▼</button>") == ["▼"]
    assert marked("<button>▼</button> <button>Feedback</button>") == []
    assert marked("<a href='/help'>See more</a> <div style='position:fixed'><button>Chat</button></div>") == []


def test_a_next_page_that_never_comes_ends_the_search(httpserver, monkeypatch):
    """What the pages before it brought is there, and the reason names it."""
    monkeypatch.setattr("scraper.browser.DRIVER_SECONDS", 0.5)
    httpserver.expect_request("/search", query_string={"p": "pizza", "b": "1"}).respond_with_data(
        page(total=8, batch=8), content_type="text/html"
    )
    results: list[Candidate] = []
    with silent() as url, chromium(QUICK, display="headless", site=httpserver.url_for("")) as driver:
        httpserver.expect_request("/search", query_string={"p": "pizza", "b": "9"}).respond_with_data(
            status=302, headers={"Location": url}
        )
        window = Window(driver)
        engine = replace(YAHOO, url=httpserver.url_for("/search?p={q}&b=1"), tile=BING.tile, full=BING.full)
        for step in search(window, engine, "pizza", Rhythm(0.02, 1, sleep=threading.Event().wait), keep_page=Path):
            if isinstance(step, Ended):
                ended = step
            else:
                results += step
                # The first page is there, however long it took.
                window.page_seconds = 0.4

    assert len(results) == 8
    assert ended == Ended("no more came (its next page did not)", finished=False)
    assert window.lost


def test_a_consent_page_that_stays_is_a_refusal(window, httpserver):
    """A wall without a button that works is named as one."""
    engine = served(httpserver, "<form action='/consent/save'><p>Before you continue</p></form>")

    with pytest.raises(EngineBlocked, match="consent"):
        found(window, replace(engine, wall=("form[action*='consent']",)))


def test_no_results_is_no_failure(window, httpserver):
    """A page that says that there is nothing is believed."""
    results, reason = found(window, served(httpserver, "<p>There are no results for <b>pizza</b></p>"))

    assert (results, reason) == ([], "no results")


def test_a_page_without_anything_is_saved(window, httpserver, tmp_path):
    """A page on which nothing is recognised is kept for a look, and named."""
    with pytest.raises(EngineBroken) as caught:
        found(window, served(httpserver, "<p>Something else</p>"), into=tmp_path)

    assert caught.value.page == tmp_path / "kept.html"
    assert "Something else" in (tmp_path / "kept.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["google", "bing", "yahoo"])
def test_without_selectors_nearly_everything_is_found(window, site: Site, name):
    """The general reader finds at least 95 % of what the selectors find, and nothing else."""
    (engine,) = engines(site, name)
    results, _ = found(window, replace(engine, tile=(".renamed",), checked=("2026-11",)))
    offers = {clean_address(offer.full.url) for offer in site.truth.offers("pizza", name)}
    full = {one.urls[0] for one in results}

    assert len(full & offers) >= 0.95 * len(offers)
    assert full <= offers


def full_of(window: Window, scenario: Scenario, name: str, results: int) -> tuple[set[str], set[str], str]:
    """Search an engine of a site; return the full-size addresses that came, those on offer, and why no more came."""
    with Site(seed=5, results=results, scenario=scenario) as site:
        found_so, reason = found(window, *engines(site, name))
        full = {one.urls[0] for one in found_so if one.kinds[0] == "full"}
        return full, {clean_address(offer.full.url) for offer in site.truth.offers("pizza", name)}, reason


@pytest.mark.parametrize(
    ("scenario", "name", "results"),
    [("drift-inline", "google", 12), ("paged", "yahoo", 64), ("swapped", "bing", 90), ("consent-polish", "bing", 40)],
)
def test_addresses_come_from_wherever_a_page_has_them(window, scenario, name, results):
    """Inline in a script, on a page of its own, above what was seen, behind a button of any name: all are found."""
    full, offers, _ = full_of(window, SCENARIOS[scenario], name, results)

    assert full <= offers
    assert len(full) >= 0.95 * len(offers)


def test_a_click_opens_what_the_mouse_does_not(window):
    """Where hovering brings nothing, results are clicked, and their picture is read from the panel, names or not."""
    scenario = replace(SCENARIOS["drift-clicked-older"], failing=0, redirected=0, repeats=0)
    full, offers, _ = full_of(window, scenario, "google", 4)

    assert len(full) >= len(offers) - 1
    assert full <= offers


def test_a_click_that_leads_away_is_taken_back(window, httpserver):
    """A result whose click opens its page is left again, and the search goes on without clicks."""
    httpserver.expect_request("/away").respond_with_data("<h1>A kitchen</h1>", content_type="text/html")
    script = (
        """document.querySelectorAll("a").forEach((link) => { link.removeAttribute("m"); link.href = "/away"; });"""
    )
    engine = replace(served(httpserver, page(total=12, script=script)), tile=("div.cell",), reveal="a[rel=x]")
    results, reason = found(window, replace(engine, panel=("img.full",)))

    assert len([request for request, _ in httpserver.log if request.path == "/away"]) == 1
    assert reason == "end of results"
    assert len(results) == 1


def test_a_batch_that_failed_is_asked_for_again(window):
    """A page that lost a batch gets it when one moves on the page, and nothing is missing."""
    scenario = replace(SCENARIOS["flaky"], late=0.3)
    full, offers, reason = full_of(window, scenario, "bing", 100)

    assert (full, reason) == (offers, "end of results")


@pytest.mark.parametrize("name", ["google", "bing", "yahoo"])
def test_a_batch_that_failed_and_then_takes_its_time_is_waited_for(window, name):
    """What a page asks for again is waited for like what it asked for first, at any pace."""
    full, offers, reason = full_of(window, replace(SCENARIOS["flaky"], late=2.0), name, 100)

    assert (full, reason) == (offers, "end of results")


@pytest.mark.parametrize("end", ["", "dgControl"], ids=["silent", "marked"])
@pytest.mark.parametrize("looks", [2, 3, 4])
def test_what_comes_while_the_page_is_judged_is_no_end(window, httpserver, monkeypatch, looks, end):
    """A batch that comes in just when a search looks whether it is over is read, and so is what follows it."""
    real, times = Window.look, iter(range(1000))

    def look(self: Window, engine: Engine) -> Look:
        before, tiles = next(times), "document.querySelectorAll('.cell').length"
        if before == looks and self.driver.execute_script(f"return {tiles}") == 20:
            self.driver.execute_script("options.total += 60; batch(); grid.className += ' ' + arguments[0]", end)
        return real(self, engine)

    monkeypatch.setattr(Window, "look", look)
    results, reason = found(window, served(httpserver, page(total=20)))

    assert (len(results), reason) == (80, "end of results")


def test_results_that_come_in_above_during_a_step_are_gone_back_to(window, httpserver):
    """Content that arrives above what is seen, while the page moves, is scrolled to: it loads only when it is near."""
    script = """
      const near = new IntersectionObserver((entries) => {
        for (const one of entries) if (one.isIntersecting) one.target.replaceWith(tile(made++));
      });
      addEventListener("scroll", function late() {
        if (scrollY + innerHeight < document.body.scrollHeight - 4) return;
        removeEventListener("scroll", late);
        const last = grid.children[grid.children.length - 30];
        for (let i = 0; i < 60; i += 1) {
          const cell = document.createElement("div"); cell.className = "cell";
          grid.insertBefore(cell, last); near.observe(cell);
        }
      });"""
    results, _ = found(window, served(httpserver, page(total=60, script=script)))

    assert len(results) == 120


def test_an_answer_that_never_comes_is_no_end(window, httpserver, monkeypatch):
    """Where a page's script still waits for results when patience is out, the reason says so, wheel or not."""
    monkeypatch.setattr("scraper.search.BUSY_SECONDS", 1.0)
    with silent() as url:
        script = f'fetch("{url}", {{mode: "no-cors"}}).then(() => {{ options.total += 20; batch(); }});'
        results, reason = found(window, served(httpserver, page(total=20, script=script)))

    assert (len(results), reason) == (20, "no more came (its page went on loading)")


def test_a_page_that_never_stops_loading_is_named(window, monkeypatch):
    """A wheel that turns for ever is no end of results."""
    monkeypatch.setattr("scraper.search.BUSY_SECONDS", 1.0)
    full, _, reason = full_of(window, SCENARIOS["stuck"], "yahoo", 70)

    assert len(full) == 60
    assert reason == "no more came (its page went on loading)"


def test_a_crashed_tab_is_told(site, tmp_path):
    """A browser that dies in the middle is replaced, and nothing is lost."""
    from dataset.folder import Record
    from dataset.tray import ClassPlan
    from scraper import visitor
    from scraper.scrape import scrape
    from tests.scraper.conftest import QUICK

    (bing,) = engines(site, "bing")
    killed: list[int] = []
    real = Window.step

    def dying(self: Window, *arguments: object, **options: object) -> object:
        if not killed and self.driver.service.process:
            killed.append(self.driver.service.process.pid)
            self.driver.service.process.kill()
        return real(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visitor.Window, "step", dying)
        steps = list(scrape([ClassPlan("pizza", ("pizza",), 500)], tmp_path, QUICK, engines=[bing], site=site.url))

    assert killed
    offers = {clean_address(offer.full.url) for offer in site.truth.offers("pizza", "bing")}
    tried = {url for step in steps if isinstance(step, Record) for url in (step.url, *step.tried)}
    assert offers <= tried


def test_a_page_of_the_browsers_own_is_no_page(window):
    """A port that Chromium refuses to ask is told at once as what it is, not as a layout that changed."""
    with pytest.raises(NoPage, match=r"http://127\.0\.0\.1:6667/.* Received: ERR_UNSAFE_PORT\."):
        found(window, pointed_at(BING, "http://127.0.0.1:6667"))


def test_what_the_pages_scripts_fetch_is_counted(window, httpserver):
    """A page and what its scripts ask for count as so many answers of the engine; pictures do not."""
    httpserver.expect_request("/more").respond_with_data("")
    script = "for (let i = 0; i < 3; i += 1) setTimeout(() => fetch('/more?' + i), 50 * i);"
    rhythm = Rhythm(0.02, 1, sleep=threading.Event().wait)
    list(search(window, served(httpserver, page(total=40, script=script)), "pizza", rhythm, keep_page=Path))
    for _ in range(4):
        rhythm.allowance.lower(share=1.0)

    assert rhythm.allowance.most == 4


def test_a_refused_batch_is_no_end(window, httpserver):
    """A page that shows nothing of it when its script is refused more results is not at its end: it is blocked."""
    httpserver.expect_request("/more").respond_with_data("", status=429, headers={"Retry-After": "7"})
    engine = served(httpserver, page(total=20, script="setTimeout(() => fetch('/more'), 50);"))

    with pytest.raises(EngineBlocked, match="status:429") as caught:
        found(window, engine)
    assert caught.value.wait == 7
