"""One vocabulary of filters, and how each engine is asked for each of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlsplit

from dataset.tray import Filters, override
from scraper.engines import ORIGINS, Engine

ANY: Final = "*"
"""Stands for every value that has no entry of its own; its parameter is then a template."""
HOST: Final = "host="
"""Begins what is no parameter but another host of the engine."""
MARKETS: Final = ("en-GB", "en-IN", "en-AU", "de-DE", "fr-FR", "es-ES", "it-IT")
"""Markets that a sweep visits."""
YEARS: Final = 8
"""Years, back from this one, that a sweep visits one by one where an engine takes a range of dates."""
SWEPT: Final = ("size", "colour", "date", "market", "aspect")


@dataclass(frozen=True, slots=True)
class Way:
    """How one engine is asked for one filter."""

    values: Mapping[str, str]
    """Value of the vocabulary: parameter and value of the engine's address."""
    source: str
    """Where this was read."""
    checked: str
    """Year and month in which it was last seen in use there, empty where nobody dated it; none was tried live."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """An engine whose address asks for filters."""

    engine: Engine
    words: str
    """What it is asked for, as the manifest names it: ``size=large safe=on``."""
    cannot: tuple[str, ...] = ()
    """Filters, in the same words, that it has no way to be asked for."""


def _each(pattern: str, **values: str) -> dict[str, str]:
    return {name: pattern + value for name, value in values.items()}


_COLOURS: Final = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "gray", "black",
                   "brown")  # fmt: skip
_ICRAWLER_G: Final = ("icrawler, builtin/google.py", "2025-12")
_ICRAWLER_B: Final = ("icrawler, builtin/bing.py; pyimagedl; better-bing-image-downloader 5.0.0", "2026-09")
_PYIMAGEDL_Y: Final = ("pyimagedl 0.5.5, yahoo.py", "2026-10")

# `tbs` and `qft` hold several filters each: their parts are joined by `,` and `+`.
GOOGLE: Final = {
    "size": Way({"large": "tbs=isz:l", "medium": "tbs=isz:m", "small": "tbs=isz:i"}, *_ICRAWLER_G),
    "exact": Way({ANY: "tbs=isz:ex,iszw:{width},iszh:{height}"}, *_ICRAWLER_G),
    # The engine knows these steps only: the greatest below what is wanted is asked for, and pictures are measured.
    "min_size": Way(
        {
            "400x300": "tbs=isz:lt,islt:qsvga",
            "640x480": "tbs=isz:lt,islt:vga",
            "800x600": "tbs=isz:lt,islt:svga",
            "1024x768": "tbs=isz:lt,islt:xga",
            "1600x1200": "tbs=isz:lt,islt:2mp",
            "2272x1704": "tbs=isz:lt,islt:4mp",
            "2816x2112": "tbs=isz:lt,islt:6mp",
            "3264x2448": "tbs=isz:lt,islt:8mp",
        },
        *_ICRAWLER_G,
    ),
    "colour": Way(
        {"color": "tbs=ic:color", "bw": "tbs=ic:gray"}
        | {name: f"tbs=ic:specific,isc:{name}" for name in _COLOURS},
        *_ICRAWLER_G,
    ),
    "type": Way(
        _each("tbs=itp:", photo="photo", clipart="clipart", line="lineart", animated="animated")
        | {"transparent": "tbs=ic:trans"},
        *_ICRAWLER_G,
    ),
    "aspect": Way(_each("imgar=", tall="t|xt", square="s", wide="w"), "4get, scraper/google.php", "2025-01"),
    "date": Way(
        _each("tbs=qdr:", day="d", week="w", month="m", year="y")
        | {ANY: "tbs=cdr:1,cd_min:{first},cd_max:{last}"},
        *_ICRAWLER_G,
    ),
    # cl: a Creative Commons licence of any kind, those without commercial use included.
    "licence": Way({"creative-commons": "tbs=il:cl"}, "addresses copied from the page's own menu", ""),
    "safe": Way({"on": "safe=active", "off": "safe=off"}, "4get, scraper/google.php; SearXNG", "2025-01"),
    "language": Way({ANY: "lr=lang_{value}"}, "SearXNG, engines/google.py", ""),
    "market": Way({ANY: "gl={country}"}, "SearXNG, engines/google.py", ""),
}  # fmt: skip

BING: Final = {
    "size": Way(_each("qft=filterui:imagesize-", large="large", medium="medium", small="small"), *_ICRAWLER_B),
    "exact": Way({ANY: "qft=filterui:imagesize-custom_{width}_{height}"}, *_ICRAWLER_B),
    "colour": Way(
        _each("qft=filterui:color2-", color="color", bw="bw")
        | {name: f"qft=filterui:color2-FGcls_{name.upper()}" for name in _COLOURS},
        *_ICRAWLER_B,
    ),
    "type": Way(
        _each("qft=filterui:photo-", photo="photo", clipart="clipart", line="linedrawing", animated="animatedgif",
              transparent="transparent"),
        *_ICRAWLER_B,
    ),
    "aspect": Way(_each("qft=filterui:aspect-", tall="tall", square="square", wide="wide"), *_ICRAWLER_B),
    # Minutes.
    "date": Way(_each("qft=filterui:age-lt", day="1440", week="10080", month="43200", year="525600"), *_ICRAWLER_B),
    # Any: all Creative Commons licences; L1: public domain; then the numbers of those licences that allow it.
    "licence": Way(
        {
            "creative-commons": "qft=filterui:licenseType-Any",
            "public-domain": "qft=filterui:license-L1",
            "share": "qft=filterui:license-L2_L3_L4_L5_L6_L7",
            "share-commercially": "qft=filterui:license-L2_L3_L4",
            "modify": "qft=filterui:license-L2_L3_L5_L6",
            "modify-commercially": "qft=filterui:license-L2_L3",
        },
        *_ICRAWLER_B,
    ),
    "safe": Way(_each("adlt=", on="strict", moderate="moderate", off="off"), "addresses that tools write", "2026-09"),
    "market": Way({ANY: "mkt={value}"}, "SearXNG, pull request 5793", "2026-03"),
}  # fmt: skip

YAHOO: Final = {
    "size": Way(_each("imgsz=", large="large", medium="medium", small="small"), *_PYIMAGEDL_Y),
    "colour": Way({name: f"imgc={name}" for name in ("color", "bw", *_COLOURS)}, *_PYIMAGEDL_Y),
    "type": Way(
        _each("imgty=", photo="photo", clipart="clipart", line="linedrawing", animated="gif",
              transparent="transparent"),
        *_PYIMAGEDL_Y,
    ),
    "aspect": Way(_each("imga=", tall="tall", square="square", wide="wide"), *_PYIMAGEDL_Y),
    "date": Way(_each("imgt=", day="day", week="week", month="month", year="year"), *_PYIMAGEDL_Y),
    # cc, public domain, free to share and use (commercially), to modify, share and use (commercially).
    "licence": Way(
        {
            "creative-commons": "imgl=cc",
            "public-domain": "imgl=pd",
            "share": "imgl=fsu",
            "share-commercially": "imgl=fsuc",
            "modify": "imgl=fmsu",
            "modify-commercially": "imgl=fmsuc",
        },
        *_PYIMAGEDL_Y,
    ),
    "safe": Way(_each("vm=", on="r", moderate="i", off="p"), "SearXNG; addresses that tools write", "2026-09"),
    "market": Way(
        {
            market: f"{HOST}{host}.images.search.yahoo.com"
            for market, host in {
                "en-GB": "uk", "de-DE": "de", "fr-FR": "fr", "es-ES": "es", "it-IT": "it", "en-CA": "ca",
                "en-IN": "in", "en-AU": "au", "zh-TW": "tw", "zh-HK": "hk", "en-SG": "sg", "pt-BR": "br",
            }.items()
        },
        *_PYIMAGEDL_Y,
    ),
}  # fmt: skip

WAYS: Final[Mapping[str, Mapping[str, Way]]] = MappingProxyType({"google": GOOGLE, "bing": BING, "yahoo": YAHOO})


def filtered(engine: Engine, filters: Filters) -> Filtered:
    """Return the engine with an address that asks for the filters, and what it can't be asked for."""
    can: list[str] = []
    cannot: list[str] = []
    parts: dict[str, list[str]] = {}
    host = ""
    for name, value in _given(filters):
        asked = _parameter(engine, name, value)
        parameter, _, rest = asked.partition("=")
        # One slot of an address holds one value: a colour or `transparent`, a size or an exact one.
        taken = {part.split(":")[0] for part in parts.get(parameter, [])} if parameter == "tbs" else set()
        kinds = {part.rpartition("-")[0] for part in parts.get(parameter, [])} if parameter == "qft" else set()
        if not asked or rest.split(":")[0] in taken or (parameter == "qft" and rest.rpartition("-")[0] in kinds):
            cannot.append(f"{name}={value}")
            continue
        can.append(f"{name}={value}")
        if asked.startswith(HOST):
            host = rest
        else:
            parts.setdefault(parameter, []).extend(rest.split(",") if parameter == "tbs" else [rest])
    query = "".join(f"&{name}={_joined(name, values)}" for name, values in parts.items())
    url = engine.url if "?" in engine.url else f"{engine.url}?"
    if host:
        url = url.replace(urlsplit(url).netloc, host, 1)
    return Filtered(replace(engine, url=url + query), " ".join(can), tuple(cannot))


def sweeps(engine: Engine, base: Filters, *, today: date | None = None) -> Iterator[tuple[str, Filters]]:
    """Yield the narrower searches that together give more than one: the kind of each, and its filters.

    What ``base`` asks for already is left as it is, and what the engine can't do is left out.
    """
    year = (today or datetime.now(UTC).date()).year
    ranges = [f"{one}-01-01..{one}-12-31" for one in range(year, year - YEARS, -1)]
    values: dict[str, tuple[str, ...]] = {
        "size": ("large", "medium", "small"),
        "colour": _COLOURS,
        "date": (*ranges, "year", "month", "week"),
        "market": MARKETS,
        "aspect": ("wide", "square", "tall"),
    }
    given = {name for name, _ in _given(base)}
    if given & {"exact", "min_size"}:
        given.add("size")
    if base.type == "transparent":
        given.add("colour")
    for kind in SWEPT:
        for value in values[kind] if kind not in given else ():
            if _parameter(engine, kind, value):
                yield kind, override(base, **{kind: value})


def sides(size: str) -> tuple[int, int]:
    """Return width and height of a size such as ``800x600``."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def misfit(filters: Filters, width: int, height: int) -> str:
    """Return why a picture is not of the size that was asked for, or an empty string.

    Engines promise sizes and keep the promise badly; a picture can be measured.
    """
    if filters.exact and (width, height) != sides(filters.exact):
        return "another size than asked for"
    if filters.min_size:
        least = sides(filters.min_size)
        if width < least[0] or height < least[1]:
            return "smaller than asked for"
    return ""


def _given(filters: Filters) -> list[tuple[str, str]]:
    values = [(one.name, getattr(filters, one.name)) for one in fields(filters)]
    return [(name, value) for name, value in values if value]


def _parameter(engine: Engine, name: str, value: str) -> str:
    """Return parameter and value with which an engine is asked for a filter; empty where it can't be."""
    way = WAYS.get(engine.name, {}).get(name)
    if not way:
        return ""
    if name == "min_size":
        value = _step_below(value, tuple(way.values))
    asked = way.values.get(value) or ("" if _named_date(name, value) else way.values.get(ANY, ""))
    if asked.startswith(HOST) and not any(engine.url.startswith(origin) for origin in ORIGINS):
        return ""
    return asked.format_map(_pieces(name, value)) if "{" in asked else asked


def _named_date(name: str, value: str) -> bool:
    return name == "date" and ".." not in value


def _pieces(name: str, value: str) -> dict[str, str]:
    """Return what a template may want of a value."""
    pieces = {"value": value}
    if name == "exact":
        pieces["width"], pieces["height"] = map(str, sides(value))
    elif name == "market":
        pieces["country"] = value.partition("-")[2].lower()
    elif name == "date":
        # Google writes month, day and year.
        first, last = (re.sub(r"(\d+)-(\d+)-(\d+)", r"\2/\3/\1", day) for day in value.split(".."))
        pieces |= {"first": first, "last": last}
    return pieces


def _step_below(wanted: str, steps: tuple[str, ...]) -> str:
    """Return the greatest step that no wanted picture lies below; empty where there is none."""
    width, height = sides(wanted)
    below = [step for step in steps if sides(step)[0] * sides(step)[1] <= width * height]
    return below[-1] if below else ""


def _joined(name: str, values: list[str]) -> str:
    if name == "qft":
        # As the page itself writes it; a plus stands before each.
        return "".join(f"+{quote(value, safe=':_-')}" for value in values)
    return quote(",".join(values), safe=":,/")
