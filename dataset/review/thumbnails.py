"""Small pictures made when they are first looked at, and kept in memory as long as there is room."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from dataset.images import read, to_jpeg
from dataset.tray import MAX_BYTES

THUMBNAIL: Final = 288
"""Longer side of a picture in the grid in pixels."""
LARGE: Final = 1600
"""Longer side of a picture that is looked at alone."""
ROOM: Final = 96 * 2**20
"""Bytes of small pictures that are kept in memory."""


class Unreadable(Exception):
    """A file is gone or is no picture; its text says so in a few words."""


class Thumbnails:
    """The last used small pictures, up to ``room`` bytes; safe to use from several threads."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self.size = 0
        """Bytes held."""
        self._made: OrderedDict[tuple[Path, int, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path, side: int) -> bytes:
        """Return a file as a plain JPEG, its longer side at most ``side`` pixels; raises Unreadable."""
        try:
            status = path.stat()
        except OSError as error:
            raise Unreadable(error.strerror or "gone") from error
        key = (path, side, status.st_size, status.st_mtime_ns)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        data = _make(path, side, status.st_size)
        with self._lock:
            if key not in self._made:
                self._made[key] = data
                self.size += len(data)
            while self.size > self.room and len(self._made) > 1:
                _, oldest = self._made.popitem(last=False)
                self.size -= len(oldest)
        return data


def _make(path: Path, side: int, size: int) -> bytes:
    if size > MAX_BYTES:
        raise Unreadable("too many bytes")
    try:
        return to_jpeg(read(path.read_bytes(), max_side=side), quality=80)
    except Exception as error:  # decoders raise whatever they like
        raise Unreadable("not a whole picture") from error
