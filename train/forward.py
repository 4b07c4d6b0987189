"""A model's forward pass by the fastest runtime at hand that says what Keras says.

On a processor that is LiteRT, which takes half of TensorFlow's time, and is there in a fifth of a second where
TensorFlow alone takes seconds to import; on a GPU it is Keras itself.
"""

import hashlib
import logging
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from dataset.errors import TrayError
from dataset.folder import make_folder, write_whole
from train.data import threads
from train.silence import quiet

LARGEST_DIFFERENCE: Final = 1e-3
"""How far any output, a probability or a feature of a vector of length 1, may be from Keras's."""
TOGETHER: Final = 2
"""Pictures in one pass of LiteRT: more of them outgrow the processor's caches; eight cost a tenth to a quarter more."""
DRIVERS: Final = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What Linux has where a GPU can be computed on: NVIDIA's, AMD's, and that of a Windows host."""

Array = np.ndarray[Any, Any]
Forward = Callable[[Array], dict[str, Array]]
"""From (n, size, size, 3) uint8 pixels to (n, outputs) by item."""
log = logging.getLogger("tray")


def by_keras(model: Any, size: int, items: Sequence[str]) -> Forward:
    """Return a model's forward pass by Keras: the truth that other runtimes are held to.

    keras predict() would cost 70 ms a call before it computes anything.
    """
    return _answering(_function(model, size, items), items)


def fastest(model: Callable[[], Any], size: int, items: Sequence[str], *, store: Path, key: str) -> Forward:
    """Return the forward pass of the model that ``model()`` gives by the fastest runtime that agrees with Keras.

    What LiteRT needs is kept in the folder ``store`` under a name made of ``key``, which tells the model's weights:
    found there, neither the Keras model nor TensorFlow is asked for. An empty file says that LiteRT differed.
    """
    if _on_gpu():
        return by_keras(model(), size, items)
    made_by = f"{key} {','.join(items)} {size} {version('ai-edge-litert')} {platform.machine()}"
    file = store / f"{hashlib.sha256(made_by.encode()).hexdigest()[:16]}.tflite"
    if not file.is_file():
        return _made(model(), size, items, file)
    content = file.read_bytes()
    return Lite(content, size, items) if content else by_keras(model(), size, items)


class Lite:
    """LiteRT's interpreters of one model, for single pictures and for several; threads take turns."""

    def __init__(self, content: bytes, size: int, items: Sequence[str]) -> None:
        self._items = tuple(items)
        self._lock = threading.Lock()
        self._shape = (size, size, 3)
        with quiet():
            self._interpreters = {n: self._interpreter(content, n) for n in (TOGETHER, 1)}
        # To be told these anew in each pass takes longer than to read twenty answers.
        self._input = self._interpreters[1].get_input_details()[0]["index"]
        self._places = [one["index"] for one in self._interpreters[1].get_output_details()]

    def __call__(self, pixels: Array) -> dict[str, Array]:
        """Return the outputs by item for (n, size, size, 3) uint8 pixels."""
        rows: list[list[Array]] = []
        start = 0
        with self._lock:
            while start < len(pixels):
                n = TOGETHER if len(pixels) - start >= TOGETHER else 1
                rows.append(self._outputs(pixels[start : start + n], n))
                start += n
        return {item: np.concatenate(parts) for item, parts in zip(self._items, zip(*rows, strict=True), strict=True)}

    def _outputs(self, pixels: Array, n: int) -> list[Array]:
        interpreter = self._interpreters[n]
        interpreter.set_tensor(self._input, pixels)
        interpreter.invoke()
        return [interpreter.get_tensor(place) for place in self._places]

    def _interpreter(self, content: bytes, n: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content, num_threads=threads())
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (n, *self._shape))
        interpreter.allocate_tensors()
        return interpreter


def _on_gpu() -> bool:
    """Tell whether TensorFlow finds a GPU; where no driver is, it need not be imported to say so."""
    if not _driven():
        return False
    from train.backend import tf

    return bool(tf.config.list_physical_devices("GPU"))


def devices() -> list[str]:
    """Return the kinds of devices that TensorFlow computes on, CPU and GPU; without a driver it is not asked."""
    if not _driven():
        return ["CPU"]
    from train.backend import tf

    return sorted(device.device_type for device in tf.config.list_logical_devices())


def _driven() -> bool:
    """Tell whether there may be a GPU to compute on."""
    return platform.system() != "Linux" or any(Path(driver).exists() for driver in DRIVERS)


def _made(model: Any, size: int, items: Sequence[str], file: Path) -> Forward:
    """Make what LiteRT needs, compare it with Keras, keep it, and return whichever is to be used."""
    log.info("The model is made ready for fast answers; that takes some seconds, and is done once.")
    function = _function(model, size, items)
    truth = _answering(function, items)
    try:
        with quiet():
            content = _converted(function)
        lite = Lite(content, size, items)
        difference = _difference(lite, truth, size)
        if not difference <= LARGEST_DIFFERENCE:
            log.info("Keras computes this model: LiteRT differs from it by %.2g.", difference)
    except Exception as error:  # noqa: BLE001 - the converter raises whatever it likes, and Keras needs none of it
        log.info("Keras computes this model: LiteRT can't (%s).", str(error).strip().partition("\n")[0][:200])
        difference = np.inf
    agrees = difference <= LARGEST_DIFFERENCE
    # It saves time and nothing else: a folder that can't be written is no reason to stop.
    with suppress(OSError, TrayError):
        for old in make_folder(file.parent).glob("*.tflite"):
            old.unlink(missing_ok=True)
        write_whole(file, content if agrees else b"")
    return lite if agrees else truth


def _answering(function: Any, items: Sequence[str]) -> Forward:
    from train.backend import tf

    return lambda pixels: {
        item: np.asarray(output) for item, output in zip(items, function(tf.constant(pixels)), strict=True)
    }


def _converted(function: Any) -> bytes:
    from train.backend import tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    # The detour through a file takes longer than all the rest, and gives the same.
    converter.experimental_lower_to_saved_model = False
    content: bytes = converter.convert()
    return content


def _difference(one: Forward, other: Forward, size: int) -> float:
    """Return the largest difference between two forward passes on drawn pictures, several at once and one alone."""
    pixels = drawn(TOGETHER + 1, size)
    said, expected = one(pixels), other(pixels)
    return max(float(np.abs(said[item] - expected[item]).max()) for item in expected)


def drawn(n: int, size: int) -> Array:
    """Return (n, size, size, 3) uint8 pictures of soft patches in all colours, always the same."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 6, 6, 3)).astype(np.float32)
    rows = np.linspace(0, 5, size).astype(int)
    return np.clip(coarse[:, rows][:, :, rows] + rng.normal(0, 12, (n, size, size, 3)), 0, 255).astype(np.uint8)


def _function(model: Any, size: int, items: Sequence[str]) -> Any:
    """Return a TensorFlow function from uint8 pixels to a list of outputs in the order of the items."""
    from train.backend import tf

    def run(pixels: Any) -> list[Any]:
        said = model(pixels, training=False)
        return [said[item] for item in items] if isinstance(said, Mapping) else [said]

    return tf.function(run, input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
