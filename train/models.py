"""The networks that train from nothing, by name; all take pixels of 0..255 and give logits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset.errors import ConfigError, did_you_mean
from train.backbones import BACKBONES, find
from train.backend import keras, layers
from train.heads import Head, Kernel, wired

TRUNK = "features"
"""Name of the model that turns pixels into what all classifiers on a frozen backbone share."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network: the side in pixels of its square input, and its layers from rescaled pixels to features."""

    size: int
    smallest: int
    """The smallest side that its convolutions can work on."""
    layers: Callable[[], list[Any]]


def cnn() -> list[Any]:
    """Three pairs of convolution and pooling, and one dense layer: small, and trained from nothing."""
    return [
        layers.Conv2D(32, 3, activation="relu", name="conv1"),
        layers.MaxPooling2D(name="pool1"),
        layers.Conv2D(32, 3, activation="relu", name="conv2"),
        layers.MaxPooling2D(name="pool2"),
        layers.Conv2D(32, 3, activation="relu", name="conv3"),
        layers.MaxPooling2D(name="pool3"),
        layers.Flatten(name="flatten"),
        layers.Dense(128, activation="relu", name="dense"),
    ]


def cnn64() -> list[Any]:
    """Two double convolutions and a single one, with dropout, for small pictures of few classes."""
    return [
        layers.Conv2D(32, 3, activation="relu", name="conv1a"),
        layers.Conv2D(32, 3, activation="relu", name="conv1b"),
        layers.MaxPooling2D(name="pool1"),
        layers.Dropout(0.25, name="dropout1"),
        layers.Conv2D(64, 3, activation="relu", name="conv2a"),
        layers.Conv2D(64, 3, activation="relu", name="conv2b"),
        layers.MaxPooling2D(name="pool2"),
        layers.Dropout(0.25, name="dropout2"),
        layers.Conv2D(64, 3, activation="relu", name="conv3"),
        layers.MaxPooling2D(name="pool3"),
        layers.Flatten(name="flatten"),
        layers.Dense(32, activation="relu", name="dense1"),
        layers.Dense(16, activation="relu", name="dense2"),
    ]


NETWORKS: Mapping[str, Network] = {
    "cnn": Network(180, 22, cnn),
    "cnn64": Network(64, 32, cnn64),
}


AUGMENTATIONS: Mapping[str, Callable[[], Any]] = {
    "flip": lambda: layers.RandomFlip(name="flip"),
    "turn": lambda: layers.RandomRotation(0.2, name="turn"),
    "zoom": lambda: layers.RandomZoom(0.2, name="zoom"),
    "contrast": lambda: layers.RandomContrast(0.3, name="contrast"),
    "grey": lambda: layers.RandomGrayscale(0.5, name="grey"),
    "inversion": lambda: layers.RandomInvert(0.5, name="inversion"),
}
"""Layers that show each picture another way in every epoch; they rest outside training."""


def shown(*, augment: bool, by: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the augmentations that settings ask for: flips and rotations, and what they name beside."""
    return tuple(dict.fromkeys((*(("flip", "turn") if augment or by else ()), *by)))


def named(name: str) -> Network:
    """Return a network by its name; raises ConfigError for one that is neither a network nor a backbone."""
    if name in NETWORKS:
        return NETWORKS[name]
    known = [*NETWORKS, *BACKBONES]
    joined = name.split("+")
    if len(joined) > 1:
        others = ", ".join(repr(one) for one in joined if find(one) is None)
        raise ConfigError(f"Expected backbones alone in {name!r}. Received: {others} among them. Leave that out.")
    raise ConfigError(
        f"Expected a model out of {', '.join(known)}, or a MobileNet with its width and size such as "
        f"mobilenet_0.50_224. Received: {name!r}.{did_you_mean(name, known)}"
    )


def build(name: str, *, size: int, classes: int, shown: Sequence[str] = ()) -> Any:
    """Return the Keras model of a network, from (n, size, size, 3) pixels of 0..255 to (n, classes) logits.

    ``shown`` names the ways of AUGMENTATIONS in which pictures are varied in training.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    flow = pixels
    for layer in [*(AUGMENTATIONS[one]() for one in shown), layers.Rescaling(1 / 255, name="rescaling")]:
        flow = layer(flow)
    for layer in named(name).layers():
        flow = layer(flow)
    # Whatever the network computes with, a loss takes whole floats.
    return keras.Model(pixels, layers.Dense(classes, name="logits", dtype="float32")(flow), name=name)


@dataclass(frozen=True, slots=True)
class Classifier:
    """One item's classifier in a joined model: what gives its logits, and what that takes."""

    layer: Any
    """A layer, or a model."""
    kernels: tuple[Any, ...] = ()
    """Layers on the trunk, which other items may have too, whose outputs it takes side by side; without any it takes
    the trunk's, or pixels where there is no trunk."""
    scale: float | None = None
    """What its logits are multiplied by: one over its temperature."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a joined model consists of: a classifier for each item, and the trunk that they share, if they do."""

    by_item: dict[str, Classifier]
    trunk: Any = None


def of_heads(fitted: Mapping[str, Head], known: Sequence[Any] = ()) -> dict[str, Classifier]:
    """Return heads as classifiers, which have as many kernels in common as they can, also those that are known."""
    kernels, layers_ = wired(fitted.values(), [Kernel(*one.get_weights()) for one in known])
    new = [_dense(one.weights, one.biases, "exponential") for one in kernels[len(known) :]]
    both = [*known, *new]
    return {
        item: Classifier(_dense(one.weights, one.bias), tuple(both[number] for number in one.kernels))
        for item, one in zip(fitted, layers_, strict=True)
    }


def _dense(weights: Any, biases: Any, activation: str | None = None) -> Any:
    # What is set at once need not be drawn by chance first.
    layer = layers.Dense(len(biases), activation=activation, kernel_initializer="zeros")
    layer.build((None, len(weights)))
    layer.set_weights([weights, biases])
    return layer


def joined(parts: Parts) -> Any:
    """Return one model over the same pixels whose outputs, named by item, are probabilities of (n, classes).

    A single part gives a model with one plain output.
    """
    first = parts.trunk or next(iter(parts.by_item.values())).layer
    pixels = keras.Input(first.input.shape[1:], name="pixels")
    shared = parts.trunk(pixels, training=False) if parts.trunk else pixels
    heard: dict[int, Any] = {}
    outputs = {}
    for number, (item, part) in enumerate(parts.by_item.items()):
        for kernel in part.kernels:
            if id(kernel) not in heard:
                kernel.name = f"kernel_{len(heard)}"
                heard[id(kernel)] = kernel(shared)
        given = [heard[id(kernel)] for kernel in part.kernels] or [shared]
        taken = layers.Concatenate(name=f"kernels_{number}")(given) if len(given) > 1 else given[0]
        part.layer.name = f"classifier_{number}"
        logits = part.layer(taken)
        if part.scale:
            logits = layers.Rescaling(part.scale, name=f"temperature_{number}")(logits)
        outputs[item] = layers.Softmax(name=f"probabilities_{number}")(logits)
    return keras.Model(pixels, outputs if len(outputs) > 1 else next(iter(outputs.values())), name="tray")


def taken_apart(model: Any, items: Sequence[str]) -> Parts:
    """Return what a joined model, its outputs in the order of ``items``, was joined of: the same to the bit."""
    inside = {layer.name: layer for layer in model.layers}
    kernels = [layer for name, layer in inside.items() if name.startswith("kernel_")]
    found = {}
    for number, item in enumerate(items):
        layer, scaling = inside[f"classifier_{number}"], inside.get(f"temperature_{number}")
        taken = inside.get(f"kernels_{number}", layer).input
        given = taken if isinstance(taken, list) else [taken]
        mine = tuple(kernel for one in given for kernel in kernels if kernel.output is one)
        found[item] = Classifier(layer, mine, scaling.scale if scaling else None)
    return Parts(found, inside.get(TRUNK))


def alone(model: Any, item: str) -> Any:
    """Return one item's classifier out of a joined model: the same pixels, that item's output, and nothing else of it.

    Raises ConfigError for an item that the model has no output for.
    """
    outputs = model.output if isinstance(model.output, Mapping) else {}
    if item not in outputs:
        raise ConfigError(f"Expected an item out of {', '.join(outputs) or 'several'}. Received: {item!r}.")
    return keras.Model(model.input, outputs[item], name="tray")
