"""Inner products of the channels of two maps, taken over the positions."""

import tensorflow as tf


def as_rows(maps: tf.Tensor) -> tf.Tensor:
    """[B, H, W, C] to [B, H * W, C], one row for each position.

    Args:
        maps: with static H, W and C.
    """
    _, height, width, channels = maps.shape
    return tf.reshape(maps, [-1, height * width, channels])


def channel_products(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """G[b, m, n] = sum over positions of first[b, position, m] second[b, position, n].

    Args:
        first: [B, positions, M].
        second: [B, positions, N].

    Returns:
        [B, M, N], in the product of the units.
    """
    return tf.matmul(first, second, transpose_a=True)
