"""Multi-head attention between the images of a batch, and an estimator on it."""

import keras
import tensorflow as tf

from op_utils.norms import unit


def attention(sender: tf.Tensor, receiver: tf.Tensor, heads: int) -> tf.Tensor:
    """A[h, b, c] = <sender of image b, receiver of image c>, not scaled.

    Args:
        sender: [B, D * heads] of a level, the head's index running fastest.
        receiver: [B, D * heads] of the level before, likewise.
        heads: number of graphs.

    Returns:
        [heads, B, B].
    """

    def split(x):  # [B, D * heads] -> [heads, B, D]
        return tf.transpose(tf.reshape(x, [x.shape[0], -1, heads]), [2, 0, 1])

    return tf.matmul(split(sender), split(receiver), transpose_b=True)


def estimation_loss(prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean over images of 1 - <unit(prediction), target>.

    Args:
        prediction: [B, C].
        target: [B, C] unit vectors.

    Returns:
        Scalar from 0 to 2.
    """
    cosines = tf.reduce_sum(unit(prediction) * target, axis=-1)
    return tf.reduce_mean(1.0 - cosines)


class Projection(keras.layers.Layer):
    """A dense layer without bias, then batch norm.

    Args:
        inputs: channels that come in.
        outputs: channels of the result.
        trains_beta: whether the batch norm's beta is trained.
        name: of the layer.
    """

    def __init__(self, inputs: int, outputs: int, *, trains_beta=True, name=None):
        super().__init__(dtype="float32", name=name)
        self.dense = keras.layers.Dense(
            outputs, use_bias=False, dtype="float32", name="dense"
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="norm"
        )
        self.build((None, inputs))
        self.norm.beta.trainable = trains_beta

    def build(self, input_shape):
        """Creates the variables."""
        self.dense.build(input_shape)
        self.norm.build((None, self.dense.units))
        self.built = True

    def call(self, vectors, training=True) -> tf.Tensor:
        """Vectors [B, inputs] to [B, outputs].

        Args:
            vectors: of the images of a batch.
            training: whether the batch norm uses and updates batch statistics.
        """
        return self.norm(self.dense(vectors), training=training)

    def frozen(self, vectors) -> tf.Tensor:
        """The same with moving statistics, and all variables as constants."""
        bn = self.norm
        variables = bn.moving_mean, bn.moving_variance, bn.beta, bn.gamma
        kernel, *rest = (
            tf.stop_gradient(tf.convert_to_tensor(v))
            for v in (self.dense.kernel, *variables)
        )
        return tf.nn.batch_normalization(tf.matmul(vectors, kernel), *rest, bn.epsilon)


class Relation(tf.Module):
    """What belongs to two adjacent levels: the attention, and the estimator on it.

    Args:
        before: channels of the level before.
        after: channels of the level.
        heads: number of graphs.
    """

    def __init__(self, before: int, after: int, heads: int):
        super().__init__(name="relation")
        width = (before + after) // 2
        self.heads = heads
        self.sender = Projection(after, width * heads, name="sender")
        # This beta adds the same to a whole row, which the softmax takes back: its
        # gradient is rounding noise, so it stays at 0.
        self.receiver = Projection(
            before, width * heads, trains_beta=False, name="receiver"
        )
        self.hidden = Projection(before, width, name="hidden")
        self.output = keras.layers.Dense(after, dtype="float32", name="output")
        self.output.build((None, width * heads))

    def estimate(self, before, after, mask) -> tf.Tensor:
        """[B, C] of a level, from the vectors of the level before and the graphs.

        Args:
            before: [B, C'] vectors of the level before.
            after: [B, C] vectors of the level, of which only the graphs know.
            mask: [heads, B, 1], 0 for a row of a head that is dropped.
        """
        senders, receivers = self.sender(after), self.receiver(before)
        graphs = tf.nn.softmax(attention(senders, receivers, self.heads)) * mask
        messages = tf.matmul(graphs, tf.nn.relu(self.hidden(before)))  # [heads, B, D]
        messages = tf.transpose(messages, [1, 0, 2])
        return self.output(tf.reshape(messages, [messages.shape[0], -1]))

    def frozen_attention(self, before, after) -> tf.Tensor:
        """[heads, B, B] of trained variables that are constants now."""
        senders, receivers = self.sender.frozen(after), self.receiver.frozen(before)
        return attention(senders, receivers, self.heads)
