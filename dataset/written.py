"""Whether the pictures that a build wrote are as it wrote them: by size and time, by content where these differ."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from dataset.scan import Memory

DIGEST = "digest"
"""What metadata.jsonl calls the start of the SHA-256 of a picture as it was written."""


def digest(data: bytes) -> str:
    """Return what names the bytes of a written picture."""
    return hashlib.sha256(data).hexdigest()[:16]


def digests(memory: Memory, paths: Iterable[Path]) -> dict[str, str]:
    """Return the digest of each file of the pool by its name; those that were overwritten since are removed.

    A file that is as it was left is not read again.
    """
    base = memory.base
    base.execute("CREATE TABLE IF NOT EXISTS pool (name TEXT PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT)")
    found = {}
    for path in paths:
        try:
            status = path.stat()
            known = base.execute("SELECT size, changed, digest FROM pool WHERE name = ?", (path.name,)).fetchone()
            size, changed, was = known or (-1, -1, "")
            unchanged = (size, changed) == (status.st_size, status.st_mtime_ns)
            is_now = was if unchanged else digest(path.read_bytes())
        except FileNotFoundError:
            continue
        if was and is_now != was:
            path.unlink()
            base.execute("DELETE FROM pool WHERE name = ?", (path.name,))
            continue
        found[path.name] = is_now
        if unchanged:
            continue
        row = (path.name, status.st_size, status.st_mtime_ns, is_now)
        base.execute("INSERT OR REPLACE INTO pool VALUES (?, ?, ?, ?)", row)
    base.commit()
    return found


def forget(memory: Memory) -> None:
    """Forget the digests of a pool that is made anew."""
    memory.base.execute("DROP TABLE IF EXISTS pool")


def note_written(out: Path, metadata: Path, memory: Memory) -> None:
    """Note how the pictures of a dataset lie there. Raises OSError when one is gone."""
    memory.note(_key(out), _shape(out, _names(metadata)))


def is_as_written(out: Path, metadata: Path, memory: Memory) -> bool:
    """Return whether a dataset's pictures are those that its metadata tells of.

    They are read only where sizes or times are not as noted last. Raises OSError when one is gone.
    """
    names = _names(metadata)
    if memory.recall(_key(out)) == _shape(out, names):
        return True
    if any(made and digest((out / name).read_bytes()) != made for name, made in names.items()):
        return False
    note_written(out, metadata, memory)
    return True


def _key(out: Path) -> str:
    return f"written {out.absolute()}"


def _names(metadata: Path) -> dict[str, str]:
    """Return the digest of each picture of a dataset, empty where an older build has noted none."""
    with metadata.open(encoding="utf-8") as lines:
        return {row["file_name"]: row.get(DIGEST, "") for row in map(json.loads, lines)}


def _shape(out: Path, names: Iterable[str]) -> str:
    """Return a digest of names, sizes and times."""
    whole = hashlib.sha256()
    for name in names:
        status = (out / name).stat()
        whole.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return whole.hexdigest()
