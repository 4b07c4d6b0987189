"""What a whole pipeline made of the site: class folders and datasets against the truth, and fresh pictures to try."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataset.folder import make_folder, records
from dataset.tray import Tray, class_plans
from scraper.simulator.pictures import draw
from scraper.simulator.truth import Truth

UNSEEN: Final = 2_000_000_011
"""The seed of the fresh pictures: far beyond those of the pictures that the site offers."""
FRESH_SIZE: Final = (640, 480)
LOOK_ALIKES: Final = ("quiche", "tomato", "empty_tray")
"""Fresh pictures of none of the items."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of what the site had (shares), and what built datasets hold that they should not (counts)."""

    recall: float
    precision: float
    duplicates_left: int
    duplicates_across_splits: int
    invalid_in_datasets: int


def judge(tray: Tray, truth: Truth) -> Judgement:
    """Judge a tray's class folders and built datasets against what the site knows to be true."""
    plans = class_plans(tray)
    kept = {one.sha256: one.url for plan in plans for one in records(tray.raw / plan.name) if one.kept}
    # What an earlier start of the site handed out within its pages has no address to know it by: it is not judged.
    kept = {sha: url for sha, url in kept.items() if sha in truth.by_sha256 or not url.startswith("data:")}
    score = truth.score([term for plan in plans for term in plan.terms], kept.items())
    left = across = invalid = 0
    for metadata in sorted(tray.built.glob("*/metadata.jsonl")):
        sides: dict[str, set[str]] = {}
        for line in map(json.loads, metadata.read_text(encoding="utf-8").splitlines()):
            if line["sha256"] not in kept:
                continue
            picture = truth.identify(line["sha256"]) or truth.identify(kept[line["sha256"]])
            if picture is None:
                invalid += 1
                continue
            left += picture.group in sides
            sides.setdefault(picture.group, set()).add(line["split"])
        across += sum(len(splits) > 1 for splits in sides.values())
    return Judgement(round(score.recall, 4), round(score.precision, 4), left, across, invalid)


def draw_fresh(items: Iterable[str], folder: Path) -> Iterator[Path]:
    """Draw a JPEG of each item and of look-alikes that the site never offers, as photos from outside the dataset."""
    for kind in (*items, *LOOK_ALIKES):
        path = make_folder(folder) / f"{kind}.jpg"
        draw(kind, UNSEEN, FRESH_SIZE).save(path, quality=90)
        yield path
