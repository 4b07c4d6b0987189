"""From labelled pictures to class folders: safe names, true bytes, one manifest line each, resumable."""

import inspect
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dataset.errors import ConfigError, TrayError, did_you_mean
from dataset.folder import ClassFolder, Record
from dataset.images import look
from dataset.importers.labelled import Labelled, crop
from dataset.importers.labels import coarser, safe_name
from dataset.progress import Progress
from dataset.tray import MIN_SIDE

log: Final = logging.getLogger("tray")
Reader = Callable[..., Iterator[Labelled]]
"""From a source, and options by name, to its labelled pictures."""
OPEN: Final = 100
"""Class folders held open at once; each takes two file handles of the 1,024 that a process usually has."""
DUPLICATE: Final = "duplicate bytes"


@dataclass(frozen=True, slots=True)
class Unread:
    """A picture of the source that did not become one of ours, and why."""

    source: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought."""

    out: Path
    classes: dict[str, int]
    """Pictures of this source by class folder, those of earlier runs included."""
    splits: dict[str, int]
    """The same pictures by the source's own split; ``""`` for those without."""
    added: int
    """Pictures that this run wrote."""
    duplicates: int
    """Pictures whose very bytes the class folder had already, and pictures that the source names twice."""
    left_out: int
    """Pictures that the table of labels or ``split`` leaves out."""
    small: int
    """Pictures smaller than a build takes by default."""
    unread: tuple[Unread, ...]


@dataclass(slots=True)
class _Tally:
    classes: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    other_splits: set[str] = field(default_factory=set)
    added: int = 0
    duplicates: int = 0
    left_out: int = 0
    small: int = 0
    unread: list[Unread] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def count(self, name: str, split: str, record: Record) -> None:
        """Book what became of one picture."""
        again = (name, record.url) in self.seen
        self.seen.add((name, record.url))
        if record.kept and not again:
            self.classes[name] += 1
            self.splits[split] += 1
            self.small += min(record.width, record.height) < MIN_SIDE
        elif record.kept or record.error == DUPLICATE:
            self.duplicates += 1
        elif not again:
            self.unread.append(Unread(record.url, name, record.error))


class Shelf:
    """The class folders of one import, the latest of them held open."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._open: OrderedDict[str, tuple[ClassFolder, dict[str, Record], ExitStack]] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.popitem()[1][2].close()

    def folder(self, name: str) -> tuple[ClassFolder, dict[str, Record]]:
        """Return a class folder, open, and the latest record of each address in it."""
        if name not in self._open:
            while len(self._open) >= OPEN:
                self._open.popitem(last=False)[1][2].close()
            held = ExitStack()
            folder = held.enter_context(ClassFolder(self.out / name))
            self._open[name] = folder, {record.url: record for record in folder}, held
        self._open.move_to_end(name)
        folder, known, _ = self._open[name]
        return folder, known


def write(  # noqa: PLR0913 - what to read, where from and to, and three ways to choose
    formats: Mapping[str, Reader],
    kind: str,
    source: Path,
    out: Path,
    *,
    relabel: Mapping[str, str] | None = None,
    split: str | None = None,
    **options: Any,
) -> Iterator[Progress | Imported]:
    """Bring a source in one of the formats into class folders; see ``dataset.importers.import_dataset``."""
    read = _reader(formats, kind, options)
    _check_places(source, out)
    tally, names = _Tally(), dict[str, str]()
    with Shelf(out) as shelf:
        for done, one in enumerate(read(source, **options), 1):
            label = coarser(one.label, relabel or {}) if one.label else ""
            if split and one.split != split:
                tally.other_splits.add(one.split)
                tally.left_out += 1
            elif one.label and not label:
                tally.left_out += 1
            elif not label:
                tally.unread.append(Unread(one.source, "", one.error or "no label"))
            else:
                name = _folder_name(label, names)
                _take(one, name, shelf, kind, tally)
            yield Progress("import", done, 0, note=label)
    _check_split(source, split, tally)
    _check_any(source, kind, tally)
    if tally.small:
        log.warning(
            "%d pictures are smaller than %d pixels; tray build leaves those out unless [build] min_side says less.",
            tally.small, MIN_SIDE,
        )  # fmt: skip
    yield Imported(
        out, dict(sorted(tally.classes.items())), dict(sorted(tally.splits.items())), tally.added, tally.duplicates,
        tally.left_out, tally.small, tuple(tally.unread),
    )  # fmt: skip


def _take(one: Labelled, name: str, shelf: Shelf, kind: str, tally: _Tally) -> None:
    """Keep one picture or reject it, unless the manifest shows that this was done before."""
    folder, known = shelf.folder(name)
    before = known.get(one.source)
    if before is None or not (before.kept or before.error == DUPLICATE):
        record, data = _examine(one, kind)
        if before is None or record.error != before.error:
            after = folder.reject(record) if record.error else folder.keep(record, data)
            known[one.source] = after
            tally.added += after.kept
            before = after
    tally.count(name, one.split, before)


def _examine(one: Labelled, kind: str) -> tuple[Record, bytes]:
    """Return the record of a picture, with its error when it can't be used, and its bytes."""
    record = Record(
        one.source, page=one.group, engine=kind, term=one.label, split=one.split,
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    if one.error:
        return replace(record, error=one.error), b""
    try:
        data = one.read()
        info, _ = look(data, min_side=1, colour=False)
        if one.box and not info.error:
            data = crop(data, one.box)
            info, _ = look(data, min_side=1, colour=False)
    except FileNotFoundError:
        return replace(record, error="missing file"), b""
    except OSError as error:
        return replace(record, error=f"unreadable: {error.strerror}" if error.strerror else str(error)), b""
    record = replace(
        record, file=info.extension, sha256=info.sha256, width=info.width, height=info.height, format=info.format,
        bytes=len(data), error=info.error,
    )  # fmt: skip
    return record, data


def _reader(formats: Mapping[str, Reader], kind: str, options: Mapping[str, Any]) -> Reader:
    """Return the importer of a format; raises ConfigError when there is none, or it does not take an option."""
    if kind not in formats:
        raise ConfigError(f"Expected a format ({', '.join(formats)}). Received: {kind!r}.{did_you_mean(kind, formats)}")
    known = [name for name in inspect.signature(formats[kind]).parameters if name != "source"]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"Expected options of format {kind} ({', '.join(known) or 'it has none'}). Received: {name!r}. "
                f"Leave it out."
            )
    return formats[kind]


def _check_places(source: Path, out: Path) -> None:
    if not source.exists():
        raise TrayError(f"Expected a dataset at {source}, and there is nothing. Name another path.")
    if source.is_dir() and (out.resolve() == source.resolve() or source.resolve() in out.resolve().parents):
        raise TrayError(f"Expected a folder outside {source} for the class folders. Received: {out}. Name another.")


def _folder_name(label: str, names: dict[str, str]) -> str:
    """Return the folder of a label; raises TrayError when another label has it already, by case or not."""
    name = safe_name(label)
    if not name:
        raise TrayError(f"Expected labels with letters or digits. Received: {label!r}. Rename it by a --relabel table.")
    other = names.setdefault(name.lower(), label)
    if other != label:
        raise TrayError(
            f"Expected labels that give folders of their own. Received: {other!r} and {label!r}, both {name}. "
            f"Rename or join them by a --relabel table."
        )
    return name


def _check_split(source: Path, split: str | None, tally: _Tally) -> None:
    if split and not (tally.classes or tally.duplicates or tally.unread) and tally.other_splits:
        there = ", ".join(sorted(tally.other_splits - {""})) or "none"
        raise TrayError(f"Expected a split of {source}. Received: {split!r}; it has {there}. Name one of them.")


def _check_any(source: Path, kind: str, tally: _Tally) -> None:
    if tally.classes or tally.duplicates:
        return
    if tally.unread:
        first = tally.unread[0]
        raise TrayError(
            f"Expected pictures in {source}, and none of {len(tally.unread)} could be read. "
            f"Received first: {first.source}, {first.reason}. Is {kind} the right format?"
        )
    if not tally.left_out:
        raise TrayError(f"Expected pictures in {source}, and there is none. Is {kind} the right format?")
