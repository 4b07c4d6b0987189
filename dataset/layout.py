"""How class folders lie below a folder that was named: it is one itself, or they are in it, or in its splits."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dataset.errors import TrayError
from dataset.folder import MANIFEST, class_folders, holds_pictures, subfolders
from dataset.splits import SPLITS

SplitName = Literal["train", "val", "test"]
Form = Literal["class folder", "class folders", "dataset"]


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    """A folder of pictures of one class, and where it stands; ``split`` is empty where there are none."""

    label: str
    split: str
    path: Path


def classes_in(root: Path) -> dict[str, Path]:
    """Return the class folders in ``root``, sorted: those with a picture, and those with a manifest that has none yet.

    Raises OSError when ``root`` can't be listed.
    """
    return {path.name: path for path in subfolders(root) if (path / MANIFEST).exists() or holds_pictures(path)}


def class_folders_by_split(root: Path) -> dict[SplitName, dict[str, Path]]:
    """Return the class folders of each split below ``root``; those right in it, as ``train``, where no split trains.

    Splits that hold none are passed over. Raises TrayError as ``class_folders`` does.
    """
    found: dict[SplitName, dict[str, Path]] = {}
    for split in SPLITS:
        with suppress(TrayError):
            found[split] = class_folders(root / split)
    if "train" in found:
        return found
    try:
        return {"train": class_folders(root)}
    except TrayError:
        if not found:
            raise
        return found


def lying_in(root: Path) -> tuple[list[LabelledFolder], Form]:
    """Return the class folders at or below ``root``, sorted by label, then by split, and which form that is.

    Raises OSError when ``root`` can't be listed.
    """
    inside = {path.name: path for path in subfolders(root)}
    if inside and not inside.keys() - set(SPLITS):
        parts = [
            LabelledFolder(label, split, path)
            for split in SPLITS
            if split in inside
            for label, path in classes_in(inside[split]).items()
        ]
        if parts:
            return sorted(parts, key=lambda part: part.label), "class folders"
    found = [LabelledFolder(label, "", path) for label, path in classes_in(root).items()]
    return (found, "class folders") if found else ([LabelledFolder(root.name, "", root)], "class folder")
