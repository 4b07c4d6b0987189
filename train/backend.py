"""Keras and TensorFlow, imported without the notes that they write past Python's own stderr."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Turn the process's stderr away: TensorFlow writes there before it reads any level."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _stderr_closed():
    import keras
    import tensorflow as tf
# It takes models that each want their own trace for one that is traced over and over.
tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
