"""A run as one file for another runtime, with what it takes to use it, checked against the run itself."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from dataset.errors import ConfigError, TrayError
from dataset.folder import make_folder, unwritable, write_whole
from dataset.splits import SPLITS
from train.data import UNREADABLE, Dataset, decode, read_dataset
from train.export_example import example, readme
from train.forward import drawn
from train.runs import MODEL, RUN, Run
from train.silence import quiet

Format = Literal["keras", "savedmodel", "tflite", "onnx"]
Precision = Literal["float", "float16", "int8"]
FILES: Final[Mapping[Format, str]] = {
    "keras": MODEL,
    "savedmodel": "savedmodel",
    "tflite": "model.tflite",
    "onnx": "model.onnx",
}
CARD: Final = "labels.json"
README: Final = "README.md"
EXAMPLE: Final = "example.py"
CALIBRATED_ON: Final = 200
"""Pictures that int8 takes its ranges from."""
CHECKED_ON: Final = 64
"""Pictures on which the file has to say what the run says."""
MARGIN: Final = 0.1
"""Probability between a decision and its opposite below which the run itself might as well have decided otherwise."""
VERSION: Final = 1
"""Of what is written; an export of another one is written anew."""
ONNX_PACKAGES: Final = ("tf2onnx", "onnx", "onnxruntime")

Array = np.ndarray[Any, Any]
Answer = dict[str, Array]
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a file may be from its run."""

    largest: float
    """Difference of the probabilities of any class on any picture."""
    mean: float
    """Difference over all classes and pictures."""
    same_decision: float = 1.0
    """Share of the clear decisions that have to be the run's."""


TOLERANCES: Final[Mapping[str, Tolerance]] = {
    "keras": Tolerance(1e-4, 1e-5),
    "savedmodel": Tolerance(1e-4, 1e-5),
    "onnx": Tolerance(1e-3, 1e-4),
    "tflite": Tolerance(1e-3, 1e-4),
    "tflite float16": Tolerance(0.02, 0.005),
    "tflite int8": Tolerance(1.0, 0.05, same_decision=0.95),
}
"""What an export must keep to on the pictures that it is checked on.

The first four compute what the run computes in 32-bit numbers, only in another order; float16 rounds weights to 11
bits. int8 rounds the weights and the activations of each of n layers to 1/255 of their range, about 1 % of a signal
that fills it. Such errors add up like noise, to 1 % x sqrt(2 n) of the spread of what the last layer is given: 3 % for
the five layers of cnn, 7 % for MobileNet's 28. Measured on 400 photos that calibration never saw: 1.3 to 1.8 % for cnn,
9 to 11 % for MobileNet. There it is half a logit, which moves a sure answer little, and one on the brink by 0.13, or
by 0.4 once in a few hundred. So int8 promises no single probability, but their mean (measured 0.001 to 0.004 and 0.004
to 0.035) and what they are for: the decisions.
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how it was found to do."""

    folder: Path
    file: Path
    bytes: int
    pictures: int
    """On which it was compared with the run."""
    real: bool
    """Whether they were photos of the run's datasets, and not drawn."""
    largest_difference: float
    mean_difference: float
    decisions: int
    """Answers that the run itself gives by a margin of at least ``MARGIN``."""
    same_decision: float
    """Share of these in which the file decides as the run does."""
    unchanged: bool = False
    """Whether everything was there already, so that nothing was done."""


def export(
    run: Run,
    out: Path,
    *,
    format: Format,  # noqa: A002 - as the command line calls it
    precision: Precision = "float",
    pictures: Sequence[Path] = (),
) -> Exported:
    """Write a run into the folder ``out``: the model, labels.json, and a README with an example.

    ``precision`` is TensorFlow Lite's alone. ``pictures`` stand in for those that the run was trained on, where these
    are gone. The same run with the same options a second time does nothing. Raises ConfigError for a combination that
    does not exist, TrayError when packages are missing, when there is nothing to calibrate int8 by, and when the file
    does not say what the run says.
    """
    _check_wanted(format, precision, out)
    stamp = _fingerprint(run, format, precision, pictures)
    if there := _there(out, stamp):
        return there
    sample = list(_sample(run, pictures, CHECKED_ON + (CALIBRATED_ON if precision == "int8" else 0)))
    if precision == "int8" and not sample:
        raise TrayError(
            f"Expected pictures to calibrate int8 by: those that {run.path} was trained on, or others like them. "
            f"Received: none. Name a folder of pictures, or choose float16."
        )
    pixels = np.stack(sample) if sample else drawn(CHECKED_ON, run.image_size)
    # What int8 takes its ranges from says nothing about how it does on other pictures.
    step = max(3 if precision == "int8" else 1, len(pixels) // CHECKED_ON)
    asked, others = pixels[::step], np.delete(pixels, slice(None, None, step), axis=0)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        file = make_folder(part) / FILES[format]
        with quiet():
            _WRITERS[format](run, file, precision, others if len(others) else pixels)
            found = _compare(run, _READERS[format](file, run), asked, real=bool(sample))
        kind = format if precision == "float" else f"{format} {precision}"
        tolerance = TOLERANCES[kind]
        if not _within(found, tolerance):
            raise TrayError(
                f"Expected {kind} to say what the run says, within {tolerance.largest}, {tolerance.mean} on average, "
                f"and to decide alike in {tolerance.same_decision:.0%} of the clear cases. "
                f"Received: probabilities up to {found['largest_difference']:.4f} off, "
                f"{found['mean_difference']:.4f} on average, and {found['same_decision']:.1%} of "
                f"{found['decisions']} decisions alike. Nothing was written; choose a higher precision."
            )
        checked = {**found, "tolerance": asdict(tolerance)}
        card = _card(run, format, precision) | {"bytes": _size(file), "checked": checked, "made_of": stamp}
        write_whole(part / CARD, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
        write_whole(part / README, readme(card).encode())
        write_whole(part / EXAMPLE, example(card).encode())
        if out.exists():
            shutil.rmtree(out)
        part.replace(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Exported(out, out / file.name, _size(out / file.name), **found)


def _fingerprint(run: Run, kind: Format, precision: Precision, pictures: Sequence[Path]) -> str:
    """Return a digest of all that an export depends on; whoever asks twice gets the same."""
    digest = hashlib.sha256(repr((VERSION, kind, precision, run.items)).encode())
    for path in (run.path / RUN, run.path / MODEL):
        # A model that is missing is told of by whoever opens it.
        digest.update(path.read_bytes() if path.is_file() else b"")
    for path in pictures:
        status = path.stat()
        digest.update(repr((str(path), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def _there(out: Path, stamp: str) -> Exported | None:
    """Return the export of that fingerprint when it is there and whole."""
    try:
        card = json.loads((out / CARD).read_bytes())
        file, checked = out / card["file"], {key: value for key, value in card["checked"].items() if key != "tolerance"}
        whole = card["made_of"] == stamp and _size(file) == card["bytes"]
        beside = all((out / name).is_file() for name in (README, EXAMPLE))
        return Exported(out, file, card["bytes"], **checked, unchanged=True) if whole and beside else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _within(found: Mapping[str, Any], tolerance: Tolerance) -> bool:
    return bool(
        found["largest_difference"] <= tolerance.largest
        and found["mean_difference"] <= tolerance.mean
        and found["same_decision"] >= tolerance.same_decision
    )


def _check_wanted(kind: Format, precision: Precision, out: Path) -> None:
    if kind not in FILES:
        raise ConfigError(f"Expected a format out of {', '.join(FILES)}. Received: {kind!r}.")
    if precision not in get_args(Precision):
        raise ConfigError(f"Expected a precision out of {', '.join(get_args(Precision))}. Received: {precision!r}.")
    if precision != "float" and kind != "tflite":
        raise ConfigError(f"Expected precision {precision} with tflite, which alone has it. Received: {kind}.")
    if out.exists() and not (out / CARD).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(
            f"Expected a new folder, an empty one, or an earlier export. Received: {out}, which holds something else. "
            f"Name another one."
        )
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None] if kind == "onnx" else []
    if missing:
        raise TrayError(
            f"Expected {', '.join(ONNX_PACKAGES)} to be installed, which ONNX needs and nothing else here. "
            f"Received: no {', '.join(missing)}. Install them: pip install {' '.join(missing)}."
        )


# What the file is to be like.


def output_names(run: Run) -> dict[str, str]:
    """Return the name of each classifier's output; a nameless one's is ``probabilities``."""
    return {item: item or "probabilities" for item in run.items}


def _card(run: Run, kind: Format, precision: Precision) -> dict[str, Any]:
    """Return what labels.json says: everything that using the file takes."""
    batch = 1 if kind == "tflite" else None
    return {
        "format": kind,
        "precision": precision,
        "file": FILES[kind],
        "input": {
            "name": "pixels",
            "shape": [batch, run.image_size, run.image_size, 3],
            "dtype": "float32",
            "range": [0, 255],
            "colour": "RGB",
            "resize": "stretched to the square, bilinear",
        },
        "outputs": [
            {
                "name": name,
                "item": item,
                "labels": list(run.labels[item]),
                "threshold": run.thresholds.get(item),
            }
            for item, name in output_names(run).items()
        ],
        "run": {"name": run.record["name"], "id": run.path.name, "network": run.config["model"]},
        "metrics": run.record.get("metrics", {}),
        "versions": run.record.get("versions", {}),
    }


# Pictures to calibrate and to compare by.


def _sample(run: Run, pictures: Sequence[Path], most: int) -> Iterator[Array]:
    """Yield the pixels of photos, spread over what is there; those of the run's datasets unless others are named."""
    files = list(pictures) or list(_trained_on(run))
    left = most
    for path in _spread(files, 2 * most):
        if not left:
            return
        try:
            yield decode(path, run.image_size)
        except UNREADABLE:
            continue
        left -= 1


def _trained_on(run: Run) -> Iterator[Path]:
    """Yield the photos of the run's datasets where they are still there, the classes in turn."""
    for path in dict.fromkeys(map(run.data_of, run.items)):
        try:
            dataset = read_dataset(path)
        except (TrayError, OSError):
            log.warning("Pictures of %s are no longer in %s.", run.record["name"], path)
            continue
        yield from _in_turn(dataset)


def _in_turn(dataset: Dataset) -> Iterator[Path]:
    order = {name: n for n, name in enumerate(SPLITS)}
    seen = dict.fromkeys(range(len(dataset.class_names)), 0)
    keyed = []
    for photo in sorted(dataset.photos, key=lambda photo: (order[photo.part], photo.sha256)):
        keyed.append((seen[photo.label], photo.label, photo.path))
        seen[photo.label] += 1
    yield from (path for _, _, path in sorted(keyed, key=lambda one: one[:2]))


def _spread(files: Sequence[Path], most: int) -> Iterable[Path]:
    if len(files) <= most:
        return files
    return [files[n] for n in np.linspace(0, len(files) - 1, most).astype(int)]


def _compare(run: Run, answers: Callable[[Array], Answer], pixels: Array, *, real: bool) -> dict[str, Any]:
    """Return how far the file's answers are from the run's."""
    said, expected = answers(pixels), run.probabilities(pixels)
    differences = np.concatenate([np.abs(said[item] - expected[item]).ravel() for item in run.items])
    same, clear = [], []
    for item in run.items:
        (decided, _), (wanted, margin) = (_decisions(one[item], run.thresholds.get(item)) for one in (said, expected))
        same.append(decided == wanted)
        clear.append(margin >= MARGIN)
    alike = np.concatenate(same)[np.concatenate(clear)]
    return {
        "pictures": len(pixels),
        "real": real,
        "largest_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
        "decisions": len(alike),
        "same_decision": float(alike.mean()) if len(alike) else 1.0,
    }


def _decisions(probabilities: Array, threshold: float | None) -> tuple[Array, Array]:
    """Return which class each row, (n, classes), decides for, and by what margin: of a threshold, or of the second."""
    if threshold is not None:
        return probabilities[:, -1] >= threshold, np.abs(probabilities[:, -1] - threshold)
    ordered = np.sort(probabilities, axis=1)
    return probabilities.argmax(axis=1), ordered[:, -1] - ordered[:, -2]


# Writing each format, and reading it back by its own runtime.


def _write_keras(run: Run, file: Path, _precision: Precision, _pixels: Array) -> None:
    if run.whole:
        shutil.copyfile(run.path / MODEL, file)
    else:
        run.model.save(file)


def _read_keras(file: Path, run: Run) -> Callable[[Array], Answer]:
    from train.backend import keras

    model = keras.models.load_model(file, compile=False)

    def ask(pixels: Array) -> Answer:
        said = model(pixels.astype(np.float32), training=False)
        outputs = said if isinstance(said, Mapping) else {run.items[0]: said}
        return {item: np.asarray(output) for item, output in outputs.items()}

    return ask


def _write_savedmodel(run: Run, file: Path, _precision: Precision, _pixels: Array) -> None:
    from train.backend import tf

    module = tf.Module()
    module.model = run.model
    module.serve = _function(run, batch=None)
    tf.saved_model.save(module, str(file), signatures={"serving_default": module.serve})


def _function(run: Run, *, batch: int | None) -> Any:
    """Return a TensorFlow function from ``pixels`` to outputs by name, for any batch or a fixed one."""
    from train.backend import tf

    model, names = run.model, output_names(run)
    spec = tf.TensorSpec((batch, run.image_size, run.image_size, 3), tf.float32, name="pixels")

    def serve(pixels: Any) -> dict[str, Any]:
        said = model(pixels, training=False)
        outputs = said if isinstance(said, Mapping) else {run.items[0]: said}
        return {names[item]: output for item, output in outputs.items()}

    return tf.function(serve, input_signature=[spec], autograph=False)


def _read_savedmodel(file: Path, run: Run) -> Callable[[Array], Answer]:
    from train.backend import tf

    loaded = tf.saved_model.load(str(file))
    serve, names = loaded.signatures["serving_default"], output_names(run)

    def ask(pixels: Array, _kept: Any = loaded) -> Answer:
        said = serve(pixels=tf.constant(pixels, tf.float32))
        return {item: said[name].numpy() for item, name in names.items()}

    return ask


def _write_tflite(run: Run, file: Path, precision: Precision, pixels: Array) -> None:
    from train.backend import frozen, tf

    # Weights as constants: the converter leaves variables in, and no phone's runtime calibrates by those.
    function = _function(run, batch=1).get_concrete_function()
    constant, ordered = frozen(function), sorted(function.structured_outputs)
    module, saved = tf.Module(), file.with_name("saved")
    spec = function.structured_input_signature[0][0]
    module.serve = tf.function(lambda pixels: dict(zip(ordered, constant(pixels), strict=True)), input_signature=[spec])
    tf.saved_model.save(module, str(saved), signatures={"serving_default": module.serve})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    if precision != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([one[None].astype(np.float32)] for one in pixels)
        # What has no int8 form stays float: a file that works everywhere beats one that is int8 to the last step.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    file.write_bytes(converter.convert())
    shutil.rmtree(saved)


def _read_tflite(file: Path, run: Run) -> Callable[[Array], Answer]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    serve, names = interpreter.get_signature_runner("serving_default"), output_names(run)

    def ask(pixels: Array) -> Answer:
        # The runner's arrays are its own memory, which the next call overwrites.
        said = [
            {name: np.array(value) for name, value in serve(pixels=one[None].astype(np.float32)).items()}
            for one in pixels
        ]
        return {item: np.concatenate([one[name] for one in said]) for item, name in names.items()}

    return ask


def _write_onnx(run: Run, file: Path, _precision: Precision, _pixels: Array) -> None:
    import onnx

    from train.backend import keras

    # Without a signature Keras refuses a model that was loaded and not called yet.
    pixels = keras.InputSpec("float32", (None, run.image_size, run.image_size, 3), name="pixels")
    run.model.export(file, format="onnx", verbose=False, input_signature=[pixels])
    graph = onnx.load(file)
    # Keras flattens outputs by name, and tf2onnx calls them what TensorFlow called the operation.
    found = [one.name for one in graph.graph.output]
    names = output_names(run)
    wanted = dict(zip(found, (names[item] for item in sorted(run.items)), strict=True))
    wanted[graph.graph.input[0].name] = "pixels"
    for node in graph.graph.node:
        for ends in (node.input, node.output):
            for n, name in enumerate(ends):
                ends[n] = wanted.get(name, name)
    for value in (*graph.graph.input, *graph.graph.output):
        value.name = wanted[value.name]
    onnx.checker.check_model(graph)
    onnx.save(graph, file)


def _read_onnx(file: Path, run: Run) -> Callable[[Array], Answer]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = output_names(run)

    def ask(pixels: Array) -> Answer:
        said = session.run(list(names.values()), {"pixels": pixels.astype(np.float32)})
        return dict(zip(names, said, strict=True))

    return ask


_WRITERS: Final[Mapping[Format, Callable[[Run, Path, Precision, Array], None]]] = {
    "keras": _write_keras,
    "savedmodel": _write_savedmodel,
    "tflite": _write_tflite,
    "onnx": _write_onnx,
}
_READERS: Final[Mapping[Format, Callable[[Path, Run], Callable[[Array], Answer]]]] = {
    "keras": _read_keras,
    "savedmodel": _read_savedmodel,
    "tflite": _read_tflite,
    "onnx": _read_onnx,
}


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*")) if one.is_file())
