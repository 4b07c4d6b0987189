"""Whether the pictures that a build wrote are as it wrote them, and what a person changed among them since."""

import hashlib
import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dataset.folder import BESIDES, DATASET, METADATA
from dataset.scan import Memory
from dataset.splits import SPLITS

log: Final = logging.getLogger("tray")
ASIDE = "by_hand"
"""Folder of a dataset in which a build keeps what it did not write itself."""
OURS = re.compile(r"[0-9a-f]{16}\.jpg")

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


def put_aside(out: Path, raw: Path) -> None:
    """Keep what a person put among the pictures of a dataset that is to be written anew, below ``by_hand``.

    What was moved or removed by hand is told, with the folder of ``raw`` pictures, where that would have lasted.
    Raises OSError when a file can't be moved.
    """
    try:
        written = set(_names(out / METADATA)) if (out / DATASET).exists() else set()
    except (OSError, ValueError, KeyError, TypeError):
        written = set()
    found = [path for split in SPLITS for path in sorted((out / split).rglob("*")) if path.is_file()]
    there = {path.relative_to(out).as_posix() for path in found}
    foreign = [path for path in found if not (OURS.fullmatch(path.name) or path.name in BESIDES or path.name[0] == ".")]
    for path in foreign:
        target = out / ASIDE / path.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        # What was put aside before may have the same name.
        path.replace(target if not target.exists() else target.with_stem(f"{path.stem}-{path.stat().st_mtime_ns}"))
    if foreign:
        log.warning(
            "%s: among its pictures lay %d file%s that no build wrote; find them in %s. "
            "To build with them, put them into the class folders of %s.",
            out, len(foreign), "s" * (len(foreign) != 1), out / ASIDE, raw,
        )  # fmt: skip
    kept = {Path(name).name for name in there}
    gone = sum(Path(name).name not in kept for name in written)
    moved = len(written - there) - gone
    if gone or moved:
        log.warning(
            "%s: pictures were moved (%d) or removed (%d) there by hand, and the build undoes that. "
            "Do it in %s, or say it in its review: tray review %s", out, moved, gone, raw, raw,
        )  # fmt: skip


def _key(out: Path) -> str:
    return f"written {out.absolute()}"


def _names(metadata: Path) -> dict[str, str]:
    """Return the digest of each picture of a dataset, empty where an older build has noted none."""
    with metadata.open(encoding="utf-8") as lines:
        return {str(row["file_name"]): row.get(DIGEST, "") for row in map(json.loads, lines)}


def _shape(out: Path, names: Iterable[str]) -> str:
    """Return a digest of names, sizes and times."""
    whole = hashlib.sha256()
    for name in names:
        status = (out / name).stat()
        whole.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return whole.hexdigest()
