"""Google Images as of 2026: tiles without addresses until one points at them, thumbnails that come late."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote, urlencode

from scraper.simulator.catalogue import Offer
from scraper.simulator.filters import carried
from scraper.simulator.reply import Reply, Visit
from scraper.simulator.words import has_results, normal
from scraper.simulator.world import World

FIRST_ROWS = 12  # tiles whose thumbnails come with the page
INLINE = 10  # of these, how many come as data: URIs
BATCH = (20, 50)
STAND_IN = "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='4' height='3'/>"


def answer(visit: Visit, world: World) -> Reply:
    """Return what Google says to a visit."""
    query = visit.query
    if visit.path != "/google/search":
        return Reply.page(world.render("google_empty.html", term="", prefix=prefix(world)), 404)
    term = query.get("q", "")
    if not has_results(term) or (query.get("udm") != "2" and query.get("tbm") != "isch"):
        return Reply.page(world.render("google_empty.html", term=term, prefix=prefix(world)))
    offers = world.offers(term, "google", query)
    if not offers:
        return Reply.page(world.render("google_empty.html", term=term, prefix=prefix(world)))
    start = visit.number("start", 0)
    batch = offers[start : following(world, term, len(offers), start)]
    if "async" in query:
        body = json.dumps(
            {"html": world.render("google_tiles.html", **shown(world, batch)), **news(world, term, offers, batch)}
        )
        return Reply(200, body.encode(), {"Content-Type": "application/json"})
    return Reply.page(
        world.render(
            "google.html",
            prefix=prefix(world),
            term=term,
            **shown(world, batch),
            news=news(world, term, offers, batch),
            late=list(late(world, batch[:INLINE])),
            query=urlencode({"q": term, "udm": "2", "hl": "en", "async": "_fmt:json", **carried(query)}),
        )
    )


def prefix(world: World) -> str:
    """Return the origin that this engine answers on."""
    return f"{world.origin}/google"


def following(world: World, term: str, count: int, start: int) -> int:
    """Return where the batch ends that begins at `start`: 20 to 50 tiles on, more in the first."""
    dice, end = world.catalogue.dice("google batches", normal(term)), 0
    while end <= start:
        end += dice.randint(*BATCH) if end else 50
    return min(end, count)


def stop(world: World, term: str, count: int, batch: Sequence[Offer]) -> str:
    """Return what comes after a batch: nothing special, a button (`more`), or the end (`end`, or `silent`)."""
    end = batch[-1].rank + 1 if batch else count
    if end >= count:
        return "end" if world.scenario.end_text and len(normal(term)) % 2 == 0 else "silent"
    # A small site shows its button too, after two thirds of what it has.
    marks = world.scenario.more_after if count > min(world.scenario.more_after) * 1.5 else (count * 2 // 3,)
    return "more" if any(batch[0].rank < mark <= end for mark in marks) else ""


def news(world: World, term: str, offers: Sequence[Offer], batch: Sequence[Offer]) -> dict[str, object]:
    """Return what the page's script learns with a batch: thumbnails, links for the pointer, and where it goes on."""
    inlined = INLINE if batch and batch[0].rank == 0 else 0
    return {
        "ldi": {name(world, offer): offer.thumbnail.url for offer in batch[inlined:]},
        "links": {docid(offer): link(offer) for offer in batch},
        "next": batch[-1].rank + 1 if batch else len(offers),
        "stop": stop(world, term, len(offers), batch),
    }


def name(world: World, offer: Offer) -> str:
    """Return the id of a tile's thumbnail."""
    start = world.renamed("dimg_" if world.scenario.google == "2026-09" else "iimg_")
    return f"{start}{offer.rank}_{offer.picture.seed % 10**6}"


def docid(offer: Offer) -> str:
    """Return the id that Google gives to a picture at an address."""
    return base64.urlsafe_b64encode(f"{offer.rank}.{offer.picture.seed}".encode()).decode().strip("=")


def link(offer: Offer) -> str:
    """Return the address that a tile's link takes on when one points at it."""
    return "/imgres?" + urlencode(
        {
            "q": offer.picture.term.lstrip("~"),
            "imgurl": offer.full.url,
            "imgrefurl": offer.page,
            "docid": docid(offer),
            "tbnid": docid(offer)[::-1] + "M",
            "w": offer.full.width,
            "h": offer.full.height,
            "hcb": 2,
        },
        quote_via=quote,
        safe="",
    )


def shown(world: World, batch: Sequence[Offer]) -> dict[str, object]:
    """Return what the template of the tiles wants, and what the page of 2025-01 says of them in a script."""
    said = (
        [0, docid(one), [one.thumbnail.url, one.thumbnail.height, one.thumbnail.width],
         [one.full.url, one.full.height, one.full.width]]
        for one in batch
    )  # fmt: skip
    # As a page's script writes it: neither `=` nor `&` stand there as themselves.
    written = json.dumps(list(said), separators=(",", ":")).replace("=", "\\u003d").replace("&", "\\u0026")
    return {"tiles": tiles(world, batch), "inline": written, "tiles_id": batch[0].rank if batch else 0}


def tiles(world: World, batch: Sequence[Offer]) -> Iterator[dict[str, object]]:
    """Return what the template shows of each tile."""
    for offer in batch:
        yield {
            "offer": offer,
            "docid": docid(offer),
            "image": name(world, offer),
            "first": offer.rank < FIRST_ROWS,
            "icon": offer.picture.index % 6,
        }


def inline(world: World, offer: Offer) -> str:
    """Return a result's thumbnail as a data: URI."""
    return "data:image/jpeg;base64," + base64.b64encode(world.darkroom.bytes_of(offer.thumbnail)).decode()


def source(world: World, offer: Offer) -> str:
    """Return the thumbnail that Bing and Yahoo put into a tile at once; empty for most, which load when they are near.

    Of the first ones some are data: URIs, one of them escaped as for a script, and one is a drawing that stands in.
    """
    match offer.rank:
        case 1 | 4:
            return inline(world, offer)
        case 2:
            return inline(world, offer).replace("=", "\\x3d").replace("/", "\\/")
        case 3:
            return STAND_IN
        case _:
            return ""


def late(world: World, batch: Sequence[Offer]) -> Iterator[tuple[str, str]]:
    """Return thumbnails as the page's late script has them: JPEG, one png, one webp, one without its padding."""
    cut = False
    for place, offer in enumerate(batch):
        kind = {3: "png", 6: "webp"}.get(place, "jpeg")
        small = replace(offer.thumbnail, format=kind)
        if kind == "png":
            small = replace(small, width=small.width // 2, height=small.height // 2)
        text = base64.b64encode(world.darkroom.bytes_of(small)).decode()
        if text.endswith("=") and not cut and kind == "jpeg":
            text, cut = text.rstrip("="), True
        yield name(world, offer), f"data:image/{kind};base64,{text}".replace("=", "\\x3d")
