"""A classifier on frozen features: a kernel machine with closed form, its leave-one-out answers and calibration."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

LANDMARKS = 1024
"""Training photos at most that the kernel is spanned by; with more photos, a stratified sample of them."""
CHOOSERS = 512
"""Photos that choose mix and width where there are more than landmarks."""
GAMMAS = (2.0, 1.0, 4.0, 8.0)
"""Widths of the kernel; the first is the one that mixes are compared at."""
EVEN = 0.01
"""How strongly machines that are heard together are held to weigh the same."""
ROUNDS = 4
RIGHT, SEEN = 0.9, 10.0
"""What is supposed of labels before any is looked at: so many are right, as if so many photos of each class told it."""
PART_RIDGE, PART_COUNTS = 0.5, 0.2
"""The least ridge where parts of photos are learned from, and for how much of a photo each of them counts."""
RIDGES = np.geomspace(1e-4, 10, 16)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Tried:
    """One machine of those that leave-one-out chooses from."""

    error: float = np.inf
    way: int = 0
    """Which of the mixes."""
    gamma: float = 0.0
    ridge: float = 0.0
    weights: Array = field(default_factory=lambda: np.empty((0, 0)))
    residual: Array = field(default_factory=lambda: np.empty((0, 0)))
    """(n, classes) of the photos, each by the machine without it."""


@dataclass(frozen=True, slots=True)
class Head:
    """Logits of a photo with unit features x: ``exp(widths (landmarks @ x - 1)) @ weights + bias``.

    It may be a weighed mean of several machines, whose landmarks follow each other; mix, gamma and ridge are those of
    the best.
    """

    landmarks: Array
    """(m, d) features of the landmarks, each feature times how much it counts."""
    widths: Array
    """(m,) twice the gamma of each landmark's machine."""
    mix: Array
    """(d,) how much each feature counts."""
    gamma: float
    ridge: float
    weights: Array
    """(m, classes)"""
    bias: Array
    left_out: Array
    """(n, classes) probabilities of the training photos, each by a machine that was fitted without it."""
    believed: Array
    """(n, classes) how likely each training photo was taken to show each class."""

    @property
    def kernel(self) -> tuple[Array, Array]:
        """Return the kernel as a dense layer with an exponential has it: weights, (d, m), and biases, (m,)."""
        return self.widths * self.landmarks.T, -self.widths

    def logits(self, features: Array) -> Array:
        """Return (n, classes) logits for (n, d) unit features."""
        return self.logits_by(features @ self.landmarks.T)

    def logits_by(self, dots: Array) -> Array:
        """Return (n, classes) logits of photos whose dot products with the landmarks, (n, m), are known."""
        return np.asarray(np.exp(self.widths * (dots - 1)) @ self.weights + self.bias)

    def probabilities(self, features: Array) -> Array:
        """Return (n, classes) probabilities for (n, d) unit features."""
        return softmax(self.logits(features))


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """Keep matrices on one thread: of this size, two gain little, and take ten times as long where others compute."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Return those that compute on several threads, NumPy's among them; to look for them takes a while."""
    return ThreadpoolController()


def fit(  # noqa: PLR0913 - a head has this many sides
    features: Array,
    labels: Array,
    classes: int,
    *,
    seed: int = 0,
    mixes: Array | None = None,
    believed: Array | None = None,
) -> Head:
    """Fit a head to (n, d) unit features, choosing their mix, the kernel's width and the ridge by leave-one-out.

    ``mixes`` (k, d) are ways to weigh the features, each so that vectors keep length 1; without them all count the
    same. ``believed`` (n, classes) says how likely each photo shows each class, where that is more than its label;
    the less it says of a photo, the less that photo counts.

    It is a least-squares support vector machine (Suykens and Vandewalle, 1999) with a Gaussian kernel; on the unit
    sphere that kernel is the exponential of a dot product. One decomposition per width gives the leave-one-out
    answers for every ridge (Allen's PRESS), and these calibrate the probabilities (Platt, 1999).

    Of more than two classes, each mix gives a machine, and the head is their mean, since they err on other photos; how
    much each says there is also left to leave-one-out.
    """
    believed = _shown(labels, classes) if believed is None else believed
    ways = [mixes] if mixes is None or classes == 2 else [mix[None] for mix in mixes]
    heads = [_fit(features, [believed], labels, seed, way)[0] for way in ways]
    return heads[0] if len(heads) == 1 else _together(heads)


def fit_side_by_side(  # noqa: PLR0913 - a head has this many sides
    features: Array,
    labels: Mapping[str, Array],
    kinds: Array,
    *,
    seed: int = 0,
    mixes: Array | None = None,
    gamma: float | None = None,
) -> dict[str, Head]:
    """Fit a binary head for each of several (n,) labels to the same (n, d) unit features, as ``fit`` does.

    What costs most, the kernel's decomposition, is done once for all of them. ``kinds``, (n,), says which photos show
    the same: landmarks are taken from all kinds. With ``gamma`` the kernel is known, that of the one mix and of this
    width; only the ridge is chosen.
    """
    shown = [_shown(one, 2) for one in labels.values()]
    return dict(zip(labels, _fit(features, shown, kinds, seed, mixes, gamma), strict=True))


@_on_one_thread()
def answers(heads: Mapping[str, Head], features: Array) -> dict[str, Array]:
    """Return what each of several heads says of the same (n, d) unit features: (n, classes) probabilities.

    Heads that were fitted side by side share their landmarks, and photos are compared with those once for all of them.
    """
    landmarks = {id(head.landmarks): head.landmarks for head in heads.values()}
    dots = {known: features @ those.T for known, those in landmarks.items()}
    return {item: softmax(head.logits_by(dots[id(head.landmarks)])) for item, head in heads.items()}


@_on_one_thread()
def _fit(  # noqa: PLR0913, PLR0917 - a head has this many sides
    features: Array,
    believed: Sequence[Array],
    kinds: Array,
    seed: int,
    mixes: Array | None,
    gamma: float | None = None,
) -> list[Head]:
    """Return a head for each of several beliefs about the same photos that say equally much of each photo.

    Of more photos than landmarks, a sample chooses mix and width: what they are hardly depends on how many choose.
    """
    ways = np.ones((1, features.shape[1]), np.float32) if mixes is None else mixes
    chosen = _landmarks(kinds, seed, LANDMARKS)
    if gamma is not None:
        best = _tried(features, believed, chosen, ways, [(0, gamma)] * len(believed))
    elif len(features) > LANDMARKS:
        some = _landmarks(kinds, seed, CHOOSERS)
        few = _tried(features[some], [one[some] for one in believed], np.arange(len(some)), ways)
        best = _tried(features, believed, chosen, ways, [(one.way, one.gamma) for one in few])
    else:
        best = _tried(features, believed, chosen, ways)
    landmarks = {way: features[chosen] * ways[way] for way in {one.way for one in best}}
    return [_calibrated(one, landmarks[one.way], ways[one.way], seen) for one, seen in zip(best, believed, strict=True)]


def _tried(  # noqa: C901 - one choice within another
    features: Array,
    believed: Sequence[Array],
    chosen: Array,
    ways: Array,
    given: Sequence[tuple[int, float]] | None = None,
) -> list[_Tried]:
    """Return the best machine for each of several beliefs, of all ways and widths, or of the way and width given."""
    trust = _trust(believed[0])
    share = trust / trust.sum()
    targets = [2 * one - 1 for one in believed]
    best: list[_Tried] = [_Tried()] * len(believed)

    def try_(way: int, gamma: float, those: Sequence[int]) -> None:
        dots = (features @ (features[chosen] * ways[way]).T).astype(np.float64)
        span, basis, strength = _decompose(np.exp(2 * gamma * (dots - 1)), chosen, trust)
        leverages = trust[:, None] * (basis**2 @ (1 / (strength[:, None] + RIDGES)))
        for n in those:
            mean = share @ targets[n]
            projected = basis.T @ (trust[:, None] * (targets[n] - mean))
            known = best[n]
            for ridge, leverage in zip(RIDGES, leverages.T, strict=True):
                shrunk = projected / (strength + ridge)[:, None]
                residual = (targets[n] - mean - basis @ shrunk) / np.maximum(1 - leverage, 1e-9)[:, None]
                error = float((share @ residual**2).mean())
                if error < known.error:
                    known = _Tried(error, way, gamma, float(ridge), shrunk, residual)
            if known is not best[n]:
                best[n] = replace(known, weights=span @ known.weights)

    if given:
        for way, gamma in sorted(set(given)):
            try_(way, gamma, [n for n, mine in enumerate(given) if mine == (way, gamma)])
        return best
    usual, *others = GAMMAS
    for way in range(len(ways)):
        try_(way, usual, range(len(believed)))
    taken = [one.way for one in best]
    for way in sorted(set(taken)):
        for gamma in others:
            try_(way, gamma, [n for n, mine in enumerate(taken) if mine == way])
    return best


def _calibrated(best: _Tried, landmarks: Array, mix: Array, believed: Array) -> Head:
    """Return the machine that was found to be best as a head whose probabilities keep what they promise."""
    targets, trust = 2 * believed - 1, _trust(believed)
    share = trust / trust.sum()
    left_out = targets - best.residual
    slope, offset = _calibrate(left_out, believed, share)
    return Head(
        landmarks=landmarks,
        widths=np.full(len(landmarks), 2 * best.gamma, np.float32),
        mix=mix,
        gamma=best.gamma,
        ridge=best.ridge,
        weights=(slope * best.weights).astype(np.float32),
        bias=(slope * (share @ targets) + offset).astype(np.float32),
        left_out=softmax(slope * left_out + offset),
        believed=believed,
    )


def _together(heads: Sequence[Head]) -> Head:
    """Return a head whose logits are a weighed mean of several heads' for the same photos, calibrated anew."""
    believed = heads[0].believed
    trust = _trust(believed)
    share = trust / trust.sum()
    said = np.log(np.maximum([head.left_out for head in heads], 1e-12))
    voices = _voices(said, believed, share)
    best = heads[int(np.argmax((share[:, None] * believed * said).sum(axis=(1, 2))))]
    left_out = np.tensordot(voices, said, 1)
    slope, offset = _calibrate(left_out, believed, share)
    weights = [slope * voice * head.weights for voice, head in zip(voices, heads, strict=True)]
    return replace(
        best,
        landmarks=np.concatenate([head.landmarks for head in heads]),
        widths=np.concatenate([head.widths for head in heads]),
        weights=np.concatenate(weights).astype(np.float32),
        bias=(slope * (voices @ [head.bias for head in heads]) + offset).astype(np.float32),
        left_out=softmax(slope * left_out + offset),
    )


def _voices(said: Array, believed: Array, share: Array) -> Array:
    """Return the weights, (machines,), under which the (machines, n, classes) logits come nearest to what is believed.

    They are positive and sum to 1 (stacking, as Breiman, 1996, has it), and near to even where little speaks against.
    """
    from scipy.optimize import minimize

    def loss(parameters: Array) -> tuple[float, Array]:
        voices = softmax(parameters[None])[0]
        probabilities = softmax(np.tensordot(voices, said, 1))
        value = -(share @ (believed * np.log(np.maximum(probabilities, 1e-12)))).sum() + EVEN * (parameters**2).mean()
        slope = (said * (share[:, None] * (probabilities - believed))).sum(axis=(1, 2))
        return value, voices * (slope - voices @ slope) + 2 * EVEN * parameters / len(parameters)

    found = minimize(loss, np.zeros(len(said)), jac=True, method="L-BFGS-B")
    return np.asarray(softmax(found.x[None])[0])


@_on_one_thread()
def fit_doubting(features: Array, labels: Array, classes: int, *, seed: int = 0, mixes: Array | None = None) -> Head:
    """Fit a head that takes labels for witnesses of what a photo shows, and not for the truth.

    Heads that were fitted without a photo tell what it shows; all of them together tell how often each class is given
    which label; from both follows what to believe of each photo. Each of a few rounds believes what the round before
    found (expectation and maximisation, as Dawid and Skene, 1979, weigh witnesses).
    """
    head = fit(features, labels, classes, seed=seed, mixes=mixes)
    for _ in range(ROUNDS):
        believed = _believed(np.log(np.maximum(head.left_out, 1e-12)), labels)
        head = fit(features, labels, classes, seed=seed, mixes=head.mix[None], believed=believed)
    return head


def _believed(logits: Array, labels: Array) -> Array:
    """Return how likely each photo shows each class, (n, classes), by what was said of it and by its label.

    Slope and offset of the (n, classes) logits and the share of each class that is given each label are those under
    which the labels are likeliest (the forward correction of Patrini et al., 2017).
    """
    from scipy.optimize import minimize

    n, classes = logits.shape
    prior = SEEN * _mixed_up(classes, 1 - RIGHT)

    def unpacked(parameters: Array) -> tuple[Array, Array, Array]:
        said = softmax(np.exp(parameters[0]) * logits + parameters[1 : 1 + classes])
        given = softmax(parameters[1 + classes :].reshape(classes, classes))
        joint = said * given[:, labels].T
        return said, given, joint

    def loss(parameters: Array) -> tuple[float, Array]:
        said, given, joint = unpacked(parameters)
        likely = np.maximum(joint.sum(axis=1), 1e-12)
        believed, offset = joint / likely[:, None], parameters[1 : 1 + classes]
        counts = prior + believed.T @ _shown(labels, classes)
        value = -np.log(likely).sum() - (prior * np.log(np.maximum(given, 1e-12))).sum() + 1e-3 * n * offset @ offset
        slack = said - believed
        slope = np.exp(parameters[0]) * (slack * logits).sum()
        offsets = slack.sum(axis=0) + 2e-3 * n * offset
        return value / n, np.concatenate([[slope], offsets, (given * counts.sum(1)[:, None] - counts).ravel()]) / n

    start = np.concatenate([np.zeros(1 + classes), np.log(_mixed_up(classes, 1 - RIGHT)).ravel()])
    bounds = [(-3, 4)] + [(-10, 10)] * classes + [(-12, 12)] * classes**2
    *_, joint = unpacked(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
    return np.asarray(joint / np.maximum(joint.sum(axis=1), 1e-12)[:, None])


def _mixed_up(classes: int, share: float) -> Array:
    """Return the shares of each class that get each label when a ``share`` of the labels is wrong, evenly."""
    return np.full((classes, classes), share / (classes - 1)) + (1 - share * classes / (classes - 1)) * np.eye(classes)


def _shown(labels: Array, classes: int) -> Array:
    return np.asarray(labels[:, None] == np.arange(classes), np.float64)


def _trust(believed: Array) -> Array:
    """Return how much each photo counts: from next to nothing where any class is as likely, to 1 where one is sure."""
    evenly = 1 / believed.shape[1]
    return np.asarray(np.maximum((believed.max(axis=1) - evenly) / (1 - evenly), 0.01))


@dataclass(frozen=True, slots=True)
class Known:
    """Photos with a known label: (n, d) unit features and (n,) labels."""

    features: Array
    labels: Array


@_on_one_thread()
def widened(head: Head, photos: Known, more: Known, val: Known, *, seed: int = 0) -> Head:
    """Return a head that learned from more than the photos it was chosen by: parts of them, seen another way.

    Its kernel stays, since leaving out a photo means nothing while parts of it are left in; for the same reason the
    ridge is one for all, no less than the photos' own, and validation photos calibrate. A part counts for
    ``PART_COUNTS`` of a photo: there are many of each photo, and what one says, most of the others say too. Of the
    photos it is believed what the head believed.
    """
    classes = head.weights.shape[1]
    features = np.concatenate([photos.features, more.features])
    labels = np.concatenate([photos.labels, more.labels])
    chosen = _landmarks(labels, seed, LANDMARKS)
    landmarks = features[chosen] * head.mix
    kernel = np.exp(2 * head.gamma * (features @ landmarks.T - 1)).astype(np.float64)
    targets = 2 * np.concatenate([head.believed, _shown(more.labels, classes)]) - 1
    counts = np.concatenate([_trust(head.believed), np.full(len(more.labels), PART_COUNTS)])
    mean = np.average(targets, axis=0, weights=counts)
    weighted = (kernel * counts[:, None]).T
    solved = np.linalg.solve(
        weighted @ kernel + max(head.ridge, PART_RIDGE) * kernel[chosen] + 1e-6 * np.eye(len(landmarks)),
        weighted @ (targets - mean),
    )
    apart = np.exp(2 * head.gamma * (val.features @ landmarks.T - 1)) @ solved + mean
    slope, offset = _calibrate(apart, _shown(val.labels, classes))
    weights, bias = (slope * solved).astype(np.float32), (slope * mean + offset).astype(np.float32)
    widths = np.full(len(landmarks), 2 * head.gamma, np.float32)
    return replace(head, landmarks=landmarks, widths=widths, weights=weights, bias=bias)


def softmax(logits: Array) -> Array:
    """Return the probabilities of (n, classes) logits."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _landmarks(labels: Array, seed: int, most: int) -> Array:
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # By turns from each class, so that a rare class keeps its photos.
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    return np.sort(np.lexsort((rng.random(len(labels)), turn))[:most])


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


def _calibrate(scores: Array, believed: Array, share: Array | None = None) -> tuple[float, Array]:
    """Return the slope and the offset per class that bring the softmax of scores nearest to what is believed."""
    from scipy.optimize import minimize

    n, classes = scores.shape
    share = np.full(n, 1 / n) if share is None else share
    # A little doubt, as Platt has it: few photos must not promise certainty.
    doubt = 1 / (n / classes + 2)
    targets = believed @ _mixed_up(classes, doubt)

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
