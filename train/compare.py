"""Whether one run is better than another, told by the same pictures."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import TrayError
from dataset.progress import Progress
from train.evaluate import Judged, ask
from train.runs import Run


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the same pictures; of several classifiers, all have to be right about a picture."""

    judged_on: str
    n: int
    accuracy: tuple[float, float]
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    classifiers: int
    """How many of each run were asked."""
    seen: int
    """Pictures that one of the runs had learned from: they flatter it."""
    p: float
    """How likely so uneven a split of the pictures that one run alone got right is, were the two equally good."""


def compare(first: Run, second: Run, data: Path | None = None) -> Iterator[Progress | Comparison]:
    """Yield progress and, last, how two runs do on a labelled folder, by default what was held back from both.

    The test is McNemar's, exact: a sign test on the pictures that only one of them got right. Raises TrayError for
    runs of other classes, and, without ``data``, for runs of other datasets: one might have learned by heart what the
    other is judged by.
    """
    from scipy.stats import binomtest

    pairs = _pairs(first, second)
    if data is None and any(first.fingerprint[one] != second.fingerprint[other] for one, other in pairs):
        raise TrayError(
            f"Expected two runs on the same dataset, or a labelled folder that neither has seen. Received: "
            f"{first.path} and {second.path}, trained on other pictures. Name one with --data."
        )
    mine, _ = yield from ask(first, data)
    theirs, _ = yield from ask(second, data)
    asked = [(mine[one], theirs[other]) for one, other in pairs if one in mine and other in theirs]
    # Decisions about one picture are not independent, as the test takes its pictures to be.
    first_right, second_right = _all_right(one for one, _ in asked), _all_right(one for _, one in asked)
    places = Counter((right, second_right[sha256]) for sha256, right in first_right.items() if sha256 in second_right)
    both, only_first = places[True, True], places[True, False]
    only_second, neither = places[False, True], places[False, False]
    apart, n = only_first + only_second, places.total()
    if not n:
        raise TrayError(f"Expected pictures that both runs can judge in {data or first.path}. Received: none.")
    yield Comparison(
        judged_on=next(iter(mine.values())).judged_on,
        n=n,
        accuracy=((both + only_first) / n, (both + only_second) / n),
        both_right=both,
        only_first_right=only_first,
        only_second_right=only_second,
        both_wrong=neither,
        classifiers=len(asked),
        seen=max(one.seen for pair in asked for one in pair),
        p=float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    )


def _pairs(first: Run, second: Run) -> list[tuple[str, str]]:
    """Return which classifier of the one answers the same question as which of the other."""
    mine, theirs = first.labels, second.labels
    alone = len(mine) == len(theirs) == 1
    pairs = list(zip(mine, theirs, strict=True)) if alone else [(item, item) for item in mine if item in theirs]
    pairs = [(one, other) for one, other in pairs if set(mine[one]) == set(theirs[other])]
    if not pairs:
        received = " and ".join(
            ", ".join(sorted({n for names in run.labels.values() for n in names})) for run in (first, second)
        )
        raise TrayError(f"Expected two runs that tell the same classes apart. Received: {received}.")
    return pairs


def _all_right(judged: Iterable[Judged]) -> dict[str, bool]:
    """Return for each photo, by its SHA-256, whether all classifiers that were asked about it were right."""
    right: dict[str, bool] = {}
    for one in judged:
        for photo, hit in zip(one.photos, one.called == one.truth, strict=True):
            right[photo.sha256] = right.get(photo.sha256, True) and bool(hit)
    return right
