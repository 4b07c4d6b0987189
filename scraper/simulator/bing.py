"""Bing Images as of 2026: a JSON attribute on each tile, batches of 35 by the next address that the page names."""

import json
import random
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from scraper.simulator.catalogue import Offer
from scraper.simulator.filters import carried
from scraper.simulator.google import source
from scraper.simulator.reply import Reply, Visit
from scraper.simulator.words import has_results
from scraper.simulator.world import World

BATCH = 35
OTHERS = 17  # one tile in so many is an advertisement or a related search


def answer(visit: Visit, world: World) -> Reply:
    """Return what Bing says to a visit."""
    term, more = visit.query.get("q", ""), visit.path == "/bing/images/async"
    if not more and visit.path != "/bing/images/search":
        return Reply.page(world.render("bing_empty.html", term=""), 404)
    offers = shown(visit, world, term)
    if more:
        first = max(1, visit.number("first", 1)) - 1
        if offers and first >= len(offers) and world.scenario.past_end == "repeats":
            first %= len(offers)
        batch = offers[first : first + min(visit.number("count", BATCH), 150)]
        if not batch:
            return Reply.page("")
        following = onward(world, visit, offers, visit.number("first", 1) - 1 + len(batch))
        return Reply.page(world.render("bing_tiles.html", tiles=tiles(world, batch), following=following))
    if not offers:
        return Reply.page(world.render("bing_empty.html", term=term))
    batch = offers[:BATCH]
    batches = -(-len(offers) // BATCH)
    return Reply.page(
        world.render(
            "bing.html",
            prefix=f"{world.origin}/bing",
            term=term,
            tiles=tiles(world, batch),
            following=onward(world, visit, offers, len(batch)),
            # A small site shows its button too, before the last batch.
            autos=min(world.scenario.auto_loads, max(0, batches - 2)),
        )
    )


def shown(visit: Visit, world: World, term: str) -> Sequence[Offer]:
    """Return the results that this page load comes to see: where Bing varies, another part of them each time."""
    offers = world.offers(term, "bing", visit.query) if has_results(term) else ()
    most = round(len(offers) * (1 - world.scenario.varies * random.random()))
    return offers[: visit.number("SFX", most)]


def onward(world: World, visit: Visit, offers: Sequence[Offer], last: int) -> str:
    """Return the address of the batch after the `last` results as the page names it; empty at the end."""
    if last >= len(offers) and world.scenario.past_end != "repeats":
        return ""
    state = f"x*193_y*1525_h*185_c*1_i*{last + 1}_r*9"
    query = {
        "q": visit.query.get("q", ""),
        "first": last + 1,
        "count": BATCH,
        "cw": 1177,
        "ch": 757,
        "relp": BATCH,
        "datsrc": "I",
    }
    rest = {"layout": "RowBased", "apc": 0, "mmasync": 1, "dgState": state, "SFX": len(offers), **carried(visit.query)}
    return "/images/async?" + urlencode(query | rest, safe="*")


def tiles(world: World, batch: Sequence[Offer]) -> Iterator[dict[str, object]]:
    """Return what the template shows of each tile, with other things between."""
    for offer in batch:
        if offer.rank % OTHERS == 7:
            yield {"other": "ad" if offer.rank % (2 * OTHERS) == 7 else "related", "number": offer.rank % 5}
        yield {
            "other": "",
            "offer": offer,
            "m": json.dumps(metadata(offer)),
            "href": details(offer),
            "source": source(world, offer),
        }


def metadata(offer: Offer) -> dict[str, object]:
    """Return what a tile's `m` attribute holds; the words that were searched are marked in the title."""
    marked = offer.title.replace(offer.picture.kind.title(), f"\ue000{offer.picture.kind.title()}\ue001")
    name = f"{offer.picture.seed:08X}{offer.rank:04d}"
    return {
        "sid": "",
        "cturl": "",
        "cid": name[::-1],
        "purl": offer.page,
        "murl": offer.full.url,
        "turl": offer.thumbnail.url.split("&c=")[0],
        "md5": name.lower() * 2,
        "shkey": "",
        "t": marked,
        "mid": name * 3,
        "desc": f'{offer.site}: "{offer.title}" & more',
    }


def details(offer: Offer) -> str:
    """Return the link of a tile, which names the real size and Bing's cached copy too."""
    query = {
        "view": "detailV2",
        "ccid": f"{offer.picture.seed:08X}",
        "id": f"{offer.picture.seed:08X}{offer.rank:04d}" * 3,
        "thid": "OIP." + offer.thumbnail.url.partition("OIP.")[2].partition("?")[0],
        "mediaurl": offer.full.url,
    }
    if offer.cached:
        query["cdnurl"] = offer.cached.url
    size = {"exph": offer.full.height, "expw": offer.full.width, "q": offer.picture.term.lstrip("~")}
    rest = {"simid": offer.picture.seed, "FORM": "IRPRST", "selectedIndex": offer.rank, "ajaxhist": 0, "ajaxserp": 0}
    return "/images/search?" + urlencode(query | size | rest, quote_via=quote, safe="")
