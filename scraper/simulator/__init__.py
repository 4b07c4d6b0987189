"""The built-in search site: three engines and their image hosts on loopback, with known ground truth."""

from scraper.simulator.catalogue import Address, Offer, Picture
from scraper.simulator.reply import Request
from scraper.simulator.scenario import ENGINES, SCENARIOS, Scenario
from scraper.simulator.site import Site
from scraper.simulator.truth import Score, Truth
from scraper.simulator.words import NOTHING

__all__ = [
    "ENGINES",
    "NOTHING",
    "SCENARIOS",
    "Address",
    "Offer",
    "Picture",
    "Request",
    "Scenario",
    "Score",
    "Site",
    "Truth",
]
