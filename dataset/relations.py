"""How the scanned pictures hang together: every pair that is the same or related, found once and remembered."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path

from PIL import Image

from dataset.duplicates import CLOSE, Comparison, compare
from dataset.errors import TrayError
from dataset.images import look
from dataset.progress import Progress
from dataset.scan import Memory
from dataset.search import candidates

Pairs = dict[tuple[str, str], Comparison]


def relate(paths: Mapping[str, Path], memory: Memory) -> Generator[Progress, None, Pairs]:
    """Compare the pictures that are new with all; ``paths`` has a file of each content.

    Yields Progress and returns the pairs that are not different.
    """
    compared = {sha for (sha,) in memory.base.execute("SELECT sha256 FROM compared")}
    shas = sorted(paths, key=lambda sha: (sha in compared, sha))
    fresh = sum(sha not in compared for sha in shas)
    if fresh:
        hashes = memory.hashes(shas)
        found = list(candidates(hashes, fresh))

        @lru_cache(192)
        def small(sha: str) -> Image.Image:
            return _small(paths[sha])

        for done, (first, second) in enumerate(found):
            if done % 64 == 0:
                yield Progress("compare", done, len(found), "pair")
            a, b = sorted((shas[first], shas[second]))
            comparison = compare(memory.print_of(a), memory.print_of(b), partial(_both, small, a, b))
            if comparison.verdict != "different":
                memory.base.execute(
                    "INSERT OR REPLACE INTO pairs VALUES (?, ?, ?)", (a, b, json.dumps(asdict(comparison)))
                )
        yield Progress("compare", len(found), len(found), "pair")
        memory.base.executemany("INSERT OR IGNORE INTO compared VALUES (?)", [(sha,) for sha in shas[:fresh]])
        memory.base.commit()
    here = set(shas)
    rows = memory.base.execute("SELECT a, b, comparison FROM pairs ORDER BY a, b")
    return {(a, b): Comparison(**json.loads(text)) for a, b, text in rows if a in here and b in here}


def _both(small: Callable[[str], Image.Image], a: str, b: str) -> tuple[Image.Image, Image.Image]:
    return small(a), small(b)


def _small(path: Path) -> Image.Image:
    try:
        small = look(path.read_bytes(), min_side=1, side=CLOSE)[1]
    except OSError as error:
        raise TrayError(f"Expected to read {path}. Received: {error.strerror}. Run the command again.") from error
    if small is None:
        raise TrayError(f"Expected {path} to stay as it is while it is built from; it changed. Run the command again.")
    return small
