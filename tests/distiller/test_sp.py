import numpy as np
import pytest
import tensorflow as tf

from distiller import sp
from tests import fakes, vectors

SHAPES = [(4, 4, 3), (2, 2, 4)], [(2, 2, 5), (2, 3, 6)]
STUDENT, TEACHER = (fakes.specs(*shapes) for shapes in SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.normal(size=(5, *shape)) for shape in side] for side in SHAPES)


def gap(student, teacher):
    def similarity(maps):
        found = np.array([[(a * b).sum() for b in maps] for a in maps])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return ((similarity(student) - similarity(teacher)) ** 2).sum() / len(student) ** 2


def test_gap_equals_numpy():
    for student, teacher in zip(MAPS, TARGETS, strict=True):
        found = sp.similarity_gap(student, teacher)
        np.testing.assert_allclose(found, gap(student, teacher))


def test_zero_where_the_activations_agree_up_to_scale():
    found = sp.similarity_gap(3.0 * MAPS[0], MAPS[0].reshape(5, -1))
    np.testing.assert_allclose(found, 0.0, atol=1e-15)


def test_the_class_weighs_and_sums_over_taps():
    method = sp.SP(STUDENT, TEACHER, fakes.data(), taps=("stages",), weight=5.0)
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    expected = sum(gap(s, t) for s, t in zip(MAPS, TARGETS, strict=True))
    np.testing.assert_allclose(terms["similarity"], 5.0 * expected, rtol=1e-5)


def test_the_published_recipe_is_the_default():
    method = sp.SP(STUDENT, TEACHER, fakes.data())
    assert method.weight == 3000.0
    assert method.pairs == (("stage2", "stage2"),)


@pytest.mark.parametrize("zeros", [1, 5])
def test_zero_maps_give_finite_gradients(zeros):
    alive = (np.arange(5) >= zeros)[:, None, None, None]
    student = tf.constant(MAPS[0] * alive, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = sp.similarity_gap(student, tf.constant(TARGETS[0], tf.float32))
    assert np.isfinite(loss)
    assert np.abs(tape.gradient(loss, student)).max() < 10.0


def test_out_of_range_raises():
    with pytest.raises(ValueError, match="weight=-1.0"):
        sp.SP(STUDENT, TEACHER, fakes.data(), weight=-1.0)


def test_unequal_batches_raise():
    with pytest.raises(ValueError, match=r"equal size.*\(4, 4, 4, 3\)"):
        sp.similarity_gap(MAPS[0][1:], TARGETS[0])


def gaps(students, teachers):
    return [sp.similarity_gap(s, t) for s, t in zip(students, teachers, strict=True)]


def similarities(vector):
    return vectors.sum_of_levels(vector, "level", gaps)


PARITY = {"SP": similarities}
