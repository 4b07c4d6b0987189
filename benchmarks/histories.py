"""The five classifiers that this project grew from, as recipes on the photos at hand, beside what was told of them.

    python benchmarks/histories.py DATA WEIGHTS [--only pizza,foods,decor,fridge,bikes] [--epochs 30] [--store DIR]

DATA holds folders of class folders, WEIGHTS files of MobileNet 0.75. The photos are other and far fewer than in the
originals, so the figures are no replication. As in the originals they are of validation photos, by which the best
epoch is chosen too, so that they flatter a little. docs/histories.md has the same recipes as commands.

pizza    `cnn`, 180x180, batches of 200, early stopping on validation accuracy (min_delta .005, patience 5)
foods    the same network on several foods, without and with flips and rotations
decor    a linear layer on a frozen MobileNet, 500 steps at two learning rates. The original's width was 0.50: with
         mobilenet_5_0_224_tf_no_top.h5 in WEIGHTS it is 0.50 here too, else 0.75, and the row says which
fridge   packaged products on a frozen MobileNet, as a table of id, class and probability
bikes    `cnn64`, 64x64, 20 epochs
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dataset.tray import Train
from train import features
from train.belief import softmax
from train.data import read_dataset
from train.evaluate import wilson
from train.fit import train
from train.plan import effective
from train.predict import predict
from train.runs import Run

MOBILENET = "mobilenet_0.75_224"
FILE = "mobilenet_7_5_224_tf_no_top.h5"
HALF, HALF_FILE = "mobilenet_0.50_224", "mobilenet_5_0_224_tf_no_top.h5"
STEPS, BATCH = 500, 32
SHOWN = 10


def pizza(asked: argparse.Namespace) -> None:
    """Print the pizza network's figures."""
    settings = Train(batch_size=200, epochs=asked.epochs, min_delta=0.005)
    told("pizza / not pizza, cnn", ".93 (10,867 files, validation)", fitted(asked, "pizza_not_pizza", settings))


def foods(asked: argparse.Namespace) -> None:
    """Print the foods' figures, without and with augmentation."""
    for augment, original in ((False, ".82 (17,494 files, 10 foods, validation)"), (True, ".83 (the same)")):
        settings = Train(epochs=asked.epochs, augment=augment)
        what = "foods, cnn, flips and rotations" if augment else "foods, cnn"
        told(what, original, fitted(asked, "food8", settings))


def decor(asked: argparse.Namespace) -> None:
    """Print a linear layer's figures at two learning rates, trained by plain gradient descent."""
    dataset = read_dataset(asked.data / "decor7")
    photos = {photo.sha256: photo for photo in dataset.photos}
    model, file = (HALF, HALF_FILE) if (asked.weights / HALF_FILE).is_file() else (MOBILENET, FILE)
    with_ = features.extractor(effective(Train(model=model, weights=str(asked.weights / file))))
    steps = features.embed(photos, with_, asked.store)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found = end.value[0]
            break
    # What the original put its layer on: the mean over places of the last map, one length for all.
    last = with_.mixes[0] > 0
    scale = np.sqrt(last.sum())
    inputs, labels = {}, {}
    for part in ("train", "val"):
        some = [photo for photo in dataset.part(part) if photo.sha256 in found]
        inputs[part] = np.stack([found[photo.sha256][last] for photo in some]) * scale
        labels[part] = np.array([photo.label for photo in some])
    for rate, original in ((0.01, ".875 (485 pictures, MobileNet 0.50)"), (0.03, ".917 (the same)")):
        rng = np.random.default_rng(0)
        weights = np.zeros((inputs["train"].shape[1], len(dataset.class_names)))
        for _ in range(STEPS):
            batch = rng.integers(0, len(labels["train"]), BATCH)
            slack = softmax(inputs["train"][batch] @ weights)
            slack[np.arange(BATCH), labels["train"][batch]] -= 1
            weights -= rate * inputs["train"][batch].T @ slack / BATCH
        right = (inputs["val"] @ weights).argmax(axis=1) == labels["val"]
        line(f"decor, {model}, rate {rate}", original, int(right.sum()), len(right))


def fridge(asked: argparse.Namespace) -> None:
    """Print the products' figures, and the table that the fridge was told by."""
    run = fitted(asked, "products10", Train(model=MOBILENET, weights=str(asked.weights / FILE)))
    told("fridge products, MobileNet 0.75", "(109 classes; no figure was told)", run)
    val = read_dataset(asked.data / "products10").part("val")
    width = max(map(len, run.labels[""]))
    print(f"\n{'id':>4}  {'class':{width}} probability")
    shown = val[:: max(1, len(val) // SHOWN)]
    for number, one in enumerate(predict(run, [photo.path for photo in shown], top=1), 1):
        truth = shown[number - 1].path.parent.name
        wrong = "" if one.label == truth else f"  is {truth}"
        print(f"{number:4}  {one.label:{width}} {one.probabilities[one.label]:.3f}{wrong}")
    print()


def bikes(asked: argparse.Namespace) -> None:
    """Print the bikes network's figures."""
    settings = Train(model="cnn64", epochs=20, patience=20)
    told("mountain / road bikes, cnn64", "1.00 (its own ten pictures)", fitted(asked, "bikes", settings))


HISTORIES: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "pizza": pizza, "foods": foods, "decor": decor, "fridge": fridge, "bikes": bikes,
}  # fmt: skip


def main() -> None:
    """Print a table: a row per recipe, and what the original told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--only", default=",".join(HISTORIES))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "tray-histories")
    asked = parser.parse_args()
    print(f"{'recipe':36} {'here':>6}  {'95 % interval':15} {'pictures':>8}  the original")
    for name in asked.only.split(","):
        HISTORIES[name](asked)


def fitted(asked: argparse.Namespace, name: str, settings: Train) -> Run:
    """Return a run on one set; what was trained before is not trained again."""
    *_, run = train({"": asked.data / name}, asked.store, settings, name=name)
    assert isinstance(run, Run)
    return run


def told(recipe: str, original: str, run: Run) -> None:
    """Print a run's row."""
    line(recipe, original, round(run.metrics["accuracy"] * run.metrics["n"]), run.metrics["n"])


def line(recipe: str, original: str, right: int, n: int) -> None:
    """Print one row."""
    low, high = wilson(right, n)
    print(f"{recipe:36} {right / n:6.3f}  {low:.3f} to {high:.3f}  {n:8}  {original}", flush=True)


if __name__ == "__main__":
    main()
