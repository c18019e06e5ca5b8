import keras
import numpy as np
import tensorflow as tf

from op_utils import embeddings

RNG = np.random.default_rng(0)


def test_linear_is_initialised_as_in_the_published_code():
    keras.utils.set_random_seed(0)
    layer = embeddings.linear(25, 400, "head")
    for weights in (layer.kernel, layer.bias):
        largest = np.abs(weights).max()
        assert 0.19 < largest <= 0.2 and abs(np.mean(weights)) < 0.03
    assert layer.name == "head" and layer.kernel.shape == (25, 400)


def test_layers_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layers = embeddings.linear(2, 3, "head"), embeddings.Perceptron(2, 4, 3)
    finally:
        keras.config.set_dtype_policy("float32")
    for layer in layers:
        assert layer(tf.ones([4, 2])).dtype == tf.float32
        assert {v.dtype for v in layer.variables} == {"float32"}


def test_vectors_are_means_of_maps():
    maps = RNG.normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(embeddings.vectors(tf.constant(maps)), maps.mean((1, 2)))
    rows = tf.constant(RNG.normal(size=(2, 5)))
    np.testing.assert_array_equal(embeddings.vectors(rows), rows)


def test_perceptron_equals_numpy():
    layer = embeddings.Perceptron(3, 6, 2)
    for variable in layer.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    k0, b0, gamma, beta, k1, b1 = (np.float64(v) for v in layer.trainable_variables)
    x = RNG.normal(size=(8, 3))
    hidden = x @ k0 + b0
    mean, variance = hidden.mean(0), hidden.var(0)
    hidden = gamma * (hidden - mean) / np.sqrt(variance + 1e-5) + beta
    expected = np.maximum(hidden, 0) @ k1 + b1
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-5)
    moved = layer.norm.moving_mean
    np.testing.assert_allclose(moved, 0.1 * mean, rtol=1e-4, atol=1e-6)
    layer(x, training=False)
    np.testing.assert_allclose(moved, 0.1 * mean, rtol=1e-4, atol=1e-6)
