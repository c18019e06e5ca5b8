"""Layers and models as users write them, each with a trap for who reads a graph."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="test_own_layers")
class GatedHead(layers.Layer):
    """out(x * softmax(gate(x))): `activation` is not the last that it does."""

    def __init__(self, units, activation="softmax", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        """Makes the two layers."""
        self.gate = layers.Dense(shape[-1], kernel_initializer="he_normal")
        self.out = layers.Dense(self.units)
        self.gate.build(shape)
        self.out.build(shape)

    def call(self, x):
        """[B, D] to [B, units]."""
        return self.out(x * self.activation(self.gate(x)))

    def get_config(self):
        """The number of classes."""
        return {**super().get_config(), "units": self.units}


class GatedDense(layers.Dense):
    """A built-in layer's subclass with a `call` of its own."""

    def call(self, x, training=None):
        """Activated first."""
        return ops.matmul(self.activation(x), self.kernel) + self.bias


class Standardised(layers.Conv2D):
    """Another convolution, but the `call` of Keras: its activation is the last."""

    def convolution_op(self, x, kernel):
        """By a kernel of mean zero."""
        return super().convolution_op(x, kernel - ops.mean(kernel))


@keras.saving.register_keras_serializable(package="test_own_layers")
class Probabilities(GatedHead):
    """Ends in its softmax, for once."""

    def call(self, x):
        """[B, D] to [B, units]."""
        return self.activation(self.out(x))


@keras.saving.register_keras_serializable(package="test_own_layers")
class Block(layers.Layer):
    """A residual block with its ReLU as an attribute: in the middle and at the end."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.relu
        self.first = layers.Conv2D(width, 3, padding="same")
        self.second = layers.Conv2D(width, 3, padding="same")

    def build(self, shape):
        """Builds both convolutions."""
        self.first.build(shape)
        self.second.build(shape)

    def call(self, x):
        """relu(x + conv(relu(conv(x))))."""
        return self.activation(x + self.second(self.activation(self.first(x))))


class Penalty(layers.Layer):
    """Adds the mean square of what passes through it to the loss."""

    def call(self, x):
        """The same."""
        self.add_loss(1e-3 * ops.mean(ops.square(x)))
        return x


class AlwaysDrops(layers.Layer):
    """Drops at inference, too."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(rate, seed=3, name="always")

    def call(self, x):
        """Some of x."""
        return self.dropout(x, training=True)


@keras.saving.register_keras_serializable(package="test_own_layers")
class UnseededNoise(layers.Layer):
    """Draws without a generator of Keras."""

    def call(self, x):
        """x and noise."""
        import tensorflow as tf

        return x + tf.random.normal(tf.shape(x), stddev=0.1)


@keras.saving.register_keras_serializable(package="test_own_layers")
class CountsCalls(layers.Layer):
    """Remembers how often it was called."""

    def build(self, shape):
        """One number."""
        self.calls = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="calls"
        )

    def call(self, x):
        """The same."""
        self.calls.assign_add(1.0)
        return x


@keras.saving.register_keras_serializable(package="test_own_layers")
class Halved(keras.Model):
    """A Functional model with a `call` of its own."""

    def call(self, images, training=None):
        """Half of what the graph says."""
        return 0.5 * super().call(images, training=training)


class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self, drops=False):
        super().__init__(name="subclassed")
        self.flatten = layers.Flatten()
        self.norm = layers.BatchNormalization()
        self.dropout = AlwaysDrops() if drops else layers.Dropout(0.5)
        self.out = layers.Dense(4, activity_regularizer=keras.regularizers.L2(0.1))

    def call(self, images):
        """[B, H, W, C] to logits; `training` comes from who calls."""
        x = self.dropout(self.norm(self.flatten(images)))
        self.add_loss(1e-3 * ops.mean(ops.square(x)))
        return self.out(x)


def convnet(head, *between, size=8, model=keras.Model, **conv):
    """conv a -> what is between -> mean -> head; on images of 0 to 255."""
    keras.utils.set_random_seed(1)
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(4, 3, padding="same", name="a", **{"activation": "relu", **conv})(
        x
    )
    for layer in between:
        x = layer(x)
    return model(images, head(layers.GlobalAveragePooling2D(name="mean")(x)))


def built_subclassed(**options):
    """`Subclassed` for images of 8x8."""
    keras.utils.set_random_seed(1)
    model = Subclassed(**options)
    model(ops.zeros((1, 8, 8, 3)))
    return model
