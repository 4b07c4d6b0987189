"""The hosts of the pictures: what each of them answers, from a picture to silence."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from scraper.simulator import junk
from scraper.simulator.catalogue import Address
from scraper.simulator.reply import Reply, Visit
from scraper.simulator.world import World

GONE = (
    "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1><p>The picture has left.</p></body></html>"
)
PRIVATE = "http://10.255.255.1/picture.jpg"
ROBOTS = b"User-agent: *\nDisallow: /private/\n"
STATUS = {
    "403": "403 Forbidden",
    "404": "404 Not Found",
    "410": "410 Gone",
    "500": "500 Internal Server Error",
}


def answer(visit: Visit, world: World, first: Callable[[str], bool]) -> Reply:
    """Return what a picture host says to a visit; `first` tells whether something happens for the first time."""
    if visit.path == "/robots.txt":
        return robots(visit, world)
    address = world.catalogue.find(visit.target)
    if address is None and visit.path.startswith("/pages/"):
        return Reply.page(f"<!doctype html><title>A page</title><p>The page around a picture: {len(visit.path)}.</p>")
    if address is None:
        return gone("404")
    reply = behave(address, visit, world, first)
    if reply.manner == "hold" or not world.scenario.latency:
        return reply
    wait = world.scenario.latency * world.catalogue.dice("latency", visit.target).lognormvariate(0, 0.6)
    return replace(reply, delay=reply.delay + wait)


def robots(visit: Visit, world: World) -> Reply:
    """Return a host's robots.txt as soon as the host has it, or that there is none."""
    place = world.catalogue.hosts.index(visit.origin) if visit.origin in world.catalogue.hosts else 0
    delay = world.scenario.robots[place % len(world.scenario.robots)]
    return gone("404") if delay < 0 else Reply(200, ROBOTS, {"Content-Type": "text/plain"}, delay=delay)


def gone(status: str) -> Reply:
    """Return a page that says why there is no picture."""
    return Reply.page(GONE.format(STATUS[status]), int(status))


def behave(address: Address, visit: Visit, world: World, first: Callable[[str], bool]) -> Reply:  # noqa: C901, PLR0911, PLR0912
    """Return the answer that belongs to the address's behaviour; one line for each way that hosts have."""
    hop = visit.number("hop", 0)
    match address.behaviour:
        case status if status in STATUS:
            return gone(status)
        case "timeout":
            return Reply(manner="hold", delay=world.scenario.hold)
        case name if name in junk.BODIES:
            return junk.BODIES[name]()
        # Redirects.
        case "redirect" if hop < hops(address):
            return Reply.moved(onward(address, hop), (301, 302, 307, 308)[address.picture.index % 4])
        case "relative" if hop < 1:
            return Reply.moved("/" + onward(address, hop).split("/", 3)[3])
        case "loop":
            return Reply.moved(onward(address, hop))
        case "home":
            return Reply.moved("/pages/home.html")
        case "private":
            return Reply.moved(PRIVATE)
        # Conditions.
        case "referer" if not visit.headers.get("referer"):
            return gone("403")
        case "agent" if "Mozilla" not in visit.headers.get("user-agent", ""):
            return gone("403")
        case "429" | "503" as status if first(visit.target):
            return Reply(int(status), b"", {"Retry-After": "1"})
    body = world.darkroom.bytes_of(address)
    reply = Reply.picture(body, declared(address))
    match address.behaviour:
        case "truncated":
            return replace(reply, body=body[: len(body) * 3 // 5])
        case "noai" | "noimageai":
            return replace(reply, headers={**reply.headers, "X-Robots-Tag": address.behaviour})
        case "noai-agent":
            return replace(reply, headers={**reply.headers, "X-Robots-Tag": "tray: noai, noimageai"})
        case "train-ai":
            return replace(reply, headers={**reply.headers, "Content-Usage": "train-ai=n"})
        case "gzip":
            return replace(reply, body=gzip.compress(body, 1), headers={**reply.headers, "Content-Encoding": "gzip"})
        case "drip" | "stall" | "reset" | "short" | "chunked" | "unended" | "endless" | "huge" as manner:
            return replace(reply, manner=manner)
        case _:
            return reply


def declared(address: Address) -> str:
    """Return the type that the host declares: it goes by the name, as many do, where the name is a disguise."""
    suffix = urlsplit(address.url).path.rpartition(".")[2]
    return "jpeg" if suffix in ("jpg", "jpeg") else address.format


def hops(address: Address) -> int:
    """Return how many redirects come before the picture: one to three."""
    return 1 + address.picture.index % 3


def onward(address: Address, hop: int) -> str:
    """Return the next stop on the way to the picture."""
    url = address.url.partition("#")[0]
    return f"{url}{'&' if '?' in url else '?'}hop={hop + 1}"
