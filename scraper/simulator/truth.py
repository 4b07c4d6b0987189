"""The ground truth of the built-in site: what there was to be had, and what a downloaded file really is."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from scraper.simulator.catalogue import Address, Catalogue, Offer, Picture
from scraper.simulator.darkroom import Darkroom
from scraper.simulator.filters import NONE, Filters, Labels
from scraper.simulator.scenario import ENGINES


@dataclass(frozen=True, slots=True)
class Score:
    """What a class folder is worth against the truth, counted in files and in distinct pictures (groups)."""

    kept: int
    junk: int  # files that are no picture of the site
    duplicates: int  # files whose group another file has already
    found: int  # distinct pictures that were to be had and are there
    wanted: int  # distinct pictures that were to be had
    full: int  # of those found whose full size was to be had: how many came in full size
    full_wanted: int

    @property
    def recall(self) -> float:
        """The share of the pictures to be had that are there."""
        return self.found / self.wanted if self.wanted else 1.0

    @property
    def precision(self) -> float:
        """The share of the files that are pictures of the site."""
        return 1 - self.junk / self.kept if self.kept else 1.0

    @property
    def full_share(self) -> float:
        """The share of full sizes among the pictures found whose full size was to be had."""
        return self.full / self.full_wanted if self.full_wanted else 1.0


class Truth:
    """What the site knows about its own pictures.

    A picture counts as to be had when its full-size address works on at least one engine that shows it, or Bing shows
    it and its cached copy works. Thumbnails alone do not count, and safe search is on.
    """

    def __init__(self, catalogue: Catalogue, darkroom: Darkroom) -> None:
        self._catalogue, self._darkroom = catalogue, darkroom

    @property
    def by_sha256(self) -> dict[str, Address]:
        """Every body of a picture that was handed out so far, by its SHA-256 (hex)."""
        return self._darkroom.seen

    def offers(self, term: str, engine: str, filters: Filters = NONE) -> tuple[Offer, ...]:
        """Return all results of an engine for a term, in its order."""
        return tuple(self._catalogue.shown(term, engine, filters))

    def labels(self, name: str) -> Labels:
        """Return what the picture of an id is said to be: colour, licence, age."""
        return self._catalogue.labels(self.picture(name))

    def addresses(self, term: str) -> tuple[Address, ...]:
        """Return every address that the engines give for a term, each once."""
        given: dict[str, Address] = {}
        for engine in ENGINES:
            for offer in self.offers(term, engine):
                for address in (offer.full, offer.cached, offer.thumbnail):
                    if address:
                        given.setdefault(address.url, address)
        return tuple(given.values())

    def pictures(self, term: str) -> set[str]:
        """Return the ids of the pictures of a term that are to be had."""
        return {
            offer.picture.id
            for engine in ENGINES
            for offer in self.offers(term, engine)
            if offer.full.valid or (offer.cached and offer.cached.valid)
        }

    def in_full(self, term: str) -> set[str]:
        """Return the ids of the pictures of a term whose full size is to be had on some engine."""
        return {offer.picture.id for engine in ENGINES for offer in self.offers(term, engine) if offer.full.valid}

    def picture(self, name: str) -> Picture:
        """Return the picture of an id."""
        owner, _, index = name.rpartition("/")
        return self._catalogue.picture(owner, int(index))

    def by_url(self, url: str) -> Address | None:
        """Return what an address leads to, also one from an earlier start of the site on other ports."""
        return self._catalogue.find(url)

    def identify(self, what: bytes | str) -> Picture | None:
        """Return the picture that bytes are, or that an address, data: URI or SHA-256 (hex) means; None for junk."""
        if isinstance(what, bytes):
            what = hashlib.sha256(what).hexdigest()
        elif what.startswith("data:"):
            what = hashlib.sha256(data_of(what)).hexdigest()
        address = self.by_sha256.get(what) or self.by_url(what)
        return address.picture if address and address.valid else None

    def score(self, terms: Iterable[str], files: Iterable[tuple[str, str]]) -> Score:
        """Return what files are worth as an answer to the terms; each file is (SHA-256, address that it came from)."""
        terms, kept = tuple(terms), 0
        full: dict[str, bool] = {}
        junk = duplicates = 0
        for digest, url in files:
            kept += 1
            address = self.by_sha256.get(digest) or self.by_url(url)
            if address is None or not address.valid:
                junk += 1
                continue
            group = address.picture.group
            duplicates += group in full
            full[group] = full.get(group, False) or address.kind == "full"
        wanted = {self.picture(name).group for term in terms for name in self.pictures(term)}
        in_full = {self.picture(name).group for term in terms for name in self.in_full(term)} & full.keys()
        found = len(wanted & full.keys())
        return Score(kept, junk, duplicates, found, len(wanted), sum(full[g] for g in in_full), len(in_full))


def data_of(uri: str) -> bytes:
    """Return the bytes of a data: URI, padding or not."""
    head, _, body = uri.partition(",")
    raw = unquote_to_bytes(body)
    return base64.b64decode(raw + b"=" * (-len(raw) % 4)) if head.endswith(";base64") else raw
