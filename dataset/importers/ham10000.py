"""HAM10000: skin lesions, several photographs of some of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dataset.importers.labelled import Labelled, address
from dataset.importers.pictures import finder, named
from dataset.importers.tables import one_file, rows

DIAGNOSES: Final = MappingProxyType({
    "akiec": "actinic keratosis", "bcc": "basal cell carcinoma", "bkl": "benign keratosis", "df": "dermatofibroma",
    "mel": "melanoma", "nv": "melanocytic nevus", "vasc": "vascular lesion",
})  # fmt: skip
"""Diagnoses by the codes of the column dx (Tschandl, Rosendahl, Kittler 2018)."""


def ham10000(source: Path, *, images: Path | None = None) -> Iterator[Labelled]:
    """Yield the photographs of ``HAM10000_metadata.csv`` under their diagnoses; one lesion's share a group.

    ``images`` is the folder that the two parts of the pictures lie in, by default the table's own.
    """
    table = one_file(source, ("HAM10000_metadata*", "*metadata*.csv", "*.csv"), "the table of lesions")
    find = finder([images or table.parent])
    for number, row in rows(table, "lesion_id", "image_id", "dx"):
        photo = named(
            row["image_id"], DIAGNOSES.get(row["dx"], row["dx"]), find, origin=address(table, f"row={number}")
        )
        yield replace(photo, group=address(table, f"lesion={row['lesion_id']}") if row["lesion_id"] else "")
