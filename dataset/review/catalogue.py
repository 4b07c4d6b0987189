"""Which pictures a folder holds, what their manifests know of them, and where a decision on each is written."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dataset.errors import TrayError
from dataset.folder import MANIFEST, METADATA, Record, class_of, pictures, records
from dataset.layout import Form, LabelledFolder, classes_in, lying_in
from dataset.origin import led_to, source_of

log: Final = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Place:
    """One file as ``review.jsonl`` names it: its class folder and its name there."""

    folder: Path
    file: str

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.folder / self.file


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to be looked at, and the places to which a decision on it goes."""

    shown: Path
    """The file that is shown."""
    label: str
    places: tuple[Place, ...]
    """Where it came from, first the one that was kept, then its copies: a dropped picture must not come back as one."""
    split: str = ""
    record: Record = Record(url="")  # noqa: RUF009 - a frozen value


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that there is to look at below one folder."""

    root: Path
    form: Form
    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]
    """Classes that a picture can be given."""
    raw: Path | None
    """The folder of class folders that the decisions go to; None when they go elsewhere."""
    named: Path
    """``root`` as it was named: where that is a link, what was made of the pictures lies beside the link."""

    def by_path(self) -> dict[Path, int]:
        """Return the index of each picture by every path that names it."""
        found: dict[Path, int] = {}
        for index, picture in enumerate(self.pictures):
            for path in (picture.shown, *(place.path for place in picture.places)):
                found.setdefault(path, index)
        return found


def open_catalogue(folder: Path, *, raw: Path | None = None) -> Catalogue:
    """Return the pictures of one class folder, a folder of class folders, or a built dataset.

    The decisions on a built dataset go beside the raw pictures that it was made of, where these are still there:
    in ``raw``, else where ``source_of`` finds them. Where they are gone, decisions go beside the built pictures, and
    the next build knows nothing of them.
    Raises TrayError when there is no picture.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise TrayError(f"Expected a folder with pictures. Received: {folder}, which is not a folder.")
    named = Path(os.path.abspath(folder))  # noqa: PTH100 - which follows no link, and takes .. away
    if (root / METADATA).is_file():
        return _built(root, raw.resolve() if raw else source_of(root), named)
    parts, form = lying_in(root)
    found = [picture for part in parts for picture in _pictures(root, part)]
    _require(found, root)
    if form == "class folder":
        return Catalogue(root, form, tuple(found), _labels(found, _siblings(root)), None, named)
    within = any(part.split for part in parts)
    labels = _labels(found, (part.label for part in parts))
    return Catalogue(root, form, tuple(found), labels, None if within else root, named)


def _require(found: list[Picture], root: Path) -> None:
    if not found:
        raise TrayError(
            f"Expected a class folder (such as data/raw/pizza), a folder of class folders (data/raw) or a built "
            f"dataset (data/built/pizza). Received: {root}, with no picture to review in it. Name another folder."
        )


def _labels(found: Iterable[Picture], others: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*(picture.label for picture in found), *others}))


def _siblings(root: Path) -> set[str]:
    """Return the names of the class folders beside a class folder: what its pictures could be instead."""
    try:
        return {name for name, path in classes_in(root.parent).items() if (path / MANIFEST).exists()}
    except OSError:
        return set()


def _pictures(root: Path, part: LabelledFolder) -> Iterator[Picture]:
    known = {record.file: record for record in records(part.path) if record.kept}
    outside = 0
    inside = part.path.resolve().is_relative_to(root)
    for path in pictures(part.path):
        if not inside or (path.is_symlink() and not path.resolve().is_relative_to(root)):
            outside += 1
            continue
        places = (Place(part.path, path.name),)
        yield Picture(path, part.label, places, part.split, known.get(path.name, Record(url="")))
    if outside:
        log.warning("%d links in %s lead out of %s and are not shown", outside, part.path, root)


def metadata(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a dataset's metadata.jsonl; lines that can't be read are passed over."""
    yield from json_lines(root / METADATA)


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a file's JSON objects, one a line; nothing where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            yield values


def _built(root: Path, raw: Path | None, named: Path) -> Catalogue:
    rows = list(metadata(root))
    sources = {class_of(str(row.get("source", ""))) for row in rows}
    known = {(name, one.file): one for name in sources if raw and name for one in records(raw / name) if one.kept}
    found = []
    for row in rows:
        shown = root / str(row.get("file_name", ""))
        if not shown.is_file() or not shown.resolve().is_relative_to(root):
            continue
        places = tuple(_places(row, raw))
        if places:
            name = places[0].folder.name
            record = known.get((name, places[0].file), _record(row))
        else:
            name, places, record = shown.parent.name, (Place(shown.parent, shown.name),), _record(row)
        found.append(Picture(shown, name, places, str(row.get("split", "")), record))
    here = raw if raw and any(one.places[0].folder.is_relative_to(raw) for one in found) else None
    if not here:
        log.warning(
            "The pictures that %s was built from are not at hand: decisions go beside the built ones, and the next "
            "build knows nothing of them.",
            root,
        )
    _require(found, root)
    return Catalogue(root, "dataset", tuple(found), _labels(found, classes_in(here) if here else ()), here, named)


def _places(row: Mapping[str, Any], raw: Path | None) -> Iterator[Place]:
    copies = row.get("copies")
    for source in [row.get("source"), *(copies if isinstance(copies, list) else [])]:
        if raw and isinstance(source, str) and source and (path := led_to(raw, source)):
            yield Place(path.parent, path.name)


def _record(row: Mapping[str, Any]) -> Record:
    """Return what a dataset's line says of where a picture came from."""

    def first(key: str) -> str:
        values = row.get(key)
        return str(values[0]) if isinstance(values, list) and values else ""

    def pixels(key: str) -> int:
        value = row.get(key)
        return value if isinstance(value, int) else 0

    return Record(
        url=first("urls"),
        page=first("pages"),
        engine=first("engines"),
        term=first("terms"),
        width=pixels("width"),
        height=pixels("height"),
    )
