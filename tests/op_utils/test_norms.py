import numpy as np
import pytest
import tensorflow as tf

from op_utils import norms


def test_values_equal_numpy():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.testing.assert_allclose(norms.norm(x), np.linalg.norm(x, axis=-1))
    expected = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(norms.unit(x, axis=1), expected)
    assert norms.norm(x, axis=1, keepdims=True).shape == (3, 1, 5)


@pytest.mark.parametrize("function", [norms.norm, norms.unit])
@pytest.mark.parametrize("jit", [False, True])  # their roots differ at 0
def test_zero_has_norm_zero_and_gradient_zero(function, jit):
    @tf.function(jit_compile=jit)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            total = tf.reduce_sum(y * tf.range(1.0, y.shape[-1] + 1))
        return y, tape.gradient(total, x)

    y, gradient = run(tf.zeros([2, 3]))
    np.testing.assert_array_equal(y, np.zeros(y.shape))
    np.testing.assert_array_equal(gradient, np.zeros([2, 3]))


def test_the_floor_of_unit_is_on_the_norm():
    x = tf.constant([3e-13, 4e-13], tf.float64)  # norm 5e-13, below 1e-12
    np.testing.assert_allclose(norms.unit(x), [0.3, 0.4])
