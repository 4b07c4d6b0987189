"""CIFAR-10 and CIFAR-100 as their authors give them: pickled batches, in a folder or a tar."""

import pickle
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from dataset.errors import TrayError
from dataset.importers.archives import DAMAGED
from dataset.importers.labelled import Labelled, address, one_line, to_png

SIDE: Final = 32
ALLOWED: Final = {
    # Both spellings of numpy's own rebuilder, before and after its second major version.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All that a batch may name; a pickle that names anything else could run it."""
META: Final = ("batches.meta", "meta")
LARGEST: Final = 1_000_000_000
"""Bytes of a batch at most; the largest, CIFAR-100's train, has 155 MB."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of arrays, bytes, numbers, lists and dictionaries, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for by name; raises UnpicklingError for all but arrays."""
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of pictures needs") from None


def cifar10(source: Path) -> Iterator[Labelled]:
    """Yield the pictures of CIFAR-10: ``cifar-10-batches-py`` or ``cifar-10-python.tar.gz``."""
    return _pictures(source, b"labels", b"label_names")


def cifar100(source: Path, *, coarse: bool = False) -> Iterator[Labelled]:
    """Yield the pictures of CIFAR-100, under their fine labels or the 20 coarse ones."""
    kind = b"coarse" if coarse else b"fine"
    return _pictures(source, kind + b"_labels", kind + b"_label_names")


def load(file: IO[bytes], name: str) -> dict[bytes, Any]:
    """Return a pickled batch with bytes as keys; raises TrayError when it is damaged or asks for more than arrays."""
    try:
        batch = ArrayUnpickler(file, encoding="bytes").load()
    except Exception as error:
        # A damaged pickle raises whatever the stray bytes happen to mean.
        raise TrayError(
            f"Expected a pickled batch of pictures in {name}. Received: {one_line(error)}. Download it again."
        ) from error
    if not isinstance(batch, dict):
        raise TrayError(f"Expected {name} to hold a dictionary. Received: a {type(batch).__name__}.")
    return {key.encode() if isinstance(key, str) else key: value for key, value in batch.items()}


def _pictures(source: Path, labels: bytes, names: bytes) -> Iterator[Labelled]:
    meta = next((batch for name, _, batch in _batches(source) if name in META), None)
    if meta is None:
        raise TrayError(f"Expected the batches of CIFAR with their {META[0]} in {source}, and there is none.")
    if names not in meta:
        raise TrayError(
            f"Expected {names.decode()} in {source}. Received: {b', '.join(meta).decode()}. Is it the other CIFAR?"
        )
    words = [_text(word) for word in meta[names]]
    for name, origin, batch in _batches(source):
        if name not in META:
            pixels, numbers = _checked(batch, labels, len(words), f"{source}/{name}")
            for row, (picture, number) in enumerate(zip(pixels, numbers, strict=True)):
                yield Labelled(
                    words[number],
                    f"{origin}row={row}",
                    partial(to_png, picture),
                    split="test" if name.startswith("test") else "train",
                )


def _checked(batch: dict[bytes, Any], labels: bytes, classes: int, name: str) -> tuple[NDArray[np.uint8], list[int]]:
    """Return a batch's pictures, n x 32 x 32 x 3, and their numbers."""
    pixels, numbers = batch.get(b"data"), batch.get(labels)
    if not isinstance(pixels, np.ndarray) or numbers is None:
        received = b", ".join(sorted(batch)).decode()
        raise TrayError(f"Expected data and {labels.decode()} in {name}. Received: {received}. Download it again.")
    if pixels.dtype != np.uint8 or pixels.shape != (len(numbers), 3 * SIDE * SIDE):
        raise TrayError(
            f"Expected {len(numbers)} rows of {3 * SIDE * SIDE} bytes in {name}. "
            f"Received: {pixels.dtype} {pixels.shape}. Download it again."
        )
    if not all(isinstance(number, int) and 0 <= number < classes for number in numbers):
        raise TrayError(f"Expected labels from 0 to {classes - 1} in {name}, and there are others. Download it again.")
    return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), list(numbers)


def _batches(source: Path) -> Iterator[tuple[str, str, dict[bytes, Any]]]:
    """Yield each batch with its name and what the addresses of its rows begin with, one at a time."""
    if source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.is_file() and _is_batch(path.name)):
            with path.open("rb") as file:
                yield path.name, f"{address(path)}#", load(file, str(path))
        return
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isreg() and member.size < LARGEST and _is_batch(name):
                    packed = archive.extractfile(member)
                    if packed:
                        yield name, address(source, f"{name}&"), load(packed, f"{source}/{name}")
    except (OSError, *DAMAGED) as error:
        raise TrayError(f"Expected a folder or a tar of batches at {source}. Received: {one_line(error)}.") from error


def _is_batch(name: str) -> bool:
    return name in {*META, "train", "test", "test_batch"} or name.startswith("data_batch_")


def _text(word: bytes | str) -> str:
    return word.decode() if isinstance(word, bytes) else word
