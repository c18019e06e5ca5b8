import numpy as np
import pytest
import tensorflow as tf

from op_utils import attention


def maps(non_negative):
    x = np.random.default_rng(0).normal(size=(3, 4, 2, 5))
    return np.maximum(x, 0.0) if non_negative else x


@pytest.mark.parametrize(
    "p, non_negative",
    [(1, False), (2.0, False), (3, False), (4.0, False), (1.5, True), (2.5, True)],
)
def test_value_equals_numpy(p, non_negative):
    x = maps(non_negative)
    strength = (x**p).mean(-1).reshape(3, -1)
    expected = strength / np.linalg.norm(strength, axis=1, keepdims=True)
    np.testing.assert_allclose(attention.spatial_attention(x, p), expected)


def test_odd_powers_keep_the_sign():
    np.testing.assert_array_equal(attention.power(tf.constant([-2.0]), 3.0), [-8.0])


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("jit", [False, True])
def test_zero_maps_give_zeros_and_finite_gradients(p, jit):
    @tf.function(jit_compile=jit)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = attention.spatial_attention(x, p)
        return y, tape.gradient(y, x)

    y, gradient = run(tf.zeros([2, 3, 3, 4]))
    np.testing.assert_array_equal(y, np.zeros((2, 9)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("graph", [False, True])
def test_undefined_powers_raise(graph):
    power = tf.function(attention.power) if graph else attention.power
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"no real value.*p=1\.5"):
        power(tf.constant([1.0, -1.0]), 1.5)
    with pytest.raises(ValueError, match=r"p >= 1.*p=0\.5"):
        attention.power(tf.constant([1.0]), 0.5)
