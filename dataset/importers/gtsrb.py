"""GTSRB, the German traffic signs: PPM pictures, and tables of boxes and class numbers."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from PIL import Image

from dataset.errors import TrayError
from dataset.importers.boxes import labelled
from dataset.importers.labelled import Box, Labelled, address, official_split, to_png
from dataset.importers.pictures import finder, named
from dataset.importers.tables import columns, rows

SIGNS: Final = (
    "Speed limit 20", "Speed limit 30", "Speed limit 50", "Speed limit 60", "Speed limit 70", "Speed limit 80",
    "End of speed limit 80", "Speed limit 100", "Speed limit 120", "No passing", "No passing for trucks",
    "Right of way", "Priority road", "Yield", "Stop", "No vehicles", "No trucks", "No entry", "General caution",
    "Curve left", "Curve right", "Double curve", "Bumpy road", "Slippery road", "Road narrows right", "Road work",
    "Traffic signals", "Pedestrians", "Children crossing", "Bicycles crossing", "Ice or snow", "Wild animals",
    "End of all limits", "Turn right ahead", "Turn left ahead", "Ahead only", "Ahead or right", "Ahead or left",
    "Keep right", "Keep left", "Roundabout", "End of no passing", "End of no passing for trucks",
)  # fmt: skip
"""The 43 classes by their numbers (benchmark.ini.rub.de)."""
CORNERS: Final = ("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")


def gtsrb(source: Path, *, crop: bool = False) -> Iterator[Labelled]:
    """Yield the signs of every table below ``source``, whole or cropped to their boxes; PPM becomes PNG.

    It reads the benchmark's own tables (``GT-00000.csv``, ``GT-final_test.csv``) and Kaggle's (``Train.csv``,
    ``Test.csv``). The frames of one track share a group.
    """
    tables = [source] if source.is_file() else sorted(source.rglob("*.csv"))
    tables = [path for path in tables if path == source or {"Roi.X1", "ClassId"} <= set(columns(path))]
    if not tables:
        raise TrayError(
            f"Expected tables with the columns Roi.X1 and ClassId in {source}, and there is none. "
            f"The test pictures' own table has no classes: GTSRB_Final_Test_GT.zip brings them."
        )
    for table in tables:
        yield from _signs(table, crop=crop)


def _signs(table: Path, *, crop: bool) -> Iterator[Labelled]:
    key = "Path" if "Path" in columns(table) else "Filename"
    find = finder([table.parent])
    split = next((official_split(word) for word in _words(table) if official_split(word)), "")
    for number, row in rows(table, key, "ClassId", *CORNERS):
        sign = named(row[key], "", find, origin=address(table, f"row={number}"), split=split)
        if not row["ClassId"].isdigit() or int(row["ClassId"]) >= len(SIGNS):
            yield replace(sign, error=f"unknown class {row['ClassId']}")
            continue
        if sign.source.endswith(".ppm"):
            sign = replace(sign, read=partial(_from_ppm, sign.read))
        frames = Path(row[key]).stem.split("_")
        if split == "train" and len(frames) > 1:
            sign = replace(sign, group=address(table.parent, f"track={row['ClassId']}_{frames[-2]}"))
        try:
            left, top, right, bottom = (float(row[name]) for name in CORNERS)
        except ValueError as error:
            yield replace(sign, error=f"no box: {error}")
            continue
        box = Box(left, top, right + 1, bottom + 1)
        for one in labelled(sign, [(SIGNS[int(row["ClassId"])], box)], crop=crop, margin=0):
            yield replace(one, group=sign.group)


def _words(table: Path) -> Iterator[str]:
    for part in reversed(table.with_suffix("").parts[-4:]):
        yield from part.replace("-", "_").split("_")


def _from_ppm(read: Callable[[], bytes]) -> bytes:
    try:
        with Image.open(io.BytesIO(read()), formats=["PPM"]) as picture:
            return to_png(picture.convert("RGB"))
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"damaged: {error}") from error
