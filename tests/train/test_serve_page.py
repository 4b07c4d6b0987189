"""The page of a served run, in a real browser."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.train.conftest import COLOURS, draw
from tests.train.test_serve import fetch
from train.runs import Run
from train.serve import Limits, Server

ANSWERED = ".answer:not([aria-busy])"
# What a browser does when a picture is dropped or pasted, with a real file in a real transfer.
BRING = """
const [kind, name, text, address] = arguments;
const transfer = new DataTransfer();
if (address) { transfer.setData('text/plain', address); }
else {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  transfer.items.add(new File([bytes], name, {type: 'image/png'}));
}
const event = kind === 'paste'
  ? new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true, cancelable: true})
  : new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""


@pytest.fixture(scope="module")
def server(items_run: Run) -> Iterator[Server]:
    """Return a server of a run with three items."""
    with Server(items_run, fetch=fetch, port=0, limits=Limits(body=200_000)) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Return a headless Chromium."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--disable-dev-shm-usage", "--window-size=1100,900"):
        options.add_argument(flag)
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # A driver that is named is not looked for on the web.
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: WebDriver, server: Server) -> WebDriver:
    """Return the browser with the page freshly loaded."""
    browser.get(server.url)
    until(browser, lambda: text(browser, "#facts"))
    return browser


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """Return a picture of a tomato."""
    draw(tmp_path / "red.png", COLOURS["tomato"], [91])
    return tmp_path / "red.png"


def until(browser: WebDriver, condition: Callable[[], Any]) -> Any:
    """Wait for a condition."""
    return WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: condition())


def text(browser: WebDriver, selector: str) -> str:
    """Return the text of the first element."""
    return browser.find_element(By.CSS_SELECTOR, selector).text


def count(browser: WebDriver, selector: str) -> int:
    """Return how many elements there are."""
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


def choose(browser: WebDriver, *files: Path) -> None:
    """Choose files and wait for their answers."""
    before = count(browser, ".answer")
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))
    until(browser, lambda: count(browser, ANSWERED) == before + len(files))


def test_a_chosen_picture_is_answered_with_bars(page: WebDriver, red: Path) -> None:
    """The headline lists what is on the tray; each item has a bar as long as its probability."""
    choose(page, red)
    shares = [float(one.text.rstrip(" %").lstrip("<> ")) for one in page.find_elements(By.CSS_SELECTOR, ".share")]
    until(page, lambda: page.execute_script("return document.getAnimations().length") == 0)
    fill, track = (page.find_element(By.CSS_SELECTOR, f".bar .{name}").size["width"] for name in ("fill", "track"))

    assert text(page, "h1") == "binary"
    assert "3 items" in text(page, "#facts")
    assert "decisions on test pictures right" in text(page, "#facts")
    assert text(page, ".lead").casefold() == "on the tray"
    assert text(page, "h2") == "tomato"
    assert text(page, ".bar .label") == "tomato"
    assert shares == sorted(shares, reverse=True)
    assert fill / track == pytest.approx(shares[0] / 100, abs=0.03)
    assert count(page, ".bar .from") == 3
    assert text(page, "figcaption").startswith("red.png · 64 ")
    assert page.execute_script("return document.querySelector('.picture img').naturalWidth") == 64


def test_a_tray_is_framed_where_its_items_were_seen(page: WebDriver, red: Path) -> None:
    """With the box ticked, parts are looked at too, and each item that is there has a frame inside the picture."""
    page.find_element(By.ID, "windows").click()
    choose(page, red)
    names = [one.text for one in page.find_elements(By.CSS_SELECTOR, ".bar.is .label")]

    assert sorted(one.text for one in page.find_elements(By.CSS_SELECTOR, ".place")) == sorted(names)
    assert count(page, ".bar") == 3
    assert count(page, ".bar .from") == 0


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page: WebDriver, red: Path, way: str) -> None:
    """Anywhere on the page will do."""
    page.execute_script(BRING, way, "red.png", base64.b64encode(red.read_bytes()).decode(), "")
    until(page, lambda: count(page, ANSWERED))

    assert text(page, "h2") == "tomato"


def test_a_link_is_followed_by_the_service(page: WebDriver, httpserver: HTTPServer, red: Path) -> None:
    """Typed or pasted, the service fetches the picture; the page itself asks no other host for anything."""
    httpserver.expect_request("/lunch.png").respond_with_data(red.read_bytes(), content_type="image/png")
    address = httpserver.url_for("/lunch.png")
    page.get_log("performance")
    page.find_element(By.ID, "address").send_keys(address, Keys.ENTER)
    until(page, lambda: count(page, ANSWERED) == 1)
    page.execute_script(BRING, "paste", "", "", address)
    until(page, lambda: count(page, ANSWERED) == 2)
    asked = page.execute_script(
        "return performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)"
    )

    assert text(page, "h2") == "tomato"
    assert set(asked) <= {page.current_url.rstrip("/"), "null"}


def test_where_the_model_looked_is_shown_on_request(page: WebDriver, red: Path) -> None:
    """By keyboard alone: the heat map appears over the whole picture, and Escape takes it away."""
    choose(page, red)
    assert count(page, "canvas:not([hidden])") == 0
    bar = page.find_element(By.CSS_SELECTOR, ".bar")
    bar.send_keys(Keys.ENTER)
    canvas = until(page, lambda: page.find_elements(By.CSS_SELECTOR, "canvas:not([hidden])"))[0]
    painted = page.execute_script(
        "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]", canvas
    )

    assert bar.get_attribute("aria-pressed") == "true"
    assert len(set(painted)) > 4
    assert canvas.size == page.find_element(By.CSS_SELECTOR, ".picture img").size
    assert "speaks for tomato" in text(page, ".hint")
    bar.send_keys(Keys.ESCAPE)
    assert count(page, "canvas:not([hidden])") == 0
    assert bar.get_attribute("aria-pressed") == "false"


def test_everything_is_reached_by_tab(page: WebDriver, red: Path) -> None:
    """From the top of the page: choosing, linking, the answer's bars and putting it away."""
    choose(page, red)
    page.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    seen = []
    for _ in range(12):
        page.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.switch_to.active_element
        seen.append(focused.get_attribute("id") or focused.get_attribute("class"))

    assert seen[:3] == ["choose", "address", ""]
    assert sum("bar" in one for one in seen) == 3
    assert "away" in seen


def test_what_is_no_picture_is_told_in_a_sentence(page: WebDriver, tmp_path: Path, red: Path) -> None:
    """A bad file and one too large each get a card that says why; others are answered."""
    (tmp_path / "notes.png").write_text("milk, eggs")
    (tmp_path / "huge.png").write_bytes(bytes(300_000))
    choose(page, tmp_path / "notes.png", tmp_path / "huge.png", red)
    told = {one.find_element(By.CSS_SELECTOR, ".lead").text: one.find_element(By.CSS_SELECTOR, "h2").text
            for one in page.find_elements(By.CSS_SELECTOR, ".answer.wrong")}  # fmt: skip

    assert "not an image" in told["notes.png"]
    assert "at most 0.2 MB" in told["huge.png"]
    assert text(page, ".answer:not(.wrong) h2") == "tomato"


def test_answers_are_put_away(page: WebDriver, red: Path) -> None:
    """The cross removes a card; after the last one the invitation is back."""
    choose(page, red)
    tall = page.find_element(By.ID, "ask").size["height"]
    page.find_element(By.CSS_SELECTOR, ".away").click()

    assert count(page, ".answer") == 0
    assert page.find_element(By.ID, "ask").size["height"] > 2 * tall
    assert "tomato, lettuce, plum" in text(page, "#knows")


def test_it_fits_a_narrow_window_and_the_dark_theme(page: WebDriver, tmp_path: Path, red: Path) -> None:
    """At 320 pixels nothing is scrolled sideways or lies under the cross; in the dark, text stays light on dark."""
    (tmp_path / "notes.png").write_text("milk, eggs")
    choose(page, red, tmp_path / "notes.png")
    try:
        screen = {"width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        until(page, lambda: page.execute_script("return innerWidth") == 320)
        wide = page.execute_script("return document.documentElement.scrollWidth")
        cross, said = (page.find_element(By.CSS_SELECTOR, f".answer.wrong {part}").rect for part in (".away", "h2"))
        shades = page.execute_script(
            "return [document.documentElement, document.body].map((one, n) => "
            "getComputedStyle(one)[n ? 'color' : 'backgroundColor'].match(/[0-9.]+/g).slice(0, 3).map(Number))"
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert wide <= 320
    assert said["x"] + said["width"] <= cross["x"]
    assert max(shades[0]) < 60
    assert min(shades[1]) > 200


def test_the_browser_has_nothing_to_complain_about(page: WebDriver, red: Path) -> None:
    """No error, no blocked resource, in a whole visit."""
    page.get_log("browser")
    page.refresh()
    until(page, lambda: text(page, "#facts"))
    choose(page, red)
    page.find_element(By.CSS_SELECTOR, ".bar").click()
    until(page, lambda: count(page, "canvas:not([hidden])"))

    assert page.get_log("browser") == []


def test_a_run_of_one_classifier_says_what_it_is(browser: WebDriver, plain_run: Run, red: Path) -> None:
    """Without items there is one answer; without a fetcher there is no field for a link."""
    with Server(plain_run, port=0) as server:
        browser.get(server.url)
        until(browser, lambda: text(browser, "#facts"))
        choose(browser, red)

        assert text(browser, ".lead").casefold() == "it is"
        assert text(browser, "h2") == "tomato"
        assert count(browser, ".bar .from") == 1
        assert not browser.find_element(By.ID, "link").is_displayed()
