"""What shares a side, and what can have none."""

from dataclasses import replace

import pytest

from dataset.choose import MERITS, Choice, Provenance, choose, groups, held_out
from dataset.duplicates import Comparison
from dataset.images import ImageInfo
from dataset.quality import measure
from dataset.review.verdicts import Verdict
from dataset.scan import Picture
from dataset.tray import Build
from tests.dataset.conftest import drawn


def picture(sha256: str, side: int = 400, *, form: str = "PNG", size: int = 9000, border: float = 0.0) -> Picture:
    """Return a square picture of which so much is border."""
    info = ImageInfo(form, width=side, height=side, sha256=sha256)
    return Picture(info, size, replace(measure(drawn(1, (80, 80)), info, size=size), border=border))


@pytest.mark.parametrize(
    ("best", "other", "merit"),
    [
        (picture("b", 420), picture("a", 400), 0),
        (picture("b", 400), picture("a", 420, border=0.2), 0),
        (picture("b", 400), picture("enlarged", 800), 1),
        (picture("b"), picture("a", form="JPEG"), 2),
        (picture("b", form="JPEG", size=9000), picture("a", form="JPEG", size=8000), 3),
        (picture("early"), picture("a"), 4),
        (picture("b"), picture("c"), 5),
    ],
)
def test_the_best_copy_stays(best: Picture, other: Picture, merit: int) -> None:
    """More of the picture itself, not enlarged, lossless, less compressed, earlier; and the reason says which."""
    one, two = best.info.sha256, other.info.sha256
    how = Comparison("same", "64 pixels", 0, enlarged="enlarged" if two == "enlarged" else "")
    found = choose(
        [("x/1.jpg", other), ("x/2.jpg", best)],
        {(min(one, two), max(one, two)): how},
        order=["x"],
        contradict=lambda _: False,
        known={"early": Provenance(fetched="2026-01-01"), "a": Provenance(fetched="2026-01-02")},
        said={},
        settings=Build(),
        dealt={},
    )

    assert [kept.sha256 for kept in found.kept] == [one]
    assert [(gone.sha256, gone.reason) for gone in found.rejected] == [(two, "near duplicate")]
    assert MERITS[merit] in found.rejected[0].detail


def test_whoever_ties_two_sides_by_others_is_held_out() -> None:
    """Of three new pictures that hang together, the one that brings in the other side stays out."""
    pairs = [("a", "b"), ("b", "x"), ("a", "c"), ("c", "y")]

    assert held_out("abcxy", pairs, {"x": "train", "y": "test"}) == {"c": ["test", "train"]}
    assert held_out("abcxy", pairs, {"x": "train", "y": "train"}) == {}


def test_a_page_joins_no_two_sides() -> None:
    """What one page shows goes together, but what was dealt to two splits stays apart, whoever else was on the page."""
    choice = Choice([], [], links=[("a", "b")], galleries=[("a", "c"), ("a", "d")])

    assert len(set(groups(choice, "abcd", {}).values())) == 1
    keys = groups(choice, "abcd", {"c": "train", "d": "test"})
    assert keys["a"] == keys["b"] == keys["c"] != keys["d"]


def test_a_copy_of_what_was_thrown_out_of_another_class_may_come() -> None:
    """Whoever throws a picture out of one class says nothing of the other; and no word mends a file that is cut."""
    cut = Picture(ImageInfo("JPEG", sha256="cut", error="truncated"), 90, None)
    how = Comparison("same", "64 pixels", 0)
    keep, drop = (Verdict("1.jpg", word, time="2026-01-01") for word in ("keep", "drop"))
    found = choose(
        [("x/1.jpg", picture("a")), ("y/1.jpg", picture("b", 300)), ("y/2.jpg", cut)],
        {("a", "b"): how},
        order=["x", "y"],
        contradict=lambda _: False,
        known={"b": Provenance(fetched="2026-01-02")},
        said={"x/1.jpg": drop, "y/2.jpg": keep},
        settings=Build(),
        dealt={},
    )

    assert [kept.source for kept in found.kept] == ["y/1.jpg"]
    assert [(one.source, one.reason) for one in found.rejected] == [("x/1.jpg", "review"), ("y/2.jpg", "truncated")]
