"""Tables in text files: the delimiter, the header, and rows as dictionaries."""

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dataset.errors import TrayError

DELIMITERS = ",;\t|"


def rows(path: Path, *needed: str, delimiter: str | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with their numbers, the first below the header being 1.

    Raises TrayError when the file is missing, is not text, or its header lacks a column of ``needed``.
    """
    header = columns(path, delimiter=delimiter)
    missing = [name for name in needed if name not in header]
    if missing:
        raise TrayError(
            f"Expected {path} to have a column {missing[0]!r}. Received: {', '.join(header)}. "
            f"Name the right column, or another format."
        )
    below = (values for values in lines(path, delimiter=delimiter) if values[1])
    next(below)
    for number, (_, values) in enumerate(below, 1):
        padded = [*values, *[""] * (len(header) - len(values))]
        yield number, dict(zip(header, padded, strict=False))


def lines(path: Path, *, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of a table's lines, the header's too, and the number of the line in the file that each ends on.

    Raises TrayError when the file is missing or is no table in text.
    """
    delimiter = delimiter or guess_delimiter(path)
    with _open(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for values in reader:
                yield reader.line_num, [value.strip() for value in values]
        except (csv.Error, UnicodeDecodeError) as error:
            raise _no_table(path, error, reader.line_num) from error


def columns(path: Path, *, delimiter: str | None = None) -> list[str]:
    """Return the names in a table's header; raises TrayError when there is none."""
    _, header = next(lines(path, delimiter=delimiter), (1, []))
    if not header:
        raise TrayError(f"Expected {path} to begin with the names of its columns. Received: an empty file.")
    return header


def guess_delimiter(path: Path) -> str:
    """Return the character that splits the header into most columns: comma, semicolon, tab or bar."""
    with _open(path) as file:
        try:
            header = file.readline(1 << 20)
        except UnicodeDecodeError as error:
            raise _no_table(path, error, 1) from error
    return max(DELIMITERS, key=header.count)


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Return the object in a JSON file; raises TrayError when it is none or lacks one of ``keys``."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TrayError(f"Expected {path} to be a JSON file. Received: {reason}. Download it again.") from error
    if not isinstance(document, dict):
        raise TrayError(f"Expected {path} to hold a JSON object. Received: a {type(document).__name__}.")
    missing = [key for key in keys if key not in document]
    if missing:
        raise TrayError(
            f"Expected {path} to hold {missing[0]!r}. Received: {_some(list(document))}. Name another file."
        )
    return document


def one_file(source: Path, patterns: Sequence[str], what: str) -> Path:
    """Return the file itself, or the first one in the folder that fits a pattern; raises TrayError when none does."""
    if source.is_file():
        return source
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            return path
    raise TrayError(f"Expected {what} in {source} ({' or '.join(patterns)}), and there is none. Name it itself.")


def _no_table(path: Path, error: Exception, line: int) -> TrayError:
    """Return what to say of a file that can't be read as a table from some line on."""
    if isinstance(error, UnicodeDecodeError):
        return TrayError(f"Expected {path} to be a table in UTF-8. Received: {error}. Save it as CSV in UTF-8.")
    return TrayError(
        f"Expected {path} to be a table. Received: {error}, in line {line}. Mend its quotes or its --delimiter there."
    )


def _open(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            mark = file.read(2)
        # What some spreadsheets call "Unicode text" says so with its first two bytes.
        wide = mark in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
        return path.open(encoding="utf-16" if wide else "utf-8-sig", newline="")
    except OSError as error:
        raise TrayError(f"Expected a table at {path}. Received: {error.strerror}. Name another file.") from error


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") or "nothing"
