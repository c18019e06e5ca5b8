import numpy as np
import pytest
import tensorflow as tf

from op_utils import vector_relations
from tests import singular_reference

RNG = np.random.default_rng(0)
SHAPES = (4, 5, 6), (3, 3, 7), (2, 2, 8)
MAPS, TARGETS = ([RNG.uniform(size=(3, *s)) for s in SHAPES] for _ in range(2))


def test_gaps_equal_numpy():
    students, teachers = ([RNG.normal(size=(3, c, 2)) for c in (4, 5, 6)] for _ in "ab")
    gaps = vector_relations.relation_gaps(students, teachers, 3.0)
    assert len(gaps) == 2
    for level, found in enumerate(gaps):
        expected = sum(
            singular_reference.gap(
                (students[level][i], students[level + 1][i]),
                (teachers[level][i], teachers[level + 1][i]),
                3.0,
            )
            for i in range(3)
        )
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("k, candidates, r", [(1, 4, 8.0), (2, 4, 8.0), (3, 3, 2.0)])
def test_aligned_gaps_equal_numpy(k, candidates, r):
    gaps = vector_relations.aligned_relation_gaps(MAPS, TARGETS, k, candidates, r)
    expected = singular_reference.aligned_gap(MAPS, TARGETS, k, candidates, r)
    np.testing.assert_allclose(tf.add_n(gaps), expected)


def test_small_gaps_keep_their_digits():
    exact = vector_relations.aligned_relation_gaps(MAPS, TARGETS, 1, 4, 8e4)
    single = vector_relations.aligned_relation_gaps(
        *([tf.constant(m, tf.float32) for m in side] for side in (MAPS, TARGETS)),
        *(1, 4, 8e4),
    )
    np.testing.assert_allclose(single, exact, rtol=1e-3)


def test_the_teacher_gets_no_gradient():
    students, teachers = ([tf.constant(m) for m in side] for side in (MAPS, TARGETS))
    with tf.GradientTape() as tape:
        tape.watch(teachers)
        loss = tf.add_n(vector_relations.aligned_relation_gaps(students, teachers))
    assert tape.gradient(loss, teachers) == [None] * 3


@pytest.mark.parametrize("students, teachers", [(1, 1), (2, 3)])
def test_other_numbers_of_levels_raise(students, teachers):
    vectors = [tf.zeros([2, 4, 1])] * 3
    with pytest.raises(ValueError, match=f"{students} of the student, {teachers} of"):
        vector_relations.relation_gaps(vectors[:students], vectors[:teachers])
