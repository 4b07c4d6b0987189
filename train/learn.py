"""Networks that learn from nothing, epoch by epoch, from where they were stopped."""

import hashlib
import io
import json
import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dataset.folder import write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import models
from train.backend import halves_help, keras, strategy, tf
from train.data import Dataset, Feed, Part, Photo, Pixels

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
TOLD_EVERY = 1.0
"""Seconds between two notes on how far an epoch is."""


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
    rate: float | None = None
    """The learning rate, where there is one."""

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


class Epochs(Protocol):
    """A source of batches, as a Feed is one: setting ``epoch`` decides the order of the next pass."""

    epoch: int
    steps: int
    batches: Any


class Network:
    """One compiled model, started afresh for each classifier of the same shape: it is traced once.

    ``spread`` says over which devices it trains; by default over all GPUs that there are.
    """

    def __init__(self, settings: Train, classes: int, *, spread: Any = None) -> None:
        keras.utils.set_random_seed(settings.seed)
        spread = spread or strategy()
        with spread.scope(), _computing(settings):
            model = models.build(
                settings.model,
                size=settings.image_size or 0,
                classes=classes,
                shown=models.shown(augment=settings.augment, by=settings.augment_by),
            )
            model.compile(
                keras.optimizers.Adam(settings.learning_rate),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
            )
            if spread.num_replicas_in_sync > 1:
                # Metrics are made when they are first asked for; within a mirrored step it would be too late.
                model.evaluate(_nothing(model.input_shape[1:], spread.num_replicas_in_sync), verbose=0)
            self._ready(model, settings, spread)

    def _ready(self, model: Any, settings: Train, spread: Any) -> None:
        """Take up a compiled model."""
        self.model, self.settings, self._spread = model, settings, spread
        model.optimizer.build(model.trainable_variables)
        self._step = tf.function(self._one_step, reduce_retracing=True, jit_compile=False)
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
    def rate(self) -> float:
        """Return the learning rate."""
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    @rate.setter
    def rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate

    @property
    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def reset(self) -> None:
        """Forget everything that was learned."""
        self.state = self._fresh

    def steps(self, feed: Epochs) -> Iterator[int]:
        """Train on one batch after another of an epoch; yield how many there were so far."""
        self.model.reset_metrics()
        batches = iter(self._spread.experimental_distribute_dataset(feed.batches))
        for number in range(1, feed.steps + 1):
            self._step(batches)
            yield number

    def figures(self) -> dict[str, float]:
        """Return loss and accuracy over the batches that it was trained on since the epoch began."""
        return {key: float(value) for key, value in self.model.get_metrics_result().items()}

    def judge(self, feed: Epochs) -> dict[str, float]:
        """Return loss and accuracy on pictures that it does not learn from."""
        told = self.model.evaluate(feed.batches, verbose=0, return_dict=True)
        return {f"val_{key}": float(value) for key, value in told.items()}

    def _one_step(self, batches: Any) -> None:
        self._spread.run(self.model.train_step, args=(next(batches),))


def _nothing(shape: tuple[int, ...], n: int) -> Any:
    """Return a data set of one batch of ``n`` black pictures."""
    return tf.data.Dataset.from_tensors((tf.zeros((n, *shape), tf.uint8), tf.zeros(n, tf.int64), tf.ones(n)))


@contextmanager
def _computing(settings: Train) -> Iterator[None]:
    """Let layers made meanwhile compute with 16-bit floats where that is wanted, and keep whole ones."""
    before = keras.config.dtype_policy()
    if halves_help() if settings.mixed_precision is None else settings.mixed_precision:
        # Only bfloat16 has the range of whole floats; processors know no other.
        keras.config.set_dtype_policy("mixed_float16" if halves_help() else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def feeds_of(dataset: Dataset, pixels: Pixels, settings: Train) -> dict[Part, Feed]:
    """Return what a dataset's network learns from, shuffled, and what it is judged by."""
    shown: dict[Part, list[Photo]] = {
        "train": [*dataset.part("train"), *dataset.part("tray")],
        "val": dataset.part("val"),
    }
    return {
        part: Feed(
            pixels.array,
            pixels.rows_of(photos),
            np.array([photo.label for photo in photos], np.int64),
            batch_size=settings.batch_size,
            seed=settings.seed if part == "train" else None,
        )
        for part, photos in shown.items()
    }


def learn(
    network: Network, feeds: Mapping[Part, Epochs], *, item: str, work: Path, start: Learned | None = None
) -> Generator[Progress, None, Learned]:
    """Train one classifier, or take up where it was left; yield its progress, and return what it learned.

    ``start`` is what it knew before; an epoch that is no better than that is none to keep.
    """
    settings = network.settings
    checkpoint = work / f"{hashlib.sha256(item.encode()).hexdigest()[:16]}.npz"
    network.reset()
    learned = _restore(checkpoint, network) or start or Learned(network.model.get_weights())
    while len(learned.history) < settings.epochs and learned.wait < settings.patience:
        started = time.perf_counter()
        _schedule(learned, network, settings)
        yield from _epoch(network, feeds["train"], learned, stage=f"train {item}".strip())
        row = network.figures() | network.judge(feeds["val"])
        _note(learned, row | {"seconds": time.perf_counter() - started}, network, settings)
        _save(checkpoint, learned, network)
        yield Epoch(
            stage=f"train {item}".strip(),
            done=len(learned.history),
            total=settings.epochs,
            note=f"val_accuracy={row['val_accuracy']:.3f} best={learned.target:.3f}",
            item=item,
            rate=network.rate,
            **learned.history[-1],
        )
    return learned


def _epoch(network: Network, feed: Epochs, learned: Learned, *, stage: str) -> Generator[Progress, None, None]:
    """Train for one epoch; about once a second, yield how far it is and how long it will take."""
    feed.epoch = len(learned.history)
    started = told = time.perf_counter()
    for step in network.steps(feed):
        now = time.perf_counter()
        if now - told >= TOLD_EVERY:
            told, left = now, (now - started) / step * (feed.steps - step)
            note = f"batch {step} of {feed.steps}, {left:.0f} s left of epoch {feed.epoch + 1}"
            yield Progress(stage, feed.epoch, network.settings.epochs, "epoch", note)


def _schedule(learned: Learned, network: Network, settings: Train) -> None:
    """Set the learning rate of the epoch to come."""
    done = len(learned.history)
    if settings.schedule == "cosine":
        network.rate = settings.learning_rate * (1 + math.cos(math.pi * done / settings.epochs)) / 2
    # Halfway to giving up, smaller steps may find what larger ones leap over.
    stalled = learned.wait and learned.wait % max(1, settings.patience // 2) == 0
    if settings.schedule == "plateau" and stalled:
        network.rate /= 2


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
