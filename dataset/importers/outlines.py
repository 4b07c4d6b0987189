"""COCO's outlines of objects: polygons, and run lengths down the columns of a mask."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from dataset.importers.labelled import Box, Frame


def around(segmentation: Any, frame: Frame) -> Box | None:
    """Return the box around polygons or run lengths; None when there is nothing in them, or they can't be read."""
    try:
        if isinstance(segmentation, dict):
            return _around_runs(segmentation["counts"], int(segmentation["size"][0]), frame)
        numbers = [float(value) for polygon in segmentation for value in polygon]
        across, down = numbers[::2], numbers[1::2]
        return Box(min(across), min(down), max(across), max(down), frame=frame)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None


def _around_runs(counts: str | Sequence[int], height: int, frame: Frame) -> Box | None:
    """Return the box around a mask given by how many of its pixels, column by column, are out, in, out, in."""
    lengths = _unpacked(counts) if isinstance(counts, str) else counts
    runs = [(start, end - 1) for start, end in list(pairwise(accumulate(lengths)))[::2] if end > start]
    if not runs:
        return None
    # A run that goes on in the next column touches the photo's lower edge, and its upper one.
    over = any(first // height != last // height for first, last in runs)
    top = 0 if over else min(first % height for first, _ in runs)
    bottom = height if over else 1 + max(last % height for _, last in runs)
    return Box(runs[0][0] // height, top, runs[-1][1] // height + 1, bottom, frame=frame)


def _unpacked(text: str) -> list[int]:
    """Return the run lengths in COCO's compressed form.

    Five bits a character, the lowest first, counted from "0"; the sixth bit says that the number goes on, the fifth of
    its last character that it is negative. From the fourth on, numbers are differences to the last but one.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
