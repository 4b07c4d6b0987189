"""What the built-in site can be asked to be like: every knob, and the named settings of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ENGINES = ("google", "bing", "yahoo")

FAILURES: Mapping[str, float] = {"404": 3, "403": 2, "html": 2, "truncated": 2, "timeout": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One setting of the site; shares are between 0 and 1, times in seconds."""

    about: str
    off_topic: float = 0.03  # pictures of another kind among a term's results
    repeats: float = 0.04  # results that show a picture again, under another address
    failing: float = 0.125  # full-size addresses that bring no picture
    failures: Mapping[str, float] = field(default_factory=lambda: dict(FAILURES))  # how they fail, by weight
    redirected: float = 0.06  # full-size addresses that work after one to three redirects
    disguised: float = 0.09  # full-size addresses that end in .jpg and are webp or png
    cached: float = 0.92  # Bing's cached copies that work
    more_after: tuple[int, ...] = (100, 300, 500, 700)  # tiles after which Google shows its button
    auto_loads: int = 3  # batches that Bing loads by itself before its button
    end_text: bool = True  # Google says that this is the end, for every other term
    hold: float = 60.0  # how long a silent host keeps its connection open


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
}
