"""What there is on the built-in site: pictures, the addresses that lead to them, and what each engine offers."""

import base64
import binascii
import math
import random
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote, unquote, urlencode, urlsplit

from scraper.simulator.filters import COLOURS, NONE, Filters, Labels, suits
from scraper.simulator.pictures import KINDS
from scraper.simulator.scenario import BRINGS, DEAD, WORKING, Scenario
from scraper.simulator.words import SITES, has_results, kind_of, normal, slug, title

ASPECTS = ((4, 3), (4, 3), (3, 2), (3, 2), (1, 1), (3, 4), (16, 9), (2, 3))
LONG_SIDES = (300, 400, 480, 500, 600, 600, 640, 640, 720, 800, 800, 800, 960, 1024, 1200)
# Behaviours that are about the form in which the picture comes, and the format of each.
FORMS = {
    "gif": "gif", "animated": "gif", "avif": "avif", "bmp": "bmp", "tiff": "tiff", "cmyk": "jpeg", "rotated": "jpeg",
    "palette": "png", "sixteen": "png", "apng": "png",
}  # fmt: skip
SHARED = 0.25  # the part of a term's pictures that other terms of its kind may show too
DEPTH = 6  # pictures of a term that filters can bring up, as a multiple of what one engine offers
POOL = 1.5  # pictures of a term over all engines, as a multiple of what one engine offers
HELD_BACK = 0.3  # the part of the results that a prudish engine does not show
MOST = 100_000  # no owner has a picture of this number or above
PATH = re.compile(
    r"(?:/private)?/(?:photos|cdn/[^/]+|wp-content/uploads/\d+/\d+)/([^/]+)/[^/]*?-(\d+)(?:-scaled)?\.\w+$"
)
TOKEN = re.compile(r"(?:ANd9Gc|OIP\.|R\.)([\w-]+)")
EDITS = ("mirrored", "cropped", "brighter", "framed")
SUFFIX = {"jpeg": "jpg", "webp": "webp", "png": "png"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawn picture; pictures of one group show the same and count as duplicates of each other.

    `term` is the term that it belongs to, or, where several terms of a kind show it, the kind with a `~` before it.
    """

    id: str
    kind: str
    group: str
    term: str
    width: int
    height: int
    seed: int
    quality: int
    edit: str = ""  # what was done to the group's picture to make this one: mirrored, cropped, brighter or framed

    @property
    def index(self) -> int:
        """The picture's number among those of its term."""
        return int(self.id.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Address:
    """Where a picture is said to be, what its host does when asked, and in which form the picture would come."""

    url: str
    picture: Picture
    kind: str  # full, cached or thumbnail
    behaviour: str  # ok, redirect, or a way to fail
    valid: bool
    width: int
    height: int
    format: str  # of the bytes, whatever the name says
    quality: int
    master: bool = False  # the picture as it was first encoded

    @property
    def path(self) -> str:
        """Path and query: what stays the same when the site comes back on other ports."""
        return local(self.url)


@dataclass(frozen=True, slots=True)
class Offer:
    """One result of one engine for one term."""

    engine: str
    rank: int
    picture: Picture
    full: Address
    cached: Address | None
    thumbnail: Address
    page: str
    title: str
    site: str


def local(url: str) -> str:
    """Return path and query of an address, without the marks that redirects leave."""
    parts = urlsplit(unescaped(url))
    query = re.sub(r"&?hop=\d+", "", parts.query)
    return parts.path + (f"?{query}" if query else "")


def unescaped(url: str) -> str:
    """Return an address that was percent-encoded as a whole as it was before."""
    return unquote(url) if "%3A%2F%2F" in url.partition("/")[0] else url


def fitted(width: int, height: int, longest: float) -> tuple[int, int]:
    """Return the size scaled down so that its longer side is at most `longest` pixels."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True)
class Catalogue:
    """Everything on the site, made from the seed when asked for; nothing in it depends on what was asked before.

    `hosts` are the origins of the picture hosts, `caches` those of the engines' own: Google's thumbnails first, then
    Bing's thumbnails, its cached copies last.
    """

    seed: int
    scenario: Scenario
    results: int
    hosts: Sequence[str]
    caches: Sequence[str]
    expired: str = "https://127.0.0.1:9"
    """The origin whose certificate has run out."""

    def dice(self, *about: object) -> random.Random:
        """Return the random numbers that belong to something, the same ones each time."""
        return random.Random("/".join(map(str, (self.seed, *about))))

    def picture(self, owner: str, index: int) -> Picture:
        """Return the picture of a number that belongs to a term, or to a kind (`~kind`)."""
        dice = self.dice("picture", owner, index)
        if index and self.scenario.twins and self.dice("twin", owner, index).random() < self.scenario.twins:
            edit = self.dice("edit", owner, index).choice(EDITS)
            return replace(self.picture(owner, index - 1), id=f"{owner}/{index}", edit=edit)
        kind = owner[1:] if owner.startswith("~") else kind_of(owner)
        if dice.random() < self.scenario.off_topic:
            kind = dice.choice([other for other in KINDS if other != kind])
        across, down = dice.choice(ASPECTS)
        longest = dice.choice(LONG_SIDES) - dice.randrange(24)
        width, height = longest * across // max(across, down), longest * down // max(across, down)
        name = f"{owner}/{index}"
        return Picture(name, kind, name, owner, width, height, dice.randrange(2**31), dice.randint(80, 92))

    def full(self, picture: Picture) -> tuple[Address, ...]:
        """Return a picture's full-size addresses: original, its second name, a smaller copy, a copy elsewhere."""
        dice = self.dice("full", picture.id)
        owner, name = quote(picture.term, safe="~"), f"{slug(picture.kind)}-{picture.index}"
        form = self.form(dice)
        first = self.address(dice, f"/photos/{owner}/{name}.{form[1]}", picture, 1.0, form[0])
        again = replace(first, url=f"{first.url}?v={dice.randrange(9)}&utm_source=images")
        share, form = dice.uniform(0.6, 0.9), self.form(dice)
        cdn = self.address(
            dice, f"/cdn/w_{dice.randrange(300, 1200)},q_auto/{owner}/{name}.{form[1]}", picture, share, form[0]
        )
        form = self.form(dice)
        folder = f"/wp-content/uploads/20{dice.randint(15, 26)}/{dice.randint(1, 12):02}"
        copy = self.address(dice, f"{folder}/{owner}/{name}-scaled.{form[1]}", picture, 1.0, form[0])
        return first, again, cdn, copy

    def form(self, dice: random.Random) -> tuple[str, str]:
        """Return the format of some bytes, and the suffix that their address carries."""
        if dice.random() < self.scenario.disguised:
            return dice.choice(("webp", "webp", "png")), "jpg"
        kind = dice.choices(("jpeg", "webp", "png"), (20, 1, 1))[0]
        return kind, "jpeg" if kind == "jpeg" and dice.random() < 0.1 else SUFFIX[kind]

    def address(self, dice: random.Random, path: str, picture: Picture, share: float, kind: str) -> Address:
        """Return a full-size address on some host, with what the host does."""
        behaviour = "ok"
        if dice.random() < self.scenario.failing:
            behaviour = dice.choices(tuple(self.scenario.failures), tuple(self.scenario.failures.values()))[0]
        elif dice.random() < self.scenario.redirected:
            behaviour = "redirect"
        if behaviour in FORMS:
            kind = FORMS[behaviour]
        if behaviour == "robots":
            path = f"/private{path}"
        longest = max(picture.width, picture.height) * share
        # A photograph without losses is large, and slow to make: people post small ones.
        small = kind in ("png", "gif", "bmp", "tiff", "avif")
        width, height = fitted(picture.width, picture.height, min(longest, 420) if small else max(longest, 260))
        master = share == 1.0 and kind == "jpeg" and path.startswith("/photos/") and behaviour not in FORMS
        quality = picture.quality if master else dice.randint(72, 88)
        url, valid = dice.choice(self.hosts) + path, behaviour in BRINGS
        odd = self.dice("odd", picture.id, path)
        if odd.random() < self.scenario.odd:
            name = odd.choice((*WORKING, *DEAD))
            if name == "expired":
                url = self.expired + path
            url, valid = oddly(url, name), valid and name not in DEAD
        return Address(url, picture, "full", behaviour, valid, width, height, kind, quality, master)

    def cached(self, picture: Picture) -> Address:
        """Return Bing's cached copy of a picture: smaller, encoded again, mostly there."""
        dice = self.dice("cached", picture.id)
        width, height = fitted(picture.width, picture.height, max(260, 0.85 * max(picture.width, picture.height)))
        works = dice.random() < self.scenario.cached
        marks = {
            "rik": f"{dice.getrandbits(64):x}",
            "riu": self.full(picture)[0].url,
            "ehk": f"{dice.getrandbits(64):x}",
        }
        query = urlencode(marks | {"risl": "", "pid": "ImgRaw", "r": 0})
        url = f"{self.caches[-1]}/th/id/R.{token(picture)}?{query}"
        return Address(url, picture, "cached", "ok" if works else "404", works, width, height, "jpeg", 78)

    def thumbnail(self, picture: Picture, engine: str) -> Address:
        """Return the engine's thumbnail of a picture: about 200 pixels, never missing."""
        width, height = fitted(picture.width, picture.height, 220 if engine == "google" else 236)
        if engine == "google":
            url = f"{self.caches[0]}/images?q=tbn:ANd9Gc{token(picture)}&s"
        else:
            host = self.caches[1 + picture.index % max(1, len(self.caches) - 2)]
            url = f"{host}/th/id/OIP.{token(picture)}?w={width}&h={height}&c=7&r=0&o=5&pid=1.7"
        return Address(
            url, picture, "thumbnail", "ok", valid=True, width=width, height=height, format="jpeg", quality=74
        )

    def pool(self, term: str) -> tuple[Picture, ...]:
        """Return every picture of a term over all engines, and those that the terms of its kind share."""
        term = normal(term)
        if not has_results(term):
            return ()
        count = math.ceil(self.results * POOL)
        shared = round(count * SHARED)
        chosen = self.dice("shared", term).sample(range(math.ceil(shared * 1.2)), shared)
        own = [self.picture(term, index) for index in range(count - shared)]
        return (*own, *(self.picture(f"~{kind_of(term)}", index) for index in sorted(chosen)))

    def offers(self, term: str, engine: str, filters: Filters = NONE) -> tuple[Offer, ...]:
        """Return what an engine shows for a term, in its order: about two thirds of the term's pictures.

        Bing and Yahoo agree on most of theirs, as they share an index. A search with filters looks deeper than one
        without, and so finds others too.
        """
        asked = (normal(term), engine, filters)
        with self._lock:
            kept = self._offers.get(asked)
        if kept is None:
            pictures = (
                self.sampled(normal(term), engine) if filters == NONE else self.sifted(normal(term), engine, filters)
            )
            kept = tuple(self.ranked(normal(term), engine, pictures))
            with self._lock:
                while len(self._offers) >= 96:
                    self._offers.pop(next(iter(self._offers)))
                self._offers[asked] = kept
        return kept

    def shown(self, term: str, engine: str, filters: Filters = NONE, *, safe: bool = True) -> Sequence[Offer]:
        """Return what is left of an engine's results with safe search on, or all of them with it off."""
        if self.scenario.barren:
            return ()
        offers = self.offers(term, engine, filters)
        if not (self.scenario.prudish and safe):
            return offers
        left = [one for one in offers if self.dice("prudish", one.picture.id).random() >= HELD_BACK]
        return [replace(one, rank=rank) for rank, one in enumerate(left)]

    def sifted(self, term: str, engine: str, filters: Filters) -> list[Picture]:
        """Return the pictures that an engine shows for a term with filters, in its order."""
        if not has_results(term):
            return []
        known = [self.picture(term, index) for index in range(math.ceil(self.results * DEPTH))]
        found = []
        for picture in known:
            address, mark = self.chosen(picture, engine), self.dice("sift", engine, picture.id).random()
            if mark < 1 / POOL and suits(filters, address.width, address.height, self.labels(picture)):
                found.append((mark, picture))
        return [picture for _, picture in sorted(found, key=lambda pair: pair[0])[: self.results]]

    def labels(self, picture: Picture) -> Labels:
        """Return what a picture is said to be: its main colour, whether it is free to use, its age."""
        dice = self.dice("labels", picture.id)
        return Labels(dice.choice(COLOURS), dice.random() < 0.2, round(dice.lognormvariate(5.5, 1.8)))

    @cached_property
    def _offers(self) -> dict[tuple[str, str, Filters], tuple[Offer, ...]]:
        return {}

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    def sampled(self, term: str, engine: str) -> list[Picture]:
        """Return the distinct pictures that an engine shows for a term, in its order."""
        pool, dice = self.pool(term), self.dice("sample", term, engine)
        count = min(len(pool), round(self.results * dice.uniform(0.94, 1)))
        if engine == "yahoo" and pool:
            of_bing = self.sampled(term, "bing")
            others = [picture for picture in pool if picture not in set(of_bing)]
            new = min(len(others), round(count * 0.2))
            return shuffled(dice.sample(of_bing, min(len(of_bing), count - new)) + dice.sample(others, new), dice)
        return dice.sample(pool, count)

    def ranked(self, term: str, engine: str, pictures: Sequence[Picture]) -> list[Offer]:
        """Return the engine's results: its pictures, and a few of them once more under another address."""
        dice = self.dice("repeats", term, engine)
        chosen = [(picture, self.chosen(picture, engine)) for picture in pictures]
        for picture in dice.sample(pictures, round(len(pictures) * self.scenario.repeats)):
            used = self.chosen(picture, engine).url
            other = dice.choice([address for address in self.full(picture) if address.url != used])
            chosen.insert(dice.randint(min(len(chosen), pictures.index(picture) + 1), len(chosen)), (picture, other))
        return [self.offer(engine, rank, address) for rank, (_, address) in enumerate(chosen)]

    def chosen(self, picture: Picture, engine: str) -> Address:
        """Return the address under which an engine knows a picture."""
        return self.dice("choice", picture.id, engine).choices(self.full(picture), (11, 3, 3, 3))[0]

    def offer(self, engine: str, rank: int, full: Address) -> Offer:
        """Return a result as the engine shows it."""
        picture = full.picture
        dice = self.dice("offer", picture.id)
        subject = picture.kind.replace("_", " ") if picture.term.startswith("~") else picture.term
        if picture.kind != kind_of(subject):
            subject = picture.kind.replace("_", " ")
        name = title(subject, dice)
        origin = "/".join(full.url.split("/", 3)[:3])
        page = f"{origin}/pages/{slug(name)}-{picture.index}.html"
        cached = self.cached(picture) if engine == "bing" else None
        return Offer(
            engine, rank, picture, full, cached, self.thumbnail(picture, engine), page, name, dice.choice(SITES)
        )

    def find(self, url: str) -> Address | None:
        """Return what an address of this site leads to, whatever the port; None where there is no picture at it."""
        url = unescaped(url)
        path, plain = local(url), unquote(urlsplit(url).path)
        if found := PATH.match(urlsplit(url).path):
            owner, index = unquote(found[1]), int(found[2])
            if index < MOST and self.known(owner):
                full = self.full(self.picture(owner, index))
                # A query means no other picture here; odd addresses change on their way through a visitor's hands.
                alike = [one for one in full if unquote(urlsplit(unescaped(one.url)).path) == plain]
                return next((one for one in full if one.path == path), alike[0] if alike else None)
        elif (found := TOKEN.search(path)) and (picture := self.named(found[1])):
            return self.of_engine(picture, urlsplit(url).path, path)
        return None

    def known(self, owner: str) -> bool:
        """Tell whether an owner may have pictures: a kind, or a term as the engines write it."""
        return owner[1:] in KINDS if owner.startswith("~") else owner == normal(owner) and has_results(owner)

    def named(self, written: str) -> Picture | None:
        """Return the picture that a token of an engine's own address means."""
        try:
            index, _, owner = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)).decode().partition(".")
            return self.picture(owner, int(index)) if int(index) < MOST and self.known(owner) else None
        except (binascii.Error, ValueError):
            return None

    def of_engine(self, picture: Picture, path: str, whole: str) -> Address:
        """Return the cached copy or thumbnail that an engine's own address asks for; without a size, a larger one."""
        if path.startswith("/th/id/R."):
            return self.cached(picture)
        small = self.thumbnail(picture, "google" if path == "/images" else "bing")
        if path == "/images" or "&h=" in whole:
            return small
        width, height = fitted(picture.width, picture.height, 474)
        return Address(
            small.url.split("?")[0],
            picture,
            "thumbnail",
            "ok",
            valid=True,
            width=width,
            height=height,
            format="jpeg",
            quality=80,
        )


def oddly(url: str, how: str) -> str:  # noqa: C901, PLR0911, PLR0912
    """Return an address as careless people and programs write it."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    folder, _, file = url.rpartition("/")
    match how:
        case "space" | "unicode" | "plus" | "long-name":
            start = {"space": "my photo ", "unicode": "Café-Größe-", "plus": "a+b-", "long-name": "very-" * 60}[how]
            return f"{folder}/{start}{file}"
        case "fragment":
            return f"{url}#gallery-3"
        case "entity":
            return f"{url}?w=800&amp;h=600"
        case "long":
            return f"{url}?signature={'0123456789abcdef' * 140}"
        case "no-scheme":
            return f"//{rest}"
        case "encoded":
            return f"{scheme}%3A%2F%2F{quote(rest, safe='')}"
        case "quoted":
            return f"{url}%22"
        case "ftp" | "tls":
            return f"{'ftp' if how == 'ftp' else 'https'}://{rest}"
        case "expired":
            return url
        case "script":
            return "javascript:void(0)"
        case "file":
            return "file:///etc/passwd"
        case "ipv6":
            return f"{scheme}://[::1]:{host.rpartition(':')[2]}/{path}"
        case "refused":
            return f"{scheme}://127.0.0.1:9/{path}"
        case _:
            return f"{scheme}://no-such-host.invalid/{path}"


def token(picture: Picture) -> str:
    """Return the picture's name as engines write it into their own addresses."""
    return base64.urlsafe_b64encode(f"{picture.index}.{picture.term}".encode()).decode().rstrip("=")


def shuffled(pictures: list[Picture], dice: random.Random) -> list[Picture]:
    """Return the pictures in another order."""
    return dice.sample(pictures, len(pictures))
