"""What the engines' filter parameters ask for, in one vocabulary."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "teal",
    "blue",
    "purple",
    "pink",
    "white",
    "gray",
    "black",
    "brown",
)
DAYS = {"day": 1, "week": 7, "month": 31, "year": 366}
SMALL, LARGE = 480, 800
"""Longer sides in pixels: below the first a picture is small, from the second on it is large."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search asks for beside its term; empty for anything.

    `size` is small, medium or large, `exact` width and height, `aspect` tall, square or wide, `days` the greatest age,
    `beyond` an age that pictures are above.
    """

    size: str = ""
    exact: tuple[int, int] | None = None
    aspect: str = ""
    colour: str = ""
    type: str = ""
    licence: bool = False
    days: int = 0
    beyond: int = 0


NONE = Filters()


@dataclass(frozen=True, slots=True)
class Labels:
    """What a picture is said to be, where its pixels do not say it."""

    colour: str
    licence: bool
    days: int


def suits(filters: Filters, width: int, height: int, labels: Labels) -> bool:
    """Tell whether a picture of a size and with labels is what was asked for; all pictures here are photos."""
    return (
        filters.size in ("", size_of(width, height))
        and filters.exact in (None, (width, height))
        and filters.aspect in ("", aspect_of(width, height))
        and filters.colour in ("", "color", labels.colour)
        and filters.type in ("", "photo")
        and (labels.licence or not filters.licence)
        and (not filters.days or labels.days <= filters.days)
        and labels.days >= filters.beyond
    )


def size_of(width: int, height: int) -> str:
    """Return small, medium or large."""
    longest = max(width, height)
    return "small" if longest < SMALL else "large" if longest >= LARGE else "medium"


def aspect_of(width: int, height: int) -> str:
    """Return tall, square or wide."""
    return "square" if 0.9 < width / height < 1.1 else "wide" if width > height else "tall"


def asked(engine: str, query: Mapping[str, str]) -> Filters:
    """Return what the parameters of an engine's search ask for; what the engine does not know is passed over."""
    return {"google": google, "bing": bing, "yahoo": yahoo}[engine](query)


def google(query: Mapping[str, str]) -> Filters:
    """Return what Google's `tbs` and `imgar` ask for."""
    given = dict(part.partition(":")[::2] for part in query.get("tbs", "").split(",") if part)
    exact = (int(given["iszw"]), int(given["iszh"])) if given.get("isz") == "ex" else None
    first, last = age(given.get("cd_min", "")), age(given.get("cd_max", ""))
    colour = given.get("isc", "") if given.get("ic") == "specific" else given.get("ic", "")
    return Filters(
        size={"l": "large", "m": "medium", "i": "small"}.get(given.get("isz", ""), ""),
        exact=exact,
        aspect={"t": "tall", "xt": "tall", "t|xt": "tall", "s": "square", "w": "wide", "xw": "wide"}.get(
            query.get("imgar", ""), ""
        ),
        colour=colour,
        type=given.get("itp", ""),
        licence=given.get("il", "") in ("cl", "ol") or "sur" in given,
        days={"d": 1, "w": 7, "m": 31, "y": 366}.get(given.get("qdr", ""), 0) or first,
        beyond=last,
    )


def age(written: str) -> int:
    """Return how many days ago a day was that is written as month/day/year; 0 for none, or for days to come."""
    month, day, year = map(int, written.split("/")) if written else (1, 1, 9999)
    return max(0, (datetime.now(UTC).date() - date(year, month, day)).days)


def bing(query: Mapping[str, str]) -> Filters:
    """Return what Bing's `qft` asks for: parts such as `filterui:imagesize-large`, joined by `+`."""
    given = dict(part.partition("-")[::2] for part in re.findall(r"filterui:([\w-]+)", query.get("qft", "")))
    size, colour = given.get("imagesize", ""), given.get("color2", "")
    exact = re.fullmatch(r"custom_(\d+)_(\d+)", size)
    age = given.get("age", "lt0")[2:]
    return Filters(
        size="large" if size == "wallpaper" else size if size in ("small", "medium", "large") else "",
        exact=(int(exact[1]), int(exact[2])) if exact else None,
        aspect=given.get("aspect", ""),
        colour=colour.removeprefix("FGcls_").lower(),
        type=given.get("photo", ""),
        licence="licenseType" in given or "license" in given,
        days=int(age) // 1440 if age.isdecimal() else 0,
    )


def yahoo(query: Mapping[str, str]) -> Filters:
    """Return what Yahoo's `imgsz`, `imga`, `imgc`, `imgty`, `imgl` and `imgt` ask for."""
    size = query.get("imgsz", "")
    return Filters(
        size="large" if size == "wallpaper" else size,
        aspect=query.get("imga", ""),
        colour=query.get("imgc", ""),
        type=query.get("imgty", ""),
        licence=bool(query.get("imgl")),
        days=DAYS.get(query.get("imgt", ""), 0),
    )


def safe(query: Mapping[str, str]) -> bool:
    """Tell whether a search asks for safe search."""
    return query.get("safe") == "active" or query.get("adlt") == "strict" or query.get("vm") == "r"


def carried(query: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that a page's own requests for more carry on."""
    names = ("tbs", "imgar", "safe", "qft", "mkt", "adlt", "imgsz", "imga", "imgc", "imgty", "imgl", "imgt", "vm")
    return {name: query[name] for name in names if name in query}
