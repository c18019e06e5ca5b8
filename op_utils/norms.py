"""Euclidean norms whose gradients stay finite at zero."""

import tensorflow as tf


def norm(x: tf.Tensor, axis: int = -1, keepdims: bool = False) -> tf.Tensor:
    """||x||_2 along an axis, with gradient 0 (not NaN) where x is 0.

    Args:
        x: any shape.
        axis: the axis that is summed over.
        keepdims: whether that axis stays, with size 1.

    Returns:
        Norms, at least 0, in the unit of `x`.
    """
    squared = tf.reduce_sum(tf.square(x), axis, keepdims)
    # The root's slope at 0 is infinite, and infinity times a zero is NaN: so the root
    # is taken of something else there.
    positive = squared > 0
    root = tf.sqrt(tf.where(positive, squared, tf.ones_like(squared)))
    return tf.where(positive, root, tf.zeros_like(root))


def unit(x: tf.Tensor, axis: int = -1) -> tf.Tensor:
    """Vectors of length 1: x / max(||x||_2, 1e-12); the zero vector stays zero.

    Where x is 0, so is the gradient: the quotient's slope of 1e12 would be the end of
    any training.

    Args:
        x: any shape.
        axis: the axis whose vectors get length 1.

    Returns:
        The shape of `x`.
    """
    squared = tf.reduce_sum(tf.square(x), axis, keepdims=True)
    # 1e-24, since this is the squared norm.
    scale = tf.math.rsqrt(tf.maximum(squared, 1e-24))
    return x * tf.where(squared > 0, scale, tf.zeros_like(scale))
