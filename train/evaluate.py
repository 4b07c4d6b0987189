"""How good a classifier is, told by photos whose labels are known."""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import NotEnoughImages, TrayError
from dataset.folder import METADATA, make_folder
from dataset.progress import Progress
from dataset.review.catalogue import json_lines
from train.data import Dataset, Photo, read_dataset
from train.predict import classify
from train.ranking import average_precision, roc_auc
from train.runs import Run

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """One class: precision, recall and F1 in 0..1, and how many pictures of it there were."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a classifier did on ``n`` labelled photos; with several classifiers, the mean of theirs in ``items``.

    Each of several decides on the same photo: then ``n`` and ``accuracy`` count decisions.
    """

    judged_on: str
    """Which photos: ``test``, ``val``, or the name of a folder."""
    n: int
    accuracy: float
    interval: tuple[float, float] | None
    """Wilson's 95 % interval of the accuracy; None of several classifiers, whose decisions are not independent."""
    macro_f1: float
    f1: float
    """F1 of the positive class of a binary classifier; of several classes, the macro F1."""
    per_class: dict[str, Score]
    calibration_error: float = 0.0
    """Expected calibration error: how far confidence and accuracy lie apart, 0 at best."""
    average_precision: float | None = None
    """Area under the precision-recall curve of a binary classifier's positive class."""
    roc_auc: float | None = None
    """Area under its receiver operating characteristic."""
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many photos of each class (outer) were called what (inner)."""
    seen: int = 0
    """Photos among them that the classifier had learned from: they flatter it."""
    items: dict[str, "Evaluation"] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What one classifier said about photos whose labels are known."""

    class_names: tuple[str, ...]
    photos: tuple[Photo, ...]
    truth: Array
    """The label of each photo."""
    probabilities: Array
    """(n, classes), in the order of ``photos``."""
    judged_on: str
    threshold: float | Array = 0.5
    """The probability from which a binary classifier's positive class counts as present; one for all, or (n,)."""
    seen: int = 0
    """Photos among them that the classifier had learned from."""

    @cached_property
    def called(self) -> Array:
        """Return the label that each photo was given."""
        return decide(self.probabilities, self.threshold)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Return how good that was."""
        return judge(self)


def judge(one: Judged) -> Evaluation:
    """Compare what a classifier said with the truth."""
    classes = len(one.class_names)
    counts = np.bincount(one.truth * classes + one.called, minlength=classes**2).reshape(classes, classes)
    right_of, shown_of, called_of = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    per_class = {
        name: Score(_share(hits, called), _share(hits, shown), _share(2 * hits, called + shown), int(shown))
        for name, hits, called, shown in zip(one.class_names, right_of, called_of, shown_of, strict=True)
    }
    confusion = {
        name: {other: int(count) for other, count in zip(one.class_names, row, strict=True)}
        for name, row in zip(one.class_names, counts, strict=True)
    }
    right, n = int((one.called == one.truth).sum()), len(one.truth)
    ranked = classes == 2 and 0 < one.truth.sum() < n
    # A class that no photo shows has no F1; zero would blame the classifier for it.
    shown = [score.f1 for score in per_class.values() if score.support]
    macro = sum(shown) / len(shown)
    return Evaluation(
        judged_on=one.judged_on,
        n=n,
        accuracy=right / n,
        interval=wilson(right, n),
        macro_f1=macro,
        f1=per_class[one.class_names[1]].f1 if classes == 2 else macro,
        per_class=per_class,
        calibration_error=calibration_error(one.probabilities, one.truth),
        average_precision=average_precision(one.truth, one.probabilities[:, 1]) if ranked else None,
        roc_auc=roc_auc(one.truth, one.probabilities[:, 1]) if ranked else None,
        confusion=confusion,
        seen=one.seen,
    )


def _share(some: int, of: int) -> float:
    return float(some / of) if of else 0.0


def decide(probabilities: Array, threshold: float | Array = 0.5) -> Array:
    """Return the label that each row of (n, classes) probabilities is called; two classes by ``threshold``, or (n,)."""
    if probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= threshold, np.int64)
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def threshold(probabilities: Array, truth: Array, *, precision: float | None = None) -> float:
    """Return from which probability of (n, 2) on the positive class is to count as present: for the highest F1.

    Of all thresholds whose F1 is within one standard error of the highest it is the one nearest to a half: few photos
    must not decide by chance. With ``precision`` it is that of the highest recall among those with at least this
    precision; where none has it, that of the highest precision. 0.5 where only one class is shown.
    """
    if not 0 < truth.sum() < len(truth):
        return 0.5
    order = np.argsort(-probabilities[:, 1], kind="stable")
    scores, hits = probabilities[order, 1], np.cumsum(truth[order])
    called = np.arange(1, len(scores) + 1)
    following = np.append(scores[1:], 0)
    # A half itself, wherever it parts the scores, is as good as the middle between them.
    cuts = np.where((following < 0.5) & (scores >= 0.5), 0.5, (scores + following) / 2)
    precise, positives = hits / called, hits[-1]
    if precision is None:
        worth = 2 * hits / (called + positives)
        slack = math.sqrt(worth.max() * (1 - worth.max()) / positives)
    else:
        worth, slack = np.where(precise >= precision, hits, precise - 1), 0.0
    # Between equal scores there is no cut.
    worth = np.where((scores > following) | (called == len(scores)), worth, -np.inf)
    best = np.flatnonzero(worth >= worth.max() - slack - 1e-12)
    return max(1e-6, float(cuts[best[np.argmin(abs(cuts[best] - 0.5))]]))


def doubts(one: Judged) -> Array:
    """Return for each photo by how much the likeliest class outweighs its label, 0 where they are the same.

    Asked of photos that the classifier was not trained on, this ranks wrong labels (Northcutt et al., 2021).
    """
    rows = np.arange(len(one.truth))
    return np.asarray(one.probabilities.max(axis=1) - one.probabilities[rows, one.truth])


def temperature(probabilities: Array, truth: Array) -> float:
    """Return by what to divide the logits behind (n, classes) probabilities so that they promise what they keep.

    It is the temperature, between 1/4 and 10, of the lowest loss (Guo et al., 2017); choose it on validation photos.
    """
    logits = np.log(np.maximum(probabilities, 1e-12))
    tried = np.geomspace(0.25, 10, 200)
    # A little doubt on each label, so that a few photos that are all right do not ask for certainty.
    doubt = 1 / (len(truth) + 2)

    def loss(one: float) -> float:
        said = logits / one
        said = said - said.max(axis=1, keepdims=True)
        said = said - np.log(np.exp(said).sum(axis=1, keepdims=True))
        return -float(((1 - doubt) * said[np.arange(len(truth)), truth] + doubt * said.mean(axis=1)).mean())

    return float(min(tried, key=loss))


def cooled(probabilities: Array, by: float) -> Array:
    """Return (n, classes) probabilities at another temperature."""
    power = np.maximum(probabilities, 1e-12) ** (1 / by)
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def calibration_error(probabilities: Array, truth: Array, *, bins: int = 10) -> float:
    """Return the expected calibration error: how far confidence and accuracy lie apart, in bins of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[place == one].sum() - right[place == one].sum()) for one in range(bins)]
    return float(sum(gaps) / max(1, len(truth)))


def expected_error(probabilities: Array, *, bins: int = 10) -> float:
    """Return the calibration error that chance alone gives a classifier of these probabilities that is calibrated.

    In each bin the count of right ones is nearly normal, and its mean distance from the middle sqrt(2 / pi) deviations.
    """
    confidence = probabilities.max(axis=1)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    variance = np.bincount(place, confidence * (1 - confidence), bins)
    return float(np.sqrt(2 / math.pi * variance).sum() / max(1, len(confidence)))


def with_more(pictures: Sequence[float], errors: Sequence[float], more: int = 200) -> float | None:
    """Return the share of errors to expect with ``more`` training pictures; None where the past tells nothing.

    Learning curves fall as a power of the pictures (Hestness et al., 2017): a line through the logarithms.
    """
    some = [(n, error) for n, error in zip(pictures, errors, strict=True) if error > 0]
    if len({n for n, _ in some}) < 3:
        return None
    places, heights = np.log(np.array(some)).T
    slope = np.polyfit(places, heights, 1)[0]
    if slope >= 0:
        return None
    last, error = some[-1]
    return float(error * ((last + more) / last) ** slope)


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927): it stays within 0..1 and holds for small ``n``."""
    if not n:
        return 0.0, 1.0
    z, share = 1.959964, right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def together(parts: Mapping[str, Evaluation]) -> Evaluation:
    """Return one evaluation for one or several classifiers: the mean of their figures, and theirs as ``items``."""
    every = list(parts.values())
    n = sum(one.n for one in every)
    right = sum(round(one.accuracy * one.n) for one in every)
    return Evaluation(
        judged_on=", ".join(dict.fromkeys(one.judged_on for one in every)),
        n=n,
        accuracy=right / n,
        interval=every[0].interval if len(every) == 1 else None,
        macro_f1=sum(one.macro_f1 for one in every) / len(every),
        f1=sum(one.f1 for one in every) / len(every),
        per_class=every[0].per_class
        if len(every) == 1
        else {item: list(one.per_class.values())[-1] for item, one in parts.items()},
        calibration_error=sum(one.calibration_error * one.n for one in every) / n,
        average_precision=_mean(one.average_precision for one in every),
        roc_auc=_mean(one.roc_auc for one in every),
        confusion=every[0].confusion if len(every) == 1 else {},
        seen=max(one.seen for one in every),
        items=dict(parts),
    )


def evaluate(run: Run, data: Path | None = None, out: Path | None = None) -> Iterator[Progress | Evaluation]:
    """Yield progress and, last, how good a run is on a labelled folder, also one that it never saw.

    Figures, predictions and report go to ``out``.
    A dataset with a test part is judged on that, else on its val part; a plain folder of class folders on all of it.
    Without ``data`` the run's own dataset is meant; without ``out`` nothing is written. Raises TrayError for a class
    that the run never learned.
    """
    found, errors = yield from ask(run, data)
    if out:
        from train.report import LOOKED, Page, write_all
        from train.where import looking

        page = Page(
            title=f"{run.path.parent.name} on {data.name if data else 'its own data'}",
            config=run.config,
            items=run.record["items"],
            unreadable=errors,
            look=looking(run.model, run.image_size, run.items[-LOOKED:]),
        )
        write_all(make_folder(out), found, page)
    yield together({item: one.evaluation for item, one in found.items()})


def ask(run: Run, data: Path | None = None) -> Generator[Progress, None, tuple[dict[str, Judged], dict[Path, str]]]:
    """Yield progress and return what each classifier says of the photos to judge it on, and why some can't be read."""
    known = learned_from(run) if data else frozenset()
    datasets = dict.fromkeys(run.items, read_dataset(data)) if data else run.datasets()
    if data is None:
        require_unchanged(run, datasets)
    tasks = {}
    for item, dataset in datasets.items():
        photos, judged_on = to_judge(dataset, own=data is None)
        tasks[item] = Task(photos, truth(run, item, dataset, photos), judged_on)
    said, errors = yield from _ask(run, {photo.sha256: photo.path for task in tasks.values() for photo in task.photos})
    found = {}
    for item, task in tasks.items():
        some = [n for n, photo in enumerate(task.photos) if task.truth[n] >= 0 and photo.sha256 in said]
        if some:
            photos = tuple(task.photos[n] for n in some)
            probabilities = np.stack([said[photo.sha256][item] for photo in photos])
            threshold = run.thresholds.get(item, 0.5)
            seen = sum(photo.sha256 in known for photo in photos)
            found[item] = Judged(
                run.labels[item], photos, task.truth[some], probabilities, task.judged_on, threshold, seen
            )
    if not found:
        raise NotEnoughImages(f"Expected readable pictures in {data or run.path}. Received: none of {len(errors)}.")
    return found, errors


def learned_from(run: Run) -> frozenset[str]:
    """Return the SHA-256 of each picture that a run learned from or was chosen by, as built and as it was received.

    Nothing where its datasets are gone.
    """
    found: set[str] = set()
    with suppress(TrayError, OSError):
        for dataset in run.datasets().values():
            mine = {photo.path: photo.sha256 for photo in dataset.photos if photo.part != "test"}
            rows = json_lines(dataset.path / METADATA)
            received = {dataset.path / str(row.get("file_name")): str(row.get("sha256")) for row in rows}
            found |= {*mine.values(), *(received.get(path, "") for path in mine)}
    return frozenset(found)


def require_unchanged(run: Run, datasets: Mapping[str, Dataset]) -> None:
    """Raise TrayError when a run's own data is no longer what it was trained on: held-back pictures may have moved."""
    for item, dataset in datasets.items():
        if dataset.fingerprint != run.fingerprint[item]:
            raise TrayError(
                f"Expected the pictures that {run.path} was trained on in {dataset.path}. Received: others, so what "
                f"was held back then may not be what is held back now. Train again, or name the folder with --data."
            )


@dataclass(frozen=True, slots=True)
class Task:
    """Photos that one classifier is to be judged on, and their labels; -1 where the label says nothing about it."""

    photos: tuple[Photo, ...]
    truth: Array
    judged_on: str


def to_judge(dataset: Dataset, *, own: bool) -> tuple[tuple[Photo, ...], str]:
    """Return the photos of a dataset that a classifier may be judged on, and what to call them.

    ``own`` says that the classifier was trained on this very dataset: then only the held-back parts serve.
    """
    for part in ("test", "val"):
        photos = dataset.part(part)
        if photos and (own or dataset.has_parts):
            return tuple(photos), part
    return dataset.photos, dataset.path.name


def truth(run: Run, item: str, dataset: Dataset, photos: Iterable[Photo]) -> Array:
    """Return the label of each photo for one of the run's classifiers, -1 where its class says nothing.

    A classifier among several takes every other item, and the background, for its negatives.
    Raises TrayError for a class that the run never learned.
    """
    class_names = run.labels[item]
    label_of = {name: class_names.index(name) if name in class_names else -1 for name in dataset.class_names}
    several = len(run.items) > 1
    known = {name for names in run.labels.values() for name in names} | ({"background"} if several else set())
    for name, label in label_of.items():
        if name not in known:
            raise TrayError(
                f"Expected the classes that the run was trained on: {', '.join(sorted(known))}. Received: {name!r} in "
                f"{dataset.path}. Rename that folder to the class it belongs to, or take it out."
            )
        if several and label < 0 and (name == "background" or name in {names[1] for names in run.labels.values()}):
            label_of[name] = 0
    return np.array([label_of[dataset.class_names[photo.label]] for photo in photos], np.int64)


def _ask(
    run: Run, paths: Mapping[str, Path]
) -> Generator[Progress, None, tuple[dict[str, dict[str, Array]], dict[Path, str]]]:
    """Yield progress and return what each classifier says of each file, by sha256, and why some can't be read."""
    said, errors = {}, {}
    answers = classify(run, paths.values())
    for done, (sha256, (path, answer)) in enumerate(zip(paths, answers, strict=True)):
        yield Progress("judge pictures", done, len(paths))
        if isinstance(answer, str):
            errors[path] = answer
        else:
            said[sha256] = answer
    yield Progress("judge pictures", len(paths), len(paths))
    return said, errors
