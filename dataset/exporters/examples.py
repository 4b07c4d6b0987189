"""A dataset on its way out: its pictures in a fixed order, with what may be said of each in public."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dataset.errors import TrayError
from dataset.folder import pictures
from dataset.layout import class_folders_by_split
from dataset.splits import SPLITS

PUBLIC: Final = ("group", "sha256", "urls", "pages", "terms", "engines")
"""Fields of a built dataset's metadata that go along; paths of this machine do not."""
LISTS: Final = frozenset({"urls", "pages", "terms", "engines"})


@dataclass(frozen=True, slots=True)
class Example:
    """One picture of a dataset."""

    path: Path
    split: str
    label: str
    number: int
    """The label's place among the class names, from 0."""
    key: str
    """Name without dots that no other picture of the dataset has; it also shuffles."""
    about: Mapping[str, Any]
    """Where it came from: group, sha256, urls, pages, terms, engines."""

    @property
    def file_name(self) -> str:
        """Path below the exported dataset."""
        return f"{self.split}/{self.label}/{self.key}{self.path.suffix.lower()}"

    @property
    def format(self) -> str:
        """What the suffix says: ``jpeg``, ``png``, ..."""
        return {"jpg": "jpeg", "tif": "tiff"}.get(name := self.path.suffix[1:].lower(), name)

    def status(self) -> os.stat_result:
        """Return size and times of the file; raises TrayError when it is missing."""
        try:
            return self.path.stat()
        except OSError as error:
            raise _lost(self.path, error) from error

    def data(self) -> bytes:
        """Return the picture's bytes; raises TrayError when they can't be read."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise _lost(self.path, error) from error


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as it lies on disk."""

    name: str
    class_names: tuple[str, ...]
    """In the order of their numbers."""
    examples: tuple[Example, ...]
    """By split (train, val, test), and within one by key, which mixes the classes."""
    card: Mapping[str, Any]
    """What ``dataset.json`` says; empty for a plain folder of class folders."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold pictures, ``train`` first."""
        return tuple(split for split in SPLITS if any(one.split == split for one in self.examples))

    def of(self, split: str) -> list[Example]:
        """Return a split's pictures."""
        return [one for one in self.examples if one.split == split]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return pictures by class and split."""
        found = Counter((one.label, one.split) for one in self.examples)
        return {name: {split: found[name, split] for split in self.splits} for name in self.class_names}


def read_dataset(folder: Path) -> Dataset:
    """Return a built dataset, or any folder of class folders (then all of it trains) or of splits of such.

    Raises TrayError when the folder is none of these.
    """
    card = _card(folder)
    if card:
        found = list(_built(folder, card))
        names = tuple(map(str, card["class_names"]))
    else:
        found = list(_plain(folder))
        names = tuple(sorted({one.label for one in found}))
    shared = {key for key, count in Counter(one.key for one in found).items() if count > 1}
    numbers = {name: number for number, name in enumerate(names)}
    examples = [
        # One picture may lie in two classes, or two class folders may use the same names.
        replace(one, number=numbers[one.label], key=_own_key(one) if one.key in shared else one.key)
        for one in found
    ]
    examples.sort(key=lambda one: (SPLITS.index(one.split), one.key))
    return Dataset(str(card.get("name") or folder.absolute().name), names, tuple(examples), card)


def row(example: Example) -> dict[str, Any]:
    """Return what is said of a picture in public, every field in every row."""
    about = {
        name: [str(one) for one in example.about.get(name) or ()] if name in LISTS else str(example.about.get(name, ""))
        for name in PUBLIC
    }
    # Only addresses on the web are anybody else's business.
    for name in ("urls", "pages"):
        about[name] = [url for url in about[name] if url.startswith(("http://", "https://"))]
    about["source_sha256"] = about.pop("sha256")
    return {"file_name": example.file_name, "label": example.label, "split": example.split, **about}


def _lost(path: Path, error: OSError) -> TrayError:
    return TrayError(f"Expected to read {path}. Received: {error.strerror}. Build the dataset again.")


def _card(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not path.is_file():
        return {}
    try:
        card: dict[str, Any] = json.loads(path.read_bytes())
        names = card["class_names"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrayError(
            f"Expected {path} to hold class_names, as tray build writes it. Received: {error!r}. Build it again."
        ) from None
    if not isinstance(names, list) or not names:
        raise TrayError(f"Expected class_names in {path}. Received: {names!r}. Build the dataset again.")
    return card


def _built(folder: Path, card: Mapping[str, Any]) -> Iterator[Example]:
    path = folder / "metadata.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for line in lines:
            file = folder / line["file_name"]
            about = {name: line[name] for name in PUBLIC if name in line}
            yield Example(
                file, line["split"], line["label"], card["class_names"].index(line["label"]), file.stem, about
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrayError(
            f"Expected one line per picture in {path}, as tray build writes it. Received: {error!r}. Build it again."
        ) from None


def _plain(folder: Path) -> Iterator[Example]:
    for split, classes in class_folders_by_split(folder).items():
        for label, inside in classes.items():
            for path in pictures(inside):
                digest = hashlib.sha256(f"{label}/{path.name}".encode()).hexdigest()[:16]
                yield Example(path, split, label, 0, path.stem if _is_hash(path.stem) else digest, {})


def _is_hash(stem: str) -> bool:
    return len(stem) == 16 and not stem.strip("0123456789abcdef")


def _own_key(one: Example) -> str:
    return hashlib.sha256(f"{one.split}/{one.label}/{one.path.name}".encode()).hexdigest()[:16]
