"""What is most worth fixing in a folder of pictures, computed from what it holds."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

from dataset.report.holdings import DUPLICATES, Survey

FEW: Final = 5
"""Pictures of a class in validation or test below which a score says little."""
ENOUGH: Final = 100
"""Pictures of a class that a first classifier wants."""
TELLING: Final = {
    "drawing": 1.0,
    "screenshot or text": 0.9,
    "near uniform": 0.7,
    "blurred": 0.6,
    "dark": 0.5,
    "washed out": 0.4,
    "extreme aspect": 0.4,
    "low information": 0.3,
    "small": 0.3,
    "placeholder": 1.0,
    "collage": 0.5,
    "framed": 0.2,
}
"""How much each flag counts: a drawing teaches the wrong thing, a frame little."""
FLAGGED: Final = {
    "drawing": ("a drawing", "drawings"),
    "screenshot or text": ("a screenshot or text", "screenshots or text"),
    "collage": ("a collage", "collages"),
    "placeholder": ("a placeholder (the same bytes everywhere)", "placeholders (the same bytes everywhere)"),
    "small": ("small",) * 2,
    "extreme aspect": ("very long or very wide",) * 2,
    "near uniform": ("nearly uniform",) * 2,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth fixing: what it is, what to do, where on the page to look."""

    weight: float
    """From 0 to 1; the heaviest is shown first."""
    text: str
    advice: str
    anchor: str


def findings(found: Survey, most: int = 3) -> list[Finding]:
    """Return the things most worth fixing, at most one of each sort, the heaviest first."""
    every = [one for look in LOOKS if (one := max(look(found), key=_order, default=None))]
    return sorted(every, key=_order, reverse=True)[:most]


def _order(one: Finding) -> tuple[float, str]:
    return one.weight, one.text


def _count(number: int, noun: str) -> str:
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def share(part: int, whole: int) -> str:
    """Return a share as a percentage that is never 0 for something nor 100 for less than everything."""
    percent = 100 * part / whole if whole else 0
    if 0 < percent < 1:
        return "under 1 %"
    return f"{round(percent) if part >= whole else min(round(percent), 99)} %"


def spoken(reason: str) -> str:
    """Return a reason of rejection as people say it: a bare number is an HTTP status."""
    return f"HTTP {reason}" if reason.isdecimal() else reason


def distinct(found: Survey) -> Counter[str]:
    """Return how many different pictures each class has: copies that lie in a raw folder do not count."""
    counts = Counter(one.label for one in found.pictures)
    if found.form != "dataset":
        counts -= Counter(group.kept.label for group in found.copies for _ in group.copies)
    return counts


def _sizes(found: Survey) -> Iterator[Finding]:
    counts = distinct(found)
    if found.form == "class folder":
        return
    if len(found.labels) == 1:
        yield Finding(
            0.9,
            f"There is only one class, {found.labels[0]}.",
            "A classifier needs something to tell it from.",
            "counts",
        )
        return
    empty = [label for label in found.labels if not counts[label]]
    if empty:
        more = f", and {len(empty) - 1:,} more have none" if len(empty) > 1 else ""
        yield Finding(1.0, f"Class {empty[0]} has no picture{more}.", "Scrape it, or leave it out.", "counts")
    two = len(found.labels) == 2
    usual = max(counts.values(), default=0) if two else median(counts[label] for label in found.labels)
    small = sorted((counts[label], label) for label in found.labels if 0 < counts[label] <= 0.6 * usual)
    if small:
        count, label = small[0]
        others = [name for _, name in small[1:4]]
        also = f" Small too: {', '.join(others)}{' ...' if len(small) > 4 else ''}." if others else ""
        yield Finding(
            0.9 - 0.5 * count / usual,
            f"Class {label} has only {_count(count, 'picture')}; "
            f"{'the other class has' if two else 'the median is'} {usual:,.0f}.{also}",
            "Scrape more of it: add terms or engines.",
            "counts",
        )


def _few(found: Survey) -> Iterator[Finding]:
    counts = distinct(found)
    largest = max(counts.values(), default=0)
    if 0 < largest < ENOUGH:
        where = "" if found.form == "class folder" else f"No class has more than {_count(largest, 'picture')}."
        yield Finding(
            0.3,
            where or f"There are only {_count(largest, 'picture')}.",
            "More pictures help more than anything else: add terms or raise the limit.",
            "counts",
        )


def _parts(found: Survey) -> Iterator[Finding]:
    counts = Counter((one.split, one.label) for one in found.pictures)
    for split in ("test", "val"):
        if not any(part == split for part, _ in counts):
            continue
        few = sorted((counts[split, label], label) for label in found.labels if counts[split, label] < FEW)
        if not few:
            continue
        count, label = few[0]
        others = len(few) - 1
        also = f"; {_count(others, 'more class')} {'have' if others > 1 else 'has'} under {FEW}" if others else ""
        yield Finding(
            0.62 - 0.06 * count + (0.01 if split == "test" else 0),
            f"{split} has only {_count(count, 'picture')} of {label}{also}.",
            "One picture more or less right moves its score a lot: collect more before trusting it.",
            "counts",
        )


def _conflicts(found: Survey) -> Iterator[Finding]:
    between = Counter(
        pair for sides in found.conflicts for pair in combinations(sorted({one.label for one in sides}), 2)
    )
    for (first, second), count in between.items():
        total = len(found.conflicts)
        rest = f" ({total:,} in all)" if total > count else ""
        yield Finding(
            min(0.95, 0.55 + 6 * count / max(1, len(found.pictures))),
            f"{_count(count, 'conflict')} between {first} and {second}: one picture, two labels{rest}.",
            "Say which label is right with tray review.",
            "conflicts",
        )


def _failures(found: Survey) -> Iterator[Finding]:
    kept = Counter(engine for one in found.pictures for engine in one.engines)
    failed: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found.refused:
        if one.engine and not one.name and one.reason not in DUPLICATES:
            failed[one.engine][one.reason] += 1
    for engine, reasons in failed.items():
        lost = reasons.total()
        tried = lost + kept[engine]
        if tried < 10 or lost < 0.15 * tried:
            continue
        reason, count = max(reasons.items(), key=lambda item: (item[1], item[0]))
        most = "all" if count == lost else f"{count:,}"
        yield Finding(
            min(0.8, 0.2 + 0.7 * lost / tried),
            f"{share(lost, tried)} of {engine.capitalize()}'s pictures failed, {most} with {spoken(reason)}.",
            "Lower the pace or add another engine; what failed is listed below.",
            "rejected",
        )


def _terms(found: Survey) -> Iterator[Finding]:
    kept = Counter((one.label, term) for one in found.pictures for term in one.terms)
    tried = Counter((one.label, one.term) for one in found.refused if one.term and one.reason not in DUPLICATES)
    for (label, term), count in tried.items():
        if count >= 10 and not kept[label, term]:
            yield Finding(
                0.45,
                f"The term “{term}” of {label} gave no picture: all {count:,} were rejected.",
                "Use another term.",
                "rejected",
            )


def _unreadable(found: Survey) -> Iterator[Finding]:
    bad = Counter(
        one.reason for one in found.refused
        if one.name and one.reason not in DUPLICATES | {"conflict", "review", "held out"}
    )  # fmt: skip
    if bad:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in bad.most_common(3))
        yield Finding(
            min(0.7, 0.3 + bad.total() / max(1, len(found.pictures))),
            f"{_count(bad.total(), 'file')} can't be used: {reasons}.",
            "A build leaves them out; scrape or copy them again if they matter.",
            "rejected",
        )


def _flags(found: Survey) -> Iterator[Finding]:
    undecided = [one for one in found.pictures if not one.verdict]
    counts = Counter(flag for one in undecided for flag in one.flags)
    for flag, count in counts.items():
        part = count / max(1, found.looked)
        by_label = Counter(one.label for one in undecided if flag in one.flags)
        label, mine = max(by_label.items(), key=lambda item: (item[1], item[0]))
        where = f", {mine:,} of them in {label}" if len(by_label) > 1 and mine > 1 else ""
        yield Finding(
            min(0.75, TELLING.get(flag, 0.3) * (0.25 + 1.5 * part)),
            f"{_count(count, 'picture')} flagged as {FLAGGED.get(flag, (flag, flag))[count > 1]}{where}.",
            "Look at them, and drop what does not belong with tray review.",
            "flagged",
        )


def _copies(found: Survey) -> Iterator[Finding]:
    copies = Counter(group.kept.label for group in found.copies for _ in group.copies)
    here = Counter(one.label for one in found.pictures)
    total = copies.total()
    everything = len(found.pictures) + (total if found.form == "dataset" else 0)
    if not total or total < 0.1 * everything:
        return
    label = max(copies, key=lambda name: (copies[name] / max(1, here[name]), name))
    where = f", most of all in {label}" if len(copies) > 1 else ""
    done = "They are left out already." if found.form == "dataset" else "A build leaves them out."
    yield Finding(
        min(0.5, 0.15 + 0.5 * total / everything),
        f"{share(total, everything)} of the pictures repeat another one{where}.",
        f"{done} More of the same search brings more copies: other terms bring new pictures.",
        "copies",
    )


def _kinds(found: Survey) -> Iterator[Finding]:
    kinds = Counter(one.kind for one in found.pictures if one.kind)
    small = kinds["thumbnail"]
    if small >= 0.15 * kinds.total() and small:
        yield Finding(
            min(0.6, 0.25 + 0.4 * small / kinds.total()),
            f"{share(small, kinds.total())} of the pictures are only thumbnails of the search engine.",
            "Their hosts did not deliver: try again later, or ask for full size only.",
            "counts",
        )


def _gone(found: Survey) -> Iterator[Finding]:
    if found.gone:
        yield Finding(
            0.4 + min(0.4, found.gone / max(1, len(found.pictures))),
            f"{_count(found.gone, 'picture')} of the list {'is' if found.gone == 1 else 'are'} no longer there.",
            "To leave a picture out, drop it with tray review instead of deleting its file.",
            "counts",
        )


def _stale(found: Survey) -> Iterator[Finding]:
    if found.stale:
        yield Finding(
            0.98,
            f"This dataset is stale: since it was built there are {' and '.join(found.stale)}.",
            "Run tray build again; what has not changed is not read again.",
            "counts",
        )


LOOKS: Final[tuple[Callable[[Survey], Iterator[Finding]], ...]] = (
    _sizes, _few, _parts, _conflicts, _failures, _terms, _unreadable, _flags, _copies, _kinds, _gone, _stale,
)  # fmt: skip
