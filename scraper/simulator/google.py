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
            {"html": world.render("google_tiles.html", tiles=tiles(batch)), **news(world, term, offers, batch)}
        )
        return Reply(200, body.encode(), {"Content-Type": "application/json"})
    return Reply.page(
        world.render(
            "google.html",
            prefix=prefix(world),
            term=term,
            tiles=tiles(batch),
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
        "ldi": {name(offer): offer.thumbnail.url for offer in batch[inlined:]},
        "links": {docid(offer): link(offer) for offer in batch},
        "next": batch[-1].rank + 1 if batch else len(offers),
        "stop": stop(world, term, len(offers), batch),
    }


def name(offer: Offer) -> str:
    """Return the id of a tile's thumbnail."""
    return f"dimg_{offer.rank}_{offer.picture.seed % 10**6}"


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


def tiles(batch: Sequence[Offer]) -> Iterator[dict[str, object]]:
    """Return what the template shows of each tile."""
    for offer in batch:
        yield {
            "offer": offer,
            "docid": docid(offer),
            "image": name(offer),
            "first": offer.rank < FIRST_ROWS,
            "icon": offer.picture.index % 6,
        }


def inline(world: World, offer: Offer) -> str:
    """Return a result's thumbnail as a data: URI."""
    return "data:image/jpeg;base64," + base64.b64encode(world.darkroom.bytes_of(offer.thumbnail)).decode()


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
        yield name(offer), f"data:image/{kind};base64,{text}".replace("=", "\\x3d")
