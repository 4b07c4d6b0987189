"""Which Chromium and which driver there are, where their windows can show, and how to start them."""

import ctypes
import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from dataset.errors import BrowserError, ConfigError
from dataset.tray import Scrape
from scraper.engines import Engine

log: Final = logging.getLogger("tray")

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WINDOW: Final = (1366, 900)
GRACE: Final = 2.0
"""Seconds for a browser to end by itself."""
SCRIPT_SECONDS: Final = 30.0
"""How long a script of ours may take: its longest waits are of some seconds."""
GRID_SECONDS: Final = 300
"""How long a remote may take to answer: a busy grid lets a new session wait."""
PIPE: Final = "--remote-debugging-pipe"
FEATURES: Final = (
    "Translate,MediaRouter,OptimizationHints,OptimizationGuideModelDownloading,InterestFeedContentSuggestions,"
    "AutofillServerCommunication,CertificateTransparencyComponentUpdater,CalculateNativeWinOcclusion"
)
# An ordinary browser without its own errands: nothing here changes what a page is told about it.
FLAGS: Final = (
    f"--window-size={WINDOW[0]},{WINDOW[1]}",
    "--window-position=0,0",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-client-side-phishing-detection",
    "--disable-search-engine-choice-screen",
    f"--disable-features={FEATURES}",
    "--metrics-recording-only",
    "--safebrowsing-disable-auto-update",
    "--password-store=basic",
    # Three windows lie over each other: a covered one has to go on drawing, or nothing scrolls in it.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # Without a graphics card the drawing of every frame costs a processor.
    "--disable-gpu",
    "--disable-smooth-scrolling",
    # The browser ends when the pipe to its driver does: a killed scraper leaves no orphan.
    PIPE,
)
PREFERENCES: Final = {
    "credentials_enable_service": False,
    "profile.default_content_setting_values.notifications": 2,
    "profile.default_content_setting_values.geolocation": 2,
    "profile.default_content_setting_values.popups": 2,
    "search.suggest_enabled": False,
    "safebrowsing.enabled": False,
    "download.prompt_for_download": False,
    "download_restrictions": 3,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A program that was looked for: where it is, and how it was found."""

    path: str
    how: str


def find_browser(settings: Scrape) -> Found | None:
    """Return the browser: ``--browser``, TRAY_BROWSER, PATH; None where none of them leads to one.

    Raises BrowserError when one is named and is not there.
    """
    named = settings.browser or os.environ.get("TRAY_BROWSER")
    if named:
        return _named(named, "--browser" if settings.browser else "TRAY_BROWSER", "a Chromium or Chrome")
    for name in BROWSERS:
        if path := shutil.which(name):
            return Found(path, "PATH")
    return None


def find_driver(settings: Scrape) -> Found | None:
    """Return the driver: ``--driver``, TRAY_DRIVER, SE_CHROMEDRIVER, PATH; None where none of them leads to one.

    Raises BrowserError when one is named and is not there.
    """
    for named, how in (
        (settings.driver, "--driver"),
        (os.environ.get("TRAY_DRIVER"), "TRAY_DRIVER"),
        (os.environ.get("SE_CHROMEDRIVER"), "SE_CHROMEDRIVER"),
    ):
        if named:
            return _named(named, how, "a chromedriver")
    path = shutil.which("chromedriver")
    return Found(path, "PATH") if path else None


def display_for(engine: Engine, settings: Scrape, *, site: str | None) -> str:
    """Return where the engine's window shows: ``headless``, ``screen`` or ``xvfb``.

    With a site of one's own every engine is headless unless the settings say otherwise. Raises ConfigError when the
    settings ask for a screen or Xvfb that is not there.
    """
    screen = _has_screen()
    xvfb = shutil.which("Xvfb")
    wanted = settings.display
    if settings.grid:
        # The screens are the grid's: whether it has some is its own to say.
        headless = wanted == "headless" or (wanted == "auto" and (site is not None or engine.headless))
        return "headless" if headless else "screen"
    if wanted == "screen" and not screen:
        raise ConfigError(
            "Expected a screen for --display screen. Received: no DISPLAY with a server. Say xvfb or headless there."
        )
    if wanted == "xvfb" and not xvfb:
        raise ConfigError("Expected Xvfb for --display xvfb. Received: none on PATH. Install it (apt install xvfb).")
    if wanted != "auto":
        return wanted
    if site or engine.headless:
        return "headless"
    if screen:
        return "screen"
    if xvfb:
        return "xvfb"
    log.warning(
        "%s refuses a headless browser, and there is neither a screen nor Xvfb here (apt install xvfb): "
        "it goes headless and will probably be blocked.",
        engine.name,
    )
    return "headless"


@contextmanager
def chromium(settings: Scrape, *, display: str, site: str | None = None) -> Iterator[Any]:
    """Start a Chromium and yield its WebDriver; both end with the block, or with the process.

    Raises BrowserError, which lists what was tried, when none starts, and for one that breaks down in the block.
    """
    from selenium.common.exceptions import WebDriverException
    from urllib3.exceptions import HTTPError

    with ExitStack() as stack:
        if settings.grid:
            driver = _remote(settings, settings.grid, headless=display == "headless")
        else:
            # A driver takes TMPDIR at its word; Python goes elsewhere when no such folder can be written.
            environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
            if display == "xvfb":
                environment["DISPLAY"] = stack.enter_context(_xvfb())
            profile = stack.enter_context(_profile())
            options = _options(settings, profile, headless=display == "headless", site=site)
            driver = _start(settings, options, environment)
        stack.callback(kill, driver)
        try:
            driver.set_script_timeout(SCRIPT_SECONDS)
            yield driver
        except (WebDriverException, HTTPError) as error:
            raise BrowserError(
                f"Expected the browser to go on. Received: {type(error).__name__}: {_reason(error)}. "
                f"Run the same command again; what was kept stays."
            ) from error


def kill(driver: Any) -> None:
    """End a driver at once, and its browser with the pipe between them.

    Its own way to quit waits for pages that do not want to go; this browser has nothing to save.
    """
    if not hasattr(driver, "service"):
        # A remote's session can only be asked to end; one that does not answer must not hold anybody up.
        asked = threading.Thread(target=_quit, args=(driver,), name="quit", daemon=True)
        asked.start()
        asked.join(5)
        return
    process = getattr(driver.service, "process", None)
    if process is None:
        return
    if process.poll() is None:
        process.kill()
    with suppress(Exception):
        process.wait(5)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with suppress(OSError):
                pipe.close()
    browser = driver.capabilities.get("goog:processID")
    if browser and not _ended(browser, GRACE):
        with suppress(OSError):
            os.kill(browser, signal.SIGKILL)


def _ended(process: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    until = time.monotonic() + seconds
    while _alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not _alive(process)


def _quit(driver: Any) -> None:
    with suppress(Exception):
        driver.quit()


def _remote(settings: Scrape, grid: str, *, headless: bool) -> Any:
    """Open a session of a Selenium Grid or any other W3C remote."""
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver import Remote
    from selenium.webdriver.remote.client_config import ClientConfig
    from urllib3.exceptions import HTTPError

    options = _options(settings, None, headless=headless, site=None)
    try:
        parts, address = urlsplit(grid), _without_password(grid)
        client = ClientConfig(
            address,
            timeout=GRID_SECONDS,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )
        return Remote(command_executor=address, options=options, client_config=client)
    except (WebDriverException, HTTPError, OSError, ValueError, KeyError) as error:
        raise BrowserError(
            f"Expected a Selenium Grid or another W3C remote at {_without_password(grid)}. "
            f"Received: {_reason(error)}. Correct --grid, or start the remote."
        ) from error


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _options(settings: Scrape, profile: Path | None, *, headless: bool, site: str | None) -> Any:
    """Return how the browser starts; without a profile it is not on this machine."""
    from selenium.webdriver import ChromeOptions
    from selenium.webdriver.common.options import BaseOptions

    options = ChromeOptions()
    if profile is None:
        # Nothing of this machine's is there but what the settings name.
        options.binary_location = settings.browser or ""
    elif browser := find_browser(settings):
        options.binary_location = browser.path
    for flag in FLAGS if profile else [flag for flag in FLAGS if flag != PIPE]:
        options.add_argument(flag)
    if profile:
        options.add_argument(f"--user-data-dir={profile}")
        # No proxy leads to a driver on this machine; what else to say so is for remotes.
        BaseOptions.ignore_local_proxy_environment_variables(options)
        # The only way to an answer's headers, where an engine says how long it wants to be left alone.
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    if headless:
        options.add_argument("--headless=new")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Chromium's sandbox refuses to work for root, and Chromium without it.
        options.add_argument("--no-sandbox")
    if site and urlsplit(site).hostname in {"127.0.0.1", "localhost", "::1"}:
        # A site on this machine needs no other: nothing that a page does can reach further.
        options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE ::1")
        options.add_argument("--no-proxy-server")
    options.add_experimental_option("prefs", PREFERENCES)
    # The driver would let pages open windows at will; a person's browser does not.
    options.add_experimental_option("excludeSwitches", ["disable-popup-blocking"])
    options.page_load_strategy = "eager"
    options.unhandled_prompt_behavior = "dismiss"
    return options


def _start(settings: Scrape, options: Any, environment: dict[str, str]) -> Any:
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.service import Service
    from urllib3.exceptions import HTTPError

    os.environ.setdefault("SE_AVOID_STATS", "true")
    tried = [f"browser {options.binary_location or 'not on PATH (' + ', '.join(BROWSERS) + ')'}"]
    paths = set()
    for how, find in _drivers(settings):
        try:
            path = find()
            if path in paths:
                continue
            paths.add(path)
            return Chrome(options=options, service=Service(path, env=environment, popen_kw=_tied_to_us()))
        except (WebDriverException, HTTPError, OSError, ValueError) as error:
            tried.append(f"{how}: {_reason(error)}")
    raise BrowserError(
        f"Expected a Chromium and its chromedriver that start. Received: {'; '.join(tried)}. "
        f"Install them (apt install chromium chromium-driver), or name them with --browser and --driver."
    )


def _drivers(settings: Scrape) -> Iterator[tuple[str, Any]]:
    """Yield the ways to a driver in their order, each with a function that returns its path."""
    driver = find_driver(settings)
    if driver:
        yield f"driver {driver.path} ({driver.how})", lambda: driver.path
        if driver.how != "PATH":
            return
    browser = find_browser(settings)
    yield "Selenium Manager", lambda: _from_selenium_manager(browser)
    yield "webdriver-manager", _from_webdriver_manager


def _from_selenium_manager(browser: Found | None) -> str:
    from selenium.webdriver.common.selenium_manager import SeleniumManager

    arguments = ["--browser", "chrome", "--avoid-stats"]
    if browser:
        arguments += ["--browser-path", browser.path]
    return str(SeleniumManager().binary_paths(arguments)["driver_path"])


def _from_webdriver_manager() -> str:
    from webdriver_manager.chrome import ChromeDriverManager
    from webdriver_manager.core.os_manager import ChromeType

    os.environ.setdefault("WDM_LOG", "0")
    try:
        return str(ChromeDriverManager(chrome_type=ChromeType.CHROMIUM).install())
    except Exception as error:
        # Its ways to fail are many (no network, no version, a torn cache), and all mean that there is no driver.
        raise OSError(str(error)) from error


def _named(named: str, how: str, what: str) -> Found:
    path = shutil.which(named)
    if not path:
        raise BrowserError(
            f"Expected {what} at the path of {how}. Received: {named}, which is no program. "
            f"Correct it, or leave it out to have one looked for."
        )
    return Found(path, how)


def _reason(error: Exception) -> str:
    """Return what an error says, in one line, without the addresses and advice that libraries put around it."""
    text = str(getattr(error, "reason", None) or getattr(error, "msg", None) or error) or type(error).__name__
    text = re.sub(r"^HTTPS?Connection(Pool)?\(.*?\): ", "", text.partition("; For documentation")[0])
    return " ".join(text.split())[:200].rstrip(".")


def _has_screen() -> bool:
    if sys.platform.startswith("linux"):
        return bool(_answers(os.environ.get("DISPLAY", "")) or os.environ.get("WAYLAND_DISPLAY"))
    return True


def _answers(display: str) -> bool:
    """Whether a display is one to show windows on; of one on this machine, its server has to answer.

    A browser without it would end at once, and its driver wait a minute for it.
    """
    here = re.fullmatch(r":(\d+)(\.\d+)?", display)
    if not here:
        return bool(display)
    path = f"/tmp/.X11-unix/X{here[1]}"  # noqa: S108 - where X servers listen
    for address in (path, f"\0{path}"):
        with socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(address)
            return True
    return False


def _tied_to_us() -> dict[str, Any]:
    """Return what makes the kernel end a child process when the thread that started it ends, killed or not."""
    if not sys.platform.startswith("linux"):
        return {}
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    # A group of its own: a Ctrl-C in the terminal is ours to answer, in our order.
    return {"preexec_fn": tie, "start_new_session": True}


@contextmanager
def _xvfb() -> Iterator[str]:
    from pyvirtualdisplay.display import Display

    # -terminate: the screen ends when its last window does, also when nobody is left to end it.
    screen = Display(visible=False, size=WINDOW, manage_global_env=False, extra_args=["-terminate", "10"])
    try:
        screen.start()
    except Exception as error:
        raise BrowserError(
            f"Expected Xvfb to start. Received: {_reason(error)}. Say --display headless, or mend Xvfb."
        ) from error
    try:
        yield str(screen.new_display_var)
    finally:
        with suppress(Exception):
            screen.stop()


@contextmanager
def _profile() -> Iterator[Path]:
    """Yield an empty profile folder; those that killed processes left behind are swept away first."""
    place = Path(tempfile.gettempdir())
    for left in place.glob("tray-browser-*-*"):
        owner = left.name.split("-")[2]
        if owner.isdecimal() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"tray-browser-{os.getpid()}-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    """Whether a process runs; one that has ended and was not yet buried does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return not Path("/proc/self").exists()
