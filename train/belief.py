"""What to believe of photos: told by what was said of them and by their labels, both of which may be wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST, MOST = 0.1, 0.45
"""Where labels are wrong, at least so great a share of one class's are, and at most so great a share of all."""
SUPPOSED = 10.0
"""How firmly all classes are supposed to be mislabelled alike: as if so many photos for each other class told it."""
STEPS = 30
"""Of expectation and maximisation."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Belief:
    """What to believe of photos by what was said of them and by their labels."""

    believed: Array
    """(n, classes) how likely each photo shows each class."""
    said: Array
    """(n, classes) the same before its label is seen."""
    likelihood: float
    """The logarithm of how likely the labels are."""


def confusion(scores: Array, labels: Array) -> Array | None:
    """Return the share of each class that is given each label, (classes, classes), by what was said of photos.

    First it is worked out which share of all labels is wrong, the mean of what is possible by how likely it makes
    them; the shares of each class begin there, and move as far as its photos ask for.
    None where several classes' labels are likeliest without errors: no share for all makes them likelier, and the
    classes' own shares no likelier than numbers do that have nothing to say (by chance a free number brings half a
    natural logarithm, as Wilks, 1938, found; twice that is asked of each class). Of two classes, few photos can't tell,
    and doubt costs nothing.
    """
    classes = scores.shape[1]
    shares = np.linspace(LEAST / classes, MOST, 18)
    likelihoods = np.array([weighed(scores, labels, mixed_up(classes, share)).likelihood for share in shares])
    given = refined(scores, labels, mixed_up(classes, softmax(likelihoods[None])[0] @ shares))
    if classes == 2:
        return given
    without = weighed(scores, labels, np.eye(classes)).likelihood
    gained = weighed(scores, labels, given).likelihood - without
    return given if likelihoods.max() > without or gained > classes else None


def refined(scores: Array, labels: Array, supposed: Array) -> Array:
    """Return the share of each class that is given each label, as far from what is supposed as photos ask for.

    They are found by expectation and maximisation.
    """
    classes = scores.shape[1]
    said, shown, given = weighed(scores, labels, supposed).said, one_hot(labels, classes), supposed
    for _ in range(STEPS):
        joint = said * given[:, labels].T
        given = SUPPOSED * (classes - 1) * supposed + (joint / joint.sum(axis=1, keepdims=True)).T @ shown
        given /= given.sum(axis=1, keepdims=True)
    return given


def weighed(scores: Array, labels: Array, given: Array) -> Belief:
    """Return what to believe of photos of whose classes (n, classes) scores were said, and of whose labels is doubted.

    ``given`` is the share of each class that is given each label. Slope and offset of the scores are those under which
    the labels are likeliest (the forward correction of Patrini et al., 2017).
    """
    from scipy.optimize import minimize

    n, classes = scores.shape
    seen = given[:, labels].T

    def unpacked(parameters: Array) -> tuple[Array, Array]:
        said = softmax(np.exp(parameters[0]) * scores + parameters[1:])
        return said, np.maximum(said * seen, 1e-300)

    def loss(parameters: Array) -> tuple[float, Array]:
        said, joint = unpacked(parameters)
        likely, offset = joint.sum(axis=1), parameters[1:]
        slack = said - joint / likely[:, None]
        value = -np.log(likely).sum() + 1e-3 * n * offset @ offset
        slope = np.exp(parameters[0]) * (slack * scores).sum()
        return value / n, np.concatenate([[slope], slack.sum(axis=0) + 2e-3 * n * offset]) / n

    bounds = [(-3, 4)] + [(-10, 10)] * classes
    found = minimize(loss, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=bounds)
    said, joint = unpacked(found.x)
    likely = joint.sum(axis=1)
    return Belief(joint / likely[:, None], said, float(np.log(likely).sum()))


def mixed_up(classes: int, share: float) -> Array:
    """Return the shares of each class that get each label when a ``share`` of the labels is wrong, evenly."""
    return np.full((classes, classes), share / (classes - 1)) + (1 - share * classes / (classes - 1)) * np.eye(classes)


def one_hot(labels: Array, classes: int) -> Array:
    """Return (n, classes) how likely photos show each class where (n,) labels are believed: 1 or 0."""
    return np.asarray(labels[:, None] == np.arange(classes), np.float64)


def trust(believed: Array) -> Array:
    """Return how much each photo counts: from next to nothing where any class is as likely, to 1 where one is sure."""
    evenly = 1 / believed.shape[1]
    return np.asarray(np.maximum((believed.max(axis=1) - evenly) / (1 - evenly), 0.01))


def softmax(logits: Array) -> Array:
    """Return the probabilities of (n, classes) logits."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))
