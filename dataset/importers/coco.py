"""COCO: one JSON file of photos, categories and boxes."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.errors import TrayError
from dataset.importers.boxes import MARGIN, labelled
from dataset.importers.labelled import Box, Frame, Labelled, address, official_split
from dataset.importers.outlines import around
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
        photos = {one["id"]: (str(one["file_name"]), _frame(one)) for one in document["images"]}
        boxes: dict[Any, list[tuple[str, Box]]] = defaultdict(list)
        strange: dict[Any, list[str]] = defaultdict(list)
        for one in document["annotations"]:
            image, category = one["image_id"], one["category_id"]
            if category not in names:
                strange[image].append(f"unknown category {category}")
            elif image in photos and not one.get("iscrowd"):
                if box := _box(one, photos[image][1]):
                    boxes[image].append((names[category], box))
                else:
                    strange[image].append("no box in it")
    except (KeyError, TypeError, ValueError) as error:
        raise TrayError(f"Expected COCO annotations in {path}. Received: an entry without {error}.") from error
    words = [*re.split(r"[_.]", path.stem), path.parent.name]
    split = next((official_split(word) for word in reversed(words) if official_split(word)), "")
    find = finder(roots)
    for number, (name, _) in photos.items():
        photo = named(name, "", find, origin=address(path, f"image={number}"), split=split)
        for reason in strange[number] if boxes[number] and crop else strange[number][:1]:
            if crop or not boxes[number]:
                yield replace(photo, error=photo.error or reason)
        if boxes[number] or not strange[number]:
            yield from labelled(photo, boxes[number], crop=crop, margin=margin)


def _frame(image: dict[str, Any]) -> Frame:
    """Return the size of the photo that the boxes were drawn on, where the image says it."""
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _box(annotation: dict[str, Any], frame: Frame) -> Box | None:
    """Return an object's box, by its outline where it has none itself."""
    try:
        left, top, width, height = map(float, annotation["bbox"])
        return Box(left, top, left + width, top + height, frame=frame)
    except (KeyError, TypeError, ValueError):
        return around(annotation.get("segmentation"), frame)
