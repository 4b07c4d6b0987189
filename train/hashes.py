"""What files hold, by SHA-256: one that is as it was left, by size and time, is not read again."""

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

Known = dict[str, list[int | str]]
"""Size, time of change and SHA-256 by path below the folder."""


def sha256s(folder: Path, paths: Sequence[Path], *, threads: int, store: Path | None = None) -> list[str]:
    """Return the SHA-256 of each file below a folder, in order.

    What is remembered of earlier calls in the folder ``store`` is taken from there, and what these files hold is
    remembered in it; deleting it costs nothing but time. Raises OSError for a file that can't be read.
    """
    memory = store / f"{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}.json" if store else None
    known = _remembered(memory) if memory else {}
    inside = len(str(folder))

    def hashed(some: Sequence[Path]) -> list[list[int | str]]:
        return [_looked_at(path, known.get(str(path)[inside:])) for path in some]

    with ThreadPoolExecutor(threads) as pool:
        some = [paths[n : n + TOGETHER] for n in range(0, len(paths), TOGETHER)]
        now = list(chain.from_iterable(pool.map(hashed, some)))
    kept = {str(path)[inside:]: one for path, one in zip(paths, now, strict=True)}
    if memory and kept != known:
        # It saves time and nothing else: a folder that can't be written is no reason to stop.
        with suppress(TrayError):
            make_folder(memory.parent)
            write_whole(memory, json.dumps(kept).encode())
    return [str(one[2]) for one in now]


def _looked_at(path: Path, known: list[int | str] | None) -> list[int | str]:
    status = path.stat()
    if known and known[:2] == [status.st_size, status.st_mtime_ns]:
        return known
    return [status.st_size, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()]


def _remembered(memory: Path) -> Known:
    known: Known = {}
    with suppress(OSError, ValueError):
        known = json.loads(memory.read_bytes())
    return known
