"""How well a run lists what lies on trays that were put together from photos it never saw.

    python benchmarks/trays.py DATA WEIGHTS [--held-back DIR] [--foods 3] [--trays 200] [--seeds 4]

DATA is a folder of class folders, each a food. A fifth of each class, by the hash of the bytes, is held back unless
--held-back names a folder of other photos of the same classes; training, the scales, the pooling and the calibration
see nothing of it. Figures are means over the seeds, each of which lays its share of the trays; +- is the standard
error of the mean average precision over them: how much hangs on the trays drawn, not on the photos held back, which
--fifth chooses. Every class becomes a binary classifier on frozen features; once learned from photos alone and once
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

import numpy as np

from dataset.folder import class_folders, pictures
from dataset.tray import Train
from train.composites import Kitchen
from train.fit import train
from train.runs import Run
from train.trays import TrayScores, judge

FILES = {
    "mobilenet_0.75_224": "mobilenet_7_5_224_tf_no_top.h5",
    "mobilenetv2_1.0_224": "mobilenet_v2_1.0_224_no_top_dequantised.h5",
}

SEED = 2026
FIGURES = ("mean_average_precision", "exactly_right", "found_right", "whole_alone", "whole_exactly_right")
WIDTHS = (6, 6, 6, 6, 10, 6, 8)


def main() -> None:
    """Print a row for each way of training and each number of foods on a tray."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--held-back", type=Path)
    parser.add_argument("--clutter", type=Path, help="a folder of pictures of things that are none of the foods")
    parser.add_argument("--model", default="+".join(FILES), help="one or several of " + ", ".join(FILES))
    parser.add_argument("--trays", type=int, default=200, help="trays in all")
    parser.add_argument("--seeds", type=int, default=4, help="two or more: judgements that the trays are dealt to")
    parser.add_argument("--fifth", type=int, default=5, choices=range(1, 6), help="which fifth is held back")
    parser.add_argument("--foods", default="3", help="foods on a tray, several choices parted by commas")
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "tray-runs")
    asked = parser.parse_args()
    weights = ",".join(str(asked.weights / FILES[one]) for one in asked.model.split("+"))
    settings = Train(model=asked.model, weights=weights)
    folder, kitchen = divided(asked.data, asked.runs, asked.held_back, asked.fifth)
    if asked.clutter:
        kitchen = replace(kitchen, clutter=list(pictures(asked.clutter)))
    print(f"{len(kitchen.foods)} foods, {kitchen.size} photos held back, {asked.trays} trays, {asked.model}")
    titles = zip(("mAP", "+-", "exact", "place", "whole mAP", "exact", "s"), WIDTHS, strict=True)
    print(f"{'learned from':16} {'foods':>6} " + " ".join(f"{title:>{width}}" for title, width in titles))
    for name, trays in (("photos and trays", True), ("photos", False)):
        datasets = dict.fromkeys(kitchen.foods, folder)
        run = last(train(datasets, asked.runs, replace(settings, trays=trays), name=f"{asked.data.name}-{asked.fifth}"))
        for foods in asked.foods.split(","):
            started = time.perf_counter()
            judged = list(judgements(run, kitchen, foods, trays=asked.trays // asked.seeds, seeds=asked.seeds))
            means = np.mean([[getattr(one, figure) for figure in FIGURES] for one in judged], axis=0)
            error = np.std([one.mean_average_precision for one in judged], ddof=1) / len(judged) ** 0.5
            figures = (means[0], error, *means[1:], time.perf_counter() - started)
            row = " ".join(f"{figure:{width}.3f}" for figure, width in zip(figures, WIDTHS, strict=True))
            print(f"{name:16} {foods:>6} {row}", flush=True)
        assert isinstance(run, Run)
        print(f"{'':16} trained in {run.record['seconds']} s, {run.path}")


def judgements(run: Run, kitchen: Kitchen, foods: str, *, trays: int, seeds: int) -> Iterator[TrayScores]:
    """Yield how a run does on so many trays of each seed."""
    least, _, most = foods.partition("-")
    for seed in range(SEED, SEED + seeds):
        yield last(judge(run, kitchen, trays, foods=(int(least), int(most or least)), seed=seed))


def divided(data: Path, runs: Path, held_back: Path | None, fifth: int) -> tuple[Path, Kitchen]:
    """Return a folder to train on, and the photos that are kept from it."""
    if held_back:
        foods = {name: list(pictures(path)) for name, path in class_folders(held_back).items()}
        return data, Kitchen(foods, part=held_back.name)
    rest, foods = runs / f"{data.name}-rest-{fifth}", {}
    # Links of an earlier call may be of photos that are held back now.
    shutil.rmtree(rest, ignore_errors=True)
    for name, path in class_folders(data).items():
        (rest / name).mkdir(parents=True)
        ordered = sorted(pictures(path), key=lambda file: hashlib.sha256(file.read_bytes()).hexdigest())
        foods[name] = ordered[len(ordered) * (fifth - 1) // 5 : len(ordered) * fifth // 5]
        for file in set(ordered) - set(foods[name]):
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
