"""Cross-validation: every photo judged once, by classifiers that saw neither it nor its near-duplicates."""

import json
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import NotEnoughImages, TrayError
from dataset.folder import METADATA
from dataset.progress import Progress
from dataset.tray import Train
from train import backbones, features, heads
from train.data import Dataset, Photo
from train.evaluate import Evaluation, Judged, threshold, together
from train.runs import Run

Array = np.ndarray[Any, Any]


def cross_validate(run: Run, data: Path | None = None, *, folds: int) -> Generator[Progress | Evaluation]:
    """Yield progress and, last, how good the run's way of training is on all photos of its data or of another folder.

    The heads are fitted anew, each judged on the fold that it did not see; the run itself is not asked, and what it
    learned from trays is left out. Raises TrayError for a run that trained from nothing, NotEnoughImages for a class
    with fewer groups than folds.
    """
    settings = run.settings
    if settings.fine_tune or not backbones.find_all(settings.model):
        what = "that was tuned" if settings.fine_tune else "that trains from nothing"
        raise TrayError(
            f"Expected a run on a frozen backbone, whose heads are fitted in seconds. Received: {run.path}, a "
            f"{settings.model!r} {what}. Train with a frozen backbone, or evaluate without folds."
        )
    with_ = features.extractor(settings)
    datasets = run.datasets(data)
    for item, dataset in datasets.items():
        if set(dataset.class_names) != set(run.labels[item]):
            raise TrayError(
                f"Expected the classes that the run tells apart: {', '.join(run.labels[item])}. Received: "
                f"{', '.join(dataset.class_names)} in {dataset.path}. Name a folder with the same classes."
            )
    every = {photo.sha256: photo for dataset in datasets.values() for photo in dataset.photos}
    found, _ = yield from features.embed(every, with_, run.path.parent.parent / features.STORE)
    judged = {}
    for item, dataset in datasets.items():
        mine = {photo.sha256: photo for photo in dataset.photos if photo.sha256 in found}
        readable = replace(dataset, photos=tuple(mine.values()))
        inputs = np.stack([found[sha256] for sha256 in mine])
        judged[item] = _judge(readable, inputs, with_.mixes, settings, folds)
    yield together({item: one.evaluation for item, one in judged.items()})


def deal(photos: Sequence[Photo], groups: Sequence[str], folds: int) -> Array:
    """Return the fold of each photo: groups are dealt in turn within each class, in an order that hashes give.

    A group that has photos of several classes counts for the first of them. Raises NotEnoughImages for a class with
    fewer groups than folds.
    """
    first: dict[str, int] = {}
    for photo, group in sorted(zip(photos, groups, strict=True), key=lambda pair: (pair[1], pair[0].sha256)):
        first.setdefault(group, photo.label)
    fold_of: dict[str, int] = {}
    for label in sorted({photo.label for photo in photos}):
        mine = [group for group, of in first.items() if of == label]
        if len(mine) < folds:
            raise NotEnoughImages(
                f"Expected at least {folds} different pictures of each class for {folds} folds. Received: {len(mine)} "
                f"of one. Add more, or take fewer folds."
            )
        fold_of |= {group: n % folds for n, group in enumerate(mine)}
    return np.array([fold_of[group] for group in groups], np.int64)


def groups_of(dataset: Dataset, photos: Sequence[Photo]) -> list[str]:
    """Return the group of near-duplicates of each photo, as the build found them; without a build, its bytes' hash."""
    card = dataset.path / METADATA
    rows = map(json.loads, card.read_text(encoding="utf-8").splitlines()) if card.is_file() else ()
    group_of = {dataset.path / str(row.get("file_name")): str(row.get("group")) for row in rows if row.get("group")}
    return [group_of.get(photo.path, photo.sha256) for photo in photos]


def _judge(dataset: Dataset, inputs: Array, mixes: Array, settings: Train, folds: int) -> Judged:
    photos = dataset.photos
    labels = np.array([photo.label for photo in photos], np.int64)
    fold = deal(photos, groups_of(dataset, photos), folds)
    classes = len(dataset.class_names)
    said, least = np.empty((len(photos), classes)), np.full(len(photos), 0.5)
    fit = heads.fit_doubting if settings.robust else heads.fit
    for number in range(folds):
        some = fold != number
        head = fit(inputs[some], labels[some], classes, seed=settings.seed, mixes=mixes)
        said[~some] = head.probabilities(inputs[~some])
        if classes == 2:
            # As training chooses it, on nothing that the fold is judged by.
            least[~some] = threshold(head.left_out, labels[some], precision=settings.wanted_precision)
    return Judged(dataset.class_names, photos, labels, said, f"{folds} folds of {dataset.path.name}", least)
