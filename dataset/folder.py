"""A class folder: pictures exactly as received, and a manifest line for each that was tried."""

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from filelock import FileLock, Timeout

from dataset.errors import FolderLocked, TrayError

MANIFEST = "manifest.jsonl"
LOCK = ".lock"
FORGOTTEN = "forgotten"
"""The error of a picture that the user had removed for good."""
DATASET = "dataset.json"
"""Written last: a folder that has it is a finished dataset."""
METADATA = "metadata.jsonl"
"""Of a dataset: a line for each of its pictures."""
REJECTED = "rejected.jsonl"
"""Of a dataset: a line for each picture that was left out, and why."""
REVIEW = "review.jsonl"
"""What a person said of a class folder's pictures."""
PROGRESS = "progress.jsonl"
"""How far each search of a class folder has come."""
TO_FORGET = "forgotten.txt"
"""In a class folder, or beside class folders for all of them: one address or host a line, whose pictures stay out."""
REPORT = "report.html"
"""The page about a folder."""
POOL = ".pool"
"""Normalised pictures of a dataset that was built with ``--from``, and what is remembered of its sources."""
# What counts as a picture by its name alone; what it really is, dataset.images says.
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp",
    ".dib", ".tif", ".tiff", ".heic", ".heif", ".hif",
})  # fmt: skip
# What lies in a class folder without being meant as a picture: ours, and what a desktop leaves.
BESIDES = frozenset({
    MANIFEST, METADATA, REJECTED, REPORT, DATASET, REVIEW, PROGRESS, TO_FORGET, "Thumbs.db", "desktop.ini",
})  # fmt: skip
# Bits of 256 within which two hashes count as one picture while scraping: copies in other sizes and encodings
# lie below, and no two distinct photographs were seen there. The build looks closer.
SAME_BITS = 12

Kind = Literal["full", "cached", "thumbnail", ""]


@dataclass(frozen=True, slots=True)
class Record:
    """One manifest line: where a picture came from, and what became of it."""

    url: str
    page: str = ""
    """Address of the page that hosts the picture."""
    engine: str = ""
    term: str = ""
    rank: int = 0
    """Position among the engine's results for the term, from 1."""
    title: str = ""
    fetched: str = ""
    """UTC time in ISO 8601."""
    file: str = ""
    """Name in the folder; empty when the picture was rejected."""
    sha256: str = ""
    width: int = 0
    height: int = 0
    kind: Kind = ""
    error: str = ""
    """Why the picture was rejected, as a short reason such as ``not an image``; empty when it was kept."""
    format: str = ""
    bytes: int = 0
    phash: str = ""
    """256-bit perceptual hash in 64 hexadecimal digits."""
    copy_of: str = ""
    """File of an earlier picture that this one looks like; copies are kept but do not count."""
    status: int = 0
    """HTTP status of the answer; 0 for data URIs and failed connections."""
    tried: tuple[str, ...] = ()
    """Addresses that were tried before ``url``, best first."""
    failures: tuple[str, ...] = ()
    """Why each of ``tried`` failed, as far as this run knows."""
    filters: str = ""
    """What the search asked for beside its term, such as a licence or a size."""
    opt_out: str = ""
    """The owner's opt-out; a picture that was kept with one was fetched with ``--ignore-opt-outs``."""
    landed: str = ""
    """Address to which redirects led from ``url``; empty where there were none."""
    split: str = ""
    """Split that an imported dataset gave the picture; a build deals its own."""

    @property
    def kept(self) -> bool:
        """Whether the picture lies in the folder."""
        return bool(self.file)


FIELDS = tuple(field.name for field in fields(Record))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which falls with the process.

    Raises FolderLocked when another process holds it, TrayError when the folder can't be written.
    """
    lock = FileLock(make_folder(folder) / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise FolderLocked(
            f"Expected to be the only process at work on {folder}; another one holds its lock. "
            f"Wait until it ends, or stop it, and run the command again."
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def make_folder(folder: Path) -> Path:
    """Create a folder with its parents, and return it; raises TrayError when that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def unwritable(path: Path, error: OSError) -> TrayError:
    """Return the sentence for a full disk, a read-only folder and the like."""
    return TrayError(
        f"Expected to write to {path}. Received: {error.strerror or error}. "
        f"Make room or name another folder, and run the command again; what was kept stays."
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all; raises TrayError when it can't be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise unwritable(path, error) from error


def link(source: Path, target: Path) -> None:
    """Let a file have a second name; it is for files that are replaced, never written into."""
    try:
        target.hardlink_to(source)
    except OSError:
        # Other file systems, and some that know no links, get a copy. What is there may be a link itself.
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)


class ClassFolder:
    """Pictures of one class and their manifest, held open by one process at a time.

    Use it as a context manager; ``len(folder)`` counts the distinct pictures kept. Raises FolderLocked on entry when
    another process has it open, TrayError when it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: set[str] = set()
        """Every address that was tried, kept or rejected, the lesser ones of a tile included."""
        self._records: list[Record] = []
        self._by_sha: dict[str, Record] = {}
        self._forgotten: set[str] = set()
        self._hashes = np.empty((0, 32), np.uint8)
        self._hashed: list[str] = []
        self._lock = locked(path)

    def __enter__(self) -> Self:
        self._lock.__enter__()
        try:
            self._clear_parts()
            _cut_torn_line(self.path / MANIFEST)
            for record in records(self.path):
                self._note(record)
            # A line goes out in one piece, so that closing never has a rest to write to a full disk.
            self._manifest = (self.path / MANIFEST).open("ab", buffering=0)
        except OSError as error:
            self._lock.__exit__(None, None, None)
            raise unwritable(self.path, error) from error
        except TrayError:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._manifest.close()
        finally:
            self._lock.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return sum(record.kept and not record.copy_of for record in self._by_sha.values())

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def keep(self, record: Record, data: bytes) -> Record:
        """Write a picture and its line; return the record as written.

        ``record`` brings sha256, format, width, height and phash of ``data`` and, in ``file``, the true extension
        (``.jpg``). Bytes that are there already are rejected as ``duplicate bytes``, those that the user had removed as
        ``forgotten``.
        """
        if record.sha256 in self._forgotten:
            return self.reject(replace(record, error=FORGOTTEN))
        known = self._by_sha.get(record.sha256)
        if known:
            return self.reject(replace(record, file="", copy_of=known.file, error="duplicate bytes"))
        name = record.sha256[:16] + Path(f"x{record.file}").suffix
        record = replace(record, file=name, bytes=len(data), copy_of=self.look_alike(record.phash))
        write_whole(self.path / name, data)
        try:
            return self._write(record)
        except TrayError:
            (self.path / name).unlink(missing_ok=True)
            raise

    def reject(self, record: Record) -> Record:
        """Write the line of a picture that was not kept; return the record as written."""
        return self._write(replace(record, file=""))

    def _write(self, record: Record) -> Record:
        line, whole = to_line(record).encode(), os.fstat(self._manifest.fileno()).st_size
        failure, written = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 0
        try:
            written = self._manifest.write(line)
        except OSError as error:
            failure = error
        if written != len(line):
            with suppress(OSError):
                self._manifest.truncate(whole)
            raise unwritable(self.path / MANIFEST, failure) from failure
        self._note(record)
        return record

    def _note(self, record: Record) -> None:
        self.seen.update((record.url, *record.tried))
        self._records.append(record)
        if record.error == FORGOTTEN and record.sha256:
            self._forgotten.add(record.sha256)
        if record.kept:
            self._by_sha[record.sha256] = record
            if record.phash and not record.copy_of:
                self._hashes = np.vstack([self._hashes, _bits(record.phash)])
                self._hashed.append(record.file)

    def look_alike(self, phash: str) -> str:
        """Return the file of the distinct picture that a perceptual hash belongs to, or an empty string."""
        if not phash or not self._hashed:
            return ""
        distances = np.bitwise_count(self._hashes ^ _bits(phash)).sum(axis=1, dtype=np.int32)
        nearest = int(distances.argmin())
        return self._hashed[nearest] if distances[nearest] <= SAME_BITS else ""

    def _clear_parts(self) -> None:
        for part in self.path.glob(".*.part"):
            part.unlink(missing_ok=True)


def records(folder: Path) -> Iterator[Record]:
    """Yield the manifest's records, oldest first; none where there is no manifest.

    Raises TrayError for a line that is none, which only another hand can have written.
    """
    try:
        lines = (folder / MANIFEST).open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                continue
            try:
                record = from_line(line)
            except (ValueError, AttributeError) as error:
                raise TrayError(
                    f"Expected a JSON object on each line of {folder / MANIFEST}. "
                    f"Received on line {number}: {line.strip()[:60]!r} ({error}). Take that line out."
                ) from error
            yield record


def count_distinct(folder: Path) -> int:
    """Return how many distinct pictures a class folder's manifest keeps."""
    return len({record.sha256 for record in records(folder) if record.kept and not record.copy_of})


def to_line(record: Record) -> str:
    """Return a record as one line of JSON, without the fields that are empty."""
    values = ((name, getattr(record, name)) for name in FIELDS)
    line = json.dumps({name: value for name, value in values if value}, ensure_ascii=False) + "\n"
    # Pages hold halves of characters, which no file can.
    return line.encode("utf-8", "replace").decode()


def from_line(line: str) -> Record:
    """Return the record of a manifest line; fields that a later version added are passed over."""
    values: dict[str, Any] = json.loads(line)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in FIELDS}
    return Record(**{"url": "", **values})


def class_folders(root: Path) -> dict[str, Path]:
    """Return the class folders below ``root`` by their names, sorted; hidden ones are passed over.

    Raises TrayError when there is no such folder, or none of its subfolders holds a picture.
    """
    if not root.is_dir():
        raise TrayError(f"Expected a folder of class folders. Received: {root}, which is not a folder.")
    found = {path.name: path for path in subfolders(root) if holds_pictures(path)}
    if not found:
        inside = next(pictures(root), None)
        what = "pictures but no subfolders" if inside else "no subfolder with a picture in it"
        raise TrayError(
            f"Expected a folder of class folders, such as {root}/pizza/*.jpg. Received: {root}, with {what}. "
            f"Put each class into a folder of its own; tray import nested brings what lies deeper."
        )
    return found


def subfolders(root: Path) -> list[Path]:
    """Return the folders in ``root`` that are not hidden, sorted.

    Raises OSError when it can't be listed, TrayError when a name is none that a text can hold.
    """
    found = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    for path in found:
        name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        if name != path.name:
            raise TrayError(f"Expected folders with names in UTF-8 in {root}. Received: {name}. Rename it.")
    return found


def class_of(source: str) -> str:
    """Return the class folder that a path below the folder of class folders begins with."""
    return source.partition("/")[0]


def pictures(folder: Path) -> Iterator[Path]:
    """Yield the files of a class folder, sorted by name, that a picture's suffix names."""
    # A Path for each file that is looked at would take longer than all the rest.
    for name in sorted(one.name for one in _visible(folder) if _is_picture(one)):
        yield folder / name


def holds_pictures(folder: Path) -> bool:
    """Tell whether a class folder has a picture, as ``pictures`` knows them; only as many files are looked at."""
    return any(map(_is_picture, _visible(folder)))


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return _suffix(entry.name) in SUFFIXES and not _obstacle(entry)


def unreadable(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the names in a class folder that are a picture's and lead to no file, each with the reason.

    What opens without end or never (a pipe, a device) is among them, and a name that no text can hold.
    """
    for one in _visible(folder):
        if (why := _obstacle(one)) and _suffix(one.name) in SUFFIXES:
            yield os.fsencode(one.name).decode("utf-8", "backslashreplace"), f"unreadable: {why}"


def passed_over(folder: Path) -> Counter[str]:
    """Count what lies in a class folder and is named otherwise than a picture, by suffix; folders are ``folders``."""
    others = [one for one in _visible(folder) if _suffix(one.name) not in SUFFIXES and one.name not in BESIDES]
    return Counter(
        "folders"
        if os.path.isdir(one.path)  # noqa: PTH112 - the entry's own method raises where a link leads to itself
        else _suffix(one.name).encode("utf-8", "replace").decode() or "no suffix"
        for one in others
    )


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (one for one in entries if not one.name.startswith("."))


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def _obstacle(entry: os.DirEntry[str]) -> str:
    """Return why a name leads to no file that can be read; empty when it does."""
    try:
        entry.name.encode()
        if entry.is_file():
            return ""
        entry.stat()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return error.strerror or str(error)
    return "not a file"


def _cut_torn_line(manifest: Path) -> None:
    """Cut back a last line that a killed process left without its end."""
    if not manifest.exists():
        return
    with manifest.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        whole = size
        while whole > 0:
            start = max(0, whole - 65536)
            file.seek(start)
            newline = file.read(whole - start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            whole = start
        if whole < size:
            file.truncate(whole)


def bits_apart(one: str, other: str) -> int:
    """Return in how many of 256 bits two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _bits(phash: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(bytes.fromhex(phash), np.uint8)
