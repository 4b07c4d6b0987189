"""What is known of every file: each is read and decoded once, and remembered by its content."""

import json
import os
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from sys import intern
from threading import Lock
from typing import Any, Self

import numpy as np
from PIL import Image

from dataset.errors import TrayError
from dataset.images import ImageInfo, look
from dataset.prints import CROPS, SIDE, Print, Sketch, make_prints, sketch
from dataset.progress import Progress
from dataset.quality import Measures, measure_all
from dataset.search import Hashes
from dataset.workers import HERE, Workers

VERSION = "17"
"""Goes up whenever a measure, a hash or a verdict changes: what an older one remembered is then forgotten."""
SHARD = 32
"""Files that are read at once: what is lost at most, for each worker, when a scan is killed."""
WAITING = 1 << 18
"""Pixels of a decoded picture that may wait for the rest of its shard: few modes are made smaller by then."""

# Decoding leaves Python's lock alone; what follows takes and leaves it for microseconds at a time. Two threads at that
# would wake each other ten times for each picture: while one is at it, the others decode.
_TURN = Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    """One distinct content: what its bytes are, how good it is; None for the measures of what can't be read."""

    info: ImageInfo
    size: int
    measures: Measures | None


class Memory:
    """The cache of a scan: a SQLite file, or a temporary one; one writer at a time.

    Use it as a context manager. Raises TrayError when the file can't be written.
    """

    def __init__(self, path: Path | None, *, limits: tuple[int, int], copy: Path | None = None) -> None:
        self.path = path
        self.limits = limits
        self.copy = copy

    def __enter__(self) -> Self:
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            # A damaged cache is worth nothing, everything in it can be measured again; a full disk damages none.
            if self.copy:
                self.copy = None
            elif self.path and self.path.exists() and not isinstance(error, sqlite3.OperationalError):
                self.path.unlink()
            else:
                raise
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.base.close()

    def _open(self) -> None:
        # Without a name SQLite takes a file of its own that goes when it is closed: a copy may be large.
        self.base = sqlite3.connect(str(self.path or ""))
        try:
            self._prepare()
        except sqlite3.Error:
            self.base.close()
            raise

    def _prepare(self) -> None:
        if self.copy and self.copy.exists():
            with closing(sqlite3.connect(self.copy)) as original:
                original.backup(self.base)
        # What is known of a picture fills two of the usual pages.
        self.base.execute("PRAGMA page_size=16384")
        self.base.execute("PRAGMA synchronous=OFF" if self.path is None else "PRAGMA synchronous=NORMAL")
        if self.path:
            self.base.execute("PRAGMA journal_mode=WAL")
        self.base.execute("CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT)")
        version = f"{VERSION} {self.limits}"
        if self.recall("version") != version:
            for table in ("files", "pictures", "prints", "packs", "pairs", "different", "compared"):
                self.base.execute(f"DROP TABLE IF EXISTS {table}")
            self.base.execute("DELETE FROM state")
            self.note("version", version)
        for table in (
            "files (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT) WITHOUT ROWID",
            "pictures (sha256 TEXT PRIMARY KEY, size INTEGER, info TEXT, measures TEXT)",
            "prints (sha256 TEXT PRIMARY KEY, views BLOB, boxes BLOB, colours BLOB, pack INTEGER, start INTEGER)",
            "packs (pack INTEGER PRIMARY KEY, sha256s BLOB, counts BLOB, hashes BLOB)",
            "pairs (a TEXT, b TEXT, comparison TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
            "different (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
            "compared (sha256 TEXT PRIMARY KEY) WITHOUT ROWID",
        ):
            self.base.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self.base.commit()

    def recall(self, key: str) -> str:
        """Return what was noted under ``key``; empty when nothing was."""
        row = self.base.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def note(self, key: str, value: str) -> None:
        """Remember ``value`` under ``key``."""
        self.base.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))
        self.base.commit()

    def keep(self, seen: Sequence[tuple[Picture, Print | None]]) -> None:
        """Remember contents that are new, and their hashes in one pack, for a search reads those of all at once.

        The caller commits.
        """
        self.base.executemany(
            "INSERT INTO pictures VALUES (?, ?, ?, ?)",
            (
                (one.info.sha256, one.size, _json(one.info), _json(one.measures) if one.measures else "")
                for one, _ in seen
            ),
        )
        prints = [(picture.info.sha256, one) for picture, one in seen if one]
        if not prints:
            return
        counts = np.array([len(one.hashes) for _, one in prints], np.uint8)
        pack = self.base.execute(
            "INSERT INTO packs VALUES (NULL, ?, ?, ?)",
            (
                bytes.fromhex("".join(sha for sha, _ in prints)),
                counts.tobytes(),
                b"".join(one.hashes.tobytes() for _, one in prints),
            ),
        ).lastrowid
        starts = (counts.cumsum(dtype=np.intp) - counts).tolist()
        self.base.executemany(
            "INSERT INTO prints VALUES (?, ?, ?, ?, ?, ?)",
            (
                (sha, one.views.tobytes(), one.boxes.tobytes(), one.colours.tobytes(), pack, start)
                for (sha, one), start in zip(prints, starts, strict=True)
            ),
        )

    def size_of(self, sha256: str) -> tuple[int, int]:
        """Return width and height of a picture that was scanned, in pixels."""
        (text,) = self.base.execute("SELECT info FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        info = json.loads(text)
        return info["width"], info["height"]

    def print_of(self, sha256: str) -> Print:
        """Return the print of a picture that was scanned."""
        views, boxes, colours, hashes = self.base.execute(
            "SELECT views, boxes, colours, substr(hashes, 1 + 32 * start, 32 * (? + 8 * length(views) / ?)) "
            "FROM prints JOIN packs USING (pack) WHERE sha256 = ?",
            (CROPS, SIDE * SIDE, sha256),
        ).fetchone()
        return Print(
            np.frombuffer(views, np.uint8).reshape(-1, SIDE, SIDE),
            np.frombuffer(boxes, np.float64).reshape(-1, 4),
            np.frombuffer(colours, np.uint8).reshape(16, 16, 3),
            np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        )

    def hashes(self, numbers: Mapping[str, int]) -> Iterator[Hashes]:
        """Yield the hashes of pictures that were scanned, each under its number, a pack at a time."""
        for shas, each, blob in self.base.execute("SELECT sha256s, counts, hashes FROM packs"):
            names = shas.hex()
            own = np.array([numbers.get(names[at : at + 64], -1) for at in range(0, len(names), 64)], np.intp)
            counts = np.frombuffer(each, np.uint8).astype(np.intp)
            levels, wanted = np.frombuffer(blob, np.uint8).reshape(-1, 32), own >= 0
            if wanted.all():
                yield Hashes(own, counts, levels)
            elif wanted.any():
                yield Hashes(own[wanted], counts[wanted], levels[np.repeat(wanted, counts)])


@contextmanager
def remembering(path: Path | None, *, limits: tuple[int, int], copy: Path | None = None) -> Iterator[Memory]:
    """Open a scan's memory; a full disk or a read-only folder ends in a TrayError's sentence.

    Without ``path`` it goes when it is closed, and begins as a copy of what ``copy`` remembers.
    """
    try:
        with Memory(path, limits=limits, copy=copy) as memory:
            yield memory
    except sqlite3.Error as error:
        raise TrayError(
            f"Expected to write to {path or 'a temporary file'}. Received: {error}. "
            f"Make room or name another folder, and run the command again; what was kept stays."
        ) from error


def scan(
    root: Path, sources: Sequence[str], memory: Memory, workers: Workers = HERE
) -> Generator[Progress, None, list[Picture]]:
    """Read every file that is new or has changed; yield Progress and return what lies in each, in order.

    ``sources`` are paths below ``root``, with slashes. Each content is decoded once in its life. What can't be read is
    there with its ``info.error``.
    """
    root = root.absolute()
    pictures = dict(_pictures(memory))
    found = list(_unchanged(root, sources, memory, pictures))
    fresh = [number for number, picture in enumerate(found) if picture is None]
    done = len(found) - len(fresh)
    yield Progress("scan", done, len(found))
    shards = [fresh[at : at + SHARD] for at in range(0, len(fresh), SHARD)]
    looks = workers.map(
        partial(examine, limits=memory.limits), ([root / sources[number] for number in shard] for shard in shards)
    )
    for shard, looked in zip(shards, looks, strict=True):
        new: list[tuple[Picture, Print | None]] = []
        for number, (picture, one, changed) in zip(shard, looked, strict=True):
            sha = picture.info.sha256
            found[number] = pictures.setdefault(sha, picture) if sha else picture
            if found[number] is picture and sha:
                new.append((picture, one))
            if sha:
                row = (sources[number], picture.size, changed, sha)
                memory.base.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row)
        memory.keep(new)
        memory.base.commit()
        done += len(shard)
        yield Progress("scan", done, len(found))
    return [picture for picture in found if picture]


def _unchanged(
    root: Path, sources: Sequence[str], memory: Memory, pictures: Mapping[str, Picture]
) -> Iterator[Picture | None]:
    """Yield for each file what was found in it when it was as it is now; None where it is new or has changed."""
    known = {path: (size, changed, sha) for path, size, changed, sha in memory.base.execute("SELECT * FROM files")}
    for source in sources:
        status = os.stat(f"{root}/{source}")  # noqa: PTH116 - a Path for each would take longer than the look itself
        size, changed, sha = known.get(source, (-1, -1, ""))
        yield pictures.get(sha) if (size, changed) == (status.st_size, status.st_mtime_ns) else None


def examine(paths: Sequence[Path], *, limits: tuple[int, int]) -> list[tuple[Picture, Print | None, int]]:
    """Return what each file is, and when it was changed; ``limits`` are the most pixels and bytes that are read."""
    seen = [_see(path, limits) for path in paths]
    with _TURN:
        files = [(info, size) for info, size, _, drawn in seen if drawn]
        sketches = [drawn if isinstance(drawn, Sketch) else sketch(drawn) for *_, drawn in seen if drawn]
        measures = iter(measure_all(sketches, files) if files else ())
        prints = iter(make_prints(sketches) if files else ())
    return [
        (Picture(info, size, next(measures) if drawn else None), next(prints) if drawn else None, changed)
        for info, size, changed, drawn in seen
    ]


def _see(path: Path, limits: tuple[int, int]) -> tuple[ImageInfo, int, int, Image.Image | Sketch | None]:
    """Return what a file's bytes are, how many, when it was changed, and the decoded picture, or the sketch of it."""
    max_pixels, max_bytes = limits
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size > max_bytes:
                return ImageInfo(error="too many bytes"), status.st_size, 0, None
            data = file.read()
    except OSError as error:
        return ImageInfo(error=f"unreadable: {error.strerror}"), 0, 0, None
    info, small = look(data, max_pixels=max_pixels, max_bytes=max_bytes, min_side=1)
    drawn = sketch(small) if small and small.width * small.height > WAITING else small
    return info, len(data), status.st_mtime_ns, drawn


def _json(values: ImageInfo | Measures) -> str:
    # Nothing in them is nested: asdict would look for what to copy.
    return json.dumps({field.name: getattr(values, field.name) for field in fields(values)})


def _pictures(memory: Memory) -> Iterator[tuple[str, Picture]]:
    for sha, size, info, measures in memory.base.execute("SELECT sha256, size, info, measures FROM pictures"):
        values: dict[str, Any] = json.loads(info) | {"sha256": sha}
        # Texts that thousands have in common are held once.
        values |= {name: intern(values[name]) for name in ("format", "extension", "mode", "error")}
        values["notes"] = tuple(values["notes"])
        yield sha, Picture(ImageInfo(**values), size, Measures(**json.loads(measures)) if measures else None)
