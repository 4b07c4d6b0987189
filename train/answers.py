"""What predictions look like as text: a table, CSV, JSON lines or one JSON list, a line at a time."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from textwrap import indent
from typing import Literal

from train.predict import Prediction

Kind = Literal["table", "csv", "jsonl", "json"]


def written(predictions: Iterable[Prediction], kind: Kind, *, labels: Sequence[str]) -> Iterator[str]:
    """Yield the lines that tell predictions, each as soon as it is known.

    CSV has a column of probabilities for each of the ``labels``, empty where the prediction does not tell it.
    """
    if kind == "csv":
        yield from _csv(predictions, labels)
    elif kind == "json":
        yield from _list(predictions)
    else:
        yield from map(_json if kind == "jsonl" else _line, predictions)


def _line(one: Prediction) -> str:
    shown = one.items or one.probabilities
    listed = "  ".join(f"{label} {probability:.2f}" for label, probability in shown.items())
    return f"{one.file}  {one.error or one.label}  {listed}".rstrip()


def _json(one: Prediction) -> str:
    return json.dumps(asdict(one), ensure_ascii=False, default=str)


def _list(predictions: Iterable[Prediction]) -> Iterator[str]:
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


def _csv(predictions: Iterable[Prediction], labels: Sequence[str]) -> Iterator[str]:
    yield _row(["file", "label", *(f"p_{label}" for label in labels), "error"])
    for one in predictions:
        said = [f"{one.probabilities[label]:.6f}" if label in one.probabilities else "" for label in labels]
        yield _row([str(one.file), one.label, *said, one.error])


def _row(cells: Sequence[str]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(cells)
    return file.getvalue()
