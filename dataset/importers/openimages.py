"""Open Images: a CSV of boxes by picture number, and one of class names."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dataset.errors import TrayError
from dataset.importers.boxes import MARGIN, labelled
from dataset.importers.labelled import Box, Labelled, address, official_split, read_file
from dataset.importers.pictures import picture_files
from dataset.importers.tables import one_file, rows

COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")


def openimages(
    source: Path, *, images: Path | None = None, names: Path | None = None, crop: bool = False, margin: float = MARGIN
) -> Iterator[Labelled]:
    """Yield the pictures at hand under their largest box's class, or a crop per box; groups are not cropped.

    ``source`` is ``*-annotations-bbox.csv`` or the folder that holds it; ``names`` is ``class-descriptions*.csv``, by
    default the one beside it. The table covers far more pictures than anybody has: those that are not at hand are
    listed as one.
    """
    table = one_file(source, ("*annotations-bbox*.csv", "**/*annotations-bbox*.csv"), "a table of boxes")
    classes = _classes(names, table)
    folder = images or table.parent
    if not folder.is_dir():
        raise TrayError(f"Expected a folder of pictures. Received: {folder}, which is not a folder.")
    here = {path.stem: path for path in picture_files(folder)}
    boxes: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    elsewhere = set()
    for number, row in rows(table, *COLUMNS):
        if row["ImageID"] not in here:
            elsewhere.add(row["ImageID"])
        elif not (crop and row.get("IsGroupOf") == "1"):
            label = classes.get(row["LabelName"], row["LabelName"])
            boxes[row["ImageID"]].append((label, _box(row, table, number)))
    split = next((official_split(word) for word in table.stem.split("-") if official_split(word)), "")
    for image, found in boxes.items():
        photo = Labelled("", address(here[image]), partial(read_file, here[image]), split=split)
        yield from labelled(photo, found, crop=crop, margin=margin)
    if elsewhere:
        yield Labelled("", address(table), split=split, error=f"{len(elsewhere)} pictures of it are not in {folder}")


def _box(row: dict[str, str], table: Path, number: int) -> Box:
    try:
        left, right, top, bottom = (float(row[name]) for name in COLUMNS[2:])
    except ValueError as error:
        raise TrayError(f"Expected numbers from 0 to 1 in row {number} of {table}. Received: {error}.") from None
    # Its authors: "the degrees that the image and boxes should be rotated", so boxes lie on what is stored.
    return Box(left, top, right, bottom, relative=True, frame="stored")


def _classes(names: Path | None, table: Path) -> dict[str, str]:
    """Return class names by their codes such as ``/m/0cmf2``; none when there is no table of them."""
    path = names or next(iter(sorted(table.parent.glob("*class-descriptions*.csv"))), None)
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row[0]: row[1] for row in csv.reader(file) if len(row) > 1}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrayError(f"Expected class names at {path}. Received: {error}. Name another file.") from error
