"""Memory banks: one unit vector for each image of the data, averaged over the steps."""

import keras
import tensorflow as tf

from op_utils.norms import unit


def memory_bank(num_examples: int, width: int, name: str) -> tf.Variable:
    """A bank of random rows, not trained.

    Args:
        num_examples: N, rows.
        width: d, entries of a row.
        name: of the variable.

    Returns:
        float32 [N, d], uniform within +-sqrt(3 / d): rows of length about 1.
    """
    bound = (width / 3) ** -0.5
    rows = keras.initializers.RandomUniform(-bound, bound)((num_examples, width))
    return tf.Variable(rows, trainable=False, name=name)


def update_rows(bank: tf.Variable, index: tf.Tensor, new: tf.Tensor, momentum: float):
    """Row <- unit(momentum row + (1 - momentum) new), for these rows alone.

    Args:
        bank: [N, d], changed in place.
        index: int [B], without repetition.
        new: [B, d], taken as constant.
        momentum: the share of the old row, at least 0 and below 1.
    """
    old = tf.gather(bank, index)
    mixed = momentum * old + (1.0 - momentum) * tf.stop_gradient(new)
    bank.scatter_update(tf.IndexedSlices(unit(mixed), index))
