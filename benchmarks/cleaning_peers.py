"""What imagededup and cleanvision take for a task, in CPU seconds: run by cleaning_speed.py in their environment.

Reads one task a line as JSON, ``{"task": name, "folder" or "keys": path}``, and answers each with one line.
"""

import contextlib
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np


def main() -> None:
    """Answer tasks until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        task = json.loads(line)
        work = TASKS[task.pop("task")](**task)
        started, clock = used(), time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            work()
        print(json.dumps({"seconds": used() - started, "wall": time.perf_counter() - clock}), file=answers, flush=True)


def used() -> float:
    """Return the CPU seconds that this process and its ended children have taken."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def hasher() -> Any:
    """Return imagededup's perceptual hash; torch, which only its neural network calls, need not be there."""
    missing = TORCH if importlib.util.find_spec("torch") is None else ()
    for name in (*missing, "imagededup.methods.cnn"):
        sys.modules.setdefault(name, MagicMock(Module=object, Dataset=object, Tensor=Peer, __spec__=None, __path__=[]))
    from imagededup.methods import PHash

    # Others ask whether torch is loaded, and must not meet the stand-in.
    for name in missing:
        sys.modules.pop(name, None)
    return PHash(verbose=False)


def encode(folder: str) -> Callable[[], Any]:
    """Hash a folder of pictures with imagededup as it comes: in a process for each core."""
    method = hasher()
    return lambda: method.encode_images(folder)


def encode_alone(folder: str) -> Callable[[], Any]:
    """Hash a folder of pictures with imagededup in one process."""
    method = hasher()
    return lambda: method.encode_images(folder, num_enc_workers=0)


def encode_and_find(folder: str) -> Callable[[], Any]:
    """Hash a folder of pictures with imagededup and find its duplicates, at its default of 10 bits of 64."""
    method = hasher()
    return lambda: method.find_duplicates(folder)


def find(keys: str) -> Callable[[], Any]:
    """Find all pairs within imagededup's default of 10 bits among 64-bit hashes."""
    method = hasher()
    encodings = {str(number): f"{key:016x}" for number, key in enumerate(np.load(keys).tolist())}
    return lambda: method.find_duplicates(encoding_map=encodings, num_dist_workers=0)


def check(folder: str) -> Callable[[], Any]:
    """Let cleanvision check a folder of pictures, in one process."""
    from cleanvision import Imagelab

    files = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    return lambda: Imagelab(filepaths=files).find_issues(n_jobs=1, verbose=False)


class Peer:
    """A type that nothing is of."""


TORCH = (
    "torch", "torch.nn", "torch.utils", "torch.utils.data", "torchvision", "torchvision.models",
    "torchvision.models.vision_transformer", "torchvision.transforms",
)  # fmt: skip
TASKS: dict[str, Callable[..., Callable[[], Any]]] = {
    "encode": encode, "encode alone": encode_alone, "encode and find": encode_and_find, "find": find, "check": check,
}  # fmt: skip

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
