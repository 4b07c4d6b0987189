"""Why a picture deserves a look before others: plain findings of a file, a score and a reason, of any origin."""

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from dataset.errors import TrayError
from dataset.folder import DATASET, METADATA, REJECTED, class_of
from dataset.review.catalogue import Catalogue, json_lines, metadata

PREDICTIONS: Final = "predictions.csv"
SUSPECTS: Final = "suspects.jsonl"
FEATURES: Final = ".features"
"""Folder beside the runs in which a trainer keeps what a backbone made of each picture, as arrays by SHA-256."""
UNSURE: Final = 0.65
"""A run that gives a picture's own label less than this is not sure of it."""

# How much each finding asks for a person: a contradiction can't be settled by a program, a copy was settled already.
CONFLICT, OTHER_REJECTION, NEAR, FLAG, SECOND_FLAG, BYTES = 0.97, 0.3, 0.4, 0.45, 0.1, 0.05


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One finding on one picture."""

    file: Path
    """The picture, by any path that names it: raw, built, or a run's."""
    score: float
    """From 0 to 1; the higher, the sooner it is shown."""
    reason: str
    """A few words, the same for all findings of a kind: the page filters by them."""
    detail: str = ""
    twin: Path | None = None
    """Another picture to be shown beside it."""


def from_run(path: Path) -> Iterator[Suspicion]:
    """Yield what a run doubts: held-back pictures by its predictions, training pictures by those fitted without them.

    ``path`` is the run's folder, the folder of a run's name, whose newest is taken, or a predictions.csv alone. Raises
    TrayError as ``from_predictions`` does.
    """
    if path.is_dir() and not (path / PREDICTIONS).exists():
        path = next((one.parent for one in sorted(path.glob(f"*/{PREDICTIONS}"), reverse=True) if _done(one)), path)
    yield from from_predictions(path)
    if (path / SUSPECTS).is_file():
        yield from from_lines(path / SUSPECTS)


def _done(predictions: Path) -> bool:
    return (predictions.parent / "run.json").exists()


def from_predictions(path: Path) -> Iterator[Suspicion]:
    """Yield the pictures that a run calls something else than their label, or is unsure of.

    ``path`` is a run's predictions.csv or the run's folder. Pictures that the run was trained on are passed over: a
    model has learned their labels, right or wrong. Raises TrayError when there is no such file or a column is missing.
    """
    path = path / PREDICTIONS if path.is_dir() else path
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise TrayError(
            f"Expected a run's {PREDICTIONS} at {path}. Received: {error.strerror}. Name a finished run."
        ) from error
    if rows and not {"file", "label", "predicted"} <= rows[0].keys():
        raise TrayError(
            f"Expected the columns file, label and predicted in {path}. "
            f"Received: {', '.join(map(str, rows[0]))}. Name a run's {PREDICTIONS}."
        )
    for row in rows:
        if row.get("part") == "train":
            continue
        own, said = _probability(row, row["label"]), _probability(row, row["predicted"])
        if row["predicted"] != row["label"]:
            known = own is not None and said is not None
            detail = f"{said:.0%} {row['predicted']}, {own:.0%} {row['label']}" if known else ""
            score = max(0.5, 1 - own) if own is not None else 0.7
            yield Suspicion(Path(row["file"]), score, f"looks like {row['predicted']}", detail)
        elif own is not None and own < UNSURE:
            yield Suspicion(Path(row["file"]), 1 - own, "unsure", f"{own:.0%} {row['label']}")


def _probability(row: Mapping[str, str], name: str) -> float | None:
    """Return what a run gave a class; a run of several items says only how likely its item is."""
    try:
        if f"p_{name}" in row:
            return float(row[f"p_{name}"])
        positive = float(row["positive"])
    except (KeyError, TypeError, ValueError):
        return None
    return positive if name == row.get("item") else 1 - positive


def from_build(dataset: Path, raw: Path) -> Iterator[Suspicion]:
    """Yield what a build flagged, and what it left out and why; ``raw`` is the folder of class folders it read."""
    for row in metadata(dataset):
        marks = [str(flag) for flag in row.get("flags") or ()]
        for flag in marks:
            score = min(0.9, FLAG + SECOND_FLAG * (len(marks) - 1))
            yield Suspicion(raw / str(row.get("source", "")), score, flag)
    for row in json_lines(dataset / REJECTED):
        reason, kept = str(row.get("reason", "")), str(row.get("kept") or "")
        # Where a person chose between two classes, there is nothing left to ask.
        if not reason or (reason == "review" and class_of(kept) != class_of(str(row.get("source", "")))):
            continue
        score = {"conflict": CONFLICT, "near duplicate": NEAR, "duplicate bytes": BYTES}.get(reason, OTHER_REJECTION)
        detail = str(row.get("detail") or "")
        if reason == "conflict" and kept:
            reason, detail = "in two classes", f"also {kept}"
        elif reason == "review":
            reason, detail = "thrown out before", f"as {kept}"
        yield Suspicion(raw / str(row.get("source", "")), score, reason, detail, raw / kept if kept else None)


def from_manifests(catalogue: Catalogue) -> Iterator[Suspicion]:
    """Yield the pictures that looked like an earlier one while they were scraped."""
    for picture in catalogue.pictures:
        if picture.record.copy_of:
            folder = picture.places[0].folder
            detail = f"of {picture.record.copy_of}"
            yield Suspicion(picture.shown, NEAR, "near duplicate", detail, folder / picture.record.copy_of)


def from_lines(path: Path) -> Iterator[Suspicion]:
    """Yield findings of any origin from JSON lines: ``file``, ``score`` from 0 to 1, ``reason``; detail, twin if known.

    Relative files are relative to the folder that holds ``path``. Raises TrayError for a line that is none of this.
    """
    if not path.is_file():
        raise TrayError(f"Expected a file of findings, a JSON object a line. Received: {path}, and there is none.")
    for number, row in enumerate(json_lines(path), 1):
        try:
            twin = path.parent / row["twin"] if row.get("twin") else None
            score = float(row["score"])
            found = Suspicion(path.parent / row["file"], score, str(row["reason"]), str(row.get("detail", "")), twin)
        except (KeyError, TypeError, ValueError) as error:
            raise TrayError(
                f'{path}, object {number}: expected "file", "score" from 0 to 1 and "reason". Received: {row}.'
            ) from error
        yield found


def outliers(
    vectors: Mapping[Path, Sequence[float]], labels: Mapping[Path, str], *, share: float = 0.03
) -> Iterator[Suspicion]:
    """Yield the pictures that lie farthest from their own class, by the cosine distance to the tenth nearest.

    ``vectors`` are any features, such as a backbone's; ``share`` of each class is yielded, the farthest with score 0.8.
    """
    classes: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(vectors):
        classes[labels[path]].append(path)
    for name, paths in classes.items():
        wanted = round(share * len(paths))
        if len(paths) < 20 or not wanted:
            continue
        rows = np.array([vectors[path] for path in paths], np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        far = np.concatenate([_tenth(1 - rows[at : at + 512] @ rows.T) for at in range(0, len(rows), 512)])
        for rank, index in enumerate(np.argsort(-far, kind="stable")[:wanted]):
            score = 0.8 - 0.4 * rank / wanted
            yield Suspicion(paths[index], score, "unlike its class", f"{far[index]:.2f} from the nearest of {name}")


def from_features(labels: Mapping[Path, str], store: Path) -> Iterator[Suspicion]:
    """Yield the pictures unlike their class by the features that a trainer kept of them; nothing where it kept none.

    ``labels`` are the pictures' classes by path. Of several backbones, the one that was used last speaks.
    """
    kept = sorted(store.glob("*/*.npz"), key=lambda path: path.stat().st_mtime_ns)
    if not kept:
        return
    by_hash: dict[str, Any] = {}
    for path in sorted(kept[-1].parent.glob("*.npz")):
        with np.load(path) as arrays:
            by_hash |= zip(arrays["sha256"].tolist(), arrays["features"], strict=True)
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in labels if path.is_file()}
    vectors = {path: by_hash[sha256] for path, sha256 in hashes.items() if sha256 in by_hash}
    yield from outliers(vectors, labels)


def _labels(catalogue: Catalogue, datasets: Iterable[Path]) -> dict[Path, str]:
    """Return the classes of the pictures that a trainer may have seen: the datasets', or else the folder's own."""
    found: dict[Path, str] = {}
    for dataset in datasets:
        try:
            positive = json.loads((dataset / DATASET).read_bytes()).get("positive")
        except (OSError, ValueError, AttributeError):
            positive = None
        rows = ((dataset / str(row.get("file_name")), str(row.get("label"))) for row in metadata(dataset))
        # Whatever is not a pizza is unlike all the rest that is none.
        found |= {path: label for path, label in rows if positive in {None, label}}
    return found or {one.shown: one.label for one in catalogue.pictures}


def _tenth(distances: "np.ndarray[Any, np.dtype[np.float32]]") -> "np.ndarray[Any, np.dtype[np.float32]]":
    # The nearest of all is the picture itself.
    return np.partition(distances, 10, axis=1)[:, 10]


def find(catalogue: Catalogue) -> list[Suspicion]:
    """Return what lies at hand without being named: manifests, the builds made of these pictures, the newest runs.

    Builds are looked for in the dataset itself or in ``built`` beside a folder ``raw``, runs and the features that they
    keep in ``runs`` beside ``data``, the newest of each name.
    """
    found = list(from_manifests(catalogue))
    raw, datasets, house = _surroundings(catalogue)
    if raw:
        for dataset in datasets:
            found += from_build(dataset, raw)
    newest = {path.parent.parent: path.parent for path in sorted(house.glob(f"*/*/{PREDICTIONS}")) if _done(path)}
    for run in newest.values():
        found += from_run(run)
    if (house / FEATURES).is_dir():
        found += from_features(_labels(catalogue, datasets), house / FEATURES)
    return found


def _surroundings(catalogue: Catalogue) -> tuple[Path | None, list[Path], Path]:
    """Return the raw folder, the datasets made of it, and the folder of runs at hand."""
    root, named = catalogue.root, catalogue.named
    raw = catalogue.raw or (root.parent if catalogue.form == "class folder" else None)
    house = named.parent if catalogue.form == "class folders" else named.parent.parent
    if catalogue.form == "dataset":
        datasets = [root]
    else:
        datasets = sorted(path.parent for path in (house / "built").glob(f"*/{METADATA}"))
    return raw, datasets, house.parent / "runs"


def match(catalogue: Catalogue, suspicions: Iterable[Suspicion]) -> dict[int, list[tuple[Suspicion, int]]]:
    """Return the findings of each picture, strongest first and one per reason, with the index of the twin or -1.

    A path that names no picture of the catalogue is tried as a dataset's file, whose metadata.jsonl names the source,
    and then by its name, when that is the beginning of a SHA-256; what remains is about other pictures.
    """
    known = _Names(catalogue)
    found: dict[int, dict[str, tuple[Suspicion, int]]] = defaultdict(dict)
    for one in suspicions:
        index = known.index(one.file)
        if index < 0:
            continue
        twin = known.index(one.twin) if one.twin else -1
        before = found[index].get(one.reason)
        if before is None or one.score > before[0].score:
            found[index][one.reason] = (one, twin if twin != index else -1)
    return {index: sorted(reasons.values(), key=lambda pair: -pair[0].score) for index, reasons in found.items()}


def suspicion(scores: Iterable[float]) -> float:
    """Return how suspicious a picture is on all its findings: no less than on the worst, and never above 1."""
    innocent = 1.0
    for score in scores:
        innocent *= 1 - min(max(score, 0.0), 1.0)
    return 1 - innocent


class _Names:
    """Every name under which a picture may turn up."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.paths = catalogue.by_path()
        self.stems: dict[str, int] = {}
        self.tails: dict[str, int] = {}
        for index, picture in enumerate(catalogue.pictures):
            for name in (picture.shown, *(place.path for place in picture.places)):
                self.tails.setdefault(f"{name.parent.name}/{name.name}", index)
                if _is_hash(name.stem):
                    self.stems.setdefault(name.stem, index)
        self._sources: dict[Path, dict[str, str]] = {}

    def index(self, path: Path) -> int:
        """Return the index of the picture that ``path`` names, or -1."""
        found = self.paths.get(path, -1)
        if found < 0:
            found = self.paths.get(_folder(path.parent) / path.name, -1)
        if found >= 0:
            return found
        source = self._source(path)
        return self.tails[source] if source in self.tails else self.stems.get(path.stem, -1)

    def _source(self, path: Path) -> str:
        """Return what a dataset says a file of it was made of; empty when it names itself by its bytes anyway."""
        if len(path.parents) < 3 or path.stem in self.stems:
            return ""
        dataset = path.parents[2]
        if dataset not in self._sources:
            self._sources[dataset] = {
                str(row.get("file_name")): str(row.get("source", "")) for row in metadata(dataset)
            }
        return self._sources[dataset].get(path.relative_to(dataset).as_posix(), "")


@lru_cache(maxsize=4096)
def _folder(path: Path) -> Path:
    return path.resolve()


def _is_hash(stem: str) -> bool:
    return len(stem) == 16 and all(letter in "0123456789abcdef" for letter in stem)
