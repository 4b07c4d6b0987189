"""Keras and TensorFlow, imported without the notes that they write past Python's own stderr."""

import os
from typing import Any

from train.silence import quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet():
    import keras
    import tensorflow as tf
# It takes models that each want their own trace for one that is traced over and over.
tf.get_logger().setLevel("ERROR")


def strategy() -> tf.distribute.Strategy:
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


__all__ = ["frozen", "halves_help", "keras", "strategy", "tf"]
