"""Keras and TensorFlow, imported without the notes that they write past Python's own stderr."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what TensorFlow and converters say about themselves, past Python's streams and where results belong."""
    loggers = [logging.getLogger(name) for name in ("absl", "tensorflow", "tf2onnx")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
        for stream in (*kept, nowhere):
            os.close(stream)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


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


__all__ = ["halves_help", "keras", "quiet", "strategy", "tf"]
