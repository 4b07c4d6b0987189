"""The built-in engines' pages behave in a real browser as the engines' own do."""

import os
import re
import shutil
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from scraper.simulator import Site

TERM = "cheese pizza"
RESULTS = 200
PAGES = {
    "google": "google/search?udm=2&hl=en&q=cheese+pizza",
    "bing": "bing/images/search?q=cheese+pizza",
    "yahoo": "yahoo/search/images?b=1&p=cheese+pizza",
}
TILES = {"google": "div[data-docid]", "bing": "li[data-idx]", "yahoo": "li.tile"}
# What is on the page of each tile: whether its thumbnail is there, by the engines' own marks.
COUNT = """
const tiles = [...document.querySelectorAll(arguments[0])];
const shown = tile => !tile.querySelector('img').src.startsWith('data:image/gif');
return [tiles.length, tiles.filter(shown).length];
"""
# Jumps when the page has stopped growing, as one who is in a hurry does; presses the button where there is one.
JUMP = """
const done = arguments[0];
let height = 0, still = 0, left = 6;
(function look() {
  still = document.body.scrollHeight === height ? still + 1 : 0;
  height = document.body.scrollHeight;
  if (still >= 6) {
    const button = [...document.querySelectorAll('input[type=button], a.btn_seemore')].find(e => e.offsetParent);
    scrollTo(0, height);
    if (button) { button.click(); }
    left -= 1;
    still = 0;
  }
  if (left) { setTimeout(look, 50); } else { done(); }
})();
"""
EASE = """
const done = arguments[0];
let still = 0;
(function step() {
  const before = scrollY;
  scrollBy(0, 300);
  const button = [...document.querySelectorAll('input[type=button], a.btn_seemore')].find(e => e.offsetParent);
  if (button) { button.click(); still = 0; }
  still = scrollY === before ? still + 1 : 0;
  if (still < 12) { setTimeout(step, 50); } else { done(); }
})();
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return a clean site with enough results for several batches."""
    with Site(seed=2, scenario="clean", results=RESULTS) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Return a headless Chromium."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--window-size=1366,900", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")
    if program:
        options.binary_location = program
    chromium = webdriver.Chrome(options=options, service=Service(driver) if driver else Service())
    chromium.set_script_timeout(60)
    yield chromium
    chromium.quit()


@pytest.mark.parametrize("engine", PAGES)
def test_a_jump_to_the_bottom_leaves_placeholders(site: Site, browser: WebDriver, engine: str) -> None:
    """Who jumps finds tiles in the middle that never loaded; who scrolls step by step finds every tile loaded."""
    offered = len(site.truth.offers(TERM, engine))
    browser.get(f"{site.url}/{PAGES[engine]}")
    browser.execute_async_script(JUMP)
    there, loaded = browser.execute_script(COUNT, TILES[engine])
    assert loaded < there - 10

    browser.get(f"{site.url}/{PAGES[engine]}")
    browser.execute_async_script(EASE)
    there, loaded = browser.execute_script(COUNT, TILES[engine])
    assert (there, loaded) == (offered, offered)


def test_google_links_get_their_address_on_hover(site: Site, browser: WebDriver) -> None:
    """A tile's link has no address until the pointer is on it, and then names picture, hosting page and size."""
    browser.get(f"{site.url}/{PAGES['google']}")
    link = "a[role=button]"
    tiles = browser.find_elements(By.CSS_SELECTOR, TILES["google"])
    assert not browser.find_elements(By.CSS_SELECTOR, "a[href*=imgurl]")
    ActionChains(browser).move_to_element(tiles[2].find_element(By.CSS_SELECTOR, link)).perform()
    found = browser.find_elements(By.CSS_SELECTOR, "a[href^='/imgres?']")
    assert len(found) == 1
    query = parse_qs(urlsplit(found[0].get_dom_attribute("href")).query)
    full = site.truth.offers(TERM, "google")[2].full
    assert query["imgurl"] == [full.url]
    assert query["imgrefurl"] == [tiles[2].get_dom_attribute("data-lpage")]
    assert (query["w"], query["h"]) == ([str(full.width)], [str(full.height)])


@pytest.mark.parametrize("event", ["mouseover", "mousemove", "mousedown", "focusin"])
def test_google_links_answer_to_each_way_of_pointing(site: Site, browser: WebDriver, event: str) -> None:
    """An event sent by script does as well as a real pointer; on a tile far away it does nothing."""
    browser.get(f"{site.url}/{PAGES['google']}")
    script = """const tiles = document.querySelectorAll(arguments[0]);
        return [0, tiles.length - 1].map(place => {
          const link = tiles[place].querySelector('a[role=button]');
          link.dispatchEvent(new Event(arguments[1], {bubbles: true}));
          return link.getAttribute('href');
        });"""
    # The page's own script looks at what is near in its own time.
    WebDriverWait(browser, 10).until(lambda page: page.execute_script(script, TILES["google"], event)[0])
    near, far = browser.execute_script(script, TILES["google"], event)
    assert near.startswith("/imgres?imgurl=") or "imgurl=" in near
    assert far is None


def test_google_mixes_thumbnails(site: Site, browser: WebDriver) -> None:
    """Loaded tiles hold data: URIs of jpeg, png and webp, one without padding, and addresses; the rest placeholders."""
    browser.get(f"{site.url}/{PAGES['google']}")
    WebDriverWait(browser, 10).until(
        lambda page: page.find_elements(By.CSS_SELECTOR, "[data-docid]:nth-child(10) img[src^='data:image/jpeg']")
    )
    sources = browser.execute_script(
        "return [...document.querySelectorAll('div[data-docid] img[id^=dimg_]')].map(image => image.src)"
    )
    inline = [source for source in sources if source.startswith("data:") and not source.startswith("data:image/gif")]
    assert {source.partition(";")[0] for source in inline} == {"data:image/jpeg", "data:image/png", "data:image/webp"}
    assert any(len(source.partition(",")[2]) % 4 for source in inline)
    assert any(source.startswith("http") for source in sources)
    assert any(source.startswith("data:image/gif") for source in sources)
    for source, offer in zip(sources, site.truth.offers(TERM, "google"), strict=False):
        if not source.startswith("data:image/gif"):
            assert site.truth.identify(source) == offer.picture


def test_bing_button_waits_for_its_turn(site: Site, browser: WebDriver) -> None:
    """The button is on the page from the start, shows after the loads that come by themselves, and goes at the end."""
    address = f"{site.url}/{PAGES['bing']}"
    # As it was sent: on a slow machine the first loads are over before a driver's first question.
    sent = requests.get(address, timeout=30).text
    assert re.search(r'<a class="btn_seemore[^>]*style="display:none"', sent)
    browser.get(address)
    browser.execute_async_script(EASE.replace("if (button) {", "if (button) { done(); return;"))
    assert browser.find_element(By.CSS_SELECTOR, "a.btn_seemore").is_displayed()
    browser.execute_async_script(EASE)
    assert not browser.find_element(By.CSS_SELECTOR, "a.btn_seemore").is_displayed()
    assert not browser.find_elements(By.CSS_SELECTOR, ".dgControl[data-nexturl]")


def test_google_says_that_it_has_more_and_that_it_ends(site: Site, browser: WebDriver) -> None:
    """After about two thirds of a small site's results a button shows; at the end the page says so for this term."""
    browser.get(f"{site.url}/{PAGES['google']}")
    browser.execute_async_script(EASE.replace("if (button) {", "if (button) { done(); return;"))
    assert browser.find_element(By.CSS_SELECTOR, "input[type=button][value*=more]").is_displayed()
    assert "reached the end" not in browser.find_element(By.TAG_NAME, "body").text
    browser.execute_async_script(EASE)
    assert "reached the end" in browser.find_element(By.TAG_NAME, "body").text
