import numpy as np
import pytest
import tensorflow as tf

from op_utils.squared_error import squared_gap

STUDENT, TEACHER = np.random.default_rng(0).normal(size=(2, 3, 4, 5))


def test_value_equals_numpy():
    expected = ((STUDENT - TEACHER) ** 2).mean()
    np.testing.assert_allclose(squared_gap(STUDENT, TEACHER), expected)
    assert squared_gap(TEACHER, TEACHER) == 0.0


def test_the_teacher_is_constant():
    student, teacher = tf.constant(STUDENT), tf.constant(TEACHER)
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        gap = squared_gap(student, teacher)
    gradient, of_teacher = tape.gradient(gap, [student, teacher])
    np.testing.assert_allclose(gradient, 2 * (STUDENT - TEACHER) / STUDENT.size)
    assert of_teacher is None


def test_unequal_shapes_raise():
    with pytest.raises(ValueError, match=r"equal shape.*\(2, 3\).*\(2, 4\)"):
        squared_gap(tf.zeros([2, 3]), tf.zeros([2, 4]))
