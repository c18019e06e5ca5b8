"""Nets, methods and data so small that a whole training takes a moment."""

import keras
import numpy as np
import tensorflow as tf

from distiller.framework import base
from nets.taps import Output

NUM_CLASSES = 3
IMAGE_SHAPE = (2, 2, 1)
DATA = base.DataSpec(20, NUM_CLASSES, np.arange(20, dtype=np.int32) % 3, 4)


class Net(keras.Model):
    """Dense, batch norm, ReLU (the tap "stage1"), Dense."""

    def __init__(self, seed=0, dtype="float32"):
        super().__init__(dtype=dtype)
        self.hidden = self._dense(6, seed)
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, dtype=self.dtype_policy
        )
        self.head = self._dense(NUM_CLASSES, seed + 1)
        self(tf.zeros([1, *IMAGE_SHAPE]))

    def _dense(self, units, seed):
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.HeNormal(seed),
            dtype=self.dtype_policy,
        )

    def call(self, images, training=False, with_taps=False):
        x = self.hidden(tf.reshape(images, [images.shape[0], -1]))
        x = tf.nn.relu(self.norm(x, training=training))
        logits = self.head(x)
        return Output(logits, {"stage1": x}) if with_taps else logits


class Linear(keras.Model):
    """logits = pixels W, whose gradients a test can write down."""

    def __init__(self, seed=0):
        super().__init__()
        self.head = keras.layers.Dense(
            NUM_CLASSES,
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed),
        )
        self(tf.zeros([1, *IMAGE_SHAPE]))

    def call(self, images, training=False, with_taps=False):
        logits = self.head(tf.reshape(images, [images.shape[0], -1]))
        return Output(logits, {}) if with_taps else logits


class Method(base.Distiller):
    """A method made of one phase with the given loss."""

    def __init__(self, loss=None, **phase):
        super().__init__({}, {}, DATA)
        self.phase = base.Phase("distill", loss or (lambda *_: {}), **phase)

    def phases(self):
        return (self.phase,)


def batch(size=4, seed=0):
    """A batch as the methods see it."""
    rng = np.random.default_rng(seed)
    return {
        "image": tf.constant(rng.normal(size=(size, *IMAGE_SHAPE)), tf.float32),
        "label": tf.constant(rng.integers(0, NUM_CLASSES, size), tf.int32),
        "index": tf.range(size),
        "epoch": tf.constant(0.0),
        "progress": tf.constant(0.5),
        "seed": tf.constant([seed, 3]),
    }


def values(variables):
    return [v.numpy() for v in variables]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
