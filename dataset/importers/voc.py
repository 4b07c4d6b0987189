"""PASCAL VOC: one XML file of boxes per photo."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from dataset.errors import TrayError
from dataset.importers.boxes import MARGIN, labelled
from dataset.importers.labelled import Box, Frame, Labelled, address, official_split
from dataset.importers.pictures import Find, finder, named


def voc(source: Path, *, images: Path | None = None, crop: bool = False, margin: float = MARGIN) -> Iterator[Labelled]:
    """Yield the photos under their largest box's name, or a crop per box; splits come from ``ImageSets/Main``.

    ``source`` is the folder that holds Annotations and JPEGImages, or XML files with pictures beside them.
    """
    files = [path for path in sorted(source.rglob("*.xml")) if not path.name.startswith(".")]
    if not files:
        raise TrayError(
            f"Expected a folder with PASCAL VOC annotations (*.xml) in it. Received: {source}, without any."
        )
    splits = _splits(source)
    find = finder([images] if images else [source, *sorted(source.rglob("JPEGImages"))])
    for path in files:
        yield from _photo(path, find, splits.get(path.stem, ""), crop=crop, margin=margin)


def _photo(path: Path, find: Find, split: str, *, crop: bool, margin: float) -> Iterator[Labelled]:
    try:
        text = path.read_bytes()
        # Entities are how a small XML file becomes gigabytes; VOC has none.
        if b"<!ENTITY" in text or b"<!DOCTYPE" in text:
            raise ValueError("an XML file with a document type")  # noqa: TRY301
        root = ET.fromstring(text)  # noqa: S314
        frame = _frame(root)
        boxes = [_box(one, frame) for one in root.iterfind("object")]
    except (OSError, ValueError, ET.ParseError, KeyError) as error:
        yield Labelled("", address(path), split=split, error=f"annotation can't be read: {error}")
        return
    name = (root.findtext("filename") or "").strip()
    photo = named(name, "", find, origin=address(path), split=split)
    if photo.error:
        photo = named(path.stem, "", find, origin=address(path), split=split)
    yield from labelled(photo, boxes, crop=crop, margin=margin)


def _frame(root: ET.Element) -> Frame:
    """Return the size of the photo that the boxes were drawn on, where the annotation says it."""
    width, height = (root.findtext(f"size/{key}") or "" for key in ("width", "height"))
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _box(one: ET.Element, frame: Frame) -> tuple[str, Box]:
    name = (one.findtext("name") or "").strip()
    corners = [one.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    if not name or None in corners:
        raise ValueError("an object without a name or a box")
    left, top, right, bottom = (float(text or "") for text in corners)
    # The corners are the first and the last pixel, counted from 1.
    return name, Box(left - 1, top - 1, right, bottom, frame=frame)


def _splits(source: Path) -> dict[str, str]:
    """Return the split of each photo by the lists in ImageSets/Main; ``train`` and ``val`` win over ``trainval``."""
    splits = {}
    for path in sorted(source.rglob("ImageSets/Main/*.txt")):
        if split := official_split(path.stem):
            splits.update({line.split()[0]: split for line in path.read_text("utf-8").splitlines() if line.strip()})
    return splits
