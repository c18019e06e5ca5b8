import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import fakes
from training.run import fingerprint

IMAGES = tf.TensorSpec([4, 8, 8, 3], tf.float32)


def traced(net, spec=IMAGES):
    return tf.function(lambda x: net(x), autograph=False).get_concrete_function(spec)


def graph(net):
    return fingerprint.graph_digest(traced(net))


def weights(net):
    return fingerprint.weights_digest(traced(net), net.variables)


class Sharper(fakes.Net):
    """The same layers; other code."""

    def call(self, images, training=False, with_taps=False):
        return 2.0 * super().call(images, training, with_taps)


@pytest.fixture(scope="module")
def net():
    return fakes.Net()


def test_the_graph_does_not_depend_on_names_or_weights(net):
    for name in ("net", "zz", "aa"):  # besides, Keras counts layers on
        assert graph(net) == graph(fakes.Net(seed=5, name=name))


@pytest.mark.parametrize(
    "other", [functools.partial(fakes.Net, strides=(1, 2, 1)), Sharper]
)
def test_another_computation_has_another_digest(net, other):
    assert graph(other()) != graph(net)


def test_the_batch_size_counts(net):
    other = traced(net, tf.TensorSpec([5, 8, 8, 3], tf.float32))
    assert fingerprint.graph_digest(other) != graph(net)


def test_every_weight_counts(net):
    found = traced(net)

    def digest():
        return fingerprint.weights_digest(found, net.variables)

    before = digest()
    assert before == weights(fakes.Net())
    for variable in net.variables:
        old = variable.numpy()
        changed = old.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(np.inf))
        variable.assign(changed)
        assert digest() != before, variable.path
        variable.assign(old)
    assert digest() == before


def looping(factor):
    def body(i, x):
        return i + 1, x * factor

    def function(x):
        return tf.while_loop(lambda i, x: i < 3, body, (0, x))[1]

    return fingerprint.graph_digest(traced(function))


def test_what_is_inside_a_loop_counts():
    assert looping(2.0) == looping(2.0) != looping(3.0)


def test_constants_from_outside_count():
    digests = []
    for value in (1.0, 2.0):
        constant = tf.constant([value])
        found = traced(lambda x, c=constant: x * c)
        digests.append(fingerprint.weights_digest(found, ()))
    assert digests[0] != digests[1]


def test_a_variable_that_keras_does_not_know_is_refused():
    hidden = tf.Variable(1.0)
    found = traced(lambda x: x * hidden)
    with pytest.raises(ValueError, match="none of its variables"):
        fingerprint.weights_digest(found, ())
    assert fingerprint.weights_digest(found, [hidden])


def test_keras_variables_count_by_their_value():
    dense = keras.layers.Dense(2)
    dense.build([None, 3])
    found = traced(dense, tf.TensorSpec([4, 3], tf.float32))
    assert fingerprint.weights_digest(found, dense.variables)


def test_a_gradient_of_its_own_has_no_name():
    """TensorFlow counts such functions, as silu, on."""
    digests = {
        fingerprint.graph_digest(
            tf.function(tf.nn.silu, autograph=False).get_concrete_function(IMAGES)
        )
        for _ in range(2)
    }
    assert len(digests) == 1
