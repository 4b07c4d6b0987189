"""Yahoo Images as of 2026: media tiles that carry the address of their picture, 60 a page."""

import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from scraper.simulator.catalogue import Offer
from scraper.simulator.filters import carried
from scraper.simulator.google import source
from scraper.simulator.reply import Reply, Visit
from scraper.simulator.words import has_results
from scraper.simulator.world import World

PAGE = 60


def answer(visit: Visit, world: World) -> Reply:
    """Return what Yahoo says to a visit."""
    term = visit.query.get("p", "")
    offers = world.offers(term, "yahoo", visit.query) if has_results(term) else ()
    if visit.path != "/yahoo/search/images":
        return Reply.page(world.render("yahoo_empty.html", term=""), 404)
    first = max(1, visit.number("b", 1)) - 1
    batch = offers[first : first + PAGE]
    if not batch:
        return Reply.page(world.render("yahoo_empty.html", term=term))
    after = first + len(batch)
    return Reply.page(
        world.render(
            "yahoo.html",
            prefix=f"{world.origin}/yahoo",
            term=term,
            query=urlencode({"p": term, "ei": "UTF-8", "fr": "sfp", **carried(visit.query)}),
            tiles=tiles(world, batch, term),
            following=after + 1 if after < len(offers) else 0,
        )
    )


def tiles(world: World, batch: Sequence[Offer], term: str) -> Iterator[dict[str, object]]:
    """Return what the template shows of each tile."""
    for offer in batch:
        yield {
            "offer": offer,
            "href": viewer(offer, term),
            "meta": json.dumps({"ow": offer.full.width, "oh": offer.full.height}),
            "source": source(world, offer),
            "data": json.dumps(metadata(offer)),
            "old": old_viewer(offer, term),
        }


def viewer(offer: Offer, term: str) -> str:
    """Return the link of a tile, to Yahoo's own viewer."""
    return "/images/view;_ylt=" + urlencode({"back": offer.page, "p": term, "no": offer.rank + 1}, quote_via=quote)


def metadata(offer: Offer) -> dict[str, object]:
    """Return what a tile's `data` attribute held in the summer of 2026."""
    return {
        "ourl": offer.full.url,
        "iurl": offer.full.url,
        "rurl": offer.page,
        "tt": offer.title,
        "w": offer.full.width,
        "h": offer.full.height,
        "turl": offer.thumbnail.url,
        "oid": f"{offer.picture.seed:x}",
    }


def old_viewer(offer: Offer, term: str) -> str:
    """Return a tile's link as it was until 2025: it holds the picture's address, every other time without scheme."""
    url = offer.full.url if offer.rank % 2 else offer.full.url.removeprefix("http://")
    given = {"p": term, "imgurl": url, "rurl": offer.page, "w": offer.full.width, "h": offer.full.height}
    rest = {"size": "88.8KB", "tt": offer.title, "turl": offer.thumbnail.url, "no": offer.rank + 1, "sigr": "x"}
    return "/images/view;_ylt=A0?" + urlencode(given | rest, quote_via=quote, safe="")
