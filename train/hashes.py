"""What files hold, by SHA-256: one that is as it was left, wherever it is linked from, is not read again."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final

from dataset.errors import TrayError
from dataset.folder import make_folder, write_whole

HASHES: Final = ".hashes"
"""Folder beside the runs that remembers them."""
TOGETHER: Final = 32
"""Files that a thread reads in a row: one by one, small ones take longer to hand over than to hash."""

Known = dict[str, str]
"""SHA-256 by what a file is known by: its place on the disk, its size and when it was changed."""


def sha256s(folder: Path, paths: Sequence[Path], *, threads: int, store: Path | None = None) -> list[str]:
    """Return the SHA-256 of each file below a folder, in order.

    What is remembered of earlier calls in the folder ``store`` is taken from there, and what these files hold is
    remembered in it; deleting it costs nothing but time. A folder that is new may link to files that others have: it is
    looked for in what is remembered of all. Raises OSError for a file that can't be read.
    """
    memory = store / f"{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}.json" if store else None
    known = _remembered(memory) if memory else {}
    found = known or _of_all(store)
    marks = [_mark(path) for path in paths]
    unknown = {mark: path for path, mark in zip(paths, marks, strict=True) if mark not in found}
    files = list(unknown.values())
    with ThreadPoolExecutor(threads) as pool:
        some = [files[n : n + TOGETHER] for n in range(0, len(files), TOGETHER)]
        hashed = chain.from_iterable(pool.map(lambda row: [_hash(file) for file in row], some))
        found = found | dict(zip(unknown, hashed, strict=True))
    kept = {mark: found[mark] for mark in marks}
    if memory and kept != known:
        # It saves time and nothing else: a folder that can't be written is no reason to stop.
        with suppress(TrayError):
            make_folder(memory.parent)
            write_whole(memory, json.dumps(kept).encode())
    return [kept[mark] for mark in marks]


def _mark(path: Path) -> str:
    """Return what a file is known by, without a look into it: the same through every link to it."""
    status = path.stat()
    return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_all(store: Path | None) -> Known:
    """Return what is remembered of all folders."""
    found: Known = {}
    for memory in store.glob("*.json") if store else ():
        found |= _remembered(memory)
    return found


def _remembered(memory: Path) -> Known:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(memory.read_bytes()))
    return {}
