"""A finished training run on disk: what it was trained on and how, what it learned, and how good it is."""

import csv
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from dataset.errors import ConfigError, RunNotFound, TrayError
from dataset.tray import Train
from train.data import Dataset, as_trained, read_dataset

RUN = "run.json"
MODEL = "model.keras"
METRICS = "metrics.json"
HISTORY = "history.csv"
REPORT = "report.html"
PREDICTIONS = "predictions.csv"
LITE = ".lite"
"""Folder for the model in the form of a faster runtime; made when it is first asked, and again when it is deleted."""
SUSPECTS = "suspects.jsonl"
"""Training photos whose label is contradicted, the worst first, a JSON object a line as ``tray review`` takes it."""
ITEMS = "items"
"""Folder of the items' own figures and reports, where a run has several."""
FORMAT = 1
"""Version of what a run folder holds; a run of a newer one is refused with a sentence."""

Array = np.ndarray[Any, Any]

log = logging.getLogger("tray")


class Run:
    """A finished run, held open: its model is loaded when it is first asked for."""

    def __init__(self, path: Path, record: Mapping[str, Any], *, of: "Run | None" = None) -> None:
        self.path = path
        self._of = of
        self.record = record
        """What run.json says."""

    @property
    def config(self) -> dict[str, Any]:
        """Return the effective configuration: every value of [train] as it was used."""
        return dict(self.record["config"])

    @property
    def settings(self) -> Train:
        """Return the effective configuration as training takes it; what a newer version knows beside is left out."""
        known = {one.name for one in fields(Train)}
        told: dict[str, Any] = {name: value for name, value in self.config.items() if name in known}
        told["augment_by"] = tuple(told.get("augment_by", ()))
        return Train(**told)

    def only(self, item: str) -> "Run":
        """Return one classifier of the run as a run by itself, which asks this one.

        Raises ConfigError for an item that the run does not have.
        """
        if item not in self.items:
            raise ConfigError(f"Expected an item out of {', '.join(self.items)}. Received: {item!r}.")
        return Run(self.path, {**self.record, "items": {item: self.record["items"][item]}}, of=self)

    @property
    def whole(self) -> bool:
        """Return whether this is all of what lies in the run's folder."""
        return self._of is None

    @property
    def fingerprint(self) -> dict[str, str]:
        """Return the fingerprint of the data of each classifier."""
        return {item: str(one["fingerprint"]) for item, one in self.record["items"].items()}

    def data_of(self, item: str) -> Path:
        """Return the folder that a classifier was trained on.

        Where a whole project was moved or copied, that is the one which went along: it lies from the run as it did.
        """
        data = str(self.record["items"][item]["data"])
        if "at" in self.record:
            along = self.path.absolute() / os.path.relpath(data, self.record["at"])
            if along.is_dir():
                return Path(os.path.normpath(along))
        return Path(data)

    def datasets(self, data: Path | None = None) -> dict[str, Dataset]:
        """Return the dataset of each classifier, or what another folder is to it; each folder is read once.

        Raises TrayError for a folder that holds no class folders, and where the run's own are gone.
        """
        read: dict[Path, Dataset] = {}
        found = {}
        for item, one in self.record["items"].items():
            path, positive = data or self.data_of(item), one["class_names"][-1] if len(one["class_names"]) == 2 else ""
            if not data and not path.is_dir():
                raise TrayError(
                    f"Expected the pictures that {self.path} was trained on in {path}. Received: no such folder. "
                    f"Bring it back, or name a labelled folder with --data."
                )
            whole = read.get(path) or read.setdefault(path, read_dataset(path, positive=positive))
            found[item] = as_trained(whole, item, one["class_names"])
        return found

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Return the class names of each classifier in the order of its outputs; a binary one ends in the positive."""
        return {item: tuple(one["class_names"]) for item, one in self.record["items"].items()}

    @property
    def thresholds(self) -> dict[str, float]:
        """Return, for each binary classifier, the probability from which its positive class counts as present."""
        return {item: float(one["threshold"]) for item, one in self.record["items"].items() if one.get("threshold")}

    @property
    def items(self) -> tuple[str, ...]:
        """Return the names of the classifiers; a run of one has one."""
        return tuple(self.record["items"])

    @property
    def image_size(self) -> int:
        """Return the side in pixels of the model's square input."""
        # The first runs had no views, and so no size beside the network's own.
        return int(self.record.get("input_size") or self.config["image_size"])

    @property
    def report(self) -> Path:
        """Return the path of the report."""
        return self.path / REPORT

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Return what metrics.json says."""
        metrics: dict[str, Any] = json.loads((self.path / METRICS).read_text(encoding="utf-8"))
        return metrics

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Return one row per epoch, with numbers as numbers."""
        with (self.path / HISTORY).open(encoding="utf-8", newline="") as file:
            return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]

    @cached_property
    def model(self) -> Any:
        """Return the Keras model: (n, size, size, 3) pixels of 0..255 to probabilities, by item if there are several.

        Raises RunNotFound when the file is missing or can't be read.
        """
        from train.backend import keras
        from train.models import alone

        if self._of:
            return alone(self._of.model, self.items[0]) if len(self._of.items) > 1 else self._of.model
        try:
            return keras.models.load_model(self.path / MODEL, compile=False)
        except (OSError, ValueError, TypeError) as error:
            there = (self.path / MODEL).is_file()
            said = str(error).splitlines()[0].rstrip(".") if there and is_zipfile(self.path / MODEL) else ""
            why = said or ("a damaged file" if there else "no such file")
            raise RunNotFound(
                f"Expected a Keras model at {self.path / MODEL}. Received: {why}. Train again."
            ) from error

    def probabilities(self, pixels: Array) -> dict[str, Array]:
        """Return each classifier's probabilities, (n, classes), for (n, size, size, 3) uint8 pixels."""
        if self._of:
            return {item: answer for item, answer in self._of.probabilities(pixels).items() if item in self.items}
        return self._forward(pixels)

    @cached_property
    def _forward(self) -> Callable[[Array], dict[str, Array]]:
        from train.forward import fastest

        file = self.path / MODEL
        key = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        return fastest(lambda: self.model, self.image_size, self.items, store=self.path / LITE, key=key)


def open_run(path: Path) -> Run:
    """Open a finished run by its folder, or the newest finished one below a run's name such as runs/pizza.

    Raises RunNotFound when there is none, or when it was made by a newer version.
    """
    if (path / RUN).is_file():
        return _read(path)
    newest = max(path.glob(f"*/{RUN}"), default=None)
    if newest:
        return _read(newest.parent)
    if not path.is_dir():
        what = "there is no such folder" if not path.exists() else "it is a file"
    else:
        inside = [one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")]
        what = f"it holds no {RUN}" + (", so no training ended there" if inside else "")
    raise RunNotFound(
        f"Expected a finished run, such as runs/pizza or runs/pizza/20261120-140311. Received: {path}, and {what}. "
        f"Train first: tray train."
    )


def finished(folder: Path) -> Iterator[Run]:
    """Yield the finished runs below runs/<name>, newest first; what can't be read is passed over, and told."""
    for path in sorted(folder.glob(f"*/{RUN}"), reverse=True):
        try:
            yield _read(path.parent)
        except RunNotFound as error:
            log.warning("%s is passed over: %s", path.parent, error)


def _read(path: Path) -> Run:
    try:
        record = json.loads((path / RUN).read_text(encoding="utf-8"))
        version = record["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunNotFound(f"Expected {path / RUN} as tray train writes it. Received: {error!r}. Train again.") from None
    if version > FORMAT:
        raise RunNotFound(
            f"Expected a run of format {FORMAT} or older in {path}. Received: format {version}, of tray "
            f"{record.get('versions', {}).get('tray', 'unknown')}. Update tray, or train again."
        )
    return Run(path, record)


def _number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and "." not in text else value
