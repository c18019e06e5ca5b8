"""Weights of classes: scikit-learn's rule, and what users may say."""

import types

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from op_utils import class_weights

LABELS = np.array([0] * 5 + [1] * 3 + [3] * 2)


def test_balanced_weights_are_scikit_learns():
    """Of classes without images scikit-learn knows nothing; theirs are never used."""
    found = class_weights.balanced(LABELS, 4)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=LABELS)
    np.testing.assert_allclose(found[[0, 1, 3]], expected, rtol=1e-6)
    assert found[2] == 1.0 and found.dtype == np.float32
    assert found[LABELS].mean() == pytest.approx(1.0)


def test_a_users_weights():
    assert class_weights.of(None, LABELS, 4) is None
    assert class_weights.of("", LABELS, 4) is None
    found = class_weights.of({np.int64(2): 3, 0: 0.5}, LABELS, 4)
    np.testing.assert_array_equal(found, [0.5, 1, 3, 1])
    named = class_weights.of("balanced", LABELS, 4)
    np.testing.assert_array_equal(named, class_weights.balanced(LABELS, 4))


@pytest.mark.parametrize(
    "given",
    [
        "Balanced",
        {4: 1.0},
        {-1: 1.0},
        {0: -1.0},
        {0: np.nan},
        {0.5: 1},
        {"a": 1},
        [1.0],
    ],
)
def test_unclear_weights_raise(given):
    with pytest.raises(ValueError, match="'balanced', or {class: weight}.*from 0 to 3"):
        class_weights.of(given, LABELS, 4)


def test_weights_without_a_label_loss_raise():
    with_, without = (types.SimpleNamespace(task_weight=w) for w in (None, 0.0))
    class_weights.check_has_label_loss((without, with_), 0.1, "class_weight")
    for phases, weight in (((without,), 1.0), ((without, with_), 0.0)):
        with pytest.raises(ValueError, match="Classes weigh the label loss alone"):
            class_weights.check_has_label_loss(phases, weight, "class_weight")
