"""A classifier on frozen features: a kernel machine with closed form, its leave-one-out answers and calibration."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from train import belief

LANDMARKS = 1024
"""Training photos at most that the kernel is spanned by; with more photos, a stratified sample of them."""
CHOOSERS = 512
"""Photos that choose mix and width where there are more than landmarks."""
GAMMAS = (2.0, 1.0, 4.0, 8.0)
"""Widths of the kernel; the first is the one that mixes are compared at."""
EVEN = 0.01
"""How strongly machines that are heard together are held to weigh the same."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """How near photos are to landmarks, which heads may have in common: a dense layer with an exponential.

    On the unit sphere a Gaussian kernel is the exponential of a dot product.
    """

    weights: Array
    """(d, m) features of the landmarks, each times how much it counts and times twice the gamma."""
    biases: Array
    """(m,) twice the gamma below 0."""

    def nearness(self, features: Array) -> Array:
        """Return how near (n, d) unit features are to each landmark, (n, m) in 0..1."""
        return np.asarray(np.exp(features @ self.weights + self.biases))


@dataclass(frozen=True, slots=True)
class Head:
    """Logits of a photo: how near it is to landmarks, weighed.

    It may be a weighed mean of several machines, whose landmarks follow each other; mix, gamma and ridge are those of
    the best.
    """

    kernel: Kernel
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

    def logits(self, features: Array) -> Array:
        """Return (n, classes) logits for (n, d) unit features."""
        return self.logits_by(self.kernel.nearness(features))

    def logits_by(self, nearness: Array) -> Array:
        """Return (n, classes) logits of photos whose nearness to the landmarks, (n, m), is known."""
        return np.asarray(nearness @ self.weights + self.bias)

    def probabilities(self, features: Array) -> Array:
        """Return (n, classes) probabilities for (n, d) unit features."""
        return belief.softmax(self.logits(features))


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """Keep matrices on one thread: of this size, two gain little, and take ten times as long where others compute."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Return those that compute on several threads, NumPy's among them; to look for them takes a while."""
    # SciPy brings one of its own, which is not found before it is there.
    import scipy.optimize  # noqa: F401

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
    believed = belief.one_hot(labels, classes) if believed is None else believed
    return _head(_spanned(features, labels, seed), believed, mixes)


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

    They share one kernel, the best for all of them together; the ridge is each head's own. Where each chose by itself,
    the mean average precision of 7, 10 and 6 items on five folds dealt twice was .882, .996 and .860, shared it was
    .880, .997 and .860; with two backbones .895, .999 and .891 against .900, .999 and .892. ``kinds``, (n,), says which
    photos show the same: landmarks are taken from all kinds. With ``gamma`` the kernel is known, that of the one mix
    and of this width.
    """
    shown = [belief.one_hot(one, 2) for one in labels.values()]
    return dict(zip(labels, _fit(_spanned(features, kinds, seed), shown, mixes, gamma), strict=True))


@_on_one_thread()
def answers(heads: Mapping[str, Head], features: Array) -> dict[str, Array]:
    """Return what each of several heads says of the same (n, d) unit features: (n, classes) probabilities.

    Heads that were fitted side by side share their kernel, which is asked once for all of them.
    """
    nearness = {kernel: kernel.nearness(features) for kernel in {head.kernel for head in heads.values()}}
    return {item: belief.softmax(head.logits_by(nearness[head.kernel])) for item, head in heads.items()}


@dataclass(frozen=True, slots=True)
class Wired:
    """A head as a dense layer on what several kernels say side by side."""

    kernels: tuple[int, ...]
    """The places of these kernels among all."""
    weights: Array
    """(landmarks of these, classes); 0 for those that are not the head's."""
    bias: Array


def wired(heads: Iterable[Head], known: Sequence[Kernel] = ()) -> tuple[list[Kernel], list[Wired]]:
    """Return as few kernels as heads need, after those that are known, and each head as a layer on some of them.

    What a kernel has is not kept again for another head, unless that has no use for most of it.
    """
    kernels = list(known)
    places = [{one: n for n, one in enumerate(_columns(kernel))} for kernel in kernels]
    columns: dict[Kernel, list[bytes]] = {}
    found = []
    for head in heads:
        mine = columns.get(head.kernel) or columns.setdefault(head.kernel, _columns(head.kernel))
        left, taken = set(mine), []
        for number, place in enumerate(places):
            here = left & place.keys()
            if 2 * len(here) > len(place):
                taken.append(number)
                left -= here
        if left:
            own = [n for n, one in enumerate(mine) if one in left]
            taken.append(len(kernels))
            kernels.append(Kernel(head.kernel.weights[:, own], head.kernel.biases[own]))
            places.append({mine[n]: place for place, n in enumerate(own)})
        row: dict[bytes, int] = {}
        start = 0
        for number in taken:
            row |= {one: start + place for one, place in places[number].items()}
            start += len(kernels[number].biases)
        weights = np.zeros((start, head.weights.shape[1]), np.float32)
        np.add.at(weights, [row[one] for one in mine], head.weights)
        found.append(Wired(tuple(taken), weights, head.bias))
    return kernels, found


def _columns(kernel: Kernel) -> list[bytes]:
    return [column.tobytes() for column in np.vstack([kernel.weights, kernel.biases]).T]


@dataclass(frozen=True, slots=True)
class _Decomposed:
    """A kernel as ``kernel @ span == basis``, whose columns are orthogonal when each row counts as it is trusted."""

    span: Array
    """(m, r)"""
    basis: Array
    """(n, r)"""
    strength: Array
    """(r,) the square of each column's length."""


@dataclass(frozen=True, slots=True, eq=False)
class _Spanned:
    """Photos, and those among them that span kernels and choose them; what takes the longest is worked out once."""

    features: Array
    """(n, d), each of length 1."""
    landmarks: Array
    """(m,) the places of the photos that span a kernel."""
    choosers: Array
    """The places of those that choose mix and width where there are more photos than landmarks."""
    _spectra: dict[tuple[bytes, float], tuple[Array, ...]] = field(default_factory=dict)
    """Strengths and directions of kernels on the landmarks, by mix and width."""

    def choosing(self) -> "_Spanned":
        """Return the photos that choose, all of which are landmarks."""
        all_ = np.arange(len(self.choosers))
        return _Spanned(self.features[self.choosers], all_, all_)

    def dots(self, mix: Array) -> Array:
        """Return (n, m) dot products of photos and landmarks, of which kernels of each width are made."""
        return np.asarray(self.features @ (self.features[self.landmarks] * mix).T, np.float64)

    def decomposed(self, dots: Array, mix: Array, gamma: float, trust: Array) -> _Decomposed:
        """Return the kernel of a width on the ``dots`` of a mix; ``trust``, (n,), is how much each row counts."""
        kernel, key = np.exp(2 * gamma * (dots - 1)), (mix.tobytes(), gamma)
        if key not in self._spectra:
            self._spectra[key] = tuple(np.linalg.eigh(kernel[self.landmarks]))
        values, vectors = self._spectra[key]
        solid = values > 1e-9 * values[-1]
        values, vectors = values[solid], vectors[:, solid]
        whitened = vectors / np.sqrt(values)
        if len(whitened) == len(kernel) and np.all(trust == 1):
            return _Decomposed(whitened, vectors * np.sqrt(values), values)
        basis = kernel @ whitened
        strength, turned = np.linalg.eigh(basis.T @ (trust[:, None] * basis))
        return _Decomposed(whitened @ turned, basis @ turned, np.maximum(strength, 0))


def _spanned(features: Array, kinds: Array, seed: int) -> _Spanned:
    """Return (n, d) photos with their landmarks, taken from all ``kinds``, (n,)."""
    order = _drawn(features, kinds, seed)
    return _Spanned(features, np.sort(order[:LANDMARKS]), np.sort(order[:CHOOSERS]))


def _head(photos: _Spanned, believed: Array, mixes: Array | None) -> Head:
    """Return the head of the best mix; of more than two classes, the mean over all mixes' heads."""
    ways = [mixes] if mixes is None or believed.shape[1] == 2 else [mix[None] for mix in mixes]
    heads = [_fit(photos, [believed], way)[0] for way in ways]
    return heads[0] if len(heads) == 1 else _together(heads)


@_on_one_thread()
def _fit(photos: _Spanned, believed: Sequence[Array], mixes: Array | None, gamma: float | None = None) -> list[Head]:
    """Return a head for each of several beliefs about the same photos that say equally much of each photo.

    Of more photos than landmarks, a sample chooses mix and width: what they are hardly depends on how many choose.
    """
    ways = np.ones((1, photos.features.shape[1]), np.float32) if mixes is None else mixes
    gammas = GAMMAS if gamma is None else (gamma,)
    if gamma is None and len(photos.landmarks) < len(photos.features):
        few, *_ = _tried(photos.choosing(), [one[photos.choosers] for one in believed], ways, gammas)
        ways, gammas = ways[[few.way]], (few.gamma,)
    best = _tried(photos, believed, ways, gammas)
    mix = ways[best[0].way]
    kernel = _kernel(photos.features[photos.landmarks], mix, best[0].gamma)
    return [_calibrated(one, kernel, mix, seen) for one, seen in zip(best, believed, strict=True)]


def _kernel(features: Array, mix: Array, gamma: float) -> Kernel:
    return Kernel((2 * gamma * features * mix).astype(np.float32).T, np.full(len(features), -2 * gamma, np.float32))


def _tried(photos: _Spanned, believed: Sequence[Array], ways: Array, gammas: Sequence[float]) -> list[_Tried]:
    """Return a machine for each of several beliefs, each with its own ridge, all of the way and width best for all."""
    trust = belief.trust(believed[0])
    dots = cache(lambda way: photos.dots(ways[way]))

    def all_of(way: int, gamma: float) -> list[_Tried]:
        kernel = photos.decomposed(dots(way), ways[way], gamma, trust)
        leverages = trust[:, None] * (kernel.basis**2 @ (1 / (kernel.strength[:, None] + RIDGES)))
        found = (_best_ridge(kernel, 2 * one - 1, trust, leverages) for one in believed)
        return [replace(one, way=way, gamma=gamma) for one in found]

    def error(machines: Sequence[_Tried]) -> float:
        return sum(one.error for one in machines)

    usual, *others = gammas
    best = min((all_of(way, usual) for way in range(len(ways))), key=error)
    return min((best, *(all_of(best[0].way, gamma) for gamma in others)), key=error)


def _best_ridge(kernel: _Decomposed, target: Array, trust: Array, leverages: Array) -> _Tried:
    """Return the machine of the ridge that errs the least where each photo is left out.

    ``target`` is (n, classes), and ``leverages``, (n, ridges), how much each photo tells of itself.
    """
    share = trust / trust.sum()
    mean, best = share @ target, _Tried()
    projected = kernel.basis.T @ (trust[:, None] * (target - mean))
    for ridge, leverage in zip(RIDGES, leverages.T, strict=True):
        shrunk = projected / (kernel.strength + ridge)[:, None]
        residual = (target - mean - kernel.basis @ shrunk) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = float((share @ residual**2).mean())
        if error < best.error:
            best = _Tried(error, ridge=float(ridge), weights=shrunk, residual=residual)
    return replace(best, weights=kernel.span @ best.weights)


def _calibrated(best: _Tried, kernel: Kernel, mix: Array, believed: Array) -> Head:
    """Return the machine that was found to be best as a head whose probabilities keep what they promise."""
    targets, trust = 2 * believed - 1, belief.trust(believed)
    share = trust / trust.sum()
    left_out = targets - best.residual
    slope, offset = _calibrate(left_out, believed, share)
    return Head(
        kernel=kernel,
        mix=mix,
        gamma=best.gamma,
        ridge=best.ridge,
        weights=(slope * best.weights).astype(np.float32),
        bias=(slope * (share @ targets) + offset).astype(np.float32),
        left_out=belief.softmax(slope * left_out + offset),
        believed=believed,
    )


def _together(heads: Sequence[Head]) -> Head:
    """Return a head whose logits are a weighed mean of several heads' for the same photos, calibrated anew."""
    believed = heads[0].believed
    trust = belief.trust(believed)
    share = trust / trust.sum()
    said = np.log(np.maximum([head.left_out for head in heads], 1e-12))
    voices = _voices(said, believed, share)
    best = heads[int(np.argmax((share[:, None] * believed * said).sum(axis=(1, 2))))]
    left_out = np.tensordot(voices, said, 1)
    slope, offset = _calibrate(left_out, believed, share)
    weights = [slope * voice * head.weights for voice, head in zip(voices, heads, strict=True)]
    return replace(
        best,
        kernel=Kernel(
            np.concatenate([head.kernel.weights for head in heads], axis=1),
            np.concatenate([head.kernel.biases for head in heads]),
        ),
        weights=np.concatenate(weights).astype(np.float32),
        bias=(slope * (voices @ [head.bias for head in heads]) + offset).astype(np.float32),
        left_out=belief.softmax(slope * left_out + offset),
    )


def _voices(said: Array, believed: Array, share: Array) -> Array:
    """Return the weights, (machines,), under which the (machines, n, classes) logits come nearest to what is believed.

    They are positive and sum to 1 (stacking, as Breiman, 1996, has it), and near to even where little speaks against.
    """
    from scipy.optimize import minimize

    def loss(parameters: Array) -> tuple[float, Array]:
        voices = belief.softmax(parameters[None])[0]
        probabilities = belief.softmax(np.tensordot(voices, said, 1))
        value = -(share @ (believed * np.log(np.maximum(probabilities, 1e-12)))).sum() + EVEN * (parameters**2).mean()
        slope = (said * (share[:, None] * (probabilities - believed))).sum(axis=(1, 2))
        return value, voices * (slope - voices @ slope) + 2 * EVEN * parameters / len(parameters)

    found = minimize(loss, np.zeros(len(said)), jac=True, method="L-BFGS-B")
    return np.asarray(belief.softmax(found.x[None])[0])


@_on_one_thread()
def fit_doubting(features: Array, labels: Array, classes: int, *, seed: int = 0, mixes: Array | None = None) -> Head:
    """Fit a head that takes labels for witnesses of what a photo shows, and not for the truth.

    Machines that were fitted without a photo tell what it shows; all of them together tell how often each class is
    given which label; from both follows what to believe of each photo (as Dawid and Skene, 1979, weigh witnesses). How
    often labels are wrong is told by machines that believe them all: later ones have learned what was made of the
    labels, contradict them too little, and only tell more about single classes. Where the labels do not speak for
    errors, all are believed: photos that are hard and labelled rightly are worth the most.
    """
    photos, shown = _spanned(features, labels, seed), belief.one_hot(labels, classes)
    believing = _head(photos, shown, mixes)
    said = _said(believing, photos, shown)
    given = belief.confusion(said, labels)
    if given is None:
        return believing
    said = _said(believing, photos, belief.weighed(said, labels, given).believed)
    believed = belief.weighed(said, labels, belief.refined(said, labels, given)).believed
    return _head(photos, believed, mixes)


def _said(head: Head, photos: _Spanned, believed: Array) -> Array:
    """Return what a machine like the head's best says of each photo, (n, classes), that believes this of all others."""
    (machine,) = _tried(photos, [believed], head.mix[None], (head.gamma,))
    return 2 * believed - 1 - machine.residual


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
    chosen = np.sort(_drawn(features, labels, seed)[:LANDMARKS])
    kernel = _kernel(features[chosen], head.mix, head.gamma)
    near = kernel.nearness(features).astype(np.float64)
    targets = 2 * np.concatenate([head.believed, belief.one_hot(more.labels, classes)]) - 1
    counts = np.concatenate([belief.trust(head.believed), np.full(len(more.labels), PART_COUNTS)])
    mean = np.average(targets, axis=0, weights=counts)
    weighted = (near * counts[:, None]).T
    solved = np.linalg.solve(
        weighted @ near + max(head.ridge, PART_RIDGE) * near[chosen] + 1e-6 * np.eye(len(chosen)),
        weighted @ (targets - mean),
    )
    apart = kernel.nearness(val.features) @ solved + mean
    slope, offset = _calibrate(apart, belief.one_hot(val.labels, classes))
    weights, bias = (slope * solved).astype(np.float32), (slope * mean + offset).astype(np.float32)
    return replace(head, kernel=kernel, weights=weights, bias=bias)


def _drawn(features: Array, labels: Array, seed: int) -> Array:
    """Return the places of photos, first those to be landmarks; where photos are added, nearly the same come first."""
    if len(labels) <= LANDMARKS:
        return np.arange(len(labels))
    lots = np.array([_lot(one, seed) for one in features], np.uint64)
    order = np.argsort(lots, kind="stable")
    # By turns from each class, so that a rare class keeps its photos.
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    return np.lexsort((lots, turn))


def _lot(features: Array, seed: int) -> int:
    """Return a number drawn for a photo by what it holds."""
    return int.from_bytes(hashlib.blake2b(features.tobytes(), digest_size=8, key=str(seed).encode()).digest())


def _calibrate(scores: Array, believed: Array, share: Array | None = None) -> tuple[float, Array]:
    """Return the slope and the offset per class that bring the softmax of scores nearest to what is believed."""
    from scipy.optimize import minimize

    n, classes = scores.shape
    share = np.full(n, 1 / n) if share is None else share
    # A little doubt, as Platt has it: few photos must not promise certainty.
    doubt = 1 / (n / classes + 2)
    targets = believed @ belief.mixed_up(classes, doubt)

    def loss(parameters: Array) -> tuple[float, Array]:
        slope = np.exp(parameters[0])
        probabilities = belief.softmax(slope * scores + parameters[1:])
        slack = share[:, None] * (probabilities - targets)
        value = (
            -(share @ (targets * np.log(np.maximum(probabilities, 1e-12)))).sum() + 1e-3 * (parameters[1:] ** 2).sum()
        )
        return value, np.concatenate([[slope * (slack * scores).sum()], slack.sum(axis=0) + 2e-3 * parameters[1:]])

    found = minimize(loss, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=[(-3, 4)] + [(-10, 10)] * classes)
    return float(np.exp(found.x[0])), np.asarray(found.x[1:])
