"""Losses of the layers' own: regularisers of weights and outputs, and add_loss."""

import keras
from keras import layers, ops, regularizers


@keras.saving.register_keras_serializable("users")
class Sparse(layers.Layer):
    """The identity, which costs what it lets through."""

    def __init__(self, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, x):
        self.add_loss(self.rate * ops.mean(ops.abs(x)))
        return x

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


def build(size):
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(
        6,
        3,
        padding="same",
        activation="relu",
        kernel_regularizer=regularizers.L2(0.01),
        activity_regularizer=regularizers.L2(0.001),
        name="conv1",
    )(images)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(
        8,
        3,
        padding="same",
        activation="relu",
        activity_regularizer=regularizers.L1(0.001),
        name="conv2",
    )(x)
    x = Sparse(name="sparse")(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(8, activation="relu", kernel_regularizer="l2")(x)
    outputs = layers.Dense(
        4, activation="softmax", activity_regularizer=regularizers.L2(0.5), name="out"
    )(x)
    return keras.Model(images, outputs, name="penalised")
