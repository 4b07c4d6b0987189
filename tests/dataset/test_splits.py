"""Which side a group is dealt to, and that it stays there."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dataset.splits import SPLITS, Group, deal, place, read_ledger, wanted, write_ledger
from dataset.tray import Split

SPLIT = Split()


def group(name: str, classes: str = "a", size: int = 1) -> Group:
    """Return a group with as many members as it has pictures."""
    return Group(name, dict.fromkeys(classes.split(), size), tuple(f"{name}-{at}" for at in range(size)))


def sides(groups: list[Group], dealt: dict[str, str]) -> dict[str, str]:
    """Return the ledger that a deal leaves."""
    return {sha: dealt[one.key] for one in groups for sha in one.members}


def test_a_key_always_lies_at_the_same_place_and_keys_lie_everywhere() -> None:
    """Places depend on key and seed alone, and a tenth of them lies in each tenth."""
    assert place("x", seed=1) == place("x", seed=1) != place("x", seed=2)
    tenths = Counter(int(10 * place(str(key), seed=0)) for key in range(5000))

    assert len(tenths) == 10
    assert min(tenths.values()) > 400


@pytest.mark.parametrize("count", [10, 37, 200, 1000])
def test_shares_are_met(count: int) -> None:
    """Groups of one picture meet the shares that were asked for to the picture."""
    split = Split(val=0.1, test=0.15)
    counts = Counter(deal([group(str(key)) for key in range(count)], split, seed=0, before={}).values())

    assert abs(counts["val"] - 0.1 * count) <= 0.5
    assert abs(counts["test"] - 0.15 * count) <= 0.5


def test_groups_of_all_sizes_and_classes_come_close() -> None:
    """With groups of one to four pictures, some of two classes, no class misses a share by more than two pictures."""
    chance = np.random.default_rng(0)
    kinds = ("pizza", "not_pizza", "background", "not_pizza background")
    groups = [group(str(key), str(chance.choice(kinds)), int(chance.integers(1, 5))) for key in range(150)]
    split = Split(val=0.15, test=0.15)
    dealt = deal(groups, split, seed=0, before={})
    for name in ("pizza", "not_pizza", "background"):
        sizes = Counter[str]()
        for one in groups:
            sizes[dealt[one.key]] += one.sizes.get(name, 0)

        assert abs(sizes["val"] - 0.15 * sizes.total()) <= 2
        assert abs(sizes["test"] - 0.15 * sizes.total()) <= 2


def test_the_order_of_groups_changes_nothing() -> None:
    """Any order gives the same deal."""
    groups = [group(str(key), "a b"[2 * (key % 2) :][:1]) for key in range(60)]

    assert deal(groups, SPLIT, seed=3, before={}) == deal(groups[::-1], SPLIT, seed=3, before={})


@pytest.mark.parametrize("count", [3, 5, 10, 17, 40])
@pytest.mark.parametrize("seed", range(6))
def test_no_split_of_a_small_class_is_empty(count: int, seed: int) -> None:
    """From three groups on, every split gets one, and none takes more than it should."""
    dealt = deal([group(f"{seed}-{key}") for key in range(count)], SPLIT, seed=seed, before={})
    counts = Counter(dealt.values())

    assert min(counts[name] for name in SPLITS) >= 1
    assert max(counts["val"], counts["test"]) <= max(1, np.ceil(0.14 * count))


def test_each_class_of_many_has_its_share() -> None:
    """The rule holds class by class, not merely over all."""
    groups = [group(f"{name}{key}", name) for name in "abcdefgh" for key in range(30)]
    dealt = deal(groups, SPLIT, seed=1, before={})
    for name in "abcdefgh":
        counts = Counter(dealt[one.key] for one in groups if name in one.sizes)

        assert counts == {"train": 24, "val": 3, "test": 3}


def test_a_split_without_a_share_stays_empty() -> None:
    """Without a share for testing there is no test side."""
    split = Split(val=0.2, test=0.0)
    dealt = deal([group(str(key)) for key in range(50)], split, seed=0, before={})

    assert wanted(split) == ("train", "val")
    assert set(dealt.values()) == {"train", "val"}


@pytest.mark.parametrize("seed", range(5))
def test_nothing_old_moves_when_pictures_are_added(seed: int) -> None:
    """A class grows in steps of any size; who was dealt stays, and each class keeps its shares."""
    chance = np.random.default_rng(seed)
    groups: list[Group] = []
    ledger: dict[str, str] = {}
    for _ in range(12):
        groups += [group(f"{len(groups) + at}", "ab"[at % 2]) for at in range(int(chance.integers(6, 20)))]
        dealt = deal(groups, SPLIT, seed=seed, before=ledger)
        now = sides(groups, dealt)

        assert all(now[sha] == side for sha, side in ledger.items())
        ledger = now
        for name in "ab":
            counts = Counter(dealt[one.key] for one in groups if name in one.sizes)

            assert abs(counts["val"] - max(1, 0.1 * counts.total())) <= 0.5
            assert abs(counts["test"] - max(1, 0.1 * counts.total())) <= 0.5


def test_a_group_that_gains_a_member_and_a_name_stays() -> None:
    """What joins an old group goes where that is, whatever the group's key is by then."""
    groups = [group(str(key)) for key in range(40)]
    ledger = sides(groups, deal(groups, SPLIT, seed=0, before={}))
    joined = [Group(f"new-{one.key}", one.sizes, (*one.members, f"copy-{one.key}")) for one in groups]
    dealt = deal(joined, SPLIT, seed=0, before=ledger)

    assert all(dealt[f"new-{one.key}"] == ledger[one.members[0]] for one in groups)


def test_a_group_that_was_dealt_to_two_sides_takes_the_stricter_one() -> None:
    """Where pictures of two splits turn out to belong together, what tested is never trained on."""
    ledger = {"a": "train", "b": "test", "c": "val"}
    joined = [
        Group("ab", {"a": 2}, ("a", "b")),
        Group("ca", {"a": 2}, ("c", "d")),
        *(group(str(at)) for at in range(9)),
    ]
    dealt = deal(joined, SPLIT, seed=0, before=ledger | {"d": "train"})

    assert (dealt["ab"], dealt["ca"]) == ("test", "val")


def test_a_split_that_lost_its_pictures_is_given_new_ones() -> None:
    """However large what is new, and however small what is old: that was trained on, and must not test."""
    old = [group(str(key)) for key in range(4)]
    ledger = {"0-0": "val", "1-0": "train", "2-0": "train", "3-0": "train"}
    dealt = deal([*old, group("burst", size=40)], SPLIT, seed=0, before=ledger)

    assert dealt == {"0": "val", "1": "train", "2": "train", "3": "train", "burst": "test"}


def test_of_three_bursts_the_largest_trains() -> None:
    """Where all are too large to validate or to test, the smaller ones do, so that most is learned from."""
    groups = [group("b", size=20), group("a", size=40), group("c", size=30)]
    for seed in range(8):
        assert deal(groups, SPLIT, seed=seed, before={})["a"] == "train"


def test_large_groups_do_not_burst_a_split() -> None:
    """A burst of forty pictures in a class of eighty trains; small groups validate and test."""
    groups = [group("burst", size=40), *(group(str(key)) for key in range(40))]
    for seed in range(8):
        dealt = deal(groups, SPLIT, seed=seed, before={})

        assert dealt["burst"] == "train"
        assert set(dealt.values()) == set(SPLITS)


def test_the_ledger_is_read_back_and_forgotten_with_other_shares(tmp_path: Path) -> None:
    """Another seed or other shares deal anew; a missing or torn file is an empty ledger."""
    path = tmp_path / "splits.jsonl"
    write_ledger(path, {"b": "val", "a": "train"}, SPLIT, seed=1)

    assert read_ledger(path, SPLIT, seed=1) == {"a": "train", "b": "val"}
    assert read_ledger(path, SPLIT, seed=2) == {}
    assert read_ledger(path, Split(val=0.2), seed=1) == {}
    assert read_ledger(tmp_path / "none", SPLIT, seed=1) == {}
    path.write_text("{")
    assert read_ledger(path, SPLIT, seed=1) == {}
