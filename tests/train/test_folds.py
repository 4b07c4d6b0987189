"""Cross-validation: who is judged by whom."""

from pathlib import Path

import numpy as np
import pytest

from dataset.errors import NotEnoughImages, TrayError
from dataset.tray import Train
from tests.train.conftest import draw_class
from train.data import Photo, read_dataset
from train.evaluate import Evaluation, threshold, with_more
from train.fit import train
from train.folds import cross_validate, deal, groups_of
from train.runs import Run


@pytest.fixture
def colour_data(tmp_path: Path) -> Path:
    """Return a folder of three classes."""
    for kind in ("plum", "tomato", "lettuce"):
        draw_class(tmp_path / "colours" / kind, [kind], 16)
    return tmp_path / "colours"


def test_groups_never_straddle_folds_and_classes_are_dealt_evenly() -> None:
    """Near-duplicates share a fold, and each fold gets its share of each class."""
    photos = [Photo(Path(f"{n}.jpg"), n % 2, "train", f"{n:064}") for n in range(40)]
    groups = [f"group{n // 4 * 2 + n % 2}" for n in range(40)]
    found = deal(photos, groups, 5)

    assert all(len(set(found[[one == group for one in groups]])) == 1 for group in set(groups))
    assert np.bincount(found).tolist() == [8] * 5
    with pytest.raises(NotEnoughImages, match="5 folds"):
        deal(photos[:6], groups[:6], 5)


def test_groups_are_those_of_the_build(tmp_path: Path) -> None:
    """What metadata.jsonl says counts; a photo that it does not name stands alone."""
    draw_class(tmp_path / "train" / "plum", ["plum"], 3)
    (tmp_path / "metadata.jsonl").write_text(
        "\n".join(f'{{"file_name": "train/plum/plum00{n}.jpg", "group": "g"}}' for n in range(2))
    )
    dataset = read_dataset(tmp_path)
    groups = dict(zip((one.path.name for one in dataset.photos), groups_of(dataset, dataset.photos), strict=True))

    assert groups["plum000.jpg"] == groups["plum001.jpg"] == "g"
    assert len(groups["plum002.jpg"]) == 64


def test_every_photo_is_judged_once(
    plain_data: Path, settings: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a backbone's run all pictures count, parts or not; each threshold comes from the other folds alone."""
    *_, run = train({"": plain_data}, tmp_path, settings, name="x")
    assert isinstance(run, Run)
    asked: list[int] = []

    def noted(probabilities: np.ndarray, truth: np.ndarray, **wanted: float | None) -> float:
        asked.append(len(truth))
        return threshold(probabilities, truth, **wanted)

    monkeypatch.setattr("train.folds.threshold", noted)
    *_, found = cross_validate(run, folds=4)

    assert isinstance(found, Evaluation)
    assert found.n == len({one.sha256 for one in read_dataset(plain_data).photos})
    assert found.accuracy > 0.75
    assert (len(asked), sum(asked)) == (4, 3 * found.n)
    assert "4 folds" in found.judged_on


def test_each_item_stands_against_the_rest_of_its_folder(colour_data: Path, settings: Train, tmp_path: Path) -> None:
    """Items that share a folder are cross-validated as they were trained: each against all else; others are refused."""
    *_, run = train({"plum": colour_data, "tomato": colour_data}, tmp_path, settings, name="x")
    assert isinstance(run, Run)
    *_, found = cross_validate(run, folds=3)

    assert isinstance(found, Evaluation)
    assert set(found.items["plum"].per_class) == {"not_plum", "plum"}
    draw_class(tmp_path / "other" / "lettuce", ["lettuce"], 4)
    draw_class(tmp_path / "other" / "melon", ["plum"], 4)
    with pytest.raises(TrayError, match="melon"):
        list(cross_validate(run, tmp_path / "other", folds=3))


def test_a_network_that_trains_from_nothing_is_not_cross_validated(plain_run: Run) -> None:
    """It would take as many trainings as folds."""
    with pytest.raises(TrayError, match="backbone"):
        list(cross_validate(plain_run, folds=3))


def test_learning_curves_go_on_as_a_power() -> None:
    """Errors that fall as the root of the pictures go on so; two points, or errors that rise, promise nothing."""
    pictures = [50, 100, 200, 400]

    assert with_more(pictures, [2 / n**0.5 for n in pictures], 500) == pytest.approx(2 / 900**0.5)
    assert with_more(pictures[:2], [0.2, 0.1]) is None
    assert with_more(pictures, [0.1, 0.2, 0.2, 0.3]) is None
