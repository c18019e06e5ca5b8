"""Kullback-Leibler divergence, of softened predictions and in general."""

import tensorflow as tf

from op_utils import image_weights, shapes


def kl_entries(p: tf.Tensor, q: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
    """Entries of a divergence: p log(p / q) + q - p.

    Over an axis where p and q have the same sum, these sum to the divergence, and
    without cancelling: each entry is positive by itself.

    Args:
        p: any shape, at least 0.
        q: the same shape, at least 0.
        ratio: log(p / q), finite, by a formula that fits where p and q come from.

    Returns:
        The shape of `p`; at least 0 up to rounding.
    """
    # Written p * expm1(-ratio), q - p is exact for small ratios, and for large ones
    # may overflow.
    small = p * (ratio + tf.math.expm1(-tf.maximum(ratio, -1.0)))
    large = p * ratio + q - p
    return tf.where(ratio > -1.0, small, large)


def softened_kl(
    student: tf.Tensor,
    teacher: tf.Tensor,
    temperature: float = 1.0,
    weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """KL(p || q) = sum_c p_c (log p_c - log q_c), mean over the batch.

    p = softmax(teacher / T) and q = softmax(student / T). There is no factor T^2: that
    is the method's matter.

    Args:
        student: [B, num_classes] logits.
        teacher: [B, num_classes] logits, taken as constants.
        temperature: T > 0.
        weight: [B], of each image; None is 1.

    Returns:
        Scalar in nats, at least 0; 0 where the predictions agree.

    Raises:
        ValueError: the shapes differ.
    """
    shapes.check_equal(
        student, teacher, "Predictions are compared class by class", "logits"
    )
    target = tf.nn.log_softmax(tf.stop_gradient(teacher) / temperature)
    estimate = tf.nn.log_softmax(student / temperature)
    # At high temperatures little but rounding would be left of a sum of p * ratio.
    entries = kl_entries(tf.exp(target), tf.exp(estimate), target - estimate)
    return image_weights.mean(tf.reduce_sum(entries, axis=-1), weight)
