"""Folders whose names are the labels: flat, nested, and with splits above them."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from dataset.errors import TrayError
from dataset.importers.labelled import Labelled, address, official_split, read_file
from dataset.importers.pictures import picture_files


def folders(source: Path) -> Iterator[Labelled]:
    """Yield the pictures below ``SOURCE/<label>/``, or ``SOURCE/<split>/<label>/``."""
    return nested(source, level=1)


def nested(source: Path, *, level: int = -1) -> Iterator[Labelled]:
    """Yield the pictures below folders in folders; ``level`` says which one is the label.

    1 is the outermost below the splits, -1 the one that the picture lies in, and 0 all of them joined.
    """
    if not source.is_dir():
        raise TrayError(f"Expected a folder of class folders. Received: {source}, which is not a folder.")
    for path in picture_files(source):
        parts = path.relative_to(source).parent.parts
        label, split = placed(parts, level)
        error = "" if label else _misplaced(parts, level)
        yield Labelled(label, address(path), partial(read_file, path), split=split, error=error)


def placed(parts: Sequence[str], level: int) -> tuple[str, str]:
    """Return label and split of a picture by the folders above it; no label when there are too few."""
    splits = [part for part in parts if official_split(part)]
    split = splits[0] if splits and len(parts) > 1 else ""
    names = list(parts)
    if split:
        names.remove(split)
    if level == 0:
        return "_".join(names), official_split(split)
    at = level - 1 if level > 0 else level
    return (names[at] if -len(names) <= at < len(names) else ""), official_split(split)


def member_place(name: str, level: int) -> tuple[str, str, str]:
    """Return label, split and error of an archive's member."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "", "", "path leads out of the archive"
    label, split = placed(path.parent.parts, level)
    return label, split, "" if label else _misplaced(path.parent.parts, level)


def _misplaced(parts: Sequence[str], level: int) -> str:
    return f"no folder at level {level} above it" if parts else "in no class folder"
