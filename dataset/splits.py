"""Which pictures train, which validate and which test, so that nothing leaks and nothing ever moves.

The rule, in this order:

1. The unit is the group: pictures that are the same or belong together are dealt as one.
2. A group that was dealt before stays where it is, whatever joins it later; the ledger remembers it.
3. Else the group's salted hash deals it: below ``test`` it tests, below ``test + val`` it validates, else it trains.
   This depends on nothing but the group and the seed.
4. Where chance gives a class far too few or too many pictures in a split (less than 7 tenths of its share, more
   than 14, or none), the undealt groups whose hashes lie nearest change sides. The ledger then keeps them there.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from dataset.folder import write_whole
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
    dealt: dict[str, str] = {}
    free: list[Group] = []
    for group in sorted(groups, key=lambda one: (places[one.key], one.key)):
        sides = sorted({before[sha] for sha in group.members if sha in before}, key=SPLITS.index)
        if sides:
            # Two sides can only meet here when the rules of grouping changed: the stricter side wins.
            dealt[group.key] = sides[-1]
        else:
            dealt[group.key] = _by_hash(places[group.key], split)
            free.append(group)
    undealt = {group.key for group in free}
    for name in sorted({name for group in groups for name in group.sizes}):
        mine = sorted((one for one in groups if name in one.sizes), key=lambda one: (places[one.key], one.key))
        _even_out(name, mine, dealt, undealt, split)
    return dealt


def _by_hash(at: float, split: Split) -> str:
    return "test" if at < split.test else "val" if at < split.test + split.val else "train"


def _even_out(name: str, groups: list[Group], dealt: dict[str, str], undealt: set[str], split: Split) -> None:
    """Move undealt groups of one class, in the order of their hashes, until no split has far too few or too many."""
    total = sum(group.sizes[name] for group in groups)
    counts, numbers = Counter[str](), Counter[str]()
    for group in groups:
        counts[dealt[group.key]] += group.sizes[name]
        numbers[dealt[group.key]] += 1

    def move(group: Group, side: str) -> None:
        for count, size in ((counts, group.sizes[name]), (numbers, 1)):
            count[dealt[group.key]] -= size
            count[side] += size
        dealt[group.key] = side

    for side in wanted(split)[:0:-1]:
        share = getattr(split, side) * total
        least, most = max(1, int(0.7 * share)), max(1, ceil(1.4 * share))
        for group in groups[::-1]:
            if counts[side] <= most:
                break
            size = group.sizes[name]
            spare = counts[side] - size >= least or size > most
            if dealt[group.key] == side and group.key in undealt and spare:
                move(group, "train")
        while counts[side] < least:
            giver = max((one for one in wanted(split) if one != side), key=lambda one: counts[one])
            # What was dealt before moves only into a split that would else be empty, because it lost what it held.
            free = [one for one in groups if dealt[one.key] == giver and (one.key in undealt or not numbers[side])]
            free.sort(key=lambda one: one.key not in undealt)
            if numbers[giver] < 2 or not free:
                break
            room = most - counts[side]
            move(
                next((one for one in free if one.sizes[name] <= room), min(free, key=lambda one: one.sizes[name])), side
            )


def read_ledger(path: Path, split: Split, *, seed: int) -> dict[str, str]:
    """Return the splits dealt before by SHA-256; nothing when they were dealt with other shares or another seed."""
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != _head(split, seed):
            return {}
        return dict(json.loads(line) for line in lines)
    except (FileNotFoundError, ValueError):
        return {}


def write_ledger(path: Path, sides: Mapping[str, str], split: Split, *, seed: int) -> None:
    """Remember the splits by SHA-256."""
    lines = [json.dumps(_head(split, seed)), *(json.dumps([sha, side]) for sha, side in sorted(sides.items()))]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def _head(split: Split, seed: int) -> dict[str, float]:
    return {"val": split.val, "test": split.test, "seed": seed}
