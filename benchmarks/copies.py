"""How many files a usual rule for near-duplicates would remove from class folders, and how many tray; cut files found.

    python benchmarks/copies.py FOLDER...

The rule is imagededup's default: two pictures are one when the 64-bit pHashes differ in at most ten bits. Cut files are
the folders' own JPEGs without their second half, shown to Pillow's ``verify()`` and to a build's look. Prints one JSON
object per folder; look at what is removed before believing either.
"""

import io
import json
import sys
import tempfile
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from dataset.build import Built, build_folder
from dataset.folder import class_folders, pictures
from dataset.images import inspect
from dataset.tray import Build

BITS = 10
CUT = 200
"""Files that are cut at most."""


def main() -> None:
    """Measure each folder, and print the figures."""
    for folder in map(Path, sys.argv[1:]):
        files = [path for classes in class_folders(folder).values() for path in pictures(classes)]
        print(
            json.dumps({"folder": folder.name, "files": len(files), **by_rule(files), **by_tray(folder), **cut(files)})
        )


def by_rule(files: list[Path]) -> dict[str, int]:
    """Return how many pairs the rule calls the same, and how many files it would remove, keeping the first of each."""
    hashes = np.array([imagehash.phash(Image.open(path)).hash.ravel() for path in files])
    removed: set[int] = set()
    pairs = 0
    for number, one in enumerate(hashes):
        same = number + 1 + np.flatnonzero((hashes[number + 1 :] != one).sum(axis=1) <= BITS)
        pairs += len(same)
        if number not in removed:
            removed |= set(same.tolist())
    return {"pairs_by_rule": pairs, "removed_by_rule": len(removed)}


def by_tray(folder: Path) -> dict[str, int]:
    """Return how many files a build would leave out as copies."""
    with tempfile.TemporaryDirectory() as temporary:
        *_, built = build_folder(folder, Path(temporary) / "out", Build(), dry_run=True)
    assert isinstance(built, Built)
    return {"removed_by_tray": sum(built.dropped.get(reason, 0) for reason in ("duplicate bytes", "near duplicate"))}


def cut(files: list[Path]) -> dict[str, int]:
    """Return how many halves of JPEGs are found out, by Pillow's own check and by a build's."""
    halves = [path.read_bytes() for path in files if path.suffix.lower() in {".jpg", ".jpeg"}][:CUT]
    halves = [data[: len(data) // 2] for data in halves if data[:2] == b"\xff\xd8" and not inspect(data).error]
    return {
        "cut": len(halves),
        "cut_found_by_verify": sum(not _verified(data) for data in halves),
        "cut_found_by_tray": sum(bool(inspect(data).error) for data in halves),
    }


def _verified(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).verify()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
