"""What a run will have come to when it ends, foretold by the searches that have ended: few engines go to the limit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scraper.gathering import Gathering
from scraper.tally import LIMIT, SHARE, Place, Tally

EARLY: Final = 1 / 8
"""How much of the searches must have ended, or how many of the pictures wanted be there, to foretell anything."""

Planned = Mapping[str, Sequence[tuple[Gathering, Place]]]
"""The searches that each engine is to go through."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run will have come to when it ends."""

    pictures: int
    """Distinct pictures in all class folders, those of earlier runs included."""
    firm: bool
    """Whether so many are to be expected; otherwise it is only the most that are wanted."""
    ended: int
    """Searches that have ended."""
    searches: int
    """Searches in all, without sweeps."""


def outlook(
    planned: Planned, tallies: Mapping[str, Tally], gatherings: Sequence[Gathering], *, sweeps: bool
) -> Outlook:
    """Foretell that each search to come brings what those of its engine brought on average, up to each limit.

    Where sweeps follow, they go on as long as they bring anything: only a limit that the terms reach can be foretold.
    """
    over = {name: _over(tallies[name], turns) for name, turns in planned.items()}
    brought: dict[str, list[float]] = {}
    to_come = {id(one): 0.0 for one in gatherings}
    for name, turns in planned.items():
        tally, brought[name] = tallies[name], []
        pending = {place: one.pending[name, *place[1:]] for one, place in turns}
        # Of the results that are on their way, as many are worth keeping as of those that came.
        worth = (tally.kept - tally.copies) / max(1, tally.seen - sum(pending.values()))
        for one, place in turns:
            if place in over[name]:
                to_come[id(one)] += worth * pending[place]
                if over[name][place] not in {LIMIT, SHARE}:
                    brought[name].append(tally.new_by[place] + worth * pending[place])
    every = [count for counts in brought.values() for count in counts]
    ended, left = sum(map(len, over.values())), 0
    for name, turns in planned.items():
        counts = brought[name] or every
        usual = sum(counts) / len(counts) if counts else math.inf
        for one, place in turns:
            if name in one.engines and place not in over[name]:
                to_come[id(one)] += max(0.0, usual - tallies[name].new_by[place])
                left += 1
    wanted = [one.distinct + one.missing for one in gatherings]
    expected = [min(most, one.distinct + to_come[id(one)]) for one, most in zip(gatherings, wanted, strict=True)]
    new = sum(tally.kept - tally.copies for tally in tallies.values())
    missing = sum(one.missing for one in gatherings)
    early = (not ended or ended < EARLY * (ended + left)) and new < EARLY * (new + missing)
    firm = not early and not (sweeps and expected != wanted)
    return Outlook(round(sum(expected if firm else wanted)), firm, ended, ended + left)


def _over(tally: Tally, turns: Sequence[tuple[Gathering, Place]]) -> dict[Place, str]:
    """Return the searches that have ended for good, and why: one that had its share is taken up again."""
    # The engine's thread goes on writing.
    reasons = tally.reasons.copy()
    return {
        place: reasons[place]
        for one, place in turns
        if place in reasons and not (one.missing and reasons[place] == SHARE)
    }
