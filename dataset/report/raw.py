"""What raw class folders hold: files and manifests, what can be seen of them, and which repeat each other."""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from dataset.folder import SAME_BITS, Record, pictures, records
from dataset.layout import LabelledFolder, lying_in
from dataset.progress import Progress
from dataset.report.holdings import Copies, Refused, Shown, Side, Survey, evenly, together
from dataset.report.looks import Look, look_at
from dataset.review.verdicts import Verdict, read_verdicts
from dataset.tray import Build
from dataset.workers import HERE

LOOKED: Final = 4000
"""Pictures whose hash a manifest tells are decoded up to so many, and so many thumbnails are held."""
FLAT: Final = frozenset({"near uniform"})
"""Flags of pictures whose perceptual hash says nothing."""


def raw(root: Path, settings: Build) -> Generator[Progress, None, Survey]:
    """Return what a class folder or a folder of class folders holds, flagged by the limits of ``settings``.

    Yields Progress while it looks at the pictures.
    """
    parts, form = lying_in(root)
    shown: list[Shown] = []
    refused: list[Refused] = []
    gone = 0
    labels = tuple(dict.fromkeys(part.label for part in parts))
    reviewed: Counter[str] = Counter()
    said: dict[Path, Verdict] = {}
    for part in parts:
        here, away, missing = _read_class(part, root)
        shown += here
        refused += away
        gone += missing
        verdicts = read_verdicts(part.path)
        reviewed.update(one.verdict for one in verdicts.values())
        said |= {part.path / file: one for file, one in verdicts.items()}
    looks = yield from _look_at(shown, settings)
    shown, spoilt = _with_looks(shown, looks)
    shown = [replace(one, verdict=said[one.path].verdict) if one.path in said else one for one in shown]
    copies, conflicts = _twins(list(_as_said(shown, said, labels)))
    return Survey(
        root,
        form,
        labels,
        tuple(shown),
        (*spoilt, *refused),
        tuple(copies),
        tuple(conflicts),
        looked=sum(not one.error for one in looks.values()),
        gone=gone,
        reviewed=dict(sorted(reviewed.items())),
        thumbnails={path: one.thumbnail for path, one in looks.items() if one.thumbnail},
    )


def _read_class(part: LabelledFolder, root: Path) -> tuple[list[Shown], list[Refused], int]:
    """Return the pictures of one class folder, what its manifest rejected, and how many of its files are gone."""
    label, folder = part.label, part.path
    known: dict[str, Record] = {}
    rejected = []
    for record in records(folder):
        if record.kept:
            known[record.file] = record
        else:
            rejected.append(record)
    base = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    shown = [
        _from_record(path, f"{base}{path.name}", label, part.split, known.get(path.name)) for path in pictures(folder)
    ]
    files = {one.path.name for one in shown}
    refused = [
        Refused(
            label,
            one.error or "not kept",
            path=folder / one.copy_of if one.copy_of in files else None,
            url=one.url,
            page=one.page,
            title=one.title,
            engine=one.engine,
            term=one.term,
            kept=f"{base}{one.copy_of}" if one.copy_of else "",
            detail=", ".join(dict.fromkeys(one.failures)) if one.failures else "",
        )
        for one in rejected
    ]
    return shown, refused, len(known.keys() - files)


def _from_record(path: Path, name: str, label: str, split: str, record: Record | None) -> Shown:
    if record is None:
        return Shown(path, name, label, split)
    return Shown(
        path, name, label, split or record.split, record.width, record.height, record.format, record.bytes,
        record.kind, _some(record.engine), _some(record.term), record.page, record.title, record.sha256, record.phash,
    )  # fmt: skip


def _some(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


# Looking at files


def _look_at(shown: Sequence[Shown], settings: Build) -> Generator[Progress, None, dict[Path, Look]]:
    """Return what was seen of the pictures, or of an even choice of those whose hash a manifest tells.

    Which of the others repeat each other is known by their looks alone.
    """
    chosen = [one.path for one in shown if not one.phash]
    chosen += [one.path for one in evenly([one for one in shown if one.phash], LOOKED)]
    held = set(evenly(chosen, LOOKED))
    looks: dict[Path, Look] = {}
    each = HERE.map(lambda path: look_at(path, settings, pictured=path in held), chosen)
    for path, seen in zip(chosen, each, strict=True):
        looks[path] = seen
        yield Progress("look", len(looks), len(chosen))
    return looks


def _with_looks(shown: Sequence[Shown], looks: Mapping[Path, Look]) -> tuple[list[Shown], list[Refused]]:
    """Return the pictures with what was seen of them, and those that can't be read as refused."""
    good, spoilt = [], []
    for one in shown:
        seen = looks.get(one.path) or _header(one)
        if seen.error:
            spoilt.append(
                Refused(
                    one.label,
                    seen.error,
                    one.name,
                    page=one.page,
                    title=one.title,
                    engine=", ".join(one.engines),
                    term=", ".join(one.terms),
                    detail="the file is there",
                )
            )
            continue
        good.append(
            replace(
                one,
                width=one.width or seen.width,
                height=one.height or seen.height,
                format=one.format or seen.format,
                bytes=seen.bytes or one.bytes,
                sha256=one.sha256 or seen.sha256,
                phash="" if FLAT.intersection(seen.flags) else (one.phash or seen.phash),
                flags=seen.flags,
            )
        )
    return good, spoilt


def _header(one: Shown) -> Look:
    """Return what the manifest or, without one, the first bytes of a file say."""
    try:
        size = one.path.stat().st_size
        if one.width and one.format:
            return Look(bytes=size)
        with Image.open(one.path) as image:
            return Look(format=image.format or "", width=image.width, height=image.height, bytes=size)
    except Exception:  # noqa: BLE001 - decoders raise whatever they like
        return Look("not an image")


# Which pictures repeat each other


def _as_said(shown: Iterable[Shown], said: Mapping[Path, Verdict], labels: Sequence[str]) -> Iterator[Shown]:
    """Yield the pictures that a person has not thrown out, each with the class that a build takes it for."""
    for one in shown:
        if one.verdict == "relabel" and said[one.path].label in labels:
            yield replace(one, label=said[one.path].label)
        elif one.verdict in {"", "keep"}:
            yield one


def _twins(shown: Sequence[Shown]) -> tuple[list[Copies], list[tuple[Side, ...]]]:
    """Return the groups of copies within a class, and the files of two classes and more that show one picture.

    Where a person has confirmed the class of one alone, there is nothing left to decide.
    """
    near: dict[int, dict[int, int]] = defaultdict(dict)
    for a, b, bits in _pairs(shown):
        near[a][b] = near[b][a] = bits
    order = sorted(near, key=lambda n: (-shown[n].width * shown[n].height, -shown[n].bytes, shown[n].name))
    taken: set[int] = set()
    groups = []
    for n in order:
        if n in taken:
            continue
        mine = sorted(
            (other for other in near[n] if other not in taken and shown[other].label == shown[n].label),
            key=lambda other: shown[other].name,
        )
        taken.update((n, *mine))
        if mine:
            copies = tuple(_side(shown[other], _how(near[n][other])) for other in mine)
            groups.append(
                Copies(_side(shown[n], "most pixels: a build keeps this one, unless it is but enlarged"), copies)
            )
    groups.sort(key=lambda group: (group.kept.label, group.kept.name))
    clashes = [
        (shown[a].name, shown[b].name)
        for a, others in near.items()
        for b in others
        if a < b and shown[a].label != shown[b].label and bool(shown[a].verdict) == bool(shown[b].verdict)
    ]
    by_name = {one.name: one for one in shown}
    return groups, [tuple(_side(by_name[name]) for name in names) for names in together(clashes)]


def _how(bits: int) -> str:
    return "the same bytes" if bits < 0 else f"{bits} of 256 bits apart"


def _side(one: Shown, note: str = "") -> Side:
    size = f"{one.width}x{one.height}" if one.width else ""
    return Side(one.name, one.label, one.path, "; ".join(text for text in (size, note) if text))


def _pairs(shown: Sequence[Shown]) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of indices whose pictures look the same and the bits between them, -1 for the same bytes."""
    first: dict[str, int] = {}
    rows = []
    for n, one in enumerate(shown):
        if one.sha256 and one.sha256 in first:
            yield first[one.sha256], n, -1
            if shown[first[one.sha256]].label == one.label:
                continue
        elif one.sha256:
            first[one.sha256] = n
        if one.phash:
            rows.append(n)
    if not rows:
        return
    hashes = np.array([np.frombuffer(bytes.fromhex(shown[n].phash), np.uint64) for n in rows])
    for at in range(len(rows) - 1):
        bits = np.bitwise_count(hashes[at + 1 :] ^ hashes[at]).sum(axis=1, dtype=np.int32)
        for after in np.flatnonzero(bits <= SAME_BITS):
            a, b = rows[at], rows[at + 1 + int(after)]
            if not shown[a].sha256 or shown[a].sha256 != shown[b].sha256:
                yield a, b, int(bits[after])
