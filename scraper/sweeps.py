"""What to search next when the terms themselves did not give enough."""

from dataclasses import dataclass
from statistics import mean
from typing import Final

from dataset.tray import Filters
from scraper.engines import Engine, Inquiry
from scraper.filters import Filtered, filtered, sweeps
from scraper.gathering import Gathering

BARREN: Final = 6
"""Sweeps in a row without a new picture after which an engine has no more to give."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One narrower search: its kind (size, colour ...), its term, and the engine with its filters."""

    kind: str
    term: str
    asked: Filtered

    @property
    def inquiry(self) -> Inquiry:
        """The search by its names."""
        return self.asked.engine.name, self.term, self.asked.words


class Plan:
    """The sweeps of one engine for one class folder, those to come in an order that follows what the others brought."""

    def __init__(self, engine: Engine, gathering: Gathering, base: Filters) -> None:
        self._new_by = gathering.new_by
        every = [
            Sweep(kind, term, filtered(engine, filters))
            for kind, filters in sweeps(engine, base)
            for term in gathering.plan.terms
        ]
        self._done = [sweep for sweep in every if sweep.inquiry in gathering.finished]
        self._left = [sweep for sweep in every if sweep.inquiry not in gathering.finished]

    def next(self) -> Sweep | None:
        """Return the next sweep and count it as done: first one of each kind, then where most came from so far."""
        if not self._left:
            return None
        best = max(self._left, key=self._promise)
        self._left.remove(best)
        self._done.append(best)
        return best

    def _promise(self, sweep: Sweep) -> tuple[float, float]:
        """Return the new pictures per sweep of its kind, then of its term; what was never tried promises most."""
        of_kind = [self._new_by[one.inquiry] for one in self._done if one.kind == sweep.kind]
        of_term = [self._new_by[one.inquiry] for one in self._done if one.term == sweep.term]
        return (mean(of_kind) if of_kind else float("inf"), mean(of_term) if of_term else float("inf"))
