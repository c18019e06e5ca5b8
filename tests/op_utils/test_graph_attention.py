import numpy as np
import pytest
import tensorflow as tf

from op_utils import graph_attention

RNG = np.random.default_rng(0)


def test_the_head_s_index_runs_fastest():
    sender, receiver = RNG.normal(size=(2, 3, 8))
    found = graph_attention.attention(tf.constant(sender), tf.constant(receiver), 2)
    for head in range(2):
        expected = sender[:, head::2] @ receiver[:, head::2].T  # rows are senders
        np.testing.assert_allclose(found[head], expected)


@pytest.fixture
def projection():
    layer = graph_attention.Projection(3, 4)
    for variable in layer.variables:
        variable.assign(RNG.uniform(0.5, 2.0, size=variable.shape))
    return layer


def test_frozen_is_the_layer_without_its_gradients(projection):
    x = tf.constant(RNG.normal(size=(5, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = projection.frozen(x)
    np.testing.assert_allclose(found, projection(x, training=False), rtol=1e-5)
    of_input, *of_variables = tape.gradient(found, [x, *projection.trainable_variables])
    assert np.any(of_input) and of_variables == [None] * 3


def test_training_takes_the_batch_and_remembers_it(projection):
    x = RNG.normal(size=(5, 3))
    before = projection.norm.moving_mean.numpy()
    found = projection(tf.constant(x, tf.float32), training=True)
    dense = x @ projection.dense.kernel.numpy()
    expected = (dense - dense.mean(0)) / np.sqrt(dense.var(0) + 1e-5)
    expected = expected * projection.norm.gamma.numpy() + projection.norm.beta.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        projection.norm.moving_mean, 0.9 * before + 0.1 * dense.mean(0), rtol=1e-4
    )


def test_what_an_estimate_does_not_depend_on_is_not_trained():
    relation = graph_attention.Relation(3, 5, heads=2)
    assert relation.receiver.norm.beta.trainable is False
    assert len(relation.receiver.trainable_variables) == 2
    before, after = (tf.constant(RNG.normal(size=(4, c)), tf.float32) for c in (3, 5))
    estimates = []
    for beta in (0.0, 0.3):
        relation.receiver.norm.beta.assign(tf.fill([8], beta))
        estimates.append(relation.estimate(before, after, tf.ones([2, 4, 1])))
    np.testing.assert_allclose(estimates[0], estimates[1], rtol=1e-4, atol=1e-6)


def test_a_dropped_row_of_a_head_sends_nothing():
    relation = graph_attention.Relation(3, 5, heads=2)
    before, after = (tf.constant(RNG.normal(size=(4, c)), tf.float32) for c in (3, 5))
    mask = np.ones((2, 4, 1), np.float32)
    mask[:, 1] = 0.0
    found = relation.estimate(before, after, tf.constant(mask))
    assert found.shape == (4, 5)
    np.testing.assert_array_equal(found[1], relation.output.bias)
    assert np.all(np.any(found != relation.output.bias, axis=1)[[0, 2, 3]])
