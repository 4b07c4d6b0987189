"""The kernel machine on features: its closed forms against what they stand for."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from train import heads, models
from train.belief import softmax
from train.evaluate import Judged, doubts


def clouds(n: int, classes: int, *, seed: int = 0, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors around a direction per class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 12))
    found = centres[labels] + spread * rng.normal(size=(n, 12)) * np.linalg.norm(centres[0]) / 3
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), labels


def test_a_head_tells_classes_apart() -> None:
    """Clouds that hardly overlap are told apart on vectors it never saw."""
    head = heads.fit(*clouds(90, 3), 3)
    unseen, labels = clouds(60, 3, seed=1)

    assert (head.probabilities(unseen).argmax(axis=1) == labels).mean() > 0.95


def test_left_out_answers_are_those_of_refitting_without_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form gives what a machine fitted on all but one says about that one."""
    features, labels = clouds(24, 2, spread=1.2)
    monkeypatch.setattr(heads, "GAMMAS", (2.0,))
    monkeypatch.setattr(heads, "RIDGES", np.array([0.3]))
    monkeypatch.setattr(heads, "_calibrate", lambda scores, *_rest: (1.0, np.zeros(scores.shape[1])))
    targets = np.where(labels[:, None] == np.arange(2), 1.0, -1.0)
    mean = targets.mean(axis=0)
    kernel = np.exp(4 * (features.astype(np.float64) @ features.T - 1))
    expected = []
    for n in range(24):
        rest = np.arange(24) != n
        weights = np.linalg.solve(kernel[np.ix_(rest, rest)] + 0.3 * np.eye(23), targets[rest] - mean)
        expected.append(kernel[n, rest] @ weights + mean)

    assert heads.fit(features, labels, 2).left_out == pytest.approx(softmax(np.array(expected)), abs=1e-5)


def test_left_out_answers_hold_for_photos_that_are_trusted_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form with beliefs gives what weighted refitting on all but one says about that one."""
    features, labels = clouds(24, 2, spread=1.2)
    monkeypatch.setattr(heads, "GAMMAS", (2.0,))
    monkeypatch.setattr(heads, "RIDGES", np.array([0.3]))
    monkeypatch.setattr(heads, "_calibrate", lambda scores, *_rest: (1.0, np.zeros(scores.shape[1])))
    sure = np.random.default_rng(3).uniform(0.55, 1, 24)
    believed = np.where(labels[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
    targets, trust = 2 * believed - 1, 2 * sure - 1
    mean = trust @ targets / trust.sum()
    kernel = np.exp(4 * (features.astype(np.float64) @ features.T - 1))
    expected = []
    for n in range(24):
        rest = np.arange(24) != n
        weights = np.linalg.solve(kernel[np.ix_(rest, rest)] + np.diag(0.3 / trust[rest]), targets[rest] - mean)
        expected.append(kernel[n, rest] @ weights + mean)

    assert heads.fit(features, labels, 2, believed=believed).left_out == pytest.approx(
        softmax(np.array(expected)), abs=1e-5
    )


def test_the_keras_layers_say_what_the_head_says() -> None:
    """Two dense layers give the head's logits."""
    features, labels = clouds(50, 4)
    head = heads.fit(features, labels, 4)

    assert _by_keras({"": head}, features)[""] == pytest.approx(head.logits(features), abs=1e-3)


def _by_keras(fitted: Mapping[str, heads.Head], features: np.ndarray) -> dict[str, np.ndarray]:
    return {
        item: np.asarray(part.layer(np.concatenate([kernel(features) for kernel in part.kernels], axis=1)))
        for item, part in models.of_heads(fitted).items()
    }


def test_a_landmark_is_kept_once_for_all_heads() -> None:
    """Heads of one kernel have one layer; what another knows beside is a further one, and what it lacks counts 0."""
    features, labels = clouds(60, 2)
    kinds = np.arange(60) % 4
    few, more = slice(0, 40), slice(10, 60)
    fitted = heads.fit_side_by_side(features[few], {"a": labels[few], "b": labels[few][::-1]}, kinds[few], gamma=2.0)
    fitted |= heads.fit_side_by_side(features[more], {"c": labels[more]}, kinds[more], gamma=2.0)
    fitted |= heads.fit_side_by_side(features[:5], {"d": labels[:5]}, kinds[:5], gamma=2.0)
    fitted |= heads.fit_side_by_side(features, {"e": labels}, kinds, gamma=1.0)
    kernels, wires = heads.wired(fitted.values())

    assert [len(kernel.biases) for kernel in kernels] == [40, 20, 5, 60]
    assert [wire.kernels for wire in wires] == [(0,), (0,), (0, 1), (2,), (3,)]
    assert np.all(wires[2].weights[:10] == 0)
    assert np.all(wires[2].weights[10:].any(axis=1))
    for item, said in _by_keras(fitted, features).items():
        assert said == pytest.approx(fitted[item].logits(features), abs=1e-3)


def test_the_same_landmarks_are_drawn_where_photos_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more photos than landmarks, those of the kinds that were there are nearly all drawn again."""
    monkeypatch.setattr(heads, "LANDMARKS", 60)
    features, kinds = clouds(240, 8)
    before = kinds < 7
    fitted = [
        heads.fit_side_by_side(features[some], {"a": kinds[some] % 2}, kinds[some], gamma=2.0)["a"]
        for some in (before, before | True)
    ]
    kernels, _ = heads.wired(fitted)

    assert [len(head.kernel.biases) for head in fitted] == [60, 60]
    assert len(kernels[1].biases) <= 60 / 8 + 1


def test_more_photos_than_landmarks_are_spanned_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few landmarks a head is small, keeps every class, and still tells the classes apart."""
    monkeypatch.setattr(heads, "LANDMARKS", 16)
    features, labels = clouds(200, 3)
    rare = np.concatenate([np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:3]])
    head = heads.fit(features[rare], labels[rare], 3)
    unseen, truth = clouds(60, 3, seed=1)

    assert head.kernel.weights.shape == (12, 16)
    assert (head.probabilities(unseen).argmax(axis=1) == truth).mean() > 0.9


def test_probabilities_are_calibrated() -> None:
    """Where classes overlap, the mean probability of the chosen class is the share that is right."""
    head = heads.fit(*clouds(300, 2, spread=2.5), 2)
    unseen, labels = clouds(1000, 2, seed=1, spread=2.5)
    said = head.probabilities(unseen)

    assert (said.argmax(axis=1) == labels).mean() == pytest.approx(said.max(axis=1).mean(), abs=0.04)
    assert said.sum(axis=1) == pytest.approx(np.ones(1000))


def test_the_same_photos_give_the_same_head() -> None:
    """Fitting draws nothing by chance."""
    features, labels = clouds(40, 2)

    assert np.array_equal(heads.fit(features, labels, 2).weights, heads.fit(features, labels, 2).weights)


def test_flipped_labels_are_doubted_first() -> None:
    """With a fifth of the labels flipped, most flips are in the first quarter, and unseen answers hardly suffer."""
    features, labels = clouds(200, 2, spread=0.8)
    flipped = np.random.default_rng(5).permutation(200) < 40
    wrong = np.where(flipped, 1 - labels, labels)
    head = heads.fit(features, wrong, 2)
    first = np.argsort(-doubts(Judged(("a", "b"), (), wrong, head.left_out, "train")))[:50]
    unseen, truth = clouds(400, 2, seed=1, spread=0.8)
    clean = heads.fit(features, labels, 2)

    assert flipped[first].sum() >= 32
    assert _right(head, unseen, truth) > _right(clean, unseen, truth) - 0.03


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_doubting_forgets_flipped_labels(share: float) -> None:
    """Where two fifths of a class are labelled the next, doubting answers as if none were; where none is, likewise."""
    features, labels = clouds(300, 3, spread=0.9)
    flipped = (labels == 0) & (np.random.default_rng(5).random(300) < share)
    wrong = np.where(flipped, 1, labels)
    unseen, truth = clouds(600, 3, seed=1, spread=0.9)
    believing, clean = (_right(heads.fit(features, one, 3), unseen, truth) for one in (wrong, labels))
    doubting = heads.fit_doubting(features, wrong, 3)

    assert _right(doubting, unseen, truth) > clean - 0.02
    assert _right(doubting, unseen, truth) > believing + (0.02 if share else -0.02)
    assert (doubting.believed.argmax(axis=1) == labels).mean() > 0.94


def test_clean_labels_are_all_believed() -> None:
    """Where no label is wrong, however hard the photos are, doubting costs nothing: it is the plain head."""
    features, labels = clouds(200, 3, spread=1.3)
    plain, doubting = (fitting(features, labels, 3) for fitting in (heads.fit, heads.fit_doubting))

    assert 0.05 < (plain.left_out.argmax(axis=1) != labels).mean() < 0.3
    assert np.array_equal(doubting.weights, plain.weights)


def test_even_errors_are_forgotten() -> None:
    """Of labels of which a fifth is wrong, whatever the class, a fifth is no longer believed, and the right one."""
    features, labels = clouds(200, 4, spread=0.9)
    rng = np.random.default_rng(5)
    flipped = rng.random(200) < 0.2
    wrong = np.where(flipped, (labels + rng.integers(1, 4, 200)) % 4, labels)
    doubting = heads.fit_doubting(features, wrong, 4)

    assert (wrong == labels).mean() < 0.85
    assert doubting.believed[np.arange(200), wrong].mean() == pytest.approx((wrong == labels).mean(), abs=0.04)
    assert (doubting.believed.argmax(axis=1) == labels).mean() > 0.9


def test_what_a_fit_worked_out_serves_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubting fits to the same photos several times, and decomposes the kernel of each width once for all of them."""
    features, labels = clouds(200, 4)
    rng = np.random.default_rng(5)
    wrong = np.where(rng.random(200) < 0.2, (labels + rng.integers(1, 4, 200)) % 4, labels)
    seen: list[bytes] = []
    decompose = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (seen.append(matrix.tobytes()), decompose(matrix))[1])
    believing = heads.fit(features, wrong, 4)
    kernels = list(seen)
    seen.clear()
    doubting = heads.fit_doubting(features, wrong, 4)

    assert not np.array_equal(doubting.believed, believing.believed)
    assert len(kernels) == len(heads.GAMMAS)
    # What a kernel spans is turned where photos are trusted less; that is another matrix.
    assert [one for one in seen if one in kernels] == kernels


def test_a_widened_head_still_doubts() -> None:
    """Labels that a head does not believe are not believed again when it learns from parts of photos too."""
    features, labels = clouds(200, 2, spread=0.5)
    flipped = (labels == 0) & (np.random.default_rng(5).random(200) < 0.8)
    wrong = np.where(flipped, 1, labels)
    labelled = np.eye(2)[wrong]
    head = heads.fit(features, wrong, 2, believed=np.where(flipped[:, None], 0.5, labelled))
    more = heads.Known(features[:2], labels[:2])
    val = heads.Known(*clouds(60, 2, seed=2, spread=0.5))
    unseen, truth = clouds(400, 2, seed=1, spread=0.5)

    def widened(head: heads.Head) -> heads.Head:
        return heads.widened(head, heads.Known(features, wrong), more, val)

    doubting, believing = (widened(one) for one in (head, replace(head, believed=labelled)))
    assert _right(doubting, unseen, truth) > 0.95
    assert (
        doubting.probabilities(features[flipped])[:, 0].mean()
        > believing.probabilities(features[flipped])[:, 0].mean() + 0.1
    )


def _right(head: heads.Head, features: np.ndarray, labels: np.ndarray) -> float:
    return float((head.probabilities(features).argmax(axis=1) == labels).mean())


def test_heads_side_by_side_are_those_that_stand_alone() -> None:
    """Fitted together on the same photos, they share one kernel; each is the one that it would be by itself with it."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], 20)
    features = rng.normal(0, 0.4, (60, 4)) + np.eye(4)[kinds]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    mixes = np.array([[1, 1, 1, 1], [2, 1, 0.5, 0.5]], np.float32)
    labels = {name: (kinds == kind).astype(np.int64) for kind, name in enumerate("abc")}
    together = heads.fit_side_by_side(features, labels, kinds, mixes=mixes)
    own = {
        name: heads.fit_side_by_side(features, {name: one}, kinds, mixes=mixes)[name] for name, one in labels.items()
    }
    shared = together["a"]

    assert len({id(head.kernel) for head in together.values()}) == 1
    assert (shared.gamma, shared.mix[0]) in {(head.gamma, head.mix[0]) for head in own.values()}
    for name, truth in labels.items():
        given = {"mixes": shared.mix[None], "gamma": shared.gamma}
        alone = heads.fit_side_by_side(features, {name: truth}, kinds, **given)[name]
        assert (together[name].gamma, together[name].ridge) == (alone.gamma, alone.ridge)
        assert together[name].logits(features) == pytest.approx(alone.logits(features), rel=1e-6)
        assert together[name].left_out == pytest.approx(alone.left_out, rel=1e-6)
    said = heads.answers(together, features[:7])
    assert all(np.array_equal(said[name], together[name].probabilities(features[:7])) for name in labels)


def test_a_kernel_that_is_known_is_not_searched_for() -> None:
    """Given the mix and the width that it would choose, a head is the same; given others, it takes them."""
    features, labels = clouds(40, 2)
    mixes = np.array([np.ones(features.shape[1]), np.sqrt(np.arange(features.shape[1]) * 2 + 1)], np.float32)
    free = heads.fit_side_by_side(features, {"a": labels}, labels, mixes=mixes)["a"]
    known, other = (
        heads.fit_side_by_side(features, {"a": labels}, labels, mixes=mix[None], gamma=gamma)["a"]
        for mix, gamma in ((free.mix, free.gamma), (mixes[1], 7.0))
    )

    assert (known.gamma, known.ridge) == (free.gamma, free.ridge)
    assert np.array_equal(known.logits(features), free.logits(features))
    assert other.gamma == 7.0
    assert np.array_equal(other.mix, mixes[1])


def test_a_head_is_fitted_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads matrices had before, fitting takes one, and gives the others back."""

    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    seen: list[set[int]] = []
    decompose = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (seen.append(threads()), decompose(matrix))[1])
    features, labels = clouds(40, 2)
    with threadpool_limits(2, "blas"):
        heads.fit(features, labels, 2)
        after = threads()

    assert seen
    assert all(one == {1} for one in seen)
    assert after == {2}


def test_of_several_classes_a_head_is_the_mean_over_its_mixes() -> None:
    """Its logits are those of one machine per mix, each as heavy as it helps, and right where each alone errs."""
    rng = np.random.default_rng(1)
    labels = np.arange(240) % 3
    telling = [1.2 * rng.normal(size=(240, 6)) + 2 * np.eye(6)[labels + shift] for shift in (0, 3)]
    features = np.concatenate([*telling, 2 * rng.normal(size=(240, 6))], axis=1)
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    mixes = np.repeat(3 * np.eye(3, dtype=np.float32), 6, axis=1)
    known, unseen = slice(0, 90), slice(90, None)
    alone = [heads.fit(features[known], labels[known], 3, mixes=mix[None]) for mix in mixes]
    all_ = heads.fit(features[known], labels[known], 3, mixes=mixes)

    centred = [one.logits(features) - one.logits(features).mean(axis=1, keepdims=True) for one in (all_, *alone)]
    parts = np.stack([one.ravel() for one in centred[1:]] + list(np.tile(np.eye(3), (240, 1)).T), axis=1)
    weights, *_ = np.linalg.lstsq(parts, centred[0].ravel(), rcond=None)

    assert parts @ weights == pytest.approx(centred[0].ravel(), abs=1e-3)
    assert 0 <= weights[2] < 0.5 * min(weights[:2])
    assert _right(all_, features[unseen], labels[unseen]) > max(
        _right(one, features[unseen], labels[unseen]) for one in alone
    )
    assert len(all_.kernel.biases) == 270
    assert _by_keras({"": all_}, features)[""] == pytest.approx(all_.logits(features), abs=1e-3)
