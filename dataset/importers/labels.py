"""What labels become: coarser ones by a small table, and the names of folders."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from dataset.errors import TrayError
from dataset.importers import tables

LONGEST = 100
"""Characters of a folder's name at most."""
BYTES = 240
"""Bytes of a folder's name at most; systems allow 255, and a letter may take four."""
RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}
)
REST = "*"
"""Key of a table of labels that stands for all which it does not name."""


def safe_name(label: str) -> str:
    """Return a label as the name of a folder: letters, digits, ``-`` and ``_`` only; empty when none is left."""
    words = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", label))
    name = re.sub(r"_+", "_", words).strip("_-")[:LONGEST].encode()[:BYTES].decode(errors="ignore").rstrip("_-")
    return f"{name}_" if name.lower() in RESERVED else name


def coarser(label: str, table: Mapping[str, str]) -> str:
    """Return what the table makes of a label; labels that it does not name go to its ``*``, or stay as they are."""
    return table.get(label, table.get(REST, label))


def read_table(path: Path) -> dict[str, str]:
    """Return a table of labels: two columns, what the source says and what it becomes (nothing: leave it out).

    Raises TrayError when the file is missing or one of its rows has other than two columns.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrayError(f"Expected a table of labels at {path}. Received: {error}. Name another file.") from error
    delimiter = max(tables.DELIMITERS, key=lambda mark: sum(line.count(mark) for line in lines))
    table = {}
    for number, line in enumerate(lines, 1):
        values = [value.strip() for value in line.split(delimiter)]
        if line.strip() and len(values) != 2:
            raise TrayError(
                f"Expected two columns in {path}: a label and what it becomes. Received in line {number}: {line!r}."
            )
        if line.strip():
            table[values[0]] = values[1]
    return table
