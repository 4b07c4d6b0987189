"""What is to be forgotten: pictures that came from an address or a host, now and for good."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dataset.errors import ConfigError, TrayError
from dataset.folder import FORGOTTEN, MANIFEST, Record, locked, records, to_line, unwritable, write_whole
from scraper.engines import clean_address

LIST: Final = "forgotten.txt"
"""In a class folder, or beside class folders for all of them: one address or host a line."""


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


def forget(folder: Path, what: str) -> Forgotten:
    """Delete what came from an address or a host, and keep it from coming back.

    ``folder`` is a class folder, or a folder of them such as ``data/raw``, then also for classes to come. An address
    may be a picture's or its page's; a host stands for its subdomains too. Raises ConfigError for what is neither,
    TrayError where there is no class folder, FolderLocked while a scrape is at work in one.
    """
    name = named(what)
    folders = [folder] if (folder / MANIFEST).exists() else sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    if not folders:
        raise TrayError(
            f"Expected a class folder with a {MANIFEST}, or a folder of them. Received: {folder}, which is neither. "
            f"Name the folder into which was scraped."
        )
    files: list[Path] = []
    lines = 0
    if folder not in folders:
        _listed(folder, name)
    for one in folders:
        with locked(one):
            if folder in folders:
                _listed(one, name)
            gone, marked = _removed(one, name)
            files += gone
            lines += marked
    return Forgotten(name, tuple(files), lines, tuple(folders))


def named(what: str) -> str:
    """Return a host in small letters, or an address as it is written in manifests; raises ConfigError for neither."""
    what = what.strip()
    if "/" not in what and ("." in what or what == "localhost"):
        return what.lower().strip(".")
    address = clean_address(what) if "://" in what else ""
    if not address:
        raise ConfigError(
            f"Expected an address (https://example.org/a.jpg) or a host (example.org). Received: {what!r}. Correct it."
        )
    return address


def listed(folder: Path) -> frozenset[str]:
    """Return what is to be forgotten in a class folder: its own list, and that of the folder around it."""
    found: set[str] = set()
    for path in (folder / LIST, folder.parent / LIST):
        if path.is_file():
            found.update(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(found - {""})


def concerns(names: frozenset[str], addresses: Iterable[str]) -> bool:
    """Whether one of the addresses is among the names, or on a host that is."""
    return any(name in names for address in addresses if address for name in _names(address)) if names else False


def _names(address: str) -> Iterator[str]:
    """Yield under which names an address may be listed: itself, its host with its port, and the hosts above."""
    yield address
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"}:
        return
    yield parts.netloc.lower()
    labels = (parts.hostname or "").split(".")
    yield from (".".join(labels[start:]) for start in range(len(labels)))


def _listed(folder: Path, name: str) -> None:
    path = folder / LIST
    known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if name not in known:
        write_whole(path, "".join(f"{line}\n" for line in (*known, name)).encode())


def _removed(folder: Path, name: str) -> tuple[list[Path], int]:
    """Delete a folder's pictures that came from there and mark their lines; return the files and the marked lines."""
    every = list(records(folder))
    gone = {place for place, one in enumerate(every) if concerns(frozenset({name}), (one.url, *one.tried, one.page))}
    lost = {every[place].file for place in gone if every[place].kept}
    # The files go first: a run that is cut off here finds their lines again, and ends what was begun.
    for file in lost:
        try:
            (folder / file).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(folder / file, error) from error
    heirs: dict[str, str] = {}
    written = []
    for place, one in enumerate(every):
        written.append(_marked(one) if place in gone else _inherited(one, lost, heirs))
    if gone:
        write_whole(folder / MANIFEST, "".join(map(to_line, written)).encode())
    changed = sum(every[place] != written[place] for place in gone)
    return [folder / file for file in sorted(lost)], changed


def _marked(record: Record) -> Record:
    """Return the line of a forgotten picture: enough to know it again, nothing of what it showed."""
    return replace(record, file="", error=FORGOTTEN, title="", copy_of="", phash="")


def _inherited(record: Record, lost: set[str], heirs: dict[str, str]) -> Record:
    """Return a line whose look-alike is lost: the first copy from elsewhere that was kept takes its place."""
    if record.copy_of not in lost:
        return record
    heir = heirs.get(record.copy_of, "")
    if not heir and record.kept:
        heirs[record.copy_of] = record.file
    return replace(record, copy_of=heir)
