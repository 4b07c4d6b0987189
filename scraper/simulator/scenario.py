"""What the built-in site can be asked to be like: every knob, and the named settings of them."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataset.errors import ConfigError

ENGINES = ("google", "bing", "yahoo")

FAILURES: Mapping[str, float] = {"404": 3, "403": 2, "html": 2, "truncated": 2, "timeout": 1}
"""The everyday ways in which an address fails, by weight."""

PLAIN = ("ok", "redirect", "relative", "referer", "429", "503", "gzip", "chunked")
FORMS = ("gif", "animated", "avif", "bmp", "tiff", "cmyk", "rotated", "palette", "sixteen", "apng")
BRINGS: frozenset[str] = frozenset((*PLAIN, *FORMS))
"""Behaviours of an address that bring a picture which may be kept, to a polite visitor who tries again when asked."""

WORKING = ("space", "unicode", "plus", "fragment", "entity", "long", "long-name", "no-scheme", "encoded")
DEAD = ("quoted", "ftp", "script", "file", "tls", "expired", "no-host", "refused", "ipv6")
"""Odd ways to write an address: those that lead to the picture all the same, and those that lead nowhere."""


def each(*names: str) -> dict[str, float]:
    """Return the names with equal weights."""
    return dict.fromkeys(names, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One setting of the site; shares are between 0 and 1, times in seconds."""

    about: str

    # What there is.
    off_topic: float = 0.03  # pictures of another kind among a term's results
    repeats: float = 0.04  # results that show a picture again, under another address
    twins: float = 0.0  # pictures that are another one mirrored, cropped, brightened or framed
    failing: float = 0.125  # full-size addresses that do something of their own: most bring no picture
    failures: Mapping[str, float] = field(default_factory=lambda: FAILURES)  # what they do, by weight
    odd: float = 0.0  # full-size addresses that are written in an odd way
    latency: float = 0.0  # how long a picture host takes, in the middle of a log-normal spread
    redirected: float = 0.06  # full-size addresses that work after one to three redirects
    disguised: float = 0.09  # full-size addresses that end in .jpg and are webp or png
    cached: float = 0.92  # Bing's cached copies that work
    robots: tuple[float, ...] = (0.0,)  # how long hosts, in turn, take for their robots.txt; below 0 they have none
    hold: float = 60.0  # how long a silent host keeps its connection open

    # How the pages are built.
    google: str = "2026-09"  # the month of its layout; also 2025-11, -02, -01, 2024-04, 2023-11, 2020-10
    bing: str = "2026-10"  # also 2020-06
    yahoo: str = "2026-09"  # also 2026-08, 2025-06
    paged: bool = False  # Yahoo's page brings no more by itself, and has no button: the next one has an address
    renamed: bool = False  # all class names, ids and jsnames are others
    more_after: tuple[int, ...] = (100, 300, 500, 700)  # tiles after which Google shows its button
    auto_loads: int = 3  # batches that Bing loads by itself before its button
    end_text: bool = True  # Google says that this is the end, for every other term

    # How batches come.
    past_end: str = "empty"  # what Bing gives after its last result: nothing, or what it gave before (`repeats`)
    barren: bool = False  # no engine finds anything
    prudish: bool = False  # with safe search on, three results in ten are held back
    varies: float = 0.0  # by how much less Bing shows than it has, another part each time
    spinner: bool = False  # the second batch never comes, and a wheel turns for ever
    fails_once: bool = False  # each batch answers 503 at first
    swapped: bool = False  # every other batch comes in above the one before it
    late: float = 0.0  # how long each batch takes
    recycled: bool = False  # tiles that are far away leave the page
    inner: bool = False  # the results scroll in a box of their own; the page stays as high as the window
    shifting: bool = False  # a banner pushes everything down after a while

    # Who may come in.
    headless: tuple[str, ...] = ()  # engines that refuse a browser which says that it is headless
    blocked: tuple[str, ...] = ()  # engines that refuse everyone
    hiccup: bool = False  # Yahoo answers an empty 500 once
    consent: str = ""  # a `page` before the results, or a `dialog` over them
    language: str = "en"  # of the pages' questions and buttons; one of words.ASKING
    throttle: int = 0  # pages and batches a minute that an engine bears; 0 for any
    minute: float = 60.0  # the time over which it counts them
    warns: bool = True  # before it refuses, batches come slowly, then without addresses
    lifts: float = 60.0  # how long an engine's refusal lasts; each repeat lasts twice as long
    fault: str = ""  # what a page does to its browser: alert, leaving, popup, permission or busy


SCENARIOS: dict[str, Scenario] = {
    "realistic": Scenario(about="one address in eight fails, some redirect, some are not what their name says"),
    "clean": Scenario(
        about="every address works at once and is what its name says",
        failing=0.0,
        redirected=0.0,
        disguised=0.0,
        repeats=0.0,
        cached=1.0,
    ),
    "drift": Scenario(about="all class names, ids and jsnames of the pages have changed", renamed=True),
    "older": Scenario(about="pages as they were before", google="2025-02", bing="2020-06", yahoo="2026-08"),
    "oldest": Scenario(about="pages as they were long ago", google="2020-10", bing="2020-06", yahoo="2025-06"),
    "clicked": Scenario(about="Google's page of 2024, which names a picture only in a panel", google="2024-04"),
    "clicked-older": Scenario(about="Google's page of 2023, which names a picture only in a panel", google="2023-11"),
    "hovered": Scenario(about="Google's page of late 2025, whose tiles name their hosting page", google="2025-11"),
    "inline": Scenario(about="Google's page of early 2025, which names pictures in a script", google="2025-01"),
    "paged": Scenario(about="Yahoo's pages follow each other by address only", paged=True),
    "drift-inline": Scenario(
        about="Google's page of early 2025, with all names changed, and Yahoo's pages by address only",
        google="2025-01",
        paged=True,
        renamed=True,
    ),
    "drift-hovered": Scenario(
        about="Google's page of late 2025, with all names changed", google="2025-11", yahoo="2026-08", renamed=True
    ),
    "drift-clicked": Scenario(
        about="Google's page of 2024, with all names changed", google="2024-04", yahoo="2025-06", renamed=True
    ),
    "drift-clicked-older": Scenario(
        about="Google's page of 2023, with all names changed", google="2023-11", bing="2020-06", renamed=True
    ),
    "drift-older": Scenario(
        about="pages as they were before, with all names changed",
        google="2025-02",
        bing="2020-06",
        yahoo="2026-08",
        renamed=True,
    ),
    "drift-oldest": Scenario(
        about="pages as they were long ago, with all names changed",
        google="2020-10",
        bing="2020-06",
        yahoo="2025-06",
        renamed=True,
    ),
    "headless-blocked": Scenario(
        about="Google and Yahoo refuse a browser that says that it is headless", headless=("google", "yahoo")
    ),
    "blocked": Scenario(about="every engine refuses everyone from the first request", blocked=ENGINES),
    "google-blocked": Scenario(about="Google refuses everyone; Bing and Yahoo deliver", blocked=("google",)),
    "hiccup": Scenario(about="Yahoo answers an empty 500 once, then is fine", hiccup=True),
    "throttled": Scenario(
        about="more than a dozen pages a minute are slowed down, then thinned out, then refused for a while",
        throttle=12,
        lifts=20.0,
    ),
    "curt": Scenario(
        about="a dozen pages a minute and half as many more are refused for a while, without a warning",
        throttle=12,
        lifts=20.0,
        warns=False,
    ),
    "consent": Scenario(about="each engine asks for consent first, on pages of its own", consent="page"),
    "consent-dialog": Scenario(about="a consent dialog lies over the results", consent="dialog"),
    "consent-german": Scenario(about="each engine asks for consent first, in German", consent="page", language="de"),
    "consent-polish": Scenario(
        about="a consent dialog lies over the results, in Polish, and all names have changed",
        consent="dialog",
        language="pl",
        renamed=True,
    ),
    "repeats": Scenario(
        about="Bing starts over at its end, and shows another number of results each time",
        past_end="repeats",
        varies=0.3,
        repeats=0.12,
    ),
    "near-duplicates": Scenario(
        about="one picture in five is another one, mirrored, cropped, brighter or framed", twins=0.2
    ),
    "hosts": Scenario(
        about="picture hosts redirect, refuse, ask for patience, and misuse status and type",
        failing=0.6,
        failures=each(
            "404", "410", "403", "500", "429", "503", "referer", "agent", "html", "json", "denied", "relative"
        )
        | each("loop", "home", "private", "gzip", "chunked"),
    ),
    "bodies": Scenario(
        about="picture hosts drip, stall, break off, cut, and never come to an end",
        failing=0.5,
        failures=each("drip", "stall", "reset", "short", "unended", "truncated", "endless", "huge", "timeout"),
        hold=20.0,
    ),
    "types": Scenario(
        about="pictures come in every format, and in some that are no pictures",
        failing=0.7,
        failures=each("gif", "animated", "avif", "bmp", "tiff", "cmyk", "rotated", "palette", "sixteen", "apng")
        | each("ico", "heic", "svg", "empty", "tiny", "bomb", "sliver"),
    ),
    "odd-addresses": Scenario(about="addresses are written in odd ways, and some lead nowhere", odd=0.7),
    "opt-outs": Scenario(
        about="owners ask not to be used for training, in headers and in robots.txt",
        failing=0.5,
        failures=each("noai", "noimageai", "noai-agent", "train-ai", "robots"),
    ),
    "latency": Scenario(about="picture hosts take 80 milliseconds", latency=0.08),
    "far-away": Scenario(about="picture hosts take most of a second, batches two", latency=0.8, late=2.0),
    "stuck": Scenario(about="the second batch never comes, and a wheel turns for ever", spinner=True),
    "flaky": Scenario(about="each batch fails once before it comes", fails_once=True),
    "swapped": Scenario(about="every other batch comes in above the one before it", swapped=True),
    "empty": Scenario(about="no engine finds anything for any term", barren=True),
    "prudish": Scenario(about="safe search holds back three results in ten", prudish=True),
    "slow-robots": Scenario(
        about="a third of the hosts take their time for robots.txt, and a third have none", robots=(0.0, -1.0, 1.5)
    ),
    "late": Scenario(about="each batch takes eight seconds", late=8.0),
    "recycled": Scenario(about="tiles that are far away leave the page", recycled=True),
    "inner": Scenario(about="the results scroll in a box of their own", inner=True),
    "shifting": Scenario(about="a banner pushes everything down after a while", shifting=True),
    "alert": Scenario(about="a page opens an alert box", fault="alert"),
    "leaving": Scenario(about="a page asks before it is left", fault="leaving"),
    "popup": Scenario(about="a page opens another window", fault="popup"),
    "permission": Scenario(about="a page asks for permission to notify", fault="permission"),
    "busy": Scenario(about="a page's script blocks it for five seconds", fault="busy"),
}


def named(name: str) -> Scenario:
    """Return a scenario by its name; raises ConfigError for one that there is not, with those that are near."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    close = difflib.get_close_matches(name, SCENARIOS, n=3)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"They are {', '.join(SCENARIOS)}."
    raise ConfigError(f"Expected the name of a scenario of the built-in site. Received: {name!r}. {hint}")
