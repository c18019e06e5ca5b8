"""Transfer learning as the Keras guide builds it: augmentation and a frozen base."""

import keras
from keras import layers


def base_model(size):
    """A residual net that somebody trained; it stands for a published one."""
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(images)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for i, (width, stride) in enumerate(((6, 1), (8, 2), (12, 2)), 1):
        shortcut = x
        if stride > 1:
            shortcut = layers.Conv2D(width, 1, stride, name=f"block{i}_short")(x)
        x = layers.Conv2D(width, 3, stride, padding="same", name=f"block{i}_1")(x)
        x = layers.BatchNormalization(name=f"block{i}_1_bn")(x)
        x = layers.ReLU(name=f"block{i}_1_relu")(x)
        x = layers.Conv2D(width, 3, padding="same", name=f"block{i}_2")(x)
        x = layers.BatchNormalization(name=f"block{i}_2_bn")(x)
        x = layers.Add(name=f"block{i}_add")([shortcut, x])
        x = layers.ReLU(name=f"block{i}_out")(x)
    return keras.Model(images, x, name="base")


def with_head(base, size, frozen=True, rescaling=False, augmented=True, classes=4):
    """Pixels from 0 to 255 to probabilities."""
    base.trainable = not frozen
    augmentation = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)],
        name="data_augmentation",
    )
    images = keras.Input((size, size, 3))
    x = augmentation(images) if augmented else images
    if rescaling:
        x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    else:
        x = x / 127.5 - 1.0
    # The guide means that batch norms stay; Keras keeps them only while it is frozen.
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2 if augmented else 0.0)(x)
    outputs = layers.Dense(classes, activation="softmax", dtype="float32")(x)
    return keras.Model(images, outputs, name="transfer")


def build(size):
    return with_head(base_model(size), size)


def rescaled(size):
    return with_head(base_model(size), size, rescaling=True)


def finetuned(size):
    return with_head(base_model(size), size, frozen=False, augmented=False)


def mobilenet(size):
    base = keras.applications.MobileNetV2(
        input_shape=(size, size, 3), alpha=0.35, include_top=False, weights=None
    )
    return with_head(base, size)
