"""Filling class folders from the built-in site with a real Chromium."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from selenium.common.exceptions import TimeoutException
from urllib3.exceptions import ReadTimeoutError

from dataset.errors import BrowserError, EngineBlocked, EngineBroken, FolderLocked
from dataset.folder import Record, count_distinct, records
from dataset.images import inspect
from dataset.tray import ClassPlan, Scrape
from scraper.browser import Window
from scraper.engines import Engine, clean_address
from scraper.scrape import Summary, preview, scrape
from scraper.simulator import NOTHING, SCENARIOS, Request, Site
from tests.scraper.conftest import QUICK, engines, kept

PATIENT = replace(QUICK, connect_timeout=8.0, read_timeout=8.0, total_timeout=16.0)
"""For what a run is to bring whole: on a busy machine the site takes seconds to draw a picture."""


def scraped(
    plan: ClassPlan, into: Path, site: Site, using: Sequence[Engine] = (), settings: Scrape = QUICK
) -> tuple[list[Record], dict[str, Summary]]:
    """Scrape to the end; return the records and the summaries by engine."""
    steps = list(scrape([plan], into, settings, engines=using or engines(site), site=site.url))
    return (
        [step for step in steps if isinstance(step, Record)],
        {step.engine: step for step in steps if isinstance(step, Summary)},
    )


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    """Return what the site was asked for by the undisturbed scrape; other tests ask the same site."""
    return []


@pytest.fixture(scope="module")
def whole(
    site: Site, asked: list[Request], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Record], dict[str, Summary]]:
    """Scrape one term with all engines to its end, undisturbed."""
    into, before = tmp_path_factory.mktemp("whole"), len(site.log)
    found = scraped(ClassPlan("pizza", ("pizza",), 500), into, site, settings=PATIENT)
    asked += site.log[before:]
    return into, *found


def test_everything_to_be_had_is_kept(site, whole):
    """All pictures that work somewhere are there, in full size where one is to be had, and nothing else."""
    into, written, _ = whole
    files = [(record.sha256, record.url) for record in written if record.kept]
    score = site.truth.score(["pizza"], files)

    assert score.recall >= 0.98
    assert score.precision == 1.0
    assert score.full_share >= 0.95
    assert {record.file for record in written if record.kept} == kept(into / "pizza")


def test_each_result_is_seen_once(site, whole):
    """Every engine's results are all seen, no matter how lazily they load."""
    _, _, summaries = whole

    for name, summary in summaries.items():
        offers = {clean_address(offer.full.url) for offer in site.truth.offers("pizza", name)}
        assert summary.seen == len(offers)
        assert summary.stopped_because == "end of results"


def test_the_sums_add_up(whole):
    """What was seen was kept, rejected, or known already."""
    _, written, summaries = whole

    for summary in summaries.values():
        assert summary.seen == summary.kept + summary.rejected + summary.known
        assert summary.rejected == sum(summary.rejected_by_reason.values())
        assert summary.kept == sum(summary.kinds.values())
    assert len(written) == sum(summary.kept + summary.rejected for summary in summaries.values())


def test_every_line_tells_where_a_picture_came_from(whole):
    """The manifest has the whole origin of each picture, and what became of each address that was tried."""
    into, written, _ = whole

    assert written == list(records(into / "pizza"))
    for record in written:
        assert record.page.startswith("http")
        assert record.engine in {"google", "bing", "yahoo"}
        assert record.term == "pizza"
        assert record.rank >= 1
        assert record.kind in {"full", "cached", "thumbnail"}
        if record.kept:
            info = inspect((into / "pizza" / record.file).read_bytes())
            assert (info.sha256, info.phash, info.width) == (record.sha256, record.phash, record.width)
            assert (info.format, info.height) == (record.format, record.height)
            assert record.status == (0 if record.url.startswith("data:") else 200)
            assert record.bytes == (into / "pizza" / record.file).stat().st_size
            assert not info.error
        assert record.title
        assert datetime.fromisoformat(record.fetched).utcoffset() == timedelta(0)
        assert record.filters == "safe=on"
        assert len(record.tried) >= len(record.failures)


def test_the_hosts_were_treated_politely(whole, asked):
    """No picture's address was asked for twice, and each request names its page and an honest agent."""
    pictures = [line for line in asked if any(part in line.path for part in ("/photos/", "/cdn/", "/wp-content/"))]
    in_turn = [line for line in pictures if line.status == 200 and "hop=" not in line.path]

    assert in_turn
    assert all(line.user_agent.startswith("tray/") for line in pictures)
    assert all(line.referer for line in pictures)
    assert len(in_turn) == len({(line.host, line.path) for line in in_turn})


def test_a_second_run_does_nothing(site, whole):
    """What was finished is neither searched nor fetched again, and no browser starts."""
    into, written, _ = whole
    before = len(site.log)
    started = time.monotonic()
    again, summaries = scraped(ClassPlan("pizza", ("pizza",), 500), into, site)

    assert again == []
    assert len(site.log) == before
    assert time.monotonic() - started < 5
    assert {summary.stopped_because for summary in summaries.values()} == {"nothing left to search"}
    assert len(list(records(into / "pizza"))) == len(written)


def test_the_limit_is_kept_exactly(site, tmp_path):
    """As many distinct pictures as were asked for are kept, each term brings its share, and no more are fetched."""
    plan = ClassPlan("food", ("pizza", "quiche"), 12)
    before = len(site.log)
    written, summaries = scraped(plan, tmp_path, site, engines(site, "bing", "yahoo"))
    fetched = [line for line in site.log[before:] if "/photos/" in line.path and "hop=" not in line.path]

    assert count_distinct(tmp_path / "food") == 12
    assert {summary.stopped_because for summary in summaries.values()} == {"limit reached"}
    distinct = [record for record in written if record.kept and not record.copy_of]
    assert sum(record.term == "quiche" for record in distinct) == 6
    assert len(fetched) <= len(written) + 12


def test_a_search_does_not_wait_for_what_waits_for_its_end(tmp_path, monkeypatch):
    """Where every address fails, more thumbnails are put off than a search may have open, and it ends all the same."""
    monkeypatch.setattr("scraper.visitor.BACKLOG", 3)
    scenario = replace(SCENARIOS["clean"], failing=1.0, failures={"404": 1}, cached=0.0)
    with Site(seed=5, scenario=scenario, results=12) as broken:
        written, summaries = scraped(ClassPlan("pizza", ("pizza",), 500), tmp_path, broken, engines(broken, "bing"))

    assert summaries["bing"].stopped_because == "end of results"
    assert {record.kind for record in written if record.kept} == {"thumbnail"}
    assert len(written) == len({record.url for record in written}) > 9


def test_a_term_without_results_says_so(site, tmp_path):
    """Nothing found is told apart from everything else."""
    written, summaries = scraped(ClassPlan("x", (NOTHING,), 10), tmp_path, site, engines(site, "bing", "google"))

    assert written == []
    assert {summary.stopped_because for summary in summaries.values()} == {"no results"}


def test_thumbnails_alone(site, tmp_path):
    """With thumbnails only, no picture host is asked."""
    before = len(site.log)
    settings = replace(QUICK, kinds="thumbnails")
    written, _ = scraped(ClassPlan("pizza", ("pizza",), 10), tmp_path, site, engines(site, "google"), settings)

    assert {record.kind for record in written} == {"thumbnail"}
    assert not [line for line in site.log[before:] if "/photos/" in line.path]


def test_a_dry_run_downloads_nothing(site, tmp_path):
    """A preview gives addresses up to the limit, and no host is asked."""
    before = len(site.log)
    found = list(
        preview([ClassPlan("pizza", ("pizza",), 9)], tmp_path, QUICK, engines=engines(site, "bing"), site=site.url)
    )

    assert len(found) == 9
    assert not [line for line in site.log[before:] if "/photos/" in line.path]


def test_a_dry_run_sweeps_too_and_gets_by_without_an_engine(tmp_path):
    """With sweeps on, narrower searches add addresses, each with its filters; an engine that refuses is left out."""
    with Site(seed=5, results=8, scenario="google-blocked") as site:
        settings = replace(QUICK, sweep=True, pace=0.002)
        plan = ClassPlan("pizza", ("pizza",), 30)
        found = list(preview([plan], tmp_path, settings, engines=engines(site, "google", "bing"), site=site.url))

    assert len({one.urls[0] for one in found}) == 30
    assert {one.engine for one in found} == {"bing"}
    assert [one.filters for one in found][:8] == ["safe=on"] * 8
    assert {"size=large safe=on", "size=medium safe=on"} <= {one.filters for one in found}


@pytest.mark.parametrize("failure", [TimeoutException, ReadTimeoutError])
def test_a_browser_that_breaks_down_in_a_dry_run_is_a_sentence(site, tmp_path, monkeypatch, failure):
    """Whatever Selenium or urllib3 raise in the middle of a dry run, the engine is named and what came stands."""
    what = failure("script timeout") if failure is TimeoutException else failure(None, "/", "Read timed out.")

    def silent(*arguments: object, **options: object) -> None:
        raise what

    monkeypatch.setattr(Window, "step", silent)
    steps = preview([ClassPlan("pizza", ("pizza",), 9)], tmp_path, QUICK, engines=engines(site, "bing"), site=site.url)

    with pytest.raises(BrowserError, match=rf"^Expected the browser to go on\. Received: {failure.__name__}: \S.*\."):
        list(steps)


def test_a_broken_engine_does_not_stop_the_others(site, tmp_path):
    """An engine whose page can't be read is named with its saved page, and the other one delivers."""
    bing, yahoo = engines(site, "bing", "yahoo")
    broken = replace(bing, url=f"{site.url}/?q={{q}}")
    _, summaries = scraped(ClassPlan("pizza", ("pizza",), 8), tmp_path, site, [broken, yahoo])

    assert summaries["bing"].stopped_because.startswith("layout changed")
    (page,) = (tmp_path / ".pages").iterdir()
    assert str(page) in summaries["bing"].stopped_because
    assert count_distinct(tmp_path / "pizza") == 8


def test_when_every_engine_fails_the_reason_is_raised(site, tmp_path):
    """Nothing at all is an error, after the summaries."""
    (bing,) = engines(site, "bing")
    steps = scrape(
        [ClassPlan("x", ("x",), 9)], tmp_path, QUICK, engines=[replace(bing, url=f"{site.url}/?q={{q}}")], site=site.url
    )

    assert next(step for step in steps if isinstance(step, Summary)).kept == 0
    with pytest.raises(EngineBroken):
        next(steps)


def test_a_refusal_is_waited_out_and_then_named(site, tmp_path, httpserver):
    """An engine that refuses is asked again a few times, and then called blocked."""
    httpserver.expect_request("/search").respond_with_data("<h1>Too many requests</h1>", status=429)
    (bing,) = engines(site, "bing")
    blocked = replace(bing, url=httpserver.url_for("/search?q={q}"))
    steps = scrape([ClassPlan("x", ("x",), 9)], tmp_path, replace(QUICK, pace=0.002), engines=[blocked], site=site.url)
    summary = next(step for step in steps if isinstance(step, Summary))

    assert summary.stopped_because.startswith("blocked")
    assert len([request for request, _ in httpserver.log if request.path == "/search"]) == 4
    with pytest.raises(EngineBlocked):
        next(steps)


def test_no_browser_is_named(site, tmp_path):
    """A browser that is not there ends the run with what was tried."""
    settings = replace(QUICK, browser="/no/such/chromium")

    with pytest.raises(BrowserError, match="/no/such/chromium"):
        list(scrape([ClassPlan("x", ("x",), 9)], tmp_path, settings, engines=engines(site), site=site.url))


def test_a_second_process_is_told(site, tmp_path, plan):
    """One folder is filled by one run at a time."""
    with closing(scrape([plan], tmp_path, QUICK, engines=engines(site, "yahoo"), site=site.url)) as steps:
        next(steps)
        with pytest.raises(FolderLocked):
            next(scrape([plan], tmp_path, QUICK, engines=engines(site, "yahoo"), site=site.url))


SCRIPT = """
import sys
from pathlib import Path
from dataset.tray import ClassPlan
from scraper.scrape import scrape
from scraper.engines import ENGINES, pointed_at
from tests.scraper.test_scrape import PATIENT
site, into = sys.argv[1:]
engines = [pointed_at(engine, site) for engine in ENGINES.values()]
print("started", flush=True)
for step in scrape([ClassPlan("pizza", ("pizza",), 500)], Path(into), PATIENT, engines=engines, site=site):
    print(type(step).__name__, flush=True)
"""


def start(site: Site, into: Path, mark: str = "") -> subprocess.Popen[str]:
    """Start a scrape in a process of its own."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT, site.url, str(into)]
    environment = {**os.environ, "PYTHONPATH": str(root), "TRAY_TEST_MARK": mark}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)


def wait_for_records(process: subprocess.Popen[str], count: int) -> None:
    """Wait until a process has written so many records, or has ended."""
    assert process.stdout
    for line in process.stdout:
        count -= line.startswith("Record")
        if count <= 0:
            return


def marked(mark: str) -> set[str]:
    """Return the processes that inherited a mark in their environment, the zombies left out."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes() and ") Z " not in (folder / "stat").read_text():
                found.add(folder.name)
    return found


def gone(mark: str, seconds: float = 5.0) -> bool:
    """Whether no process with a mark is left, now or soon."""
    end = time.monotonic() + seconds
    while marked(mark) and time.monotonic() < end:
        time.sleep(0.1)
    return not marked(mark)


@pytest.mark.timeout(240)
def test_killed_at_any_moment_it_ends_the_same(site, whole, tmp_path):
    """Three runs killed at random moments and a last one keep what an undisturbed run keeps; nothing comes twice."""
    moments = random.Random(int(time.time()))
    held: set[str] = set()
    for _ in range(3):
        with start(site, tmp_path) as process:
            wait_for_records(process, moments.randint(0, 25))
            time.sleep(moments.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
        now = kept(tmp_path / "pizza") if (tmp_path / "pizza").exists() else set()
        assert held <= now
        held = now
    fetched = [record.url for record in records(tmp_path / "pizza")]
    scraped(ClassPlan("pizza", ("pizza",), 500), tmp_path, site, settings=PATIENT)

    assert kept(tmp_path / "pizza") == kept(whole[0] / "pizza")
    after = [record.url for record in records(tmp_path / "pizza")]
    assert after[: len(fetched)] == fetched
    assert len(after) == len(set(after))
    for line in (tmp_path / "pizza" / "manifest.jsonl").read_text().splitlines():
        json.loads(line)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help for orphans is Linux's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_browser_outlives_the_scraper(site, tmp_path, how):
    """Killed or interrupted, the scraper leaves no browser, driver or screen behind."""
    mark = f"mark-{uuid.uuid4()}"
    with start(site, tmp_path, mark) as process:
        wait_for_records(process, 1)
        assert len(marked(mark)) > 3
        process.send_signal(how)

    assert gone(mark)


def test_closing_the_generator_is_prompt(site, tmp_path, plan, monkeypatch):
    """A run that is closed in the middle ends within seconds, with its browsers."""
    mark = f"mark-{uuid.uuid4()}"
    monkeypatch.setenv("TRAY_TEST_MARK", mark)
    steps = scrape([plan], tmp_path, QUICK, engines=engines(site), site=site.url)
    next(steps)
    assert marked(mark)
    started = time.monotonic()
    steps.close()

    assert time.monotonic() - started < 9
    assert gone(mark, 10)
