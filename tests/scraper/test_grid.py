"""Browsers of a W3C remote: a chromedriver that serves on loopback."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
import requests

from dataset.errors import BrowserError
from dataset.folder import count_distinct
from dataset.tray import ClassPlan
from scraper.chromium import chromium, display_for
from scraper.doctor import examine
from scraper.engines import ENGINES
from scraper.scrape import Summary, scrape
from scraper.simulator import Site
from tests.scraper.conftest import QUICK, engines


@pytest.fixture(scope="module")
def grid() -> Iterator[str]:
    """Start a chromedriver as a server of its own."""
    program = shutil.which("chromedriver")
    if not program:
        pytest.skip("no chromedriver on PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([program, f"--port={port}"], stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with suppress(requests.ConnectionError):
                if requests.get(f"{url}/status", timeout=5).json()["value"]["ready"]:
                    break
            time.sleep(0.05)
        yield url
        process.terminate()


def sessions(grid: str) -> int:
    """Return how many sessions a remote has open."""
    return len(requests.get(f"{grid}/sessions", timeout=60).json()["value"])


def test_terms_are_searched_in_the_remotes_browsers(site, tmp_path, grid):
    """Each search has a session of its own, terms are searched side by side, and no session is left at the end."""
    plan = ClassPlan("food", ("pizza", "quiche", "soup"), 500)
    settings = replace(QUICK, grid=grid, browser=None, driver="/no/such/driver", grid_sessions=2)
    most = 0
    for _ in scrape([plan], tmp_path, settings, engines=engines(site, "bing", "yahoo"), site=site.url):
        most = max(most, sessions(grid))
    truth = {picture for term in plan.terms for picture in bing_and_yahoo(site, term)}

    assert 2 < most <= 4
    assert sessions(grid) == 0
    assert count_distinct(tmp_path / "food") >= 0.95 * len(truth)


def bing_and_yahoo(site, term) -> set[str]:
    """Return the groups of the pictures that these two engines offer and that are to be had."""
    return {
        offer.picture.group
        for name in ("bing", "yahoo")
        for offer in site.truth.offers(term, name)
        if offer.full.valid or (offer.cached and offer.cached.valid)
    }


def test_a_lost_session_is_replaced(site, tmp_path, plan, grid):
    """A remote that ends a session in the middle of a search is asked for another, and nothing is missing."""
    settings = replace(QUICK, grid=grid, grid_sessions=3)
    lost: list[str] = []
    for _ in scrape([plan], tmp_path, settings, engines=engines(site, "bing", "yahoo"), site=site.url):
        if not lost:
            lost += [one["id"] for one in requests.get(f"{grid}/sessions", timeout=60).json()["value"]]
            for one in lost:
                requests.delete(f"{grid}/session/{one}", timeout=60)

    assert lost
    assert sessions(grid) == 0
    assert count_distinct(tmp_path / "pizza") >= 0.95 * len(bing_and_yahoo(site, "pizza"))


def test_one_blocked_session_ends_the_engine(site, tmp_path, grid):
    """When an engine refuses one of its browsers for good, the others start no further term."""
    with Site(scenario="blocked", results=4) as closed:
        plan = ClassPlan("food", ("pizza", "quiche", "soup", "car"), 500)
        settings = replace(QUICK, grid=grid, grid_sessions=2, pace=0.002)
        steps = scrape([plan], tmp_path, settings, engines=engines(closed, "bing"), site=closed.url)
        summary = next(step for step in steps if isinstance(step, Summary))
        asked = {line.path for line in closed.log if line.path.startswith("/bing/images/search")}

    assert summary.stopped_because.startswith("blocked")
    assert len(asked) <= 2


def test_a_search_that_is_broken_off_ends_its_session(site, tmp_path, plan, grid):
    """Closing the generator gives the remote's browser back."""
    steps = scrape([plan], tmp_path, replace(QUICK, grid=grid), engines=engines(site, "bing"), site=site.url)
    next(steps)
    steps.close()

    assert sessions(grid) == 0


def test_a_remote_that_is_not_there_is_named(site):
    """The error names the remote, without the password in its address."""
    settings = replace(QUICK, grid="http://user:secret@127.0.0.1:9/wd/hub")
    opening = chromium(settings, display="headless", site=site.url)
    with pytest.raises(BrowserError, match=r"http://127\.0\.0\.1:9/wd/hub") as caught:
        opening.__enter__()
    assert "secret" not in str(caught.value)
    assert "Connection refused. Correct --grid" in str(caught.value)
    assert "HTTPConnection" not in str(caught.value)


def test_the_displays_are_the_remotes(grid, monkeypatch):
    """Where this machine has no screen the remote may have one, so nothing is said about it."""
    monkeypatch.delenv("DISPLAY", raising=False)
    settings = replace(QUICK, grid=grid)

    assert display_for(ENGINES["google"], settings, site=None) == "screen"
    assert display_for(ENGINES["bing"], settings, site=None) == "headless"
    assert display_for(ENGINES["google"], replace(settings, display="headless"), site=None) == "headless"


def test_the_doctor_starts_the_remotes_browser(site, grid):
    """An examination with a remote asks for no browser or driver here."""
    findings = {
        one.what: one
        for one in examine(replace(QUICK, grid=grid, browser="/no"), engines=engines(site, "bing"), site=site.url)
    }

    assert "driver" not in findings
    assert "browser" not in findings
