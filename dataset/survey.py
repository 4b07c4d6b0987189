"""What a folder of pictures holds, in one form for raw class folders and for built datasets."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
from PIL import Image

from dataset.duplicates import components
from dataset.errors import TrayError
from dataset.folder import DATASET, MANIFEST, SAME_BITS, Record, pictures, records
from dataset.images import look, phash, to_jpeg
from dataset.origin import source_of, staleness
from dataset.quality import flags, measure
from dataset.review.catalogue import METADATA, SPLITS, json_lines
from dataset.review.verdicts import read_verdicts
from dataset.tray import Build
from dataset.workers import WORKERS

REJECTED: Final = "rejected.jsonl"
LOOKED: Final = 4000
"""Raw pictures that are decoded at most; of the others only the header is read."""
THUMBNAIL: Final = 120
"""Longer side of a thumbnail in pixels."""
FLAT: Final = frozenset({"near uniform"})
"""Flags of pictures whose perceptual hash says nothing."""
DUPLICATES: Final = frozenset({"duplicate bytes", "near duplicate", "thumbnail of a picture that is there"})
AS_EVER: Final = Build()
"""The settings of a build that nobody has set."""
_FORMATS: Final = {"JPG": "JPEG", "TIF": "TIFF"}

Form = Literal["class folder", "class folders", "dataset"]
T = TypeVar("T")
Place = Callable[[str], Path | None]


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the folder."""

    path: Path
    name: str
    """Path below the folder of class folders that it came from."""
    label: str
    split: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    bytes: int = 0
    kind: str = ""
    engines: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    page: str = ""
    title: str = ""
    sha256: str = ""
    phash: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """One picture that was rejected, and why."""

    label: str
    reason: str
    name: str = ""
    """Path below the folder of class folders; empty when there never was a file."""
    path: Path | None = None
    """A file that shows it: itself, or for a duplicate the picture that it repeats."""
    url: str = ""
    page: str = ""
    title: str = ""
    engine: str = ""
    term: str = ""
    kept: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One picture in a comparison; ``path`` is None when the file is not at hand."""

    name: str
    label: str
    path: Path | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Copies:
    """Near-duplicates: the one that is kept, and its copies with the reason for each."""

    kept: Side
    copies: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What one small decode showed of a file; ``thumbnail`` is a JPEG, empty when the file can't be read."""

    error: str = ""
    thumbnail: bytes = b""
    format: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    sha256: str = ""
    phash: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that a report tells of one folder."""

    root: Path
    form: Form
    labels: tuple[str, ...]
    pictures: tuple[Shown, ...]
    refused: tuple[Refused, ...]
    copies: tuple[Copies, ...]
    conflicts: tuple[tuple[Side, ...], ...]
    """Files of different classes that show one picture."""
    looked: int = 0
    """Pictures that were decoded, so that flags are known of them; all those of a dataset."""
    gone: int = 0
    """Pictures that a manifest or metadata names and that are no longer there."""
    reviewed: Mapping[str, int] = field(default_factory=dict)
    """Decisions of a person, by verdict."""
    stale: tuple[str, ...] = ()
    """What has changed among the raw pictures since a dataset was built, in words."""
    described: Mapping[str, Any] = field(default_factory=dict)
    """What dataset.json says."""
    thumbnails: Mapping[Path, bytes] = field(default_factory=dict)
    """Small JPEGs that came off on the way."""


def survey(folder: Path, settings: Build = AS_EVER) -> Survey:
    """Return what a class folder, a folder of class folders or a built dataset holds.

    Raw pictures are flagged by the limits of ``settings``; a dataset knows its own flags. Raises
    TrayError when there is nothing in it to tell of.
    """
    if not folder.is_dir():
        raise TrayError(
            f"Expected a folder with pictures. Received: {folder}, which is not a folder. Name another folder."
        )
    root = folder.resolve()
    try:
        found = _built(root) if (root / METADATA).is_file() else None
        found = found or _raw(root, settings)
    except OSError as error:
        raise TrayError(
            f"Expected to read {folder}. Received: {error.strerror or error}. Mend its rights and try again."
        ) from error
    except (ValueError, TypeError) as error:
        raise TrayError(
            f"Expected a JSON object on each line of {MANIFEST} in {folder}. Received: {error}. Take that line out."
        ) from error
    if not found.pictures and not found.refused:
        raise TrayError(
            f"Expected a class folder (such as data/raw/pizza), a folder of class folders (data/raw) or a built "
            f"dataset (data/built/pizza). Received: {folder}, with no picture and no manifest in it. "
            f"Name another folder."
        )
    return found


# Raw class folders


def _raw(root: Path, settings: Build) -> Survey:
    rows, form = _class_rows(root)
    shown: list[Shown] = []
    refused: list[Refused] = []
    gone = 0
    said: Counter[str] = Counter()
    for label, split, folder in rows:
        here, away, missing = _read_class(folder, label, split, root)
        shown += here
        refused += away
        gone += missing
        said.update(one.verdict for one in read_verdicts(folder).values())
    looks = _look_at(shown, settings)
    shown, spoilt = _with_looks(shown, looks)
    copies, conflicts = _twins(shown)
    return Survey(
        root,
        form,
        tuple(dict.fromkeys(label for label, _, _ in rows)),
        tuple(shown),
        (*spoilt, *refused),
        tuple(copies),
        tuple(conflicts),
        looked=sum(not one.error for one in looks.values()),
        gone=gone,
        reviewed=dict(sorted(said.items())),
        thumbnails={path: one.thumbnail for path, one in looks.items() if one.thumbnail},
    )


def _class_rows(root: Path) -> tuple[list[tuple[str, str, Path]], Form]:
    """Return label, split and path of each class folder, and which form the folder has."""
    inside = _subfolders(root)
    if inside and not inside.keys() - set(SPLITS):
        parts = [
            (name, split, path)
            for split in SPLITS
            if split in inside
            for name, path in _subfolders(inside[split]).items()
            if _is_class(path)
        ]
        if parts:
            return sorted(parts, key=lambda part: part[0]), "class folders"
    rows = [(name, "", path) for name, path in inside.items() if _is_class(path)]
    return (rows, "class folders") if rows else ([(root.name, "", root)], "class folder")


def _subfolders(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def _is_class(folder: Path) -> bool:
    return (folder / MANIFEST).exists() or next(pictures(folder), None) is not None


def _read_class(folder: Path, label: str, split: str, root: Path) -> tuple[list[Shown], list[Refused], int]:
    """Return the pictures of one class folder, what its manifest rejected, and how many of its files are gone."""
    known: dict[str, Record] = {}
    rejected = []
    for record in records(folder):
        if record.kept:
            known[record.file] = record
        else:
            rejected.append(record)
    base = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    shown = [_from_record(path, f"{base}{path.name}", label, split, known.get(path.name)) for path in pictures(folder)]
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


def look_at(path: Path, settings: Build = AS_EVER) -> Look:
    """Return what one small decode shows of a file, by the limits of ``settings``; never raises for a bad one."""
    try:
        size = path.stat().st_size
        if size > settings.max_bytes:
            return Look("too many bytes", bytes=size)
        data = path.read_bytes()
    except OSError as error:
        return Look(f"unreadable: {error.strerror}")
    info, small = look(data, max_pixels=settings.max_pixels, max_bytes=settings.max_bytes, min_side=1)
    if small is None:
        return Look(info.error or "damaged", bytes=size, sha256=info.sha256)
    measures = measure(small, info, size=size)
    return Look(
        "",
        thumbnail(small),
        info.format,
        info.width,
        info.height,
        size,
        info.sha256,
        phash(small),
        tuple(flags(info, measures, settings.checks)),
    )


def thumbnail(image: Image.Image) -> bytes:
    """Return an RGB picture as a small JPEG."""
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
    return to_jpeg(small, quality=72)


def _look_at(shown: Sequence[Shown], settings: Build) -> dict[Path, Look]:
    """Return what was seen of the pictures, or of an even choice of them where there are too many."""
    chosen = evenly(shown, LOOKED)
    with ThreadPoolExecutor(WORKERS) as threads:
        looks = threads.map(partial(look_at, settings=settings), (one.path for one in chosen))
        return dict(zip((one.path for one in chosen), looks, strict=True))


def evenly(row: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of a row's elements, in equal steps."""
    if len(row) <= most:
        return list(row)
    return [row[number * len(row) // most] for number in range(most)]


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


def _twins(shown: Sequence[Shown]) -> tuple[list[Copies], list[tuple[Side, ...]]]:
    """Return the groups of copies within a class, and the files of two classes and more that show one picture."""
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
        if a < b and shown[a].label != shown[b].label
    ]
    by_name = {one.name: one for one in shown}
    return groups, [tuple(_side(by_name[name]) for name in names) for names in _together(clashes)]


def _together(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return names that hang together in groups, each sorted."""
    pairs = list(pairs)
    groups: dict[str, list[str]] = defaultdict(list)
    for name, key in components(sorted({name for pair in pairs for name in pair}), pairs).items():
        groups[key].append(name)
    return sorted(sorted(names) for names in groups.values())


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


# Built datasets


def _built(root: Path) -> Survey | None:
    """Return what a built dataset holds; None when there is nothing of one."""
    rows = list(json_lines(root / METADATA))
    described = _described(root)
    away = list(json_lines(root / REJECTED))
    raw = source_of(root)
    names = {str(row.get("source", "")).split("/")[0] for row in (*rows, *away)} - {"", ".", ".."}
    known = {f"{name}/{one.file}": one for name in sorted(names) if raw for one in records(raw / name) if one.kept}
    shown = []
    of_source: dict[str, Shown] = {}
    for row in rows:
        path = root / str(row.get("file_name", ""))
        if not path.is_file() or not path.resolve().is_relative_to(root):
            continue
        one = _from_row(path, row, known.get(str(row.get("source", ""))))
        shown.append(one)
        of_source[one.name] = one
    if not shown and not away:
        return None

    def place(source: str) -> Path | None:
        if source in of_source:
            return of_source[source].path
        path = (raw / source).resolve() if raw and source else None
        return path if path and raw and path.is_relative_to(raw) and path.is_file() else None

    drawn_on = _drawn_on(described)
    refused = [_refused_row(row, place, known.get(str(row.get("source", ""))), drawn_on) for row in away]
    counted = dict.fromkeys([*_texts(described.get("class_names")), *sorted({one.label for one in shown})])
    return Survey(
        root,
        "dataset",
        tuple(counted),
        tuple(shown),
        tuple(refused),
        tuple(_built_copies(refused, of_source, place)),
        tuple(_built_conflicts(refused, place)),
        looked=len(shown),
        gone=len(rows) - len(shown),
        stale=staleness(root),
        described=described,
    )


def _described(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / DATASET).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_row(path: Path, row: Mapping[str, Any], record: Record | None) -> Shown:
    source = str(row.get("source") or row.get("file_name"))
    suffix = Path(source).suffix.lstrip(".").upper()
    engines, terms, pages, said = (_texts(row.get(key)) for key in ("engines", "terms", "pages", "flags"))
    return Shown(
        path, source, str(row.get("label") or path.parent.name), str(row.get("split") or ""),
        _number(row.get("width")), _number(row.get("height")),
        record.format if record and record.format else _FORMATS.get(suffix, suffix), path.stat().st_size,
        record.kind if record else "", engines, terms, pages[0] if pages else "", record.title if record else "",
        str(row.get("sha256") or ""), "", said,
    )  # fmt: skip


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, list) else ()


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _drawn_on(described: Mapping[str, Any]) -> dict[str, str]:
    """Return for each class folder which class of the dataset draws on it."""
    sources = described.get("sources")
    found: dict[str, str] = {}
    for label, kinds in sources.items() if isinstance(sources, dict) else ():
        for kind in kinds if isinstance(kinds, list) else ():
            found |= {name: label for name in _texts(kind) if name not in found}
    return found


def _refused_row(row: Mapping[str, Any], place: Place, record: Record | None, drawn_on: Mapping[str, str]) -> Refused:
    source, reason = str(row.get("source") or ""), str(row.get("reason") or "not said")
    label = str(row.get("label") or source.split("/", maxsplit=1)[0])
    one = record or Record(url="")
    return Refused(
        drawn_on.get(label, label), reason, source, place(source), one.url, one.page, one.title, one.engine, one.term,
        str(row.get("kept") or ""), str(row.get("detail") or ""),
    )  # fmt: skip


def _built_copies(refused: Iterable[Refused], of_source: Mapping[str, Shown], place: Place) -> Iterator[Copies]:
    groups: dict[str, list[Refused]] = defaultdict(list)
    for one in refused:
        if one.reason in DUPLICATES and one.kept:
            groups[one.kept].append(one)
    for source, copies in sorted(groups.items()):
        kept = of_source.get(source)
        where = f"kept, in {kept.split or 'the dataset'}" if kept else "kept; not drawn for this dataset"
        size = f"{kept.width}x{kept.height}" if kept and kept.width else ""
        yield Copies(
            Side(source, copies[0].label, place(source), "; ".join(text for text in (size, where) if text)),
            tuple(Side(one.name, one.label, one.path, one.detail or "the same bytes") for one in copies),
        )


def _built_conflicts(refused: Iterable[Refused], place: Place) -> Iterator[tuple[Side, ...]]:
    pairs = [(one.name, one.kept) for one in refused if one.reason == "conflict" and one.kept and one.name]
    for names in _together(pairs):
        yield tuple(Side(name, name.split("/")[0], place(name)) for name in names)
