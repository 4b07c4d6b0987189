"""Keras and TensorFlow, imported when they are first used, without the notes that they write past Python's stderr."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from train.silence import quiet


class Later:
    """A module that is imported when something of it is first used: TensorFlow takes seconds to import."""

    def __init__(self, module: Callable[[], Any]) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        """Return what the module has under a name."""
        return getattr(self._module(), name)


@contextmanager
def _kept() -> Iterator[None]:
    """Look for no garbage in what is imported meanwhile, now or later: that is half a million objects, and all stay."""
    looked_for = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if looked_for:
            gc.enable()


@cache
def _imported() -> tuple[Any, Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet(), _kept():
        found = import_module("keras"), import_module("tensorflow")
    # It takes models that each want their own trace for one that is traced over and over.
    found[1].get_logger().setLevel("ERROR")
    return found


keras: Any = Later(lambda: _imported()[0])
layers: Any = Later(lambda: _imported()[0].layers)
tf: Any = Later(lambda: _imported()[1])


def strategy() -> Any:
    """Return how training is spread: over all GPUs where there are several, else on the one device at hand."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def halves_help() -> bool:
    """Return whether every device is a GPU with units for 16-bit floats, from NVIDIA's compute capability 7.0 on."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return bool(gpus) and all(one.get("compute_capability", (0, 0)) >= (7, 0) for one in details)


def frozen(function: Any) -> Any:
    """Return a concrete function whose weights are constants of its graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


__all__ = ["frozen", "halves_help", "keras", "layers", "strategy", "tf"]
