import numpy as np
import pytest

from distiller import logits
from tests import fakes, vectors

STUDENT, TEACHER = np.random.default_rng(0).normal(size=(2, 6, 5)) * 3


def loss(student, teacher, **hyperparameters):
    method = logits.Logits({}, {}, fakes.data(), **hyperparameters)
    outputs = fakes.output(logits=student), fakes.output(logits=teacher)
    return method.loss(*outputs, {})["logits"]


def test_the_class_weighs_the_mean_square():
    expected = sum(
        (a - b) ** 2 for a, b in zip(STUDENT.flat, TEACHER.flat, strict=True)
    )
    found = loss(STUDENT, TEACHER, weight=2.0)
    np.testing.assert_allclose(found, 2.0 * expected / 30, rtol=1e-5)


def test_the_papers_sum_is_a_weight():
    # Half the sum over the classes, mean over the batch.
    expected = ((STUDENT - TEACHER) ** 2).sum(1).mean() / 2
    np.testing.assert_allclose(loss(STUDENT, TEACHER, weight=2.5), expected, rtol=1e-5)


def test_zero_at_equality_and_not_at_equal_predictions():
    assert loss(TEACHER, TEACHER) == 0.0
    np.testing.assert_allclose(loss(TEACHER + 2.0, TEACHER, weight=1.0), 4.0, rtol=1e-5)


def test_the_published_recipe_is_the_default():
    method = logits.Logits({}, {}, fakes.data())
    assert (method.weight, method.task_weight) == (0.1, 1.0)


def test_out_of_range_raises():
    with pytest.raises(ValueError, match=r"weight=-0\.1"):
        loss(STUDENT, TEACHER, weight=-0.1)


def test_unequal_classes_raise():
    with pytest.raises(ValueError, match="equal shape"):
        loss(STUDENT[:, 1:], TEACHER)


def mean_square(vector):
    method = logits.Logits({}, {}, fakes.data(), weight=1.0)
    outputs = vectors.output(vector.student), vectors.output(vector.teacher)
    return lambda: vectors.results(method.loss(*outputs, {})), {}


PARITY = {"Logits": mean_square}
