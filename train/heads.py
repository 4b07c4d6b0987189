"""A classifier on frozen features: a kernel machine with closed form, its leave-one-out answers and calibration."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from train.data import class_weights

LANDMARKS = 1024
"""Training photos at most that the kernel is spanned by; with more photos, a stratified sample of them."""
GAMMAS = (2.0, 1.0, 4.0, 8.0)
"""Widths of the kernel; the first is the one that mixes are compared at."""
ROUNDS = 2
RIDGES = np.geomspace(1e-4, 10, 16)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Tried:
    """One machine of those that leave-one-out chooses from."""

    error: float
    mix: Array
    gamma: float
    ridge: float
    weights: Array
    residual: Array
    """(n, classes) of the photos, each by the machine without it."""


@dataclass(frozen=True, slots=True)
class Head:
    """Logits of a photo with unit features x: ``exp(2 gamma (landmarks @ x - 1)) @ weights + bias``."""

    landmarks: Array
    """(m, d) features of the landmarks, each feature times how much it counts."""
    mix: Array
    """(d,) how much each feature counts."""
    gamma: float
    ridge: float
    weights: Array
    """(m, classes)"""
    bias: Array
    left_out: Array
    """(n, classes) probabilities of the training photos, each by a machine that was fitted without it."""
    trust: Array
    """(n,) how much each training photo counted."""

    def logits(self, features: Array) -> Array:
        """Return (n, classes) logits for (n, d) unit features."""
        return np.asarray(np.exp(2 * self.gamma * (features @ self.landmarks.T - 1)) @ self.weights + self.bias)

    def probabilities(self, features: Array) -> Array:
        """Return (n, classes) probabilities for (n, d) unit features."""
        return softmax(self.logits(features))


def fit(  # noqa: PLR0913 - a head has this many sides
    features: Array,
    labels: Array,
    classes: int,
    *,
    seed: int = 0,
    mixes: Array | None = None,
    trust: Array | None = None,
) -> Head:
    """Fit a head to (n, d) unit features, choosing their mix, the kernel's width and the ridge by leave-one-out.

    ``mixes`` (k, d) are ways to weigh the features, each so that vectors keep length 1; without them all count the
    same. ``trust`` says how much each photo counts, from 0 to 1; all of them fully without it.

    It is a least-squares support vector machine (Suykens and Vandewalle, 1999) with a Gaussian kernel; on the unit
    sphere that kernel is the exponential of a dot product. One decomposition per width gives the leave-one-out
    answers for every ridge (Allen's PRESS), and these calibrate the probabilities (Platt, 1999).
    """
    chosen = _landmarks(labels, seed)
    targets = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    trust = np.ones(len(labels)) if trust is None else np.maximum(trust, 1e-3)
    share = trust / trust.sum()
    mean = share @ targets

    def tried(mix: Array, gamma: float) -> _Tried:
        dots = (features @ (features[chosen] * mix).T).astype(np.float64)
        span, basis, strength = _decompose(np.exp(2 * gamma * (dots - 1)), chosen, trust)
        projected = basis.T @ (trust[:, None] * (targets - mean))
        leverages = trust[:, None] * (basis**2 @ (1 / (strength[:, None] + RIDGES)))
        found = []
        for ridge, leverage in zip(RIDGES, leverages.T, strict=True):
            shrunk = projected / (strength + ridge)[:, None]
            residual = (targets - mean - basis @ shrunk) / np.maximum(1 - leverage, 1e-9)[:, None]
            found.append(_Tried(float((share @ residual**2).mean()), mix, gamma, float(ridge), shrunk, residual))
        best = min(found, key=lambda one: one.error)
        return replace(best, weights=span @ best.weights)

    every = np.ones((1, features.shape[1]), np.float32) if mixes is None else mixes
    usual, *others = GAMMAS
    best = min((tried(mix, usual) for mix in every), key=lambda one: one.error)
    best = min([best, *(tried(best.mix, gamma) for gamma in others)], key=lambda one: one.error)
    left_out = targets - best.residual
    slope, offset = _calibrate(left_out, labels, share)
    return Head(
        landmarks=features[chosen] * best.mix,
        mix=best.mix,
        gamma=best.gamma,
        ridge=best.ridge,
        weights=(slope * best.weights).astype(np.float32),
        bias=(slope * mean + offset).astype(np.float32),
        left_out=softmax(slope * left_out + offset),
        trust=trust,
    )


def fit_doubting(features: Array, labels: Array, classes: int, *, seed: int = 0, mixes: Array | None = None) -> Head:
    """Fit a head that trusts each photo's label as far as heads that were fitted without the photo agree with it.

    The trust is the probability of the label over that of the likeliest class, squared (in the spirit of confident
    learning: Northcutt et al., 2021); each of a few rounds trusts what the round before found.
    """
    head = fit(features, labels, classes, seed=seed, mixes=mixes)
    for _ in range(ROUNDS):
        given = head.left_out[np.arange(len(labels)), labels]
        trust = (given / head.left_out.max(axis=1)) ** 2
        head = fit(features, labels, classes, seed=seed, mixes=head.mix[None], trust=trust)
    return head


@dataclass(frozen=True, slots=True)
class Known:
    """Photos with a known label: (n, d) unit features and (n,) labels."""

    features: Array
    labels: Array


def widened(head: Head, photos: Known, more: Known, val: Known, *, seed: int = 0) -> Head:
    """Return a head that learned from more than the photos it was chosen by: parts of them, seen another way.

    Its kernel and its ridge stay, since leaving out a photo means nothing while parts of it are left in; for the same
    reason validation photos calibrate it. Every class counts the same, however many parts it has; photos that the head
    trusted less count less here too.
    """
    classes = head.weights.shape[1]
    features = np.concatenate([photos.features, more.features])
    labels = np.concatenate([photos.labels, more.labels])
    chosen = _landmarks(labels, seed)
    landmarks = features[chosen] * head.mix
    kernel = np.exp(2 * head.gamma * (features @ landmarks.T - 1)).astype(np.float64)
    between = kernel[chosen]
    targets = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    counts = class_weights(labels) * np.concatenate([head.trust, np.ones(len(more.labels))])
    mean = np.average(targets, axis=0, weights=counts)
    weighted = (kernel * counts[:, None]).T
    solved = np.linalg.solve(
        weighted @ kernel + head.ridge * between + 1e-6 * np.eye(len(landmarks)), weighted @ (targets - mean)
    )
    apart = np.exp(2 * head.gamma * (val.features @ landmarks.T - 1)) @ solved + mean
    slope, offset = _calibrate(apart, val.labels)
    weights, bias = (slope * solved).astype(np.float32), (slope * mean + offset).astype(np.float32)
    return replace(head, landmarks=landmarks, weights=weights, bias=bias)


def softmax(logits: Array) -> Array:
    """Return the probabilities of (n, classes) logits."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _landmarks(labels: Array, seed: int) -> Array:
    if len(labels) <= LANDMARKS:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # By turns from each class, so that a rare class keeps its photos.
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    return np.sort(np.lexsort((rng.random(len(labels)), turn))[:LANDMARKS])


def _decompose(kernel: Array, chosen: Array, trust: Array) -> tuple[Array, Array, Array]:
    """Return a span, a basis and its strengths, so that ``kernel @ span == basis`` has orthogonal columns.

    ``kernel`` is (n, m), its rows ``chosen`` those of the landmarks themselves. The columns are orthogonal when each
    row counts as much as it is trusted.
    """
    values, vectors = np.linalg.eigh(kernel[chosen])
    solid = values > 1e-9 * values[-1]
    values, vectors = values[solid], vectors[:, solid]
    whitened = vectors / np.sqrt(values)
    if len(chosen) == len(kernel) and np.all(trust == 1):
        return whitened, vectors * np.sqrt(values), values
    basis = kernel @ whitened
    strength, turned = np.linalg.eigh(basis.T @ (trust[:, None] * basis))
    return whitened @ turned, basis @ turned, np.maximum(strength, 0)


def _calibrate(scores: Array, labels: Array, share: Array | None = None) -> tuple[float, Array]:
    """Return the slope and the offset per class that make the softmax of scores the best probabilities."""
    from scipy.optimize import minimize

    n, classes = scores.shape
    share = np.full(n, 1 / n) if share is None else share
    # A little doubt, as Platt has it: few photos must not promise certainty.
    doubt = 1 / (n / classes + 2)
    targets = np.where(labels[:, None] == np.arange(classes), 1 - doubt, doubt / (classes - 1))

    def loss(parameters: Array) -> tuple[float, Array]:
        slope = np.exp(parameters[0])
        probabilities = softmax(slope * scores + parameters[1:])
        slack = share[:, None] * (probabilities - targets)
        value = (
            -(share @ (targets * np.log(np.maximum(probabilities, 1e-12)))).sum() + 1e-3 * (parameters[1:] ** 2).sum()
        )
        return value, np.concatenate([[slope * (slack * scores).sum()], slack.sum(axis=0) + 2e-3 * parameters[1:]])

    found = minimize(loss, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=[(-3, 4)] + [(-10, 10)] * classes)
    return float(np.exp(found.x[0])), np.asarray(found.x[1:])
