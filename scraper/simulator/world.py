"""What every engine's page is made from: what there is, where its bytes come from, and how the page is filled in."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import jinja2

from scraper.simulator.catalogue import Catalogue, Offer
from scraper.simulator.darkroom import Darkroom
from scraper.simulator.filters import asked, safe
from scraper.simulator.scenario import Scenario
from scraper.simulator.words import ASKING, meant

BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAP///////yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""The picture of one see-through pixel that stands where a thumbnail has not come yet."""


@dataclass(frozen=True)
class World:
    """The site as an engine sees it; a thin one knows nothing but thumbnails."""

    origin: str
    catalogue: Catalogue
    darkroom: Darkroom
    thin: bool = False

    @property
    def scenario(self) -> Scenario:
        """The setting that is played."""
        return self.catalogue.scenario

    def offers(self, term: str, engine: str, query: Mapping[str, str]) -> Sequence[Offer]:
        """Return an engine's results for a term and the filters of a query, as good as it gives them now."""
        offers = self.catalogue.shown(term, engine, asked(engine, query), safe=safe(query))
        return [replace(one, full=one.thumbnail, cached=None) for one in offers] if self.thin else offers

    def renamed(self, name: str) -> str:
        """Return a class name, id or jsname as the pages carry it in this scenario."""
        if not self.scenario.renamed:
            return name
        return "x" + hashlib.sha256(f"{self.catalogue.seed} {name}".encode()).hexdigest()[:6]

    def render(self, template: str, **values: object) -> str:
        """Return a page of the folder `pages`, filled in."""
        given = {"blank": BLANK, "c": self.renamed, "scenario": self.scenario, "origin": self.origin, "meant": meant}
        given["say"] = ASKING[self.scenario.language]
        return templates().get_template(template).render(given | values)


@cache
def templates() -> jinja2.Environment:
    """Return the pages as templates."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
