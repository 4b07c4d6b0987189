"""COCO: one JSON file of photos, categories and boxes."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.errors import TrayError
from dataset.importers.boxes import MARGIN, labelled
from dataset.importers.labelled import Box, Labelled, address, official_split
from dataset.importers.pictures import finder, named
from dataset.importers.tables import read_json


def coco(source: Path, *, images: Path | None = None, crop: bool = False, margin: float = MARGIN) -> Iterator[Labelled]:
    """Yield the photos under their largest box's category, or a crop per box; crowds are passed over.

    ``source`` is the JSON file, or a folder with such files in it or in its ``annotations``.
    """
    for path in _documents(source):
        yield from _photos(path, [images] if images else _roots(path), crop=crop, margin=margin)


def _documents(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = [path for path in sorted(source.rglob("*.json")) if not path.name.startswith(".")]
    instances = [path for path in files if path.name.startswith("instances")]
    found = instances or [path for path in files if b'"annotations"' in path.read_bytes()]
    if not found:
        raise TrayError(f"Expected COCO annotations (instances_*.json) in {source}, and there is none. Name the file.")
    return found


def _roots(path: Path) -> list[Path]:
    """Return where the photos of a JSON file may lie: in the folder that its name ends in, beside it, or above it."""
    above = path.parent.parent if path.parent.name == "annotations" else path.parent
    word = re.split(r"[_.]", path.stem)[-1]
    folders = [above / word, above / "images" / word, above / "images", path.parent, above]
    return [folder for folder in folders if folder.is_dir()]


def _photos(path: Path, roots: list[Path], *, crop: bool, margin: float) -> Iterator[Labelled]:
    document = read_json(path, "images", "annotations", "categories")
    try:
        names = {one["id"]: str(one["name"]) for one in document["categories"]}
        boxes: dict[Any, list[tuple[str, Box]]] = defaultdict(list)
        strange: dict[Any, str] = {}
        for one in document["annotations"]:
            if one["category_id"] not in names:
                strange[one["image_id"]] = f"unknown category {one['category_id']}"
            elif not one.get("iscrowd") and "bbox" in one:
                left, top, width, height = map(float, one["bbox"])
                boxes[one["image_id"]].append((names[one["category_id"]], Box(left, top, left + width, top + height)))
        photos = [(one["id"], str(one["file_name"])) for one in document["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise TrayError(f"Expected COCO annotations in {path}. Received: an entry without {error}.") from error
    words = [*re.split(r"[_.]", path.stem), path.parent.name]
    split = next((official_split(word) for word in reversed(words) if official_split(word)), "")
    find = finder(roots)
    for number, name in photos:
        photo = named(name, "", find, origin=address(path, f"image={number}"), split=split)
        if number in strange and not boxes[number]:
            photo = replace(photo, error=strange[number])
        yield from labelled(photo, boxes[number], crop=crop, margin=margin)
