"""Real photographs with known copies and known traps."""

import csv
from collections import defaultdict
from pathlib import Path

from dataset.choose import Rejected
from dataset.tray import Build
from tests.dataset.conftest import built

SMALL = Build(max_side=64)


def gone(source: Path, tmp_path: Path) -> tuple[Rejected, ...]:
    """Return what a build leaves out."""
    return built(source, tmp_path / "out", SMALL).rejected


def test_a_real_scrape_loses_its_copies_and_nothing_else(real_data: Path, tmp_path: Path) -> None:
    """Of the known groups of copies in a real scrape all but 2 in 100 are found, and nothing else is dropped for long.

    Beyond the known groups the build finds one more copy, an enlarged cut-out of a picture that is there twice.
    """
    source = real_data / "scraped_pizza_raw"
    known = defaultdict(set)
    with (source / "DUPLICATE_GROUPS.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            known[row["group"]].add(row["path"].removeprefix("scraped_pizza_raw/"))
    result = built(source, tmp_path / "out", SMALL)
    dropped = {one.source: one.kept for one in result.rejected}
    found = [group for group in known.values() if len(group - dropped.keys()) <= 1 and group & dropped.keys()]
    wrong = {
        source
        for source, kept in dropped.items()
        if not any({source, kept} <= group for group in known.values()) and source != "savoyard/images (56).jpg"
    }

    assert set(result.dropped) == {"duplicate bytes", "near duplicate"}
    assert len(found) >= 0.98 * len(known)
    assert len(wrong) <= 1


def test_bicycles_on_white_are_not_merged(real_data: Path, tmp_path: Path) -> None:
    """Of bicycles of much the same outline one goes: the second copy of the one photo that is there twice."""
    twice = {"mountain_bike_101.jpg", "mountain_bike_3.jpg"}
    for at, path in enumerate(sorted((real_data / "bikes").rglob("*.jpg"))):
        # Half of the bicycles have a quarter of the pairs.
        if at % 2 or path.name in twice:
            (tmp_path / "bikes" / path.parent.name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "bikes" / path.parent.name / path.name).symlink_to(path)
    left_out = gone(tmp_path / "bikes", tmp_path)

    assert [{one.source.split("/")[1], one.kept.split("/")[1]} for one in left_out] == [twice]


def test_goods_and_trash_are_not_merged(real_data: Path, tmp_path: Path) -> None:
    """Other photos of the same milk, and bottles on one grey table, all stay."""
    for name in ("products10", "trash6"):
        assert gone(real_data / name, tmp_path / name) == ()


def test_a_photo_filed_under_two_classes_is_a_conflict(real_data: Path, tmp_path: Path) -> None:
    """Three photos that a public dataset files twice are told, and none stays unless the settings say so."""
    would = built(
        real_data / "label_conflicts",
        tmp_path / "out",
        Build(max_side=64, conflicts="keep-all", split={"val": 0, "test": 0}),  # type: ignore[arg-type]
        dry_run=True,
    )

    assert would.conflicts == 3
    assert would.dropped == {}
