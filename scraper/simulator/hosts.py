"""The hosts of the pictures: what each of them answers, from a picture to silence."""

from urllib.parse import urlsplit

from scraper.simulator.catalogue import Address, Catalogue
from scraper.simulator.darkroom import Darkroom
from scraper.simulator.reply import Reply, Visit
from scraper.simulator.scenario import Scenario

GONE = (
    "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1><p>The picture has left.</p></body></html>"
)


def answer(visit: Visit, catalogue: Catalogue, darkroom: Darkroom) -> Reply:
    """Return what a picture host says to a visit."""
    address = catalogue.find(visit.target)
    if address is not None:
        return behave(address, visit, darkroom, catalogue.scenario)
    if visit.path.startswith("/pages/"):
        return Reply.page(
            f"<!doctype html><title>A page</title><p>The page around a picture, at {len(visit.path)}.</p>"
        )
    return Reply.page(GONE.format("404 Not Found"), 404)


def behave(address: Address, visit: Visit, darkroom: Darkroom, scenario: Scenario) -> Reply:
    """Return the answer that belongs to the address's behaviour."""
    match address.behaviour:
        case "404":
            return Reply.page(GONE.format("404 Not Found"), 404)
        case "403":
            return Reply.page(GONE.format("403 Forbidden"), 403)
        case "html":
            return Reply(200, GONE.format("Sign in to go on").encode(), {"Content-Type": "image/jpeg"})
        case "timeout":
            return Reply(manner="hold", delay=scenario.hold)
        case "truncated":
            body = darkroom.bytes_of(address)
            return Reply.picture(body[: len(body) * 3 // 5], address.format)
        case "redirect" if visit.number("hop", 0) < hops(address):
            return Reply.moved(onward(address, visit), 301 if address.picture.index % 2 else 302)
        case _:
            return Reply.picture(darkroom.bytes_of(address), declared(address))


def declared(address: Address) -> str:
    """Return the type that the host declares: it goes by the name, as many do, where the name is a disguise."""
    suffix = urlsplit(address.url).path.rpartition(".")[2]
    return "jpeg" if suffix in ("jpg", "jpeg") else address.format


def hops(address: Address) -> int:
    """Return how many redirects come before the picture: one to three."""
    return 1 + address.picture.index % 3


def onward(address: Address, visit: Visit) -> str:
    """Return the next stop on the way to the picture."""
    return f"{address.url}{'&' if '?' in address.url else '?'}hop={visit.number('hop', 0) + 1}"
