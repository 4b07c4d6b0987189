"""What the trainer reads, and how it deals it out."""

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import TrayError
from tests.train.conftest import draw_class
from train.data import class_weights, read_dataset


def test_class_weights_make_classes_count_the_same() -> None:
    """Each class weighs the same in all, and a picture 1 on average; balanced classes are left alone."""
    weights = class_weights(np.array([0, 0, 0, 1]))

    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights.mean() == pytest.approx(1)
    assert class_weights(np.array([0, 1, 1, 0])).tolist() == [1, 1, 1, 1]


def test_a_built_dataset_that_lost_pictures_is_refused(built_data: dict[str, Path], tmp_path: Path) -> None:
    """A picture that went, and one that came since the build, are named; as it was built it is read."""
    folder = shutil.copytree(built_data["plum"], tmp_path / "plum")
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.jpg"))]
    (folder / "metadata.jsonl").write_text("".join(json.dumps({"file_name": name}) + "\n" for name in names))
    assert len(read_dataset(folder).photos) == len(names)
    (folder / names[0]).rename(folder / "train" / "plum" / "new.jpg")

    with pytest.raises(TrayError, match=rf"1 fewer and 1 more, such as {names[0]}\. Build"):
        read_dataset(folder)


def test_a_picture_overwritten_since_the_build_is_named(built_data: dict[str, Path], tmp_path: Path) -> None:
    """The bytes are held to what the build noted; times alone, as after a copy, change nothing."""
    folder = shutil.copytree(built_data["plum"], tmp_path / "plum", copy_function=shutil.copyfile)
    paths = sorted(folder.rglob("*.jpg"))
    lines = [
        {"file_name": one.relative_to(folder).as_posix(), "digest": hashlib.sha256(one.read_bytes()).hexdigest()[:16]}
        for one in paths
    ]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(read_dataset(folder).photos) == len(paths)
    paths[0].write_bytes(paths[1].read_bytes())

    with pytest.raises(TrayError, match=rf"1 that was changed since, such as {lines[0]['file_name']}\. Build"):
        read_dataset(folder)


def test_copies_that_a_build_would_leave_out_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a folder that nobody built, a file may lie in two classes, or be learned from and judged by."""
    logging.getLogger("tray").propagate = True
    for part, seed in (("train", 1), ("test", 2)):
        draw_class(tmp_path / part / "plum", ["plum"], 3, seed=seed)
        draw_class(tmp_path / part / "other", ["tomato"], 3, seed=seed)
    read_dataset(tmp_path)
    assert caplog.text == ""

    shutil.copy(tmp_path / "train" / "plum" / "plum000.jpg", tmp_path / "train" / "other" / "again.jpg")
    for name in ("plum001.jpg", "plum002.jpg"):
        shutil.copy(tmp_path / "train" / "plum" / name, tmp_path / "test" / "plum" / f"copy_{name}")
    read_dataset(tmp_path)
    assert ": 1 lie in" in caplog.text
    assert "more than one class" in caplog.text
    assert ": 2 lie in" in caplog.text
    assert "more than one of train, val and test" in caplog.text
