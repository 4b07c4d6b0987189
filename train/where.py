"""Where on a picture a model found what speaks for a class."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from train.backend import keras, tf
from train.data import decode
from train.forward import by_keras

Array = np.ndarray[Any, Any]
GRID: Final = 10
"""Patches on each side that are hidden in turn where a model has no convolution."""
FINEST: Final = 14
"""Rows and columns of a heat map at most."""
TINY: Final = 1e-30
MOVING: Final = frozenset({"Flip", "Cropping2D"})
"""What puts a picture's parts in other places."""


@dataclass(frozen=True, slots=True)
class Heat:
    """How much each place of the picture speaks for a class: rows from the top, values of 0..1."""

    rows: Array
    method: str


class Eye:
    """Draws heat maps of a model whose outputs are probabilities, one at a time."""

    def __init__(self, model: Any, forward: Callable[[Array], Mapping[str, Array]]) -> None:
        self._forward = forward
        self._lock = threading.Lock()
        self._listening, self._convolutions = listening(model)

    def heat(self, pixels: Array, item: str, label: int) -> Heat:
        """Return where one picture, (size, size, 3), speaks for a class of a classifier."""
        with self._lock:
            return self._by_gradient(pixels, item, label) or self._by_hiding(pixels, item, label)

    def _by_gradient(self, pixels: Array, item: str, label: int) -> Heat | None:
        """Return activation times gradient of the last convolution's maps, or None where there is no convolution.

        Where the maps are averaged on their way to the classes this is Grad-CAM; where they are flattened it keeps
        what Grad-CAM's mean over the picture loses (HiResCAM, Draelos and Carin 2020, arXiv:2011.08891).
        """
        if not self._convolutions:
            return None
        picture = tf.cast(pixels[None], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(picture)
            maps, outputs = self._listening(picture, training=False)
            probabilities = (outputs[item] if isinstance(outputs, Mapping) else outputs)[0]
            others = tf.reduce_sum(probabilities) - probabilities[label]
            if len(probabilities) == 2:
                others = probabilities[1 - label]
            odds = tf.math.log(probabilities[label] + TINY) - tf.math.log(others + TINY)
        gradients = tape.gradient(odds, maps)
        # Another item's classifier has maps too, without any way from them to this one's answer.
        last = max((n for n, one in enumerate(gradients) if one is not None), default=None)
        if last is None:
            return None
        layer = self._convolutions[last].layer
        # Where it looks at several views, the map is drawn of the one that shows the picture as it is.
        views = [n for n, one in enumerate(self._convolutions) if one.layer is layer and gradients[n] is not None]
        view = next((n for n in views if self._convolutions[n].straight), last)
        heat = np.sum(maps[view][0].numpy() * gradients[view][0].numpy(), axis=-1)
        return Heat(_scaled(heat), layer.name)

    def _by_hiding(self, pixels: Array, item: str, label: int) -> Heat:
        """Return how much the class loses when each patch of the picture is painted over with its mean colour."""
        edges = np.linspace(0, len(pixels), GRID + 1).astype(int)
        mean = pixels.mean(axis=(0, 1)).astype(np.uint8)
        hidden = np.repeat(pixels[None], GRID * GRID + 1, axis=0)
        for n in range(GRID * GRID):
            row, column = divmod(n, GRID)
            hidden[n, edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = mean
        answers = self._forward(hidden)[item]
        odds = np.log(answers[:, label] + TINY) - np.log(np.delete(answers, label, axis=1).sum(axis=1) + TINY)
        return Heat(_scaled((odds[-1] - odds[:-1]).reshape(GRID, GRID)), "occlusion")


def looking(model: Any, size: int, items: Sequence[str]) -> Callable[[Path, str, int], Array]:
    """Return what tells where a model finds a class of one of its classifiers ``items`` on a photo: the heat's rows.

    The model that listens is made when it is first asked, and has no other classifiers.
    """

    @cache
    def eye() -> Eye:
        outputs = model.output
        few = (
            keras.Model(model.input, {item: outputs[item] for item in items}) if isinstance(outputs, Mapping) else model
        )
        return Eye(few, by_keras(few, size, items))

    return lambda path, item, label: eye().heat(decode(path, size), item, label).rows


@dataclass(frozen=True, slots=True)
class Heard:
    """Where maps come from: a convolution, and whether it is shown the picture as it is, not mirrored or cut."""

    layer: Any
    straight: bool


def listening(model: Any) -> tuple[Any, list[Heard]]:
    """Return a model of the same layers that gives ``[maps, outputs]``, and where each of the maps comes from.

    The maps, (n, height, width, channels), are taken after the activation that follows each convolution; one that is
    used several times has some each time.
    """
    maps: list[Any] = []
    convolutions: list[Heard] = []
    moved: list[Any] = []
    listener = cache(listening)

    def hear(layer: Any, *arguments: Any, **options: Any) -> Any:
        straight = not any(one is other for one in arguments for other in moved)
        if isinstance(layer, keras.Sequential):
            flow = arguments[0]
            for inner in layer.layers:
                flow = hear(inner, flow)
            return flow
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            within, found = listener(layer)
            heard, answer = within(*arguments)
            maps.extend(heard)
            convolutions.extend(replace(one, straight=one.straight and straight) for one in found)
            return answer
        answer = layer(*arguments, **options)
        if not straight or type(layer).__name__ in MOVING:
            moved.append(answer)
        if _is_map(answer):
            if "Conv" in type(layer).__name__:
                maps.append(answer)
                convolutions.append(Heard(layer, straight))
            elif maps and arguments and arguments[0] is maps[-1] and answer.shape == maps[-1].shape:
                # Normalisation and activation: what they let through is what goes on.
                maps[-1] = answer
        return answer

    copy = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=hear)
    # One output, or several named by item, as the model itself gives them.
    outputs = keras.tree.pack_sequence_as(model.compute_output_spec(model.inputs[0]), copy.outputs)
    return keras.Model(copy.inputs[0], [maps, outputs], name=f"listening_{model.name}"), convolutions


def _is_map(tensor: Any) -> bool:
    shape: tuple[int | None, ...] = getattr(tensor, "shape", ())
    return len(shape) == 4 and all(side is not None and side > 1 for side in shape[1:3])


def _scaled(values: Array) -> Array:
    """Return what speaks for the class as 0..1, in patches where the maps are finer than a person can use."""
    side = max(1, -(-len(values) // FINEST))
    if side > 1:
        rows, columns = (-(-length // side) for length in values.shape)
        padded = np.zeros((rows * side, columns * side))
        padded[: values.shape[0], : values.shape[1]] = values
        values = padded.reshape(rows, side, columns, side).mean(axis=(1, 3))
    positive = np.maximum(values, 0)
    return np.asarray(positive / (positive.max() or 1.0))
