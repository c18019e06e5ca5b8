"""Layers of one's own, with an `activation` that is not their last operation."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("users")
class ResidualBlock(layers.Layer):
    """relu(x + conv(relu(conv(x)))), the ReLU as an attribute."""

    def __init__(self, width, strides=1, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.width, self.strides = width, strides
        self.activation = keras.activations.get(activation)
        own = {"dtype": self.dtype_policy}  # not the one where it is loaded
        self.conv1 = layers.Conv2D(width, 3, strides, padding="same", **own)
        self.norm1 = layers.BatchNormalization(**own)
        self.conv2 = layers.Conv2D(width, 3, padding="same", **own)
        self.shortcut = layers.Conv2D(width, 1, strides, **own)

    def build(self, shape):
        self.conv1.build(shape)
        inner = self.conv1.compute_output_shape(shape)
        self.norm1.build(inner)
        self.conv2.build(inner)
        self.shortcut.build(shape)

    def before(self, x, training=False):
        """What the last ReLU gets."""
        y = self.activation(self.norm1(self.conv1(x), training=training))
        return self.shortcut(x) + self.conv2(y)

    def call(self, x, training=False):
        return self.activation(self.before(x, training))

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "strides": self.strides,
            "activation": keras.activations.serialize(self.activation),
        }


class GatedHead(layers.Layer):
    """out(x * softmax(gate(x))): logits, although its activation is a softmax.

    Not registered: `keras.saving.load_model` needs the class.
    """

    def __init__(self, classes, activation="softmax", **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.activation = keras.activations.get(activation)
        self.options = {"kernel_initializer": "he_normal", "dtype": self.dtype_policy}
        self.out = layers.Dense(classes, **self.options)

    def build(self, shape):
        self.gate = layers.Dense(shape[-1], **self.options)
        self.gate.build(shape)
        self.out.build(shape)

    def call(self, x):
        return self.out(x * self.activation(self.gate(x)))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable("users")
class SmoothedDense(layers.Dense):
    """A dense softmax that leaves every class a share: a softmax, but not the last."""

    def call(self, x):
        return 0.8 * super().call(x) + 0.2 / self.units


def _body(size):
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(images)
    x = ResidualBlock(8, name="block1")(x)
    x = ResidualBlock(12, 2, name="block2")(x)
    return images, layers.GlobalAveragePooling2D()(x)


def build(size):
    images, x = _body(size)
    # Large enough that a head without its gate shows.
    return keras.Model(images, GatedHead(4, name="head")(x * 5.0), name="gated")


def smoothed(size):
    images, x = _body(size)
    outputs = SmoothedDense(4, activation="softmax", name="head")(x * 5.0)
    return keras.Model(images, outputs, name="smoothed")


def rows(size):
    """A recurrent net over the rows: its activation works inside the cell."""
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(images)
    x = layers.Reshape((size, -1))(x)
    x = layers.LSTM(8, activation="relu", return_sequences=True)(x)
    outputs = layers.LSTM(4, activation="softmax", name="recurrent")(x)
    return keras.Model(images, ops.log(outputs + 0.01), name="rows")
