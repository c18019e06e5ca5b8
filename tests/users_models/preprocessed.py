"""A plain net behind a `Sequential` that only prepares the pixels."""

import keras
from keras import layers


def _classifier(images, x, name):
    for i, width in enumerate((6, 10), 1):
        x = layers.Conv2D(width, 3, padding="same", name=f"conv{i}")(x)
        x = layers.BatchNormalization(name=f"norm{i}")(x)
        x = layers.Activation("relu", name=f"relu{i}")(x)
        if i == 1:
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    return keras.Model(images, layers.Dense(4, name="logits")(x), name=name)


def build(size):
    prepare = keras.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.RandomFlip("horizontal"),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomContrast(0.2, value_range=(0.0, 1.0)),
        ],
        name="block1",  # a name says nothing
    )
    images = keras.Input((size, size, 3))
    return _classifier(images, prepare(images), "preprocessed")


def normalised(size):
    """By statistics of its own, after a resizing and a crop."""
    small = size // 4 * 3
    images = keras.Input((size, size, 3))
    x = layers.Resizing(size - 4, size - 4)(images)
    x = layers.CenterCrop(small, small)(x)
    x = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0] * 3)(x)
    x = layers.GaussianNoise(0.1)(x)
    return _classifier(images, x, "normalised")
