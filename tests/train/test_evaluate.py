"""Figures about classifiers, against what they are defined to be."""

import numpy as np
import pytest

from train.evaluate import Judged, calibration_error, cooled, expected_error, temperature, threshold


def told(probabilities: list[float], truth: list[int]) -> Judged:
    """Return a binary judgement of the positive class's probabilities."""
    both = np.array([[1 - one, one] for one in probabilities])
    return Judged(("not_plum", "plum"), (), np.array(truth), both, "test")


def test_figures_of_a_known_case() -> None:
    """Three of four right, one plum missed: accuracy, precision, recall, F1, AUC and the confusion by hand."""
    found = told([0.9, 0.3, 0.2, 0.1], [1, 1, 0, 0]).evaluation

    assert found.accuracy == 0.75
    assert (found.per_class["plum"].precision, found.per_class["plum"].recall) == (1.0, 0.5)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert found.confusion == {"not_plum": {"not_plum": 2, "plum": 0}, "plum": {"not_plum": 1, "plum": 1}}
    assert (found.roc_auc, found.average_precision) == (1.0, 1.0)


def test_photos_of_one_class_have_no_ranking() -> None:
    """Without a negative there is no ROC, and the class without photos does not pull macro F1 down."""
    found = told([0.9, 0.8], [1, 1]).evaluation

    assert found.roc_auc is None
    assert found.macro_f1 == 1.0


def test_calibration_error_is_the_distance_of_promise_and_truth() -> None:
    """Ninety percent sure and right in half the cases is 0.4 off; right in nine of ten, not at all."""
    sure = np.array([[0.1, 0.9]] * 10)

    assert calibration_error(sure, np.array([1] * 5 + [0] * 5)) == pytest.approx(0.4)
    assert calibration_error(sure, np.array([1] * 9 + [0])) == pytest.approx(0)


def test_chance_makes_few_photos_look_miscalibrated() -> None:
    """What is foretold of a calibrated classifier is what drawing its answers gives."""
    rng = np.random.default_rng(0)
    some = rng.uniform(0.5, 1, 70)
    said = np.column_stack([1 - some, some])
    drawn = [calibration_error(said, (rng.random(70) < some).astype(int)) for _ in range(400)]

    assert expected_error(said) == pytest.approx(np.mean(drawn), rel=0.1)


def test_a_temperature_mends_too_much_confidence() -> None:
    """Logits that were made four times too large get about their own size back, and no decision changes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 3)) * 1.5
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in honest])
    loud = np.exp(4 * logits) / np.exp(4 * logits).sum(axis=1, keepdims=True)
    by = temperature(loud, truth)

    assert by == pytest.approx(4, rel=0.15)
    assert calibration_error(cooled(loud, by), truth) < 0.03 < calibration_error(loud, truth)
    assert np.array_equal(cooled(loud, by).argmax(axis=1), loud.argmax(axis=1))


def skewed(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that say a quarter of what they should, and the truth: a tenth is positive."""
    rng = np.random.default_rng(0)
    truth = (rng.random(n) < 0.1).astype(np.int64)
    positive = np.clip(np.where(truth, 0.25, 0.08) + rng.normal(0, 0.04, n), 0, 1)
    return np.stack([1 - positive, positive], axis=1), truth


def f1(called: np.ndarray, truth: np.ndarray) -> float:
    """Return the F1 of the positive class."""
    return 2 * (called & (truth == 1)).sum() / (called.sum() + truth.sum())


def test_a_threshold_is_chosen_for_f1() -> None:
    """Where a half calls nothing present, the threshold comes near the best F1 there is, by trying all."""
    said, truth = skewed(2000)
    found = threshold(said, truth)
    best = max(f1(said[:, 1] >= cut, truth) for cut in np.linspace(0, 1, 501))

    assert f1(said[:, 1] >= 0.5, truth) == 0
    assert f1(said[:, 1] >= found, truth) > best - 0.02


def test_few_photos_do_not_move_a_threshold_by_chance() -> None:
    """Where a half does as well within the error, it stays; without both classes, too."""
    said = np.array([[0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.9, 0.1], [0.45, 0.55], [0.8, 0.2]])

    assert threshold(said, np.array([1, 1, 1, 0, 0, 0])) == 0.5
    assert threshold(said, np.ones(6, np.int64)) == 0.5


def test_a_threshold_reaches_the_wanted_precision() -> None:
    """At 95 % precision on these photos as much recall is kept as can be."""
    said, truth = skewed(2000)
    called = said[:, 1] >= threshold(said, truth, precision=0.95)
    others = [said[:, 1] >= cut for cut in np.linspace(0, 1, 501)]
    recalls = [truth[one].sum() for one in others if one.any() and truth[one].mean() >= 0.95]

    assert truth[called].mean() >= 0.95
    assert truth[called].sum() >= max(recalls)


def test_a_threshold_parts_no_equal_scores() -> None:
    """Photos of one score are called alike: what some of them alone would reach is not promised."""
    said = np.array([[0.1, 0.9], [0.2, 0.8], [0.2, 0.8], [0.2, 0.8], [0.9, 0.1]])

    assert threshold(said, np.array([1, 1, 1, 0, 0]), precision=0.95) == pytest.approx(0.85)
