"""How well scores put what is there before what is not: counts along the ranks, and the curves and areas they give.

scikit-learn says the same, but to import it takes longer than to add an item to a finished run.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def average_precision(truth: Array, scores: Array) -> float:
    """Return the mean precision over the ranks of what is there; ``truth`` is (n,) of 0 and 1, both of them in it."""
    recall, precision = precision_recall(truth, scores)
    return float(np.diff(recall) @ precision[1:])


def roc_auc(truth: Array, scores: Array) -> float:
    """Return how often one that is there has a higher score than one that is not; equal ones count a half."""
    false_alarms, recall = roc(truth, scores)
    return float(np.diff(false_alarms) @ (recall[1:] + recall[:-1]) / 2)


def roc(truth: Array, scores: Array) -> tuple[Array, Array]:
    """Return the shares of what is not there, and of what is, at or above the scores where the curve turns."""
    hits, wrong = _counts(truth, scores)
    turns = (np.diff(hits, 2) != 0) | (np.diff(wrong, 2) != 0)
    kept = np.concatenate([[True], turns, [True]])
    return wrong[kept] / wrong[-1], hits[kept] / hits[-1]


def precision_recall(truth: Array, scores: Array) -> tuple[Array, Array]:
    """Return recall and precision at each score from above the highest down; where nothing is called, that is 1."""
    hits, wrong = _counts(truth, scores)
    called = hits + wrong
    return hits / hits[-1], np.divide(hits, called, out=np.ones(len(hits)), where=called > 0)


def _counts(truth: Array, scores: Array) -> tuple[Array, Array]:
    """Return how many that are there, and how many others, have at least each score: of none, then the highest."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf)) + 1
    hits = np.append(0, np.cumsum(truth[order])[ends - 1])
    return hits, np.append(0, ends) - hits
