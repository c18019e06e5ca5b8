import keras
import pytest
import tensorflow as tf

import nets


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
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_cost_by_hand(layer, cost):
    assert nets.multiply_accumulates(_model(layer)) == cost


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


def test_cost_does_not_depend_on_precision():
    costs = {
        nets.multiply_accumulates(nets.build("wrn_10_1", 10, (8, 8, 3), dtype=policy))
        for policy in ("float32", "mixed_bfloat16", "mixed_float16")
    }
    assert len(costs) == 1
