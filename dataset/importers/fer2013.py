"""FER-2013: faces as rows of pixels in a CSV."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from dataset.importers.labelled import Labelled, address, official_split, to_png
from dataset.importers.tables import one_file, rows

SIDE: Final = 48
EMOTIONS: Final = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")


def fer2013(source: Path) -> Iterator[Labelled]:
    """Yield the faces of ``fer2013.csv`` (or ``icml_face_data.csv``, ``train.csv``), 48x48 grey, as PNG.

    Training is ``train``, PublicTest ``val`` and PrivateTest ``test``.
    """
    table = one_file(source, ("fer2013*.csv", "icml_face_data.csv", "*.csv"), "a table of faces")
    for number, row in rows(table, "emotion", "pixels"):
        known = row["emotion"].isdigit() and int(row["emotion"]) < len(EMOTIONS)
        yield Labelled(
            EMOTIONS[int(row["emotion"])] if known else "",
            address(table, f"row={number}"),
            partial(_face, row["pixels"]),
            split=official_split(row.get("Usage", "")),
            error="" if known else f"unknown emotion {row['emotion']}",
        )


def _face(pixels: str) -> bytes:
    try:
        levels = np.array(pixels.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise OSError(f"pixels can't be read: {error}") from error
    if levels.size != SIDE * SIDE or levels.min() < 0 or levels.max() > 255:
        raise OSError(f"expected {SIDE * SIDE} levels from 0 to 255, received {levels.size}")
    return to_png(levels.astype(np.uint8).reshape(SIDE, SIDE))
