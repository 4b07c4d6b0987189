"""Curves and areas of scores, against what they are defined to be, with equal scores among them."""

import numpy as np
import pytest

from train.ranking import average_precision, precision_recall, roc, roc_auc

RNG = np.random.default_rng(0)
TRUTH, SCORES = RNG.integers(0, 2, 60), np.round(RNG.random(60), 1)


def test_areas_are_what_pairs_and_ranks_say() -> None:
    """The one is the share of pairs in the right order, the other the precision wherever something there is found."""
    there, missing = SCORES[TRUTH == 1][:, None], SCORES[TRUTH == 0]
    in_order = ((there > missing) + 0.5 * (there == missing)).mean()
    precise = np.mean([TRUTH[score <= SCORES].mean() for score in SCORES[TRUTH == 1]])

    assert roc_auc(TRUTH, SCORES) == pytest.approx(in_order)
    assert average_precision(TRUTH, SCORES) == pytest.approx(precise)


def test_curves_of_a_known_case() -> None:
    """Two equal scores are one step; where the first curve goes straight on it has no point."""
    truth, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.8, 0.3, 0.1])

    false_alarms, found = roc(truth, scores)
    recall, precision = precision_recall(truth, scores)

    assert (false_alarms.tolist(), found.tolist()) == ([0, 0, 1 / 3, 1], [0, 0.5, 1, 1])
    assert (recall.tolist(), precision.tolist()) == ([0, 0.5, 1, 1, 1], [1, 1, 2 / 3, 0.5, 0.4])
