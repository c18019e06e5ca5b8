"""Trained heads on a net's embedding, as contrastive methods put them."""

import keras
import tensorflow as tf


def linear(inputs: int, outputs: int, name: str) -> keras.layers.Dense:
    """A built dense layer with bias in float32, initialised as in the published code.

    Args:
        inputs: size of the vectors that come in.
        outputs: size of the result.
        name: of the layer.
    """
    # U(+-1 / sqrt(fan in)), the bias too: PyTorch's default. It also keeps the image of
    # an all-zero embedding away from 0, where a unit vector's slope has no bound.
    bound = inputs**-0.5
    layer = keras.layers.Dense(
        outputs,
        kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        dtype="float32",
        name=name,
    )
    layer.build((None, inputs))
    return layer


def vectors(tap: tf.Tensor) -> tf.Tensor:
    """One vector for each image: maps [B, H, W, C] are averaged over their positions.

    Args:
        tap: [B, D] or [B, H, W, C].

    Returns:
        [B, D]; D = C of a map.
    """
    return tap if len(tap.shape) == 2 else tf.reduce_mean(tap, [1, 2])


class Perceptron(keras.layers.Layer):
    """Dense layer, batch norm, ReLU, dense layer.

    Args:
        inputs: size of the vectors that come in.
        hidden: size of the layer in the middle.
        outputs: size of the result.
        name: of the layer.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, name=None):
        # float32 whatever the policy: losses are never computed in half precision.
        super().__init__(dtype="float32", name=name)
        self.first = linear(inputs, hidden, name="dense_0")
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="norm"
        )
        self.norm.build((None, hidden))
        self.second = linear(hidden, outputs, name="dense_1")
        self.built = True

    def call(self, embeddings, training=True) -> tf.Tensor:
        """[n, inputs] to [n, outputs].

        Args:
            embeddings: the rows.
            training: whether the batch norm uses and updates batch statistics.
        """
        hidden = self.norm(self.first(embeddings), training=training)
        return self.second(tf.nn.relu(hidden))
