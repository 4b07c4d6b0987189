"""How the scanned pictures hang together: every pair that is the same or related, found once and remembered."""

import json
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from sys import intern

from PIL import Image

from dataset.detail import suspicious
from dataset.duplicates import CLOSE, Comparison, compare, weighed
from dataset.errors import TrayError
from dataset.glance import Glance, glances
from dataset.images import look
from dataset.prints import Print
from dataset.progress import Progress
from dataset.scan import Memory
from dataset.search import candidates
from dataset.workers import ALONE, HERE, Workers

Pairs = dict[tuple[str, str], Comparison]
SHARD = 64
"""Pairs that are compared at once: what is lost at most when a worker is."""
NEIGHBOURS = 32
"""Pictures that are compared with as many others before the next ones are."""


@dataclass(frozen=True, slots=True)
class Known:
    """One picture to compare: its content, a file of it, its width and height, and its print."""

    sha256: str
    path: Path
    size: tuple[int, int]
    print: Print


def relate(
    root: Path, sources: Mapping[str, str], memory: Memory, workers: Workers = HERE
) -> Generator[Progress, None, Pairs]:
    """Compare the pictures that are new with all; ``sources`` has a file of each content, by its path below ``root``.

    Yields Progress and returns the pairs that are not different.
    """
    compared = {sha for (sha,) in memory.base.execute("SELECT sha256 FROM compared")}
    new = sorted(sources.keys() - compared)
    fresh, shas = len(new), new + sorted(sources.keys() & compared)
    if new:
        numbers = {sha: number for number, sha in enumerate(shas)}
        found = yield from candidates(partial(memory.hashes, numbers), fresh, workers)
        settled = set(memory.base.execute("SELECT a, b FROM pairs UNION ALL SELECT a, b FROM different"))
        each = (tuple(sorted((shas[first], shas[second]))) for first, second in _by_neighbours(found))
        pairs = [pair for pair in each if pair not in settled]
        known = lru_cache(4 * NEIGHBOURS)(
            lambda sha: Known(sha, root.absolute() / sources[sha], memory.size_of(sha), memory.print_of(sha))
        )
        shards = ([tuple(map(known, pair)) for pair in pairs[at : at + SHARD]] for at in range(0, len(pairs), SHARD))
        done = 0
        for comparisons in (ALONE if workers is HERE else workers).map(compare_all, shards):
            _settle(memory, zip(pairs[done : done + SHARD], comparisons, strict=True))
            done += len(comparisons)
            yield Progress("compare", done, len(pairs), "pair")
        memory.base.execute("DELETE FROM different")
        memory.base.executemany("INSERT OR IGNORE INTO compared VALUES (?)", [(sha,) for sha in new])
        memory.base.commit()
    # Names and words that many pairs have in common are held once.
    here = {sha: sha for sha in shas}
    rows = memory.base.execute("SELECT a, b, comparison FROM pairs ORDER BY a, b")
    return {(here[a], here[b]): _recalled(text) for a, b, text in rows if a in here and b in here}


def _recalled(text: str) -> Comparison:
    values = json.loads(text)
    return Comparison(**values | {name: intern(values[name]) for name in ("verdict", "stage", "turn")})


def _by_neighbours(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return pairs so that those of the same few pictures follow each other: what is known of each is read once.

    Pictures are ranked breadth first, which brings those that hang together close, as Cuthill and McKee (1969) order a
    sparse matrix.
    """
    near = defaultdict(list)
    for first, second in pairs:
        near[first].append(second)
        near[second].append(first)
    ranks: dict[int, int] = {}
    for start in near:
        waiting = deque([start])
        while waiting:
            one = waiting.popleft()
            if one not in ranks:
                ranks[one] = len(ranks)
                waiting.extend(near[one])
    return sorted(pairs, key=lambda pair: sorted((ranks[pair[0]] // NEIGHBOURS, ranks[pair[1]] // NEIGHBOURS)))


def _settle(memory: Memory, rows: Iterable[tuple[tuple[str, ...], Comparison]]) -> None:
    """Remember how some pairs compare, the different ones until all are done: an interrupted build goes on here."""
    for pair, how in rows:
        if how.verdict == "different":
            memory.base.execute("INSERT OR IGNORE INTO different VALUES (?, ?)", pair)
        else:
            memory.base.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?)", (*pair, json.dumps(asdict(how))))
    memory.base.commit()


def compare_all(pairs: Sequence[tuple[Known, Known]]) -> list[Comparison]:
    """Return how the pictures of each pair compare."""
    seen = glances([(a.print, b.print) for a, b in pairs])
    return [_compared(a, b, glance) for (a, b), glance in zip(pairs, seen, strict=True)]


def _compared(a: Known, b: Known, glance: Glance) -> Comparison:
    how = compare(a.print, b.print, lambda: (small(a.path, a.sha256), small(b.path, b.sha256)), glance)
    # Most copies are of one size: their files need not be read.
    if how.verdict != "same" or not suspicious(a.size, b.size):
        return how
    return weighed(how, _read(a.path), _read(b.path))


@lru_cache(64)
def small(path: Path, sha256: str) -> Image.Image:
    """Return a picture at reduced size; its content names it, so that one that changed is read again."""
    found = look(_read(path), min_side=1, side=CLOSE, sha256=sha256)[1]
    if found is None:
        raise TrayError(f"Expected {path} to stay as it is while it is built from; it changed. Run the command again.")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrayError(f"Expected to read {path}. Received: {error.strerror}. Run the command again.") from error
