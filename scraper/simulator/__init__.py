"""The built-in search site: three engines and their image hosts on loopback, with known ground truth."""

from pathlib import Path

from scraper.simulator.catalogue import Address, Offer, Picture
from scraper.simulator.judge import Judgement, draw_fresh, judge
from scraper.simulator.reply import Request
from scraper.simulator.scenario import ENGINES, SCENARIOS, Scenario, named
from scraper.simulator.site import Site
from scraper.simulator.truth import Score, Truth
from scraper.simulator.words import NOTHING

__all__ = [
    "DEMO_TRAY",
    "ENGINES",
    "NOTHING",
    "SCENARIOS",
    "Address",
    "Judgement",
    "Offer",
    "Picture",
    "Request",
    "Scenario",
    "Score",
    "Site",
    "Truth",
    "draw_fresh",
    "judge",
    "named",
]

DEMO_TRAY = Path(__file__).with_name("demo.toml")
"""The tray.toml of `tray demo`."""
