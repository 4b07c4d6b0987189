"""How fast training, features and predictions are, each beside the usual way, in one run and in turns.

    python benchmarks/training_speed.py step DATA                  an epoch of ours beside the bare step on constants
    python benchmarks/training_speed.py features WEIGHTS           LiteRT beside Keras, many pictures and one
    python benchmarks/training_speed.py photo RUN PHOTO            a file's answer beside Keras's usual one
    python benchmarks/training_speed.py whole DATA WEIGHTS         folders to an evaluated model, beside the tutorial's
    python benchmarks/training_speed.py memory [--pictures 20000]  the most memory that an epoch takes
    python benchmarks/training_speed.py kills DATA [--kills 10]    resumed trainings beside undisturbed ones

DATA is a folder of class folders; WEIGHTS the file of MobileNetV2, 1.0, without its top. Prints one JSON object: wall
seconds, and seconds of all processors together, which other programs on the machine disturb less; and the shortest wall
seconds of all rounds, which they disturb least.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset.tray import Train

EPOCHS = 15
"""Of the tutorial that the whole way is compared with."""
TUTORIAL = """
import json, sys, time
started, spent = time.perf_counter(), time.process_time()
import keras
layers = keras.layers
folder, out, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = dict(validation_split=0.2, seed=0, image_size=(180, 180), batch_size=32, verbose=False)
train = keras.utils.image_dataset_from_directory(folder, subset="training", **options)
val = keras.utils.image_dataset_from_directory(folder, subset="validation", **options)
model = keras.Sequential([
    layers.Input((180, 180, 3)), layers.Rescaling(1 / 255),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(len(train.class_names)),
])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(train, validation_data=val, epochs=epochs, verbose=0).history["val_accuracy"]
_, last = model.evaluate(val, verbose=0)
model.save(out)
print(json.dumps({"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - spent,
                  "accuracy": last, "best_accuracy": max(history)}))
"""
USUAL = """
import sys
import keras
model = keras.saving.load_model(sys.argv[1], compile=False)
picture = keras.utils.load_img(sys.argv[2], target_size=model.input_shape[1:3])
print(model.predict(keras.utils.img_to_array(picture)[None], verbose=0))
"""
OURS = """
import json, sys, time
started, spent = time.perf_counter(), time.process_time()
from pathlib import Path
from dataset.tray import Train
from train.fit import train
folder, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), Train(**json.loads(sys.argv[3]))
for step in train({"": folder}, out, settings, name="x"):
    print(getattr(step, "epoch", ""), file=sys.stderr, flush=True)
print(json.dumps({"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - spent,
                  "accuracy": step.metrics["accuracy"], "epochs": step.record["items"][""]["epochs"],
                  "losses": [row["loss"] for row in step.history]}))
"""


def main() -> None:
    """Measure what was asked for and print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=MEASURED)
    options.add_argument("paths", nargs="*")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--pictures", type=int, default=20_000)
    options.add_argument("--kills", type=int, default=10)
    chosen = options.parse_args()
    print(json.dumps(MEASURED[chosen.what](chosen, *chosen.paths), indent=2))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the wall seconds and the processor seconds that some work takes, in this process or in its own."""
    wall, spent = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - wall, sum(os.times()[:4]) - spent


def in_turns(rounds: int, **works: Callable[[], Any]) -> dict[str, dict[str, float]]:
    """Return the median wall and processor seconds of several works, done once to warm up and then in turns."""
    for work in works.values():
        work()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(timed(work))
    found = {}
    for name, all_ in taken.items():
        walls, spent = zip(*all_, strict=True)
        told = {"seconds": statistics.median(walls), "cpu_seconds": statistics.fmean(spent), "shortest": min(walls)}
        found[name] = {key: round(value, 4) for key, value in told.items()}
    return found


def ratio(of: dict[str, dict[str, float]], above: str, below: str) -> dict[str, float]:
    """Return how many times as long one work took as another."""
    return {key: round(of[above][key] / of[below][key], 2) for key in of[above] if "second" in key or key == "shortest"}


def step(chosen: argparse.Namespace, data: str) -> dict[str, Any]:
    """Compare an epoch from the decoded pictures with as many steps on a tensor that never changes."""
    from train.backend import tf
    from train.data import decode_all, read_dataset
    from train.learn import Network, feeds_of

    settings = Train(image_size=180)
    dataset = read_dataset(Path(data))
    with tempfile.TemporaryDirectory() as scratch:
        pixels = result(decode_all(dataset.photos, 180, scratch=Path(scratch)))
    feed = feeds_of(dataset, pixels, settings)["train"]
    feed.epoch = 0
    network = Network(settings, len(dataset.class_names))
    batch = next(iter(feed.batches))
    constant = tf.data.Dataset.from_tensors(batch).repeat(feed.steps)
    bare = replace_batches(feed, constant)
    found = in_turns(chosen.rounds, ours=lambda: list(network.steps(feed)), bare=lambda: list(network.steps(bare)))
    return found | {"batches": feed.steps, "share_of_the_bound": ratio(found, "bare", "ours")}


def result(steps: Generator[Any, None, Any]) -> Any:
    """Return what a stage gives in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def replace_batches(feed: Any, batches: Any) -> Any:
    """Return a feed that gives other batches."""
    import copy

    other = copy.copy(feed)
    other.batches = batches
    return other


def features(chosen: argparse.Namespace, weights: str) -> dict[str, Any]:
    """Compare LiteRT with a function of TensorFlow and with Keras's predict, on 32 pictures and on one."""
    from train.features import extractor
    from train.forward import Lite, by_keras, drawn, fastest

    settings = Train(model="mobilenetv2", weights=weights, image_size=224)
    with_ = extractor(settings)
    with tempfile.TemporaryDirectory() as store:
        lite = fastest(with_.model, 224, ("",), store=Path(store), key="")
    assert isinstance(lite, Lite)
    function, many = by_keras(with_.model(), 224, ("",)), drawn(32, 224)
    one = many[:1]
    found = {
        "of_32": in_turns(chosen.rounds, function=lambda: function(many), lite=lambda: lite(many)),
        "of_1": in_turns(
            5 * chosen.rounds,
            predict=lambda: with_.model().predict(one, verbose=0),
            function=lambda: function(one),
            lite=lambda: lite(one),
        ),
    }
    times = {
        f"{usual}_{name}": ratio(of, usual, "lite") for name, of in found.items() for usual in of if usual != "lite"
    }
    difference = float(np.abs(function(many)[""] - lite(many)[""]).max())
    return found | {"times_as_fast": times, "largest_difference": difference}


def photo(chosen: argparse.Namespace, path: str, picture: str) -> dict[str, Any]:
    """Compare what a run says about a photo with Keras's predict, in a warm process and in a new one."""
    from train.backend import keras
    from train.predict import predict
    from train.runs import open_run

    run = open_run(Path(path))
    model, size = run.model, run.image_size

    def usual() -> Any:
        return model.predict(
            keras.utils.img_to_array(keras.utils.load_img(picture, target_size=(size, size)))[None], verbose=0
        )

    ours = [sys.executable, "-m", "tray", "predict", "-q", str(run.path), picture]
    theirs = [sys.executable, "-c", USUAL, str(run.path / "model.keras"), picture]
    found = {
        "warm": in_turns(10 * chosen.rounds, usual=usual, ours=lambda: list(predict(run, [Path(picture)]))),
        "new": in_turns(
            chosen.rounds,
            usual=lambda: subprocess.run(theirs, check=True, capture_output=True),
            ours=lambda: subprocess.run(ours, check=True, capture_output=True),
        ),
    }
    return found | {"times_as_fast": {name: ratio(of, "usual", "ours") for name, of in found.items()}}


def whole(chosen: argparse.Namespace, data: str, weights: str) -> dict[str, Any]:
    """Compare the way from class folders to an evaluated, saved model with the tutorial's, each in its own process."""
    ours = {
        "cnn": {"epochs": EPOCHS, "patience": EPOCHS},
        "mobilenetv2": {"model": "mobilenetv2", "weights": weights, "image_size": 224},
    }
    taken: dict[str, list[dict[str, Any]]] = {"tutorial": [], **{name: [] for name in ours}}
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as out:
            taken["tutorial"].append(told(TUTORIAL, data, f"{out}/model.keras", str(EPOCHS)))
            for name, settings in ours.items():
                taken[name].append(told(OURS, data, f"{out}/{name}", json.dumps(settings)))
    keys = ("seconds", "cpu_seconds", "accuracy")
    found = {
        name: {key: round(statistics.median(one[key] for one in all_), 3) for key in keys}
        for name, all_ in taken.items()
    }
    return found | {"tutorial_over": {name: ratio(found, "tutorial", name) for name in ours}}


def told(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program in a process of its own and return what it prints last."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments], check=True, capture_output=True, text=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print({key: value for key, value in answer.items() if key != "losses"}, file=sys.stderr, flush=True)
    return answer


def memory(chosen: argparse.Namespace) -> dict[str, Any]:
    """Train one epoch as the settings are without asking, on a tenth of many drawn pictures and on all of them.

    Tells the most memory that was resident, and by how much it grows with the pictures.
    """
    program = OURS + (
        "import resource; print(json.dumps({'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,"
        " 'seconds': time.perf_counter() - started}))"
    )
    found = {}
    with tempfile.TemporaryDirectory() as root:
        for pictures in (chosen.pictures // 10, chosen.pictures):
            draw_classes(Path(root) / "data", pictures)
            found[pictures] = told(program, f"{root}/data", f"{root}/runs", json.dumps({"epochs": 1}))
    few, many = found.values()
    return {str(pictures): one for pictures, one in found.items()} | {"growth_mb": many["peak_mb"] - few["peak_mb"]}


def draw_classes(folder: Path, pictures: int) -> None:
    """Fill up two classes, of dark and of light patches at 180 x 180, to as many pictures in all."""
    for label, (name, shade) in enumerate((("dark", 60), ("light", 190))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(sum(1 for _ in (folder / name).iterdir()), pictures // 2):
            rng = np.random.default_rng((label, number))
            small = rng.integers(shade - 50, shade + 50, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(small).resize((180, 180)).save(folder / name / f"{number:05}.jpg", quality=80)


def kills(chosen: argparse.Namespace, data: str) -> dict[str, Any]:
    """Kill a training at random moments, go on, and compare its end with those of undisturbed trainings."""
    settings = {"image_size": 64, "epochs": 12, "patience": 12, "augment": True}
    dice = random.Random(5)
    with tempfile.TemporaryDirectory() as root:
        calm = [told(OURS, data, f"{root}/calm{n}", json.dumps(settings | {"seed": n})) for n in range(3)]
        again = told(OURS, data, f"{root}/again", json.dumps(settings | {"seed": 0}))
        asked = (data, f"{root}/killed", json.dumps(settings | {"seed": 0}))
        command = [sys.executable, "-W", "ignore", "-c", OURS, *asked]
        epochs: list[list[int]] = []
        while len(epochs) < chosen.kills:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                said = process.communicate(timeout=dice.uniform(0.1, 0.9) * calm[0]["seconds"])[1]
                shutil.rmtree(f"{root}/killed")  # it came to its end: once more from nothing
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                said = process.communicate()[1]
                epochs.append([int(line) for line in said.split() if line.isdigit()])
        killed = told(OURS, *asked)
    return {
        "kills": len(epochs),
        "epochs_told_before_each": epochs,
        "largest_difference_of_loss_to_undisturbed": max(
            abs(one - other) for one, other in zip(killed["losses"], calm[0]["losses"], strict=True)
        ),
        "the_same_between_two_undisturbed": max(
            abs(one - other) for one, other in zip(again["losses"], calm[0]["losses"], strict=True)
        ),
        "accuracy": killed["accuracy"],
        "accuracy_undisturbed_by_seed": [one["accuracy"] for one in calm],
    }


MEASURED: dict[str, Callable[..., dict[str, Any]]] = {
    "step": step,
    "features": features,
    "photo": photo,
    "whole": whole,
    "memory": memory,
    "kills": kills,
}

if __name__ == "__main__":
    main()
