import numpy as np
import pytest
import tensorflow as tf

from op_utils import pairwise

X = np.random.default_rng(0).normal(size=(6, 3, 2, 4))
FLAT = X.reshape(6, 24)
DIFFERENCES = np.array([[b - a for b in FLAT] for a in FLAT])
DISTANCES = np.linalg.norm(DIFFERENCES, axis=-1)


def test_values_equal_numpy():
    np.testing.assert_array_equal(pairwise.rows(X), FLAT)
    np.testing.assert_allclose(pairwise.gram(X), FLAT @ FLAT.T)
    np.testing.assert_array_equal(pairwise.differences(X), DIFFERENCES)
    np.testing.assert_allclose(pairwise.squared_distances(X), DISTANCES**2)
    np.testing.assert_allclose(pairwise.distances(X), DISTANCES)


def test_the_floor_spares_the_diagonal():
    off = 1.0 - np.eye(6)
    found = pairwise.squared_distances(X, floor=40.0)
    np.testing.assert_allclose(found, np.maximum(DISTANCES**2, 40.0) * off)
    found = pairwise.distances(X, squared_floor=40.0)
    np.testing.assert_allclose(found, np.sqrt(np.maximum(DISTANCES**2, 40.0)) * off)


@pytest.mark.parametrize("function", [pairwise.squared_distances, pairwise.distances])
def test_gradients_are_those_of_the_differences(function):
    weights = np.random.default_rng(1).normal(size=(6, 6))
    x = tf.constant(FLAT)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(weights * function(x))
    slopes = {
        pairwise.squared_distances: 2.0 * np.ones((6, 6)),
        pairwise.distances: 1.0 / (DISTANCES + np.eye(6)),
    }[function]
    pulls = ((weights + weights.T) * slopes)[..., None] * DIFFERENCES
    np.testing.assert_allclose(tape.gradient(total, x), pulls.sum(0))


def test_a_large_common_part_costs_no_precision():
    x = FLAT.astype(np.float32)
    far = x + np.float32(128.0)
    exact = far.astype(np.float64)
    expected = np.linalg.norm(exact[:, None] - exact, axis=-1)
    np.testing.assert_allclose(pairwise.distances(far), expected, rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_equal_images_have_finite_gradients(jit):
    @tf.function(jit_compile=jit)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = pairwise.distances(x)
        return found, tape.gradient(found, x)

    found, gradient = run(tf.constant([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]))
    np.testing.assert_allclose(found, 1e-6 * (1.0 - np.eye(3)), rtol=1e-5)
    np.testing.assert_array_equal(gradient, np.zeros([3, 2]))


def test_batches_are_checked():
    pairwise.check_batches(tf.zeros([2, 3]), tf.zeros([2, 4, 4, 5]), least=2)
    with pytest.raises(ValueError, match=r"equal size.*\(2, 3\).*\(4, 3\)"):
        pairwise.check_batches(tf.zeros([2, 3]), tf.zeros([4, 3]))
    with pytest.raises(ValueError, match=r"at least 2.*\(1, 3\)"):
        pairwise.check_batches(tf.zeros([1, 3]), tf.zeros([1, 3]), least=2)
