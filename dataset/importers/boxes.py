"""Photographs with boxes drawn on them, as pictures with one label each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dataset.errors import ConfigError
from dataset.importers.labelled import Box, Labelled

MARGIN = 0.1
"""Share of a box's sides that a crop takes along on each side."""
WIDEST = 10.0


def labelled(
    photo: Labelled, boxes: Sequence[tuple[str, Box]], *, crop: bool = False, margin: float = MARGIN
) -> Iterator[Labelled]:
    """Yield the whole photo under the label of its largest box, or with ``crop`` one picture per box.

    Raises ConfigError for a margin that is none.
    """
    if not 0 <= margin <= WIDEST:
        raise ConfigError(f"Expected a margin from 0 to {WIDEST:g}. Received: {margin:g}. Correct --margin.")
    if photo.error or not boxes:
        yield replace(photo, error=photo.error or "no box in it")
    elif crop:
        for label, box in boxes:
            part = replace(box, margin=margin)
            yield replace(photo, label=label, source=f"{photo.source}#{part}", box=part, group=photo.source)
    else:
        label, largest = max(boxes, key=lambda one: one[1].area)
        yield replace(photo, label=label, error="" if largest.area > 0 else "empty box")
