"""ImageNet: pictures in folders, or with names, that say their synsets; and what the synsets are called."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from dataset.errors import TrayError
from dataset.importers.labelled import Labelled, address, official_split, read_file
from dataset.importers.labels import safe_name
from dataset.importers.pictures import picture_files
from dataset.importers.tables import read_json, rows

SYNSET: Final = re.compile(r"n\d{8}")
NAMES: Final = ("LOC_synset_mapping.txt", "imagenet_class_index.json", "synset_words.txt", "words.txt")
SOLUTION: Final = "LOC_val_solution.csv"


def imagenet(source: Path, *, names: Path | None = None) -> Iterator[Labelled]:
    """Yield the pictures of ``n01440764/*.JPEG`` or ``n01440764_tench.jpg`` under the first name of their synset.

    ``names`` is a list such as ``LOC_synset_mapping.txt`` or ``imagenet_class_index.json``, by default the one in
    ``source`` or beside it; without one, a synset's number is its label. Two synsets of one name get their numbers
    added. Validation pictures are looked up in ``LOC_val_solution.csv``.
    """
    if not source.is_dir():
        raise TrayError(f"Expected a folder of ImageNet's pictures. Received: {source}, which is not a folder.")
    places = [folder / name for folder in (source, source.parent) for name in NAMES]
    listed = names or next((path for path in places if path.is_file()), None)
    called = _names(listed) if listed else {}
    answers = _answers(source)
    for path in picture_files(source):
        synset = _synset(path, source) or answers.get(path.stem, "")
        folders = path.relative_to(source).parent.parts
        yield Labelled(
            called.get(synset, synset),
            address(path),
            partial(read_file, path),
            split=next((official_split(folder) for folder in folders if official_split(folder)), ""),
            error="" if synset else "no synset in its folder or name",
        )


def _synset(path: Path, source: Path) -> str:
    for folder in reversed(path.relative_to(source.parent).parent.parts):
        if SYNSET.fullmatch(folder):
            return folder
    match = SYNSET.match(path.name)
    return match[0] if match else ""


def _names(path: Path) -> dict[str, str]:
    """Return names by synsets; those that two synsets share, by case or not, with the synset's number."""
    if path.suffix == ".json":
        pairs = [tuple(value) if isinstance(value, list) else (key, value) for key, value in read_json(path).items()]
    else:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TrayError(f"Expected a list of synsets at {path}. Received: {error}. Name another file.") from error
        pairs = [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]
    names = {
        pair[0]: str(pair[1]).split(",")[0].strip()
        for pair in pairs
        if len(pair) == 2 and SYNSET.fullmatch(str(pair[0]))
    }
    if not names:
        raise TrayError(f"Expected lines such as 'n01440764 tench' in {path}, and there is none. Name another file.")
    shared = Counter(safe_name(name).lower() for name in names.values())
    return {key: f"{name} {key}" if shared[safe_name(name).lower()] > 1 else name for key, name in names.items()}


def _answers(source: Path) -> dict[str, str]:
    """Return the synsets of the validation pictures by their names, where Kaggle's table of them is at hand."""
    for path in (source / SOLUTION, source.parent / SOLUTION):
        if path.is_file():
            return {
                row["ImageId"]: row["PredictionString"].split(" ")[0]
                for _, row in rows(path, "ImageId", "PredictionString")
            }
    return {}
