"""What a person said of a class folder's pictures: ``review.jsonl``, a line per decision, the last one counts."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, cast

from filelock import FileLock, Timeout

from dataset.errors import FolderLocked, TrayError
from dataset.folder import REVIEW, unwritable

LOCK: Final = ".review.lock"
"""Its own lock: a folder can be reviewed while it is being filled."""
PATIENCE: Final = 10.0
"""Seconds to wait for another process's line to be written."""

Word = Literal["keep", "drop", "relabel", ""]
WORDS: Final = ("keep", "drop", "relabel", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision on one picture."""

    file: str
    """Name of the picture in its class folder."""
    verdict: Word
    """``""`` takes back what was said before."""
    label: str = ""
    """The right class, with ``relabel``."""
    time: str = ""
    """UTC time in ISO 8601."""
    window: str = ""
    """The browser window in which it was made."""


def read_verdicts(class_folder: Path) -> dict[str, Verdict]:
    """Return the verdict that counts for each picture by its file name; pictures without one are not in it.

    A last line that a killed process left unfinished, and lines that are no decision, are passed over.
    Raises TrayError when the file is there and can't be read.
    """
    try:
        data = (class_folder / REVIEW).read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise unreadable(class_folder / REVIEW, error) from error
    found: dict[str, Verdict] = {}
    for line in data.splitlines():
        _apply(found, from_line(line))
    return found


def unreadable(path: Path, error: OSError) -> TrayError:
    """Return the sentence for a file that is there and can't be read."""
    return TrayError(f"Expected to read {path}. Received: {error.strerror or error}. Mend its rights and try again.")


def from_line(line: bytes) -> Verdict | None:
    """Return the decision on a line, or None when it holds none; fields that a later version added are passed over."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    file, word = values.get("file"), values.get("verdict")
    if not isinstance(file, str) or not file or word not in WORDS:
        return None
    label, time, window = (str(values.get(key) or "") for key in ("label", "time", "window"))
    if word == "relabel" and not label:
        return None
    return Verdict(file, cast("Word", word), label, time, window)


def to_line(verdict: Verdict) -> bytes:
    """Return a decision as one line of JSON."""
    return json.dumps(asdict(verdict), ensure_ascii=False).encode() + b"\n"


def _apply(found: dict[str, Verdict], verdict: Verdict | None) -> None:
    if verdict is None:
        return
    if verdict.verdict:
        found[verdict.file] = verdict
    else:
        found.pop(verdict.file, None)


class Journal:
    """A class folder's ``review.jsonl``, followed as it grows, whoever writes to it.

    Lines are only ever added, each batch in a single write and under a lock between processes.
    One thread at a time may use it.
    """

    def __init__(self, class_folder: Path) -> None:
        self.path = class_folder / REVIEW
        self.verdicts: dict[str, Verdict] = {}
        """What counts now, by file name."""
        self._end = 0
        self._stamp: tuple[int, int, int] | None = None
        self._lock = FileLock(class_folder / LOCK, timeout=PATIENCE)

    def refresh(self) -> list[Verdict]:
        """Read what was written since; return the decisions in their order, taken-back ones as ``""``.

        Raises TrayError when the file can't be read.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return self._start_over(None, b"")
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return []
        try:
            with self.path.open("rb") as file:
                if self._stamp and (status.st_ino != self._stamp[0] or status.st_size < self._end):
                    return self._start_over(stamp, file.read())
                file.seek(self._end)
                data = file.read()
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._stamp = stamp
        return self._take(data)

    def append(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Write decisions; return all that are new, those of other processes before these.

        Raises TrayError when they can't be written, and then none of them is; FolderLocked when another process
        holds the lock for too long.
        """
        try:
            with self._lock:
                news = self.refresh()
                self._write(b"".join(map(to_line, verdicts)))
                return news + self.refresh()
        except Timeout:
            raise FolderLocked(
                f"Expected to write to {self.path} within {PATIENCE:.0f} seconds; another process holds its lock. "
                f"Stop it, and decide again."
            ) from None
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            size = file.tell()
            if size > self._end:
                # What a killed process began is cut back: it never was a decision.
                file.truncate(self._end)
                size = self._end
            if size and not self._ends_in_newline(size):
                data = b"\n" + data
            try:
                written = os.write(file.fileno(), data)
                if written < len(data):
                    raise OSError(28, "the disk is full")  # noqa: TRY301 - undone where every other failure is
            except OSError:
                file.truncate(size)
                raise

    def _ends_in_newline(self, size: int) -> bool:
        with self.path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"

    def _take(self, data: bytes) -> list[Verdict]:
        news = []
        for line in data.splitlines(keepends=True):
            verdict = from_line(line)
            # An editor may have taken the newline off a whole last line; a torn one is no JSON.
            if line.endswith(b"\n") or verdict:
                self._end += len(line)
            if verdict:
                _apply(self.verdicts, verdict)
                news.append(verdict)
        return news

    def _start_over(self, stamp: tuple[int, int, int] | None, data: bytes) -> list[Verdict]:
        """Read a file that is no longer the one that was followed; return what differs from what was known."""
        before, self.verdicts, self._end, self._stamp = self.verdicts, {}, 0, stamp
        self._take(data)
        return _differences(before, self.verdicts)


def _differences(before: dict[str, Verdict], now: dict[str, Verdict]) -> list[Verdict]:
    gone: Iterable[Verdict] = (Verdict(file, "") for file in before if file not in now)
    return [*gone, *(verdict for file, verdict in now.items() if before.get(file) != verdict)]
