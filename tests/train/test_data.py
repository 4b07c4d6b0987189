"""What the trainer reads, and how it deals it out."""

import numpy as np
import pytest

from train.data import class_weights


def test_class_weights_make_classes_count_the_same() -> None:
    """Each class weighs the same in all, and a picture 1 on average; balanced classes are left alone."""
    weights = class_weights(np.array([0, 0, 0, 1]))

    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights.mean() == pytest.approx(1)
    assert class_weights(np.array([0, 1, 1, 0])).tolist() == [1, 1, 1, 1]
