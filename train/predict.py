"""What a run says about photos."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from train.data import decode_ahead
from train.runs import Run

BATCH = 32
NOTHING = "nothing known"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run says about one photo; ``error`` says why it could not be read."""

    file: Path
    label: str = ""
    """The most probable class; of a binary run the items found, most probable first, or ``nothing known``."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """Probability by class, or by item of a binary run; highest first, at most ``top`` of them."""
    items: dict[str, float] | None = None
    """The items of a binary run that are on the tray, with their probabilities; None for a multi-class run."""
    error: str = ""


def predict(run: Run, files: Iterable[Path], *, top: int = 5) -> Iterator[Prediction]:
    """Yield what the run says about each file, in order; a file that can't be read is a prediction with an error."""
    for file, answer in classify(run, files):
        if isinstance(answer, str):
            yield Prediction(file, error=answer)
        else:
            yield describe(run, file, answer, top=top)


def labels_of(run: Run) -> list[str]:
    """Return the labels that predictions tell probabilities of: the classes, or of several items the items."""
    if len(run.items) > 1:
        return [names[-1] for names in run.labels.values()]
    return [name for names in run.labels.values() for name in names]


def classify(run: Run, files: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Array] | str]]:
    """Yield each file with the probabilities of each classifier's classes, or with why it can't be read."""
    for batch in decode_ahead(files, run.image_size, batch_size=BATCH):
        readable = [pixels for _, pixels in batch if not isinstance(pixels, str)]
        answers = run.probabilities(np.stack(readable)) if readable else {}
        row = 0
        for file, pixels in batch:
            if isinstance(pixels, str):
                yield file, pixels
            else:
                yield file, {item: answer[row] for item, answer in answers.items()}
                row += 1


def describe(run: Run, file: Path, answer: dict[str, Array], *, top: int = 5) -> Prediction:
    """Put the probabilities of each classifier's classes for one photo into words."""
    labels, several = run.labels, len(run.items) > 1
    if several:
        probabilities = {labels[item][1]: float(answer[item][1]) for item in run.items}
    else:
        (only,) = run.items
        probabilities = dict(zip(labels[only], map(float, answer[only]), strict=True))
    probabilities = dict(sorted(probabilities.items(), key=lambda one: -one[1]))
    shown = dict(list(probabilities.items())[:top])
    if not run.thresholds:
        return Prediction(file, next(iter(probabilities)), shown)
    positives = {labels[item][1]: float(answer[item][1]) for item in run.items}
    thresholds = {labels[item][1]: run.thresholds[item] for item in run.items}
    found = {name: p for name, p in sorted(positives.items(), key=lambda one: -one[1]) if p >= thresholds[name]}
    label = ", ".join(found) or (NOTHING if several else labels[run.items[0]][0])
    return Prediction(file, label, shown, found)
