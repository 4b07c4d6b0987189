"""Which pictures train, which validate and which test, so that nothing leaks and nothing ever moves.

The rule, in this order:

1. The unit is the group: pictures that are the same or belong together are dealt as one.
2. A group that was dealt before stays where it is, whatever joins it later; the ledger remembers it.
3. Else the group's salted hash deals it: below ``test`` it tests, below ``test + val`` it validates, else it trains.
   This depends on nothing but the group and the seed.
4. A class that rule 3 leaves with too few groups in a split (none, or less than half of its share) takes the
   undealt groups whose hashes lie nearest. The ledger then keeps them there.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataset.folder import write_whole
from dataset.tray import Split

SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that share one side: the key that deals them, their classes, and the SHA-256 of every member."""

    key: str
    classes: tuple[str, ...]
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
    by_class: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        for name in group.classes:
            by_class[name].append(group)
    undealt = {group.key for group in free}
    for name in sorted(by_class):
        _fill(sorted(by_class[name], key=lambda one: (places[one.key], one.key)), dealt, undealt, split)
    return dealt


def _by_hash(at: float, split: Split) -> str:
    return "test" if at < split.test else "val" if at < split.test + split.val else "train"


def _fill(groups: list[Group], dealt: dict[str, str], undealt: set[str], split: Split) -> None:
    """Give a class's poorest splits the groups they lack, taking them from the fullest split."""
    names = wanted(split)
    if len(groups) < len(names):
        return
    shares = {"val": split.val, "test": split.test, "train": 1 - split.val - split.test}
    least = {name: max(1, int(shares[name] * len(groups) / 2)) for name in names}
    counts = dict.fromkeys(names, 0)
    for group in groups:
        counts[dealt[group.key]] = counts.get(dealt[group.key], 0) + 1
    for name in reversed(names):
        while counts[name] < least[name]:
            giver = max((one for one in names if counts[one] > least[one]), key=lambda one: counts[one], default=None)
            movable = [one for one in groups if dealt[one.key] == giver]
            # A group that was dealt before moves only where the split would else be empty.
            chosen = next((one for one in movable if one.key in undealt), None)
            chosen = chosen or (movable[0] if movable and counts[name] == 0 else None)
            if giver is None or chosen is None:
                break
            dealt[chosen.key] = name
            counts[giver] -= 1
            counts[name] += 1


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
