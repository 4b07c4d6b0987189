"""What is to be forgotten: pictures that came from an address or a host, now and for good."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from dataset.errors import ConfigError, TrayError
from dataset.folder import (
    FORGOTTEN,
    MANIFEST,
    TO_FORGET,
    Record,
    locked,
    records,
    to_line,
    unwritable,
    write_whole,
)
from scraper.engines import clean_address


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed."""

    what: str
    """The host or address as it is kept in the list."""
    files: tuple[Path, ...]
    """Pictures that were deleted."""
    lines: int
    """Manifest lines that are marked now, those of pictures that had been rejected included."""
    folders: tuple[Path, ...]
    """Class folders that were looked at."""
    normalised: tuple[Path, ...] = ()
    """Copies that builds had made of them, deleted as well."""


def forget(folder: Path, what: str, *, pool: Path | None = None, dry_run: bool = False) -> Forgotten:
    """Delete what came from an address or a host, and keep it from coming back.

    ``folder`` is a class folder, or a folder of them such as ``data/raw``, then also for classes to come. An address
    may be a picture's, its page's, or one to which redirects led; a host stands for its subdomains too. ``pool`` holds
    the copies of builds; those of datasets that were built elsewhere go with their next build. A dry run only says
    what would go. Raises ConfigError for what is neither address nor host, TrayError where there is no class folder,
    FolderLocked while a scrape is at work in one.
    """
    name = named(what)
    folders = [folder] if (folder / MANIFEST).exists() else sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    if not folders:
        raise TrayError(
            f"Expected a class folder with a {MANIFEST}, or a folder of them. Received: {folder}, which is neither. "
            f"Name the folder into which was scraped."
        )
    if dry_run:
        return _told(name, [_found(one, name) for one in folders], pool)
    if folder not in folders:
        _listed(folder, name)
    removed = []
    for one in folders:
        with locked(one):
            if folder in folders:
                _listed(one, name)
            removed.append(_removed(_found(one, name)))
    told = _told(name, removed, pool)
    for path in told.normalised:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
    return told


def named(what: str) -> str:
    """Return a host in small letters, or an address as it is written in manifests; raises ConfigError for neither."""
    what = what.strip()
    if "/" not in what and ("." in what or what == "localhost"):
        return _ascii(what.lower().strip("."))
    address = clean_address(what) if "://" in what else ""
    if not address:
        raise ConfigError(
            f"Expected an address (https://example.org/a.jpg) or a host (example.org). Received: {what!r}. Correct it."
        )
    return address


def listed(folder: Path) -> frozenset[str]:
    """Return what is to be forgotten in a class folder: its own list, and that of the folder around it."""
    found: set[str] = set()
    for path in (folder / TO_FORGET, folder.parent / TO_FORGET):
        if path.is_file():
            found.update(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(found - {""})


def concerns(names: frozenset[str], addresses: Iterable[str]) -> bool:
    """Whether one of the addresses is among the names, or on a host that is."""
    return any(name in names for address in addresses if address for name in _names(address)) if names else False


def _names(address: str) -> Iterator[str]:
    """Yield under which names an address may be listed: itself, its host with its port, and the hosts above."""
    yield address
    try:
        parts = urlsplit(address)
    except ValueError:
        # A manifest may have come from elsewhere, with what is no address at all.
        return
    if parts.scheme not in {"http", "https"}:
        return
    yield parts.netloc.lower()
    labels = _ascii((parts.hostname or "").strip(".")).split(".")
    yield from (".".join(labels[start:]) for start in range(len(labels)))


def _ascii(host: str) -> str:
    """Return a host as it is written in addresses that clients ask for."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _listed(folder: Path, name: str) -> None:
    path = folder / TO_FORGET
    known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if name not in known:
        write_whole(path, "".join(f"{line}\n" for line in (*known, name)).encode())


@dataclass(frozen=True, slots=True)
class _Find:
    """What a class folder holds of an address or a host."""

    folder: Path
    every: tuple[Record, ...]
    gone: frozenset[int]
    """Which of the records came from there."""

    @property
    def lost(self) -> dict[str, str]:
        """The pictures to be deleted: SHA-256 by file."""
        return {self.every[place].file: self.every[place].sha256 for place in self.gone if self.every[place].kept}


def _found(folder: Path, name: str) -> _Find:
    every, names = tuple(records(folder)), frozenset({name})
    return _Find(
        folder,
        every,
        frozenset(
            place
            for place, one in enumerate(every)
            if concerns(names, (one.url, *one.tried, one.page, one.landed)) and one != _marked(one)
        ),
    )


def _told(name: str, finds: Sequence[_Find], pool: Path | None) -> Forgotten:
    """Say what was found; of the pool's copies, only those that no other class folder needs go."""
    lost = [(find.folder, find.lost) for find in finds]
    files = [folder / file for folder, gone in lost for file in sorted(gone)]
    still = {one.sha256 for folder, gone in lost for one in records(folder) if one.kept and one.file not in gone}
    copies = {f"{sha[:16]}.jpg" for _, gone in lost for sha in gone.values() if sha not in still}
    normalised = [pool / copy for copy in sorted(copies) if (pool / copy).exists()] if pool else []
    lines = sum(len(find.gone) for find in finds)
    return Forgotten(name, tuple(files), lines, tuple(find.folder for find in finds), tuple(normalised))


def _removed(find: _Find) -> _Find:
    """Delete what was found and mark its lines."""
    lost = find.lost
    # The files go first: a run that is cut off here finds their lines again, and ends what was begun.
    for file in lost:
        try:
            (find.folder / file).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(find.folder / file, error) from error
    heirs: dict[str, str] = {}
    written = [
        _marked(one) if place in find.gone else _inherited(one, lost, heirs) for place, one in enumerate(find.every)
    ]
    if find.gone:
        write_whole(find.folder / MANIFEST, "".join(map(to_line, written)).encode())
    return find


def _marked(record: Record) -> Record:
    """Return the line of a forgotten picture: enough to know it again, nothing of what it showed."""
    return replace(record, file="", error=FORGOTTEN, title="", copy_of="", phash="")


def _inherited(record: Record, lost: Container[str], heirs: dict[str, str]) -> Record:
    """Return a line whose look-alike is lost: the first copy from elsewhere that was kept takes its place."""
    if record.copy_of not in lost:
        return record
    heir = heirs.get(record.copy_of, "")
    if not heir and record.kept:
        heirs[record.copy_of] = record.file
    return replace(record, copy_of=heir)
