"""Hugging Face datasets on disk: image folders, with metadata or without, and parquet files of pictures."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dataset.errors import TrayError
from dataset.importers.csvfile import LABELS
from dataset.importers.folders import nested
from dataset.importers.labelled import Labelled, address, official_split
from dataset.importers.pictures import Find, finder, named
from dataset.importers.tables import rows

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def huggingface(source: Path, *, label: str | None = None) -> Iterator[Labelled]:
    """Yield the pictures of an image folder or of parquet files; ``label`` is their column, guessed by default.

    Parquet needs pyarrow. In an image folder, metadata files say the labels; without any, the folders do.
    """
    parquet = [source] if source.suffix == ".parquet" else sorted(source.rglob("*.parquet"))
    parquet = [path for path in parquet if path.name not in METADATA]
    if parquet:
        for path in parquet:
            yield from _from_parquet(path, label)
        return
    tables = sorted(path for name in METADATA for path in source.rglob(name))
    if not tables:
        yield from nested(source)
    for table in tables:
        yield from _from_metadata(table, label, source)


def _from_metadata(table: Path, label: str | None, source: Path) -> Iterator[Labelled]:
    find = finder([table.parent])
    read = {".jsonl": _lines, ".parquet": _table}.get(table.suffix)
    lines = read(table) if read else rows(table, "file_name")
    folders = table.relative_to(source).parent.parts
    column = ""
    for number, row in lines:
        column = column or _label_column(list(row), label, table)
        name = str(row.get("file_name", ""))
        words = [str(row.get("split", "")), *folders, *Path(name).parent.parts]
        split = next((official_split(word) for word in words if official_split(word)), "")
        value = row.get(column)
        yield named(
            name, "" if value is None else str(value), find, origin=address(table, f"row={number}"), split=split
        )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise TrayError(f"Expected one JSON object per line in {path}. Line {number}: {error}.") from error
            if not isinstance(row, dict):
                raise TrayError(f"Expected one JSON object per line in {path}. Received in line {number}: {line!r}.")
            yield number, row


def _table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _parquet(path) as file:
        number = 0
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _label_column(names: list[str], label: str | None, table: Path) -> str:
    found = label if label in names else next((name for name in LABELS if name in names), "") if not label else ""
    if not found:
        raise TrayError(
            f"Expected a column of labels{f' {label!r}' if label else ''} in {table}. "
            f"Received: {', '.join(names)}. Name it with --label."
        )
    return found


def _parquet(path: Path) -> Any:
    """Return a parquet file, open; raises TrayError when it is none, or pyarrow is missing."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise TrayError(
            f"Expected pyarrow to read {path}, and it is not installed. Install it: pip install pyarrow"
        ) from None
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise TrayError(f"Expected a parquet file at {path}. Received: {error}. Download it again.") from error


def _from_parquet(path: Path, label: str | None) -> Iterator[Labelled]:
    with _parquet(path) as file:
        features = _features(file.schema_arrow.metadata or {})
        names = file.schema_arrow.names
        picture = _picture_column(file.schema_arrow, features, path)
        label = _label_column([name for name in names if name != picture], label or _class_column(features), path)
        classes = features.get(label, {}).get("names") or []
        words = re.split(r"[-_.]", path.stem) + [part.lower() for part in path.parts[-3:-1]]
        split = next((official_split(word) for word in words if official_split(word)), "")
        find = finder([path.parent])
        row = 0
        for batch in file.iter_batches(batch_size=64, columns=[picture, label]):
            for one in batch.to_pylist():
                row += 1
                origin = address(path, f"row={row}")
                yield replace(_cell(one[picture], _word(one[label], classes), origin, find), split=split)


def _cell(picture: Any, label: str, origin: str, find: Find) -> Labelled:
    """Return the picture of a parquet cell: a struct of bytes and path, or bytes alone."""
    data, name = (picture.get("bytes"), picture.get("path")) if isinstance(picture, Mapping) else (picture, None)
    if data is not None:
        return Labelled(label, origin, partial(bytes, data))
    if name:
        return named(str(name), label, find, origin=origin)
    return Labelled(label, origin, error="no picture in the row")


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what the ``datasets`` library wrote about the columns."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: value for name, value in features.items() if isinstance(value, dict)}


def _class_column(features: Mapping[str, Any]) -> str | None:
    found = [name for name, value in features.items() if value.get("_type") == "ClassLabel"]
    return found[0] if len(found) == 1 else None


def _picture_column(schema: Any, features: Mapping[str, Any], path: Path) -> str:
    marked = [name for name, value in features.items() if value.get("_type") == "Image"]
    structs = [
        one.name
        for one in schema
        if str(one.type).startswith("struct<bytes") or str(one.type) in {"binary", "large_binary"}
    ]
    if marked or structs:
        return str([*marked, *structs][0])
    raise TrayError(f"Expected a column of pictures in {path}. Received: {', '.join(schema.names)}. Name another file.")


def _word(value: object, classes: list[str]) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return str(classes[value])
    return "" if value is None or (value == -1 and classes) else str(value)
