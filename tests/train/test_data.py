"""What the trainer reads, and how it deals it out."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import TrayError
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
