"""Pictures whose own names say their labels."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from dataset.errors import ConfigError, TrayError
from dataset.importers.folders import placed
from dataset.importers.labelled import Labelled, address, read_file
from dataset.importers.pictures import picture_files

PATTERN: Final = r"^(?P<label>.+)_[^_]*$"
"""All before the last underscore: ``3_0017.jpg`` is ``3``, ``mountain_bike_12.jpg`` is ``mountain_bike``."""
FOOD11: Final = (
    "Bread", "Dairy product", "Dessert", "Egg", "Fried food", "Meat", "Noodles-Pasta", "Rice", "Seafood", "Soup",
    "Vegetable-Fruit",
)  # fmt: skip
"""The categories of Food-11 by the numbers that its file names begin with (Singla, Yuan, Ebrahimi 2016)."""


def filenames(source: Path, *, pattern: str = PATTERN) -> Iterator[Labelled]:
    """Yield the pictures below a folder; the group ``label`` of ``pattern``, or its first one, is the label.

    The pattern is searched in the name without its suffix. Raises ConfigError when it is none or has no group.
    """
    yield from _by_name(source, pattern, {})


def food11(source: Path) -> Iterator[Labelled]:
    """Yield the pictures of Food-11: ``training/3_0017.jpg`` is an egg."""
    yield from _by_name(source, r"^(?P<label>\d+)_\d+$", dict(zip(map(str, range(11)), FOOD11, strict=True)))


def _by_name(source: Path, pattern: str, names: Mapping[str, str]) -> Iterator[Labelled]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"Expected a regular expression. Received: {pattern!r}, {error}.") from None
    if not expression.groups:
        raise ConfigError(
            f"Expected a regular expression with a group for the label, such as {PATTERN!r}. Received: {pattern!r}."
        )
    if not source.is_dir():
        raise TrayError(f"Expected a folder of pictures. Received: {source}, which is not a folder.")
    group = "label" if "label" in expression.groupindex else 1
    for path in picture_files(source):
        match = expression.search(path.stem)
        label = (match[group] or "") if match else ""
        split = placed((*path.relative_to(source).parent.parts, "."), 1)[1]
        yield Labelled(
            names.get(label, label),
            address(path),
            partial(read_file, path),
            split=split,
            error="" if label else "its name says no label",
        )
