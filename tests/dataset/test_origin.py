"""A built dataset knows its raw pictures, wherever both are moved, and says when they have changed."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dataset.build import Built, build, build_folder
from dataset.folder import DATASET, REVIEW
from dataset.origin import outdated, source_of, staleness
from dataset.review.catalogue import open_catalogue
from dataset.tray import Build, Item, Tray
from tests.dataset.conftest import built, fill, written

TINY = Build(max_side=96)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a folder with raw pictures in ``photos`` and a dataset of them in ``sets/animals``."""
    fill(tmp_path / "house" / "photos" / "cat", range(12))
    fill(tmp_path / "house" / "photos" / "dog", range(100, 112))
    built(tmp_path / "house" / "photos", tmp_path / "house" / "sets" / "animals", TINY)
    return tmp_path / "house"


def test_a_dataset_names_its_raw_pictures_by_a_relative_path(house: Path) -> None:
    """dataset.json has the address; review shows the raw pictures behind the built ones."""
    animals = house / "sets" / "animals"

    assert json.loads((animals / DATASET).read_text())["source"] == "../../photos"
    assert source_of(animals) == house / "photos"
    assert open_catalogue(animals).raw == house / "photos"


@pytest.mark.parametrize("place", ["moved", "house/sets/deep/er/animals", "house/animals"])
def test_raw_pictures_are_found_after_a_move(house: Path, place: str) -> None:
    """The house moved as a whole, and the dataset moved within it."""
    target = house.parent / place
    if place == "moved":
        house.rename(target)
        animals = target / "sets" / "animals"
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        animals = (house / "sets" / "animals").rename(target)

    assert source_of(animals) == (house.parent / place.split("/", maxsplit=1)[0] / "photos")


def test_a_folder_of_other_things_is_not_taken_for_the_source(house: Path) -> None:
    """What lies at the old address counts only with a class folder of the dataset in it."""
    (house / "photos").rename(house / "elsewhere")
    (house / "photos" / "holiday").mkdir(parents=True)

    assert source_of(house / "sets" / "animals") is None
    assert staleness(house / "sets" / "animals") == ()


def test_a_dataset_older_than_its_raw_pictures_says_so(house: Path) -> None:
    """More pictures, and verdicts of a review, are told apart and stand on top of the report; a build settles it."""
    animals = house / "sets" / "animals"
    for path in (house / "photos").rglob("*.jpg"):
        os.utime(path, (1, 1))
    assert staleness(animals) == ()

    fill(house / "photos" / "cat", range(50, 53))
    (house / "photos" / "dog" / REVIEW).write_text('{"file": "00100.jpg", "verdict": "drop"}\n')

    assert staleness(animals) == ("3 more raw pictures", "new verdicts of the review")
    page = written(animals).read_text(encoding="utf-8")
    assert "is stale: since it was built there are 3 more raw pictures and new verdicts of the review" in page

    list(build_folder(house / "photos", animals, TINY))
    assert staleness(animals) == ()
    assert "is stale" not in written(animals).read_text(encoding="utf-8")


def test_exchanged_raw_pictures_are_noticed(house: Path) -> None:
    """As many as before, but not the same."""
    shutil.copyfile(house / "photos" / "cat" / "00001.jpg", house / "photos" / "cat" / "00002.jpg")

    assert staleness(house / "sets" / "animals") == ("other raw pictures",)


def test_pictures_that_come_during_a_build_are_not_taken_for_built(house: Path) -> None:
    """What arrives after the build listed its files makes the dataset stale, and the next build takes it in."""
    animals = house / "sets" / "animals"
    fill(house / "photos" / "cat", range(60, 63))
    work = build_folder(house / "photos", animals, TINY)
    next(work)
    fill(house / "photos" / "dog", range(160, 162))
    (house / "photos" / "dog" / REVIEW).write_text('{"file": "00100.jpg", "verdict": "drop"}\n')
    *_, during = work

    assert isinstance(during, Built)
    assert staleness(animals) == ("2 more raw pictures", "new verdicts of the review")
    *_, after = build_folder(house / "photos", animals, TINY)
    assert isinstance(after, Built)
    assert (after.unchanged, after.kept) == (False, during.kept + 2)
    assert staleness(animals) == ()


def test_a_dataset_of_other_items_than_the_tray_has_is_outdated(tmp_path: Path) -> None:
    """An item that came, one that went and a background that came are told; a build settles it."""
    for n, name in enumerate(("cat", "dog", "background")):
        fill(tmp_path / "data" / "raw" / name, range(100 * n, 100 * n + 12))
    (tmp_path / "data" / "raw" / "background").rename(tmp_path / "background")
    before = Tray({name: Item((name,)) for name in ("cat", "dog")}, build=TINY, file=tmp_path / "tray.toml")
    list(build(before))
    cat, both = before.built / "cat", before.built / "multiclass"
    assert outdated(cat, before) == outdated(both, before) == ()

    (tmp_path / "background").rename(before.raw / "background")
    fill(before.raw / "cow", range(300, 312))
    after = replace(before, items={name: Item((name,)) for name in ("cat", "cow", "hen")})
    assert outdated(cat, after) == ("pictures of background", "pictures of cow", "no item dog any more")
    assert outdated(both, after) == ("pictures of cow", "no item dog any more")

    after = replace(before, items={name: Item((name,)) for name in ("cat", "cow")})
    list(build(after))
    assert outdated(cat, after) == outdated(both, after) == ()
