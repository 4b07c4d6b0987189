"""A training's epochs as TensorBoard reads them."""

from collections.abc import Generator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from dataset.errors import TrayError
from dataset.progress import Progress
from train.backend import tf
from train.learn import Epoch

BOARD = "tensorboard"
"""Folder of a run that `tensorboard --logdir` is pointed at."""
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy", "rate")
Result = TypeVar("Result")


def require_tensorboard() -> None:
    """Raise TrayError where TensorBoard, which nothing else here needs, is not installed."""
    if find_spec("tensorboard") is None:
        raise TrayError(
            "Expected tensorboard to be installed, which logging for it needs. Received: no such package. "
            "Install it: pip install 'tray[tensorboard]', or leave tensorboard out."
        )


def logged(steps: Generator[Progress, None, Result], folder: Path) -> Generator[Progress, None, Result]:
    """Pass a training's progress and its result on, and write each epoch to ``folder``, a folder per classifier."""
    writers: dict[str, Any] = {}
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Epoch):
                if step.item not in writers:
                    writers[step.item] = tf.summary.create_file_writer(str(folder / step.item))
                with writers[step.item].as_default(step=step.epoch):
                    for name in FIGURES:
                        if (value := getattr(step, name)) is not None:
                            tf.summary.scalar(name, value)
                writers[step.item].flush()
            yield step
