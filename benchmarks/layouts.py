"""Every layout of the engines' pages on the built-in site: how much the selectors find, and how much is found without.

    python benchmarks/layouts.py [--results 40] [--pace 0.02] [--seed 5] [--only LAYOUT ...]

A layout is played twice, as it was and with all its class names, ids and jsnames changed. Prints one line a layout:
the share of the results' full-size addresses that came, by the selectors and by the reader that needs none, the
addresses that are no result's, and the seconds of both.
"""

import argparse
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

from dataset.errors import TrayError
from dataset.tray import Scrape
from scraper.browser import Window
from scraper.chromium import chromium
from scraper.engines import ENGINES, clean_address, pointed_at
from scraper.pacing import Rhythm
from scraper.search import Ended, search
from scraper.simulator import SCENARIOS, Site

TERM = "pizza"
LAYOUTS = {
    "google": ("2026-09", "2025-11", "2025-02", "2025-01", "2024-04", "2023-11", "2020-10"),
    "bing": ("2026-10", "2020-06"),
    "yahoo": ("2026-09", "2026-08", "2025-06"),
}


def main() -> None:
    """Read every layout both ways, and print the shares."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--results", type=int, default=40, help="the most pictures that an engine offers")
    options.add_argument("--pace", type=float, default=0.02)
    options.add_argument("--seed", type=int, default=5)
    options.add_argument("--only", nargs="*", help="names such as google-2025-01")
    chosen = options.parse_args()
    logging.getLogger("tray").setLevel(logging.ERROR)
    row = "{:<16} {:>9} {:>9} {:>6} {:>8} {:>8}"
    print(row.format("layout", "selectors", "without", "wrong", "seconds", "seconds"))
    names = [(engine, when) for engine, layouts in LAYOUTS.items() for when in layouts]
    with chromium(Scrape(), display="headless", site="http://127.0.0.1") as driver:
        window = Window(driver)
        for engine, when in names:
            if chosen.only and f"{engine}-{when}" not in chosen.only:
                continue
            found = [found_on(window, engine, when, renamed, chosen) for renamed in (False, True)]
            shares, wrong, seconds = zip(*found, strict=True)
            shown = (*(f"{share:.3f}" for share in shares), sum(wrong), *(f"{one:.1f}" for one in seconds))
            print(row.format(f"{engine}-{when}", *shown), flush=True)


def found_on(
    window: Window, name: str, when: str, renamed: bool, chosen: argparse.Namespace
) -> tuple[float, int, float]:
    """Return the share of an engine's full-size addresses that were found, those that are none, and the seconds."""
    scenario = replace(SCENARIOS["clean"], renamed=renamed, **{name: when})  # type: ignore[arg-type]
    with Site(seed=chosen.seed, scenario=scenario, results=chosen.results) as site:
        rhythm = Rhythm(chosen.pace, 1, sleep=threading.Event().wait)
        full: set[str] = set()
        started = time.perf_counter()
        try:
            for step in search(window, pointed_at(ENGINES[name], site.url), TERM, rhythm, keep_page=Path):
                if not isinstance(step, Ended):
                    full |= {one.urls[0] for one in step if one.kinds[0] == "full"}
        except TrayError:
            full = set()
        seconds = time.perf_counter() - started
        offers = {clean_address(offer.full.url) for offer in site.truth.offers(TERM, name)}
    return len(full & offers) / len(offers), len(full - offers), seconds


if __name__ == "__main__":
    main()
