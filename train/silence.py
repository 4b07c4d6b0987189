"""Silence where C++ libraries talk past Python's own streams."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TURNS: Final = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what TensorFlow and converters say about themselves, past Python's streams and where results belong.

    The whole process's outputs are turned away for as long, so let it be short. Threads take turns: none puts back
    what another has turned away.
    """
    with TURNS, _turned_away():
        yield


@contextmanager
def _turned_away() -> Iterator[None]:
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
