"""The files of an export, each described before it is written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dataset.exporters.examples import Example


@dataclass(frozen=True, slots=True)
class Part:
    """One file to be: its path below the export, and what fills it or which file it is a copy of."""

    name: str
    write: Callable[[IO[bytes]], Iterator[None]] = lambda _: iter(())
    """Fill an open file, yielding after each picture."""
    pictures: int = 1
    copy: Path | None = None
    """The file that this one is a copy of."""


def text(name: str, content: str) -> Part:
    """Return a part with a text in it."""

    def write(file: IO[bytes]) -> Iterator[None]:
        file.write(content.encode())
        yield from ()

    return Part(name, write, 0)


def shards(examples: Sequence[Example], most: int) -> list[list[Example]]:
    """Cut pictures into runs of about equal size, each of at most ``most`` bytes or of a single picture."""
    sizes = [one.status().st_size for one in examples]
    count = max(1, -(-sum(sizes) // most))
    target = sum(sizes) / count
    runs: list[list[Example]] = []
    held = 0.0
    for one, size in zip(examples, sizes, strict=True):
        if not runs or (runs[-1] and (held + size / 2 > target or held + size > most)):
            runs.append([])
            held = 0.0
        runs[-1].append(one)
        held += size
    return runs
