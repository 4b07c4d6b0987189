"""Networks that learn from nothing, epoch by epoch, from where they were stopped."""

import hashlib
import io
import json
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataset.folder import write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import models
from train.backend import keras
from train.data import Dataset, Feed, Pixels

Array = np.ndarray[Any, Any]
Row = dict[str, Any]


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


def learn(
    network: Network, dataset: Dataset, pixels: Pixels, *, item: str, work: Path
) -> Generator[Epoch, None, Learned]:
    """Train one classifier, or take up where it was left; yield its epochs and return what it learned."""
    settings = network.settings
    checkpoint = work / f"{hashlib.sha256(item.encode()).hexdigest()[:16]}.npz"
    network.reset()
    learned = _restore(checkpoint, network) or Learned(network.model.get_weights())
    shown = {"train": [*dataset.part("train"), *dataset.part("tray")], "val": dataset.part("val")}
    feeds = {
        part: Feed(
            pixels.array,
            pixels.rows_of(photos),
            np.array([photo.label for photo in photos], np.int64),
            batch_size=settings.batch_size,
            seed=settings.seed if part == "train" else None,
        )
        for part, photos in shown.items()
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
