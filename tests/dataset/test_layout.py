"""Where class folders lie: in splits, or right in the folder that was named."""

from pathlib import Path

import pytest

from dataset.errors import TrayError
from dataset.layout import class_folders_by_split


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["a/1.jpg", "b/1.jpg"], {"train": ["a", "b"]}),
        (["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg"], {"train": ["a", "b"], "test": ["a"]}),
        (["train/a/1.jpg", "val/a/notes.txt"], {"train": ["a"]}),
        (["a/1.jpg", "b/1.jpg", "test/a/1.jpg"], {"train": ["a", "b"]}),
        (["val/a/1.jpg", "test/a/1.jpg"], {"val": ["a"], "test": ["a"]}),
        (["train/1.jpg", "car/1.jpg"], {"train": ["car", "train"]}),
    ],
    ids=["no splits", "splits", "an empty split", "a test beside", "nothing to train on", "a class named train"],
)
def test_splits_are_told_from_classes(tmp_path: Path, files: list[str], found: dict[str, list[str]]) -> None:
    """A split is one that holds class folders, and only where there is no other way to read the folder."""
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    assert {split: list(classes) for split, classes in class_folders_by_split(tmp_path).items()} == found


def test_a_folder_without_any_is_told_so(tmp_path: Path) -> None:
    """The sentence is that of a folder of class folders."""
    (tmp_path / "val").mkdir()

    with pytest.raises(TrayError, match="no subfolder with a picture"):
        class_folders_by_split(tmp_path)
