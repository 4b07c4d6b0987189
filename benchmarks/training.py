"""How good classifiers are on folders of photographs, by cross-validation; each choice beside the others.

    python benchmarks/training.py DATA WEIGHTS [--sets pizza_not_pizza,...] [--labels N] [--fine-tune N] [--cnn]

DATA holds folders of class folders; WEIGHTS holds weight files of MobileNet 0.75 and MobileNetV2. Features are kept in
--store, so that a second call takes seconds. Every fold is judged by a head that saw nothing of it: width, ridge and
calibration come from leave-one-out inside the other folds. --deals deals the folds anew so often: of 700 photos, one
deal is good for about .008 either way.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dataset.tray import Train
from train import features, heads
from train.data import Dataset, read_dataset
from train.evaluate import Judged, calibration_error, doubts, wilson
from train.fit import train
from train.folds import deal, groups_of
from train.plan import effective
from train.runs import Run

SETS = ("pizza_not_pizza", "food8", "products10", "decor7", "trash6", "bikes")
FILES = {
    "mobilenet_0.75_224": "mobilenet_7_5_224_tf_no_top.h5",
    "mobilenetv2_0.35_224": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
    "mobilenetv2_1.0_224": "mobilenet_v2_1.0_224_no_top_dequantised.h5",
}
JOINED = "mobilenet_0.75_224+mobilenetv2_1.0_224"
THREE = f"{JOINED}+mobilenetv2_0.35_224"
FOLDS = 5
SHARE_FLIPPED = 0.2


def main() -> None:
    """Print a table: a row per set and choice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument(
        "--labels", type=int, default=0, metavar="N", help="only make labels wrong, N times: what --robust saves"
    )
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "tray-features")
    parser.add_argument("--deals", type=int, default=1, help="how often the folds are dealt")
    parser.add_argument(
        "--fine-tune", type=int, default=0, help="also tune so many topmost convolutions: minutes a fold"
    )
    parser.add_argument("--cnn", action="store_true", help="also train the cnn once on an 80/20 split: minutes")
    asked = parser.parse_args()
    print(f"{'set':16} {'choice':58} {'accuracy':>8}  {'95 % interval':15} {'left out':>8} {'ECE':>5} {'heads s':>8}")
    for name in asked.sets.split(","):
        dataset = read_dataset(asked.data / name)
        if asked.labels:
            flip(name, known(dataset, settings(asked.weights, JOINED, augment=True), asked), asked.labels)
            continue
        one, *_ = JOINED.split("+")
        single = known(dataset, settings(asked.weights, one, augment=False), asked)
        judge(name, f"{one}, 1 view", single, single.mixes[:1])
        larger = known(dataset, settings(asked.weights, JOINED, augment=True), asked)
        last_maps, with_larger, first, second = larger.mixes
        judge(name, f"{one}, at 320 pixels and mirrored", larger, first[None])
        judge(name, f"{JOINED.split('+')[1]}, at 320 pixels and mirrored", larger, second[None])
        judge(name, "both, at 320 pixels and mirrored", larger, last_maps[None])
        judge(name, "both, at 320 pixels and mirrored, larger maps too", larger, with_larger[None])
        what = "the mix that leave-one-out chooses" if larger.classes == 2 else "the weighed mean of all mixes"
        judge(name, f"{what}: what tray train does", larger, larger.mixes)
        three = known(dataset, settings(asked.weights, THREE, augment=True), asked)
        judge(name, f"{THREE.split('+')[2]} as a third: what tray train does", three, three.mixes)
        if asked.fine_tune:
            tuned(name, dataset, settings(asked.weights, JOINED, augment=False), asked)
        if asked.cnn:
            alone(name, asked.data / name)


@dataclass(frozen=True, slots=True)
class Known:
    """The photos of one set with their features, labels and folds."""

    inputs: np.ndarray
    labels: np.ndarray
    folds: list[np.ndarray]
    """The fold of each photo, for each time that they were dealt."""
    classes: int
    mixes: np.ndarray


def settings(weights: Path, model: str, *, augment: bool) -> Train:
    """Return the settings of a model whose weights lie in a folder."""
    files = ",".join(str(weights / FILES[one]) for one in model.split("+"))
    return effective(Train(model=model, weights=files, augment=augment))


def known(dataset: Dataset, chosen: Train, asked: argparse.Namespace) -> Known:
    """Return a set's features, from the store where they are there."""
    photos = {photo.sha256: photo for photo in dataset.photos}
    with_ = features.extractor(chosen)
    found = last(features.embed(photos, with_, asked.store))
    readable = [photo for sha256, photo in photos.items() if sha256 in found]
    inputs = np.stack([found[photo.sha256] for photo in readable])
    labels = np.array([photo.label for photo in readable])
    groups = groups_of(dataset, readable)
    orders = [
        groups,
        *([hashlib.sha256(f"{n}{one}".encode()).hexdigest() for one in groups] for n in range(1, asked.deals)),
    ]
    dealt = [deal(readable, order, FOLDS) for order in orders]
    return Known(inputs, labels, dealt, len(dataset.class_names), with_.mixes)


def judge(name: str, choice: str, one: Known, mixes: np.ndarray) -> None:
    """Cross-validate one choice on one set, and print its row.

    ``left out`` is the accuracy by leave-one-out inside the training folds: the figure to choose by.
    """
    left_out, right, wide = [], [], []
    started = time.perf_counter()
    for fold in one.folds:
        said = np.empty((len(one.labels), one.classes))
        for number in range(FOLDS):
            some, rest = fold != number, fold == number
            head = heads.fit(one.inputs[some], one.labels[some], one.classes, mixes=mixes)
            said[rest] = head.probabilities(one.inputs[rest])
            left_out.append((head.left_out.argmax(axis=1) == one.labels[some]).mean())
        right.append((said.argmax(axis=1) == one.labels).mean())
        wide.append(calibration_error(said, one.labels))
    low, high = wilson(round(np.mean(right) * len(one.labels)), len(one.labels))
    print(
        f"{name:16} {choice:58} {np.mean(right):8.3f}  {low:.3f} to {high:.3f}  {np.mean(left_out):8.3f} "
        f"{np.mean(wide):5.3f} {time.perf_counter() - started:8.1f}",
        flush=True,
    )


def flip(name: str, one: Known, times: int) -> None:
    """Make labels wrong in several ways, and print how many are found and what believing and doubting them costs.

    Points are lost against the same head on clean labels. The clean rest alone is the floor: what a head loses that
    knows which labels are wrong, and does without those photos.
    """
    for way, wronged in WRONGED.items():
        found, right = [], {"clean": [], "the clean rest alone": [], "believed": [], "--robust": []}
        spent = 0.0
        for seed in range(times):
            fold = one.folds[seed % len(one.folds)]
            for number in range(FOLDS):
                some, rest = fold != number, fold == number
                inputs, labels = one.inputs[some], one.labels[some]
                wrong = wronged(labels, one.classes, np.random.default_rng([seed, number]))
                flipped = wrong != labels
                started = time.perf_counter()
                doubting = heads.fit_doubting(inputs, wrong, one.classes, mixes=one.mixes)
                spent += time.perf_counter() - started
                if flipped.any():
                    judged = Judged((), (), wrong, doubting.left_out, "train")
                    first = np.argsort(-doubts(judged), kind="stable")[: len(labels) // 4]
                    found.append(flipped[first].sum() / flipped.sum())
                for told, head in (
                    ("clean", heads.fit(inputs, labels, one.classes, mixes=one.mixes)),
                    (
                        "the clean rest alone",
                        heads.fit(inputs[~flipped], labels[~flipped], one.classes, mixes=one.mixes),
                    ),
                    ("believed", heads.fit(inputs, wrong, one.classes, mixes=one.mixes)),
                    ("--robust", doubting),
                ):
                    right[told] += (head.probabilities(one.inputs[rest]).argmax(axis=1) == one.labels[rest]).tolist()
        clean = np.mean(right.pop("clean"))
        lost = ", ".join(f"{told} {100 * (clean - np.mean(hits)):.1f}" for told, hits in right.items())
        listed = f"{np.mean(found):.3f} of the wrong in the first quarter of the list; " if found else ""
        seconds = spent / times / FOLDS
        print(f"{name:16} {way}: {listed}clean {clean:.3f}, points lost: {lost}; {seconds:.1f} s a fit", flush=True)


def _untouched(labels: np.ndarray, _classes: int, _rng: np.random.Generator) -> np.ndarray:
    return labels


def _evenly(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Give a fifth of all photos any other label."""
    flipped = rng.permutation(len(labels)) < SHARE_FLIPPED * len(labels)
    return np.where(flipped, (labels + rng.integers(1, classes, len(labels))) % classes, labels)


def _of_one_class(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Give a fifth of one class's photos the label of one other, as where a search mixes up two things."""
    one, other = rng.choice(classes, 2, replace=False)
    mine = rng.permutation(np.flatnonzero(labels == one))
    wrong = labels.copy()
    wrong[mine[: round(SHARE_FLIPPED * len(mine))]] = other
    return wrong


WRONGED = {
    "no label wrong": _untouched,
    "a fifth of all wrong, evenly": _evenly,
    "a fifth of one class wrong": _of_one_class,
}


def tuned(name: str, dataset: Dataset, chosen: Train, asked: argparse.Namespace) -> None:
    """Train each fold with the backbones as they are and with their topmost convolutions tuned, and print both rows.

    A fifth of the other folds tells when to stop; the fold itself is only judged.
    """
    photos = list({photo.sha256: photo for photo in dataset.photos}.values())
    fold = deal(photos, groups_of(dataset, photos), FOLDS)
    right = {0: 0, asked.fine_tune: 0}
    spent = dict.fromkeys(right, 0.0)
    for number in range(FOLDS):
        folder = asked.store / "tuned" / f"{name}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        for photo, of in zip(photos, fold, strict=True):
            part = folder / ("test" if of == number else "train") / dataset.class_names[photo.label]
            part.mkdir(parents=True, exist_ok=True)
            (part / f"{photo.sha256[:16]}{photo.path.suffix}").symlink_to(photo.path.resolve())
        for convolutions in right:
            settings = replace(chosen, fine_tune=convolutions)
            *_, run = train({"": folder}, asked.store / "runs", settings, name=f"{name}-{number}")
            assert isinstance(run, Run)
            right[convolutions] += round(run.metrics["accuracy"] * run.metrics["n"])
            spent[convolutions] += run.record["seconds"]
            print(
                f"{'':16} fold {number + 1}, {convolutions} tuned: {run.metrics['accuracy']:.3f}, "
                f"{run.record['seconds']} s",
                file=sys.stderr,
            )
    for convolutions, hits in right.items():
        low, high = wilson(hits, len(photos))
        print(
            f"{name:16} {f'both, 1 view, {convolutions} convolutions tuned':58} {hits / len(photos):8.3f}  "
            f"{low:.3f} to {high:.3f}  {'':8} {'':5} {spent[convolutions]:8.1f}",
            flush=True,
        )


def alone(name: str, folder: Path) -> None:
    """Train the cnn from nothing, with and without augmentation, and print its rows."""
    for augment in (False, True):
        with tempfile.TemporaryDirectory() as runs:
            settings = replace(Train(), augment=augment)
            *_, run = train({"": folder}, Path(runs), settings, name=name)
            assert isinstance(run, Run)
            low, high = run.metrics["interval"]
            model = "cnn" + (" augmented" if augment else "") + ", one split"
            print(
                f"{name:16} {model:58} {run.metrics['accuracy']:8.3f}  {low:.3f} to {high:.3f}  {'':8} {'':5} "
                f"{run.record['seconds']:8.1f}",
                flush=True,
            )


def last(steps: Iterator[object]) -> dict[str, np.ndarray]:
    """Run a stage to its end and return the features it gives."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[0]


if __name__ == "__main__":
    main()
