"""What a folder of pictures holds, in one form for raw class folders and for built datasets."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from dataset.duplicates import components
from dataset.layout import Form
from dataset.review.verdicts import Word

DUPLICATES: Final = frozenset({"duplicate bytes", "near duplicate", "thumbnail of a picture that is there"})
"""Reasons for which a copy is left out."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the folder."""

    path: Path
    name: str
    """Path below the folder of class folders that it came from."""
    label: str
    split: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    bytes: int = 0
    kind: str = ""
    engines: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    page: str = ""
    title: str = ""
    sha256: str = ""
    phash: str = ""
    flags: tuple[str, ...] = ()
    verdict: Word = ""
    """What a person said of it in the review."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One picture that was rejected, and why."""

    label: str
    reason: str
    name: str = ""
    """Path below the folder of class folders; empty when there never was a file."""
    path: Path | None = None
    """A file that shows it: itself, or for a duplicate the picture that it repeats."""
    url: str = ""
    page: str = ""
    title: str = ""
    engine: str = ""
    term: str = ""
    kept: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One picture in a comparison; ``path`` is None when the file is not at hand."""

    name: str
    label: str
    path: Path | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Copies:
    """Near-duplicates: the one that is kept, and its copies with the reason for each."""

    kept: Side
    copies: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that a report tells of one folder."""

    root: Path
    form: Form
    labels: tuple[str, ...]
    pictures: tuple[Shown, ...]
    refused: tuple[Refused, ...]
    copies: tuple[Copies, ...]
    conflicts: tuple[tuple[Side, ...], ...]
    """Files of different classes that show one picture."""
    looked: int = 0
    """Pictures that were decoded, so that flags are known of them; all those of a dataset."""
    gone: int = 0
    """Pictures that a manifest or metadata names and that are no longer there."""
    reviewed: Mapping[str, int] = field(default_factory=dict)
    """Decisions of a person, by verdict."""
    stale: tuple[str, ...] = ()
    """What has changed among the raw pictures since a dataset was built, in words."""
    described: Mapping[str, Any] = field(default_factory=dict)
    """What dataset.json says."""
    thumbnails: Mapping[Path, bytes] = field(default_factory=dict)
    """Small JPEGs that came off on the way."""


def together(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return names that hang together in groups, each sorted."""
    pairs = list(pairs)
    groups: dict[str, list[str]] = defaultdict(list)
    for name, key in components(sorted({name for pair in pairs for name in pair}), pairs).items():
        groups[key].append(name)
    return sorted(sorted(names) for names in groups.values())


def evenly(row: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of a row's elements, in equal steps."""
    if len(row) <= most:
        return list(row)
    return [row[number * len(row) // most] for number in range(most)]
