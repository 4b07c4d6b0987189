"""What every engine's page is made from."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from scraper.simulator.catalogue import Catalogue
from scraper.simulator.darkroom import Darkroom
from scraper.simulator.scenario import Scenario

BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAP///////yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""The picture of one see-through pixel that stands where a thumbnail has not come yet."""


@dataclass(frozen=True)
class World:
    """The site as an engine sees it: its own origin, what there is, and where the bytes come from."""

    origin: str
    catalogue: Catalogue
    darkroom: Darkroom

    @property
    def scenario(self) -> Scenario:
        """The setting that is played."""
        return self.catalogue.scenario


@cache
def templates() -> jinja2.Environment:
    """Return the pages as templates."""
    folder = Path(__file__).parent / "pages"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )


def render(name: str, **values: object) -> str:
    """Return a page of the folder `pages`, filled in."""
    return templates().get_template(name).render(blank=BLANK, c=str, **values)
