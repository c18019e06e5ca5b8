"""Models inside models: a backbone, a head outside, and one level more."""

import keras
from keras import layers


def backbone(size, name="backbone"):
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(images)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(10, 3, padding="same", activation="relu", name="conv3")(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Conv2D(14, 3, padding="same", use_bias=False, name="conv4")(x)
    x = layers.BatchNormalization(name="norm4")(x)
    x = layers.Activation("relu", name="relu4")(x)
    return keras.Model(images, x, name=name)


def build(size):
    """A backbone and a head of logits."""
    images = keras.Input((size, size, 3))
    x = layers.GlobalAveragePooling2D()(backbone(size)(images))
    return keras.Model(images, layers.Dense(4, name="logits")(x), name="nested")


def sequential(size):
    """The same as most write it first."""
    stack = [keras.Input((size, size, 3)), backbone(size)]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(4)]
    return keras.Sequential([*stack, layers.Softmax()], name="stacked")


def two_levels(size):
    """Backbone in a pooled encoder in the classifier."""
    images = keras.Input((size, size, 3))
    pooled = layers.GlobalAveragePooling2D()(backbone(size)(images))
    encoder = keras.Model(images, pooled, name="encoder")
    images = keras.Input((size, size, 3))
    outputs = layers.Dense(4, activation="softmax")(encoder(images))
    return keras.Model(images, outputs, name="two_levels")


def whole(size):
    """A classifier as it was trained, with its rescaling put in front for users."""
    inner = backbone(size)
    x = layers.GlobalAveragePooling2D()(inner.output)
    probabilities = layers.Dense(4, activation="softmax")(x)
    classifier = keras.Model(inner.input, probabilities, name="classifier")
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(images)
    return keras.Model(images, classifier(x), name="whole")


def same_names(size):
    """A backbone of another session, whose layers are called as the new ones are."""
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2d")(images)
    x = layers.SpatialDropout2D(0.1, name="dropout")(x)
    x = layers.MaxPooling2D(name="max_pooling2d")(x)
    x = layers.Conv2D(10, 3, padding="same", activation="relu", name="conv2d_1")(x)
    inner = keras.Model(images, x, name="functional")
    images = keras.Input((size, size, 3))
    x = layers.RandomFlip(name="random_flip")(images)
    x = layers.GlobalAveragePooling2D()(inner(x))
    x = layers.Dense(8, activation="relu", name="dense")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    return keras.Model(images, layers.Dense(4, name="dense_1")(x), name="functional_1")
