"""The doctor tells what matched on the engines' pages, and what mends them when nothing does."""

import shutil
import socket
from dataclasses import replace

import pytest
import requests

from dataset.errors import ConfigError
from scraper.chromium import chromium, display_for
from scraper.doctor import Finding, examine_live, examine_page, suggestion
from scraper.engines import BING, ENGINES, GOOGLE, YAHOO, pointed_at, read, repaired
from scraper.simulator import SCENARIOS, Site
from tests.scraper.conftest import QUICK, engines

TERM = "red apple"
PAGES = {"bing": "bing/images/search?q=red+apple", "yahoo": "yahoo/search/images?b=1&p=red+apple"}


def findings(name: str, scenario: str) -> dict[str, Finding]:
    """Examine an engine of a site live; return what was found by its name."""
    with Site(seed=5, results=6, scenario=scenario) as site:
        return {one.what: one for one in examine_live(*engines(site, name), replace(QUICK, pace=0.002), site=site.url)}


def test_a_live_page_tells_its_layout_and_fields():
    """The layout's date, the finders that found, and how many results each."""
    told = findings("google", "hovered")

    assert told["google tiles"].ok
    assert "'div[data-lpage][data-docid]' of 2025-11 (6)" in told["google tiles"].detail
    assert "'a[href*='imgres']@href?imgurl'" in told["google full"].detail.replace('"', "'")


def test_a_live_page_that_refuses_is_called_blocked():
    """A refusal is told from a page that has changed."""
    (told,) = findings("bing", "blocked").values()

    assert (told.ok, told.detail[:8]) == (False, "blocked:")


def test_a_live_page_that_changed_comes_with_what_mends_it():
    """Where no selector matches, the selectors that would are named as tray.toml wants them."""
    told = findings("bing", "drift")["bing live"]

    assert not told.ok
    assert told.detail.endswith('Put into tray.toml: [engines.bing] tile = "a[m]"; full = "a@m{murl}"')


@pytest.mark.parametrize(("name", "scenario"), [("bing", "drift-oldest"), ("yahoo", "drift-older")])
def test_what_is_suggested_reads_the_page(tmp_path, name, scenario):
    """A saved page that nobody knows is read by the engine once it is mended as suggested."""
    with Site(seed=5, results=12, scenario=replace(SCENARIOS[scenario], repeats=0.0)) as site:
        html = requests.get(f"{site.url}/{PAGES[name]}", timeout=10).text
        engine = pointed_at(ENGINES[name], site.url)
        mended = repaired(engine, suggestion(engine, html))
        full = {one.urls[0] for one in read(mended, html, TERM) if one.kinds[0] == "full"}
        offers = {offer.full.url for offer in site.truth.offers(TERM, name)}
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    (told,) = examine_page(tmp_path / "page.html", [ENGINES[name]])

    assert len(full & offers) >= 0.95 * len(offers)
    assert not told.ok
    assert 'tile = "' in told.detail


def test_displays_are_what_the_machine_has(monkeypatch, caplog):
    """Bing goes headless; the others take the screen, else Xvfb, and are told where there is neither."""
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0/tmp/.X11-unix/X54321")
        server.listen()
        monkeypatch.setenv("DISPLAY", ":54321.0")
        shown = [display_for(engine, QUICK, site=None) for engine in (GOOGLE, BING, YAHOO)]
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    hidden = [display_for(engine, QUICK, site=None) for engine in (GOOGLE, BING, YAHOO)]
    with pytest.raises(ConfigError, match="no DISPLAY"):
        display_for(GOOGLE, replace(QUICK, display="screen"), site=None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    bare = display_for(GOOGLE, QUICK, site=None)
    with pytest.raises(ConfigError, match="Xvfb"):
        display_for(GOOGLE, replace(QUICK, display="xvfb"), site=None)

    assert shown == ["screen", "headless", "screen"]
    assert hidden == ["xvfb", "headless", "xvfb"]
    assert bare == "headless"
    assert "google refuses a headless browser" in caplog.text


@pytest.mark.skipif(not shutil.which("Xvfb"), reason="no Xvfb on PATH")
def test_a_browser_under_xvfb_is_an_ordinary_one(site):
    """There its user agent says nothing of being headless, and it does not hide that it is driven."""
    with chromium(QUICK, display="xvfb", site=site.url) as driver:
        agent, driven = driver.execute_script("return [navigator.userAgent, navigator.webdriver]")

    assert "Headless" not in agent
    assert driven is True
