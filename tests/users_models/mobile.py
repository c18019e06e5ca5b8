"""Inverted residuals: the next block expands before it makes the map smaller."""

import keras
from keras import layers


def _excited(x, name):
    """Squeeze and excitation."""
    width = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(name=f"{name}_se_squeeze")(x)
    weights = layers.Reshape((1, 1, width), name=f"{name}_se_reshape")(weights)
    weights = layers.Conv2D(4, 1, activation="swish", name=f"{name}_se_reduce")(weights)
    weights = layers.Conv2D(width, 1, activation="sigmoid", name=f"{name}_se_expand")(
        weights
    )
    return layers.multiply([x, weights], name=f"{name}_se_excite")


def _block(x, name, width, stride, activation, excite):
    inputs, wide = x, 4 * x.shape[-1]
    x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand")(x)
    x = layers.BatchNormalization(name=f"{name}_expand_bn")(x)
    x = activation(f"{name}_expand_act")(x)
    x = layers.DepthwiseConv2D(
        3, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = layers.BatchNormalization(name=f"{name}_depthwise_bn")(x)
    x = activation(f"{name}_depthwise_act")(x)
    x = _excited(x, name) if excite else x
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(name=f"{name}_project_bn")(x)
    if stride == 1 and inputs.shape[-1] == width:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _net(size, activation, excite, name):
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = activation("stem_act")(x)
    for i, (width, stride) in enumerate(((6, 1), (8, 2), (12, 2)), 1):
        x = _block(x, f"block{i}a", width, stride, activation, excite)
        x = _block(x, f"block{i}b", width, 1, activation, excite)
    x = layers.Conv2D(24, 1, use_bias=False, name="top")(x)
    x = layers.BatchNormalization(name="top_bn")(x)
    x = activation("top_act")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.2, name="top_dropout")(x)
    outputs = layers.Dense(4, activation="softmax", dtype="float32")(x)
    return keras.Model(images, outputs, name=name)


def build(size):
    """As MobileNetV2."""
    return _net(size, lambda name: layers.ReLU(6.0, name=name), False, "mobile")


def efficient(size):
    """As EfficientNet."""

    def activation(name):
        return layers.Activation("swish", name=name)

    return _net(size, activation, True, "efficient")
