"""What adding items to a finished run takes: what may be added, and what the run says of the items it has."""

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dataset.errors import ConfigError
from dataset.tray import Train
from train.data import Dataset, Photo
from train.evaluate import Evaluation, Judged, Score
from train.runs import ITEMS, PREDICTIONS, Run

Array = np.ndarray[Any, Any]
BESIDE: Final = frozenset({"tensorboard"})
"""Settings that say what is told beside a training, and nothing about its result."""
AGREEING: Final = 4
"""Items at least whose heads chose a kernel, for a further one to take what most of them chose."""


def essence(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what a training gives; one that there was not yet is its default."""
    told: dict[str, Any] = json.loads(json.dumps({**asdict(Train()), **settings}))
    return {name: value for name, value in told.items() if name not in BESIDE}


def require_addable(run: Run, settings: Train, items: Iterable[str]) -> None:
    """Raise ConfigError for a run that takes no further item, and for settings that are not the run's."""
    named = ", ".join(map(repr, items))
    if len(run.thresholds) < len(run.items):
        raise ConfigError(
            f"Expected a run of binary classifiers to add {named} to. Received: {run.path}, which chooses among "
            f"classes. Train all of them again."
        )
    if run.settings.fine_tune:
        raise ConfigError(
            f"Expected a run on a frozen backbone to add {named} to. Received: {run.path}, whose backbone was tuned "
            f"for the items it has. Train all of them again."
        )
    if run.settings.independent:
        raise ConfigError(
            f"Expected a run whose items share a model to add {named} to. Received: {run.path}, trained with "
            f"--independent. Train {named} by itself."
        )
    # A size that is not given is the model's own, which is the run's.
    size = settings.image_size or run.settings.image_size
    mine, theirs = essence(asdict(replace(settings, image_size=size))), essence(run.config)
    other = [name for name in mine if mine[name] != theirs.get(name)]
    if other:
        raise ConfigError(
            f"Expected the settings of {run.path}, which all its items share. Received: "
            f"{', '.join(f'{name} = {mine[name]!r} instead of {theirs.get(name)!r}' for name in other)}. "
            f"Leave that out, or train all items again."
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """What was chosen of a binary head's kernel: which of the mixes weighs the features, and how narrow it is."""

    mix: int
    gamma: float


def agreed(run: Run) -> Shape | None:
    """Return what most of a run's items chose of their kernels, of which a further item need not try the others.

    It is as good as its own choice: for each of 23 items of three sets, with the kernel that four others chose and
    judged on five folds dealt twice, mean average precision was .882 (.882 with its own), .997 (.996) and .859 (.860),
    with two backbones .895 (.895), .999 (.999) and .892 (.891). By the choice of a single other item it was up to .011
    less with 25 photos of each class. None where few items chose, or where an older version did not write
    it down, and for ``--robust``, whose heads choose anew.
    """
    told = [one["kernel"] for one in run.record["items"].values() if one.get("kernel")]
    if len(told) < AGREEING or run.settings.robust:
        return None
    ((most, _),) = Counter((one["mix"], one["gamma"]) for one in told).most_common(1)
    return Shape(*most)


def fresh(run: Run, data: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the datasets of the items that a run does not have yet.

    Raises ConfigError for one that it has, but trained on other pictures.
    """
    there = {**{names[-1]: item for item, names in run.labels.items()}, **{item: item for item in run.items}}
    for item, dataset in data.items():
        if item in there and dataset.fingerprint != run.fingerprint[there[item]]:
            raise ConfigError(
                f"Expected an item that {run.path} does not have: it has {', '.join(run.items)}. Received: {item!r}, "
                f"with other pictures than it was trained on. Train all of them again, or name it differently."
            )
    return {item: dataset for item, dataset in data.items() if item not in there}


@dataclass(frozen=True)
class Recalled(Judged):
    """What a classifier of a finished run was wrong about, and how good it is, as that tells; six digits of each."""

    folder: Path = Path()
    """Where its own report and figures lie."""
    lines: str = ""
    """All that it said, as predictions.csv of several items has it."""
    told: Evaluation | None = None

    @property
    def called(self) -> Array:
        """Return the label that each photo was given: not its own."""
        return 1 - self.truth

    @property
    def evaluation(self) -> Evaluation:
        """Return how good that was."""
        assert self.told is not None
        return self.told


def recalled(run: Run) -> dict[str, Recalled]:
    """Return what each classifier of a run of binary ones said about the photos that it was judged on."""
    text = (run.path / PREDICTIONS).read_bytes().decode()
    lines = list(io.StringIO(text if len(run.items) > 1 else _as_of_several(text, run.items[0]), newline=""))
    table = csv.reader(lines)
    # One row is several lines where a file's name breaks.
    ends = [(row, table.line_num) for row in table]
    said: dict[str, list[str]] = {item: [] for item in run.items}
    wrong: dict[str, list[list[str]]] = {item: [] for item in run.items}
    for (_, start), (row, end) in itertools.pairwise(ends):
        item, _, _, label, called, _ = row
        said[item] += lines[start:end]
        if label != called:
            wrong[item].append(row)
    return {item: _recalled(run, item, wrong[item], "".join(said[item])) for item in run.items}


def _as_of_several(text: str, item: str) -> str:
    """Return predictions.csv of a run of one item, with the probability of either class, as if there were others."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerows([item, *row[:4], row[5]] for row in csv.reader(io.StringIO(text, newline="")))
    return file.getvalue()


def _recalled(run: Run, item: str, wrong: Sequence[list[str]], lines: str) -> Recalled:
    names, told = run.labels[item], _evaluation(run.metrics["items"][item])
    photos = tuple(Photo(Path(row[1]), names.index(row[3]), row[2], "") for row in wrong)  # type: ignore[arg-type]
    positive = np.array([float(row[5]) for row in wrong])
    return Recalled(
        names,
        photos,
        np.array([photo.label for photo in photos], np.int64),
        np.column_stack([1 - positive, positive]),
        told.judged_on,
        run.thresholds[item],
        folder=run.path / ITEMS / item if len(run.items) > 1 else run.path,
        lines=lines,
        told=told,
    )


def _evaluation(told: Mapping[str, Any]) -> Evaluation:
    found = Evaluation(**told)
    scores = {name: Score(**score) for name, score in told["per_class"].items()}
    low, high = told["interval"]
    return replace(found, per_class=scores, interval=(low, high))
