"""Branches: an inception block, a shared layer, a head on two poolings."""

import keras
from keras import layers


def build(size):
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(images)
    pooled = layers.MaxPooling2D(3, 1, padding="same", name="mixed1_pool")(x)
    branches = [
        layers.Conv2D(4, 1, activation="relu", name="mixed1_1x1")(x),
        layers.Conv2D(4, 3, padding="same", activation="relu", name="mixed1_3x3")(x),
        layers.Conv2D(4, 1, activation="relu", name="mixed1_last")(pooled),
    ]
    x = layers.Concatenate(name="mixed1")(branches)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="down")(x)
    shared = layers.Conv2D(8, 3, padding="same", activation="relu", name="shared")
    x = layers.Add(name="sum")([x, shared(shared(x))])
    x = layers.ReLU(name="sum_out")(x)
    mean, largest = layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D()
    x = layers.Concatenate(name="both")([mean(x), largest(x)])
    return keras.Model(images, layers.Dense(4, name="logits")(x), name="branches")


def one_dense_twice(size):
    """Two views through the same layers, their logits averaged: no dense head."""
    images = keras.Input((size, size, 3))
    conv = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="conv")
    pool, dense = layers.GlobalAveragePooling2D(), layers.Dense(4, name="logits")
    views = [images, keras.ops.flip(images, axis=2)]
    outputs = layers.Average(name="mean")([dense(pool(conv(v))) for v in views])
    return keras.Model(images, outputs, name="two_views")
