"""Pictures drawn for the trainer, and runs trained once for all tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset.tray import Train
from train.backend import keras
from train.fit import train
from train.runs import Run

SMALL = Train(image_size=32, epochs=8, patience=8, batch_size=16)
COLOURS = {"tomato": (200, 40, 30), "lettuce": (50, 160, 50), "plum": (90, 40, 140)}

DYING = """
import json, os, signal, sys, threading
from pathlib import Path
from dataset.tray import Train
from train.fit import train
data, runs, settings = sys.argv[1:]
for step in train({"": Path(data)}, Path(runs), Train(**json.loads(settings)), name="x"):
    if getattr(step, "unit", "") == "epoch" and step.done == 2:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGKILL)).start()
"""


def draw(path: Path, colour: tuple[int, int, int], seed: Sequence[int]) -> None:
    """Draw a round thing of a colour on a plate, no two alike."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(150, 230, (48, 64, 3), np.uint8))
    x, y, radius = rng.integers(12, 36), rng.integers(12, 30), rng.integers(9, 15)
    shade = tuple(int(np.clip(value + rng.normal(0, 18), 0, 255)) for value in colour)
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=90)


def draw_class(folder: Path, kinds: Iterable[str], n: int, *, seed: int = 0) -> None:
    """Fill a class folder with ``n`` pictures, the kinds of thing in turn."""
    names = list(kinds)
    for number in range(n):
        kind = names[number % len(names)]
        draw(folder / f"{kind}{number:03}.jpg", COLOURS[kind], (seed, number, *kind.encode()))


def draw_built(folder: Path, item: str) -> Path:
    """Lay out a binary dataset as a build does: train, val and test, and a card with the class names."""
    others = [kind for kind in COLOURS if kind != item]
    for part, n, seed in (("train", 24, 1), ("val", 8, 2), ("test", 10, 3)):
        draw_class(folder / part / item, [item], n, seed=seed)
        draw_class(folder / part / f"not_{item}", others, n, seed=seed)
    (folder / "dataset.json").write_text(f'{{"class_names": ["not_{item}", "{item}"], "fingerprint": "x"}}')
    return folder


def result(steps: Iterable[Any]) -> Any:
    """Return what a stage yields last."""
    return list(steps)[-1]


def finish(steps: Iterable[Any]) -> Run:
    """Return the run that a training yields last."""
    last = result(steps)
    assert isinstance(last, Run)
    return last


def train_and_die(data: Path, runs: Path, settings: Train) -> subprocess.CompletedProcess[bytes]:
    """Train in a process that is killed within the epoch after its second one."""
    command = [sys.executable, "-c", DYING, str(data), str(runs), json.dumps(asdict(settings))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, env=environment, check=False, capture_output=True)


@pytest.fixture(scope="session")
def plain_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of class folders without parts: tomato and not_tomato."""
    folder = tmp_path_factory.mktemp("plain")
    draw_class(folder / "tomato", ["tomato"], 40)
    draw_class(folder / "not_tomato", ["lettuce", "plum"], 40)
    return folder


@pytest.fixture(scope="session")
def plain_run(plain_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run trained on the plain folder."""
    return finish(train({"": plain_data}, tmp_path_factory.mktemp("runs"), SMALL, name="tomato"))


@pytest.fixture(scope="session")
def built_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a built dataset per item."""
    folder = tmp_path_factory.mktemp("built")
    return {item: draw_built(folder / item, item) for item in COLOURS}


@pytest.fixture(scope="session")
def items_run(built_data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return one run with a classifier per item."""
    return finish(train(built_data, tmp_path_factory.mktemp("runs"), SMALL, name="binary"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file of weights of the smallest MobileNet, drawn by chance: even those see colours."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    network.save_weights(path)
    return str(path)


@pytest.fixture(scope="session")
def settings(weights: str) -> Train:
    """Return settings of a small backbone."""
    return Train(model="mobilenet_0.25_32", weights=weights, batch_size=16)
