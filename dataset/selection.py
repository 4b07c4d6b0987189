"""Which of the pictures that stay make up one dataset: classes capped, negatives balanced over their sources."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset.choose import Kept, Rejected
from dataset.splits import SPLITS, wanted
from dataset.tray import Build


@dataclass(frozen=True, slots=True)
class Plan:
    """One dataset to be: where it goes, and which class folders each of its classes draws on."""

    name: str
    out: Path
    classes: dict[str, tuple[tuple[str, ...], ...]]
    """By label: kinds of sources, each a row of class folders. Kinds, then folders of a kind, give equal shares."""
    positive: str = ""
    """The label that the others are balanced against; empty in a multi-class dataset."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Labels in the order of their numbers: the positive one is 1, and alphabetical else."""
        return tuple(sorted(self.classes, key=lambda name: (name == self.positive, name)))

    @property
    def sources(self) -> set[str]:
        """Class folders that any of its classes draws on."""
        return {name for label in self.classes for name in self.sources_of(label)}

    def sources_of(self, label: str) -> set[str]:
        """Return the class folders that a class draws on."""
        return {name for kind in self.classes[label] for name in kind}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One picture of one dataset."""

    kept: Kept
    label: str
    split: str
    group: str

    @property
    def file_name(self) -> str:
        """Path below the dataset's folder."""
        return f"{self.split}/{self.label}/{self.pooled}"

    @property
    def pooled(self) -> str:
        """Its name in the pool."""
        return f"{self.kept.sha256[:16]}.jpg"


def select(
    plan: Plan, kept: Sequence[Kept], sides: Mapping[str, str], keys: Mapping[str, str], settings: Build
) -> list[Chosen]:
    """Return the pictures of one dataset: each class capped, negatives balanced over their kinds of sources."""
    rows: list[Chosen] = []
    shares = {"val": settings.split.val, "test": settings.split.test}
    shares["train"] = 1 - sum(shares.values())
    sizes: Counter[str] = Counter()
    for label in sorted(plan.classes, key=lambda name: (name != plan.positive, name)):
        sources = plan.sources_of(label)
        mine = [one for one in kept if one.classes & sources and not _is_positive(plan, label, one)]
        for split in SPLITS:
            here = [one for one in mine if sides[one.sha256] == split]
            limit = len(here)
            if settings.cap:
                limit = min(limit, max(1, round(settings.cap * shares[split])))
            if plan.positive and label != plan.positive:
                limit = min(limit, max(1, round(settings.balance * sizes[split])))
            taken = _fairly(here, plan.classes[label], limit, salt=f"{settings.seed}:{plan.name}")
            if label == plan.positive:
                sizes[split] = len(taken)
            rows += [Chosen(one, label, split, keys[one.sha256]) for one in taken]
    return sorted(rows, key=lambda row: row.file_name)


def _is_positive(plan: Plan, label: str, one: Kept) -> bool:
    return bool(plan.positive) and label != plan.positive and plan.positive in one.classes


def _fairly(kept: Sequence[Kept], kinds: tuple[tuple[str, ...], ...], limit: int, *, salt: str) -> list[Kept]:
    """Return ``limit`` pictures, in equal shares of kinds, and within a kind of folders, as far as they go."""

    def by_hash(one: Kept) -> str:
        return hashlib.sha256(f"{salt}:{one.sha256}".encode()).hexdigest()

    if limit >= len(kept):
        return list(kept)
    taken: set[str] = set()
    queues = []
    for kind in kinds:
        rows = []
        for name in kind:
            mine = sorted((one for one in kept if name in one.classes and one.sha256 not in taken), key=by_hash)
            taken.update(one.sha256 for one in mine)
            rows.append(mine)
        queues.append(_in_turn(rows))
    return _in_turn(queues)[:limit]


def _in_turn(rows: Sequence[list[Kept]]) -> list[Kept]:
    """Return the rows' elements one from each in turn."""
    longest = max((len(row) for row in rows), default=0)
    return [row[at] for at in range(longest) for row in rows if at < len(row)]


def lacking(plan: Plan, rows: Sequence[Chosen], rejected: Sequence[Rejected], settings: Build) -> Iterator[str]:
    """Yield what to say of each class of a dataset that does not reach into every split."""
    names = wanted(settings.split)
    for label in plan.class_names:
        mine = [row for row in rows if row.label == label]
        missing = [name for name in names if not any(row.split == name for row in mine)]
        if not missing:
            continue
        sources = plan.sources_of(label)
        gone = Counter(one.reason for one in rejected if one.label in sources)
        why = ", ".join(f"{count:,} {reason}" for reason, count in gone.most_common())
        groups_ = len({row.group for row in mine})
        yield (
            f"Expected at least {len(names)} unlike pictures of class {label!r}, one for each of {', '.join(names)}. "
            f"Received: {len(mine)} picture{'s' * (len(mine) != 1)} in {groups_} group{'s' * (groups_ != 1)} "
            f"of look-alikes{f' (left out: {why})' if why else ''}. Add pictures of it, or leave the class out."
        )
