"""How good classifiers are on folders of photographs, by cross-validation; each choice beside the others.

    python benchmarks/training.py DATA WEIGHTS [--sets pizza_not_pizza,...] [--cnn]

DATA holds folders of class folders; WEIGHTS holds weight files of MobileNet 0.75 and MobileNetV2. Features are kept in
--store, so that a second call takes seconds. Every fold is judged by a head that saw nothing of it: width, ridge and
calibration come from leave-one-out inside the other folds.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from dataset.tray import Train
from train import features, heads
from train.data import Dataset, Photo, read_dataset
from train.evaluate import calibration_error, wilson
from train.fit import effective, train
from train.runs import Run

SETS = ("pizza_not_pizza", "food8", "products10", "decor7", "trash6", "bikes")
FILES = {
    "mobilenet_0.75_224": "mobilenet_7_5_224_tf_no_top.h5",
    "mobilenetv2_0.35_224": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
    "mobilenetv2_1.0_224": "mobilenet_v2_1.0_224_no_top_dequantised.h5",
}
CHOICES = (
    ("mobilenet_0.75_224", False),
    ("mobilenet_0.75_224", True),
    ("mobilenetv2_1.0_224", True),
    ("mobilenet_0.75_224+mobilenetv2_1.0_224", True),
    ("mobilenet_0.75_224+mobilenetv2_1.0_224+mobilenetv2_0.35_224", True),
)
FOLDS = 5


def main() -> None:
    """Print a table: a row per set and choice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--choices", type=int, default=len(CHOICES), help="the first so many choices")
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "tray-features")
    parser.add_argument("--cnn", action="store_true", help="also train the cnn once on an 80/20 split: minutes")
    asked = parser.parse_args()
    print(f"{'set':16} {'model':60} {'accuracy':>8}  {'95 % interval':15} {'ECE':>5} {'features s':>10} {'heads s':>8}")
    for name in asked.sets.split(","):
        dataset = read_dataset(asked.data / name)
        for model, views in CHOICES[: asked.choices]:
            files = ",".join(str(asked.weights / FILES[one]) for one in model.split("+"))
            settings = effective(Train(model=model, weights=files, augment=views))
            judge(name, dataset, settings, asked.store)
        if asked.cnn:
            alone(name, asked.data / name)


def judge(name: str, dataset: Dataset, settings: Train, store: Path) -> None:
    """Cross-validate one choice on one set, and print its row."""
    photos = {photo.sha256: photo for photo in dataset.photos}
    started = time.perf_counter()
    found = last(features.embed(photos, features.extractor(settings), store))
    embedded = time.perf_counter() - started
    known = [photo for sha256, photo in photos.items() if sha256 in found]
    inputs = np.stack([found[photo.sha256] for photo in known])
    labels = np.array([photo.label for photo in known])
    fold = folds(known)
    said = np.empty((len(known), len(dataset.class_names)))
    started = time.perf_counter()
    for number in range(FOLDS):
        head = heads.fit(inputs[fold != number], labels[fold != number], len(dataset.class_names))
        said[fold == number] = head.probabilities(inputs[fold == number])
    right = int((said.argmax(axis=1) == labels).sum())
    low, high = wilson(right, len(labels))
    model = settings.model + (" x4 views" if settings.augment else "")
    print(
        f"{name:16} {model:60} {right / len(labels):8.3f}  {low:.3f} to {high:.3f}  "
        f"{calibration_error(said, labels):5.3f} {embedded:10.1f} {time.perf_counter() - started:8.1f}",
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
                f"{name:16} {model:60} {run.metrics['accuracy']:8.3f}  {low:.3f} to {high:.3f}  {'':5} {'':10} "
                f"{run.record['seconds']:8.1f}",
                flush=True,
            )


def folds(photos: list[Photo]) -> np.ndarray:
    """Return the fold of each photo: dealt in turn within each class, in the order of the hashes."""
    fold = np.empty(len(photos), np.int64)
    for label in {photo.label for photo in photos}:
        mine = sorted((n for n, photo in enumerate(photos) if photo.label == label), key=lambda n: photos[n].sha256)
        fold[mine] = np.arange(len(mine)) % FOLDS
    return fold


def last(steps: Iterator[object]) -> dict[str, np.ndarray]:
    """Run a stage to its end and return the features it gives."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[0]


if __name__ == "__main__":
    main()
