"""The decisions on a catalogue's pictures: made in several windows, written at once, taken back one by one."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dataset.errors import TrayError
from dataset.review.catalogue import Catalogue, Picture, Place
from dataset.review.verdicts import Journal, Verdict, Word

LOOK_AGAIN: Final = 0.25
"""Seconds after which the files are looked at again for what other processes wrote."""


@dataclass(frozen=True, slots=True)
class Change:
    """One picture's verdict, as it became."""

    picture: int
    verdict: Word
    label: str
    window: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one decision did to one file."""

    place: Place
    before: Verdict | None
    after: Verdict


class Decisions:
    """All verdicts of a catalogue, held open by one server; safe to use from several threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.changes: list[Change] = []
        """Everything that became of pictures since this was opened, whoever decided it; it only grows."""
        self._lock = threading.Lock()
        folders = {place.folder for one in catalogue.pictures for place in one.places}
        self._journals = {folder: Journal(folder) for folder in sorted(folders)}
        self._pictures = {one.places[0]: index for index, one in reversed(list(enumerate(catalogue.pictures)))}
        self._done: dict[str, list[list[Step]]] = defaultdict(list)
        self._undone: dict[str, list[list[Step]]] = defaultdict(list)
        self._looked = 0.0
        for journal in self._journals.values():
            journal.refresh()

    def verdicts(self) -> dict[int, tuple[Word, str]]:
        """Return verdict and label of every picture that has one."""
        with self._lock:
            said = {index: self._said(one.places[0]) for index, one in enumerate(self.catalogue.pictures)}
            return {index: (one.verdict, one.label) for index, one in said.items() if one}

    def since(self, count: int) -> tuple[int, list[Change]]:
        """Return how many changes there are, and those after the first ``count``; looks at the files now and then."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_AGAIN:
                self._refresh()
            return len(self.changes), self.changes[count:]

    def decide(self, pictures: Iterable[int], verdict: Word, *, label: str = "", window: str = "") -> int:
        """Write one decision on each picture; return how many files it went to.

        A picture that is given its own class is kept. Raises TrayError when a folder can't be written; what was
        written until then stays and can be undone.
        """
        said = Verdict("", verdict, label if verdict == "relabel" else "", _now(), window)
        wanted = [step for index in pictures for step in self._steps(self.catalogue.pictures[index], said)]
        with self._lock:
            self._undone[window].clear()
            # A page that was loaded again sends again what it can't know to have arrived: that is no second step.
            new = [(place, verdict) for place, verdict in wanted if not _same(self._said(place), verdict)]
            return self._write(new, self._done[window])

    def undo(self, window: str) -> tuple[int, int] | None:
        """Take back the last decision of a window; return how many files changed back and how many did not.

        A file on which somebody decided since stays as it is. None when there is nothing to take back.
        """
        return self._turn_back(self._done[window], self._undone[window], window)

    def redo(self, window: str) -> tuple[int, int] | None:
        """Decide again what was undone last; returns what undo returns."""
        return self._turn_back(self._undone[window], self._done[window], window)

    def _turn_back(self, stack: list[list[Step]], other: list[list[Step]], window: str) -> tuple[int, int] | None:
        with self._lock:
            if not stack:
                return None
            self._refresh()
            steps = stack[-1]
            still = [one for one in steps if self._said(one.place) == (one.after if one.after.verdict else None)]
            back = [
                Step(one.place, None, replace(one.before or Verdict(one.place.file, ""), time=_now(), window=window))
                for one in still
            ]
            changed = self._write([(one.place, one.after) for one in back], other)
            stack.pop()
            return changed, len(steps) - len(still)

    def _steps(self, picture: Picture, said: Verdict) -> Iterable[tuple[Place, Verdict]]:
        first = picture.places[0]
        if said.verdict == "relabel" and said.label == picture.label:
            said = replace(said, verdict="keep", label="")
        for place in picture.places:
            # The copies of a kept picture say nothing; those of a dropped one must not take its place.
            verdict = replace(said, verdict="", label="") if said.verdict == "keep" and place != first else said
            yield place, replace(verdict, file=place.file)

    def _write(self, wanted: Sequence[tuple[Place, Verdict]], stack: list[list[Step]]) -> int:
        folders: dict[Path, list[Step]] = defaultdict(list)
        for place, verdict in wanted:
            before = self._said(place)
            if verdict.verdict or before:
                folders[place.folder].append(Step(place, before, verdict))
        batch: list[Step] = []
        try:
            for folder, steps in folders.items():
                self._note(folder, self._journals[folder].append([step.after for step in steps]))
                batch += steps
        finally:
            if batch:
                stack.append(batch)
        return len(batch)

    def _said(self, place: Place) -> Verdict | None:
        return self._journals[place.folder].verdicts.get(place.file)

    def _refresh(self) -> None:
        for folder, journal in self._journals.items():
            # One folder that can't be read now must not hide what was decided in the others.
            with suppress(TrayError):
                self._note(folder, journal.refresh())
        self._looked = time.monotonic()

    def _note(self, folder: Path, news: Iterable[Verdict]) -> None:
        for one in news:
            index = self._pictures.get(Place(folder, one.file))
            if index is not None:
                self.changes.append(Change(index, one.verdict, one.label, one.window))


def _same(before: Verdict | None, after: Verdict) -> bool:
    return before is not None and replace(before, time="") == replace(after, time="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def check_label(label: str) -> str:
    """Return a class name that a folder can bear; raises TrayError for any other text."""
    label = label.strip()
    if (
        not label
        or len(label) > 100
        or label[0] in ".-_"
        or any(sign in label for sign in '/\\:*?"<>|')
        or not label.isprintable()
    ):
        raise TrayError(
            f"Expected the name of a class: up to 100 letters, digits, spaces, '-' and '_'. Received: {label[:120]!r}."
        )
    return label
