"""A Keras file of a run on a frozen backbone, and how classifiers are put into it without Keras.

Such a file is a zip archive: config.json tells the layers and how they are connected, model.weights.h5 has a group of
arrays for each layer, named by its class and by the how manieth of that class it is. Opening a model of twenty
classifiers and writing it again takes Keras several times as long as one more classifier takes to be learned.
"""

import copy
import json
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from train.heads import Head
from train.runs import MODEL, Run

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.weights.h5"
PIECE: Final = 1 << 18
"""Bytes copied at once."""

Array = np.ndarray[Any, Any]
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Enlarged:
    """The model of a run on a frozen backbone with further heads, as far as it takes to write it."""

    run: Run
    heads: Mapping[str, Head]
    """By the name of the item."""

    def save(self, file: Path) -> None:
        """Write the model to a ``.keras`` file: what the run's own holds, byte for byte, and the further heads.

        Where the run's file is laid out in another way than is known here, Keras opens and writes it.
        """
        try:
            _enlarge(self.run.path / MODEL, file, self.run.items, self.heads)
        except _UnknownLayoutError as error:
            log.info("Keras adds to %s: %s.", self.run.path / MODEL, error)
            from train import models

            known = models.taken_apart(self.run.model, self.run.items)
            further = {item: models.machine(head) for item, head in self.heads.items()}
            models.joined(known.parts | further, trunk=known.trunk).save(file)


class _UnknownLayoutError(Exception):
    """A Keras file that holds something else than is expected."""


def _enlarge(old: Path, new: Path, items: Sequence[str], heads: Mapping[str, Head]) -> None:
    try:
        with zipfile.ZipFile(old) as source, tempfile.TemporaryDirectory(dir=new.parent) as scratch:
            config = json.loads(source.read(CONFIG))
            weights = Path(scratch) / WEIGHTS
            with source.open(WEIGHTS) as packed, weights.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, PIECE)
            known = list(items)
            for item, head in heads.items():
                _connect(config["config"], known, item, head)
                known.append(item)
            _put(weights, items, heads)
            with zipfile.ZipFile(new, "w") as target:
                for name in source.namelist():
                    if name == WEIGHTS:
                        told = zipfile.ZipInfo.from_file(weights, name)
                        with weights.open("rb") as unpacked, target.open(told, "w") as packed:
                            shutil.copyfileobj(unpacked, packed, PIECE)
                    else:
                        target.writestr(name, json.dumps(config) if name == CONFIG else source.read(name))
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise _UnknownLayoutError(repr(error)) from error


def _connect(config: dict[str, Any], items: Sequence[str], item: str, head: Head) -> None:
    """Add a classifier to the layers and the outputs of a joined model, as the last one of ``items`` is in them."""
    number, last = len(items), len(items) - 1
    layers = {layer["name"]: layer for layer in config["layers"]}
    part, answer = (copy.deepcopy(layers[f"{name}_{last}"]) for name in ("classifier", "probabilities"))
    features, kernel, logits = part["config"]["layers"]
    if [features["name"], kernel["name"], logits["name"]] != ["features", "kernel", "logits"]:
        raise _UnknownLayoutError(f"classifier_{last} is no head")
    if features["config"]["batch_shape"] != [None, head.landmarks.shape[1]]:
        raise _UnknownLayoutError(f"classifier_{last} has other features")
    kernel["config"]["units"] = len(head.landmarks)
    logits["config"]["units"] = head.weights.shape[1]
    logits["build_config"] = {"input_shape": [None, len(head.landmarks)]}
    _origin(logits)["shape"] = [None, len(head.landmarks)]
    origin = _origin(answer)
    origin["shape"], origin["keras_history"] = [None, head.weights.shape[1]], [f"classifier_{number}", 0, 0]
    for layer, name in ((part, "classifier"), (answer, "probabilities")):
        layer["name"] = layer["config"]["name"] = f"{name}_{number}"
        config["layers"].append(layer)
    outputs = config["output_layers"]
    outputs = outputs if isinstance(outputs, dict) else {items[0]: outputs}
    config["output_layers"] = outputs | {item: [f"probabilities_{number}", 0, 0]}


def _origin(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a layer's configuration says of the one tensor that it is given."""
    ((tensor,),) = (node["args"] for node in layer["inbound_nodes"])
    found: dict[str, Any] = tensor["config"]
    return found


def _put(weights: Path, items: Sequence[str], heads: Mapping[str, Head]) -> None:
    """Add the arrays of heads to a file of weights.

    Keras counts layers in the order in which it comes to them from the outputs, which it sorts by name; the first
    model of all is the backbone.
    """
    import h5py

    names = [*items, *heads]
    with h5py.File(weights, "r+") as file:
        layers = file["layers"]
        for place, item in enumerate(sorted(items)):
            for kind, first, name in (("functional", 1, "classifier"), ("softmax", 0, "probabilities")):
                group, layer = _counted(kind, first + place), f"{name}_{items.index(item)}"
                if layers[group]["vars"].attrs["name"] != layer:
                    raise _UnknownLayoutError(f"{group} is not {layer}")
                layers.move(group, layer)
        if len(layers) != 2 * len(items) + 2:
            raise _UnknownLayoutError(f"it has {len(layers)} layers")
        for item, head in heads.items():
            _write(layers, names.index(item), head)
        for place, item in enumerate(sorted(names)):
            layers.move(f"classifier_{names.index(item)}", _counted("functional", 1 + place))
            layers.move(f"probabilities_{names.index(item)}", _counted("softmax", place))


def _write(layers: Any, number: int, head: Head) -> None:
    """Write a head as Keras writes the model that ``train.models.machine`` makes of it."""
    inside = {"input_layer": ("features", ()), **{_counted("dense", n): named for n, named in enumerate(_arrays(head))}}
    for layer, (name, arrays) in inside.items():
        group = layers.create_group(f"classifier_{number}/layers/{layer}/vars")
        group.attrs["name"] = name
        for place, array in enumerate(arrays):
            group.create_dataset(str(place), data=array)
    for name in (f"classifier_{number}", f"probabilities_{number}"):
        layers.create_group(f"{name}/vars").attrs["name"] = name


def _arrays(head: Head) -> list[tuple[str, tuple[Array, ...]]]:
    return [("kernel", head.kernel), ("logits", (head.weights, head.bias))]


def _counted(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind
