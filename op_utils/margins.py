"""How negative a channel's response is where its ReLU lets nothing through."""

import numpy as np
import scipy.special
import tensorflow as tf


def expected_negative(gamma, beta) -> np.ndarray:
    """E[x | x < 0] of x ~ N(beta, gamma^2), for each channel of a batch norm.

    With z = beta / |gamma| that is beta - |gamma| phi(z) / Phi(-z); where negative
    values are rare, Phi(-z) <= 0.001, it is -3 |gamma| instead. Source: Heo et al., A
    Comprehensive Overhaul of Feature Distillation, https://arxiv.org/abs/1904.01866,
    section 3.2, and its authors' code.

    Args:
        gamma: [C], scale of the batch norm.
        beta: [C], its offset.

    Returns:
        float32 [C], at most 0.
    """
    beta = np.asarray(beta, np.float64)
    # A dead channel, gamma = 0, is the limit of a narrow one.
    spread = np.maximum(np.abs(np.asarray(gamma, np.float64)), 1e-30)
    z = beta / spread
    tail = scipy.special.ndtr(-z)
    density = np.exp(-np.square(z) / 2.0) / np.sqrt(2.0 * np.pi)
    mean = beta - spread * density / np.maximum(tail, 0.001)
    return np.where(tail > 0.001, mean, -3.0 * spread).astype(np.float32)


def batch_negative(maps: tf.Tensor, epsilon: float = 1e-6) -> tf.Tensor:
    """Sum of each channel's negative entries over (their number + epsilon).

    Source: AberHu/Knowledge-Distillation-Zoo.

    Args:
        maps: [B, H, W, C] in front of a ReLU.
        epsilon: > 0.

    Returns:
        [C], at most 0; 0 where no entry is negative.
    """
    axes = [0, 1, 2]
    count = tf.reduce_sum(tf.cast(maps < 0, maps.dtype), axes)
    return tf.reduce_sum(tf.minimum(maps, 0), axes) / (count + epsilon)
