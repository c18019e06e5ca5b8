"""Spatial attention: how strongly a map responds at each position."""

import tensorflow as tf

from common.errors import wrong
from op_utils.norms import unit


def power(maps: tf.Tensor, p: float) -> tf.Tensor:
    """F^p, elementwise; for an odd p negative responses stay negative.

    Args:
        maps: any shape; no negative entries unless p is an integer.
        p: exponent, at least 1.

    Returns:
        The shape of `maps`.

    Raises:
        ValueError: p is below 1, where the slope at a response of 0 is infinite.
        tf.errors.InvalidArgumentError: an entry is negative and p no integer, for
            which no real power exists. XLA drops the check: the result is NaN then.
    """
    if not p >= 1:
        raise wrong(
            "Below 1 the power has an infinite slope at 0", expected="p >= 1", p=p
        )
    if p == int(p):
        # Products, since pow(negative, p) depends on the device's logarithm.
        result = maps
        for _ in range(int(p) - 1):
            result = result * maps  # *= would write into a caller's NumPy array
        return result
    check = tf.debugging.assert_non_negative(
        maps, f"F^p has no real value for negative F. Received: p={p}."
    )
    with tf.control_dependencies([] if check is None else [check]):
        return tf.pow(maps, tf.cast(p, maps.dtype))


def spatial_attention(maps: tf.Tensor, p: float = 2.0) -> tf.Tensor:
    """unit(A) over the positions, A = mean over channels of F^p.

    Args:
        maps: [B, H, W, C].
        p: exponent, at least 1, an integer unless all entries are at least 0.

    Returns:
        [B, H * W], rows of length 1; a map of zeros gives zeros.
    """
    strength = tf.reduce_mean(power(maps, p), axis=-1)  # [B, H, W]
    return unit(tf.reshape(strength, [-1, maps.shape[1] * maps.shape[2]]))
