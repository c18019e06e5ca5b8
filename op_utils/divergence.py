"""Kullback-Leibler divergence of softened predictions."""

import tensorflow as tf


def softened_kl(
    student: tf.Tensor, teacher: tf.Tensor, temperature: float = 1.0
) -> tf.Tensor:
    """KL(p || q) = sum_c p_c (log p_c - log q_c), mean over the batch.

    p = softmax(teacher / T) and q = softmax(student / T). There is no factor T^2: that
    is the method's matter.

    Args:
        student: [B, num_classes] logits.
        teacher: [B, num_classes] logits, taken as constants.
        temperature: T > 0.

    Returns:
        Scalar in nats, at least 0; 0 where the predictions agree.

    Raises:
        ValueError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            "Predictions are compared class by class. Expected logits of equal shape. "
            f"Received: student {student.shape}, teacher {teacher.shape}."
        )
    target = tf.nn.log_softmax(tf.stop_gradient(teacher) / temperature)
    estimate = tf.nn.log_softmax(student / temperature)
    p, ratio = tf.exp(target), target - estimate
    # The sum of p * ratio cancels: at high temperatures little but rounding is left of
    # it. Adding q - p, which sums to 0, makes each entry positive by itself; written
    # p * expm1(-ratio) it is exact for small ratios, and for large ones may overflow.
    small = p * (ratio + tf.math.expm1(-tf.maximum(ratio, -1.0)))
    large = p * ratio + tf.exp(estimate) - p
    entries = tf.where(ratio > -1.0, small, large)
    return tf.reduce_mean(tf.reduce_sum(entries, axis=-1))
