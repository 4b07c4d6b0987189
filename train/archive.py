"""A Keras file of a run on a frozen backbone, and how classifiers are put into it without Keras.

Such a file is a zip archive: config.json tells the layers and how they are connected, model.weights.h5 has a group of
arrays for each layer, named by its class and by the how manieth of that class it is. Keras takes seconds to be there
and to open a model, longer than one more classifier takes to be learned.
"""

import copy
import io
import json
import logging
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from train import models
from train.heads import Head, Kernel, wired
from train.runs import MODEL, Run

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.weights.h5"
Array = np.ndarray[Any, Any]
Layer = dict[str, Any]
"""What config.json says of a layer."""
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
            known = models.taken_apart(self.run.model, self.run.items)
            kernels = {id(kernel): kernel for part in known.by_item.values() for kernel in part.kernels}
            further = models.of_heads(self.heads, list(kernels.values()))
            models.joined(models.Parts(known.by_item | further, known.trunk)).save(file)


class _UnknownLayoutError(Exception):
    """A Keras file that holds something else than is expected."""


def _enlarge(old: Path, new: Path, items: Sequence[str], heads: Mapping[str, Head]) -> None:
    try:
        with zipfile.ZipFile(old) as source:
            config = json.loads(source.read(CONFIG))
            weights = io.BytesIO()
            with source.open(WEIGHTS) as stored:
                # In small pieces, which stay in the processor's cache while they are checked.
                shutil.copyfileobj(stored, weights)
            _add(config["config"], weights, items, heads)
            made: dict[str, bytes | memoryview] = {CONFIG: json.dumps(config).encode(), WEIGHTS: weights.getbuffer()}
            with zipfile.ZipFile(new, "w") as target:
                for name in source.namelist():
                    target.writestr(name, made[name] if name in made else source.read(name))
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise _UnknownLayoutError(repr(error)) from error


def _add(graph: dict[str, Any], weights: io.BytesIO, items: Sequence[str], heads: Mapping[str, Head]) -> None:
    """Add heads to the layers and the outputs of a joined model, and their arrays to its file of weights."""
    import h5py

    with h5py.File(weights, "r+") as file:
        groups = file["layers"]
        named = _groups(graph)
        for layer, group in named.items():
            if groups[f"{group}/vars"].attrs["name"] != layer:
                raise _UnknownLayoutError(f"{group} is not {layer}")
        if len(groups) != len(named):
            raise _UnknownLayoutError(f"it has {len(groups)} layers")
        if "kernel_0" not in named:
            raise _UnknownLayoutError("each of its items has a kernel of its own")
        number, kernels = len(items), sum(layer.startswith("kernel_") for layer in named)
        known = [Kernel(*(groups[named[f"kernel_{n}"]]["vars"][place][()] for place in "01")) for n in range(kernels)]
        further = list(_further(graph["layers"], known, number, heads.values()))
        graph["layers"] += [one for one, _ in further]
        outputs = graph["output_layers"]
        graph["output_layers"] = outputs if isinstance(outputs, dict) else {items[0]: outputs}
        for n, item in enumerate(heads, start=number):
            graph["output_layers"][item] = [f"probabilities_{n}", 0, 0]
        placed = _groups(graph)
        moved = [layer for layer, group in named.items() if placed[layer] != group]
        # One may take the place of another that is to move as well.
        for layer in moved:
            groups.move(named[layer], layer)
        for layer in moved:
            groups.move(layer, placed[layer])
        for one, arrays in further:
            variables = groups.create_group(f"{placed[one['name']]}/vars")
            variables.attrs["name"] = one["name"]
            for place, array in enumerate(arrays):
                variables.create_dataset(str(place), data=array)


def _further(
    there: Sequence[Layer], known: Sequence[Kernel], number: int, heads: Iterable[Head]
) -> Iterator[tuple[Layer, Sequence[Array]]]:
    """Yield the layers that heads need beside those of a model of so many items, like its last ones, and their arrays.

    As ``train.models.joined`` puts them together; ``known`` are the kernels that it has.
    """
    inside = {layer["name"]: layer for layer in there}
    like, last, answer = (
        inside[name] for name in ("kernel_0", f"classifier_{number - 1}", f"probabilities_{number - 1}")
    )
    kernels, wires = wired(heads, known)
    widths = {f"kernel_{n}": len(kernel.biases) for n, kernel in enumerate(kernels)}
    for n, kernel in enumerate(kernels[len(known) :], start=len(known)):
        yield (
            _layer(like, f"kernel_{n}", {models.TRUNK: len(kernel.weights)}, units=len(kernel.biases)),
            (kernel.weights, kernel.biases),
        )
    for n, wire in enumerate(wires, start=number):
        given = {f"kernel_{kernel}": widths[f"kernel_{kernel}"] for kernel in wire.kernels}
        if len(given) > 1:
            yield _side_by_side(like, f"kernels_{n}", given), ()
            given = {f"kernels_{n}": sum(given.values())}
        classes = len(wire.bias)
        yield _layer(last, f"classifier_{n}", given, units=classes), (wire.weights, wire.bias)
        yield _layer(answer, f"probabilities_{n}", {f"classifier_{n}": classes}), ()


def _layer(like: Layer, name: str, given: Mapping[str, int], **options: int) -> Layer:
    """Return a layer like another one, but for its name, some options, and the tensors that it takes, by layer."""
    made = copy.deepcopy(like)
    made["name"] = name
    made["config"] |= {"name": name, **options}
    if "build_config" in made:
        made["build_config"] = {"input_shape": [None, sum(given.values())]}
    (node,) = made["inbound_nodes"]
    (tensor,) = node["args"]
    told = [{"shape": [None, width], "keras_history": [layer, 0, 0]} for layer, width in given.items()]
    node["args"] = [{**tensor, "config": tensor["config"] | one} for one in told]
    return made


def _side_by_side(like: Layer, name: str, given: Mapping[str, int]) -> Layer:
    """Return a layer that puts side by side what several others give, each as wide as is told."""
    made = _layer(like, name, given)
    made["class_name"], kept = "Concatenate", ("name", "trainable", "dtype")
    made["config"] = {key: made["config"][key] for key in kept} | {"axis": -1}
    made["build_config"] = {"input_shape": [[None, width] for width in given.values()]}
    (node,) = made["inbound_nodes"]
    node["args"] = [node["args"]]
    return made


def _groups(graph: Mapping[str, Any]) -> dict[str, str]:
    """Return the group of each layer's arrays.

    Keras counts layers of a class from those that are farthest from the outputs on, and equally far ones in the order
    in which it comes to them from the outputs, which it sorts by name.
    """
    kinds = {layer["name"]: re.sub(r"(?<=.)(?=[A-Z])", "_", layer["class_name"]).lower() for layer in graph["layers"]}
    given = {layer["name"]: list(_origins(layer["inbound_nodes"])) for layer in graph["layers"]}
    met: dict[str, int] = {}
    done: list[str] = []

    def visit(layer: str) -> None:
        if layer not in met:
            met[layer] = len(met)
            for one in given[layer]:
                visit(one)
            done.append(layer)

    outputs = graph["output_layers"]
    for output in [outputs[item] for item in sorted(outputs)] if isinstance(outputs, dict) else [outputs]:
        visit(output[0])
    far = dict.fromkeys(done, 0)
    for layer in reversed(done):
        for one in given[layer]:
            far[one] = max(far[one], far[layer] + 1)
    counted: Counter[str] = Counter()
    found = {}
    for layer in sorted(done, key=lambda one: (-far[one], met[one])):
        number = counted[kinds[layer]]
        found[layer] = f"{kinds[layer]}_{number}" if number else kinds[layer]
        counted[kinds[layer]] += 1
    return found


def _origins(said: Any) -> Iterator[str]:
    """Yield the layers whose tensors a layer takes, as its configuration says."""
    if isinstance(said, list):
        for one in said:
            yield from _origins(one)
    elif isinstance(said, dict):
        if said.get("class_name") == "__keras_tensor__":
            yield said["config"]["keras_history"][0]
        else:
            yield from _origins(said.get("args", []))
