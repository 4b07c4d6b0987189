"""What can be wrong before the first picture comes: browser, driver, display, disk, certificates, selectors."""

import itertools
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from dataset.errors import EngineBlocked, TrayError
from dataset.tray import Scrape
from scraper.browser import Window
from scraper.chromium import chromium, display_for, find_browser, find_driver
from scraper.engines import (
    ENGINES,
    GENERAL_FULL,
    Candidate,
    Engine,
    address,
    clean_address,
    found,
    general,
    inside,
    parsed_finder,
    parsed_tiles,
    read,
)
from scraper.pacing import Rhythm
from scraper.search import arrive

HARMLESS: Final = "red apple"
"""What a live examination asks each engine for."""
ROOM: Final = 1_000_000_000
FIELDS: Final = ("full", "cached", "thumbnail", "page", "title", "width", "height")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is well, and what was seen or what mends it."""

    what: str
    ok: bool
    detail: str


def examine(
    settings: Scrape,
    *,
    engines: Sequence[Engine] = tuple(ENGINES.values()),
    live: bool = False,
    page: Path | None = None,
    site: str | None = None,
) -> Iterator[Finding]:
    """Yield what is found: on a saved ``page``, else on this machine, and with ``live`` on the engines' pages too."""
    if page:
        yield from examine_page(page, engines)
        return
    yield from _programs(settings)
    yield from (_display(engine, settings, site) for engine in engines)
    yield _started(settings, site)
    yield _disk()
    yield _certificates()
    if live:
        for engine in engines:
            yield from examine_live(engine, settings, site=site)


def examine_page(page: Path, engines: Sequence[Engine]) -> Iterator[Finding]:
    """Yield what each engine's selectors find on a saved page; well is the page when one engine reads it."""
    html = page.read_text(encoding="utf-8", errors="replace")
    counted = [(engine, read(engine, html, "")) for engine in engines]
    best, candidates = max(counted, key=lambda pair: len(pair[1]))
    if candidates:
        yield from _matched(best, html, candidates)
        return
    for engine in engines:
        found_so = read(general(engine), html, "")
        if found_so:
            yield Finding(
                f"{engine.name} selectors",
                ok=False,
                detail=f"none of {', '.join(engine.tile)} matches; the general reader finds {len(found_so)} results, "
                f"such as {found_so[0].urls[0]}. {_mended(engine, html)}",
            )
            return
    yield Finding(
        "page", ok=False, detail=f"{page} holds nothing like a result of {', '.join(e.name for e in engines)}"
    )


def examine_live(engine: Engine, settings: Scrape, *, site: str | None = None) -> Iterator[Finding]:
    """Ask one engine one harmless query, and yield what matched on its page."""
    what = f"{engine.name} live"
    rhythm = Rhythm(settings.pace, settings.seed, sleep=threading.Event().wait)
    try:
        with chromium(settings, display=display_for(engine, settings, site=site), site=site) as driver:
            window = Window(driver, page_seconds=settings.page_timeout)
            look = arrive(window, engine, address(engine, HARMLESS), rhythm)
            if look.none:
                yield Finding(what, ok=False, detail=f"{HARMLESS!r} has no results there, says {look.none!r}")
                return
            for _ in range(3):
                step = window.step(engine, distance=0.5, duration=0.5 * settings.pace, wait=1.0, hand_out=False)
                hover = window.step(engine, looks=99).hover if engine.reveal and step.count else []
                window.hover(hover, rhythm.dwell())
            html = window.html()
    except EngineBlocked as error:
        yield Finding(what, ok=False, detail=f"blocked: {error}")
        return
    except TrayError as error:
        yield Finding(what, ok=False, detail=str(error))
        return
    candidates = read(engine, html, HARMLESS)
    if candidates:
        yield from _matched(engine, html, candidates)
        return
    so = read(general(engine), html, HARMLESS)
    yield Finding(
        what,
        ok=False,
        detail=f"the page loaded and no selector matched; the general reader finds {len(so)} results. "
        + _mended(engine, html),
    )


def _matched(engine: Engine, html: str, candidates: Sequence[Candidate]) -> Iterator[Finding]:
    """Yield which layout and which finders matched on a page."""
    layouts = []
    for selector, checked in zip(engine.tile, engine.checked, strict=False):
        count = len(parsed_tiles(replace(engine, tile=(selector,)), html))
        if count:
            layouts.append(f"{selector!r} of {checked} ({count})")
    yield Finding(f"{engine.name} tiles", ok=True, detail=f"{len(candidates)} results by {', '.join(layouts)}")
    tiles = parsed_tiles(engine, html)
    for name in FIELDS:
        finders = getattr(engine, name)
        hits = [(finder, sum(any(True for _ in found(tile, (finder,))) for tile in tiles)) for finder in finders]
        hits = [(finder, count) for finder, count in hits if count]
        if finders:
            seen = ", ".join(f"{finder!r} ({count})" for finder, count in hits)
            needed = name in {"full", "thumbnail"}
            yield Finding(
                f"{engine.name} {name}",
                ok=bool(hits) or not needed,
                detail=seen or ("nothing found" + (f"; {_how_to_mend(engine, name)}" if needed else "")),
            )


def suggestion(engine: Engine, html: str) -> dict[str, str]:
    """Return selectors for tray.toml that read a page on which the engine's own match nothing; empty without any.

    They name the attribute in which most results have their picture's address.
    """
    counted: Counter[tuple[str, str, str, str]] = Counter()
    for tile in parsed_tiles(general(engine), html):
        places = (
            (node.tag or "*", name, key, parameter)
            for _, attribute, key, parameter in map(parsed_finder, GENERAL_FULL)
            for node in tile.css("*")
            for name, value in node.attributes.items()
            if attribute in {"*", name} and clean_address(inside(value or "", key, parameter))
        )
        counted.update(itertools.islice(places, 1))
    if not counted:
        return {}
    tag, name, key, parameter = counted.most_common(1)[0][0]
    part = f"{{{key}}}" if key else f"?{parameter}" if parameter else ""
    return {
        "tile": f"{tag}[{name}*='{parameter}=']" if parameter else f"{tag}[{name}]",
        "full": f"{tag}@{name}{part}",
    }


def _mended(engine: Engine, html: str) -> str:
    """Return what to put into tray.toml for a page as it is."""
    lines = [f'{key} = "{value}"' for key, value in suggestion(engine, html).items()]
    return f"Put into tray.toml: [engines.{engine.name}] {'; '.join(lines)}" if lines else _how_to_mend(engine)


def _how_to_mend(engine: Engine, key: str = "tile") -> str:
    known = {field.name for field in fields(Engine)}
    example = {"tile": "a.result", "full": "a.result@href?imgurl"}.get(key, "img@src")
    return f'Put into tray.toml: [engines.{engine.name}] {key} = "{example}"' if key in known else ""


def _programs(settings: Scrape) -> Iterator[Finding]:
    if settings.grid:
        return
    for what, look in (("browser", find_browser), ("driver", find_driver)):
        try:
            program = look(settings)
        except TrayError as error:
            yield Finding(what, ok=False, detail=str(error))
            continue
        if program:
            yield Finding(what, ok=True, detail=f"{program.path} ({program.how})")
        else:
            yield Finding(
                what, ok=True, detail="none on PATH; Selenium Manager and webdriver-manager will look for one"
            )


def _display(engine: Engine, settings: Scrape, site: str | None) -> Finding:
    what = f"display for {engine.name}"
    try:
        display = display_for(engine, settings, site=site)
    except TrayError as error:
        return Finding(what, ok=False, detail=str(error))
    if display == "headless" and not engine.headless and not site:
        return Finding(
            what,
            ok=False,
            detail="headless, which it refuses; install Xvfb (apt install xvfb) or run this on a screen",
        )
    return Finding(what, ok=True, detail=display)


def _started(settings: Scrape, site: str | None) -> Finding:
    try:
        with chromium(settings, display="headless", site=site) as driver:
            capabilities = driver.capabilities
            versions = f"{capabilities['browserName']} {capabilities['browserVersion']}"
            driver_version = str(capabilities.get("chrome", {}).get("chromedriverVersion", "")).split(" ")[0]
    except TrayError as error:
        return Finding("start", ok=False, detail=str(error))
    return Finding("start", ok=True, detail=f"{versions} with chromedriver {driver_version}")


def _disk() -> Finding:
    here = Path.cwd()
    free = min(shutil.disk_usage(here).free, shutil.disk_usage(tempfile.gettempdir()).free)
    if not os.access(here, os.W_OK):
        return Finding("disk", ok=False, detail=f"{here} can't be written; go to another folder")
    if free < ROOM:
        return Finding(
            "disk", ok=False, detail=f"{free / 1e9:.1f} GB free; make room: 1,000 pictures take about 0.3 GB"
        )
    return Finding("disk", ok=True, detail=f"{free / 1e9:.1f} GB free")


def _certificates() -> Finding:
    import certifi

    path = Path(os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where())
    count = path.read_text(encoding="utf-8", errors="replace").count("BEGIN CERTIFICATE") if path.is_file() else 0
    if not count:
        return Finding(
            "certificates", ok=False, detail=f"none in {path}; every https address will fail. Reinstall certifi"
        )
    return Finding("certificates", ok=True, detail=f"{count} authorities in {path}")
