"""Training: from datasets to a finished run, resumable at the epoch in which it was stopped."""

import csv
import hashlib
import io
import itertools
import json
import logging
import platform
import shutil
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import ConfigError
from dataset.folder import locked, make_folder, unwritable, write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import models, report
from train.backend import keras
from train.data import Dataset, Feed, Part, Photo, Pixels, decode_all, read_dataset, require_enough
from train.evaluate import Judged
from train.runs import FORMAT, HISTORY, ITEMS, MODEL, RUN, Run, finished, open_run

PLAN = "plan.json"
"""What a run is going to be; the mark by which an interrupted one is found again."""
WORK = ".training"
"""What an interrupted run needs to go on; removed when it is finished."""

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
BATCH = 64
"""Pictures judged at once."""
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch(Progress):
    """One epoch of one classifier, as progress."""

    unit: str = "epoch"
    item: str
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float

    @property
    def epoch(self) -> int:
        """Return which epoch of its classifier this was, from 1."""
        return self.done

    @property
    def epochs(self) -> int:
        """Return how many epochs there will be at most."""
        return self.total


def train(datasets: Mapping[str, Path], runs: Path, settings: Train, *, name: str) -> Iterator[Progress | Run]:
    """Train one classifier per dataset in one run below ``runs/<name>``; yield progress and, last, the run.

    Several datasets give one Keras model with an output named after each. What was finished with the same settings
    and the same data is returned as it is; what was interrupted goes on at the epoch in which it stopped.
    Raises ConfigError for an unknown model, NotEnoughImages for too few pictures, FolderLocked when another process
    trains under the same name.
    """
    if not datasets:
        raise ConfigError("Expected a dataset to train on. Received: none. Name a folder, or items of tray.toml.")
    settings = effective(settings)
    data = {item: read_dataset(path, positive=item) for item, path in datasets.items()}
    for dataset in data.values():
        require_enough(dataset)
    plan = Plan(settings, data)
    with locked(runs / name):
        done = next((run for run in finished(runs / name) if _same(run.record, plan)), None)
        if done:
            log.info("Nothing to do: %s was trained on the same pictures with the same settings.", done.path)
            yield done
            return
        folder = _interrupted(runs / name, plan) or _new_folder(runs / name, plan)
        try:
            yield from _train(folder, plan)
        except OSError as error:
            raise unwritable(folder, error) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to be: effective settings, and the dataset of each classifier."""

    settings: Train
    data: dict[str, Dataset]

    @property
    def record(self) -> dict[str, Any]:
        """Return the plan as run.json begins."""
        items = {
            item: {
                "class_names": list(one.class_names),
                "fingerprint": one.fingerprint,
                "data": str(one.path.absolute()),
            }
            for item, one in self.data.items()
        }
        return {"format": FORMAT, "config": asdict(self.settings), "items": items}

    @property
    def photos(self) -> dict[str, Photo]:
        """Return the distinct photos of all datasets by their sha256."""
        return {photo.sha256: photo for dataset in self.data.values() for photo in dataset.photos}


def effective(settings: Train) -> Train:
    """Return the settings with the model's own values where none were given; raises ConfigError for its name."""
    network = models.named(settings.model)
    if settings.weights:
        raise ConfigError(
            f"Expected no weights for {settings.model!r}, which trains from nothing. Received: {settings.weights}. "
            f"Leave them out, or choose a backbone."
        )
    size = settings.image_size or network.size
    if size < network.smallest:
        raise ConfigError(
            f"Expected an image_size of {network.smallest} or more for {settings.model!r}. Received: {size}."
        )
    return replace(settings, image_size=size)


def _train(folder: Path, plan: Plan) -> Iterator[Progress | Run]:
    started = time.monotonic()
    settings, photos = plan.settings, plan.photos.values()
    yield Progress("read pictures", 0, len(photos))
    pixels = decode_all(photos, settings.image_size or 0, scratch=folder / WORK)
    yield Progress("read pictures", len(photos), len(photos))
    readable = Plan(settings, {item: dataset.without(pixels.errors) for item, dataset in plan.data.items()})
    learned: dict[str, Learned] = {}
    networks: dict[int, Network] = {}
    for item, dataset in readable.data.items():
        require_enough(dataset)
        classes = len(dataset.class_names)
        network = networks.get(classes) or networks.setdefault(classes, Network(settings, classes))
        learned[item] = yield from _learn(network, dataset, pixels, item=item, work=folder / WORK)
    record = _finish(folder, readable, learned, pixels)
    record |= {
        "name": folder.parent.name,
        "versions": _versions(),
        "seconds": round(time.monotonic() - started, 2),
        "unreadable": {str(plan.photos[sha256].path): why for sha256, why in pixels.errors.items()},
    }
    write_whole(folder / RUN, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    shutil.rmtree(folder / WORK, ignore_errors=True)
    (folder / PLAN).unlink(missing_ok=True)
    yield open_run(folder)


@dataclass
class Learned:
    """How far one classifier has come."""

    weights: list[Array]
    """Those of the best epoch so far."""
    history: list[Row] = field(default_factory=list)
    best: int = 0
    """The epoch, from 1, that the weights come from."""
    wait: int = 0
    """Epochs since the validation accuracy last rose by more than min_delta."""
    target: float = -np.inf
    """The validation accuracy that has to be beaten."""


class Network:
    """One compiled model, started afresh for each classifier of the same shape: it is traced once."""

    def __init__(self, settings: Train, classes: int) -> None:
        keras.utils.set_random_seed(settings.seed)
        self.classes = classes
        self.settings = settings
        self.model = models.build(
            settings.model, size=settings.image_size or 0, classes=classes, augment=settings.augment
        )
        self.model.compile(
            keras.optimizers.Adam(settings.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self._fresh = self.state

    @property
    def state(self) -> list[Array]:
        """Return everything that training changes: weights, the optimizer's moments, the seeds of random layers."""
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in self._variables]

    @state.setter
    def state(self, values: list[Array]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    @property
    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def reset(self) -> None:
        """Forget everything that was learned."""
        self.state = self._fresh


def _learn(
    network: Network, dataset: Dataset, pixels: Pixels, *, item: str, work: Path
) -> Generator[Epoch, None, Learned]:
    """Train one classifier, or take up where it was left; yield its epochs and return what it learned."""
    settings = network.settings
    checkpoint = work / f"{hashlib.sha256(item.encode()).hexdigest()[:16]}.npz"
    network.reset()
    learned = _restore(checkpoint, network) or Learned(network.model.get_weights())
    feeds = {
        part: Feed(
            pixels.array,
            pixels.rows_of(dataset.part(part)),
            np.array([photo.label for photo in dataset.part(part)], np.int64),
            batch_size=settings.batch_size,
            seed=settings.seed if part == "train" else None,
        )
        for part in ("train", "val")
    }
    while len(learned.history) < settings.epochs and learned.wait < settings.patience:
        started = time.perf_counter()
        feeds["train"].epoch = len(learned.history)
        told = network.model.fit(
            feeds["train"].batches, validation_data=feeds["val"].batches, epochs=1, shuffle=False, verbose=0
        ).history
        row = {key: float(told[key][0]) for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
        _note(learned, row | {"seconds": time.perf_counter() - started}, network, settings)
        _save(checkpoint, learned, network)
        yield Epoch(
            stage=f"train {item}".strip(),
            done=len(learned.history),
            total=settings.epochs,
            note=f"val_accuracy={row['val_accuracy']:.3f} best={learned.target:.3f}",
            item=item,
            **learned.history[-1],
        )
    return learned


def _note(learned: Learned, row: Row, network: Network, settings: Train) -> None:
    """Book an epoch; keep its weights when it is the best: by accuracy and, among equals, by loss on validation."""
    best = learned.history[learned.best - 1] if learned.history else None
    learned.history.append(row)
    if best is None or (row["val_accuracy"], -row["val_loss"]) > (best["val_accuracy"], -best["val_loss"]):
        learned.best, learned.weights = len(learned.history), network.model.get_weights()
    learned.wait += 1
    if row["val_accuracy"] > learned.target + settings.min_delta:
        learned.target, learned.wait = row["val_accuracy"], 0


def _save(checkpoint: Path, learned: Learned, network: Network) -> None:
    told = {key: getattr(learned, key) for key in ("history", "best", "wait", "target")}
    arrays: dict[str, Any] = {f"state{n:04}": array for n, array in enumerate(network.state)}
    arrays |= {f"weights{n:04}": array for n, array in enumerate(learned.weights)}
    file = io.BytesIO()
    np.savez(file, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **arrays)
    write_whole(checkpoint, file.getvalue())


def _restore(checkpoint: Path, network: Network) -> Learned | None:
    """Return what an interrupted training had learned, and put the network where it stood."""
    if not checkpoint.is_file():
        return None
    with np.load(checkpoint) as file:
        told = json.loads(file["told"].tobytes())
        network.state = [file[key] for key in sorted(file) if key.startswith("state")]
        weights = [file[key] for key in sorted(file) if key.startswith("weights")]
    return Learned(weights, **told)


def _finish(folder: Path, plan: Plan, learned: Mapping[str, Learned], pixels: Pixels) -> dict[str, Any]:
    """Join the classifiers into one model, judge it on what was held back, and return what run.json is to say."""
    parts = {}
    for item, dataset in plan.data.items():
        size = plan.settings.image_size or 0
        parts[item] = models.build(plan.settings.model, size=size, classes=len(dataset.class_names))
        parts[item].set_weights(learned[item].weights)
    models.joined(parts, {}).save(folder / WORK / MODEL)
    (folder / WORK / MODEL).replace(folder / MODEL)
    histories = {item: one.history for item, one in learned.items()}
    _write_history(folder / HISTORY, histories)
    for item, rows in histories.items() if len(histories) > 1 else ():
        _write_history(make_folder(folder / ITEMS / item) / HISTORY, {item: rows})
    record = plan.record
    for item, one in record["items"].items():
        one |= {"epochs": len(learned[item].history), "best_epoch": learned[item].best}
        if len(one["class_names"]) == 2:
            one["threshold"] = 0.5
    page = report.Page(
        title=folder.parent.name,
        config=record["config"],
        datasets=plan.data,
        histories=histories,
        best={item: one.best for item, one in learned.items()},
        unreadable={pixels.paths[sha256]: why for sha256, why in pixels.errors.items()},
    )
    metrics = report.write_all(folder, _judge(Run(folder, record), plan.data, pixels), page)
    return record | {"metrics": {key: metrics[key] for key in ("judged_on", "n", "accuracy", "macro_f1", "f1")}}


def _judge(run: Run, data: Mapping[str, Dataset], pixels: Pixels) -> dict[str, Judged]:
    """Judge the saved model on the test part of each dataset, or on val where there is none."""
    parts: dict[str, Part] = {item: "test" if dataset.part("test") else "val" for item, dataset in data.items()}
    rows = {item: pixels.rows_of(dataset.part(parts[item])) for item, dataset in data.items()}
    asked = np.unique(np.concatenate(list(rows.values())))
    answers = [run.probabilities(pixels.array[asked[n : n + BATCH]]) for n in range(0, len(asked), BATCH)]
    found = {}
    for item, dataset in data.items():
        photos = dataset.part(parts[item])
        found[item] = Judged(
            run.labels[item],
            tuple(photos),
            np.array([photo.label for photo in photos], np.int64),
            np.concatenate([answer[item] for answer in answers])[np.searchsorted(asked, rows[item])],
            parts[item],
            run.thresholds.get(item, 0.5),
        )
    return found


def _write_history(path: Path, histories: Mapping[str, list[Row]]) -> None:
    file = io.StringIO()
    several = len(histories) > 1
    columns = [*(["item"] if several else []), "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    table = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for item, rows in histories.items():
        for number, row in enumerate(rows, start=1):
            table.writerow({"item": item, "epoch": number} | {key: f"{value:.6g}" for key, value in row.items()})
    write_whole(path, file.getvalue().encode())


def _same(record: Mapping[str, Any], plan: Plan) -> bool:
    """Tell whether a run, finished or not, is what a plan asks for; where the data lies does not matter."""

    def essence(one: Mapping[str, Any]) -> Any:
        items = {item: (it["fingerprint"], list(it["class_names"])) for item, it in one["items"].items()}
        return one["format"], one["config"], items

    return bool(essence(record) == essence(json.loads(json.dumps(plan.record))))


def _interrupted(runs: Path, plan: Plan) -> Path | None:
    """Return the newest run folder that was to become what the plan asks for and was not finished."""
    for path in sorted(runs.glob(f"*/{PLAN}"), reverse=True):
        if not (path.parent / RUN).exists() and _same(json.loads(path.read_text(encoding="utf-8")), plan):
            log.info("Going on with %s, which was interrupted.", path.parent)
            return path.parent
    return None


def _new_folder(runs: Path, plan: Plan) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (stamp if n == 1 else f"{stamp}-{n}" for n in itertools.count(1))
    folder = make_folder(next(runs / name for name in names if not (runs / name).exists()))
    make_folder(folder / WORK)
    write_whole(folder / PLAN, json.dumps(plan.record, indent=2, ensure_ascii=False).encode())
    return folder


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("tray", "keras", "tensorflow", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
