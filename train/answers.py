"""What predictions look like as text: a table, CSV, JSON lines or one JSON list, a line at a time."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from textwrap import indent
from typing import Literal

from train.predict import Prediction
from train.trays import Sighting, TrayPrediction

Kind = Literal["table", "csv", "jsonl", "json"]


def written(predictions: Iterable[Prediction | TrayPrediction], kind: Kind, *, labels: Sequence[str]) -> Iterator[str]:
    """Yield the lines that tell predictions, each as soon as it is known.

    CSV has a column of probabilities for each of the ``labels``, empty where the prediction does not tell it; without
    labels the predictions are of trays, and each item has a row.
    """
    if kind == "csv":
        yield from map(_row, chain([_heading(labels)], (row for one in predictions for row in _rows(one, labels))))
    elif kind == "json":
        yield from _list(predictions)
    else:
        yield from map(_json if kind == "jsonl" else _line, predictions)


def _line(one: Prediction | TrayPrediction) -> str:
    if isinstance(one, TrayPrediction):
        listed = "  ".join(_place(sighting) for sighting in one.seen if sighting.present)
    else:
        listed = "  ".join(
            f"{label} {probability:.2f}" for label, probability in (one.items or one.probabilities).items()
        )
    return f"{one.file}  {one.error or one.label}  {listed}".rstrip()


def _place(sighting: Sighting) -> str:
    left, top, right, bottom = sighting.box
    return f"{sighting.item} {sighting.probability:.2f} at {left},{top} to {right},{bottom}"


def _json(one: Prediction | TrayPrediction) -> str:
    return json.dumps(asdict(one), ensure_ascii=False, default=str)


def _list(predictions: Iterable[Prediction | TrayPrediction]) -> Iterator[str]:
    """Yield one JSON list, without ever holding more than a prediction of it."""
    last = ""
    yield "["
    for one in predictions:
        if last:
            yield f"{last},"
        last = indent(json.dumps(asdict(one), ensure_ascii=False, default=str, indent=2), "  ")
    if last:
        yield last
    yield "]"


def _heading(labels: Sequence[str]) -> list[str]:
    if labels:
        return ["file", "label", *(f"p_{label}" for label in labels), "error"]
    return ["file", "item", "probability", "present", "left", "top", "right", "bottom", "error"]


def _rows(one: Prediction | TrayPrediction, labels: Sequence[str]) -> Iterator[list[str]]:
    if isinstance(one, Prediction):
        said = [f"{one.probabilities[label]:.6f}" if label in one.probabilities else "" for label in labels]
        yield [str(one.file), one.label, *said, one.error]
    elif one.error:
        yield [str(one.file), *[""] * 7, one.error]
    else:
        for sighting in one.seen:
            told = [sighting.item, f"{sighting.probability:.6f}", str(int(sighting.present)), *map(str, sighting.box)]
            yield [str(one.file), *told, ""]


def _row(cells: Sequence[str]) -> str:
    file = io.StringIO()
    # Only what ends a row is quoted within one: a file name may hold a line break.
    csv.writer(file, lineterminator="\r\n").writerow(cells)
    return file.getvalue().removesuffix("\r\n")
