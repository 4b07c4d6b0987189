"""A small built-in site and one real Chromium, shared by the scraper's tests."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest
from pytest_httpserver import HTTPServer

from dataset.folder import ClassFolder, Record
from dataset.tray import ClassPlan, Scrape
from scraper.browser import Window
from scraper.chromium import chromium
from scraper.engines import ENGINES, Candidate, Engine, pointed_at
from scraper.gathering import Gathering
from scraper.scrape import Run
from scraper.simulator import Site
from scraper.tally import Tally

QUICK = Scrape(pace=0.02, read_timeout=2.5, connect_timeout=2.0, total_timeout=8.0, host_spacing=0.0, limit=500)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Open the built-in site, with few results a term."""
    with Site(seed=5, results=24) as site:
        yield site


@pytest.fixture(scope="session")
def make_httpserver() -> Iterator[HTTPServer]:
    """Serve each connection in a thread of its own: a browser opens some on which it never asks for anything."""
    with HTTPServer(threaded=True) as server:
        yield server


@pytest.fixture(scope="session")
def window() -> Iterator[Window]:
    """Open one headless Chromium."""
    with chromium(QUICK, display="headless", site="http://127.0.0.1") as driver:
        yield Window(driver)


@pytest.fixture
def plan() -> ClassPlan:
    """Plan one class folder of one term."""
    return ClassPlan("pizza", ("pizza",), 500)


@contextmanager
def silent() -> Iterator[str]:
    """Listen, and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def engines(site: Site, *names: str) -> Sequence[Engine]:
    """Return the engines as the built-in site serves them."""
    return [pointed_at(ENGINES[name], site.url) for name in names or ENGINES]


def kept(folder: Path) -> set[str]:
    """Return the names of the pictures in a class folder."""
    return {path.name for path in folder.iterdir() if path.suffix in {".jpg", ".png", ".webp"}}


def downloaded(urls: Sequence[str], into: Path, settings: Scrape, *, site: str | None) -> list[Record]:
    """Download addresses as the results of an engine that was searched before; return the records."""
    results = [
        Candidate((url,), ("full",), page=urljoin(url, "/page"), engine="list", term="list", rank=rank)
        for rank, url in enumerate(urls, 1)
    ]
    return gathered(results, into, settings, site=site)


def gathered(results: Sequence[Candidate], into: Path, settings: Scrape, *, site: str | None) -> list[Record]:
    """Download the results of an engine, ``list``, that was searched before; return the records."""
    with ClassFolder(into) as folder:
        one = Gathering(ClassPlan(into.name, ("list",), settings.limit), folder, settings.kinds)
        run = Run([one], into.parent, settings, engines=(), site=site)
        run.tallies["list"] = Tally()
        try:
            for result in results:
                run.offer(one, result)
            return [step for step in run.go() if isinstance(step, Record)]
        finally:
            run.close()
