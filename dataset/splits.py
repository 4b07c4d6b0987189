"""Which pictures train, which validate and which test, so that nothing leaks and nothing ever moves.

The rule, in this order:

1. The unit is the group: pictures that are the same or belong together are dealt as one.
2. A group that was dealt before stays where it is, whatever joins it later; the ledger remembers it.
3. The others stand in the order of their salted hashes. From the front, the test split takes what brings each of its
   classes to its share, then the validation split does; the rest trains. So each class folder (an item, its
   look-alikes, the background) is in every split in the shares that were asked for, now and after it has grown.

This depends on the groups, the seed and the ledger alone, not on the order of files.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataset.folder import DATASET, METADATA, write_whole
from dataset.tray import Split

SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that share one side: the key that deals them, how many, and the SHA-256 of every member."""

    key: str
    sizes: Mapping[str, int]
    """Kept pictures by class."""
    members: tuple[str, ...]


def wanted(split: Split) -> tuple[str, ...]:
    """Return the splits that have a share, ``train`` first."""
    return tuple(name for name in SPLITS if name == "train" or getattr(split, name) > 0)


def place(key: str, *, seed: int) -> float:
    """Return where a key lies between 0 and 1: the same always, and spread evenly over keys."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def deal(groups: list[Group], split: Split, *, seed: int, before: Mapping[str, str]) -> dict[str, str]:
    """Return the split of every group's key; ``before`` is the ledger, by the SHA-256 of pictures."""
    places = {group.key: place(group.key, seed=seed) for group in groups}
    groups = sorted(groups, key=lambda one: (places[one.key], one.key))
    dealt: dict[str, str] = {}
    for group in groups:
        sides = sorted({before[sha] for sha in group.members if sha in before}, key=SPLITS.index)
        if sides:
            # Two sides can only meet here when the rules of grouping changed: the stricter side wins.
            dealt[group.key] = sides[-1]
    free = [group for group in groups if group.key not in dealt]
    for side in wanted(split)[:0:-1]:
        missing = _missing(groups, dealt, side, getattr(split, side))
        for group in _fill(free, missing):
            dealt[group.key] = side
        free = [group for group in free if group.key not in dealt]
    dealt |= {group.key: "train" for group in free}
    known = {group.key for group in groups if any(sha in before for sha in group.members)}
    for name in sorted({name for group in groups for name in group.sizes}):
        _leave_none_empty([one for one in groups if name in one.sizes], name, dealt, known, wanted(split))
    return dealt


def _missing(groups: list[Group], dealt: Mapping[str, str], side: str, share: float) -> dict[str, float]:
    """Return how many pictures of each class a split lacks, given what lies in it; negative when it has too many."""
    totals, there = Counter[str](), Counter[str]()
    for group in groups:
        totals.update(group.sizes)
        if dealt.get(group.key) == side:
            there.update(group.sizes)
    return {name: max(1.0, share * totals[name]) - there[name] for name in totals}


def _fill(free: list[Group], missing: dict[str, float]) -> Iterator[Group]:
    """Yield the groups that bring a split to its shares: those that fit in the order given, then the lesser evils."""
    left = []
    for group in free:
        if all(size <= missing[name] + 0.5 for name, size in group.sizes.items()):
            yield _taken(group, missing)
        else:
            left.append(group)
    while left:
        gain, at = max((_gain(group, missing), -at) for at, group in enumerate(left))
        if gain <= 0:
            return
        yield _taken(left.pop(-at), missing)


def _taken(group: Group, missing: dict[str, float]) -> Group:
    for name, size in group.sizes.items():
        missing[name] -= size
    return group


def _gain(group: Group, missing: Mapping[str, float]) -> float:
    """Return by how much a group brings a split closer to its shares."""
    return sum(abs(missing[name]) - abs(missing[name] - size) for name, size in group.sizes.items())


def _leave_none_empty(
    groups: list[Group], name: str, dealt: dict[str, str], known: set[str], sides: tuple[str, ...]
) -> None:
    """Give a split that has no group of a class the smallest one of the split with most.

    What was dealt before moves only where nothing new can: a split that lost what it held would else be none.
    """
    for side in sides:
        numbers = Counter(dealt[group.key] for group in groups)
        giver = max(sides, key=lambda one: numbers[one])
        if numbers[side] or numbers[giver] < 2:
            continue
        mine = [group for group in groups if dealt[group.key] == giver]
        dealt[min(mine, key=lambda one: (one.key in known, one.sizes[name])).key] = side


def read_ledger(path: Path, split: Split, *, seed: int) -> dict[str, str]:
    """Return the splits dealt before by SHA-256; nothing when they were dealt with other shares or another seed."""
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != _head(split, seed):
            return {}
        return dict(json.loads(line) for line in lines)
    except (FileNotFoundError, ValueError):
        return {}


def splits_of(dataset: Path, split: Split, *, seed: int) -> dict[str, str]:
    """Return the splits of a built dataset's pictures by SHA-256, which is most of what a lost ledger held.

    Nothing when they were dealt with other shares or another seed.
    """
    try:
        config = json.loads((dataset / DATASET).read_bytes())["config"]
        if config["split"] | {"seed": config["seed"]} != _head(split, seed):
            return {}
        with (dataset / METADATA).open(encoding="utf-8") as lines:
            return {row["sha256"]: row["split"] for row in map(json.loads, lines)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_ledger(path: Path, sides: Mapping[str, str], split: Split, *, seed: int) -> None:
    """Remember the splits by SHA-256."""
    lines = [json.dumps(_head(split, seed)), *(json.dumps([sha, side]) for sha, side in sorted(sides.items()))]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def _head(split: Split, seed: int) -> dict[str, float]:
    return {"val": split.val, "test": split.test, "seed": seed}
