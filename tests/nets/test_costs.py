import math

import keras
import pytest
import tensorflow as tf

import nets
from nets import costs


def _model(*layers):
    return keras.Sequential([keras.Input((8, 6, 4)), *layers])


@pytest.mark.parametrize(
    ("layer", "cost"),
    [
        (keras.layers.Conv2D(5, 3, padding="same"), 8 * 6 * 5 * 3 * 3 * 4),
        (keras.layers.Conv2D(5, (3, 1), strides=2), 3 * 3 * 5 * 3 * 4),
        (keras.layers.Conv2D(6, 3, padding="same", groups=2), 8 * 6 * 6 * 3 * 3 * 2),
        (
            keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            8 * 6 * 8 * 3 * 3,
        ),
        (keras.layers.Dense(7), 8 * 6 * 4 * 7),  # at every position
        (keras.layers.BatchNormalization(), 0),
        (keras.layers.EinsumDense("bhwc,cd->bhwd", (8, 6, 7)), 8 * 6 * 4 * 7),
        (keras.layers.EinsumDense("...c,cd->...d", 7), 8 * 6 * 4 * 7),
        (
            keras.layers.Conv2DTranspose(5, 3, 2, padding="same"),
            8 * 6 * 4 * 3 * 3 * 5,  # each pixel that is read, by its window
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_cost_by_hand(layer, cost):
    assert nets.multiply_accumulates(_model(layer)) == cost


def test_cost_of_attention():
    """Four projections of 12 tokens, and the two products of each two of them."""
    images = keras.Input((4, 3, 4))
    tokens = keras.layers.Reshape((12, 4))(images)
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3)
    model = keras.Model(images, attention(tokens, tokens))
    expected = 4 * 12 * 4 * 6 + 2 * 12 * 12 * 6
    assert nets.multiply_accumulates(model) == expected
    swapped = keras.layers.Permute((2, 1))(tokens)
    model = keras.Model(images, keras.ops.matmul(tokens, swapped))
    assert nets.multiply_accumulates(model) == 12 * 12 * 4


def test_cost_of_called_functions_counts():
    dense = keras.layers.Dense(3)

    class Calls(keras.Model):
        @tf.function(jit_compile=True)
        def inner(self, x):
            return dense(x)

        def call(self, x):
            return self.inner(x) + self.inner(2 * x)

    model = Calls()
    model.build((None, 5, 5, 4))
    assert nets.multiply_accumulates(model, (5, 5, 4)) == 2 * 5 * 5 * 4 * 3


def test_cost_needs_an_image_size():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match=r"image_shape=\(None, None, 3\)"):
        nets.multiply_accumulates(model)
    assert nets.multiply_accumulates(model, (3, 3, 3)) == 3 * 3 * 3 * 4


def test_moving_statistics_are_no_parameters():
    assert nets.count_parameters(_model(keras.layers.BatchNormalization())) == 2 * 4


def transfer(is_frozen=True):
    """A base with batch norm, augmentation and dropout inside, and a new head."""
    base = _model(keras.layers.Conv2D(5, 3), keras.layers.BatchNormalization())
    base.trainable = not is_frozen
    images = keras.Input((8, 6, 4))
    x = base(keras.layers.RandomFlip(seed=1)(images), training=False)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.5, seed=2)(x))
    return keras.Model(images, keras.layers.Dense(3)(x))


OF_BASE = 3 * 3 * 4 * 5 + 5 + 2 * 5
OF_HEAD = 5 * 3 + 3
STATISTICS = 2 * 5


@pytest.mark.parametrize("is_wrapped", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_frozen_weights_are_parameters_and_are_shown_apart(is_frozen, is_wrapped):
    model = transfer(is_frozen)
    net = nets.wrap(model) if is_wrapped else model
    sizes = costs.sizes(net)
    assert sizes["parameters"] == OF_BASE + OF_HEAD
    apart = STATISTICS + (OF_BASE if is_frozen else 0)
    assert sizes["non_trainable_parameters"] == apart
    seeds = 2 * 2  # as Keras counts them
    assert sum(math.prod(v.shape) for v in net.non_trainable_variables) == apart + seeds


def test_a_frozen_net_keeps_its_size():
    net = nets.build("resnet8", 10, (8, 8, 3))
    size, statistics = nets.count_parameters(net), costs.count_non_trainable(net)
    net.trainable = False
    assert nets.count_parameters(net) == size
    assert costs.count_non_trainable(net) == size + statistics


def test_shared_layers_count_once():
    norm, dense = keras.layers.BatchNormalization(), keras.layers.Dense(4)
    inner = keras.Sequential([keras.Input((8, 6, 4)), norm, dense])
    model = _model(norm, dense, inner, norm)
    assert nets.count_parameters(model) == 2 * 4 + 4 * 4 + 4
    assert costs.count_non_trainable(model) == 2 * 4


def test_a_table_that_was_made_not_trainable_is_no_parameter():
    class Position(keras.layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=shape[1:], trainable=False)
            self.same = self.table
            self.draws = keras.random.SeedGenerator(1)
            self.calls = keras.metrics.Sum(name="calls")

        def call(self, x):
            return x + self.table

    model = _model(Position(), keras.layers.Dense(2))
    assert nets.count_parameters(model) == 4 * 2 + 2
    assert costs.count_non_trainable(model) == 8 * 6 * 4


def test_cost_does_not_depend_on_precision():
    costs = {
        nets.multiply_accumulates(nets.build("wrn_10_1", 10, (8, 8, 3), dtype=policy))
        for policy in ("float32", "mixed_bfloat16", "mixed_float16")
    }
    assert len(costs) == 1
