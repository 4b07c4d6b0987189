"""How well a run lists what lies on trays that were put together from photos it never saw.

    python benchmarks/trays.py DATA WEIGHTS [--held-back DIR] [--foods 3] [--trays 60]

DATA is a folder of class folders, each a food. A fifth of each class, by the hash of the bytes, is held back unless
--held-back names a folder of other photos of the same classes; training, the scales, the pooling and the calibration
see nothing of it. Every class becomes a binary classifier on frozen features; once learned from photos alone and once
from trays too. Runs lie in --runs, so that a second call only judges.
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.folder import class_folders, pictures
from dataset.tray import Train
from train.composites import Kitchen
from train.fit import train
from train.runs import Run
from train.trays import judge

FILES = {
    "mobilenet_0.75_224": "mobilenet_7_5_224_tf_no_top.h5",
    "mobilenetv2_1.0_224": "mobilenet_v2_1.0_224_no_top_dequantised.h5",
}


def main() -> None:
    """Print a row for each way of training and each number of foods on a tray."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--held-back", type=Path)
    parser.add_argument("--clutter", type=Path, help="a folder of pictures of things that are none of the foods")
    parser.add_argument("--model", default="+".join(FILES), help="one or several of " + ", ".join(FILES))
    parser.add_argument("--trays", type=int, default=60)
    parser.add_argument("--foods", default="3", help="foods on a tray, several choices parted by commas")
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "tray-runs")
    asked = parser.parse_args()
    weights = ",".join(str(asked.weights / FILES[one]) for one in asked.model.split("+"))
    settings = Train(model=asked.model, weights=weights)
    folder, kitchen = divided(asked.data, asked.runs, asked.held_back)
    if asked.clutter:
        kitchen = replace(kitchen, clutter=list(pictures(asked.clutter)))
    print(f"{len(kitchen.foods)} foods, {kitchen.size} photos held back, {asked.trays} trays, {asked.model}")
    print(
        f"{'learned from':16} {'foods':>6} {'mAP':>6} {'exact':>6} {'place':>6} {'whole mAP':>10} {'exact':>6} {'s':>6}"
    )
    for name, trays in (("photos and trays", True), ("photos", False)):
        datasets = dict.fromkeys(kitchen.foods, folder)
        run = last(train(datasets, asked.runs, replace(settings, trays=trays), name=asked.data.name))
        for foods in asked.foods.split(","):
            least, _, most = foods.partition("-")
            started = time.perf_counter()
            scores = last(judge(run, kitchen, asked.trays, foods=(int(least), int(most or least)), seed=2026))
            print(
                f"{name:16} {foods:>6} {scores.mean_average_precision:6.3f} {scores.exactly_right:6.3f} "
                f"{scores.found_right:6.3f} {scores.whole_alone:10.3f} {scores.whole_exactly_right:6.3f} "
                f"{time.perf_counter() - started:6.1f}",
                flush=True,
            )
        assert isinstance(run, Run)
        print(f"{'':16} trained in {run.record['seconds']} s, {run.path}")


def divided(data: Path, runs: Path, held_back: Path | None) -> tuple[Path, Kitchen]:
    """Return a folder to train on, and the photos that are kept from it."""
    if held_back:
        foods = {name: list(pictures(path)) for name, path in class_folders(held_back).items()}
        return data, Kitchen(foods, part=held_back.name)
    rest, foods = runs / f"{data.name}-rest", {}
    # Links of an earlier call may be of photos that are held back now.
    shutil.rmtree(rest, ignore_errors=True)
    for name, path in class_folders(data).items():
        (rest / name).mkdir(parents=True)
        ordered = sorted(pictures(path), key=lambda file: hashlib.sha256(file.read_bytes()).hexdigest())
        # Taken from the end: training takes its validation photos from the beginning.
        foods[name] = ordered[-len(ordered) // 5 :]
        for file in ordered[: -len(foods[name])]:
            (rest / name / file.name).symlink_to(file.resolve())
    return rest, Kitchen(foods, part="held back")


def last(steps: Iterator[Any]) -> Any:
    """Run a stage to its end and return its result, given as its last step or as its return."""
    step: Any = None
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return step if end.value is None else end.value


if __name__ == "__main__":
    main()
