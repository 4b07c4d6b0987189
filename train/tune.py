"""Backbones tuned from the top: their last convolutions learn along with the classifiers that stand on them.

A head comes first, on the frozen backbone; then the topmost convolutions go on from there at a low rate, while batch
normalisation keeps to what it knew. Below the cut nothing changes, so what comes out there is computed once for each
view of each photo, and kept in files while it is needed.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from dataset.folder import make_folder, write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import backbones
from train.backend import keras, layers, tf
from train.data import Dataset, Part, Photo, class_weights, decode_ahead, distinct, let_go
from train.features import Extractor, views_of
from train.learn import Learned, Network, learn

Array = np.ndarray[Any, Any]
SLOWER: Final = 0.1
"""The rate of what is tuned, as a share of that of what learns from nothing."""
FREEDOM: Final = 30.0
"""How freely the first head follows the photos: the inverse of its penalty."""
GENTLE: Final = 1e-4
"""Mean activation from which on down the slope of its square root grows no more."""
BATCH: Final = 16
DONE: Final = "below.done"


@dataclass(frozen=True, slots=True)
class Cut:
    """One backbone in two: what stays as it is, from pixels on, and what learns, to the last and the larger map."""

    below: Any
    above: Any


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning gave, beside a trunk whose topmost convolutions have changed."""

    parts: dict[str, Any]
    """For each item a Keras model from the trunk's features to logits."""
    learned: Learned


def tune(
    with_: Extractor, data: Mapping[str, Dataset], found: Mapping[str, Array], settings: Train, *, work: Path
) -> Generator[Progress, None, Tuned]:
    """Tune the top of an extractor's backbones, in place, along with a classifier for each dataset; yield progress.

    ``found`` are the features of all photos by the extractor as it is. The first row of the history is that of the
    heads on the frozen backbone, which stay where nothing better follows on validation photos. What is needed to go
    on after an interruption lies in the folder ``work``.
    """
    photos = {"train": _photos_of(data, ("train", "tray")), "val": _photos_of(data, ("val",))}
    cuts = [
        cut(with_.model().get_layer(f"backbone_{number}"), name, settings.fine_tune)
        for number, name in enumerate(settings.model.split("+"))
    ]
    seen = views_of(keras.Input((with_.input_size, with_.input_size, 3)), settings)
    kept = yield from _below(seen, [one.below for one in cuts], [*photos["train"], *photos["val"]], work)
    parts = {item: _first_head(dataset, found) for item, dataset in data.items()}
    network = Tuning([one.above for one in cuts], list(parts.values()), settings)
    known, unknown = (
        _answers(data, photos["train"], ("train", "tray"), weighted=True),
        _answers(data, photos["val"], ("val",), weighted=False),
    )
    rows = np.arange(len(photos["train"]) + len(photos["val"]))
    feeds: dict[Part, Shown] = {
        "train": Shown(kept, rows[: len(photos["train"])], *known, settings=settings, learning=True),
        "val": Shown(kept, rows[len(photos["train"]) :], *unknown, settings=settings, learning=False),
    }
    start = network.judge(feeds["val"])
    still = Shown(kept, rows[: len(photos["train"])], *known, settings=settings, learning=False)
    row = {name.removeprefix("val_"): value for name, value in network.judge(still).items()} | start | {"seconds": 0.0}
    frozen = Learned(network.model.get_weights(), [row], best=1, target=row["val_accuracy"])
    learned = yield from learn(network, feeds, item="", work=work, start=frozen)
    network.model.set_weights(learned.weights)
    return Tuned(parts, learned)


# ---------------------------------------------------------------- where a backbone is cut


def cut(backbone: Any, name: str, convolutions: int) -> Cut:
    """Cut a backbone where a single tensor goes on, below its topmost ``convolutions`` and below its larger map.

    Only so many convolutions learn: others above the cut, and all normalisation, stay as they are. Of a backbone with
    fewer of them all learn.
    """
    inner = backbone.get_layer("backbone")
    operations = _in_order(inner)
    found = [n for n, one in enumerate(operations) if "Conv" in type(one).__name__]
    first = found[max(0, len(found) - convolutions)]
    larger = operations.index(inner.outputs[1]._keras_history.operation)  # noqa: SLF001 - Keras has no other way to ask
    place = _waist(operations, min(first - 1, larger))
    waist = operations[place].output
    start = keras.Input(waist.shape[1:])
    tensors = {id(waist): start}
    for one in operations[place + 1 :]:
        node = one._inbound_nodes[0]  # noqa: SLF001
        arguments, options = node.arguments.fill_in(tensors)
        tensors[id(node.output_tensors[0])] = one(*arguments, **options)
    above = keras.Model(start, [tensors[id(one)] for one in inner.outputs], name=f"above_{backbone.name}")
    inner.trainable = backbone.trainable = True
    for n, one in enumerate(operations):
        if isinstance(one, layers.Layer):
            one.trainable = n >= first and not isinstance(one, layers.BatchNormalization)
    pixels = keras.Input(backbone.input_shape[1:])
    (kind,) = {one.preprocessing for one in backbones.find_all(name)}
    whole = keras.Model(inner.input, waist)
    return Cut(keras.Model(pixels, whole(backbones.preprocess(pixels, kind), training=False)), above)


def _in_order(network: Any) -> list[Any]:
    """Return a network's operations, each after those whose outputs it takes."""
    inside = {id(one) for one in network.operations}
    order: dict[int, Any] = {}
    waiting = [one._keras_history.operation for one in network.outputs]  # noqa: SLF001
    while waiting:
        missing = [one for one in _parents(waiting[-1]) if id(one) in inside and id(one) not in order]
        if missing:
            waiting += missing
        else:
            last = waiting.pop()
            order.setdefault(id(last), last)
    return list(order.values())


def _parents(operation: Any) -> list[Any]:
    nodes = operation._inbound_nodes[:1]  # noqa: SLF001
    return [tensor._keras_history.operation for node in nodes for tensor in node.input_tensors]  # noqa: SLF001


def _waist(operations: Sequence[Any], limit: int) -> int:
    """Return the last place, up to a limit, after which nothing is wanted that came before it."""
    places = {id(one): n for n, one in enumerate(operations)}
    wanted = list(range(len(operations)))
    for n, one in enumerate(operations):
        for parent in _parents(one):
            wanted[places.get(id(parent), n)] = n
    found = longest = 0
    for n in range(max(limit, 0) + 1):
        found = n if longest <= n else found
        longest = max(longest, wanted[n])
    return found


# ---------------------------------------------------------------- what comes out below the cut


def _below(
    views: Sequence[Any], below: Sequence[Any], photos: Sequence[Photo], work: Path
) -> Generator[Progress, None, list[Array]]:
    """Yield progress and return what each backbone makes of every view of the photos, (n, views, h, w, c) float16.

    It lies in files, where the next call finds it.
    """
    pixels = views[0]
    stacked = [keras.ops.stack([one(view, training=False) for view in views], axis=1) for one in below]
    ask = tf.function(keras.Model(pixels, stacked), reduce_retracing=True, autograph=False, jit_compile=False)
    files = [make_folder(work) / f"below{n}.npy" for n in range(len(below))]
    if not (work / DONE).is_file():
        arrays = [
            np.lib.format.open_memmap(file, "w+", np.float16, (len(photos), *one.shape[1:]))
            for file, one in zip(files, stacked, strict=True)
        ]
        done = 0
        for batch in decode_ahead((photo.path for photo in photos), pixels.shape[1], batch_size=BATCH):
            shown = np.stack([one for _, one in batch if not isinstance(one, str)])
            for array, said in zip(arrays, keras.tree.flatten(ask(tf.constant(shown, tf.float32))), strict=True):
                array[done : done + len(batch)] = said
                let_go(array)
            done += len(batch)
            yield Progress("run what stays frozen", done, len(photos))
        for array in arrays:
            array.flush()
        write_whole(work / DONE, b"")
    return [np.load(file, mmap_mode="r") for file in files]


class Shown:
    """An endless source of epochs: batches of what lies below the cut, labels and weights for each item.

    What learns sees one view of each photo in an epoch; what judges sees all.
    """

    def __init__(  # noqa: PLR0913 - a batch has this many sides
        self, kept: Sequence[Array], rows: Array, labels: Array, weights: Array, *, settings: Train, learning: bool
    ) -> None:
        self.epoch = 0
        self.steps = -(-len(rows) // settings.batch_size)

        def batches() -> Iterator[tuple[tuple[Array, ...], Array, Array]]:
            rng = np.random.default_rng((settings.seed, self.epoch))
            order = rng.permutation(len(rows)) if learning else np.arange(len(rows))
            views = rng.integers(0, kept[0].shape[1], len(rows))
            for start in range(0, len(rows), settings.batch_size):
                some = order[start : start + settings.batch_size]
                seen = [one[rows[some], views[some]][:, None] if learning else one[rows[some]] for one in kept]
                yield tuple(seen), labels[some], weights[some]
                for one in kept:
                    let_go(one)

        signature = (
            tuple(tf.TensorSpec((None, None, *one.shape[2:]), tf.float16) for one in kept),
            tf.TensorSpec((None, labels.shape[1]), tf.int64),
            tf.TensorSpec((None, labels.shape[1]), tf.float32),
        )
        source = tf.data.Dataset.from_generator(batches, output_signature=signature)
        self.batches = source.apply(tf.data.experimental.assert_cardinality(self.steps)).prefetch(2)


def _photos_of(data: Mapping[str, Dataset], parts: Sequence[Part]) -> list[Photo]:
    """Return the photos of some parts of all datasets, each once."""
    return distinct(photo for one in data.values() for part in parts for photo in one.part(part))


def _answers(
    data: Mapping[str, Dataset], photos: Sequence[Photo], parts: Sequence[Part], *, weighted: bool
) -> tuple[Array, Array]:
    """Return labels and weights, (n, items); the weight is 0 where a photo says nothing about an item."""
    labels = np.zeros((len(photos), len(data)), np.int64)
    weights = np.zeros((len(photos), len(data)), np.float32)
    rows = {photo.sha256: row for row, photo in enumerate(photos)}
    for column, dataset in enumerate(data.values()):
        mine = {photo.sha256: photo.label for part in parts for photo in dataset.part(part)}
        some = [rows[sha256] for sha256 in mine]
        labels[some, column] = said = np.array(list(mine.values()), np.int64)
        weights[some, column] = class_weights(said) if weighted else 1.0
    return labels, weights


# ---------------------------------------------------------------- what learns


def _first_head(dataset: Dataset, found: Mapping[str, Array]) -> Any:
    """Return a Keras model from features to logits: the best linear one on the frozen backbone."""
    from sklearn.linear_model import LogisticRegression

    mine = {photo.sha256: photo.label for part in ("tray", "train") for photo in dataset.part(part)}
    inputs, labels = np.stack([found[sha256] for sha256 in mine]), np.array(list(mine.values()))
    fitted = LogisticRegression(C=FREEDOM, class_weight="balanced", max_iter=500).fit(inputs, labels)
    kernel, bias = fitted.coef_.T, fitted.intercept_
    if len(dataset.class_names) == 2:
        kernel, bias = np.concatenate([-kernel / 2, kernel / 2], axis=1), np.concatenate([-bias / 2, bias / 2])
    features = keras.Input((inputs.shape[1],), name="features")
    logits = layers.Dense(len(dataset.class_names), name="logits")
    model = keras.Model(features, logits(features), name="head")
    logits.set_weights([kernel, bias])
    return model


@keras.saving.register_keras_serializable("tray")
class _Whole(keras.Model):  # type: ignore[misc]
    """From what lies below the cuts, (n, views, h, w, c) each, to the logits of all items, (n, classes of all)."""

    def __init__(self, above: Sequence[Any], heads: Sequence[Any]) -> None:
        super().__init__(name="whole")
        self.above, self.heads = list(above), list(heads)

    def call(self, kept: Sequence[Any]) -> Any:
        """Return the logits; the mean over the views is what the features are made of."""
        levels = [self._maps(one, above) for one, above in zip(kept, self.above, strict=True)]
        parts = [keras.ops.normalize(_rooted(mean)) for level in zip(*levels, strict=True) for mean in level]
        unit = keras.ops.concatenate(parts, axis=-1) * len(parts) ** -0.5
        return keras.ops.concatenate([head(unit) for head in self.heads], axis=-1)

    @staticmethod
    def _maps(kept: Any, above: Any) -> list[Any]:
        views = keras.ops.shape(kept)[1]
        flat = keras.ops.reshape(kept, (-1, *kept.shape[2:]))
        pooled = [keras.ops.mean(one, axis=(1, 2)) for one in above(flat, training=False)]
        return [keras.ops.mean(keras.ops.reshape(one, (-1, views, one.shape[-1])), axis=1) for one in pooled]


def _rooted(mean: Any) -> Any:
    """Return the square roots of means, with their signs, as features have them; their slope ends somewhere."""
    root = keras.ops.sign(mean) * keras.ops.sqrt(keras.ops.abs(mean))
    gentle = mean / keras.ops.sqrt(keras.ops.abs(mean) + GENTLE)
    return gentle + keras.ops.stop_gradient(root - gentle)


class Tuning(Network):
    """The tops of backbones and the heads on them, compiled to learn together at a low rate."""

    def __init__(self, above: Sequence[Any], heads: Sequence[Any], settings: Train) -> None:
        keras.utils.set_random_seed(settings.seed)
        model = _Whole(above, heads)
        model([keras.ops.zeros((1, 1, *one.input_shape[1:])) for one in above])
        slow = replace(settings, learning_rate=settings.learning_rate * SLOWER)
        loss, accuracy = _measures([one.output_shape[-1] for one in heads])
        model.compile(keras.optimizers.Adam(slow.learning_rate), loss, weighted_metrics=[accuracy])
        self._ready(model, slow, tf.distribute.get_strategy())


def _measures(classes: Sequence[int]) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Return the loss and the accuracy of joined logits, (n, items) each."""
    edges = np.cumsum([0, *classes]).tolist()

    def each(logits: Any) -> list[Any]:
        return [logits[:, start:end] for start, end in pairwise(edges)]

    def loss(labels: Any, logits: Any) -> Any:
        losses = [
            keras.losses.sparse_categorical_crossentropy(labels[:, n], one, from_logits=True)
            for n, one in enumerate(each(logits))
        ]
        return keras.ops.stack(losses, axis=1)

    def accuracy(labels: Any, logits: Any) -> Any:
        called = keras.ops.stack([keras.ops.argmax(one, axis=-1) for one in each(logits)], axis=1)
        return keras.ops.cast(keras.ops.equal(called, keras.ops.cast(labels, called.dtype)), "float32")

    return loss, accuracy
