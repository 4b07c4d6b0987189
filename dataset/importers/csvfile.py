"""Any table that names a picture and its label in each row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dataset.errors import ConfigError, TrayError
from dataset.importers.labelled import Labelled, address, official_split
from dataset.importers.pictures import Find, finder, is_picture, named
from dataset.importers.tables import columns, guess_delimiter, one_file, rows

FILES = (
    "file_name", "filename", "file", "image", "image_path", "path", "filepath", "file_path", "image_id", "image_name",
    "img", "img_path", "id", "name",
)  # fmt: skip
LABELS = (
    "label", "class", "category", "target", "class_name", "label_name", "classname", "labels", "classid", "class_id",
    "species", "breed", "y",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "subset", "set", "usage", "partition", "fold")
LOOKED_AT = 50
"""Rows that a guess of columns is made from."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table say what."""

    file: str
    label: str
    split: str


def csvfile(  # noqa: PLR0913 - a table's columns are many
    source: Path,
    *,
    file: str | None = None,
    label: str | None = None,
    split_column: str | None = None,
    delimiter: str | None = None,
    where: Mapping[str, str] | None = None,
    images: Path | None = None,
) -> Iterator[Labelled]:
    r"""Yield the pictures of a table's rows; columns and delimiter are guessed where they are not given.

    ``where`` keeps the rows whose columns hold these values; ``images`` is the folder that the names start from, by
    default the table's own. Raises ConfigError for a delimiter of several characters; ``\t`` is a tab.
    """
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if delimiter and len(delimiter) > 1:
        raise ConfigError(f"Expected one character that separates the columns, or \\t. Received: {delimiter!r}.")
    table = one_file(source, ("*.csv", "*.tsv", "*.txt"), "a table")
    find = finder([images or table.parent])
    chosen = _choose(table, Columns(file or "", label or "", split_column or ""), find, delimiter)
    where = dict(where or {})
    found = False
    for number, row in rows(table, chosen.file, chosen.label, *where, delimiter=delimiter):
        if all(row[name] == value for name, value in where.items()):
            found = True
            split = row.get(chosen.split, "")
            yield named(
                row[chosen.file],
                row[chosen.label],
                find,
                origin=address(table, f"row={number}"),
                split=official_split(split) or split,
            )
    if not found:
        filters = ", ".join(f"{name}={value}" for name, value in where.items())
        raise TrayError(
            f"Expected rows in {table}{f' where {filters}' if filters else ''}, and there is none. "
            f"{_offer(table, where, delimiter)}"
        )


def _choose(table: Path, given: Columns, find: Find, delimiter: str | None) -> Columns:
    header = columns(table, delimiter=delimiter)
    if any(is_picture(name) and isinstance(find(name), Path) for name in header):
        raise TrayError(
            f"Expected {table} to begin with the names of its columns. Received a picture's there: "
            f"{', '.join(header)}. Write a line above it, such as file{delimiter or guess_delimiter(table)}label."
        )
    sample = [row for _, row in islice(rows(table, delimiter=delimiter), LOOKED_AT)]
    by_lower = {name.lower(): name for name in reversed(header)}
    file = given.file or _file_column(header, by_lower, sample, find)
    label = given.label or next((by_lower[name] for name in LABELS if by_lower.get(name, file) != file), "")
    split = given.split or next((by_lower[name] for name in SPLIT_COLUMNS if name in by_lower), "")
    for what, name, flag in (("picture's file", file, "file"), ("label", label, "label")):
        if not name:
            raise TrayError(
                f"Expected a column of {table} to hold the {what}, and none is known for it. "
                f"Received: {', '.join(header)}. Name it with --{flag}."
            )
    if given.split and given.split not in header:
        next(rows(table, given.split, delimiter=delimiter))
    return Columns(file, label, split if split not in {file, label} else "")


def _file_column(
    header: Sequence[str], by_lower: Mapping[str, str], sample: Sequence[Mapping[str, str]], find: Find
) -> str:
    """Return the column that names pictures which are there: one that is called so, else the one with most of them."""
    known = [by_lower[name] for name in FILES if name in by_lower]
    hits = {name: sum(isinstance(find(row[name]), Path) for row in sample if row[name]) for name in header}
    named_so = [name for name in known if hits[name]]
    # The numbers of classes may be the names of pictures too: words decide before counts.
    best = named_so[0] if named_so else max(header, key=lambda name: hits[name])
    return best if hits[best] else next(iter(known), "")


def _offer(table: Path, where: Mapping[str, str], delimiter: str | None) -> str:
    for name in where:
        values = sorted({row[name] for _, row in islice(rows(table, name, delimiter=delimiter), 10_000)})
        return f"Received in column {name!r}: {', '.join(values[:8]) or 'nothing'}."
    return "Name another table."
