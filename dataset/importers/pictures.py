"""Where the pictures of a source lie."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from dataset.folder import SUFFIXES
from dataset.importers.labelled import Labelled, address, read_file

log: Final = logging.getLogger("tray")
KNOWN = SUFFIXES | {".ppm"}
Find = Callable[[str], Path | str]
"""From a picture's name, as a table gives it, to its file; or to the reason why there is none."""


def is_picture(name: str) -> bool:
    """Return whether a file's name is that of a picture, and not of what a system hides."""
    parts = name.replace("\\", "/").split("/")
    hidden = any((part.startswith(".") and part not in {".", ".."}) or part == "__MACOSX" for part in parts)
    return not hidden and os.path.splitext(parts[-1])[1].lower() in KNOWN  # noqa: PTH122 - millions of names


def picture_files(root: Path) -> Iterator[Path]:
    """Yield the pictures below a folder in a fixed order; hidden files and folders are passed over.

    Links to folders are not followed, since they may lead anywhere; the log names them.
    """
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for link in (path for path in (Path(folder, name) for name in folders) if path.is_symlink()):
            log.warning("%s is a link to another folder and is not followed; import that folder itself.", link)
        yield from (Path(folder, name) for name in sorted(files) if is_picture(name))


def finder(roots: Sequence[Path]) -> Find:
    """Return what finds a picture by the name that a table gives it, below one of the folders and nowhere else.

    A name may be a path, lack its suffix, or lack the folders that it lies in where that leaves no doubt.
    """
    inside = [root.resolve() for root in roots]
    index: dict[str, list[Path]] = {}

    def fill() -> None:
        seen = set()
        for path in (path for root in roots for path in picture_files(root)):
            if path not in seen:
                seen.add(path)
                for key in {path.name, path.stem}:
                    index.setdefault(key, []).append(path)
        index.setdefault("", [])

    def find(name: str) -> Path | str:
        if not name:
            return "no file name"
        name = name.replace("\\", "/")
        for path in (root / name for root in roots):
            if _is_file(path):
                held = any(path.resolve().is_relative_to(root) for root in inside)
                return path if held else "outside the source"
        if not index:
            fill()
        tail = Path(name).name
        found = index.get(tail) or index.get(Path(name).stem, [])
        # The longest match of folders decides between namesakes.
        near = [path for path in found if path.with_suffix("").as_posix().endswith("/" + _bare(name))] or found
        return near[0] if len(near) == 1 else "missing file" if not near else "ambiguous file name"

    return find


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A column of texts, looked at for file names, may hold what is too long for one.
        return False


def _bare(name: str) -> str:
    return Path(name).with_suffix("").as_posix().removeprefix("./").lstrip("/") if is_picture(name) else name


def named(name: str, label: str, find: Find, *, origin: str, split: str = "") -> Labelled:
    """Return the picture that a table names; ``origin`` is the address of its row, for pictures that are not there."""
    found = find(name)
    if isinstance(found, str):
        return Labelled(label, origin, split=split, error=f"{found}: {name}" if name else found)
    return Labelled(label, address(found), partial(read_file, found), split=split)
