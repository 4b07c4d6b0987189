"""What a run will come to is foretold by the searches that have ended, and not before some have."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset.folder import ClassFolder
from dataset.tray import ClassPlan
from scraper.gathering import Gathering
from scraper.outlook import Outlook, outlook
from scraper.tally import LIMIT, Tally

TERMS = ("pizza", "cheese pizza", "quiche", "frittata")
GOOGLE, BING = "google", "bing"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gathering]:
    """Return a class folder that is to get 100 pictures for four terms from two engines."""
    with ClassFolder(tmp_path) as folder:
        gathering = Gathering(ClassPlan("pizza", TERMS, 100), folder, "all")
        gathering.engines = {GOOGLE, BING}
        yield gathering


def foretold(one: Gathering, ended: dict[str, dict[str, int]], *, reason: str = "end", sweeps: bool = False) -> Outlook:
    """Return the outlook when searches, by engine and term, have ended with so many pictures each."""
    tallies = {}
    for engine in (GOOGLE, BING):
        brought = Counter({("pizza", term, ""): count for term, count in ended.get(engine, {}).items()})
        new = brought.total()
        tallies[engine] = Tally(seen=new, kept=new, new_by=brought, reasons=dict.fromkeys(brought, reason))
    one.distinct = sum(tally.kept for tally in tallies.values())
    planned = {engine: [(one, ("pizza", term, "")) for term in TERMS] for engine in tallies}
    return outlook(planned, tallies, [one], sweeps=sweeps)


def test_nothing_is_foretold_before_a_search_has_ended(one: Gathering) -> None:
    """Until then it is only known how many are wanted at most."""
    assert foretold(one, {}) == Outlook(100, firm=False, ended=0, searches=8)


def test_searches_to_come_bring_what_those_of_their_engine_brought(one: Gathering) -> None:
    """Half of one engine's are over, with six each; the other engine had its first, with two."""
    ended = {GOOGLE: {"pizza": 9, "quiche": 3}, BING: {"pizza": 2}}

    assert foretold(one, ended) == Outlook(14 + 2 * 6 + 3 * 2, firm=True, ended=3, searches=8)


def test_results_on_their_way_count_as_those_that_came(one: Gathering) -> None:
    """A search that has ended may still bring all that it found."""
    one.pending[GOOGLE, "pizza", ""] = 3
    one.engines = {GOOGLE}
    ended = {GOOGLE: dict(zip(TERMS, (6, 6, 6, 6), strict=True))}

    assert foretold(one, ended).pictures == 24 + round(3 * 24 / 21)


def test_no_more_than_the_limit_is_foretold(one: Gathering) -> None:
    """A search that its limit cut short says nothing of what the others have."""
    ended = {GOOGLE: {"pizza": 60}}

    assert foretold(one, ended) == foretold(one, ended, reason=LIMIT) == Outlook(100, firm=True, ended=1, searches=8)


def test_an_engine_that_is_gone_brings_nothing_more(one: Gathering) -> None:
    """What it was refused, or did not understand, is not waited for."""
    one.engines = {GOOGLE}

    assert foretold(one, {GOOGLE: {"pizza": 5}}) == Outlook(20, firm=True, ended=1, searches=4)


def test_how_long_sweeps_go_on_is_not_foretold(one: Gathering) -> None:
    """They may reach the limit, which the terms will not; what the terms reach by themselves is foretold."""
    assert foretold(one, {GOOGLE: {"pizza": 5}}, sweeps=True) == Outlook(100, firm=False, ended=1, searches=8)
    assert foretold(one, {GOOGLE: {"pizza": 25}}, sweeps=True).firm
