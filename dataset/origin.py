"""Where the raw pictures of a built dataset lie, and whether they are still those that it was built from."""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dataset.folder import DATASET, REVIEW, holds_pictures, pictures, records, subfolders
from dataset.review.verdicts import read_verdicts
from dataset.tray import BACKGROUND, MULTICLASS, ClassPlan, Tray, class_plans

log: Final = logging.getLogger("tray")
RAW = "raw"
MADE_BY = "tray build"


@dataclass(frozen=True, slots=True)
class Raw:
    """What lay in a class folder at one moment."""

    sizes: Mapping[str, int]
    """Bytes of each picture, by its name, in the order of names."""
    verdicts: bytes
    """What a person had said of them; empty when nothing."""


def raw(folder: Path) -> Raw:
    """Return what lies in a class folder now."""
    said = folder / REVIEW
    return Raw(
        {path.name: path.stat().st_size for path in pictures(folder)}, said.read_bytes() if said.exists() else b""
    )


def origin(root: Path, found: Mapping[str, Raw], *, out: Path) -> dict[str, Any]:
    """Return what dataset.json says of the class folders that a dataset in ``out`` is built from.

    ``found`` is what lay in them when the build listed them: what came later is in no dataset yet.

    The address is relative, so that the house can be moved as a whole; what is said of the pictures changes with their
    names and sizes and with what a person said of them, not with their times.
    """
    return {"source": os.path.relpath(root.resolve(), out.resolve()), "made_of": _made_of(found)}


def source_of(dataset: Path) -> Path | None:
    """Return the folder of class folders that a dataset was built from, or None where that is no longer found.

    It is looked for where dataset.json says; then, when the dataset was moved, below the folders above it; then beside
    the folder of datasets. A folder counts when one of the dataset's class folders is in it.
    """
    described = _described(dataset)
    named = described.get("source")
    root = dataset.resolve()
    places = []
    if isinstance(named, str) and named:
        inner = Path(*[part for part in Path(named).parts if part not in {"..", "/"}])
        places = [root / named, *(above / inner for above in root.parents if inner.parts)]
    places.append(root.parent.parent / RAW)
    names = list(_drawn_on(described))
    for place in places:
        if any((place / name).is_dir() for name in names) or (not names and place.is_dir()):
            return place.resolve()
    return None


def is_built(folder: Path) -> bool:
    """Return whether a folder is a dataset that a build has finished."""
    return _described(folder).get("made_by") == MADE_BY


def led_to(raw: Path, source: str) -> Path | None:
    """Return the file below the folder of raw pictures that a path leads to; None when it leads nowhere or out of it.

    ``raw`` is absolute and without links.
    """
    try:
        path = (raw / source).resolve()
        return path if path.is_relative_to(raw) and path.is_file() else None
    except (OSError, RuntimeError):
        # A link that leads to itself.
        return None


def staleness(dataset: Path) -> tuple[str, ...]:
    """Return what has changed among a dataset's raw pictures since it was built, in words; nothing when nothing has.

    Nothing too where the raw pictures are not at hand, or the dataset does not say what it was made of.
    """
    described, root = _described(dataset), source_of(dataset)
    before = described.get("made_of")
    if root is None or not isinstance(before, dict):
        return ()
    now = _made_of({name: raw(root / name) for name in _drawn_on(described) if (root / name).is_dir()})
    more = now["pictures"] - before["pictures"] if isinstance(before.get("pictures"), int) else 0
    changed = []
    if more:
        changed.append(f"{abs(more):,} {'more' if more > 0 else 'fewer'} raw picture{'s' * (abs(more) != 1)}")
    elif now["files"] != before.get("files"):
        changed.append("other raw pictures")
    if now["verdicts"] != before.get("verdicts"):
        changed.append("new verdicts of the review")
    return tuple(changed)


def tell_if_outdated(dataset: Path, tray: Tray | None = None) -> None:
    """Say what a dataset lacks of its raw pictures, and of the items of its tray, before it is used."""
    if changed := outdated(dataset, tray) if tray else staleness(dataset):
        log.warning("%s is outdated (%s): tray build makes it anew.", dataset, "; ".join(changed))


def outdated(dataset: Path, tray: Tray) -> tuple[str, ...]:
    """Return in words what a dataset of a tray lacks of its raw pictures and of the items that it has today.

    Nothing where it has all, and for a folder that no build has made.
    """
    described = _described(dataset)
    drawn, positive = set(_drawn_on(described)), described.get("positive")
    if not drawn:
        return ()
    asked = {*tray.items, *((BACKGROUND, f"not_{positive}") if positive else ())}
    known = _raw_names(tray)
    come = sorted(name for name in asked - drawn if (tray.raw / name).is_dir() and holds_pictures(tray.raw / name))
    gone = sorted(drawn - known)
    return (
        *staleness(dataset),
        *(f"pictures of {name}" for name in come),
        *(f"no item {name} any more" for name in gone),
    )


def itemless(folder: Path, tray: Tray) -> list[Path]:
    """Return the class folders (in ``tray.raw``) or datasets (in ``tray.built``) that are of no item of a tray."""
    if folder == tray.raw:
        known, counts = _raw_names(tray), holds_pictures
    else:
        known, counts = {*tray.items, *([MULTICLASS] if len(tray.items) > 1 else [])}, is_built
    there = subfolders(folder) if folder.is_dir() else []
    return [path for path in there if path.name not in known and counts(path)]


def tell_if_renamed(tray: Tray, plans: Iterable[ClassPlan]) -> None:
    """Say which class folders are of no item, before the pictures of what may have a new name are fetched anew."""
    fresh = [plan.name for plan in plans if not (tray.raw / plan.name).is_dir()]
    if fresh and (unused := itemless(tray.raw, tray)):
        log.warning(
            "No item of %s has the name of %s. Where %s is a new name of what lies there, stop and rename the folder "
            "too: else all of it is searched for anew.",
            tray.file, ", ".join(map(str, unused)), " or ".join(map(repr, fresh)),
        )  # fmt: skip


def moved_terms(tray: Tray) -> Iterator[tuple[str, str, tuple[str, ...], int]]:
    """Yield a class folder, the class that asks for some of its terms today, these terms, and their pictures there.

    Pictures on which a person has decided are not counted.
    """
    asked = {plan.name: plan.terms for plan in class_plans(tray)}
    owners = {term: name for name, terms in asked.items() for term in terms}
    for name, terms in asked.items():
        folder = tray.raw / name
        there = {path.name for path in pictures(folder)} - read_verdicts(folder).keys() if folder.is_dir() else set()
        found: dict[str, list[str]] = defaultdict(list)
        for record in records(folder):
            if record.file in there and record.term not in terms and record.term in owners:
                found[owners[record.term]].append(record.term)
        for owner, mine in sorted(found.items()):
            yield name, owner, tuple(sorted(set(mine))), len(mine)


def _raw_names(tray: Tray) -> set[str]:
    """Return the class folders that a tray's datasets draw on where they are there."""
    return {*tray.items, *(f"not_{item}" for item in tray.items), BACKGROUND}


def _made_of(found: Mapping[str, Raw]) -> dict[str, Any]:
    """Return how many files the class folders hold, and digests of them and of the verdicts on them."""
    files, verdicts, count = hashlib.sha256(), hashlib.sha256(), 0
    for name, one in sorted(found.items()):
        for file, size in one.sizes.items():
            files.update(f"{name}/{file} {size}\n".encode("utf-8", "surrogateescape"))
        count += len(one.sizes)
        if one.verdicts:
            verdicts.update(name.encode() + one.verdicts)
    return {"pictures": count, "files": files.hexdigest()[:16], "verdicts": verdicts.hexdigest()[:16]}


def _described(dataset: Path) -> dict[str, Any]:
    try:
        found = json.loads((dataset / DATASET).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _drawn_on(described: Mapping[str, Any]) -> Iterator[str]:
    """Yield the class folders that a dataset draws on."""
    sources = described.get("sources")
    for kinds in sources.values() if isinstance(sources, dict) else ():
        for kind in kinds if isinstance(kinds, list) else ():
            yield from (name for name in kind if isinstance(name, str) and Path(name).name == name)
