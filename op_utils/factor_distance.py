"""How far a student's factor, a paraphrase of its map, is from the teacher's."""

import math

import tensorflow as tf

from op_utils.attention import power, spatial_attention
from op_utils.norms import unit
from op_utils.pooling import pool_to_smaller


def factor_gap(student: tf.Tensor, teacher: tf.Tensor, p2: int = 1) -> tf.Tensor:
    """Mean over batch and entries of |u_s - u_t|^p2, with u = factor / ||factor||_2.

    The norm is over all entries of an image. Before that the larger factor is
    average-pooled to the smaller one's size.

    Args:
        student: factors [B, Hs, Ws, M].
        teacher: factors [B, Ht, Wt, M], taken as constants.
        p2: 1 or an even number.

    Returns:
        Scalar without unit, at least 0.
    """
    # Paper: the norm of the difference. Here: the mean of its entries' powers, as in
    # the published code (KD-Zoo), because the published weight belongs to that.
    pooled = pool_to_smaller(student, tf.stop_gradient(teacher))
    size = math.prod(pooled[0].shape[1:])
    student, teacher = (unit(tf.reshape(factor, [-1, size])) for factor in pooled)
    return _mean_power(student - teacher, p2)


def factor_attention_gap(
    student: tf.Tensor, teacher: tf.Tensor, p1: int = 2, p2: int = 1
) -> tf.Tensor:
    """Mean over batch and positions of |a_s - a_t|^p2, with the factors' attention a.

    a = unit(A) over the positions, A = mean over channels of factor^p1; before that the
    larger factor is average-pooled to the smaller one's size. This is the definition of
    HobbitLong/RepDistiller.

    Args:
        student: factors [B, Hs, Ws, Ms].
        teacher: factors [B, Ht, Wt, Mt], taken as constants.
        p1: at least 1.
        p2: 1 or an even number.

    Returns:
        Scalar without unit, at least 0.
    """
    student, teacher = pool_to_smaller(student, tf.stop_gradient(teacher))
    gap = spatial_attention(student, p1) - spatial_attention(teacher, p1)
    return _mean_power(gap, p2)


def _mean_power(gap: tf.Tensor, p2: int) -> tf.Tensor:
    # As published: no absolute value but for p2 = 1. Even powers need none.
    return tf.reduce_mean(tf.abs(gap) if p2 == 1 else power(gap, p2))
