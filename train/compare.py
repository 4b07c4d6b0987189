"""Whether one run is better than another, told by the same pictures."""

from dataclasses import dataclass
from pathlib import Path

from dataset.errors import TrayError
from train.evaluate import Judged, ask
from train.runs import Run


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the same pictures; a picture counts once for each classifier that was asked about it."""

    judged_on: str
    n: int
    accuracy: tuple[float, float]
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    p: float
    """How likely so uneven a split of the pictures that one run alone got right is, were the two equally good."""


def compare(first: Run, second: Run, data: Path | None = None) -> Comparison:
    """Judge two runs on the same labelled folder, by default the held-back pictures that both have in common.

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
    (mine, _), (theirs, _) = ask(first, data), ask(second, data)
    counts = [0, 0, 0, 0]
    for one, other in pairs:
        if one in mine and other in theirs:
            for place in _places(mine[one], theirs[other]):
                counts[place] += 1
    both, only_first, only_second, neither = counts
    apart, n = only_first + only_second, sum(counts)
    if not n:
        raise TrayError(f"Expected pictures that both runs can judge in {data or first.path}. Received: none.")
    return Comparison(
        judged_on=next(iter(mine.values())).judged_on,
        n=n,
        accuracy=((both + only_first) / n, (both + only_second) / n),
        both_right=both,
        only_first_right=only_first,
        only_second_right=only_second,
        both_wrong=neither,
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


def _places(mine: Judged, theirs: Judged) -> list[int]:
    """Return for each picture that both saw: 0 both right, 1 only the first, 2 only the second, 3 neither."""
    right = {photo.sha256: bool(hit) for photo, hit in zip(theirs.photos, theirs.called == theirs.truth, strict=True)}
    return [
        2 * (not hit) + (not right[photo.sha256])
        for photo, hit in zip(mine.photos, mine.called == mine.truth, strict=True)
        if photo.sha256 in right
    ]
